/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The distance of two words is that of Damerau and Levenshtein in its restricted form (optimal
 * string alignment): the least number of letters to change, add, remove or exchange with their
 * neighbour, where no letter is touched twice.
 */
#include "config/base/similar.h"

#include <string.h>

#define LONGEST 63 /* bytes of a word that is compared */
#define ROW	(LONGEST + 1)

/* Fill row i of the table from the two rows before it; a is the word, b the candidate. */
static void
fill_row(guint rows[3][ROW], gsize i, const char *a, const char *b)
{
	const guint *before = rows[(i + 1) % 3], *above = rows[(i + 2) % 3];
	guint *row = rows[i % 3];
	row[0] = (guint)i;
	for (gsize j = 1; b[j - 1]; j++) {
		char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[j - 1]);
		row[j] = MIN(MIN(row[j - 1], above[j]) + 1, above[j - 1] + (x != y));
		if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2]) &&
		    g_ascii_tolower(a[i - 2]) == y)
			row[j] = MIN(row[j], before[j - 2] + 1);
	}
}

/* Words that are too long count as far. */
static guint
distance(const char *a, const char *b)
{
	guint rows[3][ROW] = {{0}};
	gsize length = strlen(a), n = strlen(b);
	if (length > LONGEST || n > LONGEST)
		return G_MAXUINT;
	for (gsize j = 0; j <= n; j++)
		rows[0][j] = (guint)j;
	for (gsize i = 1; i <= length; i++)
		fill_row(rows, i, a, b);
	return rows[length % 3][n];
}

struct similar
similar_to(const char *word)
{
	gsize length = MIN(strlen(word), LONGEST);
	/* One mistake in a short word, two in a longer one, and in a long one each third letter. */
	guint most = length < 5 ? 1 : MAX(2, (guint)length / 3);
	return (struct similar){.word = word, .least = most + 1};
}

void
similar_offer(struct similar *search, const char *candidate)
{
	guint far = distance(search->word, candidate);
	if (strlen(search->word) >= 3 && g_str_has_prefix(candidate, search->word))
		far = MIN(far, 1);
	if (far >= search->least)
		return;
	search->least = far;
	search->best = candidate;
}
