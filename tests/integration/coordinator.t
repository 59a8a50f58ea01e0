# SPDX-License-Identifier: GPL-3.0-or-later
# Coordinators elsewhere: what one prints for its nodes is taken by another daemon, whose guests let its key in as user, and take
# what it signed. Taken away, it is in the guests until their next start, which is said; then neither a warm state nor a
# persistent disk has its keys. The guests listen at an address of their own, and get their secrets through 127.0.0.1.
use v5.36;
use lib 'tests/lib';
use Childhurd;
use JSON::PP;
use Test::More;

use constant HERE => '127.0.0.2';

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(2);
my %port  = (warm => 10022 + 1000 * $id, kept => 11022 + 1000 * $id);

sub signing_key ($digits) { return "(public-key (ecc (curve Ed25519) (q #" . $digits x 32 . '#)))' }

# --- the coordinator: a daemon without guests ---

my $far = Childhurd->new(guests => '');
$far->{daemon} = "guix-configuration-directory = $far->{dir}/guix\n";
$far->configure('');
$far->start;

Childhurd::spew("$far->{state}/nodes/key/in-the-way", '');
like($far->ctl('node', 'invite'), qr{^childhurdctl: .*/nodes/key: is not a private key}, 'a key that cannot be made: the file is named');
is($far->{status}, 1, '... and the status is 1');
system('rm', '-r', "$far->{state}/nodes/key") == 0 or die;
my $bare = $far->ctl('node', 'invite');
like($bare, qr/^\[coordinator \S+\]\nssh-key = ssh-ed25519 \S+ childhurd@\S+\n# signing-key: /m, 'without Guix: no signing key, and why');

Childhurd::spew("$far->{dir}/guix/signing-key.pub", signing_key('A1') =~ s/ \(/\n \(/gr . "\n");
my $block = $far->ctl('node', 'invite');
is($far->{status}, 0, 'node invite');
my ($name, $far_key, $signing) = $block =~ /^\[coordinator (\S+)\]\nssh-key = (.*)\nsigning-key = (.*)$/m
  or BAIL_OUT("no block: $block");
is($far_key, Childhurd::slurp("$far->{state}/nodes/key.pub") =~ s/\n//r, 'it has the public half of STATE/nodes/key');
is($signing, signing_key('A1'), '... and the key that Guix signs with, in one line');
like($bare, qr/\Q$far_key\E/, '... the same pair each time');
is(sprintf('%o', (stat "$far->{state}/nodes/key")[2] & 0777), '600', '... whose private half is closed to others');
is_deeply(decode_json($far->ctl('node', 'invite', '--json')), { name => $name, ssh_key => $far_key, signing_key => $signing }, '--json');
like($far->ctl('node', 'guests'), qr/^childhurdctl: node guests: there is no such task; it is one of: .*invite/, 'no such task');
is($far->{status}, 2, '... which is a matter of usage');
is($far->ctl('node', 'inv'), $block, 'a task may be shortened');

# --- a node ---

# The Linux guest's disk with what makes it a Hurd's, so that keys can be written into it.
my $disk = "$far->{dir}/disk.img";
$ENV{PATH} .= ':/usr/sbin:/sbin';
system('qemu-img', 'convert', '-O', 'raw', $image, $disk) == 0 or die "no disk\n";
system("debugfs -w -R 'mkdir /hurd' '$disk?offset=${\ (43_008 * 512)}' 2> $far->{dir}/debugfs") == 0 or die "no debugfs\n";
system("ssh-keygen -q -t ecdsa -N '' -C other -f $far->{dir}/other") == 0 or die "no key\n";
chomp(my $other_key = Childhurd::slurp("$far->{dir}/other.pub"));
my $near = Childhurd->new(warm => 1, guests => <<"INI", daemon => 'host-name = ' . HERE);
[defaults]
image = $image
memory-size = 256M
listen-address = ${\ HERE}
[guest warm]
id = $id
[guest kept]
id = ${\ ($id + 1)}
image = $disk
disk = persistent
inject = image
qemu-options = -fw_cfg name=opt/childhurd/flags,string=secrets=no
INI
my $part = "$near->{dir}/conf.d/coordinators.ini";
Childhurd::spew($part, $block);
$near->start;
$near->ctl('wait', '--all', '--for', 'ready', '--timeout', '240s');
is($near->{status}, 0, 'a node takes the block, and its guests become ready') or BAIL_OUT($near->log);

# ssh's exit status: 255 means that nobody was let in.
sub login ($key, $user, $guest) {
    my @options = map { ('-o', $_) } qw(BatchMode=yes IdentitiesOnly=yes StrictHostKeyChecking=no UserKnownHostsFile=/dev/null ConnectTimeout=30);
    my $pid = $near->spawn("$near->{dir}/login", 'ssh', '-n', '-F', 'none', '-i', $key, @options, '-p', $port{$guest}, "$user\@${\ HERE}", 'true');
    waitpid $pid, 0;
    return $? >> 8;
}
my ($far_file, $other_file) = ("$far->{state}/nodes/key", "$far->{dir}/other");

# The digits of the keys in a guest's acl, as libgcrypt writes them.
sub acl ($guest) { return $near->ctl('ssh', $guest, 'cat', '/etc/guix/acl') }
my ($far_digits, $other_digits) = ('A1' x 32, 'B2' x 32);

for my $guest (qw(warm kept)) {
    is(login($far_file, 'offloading', $guest), 0, "$guest: the coordinator's key logs in as user");
    is(login($far_file, 'root', $guest), 255, '... and as nobody else');
    like(acl($guest), qr/\(entry\s+\(public-key.*$far_digits.*\(guix import\)/s, '... and the acl has its signing key');
}
my $secrets = 11004 + 1000 * $id;
like(Childhurd::slurp('/proc/' . $near->qemu('warm') . '/cmdline'), qr/hostfwd=tcp:127\.0\.0\.1:$secrets-/,
    'the secrets go through 127.0.0.1');
unlike($near->ctl('status', 'warm'), qr/takes effect at the next start/, 'nothing waits for a restart');

# --- one more: from the next start on ---

Childhurd::spew($part, "$block\[coordinator other]\nssh-key = $other_key\nsigning-key = keys/other.pub\n");
like($near->ctl('reload'), qr{^coordinator other: signing-key: \S+/keys/other.pub: is not there; }m, 'a signing key whose file is missing is said');
Childhurd::spew("$near->{dir}/keys/other.pub", signing_key('B2'));
like($near->ctl('reload'), qr/^nothing has changed$/m, '... and no more when it is there');
like($near->ctl('status', 'warm'), qr/changed +coordinator other; takes effect at the next start/, 'status says what waits');
is(login($other_file, 'offloading', 'warm'), 255, 'its key is not in the guest yet');

# --- one is taken away ---

Childhurd::spew($part, "[coordinator other]\nssh-key = $other_key\nsigning-key = keys/other.pub\n");
my $reload = $near->ctl('reload');
like($reload, qr/^coordinator $name: taken away; its key is in the guests until their next start: warm, kept$/m, 'reload says where its key is');
is(login($far_file, 'offloading', 'warm'), 0, '... which is so');
is($near->state('warm'), 'ready', '... and no guest is restarted');
$near->end('KILL');
$near->start;
$near->ctl('wait', '--all', '--for', 'ready', '--timeout', '60s');
like($near->ctl('status', 'warm'), qr/changed +coordinator $name, coordinator other; takes effect/, 'the next daemon knows what is in a guest');
my ($status) = $near->call('Status', { names => ['kept'] });
is_deeply($status->{guests}[0]{restart_needed}, [ "coordinator $name", 'coordinator other' ], '... in the protocol, too');

$near->ctl('ssh', 'kept', 'sync; mount -o remount,ro /');    # its halt does not unmount, a Hurd's does
$near->ctl('restart', 'warm', 'kept', '--wait', '--timeout', '240s');
is($near->{status}, 0, 'a restart') or diag($near->log);
like($near->log, qr/warm: its warm state is thrown away, and it boots: what is put into the guest is another/, 'a state that has the old keys is not used');
for my $guest (qw(warm kept)) {
    is(login($far_file, 'offloading', $guest), 255, "$guest: the key of the one that was taken away is refused");
    is(login($other_file, 'offloading', $guest), 0, '... and the other lets in');
    my $acl = acl($guest);
    like($acl, qr/$other_digits/, '... and the acl has the other\'s signing key');
    unlike($acl, qr/$far_digits/, '... and not that of the first');
    unlike($near->ctl('status', $guest), qr/takes effect at the next start/, '... and nothing waits any more');
}

# --- a start from the new state ---

my $log = $near->log;
$near->ctl('restart', 'warm', '--wait', '--timeout', '120s');
is($near->{status}, 0, 'a restart');
unlike(substr($near->log, length $log), qr/warm: its warm state is thrown away/, '... from the state of the last boot');
is(login($far_file,   'offloading', 'warm'), 255, '... whose keys are the new ones');
is(login($other_file, 'offloading', 'warm'), 0,   '... all of them');

# --- none is left; a disk that was not left cleanly keeps its keys, and that is not forgotten ---

unlink $part;
like($near->ctl('reload'), qr/^coordinator other: taken away; its key is in the guests until their next start: warm, kept$/m, 'the last is taken away');
$near->ctl('stop', 'warm', '--now');
$near->ctl('sleep', 'kept', '--wait', '--timeout', '120s');
like($near->log, qr/kept: its warm state is saved/, 'one is saved with that key in its memory, and on its disk');
$near->ctl('start', 'kept', '--wait', '--timeout', '240s');
is($near->{status}, 0, 'it is started') or diag($near->log);
like($near->log, qr/kept: its warm state is thrown away, and it boots: what is put into the guest is another/, '... not from that state');
like($near->log, qr/kept: .*starts without the changed secrets, and each start tries/, '... with a disk that cannot get other keys');
is(login($other_file, 'offloading', 'kept'), 0, '... so that it still has the old ones');
like($near->ctl('status', 'kept'), qr/changed +coordinator other; takes effect at the next start/, '... as status says');
$near->ctl('reset', 'kept', '--now');
$near->ctl('wait', 'kept', '--for', 'ready', '--timeout', '240s');
is(login($other_file, 'offloading', 'kept'), 255, 'a new disk has no key of it');
unlike(acl('kept'), qr/$other_digits/, '... nor its signing key');
unlike($near->ctl('status', 'kept'), qr/takes effect at the next start/, '... and nothing waits');
$near->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
$near->end;
done_testing;
