/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does the guest's network answer yet?
 *
 * QEMU's user network accepts a forwarded connection at once and only then sends a SYN into the
 * guest. While the guest's network is down, QEMU repeats the SYN after 6, 18 and 42 s, and still
 * delivers a connection that we gave up in the meantime: the secret service would take it for its
 * one client and fail. So we wait on a port of the guest where nothing listens. As soon as the
 * network is up, the guest refuses such a connection, which shows as an immediate close. Only then
 * do we try the real ports, where a refusal now also comes at once.
 */
#ifndef SSH_REACH_H
#define SSH_REACH_H

#include <ev.h>
#include <glib.h>

#define REACH_INTERVAL	  200 /* ms between two attempts */
#define REACH_IN_FLIGHT	  8   /* attempts kept open at a time; the oldest is closed */
#define REACH_UNUSED_PORT 9   /* the guest's port that is tried: discard, where no guest listens */

struct reach;
/* Called once, when a connection to the forwarded unused port was closed or answered by the guest.
 */
typedef void (*reach_fn)(struct reach *reach, void *data);

/*
 * Try address:port every REACH_INTERVAL until the other end closes or resets a connection that was
 * open for at least one round trip, or sends anything. The callback may free. A refused connect (no
 * forward there) is tried again. There is no limit: the caller frees at its own deadline.
 */
struct reach *reach_new(struct ev_loop *loop, const char *address, int port, reach_fn done,
			void *data);
void reach_free(struct reach *reach);

#endif
