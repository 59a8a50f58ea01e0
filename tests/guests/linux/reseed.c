/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * reseed: what is written to /dev/urandom counts for what is read next, as on the Hurd. Linux by itself mixes it in some time within
 * the next minute, so each time somebody has written to it, this program has Linux do that at once. Runs until it is killed.
 */
#include <fcntl.h>
#include <linux/random.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef RNDRESEEDCRNG
#define RNDRESEEDCRNG _IO('R', 0x07)
#endif

int main(void)
{
	char event[4096];
	int random = open("/dev/urandom", O_RDONLY), watch = inotify_init();

	if (random < 0 || watch < 0 || inotify_add_watch(watch, "/dev/urandom", IN_CLOSE_WRITE) < 0)
		return 1;
	while (read(watch, event, sizeof event) > 0)
		ioctl(random, RNDRESEEDCRNG);
	return 1;
}
