# SPDX-License-Identifier: GPL-3.0-or-later
# A private childhurdd for a test, with its own folders and ports. It and its guests end with the test.
#
#   my $d = Childhurd->new(guests => "[guest a]\nimage = ...\n");
#   $d->start;                      # waits until the control socket answers
#   $d->ctl('list')                 # output of childhurdctl; $d->{status} is its exit status
#   $d->wait_until(30, 'a is ready', sub { $d->state('a') eq 'ready' });
package Childhurd;
use strict;
use warnings;
use Cwd qw(abs_path);
use Fcntl qw(:DEFAULT F_SETLK F_WRLCK SEEK_SET);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX qw(:signal_h :sys_wait_h setsid);
use Test::More ();
use Time::HiRes qw(sleep time);

our $BUILD = $ENV{CHILDHURD_BUILD} || abs_path('build');
my @daemons;

# A signal lets END end the daemons and their guests, and a second one does not end that. What this process has forked dies of it.
my @SIGNALS = qw(HUP INT TERM);
my $test    = $$;
my $at_signal = sub {
    POSIX::_exit(130) if $$ != $test;
    @SIG{@SIGNALS} = ('IGNORE') x @SIGNALS;
    exit 130;
};
for (@SIGNALS) { $SIG{$_} = $at_signal if ($SIG{$_} // 'DEFAULT') eq 'DEFAULT' }

# A number n such that the SSH and secrets ports of guests with ids n .. n+count-1 are free. They are below the ports that the
# system gives to connections (ip(7), ip_local_port_range), because one of ours could have a guest's port for a moment.
sub free_id {
    my ($count) = @_;
    for my $try (1 .. 200) {
        my $id = 1 + int rand(22 - $count);
        return $id unless grep { !port_free($_) } map { (10022 + 1000 * $_, 11004 + 1000 * $_) } $id .. $id + $count - 1;
    }
    die "no free ports\n";
}

sub port_free {
    my ($port) = @_;
    return defined IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1);
}

# Takes a slot as `guix offload` does (guix/scripts/offload.scm, acquire-build-slot), in a process of its own. machine:
# its folder. Gives a build for give_back, or nothing when the slot is taken.
sub take_slot {
    my ($machine, $slot) = @_;
    pipe my $up, my $say or die;
    pipe my $until, my $end or die;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $_ for $up, $end;
        mkdir $machine =~ s{/[^/]*$}{}r;
        mkdir $machine;
        sysopen my $file, "$machine/$slot", O_WRONLY | O_CREAT | O_TRUNC or POSIX::_exit(1);
        my $lock = pack 's s x4 q q i x4', F_WRLCK, SEEK_SET, 0, 0, 0;
        syswrite $say, fcntl($file, F_SETLK, $lock) ? 'y' : 'n';
        sysread $until, my $byte, 1;
        POSIX::_exit(0);
    }
    close $_ for $say, $until;
    sysread $up, my $answer, 1;
    return { pid => $pid, end => $end } if $answer eq 'y';
    close $end;
    waitpid $pid, 0;
    return;
}

sub give_back { my ($build) = @_; close $build->{end}; waitpid $build->{pid}, 0 }

# A port of the loopback that nobody has.
sub free_port { return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport }

# The path of a test guest; dies with the recipe's words if it cannot be made. If Debian's sid lacks a package for it, $lacking
# has the words.
our $lacking;

sub guest_image {
    my ($kind) = @_;
    my $outside = $ENV{CHILDHURD_NETWORK} ? "nsenter --net=$ENV{CHILDHURD_NETWORK}" : '';
    my ($path, $words) = ('', '');
    open my $make, '-|', "$outside tests/guests/make $kind 2>&1" or die "tests/guests/make: $!\n";
    while (my $line = <$make>) {
        if ($line =~ m{^/}) { chomp($path = $line) }
        else                { print STDERR $line; $words = $1 if $line =~ /^guest \S+: (?!not made)(.*)/ }
    }
    close $make;
    return $path if $? == 0;
    $lacking = $? >> 8 == 3 ? "no guest $kind: $words" : undef;
    die "the test guest $kind cannot be made: $words\n";
}

