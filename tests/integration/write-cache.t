# SPDX-License-Identifier: GPL-3.0-or-later
# What a guest has synced to a persistent disk is there after its QEMU was killed, though the guest sends no flushes, as the
# Hurd's IDE driver does not. The same QEMU with a write-back cache loses it: the test can tell.
use v5.36;
use Test::More;
use Childhurd;

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my $d     = Childhurd->new(default_machine => 1, guests => '');
# The second guest's QEMU is as the daemon starts it, but with the write cache that it had.
my $emulator = Childhurd::write_back_emulator($d->{dir});
$d->configure(<<"END");
[defaults]
image = $image
memory-size = 256M
disk = persistent
[guest through]
id = $id
[guest back]
id = ${\($id + 1)}
emulator = $emulator
END
$d->start;
my $write = Childhurd::without_flushes() . '; '
  . 'echo synced > /kept && dd if=/dev/zero of=/large bs=64k count=64 2> /dev/null && sync && cat /kept';
for my $name (qw(through back)) {
    ok($d->wait_until(400, "$name is ready", sub { $d->state($name) eq 'ready' }), "$name is ready") or exit 1;
    like($d->ctl('ssh', $name, $write), qr/^synced$/m, "$name writes and syncs");
    my $qemu = $d->qemu($name);
    kill 'KILL', $qemu;
    ok($d->wait_until(400, "$name is ready again", sub { my $now = $d->qemu($name); $now && $now != $qemu && $d->state($name) eq 'ready' }),
        "$name is ready after its QEMU was killed");
    my $found = $d->ctl('ssh', $name, 'cat /kept; stat -c %s /large');
    if ($name eq 'through') {
        like($found, qr/^synced\n4194304$/m, 'what was synced is there');
    } else {
        unlike($found, qr/^synced$/m, 'with a write-back cache it would be gone');
    }
}

# Its file system is then unclean, and a Hurd mounts it so that nothing can be written, and is half up; its console says it, and
# status has to.
$d->ctl('ssh', 'through', q(echo "ext2fs: device:hd0s1: warning: MOUNTED READ-ONLY; MUST USE 'fsysopts --writable'" > /dev/ttyS0; killall sshd));
ok($d->wait_until(100, 'status tells of it', sub { $d->ctl('status', 'through') =~ /mounted read-only.*e2fsck/s }),
    'status tells of a file system that is mounted read-only, and what to do')
    or diag $d->ctl('status', 'through');
done_testing;
