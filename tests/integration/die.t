# SPDX-License-Identifier: GPL-3.0-or-later
# The daemon may die at any moment: CHILDHURD_ROUNDS (300) times kill -9 at a random moment over a hird of four in mixed
# states, and each time the next daemon says what /proc says.
#
#   a   boots for ever: it must live through all of it in one and the same QEMU
#   b   reboots by itself after a second, c halts: always somewhere between starting and backoff
#   d   is started, stopped, restarted and reset at random, and its QEMU is killed now and then
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Test::More;
use Time::HiRes qw(sleep time);
use Truth;

my $mach = Childhurd::need_image('mach');
my $rounds = $ENV{CHILDHURD_ROUNDS} // 300;
my $seed   = $ENV{CHILDHURD_SEED}   // int rand 2**31;
srand $seed;
diag("seed $seed, $rounds rounds (CHILDHURD_SEED and CHILDHURD_ROUNDS set them)");

my %ends = (a => 'silent', b => 'tick=1 reboot', c => 'tick=1 halt', d => 'silent');
my $id   = Childhurd::free_id(scalar keys %ends);
my $text = "[defaults]\nkernel = $mach/gnumach\nkernel-arguments = console=com0\nmemory-size = 32M\nacceleration = tcg\n"
  . "restart = always\ninject = none\nboot-timeout = 24h\nstop-timeout = 1s\n";
for my $name (sort keys %ends) {
    $text .= "[guest $name]\nid = $id\nmodule = $mach/probe --host-priv-port=\${host-port} $ends{$name} "
      . "\$(task-create) \$(task-resume)\n";
    $id++;
}
my $d = Childhurd->new(default_machine => 1, guests => $text, daemon => 'parallel-starts = 4')->start;
my $truth = Truth->new($d, keys %ends);

sub operate {
    my @verbs = (['start', 'd'], ['stop', 'd', '--now'], ['restart', 'd', '--now'], ['reset', 'd', '--now'], ['start', 'b', 'c'], ['drain', 'd'], ['undrain', 'd']);
    $d->ctl_begins(@{ $verbs[rand @verbs] });
}

ok($d->wait_until(60, 'a runs', sub { $d->qemu('a') }), 'a runs');
my $survivor = $d->qemu('a');
my ($bad, $done) = (0, 0);
for my $round (1 .. $rounds) {
    my $until = time + rand 0.6;
    operate() if rand() < 0.7;
    sleep rand 0.2;
    if (rand() < 0.2) {
        my @pids = @{ $truth->qemus->{d} };
        kill 'KILL', @pids if @pids;
    }
    sleep $until - time if $until > time;
    $d->end('KILL');
    $d->ctls_end;
    my $doubled = join ', ', $truth->doubled;
    $d->start;
    my ($result, $list) = ('', '');
    # 5 s are for the list; a stop that is under way has its own limits.
    $d->wait_until(5,  'machines.scm', sub { ($list = $d->machines) =~ /\A;; Written by childhurdd.*\n\(list.*\)\n\z/s });
    $d->wait_until(60, 'what is said is so', sub { ($result = $truth->compare // '') eq 'the same' });
    my @wrong = (
        ($doubled ? "doubled: $doubled" : ()),
        ($result eq 'the same' ? () : $result || 'never settles'),
        ($list =~ /\(list/ && $list !~ /\(port (?!1\))/ ? () : 'machines.scm: ' . $list),
        ($d->qemu('a') == $survivor ? () : 'a was restarted'),
    );
    $done++;
    next if !@wrong;
    diag("round $round: @wrong\n" . join "\n", (split /\n/, $d->log)[-40 .. -1]);
    last if ++$bad == 3;
    $survivor = $d->qemu('a');
}
is($bad, 0, "$done times kill -9, and each time the next daemon knew what ran");
note("RESULT die.rounds $done rounds");
is($done, $rounds, 'all rounds were run');

# --- the very moment in which libvirt has begun with a QEMU and does not know it yet ---
my $cut = 0;
for my $try (1 .. 5) {
    $d->ctl('stop', 'd', '--now', '--wait', '--timeout', '60s');
    $d->ctl_begins('start', 'd');
    my $until = time + 10;
    1 until Childhurd::slurp("$d->{state}/libvirt/run/qemu/d.xml") =~ /reason='starting up'/ || time > $until;
    $d->end('KILL');
    $d->ctls_end;
    $d->start;
    $cut++ if $d->log =~ /d: the death of the last daemon interrupted its start/;
    $d->ctl('start', 'd');
    ok($d->wait_until(60, 'd runs', sub { $d->state('d') eq 'booting' && ($truth->compare // '') eq 'the same' }), "a start that was cut off is made good ($try)");
}
cmp_ok($cut, '>', 0, "$cut of 5 starts were cut off in that moment");

$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
is($d->{status}, 0, 'all can be stopped') or diag($d->log);
is(scalar($d->all_qemus), 0, 'no QEMU is left without a master');
# What a stopped guest's record says is written when it has stopped.
my $left = sub { join ' ', grep { /\.(?:new|tmp)$/ } glob "$d->{state}/*/* $d->{runtime}/*" };
ok($d->wait_until(60, 'the last records are written', sub { !$left->() }), 'no half-written file is left') or diag($left->());
done_testing;
