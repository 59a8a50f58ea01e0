# SPDX-License-Identifier: GPL-3.0-or-later
# `guix build -s i586-gnu` with the real Guix on both ends: a coordinator whose build daemon is not root's, a childhurdd that
# is not root's either, and two guests that pass for a Hurd. Nobody notices that they come and go. At the end root's.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use Guide;
use Guix;
use Test::More;
use Time::HiRes qw(sleep time);

my $image = Childhurd::need_image('guix');
Childhurd::own_users(childhurd => []);
my $begun = time;
my $said;
sub at { return sprintf '[%.0f s] %s', time - $begun, join '', @_ }

my $dir = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
chmod 0755, $dir;
my $id   = Childhurd::free_id(2);
my %port = (childhurd1 => 10022 + 1000 * $id, childhurd2 => 11022 + 1000 * $id);
# Debian's guix-daemon is run by a user of that name; here it is one that every Debian has.
my $g = Guix->new(dir => $dir, runtime => "$dir/run", user => 'daemon');
my $guest = <<"INI";
[guest childhurd]
id = $id
image = $image
memory-size = 384M
probe-command = guix
INI
my $d = Childhurd->new(dir => $dir)->run_as('childhurd');
$g->start;
$d->{daemon} = $g->daemon_keys;
$d->configure("${guest}count = 2\n");
is(system($d->{program}, '--config', $d->{file}, '--prepare'), 0, 'root does his part, once');
# What the guide tells to do.
my @guide = Guide::commands('guix');
$g->run(10, 'ln', '-s', "$dir/run", '/run/childhurd');
$said = $g->run(60, 'sh', '-exc', shift @guide);
is($g->{status}, 0, 'Guix is told of the guests') or diag $said;
note at 'the coordinator is up';
$d->start;

sub listed { my ($name) = @_; return $d->machines =~ /\(port $port{$name}\)/ }

# The build succeeded elsewhere, and what came back is what was built there.
sub ok_build {
    my ($job, $limit, $what, $name) = @_;
    my $said = $g->finish($job, $limit);
    is($g->{status}, 0, $what) or diag $said;
    like($said, qr/offloading '\S*$name\.drv' to '127\.0\.0\.1'/, '... offloaded');
    like($g->built($job), qr/^built $name\nx86_64$/m, '... and what came back is what was built');
    note at sprintf '%s: %.1f s', $what, $job->{time} // 0;
}

# Waits until the build has begun; gives the name of the guest that has it.
sub builder {
    my ($job) = @_;
    my $boot;
    $d->wait_until(240, 'a build begins', sub { ($boot = $g->boot_id($job)) || $g->over($job) });
    for my $name (sort keys %port) {
        return $name if $boot && $d->state($name) ne 'stopped' && index($d->ssh($name, 'cat /proc/sys/kernel/random/boot_id'), $boot) >= 0;
    }
    diag $g->said($job);
    return '';
}

sub other { return $_[0] eq 'childhurd1' ? 'childhurd2' : 'childhurd1' }

# --- a build is asked for while both boot ---
$d->wait_until(60, 'a placeholder is published', sub { $d->machines =~ /build-machine/ });
my $early = $g->build('early');
ok($d->wait_until(60, 'the build is put off', sub { $g->said($early) =~ /waiting|postpon|retry/i }),
    'while all guests boot, a build is put off');
$d->ctl('wait', 'childhurd*', '--for', 'ready', '--timeout', '180s');
is($d->{status}, 0, 'both become ready by a round trip with guix repl');
note at 'both are ready';
ok_build($early, 240, 'the build that was put off is done then', 'early');

