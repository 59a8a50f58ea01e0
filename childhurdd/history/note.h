/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One thing that happened, on its way to the history. */
#ifndef CHILDHURDD_HISTORY_NOTE_H
#define CHILDHURDD_HISTORY_NOTE_H

#include <glib.h>

enum history_kind {
	HISTORY_EVENT,	 /* number, state, text */
	HISTORY_STATE,	 /* number (of the event that has its text; 0: none), state, wanted */
	HISTORY_BOOT,	 /* a boot as far as it has come: began, how, ready, ms, phases */
	HISTORY_READY,	 /* the boot that is not over yet became ready, which no daemon saw begin */
	HISTORY_ENDED,	 /* the boot that is not over yet ended; text: why */
	HISTORY_FAILURE, /* state (in which it lived last), reason, text, picture */
	HISTORY_BUILDS,	 /* slots and others that have a build now */
	HISTORY_SAMPLE,	 /* sample; began */
	HISTORY_RESTORE, /* ms, text: why */
	HISTORY_GONE,	 /* the guest is no longer configured */
	HISTORY_BEAT,	 /* the daemon lives */
};

/* What was measured in a span of time; NAN: unknown. */
struct history_sample {
	double probe_ms, load, disk_free, store_free, memory; /* ms, -, bytes, bytes, bytes */
	double cpu;					      /* share of a core that QEMU had */
};

struct history_note {
	enum history_kind kind;
	gint64 time; /* wall clock µs */
	char *guest; /* NULL: the daemon */
	gint64 number;
	char *state, *text;
	char *how;	 /* "cold", "warm", "wake" */
	char *phases;	 /* "start 1200 boot 8000": names and ms */
	char *reason;	 /* "boot-timeout"; see failure_name */
	char *picture;	 /* path of a PNG, which is read when the note is written; NULL: none */
	gint64 began;	 /* wall clock µs: of the boot, of the sample's span */
	gint64 ready;	 /* wall clock µs; 0: not yet */
	gint64 ms;	 /* how long it took */
	guint64 slots;	 /* bit N for slot N */
	int others;	 /* builds that have no slot here */
	gboolean wanted; /* the operators want it to take builds */
	struct history_sample sample;
};

/* A note with these; the rest is 0. guest is copied. */
struct history_note *history_note_new(enum history_kind kind, const char *guest, gint64 time);
void history_note_free(void *note);

#endif
