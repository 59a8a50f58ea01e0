# SPDX-License-Identifier: GPL-3.0-or-later
# Debian's 64-bit GNU Mach under the daemon, on a disk in the shape of Debian's amd64 image: all that the guest needs follows from
# the image, and its console is heard only since the injection writes console=com0 behind GRUB's line for Mach.
use v5.36;
use lib 'tests/lib';
use Childhurd;
use Test::More;

my $image = Childhurd::need_image('mach64');
my $id    = Childhurd::free_id(1);
my $d     = Childhurd->new(default_machine => 1, guests => <<"END")->start;
[guest mach]
id = $id
image = $image
memory-size = 256M
restart = never
stop-timeout = 2s
END

unlike(Childhurd::slurp('tests/guests/mach64/grub.cfg') =~ s/^#.*//mgr, qr/console=/, "in the image's GRUB menu Mach has no serial console");
ok($d->wait_until(300, 'its bootstrap task runs', sub { $d->ctl('log', 'mach') =~ /probe: tick/ || $d->state('mach') eq 'failed' }),
    'GRUB has booted it') or diag($d->log);
my $console = $d->ctl('log', 'mach') =~ tr/\r//dr;
like($console, qr{^ *rsdt/xsdt = 0xffffffff[0-9a-f]{8} }m, 'its console is in its log, with addresses of 64 bit');
like($console, qr/^1 multiboot modules$/m, '... with the module that GRUB gave it');
like($console, qr/^start probe: probe: alive$/m, '... and the first line of the task');
is($d->state('mach'), 'booting', 'it is booting: no sshd is in it');
$d->said(qr/mach: these keys follow from what its image is: machine, inject, offloading, user, systems$/m, 'what it is was seen in its image');
my $domain = Childhurd::slurp("$d->{state}/libvirt/run/qemu/mach.xml");
like($domain, qr/machine='pc-q35/, 'it runs on a q35');
like($domain, qr/bus='sata'/, '... with its disk on AHCI');

$d->ctl('stop', 'mach', '--wait', '--timeout', '60s');
is($d->{status}, 0, 'it is stopped');
is(scalar($d->all_qemus), 0, 'no QEMU is left');
done_testing;
