# SPDX-License-Identifier: GPL-3.0-or-later
# docs/specification.md and what measures it belong together: each line has a limit that can be judged and a command that is there,
# each figure that a program gives has a line, and a limit that is broken is seen.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Temp qw(tempdir);
use Test::More;

my $dir  = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 1);
my $page = Childhurd::slurp('docs/specification.md');

# --- each line ---
my @lines = grep { /^\| `/ } split /\n/, $page;
my (%command, %unit);
for (@lines) {
    my @cells = map { s/^ | $//gr } split /(?<= )\|(?= )/, s/^\||\|$//gr, -1;
    is(scalar @cells, 8, "$cells[0] has all columns") or next;
    my ($name) = $cells[0] =~ /^`([a-z\d.-]+)`$/ or fail("$cells[0] is a name") or next;
    ok(!$command{$name}, "$name is there once");
    ok(length $cells[1] && length $cells[3], '... says what it is, and how it is measured');
    ($command{$name}) = $cells[4] =~ /^`(.*)`$/;
    like($cells[2], qr/^(?:pass|report ?\S*|(?:<=|<|>=) [\d.]+(?: (?!\()\S+)?(?: \(quiet\))?)$/, '... its limit is one that can be judged');
    $unit{$name} = $cells[2] =~ /^report ?(\S*)$/ ? $1 : $cells[2] =~ /^\S+ [\d.]+ ([^(\s]\S*)/ ? $1 : '';
    like($cells[5], qr/^(?:yes)?$/, '... short or not');
}
cmp_ok(scalar keys %command, '>', 60, 'there are lines');
is_deeply([ grep { !defined $command{"promise.$_"} } 1 .. 9 ], [], 'each promise has one');

# --- each command ---
my @files = map { /TESTS="(.*)"$/ ? split ' ', $1 : s/^sudo //r =~ s/ .*//r } values %command;
is_deeply([ grep { !-f } @files ], [], 'each command is there');
is_deeply([ grep { m{^tests/bench/} && !-x } @files ], [], 'and can be run');
my %used = map { $_ => 1 } @files;
is_deeply([ grep { !$used{$_} && $_ ne 'tests/bench/all' } grep { -x } glob 'tests/bench/*' ], [], 'each program of tests/bench/ has a line');

# --- each figure ---
# What the sources give as NAME and unit; "$work->[2]" and the like stand for some name.
my (@figures, @without, @strange);
for my $file (sort keys %used, 'tests/bench/inject_into.c') {
    my $text = Childhurd::slurp($file);
    $text =~ s/^#.*\n//mg;
    my @given = $text =~ /Bench::result\(\s*(.*?),.*?(?:'([^']*)')?\)(?:;| \}| if| for)/g;
    push @given, $1, $2 while $text =~ /RESULT (\S+) \S+ ([^\s"']+)/g;
    while (my ($name, $unit) = splice @given, 0, 2) {
        push @figures, map { [ $file, s/^["']|["']$//gr =~ s/%s|\$[^.]*/*/gr, $unit ] } $name =~ /\?/ ? $name =~ /'([^']+)'/g : $name;
    }
}
for my $figure (@figures) {
    my ($file, $name, $unit) = @$figure;
    my $pattern = join '[^.]+(?:\.[^.]+)?', map { quotemeta } split /\*/, $name, -1;
    push @without, "$file: $name" unless grep { /^$pattern$/ } keys %command;
}
cmp_ok(scalar @figures, '>', 35, 'figures are found in the programs');
is_deeply(\@without, [], 'each has a line');
for my $name (grep { !/^promise/ } sort keys %command) {
    push @strange, $name unless grep { my $pattern = join '[^.]+(?:\.[^.]+)?', map { quotemeta } split /\*/, $_->[1], -1; $name =~ /^$pattern$/ } @figures;
}
is_deeply(\@strange, [], 'and each line has a program that gives its figure');

# --- a page of our own ---
# What the driver says of these lines, and its exit status.
sub driven {
    my ($options, @rows) = @_;
    Childhurd::spew("$dir/bench", <<'END', 0755);
#!/bin/sh
echo "RESULT right.one 4.9 ms"
echo "RESULT wrong.one 11 ms"
echo "RESULT rate.one 0.96 "
echo "RESULT unit.one 3 s"
echo "RESULT free.one 7 MiB"
echo "NO RESULT sun.one there is no sun"
runs=$(cat "$0.runs" 2>/dev/null || echo 0)
runs=$((runs + 1))
echo $runs > "$0.runs"
echo "RESULT better.one $((12 - runs)) ms"
END
    unlink "$dir/bench.runs";
    Childhurd::spew("$dir/cannot", "#!/bin/sh\necho NOT MEASURED there is no moon\n",         0755);
    Childhurd::spew("$dir/fails",  "#!/bin/sh\necho the moon has fallen down >&2; exit 1\n", 0755);
    Childhurd::spew("$dir/page.md", join '', map { my ($name, $limit, $command, $short) = @$_; "| `$name` | what *$name* is | $limit | so | `$command` | " . ($short // '') . " | - | - |\n" } @rows);
    Childhurd::spew("$dir/page.md", Childhurd::slurp("$dir/page.md") . "\n<!-- machines -->\n- **A**: another\n");
    local $ENV{CHILDHURD_BUILD} = "$dir/build";
    mkdir "$dir/build";
    my $text = qx(tests/bench/all $options -f $dir/page.md 2>&1);
    return ($text, $? >> 8);
}

my @good = (['right.one', '<= 5 ms', "$dir/bench", 'yes'], ['rate.one', '>= 0.95', "$dir/bench"], ['free.one', 'report MiB', "sudo $dir/bench"]);
{
    my ($text, $status) = driven('', @good, ['moon.one', '<= 1 ms', "$dir/cannot"], ['sun.one', '<= 1 ms', "$dir/bench"]);
    is($status, 0, 'what is within its limits is good') or diag $text;
    like($text, qr/^what right\.one is +<= 5 ms +4\.9 ms +ok$/m, '... with limit, result and verdict');
    like($text, qr/^what moon\.one is .* - +not measured\n  \(there is no moon\)$/m, 'what cannot be measured says why');
    like($text, qr/^what sun\.one is .* - +not measured\n  \(there is no sun\)$/m, '... for one line, too');
    like($text, qr/^3 within their limits, 0 BROKEN, 2 not measured/m, 'and there is a sum');
    cmp_ok((sort { $b <=> $a } map { length } grep { !/;/ } split /\n/, $text)[0], '<=', 100, 'in a table that can be read');
}
{
    my ($text, $status) = driven('', @good[ 0, 1 ], ['wrong.one', '<= 10 ms', "$dir/bench"]);
    is($status, 1, 'a broken limit is a failure');
    like($text, qr/^what wrong\.one is +<= 10 ms +11 ms +BROKEN$/m, '... and said');
    is(Childhurd::slurp("$dir/bench.runs"), "3\n", '... after three attempts');
}
{
    my ($text, $status) = driven('', ['better.one', '<= 9 ms', "$dir/bench"]);
    is($status, 0, 'the best of three attempts counts');
    like($text, qr/ 9 ms +ok$/m, '... with its figure') or diag $text;
}
for (['unit.one', '<= 5 ms', "$dir/bench", qr/BROKEN\n  \(its unit is "s", not "ms"\)/], ['none.one', '<= 5 ms', "$dir/bench", qr/BROKEN\n  \(no result\)/],
    ['moon.one', '<= 5 ms', "$dir/fails", qr/BROKEN\n  \(the moon has fallen down\)/], ['moon.one', '<= 5 ms', "$dir/nothing", qr/BROKEN\n  \(.*nothing: /]) {
    my $said = pop @$_;
    my ($text, $status) = driven('', $_);
    is($status, 1, 'a failure');
    like($text, $said, "... that says: $said");
}
{
    my ($text, $status) = driven('-s', @good, ['wrong.one', '<= 10 ms', "$dir/bench"]);
    is($status, 0, 'the short form has only its lines');
    like($text, qr/^1 within/m, '... of these one');
}
{
    my ($text, $status) = driven('-u', @good, ['wrong.one', '<= 10 ms', "$dir/bench"], ['moon.one', '<= 1 ms', "$dir/cannot"]);
    my $page = Childhurd::slurp("$dir/page.md");
    like($page, qr/^\| `right\.one` .* \| 4\.9 ms \| B, \d{4}-\d\d-\d\d, load [\d.]+ \|$/m, 'results are written into the page');
    like($page, qr/^\| `wrong\.one` .* \| 11 ms \(BROKEN\) \| /m, '... broken ones, too');
    like($page, qr/^\| `moon\.one` .* \| - \| - \|$/m, '... and what was not measured stays as it was');
    like($page, qr/^- \*\*A\*\*: another\n- \*\*B\*\*: \d+ processors? \(.*Linux [\d.]+$/m, '... with the machine');
    local $ENV{CHILDHURD_BUILD} = "$dir/build";
    system("tests/bench/all -u -f $dir/page.md right >/dev/null");
    my @machines = Childhurd::slurp("$dir/page.md") =~ /^- \*\*/mg;
    is(scalar @machines, 2, 'which is named once');
}
{
    # A time that is only judged on a quiet machine: here something else computes all the time.
    my @others = map { my $pid = fork // die; if (!$pid) { 1 while 1 } $pid } 1 .. 4 * (() = Childhurd::slurp('/proc/cpuinfo') =~ /^processor\s*:/mg);
    my ($text, $status) = driven('', ['wrong.one', '<= 10 ms (quiet)', "$dir/bench"]);
    kill 'KILL', @others;
    waitpid $_, 0 for @others;
    is($status, 0, 'a time without anything beside it is not judged on a busy machine');
    like($text, qr/not measured\n  \(the machine is busy \([\d.]+\)\)$/m, '... but said to be');
}
{
    my ($text, $status) = driven('', ['wrong.one', 'ten ms', "$dir/bench"]);
    isnt($status, 0, 'a line whose limit is nonsense is an error');
    like($text, qr/page\.md: no limit: ten ms/, '... that says so');
}
done_testing;
