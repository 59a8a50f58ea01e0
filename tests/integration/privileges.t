# SPDX-License-Identifier: GPL-3.0-or-later
# What the daemon and QEMU may do and what they touch, for root's daemon and for an ordinary user's: whom QEMU runs as and
# with which rights, every open file and every listening socket of both against the manual's table, what a guest reaches
# in each kind of network, and what the user whom QEMU runs as gets at.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::IP;
use Test::More;

Childhurd::own_users(childhurd => [ 'kvm' ]);
my $image = Childhurd::need_image('linux');
my ($uid, $gid) = (getpwnam 'childhurd')[ 2, 3 ];
my $kvm = getgrnam 'kvm';

# --- somebody to reach: on the host's loopback, and beyond it ---

my $outside = '198.51.100.1';    # for documentation only (RFC 5737), here at the far side of nowhere
system("ip address add $outside/32 dev lo") == 0
  or Childhurd::cannot('a network with something outside');
my $scratch = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 1);
chmod 0755, $scratch;
my %tcp = map { $_ => IO::Socket::IP->new(LocalHost => $_, GetAddrInfoFlags => 0, LocalPort => 7, Listen => 20, Type => SOCK_STREAM) || die "$_: $@" } '127.0.0.1', $outside, '::1';
my %udp = map { $_ => IO::Socket::IP->new(LocalHost => $_, LocalPort => 53, Type => SOCK_DGRAM) || die "$_: $@" } '127.0.0.1', $outside;

# A child notes who comes. A query for a name gets the answer that there is none, so that nobody asks twice.
my $visits  = "$scratch/visits";
my $servant = fork // die;
if (!$servant) {
    my $select = IO::Select->new(values %tcp, values %udp);
    my %where  = (map { $tcp{$_}->fileno => $_ } keys %tcp);
    open my $log, '>', $visits or die;
    $log->autoflush;
    while (my @ready = $select->can_read) {
        for my $socket (@ready) {
            if ($where{ $socket->fileno }) {
                $socket->accept;
                print $log "tcp $where{ $socket->fileno }\n";
            } elsif (defined(my $from = $socket->recv(my $query, 512))) {
                print $log 'udp ', unpack('x12 C/a', $query), "\n";
                $socket->send(pack('a2 n a*', $query, 0x8183, substr $query, 4), 0, $from);
            }
        }
    }
    POSIX::_exit(0);
}
END { kill 'KILL', $servant if $servant }

# --- the manual's table ---

