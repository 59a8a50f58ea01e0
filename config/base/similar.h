/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The word that a person meant who typed one that does not exist: "did you mean ...?". */
#ifndef CONFIG_BASE_SIMILAR_H
#define CONFIG_BASE_SIMILAR_H

#include <glib.h>

/* A search among candidates that are offered one by one, and its result so far. */
struct similar {
	const char *word; /* what was typed; borrowed */
	const char *best; /* the nearest candidate, borrowed; NULL: none is near enough */
	guint least;	  /* the distance that a better one has to be below */
};

/* Begin a search for word. */
struct similar similar_to(const char *word);

/*
 * Offer a candidate, which has to live as long as the search. It is near if it begins with the word
 * (three bytes or more), or if few mistakes lead to it: a letter that is wrong, missing or too
 * much, or two that changed places. Upper and lower case count as the same. The first one of those
 * that are equally near stays.
 */
void similar_offer(struct similar *search, const char *candidate);

#endif
