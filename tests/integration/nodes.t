# SPDX-License-Identifier: GPL-3.0-or-later
# A coordinator and its nodes: one with a real guest, behind a real sshd, and one whose bridge sends what the test wants.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use JSON::PP;
use Sshd;
use Test::More;
use Time::HiRes qw(sleep time);

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my $sshd  = Sshd->new;
my $fakes = Sshd->new;
my $json  = JSON::PP->new->canonical;

# --- a coordinator without guests ---
my $c = Childhurd->new(guests => '', environment => { HOME => "$sshd->{dir}/nobody" });
$c->start;
is($c->ctl('list') =~ /no guest is configured/ ? 1 : 0, 1, 'a daemon needs no guests');
like($c->ctl('node', 'list'), qr/^no node is configured; add a \[node NAME\]/, '... nor nodes');
my $invitation = $c->ctl('node', 'invite');
my ($key) = $invitation =~ /^ssh-key = (\S+ \S+)/m;
ok($key, 'it has a key for its nodes') or BAIL_OUT($invitation);

# --- the node ---
my $n = Childhurd->new(guests => <<"END");
[defaults]
image = $image
memory-size = 256M
[guest a]
id = $id
[guest b]
id = @{[$id + 1]}
autostart = no
$invitation
END
$n->start;
$sshd->allow($key, "restrict,command=\"childhurdctl --socket $n->{runtime}/control bridge --read-only\"");

