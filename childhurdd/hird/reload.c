/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Another configuration while the guests run: all of it or nothing. */
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
	for (guint i = h->runners->len; i-- > 0;) {
		struct runner *r = g_ptr_array_index(h->runners, i);
		struct childhurd *c = runner_childhurd(r);
		if (config_find_guest(config, c->config->name))
			continue;
		message(messages, c->config->name, "removed; it is stopped when no build runs");
		g_ptr_array_steal_index(h->runners, i);
		g_ptr_array_add(h->removed, r);
		childhurd_event(c, EVENT_STOP, "no longer configured");
	}
}

/* The runner of that name among those on their way out, taken from them. */
static struct runner *
bring_back(struct hird *h, const char *name)
{
	for (guint i = 0; i < h->removed->len; i++) {
		struct runner *r = g_ptr_array_index(h->removed, i);
		if (!strcmp(runner_childhurd(r)->config->name, name))
			return g_ptr_array_steal_index(h->removed, i);
	}
	return NULL;
}

static void
configure(struct runner *r, const struct config_guest *guest, GPtrArray *messages)
{
	g_auto(GStrv) keys = runner_configure(r, guest);
	g_auto(GStrv) waiting = runner_restart_needed(r);
	g_autofree char *list = g_strjoinv(", ", keys);
	g_autofree char *what = g_strdup_printf(
	    "changed: %s%s", list, waiting ? "; it is restarted when no build runs" : "");
	if (*keys)
		message(messages, guest->name, what);
}

static void
add_and_change(struct hird *h, const struct config *config, GPtrArray *messages)
{
	GPtrArray *runners = g_ptr_array_new();
	g_autoptr(GPtrArray) fresh = g_ptr_array_new();
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		struct runner *r = hird_find(h, guest->name);
		if (r) {
			configure(r, guest, messages);
		} else {
			r = bring_back(h, guest->name);
			if (r)
				configure(r, guest, messages);
			else
				r = runner_new(&h->host, guest);
			g_ptr_array_add(fresh, r);
			message(messages, guest->name, "added");
		}
		g_ptr_array_add(runners, r);
	}
	g_ptr_array_unref(h->runners);
	h->runners = runners;
	for (guint i = 0; i < fresh->len; i++) {
		struct childhurd *c = runner_childhurd(g_ptr_array_index(fresh, i));
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
					old ? old : "what it was found to be"));
	g_free(*wanted);
	*wanted = g_strdup(old);
}

/* A guest that is up is restarted for another image or kernel: not for one that it cannot have. */
static gboolean
files_are_there(struct hird *h, const struct config *config, GPtrArray *messages)
{
	gboolean good = TRUE;
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		const struct runner *r = hird_find(h, guest->name);
		const struct config_guest *old = r ? runner_childhurd(r)->config : guest;
		const struct {
			const char *what, *before, *now;
		} files[] = {{"image", old->image, guest->image},
			     {"kernel", old->kernel, guest->kernel}};
		for (gsize f = 0; f < G_N_ELEMENTS(files); f++) {
			g_autoptr(GError) error = NULL;
			if (!files[f].now || !g_strcmp0(files[f].before, files[f].now) ||
			    qemu_user_may_read(h->host.qemu_user, files[f].what, files[f].now,
					       &error))
				continue;
			message(messages, guest->name, error->message);
			good = FALSE;
		}
	}
	return good;
}

static gboolean
reload(struct hird *h, GPtrArray *messages)
{
	const struct config *old = h->host.config;
	/* What somebody deleted comes back, whatever is to be said of the configuration. */
	if (h->listed)
		hird_publish(h);
	hird_renew(h);
	if (!h->listed) {
		g_ptr_array_add(
		    messages, g_strdup("the hypervisor does not answer yet; nothing was changed"));
		return FALSE;
	}
	struct config *config = config_load(old->file, messages);
	if (!config)
		return FALSE;
	config_resolve(config);
	char *missing = config_missing(config);
	if (missing) {
		g_ptr_array_add(messages, missing);
		config_free(config);
		return FALSE;
	}
	if (!files_are_there(h, config, messages)) {
		config_free(config);
		return FALSE;
	}
	refuse_change(messages, "uri", old->uri, &config->uri);
	refuse_change(messages, "state-directory", old->state_directory, &config->state_directory);
	refuse_change(messages, "runtime-directory", old->runtime_directory,
		      &config->runtime_directory);
	refuse_change(messages, "control-group", old->control_group, &config->control_group);
	refuse_change(messages, "qemu-user", old->qemu_user, &config->qemu_user);
	/* Running builds are known by these. */
	refuse_change(messages, "host-name", old->host_name, &config->host_name);
	refuse_change(messages, "guix-state-directory", old->guix_state_directory,
		      &config->guix_state_directory);
	g_ptr_array_add(h->configs, config);
	h->host.config = config;
	if (g_strcmp0(old->metrics_file, config->metrics_file))
		message(messages, "metrics-file",
			config->metrics_file ? config->metrics_file : "none");
	metrics_file_set(h->metrics_file, config->metrics_file);
	selfcheck_loaded(h->selfcheck, config);
	remove_missing(h, config, messages);
	add_and_change(h, config, messages);
	hird_publish(h);
	starts_look_soon(h->starts);
	if (!messages->len)
		g_ptr_array_add(messages, g_strdup("nothing has changed"));
	ev_timer_start(h->host.loop, &h->tend);
	return TRUE;
}

gboolean
hird_reload(struct hird *h, GPtrArray *messages)
{
	/* Who is not ready yet would be with the READY=1 at the end. */
	if (h->opened)
		notify_reloading();
	g_autoptr(GError) error = NULL;
	gboolean done = reload(h, messages);
	if (h->control && !control_share(h->control, &error))
		g_ptr_array_add(messages, g_strdup(error->message));
	if (h->opened)
		notify_send("READY=1");
	for (guint i = 0; i < messages->len; i++)
		g_log(G_LOG_DOMAIN, done ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_WARNING, "reload: %s",
		      (const char *)g_ptr_array_index(messages, i));
	if (!done)
		g_warning("reload: nothing was changed");
	return done;
}
