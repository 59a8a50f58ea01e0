/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Linux keeps these identities for each thread (credentials(7)); the C library's functions would
 * change all threads, including libvirt's, so this file makes the system calls itself. For files it
 * changes only the fsuid and the groups: with another real uid, that user could send signals to the
 * process. A program that is started needs all three uids. The thread keeps root as its saved uid
 * in order to return; execve copies the effective uid over it (execve(2)), so the program cannot
 * return.
 */
#include "config/base/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_setgroups32 /* 32-bit hosts have two of each; the older ones have 16 bits */
#define SETGROUPS SYS_setgroups32
#define SETRESUID SYS_setresuid32
#define SETRESGID SYS_setresgid32
#else
#define SETGROUPS SYS_setgroups
#define SETRESUID SYS_setresuid
#define SETRESGID SYS_setresgid
#endif

#define ENTRY_BYTES 16384 /* of a user's entry (getpwuid_r(3)) */
#define NOBODYS	    65534 /* the kernel's overflow gid: owns nothing */

struct identity *
identity_of(uid_t uid)
{
	struct passwd entry, *found = NULL;
	g_autofree char *buffer = g_malloc(ENTRY_BYTES);
	if (geteuid() != 0 || uid == 0)
		return NULL;
	/* an error leaves NULL */
	(void)getpwuid_r(uid, &entry, buffer, ENTRY_BYTES, &found);
	struct identity *identity = g_new0(struct identity, 1);
	identity->uid = uid;
	identity->gid = found ? found->pw_gid : NOBODYS;
	if (found)
		getgrouplist(found->pw_name, found->pw_gid, NULL, &identity->n_groups);
	identity->groups = g_new0(gid_t, (gsize)MAX(identity->n_groups, 1));
	if (!found || getgrouplist(found->pw_name, found->pw_gid, identity->groups,
				   &identity->n_groups) < 0) {
		identity->groups[0] = identity->gid;
		identity->n_groups = 1;
	}
	return identity;
}

void
identity_free(struct identity *identity)
{
	if (!identity)
		return;
	g_free(identity->groups);
	g_free(identity);
}

gboolean
identity_possible(const struct identity *identity)
{
	if (syscall(SETGROUPS, identity->n_groups, identity->groups) < 0)
		return FALSE;
	gboolean possible = syscall(SETRESUID, -1, identity->uid, -1) == 0;
	return possible && syscall(SETRESUID, -1, 0, -1) == 0 && syscall(SETGROUPS, 0, NULL) == 0;
}

/* A thread that is root again has no further groups; root needs none. */
static void
groups_set(int n, const gid_t *groups)
{
	if (syscall(SETGROUPS, n, groups) < 0)
		g_error("setgroups: %s", g_strerror(errno)); /* it is not safe to go on */
}

void
identity_enter(const struct identity *identity)
{
	if (!identity)
		return;
	groups_set(identity->n_groups, identity->groups);
	setfsgid(identity->gid);
	setfsuid(identity->uid);
	if ((uid_t)setfsuid((uid_t)-1) != identity->uid ||
	    (gid_t)setfsgid((gid_t)-1) != identity->gid)
		g_error("this thread cannot take the place of user %u", (unsigned)identity->uid);
}

void
identity_leave(const struct identity *identity)
{
	if (!identity)
		return;
	int kept = errno; /* from the work done as the user */
	setfsuid(geteuid());
	setfsgid(getegid());
	groups_set(0, NULL);
	if ((uid_t)setfsuid((uid_t)-1) != geteuid())
		g_error("this thread cannot be root again");
	errno = kept;
}

void
identity_become(const struct identity *identity)
{
	if (!identity)
		return;
	groups_set(identity->n_groups, identity->groups);
	if (syscall(SETRESGID, identity->gid, identity->gid, 0) < 0 ||
	    syscall(SETRESUID, identity->uid, identity->uid, 0) < 0)
		g_error("this thread cannot become user %u: %s", (unsigned)identity->uid,
			g_strerror(errno));
}

void
identity_return(const struct identity *identity)
{
	if (!identity)
		return;
	int kept = errno;
	if (syscall(SETRESUID, 0, 0, 0) < 0 || syscall(SETRESGID, 0, 0, 0) < 0)
		g_error("this thread cannot be root again: %s", g_strerror(errno));
	groups_set(0, NULL);
	errno = kept;
}
