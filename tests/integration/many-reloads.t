# SPDX-License-Identifier: GPL-3.0-or-later
# A reload leaves nothing behind: 200 guests are configured anew 200 times, and the daemon needs no more memory for it.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Test::More;

use constant GUESTS  => 200;
use constant RELOADS => 200;
use constant WARM_UP => 20;           # reloads until what is kept for the next one is there
use constant GROWTH  => 1024;         # KiB from then on, at most

my $d = Childhurd->new;

# Each guest of the hird has other values each time; one comes and goes.
sub configure {
    my ($n) = @_;
    my $guests = "[defaults]\nimage = $d->{dir}/image.qcow2\nautostart = no\n";
    for my $i (1 .. GUESTS) {
        $guests .= sprintf "[guest g%d]\nid = %d\nssh-port = %d\nsecrets-port = %d\nprobe-interval = %ds\ncpus = %d\n" . "features = f%s\n",
          $i, $i, 20000 + $i, 30000 + $i, 10 + $n % 50, 1 + $n % 4, 'x' x (20 + $n % 30);
    }
    $guests .= "[guest passing$n]\nid = 999\nssh-port = 29999\nsecrets-port = 39999\n";
    $d->configure($guests);
}

sub memory { return Childhurd::slurp("/proc/$d->{pid}/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die "no RssAnon\n" }

configure(0);
$d->start;
my ($warm, @wrong);
for my $n (1 .. RELOADS) {
    configure($n);
    my $said = $d->ctl('reload');
    my $changed = () = $said =~ /^g\d+: changed: cpus, features, probe-interval$/mg;
    push @wrong, "reload $n, status $d->{status}, $changed guests:\n$said" if $d->{status} || $changed != GUESTS;
    $warm = memory() if $n == WARM_UP;
}
is(scalar @wrong, 0, RELOADS . ' reloads change each of ' . GUESTS . ' guests') or diag $wrong[0];
my $names = join ' ', sort grep { /^passing/ } keys %{ $d->guests };
ok($d->wait_until(60, 'the passing ones are gone', sub { keys %{ $d->guests } == GUESTS + 1 }), 'what is no longer configured is gone') or diag $names;
my $grown = memory() - $warm;
note("RESULT growth.reloads $grown KiB");
cmp_ok($grown, '<', GROWTH, "and the daemon's memory has grown by less than " . GROWTH . ' KiB') or diag "by $grown KiB, from $warm KiB";
done_testing;
