/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kinds of records, and how those that are rows of the file are read. */
#ifndef CHILDHURDD_HISTORY_RECORDS_H
#define CHILDHURDD_HISTORY_RECORDS_H

#include "childhurdd/history/ledger.h"

enum reading_kind {
	READING_EVENT,
	READING_STATE,
	READING_BOOT,
	READING_FAILURE,
	READING_BUILD,
	READING_SAMPLE,
	READING_RESTORE,
	READING_FIGURES,
	READING_DAY, /* sums for each day (UTC) over the guests */
	N_READING_KINDS
};
struct record_kind {
	const char *name;
	/* Columns 0 and 1 are the key of a row. Parameters: the guest, since, until, the key of the
	 * last row (2), READING_BUILD_AGE. NULL: it is no row (figures, day). */
	const char *sql;
	/* Add its members, each with a comma before it. */
	void (*row)(GString *out, sqlite3_stmt *row);
};
/* By enum reading_kind. */
extern const struct record_kind record_kinds[];

#endif
