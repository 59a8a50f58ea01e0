/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One session serves all probes: a handshake costs a Hurd more than a second, a command on an open
 * session a tenth of that. And sshd's penalties for connections without a login would lock out all
 * clients, because all of them come from 10.0.2.2.
 */
#include "childhurdd/world/health_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "childhurdd/world/vitals.h"

/* A line for each fact; those that a guest does not have are missing. Two programs, as a Hurd
 * starts them slowly. df has a line for each file system, in this order. */
#define FACTS_COMMAND                                                                              \
	"echo time $(date +%s); read load rest < /proc/loadavg && echo load $load;"                \
	" df -Pk / /gnu/store"
#define FACTS_LINES  8
#define GUIX_COMMAND "guix repl -t machine"
/* As `guix offload` does: Guile, Guix' modules, and a handshake with the guest's guix-daemon. */
#define GUIX_INPUT                                                                                 \
	"(begin (use-modules (guix store)) (close-connection (open-connection)) (+ 1 1))\n"

static const char *const step_names[N_HEALTH_STEPS] = {
    [HEALTH_BANNER] = "banner",	    [HEALTH_HOST_KEY] = "host key", [HEALTH_LOGIN] = "login",
    [HEALTH_USER] = "user's login", [HEALTH_COMMAND] = "command",
};

const char *
health_step_name(enum health_step step)
{
	return step_names[step];
}

static void
note(struct health *h, enum health_step step, const char *result, gint64 since)
{
	g_free(h->last.results[step]);
	h->last.results[step] = g_strdup(result);
	h->last.ms[step] = since ? (g_get_monotonic_time() - since) / 1000 : -1;
}

static void
heard(struct health *h)
{
	h->last.heard = g_get_monotonic_time() / 1000;
}

/* Forget the results of the previous attempt. */
static void
forget_steps(struct health *h)
{
	for (enum health_step s = HEALTH_BANNER; s < N_HEALTH_STEPS; s++)
		if (s != HEALTH_USER)
			g_clear_pointer(&h->last.results[s], g_free);
}

void
health_again(struct health *h, double ms)
{
	ev_timer_stop(h->loop, &h->timer);
	ev_timer_set(&h->timer, ms / 1000, 0);
	ev_timer_start(h->loop, &h->timer);
}

/* The first probe is anywhere within the interval, the others vary by ±10 %, so that guests that
 * started together are not probed together. */
static void
next_probe(struct health *h)
{
	double least = h->probes++ ? 0.9 : 0.1;
	health_again(h, (double)h->guest->probe_interval * g_random_double_range(least, 1.1));
}

void
health_drop_sessions(struct health *h)
{
	ssh_session_free(h->session);
	ssh_session_free(h->visit);
	ssh_session_free(h->door);
	h->session = h->visit = h->door = NULL;
	h->open = h->once_more = FALSE;
	h->asking = 0;
	g_clear_pointer(&h->unasked, g_free);
}

static void
failed(struct health *h, const char *text, gboolean impostor, double retry)
{
	health_drop_sessions(h);
	memset(h->took, 0,
	       sizeof h->took); /* it may be slower now, so it gets the full limit again */
	h->last.probed = g_get_monotonic_time() / 1000;
	health_again(h, retry);
	if (!h->paused)
		h->report(EVENT_PROBE_FAILED, text, impostor, h->data);
}

/* The guest was not asked, because of the host. */
static void
unasked(struct health *h, const char *text)
{
	health_again(h, HEALTH_RETRY_ODD);
	h->report(EVENT_UNASKED, text, FALSE, h->data);
}

/* Is it an error of this host or of the daemon? */
gboolean
health_is_ours(const GError *error)
{
	return g_error_matches(error, SESSION_ERROR, SESSION_ERROR_HOST) ||
	       g_error_matches(error, SESSION_ERROR, SESSION_ERROR_KEY);
}

static char *
unasked_text(const GError *error)
{
	return g_strdup_printf("it cannot be probed, and is taken to be as it was: %s",
			       error->message);
}

/* The place of a session's step in the report. */
static enum health_step
step_of(enum ssh_step step)
{
	switch (step) {
	case SSH_STEP_CONNECT:
	case SSH_STEP_BANNER:
		return HEALTH_BANNER;
	case SSH_STEP_HOST_KEY:
		return HEALTH_HOST_KEY;
	case SSH_STEP_LOGIN:
		return HEALTH_LOGIN;
	default:
		return HEALTH_COMMAND;
	}
}

