# SPDX-License-Identifier: GPL-3.0-or-later
# What goes wrong on a build node: each time the daemon says what it is, publishes nothing that is not proven, and
# leaves nothing half-done.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Path ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket;
use Test::More;
use Time::HiRes qw(time);

my $image = Childhurd::need_image('linux');

# --- what is wrong before QEMU runs: guests that fail at once, all in one hird ---
{
    my $d  = Childhurd->new;
    my $id = Childhurd::free_id(12);
    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 10022 + 1000 * ($id + 6), Listen => 1);
    Childhurd::spew("$d->{dir}/text",     "this is not an image\n" x 100);
    Childhurd::spew("$d->{dir}/empty",    '');
    Childhurd::spew("$d->{dir}/cut",      substr(Childhurd::slurp($image), 0, 40000));
    my %cases = (
        missing   => ["image = $d->{dir}/nowhere.qcow2",               qr/nowhere\.qcow2.*No such file/],
        text      => ["image = $d->{dir}/text",                        qr/text.*image-format = raw/],
        empty     => ["image = $d->{dir}/empty",                       qr/empty.*empty/],
        cut       => ["image = $d->{dir}/cut",                         qr/cut.*truncated/i],
        format    => ["image = $image\nimage-format = raw",            qr/qcow2/],
        folder    => ["image = $d->{dir}",                             qr/directory|folder/],
        port      => ["image = $image",                                qr/port \d+ on 127\.0\.0\.1 is taken by process $$ /],
        emulator  => ["image = $image\nemulator = qemu-system-none",   qr/qemu-system-none: not found.*install/],
        kvm       => ["image = $image\nacceleration = kvm",            qr/kvm/i],
        disksize  => ["image = $image\ndisk-size = 2M",                qr/holds a disk of \d+ bytes.*raise disk-size/],
    );
    my $text = "[defaults]\nrestart = never\nmemory-size = 256M\nautostart = no\n";
    my $n    = 0;
    for my $name (sort keys %cases) {
        my $guest = $name eq 'port' ? $id + 6 : $id + ($n == 6 ? ++$n : $n);
        $text .= "[guest $name]\nid = $guest\n$cases{$name}[0]\n";
        $n++ if $name ne 'port';
    }
    $d->configure($text);
    $d->start;
    for my $name (sort keys %cases) {
        next if $name eq 'kvm' && kvm_works($d);
        my $said = $d->ctl('start', $name) . $d->ctl('wait', $name, '--for', 'failed', '--timeout', '60s');
        is($d->{status}, 0, "$name: it fails") or diag($said, $d->log), next;
        like($d->ctl('status', $name), $cases{$name}[1], "$name: status says why");
    }
    is(scalar($d->all_qemus), 0, 'no QEMU was started for any of them');
    unlike($d->machines, qr/build-machine/, 'nothing is published for guests that gave up');
    ok(!-e "$d->{state}/$_/disk.qcow2", "$_: no half-made disk") for grep { !/^(kvm|emulator|port)$/ } sort keys %cases;
}

sub kvm_works {
    my ($d) = @_;
    return $d->log =~ /: kvm \(/;
}

# --- another user of the host takes the secrets port in the moment in which QEMU gives it up, and speaks as a guest does ---
sub thief {
    my ($port) = @_;
    my $hex  = sprintf ':%04X ', $port;
    my $pipe = IO::Handle->new;
    my $pid  = open($pipe, '-|') // die "fork: $!";
    return ($pid, $pipe) if $pid;
    POSIX::nice(-20);
    $) = '65534 65534';
    $> = $< = 65534;
    socket my $s, PF_INET, SOCK_STREAM, 0;
    setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
    bind $s, sockaddr_in($port, INADDR_LOOPBACK) or POSIX::_exit(1);    # bound only: that hinders nobody
    my $seen = 0;
    while ($seen < 6) {
        $seen = grep(/$hex.* 0A /, split /\n/, Childhurd::slurp('/proc/net/tcp')) ? $seen + 1 : 0;
        select undef, undef, undef, 0.05;
    }
    1 until listen $s, 5;
    print "has it\n";
    STDOUT->flush;
    my $rest = '';
    POSIX::sigaction(POSIX::SIGALRM(), POSIX::SigAction->new(sub { }));    # accept ends with it
    alarm 10;
    if (accept my $c, $s) {
        syswrite $c, '(secret-service-server (version 0))';
        1 while sysread $c, $rest, 4096, length $rest;
    }
    print 'took ', length $rest, "\n";
    STDOUT->flush;
    POSIX::_exit(0);
}
if ($> != 0) {
    fail('the thief needs another user: run this as root');
} else {
    my $id = Childhurd::free_id(1);
    my $d  = Childhurd->new(guests => "[guest robbed]\nid = $id\nimage = $image\nmemory-size = 256M\nautostart = no\n")->start;
    # The moment is short, and he may miss it.
    my $named;
    for my $try (1 .. 3) {
        my ($pid, $pipe) = thief(11004 + 1000 * $id);
        $d->ctl('start', 'robbed');
        is(scalar <$pipe>, "has it\n", 'the port can be taken');
        my $took = <$pipe>;
        waitpid $pid, 0;
        is($took, "took 0\n", 'who takes the secrets port away from QEMU gets nothing');
        $named = $d->log =~ /warning: robbed: its secrets port cannot be opened: port \d+ .* is taken by process $pid \(perl\)/;
        last if $named;
        $d->ctl('stop', 'robbed', '--now', '--wait', '--timeout', '60s');
    }
    ok($named, 'the log says who has it') or diag($d->log);
    $d->ctl('wait', 'robbed', '--for', 'ready', '--timeout', '90s');
    is($d->{status}, 0, 'when he is gone the guest gets its secrets') or diag($d->log);
    $d->clean;
}

