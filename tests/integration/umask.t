# SPDX-License-Identifier: GPL-3.0-or-later
# Whatever the umask: guests start, for root's daemon and an ordinary user's, and all that the daemon, libvirt, qemu-img and
# QEMU make has the modes of the manual's table.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Copy qw(copy);
use File::Find qw(find);
use Test::More;

Childhurd::own_users(childhurd => ['kvm'], someone => ['kvm']);
my $image = Childhurd::need_image('linux');

# path => mode, of what is there.
sub modes {
    my ($d) = @_;
    my %mode;
    for my $folder (qw(state runtime)) {
        find({ no_chdir => 1, wanted => sub {
            my @st = lstat $_ or return;
            return if -l _;
            my $name = "$folder" . substr $_, length $d->{$folder};
            $name =~ s{/domain-\d+-}{/domain-N-};
            $name =~ s{/qmp-[^/]+}{/qmp-X};
            $mode{$name} = sprintf '%04o', $st[2] & 07777;
        } }, $d->{$folder});
    }
    return \%mode;
}

my %table = (
    'state'                => '0755', 'state/lock'          => '0600', 'state/a/disk.qcow2'      => '0600', 'state/a/console.log' => '0600',
    'state/a/state'        => '0600', 'state/a/offload_key' => '0600', 'state/a/secrets'         => '0700',
    'runtime'              => '0755', 'runtime/machines.scm' => '0644', 'runtime/ssh_config'     => '0644',
    'runtime/known_hosts'  => '0644', 'runtime/control'     => '0660',
);

# A daemon with a guest, under this umask.
sub begin {
    my ($user, $umask, $id) = @_;
    my $d = Childhurd->new;
    copy($image, "$d->{dir}/image.qcow2") or die $!;
    chmod 0644, "$d->{dir}/image.qcow2";
    $d->configure("[guest a]\nid = $id\nimage = $d->{dir}/image.qcow2\nmemory-size = 256M\n");
    if ($user ne 'root') {
        $d->run_as($user);
        chown +(getpwnam $user)[ 2, 3 ], $d->{dir};
    }
    my $before = umask $umask;
    $d->start;
    umask $before;
    return $d;
}

# libvirt's, in folders that nobody else can pass.
my $closed = qr{^state/(?:libvirt/lib/qemu/domain-N-a/monitor\.sock|libvirt/run/qemu/dbus|a/console)$};

# When the guest is ready; the modes of what is there.
sub look {
    my ($d, $user, $name) = @_;
    $d->ctl('wait', 'a', '--for', 'ready', '--timeout', '300s');
    is($d->{status}, 0, "$name: its guest is ready") or diag($d->log);
    my $mode   = modes($d);
    my %wanted = (%table, 'state/a' => $user eq 'root' ? '0710' : '0700');
    $wanted{'runtime/control'} = '0600' unless $user eq 'root';
    is_deeply({ map { $_ => $mode->{$_} // 'none' } keys %wanted }, \%wanted, "$name: the modes are those of the manual");
    my @open = grep { oct($mode->{$_}) & 022 && $_ ne 'runtime/control' && !/$closed/ } sort keys %$mode;
    is_deeply(\@open, [], "$name: nobody else can write to anything") or diag(join "\n", map { "$_ $mode->{$_}" } @open);
    like(scalar `setpriv --reuid=65534 --regid=65534 --clear-groups cat $d->{runtime}/machines.scm`, qr/build-machine/, "$name: Guix sees the machine");
    $d->ctl('stop', '--all', '--now', '--wait', '--timeout', '120s');
    $d->end;
    return $mode;
}

for my $user (qw(root someone)) {
    my $id  = Childhurd::free_id(3);
    my @all = map { { umask => $_, daemon => begin($user, $_, $id++) } } 000, 027, 077;
    $_->{mode} = look($_->{daemon}, $user, sprintf "%s's daemon with umask %03o", $user, $_->{umask}) for @all;
    for my $other (@all[ 1, 2 ]) {
        my ($mode, $first) = ($other->{mode}, $all[0]{mode});
        my @differ = grep { exists $first->{$_} && $first->{$_} ne $mode->{$_} } sort keys %$mode;
        is_deeply(\@differ, [], "$user: another umask changes no mode")
          or diag(join "\n", map { "$_ $mode->{$_}, not $first->{$_}" } @differ);
    }
}

done_testing;
