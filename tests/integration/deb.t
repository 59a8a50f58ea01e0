# SPDX-License-Identifier: GPL-3.0-or-later
# The Debian package's whole life, in a machine with a real systemd: built, looked at by lintian, installed without a
# configuration and then with one, upgraded below running guests, removed, also where no daemon stops the guests, purged.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use Guide;
use POSIX ();
use Systemd;
use Test::More;

my $image = Childhurd::need_image('linux');
my $dir   = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
END {
    my $status = $?;
    remove_tree($dir) unless !$dir || $ENV{CHILDHURD_KEEP};
    $? = $status;
}

# A command on the host; its output with its errors, its exit status in $?.
sub run {
    my (@argv) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec { $argv[0] } @argv or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return $text;
}

# --- it is built ---
# What the compiler optimizes, this test does not see.
local $ENV{DEB_BUILD_OPTIONS} = 'noopt';
my $text = Childhurd::make('deb', "B=$dir/build");
my ($deb) = $text =~ /^(\S+)\n\z/m;
like($deb, qr{^\Q$dir\E/build/childhurd_\d\S*_\w+\.deb$}, 'make deb says where the package is, last');
ok(-s $deb, '... and there it is') or Childhurd::cannot('without a package there is no more to test');
$text = run('lintian', '--allow-root', '--fail-on', 'error,warning', $deb);
is($?,    0,  'lintian finds neither errors nor warnings');
is($text, '', '... and has nothing to say');

# The next version: the same, under a higher number.
my ($version) = run('dpkg-deb', '-f', $deb, 'Version') =~ /(\S+)/;
my $next = "$dir/next.deb";
run('dpkg-deb', '-R', $deb, "$dir/next");
run('sed', '-i', "s/^Version: .*/&+next/", "$dir/next/DEBIAN/control");
run('dpkg-deb', '--root-owner-group', '-b', "$dir/next", $next);
is(run('dpkg-deb', '-f', $next, 'Version'), "$version+next\n", 'a higher version is made of it');

# --- it is installed where nothing is configured ---
my $m = Systemd->new(dir => $dir, files => { '/srv/build/childhurd_1_amd64.deb' => $deb, '/srv/next.deb' => $next, '/srv/hurd.qcow2' => $image });
$m->boot;
# The folder is made without documentation; the package brings its own.
$m->must('sh', '-c', 'grep -rl path-exclude /etc/dpkg/dpkg.cfg.d | xargs -r rm');

# All files of the machine but what programs that are not ours keep for themselves.
sub files {
    my %kept;
    my $own = qr{^/(?:proc|sys|dev|run|tmp|srv)/|^/var/(?:log|cache|tmp|backups)/|^/var/lib/(?:dpkg|apt|systemd)/};
    $kept{$_} = 1 for grep { !m{$own} } split /\n/, $m->must('find', '/', '-xdev', '-print');
    return %kept;
}

sub apt {
    my (@arguments) = @_;
    return $m->run('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-o', 'Dpkg::Use-Pty=0', '-y', @arguments);
}
my %before = files();

# What the guide tells to do.
my @guide = Guide::commands('debian');
sub guide { return $m->run('env', 'DEBIAN_FRONTEND=noninteractive', 'sh', '-exc', 'cd /srv; ' . shift @guide) }

$text = guide();
is($m->{status}, 0, 'apt installs it: all that it depends on is in the test\'s machine') or diag($text);
is($m->run('systemctl', '--failed', '--plain', '--no-legend'), '', 'without a configuration nothing fails');
like($m->run('systemctl', 'status', 'childhurdd'), qr{/etc/childhurd}, 'and the unit\'s status names what it waits for');
is($m->run('systemctl', 'is-enabled', $_), "enabled\n", "$_ is enabled") for qw(childhurdd childhurd-guests);
like($m->run('getent', 'passwd', 'childhurd'), qr/^childhurd:/, 'there is a user childhurd');
$text = $m->run('ls', map { "/usr/share/doc/childhurd/$_" } qw(README.md NEWS COPYING copyright changelog.gz childhurd.ini.example docs/manual.md docs/states.svg docs/grafana.json));
is($m->{status}, 0, 'its documentation is there') or diag($text);

# --- it is configured and started ---
$m->write('/etc/childhurd/conf.d/small.ini', "[defaults]\nmemory-size = 256M\n");
$text = guide();
is($m->{status}, 0, 'with a configuration, check has nothing against it') or diag($text);
$text = guide();
is($m->{status}, 0, 'two guests are started and become ready') or diag($text, $m->journal('-u', 'childhurdd', '-n', 40));
like($text, qr/^childhurd2 +ready .*^Linux childhurd /ms, '... are listed, and one can be logged in to') or diag($text);
is(scalar @guide, 0, 'which is all that the guide tells to do');

