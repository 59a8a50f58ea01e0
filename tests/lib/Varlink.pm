# SPDX-License-Identifier: GPL-3.0-or-later
# A Varlink client that compares each reply and each error with the interface's description, member by member.
#
#   my $v = Varlink->new("$dir/run/control", slurp('service/org.childhurd.varlink'));
#   my ($parameters, $error) = $v->call('org.childhurd.List', {});      # dies if the reply is not as described
#   my @replies = $v->more('org.childhurd.Wait', { ... });              # all of them, each [parameters, error]
#   $v->{seen}                                                          # what was seen: names of methods and errors
package Varlink;
use strict;
use warnings;
use B ();
use IO::Socket::UNIX;
use JSON::PP;

our $LIMIT = 120;    # s for an answer

sub new {
    my ($class, $path, @descriptions) = @_;
    my $self = bless { path => $path, seen => {}, interfaces => {} }, $class;
    $self->learn($_) for @descriptions;
    return $self;
}

# Another client with the same description, and a connection of its own.
sub another { my ($self) = @_; return bless { %$self, socket => undef, buffer => '' }, ref $self }

sub connect {
    my ($self) = @_;
    $self->{socket} ||= IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $self->{path}) || die "$self->{path}: $!\n";
    return $self->{socket};
}

sub write {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    return syswrite $self->connect, $bytes;
}

# The next message; undef: the service has closed.
sub read {
    my ($self) = @_;
    my $until = time + $LIMIT;
    $self->{buffer} //= '';
    while (index($self->{buffer}, "\0") < 0) {
        my $readable = '';
        vec($readable, fileno $self->{socket}, 1) = 1;
        my $left = $until - time;
        die "no answer within $LIMIT s\n" if $left <= 0 || !select $readable, undef, undef, $left;
        sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer} or return undef;
    }
    my ($message, $rest) = split /\0/, $self->{buffer}, 2;
    $self->{buffer} = $rest;
    return decode_json($message);
}

sub send_call {
    my ($self, $method, $parameters, %flags) = @_;
    my %call = (method => $method, parameters => $parameters, map { $_ => $flags{$_} ? JSON::PP::true : JSON::PP::false } keys %flags);
    defined $self->write(JSON::PP->new->utf8->encode(\%call) . "\0") or die "$self->{path}: $!\n";
}

sub call {
    my ($self, $method, $parameters) = @_;
    $self->send_call($method, $parameters);
    my $reply = $self->answer($method);
    die "$method: a reply that goes on, and nobody asked for more\n" if $reply->[2];
    return @$reply;
}

sub more {
    my ($self, $method, $parameters) = @_;
    my @replies;
    $self->send_call($method, $parameters, more => 1);
    do { push @replies, $self->answer($method) } while $replies[-1][2];
    return @replies;
}

