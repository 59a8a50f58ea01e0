/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A hold has the reports about it, one for each coordinator, so that they go with it. */
#include "childhurdd/hird/holds.h"

struct coordinator {
	guint connections;
	gint64 since; /* of the newest */
};

/* The value of holds->guests. */
struct held {
	gint64 number, since;
	int port, parallel_builds;
	GHashTable *reports; /* a coordinator's name to its builds */
};

struct holds {
	const struct holds_ops *ops;
	void *data;
	GHashTable *coordinators; /* name to struct coordinator */
	GHashTable *guests;	  /* name to struct held */
	gint64 last;		  /* the highest number so far */
};

static void
held_free(void *data)
{
	struct held *held = data;
	g_hash_table_unref(held->reports);
	g_free(held);
}

struct holds *
holds_new(const struct holds_ops *ops, void *data)
{
	struct holds *holds = g_new0(struct holds, 1);
	holds->ops = ops;
	holds->data = data;
	holds->coordinators = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	holds->guests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, held_free);
	/* A coordinator may still report on what an earlier daemon held. */
	holds->last = g_get_real_time();
	return holds;
}

void
holds_free(struct holds *holds)
{
	if (!holds)
		return;
	g_hash_table_unref(holds->coordinators);
	g_hash_table_unref(holds->guests);
	g_free(holds);
}

/* Forget what that coordinator reported. */
static void
drop_reports(struct holds *holds, const char *coordinator)
{
	GHashTableIter iter;
	gpointer value;
	g_hash_table_iter_init(&iter, holds->guests);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		g_hash_table_remove(((struct held *)value)->reports, coordinator);
}

gboolean
holds_join(struct holds *holds, const char *coordinator)
{
	struct coordinator *known = g_hash_table_lookup(holds->coordinators, coordinator);
	if (!known && g_hash_table_size(holds->coordinators) >= HOLDS_COORDINATORS_MAX)
		return FALSE;
	if (!known) {
		known = g_new0(struct coordinator, 1);
		g_hash_table_insert(holds->coordinators, g_strdup(coordinator), known);
	}
	known->connections++;
	known->since = holds->ops->now(holds->data);
	drop_reports(holds, coordinator);
	return TRUE;
}

void
holds_leave(struct holds *holds, const char *coordinator)
{
	struct coordinator *known = g_hash_table_lookup(holds->coordinators, coordinator);
	if (!known || --known->connections)
		return;
	drop_reports(holds, coordinator);
	g_hash_table_remove(holds->coordinators, coordinator);
}

/* The builds of one coordinator in a guest that is held. */
static int
builds_of(const struct holds *holds, const char *name, const struct coordinator *coordinator,
	  const struct held *held)
{
	gpointer builds;
	if (g_hash_table_lookup_extended(held->reports, name, NULL, &builds))
		return GPOINTER_TO_INT(builds);
	gint64 asked = MAX(held->since, coordinator->since);
	return holds->ops->now(holds->data) - asked < HOLDS_LIMIT ? 1 : 0;
}

static int
count(const struct holds *holds, const struct held *held)
{
	int builds = 0;
	GHashTableIter iter;
	gpointer name, coordinator;
	g_hash_table_iter_init(&iter, holds->coordinators);
	while (g_hash_table_iter_next(&iter, &name, &coordinator))
		builds += builds_of(holds, name, coordinator, held);
	return builds;
}

int
holds_hold(struct holds *holds, const char *guest, int port, int parallel_builds)
{
	struct held *held = g_hash_table_lookup(holds->guests, guest);
	if (!held) {
		held = g_new0(struct held, 1);
		held->number = ++holds->last;
		held->since = holds->ops->now(holds->data);
		held->port = port;
		held->parallel_builds = parallel_builds;
		held->reports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		g_hash_table_insert(holds->guests, g_strdup(guest), held);
		holds->ops->changed(holds->data);
	}
	return count(holds, held);
}

void
holds_release(struct holds *holds, const char *guest)
{
	if (g_hash_table_remove(holds->guests, guest))
		holds->ops->changed(holds->data);
}

GArray *
holds_list(const struct holds *holds)
{
	GArray *list = g_array_new(FALSE, FALSE, sizeof(struct control_hold));
	GHashTableIter iter;
	gpointer guest, value;
	g_hash_table_iter_init(&iter, holds->guests);
	while (g_hash_table_iter_next(&iter, &guest, &value)) {
		const struct held *held = value;
		const struct control_hold hold = {guest, held->number, held->port,
						  held->parallel_builds};
		g_array_append_val(list, hold);
	}
	return list;
}

gboolean
holds_report(struct holds *holds, const char *coordinator, const char *guest, gint64 number,
	     int builds)
{
	struct held *held = g_hash_table_lookup(holds->guests, guest);
	if (!held || held->number != number ||
	    !g_hash_table_contains(holds->coordinators, coordinator))
		return FALSE;
	int before = count(holds, held);
	g_hash_table_insert(held->reports, g_strdup(coordinator), GINT_TO_POINTER(builds));
	return before > 0 && count(holds, held) == 0;
}
