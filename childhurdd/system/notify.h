/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telling the service manager how we are, as sd_notify(3) describes it: one datagram each. */
#ifndef CHILDHURDD_SYSTEM_NOTIFY_H
#define CHILDHURDD_SYSTEM_NOTIFY_H

#include <ev.h>
#include <glib.h>

/*
 * Send state ("READY=1", "STOPPING=1", "STATUS=3 of 4 childhurds are ready"; several joined by
 * newlines) to the socket that NOTIFY_SOCKET names: a path, or @ and an abstract name. Nothing is
 * done when it is not set; that nobody listens is logged at debug level and no error. Never blocks.
 */
void notify_send(const char *state);
/* The configuration is being read again, until the next READY=1. */
void notify_reloading(void);

/*
 * How long the service manager waits for a sign of life before it takes us for hung, µs, as
 * sd_watchdog_enabled(3) finds it: WATCHDOG_USEC, unless WATCHDOG_PID is another process. 0: it
 * does not wait, or (after a warning) WATCHDOG_USEC is no such time.
 */
guint64 notify_watchdog(void);
/*
 * Give the signs of life, one each half of that time, from the loop itself: a loop that stands
 * still gives none. timer belongs to the caller and is not started without a watchdog.
 */
void notify_watchdog_start(ev_timer *timer, struct ev_loop *loop);

#endif
