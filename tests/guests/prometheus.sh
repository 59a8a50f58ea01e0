#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The folder `prometheus`: Prometheus with its promtool, and node_exporter, out of Debian's packages. They are not
# installed: installed, both would be services that listen on all addresses.
# shellcheck source=tests/guests/common.sh disable=SC1091
. ./common.sh

work=

begin
need dpkg-deb dpkg
use_suite bookworm "$(dpkg --print-architecture)"
say 'fetching Prometheus and node_exporter (23 MB)'
fetch prometheus prometheus-node-exporter
unpack prometheus "$work/root" './usr/bin/*'
unpack prometheus-node-exporter "$work/root" './usr/bin/*'
mv "$work/root/usr/bin" "$work/bin"
for program in prometheus promtool prometheus-node-exporter; do
	"$work/bin/$program" --version > /dev/null 2>&1 || die "Debian's $program does not run"
done
finish "$work/bin"
