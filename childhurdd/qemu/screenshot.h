/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A picture of a guest's screen, which its QEMU writes (PNG: QEMU 7.1 and later). */
#ifndef CHILDHURDD_QEMU_SCREENSHOT_H
#define CHILDHURDD_QEMU_SCREENSHOT_H

#include "childhurdd/qemu/hypervisor.h"

/*
 * Let qemu write its screen to path. This first creates an empty file of user's there. done is
 * called from the loop. If there is no picture, it gets an error, or QEMU's complaint as a text.
 * Returns at once; forget the call with hypervisor_forget.
 */
struct hypervisor_call *screenshot_take(struct hypervisor *hypervisor,
					const struct hypervisor_qemu *qemu, const char *path,
					const struct qemu_user *user, hypervisor_fn done,
					void *data);

#endif
