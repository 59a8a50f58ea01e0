/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a report is made of: the records of org.childhurd.History, by guest. A record that is
 * nonsense, of a kind that is not known, or about no guest is left out, and what remains is shown:
 * a clock may have been set back, and a daemon may be of another version.
 */
#ifndef SERVICE_REPORT_RECORDS_H
#define SERVICE_REPORT_RECORDS_H

#include <glib.h>
#include <json-glib/json-glib.h>

#include "service/report/kinds.h"

#define RECORDS_PHASES_MAX 8	/* names of a boot's phases; further ones are one phase, "other" */
#define RECORDS_GUESTS_MAX 2000 /* guests; the records of further ones are left out */
#define RECORDS_MAX	   400000 /* records about one guest; likewise */

/* All times are wall clock µs. */

struct record_state {
	gint64 from, until;
	enum kind kind;
};

enum boot_how { BOOT_COLD, BOOT_WARM, BOOT_WAKE };

struct record_boot {
	gint64 time;
	gint64 ready; /* 0: it never was */
	gint64 end;   /* 0: it runs, or nobody knows */
	enum boot_how how;
	double seconds[RECORDS_PHASES_MAX + 1]; /* by the report's phases; the last is "other" */
	char *ended;				/* why; NULL: not known */
};

struct record_failure {
	gint64 time;
	char *phase, *reason; /* never NULL */
	gint64 screenshot;    /* -1: none */
};

struct record_build {
	gint64 from, until; /* one that runs ends now */
};

struct record_sample {
	gint64 from, until;
	double load, store_free; /* NAN: not known. store_free: bytes */
};

/* Of one guest in one period; NAN: not known. */
struct record_figures {
	double availability; /* 0 to 1 */
	double boots, failures, builds, build_seconds;
	double median_boot; /* s */
	double mtbf;	    /* mean time between failures, s */
};

/* The stretches of time that a report looks at, each until now. */
enum period { PERIOD_DAY, PERIOD_WEEK, PERIOD_LONG, N_PERIODS };
/* µs */
gint64 period_length(enum period period);
/* "24 hours", "7 days", "90 days". */
const char *period_name(enum period period);

struct record_guest {
	char *name;
	char *state, *why; /* now; state NULL: it is not configured any more. why may be NULL */
	gint64 since;	   /* of that state; 0: not known */
	GArray *states, *boots, *failures, *builds, *samples; /* by time; of the structures above */
	guint restores;		/* loads of its warm state while it ran: no starts, no wakes */
	double restore_seconds; /* in sum */
	guint n;		/* records */
	struct record_figures figures[N_PERIODS];
};

struct records {
	gint64 now; /* the report's time */
	GTimeZone *zone;
	char *host;
	GPtrArray *guests;   /* of struct record_guest; those that are configured come first */
	GPtrArray *phases;   /* names of the boots' phases, of char *: RECORDS_PHASES_MAX at most */
	GHashTable *by_name; /* struct record_guest, borrowed */
};

/* zone: takes a reference. Free with records_free. */
struct records *records_new(gint64 now, GTimeZone *zone, const char *host);
void records_free(struct records *records); /* NULL is allowed */
/* A guest as the method List has it. */
void records_add_guest(struct records *records, JsonObject *guest);
/* A record of the method History. period: what its figures are about. */
void records_add(struct records *records, JsonObject *record, enum period period);
/* Sort by time. To be called once, when all is added. */
void records_sort(struct records *records);

#endif
