/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/hird/publisher.h"

#include "childhurdd/system/own_folder.h"

enum published_as
publisher_as(const struct childhurd *c)
{
	if (!c->config->offloading)
		return PUBLISHED_NOT;
	if (childhurd_published(c))
		return PUBLISHED_READY;
	return childhurd_coming_up(c) ? PUBLISHED_COMING : PUBLISHED_NOT;
}

GArray *
publisher_guests(const struct host *host, GPtrArray *runners)
{
	GArray *list = g_array_new(FALSE, TRUE, sizeof(struct published_guest));
	for (guint i = 0; i < runners->len; i++) {
		struct runner *r = g_ptr_array_index(runners, i);
		const struct childhurd *c = runner_childhurd(r);
		const struct config_guest *guest = c->config;
		if (!runner_host_keys(r))
			continue;
		struct published_guest entry = {
		    .name = guest->name,
		    .host_name = host->config->host_name,
		    .port = guest->ssh_port,
		    .user = guest->offloading ? guest->user : guest->admin_user,
		    .private_key = runner_private_key(r),
		    .coordinator_key = runner_coordinator_key(r),
		    .host_keys = (const char *const *)runner_host_keys(r),
		    .systems = (const char *const *)guest->systems,
		    .features = (const char *const *)guest->features,
		    .parallel_builds = guest->parallel_builds,
		    .speed = guest->speed,
		    .overload_threshold = guest->overload_threshold,
		    .as = publisher_as(c),
		};
		g_array_append_val(list, entry);
	}
	return list;
}

gboolean
publisher_update(const struct host *host, GPtrArray *runners, gboolean *made, GError **error)
{
	if (!folder_make(host->config->runtime_directory, made, error))
		return FALSE;
	g_autoptr(GArray) guests = publisher_guests(host, runners);
	return published_write(host->config->runtime_directory,
			       (const struct published_guest *)guests->data, guests->len, error);
}
