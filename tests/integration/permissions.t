# SPDX-License-Identifier: GPL-3.0-or-later
# Who may do what over the control socket: real users, who are known to this test alone, call each method that the daemon
# has, and are let in or not by the class that service/control/methods.c gives it.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use JSON::PP;
use Test::More;

Childhurd::own_users(
    childhurd => [], reader => ['childhurd'], admin => ['childhurd-admin'], both => [ 'childhurd', 'childhurd-admin' ],
    stranger  => [],
);

# --- what there is: method => READS or CHANGES, by the table ---
my $source = Childhurd::slurp('service/control/methods.c');
my %interface = $source =~ /^#define (\w+_INTERFACE)\s+"([^"]+)"/mg;
$interface{CONTROL_INTERFACE} //= 'org.childhurd';
my ($table) = $source =~ /\bmethods\[\] = \{\n(.*?)\n\};/s;
my %class;
$class{"$interface{$1}.$2"} = $3 while $table =~ /\{(\w+),\s*"(\w+)",\s*\w+,\s*(READS|CHANGES)\b/g;
my $lines = () = $table =~ /\{\w+,/g;
is(scalar(keys %class), $lines, "the class of each of the $lines methods is known") or diag($table);

# What one answers depends on its parameters; who may call it does not, and no guest of that name comes to harm.
my $parameters = { names => ['no-such-guest'], name => 'no-such-guest', state => 'ready', interface => 'org.childhurd' };

# As user: calls each method over a connection of its own, and prints a line for each, "METHOD ANSWER".
my $caller = <<'PERL';
use strict; use warnings; use IO::Socket::UNIX; use IO::Select;
my ($path, $parameters, @methods) = @ARGV;
for my $method (@methods) {
    my $socket = IO::Socket::UNIX->new(Peer => $path) or do { print "$method connect: $!\n"; next };
    print $socket qq({"method":"$method","parameters":$parameters}\0);
    $socket->flush;
    my $reply = '';
    while ($reply !~ /\0/) {
        last unless IO::Select->new($socket)->can_read(20);
        last unless sysread $socket, $reply, 65536, length $reply;
    }
    my ($error) = $reply =~ /"error"\s*:\s*"([^"]+)"/;
    print "$method ", $error // ($reply =~ /\0/ ? 'done' : 'silence'), "\n";
}
PERL

my $number = 0;

sub answers {
    my ($d, $user) = @_;
    my $out = "$d->{dir}/out." . $number++;
    my @as  = $user eq 'root' ? () : ('setpriv', "--reuid=$user", "--regid=$user", '--init-groups');
    waitpid $d->spawn($out, @as, $^X, '-e', $caller, "$d->{runtime}/control", encode_json($parameters), sort keys %class), 0;
    return map { split / /, $_, 2 } split /\n/, Childhurd::slurp($out);
}

# Which methods the user is denied.
sub expect {
    my ($d, $user, $denied) = @_;
    my %answer = answers($d, $user);
    is(scalar(keys %answer), scalar(keys %class), "$user: each method was called");
    my @wrong = grep { ($answer{$_} eq 'org.childhurd.PermissionDenied') != ($class{$_} eq $denied) } sort keys %answer;
    my @odd   = grep { $answer{$_} =~ /^(?:connect:|silence)/ } sort keys %answer;
    is_deeply([@wrong, @odd], [], "$user: " . ($denied ? "is denied what $denied, and nothing else" : 'may do everything'))
      or diag(map { "$_: $answer{$_}\n" } @wrong, @odd);
}

sub daemon {
    my (%o) = @_;
    my $d = Childhurd->new(%o, daemon => "uri = test:///default\nqemu-user = childhurd\n", guests => "[guest a]\nimage = /dev/null\nautostart = no\n");
    return $d;
}

for my $owner ('root', 'childhurd') {
    my $d = daemon();
    mkdir $_ for $d->{state}, $d->{runtime};
    system('chown', "$owner:$owner", $d->{state}, $d->{runtime});
    $d->run_as($owner)->start;
    note("the daemon of $owner");
    expect($d, 'root', '');
    expect($d, 'childhurd', $owner eq 'root' ? 'CHANGES' : '');
    expect($d, 'reader', 'CHANGES');
    expect($d, 'admin',  '');
    expect($d, 'both',   '');
    my %stranger = answers($d, 'stranger');
    is(scalar(grep { !/^connect: Permission denied$/ } values %stranger), 0, 'who is in neither group cannot even connect')
      or diag(explain \%stranger);
    is($d->end >> 8, 0, 'the daemon ends');
}
done_testing;
