/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The name is looked up in a worker, in the node's own lane: a name server that does not answer
 * holds up one worker for each node, and the link waits for no more than a limit. Then the
 * addresses are tried in their order (RFC 6724), until one takes the connection.
 *
 * sshd notices a link that is silently dead by its own means, and we do by questions for a sign of
 * life (ssh_session_keep_alive). A daemon that hangs while its host is well is noticed as it stops
 * repeating its list.
 *
 * Each list that is taken may make all published files be written. So a node that sends one after
 * the other is slowed down: of those that come meanwhile the last one counts.
 */
#include "childhurdd/nodes/link.h"

#include <netdb.h>
#include <string.h>

#include "childhurdd/nodes/offers.h"
#include "config/base/text.h"
#include "service/varlink.h"
#include "ssh/known_hosts.h"
#include "ssh/session.h"

#define METHOD	       "org.childhurd.Machines"
#define SAID_MAX       200 /* characters of what a program said, in a message */
#define NAME_SHOWN_MAX 100 /* the same of an error's name */
#define STATUS_ABSENT  127 /* of a shell that does not find a command */

G_DEFINE_QUARK(link - error - quark, link_error)

struct link {
	struct ev_loop *loop;
	struct lane_job *resolving; /* NULL: it is not */
	struct lane *lane;
	char *user, *host, *private_key, *host_key, *coordinator;
	int port;
	char **addresses, **next; /* next: the address to be tried; into addresses */
	char **host_keys;
	struct ssh_session *session;
	struct varlink_buffer in;
	ev_timer limit; /* for the first list, then for the next; also calls the first callback */
	gboolean listed;
	gboolean plain; /* the daemon there knows no coordinators */
	gsize bytes;	/* since period */
	ev_tstamp period;
	double allowed; /* lists that may be taken at once, at the time `counted` */
	ev_tstamp counted;
	char *waiting; /* the newest message that has to wait; NULL: none */
	ev_timer pace; /* until it is taken */
	link_list_fn list;
	link_end_fn end;
	void *data;
	GQueue asks; /* of struct ask */
};

/* The link is over. The callback may free it. */
static void
finish(struct link *link, const GError *error)
{
	ev_timer_stop(link->loop, &link->limit);
	ev_timer_stop(link->loop, &link->pace);
	link->end(link, error, link->data);
}

