/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers, times and lengths of time as a page has them: in English, in any locale. The caller
 * frees each text. */
#ifndef SERVICE_REPORT_WORDS_H
#define SERVICE_REPORT_WORDS_H

#include <glib.h>

/* "12.5"; at least 0 and at most 6 decimals. NAN and infinities are "?". */
char *words_number(double value, guint decimals);
/* "0.4 s", "14 s", "3 min 20 s", "5 h 12 min", "4 d 3 h". Less than 0 is 0; NAN is "?". */
char *words_duration(double seconds);
/* "512 KiB", "1.5 GiB". */
char *words_size(double bytes);
/* 0.9876 is "98.7 %": never rounded up to 100 %. */
char *words_share(double share);
/* "1 build", "2 builds". */
char *words_count(guint64 n, const char *one, const char *many);
/* The time on a clock of that zone. time: wall clock µs. NULL: no calendar has it. The caller
 * unrefs. */
GDateTime *words_clock(GTimeZone *zone, gint64 time);
/* "28 Nov 2026, 13:05". time: wall clock µs; one that no calendar has is "?". */
char *words_date(GTimeZone *zone, gint64 time);
/* "Sat 28 Nov, 13:05". */
char *words_moment(GTimeZone *zone, gint64 time);
/* "28 Nov". */
char *words_day(GTimeZone *zone, gint64 time);
/* For machines: "2026-11-28T13:05:07+0100". */
char *words_machine(GTimeZone *zone, gint64 time);

#endif
