# SPDX-License-Identifier: GPL-3.0-or-later
# The real GNU Mach under the daemon, by direct multiboot: consoles, halts, reboots, panics, silence.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Test::More;

my $mach = Childhurd::need_image('mach');

my %ends = (halts => 'tick=1 halt', reboots => 'tick=1 reboot', panics => 'tick=1 panic', silent => 'tick=2 silent');
my $id = Childhurd::free_id(1 + keys %ends);
my $text = "[defaults]\nkernel = $mach/gnumach\nkernel-arguments = console=com0\nmemory-size = 64M\nacceleration = tcg\n"
  . "restart = never\ninject = none\nautostart = no\nboot-timeout = 40s\nstop-timeout = 2s\n";
for my $name (sort keys %ends) {
    $text .= "[guest $name]\nid = $id\nmodule = $mach/probe --host-priv-port=\${host-port} $ends{$name} "
      . "\$(task-create) \$(task-resume)\n";
    $id++;
}
my $d = Childhurd->new(default_machine => 1, guests => $text, daemon => 'parallel-starts = 4')->start;
is($d->state('halts'), 'stopped', 'autostart = no starts nothing');
$d->ctl('start', '--all');

ok($d->wait_until(60, 'it ticks', sub { $d->ctl('log', 'silent') =~ /probe: tick 2/ }), 'the console is in its log');
like($d->ctl('log', 'silent'), qr/probe: alive/, 'from the first line of the task');
is($d->state('silent'), 'booting', 'a silent guest is booting');

$d->ctl('wait', 'halts', '--for', 'failed', '--timeout', '60s');
is($d->{status}, 0, 'a kernel that halts before it was ready has failed');
like($d->ctl('status', 'halts'), qr/You can safely power off/, 'status quotes the line by which that is known');
is($d->qemu('halts'), 0, 'and its QEMU, which would stay for ever, is ended');

$d->ctl('wait', 'panics', '--for', 'failed', '--timeout', '60s');
is($d->{status}, 0, 'a kernel that panics has failed');
like($d->ctl('status', 'panics'), qr/panicked.*panic /s, 'status says that it panicked');

$d->ctl('wait', 'reboots', '--for', 'failed', '--timeout', '60s');
is($d->{status}, 0, 'a reboot before it was ready is a failure');
like($d->ctl('status', 'reboots'), qr/rebooted/, 'known as a reboot');

$d->ctl('wait', 'silent', '--for', 'ready', '--timeout', '60s');
is($d->{status}, 1, 'a silent guest is not waited for for ever');
like($d->ctl('status', 'silent'), qr/failed.*limit/s, 'status says which limit passed');

# --- a guest that is stopped while it is silent: no SSH, no power button that anybody heeds, so: kill ---
$d->ctl('start', 'silent');
ok($d->wait_until(60, 'it runs', sub { $d->state('silent') eq 'booting' }), 'started by hand again');
$d->ctl('stop', 'silent', '--wait', '--timeout', '60s');
is($d->{status}, 0, 'a silent guest can be stopped');
$d->said(qr/silent: power button: no effect/, 'when the power button has no effect, it is ended');

# --- a wrong module, a missing kernel ---
$d->configure("[guest nokernel]\nid = $id\nkernel = $d->{dir}/no-such-kernel\nmemory-size = 64M\nrestart = never\n");
$d->ctl('reload');
is($d->{status}, 0, 'reload');
$d->ctl('wait', 'nokernel', '--for', 'failed', '--timeout', '60s');
is($d->{status}, 0, 'a guest without its kernel has failed');
like($d->ctl('status', 'nokernel'), qr/no-such-kernel: No such file/, 'a missing kernel is named');
$d->ctl('stop', '--all', '--wait', '--timeout', '60s');
is(scalar($d->all_qemus), 0, 'no QEMU is left');
done_testing;