static void finish_with(struct link *link, enum link_error code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void
finish_with(struct link *link, enum link_error code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autoptr(GError) error = g_error_new_valist(LINK_ERROR, (gint)code, format, arguments);
	va_end(arguments);
	finish(link, error);
}

static void
set_limit(struct link *link, gint64 ms)
{
	ev_timer_stop(link->loop, &link->limit);
	ev_timer_set(&link->limit, (double)ms / 1000, 0.);
	ev_timer_start(link->loop, &link->limit);
}

/* --- messages --- */

/* A daemon that is one version older refuses what is new. */
static gboolean
knows_no_coordinators(const struct varlink_message *message)
{
	JsonNode *parameter = json_object_get_member(message->parameters, "parameter");
	return !g_strcmp0(message->error, VARLINK_INVALID_PARAMETER) && parameter &&
	       JSON_NODE_HOLDS_VALUE(parameter) &&
	       !g_strcmp0(json_node_get_string(parameter), "coordinator");
}

static void follow(struct link *link);

/* The link may be gone when this returns. */
static void
take_message(struct link *link, const char *text)
{
	g_autoptr(GError) error = NULL;
	struct varlink_message *message = varlink_parse(text, &error);
	if (message && !message->method && !message->error && message->continues) {
		link->listed = TRUE;
		set_limit(link, LINK_SILENCE);
		link->list(link, message->parameters,
			   (double)ssh_session_round_trip(link->session) / 2e6, link->data);
	} else if (message && !link->plain && knows_no_coordinators(message)) {
		link->plain = TRUE;
		follow(link); /* through another bridge: this one takes no more */
	} else if (message && message->error) {
		g_autofree char *name = text_said(message->error, NULL, " ", NAME_SHOWN_MAX);
		finish_with(link, LINK_ERROR_ANSWER,
			    "the daemon there does not send its list (%s); is it of an older "
			    "version?",
			    name);
	} else {
		g_autofree char *said = text_said(text, NULL, " ", SAID_MAX);
		finish_with(link, LINK_ERROR_ANSWER, "what answers there is no daemon; it said: %s",
			    said);
	}
	varlink_message_free(message);
}

/* How many may be taken now. */
static double
count_allowed(struct link *link)
{
	ev_tstamp now = ev_now(link->loop);
	link->allowed += (now - link->counted) * 1000 / LINK_PACE;
	link->allowed = MIN(link->allowed, LINK_BURST);
	link->counted = now;
	return link->allowed;
}

static void
on_pace(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct link *link = watcher->data;
	g_autofree char *text = g_steal_pointer(&link->waiting);
	link->allowed = MAX(count_allowed(link) - 1, 0);
	take_message(link, text);
}

/* Takes over text. The link may be gone when this returns. */
static void
take_in_turn(struct link *link, char *text)
{
	g_autofree char *now = NULL;
	gboolean waits = link->waiting != NULL;
	if (!waits && count_allowed(link) >= 1) {
		link->allowed -= 1;
		now = text;
		take_message(link, now);
		return;
	}
	g_free(link->waiting);
	link->waiting = text;
	if (waits)
		return;
	ev_timer_set(&link->pace, (1 - link->allowed) * LINK_PACE / 1000, 0.);
	ev_timer_start(link->loop, &link->pace);
}

static gboolean
is_too_much(struct link *link, gsize n)
{
	ev_tstamp now = ev_now(link->loop);
	if (now - link->period >= LINK_BYTES_PERIOD / 1000.) {
		link->period = now;
		link->bytes = 0;
	}
	link->bytes += n;
	return link->bytes > LINK_BYTES_MAX;
}

static void
on_bytes(struct ssh_session *session, const char *bytes, gsize n, void *data)
{
	struct link *link = data;
	g_autoptr(GError) error = NULL;
	const char *text;
	if (is_too_much(link, n)) {
		finish_with(link, LINK_ERROR_ANSWER, "it sends more than %d MiB within %d s",
			    LINK_BYTES_MAX >> 20, LINK_BYTES_PERIOD / 1000);
		return;
	}
	varlink_buffer_append(&link->in, bytes, n);
	g_autofree char *newest = NULL; /* of several lists the last one counts */
	while ((text = varlink_buffer_take(&link->in, &error))) {
		g_free(newest);
		newest = g_strdup(text);
	}
	if (error)
		finish_with(link, LINK_ERROR_ANSWER, "its list has more than %d MiB",
			    OFFERS_BYTES_MAX >> 20);
	else if (newest)
		take_in_turn(link, g_steal_pointer(&newest));
}

static void
on_command_end(struct ssh_session *session, int status, const char *said, const GError *error,
	       void *data)
{
	struct link *link = data;
	g_autofree char *text = text_said(said, NULL, "; ", SAID_MAX);
	if (error)
		finish(link, error);
	else if (status == STATUS_ABSENT)
		finish_with(link, LINK_ERROR_ANSWER,
			    "childhurdctl is not in the PATH of %s there; install childhurd, or "
			    "name it in authorized_keys, as command=\"/usr/bin/" LINK_COMMAND
			    "\" (%s)",
			    link->user, text);
	else
		finish_with(link, LINK_ERROR_ANSWER, "the bridge there has ended%s%s",
			    *said ? ": " : "", *said ? text : "");
}

/* --- the session --- */

static void connect_next(struct link *link);

static void
follow(struct link *link)
{
	JsonObject *parameters = json_object_new();
	json_object_set_boolean_member(parameters, "follow", TRUE);
	if (!link->plain)
		json_object_set_string_member(parameters, "coordinator", link->coordinator);
	g_autofree char *call = varlink_call(METHOD, parameters, TRUE);
	set_limit(link, LINK_ANSWER_LIMIT);
	ssh_session_keep_alive(link->session);
	ssh_session_stream(link->session, LINK_COMMAND, call, strlen(call) + 1, on_bytes,
			   on_command_end, link);
}

static void
on_ready(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	struct link *link = data;
	if (!error) {
		follow(link);
	} else if (step == SSH_STEP_CONNECT && *link->next) {
		ssh_session_free(g_steal_pointer(&link->session));
		connect_next(link);
	} else {
		finish(link, error);
	}
}

/* on_command_end has the news, unless it has not begun yet. */
static void
on_closed(struct ssh_session *session, const GError *error, void *data)
{
}

static void
connect_next(struct link *link)
{
	const struct ssh_session_spec spec = {
	    .address = *link->next++,
	    .port = link->port,
	    .user = link->user,
	    .private_key = link->private_key,
	    .host_keys = link->host_keys,
	    .limits = {LINK_STEP_LIMIT, LINK_STEP_LIMIT, LINK_STEP_LIMIT, LINK_STEP_LIMIT},
	    .peer = "the node",
	    .key_source = link->host_key ? "configured was" : "known was",
	};
	link->session = ssh_session_new(link->loop, &spec, on_ready, on_closed, link);
}

static void
on_limit(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct link *link = watcher->data;
	if (link->listed)
		finish_with(link, LINK_ERROR_SILENT,
			    "the daemon there has sent no list for %d s; does it hang?",
			    LINK_SILENCE / 1000);
	else
		finish_with(link, LINK_ERROR_SILENT,
			    "the daemon there has sent no list within %d s",
			    LINK_ANSWER_LIMIT / 1000);
}

/* --- calls --- */

struct ask {
	struct link *link;
	link_answer_fn answer;
	void *data;
};

/* Takes over ask, which is no longer the link's. */
static void
ask_end(struct ask *ask, const struct varlink_message *answer, const GError *error)
{
	ask->answer(answer, error, ask->data);
	g_free(ask);
}

static void
ask_fail(struct ask *ask, const char *why)
{
	g_autoptr(GError) error = g_error_new_literal(LINK_ERROR, LINK_ERROR_ANSWER, why);
	ask_end(ask, NULL, error);
}

/* output: the replies, one after the other; as a text it ends with the first one. */
static void
on_asked(struct ssh_session *session, int status, const char *output, const GError *error,
	 void *data)
{
	struct ask *ask = data;
	g_autoptr(GError) why = NULL;
	struct varlink_message *answer = error || status ? NULL : varlink_parse(output, &why);
	g_queue_remove(&ask->link->asks, ask);
	if (answer && !answer->method)
		ask_end(ask, answer, NULL);
	else if (error)
		ask_end(ask, NULL, error);
	else
		ask_fail(ask, status ? "the bridge there failed" : "its answer is none");
	varlink_message_free(answer);
}

void
link_ask(struct link *link, const char *calls, gsize n, link_answer_fn answer, void *data)
{
	struct ask *ask = g_new(struct ask, 1);
	*ask = (struct ask){link, answer, data};
	g_queue_push_tail(&link->asks, ask);
	ssh_session_feed(link->session, LINK_COMMAND, calls, n, LINK_ASK_MAX, LINK_ASK_LIMIT,
			 on_asked, ask);
}

gboolean
link_is_busy(const struct link *link)
{
	return link->asks.length >= LINK_ASKS;
}

static void
fail_asks(struct link *link)
{
	struct ask *ask;
	while ((ask = g_queue_pop_head(&link->asks)))
		ask_fail(ask, "it is no longer connected");
}

/* --- the name --- */

/* Which only the worker uses. */
struct resolving {
	struct link *link;
	char *host, *host_key;
	int port;
	char **addresses, **host_keys;
	GError *error;
};

static void
resolve_addresses(struct resolving *r)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	g_autoptr(GStrvBuilder) all = g_strv_builder_new();
	int code = getaddrinfo(r->host, NULL, &hints, &found);
	if (code) {
		g_set_error(&r->error, LINK_ERROR, LINK_ERROR_RESOLVE, "%s has no address: %s",
			    r->host, gai_strerror(code));
		return;
	}
	for (const struct addrinfo *at = found; at; at = at->ai_next) {
		char text[NI_MAXHOST];
		if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0,
				NI_NUMERICHOST) == 0)
			g_strv_builder_add(all, text);
	}
	freeaddrinfo(found);
	r->addresses = g_strv_builder_end(all);
}

