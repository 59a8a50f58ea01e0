/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Applies a new configuration while the guests run: all of it, or nothing. A dry run goes the same
 * way, says the same, and changes nothing.
 */
#include "childhurdd/hird/hird_internal.h"
#include "childhurdd/qemu/image.h"
#include "childhurdd/system/notify.h"
#include "childhurdd/world/coordinators.h"

static void
message(GPtrArray *messages, const char *name, const char *what)
{
	g_ptr_array_add(messages, g_strdup_printf("%s: %s", name, what));
}

static void
remove_missing(struct hird *h, const struct config *config, gboolean dry, GPtrArray *messages)
{
	for (guint i = h->roster.worlds->len; i-- > 0;) {
		struct world *r = g_ptr_array_index(h->roster.worlds, i);
		struct childhurd *c = world_childhurd(r);
		if (config_find_guest(config, c->config->name))
			continue;
		message(messages, c->config->name, "removed; it is stopped when no build runs");
		if (dry)
			continue;
		g_ptr_array_steal_index(h->roster.worlds, i);
		g_ptr_array_add(h->roster.removed, r);
		childhurd_event(c, EVENT_STOP, "no longer configured");
	}
}

/* Take the world of that name from the guests that were no longer configured; NULL: none. */
static struct world *
bring_back(struct hird *h, const char *name)
{
	for (guint i = 0; i < h->roster.removed->len; i++) {
		struct world *r = g_ptr_array_index(h->roster.removed, i);
		if (!strcmp(world_childhurd(r)->config->name, name))
			return g_ptr_array_steal_index(h->roster.removed, i);
	}
	return NULL;
}

static void
tell_keys(GPtrArray *messages, const char *name, char **keys, gboolean restart)
{
	g_autofree char *list = g_strjoinv(", ", keys);
	g_autofree char *what = g_strdup_printf(
	    "changed: %s%s", list, restart ? "; it is restarted when no build runs" : "");
	if (*keys)
		message(messages, name, what);
}

static void
configure(struct world *r, const struct config_guest *guest, GPtrArray *messages)
{
	g_auto(GStrv) keys = world_configure(r, guest);
	g_auto(GStrv) waiting = world_restart_needed(r);
	tell_keys(messages, guest->name, keys, waiting != NULL);
}

/* What add_and_change would say. */
static void
foresee_guests(const struct hird *h, const struct config *config, GPtrArray *messages)
{
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		const struct world *r = roster_find_any(&h->roster, guest->name);
		gboolean restart = FALSE;
		g_auto(GStrv) keys = r ? world_differences(r, guest, &restart) : NULL;
		if (keys)
			tell_keys(messages, guest->name, keys, restart);
		if (!roster_find(&h->roster, guest->name))
			message(messages, guest->name, "added");
	}
}

static void
add_and_change(struct hird *h, const struct config *config, GPtrArray *messages)
{
	GPtrArray *worlds = g_ptr_array_new();
	g_autoptr(GPtrArray) fresh = g_ptr_array_new();
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		struct world *r = roster_find(&h->roster, guest->name);
		if (r) {
			configure(r, guest, messages);
		} else {
			r = bring_back(h, guest->name);
			if (r)
				configure(r, guest, messages);
			else
				r = world_new(&h->host, guest);
			g_ptr_array_add(fresh, r);
			message(messages, guest->name, "added");
		}
		g_ptr_array_add(worlds, r);
	}
	g_ptr_array_unref(h->roster.worlds);
	h->roster.worlds = worlds;
	for (guint i = 0; i < fresh->len; i++) {
		struct childhurd *c = world_childhurd(g_ptr_array_index(fresh, i));
		if (c->config->autostart != CONFIG_AUTOSTART_NO)
			childhurd_event(c,
					c->config->autostart == CONFIG_AUTOSTART_ASLEEP
					    ? EVENT_SLEEP
					    : EVENT_START,
					"added to the configuration");
	}
}

