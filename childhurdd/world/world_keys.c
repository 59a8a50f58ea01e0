/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's keys and secret root, made for a start. This takes random numbers, disk and fsync.
 *
 * The guest's own files are touched in its lane, Guix's in the lane that all guests share. If
 * /etc/guix does not answer, a guest starts without what it would get from there.
 */
#include <unistd.h>

#include <gio/gio.h>

#include "childhurdd/inject/edits.h"
#include "childhurdd/world/coordinators.h"
#include "childhurdd/world/host_keys.h"
#include "childhurdd/world/signing_files.h"
#include "childhurdd/world/world_internal.h"
#include "offload/coordinator.h"
#include "offload/signing.h"
#include "ssh/secrets/root.h"
#include "ssh/secrets/service.h"

/* How the secret root gets into the guest. Strings are owned. */
struct delivery {
	enum config_inject inject;
	enum config_distribution distribution;
	char *directory, *admin, *offload_key;
};

static void
delivery_init(struct delivery *delivery, const struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	*delivery =
	    (struct delivery){guest->inject, config_guest_distribution(guest), g_strdup(r->secrets),
			      g_strdup(guest->admin_user), g_strdup(r->offload_key)};
}

static void
delivery_clear(struct delivery *delivery)
{
	g_free(delivery->directory);
	g_free(delivery->admin);
	g_free(delivery->offload_key);
}

/* The guest's own files. While work in its lane has them, they belong to the worker. */
struct keys {
	struct world *world;
	struct secret_root_spec spec;
	char *name, *directory, *extra, *offload_key;
	char *users[3], *user;
	struct delivery delivery;
	gboolean signs;		/* the guest belongs to a coordinator */
	gboolean has_acl;	/* ... and got an acl at an earlier start */
	gboolean signed_by;	/* signing is complete */
	gboolean authorizes;	/* this host has a list that the guest's key belongs in */
	gboolean late;		/* Guix's files did not answer */
	char **shared_keys;	/* of the coordinators elsewhere */
	char **marks;		/* of them */
	struct signing signing; /* etc/guix in the secret root, as it is or will be */
	GBytes *message;
	char **host_keys, *coordinator_key, *signing_key;
	GError *error;
};

/* Guix's files. Strings are copies, because a worker may hang with them. */
struct guix_job {
	struct world *world;
	char *directory; /* the guest's secret root, for messages */
	char *guix;	 /* /etc/guix; NULL: the guest belongs to no coordinator */
	char *coordinator, *state, *offload_key;
	char **others; /* coordinators_signing_keys */
	GPtrArray *complaints;
	struct signing signing;
	gboolean has_acl, authorizes;
	gboolean made;
	char *note;
	GError *error;
};

static void
keys_clear(void *data)
{
	struct keys *keys = data;
	g_free(keys->name);
	g_free(keys->directory);
	g_free(keys->extra);
	g_free(keys->offload_key);
	delivery_clear(&keys->delivery);
	for (guint i = 0; i < G_N_ELEMENTS(keys->users); i++)
		g_free(keys->users[i]);
	g_free(keys->user);
	signing_clear(&keys->signing);
	g_clear_pointer(&keys->message, g_bytes_unref);
	g_strfreev(keys->shared_keys);
	g_strfreev(keys->marks);
	g_strfreev(keys->host_keys);
	g_free(keys->coordinator_key);
	g_free(keys->signing_key);
	g_clear_error(&keys->error);
}

static void
keys_unref(void *data)
{
	g_rc_box_release_full(data, keys_clear);
}

static void
keys_run(struct world *r, task_fn work, lane_done_fn done)
{
	r->keys_work =
	    lane_run(r->files, FILES_LIMIT, work, done, keys_unref, g_rc_box_acquire(r->keys));
}

static void
keys_end(struct world *r)
{
	g_clear_pointer(&r->keys, keys_unref);
	r->keys_work = NULL;
}

/* FALSE: the start has failed. */
static gboolean
keys_go_on(struct world *r, const GError *late, const GError *problem)
{
	g_autofree char *text = late	  ? g_strdup(late->message)
				: problem ? g_strdup(problem->message)
					  : NULL;
	r->keys_work = NULL;
	if (!text)
		return TRUE;
	keys_end(r);
	if (late)
		start_late(r, text);
	else
		start_failed(r, text);
	return FALSE;
}

