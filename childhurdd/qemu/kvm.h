/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers whether KVM works; each emulator is probed once for each kind of guest. */
#ifndef CHILDHURDD_QEMU_KVM_H
#define CHILDHURDD_QEMU_KVM_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/qemu/kvm_probe.h"

struct kvm;
typedef void (*kvm_fn)(gboolean usable, const char *why, void *data);

/* user: the one that QEMU runs as; borrowed; NULL: ours. */
struct kvm *kvm_new(struct ev_loop *loop, const char *state_directory,
		    const struct qemu_user *user);
void kvm_free(struct kvm *acceleration); /* NULL is allowed */

/* done comes from the loop. emulator: absolute path. */
void kvm_ask(struct kvm *acceleration, enum kvm_guest guest, const char *emulator, kvm_fn done,
	     void *data);
/* Forget the requests made with data: no more answers to them. */
void kvm_forget(struct kvm *acceleration, const void *data);

#endif
