# SPDX-License-Identifier: GPL-3.0-or-later
# Random operations with real QEMUs on one living daemon: what operators, builds, readers and bad luck do, many at a time. Now and then
# all guests are stopped and all clients gone: then the daemon must need no more memory, descriptors, threads and files than before.
#
#   w, p   get ready and have warm states; w is ephemeral, p persistent; builds take their slots
#   m      reboots by itself after a second
#   d      boots for ever
#   z      is in the configuration now and then
#
#   my $world = RandomOperations->new($seed);
#   my @wrong = $world->run(3600, sub { ... });     # called often, with what was found wrong since; TRUE: it is enough
#   push @wrong, $world->finish;
#   print $world->table;
package RandomOperations;
use strict;
use warnings;
use Childhurd ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);
use Truth;

use constant REST_EACH   => 120;     # seconds between two rests, or less, for SAMPLES of them
use constant REST_LEAST  => 10;
use constant SAMPLES     => 16;      # of them, if there is time
use constant SAMPLES_LEAST => 4;     # otherwise it takes longer
use constant CALM_WITHIN => 20;      # seconds until threads and descriptors of what has ended are gone
use constant MEMORY_MAX  => 1024;    # KiB more than in the second quarter of the time, beside the history's caches
use constant CACHE_MAX   => 2048;    # KiB: SQLite's cache of pages, for the writer and for each reader; it fills up as the file grows

# Files that are there from some moment on, once for each guest or daemon.
my $ONCE = qr{/(?:started/\w+|failure\.(?:txt|png)|console\.log(?:\.\d+)?|libvirt\.log\.1|\w+\.log(?:\.1)?|disk\.(?:warm|base|qcow2(?:\.spare)?)|image-kind|state|history\.db-\w+)$};

my @COMMANDS = (['start'], ['start'], ['start'], ['stop'], ['stop', '--now'], ['restart'], ['restart', '--now'], ['drain'], ['undrain'], ['undrain'],
    ['sleep'], ['sleep'], ['reset'], ['reset', '--now'], ['reset', '--cold', '--now']);
my @READERS = (['list'], ['list', '--json'], ['status'], ['status', '--json'], ['events'], ['history'], ['history', '--json'], ['machines'],
    ['metrics'], ['check'], ['node', 'list'], ['top'], ['version']);

# What happens, and how often.
my %OPERATIONS = (command => 30, reader => 12, follower => 4, caller => 8, login => 4, build => 10, reload => 4, kill => 3, pause => 3, rude => 4, leave => 10);

sub new {
    my ($class, $seed) = @_;
    srand $seed;
    my $self = bless { seed => $seed, samples => [], done => {}, builds => [], callers => [], followers => [], paused => {}, children => [], faults => [], last => '' }, $class;
    my ($mach, $linux) = map { Childhurd::need_image($_) } qw(mach linux);
    $self->{id} = Childhurd::free_id(5);
    my $ends = sub { "kernel = $mach/gnumach\nkernel-arguments = console=com0\nmemory-size = 32M\ninject = none\nboot-timeout = 24h\nstop-timeout = 1s\n"
          . "restart = always\nmodule = $mach/probe --host-priv-port=\${host-port} $_[0] \$(task-create) \$(task-resume)\n" };
    # A busy host is no reason to restart a guest.
    my $ordinary = "image = $linux\nmemory-size = 256M\nboot-timeout = 1h\nhang-timeout = 1h\nrestart = always\n";
    $self->{sections} = { w => $ordinary, p => "${ordinary}disk = persistent\n", m => $ends->('tick=1 reboot'), d => $ends->('silent'), z => $ends->('silent') };
    my %id = map { $_ => $self->{id} + { w => 0, p => 1, m => 2, d => 3, z => 4 }->{$_} } keys %{ $self->{sections} };
    $self->{sections}{$_} .= "id = $id{$_}\nacceleration = tcg\n" for keys %id;
    $self->{port} = { map { $_ => 10022 + 1000 * $id{$_} } keys %id };
    my $d = $self->{d} = Childhurd->new(warm => 1, guests => '');
    mkdir "$d->{dir}/guix";
    $d->{daemon} = "parallel-starts = 3\nguix-state-directory = $d->{dir}/guix\nmetrics-file = $d->{dir}/metrics.prom\n";
    $self->configure;
    $d->start;
    $self->{truth} = Truth->new($d, qw(w p m d));
    return $self;
}

