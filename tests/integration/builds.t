# SPDX-License-Identifier: GPL-3.0-or-later
# Builds are not broken, and a guest without room gets none: slots as `guix offload` takes them, sessions where slots
# cannot be seen, and a store that fills up.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Test::More;

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my $port  = 10022 + 1000 * $id;
my $d     = Childhurd->new;
my $guix  = "$d->{dir}/guix";
mkdir $guix;
$d->{daemon} = "guix-state-directory = $guix\n";

sub configure {
    my ($more, $own) = @_;
    $own //= $id;
    $d->configure("[guest a]\nid = $own\nimage = $image\nmemory-size = 256M\nprobe-interval = 500ms\nparallel-builds = 2\n$more");
}
configure("disk = persistent\nstore-floor = 200M\n");
$d->start;
sub ready { return $d->wait_until(90, 'a is ready', sub { $d->state('a') eq 'ready' }) }
sub listed { return $d->machines =~ /\(port $port\)/ }
sub why { my $text = $d->ctl('status', 'a'); return $text }

sub take_slot { return Childhurd::take_slot("$guix/offload/127.0.0.1:$port", $_[0]) }
sub give_back { return Childhurd::give_back($_[0]) }
# A build, as soon as a slot is free: after a start the daemon frees them when it has published the guest, and on a busy machine
# one that was ready can be late with its next proof.
sub begin_build { return Childhurd::limited(60, 'a free slot', sub { take_slot(0) }) }

ok(ready(), 'a is ready');

# --- draining ---
my $build = begin_build();
is($d->guests->{a}{builds}, 1, '... and list tells of it');
$d->ctl('drain', 'a');
is($d->{status}, 0, 'its guest is drained');
ok(!listed(), '... and off the list');
ok(!take_slot(1), '... and its other slot is kept, from who has read the list before');
is($d->guests->{a}{builds}, 1, '... which counts as no build');
$d->ctl('drain', 'a', '--wait', '--timeout', '1s');
is($d->{status}, 4, 'drain --wait waits while the build runs');
give_back($build);
$d->ctl('drain', 'a', '--wait', '--timeout', '60s');
is($d->{status}, 0, '... until it has ended');
ok(!take_slot(0), '... and that slot is kept, too, when this is said');
kill 'KILL', $d->{pid};
waitpid $d->{pid}, 0;
$d->start;
ok($d->wait_until(60, 'drained again', sub { $d->state('a') eq 'draining' }), 'the next daemon goes on with that');
ok(!take_slot(0), '... and keeps the slots');
$d->ctl('undrain', 'a');
ok(listed(), 'undrained, it is on the list');
$build = begin_build();

# --- stopping and restarting ---
my $qemu = $d->qemu('a');
$d->ctl('restart', 'a');
is($d->state('a'), 'draining', 'a restart waits for the build');
ok(!take_slot(1), '... and lets no other come');
is($d->qemu('a'), $qemu, '... and touches nothing');
give_back($build);
ok($d->wait_until(60, 'another QEMU', sub { my $now = $d->qemu('a'); $now && $now != $qemu }), '... and is done when it has ended');
ok(ready(), 'a is ready again');
ok($d->wait_until(60, 'the slots are free', sub { my $b = take_slot(1) or return 0; give_back($b); 1 }), '... and its slots are free');

# --- a store that fills up: a file system in the guest's memory, and a `guix gc' that makes it larger ---
sub guest {
    my $said = $d->ctl('ssh', 'a', @_);
    is($d->{status}, 0, "in the guest: @_") or diag $said;
}
guest('mkdir -p /gnu/store && mount -t tmpfs -o size=400m store /gnu/store');
guest('echo "#!/bin/sh" > /usr/bin/guix; echo "echo \$@ >> /tmp/gc; sleep 1; mount -o remount,size=900m /gnu/store" >> /usr/bin/guix; chmod 755 /usr/bin/guix');
ok($d->wait_until(60, 'status has it', sub { why() =~ m{on /gnu/store} }), 'status has the room in the store');
guest('mount -o remount,size=150m /gnu/store');
$d->said(qr/a: its garbage is collected/, 'below the floor its garbage is collected', 60);
ok($d->wait_until(60, 'it is listed', \&listed), '... and then it is listed');
like($d->ctl('ssh', 'a', 'cat', '/tmp/gc'), qr/^gc --free-space=400MiB$/m, '... by guix gc, until twice as much is free');
ok($d->wait_until(60, 'enough room', sub { why() !~ /^  now/m }), '... and nothing is said of it any more') or diag why();