/* What is written into the guest's disk. */
static GBytes *
read_edits(const struct delivery *delivery, const GPtrArray *files, GError **error)
{
	g_autofree char *public = g_strconcat(delivery->offload_key, ".pub", NULL), *key = NULL;
	if (!g_file_get_contents(public, &key, NULL, error))
		return NULL;
	g_autoptr(GPtrArray) edits = edits_for(delivery->distribution, files, delivery->admin, key);
	g_autoptr(GBytes) bytes = edits_pack(edits);
	if (g_bytes_get_size(bytes) <= EDITS_BYTES_MAX)
		return g_steal_pointer(&bytes);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
		    "%s: has more than the %d MiB that inject = image can write into a disk",
		    delivery->directory, EDITS_BYTES_MAX >> 20);
	return NULL;
}

/* The secret root in the form in which it is delivered. */
static GBytes *
read_message(const struct delivery *delivery, GError **error)
{
	lane_touch("secrets", delivery->directory);
	g_autoptr(GPtrArray) files = secret_root_read(delivery->directory, error);
	if (!files)
		return NULL;
	return delivery->inject == CONFIG_INJECT_IMAGE ? read_edits(delivery, files, error)
						       : secret_service_message(files, error);
}

/* --- Guix's files --- */

static void
guix_free(void *data)
{
	struct guix_job *job = data;
	g_free(job->directory);
	g_free(job->guix);
	g_free(job->coordinator);
	g_free(job->state);
	g_free(job->offload_key);
	g_strfreev(job->others);
	g_ptr_array_unref(job->complaints);
	signing_clear(&job->signing);
	g_free(job->note);
	g_clear_error(&job->error);
	g_free(job);
}

static void
guix_run(struct world *r, task_fn work, lane_done_fn done)
{
	const struct config *config = r->host->config;
	const struct signing *signing = &r->keys->signing;
	struct guix_job *job = g_new0(struct guix_job, 1);
	job->world = r;
	job->directory = g_strdup(r->secrets);
	job->coordinator = g_strdup(config->coordinator_user);
	job->state = g_strdup(config->guix_state_directory);
	job->offload_key = g_strdup(r->offload_key);
	job->others = coordinators_signing_keys(config);
	job->complaints = g_ptr_array_new_with_free_func(g_free);
	job->has_acl = r->keys->has_acl;
	if (r->keys->signs)
		job->guix = g_strdup(config->guix_configuration_directory);
	job->signing.public_key = g_strdup(signing->public_key);
	job->signing.secret_key = g_strdup(signing->secret_key);
	r->keys_work = lane_run(r->host->guix, GUIX_LIMIT, work, done, guix_free, job);
}

/* Add the guest's key to the coordinator's acl. If the daemon may not write that, the administrator
 * has to; the guest starts all the same. */
static void
authorize_work(void *data)
{
	struct guix_job *job = data;
	g_autoptr(GError) problem = NULL;
	gboolean added = FALSE;
	lane_touch("Guix's", job->guix);
	if (signing_authorize(job->guix, job->signing.public_key, &added, &problem)) {
		if (added)
			job->note = g_strdup_printf("its signing key is in %s/acl now", job->guix);
	} else if (g_error_matches(problem, SIGNING_ERROR, SIGNING_ERROR_WRITE)) {
		job->note = g_strdup_printf("%s; until its key is there, what it has built is not "
					    "taken: guix archive --authorize "
					    "<%s/" GUEST_SIGNING_FOLDER "/signing-key.pub",
					    problem->message, job->directory);
	} else {
		job->error = g_steal_pointer(&problem);
	}
}

static void
keys_ended(struct world *r)
{
	struct keys *keys = r->keys;
	g_clear_pointer(&r->message, g_bytes_unref);
	g_strfreev(r->host_keys);
	g_free(r->coordinator_key);
	g_free(r->signing_key);
	r->message = g_steal_pointer(&keys->message);
	r->host_keys = g_steal_pointer(&keys->host_keys);
	r->coordinator_key = g_steal_pointer(&keys->coordinator_key);
	r->signing_key = g_steal_pointer(&keys->signing_key);
	r->have_keys = TRUE;
	r->earlier_keys = keys->late; /* what the guest takes may be as it was */
	g_strfreev(r->coordinators_made);
	r->coordinators_made =
	    keys->late ? g_strdupv(r->coordinators) : g_steal_pointer(&keys->marks);
	keys_end(r);
	r->host->ops->publish(r->host->hird); /* from now on it can be published */
	world_keys_made(r);
}

