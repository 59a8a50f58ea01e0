/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "service/report/records.h"

#include <math.h>
#include <string.h>

#define DAY (24 * G_TIME_SPAN_HOUR)

static const struct {
	gint64 length;
	const char *name;
} periods[N_PERIODS] = {[PERIOD_DAY] = {DAY, "24 hours"},
			[PERIOD_WEEK] = {7 * DAY, "7 days"},
			[PERIOD_LONG] = {90 * DAY, "90 days"}};

gint64
period_length(enum period period)
{
	return periods[period].length;
}

const char *
period_name(enum period period)
{
	return periods[period].name;
}

/* --- the members of a record; one of a wrong type is missing --- */

static JsonNode *
member(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);
	return node && JSON_NODE_HOLDS_VALUE(node) ? node : NULL;
}

static const char *
text_of(JsonObject *object, const char *name)
{
	JsonNode *node = member(object, name);
	return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
								       : NULL;
}

static double
number_of(JsonObject *object, const char *name)
{
	JsonNode *node = member(object, name);
	GType type = node ? json_node_get_value_type(node) : G_TYPE_INVALID;
	return type == G_TYPE_INT64 || type == G_TYPE_DOUBLE ? json_node_get_double(node) : NAN;
}

/* µs; 0: missing, or nothing that a clock shows. */
static gint64
time_of(JsonObject *object, const char *name)
{
	double number = number_of(object, name);
	return number > 0 && number < 4e15 ? (gint64)number : 0;
}

/* --- guests --- */

static void
boot_clear(gpointer boot)
{
	g_free(((struct record_boot *)boot)->ended);
}

static void
failure_clear(gpointer data)
{
	struct record_failure *failure = data;
	g_free(failure->phase);
	g_free(failure->reason);
}

static void
guest_free(gpointer data)
{
	struct record_guest *guest = data;
	g_array_unref(guest->states);
	g_array_unref(guest->boots);
	g_array_unref(guest->failures);
	g_array_unref(guest->builds);
	g_array_unref(guest->samples);
	g_free(guest->name);
	g_free(guest->state);
	g_free(guest->why);
	g_free(guest);
}

