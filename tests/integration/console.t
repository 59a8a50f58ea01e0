# SPDX-License-Identifier: GPL-3.0-or-later
# A real guest's console: typing into it, the log beside it, its screen; and top, on a terminal.
use v5.36;
use utf8;
use Compress::Zlib qw(uncompress);
use IO::Socket::UNIX;
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);
use Childhurd;
use Terminal;

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my $d     = Childhurd->new(guests => <<"END");
[guest a]
image = $image
memory-size = 256M
id = $id
[guest b]
image = $image
autostart = no
id = ${\($id + 1)}
END
$d->start;
my $ctl     = "$Childhurd::BUILD/childhurdctl";
my $control = "$d->{runtime}/control";
my $log     = "$d->{state}/a/console.log";
my @children;
@ENV{qw(TERM LC_ALL)} = ('xterm', 'C.UTF-8');
delete $ENV{NO_COLOR};
END { kill 'KILL', @children }

# childhurdctl on a terminal, and behind it what its exit status was and how it left the terminal.
sub on_terminal (@arguments) {
    return Terminal->new(rows => 10, command => ['sh', '-c', '"$@"; echo "status $?"; stty -a', 'sh', $ctl, '-s', $control, @arguments]);
}

# That it ends with this status and gives the terminal back.
sub ends_well ($t, $status, $what) {
    $t->expect(qr/^status $status\r$/m,     "$what: exit $status");
    $t->expect(qr/[^-]icanon.* [^-]*echo /s, "$what: the terminal is as it was");
    is($t->end, 0, "$what: it ends");
}

# The first process with these words on its command line, so that it can be sent a signal.
sub process (@words) {
    my $wanted = join "\0", @words;
    return $d->wait_until(60, "@words runs", sub {
        my ($found) = grep { Childhurd::slurp($_) =~ /^\Q$ctl\E\0.*\Q$wanted\E/ } glob '/proc/[0-9]*/cmdline';
        return $found && ($found =~ /(\d+)/)[0];
    });
}

sub in_log ($pattern, $what, $limit = 20) {
    ok($d->wait_until($limit, $what, sub { Childhurd::slurp($log) =~ $pattern }), $what);
}

$d->ctl('console', 'b');
is($d->{status}, 1, 'a guest that does not run has no console');
ok($d->wait_until(240, 'a is ready', sub { $d->state('a') eq 'ready' }), 'a guest is ready') or exit 1;
my $qemu = $d->qemu('a');

# --- its screen ---

