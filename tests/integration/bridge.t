# SPDX-License-Identifier: GPL-3.0-or-later
# The daemon of another host: childhurdctl --host, and childhurdctl bridge at its other end, by a real sshd.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use IO::Socket::UNIX;
use IPC::Open2;
use JSON::PP;
use Sshd;
use Test::More;

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my $d     = Childhurd->new(guests => <<"END");
[defaults]
image = $image
memory-size = 256M
[guest a]
id = $id
[guest b]
id = @{[$id + 1]}
autostart = no
END
my $sshd    = Sshd->new;
my $ctl     = "$Childhurd::BUILD/childhurdctl";
my $control = "$d->{runtime}/control";
our $host    = "127.0.0.1:$sshd->{port}";
$ENV{PATH} = "$sshd->{dir}/bin:$ENV{PATH}";
delete $ENV{CHILDHURD_SOCKET};
my $status;

# What childhurdctl prints for the daemon at the other end, its messages included.
sub there {
    my (@words) = @_;
    return run('--host', $host, '--socket', $control, @words);
}

sub run {
    my (@words) = @_;
    my $pid  = $d->spawn("$d->{dir}/said", $ctl, @words);
    waitpid $pid, 0;
    $status = $? >> 8;
    my $said = Childhurd::slurp("$d->{dir}/said");
    unlink "$d->{dir}/said";
    return $said;
}

# --- no daemon, or no way to it ---
like(there('list'), qr/^childhurdctl: no childhurdd at \Q$control\E.*^childhurdctl: \Q$host\E: no childhurdd answers there$/ms, 'no daemon there is reported by both ends');
is($status, 3, '... with the status that says so');
my $nobody = Childhurd::free_port();
like(run('--host', "127.0.0.1:$nobody", 'list'), qr/refused.*ssh did not reach it/s, 'no sshd there');
is($status, 3, '... likewise');
like(run('--host', '', 'list'), qr/--host: no host; write \[USER@\]HOST\[:PORT\]/, 'an empty host is none');
is($status, 2, '... and a mistake of the caller');
my $waiting = $d->spawn("$d->{dir}/waiting", $ctl, '--host', $host, '--socket', $control, 'wait', 'a', '--for', 'ready', '--timeout', 2 * Childhurd::seconds(90) . 's');
$d->start;
waitpid $waiting, 0;
is($? >> 8, 0, 'wait waits for a daemon there, and then for its guest') or diag Childhurd::slurp("$d->{dir}/waiting");