static void
refuse_change(GPtrArray *messages, const char *key, const char *old, char **wanted)
{
	if (g_strcmp0(old, *wanted) == 0)
		return;
	g_ptr_array_add(messages,
			g_strdup_printf("[daemon] %s: stays %s until the daemon is restarted", key,
					old ? old : "as it is"));
	g_free(*wanted);
	*wanted = g_strdup(old);
}

static void
tell_change(GPtrArray *messages, const char *key, const char *old, const char *wanted,
	    const char *none)
{
	if (g_strcmp0(old, wanted))
		message(messages, key, wanted ? wanted : none);
}

/* "90d"; caller frees. */
static char *
duration_text(gint64 ms)
{
	return ms % 86400000 ? g_strdup_printf("%" G_GINT64_FORMAT "s", ms / 1000)
			     : g_strdup_printf("%" G_GINT64_FORMAT "d", ms / 86400000);
}

/* What takes effect by itself. */
static void
tell_changes(GPtrArray *messages, const struct config *old, const struct config *wanted)
{
	g_autofree char *before = g_strdup_printf("%d", old->parallel_starts);
	g_autofree char *starts = g_strdup_printf("%d", wanted->parallel_starts);
	tell_change(messages, "parallel-starts", before, starts, NULL);
	tell_change(messages, "coordinator-user", old->coordinator_user, wanted->coordinator_user,
		    "found out");
	tell_change(messages, "guix-configuration-directory", old->guix_configuration_directory,
		    wanted->guix_configuration_directory, NULL);
	tell_change(messages, "metrics-file", old->metrics_file, wanted->metrics_file, "none");
	g_autofree char *kept = duration_text(old->history);
	g_autofree char *keep = duration_text(wanted->history);
	tell_change(messages, "history", kept, keep, NULL);
}

/* --- coordinators elsewhere --- */

/* The running guests that have other keys of that coordinator, ", " between them. Caller frees;
 * NULL: none. */
static char *
guests_waiting(const struct hird *h, const char *name)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (guint i = 0; i < h->roster.worlds->len; i++) {
		const struct world *r = g_ptr_array_index(h->roster.worlds, i);
		g_auto(GStrv) names = world_coordinators_wait(r);
		if (g_strv_contains((const char *const *)names, name))
			g_strv_builder_add(builder, world_childhurd(r)->config->name);
	}
	g_auto(GStrv) guests = g_strv_builder_end(builder);
	return *guests ? g_strjoinv(", ", guests) : NULL;
}

/* What follows from a change, with the guests that it is about. In a dry run no guest has its new
 * configuration yet, so they are not known. */
static void
tell_coordinator(const struct hird *h, GPtrArray *messages, const char *name, gboolean was,
		 gboolean is, gboolean dry)
{
	const char *what = !is ? "taken away" : was ? "changed" : "added";
	const char *meanwhile = !is   ? "its key is in the guests until their next start"
				: was ? "the guests have its earlier keys until their next start"
				      : "the guests let it in from their next start on";
	g_autofree char *guests = dry ? NULL : guests_waiting(h, name);
	if (guests)
		g_ptr_array_add(messages, g_strdup_printf("coordinator %s: %s; %s: %s", name, what,
							  meanwhile, guests));
	else
		g_ptr_array_add(messages, g_strdup_printf("coordinator %s: %s", name, what));
}

/* Keys in a running guest stay. But for a dry run, all guests have their new configuration. */
static void
tell_coordinators(const struct hird *h, GPtrArray *messages, char **before,
		  const struct config *config, gboolean dry)
{
	g_auto(GStrv) now = coordinators_marks(config);
	g_auto(GStrv) names = coordinators_differences(before, now);
	for (char **name = names; *name; name++)
		tell_coordinator(h, messages, *name, coordinators_have(before, *name),
				 coordinators_have(now, *name), dry);
}

/* --- reading it --- */

/* A guest of the present configuration, and its files. */
struct present {
	char *name;
	char **files;
	char *image_format;
	gint64 disk_size;
};