# The usual configuration; more: lines for some guests, and which guest comes in addition.
sub configure {
    my ($self, %more) = @_;
    my @names = (qw(w p m d), $more{z} ? 'z' : ());
    $self->{d}->configure(join '', map { "[guest $_]\n$self->{sections}{$_}" . ($more{$_} // '') } @names);
}

sub run {
    my ($self, $seconds, $progress) = @_;
    my $each = $seconds / SAMPLES < REST_EACH ? $seconds / SAMPLES : REST_EACH;
    $each = REST_LEAST if $each < REST_LEAST;
    my ($end, @wrong) = time + $seconds;
    while ((time < $end || @{ $self->{samples} } < SAMPLES_LEAST) && @wrong < 3 && $self->{d}{pid}) {
        my $until = time + $each;
        while (time < $until) {
            eval { $self->operate; 1 } or $self->fault("died: $@");
            sleep rand 0.3;
            $self->look;
            my @new = splice @{ $self->{faults} };
            push @wrong, @new;
            $end = $until = 0 if $progress && $progress->(@new);
        }
        my @new;
        eval { @new = $self->rest; 1 } or @new = "died: $@";
        push @wrong, @new;
        return @wrong if $progress && $progress->(@new);
    }
    return @wrong;
}

sub fault { my ($self, $what) = @_; push @{ $self->{faults} }, "after $self->{last}: $what" }

# --- what happens ---

sub operate {
    my ($self) = @_;
    my @kinds = map { ($_) x $OPERATIONS{$_} } sort keys %OPERATIONS;
    my $kind  = $kinds[rand @kinds];
    my $name  = (qw(w w w p p p m d))[rand 8];
    $self->{done}{$kind}++;
    $self->{last} = "$kind $name";
    my $how = "do_$kind";
    $self->$how($name);
}

# The build of that guest is lost, and may be. cause: the process that does it, a client or the guest's QEMU: a build that begins
# before the daemon has heard of it is lost, too.
sub excuse {
    my ($self, $name, @cause) = @_;
    $_->{excused} = 1 for grep { $_->{name} eq $name } @{ $self->{builds} };
    $self->{causes}{$_} = $name for @cause;
}

sub do_command {
    my ($self, $name) = @_;
    my ($verb, @options) = @{ $COMMANDS[rand @COMMANDS] };
    return if $verb eq 'reset' && $name eq 'p';    # it would ask
    $self->{last} = "$verb $name @options";
    my $client = $self->{d}->ctl_begins($verb, $name, @options);
    $self->excuse($name, $client) if grep { $_ eq '--now' } @options;
}

sub do_reader {
    my ($self, $name) = @_;
    my @words = @{ ([@{ $READERS[rand @READERS] }], ['report', "$self->{d}{dir}/report"], ['log', $name], ['screenshot', $name, "$self->{d}{dir}/screen.png"])[rand() < 0.8 ? 0 : 1 + rand 3] };
    $self->{d}->ctl_begins(@words);
}

# Somebody who watches, until do_leave.
sub do_follower {
    my ($self, $name) = @_;
    return if @{ $self->{followers} } > 5;
    my @words = @{ (['events', '-f'], ['log', '-f', $name], ['wait', $name, '--for', 'failed', '--timeout', '1h'], ['bridge'])[rand 4] };
    push @{ $self->{followers} }, $self->{d}->ctl_begins(@words);
}

sub do_caller {
    my ($self, $name) = @_;
    push @{ $self->{callers} }, grep { defined } IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}{$name}", Timeout => 1);
}

sub do_login {
    my ($self, $name) = @_;
    my $d = $self->{d};
    push @{ $self->{children} }, $d->spawn('/dev/null', 'ssh', '-n', '-F', "$d->{runtime}/ssh_config", '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10', $name, 'true')
      if -e "$d->{runtime}/ssh_config";
}

# A slot of a guest is taken, as Guix does; the one that runs may not be ended.
sub do_build {
    my ($self) = @_;
    my $d    = $self->{d};
    my $name = rand() < 0.5 ? 'w' : 'p';
    return if grep { $_->{name} eq $name } @{ $self->{builds} };
    my $guest = $d->guests->{$name} // {};
    return if !$guest->{published} || $guest->{state} ne 'ready';
    my $pid = $d->qemu($name);
    # The daemon may have had other plans since the list was read: then the slot is held, or the build is none of this QEMU's.
    my $build = Childhurd::take_slot("$d->{dir}/guix/offload/127.0.0.1:$self->{port}{$name}", 0) or return;
    my $now  = $d->guests->{$name} // {};
    my $lost = grep { ($self->{causes}{$_} // '') eq $name } $pid, @{ $d->{working} // [] };
    push @{ $self->{builds} }, { %$build, name => $name, qemu => $pid, excused => $lost || !$pid || !$now->{published} || $now->{state} ne 'ready' || $now->{since} != $guest->{since} };
}

sub do_reload {
    my ($self) = @_;
    my $d = $self->{d};
    my $kind = int rand 6;
    $self->configure(
          $kind == 0 ? (z => "autostart = yes\n")
        : $kind == 1 ? (w => 'probe-interval = ' . (5 + int rand 50) . "s\n", p => 'features = f' . int(rand 100) . "\n")
        : $kind == 2 ? (d => 'cpus = ' . (1 + int rand 4) . "\n")
        : $kind == 3 ? (m => "no-such-key = 1\n")
        : ());
    return kill 'HUP', $d->{pid} if $kind == 4;
    my $said = $d->ctl('reload');
    $self->fault("reload: status $d->{status}: $said") if $d->{status} != ($kind == 3 ? 1 : 0);
}

sub do_kill {
    my ($self, $name) = @_;
    my @qemus = @{ $self->{truth}->qemus->{$name} };
    $self->excuse($name, @qemus);
    kill 'KILL', @qemus;
}

# Its QEMU stands still for some seconds.
sub do_pause {
    my ($self, $name) = @_;
    $self->excuse($name);
    for my $pid (@{ $self->{truth}->qemus->{$name} }) {
        kill 'STOP', $pid;
        $self->{paused}{$pid} = time + rand 5;
    }
}

# Clients that break off, and send nonsense.
sub do_rude {
    my ($self) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $socket = IO::Socket::UNIX->new(Peer => "$self->{d}{runtime}/control") or return;
    my $text = ('{"method":"org.childhurd.List","parameters":{}}', '{"method":"org.childhurd.Status', "\0\0nonsense\0", '{"method":"org.childhurd.Events","more":true,"parameters":{"follow":true}}' . "\0",
        '{"method":"org.childhurd.HistoryRecords"}' . "\0", 'x' x 100_000)[rand 6];
    syswrite $socket, $text;
    push @{ $self->{callers} }, $socket if rand() < 0.5;
}

sub do_leave {
    my ($self) = @_;
    for my $what (qw(callers followers builds)) {
        my $list = $self->{$what};
        next if !@$list || rand() < 0.4;
        $self->leave($what, splice @$list, rand @$list, 1);
    }
}

sub leave {
    my ($self, $what, @gone) = @_;
    if    ($what eq 'callers') { close $_ for @gone }
    elsif ($what eq 'builds')  { Childhurd::give_back($_) for @gone }
    else                       { kill((rand() < 0.5 ? 'TERM' : 'KILL'), @gone) }
}

# --- what must be so at any time ---

sub look {
    my ($self) = @_;
    for my $pid (grep { $self->{paused}{$_} < time } keys %{ $self->{paused} }) {
        kill 'CONT', $pid;
        delete $self->{paused}{$pid};
    }
    @{ $self->{children} } = grep { waitpid($_, WNOHANG) == 0 } @{ $self->{children} };
    my $working = $self->{d}{working} //= [];
    @$working = grep { waitpid($_, WNOHANG) == 0 } @$working;
    if (waitpid($self->{d}{pid}, WNOHANG)) {
        delete $self->{d}{pid};
        return $self->fault("the daemon ended with status $?");
    }
    for my $build (grep { !$_->{excused} && !kill 0, $_->{qemu} } @{ $self->{builds} }) {
        $self->fault("$build->{name} was ended, and a build held its slot");
        $build->{excused} = 1;
    }
    return if rand() < 0.7;
    $self->fault($_) for $self->{truth}->broken_promises, map { "$_ is doubled" } $self->{truth}->doubled;
}

# --- rests ---

# All clients leave, all guests are stopped. Takes a sample; returns what is wrong.
sub rest {
    my ($self) = @_;
    my ($d, $truth) = @$self{qw(d truth)};
    my @wrong;
    kill 'CONT', $_ for keys %{ $self->{paused} };
    $self->{paused} = {};
    for my $what (qw(callers followers builds)) {
        $self->leave($what, splice @{ $self->{$what} });
    }
    kill 'TERM', @{ $self->{children} };
    waitpid $_, 0 for splice @{ $self->{children} };
    $d->ctls_end;
    $self->configure;
    my $said = $d->ctl('reload');
    push @wrong, "at rest: reload: $said" if $d->{status};
    $d->wait_until(60, 'z is gone', sub { my $guests = $d->guests; %$guests && !$guests->{z} }) or push @wrong, 'at rest: z is configured no more, and stays';
    $said = $d->ctl('stop', '--all', '--now', '--wait', '--timeout', '120s');
    push @wrong, "at rest: not all can be stopped: $said" if $d->{status};
    push @wrong, map { "at rest: $_" } $truth->differences(60), $truth->list_faults(20), map { "$_ stays" } $truth->left_half_made(90);
    push @wrong, "at rest: a QEMU is left without a master: $_" for $d->all_qemus;
    push @{ $self->{samples} }, $self->sample;
    $d->ctl('start', '--all');
    $d->ctl('undrain', '--all');
    return @wrong;
}

# What the daemon needs when all is quiet: with the fewest threads and descriptors within a while, as workers end when they have
# had nothing to do.
sub sample {
    my ($self) = @_;
    my $least = $self->{samples}[-1];
    my $until = time + CALM_WITHIN;
    my ($sample, $last);
    while (1) {
        ($last, $sample) = ($sample, $self->need);
        my @moves = $last ? grep { $sample->{$_} != $last->{$_} || ($least && $sample->{$_} > $least->{$_}) } qw(descriptors threads files processes) : 'all';
        return $sample if !@moves || time > $until;
        sleep 0.3;
    }
}

sub need {
    my ($self) = @_;
    my $d        = $self->{d};
    my $proc     = "/proc/$d->{pid}";
    my ($memory) = Childhurd::slurp("$proc/status") =~ /^RssAnon:\s+(\d+)/m;
    # The folder of a guest that is no longer configured stays.
    my @paths    = grep { $_ !~ m{^\Q$d->{state}\E/z(?:/|$)} } $self->{truth}->files;
    my %names    = map { (s{^\Q$d->{dir}\E/}{}r =~ s{\bdomain-\d+-}{domain-N-}r => 1) } @paths;
    my @open     = map { readlink // () } glob "$proc/fd/*";
    my @threads  = map { Childhurd::slurp("$_/comm") } glob "$proc/task/*";
    my %kinds    = map { $_ => 1 } @threads;
    return {
        time        => time,
        memory      => $memory,
        cache       => cache(@open),
        # The first of each kind is there from some moment on, or whenever it has something to do.
        threads     => @threads - keys %kinds,
        # The history keeps what its readers have opened, READING_WORKERS at most.
        descriptors => scalar(grep { !m{/history\.db} } @open),
        open        => join("\n", sort map { s/\d+/N/gr } @open),
        files       => scalar(grep { $_ !~ $ONCE } @paths),
        names       => \%names,
        processes   => scalar(() = Childhurd::slurp("/proc/$d->{pid}/task/$d->{pid}/children") =~ /\d+/g),
    };
}

# KiB that the history's caches may have: each the whole file, up to CACHE_MAX.
sub cache {
    my (@open) = @_;
    my @files = grep { m{/history\.db$} } @open or return 0;
    my $size = 0;
    $size += (-s $_ || 0) / 1024 for $files[0], "$files[0]-wal";
    return int(@files * ($size < CACHE_MAX ? $size : CACHE_MAX));
}

sub median { my (@n) = sort { $a <=> $b } @_; return $n[@n / 2] }

# What the daemon needs more than before: the last quarter of the samples against the second one.
sub growth {
    my ($self) = @_;
    my @samples = @{ $self->{samples} };
    return 'there are only ' . @samples . ' samples' if @samples < SAMPLES_LEAST;
    my $quarter = int(@samples / 4);
    my @before  = @samples[ $quarter .. 2 * $quarter - 1 ];
    my @after   = @samples[ -$quarter .. -1 ];
    my @grown;
    my $caches = median(map { $_->{cache} } @after) - median(map { $_->{cache} } @before);
    my %limit = (memory => MEMORY_MAX + ($caches > 0 ? $caches : 0), descriptors => 0, threads => 0, files => 0, processes => 0);
    for my $what (sort keys %limit) {
        my ($from, $to) = map { my $part = $_; median(map { $_->{$what} } @$part) } \@before, \@after;
        my $unit = $what eq 'memory' ? ' KiB' : '';
        $self->{growth}{$what} = "$from$unit -> $to$unit, limit +$limit{$what}$unit";
        $self->{grown}{$what} = $to - $from - ($what eq 'memory' ? $limit{memory} - MEMORY_MAX : 0);
        push @grown, "$what: $self->{growth}{$what}" if $to - $from > $limit{$what};
    }
    my %known = map { %{ $_->{names} } } @before;
    my @new = grep { !$known{$_} && $_ !~ $ONCE } sort keys %{ $samples[-1]{names} };
    push @grown, "files that were not there before: @new" if @new;
    push @grown, "open: before\n$before[0]{open}\nand after\n$after[-1]{open}" if grep { /^descriptors/ } @grown;
    return @grown;
}

# How much more it was in the last quarter than in the second, what the history's caches may have aside; after finish.
sub grown { my ($self, @what) = @_; my $sum = 0; $sum += $_ for grep { $_ && $_ > 0 } @{ $self->{grown} }{@what}; return $sum }

sub summary {
    my ($self) = @_;
    my $done = 0;
    $done += $_ for values %{ $self->{done} };
    my $s = $self->{samples}[-1] or return "$done operations";
    return "$done operations, " . @{ $self->{samples} } . " rests; memory $s->{memory} KiB, $s->{descriptors} descriptors, $s->{threads} more threads than kinds of them, $s->{files} files";
}

sub table {
    my ($self) = @_;
    my $text = sprintf "%6s  %11s  %11s  %7s  %5s  %9s\n", qw(s memory/KiB descriptors threads files processes);
    my $first = @{ $self->{samples} } ? $self->{samples}[0]{time} : 0;
    $text .= sprintf "%6d  %11d  %11d  %7d  %5d  %9d\n", $_->{time} - $first, @$_{qw(memory descriptors threads files processes)} for @{ $self->{samples} };
    $text .= "\nsecond quarter -> last quarter\n";
    $text .= sprintf "  %-12s %s\n", $_, $self->{growth}{$_} for sort keys %{ $self->{growth} };
    $text .= "\noperations: " . join(', ', map { "$_ $self->{done}{$_}" } sort keys %{ $self->{done} }) . "\n";
    return $text;
}

# What has grown; and the daemon ends and leaves nothing.
sub finish {
    my ($self) = @_;
    my $d = $self->{d};
    my @wrong = $self->growth;
    return @wrong if !$d->{pid};
    $d->ctl('stop', '--all', '--now', '--wait', '--timeout', '120s');
    push @wrong, 'at the end not all can be stopped' if $d->{status};
    my $status = $d->end;
    push @wrong, "the daemon ends with status $status" if $status;
    push @wrong, "process $_ is left" for $self->{truth}->processes;
    return @wrong;
}

1;
