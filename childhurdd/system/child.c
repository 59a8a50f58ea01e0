/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Child processes under the event loop. child.h explains why there is no SIGCHLD here.
 *
 * posix_spawn instead of fork: libvirt's threads may hold any lock of the C library at that moment,
 * and a vfork-like spawn costs the same for a daemon of any size. The child gets default signals
 * and an empty mask (the daemon blocks and ignores some), LC_ALL=C (callers read messages), only
 * the descriptors 0, 1 and 2, and a session of its own, so that SIGKILL to its process group also
 * ends helpers that it started.
 *
 * A pid is ours until we wait for it, so signals are only sent before that. When the pidfd becomes
 * readable, all output of the child is in the pipe. We do not wait for end of file, because a
 * grandchild may keep the pipe open for as long as it likes.
 */
#include "childhurdd/system/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "childhurdd/system/descriptors.h"

#define READ_SIZE     4096
#define DRAIN_MAX     (1024 * 1024) /* bytes read after the end; a pipe holds no more */
#define KILL_LIMIT    2000	    /* ms from SIGKILL to giving up on the end of a process */
#define FREE_WAIT     50	    /* ms for which child_free waits for a killed process */
#define MS_PER_SECOND 1000.0
#define PASSED_FROM   16 /* no descriptor that is passed has the number that another one gets */
#define PASSED_MAX    8
#define SELF	      "/proc/self/exe"

struct child {
	struct ev_loop *loop;
	char *name;
	pid_t pid; /* 0: never started, or already waited for */
	int pidfd;
	int output_fd;
	GString *output;
	GError *error;
	child_fn done;
	void *data;
	struct ev_io end;
	struct ev_io readable;
	struct ev_timer limit;
	gint64 limit_ms;
};

/* A killed process whose struct child is freed, but that must still be waited for. */
struct remains {
	struct ev_io end;
	pid_t pid;
};

static void
remains_ended(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct remains *remains = watcher->data;

	if (waitpid(remains->pid, NULL, WNOHANG) == 0)
		return;
	ev_io_stop(loop, watcher);
	close(watcher->fd);
	g_free(remains);
}

/* Let the loop wait for a killed process that does not end yet (it hangs in the kernel, on a dead
 * disk). */
static void
remains_keep(struct child *child)
{
	struct remains *remains = g_new0(struct remains, 1);

	remains->pid = child->pid;
	remains->end.data = remains;
	ev_io_init(&remains->end, remains_ended, child->pidfd, EV_READ);
	ev_io_start(child->loop, &remains->end);
	child->pid = 0;
	child->pidfd = -1;
}

static void
watchers_stop(struct child *child)
{
	ev_timer_stop(child->loop, &child->limit);
	ev_io_stop(child->loop, &child->end);
	ev_io_stop(child->loop, &child->readable);
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (child->output_fd >= 0)
		close(child->output_fd);
	child->pidfd = child->output_fd = -1;
}

/* Read once. Returns the bytes read; 0: nothing now, or the end, which stops the watcher. */
static gsize
output_read(struct child *child)
{
	char buffer[READ_SIZE];
	ssize_t got = read(child->output_fd, buffer, sizeof(buffer));

	if (got > 0) {
		gsize room = CHILD_OUTPUT_MAX - child->output->len;

		g_string_append_len(child->output, buffer, (gssize)MIN((gsize)got, room));
		return (gsize)got;
	}
	if (got == 0 || (errno != EAGAIN && errno != EINTR))
		ev_io_stop(child->loop, &child->readable);
	return 0;
}

static void
output_readable(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	output_read(watcher->data);
}

/* The only place that calls done, which may free the child. */
static void
child_finish(struct child *child, int status)
{
	watchers_stop(child);
	child->done(child, status, child->output->str, child->error, child->data);
}

