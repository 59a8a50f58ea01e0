# SPDX-License-Identifier: GPL-3.0-or-later
# The same with a libvirtd, as by uri = qemu:///system: a real one of the test's own, with its files in the test's folder
# and its socket there. It is killed and started again, and the guests do not notice.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Path qw(make_path);
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(time);

my $image = Childhurd::need_image('linux');
Childhurd::cannot("a libvirtd of the test's own needs root") if $> != 0;

my $d       = Childhurd->new;
my $socket  = "$d->{dir}/socket/libvirt-sock";
my @folders = qw(/etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /run/libvirt);
my $libvirtd;

# In a mount name space where libvirt's folders are the test's; a later one finds what this one has left.
sub libvirtd_start {
    make_path("$d->{dir}/libvirtd$_", $_) for @folders;
    make_path("$d->{dir}/socket");
    Childhurd::spew("$d->{dir}/libvirtd/etc/libvirt/libvirtd.conf",
        qq(unix_sock_dir = "$d->{dir}/socket"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n));
    Childhurd::spew("$d->{dir}/libvirtd/etc/libvirt/qemu.conf",
        qq(user = "root"\ngroup = "root"\nsecurity_driver = "none"\nnamespaces = []\ncgroup_controllers = []\n)
          . qq(stdio_handler = "file"\nremember_owner = 0\n));
    my $mounts = join '; ', map { "mount --bind $d->{dir}/libvirtd$_ $_" } @folders;
    $libvirtd = $d->spawn("$d->{dir}/libvirtd.log", 'unshare', '--mount', '--propagation', 'private', 'sh', '-ec',
        "$mounts; exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file $d->{dir}/libvirtd.pid");
    return $d->wait_until(60, 'libvirtd answers', sub {
        die "libvirtd ended:\n" . Childhurd::slurp("$d->{dir}/libvirtd.log") if waitpid($libvirtd, WNOHANG) == $libvirtd;
        system("virsh -q -c 'qemu+unix:///system?socket=$socket' version >/dev/null 2>&1") == 0;
    });
}

sub libvirtd_kill {
    kill 'KILL', $libvirtd;
    waitpid $libvirtd, 0;
}
END {
    my $status = $?;
    libvirtd_kill() if $libvirtd;
    $? = $status;
}

my $id = Childhurd::free_id(2);
$d->{daemon} = "uri = qemu+unix:///system?socket=$socket\n";
$d->configure("[guest a]\ncount = 2\nid = $id\nimage = $image\nmemory-size = 256M\nprobe-interval = 1s\n");

# --- before there is a libvirtd ---
$d->start;
like($d->ctl('start', 'a1'), qr/a1: the hypervisor does not answer yet/, 'without libvirtd a start is refused, with the reason');
$d->said(qr/\Q$socket\E.*No such file or directory.*trying again/, 'and the log names the socket');

ok(libvirtd_start(), 'libvirtd is started');
$d->ctl('wait', '--all', '--for', 'ready', '--timeout', '120s');
is($d->{status}, 0, 'both guests become ready') or diag($d->log);
like($d->ssh('a1', 'uname -s'), qr/^Linux$/, 'ssh works');
my $machines = $d->machines;
is(() = $machines =~ /\(build-machine/g, 2, 'both are published') or diag($machines);
my %qemu = map { $_ => $d->qemu($_) } qw(a1 a2);
isnt((stat "/proc/$qemu{a1}")[4], 0, 'QEMU is not root, although libvirtd was told so');
like(Childhurd::slurp("/proc/$qemu{a1}/cmdline"), qr/\0-sandbox\0on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny\0/,
    '... and in a sandbox');

# --- stop and start through it ---
$d->ctl('stop', 'a2', '--wait', '--timeout', '60s');
is($d->{status}, 0, 'a guest is stopped');
ok(!kill(0, $qemu{a2}), 'its QEMU is gone');
$d->ctl('start', 'a2', '--wait', '--timeout', '120s');
is($d->{status}, 0, 'and started');
$qemu{a2} = $d->qemu('a2');

# --- a libvirtd that does not answer: its calls do not return ---
kill 'STOP', $libvirtd;
kill 'KILL', $qemu{a2};
ok($d->wait_until(60, 'a2 waits for libvirtd', sub { $d->state('a2') eq 'starting' }), 'the end of a QEMU is known without libvirtd; the start waits for it');
my $asked = time;
like($d->ctl('list'), qr/^a1 +ready/m, 'the daemon answers');
cmp_ok(time - $asked, '<', Childhurd::seconds(10), '... without waiting for libvirtd');
like($d->ssh('a1', 'uname -s'), qr/^Linux$/, 'and so does the other guest');
kill 'CONT', $libvirtd;
$d->ctl('wait', 'a2', '--for', 'ready', '--timeout', '120s');
is($d->{status}, 0, 'the start goes on when libvirtd does') or diag($d->log);
is($d->qemu('a1'), $qemu{a1}, 'the other was not touched');
$qemu{a2} = $d->qemu('a2');

# --- libvirtd dies and comes back ---
libvirtd_kill();
$d->said(qr/the connection to the hypervisor is lost/, 'a killed libvirtd is noticed', 60);
like($d->ssh('a1', 'uname -s'), qr/^Linux$/, 'its guests live on');
is($d->state('a1'), 'ready', 'and are ready');
is($d->machines, $machines, 'and published');
kill 'KILL', $qemu{a2};
ok($d->wait_until(60, 'a2 is missed', sub { $d->state('a2') eq 'backoff' }), 'a QEMU that dies meanwhile is missed');
ok(libvirtd_start(), 'libvirtd is started again');
$d->said(qr/the hypervisor is there again/, 'which is noticed', 60);
$d->ctl('wait', '--all', '--for', 'ready', '--timeout', '150s');
is($d->{status}, 0, 'both guests are ready') or diag($d->log);
is($d->qemu('a1'), $qemu{a1}, 'the one that lived was not touched');

# --- the daemon dies: taken over through libvirtd ---
$qemu{a2} = $d->qemu('a2');
$d->end('KILL');
$d->start;
ok($d->wait_until(60, 'both are ready', sub { $d->state('a1') eq 'ready' && $d->state('a2') eq 'ready' }), 'the next daemon takes them over');
is($d->qemu($_), $qemu{$_}, "$_: with the same QEMU") for qw(a1 a2);
is(scalar($d->all_qemus), 2, 'none is there twice');
$d->ctl('stop', '--all', '--wait', '--timeout', '60s');
is(scalar($d->all_qemus), 0, 'none is left when all are stopped');
done_testing;
