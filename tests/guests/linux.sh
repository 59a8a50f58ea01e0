#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The guest `linux`: a small Debian i386 on an IDE disk that behaves like a Guix childhurd; and `linux64`, the same with an
# amd64 kernel. Run by make, see README.md.
#
# Nothing is installed and no maintainer script runs: the few files that a sshd and a kernel need are taken out of
# their packages. The disk has a FAT partition, from which syslinux boots, and an ext2 root, as a Hurd has.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh
# shellcheck source=tests/guests/disk.sh disable=SC1091
. ./disk.sh

work=

begin
need gcc gcc
need readelf binutils
need_disk_tools
echo 'int main(void) { return 0; }' > "$work/empty.c"
gcc -m32 -static -o "$work/empty" "$work/empty.c" 2> /dev/null || die 'gcc builds no 32-bit programs: apt install gcc-multilib'

say 'fetching packages (60 MB)'
fetch_disk_tools
if [ "$GUEST" = linux64 ]; then
	use_suite bookworm amd64
	kernel=$(newest_kernel linux-image-amd64)
	fetch "$kernel"
fi
use_suite bookworm i386
if [ "$GUEST" = linux ]; then
	kernel=$(newest_kernel linux-image-686)
	fetch "$kernel"
fi
# What sshd and ssh-keygen are linked with; that it is enough is proven below.
libraries='libc6 libcrypt1 libssl3 zlib1g libpam0g libselinux1 libpcre2-8-0 libgssapi-krb5-2 libkrb5-3 libk5crypto3
	libkrb5support0 libcom-err2 libkeyutils1 libaudit1 libcap-ng0 libwrap0 libnsl2 libtirpc3 libsystemd0 liblzma5
	libzstd1 liblz4-1 libcap2 libgcrypt20 libgpg-error0'
# shellcheck disable=SC2086 # a list
fetch busybox-static dash openssh-server openssh-client $libraries

say 'unpacking (5 s)'
root=$work/root
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib"
for d in bin sbin lib; do ln -s usr/$d "$root/$d"; done
unpack busybox-static "$root" ./bin
unpack dash "$root" ./bin # busybox' own shell would take its own halt for /sbin/halt
unpack openssh-server "$root" ./usr/sbin
unpack openssh-client "$root" ./usr/bin/ssh-keygen
for p in $libraries; do unpack "$p" "$root" --exclude='./usr/share/*' --exclude='*/gconv/*' --exclude=./sbin; done

say 'making the root file system (3 s)'
add_applets
ln -sf dash "$root/usr/bin/sh"
copy linux/root "$root"
mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/root" "$root/var/lib/offloading" "$root/var/log"
chmod 1777 "$root/tmp"
chmod 700 "$root/root"
chmod 640 "$root/etc/shadow"
chown 999:999 "$root/var/lib/offloading"
for program in secret-receiver mute reseed; do
	gcc -m32 -static -O2 -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Werror -Wshadow -s \
		-o "$root/usr/sbin/$program" "linux/$program.c" || die "$program cannot be built"
done

# What the dynamic linker would look for, by name, in its folder of this architecture.
linked() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'; }
for file in "$root/usr/sbin/sshd" "$root/usr/bin/ssh-keygen" "$root"/usr/lib/i386-linux-gnu/*.so.*; do
	for library in $(linked "$file"); do
		[ -e "$root/usr/lib/i386-linux-gnu/$library" ] || die "${file#"$root"} is linked with $library, which is in none of the packages"
	done
done

make_disk 128
finish "$work/disk.qcow2"
