/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * made_report DIRECTORY [GUESTS]: makes up what happened to guests in 90 days, and writes the
 * report of it. Prints the seconds that the writing took. The guests' life is that of a busy farm:
 * warm starts, some boots, a failure each week, a build each hour or two, a sample each hour, and
 * each five minutes of the last two days. One reason is what a guest would send that means harm.
 * $SCREENSHOT: a PNG.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/report/report.h"

#define SECOND G_TIME_SPAN_SECOND
#define HOUR   G_TIME_SPAN_HOUR
#define DAY    G_TIME_SPAN_DAY
#define DAYS   90

/* A picture of the size of a screen's screenshot is not the point here: the smallest PNG. */
static const guchar png[] = {0x89, 'P', 'N', 'G',  '\r', '\n', 0x1a, '\n', 0,	 0, 0, 13,
			     'I',  'H', 'D', 'R',  0,	 0,    0,    1,	   0,	 0, 0, 1,
			     8,	   0,	0,   0,	   0,	 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0,
			     10,   'I', 'D', 'A',  'T',	 0x78, 0x9c, 0x63, 0x60, 0, 0, 0,
			     2,	   0,	1,   0x48, 0xaf, 0xa4, 0x71, 0,	   0,	 0, 0, 'I',
			     'E',  'N', 'D', 0xae, 0x42, 0x60, 0x82};

struct maker {
	struct records *records;
	GRand *random;
	const char *name;
	gint64 failures;
};

static void
add(const struct maker *maker, JsonObject *record, const char *kind, gint64 time, gint64 end)
{
	json_object_set_string_member(record, "kind", kind);
	json_object_set_string_member(record, "guest", maker->name);
	json_object_set_int_member(record, "time", time);
	if (end)
		json_object_set_int_member(record, "end", end);
	records_add(maker->records, record, PERIOD_LONG);
	json_object_unref(record);
}

static void
add_state(const struct maker *maker, const char *state, gint64 time, gint64 end)
{
	JsonObject *record = json_object_new();
	json_object_set_string_member(record, "state", state);
	add(maker, record, "state", time, end);
}

static double
between(const struct maker *maker, double least, double most)
{
	return g_rand_double_range(maker->random, least, most);
}

static void
add_boot(const struct maker *maker, const char *how, gint64 time, double factor, gint64 end)
{
	static const struct {
		const char *name;
		double seconds;
	} phases[] = {{"start", 0.6}, {"boot", 9}, {"keys", 1.2}, {"login", 3.1}};
	JsonObject *record = json_object_new();
	JsonArray *array = json_array_new();
	double whole = 0;
	for (gsize i = 0; i < G_N_ELEMENTS(phases); i++) {
		JsonObject *phase = json_object_new();
		double seconds = phases[i].seconds * factor * between(maker, 0.8, 1.3);
		json_object_set_string_member(phase, "name", phases[i].name);
		json_object_set_double_member(phase, "ms", seconds * 1000);
		json_array_add_object_element(array, phase);
		whole += seconds;
	}
	json_object_set_string_member(record, "how", how);
	json_object_set_array_member(record, "phases", array);
	if (factor > 0)
		json_object_set_int_member(record, "ready", time + (gint64)(whole * SECOND));
	json_object_set_string_member(record, "ended",
				      factor > 0 ? "restart" : "no SSH within 15min");
	add(maker, record, "boot", time, end);
}

static void
add_failure(struct maker *maker, gint64 time)
{
	static const char *const reasons[] = {
	    "ssh to 127.0.0.1:51022: banner: the guest closed the connection before a banner",
	    "QEMU ended with status 1: qemu-system-i386: could not open disk image: No space left "
	    "on "
	    "device",
	    "probe-command: no answer within 3min; the console's last lines:\nstart ext2fs: Hurd "
	    "server bootstrap: ext2fs[part:1:device:wd0] exec",
	    "</p><script>document.title = 'harm'</script><img src=harm.png "
	    "onerror=\"document.title = "
	    "'harm'\">"};
	JsonObject *record = json_object_new();
	json_object_set_string_member(record, "phase", "boot");
	json_object_set_string_member(record, "reason", reasons[maker->failures % 4]);
	if (maker->failures++ % 2 == 0)
		json_object_set_int_member(record, "screenshot",
					   maker->failures + 1000 * (maker->name[4] - '0'));
	add(maker, record, "failure", time, 0);
}

static void
add_samples(const struct maker *maker, gint64 begin, gint64 end, gint64 step)
{
	for (gint64 time = begin; time < end; time += step) {
		JsonObject *record = json_object_new();
		double busy = 0.9 + 0.8 * sin((double)time / (double)DAY * 6.28);
		json_object_set_double_member(record, "load", busy * between(maker, 0.6, 1.4));
		json_object_set_double_member(
		    record, "store_free",
		    (3.5 - 2. * (double)(time % (7 * DAY)) / (double)(7 * DAY)) * 1073741824);
		add(maker, record, "sample", time, time + step);
	}
}

