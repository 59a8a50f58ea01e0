/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/world/use.h"

void
use_begin(struct use *use, gboolean builds, gint64 now)
{
	*use =
	    (struct use){.until = now, .looked = now, .used = builds ? ~G_GUINT64_CONSTANT(0) : 0};
}

gboolean
use_wonders(const struct use *use, guint64 slots)
{
	return ((use->slots | slots) & ~use->used) != 0;
}

int
use_note(struct use *use, const struct use_look *look, gint64 now)
{
	if (look->slots || look->others || look->sessions)
		use->until = now;
	if (look->others < 0)
		return 0;
	if (look->sessions || now - use->looked > USE_LATE)
		use->used |= use->slots | look->slots;
	int ended = __builtin_popcountll(use->slots & ~look->slots & use->used) +
		    MAX(0, use->others - look->others);
	use->looked = now;
	use->slots = look->slots;
	use->used &= look->slots;
	use->others = look->others;
	return ended;
}

gint64
use_idle(const struct use *use, gint64 now)
{
	return now - use->until;
}
