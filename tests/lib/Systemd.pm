# SPDX-License-Identifier: GPL-3.0-or-later
# A machine with a real systemd for a test: booted as process 1 of namespaces of its own, over the cached folder systemd-root.
#
#   my $m = Systemd->new(dir => $dir, files => { '/var/lib/image' => '/path/outside' })->boot;
#   $m->install;                                      # the files of `make install`, accounts and folders
#   $m->run('systemctl', 'start', 'childhurdd');      # its output; $m->{status} is its exit status
#   $m->journal('-u', 'childhurdd')
#   open my $f, '>', "$m->{root}/etc/childhurd/childhurd.ini"
#
# The root is an overlay written to memory only; /proc/sys and /sys are read-only, and of the host's devices only /dev/kvm is
# there. The network is the test's. All control groups are below one that the test makes and removes. Even if the host also has
# the old hierarchies, this machine has only the new one, as a Debian has. All of it ends with the first process, and that one
# dies with the test.
package Systemd;
use strict;
use warnings;
use Childhurd;
use Cwd qw(abs_path);
use Guide;
use POSIX qw(:sys_wait_h);
use Test::More ();

my @machines;

# Capabilities over things outside the namespaces.
my $NOT_ITS_BUSINESS = '-sys_module,-sys_time,-sys_rawio,-syslog';

