/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shows what guests do while childhurdctl waits. On a terminal each guest that is not there yet has
 * a line, below them is the sum, and all of it is redrawn in place; elsewhere, in a log or a pipe,
 * each change of a state is a new line.
 *
 * The cursor rests at the beginning of the first line. Wherever the terminal puts the lines when
 * its window gets another size, the cursor goes with them, so that to erase everything below it is
 * right. Lines are not wrapped while they are drawn: the window may be narrower than it was when
 * they were made. What is typed meanwhile is not shown, as it would stand between the lines.
 */
#include "service/ctl/ctl.h"

#include <string.h>

#define NO_WRAP	  "\033[?7l"
#define WRAP	  "\033[?7h"
#define ERASE	  "\r\033[J" /* to the line's beginning, and erase everything below */
#define LINES_MAX 20	     /* guests that have a line, also in a high window */

struct ctl_progress {
	const char *goal;
	GPtrArray *guests; /* of JsonObject: the last Guest of each */
	guint dropped;
	gboolean terminal;
};

struct ctl_progress *
ctl_progress_new(const char *goal)
{
	struct ctl_progress *p = g_new0(struct ctl_progress, 1);
	p->goal = goal;
	p->guests = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
	if (ctl_can_redraw()) {
		ctl_terminal_signals();
		p->terminal = ctl_terminal_take(CTL_TERMINAL_QUIET, NULL, ERASE);
	} else
		ctl_catch_interrupt();
	return p;
}

static guint
find(const struct ctl_progress *p, const char *name)
{
	guint i = 0;
	while (i < p->guests->len &&
	       g_strcmp0(ctl_text(g_ptr_array_index(p->guests, i), "name"), name))
		i++;
	return i;
}

void
ctl_progress_hide(struct ctl_progress *p)
{
	fflush(stdout);
	if (p->terminal)
		ctl_terminal_release(); /* which erases the lines */
}

/* As the daemon's Wait sees it: in a drained guest no build runs, and none will. */
static gboolean
is_there(const struct ctl_progress *p, JsonObject *guest)
{
	static const char *const drained[] = {"drained", "draining", "stopped",
					      "failed",	 "asleep",   NULL};
	const char *state = ctl_text(guest, "state");
	if (strcmp(p->goal, "drained"))
		return !g_strcmp0(state, p->goal);
	return state && ctl_number(guest, "builds", 0) <= 0 &&
	       (ctl_flag(guest, "drained") || g_strv_contains(drained, state)) &&
	       !(ctl_flag(guest, "published") && !strcmp(state, "asleep"));
}

/*
 * "childhurd3  booting    12s  waiting for the SSH banner": since when it has been so, and what it
 * does now, as far as so many cells show it. intro stands before it. The caller frees.
 */
static char *
movement(const char *intro, JsonObject *guest, int name_width, int state_width, int cells)
{
	double now = ctl_now();
	const char *phase = ctl_text(guest, "phase"), *why = ctl_text(guest, "why");
	g_autofree char *name = ctl_clean(ctl_text(guest, "name"), TRUE);
	g_autofree char *state = ctl_clean(ctl_state_word(guest), TRUE);
	g_autofree char *passed = ctl_duration(now - ctl_number(guest, "since", now));
	g_autofree char *what = ctl_clean(phase && *phase ? phase : why, TRUE);
	g_autofree char *head = g_strdup_printf("%s%-*s ", intro, name_width, name);
	g_autofree char *line = g_strdup_printf("%s%-*s %*s  %s", head, state_width, state,
						state_width ? 5 : 0, passed, what);
	g_autofree char *cut = ctl_fit(line, cells);
	gsize before = strlen(head), after = before + strlen(state);
	if (strncmp(cut, line, after))
		return g_steal_pointer(&cut);
	g_autofree char *coloured = ctl_coloured(state, state);
	return g_strdup_printf("%s%s%s", head, coloured, cut + after);
}

/* "2 of 5 ready", with what else there is to tell; the caller frees. */
static char *
sum(const struct ctl_progress *p, guint moving, guint hidden)
{
	GString *text = g_string_new(NULL);
	g_string_append_printf(text, "%u of %u %s", p->guests->len - moving,
			       p->guests->len + p->dropped, p->goal);
	if (p->dropped)
		g_string_append_printf(text, ", %u will not be", p->dropped);
	if (hidden)
		g_string_append_printf(text, "; and %u more", hidden);
	return g_string_free(text, FALSE);
}

