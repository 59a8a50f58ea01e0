# SPDX-License-Identifier: GPL-3.0-or-later
# childhurdctl, the real program, against a made-up daemon: exit statuses, what is asked for, what is
# printed. The daemon below has its answers in a table, so that it can also misbehave.
use strict;
use warnings;
use Childhurd ();
use Cwd qw(abs_path);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP;
use MIME::Base64;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(sleep time);
use Terminal;

# Until the client says something more or goes away, at most so many seconds.
sub wait_for_end {
    my ($client, $limit) = @_;
    my $readable = '';
    vec($readable, fileno $client, 1) = 1;
    select $readable, undef, undef, $limit;
}

my $ctl    = ($ENV{CHILDHURD_BUILD} || abs_path('build')) . '/childhurdctl';
my $dir    = tempdir('/tmp/childhurd-ctl-XXXXXX', CLEANUP => 1);
my $json   = JSON::PP->new->canonical;
my $parent = $$;
my @daemons;

delete @ENV{qw(CHILDHURD_SOCKET NO_COLOR)};
@ENV{qw(LC_ALL TZ)} = ('C.UTF-8', 'UTC');

# --- the made-up daemon: each connection finds the hird as it is here ---

my $png = "\x89PNG\r\n\x1a\n and a picture\0";

our $others;    # guests instead of the usual ones

sub hird {
    my %common = (address => '127.0.0.1', builds => 0, memory => 0, restarts => 0, published => JSON::PP::false, phase => undef,
        autostart => JSON::PP::true);
    my @guests = (
        { name => 'childhurd1', state => 'ready', port => 11022, why => 'the probe passed', published => JSON::PP::true,
          memory => 212 * 2**20, builds => 1 },
        { name => 'childhurd2', state => 'stopped', port => 12022, why => 'stopped by root', autostart => JSON::PP::false,
          autostart_asleep => JSON::PP::true },
        { name => 'childhurd3', state => 'failed', port => 13022, why => "gave up after 10 failures in a row,\nthe last: no image",
          restarts => 9 },
        { name => 'slow', state => 'booting', port => 14022, why => 'started by root', phase => 'waiting for the SSH banner',
          memory => 1.5 * 2**30, builds => undef },
    );
    return [map { { since => time - 200, %common, %$_ } } $others ? @$others : @guests];
}

sub details {
    my ($guest) = @_;
    my $runs = $guest->{memory} > 0;
    return {
        guest => $guest, pid => $runs ? 4711 : undef, acceleration => $runs ? 'tcg' : undef, next_try => undef,
        deadline => $guest->{name} eq 'slow' ? time + 600 : undef, user => 'offloading', admin_user => 'root',
        private_key => "$dir/key", known_hosts => "$dir/known hosts", console_log => '/var/lib/childhurd/x/console.log',
        banner => 'SSH-2.0-OpenSSH_9.9', probed => time - 10,
        steps => [{ name => 'banner', result => 'ok', seconds => 0.012 }, { name => 'login', result => 'refused', seconds => undef }],
        $guest->{name} eq 'childhurd1' ? (warm => { saved => time - 720 }) : $guest->{name} eq 'childhurd3' ? (warm_off => 'it failed; try again') : (),
        skew => -2.5, load => 1.02, disk_free => 3 * 2**30, store_free => undef, failure => '/var/lib/childhurd/x/failure.txt',
        console_tail => ['Hurd server bootstrap', "bad \e[2Jescape"], restart_needed => ['memory-size'],
    };
}

sub fits {
    my ($name, $pattern) = @_;
    my $re = join '', map { $_ eq '*' ? '.*' : $_ eq '?' ? '.' : quotemeta } split //, $pattern;
    return $name =~ /^$re$/;
}

# The guests of these names, or the name that fits none.
sub chosen {
    my ($hird, @names) = @_;
    return ($hird) unless @names;
    my @found;
    for my $pattern (@names) {
        my @fit = grep { fits($_->{name}, $pattern) } @$hird;
        return (undef, $pattern) unless @fit;
        push @found, @fit;
    }
    return (\@found);
}

