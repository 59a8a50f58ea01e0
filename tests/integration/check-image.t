# SPDX-License-Identifier: GPL-3.0-or-later
# make check-image: with a guest that crashes once in its boot, halts as a Hurd does, and has no bash, no grep and no fsck; with files
# that are no image; and ended in the midst of it.
use v5.36;
use Childhurd;
use Test::More;

my $linux = Childhurd::need_image('linux');
my $d     = Childhurd->new(guests => '');    # for its folder
$ENV{PATH} .= ':/usr/sbin:/sbin';

sub check ($image, %more) {
    my $out = "$d->{dir}/said";
    unlink $out;
    local $d->{environment} = { %more };
    my $pid = $d->spawn($out, 'tests/check-image', $image eq '' ? () : $image);
    return ($pid, $out) if $more{BEGIN};
    waitpid $pid, 0;
    return ($? >> 8, Childhurd::slurp($out));
}

# What is left of it.
sub left ($said) {
    my ($folder) = $said =~ m{ in (/tmp/childhurd-test-\w+)\n} or return 'no folder is named';
    return join ' ', (grep { -e } $folder), grep { index(Childhurd::slurp($_), "$folder/") >= 0 } glob '/proc/[0-9]*/cmdline';
}

# --- no image ---
for my $case (['', qr/^usage: make check-image IMAGE=FILE/], ["$d->{dir}/nowhere", qr{nowhere: No such file}], [$d->{dir}, qr/is no file/]) {
    my ($status, $said) = check($case->[0]);
    isnt($status, 0, "'$case->[0]' is refused");
    like($said, $case->[1], '... with the reason');
}
Childhurd::spew("$d->{dir}/text", "this is no image\n" x 100);
my ($status, $said) = check("$d->{dir}/text");
is($status, 1, 'a text is no guest');
like($said, qr/^boots, and is proven +FAULT .*text.*image-format = raw/m, '... and that is said');
like($said, qr/^leaves nothing +ok/m, '... at the end, too');
is(left($said), '', 'nothing is left');

# --- ended by hand ---
my ($pid, $out) = check($linux, BEGIN => 1);
ok($d->wait_until(60, 'it has begun', sub { Childhurd::slurp($out) =~ /^WHAT/m && left(Childhurd::slurp($out)) =~ /cmdline/ }), 'it begins');
kill 'INT', $pid;
waitpid $pid, 0;
is($? >> 8, 130, 'Ctrl-C ends it');
is(left(Childhurd::slurp($out)), '', 'and nothing is left');

# --- a guest with a Hurd's ways ---
my $bare = "$d->{dir}/bare.img";
system('qemu-img', 'convert', '-O', 'raw', $linux, $bare) == 0 or BAIL_OUT('qemu-img');
# Its own start needs grep; for others there is none.
open my $debugfs, '|-', 'sh', '-c', 'exec debugfs -w "$0?offset=$1" >/dev/null 2>&1', $bare, 43_008 * 512 or BAIL_OUT('debugfs');
for my $file ('sbin/guest-start', 'lib/guest/functions') {
    my $copy = "$d->{dir}/" . $file =~ tr{/}{-}r;
    Childhurd::spew($copy, Childhurd::slurp("tests/guests/linux/root/$file") =~ s{\bgrep\b}{busybox grep}gr);
    my ($folder, $name) = $file =~ m{(.*)/(.*)};
    print $debugfs "cd /$folder\nrm $name\nwrite $copy $name\nset_inode_field $name mode 0100755\n";
}
print $debugfs map { "unlink $_\n" } qw(/bin/bash /bin/grep /bin/egrep /bin/fgrep /sbin/fsck /sbin/e2fsck /sbin/fsck.ext2);
close $debugfs;
mkdir "$d->{dir}/crash";
chmod 01777, "$d->{dir}/crash";    # QEMU's user notes there that it has crashed
Childhurd::spew("$d->{dir}/qemu", "#!/bin/sh\n" . <<"END", 0755);
case "\$*" in *-name\\ guest=cold,*) ;; *) exec qemu-system-x86_64 "\$@" ;; esac
mkdir "$d->{dir}/crash/ed" 2>/dev/null && (sleep 4; kill -KILL \$\$) &
exec qemu-system-x86_64 "\$@"
END
my $guest = join '; ', 'memory-size = 256M', 'image-format = raw', "emulator = $d->{dir}/qemu", 'qemu-options = -fw_cfg name=opt/childhurd/flags,string=ignore-halt';
($status, $said) = check($bare, GUEST => $guest, LIMIT => '20min');
is($status, 0, 'a guest that crashes once, halts as a Hurd does and has few programs passes') or diag($said);
like($said, qr/^boots, and is proven +ok .*it failed, and was started again: /m, '... its crash is said');
like($said, qr/^halts its own way +ok .*(?:it said that it halts|it ended its QEMU)/m, '... and how it halts');
like($said, qr/^$_ +ok /m, "... $_") for 'reboots', 'is there again after kill -9 of QEMU', 'starts from its warm state', 'is pristine after a reset', 'sleeps, and a connection wakes it';
is(left($said), '', 'nothing is left');
done_testing;
