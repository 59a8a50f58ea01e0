# SPDX-License-Identifier: GPL-3.0-or-later
# A web server on the loopback (HTTP/1.1), which gives out the files of a folder, and misbehaves as it is told to. A process answers
# each connection. It ends with the test.
#
#   my $web = Web->new($folder);
#   $web->url('disk.img.xz')                          # where a file is
#   $web->set('disk.img.xz', cut => 1000)             # from now on; see below
#   $web->requests                                    # what came: [{path => ..., range => ..., if_range => ..., status => ...}, ...]
#
# What set knows, for one file:
#   cut => N        the connection ends after N bytes of an answer; times => N: that often (for good, if it is left out)
#   stall => N      nothing more comes after N bytes, and the connection stays
#   rate => N       bytes a second
#   redirect => URL
#   status => N     with a short text
#   no_ranges => 1  the whole file, whatever is asked for
#   part => TEXT    the Content-Range of a part, whatever it is; '': none
#   no_length => 1  without Content-Length: the end of the connection is that of the file
#   etag => TEXT    instead of one of the file's size and time; '': none
package Web;
use strict;
use warnings;
use File::Basename qw(basename);
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep);

my @servers;

sub new {
    my ($class, $folder) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64, ReuseAddr => 1) or die "web server: $!\n";
    my $self = bless { folder => $folder, port => $listener->sockport, behaviour => {}, owner => $$ }, $class;
    $self->write_file('.behaviour', '{}');
    $self->write_file('.requests', '');
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        eval { $self->serve($listener) };
        POSIX::_exit(1);
    }
    push @servers, $self;
    return $self;
}

END {
    for my $server (grep { $_->{owner} == $$ } @servers) {
        my $status = $?;
        kill 'KILL', -$server->{pid};
        waitpid $server->{pid}, 0;
        $? = $status;
    }
}

sub url { my ($self, $name) = @_; return "http://127.0.0.1:$self->{port}/$name" }

sub write_file {
    my ($self, $name, $text) = @_;
    open my $f, '>', "$self->{folder}/$name.new" or die "$self->{folder}/$name: $!\n";
    print $f $text;
    close $f;
    rename "$self->{folder}/$name.new", "$self->{folder}/$name" or die $!;
}

sub slurp {
    open my $f, '<', $_[0] or return '';
    local $/;
    return scalar <$f> // '';
}

sub set {
    my ($self, $name, %how) = @_;
    $self->{behaviour}{$name} = \%how;
    unlink "$self->{folder}/.times-" . basename($name);
    $self->write_file('.behaviour', encode_json($self->{behaviour}));
}

# The requests since the last call.
sub requests {
    my ($self) = @_;
    my @lines = split /\n/, slurp("$self->{folder}/.requests");
    my $from = $self->{told} // 0;
    $self->{told} = @lines;
    return [ map { decode_json($_) } @lines[ $from .. $#lines ] ];
}

# --- the server's process ---

sub serve {
    my ($self, $listener) = @_;
    POSIX::setpgid(0, 0);
    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = 'IGNORE';
    while (my $client = $listener->accept) {
        my $pid = fork // next;
        if (!$pid) {
            $self->answer($client);
            POSIX::_exit(0);
        }
        close $client;
    }
}

sub answer {
    my ($self, $client) = @_;
    my $head = '';
    while ($head !~ /\r\n\r\n/) {
        sysread $client, $head, 4096, length $head or return;
    }
    my ($method, $path) = $head =~ m{^(\w+) /(\S*) HTTP/1} or return;
    my ($range)    = $head =~ /^Range: bytes=(\d+)-\r$/mi;
    my ($if_range) = $head =~ /^If-Range: (.*)\r$/mi;
    my $how  = decode_json(slurp("$self->{folder}/.behaviour"))->{$path} // {};
    my $file = "$self->{folder}/$path";
    my %reply = (status => 200, from => 0);
    if    ($how->{status})   { $reply{status} = $how->{status} }
    elsif ($how->{redirect}) { $reply{status} = 302 }
    elsif (!-f $file)        { $reply{status} = 404 }
    else {
        my @stat = stat _;
        $reply{etag} = $how->{etag} // sprintf '"%x-%x"', @stat[ 7, 9 ];
        $reply{size} = $stat[7];
        my $wanted = defined $range && !$how->{no_ranges} && (!defined $if_range || $if_range eq $reply{etag});
        @reply{qw(status from)} = $range < $reply{size} ? (206, $range) : (416, $reply{size}) if $wanted;
    }
    open my $log, '>>', "$self->{folder}/.requests" or return;
    syswrite $log, encode_json({ path => $path, range => $range, if_range => $if_range, status => $reply{status} }) . "\n";
    close $log;
    my $text = "HTTP/1.1 $reply{status} Status\r\nConnection: close\r\n";
    $text .= "Location: $how->{redirect}\r\n" if $how->{redirect};
    $text .= "ETag: $reply{etag}\r\n" if $reply{etag};
    if ($reply{status} == 206) {
        my $part = $how->{part} // "bytes $reply{from}-" . ($reply{size} - 1) . "/$reply{size}";
        $text .= "Content-Range: $part\r\n" if $part;
    }
    $text .= "Content-Range: bytes */$reply{size}\r\n" if $reply{status} == 416;
    if ($reply{status} != 200 && $reply{status} != 206) {
        syswrite $client, "${text}Content-Length: 5\r\n\r\nsorry";
        return;
    }
    $text .= 'Content-Length: ' . ($reply{size} - $reply{from}) . "\r\n" unless $how->{no_length};
    syswrite $client, "$text\r\n" or return;
    $self->send_file($client, $file, $reply{from}, $how);
}

# May this answer be cut or stalled? A count of times is used up.
sub misbehaves {
    my ($self, $how, $file) = @_;
    return 1 unless defined $how->{times};
    my $count = "$self->{folder}/.times-" . basename($file);
    my $n = -s $count // 0;
    return 0 if $n >= $how->{times};
    open my $f, '>>', $count or return 0;
    print $f 'x';
    return 1;
}

sub send_file {
    my ($self, $client, $file, $from, $how) = @_;
    my $end = $how->{cut} // $how->{stall};
    $end = undef if defined $end && !$self->misbehaves($how, $file);
    open my $f, '<:raw', $file or return;
    sysseek $f, $from, 0;
    my $sent  = 0;
    my $piece = $how->{rate} ? 1 + int($how->{rate} / 20) : 1 << 18;
    while (1) {
        my $n = defined $end && $end - $sent < $piece ? $end - $sent : $piece;
        last if !$n;
        sysread $f, my $bytes, $n or return;
        for (my $at = 0; $at < length $bytes;) {
            my $put = syswrite $client, $bytes, length($bytes) - $at, $at or return;
            $at += $put;
        }
        $sent += length $bytes;
        sleep 0.05 if $how->{rate};
    }
    # A stalled connection lasts until the client leaves.
    sysread $client, my $rest, 1 if defined $how->{stall};
}

1;
