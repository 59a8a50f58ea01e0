/* SPDX-License-Identifier: GPL-3.0-or-later */
/* childhurdctl events and log: show what happened and a guest's console; with -f until Ctrl-C. */
#include "service/ctl/ctl.h"

#include <string.h>
#include <unistd.h>

#define FOLLOW_FROM 10 /* events or lines that -f shows before the new ones, as tail(1) does */

/* --- events --- */

static int
print_event_json(JsonObject *event)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	json_node_set_object(node, event);
	g_autofree char *text = varlink_json(node);
	return puts(text);
}

static void
print_event(JsonObject *event)
{
	const char *guest = ctl_text(event, "guest"), *state = ctl_text(event, "state");
	g_autofree char *time = ctl_date(ctl_number(event, "time", 0));
	g_autofree char *name = ctl_clean(guest ? guest : "childhurdd", TRUE);
	g_autofree char *plain = ctl_clean(state, TRUE);
	g_autofree char *shown = ctl_coloured(plain, plain);
	g_autofree char *text = ctl_clean(ctl_text(event, "text"), TRUE);
	printf("%s %5.0f  %s: %s%s%s\n", time, ctl_number(event, "number", 0), name, shown,
	       state && *text ? ": " : "", text);
}

/* Print the events from number *next on, at most the newest `most`, and advance *next. */
static void
print_events(struct ctl *ctl, JsonObject *parameters, gint64 *next, guint most)
{
	g_autoptr(GPtrArray) events = ctl_objects(parameters, "events");
	double lost = ctl_number(parameters, "lost", 0);
	if (lost > 0 && most == G_MAXUINT) {
		fflush(stdout);
		fprintf(stderr, "childhurdctl: %.0f older events are no longer kept\n", lost);
	}
	for (guint i = events->len > most ? events->len - most : 0; i < events->len; i++) {
		JsonObject *event = g_ptr_array_index(events, i);
		gint64 number = (gint64)ctl_number(event, "number", 0);
		if (number < *next)
			continue;
		*next = number + 1;
		if (ctl->json)
			print_event_json(event);
		else
			print_event(event);
	}
	fflush(stdout);
}

int
ctl_events(struct ctl *ctl, GError **error)
{
	JsonObject *parameters = json_object_new();
	gint64 next = ctl->since;
	gboolean continues = TRUE;
	if (ctl->follow && ctl->since < 0) {
		ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Events", NULL, error);
		if (!reply)
			return CTL_FAILED;
		next = 1;
		print_events(ctl, reply->parameters, &next, FOLLOW_FROM);
	}
	if (next >= 0)
		json_object_set_int_member(parameters, "since", next);
	if (ctl->follow)
		json_object_set_boolean_member(parameters, "follow", TRUE);
	if (!ctl_send(ctl, "org.childhurd.Events", parameters, ctl->follow, error))
		return CTL_FAILED;
	for (gint64 limit = ctl->follow ? -1 : CTL_REPLY_LIMIT; continues;) {
		ctl_auto_message reply = ctl_receive(ctl, limit, error);
		if (!reply || ctl_refused(reply, error))
			return CTL_FAILED;
		print_events(ctl, reply->parameters, &next, G_MAXUINT);
		continues = reply->continues;
	}
	return CTL_DONE;
}

/* --- log --- */

int
ctl_log(struct ctl *ctl, GError **error)
{
	g_autofree char *name = ctl_only_name(ctl, error);
	gboolean continues = TRUE;
	if (!name)
		return CTL_FAILED;
	JsonObject *parameters = json_object_new();
	json_object_set_string_member(parameters, "name", name);
	json_object_set_int_member(parameters, "lines",
				   ctl->lines >= 0 ? ctl->lines
				   : ctl->follow   ? FOLLOW_FROM
						   : 0);
	if (ctl->follow)
		json_object_set_boolean_member(parameters, "follow", TRUE);
	/* `more` even without follow, because a long log comes in several replies. */
	if (!ctl_send(ctl, "org.childhurd.Log", parameters, TRUE, error))
		return CTL_FAILED;
	for (gint64 limit = CTL_REPLY_LIMIT; continues;
	     limit = ctl->follow ? -1 : CTL_REPLY_LIMIT) {
		ctl_auto_message reply = ctl_receive(ctl, limit, error);
		if (!reply || ctl_refused(reply, error))
			return CTL_FAILED;
		g_autofree char *text = ctl_clean(ctl_text(reply->parameters, "text"), FALSE);
		fputs(text, stdout);
		fflush(stdout);
		continues = reply->continues;
	}
	return CTL_DONE;
}
