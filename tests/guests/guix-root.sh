#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The folder `guix-root`: a small Debian sid with the real Guix, its build daemon, OpenSSH and the Shepherd. Run by make,
# see README.md.
#
# A coordinator is run in it, below an overlay, and the guest `guix` is made from it: both ends have the same Guix. Only
# sid has a current one, and a current Shepherd.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
say 'making a Debian sid with Guix (200 MB, 1 to 2 min)'
# The sources of Guix' packages stay out, and nothing here reads them; what is compiled from them is there.
debian sid minbase guix,guile-fibers,shepherd,openssh-server,openssh-client,netbase,busybox-static,rsync \
	--dpkgopt='path-exclude=/usr/include/*' --dpkgopt='path-exclude=/usr/lib/*/*.a' \
	--dpkgopt='path-exclude=/usr/share/guile/site/3.0/gnu/packages/*.scm'
# Keys are made by who uses it, never shared.
rm -rf "$work/root"/etc/ssh/ssh_host_* "$work/root/etc/guix/acl" "$work/root"/etc/guix/signing-key.*
[ -x "$work/root/usr/bin/guix-daemon" ] || die "sid's package guix has no guix-daemon"
finish "$work/root"
