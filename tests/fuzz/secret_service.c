/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes both ends of the secret service: a real delivery to a guest that does anything, and what a
 * guest's receiver makes of what is sent.
 *
 * Input, up to the first 0xff: what the guest does, a byte for each step and what belongs to it
 * (enum step); the first byte has flags. Whatever it does, a guest that has not said the hello gets
 * no byte, every guest gets the beginning of the message and nothing else, and a delivery that
 * succeeded was taken as a whole.
 *
 * Behind it: files, whose names and contents are separated by NULs. The message of them is read by
 * the receiver of our test guests, and its list by the real Guile, as by Guix' receiver (which is
 * not ours); both have to see what was meant. The receiver gets the bytes as they are, too.
 */
#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "ssh/secrets/root.h"
#include "ssh/secrets/service.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/fuzz/lib/guile.h"

int receiver_main(int argc, char **argv);
#define main receiver_main
#include "tests/guests/linux/secret-receiver.c"
#undef main

#define BETWEEN	    0xff
#define FILES_GIVEN 64
#define LARGE	    (4 << 20) /* bytes of a message that no socket's buffer holds */
#define STEPS_MAX   64

enum flag {
	FLAG_LARGE = 1 << 0,	     /* the message */
	FLAG_SMALL_BUFFER = 1 << 1,  /* the guest's */
	FLAG_FREE_IN_HELLO = 1 << 2, /* the delivery */
	FLAG_FREE_IN_DONE = 1 << 3,
	FLAG_STRANGER = 1 << 4, /* the hello function says that it is another listener */
	FLAG_SILENT = 1 << 5,	/* at the end the guest neither reads nor closes */
};

enum step {
	STEP_SAY,	 /* so many bytes (the next one), which follow */
	STEP_HELLO,	 /* the whole of it */
	STEP_HELLO_PART, /* its first bytes; how many is the next one */
	STEP_READ,	 /* so many bytes (the next one, times 256) */
	STEP_END,	 /* nothing more is said */
	STEP_CLOSE,
	STEP_RESET,
	STEP_FREE, /* our end gives up */
	STEPS,
};

/* --- a delivery --- */

struct trial {
	struct ev_loop *loop;
	struct secret_delivery *delivery;
	guint flags;
	int guest; /* its socket; -1: it has closed it */
	GByteArray *said, *heard;
	guint hellos, dones;
	gboolean succeeded, freed, ended; /* ended: the guest says nothing more */
	gsize size;			  /* of the message */
	gsize arrived;			  /* of it, when the delivery ended */
	gsize left;			  /* unread, when a guest that says nothing more closed */
};

/* Bytes that have arrived at the guest. */
static int
unread(const struct trial *trial)
{
	int n = 0;
	return trial->guest >= 0 && ioctl(trial->guest, FIONREAD, &n) == 0 ? n : 0;
}

static void
let_go(struct trial *trial)
{
	secret_delivery_free(g_steal_pointer(&trial->delivery));
	trial->freed = TRUE;
}

static gboolean
on_hello(struct secret_delivery *delivery, int fd, void *data)
{
	struct trial *trial = data;
	require(!trial->hellos++ && !trial->dones && !trial->freed, "there is one hello", NULL);
	if (trial->flags & FLAG_FREE_IN_HELLO)
		let_go(trial);
	return !(trial->flags & FLAG_STRANGER);
}

static void
on_done(struct secret_delivery *delivery, const GError *error, void *data)
{
	struct trial *trial = data;
	require(!trial->dones++ && !trial->freed, "a delivery ends once", NULL);
	require(!error || *error->message, "a failure says why", NULL);
	/* A guest that has closed its writing end may leave them in its kernel. */
	trial->arrived = trial->heard->len + trial->left + (gsize)unread(trial);
	trial->succeeded = !error;
	if (trial->flags & FLAG_FREE_IN_DONE)
		let_go(trial);
}

