# SPDX-License-Identifier: GPL-3.0-or-later
# childhurdctl report: with a real daemon, whose guests become ready and fail, and in a real Chromium, which shows the pages of a
# hird that was made up, and of the real one.
use strict;
use warnings;
use lib 'tests/lib';
use Browser;
use Childhurd;
use File::Temp qw(tempdir);
use Test::More;

my $dir     = tempdir('/tmp/childhurd-report-XXXXXX', CLEANUP => !$ENV{CHILDHURD_KEEP});
my $browser = Browser->new;

sub files { my ($folder) = @_; return sort map { s{.*/}{}r } glob "$folder/*" }

# --- what a page must be in a browser ---

# The page in each width and colour: no overflow, nothing on the console, nothing loaded but the page and what is beside it.
sub looks_good {
    my ($folder, $file, $pictures) = @_;
    my %colours;
    for my $look ({ width => 360 }, { width => 360, dark => 1 }, { width => 1280 }, { width => 1280, dark => 1 }) {
        my $what = "$file, $look->{width} px" . ($look->{dark} ? ', dark' : '');
        $browser->look(%$look);
        $browser->show("file://$folder/$file");
        my $width = $browser->evaluate('document.documentElement.scrollWidth');
        is($width, $look->{width}, "$what: as wide as the screen") or diag wide_elements($look->{width});
        # Pictures below the screen are loaded when somebody comes there.
        $browser->evaluate('document.querySelectorAll("img").forEach(i => { i.loading = "eager" })');
        my $loaded = $browser->evaluate('Promise.all([...document.images].map(i => i.decode())).then(all => all.length, () => -1)');
        is($loaded, $pictures, "$what: all its pictures are there");
        is_deeply([ $browser->problems ], [], "$what: nothing on the console");
        my @elsewhere = grep { !m{^file://\Q$folder\E/[\w.-]+$} && !/^data:/ } $browser->requests;
        is_deeply(\@elsewhere, [], "$what: loads nothing from elsewhere");
        my $number = $browser->evaluate('document.scripts.length + document.querySelectorAll("link[rel=stylesheet], iframe, object, form").length');
        is($number, 0, "$what: no script, and nothing else that could load");
        $colours{ $look->{dark} ? 'dark' : 'light' } = $browser->evaluate('getComputedStyle(document.body).backgroundColor');
    }
    isnt($colours{dark}, $colours{light}, "$file: dark where that is preferred");
    readable($file);
}

# What reaches beyond the screen, for a failure.
sub wide_elements {
    my ($width) = @_;
    return $browser->evaluate("[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > $width && !e.closest('.wide'))"
        . '.slice(0, 5).map(e => e.outerHTML.slice(0, 200)).join("\n")');
}

# For those who do not see it, on the page that is shown.
sub readable {
    my ($file) = @_;
    my $without = $browser->evaluate(<<'JS');
[...document.querySelectorAll('svg[role=img]')].filter(svg => svg.getAttribute('aria-labelledby').split(' ')
    .some(id => !document.getElementById(id) || !document.getElementById(id).textContent)).length
    + [...document.querySelectorAll('svg:not([role=img])')].filter(svg => !svg.closest('[aria-hidden], [role=img]')).length
    + [...document.images].filter(image => !image.alt).length
    + [...document.querySelectorAll('table')].filter(table => !table.caption || !table.querySelector('th[scope]')).length
JS
    is($without, 0, "$file: each picture and table has its words");
    is($browser->evaluate('document.querySelectorAll("h1").length + document.querySelectorAll("main").length'), 2, "$file: one heading, one main part");
    # The contrast of texts (WCAG 2, 1.4.3), in both colours.
    for my $dark (0, 1) {
        $browser->look(width => 1280, dark => $dark);
        my $least = $browser->evaluate(<<'JS');
(() => {
    const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b };
    const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (c != 'rgba(0, 0, 0, 0)') return c } return 'rgb(255, 255, 255)' };
    return Math.min(...[...document.querySelectorAll('body *')].filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()) && !e.closest('svg'))
        .map(e => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05) }));
})()
JS
        cmp_ok($least, '>=', 3, "$file: its texts stand out from the ground" . ($dark ? ', in the dark, too' : ''));
    }
}

