# SPDX-License-Identifier: GPL-3.0-or-later
# Keys of the configuration that show in a real guest, or in what is published.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use IO::Socket::INET;
use Test::More;

my $image = Childhurd::need_image('linux');

my $id          = Childhurd::free_id(2);
my $coordinator = $> == 0 ? 'nobody' : scalar getpwuid $>;
my $d           = Childhurd->new(
    default_machine => 1,
    daemon => "parallel-starts = 1\nhost-name = localhost\ncoordinator-user = $coordinator\n",
    guests => <<"INI")->start;
[defaults]
image = $image
memory-size = 200M
[guest kept]
id = $id
disk = persistent
disk-size = 300M
network = isolated
clock = 2020-02-29T12:00:00
probe-command = test "\$(cat /etc/hostname)" = childhurd
probe-interval = 500ms
systems = i586-gnu x86_64-gnu
features = big-memory
speed = 0.5
parallel-builds = 2
overload-threshold = 2.25
restart = always
[guest open]
id = ${\ ($id + 1)}
offloading = no
cpus = 2
INI
is(scalar(grep { $_ eq 'starting' } map { $_->{state} } values %{ $d->guests }), 2, 'both are to start');
ok($d->wait_until(60, 'the first boots', sub { $d->state('kept') eq 'booting' }), 'parallel-starts = 1: the first boots');
is($d->state('open'), 'starting', '... and the second waits for it');
like($d->ctl('status', 'open'), qr/waiting for a place/, '... and says so');
$d->ctl('wait', 'kept', 'open', '--for', 'ready', '--timeout', '180s');
is($d->{status}, 0, 'both become ready');

my $machines = $d->machines;
like($machines, qr/\(name "localhost"\)/, 'host-name');
like($machines, qr/\(systems \(list "i586-gnu" "x86_64-gnu"\)\)/, 'systems');
like($machines, qr/\(features \(list "big-memory"\)\)/, 'features');
like($machines, qr/\(speed 0\.5\)/, 'speed');
like($machines, qr/\(parallel-builds 2\)/, 'parallel-builds');
like($machines, qr/\(overload-threshold 2\.25\)/, 'overload-threshold');
unlike($machines, qr/11?\d{3}\)\s.*open/s, 'offloading = no is not listed');
is(() = $machines =~ /\(build-machine/g, 1, '... so there is one machine');

like($d->ctl('ssh', 'kept', 'date', '+%Y-%m'), qr/^2020-0[23]$/m, 'clock: the guest lives then');
like($d->ctl('ssh', 'kept', 'cat', '/proc/partitions'), qr/307200 (?:h|s)da$/m, 'disk-size');
like($d->ctl('ssh', 'open', 'cat', '/proc/cpuinfo'), qr/processor\s*: 1/, 'cpus')
  or diag $d->ctl('ssh', 'open', 'dmesg | grep -i -e smp -e cpu | head');
like($d->ctl('ssh', 'kept', 'grep', 'MemTotal', '/proc/meminfo'), qr/1[5-9]\d{4} kB/, 'memory-size');

# Out of the guest: the host's loopback is 10.0.2.2 for it.
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
my $port     = $listener->sockport;
my $try      = "busybox timeout 6 busybox nc 10.0.2.2 $port </dev/null >/dev/null 2>&1; echo \$?";
$d->ctl('ssh', 'open', $try);
my $reached = sub { my $r = ''; vec($r, fileno $listener, 1) = 1; return select($r, undef, undef, 0.2) };
ok($reached->(), 'network = user: the host can be reached');
$listener->accept->close;
$d->ctl('ssh', 'kept', $try);
ok(!$reached->(), 'network = isolated: it can not');

SKIP: {
    skip 'another coordinator-user takes root', 2 if $> != 0;
    my $key = "$d->{state}/kept/offload_key";
    my $out = "$d->{dir}/key";
    waitpid $d->spawn($out, 'setpriv', "--reuid=$coordinator", '--clear-groups', '--regid=nogroup', 'cat', $key), 0;
    like(Childhurd::slurp($out), qr/PRIVATE KEY/, 'coordinator-user can read the key');
    unlink $out;
    waitpid $d->spawn($out, 'setpriv', '--reuid=daemon', '--clear-groups', '--regid=daemon', 'cat', $key), 0;
    like(Childhurd::slurp($out), qr/Permission denied/, '... and nobody else');
}

# persistent, and restart = always
$d->ctl('ssh', 'kept', 'touch /var/lib/offloading/mark; sync');
my $qemu = $d->qemu('kept');
$d->ctl('ssh', 'kept', 'poweroff');
ok($d->wait_until(60, 'another QEMU', sub { my $now = $d->qemu('kept'); $now && $now != $qemu }),
    'restart = always: after a power off of its own it is started');
$d->ctl('wait', 'kept', '--for', 'ready', '--timeout', '120s');
$d->ctl('ssh', 'kept', 'test', '-e', '/var/lib/offloading/mark');
is($d->{status}, 0, 'disk = persistent: the file is still there');
$d->ctl('ssh', 'open', 'poweroff');
$d->ctl('wait', 'open', '--for', 'stopped', '--timeout', '60s');
is($d->{status}, 0, 'restart = on-failure: after a power off of its own it is stopped');

# a probe that fails takes it off the list; reset takes the disk away
$d->ctl('ssh', 'kept', 'echo other > /etc/hostname');
ok($d->wait_until(60, 'unresponsive', sub { $d->state('kept') eq 'unresponsive' }), 'probe-command: a failing probe is seen');
unlike($d->machines, qr/\(port ${\ (10022 + 1000 * $id)}\)/, '... and the guest is off the list');
like($d->ctl('status', 'kept'), qr/ended with status 1/, '... and status says why');
$d->ctl('reset', 'kept', '--now');
$d->end('KILL');
$d->start;
$d->ctl('wait', 'kept', '--for', 'ready', '--timeout', '120s');
is($d->{status}, 0, 'reset brings it back, also when the daemon is killed meanwhile');
$d->ctl('ssh', 'kept', 'test', '-e', '/var/lib/offloading/mark');
is($d->{status}, 1, '... pristine');
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
is(scalar($d->all_qemus), 0, 'no QEMU is left');
done_testing;