/* Make the widths those of the longest name and state. */
static void
measure(GPtrArray *guests, int *name_width, int *state_width)
{
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		const char *name = ctl_text(guest, "name"), *state = ctl_state_word(guest);
		*name_width = MAX(*name_width, name ? (int)strlen(name) : 0);
		*state_width = MAX(*state_width, state ? (int)strlen(state) : 0);
	}
}

/* The lines to show; the caller unrefs. */
static GPtrArray *
lines_of(const struct ctl_progress *p)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) moving = g_ptr_array_new();
	/* The last column stays free, as terminals differ in what they do after it. */
	int rows = ctl_height() - 1, cells = ctl_width() - 1;
	for (guint i = 0; i < p->guests->len; i++)
		if (!is_there(p, g_ptr_array_index(p->guests, i)))
			g_ptr_array_add(moving, g_ptr_array_index(p->guests, i));
	guint shown = MIN(moving->len, (guint)CLAMP(rows - 1, 0, LINES_MAX));
	int name = 0, state = 0;
	measure(moving, &name, &state);
	for (guint i = 0; i < shown && moving->len > 1; i++)
		g_ptr_array_add(
		    lines, movement("", g_ptr_array_index(moving, i), name + 1, state + 1, cells));
	gboolean one = moving->len == 1 || (moving->len && !shown);
	g_autofree char *text = sum(p, moving->len, one ? 0 : moving->len - shown);
	g_autofree char *intro = g_strconcat(text, "; ", NULL);
	g_ptr_array_add(lines, one ? movement(intro, g_ptr_array_index(moving, 0), 0, 0, cells)
				   : ctl_fit(text, cells));
	return lines;
}

static void
draw(const struct ctl_progress *p)
{
	g_autoptr(GPtrArray) lines = lines_of(p);
	g_autoptr(GString) block = g_string_new(NO_WRAP "\r");
	for (guint i = 0; i < lines->len; i++)
		g_string_append_printf(block, "%s%s\033[K", i ? "\n" : "",
				       (char *)g_ptr_array_index(lines, i));
	g_string_append(block, "\033[J\r" WRAP);
	if (lines->len > 1)
		g_string_append_printf(block, "\033[%uA", lines->len - 1);
	fflush(stdout);
	ctl_terminal_write(block->str, block->len);
}

static void
say_change(JsonObject *before, JsonObject *guest)
{
	const char *state = ctl_state_word(guest);
	if (before && !g_strcmp0(ctl_state_word(before), state))
		return;
	g_autofree char *name = ctl_clean(ctl_text(guest, "name"), TRUE);
	g_autofree char *clean = ctl_clean(state, TRUE);
	g_autofree char *why = ctl_clean(ctl_text(guest, "why"), TRUE);
	printf("%s: %s%s%s\n", name, clean, *why ? ": " : "", why);
	fflush(stdout);
}

void
ctl_progress_show(struct ctl_progress *p, GPtrArray *guests)
{
	for (guint g = 0; g < guests->len; g++) {
		JsonObject *guest = g_ptr_array_index(guests, g);
		guint i = find(p, ctl_text(guest, "name"));
		if (!p->terminal)
			say_change(i < p->guests->len ? g_ptr_array_index(p->guests, i) : NULL,
				   guest);
		if (i < p->guests->len)
			g_ptr_array_remove_index(p->guests, i);
		g_ptr_array_insert(p->guests, (int)i, json_object_ref(guest));
	}
	ctl_progress_tick(p);
}

void
ctl_progress_tick(struct ctl_progress *p)
{
	/* Stopped by Ctrl-Z, we may be in the background now: then the terminal is not ours. */
	if (p->terminal && p->guests->len && ctl_terminal_take(CTL_TERMINAL_QUIET, NULL, ERASE))
		draw(p);
}

void
ctl_progress_drop(struct ctl_progress *p, const char *name)
{
	guint i = find(p, name);
	p->dropped++;
	if (i < p->guests->len)
		g_ptr_array_remove_index(p->guests, i);
}

void
ctl_progress_free(struct ctl_progress *p)
{
	ctl_progress_hide(p);
	g_ptr_array_unref(p->guests);
	g_free(p);
}
