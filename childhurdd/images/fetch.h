/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fetches a file by HTTP, in a stage (stage.h): the only place that opens a connection. */
#ifndef CHILDHURDD_IMAGES_FETCH_H
#define CHILDHURDD_IMAGES_FETCH_H

#include <glib.h>

#define FETCH_STALL_LIMIT   30		/* s without a byte, unless --timeout says otherwise */
#define FETCH_CONNECT_LIMIT 10		/* s until there is a connection, and its TLS */
#define FETCH_REDIRECTS_MAX 10		/* to follow */
#define FETCH_SIZE_MAX	    68719476736 /* bytes of a file */
#define FETCH_LIST_MAX	    1048576	/* bytes of SHA512SUMS */
#define FETCH_URL_MAX	    2000	/* bytes of an address */
#define FETCH_VALIDATOR_MAX 200		/* bytes of an ETag or a date */

struct fetch {
	char *url;
	gboolean plain;	 /* http is good enough, because a digest is known from elsewhere */
	gint64 have;	 /* bytes that the file already has */
	char *validator; /* what the server called them: an ETag or a date; NULL: unknown */
	gint64 most;	 /* bytes that the file may have */
	int share;	 /* room that is needed beside it, for each of its bytes */
	double stall;	 /* s */
};

/*
 * May a file come from there? It may by https, and by http from this host itself, or if plain.
 * before: the address that redirects there; NULL: none. The error is STAGE_ERROR.
 */
gboolean fetch_may(const char *url, const char *before, gboolean plain, GError **error);

/*
 * The work of a stage (struct stage), data: struct fetch. Writes to STAGE_FILE(0), from have on, or
 * anew if the server does not continue that file. Says "total BYTES" (-1: unknown), "from BYTES",
 * "validator TEXT", "moved URL", and "at BYTES" as it goes. STAGE_ERROR_BROKEN: the connection
 * ended, or went silent, and the bytes so far are good; after "anew", there are none any more, as
 * the server cannot continue them.
 */
gboolean fetch_work(void *data, GError **error);

#endif