my ($section) = Childhurd::slurp('docs/manual.md') =~ /^## What the daemon and QEMU may touch\n(.*?)(?=^## )/ms;
my @rows = map { { who => $_->[0], pattern => $_->[1], long => $_->[2] } }
  map { [/^\| (daemon|QEMU|relay) \| `([^`]+)` \| ([^|]+) \| [^|]+ \|$/] } grep { /^\| (?:daemon|QEMU|relay) / } split /\n/, $section // '';
ok(@rows > 10, 'the manual has a table of what they touch') or Childhurd::cannot('no table');
is(scalar(grep { !$_->{pattern} } @rows), 0, 'each row is understood');

# An expression for all folders that one of the paths is in.
sub folders_above {
    my %above = ('/' => 1);
    for my $path (my @paths = @_) {
        $above{$path} = 1 while $path =~ s{/[^/]*$}{} && $path ne '';
    }
    return '(?:' . join('|', map { quotemeta } sort keys %above) . ')';
}

# A row's pattern as an expression, for this daemon.
sub expression {
    my ($d, $pattern) = @_;
    my %means = (
        STATE => quotemeta $d->{state}, RUN => quotemeta $d->{runtime}, LOG => quotemeta $d->{log}, IMAGE => quotemeta $image,
        NAME => 'a', NUMBER => '\d+', ADDRESS => '127\.0\.0\.1', 'SSH-PORT' => 10022 + 1000 * $d->{id},
        'SECRETS-PORT' => 11004 + 1000 * $d->{id}, '*' => '.*', FOLDER => folders_above($d->{state}, $d->{runtime}, $image),
    );
    my $words = join '|', map { quotemeta } sort { length $b <=> length $a } keys %means;
    return join '', map { $means{$_} // quotemeta } split /($words)/, $pattern;
}

# --- what is there ---

# inode => what it is, of all sockets of this network: "listens tcp ADDRESS:PORT" ...
sub address { my ($hex) = @_; my ($a, $p) = split /:/, $hex; return (length $a == 8 ? join('.', reverse unpack 'C4', pack 'H8', $a) : $a, hex $p) }

sub sockets {
    my %socket;
    for my $kind (qw(tcp tcp6 udp udp6)) {
        for (split /\n/, Childhurd::slurp("/proc/self/net/$kind")) {
            my (undef, $local, $remote, $state, @rest) = (split)[ 0 .. 3, 9 ];
            next unless $local =~ /^[0-9A-F]+:[0-9A-F]{4}$/ && $rest[0];
            my ($la, $lp) = address($local);
            my ($ra, $rp) = address($remote);
            $socket{ $rest[0] } = $state eq '0A' || ($kind =~ /udp/ && $rp == 0) ? "listens $kind $la:$lp" : "connection $kind $la:$lp to $ra:$rp";
        }
    }
    for (split /\n/, Childhurd::slurp('/proc/self/net/unix')) {
        my (undef, undef, undef, $flags, undef, $state, $inode, $path) = split / +/, $_, 8;
        next unless ($inode // '') =~ /^\d+$/;
        $socket{$inode} = (hex($flags) & 0x10000 ? 'listens' : 'connection') . ' unix ' . ($path || 'without a name');
    }
    return \%socket;
}

# What the process has open, as lines. A socket that has been closed since is not asked about.
sub open_things {
    my ($pid) = @_;
    my %link = map { $_ => readlink } glob "/proc/$pid/fd/*";
    my $sockets = sockets();
    my %seen;
    for my $fd (keys %link) {
        my $what = $link{$fd} // next;
        if ($what =~ /^socket:\[(\d+)\]$/) {
            my $inode = $1;
            next if ($sockets->{$inode} // '') eq '' && (readlink($fd) // '') ne $what;
            $what = $sockets->{$inode} // 'socket that is not connected';
        } elsif ($what =~ /^anon_inode:\[?(\w+)\]?/) {
            $what = "kernel $1";
        } elsif ($what =~ /^pipe:/) {
            $what = 'pipe';
        } else {
            $what = 'file ' . $what =~ s/ \(deleted\)$//r;
        }
        $seen{$what} = 1;
    }
    return keys %seen;
}

my ($root, $user, %matched, %strange);

# The processes through which connections to a woken guest go.
sub relays {
    my ($d) = @_;
    my $port = 10022 + 1000 * $d->{id};
    return grep { Childhurd::slurp("/proc/$_/comm") eq "childhurd-relay\n" && Childhurd::slurp("/proc/$_/cmdline") =~ /\x00$port\x00$/ }
      map { m{(\d+)} } glob '/proc/[0-9]*';
}

sub look {
    my ($d) = @_;
    my %who = ($d->{pid} => 'daemon', map { $_ => 'QEMU' } grep { Childhurd::slurp("/proc/$_/cmdline") =~ /\0-uuid\0/ } $d->all_qemus);
    $who{$_} = 'relay' for relays($d);
    for my $pid (keys %who) {
        for my $thing (open_things($pid)) {
            my @rows = grep { $_->{who} eq $who{$pid} && $thing =~ /^$_->{expression}$/ } @{ $d->{rows} };
            $matched{ $_->{who} . ' ' . $_->{pattern} } = 1 for @rows;
            $strange{"$who{$pid}: $thing"} = 1 unless @rows;
        }
    }
}

# Who else listens in this network, beside the test.
sub listeners {
    my $sockets = sockets();
    my %theirs  = map { (readlink // '') =~ /^socket:\[(\d+)\]/ ? ($1 => 1) : () }
      map { glob "/proc/$_/fd/*" } $$, map { ($_->{pid}, $_->all_qemus) } $root, $user;
    return grep { /^listens/ } map { $sockets->{$_} } grep { !$theirs{$_} } keys %$sockets;
}

# --- two daemons ---

my $id = Childhurd::free_id(4);

# With one guest, a.
sub daemon {
    my ($owner, $guest) = @_;
    my $d = Childhurd->new(warm => 1);
    mkdir $_ for $d->{state}, $d->{runtime};
    $d->run_as($owner);
    system('chown', "$owner:$owner", $d->{state}, $d->{runtime});
    $d->{id} = $id++;
    $d->configure("[guest a]\nid = $d->{id}\nimage = $image\nmemory-size = 200M\nprobe-interval = 1s\n$guest\n");
    $d->{log} = "$d->{dir}/log";
    $d->{rows} = [ map { { %$_, expression => expression($d, $_->{pattern}) } } @rows ];
    return $d;
}

# Look again and again until it is ready: what is open only while a guest comes up is seen, too.
sub to_ready {
    my ($d) = @_;
    return $d->wait_until(240, 'a is ready', sub {
        look($_) for $root, $user;
        select undef, undef, undef, 0.3;    # a look costs the guests some of their processor
        return $d->state('a') eq 'ready';
    });
}

sub check_rights {
    my ($d) = @_;
    my $pid    = $d->qemu('a');
    my $status = Childhurd::slurp("/proc/$pid/status");
    like($status, qr/^Uid:\t$uid\t$uid\t$uid\t$uid$/m, 'QEMU runs as childhurd');
    like($status, qr/^Gid:\t$gid\t$gid\t$gid\t$gid$/m, '... with his group');
    like($status, qr/^Groups:.*\b$kvm\b/m, '... and his further ones, kvm among them');
    like($status, qr/^CapEff:\t0+$/m, '... without any capability');
    like($status, qr/^NoNewPrivs:\t1$/m, '... and no way to new ones');
    like($status, qr/^Seccomp:\t2$/m, '... behind a filter of system calls');
    like(Childhurd::slurp("/proc/$pid/cmdline"),
        qr/\0-sandbox\0on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny\0/, '... of this kind');
}

$root = daemon('root', "disk = persistent\nnetwork = isolated");
$user = daemon('childhurd', 'network = user');
$_->start for $root, $user;
ok(to_ready($user), "the ordinary user's guest is ready");
ok(to_ready($root), "root's guest is ready");
check_rights($root);
check_rights($user);

# --- out of a guest ---

sub reached {
    my ($d) = @_;
    truncate $visits, 0;
    my $limit = 'busybox timeout 5 busybox';
    my $out = $d->ctl('ssh', 'a', <<"SH");
i=0; until ip -6 address show scope site | grep -q fec0: || [ \$i -ge 50 ]; do usleep 200000; i=\$((i + 1)); done
for host in 10.0.2.2 $outside fec0::2; do $limit nc \$host 7 </dev/null & done
$limit nslookup gateway.name 10.0.2.2 & $limit nslookup dns.name 10.0.2.3 & $limit nslookup outside.name $outside &
wait
ip -6 address show scope site
SH
    look($d);
    my %seen = map { $_ => 1 } split /\n/, Childhurd::slurp($visits);
    note($out);
    return join ', ', sort keys %seen;
}
is(reached($user), "tcp 127.0.0.1, tcp $outside, tcp ::1, udp dns, udp gateway, udp outside", 'network = user: the host, its loopback and what is beyond are reached');
is(reached($root), '', 'network = isolated: nothing of it is');

# --- what QEMU's user gets at ---

sub as_childhurd {
    my (@command) = @_;
    my $out = "$scratch/out";
    unlink $out;
    waitpid $root->spawn($out, 'setpriv', '--reuid=childhurd', '--regid=childhurd', '--init-groups', @command), 0;
    return Childhurd::slurp($out);
}
my $folder = "$root->{state}/a";
is((stat $folder)[4], 0, "a guest's folder is root's");
is((stat $folder)[2] & 0707, 0700, '... and closed to others');
like(as_childhurd('ls', $folder), qr/Permission denied/, "QEMU's user cannot list it");
like(as_childhurd('touch', "$folder/new"), qr/Permission denied/, '... nor make anything in it');
like(as_childhurd('mv', "$folder/console.log", "$folder/state"), qr/Permission denied/, '... nor move what is in it');
like(as_childhurd('cat', "$folder/$_"), qr/Permission denied/, "... nor read $_")
  for qw(offload_key state console.log secrets/etc/ssh/ssh_host_ed25519_key);
is(as_childhurd('head', '-c3', "$folder/disk.qcow2"), 'QFI', '... but the disk is his');

# --- asleep ---

for my $d ($user, $root) {
    my $whose = $d == $user ? "the ordinary user's" : "root's";
    $d->ctl('sleep', 'a', '--wait', '--timeout', '60s');
    is($d->{status}, 0, "$whose guest sleeps");
    look($d);
    my $caller = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => 10022 + 1000 * $d->{id}, Type => SOCK_STREAM);
    ok($caller, '... and takes a connection') or next;
    ok(to_ready($d), '... which wakes it');
    my ($relay) = $d->wait_until(10, 'the connection is passed on', sub { relays($d) });
    ok($relay, '... and goes through a process of its own');
    ($relay) = relays($d);
    like(Childhurd::slurp("/proc/$relay/status"), qr/^Uid:\t$uid\t$uid\t$uid\t$uid$/m, "... of QEMU's user");
    look($d);
    close $caller;
    ok($d->wait_until(20, 'the relay ends', sub { !relays($d) }), '... which ends with it');
}

# --- all there is, and nothing else ---

look($_) for $root, $user;
is(join(', ', listeners()), '', 'nobody else listens');
is(join("\n", sort keys %strange), '', 'nothing is open that the manual does not list');
my $kvm_runs = grep { $_->log =~ /QEMU runs \(process \d+, kvm\)/ } $root, $user;
my @never = grep { $_->{long} ne 'for moments' && ($kvm_runs || $_->{long} !~ /KVM/) && !$matched{"$_->{who} $_->{pattern}"} } @rows;
is(join("\n", map { "$_->{who} $_->{pattern}" } @never), '', '... and all that it lists is there');

# --- what an earlier daemon left, and what is in the way ---

$root->ctl('stop', 'a', '--now', '--wait', '--timeout', '60s');
system('chown', '0:0', "$folder/disk.qcow2");
system('setfacl', '-b', $folder);
chmod 0700, $folder;
$root->ctl('start', 'a');
ok($root->wait_until(60, 'a boots', sub { $root->state('a') =~ /^(?:booting|enrolling|ready)$/ }), "a guest of an earlier daemon, whose QEMU was root's, starts");
is((stat "$folder/disk.qcow2")[4], $uid, '... and its disk has another owner now');
$root->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');

# --- what QEMU's user cannot read ---

copy($image, "$scratch/$_") or die for 'own.qcow2', 'other.qcow2';
chmod 0600, "$scratch/own.qcow2", "$scratch/other.qcow2";
system('chown', 'daemon', "$scratch/other.qcow2");
my ($own, $other) = ("[guest a]\nimage = $scratch/own.qcow2\n", "image = $scratch/other.qcow2\n");
$root->configure($own);
$root->ctl('reload');
is($root->{status}, 0, 'a reload takes an image that only root can read');
like($root->log, qr/\Q$scratch\E\/own\.qcow2: QEMU's user childhurd may read it from now on/, '... opens it to QEMU\'s user, and says so');
$root->ctl('start', 'a');
ok($root->wait_until(60, 'a boots', sub { $root->state('a') =~ /^(?:booting|enrolling|ready)$/ }), '... and the guest runs');
$root->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
$root->configure("[guest a]\n$other");
like($root->ctl('reload'), qr/a: image \Q$scratch\E\/other\.qcow2: QEMU runs as user childhurd, which cannot read it/, 'one of another owner is not opened');
is($root->{status}, 1, '... and the reload refused, as the guest has one that it can read');
$root->configure("${own}[guest b]\nid = $id\n${other}autostart = no\n[guest mach]\nid = @{[$id + 1]}\nkernel = $scratch/other.qcow2\nautostart = no\n");
$root->ctl('reload');
$root->ctl('start', 'b', 'mach');
ok($root->wait_until(60, 'both say why', sub { $root->state('b') eq 'backoff' && $root->state('mach') eq 'backoff' }), 'guests that have none such fail before QEMU is started');
like($root->ctl('status', 'b'), qr/image \Q$scratch\E\/other\.qcow2: QEMU runs as user childhurd, which cannot read it.*setfacl -m u:childhurd/s, '... and name file, user and what to do');
like($root->ctl('status', 'mach'), qr/kernel \Q$scratch\E\/other\.qcow2: QEMU runs as user childhurd, which cannot read it.*setfacl/s, '... both');
my $checked = $root->ctl('check');
like($checked, qr/^problem +b: image \Q$scratch\E\/other\.qcow2: QEMU runs as user childhurd, which cannot read it/m, '... and check says so before');
like($checked, qr/^problem +mach: kernel .*cannot read it/m, '... of both');
like($checked, qr/^ok +a: image \Q$scratch\E\/own\.qcow2/m, '... and that the other can be read');
$root->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');

system('chown', 'childhurd', $folder);
$root->ctl('start', 'a');
ok($root->wait_until(60, 'it is refused', sub { $root->ctl('status', 'a') =~ /belongs to user $uid, and has to belong to user 0/ }), "a folder that is QEMU's user's is not entered");
$root->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
$user->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
done_testing;
