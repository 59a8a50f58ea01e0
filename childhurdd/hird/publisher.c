/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/hird/publisher.h"

#include "childhurdd/system/own_folder.h"

/* Of an asleep guest's speed. */
#define PUBLISHER_ASLEEP 0.99

enum published_as
publisher_as(const struct childhurd *c)
{
	if (!c->config->offloading)
		return PUBLISHED_NOT;
	if (childhurd_published(c))
		return PUBLISHED_READY;
	return childhurd_coming_up(c) ? PUBLISHED_COMING : PUBLISHED_NOT;
}

/* Guix takes the fastest machine first: of two guests, the one that runs. */
static double
speed(const struct childhurd *c)
{
	return c->config->speed * (c->state == STATE_ASLEEP ? PUBLISHER_ASLEEP : 1);
}

GArray *
publisher_guests(const struct host *host, GPtrArray *worlds)
{
	GArray *list = g_array_new(FALSE, TRUE, sizeof(struct published_guest));
	for (guint i = 0; i < worlds->len; i++) {
		struct world *r = g_ptr_array_index(worlds, i);
		const struct childhurd *c = world_childhurd(r);
		const struct config_guest *guest = c->config;
		if (!world_host_keys(r))
			continue;
		struct published_guest entry = {
		    .name = guest->name,
		    .host_name = host->config->host_name,
		    .port = guest->ssh_port,
		    .user = guest->offloading ? guest->user : guest->admin_user,
		    .private_key = world_private_key(r),
		    .coordinator_key = world_coordinator_key(r),
		    .host_keys = (const char *const *)world_host_keys(r),
		    .systems = (const char *const *)guest->systems,
		    .features = (const char *const *)guest->features,
		    .parallel_builds = guest->parallel_builds,
		    .speed = speed(c),
		    .overload_threshold = guest->overload_threshold,
		    .signing_key = world_signing_key(r),
		    .as = publisher_as(c),
		};
		g_array_append_val(list, entry);
	}
	return list;
}

/* --- writing --- */

/* A copy of the guests' state, which only the worker uses. */
struct publication {
	struct publisher *publisher;
	guint64 number; /* from 1 */
	char *directory;
	GArray *guests;	   /* of struct published_guest; ours with strings of its own */
	GPtrArray *owners; /* of struct offers, which own those of the others */
	gboolean made;
	GError *error;
};

struct publisher {
	const struct host *host;
	struct lane *lane;
	struct publication *next; /* to be written after the present one; NULL: none */
	gboolean writing, looking;
	guint64 asked, ended; /* numbers of the last update, and of the last that has ended */
	publisher_fn done;
	void *data;
};

static void
guest_copy(struct published_guest *guest)
{
	guest->name = g_strdup(guest->name);
	guest->host_name = g_strdup(guest->host_name);
	guest->user = g_strdup(guest->user);
	guest->private_key = g_strdup(guest->private_key);
	guest->coordinator_key = g_strdup(guest->coordinator_key);
	guest->host_keys = (const char *const *)g_strdupv((char **)guest->host_keys);
	guest->systems = (const char *const *)g_strdupv((char **)guest->systems);
	guest->features = (const char *const *)g_strdupv((char **)guest->features);
	guest->signing_key = NULL; /* not in the files */
}

static void
guest_clear(struct published_guest *guest)
{
	g_free((char *)guest->name);
	g_free((char *)guest->host_name);
	g_free((char *)guest->user);
	g_free((char *)guest->private_key);
	g_free((char *)guest->coordinator_key);
	g_strfreev((char **)guest->host_keys);
	g_strfreev((char **)guest->systems);
	g_strfreev((char **)guest->features);
}

static void
publication_free(void *data)
{
	struct publication *publication = data;
	g_free(publication->directory);
	for (guint i = 0; i < publication->guests->len; i++) {
		struct published_guest *guest =
		    &g_array_index(publication->guests, struct published_guest, i);
		if (!guest->foreign)
			guest_clear(guest);
	}
	g_array_unref(publication->guests);
	g_ptr_array_unref(publication->owners);
	g_clear_error(&publication->error);
	g_free(publication);
}

static void
publication_work(void *data)
{
	struct publication *p = data;
	lane_touch("folder", p->directory);
	if (folder_make(p->directory, &p->made, &p->error) && !lane_given_up())
		published_write(p->directory, (const struct published_guest *)p->guests->data,
				p->guests->len, &p->error);
}

static void on_written(void *data, const GError *late);

static void
write_next(struct publisher *publisher)
{
	publisher->writing = publisher->next != NULL;
	if (publisher->writing)
		lane_run(publisher->lane, PUBLISH_LIMIT, publication_work, on_written,
			 publication_free, g_steal_pointer(&publisher->next));
}

static void
on_written(void *data, const GError *late)
{
	const struct publication *publication = data;
	struct publisher *publisher = publication->publisher;
	publisher->ended = publication->number;
	write_next(publisher);
	publisher->done(!late && publication->made, late ? late : publication->error,
			publisher->data);
}

struct publisher *
publisher_new(const struct host *host, publisher_fn done, void *data)
{
	struct publisher *publisher = g_new0(struct publisher, 1);
	publisher->host = host;
	publisher->lane = lane_new(host->files);
	publisher->done = done;
	publisher->data = data;
	return publisher;
}

void
publisher_free(struct publisher *publisher)
{
	if (!publisher)
		return;
	lane_free(publisher->lane);
	g_clear_pointer(&publisher->next, publication_free);
	g_free(publisher);
}

void
publisher_update(struct publisher *publisher, GPtrArray *worlds, const struct nodes *nodes)
{
	struct publication *next = g_new0(struct publication, 1);
	next->publisher = publisher;
	next->number = ++publisher->asked;
	next->directory = g_strdup(publisher->host->config->runtime_directory);
	next->guests = publisher_guests(publisher->host, worlds);
	for (guint i = 0; i < next->guests->len; i++)
		guest_copy(&g_array_index(next->guests, struct published_guest, i));
	next->owners = g_ptr_array_new_with_free_func((GDestroyNotify)offers_unref);
	if (nodes)
		nodes_append(nodes, next->guests, next->owners);
	g_clear_pointer(&publisher->next, publication_free);
	publisher->next = next;
	if (!publisher->writing)
		write_next(publisher);
}

struct look {
	struct publisher *publisher;
	char *directory;
	gboolean there;
	void (*missing)(void *data);
};

static void
look_work(void *data)
{
	struct look *look = data;
	lane_touch("folder", look->directory);
	look->there = published_is_there(look->directory);
}

static void
on_looked(void *data, const GError *late)
{
	const struct look *look = data;
	look->publisher->looking = FALSE;
	if (!late && !look->there)
		look->missing(look->publisher->data);
}

static void
look_free(void *data)
{
	struct look *look = data;
	g_free(look->directory);
	g_free(look);
}

void
publisher_look(struct publisher *publisher, void (*missing)(void *data))
{
	if (publisher->looking || publisher->writing)
		return;
	struct look *look = g_new0(struct look, 1);
	look->publisher = publisher;
	look->directory = g_strdup(publisher->host->config->runtime_directory);
	look->missing = missing;
	publisher->looking = TRUE;
	lane_run(publisher->lane, PUBLISH_LIMIT, look_work, on_looked, look_free, look);
}

guint64
publisher_asked(const struct publisher *publisher)
{
	return publisher->asked;
}

guint64
publisher_ended(const struct publisher *publisher)
{
	return publisher->ended;
}

gboolean
publisher_busy(const struct publisher *publisher)
{
	return publisher->writing;
}
