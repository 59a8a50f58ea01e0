# SPDX-License-Identifier: GPL-3.0-or-later
# childhurdd --prepare: root does what an ordinary user's daemon cannot, once, and that daemon then needs no root. With
# users of the test's own, and folders that stand for Guix'.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Fcntl qw(:DEFAULT :flock F_SETLK F_WRLCK SEEK_SET);
use JSON::PP ();
use Sshd;
use Test::More;

Childhurd::own_users(childhurd => [], 'guix-daemon' => [], other => []);
my ($uid, $gid) = (getpwnam 'childhurd')[ 2, 3 ];
my $guix = getpwnam 'guix-daemon';

my $d = Childhurd->new;
$d->{daemon} = "guix-configuration-directory = $d->{dir}/guix\nguix-state-directory = $d->{dir}/var-guix\nuri = test:///default\ncoordinator-user = guix-daemon\n";
my $id = Childhurd::free_id(2);
$d->configure("[guest a]\ncount = 2\nid = $id\nimage = /dev/null\nautostart = no\n");
$d->run_as('childhurd');

sub run {
    my (@command) = @_;
    my $out = "$d->{dir}/out";
    unlink $out;
    waitpid $d->spawn($out, @command), 0;
    $d->{status} = $? >> 8;
    return Childhurd::slurp($out) =~ s/^\S+ \S+ (?=\S)//mgr;
}
sub prepare { return run($d->{program}, '--config', $d->{file}, '--prepare', @_) }
sub as      { my ($user, @command) = @_; return run('setpriv', "--reuid=$user", "--regid=$user", '--init-groups', @command) }
sub owner   { return (lstat $_[0])[4] // 'nobody' }

# --- no Guix: only folders ---
is(prepare(), "$d->{state}: belongs to user childhurd now\n$d->{runtime}: belongs to user childhurd now\n", 'without Guix it makes the folders');
is($d->{status}, 0, '... and is content');
is(owner($_), $uid, "... $_ is the daemon's user's") for $d->{state}, $d->{runtime};
is(prepare(), '', 'there is nothing more to do, and nothing is said');

# --- errors ---
like(prepare('--user', 'nobody-there'), qr/--user: user nobody-there: there is no such user; create it with: useradd/, 'a user who does not exist is an error');
is($d->{status}, 1, '... and the exit status says so');
like(prepare('--user', 'root'), qr/is root, whose daemon needs no preparation/, 'root needs none');
like(prepare('--user', 'other'), qr{^error: \Q$d->{state}\E: belongs to user $uid.*chown -hR other: }m, 'the state of another user is not taken');
like(as('other', $d->{program}, '--config', $d->{file}, '--prepare'), qr/run it as root/, 'only root can do root\'s part');

# --- what root is not to be talked into ---
mkdir "$d->{dir}/$_" for qw(full full/dpkg empty rooms rooms/images theirs theirs/conf ours);
chown +(getpwnam 'other')[ 2, 3 ], "$d->{dir}/theirs";
my $n = 0;
sub elsewhere {
    my ($daemon, %o) = @_;
    my $file = ($o{folder} // $d->{dir}) . '/' . $n++ . '.ini';
    open my $f, '>', $file or die;
    print $f "[daemon]\nguix-configuration-directory = $d->{dir}/none\n$daemon";
    close $f;
    chown +(getpwnam $o{owner})[ 2, 3 ], $file if $o{owner};
    return run($d->{program}, '--config', $file, '--prepare', @{ $o{words} // [] });
}
like(elsewhere("state-directory = $d->{dir}/full\nruntime-directory = $d->{dir}/empty\n"),
    qr{^error: \Q$d->{dir}\E/full: belongs to user 0, and is not empty: it has dpkg; if user childhurd is to have it with all that}m, 'a folder of root\'s that is in use is not given away');
is($d->{status}, 1, '... which is an error');
is(owner("$d->{dir}/full"), 0, '... really');
like(elsewhere("state-directory = $d->{dir}/rooms\nruntime-directory = $d->{dir}/empty\n"), qr{^\Q$d->{dir}\E/rooms: belongs to user childhurd now$}m, 'one with images in it is');
my $harmless = "state-directory = $d->{dir}/rooms\nruntime-directory = $d->{dir}/empty\n";
like(elsewhere($harmless, owner => 'other'),                      qr{^error: \S+[.]ini: others than root can change it, and with it what root does}, 'a configuration of another user is not believed');
like(elsewhere($harmless, folder => "$d->{dir}/theirs/conf"),     qr{^error: \Q$d->{dir}\E/theirs: others than root can change it, and with it what root does}, '... nor one that he can put there');
like(elsewhere($harmless, words => ['--user', 'other']),          qr/rooms: belongs to user $uid.*chown -hR other: /, 'one user does not get the folders of another');
like(elsewhere('', words => ['--user', 'other']),                 qr/--user other: \S+ does not name that user's folders: set state-directory/, '... nor the standard ones');
symlink "$d->{dir}/ours", "$d->{dir}/theirs/link";
like(elsewhere("state-directory = $d->{dir}/theirs/link/state\nruntime-directory = $d->{dir}/theirs/run\n", words => ['--user', 'other']), qr{theirs/link/state: Permission denied; others than root can write to \Q$d->{dir}\E/theirs}, 'a link of his leads nowhere that he could not go');
is(join(' ', glob "$d->{dir}/ours/*"), '', '... and nothing is made there');
elsewhere("state-directory = $d->{dir}/theirs/state\nruntime-directory = $d->{dir}/theirs/run\n", words => ['--user', 'other']);
is($d->{status}, 0, 'folders among his own');
is(owner("$d->{dir}/theirs/$_"), +(getpwnam 'other')[2], "... $_ is his") for qw(state run);

# --- Guix is there, and guix-daemon runs as a user of its own ---
mkdir "$d->{dir}/$_" for qw(guix var-guix);
chown $guix, $guix, "$d->{dir}/var-guix";
my $q = '#' . ('1' x 64) . '#';
open my $f, '>', "$d->{dir}/guix/signing-key.pub" or die;
print $f "(public-key (ecc (curve Ed25519) (q $q)))\n";
close $f;
my $said = prepare();
is($d->{status}, 0, 'with Guix it does what is to be done') or diag($said);
for my $name (qw(a1 a2)) {
    like($said, qr{^$name: its signing key is in \Q$d->{dir}\E/guix/acl now$}m,                       "$name: its key is authorized");
    like($said, qr{^$name: user childhurd may lock its build slots in \Q$d->{dir}\E/var-guix/offload}m, "$name: its slots are shared");
    my @wrong = grep { owner($_) != $uid } split /\n/, `find $d->{state}/$name`;
    is("@wrong", '', "$name: all of its folder is the user's");
    is((stat "$d->{state}/$name")[2] & 0777, 0700, "$name: and closed");
    ok(-s "$d->{state}/$name/secrets/etc/guix/signing-key.sec", "$name: with a key pair");
}
my $acl = Childhurd::slurp("$d->{dir}/guix/acl");
is(() = $acl =~ /\(entry/g, 3, "the acl has both guests' keys and the host's");
is(owner("$d->{dir}/guix/acl"), 0, '... and is still root\'s');
is(prepare(), '', 'doing it again changes nothing');
is(Childhurd::slurp("$d->{dir}/guix/acl"), $acl, '... really');

# --- slots: the daemon keeps them without root, and Guix uses those that either has made ---
my $slots = "$d->{dir}/var-guix/offload/127.0.0.1:" . (10022 + 1000 * $id);
is(owner("$d->{dir}/var-guix/offload"), $guix, "Guix' folder is Guix' own");
is(owner($slots), $guix, '... as is the machine\'s');
my $lock = 'open my $f, "+>>", shift or die "$!\n"; print "good\n"';
is(as('guix-daemon', $^X, '-e', $lock, "$slots/0"), "good\n", 'Guix makes a slot');
is(as('childhurd', $^X, '-e', $lock, "$slots/0"), "good\n", 'which the daemon can keep');
is(as('childhurd', $^X, '-e', $lock, "$slots/1"), "good\n", 'the daemon makes one');
is(as('guix-daemon', $^X, '-e', $lock, "$slots/1"), "good\n", 'which Guix can use');
like(as('other', $^X, '-e', $lock, "$slots/1"), qr/Permission denied/, 'and nobody else');
like(as('childhurd', 'mkdir', "$d->{dir}/var-guix/offload/new"), qr/Permission denied/, "Guix' other folders are not the daemon's");

# --- what the daemon's user lays in root's way ---
rename "$d->{state}/a1/secrets", "$d->{state}/a1/old" or die;
open $f, '>', "$d->{dir}/prey" or die;
close $f;
chmod 0600, "$d->{dir}/prey";
mkdir "$d->{dir}/den", 0700;
symlink "$d->{dir}/den", "$d->{state}/a1/secrets";
like(prepare(), qr{a1/secrets: is a symbolic link}, 'a link in place of the secrets is refused');
is(join(' ', glob "$d->{dir}/den/*"), '', '... and nothing is made behind it');
unlink "$d->{state}/a1/secrets";
rename "$d->{state}/a1/old", "$d->{state}/a1/secrets";
unlink "$d->{state}/a1/offload_key.pub";
symlink "$d->{dir}/prey", "$d->{state}/a1/offload_key.pub";
prepare();
is(-s "$d->{dir}/prey", 0, 'a file of root\'s that a link leads to is not written');


# --- what goes wrong with one guest, or with Guix, does not keep the daemon from starting ---
my $own   = "$d->{state}/a1/secrets/etc/guix/signing-key.pub";
my $good  = Childhurd::slurp($own);
my %wrong = (
    "(public-key (ecc (curve Ed25519) (q #" . 'AB' x 100_000 . "#)))" => qr/has more than 16384 bytes/,
    '(public-key ' . '(' x 8000 . ')' x 8001                          => qr/more than 16 lists within one another/,
    '(public-key hello "a(b)c")'                                      => qr/is no signing key as Guix makes it, which is \(public-key \(ecc/,
);
for my $text (sort keys %wrong) {
    unlink $own;
    open $f, '>', $own or die;
    print $f $text;
    close $f;
    chown $uid, $gid, $own;
    chmod 0444, $own;
    like(prepare(), qr{a1: its signing key is not in .*/acl.*: \Q$own\E: .*$wrong{$text}}, 'a signing key that is none is a warning: ' . substr $text, 0, 40);
    is($d->{status}, 0, '... and no more');
}
is(Childhurd::slurp("$d->{dir}/guix/acl"), $acl, '... and the acl is as it was');
open $f, '>', $own or die;
print $f $good;
close $f;
rename "$d->{dir}/var-guix/offload", "$d->{dir}/var-guix/old" or die;
mkdir "$d->{dir}/var-guix/offload";
is(system('mount', '-t', 'ramfs', 'ramfs', "$d->{dir}/var-guix/offload"), 0, 'a file system without access control lists');
$said = prepare();
like($said, qr{^warning: a1: user childhurd can only look at its build slots.*\Q$slots\E: .*Operation not supported; put that folder on a file system}m,
    '... is a warning that names the folder');
unlike($said, qr{/proc/self}, '... as people know it');
is($d->{status}, 0, '... and the daemon can start');
system 'umount', "$d->{dir}/var-guix/offload";
rmdir "$d->{dir}/var-guix/offload";
rename "$d->{dir}/var-guix/old", "$d->{dir}/var-guix/offload" or die;
is(prepare(), '', 'and all is well again');

# --- the daemon itself ---
unlink "$d->{state}/a1/offload_key.pub";
$d->start;
like($d->ctl('list'), qr/^a1 +stopped/m, 'a daemon without root runs there');
$d->ctl('start', 'a1');
my $key = "$d->{state}/a1/offload_key";
ok($d->wait_until(60, 'it is published', sub { $d->machines =~ /\(private-key "\Q$key.guix\E"\)/ }),
    'a guest that starts is published, with a key for Guix');
like(as('guix-daemon', 'cat', "$key.guix"), qr/PRIVATE KEY/, "which guix-daemon's user can read");
like(as('guix-daemon', 'cat', $key), qr/Permission denied/, '... but not the other one');
like(as('other', 'cat', "$key.guix"), qr/Permission denied/, '... and nobody else can');
like(as('childhurd', 'ssh-keygen', '-y', '-f', $key), qr/^ssh-ed25519 /, "OpenSSH takes the daemon's user's");
like(as('childhurd', 'ssh-keygen', '-y', '-f', "$key.guix"), qr/UNPROTECTED PRIVATE KEY/, '... which is why there are two');
is($d->end >> 8, 0, '... and ends');

# --- a coordinator: the keys and the slots of guests that run on other hosts ---
my $sshd    = Sshd->new;
my $machine = {
    name => 'x', port => 2201, user => 'offloading', host_keys => [$sshd->{host_key}], systems => ['i586-gnu'], features => [],
    parallel_builds => 2, speed => 1, overload_threshold => 1.8, signing_key => "(public-key\n (ecc (curve Ed25519) (q #" . 'A' x 64 . "#)))",
};
my $list = JSON::PP::encode_json({ continues => JSON::PP::true,
    parameters => { machines => [$machine], version => '1.0', held => [{ name => 'x', number => 1, port => 2201, parallel_builds => 2 }] } });
Childhurd::spew("$sshd->{dir}/list", "$list\0");
$d->configure("[node far]\nssh = root\@127.0.0.1:$sshd->{port}\nhost-key = $sshd->{host_key}\n");
like(prepare(), qr{^nodes: user childhurd may lock all build slots in \Q$d->{dir}\E/var-guix/offload now\n\z}, 'with a node, all slots are shared');
is(prepare(), '', '... once');
$d->start;
my ($invited) = $d->ctl('node', 'invite') =~ /^ssh-key = (\S+ \S+)/m;
$sshd->allow($invited, "restrict,command=\"cat $sshd->{dir}/list; cat >/dev/null\"");
$d->ctl('reload');
my $waiting = "$d->{state}/nodes/signing-keys";
ok($d->wait_until(60, 'a key waits for root', sub { -s $waiting }), 'the signing key of a guest there waits for root') or diag $d->log;
$d->said(qr{ nodes: \Q$d->{dir}\E/guix/acl: cannot be written: .*, and root does that before the daemon starts \(childhurdd --prepare\): restart it},
    '... which is said');
my $far = "$d->{dir}/var-guix/offload/127.0.0.1:2201";
my $try = 'use Fcntl; open my $f, "+>>", shift or die "$!\n"; my $all = pack "s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0; print fcntl($f, F_SETLK, $all) ? "free\n" : "taken\n"';
ok($d->wait_until(60, 'its slots are locked', sub { -e "$far/1" && as('guix-daemon', $^X, '-e', $try, "$far/1") eq "taken\n" }),
    'a guest that is held there gets no build: the daemon has locked its slots') or diag as('guix-daemon', 'ls', '-la', $far);
is(as('guix-daemon', $^X, '-e', $try, "$far/2"), "free\n", '... in a folder where Guix can make some, too');
is($d->end >> 8, 0, 'the daemon ends');
my $other = "$d->{dir}/var-guix/offload/10.0.0.1:1";
as('guix-daemon', 'mkdir', $other);
is(as('guix-daemon', $^X, '-e', $lock, "$other/0"), "good\n", 'Guix makes a slot in a folder of its own');
is(as('childhurd', $^X, '-e', $lock, "$other/0"), "good\n", '... which the daemon can keep');

open $f, '>>', $waiting or die;
print $f "(public-key nonsense)\n";
close $f;
like(prepare(), qr{^nodes: 1 signing key of their guests is in \Q$d->{dir}\E/guix/acl now$}m, 'root puts the key into the acl, and nothing else');
like(Childhurd::slurp("$d->{dir}/guix/acl"), qr/#A{64}#/, '... really');
is(prepare(), '', '... once');
$d->start;
ok($d->wait_until(60, 'no key waits', sub { !-e $waiting && $d->machines =~ /far\/x/ }), 'for the next daemon all is well');
unlike($d->log =~ s/.*no guest runs$//msr, qr/acl/, '... and nothing is said of the acl');
$d->end;
unlink $waiting;
symlink "$d->{dir}/guix/acl", $waiting;
is(prepare(), '', 'a link in place of the keys is not followed');
done_testing;
