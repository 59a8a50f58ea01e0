# SPDX-License-Identifier: GPL-3.0-or-later
# A guest's warm state, made by the daemon's own functions without a daemon (tests/tools/warm.c): saved after the boot, loaded in
# place, a new QEMU started from it, each far faster than the boot and each with randomness of its own; a daemon that is killed in
# the middle of a save leaves a whole state; one that does not fit is thrown away; a persistent guest's serves once.
use v5.36;
use Test::More;
use Childhurd;
use IPC::Open2 qw(open2);
use List::Util qw(min);
use Time::HiRes qw(time sleep);

my $image = Childhurd::need_image('linux');
my $id    = Childhurd::free_id(1);
my $port  = 10022 + 1000 * $id;
my $d     = Childhurd->new(warm => 1, guests => '');
system("ssh-keygen -q -t ed25519 -N '' -f $d->{dir}/key") == 0 or die "no key\n";
my (undef, $key) = split ' ', Childhurd::slurp("$d->{dir}/key.pub");

sub configure ($disk, $memory = '256M') {
    $d->configure(<<"END");
[guest a]
id = $id
image = $image
memory-size = $memory
disk = $disk
acceleration = tcg
qemu-options = -fw_cfg name=opt/childhurd/flags,string=secrets=no:key=$key
END
}

my ($to, $from, $tool);

sub tool_end ($signal = undef) {
    kill $signal, $tool if $signal;
    close $to;
    waitpid $tool, 0;
}

sub tool_start ($secrets = 'secrets') {
    $tool = open2($from, $to, "$Childhurd::BUILD/tests/tools/warm", $d->{file}, 'a', $secrets);
    $to->autoflush(1);
}