# Run the test on a system with these users, name => [further groups], without changing the host. Each has a group of the
# same name, no home and no password.
sub own_users {
    my (%users) = @_;
    return if $ENV{CHILDHURD_OWN_USERS};
    cannot('users of its own take root') if $> != 0;
    my $dir = tempdir('/tmp/childhurd-test-XXXXXX');
    my ($id, $passwd, $group, %members) = (64100, slurp('/etc/passwd'), slurp('/etc/group'));
    my $names = join '|', map { quotemeta } keys %users, map { @$_ } values %users;
    s/^(?:$names):.*\n//mg for $passwd, $group;
    for my $user (sort keys %users) {
        $id++;
        $passwd .= "$user:x:${id}:${id}::/nonexistent:/usr/sbin/nologin\n";
        $group  .= "$user:x:$id:" . join(',', sort grep { grep { $_ eq $user } @{ $users{$_} } } keys %users) . "\n";
        push @{ $members{$_} }, $user for grep { !$users{$_} } @{ $users{$user} };
    }
    $group .= "$_:x:" . ++$id . ':' . join(',', @{ $members{$_} }) . "\n" for sort keys %members;
    my %file = (passwd => $passwd, group => $group, 'resolv.conf' => "nameserver 127.0.0.1\n");
    for my $name (keys %file) {
        open my $f, '>', "$dir/$name" or die "$dir/$name: $!";
        print $f $file{$name};
        close $f;
    }
    my $mounts = join '; ', map { "mount --bind $dir/$_ /etc/$_" } sort keys %file;
    # KVM is for the group kvm, as on a usual host.
    $mounts .= "; mknod -m 660 $dir/kvm c 10 232; chgrp kvm $dir/kvm; mount --bind $dir/kvm /dev/kvm"
      if -c '/dev/kvm' && $group =~ /^kvm:/m;
    local $ENV{CHILDHURD_OWN_USERS} = 1;
    exec 'unshare', '--mount', '--propagation', 'private', 'sh', '-ec', "$mounts; rm -r $dir; exec \"\$@\"", 'sh', $^X,
      (map { "-I$_" } @INC), $0, @ARGV;
    die "unshare: $!";
}

# Something that a test needs is missing: a failure, not a skipped test.
sub cannot {
    my ($why) = @_;
    Test::More::fail($why);
    Test::More::done_testing();
    exit 1;
}

# If sid lacks a package, the rest of the test is skipped, and the end of all tests reports that.
sub need_image {
    my ($kind) = @_;
    my $path = optional_image($kind);
    return $path if $path;
    my $builder = Test::More->builder;
    $builder->plan(skip_all => $lacking) unless $builder->current_test;
    $builder->skip($lacking);
    Test::More::done_testing();
    exit 0;
}

# The path, or undef if sid lacks something; $lacking has the reason.
sub optional_image {
    my ($kind) = @_;
    my $path = eval { guest_image($kind) };
    cannot("the $kind guest: $@") unless $path || $lacking;
    return $path;
}

# Run make as a person does: the ordinary build, whichever make runs the tests, one job at a time. Dies with its output.
sub make {
    my (@arguments) = @_;
    local @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};
    open my $make, '-|', qw(sh -c), 'exec flock Makefile make --silent "$@" 2>&1', 'sh', 'B=build', @arguments or die "make: $!\n";
    local $/;
    my $text = <$make> // '';
    close $make or die "make @arguments: $text";
    return $text;
}

