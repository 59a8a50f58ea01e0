/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is logged and reported of a guest beside its states. A guest can cause such notes as often
 * as it likes, so each kind has a limit, and those held back are counted.
 */
#include "childhurdd/world/world_internal.h"

static void
notes_await(struct world *r)
{
	gint64 first = -1, now = monotonic_now();
	for (int i = 0; i < N_NOTES; i++) {
		gint64 wait = flood_wait(&r->notes[i], now);
		if (wait >= 0 && (first < 0 || wait < first))
			first = wait;
	}
	ev_timer_stop(r->host->loop, &r->notes_end);
	if (first < 0)
		return;
	ev_timer_set(&r->notes_end, (double)first / 1000, 0);
	ev_timer_start(r->host->loop, &r->notes_end);
}

static void
note_missed(struct world *r, enum note note)
{
	static const char *const kinds[N_NOTES] = {
	    [NOTE_DISK] = "errors of its disk",
	    [NOTE_MEMORY] = "lines about its memory",
	    [NOTE_IMPOSTOR] = "other host keys",
	};
	guint missed = flood_missed(&r->notes[note], monotonic_now());
	if (!missed)
		return;
	g_autofree char *text =
	    g_strdup_printf("%u more %s like the last one%s", missed, kinds[note],
			    note == NOTE_IMPOSTOR ? "" : "; see its console");
	tell_hird(r, FALSE, text);
}

static void
on_notes_end(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct world *r = w->data;
	for (int i = 0; i < N_NOTES; i++)
		note_missed(r, i);
	notes_await(r);
}

void
world_note(struct world *r, enum note note, const char *text)
{
	note_missed(r, note);
	if (flood_pass(&r->notes[note], monotonic_now()))
		tell_hird(r, FALSE, text);
	else if (!ev_is_active(&r->notes_end))
		notes_await(r);
}

void
world_notes_init(struct world *r)
{
	ev_timer_init(&r->notes_end, on_notes_end, 0, 0);
	r->notes_end.data = r;
}

void
world_notes_clear(struct world *r)
{
	ev_timer_stop(r->host->loop, &r->notes_end);
}
