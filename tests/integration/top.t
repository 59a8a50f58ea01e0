# SPDX-License-Identifier: GPL-3.0-or-later
# What childhurdctl draws again and again: top, and the progress of --wait. The real program on terminals of many sizes, against a
# made-up daemon whose guests are in a file; tests/lib/Screen.pm knows what the terminal shows.
use strict;
use warnings;
use utf8;
use Childhurd ();
use Cwd qw(abs_path);
use Encode ();
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX qw(:signal_h);
use Terminal;
use Test::More;
use Time::HiRes qw(time);

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;
$Terminal::LIMIT = Childhurd::seconds(30);

my $ctl = ($ENV{CHILDHURD_BUILD} || abs_path('build')) . '/childhurdctl';
my $dir = tempdir('/tmp/childhurd-top-XXXXXX', CLEANUP => 1);
my ($parent, $daemon) = ($$);

delete @ENV{qw(CHILDHURD_SOCKET NO_COLOR)};
@ENV{qw(LC_ALL TZ TERM)} = ('C.UTF-8', 'UTC', 'xterm');

# --- the made-up daemon ---

# The guests from now on: [name, state, further members].
sub hird {
    my (@guests) = @_;
    my $since = time - 60;
    my @all = map {
        my ($name, $state, %more) = @$_;
        { address => '127.0.0.1', port => 11022, builds => 0, memory => 0, restarts => 0, phase => undef, since => $since,
          autostart => JSON::PP::true, pid => 1 + 1000 * ($more{share} // 0), published => $state eq 'ready' ? JSON::PP::true : JSON::PP::false, why => "why $name",
          name => $name, state => $state, %more }
    } @guests;
    Childhurd::spew("$dir/hird.new", encode_json(\@all));
    rename "$dir/hird.new", "$dir/hird" or die "$dir/hird: $!";
}

sub guests {
    my (@names) = @_;
    my $all = decode_json(Childhurd::slurp("$dir/hird"));
    return [grep { my $guest = $_; !@names || grep { $_ eq $guest->{name} } @names } @$all];
}

# What QEMU has used of the processor grows by the share of a core that the guest has as `share`; with another one it is another QEMU.
sub details {
    my ($guest) = @_;
    return { guest => $guest, pid => $guest->{pid}, cpu => ($guest->{share} // 0) * time, load => $guest->{load}, map { $_ => [] } qw(steps console_tail restart_needed) };
}

sub send_reply { my ($client, $parameters, $more) = @_; syswrite $client, encode_json({ parameters => $parameters, $more ? (continues => JSON::PP::true) : () }) . "\0" }

# A reply for each change of the file, until all guests are there or the client goes.
sub serve_wait {
    my ($client, $p) = @_;
    my $shown = '';
    while (1) {
        my $guests = guests(@{ $p->{names} });
        my $now = encode_json($guests);
        my ($lost) = grep { $_->{state} eq 'failed' } @$guests;
        return syswrite $client, encode_json({ error => 'org.childhurd.WaitFailed', parameters => { name => $lost->{name}, state => 'failed', why => 'no image' } }) . "\0"
          if $lost;
        return send_reply($client, { guests => $guests }) unless grep { $_->{state} ne $p->{state} } @$guests;
        send_reply($client, { guests => $guests }, 1) if $now ne $shown;
        $shown = $now;
        return if IO::Select->new($client)->can_read(0.05);
    }
}

sub serve {
    my ($client) = @_;
    my $buffer = '';
    while (sysread $client, $buffer, 65536, length $buffer) {
        while ($buffer =~ s/^([^\0]*)\0//) {
            my $call = decode_json($1);
            my ($method, $p) = ($call->{method} =~ s/.*[.]//r, $call->{parameters});
            my $guests = guests(@{ $p->{names} // [] });
            if    ($method eq 'Status') { send_reply($client, { guests => [map { details($_) } @$guests] }) }
            elsif ($method eq 'Wait')   { serve_wait($client, $p) }
            elsif ($method eq 'List')   { send_reply($client, { guests => $guests }) }
            else                        { send_reply($client, { names => $p->{names} }) }
        }
    }
}

$SIG{$_} = sub { exit 1 } for qw(HUP INT TERM);    # so that the daemon ends, too

sub start_daemon {
    unlink "$dir/control";
    my $listener = IO::Socket::UNIX->new(Local => "$dir/control", Listen => 16) or die "$dir/control: $!";
    $daemon = fork // die;
    return if $daemon;
    setpgrp;
    $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM);
    $SIG{CHLD} = 'IGNORE';
    while (my $client = $listener->accept) {
        if (!fork) {
            serve($client);
            POSIX::_exit(0);
        }
        close $client;
    }
    POSIX::_exit(0);
}

# And with it the processes that serve a client.
sub end_daemon {
    kill 'KILL', -$daemon;
    waitpid $daemon, 0;
    $daemon = 0;
}

END {
    my $status = $?;
    end_daemon() if $$ == $parent && $daemon;
    $? = $status;
}

# --- on a terminal ---

# Its settings are shown by the shell after the program's end, on the same terminal, for ends_well.
sub on_terminal {
    my ($columns, $rows, @arguments) = @_;
    return Terminal->new(columns => $columns, rows => $rows, screen => 1,
        command => ['sh', '-c', 'ulimit -c 0; trap "" INT QUIT; "$@"; echo "status $?"', 'sh', 'env', '--default-signal=INT,QUIT', $ctl, '-s', "$dir/control", @arguments]);
}

sub process {
    my ($t) = @_;
    my ($shell, $found) = $t->process;
    Childhurd::limited(20, 'the program runs', sub {
        ($found) = grep { Childhurd::slurp("/proc/$_/cmdline") =~ m{^[^\0]*childhurdctl\0} } split ' ', Childhurd::slurp("/proc/$shell/task/$shell/children");
        return $found;
    });
    return $found;
}

# The program has ended with that status, and the terminal is as it was.
sub ends_well {
    my ($t, $status, $what) = @_;
    $t->shows(qr/^status $status$/m, "$what: exit status $status");
    ok(!$t->{screen}{alternate} && $t->{screen}{cursor} && $t->{screen}{wrap}, "$what: the screen is given back");
    is(Childhurd::limited(20, 'script ends', sub { $t->end(1) >= 0 ? 'ended' : '' }), 'ended', "$what: the terminal closes");
}

sub settings_are { my ($t, $pattern, $what) = @_; like($t->settings, $pattern, $what) }

# Each line of text fits; the rows of guests, from top to bottom.
sub rows_of {
    my ($text) = @_;
    return map { /^(\w+\d+) / ? $1 : () } split /\n/, $text;
}

my @sixty = map { ["guest$_", 'ready', restarts => $_ % 7, memory => $_ * 2**20, share => $_ / 100, load => $_ / 10] } 1 .. 60;
start_daemon();

# --- top: scrolling ---

hird(@sixty);
my $t = on_terminal(80, 24, 'top');
my $text = $t->shows(qr/^1-21 of 60 by state; h help, q quit$/m, 'top says which rows it shows');
like($text, qr/^\d\d:\d\d:\d\d  60 of 60 ready, 0 builds, CPU \d+%, memory 1[.]8G$/m, 'and sums up');
is_deeply([rows_of($text)], [map { "guest$_" } 1 .. 21], 'as many as there is room for');
like($t->settings, qr/-icanon.* -echo /s, 'keys come one by one, and are not shown');
for my $case (
    ['j',      2,  'j scrolls by a row'],      ["\e[B", 3,  'and so does an arrow'], ["\eOB",  4,  'that of application mode, too'],
    ['k',      3,  'k goes back'],             ["\e[A", 2,  'and so does an arrow'], ["\e[6~", 23, 'a page'],
    [' ',      40, 'the last page is full'],   ["\e[5~", 19, 'a page back'],         ["\e[H",  1,  'Home'],
    ["\e[A",   1,  'there is nothing before'], ["\e[F", 40, 'End'],                  ['g',     1,  'g'], ['G', 40, 'G'],
    ["\e[1~",  1,  'Home of the console'],     ["\e[1;5B\e[Zj", 2, 'keys without a meaning are none'],
  )
{
    my ($keys, $first, $what) = @$case;
    $t->type($keys);
    my $shown = $t->shows(qr/^$first-@{[$first + 20]} of 60 /m, $what);
    is((rows_of($shown))[0], "guest$first", "$what: the first row");
}
$t->type("\e");
$t->type('[F');
$t->shows(qr/^40-60 of 60 /m, 'a key that comes in pieces');

# --- resizing ---

$t->resize(80, 10);
$text = $t->shows(qr/^40-46 of 60 /m, 'a lower window shows less, at once');
$t->resize(80, 40);
$text = $t->shows(qr/^24-60 of 60 .*^guest60 /ms, 'a higher one more');
is(scalar(rows_of($text)), 37, 'all that fit');
$t->resize(80, 3);
$t->shows(qr/\A\S+  60 of 60 ready.*\n60 guests by state.*\nNAME .*\n\z/, 'a very low window has the sum');
$t->resize(80, 1);
$t->shows(qr/\A\S+  60 of 60 ready.*\n\z/, '... and the lowest, too');
$t->resize(80, 24);

# --- sorting ---

hird(['guest1', 'ready', restarts => 3, memory => 2**20], ['guest2', 'ready', share => 0.5, builds => 1, load => 0.5],
    ['guest10', 'booting', since => time - 3, memory => 3 * 2**20], ['guest4', 'failed', restarts => 9], ['guest5', 'stopped', pid => undef], ['guest6', 'draining', load => 2]);
$text = $t->shows(qr/^6 guests by state; h help, q quit$/m, 'all fit');
is(join(' ', rows_of($text)), 'guest4 guest10 guest6 guest5 guest1 guest2', 'what is not ready comes first');
like($text, qr/^NAME +STATE▼ +FOR +/m, 'the column is marked');
for my $case (
    ['n', 'name', qr/NAME▼/,         'guest1 guest2 guest4 guest5 guest6 guest10'],
    ['r', 'name, reversed', qr/NAME▲/, 'guest10 guest6 guest5 guest4 guest2 guest1'],
    ['b', 'builds', qr/BUILDS▼/,     'guest2 guest1 guest10 guest4 guest5 guest6'],
    ['c', 'CPU', qr/CPU▼/,           'guest2 guest1 guest10 guest4 guest6 guest5'],
    ['t', 'time in state', qr/FOR▼/, 'guest10 guest1 guest2 guest4 guest5 guest6'],
    ['m', 'memory', qr/MEMORY▼/,           'guest10 guest1 guest2 guest4 guest5 guest6'],
    ['l', 'load', qr/LOAD▼/,             'guest6 guest2 guest1 guest10 guest4 guest5'],
    ['x', 'restarts', qr/RESTARTS▼/,         'guest4 guest1 guest2 guest10 guest5 guest6'],
    ['<', 'load', qr/LOAD▼/,             'guest6 guest2 guest1 guest10 guest4 guest5'],
    ['>', 'restarts', qr/RESTARTS▼/,         'guest4 guest1 guest2 guest10 guest5 guest6'],
    ['>', 'name', qr/NAME▼/,         'guest1 guest2 guest4 guest5 guest6 guest10'],
    ['s', 'state', qr/STATE▼/,       'guest4 guest10 guest6 guest5 guest1 guest2'],
  )
{
    my ($key, $by, $mark, $order) = @$case;
    $t->type($key);
    my $shown = $t->shows(qr/^6 guests by \Q$by\E; /m, "$key sorts by $by");
    # What QEMU uses is known after two replies.
    $shown = $t->shows(qr/^6 guests by \Q$by\E; .*^guest2 .* 50%/ms) if $key eq 'c';
    is(join(' ', rows_of($shown)), $order, "... in that order");
    like($shown, $mark, '... and the column is marked') if $mark;
}
$t->shows(qr/^guest2 +ready +\S+ +1 [ ▁█]*█ +50% [ ▁▄▅]*[▄▅] /m, 'what was used, and built, is drawn');
$t->shows(qr/^guest5 +stopped +\S+ +- [ ▁]*▁ +-  /m, 'a guest that does not run uses nothing');

# --- help ---

$t->type('h');
$t->shows(qr/^PgUp PgDn  .*^n +sort by name\n.*^x +sort by restarts\n.*^q +leave top; Ctrl-C, too\n/ms, 'h explains the keys');
$t->type('?');
$t->shows(qr/^guest4 +failed/m, '? leaves the help');
$t->resize(40, 24);
$t->type('?');
$text = $t->shows(qr/^r +the other way round$/m, '? explains them, too');
unlike($text =~ s/.*\n//r, qr/…/, 'in 40 columns');
$t->resize(80, 15);
$text = $t->shows(qr/^n s t b c m l x +sort by a column\n.*^h [?] +leave this help\nq +leave top; Ctrl-C, too\n/ms, 'a lower window has a shorter help');
$t->resize(80, 8);
$t->shows(qr/^n s t b c m l x .*\n.*\n[.]{3} a higher window shows more\n/m, 'and a very low one says that there is more');
$t->resize(40, 24);
$t->type('h');

# --- widths ---

my $long = 'gave up after 10 failures in a row, the last: its image is missing';
hird(map { $_->[0] eq 'guest40' ? ['guest40-with-a-long-name', 'failed', why => $long] : $_ } @sixty);
for my $size ([20, 8, qr/^NAME +STAT…\nguest4…-name  fail…\n/m], [40, 24, qr/^NAME +STATE▼ +FOR +WHY\nguest4…-name  failed .*^guest20 +ready +\S+ +why \S+$/ms],
    [80, 24, qr/^NAME .* CPU .*\nguest40-with-a-long-name  failed .*^guest20 +ready .* why guest20$/ms],
    [200, 50, qr/^NAME .* RESTARTS .*\nguest40-with-a-long-name  failed .*^guest47 .* why guest47$/ms])
{
    my ($columns, $rows, $pattern) = @$size;
    $t->resize($columns, $rows);
    my $shown = $t->shows($pattern, "$columns columns: the name has its room");
    is_deeply([grep { length > $columns } split /\n/, $shown], [], 'each line fits');
    my ($heading) = $shown =~ /^(NAME.*)$/m;
    is((split ' ', $heading)[-1], 'WHY', 'the reason has its place') if $columns > 20;
    like($shown, qr/^guest40-with-a-long-name .* gave up .*…$/m, 'and is cut') if $columns == 80;
    like($shown, qr/^guest40-with-a-long-name .*: its image is missing$/m, 'and has room') if $columns == 200;
    is(join(' ', grep { $heading =~ /\b$_\b/ } qw(FOR PUBLISHED BUILDS CPU MEMORY LOAD RESTARTS)),
        $columns == 200 ? 'FOR PUBLISHED BUILDS CPU MEMORY LOAD RESTARTS' : $columns == 80 ? 'FOR BUILDS CPU' : $columns == 40 ? 'FOR' : '',
        'what has no room is left out');
}
hird(['g1', 'ready'], ['build-node-of-somewhere-guest-no-17a', 'failed', why => $long], ['build-node-of-somewhere-guest-no-17b', 'ready', slots => 2, memory => 1]);
for my $case ([80, qr/^NAME +STATE▼ +FOR +BUILDS +CPU +WHY\nbuild-\S*…\S+-17a  failed +\S+ +- +\S+ +gave up after 10 f/m], [60, qr/^NAME +STATE▼ +FOR +(?:BUILDS +)?CPU +WHY\nbuild-…o-17a  failed .* gave up after/m],
    [50, qr/^NAME +STATE▼ +FOR +CPU +WHY\nbuild-…o-17a  failed .* gave up a/m])
{
    my ($columns, $pattern) = @$case;
    $t->resize($columns, 24);
    my $shown = $t->shows($pattern, "$columns columns: long names are cut in the middle, so that the rest has room");
    is_deeply([grep { length > $columns } split /\n/, $shown], [], 'each line fits');
}
$t->type('x');
$t->shows(qr/^NAME .* RESTARTS▼ +WHY$/m, 'what the rows are sorted by stays');
$t->resize(80, 24);
$t->type('b');
$text = $t->shows(qr/^build-\S*17b +ready +\S+ +0\/2 /m, 'builds are shown as list does, of slots where there are more than one');
like($text, qr/^g1 +ready +\S+ +- /m, '... and where none can run');
$t->type('q');
ends_well($t, 0, 'q');

# --- the ends ---

hird(['a1', 'ready']);
for my $case (['Ctrl-C', sub { $_[0]->type("\x03") }, 0], ['SIGTERM', sub { kill 'TERM', process($_[0]) }, 143], ['SIGHUP', sub { kill 'HUP', process($_[0]) }, 129],
    ['SIGINT', sub { kill 'INT', process($_[0]) }, 0], ['Ctrl-\\', sub { $_[0]->type("\x1c") }, 131])
{
    my ($what, $do, $status) = @$case;
    my $t = on_terminal(80, 24, 'top');
    $t->shows(qr/^a1 +ready/m);
    $do->($t);
    ends_well($t, $status, $what);
}
{
    # A shell with job control, as a person has: Ctrl-Z, and fg.
    my $t = Terminal->new(columns => 80, rows => 24, screen => 1, command => ['bash', '--norc', '--noprofile', '-i']);
    $t->type("PS1='> '\n");
    $t->shows(qr/^> $|^>$/m);
    my $before = $t->settings =~ s/speed.*?;//r;
    $t->type("$ctl -s $dir/control top\n");
    $t->shows(qr/^a1 +ready/m);
    $t->type("\x1a");
    $t->shows(qr/Stopped/, 'Ctrl-Z stops top');
    ok(!$t->{screen}{alternate} && $t->{screen}{cursor}, '... and gives the screen back');
    $t->type("fg\n");
    $t->shows(qr/^a1 +ready/m, 'fg: it goes on');
    ok($t->{screen}{alternate} && !$t->{screen}{cursor}, '... with the screen');
    $t->type('q');
    Childhurd::limited(20, 'the screen is back', sub { $t->take(0.1); !$t->{screen}{alternate} });
    $t->type("echo left-\$((6*7))\n");
    $t->shows(qr/^left-42$/m, '... until q');
    $t->type("exit\n");
    $t->end;
}
{
    my $t = on_terminal(80, 24, 'top');
    $t->shows(qr/^a1 +ready/m);
    end_daemon();
    $t->shows(qr/^trying to reconnect: no childhurdd at .*\n.*\na1 +ready/m, 'a daemon that is lost is missed, and the table stays');
    start_daemon();
    $t->shows(qr/^1 guest by state/m, 'and its return is seen');
    end_daemon();
    $t->shows(qr/^trying to reconnect/m);
    $t->type('q');
    ends_well($t, 0, 'q without a daemon');
    start_daemon();
}

# --- where there is no UTF-8, no colour or no terminal ---

{
    local $ENV{LC_ALL} = 'C';
    hird(['a1', 'ready', share => 0.5, builds => 1, why => $long]);
    my $t = on_terminal(100, 24, 'top');
    my $text = $t->shows(qr/^a1 +ready +\S+ +yes +1 +#+ +50% +[-=+]+ /m, 'ASCII stands for blocks where the locale is not UTF-8');
    unlike($text, qr/[^\x00-\x7f]/, 'and for all else');
    like($text, qr/^a1 .*[.]{3}$/m, 'also where the reason is cut');
    like($text, qr/^NAME +STATEv /m, 'and for the mark');
    $t->type('q');
    ends_well($t, 0, 'ASCII');
}
for my $case (['colours', {}, 1], ['NO_COLOR', { NO_COLOR => 1 }, 0]) {
    my ($what, $environment, $coloured) = @$case;
    local @ENV{ keys %$environment } = values %$environment;
    my $t = on_terminal(80, 24, 'top');
    $t->shows(qr/^a1 +ready/m);
    is($t->{said} =~ /\e\[[0-9;]+m/ ? 1 : 0, $coloured, $what);
    $t->type('q');
    ends_well($t, 0, $what);
}
{
    local $ENV{TERM} = 'dumb';
    my $t = on_terminal(80, 24, 'top');
    $t->shows(qr/^1 of 1 ready, .*\nNAME .*\na1 +ready/m, 'a terminal that can do nothing gets the table once');
    ends_well($t, 0, 'a dumb terminal');
}
hird(@sixty, ['last1', 'failed', why => $long]);
my @plain = split /\n/, Encode::decode('UTF-8', scalar `$ctl -s $dir/control top`);
is($?, 0, 'top without a terminal');
like($plain[0], qr/^60 of 61 ready, 0 builds, CPU \d+%, memory 1[.]8G$/, 'has the sum');
like($plain[1], qr/^NAME +STATE▼ +FOR +PUBLISHED +BUILDS +CPU +MEMORY +LOAD +RESTARTS +WHY$/, 'the heading');
is(scalar(@plain), 63, 'and all guests');
like($plain[2], qr/^last1 +failed .*\Q$long\E$/, 'those that are not ready first, and nothing is cut');

# --- the progress of --wait ---

my @five = map { ["w$_", 'stopped'] } 1 .. 5;
sub five { my (%now) = @_; hird(map { $now{ $_->[0] } ? [$_->[0], @{ $now{ $_->[0] } }] : [$_->[0], 'ready'] } @five) }

five(w2 => ['booting', since => time - 12, phase => 'waiting for the SSH banner'], w3 => ['enrolling', phase => 'its secrets'], w4 => ['starting']);
$t = on_terminal(80, 10, 'start', '--all', '--wait');
$text = $t->shows(qr/^2 of 5 ready$/m, 'start --wait sums up');
like($text, qr/^w2  booting  +1\ds  waiting for the SSH banner\nw3  enrolling  +6\ds  its secrets\nw4  starting  +6\ds  why w4\n2 of 5 ready\n/, 'and shows what still moves');
settings_are($t, qr/ -echo /, 'keys are not shown');
settings_are($t, qr/[^-]icanon/, '... and stay for the next program');
$t->type("ghosts\n\n\n");
five(w3 => ['enrolling', since => time - 12, phase => 'its secrets']);
$text = $t->shows(qr/^4 of 5 ready; w3 enrolling 1\ds  its secrets$/m, 'what moves alone is in one line');
unlike($text, qr/ghosts|w2|w4/, 'and nothing else is left, of lines or of keys');
my @rows = grep { length } split /\n/, $text;
is(scalar(@rows), 1, 'it is the only one');
$t->resize(30, 10);
$text = $t->shows(qr/^4 of 5 ready; w3 enrolling \d*…$/m, 'a narrower window: it is cut');
is(scalar(grep { length } split /\n/, $text), 1, '... and still the only one');
five(w1 => ['booting'], w2 => ['booting'], w3 => ['booting'], w4 => ['booting']);
$text = $t->shows(qr/^1 of 5 ready$/m);
is(scalar(grep { length } split /\n/, $text), 5, 'four lines and the sum');
ok(!(grep { length > 29 } split /\n/, $text), '... none too long');
$t->resize(30, 4);
$text = $t->shows(qr/\A(?:w\d.*\n){2}1 of 5 ready; and 2 more\n/, 'a lower window has fewer lines');
$t->resize(60, 2);
$t->shows(qr/^1 of 5 ready; w1 booting 6\ds  why w1$/m, 'the lowest has one');
$t->resize(80, 10);
five();
$text = $t->shows(qr/^w5 is ready/m, 'the end');
# The shell reads what was typed meanwhile, which was not lost; the terminal shows it now.
like($text, qr/^w1 is ready \(\d+s\)\nw2 is ready \(\d+s\)\nw3 is ready \(\d+s\)\nw4 is ready \(\d+s\)\nw5 is ready \(\d+s\)\n/m, '... a line for each');
ends_well($t, 0, 'start --wait');

for my $case (['Ctrl-C', sub { $_[0]->type("\x03") }, 130], ['SIGTERM', sub { kill 'TERM', process($_[0]) }, 143], ['a daemon that is lost', \&end_daemon, 3]) {
    my ($what, $do, $status) = @$case;
    five(w2 => ['booting'], w3 => ['booting']);
    my $t = on_terminal(80, 10, 'restart', '--all', '--wait');
    $t->shows(qr/^3 of 5 ready$/m);
    settings_are($t, qr/ -echo /, "$what: keys are not shown");
    $do->($t);
    my $text = $t->shows(qr/^status/m);
    unlike($text, qr/booting|3 of 5/, "$what: the lines are gone");
    like($text, qr/childhurdctl wait\s+--all --for ready waits/, "$what: how to go on is told") if $status == 130;
    ends_well($t, $status, $what);
    start_daemon() unless $daemon;
}

# One that gives up is told above the others, which go on.
five(w1 => ['booting']);
$t = on_terminal(80, 10, 'wait', 'w1', 'w2', '--for', 'ready');
$t->shows(qr/^1 of 2 ready; w1 booting/m);
hird(['w1', 'failed'], ['w2', 'booting']);
$t->shows(qr/\A(?:childhurdctl: )w1: is failed and not going to be ready: no image\n0 of 2 ready, 1 will not be; w2 booting/, 'a guest that fails is told, and counted');
hird(['w1', 'failed'], ['w2', 'ready']);
ends_well($t, 1, 'a guest that fails');

{
    # Ctrl-Z, and on in the background: the terminal is the shell's then.
    my $t = Terminal->new(columns => 80, rows => 24, screen => 1, command => ['bash', '--norc', '--noprofile', '-i']);
    five(w2 => ['booting'], w3 => ['booting']);
    $t->type("PS1='> '\n");
    $t->type("$ctl -s $dir/control wait --all --for ready\n");
    $t->shows(qr/^3 of 5 ready$/m);
    $t->type("\x1a");
    $t->shows(qr/Stopped/, 'Ctrl-Z stops a wait');
    $t->type("bg; echo seen-\$((6*7))\n");
    $t->shows(qr/echo seen-.*^seen-42/ms, 'what is typed in the shell is shown');
    five(w2 => ['booting']);
    $t->type("fg\n");
    $t->shows(qr/^4 of 5 ready; w2 booting/m, 'fg: the lines are there again');
    unlike($t->{screen}->text, qr/3 of 5 ready/, '... once');
    settings_are($t, qr/ -echo /, '... and keys are not shown');
    five();
    $t->shows(qr/^w5 is ready/m);
    $t->type("stty -a\n");
    $t->shows(qr/^isig icanon iexten echo /m, 'the end gives the terminal back');
    $t->type("exit\n");
    $t->end;
}

# --- the picture ---

# A screen as tmux prints it: what is on it is in the picture, as text and bars, and the picture is a whole one.
Childhurd::spew("$dir/screen", Encode::encode('UTF-8', "\e[1mNAME\e[0m  <&>\na1    \e[32mready\e[39m\e[49m  \e[36m▁█\e[39m  5 %\n\n\n"));
my $svg = Encode::decode('UTF-8', scalar `tests/tools/screen-svg 'a "title"' 'what it shows' <$dir/screen`);
is($?, 0, 'a screen becomes a picture');
like($svg, qr{<title id="title">a &quot;title&quot;</title>\n<desc id="description">what it shows</desc>}, 'with words for who does not see it');
like($svg, qr{<text x="14" y="28" textLength="33.6" class="bold">NAME</text>\n<text x="64.4" y="28" textLength="25.2">&lt;&amp;&gt;</text>\n}, 'its text');
like($svg, qr{<text x="64.4" y="47" textLength="42" class="green">ready</text>\n}, '... where it is, in its colour');
is(() = $svg =~ /<rect [^>]* class="cyan"\/>/g, 2, 'its bars');
like($svg, qr{<text [^>]*>5 %</text>\n</svg>\n\z}, 'and all to the end');
unlike($svg, qr/▁|█|\e/, 'but nothing that a font may not have');
Childhurd::spew("$dir/screen", "\e[5mblinks\n");
like(`tests/tools/screen-svg a b <$dir/screen 2>&1`, qr/^screen-svg: attribute 5 is not known/, 'an attribute that it does not know is an error');
is($? >> 8, 255, '... and no picture');

done_testing;
