#!/usr/bin/perl
# SPDX-License-Identifier: GPL-3.0-or-later
# How the test guests are made (tests/guests): on whatever host, and the same packages give the same bytes. Each is made
# here in caches of its own, which have the packages and their lists from the one that all tests use.
use strict;
use warnings;
use Childhurd;
use Cwd ();
use Digest::SHA;
use File::Basename qw(basename dirname);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

$> == 0 or Childhurd::cannot('guests are made by root');
-x '/usr/bin/strace' or Childhurd::cannot('strace is missing: apt install strace');

my $dir = tempdir('childhurd-recipes-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my %usual;    # guest => where the tests have it, so that its packages are there
my $cache = dirname(dirname($usual{linux} = Childhurd::need_image('linux')));

# A folder like the usual cache, without the guests.
sub new_cache {
    my ($name) = @_;
    mkdir "$dir/$name";
    mkdir "$dir/$name/guests";
    system('cp', '-as', "$cache/downloads", "$dir/$name/downloads") == 0
        && system('cp', '-a', "$cache/apt", "$dir/$name/apt") == 0 or die "the cache cannot be copied\n";
    my $base = $usual{'guix-root'};
    symlink $base, "$dir/$name/guests/" . basename($base) if $base;
    return "$dir/$name";
}

# Make these guests one after the other, by the recipes in that folder, in that cache; the process.
sub begin {
    my ($recipes, $in, $environment, $under, @guests) = @_;
    my @outside = $ENV{CHILDHURD_NETWORK} ? ('nsenter', "--net=$ENV{CHILDHURD_NETWORK}") : ();
    return Childhurd::spawn_to("$in.log", sub {
        @ENV{ keys %$environment } = values %$environment;
        $ENV{CHILDHURD_CACHE} = $in;
    }, @outside, @$under, 'sh', '-ec', 'make=$1; shift; for guest; do "$make" "$guest"; done', 'sh', "$recipes/make", @guests);
}

sub made {
    my ($pid, $in, @guests) = @_;
    waitpid $pid, 0;
    return is($?, 0, "made: @guests") || diag(Childhurd::slurp("$in.log"));
}

# The bytes of a guest, which is a file or a folder.
sub sum {
    my ($in, $guest) = @_;
    my ($path) = glob "$in/guests/$guest-*[0-9a-f]{,.qcow2}" or return "no guest $guest in $in";
    my $sum = Digest::SHA->new(256);
    $sum->add("$_\n")->addfile($_, 'b') for -d $path ? do { chdir $path; glob '*' } : do { chdir dirname($path); basename($path) };
    chdir $main::start;
    return $sum->hexdigest;
}

# What was run: every call of execve and chroot, those that failed, too, as a host that runs programs for other
# processors would have run them. The recipe's own are the host's tools in its folder `tools`.
sub foreign_calls {
    my ($trace, $in) = @_;
    my (%checked, @bad);
    open my $own, '<:raw', '/proc/self/exe' or die "/proc/self/exe: $!";
    read $own, my $host, 20;
    for (split /\n/, Childhurd::slurp($trace)) {
        if (/ chroot\(/) { push @bad, $_; next }
        my ($path) = / execve\("([^"]*)"/ or / execveat\((.*)/ or next;
        next if $checked{$path}++ || $path eq './make';
        next if $path =~ m{^\Q$in\E/guests/\.work\.\d+/tools/};
        if ($path !~ m{^/} || index($path, "$in/") == 0 || index($path, "$cache/") == 0) { push @bad, $_; next }
        open my $file, '<:raw', $path or next;
        read $file, my $head, 20;
        # e_ident's class and e_machine
        push @bad, $_ if $head =~ /^\x7fELF/ && (substr($head, 4, 1) ne substr($host, 4, 1) || substr($head, 18, 2) ne substr($host, 18, 2));
    }
    return @bad;
}

our $start = Cwd::getcwd();
my @twice  = ('linux');
my @once;
my $mach = Childhurd::optional_image('mach');
push @twice, 'mach' if $mach;
push @twice, 'mach64' if Childhurd::optional_image('mach64');
$usual{$_} = Childhurd::optional_image($_) for 'guix-root', 'guix';
push @once, 'guix' if $usual{guix};

# A host that runs no 32-bit programs.
my $native = "$Childhurd::BUILD/tests/tools/native-only";
open my $source, '>', "$dir/seven.c" or die "seven.c: $!";
print $source "int main(void) { return 7; }\n";
close $source;
is(system('gcc', '-m32', '-static', '-o', "$dir/seven", "$dir/seven.c"), 0, 'a 32-bit program is compiled');
is(system($native, "$dir/seven") & 127, POSIX::SIGSYS, '... and does not run where only native ones do');

# Two at a time: as it is, and there, from a copy of the recipes newer than these, under strace, elsewhere on the globe.
my ($one, $two) = map { new_cache($_) } 'one', 'two';
system('cp', '-R', 'tests/guests', "$dir/recipes") == 0 or die "the recipes cannot be copied\n";
my $trace = "$dir/trace";
my $first  = begin('tests/guests', $one, {}, [], @twice);
my $second = begin("$dir/recipes", $two, { TZ => 'Asia/Tokyo', LC_ALL => 'C.UTF-8' },
    [ $native, qw(strace -f -qq --seccomp-bpf -e signal=none -e), 'trace=execve,execveat,chroot', '-o', $trace ], @twice, @once);
made($first,  $one, @twice);
made($second, $two, @twice, @once);
is(sum($two, $_), sum($one, $_), "$_: the same packages give the same bytes") for @twice;

my @bad = foreign_calls($trace, $two);
is(scalar @bad, 0, 'no program of a guest is run, nor one for another processor') or diag(join "\n", @bad[0 .. ($#bad < 9 ? $#bad : 9)]);
my $run = Childhurd::slurp($trace);
ok($run =~ m{/tools/bin/busybox", \[[^]]*"depmod"}, '... and what was run was looked at');
SKIP: {
    skip $Childhurd::lacking, 1 unless $mach;
    ok($run =~ m{/qemu-i386", \[[^]]*"x/usr/lib/mig/i686-gnu-migcom"}, '... up to MIG, which QEMU runs');
}
SKIP: { skip $Childhurd::lacking, 1 unless @once }

# sid is gone for a moment: the first suite is there, and this test has no network of its own.
my $without = new_cache('without');
system('rm', '-rf', glob "$without/apt/sid-*");
open my $script, '>', "$dir/needs.t" or die "needs.t: $!";
print $script "use Childhurd; use Test::More; Childhurd::need_image('mach'); fail('without'); done_testing;\n";
close $script;
my $pid = Childhurd::spawn_to("$dir/needs.out", sub { $ENV{CHILDHURD_CACHE} = $without; delete $ENV{CHILDHURD_SKIPPED} }, 'tests/run-one', "$dir/needs.t");
waitpid $pid, 0;
is($?, 0, 'a test that needs what sid lacks is no failure');
my $said = Childhurd::slurp("$dir/needs.out");
like($said, qr/^1\.\.0 # SKIP no guest mach: no package list of Debian sid from /m, '... but skipped, and why is said');

done_testing;
