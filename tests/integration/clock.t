# SPDX-License-Identifier: GPL-3.0-or-later
# The host's clock is set, by an hour forward and back: no limit, no probe and no time that people are shown depends on it.
# A guest's clock is wrong: it is off the list until it is set, which happens when no build runs, and never with `clock`.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use JSON::PP ();
use Test::More;

my $image = Childhurd::need_image('linux');
my ($faketime) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
Childhurd::cannot('libfaketime is needed: apt-get install libfaketime') if !$faketime;

my $id = Childhurd::free_id(1);
my $d  = Childhurd->new(guests => <<"INI");
[guest a]
id = $id
image = $image
memory-size = 256M
probe-interval = 500ms
hang-timeout = 1min
clock-skew-limit = 24h
INI
my $clock = "$d->{dir}/clock";

sub set_clock {
    my ($offset) = @_;
    open my $f, '>', "$clock.new" or die "$clock.new: $!";
    print $f "$offset\n";
    close $f;
    rename "$clock.new", $clock or die "$clock: $!";
}

set_clock('+0s');
$d->{environment} = {
    LD_PRELOAD                   => $faketime,
    FAKETIME_TIMESTAMP_FILE      => $clock,
    FAKETIME_NO_CACHE            => 1,
    FAKETIME_DONT_FAKE_MONOTONIC => 1,
    FAKETIME_DISABLE_SHM         => 1,
};
$d->start;

sub ready { return $d->wait_until(90, 'a is ready', sub { $d->state('a') eq 'ready' }) }

# The guest's clock is not set: what it differs by shows that the daemon's was, and that a probe ended after it.
sub differs {
    my ($seconds, $what) = @_;
    my $seen = sub {
        my ($skew) = $d->ctl('status', '--json', 'a') =~ /"skew":\s*(-?[\d.]+)/;
        return defined $skew && abs($skew - $seconds) < 300;
    };
    ok($d->wait_until(60, $what, $seen), $what);
}

ok(ready(), 'a is ready');
my $qemu  = $d->qemu('a');
my $since = $d->guests->{a}{since};
differs(0, 'the clocks agree');
for (['+3600s', -3600, 'forward'], ['-3600s', 3600, 'back']) {
    my ($offset, $skew, $words) = @$_;
    set_clock($offset);
    differs($skew, "the clock is set $words: probes go on");
    is($d->state('a'), 'ready', 'the guest stays ready');
    is($d->qemu('a'), $qemu, 'and its QEMU');
    my $moved = $d->guests->{a}{since} - $since;
    ok(abs($moved + $skew) < 2, 'since when is told by the new clock') or diag($moved);
    unlike($d->ctl('list'), qr/^a +ready +1h/m, 'so it is not ready for an hour');
}
kill 'KILL', $qemu;
set_clock('+3600s');
ok($d->wait_until(60, 'another QEMU runs', sub { my $now = $d->qemu('a'); $now && $now != $qemu }), 'a back-off is as long as it is');
ok(ready(), 'and the guest is ready again');
is($d->guests->{a}{restarts}, 1, 'after one restart');
is($d->end('TERM'), 0, 'the daemon ends as always');

# --- the guest's own clock ---
my $first = Childhurd::free_id(2);
$d = Childhurd->new;
my $guix = "$d->{dir}/guix";
mkdir $guix;
$d->{daemon} = "guix-state-directory = $guix";
$d->configure(<<"INI");
[defaults]
image = $image
memory-size = 256M
probe-interval = 500ms
[guest right]
id = $first
clock-skew-limit = 10s
[guest past]
id = @{[ $first + 1 ]}
clock = 2020-01-31
INI
$d->start;
my $port = 10022 + 1000 * $first;
$d->ctl('wait', 'right', 'past', '--for', 'ready', '--timeout', '180s');
is($d->{status}, 0, 'both are ready') or diag $d->log;

sub details { my ($name) = @_; return JSON::PP::decode_json($d->ctl('status', '--json', $name))->{guests}[0] }
sub listed { return $d->machines =~ /\(port $port\)/ }
ok($d->wait_until(60, 'it is listed', \&listed), 'a guest with a good clock is listed');
my $said = details('right');
# QEMU's clock of the guest, from which it has the time, counts full seconds: it may be one behind.
cmp_ok(abs($said->{skew}) - $said->{skew_within}, '<', 1, 'a good clock is told as good: the time of the answer is no difference');
cmp_ok($said->{skew_within}, '<', 30, 'and how exact that is');
my $words = qr/the host's, within [\d.]+ s|[01]\.\d s (?:behind|ahead of) the host's, give or take [\d.]+ s/;
like($d->ctl('status', 'right'), qr/^ +clock +(?:$words)$/m, 'in words, too');

# a build runs: it is off the list, and its clock is left alone
my $folder = "$guix/offload/127.0.0.1:$port";
system('mkdir', '-p', $folder);
open my $slot, '+>', "$folder/0" or die "$folder/0: $!";
require Fcntl;
sub lock_slot {
    my ($type) = @_;
    fcntl $slot, Fcntl::F_SETLK(), pack('s s x4 q q l x4', $type, 0, 0, 0, 0) or die "lock: $!";
}
lock_slot(Fcntl::F_WRLCK());
$d->ctl('ssh', 'right', 'date -s @$(($(date +%s) - 7200))');
ok($d->wait_until(60, 'it is off the list', sub { !listed() }), 'two hours behind it is off the list');
is($d->state('right'), 'ready', 'it stays ready');
like($d->ctl('status', 'right'), qr/its clock is 7\d\d\d s behind the host's: it is not published/, 'status says why');
my $probed = details('right')->{probed};
ok($d->wait_until(60, 'two more probes', sub { details('right')->{probed} > $probed + 1 }), 'probes go on');
cmp_ok(details('right')->{skew}, '<', -7000, 'no clock is set under a build');
lock_slot(Fcntl::F_UNLCK());
ok($d->wait_until(60, 'it is listed again', \&listed), 'when the build has ended it is set, and the guest is listed again');
$said = details('right');
cmp_ok(abs($said->{skew}) - $said->{skew_within}, '<', 10, 'its clock is right');
$d->said(qr/right: its clock is set/, 'the log says so');
cmp_ok(details('past')->{skew}, '<', -86400 * 365, 'one that is to live at another date does so');
ok(!$d->guests->{past}{restarts} && $d->machines =~ /\(port @{[ $port + 1000 ]}\)/, 'and is listed');
unlike($d->log, qr/past: its clock/, 'nothing is said of its clock');
is($d->end('TERM'), 0, 'the daemon ends');
done_testing;
