# SPDX-License-Identifier: GPL-3.0-or-later
# The real Prometheus, which reads what the test gives it each second. It ends with the test. Needs root: the programs listen in a
# network of the test's own, as tests/run-one gives it.
#
#   my $p = Prometheus->new($folder, jobs => [qw(good cut)], give => sub { my ($job) = @_; return ($type, $text) }, rules => $text);
#   $p->targets                     # job => what Prometheus knows of it, of those that it has read
#   $p->ask('query', query => 'up') # the data of an answer of its HTTP interface; {} while there is none
#   $p->child(name => sub { ... })  # another program, whose output goes to $folder/name.log, and which ends with the test
package Prometheus;
use strict;
use warnings;
use Childhurd ();
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();

my @children;

sub new {
    my ($class, $folder, %o) = @_;
    $> == 0 or Childhurd::cannot('this takes root: the programs listen in a network of the test');
    my $self = bless { folder => $folder, programs => $o{programs}, http => HTTP::Tiny->new(timeout => 10) }, $class;
    $self->{$_} = Childhurd::free_port() for qw(given port);
    $self->child(given => sub { $self->serve($o{give}) });
    Childhurd::spew("$folder/rules.yml", $o{rules} // "groups: []\n");
    my $jobs = join '', map { "  - job_name: $_\n    metrics_path: /$_\n    static_configs: [ { targets: [ '127.0.0.1:$self->{given}' ] } ]\n" } @{ $o{jobs} };
    Childhurd::spew("$folder/prometheus.yml", <<"END");
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [ $folder/rules.yml ]
scrape_configs:
$jobs
END
    $self->child(prometheus => sub {
        exec "$self->{programs}/prometheus", "--config.file=$folder/prometheus.yml", "--storage.tsdb.path=$folder/data", "--web.listen-address=127.0.0.1:$self->{port}";
    });
    return $self;
}

sub child {
    my ($self, $name, $code) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', "$self->{folder}/$name.log" or die;
        open STDERR, '>&', \*STDOUT;
        eval { $code->(); 1 } or print STDERR $@;
        POSIX::_exit(127);
    }
    push @children, $pid;
}

# Answer each request for /JOB with what give has for it.
sub serve {
    my ($self, $give) = @_;
    my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $self->{given}, Listen => 16, ReuseAddr => 1) or die "$self->{given}: $!";
    while (my $c = $s->accept) {
        my ($job) = (<$c> // '') =~ m{^GET /(\w+)};
        while (defined(my $line = <$c>)) { last if $line =~ /^\r?\n$/ }
        my ($type, $text) = eval { $give->($job) } or next;
        print $c "HTTP/1.0 200 OK\r\nContent-Type: $type\r\nContent-Length: " . length($text) . "\r\n\r\n$text";
        close $c;
    }
}

sub ask {
    my ($self, $what, @parameters) = @_;
    my $response = $self->{http}->get("http://127.0.0.1:$self->{port}/api/v1/$what?" . $self->{http}->www_form_urlencode(\@parameters));
    my $answer = eval { decode_json($response->{content}) } // {};
    $self->{error} = $answer->{error} // ($response->{success} ? undef : $response->{content});
    return $answer->{data} // {};
}

sub targets {
    my ($self) = @_;
    return map { $_->{labels}{job} => $_ } grep { $_->{health} ne 'unknown' } @{ $self->ask('targets')->{activeTargets} // [] };
}

# The series of an expression now: [{metric => labels, value => [time, text]}, ...]; $self->{error} says why there are none.
sub series { my ($self, $expression) = @_; return @{ $self->ask('query', query => $expression)->{result} // [] } }

# The value of an expression with one series; else undef.
sub value {
    my ($self, $expression) = @_;
    my @series = $self->series($expression);
    return @series == 1 ? $series[0]{value}[1] : undef;
}

sub log { my ($self) = @_; return Childhurd::slurp("$self->{folder}/prometheus.log") }

END {
    my $status = $?;
    kill 'KILL', @children;
    waitpid $_, 0 for @children;
    $? = $status;
}

1;
