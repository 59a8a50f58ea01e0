# SPDX-License-Identifier: GPL-3.0-or-later
# What is not ours is not touched, and what is ours is known again: processes that have the number of a QEMU that has ended,
# state directories by another path or with odd names, a runtime directory that somebody has removed.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

Childhurd::cannot('giving a process a number takes root') if $> != 0;
my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(1);
my $guest = "[guest a]\nid = $id\nimage = $image\nmemory-size = 192M\ninject = none\noffloading = no\nboot-timeout = 1h\n";
my $d     = Childhurd->new(guests => $guest)->start;

sub runs { my ($pid) = @_; return Childhurd::slurp("/proc/$pid/stat") =~ /\) [^ZX] / }

sub booted {
    my ($d) = @_;
    $d->wait_until(120, 'a has a QEMU', sub { $d->qemu('a') });
    return $d->qemu('a');
}

# Kill the daemon and its QEMU, and put a process with these words into QEMU's place; returns its pid.
sub replace {
    my ($d, @words) = @_;
    my $qemu = booted($d);
    $d->end('KILL');
    kill 'KILL', $qemu;
    $d->wait_until(120, 'the number is free', sub { !-e "/proc/$qemu" });
    my $pid = Childhurd::spawn_to("$d->{dir}/stranger", sub { }, "$Childhurd::BUILD/tests/tools/with_pid", $qemu,
        'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', $^X, '-e', 'sleep 100000', '--', @words);
    $d->wait_until(60, 'a stranger has it', sub { Childhurd::slurp("/proc/$qemu/cmdline") =~ /sleep 100000/ });
    return $qemu;
}

# --- a number that somebody else has now ---
my ($uuid) = Childhurd::slurp('/proc/' . booted($d) . '/cmdline') =~ /\0-uuid\0([^\0]+)/;
for my $case (['the same boot'], ['the same boot, with the words of a QEMU', '-name', 'guest=a', '-uuid', $uuid], ['another boot']) {
    my ($name, @words) = @$case;
    my $stranger = replace($d, @words);
    if ($name eq 'another boot') {
        open my $f, '>', "$d->{dir}/boot_id" or die;
        print $f "11111111-2222-3333-4444-555555555555\n";
        close $f;
        $d->{wrap} = [ qw(unshare --mount --propagation private sh -c),
            "mount --bind $d->{dir}/boot_id /proc/sys/kernel/random/boot_id && exec \"\$@\"", 'sh' ];
    }
    $d->start;
    my $qemu = booted($d);
    ok($qemu && $qemu != $stranger, "$name: the guest is started anew");
    ok(runs($stranger), '... and who has the number of its QEMU lives');
    $d->said(qr/a: its QEMU \(process $stranger\) ended while no daemon ran/, '... the log says what was found');
    kill 'KILL', $stranger;
}
is(scalar(grep { runs($_) } $d->all_qemus), 1, 'there is one QEMU, and no other was left behind');

