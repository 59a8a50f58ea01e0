/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Machines: the guests that are published. A coordinator elsewhere follows it over its bridge, and
 * gets those of this host: two coordinators that list each other's guests would never be rid of
 * one.
 *
 * A follower gets whole lists, and no list twice. Only what it has got last is kept for it: a
 * follower that reads slowly gets the newest list when it is ready for another one, and never those
 * in between. A coordinator's own slots are locked by itself: its list has the guests that are
 * held, and it answers with Held, on another connection. The number of builds changes without an
 * event, so it is looked at from time to time. After CONTROL_BEAT without a change the same list is
 * sent again: a daemon that hangs sends none.
 */
#include <string.h>

#include "offload/slots.h"
#include "service/control/internal.h"

struct machines {
	struct request *request;
	char *sent; /* the last list as a text, without the time; NULL: none yet */
	gint64 builds;
	ev_tstamp beat; /* when it is due */
	ev_timer recount;
	char *coordinator; /* that follows it, and reports on held guests; NULL: none */
};

static struct control *
control_of(const struct machines *machines)
{
	return machines->request->client->control;
}

/* The guests that are listed as this, own: only those of this host. NULL: there are none. */
static JsonArray *
listed_as(enum published_as as, gboolean own, const struct published_guest *guests, gsize n)
{
	JsonArray *machines = NULL;
	for (gsize i = 0; i < n; i++) {
		if (guests[i].as != as || (own && guests[i].foreign))
			continue;
		machines = machines ? machines : json_array_new();
		json_array_add_object_element(machines, machine_json(&guests[i]));
	}
	return machines;
}

static JsonObject *
list_json(gboolean own, const struct published_guest *guests, gsize n)
{
	JsonObject *o = json_object_new();
	JsonArray *ready = listed_as(PUBLISHED_READY, own, guests, n);
	json_object_set_array_member(o, "machines", ready ? ready : json_array_new());
	return o;
}

/* Builds that run on this host's guests, as far as they are known. */
static gint64
count_builds(const struct control_hird *hird)
{
	gint64 builds = 0;
	for (const char *const *name = hird->names(hird->data); *name; name++) {
		struct control_guest guest = {0};
		if (hird->describe(hird->data, *name, FALSE, &guest) && guest.builds > 0)
			builds += guest.builds;
	}
	return builds;
}

static guint
count_guests(const struct control_hird *hird)
{
	return g_strv_length((char **)hird->names(hird->data));
}

static JsonArray *
holds_json(const struct control_hird *hird)
{
	gsize n = 0;
	const struct control_hold *holds = hird->holds(hird->data, &n);
	JsonArray *array = json_array_new();
	for (gsize i = 0; i < n; i++) {
		JsonObject *o = json_object_new();
		json_set_text(o, "name", holds[i].guest);
		json_object_set_int_member(o, "number", holds[i].number);
		json_object_set_int_member(o, "port", holds[i].port);
		json_object_set_int_member(o, "parallel_builds", holds[i].parallel_builds);
		json_array_add_object_element(array, o);
	}
	return array;
}

static JsonObject *
followed_json(const struct machines *machines)
{
	const struct control_hird *hird = &control_of(machines)->hird;
	gsize n = 0;
	const struct published_guest *guests = hird->machines(hird->data, &n);
	JsonObject *o = list_json(TRUE, guests, n);
	JsonArray *coming = listed_as(PUBLISHED_COMING, TRUE, guests, n);
	if (coming)
		json_object_set_array_member(o, "coming", coming);
	json_object_set_null_member(o, "text");
	json_object_set_string_member(o, "version", CHILDHURD_VERSION);
	json_object_set_int_member(o, "builds", machines->builds);
	json_object_set_int_member(o, "guests", count_guests(hird));
	if (machines->coordinator)
		json_object_set_array_member(o, "held", holds_json(hird));
	return o;
}

