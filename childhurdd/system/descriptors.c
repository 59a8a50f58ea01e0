/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/system/descriptors.h"

#include <errno.h>
#include <sys/resource.h>

static rlim_t given; /* 0: never raised */

gulong
descriptors_attainable(void)
{
	struct rlimit limit = {0};
	getrlimit(RLIMIT_NOFILE, &limit);
	return MAX(limit.rlim_cur, MIN(limit.rlim_max, DESCRIPTORS_MOST));
}

void
descriptors_raise(void)
{
	struct rlimit limit;
	if (given || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	struct rlimit raised = {.rlim_cur = descriptors_attainable(), .rlim_max = limit.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		given = limit.rlim_cur;
	else
		g_warning("the limit of open files stays %lu: %s", (gulong)limit.rlim_cur,
			  g_strerror(errno));
}

void
descriptors_give_back(pid_t pid)
{
	struct rlimit limit;
	if (!given || prlimit(pid, RLIMIT_NOFILE, NULL, &limit) < 0)
		return;
	limit.rlim_cur = MIN(given, limit.rlim_max);
	prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
}
