# SPDX-License-Identifier: GPL-3.0-or-later
# A private build coordinator for a test: the real Guix with a store and a build daemon of its own, in a root of its own.
#
#   my $g = Guix->new(dir => $dir, runtime => "$dir/run")->start;
#   my $d = Childhurd->new(dir => $dir, runtime => "$dir/run", daemon => $g->daemon_keys, guests => ...)->start;
#   $g->run(60, 'guix', 'offload', 'test');           # its output; $g->{status} is its exit status
#   my $job = $g->build('name', 'shell command');     # in the background
#   $g->finish($job, 60);                             # the same
#
# The root is an overlay on the cached folder guix-root, written to memory only, in a mount and a process namespace. All of it
# ends with the one process that holds them, and that one dies with the test. The network is the host's, because the guests'
# ports are on its loopback. The test's folder has its own path, so that the paths in machines.scm hold. The folders of Guix that
# childhurdd reads are outside, DIR/NAME.etc and DIR/NAME.var, for any user's daemon: the same files, and so the same locks.
package Guix;
use strict;
use warnings;
use Cwd qw(abs_path);
use Childhurd;
use File::Copy qw(copy);
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(sleep time);

my @coordinators;

# The script of the namespaces' first process, which then stays to reap orphans.
my $SETUP = <<'SH';
set -eu
lower=$1 dir=$2 name=$3 host=$4
mount -t tmpfs -o mode=755 tmpfs "$dir/$name"
cd "$dir/$name"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" root
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
mkdir -p "root$dir"
mount --bind "$dir" "root$dir"
mount --bind "$dir/$name.etc" root/etc/guix
mount --bind "$dir/$name.var" root/var/guix
if [ -n "$host" ]; then
	mkdir root/host
	mount --rbind / root/host
	mount -t proc proc root/host/proc
fi
# Its own mark: /run/up may be the host's, too, which a chroot of the release's tests is.
exec chroot root /bin/sh -c ': > /run/coordinator; sleep infinity & wait'
SH

# options: dir (the test's folder), runtime (where childhurdd publishes), user (of the build daemon, a name that exists here and
# in the root; default root), name (of its folder in dir), network (a file of a network namespace; default: this one).
sub new {
    my ($class, %o) = @_;
    my $self = bless { user => 'root', name => 'coordinator', %o }, $class;
    $self->{dir} = abs_path($self->{dir});
    push @coordinators, $self;
    return $self;
}

