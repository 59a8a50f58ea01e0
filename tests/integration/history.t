# SPDX-License-Identifier: GPL-3.0-or-later
# What guests did is kept over the daemon's death, and shown: boots, builds, failures with a picture, drained guests. A file that
# is damaged or in the way costs the history and nothing else; `history' is changed by a reload.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use POSIX qw(strftime);
use Test::More;
use Varlink;

my $image = Childhurd::need_image('linux');
my $mach  = Childhurd::need_image('mach');
my $id    = Childhurd::free_id(3);
my ($ours, $theirs, $third) = ($id .. $id + 2);
my $port   = 10022 + 1000 * $ours;
my $guests = <<"INI";
[guest a]
id = $ours
image = $image
memory-size = 256M
probe-interval = 1s
[guest silent]
id = $theirs
kernel = $mach/gnumach
kernel-arguments = console=com0
module = $mach/probe --host-priv-port=\${host-port} tick=2 silent \$(task-create) \$(task-resume)
memory-size = 64M
acceleration = tcg
restart = never
inject = none
autostart = no
boot-timeout = 5s
INI
my $d    = Childhurd->new(default_machine => 1, guests => $guests);
my $guix = "$d->{dir}/guix";
mkdir $guix;

sub configure {
    my ($more) = @_;
    $d->{daemon} = "guix-state-directory = $guix\n$more";
    $d->configure($guests);
}

# The records of `history --json` with these words, of one kind.
sub records {
    my ($kind, @words) = @_;
    return grep { $_->{kind} eq $kind } map { decode_json($_) } split /\n/, $d->ctl('history', '--json', @words);
}

sub shown { return $d->ctl('events', @_) =~ /^\S+ \S+ +(\d+)  /mg }
sub numbers { return map { $_->{number} } records('event') }

sub is_private {
    my ($what) = @_;
    for my $file (glob "$d->{state}/history.db*") { is(sprintf('%o', (stat $file)[2] & 0777), '600', "$what: $file is private") }
}

configure('');
my $before = time;
$d->start;
$d->ctl(qw(wait a --for ready --timeout 300s));
is($d->{status}, 0, 'a guest is ready') or BAIL_OUT($d->log);
is_private('at first');

