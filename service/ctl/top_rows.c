/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What childhurdctl top knows of the guests, and the order it shows them in. The daemon keeps no
 * history of the load: top makes its own, from the replies it gets.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "service/ctl/top.h"

/* --- history --- */

GHashTable *
top_pasts_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static struct top_past *
past_of(GHashTable *pasts, const char *name)
{
	struct top_past *past = g_hash_table_lookup(pasts, name);
	if (past)
		return past;
	past = g_new0(struct top_past, 1);
	past->share = NAN;
	for (guint i = 0; i < TOP_CELLS; i++)
		past->cpu[i] = past->builds[i] = NAN;
	g_hash_table_insert(pasts, g_strdup(name), past);
	return past;
}

/* Make room for the cells that have begun until now. */
static void
advance(struct top_past *past, gint64 now)
{
	gint64 cell = now / (TOP_CELL * 1000);
	guint new = past->cell ? (guint)MIN(cell - past->cell, TOP_CELLS) : 1;
	if (!new)
		return;
	memmove(past->cpu, past->cpu + new, (TOP_CELLS - new) * sizeof *past->cpu);
	memmove(past->builds, past->builds + new, (TOP_CELLS - new) * sizeof *past->builds);
	for (guint i = TOP_CELLS - new; i < TOP_CELLS; i++)
		past->cpu[i] = past->builds[i] = NAN;
	past->cell = cell;
	past->sum = past->n = 0;
}

/* The share of a core since the reply before; NAN: another QEMU runs now, or none. */
static double
share_of(const struct top_past *past, double pid, double used, gint64 now)
{
	double passed = (double)(now - past->at) / G_USEC_PER_SEC;
	gboolean same = pid > 0 && past->pid == pid && passed > 0;
	return same ? MAX(0, (used - past->used) / passed) : NAN;
}

static void
note(GHashTable *pasts, JsonObject *details, gint64 now)
{
	JsonObject *guest = ctl_object(details, "guest");
	const char *name = guest ? ctl_text(guest, "name") : NULL;
	double pid = ctl_number(details, "pid", 0), used = ctl_number(details, "cpu", NAN);
	double builds = guest ? ctl_number(guest, "builds", NAN) : NAN;
	if (!name)
		return;
	struct top_past *past = past_of(pasts, name);
	double *newest = &past->builds[TOP_CELLS - 1];
	past->share = share_of(past, pid, used, now);
	past->pid = pid;
	past->used = used;
	past->at = now;
	advance(past, now);
	*newest = isnan(*newest) ? builds : MAX(*newest, isnan(builds) ? 0 : builds);
	if (isnan(past->share))
		return;
	past->sum += past->share;
	past->cpu[TOP_CELLS - 1] = past->sum / ++past->n;
}

void
top_note(GHashTable *pasts, const struct varlink_message *answer, gint64 now)
{
	g_autoptr(GPtrArray) guests = ctl_objects(answer->parameters, "guests");
	for (guint i = 0; i < guests->len; i++)
		note(pasts, g_ptr_array_index(guests, i), now);
}

struct top_row *
top_rows(GHashTable *pasts, const struct varlink_message *answer, guint *n)
{
	g_autoptr(GPtrArray) guests =
	    answer ? ctl_objects(answer->parameters, "guests") : g_ptr_array_new();
	struct top_row *rows = g_new0(struct top_row, guests->len + 1);
	*n = 0;
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *details = g_ptr_array_index(guests, i),
			   *guest = ctl_object(details, "guest");
		const char *name = guest ? ctl_text(guest, "name") : NULL;
		if (name)
			rows[(*n)++] = (struct top_row){guest, details, past_of(pasts, name), i};
	}
	return rows;
}

char *
top_summary(const struct top_row *rows, guint n)
{
	guint ready = 0;
	double builds = 0, cpu = 0, memory = 0;
	for (guint i = 0; i < n; i++) {
		ready += !g_strcmp0(ctl_text(rows[i].guest, "state"), "ready");
		builds += MAX(ctl_number(rows[i].guest, "builds", 0), 0);
		memory += ctl_number(rows[i].guest, "memory", 0);
		cpu += isnan(rows[i].past->share) ? 0 : rows[i].past->share;
	}
	g_autofree char *size = ctl_size(memory);
	return g_strdup_printf("%u of %u ready, %.0f build%s, CPU %.0f%%, memory %s", ready, n,
			       builds, builds == 1 ? "" : "s", cpu * 100, size);
}

/* --- order --- */

/* In the order of list, but what is ready is last: most guests are, and the screen has an end. */
static double
rank(const struct top_row *row)
{
	return g_strcmp0(ctl_text(row->guest, "state"), "ready") ? ctl_state_place(row->guest)
								 : G_MAXINT;
}

static double
time_in_state(const struct top_row *row)
{
	return -ctl_number(row->guest, "since", 0);
}

static double
builds(const struct top_row *row)
{
	return -ctl_number(row->guest, "builds", -1);
}

static double
cpu(const struct top_row *row)
{
	return isnan(row->past->share) ? 1 : -row->past->share;
}

static double
memory(const struct top_row *row)
{
	return -ctl_number(row->guest, "memory", 0);
}

static double
load(const struct top_row *row)
{
	return -ctl_number(row->details, "load", -1);
}

static double
restarts(const struct top_row *row)
{
	return -ctl_number(row->guest, "restarts", -1);
}

/* The order: the smallest value first, of which the largest numbers are the negative ones. NULL: by
 * name. */
static const struct {
	const char *name;
	char key;
	double (*value)(const struct top_row *row);
} orders[] = {
    [TOP_BY_NAME] = {"name", 'n', NULL},
    [TOP_BY_STATE] = {"state", 's', rank},
    [TOP_BY_TIME] = {"time in state", 't', time_in_state},
    [TOP_BY_BUILDS] = {"builds", 'b', builds},
    [TOP_BY_CPU] = {"CPU", 'c', cpu},
    [TOP_BY_MEMORY] = {"memory", 'm', memory},
    [TOP_BY_LOAD] = {"load", 'l', load},
    [TOP_BY_RESTARTS] = {"restarts", 'x', restarts},
};

static int
compare(const void *a, const void *b, void *data)
{
	const struct top_row *one = a, *other = b;
	const struct top_sort *sort = data;
	int order;
	if (orders[sort->by].value) {
		double x = orders[sort->by].value(one), y = orders[sort->by].value(other);
		order = (x > y) - (x < y);
	} else /* childhurd2 comes before childhurd10 */
		order = strverscmp(ctl_text(one->guest, "name"), ctl_text(other->guest, "name"));
	if (order)
		return sort->reversed ? -order : order;
	return (one->number > other->number) - (one->number < other->number);
}

void
top_sort(struct top_row *rows, guint n, const struct top_sort *sort)
{
	if (n > 1)
		qsort_r(rows, n, sizeof *rows, compare, (void *)sort);
}

const char *
top_order_name(enum top_order order)
{
	return orders[order].name;
}

char
top_order_key(enum top_order order)
{
	return orders[order].key;
}
