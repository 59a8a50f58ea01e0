# SPDX-License-Identifier: GPL-3.0-or-later
# A Chromium without a window, which shows pages to a test and tells it what it sees. The test speaks with it over two pipes
# (--remote-debugging-pipe, the DevTools protocol). It ends with the test.
#
#   my $browser = Browser->new;                        # undef: no Chromium is installed
#   $browser->look(width => 360, height => 800, dark => 1);
#   $browser->show("file:///tmp/www/index.html");
#   $browser->evaluate('document.title')
#   $browser->screenshot('page.png'); $browser->print_to('page.pdf');
#   $browser->problems                                 # what the console has, and exceptions, since the page was shown
#   $browser->requests                                 # the addresses that were asked for
package Browser;
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Select;
use JSON::PP;
use MIME::Base64;
use POSIX qw(dup2 :sys_wait_h);
use Childhurd;

our $LIMIT = 60;    # s for each answer

my @browsers;

sub program {
    my ($path) = grep { -x } map { my $folder = $_; map { "$folder/$_" } qw(chromium chromium-browser google-chrome) } split /:/, $ENV{PATH};
    return $path;
}

sub new {
    my ($class) = @_;
    my $program = program() // return;
    my $self = bless { dir => tempdir('/tmp/childhurd-browser-XXXXXX', CLEANUP => 1), id => 0, said => '', events => [], owner => $$ }, $class;
    pipe my $hear, my $tell  or die "pipe: $!\n";
    pipe my $read, my $write or die "pipe: $!\n";
    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        # The pipes may have these numbers themselves, so they go out of the way first.
        dup2(fileno $hear,  20);
        dup2(fileno $write, 21);
        dup2(20, 3);
        dup2(21, 4);
        POSIX::close($_) for 20, 21;
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        exec { $program } $program, '--headless', '--remote-debugging-pipe', "--user-data-dir=$self->{dir}/user", '--disable-gpu',
          '--no-first-run', '--disable-extensions', '--disable-background-networking', '--disable-dev-shm-usage', '--hide-scrollbars',
          ($> ? () : '--no-sandbox'), 'about:blank'
          or POSIX::_exit(127);
    }
    close $_ for $hear, $write;
    $tell->autoflush(1);
    @$self{qw(tell read)} = ($tell, $read);
    push @browsers, $self;
    my $target = $self->call('Target.createTarget', { url => 'about:blank' })->{targetId};
    $self->{session} = $self->call('Target.attachToTarget', { targetId => $target, flatten => JSON::PP::true })->{sessionId};
    $self->call("$_.enable") for qw(Page Runtime Log Network);
    return $self;
}

# The next message; dies if none comes within LIMIT.
sub receive {
    my ($self) = @_;
    my $select = IO::Select->new($self->{read});
    my $end;
    while (($end = index $self->{said}, "\0") < 0) {
        die "Chromium does not answer:\n" . Childhurd::slurp("$self->{dir}/log") unless $select->can_read(2 * Childhurd::seconds($LIMIT));
        sysread($self->{read}, $self->{said}, 65536, length $self->{said}) or die "Chromium has ended:\n" . Childhurd::slurp("$self->{dir}/log");
    }
    my $text = substr $self->{said}, 0, $end, '';
    substr $self->{said}, 0, 1, '';
    return decode_json($text);
}

sub call {
    my ($self, $method, $parameters) = @_;
    my $id = ++$self->{id};
    my $message = { id => $id, method => $method, params => $parameters // {} };
    $message->{sessionId} = $self->{session} if $self->{session};
    print { $self->{tell} } encode_json($message), "\0";
    while (1) {
        my $answer = $self->receive;
        if (!defined $answer->{id}) { push @{ $self->{events} }, $answer; next }
        next unless $answer->{id} == $id;
        die "$method: $answer->{error}{message}\n" if $answer->{error};
        return $answer->{result};
    }
}

# What the page is seen with: width and height in pixels; dark, print.
sub look {
    my ($self, %o) = @_;
    $self->call('Emulation.setDeviceMetricsOverride',
        { width => $o{width} // 1280, height => $o{height} // 900, deviceScaleFactor => 1, mobile => JSON::PP::false });
    $self->call('Emulation.setEmulatedMedia',
        { media => $o{print} ? 'print' : '', features => [ { name => 'prefers-color-scheme', value => $o{dark} ? 'dark' : 'light' } ] });
}

# Load a page to its end.
sub show {
    my ($self, $url) = @_;
    $self->{events} = [];
    my $answer = $self->call('Page.navigate', { url => $url });
    die "$url: $answer->{errorText}\n" if $answer->{errorText};
    push @{ $self->{events} }, $self->receive until grep { ($_->{method} // '') eq 'Page.loadEventFired' } @{ $self->{events} };
}

# The value of an expression of JavaScript.
sub evaluate {
    my ($self, $expression) = @_;
    my $answer = $self->call('Runtime.evaluate', { expression => $expression, returnByValue => JSON::PP::true, awaitPromise => JSON::PP::true });
    die "$expression: $answer->{exceptionDetails}{text}\n" if $answer->{exceptionDetails};
    return $answer->{result}{value};
}

sub problems {
    my ($self) = @_;
    my %text = (
        'Log.entryAdded'           => sub { "$_[0]{entry}{source}: $_[0]{entry}{text}" },
        'Runtime.exceptionThrown'  => sub { "exception: $_[0]{exceptionDetails}{text}" },
        'Runtime.consoleAPICalled' => sub { "console: $_[0]{type}" },
    );
    return map { $text{ $_->{method} }->($_->{params}) } grep { $text{ $_->{method} } } @{ $self->{events} };
}

sub requests {
    my ($self) = @_;
    return map { $_->{params}{request}{url} } grep { $_->{method} eq 'Network.requestWillBeSent' } @{ $self->{events} };
}

sub write_file {
    my ($file, $base64) = @_;
    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out decode_base64($base64);
    close $out or die "$file: $!\n";
}

# The whole page, or with the height of the look.
sub screenshot {
    my ($self, $file, %o) = @_;
    write_file($file, $self->call('Page.captureScreenshot', { format => 'png', captureBeyondViewport => $o{whole} ? JSON::PP::true : JSON::PP::false })->{data});
}

sub print_to {
    my ($self, $file) = @_;
    write_file($file, $self->call('Page.printToPDF', { paperWidth => 8.27, paperHeight => 11.69 })->{data});
}

sub end {
    my ($self) = @_;
    my $pid = delete $self->{pid} // return;
    close $self->{tell};    # at which it ends
    kill 'KILL', $pid unless eval { Childhurd::limited(5, 'the end of Chromium', sub { waitpid($pid, WNOHANG) == $pid }) };
    waitpid $pid, 0;
}

END {
    my $result = $?;
    $_->end for grep { $_->{owner} == $$ } @browsers;
    $? = $result;
}

1;
