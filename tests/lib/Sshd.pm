# SPDX-License-Identifier: GPL-3.0-or-later
# A real sshd of the test's own, on the loopback or another host of the test, where the test's user logs in by key; and a `ssh' in
# the test's PATH that knows it, and nothing of the user's own configuration.
#
#   my $sshd = Sshd->new;                       # $sshd->{address}, $sshd->{port}, $sshd->{host_key}
#   my $sshd = Sshd->new(address => '10.77.0.2', port => 22, wrap => [...]);    # wrap: runs a command on that host
#   $sshd->allow($public_key, 'command="..."'); # another key, with options
#   $sshd->end;
package Sshd;
use strict;
use warnings;
use Childhurd ();
use File::Temp qw(tempdir);
use IO::Socket::INET;

sub new {
    my ($class, %options) = @_;
    my $dir  = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 1);
    my $self = bless { dir => $dir, owner => $$, address => '127.0.0.1', wrap => [], %options }, $class;
    $self->{port} ||= Childhurd::free_port();
    mkdir '/run/sshd' if $> == 0;
    $self->{host_key} = $self->key('host');
    Childhurd::spew("$dir/authorized_keys", '');
    Childhurd::spew("$dir/sshd_config", <<"END");
ListenAddress $self->{address}:$self->{port}
HostKey $dir/host
AuthorizedKeysFile $dir/authorized_keys .ssh/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
PidFile none
LogLevel VERBOSE
Subsystem sftp internal-sftp
SetEnv PATH=$Childhurd::BUILD:/usr/bin:/bin
END
    my $name = $self->{port} == 22 ? $self->{address} : "[$self->{address}]:$self->{port}";
    Childhurd::spew("$dir/known_hosts", "$name $self->{host_key}\n");
    Childhurd::spew("$dir/config",      "UserKnownHostsFile $dir/known_hosts\nIdentitiesOnly yes\nIdentityFile $dir/user\nBatchMode yes\n");
    mkdir "$dir/bin";
    Childhurd::spew("$dir/bin/ssh", "#!/bin/sh\nexec /usr/bin/ssh -F $dir/config \"\$@\"\n");
    chmod 0755, "$dir/bin/ssh";
    $self->allow($self->key('user'), '');
    $self->start;
    return $self;
}

# Make a key pair, and return its public half: "TYPE BASE64".
sub key {
    my ($self, $name) = @_;
    system('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', $name, '-f', "$self->{dir}/$name") == 0 or die "ssh-keygen: $?";
    return join ' ', (split ' ', Childhurd::slurp("$self->{dir}/$name.pub"))[0, 1];
}

sub allow {
    my ($self, $key, $options) = @_;
    open my $file, '>>', "$self->{dir}/authorized_keys" or die "authorized_keys: $!";
    print $file $options ? "$options " : '', "$key\n";
    close $file or die "authorized_keys: $!";
}

sub start {
    my ($self) = @_;
    unlink "$self->{dir}/log";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        exec @{ $self->{wrap} }, '/usr/sbin/sshd', '-D', '-f', "$self->{dir}/sshd_config", '-E', "$self->{dir}/log";
        die "sshd: $!";
    }
    $self->{pid} = $pid;
    Childhurd::limited(60, 'sshd listens', sub { Childhurd::slurp("$self->{dir}/log") =~ /Server listening/ });
}

# End the sshd that listens, and the sessions that it has.
sub end {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'TERM', sessions($pid), $pid;
    waitpid $pid, 0;
}

# The processes below that one, the deepest first.
sub sessions {
    my ($pid) = @_;
    my @children = split ' ', Childhurd::slurp("/proc/$pid/task/$pid/children");
    return map { (sessions($_), $_) } @children;
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    $self->end if $self->{owner} == $$;
}

1;
