# SPDX-License-Identifier: GPL-3.0-or-later
# `make soak` in short: random operations on a living daemon, which must not grow, and some rounds of kill -9 over mixed states and a
# node. CHILDHURD_SOAK_SECONDS (45) and CHILDHURD_SOAK_ROUNDS (6) set how much.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use KillRounds;
use RandomOperations;
use Test::More;
use Time::HiRes qw(time);

my $seed    = $ENV{CHILDHURD_SEED}         // int rand 2**31;
my $seconds = $ENV{CHILDHURD_SOAK_SECONDS} || 45;
my $rounds  = $ENV{CHILDHURD_SOAK_ROUNDS}  || 6;
diag("seed $seed, $seconds s and $rounds rounds (CHILDHURD_SEED, CHILDHURD_SOAK_SECONDS and CHILDHURD_SOAK_ROUNDS set them)");

{
    my $world = RandomOperations->new($seed);
    my @wrong = $world->run($seconds);
    diag substr $world->{d}->log, -4000 if @wrong;
    is(join("\n", @wrong), '', 'whatever is done to a daemon, it keeps its promises');
    is(join("\n", $world->finish), '', '... and needs no more than before when all is quiet');
    note($world->table);
}
{
    my $killer = KillRounds->new($seed);
    my @wrong = $killer->run($rounds);
    diag map { substr $_->log, -4000 } $killer->daemons if @wrong;
    is(join("\n", @wrong), '', 'after each death the next daemon knows what is so, here and on the node');
    is(join("\n", $killer->finish), '', '... and nothing is left at the end');
}
done_testing;
