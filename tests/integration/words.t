# SPDX-License-Identifier: GPL-3.0-or-later
# What the daemon says of guests with which nothing is wrong: one that boots, one that is taken over, a drained one, one that
# nobody wants up. And what it says when something is: a damaged record, a configuration without guests.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);

my $image = Childhurd::need_image('linux');

my $id   = Childhurd::free_id(4);
my $d    = Childhurd->new;
my $head = "[defaults]\nimage = $image\nmemory-size = 256M\nwarm-start = no\n";
my $a    = "[guest a]\nid = $id\n";
my $kept = "[guest kept]\nid = " . ($id + 1) . "\ndisk = persistent\nautostart = no\n";
my $idle = "[guest idle]\nid = " . ($id + 2) . "\nautostart = no\n";
$d->configure("$head$a$kept$idle");

sub guest { my ($name) = @_; return $d->guests->{$name} }
sub listed { my ($name) = @_; return ($d->ctl('list', $name) =~ /^(\Q$name\E .*)$/m)[0] // '' }

# --- a boot ---
my (@phases, @odd);
sub look_at_boot {
    my $guest = guest('a');
    my $phase = $guest->{phase} // '';
    push @phases, $phase if !@phases || $phases[-1] ne $phase;
    push @odd, $phase if $guest->{state} ne 'ready' && $phase =~ /banner:/;
    return $guest->{state} eq 'ready';
}
$d->start;
ok($d->wait_until(150, 'a is ready', \&look_at_boot), 'a boots') or diag($d->log);
is_deeply(\@odd, [], 'meanwhile nothing looks like a fault') or diag(join "\n", @phases);
ok((grep { $_ eq 'waiting for the SSH banner' } @phases), '... but like what it waits for') or diag(join "\n", @phases);

# --- who is waited for ---
my $out = $d->ctl('wait', '--all', '--timeout', '100s');
is($d->{status}, 0, 'wait --all: those with autostart = no are not waited for') or diag($out);
like($out, qr/^kept is stopped, and is not waited for$/m, '... which is said');
$d->ctl('wait', 'idle', '--timeout', '100s');
is($d->{status}, 1, '... but who is named is to be ready');

# --- drained ---
like($d->ctl('drain', 'a', '--wait', '--timeout', '60s'), qr/^a is drained /m, 'drain --wait');
like(listed('a'), qr/^a +drained /, 'list: drained');
like($d->ctl('status', 'a'), qr/^a: drained: drained by \w+ /m, 'status: drained');
is_deeply([@{ guest('a') }{qw(state drained)}], ['draining', JSON::PP::true], 'in JSON it is draining, and that it is drained stands beside it');
$d->ctl('wait', 'a', '--for', 'drained', '--timeout', '10s');
is($d->{status}, 0, 'wait --for drained');
like($d->ctl('wait', 'a', '--timeout', '100s'), qr/^childhurdctl: a: is drained; childhurdctl undrain a /m,
    'a wait for ready ends at once, and says what to do');
is($d->{status}, 1, '... with exit status 1');
like($d->ctl('restart', 'a', '--wait', '--timeout', '150s'), qr/^a is up and drained \(\w+\); childhurdctl undrain a /m,
    'restart --wait ends when it is up');
is($d->{status}, 0, '... and is done');
like($d->ctl('undrain', 'a', '--wait', '--timeout', '60s'), qr/^a is ready /m, 'undrain --wait');
$d->ctl('drain', 'idle', '--wait', '--timeout', '10s');
is($d->{status}, 0, 'drain --wait of a guest that is stopped');
like($d->ctl('undrain', 'idle', '--wait', '--timeout', '10s'), qr/^idle is undrained and stays stopped$/m, 'undrain --wait of it is done, too');
is($d->{status}, 0, '... with exit status 0');

# --- one that fails, and waits for its next try ---
$d->configure("$head$a$kept$idle\[guest bad]\nid = " . ($id + 3) . "\nemulator = /bin/false\nautostart = no\n");
$d->ctl('reload');
like($d->ctl('start', 'bad', '--wait', '--timeout', '5s'), qr/^childhurdctl: bad: not ready within 5s, but (?:backoff|starting): /m, 'start --wait of a guest that fails ends in time');
is($d->{status}, 4, '... with exit status 4');
ok($d->wait_until(30, 'bad is in backoff', sub { $d->state('bad') eq 'backoff' }), 'it waits for its next try');
like($d->ctl('drain', 'bad', '--wait', '--timeout', '10s'), qr/^bad is drained /m, 'drain --wait of it is done at once');
like($d->ctl('stop', 'bad', '--wait', '--timeout', '10s'), qr/^bad is stopped /m, '... and stop --wait');
like($d->ctl('sleep', 'bad', '--wait', '--timeout', '10s'), qr/^bad is asleep /m, '... and sleep --wait');
like($d->ctl('reset', 'bad', '--wait', '--timeout', '10s'), qr/^bad is reset and stays asleep$/m, '... and reset --wait of one that is asleep and drained');
$d->ctl('stop', 'bad', '--wait', '--timeout', '10s');
$d->configure("$head$a$kept$idle");
$d->ctl('reload');
ok($d->wait_until(20, 'bad is gone', sub { !guest('bad') }), 'it is taken away');

# --- what happened ---
my @events = split /\n/, $d->ctl('events', 'a');
ok(@events > 5, 'events a') && ok(!(grep { !/^\S+ \S+ +\d+  a: / } @events), '... are those of a');
like($d->ctl('events', 'idl*'), qr/idle: no longer drained$/m, 'events by a pattern');
is($d->ctl('events', 'a', '--since', '1970-01-01'), join('', map { "$_\n" } @events), 'events --since a date');
is($d->ctl('events', '--since', '0s'), '', 'events --since now');
my ($last) = $events[-1] =~ /  a: (.*)$/;
like($d->ctl('status', 'a'), qr/^  events     [\d:]+  .*(?:\n {13}[\d:]+  .*){4}\n {2}\S/m, 'status has the last five events, aligned');
like($d->ctl('status', 'a'), qr/^ {13}[\d:]+  \Q$last\E$/m, '... the newest, too');
ok(!guest('a')->{persistent} && guest('kept')->{persistent}, 'whose disk a reset costs is known');

# --- reload, without doing it ---
$d->configure("$head${a}cpus = 2\n$kept\[guest more]\nid = " . ($id + 2) . "\nautostart = no\n");
my $logged = length $d->log;
my @would = split /\n/, $d->ctl('reload', '--dry-run');
is_deeply(\@would, ['idle: removed; it is stopped when no build runs', 'a: changed: cpus; it is restarted when no build runs', 'more: added'],
    'reload --dry-run: what would be changed');
is($d->{status}, 0, '... is no error');
is_deeply([sort keys %{ $d->guests }], [qw(a idle kept)], '... and nothing is');
is(length $d->log, $logged, '... nor is it logged');
is($d->state('a'), 'ready', '... nor restarted');
$d->configure("$head${a}cpsu = 2\n");
like($d->ctl('reload', '--dry-run'), qr/cpsu/, 'errors are said');
is($d->{status}, 1, '... and are errors');
$d->configure("$head$a$kept$idle");
like($d->ctl('reload', '--dry-run'), qr/^nothing would change$/m, 'the same again');

# --- a configuration without guests ---
for my $how ([], ['--dry-run']) {
    $d->configure('');
    like($d->ctl('reload', @$how), qr/^childhurdctl: \Q$d->{file}\E: it has no guest, which would stop all \(1\); .*childhurdctl stop --all --wait, and then reload$/m,
        "reload @$how of an empty file: refused, with what to do");
    is($d->{status}, 1, '... as an error');
}
is($d->state('a'), 'ready', '... and a runs on');

# --- the next daemon ---
$d->configure("$head$a$kept$idle");
my $qemu   = $d->qemu('a');
my $length = length $d->log;
$d->end('KILL');
$d->start;
ok($d->wait_until(60, 'a is ready', sub { $d->state('a') eq 'ready' }), 'a is taken over');
is($d->qemu('a'), $qemu, '... in its QEMU');
my $said = substr $d->log, $length;
like($said, qr/a: probing: taken over from the earlier daemon \(process $qemu\)$/m, 'the log says so');
unlike($said, qr/unresponsive|warning/i, '... calmly');
my ($event) = grep { $_->{guest} && $_->{guest} eq 'a' && $_->{taken_over} } map { decode_json($_) } split /\n/, $d->ctl('events', '--json');
is_deeply([@$event{qw(state taken_over)}], ['unresponsive', JSON::PP::true], 'its state is as ever');

# --- a damaged record ---
$d->ctl('stop', 'a', '--now', '--wait', '--timeout', '100s');
$d->end;
Childhurd::spew("$d->{state}/a/state", '{"boot": "');
$length = length $d->log;
$d->start;
like(substr($d->log, $length), qr/a: \Q$d->{state}\E\/a\/state: is damaged or cannot be read \(.+\), so it is not known whether/, 'a damaged record is logged');
like($d->ctl('status', 'a'), qr/^  record +\S+\/a\/state: is damaged/m, '... and is in status');
unlike($d->ctl('status', 'idle'), qr/^  record/m, '... of that guest');

# --- and then nobody is left ---
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '100s');
is($d->{status}, 0, 'all are stopped');
$d->configure('');
$d->ctl('reload');
is($d->{status}, 0, 'now the empty file is taken');
ok($d->wait_until(20, 'all guests are gone', sub { !%{ $d->guests } }), '... and no guest is left');
done_testing;
