# SPDX-License-Identifier: GPL-3.0-or-later
# The commands of docs/guide.md and docs/farm.md, for the tests that run them.
#
#   Guide::commands('debian')     # the blocks marked <!-- run: debian -->, in their order
#   Guide::commands('farm-look', 'docs/farm.md')
#   Guide::blocks($file)          # all: {mark, text, before}; before is the paragraph above the mark
package Guide;
use strict;
use warnings;

# A block is indented by four spaces and ends at the next line that is not; its mark is in the line above it. What is between
# fences is to be looked at.
sub blocks {
    my ($file) = @_;
    $file ||= 'docs/guide.md';
    open my $f, '<', $file or die "$file: $!\n";
    my ($line, @blocks, $mark, $above, $block, $fenced);
    my $last = "\n";
    while ($line = <$f>) {
        $fenced = !$fenced if $line =~ /^```/;
        next if $fenced;
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
    my ($mark, $file) = @_;
    my @texts = map { $_->{text} } grep { ($_->{mark} // '') eq "run: $mark" } blocks($file);
    die +($file // 'docs/guide.md') . " has no block marked <!-- run: $mark -->\n" unless @texts;
    return @texts;
}

1;
