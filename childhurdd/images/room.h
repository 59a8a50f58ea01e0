/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Room for an image on the file system of the state directory, which the guests' disks share. */
#ifndef CHILDHURDD_IMAGES_ROOM_H
#define CHILDHURDD_IMAGES_ROOM_H

#include <glib.h>

#define ROOM_SPARE (64 << 20) /* bytes of room that are left free */

/*
 * Is there room for so many bytes more, beside ROOM_SPARE, on the file system of fd? FALSE and
 * STAGE_ERROR_ROOM: no; who names what takes them, as "the image takes".
 */
gboolean room_check(int fd, gint64 bytes, const char *who, GError **error);

#endif