# --- no qemu-img; configuration errors; a state directory that cannot be had ---
{
    my $d  = Childhurd->new;
    my $id = Childhurd::free_id(1);
    mkdir "$d->{dir}/bin";
    symlink '/usr/bin/qemu-system-x86_64', "$d->{dir}/bin/qemu-system-x86_64";
    $d->configure("[guest a]\nid = $id\nimage = $image\nrestart = never\nautostart = no\n");
    $d->{environment} = { PATH => "$d->{dir}/bin" };
    $d->start;
    delete $d->{environment};
    $d->ctl('start', 'a');
    $d->ctl('wait', 'a', '--for', 'failed', '--timeout', '60s');
    like($d->ctl('status', 'a'), qr/no qemu-img in PATH; install it \(Debian: qemu-utils/, 'no qemu-img: which package has it');
    my $before = $d->ctl('list', '--json');
    $d->configure("[guest a]\nimagine = $image\n[guest b]\n");
    my $said = $d->ctl('reload');
    is($d->{status}, 1, 'a configuration with errors is not taken');
    like($said, qr/\Q$d->{file}\E:\d+: \[guest a\] imagine: unknown key "imagine"/, 'all that is wrong is said, with its line');
    is($d->ctl('list', '--json'), $before, 'and the running daemon keeps what it had');
    my $out = "$d->{dir}/check";
    waitpid $d->spawn($out, "$Childhurd::BUILD/childhurdd", '--check', '--config', $d->{file}), 0;
    is($? >> 8, 1, 'childhurdd --check exits with 1');
    like(Childhurd::slurp($out), qr/imagine.*\n.*\[guest b\] image: is missing/, 'and says all of it, too');

    for my $case (['a file in its place', sub { Childhurd::spew("$d->{dir}/file", '') }, 'file'],
        ['a read-only place', sub { }, '/proc/childhurd']) {
        $case->[1]->();
        my $state = $case->[2] =~ m{^/} ? $case->[2] : "$d->{dir}/$case->[2]";
        Childhurd::spew("$d->{dir}/bad.ini", "[daemon]\nstate-directory = $state\nruntime-directory = $d->{dir}/run2\n");
        my $log = "$d->{dir}/bad.log";
        waitpid $d->spawn($log, "$Childhurd::BUILD/childhurdd", '--config', "$d->{dir}/bad.ini"), 0;
        is($? >> 8, 1, "state directory: $case->[0]: exit 1");
        like(Childhurd::slurp($log), qr/\Q$state\E/, '... and a message that names it');
    }
}

# --- no configuration at all ---
{
    my $d = Childhurd->new;
    my $etc = "$d->{dir}/etc";
    my $file = "$etc/childhurd/childhurd.ini";
    my @user = $> == 0 ? (uid => 65534, gid => 65534) : ();
    %$d = (%$d, @user, environment => { HOME => $d->{dir}, XDG_CONFIG_HOME => $etc, XDG_STATE_HOME => "$d->{dir}/s", XDG_RUNTIME_DIR => "$d->{dir}/r" });
    chmod 0755, $d->{dir};
    my $bin = "$d->{dir}/childhurdd";    # a checkout below /root cannot be read by others
    system 'cp', "$Childhurd::BUILD/childhurdd", $bin;
    my ($log, $out) = map { "$d->{dir}/$_" } qw(none.log none.check);
    Childhurd::spew($_, ''), chmod 0666, $_ for $log, $out;
    mkdir "$d->{dir}/$_" for qw(s r);
    chmod 01777, "$d->{dir}/$_" for qw(s r);
    waitpid $d->spawn($log, $bin), 0;
    is($? >> 8, 1, 'without a configuration there is no daemon');
    is(Childhurd::slurp($log), "no configuration: $file does not exist; write it (see childhurd.ini(5)), or name another file (childhurdd --config FILE, childhurdctl check FILE)\n",
        '... that would end all guests; it says which file it looked for');
    ok(!-e "$d->{dir}/s/childhurd", '... and touches nothing');
    waitpid $d->spawn($out, $bin, '--check'), 0;
    is($? >> 8, 1, '--check finds that a problem');
    like(Childhurd::slurp($out), qr/^problem  no configuration: \Q$file\E .*^ok .*qemu-img/ms, '... and looks at the host all the same');
}
{
    my $d = Childhurd->new(guests => "[guest a]\nimage = /nonexistent\nautostart = no\n")->start;
    rename $d->{file}, "$d->{file}.away";
    my $said = $d->ctl('reload');
    is($d->{status}, 1, 'a configuration that has vanished is not applied');
    like($said, qr/\Q$d->{file}\E: cannot be read: No such file/, '... and that is said');
    is($d->state('a'), 'stopped', '... and every guest stays');
    $d->end;
    like($d->log, qr/: 1 guest configured in \Q$d->{file}\E$/m, 'one guest is not called guests');
    like($d->log, qr/ending on Terminated; no guest runs$/m, 'none is said to run on when none runs');
}

# --- a configuration that others can change ---
SKIP: {
    skip "only root's daemon minds", 3 if $> != 0;
    my $d = Childhurd->new;
    chmod 0666, $d->{file};
    my $fix = qr/\Q$d->{file}\E: every user may write to it, .*fix it with: chmod go-w '\Q$d->{file}\E'/;
    $d->start;
    $d->said($fix, 'a configuration that everybody can write to is warned of');
    $d->end;
    my $out = "$d->{dir}/check";
    waitpid $d->spawn($out, "$Childhurd::BUILD/childhurdd", '--check', '--config', $d->{file}), 0;
    is($? >> 8, 1, '... and a problem for --check');
    like(Childhurd::slurp($out), qr/^problem  $fix/m, '... which names the command, too');
}

# --- a runtime directory that somebody deletes ---
{
    my $d = Childhurd->new(guests => "[guest a]\nimage = /nonexistent\nautostart = no\n")->start;
    my $open = IO::Socket::UNIX->new(Peer => "$d->{runtime}/control") || die "connect: $!";
    my $back = sub { $d->ctl('list'); $d->{status} == 0 && -e "$d->{runtime}/machines.scm" };
    my $is_back = sub { ok($d->wait_until(60, $_[0], $back), $_[0]) };
    unlink "$d->{runtime}/control";
    kill 'HUP', $d->{pid};
    $is_back->('SIGHUP brings a deleted control socket back');
    File::Path::remove_tree($d->{runtime});
    Childhurd::spew($d->{file}, 'nonsense');
    kill 'HUP', $d->{pid};
    $is_back->('and a deleted runtime directory, even when the configuration is no good');
    is((stat $d->{runtime})[2] & 07777, 0755, '... with its mode');
    syswrite $open, "{\"method\":\"org.childhurd.List\",\"parameters\":{\"names\":[]}}\0";
    sysread $open, my $answer, 4096;
    like($answer, qr/"name":"a"/, '... and who was connected still is');
    $d->end;

    $d = Childhurd->new(guests => "[guest a]\nimage = /nonexistent\n")->start;
    File::Path::remove_tree($d->{runtime});
    $is_back->('without being told, a change of state is published in a new one');
    $d->end;
}

# --- the kernel has no memory, or no descriptor, for who calls ---
for my $error (qw(ENOMEM EMFILE)) {
    my $d      = Childhurd->new(guests => "[guest a]\nimage = /nonexistent\nautostart = no\n")->start;
    my $strace = $d->spawn("$d->{dir}/strace", 'strace', '-f', '-qq', '-e', 'trace=accept4', '-e', "inject=accept4:error=$error:when=1..3",
        '-o', "$d->{dir}/trace", '-p', $d->{pid});
    ok($d->wait_until(60, 'strace is there', sub { Childhurd::slurp("/proc/$d->{pid}/status") =~ /^TracerPid:\s*[1-9]/m }), 'strace makes accept fail');
    like($d->ctl('list'), qr/^a +stopped/m, "$error three times over: who called is served nevertheless");
    my $trace = Childhurd::slurp("$d->{dir}/trace");
    is(() = $trace =~ /accept4.*= -1 $error.*INJECTED/g, 3, '... after three tries') or diag($trace);
    $d->said(qr{run/control: cannot accept \(.*\); trying again soon}, '... and the log has it');
    kill 'TERM', $strace;
    waitpid $strace, 0;
    is($d->end('TERM'), 0, '... and the daemon ends as always');
}

# --- a daemon that is killed while it makes a process, which has its open files until it runs its program ---
{
    my $d      = Childhurd->new(guests => "[guest a]\nimage = /nonexistent\nautostart = no\n")->start;
    my $strace = $d->spawn("$d->{dir}/strace", 'strace', '-f', '-qq', '-e', 'trace=rt_sigaction', '-e', 'inject=rt_sigaction:delay_enter=600s',
        '-o', "$d->{dir}/trace", '-p', $d->{pid});
    my $children = sub { map { split ' ', Childhurd::slurp($_) } glob "/proc/$d->{pid}/task/*/children" };
    ok($d->wait_until(60, 'strace is there', sub { Childhurd::slurp("/proc/$d->{pid}/status") =~ /^TracerPid:\s*[1-9]/m }), 'strace holds processes');
    $d->ctl_begins('check');
    my ($child) = $d->wait_until(60, 'a process', sub { ($children->())[0] });
    $d->end('KILL');
    ok($child && -e "/proc/$child", 'a process of a killed daemon is there');
    $d->start;
    is($d->{status}, 0, '... and the next daemon is not kept out') or diag($d->log);
    my $second = "$d->{dir}/second";
    waitpid $d->spawn($second, "$Childhurd::BUILD/childhurdd", '--config', $d->{file}), 0;
    is($? >> 8, 1, '... but a second one is');
    like(Childhurd::slurp($second), qr/^\S+ \S+ error: \Q$d->{state}\E is in use by another childhurdd \(process $d->{pid}\)/m, '... which says by whom');
    kill 'KILL', grep { $_ } $child, $strace;
    waitpid $strace, 0;
    $d->end;
}

# --- secret roots that are not safe ---
{
    my $id = Childhurd::free_id(4);
    my $d  = Childhurd->new;
    my $text = "[defaults]\nimage = $image\nrestart = never\nautostart = no\nmemory-size = 256M\n";
    $text .= "[guest $_]\nid = " . $id++ . "\n" for qw(mode link owner good);
    mkdir "$d->{dir}/secrets";
    for my $name (qw(mode link owner good)) {
        mkdir "$d->{dir}/secrets/$name", 0755;
        mkdir "$d->{dir}/secrets/$name/etc", 0755;
        Childhurd::spew("$d->{dir}/secrets/$name/etc/agent.sec", "secret of $name\n");
        chmod 0600, "$d->{dir}/secrets/$name/etc/agent.sec";
    }
    chmod 0644, "$d->{dir}/secrets/mode/etc/agent.sec";
    symlink '/etc/passwd', "$d->{dir}/secrets/link/etc/passwd";
    chown 12345, 12345, "$d->{dir}/secrets/owner/etc/agent.sec" if $> == 0;
    $d->configure($text);
    $d->start;
    my %says = (mode => qr/agent\.sec.*chmod/, link => qr/etc\/passwd.*symbolic link/, owner => qr/agent\.sec.*chown/);
    for my $name ($> == 0 ? qw(mode link owner) : qw(mode link)) {
        $d->ctl('start', $name);
        $d->ctl('wait', $name, '--for', 'failed', '--timeout', '60s');
        like($d->ctl('status', $name), $says{$name}, "secret root, wrong $name: what it is and what fixes it");
    }
    $d->ctl('start', 'good', '--wait', '--timeout', '120s');
    is($d->{status}, 0, 'a good one is delivered');
    is($d->ctl('ssh', 'good', 'cat /etc/agent.sec; stat -c %a /etc/agent.sec'), "secret of good\n600\n", 'with its mode');
    $d->ctl('stop', '--all', '--wait', '--now', '--timeout', '60s');
}

# --- a full state directory: a file system of its own, which only this daemon sees ---
SKIP: {
    skip 'a full state directory takes root, to mount one', 11 if $> != 0;
    my $d = Childhurd->new;
    my $id = Childhurd::free_id(1);
    $d->configure("[guest a]\nid = $id\nimage = $image\nmemory-size = 256M\nrestart = never\nautostart = no\n");
    mkdir $d->{state};
    $d->{wrap} = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c',
        'mount -t tmpfs -o size=64m,mode=755 none "$0" && exec "$@"', $d->{state}];
    $d->start;
    my $inside = "/proc/$d->{pid}/root$d->{state}";
    system("cat /dev/zero > $inside/filler 2>/dev/null");
    $d->ctl('start', 'a');
    ok($d->wait_until(60, 'a is in back-off', sub { $d->ctl('status', 'a') =~ /backoff.*No space left/s }), 'with a full state directory it is not started, and says why');
    is($d->guests->{a}{restarts}, 0, 'which is no failure');
    ok(!glob("$inside/a/disk.qcow2*"), 'no half-made disk is left');
    unlink "$inside/filler";
    $d->ctl('wait', 'a', '--for', 'ready', '--timeout', '180s');
    is($d->{status}, 0, 'when there is room again it starts by itself');

    my $qemu = $d->qemu('a');
    $d->ctl('ssh', 'a', 'sync');    # what it has written needs its room now, not later, when QEMU would have to pause it
    for my $how ('KILL', 'TERM', 'KILL') {
        system("cat /dev/zero > $inside/filler$how 2>/dev/null");
        $d->end($how);
        $inside = "/proc/$qemu/root$d->{state}";
        $d->{wrap} = ['nsenter', "--mount=/proc/$qemu/ns/mnt", '--'];
        $d->start;
        ok($d->wait_until(60, 'a is ready', sub { $d->state('a') eq 'ready' }), "SIG$how with no byte free: the next daemon has it ready");
        is($d->qemu('a'), $qemu, 'in the same QEMU');
    }
    unlink glob "$inside/filler*";
    $d->ctl('stop', 'a', '--wait', '--timeout', '60s');
    is($d->{status}, 0, 'and stops');
}

