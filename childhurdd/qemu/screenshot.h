/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A picture of a guest's screen, written by its QEMU (7.1 and later write PNG). */
#ifndef CHILDHURDD_QEMU_SCREENSHOT_H
#define CHILDHURDD_QEMU_SCREENSHOT_H

#include "childhurdd/qemu/hypervisor.h"

/*
 * Let qemu write its screen to path, where this first makes an empty file of user's. done is called
 * from the loop, with an error, or with QEMU's complaint as a text if there is no picture. Returns
 * at once; forget the call with hypervisor_forget.
 */
struct hypervisor_call *screenshot_take(struct hypervisor *hypervisor,
					const struct hypervisor_qemu *qemu, const char *path,
					const struct qemu_user *user, hypervisor_fn done,
					void *data);

#endif
