/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long a guest's boots took, and the limit of the next one that follows from it. */
#include "childhurdd/guest/childhurd_internal.h"

#include <string.h>

gint64
childhurd_boot_limit(const struct childhurd *c)
{
	gint64 longest = 0;
	for (int i = 0; i < BOOTS_KEPT; i++) {
		if (!c->boots[i] || c->failures)
			return c->config->boot_timeout;
		longest = MAX(longest, c->boots[i]);
	}
	return MIN(MAX(longest * BOOT_PATIENCE, BOOT_LEAST), c->config->boot_timeout);
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
