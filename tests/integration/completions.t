# SPDX-License-Identifier: GPL-3.0-or-later
# The completions of childhurdctl in the real shells, with the guests of a real daemon.
use v5.36;
use Cwd qw(getcwd);
use File::Path qw(make_path);
use IO::Socket::UNIX;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Childhurd;
use Terminal;

for my $shell (qw(bash zsh fish)) {
    Childhurd::cannot("$shell is not installed") if system("command -v $shell >/dev/null");
}

# Nobody has to run for their names to be known.
my $id = Childhurd::free_id(3);
my $d  = Childhurd->new(guests => join '', map { "[guest $_]\nimage = /nonexistent\nautostart = no\nid = " . $id++ . "\n" } qw(alpha beta1 beta2));
$d->start;

my $source  = getcwd;
my $dir     = $d->{dir};
my $made    = "$Childhurd::BUILD/completions";
my @verbs   = qw(list status top start stop restart reset sleep drain undrain wait ssh console log events history report machines metrics screenshot image node bridge reload check completion version help);
my @guests  = qw(alpha beta1 beta2);
my $control = "$d->{runtime}/control";
$ENV{PATH}             = "$dir/bin:$Childhurd::BUILD:$ENV{PATH}";
$ENV{CHILDHURD_SOCKET} = $control;
$ENV{HOME}             = $ENV{XDG_CONFIG_HOME} = $ENV{XDG_DATA_HOME} = "$dir/home";
$ENV{TERM}             = 'xterm';
make_path("$dir/home", "$dir/files/folder");
# Another host, which is this one.
make_path("$dir/bin");
Childhurd::spew("$dir/bin/ssh", "#!/bin/sh\nwhile [ \"\$1\" != -- ]; do shift; done\n[ \"\$2\" = a ] && exec sh -c \"\$3\"\n");
chmod 0755, "$dir/bin/ssh";
Childhurd::slurp($_) or die $_ for map { "$made/$_" } qw(childhurdctl _childhurdctl childhurdctl.fish);
for my $file (qw(a.png b.ini guest)) { open my $f, '>', "$dir/files/$file" or die; }
chdir "$dir/files" or die;
END { chdir '/' }

# The states that the daemon knows.
$d->ctl('wait', 'alpha', '--for', 'nonsense') =~ /one of (.*)/ or die;
my @states = split /, /, $1;

# --- what is offered: after a line, in each shell ---

my @offers = (
    ['',                             \@verbs,                                             'verbs'],
    ['st',                           [qw(start status stop)],                             'verbs that begin so'],
    ['status ',                      \@guests,                                            'guests'],
    ['status beta1 b',               [qw(beta1 beta2)],                                   'one guest more'],
    ['cons ',                        \@guests,                                            'after a shortened verb'],
    ['stop --wait --timeout 5min b', [qw(beta1 beta2)],                                   "an option's value is no guest"],
    ['wait --for ',                  \@states,                                            'states'],
    ['wait alpha --for dr',          [qw(drained draining)],                              'states that begin so'],
    ['console alpha b',              [],                                                  'nothing where there is no more to say'],
    ['log --',                       [qw(--follow --help --host --lines --socket)],       "a verb's options"],
    ['screenshot alpha ',            [qw(a.png b.ini folder guest)],                      'files'],
    ['report ',                      [qw(a.png b.ini folder guest)],                      'folders'],
    ['image ',                           [qw(list fetch add check remove)],                   'what can be done with images'],
    ['node ',                            [qw(invite list)],                                       'what can be done with nodes'],
    ['node --',                          [qw(--help --host --json --socket)],                       'options of node'],
    ['image fetch debian-',              [qw(debian-amd64 debian-i386)],                      'images'],
    ['image add mine a',                 [qw(a.png)],                                         'files for an image'],
    ['--',                           [qw(--help --host --socket --version)],              'options before a verb'],
    ['help sc',                      ['screenshot'],                                      "help's verbs"],
    ['list -o ',                     [qw(wide name json)],                                'formats'],
    ['list --sort s',                [qw(since state)],                                   'what to sort by'],
    ['list --state dr',              [qw(drained draining)],                              'states to show'],
    ['completion ',                  [qw(bash zsh fish)],                                 'shells'],
    ['ls al',                        ['alpha'],                                           'after another name of list'],
    ['logs --f',                     ['--follow'],                                        'options of another name of log'],
    ['ssh alpha unam',               ['uname'],                                           'commands'],
    ["--socket $dir/nobody list ",   [],                                                  'the socket that was said: nobody there'],
    ["--socket $control list al",    ['alpha'],                                           'the socket that was said'],
    ["--host a --socket $control list al", ['alpha'],                                     "another host's guests"],
);

sub lines ($text) {
    my %seen = map { s{/$}{}r => 1 } grep { length } split /\n/, $text;
    return [sort keys %seen];
}

# Of several states with commas between them zsh adds the last one only, the others keep those before it.
sub offers ($shell, $ask) {
    my $before = $shell eq 'zsh' ? '' : 'ready,';
    for (@offers, ['list --state ready,dr', [map { $before . $_ } qw(drained draining)], 'one state more']) {
        my ($line, $expected, $what) = @$_;
        is_deeply(lines($ask->("childhurdctl $line")), [sort @$expected], "$shell: $what: $line");
    }
}

