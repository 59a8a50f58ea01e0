/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl events, and the last events for status.
 *
 * The daemon has the latest events in memory, since it was started; the history has those before,
 * and those that found no room there. Both are in the order of their numbers, so what comes of the
 * history is told together with what the daemon has. A history that fails costs the older ones
 * only.
 */
#include "service/ctl/ctl.h"
#include "service/states.h"

#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#define FOLLOW_FROM 10	  /* events that -f shows before the new ones, as tail(1) does */
#define DAY	    86400 /* s */

/* --- one event --- */

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

static gint64
number_of(JsonObject *event)
{
	double number = ctl_number(event, "number", 0);
	return number > 0 && number < 9e15 ? (gint64)number : 0;
}

static void
set_text(JsonObject *object, const char *name, const char *text)
{
	if (text)
		json_object_set_string_member(object, name, text);
	else
		json_object_set_null_member(object, name);
}

/* A record of the history, as the daemon has it in memory. The caller unrefs. */
static JsonObject *
event_of(JsonObject *record)
{
	JsonObject *event = json_object_new();
	const char *state = ctl_text(record, "state"), *text = ctl_text(record, "text");
	gboolean taken_over = !g_strcmp0(state, STATE_TAKEN_OVER);
	json_object_set_int_member(event, "number", number_of(record));
	json_object_set_double_member(event, "time",
				      ctl_number(record, "time", 0) / G_USEC_PER_SEC);
	set_text(event, "guest", ctl_text(record, "guest"));
	set_text(event, "state", taken_over ? "unresponsive" : state);
	if (taken_over)
		json_object_set_boolean_member(event, "taken_over", TRUE);
	json_object_set_string_member(event, "text", text ? text : "");
	return event;
}

/* --- what the daemon and the history have --- */

struct telling {
	struct ctl *ctl;
	GPtrArray *kept;	  /* of the daemon, borrowed: Events */
	guint next;		  /* the first of kept that is not told yet */
	const char *const *names; /* of guests, or patterns, n of them; 0: all, and the daemon */
	guint n;
	double since; /* s since the epoch: none before */
	gint64 first; /* number: none before */
	GQueue *last; /* Events, owned: the newest `most`; NULL: they are printed */
	guint most;
	gint64 found; /* of the history alone, from number missing_from on */
	gint64 missing_from;
};

static gboolean
is_wanted(const struct telling *telling, JsonObject *event)
{
	gboolean named = !telling->n;
	for (guint i = 0; !named && i < telling->n; i++)
		named = matches(telling->names[i], event);
	return named && ctl_number(event, "time", 0) >= telling->since &&
	       number_of(event) >= telling->first;
}

static void
tell(struct telling *telling, JsonObject *event)
{
	if (!is_wanted(telling, event))
		return;
	if (telling->last) {
		g_queue_push_tail(telling->last, json_object_ref(event));
		if (telling->last->length > telling->most)
			json_object_unref(g_queue_pop_head(telling->last));
	} else if (telling->ctl->json) {
		ctl_print_object(event);
	} else {
		print_event(event);
	}
}

/* Tell what the daemon has before that number. */
static void
tell_kept(struct telling *telling, gint64 number)
{
	JsonObject *event;
	while (telling->next < telling->kept->len &&
	       number_of(event = g_ptr_array_index(telling->kept, telling->next)) < number) {
		tell(telling, event);
		telling->next++;
	}
}

static void
on_record(JsonObject *record, void *data)
{
	struct telling *telling = data;
	g_autoptr(JsonObject) event = event_of(record);
	gint64 number = number_of(event);
	tell_kept(telling, number);
	if (telling->next < telling->kept->len &&
	    number_of(g_ptr_array_index(telling->kept, telling->next)) == number)
		return; /* the daemon has it, too */
	telling->found += number >= telling->missing_from;
	tell(telling, event);
}