# --- every verb ---
like(there('list'), qr/^a +ready.*^b +stopped/ms, 'list');
like(there('status', 'a'), qr/^a: ready/, 'status');
is(there('machines'), $d->ctl('machines'), 'machines: as on that host');
like(there('version'), qr/^childhurdctl .*^childhurdd /ms, 'version');
like(there('metrics'), qr/^# TYPE childhurd_/m, 'metrics');
like(there('events'), qr/a: ready: /, 'events');
there('screenshot', 'a', "$d->{dir}/shot.png");
like(Childhurd::slurp("$d->{dir}/shot.png"), qr/^\x89PNG/, 'a screenshot comes to this host');
like(there('log', '-n', '1', 'a'), qr/guest: ready/, 'log');
like(there('check', '/nonexistent.ini'), qr{/nonexistent\.ini: cannot be read}, 'check of a file of that host');
like(there('image', 'list', '--config', $d->{file}), qr/^debian-i386 +known/m, 'image works on that host');
is(there('ssh', 'a', 'printf "%s\n" "two  words" \'$HOME\'; exit 7'), "two  words\n\$HOME\n", 'ssh: the words of a command arrive as they are');
is($status, 7, '... and its exit status comes back');
like(there('drain', 'b'), qr/^b: stopped/, 'drain');
like(there('start', 'nobody'), qr/nobody: there is no such guest/, 'an error of the daemon is as at home');
is($status, 1, '... with its status');
{
    my $pid = open2(my $out, my $in, $ctl, '-H', $host, '-s', $control, 'console', 'a');
    print $in "\necho con''sole \$((6 * 7))\n";
    close $in;
    my $said = do { local $/; <$out> };
    waitpid $pid, 0;
    like($said, qr/console 42/, 'the console: typed into, and read');
    is($?, 0, '... and left');
}

# --- an end in the middle ---
# The bridges that run. sshd's other processes have other names.
sub bridges { return grep { Childhurd::slurp("/proc/$_/cmdline") =~ /^childhurdctl\0.*\0bridge\0/ } Sshd::sessions($sshd->{pid}) }
{
    my $pid = $d->spawn("$d->{dir}/events", $ctl, '-H', $host, '-s', $control, 'events', '-f');
    ok($d->wait_until(60, 'events come', sub { Childhurd::slurp("$d->{dir}/events") =~ /a: ready/ }), 'events are followed');
    is(scalar(bridges()), 1, '... by one bridge');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    ok($d->wait_until(60, 'no bridge', sub { !bridges() }), 'killed, it leaves none');
    $pid = $d->spawn("$d->{dir}/events", $ctl, '-H', $host, '-s', $control, 'events', '-f');
    ok($d->wait_until(60, 'events come', sub { Childhurd::slurp("$d->{dir}/events") =~ /a: ready/ }), 'they are followed again');
    $sshd->end;
    waitpid $pid, 0;
    is($? >> 8, 3, 'a connection that is lost ends it');
    like(Childhurd::slurp("$d->{dir}/events"), qr/\Q$host\E: ssh did not reach it$/m, '... with a message, after another try');
    $sshd->start;
}

# --- the bridge itself ---
sub bridge {
    my ($sent, @options) = @_;
    my $pid = open2(my $out, my $in, $ctl, '-s', $control, 'bridge', @options);
    print $in $sent;
    close $in;
    my $said = do { local $/; <$out> };
    waitpid $pid, 0;
    $status = $? >> 8;
    return split /\0/, $said;
}
my $ask = encode_json({ method => 'org.childhurd.List', parameters => {} }) . "\0";
my @replies = bridge($ask x 40);
is($status, 0, 'the end of its input ends it');
is(scalar @replies, 40, '... when all replies have come');
is(scalar(grep { decode_json($_)->{parameters}{guests}[0]{name} eq 'a' } @replies), 40, '... which are whole');
my $stop = encode_json({ method => 'org.childhurd.Stop', parameters => { names => ['b'] } }) . "\0";
@replies = map { decode_json($_) } bridge($ask . $stop . $ask, '--read-only');
is($replies[1]{error}, 'org.childhurd.PermissionDenied', 'with --read-only the daemon refuses what changes something');
like($replies[1]{parameters}{why}, qr/^Stop changes something, and this connection is for reading only/, '... and says why');
ok($replies[2]{parameters}{guests}, '... and answers what does not');
is((map { decode_json($_) } bridge($stop))[0]{parameters}{names}[0], 'b', '... which without it is done');

# --- a forced command ---
{
    my $reader = Sshd->new;
    Childhurd::spew("$reader->{dir}/authorized_keys", '');
    $reader->allow((join ' ', (split ' ', Childhurd::slurp("$reader->{dir}/user.pub"))[0, 1]),
        "restrict,command=\"childhurdctl --socket $control bridge --read-only\"");
    local $ENV{PATH} = "$reader->{dir}/bin:$ENV{PATH}";
    local $host = "127.0.0.1:$reader->{port}";
    like(there('list'), qr/^a +ready/m, 'a key with a forced command reads');
    like(there('stop', 'a'), qr/Stop changes something/, '... and stops nothing');
    is($status, 1, '... which is an error');
    is($d->state('a'), 'ready', '... indeed');
    like(there('check'), qr/^ok +/m, '... and checks');
    is(there('ssh', 'a', 'echo it runs'), '', '... nor does it run a command');
    $reader->end;
}

# --- nobody reads what comes ---
{
    my $pid = open2(my $out, my $in, $ctl, '-s', $control, 'bridge');
    print $in encode_json({ method => 'org.childhurd.Events', more => JSON::PP::true, parameters => { follow => JSON::PP::true } }) . "\0";
    $in->flush;
    sysread $out, my $first, 1;
    close $out;
    ok($d->wait_until(60, 'it ends', sub { waitpid($pid, 1) == $pid }), 'a bridge whose output is closed ends by itself');
}
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
done_testing;
