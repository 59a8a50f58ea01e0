#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The guest `mach`: Debian's GNU Mach and a bootstrap task of our own. Run by make, see README.md.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
need gcc gcc
gcc -m32 -E -include stddef.h -x c /dev/null > /dev/null 2>&1 || die 'gcc has no -m32: apt install gcc-multilib'

# MIG is there as a program for i386 only, which QEMU's emulator runs with the C library it wants, on whatever host. Its linker
# is told where that is: by the host's cache it would find the host's 32-bit one, which gcc-multilib brings, and which is newer
# than the linker on a newer host.
need qemu-i386 'qemu-user --no-install-recommends'
use_suite bookworm i386
fetch mig-i686-gnu libc6
unpack mig-i686-gnu "$work/x"
unpack libc6 "$work/i386" --exclude='./usr/share/*' --exclude='*/gconv/*'
use_suite sid i386 # the older suites have no Mach for this architecture that QEMU boots without GRUB
fetch gnumach-image-1.8-486-up gnumach-dev
unpack gnumach-image-1.8-486-up "$work/x"
unpack gnumach-dev "$work/x"

say 'building (1 s)'
include=$work/x/usr/include/i386-linux-gnu
mkdir "$work/mach"
gunzip -c "$work/x/boot/gnumach-1.8-486-up.gz" > "$work/mach/gnumach"
recipe=$PWD/mach
compile() {
	gcc -m32 -std=gnu11 -O2 -ffreestanding -ffunction-sections -fno-pie -fno-stack-protector -fcf-protection=none \
		-I"$work" -I"$recipe" -isystem "$include" "$@"
}
cd "$work" || exit
gcc -m32 -E -x c -undef -ansi -I"$include" "$include/mach/mach_host.defs" > mach_host.i
libc=i386/lib/i386-linux-gnu
qemu-i386 $libc/ld-linux.so.2 --inhibit-cache --library-path $libc x/usr/lib/mig/i686-gnu-migcom \
	-user mach_host.c -header mach_host.h -server /dev/null < mach_host.i ||
	die 'MIG does not run'
compile -std=gnu89 -w -c mach_host.c # MIG writes the C of its day, in which a function needs no declaration
compile -Wall -Wextra -Werror -c "$recipe/probe.c"
gcc -m32 -static -nostdlib -no-pie -Wl,--build-id=none,--gc-sections -s -o mach/probe probe.o mach_host.o
finish mach
