# SPDX-License-Identifier: GPL-3.0-or-later
# Rounds of kill -9: a hird whose guests are in mixed states, asleep, saved and restored among them, and a node that is reached over a
# real sshd and has guests of its own. In each round one of the two daemons, or both, die at a random moment, also while they
# take over. Then what the next daemon says is compared with /proc, the sockets, the files and what the operators want.
#
#   a         boots for ever: it must live through all of it in one and the same QEMU
#   b, h, x   reboot, halt, panic by themselves after a second: always somewhere between starting and backoff
#   d         boots for ever, and is started, stopped, restarted, reset and drained at random
#   w, p      get ready, have warm states, sleep and are woken; w is ephemeral, p persistent
#   e, k, t   on the node: like d, w and b
#
#   my $rounds = KillRounds->new($seed);
#   my @wrong = $rounds->run(1000, sub { ... });    # called with each round's number
#   push @wrong, $rounds->finish;
#   my %moments = $rounds->moments;                 # state => how often a guest was in it when its daemon died
package KillRounds;
use strict;
use warnings;
use Childhurd ();
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Sshd;
use Time::HiRes qw(sleep time);
use Truth;

use constant FULL_EACH => 100;    # rounds until all guests have to get ready

my %ENDS     = (a => 'silent', b => 'tick=1 reboot', h => 'tick=1 halt', x => 'tick=1 panic', d => 'silent', e => 'silent', t => 'tick=1 reboot');
my %NAMES    = (farm => [qw(a b h x d w p)], node => [qw(e k t)]);
my %HOST     = map { my $host = $_; map { $_ => $host } @{ $NAMES{$host} } } keys %NAMES;
my @ORDINARY = qw(w p k);    # guests that get ready

# What operators do, each as often as it is there. A reset of a persistent guest would lose what was synced.
my @FOR_ANY  = (['start'], ['start'], ['stop', '--now'], ['restart', '--now'], ['drain'], ['undrain'], ['undrain']);
my @RESETS   = (['reset', '--now'], ['reset']);
my @ORDINARY_VERBS = (['sleep'], ['sleep'], ['sleep'], ['restart'], ['WAKE'], ['WAKE'], ['WAKE'], ['KILL']);
my %VERBS = (
    (map { $_ => [ @FOR_ANY, @RESETS, ['KILL'] ] } qw(d e)),
    (map { $_ => [ ['start'], ['start'], ['restart', '--now'], ['stop', '--now'], ['KILL'] ] } qw(b h x t)),
    w => [ @FOR_ANY, @RESETS, @RESETS, @ORDINARY_VERBS ],
    p => [ @FOR_ANY, @ORDINARY_VERBS ],
    # A node that has nothing to offer would prove nothing of the list here: k is never stopped.
    k => [ (grep { $_->[0] ne 'stop' } @FOR_ANY), @RESETS, @ORDINARY_VERBS ],
);

sub new {
    my ($class, $seed) = @_;
    srand $seed;
    my $self = bless { seed => $seed, moments => {}, wish => {}, drained => {}, calm => {}, random => {}, synced => 0, owner => $$ }, $class;
    my ($mach, $linux) = map { Childhurd::need_image($_) } qw(mach linux);
    my $id = Childhurd::free_id(scalar keys %HOST);
    my %text;
    for my $name (sort keys %HOST) {
        $self->{port}{$name} = 10022 + 1000 * $id;
        my $section = "[guest $name]\nid = $id\nacceleration = tcg\nrestart = always\n";
        # A busy host is no reason to restart a guest: who waits too long here is not what this is about.
        $section .= $ENDS{$name}
          ? "kernel = $mach/gnumach\nkernel-arguments = console=com0\nmemory-size = 32M\ninject = none\nboot-timeout = 24h\nstop-timeout = 1s\n"
          . "module = $mach/probe --host-priv-port=\${host-port} $ENDS{$name} \$(task-create) \$(task-resume)\n"
          : "image = $linux\nmemory-size = 256M\nprobe-interval = 5s\nboot-timeout = 1h\nhang-timeout = 1h\n"
          . ($name eq 'p' ? "disk = persistent\n" : '');
        $text{ $HOST{$name} } .= $section;
        $id++;
    }
    my $sshd = $self->{sshd} = Sshd->new;
    my $farm = $self->{farm} = Childhurd->new(warm => 1, guests => $text{farm}, daemon => 'parallel-starts = 6')->start;
    my $invitation = $farm->ctl('node', 'invite');
    my ($key) = $invitation =~ /^ssh-key = (\S+ \S+)/m or die "no invitation: $invitation\n";
    my $node = $self->{node} = Childhurd->new(warm => 1, guests => $text{node} . $invitation, daemon => 'parallel-starts = 3')->start;
    $sshd->allow($key, "restrict,command=\"childhurdctl --socket $node->{runtime}/control bridge --read-only\"");
    $farm->configure("$text{farm}\n[node node]\nssh = root\@127.0.0.1:$sshd->{port}\nhost-key = $sshd->{host_key}\nlost-after = 10min\n");
    my $said = $farm->ctl('reload');
    die "reload: $said\n" if $farm->{status};
    $self->{truth}{$_} = Truth->new($self->{$_}, @{ $NAMES{$_} }) for keys %NAMES;
    $farm->wait_until(60, 'a runs', sub { $self->{survivor} = $farm->qemu('a') }) or die "a does not run\n";
    return $self;
}