# --- the state directory by another path ---
my $qemu = $d->qemu('a');
$d->end;
delete $d->{wrap};    # a guest of this boot again: that one is of "another"
$d->start;
$qemu = booted($d);
$d->end;
symlink $d->{state}, "$d->{dir}/other" or die;
{
    local $d->{state} = "$d->{dir}/other";
    $d->configure($guest);
}
$d->start;
is(booted($d), $qemu, 'a link to the state directory: the guest is taken over');
unlike($d->log =~ s/.*\n(?=.*taken over)//sr, qr/started when the earlier daemon died/, '... and none is ended');

# --- the runtime directory goes ---
remove_tree($d->{runtime});
my $gone = time;
ok($d->wait_until(60, 'it is there again', sub { -e "$d->{runtime}/machines.scm" && -S "$d->{runtime}/control" }),
    'a runtime directory that was removed is made anew, with all that belongs there');
diag(sprintf 'after %.1f s', time - $gone);
is($d->qemu('a'), $qemu, '... clients are answered, and the guest runs on');
$d->ctl('restart', 'a', '--now');
ok($d->wait_until(120, 'another QEMU', sub { my $new = $d->qemu('a'); $new && $new != $qemu }), '... a guest can be started');
$qemu = $d->qemu('a');
unlink "$d->{runtime}/$_" or die for qw(control machines.scm);
ok($d->wait_until(60, 'they are there again', sub { -e "$d->{runtime}/machines.scm" && -S "$d->{runtime}/control" }), 'so are single files');
$d->end('KILL');
remove_tree($d->{runtime});
$d->start;
is(booted($d), $qemu, 'a daemon that was killed, and its runtime directory with it: the next one takes over');
$d->end('KILL');
kill 'KILL', $qemu;

# --- odd names ---
my $long = join '/', ('x' x 60) x 3;
for my $name ('a b', 'a,b', 'a=b', 'a:b', 'a%20"b', 'a\\b', "a'b&<c>", '-oProxyCommand=x', $long) {
    my $dir  = tempdir('/tmp/childhurd-test-XXXXXX');
    my $odd  = Childhurd->new(dir => $dir, state => "$dir/$name/state", guests => $guest)->start;
    my $runs = booted($odd);
    if ($name =~ /[ ,=:]/ || length $name > 40) {
        unlink "$odd->{runtime}/libvirt" or die "no link to libvirt's files: $!";
        ok($odd->wait_until(60, 'the link', sub { -l "$odd->{runtime}/libvirt" }), "$name: libvirt's link is made anew");
    }
    my $short = length $name > 20 ? 'a path of ' . length("$dir/$name/state") . ' bytes' : $name;
    ok($runs, "state-directory with $short: QEMU runs");
    ok($odd->wait_until(120, 'a line', sub { $odd->ctl('log', 'a') =~ /Loading/ }), '... and its console is kept');
    $odd->end('KILL');
    $odd->start;
    is($odd->qemu('a'), $runs, '... and is taken over');
    $odd->end('KILL');
    kill 'KILL', $runs;
}
{
    my $dir = tempdir('/tmp/childhurd-test-XXXXXX');
    my $odd = Childhurd->new(dir => $dir, state => "$dir/s%h\"t\\", runtime => "$dir/r%20\"y",
        guests => $guest =~ s/inject = none\noffloading = no\n/forward = 127.0.0.2:30022 -> 22\n/r)->start;
    $odd->ctl('wait', 'a', '--for', 'ready', '--timeout', '10min');
    is($odd->{status}, 0, 'percent signs, quotes and backslashes in both directories: ready');
    is($odd->ctl('ssh', 'a', 'echo', 'here'), "here\n", '... childhurdctl ssh finds keys and known hosts there');
    is($odd->ssh('a', 'echo', 'there'), "there\n", '... and so does the published ssh_config');
    my $door = IO::Socket::INET->new(PeerAddr => '127.0.0.2', PeerPort => 30022, LocalAddr => '127.0.0.1', Timeout => 60);
    like($door ? scalar <$door> : "no connection: $@", qr/^SSH-2\.0-/, '... a further forward leads into the guest');
    my $runs = $odd->qemu('a');
    $odd->end('KILL');
    kill 'KILL', $runs;
}
{
    my $dir = tempdir('/tmp/childhurd-test-XXXXXX');
    # Neither of the two is fit for sockets: the link has a folder of its own.
    my $odd  = Childhurd->new(dir => $dir, state => "$dir/a b", runtime => "$dir/a:b", guests => $guest);
    my $own  = $> ? '/tmp/childhurd-' : '/run/childhurd-';
    my @were = glob "$own$>-*";
    $odd->start;
    my $runs = booted($odd);
    ok($runs, 'odd paths for both directories: QEMU runs');
    my ($folder) = grep { my $is = $_; !grep { $is eq $_ } @were } glob "$own$>-*";
    is($folder && readlink "$folder/libvirt", "$dir/a b/libvirt", '... and the link has a folder of its own') or exit 1;
    $odd->end('KILL');
    $odd->start;
    is($odd->qemu('a'), $runs, '... and is taken over');
    ok(-f "$odd->{state}/libvirt.log" && !-e "$folder/libvirt.log", '... and libvirt\'s log is in the state directory');
    $odd->end('TERM');
    $odd->start;
    is($odd->qemu('a'), $runs, '... also after a daemon that ended by itself');
    $odd->end('KILL');
    kill 'KILL', $runs;
}
done_testing;