# --- a hird that was made up: 90 days, in which a guest means harm ---
SKIP: {
    skip 'no Chromium is installed, so nobody has looked at the pages: apt-get install chromium', 1 if !$browser;
    my $made = "$dir/made";
    local $ENV{SCREENSHOT} = "$dir/screen.png";
    $browser->look(width => 720, height => 400);
    $browser->show('about:blank');
    $browser->screenshot($ENV{SCREENSHOT});
    system("$Childhurd::BUILD/tests/tools/made_report", $made, 7) == 0 or BAIL_OUT('made_report');
    my @screens = Childhurd::slurp("$made/guest-hurd1.html") =~ /<img /g;
    cmp_ok(scalar @screens, '>', 3, 'failures have screenshots');
    looks_good($made, 'index.html', 0);
    is($browser->evaluate('document.title'), 'The Hurd guests of farm.example.org', 'what a guest sends as HTML does nothing');
    like($browser->evaluate('document.body.innerText'), qr/<script>document\.title = 'harm'/, '... and is shown as it is');
    looks_good($made, 'guest-hurd1.html', scalar @screens);
    is($browser->evaluate('document.title'), "hurd1 \x{2013} farm.example.org", '... on its own page, too');
    like($browser->evaluate('document.querySelector("svg.strip rect title").textContent'), qr/^(?:ready|on its way).* to /, 'a strip tells what it shows');
    $browser->print_to("$dir/page.pdf");
    cmp_ok(-s "$dir/page.pdf", '>', 10000, 'it can be printed');
    $browser->look(width => 700, print => 1);
    is($browser->evaluate('document.documentElement.scrollWidth'), 700, '... on A4, and fits');
    is($browser->evaluate('getComputedStyle(document.querySelector("nav")).display'), 'none', '... without the links to other pages');
}

# --- a real daemon: a guest that becomes ready, and one that has nothing to boot ---
my $image = Childhurd::need_image('linux');
Childhurd::spew("$dir/blank.img", "no system is here\n" . "\0" x (4 << 20));
chmod 0755, $dir;
my $id = Childhurd::free_id(3);
my $d  = Childhurd->new(guests => <<"INI");
[guest good]
id = $id
image = $image
memory-size = 256M
probe-interval = 1s
[guest bad]
id = ${\ ($id + 1)}
image = $dir/blank.img
image-format = raw
distribution = other
inject = none
offloading = no
memory-size = 64M
boot-timeout = 8s
restart = never
[guest idle]
id = ${\ ($id + 2)}
image = $image
autostart = no
INI
$d->start;
my $www = "$dir/www/hurd";
mkdir "$dir/www";
$d->ctl('wait', 'bad', '--for', 'failed', '--timeout', '60s');
is($d->{status}, 0, 'a guest without a system fails');
$d->ctl('wait', 'good', '--for', 'ready', '--timeout', '120s');
is($d->{status}, 0, 'the other becomes ready');

sub report { my $said = $d->ctl('report', @_); return $said }

# The daemon keeps what happens a moment later.
ok($d->wait_until(30, 'the history has the boot', sub { report("$dir/first"); Childhurd::slurp("$dir/first/guest-good.html") =~ /ready after .*<desc[^>]*>[^<]*ready \d|<desc[^>]*>[^<]*ready \d.*ready after /s }),
    'the report has what has just happened');
