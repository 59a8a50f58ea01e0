# SPDX-License-Identifier: GPL-3.0-or-later
# Guests that were ready and do not answer any more: off the list at once, judged by what is seen of them, and what was
# seen is kept.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Test::More;

my $image = Childhurd::need_image('linux');

my $id = Childhurd::free_id(1);
my $d  = Childhurd->new(guests => <<"INI")->start;
[guest a]
id = $id
image = $image
memory-size = 256M
probe-interval = 500ms
hang-timeout = 15s
INI
sub ready { return $d->wait_until(90, 'a is ready', sub { $d->state('a') eq 'ready' }) }
sub is_state {
    my ($state, $limit, $what) = @_;
    ok($d->wait_until($limit, "a is $state", sub { $d->state('a') eq $state }), $what);
}

ok(ready(), 'a is ready');
like($d->ctl('status', 'a'), qr{^  free +[\d.]+[MG] on /$}m, 'status has the free disk');

# --- a QEMU that is stopped ---
my $qemu = $d->qemu('a');
kill 'STOP', $qemu;
is_state('unresponsive', 60, 'a QEMU that somebody stopped is noticed before any limit of SSH');
my $port = 10022 + 1000 * $id;
unlike($d->machines, qr/\(port $port\)/, 'its guest is off the list');
like($d->ctl('status', 'a'), qr/QEMU is stopped by a signal; kill -CONT $qemu/, 'status says what to do');
kill 'CONT', $qemu;
is_state('ready', 100, 'continued, it is ready again');
like($d->machines, qr/\(port $port\)/, 'and on the list');
is($d->qemu('a'), $qemu, 'and was not restarted');
ok(!-e "$d->{state}/a/failure.txt", 'no failure was kept');

kill 'STOP', $qemu;
ok($d->wait_until(100, 'another QEMU runs', sub { my $now = $d->qemu('a'); $now && $now != $qemu }), 'left stopped, it is restarted');
my $kept = Childhurd::slurp("$d->{state}/a/failure.txt");
like($kept, qr/^Why: unresponsive: no success within its limit.*stopped by a signal/m, 'failure.txt says what was seen');
like($kept, qr/^\| guest: ready$/m, 'and has the console');
ok(!-e "$d->{state}/a/failure.png", 'there is no picture of a QEMU that could not draw');
like($d->ctl('status', 'a'), qr{failure +the last one is in \Q$d->{state}\E/a/failure.txt}, 'status names it');

# --- an sshd that takes no new login ---
ok(ready(), 'a is ready again');
$qemu = $d->qemu('a');
$d->ctl('ssh', 'a', 'kill -STOP $(cat /run/sshd.pid)');
is_state('unresponsive', 100, 'an sshd that takes no new login is noticed though the old session lives on');
ok($d->wait_until(100, 'another QEMU runs', sub { my $now = $d->qemu('a'); $now && $now != $qemu }), 'its guest is restarted');
is(substr(Childhurd::slurp("$d->{state}/a/failure.png"), 1, 3), 'PNG', 'the screen was kept');
like(Childhurd::slurp("$d->{state}/a/failure.txt"), qr{^Its screen: \S+/a/failure.png$}m, 'failure.txt says where');
ok(ready(), 'and is ready again');
like($d->ctl('list'), qr/^a +ready\b.* 2 +\S/m, 'list counts the restarts');
done_testing;