/* Has the guest said the hello, and only blanks behind it? */
static gboolean
is_hello(const GByteArray *said)
{
	gsize length = strlen(SECRET_SERVICE_HELLO);
	if (said->len < length || memcmp(said->data, SECRET_SERVICE_HELLO, length) != 0)
		return FALSE;
	for (guint i = (guint)length; i < said->len; i++)
		if (!memchr(" \t\r\n", said->data[i], 4))
			return FALSE;
	return said->len <= length + SECRET_SERVICE_BLANKS_MAX;
}

static void
say(struct trial *trial, const void *bytes, size_t n)
{
	if (trial->guest < 0 || trial->ended || !n)
		return;
	ssize_t sent = send(trial->guest, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0)
		g_byte_array_append(trial->said, bytes, (guint)sent);
}

/* How much was heard; 0: it has ended, less: nothing now. */
static ssize_t
hear(struct trial *trial, size_t n)
{
	static char bytes[65536];
	ssize_t got =
	    trial->guest < 0 ? 0 : recv(trial->guest, bytes, MIN(n, sizeof bytes), MSG_DONTWAIT);
	if (got > 0)
		g_byte_array_append(trial->heard, (const guint8 *)bytes, (guint)got);
	return got < 0 && errno != EAGAIN ? 0 : got;
}

