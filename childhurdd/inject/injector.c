/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libext2fs reads what anybody can have made, so it does so in a process that can do nothing but
 * write into that image. What it writes are keys: they are never in arguments or in the
 * environment, and it leaves no core file.
 */
#include "childhurdd/inject/injector.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "childhurdd/inject/edits.h"
#include "childhurdd/inject/nbd.h"
#include "childhurdd/system/child.h"
#include "childhurdd/system/sandbox.h"
#include "config/base/streams.h"
#include "config/base/text.h"

#define WORDS_MAX  400 /* characters of what it says */
#define LISTENER   3
#define CONNECTION 4
#define SOCKET	   "inject.socket"
#define UNFIT	   2 /* exit status: it is the disk's fault */
#define ANSWER	   "kind %d %d\n"

/* --- the daemon's end --- */

void
injector_close(struct injector *injector)
{
	int *const all[] = {&injector->input, &injector->listener, &injector->connection};
	for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
		if (*all[i] >= 0)
			close(*all[i]);
		*all[i] = -1;
	}
}

/* In memory, and not a pipe: there is nobody who would have to go on writing. */
static gboolean
open_input(struct injector *injector, GBytes *edits)
{
	gsize size = 0;
	const void *bytes = edits ? g_bytes_get_data(edits, &size) : NULL;
	injector->input = memfd_create(INJECTOR_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return injector->input >= 0 && (!size || streams_write(injector->input, bytes, size)) &&
	       lseek(injector->input, 0, SEEK_SET) == 0 &&
	       fcntl(injector->input, F_ADD_SEALS,
		     F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0;
}

/* A socket's address is short, a folder's path may be long: by its descriptor. */
static gboolean
open_socket(struct injector *injector, int folder)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	snprintf(name.sun_path, sizeof name.sun_path, "/proc/self/fd/%d/" SOCKET, folder);
	injector->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	injector->connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlinkat(folder, SOCKET, 0);
	gboolean good = injector->listener >= 0 && injector->connection >= 0 &&
			bind(injector->listener, (struct sockaddr *)&name, sizeof name) == 0 &&
			listen(injector->listener, 1) == 0 &&
			connect(injector->connection, (struct sockaddr *)&name, sizeof name) == 0;
	int problem = errno;
	unlinkat(folder, SOCKET, 0);
	errno = problem;
	return good;
}

gboolean
injector_open(struct injector *injector, const char *folder, GBytes *edits, GError **error)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*injector = (struct injector){-1, -1, -1};
	gboolean good = fd >= 0 && open_input(injector, edits) && open_socket(injector, fd);
	if (!good) {
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_IO,
			    "%s: cannot prepare to write into the disk: %s", folder,
			    g_strerror(errno));
		injector_close(injector);
	}
	if (fd >= 0)
		close(fd);
	return good;
}

struct child *
injector_run(struct injector *injector, struct ev_loop *loop, const struct identity *identity,
	     const char *const *argv, child_fn done, void *data)
{
	const int passed[] = {injector->input, injector->listener, injector->connection};
	struct child *child = child_run_again(loop, identity, argv, passed, G_N_ELEMENTS(passed),
					      INJECTOR_LIMIT, done, data);
	injector_close(injector);
	return child;
}

gboolean
injector_refused(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == UNFIT;
}

char *
injector_problem(int status, const char *output, const GError *error)
{
	if (error)
		return g_strdup(error->message);
	if (!WIFSIGNALED(status))
		return text_said(output, "qemu-nbd: ", "; ", WORDS_MAX);
	g_autofree char *ended = child_status_text(status);
	return g_strconcat(INJECTOR_NAME " ", ended, NULL);
}

gboolean
injector_answer(int status, const char *output, struct image_kind *kind)
{
	int architecture = -1, distribution = -1;
	*kind = (struct image_kind){CONFIG_ARCHITECTURE_AUTO, CONFIG_DISTRIBUTION_AUTO};
	if (injector_refused(status))
		return TRUE;
	if (status != 0 || sscanf(output, ANSWER, &architecture, &distribution) != 2 ||
	    architecture < 0 || architecture > CONFIG_ARCHITECTURE_X86_64 || distribution < 0 ||
	    distribution > CONFIG_DISTRIBUTION_OTHER)
		return FALSE;
	*kind = (struct image_kind){(enum config_architecture)architecture,
				    (enum config_distribution)distribution};
	return TRUE;
}

