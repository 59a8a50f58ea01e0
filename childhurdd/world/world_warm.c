/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's warm state: the calls of struct world_ops that save it and load it, and its part in a
 * start. qemu/warm.c knows where the state is, and what it depends on.
 *
 * Before a state is used, the guest's secrets are made as for any start, and compared with those of
 * the save. So a key that the coordinator has got meanwhile is delivered, by a boot.
 */
#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/forwards.h"
#include "childhurdd/qemu/warm.h"
#include "childhurdd/world/prepare_command.h"
#include "childhurdd/world/world_internal.h"

struct warm_life {
	enum warm known; /* WARM_FITS: there is one, or nobody has looked yet */
	gint64 saved;	 /* s since 1970; 0: there is none, or nobody has looked yet */
	struct lane_job *look;
	struct warm_record record; /* the one that a start or a restore found */
	gboolean reload;	   /* a restore waits for the keys */
	gboolean stands;	   /* it may stand still for a save */
	struct warm_job *job;
	struct warm_job *consuming;  /* before QEMU starts from it */
	struct warm_job *forgetting; /* goes on whatever else happens to the guest */
	struct forwards *forwards;
	struct prepare_command *command;
	char *problem; /* why a save failed that is being undone */
};

static gboolean
is_persistent(const struct world *r)
{
	return guest_of(r)->disk == CONFIG_DISK_PERSISTENT;
}

static void
know(struct world *r, enum warm known, gint64 saved)
{
	struct warm_life *w = r->warm;
	g_clear_pointer(&w->look, lane_forget);
	w->known = known;
	w->saved = saved;
}

static void
job_end(struct warm_job **job)
{
	warm_job_free(*job);
	*job = NULL;
}

/* --- what a state depends on --- */

static struct warm_place
place_of(const struct world *r)
{
	return (struct warm_place){
	    .loop = r->host->loop, .lane = r->files, .hypervisor = r->host->hypervisor};
}

/* A digest of all that is put into the guest; coordinators: the marks of those whose keys it has.
 * Its secret root may have been made anew since. Caller frees. */
static char *
secrets_digest(const struct world *r, char *const *coordinators)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize size;
	const guchar *bytes = r->message ? g_bytes_get_data(r->message, &size) : NULL;
	if (bytes)
		g_checksum_update(sum, bytes, (gssize)size);
	for (char **key = r->host_keys; key && *key; key++)
		g_checksum_update(sum, (const guchar *)*key, (gssize)strlen(*key) + 1);
	for (; coordinators && *coordinators; coordinators++)
		g_checksum_update(sum, (const guchar *)*coordinators,
				  (gssize)strlen(*coordinators) + 1);
	return g_strdup(g_checksum_get_string(sum));
}

/* --- loading it into the QEMU that runs --- */

static void
on_loaded(struct warm_job *job, const GError *error, gint64 took, void *data)
{
	struct world *r = data;
	g_autofree char *problem = error ? g_strdup(error->message) : NULL;
	job_end(&r->warm->job);
	childhurd_event(r->c, problem ? EVENT_RESTORE_FAILED : EVENT_RESTORED, problem);
}

static void
on_closed(struct forwards *forwards, const char *problem, void *data)
{
	struct world *r = data;
	struct warm_life *w = r->warm;
	struct warm_place place = place_of(r);
	g_autofree char *text = g_strdup(problem);
	g_clear_pointer(&w->forwards, forwards_free);
	if (text)
		childhurd_event(r->c, EVENT_RESTORE_FAILED, text);
	else
		w->job = warm_load(&place, &r->qemu, &w->record, on_loaded, r);
}

/* --- is there one that fits? --- */

/* Of a guest that is to start from it, or to be restored in the QEMU that runs. */
static void
on_found(struct warm_job *job, const struct warm_record *record, const char *why, void *data)
{
	struct world *r = data;
	struct warm_life *w = r->warm;
	gboolean starting = r->c->state == STATE_STARTING, fits = record != NULL;
	g_autofree char *text =
	    why ? g_strdup_printf("its warm state is thrown away, and it boots: %s", why) : NULL;
	know(r, fits ? WARM_FITS : WARM_NONE, fits ? record->saved : 0);
	if (fits)
		warm_record_copy(&w->record, record);
	job_end(&w->job);
	if (!fits) {
		childhurd_event(r->c, EVENT_UNFIT, text);
		if (starting)
			world_make_disk(r);
	} else if (starting) {
		world_disk_ready(r);
	} else {
		w->forwards =
		    forwards_close(r->host->hypervisor, guest_of(r), &r->qemu, on_closed, r);
	}
}

