# SPDX-License-Identifier: GPL-3.0-or-later
# What cannot be written is kept, shown and tried again: a full state directory, a folder that is in the way, and a file
# system that does not answer. A command is answered as kept only when it is.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Varlink;

my $guests = join '', map { "[guest $_]\nimage = /nonexistent\nautostart = no\n" } qw(a b);
my @helpers;

END {
    my $status = $?;
    for (@helpers) { kill 'KILL', $_; waitpid $_, 0 }
    $? = $status;
}

# What is said of the file of a guest that cannot be written, wherever it is said.
sub is_shown {
    my ($d, $cause) = @_;
    my $why = qr{\Q$d->{state}\E/a/state(?:\.new)?: cannot be \w+: $cause};
    like($d->ctl('drain', 'a'), qr/^childhurdctl: a: it is done, but not kept: .*$why; it is tried again$/m, 'drain says that it is not kept, and why');
    is($d->{status}, 1, '... with exit status 1');
    like($d->ctl(qw(stop a --wait --timeout 60s)), qr/not kept.*^a is stopped/ms, '... and stop that it is done, and not kept');
    is($d->{status}, 1, '... likewise');
    like($d->ctl('list'), qr/^a +stopped.*drained.*^childhurdctl: the daemon cannot write a file and keeps trying: $why$/ms, 'list has a line about it, and the guest drained');
    like($d->ctl('status'), qr/^childhurdctl: the daemon cannot write .*$why$/m, '... and status');
    like($d->ctl('status', 'a'), qr/^  unwritten +$why; tried again$/m, "... and the guest's own");
    unlike($d->ctl('status', 'b'), qr/unwritten/, '... of that one alone');
    like($d->ctl('check'), qr/^problem  $why; once that is fixed/m, '... and check');
    is($d->{status}, 1, '... as a problem');
    like($d->ctl('metrics'), qr/^childhurd_unwritten_files 1$/m, '... and the metrics');
    my @said = $d->log =~ /^.*warning: .*$why.*$/mg;
    is(scalar @said, 1, 'the log has it once') or diag($d->log);
}

sub is_clean {
    my ($d) = @_;
    ok($d->wait_until(60, 'the record is written', sub { $d->ctl('status', 'a') !~ /unwritten/ }), 'it is written by itself when it can be');
    is($d->ctl('list') =~ /cannot write/, '', '... and list has nothing about it');
    unlike($d->ctl('check'), qr{/a/state}, '... nor check');
    like($d->ctl('metrics'), qr/^childhurd_unwritten_files 0$/m, '... nor the metrics');
    $d->said(qr{\Q$d->{state}\E/a/state: is written again$}m, '... and the log says so');
}

sub is_known {
    my ($d) = @_;
    $d->end('KILL');
    $d->start;
    like($d->ctl('status', 'a'), qr/stopped: .*drained/, 'a daemon that was killed then, and its successor, know it');
    $d->ctl('undrain', 'a');
    is($d->{status}, 0, 'a command that is kept is done');
}

# --- a folder in the way ---
{
    my $d = Childhurd->new(daemon => "history = 0\n", guests => $guests)->start;
    my $v = Varlink->new("$d->{runtime}/control", Childhurd::slurp('service/org.childhurd.varlink'));
    Childhurd::limited(10, 'the last record is written', sub { mkdir "$d->{state}/a/state.new" });
    is_shown($d, 'File exists');
    my ($reply, $error) = $v->call('org.childhurd.Undrain', { names => [ 'b', 'a' ] });
    is($error, 'org.childhurd.NotKept', 'the interface has an error for it');
    is($reply->{name}, 'a', '... with the guest');
    $v->call('org.childhurd.Drain', { names => ['a'] });
    my ($status) = $v->call('org.childhurd.Status', { names => ['a'] });
    like($status->{guests}[0]{unwritten}[0], qr/File exists/, '... and Status shows it of the guest');
    like($status->{unwritten}[0], qr/File exists/, '... and of all');
    rmdir "$d->{state}/a/state.new";
    is_clean($d);
    is_known($d);

    Childhurd::limited(10, 'the last record is written', sub { mkdir "$d->{state}/a/state.new" });
    $d->ctl('drain', 'a');
    is($d->end('TERM'), 0, 'a daemon that is to end does not wait for what cannot be written');
    like($d->log, qr{a/state.*File exists; given up, as the daemon ends$}m, '... and says what it is');
}

# --- a full state directory, and one that does not answer: in a namespace of mounts that daemons come to ---
SKIP: {
    skip 'a state directory of its own takes root, to mount it', 1 if $> != 0;
    my $d = Childhurd->new(daemon => "history = 0\n", guests => $guests);
    mkdir $d->{state};
    my $place = $d->spawn("$d->{dir}/place", qw(unshare --mount --propagation private sh -c),
        'mount -t tmpfs -o size=64m,mode=755 none "$0" && exec tail -f /dev/null', $d->{state});
    push @helpers, $place;
    ok($d->wait_until(20, 'the mount', sub { Childhurd::slurp("/proc/$place/mounts") =~ m{ \Q$d->{state}\E tmpfs } }), 'a state directory of its own');
    $d->{wrap} = [ 'nsenter', "--mount=/proc/$place/ns/mnt", '--' ];
    $d->start;
    my $inside = "/proc/$place/root$d->{state}";
    system("cat /dev/zero > $inside/filler 2>/dev/null");
    is_shown($d, 'No space left on device');
    unlink "$inside/filler";
    is_clean($d);
    is_known($d);

    # FUSE with nobody behind it: whoever looks for a file there waits.
    my $fuse = $d->spawn("$d->{dir}/fuse", @{ $d->{wrap} }, $^X, '-e',
        'BEGIN { $^F = 100 } open my $f, "+<", "/dev/fuse" or die "/dev/fuse: $!"; my $o = "fd=" . fileno($f) . ",rootmode=40000,user_id=0,group_id=0"; ' .
          'system(qw(mount -i -t fuse -o), $o, "none", $ARGV[0]) == 0 or die "no mount"; exec qw(tail -f /dev/null)', "$d->{state}/a");
    push @helpers, $fuse;
    ok($d->wait_until(20, 'the mount', sub { Childhurd::slurp("/proc/$place/mounts") =~ m{ \Q$d->{state}\E/a fuse } }),
        'the folder of a is on a file system that does not answer') or diag(Childhurd::slurp("$d->{dir}/fuse"));
    my $t0 = time;
    like($d->ctl('drain', 'a'), qr{a: it is done, but not kept: .*/a/state: is not written yet: no answer from its file system}, 'drain says that');
    is($d->{status}, 1, '... with exit status 1');
    cmp_ok(time - $t0, '<', Childhurd::seconds(15), '... in seconds');
    like($d->ctl('list'), qr/^a +stopped.*drained.*cannot write/ms, 'list answers, and has it');
    like($d->ctl('status', 'a'), qr/^  unwritten +.*no answer from its file system/m, '... and so does status');
    is($d->end('TERM'), 0, 'and the daemon ends');
    like($d->log, qr{a/state: is not written yet: no answer.*; given up, as the daemon ends$}m, '... and says what is not written');
}
done_testing;
