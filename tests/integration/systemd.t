# SPDX-License-Identifier: GPL-3.0-or-later
# The installed units under a real systemd as process 1, with real guests: ready and its status text, reload, the daemon
# stopped, restarted, killed and hanging while QEMUs run on, the guests' unit, the order of a shutdown, the sandbox.
#
#   a   starts with the daemon, and is to live through all of it in one and the same QEMU
#   b   too, but somebody stops it: no start of the daemon may bring it back
#   c   has no autostart: nobody asks for it
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Temp qw(tempdir);
use JSON::PP;
use Systemd;
use Test::More;

my $SCORE = 2.5;    # of `systemd-analyze security`, at most; 10 would be no sandbox at all

my $image = Childhurd::need_image('linux');
my $dir   = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 1);
my $m     = Systemd->new(dir => $dir, files => { '/srv/linux.qcow2' => $image })->boot->install;
my $id    = Childhurd::free_id(3);
my $ini   = "[defaults]\nimage = /srv/linux.qcow2\nmemory-size = 256M\n"
  . "[guest a]\nid = $id\n[guest b]\nid = ${\ ($id + 1)}\n[guest c]\nid = ${\ ($id + 2)}\nautostart = no\n";
my $file = '/etc/childhurd/childhurd.ini';

sub ctl { return $m->run('childhurdctl', @_) }

# name => what List says of it.
sub guests {
    my $text = ctl('list', '--json');
    return {} if $m->{status};
    return { map { $_->{name} => $_ } @{ decode_json($text)->{guests} } };
}

sub qemu {
    my $text = ctl('status', $_[0], '--json');
    return $m->{status} ? 0 : decode_json($text)->{guests}[0]{pid} // 0;
}