/* Collect the status, if there is one. TRUE: the child has ended and done was called. */
static gboolean
child_reap(struct child *child)
{
	int status = 0;
	pid_t pid = waitpid(child->pid, &status, WNOHANG);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return FALSE;
	if (pid < 0 && !child->error)
		g_set_error(&child->error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED,
			    "%s: its exit status is lost: %s", child->name, g_strerror(errno));
	child->pid = 0;
	for (gsize total = 0, got = 1; got > 0 && total < DRAIN_MAX; total += got)
		got = output_read(child);
	child_finish(child, status);
	return TRUE;
}

static void
child_ended(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	child_reap(watcher->data);
}

/* First the limit passes, and the child is killed. If even that does not end it, done is called
 * without its end. */
static void
child_late(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	struct child *child = watcher->data;

	if (child->pid == 0) { /* never started */
		child_finish(child, 0);
		return;
	}
	if (child->error) {
		ev_io_stop(loop, &child->end);
		remains_keep(child);
		child_finish(child, SIGKILL);
		return;
	}
	if (child_reap(child))
		return;
	g_set_error(&child->error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED,
		    "%s: not done after %.1f s, killed", child->name,
		    (double)child->limit_ms / MS_PER_SECOND);
	kill(-child->pid, SIGKILL);
	ev_timer_set(watcher, KILL_LIMIT / MS_PER_SECOND, 0.);
	ev_timer_start(loop, watcher);
}

static GSpawnError
spawn_error(int number)
{
	switch (number) {
	case ENOENT:
		return G_SPAWN_ERROR_NOENT;
	case EACCES:
		return G_SPAWN_ERROR_ACCES;
	case ENOMEM:
		return G_SPAWN_ERROR_NOMEM;
	case ENOEXEC:
		return G_SPAWN_ERROR_NOEXEC;
	default:
		return G_SPAWN_ERROR_FAILED;
	}
}

void
child_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	posix_spawnattr_init(attributes);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						 POSIX_SPAWN_SETSIGDEF);
}

/* What is started. */
struct program {
	const struct identity *identity;
	const char *const *argv;
	gboolean again;	   /* this program, and argv[0] is only a name */
	const int *passed; /* see child_run_again */
	int n_passed;
};

/* Copies with numbers that are in nobody's way. FALSE: errno says why; those made are closed. */
static gboolean
copy_passed(const struct program *program, int *copies)
{
	for (int i = 0; i < program->n_passed; i++) {
		copies[i] = fcntl(program->passed[i], F_DUPFD_CLOEXEC, PASSED_FROM);
		if (copies[i] >= 0)
			continue;
		int problem = errno;
		while (i--)
			close(copies[i]);
		errno = problem;
		return FALSE;
	}
	return TRUE;
}

/*
 * posix_spawn with both outputs into fd. 0, or an errno. This searches PATH itself: for a program
 * that does not exist, posix_spawnp returns EACCES if a folder in PATH cannot be read.
 */
static int
spawn(pid_t *pid, const struct program *program, int fd)
{
	const struct identity *identity = program->identity;
	const char *const *argv = program->argv;
	g_autofree char *found = program->again		? g_strdup(SELF)
				 : strchr(argv[0], '/') ? g_strdup(argv[0])
							: g_find_program_in_path(argv[0]);
	g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "LC_ALL", "C", TRUE);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int copies[PASSED_MAX] = {0}, result;

	if (!found)
		return ENOENT;
	if (!copy_passed(program, copies))
		return errno;
	child_attributes(&attributes);
	posix_spawn_file_actions_init(&actions);
	/* stdin last: fd may be 0 if the daemon was started without stdin */
	posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fd, STDERR_FILENO);
	if (program->n_passed)
		posix_spawn_file_actions_adddup2(&actions, copies[0], STDIN_FILENO);
	else
		posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	for (int i = 1; i < program->n_passed; i++)
		posix_spawn_file_actions_adddup2(&actions, copies[i], STDERR_FILENO + i);
	posix_spawn_file_actions_addclosefrom_np(&actions,
						 STDERR_FILENO + MAX(program->n_passed, 1));
	identity_become(identity);
	result = posix_spawn(pid, found, &actions, &attributes, (char *const *)argv, environment);
	identity_return(identity);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	for (int i = 0; i < program->n_passed; i++)
		close(copies[i]);
	return result;
}

