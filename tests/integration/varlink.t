# SPDX-License-Identifier: GPL-3.0-or-later
# The control socket as other Varlink programs see it. Every method and every error of the interface is met, and each
# answer has to be as the interface's description says; then two foreign clients, systemd's varlinkctl and Python's
# varlink, introspect and call a daemon with a guest.
use strict;
use warnings;
use Childhurd;
use JSON::PP;
use MIME::Base64;
use POSIX ();
use Test::More;
use Varlink;

$> == 0 or Childhurd::cannot('this takes root: clients are other users, or run in a root of their own');
my $image = Childhurd::need_image('linux');
my $root  = Childhurd::need_image('varlink');
my $id    = Childhurd::free_id(2);
my $d     = Childhurd->new(guests => <<"INI")->start;
[guest here]
id = $id
image = $image
memory-size = 256M
[guest there]
id = @{[ $id + 1 ]}
image = $image
autostart = no
INI
my $socket = "$d->{runtime}/control";
my $text   = Childhurd::slurp('service/org.childhurd.varlink');

# --- foreign clients ---

# A program of the folder `varlink`, in which /run is the daemon's: its output, stdout and stderr; $? is its status.
sub foreign {
    my (@argv) = @_;
    my $out = "$d->{dir}/foreign";
    unlink $out;
    my $pid = $d->spawn($out, qw(timeout -k 5 330 unshare --mount --propagation private sh -c),
        'mount --bind "$1" "$2/run" && mount -t proc proc "$2/proc" && root=$2 && shift 2 && ' .
          'exec env -i PATH=/usr/bin:/usr/sbin LC_ALL=C.UTF-8 chroot "$root" "$@"',
        'sh', $d->{runtime}, $root, @argv);
    waitpid $pid, 0;
    return Childhurd::slurp($out);
}

sub python {
    my ($script) = @_;
    open my $f, '>', "$d->{runtime}/script.py" or die "script.py: $!";
    print $f "import json, varlink\nwith varlink.Client.new_with_address('unix:/run/control') as client, " .
        "client.open('org.childhurd') as hird:\n" . join '', map { "    $_\n" } split /\n/, $script;
    close $f;
    return foreign('python3', '/run/script.py');
}

