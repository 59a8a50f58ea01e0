/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * secret-receiver: the guest's side of Guix' secret service, version 0.
 *
 * It does what secret-service-receive-secrets of Guix' (gnu build secret-service) does, its
 * weaknesses included, as those are what a sender has to cope with: one client only, an early end
 * within the files goes unnoticed, and whatever is wrong with the list makes the whole a failure.
 * Where Guile would read any Scheme datum, this reads the one form that can match; what does not
 * begin like it is refused at once.
 *
 *     secret-receiver [--no-hello] PORT WAIT PATIENCE
 *
 * WAIT is how long a client may take to come and PATIENCE how long it then may take to send all, in
 * seconds. Exit status: 0 files installed, 1 nothing valid came, 2 wrong usage. Messages go to
 * stdout, one a line.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char HELLO[] = "(secret-service-server (version 0))";

/* More than any secret root has; a list without an end is garbage, not a reason to run out of
 * memory. */
enum { FILES_MAX = 4096, NAME_MAX_BYTES = 4096 };

struct secret {
	char *name;
	uint64_t size;
	unsigned mode;
};

/* A client's socket, buffered; no read waits past the deadline. */
struct input {
	int fd;
	int64_t deadline; /* ms of CLOCK_MONOTONIC */
	bool timed_out;
	size_t at, end;
	unsigned char bytes[65536];
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until fd is readable; false when the deadline passes first. */
static bool
wait_readable(int fd, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - now_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return true;
		if (n == 0 && left <= 0)
			return false;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

/* Makes the buffer hold at least one byte; false at the end, on an error and when time is up. */
static bool
input_fill(struct input *in)
{
	ssize_t n;

	if (in->at < in->end)
		return true;
	do {
		if (!wait_readable(in->fd, in->deadline)) {
			in->timed_out = true;
			return false;
		}
		n = read(in->fd, in->bytes, sizeof in->bytes);
	} while (n < 0 && errno == EINTR);
	in->at = 0;
	in->end = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* The next byte, or -1. */
static int
input_next(struct input *in)
{
	return input_fill(in) ? in->bytes[in->at++] : -1;
}

static int
input_peek(struct input *in)
{
	return input_fill(in) ? in->bytes[in->at] : -1;
}

static bool
is_space(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
skip_space(struct input *in)
{
	while (is_space(input_peek(in)))
		in->at++;
}

static bool
expect_char(struct input *in, char c)
{
	skip_space(in);
	return input_next(in) == c;
}

/* A bare word (a symbol or a number); a parenthesis, a quote or a blank ends it. */
static bool
expect_symbol(struct input *in, const char *symbol)
{
	int c;

	skip_space(in);
	for (; *symbol != '\0'; symbol++)
		if (input_next(in) != (unsigned char)*symbol)
			return false;
	c = input_peek(in);
	return is_space(c) || c == '(' || c == ')';
}

static bool
read_number(struct input *in, uint64_t *value)
{
	int digits = 0;

	*value = 0;
	skip_space(in);
	for (int c; (c = input_peek(in)) >= '0' && c <= '9'; in->at++) {
		if (++digits > 18)
			return false;
		*value = *value * 10 + (uint64_t)(c - '0');
	}
	return digits > 0;
}

static int
hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* DIGITS hexadecimal digits as one character, appended in UTF-8, as Guile's reader has it. */
static bool
read_hex(struct input *in, int digits, char **to)
{
	unsigned c = 0;

	while (digits-- > 0) {
		int d = hex_digit(input_next(in));

		if (d < 0)
			return false;
		c = c * 16 + (unsigned)d;
	}
	if (c == 0 || c > 0x10ffff) /* no file name holds a NUL */
		return false;
	if (c < 0x80) {
		*(*to)++ = (char)c;
		return true;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};

	*(*to)++ = (char)(lead[more] | c >> (6 * more));
	while (more-- > 0)
		*(*to)++ = (char)(0x80 | (c >> (6 * more) & 0x3f));
	return true;
}

/* What follows a backslash in a string of Guile's `write', see "String Syntax" in its manual. */
static bool
read_escape(struct input *in, char **to)
{
	static const char names[] = "\\\"nrtabfv0", values[] = "\\\"\n\r\t\a\b\f\v";
	int c = input_next(in);
	const char *found = c > 0 ? strchr(names, c) : NULL;

	if (c == 'x')
		return read_hex(in, 2, to);
	if (c == 'u')
		return read_hex(in, 4, to);
	if (c == 'U')
		return read_hex(in, 6, to);
	if (found == NULL || values[found - names] == '\0')
		return false;
	*(*to)++ = values[found - names];
	return true;
}

/* A string, to be freed by the caller; NULL when there is none. */
static char *
read_string(struct input *in)
{
	char text[NAME_MAX_BYTES + 8];
	char *to = text;

	if (!expect_char(in, '"'))
		return NULL;
	for (int c; (c = input_next(in)) != '"';) {
		if (c <= 0 || to >= text + NAME_MAX_BYTES)
			return NULL;
		if (c != '\\')
			*to++ = (char)c;
		else if (!read_escape(in, &to))
			return NULL;
	}
	*to = '\0';
	return strdup(text);
}

/* (NAME SIZE MODE), the opening parenthesis still to come. */
static bool
read_secret(struct input *in, struct secret *secret)
{
	uint64_t mode = 0;

	*secret = (struct secret){0};
	if (!expect_char(in, '(') || (secret->name = read_string(in)) == NULL ||
	    !read_number(in, &secret->size) || !read_number(in, &mode) || !expect_char(in, ')')) {
		free(secret->name);
		return false;
	}
	secret->mode = (unsigned)(mode & 07777);
	return true;
}

/* (secrets (version 0) (files (SECRET ...))); the number of files, or -1 when it is not that. */
static int
read_list(struct input *in, struct secret *secrets)
{
	int n = 0;

	if (!(expect_char(in, '(') && expect_symbol(in, "secrets") && expect_char(in, '(') &&
	      expect_symbol(in, "version") && expect_symbol(in, "0") && expect_char(in, ')') &&
	      expect_char(in, '(') && expect_symbol(in, "files") && expect_char(in, '(')))
		return -1;
	for (;;) {
		skip_space(in);
		if (input_peek(in) == ')')
			break;
		if (n == FILES_MAX || !read_secret(in, &secrets[n]))
			goto invalid;
		n++;
	}
	if (expect_char(in, ')') && expect_char(in, ')') && expect_char(in, ')'))
		return n;
invalid:
	while (n > 0)
		free(secrets[--n].name);
	return -1;
}

/* Makes the folders above a file, like mkdir -p. */
static void
make_parents(const char *name)
{
	char *folder = strdup(name);

	for (char *slash = folder; slash != NULL && (slash = strchr(slash + 1, '/')) != NULL;
	     *slash = '/') {
		*slash = '\0';
		mkdir(folder, 0777);
	}
	free(folder);
}

static bool
write_all(int fd, const unsigned char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes += n;
		size -= (size_t)n;
	}
	return true;
}

/* Installs one file from the bytes that follow. Input that ends early leaves it short: Guix takes
 * that for success. */
static bool
install(struct input *in, const struct secret *secret)
{
	bool done = true;
	int fd;

	make_parents(secret->name);
	unlink(secret->name);
	fd = open(secret->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		printf("cannot make %s: %s\n", secret->name, strerror(errno));
		return false;
	}
	for (uint64_t left = secret->size; left > 0 && done && input_fill(in);) {
		size_t n = in->end - in->at;

		if (n > left)
			n = (size_t)left;
		done = write_all(fd, in->bytes + in->at, n);
		in->at += n;
		left -= n;
	}
	done = done && fchmod(fd, secret->mode) == 0;
	if (close(fd) != 0 || !done) {
		printf("cannot write %s: %s\n", secret->name, strerror(errno));
		return false;
	}
	return true;
}

/* Waits for the one client, -1 when none comes; nobody is listening any more once it is there. */
static int
accept_client(uint16_t port, int64_t wait_ms)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, client = -1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
		printf("cannot listen on port %u: %s\n", port, strerror(errno));
	} else {
		printf("waiting for secrets on port %u\n", port);
		if (wait_readable(fd, now_ms() + wait_ms))
			client = accept(fd, NULL, NULL);
		if (client < 0)
			puts("no client came");
	}
	if (fd >= 0)
		close(fd);
	return client;
}

static bool
receive(int client, bool hello, int64_t patience_ms)
{
	static struct input in;
	static struct secret secrets[FILES_MAX];
	bool done = true;
	int n;

	in.fd = client;
	in.deadline = now_ms() + patience_ms;
	if (hello && !write_all(client, (const unsigned char *)HELLO, sizeof HELLO - 1))
		return false;
	n = read_list(&in, secrets);
	if (n < 0) {
		puts(in.timed_out ? "no secrets received in time" : "invalid secrets received");
		return false;
	}
	for (int i = 0; i < n; i++) {
		done = done && install(&in, &secrets[i]);
		free(secrets[i].name);
	}
	if (done && in.timed_out) {
		puts("the files did not come in time"); /* where Guix waits on, a test wants an end
							 */
		return false;
	}
	if (done)
		printf("received %d secret files\n", n);
	return done;
}

int
main(int argc, char **argv)
{
	bool hello = argc < 2 || strcmp(argv[1], "--no-hello") != 0;
	char **words = hello ? argv + 1 : argv + 2;
	bool done;
	int client;

	if (argc != (hello ? 4 : 5)) {
		fputs("usage: secret-receiver [--no-hello] PORT WAIT PATIENCE\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	client = accept_client((uint16_t)atoi(words[0]), atoi(words[1]) * INT64_C(1000));
	if (client < 0)
		return 1;
	done = receive(client, hello, atoi(words[2]) * INT64_C(1000));
	close(client);
	return done ? 0 : 1;
}
