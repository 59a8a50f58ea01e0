/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From QEMU's start to a guest with its secrets: its network answers, the secret service says
 * hello, receives the secrets, and closes. The host's secrets port is open only during that.
 */
#ifndef CHILDHURDD_WORLD_ENROLL_H
#define CHILDHURDD_WORLD_ENROLL_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/guest/lifecycle.h"
#include "childhurdd/qemu/hypervisor.h"
#include "config/config.h"

#define ENROLL_RETRY	 100  /* ms to the next attempt while nothing listens in the guest */
#define ENROLL_RETRY_ODD 2000 /* ms to the next attempt after any other failure */
#define ENROLL_REACH_LIMIT                                                                         \
	120000 /* ms until the secret service is tried directly: the guest may drop packets for    \
		  unused ports */

struct enroll;
/* EVENT_GREETED, EVENT_ENROLLED, or EVENT_START_FAILED with the error of one attempt (more follow).
 */
typedef void (*enroll_fn)(enum event event, const char *text, void *data);

/*
 * guest: one of its owners. qemu: its process alone gets the secrets; copied, but for its uuid,
 * which outlives it. message: the secrets, referenced; NULL: there are none (inject = none), and
 * this only waits for the network. forwarded: the secrets port already leads to REACH_UNUSED_PORT
 * (QEMU was just started); FALSE: its target is unknown (taken over). Goes on until it has enrolled
 * or is freed; the caller has the limit.
 */
struct enroll *enroll_new(struct ev_loop *loop, struct hypervisor *hypervisor,
			  const struct config_guest *guest, const struct hypervisor_qemu *qemu,
			  GBytes *message, gboolean forwarded, enroll_fn report, void *data);
/* The guest is known to have its secrets: close the port, and report EVENT_ENROLLED. Does nothing
 * for NULL, or after it has enrolled. */
void enroll_finish(struct enroll *enroll);
void enroll_free(struct enroll *enroll); /* NULL is allowed */

#endif