static void
on_authorized(void *data, const GError *late)
{
	struct guix_job *job = data;
	struct world *r = job->world;
	if (late) {
		g_autofree char *text =
		    g_strdup_printf("%s; until its key is in the acl there, what it has built is "
				    "not taken",
				    late->message);
		tell_hird(r, FALSE, text);
	}
	if (!late && job->note)
		tell_hird(r, FALSE, job->note);
	if (keys_go_on(r, NULL, late ? NULL : job->error))
		keys_ended(r);
}

/* --- the guest's own files --- */

static void
deliver_work(void *data)
{
	struct keys *keys = data;
	lane_touch("secrets", keys->directory);
	if (keys->signed_by && !guest_signing_put(&keys->spec, &keys->signing, &keys->error))
		return;
	keys->coordinator_key = coordinator_key(keys->offload_key);
	if (keys->signs)
		keys->signing_key = guest_signing_public(keys->directory);
	enum config_inject inject = keys->delivery.inject;
	if (inject == CONFIG_INJECT_NONE)
		lane_touch("secrets", keys->extra);
	keys->host_keys = guest_host_keys(inject, keys->extra, keys->directory, &keys->error);
	if (keys->host_keys && inject != CONFIG_INJECT_NONE)
		keys->message = read_message(&keys->delivery, &keys->error);
}

static void
on_delivered(void *data, const GError *late)
{
	struct keys *keys = data;
	struct world *r = keys->world;
	if (!keys_go_on(r, late, late ? NULL : keys->error))
		return;
	if (keys->authorizes)
		guix_run(r, authorize_work, on_authorized);
	else
		keys_ended(r);
}

/* Make the files that a coordinator's guest needs, and the key by which the coordinator reaches
 * it. */
static void
exchange_work(void *data)
{
	struct guix_job *job = data;
	lane_touch("Guix's", job->state);
	if (!coordinator_grant(job->coordinator, job->state, job->offload_key, &job->error))
		return;
	if (!job->guix)
		return;
	lane_touch("Guix's", job->guix);
	g_auto(GStrv) keys = coordinators_read((const char *const *)job->others, job->complaints);
	job->authorizes = signing_possible(job->guix);
	job->made = (job->authorizes || *keys || job->has_acl) &&
		    signing_make(job->guix, (const char *const *)keys, &job->signing, &job->error);
}

static void
on_exchanged(void *data, const GError *late)
{
	struct guix_job *job = data;
	struct world *r = job->world;
	if (late) {
		g_autofree char *text = g_strdup_printf(
		    "%s; it starts with the keys it has, and Guix may not be able to use it yet",
		    late->message);
		tell_hird(r, FALSE, text);
	}
	if (!keys_go_on(r, NULL, late ? NULL : job->error))
		return;
	for (guint i = 0; !late && i < job->complaints->len; i++)
		tell_hird(r, FALSE, g_ptr_array_index(job->complaints, i));
	r->keys->late = late != NULL;
	r->keys->authorizes = !late && job->made && job->authorizes;
	if (!late && job->made) {
		signing_clear(&r->keys->signing);
		r->keys->signing = job->signing;
		r->keys->signed_by = TRUE;
		job->signing = (struct signing){0};
	}
	keys_run(r, deliver_work, on_delivered);
}

static void
make_work(void *data)
{
	struct keys *keys = data;
	lane_touch("secrets", keys->spec.extra ? keys->extra : keys->directory);
	if (!secret_root_ensure(&keys->spec, &keys->error))
		return;
	if (keys->signs) {
		keys->has_acl = guest_signing_has_acl(&keys->spec);
		guest_signing_read(&keys->spec, &keys->signing, &keys->error);
	} else if (keys->spec.extra) {
		guest_signing_withdraw(&keys->spec, &keys->error);
	}
}

static void
on_made(void *data, const GError *late)
{
	struct keys *keys = data;
	struct world *r = keys->world;
	if (keys_go_on(r, late, late ? NULL : keys->error))
		guix_run(r, exchange_work, on_exchanged);
}

