# SPDX-License-Identifier: GPL-3.0-or-later
# Another release of Debian for a test: the cached folder release-SUITE below an overlay, in which packages are installed, the
# sources compiled and tests run with that release's programs.
#
#   my $r = Release->new(dir => $dir, suite => 'sid')->enter;      # nothing, if sid cannot be had today; $Childhurd::lacking
#   $r->fetch('fetched install lintian');     # a script's output; $r->{status} is its exit status; with the network
#   $r->run('make -s -j2 all');               # the same without it
#
# It has its own mount and process namespaces, and ends with the process that holds them, which dies with the test. The test's
# network is its network; only `fetch` has the outer one. All is written to the disk, as on a host, since what QEMU and the
# tests of disks do depends on it: $r->{sources}, /srv/childhurd there, a copy of the sources; $r->{out}, /out there; $r->{cache},
# /var/cache/childhurd there. What apt and the guests' recipes fetch is kept in the host's cache.
package Release;
use strict;
use warnings;
use Childhurd;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use POSIX qw(:sys_wait_h);

my @releases;

# The script of the namespaces' first process, which then stays to reap orphans. Arguments: the lower folder, the work folder,
# where things are kept, then guests that are taken from the host.
my $SETUP = <<'SH';
set -eu
lower=$1 dir=$2 kept=$3 cache=$4
shift 4
cd "$dir"
mkdir upper work root tmp
chmod 1777 tmp
mount -t overlay overlay -o "volatile,lowerdir=$lower,upperdir=upper,workdir=work" root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount --rbind /sys root/sys
mount -t tmpfs -o mode=755,nosuid tmpfs root/run
bind() { # FROM TO
	mkdir -p "root$2"
	mount --bind "$1" "root$2"
}
bind tmp /tmp
bind out /out
bind sources /srv/childhurd
bind "$kept/archives" /var/cache/apt/archives
bind "$kept/lists" /var/lib/apt/lists
bind cache /var/cache/childhurd
bind "$cache/apt" /var/cache/childhurd/apt
bind "$cache/downloads" /var/cache/childhurd/downloads
: > cache/lock
mount --bind "$cache/lock" root/var/cache/childhurd/lock
for guest; do
	place=root/var/cache/childhurd/guests/${guest##*/}
	if [ -d "$guest" ]; then mkdir "$place"; else : > "$place"; fi
	mount --bind "$guest" "$place"
	mount -o remount,bind,ro "$place"
done
cp -L /etc/resolv.conf root/etc/resolv.conf
# No package starts anything.
printf '#!/bin/sh\nexit 101\n' > root/usr/sbin/policy-rc.d
chmod 755 root/usr/sbin/policy-rc.d
cd root
pivot_root . mnt
umount -l /mnt
mount --make-rshared /
exec /bin/sh -c ': > /run/up; sleep infinity & wait'
SH

# apt with what it fetches kept. A package of which the archive has no more that version takes a new list; a list lasts a day.
my $APT = <<'SH';
apt() {
	apt-get -qq -y --no-install-recommends -o APT::Sandbox::User=root -o APT::Keep-Downloaded-Packages=true -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-unsafe-io -o Acquire::Retries=3 "$@" > /tmp/apt.log 2>&1
}
fetched() {
	[ -n "$(find /var/lib/apt/lists -name '*_Packages*' -mmin -1440)" ] || apt update || true
	apt "$@" || { apt update && apt "$@"; } || { cat /tmp/apt.log; exit 1; }
}
SH

# options: dir (the test's folder), suite, guests (paths of guests that the host has made).
sub new {
    my ($class, %o) = @_;
    my $self = bless { guests => [], %o }, $class;
    $self->{root} = eval { Childhurd::guest_image("release-$o{suite}") };
    die $@ unless $self->{root} || $Childhurd::lacking;
    push @releases, $self;
    return $self;
}

# The folder of that name in the work folder, empty.
sub fresh {
    my ($self, $name) = @_;
    $self->{$name} = "$self->{dir}/$self->{suite}/$name";
    make_path($self->{$name});
}

sub enter {
    my ($self) = @_;
    return unless $self->{root};
    my $host = dirname(dirname($self->{root}));
    my $kept = "$host/releases/$self->{suite}";
    make_path("$kept/archives/partial", "$kept/lists/partial", "$host/apt", "$host/downloads");
    $self->{kept} = $kept;
    $self->fresh($_) for qw(out sources cache);
    make_path("$self->{cache}/guests");
    system("tar -c --exclude=./build --exclude=./.git --exclude=./.ci . | tar -x --no-same-owner -C $self->{sources}") == 0
        or die "the sources cannot be copied\n";
    my $log = "$self->{dir}/$self->{suite}.log";
    $self->{holder} = Childhurd::spawn_to($log, sub { }, qw(setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child
        --propagation private sh -c), $SETUP, 'sh', $self->{root}, "$self->{dir}/$self->{suite}", $kept, $host, @{ $self->{guests} });
    Childhurd::limited(20, "the root of $self->{suite}", sub {
        die Childhurd::slurp($log) if waitpid($self->{holder}, WNOHANG) == $self->{holder};
        ($self->{pid}) = split ' ', Childhurd::slurp("/proc/$self->{holder}/task/$self->{holder}/children");
        $self->{pid} && -e "/proc/$self->{pid}/root/run/up";
    });
    return $self;
}

# Run a script there, with these variables and at most for that long; its output.
sub in {
    my ($self, $network, $limit, $script, @environment) = @_;
    my @enter = ('nsenter', '--target', $self->{pid}, ($network ? "--net=$network" : ()), qw(--mount --pid --root --wd));
    my @clean = (qw(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive HOME=/root), @environment);
    open my $out, '-|', 'timeout', $limit, @enter, @clean, qw(sh -ec), "exec 2>&1 < /dev/null\ncd /srv/childhurd\n$script" or die "nsenter: $!\n";
    local $/;
    my $text = <$out> // '';
    close $out;
    $self->{status} = $? & 127 ? -1 : $? >> 8;
    return $text;
}

sub run { my ($self, $script, @environment) = @_; return $self->in('', '60m', $script, @environment) }

# The same with the network. The script has `fetched`, which is apt-get with what it fetches kept.
sub fetch {
    my ($self, $script) = @_;
    my $mirror = '$(apt-get indextargets --format \'$(REPO_URI)\' \'Created-By: Packages\' | head -n 1)';
    return $self->in($ENV{CHILDHURD_NETWORK} // '', '30m', "${APT}export CHILDHURD_MIRROR=$mirror\n$script");
}

sub leave {
    my ($self) = @_;
    return unless $self->{holder};
    kill 'KILL', $self->{pid} // $self->{holder};
    waitpid delete $self->{holder}, 0;
    remove_tree("$self->{dir}/$self->{suite}") unless $ENV{CHILDHURD_KEEP};
}

# Safe to call twice. A test that removes the work folder at its end calls it first.
sub leave_all { $_->leave for @releases }

END {
    my $status = $?;
    leave_all();
    $? = $status;
}

1;
