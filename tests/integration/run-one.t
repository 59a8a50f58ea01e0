#!/usr/bin/perl
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/run-one: whatever one test does, all others are run, and each that failed is named.
use strict;
use warnings;
use Childhurd;
use File::Temp qw(tempdir);
use Test::More;

my $dir     = tempdir('childhurd-run-one-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $unlucky = "$Childhurd::BUILD/tests/tools/unlucky";

# The TAP of a test; $? is its status, $skipped what was told of as skipped.
my $skipped;
sub run_one {
    my (@argv) = @_;
    unlink "$dir/skipped";
    local $ENV{CHILDHURD_SKIPPED} = "$dir/skipped";
    local $ENV{CHILDHURD_WRAP}    = '';
    my $pid = Childhurd::spawn_to("$dir/out", sub { open STDERR, '>', "$dir/err" }, 'tests/run-one', @argv);
    waitpid $pid, 0;
    my $status = $?;
    my $tap    = Childhurd::slurp("$dir/out");
    unlink "$dir/out";
    $skipped = Childhurd::slurp("$dir/skipped");
    $? = $status;
    return $tap;
}

sub results { return [ map { s/ - /: /r } $_[0] =~ /^((?:not )?ok \d+ .*)$/mg ] }

my $tap = run_one($unlucky);
is($? >> 8, 1, 'a C test in which one fails fails');
is_deeply(results($tap), [
    'ok 1 /first/passes',
    'not ok 2 /first/asserts: the program died of signal 6',
    'ok 3 /first/passes/again',
    'ok 4 /second/skips # SKIP there is no moon',
    'not ok 5 /second/fails',
    'not ok 6 /second/crashes: the program died of signal 11',
    'not ok 7 /second/leaves: the program ended in the midst of it',
    'ok 8 /second/passes',
], '... each is told of, and those after one that failed are run') or diag($tap);
like($tap, qr/^# Bail out! .*assertion failed/m, '... with what it said');
unlike($tap, qr/^Bail out!/m, '... but not to whom it concerns not');
like($tap, qr/^1\.\.8$/m, '... and there is a plan');
is($skipped, "$unlucky: there is no moon\n", '... and what was skipped is noted');

$tap = run_one($unlucky, map { ('-s', $_) } qw(/first/asserts /second/fails /second/crashes /second/leaves));
is($? >> 8, 0, 'a C test in which none fails passes') or diag($tap);
is(scalar(grep { /^ok/ } @{ results($tap) }), 8, '... with those that are left out');

# A program that does not speak GLib's language, and one that ends badly after all is done.
for ([ 'exit 3', 'does not list its tests' ], [ 'case $1 in -l) echo /only ;; *) echo ok 1 /only; exit 99 ;; esac', 'ended with status 99, after all its tests' ]) {
    my ($script, $what) = @$_;
    Childhurd::spew("$dir/program", "#!/bin/sh\n$script\n");
    chmod 0755, "$dir/program";
    $tap = run_one("$dir/program");
    is($? >> 8, 1, "one that $what fails");
    like($tap, qr/^not ok \d+ .*\Q$what\E/m, '... and that is said') or diag($tap);
}

# GLib 2.84 and newer lists tests as TAP.
Childhurd::spew("$dir/program", <<'SH', 0755);
#!/bin/sh
printf 'TAP version 14\n# random seed: R02S0\n1..2\n# Start of new tests\n'
case $1 in -l) mark='#' ;; *) mark='ok 1' ;; esac
printf "$mark /new/one\n$mark /new/other\n"
echo '# End of new tests'
SH
$tap = run_one("$dir/program");
is($? >> 8, 0, 'a list in TAP is understood');
is_deeply(results($tap), [ 'ok 1 /new/one', 'ok 2 /new/other' ], '... and each test is counted') or diag($tap);

Childhurd::spew("$dir/program", <<'SH', 0755);
#!/bin/sh
case $1 in
-l) echo '# /new/one' ;;
*) printf 'not ok /new/one - childhurd:ERROR: assertion failed\nBail out!\n'; kill -ABRT $$ ;;
esac
SH
$tap = run_one("$dir/program");
is_deeply(results($tap), ['not ok 1 /new/one: the program died of signal 6'], '... and its words before a bail out are no result') or diag($tap);
unlike($tap, qr{^not ok /}m, '... nor look like one');

# Scripts.
my %script = (
    passes => [ 0, 'pass("one"); pass("two");', qr/^ok 2 - two\n1\.\.2\n/m ],
    fails  => [ 1, 'fail("one"); pass("two");', qr/^not ok 1 - one\n(?:.*\n)*ok 2 - two\n/m ],
    bails  => [ 1, 'pass("one"); BAIL_OUT("no more");', qr/^# Bail out!  no more$/m ],
    dies   => [ 1, 'pass("one"); kill "KILL", $$;', qr/^# \S+ died of signal 9$/m ],
    skips  => [ 0, 'plan skip_all => "no such package";', qr/^1\.\.0 # SKIP no such package$/m ],
);
for my $name (sort keys %script) {
    my ($status, $text, $expected) = @{ $script{$name} };
    Childhurd::spew("$dir/$name.t", "use Test::More; $text\ndone_testing;\n");
    $tap = run_one("$dir/$name.t");
    is($? >> 8, $status, "a script that $name: the status is $status");
    like($tap, $expected, '... and its words are passed on');
    is($skipped, $name eq 'skips' ? "$dir/skips.t: no such package\n" : '', '... and nothing is noted but what was skipped');
}

# All of them at once: prove gets to the last.
my $all = join ' ', map { "$dir/$_.t" } qw(bails dies passes);
delete $ENV{CHILDHURD_SKIPPED};
my $said = `prove --exec tests/run-one $unlucky $all 2>/dev/null`;
like($said, qr/^\Q$dir\E\/passes\.t \.+ ok$/m, 'prove runs what comes after a failure') or diag($said);
like($said, qr/^Result: FAIL$/m, '... and fails');

done_testing;