sub daemons { my ($self) = @_; return @$self{qw(farm node)} }

# Run that many rounds. Returns what was wrong, and stops after three bad ones, or if progress returns that it is enough.
sub run {
    my ($self, $n, $progress) = @_;
    my @bad;
    for my $round (1 .. $n) {
        my $began = time;
        my @wrong = eval { $self->round };
        push @wrong, "died: $@" if $@;
        push @wrong, eval { $self->full_check } if !@wrong && ($round % FULL_EACH == 0 || $round == $n);
        push @wrong, "died: $@" if $@;
        push @bad, map { "round $round ($self->{what}): $_" } @wrong;
        last if $progress && $progress->($round, time - $began, @wrong);
        next if !@wrong;
        $self->{bad}++;
        last if $self->{bad} == 3 || grep { !$_->{pid} } $self->daemons;
        $self->{survivor} = $self->{farm}->qemu('a');
        $self->{calm} = {};
    }
    return @bad;
}

sub round {
    my ($self) = @_;
    my %touched;
    my @victims = @{ (['farm'], ['farm'], ['farm'], ['node'], ['farm', 'node'])[rand 5] };
    my $until  = time + (rand() < 0.8 ? rand 0.6 : rand 3);
    my @said = map { $self->operate(\%touched, $_) } grep { rand() < 0.35 } sort keys %VERBS;
    my $again  = rand() < 0.15 ? rand 0.5 : undef;
    $self->{what} = join ', ', @said, "kill @victims" . (defined $again ? sprintf ' and again after %.2f s', $again : '');
    sleep $until - time if $until > time;
    $self->kill_daemons(@victims);
    my @wrong = $self->hear_operators(\%touched);
    if (defined $again) {
        $_->launch for @$self{@victims};
        sleep $again;
        $_->end('KILL') for @$self{@victims};
    }
    push @wrong, map { my $host = $_; map { "$_ is doubled" } $self->{truth}{$host}->doubled } @victims;
    $_->launch for @$self{@victims};
    for my $host (@victims) {
        # 5 s are for the list, which is there from the first moment on.
        my $text = '';
        $self->{$host}->wait_until(5, 'machines.scm', sub { ($text = $self->{$host}->machines) =~ /\A;; Written by childhurdd.*\n\(list.*\)\n\z/s })
          or push @wrong, "$host: machines.scm: $text";
        $self->{$host}->wait_until(60, 'the control socket answers', sub { $self->{$host}->call('List', {}) }) or push @wrong, "$host does not answer";
    }
    push @wrong, $self->check(\%touched);
    close $_ for splice @{ $self->{callers} //= [] };
    return @wrong;
}

# One operation on that guest, while others are under way. Returns its name.
sub operate {
    my ($self, $touched, $name) = @_;
    my @verbs = @{ $VERBS{$name} };
    my ($verb, @options) = @{ $verbs[rand @verbs] };
    my $daemon = $self->{ $HOST{$name} };
    if ($verb eq 'KILL') {
        $touched->{$name} = { verb => $verb };
        kill 'KILL', @{ $self->{truth}{ $HOST{$name} }->qemus->{$name} };
    } elsif ($verb eq 'WAKE') {
        $touched->{$name} = { verb => $verb };
        push @{ $self->{callers} }, grep { defined } IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}{$name}", Timeout => 1);
    } else {
        $touched->{$name} = { verb => $verb, pid => $daemon->ctl_begins($verb, $name, @options) };
    }
    return join ' ', $verb, $name, @options;
}

