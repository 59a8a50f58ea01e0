#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# `grub`: the beginning of a disk that a BIOS boots by GRUB, up to its first partition. Run by make, see README.md.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
say 'fetching packages (5 MB)'
use_suite bookworm "$(dpkg --print-architecture)"
fetch grub-pc-bin grub-common libdevmapper1.02.1
unpack grub-pc-bin "$work/tools" './usr/lib/grub/i386-pc/*'
unpack grub-common "$work/tools" ./usr/bin/grub-mkimage
unpack libdevmapper1.02.1 "$work/tools" './lib/*'

# The menu is found by its name, in whatever partition it is.
cat > "$work/find.cfg" << 'EOF'
search --no-floppy --file /boot/grub/grub.cfg --set=root
set prefix=($root)/boot/grub
EOF
grub=$work/tools/usr/lib/grub/i386-pc
LD_LIBRARY_PATH=$(echo "$work"/tools/lib/*-linux-gnu) "$work/tools/usr/bin/grub-mkimage" -O i386-pc -d "$grub" \
	-c "$work/find.cfg" -p /boot/grub -o "$work/core.img" \
	biosdisk part_msdos ext2 search search_fs_file normal echo gzio multiboot linux || die 'grub-mkimage cannot make it'
# Where grub-bios-setup would put them, which wants a device.
truncate -s 1M "$work/disk.img"
dd if="$grub/boot.img" of="$work/disk.img" conv=notrunc bs=440 count=1 status=none
dd if="$work/core.img" of="$work/disk.img" conv=notrunc bs=512 seek=1 status=none
[ "$(stat -c %s "$work/disk.img")" = 1048576 ] || die 'GRUB has become too large'
finish "$work/disk.img"
