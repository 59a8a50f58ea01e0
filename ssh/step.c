/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of a session's steps. */
#include "ssh/step.h"

#include <errno.h>

#include "config/base/lack.h"

G_DEFINE_QUARK(ssh - error - quark, session_error)

enum ssh_error
ssh_error_of(int problem)
{
	/* connect(2): no local port is free, or a rule of this host forbids it */
	if (lack_is(problem) || problem == EADDRNOTAVAIL || problem == EACCES || problem == EPERM ||
	    problem == ENETDOWN)
		return SESSION_ERROR_HOST;
	return SESSION_ERROR_REFUSED;
}

const char *
ssh_step_name(enum ssh_step step)
{
	static const char *const names[] = {
	    [SSH_STEP_CONNECT] = "connect",   [SSH_STEP_BANNER] = "banner",
	    [SSH_STEP_HOST_KEY] = "host key", [SSH_STEP_LOGIN] = "login",
	    [SSH_STEP_COMMAND] = "command",
	};

	return (gsize)step < G_N_ELEMENTS(names) ? names[step] : "?";
}