# A property of childhurdd.service.
sub show {
    chomp(my $value = $m->run('systemctl', 'show', '--value', '-p', $_[0], $_[1] // 'childhurdd'));
    return $value;
}

# What the three do.
sub coming {
    my $guests = guests();
    return map { $guests->{$_}{state} =~ /^(?:starting|booting)$/ ? 'comes up' : $guests->{$_}{state} } qw(a b c);
}

sub is_ready {
    my ($what) = @_;
    my $text = ctl('wait', 'a', '--for', 'ready', '--timeout', '2min');
    is($m->{status}, 0, $what) or diag($text, $m->journal('-n', 40));
}

# The priority of the newest line of the journal that fits.
sub priority {
    my ($pattern) = @_;
    for (reverse split /\n/, $m->journal('-o', 'json', '--output-fields=MESSAGE,PRIORITY')) {
        my $entry = decode_json($_);
        return $entry->{PRIORITY} if !ref $entry->{MESSAGE} && $entry->{MESSAGE} =~ $pattern;
    }
    return 'no such line';
}

# --- what is installed ---

my @units = map { "/usr/local/lib/systemd/system/$_.service" } qw(childhurdd childhurd-guests childhurd-report);
is($m->run('systemd-analyze', 'verify', '--man=no', @units), '', 'systemd-analyze has nothing to say of the units');
is($m->{status}, 0, 'and verifies them');
my $worst = 0;
for (@units) {
    my ($score) = $m->run('systemd-analyze', 'security', '--offline=true', '--no-pager', $_) =~ /exposure level for .*: ([\d.]+)/;
    cmp_ok($score // 10, '<=', $SCORE, 'the sandbox of ' . s{.*/}{}r . " has the score $score");
    $worst = $score // 10 if ($score // 10) > $worst;
}
note("RESULT systemd.security $worst points");
like($m->run('id', 'childhurd'), qr/\(childhurd\) groups=.*\(kvm\)/, 'the user is in the group kvm');
like($m->run('getent', 'group', 'childhurd-admin'), qr/^childhurd-admin:/, 'there is a group for those who may give orders');
$m->run('systemctl', 'start', 'childhurdd');
is(show('ActiveState'), 'inactive', 'without a configuration nothing is started');
is($m->{status}, 0, 'and nothing fails');

# --- start ---

$m->write($file, "[guest a]\nimgae = /srv/linux.qcow2\n");
$m->run('systemctl', 'start', 'childhurdd');
isnt($m->{status}, 0, 'a start with a bad configuration fails');
is(priority(qr{^\Q$file\E:2: .*imgae}), 3, 'which the journal has as an error, with file and line');
$m->must('systemctl', 'stop', 'childhurdd');
$m->must('systemctl', 'reset-failed');
$m->write($file, $ini);
$m->must('systemctl', 'start', 'childhurdd');
ctl('list');
is($m->{status}, 0, 'systemctl start returns when the control socket answers');
like(show('StatusText'), qr/^\d of 3 ready$/, 'the status text counts');
$m->must('systemctl', 'start', 'childhurd-guests');
is_deeply([coming()], ['comes up', 'comes up', 'stopped'], 'those with autostart come up, and only those');
ctl('stop', 'b', '--wait', '--timeout', '60s');
is($m->{status}, 0, 'somebody stops b');
is_ready('a becomes ready');
is(show('StatusText'), '1 of 3 ready', 'the status text says how many');
is(priority(qr/^a: ready: /), 6, 'what happens is info in the journal');

# --- what runs, and as whom ---

my $qemu = qemu('a');
like($m->run('cat', "/proc/$qemu/comm"), qr/^qemu-system/, 'QEMU runs');
my @group = split ' ', $m->run('cat', '/sys/fs/cgroup/system.slice/childhurdd.service/cgroup.procs');
is_deeply([sort @group], [sort(show('MainPID'), $qemu)], 'the daemon and its QEMU are alone in the unit\'s group');
is($m->run('stat', '-c', '%U:%G', map { "/proc/$_" } @group), "childhurd:childhurd\n" x 2, 'all as the user childhurd');
is($m->run('grep', '-hE', '^(CapEff|CapBnd|NoNewPrivs|Seccomp):', "/proc/$qemu/status") =~ s/\s+/ /gr,
    'CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ', 'with no capability and no way to one');
is($m->run('stat', '-c', '%a %U', '/run/childhurd', '/run/childhurd/machines.scm', '/run/childhurd/ssh_config', '/var/lib/childhurd', '/var/lib/childhurd/a'),
    "755 childhurd\n644 childhurd\n644 childhurd\n755 childhurd\n700 childhurd\n", 'what is published can be read, what is not cannot');
is($m->run('stat', '-c', '%a %U:%G', '/run/childhurd/control'), "660 childhurd:childhurd\n", 'the socket is the group\'s');
unlike($m->journal('-g', '^acceleration with'), qr/denied|not permitted/i, '/dev/kvm is in reach') if -e '/dev/kvm';
like(ctl('ssh', 'a', 'id -un'), qr/^root$/m, 'childhurdctl ssh works');
ctl('screenshot', 'a', '/tmp/a.png');
is($m->run('head', '-c', 4, '/tmp/a.png'), "\x89PNG", 'and screenshot does');

# --- the example of a report, which is not enabled ---

is($m->run('systemctl', 'is-enabled', 'childhurd-report.timer'), "disabled\n", 'the timer of reports is there, and does nothing');
my $timer = '/usr/local/lib/systemd/system/childhurd-report.timer';
is($m->run('systemd-analyze', 'verify', '--man=no', $timer), '', 'systemd-analyze has nothing to say of it');
$m->must('systemctl', 'start', 'childhurd-report');
is($m->run('stat', '-c', '%a %U', '/var/lib/childhurd-report', '/var/lib/childhurd-report/index.html'), "755 childhurd\n644 childhurd\n",
    'its service writes a report, which a web server can read');
like($m->run('cat', '/var/lib/childhurd-report/guest-a.html'), qr{<title>a \S+ .*ready.*</html>}s, 'with a page for each guest');
$m->must('systemctl', 'enable', '--now', 'childhurd-report.timer');
like($m->run('systemctl', 'list-timers', '--no-pager'), qr/childhurd-report\.service/, 'enabled, it waits for its time');
$m->must('systemctl', 'disable', '--now', 'childhurd-report.timer');

# --- reload ---

$m->write($file, "$ini\[guest d]\nautostart = no\nid = 0\n");
$m->run('systemctl', 'reload', 'childhurdd');
is($m->{status}, 0, 'a reload') or diag($m->journal('-n', 20));
is((guests()->{d} // {})->{state}, 'stopped', 'changes what it should');
is(show('StatusText'), '1 of 4 ready', 'and the status text');
$m->write($file, "$ini\[guest d]\nid = 0\nmemory-size = lots\n");
$m->run('systemctl', 'reload', 'childhurdd');
isnt($m->{status}, 0, 'a reload with an error fails');
# journald may not learn whose words those of a process that has ended are.
ok($m->wait_until(60, 'it is in the journal', sub { $m->journal =~ m{\Q$file\E:\d+: .*lots} }), 'and the journal says which');
is(priority(qr/^reload: nothing was changed/), 4, 'a warning');
is(show('ActiveState'), 'active', 'the daemon goes on');
is((guests()->{d} // {})->{state}, 'stopped', 'with what it had');
$m->write($file, $ini);
$m->must('systemctl', 'kill', '--kill-who=main', '--signal=HUP', 'childhurdd');
$m->wait_until(60, 'a reload by SIGHUP', sub { !guests()->{d} && show('SubState') eq 'running' });
is(show('StatusText'), '1 of 3 ready', 'SIGHUP reloads as well, and systemd hears its end');

# --- the daemon goes, the guests stay ---

$m->must('systemctl', 'stop', 'childhurdd');
is(show('ActiveState', 'childhurd-guests'), 'active', 'a stop of the daemon is none of the guests');
like($m->run('cat', "/proc/$qemu/comm"), qr/^qemu-system/, 'QEMU runs on');
like($m->run('cat', "/proc/$qemu/cgroup"), qr{^0::/system.slice/childhurdd.service$}m, 'where it was');
like($m->run('cat', '/run/childhurd/machines.scm'), qr/build-machine/, 'what is published stays');
# From here on a daemon that hangs is noticed soon.
$m->write('/etc/systemd/system/childhurdd.service.d/test.conf', "[Service]\nWatchdogSec=3\n");
$m->must('systemctl', 'daemon-reload');
$m->must('systemctl', 'start', 'childhurdd');
is_ready('the next daemon takes a over');
is(qemu('a'), $qemu, 'in the same QEMU');
is(guests()->{b}{state}, 'stopped', 'what somebody stopped stays so');
$m->must('systemctl', 'restart', 'childhurdd');
is_ready('a restart of the unit');
is(qemu('a'), $qemu, 'leaves QEMU alone');

my %kills = (KILL => 'is killed', STOP => 'hangs');
my $restarts = show('NRestarts');
for my $signal (sort keys %kills) {
    my $pid = show('MainPID');
    $m->must('systemctl', 'kill', '--kill-who=main', "--signal=$signal", 'childhurdd');
    $restarts++;
    ok($m->wait_until(60, 'another daemon', sub { show('NRestarts') == $restarts && show('ActiveState') eq 'active' && show('MainPID') != $pid }),
        "a daemon that $kills{$signal} is replaced");
    is_ready('which takes a over');
    is(qemu('a'), $qemu, 'in the same QEMU');
}
like($m->journal('-u', 'childhurdd'), qr/Watchdog timeout/, 'it was the watchdog that noticed');

# --- the guests' unit, and the end of the host ---

# What a shutdown does with the services, but the journal and this test's own way in stay.
$m->write('/etc/systemd/system/down.target', "[Unit]\nRequires=sysinit.target systemd-journald.service\nAllowIsolate=yes\n");
$m->must('systemctl', 'daemon-reload');
$m->must('systemctl', 'isolate', 'down.target');
ok($m->wait_until(60, 'the services are down', sub { show('ActiveState') eq 'inactive' }), 'the host goes down, and the daemon with it');
my $journal = $m->journal('-u', 'childhurdd', '-u', 'childhurd-guests');
like($journal, qr/a: stopped: stopped by childhurd\b.*ending on Terminated; no guest runs\n/s, 'but first the guests are stopped');
like($m->run('cat', '/var/lib/childhurd/a/console.log'), qr/halt/, 'gracefully');
is($m->run('cat', '/sys/fs/cgroup/system.slice/childhurdd.service/cgroup.procs') =~ s/.*No such file.*\n//r, '', 'no QEMU is left');
$m->must('systemctl', 'start', 'childhurd-guests');
is(show('ActiveState'), 'active', 'the guests\' unit brings the daemon along');
is_deeply([coming()], ['comes up', 'comes up', 'stopped'], 'and starts all with autostart, also the one that somebody had stopped');
$m->must('systemctl', 'stop', 'childhurd-guests');
is(join(' ', map { $_->{state} } values %{ guests() }), 'stopped stopped stopped', 'its stop stops all');
is(show('ActiveState'), 'active', 'and leaves the daemon');

$m->stop;
is_deeply([$m->pids(qr/./)], [], 'nothing of the machine is left');
done_testing;