static void
hang_up(struct trial *trial, gboolean reset)
{
	const struct linger at_once = {1, 0};
	if (trial->guest < 0)
		return;
	if (trial->ended)
		trial->left = (gsize)unread(trial);
	if (reset)
		setsockopt(trial->guest, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(trial->guest);
	trial->guest = -1;
}

static void
turn(struct trial *trial)
{
	for (int i = 0; i < 4; i++)
		ev_run(trial->loop, EVRUN_NOWAIT);
}

/* Do a step; returns how many bytes belong to it. */
static size_t
do_step(struct trial *trial, enum step step, const uint8_t *data, size_t size)
{
	size_t argument = size ? data[0] : 0;
	switch (step) {
	case STEP_SAY:
		argument = MIN(argument, size - MIN(size, 1));
		say(trial, data + 1, argument);
		return argument + 1;
	case STEP_HELLO:
		say(trial, SECRET_SERVICE_HELLO, strlen(SECRET_SERVICE_HELLO));
		return 0;
	case STEP_HELLO_PART:
		say(trial, SECRET_SERVICE_HELLO, MIN(argument, strlen(SECRET_SERVICE_HELLO)));
		return 1;
	case STEP_READ:
		hear(trial, argument * 256);
		return 1;
	case STEP_END:
		if (trial->guest >= 0)
			shutdown(trial->guest, SHUT_WR);
		trial->ended = TRUE;
		return 0;
	case STEP_CLOSE:
	case STEP_RESET:
		hang_up(trial, step == STEP_RESET);
		return 0;
	case STEP_FREE:
		if (trial->delivery)
			let_go(trial);
		return 0;
	default:
		return 0;
	}
}

/* Guix' receiver reads all and closes; one that is silent is given up. */
static void
end(struct trial *trial)
{
	gboolean silent = trial->flags & FLAG_SILENT;
	while (!trial->dones && !trial->freed) {
		ssize_t got = silent ? -1 : hear(trial, 65536);
		if (got == 0 || (got < 0 && !silent && !trial->hellos))
			hang_up(trial, FALSE);
		turn(trial);
		if (got < 0 && !trial->dones && !trial->freed)
			ev_run(trial->loop, EVRUN_ONCE);
	}
	while (!silent && hear(trial, 65536) > 0)
		;
}

static void
judge(struct trial *trial, const char *message)
{
	require(trial->heard->len <= trial->size &&
		    !memcmp(trial->heard->data ? trial->heard->data : (const guint8 *)"", message,
			    trial->heard->len),
		"a guest gets the message", NULL);
	require(trial->hellos || (!trial->heard->len && !unread(trial)),
		"a guest without the hello gets nothing", NULL);
	require(!(trial->flags & FLAG_STRANGER) || (!trial->heard->len && !unread(trial)),
		"a stranger gets nothing", NULL);
	require(!trial->succeeded || is_hello(trial->said), "success needs the hello", NULL);
	require(!trial->succeeded || trial->arrived == trial->size,
		"what was delivered has arrived", NULL);
}

static void
deliver(const uint8_t *data, size_t size)
{
	static guint runs;
	static char *large;
	/* ms; few, as many inputs reach them */
	static const struct secret_service_limits limits = {5, 5, 5, 5};
	const int small = 4096;
	if (!large)
		large = g_strnfill(LARGE, 'k');
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof address;
	struct trial trial = {.loop = ev_loop_new(EVFLAG_AUTO), .flags = size ? data[0] : 0};
	trial.size = trial.flags & FLAG_LARGE ? LARGE : 1000;
	trial.said = g_byte_array_new();
	trial.heard = g_byte_array_new();
	/* Connections that were closed occupy their pair of addresses for a minute. */
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + runs++ % 0xffff00);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (trial.flags & FLAG_SMALL_BUFFER)
		setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	require(bind(listener, (struct sockaddr *)&address, length) == 0 &&
		    listen(listener, 1) == 0 &&
		    getsockname(listener, (struct sockaddr *)&address, &length) == 0,
		"there are sockets", NULL);
	g_autoptr(GBytes) message = g_bytes_new_static(large, trial.size);
	char place[INET_ADDRSTRLEN];
	inet_ntop(AF_INET, &address.sin_addr, place, sizeof place);
	trial.delivery = secret_delivery_new(trial.loop, place, ntohs(address.sin_port), message,
					     &limits, on_hello, on_done, &trial);
	ev_run(trial.loop, EVRUN_ONCE); /* it connects */
	trial.guest = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	require(trial.guest >= 0, "it connects", NULL);
	for (size_t at = 1, n = 0; at < size && n < STEPS_MAX; n++) {
		enum step step = data[at] % STEPS;
		at++;
		at += do_step(&trial, step, data + MIN(at, size), size - MIN(at, size));
		if (at < size && data[at] & 0x80) /* else the next step comes with this one */
			turn(&trial);
	}
	end(&trial);
	judge(&trial, large);
	secret_delivery_free(trial.delivery);
	hang_up(&trial, TRUE);
	close(listener);
	ev_loop_destroy(trial.loop);
	g_byte_array_unref(trial.said);
	g_byte_array_unref(trial.heard);
}

/* --- messages --- */

static GPtrArray *
files_of(const uint8_t *data, size_t size)
{
	GPtrArray *files = g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	while (size && files->len < FILES_GIVEN) {
		struct secret_file *file = g_new0(struct secret_file, 1);
		file->name = fuzz_part(&data, &size, '\0');
		char *content = fuzz_part(&data, &size, '\0');
		gsize n = content ? strlen(content) : 0;
		file->content = g_bytes_new_take(content, n);
		file->mode = S_IFREG | (mode_t)(n * 8 & 0777);
		g_ptr_array_add(files, file);
	}
	return files;
}

static gboolean
all_utf8(const GPtrArray *files)
{
	for (guint i = 0; i < files->len; i++)
		if (!g_utf8_validate(((struct secret_file *)files->pdata[i])->name, -1, NULL))
			return FALSE;
	return TRUE;
}

/* What the receiver of the test guests reads; n: what it reported. */
static int
receive_list(const void *bytes, gsize n, struct input *in, struct secret *secrets)
{
	static int file = -1;
	if (file < 0)
		file = memfd_create("message", MFD_CLOEXEC);
	*in = (struct input){.fd = file, .deadline = now_ms() + 10000};
	require(ftruncate(file, 0) == 0 && pwrite(file, bytes, n, 0) == (ssize_t)n &&
		    lseek(file, 0, SEEK_SET) == 0,
		"the message can be kept", NULL);
	return read_list(in, secrets);
}

