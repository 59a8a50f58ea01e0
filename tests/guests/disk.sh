# shellcheck shell=sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What the guests with a disk share, after common.sh. Those that run Linux: the kernel and its drivers, and a disk that a BIOS
# boots, with a FAT partition for syslinux and an ext2 root, as a Hurd has. $root is the root's folder, with busybox in its /bin.
#
# Nothing of the guest runs here: many a host runs no 32-bit programs. What has to be run is Debian's for the host.

need_disk_tools() {
	need mcopy mtools
	need debugfs e2fsprogs
	need sfdisk fdisk
	need qemu-img qemu-utils
}

# The host's tools that are not installed: syslinux, lz4, and busybox for its depmod and cpio, and since it knows its commands.
fetch_disk_tools() {
	need dpkg-deb dpkg
	need gcc gcc
	need strip binutils
	need xz xz-utils
	use_suite bookworm "$(dpkg --print-architecture)"
	fetch syslinux syslinux-common lz4 busybox-static
	unpack syslinux "$work/tools" ./usr/bin ./usr/lib/SYSLINUX/mbr.bin
	unpack syslinux-common "$work/tools" '*/modules/bios/ldlinux.c32'
	unpack lz4 "$work/tools" ./usr/bin/lz4
	unpack busybox-static "$work/tools" ./bin/busybox
	tool=$work/tools/bin/busybox
}

# newest_kernel METAPACKAGE: the package with the kernel itself.
newest_kernel() {
	found=$(apt-cache depends "$1" | sed -n 's/^ *Depends: //p' | head -n 1)
	echo "${found:-$1}"
}

# Busybox' commands, for those that $root does not have.
add_applets() {
	"$tool" --list | while read -r applet; do
		case $applet in
		busybox | sh | dpkg* | rpm*) continue ;;
		halt) continue ;; # our own
		esac
		[ ! -e "$root/usr/bin/$applet" ] && [ ! -e "$root/usr/sbin/$applet" ] || continue
		case $applet in
		init | poweroff | reboot | modprobe | ip | ifconfig) ln -s ../bin/busybox "$root/usr/sbin/$applet" ;;
		*) ln -s busybox "$root/usr/bin/$applet" ;;
		esac
	done
}

# index FOLDER: what modprobe reads, in one order wherever the folder is.
index() {
	"$tool" depmod -b "$1" "$release"
	for list in "$1/lib/modules/$release"/modules.*; do sort -o "$list" "$list"; done
}

# modules FOLDER NAME...: NAMEs and all they need, with the index that modprobe reads, but without their signatures, which would take an
# emulated processor a second
modules() {
	to=$1
	shift
	mkdir -p "$to/lib/modules/$release"
	for m; do
		grep "/$m\.ko:" "$work/kernel/lib/modules/$release/modules.dep" > "$work/dep" || die "the kernel has no module $m"
		for file in $(tr -d : < "$work/dep"); do
			mkdir -p "$to/lib/modules/$release/$(dirname "$file")"
			strip --strip-debug -o "$to/lib/modules/$release/$file" "$work/kernel/lib/modules/$release/$file"
		done
	done
	index "$to"
}

