# SPDX-License-Identifier: GPL-3.0-or-later
# Images in the shape of those that there are, from the web server or the file to a guest that is reached: Debian's for amd64, fetched by
# its name, and one as Guix makes them. GRUB boots them as it boots the Hurd; what it boots is the Linux guest's kernel and root.
use v5.36;
use lib 'tests/lib';
use Childhurd;
use File::Path qw(make_path remove_tree);
use StandIn;
use Test::More;
use Web;

my $id    = Childhurd::free_id(2);
my $d     = Childhurd->new(default_machine => 1, guests => '');
my $made  = "$d->{dir}/made";
$ENV{PATH} .= ':/usr/sbin:/sbin';
make_path("$d->{dir}/www", "$d->{dir}/images.d", $made);

sub image {
    my (@arguments) = @_;
    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', "$Childhurd::BUILD/childhurdctl", 'image', '--config', $d->{file}, @arguments or die $!;
    local $/;
    my $text = <$out> // '';
    return close $out ? $text : "FAILED: $text";
}

# --- Debian's for amd64: swap in p1, the root in p2, inodes of 256 bytes, tar.xz ---
my $archive = "$d->{dir}/www/debian-hurd-20260314.img.tar.xz";
StandIn::debian('debian-amd64', "$made/debian-hurd.img");
like(`dumpe2fs -h '$made/debian-hurd.img?offset=${\ (1050624 * 512)}' 2>/dev/null`, qr/^Filesystem OS type: +Hurd\n.*^Inode size:\s+256\n/ms, "Debian's stand-in is a Hurd's file system with inodes of 256 bytes");
StandIn::pack_image("$made/debian-hurd.img", $archive);
my $web = Web->new("$d->{dir}/www");
Childhurd::spew("$d->{dir}/images.d/test.ini", "[image debian-stand-in]\nurl = ${\ $web->url('debian-hurd-20260314.img.tar.xz')}\narchitecture = x86_64\ndistribution = debian\n");
like(image('fetch', 'debian-stand-in'), qr/done in .*image = debian-stand-in/, '... and is fetched');

# --- Guix': one primary partition, inodes of 128 bytes, a label, a compressed qcow2; its programs are in the store ---
StandIn::guix("$made/guix.img");
system('qemu-img', 'convert', '-c', '-O', 'qcow2', "$made/guix.img", "$made/guix.qcow2") == 0 or die "no qcow2 of it\n";
my $facts = `dumpe2fs -h '$made/guix.img?offset=${\ (2048 * 512)}' 2>/dev/null`;
like($facts, qr/^Filesystem volume name: +Hurd-image\n.*^Filesystem OS type: +Hurd\n.*^Inode size:\s+128\n/ms, "Guix' has a label and inodes of 128 bytes");
like(image('add', 'guix-stand-in', "$made/guix.qcow2"), qr/done in .*image = guix-stand-in/, '... and is added');
remove_tree($made);

$d->configure(<<"END");
[daemon]
parallel-starts = 2
[defaults]
memory-size = 256M
[guest debian]
id = $id
image = debian-stand-in
[guest guix]
id = ${\ ($id + 1)}
image = guix-stand-in
inject = image
END
$d->start;
my %wanted = (
    debian => [ qr/: machine, inject, offloading, user, systems$/m, qr/^x86_64$/m, qr/^root$/m,       qr/machine='pc-q35/ ],
    guix   => [ undef,                                              qr/^i686$/m,   qr/^offloading$/m, qr/machine='pc-i440fx/ ],
);
for my $name (sort keys %wanted) {
    my ($keys, $machine, $user, $domain) = @{ $wanted{$name} };
    ok($d->wait_until(400, "$name is ready", sub { $d->state($name) eq 'ready' }), "$name is ready, with keys that were written into it") or diag($d->log), next;
    $d->said(qr/$name: these keys follow from what its image is$keys/, 'what it is was seen in its image') if $keys;
    unlike($d->log, qr/$name: these keys follow from what its image is/, 'what it is is what is assumed of all images') if !$keys;
    like(Childhurd::slurp("$d->{state}/libvirt/run/qemu/$name.xml"), $domain, '... and chose its machine');
    like($d->ssh($name, 'uname', '-m'), $machine, 'its kernel runs there');
    like($d->ssh($name, 'id', '-un'), $user, '... and the published ssh_config leads to its user');
    is($d->ctl('ssh', $name, 'cat /etc/ssh/ssh_host_ed25519_key.pub'), Childhurd::slurp("$d->{state}/$name/secrets/etc/ssh/ssh_host_ed25519_key.pub"),
        '... with the host key that was made for it');
}
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
done_testing;
