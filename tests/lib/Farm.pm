# SPDX-License-Identifier: GPL-3.0-or-later
# Several hosts in one test: each is a network namespace with a name and an address of its own, on one Ethernet, with a real sshd.
# Their links can go down, silently or in one direction, or be slow.
#
#   my $farm = Farm->new('farm', 'n1', 'n2');
#   my $n1   = $farm->host('n1');              # address, wrap (runs a command there), sshd
#   $farm->cut('n1'); $farm->mute('n1'); $farm->slow('n1'); $farm->mend('n1');
#
# With Farm->new({ files => 1 }, ...) each host also has an /etc, a /root, a /run and a /var/lib of its own: what the host of the
# test has there, and what is written there in the test is in memory only. Then the hosts know each other by their names.
package Farm;
use strict;
use warnings;
use Childhurd ();
use File::Temp qw(tempdir);
use POSIX ();
use Sshd;

my $bridge = 'farm0';

my $OWN_FILES = <<'SH';
mount -t tmpfs -o mode=755 tmpfs "$1"
for place in /etc /root /var/lib; do
	mkdir -p "$1$place/upper" "$1$place/work"
	mount -t overlay overlay -o "lowerdir=$place,upperdir=$1$place/upper,workdir=$1$place/work" "$place"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/sshd
rm -rf /etc/childhurd /var/lib/childhurd /root/.ssh
mkdir -m 700 /root/.ssh
echo 127.0.0.1 localhost > /etc/hosts
SH

sub ip { system('ip', @_) == 0 or die "ip @_: $?\n" }

# Needs root, and a network of the test's own, as tests/run-one gives it.
sub new {
    my ($class, @names) = @_;
    my $options = ref $names[0] ? shift @names : {};
    Childhurd::cannot('hosts of their own take root') if $> != 0;
    Childhurd::cannot('hosts of their own take a network of the test\'s own: run it by prove --exec tests/run-one') unless $ENV{CHILDHURD_NETWORK};
    my $self = bless { %$options, owner => $$, hosts => {} }, $class;
    ip('link', 'add', $bridge, 'type', 'bridge');
    ip('link', 'set', $bridge, 'up');
    my $n = 0;
    $self->add($_, ++$n) for @names;
    for my $name ($self->{files} ? @names : ()) {
        $self->write($name, '/etc/hosts', "127.0.0.1 localhost\n" . join '', map { "$_->{address} $_->{name}\n" } values %{ $self->{hosts} });
    }
    return $self;
}

sub add {
    my ($self, $name, $n) = @_;
    pipe my $up, my $say or die "pipe: $!";
    $self->{folder}{$name} = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 1);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::dup2(fileno $say, 1);
        my ($own, $files) = $self->{files} ? ('--mount', $OWN_FILES) : ('--net', '');
        exec 'unshare', '--net', '--uts', $own, 'sh', '-ec', "${files}hostname \"\$0\"; echo up; exec sleep 86400", $name, $self->{folder}{$name};
        die "unshare: $!";
    }
    close $say;
    defined <$up> or die "$name: no host\n";
    my $host = { name => $name, pid => $pid, address => "10.77.0.$n", link => "farm-$n" };
    $host->{wrap} = [ 'nsenter', "--net=/proc/$pid/ns/net", "--uts=/proc/$pid/ns/uts", $self->{files} ? "--mount=/proc/$pid/ns/mnt" : (), '--' ];
    $self->{hosts}{$name} = $host;
    ip('link', 'add', $host->{link}, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', $pid);
    ip('link', 'set', $host->{link}, 'master', $bridge, 'up');
    $self->on($name, 'ip', @$_) for ['link', 'set', 'lo', 'up'], ['address', 'add', "$host->{address}/24", 'dev', 'eth0'], ['link', 'set', 'eth0', 'up'];
    $host->{sshd} = Sshd->new(address => $host->{address}, port => 22, wrap => $host->{wrap});
}

sub host { my ($self, $name) = @_; return $self->{hosts}{$name} }

# Write a file there.
sub write {
    my ($self, $name, $path, $text) = @_;
    Childhurd::spew("/proc/$self->{hosts}{$name}{pid}/root$path", $text);
}

# Run a command on that host; dies if it fails.
sub on {
    my ($self, $name, @command) = @_;
    system(@{ $self->{hosts}{$name}{wrap} }, @command) == 0 or die "$name: @command: $?\n";
}

# Nothing gets through any more, and nobody is told: the other end of the cable is no longer in the switch.
sub cut { my ($self, $name) = @_; ip('link', 'set', $self->{hosts}{$name}{link}, 'nomaster') }

# What the host sends is lost, what is sent to it arrives: it has wrong addresses of all others.
sub mute {
    my ($self, $name) = @_;
    $self->on($name, 'ip', 'neigh', 'replace', $_->{address}, 'lladdr', '02:00:00:00:00:77', 'dev', 'eth0', 'nud', 'permanent')
      for grep { $_->{name} ne $name } values %{ $self->{hosts} };
}

# 64 kbit/s in both directions.
sub slow {
    my ($self, $name) = @_;
    my @rate = qw(root tbf rate 64kbit burst 3kb latency 4s);
    system('tc', 'qdisc', 'add', 'dev', $self->{hosts}{$name}{link}, @rate) == 0 or die "tc: $?\n";
    $self->on($name, 'tc', 'qdisc', 'add', 'dev', 'eth0', @rate);
}

sub mend {
    my ($self, $name) = @_;
    my $host = $self->{hosts}{$name};
    ip('link', 'set', $host->{link}, 'master', $bridge);
    for my $other (grep { $_->{name} ne $name } values %{ $self->{hosts} }) {
        system(@{ $host->{wrap} }, 'sh', '-c', "ip neigh del $other->{address} dev eth0 2>/dev/null");
    }
    system("tc qdisc del dev $host->{link} root 2>/dev/null");
    system(@{ $host->{wrap} }, 'sh', '-c', 'tc qdisc del dev eth0 root 2>/dev/null');
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    return if $self->{owner} != $$;
    for my $host (values %{ $self->{hosts} }) {
        $host->{sshd}->end if $host->{sshd};
        kill 'KILL', $host->{pid};
        waitpid $host->{pid}, 0;
    }
}

1;
