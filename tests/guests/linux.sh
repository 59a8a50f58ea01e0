#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The guest `linux`: a small Debian i386 on an IDE disk that behaves like a Guix childhurd. Run by make, see README.md.
#
# Nothing is installed and no maintainer script runs: the few files that a sshd and a kernel need are taken out of
# their packages. The disk has a FAT partition, from which syslinux boots, and an ext2 root, as a Hurd has.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
need gcc gcc
need mcopy mtools
need mke2fs e2fsprogs
need sfdisk fdisk
need qemu-img qemu-utils
echo 'int main(void) { return 0; }' > "$work/empty.c"
gcc -m32 -static -o "$work/empty" "$work/empty.c" 2> /dev/null || die 'gcc builds no 32-bit programs: apt install gcc-multilib'
"$work/empty" || die 'this kernel runs no 32-bit programs, which the recipe needs'

use_suite bookworm
say 'fetching packages (60 MB)'
kernel=$(apt-cache depends linux-image-686 | sed -n 's/^ *Depends: //p' | head -n 1)
# What sshd and ssh-keygen are linked with; that it is enough is proven below.
libraries='libc6 libcrypt1 libssl3 zlib1g libpam0g libselinux1 libpcre2-8-0 libgssapi-krb5-2 libkrb5-3 libk5crypto3
	libkrb5support0 libcom-err2 libkeyutils1 libaudit1 libcap-ng0 libwrap0 libnsl2 libtirpc3 libsystemd0 liblzma5
	libzstd1 liblz4-1 libcap2 libgcrypt20 libgpg-error0'
# shellcheck disable=SC2086 # a list
fetch "${kernel:-linux-image-686}" busybox-static dash openssh-server openssh-client syslinux syslinux-common $libraries

say 'unpacking (5 s)'
root=$work/root
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib"
for d in bin sbin lib; do ln -s usr/$d "$root/$d"; done
unpack busybox-static "$root" ./bin
unpack dash "$root" ./bin # busybox' own shell would take its own halt for /sbin/halt
unpack openssh-server "$root" ./usr/sbin
unpack openssh-client "$root" ./usr/bin/ssh-keygen
for p in $libraries; do unpack "$p" "$root" --exclude='./usr/share/*' --exclude='*/gconv/*' --exclude=./sbin; done
unpack syslinux "$work/tools" ./usr/bin ./usr/lib/SYSLINUX/mbr.bin
unpack syslinux-common "$work/tools" '*/modules/bios/ldlinux.c32'
unpack "$kernel" "$work/kernel" ./boot './lib/modules/*/kernel/*'

say 'making the root file system (3 s)'
busybox=$root/bin/busybox
"$busybox" --list | while read -r applet; do
	case $applet in
	busybox | sh | dpkg* | rpm*) ;;
	halt) ;; # our own
	init | poweroff | reboot | modprobe | ip | ifconfig) ln -s ../bin/busybox "$root/usr/sbin/$applet" ;;
	*) [ -e "$root/usr/bin/$applet" ] || ln -s busybox "$root/usr/bin/$applet" ;;
	esac
done
ln -sf dash "$root/usr/bin/sh"
tar -c --owner=0 --group=0 -C linux/root . | tar -x --keep-directory-symlink -C "$root"
mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/root" "$root/var/lib/offloading" "$root/var/log"
chmod 1777 "$root/tmp"
chmod 700 "$root/root"
chmod 640 "$root/etc/shadow"
chown 999:999 "$root/var/lib/offloading"
for program in secret-receiver mute; do
	gcc -m32 -static -O2 -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Werror -Wshadow -s \
		-o "$root/usr/sbin/$program" "linux/$program.c" || die "$program cannot be built"
done
for program in /usr/sbin/sshd /usr/bin/ssh-keygen; do
	! chroot "$root" /lib/ld-linux.so.2 --list "$program" | grep 'not found' || die "$program lacks a library"
done

# The drivers: those for the root file system go into the initial RAM disk too.
release=${kernel#linux-image-}
modules() { # modules FOLDER NAME...: NAMEs and all they need, with the index that modprobe reads
	to=$1
	shift
	mkdir -p "$to/lib/modules/$release"
	for m; do
		grep "/$m\.ko:" "$work/kernel/lib/modules/$release/modules.dep" > "$work/dep" || die "the kernel has no module $m"
		for file in $(tr -d : < "$work/dep"); do
			mkdir -p "$to/lib/modules/$release/$(dirname "$file")"
			cp "$work/kernel/lib/modules/$release/$file" "$to/lib/modules/$release/$file"
		done
	done
	"$busybox" depmod -b "$to" "$release"
}
"$busybox" depmod -b "$work/kernel" "$release"
modules "$root" 8139cp 8139too e1000 button evdev qemu_fw_cfg
initrd=$work/initrd
modules "$initrd" ata_piix sd_mod crc32c_generic ext4
mkdir -p "$initrd/bin" "$initrd/sbin" "$initrd/proc" "$initrd/dev" "$initrd/root"
cp "$busybox" "$initrd/bin/"
for applet in sh mount umount usleep reboot modprobe switch_root; do ln -s busybox "$initrd/bin/$applet"; done
cp linux/initrd-init "$initrd/init"
(cd "$initrd" && find . | "$busybox" cpio -o -H newc 2> /dev/null | gzip -1) > "$work/initrd.gz"

say 'making the disk (2 s)'
sector=512 boot_start=2048 boot_size=40960 root_start=43008 root_size=262144
truncate -s $((boot_size * sector)) "$work/boot.img"
mformat -i "$work/boot.img" -h 255 -s 63 -T $boot_size -H $boot_start ::
mcopy -i "$work/boot.img" "$work/kernel/boot/vmlinuz-$release" ::vmlinuz
mcopy -i "$work/boot.img" "$work/initrd.gz" ::initrd
mcopy -i "$work/boot.img" linux/syslinux.cfg "$work/tools/usr/lib/syslinux/modules/bios/ldlinux.c32" ::
"$work/tools/usr/bin/syslinux" --install "$work/boot.img" || die 'syslinux cannot be installed in the image'
truncate -s $(((root_start + root_size) * sector)) "$work/disk.img"
sfdisk -q "$work/disk.img" <<EOF
label: dos
start=$boot_start, size=$boot_size, type=e, bootable
start=$root_start, size=$root_size, type=83
EOF
dd if="$work/tools/usr/lib/SYSLINUX/mbr.bin" of="$work/disk.img" conv=notrunc bs=440 count=1 status=none
dd if="$work/boot.img" of="$work/disk.img" conv=notrunc,sparse bs=$((boot_start * sector)) seek=1 status=none
mke2fs -q -F -t ext2 -m 0 -L root -d "$root" -E offset=$((root_start * sector)) "$work/disk.img" \
	$((root_size / 2))k > "$work/mke2fs.log" 2>&1 || die "mke2fs: $(tail -n 1 "$work/mke2fs.log")"
qemu-img convert -O qcow2 "$work/disk.img" "$work/disk.qcow2" || die 'qemu-img cannot convert the image'
finish "$work/disk.qcow2"
