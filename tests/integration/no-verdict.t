# SPDX-License-Identifier: GPL-3.0-or-later
# What is no fault of a guest's, and what it says of itself: no descriptors in the daemon, no room on the host, a halt that
# only its console tells of, and a network that is gone.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Test::More;
use Time::HiRes qw(sleep time);

my $image = Childhurd::need_image('linux');

sub runs_on {
    my ($d, $name, $qemu) = @_;
    is($d->qemu($name), $qemu, "$name: its QEMU was not ended");
    is($d->guests->{$name}{restarts}, 0, "$name: it was not restarted");
}

# In the guest, after its session has ended.
sub later {
    my ($d, $name, $command) = @_;
    $d->ctl('ssh', $name, "setsid sh -c 'sleep 2; $command' > /dev/null 2>&1 < /dev/null &");
}

# A time in which nothing may happen.
sub nothing_for {
    my ($d, $seconds, $what, $good) = @_;
    my $until = time + $seconds;
    while (time < $until) {
        if (!$good->()) {
            my $guests = $d->guests;
            diag("$what, after all: " . join(', ', map { "$_ is $guests->{$_}{state}: " . ($guests->{$_}{why} // '') } sort keys %$guests) . "\n" . $d->log);
            return 0;
        }
        sleep 0.1;
    }
    return 1;
}

# --- the daemon has no descriptor left ---
{
    my $id = Childhurd::free_id(2);
    my $d  = Childhurd->new(guests => <<"INI")->start;
[defaults]
image = $image
memory-size = 256M
probe-interval = 1s
hang-timeout = 3s
[guest a]
id = $id
[guest b]
id = @{[ $id + 1 ]}
INI
    my $port = 10022 + 1000 * ($id + 1);
    $d->ctl('wait', 'a', 'b', '--for', 'ready', '--timeout', '180s');
    is($d->{status}, 0, 'both are ready') or diag $d->log;
    my ($soft) = Childhurd::slurp("/proc/$d->{pid}/limits") =~ /^Max open files +(\d+) +\d+/m;
    my ($hard) = Childhurd::slurp("/proc/$d->{pid}/limits") =~ /^Max open files +\d+ +(\d+)/m;
    is($soft, $hard > 1048576 ? 1048576 : $hard, 'the daemon may open as many files as the hard limit says');
    like($d->ctl('check', $d->{file}), qr/open files: the hard limit of $hard is good for \d+ guests, and 2 are configured/, 'check says for how many guests that is good');
    my %qemu = map { $_ => $d->qemu($_) } qw(a b);
    later($d, 'a', 'for p in $(pidof sshd); do [ $p = $(cat /run/sshd.pid) ] || kill $p; done');
    my %open = map { m{/(\d+)$} => 1 } glob "/proc/$d->{pid}/fd/*";
    my $free = 0;
    $free++ while $open{$free};
    is(system('prlimit', "--nofile=$free:$hard", "--pid=$d->{pid}"), 0, "it may have no file more (of $free)");
    $d->said(qr/a: unresponsive/, 'the session of a ends', 60);
    for (qw(a b)) {
        $d->said(qr/$_: it cannot be probed, and is taken to be as it was: .*Too many open files/, "$_ cannot be asked, and that is said", 100);
    }
    my $good = sub { $d->machines =~ /\(port $port\)/ && kill(0, values %qemu) == 2 };
    ok(nothing_for($d, 10, 'no verdict', $good), 'neither is ended, long after hang-timeout, and b is listed all the time');
    is(system('prlimit', "--nofile=$soft:$hard", "--pid=$d->{pid}"), 0, 'it may have files again');
    ok($d->wait_until(60, "$_ is ready", sub { $d->state($_) eq 'ready' }), "$_ is ready by itself") for qw(a b);
    $d->said(qr/$_: it can be asked again/, "$_: that is said, too", 60) for qw(a b);
    runs_on($d, $_, $qemu{$_}) for qw(a b);
    my @said = $d->log =~ /(b: it cannot be probed)/g;
    is(scalar @said, 1, 'it was said once');
    unlike($d->log, qr/: (?:backoff|failed|stopping):/, 'no verdict at all');
    $d->clean;
}

# --- no room for what a guest writes ---
SKIP: {
    skip 'a full state directory takes root, to mount one', 18 if $> != 0;
    my $d  = Childhurd->new;
    my $id = Childhurd::free_id(1);
    my $with = sub { "[guest a]\nid = $id\nimage = $image\nmemory-size = 256M\nprobe-interval = 1s\nhang-timeout = $_[0]\n" };
    $d->configure($with->('10s'));
    mkdir $d->{state};
    $d->{wrap} = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c',
        'mount -t tmpfs -o size=96m,mode=755 none "$0" && exec "$@"', $d->{state}];
    $d->start;
    $d->ctl('wait', 'a', '--for', 'ready', '--timeout', '180s');
    is($d->{status}, 0, 'a is ready') or diag $d->log;
    my $qemu   = $d->qemu('a');
    my $inside = "/proc/$qemu/root$d->{state}";
    # 4 MiB are left at every moment: the guest writes by itself, too, and would be paused before it is to be.
    my ($blocks, $size) = split ' ', `stat -f -c '%a %S' $inside`;
    is(system("head -c @{[ $blocks * $size - (4 << 20) ]} /dev/zero > $inside/filler"), 0, 'its disk has 4 MiB of room');
    # the guest's key is where the test's own childhurdctl does not see it
    my $there = sub { return scalar `nsenter --mount --target $qemu $Childhurd::BUILD/childhurdctl --socket $d->{runtime}/control ssh a '$_[0]' 2>&1 < /dev/null` };
    $there->('setsid sh -c "sleep 2; yes childhurd | head -c 20000000 > /root/written; sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum < /root/written > /root/sum" > /dev/null 2>&1 < /dev/null &');
    # The state's reason: a status has the last events, too, those before a take-over among them.
    my $why    = qr/^paused by QEMU: there is no room left for its disk in \Q$d->{state}\E/;
    my $paused = sub { my $a = $d->guests->{a}; return $a && $a->{state} eq 'unresponsive' && ($a->{why} // '') =~ $why };
    ok($d->wait_until(100, 'a is paused', $paused), 'a guest that finds no room is paused');
    like($d->ctl('status', 'a'), qr/paused by QEMU: there is no room left for its disk in \Q$d->{state}\E/, 'status says why');
    unlike($d->machines, qr/\(port @{[ 10022 + 1000 * $id ]}\)/, 'it is off the list');
    ok(nothing_for($d, 15, 'it hangs', $paused), 'it does not count as hung');
    my @said = $d->log =~ /(a: unresponsive: paused by QEMU)/g;
    is(scalar @said, 1, 'it is said once, however often it was tried');
    $d->end('KILL');
    $d->{wrap} = ['nsenter', '--mount', '--target', $qemu];
    $d->start;
    # The daemon gave up its reserve, which libvirt needs until it has found QEMU again; only then is that room taken, too.
    $d->wait_until(60, 'QEMU is asked how it runs', sub { $paused->() || $d->state('a') eq 'ready' });
    system("dd if=/dev/zero of=$inside/filler bs=1M oflag=append conv=notrunc 2>/dev/null");
    ok($d->wait_until(60, 'a is paused', $paused), 'the next daemon sees that, too');
    is($d->qemu('a'), $qemu, 'and its QEMU');
    ok(nothing_for($d, 15, 'it hangs', $paused), 'it does not count as hung there');
    # From now on it may be as slow as this machine is.
    $d->configure($with->('5min'));
    $d->ctl('reload');
    is($d->{status}, 0, 'a reload needs no room');
    unlink "$inside/filler" or diag "$inside/filler: $!";
    ok($d->wait_until(180, 'a is ready', sub { $d->state('a') eq 'ready' }), 'with room it goes on by itself');
    runs_on($d, 'a', $qemu);
    my $sum = `yes childhurd | head -c 20000000 | sha256sum`;
    ok($d->wait_until(100, 'the sum', sub { $there->('cat /root/sum') eq $sum }), 'what it wrote is whole');
    my $kernel = $there->('dmesg');
    like($kernel, qr/Linux/, 'its kernel is well');
    unlike($kernel, qr/I\/O error/, 'and met no error');
    $d->clean;
}

# --- no room when one wakes ---
SKIP: {
    skip 'a full state directory takes root, to mount one', 9 if $> != 0;
    my $d    = Childhurd->new(warm => 1);
    my $id   = Childhurd::free_id(1);
    my $warm = "$d->{state}/p/disk.warm";
    $d->configure("[guest p]\nid = $id\nimage = $image\nmemory-size = 128M\ndisk = persistent\nautostart = no\n");
    mkdir $d->{state};
    $d->{wrap} = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c',
        'mount -t tmpfs -o size=400m,mode=755 none "$0" && exec "$@"', $d->{state}];
    $d->start;
    my $inside = "/proc/$d->{pid}/root";
    $d->ctl('start', 'p', '--wait', '--timeout', '180s');
    is($d->{status}, 0, 'p is ready') or diag $d->log;
    $d->ctl('sleep', 'p', '--wait', '--timeout', '180s');
    ok(-e "$inside$warm", 'it sleeps, and its state is saved') or diag $d->log;
    system("dd if=/dev/zero of=$inside$d->{state}/filler bs=1M 2>/dev/null");
    $d->ctl('start', 'p');
    $d->said(qr/p: the host cannot start it now, which does not count as a failure/, 'it is woken while the disk is full: that is the host\'s lack', 100);
    like($d->guests->{p}{why}, qr/No space left on device/, 'status says what it is');
    ok(-e "$inside$warm", 'its state stays');
    unlink "$inside$d->{state}/filler" or diag "filler: $!";
    ok($d->wait_until(180, 'p is ready', sub { $d->state('p') eq 'ready' }), 'with room it wakes by itself');
    unlike($d->log, qr/p: failure \d+ in a row/, 'nothing was its failure');
    unlike($d->log, qr/p: .*(?:thrown away|discarded)/, 'nothing was thrown away');
    $d->said(qr/p: ready: from its warm state in/, 'it goes on where it slept');
    $d->clean;
}

# --- a guest that goes down by itself, one that only says so, and one whose network is gone ---
{
    my $id = Childhurd::free_id(2);
    my $d  = Childhurd->new(guests => <<"INI")->start;
[defaults]
image = $image
memory-size = 256M
probe-interval = 1s
hang-timeout = 2min
restart = always
[guest a]
id = $id
stop-timeout = 5s
[guest b]
id = @{[ $id + 1 ]}
INI
    my $port = 10022 + 1000 * $id;
    $d->ctl('wait', 'a', 'b', '--for', 'ready', '--timeout', '180s');
    is($d->{status}, 0, 'both are ready') or diag $d->log;
    my $qemu = $d->qemu('a');
    my $off  = sub { $d->machines !~ /\(port $port\)/ };
    $d->ctl('ssh', 'a', 'echo "startup: notifying pfinet of halt...done" > /dev/ttyS0');
    ok($d->wait_until(30, 'a is off the list', $off), 'the first line of a halt takes a guest off the list');
    $d->said(qr/a: unresponsive: the guest goes down by itself: "startup: notifying pfinet of halt/, 'the log has the line', 10);
    ok($d->wait_until(60, 'a is ready', sub { $d->state('a') eq 'ready' }), 'it was not true: it answers, and is ready again');
    runs_on($d, 'a', $qemu);

    my $lines = 'startup: notifying ext2fs device:hd0s1 of halt...done\nstartup: halting Hurd...\n';
    later($d, 'a', "printf \"$lines\" > /dev/ttyS0; ip link set eth0 down");
    ok($d->wait_until(30, 'a is off the list', $off), 'a halt that is stuck: off the list');
    ok($d->wait_until(100, 'another QEMU runs', sub { my $now = $d->qemu('a'); $now && $now != $qemu }), 'its QEMU is ended, and it is started again as `restart` says');
    $d->said(qr/a: stopping: it said that it halts, and does not answer any more/, 'the log says why');

    # the network of b: known by the limit that its own probes have taught
    my $probed = sub { $d->ctl('status', '--json', 'b') =~ /"probed":\s*([\d.]+)/ ? $1 : 0 };
    my $begin  = $probed->();
    ok($d->wait_until(60, 'some probes', sub { $probed->() > $begin + 5 }), 'b was probed some times');
    my $before = time;
    later($d, 'b', 'ip link set eth0 down');
    ok($d->wait_until(50, 'b is unresponsive', sub { $d->state('b') eq 'unresponsive' }), 'a guest whose network is gone is off the list');
    diag(sprintf 'after %.1f s', time - $before);
    $before = time;
    $d->ctl('stop', 'b', '--now', '--wait', '--timeout', '120s');
    is($d->{status}, 0, 'stop --now of one that does not answer');
    my $took = time - $before;
    cmp_ok($took, '<', 50, 'does not spend stop-timeout and the power button');
    diag(sprintf 'it took %.1f s', $took);
}
done_testing;