void
world_warm_find(struct world *r)
{
	struct warm_place place = place_of(r);
	struct domain_spec domain = world_domain(r);
	g_autofree char *secrets = secrets_digest(r, r->coordinators_made);
	struct warm_spec spec = {&domain, secrets, guest_of(r)->prepare_command};
	job_end(&r->warm->job);
	r->warm->job = warm_find(&place, &spec, on_found, r);
}

/* --- a start from it --- */

void
world_warm_gone(struct world *r)
{
	know(r, WARM_NONE, 0);
}

const char *
world_warm_load(const struct world *r)
{
	return r->c->warm ? r->warm->record.tag : NULL;
}

static void
on_consumed(struct warm_job *job, const GError *error, gint64 took, void *data)
{
	struct world *r = data;
	g_autofree char *problem = error ? g_strdup(error->message) : NULL;
	job_end(&r->warm->consuming);
	if (problem) { /* QEMU must not start: its disk would be undone by the next start */
		start_late(r, problem);
		return;
	}
	know(r, WARM_NONE, 0);
	world_launch_now(r);
}

void
world_launch(struct childhurd *c)
{
	struct world *r = world_from(c);
	struct warm_place place = place_of(r);
	r->warm->stands = FALSE;
	if (c->warm && is_persistent(r))
		r->warm->consuming = warm_consume(&place, r->disk, TRUE, on_consumed, r);
	else
		world_launch_now(r);
}

/* --- a restore --- */

gboolean
world_warm_keys_made(struct world *r)
{
	struct warm_life *w = r->warm;
	if (!w->reload)
		return FALSE;
	w->reload = FALSE;
	world_warm_find(r);
	return TRUE;
}

void
world_restore(struct childhurd *c)
{
	struct world *r = world_from(c);
	r->warm->reload = TRUE;
	world_make_keys(r);
}

/* --- before anybody is let in --- */

static void
on_open(struct forwards *forwards, const char *problem, void *data)
{
	struct world *r = data;
	struct warm_life *w = r->warm;
	g_autofree char *text =
	    problem ? g_strdup_printf("its port cannot be opened: %s", problem) : NULL;
	g_clear_pointer(&w->forwards, forwards_free);
	if (text) {
		start_failed(r, text);
		return;
	}
	if (is_persistent(r)) /* it has served, and takes room */
		hypervisor_drop(r->host->hypervisor, &r->qemu, w->record.tag, NULL, NULL);
	r->stirred = TRUE;
	childhurd_event(r->c, EVENT_STIRRED, NULL);
}

void
world_warm_stirred(struct world *r)
{
	if (r->c->has_port) /* QEMU takes it, and who waits goes on waiting */
		world_leave_port(r->c);
	r->warm->forwards = forwards_open(r->host->hypervisor, guest_of(r), &r->qemu, on_open, r);
}

static void
on_version(struct warm_job *job, const GError *error, gint64 took, void *data)
{
	struct world *r = data;
	g_autofree char *problem = error ? g_strdup(error->message) : NULL;
	job_end(&r->warm->job);
	if (problem) {
		childhurd_event(r->c, EVENT_RESTORE_FAILED, problem);
		return;
	}
	world_health_begin(r);
	health_restored(r->health, guest_of(r)->secrets_port);
}

void
world_stir(struct childhurd *c)
{
	struct world *r = world_from(c);
	struct warm_place place = place_of(r);
	r->warm->job = warm_prove(&place, &r->qemu, &r->warm->record, on_version, r);
}

/* --- saving it --- */

/* What stands still for a save goes on. If that fails, world_look_at_pause finds it. */
static void
go_on(struct world *r)
{
	if (r->warm->stands && r->qemu.id)
		hypervisor_resume(r->host->hypervisor, &r->qemu, NULL, NULL);
	r->warm->stands = FALSE;
}

static void
forgotten(struct world *r, const GError *error)
{
	if (error)
		g_warning("%s: its warm state is not discarded: %s", guest_of(r)->name,
			  error->message);
	job_end(&r->warm->forgetting);
	go_on(r);
}

static void
on_forgotten(struct warm_job *job, const GError *error, gint64 took, void *data)
{
	forgotten(data, error);
}

static void
on_undone(struct warm_job *job, const GError *error, gint64 took, void *data)
{
	struct world *r = data;
	g_autofree char *problem = g_steal_pointer(&r->warm->problem);
	forgotten(r, error);
	childhurd_event(r->c, EVENT_SAVE_FAILED, problem);
}