static void
session_failed(struct health *h, enum ssh_step step, const GError *error)
{
	gboolean impostor = g_error_matches(error, SESSION_ERROR, SESSION_ERROR_IMPOSTOR);
	if (health_is_ours(error)) {
		g_autofree char *why = unasked_text(error);
		health_drop_sessions(h);
		unasked(h, why);
		return;
	}
	double retry = HEALTH_RETRY_ODD;
	if (impostor)
		retry = HEALTH_RETRY_IMPOSTOR;
	else if (g_error_matches(error, SESSION_ERROR, SESSION_ERROR_REFUSED))
		retry = HEALTH_RETRY_ABSENT;
	g_autofree char *text =
	    impostor ? g_strdup(strstr(error->message, "an impostor answers"))
		     : g_strdup_printf("%s: %s", ssh_step_name(step), error->message);
	failed(h, text, impostor, retry);
}

/* --- commands --- */

static void
learn(struct health *h, gint64 ms)
{
	memmove(&h->took[1], h->took, sizeof h->took - sizeof *h->took);
	h->took[0] = MAX(ms, 1);
}

/* A probe's limit: far more than any of the last ones took. */
static gint64
probe_limit(const struct health *h)
{
	gint64 longest = 0;
	for (int i = 0; i < HEALTH_PROBES_KEPT; i++) {
		if (!h->took[i])
			return HEALTH_PROBE_LIMIT;
		longest = MAX(longest, h->took[i]);
	}
	return CLAMP(longest * HEALTH_PROBE_PATIENCE, HEALTH_PROBE_LEAST, HEALTH_PROBE_LIMIT);
}

/* Part of a probe has ended; error: this host's, or NULL. Was it the last part? */
static void
part_ended(struct health *h, const GError *error)
{
	if (error) {
		g_free(h->unasked);
		h->unasked = unasked_text(error);
	}
	if (--h->asking > 0)
		return;
	if (h->once_more) {
		h->once_more = FALSE;
		g_clear_pointer(&h->unasked, g_free);
		health_again(h, 0);
		return;
	}
	if (h->unasked) {
		g_autofree char *why = g_steal_pointer(&h->unasked);
		unasked(h, why);
		return;
	}
	h->last.probed = g_get_monotonic_time() / 1000;
	next_probe(h);
	h->report(EVENT_PROBE_OK, NULL, FALSE, h->data);
}

/* A number from a guest's df; -1: there is none ("-"), or it is not plausible. */
static gint64
bytes_of(const char *text)
{
	gint64 kib = g_ascii_isdigit(*text) ? g_ascii_strtoll(text, NULL, 10) : -1;
	return kib < 0 || kib > G_MAXINT64 / 1024 ? -1 : kib * 1024;
}

/*
 * The guest read its clock at some time between our question and its answer, most likely in the
 * middle, and reports whole seconds.
 */
static void
note_clock(struct health *h, double seconds)
{
	double way = (double)(g_get_monotonic_time() - h->asked) / 1e6;
	double then = (double)g_get_real_time() / 1e6 - way / 2;
	h->last.skew = seconds + 0.5 - then;
	h->last.skew_within = way / 2 + 0.5;
}

static void
note_facts(struct health *h, const char *output)
{
	g_auto(GStrv) lines = g_strsplit(output, "\n", FACTS_LINES);
	gint64 *free[] = {&h->last.disk_free, &h->last.store_free};
	guint file_systems = 0;
	h->last.skew = h->last.load = NAN;
	h->last.disk_free = h->last.store_free = -1;
	for (char **line = lines; *line; line++) {
		double value;
		char kib[24];
		if (sscanf(*line, "time %lf", &value) == 1)
			note_clock(h, value);
		else if (sscanf(*line, "load %lf", &value) == 1)
			h->last.load = value;
		else if (file_systems < G_N_ELEMENTS(free) &&
			 sscanf(*line, "%*s %*[0-9-] %*[0-9-] %23[0-9-]", kib) == 1)
			*free[file_systems++] = bytes_of(kib);
	}
}

/* The facts must be known before the guest counts as ready: the free space in its store decides
 * whether it is published. */
static void
on_facts(struct ssh_session *session, int status, const char *output, const GError *error,
	 void *data)
{
	struct health *h = data;
	if (h->halting || ssh_session_ended(session)) /* on_closed follows */
		return;
	if (!error)
		note_facts(h, output);
	part_ended(h, NULL);
}