# It boots meanwhile, so that there is something to tell.
my $out = foreign(qw(varlinkctl -j --more --timeout=310 call unix:/run/control org.childhurd.Wait), '{"names":["here"],"state":"ready","timeout":300}');
is($?, 0, 'varlinkctl --more call Wait') or diag($out);
my @states = map { decode_json($_)->{guests}[0]{state} } grep { /^\{/ } split /[\x1e\n]+/, $out;
cmp_ok(scalar @states, '>', 1, '... has a reply for each change') or diag($out);
is($states[-1], 'ready', '... and ends when the guest is ready') or BAIL_OUT($d->log);

like($out = foreign(qw(varlinkctl info unix:/run/control)), qr/Product: childhurdd\n.*Version: \S+\n.*org\.childhurd\n/s, 'varlinkctl info')
    or diag($out);
is(foreign(qw(varlinkctl list-interfaces unix:/run/control)), "org.childhurd\norg.varlink.service\n", 'varlinkctl list-interfaces');
$out = foreign(qw(varlinkctl list-methods unix:/run/control org.childhurd));
my @methods = $text =~ /^method (\w+)\(/mg;
is_deeply([ sort $out =~ /org\.childhurd\.(\w+)/g ], [ sort @methods ], 'varlinkctl list-methods');
$out = foreign(qw(varlinkctl introspect unix:/run/control org.childhurd));
is($?, 0, 'varlinkctl introspect') or diag($out);
like($out, qr/method $_\s*\(/, "... has $_") for @methods;
like($out, qr/# Names may be shell patterns/, '... and the comments');
is(foreign(qw(varlinkctl introspect unix:/run/control)) =~ /interface org\.varlink\.service/ ? $? : 1, 0, '... also of all interfaces');
system 'cp', 'service/org.childhurd.varlink', "$d->{runtime}/idl";
$out = foreign(qw(varlinkctl validate-idl /run/idl));
is($?, 0, 'varlinkctl has nothing to say against the description') or diag($out);

$out = foreign(qw(varlinkctl -j call unix:/run/control org.childhurd.List), '{}');
my $listed = eval { decode_json($out)->{guests} } // [];
is_deeply([ map { $_->{name} } @$listed ], [ 'here', 'there' ], 'varlinkctl call List') or diag($out);
$out = foreign(qw(varlinkctl call unix:/run/control org.childhurd.Status), '{"names":["nobody"]}');
isnt($?, 0, 'varlinkctl call, an error');
like($out, qr/org\.childhurd\.NoSuchGuest/, '... shows its name');
like($out, qr/"name"\s*:\s*"nobody"/, '... and its parameters');
$out = foreign(qw(varlinkctl call unix:/run/control org.childhurd.Stop), '{"name":"here"}');
like($out, qr/org\.varlink\.service\.InvalidParameter|Invalid argument/, 'varlinkctl call, an unknown parameter');
$out = foreign(qw(varlinkctl -j --more call unix:/run/control org.childhurd.Events), '{"since":1}');
is($?, 0, 'varlinkctl --more call Events') or diag($out);
like($out, qr/"text":"autostart"/, '... has what happened');

$out = python(<<'PY');
print([guest['name'] for guest in hird.List()['guests']])
print([guest['state'] for guest in hird.List(names=['h*'])['guests']])
for reply in hird.Wait(names=['here'], state='ready', _more=True): print('waited for', len(reply['guests']))
print(hird.Ssh('here')['user'], hird.Check()['findings'][0]['result'])
try: hird.Status(['nobody'])
except varlink.VarlinkError as e: print(e.error(), json.dumps(e.parameters()))
try: hird.Wait(names=['here'], state='nowhere')
except varlink.VarlinkError as e: print(e.error(), e.parameters()['parameter'])
PY
is($out, <<'OUT', "Python's varlink");
['here', 'there']
['ready']
waited for 1
root ok
org.childhurd.NoSuchGuest {"name": "nobody"}
org.childhurd.InvalidValue state
OUT

# --- every method, every error ---

my $v = Varlink->new($socket, $text, <<'IDL');
interface org.varlink.service
method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)
method GetInterfaceDescription(interface: string) -> (description: string)
error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
IDL
my $hird = 'org.childhurd';
my $own  = 'org.varlink.service';

# The error that a call is answered with, without its interface when that is the hird's; '' for none.
sub fails {
    my ($method, $parameters, $client) = @_;
    my (undef, $error) = ($client // $v)->call($method, $parameters);
    return ($error // '') =~ s/^\Q$hird\E\.//r;
}

my %event = (number => 1, time => 1.5, guest => undef, state => 'ready', text => 'a');
is(join(' ', map { eval { $v->check($v->{interfaces}{$hird}, 'Event', $_, 'it'); 1 } ? 'taken' : 'refused' }
      \%event, { %event, more => 1 }, { %event, number => 1.5 }, { %event, text => 1 }, { %event, text => undef }),
    'taken refused refused refused refused', 'what is not as described is refused here');

my ($info) = $v->call("$own.GetInfo", {});
is_deeply($info->{interfaces}, [ $own, $hird ], 'GetInfo');
my ($described) = $v->call("$own.GetInterfaceDescription", { interface => $hird });
is($described->{description}, $text, 'the description is the one in the sources');
($described) = $v->call("$own.GetInterfaceDescription", { interface => $own });
my $theirs = Varlink->new($socket, $described->{description});
is_deeply($theirs->{interfaces}{$own}, $v->{interfaces}{$own}, 'org.varlink.service is described as in its specification');
like(join('', map { Childhurd::slurp("service/ctl/$_.c") } qw(main node)), qr/\{"$_",/, "$_ is a verb of childhurdctl, or a task of its verb node")
    for map { lc } grep { !/^(?:List|Status|ReadOnly|Held|Nodes|AskNode|HistoryScreenshot)$/ } @methods;

my ($list) = $v->call("$hird.List", {});
is(scalar @{ $list->{guests} }, 2, 'List');
my ($status) = $v->call("$hird.Status", { names => [] });
is($status->{guests}[0]{steps}[0]{name}, 'banner', 'Status, with the steps of a probe');
my ($ssh) = $v->call("$hird.Ssh", { name => 'here' });
like(`ssh-keygen -F here -f $ssh->{known_hosts}`, qr/\Q$ssh->{host_keys}[0]\E/, 'Ssh: the host keys are those in known_hosts');
my $command = "ssh -n -F none -i $ssh->{identity_file} -p $ssh->{port} -l $ssh->{user} -o HostKeyAlias=$ssh->{name} " .
    "-o StrictHostKeyChecking=yes -o UserKnownHostsFile=$ssh->{known_hosts} $ssh->{address} echo logged in";
is(`$command`, "logged in\n", '... and with them one is logged in');
my ($machines) = $v->call("$hird.Machines", {});
is($machines->{machines}[0]{name}, 'here', 'Machines');
my ($nodes) = $v->call("$hird.Nodes", {});
is_deeply($nodes->{nodes}, [], 'Nodes: it has none');
my $follower = $v->another;
$follower->send_call("$hird.Machines", { follow => JSON::PP::true }, more => 1);
my ($followed, undef, $goes_on) = @{ $follower->answer("$hird.Machines") };
is_deeply($followed->{machines}, $machines->{machines}, 'Machines, followed: the same list');
ok($goes_on && !defined $followed->{text} && $followed->{guests} == 2, '... for a coordinator');
my ($events) = $v->call("$hird.Events", {});
cmp_ok(scalar @{ $events->{events} }, '>', 3, 'Events');
my ($log) = $v->call("$hird.Log", { name => 'here', lines => 2 });
is($log->{text} =~ tr/\n//, 2, 'Log');
my ($shot) = $v->call("$hird.Screenshot", { name => 'here' });
like(decode_base64($shot->{png}), qr/^\x89PNG/, 'Screenshot');
my $history = $v->another;
$history->send_call("$hird.History", { names => ['h*'], since => 0, kinds => [qw(boot state figures)] }, more => 1);
my @records;
while (my $answer = $history->answer("$hird.History")) {
    push @records, @{ $answer->[0]{records} };
    last unless $answer->[2];
}
is_deeply([ sort keys %{ { map { $_->{kind} => 1 } @records } } ], [qw(boot figures state)], 'History: the kinds that were asked for');
is_deeply([ sort keys %{ { map { $_->{guest} => 1 } @records } } ], ['here'], '... of the guests');
my ($metrics) = $v->call("$hird.Metrics", {});
like($metrics->{text}, qr/^childhurd_guests\{state="ready"\} 1$/m, 'Metrics');
my ($check) = $v->call("$hird.Check", {});
is_deeply([ grep { $_->{text} =~ /\Q$d->{file}\E: 2 guests$/ } @{ $check->{findings} } ], [ { result => 'ok', text => "$d->{file}: 2 guests" } ],
    'Check: of the file that the daemon was started with');
ok((grep { $_->{result} eq 'ok' && $_->{text} =~ /^here: port \d+ is its own, it runs/ } @{ $check->{findings} }),
    '... where the ports of a guest that runs are its own');
my $shown = $d->ctl('check');
like($shown, qr/^ok       \Q$d->{file}\E: 2 guests$/m, 'childhurdctl check: likewise');
is($d->{status}, $check->{good} ? 0 : 1, '... with the status that says whether it is good');
my $changed = qr/was changed after the daemon read it/;
is((grep { $_->{text} =~ $changed } @{ $check->{findings} }), 0, 'Check: the daemon has what is in the file');
utime time, time + 1, $d->{file};
($check) = $v->call("$hird.Check", {});
is((grep { $_->{text} =~ $changed } @{ $check->{findings} }), 1, '... and says when it may have not');
my ($reload) = $v->call("$hird.Reload", {});
is_deeply($reload->{messages}, ['nothing has changed'], 'Reload');
Childhurd::spew("$d->{state}/nodes/key", 'no key');
is(fails("$hird.Invite", {}), 'InviteFailed', 'Invite, with what is no key in its place');
unlink "$d->{state}/nodes/key";
my ($invite) = $v->call("$hird.Invite", {});
like($invite->{ssh_key}, qr/^ssh-ed25519 \S+ childhurd@\Q$invite->{name}\E$/, 'Invite');

is(fails("$hird.Drain",   { names => ['here'] }), '', 'Drain');
is(fails("$hird.Undrain", { names => ['here'] }), '', 'Undrain');
is(fails("$hird.Reset",   { names => ['there'], cold => JSON::PP::true }), '', 'Reset');
is(fails("$hird.Sleep",   { names => ['there'] }), '', 'Sleep');
is(fails("$hird.Stop",    { names => ['there'] }), '', '... and its end');
Childhurd::limited(10, 'the last record is written', sub { mkdir "$d->{state}/there/state.new" });    # in the way of the next one
is(fails("$hird.Drain", { names => ['there'] }), 'NotKept', 'Drain, and the record cannot be written');
rmdir "$d->{state}/there/state.new";
is(fails("$hird.Undrain", { names => ['there'] }), '', '... and when it can');
is(fails("$hird.NoSuch", {}), "$own.MethodNotFound",     'no such method');
is(fails('org.other.List', {}), "$own.InterfaceNotFound", 'no such interface');
is(fails("$hird.Status", { names => ['x*'] }), 'NoSuchGuest', 'no such guest');
is(fails("$hird.AskNode", { node => 'x', method => "$hird.List" }), 'NoSuchNode', 'no such node');
is(fails("$hird.HistoryScreenshot", { id => 99 }), 'NoHistory', 'a picture that there is not');
is(fails("$hird.HistoryScreenshot", {}), "$own.InvalidParameter", '... and one without an id');
is(fails("$hird.History", {}), "$own.ExpectedMore", 'History without more');
is(fails("$hird.History", { kinds => ['odd'] }), 'InvalidValue', 'a kind of records that is none');
is(fails("$hird.History", { since => 2, until => 1 }), 'InvalidValue', 'a time that ends before it begins');
is(fails("$hird.History", { names => 'here' }), "$own.InvalidParameter", 'names that are no array');
is(fails("$hird.Screenshot", { name => 'there' }), 'NotPossible', 'a picture of one that is stopped');
is(fails("$hird.Wait", { names => ['there'], state => 'ready' }), 'WaitFailed', 'waiting for one that is stopped');
is(fails("$hird.Wait", { names => ['here'], state => 'stopped', timeout => 0.01 }), 'TimedOut', 'waiting for what does not happen');
is(fails("$hird.Wait", { names => ['here'], state => 'odd' }), 'InvalidValue', 'a state that is none');
is(fails("$hird.Wait", { names => ['here'] }), "$own.InvalidParameter", 'a parameter that is missing');
is(fails("$hird.Log", { name => 1 }), "$own.InvalidParameter", 'one of another type');
is(fails("$hird.Stop", { name => 'here' }), "$own.InvalidParameter", 'one that is unknown');
is(fails("$hird.Stop", {}), "$own.InvalidParameter", 'and no names at all do not stop all guests');
is(fails("$hird.Log", { name => 'here', follow => JSON::PP::true }), "$own.ExpectedMore", 'what goes on, without more');
my $good = Childhurd::slurp($d->{file});
$d->configure("[guest here]\nid = nonsense\n");
is(fails("$hird.Reload", {}), 'ConfigurationErrors', 'a bad configuration');
($check) = $v->call("$hird.Check", {});
ok(!$check->{good} && (grep { $_->{result} eq 'problem' && $_->{text} =~ /nonsense/ } @{ $check->{findings} }), '... is what Check finds, too');
open my $f, '>', $d->{file} or die;
print $f $good;
close $f;

# Another user: he may look, and has a limit.
chmod 0666, $socket;
chmod 0755, $d->{dir};
my ($nobody, $nogroup) = (getpwnam 'nobody')[2, 3];
my $child = open(my $from, '-|') // die "fork: $!";
if (!$child) {
    $) = "$nogroup $nogroup";
    $( = $nogroup;
    $< = $> = $nobody;
    my $other = $v->another;
    print 'looks: ', eval { fails("$hird.List", {}, $other) } // $@, "\n";
    print 'stops: ', eval { fails("$hird.Stop", { names => [] }, $other) } // $@, "\n";
    my @others = map { $v->another } 1 .. 64;
    $_->connect for @others;
    print 'crowds: ', eval { ($others[-1]->answer("$hird.List")->[1] // '') =~ s/.*\.//r } // $@, "\n";
    print "seen: $_\n" for keys %{ $other->{seen} };
    close STDOUT;
    POSIX::_exit(0);
}
my @told = <$from>;
close $from;
is_deeply([ grep { !/^seen/ } @told ], [ "looks: \n", "stops: PermissionDenied\n", "crowds: Busy\n" ], 'another user looks, changes nothing, and does not crowd out others');
/^seen: (.*)/ and $v->{seen}{$1} = 1 for @told;

# Bytes that are no call: an error that says so, and the end; the daemon lives.
for my $bytes ('GET / HTTP/1.1', '{}', '[1]', '{"method":1}', '{"method":"org.childhurd.List","parameters":[]}', "{\"method\":\"\xff\"}", '') {
    my $other = $v->another;
    $other->write("$bytes\0");
    is(eval { $other->answer($hird)->[1] } // $@, "$hird.InvalidValue", "'" . ($bytes =~ s/[^ -~]/?/gr) . "' is no call");
    is($other->read, undef, '... and ends the connection');
}
my $quiet = $v->another;
$quiet->send_call("$hird.List", {}, oneway => 1);
my ($after) = $quiet->call("$own.GetInfo", {});
is($after->{product}, 'childhurdd', 'a call that wants no reply gets none');

is(fails("$hird.Restart", { names => ['here'], now => JSON::PP::true }), '', 'Restart');
is(fails("$hird.Stop", { names => ['here'], now => JSON::PP::true }), '', 'Stop');
my @replies = $v->more("$hird.Wait", { names => ['here'], state => 'stopped', timeout => 120 });
is($replies[-1][0]{guests}[0]{state}, 'stopped', 'Wait');
is(fails("$hird.Start", { names => ['there'] }), '', 'Start');
is(fails("$hird.Stop", { names => ['there'], now => JSON::PP::true }), '', '... and back');

my $reader = $v->another;
$reader->call("$hird.ReadOnly", {});
$reader->write('{"method":"' . $hird . '.Stop","parameters":{"names":["there"]}}' . "\0");
is($reader->answer("$hird.Stop")->[1], "$hird.PermissionDenied", 'ReadOnly: from then on nothing is changed');
$v->{seen}{"$hird.ReadOnly"} = delete $reader->{seen}{"$hird.ReadOnly"};

is(fails("$hird.Held", { coordinator => 'farm', name => 'here', number => 1, builds => 0 }), '', 'Held');

is(fails("$hird.Nodes", {}), '', 'Nodes');

# AskNode takes a node; nodes.t has one. Console is an upgrade, and has a test of its own. HistoryScreenshot takes a guest that
# failed; history.t has one, and checks the answer as here.
my @unseen = grep { !$v->{seen}{"$hird.$_"} && !/^Console|^AskNode$|^HistoryScreenshot$/ } @methods, $text =~ /^error (\w+)/mg;
is("@unseen", '', 'every method and every error was seen, and each answer was as described');
done_testing;
