# SPDX-License-Identifier: GPL-3.0-or-later
# A program on a terminal of its own, at which the test types and reads. script(1) makes the terminal.
#
#   my $t = Terminal->new(columns => 80, rows => 10, command => ['childhurdctl', 'top']);
#   $t->type("q");
#   $t->expect(qr/ready/, 'a guest is shown');     # waits for it, and continues after it
#   $t->shows(qr/^a +ready/m, 'it is on the screen');     # waits until what the screen shows matches
package Terminal;
use strict;
use warnings;
use File::Temp qw(tempdir);
use IPC::Open2;
use POSIX qw(:sys_wait_h);
use Screen;
use Test::More ();
use Time::HiRes qw(sleep time);

our $LIMIT = 30;    # s that expect waits

# options: command (argv), columns, rows, screen (for shows).
sub new {
    my ($class, %o) = @_;
    my $self = bless { said => '', %o }, $class;
    $self->{dir} = tempdir('/tmp/childhurd-terminal-XXXXXX', CLEANUP => 1);
    my $words = join ' ', map { "'" . s/'/'\\''/gr . "'" } @{ $o{command} };
    my ($columns, $rows) = ($o{columns} // 100, $o{rows} // 24);
    $self->{screen} = Screen->new(columns => $columns, rows => $rows) if $o{screen};
    $self->{pid} = open2($self->{out}, $self->{in}, 'script', '-qec',
        "tty >$self->{dir}/tty; stty cols $columns rows $rows; echo \$\$ >$self->{dir}/pid; exec $words", '/dev/null');
    $self->{in}->autoflush(1);
    return $self;
}

sub slurp {
    open my $f, '<', $_[0] or return '';
    local $/;
    return scalar <$f> // '';
}

sub type {
    my ($self, $keys) = @_;
    local $SIG{PIPE} = 'IGNORE';
    return print { $self->{in} } $keys;
}

# Read what is there, for at most that many seconds; false at the end.
sub take {
    my ($self, $limit) = @_;
    my $readable = '';
    vec($readable, fileno $self->{out}, 1) = 1;
    return 1 if !select $readable, undef, undef, $limit;
    my $before = length $self->{said};
    my $n = sysread $self->{out}, $self->{said}, 65536, $before;
    $self->{screen}->feed(substr $self->{said}, $before) if $n && $self->{screen};
    return $n;
}

# Whether there is output that was not read yet; waits a moment for it, as a program's output comes in pieces.
sub more {
    my ($self) = @_;
    my $readable = '';
    vec($readable, fileno $self->{out}, 1) = 1;
    return select $readable, undef, undef, 0.03;
}

# Wait until the screen's text matches, and all of it has been drawn; returns it, as it is then.
sub shows {
    my ($self, $pattern, $what, $limit) = @_;
    my $until = time + ($limit // $LIMIT);
    my $there = 1;
    while ($self->{screen}->text !~ $pattern || $there && $self->more) {
        $there &&= $self->take(0.2);
        next if $there && time < $until;
        last if $self->{screen}->text =~ $pattern;
        Test::More::fail($what // "shows $pattern");
        Test::More::diag("not shown: $pattern; but:\n", $self->{screen}->text);
        return '';
    }
    Test::More::pass($what) if defined $what;
    return $self->{screen}->text;
}

# Wait until the output after the last match matches; returns the match, and removes it and everything before.
sub expect {
    my ($self, $pattern, $what, $limit) = @_;
    my $until = time + ($limit // $LIMIT);
    while (1) {
        if ($self->{said} =~ $pattern) {
            my $found = $&;
            $self->{said} = substr $self->{said}, $+[0];
            Test::More::pass($what) if defined $what;
            return $found;
        }
        last if time > $until || !$self->take(0.2);
    }
    Test::More::fail($what // "expected $pattern");
    Test::More::diag("not said: $pattern; but:\n", substr $self->{said}, -2000);
    return;
}

# The process on the terminal.
sub process { my ($self) = @_; return 0 + slurp("$self->{dir}/pid") }

# Give the window another size; the program is notified.
sub resize {
    my ($self, $columns, $rows) = @_;
    chomp(my $tty = slurp("$self->{dir}/tty"));
    $self->{screen}->resize($columns, $rows) if $self->{screen};
    return system('stty', '-F', $tty, 'cols', $columns, 'rows', $rows) == 0;
}

# The terminal's settings, in stty's words.
sub settings {
    my ($self) = @_;
    chomp(my $tty = slurp("$self->{dir}/tty"));
    return scalar `stty -F $tty -a`;
}

# Wait for the program's end; returns its exit status, -1: it does not end.
sub end {
    my ($self, $limit) = @_;
    my $until = time + ($limit // $LIMIT);
    while (time < $until) {
        $self->take(0.05);
        if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
            delete $self->{pid};
            return $? >> 8;
        }
    }
    return -1;
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    kill 'KILL', $self->{pid} if $self->{pid};
    waitpid $self->{pid}, 0 if $self->{pid};
}

1;
