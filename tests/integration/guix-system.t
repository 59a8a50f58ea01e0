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

my ($version) = Childhurd::slurp('Makefile') =~ /^VERSION := (\S+)$/m;

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
                             (id 3)
                             (memory-size 4096)
                             (options '("-device" "it's here"))
                             (disk 'persistent)
                             (speed 1/2)
                             (probe-interval 20)
                             (features '("big" "fast"))
                             (forwards '("8080 -> 80" "8081 -> 81"))
                             (ssh-port 2222)
                             (overlay-size (* 20 (expt 2 30)))
                             (restart "never")
                             (extra-content "clock = 2020-01-01")
                             (nodes (list (childhurd-node
                                           (name "build1")
                                           (ssh "farm@build1")
                                           (lost-after 60))))
                             (coordinators (list (childhurd-coordinator
                                                  (name "farm")
                                                  (ssh-key "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOsXGgJ8gVlvD7zrvTIDmzuBqS7ctvTzDlH5JTKtKyTp farm")
                                                  (signing-key (plain-file "farm.pub" "")))))
                             (parallel-starts 1)
                             (history (* 30 24 3600))
                             (guest-services '("childhurd1"))
                             (guests (list (childhurd-configuration
                                            (name "amd64-")
                                            (count 2)
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
like($said, qr{^package: /gnu/store/\S+-childhurd-\Q$version\E\.drv$}m, 'the package of the checkout has a derivation');
like($said, qr{^system: /gnu/store/\S+-system\.drv$}m, '... and the whole system');
like($said, qr{^default: /gnu/store/\S+-childhurd\.ini\.drv$}m, '... and a configuration with Guix\' own image of the Hurd');

# --- childhurd.ini ---
my $ini = Childhurd::slurp("$dir/out/childhurd.ini");
is($ini =~ s{/gnu/store/[a-z0-9]{32}-}{STORE-}gr, <<'INI', 'childhurd.ini has what was configured');
[daemon]
parallel-starts = 1
history = 2592000s
[guest childhurd]
id = 3
image = /var/lib/images/hurd.qcow2
disk-size = 21474836480
ssh-port = 2222
forward = 8080 -> 80
forward = 8081 -> 81
memory-size = 4096M
cpus = 1
systems = i586-gnu
emulator = STORE-qemu/bin/qemu-system-x86_64
qemu-options = '-device' 'it'\''s here'
disk = persistent
offloading = yes
autostart = yes
restart = never
features = big fast
speed = 0.5
probe-interval = 20s
clock = 2020-01-01
[guest amd64-]
count = 2
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

[node build1]
ssh = farm@build1
lost-after = 60s
[coordinator farm]
ssh-key = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOsXGgJ8gVlvD7zrvTIDmzuBqS7ctvTzDlH5JTKtKyTp farm
signing-key = STORE-farm.pub
INI
my $checked = `$Childhurd::BUILD/childhurdd --check --config $dir/out/childhurd.ini 2>&1`;
like($checked, qr{^ok +$dir/out/childhurd\.ini: 3 guests$}m, '... and childhurdd has nothing against it') or diag $checked;

# Each key has a field, or is named among those that have none.
my $tables = Childhurd::slurp('service/guile/childhurd-configuration.scm');

sub keys_of_table {
    my ($name) = @_;
    my ($table) = $tables =~ /^\(define %$name-keys\n(.*?\)\))\n\n/ms;
    return ($table // '') =~ /^ *(?:[`']?\()?\("([a-z-]+)" [,.]/mg;
}
my %scope = (D => 'daemon', G => 'guest', ONE => 'guest', KEY_GUEST_ONLY => 'guest', N => 'node', C => 'coordinator');
my %known;
my $keys = Childhurd::slurp('config/keys.c');
$known{ $scope{$2} }{$1} = 1 while $keys =~ /^\t\{"([a-z-]+)", KEY_\w+, (\w+)/mg;
my %absent = map { $_ => 1 } keys_of_table('absent');
cmp_ok(scalar keys %absent, '>', 5, 'keys without a field are named');
for my $scope (sort keys %known) {
    my %field = map { $_ => 1 } keys_of_table($scope);
    is_deeply([ grep { !$known{$scope}{$_} } sort keys %field ], [], "childhurdd knows each key that there is a field for in a $scope");
    is_deeply([ grep { !$field{$_} && !$absent{$_} } sort keys %{ $known{$scope} } ], [], '... and of all others it is said why there is none');
    is_deeply([ grep { $field{$_} } sort keys %absent ], [], '... which they have not');
}
is_deeply([ grep { my $key = $_; !grep { $_->{$key} } values %known } sort keys %absent ], [], 'there are no more of them than keys');

# Options of QEMU that childhurdd would refuse are refused here, too.
my ($c_table) = Childhurd::slurp('config/crosscheck.c') =~ /^\} said_by_keys\[\] = \{\n(.*?)^\};/ms;
my ($scm_table) = $tables =~ /^\(define %options-of-fields\n(.*?)\)\)\n\n/ms;
my @refused = sort(($scm_table // '') =~ /\("(-\w+[\w-]*)" \. /g, '-snapshot');
cmp_ok(scalar @refused, '>', 5, 'there is a table of such options');
is_deeply(\@refused, [ sort(($c_table // '') =~ /\{"(-[\w-]+)", /g) ], '... the same as in childhurdd');

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
    my $provides = $g->run(60, qw(guile --no-auto-compile -L), "$dir/checkout/service/shepherd", "$dir/load.scm");
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
    ['(options \'("--m" "4096"))',     qr/options: --m has no place here: use the field 'memory-size'/],
    ['(net-options \'())',            qr/has no field 'net-options': .* use the fields 'id', 'ssh-port' and 'forwards'.* 'network' and 'network-device'/],
    ['(secret-root "/etc/childhurd")', qr{has no field 'secret-root': each guest has a secret root of its own; .* /etc/childhurd/secrets/NAME}],
    ['(secret-directory "/etc")',     qr{has no field 'secret-directory': .* /etc/childhurd/secrets/NAME}],
    ['(machine "q35")',               qr/has no field 'machine': use the field 'type'/],
    ['(inherit (childhurd-configuration)) (autostart #t)', qr/has no field 'autostart': use the field 'autostart\?'/],
    ['(surprise 1)',                  qr/extraneous field initializers \(surprise\)/],
    ['(inherit (@ (childhurd-test) hurd-vm))', qr/a hurd-vm-configuration is given .* os, qemu, .* mean the same; leave out net-options \(see id, .* secret-root/],
    ['(guests (list (@ (childhurd-test) hurd-vm)))', qr/a hurd-vm-configuration is given/],
    ['(guests (list 3))',             qr/childhurd: 3 is given where a childhurd-configuration belongs/],
    ['(image "/i") (disk-size 100)',  qr/childhurd: disk-size: 100 is the size of an image that is made from 'os'.* use 'overlay-size'/],
    ['(image "/i") (guests (list (childhurd-configuration (name "b") (image "/i"))))', qr/accepted/],
    ['(disk-size 3000000000)',        qr/accepted/],
    ['(image ((@@ (childhurd-configuration) default-image) (childhurd-configuration))) (disk-size 3000000000)', qr/childhurd: disk-size: 3000000000 is/],
    ['(image "/i") (guests (list (childhurd-configuration (image "/i"))))', qr/two guests have the name childhurd: give one/],
    ['(image "/i") (count 2) (guests (list (childhurd-configuration (name "childhurd2") (image "/i"))))', qr/two guests have the name childhurd2/],
    ['(image "/i") (id 4) (guests (list (childhurd-configuration (name "b") (image "/i") (id 4))))', qr/id: childhurd and b both have the id 4.* another 'id'/],
    ['(image "/i") (count 3) (id 2) (guests (list (childhurd-configuration (name "b") (image "/i"))))', qr/id: childhurd2 and b both have the id 3/],
    ['(image "/i") (count 3) (ssh-port 2222)', qr/childhurd: ssh-port: 2222 cannot be that of 3 guests/],
    ['(image "/i") (count 2) (forwards (list "8080 -> 80"))', qr/childhurd: forwards: .* cannot be that of 2 guests/],
    ['(image "/i") (guests (list (childhurd-configuration (image "/i") (name "b") (host-name "h"))))',
        qr/b: guests, guest-services, nodes, coordinators, parallel-starts, host-name, history and metrics-file concern the daemon/],
    ['(image "/i") (guests (list (childhurd-configuration (image "/i") (name "b") (nodes (list (childhurd-node (name "n") (ssh "a@b")))))))',
        qr/b: guests, .* concern the daemon/],
    ['(nodes (list (childhurd-node (name "n") (ssh 22))))', qr/childhurd-node: ssh: 22 is not a string of one line/],
    ['(nodes (list (childhurd-node (name "n"))))', qr/missing field initializers \(ssh\)/],
    ['(coordinators (list (childhurd-coordinator (name "n]") (ssh-key "k"))))', qr/childhurd-coordinator: name: "n\]" is not a guest's name/],
    ['(coordinators \'(farm))',       qr/coordinators: \(farm\) is not a list of childhurd-coordinators/],
);
my $tries = join "\n", map { my $t = $_->[0] =~ s/([\\"])/\\$1/gr; "  \"$t\"" } @mistakes;
$said = scheme(120, <<"SCM");
(define-module (childhurd-test) #:use-module (gnu services virtualization))
(define-public hurd-vm (hurd-vm-configuration))
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
sub seen {
    my ($wrong, $right) = @_;
    my $os = Childhurd::slurp("$dir/os.scm");
    $os =~ s/$wrong/$right/ or die "$wrong is not in os.scm";
    Childhurd::spew("$dir/wrong.scm", $os);
    $said = $g->run(120, qw(guix system build -d --no-grafts -L), "$dir/checkout/service/guile", "$dir/wrong.scm");
    is($g->{status}, 1, "guix system with $right fails");
    return $said;
}
like(seen(qr/\(memory-size 4096\)/, "(memory-size 'much)"),
    qr/error: childhurd-configuration: memory-size: much is not a whole number above 0/, '... and says which');
like(seen(qr/\(memory-size 4096\)/, "(net-options '())"),
    qr/wrong\.scm:\d+:\d+: error: \(net-options .*: childhurd-configuration has no field 'net-options': .* use the fields 'id'/, '... with its place and a remedy');
like(seen(qr/\(service childhurd-service-type.*\n(?= *%base)/s, "(service childhurd-service-type\n((\@ (gnu services virtualization) hurd-vm-configuration)))\n"),
    qr/error: childhurd: a hurd-vm-configuration is given where a childhurd-configuration belongs/, '... and what to write instead');

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
