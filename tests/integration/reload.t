# SPDX-License-Identifier: GPL-3.0-or-later
# The configuration is read again: what is new starts, what is gone goes when its build has ended, what changed says what
# it waits for, and what is as before is not touched.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Fcntl qw(:DEFAULT F_SETLK F_WRLCK SEEK_SET);
use File::Path qw(make_path);
use Test::More;

my $image = Childhurd::need_image('linux');

my $id = Childhurd::free_id(3);
my $d  = Childhurd->new;
$d->{daemon} = "guix-state-directory = $d->{dir}/guix\n";
my $same = "[guest same]\nid = " . ($id + 2) . "\n";
my $head = "[defaults]\nimage = $image\nmemory-size = 256M\n";
my $two  = "$head$same\[guest nu]\nid = $id\ncount = 2\n";
$d->configure($two);
$d->start;
$d->ctl('wait', '--all', '--for', 'ready', '--timeout', '150s');
is($d->{status}, 0, 'three guests are ready') or diag($d->log);
my %qemu = map { $_ => $d->qemu($_) } qw(same nu1 nu2);

# What Guix does while a build runs on a machine (guix/scripts/offload.scm, %slots).
sub build_begin {
    my ($port) = @_;
    my $folder = "$d->{dir}/guix/offload/127.0.0.1:$port";
    make_path($folder);
    sysopen my $slot, "$folder/0", O_RDWR | O_CREAT or die "$folder/0: $!";
    my $lock = pack 's s x4 q q i x4', F_WRLCK, SEEK_SET, 0, 0, 0;
    fcntl $slot, F_SETLK, $lock or die "$folder/0: $!";
    return $slot;
}

# What a reload does is what a dry run of it says.
sub reload {
    my $would = $d->ctl('reload', '--dry-run');
    my $did   = $d->ctl('reload');
    is($did =~ s/nothing has changed/nothing would change/r, $would, 'a dry run has said the same');
    return $did;
}

# --- errors change nothing ---
$d->configure("$two\[guest bad]\nimage = $image\nmemroy-size = 1G\n");
like($d->ctl('reload'), qr/memroy-size/, 'a bad key is named');
is($d->{status}, 1, 'reload fails');
is_deeply([sort keys %{ $d->guests }], [qw(nu1 nu2 same)], 'and nothing has changed');

# an image from which no guest could start again
Childhurd::spew("$d->{dir}/cut",  substr(Childhurd::slurp($image), 0, 40000));
Childhurd::spew("$d->{dir}/text", "this is not an image\n" x 100);
for my $case (['truncated', "image = $d->{dir}/cut", qr/^childhurdctl: same: .*cut.*truncated/m], ['no disk', "image = $d->{dir}/text", qr/^childhurdctl: same: .*text.*image-format = raw/m],
    ['too large for disk-size', "image = $image\ndisk-size = 2M", qr/^childhurdctl: same: .*disk-size is only 2097152/m]) {
    my ($what, $keys, $why) = @$case;
    $d->configure($two =~ s/\[guest same\]\n/[guest same]\n$keys\n/r);
    like($d->ctl('reload'), $why, "an image that is $what: named, with the guest");
    is($d->{status}, 1, '... and the reload fails');
}
is_deeply({ map { $_ => $d->qemu($_) } keys %qemu }, \%qemu, 'and all run on');

# --- keys of the daemon's own ---
$d->configure($two);
like(reload(), qr/^nothing has changed$/m, 'the same again');
$d->{daemon} .= "parallel-starts = 7\n";
$d->configure($two);
like(reload(), qr/^parallel-starts: 7$/m, 'what changed of the daemon is said');

# --- a key that takes no restart, and one that does, while a build runs ---
my $slot = build_begin(10022 + 1000 * ($id + 1));
$d->configure("$head$same\[guest nu]\nid = $id\ncount = 2\nprobe-interval = 1s\n");
like(reload(), qr/probe-interval/, 'what changed is said');
is($d->qemu($_), $qemu{$_}, "$_ is not touched by it") for sort keys %qemu;
$d->configure("$head$same\[guest nu]\nid = $id\ncount = 2\ncpus = 2\n");
reload();
ok($d->wait_until(60, 'nu1 restarts', sub { my $now = $d->qemu('nu1'); $now && $now != $qemu{nu1} }), 'cpus takes a restart');
like($d->ctl('status', 'nu2'), qr/draining.*changed +(?:probe-interval, )?cpus/s, 'which waits where a build runs, and status says so');
is($d->qemu('nu2'), $qemu{nu2}, 'in the same QEMU');
undef $slot;
ok($d->wait_until(60, 'nu2 restarts', sub { my $now = $d->qemu('nu2'); $now && $now != $qemu{nu2} }), 'and comes when the build has ended');
$d->ctl('wait', '--all', '--for', 'ready', '--timeout', '150s');
is($d->{status}, 0, 'all are ready');
is($d->qemu('same'), $qemu{same}, 'the one whose section is the same was never touched');

# --- a template becomes one guest, with the ports of one that has a build ---
%qemu = map { $_ => $d->qemu($_) } qw(same nu1 nu2);
$slot = build_begin(10022 + 1000 * $id);
$d->configure("$head$same\[guest nu]\nid = $id\n");
like(reload(), qr/nu1: removed/, 'reload says who is gone');
ok($d->wait_until(60, 'nu2 is gone', sub { !$d->guests->{nu2} }), 'the one without a build goes');
is($d->state('nu1'), 'draining', 'the one with a build is drained');
is($d->qemu('nu1'), $qemu{nu1}, 'and runs on');
like($d->ctl('status', 'nu1'), qr/no longer configured/, 'status says why');
is($d->state('nu'), 'starting', 'the new one has to wait');
like($d->ctl('status', 'nu'), qr/waiting for nu1, which is no longer configured/, 'status says for what');
like($d->ctl('start', 'nu1'), qr/nu1: it is no longer configured, and can only be stopped/, 'it cannot be started again');
undef $slot;
$d->ctl('wait', 'nu', '--for', 'ready', '--timeout', '150s');
is($d->{status}, 0, 'when the build has ended the new one takes over its ports') or diag($d->log);
ok($d->wait_until(60, 'nu1 is gone', sub { !$d->guests->{nu1} }), 'and the old one is gone');
is($d->qemu('same'), $qemu{same}, 'the other was not touched');
is(scalar($d->all_qemus), 2, 'two QEMUs are left');

# --- all that is there can be stopped, configured or not ---
$slot = build_begin(10022 + 1000 * $id);
$d->configure("$head$same");
reload();
is($d->state('nu'), 'draining', 'removed again, with a build');
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
is($d->{status}, 0, 'stop --all --now');
is(scalar($d->all_qemus), 0, 'leaves none');
done_testing;
