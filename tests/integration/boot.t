# SPDX-License-Identifier: GPL-3.0-or-later
# The main job, with real guests, as root: two childhurds from one section, ready, published, stopped, started again;
# the daemon killed and ended under them.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

my $image = Childhurd::need_image('linux');

my $id = Childhurd::free_id(2);
my $d = Childhurd->new(warm => 1, guests => <<"INI");
[guest childhurd]
count = 2
id = $id
image = $image
memory-size = 256M
INI
$d->start;

# --- until both are ready ---
like($d->ctl('list'), qr/childhurd1.*\n.*childhurd2/, 'both are listed at once');
ok($d->wait_until(60, 'a placeholder is published', sub { $d->machines =~ /build-machine/ }),
    'while they come up the list of machines is not empty');
unlike($d->machines, qr/\(port ${\ (10022 + 1000 * $id)}\)/, 'but lists none that is not ready');
$d->ctl('wait', 'childhurd*', '--for', 'ready', '--timeout', '120s');
is($d->{status}, 0, 'both become ready');
my $list = $d->ctl('list');
like($list, qr/childhurd$_\s+ready/, "list shows childhurd$_ ready") for 1, 2;
for my $n (1, 2) {
    my $port = 10022 + 1000 * ($id + $n - 1);
    like($d->machines, qr/\(port $port\)/, "machines.scm lists childhurd$n");
    is((stat "$d->{runtime}/machines.scm")[2] & 0777, 0644, 'everybody may read it') if $n == 1;
    like($d->ssh("childhurd$n", 'uname', '-a'), qr/Linux/, "strict ssh to childhurd$n runs a command");
    is($d->{status}, 0, '... and succeeds');
    ok(Childhurd::port_free(11004 + 1000 * ($id + $n - 1)), "the secrets port of childhurd$n is closed again");
}
like($d->ctl('ssh', 'childhurd1', 'id', '-u'), qr/^0$/m, 'childhurdctl ssh is the administrator');
isnt(Childhurd::slurp("$d->{state}/childhurd1/secrets/etc/ssh/ssh_host_ed25519_key"),
    Childhurd::slurp("$d->{state}/childhurd2/secrets/etc/ssh/ssh_host_ed25519_key"), 'each has its own host key');
is((stat "$d->{state}/childhurd1")[2] & 0767, 0700, 'the folder of a guest is closed to others');
is((stat "$d->{state}/childhurd1/offload_key")[2] & 0777, 0600, 'so is its key');
like($d->ctl('log', 'childhurd1'), qr/guest: ready/, 'log shows the console');
like($d->ctl('events'), qr/childhurd2.*ready/, 'events tell what happened');
like($d->ctl('machines'), qr/childhurd1/, 'machines tells what is published');
like($d->ctl('status', 'childhurd1'), qr/ready/, 'status tells all that is known');

# --- the daemon dies: nothing happens to the guests ---
my %qemu = map { $_ => $d->qemu($_) } qw(childhurd1 childhurd2);
ok($qemu{childhurd1} && $qemu{childhurd2}, 'their QEMUs are known');
my $session = $d->spawn("$d->{dir}/session", 'ssh', '-n', '-F', "$d->{runtime}/ssh_config", '-o', 'BatchMode=yes', 'childhurd1',
    'echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo survived');
ok($d->wait_until(60, 'a session', sub { Childhurd::slurp("$d->{dir}/session") =~ /begun/ }), 'somebody has a session into a guest');
$d->end('KILL');
$d->start;
$d->ctl('wait', 'childhurd*', '--for', 'ready', '--timeout', '60s');
is($d->{status}, 0, 'after SIGKILL of the daemon both are ready again');
$d->ctl('ssh', 'childhurd1', 'touch', '/tmp/go');
waitpid $session, 0;
is(Childhurd::slurp("$d->{dir}/session"), "begun\nsurvived\n", 'the session went on all the time');
is($d->qemu($_), $qemu{$_}, "$_ runs in the same QEMU") for sort keys %qemu;
is(scalar($d->all_qemus), 2, 'and there is no other');
is($d->end('TERM') >> 8, 0, 'SIGTERM ends the daemon with status 0');
is(scalar($d->all_qemus), 2, 'and leaves the guests running');
$d->start;

# --- a second daemon ---
{
    my $out = "$d->{dir}/second";
    my $pid = $d->spawn($out, "$Childhurd::BUILD/childhurdd", '--config', $d->{file});
    waitpid $pid, 0;
    is($? >> 8, 1, 'a second daemon on the same state directory exits with 1');
    like(Childhurd::slurp($out), qr/process $d->{pid}\b/, 'and says who has it');
}

# --- stop and start ---
$d->ctl('wait', 'childhurd*', '--for', 'ready', '--timeout', '60s');
my $port1 = 10022 + 1000 * $id;
my $watch = $d->spawn("$d->{dir}/events", "$Childhurd::BUILD/childhurdctl", '--socket', "$d->{runtime}/control", 'events', '-f', '--json');
$d->ssh('childhurd1', 'touch', '/var/lib/offloading/mark');
is($d->{status}, 0, 'a file is made in childhurd1');
$d->ctl('stop', 'childhurd1');
is($d->{status}, 0, 'stop is accepted');
unlike($d->machines, qr/\(port $port1\)/, 'it is off the list when stop returns');
$d->ctl('wait', 'childhurd1', '--for', 'stopped', '--timeout', '60s');
is($d->{status}, 0, 'it stops');
$d->said(qr/childhurd1: stopped/, 'which is logged');
unlike($d->log, qr/childhurd1: (?:halt over SSH|power button): /, 'by halt over SSH alone');
ok(!kill(0, $qemu{childhurd1}), 'its QEMU is gone');
like($d->ctl('log', 'childhurd1'), qr/halt|power|Power/i, 'its console says that it went down');
$d->ctl('start', 'childhurd1', '--wait', '--timeout', '120s');
is($d->{status}, 0, 'start --wait brings it back');
$d->ssh('childhurd1', 'test', '!', '-e', '/var/lib/offloading/mark');
is($d->{status}, 0, 'pristine: the file is gone');
like($d->machines, qr/\(port $port1\)/, 'and it is listed again');
kill 'TERM', $watch;
waitpid $watch, 0;
my @states = map { $_->{state} // () } grep { ($_->{guest} // '') eq 'childhurd1' }
    map { eval { decode_json($_) } // () } split /\n/, Childhurd::slurp("$d->{dir}/events");
like("@states", qr/stopping stopped starting restoring ready/, 'events -f told each state in its order');

# --- a killed QEMU comes back: one that this daemon started, so that it learns the status ---
my $old = $d->qemu('childhurd1');
kill 'KILL', $old;
$d->said(qr/childhurd1: backoff: QEMU was killed by signal 9/, 'a killed QEMU is noticed, and the log says what happened to it', 60);
$d->ctl('wait', 'childhurd1', '--for', 'ready', '--timeout', '120s');
is($d->{status}, 0, 'and the guest comes back');
cmp_ok($d->guests->{childhurd1}{restarts}, '>=', 1, 'the restart is counted');

# --- the daemon is restarted, and everything stopped in the next moment ---
$d->end('TERM');
$d->start;
$d->ctl('stop', '--all', '--wait', '--timeout', '60s');
is($d->{status}, 0, 'stop --all --wait');
is(scalar($d->all_qemus), 0, 'no QEMU is left');
unlike($d->log, qr/(?:halt over SSH|power button): /, 'each went down by halt over SSH alone');
done_testing;