# --- the other node's bridge: it sends $said, and then is silent ---
my $said = "$fakes->{dir}/said";
Childhurd::spew("$fakes->{dir}/bridge", <<"END", 0755);
#!/usr/bin/perl
\$| = 1;
open my \$f, '<', '$said' or die "no daemon here\\n";
open my \$pid, '>', '$fakes->{dir}/pid' or die;
print \$pid \$\$;
close \$pid;
local \$/;
my \$text = <\$f>;
if (\$text =~ s/^older\n//) {
    sysread STDIN, my \$call, 4096;
    \$text = qq({"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"coordinator"}}\\0) if \$call =~ /coordinator/;
}
print \$text;
1 while sysread STDIN, my \$rest, 4096;
END
$fakes->allow($key, "restrict,command=\"$fakes->{dir}/bridge\"");

sub machine {
    my ($name, $port, %more) = @_;
    return { name => $name, host_name => 'evil.example', port => $port, user => 'offloading', private_key => '/etc/shadow', host_keys => [$sshd->{host_key}],
        systems => ['i586-gnu'], features => [], parallel_builds => 1, speed => 1.5, overload_threshold => 1.8, %more };
}

# Have the fake bridge, in its next session, send these machines, or a text. Ends the present session.
sub say_there {
    my ($what) = @_;
    my $text = ref $what ? $json->encode({ continues => JSON::PP::true, parameters => { machines => $what, text => undef, time => time, version => '9.9', builds => 2, guests => 7 } }) . "\0" : $what;
    Childhurd::spew("$said.new", $text);
    rename "$said.new", $said;
    my $pid = Childhurd::slurp("$fakes->{dir}/pid");
    unlink "$fakes->{dir}/pid";
    kill 'TERM', $pid if $pid;
    $c->ctl('reload');    # else the next try is some seconds away
}

sub configure {
    my (%o) = @_;
    my $real = $o{real} // "ssh = root\@127.0.0.1:$sshd->{port}\nhost-key = $sshd->{host_key}\nlost-after = 3s";
    my $fake = $o{fake} // "ssh = root\@127.0.0.1:$fakes->{port}\naddress = 192.0.2.9\nlost-after = 2s";
    $c->configure(($real ? "[node real]\n$real\n" : '') . ($fake ? "[node fake]\n$fake\n" : ''));
    my $said = $c->ctl('reload');
    is($c->{status}, 0, "reload: $said") or diag $said;
    return $said;
}
sub node { my ($name) = @_; my ($reply) = $c->call('Nodes', {}); return (grep { $_->{name} eq $name } @{ $reply->{nodes} // [] })[0] // {} }
sub is_state { my ($name, $state) = @_; return $c->wait_until(60, "$name is $state", sub { node($name)->{state} eq $state }) || do { diag $json->pretty->encode(node($name)); 0 } }
sub lists { my ($pattern) = @_; return $c->wait_until(60, "machines.scm is like $pattern", sub { $c->machines =~ $pattern }) || do { diag $c->machines; 0 } }

# --- connected ---
say_there([machine('x', 2201), machine('y', 2202)]);
like(configure(), qr/node real: added.*node fake: added/s, 'nodes are added by a reload');
ok(is_state('real', 'connected'), 'connected to a node, by a forced command');
like(node('fake')->{why}, qr/nobody\/\.ssh\/known_hosts has no host key of \[127\.0\.0\.1\]:$fakes->{port}; write host-key into its section/, 'without a host key, none is trusted');
Childhurd::spew("$sshd->{dir}/nobody/.ssh/known_hosts", "# known\n\@revoked * $sshd->{host_key}\n[127.0.0.1]:$fakes->{port} $fakes->{host_key} comment\n");
ok(is_state('fake', 'connected'), '... but one that the daemon\'s user knows');
like($c->log, qr/ node real: connected$/m, 'that is logged');
like($c->ctl('events'), qr/node fake: connected/, '... and an event');

ok(lists(qr{;; fake/x\n}), 'the guests of a node are listed');
my $scm = $c->machines;
like($scm, qr{;; fake/y\n \(build-machine\n  \(name "192\.0\.2\.9"\)\n  \(port 2202\)}, '... at the address that is configured');
unlike($scm, qr/evil|shadow/, '... whatever the node says');
like($scm, qr{\(private-key "\Q$c->{state}\E/nodes/key(?:\.guix)?"\)}, '... with the key of the coordinator');
like(Childhurd::slurp("$c->{runtime}/known_hosts"), qr{^fake/x,\[192\.0\.2\.9\]:2201 \Q$sshd->{host_key}\E$}m, '... and in known_hosts');

ok($n->wait_until(180, 'a is ready', sub { $n->state('a') eq 'ready' }), 'the node has a guest');
ok(lists(qr{;; real/a\n}), '... which the coordinator lists');
is($c->ssh('real/a', 'echo in the guest'), "in the guest\n", 'ssh NODE/NAME leads into the guest, with the coordinator\'s key');

# --- what people see ---
my $list = $c->ctl('node', 'list');
like($list, qr/^NAME +STATE +FOR +READY +BUILDS +VERSION +SKEW +WHY$/m, 'node list');
like($list, qr/^real +connected +\S+ +1 of 2 +0 +\d\S+ +[+-]0\.\d\ds$/m, '... of a daemon');
like($list, qr/^fake +connected +\S+ +2 of 7 +2 +9\.9 /m, '... and of the other');
is(JSON::PP::decode_json($c->ctl('node', 'list', '--json'))->{nodes}[0]{name}, 'real', 'node list --json');
like($c->ctl('list', 'real/*', 'real/aa'), qr{^real/a +ready.*^childhurdctl: real/aa: there is no such guest; did you mean real/a[?]$}ms, 'a wrong name: the node\'s others are shown');
is($c->{status}, 1, '... with exit status 1');
my $metrics = $c->ctl('metrics');
like($metrics, qr/^childhurd_node_$_$/m, "metrics: $_") for 'up\{node="real"\} 1', 'guests_ready\{node="fake"\} 2', 'builds\{node="fake"\} 2', 'clock_skew_seconds\{node="real"\} -?(?:0\.\d+|[\d.]+e-\d+)';
like($c->ctl('machines'), qr{;; real/a\n.*;; fake/x\n}s, 'machines: those of all nodes');
is($n->ctl('machines') =~ /fake/ ? 1 : 0, 0, 'the node has its own');

# --- a change is there at once ---
{
    my @took;
    for (1 .. 5) {
        my $begun = time;
        $n->ctl('drain', 'a');
        my $drained = time;
        ok(lists(qr/\A(?!.*real\/a)/s), 'drained on the node: off the list');
        push @took, time - $drained;
        $n->ctl('undrain', 'a');
        ok(lists(qr{;; real/a\n}), '... and back');
    }
    my ($median) = (sort { $a <=> $b } @took)[2];
    cmp_ok($median, '<', 0.2 * Childhurd::slowness(), sprintf('a change is in the list within 200 ms of an idle machine (%d ms)', 1000 * $median));
}

# --- a daemon that is older by one version: it has no coordinators yet ---
say_there("older\n" . $json->encode({ continues => JSON::PP::true, parameters => { machines => [machine('old', 2203)], text => undef } }) . "\0");
ok(lists(qr{;; fake/old\n}), 'the list of an older daemon is taken');
is(node('fake')->{state}, 'connected', '... which stays connected');

# --- nonsense ---
my %nonsense = (
    'a name with a quote'         => [ [ machine('a"b', 2201) ], qr/its list is refused: name: "a\\"b" is not a name/ ],
    'a name of another node'      => [ [ machine('../real/a', 2201) ], qr/refused: name: / ],
    'a line end in the user'      => [ [ machine('a', 2201, user => "a\nHost *") ], qr/refused: a: user: / ],
    'a port that is none'         => [ [ machine('a', 65536) ], qr/refused: a: port: 65536 is not from 1 to 65535/ ],
    'two guests at one port'      => [ [ machine('a', 2201), machine('b', 2201) ], qr/refused: b: port: 2201 is that of a, too/ ],
    'no host key'                 => [ [ machine('a', 2201, host_keys => []) ], qr/refused: a: host_keys: / ],
    'a host key with a command'   => [ [ machine('a', 2201, host_keys => ["$sshd->{host_key} x"]) ], qr/refused: a: host_keys: / ],
    'Scheme in a system'          => [ [ machine('a', 2201, systems => ['i586-gnu") (exit)']) ], qr/refused: a: systems: / ],
    'one bad guest of many'       => [ [ (map { machine("g$_", 2200 + $_) } 1 .. 50), machine('a', -1) ], qr/refused: a: port: -1/ ],
    'too many guests'             => [ [ map { machine("g$_", $_) } 1 .. 1001 ], qr/refused: machines: has more than 1000 guests/ ],
    'a shell\'s greeting'         => [ "Welcome to fake!\n\0", qr/what answers there is no daemon; it said: Welcome to fake!/ ],
    'an endless line'             => [ 'x' x (5 << 20), qr/its list has more than 4 MiB/ ],
    'an error of an older daemon' => [ qq({"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"follow"}}\0), qr/does not send its list \(org\.varlink\.service\.InvalidParameter\)/ ],
);
for my $what (sort keys %nonsense) {
    my ($text, $why) = @{ $nonsense{$what} };
    say_there([machine('x', 2201), machine('y', 2202)]);
    ok(is_state('fake', 'connected'), "before $what");
    ok(lists(qr{;; fake/x\n}), '... the guests are listed');
    my $mark = length $c->log;
    say_there($text);
    ok($c->wait_until(10, "$what is refused", sub { (node('fake')->{why} // '') =~ $why }), "$what is refused") or diag node('fake')->{why};
    like(substr($c->log, $mark), qr{its 2 guests stay listed for 2s}, '... and the last good list is kept') if $what eq 'a name with a quote';
    like($c->machines, qr{;; real/a\n}, '... the other node stays listed');
}
# --- list after list ---
{
    my $list = sub { $json->encode({ continues => JSON::PP::true, parameters => { machines => [machine('x', $_[0])], text => undef } }) . "\0" };
    say_there(join '', map { $list->(2000 + $_ % 2) } 1 .. 10_000);
    ok(is_state('fake', 'connected'), 'ten thousand lists at once');
    ok(lists(qr{;; fake/x\n.*\(port 2000\)}s), '... of which the last one counts');
    like($c->machines, qr{;; real/a\n}, '... and the other node stays listed');
    say_there('nonsense' . "\0");
}
ok(is_state('fake', 'lost'), 'the node is lost when it sends nothing good');
like($c->log, qr/ node fake: lost: no answer for 2s; its guest is off the list$/m, '... which is reported');
unlike($c->machines, qr{fake/}, '... and its guests are off the list');
say_there([machine('x', 2201)]);
ok(is_state('fake', 'connected'), 'it comes back by itself');
ok(lists(qr{;; fake/x\n}), '... with its guests');
unlink $said;
kill 'TERM', Childhurd::slurp("$fakes->{dir}/pid");
ok($c->wait_until(60, 'no daemon', sub { (node('fake')->{why} // '') =~ /the bridge there has ended: no daemon here/ }), 'what a bridge says on stderr is the reason') or diag node('fake')->{why};

# --- the node's daemon is killed, and back ---
{
    my $mark = length $c->log;
    $n->end('KILL');
    ok($c->wait_until(60, 'no link', sub { substr($c->log, $mark) =~ / node real: no longer connected: .*; its guest stays listed for 3s$/m }), 'a daemon that is killed is noticed');
    like($c->machines, qr{;; real/a\n}, '... and its guest stays listed');
    ok(is_state('real', 'lost'), '... until lost-after');
    # No other guest is ready: builds wait for these.
    ok(lists(qr{;; real/a is not ready: nothing listens at this port, builds wait\n.*\(port 1\)}s), 'off the list, but with no other guest it is not empty');
    $n->start;
    ok(is_state('real', 'connected'), 'the next daemon is found');
    ok(lists(qr{;; real/a\n}), '... with its guest');
}

# --- the coordinator is killed ---
{
    $c->end('KILL');
    $c->start;
    unlike($c->machines, qr/\(list\)/, 'a coordinator that begins does not forget what it listed');
    ok(is_state('real', 'connected'), '... and is connected again');
    ok(lists(qr{;; real/a\n}), '... with the guest');
}

# --- an impostor ---
{
    my $pid = node('real')->{since};
    like(configure(real => "ssh = root\@127.0.0.1:$sshd->{port}\nhost-key = $fakes->{host_key}\nlost-after = 2s"), qr/node real: changed/, 'another host key is configured');
    ok($c->wait_until(60, 'an impostor', sub { (node('real')->{why} // '') =~ /an impostor answers: its host key is \S+ SHA256:\S+, configured was \S+ SHA256:/ }), '... and what answers with the old one is an impostor') or diag node('real')->{why};
    ok(is_state('real', 'lost'), '... and lost');
    configure();
    ok(is_state('real', 'connected'), 'the right key again');
}

# --- what needs no new link ---
{
    my $since = node('real')->{since};
    like(configure(real => "ssh = root\@127.0.0.1:$sshd->{port}\nhost-key = $sshd->{host_key}\nlost-after = 1h\naddress = node.example"), qr/node real: changed/, 'another address and lost-after');
    ok(lists(qr{;; real/a\n \(build-machine\n  \(name "node\.example"\)}), '... are in the list');
    is(node('real')->{since}, $since, '... and the link stays');
    like(configure(), qr/node real: changed/, 'and back');
}

# --- a daemon that hangs, and a link that is dead ---
SKIP: {
    skip 'takes two minutes; CHILDHURD_LONG=1', 2 unless $ENV{CHILDHURD_LONG};
    kill 'STOP', $n->{pid};
    ok($c->wait_until(150, 'silent', sub { (node('real')->{why} // '') =~ /the daemon there has sent no list for 75 s; does it hang\?/ }), 'a daemon that hangs is noticed');
    kill 'CONT', $n->{pid};
    ok(is_state('real', 'connected'), '... and found again');
}
{
    my ($session) = grep { Childhurd::slurp("/proc/$_/cmdline") =~ /^sshd: / } Sshd::sessions($sshd->{pid});
    kill 'STOP', Sshd::sessions($sshd->{pid});
    ok($c->wait_until(60, 'silent', sub { (node('real')->{why} // '') =~ /the node has given no sign of life for 30 s/ }), 'a link without a sign of life is noticed') or diag node('real')->{why};
    kill 'CONT', Sshd::sessions($sshd->{pid});
    ok(is_state('real', 'connected'), '... and made again');
}

# --- a node at the address of another ---
{
    my $port = $n->guests->{a}{port};
    say_there([machine('thief', $port), machine('z', 2204)]);
    like(configure(fake => "ssh = root\@127.0.0.1:$fakes->{port}\naddress = 127.0.0.1\nlost-after = 2s"), qr/node fake: changed/, 'a node gets the address of another');
    ok(lists(qr{;; fake/z\n}), '... and its guests are listed');
    unlike($c->machines, qr{fake/thief}, '... but not the one at a port that the other has');
    like($c->machines, qr{;; real/a\n}, '... who keeps its place');
    configure();
}

# --- away ---
like(configure(fake => ''), qr/node fake: removed; its guests are off the list/, 'a node is taken out');
unlike($c->machines, qr{fake/}, '... and its guests with it');
ok($c->wait_until(60, 'no list', sub { !-e "$c->{state}/nodes/fake.list" }), '... and what was kept of it');
is($c->end, 0, 'the coordinator ends');
$n->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
done_testing;
