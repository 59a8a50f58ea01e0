# SPDX-License-Identifier: GPL-3.0-or-later
# childhurdctl image: fetched from a web server on the loopback, in exactly the shape of Debian's image, and all that can go wrong
# on the way. No network is needed.
use v5.36;
use Digest::SHA;
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);
use Childhurd;
use Terminal;
use Web;

Childhurd::own_users('childhurd' => []);
my $dir = tempdir('/var/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
chmod 0755, $dir;
my $test = $$;
END {
    my $status = $?;
    if ($dir && $test == $$) {
        system "mountpoint -q $dir/small && umount $dir/small";
        remove_tree($dir) unless $ENV{CHILDHURD_KEEP};
    }
    $? = $status;
}
make_path("$dir/www", "$dir/etc/images.d", map { "$dir/$_" } qw(made small));
my $images     = "$dir/state/images";
my $unfinished = "$images/unfinished";
my $web        = Web->new("$dir/www");
my $status;

sub configure { my ($state, $guests) = @_; Childhurd::spew("$dir/etc/childhurd.ini", "[daemon]\nstate-directory = $state\nruntime-directory = $dir/run\n" . ($guests // '')) }
sub sha512 { return Digest::SHA->new(512)->addfile($_[0], 'b')->hexdigest }
sub shell { system('sh', '-ec', @_) == 0 or die "@_ failed\n" }
sub seconds { my ($code) = @_; my $begun = time; $code->(); return time - $begun }

# childhurdctl image; its output, with the exit status in $status.
sub image {
    my (@arguments) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN,  '<',  '/dev/null';
        exec "$Childhurd::BUILD/childhurdctl", 'image', '--config', "$dir/etc/childhurd.ini", @arguments;
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    $status = $? >> 8 || $? & 127 && "signal $?";
    return $text;
}
sub listed { my ($name) = @_; return (grep { $_->{name} eq $name } @{ decode_json(image('list', '--json'))->{images} })[0] // {} }
sub left { return [ sort map { s{.*/}{}r } glob "$unfinished/*" ] }

# The file system of an image, checked and read by those who know it.
sub is_good_image {
    my ($name, $sector, $file, $content) = @_;
    my $raw = "$dir/made/look.raw";
    shell("qemu-img convert -O raw $images/$name.qcow2 $raw");
    my $offset = $sector * 512;
    is(system("/sbin/e2fsck -fn '$raw?offset=$offset' >$dir/e2fsck 2>&1"), 0, "$name: its file system is clean") or diag(Childhurd::slurp("$dir/e2fsck"));
    is(`/sbin/debugfs -R 'cat $file' '$raw?offset=$offset' 2>/dev/null`, $content, '... and whole');
    unlink $raw;
}
my $motd = "A stand-in for debian-i386\n";

configure("$dir/state");
shell("tests/guests/stand-in debian-i386 $dir/made/debian-hurd.img");
shell("cd $dir/made && tar --sparse -cJf $dir/www/debian-hurd-20250807.img.tar.xz debian-hurd.img");
my $archive = 'debian-hurd-20250807.img.tar.xz';
my $sha512  = sha512("$dir/www/$archive");
my $size    = -s "$dir/www/$archive";
Childhurd::spew("$dir/www/SHA512SUMS", ('0' x 128) . "  other.img.tar.xz\n$sha512  $archive\n");
Childhurd::spew("$dir/etc/images.d/test.ini", "[image stand-in]\nurl = ${\ $web->url($archive)}\narchitecture = i586\ndistribution = debian\n");

subtest 'the programs' => sub {
    unlike(`readelf -d $Childhurd::BUILD/childhurdd`, qr/NEEDED.*(?:curl|archive)/, 'the daemon links neither libcurl nor libarchive');
    my $list = image('list');
    is($status, 0, 'the list needs no daemon and no folder');
    like($list, qr{^debian-i386 +known +- +i586 +debian +- +https://\S+hurd-i386/debian-hurd-\d{8}\.img\.tar\.xz$}m, '... and has what the program knows');
    like($list, qr{^stand-in +known +- +i586 +debian }m, '... and what the administrator has added');
    ok(!-e "$dir/state", '... and makes nothing');
    my $term = Terminal->new(columns => 80, command => [ "$Childhurd::BUILD/childhurdctl", qw(image --config), "$dir/etc/childhurd.ini", 'list' ]);
    is($term->end(60), 0, 'the list on a terminal');
    1 while $term->take(1);
    like($term->{said}, qr{^debian-i386 +known .* https://\S*\.\.\.\r?$}m, '... has the beginnings of addresses');
    is((grep { length > 80 } split /\r?\n/, $term->{said}), 0, '... and fits it') or diag($term->{said});
    for (['fetch', 'nobody'], ['fetch'], ['frob'], ['add', 'a'], ['add', 'a/b', '/dev/null'], ['add', 'a.img', '/dev/null'],
        ['fetch', 'stand-in', '--sha512', 'abc'], ['list', 'x'], ['check', '--sha512', 'a' x 128])
    {
        my $said = image(@$_);
        is($status, 2, "image @$_ is a wrong command") or diag($said);
    }
    like(image('fetch', 'nobody'), qr/nobody: no image of that name is known; there are .*stand-in/, '... and says which there are');
    Childhurd::spew("$dir/etc/images.d/wrong.ini", "[image x]\nurl = https://localhost/x.img\narchitecture = m68k\n");
    like(image('list'), qr{images\.d/wrong\.ini:3: "m68k" is not one of its values: i586, x86_64$}m, 'a fault in a table has a place');
    unlink "$dir/etc/images.d/wrong.ini";
};

subtest 'one bad file is in the way of nothing else' => sub {
    my $table = "$dir/etc/images.d/wrong.ini";
    Childhurd::spew($table, "garbage\n[image x]\nurl = https://localhost/x.img\n[image y]\ncolour = red\n[image x]\n");
    my $list = image('list');
    is($status, 1, 'a table with faults: the list fails');
    like($list, qr{\Q$table\E:1: "garbage": neither .*^\S+ \Q$table\E:5: "colour" is not a key.*^\S+ \Q$table\E:6: "image x" is there twice, first in line 2;}ms, '... with each of them');
    like($list, qr{^stand-in +known}m, '... and has the rest');
    unlike($list, qr{^x +known}m, '... without that file');
    is_deeply([ sort map { $_->{name} } @{ decode_json(image('list', '--json') =~ s/^childhurdctl:.*\n//gmr)->{images} } ], [qw(debian-amd64 debian-i386 stand-in)], '... as JSON, too');
    like(image('fetch', 'stand-in'), qr{\Q$table\E:1: .*\Q$table\E:6: }s, 'nothing is fetched by name');
    is($status, 1, '... as a failure');
    image('add', 'good', "$dir/made/debian-hurd.img");
    is($status, 0, 'a file is added all the same');
    image('add', 'bad', "$dir/made/debian-hurd.img");
    Childhurd::spew("$images/bad.ini", "garbage\n");
    $list = image('list');
    like($list, qr{^bad +kept .*^good +kept .*\Q$images\E/bad\.ini:1: "garbage"}ms, 'an image whose record is bad is listed, and the others');
    like(image('check'), qr{^problem +bad: \Q$images\E/bad\.ini:1: "garbage".*^ok +good: }ms, '... and checked');
    is($status, 1, '... as a failure');
    like(image('check', 'none', 'good'), qr{^ok +good: .*none: there is no image}ms, 'so are those behind one that is not there');
    unlink $table, "$images/bad.ini";
    make_path("$images/bad.ini");
    shell("mkfifo $table");
    $list = image('list');
    like($list, qr{\Q$table\E: is a fifo, not a regular file$}m, 'a fifo is named');
    like($list, qr{^bad +kept .*\Q$images\E/bad\.ini: is a directory, not a regular file$}ms, '... and a directory');
    rmdir "$images/bad.ini";
    image('remove', 'good', 'bad');
    is($status, 0, 'images are removed all the same');
    unlink $table;
    Childhurd::spew("$dir/etc/images.d/incomplete.ini", "[image z]\narchitecture = i586\n");
    like(image('list'), qr{^stand-in .*incomplete\.ini:2: \[image z\] has no url$}ms, 'an image without an address is left out');
    unlink "$dir/etc/images.d/incomplete.ini";
    image('list');
    is($status, 0, 'without bad files all is well');
};

subtest 'fetched by name' => sub {
    my $said = image('fetch', 'stand-in');
    is($status, 0, 'it is fetched') or diag($said);
    like($said, qr{SHA512 $sha512, from \S+/SHA512SUMS}, 'the digest comes from beside it, and is shown');
    like($said, qr{done in .*: \Q$images\E/stand-in\.qcow2 .*image = stand-in}, '... and how it is used');
    is_deeply(left(), [], 'nothing unfinished is left');
    my $entry = listed('stand-in');
    is_deeply([ @$entry{qw(state architecture distribution sha512 url disk)} ], [ 'kept', 'i586', 'debian', $sha512, $web->url($archive), 4194304000 ], 'the list has what is known of it');
    cmp_ok(abs($entry->{when} - time), '<', 600, '... and since when');
    cmp_ok((stat "$images/stand-in.qcow2")[12] * 512, '<', 16 << 20, 'it is sparse');
    is(sprintf('%o %d', (stat _)[2] & 0777, (stat _)[4]), '644 0', 'everybody can read it, and nobody but root write');
    is_good_image('stand-in', 1050624, 'etc/motd', $motd);
    like(image('check', 'stand-in'), qr/^ok +stand-in: .* is whole$/m, 'check finds it whole');
    like(image('fetch', 'stand-in'), qr/stand-in: the image is there already; childhurdctl image remove stand-in/, 'it is not fetched twice');
    is($status, 1, '... which is a failure');
};

subtest 'the digest stays what it was' => sub {
    image('remove', 'stand-in');
    is($status, 0, 'the image is removed');
    is_deeply([ glob "$images/*.{qcow2,ini}" ], [], '... with its record');
    $web->requests;
    image('fetch', 'stand-in');
    is($status, 0, 'and fetched again');
    is_deeply([ map { $_->{path} } @{ $web->requests } ], [$archive], '... by the digest of the first time');
    image('remove', 'stand-in');
    copy("$dir/www/$archive", "$dir/made/kept") or die;
    Childhurd::spew("$dir/www/$archive", Childhurd::slurp("$dir/made/kept") . "more");
    Childhurd::spew("$dir/www/SHA512SUMS", sha512("$dir/www/$archive") . "  $archive\n");
    like(image('fetch', 'stand-in'), qr{its SHA512 is \w{128}, and should be $sha512 \(by an earlier fetch\); .*another one by now; .*\Q$images\E/sha512}, 'another file there is refused');
    is($status, 1, '... as a failure');
    is_deeply(left(), [], '... and removed');
    copy("$dir/made/kept", "$dir/www/$archive") or die;
    Childhurd::spew("$dir/www/SHA512SUMS", "$sha512  $archive\n");
};

subtest 'a wrong digest' => sub {
    my $wrong = 'ab' x 64;
    like(image('fetch', $web->url($archive), 'wrong', '--sha512', $wrong), qr/its SHA512 is $sha512, and should be $wrong \(by --sha512\)/, 'is named');
    unlike(image('fetch', $web->url($archive), 'wrong', '--sha512', $wrong), qr/unpacking/, 'nothing is unpacked before that');
    is($status, 1, 'it is a failure');
    is_deeply([ left(), glob "$images/wrong*" ], [ [] ], '... that leaves nothing');
    image('fetch', $web->url($archive), 'right', '--sha512', uc $sha512);
    is($status, 0, 'the right one is fine, in capitals too');
    image('remove', 'right');
};

subtest 'a connection that breaks' => sub {
    $web->requests;
    $web->set($archive, cut => int $size / 3, times => 2);
    my $said = image('fetch', $web->url($archive), 'broken', '--sha512', $sha512);
    is($status, 0, 'twice: the fetch goes on by itself') or diag($said);
    like($said, qr/trying again in 1 s/, '... and says so');
    my @requests = @{ $web->requests };
    is_deeply([ map { $_->{status} } @requests ], [ 200, 206, 206 ], '... where it was');
    is($requests[1]{range}, int $size / 3, '... at that byte');
    like($requests[1]{if_range}, qr/^"\w+-\w+"$/, '... if the file is still the same');
    image('remove', 'broken');

    $web->set($archive, cut => 1000, times => 1);
    my $url = $web->url($archive);
    # After 1000 bytes the server has nothing more to say.
    my $pid = fork // die;
    if (!$pid) { 1 while !@{ $web->requests }; $web->set($archive, status => 503); POSIX::_exit(0) }
    $said = image('fetch', $url, 'later', '--sha512', $sha512);
    waitpid $pid, 0;
    is($status, 1, 'for good: it fails');
    like($said, qr/the server says 503 .*; 1000 bytes of it are there, and the same command goes on/, '... and says what is left');
    is_deeply(left(), [qw(later.ini later.part)], '... which is the file so far');
    is_deeply([ @{ listed('later') }{qw(state size url)} ], [ 'begun', 1000, $url ], '... and the list has it');
    $web->set($archive);
    $web->requests;
    like(image('fetch', $url, 'later', '--sha512', $sha512), qr/going on after 1000 bytes/, 'the same command goes on');
    is($status, 0, '... to the end');
    is($web->requests->[0]{range}, 1000, '... from there');
    image('remove', 'later');
};

subtest 'a server that cannot continue' => sub {
    for my $part ('bytes 0-99/100', '') {
        $web->set($archive, cut => 5000, times => 1, part => $part);
        $web->requests;
        my $said = image('fetch', $web->url($archive), 'anew', '--sha512', $sha512);
        is($status, 0, "Content-Range '$part': the file is fetched anew") or diag($said);
        like($said, qr/the server does not continue the file; it is fetched from its beginning/, '... which is said');
        is_deeply([ map { $_->{status} } @{ $web->requests } ], [ 200, 206, 200 ], '... once');
        image('remove', 'anew');
    }
    for my $how ([ part => '' ], [ no_ranges => 1 ]) {
        shell("truncate -s 3M $dir/www/large");
        $web->set('large', cut => 3 << 19, @$how);
        my $said = image('fetch', $web->url('large'), 'anew', '--sha512', $sha512);
        is($status, 1, "@$how, and it always breaks: that has an end");
        like($said, qr/the server did not continue the file, so nothing of it is kept$/m, '... which does not say that the same command goes on');
        is_deeply(left(), [], '... and leaves nothing');
    }
    # None; one with a space, which is none (RFC 9110, section 8.8.3), and would be cut in the record; a weak one.
    for my $etag ('', '"one ;two"', 'W/"weak"') {
        $web->set($archive, etag => $etag, cut => 1000);
        image('fetch', $web->url($archive), 'anew', '--sha512', $sha512);
        my $begun = listed('anew')->{size};
        $web->set($archive, etag => $etag);
        $web->requests;
        like(image('fetch', $web->url($archive), 'anew', '--sha512', $sha512), qr/going on after \S+/, "without a name for the version ($etag), the same command goes on");
        is_deeply([ map { @$_{qw(status range if_range)} } @{ $web->requests } ], [ 206, $begun, undef ], '... from there');
        image('remove', 'anew');
    }

    # A file that is right, and no image.
    Childhurd::spew("$dir/www/text.img", 'hello');
    like(image('fetch', $web->url('text.img'), 'anew', '--sha512', sha512("$dir/www/text.img")),
        qr/does not look like a disk.*; the file is there \(5 bytes\): the same command tries again, and childhurdctl image remove anew removes it$/m, 'what no image can be made of does not go on, either');
    image('remove', 'anew');
    is_deeply(left(), [], '... and can be removed');
    $web->set($archive);
};

subtest 'the file changes between two parts' => sub {
    for my $how ([ etag => '"another"' ], [ no_ranges => 1 ]) {
        $web->set($archive, cut => 5000, times => 1);
        my $term = Terminal->new(command => [ "$Childhurd::BUILD/childhurdctl", qw(image --config), "$dir/etc/childhurd.ini", 'fetch', $web->url($archive), 'changed', '--sha512', $sha512 ]);
        $term->expect(qr/trying again/, 'a part is there', 30);
        $web->set($archive, @$how);
        $term->expect(qr/it is fetched from its beginning/, "@$how: it is fetched from its beginning", 30);
        $term->expect(qr/done in/, '... and is right', 60);
        image('remove', 'changed');
    }
    $web->set($archive);
};

subtest 'a server that stalls' => sub {
    $web->set($archive, stall => 2000);
    my $said;
    my $took = seconds(sub { $said = image('fetch', $web->url($archive), 'stalls', '--sha512', $sha512, '--timeout', '300ms') });
    is($status, 1, 'is given up');
    like($said, qr/nothing came for 0\.3 s; .* of it are there/, '... with the reason');
    cmp_ok($took, '<', 60 * Childhurd::slowness(), '... and soon');
    image('remove', 'stalls');
    is_deeply(left(), [], 'remove removes what was begun, too');

    # Meanwhile: who does the work, and with what rights.
    my $pid = fork // die;
    if (!$pid) { open STDOUT, '>', "$dir/out"; open STDERR, '>&', \*STDOUT; exec "$Childhurd::BUILD/childhurdctl", qw(image --config), "$dir/etc/childhurd.ini", 'fetch', $web->url($archive), 'stalls', '--sha512', $sha512 }
    my ($child, $text) = ('', '');
    Childhurd::limited(30, 'the fetching process', sub {
        ($child) = split ' ', Childhurd::slurp("/proc/$pid/task/$pid/children");
        $child && ($text = Childhurd::slurp("/proc/$child/status")) =~ /^Seccomp:\s*2/m;
    });
    my $uid = getpwnam 'childhurd';
    like($text, qr/^Uid:\s*$uid\s+$uid\s+$uid\s+$uid$/m, "what fetches is QEMU's user");
    like($text, qr/^Gid:\s*65534\s+65534\s+65534\s+65534$/m, '... in a group that no QEMU has');
    like($text, qr/^NoNewPrivs:\s*1$/m, '... without new rights');
    like($text, qr/^CapEff:\s*0+$/m, '... or old ones');
    like(image('fetch', $web->url($archive), 'stalls', '--sha512', $sha512), qr/stalls: another childhurdctl image is at work on it/, 'two fetches of one name exclude each other');
    like(image('remove', 'stalls'), qr/at work on it/, '... and a fetch and remove');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    Childhurd::limited(10, 'what fetches ends with it', sub { !-e "/proc/$child" || Childhurd::slurp("/proc/$child/stat") =~ /\) Z/ });
    pass('killed, it takes its processes along');
    Childhurd::spew("$images/unfinished/stalls.$_", 'x') for qw(ini.new disk raw qcow2);    # as if it was killed at another moment
    image('remove', 'stalls');
    is_deeply(left(), [], 'and remove removes all that it left');
    $web->set($archive);
};

subtest 'redirects' => sub {
    $web->set('moved', redirect => $web->url($archive));
    image('fetch', $web->url('moved'), 'moved', '--sha512', $sha512);
    is($status, 0, 'one is followed');
    image('remove', 'moved');
    $web->set('away', redirect => 'http://192.0.2.1/x.img.xz');
    Childhurd::spew("$dir/www/SHA512SUMS", "$sha512  away\n$sha512  circle\n");
    my $said = image('fetch', $web->url('away'), 'away');
    is($status, 1, 'one to http elsewhere fails');
    like($said, qr{192\.0\.2\.1/x\.img\.xz: .*leads there; .*use https}, '... without a word to that host');
    $web->set('circle', redirect => $web->url('circle'));
    like(image('fetch', $web->url('circle'), 'away'), qr/10 redirects, and no file/, 'one in a circle ends');
    $web->set('file', redirect => 'file:///etc/passwd');
    like(image('fetch', $web->url('file'), 'away', '--sha512', $sha512), qr{only https is fetched}, 'one to a file is refused');
    like(image('fetch', 'http://192.0.2.1/x.img.xz'), qr{anybody on the way could change what http brings; use https, or give the file's digest}, 'http from another host wants a digest');
    like(image('fetch', $web->url('none.img'), '--sha512', $sha512), qr/404 \(not found\)/, 'what is not there is not found');
    my $took = seconds(sub { $said = image('fetch', 'http://127.0.0.1:9/x.img', '--sha512', $sha512) });
    like($said, qr/^childhurdctl: http:.*(?:refused|connect)/mi, 'where nobody listens, that is said');
    cmp_ok($took, '<', 10 * Childhurd::slowness(), '... at once');
    is_deeply(left(), [], 'nothing is left of any of them');
};

subtest 'https' => sub {
    # This test's own list of authorities; the rest of the system does not see it.
    my $port = Childhurd::free_port();
    shell("cd $dir/made && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null");
    Childhurd::spew("$dir/www/SHA512SUMS", "$sha512  $archive\n");
    my $pid = fork // die;
    if (!$pid) {
        chdir "$dir/www";
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec qw(openssl s_server -WWW -accept), "127.0.0.1:$port", '-cert', "$dir/made/cert.pem", '-key', "$dir/made/key.pem";
    }
    Childhurd::limited(30, 'the server listens', sub { IO::Socket::INET->new("127.0.0.1:$port") });
    my $url = "https://localhost:$port/$archive";
    like(image('fetch', $url, 'safe'), qr/safe: its digest is not known: .*certificate/i, 'a server that nobody vouches for is not believed');
    shell("mount --bind $dir/made/cert.pem /etc/ssl/certs/ca-certificates.crt");
    like(image('fetch', $url, 'safe'), qr{SHA512 $sha512, from https://localhost:$port/SHA512SUMS}, 'one that somebody vouches for gives the digest');
    is($status, 0, '... and the image');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    system 'umount', '/etc/ssl/certs/ca-certificates.crt';
    image('remove', 'safe');
};

subtest 'a full disk' => sub {
    system('mount', '-t', 'tmpfs', '-o', 'size=3M,mode=755', 'none', "$dir/small") == 0 or die "mount\n";
    configure("$dir/small");
    $web->requests;
    my $said = image('fetch', $web->url($archive), 'full', '--sha512', $sha512);
    is($status, 1, 'the room is checked first');
    like($said, qr/there is no room for it: .* take at least .*, and .* are free; free some, or choose another state-directory/, '... and it says how much is missing');
    is_deeply([ glob "$dir/small/images/unfinished/*" ], [], 'nothing is left');
    # What it will take shows only while it is unpacked.
    my $random = "$dir/made/random.img";
    shell("head -c 2500000 /dev/zero | tr '\\0' A >$random; printf '\\125\\252' | dd of=$random bs=1 seek=510 conv=notrunc status=none; gzip -fk $random");
    $said = image('add', 'full', "$random.gz");
    is($status, 1, 'a disk that is too large fails while it is unpacked');
    like($said, qr/No space left on device|there is no room/, '... with that reason');
    is_deeply([ glob "$dir/small/images/{unfinished/,}*" ], ["$dir/small/images/unfinished"], 'nothing is left');
    system 'umount', "$dir/small";

    # Some stays free, for the guests, even if it is not known how much will come.
    system('mount', '-t', 'tmpfs', '-o', 'size=100M,mode=755', 'none', "$dir/small") == 0 or die "mount\n";
    shell("truncate -s 200M $dir/www/endless; truncate -s 100M $dir/made/large.img; yes A | head -c 20M | dd of=$dir/made/large.img conv=notrunc status=none");
    shell("cd $dir/made && printf '\125\252' | dd of=large.img bs=1 seek=510 conv=notrunc status=none; gzip -1fk large.img; qemu-img convert -c -f raw -O qcow2 large.img large.qcow2");
    $web->set('endless', no_length => 1);
    $said = image('fetch', $web->url('endless'), 'endless', '--sha512', $sha512);
    is($status, 1, 'a file of unknown length ends where the room does');
    like($said, qr/there is no room for it: .* beside the 64M that stay free, .*; \S+ of it are there, and childhurdctl image remove endless frees them$/m, '... which is said, and how to go on');
    my ($left) = `df --output=avail -B1M $dir/small` =~ /(\d+)\s*$/;
    cmp_ok($left, '>=', 64, '... with some left for others');
    image('remove', 'endless');
    for my $file (qw(large.img large.img.gz large.qcow2)) {
        $said = image('add', 'large', "$dir/made/$file");
        like($said, qr/there is no room for it: .* at least \S+ beside the 64M that stay free, and \S+ are free;/, "$file: it is said what it takes");
        is_deeply([ glob "$dir/small/images/{unfinished/,}*" ], ["$dir/small/images/unfinished"], '... and nothing is left');
    }
    unlink "$dir/www/endless";
    system 'umount', "$dir/small";
    configure("$dir/state");
};

subtest 'what can be added' => sub {
    my $m = "$dir/made";
    shell("cd $m && tar --sparse -czf disk.tar.gz debian-hurd.img && tar --format=posix --sparse -cf disk.tar debian-hurd.img");
    shell("tests/guests/stand-in bare $m/bare.img");
    shell("cd $m && xz -0k bare.img && gzip -1k bare.img && zstd -q -1 bare.img && qemu-img convert -c -O qcow2 debian-hurd.img disk.qcow2");
    my %before = map { $_ => sha512("$m/$_") } qw(disk.qcow2 bare.img.gz);
    for my $file (qw(disk.tar.gz disk.tar bare.img.xz bare.img.gz bare.img.zst bare.img debian-hurd.img disk.qcow2)) {
        my $said = image('add', 'added', "$m/$file");
        is($status, 0, "$file is added") or diag($said);
        cmp_ok((stat "$images/added.qcow2")[12] * 512, '<', 16 << 20, '... and is sparse');
        is_good_image('added', 1050624, 'etc/motd', $motd) if $file =~ /^disk\.(?:tar|qcow2)$/;
        is_good_image('added', 0, 'etc/motd', "A stand-in for bare\n") if $file =~ /^bare\.img\.(?:xz|zst)$/;
        is_deeply(left(), [], '... and nothing else is left');
        image('remove', 'added');
    }
    is_deeply({ map { $_ => sha512("$m/$_") } keys %before }, \%before, 'the files stay as they were');
    for my $kind (['debian-amd64', 1050624], ['guix', 2048]) {
        shell("tests/guests/stand-in $kind->[0] $m/$kind->[0].img");
        image('add', 'added', "$m/$kind->[0].img");
        is_good_image('added', $kind->[1], 'etc/motd', "A stand-in for $kind->[0]\n");
        image('remove', 'added');
    }

    # A file system that was not unmounted, and has a fault.
    shell("cp --sparse=always $m/debian-hurd.img $m/dirty.img; /sbin/debugfs -w -R 'sif /etc/motd links_count 7' '$m/dirty.img?offset=${\ (1050624 * 512)}' >/dev/null 2>&1");
    like(image('add', 'added', "$m/dirty.img"), qr/e2fsck has repaired its file system/, 'a fault is repaired');
    is_good_image('added', 1050624, 'etc/motd', $motd);
    image('remove', 'added');
};

subtest 'what cannot be added' => sub {
    my $m = "$dir/made";
    shell("cd $m && echo second >second && tar -cf two.tar second debian-hurd.img && qemu-img convert -O vmdk debian-hurd.img disk.vmdk 2>/dev/null");
    shell("cd $m && head -c 700000 bare.img.xz >cut.img.xz && qemu-img create -q -f qcow2 -b /etc/passwd -F raw backing.qcow2 && echo hello >text && mkdir -p folder && : >empty");
    shell("cd $m && tar -cf none.tar folder && tar -czf nobody.tar.gz -T /dev/null && tar -cf nobody.tar -T /dev/null && head -c 1M /dev/zero | gzip >zeros.gz");
    shell("cd $m && cat bare.img.xz second >behind.img.xz && gzip -k backing.qcow2 && gzip -k disk.vmdk && truncate -s 8T sparse.img && xz -k text");
    shell("cd $m && qemu-img create -q -f qcow2 huge.qcow2 1T && mkfifo fifo");
    shell("cd $m && tar --sparse -cf sparse.tar sparse.img");
    my %refused = (
        'two.tar'       => qr/has more than one file: second and debian-hurd\.img/,
        'disk.vmdk'     => qr/disk\.vmdk: is a VMDK image; convert it first: qemu-img convert -f vmdk/,
        'cut.img.xz'    => qr/cut\.img\.xz: cannot be unpacked: it is truncated, or something follows its end$/m,
        'backing.qcow2' => qr{backing\.qcow2: has a backing file \(/etc/passwd\)},
        'text'          => qr/text: does not look like a disk: no partition table and no file system at its start$/m,
        'text.xz'       => qr/text\.xz: what is in it, FILE, does not look like a disk: .* at its start$/m,
        'behind.img.xz' => qr/behind\.img\.xz: cannot be unpacked: it is truncated, or something follows its end$/m,
        'backing.qcow2.gz' => qr{backing\.qcow2\.gz: what is in it, FILE, has a backing file .*qemu-img convert -O qcow2 'FILE' 'FILE\.alone'$}m,
        'disk.vmdk.gz'  => qr/disk\.vmdk\.gz: what is in it, FILE, is a VMDK image; convert it first: qemu-img convert -f vmdk -O qcow2 'FILE'/,
        'sparse.img'    => qr/sparse\.img: has 8\.0T, and may have 256\.0G$/m,
        'sparse.tar'    => qr/sparse\.tar: the unpacked disk has more than 256\.0G$/m,
        'huge.qcow2'    => qr/huge\.qcow2: is a disk of 1\.0T, and may be one of 256\.0G$/m,
        'fifo'          => qr/fifo: is neither a regular file nor a block device$/m,
        '../../../../dev/zero' => qr{/dev/zero: is neither a regular file nor a block device$}m,
        'nobody.tar.gz' => qr/nobody\.tar\.gz: has nothing but zeros in it, as a blank disk or an empty archive/,
        'nobody.tar'    => qr/nobody\.tar: has nothing but zeros in it/,
        'zeros.gz'      => qr/zeros\.gz: has nothing but zeros in it/,
        'empty'         => qr/empty: .*is empty/,
        'none.tar'      => qr/none\.tar: has no file in it/,
        'folder'        => qr/folder: /,
        'nothing'       => qr/nothing: No such file/,
    );
    for my $file (sort keys %refused) {
        like(image('add', 'refused', "$m/$file"), $refused{$file}, "$file is refused");
        is($status, 1, '... as a failure');
    }
    like(image('add', 'refused', "$m/disk.qcow2", '--sha512', 'ab' x 64), qr/its SHA512 is \w+, and should be abab/, 'a wrong digest is refused');
    is_deeply([ left(), glob "$images/refused*" ], [ [] ], 'nothing is left of them');
    like(image('add', '.a', "$m/disk.qcow2"), qr/\.a: not an image's name, which is of letters, .* the first a letter or digit/, 'a name that is refused is told why');
};

subtest 'on a terminal' => sub {
    $web->set($archive, rate => $size / 6);
    my $term = Terminal->new(columns => 70, command => [ "$Childhurd::BUILD/childhurdctl", qw(image --config), "$dir/etc/childhurd.ini", 'fetch', $web->url($archive), 'shown', '--sha512', $sha512 ]);
    $term->expect(qr{\r\e\[Kshown: fetching \d+% of [\d.]+M, [\d.]+[KM]/s, \d+s left}, 'one line shows how much, how fast and what is left', 60);
    $term->type("\x03");
    $term->expect(qr/stopped; \S+ of it are there, and the same command goes on/, 'Ctrl-C stops it', 30);
    Childhurd::limited(30, 'it has ended', sub { "@{left()}" eq 'shown.ini shown.part' });
    is_deeply(left(), [qw(shown.ini shown.part)], '... and leaves the file so far');
    $web->set($archive);
    image('remove', 'shown');
};

subtest 'who stands on it' => sub {
    my $m = "$dir/made";
    image('add', 'used', "$m/disk.qcow2");
    configure("$dir/state", "[guest a]\nimage = used\nautostart = no\n");
    like(image('remove', 'used'), qr/used: guest a stands on it; give the guest another image/, 'an image is not removed while a guest starts from it');
    is($status, 1, '... as a failure');
    ok(-e "$images/used.qcow2", '... and stays');
    my $check = `$Childhurd::BUILD/childhurdd --check --config $dir/etc/childhurd.ini 2>&1`;
    like($check, qr{^ok +a: image \Q$images\E/used\.qcow2 \(qcow2\)$}m, 'image = NAME finds it');
    configure("$dir/state", "[guest a]\nimage = unused\nautostart = no\n");
    $check = `$Childhurd::BUILD/childhurdd --check --config $dir/etc/childhurd.ini 2>&1`;
    like($check, qr{images/unused\.qcow2: No such file or directory; childhurdctl image fetch unused gets it}, '... and says how to get one that is not there');
    make_path("$dir/state/gone");
    shell("qemu-img create -q -f qcow2 -b $images/used.qcow2 -F qcow2 $dir/state/gone/disk.qcow2");
    like(image('remove', 'used'), qr{used: \Q$dir\E/state/gone/disk\.qcow2 stands on it}, 'nor while a disk has it below');
    unlink "$dir/state/gone/disk.qcow2";
    image('remove', 'used');
    is($status, 0, 'then it goes');
    configure("$dir/state", "[guest a]\nimage = b.img\n");
    like(image('list'), qr{childhurd\.ini:\d+: \[guest a\] image: "b\.img" is not the name of an image .*; a file beside this one is \./FILE}, 'a file without a slash is an error that says what is right');
    configure("$dir/state");
};

subtest 'what nobody has made here' => sub {
    make_path("$images/folder.qcow2");
    symlink '/dev/zero', "$images/link.qcow2";
    is_deeply([ map { listed($_)->{state} } qw(folder link) ], [ ('foreign') x 2 ], 'is listed as that');
    rmdir "$images/folder.qcow2";
    unlink "$images/link.qcow2";
    symlink '/nowhere', "$images/link.qcow2";
    image('remove', 'link');
    is($status, 0, '... and a link to nothing can be removed');
    symlink '/dev/zero', "$unfinished/odd.part";
    for my $action ('remove', 'fetch') {
        like(image($action, $action eq 'fetch' ? ($web->url($archive), 'odd', '--sha512', $sha512) : 'odd'), qr{\Q$unfinished\E/odd\.part: is not a regular file, and was not made here; delete it$}m, "$action says what to delete");
    }
    unlink "$unfinished/odd.part";
    is_deeply(left(), [], '... and then nothing is left');
};

subtest "a folder of another user's" => sub {
    my ($uid, $gid) = (getpwnam 'childhurd')[ 2, 3 ];
    make_path("$dir/theirs");
    chown $uid, $gid, "$dir/theirs";
    configure("$dir/theirs");
    image('add', 'ours', "$dir/made/disk.qcow2");
    is($status, 0, 'root adds an image');
    is_deeply([ map { (stat "$dir/theirs/images$_")[4] } '', '/ours.qcow2', '/ours.ini', '/unfinished' ], [ ($uid) x 4 ], '... as that user');
    configure("$dir/state");
};

subtest 'a guest that boots' => sub {
    my $image = Childhurd::optional_image('linux') or plan skip_all => $Childhurd::lacking;
    my $id    = Childhurd::free_id(1);
    my $d     = Childhurd->new(guests => "[guest mine]\nid = $id\nimage = linux\nmemory-size = 256M\n");
    like(`$Childhurd::BUILD/childhurdctl image --config $d->{file} add linux $image 2>&1`, qr/done in/, 'its image is added');
    $d->start;
    $d->ctl('wait', 'mine', '--for', 'ready', '--timeout', '120s');
    is($d->{status}, 0, 'a guest with image = NAME is ready') or diag($d->log);
    like(`$Childhurd::BUILD/childhurdctl image --config $d->{file} remove linux 2>&1`, qr/linux: guest mine stands on it/, '... and the image stays');
    $d->ctl('stop', 'mine', '--now', '--wait', '--timeout', '60s');
    $d->end;
};

done_testing;
