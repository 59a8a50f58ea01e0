/* SPDX-License-Identifier: GPL-3.0-or-later */
/* childhurdctl events and log: show what happened and a guest's console; with -f until Ctrl-C. */
#include "service/ctl/ctl.h"

#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#define FOLLOW_FROM 10 /* events or lines that -f shows before the new ones, as tail(1) does */

/* --- events --- */

static void
print_event(JsonObject *event)
{
	const char *guest = ctl_text(event, "guest"), *state = ctl_state_word(event);
	g_autofree char *time = ctl_date(ctl_number(event, "time", 0));
	g_autofree char *name = ctl_clean(guest ? guest : "childhurdd", TRUE);
	g_autofree char *plain = ctl_clean(state, TRUE);
	g_autofree char *shown = ctl_coloured(plain, plain);
	g_autofree char *text = ctl_clean(ctl_text(event, "text"), TRUE);
	printf("%s %5.0f  %s: %s%s%s\n", time, ctl_number(event, "number", 0), name, shown,
	       state && *text ? ": " : "", text);
}

/* Does argument, a name or a pattern, stand for the event's guest? */
static gboolean
matches(const char *argument, JsonObject *event)
{
	const char *guest = ctl_text(event, "guest");
	return guest && (!strcmp(argument, guest) || !fnmatch(argument, guest, 0));
}

/* Is it about one of the guests, and late enough? */
static gboolean
is_wanted(const struct ctl *ctl, JsonObject *event)
{
	gboolean named = !ctl->n_arguments;
	for (guint i = 0; !named && i < ctl->n_arguments; i++)
		named = matches(ctl->arguments[i], event);
	return named && ctl_number(event, "time", 0) >= ctl->since_time;
}

/* Print the events from number *next on, at most the newest `most`, and advance *next. */
static void
print_events(struct ctl *ctl, JsonObject *parameters, gint64 *next, guint most)
{
	g_autoptr(GPtrArray) all = ctl_objects(parameters, "events");
	g_autoptr(GPtrArray) events = g_ptr_array_new();
	double lost = ctl_number(parameters, "lost", 0);
	if (lost > 0 && most == G_MAXUINT) {
		fflush(stdout);
		fprintf(stderr, "childhurdctl: %.0f older events are no longer kept\n", lost);
	}
	for (guint i = 0; i < all->len; i++) {
		JsonObject *event = g_ptr_array_index(all, i);
		gint64 number = (gint64)ctl_number(event, "number", 0);
		if (number < *next)
			continue;
		*next = number + 1;
		if (is_wanted(ctl, event))
			g_ptr_array_add(events, event);
	}
	for (guint i = events->len > most ? events->len - most : 0; i < events->len; i++) {
		JsonObject *event = g_ptr_array_index(events, i);
		if (ctl->json)
			ctl_print_object(event);
		else
			print_event(event);
	}
	fflush(stdout);
}

/* Does one of the events match argument? That may be a guest which is no longer configured. */
static gboolean
happened_to(const char *argument, JsonObject *parameters)
{
	g_autoptr(GPtrArray) events = ctl_objects(parameters, "events");
	for (guint i = 0; i < events->len; i++)
		if (matches(argument, g_ptr_array_index(events, i)))
			return TRUE;
	return FALSE;
}

/* A misspelt name must not look like a guest to which nothing happened. */
static gboolean
know_names(struct ctl *ctl, GError **error)
{
	if (!ctl->n_arguments)
		return TRUE;
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Events", NULL, error);
	for (guint i = 0; reply && i < ctl->n_arguments; i++) {
		const char *argument = ctl->arguments[i];
		if (happened_to(argument, reply->parameters))
			continue;
		ctl_auto_message there =
		    ctl_call(ctl, "org.childhurd.List", ctl_names(&argument, 1), error);
		if (!there)
			return FALSE;
	}
	return reply != NULL;
}

int
ctl_events(struct ctl *ctl, GError **error)
{
	gint64 next = ctl->since;
	gboolean continues = TRUE;
	if (!know_names(ctl, error))
		return CTL_FAILED;
	if (ctl->follow && ctl->since < 0 && ctl->since_time <= 0) {
		ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Events", NULL, error);
		if (!reply)
			return CTL_FAILED;
		next = 1;
		print_events(ctl, reply->parameters, &next, FOLLOW_FROM);
	}
	JsonObject *parameters = json_object_new();
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

/* --- for status --- */

/* The events of this host or, for NODE/NAME, of that node: an object that lives until the next
 * call. They are asked for once for all guests that follow one another. NULL: there are none. */
static JsonObject *
ask_events(struct ctl *ctl, const char *name)
{
	const char *slash = strchr(name, '/');
	g_autofree char *node = g_strndup(name, slash ? (gsize)(slash - name) : 0);
	JsonObject *call = NULL;
	if (!ctl->events || strcmp(ctl->events_node, node)) {
		if (slash) {
			call = json_object_new();
			json_object_set_string_member(call, "node", node);
			json_object_set_string_member(call, "method", "org.childhurd.Events");
		}
		varlink_message_free(ctl->events);
		ctl->events = ctl_call(
		    ctl, slash ? "org.childhurd.AskNode" : "org.childhurd.Events", call, NULL);
		g_free(ctl->events_node);
		ctl->events_node = g_steal_pointer(&node);
	}
	JsonObject *answer = ctl->events ? ctl->events->parameters : NULL;
	return answer && slash ? ctl_object(answer, "answer") : answer;
}

void
ctl_print_last_events(struct ctl *ctl, const char *name, guint n, const char *label)
{
	double now = ctl_now();
	JsonObject *in = name ? ask_events(ctl, name) : NULL;
	if (!in)
		return;
	const char *slash = strchr(name, '/'), *bare = slash ? slash + 1 : name;
	g_autoptr(GPtrArray) all = ctl_objects(in, "events");
	g_autoptr(GPtrArray) events = g_ptr_array_new();
	for (guint i = all->len; i > 0 && events->len < n; i--)
		if (!g_strcmp0(ctl_text(g_ptr_array_index(all, i - 1), "guest"), bare))
			g_ptr_array_insert(events, 0, g_ptr_array_index(all, i - 1));
	for (guint i = 0; i < events->len; i++) {
		JsonObject *event = g_ptr_array_index(events, i);
		const char *state = ctl_state_word(event);
		g_autofree char *time = ctl_time(ctl_number(event, "time", 0), now);
		g_autofree char *plain = ctl_clean(state, TRUE);
		g_autofree char *shown = ctl_coloured(plain, plain);
		g_autofree char *text = ctl_clean(ctl_text(event, "text"), TRUE);
		printf("%*s%s  %s%s%s\n", (int)strlen(label), i ? "" : label, time, shown,
		       state && *text ? ": " : "", text);
	}
}

/* --- log --- */

int
ctl_log(struct ctl *ctl, GError **error)
{
	g_autofree char *name = ctl_only_name(ctl, error);
	gboolean continues = TRUE, any = FALSE;
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
		any |= *text != '\0';
		continues = reply->continues;
	}
	if (!any)
		fprintf(stderr,
			"childhurdctl: %s: its console's log is empty: it has not run yet, or "
			"has written nothing\n",
			name);
	return CTL_DONE;
}
