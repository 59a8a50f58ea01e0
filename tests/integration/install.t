# SPDX-License-Identifier: GPL-3.0-or-later
# make install and make uninstall: all in its place below PREFIX and DESTDIR, twice the same, and gone again.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Find qw(find);
use File::Temp qw(tempdir);
use Test::More;

my $folder = tempdir('/tmp/childhurd-install-XXXXXX', CLEANUP => 1);
my $prefix = '/opt/hird';

sub make { return ok(defined eval { Childhurd::make("DESTDIR=$folder", @_) }, "make @_") || diag($@) }

# What is below a folder: name => mode and content, or 'folder'.
sub tree {
    my ($top) = @_;
    my %tree;
    find({ no_chdir => 1, wanted => sub {
        return if $_ eq $top;
        my $name = substr $_, length $top;
        $tree{$name} = -d $_ ? 'folder' : sprintf('%o ', (stat)[2] & 07777) . Childhurd::slurp($_);
    } }, $top);
    return \%tree;
}
sub files { my ($tree) = @_; return grep { $tree->{$_} ne 'folder' } sort keys %$tree }

# --- installed ---
make('install', "PREFIX=$prefix");
my $first = tree($folder);
my @files = files($first);
is_deeply([ grep { !m{^\Q$prefix\E/} } @files ], [], 'every file is below DESTDIR and PREFIX');
is_deeply([ grep { !$first->{"$prefix/$_"} } qw(sbin/childhurdd bin/childhurdctl lib/systemd/system/childhurdd.service
            lib/systemd/system/childhurd-guests.service lib/systemd/system/childhurd-report.timer lib/sysusers.d/childhurd.conf lib/tmpfiles.d/childhurd.conf
            share/childhurd/images.ini share/man/man1/childhurdctl.1 share/man/man5/childhurd.ini.5 share/man/man8/childhurdd.8
            share/doc/childhurd/childhurd.ini.example share/doc/childhurd/docs/manual.md) ], [], 'all that people look for is there');
is_deeply([ grep { $first->{$_} !~ /^(?:755|644) / } @files ], [], 'everybody may read it, and nobody but its owner write');
is_deeply([ grep { $first->{$_} =~ /^755 / } @files ], [ "$prefix/bin/childhurdctl", "$prefix/libexec/childhurd/childhurd-image", "$prefix/sbin/childhurdd" ], 'the programs, and nothing else, can be run');

my @units = grep { /\.service$/ } @files;
my @named = map { $first->{$_} =~ m{^Exec\w+=[-+!\@:]*(\S+)}mg } @units;
cmp_ok(scalar @named, '>=', 4, 'the units name programs');
is_deeply([ grep { !$first->{$_} } @named ], [], '... where they are installed');
is_deeply([ grep { $first->{$_} =~ m{^644 .*(?:\Q$folder\E|\@[A-Z]+\@)}s } @files ], [], 'no file names DESTDIR, or has a place that was not filled in');

make('install', "PREFIX=$prefix");
is_deeply(tree($folder), $first, 'installed once more, it is the same');

# --- and not ---
mkdir "$folder$prefix/share/doc/childhurd/mine";
make('uninstall', "PREFIX=$prefix");
is_deeply([ files(tree($folder)) ], [], 'make uninstall leaves no file');
ok(-d "$folder$prefix/share/doc/childhurd/mine", '... and what it did not install');
rmdir "$folder$prefix/share/doc/childhurd/mine";
make('uninstall', "PREFIX=$prefix");
is_deeply([ grep { /childhurd/ } keys %{ tree($folder) } ], [], 'nor a folder that was childhurd\'s alone');

# --- without PREFIX ---
make('install');
is_deeply([ grep { !m{^/usr/local/} } files(tree($folder)) ], [], 'without PREFIX it is /usr/local');
make('uninstall');
is_deeply([ files(tree($folder)) ], [], '... for make uninstall, too');
done_testing;
