/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/images/room.h"

#include <sys/statvfs.h>

#include "childhurdd/images/show.h"
#include "childhurdd/images/stage.h"

gboolean
room_check(int fd, gint64 bytes, const char *who, GError **error)
{
	struct statvfs room;
	/* A file in memory is on a file system without blocks. */
	if (fstatvfs(fd, &room) < 0 || !room.f_blocks)
		return TRUE;
	gint64 is = (gint64)room.f_bavail * (gint64)room.f_frsize;
	if (bytes <= is - ROOM_SPARE)
		return TRUE;
	g_autofree char *needed = show_size(bytes), *spare = show_size(ROOM_SPARE),
			*there = show_size(is);
	g_set_error(error, STAGE_ERROR, STAGE_ERROR_ROOM,
		    "there is no room for it: %s at least %s beside the %s that stay free, and %s "
		    "are free; free some, or choose another state-directory",
		    who, needed, spare, there);
	return FALSE;
}
