# SPDX-License-Identifier: GPL-3.0-or-later
# What a guest has synced to a persistent disk is there after its QEMU was killed, though the guest sends no flushes, as the
# Hurd's IDE driver does not. The same QEMU with a write-back cache loses it: the test can tell.
use v5.36;
use Test::More;
use Childhurd;

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my $d     = Childhurd->new(guests => '');
# The emulator of the second guest: as the daemon starts it, but with the write cache that it had.
my $emulator = "$d->{dir}/qemu-write-back";
open my $f, '>', $emulator or die "$emulator: $!\n";
print $f qq(#!/bin/bash\nexec qemu-system-x86_64 "\${@//\\"write-cache\\":\\"off\\"/\\"write-cache\\":\\"on\\"}"\n);
close $f;
chmod 0755, $emulator;
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
my $write = 'mount -o remount,barrier=0 /; for q in /sys/block/sd?/queue/write_cache; do echo write through > $q; done; '
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
done_testing;
