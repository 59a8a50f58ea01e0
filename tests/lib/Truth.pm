# SPDX-License-Identifier: GPL-3.0-or-later
# What a daemon says of its guests, compared with what the host shows: QEMUs in /proc, sockets, files. For tests that kill the daemon
# at any moment and ask whether the next one knows what is so.
#
#   my $truth = Truth->new($d, qw(a b));       # a Childhurd, and the names of its guests; none: all that it has
#   $truth->qemus->{a}                         # pids, by /proc
#   $truth->compare                            # 'the same', what differs, or undef while a guest is between two states
#   my @wrong = $truth->differences(60);       # of each guest, once it is between no two states
package Truth;
use strict;
use warnings;
use Childhurd ();
use File::Find ();
use Time::HiRes qw(sleep time);

my $RUNS    = qr/^(?:booting|enrolling|ready|draining|unresponsive)$/;
my $BETWEEN = qr/^(?:starting|stopping|restoring)$/;

# A file that becomes another one when it is whole; who finds it later discards it.
my $HALF_MADE = qr/\.(?:new|tmp|keys|part)$/;

sub new {
    my ($class, $daemon, @names) = @_;
    return bless { daemon => $daemon, names => [ sort @names ], said => {} }, $class;
}

sub names {
    my ($self) = @_;
    my @names = @{ $self->{names} };
    return @names ? @names : sort keys %{ $self->{daemon}->guests };
}

# name => pids of its QEMUs, by /proc; also of those that run though they are no guests.
sub qemus {
    my ($self) = @_;
    my %pids = map { $_ => [] } $self->names;
    for my $pid ($self->{daemon}->all_qemus) {
        my $line = Childhurd::slurp("/proc/$pid/cmdline");
        push @{ $pids{$1} }, $pid if $line =~ /guest=([^,\0]+),/;
    }
    return \%pids;
}

# The guests that have more than one.
sub doubled {
    my ($self) = @_;
    my $qemus = $self->qemus;
    return grep { @{ $qemus->{$_} } > 1 } sort keys %$qemus;
}