# options: warm (with warm states; without it each start boots, which is what most tests are about, on a q35, whose disk an emulated
# processor reads with less work), default_machine (boots on the one that follows from the image, else a pc), program (childhurdd, if it
# is another one), guests (text of the configuration), daemon (text of [daemon]), user (run as that uid), emulator flags, environment.
sub new {
    my ($class, %o) = @_;
    my $self = bless {%o}, $class;
    $self->{dir} = $o{dir} || tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
    chmod 0755, $self->{dir};
    $self->{state}   ||= "$self->{dir}/state";
    $self->{runtime} ||= "$self->{dir}/run";
    $self->{file}    ||= "$self->{dir}/childhurd.ini";
    if (!$o{warm}) {
        mkdir "$self->{dir}/conf.d";
        open my $f, '>', "$self->{dir}/conf.d/boots.ini" or die "$self->{dir}/conf.d: $!";
        print $f "[defaults]\nwarm-start = no\n", $o{default_machine} ? '' : "machine = q35\n";
    }
    $self->configure($o{guests} // '');
    push @daemons, $self;
    return $self;
}

# The daemon will run as this user. It runs a copy of the program, because that user may not reach the build folder.
sub run_as {
    my ($self, $user) = @_;
    mkdir "$self->{dir}/bin";
    $self->{program} = "$self->{dir}/bin/childhurdd";
    copy("$BUILD/childhurdd", $self->{program}) or die "$self->{program}: $!";
    chmod 0755, $self->{program};
    $self->{wrap} = [ 'setpriv', "--reuid=$user", "--regid=$user", '--init-groups' ];
    return $self;
}

sub configure {
    my ($self, $guests) = @_;
    open my $f, '>', $self->{file} or die "$self->{file}: $!";
    print $f "[daemon]\n";
    print $f "state-directory = $self->{state}\nruntime-directory = $self->{runtime}\n" unless $self->{defaults};
    my $daemon = $self->{daemon} // '';
    # Keep this host's own Guix out of it.
    for (qw(configuration state)) {
        print $f "guix-$_-directory = $self->{dir}/no-guix\n" unless $self->{defaults} || $daemon =~ /^guix-$_-directory/m;
    }
    print $f "$daemon\n$guests\n";
    close $f;
}

# Run argv in a child with the test's environment, as the test's user; returns its pid.
sub spawn {
    my ($self, $out, @argv) = @_;
    return spawn_to($out, sub {
        my %env = %{ $self->{environment} // {} };
        @ENV{ keys %env } = values %env;
        delete $ENV{NOTIFY_SOCKET};
        if ($self->{uid}) {
            $) = "$self->{gid} $self->{gid}";
            $( = $self->{gid};
            $< = $> = $self->{uid};
        }
    }, @argv);
}

# Run argv in a session of its own, with its output appended to the file out; returns its pid. The child first calls prepare. A signal
# that comes before it is argv's is not taken by a handler of the test's.
sub spawn_to {
    my ($out, $prepare, @argv) = @_;
    my $before = POSIX::SigSet->new;
    sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGHUP, SIGINT, SIGTERM), $before);
    my $pid = fork;
    @SIG{@SIGNALS} = ('DEFAULT') x @SIGNALS if defined $pid && !$pid;
    sigprocmask(SIG_SETMASK, $before);
    die "fork: $!" if !defined $pid;
    return $pid if $pid;
    open STDIN,  '<',  '/dev/null';
    open STDOUT, '>>', $out or POSIX::_exit(126);
    open STDERR, '>&', \*STDOUT;
    setsid();
    $prepare->();
    exec { $argv[0] } @argv or POSIX::_exit(127);
}

# How many times longer things take here than on an idle machine: the largest of the slowest boot of a guest so far, the
# current load of the processors, and CHILDHURD_SLOWNESS.
use constant BOOT => 8;    # seconds from QEMU's start until a guest is ready, on two idle cores without KVM

sub slowness {
    my ($load) = split ' ', slurp('/proc/loadavg');
    my $processors = () = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
    my ($slowness) = sort { $b <=> $a } 1, $ENV{CHILDHURD_SLOWNESS} || 0, ($load || 0) / ($processors || 1),
      (slurp("$BUILD/slowest-boot") || 0) / BOOT;
    return $slowness;
}

# That many seconds of an idle machine, on this one, as a whole number. Use it for a limit that a test waits out. A limit for
# what should not happen is twice that, as the load may rise.
sub seconds { my ($idle) = @_; return int($idle * slowness() + 0.999) }

# The durations of the guests' boots, for all tests that follow.
sub note_boots {
    my ($self) = @_;
    my ($slowest) = sort { $b <=> $a } slurp("$self->{dir}/log") =~ /: ready: ([\d.]+) s after QEMU's start/g or return;
    return if $slowest <= (slurp("$BUILD/slowest-boot") || 0);
    open my $f, '>', "$BUILD/slowest-boot.$$" or return;
    print $f "$slowest\n";
    close $f;
    rename "$BUILD/slowest-boot.$$", "$BUILD/slowest-boot";
}

# A command for a guest's shell, after which it sends no flushes to its disks, like the Hurd's IDE driver.
sub without_flushes {
    return 'mount -o remount,barrier=0 /; for q in /sys/block/sd?/queue/write_cache; do echo write through > $q; done';
}