# The drivers: those for the root file system go into the initial RAM disk too.
make_initrd() {
	release=${kernel#linux-image-}
	index "$work/kernel"
	modules "$root" 8139cp 8139too e1000 button evdev qemu_fw_cfg
	initrd=$work/initrd
	modules "$initrd" ata_piix ahci sd_mod crc32c_generic ext4
	mkdir -p "$initrd/bin" "$initrd/sbin" "$initrd/proc" "$initrd/dev" "$initrd/root"
	cp "$root/bin/busybox" "$initrd/bin/"
	for applet in sh mount umount usleep reboot modprobe switch_root; do ln -s busybox "$initrd/bin/$applet"; done
	cp linux/initrd-init "$initrd/init"
	all_made_then "$initrd"
	(cd "$initrd" && find . | sort | "$tool" cpio -o -H newc --renumber-inodes --ignore-devno 2> /dev/null | gzip -1n) > "$work/initrd.gz"
}

# make_root_file_system OFFSET KIB [OPTION...]: on the disk, of $root; OPTIONs are mke2fs's. mke2fs takes a file's times from
# here, as they are; only the one of its contents is the file's own.
make_root_file_system() {
	from=$1 kib=$2
	shift 2
	all_made_then "$root"
	{
		mke2fs -q -F -t ext2 -m 0 -L root -U 9d2a2f4c-5a0e-4c55-8a39-c0de00000001 "$@" -d "$root" \
			-E "offset=$from,hash_seed=9d2a2f4c-5a0e-4c55-8a39-c0de00000002" "$work/disk.img" "${kib}k" &&
			find "$root" -printf 'sif "/%P" atime @1700000000\nsif "/%P" ctime @1700000000\n' > "$work/times" &&
			debugfs -w -f "$work/times" "$work/disk.img?offset=$from" > /dev/null
	} > "$work/mke2fs.log" 2>&1 || die "mke2fs: $(tail -n 1 "$work/mke2fs.log")"
}

# field FILE OFFSET BYTES: the number that is there, which is little-endian.
field() { od -An -v -tu"$3" -j $(($2)) -N "$3" "$1" | tr -d ' '; }

# set_field FILE OFFSET NUMBER: of four bytes.
set_field() {
	for shift in 0 8 16 24; do
		# shellcheck disable=SC2059 # the byte is the format
		printf "\\$(printf %o $(($3 >> shift & 255)))"
	done | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none
}

# repack VMLINUZ: a kernel that unpacks itself with less work (linux/unpack.c). Its real-mode part stays, with these fields of
# Linux' Documentation/arch/x86/boot.rst:
#   0x1f1  setup_sects, one byte: the sectors of the real-mode part, without its first one
#   0x1f4  syssize: all that follows it, in units of 16 bytes
#   0x234  relocatable_kernel, min_alignment and xloadflags, as one: at 1 MiB, and at no other place
#   0x248  payload_offset, and 0x24c payload_length: none
#   0x260  init_size: the memory that it needs, now from 1 MiB on and no longer from 16 MiB
repack() {
	file=$1 setup=$((($(field "$1" 0x1f1 1) + 1) * 512)) length=$(field "$1" 0x24c 4) init_size=$(field "$1" 0x260 4)
	tail -c +$((setup + $(field "$file" 0x248 4) + 1)) "$file" | head -c $((length - 4)) | xz -dc > "$work/vmlinux" ||
		die 'the kernel is not packed by xz'
	objcopy -O binary "$work/vmlinux" "$work/kernel.flat"
	"$work/tools/usr/bin/lz4" -q -l -9 "$work/kernel.flat" "$work/kernel.lz4"
	set -- -Wall -Wextra -Werror -m32 -Os -ffreestanding -nostdlib -static -fno-pic -no-pie -fno-asynchronous-unwind-tables
	case $kernel in *-amd64) set -- "$@" -DAMD64 ;; esac
	gcc "$@" -fcf-protection=none "-Wa,-I$work" -Wl,--build-id=none -T linux/unpack.lds -o "$work/unpack" linux/unpack.c ||
		die 'unpack cannot be built'
	truncate -s "$setup" "$file"
	cat "$work/unpack" >> "$file"
	set_field "$file" 0x1f4 $((($(stat -c %s "$work/unpack") + 15) / 16))
	set_field "$file" 0x234 0
	set_field "$file" 0x248 0
	set_field "$file" 0x24c 0
	set_field "$file" 0x260 $((init_size + 0xf00000))
}

# make_disk MIB: $work/disk.qcow2 with $root, $kernel and a root file system of so many MiB. The tools and the kernel have
# to be fetched.
make_disk() {
	unpack "$kernel" "$work/kernel" ./boot './lib/modules/*/kernel/*'
	make_initrd
	repack "$work/kernel/boot/vmlinuz-$release"
	say 'making the disk'
	sector=512 boot_start=2048 boot_size=40960 root_start=43008 root_size=$(($1 * 2048))
	truncate -s $((boot_size * sector)) "$work/boot.img"
	mformat -i "$work/boot.img" -N c0de0000 -h 255 -s 63 -T $boot_size -H $boot_start ::
	mcopy -i "$work/boot.img" "$work/kernel/boot/vmlinuz-$release" ::vmlinuz
	mcopy -i "$work/boot.img" "$work/initrd.gz" ::initrd
	mcopy -i "$work/boot.img" linux/syslinux.cfg "$work/tools/usr/lib/syslinux/modules/bios/ldlinux.c32" ::
	"$work/tools/usr/bin/syslinux" --install "$work/boot.img" || die 'syslinux cannot be installed in the image'
	truncate -s $(((root_start + root_size) * sector)) "$work/disk.img"
	sfdisk -q "$work/disk.img" <<-EOF
		label: dos
		label-id: 0xc0de0000
		start=$boot_start, size=$boot_size, type=e, bootable
		start=$root_start, size=$root_size, type=83
	EOF
	dd if="$work/tools/usr/lib/SYSLINUX/mbr.bin" of="$work/disk.img" conv=notrunc bs=440 count=1 status=none
	dd if="$work/boot.img" of="$work/disk.img" conv=notrunc,sparse bs=$((boot_start * sector)) seek=1 status=none
	make_root_file_system $((root_start * sector)) $((root_size / 2))
	qemu-img convert -O qcow2 "$work/disk.img" "$work/disk.qcow2" || die 'qemu-img cannot convert the image'
}