static void
resolve_work(void *data)
{
	struct resolving *r = data;
	lane_touch("known_hosts", "of the daemon's user");
	if (r->host_key)
		r->host_keys = g_strsplit(r->host_key, "\n", -1);
	else
		r->host_keys = known_hosts_find(r->host, r->port, &r->error);
	lane_touch("the name server, asked for", r->host);
	if (r->host_keys)
		resolve_addresses(r);
}

static void
on_resolved(void *data, const GError *late)
{
	struct resolving *r = data;
	struct link *link = r->link;
	link->resolving = NULL;
	if (late) {
		finish_with(link, LINK_ERROR_RESOLVE,
			    "no address of %s within %d s; does the name server answer?",
			    link->host, LINK_RESOLVE_LIMIT / 1000);
		return;
	}
	if (r->error) {
		finish(link, r->error);
		return;
	}
	link->addresses = g_steal_pointer(&r->addresses);
	link->host_keys = g_steal_pointer(&r->host_keys);
	link->next = link->addresses;
	if (*link->next)
		connect_next(link);
	else
		finish_with(link, LINK_ERROR_RESOLVE, "%s has no address", link->host);
}

static void
resolving_free(void *data)
{
	struct resolving *r = data;
	g_free(r->host);
	g_free(r->host_key);
	g_strfreev(r->addresses);
	g_strfreev(r->host_keys);
	g_clear_error(&r->error);
	g_free(r);
}

