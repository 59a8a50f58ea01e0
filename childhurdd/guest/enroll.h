/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From QEMU's start to a guest that has its secrets: its network answers, the secret service says
 * hello, takes the secrets, and closes. The host's secrets port is open only for as long as that
 * takes.
 */
#ifndef CHILDHURDD_GUEST_ENROLL_H
#define CHILDHURDD_GUEST_ENROLL_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/guest/lifecycle.h"
#include "childhurdd/qemu/hypervisor.h"
#include "config/config.h"

#define ENROLL_RETRY	 100  /* ms to the next attempt when nobody listens in the guest yet */
#define ENROLL_RETRY_ODD 2000 /* ms to the next attempt after anything else */
#define ENROLL_REACH_LIMIT                                                                         \
	120000 /* ms; a guest that drops packets for unused ports is tried directly then */

struct enroll;
/* EVENT_GREETED, EVENT_ENROLLED, or EVENT_START_FAILED with what went wrong with one attempt (it
 * goes on). */
typedef void (*enroll_fn)(enum event event, const char *text, void *data);

/*
 * guest: borrowed, outlives it. qemu: its process alone gets the secrets; copied, but for its uuid,
 * which outlives it. message: the secrets, referenced; NULL: none are delivered (inject = none),
 * and only the network is waited for. forwarded: the secrets port leads to REACH_UNUSED_PORT
 * already (a QEMU just started); FALSE: what it leads to is not known (taken over). Goes on until
 * it has enrolled or is freed; the caller has the limit.
 */
struct enroll *enroll_new(struct ev_loop *loop, struct hypervisor *hypervisor,
			  const struct config_guest *guest, const struct hypervisor_qemu *qemu,
			  GBytes *message, gboolean forwarded, enroll_fn report, void *data);
/* The guest is known to have its secrets: close the port, and report EVENT_ENROLLED. NULL, or one
 * that has enrolled: nothing is done. */
void enroll_finish(struct enroll *enroll);
void enroll_free(struct enroll *enroll); /* NULL is allowed */

#endif
