# SPDX-License-Identifier: GPL-3.0-or-later
# make check-image: with a guest that crashes once in each boot, stays where a Hurd's halt may stay, lets in root alone, and has no bash, no
# grep and no fsck; with files that are no image, or one that QEMU cannot read or does not know; and ended in the midst of it.
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
my $closed = "$d->{dir}/closed";
mkdir $closed, 0700;
my ($nobody) = (getpwnam 'nobody')[2];
chown $nobody, -1, $closed;
system('cp', $linux, "$closed/linux.img") == 0 or BAIL_OUT('cp');
chmod 0400, "$closed/linux.img";
my ($pid, $out) = check("$closed/linux.img", BEGIN => 1);
ok($d->wait_until(60, 'it has begun', sub { Childhurd::slurp($out) =~ /^WHAT/m && left(Childhurd::slurp($out)) =~ /cmdline/ }), 'it begins');
kill 'INT', $pid;
waitpid $pid, 0;
is($? >> 8, 130, 'Ctrl-C ends it');
is(left(Childhurd::slurp($out)), '', 'and nothing is left');
like(Childhurd::slurp($out), qr/^QEMU's user \S+ cannot read it, so it is copied there\.$/m, 'of an image that QEMU cannot read, a copy is used') if $> == 0;

# --- nobody reads the table to its end ---
$out = "$d->{dir}/head";
chown 0, -1, $closed;
my $access = sub { return join '', map { `getfacl --absolute-names $_` } $d->{dir}, $closed, "$closed/linux.img" };
my $before = $access->();
waitpid $d->spawn($out, 'sh', '-c', 'tests/check-image "$0" | head -n 1', "$closed/linux.img"), 0;
like(Childhurd::slurp($out), qr/^\Q$closed\E\/linux\.img, in /, 'head shows its first line');
is(left(Childhurd::slurp($out)), '', '... and nothing is left');
is($access->(), $before, '... and who may read the image is as it was');

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
# Its halt ends where a Hurd's may, and its sshd knows root alone.
Childhurd::spew("$d->{dir}/halt", <<'END');
#!/bin/sh
. /lib/guest/functions
sync
print 'startup: notifying ext2fs device:hd0s1 of halt...done'
print 'startup: halting Hurd...'
ip link set eth0 down
while :; do sleep 86400; done
END
Childhurd::spew("$d->{dir}/sshd_config", Childhurd::slurp('tests/guests/linux/root/etc/ssh/sshd_config') . "AllowUsers root\n");
print $debugfs "cd /usr/sbin\nrm halt\nwrite $d->{dir}/halt halt\nset_inode_field halt mode 0100755\n";
print $debugfs "cd /etc/ssh\nrm sshd_config\nwrite $d->{dir}/sshd_config sshd_config\n";
print $debugfs map { "unlink $_\n" } qw(/bin/bash /bin/grep /bin/egrep /bin/fgrep /sbin/fsck /sbin/e2fsck /sbin/fsck.ext2);
close $debugfs;
my $disk = "$d->{dir}/bare.vmdk";
system('qemu-img', 'convert', '-O', 'vmdk', $bare, $disk) == 0 or BAIL_OUT('qemu-img');
# QEMU's user notes in crash/ which start it is. After the second one, user = root needs another.
Childhurd::spew("$d->{dir}/qemu", "#!/bin/sh\n" . <<"END", 0755);
case "\$*" in
*-name\\ guest=cold,*) guest=cold ;;
*-name\\ guest=warm,*) guest=warm ;;
*) exec qemu-system-x86_64 "\$@" ;;
esac
n=1
until mkdir "$d->{dir}/crash/\$guest\$n" 2>/dev/null; do n=\$((n + 1)); done
case \$guest\$n in cold[1468] | warm1) (sleep 2; kill -KILL \$\$) & esac
exec qemu-system-x86_64 "\$@"
END
my $guest = join '; ', 'memory-size = 256M', "emulator = $d->{dir}/qemu", 'stop-timeout = 20s';
# Rarely, Linux panics by itself in a QEMU without KVM, which makes it a guest that crashes twice.
for my $attempt (1, 2) {
    system('rm', '-rf', "$d->{dir}/crash");
    mkdir "$d->{dir}/crash";
    chmod 01777, "$d->{dir}/crash";
    ($status, $said) = check($disk, GUEST => $guest, LIMIT => '20min');
    last if $said !~ /the guest's kernel has panicked/;
    diag("once more, as Linux has panicked:\n$said") if $attempt == 1;
}
is($status, 0, 'a guest that crashes once in each boot, halts as a Hurd does and has few programs passes') or diag($said);
like($said, qr/^It is a vmdk image, and is converted to qcow2 there\.$/m, '... its image is converted');
like($said, qr/^boots, and is proven +ok .*it lets in root alone: as with user = root; it failed, and was started again: /m, '... whom it lets in, and its crash, is said');
like($said, qr/^\Q$_\E +ok .*it failed, and was started again: /m, "... it crashed when it was to be seen that it $_")
  for 'boots again', 'reboots', 'is there again after kill -9 of QEMU', 'boots, and its state is saved';
like($said, qr/^halts its own way +ok .*(?:it said that it halts|it ended its QEMU)/m, '... and how it halts');
like($said, qr/^halts its own way +ok .*it said that it halts, and stayed there/m, '... that it goes no further');
like($said, qr/^$_ +ok /m, "... $_") for 'reboots', 'is there again after kill -9 of QEMU', 'starts from its warm state', 'is pristine after a reset', 'sleeps, and a connection wakes it';
is(left($said), '', 'nothing is left');
done_testing;
