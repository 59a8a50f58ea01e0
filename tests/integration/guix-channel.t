# SPDX-License-Identifier: GPL-3.0-or-later
# The repository as a channel of Guix, with the real Guix: fetched from a Git repository as `guix pull' does, its .guix-channel
# and news read, its modules compiled with Guix alone, and the package and the service used from there. What `guix pull' does
# beyond that, a new Guix to compile them with, takes the network.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Temp qw(tempdir);
use Guide;
use Guix;
use Test::More;

Childhurd::cannot('without git there is no channel') unless grep { -x "$_/git" } split /:/, $ENV{PATH};
my $dir = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
chmod 0755, $dir;
my $d = Childhurd->new(dir => $dir);    # its folder is removed
my $g = Guix->new(dir => $dir, runtime => '/run/childhurd')->start;
my ($version) = Childhurd::slurp('Makefile') =~ /^VERSION := (\S+)$/m;

sub scheme {
    my ($limit, $text, @load) = @_;
    Childhurd::spew("$dir/script.scm", $text);
    return $g->run($limit, qw(guix repl), (map { ('-L', $_) } @load), '--', "$dir/script.scm");
}

# --- the repository, and the user's channels as the guide has them ---
sub git {
    local %ENV = (PATH => $ENV{PATH}, HOME => $dir, map { ("GIT_${_}_NAME" => 'test', "GIT_${_}_EMAIL" => 'test@localhost') } qw(AUTHOR COMMITTER));
    return system('git', '-C', "$dir/repository", '-c', 'core.autocrlf=false', @_);
}
mkdir "$dir/repository";
is(system("tar -c --exclude=./build --exclude=./.git . | tar -x -C $dir/repository"), 0, 'the sources');
is(git(@$_), 0, "git $_->[0]") for [qw(init --quiet --initial-branch=main)], [qw(add --all)], [qw(commit --quiet --message=all)];

