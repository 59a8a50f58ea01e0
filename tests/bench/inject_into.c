/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inject_into IMAGE ROUNDS [NAME]: makes overlays of an image, by turns with and without keys in
 * them, and prints what that takes, and with NAME in the way of tests/lib/Bench.pm, too.
 * tests/bench/inject runs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/inject/edits.h"
#include "childhurdd/inject/injector.h"
#include "childhurdd/qemu/disk.h"
#include "ssh/secrets/file.h"

#define ROUNDS_MAX 1000

static GLogWriterOutput
on_log(GLogLevelFlags level, const GLogField *fields, gsize n, void *data)
{
	for (gsize i = 0; i < n; i++) {
		const char *said =
		    !strcmp(fields[i].key, "MESSAGE") ? strstr(fields[i].value, ".qcow2: ") : NULL;
		if (said && strstr(said, "bytes written"))
			*(guint64 *)data = g_ascii_strtoull(said + strlen(".qcow2: "), NULL, 10);
	}
	return G_LOG_WRITER_HANDLED;
}

static GBytes *
keys(void)
{
	static const char *const names[] = {
	    "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub",
	    "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ecdsa_key.pub",
	    "/etc/ssh/authorized_keys.d/root"};
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		struct secret_file *file = g_new0(struct secret_file, 1);
		*file = (struct secret_file){g_strdup(names[i]), S_IFREG | 0600,
					     g_bytes_new_take(g_strnfill(400, 'k'), 400)};
		g_ptr_array_add(files, file);
	}
	g_autoptr(GPtrArray) edits =
	    edits_for(CONFIG_DISTRIBUTION_DEBIAN, files, "root", "ssh-ed25519 AAAA c@a\n");
	return edits_pack(edits);
}

static void
on_disk(struct disk_job *job, const char *format, const GError *error, void *data)
{
	if (error) {
		fprintf(stderr, "%s\n", error->message);
		exit(EXIT_FAILURE);
	}
	*(gboolean *)data = TRUE;
	disk_job_free(job);
}

/* ms; *size: bytes that the overlay takes. */
static double
make(struct ev_loop *loop, struct lane *lane, const char *image, const char *overlay, GBytes *edits,
     gint64 *size)
{
	const struct disk_spec spec = {
	    .image = image, .overlay = overlay, .lane = lane, .edits = edits};
	gint64 begun = g_get_monotonic_time();
	gboolean done = FALSE;
	struct stat status;
	disk_prepare(loop, &spec, on_disk, &done);
	while (!done)
		ev_run(loop, EVRUN_ONCE);
	double took = (double)(g_get_monotonic_time() - begun) / 1000;
	if (stat(overlay, &status) == 0)
		*size = (gint64)status.st_blocks * 512;
	return took;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
	if (injector_wanted(argc, argv))
		return injector_main(argv);
	int rounds = argc >= 3 ? atoi(argv[2]) : 0;
	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "inject_into IMAGE ROUNDS [NAME]\n");
		return 2;
	}
	guint64 written = 0;
	g_log_set_writer_func(on_log, &written, NULL);
	g_autofree char *folder = g_dir_make_tmp("inject-XXXXXX", NULL);
	g_autofree char *overlay = g_build_filename(folder, "disk.qcow2", NULL);
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct tasks *tasks = tasks_new(loop, -1);
	struct lane *lane = lane_new(tasks);
	g_autoptr(GBytes) edits = keys();
	static double with[ROUNDS_MAX], without[ROUNDS_MAX];
	gint64 size_with = 0, size_without = 0;
	for (int i = 0; i < rounds; i++) {
		without[i] = make(loop, lane, argv[1], overlay, NULL, &size_without);
		with[i] = make(loop, lane, argv[1], overlay, edits, &size_with);
	}
	qsort(with, (size_t)rounds, sizeof *with, compare);
	qsort(without, (size_t)rounds, sizeof *without, compare);
	printf("overlay without keys: %.0f ms, %" G_GINT64_FORMAT " KiB\n", without[rounds / 2],
	       size_without / 1024);
	printf("overlay with keys: %.0f ms (longest %.0f), %" G_GINT64_FORMAT
	       " KiB; written into its file system: %" G_GUINT64_FORMAT " bytes\n",
	       with[rounds / 2], with[rounds - 1], size_with / 1024, written);
	if (argc > 3) {
		printf("RESULT %s.time %.0f ms\n", argv[3], with[rounds / 2]);
		printf("RESULT %s.written %" G_GUINT64_FORMAT " KiB\n", argv[3],
		       (written + 1023) / 1024);
	}
	unlink(overlay);
	rmdir(folder);
	lane_free(lane);
	tasks_finish(tasks);
	ev_loop_destroy(loop);
	return 0;
}
