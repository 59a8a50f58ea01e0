# SPDX-License-Identifier: GPL-3.0-or-later
# `guix build -s i586-gnu` with the real Guix across hosts: a coordinator without guests, and two nodes without Guix, each with a
# guest that passes for a Hurd.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Farm;
use File::Temp qw(tempdir);
use Guix;
use Test::More;

my $image = Childhurd::need_image('guix');
my $farm  = Farm->new('farm', 'n1', 'n2');
my @nodes = ('n1', 'n2');
my $dir   = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
chmod 0755, $dir;

# --- the coordinator ---
my $host = $farm->host('farm');
my $g    = Guix->new(dir => $dir, runtime => "$dir/run", network => "/proc/$host->{pid}/ns/net")->start;
my $c    = Childhurd->new(dir => $dir, wrap => $host->{wrap});
$c->{daemon} = $g->daemon_keys;
$c->configure('');
$c->start;
my $invitation = $c->ctl('node', 'invite');
like($invitation, qr/^signing-key = \(public-key /m, 'the invitation has the signing key of the coordinator\'s Guix') or BAIL_OUT($invitation);
my ($key) = $invitation =~ /^ssh-key = (\S+ \S+)/m;

# --- the nodes ---
my (%d, $text);
for my $name (@nodes) {
    my $node = $farm->host($name);
    $d{$name} = Childhurd->new(wrap => $node->{wrap}, daemon => "host-name = $node->{address}\n", guests => <<"INI");
[guest a]
id = 0
image = $image
memory-size = 384M
probe-command = guix
listen-address = $node->{address}
INI
    Childhurd::spew("$d{$name}{dir}/conf.d/coordinator.ini", $invitation);
    $node->{sshd}->allow($key, "restrict,command=\"childhurdctl --socket $d{$name}{runtime}/control bridge --read-only\"");
    $d{$name}->start;
    $text .= "[node $name]\nssh = root\@$node->{address}\nhost-key = $node->{sshd}{host_key}\n";
}
$c->configure($text);
$c->ctl('reload');
is($c->{status}, 0, 'the coordinator gets its nodes');

# A build that is asked for before any guest has booted.
my $listed = sub { my ($name) = @_; return $c->machines =~ /\(name "\Q$farm->{hosts}{$name}{address}\E"\)/ };
ok($c->wait_until(60, 'a placeholder', sub { $c->machines =~ /build-machine/ }), 'while all guests boot, the coordinator lists a placeholder');
my $early = $g->build('early');
$d{$_}->ctl('wait', 'a', '--for', 'ready', '--timeout', '180s') for @nodes;
ok($c->wait_until(60, 'both are listed', sub { $listed->('n1') && $listed->('n2') }), 'both guests are listed');

sub ok_build {
    my ($job, $what, $name) = @_;
    my $said = $g->finish($job, 2 * Childhurd::seconds(240));
    is($g->{status}, 0, $what) or diag $said;
    like($said, qr/offloading '\S*$name\.drv' to '10\.77\.0\.\d'/, '... offloaded to a node');
    like($g->built($job), qr/^built $name\nx86_64$/m, '... and what came back is what was built');
}

# The boot of that node's guest, which only the hosts of the farm reach.
sub boot_of {
    my ($name) = @_;
    my $out = "$dir/boot";
    unlink $out;
    waitpid $d{$name}->spawn($out, @{ $farm->host($name)->{wrap} }, "$Childhurd::BUILD/childhurdctl", '-s', "$d{$name}{runtime}/control", 'ssh', 'a',
        'cat /proc/sys/kernel/random/boot_id'), 0;
    return Childhurd::slurp($out);
}

# Waits until the build has begun; gives the node that has it.
sub builder {
    my ($job) = @_;
    my $boot;
    $c->wait_until(240, 'a build begins', sub { ($boot = $g->boot_id($job)) || $g->over($job) });
    for my $name (@nodes) {
        return $name if $boot && index(boot_of($name), $boot) >= 0;
    }
    diag $g->said($job);
    return '';
}

ok_build($early, 'a build that was put off is done then', 'early');
my $acl = Childhurd::slurp("$g->{etc}/acl");
for my $name (@nodes) {
    my ($signs) = Childhurd::slurp("$d{$name}{state}/a/secrets/etc/guix/signing-key.pub") =~ /#([0-9A-F]+)#/;
    is(() = $acl =~ /#$signs#/g, 1, "the coordinator's acl has the key of the guest on $name, once");
}
my $said = $g->run(2 * Childhurd::seconds(180), qw(guix offload status));
is(() = $said =~ /^10\.77\.0\.\d$/mg, 2, 'guix offload status tells of both') or diag $said;
unlike($said, qr/error/, '... and has nothing against them') or diag $said;
# Also the time that its question takes.
is(join(' ', grep { abs > 2 * Childhurd::slowness() } $said =~ /time difference: (-?\d+)/g), '', '... nor against their clocks') or diag $said;

# --- two builds at once, one on each node ---
my @both = map { $g->build("twin$_", 'sleep 8') } 1, 2;
isnt(builder($both[0]), builder($both[1]), 'two builds at once: each node has one');
ok_build($both[ $_ - 1 ], "build $_ of two at once", "twin$_") for 1, 2;

# --- a build on one node, while the other is drained, and its own guest is stopped ---
{
    my ($name, $other) = @nodes;
    $d{$other}->ctl('drain', 'a', '--wait', '--timeout', '60s');
    is($d{$other}{status}, 0, "$other is drained") or diag $d{$other}->log;
    my $job = $g->build("on-$name", 'sleep 8');
    is(builder($job), $name, "... so the build is on $name");
    $d{$name}->ctl('stop', 'a');
    is($d{$name}->state('a'), 'draining', '... whose guest is to be stopped meanwhile');
    $d{$other}->ctl('undrain', 'a');
    ok_build($job, '... and the build ends well', "on-$name");
    ok($d{$name}->wait_until(90, 'a is stopped', sub { $d{$name}->state('a') eq 'stopped' }), '... and then the guest stops');
    $d{$name}->ctl('start', 'a', '--wait', '--timeout', '180s');
    is($d{$name}{status}, 0, '... and starts again');
    ok($c->wait_until(60, 'it is listed', sub { $listed->($name) }), '... and is listed') or diag $c->log;
}

# --- the daemons are killed while builds run ---
my $last = $g->build('last', 'sleep 8');
ok(builder($last), 'a build begins');
$_->end('KILL') for $c, values %d;
$_->start for $c, values %d;
ok_build($last, '... and goes on, though all daemons are killed', 'last');
$d{$_}->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s') for @nodes;
done_testing;
