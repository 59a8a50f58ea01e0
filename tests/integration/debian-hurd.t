# SPDX-License-Identifier: GPL-3.0-or-later
# The guide's way to a Debian GNU/Hurd, in a machine with a real systemd: its commands as they are printed, from nothing to
# `childhurdctl ssh childhurd1 uname -a`. The image is a stand-in that a web server on the loopback gives out; only its address is
# told to the machine.
use v5.36;
use Childhurd;
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use Guide;
use StandIn;
use Systemd;
use Test::More;

my $dir  = tempdir('/var/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
my $test = $$;
END {
    my $status = $?;
    remove_tree($dir) unless !$dir || $test != $$ || $ENV{CHILDHURD_KEEP};
    $? = $status;
}

my $web = StandIn::serve("$dir/www");
my $m   = Systemd->new(dir => $dir)->boot->install;
$m->write('/etc/childhurd/images.d/loopback.ini', StandIn::table($web));

sub guide {
    my ($commands) = @_;
    return $m->run('sh', '-exc', $commands);
}

my $text = $m->run('childhurdctl', 'image', 'list');
like($text, qr/^debian-i386 +known /m, 'the image is known before there is a configuration') or diag($text);

my ($fetch) = Guide::commands('hurd-fetch');
$text = guide($fetch);
is($m->{status}, 0, 'it is fetched') or diag($text);
like($text, qr{SHA512 \w{128}, from \S+/SHA512SUMS}, '... and its digest checked');
like($text, qr/use it with image = debian-i386/, '... and it is said how it is used');
$text = $m->run('stat', '-c', '%U %a', '/var/lib/childhurd/images/debian-i386.qcow2');
is($text, "childhurd 644\n", '... as the daemon\'s user');

my ($start) = Guide::commands('hurd');
$text = guide($start);
is($m->{status}, 0, 'a guest of it is ready') or diag($text, $m->journal('-n', 40));
like($text, qr/^Linux childhurd \S+ .*i686/m, '... and runs a command, by childhurdctl ssh') or diag($text);
like($m->run('childhurdctl', 'status', 'childhurd1'), qr/\bready\b/, 'status says so');
like($m->journal('-u', 'childhurdd'), qr/childhurd1: these keys follow from what its image is: .*inject, offloading, user/, 'that it is a Debian was seen in the image');
like($m->run('childhurdctl', 'ssh', 'childhurd1', 'cat /etc/ssh/sshd_config.d/childhurd.conf'), qr/^HostKey /m, '... and its keys were written into the disk');

# What the text below the commands promises.
is($m->run('childhurdctl', 'machines') =~ /build-machine/, '', 'no builds are sent to it');
like($m->run('ssh', '-n', '-F', '/run/childhurd/ssh_config', 'childhurd1', 'id', '-un'), qr/^root$/m, 'ssh alone leads to root there');
like($m->run('childhurdctl', 'image', 'list'), qr/^debian-i386 +kept .*i586 +debian/m, 'the list has the image');
$text = $m->run('childhurdctl', 'image', 'remove', 'debian-i386');
like($text, qr/guest childhurd1 stands on it/, '... which stays while the guest does');
$m->must('systemctl', 'stop', 'childhurd-guests');
$m->stop;
done_testing;
