/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Actions in a guest by the session of its probes: halt, collect garbage, set the clock. health.c
 * has the probes.
 */
#include <math.h>

#include "childhurdd/world/health_internal.h"

/* Guix System has its commands in the profile, and sshd's PATH may lack the sbin folders. */
#define HALT_COMMAND "PATH=$PATH:/sbin:/usr/sbin:/run/current-system/profile/sbin halt"
#define CLOCK_COMMAND                                                                              \
	"PATH=$PATH:/sbin:/usr/sbin:/run/current-system/profile/bin date -s @%" G_GINT64_FORMAT
#define COLLECT_COMMAND                                                                            \
	"PATH=$PATH:/run/current-system/profile/bin guix gc --free-space=%" G_GINT64_FORMAT "MiB"

/* --- halt --- */

static void
on_halt(struct ssh_session *session, int status, const char *output, const GError *error,
	void *data)
{
	struct health *h = data;
	if (error || status == 0) /* a halting Hurd closes the session or lets it hang */
		return;
	g_autofree char *text =
	    g_strdup_printf("`halt' ended with status %d: %.200s", status, output);
	h->report(EVENT_HALT_REFUSED, g_strchomp(text), FALSE, h->data);
}

/* The session is open, or it could not be opened. */
void
health_say_halt(struct health *h, const GError *error)
{
	ev_timer_stop(h->loop, &h->timer);
	h->open = !error;
	if (h->open) {
		ssh_session_run(h->session, HALT_COMMAND, NULL, h->guest->stop_timeout, on_halt, h);
		return;
	}
	g_autofree char *text = g_strdup_printf("no SSH session: %s", error->message);
	gboolean ours = health_is_ours(error);
	health_drop_sessions(h);
	if (ours) { /* stop-timeout is the limit */
		health_again(h, HEALTH_RETRY_ODD);
		return;
	}
	h->report(EVENT_HALT_REFUSED, text, FALSE, h->data);
}

void
health_halt(struct health *h)
{
	h->halting = TRUE;
	ssh_session_free(h->visit); /* their end no longer means anything */
	ssh_session_free(h->door);
	h->visit = h->door = NULL;
	if (h->open)
		health_say_halt(h, NULL);
	else
		health_again(h, 0);
}

/* --- garbage --- */

static void
on_collected(struct ssh_session *session, int status, const char *output, const GError *error,
	     void *data)
{
	struct health *h = data;
	if (h->halting)
		return;
	g_autofree char *text =
	    error    ? g_strdup_printf("its garbage is not collected: %s", error->message)
	    : status ? g_strdup_printf("its garbage is not collected: `guix gc' ended with status "
				       "%d: %.200s",
				       status, output)
		     : g_strdup("its garbage is collected");
	health_again(h, 0); /* what has it brought? */
	h->report(EVENT_COLLECTED, g_strchomp(text), FALSE, h->data);
}

void
health_collect(struct health *h, gint64 bytes)
{
	g_autofree char *command = g_strdup_printf(COLLECT_COMMAND, bytes / (1024 * 1024));
	ssh_session_run(h->session, command, NULL, HEALTH_COLLECT_LIMIT, on_collected, h);
}

/* --- the clock --- */

static void
on_clock_set(struct ssh_session *session, int status, const char *output, const GError *error,
	     void *data)
{
	struct health *h = data;
	if (h->halting)
		return;
	g_autofree char *text =
	    error    ? g_strdup_printf("its clock cannot be set: %s", error->message)
	    : status ? g_strdup_printf("its clock cannot be set: `date -s' as %s ended with status "
				       "%d: %.200s",
				       h->guest->admin_user, status, output)
		     : g_strdup("its clock is set");
	health_ask(h); /* what has it brought? */
	h->report(EVENT_CLOCK_SET, g_strchomp(text), FALSE, h->data);
}

void
health_set_clock(struct health *h)
{
	double way = h->last.skew_within - 0.5; /* half of the time of an answer */
	double then = (double)g_get_real_time() / 1e6 + way;
	g_autofree char *command = g_strdup_printf(CLOCK_COMMAND, (gint64)round(then));
	ssh_session_run(h->session, command, NULL, HEALTH_CLOCK_LIMIT, on_clock_set, h);
}
