/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Applies a new configuration while the guests run: all of it, or nothing. */
#include "childhurdd/hird/hird_internal.h"
#include "childhurdd/system/notify.h"

static void
message(GPtrArray *messages, const char *name, const char *what)
{
	g_ptr_array_add(messages, g_strdup_printf("%s: %s", name, what));
}

static void
remove_missing(struct hird *h, const struct config *config, GPtrArray *messages)
{
	for (guint i = h->roster.worlds->len; i-- > 0;) {
		struct world *r = g_ptr_array_index(h->roster.worlds, i);
		struct childhurd *c = world_childhurd(r);
		if (config_find_guest(config, c->config->name))
			continue;
		message(messages, c->config->name, "removed; it is stopped when no build runs");
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
configure(struct world *r, const struct config_guest *guest, GPtrArray *messages)
{
	g_auto(GStrv) keys = world_configure(r, guest);
	g_auto(GStrv) waiting = world_restart_needed(r);
	g_autofree char *list = g_strjoinv(", ", keys);
	g_autofree char *what = g_strdup_printf(
	    "changed: %s%s", list, waiting ? "; it is restarted when no build runs" : "");
	if (*keys)
		message(messages, guest->name, what);
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
		if (c->config->autostart)
			childhurd_event(c, EVENT_START, "added to the configuration");
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

/* --- reading it --- */

/* A guest of the present configuration, and its files. */
struct present {
	char *name;
	char **files;
};

struct load {
	struct hird *hird;
	hird_reload_fn done;
	void *data;
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

/* A guest that runs is restarted for a new image, kernel or module, so QEMU must be able to read
 * the new file. For a guest that is new itself, its start reports errors. */
static gboolean
file_is_there(struct load *load, const struct config_guest *guest, const char *what,
	      const char *file)
{
	const struct present *present = present_find(load, guest->name);
	g_autoptr(GError) error = NULL;
	if (!file || !present || g_strv_contains((const char *const *)present->files, file))
		return TRUE;
	lane_touch(what, file);
	if (qemu_user_may_read(load->user, what, file, &error))
		return TRUE;
	message(load->messages, guest->name, error->message);
	return FALSE;
}

static gboolean
files_are_there(struct load *load, const struct config *config)
{
	gboolean good = TRUE;
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		good &= file_is_there(load, guest, "image", guest->image);
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
	load->config = config;
}

static void
load_free(void *data)
{
	struct load *load = data;
	g_free(load->file);
	g_free(load->control_group);
	g_array_unref(load->present);
	g_ptr_array_unref(load->messages);
	if (load->config)
		config_free(load->config);
	g_free(load);
}

/* --- applying it --- */

static void
apply(struct hird *h, struct config *config, GPtrArray *messages)
{
	struct config *old = h->config;
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
	h->host.config = h->config = config;
	if (g_strcmp0(old->metrics_file, config->metrics_file))
		message(messages, "metrics-file",
			config->metrics_file ? config->metrics_file : "none");
	metrics_file_set(h->metrics_file, config->metrics_file);
	selfcheck_loaded(h->selfcheck, config);
	remove_missing(h, config, messages);
	add_and_change(h, config, messages);
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
	GPtrArray *messages;
	hird_reload_fn done;
	void *data;
};

static void
outcome_free(void *data)
{
	struct outcome *outcome = data;
	g_ptr_array_unref(outcome->messages);
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
		outcome->done(outcome->applied, outcome->messages, outcome->data);
}

static void
finish(const struct load *load, gboolean applied, GPtrArray *messages)
{
	struct outcome *outcome = g_new(struct outcome, 1);
	*outcome = (struct outcome){applied, g_ptr_array_ref(messages), load->done, load->data};
	for (guint i = 0; i < messages->len; i++)
		g_log(G_LOG_DOMAIN, applied ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_WARNING,
		      "reload: %s", (const char *)g_ptr_array_index(messages, i));
	if (!applied)
		g_warning("reload: nothing was changed");
	hird_after_publishing(load->hird, on_reload_published, outcome_free, outcome);
}

static void
on_loaded(void *data, const GError *late)
{
	struct load *load = data;
	struct hird *h = load->hird;
	if (late) {
		g_autoptr(GPtrArray) messages = g_ptr_array_new_with_free_func(g_free);
		g_ptr_array_add(messages, g_strdup(late->message));
		finish(load, FALSE, messages);
		return;
	}
	gboolean good = load->config != NULL && h->listed;
	g_autoptr(GError) error = NULL;
	if (load->config && !h->listed)
		g_ptr_array_add(
		    load->messages,
		    g_strdup("the hypervisor does not answer yet; nothing was changed"));
	else if (good)
		apply(h, g_steal_pointer(&load->config), load->messages);
	if (h->control && !control_share(h->control, load->groups, &error))
		g_ptr_array_add(load->messages, g_strdup(error->message));
	finish(load, good, load->messages);
}

static void
add_present(GArray *present, GPtrArray *worlds)
{
	for (guint i = 0; i < worlds->len; i++) {
		const struct childhurd *c = world_childhurd(g_ptr_array_index(worlds, i));
		struct present guest = {g_strdup(c->config->name), files_of(c->config)};
		g_array_append_val(present, guest);
	}
}

void
hird_reload(struct hird *h, hird_reload_fn done, void *data)
{
	const struct config *old = h->host.config;
	struct load *load = g_new0(struct load, 1);
	/* If the daemon is not ready yet, the READY=1 at the end would come too early. */
	if (h->opened)
		notify_reloading();
	h->reloading++;
	/* Deleted files are written again even if the configuration has errors. */
	if (h->listed)
		hird_publish(h);
	hird_renew(h);
	load->hird = h;
	load->done = done;
	load->data = data;
	load->file = g_strdup(old->file);
	load->control_group = g_strdup(old->control_group);
	load->user = h->host.qemu_user;
	load->messages = g_ptr_array_new_with_free_func(g_free);
	load->present = g_array_new(FALSE, FALSE, sizeof(struct present));
	g_array_set_clear_func(load->present, present_clear);
	add_present(load->present, h->roster.worlds);
	lane_run(h->loads, RELOAD_LIMIT, load_work, on_loaded, load_free, load);
}
