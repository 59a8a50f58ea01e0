# SPDX-License-Identifier: GPL-3.0-or-later
# The demo with a Debian GNU/Hurd, which a web server on the loopback gives out (a stand-in, see tests/guests): what it says where
# the network gives none, and that what it says helps; its progress on a terminal; the shell at its end; and that nothing is left of
# it, however it ends.
use v5.36;
use Childhurd;
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX ();
use StandIn;
use Terminal;
use Test::More;
use Time::HiRes qw(time);

use constant LIMIT => 10;    # s until the demo has said that the network gives nothing

Childhurd::own_users('childhurd' => ['kvm']);
my $dir  = tempdir('/var/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
my $test = $$;
END {
    my $status = $?;
    remove_tree($dir) unless !$dir || $test != $$ || $ENV{CHILDHURD_KEEP};
    $? = $status;
}
chmod 0755, $dir;
my $cache = "$dir/cache";
my $kept  = "$cache/hurd";
make_path("$kept/images.d", "$dir/bin");
my $web = StandIn::serve("$dir/www");
delete @ENV{qw(IMAGE MEMORY HURD)};
@ENV{qw(CHILDHURD_CACHE MEMORY SHELL PS1 NO_COLOR PATH)} = ($cache, '256M', '/bin/sh', 'stay$ ', 1, "$dir/bin:$ENV{PATH}");

Childhurd::spew("$dir/bin/sudo", "#!/bin/sh\nexec \"\$@\"\n", 0755);

# A command's output, with its exit status in $status, and the time in $took.
my ($status, $took);
sub run {
    my (@argv) = @_;
    my $begun = time;
    my $pid   = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN,  '<',  '/dev/null';
        exec { $argv[0] } @argv or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    ($status, $took) = ($? >> 8 || $? & 127 && "signal $?", time - $begun);
    return $text;
}

# What the demo in that folder has left: processes, and the folder.
sub left {
    my ($demo) = @_;
    return [ (grep { -e } $demo), grep { index(Childhurd::slurp($_), "$demo/") >= 0 } glob '/proc/[0-9]*/cmdline' ];
}

# --- where the network does not give it ---
# Listening sockets that nobody serves: one takes connections and is silent; one is full, so that a connection never comes about.
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 20) or die "listen: $!";
my $full   = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)  or die "listen: $!";
my @fill   = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) } 1 .. 4;
my $closed = Childhurd::free_port();
my @networks = (
    ['nobody listens', "http://127.0.0.1:$closed/", qr/refused|connect/i],
    ['the server never answers', 'http://127.0.0.1:' . $silent->sockport . '/', qr/nothing came for 8 s/],
    ['the server cannot be reached', 'http://127.0.0.1:' . $full->sockport . '/', qr/nothing came|time/i],
    ['the name does not resolve', 'https://cdimage.invalid/', qr/resolve/i],
);
my $names = $ENV{CHILDHURD_NETWORK} && IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 53, Proto => 'udp');
my $said;
for my $with_names (0, 1) {
    close $names if $names && !$with_names;
    if ($with_names) {
        $names &&= IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 53, Proto => 'udp');
        @networks = $names ? ['the name server never answers', 'https://cdimage.invalid/', qr/resolv|time|nothing came/i] : ();
    }
    for (@networks) {
        my ($what, $folder, $why) = @$_;
        Childhurd::spew("$kept/images.d/test.ini", "[image debian-i386]\nurl = $folder" . StandIn::NAME . "\n");
        $said = run('tests/demo', '--hurd');
        is($status, 1, "$what: the demo fails");
        like($said, qr/^childhurdctl: debian-i386: .*\Q$folder\E.*$why/m, '... with the reason') or diag($said);
        like($said, qr/^ +sudo \S+childhurdctl image add debian-i386 FILE /m, '... and with what to do');
        cmp_ok($took, '<', LIMIT * Childhurd::slowness(), "... within ${\ LIMIT } s");
    }
}
close $_ for grep { $_ } $silent, $full, @fill, $names;

# The digest may be known from before.
my $nobody = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 20) or die "listen: $!";
Childhurd::spew("$kept/images.d/test.ini", "[image debian-i386]\nurl = http://127.0.0.1:${\ $nobody->sockport }/x.img.tar.xz\nsha512 = " . 'ab' x 64 . "\n");
run('tests/demo', '--hurd');
is($status, 1, 'with a known digest, too, a server that never answers is given up');
cmp_ok($took, '<', LIMIT * Childhurd::slowness(), '... as soon');
close $nobody;

