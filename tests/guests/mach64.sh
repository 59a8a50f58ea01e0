#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The guest `mach64`: Debian's 64-bit GNU Mach on a disk in the shape of Debian's amd64 image, behind the GRUB of BASE, with a
# bootstrap task of our own. Run by make, see README.md.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh
# shellcheck source=tests/guests/disk.sh disable=SC1091
. ./disk.sh

work=

begin
need gcc gcc
need_disk_tools

say 'fetching packages (1 MB)'
use_suite sid amd64 # the older suites have no 64-bit Mach
fetch gnumach-image-1.8-amd64-up

say 'making the disk (1 s)'
root=$work/root
mkdir -p "$root/boot/grub" "$root/hurd" "$root/etc/ssh/sshd_config.d" "$root/root"
unpack gnumach-image-1.8-amd64-up "$root" './boot/*'
cp mach64/grub.cfg "$root/boot/grub/"
echo 13.1 > "$root/etc/debian_version"
gcc -std=gnu11 -O2 -ffreestanding -fno-pie -fno-stack-protector -fcf-protection=none -Wall -Wextra -Werror \
	-static -nostdlib -no-pie -Wl,--build-id=none -s -o "$root/hurd/probe.static" mach64/probe.c
cp "$root/hurd/probe.static" "$root/hurd/exec" # by which the architecture is known

sector=512 swap_start=2048 swap_size=20480 root_start=22528 root_size=65536
cp "$BASE" "$work/disk.img"
truncate -s $(((root_start + root_size) * sector)) "$work/disk.img"
sfdisk -q "$work/disk.img" <<-EOF
	label: dos
	label-id: 0xc0de0001
	start=$swap_start, size=$swap_size, type=82
	start=$root_start, size=$root_size, type=83, bootable
EOF
make_root_file_system $((root_start * sector)) $((root_size / 2)) -o hurd -I 256
qemu-img convert -O qcow2 "$work/disk.img" "$work/disk.qcow2" || die 'qemu-img cannot convert the image'
finish "$work/disk.qcow2"
