/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt daemonizes QEMU, which so becomes our child when its parent ends. If nobody waits for it,
 * it ends as a zombie, and libvirt, which calls kill(pid, 0) to find out whether it is gone, goes
 * on for 40 s. The daemon waits for QEMUs that it knows by their pidfds, before REAPER_DELAY has
 * passed. This file waits for the others: those that end during a start, and those that libvirt
 * starts to learn what a QEMU can do.
 *
 * libvirt waits for its own children in its threads, and needs their statuses. Those children are
 * in our session or lead one; a daemonized orphan is in a session that another process led
 * (setsid(2)). Any other ended child that nobody has waited for after a while is an orphan too.
 */
#include "childhurdd/system/reaper.h"

#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "childhurdd/system/process.h"

struct reaper {
	ev_signal signal;
	ev_timer again;
	gboolean patient; /* the next pass leaves children that others may wait for */
};

/* TRUE: an ended child is left to its starter. */
static gboolean
reap_one(pid_t pid, gboolean patient)
{
	struct process_look look;
	if (!process_look(pid, &look) || look.state != 'Z')
		return FALSE;
	gboolean orphan = look.session != getsid(0) && look.session != pid;
	if (!orphan && patient)
		return TRUE;
	waitpid(pid, NULL, WNOHANG);
	return FALSE;
}

/* Reap the children of all threads (proc(5), /proc/PID/task/TID/children). TRUE: some are left to
 * others. */
static gboolean
reap(gboolean patient)
{
	gboolean left = FALSE;
	g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
	const char *thread;
	while (tasks && (thread = g_dir_read_name(tasks))) {
		g_autofree char *path =
		    g_build_filename("/proc/self/task", thread, "children", NULL);
		g_autofree char *text = NULL;
		if (!g_file_get_contents(path, &text, NULL, NULL))
			continue;
		g_auto(GStrv) pids = g_strsplit(text, " ", -1);
		for (char **pid = pids; *pid; pid++)
			if (g_ascii_isdigit(**pid))
				left |= reap_one((pid_t)g_ascii_strtoll(*pid, NULL, 10), patient);
	}
	return left;
}

static void
look_again(struct ev_loop *loop, struct reaper *reaper, double after)
{
	ev_timer_stop(loop, &reaper->again);
	ev_timer_set(&reaper->again, after, 0);
	ev_timer_start(loop, &reaper->again);
}

static void
on_child(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct reaper *reaper = w->data;
	reaper->patient = TRUE;
	look_again(loop, reaper, REAPER_DELAY);
}

static void
on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct reaper *reaper = w->data;
	gboolean left = reap(reaper->patient);
	reaper->patient = FALSE;
	if (left)
		look_again(loop, reaper, REAPER_PATIENCE);
}

void
reaper_start(struct ev_loop *loop)
{
	static struct reaper reaper; /* as for SIGCHLD: one for the process */
	ev_signal_init(&reaper.signal, on_child, SIGCHLD);
	ev_timer_init(&reaper.again, on_again, 0, 0);
	reaper.signal.data = reaper.again.data = &reaper;
	ev_signal_start(loop, &reaper.signal);
}
