/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/hird/describe.h"

#include <math.h>

#include "childhurdd/system/process.h"

#define CLOCK_STEP (100 * G_TIME_SPAN_MILLISECOND) /* less is due to reading the clocks */

void
description_clear(struct description *d)
{
	g_clear_pointer(&d->console_tail, g_strfreev);
	g_clear_pointer(&d->restart_needed, g_strfreev);
	g_clear_pointer(&d->unwritten, g_strfreev);
	g_clear_pointer(&d->known_hosts, g_free);
	g_clear_pointer(&d->failure, g_free);
	g_clear_pointer(&d->warm_off, g_free);
	g_clear_pointer(&d->why, g_free);
	g_clear_pointer(&d->phase, g_free);
}

/*
 * From monotonic milliseconds to microseconds of the wall clock as it is set now, so that times
 * stay true after the clock is set. The clocks are read one after the other, so small differences
 * are ignored, and the same moment has the same time in each answer.
 */
static gint64
wall(gint64 at)
{
	static gint64 ahead;
	gint64 now_ahead = g_get_real_time() - g_get_monotonic_time();
	if (ABS(now_ahead - ahead) >= CLOCK_STEP)
		ahead = now_ahead;
	return at < 0 ? 0 : at * 1000 + ahead;
}

static void
describe_health(const struct world *r, struct description *d, struct control_guest *guest)
{
	const struct health_report *health = world_health(r);
	guest->skew = guest->skew_within = guest->load = NAN;
	guest->disk_free = guest->store_free = -1;
	if (!health)
		return;
	guest->probed = wall(health->probed);
	guest->skew = health->skew;
	guest->skew_within = isnan(health->skew) ? NAN : health->skew_within;
	guest->load = health->load;
	guest->disk_free = health->disk_free;
	guest->store_free = health->store_free;
	guest->banner = health->banner;
	guest->steps = d->steps;
	for (enum health_step s = 0; s < N_HEALTH_STEPS; s++)
		if (health->results[s])
			d->steps[guest->n_steps++] = (struct control_step){
			    health_step_name(s), health->results[s], health->ms[s]};
}

/* What it waits for, and what is seen meanwhile. Caller frees; NULL: nothing. */
static char *
phase(const struct world *r)
{
	const struct childhurd *c = world_childhurd(r);
	g_autoptr(GStrvBuilder) parts = g_strv_builder_new();
	g_autofree char *complaint = world_complaint(r), *file = world_waits_for(r);
	g_autofree char *console = g_strconcat("its console: ", complaint, NULL);
	g_autofree char *waits = g_strconcat("waits for ", file, NULL);
	if (c->phase)
		g_strv_builder_add(parts, c->phase);
	if (file)
		g_strv_builder_add(parts, waits);
	if (complaint)
		g_strv_builder_add(parts, console);
	g_auto(GStrv) all = g_strv_builder_end(parts);
	return *all ? g_strjoinv("; ", all) : NULL;
}

/* Why it boots at each start, and what to do. Caller frees; NULL: it need not. */
static char *
warm_off(const struct childhurd *c)
{
	if (c->config->warm_start == CONFIG_WARM_START_NO)
		return g_strdup("warm-start = no");
	if (c->unsavable)
		return g_strdup_printf("a save ended its QEMU, or had no end; childhurdctl %s %s",
				       childhurd_warm_cure(c), c->config->name);
	if (c->warm_failures < WARM_TRIES)
		return NULL;
	return g_strdup_printf("%d warm starts in a row failed; childhurdctl %s %s",
			       c->warm_failures, childhurd_warm_cure(c), c->config->name);
}

/* What of the configuration waits for its next start. Caller frees with g_strfreev. */
static char **
waiting(const struct world *r)
{
	g_auto(GStrv) keys = world_restart_needed(r), names = world_coordinators_wait(r);
	g_autoptr(GStrvBuilder) all = g_strv_builder_new();
	if (keys)
		g_strv_builder_addv(all, (const char **)keys);
	for (char **name = names; *name; name++) {
		g_autofree char *text = g_strconcat("coordinator ", *name, NULL);
		g_strv_builder_add(all, text);
	}
	return g_strv_builder_end(all);
}

void
describe(const struct host *host, const struct world *r, gboolean details, struct description *d,
	 struct control_guest *guest)
{
	struct childhurd *c = world_childhurd(r);
	const struct config_guest *config = c->config;
	description_clear(d);
	d->known_hosts = g_build_filename(host->config->runtime_directory, "known_hosts", NULL);
	gboolean unsaid = c->drained && c->state != STATE_DRAINING;
	d->why = unsaid && c->why ? g_strconcat("drained; ", c->why, NULL)
				  : g_strdup(unsaid ? "drained" : c->why);
	d->phase = phase(r);
	*guest = (struct control_guest){
	    .name = config->name,
	    .state = state_name(c->state),
	    .since = wall(c->since),
	    .why = d->why,
	    .phase = d->phase,
	    .published = childhurd_published(c) && config->offloading,
	    .autostart = config->autostart == CONFIG_AUTOSTART_YES,
	    .autostart_asleep = config->autostart == CONFIG_AUTOSTART_ASLEEP,
	    .listen_address = config->listen_address,
	    .ssh_port = config->ssh_port,
	    .taken_over = c->taken_over,
	    .drained = c->drained && !c->winding_down,
	    .persistent = config->disk == CONFIG_DISK_PERSISTENT,
	    .builds = c->ops->builds(c),
	    .slots = config->offloading ? config->parallel_builds : 0,
	    .memory = world_memory(r),
	    .restarts = c->restarts,
	    .next_try = c->state == STATE_BACKOFF ? wall(c->deadline) : 0,
	    .deadline = c->state == STATE_BACKOFF ? 0 : wall(c->deadline),
	    .pid = world_qemu(r)->pid,
	    .acceleration = world_acceleration(r),
	    .admin_user = config->admin_user,
	    .user = config->user,
	    .private_key = world_private_key(r),
	    .known_hosts = d->known_hosts,
	    .host_keys = (const char *const *)world_host_keys(r),
	    .console_log = world_console_log(r),
	    .warm_saved = world_warm_saved(r),
	};
	guest->warm_off = d->warm_off = warm_off(c);
	describe_health(r, d, guest);
	struct process_look look;
	guest->cpu = details && guest->pid && process_look(guest->pid, &look) ? look.cpu : -1;
	if (details) {
		d->console_tail = world_console_tail(r, DESCRIBE_CONSOLE_LINES);
		guest->console_tail = d->console_tail;
		d->restart_needed = waiting(r);
		guest->restart_needed = d->restart_needed;
		d->unwritten = world_unwritten(r);
		guest->unwritten = d->unwritten;
		guest->failure = d->failure = world_failure(r);
		guest->record_damage = world_last_record(r)->damage;
	}
}
