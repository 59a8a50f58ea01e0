/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shows what guests do while childhurdctl waits. On a terminal each guest has a line that is
 * redrawn in place; elsewhere, in a log or a pipe, each change of a state is a new line.
 */
#include "service/ctl/ctl.h"

#include <string.h>

struct ctl_progress {
	GPtrArray *guests; /* of JsonObject: the last Guest of each */
	gboolean terminal;
	int drawn;    /* lines above the cursor that this file has drawn */
	double began; /* s since the epoch */
};

struct ctl_progress *
ctl_progress_new(void)
{
	struct ctl_progress *p = g_new0(struct ctl_progress, 1);
	p->guests = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
	p->terminal = ctl_is_terminal();
	p->began = ctl_now();
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
	if (p->drawn)
		printf("\033[%dA\033[J", p->drawn); /* up, and erase everything below */
	p->drawn = 0;
	fflush(stdout);
}

/* What the guest does now, for people. The caller frees. */
static char *
words(JsonObject *guest)
{
	const char *phase = ctl_text(guest, "phase"), *why = ctl_text(guest, "why");
	return ctl_clean(phase && *phase ? phase : why, TRUE);
}

static void
draw_guest(const struct ctl_progress *p, JsonObject *guest, int name_width, int width)
{
	double now = ctl_now();
	g_autofree char *name = ctl_clean(ctl_text(guest, "name"), TRUE);
	g_autofree char *state = ctl_clean(ctl_state_word(guest), TRUE);
	g_autofree char *elapsed = ctl_duration(now - p->began);
	g_autofree char *what = words(guest);
	g_autofree char *rest = g_strdup_printf("%5s  %s", elapsed, what);
	/* The last column stays free, as terminals differ in what they do after it. */
	g_autofree char *cut = ctl_cut(rest, MAX(width - name_width - 12 - 4 - 1, 8));
	g_autofree char *padded = g_strdup_printf("%-12s", state);
	g_autofree char *coloured = ctl_coloured(state, padded);
	printf("%-*s  %s  %s\n", name_width, name, coloured, cut);
}

static void
draw(struct ctl_progress *p)
{
	int rows = MAX(ctl_height() - 1, 2), width = ctl_width(), name_width = 0;
	guint shown = MIN(p->guests->len, (guint)rows - (p->guests->len > (guint)rows));
	ctl_progress_hide(p);
	for (guint i = 0; i < shown; i++) {
		const char *name = ctl_text(g_ptr_array_index(p->guests, i), "name");
		name_width = MAX(name_width, name ? (int)strlen(name) : 0);
	}
	for (guint i = 0; i < shown; i++)
		draw_guest(p, g_ptr_array_index(p->guests, i), name_width, width);
	if (shown < p->guests->len)
		printf("and %u more\n", p->guests->len - shown);
	p->drawn = (int)shown + (shown < p->guests->len);
	fflush(stdout);
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
	if (p->terminal)
		draw(p);
}

void
ctl_progress_drop(struct ctl_progress *p, const char *name)
{
	guint i = find(p, name);
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
