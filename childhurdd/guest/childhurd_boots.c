/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long a guest's boots took, and what follows from it for the next one. */
#include "childhurdd/guest/childhurd_internal.h"

#include <string.h>

const char childhurd_phase_silent[] = "waiting for the SSH banner";

static gint64
longest(const struct childhurd *c)
{
	gint64 longest = 0;
	for (int i = 0; i < BOOTS_KEPT; i++)
		longest = MAX(longest, c->boots[i]);
	return longest;
}

gint64
childhurd_boot_limit(const struct childhurd *c)
{
	if (!c->boots[BOOTS_KEPT - 1] || c->failures)
		return c->config->boot_timeout;
	return MIN(MAX(longest(c) * BOOT_PATIENCE, BOOT_LEAST), c->config->boot_timeout);
}

gboolean
childhurd_may_be_silent(struct childhurd *c)
{
	gint64 expected = longest(c) + longest(c) / BOOT_MARGIN, limit = c->config->boot_timeout;
	gint64 since = c->launched_at ? c->launched_at : c->since;
	if (!c->silent || c->state == STATE_UNRESPONSIVE)
		return FALSE;
	if (c->state == STATE_RESTORING) {
		limit = MIN(RESTORE_LIMIT, limit);
		expected = 0;
		since = c->since;
	}
	if (!expected)
		expected = limit / BOOT_EXPECTED;
	return c->ops->now(c) - since <= MIN(expected, limit / 2);
}

void
childhurd_boots_note(struct childhurd *c, gint64 took)
{
	memmove(&c->boots[1], c->boots, sizeof c->boots - sizeof *c->boots);
	c->boots[0] = took;
}

void
childhurd_boots_recall(struct childhurd *c, const gint64 boots[BOOTS_KEPT])
{
	memcpy(c->boots, boots, sizeof c->boots);
}

void
childhurd_boots_forget(struct childhurd *c)
{
	memset(c->boots, 0, sizeof c->boots);
}
