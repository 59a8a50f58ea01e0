# SPDX-License-Identifier: GPL-3.0-or-later
# The host's clock is set, by an hour forward and back: no limit, no probe and no time that people are shown depends on it.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
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
done_testing;
