# SPDX-License-Identifier: GPL-3.0-or-later
# The service for Guix System with the real Guix: what an operating system with it is made of, as far as that can be
# computed without building anything. There is no network here and nothing to substitute from. What a derivation would
# write, its own builder writes, run by Debian's Guile.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Temp qw(tempdir);
use Guide;
use Guix;
use Test::More;
use Time::HiRes qw(time);

my $begun = time;
sub at { return sprintf '[%.0f s] %s', time - $begun, join '', @_ }

my $dir = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
chmod 0755, $dir;
my $d = Childhurd->new(dir => $dir);    # its folder is removed
my $g = Guix->new(dir => $dir, runtime => '/run/childhurd')->start;
mkdir "$dir/$_" for qw(checkout out);
is(system("tar -c --exclude=./build --exclude=./.git . | tar -x -C $dir/checkout"), 0, 'a checkout');

sub scheme {
    my ($limit, $text, @load) = @_;
    Childhurd::spew("$dir/script.scm", $text);
    return $g->run($limit, qw(guix repl), (map { ('-L', $_) } @load ? @load : "$dir/checkout/service/guile"), '--', "$dir/script.scm");
}

# --- lowered: childhurd.ini, what other services are extended with, and the whole system ---
Childhurd::spew("$dir/os.scm", <<'SCM');
(use-modules (gnu) (guix gexp) (childhurd-service))
(use-service-modules networking)

