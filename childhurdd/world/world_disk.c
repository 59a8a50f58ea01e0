/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A guest's disk: made for a boot, or ahead for the next one, and thrown away. */
#include <errno.h>
#include <gio/gio.h>
#include <unistd.h>

#include "childhurdd/qemu/disk.h"
#include "childhurdd/world/world_internal.h"

/* It starts with what is on its disk, and is known by the host keys there. */
static void
start_with_earlier_keys(struct world *r, const char *why, char **host_keys)
{
	g_autofree char *text =
	    g_strdup_printf("%s; it starts without the changed secrets, and each start tries to "
			    "write them, so a clean stop may be all that it takes",
			    why);
	tell_hird(r, FALSE, text);
	r->earlier_keys = TRUE;
	if (!host_keys)
		return;
	g_strfreev(r->host_keys);
	r->host_keys = g_strdupv(host_keys);
	r->host->ops->publish(r->host->hird);
}

static void
on_disk(struct disk_job *job, const char *format, const GError *error, void *data)
{
	struct world *r = data;
	char **earlier;
	const char *waits = disk_job_waits(job, &earlier);
	if (waits && !error)
		start_with_earlier_keys(r, waits, earlier);
	gboolean late = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
	g_autofree char *text = error ? g_strdup(error->message) : NULL;
	disk_job_free(r->disk_job);
	r->disk_job = NULL;
	if (late) {
		start_late(r, text);
		return;
	}
	if (text) {
		start_failed(r, text);
		return;
	}
	world_warm_gone(r);
	world_disk_ready(r);
}

static struct disk_spec
spec_of(const struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	return (struct disk_spec){.image = guest->image,
				  .format = guest->image_format,
				  .overlay = r->disk,
				  .size = guest->disk_size,
				  .keep = guest->disk == CONFIG_DISK_PERSISTENT,
				  .user = r->host->qemu_user,
				  .lane = r->files};
}

void
world_make_disk(struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	if (!guest->image) {
		world_disk_ready(r);
		return;
	}
	struct disk_spec spec = spec_of(r);
	spec.edits = guest->inject == CONFIG_INJECT_IMAGE ? r->message : NULL;
	spec.host_keys = r->host_keys;
	r->disk_job = disk_prepare(r->host->loop, &spec, on_disk, r);
}

/* Without one the next start takes a little longer. */
static void
on_spare(struct disk_job *job, const char *format, const GError *error, void *data)
{
	struct world *r = data;
	if (error)
		g_info("%s: no disk is made ahead: %s", guest_of(r)->name, error->message);
	disk_job_free(r->spare_job);
	r->spare_job = NULL;
}

void
world_make_spare(struct world *r)
{
	const struct config_guest *guest = guest_of(r);
	disk_job_free(r->spare_job);
	r->spare_job = NULL;
	if (!guest->image || guest->disk != CONFIG_DISK_EPHEMERAL)
		return;
	struct disk_spec spec = spec_of(r);
	r->spare_job = disk_spare_make(r->host->loop, &spec, on_spare, r);
}

/* --- it is thrown away --- */

struct discard {
	struct world *world;
	char *disk;
	int problem; /* errno */
};

static void
discard_work(void *data)
{
	struct discard *discard = data;
	lane_touch("disk", discard->disk);
	if (unlink(discard->disk) < 0 && errno != ENOENT)
		discard->problem = errno;
}

/* Until then the record still has that the disk must be discarded. */
static void
on_discarded(void *data, const GError *late)
{
	struct discard *discard = data;
	struct world *r = discard->world;
	r->discard = NULL;
	if (late || discard->problem)
		g_warning("%s: cannot discard the disk %s: %s", guest_of(r)->name, r->disk,
			  late ? late->message : g_strerror(discard->problem));
	world_record(r);
}

static void
discard_free(void *data)
{
	struct discard *discard = data;
	g_free(discard->disk);
	g_free(discard);
}

/* An ephemeral disk that a warm state is in is as good as new: the state is loaded, or not used and
 * discarded by the boot. */
void
world_discard(struct childhurd *c)
{
	struct world *r = world_from(c);
	if (c->config->disk == CONFIG_DISK_EPHEMERAL && world_warm(c) == WARM_FITS)
		return;
	struct discard *discard = g_new0(struct discard, 1);
	discard->world = r;
	discard->disk = g_strdup(r->disk);
	lane_forget(r->discard);
	r->discard =
	    lane_run(r->files, FILES_LIMIT, discard_work, on_discarded, discard_free, discard);
}
