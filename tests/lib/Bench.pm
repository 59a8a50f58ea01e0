# SPDX-License-Identifier: GPL-3.0-or-later
# What the programs of tests/bench share. Each prints for people what it likes, and each figure that docs/specification.md has in one
# way, for tests/bench/all:
#
#   Bench::result('list.time', 4.9, 'ms');      RESULT list.time 4.9 ms
#   Bench::without('list.time', 'it is late');  NO RESULT list.time it is late
#   Bench::cannot('it takes root');             NOT MEASURED it takes root      and the program ends
#
# The names and units are those of the table; which value is good is said there, and only there.
package Bench;
use v5.36;

# The short form: fewer rounds, as the driver asks for with SHORT=1.
our $short = $ENV{CHILDHURD_BENCH_SHORT};

sub rounds ($usual, $few) { return $short ? $few : $usual }

sub result ($name, $value, $unit = '') {
    local $| = 1;
    printf "RESULT %s %s %s\n", $name, $value =~ /^-?\d+$/ ? $value : sprintf('%.4g', $value), $unit;
}

sub without ($name, $why) { print "NO RESULT $name $why\n" }

sub cannot ($why) {
    print "NOT MEASURED $why\n";
    exit 0;
}

sub need_root () { cannot('it takes root') if $> != 0 }

sub median (@values) { return (sort { $a <=> $b } @values)[ @values / 2 ] }

1;