static void
check_receiver(const GPtrArray *files, const char *bytes, gsize n)
{
	static struct input in;
	static struct secret secrets[FILES_MAX];
	int found = receive_list(bytes, n, &in, secrets);
	for (guint i = 0; i < files->len; i++)
		if (strlen(((struct secret_file *)files->pdata[i])->name) >= NAME_MAX_BYTES)
			found = found < 0 ? (int)files->len + 1 : found; /* its own limit */
	if (found == (int)files->len + 1)
		return;
	require(found == (int)files->len, "the receiver finds all files", bytes);
	for (guint i = 0; i < files->len; i++) {
		const struct secret_file *file = files->pdata[i];
		require(!strcmp(secrets[i].name, file->name) &&
			    secrets[i].size == g_bytes_get_size(file->content) &&
			    secrets[i].mode == (file->mode & 07777),
			"the receiver sees each file as it is", file->name);
		free(secrets[i].name);
	}
	for (guint i = 0; i < files->len; i++) {
		gsize size;
		const struct secret_file *file = files->pdata[i];
		const char *content = g_bytes_get_data(file->content, &size);
		for (gsize j = 0; j < size; j++)
			require(input_next(&in) == (unsigned char)content[j],
				"the contents follow the list", file->name);
	}
	require(input_next(&in) == -1, "nothing follows the contents", NULL);
}

static void
check_guile(const GPtrArray *files, const char *bytes, gsize n)
{
	gsize contents = 0;
	g_autoptr(GString) should_be = g_string_new("('7:secrets('7:versioni0;)('5:files(");
	for (guint i = 0; i < files->len; i++) {
		const struct secret_file *file = files->pdata[i];
		gsize size = g_bytes_get_size(file->content);
		g_string_append_c(should_be, '(');
		guile_append(should_be, file->name);
		g_string_append_printf(should_be, "i%zu;i%u;)", size, (unsigned)file->mode);
		contents += size;
	}
	g_string_append(should_be, ")))");
	g_autoptr(GString) is = guile_read("datum", bytes, n - contents);
	if (!g_string_equal(is, should_be))
		g_printerr("%s\nwas read as\n%s\ninstead of\n%s\n", bytes, is->str, should_be->str);
	require(g_string_equal(is, should_be), "Guile reads the same list", NULL);
}

static void
check_message(const uint8_t *data, size_t size)
{
	gsize n;
	g_autoptr(GPtrArray) files = files_of(data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) message = secret_service_message(files, &error);
	require((message != NULL) == all_utf8(files), "UTF-8 and nothing else is sent", NULL);
	require((message != NULL) == (error == NULL), "a refusal says why", NULL);
	if (!message)
		return;
	g_autofree char *text =
	    g_strndup(g_bytes_get_data(message, NULL), g_bytes_get_size(message));
	const char *bytes = g_bytes_get_data(message, &n);
	require(strlen(text) == n, "a message has no NUL of its own", text);
	check_receiver(files, bytes, n);
	check_guile(files, text, n);
}

/* Any bytes at the receiver. */
static void
check_bytes(const uint8_t *data, size_t size)
{
	static struct input in;
	static struct secret secrets[FILES_MAX];
	int n = receive_list(data, size, &in, secrets);
	require(n >= -1 && n <= FILES_MAX, "the receiver counts", NULL);
	while (n > 0)
		free(secrets[--n].name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *between = size ? memchr(data, BETWEEN, size) : NULL;
	size_t first = between ? (size_t)(between - data) : size;
	deliver(data, first);
	if (!between)
		return 0;
	check_message(between + 1, size - first - 1);
	check_bytes(between + 1, size - first - 1);
	return 0;
}
