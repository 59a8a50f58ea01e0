/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Signs of life of a guest that does not answer: its console and its QEMU, seen from outside,
 * without asking the guest.
 */
#ifndef CHILDHURDD_WORLD_VITALS_H
#define CHILDHURDD_WORLD_VITALS_H

#include <glib.h>
#include <sys/types.h>

#define LIFE_INTERVAL 5000 /* ms between two looks, at least */
#define LIFE_BUSY     0.05 /* of a core: if QEMU uses at least that, its guest is active */

struct vitals {
	pid_t pid; /* QEMU; 0: unknown */
	int statm; /* for its memory, if pid is known; kept open, because opening it was a third of
		      the cost of `list` in a hird of 200 */
	char *console;	      /* path of the console's log */
	gint64 looked;	      /* monotonic ms of the last look; 0: none */
	gint64 size, changed; /* of the console's log at that look: bytes, µs */
	gint64 cpu;	      /* ms of CPU that QEMU had used then */
	double share;	      /* of a core, between the last two looks; NAN unknown */
	gint64 quiet_since;   /* monotonic ms of the console's last change */
	gint64 sign;	      /* monotonic ms of the last sign of life */
};

/* Begin with a QEMU, at monotonic ms now. console is copied. */
void vitals_begin(struct vitals *life, pid_t pid, const char *console, gint64 now);
void vitals_clear(struct vitals *life);
/* Note another sign than those that a look finds. */
void vitals_sign(struct vitals *life, gint64 now);
/* Look again, when LIFE_INTERVAL has passed since the last look. */
void vitals_look(struct vitals *life, gint64 now);
/* The observations, for a verdict: "console quiet for 3min, QEMU used 0 % of a core". Caller frees.
 */
char *vitals_text(const struct vitals *life, gint64 now);
/* Bytes of QEMU's memory; 0: gone, unknown. */
gint64 vitals_memory(const struct vitals *life);
/* Has a signal stopped the process (proc(5), state T)? pid 0: FALSE. */
gboolean vitals_stopped(pid_t pid);

#endif
