/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/history/note.h"

struct history_note *
history_note_new(enum history_kind kind, const char *guest, gint64 time)
{
	struct history_note *note = g_new0(struct history_note, 1);
	note->kind = kind;
	note->guest = g_strdup(guest);
	note->time = time;
	return note;
}

void
history_note_free(void *data)
{
	struct history_note *note = data;
	g_free(note->guest);
	g_free(note->state);
	g_free(note->text);
	g_free(note->how);
	g_free(note->phases);
	g_free(note->reason);
	g_free(note->picture);
	g_free(note);
}
