# SPDX-License-Identifier: GPL-3.0-or-later
# Images as Debian gives its Hurd away, with the root in a logical partition and keys that everybody knows: each guest gets its own
# keys into its disk before it boots, and is reached with them. Their boot is the Linux guest's. Then a guest with a 64-bit
# kernel: what it is follows from its image.
use v5.36;
use lib 'tests/lib';
use Childhurd;
use File::Path qw(make_path);
use Test::More;

use constant SECTOR => 512;
use constant { FIRST => 43_008, SIZE => 262_144, LOGICAL => 45_056 };    # sectors: the Linux guest's root, and where it goes

my $image   = Childhurd::need_image('linux');
my $image64 = Childhurd::need_image('linux64');
my $id      = Childhurd::free_id(5);
my $d       = Childhurd->new(default_machine => 1, guests => '');
$ENV{PATH} .= ':/usr/sbin:/sbin';

sub run {
    my (@argv) = @_;
    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @argv or die "$argv[0]: $!\n";
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? >> 8, $text);
}

sub must {
    my ($status, $text) = run(@_);
    die "@_: $text" if $status;
    return $text;
}

sub debugfs {
    my ($disk, $sector, @requests) = @_;
    Childhurd::spew("$d->{dir}/requests", join '', map { "$_\n" } @requests);
    return must('debugfs', '-w', '-f', "$d->{dir}/requests", "$disk?offset=" . $sector * SECTOR);
}

# A program of that machine (elf.h).
sub elf { my ($machine) = @_; return "\x7fELF" . chr($machine == 62 ? 2 : 1) . "\x01\x01" . "\0" x 9 . pack('vv', 2, $machine) . "\0" x 44 }

# A raw copy; in one with `logical' the root is moved to p5 of an extended partition.
sub raw {
    my ($from, $to, %o) = @_;
    must('qemu-img', 'convert', '-O', 'raw', $from, $to);
    return FIRST unless $o{logical};
    must('sh', '-c', "dd if=$to of=$to.root bs=512 skip=@{[FIRST]} count=@{[SIZE]} status=none && truncate -s 160M $to && "
          . "dd if=$to.root of=$to bs=512 seek=@{[LOGICAL]} conv=notrunc status=none && rm $to.root && "
          . "printf 'start=2048, size=40960, type=e, bootable\\nstart=%s, size=270000, type=5\\nstart=%s, size=%s, type=83\\n' "
          . "@{[FIRST]} @{[LOGICAL]} @{[SIZE]} | sfdisk -q --no-reread $to");
    return LOGICAL;
}

# --- Debian's, with a stranger's keys and accounts ---
my $disk = "$d->{dir}/debian.img";
my $root = raw($image, $disk, logical => 1);
Childhurd::spew("$d->{dir}/exec", elf(3));
Childhurd::spew("$d->{dir}/version", "13.1\n");
Childhurd::spew("$d->{dir}/known", "a private key that all who have this image have\n");
Childhurd::spew("$d->{dir}/sshd", "Include /etc/ssh/sshd_config.d/*.conf\nHostKey /etc/ssh/ssh_host_ed25519_key\n"
      . "PidFile /run/sshd.pid\nUsePAM no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n");
debugfs($disk, $root, 'mkdir /hurd', "write $d->{dir}/exec /hurd/exec", "write $d->{dir}/version /etc/debian_version",
    'rm /etc/ssh/sshd_config', "write $d->{dir}/sshd /etc/ssh/sshd_config", 'mkdir /etc/ssh/sshd_config.d',
    "write $d->{dir}/known /etc/ssh/ssh_host_rsa_key", 'sif /etc/ssh/ssh_host_rsa_key mode 0100600');
my $before = must('sha256sum', $disk);

# --- one that cannot be written to: it was not unmounted ---
my $unclean = "$d->{dir}/unclean.img";
must('cp', '--sparse=always', $disk, $unclean);
debugfs($unclean, $root, 'ssv state 0');

# --- 64 bit ---
my $disk64 = "$d->{dir}/hurd64.img";
my $root64 = raw($image64, $disk64);
Childhurd::spew("$d->{dir}/exec64", elf(62));
debugfs($disk64, $root64, 'mkdir /hurd', "write $d->{dir}/exec64 /hurd/exec");

$d->configure(<<"END");
[defaults]
memory-size = 256M
qemu-options = -fw_cfg name=opt/childhurd/flags,string=secrets=no
[guest debian]
id = $id
image = $disk
[guest kept]
id = ${\($id + 1)}
image = $disk
disk = persistent
[guest unclean]
id = ${\($id + 2)}
image = $unclean
restart = never
autostart = no
[guest hurd64]
id = ${\($id + 3)}
image = $disk64
qemu-options =
[guest large]
id = ${\($id + 4)}
image = $disk
memory-size = 4G
restart = never
autostart = no
END
$d->start;

