/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One pair for all nodes: their administrators get to know it once, and it may take any number of
 * nodes and guests. */
#include "childhurdd/nodes/node_key.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "config/base/io_error.h"
#include "offload/coordinator.h"
#include "ssh/key_pair.h"

#define OWNER_MAX 40 /* bytes: as long as a section's name may be */

char *
node_key_path(const char *state_directory)
{
	return g_build_filename(state_directory, "nodes", "key", NULL);
}

char *
node_key_owner(void)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.";
	g_autofree char *name = g_strndup(g_get_host_name(), OWNER_MAX);
	g_strcanon(name, letters, '-');
	const char *begin = name + strspn(name, "-_.");
	return g_strdup(*begin ? begin : "coordinator");
}

/* The folder is ours alone but for the coordinator's user, who is let through. */
static gboolean
make_folder(const char *path, GError **error)
{
	return g_mkdir_with_parents(path, 0700) == 0 || io_error(error, path, NULL);
}

gboolean
node_key_ensure(const char *state_directory, const char *coordinator_user,
		const char *guix_state_directory, GError **error)
{
	g_autofree char *path = node_key_path(state_directory);
	g_autofree char *folder = g_path_get_dirname(path), *owner = node_key_owner();
	g_autofree char *comment = g_strconcat("childhurd@", owner, NULL);
	return make_folder(folder, error) &&
	       key_pair_ensure(path, KEY_PAIR_ED25519, comment, error) &&
	       coordinator_grant(coordinator_user, guix_state_directory, path, error);
}

char *
node_key_reporter(const char *state_directory)
{
	g_autofree char *owner = node_key_owner(), *machine = NULL;
	g_file_get_contents("/etc/machine-id", &machine, NULL, NULL);
	g_autofree char *own = g_strconcat(machine ? machine : "", state_directory, NULL);
	g_autofree char *mark = g_compute_checksum_for_string(G_CHECKSUM_SHA256, own, -1);
	return g_strdup_printf("%s-%.8s", owner, mark);
}
