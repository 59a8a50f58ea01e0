# SPDX-License-Identifier: GPL-3.0-or-later
# The main job once more as an ordinary user, with nothing but his XDG folders, and no step that needs root.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Temp qw(tempdir);
use File::Copy qw(copy);
use Test::More;

my $image = Childhurd::need_image('linux');

# Root runs this as a user without any rights; an ordinary user runs it as himself.
my ($uid, $gid) = $> == 0 ? (65534, 65534) : ($>, $) + 0);
my $home = tempdir('/tmp/childhurd-test-XXXXXX');
mkdir "$home/$_" for qw(config state run config/childhurd);
copy($image, "$home/image.qcow2") or die;
my $build = "$home/bin";    # a checkout below /root cannot be read by others
mkdir $build;
copy("$Childhurd::BUILD/$_", "$build/$_") for qw(childhurdd childhurdctl);
chmod 0755, "$build/$_" for qw(childhurdd childhurdctl);
$Childhurd::BUILD = $build;
my $id = Childhurd::free_id(1);
my $d  = Childhurd->new(
    dir         => $home,
    uid         => $uid,
    gid         => $gid,
    defaults    => 1,
    file        => "$home/config/childhurd/childhurd.ini",
    state       => "$home/state/childhurd",
    runtime     => "$home/run/childhurd",
    environment => {
        HOME => $home, XDG_CONFIG_HOME => "$home/config", XDG_STATE_HOME => "$home/state", XDG_RUNTIME_DIR => "$home/run",
    },
    guests => "[guest mine]\nid = $id\nimage = $home/image.qcow2\nmemory-size = 256M\n",
);
system('chown', '-R', "$uid:$gid", $home) if $> == 0;
$d->start;
$d->ctl('wait', 'mine', '--for', 'ready', '--timeout', '120s');
is($d->{status}, 0, 'an ordinary user has a childhurd ready');
my ($qemu) = $d->all_qemus;
is((stat "/proc/$qemu")[4], $uid, 'QEMU runs as that user');
like($d->ssh('mine', 'id', '-un'), qr/offloading/, 'strict ssh by the published configuration');
like($d->machines, qr/\(port ${\ (10022 + 1000 * $id)}\)/, 'machines.scm lists it');
is((stat "$home/state/childhurd/mine")[2] & 0777, 0700, 'its folder is closed');
$d->ctl('stop', 'mine', '--wait', '--timeout', '60s');
is($d->{status}, 0, 'it stops');
is($d->end >> 8, 0, 'and the daemon ends');
done_testing;
