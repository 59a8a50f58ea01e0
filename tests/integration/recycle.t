# SPDX-License-Identifier: GPL-3.0-or-later
# recycle-after: between a build and the pristine guest no other build can have the slot, however hard it tries, also if the daemon is
# killed meanwhile; and a slot that is only taken costs nothing.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use JSON::PP ();
use Test::More;

my $image   = Childhurd::need_image('linux');
my $id      = Childhurd::free_id(1);
my $port    = 10022 + 1000 * $id;
my $d       = Childhurd->new(warm => 1, guests => '');
my $machine = "$d->{dir}/guix/offload/127.0.0.1:$port";
mkdir "$d->{dir}/guix";
$d->{daemon} = "guix-state-directory = $d->{dir}/guix\n";
$d->configure("[guest a]\nid = $id\nimage = $image\nmemory-size = 256M\nacceleration = tcg\nrecycle-after = 1\n");
$d->start;
sub ready { return $d->wait_until(120, 'a is ready', sub { $d->state('a') eq 'ready' }) }
sub restores { my $n = () = $d->log =~ / a: ready: from its warm state/g; return $n }
sub guarded { return -e "$machine/.0.build" }

# When was it made pristine last? Seconds since 1970.
sub restored {
    my @events = map { JSON::PP::decode_json($_) } split /\n/, $d->ctl('events', 'a', '--json');
    my @times = map { $_->{time} } grep { ($_->{text} // '') =~ /^from its warm state/ } @events;
    return $times[-1];
}

# Tries to take the slot all the time, says so when it has it and since when, and keeps it until it is ended.
my $rival = <<'PERL';
use Fcntl qw(:DEFAULT F_SETLK F_WRLCK SEEK_SET);
use Time::HiRes qw(time);
my $file;
for (;;) {
    my $lock = pack 's s x4 q q i x4', F_WRLCK, SEEK_SET, 0, 0, 0;
    sysopen $file, $ARGV[0], O_WRONLY | O_CREAT | O_TRUNC or die;
    last if fcntl $file, F_SETLK, $lock;
}
syswrite STDOUT, sprintf "got at %.6f\n", time;
sleep;
PERL
sub rival_has { return Childhurd::slurp("$d->{dir}/rival") =~ /^got at (\S+)\n/ && $1 }

ok(ready(), 'a is ready');
my $build = Childhurd::take_slot($machine, 0);
ok($build, 'a build begins');
ok($d->wait_until(10, 'it is guarded', \&guarded), '... and its slot is guarded');
my $session = $d->spawn("$d->{dir}/session", 'ssh', '-F', "$d->{runtime}/ssh_config", '-o', 'BatchMode=yes', 'a', 'touch /tmp/mark; echo up; exec sleep 300');
ok($d->wait_until(60, 'the session is there', sub { Childhurd::slurp("$d->{dir}/session") =~ /up/ }), '... and logs in');
is($d->guests->{a}{builds}, 1, 'it is one build');
$d->end;
ok(!guarded(), 'without a daemon the slot is as ever');
$d->start;
ok($d->wait_until(10, 'it is guarded', \&guarded), 'the next daemon guards it');
kill 'KILL', $d->{pid};
waitpid $d->{pid}, 0;
ok(guarded(), 'a daemon that is killed leaves it guarded');
$d->start;
ok($d->wait_until(10, 'the build', sub { $d->guests->{a}{builds} == 1 }), '... and the next one knows the build');
# from its first look on
ok($d->wait_until(10, 'it is guarded', sub { my $b = Childhurd::take_slot($machine, 0) or return 1; Childhurd::give_back($b); 0 }), '... and guards its slot');
my $pid = $d->spawn("$d->{dir}/rival", 'perl', '-e', $rival, "$machine/0");
ok(ready(), 'a is ready for that daemon');
my $before = restores();
kill 'TERM', $session;
waitpid $session, 0;
Childhurd::give_back($build);
ok($d->wait_until(120, 'the rival has it', \&rival_has), 'another build has the slot in the end');
ok($d->wait_until(60, 'the log', sub { restores() > $before }), '... of a guest that was made pristine');
cmp_ok(restored(), '<', rival_has(), '... before') or diag $d->log;
is(restores(), $before + 1, '... once');
$d->ctl('ssh', 'a', 'test', '!', '-e', '/tmp/mark');
is($d->{status}, 0, '... and has nothing of the first');

# --- a slot that is taken for nothing ---
ok($d->wait_until(10, 'it is guarded', \&guarded), 'its slot is guarded, too');
kill 'TERM', $pid;
waitpid $pid, 0;
$d->ctl('reset', 'a'); # our own session may have been one of that build
ok($d->wait_until(60, 'made pristine', sub { restores() > $before + 1 && $d->state('a') eq 'ready' }), 'a is pristine once more');
$before = restores();
for (1 .. 2) {
    ok($d->wait_until(30, 'the slot', sub { $build = Childhurd::take_slot($machine, 0) }), 'a coordinator takes the slot');
    ok($d->wait_until(10, 'it is guarded', \&guarded), '... which is guarded');
    Childhurd::give_back($build);
    ok($d->wait_until(10, 'it is not guarded', sub { !guarded() }), '... and gives it back without a session');
}
is($d->state('a'), 'ready', 'that costs nothing');
is(restores(), $before, '... and is no build');
done_testing;
