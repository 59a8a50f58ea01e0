/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Only gauges, counters and histograms are written, although OpenMetrics also has types for states
 * and versions: node_exporter reads the file with the parser of the older text format, which knows
 * no other types and takes the rest of OpenMetrics for comments.
 */
#include "childhurdd/hird/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Upper bounds in seconds; one more bucket has everything above. */
static const double boot_bounds[] = {5, 10, 20, 30, 60, 120, 300, 600, 900};
static const double restore_bounds[] = {0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120};
static const double probe_bounds[] = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
#define BUCKETS_MAX                                                                                \
	(MAX(MAX(G_N_ELEMENTS(boot_bounds), G_N_ELEMENTS(restore_bounds)),                         \
	     G_N_ELEMENTS(probe_bounds)) +                                                         \
	 1)

struct histogram {
	const double *bounds;
	gsize n;
	guint64 counts[BUCKETS_MAX]; /* each bucket's own; the text adds them up */
	double sum;
};

/* The counts of one guest. */
struct counted {
	enum state state; /* at the last look */
	int seen_restarts;
	gint64 since; /* monotonic ms of that state */
	guint64 boots, restores, wakes, restarts, failures[N_FAILURES];
	double created; /* s since the epoch */
};

struct metrics {
	GHashTable *guests; /* name -> struct counted */
	struct histogram boots, restores, probes;
	double created;
};

static double
now(void)
{
	return (double)g_get_real_time() / 1e6;
}

struct metrics *
metrics_new(void)
{
	struct metrics *m = g_new0(struct metrics, 1);
	m->guests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	m->boots.bounds = boot_bounds;
	m->boots.n = G_N_ELEMENTS(boot_bounds);
	m->restores.bounds = restore_bounds;
	m->restores.n = G_N_ELEMENTS(restore_bounds);
	m->probes.bounds = probe_bounds;
	m->probes.n = G_N_ELEMENTS(probe_bounds);
	m->created = now();
	return m;
}

void
metrics_free(struct metrics *m)
{
	if (!m)
		return;
	g_hash_table_unref(m->guests);
	g_free(m);
}

/* --- counting --- */

static void
observe(struct histogram *h, double value)
{
	gsize i = 0;
	while (i < h->n && value > h->bounds[i])
		i++;
	h->counts[i]++;
	h->sum += value;
}

/* A guest that is new here may have been restarted before this daemon. */
static struct counted *
counted_of(struct metrics *m, const char *name, int restarts)
{
	struct counted *counted = g_hash_table_lookup(m->guests, name);
	if (!counted) {
		counted = g_new0(struct counted, 1);
		counted->state = STATE_STOPPED;
		counted->seen_restarts = restarts;
		counted->created = now();
		g_hash_table_insert(m->guests, g_strdup(name), counted);
	}
	return counted;
}

void
metrics_state(struct metrics *m, const struct childhurd *c)
{
	struct counted *counted = counted_of(m, c->config->name, c->restarts);
	enum state before = counted->state;
	counted->restarts += (guint64)MAX(0, c->restarts - counted->seen_restarts);
	counted->seen_restarts = c->restarts;
	counted->state = c->state;
	if (c->state == before)
		return;
	gint64 began = counted->since;
	counted->since = c->since;
	counted->wakes += before == STATE_ASLEEP && c->state == STATE_STARTING;
	gboolean booted = before == STATE_BOOTING || before == STATE_ENROLLING;
	if (booted && (c->state == STATE_READY || c->state == STATE_DRAINING)) {
		counted->boots++;
		if (c->launched_at) /* not one that began under an earlier daemon */
			observe(&m->boots,
				(double)(c->boot_took ? c->boot_took : c->since - c->launched_at) /
				    1000);
	}
	if (before == STATE_RESTORING && (c->state == STATE_READY || c->state == STATE_DRAINING)) {
		counted->restores++;
		observe(&m->restores, (double)(c->since - began) / 1000);
	}
	if ((c->state == STATE_BACKOFF || c->state == STATE_FAILED) &&
	    c->verdict != VERDICT_GIVEN_UP) /* counted already when it was given up */
		counted->failures[c->reason]++;
}

void
metrics_probe(struct metrics *m, double seconds)
{
	observe(&m->probes, seconds);
}

