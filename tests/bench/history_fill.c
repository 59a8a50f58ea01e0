/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes a history for the bench `history`, by the writer's own code: history_fill FILE GUESTS DAYS.
 * The guests are bench1, ...; each is what one of a busy farm is: 20 builds a day and a restore of
 * its warm state after each, three boots a day, a failure with a picture each fifth day, a sample
 * each minute. The time goes from DAYS ago to now, and the file is tidied as it would have been.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "childhurdd/history/ledger.h"

#define SECOND	G_GINT64_CONSTANT(1000000)
#define MINUTE	(60 * SECOND)
#define HOUR	(60 * MINUTE)
#define DAY	(24 * HOUR)
#define BUILDS	20
#define PICTURE 12000 /* bytes of a text screen */

struct fill {
	struct ledger *ledger;
	GPtrArray *notes;
	gint64 number;
};

static GBytes *
picture(const char *path, GError **error)
{
	guchar *bytes = g_malloc(PICTURE);
	for (int i = 0; i < PICTURE; i++)
		bytes[i] = (guchar)g_random_int();
	return g_bytes_new_take(bytes, PICTURE);
}

static struct history_note *
note(struct fill *fill, enum history_kind kind, const char *guest, gint64 time)
{
	struct history_note *n = history_note_new(kind, guest, time);
	g_ptr_array_add(fill->notes, n);
	return n;
}

static void
event(struct fill *fill, const char *guest, gint64 time, const char *state, const char *text)
{
	struct history_note *n = note(fill, HISTORY_EVENT, guest, time);
	n->number = ++fill->number;
	n->state = g_strdup(state);
	n->text = g_strdup(text);
	if (!state)
		return;
	n = note(fill, HISTORY_STATE, guest, time);
	n->number = fill->number;
	n->state = g_strdup(state);
	n->wanted = TRUE;
}

static void
boot(struct fill *fill, const char *guest, gint64 at)
{
	g_autofree char *pid =
	    g_strdup_printf("QEMU runs (process %u, kvm)", 1000 + g_random_int() % 30000);
	gint64 took = 12 * SECOND + g_random_int_range(0, 8000) * 1000;
	event(fill, guest, at, "stopping", "its store ran low; it gets a new disk");
	note(fill, HISTORY_ENDED, guest, at + 2 * SECOND)->text =
	    g_strdup("its store ran low; it gets a new disk");
	event(fill, guest, at + 2 * SECOND, "starting", "its store ran low; it gets a new disk");
	event(fill, guest, at + 3 * SECOND, "booting", pid);
	event(fill, guest, at + 10 * SECOND, "enrolling", "the guest asks for its secrets");
	event(fill, guest, at + 11 * SECOND, NULL, "the guest took its secrets");
	event(fill, guest, at + took, "ready", "14.3 s after QEMU's start");
	struct history_note *n = note(fill, HISTORY_BOOT, guest, at + took);
	n->began = at + 2 * SECOND;
	n->how = g_strdup("cold");
	n->ready = at + took;
	n->ms = took / 1000;
	n->phases = g_strdup("queue 2 start 1031 boot 9095 keys 45 login 3380 save 131");
}

static void
fail(struct fill *fill, const char *guest, gint64 at)
{
	struct history_note *n = note(fill, HISTORY_FAILURE, guest, at);
	n->state = g_strdup("ready");
	n->reason = g_strdup("hung");
	n->text = g_strdup("no successful probe within hang-timeout; console quiet for 3min");
	n->picture = g_strdup("screen");
	event(fill, guest, at, "backoff", n->text);
	boot(fill, guest, at + 5 * SECOND);
}

static void
build(struct fill *fill, const char *guest, gint64 at)
{
	gint64 end = at + g_random_int_range(60, 3000) * SECOND;
	note(fill, HISTORY_BUILDS, guest, at)->slots = 1;
	note(fill, HISTORY_BUILDS, guest, end);
	event(fill, guest, end, "draining", "1 build: it is made pristine");
	event(fill, guest, end + SECOND / 2, "restoring", "1 build: it is made pristine");
	event(fill, guest, end + 2 * SECOND, "ready", "from its warm state in 1.5 s");
	struct history_note *n = note(fill, HISTORY_RESTORE, guest, end + 2 * SECOND);
	n->ms = 1500;
	n->text = g_strdup("1 build: it is made pristine");
}

static void
sample(struct fill *fill, const char *guest, gint64 at)
{
	struct history_note *n = note(fill, HISTORY_SAMPLE, guest, at + MINUTE);
	n->began = at;
	n->sample = (struct history_sample){.probe_ms = 20 + g_random_double() * 10,
					    .load = g_random_double() * 2,
					    .disk_free = 3e9 + g_random_double() * 1e9,
					    .store_free = 3e9 + g_random_double() * 1e9,
					    .memory = 9e8 + g_random_double() * 1e8,
					    .cpu = g_random_double()};
}

static void
write_notes(struct fill *fill)
{
	g_autoptr(GError) error = NULL;
	guint refused = 0;
	if (!ledger_write(fill->ledger, fill->notes, picture, &refused, &error) || refused) {
		fprintf(stderr, "history_fill: %s, %u refused\n",
			error ? error->message : "no error", refused);
		exit(1);
	}
	g_ptr_array_set_size(fill->notes, 0);
}

/* An hour of one guest; n: its number, from 0. */
static void
hour(struct fill *fill, guint n, gint64 at, gint64 since)
{
	g_autofree char *guest = g_strdup_printf("bench%u", n + 1);
	gint64 h = (at - since) / HOUR;
	if (h % 24 < BUILDS)
		build(fill, guest, at + g_random_int_range(0, 500) * SECOND);
	if (h % 8 == 7)
		boot(fill, guest, at + 58 * MINUTE);
	if (h % 120 == n % 24 + 20)
		fail(fill, guest, at + 59 * MINUTE);
	for (int minute = 0; minute < 60; minute++)
		sample(fill, guest, at + minute * MINUTE);
}

int
main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	if (argc != 4) {
		fputs("usage: history_fill FILE GUESTS DAYS\n", stderr);
		return 2;
	}
	guint guests = (guint)g_ascii_strtoull(argv[2], NULL, 10);
	gint64 now = g_get_real_time(),
	       since = now - (gint64)g_ascii_strtoull(argv[3], NULL, 10) * DAY;
	struct fill fill = {.ledger = ledger_open(argv[1], LEDGER_BYTES_MAX, &error),
			    .notes = g_ptr_array_new_with_free_func(history_note_free)};
	if (!fill.ledger) {
		fprintf(stderr, "history_fill: %s\n", error->message);
		return 1;
	}
	for (gint64 at = since; at + HOUR < now; at += HOUR) {
		for (guint i = 0; i < guests; i++)
			hour(&fill, i, at, since);
		write_notes(&fill);
		if ((at - since) / HOUR % 24 == 0 &&
		    !ledger_tidy(fill.ledger, at + HOUR, 91 * DAY, &error)) {
			fprintf(stderr, "history_fill: %s\n", error->message);
			return 1;
		}
	}
	ledger_close(fill.ledger);
	return 0;
}