(operating-system
  (host-name "node")
  (timezone "Europe/Berlin")
  (bootloader (bootloader-configuration
               (bootloader grub-bootloader)
               (targets '("/dev/sda"))))
  (file-systems (cons (file-system (device "/dev/sda1") (mount-point "/") (type "ext4"))
                      %base-file-systems))
  (services (cons* (service dhcpcd-service-type)
                   (service childhurd-service-type
                            (childhurd-configuration
                             (qemu (file-union "qemu" `(("bin/qemu-system-x86_64" ,(plain-file "qemu" "")))))
                             (image "/var/lib/images/hurd.qcow2")
                             (count 2)
                             (id 3)
                             (memory-size 4096)
                             (options '("-device" "it's here"))
                             (disk 'persistent)
                             (speed 1/2)
                             (probe-interval 20)
                             (features '("big" "fast"))
                             (extra-content "clock = 2020-01-01")
                             (parallel-starts 1)
                             (guest-services '("childhurd1"))
                             (guests (list (childhurd-configuration
                                            (name "amd64")
                                            (type 'hurd64-qcow2)
                                            (qemu (plain-file "other" ""))
                                            (image "/var/lib/images/hurd64.qcow2")
                                            (offloading? #f)
                                            (architecture "x86_64")
                                            (distribution "guix")
                                            (inject "secret-service")
                                            (warm-start "auto")
                                            (idle-timeout 1200)
                                            (autostart? 'asleep))))))
                   %base-services)))
SCM
my $said = scheme(400, <<"SCM");
(use-modules (gnu) (gnu services) (gnu services base) (gnu services shepherd) (gnu system shadow)
             (childhurd-service) (guix derivations) (guix gexp) (guix grafts) (guix monads) (guix store)
             (guix packages) (ice-9 match) (srfi srfi-1))

(define os (primitive-load "$dir/os.scm"))
(define services (operating-system-services os))
(define (folded type) (service-value (fold-services services #:target-type type)))
(define config (service-value (find (lambda (s) (eq? (service-kind s) childhurd-service-type)) services)))

(with-store store
  (set-build-options store #:use-substitutes? #f #:offload? #f)
  (parameterize ((%graft? #f))
    (define (lower object) (run-with-store store (lower-object object)))
    ;; What the derivation of OBJECT would build, as FILE.
    (define (make object file)
      (setenv "out" (string-append "$dir/out/" file))
      (primitive-load (find (lambda (source) (string-suffix? "-builder" source))
                            (derivation-sources (lower object)))))

    (make (childhurd-configuration->ini config) "childhurd.ini")
    (for-each (lambda (service)
                (match (shepherd-service-provision service)
                  ((and names ((or 'childhurd 'childhurdd 'childhurd1) . _))
                   (format #t "shepherd: ~a requires ~a, ~a~%" names (shepherd-service-requirement service)
                           (if (shepherd-service-auto-start? service) "starts by itself" "waits"))
                   (make (shepherd-service-file service) (string-append (symbol->string (car names)) ".scm")))
                  (_ #f)))
              (shepherd-configuration-services (folded shepherd-root-service-type)))
    (for-each (match-lambda
                ((? user-account? user)
                 (when (string=? (user-account-name user) "childhurd")
                   (format #t "user: ~a ~a ~a ~a~%" (user-account-name user) (user-account-group user)
                           (user-account-supplementary-groups user) (user-account-system? user))))
                ((? user-group? group)
                 (when (string-prefix? "childhurd" (user-group-name group))
                   (format #t "group: ~a~%" (user-group-name group))))
                (_ #f))
              (folded account-service-type))
    (make (program-file "activation" ((@@ (childhurd-service) activation) config)) "activation.scm")
    ;; As in guix-machines-files-installation of (gnu services base).
    (make (scheme-file "machines.scm"
                       #~((@ (srfi srfi-1) append-map)
                          (lambda (entry) (if (build-machine? entry) (list entry) entry))
                          (list #\$@(guix-configuration-build-machines (folded guix-service-type)))))
          "machines.scm")
    (format #t "package: ~a~%" (derivation-file-name (lower (childhurd-from-checkout))))
    (format #t "system: ~a~%" (derivation-file-name (run-with-store store (operating-system-derivation os))))
    (format #t "default: ~a~%"
            (derivation-file-name (lower (childhurd-configuration->ini (childhurd-configuration)))))))
SCM
is($g->{status}, 0, 'a system with the service is lowered') or diag $said;
note at 'lowered';
like($said, qr{^package: /gnu/store/\S+-childhurd-0\.1\.0\.drv$}m, 'the package of the checkout has a derivation');
like($said, qr{^system: /gnu/store/\S+-system\.drv$}m, '... and the whole system');
like($said, qr{^default: /gnu/store/\S+-childhurd\.ini\.drv$}m, '... and a configuration with Guix\' own image of the Hurd');

# --- childhurd.ini ---
my $ini = Childhurd::slurp("$dir/out/childhurd.ini");
is($ini =~ s{/gnu/store/[a-z0-9]{32}-}{STORE-}gr, <<'INI', 'childhurd.ini has what was configured');
[daemon]
parallel-starts = 1
[guest childhurd]
count = 2
id = 3
image = /var/lib/images/hurd.qcow2
memory-size = 4096M
cpus = 1
systems = i586-gnu
emulator = STORE-qemu/bin/qemu-system-x86_64
qemu-options = '-device' 'it'\''s here'
disk = persistent
offloading = yes
autostart = yes
features = big fast
speed = 0.5
probe-interval = 20s
clock = 2020-01-01
[guest amd64]
image = /var/lib/images/hurd64.qcow2
memory-size = 2048M
cpus = 1
machine = q35
systems = x86_64-gnu
emulator = STORE-other/bin/qemu-system-x86_64
disk = ephemeral
offloading = no
architecture = x86_64
distribution = guix
inject = secret-service
warm-start = auto
idle-timeout = 1200s
autostart = asleep

INI
my $checked = `$Childhurd::BUILD/childhurdd --check --config $dir/out/childhurd.ini 2>&1`;
like($checked, qr{^ok +$dir/out/childhurd\.ini: 3 guests$}m, '... and childhurdd has nothing against it') or diag $checked;
my %known = map { $_ => 1 } Childhurd::slurp('config/keys.c') =~ /^\t\{"([a-z-]+)", KEY_/mg;
my ($table) = Childhurd::slurp('service/guile/childhurd-service.scm') =~ /\(define %daemon-keys(.*?)\n\(define \(section/s;
my @keys = ($table // '') =~ /^ *[`(]*\("([a-z-]+)" ,/mg;
cmp_ok(scalar @keys, '>', 20, 'the table of fields has keys');
is_deeply([ grep { !$known{$_} } @keys ], [], '... all of which childhurdd knows');

# --- accounts ---
like($said, qr/^user: childhurd childhurd \(kvm\) #t$/m, 'a system user childhurd in the group kvm') or diag $said;
is_deeply([ sort $said =~ /^group: (\S+)$/mg ], [qw(childhurd childhurd-admin)], '... and the two groups');

# --- shepherd ---
my $waits = '(user-processes loopback networking)';
like($said, qr/^shepherd: \(childhurdd\) requires \Q$waits\E, starts by itself$/m, 'a service childhurdd');
like($said, qr/^shepherd: \(childhurd hurd-vm\) requires \Q$waits\E, starts by itself$/m, '... and childhurd, alias hurd-vm');
like($said, qr/^shepherd: \(childhurd1\) requires \(\), waits$/m, '... and one of a single guest');
for my $name (qw(childhurdd childhurd childhurd1)) {
    # As Guix compiles and shepherd loads it; the module is in the store only when it is built.
    Childhurd::spew("$dir/load.scm", <<"SCM");
(use-modules (system base compile) (shepherd service))
(let ((env (make-fresh-user-module)))
  (module-use! env (resolve-interface '(shepherd service)))
  (compile-file "$dir/out/$name.scm" #:output-file "$dir/out/$name.go" #:env env)
  (set-current-module env)
  (write (service-provision (load-compiled "$dir/out/$name.go"))))
SCM
    my $provides = $g->run(60, qw(guile --no-auto-compile -L), "$dir/checkout/service/guile", "$dir/load.scm");
    like($provides, qr/^\($name(?: hurd-vm)?\)$/m, "shepherd takes the file of $name") or diag $provides;
}
note at 'the shepherd files are loaded';

# --- activation ---
mkdir "$g->{root}/etc/childhurd";
Childhurd::spew("$g->{root}/etc/childhurd/childhurd.ini", "somebody's own\n");
for my $time ('first', 'second') {
    $said = $g->run(60, qw(guile --no-auto-compile), "$dir/out/activation.scm");
    is($g->{status}, 0, "the $time activation") or diag $said;
}
like(readlink("$g->{root}/etc/childhurd/childhurd.ini"), qr{^/gnu/store/\S+-childhurd\.ini$}, 'puts the configuration in its place');
is(Childhurd::slurp("$g->{root}/etc/childhurd/childhurd.ini.bak"), "somebody's own\n", '... and keeps what was there');
is(sprintf('%o', (stat "$g->{root}/etc/childhurd/secrets")[2] & 07777), '700', '... and closes the folder of secrets');
is(sprintf('%o', (stat "$g->{root}/var/lib/childhurd")[2] & 07777), '755', '... and makes the state directory');

# --- build machines, as guix offload reads them ---
sub machines {
    return scheme(60, <<"SCM");
(use-modules (guix scripts offload))
(for-each (lambda (machine) (format #t "~a:~a~%" (build-machine-name machine) (build-machine-port machine)))
          ((@@ (guix scripts offload) build-machines) "$dir/out/machines.scm"))
SCM
}
is(machines(), '', 'before anything is published there is no build machine');
is($g->{status}, 0, '... and no error');
mkdir "$g->{root}/run/childhurd";
Childhurd::spew("$g->{root}/run/childhurd/machines.scm", <<'SCM');
(list (build-machine (name "127.0.0.1") (port 13022) (systems (list "i586-gnu")) (user "offloading")
                     (host-key "ssh-ed25519 AAAA") (private-key "/k")))
SCM
is(machines(), "127.0.0.1:13022\n", 'then Guix has what childhurdd publishes');

# --- what the guide tells to write ---
$said = $g->run(10, 'sh', '-exc', join '', "cd $dir\n", Guide::commands('image'), Guide::commands('guix-system'));
is($g->{status}, 0, 'the guide\'s files are written') or diag $said;
$said = scheme(120, <<"SCM");
(use-modules (gnu) (gnu image) (gnu services) (gnu services shepherd) (childhurd-service) (srfi srfi-1))
(define hurd (primitive-load "$dir/hurd-image.scm"))
(format #t "image: ~a~%" (and (image? hurd) (image-format hurd)))
(define os (primitive-load "$dir/config.scm"))
(define services
  (service-value (fold-services (operating-system-services os) #:target-type shepherd-root-service-type)))
(format #t "services: ~a~%"
        (filter (lambda (name) (string-prefix? "childhurd" (symbol->string name)))
                (append-map shepherd-service-provision (shepherd-configuration-services services))))
SCM
is($g->{status}, 0, '... and Guix reads them') or diag $said;
like($said, qr/^image: compressed-qcow2$/m, '... an image of the Hurd');
like($said, qr/^services: \(childhurdd childhurd\)$/m, "... a system with the services");
note at 'the guide is read';

# --- mistakes ---
my @mistakes = (
    ['(memory-size "2G")',            qr/memory-size: "2G" is not a whole number above 0/],
    ['(count 0)',                     qr/count: 0 is not a whole number above 0/],
    ['(id -1)',                       qr/id: -1 is not #f or a whole number from 0/],
    ['(offloading? \'yes)',           qr/offloading\?: yes is not #t or #f/],
    ['(autostart? \'later)',          qr/autostart\?: later is not #t, #f or 'asleep/],
    ['(idle-timeout 0)',              qr/idle-timeout: 0 is not #f or a whole number above 0/],
    ['(type \'raw)',                  qr/type: raw is not hurd-qcow2 or hurd64-qcow2/],
    ['(disk "ephemeral")',            qr/disk: "ephemeral" is not ephemeral or persistent/],
    ['(options \'("--snapshot"))',    qr/options: --snapshot has no place here/],
    ['(name "a]\n[guest b")',         qr/name: .* is not a guest's name/s],
    ['(probe-command "true ; false")', qr/probe-command: .* without a semicolon after a space/],
    ['(image "/i\nclock = now")',      qr/image: .* is not a string of one line/s],
    ['(net-options \'())',            qr/extraneous field initializers \(net-options\)/],
    ['(secret-root "/etc/childhurd")', qr/extraneous field initializers \(secret-root\)/],
    ['(image "/i") (guests (list (childhurd-configuration (image "/i"))))', qr/two guests have the name childhurd/],
    ['(image "/i") (guests (list (childhurd-configuration (image "/i") (name "b") (host-name "h"))))',
        qr/b: guests, guest-services, parallel-starts and host-name concern the daemon/],
);
my $tries = join "\n", map { my $t = $_->[0] =~ s/([\\"])/\\$1/gr; "  \"$t\"" } @mistakes;
$said = scheme(120, <<"SCM");
(use-modules (childhurd-service) (guix diagnostics) (guix ui))
(define module (resolve-module '(childhurd-service)))
(for-each (lambda (text)
            (format #t "try: ~a~%"
                    (catch #t
                      (lambda ()
                        (childhurd-configuration->ini
                         (eval (call-with-input-string (string-append "(childhurd-configuration " text ")") read) module))
                        "accepted")
                      (lambda (key . args)
                        (if (and (pair? args) (formatted-message? (car args)))
                            (apply format #f (formatted-message-string (car args)) (formatted-message-arguments (car args)))
                            (format #f "~s" args))))))
          '(
$tries
))
SCM
is($g->{status}, 0, 'mistakes are refused one by one') or diag $said;
my @answers = split /^try: /m, $said;
shift @answers;
is(scalar @answers, scalar @mistakes, '... with an answer each') or diag $said;
like($answers[$_] // '', $mistakes[$_][1], "... $mistakes[$_][0]") for 0 .. $#mistakes;
note at 'mistakes are told';

# What a person sees.
Childhurd::spew("$dir/wrong.scm", Childhurd::slurp("$dir/os.scm") =~ s/\(memory-size 4096\)/(memory-size 'much)/r);
$said = $g->run(120, qw(guix system build -d --no-grafts -L), "$dir/checkout/service/guile", "$dir/wrong.scm");
is($g->{status}, 1, 'guix system with a mistake fails');
like($said, qr/error: childhurd-configuration: memory-size: much is not a whole number above 0/, '... and says which') or diag $said;

# --- installed, without the sources ---
my $installed = `make -s B=$Childhurd::BUILD DESTDIR=$dir/installed PREFIX=/usr install 2>&1`;
is($?, 0, 'make install') or diag $installed;
$said = scheme(60, <<'SCM', "$dir/installed/usr/share/childhurd/guile");
(use-modules (childhurd-service) (guix packages) (guix diagnostics))
(catch #t
  (lambda () (childhurd-from-checkout))
  (lambda (key message) (apply format #t (formatted-message-string message) (formatted-message-arguments message))))
SCM
like($said, qr/is not in a checkout of childhurd.*give the field 'childhurd' a package/, 'without the sources it is said what to do')
    or diag $said;
note at 'the end';
done_testing;