# The script of the namespaces' first process until it becomes systemd. Arguments: the lower folder, a work folder, then pairs of
# a file outside and its place inside.
my $SETUP = <<'SH';
set -eu
lower=$1 dir=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs "$dir"
cd "$dir"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" root
while [ $# -gt 0 ]; do
	mkdir -p "root${2%/*}"
	: > "root$2"
	mount --bind "$1" "root$2"
	shift 2
done
cd root
mount -t proc -o nosuid,nodev,noexec proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid tmpfs dev
mkdir dev/pts dev/shm
for node in null zero full random urandom tty kvm; do
	[ ! -c "/dev/$node" ] || mknod -m 666 "dev/$node" c $((0x$(stat -c %t /dev/$node))) $((0x$(stat -c %T /dev/$node)))
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755,nosuid tmpfs run
pivot_root . mnt
umount -l /mnt
mount --make-rshared /
exec env -i container=childhurd-test PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 /lib/systemd/systemd
SH

# options: dir (the test's folder), name (of this machine's folder in it), files (place inside => file outside), lower (a root
# instead of systemd-root).
sub new {
    my ($class, %o) = @_;
    Childhurd::cannot('a machine with systemd takes root') if $> != 0;
    my $self = bless { name => 'machine', files => {}, %o }, $class;
    $self->{dir} = abs_path($self->{dir});
    push @machines, $self;
    return $self;
}

# --- its control group, below the root of the new hierarchy

sub find_cgroups {
    for (split /\n/, Childhurd::slurp('/proc/self/mountinfo')) {
        return $1 if m{^\S+ \S+ \S+ / (/\S+) .* - cgroup2 };
    }
    Childhurd::cannot('this host has no cgroup2 file system mounted, which systemd needs');
}

sub make_cgroup {
    my ($self) = @_;
    my $top = find_cgroups();
    # Left by tests that were killed.
    /-(\d+)$/ && !kill(0, $1) && remove_cgroup($_) for glob "$top/childhurd-test-*";
    $self->{cgroup} = "$top/childhurd-test-$self->{name}-$$";
    mkdir $self->{cgroup} or die "$self->{cgroup}: $!\n";
}

sub remove_cgroup {
    my ($path) = @_;
    remove_cgroup($_) for grep { -d } glob "$path/*";
    rmdir $path;
}

# --- its life

sub enter_cgroup {
    my ($cgroup) = @_;
    open my $procs, '>', "$cgroup/cgroup.procs" or POSIX::_exit(127);
    syswrite $procs, $$ or POSIX::_exit(127);
    close $procs;
}

# Start it and wait until systemd has finished the boot.
sub boot {
    my ($self) = @_;
    my $lower = $self->{lower} // Childhurd::need_image('systemd-root');
    my $work  = "$self->{dir}/$self->{name}";
    mkdir $work;
    $self->make_cgroup;
    $self->{log}    = "$self->{dir}/$self->{name}.log";
    $self->{holder} = Childhurd::spawn_to($self->{log}, sub { enter_cgroup($self->{cgroup}) }, qw(setpriv --pdeathsig KILL --bounding-set), $NOT_ITS_BUSINESS,
        qw(unshare --mount --pid --uts --ipc --cgroup --fork --kill-child --propagation private sh -c), $SETUP, 'sh', $lower, $work, reverse %{ $self->{files} });
    Childhurd::limited(20, 'systemd runs', sub {
        die "the machine ended at once:\n" . Childhurd::slurp($self->{log}) if waitpid($self->{holder}, WNOHANG) == $self->{holder};
        ($self->{pid}) = split ' ', Childhurd::slurp("/proc/$self->{holder}/task/$self->{holder}/children");
        $self->{pid} && -S "/proc/$self->{pid}/root/run/systemd/private";
    });
    $self->{root}      = "/proc/$self->{pid}/root";
    $self->{namespace} = readlink "/proc/$self->{pid}/ns/pid";
    my $state = $self->run('systemctl', 'is-system-running', '--wait');
    # The work of udev, which is missing here.
    $self->must('sh', '-c', 'groupadd --system --force kvm && [ ! -e /dev/kvm ] || { chgrp kvm /dev/kvm && chmod 660 /dev/kvm; }');
    die "systemd says $state", $self->run('systemctl', '--failed'), $self->journal if $state !~ /^running$/m;
    return $self;
}

# Run a command in the machine, for 3 minutes at most; returns stdout and stderr. $self->{status}: the exit status, -1 if a
# signal ended it.
sub run {
    my ($self, @command) = @_;
    my @enter = ('nsenter', '--target', $self->{pid}, qw(--mount --uts --ipc --pid --cgroup --root --wd));
    my $pid   = open my $out, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN,  '<',  '/dev/null';
        exec 'timeout', 180, @enter, qw(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8), @command
          or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    $self->{status} = $? & 127 ? -1 : $? >> 8;
    return $text;
}

# The same; dies with the command's output if it fails.
sub must {
    my ($self, @command) = @_;
    my $text = $self->run(@command);
    die "@command: $text" if $self->{status};
    return $text;
}

# The journal, by these options of journalctl.
sub journal {
    my ($self, @options) = @_;
    $self->run('journalctl', '--sync');
    return $self->run('journalctl', '--no-pager', @options);
}

# Write a file in the machine, and make its folders.
sub write {
    my ($self, $path, $text) = @_;
    my ($folder) = $path =~ m{^(.*)/};
    $self->must('mkdir', '-p', $folder);
    open my $f, '>', "$self->{root}$path" or die "$path: $!";
    print $f $text;
    close $f or die "$path: $!";
}

# Install from the sources, as in docs/guide.md.
sub install {
    my ($self) = @_;
    Childhurd::make(split(' '), "DESTDIR=$self->{root}") for map { /^make(.*)$/mg } Guide::commands('sources');
    $self->must('sh', '-ec', $_) for Guide::commands('sources-systemd');
    return $self;
}

# Wait for a condition, at most limit seconds; a failure shows the journal's last lines.
sub wait_until {
    my ($self, $limit, $what, $condition) = @_;
    my $value = eval { Childhurd::limited($limit, $what, $condition) };
    Test::More::diag($@, $self->journal('-n', 30)) unless $value;
    return $value;
}

# The pids, as seen from outside, of its processes whose name (/proc/PID/comm) matches the pattern.
sub pids {
    my ($self, $comm) = @_;
    my $namespace = $self->{namespace};
    my @pids;
    for my $path (glob '/proc/[0-9]*') {
        next unless (readlink "$path/ns/pid" // '') eq $namespace && Childhurd::slurp("$path/comm") =~ $comm;
        push @pids, $path =~ /(\d+)$/;
    }
    return sort { $a <=> $b } @pids;
}

# Pull the plug: nothing of it is left. Safe to call twice.
sub stop {
    my ($self) = @_;
    # The first process takes all others of its namespace along, and then the holder ends.
    kill 'KILL', delete $self->{pid} // $self->{holder} if $self->{holder};
    waitpid delete $self->{holder}, 0 if $self->{holder};
    return unless $self->{cgroup};
    eval { Childhurd::limited(10, "no process in $self->{cgroup}", sub { Childhurd::slurp("$self->{cgroup}/cgroup.events") =~ /^populated 0$/m }) }
      or Test::More::diag($@);
    remove_cgroup(delete $self->{cgroup});
}

END {
    my $status = $?;
    $_->stop for @machines;
    $? = $status;
}

1;
