/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is at the other end of a connection, by what the kernel says (SO_PEERCRED, unix(7)), and what
 * that one may do.
 *
 * Who can connect may read: the socket's mode and access control list decide about that. Changing
 * things is for root, for whom the daemon runs as, and for a group. User databases are asked only
 * when a change is asked for, and once in a connection.
 */
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "service/control/internal.h"

const char *
client_who(struct control_client *client)
{
	if (!client->who) {
		struct passwd *user = client->peer.uid ? getpwuid(client->peer.uid) : NULL;
		client->who = !client->peer.uid ? g_strdup("root")
			      : user		? g_strdup(user->pw_name)
				     : g_strdup_printf("uid %u", (unsigned)client->peer.uid);
	}
	return client->who;
}

gboolean
peer_in_group(uid_t uid, gid_t gid, const char *name)
{
	struct group *group = getgrnam(name);
	if (!group)
		return FALSE;
	gid_t wanted = group->gr_gid;
	if (gid == wanted)
		return TRUE;
	struct passwd *user = getpwuid(uid);
	if (!user)
		return FALSE;
	int n = 0;
	getgrouplist(user->pw_name, gid, NULL, &n);
	g_autofree gid_t *groups = g_new(gid_t, MAX(n, 1));
	if (getgrouplist(user->pw_name, gid, groups, &n) < 0)
		return FALSE;
	for (int i = 0; i < n; i++)
		if (groups[i] == wanted)
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
	if (client->may_change < 0)
		client->may_change =
		    peer_is_owner(client->peer.uid) ||
		    peer_in_group(client->peer.uid, client->peer.gid, CONTROL_ADMIN_GROUP);
	return client->may_change;
}
