/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The forwards of a guest whose state is loaded. Until it has a clock and a random state of its
 * own, nobody may be let in but the daemon, by a forward of its own (domain_private_forward).
 */
#ifndef CHILDHURDD_QEMU_FORWARDS_H
#define CHILDHURDD_QEMU_FORWARDS_H

#include "childhurdd/qemu/hypervisor.h"
#include "config/config.h"

struct forwards;

/* problem NULL: it is done; else which forward is not there, and why. Called once, from the loop,
 * and never from within the call that begins it; may free it. */
typedef void (*forwards_fn)(struct forwards *forwards, const char *problem, void *data);

/* Close the guest's forwards, and open the private one. Connections that are there go on. */
struct forwards *forwards_close(struct hypervisor *hypervisor, const struct config_guest *guest,
				const struct hypervisor_qemu *qemu, forwards_fn done, void *data);
/* The other way round. */
struct forwards *forwards_open(struct hypervisor *hypervisor, const struct config_guest *guest,
			       const struct hypervisor_qemu *qemu, forwards_fn done, void *data);
void forwards_free(struct forwards *forwards); /* NULL is allowed */

#endif