# What readline would make of the line, and bash of it.
sub ask_bash ($line) {
    my @words = split / /, $line, -1;
    open my $f, '>', "$dir/ask.bash" or die;
    print $f "source $made/childhurdctl\nCOMP_WORDS=(", join(' ', map { "'$_'" } @words), ")\nCOMP_CWORD=$#words\n",
      "_childhurdctl childhurdctl\nprintf '%s\\n' \"\${COMPREPLY[\@]}\"\n";
    close $f;
    return scalar `bash $dir/ask.bash 2>&1`;
}
offers('bash', \&ask_bash);

# A daemon of somebody else's, whose words the shell would take for its own.
my $foreign = fork // die;
if (!$foreign) {
    my $listener = IO::Socket::UNIX->new(Local => "$dir/foreign", Listen => 5) or die;
    while (my $client = $listener->accept) {
        local $/ = "\0";
        <$client>;
        print $client '{"parameters":{"guests":[{"name":"$(touch ', $dir, '/ran)"},{"name":"good"}]}}', "\0";
    }
    POSIX::_exit(0);
}
ok($d->wait_until(60, 'it listens', sub { -S "$dir/foreign" }), 'a daemon of somebody else');
is(ask_bash("childhurdctl --socket $dir/foreign stop "), "good\n", 'bash: what is no name is not offered');
ok(!-e "$dir/ran", '... and not run');
kill 'KILL', $foreign;
waitpid $foreign, 0;

sub ask_fish ($line) { return join "\n", map { s/\t.*//r } split /\n/, `fish -N -c 'source $made/childhurdctl.fish; complete -C "$line"' 2>&1` }
offers('fish', \&ask_fish);
like(`fish -N -c 'source $made/childhurdctl.fish; complete -C "childhurdctl scr"'`, qr/^screenshot\tsave a guest/, 'fish: says what a verb does');

# zsh completes on a terminal only: what it would add is written down.
open my $rc, '>', "$dir/home/.zshrc" or die;
print $rc <<"END";
fpath=($made \$fpath)
autoload -U compinit
compinit -u -D
PS1='ready> '
setopt no_beep no_always_last_prompt
LISTMAX=1000
compadd() {
	local -a hits options
	if [[ \${\@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then
		builtin compadd "\$\@"
		return
	fi
	builtin compadd -A hits "\$\@"
	(( \$#hits )) && print -rl -- \$hits >> $dir/hits
	builtin compadd "\$\@"
}
complete-and-note() {
	zle expand-or-complete
	print done > $dir/noted
}
zle -N complete-and-note
bindkey -e
bindkey '^I' complete-and-note
END
close $rc;
my $zsh = do {
    local $ENV{ZDOTDIR} = "$dir/home";
    Terminal->new(command => ['zsh', '-i'], columns => 200, rows => 60);
};
$zsh->expect(qr/ready> /) or die;

sub ask_zsh ($line) {
    unlink "$dir/hits", "$dir/noted";
    $zsh->type("\x15$line\t");
    my $until = time + 20;
    until (-s "$dir/noted" || time > $until) { $zsh->take(0.02) }
    return -s "$dir/noted" ? Childhurd::slurp("$dir/hits") : "zsh did not answer: $zsh->{said}";
}
offers('zsh', \&ask_zsh);
$zsh->type("\x15childhurdctl versi\t\n");
$zsh->expect(qr/childhurdd \d/, 'zsh: a line that was completed does what it says');
$zsh->type("exit\n");
is($zsh->end, 0, 'zsh ends');

# --- bash at a terminal, where bash-completion finds the file by itself ---

make_path("$dir/home/bash/completions");
symlink "$made/childhurdctl", "$dir/home/bash/completions/childhurdctl" or die;
$ENV{BASH_COMPLETION_USER_DIR} = "$dir/home/bash";
my $bash = Terminal->new(command => ['bash', '--norc', '-i']);
$bash->type("PS1='ready''> '; . /usr/share/bash-completion/bash_completion && echo loa''ded\n");
$bash->expect(qr/loaded/, 'bash: bash-completion is there');
$bash->type("childhurdctl stat\t al\t\n");
$bash->expect(qr/alpha: stopped/, 'bash: a line that was completed does what it says');
$bash->type("childhurdctl wait alpha --for=stoppe\t --timeout=1s && echo is''so\n");
$bash->expect(qr/isso/, 'bash: --for=STATE is completed');
$bash->type("childhurdctl ls --state=ready,stoppe\t -o na\t al\t && echo wasl''isted\n");
$bash->expect(qr/alpha\r?\n.*waslisted/s, 'bash: --state=STATE,STATE is completed');
$bash->type("exit\n");
is($bash->end, 0, 'bash ends');

# --- installed where the shells look ---

for (['/usr', 'vendor-completions'], ['/usr/local', 'site-functions']) {
    my ($prefix, $zsh_folder) = @$_;
    my $out = `make -s -C $source install B='$Childhurd::BUILD' PREFIX=$prefix DESTDIR=$dir/installed 2>&1`;
    is($?, 0, "make install PREFIX=$prefix") or diag($out);
    for my $file ('bash-completion/completions/childhurdctl', "zsh/$zsh_folder/_childhurdctl", 'fish/vendor_completions.d/childhurdctl.fish') {
        ok(-s "$dir/installed$prefix/share/$file", "$prefix/share/$file");
    }
}

$d->end;
done_testing;