static void
consume(struct world *r, warm_fn done)
{
	struct warm_place place = place_of(r);
	job_end(&r->warm->forgetting);
	r->warm->forgetting = warm_consume(&place, r->disk, FALSE, done, r);
}

static void
on_saved(struct warm_job *job, const GError *error, gint64 took, void *data)
{
	struct world *r = data;
	struct warm_life *w = r->warm;
	g_autofree char *text =
	    error ? g_strdup_printf("its warm state is not saved: %s", error->message)
		  : g_strdup_printf("its warm state is saved; it stood still for %.2f s",
				    (double)took / 1000);
	gboolean good = !error;
	job_end(&w->job);
	if (good) {
		know(r, WARM_FITS, g_get_real_time() / G_USEC_PER_SEC);
		childhurd_event(r->c, EVENT_SAVED, text);
	} else if (w->stands) { /* and its record may yet be written */
		g_free(w->problem);
		w->problem = g_steal_pointer(&text);
		consume(r, on_undone);
	} else {
		childhurd_event(r->c, EVENT_SAVE_FAILED, text);
	}
}

static void
save(struct world *r)
{
	struct warm_life *w = r->warm;
	struct warm_place place = place_of(r);
	struct domain_spec domain = world_domain(r);
	g_autofree char *secrets = secrets_digest(r, r->coordinators);
	struct warm_spec spec = {&domain, secrets, guest_of(r)->prepare_command};
	w->stands = is_persistent(r);
	w->job = warm_save(&place, &spec, &r->qemu, w->stands, on_saved, r);
}

static void
on_command(const char *problem, void *data)
{
	struct world *r = data;
	g_autofree char *text =
	    problem ? g_strdup_printf("its warm state is not saved: %s", problem) : NULL;
	g_clear_pointer(&r->warm->command, prepare_command_free);
	if (text)
		childhurd_event(r->c, EVENT_SAVE_FAILED, text);
	else
		world_with_secrets(r, save);
}

/* A persistent guest is saved whenever it falls asleep, and was prepared by its users. */
void
world_save(struct childhurd *c)
{
	struct world *r = world_from(c);
	if (*c->config->prepare_command && !is_persistent(r))
		r->warm->command = prepare_command_new(r->host->loop, c->config, r->host_keys,
						       r->offload_key, on_command, r);
	else
		world_with_secrets(r, save);
}

void
world_forget_warm(struct childhurd *c)
{
	struct world *r = world_from(c);
	if (!c->config->image)
		return;
	world_warm_abandon(r);
	know(r, WARM_NONE, 0);
	consume(r, on_forgotten);
}

/* --- which is there? --- */

enum warm
world_warm(struct childhurd *c)
{
	return c->config->image ? world_from(c)->warm->known : WARM_IMPOSSIBLE;
}

gint64
world_warm_saved(const struct world *r)
{
	return r->warm->saved;
}

void
world_warm_may_stand(struct world *r)
{
	r->warm->stands = is_persistent(r);
}

struct look {
	struct world *world;
	char *path;
	struct warm_record record;
	gboolean there;
};

static void
look_work(void *data)
{
	struct look *look = data;
	lane_touch("warm state", look->path);
	look->there = warm_record_read(look->path, &look->record);
}

static void
on_looked(void *data, const GError *late)
{
	const struct look *look = data;
	struct world *r = look->world;
	r->warm->look = NULL;
	if (!late)
		know(r, look->there ? WARM_FITS : WARM_NONE, look->there ? look->record.saved : 0);
}

static void
look_free(void *data)
{
	struct look *look = data;
	g_free(look->path);
	warm_record_clear(&look->record);
	g_free(look);
}

void
world_warm_init(struct world *r)
{
	struct look *look = g_new0(struct look, 1);
	r->warm = g_new0(struct warm_life, 1);
	r->warm->known = WARM_FITS;
	look->world = r;
	look->path = warm_record_path(r->disk);
	r->warm->look = lane_run(r->files, FILES_LIMIT, look_work, on_looked, look_free, look);
}

void
world_warm_abandon(struct world *r)
{
	struct warm_life *w = r->warm;
	job_end(&w->job);
	g_clear_pointer(&w->forwards, forwards_free);
	g_clear_pointer(&w->command, prepare_command_free);
	w->reload = FALSE;
}

void
world_warm_clear(struct world *r)
{
	struct warm_life *w = r->warm;
	world_warm_abandon(r);
	g_clear_pointer(&w->look, lane_forget);
	job_end(&w->consuming);
	job_end(&w->forgetting);
	warm_record_clear(&w->record);
	g_free(w->problem);
	g_free(w);
}