static struct record_guest *
guest_new(const char *name)
{
	struct record_guest *guest = g_new0(struct record_guest, 1);
	guest->name = g_strdup(name);
	guest->states = g_array_new(FALSE, FALSE, sizeof(struct record_state));
	guest->boots = g_array_new(FALSE, FALSE, sizeof(struct record_boot));
	guest->failures = g_array_new(FALSE, FALSE, sizeof(struct record_failure));
	guest->builds = g_array_new(FALSE, FALSE, sizeof(struct record_build));
	guest->samples = g_array_new(FALSE, FALSE, sizeof(struct record_sample));
	g_array_set_clear_func(guest->boots, boot_clear);
	g_array_set_clear_func(guest->failures, failure_clear);
	for (guint i = 0; i < N_PERIODS; i++)
		guest->figures[i] = (struct record_figures){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
	return guest;
}

/* The guest of that name, which is new if there is none. NULL: no name, or too many guests. */
static struct record_guest *
guest_of(struct records *records, const char *name)
{
	struct record_guest *guest = name ? g_hash_table_lookup(records->by_name, name) : NULL;
	if (guest || !name || !*name || records->guests->len >= RECORDS_GUESTS_MAX)
		return guest;
	guest = guest_new(name);
	g_ptr_array_add(records->guests, guest);
	g_hash_table_insert(records->by_name, guest->name, guest);
	return guest;
}

/* In the order in which they come. A daemon of another version may have others. */
static const char *const known_phases[] = {"queue", "start", "restore", "boot",
					   "keys",  "login", "save"};

struct records *
records_new(gint64 now, GTimeZone *zone, const char *host)
{
	struct records *records = g_new0(struct records, 1);
	records->now = now;
	records->zone = g_time_zone_ref(zone);
	records->host = g_strdup(host);
	records->guests = g_ptr_array_new_with_free_func(guest_free);
	records->phases = g_ptr_array_new_with_free_func(g_free);
	for (gsize i = 0; i < G_N_ELEMENTS(known_phases); i++)
		g_ptr_array_add(records->phases, g_strdup(known_phases[i]));
	records->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	return records;
}

void
records_free(struct records *records)
{
	if (!records)
		return;
	g_hash_table_unref(records->by_name);
	g_ptr_array_unref(records->guests);
	g_ptr_array_unref(records->phases);
	g_time_zone_unref(records->zone);
	g_free(records->host);
	g_free(records);
}

void
records_add_guest(struct records *records, JsonObject *object)
{
	struct record_guest *guest = guest_of(records, text_of(object, "name"));
	const char *state = text_of(object, "state");
	double since = number_of(object, "since");
	if (!guest)
		return;
	g_free(guest->state);
	g_free(guest->why);
	guest->state = g_strdup(state ? state : "unknown");
	guest->why = g_strdup(text_of(object, "why"));
	guest->since = since > 0 && since < 4e9 ? (gint64)(since * G_USEC_PER_SEC) : 0;
}

/* --- the kinds of records --- */

/* Until when a stretch of time lasts that began at from: one without an end lasts until now. 0: it
 * ends before it begins, as after a clock was set back. */
static gint64
end_of(const struct records *records, JsonObject *record, gint64 from)
{
	gint64 until = time_of(record, "end");
	if (!until)
		until = records->now;
	return until < from ? 0 : until;
}

static void
add_state(struct records *records, struct record_guest *guest, JsonObject *record, gint64 time)
{
	struct record_state state = {time, end_of(records, record, time),
				     kind_of_state(text_of(record, "state"))};
	if (state.until)
		g_array_append_val(guest->states, state);
}

/* The index of the phase of that name among the report's. */
static guint
phase_of(struct records *records, const char *name)
{
	for (guint i = 0; i < records->phases->len; i++)
		if (!strcmp(g_ptr_array_index(records->phases, i), name))
			return i;
	if (records->phases->len == RECORDS_PHASES_MAX)
		return RECORDS_PHASES_MAX;
	g_ptr_array_add(records->phases, g_strdup(name));
	return records->phases->len - 1;
}

static void
add_phases(struct records *records, struct record_boot *boot, JsonObject *record)
{
	JsonNode *node = json_object_get_member(record, "phases");
	JsonArray *phases = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
	for (guint i = 0; phases && i < json_array_get_length(phases); i++) {
		JsonNode *element = json_array_get_element(phases, i);
		if (!JSON_NODE_HOLDS_OBJECT(element))
			continue;
		JsonObject *phase = json_node_get_object(element);
		const char *name = text_of(phase, "name");
		double ms = number_of(phase, "ms");
		if (name && *name && ms >= 0 && ms < 1e9)
			boot->seconds[phase_of(records, name)] += ms / 1000;
	}
}

static void
add_boot(struct records *records, struct record_guest *guest, JsonObject *record, gint64 time)
{
	const char *how = text_of(record, "how");
	struct record_boot boot = {.time = time,
				   .ready = time_of(record, "ready"),
				   .end = time_of(record, "end"),
				   .how = !g_strcmp0(how, "warm")   ? BOOT_WARM
					  : !g_strcmp0(how, "wake") ? BOOT_WAKE
								    : BOOT_COLD,
				   .ended = g_strdup(text_of(record, "ended"))};
	if (boot.ready < time)
		boot.ready = 0;
	add_phases(records, &boot, record);
	g_array_append_val(guest->boots, boot);
}

static void
add_failure(struct records *records, struct record_guest *guest, JsonObject *record, gint64 time)
{
	const char *phase = text_of(record, "phase"), *reason = text_of(record, "reason");
	double screenshot = number_of(record, "screenshot");
	struct record_failure failure = {
	    .time = time,
	    .phase = g_strdup(phase ? phase : ""),
	    .reason = g_strdup(reason ? reason : ""),
	    .screenshot = screenshot >= 0 && screenshot < 9e15 ? (gint64)screenshot : -1};
	g_array_append_val(guest->failures, failure);
}

static void
add_build(struct records *records, struct record_guest *guest, JsonObject *record, gint64 time)
{
	struct record_build build = {time, end_of(records, record, time)};
	if (build.until)
		g_array_append_val(guest->builds, build);
}

static void
add_sample(struct records *records, struct record_guest *guest, JsonObject *record, gint64 time)
{
	gint64 until = time_of(record, "end");
	struct record_sample sample = {time, MAX(until, time), number_of(record, "load"),
				       number_of(record, "store_free")};
	if (sample.load < 0)
		sample.load = NAN;
	if (sample.store_free < 0)
		sample.store_free = NAN;
	g_array_append_val(guest->samples, sample);
}

static void
add_restore(struct records *records, struct record_guest *guest, JsonObject *record, gint64 time)
{
	double ms = number_of(record, "ms");
	/* Wakes and starts are among the boots. */
	const char *reason = text_of(record, "reason");
	if (!(ms >= 0 && ms < 1e9) || !g_strcmp0(reason, "wake") || !g_strcmp0(reason, "start"))
		return;
	guest->restores++;
	guest->restore_seconds += ms / 1000;
}

/* number that is at least 0, or NAN. */
static double
figure(JsonObject *record, const char *name)
{
	double number = number_of(record, name);
	return number >= 0 ? number : NAN;
}

static void
add_figures(struct record_guest *guest, JsonObject *record, enum period period)
{
	guest->figures[period] =
	    (struct record_figures){.availability = figure(record, "availability"),
				    .boots = figure(record, "boots"),
				    .failures = figure(record, "failures"),
				    .builds = figure(record, "builds"),
				    .build_seconds = figure(record, "build_seconds"),
				    .median_boot = figure(record, "median_boot_ms") / 1000,
				    .mtbf = figure(record, "mtbf_s")};
}

void
records_add(struct records *records, JsonObject *record, enum period period)
{
	static const struct {
		const char *kind;
		void (*add)(struct records *records, struct record_guest *guest, JsonObject *record,
			    gint64 time);
	} kinds[] = {{"state", add_state}, {"boot", add_boot},	   {"failure", add_failure},
		     {"build", add_build}, {"sample", add_sample}, {"restore", add_restore}};
	const char *kind = text_of(record, "kind");
	gint64 time = time_of(record, "time");
	struct record_guest *guest = kind ? guest_of(records, text_of(record, "guest")) : NULL;
	if (guest && !strcmp(kind, "figures"))
		add_figures(guest, record, period);
	if (!guest || !time || guest->n >= RECORDS_MAX)
		return;
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (!strcmp(kinds[i].kind, kind)) {
			kinds[i].add(records, guest, record, time);
			guest->n++;
		}
}

/* Each of the structures of an array begins with its time. */
static int
by_time(gconstpointer a, gconstpointer b)
{
	gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
	return (x > y) - (x < y);
}

void
records_sort(struct records *records)
{
	for (guint i = 0; i < records->guests->len; i++) {
		struct record_guest *guest = g_ptr_array_index(records->guests, i);
		g_array_sort(guest->states, by_time);
		g_array_sort(guest->boots, by_time);
		g_array_sort(guest->failures, by_time);
		g_array_sort(guest->builds, by_time);
		g_array_sort(guest->samples, by_time);
	}
}
