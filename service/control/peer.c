/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process at the other end of a connection, as the kernel reports it (SO_PEERCRED,
 * SO_PEERGROUPS; unix(7)), and what it may do.
 *
 * A process that can connect may read; the socket's mode and access control list decide which can.
 * Only root, the daemon's own user and the members of a group may change things. The user database
 * is not asked, because it may be on a network. Instead, the groups are those that the process had
 * when it connected, and names come from /etc/passwd.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "service/control/internal.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of the kernel (limits.h) */

/* The user's name; NULL: /etc/passwd has none. Caller frees. */
static char *
name_of(uid_t uid)
{
	FILE *users = fopen("/etc/passwd", "re");
	char *name = NULL, bytes[4096];
	struct passwd entry = {0}, *user;
	while (users && !name && fgetpwent_r(users, &entry, bytes, sizeof bytes, &user) == 0)
		if (user->pw_uid == uid)
			name = g_strdup(user->pw_name);
	if (users)
		fclose(users);
	return name;
}

const char *
client_who(struct control_client *client)
{
	if (!client->who)
		client->who = client->peer.uid ? name_of(client->peer.uid) : g_strdup("root");
	if (!client->who)
		client->who = g_strdup_printf("uid %u", (unsigned)client->peer.uid);
	return client->who;
}

gboolean
peer_in_group(int fd, gid_t primary, gid_t group)
{
	g_autofree gid_t *groups = NULL;
	gid_t none;
	socklen_t length = 0;
	if (group == (gid_t)-1)
		return FALSE;
	if (primary == group)
		return TRUE;
	/* if there is too little room, the kernel returns the size that it needs */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, &none, &length) == 0 || errno != ERANGE ||
	    length > GROUPS_MAX * sizeof *groups)
		return FALSE;
	groups = g_malloc0(length);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0)
		return FALSE;
	for (gsize i = 0; i < length / sizeof *groups; i++)
		if (groups[i] == group)
			return TRUE;
	return FALSE;
}

gboolean
peer_is_owner(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

gboolean
client_may_change(struct control_client *client)
{
	if (client->read_only)
		return FALSE;
	if (client->may_change < 0)
		client->may_change =
		    peer_is_owner(client->peer.uid) ||
		    peer_in_group(client->fd, client->peer.gid, client->control->groups.admins);
	return client->may_change;
}
