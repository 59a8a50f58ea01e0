# SPDX-License-Identifier: GPL-3.0-or-later
# Secrets and Guix' own (gnu build secret-service): what we send is what its receiver writes, whatever the files are called;
# and what its sender sends is what the linux guest's receiver writes, on which the other tests rely.
use strict;
use warnings;
use lib 'tests/lib';
use Childhurd;
use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use Guix;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

my $image = Childhurd::need_image('guix');
my $begun = time;
my $dir   = tempdir('/tmp/childhurd-test-XXXXXX', CLEANUP => 0);
chmod 0755, $dir;
umask 022;
my $g = Guix->new(dir => $dir, runtime => "$dir/run");
my $d = Childhurd->new(dir => $dir);
$g->start;

my $id   = Childhurd::free_id(1);
my $name = 'odd';

# --- files of all kinds ---
# Bytes, not characters: what the file system has.
my $odd    = 'received/odd';
my %given = (
    "$odd/plain"                             => ["plain\n",                0644],
    "$odd/private"                           => ["private\n",              0600],
    "$odd/read-only"                         => ["read only\n",            0400],
    "$odd/program"                           => ["#!/bin/sh\n",            0755],
    "$odd/setuid"                            => ["s",                      04755],
    "$odd/empty"                             => ['',                       0644],
    "$odd/empty too"                         => ['',                       0600],
    "$odd/two  spaces "                      => ["spaces\n",               0644],
    "$odd/\"quotes\" and 'others'"           => ["quotes\n",               0644],
    "$odd/back\\slash\\n\\\\"                => ["backslashes\n",          0644],
    "$odd/(paren) #;comment |bar|"           => ["syntax\n",               0644],
    "$odd/tab\there"                         => ["tab\n",                  0644],
    "$odd/new\nline"                         => ["newline\n",              0644],
    "$odd/esc\033[0m and \177"               => ["control\n",              0644],
    "$odd/\xc3\xbcn\xc3\xafc\xc3\xb6de \xe2\x9c\x93" => ["no ASCII\n",     0644],
    "$odd/\xf0\x9f\x90\x83"                  => ["beyond 16 bits\n",       0644],
    "$odd/nbsp\xc2\xa0here"                  => ["a blank of its own\n",   0644],
    "$odd/list-like"                         => ['(secrets (version 0) (files (("/x" 3 33152))))abc', 0644],
    "$odd/binary"                            => [join('', map { chr } 0 .. 255) x 5, 0644],
    "$odd/deep/er/and/deeper/file"           => ["deep\n",                 0644],
    "$odd/large"                             => [join('', map { pack 'N', $_ * 2654435761 % 4294967296 } 1 .. 2621440), 0644],
    map { (sprintf("received/many/file-%03d", $_) => ["number $_\n", 0600]) } 1 .. 200,
);

sub write_given {
    my ($root) = @_;
    for my $file (keys %given) {
        my ($folder) = "$root/$file" =~ m{(.*)/}s;
        make_path($folder);
        Childhurd::spew("$root/$file", $given{$file}[0]);
        chmod $given{$file}[1], "$root/$file" or die;
    }
}

# What is below a folder, for comparison: mode, size and checksum of each file.
sub as_given { return { map { $_ => sprintf '%o %d %s', $given{$_}[1], length $given{$_}[0], sha256_hex($given{$_}[0]) } keys %given } }

sub as_found {
    my ($root) = @_;
    my %found;
    my @todo = ('received');
    while (defined(my $at = shift @todo)) {
        opendir my $folder, "$root/$at" or next;
        for my $entry (grep { !/^\.\.?$/ } readdir $folder) {
            if (-d "$root/$at/$entry") { push @todo, "$at/$entry"; next }
            my $text = Childhurd::slurp("$root/$at/$entry");
            $found{"$at/$entry"} = sprintf '%o %d %s', (stat "$root/$at/$entry")[2] & 07777, length $text, sha256_hex($text);
        }
    }
    return \%found;
}

sub is_all {
    my ($root, $what) = @_;
    is_deeply(as_found($root), as_given(), $what);
    remove_tree("$root/received");
}

# --- a guest gets them: begun here, looked at in the end ---
write_given("$dir/secrets/$name");
$d->configure(<<"INI");
[guest $name]
id = $id
image = $image
memory-size = 384M
INI
$d->start;

