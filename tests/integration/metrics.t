# SPDX-License-Identifier: GPL-3.0-or-later
# The figures of a hird with a guest that boots, dies and comes back, and one that cannot start: read by the real
# Prometheus as OpenMetrics, and by the real node_exporter from the file of the key metrics-file; the manual's rules by
# promtool.
use strict;
use warnings;
use Childhurd;
use HTTP::Tiny;
use Prometheus;
use Test::More;
use Time::HiRes qw(time);
use Varlink;

my $image    = Childhurd::need_image('linux');
my $programs = Childhurd::need_image('prometheus');
my $id       = Childhurd::free_id(2);
my $dir      = File::Temp::tempdir('/tmp/childhurd-test-XXXXXX');
mkdir "$dir/figures" or die "$dir/figures: $!";
my $guests = <<"INI";
[guest a]
id = $id
image = $image
memory-size = 256M
probe-interval = 1s
[guest b]
id = @{[ $id + 1 ]}
image = $dir/nowhere.qcow2
restart = never
INI
my $d = Childhurd->new(dir => $dir, daemon => "metrics-file = $dir/figures/childhurd.prom\n", guests => $guests)->start;
my $v = Varlink->new("$d->{runtime}/control", Childhurd::slurp('service/org.childhurd.varlink'));

# --- what happens ---

ok($d->wait_until(60, 'there is a file at once', sub { -s "$dir/figures/childhurd.prom" }), 'the file is there from the start');
ok($d->wait_until(60, 'a boots', sub { $d->qemu('a') }), 'a boots');
kill 'KILL', $d->qemu('a');
ok($d->wait_until(60, 'a is restarted', sub { $d->guests->{a}{restarts} == 1 }), 'is killed, and restarted');
$d->ctl(qw(wait a --for ready --timeout 300));
is($d->{status}, 0, 'and ready') or BAIL_OUT($d->log);

# The value of one sample, as childhurdctl prints it; undef when there is none.
sub figure {
    my ($name) = @_;
    return $d->ctl('metrics') =~ /^childhurd_\Q$name\E (\S+)$/m ? $1 : undef;
}
ok($d->wait_until(60, 'a probe', sub { figure('probe_seconds_count') >= 3 }), 'probes are counted');
is(figure('guests{state="ready"}'), 1, 'guests by state');
is(figure('boots_total{guest="a"}'), 1, 'boots');
is(figure('boot_seconds_count'), 1, 'with their times');
is(figure('failures_total{guest="a",reason="qemu-exit"}'), 1, "the failure of a");
is(figure('failures_total{guest="b",reason="start"}'), 1, "and b's");
is(figure('restarts_total{guest="a"}'), 1, 'restarts');
is(figure('guest_published{guest="a"}'), 1, 'published');
is(figure('guest_builds{guest="a"}'), 0, 'builds');
is(figure('guest_slots{guest="a"}'), 1, 'slots');
cmp_ok(figure('guest_memory_bytes{guest="a"}'), '>', 2**20, "the guest's memory");
cmp_ok(abs figure('guest_clock_skew_seconds{guest="a"}'), '<', 5, 'its clock');
cmp_ok(figure('guest_disk_free_bytes{guest="a"}'), '>', 0, 'its disk');
cmp_ok(abs(figure('guest_probed_timestamp_seconds{guest="a"}') - time), '<', 10, 'the last probe');
is(figure('guest_load{guest="b"}'), undef, 'what is not known is left out');
cmp_ok(figure('resident_memory_bytes'), '>', 2**20, "the daemon's memory");
cmp_ok(abs(figure('start_time_seconds') - time), '<', 600, 'and its start');

# --- Prometheus reads it ---