guest('printf "#!/bin/sh\necho no luck; exit 3\n" > /usr/bin/guix');
guest('mount -o remount,size=50m /gnu/store');
ok($d->wait_until(60, 'it is off the list', sub { !listed() }), 'with less than Guix wants, it is off the list');
like($d->machines, qr/\(port 1\)/, '... but builds wait for it');
$d->said(qr/a: its garbage is not collected: .*status 3: no luck/, '... and what went wrong is logged', 60);
ok($d->wait_until(60, 'status says why', sub { why() =~ /its store has 50 MiB free, and Guix wants 100 MiB/ }), '... and status says why') or diag why();
is($d->state('a'), 'ready', '... though it is ready');
guest('mount -o remount,size=400m /gnu/store');
ok($d->wait_until(60, 'it is listed', \&listed), 'with room again, it is on the list');

# --- another configuration when the next daemon begins ---
$qemu  = $d->qemu('a');
$build = begin_build();
$d->end;
configure("disk = persistent\nstore-floor = 200M\n[guest b]\nid = $id\nimage = $image\nmemory-size = 256M\n", $id + 1);
$d->start;
ok($d->wait_until(60, 'it is known', sub { $d->state('a') eq 'draining' }), 'a guest that got another port while no daemon ran is known at the old one');
like(why(), qr/draining: the configuration changed: id, ssh-port, secrets-port .*now +waiting for the running build to end/s, '... and waits for its build, as after a reload');
is($d->qemu('a'), $qemu, '... which goes on');
ok(!take_slot(1), '... and no other comes');
like($d->ctl('status', 'b'), qr/b: starting: .*now +waiting for a, which has its ports until it is restarted/s, '... and who has got that port waits for it');
give_back($build);
ok($d->wait_until(60, 'another QEMU', sub { my $now = $d->qemu('a'); $now && $now != $qemu }), '... and when it has ended, it is restarted');
ok($d->wait_until(60, 'the other one', sub { $d->qemu('b') }), '... and the other one starts');
$d->ctl('stop', 'b', '--now', '--wait', '--timeout', '60s');
$port += 1000;
ok(ready(), 'a is ready');
is($d->guests->{a}{port}, $port, '... at the new port');

$qemu  = $d->qemu('a');
$build = begin_build();
$d->end;
$d->configure("[guest b]\nid = $id\nimage = $image\nautostart = no\n");
$d->start;
$d->said(qr/a: runs, but is no longer configured; it is stopped, when no build runs/, 'a guest that is no longer configured is found', 60);
ok($d->wait_until(60, 'it is known', sub { $d->state('a') eq 'draining' }), '... and waits for its build');
is($d->qemu('a'), $qemu, '... which goes on');
unlike($d->machines, qr/\(port $port\)/, '... while it is off the list');
give_back($build);
$d->said(qr/a: gone, it is no longer configured/, '... and when it has ended, it is stopped', 60);
is(scalar $d->all_qemus, 0, '... for good');
unlike($d->log, qr/a: (?:halt over SSH|power button): /, '... and each time by halt over SSH alone');
$port -= 1000;

# --- slots that cannot be seen ---
$d->ctl('stop', 'a', '--now', '--wait', '--timeout', '60s');
$d->end;
$d->{daemon} = "guix-state-directory = /dev/null\n";
configure('');
$d->start;
$d->ctl('start', 'a', '--wait', '--timeout', '120s');
ok(ready(), 'a is ready');
is($d->guests->{a}{builds}, 0, 'our own sessions are no builds');
my $session = $d->spawn("$d->{dir}/session", 'ssh', '-F', "$d->{runtime}/ssh_config", '-o', 'BatchMode=yes', 'a', 'echo up; exec sleep 300');
ok($d->wait_until(60, 'the session is there', sub { Childhurd::slurp("$d->{dir}/session") =~ /up/ }), 'somebody has a session in it');
is($d->guests->{a}{builds}, 1, '... which may be a build');
$d->ctl('stop', 'a');
is($d->state('a'), 'draining', '... so a stop waits');
kill 'TERM', $session;
waitpid $session, 0;
$d->ctl('wait', 'a', '--for', 'stopped', '--timeout', '60s');
is($d->{status}, 0, '... until it has ended');
done_testing;