# --- a boot, a build ---
ok($d->wait_until(60, 'the boot is kept', sub { (records('boot', 'a'))[0]{ready} }), 'its boot is kept, with the time at which it was ready');
my ($boot) = records('boot', 'a');
is($boot->{how}, 'cold', '... as one from cold');
my %ms = map { $_->{name} => $_->{ms} } @{ $boot->{phases} };
cmp_ok($ms{$_} // 0, '>', 0, "... with the phase $_") for qw(start boot login);
my ($took) = $d->log =~ /^.* a: ready: ([\d.]+) s after QEMU's start$/m;
cmp_ok(abs($boot->{ms} / 1000 - $took), '<', 0.2, '... and what it took is what the log says');
my $build = Childhurd::take_slot("$guix/offload/127.0.0.1:$port", 0);
ok($d->wait_until(60, 'the build is seen', sub { grep { !$_->{end} } records('build') }), 'a slot that is taken is a build');
Childhurd::give_back($build);
ok($d->wait_until(60, 'its end is seen', sub { grep { $_->{end} } records('build') }), '... and ends when it is given back');
is((records('build'))[0]{slot}, 0, '... with its slot');
is((records('boot', 'a'))[0]{builds}, 1, "... and is the boot's");

# --- over kill -9 ---
my $last = (numbers())[-1];
$d->end('KILL');
$d->start;
$d->ctl(qw(wait a --for ready --timeout 100s));
is($d->{status}, 0, 'a daemon that is killed has a successor, and it the guest');
$d->ctl(qw(drain a --wait));
my ($next) = map { $_->{events}[0]{number} } $d->call('Events', {});
cmp_ok($next, '>=', $last, 'the numbers of events go on');
cmp_ok($next, '<=', $last + 2, '... where they ended');
my @numbers;
ok($d->wait_until(60, 'a drained', sub { @numbers = numbers(); grep { $_->{state} eq 'draining' } records('state', 'a') }), 'a drained guest is kept as draining');
is_deeply(\@numbers, [ $numbers[0] .. $numbers[-1] ], '... and no number is missing or there twice');
like($d->ctl('events', '--since', $last), qr/^\S+ \S+ +\d+  a: /m, 'events from a number of the daemon before');
ok($d->wait_until(60, 'the end of the drain', sub { $d->ctl('events', 'a') =~ /drained/ }), 'its last event');
my @shown = shown();
is_deeply(\@shown, [ $numbers[0] .. $shown[-1] ], 'events has those of the daemon before, too, each once');
is_deeply([ shown('--since', '1h') ], \@shown, '... with --since 1h');
is_deeply([ shown('--since', $shown[2]) ], [ @shown[ 2 .. $#shown ] ], '... from a number on');
ok($d->wait_until(60, 'they are kept', sub { (numbers())[-1] == $shown[-1] }), 'the history has them all');
is_deeply([ shown('--since', $numbers[0], 'a') ], [ map { $_->{number} } grep { ($_->{guest} // '') eq 'a' } records('event') ], '... of one guest');
unlike($d->ctl('events', '--since', '1'), qr/no longer kept/, '... and no event is said to be lost');
my ($old) = map { decode_json($_) } split /\n/, $d->ctl('events', '--json');
is_deeply([ sort keys %$old ], [qw(guest number state text time)], '--json: as the daemon has them');
cmp_ok($old->{time}, '<', time + 1, '... in seconds');
my $followed = $d->spawn("$d->{dir}/followed", "$Childhurd::BUILD/childhurdctl", '--socket', "$d->{runtime}/control", 'events', '-f');
ok($d->wait_until(30, 'events -f', sub { (() = Childhurd::slurp("$d->{dir}/followed") =~ /\n/g) == (@shown > 10 ? 10 : @shown) }), 'events -f begins with the last ten, of both daemons');
kill 'INT', $followed;
waitpid $followed, 0;
like($d->ctl('status', 'a'), qr/^  events     [\d:]+  .*(?:\n {13}[\d:]+  .*){4}\n {2}\S/m, 'status has the last five events');
my @states = records('state', 'a');
ok((grep { $_->{state} eq 'unknown' } @states), 'the time without a daemon is unknown');
is((grep { !$_->{end} } @states), 1, '... one state goes on');
is((grep { $states[$_]{time} != $states[ $_ - 1 ]{end} } 1 .. $#states), 0, '... and each begins when the one before ends');
ok(!$states[-1]{wanted} && $states[-2]{wanted}, 'a drained guest is not wanted');
is(scalar(records('boot', 'a')), 1, 'the boot goes on over the death of a daemon');
$d->ctl(qw(undrain a --wait));

# --- a failure, with its screen ---
$d->ctl('start', 'silent');
ok($d->wait_until(120, 'the failure is kept', sub { records('failure') }), 'a guest that fails is kept');
my ($failure) = records('failure', 'silent');
is_deeply([ @$failure{qw(guest phase type)} ], [ 'silent', 'booting', 'boot-timeout' ], '... with what it was doing, and how it failed');
like($failure->{reason}, qr/no success within its limit/, '... and why');
my $v = Varlink->new("$d->{runtime}/control", Childhurd::slurp('service/org.childhurd.varlink'));
my ($shot) = $v->call('org.childhurd.HistoryScreenshot', { id => $failure->{screenshot} });
is(decode_base64($shot->{png}), Childhurd::slurp("$d->{state}/silent/failure.png"), '... and the picture of its screen');

ok($d->wait_until(60, 'its boot has an end', sub { (records('boot', 'silent'))[0]{ended} }), '... and the end of its boot');

# --- as people see it ---
my $shown = $d->ctl('history');
is($d->{status}, 0, 'history');
like($shown, qr/^TIME +GUEST +WHAT$/m, '... has a heading');
like($shown, qr/^[\d-]{10} \d\d:\d\d  a       boot [\d.]+s, up \S+, 1 build of \d+s$/m, '... a line for a boot that goes on');
like($shown, qr/^[\d-]{10} \d\d:\d\d  silent  boot, never ready; booting: no success/m, '... one for a boot that failed');
like($shown, qr/^[\d-]{10} \d\d:\d\d  silent  failed when booting: .*no success within its limit/m, '... one for the failure');
like($shown, qr/^a +[\d.]+% +1 +[\d.]+s +1 +\d+s +- +-$/m, '... and figures of each guest');
like($shown, qr/^silent +0.0% +1 +- +- +- +1 +/m, '... also of one that was never up');
unlike($d->ctl('history', 'a'), qr/silent/, 'history of one guest');
my $date = strftime('%Y-%m-%dT%H:%M:%S', localtime $before - 60);
unlike($d->ctl('history', '--until', $date), qr/boot/, '--until: what came later is not there');
like($d->ctl('history', '--since', $date), qr/a +boot/, '--since: and with it it is');
like($d->ctl('history', '--since', '1d'), qr/a +boot/, '--since 1d');
for (['--since', 'someday', qr/--since someday: not a time; write 10min, /], ['--since', '2099-01-01 16:00', qr/--since 2099-01-01 16:00: 2099-01-01 16:00:00 is in the future/], ['--since', '2026-02-30', qr/not a time/],
    ['--since', '1h', '--until', '2h', qr/--since 1h: is later than --until/]) {
    my $words = pop @$_;
    like($d->ctl('history', @$_), $words, "history @$_");
    is($d->{status}, 2, '... with exit status 2');
}
like($d->ctl('history', 'nobody'), qr/^childhurdctl: nobody: there is no such guest/, 'a guest that there is not');
like($d->ctl('history', 'slient'), qr/^childhurdctl: slient: there is no such guest; did you mean silent[?]$/, 'one that is misspelt');
unlike($d->ctl('history'), qr/the history begins/, 'nothing is said of its beginning');
like($d->ctl('history', 'node1/a'), qr/^childhurdctl: node1\/a: each host keeps its own history; ask the node: childhurdctl --host node1 history a$/, "a node's guest");

# --- a start that fails before QEMU runs ---
my $all = $guests;
$guests .= "[guest missing]\nid = $third\nimage = $d->{dir}/missing.img\nautostart = no\nrestart = never\n";
configure('');
$d->ctl('reload');
$d->ctl('start', 'missing');
ok($d->wait_until(60, 'the failure is kept', sub { records('failure', 'missing') }), 'a guest without its image fails');
is(() = $d->ctl('history', 'missing') =~ /^[\d-]{10} [\d:]{5}  missing  /mg, 1, '... which is one line');
like($d->ctl('history', 'missing'), qr/^missing +0[.]0% +- +- +- +- +1 +-$/m, '... and no boot, and there was no time between failures');
$guests = $all;
configure('');
$d->ctl('reload');

# --- a guest that is no longer configured ---
$guests =~ s/\[guest silent\].*//s;
configure('');
$d->ctl('reload');
like($d->ctl('history', 'silent'), qr/^silent +0.0%/m, 'a guest that is no longer configured has a history');
$guests = $all;

# --- off and on ---
configure("history = 0\n");
like($d->ctl('reload'), qr/history: 0/, 'reload: history = 0');
like($d->ctl('history'), qr/^childhurdctl: nothing is kept: `history' is 0 in the configuration$/, 'history says so');
is($d->{status}, 1, '... with exit status 1');
$last = (sort { $a <=> $b } $d->ctl('events') =~ /^\S+ \S+ +(\d+) /mg)[-1];
$d->ctl(qw(drain a));
configure("history = 1d\n");
$d->ctl('reload');
$d->ctl(qw(undrain a));
ok($d->wait_until(60, 'it is kept again', sub { my @n = numbers(); @n && $n[-1] > $last + 1 }), 'with 1d it is kept again');
ok(!(grep { $_ == $last + 1 } numbers()), '... and what happened meanwhile is not');

# --- damage ---
$d->ctl(qw(stop --all --now --wait --timeout 100s));
$d->end('TERM');
is_deeply([ map { s{.*/}{}r } glob "$d->{state}/history.db*" ], ['history.db'], 'a daemon that ends leaves one file');
Childhurd::spew("$d->{state}/history.db", 'garbage' x 10000);
$d->start;
$d->said(qr/warning: \Q$d->{state}\E\/history.db: .*the damaged history is now \S+\/history.db.damaged, and a new one begins/, 'a damaged file is put aside, and the log says so', 60);
is(substr(Childhurd::slurp("$d->{state}/history.db.damaged"), 0, 7), 'garbage', '... and kept');
$d->ctl(qw(start a));
ok($d->wait_until(60, 'the new one is written', sub { (numbers())[0] }), '... and a new one is begun');
cmp_ok((numbers())[0], '>', $last, '... whose numbers none before had');
my $begins = qr/at [-\d]+ [:\d]+: the one before was damaged, and is now \Q$d->{state}\E\/history.db.damaged/;
like($d->ctl('history'), qr/^childhurdctl: the history begins $begins$/m, 'history says since when there is one, and why');
like($d->ctl('check'), qr/^note     the history begins $begins; /m, '... and check');
like($d->ctl('status', 'silent'), qr/^  history    begins at [:\d]+: the one before was damaged/m, '... and status, of a guest of which little is known');
ok($d->wait_until(30, 'it is a second old', sub { $d->ctl('history', '--until', '1s', '--since', '1s') !~ /the history begins/ }), '... but not for a time that it has');
$d->ctl(qw(stop --all --now --wait --timeout 100s));
is_private('the new one');
$d->end('TERM');

# --- something in the way ---
unlink "$d->{state}/history.db";
$d->start;
ok($d->wait_until(60, 'it begins', sub { $d->ctl('history') =~ /the history begins at .*: \Q$d->{state}\E\/history.db was not there$/m }), 'so it is with one that was deleted');
$d->end('TERM');
unlink "$d->{state}/history.db";
mkdir "$d->{state}/history.db";
$d->start;
my $why = qr{\Q$d->{state}\E/history.db: is a folder; move it away, and the history begins};
ok($d->wait_until(60, 'the folder is seen', sub { $d->ctl('check') =~ /^problem  $why/m }), 'a folder in its place is a problem for check');
like($d->ctl('list'), qr/^childhurdctl: the daemon cannot write a file and keeps trying: $why/m, '... and list says so');
like($d->ctl('history'), qr/history.db/, '... and history has nothing');
is($d->{status}, 1, '... with exit status 1');
$d->ctl(qw(drain a));
is($d->{status}, 0, '... and guests do not notice');
is(() = $d->log =~ /warning: $why/g, 1, '... and the log has it once');
rmdir "$d->{state}/history.db";
ok($d->wait_until(120, 'it is written', sub { $d->ctl('history', '--json') =~ /"kind":"event"/ }), 'once it is gone, the history is written');
$d->said(qr/history.db: is written again/, '... and the log says so');
$d->end('TERM');

# --- warm states ---
$d = Childhurd->new(warm => 1, guests => $guests =~ s/\[guest silent\].*//sr)->start;
$d->ctl(qw(wait a --for ready --timeout 300s));
$d->ctl(qw(reset a --wait --timeout 100s));
my $restore;
ok($d->wait_until(60, 'the restore is kept', sub { ($restore) = records('restore') }), 'a reset from the warm state is kept as a restore') or diag($d->log);
is($restore->{reason}, 'reset by root', '... with its reason');
my ($restored) = $d->log =~ /^.* a: ready: from its warm state in ([\d.]+) s$/m;
cmp_ok(abs($restore->{ms} / 1000 - $restored), '<', 0.2, '... and what it took is what the log says');
is(scalar(records('boot')), 1, '... and is no boot');
my ($cold) = records('boot');
$d->ctl(qw(sleep a --wait --timeout 100s));
is($d->{status}, 0, 'it sleeps');
$d->ctl(qw(ssh a true));
IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port");
$d->ctl(qw(wait a --for ready --timeout 100s));
my @boots;
ok($d->wait_until(60, 'the wake is kept', sub { @boots = records('boot'); @boots == 2 && $boots[1]{ready} }), 'a wake is kept as a boot') or diag(explain(\@boots), $d->log);
is($boots[1]{how}, 'wake', '... as one that a connection caused');
like($boots[0]{ended}, qr/put to sleep/, '... and the boot before ended when it was put to sleep');
ok($d->wait_until(60, 'its restore', sub { grep { $_->{reason} eq 'wake' } records('restore') }), '... and the load of its warm state as a restore');
like($d->ctl('history'), qr/a +woken [\d.]+s, up /, 'history says so');
for my $kind (qw(figures day)) {
    my ($sums) = records($kind);
    is_deeply([ @$sums{qw(boots warm_starts median_boot_ms)} ], [1, 1, $cold->{ms}], "$kind: the wake is no boot, and not in the median");
}
my @until = grep { $_->{kind} =~ /^(?:figures|day)$/ } map { decode_json($_) } split /\n/, $d->ctl('history', '--json', '--until', '1s');
is((grep { $_->{kind} eq 'day' } @until)[-1]{end}, $until[0]{end}, 'the last day ends when the figures do');
$d->ctl(qw(stop --all --now --wait --timeout 100s));
$d->end('TERM');

# --- nothing is kept, from the beginning ---
unlink glob "$d->{state}/history.db*";
configure("history = 0\n");
$d->start;
$d->ctl(qw(drain a));
like($d->ctl('events'), qr/^\S+ \S+ +1  a/m, 'without a history the numbers begin at 1');
$d->end('TERM');
ok(!-e "$d->{state}/history.db", '... and no file is made');

# --- nothing is kept, but a file is there, which a reload may go on with ---
configure("history = 1d\n");
$d->start;
$d->ctl($_, 'a') for qw(drain undrain);
ok($d->wait_until(60, 'it is written', sub { numbers() > 1 }), 'with 1d there is a file');
my $highest = (numbers())[-1];
$d->end('TERM');
configure("history = 0\n");
$d->start;
$d->ctl(qw(drain a));
my $first = (sort { $a <=> $b } $d->ctl('events') =~ /^\S+ \S+ +(\d+) /mg)[0];
cmp_ok($first, '>', $highest, 'with history = 0 and a file the numbers go on, so that none comes twice in it');
$d->end('TERM');
done_testing;
