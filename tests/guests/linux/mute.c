/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mute: a dead sshd. It accepts on a port and never says or hears a thing, which is what a hung
 * guest behind QEMU's forward looks like. Clients stay connected until they go themselves or the
 * guest ends.
 *
 *     mute PORT FILE
 *
 * FILE is made once it listens, as sshd makes its pid file.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int
main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 3) {
		fputs("usage: mute PORT FILE\n", stderr);
		return 2;
	}
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0 ||
	    open(argv[2], O_WRONLY | O_CREAT | O_CLOEXEC, 0644) < 0) {
		perror("mute");
		return 1;
	}
	for (;;)
		(void)!accept(fd, NULL, NULL);
}