/* --- the text --- */

static void
add_number(GString *out, double value)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];
	g_string_append(out, g_ascii_formatd(text, sizeof text, "%.15g", value));
}

/* The lines before a family's samples. unit: the end of its name; NULL: none. */
static void
add_family(GString *out, const char *name, const char *type, const char *unit, const char *help)
{
	g_string_append_printf(out, "# TYPE childhurd_%s %s\n", name, type);
	if (unit)
		g_string_append_printf(out, "# UNIT childhurd_%s %s\n", name, unit);
	g_string_append_printf(out, "# HELP childhurd_%s %s\n", name, help);
}

/* {guest="a",label="value"}; either may be NULL. A value's backslashes, quotes and line ends are
 * escaped. */
static void
add_labels(GString *out, const char *guest, const char *label, const char *value)
{
	const char *const names[] = {guest ? "guest" : NULL, label}, *const values[] = {guest,
											value};
	const char *between = "{";
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!names[i])
			continue;
		g_string_append_printf(out, "%s%s=\"", between, names[i]);
		for (const char *p = values[i]; *p; p++) {
			if (*p == '\\' || *p == '"')
				g_string_append_c(out, '\\');
			if (*p == '\n')
				g_string_append(out, "\\n");
			else
				g_string_append_c(out, *p);
		}
		g_string_append_c(out, '"');
		between = ",";
	}
	if (*between == ',')
		g_string_append_c(out, '}');
}

static void
add_sample(GString *out, const char *name, const char *guest, const char *label, const char *value,
	   double number)
{
	g_string_append_printf(out, "childhurd_%s", name);
	add_labels(out, guest, label, value);
	g_string_append_c(out, ' ');
	add_number(out, number);
	g_string_append_c(out, '\n');
}

static void
add_histogram(GString *out, const char *name, const struct histogram *h, double created)
{
	guint64 count = 0;
	g_autofree char *bucket = g_strconcat(name, "_bucket", NULL);
	g_autofree char *counted = g_strconcat(name, "_count", NULL);
	g_autofree char *sum = g_strconcat(name, "_sum", NULL);
	g_autofree char *since = g_strconcat(name, "_created", NULL);
	for (gsize i = 0; i <= h->n; i++) {
		char bound[G_ASCII_DTOSTR_BUF_SIZE] = "+Inf";
		count += h->counts[i];
		if (i < h->n)
			g_ascii_formatd(bound, sizeof bound, "%g", h->bounds[i]);
		/* OpenMetrics writes all bounds as floats */
		g_autofree char *le = g_strconcat(bound, strpbrk(bound, ".I") ? "" : ".0", NULL);
		add_sample(out, bucket, NULL, "le", le, (double)count);
	}
	add_sample(out, counted, NULL, NULL, NULL, (double)count);
	add_sample(out, sum, NULL, NULL, NULL, h->sum);
	add_sample(out, since, NULL, NULL, NULL, created);
}

