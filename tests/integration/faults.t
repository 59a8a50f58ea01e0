# SPDX-License-Identifier: GPL-3.0-or-later
# A call fails: one at a time of those that the daemon makes to start a guest, to stop it, to take it over and to reload its
# configuration, with real QEMUs that boot for ever. See tests/lib/FaultWalk.pm.
#
#   a   is what is done something with
#   b   comes and goes with the configuration
#   k   runs all the time in one and the same QEMU
#   s   was stopped by a person, and stays so, although it has autostart
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Faults;
use FaultWalk;
use POSIX qw(:sys_wait_h);
use Test::More;

# stop is gone through with start.
my %wanted = map { $_ => 1 } FaultWalk::chosen_by('CHILDHURD_WALK_SCENARIOS', qw(start reload take-over));

my $mach = Childhurd::need_image('mach');
my $id   = Childhurd::free_id(4);
my %id   = map { $_ => $id++ } qw(a b k s);

sub configuration {
    my (@names) = @_;
    my $text = "[defaults]\nkernel = $mach/gnumach\nkernel-arguments = console=com0\nmemory-size = 32M\nacceleration = tcg\n"
      . "restart = always\ninject = none\nboot-timeout = 24h\nstop-timeout = 1s\nautostart = no\n";
    $text .= "[guest $_]\nid = $id{$_}\nmodule = $mach/probe --host-priv-port=\${host-port} silent \$(task-create) \$(task-resume)\n"
      . (/[bs]/ ? "autostart = yes\n" : '') for @names;
    return $text;
}

my $d      = Childhurd->new(default_machine => 1, guests => configuration(qw(a k s)), daemon => 'parallel-starts = 4');
my $faults = Faults->new($d);
$d->start;
$d->ctl('start', 'k');
$d->ctl('stop', 's', '--now', '--wait', '--timeout', '60s');
ok($d->wait_until(30, 'k runs', sub { $d->state('k') eq 'booting' && $d->qemu('k') }), 'the keeper runs') or BAIL_OUT('no guest');

my $walk = FaultWalk->new(d => $d, faults => $faults, keeper => 'k');
my $in   = sub { my ($name, $state) = @_; sub { $d->state($name) eq $state } };
my $lost = sub { my ($name) = @_; sub { $d->state($name) =~ /^(?:backoff|failed)$/ } };

my $start = { name => 'start', keeps => 1, act => sub { $walk->ctl('start', 'a') }, want => $in->('a', 'booting'), lost => $lost->('a') };
my $stop = { name => 'stop', keeps => 1, act => sub { $walk->ctl('stop', 'a', '--now') }, want => $in->('a', 'stopped'), lost => $lost->('a') };

# A daemon that is killed, and the next one. One that cannot know what runs says so and ends, and is started once more, as a service
# manager does.
my $taken_over;
$taken_over = {
    name   => 'take-over',
    daemon => 1,
    act    => sub {
        my ($from, $ended) = (length $d->log, '');
        $d->end('KILL');
        $d->{pid} = $d->spawn($d->{log}, $d->{program}, '--config', $d->{file});
        FaultWalk::within(20, sub { ($ended = $walk->ended) || $walk->settled($taken_over) });
        return (0, '') if !$ended;
        my $said = substr $d->log, $from;
        ok(0, "take-over: the daemon $ended: $said") if $ended !~ /status 1$/ || $said eq '';
        $d->start;
        return (1, $said);
    },
    again => sub { (0, '') },
    want  => sub { $d->state('a') eq 'booting' && $d->state('s') eq 'stopped' },
};

my $more = { name => 'reload (more)', want => sub { $d->state('b') eq 'booting' }, lost => $lost->('b'), act => sub {
    $d->configure(configuration(qw(a b k s)));
    return $walk->ctl('reload');
}, again => sub { my @said = $walk->ctl('reload'); $walk->ctl('start', 'b'); @said } };
my $less = { name => 'reload (less)', want => sub { $d->state('b') eq '?' }, act => sub {
    $d->configure(configuration(qw(a k s)));
    return $walk->ctl('reload');
} };

if ($wanted{start})       { $walk->walk(40, $start, $stop) }
if ($wanted{reload})      { $walk->walk(30, $more, $less) }
if ($wanted{'take-over'}) { $d->ctl('start', 'a'); $d->wait_until(30, 'a runs', $in->('a', 'booting')); $walk->walk(30, $taken_over) }
note('RESULT faults.calls ' . $walk->result('start, stop, reload, take-over') . ' calls');
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
is(scalar($d->all_qemus), 0, 'no QEMU is left');
done_testing;
