# SPDX-License-Identifier: GPL-3.0-or-later
# A file server that never answers has a guest's image, another's kernel and module, a third one's extra secrets, /etc/guix and metrics-file.
# That stops these guests alone: the daemon starts, stops and lists the others, reloads, and ends, as if nothing were.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Varlink;
use File::Copy qw(copy);
use File::Path qw(make_path);
use IPC::Open2 qw(open2);
use Test::More;
use Time::HiRes qw(time);

my $image = Childhurd::need_image('linux');

my $id = Childhurd::free_id(6);
my $d  = Childhurd->new;
my %dead = (image => "$d->{dir}/dead-image", kernel => "$d->{dir}/dead-kernel", secrets => "$d->{dir}/secrets/secrets", guix => "$d->{dir}/dead-guix", metrics => "$d->{dir}/dead-metrics");
make_path(values %dead);
my $pid = open2(my $out, my $in, "$Childhurd::BUILD/tests/tools/dead_fs", values %dead);
my $said = <$out> // '';
Childhurd::cannot('a file system that never answers takes root and /dev/fuse') unless $said eq "dead\n";

# The test ends first what waits for it.
sub revive {
    close $in or return;
    waitpid $pid, 0;
}
END { my $status = $?; revive() if $in && fileno $in; $? = $status }

# How many of the daemon's threads wait for such a file system (fs/fuse/dev.c).
sub stuck { return scalar grep { Childhurd::slurp($_) =~ /request_wait_answer|fuse/ } glob "/proc/$d->{pid}/task/*/stack" }

my ($two, $three, $four, $five) = map { $id + $_ } 2 .. 5;
$d->{daemon} = "guix-configuration-directory = $dead{guix}\nmetrics-file = $dead{metrics}/childhurd.prom\n";
my $head = "[defaults]\nimage = $image\nmemory-size = 256M\nparallel-builds = 2\n";
my $config = "$head\[guest good]\nid = $id\n[guest spare]\nid = @{[$id + 1]}\nautostart = no\n"
  . "[guest image]\nid = $two\nimage = $dead{image}/hurd.img\n"
  . "[guest kernel]\nid = $three\nkernel = $dead{kernel}/gnumach\n"
  . "[guest module]\nid = $four\nkernel = $image\nmodule = $dead{kernel}/ext2fs.static ext2fs\n"
  . "[guest secrets]\nid = $five\n";
$d->configure($config);
$d->start;

# --- the others ---
$d->ctl('wait', 'good', '--for', 'ready', '--timeout', '150s');
is($d->{status}, 0, 'a guest that needs none of it is ready') or diag($d->log);
$d->said(qr/good: Guix's \Q$dead{guix}\E has not answered for \d+ s; is the file system there\?; it starts with the keys it has/,
    'without what it would have got from /etc/guix, and the log says so');
like($d->machines, qr/\(port @{[10022 + 1000 * $id]}\)/, 'it is published');

my %file = (
    image => "image $dead{image}/hurd.img", kernel => "kernel $dead{kernel}/gnumach", module => "module $dead{kernel}/ext2fs.static",
    secrets => "secrets $dead{secrets}"
);
for my $name (sort keys %file) {
    ok($d->wait_until(60, "$name says what it waits for", sub { $d->ctl('status', $name) =~ /waits for \Q$file{$name}\E, which has not\s+answered/ }),
        "$name: status says which file does not answer");
    $d->said(qr/$name: backoff: \Q$file{$name}\E has not answered for \d+ s/, '... and its start fails with that', 120);
}

# --- commands ---
my $socket = "$d->{runtime}/control";
my $client = Varlink->new($socket, Childhurd::slurp('service/org.childhurd.varlink'));
my $fastest;
for (1 .. 40) {
    my $begun = time;
    $client->call('org.childhurd.List', {});
    my $took = time - $begun;
    $fastest = $took if !defined $fastest || $took < $fastest;
}
note(sprintf 'RESULT dead-files.list %.4g ms', 1000 * $fastest);
cmp_ok($fastest, '<', 0.015, 'list answers within 15 ms');
$d->ctl('start', 'spare');
is($d->{status}, 0, 'another one is started');
$d->ctl('wait', 'spare', '--for', 'ready', '--timeout', '150s');
is($d->{status}, 0, '... and gets ready') or diag($d->log);
$d->ctl('stop', $_) for qw(spare image secrets);
for my $name (qw(spare image secrets)) {
    $d->ctl('wait', $name, '--for', 'stopped', '--timeout', '90s');
    is($d->{status}, 0, "$name stops") or diag($d->log);
}
$d->ctl('start', 'image');
ok($d->wait_until(60, 'it fails', sub { $d->state('image') eq 'backoff' }), 'one that is started again takes no second worker, and fails again');
is(stuck(), 6, 'each of them has one worker, and so have /etc/guix and metrics-file');

# --- reload ---
$d->configure("$config\[guest new]\nid = @{[$id + 1]}\n" =~ s/\[guest spare\].*?(?=\[guest image)//sr);
my $text = $d->ctl('reload');
is($d->{status}, 0, 'a reload looks at no file that is as before') or diag($text);
like($text, qr/new: added/, '... and is done');
$d->configure($config =~ s/(\[guest good\]\n)/$1image = $dead{image}\/other.img\n/r);
$text = $d->ctl('reload');
isnt($d->{status}, 0, 'one with another image that does not answer is refused');
like($text, qr/image \Q$dead{image}\E\/other.img has not answered for \d+ s/, '... and says which file it has waited for');
is($d->state('good'), 'ready', '... with nothing changed');

# --- the end, and the next daemon ---
my $qemu = $d->qemu('good');
my $begun = time;
is($d->end, 0, 'the daemon ends on SIGTERM');
cmp_ok(time - $begun, '<', Childhurd::seconds(10), '... soon');
$d->configure($config);
$d->start;
$d->ctl('wait', 'good', '--for', 'ready', '--timeout', '60s');
is($d->{status}, 0, 'the next one takes its guest over');
is($d->qemu('good'), $qemu, '... in its QEMU');

# --- the file server is there again ---
revive();
$d->said(qr/image: backoff: (?!.*does not answer).*hurd\.img/, 'when the files answer, a start tells of them anew', 120);
$d->end;
done_testing;