# [parameters, error, continues], checked.
sub answer {
    my ($self, $method) = @_;
    my $message = $self->read // die "$method: closed without an answer\n";
    my %known = map { $_ => 1 } qw(parameters error continues);
    my @odd = grep { !$known{$_} } keys %$message;
    die "$method: a message with @odd\n" if @odd;
    my ($interface, $name) = ($message->{error} // $method) =~ /^(.*)\.(\w+)$/;
    my $of   = $self->{interfaces}{$interface} // die "$interface: not described\n";
    my $type = $message->{error} ? $of->{errors}{$name} : $of->{methods}{$name} && $of->{methods}{$name}[1];
    die "$interface.$name: not described\n" unless $type;
    $self->{seen}{"$interface.$name"} = 1;
    $self->check($of, $type, $message->{parameters} // {}, "$interface.$name");
    return [ $message->{parameters} // {}, $message->{error}, $message->{continues} ];
}

# --- descriptions (https://varlink.org/Interface-Definition) ---

# Types are ['struct', [[name, type], ...]], ['enum', {word => 1}], ['array' | 'map' | 'maybe', type], or a name.
sub learn {
    my ($self, $text) = @_;
    $text =~ s/#.*$//mg;
    my @tokens = $text =~ /\[string\]|\[\]|->|[?():,]|[A-Za-z][\w.-]*|\S/g;
    my $take   = sub { my $got = shift @tokens // 'the end'; die "not $_[0] but $got\n" if @_ && $got ne $_[0]; return $got };
    $take->('interface');
    my $of = $self->{interfaces}{ $take->() } = { types => {}, methods => {}, errors => {} };
    while (@tokens) {
        my ($kind, $name) = ($take->(), $take->());
        die "$name: not a name\n" unless $name =~ /^[A-Z][A-Za-z0-9]*$/;
        my $type = type(\@tokens, $take);
        if ($kind eq 'method') {
            $take->('->');
            $of->{methods}{$name} = [ $type, type(\@tokens, $take) ];
        } elsif ($kind eq 'type' || $kind eq 'error') {
            $of->{"${kind}s"}{$name} = $type;
        } else {
            die "$kind: neither type, method nor error\n";
        }
    }
}

sub type {
    my ($tokens, $take) = @_;
    my $token = $take->();
    return [ 'maybe', type($tokens, $take) ] if $token eq '?';
    return [ 'array', type($tokens, $take) ] if $token eq '[]';
    return [ 'map',   type($tokens, $take) ] if $token eq '[string]';
    return $token if $token =~ /^(?:bool|int|float|string|object|[A-Z][A-Za-z0-9]*)$/;
    die "$token: not a type\n" unless $token eq '(';
    my (@members, %words);
    while ($tokens->[0] ne ')') {
        my $name = $take->();
        die "$name: not a member's name\n" unless $name =~ /^[A-Za-z](?:_?[A-Za-z0-9])*$/;
        if ($tokens->[0] eq ':') {
            $take->(':');
            push @members, [ $name, type($tokens, $take) ];
        } else {
            $words{$name} = 1;
        }
        $take->(',') if $tokens->[0] ne ')';
    }
    $take->(')');
    die "members and words in one\n" if @members && %words;
    return %words ? [ 'enum', \%words ] : [ 'struct', \@members ];
}

sub is_string { return !ref $_[0] && B::svref_2object(\$_[0])->FLAGS & B::SVf_POK }

sub check {
    my ($self, $of, $type, $value, $where) = @_;
    my $bad = sub { die "$where: not $_[0]: " . JSON::PP->new->allow_nonref->canonical->encode($value) . "\n" };
    my ($kind, $inner) = ref $type ? @$type : ($type);
    if ($kind eq 'maybe') {
        $self->check($of, $inner, $value, $where) if defined $value;
    } elsif (!defined $value) {
        $bad->($kind);
    } elsif ($kind eq 'array') {
        ref $value eq 'ARRAY' or $bad->('an array');
        $self->check($of, $inner, $value->[$_], "$where\[$_]") for 0 .. $#$value;
    } elsif ($kind eq 'map') {
        ref $value eq 'HASH' or $bad->('a map');
        $self->check($of, $inner, $value->{$_}, "$where\[$_]") for keys %$value;
    } elsif ($kind eq 'struct') {
        ref $value eq 'HASH' or $bad->('a structure');
        my %left = %$value;
        for my $member (@$inner) {
            $self->check($of, $member->[1], delete $left{ $member->[0] }, "$where.$member->[0]");
        }
        die "$where: has " . join(', ', sort keys %left) . ", which are not described\n" if %left;
    } elsif ($kind eq 'enum') {
        is_string($value) && $inner->{$value} or $bad->('one of ' . join ', ', sort keys %$inner);
    } elsif ($kind eq 'bool') {
        JSON::PP::is_bool($value) or $bad->('a boolean');
    } elsif ($kind eq 'string') {
        is_string($value) or $bad->('a string');
    } elsif ($kind eq 'int') {
        !ref $value && !is_string($value) && $value =~ /^-?\d+$/ or $bad->('a whole number');
    } elsif ($kind eq 'float') {
        !ref $value && !is_string($value) or $bad->('a number');
    } elsif ($kind ne 'object') {
        my $named = $of->{types}{$kind} // die "$where: the type $kind is not described\n";
        $self->check($of, $named, $value, $where);
    }
}

1;
