# SPDX-License-Identifier: GPL-3.0-or-later
# The commands of docs/guide.md, for the tests that run them.
#
#   Guide::commands('debian')     # the blocks marked <!-- run: debian -->, in their order
#   Guide::blocks()               # all: {mark, text, before}; before is the paragraph above the mark
package Guide;
use strict;
use warnings;

# A block is indented by four spaces and ends at the next line that is not; its mark is in the line above it.
sub blocks {
    open my $f, '<', 'docs/guide.md' or die "docs/guide.md: $!\n";
    my ($line, @blocks, $mark, $above, $block);
    my $last = "\n";
    while ($line = <$f>) {
        if ($line =~ /^    (.*\n)/) {
            push @blocks, $block = { mark => $mark, before => $above, text => '' } unless $block;
            $block->{text} .= $1;
            $mark = undef;
            next;
        }
        $block->{text} .= "\n" if $block && $line eq "\n";
        next if $line eq "\n";
        $block = undef;
        if ($line =~ /^<!-- ((?:not )?run.*?) -->$/) {
            $mark = $1;
        } else {
            $above = ($last eq "\n" ? '' : $above) . $line;
        }
    } continue {
        $last = $line;
    }
    $_->{text} =~ s/\n+\z/\n/ for @blocks;
    return @blocks;
}

sub commands {
    my ($mark) = @_;
    my @texts = map { $_->{text} } grep { ($_->{mark} // '') eq "run: $mark" } blocks();
    die "docs/guide.md has no block marked <!-- run: $mark -->\n" unless @texts;
    return @texts;
}

1;
