/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reports our state to the service manager, as in sd_notify(3): one datagram each. */
#ifndef CHILDHURDD_SYSTEM_NOTIFY_H
#define CHILDHURDD_SYSTEM_NOTIFY_H

#include <ev.h>
#include <glib.h>

/*
 * Send state ("READY=1", "STOPPING=1", "STATUS=3 of 4 childhurds are ready"; several joined by
 * newlines) to the socket that NOTIFY_SOCKET names: a path, or @ and an abstract name. Does nothing
 * if it is not set. If nothing listens, that is logged at debug level and no error. Never blocks.
 */
void notify_send(const char *state);
/* Report that the configuration is being read again, until the next READY=1. */
void notify_reloading(void);

/*
 * µs without a sign of life after which the service manager takes us for hung, as from
 * sd_watchdog_enabled(3): WATCHDOG_USEC, unless WATCHDOG_PID is another process. 0: it does not
 * wait, or WATCHDOG_USEC is not a time, which is logged as a warning.
 */
guint64 notify_watchdog(void);
/*
 * Send signs of life, one every half of that time, from the loop itself: a loop that hangs sends
 * none. timer belongs to the caller, and is not started without a watchdog.
 */
void notify_watchdog_start(ev_timer *timer, struct ev_loop *loop);

#endif
