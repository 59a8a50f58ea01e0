/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verb image: childhurd-image does the work, which needs no daemon. An image can so be fetched
 * before there is a configuration, and Ctrl-C ends just this.
 */
#include "service/ctl/ctl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int
ctl_image(struct ctl *ctl, GError **error)
{
	static const char *const places[] = {"", "../libexec/childhurd", NULL};
	g_autofree char *program = ctl_program("childhurd-image", places);
	g_autofree char *timeout = g_strdup_printf("--timeout=%.3f", ctl->timeout);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_ptr_array_add(argv, (char *)"childhurd-image");
	if (ctl->json)
		g_ptr_array_add(argv, (char *)"--json");
	if (ctl->timeout > 0)
		g_ptr_array_add(argv, timeout);
	if (ctl->config) {
		g_ptr_array_add(argv, (char *)"--config");
		g_ptr_array_add(argv, ctl->config);
	}
	if (ctl->sha512) {
		g_ptr_array_add(argv, (char *)"--sha512");
		g_ptr_array_add(argv, ctl->sha512);
	}
	g_ptr_array_add(argv, (char *)"--");
	for (guint i = 0; i < ctl->n_arguments; i++)
		g_ptr_array_add(argv, ctl->arguments[i]);
	g_ptr_array_add(argv, NULL);
	if (program)
		execv(program, (char **)argv->pdata);
	g_set_error(error, CTL_ERROR, CTL_FAILED, "%s: %s", program ? program : "childhurd-image",
		    program ? g_strerror(errno)
			    : "not found beside childhurdctl, in ../libexec/childhurd or in PATH");
	return CTL_FAILED;
}
