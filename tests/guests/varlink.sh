#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The folder `varlink`: two foreign Varlink clients with what they are linked with, systemd's varlinkctl and Python's
# varlink, both from Debian sid, as older releases have neither. To be run by chroot; nothing in it is configured.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
say 'unpacking varlinkctl and python3-varlink (20 MB, 10 s)'
debian sid extract base-files,systemd,python3-varlink
# The links of a merged /usr are made by what configures packages.
for folder in bin lib lib64 sbin; do
	[ -e "$work/root/$folder" ] || ln -s "usr/$folder" "$work/root/$folder"
done
chroot "$work/root" /usr/bin/varlinkctl --version > /dev/null || die "sid's varlinkctl does not run"
chroot "$work/root" /usr/bin/python3 -c 'import varlink' || die "sid's python3-varlink does not run"
rm -rf "$work/root/usr/share/doc" "$work/root/usr/share/man" "$work/root/usr/share/locale" "$work/root/var/cache/apt"
finish "$work/root"