struct load {
	struct hird *hird;
	hird_reload_fn done;
	void *data;
	gboolean dry;
	char *file, *control_group;
	const struct qemu_user *user;
	GArray *present;     /* of struct present */
	GPtrArray *messages; /* of char * */
	struct config *config;
	struct control_groups groups;
};

/* Image, kernel and modules; caller frees with g_strfreev. */
static char **
files_of(const struct config_guest *guest)
{
	g_autoptr(GStrvBuilder) files = g_strv_builder_new();
	if (guest->image)
		g_strv_builder_add(files, guest->image);
	if (guest->kernel)
		g_strv_builder_add(files, guest->kernel);
	for (guint i = 0; i < guest->modules->len; i++) {
		const struct config_module *module = g_ptr_array_index(guest->modules, i);
		g_strv_builder_add(files, module->file);
	}
	return g_strv_builder_end(files);
}

static void
present_clear(void *data)
{
	struct present *present = data;
	g_free(present->name);
	g_strfreev(present->files);
	g_free(present->image_format);
}

static const struct present *
present_find(const struct load *load, const char *name)
{
	for (guint i = 0; i < load->present->len; i++) {
		const struct present *present = &g_array_index(load->present, struct present, i);
		if (!strcmp(present->name, name))
			return present;
	}
	return NULL;
}

static gboolean
is_new(const struct present *present, const char *file)
{
	return !g_strv_contains((const char *const *)present->files, file);
}

/* A guest that runs is restarted for a new image, kernel or module, so QEMU must be able to read
 * the new file. For a guest that is new itself, its start reports errors. */
static gboolean
file_is_there(struct load *load, const struct config_guest *guest, const char *what,
	      const char *file)
{
	const struct present *present = present_find(load, guest->name);
	g_autoptr(GError) error = NULL;
	if (!file || !present || !is_new(present, file))
		return TRUE;
	lane_touch(what, file);
	if (qemu_user_may_read(load->user, what, file, &error))
		return TRUE;
	message(load->messages, guest->name, error->message);
	return FALSE;
}

/* ... and a disk can be made of the image. */
static gboolean
image_is_good(struct load *load, const struct config_guest *guest)
{
	const struct present *present = present_find(load, guest->name);
	g_autoptr(GError) error = NULL;
	struct image image = {0};
	if (!guest->image || !present ||
	    (!is_new(present, guest->image) && present->disk_size == guest->disk_size &&
	     !g_strcmp0(present->image_format, guest->image_format)))
		return TRUE;
	lane_touch("image", guest->image);
	gboolean good =
	    image_probe_for(guest->image, guest->image_format, guest->disk_size, &image, &error);
	if (!good)
		message(load->messages, guest->name, error->message);
	image_clear(&image);
	return good;
}

static gboolean
files_are_there(struct load *load, const struct config *config)
{
	gboolean good = TRUE;
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		good &=
		    file_is_there(load, guest, "image", guest->image) && image_is_good(load, guest);
		good &= file_is_there(load, guest, "kernel", guest->kernel);
		for (guint m = 0; m < guest->modules->len; m++) {
			const struct config_module *module = g_ptr_array_index(guest->modules, m);
			good &= file_is_there(load, guest, "module", module->file);
		}
	}
	return good;
}

static void
load_work(void *data)
{
	struct load *load = data;
	lane_touch("group database", "/etc/group");
	load->groups = control_groups_find(load->control_group);
	lane_touch("configuration", load->file);
	struct config *config = config_load(load->file, load->messages);
	if (!config)
		return;
	config_resolve(config);
	char *missing = config_missing(config);
	if (missing)
		g_ptr_array_add(load->messages, missing);
	if (missing || !files_are_there(load, config)) {
		config_free(config);
		return;
	}
	g_auto(GStrv) keys = coordinators_signing_keys(config);
	g_strfreev(coordinators_read((const char *const *)keys, load->messages));
	load->config = config;
}