# --- signing keys ---
sub key_in { return $_[0] =~ /#([0-9A-F]+)#/ ? $1 : 'no key' }
sub secret { my ($name, $leaf) = @_; return Childhurd::slurp("$dir/state/$name/secrets/etc/guix/$leaf") }

sub keys_are_exchanged {
    my ($when) = @_;
    my $acl  = Childhurd::slurp("$g->{etc}/acl");
    my $host = key_in(Childhurd::slurp("$g->{etc}/signing-key.pub"));
    for my $name (sort keys %port) {
        my $key = key_in(secret($name, 'signing-key.pub'));
        is(() = $acl =~ /#$key#/g, 1, "$when the host's acl has the key of $name once");
        is(() = secret($name, 'acl') =~ /#$host#/g, 1, '... and the guest the host\'s');
    }
    isnt(secret('childhurd1', 'signing-key.sec'), secret('childhurd2', 'signing-key.sec'), '... and each has its own');
    is((stat "$g->{etc}/acl")[4], (getpwnam 'daemon')[2], '... and the acl belongs to whom it did');
}
keys_are_exchanged('at first');

# --- what a person would look at ---
my $status = $g->run(180, qw(guix offload status));
is($g->{status}, 0, 'guix offload status');
is(() = $status =~ /^127\.0\.0\.1$/mg, 2, '... tells of both') or diag $status;
unlike($status, qr/error|time difference: -?(?:[3-9]|\d\d)/, '... and has nothing against them') or diag $status;
note at 'guix offload status';
like(Childhurd::slurp("$dir/run/ssh_config"), qr/StrictHostKeyChecking "?yes/i, 'ssh_config is strict about host keys');
for my $name (sort keys %port) {
    is($d->ssh($name, 'id', '-un'), "offloading\n", "ssh -F ssh_config $name");
    Childhurd::spew("$dir/$name.file", "for $name\n");
    $g->run(60, 'rsync', '-e', "ssh -F $dir/run/ssh_config", "$dir/$name.file", "$name:file");
    is($g->{status}, 0, 'rsync over it') or diag $g->{output};
    is($d->ssh($name, 'cat', 'file'), "for $name\n", '... brings the file there');
}

# --- two builds at once ---
my @both = map { $g->build("twin$_", 'sleep 8') } 1, 2;
isnt(builder($both[0]), builder($both[1]), 'two builds at once: each guest has one');
ok_build($both[ $_ - 1 ], 240, "build $_ of two at once", "twin$_") for 1, 2;

# --- a guest is stopped while it builds ---
my $kept    = $g->build('kept', 'sleep 10');
my $stopped = builder($kept);
$d->ctl('stop', $stopped);
is($d->{status}, 0, "stop of $stopped, which builds, is accepted");
ok(!listed($stopped), '... and it is off the list');
ok(listed(other($stopped)), '... and the other is on it');
ok(!$g->over($kept), '... and the build goes on');
ok_build($kept, 240, 'the build that ran when its guest was to stop', 'kept');
$d->ctl('wait', $stopped, '--for', 'stopped', '--timeout', '90s');
is($d->{status}, 0, 'then the guest stops');

# --- the one that is left is tested, while the other comes up ---
my $test = $g->begin('sh', '-exc', shift @guide);
$d->wait_until(60, 'the list is read', sub { $g->said($test) =~ /testing/ || $g->over($test) });
$d->ctl('start', $stopped);
like($g->finish($test, 240), qr/successfully imported .* from '127\.0\.0\.1'/, 'guix offload test is content');
is($g->{status}, 0, '... and says so') or diag $g->{output};
note at sprintf 'guix offload test: %.1f s', $test->{time} // 0;
$d->ctl('wait', 'childhurd*', '--for', 'ready', '--timeout', '180s');
is($d->{status}, 0, 'both are ready again');

# --- a guest dies while it builds ---
my $doomed = $g->build('doomed', 'sleep 600');
my $dead   = builder($doomed);
kill 'KILL', $d->qemu($dead);
$said = $g->finish($doomed, 120);
ok($g->{status} != 0 && $g->{status} != 255, "killing $dead, which builds, fails the build") or diag $said;
my $next = $g->build('next', '');
is(builder($next), other($dead), '... and the next goes to the other');
ok_build($next, 240, 'the build after it', 'next');

# --- a guest hangs ---
$d->ctl('wait', 'childhurd*', '--for', 'ready', '--timeout', '180s');
is($d->{status}, 0, 'the dead one has come back');
note at 'both are ready';
my $frozen = $dead;
kill 'STOP', $d->qemu($frozen);
my $around = $g->build('around', '');
ok_build($around, 240, "while $frozen hangs, a build goes to the other", 'around');
diag sprintf 'a build beside a hung guest took %.1f s', $around->{time} // 0;
kill 'CONT', $d->qemu($frozen);
$d->ctl('wait', 'childhurd*', '--for', 'ready', '--timeout', '180s');
is($d->{status}, 0, 'continued, it is ready again');

keys_are_exchanged('after some starts');

# --- a guest whose guix-daemon is broken ---
$d->ctl('ssh', 'childhurd1', 'mv /var/guix/daemon-socket/socket /var/guix/daemon-socket/gone');
ok($d->wait_until(120, 'it is off the list', sub { !listed('childhurd1') }), 'a guest whose guix-daemon does not answer is off the list');
like($d->ctl('status', 'childhurd1'), qr/guix repl.*did not answer.*store-connection-error/s, '... and status says why')
    or diag $d->ctl('status', 'childhurd1');
$d->ctl('ssh', 'childhurd1', 'mv /var/guix/daemon-socket/gone /var/guix/daemon-socket/socket');
ok($d->wait_until(120, 'it is on the list', sub { listed('childhurd1') }), '... and on it when it does');

# --- no guest is wanted any more ---
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '90s');
is($d->{status}, 0, 'both are stopped');
like($d->machines, qr/^\(list\s*\)$/m, 'machines.scm is the empty list');
is($d->end >> 8, 0, '... and the daemon, who never was root, ends');
note at 'the end';

# --- the same with a daemon of root's ---
remove_tree("$dir/run");
mkdir "$dir/root";
$d = Childhurd->new(dir => "$dir/root", state => "$dir/root/state", runtime => "$dir/run", daemon => $g->daemon_keys, guests => $guest)->start;
$d->ctl('wait', 'childhurd', '--for', 'ready', '--timeout', '180s');
is($d->{status}, 0, 'a guest of root\'s daemon becomes ready');
ok_build($g->build('rooted'), 240, 'a build by root\'s daemon', 'rooted');
note at 'the end of root\'s';
done_testing;