# --- the daemon dies while libvirt asks a QEMU what it can: nobody else would ever end that one ---
{
    my $d    = Childhurd->new;
    my $id   = Childhurd::free_id(1);
    my $asks = sub {
        grep { my $line = Childhurd::slurp($_); index($line, "-pidfile\0$d->{state}/libvirt/lib/qemu/qmp-") >= 0 } glob '/proc/[0-9]*/cmdline';
    };
    $d->configure("[guest a]\nid = $id\nimage = $image\nmemory-size = 256M\nacceleration = tcg\n");
    for my $signal ('KILL', 'TERM') {
        system('rm', '-rf', $d->{state});
        $d->start;
        my $until = time + 20;
        1 until $asks->() || time > $until;
        $d->end($signal);
        $d->start;
        ok($d->wait_until(60, 'a runs', sub { $d->state('a') eq 'booting' }), "SIG$signal while libvirt asks QEMU: the next daemon starts the guest");
        is(scalar($asks->()), 0, 'and none is left that was only asked');
        $d->ctl('stop', 'a', '--now', '--wait', '--timeout', '60s');
        $d->end;
    }
}

# --- guests that misbehave ---
{
    my %flags = (
        nohello => 'nohello',
        silent  => 'silent-sshd',
        nosshd  => 'no-sshd',
        wrong   => 'wrong-key',
        slow    => 'slow=8',
        stays   => 'ignore-halt',
        deaf    => 'ignore-halt:ignore-power',
    );
    my $id = Childhurd::free_id(9);
    my %id = map { $_ => $id++ } sort(keys %flags), 'nouser';
    # Those that are never ready have a limit that this machine boots a guest in, the others have the usual one; and one that
    # says no hello is told of at its limit before the wait for a hello ends.
    my $configuration = sub {
        my ($limit) = @_;
        my $text = "[defaults]\nimage = $image\nrestart = never\nautostart = no\nmemory-size = 256M\nstop-timeout = 5s\n";
        $text .= "[guest $_]\nid = $id{$_}\n"
          . ($flags{$_} ? "qemu-options = -fw_cfg name=opt/childhurd/flags,string=$flags{$_}\n" : "user = nobody-here\n")
          . (/^(silent|nosshd|wrong|nouser)$/ ? "boot-timeout = ${limit}s\n" : /^nohello$/ ? "boot-timeout = 60s\n" : '') for sort keys %id;
        return $text;
    };
    my $limit = Childhurd::seconds(30);
    my $d = Childhurd->new(guests => $configuration->($limit), daemon => 'parallel-starts = 4')->start;
    my $never_listed = sub { $d->machines !~ /\(port (?!1\))/ };

    # A machine that gets busy meanwhile needs a longer one.
    my $seen  = sub { $d->log =~ /wrong: an impostor answers/ && $d->ctl('status', 'nouser') =~ /login as nobody-here/ };
    my $ended = sub { grep { $d->state($_) eq 'failed' } qw(wrong nouser) };
    $d->ctl('start', 'wrong', 'nouser', 'silent', 'nohello');
    until ($d->wait_until(60, 'both are seen, or at their limit', sub { $seen->() || $ended->() }) && $seen->() || $limit > 900) {
        $d->ctl('stop', 'wrong', 'nouser', '--now', '--wait', '--timeout', '60s');
        $limit *= 3;
        $d->configure($configuration->($limit));
        $d->ctl('reload');
        $d->ctl('start', 'wrong', 'nouser');
    }
    $d->said(qr/wrong: an impostor answers/, 'another host key is logged as an impostor');
    is($d->state('wrong') eq 'ready', '', 'and the guest is not ready');
    like($d->ctl('status', 'nouser'), qr/login as nobody-here/, 'a user who may not log in is named with the step');
    ok($never_listed->(), 'none of them is published');
    my %why = (
        wrong   => qr/impostor/,
        nouser  => qr/login as nobody-here/,
        silent  => qr/banner/,
        nohello => qr/limit/,
    );
    for my $name (sort keys %why) {
        $d->ctl('wait', $name, '--for', 'failed', '--timeout', '120s');
        is($d->{status}, 0, "$name: it fails at its limit") or diag $d->ctl('status', $name);
        like($d->ctl('status', $name), $why{$name}, "$name: status says at which step");
    }
    ok($never_listed->(), 'nor was any of them later');

    # one whose QEMU is killed while it boots, one that takes long, one without sshd
    $d->ctl('start', 'slow', 'nosshd', 'stays', 'deaf');
    $d->ctl('wait', 'nosshd', '--for', 'booting', '--timeout', '60s');
    my $pid = $d->wait_until(60, 'its pid', sub { $d->qemu('nosshd') });
    kill 'KILL', $pid;
    $d->ctl('wait', 'nosshd', '--for', 'failed', '--timeout', '60s');
    is($d->{status}, 0, 'SIGKILL of a QEMU that boots is a failure');
    like($d->ctl('status', 'nosshd'), qr/killed by signal 9/, 'that is called by its name');
    $d->ctl('wait', 'slow', 'stays', 'deaf', '--for', 'ready', '--timeout', '120s');
    is($d->{status}, 0, 'one whose network comes late is ready all the same');

    $d->ctl('stop', 'stays', 'deaf', '--wait', '--timeout', '60s');
    is($d->{status}, 0, 'guests that do not power off are stopped');
    $d->said(qr/stays: stopped/, 'a halted Mach is known by its console line');
    unlike($d->log, qr/stays: halt over SSH: no effect/, 'at once, without waiting for the limit');

    # --- control clients that misbehave: everybody else is served all the while ---
    my $socket = "$d->{runtime}/control";
    my @bad = map { IO::Socket::UNIX->new(Peer => $socket) || die "connect: $!" } 1 .. 4;
    $_->blocking(0) for @bad;
    syswrite $bad[0], "this is not JSON\0";
    syswrite $bad[1], '{"method":"' . 'x' x 100_000;
    syswrite $bad[2], '{"method":"org.childhurd.List"';
    syswrite $bad[3], "{\"method\":\"org.childhurd.List\",\"parameters\":{\"names\":[]}}\0" x 2000;
    my $t0 = time;
    like($d->ctl('list'), qr/slow\s+ready/, 'list is served beside clients that send garbage, too much, half, or never read');
    cmp_ok(time - $t0, '<', Childhurd::seconds(10), 'and at once');
    is($d->state('slow'), 'ready', 'no guest is harmed');
    $d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
    is(scalar($d->all_qemus), 0, 'no QEMU is left');
}
done_testing;