is(system('sh', '-ec', join '', "HOME=$dir/home; cd $dir\n", Guide::commands('guix-channel')), 0, 'the guide\'s channels are written');
my $channels = "$dir/home/.config/guix/channels.scm";
my $text = Childhurd::slurp($channels);
is($text =~ s{"https://[^"]*"}{"file://$dir/repository"}, 1, '... with one address, for which there is this repository');
Childhurd::spew($channels, $text);

# --- what guix pull does ---
my $said = scheme(200, <<"SCM");
(use-modules (guix channels) (guix store) (guix build compile) (guix build utils) (ice-9 match) (srfi srfi-1))

(define channels
  (let ((module (make-fresh-user-module)))
    (module-use! module (resolve-interface '(guix channels)))
    (save-module-excursion (lambda () (set-current-module module) (primitive-load "$channels")))))
(define ours (find (lambda (channel) (eq? 'childhurd (channel-name channel))) channels))
(format #t "channels: ~a~%" (map channel-name channels))

(with-store store
  (match (latest-channel-instances store (list ours))
    ((instance)
     (let* ((metadata ((@@ (guix channels) channel-instance-metadata) instance))
            (modules (string-append (channel-instance-checkout instance)
                                    ((@@ (guix channels) channel-metadata-directory) metadata))))
       (format #t "checkout: ~a~%" (channel-instance-checkout instance))
       (format #t "modules: ~a~%" modules)
       (for-each (lambda (entry)
                   (format #t "news: ~a ~s~%" (channel-news-entry-commit entry) (channel-news-entry-title entry)))
                 (channel-news-for-commit ours (channel-instance-commit instance)))
       ;; The builder of standard-module-derivation in (guix channels), but for the optimizations.
       (compile-files modules "$dir/go" (find-files modules "\\\\.scm\$") #:optimization-options (const '()))
       (format #t "compiled: ~a~%" (map basename (find-files "$dir/go")))
       ;; They are installed here, and not where a channel is compiled.
       (format #t "loaded: ~a~%" (filter (lambda (name) (resolve-module name #f #:ensure #f))
                                         '((guix packages) (fibers) (shepherd service))))))))
SCM
is($g->{status}, 0, 'the channel is fetched, read and compiled') or diag $said;
like($said, qr/^channels: \(childhurd guix\)$/m, 'the guide adds it to Guix\' own');
my ($modules) = $said =~ m{^modules: (/gnu/store/\S+/service/guile)$}m;
ok($modules, '.guix-channel names the folder of the modules') or Childhurd::cannot("without it there is no more to test:\n$said");
like($said, qr/^compiled: \(childhurd-configuration\.go childhurd-package\.go childhurd-service\.go\)$/m, 'all of its modules are compiled') or diag $said;
like($said, qr/^loaded: \(\(guix packages\)\)$/m, '... for which Guix is enough') or diag $said;

# --- the news ---
my @news = $said =~ /^news: ([0-9a-f]{40}) \(\("en" \. "[^"]+"\)\)$/mg;
cmp_ok(scalar @news, '>=', 1, 'it has news') or diag $said;
SKIP: {
    my $history = `git rev-list HEAD 2>/dev/null`;
    skip('there is no history here, or not all of it', 1) if !-e '.git' || !$history || -e '.git/shallow';
    is_deeply([ grep { $history !~ /^$_$/m } @news ], [], '... each of a commit of the history');
}

# --- the package ---
$said = $g->run(60, qw(guix package --show=childhurd -L), $modules);
like($said, qr/^name: childhurd\nversion: \Q$version\E$/m, 'guix package shows it') or diag $said;
# What the Makefile asks pkg-config for, and the package of Guix that has it.
my %of = ('glib-2.0' => 'glib', 'gio-2.0' => 'glib', 'json-glib-1.0' => 'json-glib', 'libvirt-qemu' => 'libvirt', 'libxml-2.0' => 'libxml2',
    libacl => 'acl', libcurl => 'curl', sqlite3 => 'sqlite', map { ($_ => 'e2fsprogs') } qw(ext2fs e2p com_err));
my @asked = map { split } Childhurd::slurp('Makefile') =~ /^\w+_PKGS\s*= (.*)/mg;
my ($inputs) = $said =~ /^dependencies: (.*?)\n(?!\+)/ms;
cmp_ok(scalar @asked, '>', 10, 'the Makefile asks for libraries');
is_deeply([ grep { my $input = $of{$_} // $_; !/^\$/ && ($inputs // '') !~ /(?:^|\s)\Q$input\E\@/ } @asked ], [], '... which are all among the inputs') or diag $said;
$said = $g->run(60, qw(guix build -d --no-grafts --no-offload -L), $modules, 'childhurd');
like($said, qr{^/gnu/store/\S+-childhurd-\Q$version\E\.drv$}m, 'it has a derivation') or diag $said;
$said = $g->run(60, qw(guix lint -n -c), 'name,description,synopsis,inputs-should-be-native,inputs-should-not-be-input,input-labels,license', '-L', $modules, 'childhurd');
is($g->{status}, 0, 'guix lint has looked at it');
unlike($said, qr/childhurd\@/, '... and has nothing to say') or diag $said;
$said = scheme(60, <<"SCM", $modules);
(use-modules (childhurd-package) (guix build utils) (guix derivations) (guix gexp) (guix grafts) (guix packages) (guix store)
             (ice-9 match))
(define (file text) (string-append "$dir/sources/" text))
(define (phase name sexp)
  "The procedure of the phase NAME, from the builder's SEXP."
  (match sexp
    ((add-after _ ('quote (? (lambda (x) (eq? x name)))) procedure) procedure)
    ((first . rest) (or (phase name first) (phase name rest)))
    (_ #f)))

(with-store store
  (set-build-options store #:use-substitutes? #f #:offload? #f)
  (parameterize ((%graft? #f))
    (copy-recursively (run-with-store store (lower-object (package-source childhurd))) "$dir/sources")
    (let* ((derivation (package-derivation store childhurd))
           (builder (car (filter (lambda (source) (string-suffix? "childhurd-$version-builder" source))
                                 (derivation-sources derivation))))
           (name-ssh (phase 'name-ssh (call-with-input-file builder
                                        (lambda (port)
                                          (let loop ((sexps '()))
                                            (match (read port)
                                              ((? eof-object?) sexps)
                                              (sexp (loop (cons sexp sexps))))))))))
      (mkdir-p "$dir/openssh/bin")
      (call-with-output-file "$dir/openssh/bin/ssh" (const #t))
      (chdir "$dir/sources")
      ((eval name-ssh (current-module)) #:inputs `(("openssh" . "$dir/openssh"))))))
SCM
is($g->{status}, 0, 'its phases can be run') or diag $said;
ok(-f "$dir/sources/childhurdd/main.c", 'its sources are the channel\'s');
is_deeply([ grep { -e "$dir/sources/$_" } qw(.git .ci build) ], [], '... without what no build needs');
my %changed = map { $_ => 1 } `diff -rq $dir/sources $dir/repository | sed -n 's,^Files $dir/sources/\\(.*\\) and .*,\\1,p'` =~ /(\S+)/g;
is_deeply([ sort keys %changed ], [qw(childhurdd/host/check.c service/ctl/host.c service/ctl/ssh.c)], 'the place of ssh is written into three files');
is(`grep -rlE '(execvp\\(|find_program_in_path\\(|add\\(argv, )"ssh"' $dir/sources/service $dir/sources/childhurdd`, '', '... and no other looks for it');

# --- the service: no option -L, for this is where guix pull would have put it ---
Childhurd::spew("$dir/config.scm", join '', map { /cat > config\.scm <<'END'\n(.*)^END$/ms } Guide::commands('guix-system'));
$g->{environment} = ["GUIX_PACKAGE_PATH=$modules"];
$said = $g->run(200, qw(guix system build -d --no-grafts), "$dir/config.scm");
is($g->{status}, 0, 'the guide\'s system is read') or diag $said;
like($said, qr{^/gnu/store/\S+-system\.drv$}m, '... and has a derivation') or diag $said;
done_testing;