void
world_make_keys(struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	struct keys *keys = g_rc_box_new0(struct keys);
	gboolean deliver = guest->inject != CONFIG_INJECT_NONE;
	world_keys_abandon(r);
	keys->world = r;
	keys->name = g_strdup(guest->name);
	keys->directory = g_strdup(r->secrets);
	keys->extra = extra_of(r);
	keys->offload_key = g_strdup(r->offload_key);
	keys->user = g_strdup(guest->user);
	keys->users[0] = g_strdup(guest->admin_user);
	if (strcmp(guest->user, guest->admin_user) && guest->offloading)
		keys->users[1] = g_strdup(guest->user);
	delivery_init(&keys->delivery, r);
	keys->signs = coordinators_use(guest);
	if (keys->signs) {
		keys->shared_keys = coordinators_ssh_keys(r->host->config);
		keys->marks = coordinators_marks(r->host->config);
	}
	keys->spec =
	    (struct secret_root_spec){.name = keys->name,
				      .directory = keys->directory,
				      .extra = deliver ? keys->extra : NULL,
				      .offload_key = keys->offload_key,
				      .users = (const char *const *)keys->users,
				      .shared = keys->user,
				      .shared_keys = (const char *const *)keys->shared_keys};
	r->keys = keys;
	keys_run(r, make_work, on_made);
}

void
world_keys_abandon(struct world *r)
{
	lane_forget(r->keys_work);
	keys_end(r);
}

/* --- what an earlier start has made --- */

struct known {
	struct world *world;
	enum config_inject inject;
	char *extra, *secrets, *offload_key;
	gboolean signs; /* the guest belongs to a coordinator */
	char **host_keys, *signing_key;
};

static void
know_work(void *data)
{
	struct known *known = data;
	lane_touch("key", known->offload_key);
	if (access(known->offload_key, F_OK) < 0)
		return; /* before its first start it cannot be published */
	lane_touch("secrets", known->inject == CONFIG_INJECT_NONE ? known->extra : known->secrets);
	known->host_keys = guest_host_keys(known->inject, known->extra, known->secrets, NULL);
	if (known->signs)
		known->signing_key = guest_signing_public(known->secrets);
}

static void
on_known(void *data, const GError *late)
{
	struct known *known = data;
	struct world *r = known->world;
	if (late || !known->host_keys)
		return;
	g_strfreev(r->host_keys);
	g_free(r->signing_key);
	r->host_keys = g_steal_pointer(&known->host_keys);
	r->signing_key = g_steal_pointer(&known->signing_key);
	r->host->ops->publish(r->host->hird);
}

static void
known_free(void *data)
{
	struct known *known = data;
	g_free(known->extra);
	g_free(known->secrets);
	g_free(known->offload_key);
	g_strfreev(known->host_keys);
	g_free(known->signing_key);
	g_free(known);
}

void
world_know_keys(struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	struct known *known = g_new0(struct known, 1);
	known->world = r;
	known->inject = guest->inject;
	known->signs = guest->inject != CONFIG_INJECT_NONE && guest->offloading;
	known->extra = extra_of(r);
	known->secrets = g_strdup(r->secrets);
	known->offload_key = g_strdup(r->offload_key);
	/* The record may have the host keys. But the guest must not be published with a key that
	 * the coordinator cannot read. */
	g_free(r->coordinator_key);
	r->coordinator_key = coordinator_key(r->offload_key);
	lane_run(r->files, FILES_LIMIT, know_work, on_known, known_free, known);
}

struct reading {
	struct world *world;
	void (*then)(struct world *r);
	struct delivery delivery;
	GBytes *message;
	GError *error;
};

static void
read_work(void *data)
{
	struct reading *reading = data;
	reading->message = read_message(&reading->delivery, &reading->error);
}

static void
on_read(void *data, const GError *late)
{
	struct reading *reading = data;
	struct world *r = reading->world;
	const GError *error = late ? late : reading->error;
	r->reading = NULL;
	if (error)
		g_warning("%s: %s", guest_of(r)->name, error->message);
	else
		r->message = g_steal_pointer(&reading->message);
	reading->then(r);
}

static void
reading_free(void *data)
{
	struct reading *reading = data;
	delivery_clear(&reading->delivery);
	g_clear_pointer(&reading->message, g_bytes_unref);
	g_clear_error(&reading->error);
	g_free(reading);
}

void
world_with_secrets(struct world *r, void (*then)(struct world *r))
{
	g_clear_pointer(&r->reading, lane_forget);
	if (r->message || guest_of(r)->inject == CONFIG_INJECT_NONE) {
		then(r);
		return;
	}
	struct reading *reading = g_new0(struct reading, 1);
	reading->world = r;
	reading->then = then;
	delivery_init(&reading->delivery, r);
	r->reading = lane_run(r->files, FILES_LIMIT, read_work, on_read, reading_free, reading);
}
