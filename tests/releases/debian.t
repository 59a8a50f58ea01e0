# SPDX-License-Identifier: GPL-3.0-or-later
# The sources in other releases of Debian than the host's, with that release's compiler, libraries, libvirt and QEMU. In each:
#
#   compile   with warnings as errors
#   package   it is built by what it says it needs, lintian looks at it, and in a machine with that release's systemd it is
#             installed, a guest becomes ready, the daemon is restarted, and the package is purged, which leaves nothing
#   guests    the guests `linux` and `mach` are made by that release's tools
#   unit      all unit tests
#   NAME      tests/integration/NAME.t
#
#   make check-releases           CHILDHURD_RELEASES="trixie sid" and CHILDHURD_RELEASE_TESTS="package unit boot" choose
#
# The network is wanted for what is not kept in the cache. What sid lacks today is reported, and what it can do is tested.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use Release;
use Systemd;
use Test::More;
use Time::HiRes qw(time);

my @releases = split ' ', $ENV{CHILDHURD_RELEASES} // 'trixie sid';
my @tests    = split ' ', $ENV{CHILDHURD_RELEASE_TESTS} // 'package unit boot keys die guests warm guix';
# One kill of the daemon takes a second, so there are fewer of them here.
my $rounds = $ENV{CHILDHURD_ROUNDS} // 40;
# What bootstrap installs for tests that are not run here.
my $OTHERS = 'chromium zsh fish bash-completion man-db libfaketime git';

for my $name (@releases) {
    Childhurd::cannot("CHILDHURD_RELEASES: there is no $name; there are trixie and sid") unless $name =~ /^(?:trixie|sid)$/;
}
for my $name (@tests) {
    Childhurd::cannot("CHILDHURD_RELEASE_TESTS: there is no test $name") unless $name =~ /^(?:package|unit)$/ || -e "tests/integration/$name.t";
}
my $image = Childhurd::need_image('linux');
my $dir   = tempdir('/var/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
my $logs  = "$Childhurd::BUILD/releases";
my @table;
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);    # nothing is left then, either
END {
    my $status = $?;
    Release::leave_all();
    remove_tree($dir) unless !$dir || $ENV{CHILDHURD_KEEP};
    $? = $status;
}

# One line of the table at the end, which is also a test's name. The file is for whoever cannot wait.
sub row {
    push @table, sprintf '%-8s %-8s %s', @_;
    Childhurd::spew("$logs/table", join '', map { "$_\n" } @table);
    return $table[-1];
}

sub seconds_since { my ($begun) = @_; return sprintf '%d s', time - $begun }

# A stage: the code gives '' or what is wrong, and whether it is that the archive does not give something: sid may.
sub stage {
    my ($r, $name, $what, $code) = @_;
    my $begun = time;
    my ($wrong, $lacking) = $code->();
    return lacks($r, $name, $wrong) if $lacking && $r->{suite} eq 'sid';
    my $good = ok(!$wrong, row($r->{suite}, $name, ($wrong ? 'FAILED' : $what) . ', ' . seconds_since($begun)));
    diag $wrong unless $good;
    return $good;
}

# Debian's own lack; false.
sub lacks {
    my ($r, $name, $words) = @_;
    my ($why) = $words =~ /^((?:E|guest \S+): (?!not made).*)/m;
    $why //= $words =~ s/\s+/ /gr;
    row($r->{suite}, $name, "not run: $why");
  SKIP: { skip "$r->{suite}: $name: $why", 1 }
    return 0;
}

# --- in the release

sub versions {
    my ($r) = @_;
    return split /\n/, $r->run(<<'SH');
echo "gcc $(cc -dumpfullversion), C library $(ldd --version | sed -n '1s/.* //p'), perl $(perl -e 'printf "%vd", $^V')"
for p in glib-2.0 libvirt libssh json-glib-1.0 sqlite3 libarchive ext2fs; do printf '%s %s, ' $p "$(pkg-config --modversion $p)"; done; echo
[ ! -e /usr/bin/qemu-img ] || echo "QEMU $(qemu-system-x86_64 --version | sed -n '1s/.*version //p'), OpenSSH $(ssh -V 2>&1)"
SH
}