# The path of an emulator that gives every disk QEMU's default write-back cache.
sub write_back_emulator {
    my ($folder) = @_;
    my $path = "$folder/qemu-write-back";
    open my $f, '>', $path or die "$path: $!\n";
    print $f qq(#!/bin/bash\nexec qemu-system-x86_64 "\${@//\\"write-cache\\":\\"off\\"/\\"write-cache\\":\\"on\\"}"\n);
    close $f or die "$path: $!\n";
    chmod 0755, $path;
    return $path;
}

# Wait for a condition, at most limit seconds of an idle machine, and return its value; dies with its description. The longer it
# takes, the less often it looks: what a guest does takes seconds, and it wants the processor.
sub limited {
    my ($limit, $what, $condition) = @_;
    my $begun = time;
    while (1) {
        my $value = $condition->();
        return $value if $value;
        my $passed = time - $begun;
        die sprintf("not within %d s: %s\n", $passed, $what) if $passed > 2 * $limit && $passed > 2 * seconds($limit);
        my $pause = $passed / 20;
        sleep($pause < 0.02 ? 0.02 : $pause > 0.4 ? 0.4 : $pause);
    }
}

# Start the daemon, and do not wait for it.
sub launch {
    my ($self, @options) = @_;
    $self->{log} = "$self->{dir}/log";
    $self->{pid} = $self->spawn($self->{log}, @{ $self->{wrap} // [] }, $self->{program} // "$BUILD/childhurdd", '--config', $self->{file}, @options);
    return $self;
}

sub start {
    my ($self, @options) = @_;
    $self->launch(@options);
    $self->wait_until(60, 'the control socket answers', sub {
        die "childhurdd ended at once:\n" . $self->log if waitpid($self->{pid}, WNOHANG) == $self->{pid};
        $self->ctl('list');
        $self->{status} == 0;
    });
    return $self;
}

# Send a signal and wait for the end; returns the wait status.
sub end {
    my ($self, $signal, $limit) = @_;
    kill $signal || 'TERM', $self->{pid};
    my $ended = eval { limited($limit || 20, 'childhurdd ends', sub { waitpid($self->{pid}, WNOHANG) == $self->{pid} }) };
    die "childhurdd does not end\n" . $self->log unless $ended;
    delete $self->{pid};
    return $?;
}

sub log { my ($self) = @_; return slurp($self->{log}) }

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    local $/;
    return scalar <$f> // '';
}

# Write a file; its folder is made, too.
sub spew {
    my ($path, $text, $mode) = @_;
    make_path($path =~ s{[^/]*$}{}r || '.');
    open my $f, '>', $path or die "$path: $!\n";
    print $f $text;
    close $f or die "$path: $!\n";
    chmod $mode, $path if defined $mode;
}

# childhurdctl with these arguments; returns stdout and stderr, with the exit status in $self->{status}. A --timeout of a minute
# or more should not pass, and is that of an idle machine.
sub ctl {
    my ($self, @arguments) = @_;
    for my $i (1 .. $#arguments) {
        next unless $arguments[ $i - 1 ] eq '--timeout' && $arguments[$i] =~ /^(\d+)s$/ && $1 >= 60;
        $arguments[$i] = 2 * seconds($1) . 's';
    }
    my $out = "$self->{dir}/ctl.$$";
    unlink $out;
    my $pid = $self->spawn($out, "$BUILD/childhurdctl", '--socket', "$self->{runtime}/control", @arguments);
    waitpid $pid, 0;
    $self->{status} = $? >> 8;
    my $text = slurp($out);
    unlink $out;
    return $text;
}

# A childhurdctl that works on while the test does something else; returns its pid.
sub ctl_begins {
    my ($self, @arguments) = @_;
    my $pid = $self->spawn('/dev/null', "$BUILD/childhurdctl", '--socket', "$self->{runtime}/control", @arguments);
    push @{ $self->{working} }, $pid;
    return $pid;
}

# Wait for all of them; their pids and how they ended.
sub ctls_end {
    my ($self) = @_;
    return map { waitpid($_, 0); ($_ => $?) } splice @{ $self->{working} //= [] };
}

# The parameters of the reply to a call of the control socket, without a childhurdctl; nothing, if there is none or an error.
sub call {
    my ($self, $method, $parameters) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $socket = IO::Socket::UNIX->new(Peer => "$self->{runtime}/control") or return;
    syswrite $socket, encode_json({ method => "org.childhurd.$method", parameters => $parameters }) . "\0" or return;
    my ($answer, $readable, $until) = ('', '', time + 60);
    vec($readable, fileno $socket, 1) = 1;
    while ($answer !~ /\0/) {
        return if time >= $until || select(my $ready = $readable, undef, undef, $until - time) <= 0;
        sysread $socket, $answer, 65536, length $answer or return;
    }
    my $reply = decode_json($answer =~ s/\0.*//sr);
    return $reply->{error} ? () : $reply->{parameters};
}

# name => what `list` has.
sub guests {
    my ($self) = @_;
    my ($reply) = $self->call('List', {});
    return { map { $_->{name} => $_ } @{ $reply->{guests} // [] } };
}

sub state { my ($self, $name) = @_; return ($self->guests->{$name} // {})->{state} // '?' }

# QEMU's pid; 0: none.
sub qemu {
    my ($self, $name) = @_;
    my ($reply) = $self->call('Status', { names => [$name] });
    return $reply ? $reply->{guests}[0]{pid} // 0 : 0;
}

sub machines { my ($self) = @_; return slurp("$self->{runtime}/machines.scm") }

# Wait for a condition, at most limit seconds; a failure shows the daemon's last words.
sub wait_until {
    my ($self, $limit, $what, $condition) = @_;
    my $value = eval { limited($limit, $what, $condition) };
    return $value if $value;
    my @last = split /\n/, $self->log;
    splice @last, 0, @last - 25 if @last > 25;
    Test::More::diag($@, join "\n", @last);
    return 0;
}

# A test: the log has it, or will within limit seconds. An event is logged once its change is published.
sub said {
    my ($self, $words, $name, $limit) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::ok($self->wait_until($limit // 30, "$words in the log", sub { $self->log =~ $words }), $name);
}

# ssh by the published configuration; output, and the exit status in $self->{status}.
sub ssh {
    my ($self, $host, @command) = @_;
    my $out = "$self->{dir}/ssh.$$";
    unlink $out;
    my $pid = $self->spawn($out, 'ssh', '-n', '-F', "$self->{runtime}/ssh_config", '-o', 'BatchMode=yes',
        @{ $self->{ssh_options} // [] }, '-o', 'ConnectTimeout=30', $host, @command);
    waitpid $pid, 0;
    $self->{status} = $? >> 8;
    my $text = slurp($out);
    unlink $out;
    return $text;
}

# All QEMUs that run from this test's state directory.
sub all_qemus {
    my ($self) = @_;
    my @pids;
    for my $path (glob '/proc/[0-9]*/cmdline') {
        my $line = slurp($path);
        # For a state directory with an odd name libvirt uses a link in the runtime directory.
        push @pids, $path =~ m{/proc/(\d+)/} if $line =~ /^[^\0]*qemu-system/ && grep { index($line, "$_/") >= 0 } $self->{state}, $self->{runtime};
    }
    return @pids;
}

# Ends daemons and their guests, and only then removes their folders: one's may be in another's.
sub clean {
    my (@those) = @_;
    for my $self (@those) {
        kill 'KILL', $self->{pid} if $self->{pid};
        waitpid $self->{pid}, 0 if $self->{pid};
        delete $self->{pid};
        kill 'KILL', $_ for $self->all_qemus;
    }
    for my $self (@those) {
        $self->note_boots;
        next if $ENV{CHILDHURD_KEEP};
        # Where paths are too long or odd for sockets, a link to libvirt's folder has a folder of its own.
        for my $folder (grep { (readlink "$_/libvirt" // '') eq "$self->{state}/libvirt" } glob '/{run,tmp}/childhurd-*-*') {
            unlink "$folder/libvirt";
            rmdir $folder;
        }
        remove_tree($self->{dir});
    }
}

# The folders of all daemons, which CHILDHURD_KEEP keeps.
sub folders { return map { $_->{dir} } @daemons }

END {
    my $status = $?;
    clean(@daemons);
    $? = $status;
}

1;