/* Tell what the history has since then (s since the epoch), with what the daemon has in between. */
static gboolean
tell_history(struct telling *telling, double since, GError **error)
{
	static const char *const kinds[] = {"event", NULL};
	const struct ctl_question question = {.names = telling->names,
					      .n = telling->n,
					      .since = (gint64)(MAX(since, 0) * G_USEC_PER_SEC),
					      .until = G_MAXINT64,
					      .kinds = kinds,
					      .limit = CTL_HISTORY_LIMIT};
	return ctl_ask_history(telling->ctl, &question, on_record, telling, error);
}

/* Has the daemon all that there may be from number `first` and moment `since` on? lost: how many
 * are missing between those that it has. */
static gboolean
has_all(const struct telling *telling, double lost)
{
	JsonObject *oldest = telling->kept->len ? g_ptr_array_index(telling->kept, 0) : NULL;
	if (lost > 0)
		return FALSE;
	if (oldest && telling->since > 0 && ctl_number(oldest, "time", 0) < telling->since)
		return TRUE;
	return oldest && number_of(oldest) <= MAX(telling->first, 1);
}

static void
unref(void *object)
{
	json_object_unref(object);
}

/* The newest n that are wanted, in telling->last, which the caller frees. The history is asked for
 * no more than that takes. */
static void
find_last(struct telling *telling, guint n, double lost)
{
	static const double ages[] = {DAY, 14 * DAY, 1e12}; /* s */
	telling->last = g_queue_new();
	telling->most = n;
	tell_kept(telling, G_MAXINT64);
	if (has_all(telling, lost) || telling->ctl->no_history)
		return;
	for (gsize i = 0; i < G_N_ELEMENTS(ages) && telling->last->length < n; i++) {
		GQueue *before = telling->last;
		telling->last = g_queue_new();
		telling->next = 0;
		telling->ctl->no_history = !tell_history(telling, ctl_now() - ages[i], NULL);
		if (telling->ctl->no_history) {
			g_queue_free_full(telling->last, unref);
			telling->last = before;
			return;
		}
		tell_kept(telling, G_MAXINT64);
		g_queue_free_full(before, unref);
	}
}

/* --- the verb --- */

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

static void
ignore(JsonObject *record, void *data)
{
}

/* Has the history guests of that name, or pattern? */
static gboolean
was_there(struct ctl *ctl, const char *argument)
{
	static const char *const kinds[] = {"failure", NULL};
	const struct ctl_question question = {.names = &argument,
					      .n = 1,
					      .since = G_MAXINT64,
					      .until = G_MAXINT64,
					      .kinds = kinds,
					      .limit = CTL_HISTORY_LIMIT};
	return ctl_ask_history(ctl, &question, ignore, NULL, NULL);
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
		GError *why = NULL;
		if (happened_to(argument, reply->parameters))
			continue;
		ctl_auto_message there =
		    ctl_ask_names(ctl, NULL, "org.childhurd.List", &argument, 1, &why);
		if (there)
			continue;
		if (why->code != CTL_FAILED || !was_there(ctl, argument)) {
			g_propagate_error(error, why);
			return FALSE;
		}
		g_error_free(why);
	}
	return reply != NULL;
}

static void
say_lost(double lost, const GError *why)
{
	ctl_say("%.0f older events are no longer kept%s%s", lost, why ? "; " : "",
		why ? why->message : "");
}

/* What happened so far, of what is wanted. */
static void
show_past(struct telling *telling, double lost)
{
	GError *why = NULL;
	JsonObject *oldest = telling->kept->len ? g_ptr_array_index(telling->kept, 0) : NULL;
	telling->missing_from = telling->first ? telling->first : oldest ? number_of(oldest) : 0;
	if (!has_all(telling, lost))
		tell_history(telling, telling->since, &why);
	tell_kept(telling, G_MAXINT64);
	/* Of some guests alone it is not known how many are missing. */
	if (lost > (double)telling->found && (why || !telling->n))
		say_lost(lost - (double)telling->found, why);
	else if (why)
		ctl_say("older events are not shown: %s", why->message);
	g_clear_error(&why);
}