struct link *
link_new(struct ev_loop *loop, struct lane *lane, const struct link_spec *spec, link_list_fn list,
	 link_end_fn end, void *data)
{
	struct link *link = g_new0(struct link, 1);
	struct resolving *r = g_new0(struct resolving, 1);
	link->loop = loop;
	link->user = g_strdup(spec->user);
	link->host = g_strdup(spec->host);
	link->port = spec->port;
	link->host_key = g_strdup(spec->host_key);
	link->private_key = g_strdup(spec->private_key);
	link->coordinator = g_strdup(spec->coordinator);
	link->list = list;
	link->end = end;
	link->data = data;
	varlink_buffer_init(&link->in, OFFERS_BYTES_MAX);
	ev_init(&link->limit, on_limit);
	ev_init(&link->pace, on_pace);
	link->limit.data = link->pace.data = link;
	link->allowed = LINK_BURST;
	r->link = link;
	r->host = g_strdup(spec->host);
	r->host_key = g_strdup(spec->host_key);
	r->port = spec->port;
	link->resolving =
	    lane_run(lane, LINK_RESOLVE_LIMIT, resolve_work, on_resolved, resolving_free, r);
	return link;
}

void
link_free(struct link *link)
{
	if (!link)
		return;
	ev_timer_stop(link->loop, &link->limit);
	ev_timer_stop(link->loop, &link->pace);
	g_free(link->waiting);
	lane_forget(link->resolving);
	ssh_session_free(link->session);
	fail_asks(link);
	varlink_buffer_clear(&link->in);
	g_strfreev(link->addresses);
	g_strfreev(link->host_keys);
	g_free(link->user);
	g_free(link->host);
	g_free(link->host_key);
	g_free(link->private_key);
	g_free(link->coordinator);
	g_free(link);
}