/* Bytes of the daemon's memory (proc(5), statm). */
static double
resident(void)
{
	g_autofree char *text = NULL;
	long pages = 0;
	if (g_file_get_contents("/proc/self/statm", &text, NULL, NULL) &&
	    sscanf(text, "%*s %ld", &pages) != 1)
		pages = 0;
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void
add_daemon(GString *out, const struct metrics *m, guint unwritten)
{
	add_family(out, "daemon_info", "gauge", NULL, "The daemon's version.");
	add_sample(out, "daemon_info", NULL, "version", CHILDHURD_VERSION, 1);
	add_family(out, "start_time_seconds", "gauge", "seconds",
		   "When the daemon was started, since the epoch.");
	add_sample(out, "start_time_seconds", NULL, NULL, NULL, m->created);
	add_family(out, "resident_memory_bytes", "gauge", "bytes",
		   "The daemon's memory, without its guests.");
	add_sample(out, "resident_memory_bytes", NULL, NULL, NULL, resident());
	add_family(out, "unwritten_files", "gauge", NULL,
		   "Files that cannot be written; they are tried again.");
	add_sample(out, "unwritten_files", NULL, NULL, NULL, unwritten);
}

static void
add_states(GString *out, const struct control_guest *guests, gsize n)
{
	guint counts[N_STATES] = {0};
	add_family(out, "guests", "gauge", NULL, "Guests in each state.");
	for (gsize i = 0; i < n; i++)
		counts[state_from_name(guests[i].state)]++;
	for (int s = 0; s < N_STATES; s++)
		add_sample(out, "guests", NULL, "state", state_name(s), counts[s]);
	add_family(out, "guest_state", "gauge", NULL, "1: the guest is in this state.");
	for (gsize i = 0; i < n; i++)
		for (int s = 0; s < N_STATES; s++)
			add_sample(out, "guest_state", guests[i].name, "state", state_name(s),
				   state_from_name(guests[i].state) == s);
}

static const struct counter {
	const char *name, *help;
	gsize at; /* of the number, in struct counted */
} counters[] = {
    {"boots", "Boots that made the guest ready.", G_STRUCT_OFFSET(struct counted, boots)},
    {"restores", "Warm states that made the guest ready.",
     G_STRUCT_OFFSET(struct counted, restores)},
    {"wakes", "Starts of the guest while it was asleep.", G_STRUCT_OFFSET(struct counted, wakes)},
    {"restarts", "Starts that nobody asked for: after failures, and after the guest rebooted.",
     G_STRUCT_OFFSET(struct counted, restarts)},
};

static void
add_counter(GString *out, struct metrics *m, const struct counter *counter,
	    const struct control_guest *guests, gsize n)
{
	g_autofree char *total = g_strconcat(counter->name, "_total", NULL);
	g_autofree char *created = g_strconcat(counter->name, "_created", NULL);
	add_family(out, counter->name, "counter", NULL, counter->help);
	for (gsize i = 0; i < n; i++) {
		const struct counted *c = counted_of(m, guests[i].name, guests[i].restarts);
		guint64 number = G_STRUCT_MEMBER(guint64, c, counter->at);
		add_sample(out, total, guests[i].name, NULL, NULL, (double)number);
		add_sample(out, created, guests[i].name, NULL, NULL, c->created);
	}
}

static void
add_counters(GString *out, struct metrics *m, const struct control_guest *guests, gsize n)
{
	for (gsize i = 0; i < G_N_ELEMENTS(counters); i++)
		add_counter(out, m, &counters[i], guests, n);
	add_family(out, "failures", "counter", NULL, "Failures, by reason.");
	for (gsize i = 0; i < n; i++) {
		const struct counted *c = counted_of(m, guests[i].name, guests[i].restarts);
		for (int f = 0; f < N_FAILURES; f++) {
			add_sample(out, "failures_total", guests[i].name, "reason", failure_name(f),
				   (double)c->failures[f]);
			add_sample(out, "failures_created", guests[i].name, "reason",
				   failure_name(f), c->created);
		}
	}
}

/* --- one number for each guest; NAN: unknown, left out --- */

static double
known(gint64 value)
{
	return value < 0 ? NAN : (double)value;
}

static double
of_published(const struct control_guest *guest)
{
	return guest->published ? 1 : 0;
}

static double
of_builds(const struct control_guest *guest)
{
	return known(guest->builds);
}

static double
of_slots(const struct control_guest *guest)
{
	return guest->slots;
}

static double
of_memory(const struct control_guest *guest)
{
	return (double)guest->memory;
}

static double
of_skew(const struct control_guest *guest)
{
	return guest->skew;
}

static double
of_skew_within(const struct control_guest *guest)
{
	return guest->skew_within;
}

static double
of_load(const struct control_guest *guest)
{
	return guest->load;
}

static double
of_disk(const struct control_guest *guest)
{
	return known(guest->disk_free);
}

static double
of_store(const struct control_guest *guest)
{
	return known(guest->store_free);
}

static double
of_probed(const struct control_guest *guest)
{
	return guest->probed ? (double)guest->probed / 1e6 : NAN;
}

static const struct figure {
	const char *name, *unit, *help;
	double (*of)(const struct control_guest *guest);
} figures[] = {
    {"guest_published", NULL, "1: it is in the list of machines, as ready.", of_published},
    {"guest_builds", NULL, "Running builds on the guest.", of_builds},
    {"guest_slots", NULL, "Builds that may run on it at a time.", of_slots},
    {"guest_memory_bytes", "bytes", "Its QEMU's memory.", of_memory},
    {"guest_clock_skew_seconds", "seconds", "The guest's clock minus the host's.", of_skew},
    {"guest_clock_skew_within_seconds", "seconds",
     "The error bound of that, as the guest's answer takes time.", of_skew_within},
    {"guest_load", NULL, "The guest's load average over a minute.", of_load},
    {"guest_disk_free_bytes", "bytes", "Free space on the guest's root file system.", of_disk},
    {"guest_store_free_bytes", "bytes", "Free space on the guest's /gnu/store.", of_store},
    {"guest_probed_timestamp_seconds", "seconds", "When its last probe ended, since the epoch.",
     of_probed},
};

static void
add_figures(GString *out, const struct control_guest *guests, gsize n)
{
	for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
		const struct figure *figure = &figures[f];
		add_family(out, figure->name, "gauge", figure->unit, figure->help);
		for (gsize i = 0; i < n; i++)
			if (isfinite(figure->of(&guests[i])))
				add_sample(out, figure->name, guests[i].name, NULL, NULL,
					   figure->of(&guests[i]));
	}
}

