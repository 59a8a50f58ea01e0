# SPDX-License-Identifier: GPL-3.0-or-later
# make install puts everything below DESTDIR and PREFIX, what names programs names them there, and make uninstall takes away
# exactly what it put. Nothing is run from it: systemd.t does that.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use File::Find;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

# What is below a folder: files with their modes, folders without.
sub tree {
    my ($top) = @_;
    my %found;
    find({ no_chdir => 1, wanted => sub { $found{substr $_, length $top} = -d $_ ? 'folder' : sprintf '%o', (stat)[2] & 07777 } }, $top);
    return \%found;
}

for my $prefix ('/usr', '/opt/hurd') {
    my $dest = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 1);
    # Somebody else's, in folders of ours and beside our files.
    for my $theirs ("$dest$prefix/share/doc/childhurd/notes", "$dest$prefix/lib/systemd/system/other.service") {
        make_path($theirs =~ s{/[^/]*$}{}r);
        open my $f, '>', $theirs or die "$theirs: $!";
    }
    my $before = tree($dest);
    Childhurd::make('install', "DESTDIR=$dest", "PREFIX=$prefix");
    my $tree = tree($dest);
    is($tree->{"$prefix/$_"}, '755', "$prefix: $_ can be run") for qw(sbin/childhurdd bin/childhurdctl);
    is($tree->{"$prefix/$_"}, '644', "$prefix: $_ can be read")
      for qw(lib/systemd/system/childhurdd.service lib/systemd/system/childhurd-guests.service lib/sysusers.d/childhurd.conf
        lib/tmpfiles.d/childhurd.conf share/man/man8/childhurdd.8 share/man/man1/childhurdctl.1 share/man/man5/childhurd.ini.5
        share/doc/childhurd/README.md share/doc/childhurd/docs/manual.md);
    is_deeply([grep { !m{^\Q$prefix\E(/|$)} && index("$prefix/", "$_/") != 0 } keys %$tree], [], "$prefix: nothing is elsewhere");
    my @commands = map { Childhurd::slurp("$dest$prefix/lib/systemd/system/$_") =~ /^#?Exec\w+=[-+]?(\S+)/mg } qw(childhurdd.service childhurd-guests.service);
    cmp_ok(scalar @commands, '>=', 5, "$prefix: the units run programs");
    is_deeply([grep { !$tree->{$_} } @commands], [], "$prefix: all of which are there");
    unlike(Childhurd::slurp("$dest$prefix/lib/systemd/system/childhurdd.service"), qr/@\w+@/, "$prefix: no place is left open");
    Childhurd::make('uninstall', "DESTDIR=$dest", "PREFIX=$prefix");
    my $after = tree($dest);
    is_deeply([grep { $after->{$_} ne 'folder' && !$before->{$_} } keys %$after], [], "$prefix: after make uninstall no file is left");
    is_deeply([grep { /childhurd/ && !$before->{$_} } keys %$after], [], "$prefix: and no folder of ours");
    is_deeply([grep { !$after->{$_} } keys %$before], [], "$prefix: but all that others put there");
}
done_testing;
