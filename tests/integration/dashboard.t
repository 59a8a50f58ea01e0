# SPDX-License-Identifier: GPL-3.0-or-later
# The dashboard for Grafana, docs/grafana.json: its form, as Grafana takes it, and each of its queries, with its variables
# replaced as Grafana does, asked of the real Prometheus that reads a coordinator with a guest and a node. Each finds something.
use strict;
use warnings;
use Childhurd;
use JSON::PP;
use Prometheus;
use Sshd;
use Test::More;
use Time::HiRes qw(time);
use Varlink;

# --- the form ---

my $file = Childhurd::slurp('docs/grafana.json');
my $dashboard = eval { JSON::PP->new->utf8->decode($file) } or diag($@);
ok($dashboard, 'docs/grafana.json is JSON') or BAIL_OUT('no dashboard');
like($dashboard->{$_}, qr/^\d+$/, "$_ is a number") for qw(schemaVersion version);
cmp_ok($dashboard->{schemaVersion}, '>=', 36, 'panels and variables name their data source as later Grafanas do');
like($dashboard->{uid}, qr/^[a-zA-Z0-9_-]{1,40}$/, 'uid');
is($dashboard->{title}, 'childhurd', 'title');
ok(!exists $dashboard->{id}, 'no id of one Grafana');
my @panels = @{ $dashboard->{panels} };
my @graphs = grep { $_->{type} ne 'row' } @panels;
cmp_ok(scalar @graphs, '>', 20, 'there are panels');
my (%id, %cell, @crossing);
for my $panel (@panels) {
    my $name = $panel->{title};
    like($panel->{id}, qr/^[1-9]\d*$/, "$name has an id");
    ok(!$id{ $panel->{id} }++, '... of its own');
    my ($x, $y, $w, $h) = @{ $panel->{gridPos} }{qw(x y w h)};
    ok(!(grep { !defined || !/^\d+$/ } $x, $y, $w, $h) && $w > 0 && $h > 0 && $x + $w <= 24, "... and a place within Grafana's 24 columns");
    for my $at (map { my $row = $_; map { "$_,$row" } $x .. $x + $w - 1 } $y .. $y + $h - 1) {
        push @crossing, "$name and $cell{$at} at $at" if $cell{$at};
        $cell{$at} = $name;
    }
}
is_deeply(\@crossing, [], 'no panel covers another');
my %ours = ('${datasource}' => 'prometheus');
for my $panel (@graphs) {
    my %ref;
    like($panel->{type}, qr/^(?:stat|timeseries|state-timeline)$/, "$panel->{title} is of a kind that each Grafana has");
    ok($panel->{fieldConfig}{defaults} && $panel->{options}, '... with its settings');
    is_deeply([ grep { $ref{ $_->{refId} }++ } @{ $panel->{targets} } ], [], '... and different names for its queries');
    is_deeply([ grep { ($ours{ $_->{datasource}{uid} } // '') ne $_->{datasource}{type} } $panel, @{ $panel->{targets} } ], [], '... all of the data source that is chosen');
}
my ($strip) = grep { $_->{type} eq 'state-timeline' } @graphs;
my $states  = $strip->{fieldConfig}{defaults}{mappings}[0]{options};
my @states  = Childhurd::slurp('service/states.h') =~ /\bSTATE\([A-Z]+, "([a-z]+)"\)/g;
is_deeply([ map { $states->{$_}{text} } 0 .. keys(%$states) - 1 ], \@states, 'the strip of states has a colour for each');
my %variable = map { $_->{name} => $_ } @{ $dashboard->{templating}{list} };
is_deeply([ sort keys %variable ], [qw(datasource guest instance)], 'variables');

# --- a coordinator with a guest, and a node ---

my $image    = Childhurd::need_image('linux');
my $programs = Childhurd::need_image('prometheus');
my $id       = Childhurd::free_id(1);
my $dir      = File::Temp::tempdir('/tmp/childhurd-test-XXXXXX');
my $sshd     = Sshd->new;
my $guests   = <<"END";
[guest a]
id = $id
image = $image
memory-size = 256M
probe-interval = 1s
autostart = no
END
my $d = Childhurd->new(dir => $dir, warm => 1, guests => $guests)->start;
my $invitation = $d->ctl(qw(node invite));
my ($key) = $invitation =~ /^ssh-key = (\S+ \S+)/m;
ok($key, 'a coordinator has a key') or BAIL_OUT($invitation);
my $n = Childhurd->new(guests => $invitation)->start;
$sshd->allow($key, "restrict,command=\"childhurdctl --socket $n->{runtime}/control bridge --read-only\"");
$d->configure("$guests\n[node elsewhere]\nssh = root\@127.0.0.1:$sshd->{port}\nhost-key = $sshd->{host_key}\n");
$d->ctl('reload');
is($d->{status}, 0, 'and a node');
ok($d->wait_until(60, 'the node is connected', sub { my ($nodes) = $d->call('Nodes', {}); $nodes && $nodes->{nodes}[0]{state} eq 'connected' }), 'is connected to it');

my $v = Varlink->new("$d->{runtime}/control", Childhurd::slurp('service/org.childhurd.varlink'));
my $p = Prometheus->new($dir, programs => $programs, jobs => ['node'], give => sub {
    my ($reply) = $v->another->call('org.childhurd.Metrics', {});
    return ($reply->{content_type}, $reply->{text});
});
# From the first look on each counter has been seen as 0, so that all that follows is an increase.
ok($d->wait_until(60, 'Prometheus looks', sub { ($p->value('childhurd_boots_total{guest="a"}') // '') eq '0' }), 'Prometheus has seen it before its first boot')
    or diag($p->log);
$d->ctl(qw(start a --wait --timeout 300s));
is($d->{status}, 0, 'a guest boots, and is ready') or BAIL_OUT($d->log);
$d->ctl(qw(reset a --wait --timeout 300s));
is($d->{status}, 0, 'and is ready from its warm state') or diag($d->log);
# A guest of Guix has one. It needs more than the 100 MiB without which a guest is not published, and
# this image has 96 MiB.
$d->ctl('ssh', 'a', 'mkdir -p /gnu/store && mount -t tmpfs -o size=400m store /gnu/store');
is($d->{status}, 0, 'which has a store');
ok($d->wait_until(60, 'Prometheus has read that', sub { $p->value('childhurd_guest_published{guest="a"} == 1 and on() (childhurd_restores_total > 0) and on() (childhurd_guest_store_free_bytes > 0)') }), 'and Prometheus has read that');

# --- the variables ---

# As Grafana writes several chosen values into a regular expression: each quoted twice, for it and for the string it is in.
sub chosen { return '(' . join('|', map { s/([\\^\$*+?.()|{}\[\]])/\\\\$1/gr } @_) . ')' }
my %value = ('__rate_interval' => '1m');

sub replaced {
    my ($expression) = @_;
    $expression =~ s/\$(\w+)/$value{$1} \/\/ "\$$1"/ge;
    return $expression;
}
for my $name (qw(instance guest)) {
    my $query = $variable{$name}{query}{query};
    is($variable{$name}{definition}, $query, "variable $name: one query");
    ok($variable{$name}{multi} && $variable{$name}{includeAll}, '... several may be chosen');
    my ($selector, $label) = $query =~ /^label_values\((.+), (\w+)\)$/ or BAIL_OUT("$query is no query of a variable");
    my $values = $p->ask("label/$label/values", 'match[]' => replaced($selector));
    is(ref $values eq 'ARRAY' ? scalar @$values : 0, 1, '... one is found') or diag($p->{error} // '');
    $value{$name} = chosen(@$values);
}
is($value{guest}, '(a)', 'the guest');

# --- the queries ---

# What is asked for: [its name, its expression].
my @queries = map { my $panel = $_; map { [ "$panel->{title}, $_->{refId}", $_->{expr} ] } @{ $panel->{targets} } } @graphs;
push @queries, map { [ "annotation: $_->{name}", $_->{expr} ] } grep { $_->{expr} } @{ $dashboard->{annotations}{list} };
cmp_ok(scalar @queries, '>', 30, 'queries');

# The node has no guest, but says so: each panel of nodes has a series, too.
for (@queries) {
    my ($name, $expression) = ($_->[0], replaced($_->[1]));
    unlike($expression, qr/\$/, "$name: all variables are known");
    my @series;
    my $found = $d->wait_until(60, $expression, sub {
        @series = grep { $_->{value}[1] !~ /NaN|Inf/ } $p->series($expression);
        return @series || $p->{error};
    });
    ok($found && !$p->{error}, '... it is valid') or diag("$expression: ", $p->{error} // '');
    cmp_ok(scalar @series, '>', 0, '... and finds something');
}
my $state = $p->value(replaced($strip->{targets}[0]{expr})) // -1;
is($states->{$state}{text}, $d->state('a'), 'the strip shows the state of the guest');
# So that a query with a word too much would be noticed.
$p->series('sum(childhurd_guests');
ok($p->{error}, 'an expression that is not valid is refused');
is(scalar $p->series('childhurd_guest_publishd'), 0, 'a metric that is not there is not found');

# All that the dashboard shows is there, and all that the daemon measures is shown.
my %told  = map { $_ => 1 } Childhurd::slurp('docs/manual.md') =~ /^\| `(childhurd_\w+)/mg;
my %shown = map { s/_(?:total|bucket)$//r => 1 } map { $_->[1] =~ /\b(childhurd_\w+)/g } @queries;
is_deeply([ sort keys %shown ], [ sort keys %told ], "the dashboard shows each of the manual's metrics");

$d->ctl(qw(stop a --now --wait --timeout 60));
done_testing;
