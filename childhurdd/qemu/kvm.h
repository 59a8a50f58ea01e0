/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers whether KVM works; each emulator is probed once. */
#ifndef CHILDHURDD_QEMU_KVM_H
#define CHILDHURDD_QEMU_KVM_H

#include <ev.h>
#include <glib.h>

#include "childhurdd/qemu/user.h"

struct acceleration;
typedef void (*acceleration_fn)(gboolean usable, const char *why, void *data);

/* user: the one that QEMU runs as; borrowed; NULL: ours. */
struct acceleration *acceleration_new(struct ev_loop *loop, const char *state_directory,
				      const struct qemu_user *user);
void acceleration_free(struct acceleration *acceleration); /* NULL is allowed */

/* done comes from the loop. emulator: absolute path. */
void acceleration_ask(struct acceleration *acceleration, const char *emulator, acceleration_fn done,
		      void *data);
/* Forget the requests made with data: no more answers to them. */
void acceleration_forget(struct acceleration *acceleration, const void *data);

#endif