sub package_built {
    my ($r) = @_;
    my $said = $r->run(<<'SH');
useradd --create-home builder
mkdir /tmp/builder
tar -c --exclude=./build . | tar -x -C /tmp/builder
chown -R builder /tmp/builder
cd /tmp/builder
as_builder() { setpriv --reuid=builder --regid=builder --clear-groups env HOME=/home/builder "$@"; }
as_builder make -s deb > /dev/null
cp build/childhurd_*.deb build/deb/log /out
as_builder lintian --fail-on error,warning /out/*.deb
rm -r /tmp/builder
echo lintian has seen it
SH
    return $said if $said !~ /\Alintian has seen it$/m || $r->{status};
    # Debian 13 diverts a library of its own, which dpkg-shlibdeps finds worth a word.
    return join '', grep { /warning/i && !/: warning: diversions involved/ } split /^/, Childhurd::slurp("$r->{out}/log");
}

sub installed {
    my ($r, $script) = @_;
    my $said = $r->fetch($script);
    return $r->{status} ? ($said || "apt ended with status $r->{status}", 1) : '';
}

# What the tests need, by bootstrap's own lists and with the users that it makes.
sub tests_installed {
    my ($r) = @_;
    return installed($r, <<"SH");
sed '/^jobs=/,\$d' bootstrap > /tmp/lists
. /tmp/lists
fetched install \$(printf '%s\n' \$build \$run \$guests \$check | grep -vxF "\$(printf '%s\n' $OTHERS)")
apt autoclean
users
SH
}

# A guest that has been made by the release's own tools.
sub guest_made {
    my ($r, $name) = @_;
    my $said = $r->fetch("tests/guests/make $name");
    return $said =~ m{^/var/cache/childhurd/guests/$name-\w+(?:\.qcow2)?$}m && !$r->{status} ? '' : ($said, $r->{status} == 3);
}

# What `make check` says of its end: how many passed, or what is wrong.
sub tested {
    my ($r, $name, $path) = @_;
    my $begun = time;
    my $said  = $r->run("make -s check TESTS=$path", "CHILDHURD_ROUNDS=$rounds");
    make_path("$logs/$r->{suite}");
    Childhurd::spew("$logs/$r->{suite}/$name", $said);
    my ($files, $tests) = $said =~ /^Files=(\d+), Tests=(\d+),/m;
    my ($skipped) = $said =~ /^Skipped:\n(.*)/ms;
    my @skipped = split /\n/, $skipped // '';
    return lacks($r, $name, $skipped) if $r->{suite} eq 'sid' && $said =~ /^Result: NOTESTS/m && @skipped;
    my $good = !$r->{status} && $tests && $said =~ /^Result: PASS$/m;
    my $line = $good ? "$tests passed" : 'FAILED: ' . failures($said, $tests);
    $line .= " in $files programs" if ($files // 0) > 1;
    $line .= ', ' . @skipped . ' of them skipped' if @skipped;
    ok($good, row($r->{suite}, $name, "$line, " . seconds_since($begun))) or diag $said;
    note "skipped: $_" for @skipped;
}

# prove's count: of each program that failed, FAILED/TESTS.
sub failures {
    my ($said, $tests) = @_;
    my $failed = 0;
    $failed += $1 for $said =~ m{Failed (\d+)/\d+ subtests}g;
    return $failed ? "$failed of $tests" : 'no whole result';
}

# --- in a machine of the release

# Files of the machine but what programs that are not ours keep for themselves.
sub files {
    my ($m) = @_;
    my $own = qr{^/(?:proc|sys|dev|run|tmp|srv)/|^/var/(?:log|cache|tmp|backups)/|^/var/lib/(?:dpkg|apt|systemd)/|^/etc/[^/]+-$};
    return map { $_ => 1 } grep { !m{$own} } split /\n/, $m->must('find', '/', '-xdev', '-print');
}

sub kept_by_apt {
    my ($m, @arguments) = @_;
    return $m->run(qw(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0), @arguments);
}

sub lives {
    my ($r, $deb) = @_;
    my $kept = $r->{kept};
    my ($depends) = `dpkg-deb -f $deb Depends` =~ /(.*)/;
    my $said = $r->fetch("fetched --download-only install /out/*.deb\n");
    return lacks($r, 'install', $said) if $r->{status} && $r->{suite} eq 'sid';
    is($r->{status}, 0, 'what it depends on is there') or diag $said;
    my $m = Systemd->new(dir => $dir, name => 'machine', lower => $r->{root}, files => { '/srv/childhurd.deb' => $deb, '/srv/hurd.qcow2' => $image })->boot;
    is(system("cp -r $kept/archives $m->{root}/var/cache/apt/ && cp -r $kept/lists $m->{root}/var/lib/apt/"), 0, 'apt has what was fetched');
    $said = kept_by_apt($m, 'satisfy', $depends);
    is($m->{status}, 0, 'its dependencies can be installed') or diag $said;
    my %before = files($m);

    $said = kept_by_apt($m, 'install', '/srv/childhurd.deb');
    is($m->{status}, 0, 'it is installed') or diag $said;
    unlike($said, qr/warning|error/i, '... without a warning') or diag $said;
    my ($version) = `dpkg-deb -f $deb Version` =~ /(\S+)/;
    is($m->run('childhurdd', '--version'), "childhurdd $version\n", 'childhurdd --version');
    is($m->run('systemctl', '--failed', '--plain', '--no-legend'), '', 'nothing fails without a configuration');

    $m->write('/etc/childhurd/childhurd.ini', <<'INI');
[guest childhurd]
image = /srv/hurd.qcow2
memory-size = 256M
INI
    $said = $m->run('childhurdd', '--check');
    is($m->{status}, 0, 'childhurdd --check has no problem') or diag $said;
    like($said, qr/^ok .*libvirt_driver_qemu\.so$/m, '... and finds libvirt\'s driver') or diag $said;
    $m->must('systemctl', 'start', 'childhurd-guests');
    $said = $m->run('childhurdctl', 'version');
    like($said, qr/\Q$version\E/, 'childhurdctl version') or diag $said;
    $said = $m->run(qw(childhurdctl wait childhurd --for ready --timeout 150s));
    is($m->{status}, 0, 'a guest becomes ready') or diag $said, $m->journal('-u', 'childhurdd', '-n', 40);
    like($m->run(qw(childhurdctl ssh childhurd uname)), qr/^Linux$/m, '... and can be logged in to');
    is($m->run('systemctl', 'restart', 'childhurdd'), '', 'the daemon is restarted');
    $said = $m->run(qw(childhurdctl wait childhurd --for ready --timeout 60s));
    is($m->{status}, 0, '... and has taken the guest over') or diag $said, $m->journal('-u', 'childhurdd', '-n', 40);

    $said = kept_by_apt($m, 'purge', 'childhurd');
    is($m->{status}, 0, 'it is purged') or diag $said;
    is_deeply([ $m->pids(qr/^(?:qemu-system|childhurd)/) ], [], '... no process is left');
    $m->must('rm', '-r', '/etc/childhurd');    # ours
    my %after = files($m);
    is_deeply([ sort grep { !$before{$_} } keys %after ], [], '... and no file');
    is_deeply([ sort grep { !$after{$_} } keys %before ], [], 'what was there before is still there');
    $m->stop;
}

sub packaged {
    my ($r) = @_;
    stage($r, 'package', 'built, lintian has nothing to say', sub { package_built($r) }) or return;
    my ($deb) = glob "$r->{out}/*.deb";
    my $begun = time;
    my $good  = subtest 'the package is installed, used and purged' => sub { lives($r, $deb) };
    row($r->{suite}, 'install', ($good ? 'installed, used, purged' : 'FAILED') . ', ' . seconds_since($begun));
}

sub in_release {
    my ($r, $guix) = @_;
    return unless stage($r, 'needs', 'what the package is built with', sub { installed($r, "fetched build-dep ./service\nfetched install lintian") });
    my $compiled = stage($r, 'compile', 'without a warning', sub {
        my $said = join '', grep { !/^  [A-Z]+ / } split /^/, $r->run('make -k -s -j2 CFLAGS=-O2 all tests');
        return $r->{status} ? "$said\nmake ended with status $r->{status}" : $said;
    });
    packaged($r) if grep { $_ eq 'package' } @tests;
    my @rest = grep { $_ ne 'package' } @tests;
    return if !$compiled || !@rest || !stage($r, 'needs', 'what the tests are run with', sub { tests_installed($r) });
    note $_ for map { row($r->{suite}, 'has', $_) } versions($r);
    for my $name (qw(linux mach)) {
        stage($r, $name, 'a guest, made by its tools', sub { guest_made($r, $name) });
    }
    tested($r, $_, $_ eq 'unit' ? 'tests/unit' : "tests/integration/$_.t") for @rest;
}

# Both are Debian sid's, whatever the host is, and take minutes.
my @guix;
if (grep { $_ eq 'guix' } @tests) {
    @guix = map { Childhurd::optional_image($_) // () } qw(guix guix-root);
}
for my $suite (@releases) {
    subtest $suite => sub {
        my $r = Release->new(dir => $dir, suite => $suite, guests => \@guix);
        return lacks($r, 'all', $Childhurd::lacking) unless $r->enter;
        in_release($r);
        $r->leave;
    };
}
note $_ for '', @table;
done_testing;
