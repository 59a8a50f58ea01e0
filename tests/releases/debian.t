# SPDX-License-Identifier: GPL-3.0-or-later
# The package in another release of Debian than the host's: the sources are compiled there without a warning, the package is
# built, lintian looks at it, and in a machine with that release's systemd it is installed, a guest becomes ready by that release's
# libvirt and QEMU, and the package is purged, which leaves nothing. CHILDHURD_RELEASES="trixie forky" names other releases.
#
#   make check-releases      wants the network: 600 MB at the first time, which are kept in the cache; then 3 to 5 min
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Cwd qw(abs_path);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use Systemd;
use Test::More;

my $image = Childhurd::need_image('linux');
my $dir   = tempdir('/var/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
END {
    my $status = $?;
    remove_tree($dir) unless !$dir || $ENV{CHILDHURD_KEEP};
    $? = $status;
}

# The script of a mount namespace with $root, a Debian below an overlay that is forgotten; what apt fetches goes to $kept. Then it
# is the script that is its input.
my $ENTER = <<'SH';
set -eu
lower=$1 kept=$2 work=$3 out=$4
mount -t tmpfs -o mode=755 tmpfs "$work"
cd "$work"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/tmp
mkdir root/out
mount --bind "$out" root/out
mount --bind "$kept/archives" root/var/cache/apt/archives
mount --bind "$kept/lists" root/var/lib/apt/lists
cp -L /etc/resolv.conf root/etc/resolv.conf
printf '#!/bin/sh\nexit 101\n' > root/usr/sbin/policy-rc.d
chmod 755 root/usr/sbin/policy-rc.d
exec chroot root env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive HOME=/root sh -e -c "$5"
SH

# apt with what it fetches kept; a package that the archive has no more of that version takes a new list.
my $APT = <<'SH';
apt() {
	apt-get -qq -y --no-install-recommends -o APT::Sandbox::User=root -o APT::Keep-Downloaded-Packages=true -o Dpkg::Use-Pty=0 \
		-o Acquire::Retries=3 "$@" > /tmp/apt.log 2>&1
}
fetched() {
	[ -n "$(find /var/lib/apt/lists -name '*_Packages*' -mmin -1440)" ] || apt update || true
	apt "$@" || { apt update && apt "$@"; } || { cat /tmp/apt.log; exit 1; }
}
SH

# Run a script in such a Debian; its output, and its exit status in $?. $dir/out is its folder /out.
sub inside {
    my ($root, $kept, $script) = @_;
    make_path("$dir/work", "$dir/out", "$kept/archives/partial", "$kept/lists/partial");
    my @outside = $ENV{CHILDHURD_NETWORK} ? ('nsenter', "--net=$ENV{CHILDHURD_NETWORK}") : ();
    open my $out, '-|', @outside, qw(timeout 30m unshare --mount --propagation private sh -c), "exec 2>&1\n$ENTER", 'sh', $root, $kept,
        "$dir/work", "$dir/out", $APT . $script
        or die "unshare: $!\n";
    local $/;
    my $text = <$out> // '';
    close $out;
    return $text;
}

# Files of the machine but what programs that are not ours keep for themselves.
sub files {
    my ($m) = @_;
    my $own = qr{^/(?:proc|sys|dev|run|tmp|srv)/|^/var/(?:log|cache|tmp|backups)/|^/var/lib/(?:dpkg|apt|systemd)/|^/etc/[^/]+-$};
    return map { $_ => 1 } grep { !m{$own} } split /\n/, $m->must('find', '/', '-xdev', '-print');
}

sub compiled_and_built {
    my ($root, $kept) = @_;
    my $said = inside($root, $kept, <<'SH');
cd /tmp
mkdir childhurd
tar -x -C childhurd < /out/sources.tar
fetched build-dep ./childhurd/service
fetched install lintian
useradd --create-home builder
chown -R builder childhurd
cd childhurd
as_builder() { setpriv --reuid=builder --regid=builder --clear-groups env HOME=/home/builder "$@"; }
echo "compiler: $(cc --version | head -n 1)"
as_builder make -s -j2 all
echo 'compiled'
as_builder make -s deb
cp build/childhurd_*.deb build/deb/log /out
echo 'built'
as_builder lintian --fail-on error,warning /out/*.deb
echo 'lintian has seen it'
SH
    return $said;
}

sub kept_by_apt {
    my ($m, @arguments) = @_;
    return $m->run(qw(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0), @arguments);
}

sub lives {
    my ($release, $root, $kept, $deb) = @_;
    my ($depends) = `dpkg-deb -f $deb Depends` =~ /(.*)/;
    my $said = inside($root, $kept, "fetched --download-only install /out/*.deb\n");
    is($?, 0, 'what it depends on is there') or diag $said;
    my $m = Systemd->new(dir => $dir, name => $release, lower => $root, files => { '/srv/childhurd.deb' => $deb, '/srv/hurd.qcow2' => $image })->boot;
    is(system("cp -r $kept/archives $m->{root}/var/cache/apt/ && cp -r $kept/lists $m->{root}/var/lib/apt/"), 0, 'apt has what was fetched');
    $said = kept_by_apt($m, 'satisfy', $depends);
    is($m->{status}, 0, 'its dependencies can be installed') or diag $said;
    my %before = files($m);

    $said = kept_by_apt($m, 'install', '/srv/childhurd.deb');
    is($m->{status}, 0, 'it is installed') or diag $said;
    unlike($said, qr/warning|error/i, '... without a warning') or diag $said;
    my ($version) = `dpkg-deb -f $deb Version` =~ /(\S+)/;
    is($m->run('childhurdd', '--version'), "childhurdd $version\n", 'childhurdd --version');
    is($m->run('systemctl', '--failed', '--plain', '--no-legend'), '', 'nothing fails without a configuration');

    $m->write('/etc/childhurd/childhurd.ini', <<'INI');
[guest childhurd]
image = /srv/hurd.qcow2
memory-size = 256M
INI
    $said = $m->run('childhurdd', '--check');
    is($m->{status}, 0, 'childhurdd --check has no problem') or diag $said;
    like($said, qr/^ok .*libvirt_driver_qemu\.so$/m, '... and finds libvirt\'s driver') or diag $said;
    $m->must('systemctl', 'start', 'childhurd-guests');
    $said = $m->run('childhurdctl', 'version');
    like($said, qr/\Q$version\E/, 'childhurdctl version') or diag $said;
    $said = $m->run(qw(childhurdctl wait childhurd --for ready --timeout 150s));
    is($m->{status}, 0, 'a guest becomes ready') or diag $said, $m->journal('-u', 'childhurdd', '-n', 40);
    like($m->run(qw(childhurdctl ssh childhurd uname)), qr/^Linux$/m, '... and can be logged in to');
    is($m->run('systemctl', 'restart', 'childhurdd'), '', 'the daemon is restarted');
    $said = $m->run(qw(childhurdctl wait childhurd --for ready --timeout 60s));
    is($m->{status}, 0, '... and has taken the guest over') or diag $said, $m->journal('-u', 'childhurdd', '-n', 40);

    $said = kept_by_apt($m, 'purge', 'childhurd');
    is($m->{status}, 0, 'it is purged') or diag $said;
    is_deeply([ $m->pids(qr/^(?:qemu-system|childhurd)/) ], [], '... no process is left');
    $m->must('rm', '-r', '/etc/childhurd');    # ours
    my %after = files($m);
    is_deeply([ sort grep { !$before{$_} } keys %after ], [], '... and no file');
    is_deeply([ sort grep { !$after{$_} } keys %before ], [], 'what was there before is still there');
    $m->stop;
}

for my $release (split ' ', $ENV{CHILDHURD_RELEASES} // 'trixie') {
    subtest $release => sub {
        my $root = Childhurd::guest_image("release-$release");
        my $kept = abs_path("$root/../..") . "/releases/$release";
        remove_tree("$dir/out");
        make_path("$dir/out");
        is(system("tar -c --exclude=./build --exclude=./.git --exclude=./.ci . > $dir/out/sources.tar"), 0, 'the sources');
        my $said = compiled_and_built($root, $kept);
        note $said;
        like($said, qr/^compiled$/m, 'they are compiled, with warnings as errors');
        like($said, qr/^built$/m, 'the package is built');
        # Debian 13 diverts a library of its own, which dpkg-shlibdeps finds worth a word.
        is(join('', grep { /warning/i && !/: warning: diversions involved/ } split /^/, Childhurd::slurp("$dir/out/log")), '', '... without a warning');
        like($said, qr/^built\nlintian has seen it$/m, 'lintian has nothing to say');
        my ($deb) = glob "$dir/out/*.deb";
        lives($release, $root, $kept, $deb) if $deb;
    };
}
done_testing;
