/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Wait: answered when all the guests are in a state, or as soon as one of them cannot reach it by
 * itself.
 *
 * The guests' states are looked at once at the call, and then from the loop after an event. So a
 * state that a guest only passes through within one action (stopped, during a restart) does not
 * count.
 */
#include <string.h>

#include "service/control/internal.h"
#include "service/states.h"

struct wait {
	struct request *request;
	GPtrArray *names;
	const char *state; /* borrowed from the message */
	gboolean changed;  /* since the last reply */
	ev_timer timeout, recheck;
};

static struct control *
control_of(const struct wait *wait)
{
	return wait->request->client->control;
}

static gboolean
is_in(const struct control_guest *guest, const char *state)
{
	if (strcmp(state, "drained") == 0) /* no build runs in it, and none will */
		return guest->builds <= 0 &&
		       (guest->drained || strcmp(guest->state, "draining") == 0 ||
			strcmp(guest->state, "stopped") == 0 ||
			strcmp(guest->state, "failed") == 0 ||
			(strcmp(guest->state, "asleep") == 0 && !guest->published));
	return strcmp(guest->state, state) == 0;
}

/* It is up and drained, so it is not going to be ready. */
static gboolean
is_kept_from_ready(const struct control_guest *guest, const char *state)
{
	return guest->drained && strcmp(guest->state, "draining") == 0 &&
	       strcmp(state, "ready") == 0;
}

/* Does the guest stay as it is until an operator does something, or somebody connects to it? */
static gboolean
is_stuck(const struct control_guest *guest, const char *state)
{
	if (strcmp(state, "stopped") == 0 || strcmp(state, "failed") == 0 ||
	    strcmp(state, "drained") == 0)
		return FALSE;
	return is_kept_from_ready(guest, state) || strcmp(guest->state, "failed") == 0 ||
	       (strcmp(guest->state, "stopped") == 0 && !guest->undecided) ||
	       strcmp(guest->state, "asleep") == 0;
}

static void
fail_stuck(struct request *request, const struct control_guest *guest, const char *state)
{
	g_autofree char *undrain = g_strdup_printf(
	    "%s; childhurdctl undrain %s gives it builds again", STATE_DRAINED, guest->name);
	JsonObject *o = json_object_new();
	json_set_text(o, "name", guest->name);
	json_set_text(o, "state", guest->state);
	json_set_text(o, "why",
		      is_kept_from_ready(guest, state) ? undrain
		      : guest->why		       ? guest->why
						       : "");
	request_fail(request, CONTROL_INTERFACE ".WaitFailed", o);
}

/* The guests as they are now; NULL: the request was answered with an error. *all: all are in the
 * state, and that is published. */
static JsonArray *
judge(struct wait *wait, gboolean *all)
{
	const struct control_hird *hird = &control_of(wait)->hird;
	JsonArray *guests = json_array_new();
	*all = !hird->publishing || !hird->publishing(hird->data);
	for (guint i = 0; i < wait->names->len; i++) {
		const char *name = g_ptr_array_index(wait->names, i);
		struct control_guest guest = {0};
		gboolean there = hird->describe(hird->data, name, FALSE, &guest);
		if (there && (is_in(&guest, wait->state) || !is_stuck(&guest, wait->state))) {
			*all = *all && is_in(&guest, wait->state);
			json_array_add_object_element(guests, guest_json(&guest));
			continue;
		}
		json_array_unref(guests);
		if (there)
			fail_stuck(wait->request, &guest, wait->state);
		else /* a reload took it away */
			request_fail_with(wait->request, CONTROL_INTERFACE ".NoSuchGuest", "name",
					  name);
		return NULL;
	}
	return guests;
}

static JsonObject *
guests_object(JsonArray *guests)
{
	JsonObject *o = json_object_new();
	json_object_set_array_member(o, "guests", guests);
	return o;
}

static void
wait_pump(struct request *request)
{
	struct wait *wait = request->state;
	gboolean all;
	JsonArray *guests = judge(wait, &all);
	if (!guests)
		return;
	gboolean tell = all || (wait->changed && request->message->more);
	wait->changed = FALSE;
	if (tell)
		request_reply(request, guests_object(guests), !all);
	else
		json_array_unref(guests);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct wait *wait = watcher->data;
	gboolean all;
	JsonArray *guests = judge(wait, &all);
	if (guests && all)
		request_reply(wait->request, guests_object(guests), FALSE);
	else if (guests)
		request_fail(wait->request, CONTROL_INTERFACE ".TimedOut", guests_object(guests));
}

static void
on_recheck(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct wait *wait = watcher->data;
	client_wake(wait->request->client);
}

static void
wait_release(struct request *request)
{
	struct wait *wait = request->state;
	ev_timer_stop(control_of(wait)->loop, &wait->timeout);
	ev_timer_stop(control_of(wait)->loop, &wait->recheck);
	g_ptr_array_unref(wait->names);
	g_free(wait);
}

static void
wait_notice(struct request *request, const struct control_event *event)
{
	struct wait *wait = request->state;
	for (guint i = 0; i < wait->names->len && event->guest; i++)
		if (strcmp(event->guest, g_ptr_array_index(wait->names, i)) == 0)
			wait->changed = TRUE;
}

void
method_wait(struct request *request)
{
	struct control *control = request->client->control;
	const char *state = NULL;
	double timeout = 0;
	if (!request_string(request, "state", &state) ||
	    !request_number(request, "timeout", &timeout))
		return;
	if (!state) {
		request_invalid(request, "state", NULL);
		return;
	}
	if (!g_strv_contains(states_awaited, state)) {
		g_autofree char *known = g_strjoinv(", ", (char **)states_awaited);
		g_autofree char *why = g_strdup_printf("not one of %s", known);
		request_invalid(request, "state", why);
		return;
	}
	GPtrArray *names = request_names(request, FALSE);
	if (!names)
		return;
	struct wait *wait = g_new0(struct wait, 1);
	wait->request = request;
	wait->names = names;
	wait->state = state;
	request->state = wait;
	request->lasting = TRUE;
	request->pump = wait_pump;
	request->notice = wait_notice;
	request->release = wait_release;
	ev_timer_init(&wait->timeout, on_timeout, MIN(timeout, 1e9), 0.);
	ev_timer_init(&wait->recheck, on_recheck, control->recheck, control->recheck);
	wait->timeout.data = wait->recheck.data = wait;
	ev_now_update(control->loop);
	if (timeout > 0)
		ev_timer_start(control->loop, &wait->timeout);
	if (strcmp(state, "drained") == 0)
		ev_timer_start(control->loop, &wait->recheck);
	wait_pump(request);
}
