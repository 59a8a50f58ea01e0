# SPDX-License-Identifier: GPL-3.0-or-later
# The fuzzers, fed what was kept of their runs: what one has found stays repaired, on machines without clang too.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);

my $build = $ENV{CHILDHURD_BUILD} // 'build';
my $dir = tempdir('/tmp/childhurd-test-corpora-XXXXXX', CLEANUP => !$ENV{CHILDHURD_KEEP});
$ENV{TMPDIR} = $dir;

# The fuzzer's output, and its status as wait(2) has it.
sub feed {
    my ($name, @inputs) = @_;
    my $output = `exec $build/tests/fuzz/$name @inputs 2>&1`;
    return ($output, $?);
}

sub files_in {
    my ($folder) = @_;
    return grep { -f } glob "$folder/*";
}

my @names = map { m{([^/]+)\.c$} } glob 'tests/fuzz/*.c';
ok(@names >= 8, 'there are fuzzers: ' . @names);
for my $name (@names) {
    my @folders = grep { -d } "tests/fuzz/seeds/$name", "tests/fuzz/corpora/$name";
    my $n = map { files_in($_) } @folders;
    my ($output, $status) = @folders ? feed($name, @folders) : ('it has no inputs', 1);
    ok($status == 0 && $n && $output =~ /^$n inputs$/m, "$name takes its $n inputs")
        or diag("status $status\n", substr $output, -2000);
}

# Inputs of one fuzzer are of no other's.
my %known = map { $_ => 1 } @names;
is_deeply([ grep { !$known{s{.*/}{}r} } glob 'tests/fuzz/seeds/* tests/fuzz/corpora/*' ], [], 'each folder of inputs has its fuzzer');

# This test can fail.
my ($output, $status) = feed('config', "$dir/missing");
isnt($status, 0, 'a missing input is a failure');
like($output, qr/missing/, '... that names it');
is((feed('config'))[1] >> 8, 1, 'so is none');

done_testing();
