/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl history: what guests did, as the daemons kept it. Each boot and each failure is a
 * line, or each day if there would be more than ROWS of them; below is a line of figures for each
 * guest. The daemon adds up; what is asked of it is no more than is shown.
 */
#include "service/ctl/ctl.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define ROWS   300	   /* boots and failures that are shown one by one */
#define PERIOD (7 * 86400) /* s before now, without --since */

/* --- the period --- */

struct period {
	double since, until; /* s since the epoch */
};

static gboolean
parse_period(const struct ctl *ctl, struct period *period, GError **error)
{
	double now = ctl_now();
	*period = (struct period){NAN, now};
	if (ctl->from && !ctl_parse_since(ctl->from, NULL, &period->since, error))
		return FALSE;
	if (ctl->to && !ctl_parse_moment("--until", ctl->to, NULL, &period->until, error))
		return FALSE;
	if (isnan(period->since))
		period->since = MIN(period->until, now) - PERIOD;
	period->since = MAX(period->since, 0);
	if (period->since <= period->until)
		return TRUE;
	g_set_error(error, CTL_ERROR, CTL_USAGE, "--since %s: is later than --until", ctl->from);
	return FALSE;
}

/* --- asking --- */

static JsonObject *
parameters(const struct ctl_question *question)
{
	JsonObject *o = ctl_names(question->names, question->n);
	json_object_set_int_member(o, "since", question->since);
	json_object_set_int_member(o, "until", question->until);
	if (question->kinds) {
		JsonArray *array = json_array_new();
		for (const char *const *kind = question->kinds; *kind; kind++)
			json_array_add_string_element(array, *kind);
		json_object_set_array_member(o, "kinds", array);
	}
	return o;
}

gboolean
ctl_ask_history(struct ctl *ctl, const struct ctl_question *question,
		void (*each)(JsonObject *record, void *data), void *data, GError **error)
{
	gboolean continues = TRUE;
	gint64 limit = question->limit ? question->limit : CTL_REPLY_LIMIT;
	if (!ctl_send(ctl, "org.childhurd.History", parameters(question), TRUE, error))
		return FALSE;
	while (continues) {
		GError *why = NULL;
		ctl_auto_message reply = ctl_receive(ctl, limit, &why);
		if (!reply && why->code == CTL_TIMED_OUT) /* what is late answers no other call */
			ctl_disconnect(ctl);
		if (!reply)
			g_propagate_error(error, why);
		if (!reply || ctl_refused_name(ctl, NULL, reply, error))
			return FALSE;
		g_autoptr(GPtrArray) records = ctl_objects(reply->parameters, "records");
		for (guint i = 0; i < records->len; i++)
			each(g_ptr_array_index(records, i), data);
		continues = reply->continues;
	}
	return TRUE;
}

/* Ask for the guests of the arguments. kinds: of records; NULL: all. */
static gboolean
ask(struct ctl *ctl, const struct period *period, const char *const *kinds,
    void (*each)(JsonObject *record, void *data), void *data, GError **error)
{
	const struct ctl_question question = {.names = (const char *const *)ctl->arguments,
					      .n = ctl->n_arguments,
					      .since = (gint64)(period->since * G_USEC_PER_SEC),
					      .until = (gint64)(period->until * G_USEC_PER_SEC),
					      .kinds = kinds};
	return ctl_ask_history(ctl, &question, each, data, error);
}

static void
print_json(JsonObject *record, void *data)
{
	ctl_print_object(record);
}

static void
collect(JsonObject *record, void *data)
{
	g_ptr_array_add(data, json_object_ref(record));
}

static gboolean
is_kind(JsonObject *record, const char *kind)
{
	return !g_strcmp0(ctl_text(record, "kind"), kind);
}

/* s since the epoch; missing: NAN. */
static double
at(JsonObject *record, const char *name)
{
	return ctl_number(record, name, NAN) / G_USEC_PER_SEC;
}

/* --- words --- */

/* "17.2s", "3min" */
static char *
took(double seconds)
{
	return seconds < 120 ? g_strdup_printf("%.1fs", seconds) : ctl_duration(seconds);
}

static char *
count(double n, const char *what)
{
	return g_strdup_printf("%.0f %s%s", n, what, n == 1 ? "" : "s");
}