static void
on_probe(struct ssh_session *session, int status, const char *output, const GError *error,
	 void *data)
{
	struct health *h = data;
	gboolean guix = !strcmp(h->guest->probe_command, "guix");
	g_autofree char *text = NULL;
	if (h->halting)
		return;
	if (error && health_is_ours(error)) {
		part_ended(h, error);
		return;
	}
	if (error)
		text = g_strdup_printf("command: %s", error->message);
	else if (guix && !strstr(output, "(values (value 2))"))
		text = g_strdup_printf("command: `" GUIX_COMMAND
				       "' did not answer (status %d): %.200s",
				       status, output);
	else if (!guix && status != 0)
		text = g_strdup_printf("command: `%s' ended with status %d: %.200s",
				       h->guest->probe_command, status, output);
	note(h, HEALTH_COMMAND, text ? text : "ok", h->asked);
	if (!error)
		heard(h);
	if (text) {
		failed(h, g_strchomp(text), FALSE, HEALTH_RETRY_ODD);
		return;
	}
	learn(h, h->last.ms[HEALTH_COMMAND]);
	part_ended(h, NULL);
}

static void visit(struct health *h);
static void look_at_door(struct health *h);

static void
probe(struct health *h)
{
	gboolean guix = !strcmp(h->guest->probe_command, "guix");
	h->asked = g_get_monotonic_time();
	h->asking = 2;
	health_again(h, HEALTH_LOOK);
	if (!h->visited || h->asked / 1000 - h->visit_seen >= HEALTH_VISIT)
		visit(h);
	else if (h->asked / 1000 - h->door_seen >= HEALTH_DOOR)
		look_at_door(h);
	ssh_session_run(h->session, FACTS_COMMAND, NULL, HEALTH_FACTS_LIMIT, on_facts, h);
	ssh_session_run(h->session, guix ? GUIX_COMMAND : h->guest->probe_command,
			guix ? GUIX_INPUT : NULL, probe_limit(h), on_probe, h);
}

/* --- sessions --- */

static struct ssh_session *
connect_as(struct health *h, const char *user, ssh_session_ready_fn ready,
	   ssh_session_closed_fn closed)
{
	const struct config_guest *guest = h->guest;
	gboolean at_own_port = !h->restored || h->lenient;
	struct ssh_session_spec spec = {
	    .address = at_own_port ? config_guest_reached_at(guest) : SECRETS_ADDRESS,
	    .port = h->restored ? h->restored : guest->ssh_port,
	    .user = user,
	    .private_key = h->key,
	    .host_keys = h->host_keys,
	    .limits = SSH_LIMITS_DEFAULT,
	};
	return ssh_session_new(h->loop, &spec, ready, closed, h);
}

static const char *
visitor(const struct health *h)
{
	return h->guest->offloading ? h->guest->user : h->guest->admin_user;
}

static void
on_visit(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	struct health *h = data;
	gboolean ours = error && health_is_ours(error);
	g_autofree char *text =
	    error ? g_strdup_printf("login as %s: %s", visitor(h), error->message) : NULL;
	if (!ours)
		note(h, HEALTH_USER, text ? text : "ok", h->visit_began);
	ssh_session_free(h->visit);
	h->visit = NULL;
	if (text && !ours) {
		failed(h, text, FALSE, HEALTH_RETRY_ODD);
		return;
	}
	if (!ours) {
		h->visited = TRUE;
		h->visit_seen = h->door_seen = g_get_monotonic_time() / 1000;
	}
	part_ended(h, error);
}

/* A complete new login, as part of a probe. */
static void
visit(struct health *h)
{
	h->asking++;
	h->visit_began = g_get_monotonic_time();
	h->visit = connect_as(h, visitor(h), on_visit, NULL);
}

static void
on_door(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	struct health *h = data;
	gboolean ours = error && health_is_ours(error);
	g_autofree char *text =
	    error ? g_strdup_printf("a new connection: %s", error->message) : NULL;
	ssh_session_free(h->door);
	h->door = NULL;
	if (text && !ours) {
		note(h, HEALTH_BANNER, text, 0);
		failed(h, text, FALSE, HEALTH_RETRY_ODD);
		return;
	}
	if (!ours)
		h->door_seen = g_get_monotonic_time() / 1000;
	part_ended(h, error);
}

/*
 * Does sshd still greet new connections? This costs the guest a new process, and no handshake.
 * OpenSSH 9.8 adds a penalty of 1 s for each such connection, and refuses more at 15 s; the penalty
 * is over long before the next one.
 */
static void
look_at_door(struct health *h)
{
	h->asking++;
	h->door = connect_as(h, NULL, on_door, NULL);
}

static void
on_closed(struct ssh_session *session, const GError *error, void *data)
{
	struct health *h = data;
	if (h->halting) { /* as intended */
		health_drop_sessions(h);
		return;
	}
	g_autofree char *text = g_strdup_printf("the session ended: %s", error->message);
	failed(h, text, FALSE, HEALTH_RETRY_ABSENT);
}