# A command's words and the milliseconds that it took; without words: it failed.
sub ask ($command) {
    print $to "$command\n";
    my ($ok, $ms, $words) = (<$from> // 'error 0 the tool has ended') =~ /^(ok|error) (\d+) ?(.*)$/;
    note("$command: $ok, $ms ms, $words");
    return $ok eq 'ok' ? ($words, $ms) : ();
}
sub done ($command, $what) { my ($words) = ask($command); return ok(defined $words, $what) }
sub said ($command) { my ($words) = ask($command); return $words }

sub ssh ($command) {
    my @options = map { ('-o', $_) } qw(BatchMode=yes StrictHostKeyChecking=no UserKnownHostsFile=/dev/null ConnectTimeout=5);
    my $out = qx(ssh -n -q -i $d->{dir}/key @options -p $port root\@127.0.0.1 '$command' 2> /dev/null);
    return $? ? undef : $out;
}

# A QEMU that boots, until its host key is known and the proof is made; the seconds.
sub boot () {
    my $begun = time;
    done('boot', 'a guest boots') or BAIL_OUT('no guest');
    my $host_key;
    Childhurd::limited(120, 'the guest answers', sub { $host_key = ssh('cat /etc/ssh/ssh_host_ed25519_key.pub') });
    open my $f, '>', "$d->{dir}/host_key.pub" or die;
    print $f join(' ', (split ' ', $host_key)[ 0, 1 ]), "\n";
    close $f;
    done('restored', 'and is ready');
    return time - $begun;
}

my @random;    # of the first session after each restore

sub restored ($what, $begun) {
    done('restored', "$what: it is ready");
    my $took = time - $begun;
    my ($time, $random) = split ' ', ssh('date +%s; head -c 16 /dev/urandom | od -An -tx1 | tr -d " "');
    cmp_ok(abs($time - time), '<', 30, "$what: its clock is right");
    push @random, $random;
    is(ssh('cat /mark; cat /tmp/new 2> /dev/null; true'), "old\n", "$what: its disk and memory are those of then");
    ssh('echo new > /mark; echo new > /tmp/new; sync');
    return $took;
}

# --- ephemeral ---
configure('ephemeral');
tool_start();
my %took;    # the least of the seconds that each has taken: a load on the host changes meanwhile
sub took ($what, $seconds) { $took{$what} = min($seconds, $took{$what} // ()); return }
took('boot', boot());
is(said('find'), 'none', 'there is no state yet');
ssh('echo old > /mark; sync');
my ($still) = ask('save');
ok(defined $still, 'its state is saved');
is(said('look'), 'running', 'and it goes on');
ssh('echo new > /mark; echo new > /tmp/new; sync');
is(said('find'), 'childhurd-a', 'the state is found');
for my $n (1, 2) {
    my $begun = time;
    my ($words, $ms) = ask('load');
    ok(defined $words, 'it is loaded in the QEMU that runs');
    took('load', $ms / 1000);
    took('load, and ready', restored("load $n", $begun));
}
is((stat "$d->{state}/a/disk.warm")[2] & 0777, 0600, 'its record is ours alone');
done('end', 'QEMU ends');
for my $n (1, 2) {
    my $begun = time;
    is(said('find'), 'childhurd-a', 'the state is still there');
    done('start', 'a new QEMU starts from it') or last;
    took('start', time - $begun);
    took('start, and ready', restored("start $n", $begun));
    done('end', 'QEMU ends') if $n == 1;
}
my %seen;
$seen{$_}++ for @random;
is_deeply([ grep { $seen{$_} > 1 } keys %seen ], [], 'no restore has the random bytes of another') or diag "@random";
# How much less depends on what the proof's two handshakes take in an emulated guest.
cmp_ok($took{'start, and ready'}, '<', $took{boot} / 2, 'from the state to ready in far less than the boot');
cmp_ok($took{'load, and ready'},  '<', $took{boot} / 2, 'so is a load in place');

# --- a daemon that is killed while it saves ---
for my $after (0.01, 0.02, 0.03, 0.2, 0.5) {
    print $to "save\n";
    sleep $after;
    tool_end('KILL');
    tool_start();
    like(said('adopt'), qr/^[1-9]/, "killed $after s into a save: QEMU runs on");
    like(said('find'), qr/^childhurd-[ab]$/, 'there is a state');
    done('load', 'and it is a whole one');
}
is(said('look'), 'running', 'the guest runs');

# --- a QEMU that is killed while it saves ---
for my $after (0.05, 0.15, 0.3) {
    my $qemu = said('adopt');
    print $to "save\n";
    sleep $after;
    kill 'KILL', $qemu;
    my $answer = <$from>;
    note("QEMU killed $after s into a save: $answer");
    unlike(qx(qemu-img check -U $d->{state}/a/disk.qcow2 2>&1), qr/corrupt|ERROR/, 'its disk is whole');
    like(said('find'), qr/^childhurd-[ab]$/, 'there is a state');
    done('end', 'libvirt knows that QEMU has ended');
    done('start', 'and a new QEMU starts from it');
}
done('restored', 'it is ready');
done('end', 'QEMU ends');

# --- what does not fit ---
tool_end();
configure('ephemeral', '255M');
tool_start();
like(said('find'), qr/^the machine's configuration is another/, 'a state of another machine is thrown away');
is(said('find'), 'none', 'for good');
tool_end();

# --- persistent ---
configure('persistent');
tool_start();
boot();
ssh('echo old > /mark; sync');
my ($stay) = ask('stay');
ok(defined $stay, 'a persistent guest is saved');
is(said('look'), 'paused', 'and writes nothing any more');
done('end', 'QEMU ends');
is(said('find'), 'childhurd-a', 'the state is found');
done('consume', 'and is used up');
my $begun = time;
done('start', 'a QEMU starts from it');
restored('persistent', $begun);
is(said('find'), 'none', 'the next start boots, so that what was synced since is kept');
done('end', 'QEMU ends');
tool_end();

note(sprintf '%-18s %6.2f s', $_, $took{$_}) for sort keys %took;
note("stood still for the save: ephemeral $still ms, persistent $stay ms");
note(qx(ls -ls $d->{state}/a));
done_testing;