# --- our sender, Guix' receiver, each other's bytes seen from outside ---
# Guix' receiver does not reuse a port that was in use a moment ago, so each has one of its own.
my $port;

sub new_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "no free port: $!";
    $port = $socket->sockport;
}

Childhurd::spew("$dir/receive.scm", Childhurd::slurp('tests/guests/guix/root/usr/share/guest/secret-receiver.scm'));
sub receiver { new_port(); return $g->begin('guile', '--no-auto-compile', "$dir/receive.scm", $port, 60) }

sub send_secrets {
    my ($root) = @_;
    my $out = "$dir/sent";
    unlink $out;
    waitpid Guix::spawn($out, "$Childhurd::BUILD/tests/tools/send_secrets", $port, $root), 0;
    $d->{status} = $? >> 8;
    return Childhurd::slurp($out);
}

my $tree = "$dir/tree";
write_given($tree);
my $receiver = receiver();
is(send_secrets($tree), "delivered\n", 'Guix\' receiver takes all files');
my $said = $g->finish($receiver, 30);
is($g->{status}, 0, '... and is content');
like($said, qr/received ${\ scalar keys %given} secret files/, '... with their number');
is_all($g->{root}, '... and each has its name, content and mode');

# A folder stands where a file is to go: Guix' receiver throws in the middle, and hangs. Then it is killed.
make_path("$g->{root}/received/odd/binary");
$receiver = receiver();
my $sending = Guix::spawn("$dir/half", "$Childhurd::BUILD/tests/tools/send_secrets", $port, $tree);
ok($d->wait_until(60, 'it throws', sub { $g->said($receiver) =~ /Uncaught exception/ }), 'a receiver is stuck in the middle');
$g->kill_job($receiver);
waitpid $sending, 0;
is($? >> 8, 1, '... and dies: it is not taken for one that has all');
like(Childhurd::slurp("$dir/half"), qr/may have half of its secrets/, '... but said to have half of it');
$g->finish($receiver, 30);
remove_tree("$g->{root}/received");
$receiver = receiver();
is(send_secrets($tree), "delivered\n", 'when it is started again it gets all');
$g->finish($receiver, 30);
is_all($g->{root}, '... again');

# --- Guix' sender, the linux guest's receiver ---
Childhurd::spew("$dir/send.scm", <<'SCM');
(use-modules (fibers) (gnu build secret-service) (ice-9 match))
(match (command-line)
  ((_ port root)
   (exit (->bool (run-fibers
                  (lambda ()
                    (secret-service-send-secrets
                     (make-socket-address AF_INET INADDR_LOOPBACK (string->number port)) root))
                  #:hz 0)))))
SCM
is(system('gcc', '-static', '-O2', '-std=gnu11', '-D_GNU_SOURCE', '-o', "$dir/secret-receiver", 'tests/guests/linux/secret-receiver.c'),
    0, 'the linux guest\'s receiver is built');
new_port();
my $ours = $g->begin("$dir/secret-receiver", $port, 60, 60);
$g->run(60, 'guile', '--no-auto-compile', "$dir/send.scm", $port, $tree);
is($g->{status}, 0, 'Guix\' sender is content with it') or diag $g->{output};
like($g->finish($ours, 30), qr/received ${\ scalar keys %given} secret files/, 'it takes all files');
is($g->{status}, 0, '... and is content');
is_all($g->{root}, '... and each has its name, content and mode');

# --- what the guest got ---
$d->ctl('wait', $name, '--for', 'ready', '--timeout', '180s');
is($d->{status}, 0, 'a guest with Guix\' receiver becomes ready with so many files more');
my $pid = $d->spawn("$dir/fetched.tar", "$Childhurd::BUILD/childhurdctl", '--socket', "$d->{runtime}/control", 'ssh', $name,
    'tar -C / -c received');
waitpid $pid, 0;
mkdir "$dir/fetched";
is(system('tar', '-x', '-p', '-C', "$dir/fetched", '-f', "$dir/fetched.tar"), 0, 'they are fetched from it');
is_all("$dir/fetched", '... and each has its name, content and mode');
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
note sprintf '%.0f s', time - $begun;
done_testing;