# In which states guests are at the moment in which their daemon dies.
sub kill_daemons {
    my ($self, @victims) = @_;
    for my $host (@victims) {
        my $guests = $self->{$host}->guests;
        $self->{moments}{ $_->{state} }++ for values %$guests;
        $self->{$host}->end('KILL');
        for my $name (@{ $NAMES{$host} }) {
            my $record = eval { decode_json(Childhurd::slurp("$self->{$host}{state}/$name/state")) } or next;
            $self->{moments}{"($_)"}++ for grep { $record->{$_} } qw(saving restoring to-sleep going-down discard cold);
        }
    }
}

# What the operators were answered: that is what they now want.
sub hear_operators {
    my ($self, $touched) = @_;
    my %status = map { $_->ctls_end } $self->daemons;
    for my $name (keys %$touched) {
        my ($verb, $pid) = @{ $touched->{$name} }{qw(verb pid)};
        next if !defined $pid;
        if (!defined $status{$pid} || $status{$pid}) {    # nobody knows whether the daemon has heard it
            delete $self->{$_}{$name} for qw(wish drained);
        } elsif ($verb =~ /drain$/) {
            $self->{drained}{$name} = $verb eq 'drain';
        } else {
            $self->{wish}{$name} = $verb eq 'stop' ? 'down' : $verb eq 'reset' ? '' : 'up';
            delete $self->{drained}{$name};
        }
    }
    return;
}

