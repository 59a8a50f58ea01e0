# SPDX-License-Identifier: GPL-3.0-or-later
# A daemon in which one call of a kind fails (tests/tools/fails.c), steered through a file of memory that both have.
#
#   my $faults = Faults->new($d);               # before $d->start
#   $faults->count;                             # from now on the calls are counted
#   my @calls = $faults->calls;                 # all of them, each [kind, stack, how often that stack came before it, plus 1]
#   $faults->arm(@{ $calls[7] });               # the next time the call from there fails
#   $faults->disarm; $faults->reached           # where it failed, in words; '': that call was not made
package Faults;
use strict;
use warnings;
use Childhurd ();
use Fcntl qw(:DEFAULT);

# As in tests/tools/fails.c.
our @KINDS = qw(none open write short fsync rename fork socket memory libvirt ssh);
my %number = (all => 255, map { $KINDS[$_] => $_ } 0 .. $#KINDS);
use constant { HEAD => 32, CALLS_AT => 4096, CALLS_MAX => 65536 };

# What is said of a failed call of that kind, by whoever reports it.
our %WORDS = (
    open    => qr/Too many open files/,
    write   => qr/No space left|disk is full|disk I\/O error/,
    short   => qr/No space left|disk is full|cut|short|whole/,
    fsync   => qr/Input\/output error|disk I\/O error/,
    rename  => qr/No space left/,
    fork    => qr/Resource temporarily unavailable/,
    socket  => qr/Too many open files|Address already in use|is taken by (?:another|a connection)|Cannot assign requested address|No space left|No buffer space/,
    memory  => qr/\w/,    # libraries do not say that it was memory
    libvirt => qr/libvirt|invalid (?:connection|domain) pointer|QEMU/,
    ssh     => qr/SSH|ssh|key|session|channel|login/i,
);

sub new {
    my ($class, $d) = @_;
    my $self = bless { d => $d, path => "$d->{dir}/faults" }, $class;
    sysopen $self->{file}, $self->{path}, O_RDWR | O_CREAT, 0600 or die "$self->{path}: $!\n";
    truncate $self->{file}, CALLS_AT + 8 * CALLS_MAX or die "$self->{path}: $!\n";
    $d->{program} = "$Childhurd::BUILD/tests/tools/fails";
    $d->{environment}{CHILDHURD_FAULTS} = $self->{path};
    return $self;
}

# The kind comes last, so that nothing is counted before.
sub begin {
    my ($self, $kind, $nth, $stack) = @_;
    $self->put(0, pack 'L', 0);
    $self->put(4, pack 'L Q L L L', $nth, $stack, 0, 0, 0);
    $self->put(0, pack 'L', $number{$kind} // die "no kind $kind");
}

sub put { my ($self, $at, $bytes) = @_; sysseek $self->{file}, $at, 0; syswrite $self->{file}, $bytes }

sub get {
    my ($self, $at, $size) = @_;
    sysseek $self->{file}, $at, 0;
    sysread $self->{file}, my($bytes), $size;
    return $bytes;
}

sub count { my ($self) = @_; $self->begin('all', 0, 0) }
sub arm { my ($self, $kind, $stack, $nth) = @_; $self->begin($kind, $nth, $stack) }
sub disarm { my ($self) = @_; $self->put(0, pack 'L', 0) }

sub calls {
    my ($self) = @_;
    my $count = unpack 'L', $self->get(24, 4);
    die "more than ${\ CALLS_MAX} calls\n" if $count > CALLS_MAX;
    my %seen;
    return map { [ $KINDS[ $_ & 15 ], $_, ++$seen{$_} ] } unpack 'Q*', $self->get(CALLS_AT, 8 * $count);
}

sub reached {
    my ($self) = @_;
    return unpack('L', $self->get(20, 4)) ? unpack('Z*', $self->get(HEAD, CALLS_AT - HEAD)) : '';
}

# The same with the functions of the program, for a person: the first is what failed.
sub place {
    my ($self) = @_;
    my ($function, @frames) = split /\n/, $self->reached or return '';
    my @named;
    for my $frame (@frames) {
        my ($module, $at, $symbol) = $frame =~ /^(\S+?)\+0x([0-9a-f]+) ?(\S*)/ or next;
        if ($module eq 'fails') {
            my ($name) = split /\n/, qx(addr2line -s -f -p -e '$self->{d}{program}' 0x@{[ sprintf '%x', hex($at) - 1 ]});
            push @named, $name =~ s/ at (\S+).*/ ($1)/r;
        } else {
            push @named, $symbol || $module;
        }
    }
    return "$function < " . join ' < ', grep { !/^(?:libc|libglib)/ } @named;
}

1;