# --- what it says to do ---
my ($commands) = $said =~ /^( +cd .*)/ms;
my $archive = "$dir/www/" . StandIn::NAME;
my $text = run('sh', '-exc', ($commands // 'false') =~ s/\bFILE\b/$archive/r);
is($status, 0, 'the command for a file that is there works as it is printed') or diag($text);
ok(-s "$kept/images/debian-i386.qcow2", '... and puts the image into its place');

# --- however it ends, nothing is left ---
for my $end (['Ctrl-C', sub { $_[0]->type("\x03") }], ['the end of its terminal', sub { kill 'HUP', $_[0]->process }]) {
    my $terminal = Terminal->new(columns => 80, command => [ 'tests/demo', '--hurd' ]);
    $terminal->expect(qr/debian-i386\.qcow2 is there\./, 'the demo takes it', 60);
    my ($demo) = ($terminal->expect(qr{/tmp/childhurd-demo\.\w+}, undef, 60) // '') =~ /(.*)/;
    $terminal->expect(qr/childhurd1 .*?booting/, '... and a guest boots', 120 * Childhurd::slowness());
    $end->[1]->($terminal);
    isnt($terminal->end(120 * Childhurd::slowness()), 0, "$end->[0] ends it");
    is_deeply(left($demo), [], '... and nothing is left');
}

# --- all of it, through bootstrap, from a server that is slow enough to see it ---
# Every package that bootstrap asks for is there.
Childhurd::spew("$dir/bin/dpkg-query", "#!/bin/sh\nfor package; do :; done; echo \$package >>$dir/packages; echo installed\n", 0755);
Childhurd::spew("$dir/bin/$_",         "#!/bin/sh\n", 0755) for qw(make usermod setfacl useradd);
run("$Childhurd::BUILD/childhurdctl", 'image', '--config', "$kept/childhurd.ini", 'remove', 'debian-i386');
Childhurd::spew("$kept/images.d/test.ini", StandIn::table($web));
$web->set(StandIn::NAME, rate => (-s $archive) / 6);
my $terminal = Terminal->new(columns => 80, command => [ './bootstrap', 'demo', '--hurd', '--stay' ]);
my $limit    = 120 * Childhurd::slowness();
$terminal->expect(qr/debian-i386: fetching \d+% of [\d.]+M, [\d.]+[KM]\/s, \d+s left/, 'on a terminal a line shows how much, how fast and what is left', 120);
my $packages = Childhurd::slurp("$dir/packages");
like($packages, qr/^$_$/m, "bootstrap sees to $_") for qw(ca-certificates qemu-utils e2fsprogs);
unlike($packages, qr/^gcc-multilib$/m, '... and to nothing that only the test guests need');
my ($demo) = ($terminal->expect(qr{/tmp/childhurd-demo\.\w+}, 'the image is there', 120) // '') =~ /(.*)/;
$terminal->expect(qr/childhurd1 is ready/, 'a guest is ready', $limit);
$terminal->expect(qr/^Linux childhurd \S+.*i686/m, '... and runs a command', $limit);
$terminal->expect(qr/childhurd1 is ready.*childhurd1 is ready.*Try:\r?\n/s, '... is stopped, started and made pristine', $limit);
my $tips = $terminal->expect(qr/.*exit ends the demo.*\n/s, 'the shell begins with what to try', $limit) // '';
$terminal->expect(qr/stay\$ /, '... and a prompt', $limit);

# Each of the tips; those that ask for input get some.
my %input = ('ssh childhurd1' => "echo it is \$((6 * 7)); exit\n", 'childhurdctl console childhurd1' => "\x1d");
my %shows = (
    'childhurdctl list'               => qr/^childhurd1 +ready/m,
    'ssh childhurd1'                  => qr/it is 42/,
    'childhurdctl console childhurd1' => qr/Disconnected from childhurd1/,
    'childhurdctl sleep childhurd1 --wait' => qr/childhurd1 is asleep/,
    'childhurdctl reset childhurd1'   => qr/childhurd1/,
    'childhurdctl help'               => qr/image/,
);
my @tips = $tips =~ /^ +((?:childhurdctl|ssh)\b.*?)(?: {2,}.*)?\r?$/mg;
cmp_ok(scalar @tips, '>=', 5, 'there are tips');
for my $tip (@tips) {
    ok($shows{$tip}, "the test knows: $tip") or next;
    $terminal->type("$tip\n");
    if ($input{$tip}) {
        $terminal->expect($tip =~ /console/ ? qr/Connected to childhurd1/ : qr/[#\$] /, undef, $limit);
        $terminal->type($input{$tip});
    }
    $terminal->expect($shows{$tip}, $tip, $limit);
    $terminal->expect(qr/stay\$ /, undef, $limit);
    next if $tip !~ /sleep/;
    $terminal->type("ssh childhurd1 echo awake: yes\n");
    $terminal->expect(qr/^awake: yes/m, '... and then ssh wakes it', $limit);
    $terminal->expect(qr/stay\$ /, undef, $limit);
}
$terminal->type("exit\n");
$terminal->expect(qr/Done in \d+ s/, 'exit ends the demo', $limit);
is($terminal->end($limit), 0, '... well');
is_deeply(left($demo), [], '... and nothing is left');
is_deeply([ glob "$kept/images/unfinished/*" ], [], '... but the image');
ok(-s "$kept/images/debian-i386.qcow2", '... which the next demo finds');
done_testing;