/* "2026-11-28 22:14" */
static char *
minute(double time)
{
	g_autofree char *date = ctl_date(time); /* or "?" */
	return g_strndup(date, strlen("2026-11-28 22:14"));
}

/* --- boots and failures --- */

static void
add_builds(GString *text, JsonObject *boot)
{
	double builds = ctl_number(boot, "builds", 0);
	g_autofree char *number = count(builds, "build");
	g_autofree char *length = ctl_duration(ctl_number(boot, "build_seconds", 0));
	if (builds > 0)
		g_string_append_printf(text, ", %s of %s", number, length);
}

static char *
boot_words(JsonObject *boot)
{
	const char *how = ctl_text(boot, "how"), *ended = ctl_text(boot, "ended");
	double ready = at(boot, "ready"), end = at(boot, "end");
	g_autofree char *boot_took = took(ctl_number(boot, "ms", 0) / 1000);
	g_autofree char *up = ctl_duration((isnan(end) ? ctl_now() : end) - ready);
	g_autofree char *why = ctl_clean(ended ? ended : "no reason is known", TRUE);
	g_autoptr(GString) text = g_string_new(NULL);
	g_string_append(text, !g_strcmp0(how, "warm")	? "warm start"
			      : !g_strcmp0(how, "wake") ? "woken"
							: "boot");
	if (isnan(ready))
		g_string_append(text, isnan(end) ? ", not ready yet" : ", never ready");
	else
		g_string_append_printf(text, " %s, up %s", boot_took, up);
	add_builds(text, boot);
	if (!isnan(end))
		g_string_append_printf(text, "; %s", why);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *
failure_words(JsonObject *failure)
{
	const char *phase = ctl_text(failure, "phase");
	g_autofree char *reason = ctl_clean(ctl_text(failure, "reason"), TRUE);
	g_autofree char *state = ctl_clean(phase, TRUE);
	return g_strdup_printf("failed when %s: %s", state, reason);
}

/* --- tables --- */

#define COLUMNS_MAX 8

#define GAP	    2  /* columns of the terminal between two cells */
#define NAME_ROOM   16 /* columns to which names are cut before a column is left out */
#define NAME_LEAST  12 /* columns that they get in any case */
#define WHAT_ROOM   40 /* columns for which names are cut */
#define WHAT_LEAST  30 /* columns with less of which it gets a line of its own */
#define WHAT_INDENT 4  /* ... with so many before it */

struct table {
	GPtrArray *cells; /* of char *, n of them for a row, the heading first */
	guint n;
	const char *sides;	 /* for each column: l, r, or n: a name, cut in its middle */
	int widths[COLUMNS_MAX]; /* columns of the terminal for each; 0: left out */
	int last;		 /* columns that the last one shall have, if it needs them */
};

/* What happens on a terminal that is too narrow, the first first: a column is left out (least 0),
 * or cut to that. */
struct step {
	guint column;
	int least;
};

static void
measure(struct table *table)
{
	for (guint i = 0; i < table->cells->len; i++)
		table->widths[i % table->n] =
		    MAX(table->widths[i % table->n], ctl_cells(g_ptr_array_index(table->cells, i)));
}

/* Columns of the terminal before the last column. */
static int
before_last(const struct table *table)
{
	int sum = 0;
	for (guint i = 0; i + 1 < table->n; i++)
		sum += table->widths[i] ? table->widths[i] + GAP : 0;
	return sum;
}

static void
make_room(struct table *table, const struct step *steps, gsize n, int terminal)
{
	int last = MIN(table->widths[table->n - 1], table->last);
	for (gsize i = 0; i < n; i++) {
		int *width = &table->widths[steps[i].column];
		int lack = before_last(table) + last - terminal;
		if (lack > 0)
			*width =
			    steps[i].least ? MAX(*width - lack, MIN(*width, steps[i].least)) : 0;
	}
}

static void
add_cell(GString *line, const struct table *table, guint i, const char *cell)
{
	int width = table->widths[i];
	gboolean right = table->sides[i] == 'r';
	g_autofree char *shown =
	    table->sides[i] == 'n' ? ctl_fit_name(cell, width) : g_strdup(cell);
	int pad = MAX(width - ctl_cells(shown), 0);
	if (width)
		g_string_append_printf(line, "%s%*s%s%*s", line->len ? "  " : "", right ? pad : 0,
				       "", shown, right || i + 1 == table->n ? 0 : pad, "");
}

static void
print_line(const GString *line, int terminal)
{
	g_autofree char *shown = ctl_cut(line->str, terminal);
	puts(g_strchomp(shown));
}

/* The cells side by side. */
static void
print_table(struct table *table, const struct step *steps, gsize n_steps)
{
	int terminal = ctl_width();
	measure(table);
	if (terminal)
		make_room(table, steps, n_steps, terminal);
	guint last = table->n - 1;
	gboolean below = terminal && table->sides[last] == 'l' &&
			 terminal - before_last(table) < MIN(table->widths[last], WHAT_LEAST);
	for (guint row = 0; row < table->cells->len; row += table->n) {
		g_autoptr(GString) line = g_string_new(NULL);
		for (guint i = 0; i < table->n; i++) {
			if (i == last && below) {
				print_line(line, terminal);
				g_string_printf(line, "%*s", WHAT_INDENT - GAP, "");
			}
			add_cell(line, table, i, g_ptr_array_index(table->cells, row + i));
		}
		print_line(line, terminal);
	}
}

static void
add_cells(GPtrArray *cells, guint n, const char *const *words)
{
	for (guint i = 0; i < n; i++)
		g_ptr_array_add(cells, g_strdup(words[i]));
}

static int
by_time(const void *a, const void *b)
{
	double x = ctl_number(*(JsonObject *const *)a, "time", 0),
	       y = ctl_number(*(JsonObject *const *)b, "time", 0);
	return (x > y) - (x < y);
}

static void
print_rows(GPtrArray *records)
{
	static const char *const heading[] = {"TIME", "GUEST", "WHAT"};
	static const struct step steps[] = {{1, NAME_LEAST}};
	g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_sort(records, by_time);
	add_cells(cells, 3, heading);
	for (guint i = 0; i < records->len; i++) {
		JsonObject *record = g_ptr_array_index(records, i);
		g_ptr_array_add(cells, minute(at(record, "time")));
		g_ptr_array_add(cells, ctl_clean(ctl_text(record, "guest"), TRUE));
		g_ptr_array_add(cells, is_kind(record, "boot") ? boot_words(record)
							       : failure_words(record));
	}
	struct table table = {.cells = cells, .n = 3, .sides = "lnl", .last = WHAT_ROOM};
	print_table(&table, steps, G_N_ELEMENTS(steps));
}

/* --- figures --- */

static char *
share_cell(JsonObject *record)
{
	double share = ctl_number(record, "availability", NAN);
	/* 99.97 % is not 100 % */
	return isnan(share) ? g_strdup("-") : g_strdup_printf("%.1f%%", floor(share * 1000) / 10);
}

static char *
number_cell(JsonObject *record, const char *name)
{
	double number = ctl_number(record, name, 0);
	return number > 0 ? g_strdup_printf("%.0f", number) : g_strdup("-");
}

static char *
time_cell(double seconds)
{
	return seconds > 0 ? took(seconds) : g_strdup("-");
}

static char *
long_cell(double seconds)
{
	return seconds > 0 ? ctl_duration(seconds) : g_strdup("-");
}

static void
add_figures(GPtrArray *cells, JsonObject *record)
{
	g_ptr_array_add(cells, share_cell(record));
	g_ptr_array_add(cells, number_cell(record, "boots"));
	g_ptr_array_add(cells, time_cell(ctl_number(record, "median_boot_ms", 0) / 1000));
	g_ptr_array_add(cells, number_cell(record, "builds"));
	g_ptr_array_add(cells, long_cell(ctl_number(record, "build_seconds", 0)));
	g_ptr_array_add(cells, number_cell(record, "failures"));
	g_ptr_array_add(cells, long_cell(ctl_number(record, "mtbf_s", 0)));
}

/* "2026-11-28": a day of UTC. */
static char *
day_of(double time)
{
	time_t seconds = (time_t)time;
	struct tm tm;
	char text[32] = "?";
	if (gmtime_r(&seconds, &tm))
		text[strftime(text, sizeof text, "%Y-%m-%d", &tm)] = '\0';
	return g_strdup(text);
}

static void
print_figures(const GPtrArray *records, const char *kind)
{
	gboolean days = !strcmp(kind, "day");
	const char *const heading[] = {days ? "DAY (UTC)" : "GUEST",
				       "UP",
				       "BOOTS",
				       "MEDIAN",
				       "BUILDS",
				       "BUILDING",
				       "FAILURES",
				       "BETWEEN"};
	/* BUILDING, BUILDS, MEDIAN, and at last BOOTS */
	static const struct step steps[] = {{0, NAME_ROOM}, {5, 0},	     {4, 0},
					    {3, 0},	    {0, NAME_LEAST}, {2, 0}};
	g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
	add_cells(cells, COLUMNS_MAX, heading);
	for (guint i = 0; i < records->len; i++) {
		JsonObject *record = g_ptr_array_index(records, i);
		if (!is_kind(record, kind))
			continue;
		g_ptr_array_add(cells, days ? day_of(at(record, "time"))
					    : ctl_clean(ctl_text(record, "guest"), TRUE));
		add_figures(cells, record);
	}
	struct table table = {
	    .cells = cells, .n = COLUMNS_MAX, .sides = "nrrrrrrr", .last = G_MAXINT};
	print_table(&table, steps, G_N_ELEMENTS(steps));
}

/* --- the verb --- */

/* The boots and failures that the figures count. */
static double
n_rows(const GPtrArray *figures)
{
	double n = 0;
	for (guint i = 0; i < figures->len; i++) {
		JsonObject *record = g_ptr_array_index(figures, i);
		if (is_kind(record, "figures"))
			n += ctl_number(record, "boots", 0) + ctl_number(record, "warm_starts", 0) +
			     ctl_number(record, "failures", 0);
	}
	return n;
}

static gboolean
names_are_here(const struct ctl *ctl, GError **error)
{
	for (guint i = 0; i < ctl->n_arguments; i++) {
		const char *slash = strchr(ctl->arguments[i], '/');
		if (!slash)
			continue;
		g_set_error(error, CTL_ERROR, CTL_FAILED,
			    "%s: each host keeps its own history; ask the node: childhurdctl "
			    "--host %.*s history %s",
			    ctl->arguments[i], (int)(slash - ctl->arguments[i]), ctl->arguments[i],
			    slash + 1);
		return FALSE;
	}
	return TRUE;
}

char *
ctl_beginning(const struct varlink_message *reply, double *begun)
{
	JsonObject *beginning = ctl_object(reply->parameters, "history");
	*begun = beginning ? ctl_number(beginning, "begun", 0) : 0;
	return beginning ? ctl_clean(ctl_text(beginning, "why"), TRUE) : NULL;
}

/* Less is known of the period than was kept once. */
static void
say_beginning(struct ctl *ctl, const struct period *period)
{
	double begun;
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.List", ctl_names(NULL, 0), NULL);
	g_autofree char *why = reply ? ctl_beginning(reply, &begun) : NULL;
	g_autofree char *date = why ? ctl_date(begun) : NULL;
	if (why && period->since < begun)
		ctl_say("the history begins at %s: %s", date, why);
}

static int
show(struct ctl *ctl, const struct period *period, GError **error)
{
	static const char *const sums[] = {"figures", "day", NULL};
	static const char *const rows[] = {"boot", "failure", NULL};
	g_autoptr(GPtrArray) figures =
	    g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
	g_autoptr(GPtrArray) records =
	    g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
	if (!ask(ctl, period, sums, collect, figures, error))
		return CTL_FAILED;
	gboolean by_day = n_rows(figures) > ROWS;
	if (!by_day && !ask(ctl, period, rows, collect, records, error))
		return CTL_FAILED;
	if (by_day)
		print_figures(figures, "day");
	else if (records->len)
		print_rows(records);
	if (by_day || records->len)
		puts("");
	print_figures(figures, "figures");
	say_beginning(ctl, period);
	return CTL_DONE;
}

int
ctl_history(struct ctl *ctl, GError **error)
{
	struct period period;
	if (!parse_period(ctl, &period, error))
		return CTL_USAGE;
	if (!names_are_here(ctl, error))
		return CTL_FAILED;
	if (ctl->json)
		return ask(ctl, &period, NULL, print_json, NULL, error) ? CTL_DONE : CTL_FAILED;
	return show(ctl, &period, error);
}
