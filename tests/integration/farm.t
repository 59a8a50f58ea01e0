# SPDX-License-Identifier: GPL-3.0-or-later
# A farm: a coordinator and two nodes, each a host with a network of its own and a real sshd, with real guests. Builds are not broken
# across hosts; links go down in several ways; daemons and hosts die; somebody else answers; the clocks differ by an hour.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Farm;
use JSON::PP;
use Test::More;

my $image  = Childhurd::need_image('linux');
my ($faketime) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
Childhurd::cannot('libfaketime is needed: apt-get install libfaketime') if !$faketime;
my $rounds = $ENV{CHILDHURD_FARM_ROUNDS} || 5;
my $farm   = Farm->new('farm', 'n1', 'n2');
my @nodes  = ('n1', 'n2');
my $port   = 10022;
my %d;

# --- the coordinator, and what it has to be told of ---
$d{farm} = Childhurd->new(guests => '', wrap => $farm->host('farm')->{wrap});
my $guix = "$d{farm}{dir}/guix";
mkdir $guix;
$d{farm}{daemon} = "guix-state-directory = $guix\n";
$d{farm}->configure('');
$d{farm}->start;
my $invitation = $d{farm}->ctl('node', 'invite');
like($invitation, qr/^\[coordinator farm\]\nssh-key = ssh-ed25519 /m, 'the coordinator says what nodes have to be told') or BAIL_OUT($invitation);
my ($key) = $invitation =~ /^ssh-key = (\S+ \S+)/m;

sub node_text {
    my ($name) = @_;
    my $host = $farm->host($name);
    return "[node $name]\nssh = root\@$host->{address}\nhost-key = $host->{sshd}{host_key}\nlost-after = 5s\n";
}

for my $name (@nodes) {
    my $host = $farm->host($name);
    $d{$name} = Childhurd->new(wrap => $host->{wrap}, daemon => "host-name = $host->{address}\n", guests => <<"END");
[guest a]
id = 0
image = $image
memory-size = 256M
listen-address = $host->{address}
parallel-builds = 2
probe-interval = 1s
END
    Childhurd::spew("$d{$name}{dir}/conf.d/coordinator.ini", $invitation);
    $d{$name}->start;
    $host->{sshd}->allow($key, "restrict,command=\"childhurdctl --socket $d{$name}{runtime}/control bridge --read-only\"");
}
$d{farm}->configure(join '', map { node_text($_) } @nodes);
$d{farm}->ctl('reload');
is($d{farm}{status}, 0, 'the coordinator gets its nodes');

