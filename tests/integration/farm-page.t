# SPDX-License-Identifier: GPL-3.0-or-later
# docs/farm.md: its commands, as they are there, on hosts that have files of their own.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Farm;
use Guide;
use Test::More;

my $image = Childhurd::need_image('linux');
my $farm  = Farm->new({ files => 1 }, 'farm', 'build1', 'build2');
my @nodes = ('build1', 'build2');
my $dir   = $farm->host('farm')->{sshd}{dir};
my (%pid, $status);

# Give the host a shell with these commands; returns their output.
sub run {
    my ($name, $commands) = @_;
    my $out = "$dir/out";
    unlink $out;
    my $pid = Childhurd::spawn_to($out, sub { $ENV{PATH} = "$Childhurd::BUILD:$ENV{PATH}"; $ENV{HOME} = '/root'; delete $ENV{CHILDHURD_SOCKET}; chdir '/root' },
        @{ $farm->host($name)->{wrap} }, 'sh', '-ec', "cd /root\n$commands");
    waitpid $pid, 0;
    $status = $? >> 8;
    return Childhurd::slurp($out);
}

sub works {
    my ($name, $commands, $what) = @_;
    my $said = run($name, $commands);
    is($status, 0, "$name: $what") or BAIL_OUT($said);
    return $said;
}

sub begin {
    my ($name) = @_;
    if (my $pid = delete $pid{$name}) { kill 'TERM', $pid; waitpid $pid, 0 }
    $pid{$name} = Childhurd::spawn_to("$dir/$name.log", sub { delete $ENV{NOTIFY_SOCKET} }, @{ $farm->host($name)->{wrap} }, "$Childhurd::BUILD/childhurdd");
    Childhurd::limited(60, "childhurdd on $name", sub { run($name, 'childhurdctl list'); !$status });
}

# --- what the page begins with: each host has a daemon, and farm's root can log in on the others ---
my $admin = $farm->host('farm')->{sshd}->key('admin');
$farm->write('farm', '/root/.ssh/config', "IdentityFile $dir/admin\nIdentitiesOnly yes\nBatchMode yes\n");
$farm->write('farm', '/root/.ssh/known_hosts', join '', map { "$_ " . $farm->host($_)->{sshd}{host_key} . "\n" } @nodes);
for my $name ('farm', @nodes) {
    $farm->host($name)->{sshd}->allow($admin);
    $farm->write($name, '/etc/ssh/ssh_host_ed25519_key.pub', $farm->host($name)->{sshd}{host_key} . " root\@$name\n");
    $farm->write($name, '/etc/childhurd/childhurd.ini', '');
    # What the tests' guests need, and less time.
    $farm->write($name, '/etc/childhurd/conf.d/test.ini', "[daemon]\nguix-configuration-directory = /etc/no-guix\nguix-state-directory = /var/lib/no-guix\n"
        . "[defaults]\nmemory-size = 256M\nwarm-start = no\n");
    run($name, "mkdir -p /var/lib/childhurd/images; ln -s $image /var/lib/childhurd/images/hurd.qcow2");
    begin($name);
}
END {
    my $result = $?;
    for my $name (keys %pid) {
        run($name, 'childhurdctl stop --all --now --wait --timeout 60s');
        kill 'TERM', $pid{$name};
        waitpid $pid{$name}, 0;
    }
    $? = $result;
}

# --- the page ---
my ($guests) = Guide::commands('farm-guests', 'docs/farm.md');
for my $name (@nodes) {
    works($name, $guests =~ s/build1$/$name/mr, 'guests that other hosts reach');
    begin($name);
}
works('farm', Guide::commands('farm-invite', 'docs/farm.md'), 'the invitation goes to the nodes');
works($_, Guide::commands('farm-let-in', 'docs/farm.md'), 'the coordinator is let in') for @nodes;
works('farm', Guide::commands('farm-nodes', 'docs/farm.md'), 'the coordinator gets its nodes');
for my $name (@nodes) {
    run($name, 'childhurdctl wait --all --for ready --timeout ' . 2 * Childhurd::seconds(180) . 's');
    is($status, 0, "$name: its guests are ready") or diag Childhurd::slurp("$dir/$name.log");
}
my $all = sub { my $list = run('farm', 'childhurdctl machines'); 4 == (() = $list =~ m{^ ;; build[12]/childhurd[12]$}mg) };
ok(eval { Childhurd::limited(60, 'all are listed', $all) }, 'farm lists all four') or diag run('farm', 'childhurdctl node list; childhurdctl machines');
my $seen = works('farm', Guide::commands('farm-look', 'docs/farm.md'), 'look');
unlike($seen, qr/^problem +node/m, '... check has nothing against the nodes');
like($seen, qr/^build1 +connected +\S+ +2 of 2 .*^build2 +connected +\S+ +2 of 2 /ms, '... node list has them');
like($seen, qr{^build1/childhurd1 +ready.*^build2/childhurd2 +ready}ms, '... and list --nodes their guests');
is(run('farm', 'ssh -n -F /run/childhurd/ssh_config build2/childhurd2 id -un'), "offloading\n", 'farm logs in as Guix would');
unlike(run($_, 'childhurdctl check'), qr/^(?:problem|note) +farm/m, "$_: check has nothing against the coordinator") for @nodes;
done_testing;
