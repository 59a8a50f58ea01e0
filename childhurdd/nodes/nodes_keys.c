/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the nodes need of this host's files: the key by which it logs in there, the lists that an
 * earlier daemon had, and Guix's acl.
 *
 * The lists are kept because a daemon that begins would publish none of the nodes' guests until it
 * is connected again, and Guix would fail builds meanwhile. Recalled guests count as coming.
 */
#include <unistd.h>

#include "childhurdd/nodes/node_key.h"
#include "childhurdd/nodes/nodes_internal.h"
#include "offload/coordinator.h"
#include "offload/signing.h"
#include "offload/signing_key.h"

#define NAMES_SHOWN 5 /* of guests, in a message */

static char *
list_path(const struct nodes *nodes, const char *name)
{
	g_autofree char *leaf = g_strconcat(name, ".list", NULL);
	return g_build_filename(nodes->setup.state_directory, "nodes", leaf, NULL);
}

/* --- the key, and the lists of an earlier daemon --- */

struct preparation {
	struct nodes *nodes;
	char *state, *user, *guix_state, *key, *waiting;
	GPtrArray *names, *paths; /* of the nodes that begin */
	char **texts;		  /* of their lists, in the order of names; "": none */
	char *coordinator_key;
	GError *error;
};

static void
preparation_free(void *data)
{
	struct preparation *p = data;
	g_free(p->state);
	g_free(p->user);
	g_free(p->guix_state);
	g_free(p->key);
	g_free(p->waiting);
	g_ptr_array_unref(p->names);
	g_ptr_array_unref(p->paths);
	g_strfreev(p->texts);
	g_free(p->coordinator_key);
	g_clear_error(&p->error);
	g_free(p);
}

static void
prepare_work(void *data)
{
	struct preparation *p = data;
	g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
	lane_touch("key", p->key);
	for (guint i = 0; i < p->paths->len; i++) {
		g_autofree char *text = NULL;
		g_file_get_contents(p->paths->pdata[i], &text, NULL, NULL);
		g_strv_builder_add(texts, text ? text : "");
	}
	p->texts = g_strv_builder_end(texts);
	if (p->waiting)
		unlink(p->waiting); /* root has taken them; those of removed nodes have to go */
	if (node_key_ensure(p->state, p->user, p->guix_state, &p->error))
		p->coordinator_key = coordinator_key(p->key);
}

static struct nodes_entry *
find(const struct nodes *nodes, const char *name)
{
	for (guint i = 0; i < nodes->all->len; i++) {
		struct node *node = g_ptr_array_index(nodes->all, i);
		if (!g_strcmp0(node->name, name))
			return node->data;
	}
	return NULL;
}

/* texts NULL: they could not be read. */
static void
begin_all(struct nodes *nodes, const struct preparation *p, char **texts)
{
	for (guint i = 0; i < p->names->len; i++) {
		struct nodes_entry *entry = find(nodes, p->names->pdata[i]);
		if (!entry || entry->begun)
			continue;
		entry->begun = TRUE;
		const char *text = texts && *texts[i] ? texts[i] : NULL;
		entry->remembered = g_strdup(text);
		node_begin(entry->node, text ? offers_recall(entry->node->name, text) : NULL);
	}
}

static void
tell_key_problem(struct nodes *nodes, const char *problem)
{
	if (problem && g_strcmp0(nodes->key_problem, problem)) {
		g_autofree char *text =
		    g_strdup_printf("nodes: the key for them cannot be used: %s", problem);
		nodes->setup.event(nodes->setup.data, text);
	}
	g_free(nodes->key_problem);
	nodes->key_problem = g_strdup(problem);
}

static void
on_prepared(void *data, const GError *late)
{
	struct preparation *p = data;
	struct nodes *nodes = p->nodes;
	const GError *error = late ? late : p->error;
	gboolean was_known = nodes->known;
	nodes->preparing = NULL;
	nodes->known = TRUE;
	if (!error)
		nodes->coordinator_key = g_intern_string(p->coordinator_key);
	tell_key_problem(nodes, error ? error->message : NULL);
	begin_all(nodes, p, late ? NULL : p->texts);
	if (!was_known || !error)
		nodes->setup.publish(nodes->setup.data);
	if (error)
		ev_timer_start(nodes->setup.loop, &nodes->key_again);
	if (nodes->prepare_again)
		nodes_prepare(nodes);
}

static void
on_key_again(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	nodes_prepare(watcher->data);
}

