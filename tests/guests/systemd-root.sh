#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The folder `systemd-root`: a Debian of the host's own release with systemd as its init and what an installed childhurd
# needs at run time. Run by make, see README.md.
#
# tests/lib/Systemd.pm boots it, below an overlay. The release is the host's, because what was built here is to run there.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
[ -n "$release" ] || die '/etc/os-release names no Debian release (VERSION_CODENAME)'
packages=systemd,systemd-sysv,dbus,libvirt-daemon,libvirt-daemon-driver-qemu,qemu-system-x86,qemu-utils,openssh-client,procps
packages=$packages,iproute2,libvirt0,libev4,libinih1,libssh-4,libjson-glib-1.0-0,libsqlite3-0,libgcrypt20,libarchive13,e2fsprogs,acl
say 'making a Debian with systemd (200 MB, 1 to 2 min)'
debian "$release" minbase "$packages"
# Each boot is a machine of its own, with nobody at its terminals and nothing to do on its own.
: > "$work/root/etc/machine-id"
for unit in console-getty.service getty.target systemd-logind.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd.service systemd-resolved.service remote-fs.target; do
	ln -sf /dev/null "$work/root/etc/systemd/system/$unit"
done
[ -x "$work/root/lib/systemd/systemd" ] || die "$release's package systemd has no systemd"
finish "$work/root"