# Answers: a list of [message, ...]; a number among them is a time to wait.
sub answer {
    my ($hird, $call) = @_;
    my ($method, $p) = ($call->{method}, $call->{parameters});
    my $reply = sub { return { parameters => $_[0], $_[1] ? (continues => JSON::PP::true) : () } };
    my $error = sub { return { error => ($_[0] =~ /[.]/ ? $_[0] : "org.childhurd.$_[0]"), parameters => $_[1] } };
    $method =~ s/^org[.]childhurd[.]//;
    if ($method eq 'org.varlink.service.GetInfo') {
        return $reply->({ vendor => 'childhurd', product => 'childhurdd', version => '0.9', url => '', interfaces => [] });
    }
    if ($method =~ /^(List|Status|Start|Stop|Restart|Reset|Sleep|Drain|Undrain|Wait)$/) {
        my ($guests, $missing) = chosen($hird, @{ $p->{names} });
        return $error->('NoSuchGuest', { name => $missing }) if defined $missing;
        return $reply->({ guests => $guests }) if $method eq 'List';
        return $reply->({ guests => [map { details($_) } @$guests] }) if $method eq 'Status';
        return wait_answers($p, $guests, $reply, $error) if $method eq 'Wait';
        for my $guest (@$guests) {
            return $error->('NotPossible', { name => $guest->{name}, why => 'its image is missing' })
              if $method eq 'Start' && $guest->{name} eq 'childhurd3';
            return $error->('PermissionDenied', { why => 'only root and childhurd-admin may do this' }) if $method eq 'Drain';
            next if $method =~ /Reset|Undrain/ && $guest->{state} =~ /stopped|asleep/;
            $guest->{state} = $method eq 'Stop' ? 'stopping' : 'starting';
            $guest->{why}   = "\L$method\E by a test";
        }
        return $reply->({ names => [map { $_->{name} } @$guests] });
    }
    if ($method eq 'Events') {
        my @events = map { { number => $_, time => 86400 + $_, guest => $_ == 30 ? undef : 'childhurd1', state => $_ % 2 ? 'ready' : undef,
              text => "event $_" } } grep { $_ >= ($p->{since} // 0) } 1 .. 30;
        my @more = $p->{follow} ? ($reply->({ events => [{ number => 40, time => 86440, guest => 'slow', state => 'failed', text => 'new' }],
                lost => 9 })) : ();
        return ($reply->({ events => \@events, lost => 0 }, !!@more), @more);
    }
    if ($method eq 'Log') {
        return $reply->({ text => '' }) if $p->{name} eq 'childhurd2';
        return $error->('NoSuchGuest', { name => $p->{name} }) unless $p->{name} eq 'slow';
        return ($reply->({ text => "lines=$p->{lines}\none\n" }, 1), $reply->({ text => "two \e[31mred\n" }));
    }
    return $reply->({ machines => [], text => "(list\n (build-machine))\n" }) if $method eq 'Machines';
    if ($method eq 'Ssh') {
        my ($guest) = grep { $_->{name} eq $p->{name} } @$hird;
        my $details = details($guest);
        return $reply->({ (map { $_ => $guest->{$_} } qw(name state why phase address port)), pid => $details->{pid}, user => 'root',
            identity_file => "$dir/key", known_hosts => "$dir/known hosts", host_keys => ['ssh-ed25519 AAAA'] });
    }
    return $reply->({ content_type => 'application/openmetrics-text', text => "# TYPE a gauge\na 1\n# EOF\n" }) if $method eq 'Metrics';
    return $reply->({ good => -e "$dir/bad" ? JSON::PP::false : JSON::PP::true, findings => [{ result => 'ok', text => 'KVM' },
            { result => 'note', text => "two\nlines" }] }) if $method eq 'Check';
    return 60 if $method eq 'Screenshot' && $p->{name} eq 'childhurd3';
    return $reply->({ png => encode_base64($p->{name} eq 'slow' ? 'no picture' : $png, '') }) if $method eq 'Screenshot';
    return $reply->({ messages => ['childhurd2: removed'] }) if $method eq 'Reload' && $p->{dry_run};
    return $error->('ConfigurationErrors', { messages => ['a.ini:1: first', 'a.ini:2: second'] }) if $method eq 'Reload' && -e "$dir/bad";
    return $reply->({ messages => ['childhurd2: added'] }) if $method eq 'Reload';
    return $error->('org.varlink.service.MethodNotFound', { method => $call->{method} });
}

sub wait_answers {
    my ($p, $guests, $reply, $error) = @_;
    my @pending = grep { $_->{state} ne $p->{state} } @$guests;
    my ($drained) = grep { $_->{drained} } @pending;
    if ($drained && $p->{state} eq 'ready') {
        my %why = (name => $drained->{name}, why => "drained; childhurdctl undrain $drained->{name} gives it builds again");
        return $error->('WaitFailed', { %why, state => 'draining' });
    }
    my ($lost) = grep { $_->{lost} && $_->{state} eq 'stopping' } @pending;
    if ($lost) {
        $lost->{state} = 'ready';
        $lost->{why}   = 'undrained by somebody';
        return ($reply->({ guests => $guests }, 1), 60);
    }
    for my $guest (@pending) {
        return $error->('WaitFailed', { name => $guest->{name}, state => $guest->{state}, why => 'no image' })
          if $guest->{state} eq 'failed' || ($guest->{name} eq 'childhurd2' && $guest->{state} eq 'stopped');
    }
    if (grep { $_->{name} eq 'slow' } @pending) {
        return ($reply->({ guests => $guests }, 1), $p->{timeout} // 60, $error->('TimedOut', { guests => $guests }));
    }
    my @answers = ($reply->({ guests => [map { {%$_} } @$guests] }, 1));
    for my $state ('booting', 'booting', $p->{state}) {
        $_->{state} = $state, $_->{why} = "a test made it $state" for @pending;
        push @answers, $reply->({ guests => [map { {%$_} } @$guests] }, 1);
    }
    return (@answers, $reply->({ guests => $guests }));
}

sub serve {
    my ($client) = @_;
    my ($buffer, $hird) = ('', hird());
    open my $log, '>>', "$dir/calls" or die;
    $log->autoflush;
    while (sysread $client, $buffer, 65536, length $buffer) {
        while ($buffer =~ s/^([^\0]*)\0//) {
            my $call = decode_json($1);
            print $log $json->encode($call), "\n";
            for my $message (answer($hird, $call)) {
                ref $message ? syswrite $client, $json->encode($message) . "\0" : wait_for_end($client, $message);
            }
        }
    }
}

# A daemon at a path; what it does with a client.
sub daemon {
    my ($path, $serve) = @_;
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 16) or die "$path: $!";
    my $pid = fork // die;
    if ($pid) {
        push @daemons, $pid;
        close $listener;
        return $path;
    }
    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = 'IGNORE';
    while (1) {
        my $client = $listener->accept or next;
        if (!fork) {
            $serve->($client);
            POSIX::_exit(0);
        }
        close $client;
    }
}

END {
    my $status = $?;
    if ($$ == $parent) {
        kill 'TERM', @daemons;
        waitpid $_, 0 for @daemons;
    }
    $? = $status;
}

# --- running it ---

my ($status, $out, $err);

sub slurp { open my $f, '<:raw', $_[0] or return ''; local $/; return scalar <$f> // '' }

sub run {
    my (@argv) = @_;
    unlink "$dir/calls";
    my $pid = fork // die;
    if (!$pid) {
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', "$dir/out";
        open STDERR, '>', "$dir/err";
        exec { $argv[0] } @argv or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    ($status, $out, $err) = ($? & 127 ? 128 + ($? & 127) : $? >> 8, slurp("$dir/out"), slurp("$dir/err"));
    return $out;
}

sub ctl { return run($ctl, '--socket', "$dir/control", @_) }
sub calls { return map { $json->decode($_) } split /\n/, slurp("$dir/calls") }

# On a terminal of this many columns.
sub on_terminal {
    my ($columns, @argv) = @_;
    my $command = join ' ', map { "'$_'" } $ctl, '--socket', "$dir/control", @argv;
    local $ENV{TERM} = 'xterm';
    return run('script', '-qec', "stty cols $columns rows 10; $command", '/dev/null');
}

daemon("$dir/control", \&serve);

# A QEMU that hangs is given 15 s; the other tests run meanwhile.
my $hanging = fork // die;
if (!$hanging) {
    open STDERR, '>', "$dir/hanging.err";
    exec $ctl, '-s', "$dir/control", 'screenshot', 'childhurd3', "$dir/hanging.png";
}

# --- usage ---

for my $case (
    [[],                                   qr/no verb/],
    [['frobnicate'],                       qr/no verb "frobnicate"; childhurdctl help shows all\n/],
    [['strat', 'slow'],                    qr/no verb "strat"; did you mean start[?]/],
    [['STOP', 'slow'],                     qr/no verb "STOP"; did you mean stop[?]/],
    [['shell', 'slow'],                    qr/no verb "shell"; did you mean ssh[?]/],
    [['l'],                                qr/l may be list, log\n/],
    [['st'],                               qr/st may be status, start, stop/],
    [['re'],                               qr/re may be restart, reset, report, reload/],
    [['start'],                            qr/NAME is missing: childhurdctl start NAME/],
    [['start', '--all', 'childhurd1'],     qr/either --all or names/],
    [['start', '--all', '--autostart'],    qr/either --all or --autostart or names/],
    [['stop', '--autostart'],              qr/--autostart/],
    [['start', 'childhurd1', '--now'],     qr/--now/],
    [['list', '--bogus'],                  qr/option --bogus; see childhurdctl list --help/],
    [['list', '--sate=ready'],             qr/option --sate=ready; did you mean --state[?]; see childhurdctl list --help/],
    [['--json', 'list'],                   qr/option --json; --json belongs behind the verb; see childhurdctl --help/],
    [['--sokcet', 'x', 'list'],            qr/option --sokcet; did you mean --socket[?]/],
    [['wait', 'childhurd1', '--for', 'x'], qr/--for x: not one of stopped, .*, restoring\n/],
    [['wait', 'childhurd1', '--for', 'redy'], qr/--for redy: not one of .*; did you mean ready[?]/],
    [['list', '--state', 'ready,faild'],   qr/--state faild: not one of stopped, .*; did you mean failed[?]/],
    [['list', '--state', ''],              qr/--state "": not one of stopped, /],
    [['list', '--sort', 'nmae'],           qr/--sort nmae: not one of name, state, since, builds, memory, restarts; did you mean name[?]/],
    [['list', '-o', 'yaml'],               qr/--output yaml: not one of wide, name, json\n/],
    [['list', '-o', 'wide', '--json'],     qr/either --json or --output wide, not both/],
    [['stop', 'slow', '-w', '-t', '5 parsecs'], qr/--timeout 5 parsecs: not a time/],
    [['stop', 'slow', '-w', '-t', '-5'],   qr/--timeout -5: not a time/],
    [['stop', 'slow', '-w', '-t', '0'],    qr/--timeout 0: not a time/],
    [['stop', 'slow', '--timeout', '5'],   qr/--timeout goes with --wait/],
    [['log', 'slow', '-n', 'ten'],         qr/--lines ten: not a number/],
    (map { [['history', $_, 'noon'],      qr{$_ noon: not a time; write 10min, 36h, 7d or 2w \(ago\), 14:50, 2026-11-29, '2026-11-29 14:50', today or yesterday\n}] } '--since', '--until'),
    [['events', '--since', 'noon'],        qr/today or yesterday, or the number of an event\n/],
    (map { my $verb = $_; map { [[$verb, '--since', $_], qr{--since \Q$_\E: [-0-9]+ [:0-9]+ is in the future; }] } '2099-01-01', '2099-01-01 16:00' } 'events', 'history'),
    (map { [['events', '--since', $_],    qr{--since \Q$_\E: not a time; write 10min}] } '-1', 'noon', '5 parsecs', '2026-02-30', '25:00', '1.5', ' 5'),
    [['screenshot'],                       qr/NAME is missing: childhurdctl screenshot/],
    [['stop', 'slow', '--yes'],            qr/--yes/],
    [['ssh'],                              qr/NAME is missing: childhurdctl ssh/],
    [['wait', '--for', 'ready'],           qr/NAME is missing: childhurdctl wait NAME/],
    [['ssh', 'childhurd*'],                qr/childhurd\* matches 3 guests; ssh takes one/],
    [['log', 'childhurd*'],                qr/childhurd\* matches 3 guests; log takes one/],
    [['console', 'slow', '-e', 'ab'],      qr/--escape ab: not a character/],
    [['console', 'childhurd*'],            qr/childhurd\* matches 3 guests; console takes one/],
    [['help', 'frobnicate'],               qr/no verb "frobnicate"/],
    [['completion', 'tcsh'],               qr/completion tcsh: not one of bash, zsh, fish\n/],
    [['completion', 'fsih'],               qr/not one of bash, zsh, fish; did you mean fish[?]/],
    [['completion'],                       qr/SHELL is missing: childhurdctl completion SHELL/],
    [['screenshot', 'childhurd*', '-'],    qr/childhurd\* matches 3 guests; screenshot takes one/],
  )
{
    my ($arguments, $message) = @$case;
    ctl(@$arguments);
    is($status, 2, "childhurdctl @$arguments is a usage error");
    like($err, $message, 'and says why');
}

ctl();
like($err, qr/^  list    show .*\n  status  show /m, 'no verb at all: the help for the first steps');
ok((() = $err =~ /\n/g) < 16, '... which is short');
is($out, '', '... and is no output');
is((join '', grep { length > 80 } split /\n/, $err), '', '... and fits 80 columns');

# What does not fit a terminal of 80 x 24, with a line for the next prompt.
sub too_large { return join '', grep({ length > 80 } split /\n/, $_[0]), $_[0] =~ /(?:.*\n){24}/ ? 'too many lines' : '' }

ctl('--help');
is($status, 0, '--help');
is(too_large($out), '', 'fits a terminal');
my ($completions) = run($ctl, 'completion', 'bash') =~ /verbs='(.*?)'/;
ctl('--help');
like($out, qr/  \Q$_\E +[a-z]/, "knows $_") for split / /, $completions;
ok((() = $completions =~ /\w+/g) > 25, 'which are all');
my $all = $out;
ctl('help');
is($out, $all, 'help shows the same');
for my $verb (split / /, $completions) {
    ctl('help', $verb);
    is(too_large($out), '', "the help of $verb fits a terminal");
}
ctl('stop', '--help');
is($status, 0, 'stop --help');
like($out, qr/--now .*build/, 'explains its options');
unlike($out, qr/--json/, 'and only its options');
my $help = $out;
ctl('help', 'stop');
is($out, $help, 'help VERB shows the same');

# --- no daemon, and bad ones ---

run($ctl, 'list', '--socket', "$dir/nobody");
is($status, 3, 'no daemon: exit 3');
like($err, qr{no childhurdd at $dir/nobody: No such file or directory; start the daemon}, 'the message names the socket and what to do');
{
    local $ENV{CHILDHURD_SOCKET} = "$dir/other";
    run($ctl, 'list');
    like($err, qr{$dir/other}, 'CHILDHURD_SOCKET names the socket');
    run($ctl, 'list', '--socket', "$dir/nobody");
    like($err, qr{$dir/nobody}, '--socket goes before it');
}
SKIP: {
    my $nobody = getpwnam 'nobody';
    skip 'needs root, to be somebody else', 6 if $> || !defined $nobody;
    skip 'a daemon of the system runs', 6 if -e '/run/childhurd/control';
    copy($ctl, "$dir/program");
    chmod 0755, $dir, "$dir/program";
    local $ENV{XDG_CACHE_HOME} = "$dir/cache";
    my @as_nobody = ('setpriv', "--reuid=$nobody", '--clear-groups', '--', "$dir/program");
    local $ENV{XDG_RUNTIME_DIR} = "$dir/runtime";
    run(@as_nobody, 'list');
    is($status, 3, "a user who has no daemon");
    like($err, qr{no childhurdd at $dir/runtime/childhurd/control, nor at /run/childhurd/control: No such file or directory; start }, 'is told of both places');
    delete $ENV{XDG_RUNTIME_DIR};
    run(@as_nobody, 'list');
    is($status, 3, 'the same without XDG_RUNTIME_DIR');
    like($err, qr{no childhurdd at $dir/cache/childhurd/control, nor .*; XDG_RUNTIME_DIR is not set}, 'is told that, too');
    daemon("$dir/closed", \&serve);
    chmod 0600, "$dir/closed";
    run(@as_nobody, 'list', '--socket', "$dir/closed");
    is($status, 3, 'a user without rights');
    is($err, "childhurdctl: $dir/closed: Permission denied; only root and members of the control-group (childhurd by default) or of childhurd-admin may use it\n",
        'is told who has them');
}
run($ctl, 'list', '--socket', "$dir/" . 'x' x 200);
is($status, 2, 'a path that is too long for a socket');
daemon("$dir/garbage", sub { sysread $_[0], my $x, 4096; syswrite $_[0], "HTTP/1.1 400 Bad Request\0" });
run($ctl, 'list', '--socket', "$dir/garbage");
is($status, 1, 'a daemon that is none');
like($err, qr/the reply is not one of childhurdd/, 'and the message says so');
daemon("$dir/deep", sub { sysread $_[0], my $x, 4096; syswrite $_[0], '{"parameters":' . '[' x 50000 . "\0" });
run($ctl, 'list', '--socket', "$dir/deep");
is($status, 1, 'a deeply nested answer');
daemon("$dir/closes", sub { sysread $_[0], my $x, 4096; syswrite $_[0], '{"parameters":' });
run($ctl, 'list', '--socket', "$dir/closes");
is($status, 3, 'a daemon that closes in the middle');
like($err, qr/broke: the daemon closed it/, 'and the message says so');
daemon("$dir/odd", sub { sysread $_[0], my $x, 4096; syswrite $_[0], '{"parameters":{"guests":[1,{"name":7,"since":"x","memory":[]},null]}}' . "\0" });
run($ctl, 'list', '--socket', "$dir/odd");
is($status, 0, 'members of a wrong type count as missing');
daemon("$dir/refuses", sub { syswrite $_[0], '{"error":"org.childhurd.Busy","parameters":{"why":"too many clients"}}' . "\0" });
run($ctl, 'list', '--socket', "$dir/refuses");
is($status, 1, 'a daemon that refuses at once');
like($err, qr/busy: too many clients/, 'is understood');

# --- list ---

my @lines = split /\n/, ctl('list');
is($status, 0, 'list');
like($lines[0], qr/^NAME +STATE +FOR +PORT +PUBLISHED +BUILDS +MEMORY +RESTARTS +WHY$/, 'has a heading');
like($lines[1], qr/^childhurd1 +ready +3min +11022 +yes +1 +212M +0 +the probe passed$/, 'a ready guest');
like($lines[2], qr/^childhurd2 +stopped +3min +12022 +- +- +- +0 +stopped by root$/, 'a stopped guest');
like($lines[3], qr/in a row, the last: no image$/, 'a reason of two lines is one line');
like($lines[4], qr/^slow +booting +3min +14022 +- +\? +1[.]5G +0 +started by root; waiting for the SSH banner$/, 'what is waited for');
is(scalar(@lines), 5, 'one line a guest');
my $column = index $lines[0], 'WHY';
is(index($lines[$_], (split /  +/, $lines[$_])[-1]), $column, "line $_ is aligned") for 1 .. 4;
unlike($out, qr/\e/, 'no colours in a pipe');

ctl('list', '--json');
my $list = eval { decode_json($out) };
is_deeply([map { $_->{name} } @{ $list->{guests} }], [qw(childhurd1 childhurd2 childhurd3 slow)], 'list --json');
is($list->{guests}[0]{memory}, 212 * 2**20, 'has the numbers as they are');
is(($out =~ tr/\n//), 1, 'on one line');
ctl('li');
is($status, 0, 'a shortened verb');
is_deeply([map { $_->{method} } calls()], ['org.childhurd.List'], 'is the whole verb, in one call');
ctl('list', 'childhurd*');
is_deeply((calls())[0]{parameters}{names}, ['childhurd*'], 'patterns are the daemon\'s business');

my $shown = on_terminal(110, 'list');
like($shown, qr/\e\[32mready\e\[m/, 'green is ready');
like($shown, qr/\e\[31mfailed\e\[m/, 'red is failed');
like($shown, qr/\e\[33mbooting\e\[m/, 'yellow is on the way');
(my $bare = $shown) =~ s/\e\[\d*m|\r//g;
utf8::decode($bare);
ok(!(grep { length > 110 } split /\n/, $bare), 'no line is longer than the terminal is wide');
like($bare, qr/\x{2026}$/m, 'what was cut shows it');
{
    local $ENV{NO_COLOR} = 1;
    unlike(on_terminal(100, 'list'), qr/\e\[3/, 'NO_COLOR is honoured');
}
ok(!grep({ $_ ne 'org.childhurd.List' } map { $_->{method} } calls()), 'one call');
like($bare, qr/\n\n1 of 4 ready, 1 build\n$/, 'the last line sums up');

# A daemon with these guests; what they have instead of the usual.
sub hird_of {
    my ($name, @guests) = @_;
    my $n = 0;
    my $text = $json->utf8->encode({ parameters => { guests => [map { $n++; { name => "g$n", state => 'ready', since => time - 60, why => 'the probe passed',
                        published => JSON::PP::true, address => '127.0.0.1', port => 10022 + 1000 * $n, builds => 0, memory => 2**28, restarts => 0, %$_ } } @guests] } });
    return daemon("$dir/$name", sub { while (sysread $_[0], my $x, 4096) { syswrite $_[0], "$text\0" } });
}

# Another host's daemon may send anything.
{
    my $host = hird_of('escapes', { name => "a\e]0;title\ab" });
    my $text = on_terminal(80, 'wait', '--all', '-s', $host);
    like($text, qr/a\]0;titleb is /, 'a name has no control characters on a terminal');
    unlike($text, qr/\e\]/, '... and sets no title');
    my @records = ({ kind => 'boot', guest => 'a', how => 'cold' }, { kind => 'figures', guest => 'a', boots => 1 });
    my $reply = $json->encode({ parameters => { records => \@records } });
    my $timeless = daemon("$dir/timeless", sub { while (sysread $_[0], my $x, 4096) { syswrite $_[0], "$reply\0" } });
    like(ctl('history', '-s', $timeless), qr/^[?] +a +boot, not ready yet$/m, 'a boot without a time is shown');
}

# What a verb prints on a terminal of so many columns: its lines, without colours.
sub lines_of {
    my ($columns, @words) = @_;
    my $text = on_terminal($columns, @words) =~ s/\e\[\d*m|\r//gr;
    utf8::decode($text);
    return split /\n/, $text;
}

sub shown_lines {
    my ($columns, $socket, @options) = @_;
    return lines_of($columns, 'list', '-s', $socket, @options);
}

# Columns of the terminal: the tests' wide characters are CJK, and those without a width combine.
sub columns_of { my ($text) = @_; return length($text =~ s/\p{Mn}//gr) + (() = $text =~ /[\x{3000}-\x{9fff}]/g) }

# What history prints, with names that are long or wide.
{
    my @names = ('builder-of-the-amd64-farm-in-leipzig', "\x{5efa}\x{8a2d}\x{8005}" x 6, 'a');
    my $reason = 'the console says panic: no root file system';
    my @records = map { my $name = $_; map { { time => 1728000000 * 1e6, guest => $name, %$_ } } (
            { kind => 'boot', how => 'cold', end => 1728000010 * 1e6, ended => $reason }, { kind => 'failure', phase => 'booting', reason => $reason },
            { kind => 'figures', availability => 0.9, boots => 7, median_boot_ms => 17000, builds => 23, build_seconds => 25200, failures => 3, mtbf_s => 82800 }) } @names;
    my $host = daemon("$dir/historian", sub {
            while (sysread $_[0], my $call, 4096) {
                my %wanted = map { $_ => 1 } @{ decode_json($call =~ s/\0//r)->{parameters}{kinds} };
                syswrite $_[0], $json->utf8->encode({ parameters => { records => [ grep { $wanted{ $_->{kind} } } @records ] } }) . "\0";
            }
    });
    for my $columns (50, 80, 120) {
        my @lines = lines_of($columns, 'history', '-s', $host);
        is_deeply([ grep { columns_of($_) > $columns } @lines ], [], "history on $columns columns has no longer line");
        my ($heading) = grep { /FAILURES/ } @lines;
        like($heading, qr/^GUEST +UP .*  FAILURES  BETWEEN$/, "on $columns columns history has what counts");
        my @figures = grep { /90[.]0%/ } @lines;
        is(scalar(grep { /  3      23h$/ } @figures), 3, '... and the figures are below it') or diag(join "\n", @lines);
        is_deeply([ map { columns_of($_) } @figures ], [ (columns_of($heading)) x 3 ], '... at their places, as cells count');
        like(join("\n", @lines), qr/failed when booting: the console/, '... and a failure has its reason') or diag(join "\n", @lines);
        like($figures[0], qr/^builder\S+leipzig +90/, '... and a name its end');
    }
    like((lines_of(80, 'history', '-s', $host))[0], qr/^TIME +GUEST +WHAT$/, 'on 80 columns what happened is beside the name');
    is_deeply([ map { s/ +$//r } (lines_of(50, 'history', '-s', $host))[0, 1] ], ['TIME              GUEST', '    WHAT'], '... and on 50 below it');
    ctl('history', '-s', $host);
    like($out, qr/^2024-10-04 \d\d:\d\d  builder-of-the-amd64-farm-in-leipzig {2,}boot, never ready; \Q$reason\E$/m, 'where there is no terminal nothing is cut');
}

my $reason = 'gave up after 10 failures in a row, the last: ' . 'no image, ' x 9;
my $usual = hird_of('usual', { slots => 1, builds => 1 }, { slots => 2, builds => 1 }, { slots => 2 }, { slots => 0 }, { slots => 2, builds => undef },
    { state => 'unresponsive', why => $reason, slots => 1 }, { state => 'stopped', why => $reason, memory => 0, slots => 1 });
@lines = shown_lines(80, $usual);
like($lines[0], qr/^NAME  STATE         FOR  PUBLISHED  BUILDS  WHY$/, 'in 80 columns the reason has its room; port, restarts and memory leave it');
ok(!(grep { columns_of($_) > 80 } @lines), 'no line is longer');
like($lines[6], qr/^g6    unresponsive  60s  yes             0  gave up after 10 failures in a row,\x{2026}$/, 'so much of it is seen');
is(join(' ', map { /yes +(\S+)/ ? $1 : '?' } @lines[1 .. 7]), '1 1/2 0/2 - ?/2 0 -', 'builds are numbers, of slots where there are more than one');
my $boots = hird_of('boots', map { { state => $_, why => 'QEMU runs (process 4711, tcg)', phase => 'waiting for the SSH banner' } } qw(booting unresponsive));
@lines = shown_lines(80, $boots);
like($lines[1], qr/ waiting for the SSH banner; QEMU/, 'what a guest on its way waits for is first where not all fits');
like($lines[2], qr/ QEMU runs /, '... and the reason of one in trouble');
like((shown_lines(200, $boots))[1], qr/ QEMU runs \(process 4711, tcg\); waiting for the SSH banner$/, '... and where all fits');
@lines = shown_lines(100, $usual);
like($lines[0], qr/STATE +FOR +PUBLISHED +BUILDS +RESTARTS +WHY$/, 'restarts are the last to leave');
@lines = shown_lines(40, $usual);
for my $case (['memory', qr/PUBLISHED  BUILDS  MEMORY  WHY$/], ['restarts', qr/PUBLISHED  BUILDS  RESTARTS  WHY$/], ['since', qr/FOR  PUBLISHED  BUILDS  WHY$/]) {
    my ($key, $heading) = @$case;
    @lines = shown_lines(80, $usual, '--sort', $key);
    like($lines[0], $heading, "--sort $key keeps what it sorts by");
    is(join(',', grep { columns_of($_) > 80 } @lines), '', '... and all lines fit');
}
is(join(',', grep { columns_of($_) > 40 } shown_lines(40, $usual, '--sort', 'restarts')), '', '... in 40 columns, too');
@lines = shown_lines(40, $usual);
like($lines[0], qr/^NAME  STATE         WHY$/, 'in 40 columns the rest leaves it its room, too');
ok(!(grep { columns_of($_) > 40 } @lines), 'no line is longer then');
@lines = shown_lines(80, $usual, '-o', 'wide');
like($lines[0], qr/FOR +PORT +PUBLISHED +BUILDS +MEMORY +RESTARTS +WHY$/, '-o wide has all columns');
like($lines[6], qr/\Q${\ ($reason =~ s{ $}{}r)}\E$/, '... and all of the reason');
is($lines[-1], '5 of 7 ready, 2 builds', '... and the sum');
is(join(' ', shown_lines(80, $usual, '-o', 'name')), 'g1 g2 g3 g4 g5 g6 g7', '-o name has a name on each line, and nothing else');
run($ctl, 'list', '-s', $usual, '-o', 'name');
is($out, join('', map { "g$_\n" } 1 .. 7), '... in a pipe as well');
run($ctl, 'list', '-s', $usual);
is(() = $out =~ /\n/g, 8, 'in a pipe there is no sum');
like($out, qr/\Q${\ ($reason =~ s{ $}{}r)}\E$/m, '... and nothing is cut');

my $odd = hird_of('odd-texts', { why => "\x{6f22}\x{5b57}" x 50, state => 'failed' }, { why => "e\x{301}" x 100 }, { why => "a\ttab" },
    map { { name => 'build-node-of-the-university-of-somewhere-guest-number-' . $_, why => $reason } } 17, 18);
for my $width (200, 80, 41) {
    @lines = shown_lines($width, $odd);
    is(join(',', grep { $_ > $width } map { columns_of($_) } @lines), '', "wide characters and long names fit $width columns");
}
@lines = shown_lines(80, $odd);
like($lines[1], qr/failed .*(?:\x{6f22}\x{5b57}){8,}\x{6f22}?\x{2026}$/, 'a wide character counts twice');
like($lines[4], qr/^build-node-\S*\x{2026}\S*number-17  ready/, 'a name is cut in its middle');
my $why_at = index $lines[0], 'WHY';
is(index($lines[$_], 'gave'), $why_at, "... and what follows is aligned") for 4, 5;
my $many = hird_of('many', map { { builds => $_ % 4 == 0 || 0, $_ == 17 ? (state => 'failed', memory => 0) : () } } 1 .. 60);
@lines = shown_lines(80, $many);
is(@lines, 63, '60 guests, a line each');
is($lines[-1], '59 of 60 ready, 15 builds', '... and the sum is what stays on the screen');
@lines = shown_lines(80, $many, '--state', 'failed,backoff');
like($lines[1], qr/^g17 /, '--state: only those');
is("@lines[2, 3]", ' 1 shown; 59 of 60 ready, 15 builds', '... and the sum is of all');
is(join('', shown_lines(80, $many, '--state', 'asleep,backoff')), 'no guest is asleep or backoff; 59 of 60 ready, 15 builds', 'none of them');
is(run($ctl, 'list', '-s', $many, '--state', 'asleep', '-o', 'name'), '', '... is no name');
is($status, 0, '... and no error');

my @in_order = qw(failed unresponsive backoff starting booting restoring enrolling draining stopping drained ready asleep stopped);
my @mixed = map { { name => "x$_->[0]", state => $in_order[$_->[0]], memory => $_->[1], builds => $_->[1] % 3, restarts => $_->[1] % 5, since => 1000 + $_->[1] } }
  [10, 5], [2, 7], [12, 1], [0, 9], [1, 3], [3, 12], [4, 11], [5, 8], [6, 13], [7, 2], [8, 4], [9, 6], [11, 10];
my $mixed = hird_of('mixed', @mixed);
sub names_by { my (@key) = @_; return join ' ', split /\n/, run($ctl, 'list', '-s', $mixed, '-o', 'name', @key) }
sub by { my ($key) = @_; return join ' ', map { $_->{name} } sort { $b->{$key} <=> $a->{$key} } @mixed }
is(names_by(), join(' ', map { $_->{name} } @mixed), 'without --sort they are in the order of the configuration');
is(names_by('--sort', 'name'), join(' ', map { "x$_" } 0 .. 12), '--sort name counts');
is(names_by('--sort', 'state'), join(' ', map { "x$_" } 0 .. 12), '--sort state: those that need a person first');
is(names_by('--sort', $_), by($_), "--sort $_: the larger first, and the others as they were") for qw(since builds memory restarts);
is(names_by('--sort', 'name', '--state', 'ready,failed'), 'x0 x10', 'both');
my $words = hird_of('words', { state => 'unresponsive', taken_over => JSON::PP::true }, { state => 'draining', drained => JSON::PP::true }, { state => 'stopped', drained => JSON::PP::true }, {});
for my $case (['probing', 'g1'], ['unresponsive', 'g1'], ['drained', 'g2 g3'], ['draining', 'g2'], ['stopped', 'g3']) {
    my ($asked, $expected) = @$case;
    is(join(' ', split /\n/, run($ctl, 'list', '-s', $words, '-o', 'name', '--state', $asked)), $expected, "--state $asked, by its word, too");
}
run($ctl, 'list', '-s', $mixed, '--json', '--sort', 'name', '--state', 'ready,failed');
is(join(' ', map { $_->{name} } @{ decode_json($out)->{guests} }), 'x0 x10', '... in JSON, too');
my $as_json = $out;
is(run($ctl, 'list', '-s', $mixed, '-o', 'json', '--sort', 'name', '--state', 'ready,failed'), $as_json, '-o json is --json');

is(ctl('ls'), ctl('list'), 'ls is list');
is(ctl('ps'), $out, 'and ps');
is(ctl('logs', 'slow'), ctl('log', 'slow'), 'logs is log');

# --- names that stand for no guest ---

ctl('list', 'nobody', 'slow', 'childhurd9');
is($status, 1, 'list with names of which some are wrong');
is(join(' ', $out =~ /^(\w+)/mg), 'NAME slow', 'shows the others');
is($err, "childhurdctl: nobody: there is no such guest; childhurdctl list shows all\n"
      . "childhurdctl: childhurd9: there is no such guest; there are childhurd1 to childhurd3\n", '... and says which are wrong, and what is right');
ctl('list', 'nobody', 'noone', '--json');
is($status, 1, 'all of them are wrong');
is($out, '', '... then there is nothing to show');
is(() = $err =~ /no such guest/g, 2, '... and each is named');
for my $case (
    ['childhurd',   qr/'childhurd\*' stands for childhurd1 to childhurd3\n/,                  'the section of a template'],
    ['childhurd7',  qr/there are childhurd1 to childhurd3\n/,                                 'one more than there are'],
    ['chidlhurd2',  qr/did you mean childhurd2[?]\n/,                                         'letters that changed places'],
    ['Slow',        qr/did you mean slow[?]\n/,                                               'a capital letter'],
    ['chldhurd',    qr/did you mean 'childhurd\*', which stands for childhurd1 to childhurd3[?]\n/, 'a template with a mistake'],
    ['chldhurd*',   qr/did you mean 'childhurd\*', which stands for childhurd1 to childhurd3[?]\n/, 'a pattern with a mistake'],
    ['else',        qr/childhurdctl list shows all\n/,                                        'something else'],
  )
{
    my ($name, $meant, $what) = @$case;
    for my $verb (qw(stop status ssh)) {
        ctl($verb, $name);
        is($status, 1, "$verb $name: $what");
        like($err, qr/^childhurdctl: \Q$name\E: there is no such guest; .*$meant\z/, '... says what is meant') or diag($err);
    }
}
ok(!grep({ $_->{method} =~ /Stop/ } calls()), 'and nothing is done');
for my $verb (qw(events top)) {
    ctl($verb, 'chidlhurd2');
    is($status, 1, "$verb of such a guest");
    is($err, "childhurdctl: chidlhurd2: there is no such guest; did you mean childhurd2?\n", '... says what is meant');
}
# A pattern that would stand for others as well is narrower.
daemon("$dir/two-series", sub {
    while (sysread $_[0], my $x, 4096) {
        my @names = $x =~ /"a"|"c"/ ? () : qw(a1 a2 a5 a-test c3 c4);
        syswrite $_[0], (@names ? $json->encode({ parameters => { guests => [map { { name => $_ } } @names] } })
              : '{"error":"org.childhurd.NoSuchGuest","parameters":{"name":"' . ($x =~ /"(a|c)"/)[0] . '"}}') . "\0";
    }
});
run($ctl, 'stop', '-s', "$dir/two-series", 'a', 'c');
is($err, "childhurdctl: a: there is no such guest; 'a[0-9]*' stands for 3 guests, a1 to a5\n"
      . "childhurdctl: c: there is no such guest; 'c*' stands for c3 and c4\n", 'a pattern that stands for no others');

daemon("$dir/empty", sub { while (sysread $_[0], my $x, 4096) { syswrite $_[0], '{"parameters":{"guests":[]}}' . "\0" } });
like(run($ctl, 'list', '-s', "$dir/empty"), qr/no guest is configured.*childhurd[.]ini/, 'an empty hird says where guests come from');
like(run($ctl, 'list', '-s', "$dir/empty", '--json'), qr/^\{"guests":\[\]\}$/, 'but not in JSON');
is(run($ctl, 'list', '-s', "$dir/empty", '--state', 'ready'), $out =~ s/^\{.*//sr || run($ctl, 'list', '-s', "$dir/empty"), '... whatever is asked for');
run($ctl, 'stop', '--all', '--wait', '-s', "$dir/empty");
is($status, 0, 'to stop nobody is done at once');

# --- status ---

# A time zone in which this day is so many seconds old.
sub day_of {
    my ($age) = @_;
    my $east = $age - time % 86400;
    my $size = abs int $east;
    return sprintf 'here%s%d:%02d:%02d', $east < 0 ? '+' : '-', $size / 3600, $size / 60 % 60, $size % 60;
}

my $noon = day_of(12 * 3600);
{
    local $ENV{TZ} = day_of(60);
    ctl('status', 'slow');
    like($out, qr/ \(for 3min, since \d{4}-\d\d-\d\d 23:\d\d:\d\d\)\n/, 'yesterday has its date');
    $ENV{TZ} = day_of(86400 - 60);
    ctl('status', 'slow');
    like($out, qr/since 23:.*\n.*\n  limit +\d{4}-\d\d-\d\d 00:0\d:\d\d, in/, 'and tomorrow, too');
}
$ENV{TZ} = $noon;
ctl('status', 'slow');
is($status, 0, 'status');
like($out, qr/^slow: booting: started by root \(for 3min, since [\d:]+\)\n  now +waiting for the SSH banner\n  limit +[\d:]+, in \d+min\n/,
    'begins with the reason');
like($out, qr/$_->[0]/, "shows $_->[1]")
  for [qr/ssh +127.0.0.1 port 14022, user offloading/, 'the address'], [qr/process 4711, tcg, 1[.]5G/, 'QEMU'],
  [qr/probe +1\ds ago\n +banner +12 ms  ok\n +login +refused/, 'the probe with its steps'], [qr/2[.]5 s behind the host's/, 'the clock'],
  [qr/load +1[.]02/, 'the load'], [qr{free +3[.]0G on /$}m, 'the free disk'], [qr{failure +the last one is in /var/\S+/failure.txt}, 'what was kept of a failure'], [qr/changed +memory-size/, 'what waits for a restart'], [qr/  \| Hurd server bootstrap$/m, 'the console'];
unlike(on_terminal(80, 'status', 'slow'), qr/\e\[2J/, 'what a guest says does not steer the terminal');
ctl('status', 'childhurd2');
like($out, qr/qemu +does not run/, 'a guest that is stopped');
like($out, qr/^  warm state none$/m, '... without a warm state');
ctl('status', 'childhurd1', 'childhurd3');
like($out, qr/^  warm state saved 12min ago$/m, 'a guest with a warm state');
like($out, qr/^  warm state off: it failed; try again$/m, '... and one that gets none');
ctl('status');
is($status, 0, 'status of all');
is(() = $out =~ /^\S+: \w+: .+ \(for \w+, since [\d:]+\)$/mg, 4, 'shows all');
unlike($out, qr/console/, 'in short');
$ENV{TZ} = 'UTC';
ctl('status', 'childhurd1', 'nobody', 'childhurd1');
is($status, 1, 'status of a guest that is not there');
like($err, qr/^childhurdctl: nobody: there is no such guest/, 'says so');
is(() = $out =~ /^childhurd1: /mg, 1, 'and shows the other one, once');
ctl('status', 'slow', '--json');
is(eval { decode_json($out)->{guests}[0]{pid} }, 4711, 'status --json');
like($out, qr/"seconds":0[.]012\}/, 'has numbers that are no longer than they need to be');

# --- work ---

ctl('stop', 'childhurd1', 'slow', '--now');
is($status, 0, 'stop');
my @asked = grep { $_->{method} =~ /Stop/ } calls();
is_deeply([map { $_->{parameters} } @asked], [map { { names => [$_], now => JSON::PP::true } } qw(childhurd1 slow)], 'asks for each guest, with --now');
like($out, qr/^childhurd1: stopping: stop by a test\nslow: stopping/, 'and says what they do now');
ctl('start', 'nobody', 'childhurd3', 'childhurd2', 'childhurd?');
is($status, 1, 'some that fail');
like($err, qr/^childhurdctl: nobody: there is no such guest.*\nchildhurdctl: childhurd3: its image is missing\n$/, 'a line for each');
is_deeply([map { @{ $_->{parameters}{names} } } grep { $_->{method} =~ /Start/ } calls()], [qw(childhurd3 childhurd2 childhurd1)],
    'and all others are tried, each once');
ctl('drain', 'childhurd1');
is($status, 1, 'what is not permitted');
like($err, qr/childhurd1: permission denied: only root/, 'says who may');

ctl('start', '--autostart');
is(join(' ', map { @{ $_->{parameters}{names} } } grep { $_->{method} =~ /Start/ } calls()), 'childhurd1 childhurd3 slow',
    'start --autostart is for those that are configured so');
ctl('start', '--autostart');
is(join(' ', map { @{ $_->{parameters}{names} } } grep { $_->{method} =~ /Sleep/ } calls()), 'childhurd2',
    '... and puts to sleep the one that is to sleep and is stopped');
ctl('start', 'childhurd2', '--wait', '--timeout', '2min');
is($status, 0, 'start --wait');
is($out, "childhurd2: starting: start by a test\nchildhurd2: booting: a test made it booting\nchildhurd2: ready: a test made it ready\nchildhurd2 is ready (0s)\n",
    'a line for each change, and the end');
my ($wait) = grep { $_->{method} =~ /Wait/ } calls();
is($wait->{parameters}{state}, 'ready', 'it waits for ready');
ok($wait->{more}, 'with what happens meanwhile');
ok($wait->{parameters}{timeout} > 119 && $wait->{parameters}{timeout} <= 120, 'and with the limit');
for my $case (['stop', 'stopped'], ['restart', 'ready'], ['reset', 'ready'], ['undrain', 'ready']) {
    ctl($case->[0], 'childhurd1', '--wait');
    is((grep { $_->{method} =~ /Wait/ } calls())[0]{parameters}{state}, $case->[1], "$case->[0] --wait waits for $case->[1]");
}
ctl('reset', 'childhurd1', 'childhurd2', '--wait');
is($status, 0, 'reset --wait of a guest that is stopped');
like($out, qr/^childhurd2 is reset and stays stopped$/m, 'has nothing to wait for');
like($out, qr/^childhurd1 is ready \(0s\)$/m, 'but the other one is waited for');
$shown = on_terminal(70, 'start', 'childhurd2', '--wait');
like($shown, qr/\r0 of 1 ready; childhurd2 \e\[33mbooting\e\[m \S+  a test made it booting\e\[K\e\[J\r\e\[\?7h/, 'on a terminal the line is drawn again in place');
like($shown, qr/childhurd2 is \e\[32mready\e\[m \(0s\)\r?\nssh: childhurdctl ssh childhurd2\r?\n$/, 'and the end stays, with what to do next');
unlike(ctl('start', 'childhurd2', '--wait'), qr/^ssh:/m, '... which a pipe does not get');
like(on_terminal(70, 'restart', 'childhurd1', '--wait'), qr/\nssh: childhurdctl ssh childhurd1\r?\n$/, 'so does restart --wait');
like(on_terminal(70, 'wait', 'childhurd1'), qr/\nssh: childhurdctl ssh childhurd1\r?\n$/, '... and wait');
unlike(on_terminal(70, 'wait', 'childhurd2', '--for', 'stopped'), qr/^ssh:/m, '... but not for another state');
{
    my $pair = "$dir/pair";
    daemon($pair, sub {
        my ($client) = @_;
        my $both = sub { my ($state) = @_; return { guests => [ { name => 'one', state => 'ready' }, { name => 'two', state => $state } ] } };
        while (sysread $client, my $calls, 65536) {
            for my $call (map { decode_json($_) } split /\0/, $calls) {
                my $waits = $call->{method} =~ /Wait/;
                syswrite $client, $json->encode({ parameters => $both->('booting'), $waits ? (continues => JSON::PP::true) : () }) . "\0";
                next unless $waits;
                wait_for_end($client, 2);
                syswrite $client, $json->encode({ parameters => $both->('ready') }) . "\0";
            }
        }
    });
    run($ctl, '-s', $pair, 'wait', 'one', 'two');
    my %took = $out =~ /^(\w+) is ready \((\d+)s\)$/mg;
    cmp_ok($took{two} // 0, '>=', ($took{one} // 99) + 1, 'each guest has its own time') or diag($out, $err);
}

ctl('wait', 'childhurd1', 'childhurd3', '--for', 'ready');
is($status, 1, 'a wait for what cannot be');
is($err, "childhurdctl: childhurd3: is failed and not going to be ready: no image\n", 'says which guest and why');
like($out, qr/^childhurd1 is ready/m, 'the other one is waited for');
my $began = time;
ctl('wait', 'slow', 'childhurd1', '--for', 'ready', '--timeout', '300ms');
is($status, 4, 'a wait that times out: exit 4');
like($err, qr/^childhurdctl: slow: not ready within 300ms, but booting: waiting for the SSH banner\n$/, 'says what it was waiting for');
ok(time - $began < 20, 'in time');

# --- those that are drained, stopped or persistent ---

sub other { return run($ctl, '-s', "$dir/others", @_) }
{
    local $others = [
        { name => 'up',      state => 'ready',   port => 1, why => 'it answers' },
        { name => 'drained', state => 'draining', port => 2, why => 'drained by root', drained => JSON::PP::true },
        { name => 'busy',    state => 'draining', port => 3, why => 'drained by root', builds => 1 },
        { name => 'fresh',   state => 'unresponsive', port => 4, why => 'taken over', taken_over => JSON::PP::true },
        { name => 'down',    state => 'stopped', port => 5, why => 'stopped by root', autostart => JSON::PP::false },
        { name => 'asleep',  state => 'asleep',  port => 6, why => 'idle' },
        { name => 'unclear', state => 'stopped', port => 7, undecided => JSON::PP::true },
        { name => 'kept',    state => 'ready',   port => 8, persistent => JSON::PP::true },
        { name => 'lost',    state => 'ready',   port => 9, lost => 1 },
    ];
    daemon("$dir/others", \&serve);
}
my %word = map { /^(\S+) +(\S+)/ } split /\n/, other('list');
is_deeply([@word{qw(up drained busy fresh)}], [qw(ready drained draining probing)], 'drained is one that has no build left, probing one that was taken over');
is(eval { decode_json(other('list', '--json', 'drained'))->{guests}[0]{state} }, 'draining', '... and in JSON the states are as ever');
like(other('status', 'drained'), qr/^drained: drained: drained by root /m, 'status says drained, too');
{
    local $ENV{TERM} = 'xterm';
    unlike(run('script', '-qec', "$ctl -s $dir/others list fresh", '/dev/null'), qr/\e\[31m/, 'a guest that was taken over is not red');
}
other('wait', 'drained');
is($status, 1, 'a wait for a drained guest ends');
is($err, "childhurdctl: drained: is drained; childhurdctl undrain drained gives it builds again\n", '... and says what to do');
other('restart', 'drained', '--wait');
is($status, 0, 'its restart is done when it is up') or diag $err;
like($out, qr/^drained is up and drained \(0s\); childhurdctl undrain drained gives it builds$/m, '... and drained, as before');
other('undrain', 'down', 'asleep', '--wait');
is($status, 0, 'undrain --wait of guests that do not run is done');
like($out, qr/^down is undrained and stays stopped\nasleep is undrained and stays asleep$/m, '... as they are no longer drained');
other('wait', '--all');
is_deeply((grep { $_->{method} =~ /Wait/ } calls())[0]{parameters}{names}, [qw(up drained busy fresh unclear kept lost)],
    'wait --all leaves out those that nobody wants up');
like($out, qr/^down is stopped, and is not waited for\nasleep is asleep, and is not waited for$/m, '... and says so');
other('wait', 'dow*');
is($status, 0, 'a pattern leaves them out, too');
other('wait', 'down');
is_deeply([map { @{ $_->{parameters}{names} } } grep { $_->{method} =~ /Wait/ } calls()], ['down'], '... but not who is named');
other('wait', '--all', '--for', 'stopped', '--timeout', '10ms');
is(scalar(map { @{ $_->{parameters}{names} } } grep { $_->{method} =~ /Wait/ } calls()), 9, 'and nobody is left out of a wait for another state');
ctl('wait', 'childhurd1');
is($status, 0, 'wait without --for');
is((grep { $_->{method} =~ /Wait/ } calls())[0]{parameters}{state}, 'ready', '... waits for ready');
other('stop', 'lost', '--wait');
is($status, 1, 'a stop that somebody cancels meanwhile has an end');
like($err, qr/^childhurdctl: lost: is not going to be stopped, but ready now: undrained by somebody$/m, '... and says why');

for my $case (["no\n", 1, 0], ["yes\n", 0, 1], ["y\n", 1, 0], ["\cD", 1, 0]) {
    my ($typed, $ends, $done) = @$case;
    unlink "$dir/calls";
    my $t = Terminal->new(command => [$ctl, '-s', "$dir/others", 'reset', 'kept', 'up']);
    $t->expect(qr/This deletes the persistent disk, and all that is on it, of kept[.]\r?\nType yes to do it: /, 'on a terminal a reset asks');
    $t->type($typed);
    is($t->end, $ends, "... and ends with $ends");
    is(!!(grep { $_->{method} =~ /Reset/ } calls()), !!$done, $done ? '... after it was done' : '... and nothing was done');
}
for my $case (['reset', 'up'], ['reset', 'kept', '--yes']) {
    my $t = Terminal->new(command => [$ctl, '-s', "$dir/others", @$case]);
    is($t->end, 0, "@$case asks nothing");
}
other('reset', 'kept');
is($status, 0, 'reset of a persistent disk without a terminal: nobody is asked');
ok((grep { $_->{method} =~ /Reset/ } calls()), '... and it is done');

# The daemon itself may still be on its way.
$began = time;
run($ctl, '-s', "$dir/nobody", 'wait', '--all', '--for', 'ready', '--timeout', '300ms');
is($status, 3, 'a wait without a daemon');
like($err, qr{^childhurdctl: no childhurdd at $dir/nobody: No such file or directory; start the daemon}, 'says so');
ok(time - $began >= 0.3, 'after its limit');
my $pid = fork // die;
if (!$pid) {
    open STDOUT, '>', "$dir/early.out";
    open STDERR, '>', "$dir/early.err";
    exec $ctl, '-s', "$dir/late", 'wait', 'childhurd1', '--for', 'ready';
}
sleep 0.2;
daemon("$dir/late", \&serve);
waitpid $pid, 0;
is($?, 0, 'a wait that began before the daemon');
like(slurp("$dir/early.out"), qr/^childhurd1 is ready/m, 'gets there');

unlink "$dir/out";
$pid = fork // die;
if (!$pid) {
    open STDOUT, '>', "$dir/out";
    open STDERR, '>', "$dir/err";
    $SIG{INT} = 'DEFAULT';
    exec $ctl, '-s', "$dir/control", 'wait', 'slow', '--for', 'ready';
}
for (1 .. 400) {
    last if slurp("$dir/out") =~ /slow: booting/;
    sleep 0.01;
}
kill 'INT', $pid;
waitpid $pid, 0;
is($? >> 8, 130, 'Ctrl-C while waiting: exit 130');
like(slurp("$dir/err"), qr/the daemon goes on with it, and childhurdctl wait slow --for ready waits/, 'and what that means is said');

# --- ssh ---

mkdir "$dir/bin";
open my $f, '>', "$dir/bin/ssh" or die;
print $f "#!/bin/sh\nfor a; do printf '[%s]' \"\$a\"; done\nexit 42\n";
close $f;
chmod 0755, "$dir/bin/ssh";
open $f, '>', "$dir/key" or die;
close $f;
{
    local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
    ctl('ssh', 'childhurd1', 'ls', '-l', '--all', 'a b');
    is($status, 42, "ssh's exit status is ours");
    is($out, join('', map { "[$_]" } qw(-F none -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=30
                -o HostKeyAlias=childhurd1 -o),
            "UserKnownHostsFile=\"$dir/known hosts\"", '-i', "$dir/key", qw(-p 11022 -l root 127.0.0.1 -- ls -l --all), 'a b'), 'ssh is called');
    is($err, '', 'and nothing is said of a guest that is ready');
    ctl('ssh', 'childhurd1');
    like($out, qr/\[127[.]0[.]0[.]1\]$/, 'without a command it is a login');
    ctl('ssh', '-t', 'childhurd1', 'top', '-t');
    like($out, qr/\[-t\]\[127[.]0[.]0[.]1\]\[--\]\[top\]\[-t\]$/, '-t asks for a terminal; behind NAME it is the command\'s');
    ctl('ssh', 'slow', 'true');
    is($status, 42, 'a guest that is not ready is tried');
    like($err, qr/slow: is not ready but booting: waiting for the SSH banner/, 'after saying so');
    ctl('ssh', 'childhurd2', 'true');
    is($status, 1, 'one that does not run is not');
    like($err, qr/childhurd2: is stopped, its QEMU does not run: stopped by root; childhurdctl start childhurd2/, 'and what to do is said');
}

SKIP: {
    my $nobody = getpwnam 'nobody';
    skip 'needs root, to be somebody else', 4 if $> || !defined $nobody;
    copy($ctl, "$dir/program");
    chmod 0755, $dir, "$dir/program";
    chmod 0777, "$dir/control";
    my ($mail, $uid) = getpwnam('mail') ? ('mail', scalar getpwnam 'mail') : ('root', 0);
    for my $case ([0, 0, qr/root/, "root's key"], [$uid, 0, $uid ? qr/root or $mail/ : qr/root/, "another user's key"]) {
        my ($owner, $group, $who, $what) = @$case;
        chown $owner, $group, "$dir/key";
        chmod 0600, "$dir/key";
        run('setpriv', "--reuid=$nobody", '--clear-groups', '--', "$dir/program", '-s', "$dir/control", 'ssh', 'childhurd1');
        is($status, 1, "$what cannot be read");
        like($err, qr{^childhurdctl: childhurd1: $dir/key: Permission denied; run it as $who$}m, 'and who can is said');
    }
}

# --- log and events ---

is(ctl('log', 'slow'), "lines=0\none\ntwo \e[31mred\n", 'log: all of it, as it is in a pipe');
is(ctl('log', '-n', '3', 'slow'), "lines=3\none\ntwo \e[31mred\n", 'the last lines');
like(on_terminal(80, 'log', 'slow'), qr/two \[31mred/, 'on a terminal without control characters');
is(ctl('log', 'sl*'), "lines=0\none\ntwo \e[31mred\n", 'a pattern that fits one');
is($err, '', '... says nothing more');
is(ctl('log', 'childhurd2'), '', 'a guest that never ran has none');
is($status, 0, '... which is no error');
is($err, "childhurdctl: childhurd2: its console's log is empty: it has not run yet, or has written nothing\n", '... but is said');
ctl('log', 'nobody');
is($status, 1, 'the log of nobody');

ctl('events');
is(() = $out =~ /\n/g, 30, 'events: all that are kept');
like($out, qr/^1970-01-02 00:00:01     1  childhurd1: ready: event 1$/m, 'an event');
like($out, qr/^1970-01-02 00:00:30    30  childhurdd: event 30$/m, "the daemon's own");
ctl('events', '--since', '29', '--json');
is_deeply([map { decode_json($_)->{number} } split /\n/, $out], [29, 30], 'events --since N --json: an object a line');
is(() = ctl('events', 'childhurd1') =~ /\n/g, 29, 'events NAME: its own');
like(ctl('events', 'slo*'), qr/\A\z/, '... none of a guest to which nothing happened');
is($status, 0, '... which is no error');
ctl('events', 'nobody');
is($status, 1, '... but a name that no guest has is');
like($err, qr/^childhurdctl: nobody: there is no such guest/, '... and is said');
is(join(' ', ctl('events', '--since', '1970-01-02 00:00:29') =~ /event (\d+)$/mg), '29 30', 'events --since a date');
is(join(' ', ctl('events', '--since', '1970-01-02T00:00:29', 'childhurd?') =~ /event (\d+)$/mg), '29', '... of one guest');
is(ctl('events', '--since', '10min'), '', 'events --since a duration');
for my $age ('30000d', 'yesterday', 'today', '00:00', '1h') {
    is(() = ctl('events', '--since', $age) =~ /\n/g, $age eq '30000d' ? 30 : 0, "--since $age");
    is($status, 0, '... is a time');
}
ctl('events', '-f');
is(() = $out =~ /\n/g, 11, 'events -f: the last ones, and what is new');
like($out, qr/slow: failed: new$/m, 'the new one');
like($err, qr/9 older events are no longer kept/, 'lost ones are told');

# --- the rest ---

is(ctl('machines'), "(list\n (build-machine))\n", 'machines');
like(ctl('machines', '--json'), qr/^\{"machines":\[\],"text":.*\}$/, 'machines --json');
is(ctl('metrics'), "# TYPE a gauge\na 1\n# EOF\n", 'metrics');
is(ctl('check'), "ok       KVM\nnote     two lines\n1 ok, 1 note\n", 'check asks a daemon that runs, and sums up');
is($status, 0, 'which finds nothing in the way');
is(ctl('check', '--quiet'), "note     two lines\n", 'check --quiet leaves out what is well');
like(on_terminal(80, 'check'), qr/^\e\[32mok\e\[m       KVM\r\n\e\[33mnote\e\[m     two lines\r\n\e\[32m1 ok\e\[m, \e\[33m1 note\e\[m\r\n/,
    'in colour on a terminal');
{
    local $ENV{NO_COLOR} = 1;
    like(on_terminal(80, 'check'), qr/^ok       KVM\r\n.*\r\n1 ok, 1 note\r\n/, '... but not with NO_COLOR');
}
is(ctl('reload'), "childhurd2: added\n", 'reload');
is(ctl('reload', '--dry-run'), "childhurd2: removed\n", 'reload --dry-run shows what would be changed');
ok((grep { $_->{parameters}{dry_run} } calls()), '... and asks for no more');
open $f, '>', "$dir/bad" or die;
close $f;
ctl('reload');
is($status, 1, 'a bad configuration');
is($err, "childhurdctl: a.ini:1: first\nchildhurdctl: a.ini:2: second\n", 'each error is a line');
ctl('check');
is($status, 1, 'check exits with 1 when the daemon finds a problem');
ctl('screenshot', 'childhurd1', "$dir/a.png");
is($status, 0, 'screenshot');
is(slurp("$dir/a.png"), $png, 'is written as it came');
{
    my $home = Cwd::getcwd();
    mkdir "$dir/shots";
    chdir "$dir/shots" or die;
    is(ctl('screenshot', 'childhurd1'), "childhurd1.png\n", 'screenshot NAME makes NAME.png, and says so');
    is(slurp('childhurd1.png'), $png, '... with the picture');
    symlink "$dir/elsewhere", 'childhurd1-2.png';
    is(ctl('screenshot', 'childhurd1'), "childhurd1-3.png\n", 'what is there is left alone');
    ok(!-e "$dir/elsewhere", '... also a link');
    chdir $home or die;
    is(ctl('screenshot', 'childhurd1', '-'), $png, 'screenshot NAME - is for a pipe');
}
ctl('screenshot', 'childhurd1', "$dir/nowhere/a.png");
is($status, 1, 'a folder that is not there');
is($err, "childhurdctl: $dir/nowhere/a.png: No such file or directory\n", '... is said, with the name that was given');
ctl('screenshot', 'slow', "$dir/b.png");
is($status, 1, 'what is no PNG');
ok(!-e "$dir/b.png", 'is not written');
waitpid $hanging, 0;
is($? >> 8, 4, 'a screenshot of a QEMU that hangs: exit 4');
is(slurp("$dir/hanging.err"), "childhurdctl: childhurd3: its QEMU does not answer: no screenshot within 15 s\n", 'it is not the daemon that is blamed');
my ($version) = slurp('Makefile') =~ /^VERSION := (\S+)$/m;
is(ctl('version'), "childhurdctl $version\nchildhurdd 0.9\n", 'version: both');
run($ctl, 'version', '-s', "$dir/nobody");
is($status, 0, 'version without a daemon');
like($out, qr/^childhurdctl [\d.]+\n\z/, 'is our own');
like($err, qr{no childhurdd at $dir/nobody: No such file}, '... with a note that there is none');
run($ctl, '--version', '-s', "$dir/nobody");
is($status, 0, '--version');
is($err, '', '... asks no daemon');
is($out, run($ctl, 'version', '-s', "$dir/nobody"), '... and is our own');

copy($ctl, "$dir/bin/childhurdctl");
open $f, '>', "$dir/bin/childhurdd" or die;
print $f "#!/bin/sh\necho \"\$# \$*\"\nexit 1\n";
close $f;
chmod 0755, "$dir/bin/childhurdctl", "$dir/bin/childhurdd";
is(run("$dir/bin/childhurdctl", 'check'), "1 --check\n", 'check runs the childhurdd beside it');
is($status, 1, 'with its exit status');
is(run("$dir/bin/childhurdctl", '-s', "$dir/nobody", 'check'), "1 --check\n", 'where no daemon listens, too');
is(run("$dir/bin/childhurdctl", 'check', 'a b.ini'), "3 --check --config a b.ini\n", 'check FILE');
is(run("$dir/bin/childhurdctl", 'check', '-q', 'a b.ini'), "4 --check --quiet --config a b.ini\n", 'check --quiet FILE');

# --- console, and streams that are closed or full ---

# Take a client up to the console.
sub attend {
    my ($client) = @_;
    for my $answer ('"guests":[{"name":"slow"}]', '"name":"slow"') {
        sysread $client, my $call, 65536;
        syswrite $client, "{\"parameters\":{$answer}}\0";
    }
}

# A guest that says something, and notes what is typed.
sub greet {
    my ($client) = @_;
    my $typed = '';
    attend($client);
    syswrite $client, "spoken\n";
    1 while sysread $client, $typed, 65536, length $typed;
    open my $note, '>', "$dir/typed.new" or die;
    print $note "typed: $typed";
    close $note;
    rename "$dir/typed.new", "$dir/typed";
    syswrite $client, qq(\0{"error":"org.childhurd.ConsoleEnded","parameters":{"name":"slow","why":"it is over","by":null}}\0);
}

# One that does not stop to speak. When nobody takes it for a while it says so in a file.
sub flood {
    my ($client) = @_;
    attend($client);
    $client->blocking(0);
    while (1) {
        my $room = IO::Select->new($client)->can_write(0.5);
        if (!$room) {
            open my $note, '>', "$dir/full" or die;
        }
        $room && !syswrite($client, 'x' x 4096) and return;
    }
}

sub in_time {
    my ($what, $ask) = @_;
    return ok(eval { Childhurd::limited(20, $what, $ask) }, $what) || diag($@);
}

# So that a zombie has ended, too.
sub has_ended { return slurp("/proc/$_[0]/stat") !~ /\) [^ZX]/ }

daemon("$dir/greeting", \&greet);
for my $closed ('<&-', '<&- 2>&-') {
    unlink "$dir/typed";
    is(`timeout 20 $ctl -s $dir/greeting console slow $closed`, "spoken\n", "console $closed shows what the guest says");
    is($?, 0, '... and ends well');
    in_time("console $closed ends", sub { -e "$dir/typed" });
    is(slurp("$dir/typed"), 'typed: ', '... and types nothing of it');
}
is(system("timeout 20 $ctl -s $dir/greeting console slow <&- >&- 2>$dir/err") >> 8, 1, 'console >&- fails');
like(slurp("$dir/err"), qr/^childhurdctl: standard output: Bad file descriptor$/m, '... and says why');

daemon("$dir/flooding", \&flood);
for my $signal (qw(INT TERM HUP)) {
    unlink "$dir/full";
    pipe my $unread, my $in or die;
    pipe my $keys, my $nobody_types or die;
    my $pid = fork // die;
    if (!$pid) {
        open STDIN,  '<&', $keys;
        open STDOUT, '>&', $in;
        $SIG{INT} = 'DEFAULT';
        exec $ctl, '-s', "$dir/flooding", 'console', 'slow';
    }
    close $in;
    in_time('a pipe that nobody reads fills up', sub { -e "$dir/full" });
    kill $signal, $pid;
    in_time("SIG$signal ends the console", sub { has_ended($pid) }) or kill 'KILL', $pid;
    waitpid $pid, 0;
    is($? & 127, $signal eq 'INT' ? 2 : $signal eq 'TERM' ? 15 : 1, '... itself');
}
{
    unlink "$dir/full";
    my $t = Terminal->new(command => [$ctl, '-s', "$dir/flooding", 'console', 'slow']);
    in_time('a terminal that nobody reads fills up', sub { -e "$dir/full" });
    like($t->settings, qr/-icanon/, 'it is in raw mode');
    my $pid = $t->process;
    kill 'TERM', $pid;
    in_time('SIGTERM ends the console', sub { has_ended($pid) }) or kill 'KILL', $pid;
    like($t->settings, qr/[^-]icanon/, '... and the terminal is as it was');
}

open $f, '-|', "$ctl -s $dir/control list >/dev/full 2>$dir/err; echo \$?" or die;
is(scalar <$f>, "1\n", 'output that cannot be written is an error');
close $f;

done_testing();
