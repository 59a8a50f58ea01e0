/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which states a guest goes through, found by sending it any event in any state, is what the manual
 * says and what its picture shows. */
#include <string.h>

#include "childhurdd/guest/childhurd_internal.h"
#include "tests/unit/childhurdd/guest/childhurd_fake.h"

#define SEED   1
#define LIVES  20000
#define EVENTS 200 /* in each life */

typedef gboolean moves[N_STATES][N_STATES];

/* --- what a guest does --- */

static moves seen;
static enum state last;

static void
note_change(struct childhurd *c, gboolean state_changed, const char *text)
{
	if (state_changed && c->state != last)
		seen[last][c->state] = TRUE;
	last = c->state;
}

static void
configure(struct fake *f, GRand *rand)
{
	f->config.disk = g_rand_boolean(rand) ? CONFIG_DISK_EPHEMERAL : CONFIG_DISK_PERSISTENT;
	f->config.restart = g_rand_int_range(rand, CONFIG_RESTART_ALWAYS, CONFIG_RESTART_NEVER + 1);
	f->config.warm_start = g_rand_boolean(rand) ? CONFIG_WARM_START_AUTO : CONFIG_WARM_START_NO;
	f->config.recycle_after = g_rand_int_range(rand, 0, 2);
	f->config.store_floor = g_rand_int_range(rand, 0, 2) * (1 << 20);
}

/* The world is whatever it may be. */
static void
turn(struct fake *f, GRand *rand)
{
	f->builds = g_rand_int_range(rand, -1, 3);
	f->warm = g_rand_int_range(rand, WARM_IMPOSSIBLE, WARM_FITS + 1);
	f->callers = g_rand_int_range(rand, 0, 2);
	f->now += g_rand_int_range(rand, 0, 100000);
	f->sign = f->now - g_rand_int_range(rand, 0, 400000);
}

/* What an earlier daemon kept of a guest whose QEMU runs. One that is to sleep was on its way
 * down. */
static void
take_over(struct fake *f, GRand *rand)
{
	struct childhurd_kept kept = {.want_up = g_rand_boolean(rand),
				      .drained = g_rand_boolean(rand),
				      .going_down = g_rand_boolean(rand),
				      .discard = g_rand_boolean(rand),
				      .enrolled = g_rand_boolean(rand),
				      .proven = g_rand_boolean(rand),
				      .saving = g_rand_boolean(rand),
				      .restoring = g_rand_boolean(rand),
				      .cold = g_rand_boolean(rand)};
	kept.to_sleep = kept.want_up && kept.going_down && g_rand_boolean(rand);
	kept.now = kept.going_down && g_rand_boolean(rand);
	childhurd_recall(f->c, &kept);
	happen(f, EVENT_FOUND);
}

/* Half of the events are those of a guest that gets up, as any others seldom come in their order;
 * the rest are any. EVENT_FOUND is the first or never comes. */
static enum event
next_event(GRand *rand)
{
	static const enum event up[] = {EVENT_START,	EVENT_ADMITTED, EVENT_PREPARED,
					EVENT_LAUNCHED, EVENT_GREETED,	EVENT_ENROLLED,
					EVENT_RESTORED, EVENT_STIRRED,	EVENT_PROBE_OK};
	enum event event = g_rand_boolean(rand) ? up[g_rand_int_range(rand, 0, G_N_ELEMENTS(up))]
						: (enum event)g_rand_int_range(rand, 0, N_EVENTS);
	return event == EVENT_FOUND ? EVENT_START : event;
}

static void
live(GRand *rand)
{
	struct fake f;
	struct world_ops world = fake_world;
	world.changed = note_change;
	fake_init(&f);
	f.c->ops = &world;
	last = f.c->state;
	configure(&f, rand);
	turn(&f, rand);
	if (g_rand_int_range(rand, 0, 4) == 0)
		take_over(&f, rand);
	for (int i = 0; i < EVENTS; i++) {
		enum event event = next_event(rand);
		turn(&f, rand);
		if (event == EVENT_DEADLINE && f.timer < 0)
			continue;
		if (event == EVENT_DEADLINE)
			f.now = MAX(f.now, f.timer);
		happen(&f, event);
	}
	fake_clear(&f);
}

