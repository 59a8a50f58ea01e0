# SPDX-License-Identifier: GPL-3.0-or-later
# Guests that sleep: no QEMU, published, the first connection wakes them, is held until they answer, and outlives the daemon. An
# ephemeral guest is let go, a persistent one is saved and goes on where it was.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my ($port, $other) = map { 10022 + 1000 * $_ } $id, $id + 1;
my $d = Childhurd->new(warm => 1, guests => '');
my $limit = Childhurd::seconds(120) . 's';

sub configure {
    my ($idle) = @_;
    $d->configure(<<"INI");
[defaults]
image = $image
memory-size = 256M
acceleration = tcg
autostart = asleep
$idle
[guest a]
id = $id
[guest p]
id = ${\ ($id + 1)}
disk = persistent
INI
}

sub in_state {
    my ($name, $state, $what) = @_;
    $d->ctl('wait', $name, '--for', $state, '--timeout', $limit);
    is($d->{status}, 0, $what) or diag substr $d->log, -3000;
}

sub call { return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$_[0]", Timeout => 5) }

# The first bytes that an open connection brings, within s; '': it was closed.
sub heard {
    my ($socket, $seconds) = @_;
    my $set = '';
    vec($set, fileno $socket, 1) = 1;
    return undef if !select $set, undef, undef, $seconds;
    sysread $socket, my $text, 256;
    return $text // '';
}

# --- without a warm state ---
configure("idle-timeout = 1h\n");
$d->start;
is($d->state($_), 'asleep', "$_ sleeps from the beginning") for qw(a p);
is(scalar($d->all_qemus), 0, 'and has no QEMU');
ok($d->wait_until(20, 'it is published', sub { $d->machines =~ /\(port $port\)/ }), 'it is listed at its own port');
{
    my ($speed) = $d->machines =~ /\(port $port\).*?\(speed ([\d.]+)\)/s;
    cmp_ok($speed, '<', 1, 'with a little less speed than one that is awake');
    my $begun = time;
    my $caller = call($port);
    is(heard($caller, 10), '', 'who connects while it would have to boot is refused');
    cmp_ok(time - $begun, '<', Childhurd::seconds(5), '... at once');
}
in_state('a', 'ready', 'and it boots in the background');
$d->said(qr/ a: its warm state is saved/, 'its state is saved');

# --- with one ---
$d->ctl('sleep', 'a');
is($d->{status}, 0, 'sleep');
in_state('a', 'asleep', 'it falls asleep');
is(scalar($d->all_qemus), 0, 'its QEMU is gone');
like($d->machines, qr/\(port $port\)/, 'it is still listed');
{
    my $begun = time;
    my @callers = (call($port), call($port));
    like(heard($_, 60) // 'nothing', qr/^SSH-2\.0-/, 'a connection is held until it answers') for @callers;
    note(sprintf 'first byte after %.2f s', time - $begun);
    is($d->state('a'), 'ready', 'it is ready then');
}
$d->said(qr/ a: starting: somebody connected to it.*\n.* a: restoring/, 'it was woken, from its warm state');

# --- a session that woke it outlives the daemon ---
$d->ctl('sleep', 'a');
in_state('a', 'asleep', 'it sleeps again');
my $session = $d->spawn("$d->{dir}/session", 'ssh', '-n', '-F', "$d->{runtime}/ssh_config", '-o', 'BatchMode=yes', 'a',
    'echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; head -c 3000000 /dev/zero | od -An | wc -c; echo survived');
ok($d->wait_until(60, 'a session', sub { Childhurd::slurp("$d->{dir}/session") =~ /begun/ }), 'ssh wakes it');
my $qemu = $d->qemu('a');
$d->end('KILL');
$d->start;
in_state('a', 'ready', 'the daemon is killed, and the next one takes it over');
$d->ctl('ssh', 'a', 'touch', '/tmp/go');
waitpid $session, 0;
like(Childhurd::slurp("$d->{dir}/session"), qr/^begun\n\d+\nsurvived\n$/, 'the session went on all the time');
is($d->qemu('a'), $qemu, 'in the same QEMU');

# --- a daemon that is killed while all sleep ---
$d->ctl('sleep', 'a');
in_state('a', 'asleep', 'it sleeps');
$d->end('KILL');
ok(Childhurd::port_free($port), 'without a daemon nobody has its port');
$d->start;
is($d->state('a'), 'asleep', 'the next daemon lets it sleep');
like($d->ssh('a', 'uname'), qr/Linux/, 'and it is woken');
$d->ctl('sleep', 'a');
in_state('a', 'asleep', 'it sleeps');

# --- whoever does not wait ---
close call($port);
in_state('a', 'ready', 'a port scanner wakes it');
$d->ctl('sleep', 'a');
in_state('a', 'asleep', 'it sleeps');
my $woken = () = $d->log =~ / a: starting: somebody connected/g;
close call($port);
like(heard(call($port), 60) // 'nothing', qr/^SSH-2\.0-/, 'who waits is heard even after that');
is(scalar(() = $d->log =~ / a: starting: somebody connected/g), $woken + 1, 'but the scanner does not wake it again and again');
$d->ctl('sleep', 'a');
in_state('a', 'asleep', 'it sleeps');
$d->ctl('start', 'a', '--wait', '--timeout', $limit);
is($d->{status}, 0, 'start wakes it');
$d->ctl('stop', 'a', '--wait', '--timeout', $limit);
is($d->state('a'), 'stopped', 'stop is not sleep');
ok(Childhurd::port_free($port), 'a stopped guest has no port');

# --- a persistent one ---
$d->ctl('start', 'p', '--wait', '--timeout', $limit);
is($d->{status}, 0, 'a persistent guest boots');
unlike($d->log, qr/ p: its warm state is saved/, 'its state is not saved');
$d->ctl('ssh', 'p', 'mkdir /memory && mount -t tmpfs none /memory && echo memory > /memory/file && echo disk > /file && sync');
is($d->{status}, 0, 'something is in its memory, and on its disk');
$d->ctl('sleep', 'p');
in_state('p', 'asleep', 'it falls asleep');
$d->said(qr/ p: its warm state is saved/, 'its state is saved then');
ok(-e "$d->{state}/p/disk.warm", 'there it is');
is($d->ssh('p', 'cat /memory/file /file'), "memory\ndisk\n", 'woken, it goes on where it was');
ok(!-e "$d->{state}/p/disk.warm", 'the state is used up');
$d->ctl('ssh', 'p', 'echo later > /later && sync');
kill 'KILL', $d->qemu('p');
ok($d->wait_until(60, 'the end is seen', sub { $d->state('p') ne 'ready' }), 'its QEMU is killed');
in_state('p', 'ready', 'it comes back');
like($d->ssh('p', 'cat /file /later; test -e /memory/file || echo booted'), qr/disk\nlater\nbooted/, 'by a boot, and what it has synced is there');

# --- idle ---
configure("idle-timeout = 3s\n");
$d->ctl('reload');
is($d->{status}, 0, 'idle-timeout');
my $busy = $d->spawn("$d->{dir}/busy", 'ssh', '-n', '-F', "$d->{runtime}/ssh_config", '-o', 'BatchMode=yes', 'p',
    'echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done');
$d->ctl('start', 'a', '--wait', '--timeout', $limit);
in_state('a', 'asleep', 'nobody uses it, so it falls asleep');
is($d->state('p'), 'ready', 'one with a session stays awake');
$d->ctl('ssh', 'p', 'touch', '/tmp/go');
waitpid $busy, 0;
in_state('p', 'asleep', 'until it ends');
$d->ctl('stop', '--all', '--wait', '--timeout', $limit);
is(scalar($d->all_qemus), 0, 'no QEMU is left');
done_testing;
