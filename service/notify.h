/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telling the service manager how we are, as sd_notify(3) describes it: one datagram. */
#ifndef SERVICE_NOTIFY_H
#define SERVICE_NOTIFY_H

/*
 * Send state ("READY=1", "STOPPING=1", "STATUS=3 of 4 childhurds are ready"; several joined by
 * newlines) to the socket that NOTIFY_SOCKET names: a path, or @ and an abstract name. Nothing is
 * done when it is not set; that nobody listens is logged at debug level and no error. Never blocks.
 */
void notify_send(const char *state);

#endif