# Everything that can be compared at once.
sub check {
    my ($self, $touched) = @_;
    my ($calm, @wrong) = $self->{calm};
    # In most rounds the next death comes while guests are between two states; in some, all have to come out of them.
    my @patience = rand() < 0.7 ? rand : ();
    for my $host ('farm', 'node') {
        my $truth = $self->{truth}{$host};
        push @wrong, $truth->broken_promises;
        # A stop that is under way has its own limits.
        push @wrong, $truth->differences(60, @patience), $truth->list_faults(20), $truth->broken_promises;
        my $listeners = $truth->listeners;
        for my $name (@{ $NAMES{$host} }) {
            $self->{calm}{$name} = undef if $touched->{$name};
            my $said = $truth->{said}{$name} or next;
            push @wrong, $self->guest_faults($name, $said, $calm->{$name});
            push @wrong, $self->port_faults($name, $said, $listeners->{ $self->{port}{$name} } // []) if grep { $_ eq $name } @ORDINARY;
        }
        push @wrong, map { "$_ stays" } $truth->left_half_made(90) if rand() < 0.2;
        $self->{calm}{$_} = $truth->{said}{$_} for grep { $truth->{said}{$_} } @{ $NAMES{$host} };
    }
    my $survivor;    # a daemon that does not know yet what runs says nothing
    $self->{farm}->wait_until(60, 'a runs', sub { $survivor = $self->{farm}->qemu('a') });
    push @wrong, 'a was restarted' if $survivor != $self->{survivor};
    push @wrong, $self->node_faults if rand() < 0.2;
    return @wrong;
}

# before: what it was when it was last compared, if nobody has done anything to it since.
sub guest_faults {
    my ($self, $name, $said, $before) = @_;
    my ($state, $wish) = ($said->{guest}{state}, $self->{wish}{$name} // '');
    my @wrong;
    push @wrong, "$name was stopped by an operator, and is $state" if $wish eq 'down' && $state ne 'stopped';
    push @wrong, "$name is wanted, and $state" if $wish eq 'up' && $state eq 'stopped';
    push @wrong, "$name was drained by an operator, and is published" if $self->{drained}{$name} && $said->{guest}{published};
    my $was = $before ? $before->{guest}{state} : '';
    push @wrong, "$name was $was, and is $state, though nobody touched it" if $was =~ /^(?:stopped|asleep)$/ && $state ne $was;
    push @wrong, "$name was $was as $before->{pid}, and is $state as " . ($said->{pid} // 'nothing') . ', though nobody touched it'
      if $was eq 'ready' && ($said->{pid} // 0) != $before->{pid};
    return @wrong;
}

sub port_faults {
    my ($self, $name, $said, $pids) = @_;
    my ($state, $now, $host) = ($said->{guest}{state}, '', $HOST{$name});
    my $daemon = $self->{$host}{pid};
    # A process that is being forked has its parent's sockets until it runs its program.
    $self->{$host}->wait_until(20, "$name has one listener", sub {
        $now = $self->{$host}->state($name);
        return 1 if @$pids < 2 || $state ne $now;
        $pids = $self->{truth}{$host}->listeners->{ $self->{port}{$name} } // [];
        return @$pids < 2;
    });
    return () if $state ne $now;
    return "$name is $state, and its port has more than one listener: @$pids" if @$pids > 1;
    return "$name is asleep, and its port is listened at by @$pids and not by the daemon" if $state eq 'asleep' && "@$pids" ne $daemon;
    return "$name is ready, and its port is listened at by @$pids and not by QEMU" if $state eq 'ready' && "@$pids" ne $said->{pid};
    return "$name is $state, and its port is listened at by @$pids" if $state =~ /^(?:stopped|backoff|failed)$/ && @$pids;
    return ();
}

# The list of the coordinator has what the node publishes.
sub node_faults {
    my ($self) = @_;
    my $fault = '';
    $self->{farm}->wait_until(90, 'the node is connected, and its guests are listed', sub {
        my ($reply) = $self->{farm}->call('Nodes', {});
        my $node = $reply->{nodes}[0] // {};
        $fault = "the node is $node->{state}: " . ($node->{why} // '');
        return 0 if ($node->{state} // '') ne 'connected';
        my $published = $self->{truth}{node}->published;
        my $listed = join ' ', sort $self->{farm}->machines =~ m{^ ;; node/(\S+)$}mg;
        $fault = "the node publishes ($published), and listed are ($listed)";
        return $listed eq $published;
    }) and return ();
    return $fault;
}

# Everything must come up again from where it is, and be right.
sub full_check {
    my ($self) = @_;
    my @wrong;
    my $limit = Childhurd::seconds(180) . 's';
    for my $name (@ORDINARY) {
        my $daemon = $self->{ $HOST{$name} };
        $daemon->ctl('start', $name);
        $daemon->ctl('undrain', $name);
        $self->{wish}{$name} = 'up';
        $self->{drained}{$name} = 0;
    }
    for my $name (@ORDINARY) {
        my $daemon = $self->{ $HOST{$name} };
        my $said = $daemon->ctl('wait', $name, '--for', 'ready', '--timeout', $limit);
        push @wrong, "$name does not get ready: $said" if $daemon->{status};
    }
    return @wrong if @wrong;
    my ($farm, $node) = $self->daemons;
    for my $of (['w', $farm], ['k', $node]) {
        my ($name, $daemon) = @$of;
        my ($bytes) = $daemon->ctl('ssh', $name, 'head -c 16 /dev/urandom | od -An -tx1 | tr -d " "') =~ /^([0-9a-f]{32})$/;
        push @wrong, "$name has random bytes that were seen before" if !$bytes || $self->{random}{$bytes}++;
    }
    my ($count) = $farm->ctl('ssh', 'p', 'cat /count 2> /dev/null || echo 0') =~ /^(\d+)$/;
    $count //= -1;
    push @wrong, "p has $count, and $self->{synced} was synced" if $count < $self->{synced};
    $farm->ctl('ssh', 'p', 'echo ' . ($self->{synced} + 1) . ' > /count && sync');
    $self->{synced}++ if !$farm->{status};
    push @wrong, $self->node_faults;
    my $name = $farm->ssh('node/k', 'id -un');
    push @wrong, "ssh node/k: $name" if $name ne "offloading\n";
    $self->{calm} = {};
    return @wrong;
}

# Stop all, end both daemons. Returns what is not as it was before the first guest.
sub finish {
    my ($self) = @_;
    my @wrong;
    for my $host ('farm', 'node') {
        my ($d, $truth) = ($self->{$host}, $self->{truth}{$host});
        my $said = $d->ctl('stop', '--all', '--now', '--wait', '--timeout', '120s');
        push @wrong, "$host: not all can be stopped: $said" if $d->{status};
        push @wrong, "$host: a QEMU is left without a master: $_" for $d->all_qemus;
        push @wrong, map { "$_ stays" } $truth->left_half_made(60);
        # libvirt removes the files of a QEMU a moment after its end, and so must have time before its own.
        my $left = sub { grep { m{/domain-[^/]*$|/monitor\.sock$|/run/qemu/(?!driver\.)[^/]*\.(?:pid|xml)$} } $truth->files };
        $d->wait_until(30, 'libvirt has removed its files', sub { !$left->() });
        my $status = $d->end;
        push @wrong, "$host: the daemon ends with status $status" if $status;
        push @wrong, map { "$_ is left of a QEMU" } $left->();
        my $in_vain;
        $d->wait_until(30, 'no process', sub { !($in_vain = join ' ', $truth->processes) }) or push @wrong, "$host: processes are left: $in_vain";
    }
    return @wrong;
}

sub moments { my ($self) = @_; return %{ $self->{moments} } }

1;