static void
machines_pump(struct request *request)
{
	struct machines *machines = request->state;
	const struct control_hird *hird = &control_of(machines)->hird;
	if (machines->sent && hird->publishing && hird->publishing(hird->data))
		return; /* the end of it calls again */
	JsonObject *o = followed_json(machines);
	g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
	char *text = varlink_json(node);
	if (!g_strcmp0(text, machines->sent) &&
	    ev_now(control_of(machines)->loop) < machines->beat) {
		g_free(text);
		json_object_unref(o);
		return;
	}
	g_free(machines->sent);
	machines->sent = text;
	machines->beat = ev_now(control_of(machines)->loop) + control_of(machines)->beat;
	json_object_set_double_member(o, "time", (double)g_get_real_time() / 1e6);
	request_reply(request, o, TRUE);
}

static void
on_recount(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct machines *machines = watcher->data;
	gint64 builds = count_builds(&control_of(machines)->hird);
	if (builds != machines->builds || ev_now(loop) >= machines->beat)
		client_wake(machines->request->client);
	machines->builds = builds;
}

static void
machines_release(struct request *request)
{
	struct machines *machines = request->state;
	const struct control_hird *hird = &control_of(machines)->hird;
	ev_timer_stop(control_of(machines)->loop, &machines->recount);
	if (machines->coordinator)
		hird->leave(hird->data, machines->coordinator);
	g_free(machines->coordinator);
	g_free(machines->sent);
	g_free(machines);
}

/* Get a coordinator's name. FALSE: answered and gone. */
static gboolean
take_coordinator(struct request *request, const char **name)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.";
	if (!request_string(request, "coordinator", name))
		return FALSE;
	if (!*name || (g_ascii_isalnum(**name) && strspn(*name, letters) == strlen(*name) &&
		       strlen(*name) <= CONTROL_COORDINATOR_MAX))
		return TRUE;
	request_invalid(request, "coordinator",
			"not a name of letters, digits, - _ and ., at most 64 of them");
	return FALSE;
}

/* coordinator: borrowed; NULL: none. One that may not report is like none. */
static void
follow(struct request *request, const char *coordinator)
{
	struct control *control = request->client->control;
	const struct control_hird *hird = &control->hird;
	struct machines *machines = g_new0(struct machines, 1);
	machines->request = request;
	machines->builds = count_builds(hird);
	if (coordinator && hird->join && client_is_trusted(request->client) &&
	    hird->join(hird->data, coordinator))
		machines->coordinator = g_strdup(coordinator);
	ev_timer_init(&machines->recount, on_recount, control->recount, control->recount);
	machines->recount.data = machines;
	ev_timer_start(control->loop, &machines->recount);
	request->state = machines;
	request->lasting = TRUE;
	request->release = machines_release;
	request->pump = machines_pump;
	machines_pump(request);
}

void
method_machines(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	gboolean following = FALSE;
	const char *coordinator = NULL;
	if (!request_follow(request, &following) || !take_coordinator(request, &coordinator))
		return;
	if (following) {
		follow(request, coordinator);
		return;
	}
	gsize n = 0;
	const struct published_guest *guests = hird->machines(hird->data, &n);
	JsonObject *o = list_json(FALSE, guests, n);
	g_autofree char *text = published_machines(guests, n);
	json_set_text(o, "text", text);
	request_reply(request, o, FALSE);
}

void
method_held(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	const char *coordinator = NULL, *name = NULL;
	gint64 number = -1, builds = -1;
	if (!take_coordinator(request, &coordinator) || !request_string(request, "name", &name) ||
	    !request_integer(request, "number", &number) ||
	    !request_integer(request, "builds", &builds))
		return;
	const char *missing = !coordinator ? "coordinator"
			      : !name	   ? "name"
			      : number < 0 ? "number"
			      : builds < 0 ? "builds"
					   : NULL;
	if (missing) {
		request_invalid(request, missing, NULL);
		return;
	}
	if (hird->report)
		hird->report(hird->data, coordinator, name, number, (int)MIN(builds, SLOTS_MAX));
	request_reply(request, NULL, FALSE);
}
