/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can this host's KVM run a 32-bit guest? Found out by doing it.
 *
 * Many machines have a /dev/kvm that opens, makes a VM and a vCPU, and still cannot run a 32-bit
 * guest (nested hypervisors): GNU Mach triple-faults there. So a boot sector of 512 bytes is run
 * that enters protected mode, turns paging on and writes to an isa-debug-exit port; only its exit
 * status is an answer.
 */
#ifndef CHILDHURDD_QEMU_KVM_PROBE_H
#define CHILDHURDD_QEMU_KVM_PROBE_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/qemu/user.h"

#define ACCELERATOR_PROBE_LIMIT 2000 /* ms */

struct accelerator_probe;
/* usable: KVM runs 32-bit guests here. why: one line for the log ("/dev/kvm: Permission denied; add
 * the user to the group kvm", "KVM does not run 32-bit guests here (the probe was killed after 2
 * s)"). May free. */
typedef void (*accelerator_fn)(struct accelerator_probe *probe, gboolean usable, const char *why,
			       void *data);

/*
 * Probe with this emulator; the answer comes from the loop. What the boot sector answered is
 * remembered in directory/kvm-probe for this boot of the host, this emulator (path, size and time
 * of the binary) and this /dev/kvm, so that a second daemon start does not probe again; that
 * something is missing or not permitted is found out anew each time. directory: the daemon's state
 * directory, also used for the temporary boot sector. user: whom QEMU runs as (NULL: we), borrowed
 * until the answer; he has to be able to pass the directory.
 */
struct accelerator_probe *accelerator_probe_new(struct ev_loop *loop, const char *emulator,
						const char *directory, const struct qemu_user *user,
						accelerator_fn done, void *data);
/* The same with another device than /dev/kvm; for tests, which have to have one that opens and one
 * that does not. */
struct accelerator_probe *accelerator_probe_device(struct ev_loop *loop, const char *emulator,
						   const char *directory, const char *device,
						   const struct qemu_user *user,
						   accelerator_fn done, void *data);
void accelerator_probe_free(struct accelerator_probe *probe); /* NULL is allowed */

#endif
