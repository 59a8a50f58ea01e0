# SPDX-License-Identifier: GPL-3.0-or-later
# A call fails: one at a time of those that the daemon makes to save a guest's machine when it falls asleep and to wake it from there,
# with a real guest that answers over SSH. What the guest has synced is there afterwards, each time. See tests/lib/FaultWalk.pm.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Faults;
use FaultWalk;
use IO::Socket::INET;
use Test::More;

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(1);
my $port  = 10022 + 1000 * $id;
my $d     = Childhurd->new(warm => 1, guests => <<"INI");
[guest p]
id = $id
image = $image
memory-size = 128M
acceleration = tcg
disk = persistent
restart = always
INI
my $faults = Faults->new($d);
$d->start;
$d->ctl('start', 'p', '--wait', '--timeout', '180s');
is($d->{status}, 0, 'the guest boots') or BAIL_OUT($d->log);

my $walk = FaultWalk->new(d => $d, faults => $faults);
my $in   = sub { my ($state) = @_; sub { $d->state('p') eq $state } };
my $lost = sub { $d->state('p') =~ /^(?:backoff|failed|stopped)$/ };
my $synced = 0;

my $caller;
my $wake = {
    name  => 'wake',
    act   => sub { $caller = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 5); ($caller ? 0 : 1, $caller ? '' : "$!") },
    again => sub { $walk->ctl('start', 'p') },
    want  => $in->('ready'),
    lost  => $lost,
    check => sub {
        undef $caller;
        my ($status, $count) = $walk->ctl('ssh', 'p', 'cat /count 2> /dev/null || echo 0; echo ' . ($synced + 1) . ' > /count && sync');
        return "no command: $count" if $status;
        return "$synced was synced, and the guest has $count" if $count != $synced;
        $synced++;
        return;
    },
};
# A guest whose port cannot be had while it is asleep is woken at once.
my $save = {
    name  => 'save',
    keeps => 1,
    act   => sub { $walk->ctl('sleep', 'p') },
    want  => $in->('asleep'),
    lost  => sub { my ($said) = @_; $lost->() || ($said =~ /its port cannot be had while it is asleep/ && $d->state('p') eq 'ready') },
};

$walk->walk(60, $save, $wake);
$walk->result('save, wake');
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
is(scalar($d->all_qemus), 0, 'no QEMU is left');
done_testing;
