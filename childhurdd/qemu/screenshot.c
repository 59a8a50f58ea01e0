/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/qemu/screenshot.h"

#include "childhurdd/qemu/folder.h"

struct hypervisor_call *
screenshot_take(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu, const char *path,
		const struct qemu_user *user, hypervisor_fn done, void *data)
{
	g_autofree char *command = g_strdup_printf("screendump \"%s\" -f png", path);
	guest_folder_lay_out(path, user); /* if this fails, QEMU reports why it cannot write */
	return hypervisor_monitor(hypervisor, qemu, command, done, data);
}