static void
on_ready(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	struct health *h = data;
	forget_steps(h);
	enum health_step reached = error ? step_of(step) : HEALTH_COMMAND;
	h->last.silent = error && reached == HEALTH_BANNER;
	if (reached > HEALTH_BANNER)
		heard(h);
	if (h->halting) {
		health_say_halt(h, error);
		return;
	}
	for (enum health_step s = HEALTH_BANNER; s < reached && s <= HEALTH_LOGIN; s++)
		note(h, s, "ok", s == HEALTH_LOGIN ? h->began : 0);
	if (error) {
		note(h, reached, error->message, h->began);
		session_failed(h, step, error);
		return;
	}
	g_free(h->last.banner);
	h->last.banner = g_strdup(ssh_session_banner(session));
	h->open = TRUE;
	ev_timer_stop(h->loop, &h->timer);
	h->probes = 0;
	h->door_seen = g_get_monotonic_time() / 1000;
	if (h->restored && h->lenient) /* nobody waits for it: at a full second */
		health_again(h, 1000.0 - (double)(g_get_real_time() / 1000 % 1000));
	else if (h->restored)
		health_freshen(h);
	else
		probe(h);
}

void
health_failed(struct health *h, const char *text)
{
	failed(h, text, FALSE, HEALTH_RETRY_ODD);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct health *h = w->data;
	if (h->paused && !h->halting) {
		health_again(h, HEALTH_LOOK);
		return;
	}
	if (vitals_stopped(h->qemu)) {
		g_autofree char *text = g_strdup_printf(
		    "QEMU is stopped by a signal; kill -CONT %d resumes it", (int)h->qemu);
		if (h->halting) {
			h->report(EVENT_HALT_REFUSED, text, FALSE, h->data);
			return;
		}
		forget_steps(h);
		note(h, HEALTH_BANNER, text, 0);
		h->last.silent = FALSE;
		failed(h, text, FALSE, HEALTH_RETRY_ODD);
		return;
	}
	if (h->halting && h->session) /* it is being connected */
		return;
	if (h->open && h->asking) { /* their own limits count */
		health_again(h, HEALTH_LOOK);
		return;
	}
	if (h->open && h->restored) {
		health_freshen(h);
		return;
	}
	if (h->open) {
		probe(h);
		return;
	}
	h->began = g_get_monotonic_time();
	h->session = connect_as(h, h->guest->admin_user, on_ready, on_closed);
}

void
health_ask(struct health *h)
{
	if (h->halting)
		return;
	if (h->open && h->asking)
		h->once_more = TRUE; /* half of the answers may be old */
	else if (h->open || !h->session)
		health_again(h, 0);
}

void
health_pause(struct health *h, gboolean paused)
{
	h->paused = paused;
}

gsize
health_ports(const struct health *h, int *ports)
{
	const struct ssh_session *sessions[HEALTH_SESSIONS] = {h->session, h->visit, h->door};
	gsize n = 0;
	for (gsize i = 0; i < HEALTH_SESSIONS; i++)
		if (sessions[i] && (ports[n] = ssh_session_port(sessions[i])))
			n++;
	return n;
}

void
health_configure(struct health *h, const struct config_guest *guest)
{
	const struct config_guest *old = h->guest;
	h->guest = config_guest_ref(guest);
	config_guest_unref(old);
}

const struct health_report *
health_report(const struct health *h)
{
	return &h->last;
}

struct health *
health_new(struct ev_loop *loop, const struct config_guest *guest, pid_t qemu, char **host_keys,
	   const char *key, health_fn report, void *data)
{
	struct health *h = g_new0(struct health, 1);
	h->loop = loop;
	h->guest = config_guest_ref(guest);
	h->qemu = qemu;
	h->host_keys = g_strdupv(host_keys);
	h->key = g_strdup(key);
	h->report = report;
	h->data = data;
	h->visited = !guest->offloading || !strcmp(guest->user, guest->admin_user);
	h->visit_seen = g_get_monotonic_time() / 1000;
	h->last.skew = h->last.load = NAN;
	h->last.disk_free = h->last.store_free = -1;
	h->last.probed = -1;
	ev_timer_init(&h->timer, on_timer, 0, 0);
	h->timer.data = h;
	ev_timer_start(loop, &h->timer);
	return h;
}

void
health_free(struct health *h)
{
	if (!h)
		return;
	ev_timer_stop(h->loop, &h->timer);
	health_drop_sessions(h);
	for (int s = 0; s < N_HEALTH_STEPS; s++)
		g_free(h->last.results[s]);
	g_free(h->last.banner);
	g_strfreev(h->host_keys);
	g_free(h->key);
	config_guest_unref(h->guest);
	g_free(h);
}
