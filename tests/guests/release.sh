#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The folder `release-SUITE`: a small Debian of that release with systemd as its init, and nothing that childhurd needs. Run by
# make, see README.md.
#
# tests/releases builds the package in it and installs it, below an overlay.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
suite=${GUEST#release-}
say "making a Debian $suite with systemd (150 MB, 1 to 2 min)"
debian "$suite" minbase systemd,systemd-sysv,dbus,procps
# Each boot is a machine of its own, with nobody at its terminals and nothing to do on its own.
: > "$work/root/etc/machine-id"
for unit in console-getty.service getty.target systemd-logind.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd.service systemd-resolved.service remote-fs.target; do
	ln -sf /dev/null "$work/root/etc/systemd/system/$unit"
done
# Documentation stays out of this folder; what is installed later has its own.
grep -l path-exclude "$work/root"/etc/dpkg/dpkg.cfg.d/* | xargs rm
[ -x "$work/root/lib/systemd/systemd" ] || die "$suite's package systemd has no systemd"
finish "$work/root"
