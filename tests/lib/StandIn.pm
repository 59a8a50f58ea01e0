# SPDX-License-Identifier: GPL-3.0-or-later
# What passes for an image of a Hurd, and boots: the shape is the real one's (tests/guests/stand-in), GRUB boots it as it boots the
# Hurd, and what it boots is the Linux guest's kernel and root.
#
#   StandIn::debian('debian-amd64', $image)    # a raw image, as Debian's, with known keys and no secrets from a network
#   StandIn::guix($image)                      # the same as Guix makes it
#   StandIn::pack_image($image, $archive)            # .tar.xz, with its line in the folder's SHA512SUMS; the image is gone
#
#   my $web = StandIn::serve("$dir/www");      # Debian's for i386 from a web server on the loopback: a Web, see there
#   StandIn::table($web)                       # for images.d/*.ini: debian-i386 is there
#   StandIn::NAME                              # the archive's, in the folder and at the address
package StandIn;
use v5.36;
use Childhurd;
use Digest::SHA;
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Web;

use constant NAME => 'debian-hurd-20250807.img.tar.xz';
use constant { ROOT => 43_008 * 512, FAT => 2048 * 512 };    # bytes: where the Linux guests have their partitions
use constant { I386 => 3, AMD64 => 62 };                     # elf.h

my %DEVICE = ('debian-i386', '/dev/sda5', 'debian-amd64', '/dev/sda2', 'guix', '/dev/sda1');

sub shell { my ($script, @arguments) = @_; system('sh', '-ec', "PATH=\$PATH:/usr/sbin:/sbin; $script", 'sh', @arguments) == 0 or die "$script failed\n" }

# The image of that kind, of the Linux guest for that machine, with these further files. The program shows the machine.
sub make {
    my ($kind, $image, $machine, $program, %files) = @_;
    my $linux = Childhurd::need_image($machine == AMD64 ? 'linux64' : 'linux');
    my $grub  = Childhurd::need_image('grub');
    my $own   = tempdir('/var/tmp/stand-in.XXXXXX', CLEANUP => 1);
    my $root  = "$own/root";
    make_path($root);
    shell('qemu-img convert -O raw "$1" "$2/disk"; debugfs -R "rdump / $3" "$2/disk?offset=$4" >/dev/null 2>&1; mkdir -p "$3/boot/grub"; '
          . 'mcopy -n -i "$2/disk@@$5" ::vmlinuz ::initrd "$3/boot"; rm "$2/disk"; rm -r "$3/lost+found"', $linux, $own, $root, ROOT, FAT);
    my ($append) = Childhurd::slurp('tests/guests/linux/syslinux.cfg') =~ /^APPEND (.*)/m;
    Childhurd::spew("$root/boot/grub/grub.cfg", "set timeout=0\nmenuentry 'GNU/Hurd' {\n\tlinux /boot/vmlinuz $append root=$DEVICE{$kind}\n\tinitrd /boot/initrd\n}\n");
    Childhurd::spew("$root/$program", "\x7fELF" . chr($machine == AMD64 ? 2 : 1) . "\x01\x01" . "\0" x 9 . pack('vv', 2, $machine) . "\0" x 44);
    Childhurd::spew("$root/$_", $files{$_}) for keys %files;
    # No secrets come to it over the network.
    shell(q(sed -i 's/^if \[ "$(flag secrets)" != no \]/if false/' "$1"; grep -q '^if false' "$1"), "$root/usr/sbin/guest-start");
    shell('tests/guests/stand-in "$1" "$2" "$3" "$4"', $kind, $image, $root, $grub);
}

sub debian {
    my ($kind, $image) = @_;
    make($kind, $image, $kind =~ /amd64/ ? AMD64 : I386, 'hurd/exec',
        'etc/debian_version' => "13.1\n",
        'etc/ssh/sshd_config' => "Include /etc/ssh/sshd_config.d/*.conf\nPidFile /run/sshd.pid\nPermitRootLogin prohibit-password\n"
            . "PasswordAuthentication no\nUsePAM no\nSubsystem sftp internal-sftp\n",
        'etc/ssh/ssh_host_rsa_key' => "a private key that all who have this image have\n");
}

sub guix {
    my ($image) = @_;
    make('guix', $image, I386, 'gnu/store/0ix8j1a4z0wzrsh0ypw9jgcrk28mzyh6-hurd-0.9.git20240714/hurd/exec');
}

sub pack_image {
    my ($image, $archive) = @_;
    shell('tar --sparse -C "$1" -c "$2" | xz -0 -T0 >"$3"; rm "$1/$2"', dirname($image), basename($image), $archive);
    open my $sums, '>>', dirname($archive) . '/SHA512SUMS' or die "$archive: $!\n";
    print $sums Digest::SHA->new(512)->addfile($archive, 'b')->hexdigest, '  ', basename($archive), "\n";
    close $sums;
}

sub serve {
    my ($folder) = @_;
    make_path($folder);
    debian('debian-i386', "$folder/debian-hurd-20250807.img");
    pack_image("$folder/debian-hurd-20250807.img", "$folder/" . NAME);
    return Web->new($folder);
}

sub table { my ($web) = @_; return "[image debian-i386]\nurl = " . $web->url(NAME) . "\n" }

1;