void
nodes_prepare(struct nodes *nodes)
{
	nodes->prepare_again = nodes->preparing != NULL;
	if (nodes->preparing)
		return;
	struct preparation *p = g_new0(struct preparation, 1);
	p->nodes = nodes;
	p->state = g_strdup(nodes->setup.state_directory);
	p->user = g_strdup(nodes->coordinator_user);
	p->guix_state = g_strdup(nodes->guix_state);
	p->key = g_strdup(nodes->key);
	p->waiting = nodes->known ? NULL : nodes_waiting_keys(p->state);
	p->names = g_ptr_array_new_with_free_func(g_free);
	p->paths = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < nodes->all->len; i++) {
		const struct node *node = g_ptr_array_index(nodes->all, i);
		if (((const struct nodes_entry *)node->data)->begun)
			continue;
		g_ptr_array_add(p->names, g_strdup(node->name));
		g_ptr_array_add(p->paths, list_path(nodes, node->name));
	}
	ev_timer_stop(nodes->setup.loop, &nodes->key_again);
	ev_timer_init(&nodes->key_again, on_key_again, NODES_KEY_AGAIN / 1000., 0.);
	nodes->key_again.data = nodes;
	/* In this lane, because `node invite` makes the same key there. */
	nodes->preparing = lane_run(nodes->setup.guix, NODES_KEY_LIMIT, prepare_work, on_prepared,
				    preparation_free, p);
}

/* --- lists for the next daemon --- */

void
nodes_remember(struct nodes_entry *entry)
{
	struct nodes *nodes = entry->nodes;
	if (entry->node->state != NODE_CONNECTED || !entry->node->offers)
		return;
	g_autofree char *text = offers_remember(entry->node->offers);
	if (!g_strcmp0(text, entry->remembered))
		return;
	g_autofree char *path = list_path(nodes, entry->node->name);
	g_free(entry->remembered);
	entry->remembered = g_strdup(text);
	writer_put(nodes->setup.writer, path, g_steal_pointer(&text));
}

static void
forget_work(void *data)
{
	lane_touch("list", data);
	unlink(data);
}

void
nodes_forget(struct nodes_entry *entry)
{
	g_autofree char *path = list_path(entry->nodes, entry->node->name);
	writer_forget(entry->nodes->setup.writer, path);
	lane_run(entry->nodes->lane, 0, forget_work, NULL, g_free, g_steal_pointer(&path));
}

/* --- signing keys --- */

struct signing_job {
	struct nodes *nodes;
	char *guix;
	GPtrArray *keys; /* of char *, NULL-terminated for the worker */
	GString *guests; /* whose they are, for a message */
	guint added;
	gboolean possible;
	GError *error;
};

static void
signing_free(void *data)
{
	struct signing_job *job = data;
	g_free(job->guix);
	g_ptr_array_unref(job->keys);
	g_string_free(job->guests, TRUE);
	g_clear_error(&job->error);
	g_free(job);
}

static void
sign_work(void *data)
{
	struct signing_job *job = data;
	lane_touch("Guix's", job->guix);
	job->possible = signing_possible(job->guix);
	if (job->possible)
		signing_authorize_all(job->guix, (const char *const *)job->keys->pdata, &job->added,
				      &job->error);
}

static void
on_sign_again(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	nodes_sign(watcher->data);
}

char *
nodes_waiting_keys(const char *state_directory)
{
	return g_build_filename(state_directory, "nodes", "signing-keys", NULL);
}

/* Only root may write to the acl. It reads a line for each key; for Guix any white space is alike.
 */
static void
leave_to_root(const struct nodes *nodes, const GPtrArray *keys)
{
	g_autofree char *path = nodes_waiting_keys(nodes->setup.state_directory);
	GString *text = g_string_new(NULL);
	for (guint i = 0; i + 1 < keys->len; i++) {
		g_autofree char *line = g_strdelimit(g_strdup(keys->pdata[i]), "\r\n", ' ');
		g_string_append_printf(text, "%s\n", line);
	}
	writer_put(nodes->setup.writer, path, g_string_free(text, FALSE));
}

