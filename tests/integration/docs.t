# SPDX-License-Identifier: GPL-3.0-or-later
# What the documentation says is what the code does, as far as a program can see it: pages that format without a
# warning, every key and every state described, an example that is accepted, limits with the headers' values.
use strict;
use warnings;
use lib 'tests/lib';
use File::Temp qw(tempdir);
use Guide;
use Test::More;

my $build = $ENV{CHILDHURD_BUILD} || 'build';

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    local $/;
    return scalar <$f> // '';
}

# The sources whose names end like that.
sub sources {
    my ($ending) = @_;
    return grep { /\.\Q$ending\E$/ } split /\n/, run('find', qw(childhurdd config ssh offload service -type f));
}

# The output of a program, stdout and stderr; its exit status is in $?.
sub run {
    my (@argv) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        { exec { $argv[0] } @argv }
        print "cannot run $argv[0]: $!\n";
        exit 127;
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return $text;
}

# --- manual pages ---
my @pages = map { s{^docs/}{}r =~ s/\.in$//r } glob('docs/*.[1578] docs/*.[1578].in');
cmp_ok(scalar @pages, '>=', 2, 'there are manual pages');
for my $page (@pages) {
    ok(-s "$build/man/$page", "$page is built") or next;
    local $ENV{LC_ALL} = 'C.UTF-8';
    my $out = run('sh', '-c', 'exec man --warnings -E UTF-8 -l -Tutf8 -Z "$1" 2>&1 >/dev/null', 'sh', "$build/man/$page");
    is($? >> 8, 0, "man formats $page");
    is($out, '', '... without a warning');
    local $ENV{MANWIDTH} = 80;
    my $text = run('man', '-P', 'cat', '-l', "$build/man/$page");
    utf8::decode($text);
    $text =~ s/.\x08//g;
    is(scalar(grep { length > 80 } split /\n/, $text), 0, "$page fits into 80 columns");
    if (grep { -x "$_/mandoc" } split /:/, $ENV{PATH}) {
        my $lint = run('mandoc', '-T', 'lint', '-W', 'warning', "$build/man/$page");
        is($lint, '', "mandoc has nothing to say against $page");
    }
    unlike(slurp("$build/man/$page"), qr/\@[A-Z]+\@/, "nothing is left to be filled in in $page");
}

# --- keys ---
my %keys = map { $_ => 1 } slurp('config/keys.c') =~ /^\t\{"([a-z-]+)", KEY_/mg;
my %listed = map { s/\\-/-/gr => 1 } run("$build/keys-man") =~ /^\.B (\S+)/mg;
cmp_ok(scalar keys %keys, '>', 40, 'keys are found in the table');
is_deeply(\%listed, \%keys, 'keys-man lists every key of the table');
my %described = map { s/\\-/-/gr => 1 } slurp("$build/man/childhurd.ini.5") =~ /^\.B (\S+)(?: \*)?$/mg;
is_deeply([ grep { !$described{$_} } sort keys %keys ], [], 'childhurd.ini(5) has every key');
my %used;
$used{$_} = 1 for slurp('docs/manual.md') =~ /^ {4}([a-z-]+) = /mg;
$used{ s/\\-/-/gr } = 1 for slurp("$build/man/childhurd.ini.5") =~ /^([a-z\\-]+) = /mg;
cmp_ok(scalar keys %used, '>', 5, 'examples with keys are found');
is_deeply([ grep { !$keys{$_} } sort keys %used ], [], 'and use no key that there is not');

# --- the example ---
my $check = run("$build/childhurdd", '--check', '--config', 'docs/childhurd.ini.example');
unlike($check, qr/^\S*childhurd\.ini\.example(?::\d+)?: /m, 'the example has no error') or diag($check);
like($check, qr/^ok\s+\S*childhurd\.ini\.example: 3 guests$/m, '... and three guests') or diag($check);

# --- states ---
my @states = slurp('service/states.h') =~ /\bSTATE\([A-Z]+, "([a-z]+)"\)/g;
cmp_ok(scalar @states, '>=', 10, 'states are found in service/states.h');
my ($life) = slurp('docs/childhurdd.8') =~ /^\.Sh THE LIFE OF A GUEST\n(.*?)^\.Ss/ms;
is_deeply([ ($life // '') =~ /^\.It Ic ([a-z]+)$/mg ], \@states, 'childhurdd(8) describes them, in the same order');
my ($table) = slurp('docs/architecture.md') =~ /^\| state \| QEMU.*?\n(.*?)\n\n/ms;
is_deeply([ ($table // '') =~ /^\| ([a-z]+) \|/mg ], \@states, 'architecture.md has a row for each');

# --- messages ---
# Each piece of a message that does not differ from case to case stands in the code, or is the system's.
my $code = join "\n", map { slurp($_) } sources('c');
$code =~ s/"\s*\n\s*"//g;
$code =~ s/\\"/"/g;
my ($trouble) = slurp('docs/manual.md') =~ /^## Trouble$(.*?)^## /ms;
my @told = ($trouble // '') =~ /^\| (.*?) \|/mg;
my ($checked, @unknown) = (0);
for my $cell (@told) {
    while ($cell =~ /(?<!`)`` (.+?) ``|`([^`]+)`/g) {
        for my $piece (split /\b[A-Z]+\b|\.\.\.|\d+|[:;] |'/, $1 // $2) {
            $piece =~ s/^[\s:;,()\/]+|[\s:;,()]+$//g;
            next if length $piece < 8 || $piece =~ /^(?:No such file or directory|Permission denied|No space left on device)/;
            $checked++;
            push @unknown, $piece if index($code, $piece) < 0;
        }
    }
}
cmp_ok($checked, '>', 40, 'messages are found in the manual');
is(join("\n", @unknown), '', 'and each is one that the code has');

# --- installation ---
# README.md is installed, and what it links to beside it; what is for those who have the sources stays there.
my $folder = tempdir('/tmp/childhurd-docs-XXXXXX', CLEANUP => 1);
my $make = run('make', '-s', "B=$build", "DESTDIR=$folder", 'PREFIX=/p', 'install');
is($? >> 8, 0, 'make install') or diag($make);
my @links = grep { !m{^(?:https?:|tests/)} } slurp('README.md') =~ /\]\(([^)#]+)/g;
cmp_ok(scalar @links, '>=', 3, 'README.md has links');
is_deeply([ grep { !-f "$folder/p/share/doc/childhurd/$_" } @links ], [], 'and each leads to what is installed');
for my $page (glob 'docs/*.md') {
    my @beside = grep { !m{^(?:https?:|\.\./)} } slurp($page) =~ /\]\(([^)#]+)/g;
    is_deeply([ grep { !-f "$folder/p/share/doc/childhurd/docs/$_" } @beside ], [], "... and those of $page");
}

# --- the version ---
my ($version) = slurp('Makefile') =~ /^VERSION := (\S+)$/m;
ok($version, 'the Makefile has the version') or $version = '?';
is(run("$build/childhurdd", '--version'), "childhurdd $version\n", 'of the daemon');
is((slurp('NEWS') =~ /^(\d\S+) \(\d+ \w+ \d{4}\)$/m)[0], $version, '... and of NEWS');
is((slurp('service/debian/changelog') =~ /\Achildhurd \((\S+)\)/)[0], $version, '... and of the package');
is((slurp('README.md') =~ /\*\*Status\*\*: version (\d+(?:\.\d+)*)/)[0], $version, "... and of README's status");

# --- pictures ---
# Each has words for those who do not see it, colours for dark pages, and loads nothing.
my @pictures = glob 'docs/*.svg';
cmp_ok(scalar @pictures, '>=', 2, 'there are pictures');
for my $picture (@pictures) {
    my $svg = slurp($picture);
    like($svg, qr{<title[^>]*>[^<]+</title>}, "$picture has a title");
    like($svg, qr{<desc[^>]*>[^<]+</desc>}, '... and a description');
    like($svg, qr/prefers-color-scheme: dark/, '... and colours for dark pages');
    unlike($svg =~ s/xmlns(?::\w+)?="[^"]*"//gr, qr{<script|https?://|\bhref=|url\((?!#)}, '... and needs nothing else');
}
is_deeply([ grep { !/\S/ } map { slurp($_) =~ /!\[([^\]]*)\]\(/g } 'README.md', glob 'docs/*.md' ], [], 'each picture in a page has words, too');
like(run('make', '-s', 'check', 'TESTS=tests/nope'), qr{no such test: tests/nope}, 'make check says when there is no such test');
isnt($?, 0, 'and fails');

# --- the guide ---
my %by_test = map { $_ => 1 } map { slurp($_) =~ /Guide::commands\('([^']+)'[,)]/g } glob 'tests/integration/*.t tests/lib/*.pm';
my @blocks  = (Guide::blocks(), Guide::blocks('docs/farm.md'));
cmp_ok(scalar(grep { ($_->{mark} // '') =~ /^run/ } @blocks), '>=', 5, 'docs/guide.md has commands');
is_deeply([ grep { !($_->{mark} && ($_->{mark} =~ /^run: (.+)/ ? $by_test{$1} : $_->{before} =~ /\(Not run by a test: /)) } @blocks ], [],
    '... and each is run by a test, or says why it is not');

# --- limits ---
# The constants of a file: NAME => value; a structure of limits gives NAME.field => value for each field.
sub constants {
    my ($file) = @_;
    my $text = slurp($file) =~ s/\\\n//gr;
    my %value;
    my %fields;
    while ($text =~ /^struct (\w+) \{(.*?)^\};/msg) {
        my ($name, $body) = ($1, $2);
        $body =~ s{/\*.*?\*/}{}sg;
        $fields{$name} = [ $body =~ /(\w+)(?=[,;])/g ];
    }
    while ($text =~ /^#define[ \t]+([A-Z][A-Z0-9_]+)[ \t]+(.*)$/mg) {
        my ($name, $expression) = ($1, $2);
        $expression =~ s{/\*.*}{};
        $expression =~ s/G_GINT64_CONSTANT//g;
        if ($expression =~ /^\(\(struct (\w+)\)\{([\d, ]+)\}\)\s*$/) {
            my @values = split /,\s*/, $2;
            @value{ map { "$name.$_" } @{ $fields{$1} } } = @values;
        } elsif ($expression =~ /^[\d\s.()<*+]+$/) {
            $value{$name} = eval $expression;
        }
    }
    return %value;
}

my $limits = slurp('docs/limits.md');
my (%told, %of);
while ($limits =~ /^\| `([A-Z_]+(?:\.\w+)?)` \| ([\d.]+) \| [^|]+ \| (\S+) \|$/mg) {
    my ($name, $value, $file) = ($1, $2, $3);
    $of{$file} //= { constants($file) };
    ok(defined $of{$file}{$name} && $of{$file}{$name} == $value, "$name is $value in $file")
        or diag('it is ' . ($of{$file}{$name} // 'not there'));
    $told{$file}{$name} = 1;
}
cmp_ok(scalar keys %told, '>', 15, 'limits are found in docs/limits.md');
my @missing;
for my $header (sources('h')) {
    my %constants = constants($header);
    push @missing, map { "$header: $_" } grep { !$told{$header}{$_} } sort keys %constants;
}
is_deeply(\@missing, [], 'every number in a header is in docs/limits.md')
    or diag('put it into the table of docs/limits.md');
# The limits that are not in the code, as "NAME VALUE PLACE".
my @rows = map { /^\| `((?=\S*[a-z])[a-zA-Z%-]+)` \| ([^|]+) \| [^|]+ \| (\S+) \|$/ ? "$1 $2 $3" : () } split /\n/, $limits;
my @there = map { "$_ childhurd.ini(5)" } slurp('config/keys.c') =~ /^\t\{("[a-z-]+", KEY_TIME, \S+ "\w+")/mg;
s/"([a-z-]+)", KEY_TIME, \S+ "(\w+)"/$1 $2/ for @there;
for my $unit ('childhurdd.service', 'childhurd-guests.service', 'childhurd-report.service') {
    push @there, map { tr/=/ /r . " $unit" } slurp("service/units/$unit") =~ /^((?:Watchdog|Timeout\w+)Sec=\S+)$/mg;
}
push @there, map { s/'\((\d+) \. (\d+)\)/$1 in $2 s/r . ' service/shepherd/childhurd.scm' } slurp('service/shepherd/childhurd.scm') =~ /^\(define (%\w+-limit (?:\d+|'\(.*?\)))\)/mg;
is_deeply([ sort @rows ], [ sort @there ], 'so is every limit of the keys, the units and the services');

# The manual has some of them in words: the value of the constant, in its unit, as the row says it.
my ($words) = slurp('docs/manual.md') =~ /^## Limits$(.*)/ms;
my %unit = (s => 1000, min => 60_000, h => 3_600_000, MiB => 1 << 20, '' => 1);
for (['guest/childhurd.h', 'START_LIMIT', qr/guest's turn to QEMU's start \| (\d+) (min)/],
    ['guest/childhurd.h', 'POWER_BUTTON_LIMIT', qr/power button to work \| (\d+) (s)/],
    ['guest/childhurd.h', 'KILL_TRIES', qr/does not stop \| (\d+)() tries/],
    ['guest/childhurd.h', 'KILL_LIMIT', qr/tries of (\d+) (s) each/],
    ['guest/childhurd.h', 'BACKOFF_FIRST', qr/back-off after a failure \| (\d+) (s)/],
    ['guest/childhurd.h', 'BACKOFF_LONGEST', qr/each further failure, up to (\d+) (min)/],
    ['guest/childhurd.h', 'BACKOFF_TRIES', qr/until the guest is failed \| (\d+)()/],
    ['guest/childhurd.h', 'BACKOFF_FORGET', qr/once the guest was ready for (\d+) (min)/],
    ['guest/childhurd.h', 'HANG_LONGEST', qr/sign of life, and (\d+) (h) in any case/],
    ['guest/childhurd.h', 'BOOT_LEAST', qr/four times the longest, at least (\d+) (min)/],
    ['world/health.h', 'HEALTH_PROBE_LIMIT', qr/probe's command \| (\d+) (s)/],
    ['hird/starts.h', 'STARTS_MEMORY_RESERVE', qr/reserved for the host \| (\d+) (MiB)/],
    ['system/writer.h', 'WRITER_LIMIT', qr/command to be on disk, [^|]+ \| (\d+)() s/],
    ['system/writer.h', 'WRITER_END_LIMIT', qr/written when the daemon ends \| (\d+)() s/],
    ['qemu/console.h', 'CONSOLE_ROTATE_SIZE', qr/one console.log \| (\d+) (MiB)/],
    ['qemu/console.h', 'CONSOLE_ROTATED', qr/console.log \| \d+ MiB; (\d+)() older/],
    ['../ssh/step.h', 'SSH_LIMITS_DEFAULT.login', qr/probe's login \| (\d+) (s)/],
    ['../service/control/hird.h', 'CONTROL_CLIENTS_MAX', qr/control socket \| (\d+)(),/],
    ['../service/control/hird.h', 'CONTROL_CLIENTS_PER_USER', qr/control socket \| \d+, and (\d+)() for each/],
    ['../service/ctl/ctl.h', 'CTL_REPLY_LIMIT', qr/to reply to `childhurdctl` \| (\d+) (s)/]) {
    my ($file, $name, $row) = @$_;
    my ($number, $unit) = ($words // '') =~ $row;
    my %constants = constants("childhurdd/$file");
    is(defined $number ? $number * $unit{$unit} : undef, $constants{$name}, "the manual says what $name is");
}
for (map { /^(\S+) (\S+) childhurd[.]ini/ ? [ $1, $2 ] : () } @there) {
    my ($key, $default) = ($_->[0], $_->[1] =~ s/(\d)([a-z])/$1 $2/r);
    like($words // '', qr/^\| [^|]+ \| \Q$default\E\b[^|]* \| `$key` \|$/m, "... and the default of $key");
}

# Verbs that are no method: the same in the manual and in org.childhurd(7).
{
    my %method = map { lc $_ => 1 } slurp('service/org.childhurd.varlink') =~ /^method (\w+)/mg;
    my @verbs = slurp('service/ctl/main.c') =~ /^    \{"(\w+)", "[^"]*", "/mg;
    my @none = sort grep { !$method{$_} && !/^(?:node|version)$/ } @verbs;    # several methods, and one of Varlink's own
    cmp_ok(scalar(@verbs), '>', 25, 'the verbs');
    my ($manual) = slurp('docs/manual.md') =~ /^\*\*From a program[.]\*\* Each verb of `childhurdctl` except (.*?) is a method/ms;
    is_deeply([ sort(($manual // '') =~ /`(\w+)`/g) ], \@none, 'the manual says which verbs are no method');
    my ($page) = slurp('docs/org.childhurd.7.in') =~ /^except\n(.*?)^is a method/ms;
    is_deeply([ sort(map { /(\w+)/g } ($page // '') =~ /^[.]Ic (.*)/mg) ], \@none, '... and so does org.childhurd(7)');
    my ($readers) = slurp('docs/manual.md') =~ /^\| members of the group `childhurd` [^|]*\| read: (.*) \|$/m;
    like($readers // '', qr/`report`/, 'who may read may make a report');
}

done_testing;