/* From time on, a day of a guest. */
static void
add_day(struct maker *maker, gint64 time, gint64 end)
{
	gint64 noon = time + (gint64)between(maker, 8 * HOUR, 14 * HOUR);
	gboolean bad = g_rand_int_range(maker->random, 0, 6) == 0,
		 cold = g_rand_int_range(maker->random, 0, 3) == 0;
	add_state(maker, "ready", time, MIN(noon, end));
	for (gint64 build = time; build < end;
	     build += (gint64)between(maker, 0.4 * HOUR, 3 * HOUR)) {
		JsonObject *record = json_object_new();
		add(maker, record, "build", build,
		    MIN(build + (gint64)between(maker, 30 * SECOND, HOUR), end));
	}
	if (noon + 2 * HOUR > end)
		return;
	if (bad) {
		add_failure(maker, noon);
		add_state(maker, "unresponsive", noon, noon + 180 * SECOND);
		add_state(maker, "failed", noon + 180 * SECOND, noon + HOUR);
		add_boot(maker, "cold", noon, 0, noon + 180 * SECOND);
		noon += HOUR;
	}
	add_boot(maker, cold ? "cold" : "warm", noon, cold ? 1 : 0.2, end);
	add_state(maker, cold ? "booting" : "restoring", noon, noon + (cold ? 900 : 4) * SECOND);
	add_state(maker, "ready", noon + (cold ? 900 : 4) * SECOND, end);
}

/* number of the period, as the daemon would count them. */
static void
add_figures(struct maker *maker, enum period period)
{
	JsonObject *record = json_object_new();
	double days = (double)period_length(period) / (double)DAY;
	json_object_set_double_member(record, "availability", between(maker, 0.97, 1));
	json_object_set_int_member(record, "boots", (gint64)(days * 1.2));
	json_object_set_int_member(record, "failures", (gint64)(days / 6));
	json_object_set_int_member(record, "builds", (gint64)(days * 14));
	json_object_set_double_member(record, "build_seconds", days * 7.2 * 3600);
	json_object_set_double_member(record, "median_boot_ms", 3100);
	json_object_set_double_member(record, "mtbf_s", 5.8 * 86400);
	json_object_set_string_member(record, "kind", "figures");
	json_object_set_string_member(record, "guest", maker->name);
	records_add(maker->records, record, period);
	json_object_unref(record);
}

static void
add_guest(struct maker *maker, guint number)
{
	static const char *const states[] = {"ready",  "ready",	  "asleep", "draining",
					     "failed", "booting", "stopped"};
	const gint64 now = maker->records->now;
	g_autofree char *name = g_strdup_printf("hurd%u", number);
	JsonObject *guest = json_object_new();
	const char *state = number > 7 ? "ready" : states[(number - 1) % 7];
	maker->name = name;
	add_state(maker, state, now - 2 * HOUR, now);
	json_object_set_string_member(guest, "name", name);
	json_object_set_string_member(guest, "state", state);
	json_object_set_string_member(guest, "why", number == 5 ? "no SSH within 15min" : "");
	json_object_set_double_member(guest, "since", (double)now / 1e6 - 3700);
	records_add_guest(maker->records, guest);
	json_object_unref(guest);
	for (int day = DAYS; day > 0; day--)
		if (number % 4 == 3 && day % 7 < 2)
			add_state(maker, "asleep", now - day * DAY, now - (day - 1) * DAY);
		else if (number == 2 && day == 40)
			add_state(maker, "unknown", now - day * DAY, now - (day - 1) * DAY);
		else if (number == 4 && day == 1)
			add_state(maker, "draining", now - day * DAY, now);
		else
			add_day(maker, now - day * DAY,
				now - (day > 1 ? (day - 1) * DAY : 2 * HOUR));
	add_samples(maker, now - DAYS * DAY, now - 2 * DAY, HOUR);
	add_samples(maker, now - 2 * DAY, now, 300 * SECOND);
	for (guint i = 0; i < N_PERIODS; i++)
		add_figures(maker, (enum period)i);
}

static GBytes *
on_screenshot(gpointer data, gint64 id, GError **error)
{
	const char *file = g_getenv("SCREENSHOT");
	char *bytes;
	gsize n;
	if (file && g_file_get_contents(file, &bytes, &n, NULL))
		return g_bytes_new_take(bytes, n);
	return g_bytes_new_static(png, sizeof png);
}

int
main(int argc, char **argv)
{
	GError *error = NULL;
	guint guests = argc > 2 ? (guint)strtoul(argv[2], NULL, 10) : 50;
	if (argc < 2) {
		fprintf(stderr, "usage: made_report DIRECTORY [GUESTS]\n");
		return 2;
	}
	g_autoptr(GTimeZone) zone = g_time_zone_new_local();
	struct records *records = records_new(g_get_real_time(), zone, "farm.example.org");
	struct maker maker = {.records = records, .random = g_rand_new_with_seed(7)};
	for (guint i = 1; i <= guests; i++)
		add_guest(&maker, i);
	gint64 began = g_get_monotonic_time();
	records_sort(records);
	gboolean good = report_write(records, argv[1], on_screenshot, NULL, &error);
	if (good)
		printf("%.3f\n", (double)(g_get_monotonic_time() - began) / 1e6);
	else
		fprintf(stderr, "made_report: %s\n", error->message);
	records_free(records);
	g_rand_free(maker.random);
	g_clear_error(&error);
	return !good;
}