# Only the root, without a build daemon.
sub enter {
    my ($self) = @_;
    my $lower = Childhurd::need_image('guix-root');
    mkdir "$self->{dir}/$self->{name}";
    $self->{etc} = "$self->{dir}/$self->{name}.etc";
    $self->{var} = "$self->{dir}/$self->{name}.var";
    system('cp', '-a', "$lower/etc/guix", $self->{etc}) == 0 && system('cp', '-a', "$lower/var/guix", $self->{var}) == 0
        or die "Guix' folders cannot be copied\n";
    $self->{log}    = "$self->{dir}/$self->{name}.log";
    $self->{holder} = spawn($self->{log}, qw(setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --propagation
        private sh -c), $SETUP, 'sh', $lower, $self->{dir}, $self->{name}, $self->{host} // '');
    Childhurd::limited(10, 'the coordinator\'s root', sub {
        die Childhurd::slurp($self->{log}) if waitpid($self->{holder}, WNOHANG) == $self->{holder};
        ($self->{pid}) = split ' ', Childhurd::slurp("/proc/$self->{holder}/task/$self->{holder}/children");
        $self->{pid} && -e "/proc/$self->{pid}/root/run/coordinator";
    });
    $self->{root} = "/proc/$self->{pid}/root";
    return $self;
}

sub start {
    my ($self) = @_;
    $self->enter;
    mkdir "$self->{dir}/probe-bin";
    copy("$self->{root}/bin/busybox", "$self->{dir}/probe-bin/sh") or die "busybox: $!";
    chmod 0755, "$self->{dir}/probe-bin/sh";
    my ($uid, $gid) = (getpwnam $self->{user})[2, 3];
    $self->run(60, 'chown', '-R', "$uid:$gid", qw(/gnu/store /var/guix /var/log/guix /etc/guix));
    $self->run(60, qw(guix archive --generate-key)); # belongs to the store's owner
    die "no signing key: $self->{output}" if $self->{status};
    Childhurd::spew("$self->{etc}/machines.scm", <<"SCM");
(append (if (file-exists? "$self->{runtime}/machines.scm") (primitive-load "$self->{runtime}/machines.scm") '()) (list))
SCM
    $self->start_daemon;
    return $self;
}

# No builds run here, so there are no build users and no chroot. Another user gets the rights of Debian's unit.
sub start_daemon {
    my ($self) = @_;
    my ($uid, $gid) = (getpwnam $self->{user})[2, 3];
    my @as = $uid ? ('setpriv', "--reuid=$uid", "--regid=$gid", qw(--clear-groups --inh-caps +chown --ambient-caps +chown)) : ();
    my $socket = "$self->{var}/daemon-socket/socket";
    $self->begin_to("$self->{dir}/$self->{name}.guix-daemon", @as, qw(guix-daemon --disable-chroot --no-substitutes));
    Childhurd::limited(20, 'the coordinator\'s guix-daemon', sub { -S $socket });
}

# Lines of [daemon] for the childhurdd that works for this coordinator.
sub daemon_keys {
    my ($self) = @_;
    return "guix-configuration-directory = $self->{etc}\nguix-state-directory = $self->{var}\n" .
        "coordinator-user = $self->{user}\n";
}

# Start argv in the root; returns the job.
sub begin { my ($self, @argv) = @_; return $self->begin_to("$self->{dir}/$self->{name}.job" . ++$self->{jobs}, @argv) }

# The same, with its output in the file out.
sub begin_to {
    my ($self, $out, @argv) = @_;
    my @network = $self->{network} ? "--net=$self->{network}" : ();
    my $pid = spawn($out, 'nsenter', '--target', $self->{pid}, @network, qw(--mount --pid --root --wd env -i), 'HOME=/root', 'TERM=dumb',
        'LC_ALL=C.UTF-8', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', @{ $self->{environment} // [] }, @argv);
    return { pid => $pid, out => $out, start => time };
}

# Has the job ended?
sub over {
    my ($self, $job) = @_;
    if (!defined $job->{status} && waitpid($job->{pid}, WNOHANG) == $job->{pid}) {
        $job->{status} = $? & 127 ? 128 + ($? & 127) : $? >> 8;
        $job->{time}   = time - $job->{start};
    }
    return defined $job->{status};
}

# Its output so far.
sub said { my ($self, $job) = @_; return Childhurd::slurp($job->{out}) }

# Wait for its end, at most limit seconds; returns its output, with the exit status in status (255: it was too slow).
sub finish {
    my ($self, $job, $limit) = @_;
    my $until = time + $limit;
    sleep 0.05 until $self->over($job) || time > $until;
    $self->{status} = $job->{status} // 255;
    $self->{output} = $self->said($job);
    Test::More::diag("not ended within $limit s:\n$self->{output}") unless defined $job->{status};
    return $self->{output};
}

# Kill the processes of begin (the job itself is nsenter, outside).
sub kill_job {
    my ($self, $job) = @_;
    kill 'KILL', split ' ', Childhurd::slurp("/proc/$job->{pid}/task/$job->{pid}/children");
}

sub run {
    my ($self, $limit, @argv) = @_;
    return $self->finish($self->begin('timeout', '-k', '5', $limit, @argv), $limit + 10);
}

# A file for `guix build -f`: a derivation that needs only a busybox, its builder, so that nothing has to be built or fetched
# first. Its output is the command's $out, after the lines "built NAME" and the machine.
sub probe {
    my ($self, $name, $command) = @_;
    my $file = "$self->{dir}/$name.scm";
    my $text = 'read -r boot < /proc/sys/kernel/random/boot_id; echo at work in $boot; ' .
        "set -e; echo built $name > \$out; uname -m >> \$out; " . ($command // ':');
    s/([\\"])/\\$1/g for $text;
    # The builder must be DIR/sh: the daemon calls it by its base name, and busybox has no command HASH-busybox.
    Childhurd::spew($file, <<"SCM");
(use-modules (guix gexp) (guix store) (guix monads) (guix derivations) (srfi srfi-9))
(define-record-type <probe> (make-probe) probe?)
(define-gexp-compiler (probe-compiler (p <probe>) system target)
  (mlet %store-monad ((bin (interned-file "$self->{dir}/probe-bin" "probe-bin" #:recursive? #t)))
    (raw-derivation "$name" (string-append bin "/sh") (list "-c" "$text")
                    #:sources (list bin) #:system system #:env-vars `(("PATH" . ,bin)))))
(make-probe)
SCM
    return $file;
}

# Begin `guix build -s i586-gnu` of such a derivation; the options are Guix'.
sub build {
    my ($self, $name, $command, @options) = @_;
    return $self->begin(qw(guix build -s i586-gnu), @options, '-f', $self->probe($name, $command));
}

# The machine that builds it: its kernel's boot id once the build has begun there, '' before. Guix' messages about slots do not
# show that: it takes all free ones, and gives back those that it does not use.
sub boot_id { my ($self, $job) = @_; return $self->said($job) =~ /^at work in (\S+)$/m ? $1 : '' }

# The output of a finished build.
sub built {
    my ($self, $job) = @_;
    my ($path) = $self->said($job) =~ m{^(/gnu/store/\S+)$}m or return '';
    return Childhurd::slurp("$self->{root}$path");
}

sub stop {
    my ($self) = @_;
    return unless $self->{holder};
    kill 'KILL', $self->{holder};
    waitpid $self->{holder}, 0;
    delete $self->{holder};
}

sub spawn { my ($out, @argv) = @_; return Childhurd::spawn_to($out, sub { }, @argv) }

END {
    my $status = $?;
    $_->stop for @coordinators;
    $? = $status;
}

1;
