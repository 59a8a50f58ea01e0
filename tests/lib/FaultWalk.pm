# SPDX-License-Identifier: GPL-3.0-or-later
# Goes through the calls that a daemon makes for what it is told, and lets one of them fail each time: all of them with
# CHILDHURD_WALK=all, otherwise a random sample. After each, what is said is so, nothing is doubled or left behind, and what was wanted
# is the case in the end: by itself, or by the same command once more, and then with words about what has failed.
#
# Scenarios come in pairs, in which one leads back to where the other begins (start and stop).
#
#   name   for people
#   act    sub: the command; its exit status and its words
#   want   sub: true when that is the case which the command is for
#   lost   sub, called with what the daemon has logged meanwhile: true when it is certain that it will not be by itself soon (a guest
#          in back-off)
#   again  sub: what a person would do then; default: act
package FaultWalk;
use strict;
use warnings;
use Childhurd ();
use Faults;
use File::Find ();
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);
use Truth ();

# options: d (Childhurd, started), faults, keeper (a guest that must live through all in its QEMU).
sub new {
    my ($class, %o) = @_;
    my $self = bless { problems => 0, steps => 0, missed => 0, longest => 0, %o }, $class;
    $self->{all}   = ($ENV{CHILDHURD_WALK} // '') eq 'all';
    $self->{kinds} = [ chosen_by('CHILDHURD_WALK_KINDS', @Faults::KINDS[ 1 .. $#Faults::KINDS ]) ];
    $self->{seed}  = $ENV{CHILDHURD_SEED} // int rand 2**31;
    srand $self->{seed};
    diag("seed $self->{seed} (CHILDHURD_SEED sets it; CHILDHURD_WALK=all goes through all calls, CHILDHURD_WALK_KINDS=a,b those kinds)");
    $self->{truth} = Truth->new($self->{d});
    $self->{kept}  = $self->{d}->qemu($self->{keeper}) if $self->{keeper};
    return $self;
}

# Those of the known names that the variable has ("open,fork"); without it, all.
sub chosen_by {
    my ($variable, @known) = @_;
    my $text   = $ENV{$variable} or return @known;
    my %known  = map { $_ => 1 } @known;
    my @chosen = split /[\s,]+/, $text;
    for (@chosen) { BAIL_OUT("$variable: there is no \"$_\"; there are: @known") unless $known{$_} }
    return @chosen;
}

# childhurdctl's status and words; one that hangs is ended, with status 124.
sub ctl {
    my ($self, @arguments) = @_;
    my $d   = $self->{d};
    my $out = "$d->{dir}/walk.out";
    unlink $out;
    waitpid $d->spawn($out, 'timeout', limit(60), "$Childhurd::BUILD/childhurdctl", '--socket', "$d->{runtime}/control", @arguments), 0;
    return ($? >> 8, Childhurd::slurp($out));
}

sub limit { my ($idle) = @_; return $idle + Childhurd::seconds($idle / 8) }

# Wait for one of the conditions; its value, or ''.
sub within {
    my ($idle, $condition) = @_;
    my $until = time + limit($idle);
    my $pause = 0.01;
    while (1) {
        my $value = $condition->();
        return $value if $value || time > $until;
        sleep $pause;
        $pause = $pause * 1.3 if $pause < 0.3;
    }
}

sub log_since { my ($self, $at) = @_; return substr $self->{d}->log, $at }

# --- what is so ---

# '' when what is said is so, and no guest is on its way; otherwise the difference.
sub difference {
    my ($self) = @_;
    my $guests = $self->{d}->guests;
    return 'the daemon does not answer' if !%$guests;
    for my $name (sort keys %$guests) {
        my $state = $guests->{$name}{state};
        return "$name is $state" if $state =~ /^(?:starting|stopping|enrolling|restoring|unresponsive|draining)$/;
    }
    my $truth = $self->{truth}->compare // 'a guest is between two states';
    return $truth eq 'the same' ? '' : $truth;
}

# What is in the daemon's folders, numbers aside.
sub files {
    my ($self) = @_;
    my %files;
    File::Find::find({ no_chdir => 1, wanted => sub {
        my $name = $File::Find::name =~ s{^\Q$self->{d}{dir}\E/}{}r;
        $files{ $name =~ s/(?<![a-z])\d+/N/gr } = 1;
    } }, grep { -d } $self->{d}{state}, $self->{d}{runtime});
    return \%files;
}

sub descriptors {
    my ($self) = @_;
    my %open;
    for (glob "/proc/$self->{d}{pid}/fd/*") {
        my $to = readlink or next;
        $open{ $to =~ s/\d+/N/gr }++;
    }
    return \%open;
}

# Children that are no QEMU: qemu-img, relays, halves of a fork.
sub children {
    my ($self) = @_;
    my $pid = $self->{d}{pid};
    my %qemu = map { $_ => 1 } map { @$_ } values %{ $self->{truth}->qemus };
    return grep { !$qemu{$_} } map { split ' ', Childhurd::slurp($_) } glob "/proc/$pid/task/*/children";
}

# What a clean run leaves is what any run may leave. So are words about the last failure, logs that were rotated, and the socket of a
# QEMU that was killed, which the next one replaces.
sub learn {
    my ($self) = @_;
    $self->{files}{$_} = 1 for keys %{ $self->files };
    my $open = $self->descriptors;
    for (keys %$open) {
        $self->{open}{$_} = $open->{$_} if $open->{$_} > ($self->{open}{$_} // 0);
    }
}

# Connections to guests (REACH_IN_FLIGHT of ssh/reach.h to each) and of clients may be under way, and the history be open.
sub left_behind {
    my ($self) = @_;
    my $open = $self->descriptors;
    my $spare = 4 + 8 * grep { @$_ } values %{ $self->{truth}->qemus };
    return join ', ', (map { "file $_" } grep { !$self->{files}{$_} && !m{^state/\w+/(?:failure\.txt|console)$|^state/libvirt(?:/log/|\.log\.N$)|/history\.db-\w+$} } sort keys %{ $self->files }),
      (map { "$open->{$_} descriptors of $_" } grep { $open->{$_} > ($self->{open}{$_} // 0) + (/^socket/ ? $spare : m{inotify$|/history\.db} ? 1 : 0) } sort keys %$open),
      (map { 'process ' . (Childhurd::slurp("/proc/$_/cmdline") =~ tr/\0/ /r || "$_ without a command line") } $self->children);
}

# machines.scm is whole, and has those that are ready (or asleep) and nobody else.
sub list_is_right {
    my ($self) = @_;
    my $list = $self->{d}->machines;
    return '' if $list !~ /\A;; Written by childhurdd.*\n\(list.*\)\n\z/s;
    my $guests = $self->{d}->guests;
    my $listed = grep { $_ != 1 } $list =~ /\(port (\d+)\)/g;
    return $listed == grep { $_->{state} =~ /^(?:ready|asleep)$/ } values %$guests;
}

sub ended {
    my ($self) = @_;
    my $pid = $self->{d}{pid} or return 'ended';
    return '' if waitpid($pid, WNOHANG) != $pid;
    delete $self->{d}{pid};
    return $? & 127 ? 'died of signal ' . ($? & 127) : 'ended with status ' . ($? >> 8);
}

# --- one step ---

sub settled {
    my ($self, $scenario) = @_;
    return $scenario->{want}->() && $self->difference eq '';
}

# Run the command, with what is armed by then. Gives the problems.
sub step {
    my ($self, $scenario, $what, $kind) = @_;
    my $from   = length $self->{d}->log;
    my $begun  = time;
    my $killed = $kind && $scenario->{keeps} && rand() < 0.15;
    my ($status, $words) = $scenario->{act}->();
    my @problems;
    my $ended = $scenario->{daemon} ? '' : $self->ended;
    if ($ended) {
        push @problems, $self->next_daemon($ended);
    } elsif ($killed && $status == 0) {
        # What was answered as done is kept.
        $self->{d}->end('KILL');
        $self->{faults}->disarm;
        $self->{d}->start;
    }
    my $lost = sub { $status || ($scenario->{lost} && $scenario->{lost}->($self->log_since($from))) };
    my $good = within(20, sub {
        return 'good' if $self->settled($scenario);
        return ''     if $ended;
        $ended = $self->ended if !$scenario->{daemon};
        return 'ended' if $ended;
        return $lost->() && %{ $self->{d}->guests } ? 'lost' : '';    # one that dies breaks its connections first
    });
    $self->{faults}->disarm;
    push @problems, $self->next_daemon($ended) if $good eq 'ended';
    if ($good ne 'good') {
        my $said = $words . $self->log_since($from);
        push @problems, "killed after '$what' was answered: it is lost" if $killed && !$status;
        push @problems, 'it neither succeeds nor fails: ' . $self->difference if !$good;
        # libvirt has no errno in the words about some calls of its own.
        push @problems, "no word of the reason: $words" if $kind && $good eq 'lost' && $said !~ /$Faults::WORDS{$kind}|internal error: /;
        ($status, $words) = ($scenario->{again} // $scenario->{act})->();
        within(30, sub { $self->settled($scenario) })
          or push @problems, "not even by the same command once more ($status, $words): " . $self->difference;
    }
    $self->{longest} = time - $begun if time - $begun > $self->{longest};
    if (!$kind) {
        # A job may still end.
        my $last = '';
        within(3, sub {
            my $open = $self->descriptors;
            my $now  = join ',', map { "$_ $open->{$_}" } sort keys %$open;
            my $same = $now eq $last && !$self->children;
            $last = $now;
            return $same;
        });
        $self->learn;
    }
    push @problems, $scenario->{check}->() if $scenario->{check};
    within(10, sub { $self->list_is_right }) or push @problems, 'machines.scm: ' . $self->{d}->machines;
    within(10, sub { $self->left_behind eq '' }) or push @problems, 'left behind: ' . $self->left_behind;
    push @problems, $self->keeper_problem;
    return @problems;
}

# The next daemon after one that has ended; that is a problem, unless libssh did it: its ssh_connect (0.10.6) does not look whether
# there is memory for its list of descriptors.
sub next_daemon {
    my ($self, $ended) = @_;
    $self->{faults}->disarm;
    my $libssh = $ended =~ /signal 11$/ && $self->{faults}->place =~ /^[mc]alloc < (?:libssh\S* < )+ssh_connect < /;
    $self->{libssh}++ if $libssh;
    $self->{d}->start;
    return $libssh ? () : "the daemon $ended";
}

# The keeper runs on in its QEMU. But if a call of libvirt's own threads fails while libvirt connects to the QEMUs that it finds,
# libvirt ends that QEMU (qemuProcessReconnect), and nobody is asked; the next one comes after a back-off. That is at times seen only
# after the next kill, which comes sooner than libvirt's SIGKILL or the QEMU's own end.
sub keeper_problem {
    my ($self) = @_;
    my $keeper  = $self->{keeper} or return;
    my $reached = $self->{faults}->reached;
    my $blamed  = grep { /libvirt/ && !/^fails\+/m } $reached, $self->{reached_before} // '';
    $self->{reached_before} = $reached;
    return if $self->{d}->qemu($keeper) == $self->{kept};
    within(60, sub { $self->{kept} = $self->{d}->qemu($keeper) });
    return "$keeper was restarted" if !$blamed;
    $self->{libvirts}++;
    return;
}

sub report {
    my ($self, $scenario, $kind, $from, @problems) = @_;
    $self->{problems}++;
    my @log = split /\n/, $self->log_since($from);
    splice @log, 0, @log - 25 if @log > 25;
    diag(join "\n", "--- $scenario->{name}, $kind: @problems", $self->{faults}->place || 'not reached', @log);
}

# The calls that a scenario makes, in a run in which all goes well. Of one stack as many as the walk is for: the first and the second,
# or all; of allocations, which are thousands, the first.
sub counted {
    my ($self, $scenario) = @_;
    my $from = length $self->{d}->log;
    my %kinds = map { $_ => 1 } @{ $self->{kinds} };
    $self->{faults}->count;
    my @problems = $self->step($scenario, $scenario->{name});
    $self->{faults}->disarm;
    $self->report($scenario, 'nothing failed', $from, @problems) if @problems;
    my $most = $ENV{CHILDHURD_WALK_REPEATS} // ($self->{all} ? 1000 : 2);
    return grep { $kinds{ $_->[0] } && $_->[2] <= ($_->[0] eq 'memory' ? 1 : $most) } $self->{faults}->calls;
}

sub shuffled { return map { $_->[1] } sort { $a->[0] <=> $b->[0] } map { [ rand, $_ ] } @_ }

# All calls in their order; or shuffled, each kind as often as another, as far as there are calls of it.
sub chosen {
    my ($self, @calls) = @_;
    return @calls if $self->{all};
    my (%of, @taken);
    push @{ $of{ $_->[0] } }, $_ for shuffled(@calls);
    while (grep { @$_ } values %of) {
        push @taken, map { shift @{ $of{$_} } } grep { @{ $of{$_} } } sort keys %of;
    }
    return @taken;
}

# Walk through scenarios that lead from one to the next, and from the last to the first; a sample for that many seconds.
sub walk {
    my ($self, $seconds, @ring) = @_;
    my %todo;
    for my $run (1, 2) {    # the first for what it alone does
        $todo{ $_->{name} } = [ $self->chosen($self->counted($_)) ] for @ring;
    }
    diag("$_->{name}: " . @{ $todo{ $_->{name} } } . ' calls could fail') for @ring;
    my ($begun, $first) = (time, $self->{steps});
    while (grep { @$_ } values %todo) {
        for my $scenario (@ring) {
            my $call = shift @{ $todo{ $scenario->{name} } };
            my $from = length $self->{d}->log;
            $self->{faults}->arm(@$call) if $call;
            my @problems = $self->step($scenario, $scenario->{name}, $call ? $call->[0] : undef);
            if ($call) {
                $self->{steps}++;
                $self->{missed}++ if !$self->{faults}->reached;
                diag(sprintf '%d steps, %d s, %d problems; left: %s', $self->{steps}, time - $begun, $self->{problems},
                    join ', ', map { "$_ " . @{ $todo{$_} } } sort keys %todo) if $self->{steps} % 50 == 0;
            }
            next if !@problems;
            $self->report($scenario, $call ? $call->[0] : 'nothing failed', $from, @problems);
            $self->anew($scenario);
            return if $self->{problems} >= ($self->{all} ? 100 : 5);
        }
        return if !$self->{all} && time - $begun > $seconds && $self->{steps} - $first >= 5;
    }
    return;
}

# After a problem the next step begins with a daemon that knows nothing of it.
sub anew {
    my ($self, $scenario) = @_;
    $self->{faults}->disarm;
    $self->{d}->end('KILL') if $self->{d}{pid} && !$self->ended;
    $self->{d}->start;
    within(60, sub { $self->settled($scenario) }) or ($scenario->{again} // $scenario->{act})->();
    within(60, sub { $self->settled($scenario) }) or diag("$scenario->{name} cannot be made good: " . $self->difference);
    $self->{kept} = $self->{d}->qemu($self->{keeper}) if $self->{keeper};
}

# How many calls have failed.
sub result {
    my ($self, $what) = @_;
    diag(sprintf '%s: %d calls failed, %d were not made then; the longest step took %.1f s', $what, $self->{steps} - $self->{missed}, $self->{missed}, $self->{longest});
    diag("$self->{libvirts} times libvirt itself ended a QEMU that it could not connect to") if $self->{libvirts};
    diag("$self->{libssh} times libssh ended the daemon for lack of memory") if $self->{libssh};
    is($self->{problems}, 0, "$what: nothing is lost, doubled or left behind");
    cmp_ok($self->{steps} - $self->{missed}, '>', $self->{steps} / 2, "$what: most of the calls were made once more, and failed");
    return $self->{steps} - $self->{missed};
}

1;