/* --- nodes --- */

static double
node_up(const struct control_node *node)
{
	return node->up ? 1 : 0;
}

static double
node_ready(const struct control_node *node)
{
	return node->ready;
}

static double
node_builds(const struct control_node *node)
{
	return node->builds >= 0 ? (double)node->builds : NAN;
}

static double
node_skew(const struct control_node *node)
{
	return node->skew;
}

/* An unknown value, NAN, is left out. */
static const struct {
	const char *name, *unit, *help;
	double (*of)(const struct control_node *node);
} node_figures[] = {
    {"node_up", NULL, "1: this coordinator is connected to the node.", node_up},
    {"node_guests_ready", NULL, "The node's guests that are in the list as ready.", node_ready},
    {"node_builds", NULL, "Builds that run on the node's guests.", node_builds},
    {"node_clock_skew_seconds", "seconds", "The node's clock minus this host's.", node_skew},
};

static void
add_nodes(GString *out, const struct control_node *nodes, gsize n)
{
	for (gsize f = 0; f < G_N_ELEMENTS(node_figures); f++) {
		const char *name = node_figures[f].name;
		add_family(out, name, "gauge", node_figures[f].unit, node_figures[f].help);
		for (gsize i = 0; i < n; i++) {
			double value = node_figures[f].of(&nodes[i]);
			if (isfinite(value))
				add_sample(out, name, NULL, "node", nodes[i].name, value);
		}
	}
}

/* Forget the counts of guests that no longer exist. */
static void
forget_missing(struct metrics *m, const struct control_guest *guests, gsize n)
{
	GHashTableIter iter;
	gpointer name;
	g_hash_table_iter_init(&iter, m->guests);
	while (g_hash_table_iter_next(&iter, &name, NULL)) {
		gsize i = 0;
		while (i < n && strcmp(guests[i].name, name))
			i++;
		if (i == n)
			g_hash_table_iter_remove(&iter);
	}
}

char *
metrics_text(struct metrics *m, const struct control_guest *guests, gsize n,
	     const struct control_node *nodes, gsize n_nodes, guint unwritten)
{
	GString *out = g_string_sized_new(4096);
	forget_missing(m, guests, n);
	add_daemon(out, m, unwritten);
	add_states(out, guests, n);
	add_counters(out, m, guests, n);
	add_family(out, "boot_seconds", "histogram", "seconds",
		   "From QEMU's start to ready, of boots that made a guest ready.");
	add_histogram(out, "boot_seconds", &m->boots, m->created);
	add_family(out, "restore_seconds", "histogram", "seconds",
		   "From a loaded warm state to ready, of those that made a guest ready.");
	add_histogram(out, "restore_seconds", &m->restores, m->created);
	add_family(out, "probe_seconds", "histogram", "seconds",
		   "Duration of a successful probe's command.");
	add_histogram(out, "probe_seconds", &m->probes, m->created);
	add_figures(out, guests, n);
	add_nodes(out, nodes, n_nodes);
	g_string_append(out, "# EOF\n");
	return g_string_free(out, FALSE);
}
