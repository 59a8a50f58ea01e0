/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can this host's KVM run a 32-bit guest, or a 64-bit one? It runs one to find out.
 *
 * Many machines have a /dev/kvm that opens, makes a VM and a vCPU, and still cannot run a 32-bit
 * guest (nested hypervisors): GNU Mach triple-faults there. So the probe runs a boot sector of 512
 * bytes that enters protected mode, turns paging on and writes to an isa-debug-exit port; only its
 * exit status is an answer.
 */
#ifndef CHILDHURDD_QEMU_KVM_PROBE_H
#define CHILDHURDD_QEMU_KVM_PROBE_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/qemu/user.h"

#define KVM_PROBE_LIMIT 2000 /* ms */

struct kvm_probe;
/* What a guest does with the processor. */
enum kvm_guest { KVM_GUEST_32, KVM_GUEST_64 };

/* usable: KVM runs such guests here. why: one line for the log ("/dev/kvm: Permission denied; add
 * the user to the group kvm", "KVM does not run 32-bit guests here (the probe was killed after 2
 * s)"). May free. */
typedef void (*kvm_probe_fn)(struct kvm_probe *probe, gboolean usable, const char *why, void *data);

/*
 * Probe with this emulator; the answer comes from the loop. The boot sector's answer is stored in
 * directory/kvm-probe for this boot of the host, this emulator (path, size and time of the binary)
 * and this /dev/kvm, so that a second daemon does not probe again. A lack of something, or of a
 * permission, is found out anew each time. directory: the daemon's state directory, also for the
 * temporary boot sector. user: the one that QEMU runs as (NULL: ours), borrowed until the answer;
 * it must be able to pass the directory.
 */
struct kvm_probe *kvm_probe_new(struct ev_loop *loop, enum kvm_guest guest, const char *emulator,
				const char *directory, const struct qemu_user *user,
				kvm_probe_fn done, void *data);
/* The same with another device than /dev/kvm, for tests, which need one that opens and one that
 * does not. */
struct kvm_probe *kvm_probe_device(struct ev_loop *loop, enum kvm_guest guest, const char *emulator,
				   const char *directory, const char *device,
				   const struct qemu_user *user, kvm_probe_fn done, void *data);
void kvm_probe_free(struct kvm_probe *probe); /* NULL is allowed */

#endif