is(report($www), '', 'the report is written, and says nothing where nobody reads');
is($d->{status}, 0, '... successfully, into a folder that was not there');
my @files = files($www);
my ($screen) = grep { /^failure-\d+-\d+\.png$/ } @files;
is_deeply(\@files, [ sort 'childhurd-report.list', $screen, map({ "guest-$_.html" } qw(bad good idle)), 'index.html' ], 'a page for all, one for each, a screenshot');
like(Childhurd::slurp("$www/$screen"), qr/^\x89PNG/, '... which is a PNG');
my %page = map { $_ => Childhurd::slurp("$www/$_") } grep { /html$/ } @files;
like($page{'index.html'}, qr{1 in trouble</h2>.*guest-bad\.html.*failed}s, 'the page for all tells who has failed');
like($page{'index.html'}, qr{ready now</dt><dd>1 of 3<}, '... and how many are ready');
like($page{'guest-bad.html'}, qr{<img src="$screen" alt="The screen of bad when it failed, }, 'the failed one has its screenshot');
like($page{'guest-good.html'}, qr{Boots from the disk: 1</h3>.*ready after [\d.]+ (?:s|min).*\(.*boot [\d.]+ }s, 'the boot has its phases');
like($page{'guest-good.html'}, qr{<desc[^>]*>[^<]*ready \d}, 'its strip tells how long it was ready');
like($page{'guest-idle.html'}, qr/stopped/, 'one that was never started is there, too');
is((grep { $_ !~ m{</html>\n\z} } values %page), 0, 'all are whole');
if ($browser) {
    looks_good($www, 'index.html', 0);
    looks_good($www, 'guest-bad.html', 1);
    looks_good($www, 'guest-good.html', 0);
    looks_good($www, 'guest-idle.html', 0);
}

# --- again, with another name for one, and files of somebody else ---
Childhurd::spew("$www/notes.html", 'of somebody else');
Childhurd::spew("$www/failure-1-1.png", 'of somebody else');
$d->configure(<<"INI");
[guest renamed]
id = ${\ ($id + 2)}
image = $image
autostart = no
INI
$d->ctl('reload');
ok($d->wait_until(60, 'the others are gone', sub { $d->ctl('list', '--json') !~ /"(?:good|bad|idle)"/ }), 'two guests are not configured any more');
is(report($www), '', 'a second report');
is(Childhurd::slurp("$www/notes.html"), 'of somebody else', '... leaves what it has not written');
is(Childhurd::slurp("$www/failure-1-1.png"), 'of somebody else', '... even if it could be a name of its own');
ok(-e "$www/$screen", '... keeps a screenshot that it still shows');
like(Childhurd::slurp("$www/guest-good.html"), qr/not configured any more/, '... and tells who is not configured any more');
like(Childhurd::slurp("$www/guest-renamed.html"), qr/stopped/, '... and has who is new');

# --- as an example for cron, and for those who have no daemon ---
mkdir "$dir/foreign";
Childhurd::spew("$dir/foreign/index.html", 'of somebody else');
like(report("$dir/foreign"), qr{foreign/index\.html: was not written by childhurdctl report}, 'a page of somebody else stays');
is($d->{status}, 1, '... and that is an error');
is(Childhurd::slurp("$dir/foreign/index.html"), 'of somebody else', '... and nothing has changed');
like(report("$dir/nowhere/hurd"), qr{^childhurdctl: \Q$dir\E/nowhere/hurd: cannot be made: \Q$dir\E/nowhere: No such file or directory$}m, 'what is above has to be there');
is($d->{status}, 1, '... or it fails');
ok(!-e "$dir/nowhere", '... and is not made');
like(report("$dir/blank.img"), qr{^childhurdctl: \Q$dir\E/blank\.img: is not a directory$}m, 'a file is no directory');
like(report(), qr/DIRECTORY is missing/, 'a directory has to be named');
is($d->{status}, 2, '... or the usage is wrong');
$d->ctl('stop', '--all', '--now', '--wait', '--timeout', '60s');
$d->end('TERM');
like(report($www), qr/no childhurdd at/, 'without a daemon');
is($d->{status}, 3, '... the exit status says so');
ok(-e "$www/index.html", '... and the last report stays');
done_testing;