static void
load_free(void *data)
{
	struct load *load = data;
	g_free(load->file);
	g_free(load->control_group);
	g_array_unref(load->present);
	g_clear_pointer(&load->messages, g_ptr_array_unref);
	if (load->config)
		config_free(load->config);
	g_free(load);
}

/* --- applying it --- */

/* What stays as it is, whatever config says, is changed back there. */
static void
refuse_changes(GPtrArray *messages, const struct config *old, struct config *config)
{
	refuse_change(messages, "uri", old->uri, &config->uri);
	refuse_change(messages, "state-directory", old->state_directory, &config->state_directory);
	refuse_change(messages, "runtime-directory", old->runtime_directory,
		      &config->runtime_directory);
	refuse_change(messages, "control-group", old->control_group, &config->control_group);
	refuse_change(messages, "qemu-user", old->qemu_user, &config->qemu_user);
	/* These identify running builds. */
	refuse_change(messages, "host-name", old->host_name, &config->host_name);
	refuse_change(messages, "guix-state-directory", old->guix_state_directory,
		      &config->guix_state_directory);
}

static void
foresee(struct hird *h, struct config *config, GPtrArray *messages)
{
	g_auto(GStrv) coordinators = coordinators_marks(h->config);
	refuse_changes(messages, h->config, config);
	tell_changes(messages, h->config, config);
	remove_missing(h, config, TRUE, messages);
	foresee_guests(h, config, messages);
	nodes_foresee(h->nodes, config, messages);
	tell_coordinators(h, messages, coordinators, config, TRUE);
	if (!messages->len)
		g_ptr_array_add(messages, g_strdup("nothing would change"));
}

static void
apply(struct hird *h, struct config *config, GPtrArray *messages)
{
	struct config *old = h->config;
	g_auto(GStrv) coordinators = coordinators_marks(old);
	refuse_changes(messages, old, config);
	h->host.config = h->config = config;
	tell_changes(messages, old, config);
	metrics_file_set(h->metrics_file, config->metrics_file);
	chronicle_keep(h->chronicle, config->history);
	selfcheck_loaded(h->selfcheck, config);
	remove_missing(h, config, FALSE, messages);
	add_and_change(h, config, messages);
	nodes_configure(h->nodes, config, messages);
	tell_coordinators(h, messages, coordinators, config, FALSE);
	config_free(old); /* each of its guests stays for as long as something uses it */
	hird_publish(h);
	starts_look_soon(h->starts);
	if (!messages->len)
		g_ptr_array_add(messages, g_strdup("nothing has changed"));
	ev_timer_start(h->host.loop, &h->tend);
}

/* The result of a reload, which is reported once it is published. */
struct outcome {
	gboolean applied;
	char **messages;
	hird_reload_fn done;
	void *data;
};

static void
outcome_free(void *data)
{
	struct outcome *outcome = data;
	g_strfreev(outcome->messages);
	g_free(outcome);
}

static void
on_reload_published(struct hird *h, void *data)
{
	const struct outcome *outcome = data;
	h->reloading--;
	if (h->opened && !h->reloading)
		notify_send("READY=1");
	if (outcome->done)
		outcome->done(outcome->applied, (const char *const *)outcome->messages,
			      outcome->data);
}

/* messages: of char *; taken. */
static void
finish(const struct load *load, gboolean applied, GPtrArray *messages)
{
	struct outcome *outcome = g_new(struct outcome, 1);
	g_ptr_array_add(messages, NULL);
	*outcome = (struct outcome){applied, (char **)g_ptr_array_steal(messages, NULL), load->done,
				    load->data};
	g_ptr_array_unref(messages);
	for (char **message = outcome->messages; *message; message++)
		g_log(G_LOG_DOMAIN, applied ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_WARNING,
		      "reload: %s", *message);
	if (!applied)
		g_warning("reload: nothing was changed");
	hird_after_publishing(load->hird, on_reload_published, outcome_free, outcome);
}

