/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Actions in a guest by the session of its probes: halt, collect garbage, set the clock. health.c
 * has the probes.
 */
#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "childhurdd/world/health_internal.h"

/* Guix System has its commands in the profile, and sshd's PATH may lack the sbin folders. */
#define HALT_COMMAND "PATH=$PATH:/sbin:/usr/sbin:/run/current-system/profile/sbin halt"
#define CLOCK_COMMAND                                                                              \
	"PATH=$PATH:/sbin:/usr/sbin:/run/current-system/profile/bin date -s @%" G_GINT64_FORMAT
/* The Hurd mixes what is written to /dev/urandom into what is read next. sshd begins anew for each
 * connection, so it needs no restart. Not every date knows fractions of a second. */
#define FRESHEN_COMMAND                                                                            \
	"cat > /dev/urandom && PATH=$PATH:/sbin:/usr/sbin:/run/current-system/profile/bin &&"      \
	" { date -s @%.3f 2> /dev/null || date -s @%.0f; }"
#define FRESHEN_BYTES 64
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

/* --- a restored guest --- */

static void
on_freshened(struct ssh_session *session, int status, const char *output, const GError *error,
	     void *data)
{
	struct health *h = data;
	if (h->halting || ssh_session_ended(session)) /* on_closed follows */
		return;
	if (!error && (!status || h->lenient)) {
		h->restored = 0;
		h->door_seen = -HEALTH_DOOR; /* the guest's own port comes first */
		h->report(EVENT_STIRRED, "its clock is set and its random state is new", FALSE,
			  h->data);
		return;
	}
	g_autofree char *text =
	    error ? g_strdup_printf("it is restored, and its clock and randomness cannot be made "
				    "new: %s",
				    error->message)
		  : g_strdup_printf("it is restored, and its clock and randomness cannot be made "
				    "new: as %s, status %d: %.200s",
				    h->guest->admin_user, status, output);
	health_failed(h, g_strchomp(text));
}

/* In hexadecimal: a command's input is text. NULL: this host has no randomness, and errno. */
static char *
random_text(void)
{
	guint8 bytes[FRESHEN_BYTES];
	GString *text = g_string_new(NULL);
	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
		g_string_free(text, TRUE);
		return NULL;
	}
	for (gsize i = 0; i < sizeof bytes; i++)
		g_string_append_printf(text, "%02x", bytes[i]);
	explicit_bzero(bytes, sizeof bytes);
	return g_string_free(text, FALSE);
}

void
health_freshen(struct health *h)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GDateTime) date =
	    h->guest->clock ? g_date_time_new_from_iso8601(h->guest->clock, utc) : NULL;
	double then = date ? (double)g_date_time_to_unix(date) : (double)g_get_real_time() / 1e6;
	g_autofree char *command = g_strdup_printf(FRESHEN_COMMAND, then, then);
	g_autofree char *input = random_text();
	if (!input) {
		health_failed(h, "this host has no randomness for it");
		return;
	}
	ssh_session_run(h->session, command, input, HEALTH_FRESHEN_LIMIT, on_freshened, h);
	explicit_bzero(input, strlen(input));
}

void
health_restored(struct health *h, int port)
{
	h->restored = port;
	h->visited = TRUE; /* before the save */
}

void
health_saved(struct health *h)
{
	health_restored(h, h->guest->ssh_port);
	h->lenient = TRUE;
}