/* Start it and fill pid, pidfd and output_fd. FALSE: error is set, nothing runs. */
static gboolean
child_start(struct child *child, const struct program *program)
{
	int ends[2], result;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		g_set_error(&child->error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED,
			    "%s: cannot make a pipe: %s", child->name, g_strerror(errno));
		return FALSE;
	}
	child->output_fd = ends[0];
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	result = spawn(&child->pid, program, ends[1]);
	close(ends[1]);
	if (result != 0) {
		child->pid = 0;
		g_set_error(&child->error, G_SPAWN_ERROR, spawn_error(result), "cannot run %s: %s",
			    child->name, g_strerror(result));
		return FALSE;
	}
	descriptors_give_back(child->pid);
	child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->pidfd < 0) {
		g_set_error(&child->error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED,
			    "%s: cannot watch the process: %s", child->name, g_strerror(errno));
		kill(-child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
		child->pid = 0;
		return FALSE;
	}
	return TRUE;
}

static struct child *
run(struct ev_loop *loop, const struct program *program, gint64 limit, child_fn done, void *data)
{
	struct child *child = g_new0(struct child, 1);

	g_assert(program->argv[0] && program->n_passed <= PASSED_MAX && limit > 0 && done);
	child->loop = loop;
	child->name = g_path_get_basename(program->argv[0]);
	child->pidfd = child->output_fd = -1;
	child->output = g_string_new(NULL);
	child->limit_ms = limit;
	child->done = done;
	child->data = data;
	child->end.data = child->readable.data = child->limit.data = child;
	ev_init(&child->end, child_ended);
	ev_init(&child->readable, output_readable);
	ev_init(&child->limit, child_late);

	if (child_start(child, program)) {
		ev_io_set(&child->end, child->pidfd, EV_READ);
		ev_io_set(&child->readable, child->output_fd, EV_READ);
		ev_io_start(loop, &child->end);
		ev_io_start(loop, &child->readable);
	}
	ev_now_update(loop); /* otherwise the loop's work so far would count against the limit */
	ev_timer_set(&child->limit, child->error ? 0. : (double)limit / MS_PER_SECOND, 0.);
	ev_timer_start(loop, &child->limit);
	return child;
}

struct child *
child_run(struct ev_loop *loop, const char *const *argv, gint64 limit, child_fn done, void *data)
{
	return child_run_as(loop, NULL, argv, limit, done, data);
}

struct child *
child_run_as(struct ev_loop *loop, const struct identity *identity, const char *const *argv,
	     gint64 limit, child_fn done, void *data)
{
	const struct program program = {.identity = identity, .argv = argv};
	return run(loop, &program, limit, done, data);
}

struct child *
child_run_again(struct ev_loop *loop, const struct identity *identity, const char *const *argv,
		const int *passed, int n, gint64 limit, child_fn done, void *data)
{
	const struct program program = {identity, argv, TRUE, passed, n};
	return run(loop, &program, limit, done, data);
}

void
child_free(struct child *child)
{
	if (!child)
		return;
	if (child->pid > 0) {
		struct pollfd ended = {.fd = child->pidfd, .events = POLLIN};

		kill(-child->pid, SIGKILL);
		ev_io_stop(child->loop, &child->end);
		if (poll(&ended, 1, FREE_WAIT) == 1)
			waitpid(child->pid, NULL, WNOHANG);
		else
			remains_keep(child);
	}
	watchers_stop(child);
	g_string_free(child->output, TRUE);
	g_clear_error(&child->error);
	g_free(child->name);
	g_free(child);
}

char *
child_status_text(int status)
{
	if (WIFEXITED(status))
		return g_strdup_printf("exited with status %d", WEXITSTATUS(status));
	return g_strdup_printf("was killed by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
}