# /good has the figures as they are, /cut without their last line, /double with a family that comes twice: a reader that
# takes these would take anything.
sub give {
    my ($job) = @_;
    my ($reply) = $v->another->call('org.childhurd.Metrics', {});
    my $text = $reply->{text};
    $text =~ s/# EOF\n\z// if $job eq 'cut';
    $text =~ s/(# EOF\n)\z/# TYPE childhurd_guests gauge\n# TYPE childhurd_guests gauge\n$1/ if $job eq 'double';
    return ($reply->{content_type}, $text);
}
my ($rules) = Childhurd::slurp('docs/manual.md') =~ /^( {4}groups:\n(?:(?: {4}.*)?\n)+)/m;
ok($rules, 'the manual has an example of rules') or $rules = '';
$rules =~ s/^ {4}//mg;
Childhurd::spew("$dir/rules.yml", $rules);
like(my $checked = `$programs/promtool check rules $dir/rules.yml 2>&1`, qr/SUCCESS: [1-9]\d* rules? found/, 'which promtool takes');
my $p = Prometheus->new($dir, programs => $programs, jobs => [qw(good cut double)], give => \&give, rules => $rules);

sub value { return $p->value(@_) }
my %targets;
ok($d->wait_until(60, 'Prometheus has looked', sub { %targets = $p->targets; keys %targets == 3 }), 'Prometheus looks at the figures')
    or diag($p->log);
is($targets{good}{lastError}, '', 'it takes them');
is($targets{good}{health}, 'up', '... all');
like($targets{cut}{lastError}, qr/EOF/, 'but not when the end is missing');
like($targets{double}{lastError}, qr/./, 'nor when a family comes twice') if $targets{double}{health} ne 'up';
ok($d->wait_until(60, 'it can be asked', sub { defined value('childhurd_guests{job="good",state="ready"}') }), 'it can be asked');
is(value('childhurd_guests{job="good",state="ready"}'), 1, 'guests that are ready');
is(value('sum(childhurd_failures_total{job="good"})'), 2, 'failures');
is(value('childhurd_guest_state{job="good",guest="b",state="failed"}'), 1, 'the state of one');
my $median = value('histogram_quantile(0.5, childhurd_boot_seconds_bucket{job="good"})');
cmp_ok($median, '>', 1, "the median of boots, $median s");
my %type = map { $_->{metric} => "$_->{type} $_->{unit}" } @{ $p->ask('targets/metadata', limit => 1000) };
is($type{childhurd_boots}, 'counter ', 'types are understood: a counter');
is($type{childhurd_boot_seconds}, 'histogram seconds', '... a histogram in seconds');
is($type{childhurd_guest_memory_bytes}, 'gauge bytes', '... a gauge in bytes');
my %told = map { $_ => 1 } Childhurd::slurp('docs/manual.md') =~ /^\| `(childhurd_\w+)/mg;
is_deeply([ grep { !$told{$_} } sort grep { /^childhurd_/ } keys %type ], [], 'the manual lists them all');
is_deeply([ grep { !$type{$_} } sort keys %told ], [], '... and no others');
my @alerts = map { @{ $_->{rules} } } @{ $p->ask('rules')->{groups} // [] };
ok(@alerts && !(grep { $_->{health} eq 'err' } @alerts), "the manual's rules work on them") or diag(explain(\@alerts));

# --- node_exporter reads the file ---

my $exporting = Childhurd::free_port();
$p->child(exporter => sub {
    exec "$programs/prometheus-node-exporter", '--collector.disable-defaults', '--collector.textfile', "--collector.textfile.directory=$dir/figures",
        "--web.listen-address=127.0.0.1:$exporting";
});
my $exported = '';
ok($d->wait_until(60, 'node_exporter', sub {
            my $response = HTTP::Tiny->new(timeout => 10)->get("http://127.0.0.1:$exporting/metrics");
            $exported = $response->{content} if $response->{success};
            $exported =~ /^childhurd_boots_total\{guest="a"\} 1$/m; # as soon as the file has it
        }), 'node_exporter has the figures of the file') or diag(Childhurd::slurp("$dir/exporter.log"), $exported);
like($exported, qr/^node_textfile_scrape_error 0$/m, '... and no error');
like($exported, qr/^# TYPE childhurd_boot_seconds histogram$/m, '... with their types');
is((stat "$dir/figures/childhurd.prom")[2] & 07777, 0644, 'everybody may read it');

# --- the file comes, goes and moves ---

$d->{daemon} = "metrics-file = $dir/figures/no/childhurd.prom\n";
$d->configure($guests);
$d->ctl('reload');
$d->said(qr/metrics-file: .*no\/childhurd\.prom/, 'a folder that is not there is told', 60);
ok($d->wait_until(60, 'the old file goes', sub { !-e "$dir/figures/childhurd.prom" }), 'and the old file goes');
$d->{daemon} = "metrics-file = $dir/figures/again.prom\n";
$d->configure($guests);
$d->ctl('reload');
ok($d->wait_until(60, 'the file', sub { -s "$dir/figures/again.prom" }), 'it moves with the configuration');
$d->ctl(qw(stop a --now --wait --timeout 60));
$d->end;
ok(!-e "$dir/figures/again.prom", 'and goes with the daemon');
done_testing;