/* The last few of them. */
static void
show_end(struct telling *telling, double lost)
{
	find_last(telling, FOLLOW_FROM, lost);
	GQueue *last = g_steal_pointer(&telling->last);
	for (GList *event = last->head; event; event = event->next)
		tell(telling, event->data);
	g_queue_free_full(last, unref);
}

/* Go on with what happens. */
static int
follow(struct telling *telling, gint64 next, GError **error)
{
	JsonObject *parameters = json_object_new();
	json_object_set_int_member(parameters, "since", next);
	json_object_set_boolean_member(parameters, "follow", TRUE);
	if (!ctl_send(telling->ctl, "org.childhurd.Events", parameters, TRUE, error))
		return CTL_FAILED;
	for (gboolean continues = TRUE; continues;) {
		ctl_auto_message reply = ctl_receive(telling->ctl, -1, error);
		if (!reply || ctl_refused(reply, error))
			return CTL_FAILED;
		g_autoptr(GPtrArray) events = ctl_objects(reply->parameters, "events");
		double lost = ctl_number(reply->parameters, "lost", 0);
		if (lost > 0)
			say_lost(lost, NULL);
		for (guint i = 0; i < events->len; i++)
			tell(telling, g_ptr_array_index(events, i));
		fflush(stdout);
		continues = reply->continues;
	}
	return CTL_DONE;
}

int
ctl_events(struct ctl *ctl, GError **error)
{
	JsonObject *parameters = NULL;
	if (!know_names(ctl, error))
		return CTL_FAILED;
	if (ctl->since >= 0) {
		parameters = json_object_new();
		json_object_set_int_member(parameters, "since", ctl->since);
	}
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Events", parameters, error);
	if (!reply)
		return CTL_FAILED;
	g_autoptr(GPtrArray) kept = ctl_objects(reply->parameters, "events");
	double lost = ctl_number(reply->parameters, "lost", 0);
	gint64 next =
	    kept->len ? number_of(g_ptr_array_index(kept, kept->len - 1)) + 1 : MAX(ctl->since, 0);
	struct telling telling = {.ctl = ctl,
				  .kept = kept,
				  .names = (const char *const *)ctl->arguments,
				  .n = ctl->n_arguments,
				  .since = ctl->since_time,
				  .first = MAX(ctl->since, 0)};
	if (ctl->follow && ctl->since < 0 && ctl->since_time <= 0)
		show_end(&telling, lost);
	else
		show_past(&telling, lost);
	fflush(stdout);
	return ctl->follow ? follow(&telling, next, error) : CTL_DONE;
}

/* --- for status --- */

/* The events of this host or, for NODE/NAME, of that node: a reply that lives until the next call.
 * They are asked for once for all guests that follow one another. NULL: there are none. */
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

guint
ctl_print_last_events(struct ctl *ctl, const char *name, guint n, const char *label)
{
	double now = ctl_now();
	JsonObject *in = name ? ask_events(ctl, name) : NULL;
	if (!in)
		return n;
	const char *slash = strchr(name, '/'), *bare = slash ? slash + 1 : name;
	g_autoptr(GPtrArray) kept = ctl_objects(in, "events");
	struct telling telling = {.ctl = ctl, .kept = kept, .names = &bare, .n = 1};
	gboolean had_none = ctl->no_history;
	ctl->no_history |= slash != NULL; /* a node is asked for what it has in memory alone */
	find_last(&telling, n, ctl_number(in, "lost", 0));
	ctl->no_history = slash ? had_none : ctl->no_history;
	for (GList *next = telling.last->head; next; next = next->next) {
		JsonObject *event = next->data;
		const char *state = ctl_state_word(event);
		g_autofree char *time = ctl_time(ctl_number(event, "time", 0), now);
		g_autofree char *plain = ctl_clean(state, TRUE);
		g_autofree char *shown = ctl_coloured(plain, plain);
		g_autofree char *text = ctl_clean(ctl_text(event, "text"), TRUE);
		printf("%*s%s  %s%s%s\n", (int)strlen(label), next->prev ? "" : label, time, shown,
		       state && *text ? ": " : "", text);
	}
	guint found = telling.last->length;
	g_queue_free_full(telling.last, unref);
	return found;
}
