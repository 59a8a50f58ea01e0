# SPDX-License-Identifier: GPL-3.0-or-later
# What a terminal shows: takes a program's output, as ECMA-48 and xterm have it, as far as the programs here use it. Dies of a
# sequence that it does not know, so that none goes unseen.
#
#   my $s = Screen->new(columns => 80, rows => 24);
#   $s->feed($bytes);
#   $s->text      # the lines as they are seen now, without colours and without spaces at their ends
package Screen;
use strict;
use warnings;
use Encode qw(decode FB_QUIET);

sub new {
    my ($class, %o) = @_;
    my $self = bless { rest => '', x => 0, y => 0, wrap => 1, cursor => 1, alternate => 0, saved => undef, %o }, $class;
    $self->{lines} = [map { [] } 1 .. $self->{rows}];
    return $self;
}

# As xterm does: lines are not wrapped anew, and what has no room any more is gone.
sub resize {
    my ($self, $columns, $rows) = @_;
    my $gone = $self->{y} - $rows + 1;
    splice @{ $self->{lines} }, 0, $gone if $gone > 0;
    $self->{y} -= $gone if $gone > 0;
    @$self{qw(columns rows)} = ($columns, $rows);
    $#{ $self->{lines} } = $rows - 1;
    $_ //= [] for @{ $self->{lines} };
    $#$_ >= $columns and $#$_ = $columns - 1 for @{ $self->{lines} };
    $self->{x} = $columns - 1 if $self->{x} >= $columns;
}

sub down {
    my ($self) = @_;
    return $self->{y}++ if $self->{y} < $self->{rows} - 1;
    shift @{ $self->{lines} };
    push @{ $self->{lines} }, [];
}

sub put {
    my ($self, $character) = @_;
    if ($self->{x} >= $self->{columns}) {
        $self->{x} = $self->{wrap} ? 0 : $self->{columns} - 1;
        $self->down if $self->{wrap};
    }
    $self->{lines}[ $self->{y} ][ $self->{x}++ ] = $character;
}

sub erase_line {
    my ($self) = @_;
    my $line = $self->{lines}[ $self->{y} ];
    # Behind the last column the cursor is still on it.
    my $x = $self->{x} < $self->{columns} ? $self->{x} : $self->{columns} - 1;
    $#$line = $x - 1 if $#$line >= $x;
}

sub mode {
    my ($self, $number, $on) = @_;
    if ($number == 7)       { $self->{wrap}   = $on }
    elsif ($number == 25)   { $self->{cursor} = $on }
    elsif ($number == 1049) {
        $self->{saved} = { x => $self->{x}, y => $self->{y}, lines => $self->{lines} } if $on;
        @$self{qw(x y lines)} = $on ? (0, 0, [map { [] } 1 .. $self->{rows}]) : @{ $self->{saved} }{qw(x y lines)};
        $self->{alternate} = $on;
    }
    elsif ($number != 2004) { die "Screen: mode $number\n" }    # bash tells a terminal to mark what is pasted
}

sub control {
    my ($self, $private, $numbers, $what) = @_;
    my ($n) = $numbers =~ /^(\d+)/;
    return $self->mode($numbers, $what eq 'h') if $private && $what =~ /^[hl]$/;
    return if $what eq 'm';
    if    ($what eq 'H' && !$numbers) { @$self{qw(x y)} = (0, 0) }
    elsif ($what eq 'A') { $self->{y} -= $n // 1; $self->{y} = 0 if $self->{y} < 0 }
    elsif ($what eq 'K' && !$numbers) { $self->erase_line }
    elsif ($what eq 'J' && !$numbers) {
        $self->erase_line;
        $_ = [] for @{ $self->{lines} }[ $self->{y} + 1 .. $self->{rows} - 1 ];
    }
    else { die "Screen: a sequence that it does not know: ESC [ $private$numbers$what\n" }
}

sub feed {
    my ($self, $bytes) = @_;
    my $all = $self->{rest} . $bytes;
    my $text = decode('UTF-8', $all, FB_QUIET);
    # What is left of $all may be the beginning of a character, and the end of the text that of a sequence.
    my $begun = $text =~ s/(\e(?:\[[?0-9;]*)?)\z// ? $1 : '';
    while ($text =~ /\G(?:\e\[(\??)([0-9;]*)([@-~])|(\r)|(\n)|([^\e]))/gs) {
        if    (defined $3)                { $self->control($1, $2, $3) }
        elsif (defined $4)                { $self->{x} = 0 }
        elsif (defined $5)                { $self->down }
        elsif ($6 =~ /[\0-\x1f\x7f]/)     { }
        else                              { $self->put($6) }
        $self->{position} = pos $text;
    }
    my $taken = $self->{position} // 0;
    die 'Screen: what is this: ' . substr($text, $taken, 20) . "\n" if length $text && $taken != length $text;
    $self->{position} = 0;
    $self->{rest} = $begun . $all;
}

sub lines {
    my ($self) = @_;
    return map { my $line = $_; join('', map { $_ // ' ' } @$line) =~ s/ +\z//r } @{ $self->{lines} };
}

sub text { my ($self) = @_; return join("\n", $self->lines) . "\n" }

1;
