#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The guest `guix`: a build machine for i586-gnu with the real Guix and OpenSSH, on the disk and with the boot of the
# guest `linux`. Its secrets are received by Guix' own code. Run by make, which sets BASE too, see README.md.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh
# shellcheck source=tests/guests/disk.sh disable=SC1091
. ./disk.sh

work=

begin
need_disk_tools
say 'fetching packages (90 MB)'
fetch_disk_tools
use_suite bookworm amd64
kernel=$(newest_kernel linux-image-amd64)
fetch "$kernel"

# What is not written to is linked, not copied: usr is most of it.
say 'making the root file system (15 s)'
root=$work/root
mkdir -p "$root"
cp -a --reflink=auto "$BASE/etc" "$BASE/var" "$BASE/gnu" "$root/"
for link in bin sbin lib lib64; do cp -a "$BASE/$link" "$root/"; done
mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/root"
chmod 1777 "$root/tmp"
chmod 700 "$root/root"
cp -al "$BASE/usr" "$root/usr"

# `guix repl`, by which a coordinator asks for the load and the free space, loads the module (gnu): all that is known of
# all packages, seconds for an emulated processor. Nothing here uses it, so it is an empty one. What receives secrets stays.
site=usr/share/guile/site/3.0
cd "$root"
ccache=$(echo usr/lib/*/guile/3.0/site-ccache)
mv "$ccache/gnu/build/secret-service.go" "$work/"
rm -rf "$ccache/gnu" "$ccache/gnu.go" "$site/gnu" "$site/gnu.scm" "$ccache/guix/import" "$ccache/guix/scripts/import" \
	"$ccache/guix/scripts/system" "$site/guix/import" "$site/guix/scripts/import" "$site/guix/scripts/system"
mkdir -p "$ccache/gnu/build"
mv "$work/secret-service.go" "$ccache/gnu/build/"
echo '(define-module (gnu))' > "$site/gnu.scm"
rm -rf usr/share/zoneinfo usr/share/perl* usr/lib/*/perl* usr/share/emacs \
	var/lib/apt var/lib/dpkg/info var/cache/* var/log/*.log etc/ssh/ssh_host_*
# It passes for a Guix System, by its store.
rm etc/debian_version

# The accounts; sshd lets nobody in whose account is locked, which one with a ! for a password is.
account() { # NAME ID GROUP HOME SHELL
	echo "$1:x:$2:$3::$4:$5" >> etc/passwd
	echo "$1:*:19000::::::" >> etc/shadow
}
account offloading 900 900 /var/lib/offloading /bin/sh
account guixbuilder1 901 901 /var/empty /usr/sbin/nologin
account guixbuilder2 902 901 /var/empty /usr/sbin/nologin
echo offloading:x:900: >> etc/group
echo _guixbuild:x:901:guixbuilder1,guixbuilder2 >> etc/group
mkdir var/lib/offloading
chmod 700 var/lib/offloading
chown 900:900 var/lib/offloading
chown -R 0:0 gnu var/guix etc/guix var/log/guix # here the daemon is root's
cd "$OLDPWD"

add_applets
copy linux/root "$root" --exclude=./etc/passwd --exclude=./etc/group --exclude=./etc/shadow
copy guix/root "$root"

make_disk 768
finish "$work/disk.qcow2"
