# SPDX-License-Identifier: GPL-3.0-or-later
# The installed services under the real GNU Shepherd: what herd does to the guests, and what it leaves alone. shepherd runs
# in a Debian sid; childhurdd, built for this host, has this host's root from there.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Guix;
use Test::More;
use Time::HiRes qw(sleep time);

my $image = Childhurd::need_image('linux');
my $begun = time;
sub at { return sprintf '[%.0f s] %s', time - $begun, join '', @_ }

my $dir = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
chmod 0755, $dir;
my $id  = Childhurd::free_id(2);
my $sid = Guix->new(dir => $dir, name => 'sid', host => 1);
my $d   = Childhurd->new(dir => $dir, guests => <<"INI");
[guest childhurd]
count = 2
id = $id
image = $image
memory-size = 256M
probe-interval = 2s
INI
$d->{log} = "$dir/childhurdd.log";
$sid->enter;
my $installed = `make -s B=$Childhurd::BUILD DESTDIR=$dir/installed PREFIX=/usr install 2>&1`;
is($?, 0, 'make install') or diag $installed;

# The programs as shepherd sees them.
mkdir "$dir/bin";
mkdir "$dir/herd", 0700;
for my $path ('sbin/childhurdd', 'bin/childhurdctl') {
    my ($name) = $path =~ m{/(.*)};
    Childhurd::spew("$dir/bin/$name", "#!/bin/sh\nexec chroot /host $dir/installed/usr/$path \"\$@\"\n");
    chmod 0755, "$dir/bin/$name";
}
my $settings = qq(#:daemon "$dir/bin/childhurdd" #:control "$dir/bin/childhurdctl" #:socket "$dir/run/control");
my $control  = $settings =~ s/#:daemon \S+ //r;
Childhurd::spew("$dir/shepherd.scm", <<"SCM");
(add-to-load-path "$dir/installed/usr/share/childhurd/guile")
(use-modules (childhurd))
(register-services
 (append (childhurd-services $settings #:configuration "$dir/childhurd.ini" #:log-file "$dir/childhurdd.log"
                             #:respawn-limit '(2 . 600))
         (childhurd-guest-services '("childhurd1" "childhurd2") $control)))
SCM
my $shepherd = $sid->begin_to("$dir/shepherd.log", 'shepherd', '--config', "$dir/shepherd.scm", '--socket', "$dir/herd/socket",
    '--logfile', "$dir/shepherd.messages");
$d->wait_until(60, 'shepherd answers', sub { herd('status', 'childhurd'); $sid->{status} == 0 })
    or Childhurd::cannot("shepherd does not take the services:\n" . Childhurd::slurp("$dir/shepherd.log"));

# herd with these arguments: what it says; its exit status is in $sid->{status}.
sub herd { return $sid->run(300, 'herd', '-s', "$dir/herd/socket", @_) }

# That a service runs, is starting, stopping or stopped, in herd's words.
sub said_of { my ($service) = @_; return herd('status', $service) =~ /^  It is (running|starting|being stopped|stopped)/m ? $1 : '?' }

sub daemon_pid { return herd('status', 'childhurdd') =~ /^  Main PID: (\d+)/m ? $1 : 0 }

sub qemus { return { map { $_ => $d->qemu($_) } qw(childhurd1 childhurd2) } }

# How often a guest was halted in its own way.
sub halts { my ($name) = @_; return scalar(() = Childhurd::slurp("$dir/state/$name/console.log") =~ /^guest: halting/mg) }

sub ready {
    my ($when, @names) = @_;
    @names = ('--all') unless @names;
    $d->ctl('wait', @names, '--for', 'ready', '--timeout', '5min');
    is($d->{status}, 0, "$when @names: ready");
}

# --- start ---
is(said_of('childhurd'), 'stopped', 'at first the guests are stopped');
my $out = herd('start', 'childhurd');
is($sid->{status}, 0, 'herd start childhurd') or diag $out;
like($out, qr/childhurd1: .*childhurd2: /s, '... tells what the guests do');
is(said_of('childhurdd'), 'running', '... and has started the daemon');
ready('after herd start');
note at 'both are ready';
$out = herd('status', 'childhurd');
like($out, qr/childhurd1 +ready .*childhurd2 +ready /s, 'herd status childhurd tells how the guests are');
like($out, qr/It is running since/, '... and that the service runs');
is(said_of('hurd-vm'), 'running', 'hurd-vm is another name of it');
$out = herd('status');
like($out, qr/childhurd\b.*childhurdd\b/s, 'herd status has both') or diag $out;
is(said_of('childhurd1'), 'running', 'the services of single guests follow');

# --- the daemon goes, the guests stay ---
my $qemus  = qemus();
my $before = daemon_pid();
ok($before && $qemus->{childhurd1} && $qemus->{childhurd2}, 'the processes are known');
$out = herd('restart', 'childhurdd');
is($sid->{status}, 0, 'herd restart childhurdd') or diag $out;
isnt(daemon_pid(), $before, '... is another daemon');
is_deeply(qemus(), $qemus, '... with the same guests');
is(said_of('childhurd'), 'running', '... which herd has not stopped');
ready('after the restart');

$before = daemon_pid();
$sid->run(10, 'kill', '-KILL', $before);
ok($d->wait_until(60, 'another daemon answers', sub { my $now = daemon_pid(); $now && $now != $before }), 'a daemon that is killed is respawned');
is_deeply(qemus(), $qemus, '... with the same guests');
ready('after the kill');

herd('stop', 'childhurdd');
is($sid->{status}, 0, 'herd stop childhurdd');
is(scalar $d->all_qemus, 2, '... leaves the guests alone');
is(said_of('childhurd'), 'running', '... and their service');
like(herd('status', 'childhurd'), qr/no childhurdd at/, '... of which nothing can be told now');
Childhurd::spew("$dir/good.ini", Childhurd::slurp("$dir/childhurd.ini"));
Childhurd::spew("$dir/childhurd.ini", "[guest childhurd]\ncount = none\n");
my $start = time;
$out = herd('start', 'childhurdd');
is($sid->{status}, 1, 'with an error in the configuration it is not started');
cmp_ok(time - $start, '<', Childhurd::seconds(15), '... which is said at once');
like($out, qr/has ended at once/, '... and where to look');
$d->said(qr/childhurd\.ini:2: .*count/, '... where the error is');
rename "$dir/good.ini", "$dir/childhurd.ini";

# --- one guest ---
$out = herd('start', 'childhurdd');
is($sid->{status}, 0, 'when that is fixed, it is') or diag $out;
is_deeply(qemus(), $qemus, '... and the guests run as before');
ready('the next daemon has');
$out = herd('drain', 'childhurd1');
is($sid->{status}, 0, 'herd drain childhurd1') or diag $out;
is($d->state('childhurd1'), 'draining', '... is done');
herd('undrain', 'childhurd1');
is($d->state('childhurd1'), 'ready', '... and herd undrain childhurd1');
herd('stop', 'childhurd1');
is($sid->{status}, 0, 'herd stop childhurd1');
is($d->state('childhurd1'), 'stopped', '... stops it');
is($d->state('childhurd2'), 'ready', '... alone');
is(said_of('childhurd'), 'running', '... and the service of all runs');
like(herd('status', 'childhurd1'), qr/^childhurd1 +stopped /m, '... and its status tells of it');
like(herd('reload', 'childhurdd'), qr/nothing has changed/, 'herd reload childhurdd');

# --- stop ---
my $stop = $sid->begin('herd', '-s', "$dir/herd/socket", 'stop', 'hurd-vm');
ok($d->wait_until(60, 'it is being stopped', sub { said_of('childhurd') eq 'being stopped' || $sid->over($stop) }) && !$sid->over($stop),
    'shepherd answers while guests are stopped');
$out = $sid->finish($stop, 300);
is($sid->{status}, 0, 'herd stop hurd-vm') or diag $out;
is(scalar $d->all_qemus, 0, '... ends all guests');
is(halts($_), 1, "... gracefully: $_") for qw(childhurd1 childhurd2);
is(said_of('childhurd'), 'stopped', '... and is stopped');
is(said_of('childhurdd'), 'running', '... and the daemon goes on');
note at 'all are stopped';

# --- guests that no daemon looks after are stopped all the same ---
herd('start', 'childhurd2');
ready('alone', 'childhurd2');
my $halts = halts('childhurd2');
herd('stop', 'childhurdd');
is(scalar $d->all_qemus, 1, 'one guest, and no daemon');
$out = herd('stop', 'childhurd2');
is($sid->{status}, 0, 'herd stop childhurd2') or diag $out;
is(scalar $d->all_qemus, 0, '... stops it');
is(halts('childhurd2'), $halts + 1, '... gracefully');
is(said_of('childhurdd'), 'stopped', '... and the daemon that was needed for it');
note at 'a guest without daemon is stopped';

# --- asleep ---
herd('start', 'childhurdd');
$out = herd('sleep', 'childhurd2');
is($sid->{status}, 0, 'herd sleep childhurd2') or diag $out;
is($d->state('childhurd2'), 'asleep', '... which it does');
$out = herd($_, 'childhurd2'), is($sid->{status}, 0, "herd $_ childhurd2") || diag $out for 'reset', 'reset-cold';
is($d->state('childhurd2'), 'asleep', '... and it sleeps on');
herd('stop', 'childhurdd');

# --- another user's daemon: it is enough to see how it is started ---
Childhurd::spew("$dir/bin/childhurdd-who", "#!/bin/sh\nid > $dir/who/is\nenv >> $dir/who/is\n");
chmod 0755, "$dir/bin/childhurdd-who";
mkdir "$dir/who";
chmod 0777, "$dir/who";
my $other = $settings =~ s/childhurdd"/childhurdd-who"/r;
Childhurd::spew("$dir/other.scm", qq((use-modules (childhurd))\n(register-services (childhurd-services $other #:user "daemon" #:supplementary-groups '("users")))\n));
$out = herd('load', 'root', "$dir/other.scm");
is($sid->{status}, 0, 'services are replaced') or diag $out;
$out = herd('start', 'childhurdd');
like($out, qr/has ended at once/, 'what is no daemon is not started');
my $who = Childhurd::slurp("$dir/who/is");
like($who, qr/^uid=1\(daemon\) gid=1\(daemon\) groups=1\(daemon\),100\(users\)$/m, '#:user gives it a user, his group and no more')
    or diag $out;
like($who, qr/^\Q$_\E$/m, "... and $_") for qw(XDG_CONFIG_HOME=/etc XDG_STATE_HOME=/var/lib XDG_RUNTIME_DIR=/run);
Childhurd::spew("$dir/other.scm", qq((use-modules (childhurd))\n(childhurd-services #:user "daemon" #:group #f)\n));
like(herd('load', 'root', "$dir/other.scm"), qr/#:group is not there when #:user is/, '... but never without a group');

herd('stop', 'root');
$sid->finish($shepherd, 60);
is($sid->{status}, 0, 'herd stop root ends shepherd');

# --- an ordinary user's shepherd, with all in its usual place; everything is stopped: the guests first, then the daemon ---
my $home = "$dir/home";
make_path("$home/config/childhurd", "$home/config/shepherd", "$home/state", "$home/run");
copy($image, "$home/image.qcow2") or die "$home/image.qcow2: $!";
my $u = Childhurd->new(
    dir      => $home,
    defaults => 1,
    file     => "$home/config/childhurd/childhurd.ini",
    state    => "$home/state/childhurd",
    runtime  => "$home/run/childhurd",
    guests   => "[guest mine]\nid = $id\nimage = $home/image.qcow2\nmemory-size = 256M\n",
);
$u->{log} = "$home/state/shepherd/shepherd.log";
# chroot needs a capability; childhurdd gets none.
for my $name (qw(childhurdd childhurdctl)) {
    my $text = Childhurd::slurp("$dir/bin/$name") =~ s{/host }{/host setpriv --inh-caps -all --ambient-caps -all }r;
    Childhurd::spew("$dir/bin/$name", $text);
}
Childhurd::spew("$home/config/shepherd/init.scm", <<"SCM");
(add-to-load-path "$dir/installed/usr/share/childhurd/guile")
(use-modules (childhurd))
(register-services (childhurd-services #:daemon "$dir/bin/childhurdd" #:control "$dir/bin/childhurdctl"))
(start-in-the-background '(childhurd))
SCM
is(system('chown', '-R', '65534:65534', $home), 0, 'a home of somebody');
my @user = (qw(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps +sys_chroot --ambient-caps +sys_chroot env),
    "HOME=$home", "XDG_CONFIG_HOME=$home/config", "XDG_STATE_HOME=$home/state", "XDG_RUNTIME_DIR=$home/run");
$shepherd = $sid->begin_to("$dir/user-shepherd.log", @user, 'shepherd');
ok($u->wait_until(60, 'the daemon answers', sub { $u->ctl('list'); $u->{status} == 0 }), 'a user\'s shepherd starts the daemon')
    or diag Childhurd::slurp("$dir/user-shepherd.log");
$u->ctl('wait', '--all', '--for', 'ready', '--timeout', '5min');
is($u->{status}, 0, '... and the guest: ready');
my ($qemu) = $u->all_qemus;
is((stat "/proc/$qemu")[4], 65534, '... which runs as that user');
like(Childhurd::slurp("/proc/$qemu/status"), qr/^CapEff:\t0+$/m, '... without capabilities');
$out = $sid->run(300, @user, qw(herd status childhurd));
like($out, qr/^mine +ready .*It is running since/ms, 'herd status childhurd tells of it') or diag $out;
$sid->run(300, @user, qw(herd stop root));
$sid->finish($shepherd, 60);
is($sid->{status}, 0, 'herd stop root ends shepherd');
is(scalar $u->all_qemus, 0, '... and the guest');
like($u->log, qr/mine: stopped: .*ending on Terminated; no guest runs/s, '... before the daemon') or diag $u->log;
like(Childhurd::slurp("$u->{state}/mine/console.log"), qr/^guest: halting/m, '... gracefully');
note at 'the end';
done_testing;