/* why NULL: this host has no Guix. It gives no builds to anybody, and needs no keys. */
static void
sign_later(struct nodes *nodes, const char *why, const char *cure)
{
	ev_timer_init(&nodes->sign_again, on_sign_again, NODES_SIGN_AGAIN / 1000., 0.);
	nodes->sign_again.data = nodes;
	ev_timer_start(nodes->setup.loop, &nodes->sign_again);
	if (!why || !g_strcmp0(nodes->sign_problem, why))
		return;
	g_autofree char *text = g_strdup_printf(
	    "nodes: %s%s; until the signing keys of their guests are there, what those have built "
	    "is not taken",
	    why, cure);
	nodes->setup.event(nodes->setup.data, text);
	g_free(nodes->sign_problem);
	nodes->sign_problem = g_strdup(why);
}

static void
on_signed(void *data, const GError *late)
{
	struct signing_job *job = data;
	struct nodes *nodes = job->nodes;
	nodes->signing = NULL;
	if (late || job->error || !job->possible) {
		const GError *error = late ? late : job->error;
		gboolean roots =
		    geteuid() != 0 && g_error_matches(error, SIGNING_ERROR, SIGNING_ERROR_WRITE);
		if (roots)
			leave_to_root(nodes, job->keys);
		sign_later(nodes, error ? error->message : NULL,
			   roots ? ", and root does that before the daemon starts (childhurdd "
				   "--prepare): restart it, as with systemctl restart childhurdd"
				 : "");
		return;
	}
	g_clear_pointer(&nodes->sign_problem, g_free);
	for (guint i = 0; i + 1 < job->keys->len; i++)
		g_hash_table_add(nodes->signed_for, g_strdup(job->keys->pdata[i]));
	if (job->added) {
		g_autofree char *text = g_strdup_printf(
		    "nodes: %u signing key%s of their guests new in %s/acl (%s)", job->added,
		    job->added == 1 ? "" : "s", job->guix, job->guests->str);
		nodes->setup.event(nodes->setup.data, text);
	}
	nodes_sign(nodes);
}

/* The acl has a limit, and one node must not use up the room of all. */
static gboolean
may_sign(struct nodes_entry *entry, const char *key)
{
	gsize n = strlen(key);
	if (g_hash_table_contains(entry->keys, key))
		return TRUE;
	if (entry->key_bytes + n > NODES_SIGN_BYTES)
		return FALSE;
	entry->key_bytes += n;
	return g_hash_table_add(entry->keys, g_strdup(key));
}

static void
collect(const struct nodes *nodes, const struct node *node, struct signing_job *job)
{
	for (guint i = 0; i < node->offers->guests->len; i++) {
		const struct published_guest *guest =
		    &g_array_index(node->offers->guests, struct published_guest, i);
		if (!guest->signing_key ||
		    g_hash_table_contains(nodes->signed_for, guest->signing_key) ||
		    !may_sign(node->data, guest->signing_key))
			continue;
		if (job->keys->len < NAMES_SHOWN)
			g_string_append_printf(job->guests, "%s%s", job->keys->len ? ", " : "",
					       guest->name);
		else if (job->keys->len == NAMES_SHOWN)
			g_string_append(job->guests, ", ...");
		g_ptr_array_add(job->keys, g_strdup(guest->signing_key));
	}
}

void
nodes_sign(struct nodes *nodes)
{
	if (nodes->signing || ev_is_active(&nodes->sign_again))
		return;
	struct signing_job *job = g_new0(struct signing_job, 1);
	job->nodes = nodes;
	job->guix = g_strdup(nodes->guix);
	job->keys = g_ptr_array_new_with_free_func(g_free);
	job->guests = g_string_new(NULL);
	for (guint i = 0; i < nodes->all->len; i++) {
		const struct node *node = g_ptr_array_index(nodes->all, i);
		if (node->state == NODE_CONNECTED)
			collect(nodes, node, job);
	}
	if (!job->keys->len) {
		signing_free(job);
		return;
	}
	g_ptr_array_add(job->keys, NULL);
	nodes->signing =
	    lane_run(nodes->setup.guix, NODES_KEY_LIMIT, sign_work, on_signed, signing_free, job);
}

void
nodes_keys_clear(struct nodes *nodes)
{
	ev_timer_stop(nodes->setup.loop, &nodes->key_again);
	ev_timer_stop(nodes->setup.loop, &nodes->sign_again);
	lane_forget(nodes->preparing);
	lane_forget(nodes->signing);
	g_hash_table_unref(nodes->signed_for);
	g_free(nodes->key_problem);
	g_free(nodes->sign_problem);
	g_free(nodes->coordinator_user);
	g_free(nodes->guix_state);
	g_free(nodes->guix);
}