static void
look(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(SEED);
	if (seen[STATE_STOPPED][STATE_STARTING])
		return;
	for (int i = 0; i < LIVES; i++)
		live(rand);
}

/* --- what the documents say --- */

/* Both lists of states have their names, with spaces or commas between them. */
static void
add_moves(moves told, const char *from, const char *to)
{
	g_auto(GStrv) froms = g_strsplit_set(from, " ,", -1), tos = g_strsplit_set(to, " ,", -1);
	for (char **a = froms; *a; a++) {
		for (char **b = tos; *b; b++) {
			if (!**a || !**b)
				continue;
			if (state_from_name(*a) < 0 || state_from_name(*b) < 0)
				g_error("%s or %s is no state", *a, *b);
			told[state_from_name(*a)][state_from_name(*b)] = TRUE;
		}
	}
}

static void
compare(moves told, const char *where)
{
	g_autoptr(GString) differences = g_string_new(NULL);
	for (int a = 0; a < N_STATES; a++)
		for (int b = 0; b < N_STATES; b++)
			if (told[a][b] != seen[a][b])
				g_string_append_printf(
				    differences, "\n%s -> %s: %s", state_name(a), state_name(b),
				    seen[a][b] ? "is not there" : "never happens");
	if (differences->len)
		g_error("%s:%s", where, differences->str);
}

static char *
text_of(const char *path)
{
	char *text = NULL;
	g_autoptr(GError) error = NULL;
	if (!g_file_get_contents(path, &text, NULL, &error))
		g_error("%s", error->message);
	return text;
}

static void
on_element(GMarkupParseContext *context, const char *element, const char **names,
	   const char **values, void *data, GError **error)
{
	const char *class = NULL, *from = NULL, *to = NULL;
	g_markup_collect_attributes(
	    element, names, values, NULL, G_MARKUP_COLLECT_STRING | G_MARKUP_COLLECT_OPTIONAL,
	    "class", &class, G_MARKUP_COLLECT_STRING | G_MARKUP_COLLECT_OPTIONAL, "data-from",
	    &from, G_MARKUP_COLLECT_STRING | G_MARKUP_COLLECT_OPTIONAL, "data-to", &to,
	    G_MARKUP_COLLECT_INVALID);
	if (g_strcmp0(class, "move") == 0) {
		g_assert_true(from && to);
		add_moves(data, from, to);
	}
}

static void
test_picture(void)
{
	static const GMarkupParser parser = {.start_element = on_element};
	g_autofree char *text = text_of("docs/states.svg");
	g_autoptr(GError) error = NULL;
	moves told = {0};
	g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, told, NULL);
	g_assert_true(g_markup_parse_context_parse(context, text, -1, &error));
	g_assert_true(g_markup_parse_context_end_parse(context, &error));
	g_assert_no_error(error);
	look();
	compare(told, "docs/states.svg");
}

static void
test_manual(void)
{
	g_autofree char *text = text_of("docs/manual.md");
	char *table = strstr(text, "\n## States\n");
	g_assert_nonnull(table);
	*strstr(table + 1, "\n## ") = '\0';
	moves told = {0};
	g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) cells = g_strsplit(*line, " | ", 3);
		if (g_strv_length(cells) == 3 && !g_str_equal(*line, "| from | to | when |"))
			add_moves(told, cells[0] + strspn(cells[0], "| "), cells[1]);
	}
	look();
	compare(told, "docs/manual.md");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lifecycle/the-picture-has-each-move-and-no-other", test_picture);
	g_test_add_func("/lifecycle/the-manual-has-each-move-and-no-other", test_manual);
	return g_test_run();
}