/* --- the process --- */

gboolean
injector_wanted(int argc, char **argv)
{
	return argc == 4 && (!strcmp(argv[1], INJECTOR_WRITE) || !strcmp(argv[1], INJECTOR_LOOK));
}

static GBytes *
read_input(void)
{
	struct stat status;
	gsize done = 0;
	if (fstat(STDIN_FILENO, &status) < 0 || status.st_size > EDITS_BYTES_MAX)
		return NULL;
	g_autofree char *bytes = g_malloc((gsize)status.st_size + 1);
	while (done < (gsize)status.st_size) {
		ssize_t n = read(STDIN_FILENO, bytes + done, (gsize)status.st_size - done);
		if (n <= 0)
			return NULL;
		done += (gsize)n;
	}
	return g_bytes_new_take(g_steal_pointer(&bytes), done);
}

/* What is to be done with the disk; edits NULL: a look. */
static gboolean
work(struct device *device, const GPtrArray *edits, GError **error)
{
	struct image_kind kind;
	if (edits)
		return inject(device, edits, error);
	if (!inject_look(device, &kind, error))
		return FALSE;
	printf(ANSWER, (int)kind.architecture, (int)kind.distribution);
	return TRUE;
}

/* May be NULL. */
static gboolean
error_is_the_disks(const GError *error)
{
	return g_error_matches(error, INJECT_ERROR, INJECT_ERROR_UNFIT) ||
	       g_error_matches(error, INJECT_ERROR, INJECT_ERROR_FULL);
}

static gboolean
run(char **argv, GError **error)
{
	gboolean writes = !strcmp(argv[1], INJECTOR_WRITE);
	g_autoptr(GBytes) input = read_input();
	g_autoptr(GError) ended = NULL;
	g_autoptr(GPtrArray) edits = writes && input ? edits_unpack(input) : NULL;
	struct nbd_spec spec = {.file = argv[2],
				.format = writes ? "qcow2" : argv[3],
				.writable = writes,
				.durable = writes && strcmp(argv[3], INJECTOR_FLEETING) != 0,
				.listener = LISTENER,
				.connection = CONNECTION};
	if (writes && !edits) {
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_IO,
			    "what is to be written cannot be read");
		return FALSE;
	}
	struct nbd_disk *disk = nbd_disk_open(&spec, error);
	if (!disk)
		return FALSE;
	nbd_disk_device(disk)->used = writes && !strcmp(argv[3], INJECTOR_USED);
	gboolean good = sandbox_limit(RLIMIT_CPU, INJECTOR_CPU, error) &&
			sandbox_enter(SANDBOX_PARSER, NULL, NULL, 0, error) &&
			work(nbd_disk_device(disk), edits, error);
	guint64 written = nbd_disk_device(disk)->written;
	if (!nbd_disk_close(disk, &ended)) {
		good = FALSE;
		if (!error_is_the_disks(*error)) { /* qemu-nbd's end is why */
			g_clear_error(error);
			g_propagate_error(error, g_steal_pointer(&ended));
		}
	}
	if (good && writes)
		printf("%" G_GUINT64_FORMAT " bytes written\n", written);
	return good;
}

int
injector_main(char **argv)
{
	g_autoptr(GError) error = NULL;
	prctl(PR_SET_NAME, INJECTOR_NAME);
	mallopt(M_PERTURB, 0xff); /* memory is zero: libext2fs does not set all that it writes */
	gboolean good = sandbox_prepare(&error) && run(argv, &error);
	gboolean unfit = error_is_the_disks(error);
	if (!good)
		fprintf(stderr, "%s\n", error->message);
	fflush(stdout);
	/* what runs at an end may want more than there is */
	_exit(good ? EXIT_SUCCESS : unfit ? UNFIT : EXIT_FAILURE);
}
