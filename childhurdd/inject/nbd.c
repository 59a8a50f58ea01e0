/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The socket is given to qemu-nbd as a service manager would (sd_listen_fds(3)), with our
 * connection already waiting: it takes one client, so nobody else can come first.
 *
 * Of the protocol (NBD's doc/proto.md) this speaks what one export and one request at a time need:
 * the fixed newstyle handshake, NBD_OPT_EXPORT_NAME, and simple replies. libnbd does all of it, and
 * brings TLS and XML with it, and the Guix of 2026 (1.5) does not have it.
 */
#include "childhurdd/inject/nbd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE	     (1024 * 1024) /* bytes in one request */
#define FIRST_PASSED 3		   /* SD_LISTEN_FDS_START */
#define NOT_STARTED  127

#define HELLO	      G_GUINT64_CONSTANT(0x4e42444d41474943) /* NBDMAGIC */
#define OPTION_MAGIC  G_GUINT64_CONSTANT(0x49484156454f5054) /* IHAVEOPT */
#define REQUEST_MAGIC 0x25609513U
#define REPLY_MAGIC   0x67446698U
#define NEWSTYLE      1U /* of both sides' flags */
#define NO_ZEROES     2U
#define EXPORT_NAME   1U
#define CAN_FLUSH     (1U << 2) /* of an export's flags */

enum request { REQUEST_READ, REQUEST_WRITE, REQUEST_END, REQUEST_FLUSH };

/* As on the wire, big-endian. */
struct hello {
	guint64 magic, option_magic;
	guint16 flags;
} __attribute__((packed));
struct choice {
	guint32 flags;
	guint64 magic;
	guint32 option, length;
} __attribute__((packed));
struct export
{
	guint64 size;
	guint16 flags;
}
__attribute__((packed));
struct request_head {
	guint32 magic;
	guint16 flags, type;
	guint64 handle, offset;
	guint32 length;
} __attribute__((packed));
struct reply_head {
	guint32 magic, error;
	guint64 handle;
} __attribute__((packed));

struct nbd_disk {
	struct device device;
	int fd;
	gboolean can_flush;
	guint64 handle;
	pid_t server;
};

static gboolean
fail(GError **error, const char *what, int problem)
{
	g_set_error(error, INJECT_ERROR, INJECT_ERROR_IO, "%s: %s", what,
		    problem ? g_strerror(problem) : "qemu-nbd says what cannot be understood");
	return FALSE;
}

static struct nbd_disk *
disk_of(struct device *device)
{
	return (struct nbd_disk *)(void *)device;
}

/* --- the protocol --- */

/* FALSE: errno says why. */
static gboolean
send_all(int fd, const void *bytes, gsize length)
{
	for (gsize done = 0; done < length;) {
		ssize_t n = send(fd, (const char *)bytes + done, length - done, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return FALSE;
		done += (gsize)MAX(n, 0);
	}
	return TRUE;
}

static gboolean
receive_all(int fd, void *bytes, gsize length)
{
	for (gsize done = 0; done < length;) {
		ssize_t n = recv(fd, (char *)bytes + done, length - done, 0);
		if (n == 0)
			errno = ECONNRESET;
		if (n == 0 || (n < 0 && errno != EINTR))
			return FALSE;
		done += (gsize)MAX(n, 0);
	}
	return TRUE;
}

/* The errors that the protocol has are Linux' own. */
static int
problem_of(guint32 error)
{
	return error == EPERM || error == EIO || error == ENOMEM || error == EINVAL ||
		       error == ENOSPC
		   ? (int)error
		   : EIO;
}

/* One request; data goes out with a write and comes in with a read. */
static gboolean
ask(struct nbd_disk *disk, enum request type, void *data, gsize length, guint64 offset,
    const char *what, GError **error)
{
	disk->handle++; /* not within a macro, which may evaluate it several times */
	const struct request_head request = {
	    GUINT32_TO_BE(REQUEST_MAGIC), 0,
	    GUINT16_TO_BE((guint16)type), GUINT64_TO_BE(disk->handle),
	    GUINT64_TO_BE(offset),	  GUINT32_TO_BE((guint32)length),
	};
	struct reply_head reply;
	if (!send_all(disk->fd, &request, sizeof request) ||
	    (type == REQUEST_WRITE && !send_all(disk->fd, data, length)) ||
	    !receive_all(disk->fd, &reply, sizeof reply))
		return fail(error, what, errno);
	if (GUINT32_FROM_BE(reply.magic) != REPLY_MAGIC ||
	    GUINT64_FROM_BE(reply.handle) != disk->handle)
		return fail(error, what, 0);
	if (reply.error)
		return fail(error, what, problem_of(GUINT32_FROM_BE(reply.error)));
	if (type == REQUEST_READ && !receive_all(disk->fd, data, length))
		return fail(error, what, errno);
	return TRUE;
}

static gboolean
on_read(struct device *device, void *buffer, gsize length, guint64 offset, GError **error)
{
	for (gsize done = 0; done < length;) {
		gsize n = MIN(length - done, PIECE);
		if (!ask(disk_of(device), REQUEST_READ, (guint8 *)buffer + done, n, offset + done,
			 "the disk cannot be read", error))
			return FALSE;
		done += n;
	}
	return TRUE;
}

static gboolean
on_write(struct device *device, const void *buffer, gsize length, guint64 offset, GError **error)
{
	for (gsize done = 0; done < length;) {
		gsize n = MIN(length - done, PIECE);
		if (!ask(disk_of(device), REQUEST_WRITE, (guint8 *)buffer + done, n, offset + done,
			 "the disk cannot be written", error))
			return FALSE;
		done += n;
		device->written += n;
	}
	return TRUE;
}

static gboolean
on_flush(struct device *device, GError **error)
{
	return !disk_of(device)->can_flush ||
	       ask(disk_of(device), REQUEST_FLUSH, NULL, 0, 0, "the disk cannot be written", error);
}

/* Shake hands, and choose the only export, which has no name. */
static gboolean
connect_to(struct nbd_disk *disk, GError **error)
{
	const struct choice choice = {GUINT32_TO_BE(NEWSTYLE | NO_ZEROES),
				      GUINT64_TO_BE(OPTION_MAGIC), GUINT32_TO_BE(EXPORT_NAME), 0};
	struct hello hello;
	struct export export;
	if (!receive_all(disk->fd, &hello, sizeof hello))
		return fail(error, "qemu-nbd", errno);
	if (GUINT64_FROM_BE(hello.magic) != HELLO ||
	    GUINT64_FROM_BE(hello.option_magic) != OPTION_MAGIC ||
	    (GUINT16_FROM_BE(hello.flags) & (NEWSTYLE | NO_ZEROES)) != (NEWSTYLE | NO_ZEROES))
		return fail(error, "qemu-nbd", 0);
	if (!send_all(disk->fd, &choice, sizeof choice) ||
	    !receive_all(disk->fd, &export, sizeof export))
		return fail(error, "qemu-nbd", errno);
	disk->can_flush = GUINT16_FROM_BE(export.flags) & CAN_FLUSH;
	disk->device = (struct device){.size = GUINT64_FROM_BE(export.size),
				       .read = on_read,
				       .write = on_write,
				       .flush = on_flush};
	return TRUE;
}

/* There is no answer but the end of the connection. */
static void
disconnect(struct nbd_disk *disk)
{
	const struct request_head request = {
	    GUINT32_TO_BE(REQUEST_MAGIC), 0, GUINT16_TO_BE(REQUEST_END), 0, 0, 0};
	send_all(disk->fd, &request, sizeof request);
	close(disk->fd);
}

/* --- qemu-nbd --- */

/* Between fork and exec, in a process with one thread. */
static void
become_server(const struct nbd_spec *spec)
{
	char pid[16];
	const char *argv[8] = {"qemu-nbd", "--format", spec->format,
			       spec->durable ? "--cache=writeback" : "--cache=unsafe"};
	int n = 4;
	if (!spec->writable)
		argv[n++] = "--read-only";
	argv[n++] = "--";
	argv[n] = spec->file;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(STDIN_FILENO);
	if (open("/dev/null", O_RDONLY) != STDIN_FILENO || dup2(spec->listener, FIRST_PASSED) < 0 ||
	    fcntl(FIRST_PASSED, F_SETFD, 0) < 0)
		_exit(NOT_STARTED);
	close(spec->connection);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("LISTEN_PID", pid, TRUE);
	setenv("LISTEN_FDS", "1", TRUE);
	execvp(argv[0], (char *const *)argv);
	_exit(NOT_STARTED);
}

/* FALSE: it ended with a problem. */
static gboolean
server_wait(pid_t server, GError **error)
{
	int status = 0;
	while (waitpid(server, &status, 0) < 0)
		if (errno != EINTR)
			return TRUE;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return TRUE;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_STARTED)
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_IO,
			    "there is no qemu-nbd in PATH; install it (Debian: qemu-utils, "
			    "Fedora: qemu-img, Guix: qemu)");
	else
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_IO, "qemu-nbd ended with %s %d",
			    WIFEXITED(status) ? "status" : "signal",
			    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return FALSE;
}

gboolean
nbd_disk_close(struct nbd_disk *disk, GError **error)
{
	if (!disk)
		return TRUE;
	disconnect(disk);
	gboolean good = disk->server <= 0 || server_wait(disk->server, error);
	g_free(disk);
	return good;
}

struct nbd_disk *
nbd_disk_open(const struct nbd_spec *spec, GError **error)
{
	struct nbd_disk *disk = g_new0(struct nbd_disk, 1);
	g_autoptr(GError) ended = NULL;
	disk->fd = spec->connection;
	disk->server = fork();
	if (!disk->server)
		become_server(spec);
	close(spec->listener);
	if (disk->server < 0)
		fail(error, "cannot start qemu-nbd", errno);
	else if (connect_to(disk, error))
		return disk;
	if (!nbd_disk_close(disk, &ended)) { /* that says more */
		g_clear_error(error);
		g_propagate_error(error, g_steal_pointer(&ended));
	}
	return NULL;
}

struct device *
nbd_disk_device(struct nbd_disk *disk)
{
	return &disk->device;
}
