# SPDX-License-Identifier: GPL-3.0-or-later
# A guest that writes as much as it can, to its console and, through QEMU, to QEMU's own log: the daemon's log and its
# events stay readable, other guests lose nothing, and no file grows without a limit.
use v5.36;
use Fcntl qw(O_APPEND);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Childhurd;

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my $d     = Childhurd->new(guests => <<"END");
[defaults]
image = $image
memory-size = 256M
[guest noisy]
id = $id
[guest quiet]
id = ${\($id + 1)}
END
$d->start;
for my $name (qw(noisy quiet)) {
    ok($d->wait_until(400, "$name is ready", sub { $d->state($name) eq 'ready' }), "$name is ready") or exit 1;
}

sub limit ($name, $file) {
    my ($value) = Childhurd::slurp($file) =~ /^#define\s+$name\b[\s\\]+\(?([\d< ]+)\)?/m or die "no $name in $file\n";
    return eval $value;
}

sub size (@files) {
    my $sum = 0;
    $sum += -s $_ // 0 for @files;
    return $sum;
}

# --- the console ---

my $console = "$d->{state}/noisy/console.log";
my $rotate  = limit('CONSOLE_ROTATE_SIZE', 'childhurdd/qemu/console.h');
my $pieces  = limit('CONSOLE_ROTATED', 'childhurdd/qemu/console.h');
my $burst   = limit('FLOOD_BURST', 'childhurdd/system/flood.h');
my $began   = time;
$d->ctl('ssh', 'noisy', '(yes "Out of memory" > /dev/ttyS0 & echo $! > /tmp/one; yes "ext2fs: hd0s1: error" > /dev/ttyS0 & echo $! > /tmp/two) > /dev/null 2>&1');
is($d->{status}, 0, 'the guest floods its console');
ok($d->wait_until(300, 'the console\'s log is rotated while it is flooded', sub { -e "$console.1" }), 'the log is rotated while it is flooded');
cmp_ok(size(glob "$console*"), '<=', ($pieces + 2) * $rotate, '... and has a limit');
$d->said(qr/noisy: \d+ more lines about its memory/, 'what was held back is counted in one line', 100);
$d->ctl('ssh', 'noisy', 'kill $(cat /tmp/one /tmp/two)');
is($d->{status}, 0, 'and the guest is there all the same');

# A period, a burst of each kind in it, and the count; for the period that runs another one.
my $periods = 2 + int((time - $began) / (limit('FLOOD_PERIOD', 'childhurdd/system/flood.h') / 1000));
for my $words ('Out of memory', 'ext2fs: hd0s1') {
    my $lines = () = $d->log =~ /^.*\Q$words\E/mg;
    cmp_ok($lines, '>=', 1,                 "\"$words\" is in the daemon's log");
    cmp_ok($lines, '<=', $periods * $burst, '... and does not fill it');
}
my $events = decode_json($d->ctl('events', '--json') =~ s/\}\s*\{/},{/gr =~ s/^/[/r =~ s/$/]/r);
ok((grep { ($_->{guest} // '') eq 'quiet' && ($_->{state} // '') eq 'ready' } @$events), 'the other guest\'s events are there');
ok((grep { ($_->{guest} // '') eq 'noisy' && ($_->{state} // '') eq 'ready' } @$events), '... and its own changes of state');
is($d->state('noisy'), 'ready', 'a guest that says so and answers is ready');

# --- QEMU's log, by QEMU's own descriptor of it ---

my $qemu = $d->qemu('noisy');
my ($flags) = Childhurd::slurp("/proc/$qemu/fdinfo/2") =~ /^flags:\s*(\d+)/m;
ok(oct($flags) & O_APPEND, 'QEMU appends to its log');
my $log    = readlink "/proc/$qemu/fd/2";
my $most   = limit('LOG_LIMIT', 'childhurdd/system/log_rotate.h');
my $handle = syscall 434, $qemu, 0;                    # pidfd_open(2)
my $fd     = syscall 438, $handle, 2, 0;               # pidfd_getfd(2)
open my $stderr, '>>&=', $fd or die "QEMU's stderr: $!\n";
$stderr->autoflush;
my $line = "qemu-system-x86_64: warning: the guest has sent something odd\n" x 100;
for my $round (1 .. 3) {
    print $stderr $line for 1 .. 3 * $most / length $line;
    ok($d->wait_until(60, 'it is cut', sub { -s $log < $most }), "QEMU's log is cut ($round)");
    cmp_ok(size(glob "$log*"), '<=', 2.5 * $most, '... and what is kept of it has a limit');
}
print $stderr "the last words\n";
like(Childhurd::slurp($log), qr/^the last words$/m, 'what comes then is there');

# --- libvirt's, which the daemon has open ---
my ($own) = grep { (readlink($_) // '') eq "$d->{state}/libvirt.log" } glob "/proc/$d->{pid}/fd/*";
SKIP: {
    skip 'libvirt has not written its log yet', 2 unless $own;
    my ($how) = Childhurd::slurp($own =~ s{/fd/}{/fdinfo/}r) =~ /^flags:\s*(\d+)/m;
    ok(oct($how) & O_APPEND, 'libvirt appends to its log');
    open my $libvirt, '>>', "$d->{state}/libvirt.log" or die "libvirt.log: $!\n";
    $libvirt->autoflush;
    print $libvirt $line for 1 .. 3 * $most / length $line;
    ok($d->wait_until(60, 'it is cut', sub { -s "$d->{state}/libvirt.log" < $most }), 'libvirt\'s log is cut');
}
is($d->state($_), 'ready', "$_ is ready at the end") for qw(noisy quiet);
done_testing;
