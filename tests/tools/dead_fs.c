/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dead_fs FOLDER...: mount on each folder a file system that never answers, until the input ends.
 * Takes root. What waits for a file in there gets an error then. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

/* The kernel's requests (fuse(4)) are never read. */
static int
mount_dead(const char *folder)
{
	char options[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror("/dev/fuse");
		return -1;
	}
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 fd);
	if (mount("dead_fs", folder, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		perror(folder);
		return -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	char byte;
	int mounted = 1;
	if (argc < 2) {
		fputs("usage: dead_fs FOLDER...\n", stderr);
		return 2;
	}
	while (mounted < argc && mount_dead(argv[mounted]) == 0)
		mounted++;
	if (mounted == argc) {
		puts("dead");
		fflush(stdout);
		while (read(0, &byte, 1) > 0)
			;
	}
	while (--mounted > 0)
		umount2(argv[mounted], MNT_DETACH);
	return 0;
}
