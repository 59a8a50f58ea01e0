/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/nodes/holding.h"

#include <string.h>

#include "offload/slots.h"
#include "service/varlink.h"

#define METHOD "org.childhurd.Held"

struct held {
	char *guest;
	gint64 number;
	int port, parallel_builds;
	struct slots *slots;
	int builds;   /* -1: slots cannot be seen or locked */
	int reported; /* -1: nothing yet */
};

struct holding {
	char *directory, *address;
	GPtrArray *held; /* of struct held */
};

static void
held_free(void *data)
{
	struct held *held = data;
	slots_free(held->slots);
	g_free(held->guest);
	g_free(held);
}

struct holding *
holding_new(const char *guix_state_directory, const char *address)
{
	struct holding *holding = g_new0(struct holding, 1);
	holding->directory = g_strdup(guix_state_directory);
	holding->address = g_strdup(address);
	holding->held = g_ptr_array_new_with_free_func(held_free);
	return holding;
}

void
holding_free(struct holding *holding)
{
	if (!holding)
		return;
	g_ptr_array_unref(holding->held);
	g_free(holding->directory);
	g_free(holding->address);
	g_free(holding);
}

static void
lock(struct held *held)
{
	gboolean visible;
	int builds = slots_hold(held->slots, held->parallel_builds, &visible);
	held->builds = visible ? builds : -1;
}

static gboolean
is_of(const struct held *held, const struct offers_hold *hold)
{
	return held->port == hold->port && !strcmp(held->guest, hold->guest);
}

static struct held *
find(const struct holding *holding, const struct offers_hold *hold)
{
	for (guint i = 0; i < holding->held->len; i++) {
		struct held *held = g_ptr_array_index(holding->held, i);
		if (is_of(held, hold))
			return held;
	}
	return NULL;
}

static struct held *
begin(struct holding *holding, const struct offers_hold *hold)
{
	struct held *held = g_new0(struct held, 1);
	held->guest = g_strdup(hold->guest);
	held->port = hold->port;
	held->slots = slots_new(holding->directory, holding->address, hold->port);
	g_ptr_array_add(holding->held, held);
	return held;
}

/* A guest that is held again keeps its locks. */
static void
hold(struct holding *holding, const struct offers_hold *hold)
{
	struct held *held = find(holding, hold);
	if (held && held->number == hold->number)
		return;
	if (!held)
		held = begin(holding, hold);
	held->number = hold->number;
	held->parallel_builds = hold->parallel_builds;
	held->reported = -1;
	lock(held);
}

static gboolean
is_among(const struct held *held, const GArray *holds)
{
	for (guint i = 0; i < holds->len && i < HOLDING_GUESTS_MAX; i++)
		if (is_of(held, &g_array_index(holds, struct offers_hold, i)))
			return TRUE;
	return FALSE;
}

void
holding_set(struct holding *holding, const struct offers *offers)
{
	for (guint i = 0; i < offers->held->len && i < HOLDING_GUESTS_MAX; i++)
		hold(holding, &g_array_index(offers->held, struct offers_hold, i));
	for (guint i = holding->held->len; i-- > 0;)
		if (!is_among(g_ptr_array_index(holding->held, i), offers->held))
			g_ptr_array_remove_index_fast(holding->held, i);
}

gboolean
holding_look(struct holding *holding)
{
	for (guint i = 0; i < holding->held->len; i++)
		lock(g_ptr_array_index(holding->held, i));
	return holding->held->len > 0;
}

void
holding_forget(struct holding *holding)
{
	for (guint i = 0; i < holding->held->len; i++)
		((struct held *)g_ptr_array_index(holding->held, i))->reported = -1;
}

GByteArray *
holding_reports(struct holding *holding, const char *coordinator)
{
	GByteArray *reports = NULL;
	for (guint i = 0; i < holding->held->len; i++) {
		struct held *held = g_ptr_array_index(holding->held, i);
		if (held->builds < 0 || held->reported == held->builds)
			continue;
		JsonObject *o = json_object_new();
		json_object_set_string_member(o, "coordinator", coordinator);
		json_object_set_string_member(o, "name", held->guest);
		json_object_set_int_member(o, "number", held->number);
		json_object_set_int_member(o, "builds", held->builds);
		g_autofree char *call = varlink_call(METHOD, o, FALSE);
		reports = reports ? reports : g_byte_array_new();
		g_byte_array_append(reports, (const guint8 *)call, (guint)strlen(call) + 1);
		held->reported = held->builds;
	}
	return reports;
}
