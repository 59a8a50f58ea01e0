# SPDX-License-Identifier: GPL-3.0-or-later
# The daemon may die at any moment of a save, a restore, a fall asleep and a wake: CHILDHURD_WARM_ROUNDS (8) times kill -9 at a random
# moment after a random command over two guests that have warm states.
#
#   a   ephemeral: whatever it begins from, its random bytes were never seen before,
#   p   persistent: what was synced is there, whatever it goes on from
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);
use Truth;

my $image  = Childhurd::need_image('linux');
my $rounds = $ENV{CHILDHURD_WARM_ROUNDS} // 8;
my $seed   = $ENV{CHILDHURD_SEED}   // int rand 2**31;
srand $seed;
diag("seed $seed, $rounds rounds (CHILDHURD_SEED and CHILDHURD_WARM_ROUNDS set them)");
my $id   = Childhurd::free_id(2);
my %port = (a => 10022 + 1000 * $id, p => 11022 + 1000 * $id);
my $d    = Childhurd->new(warm => 1, guests => <<"INI", daemon => 'parallel-starts = 2')->start;
[defaults]
image = $image
memory-size = 256M
acceleration = tcg
restart = always
[guest a]
id = $id
[guest p]
id = ${\ ($id + 1)}
disk = persistent
INI
my $limit = Childhurd::seconds(180) . 's';
my $truth = Truth->new($d, qw(a p));

sub operate {
    my ($name) = @_;
    my @verbs = (['sleep'], ['sleep'], ['start'], ['restart', '--now'], $name eq 'a' ? (['reset', '--now'], ['reset']) : ());
    my ($verb, @options) = @{ $verbs[rand @verbs] };
    $d->ctl_begins($verb, $name, @options);
    return "$verb @options";
}

# How many have the guest's port at this moment, by the kernel's table of sockets.
sub holders { my ($name) = @_; return scalar @{ $truth->listeners->{ $port{$name} } // [] } }

sub qemus { my ($name) = @_; return @{ $truth->qemus->{$name} } }

my (%random, $synced, %problems);
$synced = 0;

# Everything must come up again from where it is, and be right.
sub compare {
    my ($what) = @_;
    for my $name (qw(a p)) {
        $d->ctl('start', $name);
        $d->ctl('wait', $name, '--for', 'ready', '--timeout', $limit);
        $problems{"$what: $name is not ready"}++ if $d->{status};
        $problems{"$what: $name has " . qemus($name) . ' QEMUs'}++ if qemus($name) != 1;
        $problems{"$what: $name has its port " . holders($name) . ' times'}++ if holders($name) != 1;
    }
    my ($bytes) = $d->ctl('ssh', 'a', 'head -c 16 /dev/urandom | od -An -tx1 | tr -d " "') =~ /^([0-9a-f]{32})$/;
    $problems{"$what: a has random bytes that were seen before"}++ if !$bytes || $random{$bytes}++;
    my ($count) = $d->ctl('ssh', 'p', 'cat /count 2> /dev/null || echo 0') =~ /^(\d+)$/;
    $count //= -1;
    $problems{"$what: p has $count, and $synced was synced"}++ if $count < $synced;
    $d->ctl('ssh', 'p', 'echo ' . ($synced + 1) . ' > /count && sync');
    $synced++ if !$d->{status};
    return;
}

compare('the first boot');
for my $round (1 .. $rounds) {
    last if keys %problems;
    my @said = map { operate($_) } qw(a p);
    IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port{a}", Timeout => 1) if rand() < 0.3;
    my $after = rand(1) < 0.5 ? rand 0.5 : rand 4;
    sleep $after;
    $d->end('KILL');
    $d->ctls_end;
    for my $name (qw(a p)) {
        $problems{"$name has " . qemus($name) . ' QEMUs'}++ if qemus($name) > 1;
    }
    $d->start;
    compare(sprintf 'round %d: a %s, p %s, killed after %.2f s', $round, @said, $after);
}
is(join("\n", sort keys %problems), '', 'all is right after each death') or diag substr $d->log, -6000;
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', $limit);
is(scalar($d->all_qemus), 0, 'no QEMU is left');
done_testing;