ok($d->wait_until(400, 'debian is ready', sub { $d->state('debian') eq 'ready' }), 'a Debian is ready') or exit 1;
$d->said(qr/debian: these keys follow from what its image is: .*inject, offloading, user/, 'what it is was seen in its image');
my $host  = must('cat', "$d->{state}/debian/secrets/etc/ssh/ssh_host_ed25519_key.pub");
my $there = $d->ctl('ssh', 'debian', 'cat /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/sshd_config.d/childhurd.conf /root/.ssh/authorized_keys');
like($there, qr/^\Q$host\E/, 'it has the host keys that were made for it');
like($there, qr{^HostKey /etc/ssh/ssh_host_ed25519_key$}m, 'and a drop-in of sshd');
like($there, qr/childhurd\@debian$/m, "and root's authorized_keys");
like($d->ssh('debian', 'id', '-un'), qr/^root$/m, 'the published ssh_config leads to it, as root');
unlike($d->machines, qr/\(port ${\(10_022 + 1000 * $id)}\)/, 'no builds are sent to it');
is(must('sha256sum', $disk), $before, 'the image is as it was');
ok(!-e "$d->{state}/debian/inject.socket", 'no socket is left');

# --- its warm state depends on what was written, and on nothing else of it ---
$d->ctl('restart', 'debian', '--wait', '--timeout', '300s');
ok($d->wait_until(200, 'debian is ready again', sub { $d->state('debian') eq 'ready' }), 'it is ready again');
unlike($d->log, qr/debian: its warm state is thrown away/, 'from its warm state');

# --- a persistent disk: what is on it stays, and other keys come in while it is down ---
ok($d->wait_until(400, 'kept is ready', sub { $d->state('kept') eq 'ready' }), 'one with a persistent disk is ready') or exit 1;
$d->ctl('ssh', 'kept', 'echo mine > /root/mine; sync; mount -o remount,ro /'); # its halt does not unmount, a Hurd's does
$d->ctl('stop', 'kept', '--wait', '--timeout', '120s');
ok($d->wait_until(100, 'kept is down', sub { $d->state('kept') eq 'stopped' }), 'it is stopped');
make_path("$d->{dir}/secrets/kept/etc/ssh");
Childhurd::spew("$d->{dir}/secrets/kept/etc/motd", "of the administrator\n");
unlink glob("$d->{state}/kept/secrets/etc/ssh/ssh_host_*");
$d->ctl('start', 'kept');
ok($d->wait_until(100, 'kept is ready again', sub { $d->state('kept') eq 'ready' }), 'it is ready with other host keys') or exit 1;
is($d->ctl('ssh', 'kept', 'cat /root/mine /etc/motd'), "mine\nof the administrator\n", 'with what was on its disk, and what is new');

# --- one that was killed is not clean: it comes up as it is, by the host keys that are on it ---
$d->ctl('stop', 'kept', '--now', '--wait', '--timeout', '120s');
ok($d->wait_until(100, 'kept is down', sub { $d->state('kept') eq 'stopped' }), 'it is killed');
Childhurd::spew("$d->{dir}/secrets/kept/etc/motd", "of the administrator, later\n");
unlink glob("$d->{state}/kept/secrets/etc/ssh/ssh_host_*");
$d->ctl('start', 'kept');
ok($d->wait_until(300, 'kept is ready again', sub { $d->state('kept') eq 'ready' }), 'it is ready with an unclean disk') or exit 1;
$d->said(qr/kept: .*is not clean: it was not unmounted, or has errors; it starts without the changed secrets/, 'the log says what it is without');
is($d->ctl('ssh', 'kept', 'cat /etc/motd'), "of the administrator\n", 'it has what it had');

# --- what cannot be done is said, with what to do ---
$d->ctl('start', 'unclean');
ok($d->wait_until(100, 'unclean fails', sub { $d->state('unclean') eq 'failed' || $d->log =~ /unclean: .*is not clean/ }), 'an unclean image is refused');
$d->said(qr{unclean\.img: its keys cannot be written into a disk made of this image: its file system \(at byte \d+\) is not clean.*e2fsck -f 'IMAGE\?offset=\d+'},
    'with what to do');
ok(!-e "$d->{state}/unclean/disk.qcow2", 'and no disk is left');
$d->ctl('start', 'large');
$d->said(qr/large: .*memory-size: 4096M: the Hurd does not run on the machine pc/,
    'more memory than a pc can have is refused once that is known', 100);

# --- 64 bit ---
ok($d->wait_until(400, 'hurd64 is ready', sub { $d->state('hurd64') eq 'ready' }), 'a 64-bit guest is ready') or exit 1;
$d->said(qr/hurd64: these keys follow from what its image is: machine, systems/, 'what it is was seen in its image');
like($d->ctl('ssh', 'hurd64', 'uname -m'), qr/^x86_64$/m, 'its kernel is a 64-bit one');
my $domain = must('cat', glob("$d->{state}/libvirt/run/qemu/hurd64.xml"));
like($domain, qr/machine='pc-q35/, 'on a q35');
like($domain, qr/bus='sata'/, 'with its disk on AHCI');
my ($entry) = grep { /\(port ${\(13_022 + 1000 * $id)}\)/ } split /(?=\(build-machine)/, $d->machines;
like($entry // '', qr/"x86_64-gnu"/, 'it is published for x86_64-gnu');

# --- another daemon knows it without a look ---
$d->end('TERM');
$d->start;
ok($d->wait_until(100, 'hurd64 is taken over', sub { $d->state('hurd64') eq 'ready' }), 'another daemon takes it over');
my $log = $d->log =~ s/.*taken over//sr;
unlike($log, qr/hurd64: the configuration changed/, 'and does not restart it');
like($d->machines, qr/"x86_64-gnu"/, 'and publishes it as before');
done_testing;
