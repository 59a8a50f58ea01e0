#!/usr/bin/perl
# SPDX-License-Identifier: GPL-3.0-or-later
# The test guests do what tests/guests/README.md says of them, run by QEMU alone: what the daemon's own tests build on.
use v5.36;
use Childhurd ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use File::Temp qw(tempdir);
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(time);

my $dir = tempdir('childhurd-guests-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my %running;    # pid => 1, of every QEMU not yet waited for

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

sub kill_all {
	kill 'KILL', keys %running;
	waitpid $_, 0 for keys %running;
	%running = ();
}

END {
	my $status = $?;
	kill_all();
	$? = $status;
}

# Seconds until a test gives up: this machine may have other work.
use constant PATIENCE => Childhurd::seconds(100);

# Polls until CODE gives something true; gives that, or nothing after LIMIT seconds.
sub wait_for ($limit, $code) {
	my $end = time + $limit;
	while (1) {
		my $found = $code->();
		return $found if $found;
		return if time > $end;
		select undef, undef, undef, 0.02;
	}
}

sub slurp ($file) {
	open my $in, '<:raw', $file or return '';
	local $/;
	return <$in> // '';
}

sub spew ($file, $text, $mode = 0600) {
	open my $out, '>:raw', $file or die "$file: $!";
	print $out $text;
	close $out or die "$file: $!";
	chmod $mode, $file;
}

sub free_port () {
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "no free port: $!";
	return $socket->sockport;
}

# Starts QEMU with its console in a file and a monitor; gives what is known of it.
sub qemu ($name, @options) {
	my $guest = { name => $name, console => "$dir/$name.console", monitor => "$dir/$name.monitor", start => time };
	my $pid   = fork // die "fork: $!";
	if ($pid == 0) {
		open STDIN,  '<', '/dev/null';
		open STDOUT, '>', "$dir/$name.log";
		open STDERR, '>&', \*STDOUT;
		{
			exec 'qemu-system-x86_64', '-machine', 'pc', '-accel', 'tcg', '-no-reboot', '-display', 'none',
			  '-serial', "file:$guest->{console}", '-monitor', "unix:$guest->{monitor},server=on,wait=off", @options;
		}
		print "cannot run qemu-system-x86_64: $!\n";
		POSIX::_exit(127);
	}
	$running{$pid} = 1;
	$guest->{pid} = $pid;
	return $guest;
}

sub console ($guest) { return slurp($guest->{console}) =~ s/\r//gr }

sub on_console ($guest, $pattern, $limit = PATIENCE) {
	return wait_for($limit, sub { console($guest) =~ $pattern || exited($guest) && console($guest) =~ $pattern });
}

# Whether QEMU has ended; its status then is in $guest->{status}.
sub exited ($guest) {
	return 1 if defined $guest->{status};
	return 0 if waitpid($guest->{pid}, WNOHANG) != $guest->{pid};
	$guest->{status} = $?;
	delete $running{ $guest->{pid} };
	return 1;
}

sub ends ($guest, $what) {
	my $ended = wait_for(PATIENCE, sub { exited($guest) });
	ok($ended && $guest->{status} == 0, $what)
	  or diag($ended ? "status $guest->{status}" : 'still running', "\n", slurp("$dir/$guest->{name}.log"), console($guest));
}

sub stop ($guest) {
	kill 'KILL', $guest->{pid} unless exited($guest);
	wait_for(5, sub { exited($guest) });
}

sub press_power_button ($guest) {
	my $monitor = IO::Socket::UNIX->new(Peer => $guest->{monitor}) or die "monitor: $!";
	print $monitor "system_powerdown\n";
	$monitor->flush;
	# It greets before it reads: hang up no earlier than the prompt behind the command.
	my $answer = '';
	1 until $answer =~ /powerdown.*\(qemu\)/s || !sysread $monitor, $answer, 4096, length $answer;
}

# --- the guest linux

my $image = Childhurd::need_image('linux');
my $mach  = Childhurd::optional_image('mach');

for my $key (qw(user host other)) {
	system('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', $key, '-f', "$dir/$key") == 0 or die 'ssh-keygen';
}
my $user_key = slurp("$dir/user.pub");

sub linux ($name, @flags) {
	my ($ssh, $secrets) = (free_port(), free_port());
	my $guest = qemu($name, '-m', 256, '-smp', 1,
		'-drive', "file=$image,format=qcow2,if=ide,snapshot=on",
		'-netdev', "user,id=net0,hostfwd=tcp:127.0.0.1:$ssh-:22,hostfwd=tcp:127.0.0.1:$secrets-:1004",
		'-device', 'rtl8139,netdev=net0',
		@flags ? ('-fw_cfg', 'name=opt/childhurd/flags,string=' . join ':', @flags) : ());
	$guest->{ssh}     = $ssh;
	$guest->{secrets} = $secrets;
	return $guest;
}

my @no_secrets = ('secrets=no', 'key=' . (split ' ', $user_key)[1]);

# Guile's `write` for a string.
sub quoted ($text) {
	my %named = ("\n" => '\n', "\t" => '\t', '"' => '\"', '\\' => '\\\\');
	$text =~ s/([\x00-\x1f\x7f"\\])/$named{$1} \/\/ sprintf '\x%02x', ord $1/ge;
	return qq("$text");
}

sub socket_to ($port) {
	return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) // die "port $port: $!";
}

# What arrives within LIMIT seconds, at most SIZE bytes; the end of the stream ends it as well.
sub receive ($socket, $size, $limit) {
	my ($got, $end) = ('', time + $limit);
	while (length $got < $size && (my $left = $end - time) > 0) {
		my $bits = '';
		vec($bits, fileno $socket, 1) = 1;
		next if select($bits, undef, undef, $left) <= 0;
		sysread($socket, $got, $size - length $got, length $got) or last;
	}
	return $got;
}

# Connects to the receiver once it listens; gives the socket and the hello.
sub meet_receiver ($guest, $limit = PATIENCE) {
	on_console($guest, qr/^guest: waiting for secrets on port 1004$/m) or diag(console($guest));
	my $socket = socket_to($guest->{secrets});
	return ($socket, receive($socket, 35, $limit));
}

# Each file is [NAME, MODE, CONTENT, SIZE if it is to be announced wrongly].
sub send_secrets ($socket, @files) {
	my $list = join ' ', map { '(' . quoted($_->[0]) . ' ' . ($_->[3] // length $_->[2]) . ' ' . ($_->[1] | 0100000) . ')' } @files;
	local $SIG{PIPE} = 'IGNORE';
	print $socket "(secrets (version 0) (files ($list)))", map { $_->[2] } @files;
	$socket->flush;
	shutdown $socket, 1;
	return receive($socket, 1, PATIENCE);
}

sub host_keys ($key = 'host') {
	return (['/etc/ssh/ssh_host_ed25519_key', 0600, slurp("$dir/$key")], ['/etc/ssh/ssh_host_ed25519_key.pub', 0644, slurp("$dir/$key.pub")]);
}

sub authorized_keys () { return map { ["/etc/ssh/authorized_keys.d/$_", 0644, $user_key] } qw(offloading root) }

# Runs a command over SSH as USER, the host key being the injected one or none; gives its output, status in $?.
sub ssh ($guest, $user, $command, @options) {
	spew("$dir/known_hosts", "[127.0.0.1]:$guest->{ssh} " . slurp("$dir/host.pub"));
	my @command = ('timeout', PATIENCE, 'ssh', '-n', '-F', 'none', @options, '-i', "$dir/user", '-p', $guest->{ssh}, '-o', 'BatchMode=yes',
		'-o', 'IdentitiesOnly=yes', '-o', 'StrictHostKeyChecking=yes', '-o', "UserKnownHostsFile=$dir/known_hosts",
		'-o', 'LogLevel=ERROR', "$user\@127.0.0.1", $command);
	my $pid = open(my $out, '-|') // die "fork: $!";
	if ($pid == 0) {
		open STDERR, '>', "$dir/ssh.err";
		exec @command or POSIX::_exit(127);
	}
	binmode $out;
	local $/;
	my $text = <$out>;
	close $out;
	return $text;
}

my @unchecked = ('-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null');

# A guest takes one core; the next one boots on the other while this one is looked at.
my $good = linux('good');
my $next = linux('button', @no_secrets);

subtest 'a guest boots from its disk, takes its secrets and is a build machine' => sub {
	my ($socket, $hello) = meet_receiver($good);
	is($hello, '(secret-service-server (version 0))', 'the receiver greets as Guix does');
	my $text = "a\nb\0c\xff";
	my @odd  = ('space here', 'quote"', "back\\slash", "new\nline", "tab\there", "bell\a", "escape\e[m", "delete\x7f", "caf\xc3\xa9 \xe2\x86\x92");
	my @files = (host_keys(), authorized_keys(), (map { ["/var/odd/deep er/$_", 0640, "is $_"] } @odd),
		['/var/odd/empty', 0600, ''], ['/var/odd/binary', 0755, $text], ['/var/odd/large', 0400, 'x' x 300_000]);
	is(send_secrets($socket, @files), '', 'the receiver closes the connection when it has all');
	ok(on_console($good, qr/^guest: secrets received$/m), 'the console says that secrets were received');
	ok(on_console($good, qr/^guest: ready$/m),            'and then that the guest is ready') or diag(console($good));
	is(ssh($good, 'offloading', 'echo $HOME; id -un'), "/var/lib/offloading\noffloading\n",
		'the account offloading can be used, and the host key is the injected one')
	  or diag(slurp("$dir/ssh.err"));
	my $boot = time - $good->{start};
	diag(sprintf 'that took %.1f s from QEMU\'s start', $boot);
	like(console($good), qr/^guest: Linux \S+ has started$/m, 'the console has the kernel\'s start');

	is(ssh($good, 'root', q{cd /var/odd && stat -c '%a %s %n' empty binary large && cd 'deep er' && stat -c %a * | sort -u}),
		"600 0 empty\n755 6 binary\n400 300000 large\n640\n", 'modes and sizes are as sent');
	my $seen = ssh($good, 'root', q{cd '/var/odd/deep er' && for f in *; do printf '%s\0' "$f"; cat "$f"; printf '\0'; done});
	is_deeply({ split /\0/, $seen }, { map { $_ => "is $_" } @odd }, 'odd names and what is in those files arrive as sent');
	is(ssh($good, 'root', 'cat /var/odd/binary'), $text, 'so do bytes that are no text');
	like(ssh($good, 'root', 'date -s @1800000000 > /dev/null; date +%s; cat /proc/loadavg; uname -s; df / | wc -l; uptime | wc -l'),
		qr{^180000000\d\n\d.* .*/.*\nLinux\n2\n1\n$}, 'the clock can be set, and the usual commands are there');
	ssh($good, 'root', 'halt');
	ends($good, 'halt over SSH ends it');
	like(console($good), qr/^guest: halting\nreboot: Power down$/m, 'the console says so');
};

subtest 'the power button ends a guest' => sub {
	my $guest = $next;
	$next = linux('garbage', 'patience=60');
	ok(on_console($guest, qr/^guest: ready$/m), 'a guest told secrets=no becomes ready without them');
	like(ssh($guest, 'root', 'ls /etc/ssh', @unchecked), qr/ssh_host_ecdsa_key\n.*ssh_host_ed25519_key\n/s, 'it has host keys of its own');
	isnt(ssh($guest, 'root', 'echo in') // '', "in\n", 'which are not the injected one');
	press_power_button($guest);
	ends($guest, 'system_powerdown ends it');
	like(console($guest), qr/^guest: power button: powering off$/m, 'the console says so');
};

subtest 'garbage makes the receiver reboot' => sub {
	my $guest = $next;
	$next = linux('nohello', 'nohello', 'patience=2');
	my ($socket) = meet_receiver($guest);
	print $socket "(secrets (version 1) (files ()))";
	$socket->flush;
	ends($guest, 'the guest reboots at once');
	like(console($guest), qr/^guest: invalid secrets received\nguest: no secrets: rebooting$/m, 'the console says why');
};

subtest 'a receiver that hears nothing reboots when its patience ends' => sub {
	my $guest = $next;
	$next = linux('impostor', 'wrong-key');
	my (undef, $hello) = my @kept = meet_receiver($guest, 1);
	is($hello, '', 'told nohello, it does not greet');
	ends($guest, 'it reboots');
	like(console($guest), qr/^guest: no secrets received in time$/m, 'the console says why');
};

subtest 'wrong-key makes an impostor' => sub {
	my $guest = $next;
	$next = linux('deaf', @no_secrets, 'ignore-power', 'ignore-halt', 'slow=1');
	my ($socket) = meet_receiver($guest);
	send_secrets($socket, host_keys(), authorized_keys(), ['/root/short', 0600, 'only this', 100]);
	ok(on_console($guest, qr/^guest: ready$/m), 'it becomes ready');
	ssh($guest, 'root', 'true');
	like(slurp("$dir/ssh.err"), qr/REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed/, 'ssh refuses its host key');
	is(ssh($guest, 'root', 'cat /root/short', @unchecked), 'only this', 'an end within the files went unnoticed');
	ssh($guest, 'root', 'reboot', @unchecked);
	ends($guest, 'reboot over SSH ends QEMU under -no-reboot');
};

subtest 'ignore-power and ignore-halt keep a guest running' => sub {
	my $guest = $next;
	$next = linux('silent', @no_secrets, 'silent-sshd');
	ok(on_console($guest, qr/^guest: ready$/m), 'it becomes ready, told slow=1');
	like(console($guest), qr/^guest: waiting 1 s before the network$/m, 'the console has the wait');
	press_power_button($guest);
	is(ssh($guest, 'root', 'echo on', @unchecked), "on\n", 'after the power button it is still there');
	my $session = fork // die;
	if ($session == 0) { ssh($guest, 'root', 'halt', @unchecked); POSIX::_exit(0) }
	ok(on_console($guest, qr/^You can safely power off the system or hit ctl-alt-del to reboot$/m), 'halt says what Mach says');
	ok(!exited($guest), 'and QEMU stays');
	stop($guest);
	waitpid $session, 0;
};

subtest 'silent-sshd accepts and says nothing' => sub {
	my $guest = $next;
	$next = linux('none', @no_secrets, 'no-sshd');
	ok(on_console($guest, qr/^guest: ready$/m), 'it becomes ready');
	my $socket = socket_to($guest->{ssh});
	my $start  = time;
	is(receive($socket, 1, 1.5), '', 'no banner comes');
	cmp_ok(time - $start, '>=', 1.5, 'and the connection stays open');
	stop($guest);
};

subtest 'no-sshd leaves nobody on port 22' => sub {
	my $guest = $next;
	ok(on_console($guest, qr/^guest: ready$/m), 'it becomes ready');
	my $start = time;
	is(receive(socket_to($guest->{ssh}), 1, PATIENCE), '', 'no banner comes');
	cmp_ok(time - $start, '<', PATIENCE, 'the connection is closed');
	stop($guest);
};

# --- the guest mach

sub mach ($name, $words) {
	return qemu("mach-$name", '-m', 64, '-kernel', "$mach/gnumach", '-append', 'console=com0', '-initrd',
		"$mach/probe probe --host-priv-port=\${host-port} --device-master-port=\${device-port} $words \$(task-create) \$(task-resume)");
}

SKIP: {
	skip($Childhurd::lacking, 4) if !$mach;

	my @pair = map { mach($_, "tick=2 $_") } qw(halt reboot);
	subtest 'GNU Mach halts as a Hurd does' => sub {
		my $guest = shift @pair;
		ok(on_console($guest, qr/^.*probe: alive\n/m),                        'the probe is alive');
		ok(on_console($guest, qr/^probe: tick 1\nprobe: tick 2\nprobe: halt$/m), 'it ticks');
		ok(on_console($guest, qr/^You can safely power off the system or hit ctl-alt-del to reboot$/m), 'the kernel says that it halted');
		ok(!exited($guest), 'and QEMU stays');
		stop($guest);
	};

	push @pair, mach('panic', 'panic');
	subtest 'GNU Mach reboots' => sub {
		my $guest = shift @pair;
		ok(on_console($guest, qr/^probe: reboot$/m), 'the probe asks for it');
		ends($guest, 'QEMU ends with status 0');
	};

	push @pair, mach('silent', 'tick=1 silent');
	subtest 'GNU Mach panics' => sub {
		my $guest = shift @pair;
		ok(on_console($guest, qr/^panic \S+: Debugger: .+$/m), 'the console has the kernel\'s line');
		stop($guest);
	};

	subtest 'GNU Mach goes on running in silence' => sub {
		my $guest = shift @pair;
		ok(on_console($guest, qr/^probe: tick 1$/m), 'the probe ticks once');
		my $size  = -s $guest->{console};
		my $start = time;
		ok(!wait_for(2, sub { -s $guest->{console} != $size || exited($guest) }), 'for 2 s nothing comes, and QEMU runs on');
		stop($guest);
	};
}

done_testing();