# A line of a picture from its filtered bytes (https://www.w3.org/TR/png/, 9.2), of three bytes a pixel, and the line above.
sub unfilter ($filter, $line, $above) {
    my @line = unpack 'C*', $line;
    for my $i (0 .. $#line) {
        my ($a, $b, $c) = ($i < 3 ? 0 : $line[$i - 3], $above->[$i] // 0, $i < 3 ? 0 : $above->[$i - 3] // 0);
        my @distances = map { abs($a + $b - $c - $_) } $a, $b, $c;
        my $paeth     = $distances[0] <= $distances[1] && $distances[0] <= $distances[2] ? $a : $distances[1] <= $distances[2] ? $b : $c;
        $line[$i] = ($line[$i] + (0, $a, $b, ($a + $b) >> 1, $paeth)[$filter]) & 255;
    }
    return \@line;
}

# Width, height and the pixels of a PNG of three bytes a pixel, which has to be sound.
sub png ($bytes) {
    my ($width, $height, $data) = (0, 0, '');
    substr($bytes, 0, 8) eq "\x89PNG\r\n\x1a\n" or return;
    for (my $at = 8; $at < length $bytes;) {
        my ($n, $type) = unpack 'N a4', substr $bytes, $at, 8;
        my $chunk = substr $bytes, $at + 8, $n;
        unpack('N', substr $bytes, $at + 8 + $n, 4) == Compress::Zlib::crc32($type . $chunk) or return;
        ($width, $height) = unpack 'N N', $chunk if $type eq 'IHDR';
        $data .= $chunk if $type eq 'IDAT';
        $at += 12 + $n;
    }
    my ($above, $pixels) = ([], '');
    for my $line (unpack "(a@{[1 + 3 * $width]})*", uncompress($data) // '') {
        $above = unfilter(ord $line, substr($line, 1), $above);
        $pixels .= pack 'C*', @$above;
    }
    return ($width, $height, $pixels);
}
$d->ctl('screenshot', 'a', "$d->{dir}/a.png");
my ($width, $height, $pixels) = png(Childhurd::slurp("$d->{dir}/a.png"));
is("${width}x$height", '720x400', "screenshot: the VGA's text screen");
is(length $pixels, $height * 3 * $width, 'screenshot: all of it');
my $lit = () = $pixels =~ /[^\0]/g;
cmp_ok($lit, '>', 3000, 'screenshot: something is written on it');
cmp_ok($lit, '<', length($pixels) / 4, 'screenshot: on black');

my %taken = map { my $out = "$d->{dir}/shot$_"; ($d->spawn($out, $ctl, '-s', $control, 'screenshot', 'a', "$d->{dir}/$_.png") => $out) } 1 .. 4;
for my $pid (sort keys %taken) {
    waitpid $pid, 0;
    is($?, 0, 'one of several screenshots at a time') or diag(Childhurd::slurp($taken{$pid}));
}
is(join(' ', glob "$d->{state}/a/screen*"), '', 'and none is left with the guest');

# --- typing ---

my $first = on_terminal('cons', 'a');
$first->expect(qr/^Connected to a[.] Escape character is \^\] \(Ctrl \+ \]\)\r\n/, 'console says how to leave it');
$first->type("\r");
$first->expect(qr/# $/, 'a key reaches the guest');
$first->type("echo typed-\$((6*7))\r");
# What is typed before the prompt comes is echoed before it.
$first->expect(qr/typed-42\r\n# $/, 'a command runs, and shows what it says');
in_log(qr/typed-42\r?\n/, 'the log has it, too');
$first->type("echo u''p; sleep 100\r");
$first->expect(qr/\nup\r\n/, 'what runs for long has begun');
# The guest's shell has no ear for one that comes while it starts a program.
for (my $until = time + 20; $first->{said} !~ /# $/ && time < $until;) {
    $first->type("\x03");
    $first->take(0.5);
}
$first->expect(qr/\^C.*# $/s, 'Ctrl-C is for the guest', 1);

my $said = $d->ctl('console', 'a');
is($d->{status}, 1, 'a second session is refused');
like($said, qr/^childhurdctl: a: root \(process \d+\) has been at its console since [\d:]+; --force takes it over$/, 'by name');
my $second = on_terminal('console', 'a', '--force', '--escape', '^A');
$second->expect(qr/Escape character is \^A \(Ctrl \+ A\)/, '--force takes it over, with another escape character');
$first->expect(qr/childhurdctl: a: root has taken it over/, 'and who was there is told');
ends_well($first, 1, 'who was there');
$second->type("echo \x1dsecond-\$((6*7))\r");
$second->expect(qr/second-42\r\n# $/, 'the second one types');
$second->type("\x01");
$second->expect(qr/\nDisconnected from a[.]\r\n/, 'the escape character ends it');
ends_well($second, 0, 'escape');

my $third = on_terminal('console', 'a');
$third->expect(qr/Connected/);
kill 'TERM', process('console', 'a');
ends_well($third, 143, 'SIGTERM');

# The terminal is given back, too, when nobody reads any more what is written.
my $pipe = Terminal->new(rows => 10, command => ['sh', '-c', '"$@" | head -c 9; echo "status 0"; stty -a', 'sh', $ctl, '-s', $control, 'console', 'a']);
$pipe->expect(qr/Connected/);
for (my $until = time + 20; $pipe->{said} !~ /^status 0/m && time < $until;) {
    $pipe->type("\r");
    $pipe->take(0.5);
}
ends_well($pipe, 0, 'a reader who went away');

is(`printf 'echo piped-\$((6*7))\\n' | $ctl -s $control console a` =~ /^piped-42\r$/m, 1, 'what comes through a pipe is typed');
is($?, 0, 'and the answer waited for');

# --- who does not read ---

my $mute = IO::Socket::UNIX->new(Peer => $control) or die;
syswrite $mute, encode_json({ method => 'org.childhurd.Console', parameters => { name => 'a' }, upgrade => JSON::PP::true })
  . "\0sleep 1; i=0; while [ \$i -lt 3000 ]; do echo \"line \$i of many that nobody reads, and that are all kept\"; i=\$((i+1)); done; echo last-\$((6*7))\r";
in_log(qr/^last-42/m, 'a guest does not wait for a reader who does not read', 240);
my @lines = Childhurd::slurp($log) =~ /^line (\d+) of many that nobody reads, and that are all kept\r?$/mg;
is_deeply(\@lines, [0 .. 2999], 'and the log has all that it said, once') or diag(Childhurd::slurp($log) =~ s/\r//gr =~ s/(?:^line \d+ of many that nobody reads, and that are all kept\n){5,}/(lines)\n/gmr);
close $mute;

# --- top, and the daemon's death ---

my $top = Terminal->new(columns => 150, screen => 1, command => ['sh', '-c', '"$@"; echo "status $?"; stty -a', 'sh', $ctl, '-s', $control, 'top']);
$top->expect(qr/\e\[\?1049h/, 'top takes the screen');
$top->shows(qr/1 of 2 ready, 0 builds, CPU \d+%, memory \d+M$/m, 'top sums up');
$top->shows(qr/^2 guests by state; h help, q quit\nNAME +STATE▼ +FOR +PUBLISHED +BUILDS +CPU +MEMORY +LOAD +RESTARTS +WHY$/m, 'top has a table');
$top->shows(qr/^b +stopped .*\na +ready +\S+ +yes +0 +▁+ +\d+% +[▁-█]+ +\d+M +\d+[.]\d\d +0/m, 'top knows what QEMU and the guest do');
$top->resize(150, 4);
$top->shows(qr/^1-1 of 2 by state.*\n.*\nb +stopped.*\n\z/m, 'top fits into a smaller window');
$top->resize(150, 24);

my $lost = on_terminal('console', 'a');
$lost->expect(qr/Connected/);
kill 'KILL', $d->{pid};
waitpid delete $d->{pid}, 0;
$lost->expect(qr/childhurdctl: a: the connection to \S+ broke; the guest runs on without it/, 'a killed daemon ends the session');
ends_well($lost, 3, 'a killed daemon');
$top->shows(qr/^trying to reconnect: no childhurdd at/m, 'top says that it is gone');
$d->start;
is($d->qemu('a'), $qemu, 'the guest was not disturbed');
$top->shows(qr/^2 guests by state/m, 'top finds the next one');
$top->type('q');
$top->expect(qr/\e\[\?1049l/, 'q gives the screen back');
ends_well($top, 0, 'top');
$d->ctl('wait', 'a', '--for', 'ready', '--timeout', '60s');
like($d->ctl('top', 'a'), qr/^1 of 1 ready.*\nNAME .*\na +ready .*\d+%.*\n\z/, 'without a terminal top prints once');
is(() = $d->ctl('top', 'nobody') =~ /no such guest/, 1, 'top of nobody');

# --- the log, followed over a rotation and a restart ---

my $followed = "$d->{dir}/followed";
push @children, $d->spawn($followed, $ctl, '-s', $control, 'log', '-f', 'a');
ok($d->wait_until(60, 'log -f begins', sub { Childhurd::slurp($followed) =~ /last-42/ }), 'log -f begins with the last lines');
my $fourth = on_terminal('console', 'a');
$fourth->expect(qr/Connected/);
{
    # So much as a guest says in some months.
    open my $f, '>>', $log or die;
    print $f "noise of a test, a line of it\n" x 150_000;
}
ok($d->wait_until(60, 'rotation', sub { -s "$log.1" && -s $log < 2**20 }), 'the log is rotated') or diag(`ls -l $d->{state}/a`);
$fourth->type("echo rotated-\$((6*7))\r");
$fourth->expect(qr/rotated-42/, 'the console goes on behind a rotation');
ok($d->wait_until(60, 'log -f', sub { Childhurd::slurp($followed) =~ /^rotated-42/m }), 'and so does log -f');

$d->ctl('restart', 'a', '--now');
$fourth->expect(qr/\nDisconnected from a: its QEMU has ended\r\n/, "the guest's end ends the session");
ends_well($fourth, 0, "the guest's end");
ok($d->wait_until(240, 'log -f', sub { Childhurd::slurp($followed) =~ /rotated-42.*guest: halting.*guest: ready/s }), 'log -f follows over a restart');
ok($d->wait_until(240, 'a is ready', sub { $d->state('a') eq 'ready' }), 'it is ready again');

# A guest that is no longer configured is missed by name, not the daemon.
my $gone = on_terminal('top', 'b');
$gone->expect(qr/b +stopped/, 'top of one guest');
Childhurd::slurp($d->{file}) =~ /^(.*)\[guest b\]/s or die;
open my $f, '>', $d->{file} or die;
print $f $1;
close $f;
$d->ctl('reload');
$gone->expect(qr/\n(?:\e\[31m)?b: there is no such guest/, 'top says that it is gone');
$gone->type('q');
$gone->expect(qr/\e\[\?1049l/, 'q gives the screen back');
ends_well($gone, 0, 'top of one that is gone');

# A guest that an older daemon has started has no such socket.
unlink "$d->{state}/a/console" or die;
like($d->ctl('console', 'a'), qr/started by an older childhurdd, and its console can only be read; restart it first/, 'a guest of an older daemon');

$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
$d->end;
done_testing;