# name => what Status says of it.
sub details {
    my ($self) = @_;
    my ($reply) = $self->{daemon}->call('Status', { names => [ $self->names ] });
    return { map { $_->{guest}{name} => $_ } @{ $reply->{guests} // [] } };
}

# name => '': what is said of it is so; what differs; undef: it is between two states. What was said of those that are right is then
# in $self->{said}.
sub verdicts {
    my ($self) = @_;
    my ($before, $qemus, $after) = ($self->details, $self->qemus, $self->details);
    my %verdict = map { $_ => $self->verdict($before->{$_}, $after->{$_}, @{ $qemus->{$_} // [] }) } $self->names;
    $self->{said}{$_} = $after->{$_} for grep { defined $verdict{$_} && $verdict{$_} eq '' } keys %verdict;
    for my $stranger (grep { !exists $verdict{$_} && @{ $qemus->{$_} } } keys %$qemus) {
        $verdict{$stranger} = "$stranger is no guest, and has QEMUs: @{ $qemus->{$stranger} }";
    }
    return \%verdict;
}

sub verdict {
    my ($self, $said, $then, @pids) = @_;
    return undef if !$said || !$then || $said->{guest}{undecided};
    return undef if $said->{guest}{state} ne $then->{guest}{state} || ($said->{pid} // 0) != ($then->{pid} // 0);
    my ($name, $state) = @{ $said->{guest} }{qw(name state)};
    return undef if $state =~ $BETWEEN;
    my $runs = $state =~ $RUNS;
    return "$name is $state, and there are QEMUs: @pids" if @pids != ($runs ? 1 : 0);
    return "$name is said to run as $said->{pid}, and does as @pids" if $runs && $said->{pid} != $pids[0];
    return '';
}

# All guests at the same moment.
sub compare {
    my ($self) = @_;
    my $verdict = $self->verdicts;
    return if grep { !defined } values %$verdict;
    my ($wrong) = grep { $verdict->{$_} } sort keys %$verdict;
    return $wrong ? $verdict->{$wrong} : 'the same';
}

# Look until each guest was right once, at most that many seconds; what is wrong to the end. patience: so many seconds for guests
# between two states; those that are there for longer are left out.
sub differences {
    my ($self, $limit, $patience) = @_;
    $self->{said} = {};
    my %last  = map { $_ => undef } $self->names;
    my $until = time + ($patience // 0);
    eval {
        Childhurd::limited($limit, 'each guest is as it is said', sub {
            my $verdict = $self->verdicts;
            @last{ keys %$verdict } = values %$verdict;
            delete $last{$_} for keys %{ $self->{said} };
            return !grep { defined || !defined $patience || time < $until } values %last;
        });
    };
    return map { $last{$_} // (defined $patience ? () : "$_ never settles") } sort keys %last;
}

# port => pids of the processes that listen there.
sub listeners {
    my ($self) = @_;
    my %pids;
    for my $line (split /\n/, qx(ss -Hltnp)) {
        my ($port) = $line =~ /^\S+\s+\S+\s+\S+\s+\S+?:(\d+)\s/ or next;
        push @{ $pids{$port} }, $line =~ /pid=(\d+)/g;
    }
    return \%pids;
}

# Processes that have the daemon's folder in their command line.
sub processes {
    my ($self) = @_;
    return grep { index(Childhurd::slurp("/proc/$_/cmdline"), "$self->{daemon}{dir}/") >= 0 } map { m{(\d+)$} } glob '/proc/[0-9]*';
}

# The paths of all files of the daemon, in its state and runtime directories.
sub files {
    my ($self) = @_;
    my @paths;
    my @tops = grep { -d } $self->{daemon}{state}, $self->{daemon}{runtime};
    File::Find::find({ no_chdir => 1, wanted => sub { push @paths, $File::Find::name } }, @tops) if @tops;
    return @paths;
}

# Half-made files that stay: those there are now, of which each must be gone once within that many seconds.
sub left_half_made {
    my ($self, $limit) = @_;
    my %left  = map { $_ => 1 } grep { $_ =~ $HALF_MADE } $self->files;
    my $until = time + $limit;
    while (%left && time < $until) {
        delete $left{$_} for grep { !-e } keys %left;
        sleep 0.1 if %left;
    }
    return sort keys %left;
}

# What is wrong with machines.scm. Publishing comes before the answers to clients, so if nothing has changed around a look at the
# file, the file has the same guests as published. nodes: those that it has of nodes, too.
sub list_faults {
    my ($self, $limit) = @_;
    my $fault = 'the guests change all the time';
    eval {
        Childhurd::limited($limit, 'machines.scm is right', sub {
            my ($before, $text, $after) = ($self->published, $self->{daemon}->machines, $self->published);
            return 0 if $before ne $after;
            my $listed = join ' ', sort grep { !m{/} } $text =~ /^ ;; (\S+)$/mg;
            $fault = $listed eq $before ? '' : "machines.scm has ($listed), and published are ($before)";
            return $fault eq '';
        });
    };
    return $fault ? ($fault) : ();
}

sub published {
    my ($self) = @_;
    my $guests = $self->{daemon}->guests;
    return join ' ', grep { $guests->{$_}{published} } sort keys %$guests;
}

# "drained" is said of one without builds; of another one that is up again, its reason says it.
sub drained { my ($guest) = @_; return $guest->{drained} || ($guest->{why} // '') =~ /^drained\b/ }

# What is wrong with a snapshot of the guests, whenever it is taken.
sub broken_promises {
    my ($self) = @_;
    my ($before, $text, $after) = ($self->{daemon}->guests, $self->{daemon}->machines, $self->{daemon}->guests);
    return () if !%$before || !%$after;
    my @faults = $text =~ /\A;; Written by childhurdd.*\n\(list.*\)\n\z/s ? () : "machines.scm is not whole: $text";
    for my $guest (values %$before, values %$after) {
        push @faults, "$guest->{name} is published and $guest->{state}" if $guest->{published} && $guest->{state} !~ /^(?:ready|asleep)$/;
        push @faults, "$guest->{name} is drained, and published" if $guest->{published} && drained($guest);
    }
    my @coming = grep {
        my ($one, $two) = ($before->{$_}, $after->{$_} // {});
        $one->{slots} && !drained($one) && $one->{state} =~ /^(?:booting|enrolling|unresponsive)$/ && ($two->{state} // '') eq $one->{state} && $two->{since} == $one->{since};
    } sort keys %$before;
    push @faults, "machines.scm is empty while @coming is coming up" if @coming && $text =~ /\n\(list\)\n/;
    return @faults;
}

1;
