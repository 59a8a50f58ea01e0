# SPDX-License-Identifier: GPL-3.0-or-later
# The order of the house: the sources keep it, and tests/lint/house sees each kind of fault that is planted.
use v5.36;
use Test::More;
use File::Path qw(make_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

sub house {
    my ($folder) = @_;
    my $out = qx(tests/lint/house $folder 2>&1);
    return ($? >> 8, $out);
}

my ($status, $out) = house('.');
is($status, 0, 'the sources keep the order of the house') or diag $out;

# A house in which all is well, with one more file or a changed one. The names are those that tests/lint/blocking and rooms know.
my %well = (
    'childhurdd/main.c'              => qq(#include "childhurdd/world/health.h"\nstatic int\nlock(void)\n{\n\treturn flock(0, 0);\n}\n),
    'childhurdd/world/health.h'      => qq(#include "childhurdd/qemu/disk.h"\n),
    'childhurdd/world/health.c'      => qq(#include "childhurdd/world/health.h"\nstatic int\nlook(void)\n{\n\treturn 0; /* no waitpid() */\n}\n),
    'childhurdd/qemu/disk.h'         => qq(#include <glib.h>\n),
    'config/base/text.h'             => "\n",
);

sub planted {
    my ($what, $like, %plant) = @_;
    my $folder = tempdir(CLEANUP => 1);
    my %files  = (%well, %plant);
    for my $name (keys %files) {
        make_path(dirname("$folder/$name"));
        open my $f, '>', "$folder/$name" or die "$name: $!\n";
        print $f $files{$name};
        close $f or die "$name: $!\n";
    }
    my ($status, $out) = house($folder);
    $out = join '', grep { !/take the line out$/ && !/^\d+ faults? in/ } map { "$_\n" } split /\n/, $out;    # of sources that are not there
    if ($like) {
        is($status, 1, "$what is a fault");
        like($out, $like, '... which names file and line');
        is(() = $out =~ /\n/g, 1, '... and nothing else is one') or diag $out;
    } else {
        is($out, '', $what);
    }
}

planted('nothing is found where nothing is wrong', undef);
planted('an include against the order', qr{^childhurdd/qemu/disk\.h:1: childhurdd/qemu may not include childhurdd/hird/hird\.h},
    'childhurdd/qemu/disk.h' => qq(#include "childhurdd/hird/hird.h"\n));
planted('an include of a higher folder from the lowest', qr{^config/base/text\.h:1: config/base may not include config/keys\.h},
    'config/base/text.h' => qq(#include "config/keys.h"\n));
planted('a circle of files', qr{^\S+:\d: a circle of files: .*childhurdd/qemu/disk -> childhurdd/qemu/image -> childhurdd/qemu/disk},
    'childhurdd/qemu/disk.h'  => qq(#include "childhurdd/qemu/image.h"\n),
    'childhurdd/qemu/image.h' => qq(#include "childhurdd/qemu/disk.h"\n));
planted('a call that may block', qr{^childhurdd/world/health\.c:4: look calls waitpid, which may block},
    'childhurdd/world/health.c' => qq(/* not waitpid() */\nstatic int\nlook(void)\n{ return waitpid(0, 0, 0); }\n));
planted('a look at a file', qr{^childhurdd/world/health\.c:4: look calls open, which may block},
    'childhurdd/world/health.c' => qq(static int\nlook(void)\n{\n\treturn open("/a", 0);\n}\n));
planted('a call of what only workers may call', qr{^childhurdd/world/health\.c:4: look calls image_probe, which may block},
    'childhurdd/world/health.c' => qq(static int\nlook(void)\n{\n\treturn image_probe();\n}\n));
planted('a file in a folder that no rule knows', qr{^childhurdd/attic/old\.c: its folder has no line in tests/lint/rooms},
    'childhurdd/attic/old.c' => "\n");
planted('a function that no other source calls', qr{^childhurdd/qemu/disk\.c:2: no other source needs disk_size: make it static},
    'childhurdd/qemu/disk.h' => "int disk_size(void); /* disk_size() */\n",
    'childhurdd/qemu/disk.c' => qq(int\ndisk_size(void)\n{\n\treturn 0;\n}\nconst char *words = "disk_size";\n));
planted('nothing is found where a header calls it in a macro', undef,
    'childhurdd/qemu/disk.h' => "int disk_size(void);\n#define SIZE \\\n\tdisk_size()\n",
    'childhurdd/qemu/disk.c' => "int\ndisk_size(void)\n{\n\treturn SIZE;\n}\n");
planted('a macro that nothing uses', qr{^childhurdd/qemu/disk\.h:1: nothing uses SIZE},
    'childhurdd/qemu/disk.h' => "#define SIZE 1 /* SIZE */\n");
done_testing;