sub published {
    return scalar(() = $m->run('cat', '/run/childhurd/machines.scm') =~ /\(build-machine/g);
}
sub main_pid { return $m->run('systemctl', 'show', '-P', 'MainPID', 'childhurdd') }
my $BOOT = '/proc/sys/kernel/random/boot_id';
is(published(), 2, 'both are published');
my @qemus = $m->pids(qr/^qemu-system/);
is(scalar @qemus, 2, 'each has its QEMU');
my %boot = map { $_ => $m->run('childhurdctl', 'ssh', $_, "cat $BOOT") } qw(childhurd1 childhurd2);
my $daemon = main_pid();

# --- it is upgraded while they run ---
$text = apt('install', '/srv/next.deb');
is($m->{status}, 0, 'it is upgraded') or diag($text);
is($m->run('dpkg-query', '-Wf', '${Version}', 'childhurd'), "$version+next", '... to the higher version');
isnt(main_pid(), $daemon, 'the daemon is another one');
$text = $m->run('childhurdctl', 'wait', '--all', '--for', 'ready', '--timeout', '60s');
is($m->{status}, 0, '... and has taken over the guests') or diag($text);
is_deeply([ $m->pids(qr/^qemu-system/) ], \@qemus, 'their QEMUs are the same');
is($m->run('childhurdctl', 'ssh', $_, "cat $BOOT"), $boot{$_}, "$_ runs on, in the same boot") for qw(childhurd1 childhurd2);
ok($m->wait_until(60, 'both are published', sub { published() == 2 }), 'both are published again');
is($m->run('systemctl', 'is-active', 'childhurd-guests'), "active\n", 'the guests\' unit was left alone');

# --- it is removed, when guests run without their daemon ---
$m->must('systemctl', 'stop', 'childhurdd');
is_deeply([ $m->pids(qr/^qemu-system/) ], \@qemus, 'the guests outlive the daemon');
$text = apt('remove', 'childhurd');
is($m->{status}, 0, 'it is removed') or diag($text);
like($text, qr/guests run without their daemon, which is started/, 'for which the daemon is started once more');
unlike($text, qr/which are ended/, '... and stops them');
is_deeply([ $m->pids(qr/^(?:qemu-system|childhurd)/) ], [], 'no process is left');
# By halt over SSH, or, on a host so busy that it had no answer just then, by the power button.
like($m->run('cat', "/var/lib/childhurd/$_/console.log"), qr/^guest: (?:halting|power button)/m, "$_ was shut down, not killed") for qw(childhurd1 childhurd2);
is($m->run('ls', '-d', '/run/childhurd'), "ls: cannot access '/run/childhurd': No such file or directory\n", 'nothing is published');
like($m->run('ls', '/var/lib/childhurd/childhurd1'), qr/^secrets$/m, 'the guests\' keys and disks are kept');
is($m->run('systemctl', '--failed', '--plain', '--no-legend'), '', 'nothing has failed');

# --- and purged ---
# What passes for a QEMU of the daemon.
sub fake_qemu {
    $m->must('sh', '-c', 'cp /bin/sleep /srv/qemu-system-fake && systemd-run --uid=childhurd --unit=fake /srv/qemu-system-fake 600');
    ok($m->wait_until(60, 'something like a QEMU runs', sub { scalar(my @fake = $m->pids(qr/^qemu-system-fak/)) }), 'something like a QEMU runs');
}
fake_qemu();
$text = apt('purge', 'childhurd');
isnt($m->{status}, 0, 'it is not purged below a QEMU');
like($text, qr/nothing is purged while QEMUs run.*: \d+ $/m, 'and says which');
$m->must('test', '-d', '/var/lib/childhurd/childhurd1/secrets');
$m->must('systemctl', 'stop', 'fake');
$text = apt('purge', 'childhurd');
is($m->{status}, 0, 'it is purged') or diag($text);
like($text, qr{removing the guests' disks and keys in /var/lib/childhurd}, 'which says what goes');
like($text, qr{$_ is kept}, "... and that $_ stays") for '/etc/childhurd', '/var/lib/childhurd';
my %after = files();
my @stay  = qw(/etc/childhurd /etc/childhurd/childhurd.ini /etc/childhurd/conf.d /etc/childhurd/conf.d/small.ini /var/lib/childhurd /var/lib/childhurd/images /var/lib/childhurd/images/hurd.qcow2);
is_deeply([ sort grep { !$before{$_} } keys %after ], \@stay, 'the configuration and the image are left, and nothing else');
is_deeply([ sort grep { !$after{$_} } keys %before ], [], 'what was there before is still there');

# --- where the daemon cannot be started, and the state is behind a symbolic link and on a mount point ---
$m->write('/etc/childhurd/conf.d/small.ini', "[defaults]\nmemory-size = much\n");
$text = apt('install', '/srv/next.deb');
is($m->{status}, 0, 'it is installed again, with a configuration that has errors') or diag($text);
$m->must('sh', '-exc', 'mv /var/lib/childhurd /srv/state; ln -s /srv/state /var/lib/childhurd
    mkdir /srv/state/a /srv/state/b; mount -t tmpfs tmpfs /srv/state/a; touch /srv/state/a/key /srv/state/b/key');
fake_qemu();
$text = apt('purge', 'childhurd');
is($m->{status}, 0, 'it is purged') or diag($text);
like($text, qr/ending QEMUs that no daemon could stop: \d+ $/m, 'which ends QEMUs that no daemon stops');
is_deeply([ $m->pids(qr/^qemu-system/) ], [], 'none of them is left');
is_deeply([ sort split /\n/, $m->must('find', '/srv/state', '-mindepth', 1, '-printf', '%P\n') ], [qw(a images images/hurd.qcow2)],
    'the link was followed, and the mount point is left') or diag($text);
like($text, qr{/var/lib/childhurd is kept.*mount points}, 'and named');
done_testing;