sub node {
    my ($name) = @_;
    my ($reply) = $d{farm}->call('Nodes', {});
    return (grep { $_->{name} eq $name } @{ $reply->{nodes} // [] })[0] // {};
}

sub node_is {
    my ($name, $state, $what) = @_;
    my $good = $d{farm}->wait_until(90, "$name is $state", sub { (node($name)->{state} // '') eq $state });
    return ok($good, $what) || diag(JSON::PP->new->pretty->encode(node($name)));
}

# The guest of that node in the list that the coordinator's Guix reads.
sub is_listed { my ($name) = @_; return $d{farm}->machines =~ /\(name "\Q$farm->{hosts}{$name}{address}\E"\)\n  \(port $port\)/ }
sub listed {
    my ($name, $what) = @_;
    return ok($d{farm}->wait_until(90, "$name/a is listed", sub { is_listed($name) }), $what);
}
sub unlisted {
    my ($name, $what) = @_;
    return ok($d{farm}->wait_until(90, "$name/a is not listed", sub { !is_listed($name) }), $what);
}
sub take_slot { my ($name, $slot) = @_; return Childhurd::take_slot("$guix/offload/$farm->{hosts}{$name}{address}:$port", $slot) }
sub give_back { return Childhurd::give_back($_[0]) }

node_is($_, 'connected', "$_ is connected") for @nodes;
ok($d{$_}->wait_until(180, 'a is ready', sub { $d{$_}->state('a') eq 'ready' }), "$_ has its guest") for @nodes;
listed($_, "$_/a is listed on the coordinator, at the node's address") for @nodes;
for my $name (@nodes) {
    my $out = "$d{farm}{dir}/hello";
    unlink $out;
    waitpid $d{farm}->spawn($out, @{ $farm->host('farm')->{wrap} }, 'ssh', '-n', '-F', "$d{farm}{runtime}/ssh_config", '-o', 'BatchMode=yes', "$name/a", 'id -un'), 0;
    is(Childhurd::slurp($out), "offloading\n", "the coordinator's key leads into $name/a, as the user for builds");
}

# --- what people see ---
{
    my $all = $d{farm}->ctl('list', '--nodes');
    is($d{farm}{status}, 0, 'list --nodes');
    like($all, qr{^n1/a +ready .*^n2/a +ready }ms, '... has the guests of all nodes, as their own daemons show them');
    like($d{farm}->ctl('list', 'n2/*'), qr{\ANAME.*\nn2/a +ready[^\n]*\n\z}, 'list NODE/NAME, a pattern');
    like($d{farm}->ctl('status', 'n1/a'), qr{^n1/a: ready.*^  console }ms, 'status NODE/NAME');
    is(decode_json($d{farm}->ctl('status', '--json', 'n1/a'))->{guests}[0]{guest}{name}, 'n1/a', '... and as JSON');
    like($d{farm}->ctl('status', 'n1/b'), qr/b: there is no such guest/, 'an error of the node');
    is($d{farm}{status}, 1, '... is one here');
    like($d{farm}->ctl('status', 'n3/b'), qr/n3: there is no such node; childhurdctl node list shows all/, 'no such node');
    like($d{farm}->ctl('stop', 'n1/a'), qr{n1/a: is a guest of a node; childhurdctl --host \[USER\@\]HOST stop does it there}, 'other verbs say where they work');
    my $check = $d{farm}->ctl('check');
    like($check, qr{^ok +node n1: connected, 1 of its guests is ready$}m, 'check: the node');
    like($check, qr{^ok +node n2: the port of n2/a is reached at 10\.77\.0\.3$}m, '... and the way to its guest');
    like($d{n1}->ctl('check'), qr{^ok +farm: 1 of 1 guests listen where others reach them$}m, 'check on a node');
}

# --- builds on each node while the other is drained, and stopped ---
for my $name (@nodes) {
    my ($other) = grep { $_ ne $name } @nodes;
    my $build = take_slot($name, 0);
    ok($build, "a build of the coordinator on $name");
    $d{$other}->ctl('drain', 'a', '--wait', '--timeout', '60s');
    is($d{$other}{status}, 0, "... is not waited for by a drain on $other") or diag $d{$other}->log;
    unlisted($other, '... which takes its guest off the list here');
    ok(!take_slot($other, $_), "... and keeps its slot $_") for 0, 1;
    $d{$name}->ctl('drain', 'a');
    unlisted($name, "drained on $name, too");
    ok($d{farm}->wait_until(60, 'the other slot is held', sub { my $b = take_slot($name, 1) or return 1; give_back($b); 0 }), '... and its free slot is held');
    $d{$name}->ctl('drain', 'a', '--wait', '--timeout', '1s');
    is($d{$name}{status}, 4, '... which waits for the build, though no session of it is open');
    my $qemu = $d{$name}->qemu('a');
    $d{$name}->ctl('restart', 'a');
    is($d{$name}->state('a'), 'draining', '... as does a restart');
    $d{$name}->ctl('undrain', 'a');
    listed($name, '... that can be taken back');
    $d{$name}->ctl('stop', 'a');
    ok($d{farm}->wait_until(60, 'held', sub { my $b = take_slot($name, 1) or return 1; give_back($b); 0 }), 'a stop holds it again');
    is($d{$name}->qemu('a'), $qemu, '... and the guest runs on');
    give_back($build);
    ok($d{$name}->wait_until(90, 'a is stopped', sub { $d{$name}->state('a') eq 'stopped' }), '... until the build has ended');
    unlike($d{$name}->log, qr/a: (?:halt over SSH|power button): /, '... by halt over SSH');
    $d{$other}->ctl('undrain', 'a');
    $d{$name}->ctl('start', 'a');
    listed($_, "$_ is listed again") for @nodes;
    my $again;
    ok($d{farm}->wait_until(60, 'a free slot', sub { $again = take_slot($name, 0) }), '... with its slots');
    give_back($again);
}

# --- links that go down: nothing arrives, and what is sent is lost ---
$farm->cut('n1');
$farm->mute('n2');
$d{n1}->ctl('drain', 'a');
node_is('n1', 'connecting', 'a link that is silently dead is noticed');
node_is('n2', 'connecting', '... and one that is dead in one direction');
node_is($_, 'lost', "$_ is lost") for @nodes;
unlisted($_, "... and its guest off the list") for @nodes;
like($d{farm}->machines, qr/\(port 1\)/, '... but builds wait for them');
{
    my $check = $d{farm}->ctl('check');
    like($check, qr{^problem +node n1: is lost: .*; }m, '... which check reports');
    like($check, qr{^problem +node n2: the port of n2/a, 10022 at 10\.77\.0\.3, is not reached: }m, '... with the port');
    like($d{farm}->ctl('list', '--nodes'), qr/n1: it is lost: /, '... and list --nodes');
    is($d{farm}{status}, 1, '... as an error');
}
like($d{farm}->ctl('events'), qr/node n1: lost: no answer for 5s; its guest is off the list/, '... and that is an event');
is($d{n2}->state('a'), 'ready', 'the node goes on by itself');
$d{n1}->ctl('undrain', 'a');
$farm->mend($_) for @nodes;
node_is($_, 'connected', "$_ comes back by itself") for @nodes;
listed($_, '... with its guest') for @nodes;

# --- a slow one ---
$farm->slow('n1');
$d{n1}->ctl('drain', 'a');
unlisted('n1', 'over a slow link a change comes through');
$d{n1}->ctl('undrain', 'a');
listed('n1', '... and the next one');
is(node('n1')->{state}, 'connected', '... and it stays connected');
$farm->mend('n1');

# --- a daemon that is killed, a host that goes down ---
$d{n1}->end('KILL');
node_is('n1', 'connecting', 'a node whose daemon is killed is noticed');
ok(is_listed('n1'), '... but its guest stays listed for a while: it runs');
$d{n1}->start;
node_is('n1', 'connected', 'its next daemon is connected');
listed('n1', '... with the guest that it took over');

$farm->host('n2')->{sshd}->end;
$d{n2}->end('KILL');
kill 'KILL', $d{n2}->all_qemus;
node_is('n2', 'lost', 'a host that goes down is lost');
unlisted('n2', '... and its guest off the list');
$farm->host('n2')->{sshd}->start;
$d{n2}->start;
node_is('n2', 'connected', 'it is up again');
listed('n2', '... and its guest, when it has booted');

# --- somebody else answers at a node's address ---
{
    my $sshd = $farm->host('n2')->{sshd};
    $sshd->end;
    my $config = Childhurd::slurp("$sshd->{dir}/sshd_config");
    $sshd->key('impostor');
    Childhurd::spew("$sshd->{dir}/sshd_config", $config =~ s{^HostKey .*}{HostKey $sshd->{dir}/impostor}mr);
    $sshd->start;
    ok($d{farm}->wait_until(90, 'the impostor is seen', sub { (node('n2')->{why} // '') =~ /key/ }), 'an impostor is noticed') or diag explain node('n2');
    node_is('n2', 'lost', '... and gets nothing');
    unlisted('n2', '... nor is anything of it listed');
    ok(is_listed('n1'), '... which is no matter for others');
    $sshd->end;
    Childhurd::spew("$sshd->{dir}/sshd_config", $config);
    $sshd->start;
    node_is('n2', 'connected', 'the real one is connected again');
}

# --- clocks that differ by an hour ---
$d{n1}->end;
$d{n1}{environment} = { LD_PRELOAD => $faketime, FAKETIME => '+1h', FAKETIME_DONT_FAKE_MONOTONIC => 1, FAKETIME_DISABLE_SHM => 1 };
$d{n1}->start;
node_is('n1', 'connected', 'a node an hour ahead is connected');
ok($d{farm}->wait_until(60, 'the skew', sub { abs((node('n1')->{skew} // 0) - 3600) < 60 }), '... and the difference is shown') or diag explain node('n1');
listed('n1', '... and its guest is listed');
like($d{farm}->ctl('check'), qr{^note +node n1: its clock is 3\d\d\d s ahead of this host's}m, '... and noted by check');
$d{n1}->end;
delete $d{n1}{environment};
$d{n1}->start;

# --- the coordinator is killed, again and again ---
listed($_, "$_ is listed") for @nodes;
for my $round (1 .. $rounds) {
    $d{farm}->end('KILL');
    my ($before) = $d{farm}->machines;
    like($before, qr/\A;; Written.*\)\)\n\z/s, "killed ($round of $rounds): a whole list is left");
    $d{farm}->start;
    unlike($d{farm}->machines, qr/\A[^(]*\(list\)/, '... the next daemon publishes no empty one');
    listed($_, "... and has $_ back") for @nodes;
}
is($d{$_}->state('a'), 'ready', "$_ has noticed nothing") for @nodes;

# --- a coordinator that is no longer one ---
unlink "$d{n1}{dir}/conf.d/coordinator.ini";
like($d{n1}->ctl('reload'), qr/coordinator farm: /, 'taken out of the configuration, it is said what that means');
like($d{n1}->ctl('status', 'a'), qr/coordinator/, '... and status shows what waits for a restart');
$d{farm}->configure(node_text('n2'));
$d{farm}->ctl('reload');
unlisted('n1', 'a node that is taken out has no guest in the list any more');
ok(is_listed('n2'), '... and the other one has');
$d{$_}->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s') for @nodes;
done_testing;
