#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The folder `varlink`: two foreign Varlink clients with what they are linked with, systemd's varlinkctl and Python's
# varlink, both from Debian sid, as older releases have neither. To be run by chroot; nothing in it is configured.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
need mmdebstrap mmdebstrap
{
	apt-config dump Acquire | grep -i proxy || true
	echo 'Acquire::Check-Valid-Until "false";'
	echo 'Acquire::Retries "3";'
	echo 'Acquire::Languages "none";'
	echo 'APT::Install-Recommends "false";'
} > "$work/apt.conf"
sid=$(mirror)
say "unpacking varlinkctl and python3-varlink from $sid (20 MB, 10 s)"
mmdebstrap --quiet --variant=extract --mode=root --architectures=amd64 --aptopt="$work/apt.conf" \
	--include=base-files,systemd,python3-varlink sid "$work/root" "$sid" > "$work/log" 2>&1 ||
	die "mmdebstrap cannot make it from $sid: $(grep -E 'Failed to fetch|Unable to locate|Could not|^E:' "$work/log" | head -n 1)"
# The links of a merged /usr are made by what configures packages.
for folder in bin lib lib64 sbin; do
	[ -e "$work/root/$folder" ] || ln -s "usr/$folder" "$work/root/$folder"
done
chroot "$work/root" /usr/bin/varlinkctl --version > /dev/null || die "sid's varlinkctl does not run"
chroot "$work/root" /usr/bin/python3 -c 'import varlink' || die "sid's python3-varlink does not run"
rm -rf "$work/root/usr/share/doc" "$work/root/usr/share/man" "$work/root/usr/share/locale" "$work/root/var/cache/apt"
finish "$work/root"
