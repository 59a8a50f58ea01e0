# SPDX-License-Identifier: GPL-3.0-or-later
# A guest's warm state in the daemon's hands: saved after the first boot, used by each start, `reset` in place, thrown away when what
# is put into the guest changes or people say so, and never with random bytes that were used before.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(1);
my $port  = 10022 + 1000 * $id;
my $d     = Childhurd->new(warm => 1, guests => '');
my $guest = <<"INI";
[guest a]
id = $id
image = $image
memory-size = 256M
acceleration = tcg
prepare-command = echo prepared > /tmp/prepared
INI
$d->configure($guest);

my (%seen, %cookies);    # random bytes

# What sshd takes for random in a new key exchange: the cookie of its first packet (RFC 4253, section 7.1).
sub cookie {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 10) or return '';
    print $socket "SSH-2.0-test\r\n";
    my $said = '';    # the banner, and the packet, which may come with it
    1 while $said !~ /\n.{22}/s && sysread $socket, $said, 4096, length $said;
    my ($type, $cookie) = unpack 'x5Ca16', ($said =~ s/^.*?\n//sr) . "\0" x 22;
    return $type == 20 ? unpack('H*', $cookie) : '';
}

sub ready {
    my ($what) = @_;
    $d->ctl('wait', 'a', '--for', 'ready', '--timeout', Childhurd::seconds(120) . 's');
    is($d->{status}, 0, "$what: it is ready") or diag substr $d->log, -3000;
    my $cookie = cookie();
    ok($cookie && !$cookies{$cookie}++, '... its sshd has a random state of its own');
    # In one login, as each takes an emulated processor half a second.
    my ($prepared, $now, $random, $disk) = split ' ', $d->ssh('a', 'cat /tmp/prepared; date +%s; head -c 16 /dev/urandom | od -An -tx1 | tr -d " "; '
          . '[ -e /mark ] && echo marked || echo pristine');
    is($prepared, 'prepared', '... and was prepared');
    cmp_ok(abs($now - time), '<', 30, '... its clock is right');
    ok(!$seen{$random}++, '... its random bytes were never seen before');
    is($disk, 'pristine', '... nothing of an earlier life is left');
    $d->ctl('ssh', 'a', 'touch /mark && sync');
    is($d->{status}, 0, '... and now something is');
}

# The log from that byte on has it: a state may last for a second only.
sub has_gone { my ($from, $way) = @_; return (substr $d->log, $from) =~ / a: $way/ }

sub went {
    my ($from, $way) = @_;
    return $d->wait_until(120, "a: $way", sub { has_gone($from, $way) });
}

sub took {
    my ($way, $verb, @arguments) = @_;
    my ($from, $begun) = (length $d->log, time);
    $d->ctl($verb, 'a', @arguments);
    is($d->{status}, 0, "$verb @arguments");
    went($from, $way);
    ready("$verb @arguments");
    return time - $begun;
}

$d->start;
ready('the first boot');
$d->said(qr/ a: its warm state is saved; it stood still for \d+\.\d+ s$/m, 'its state is saved');
is((stat "$d->{state}/a/disk.warm")[2] & 0777, 0600, '... for nobody else to read');
is((stat "$d->{state}/a/disk.qcow2")[2] & 0077, 0, '... nor the disk that it is in');

my $qemu = $d->qemu('a');
took('restoring', 'reset');
is($d->qemu('a'), $qemu, 'reset takes place in the QEMU that runs');
took('restoring', 'restart');
isnt($d->qemu('a'), $qemu, 'restart is a new QEMU');

my $from = length $d->log;
kill 'KILL', $d->qemu('a');
ok(went($from, 'restoring'), 'its QEMU is killed');
ready('after a crash');
$d->said(qr/ a: ready: from its warm state/, 'it came from its warm state');
$from = length $d->log;
$d->ctl('ssh', 'a', 'reboot');
ok(went($from, 'restoring'), 'it reboots');
ready('after its own reboot');
unlike($d->log, qr/saved.*booting/s, 'none of this was a boot');

# --- before it is stirred, nobody is let in ---
{
    $from = length $d->log;
    $d->ctl('restart', 'a', '--now');
    went($from, 'restoring');
    ok(Childhurd::port_free($port) || has_gone($from, 'ready'), 'a guest that is being restored has no port');
    ready('restart --now');
}

# --- the daemon is killed; the next one uses the same state ---
$d->end('KILL');
$d->start;
$d->ctl('wait', 'a', '--for', 'ready', '--timeout', '60s');
is($d->{status}, 0, 'the next daemon takes it over');
took('restoring', 'reset');
$d->ctl('stop', 'a', '--wait', '--timeout', '60s');
$d->end('TERM');
$d->start;
took('restoring', 'start');
$d->said(qr/ a: restoring/, 'a stopped guest of an earlier daemon comes from its state');

# --- what does not fit is thrown away, and the reason is said ---
mkdir $_ or die for "$d->{dir}/secrets", "$d->{dir}/secrets/a", "$d->{dir}/secrets/a/etc";
{
    open my $f, '>', "$d->{dir}/secrets/a/etc/news" or die;
    print $f "news\n";
    close $f;
}
took('booting', 'reset');
$d->said(qr/ a: .*its warm state is thrown away, and it boots: what is put into the guest is another/, 'with other secrets it boots');
like($d->ssh('a', 'cat', '/etc/news'), qr/news/, '... and has them');
took('restoring', 'restart');
took('booting', 'reset', '--cold');
is($d->qemu('a') > 0, 1, 'reset --cold boots');
$d->configure($guest =~ s/256M/255M/r);
$from = length $d->log;
$d->ctl('reload');
went($from, 'booting');
ready('another machine');
$d->said(qr/ a: .*its warm state is thrown away, and it boots: the machine's configuration is another/, 'another machine boots');

# --- a state that is not whole ---
$d->ctl('stop', 'a', '--wait', '--timeout', '60s');
Childhurd::slurp("$d->{state}/a/disk.warm") =~ /^tag (\S+)/m;
system("qemu-img snapshot -d $1 $d->{state}/a/disk.qcow2") == 0 or die;
took('booting', 'start');
$d->said(qr/ a: .*the warm start failed, so its state is discarded and it boots: /, 'a state that is gone from the disk costs only itself');
took('restoring', 'restart');
$d->ctl('stop', 'a', '--wait', '--timeout', '60s');
{
    open my $f, '>', "$d->{state}/a/disk.warm" or die;
    print $f "tag x\n";
    close $f;
}
took('booting', 'start');
$d->said(qr/its record is damaged/, 'nor does a damaged record harm');
done_testing;