/* A dry run is over: nobody but the client that asked hears of it. messages: of char *; taken. */
static void
finish_dry(const struct load *load, gboolean good, GPtrArray *messages)
{
	g_ptr_array_add(messages, NULL);
	load->done(good, (const char *const *)messages->pdata, load->data);
	g_ptr_array_unref(messages);
}

/* An empty file is most likely an accident, and would stop all guests. NULL: there is no reason to
 * refuse this configuration; the caller frees. */
static char *
refusal(const struct hird *h, const struct config *config)
{
	guint up = 0;
	if (!h->listed)
		return g_strdup("the hypervisor does not answer yet; nothing was changed");
	for (guint i = 0; i < h->roster.worlds->len; i++) {
		const struct childhurd *c = world_childhurd(g_ptr_array_index(h->roster.worlds, i));
		up += c->want_up || childhurd_has_qemu(c);
	}
	if (config->guests->len || !up)
		return NULL;
	return g_strdup_printf("%s: it has no guest, which would stop all (%u); nothing was "
			       "changed; if that is wanted: childhurdctl stop --all --wait, and "
			       "then reload",
			       config->file, up);
}

static void
on_loaded(void *data, const GError *late)
{
	struct load *load = data;
	struct hird *h = load->hird;
	void (*end)(const struct load *, gboolean, GPtrArray *) = load->dry ? finish_dry : finish;
	if (late) {
		GPtrArray *messages = g_ptr_array_new_with_free_func(g_free);
		g_ptr_array_add(messages, g_strdup(late->message));
		end(load, FALSE, messages);
		return;
	}
	char *why = load->config ? refusal(h, load->config) : NULL;
	gboolean good = load->config && !why;
	g_autoptr(GError) error = NULL;
	if (why)
		g_ptr_array_add(load->messages, why);
	else if (good && load->dry)
		foresee(h, load->config, load->messages);
	else if (good)
		apply(h, g_steal_pointer(&load->config), load->messages);
	if (!load->dry && h->control && !control_share(h->control, load->groups, &error))
		g_ptr_array_add(load->messages, g_strdup(error->message));
	end(load, good, g_steal_pointer(&load->messages));
}

static void
add_present(GArray *present, GPtrArray *worlds)
{
	for (guint i = 0; i < worlds->len; i++) {
		const struct childhurd *c = world_childhurd(g_ptr_array_index(worlds, i));
		struct present guest = {.name = g_strdup(c->config->name),
					.files = files_of(c->config),
					.image_format = g_strdup(c->config->image_format),
					.disk_size = c->config->disk_size};
		g_array_append_val(present, guest);
	}
}

static void
load_begin(struct hird *h, gboolean dry, hird_reload_fn done, void *data)
{
	const struct config *old = h->host.config;
	struct load *load = g_new0(struct load, 1);
	load->hird = h;
	load->done = done;
	load->data = data;
	load->dry = dry;
	load->file = g_strdup(old->file);
	load->control_group = g_strdup(old->control_group);
	load->user = h->host.qemu_user;
	load->messages = g_ptr_array_new_with_free_func(g_free);
	load->present = g_array_new(FALSE, FALSE, sizeof(struct present));
	g_array_set_clear_func(load->present, present_clear);
	add_present(load->present, h->roster.worlds);
	lane_run(h->loads, RELOAD_LIMIT, load_work, on_loaded, load_free, load);
}

void
hird_reload(struct hird *h, hird_reload_fn done, void *data)
{
	/* If the daemon is not ready yet, the READY=1 at the end would come too early. */
	if (h->opened)
		notify_reloading();
	h->reloading++;
	/* Deleted files are written again even if the configuration has errors. */
	if (h->listed)
		hird_publish(h);
	hird_renew(h);
	load_begin(h, FALSE, done, data);
}

void
hird_foresee(struct hird *h, hird_reload_fn done, void *data)
{
	load_begin(h, TRUE, done, data);
}
