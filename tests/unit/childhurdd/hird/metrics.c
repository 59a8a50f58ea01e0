/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The metrics of guests without a world: what is counted, and how it is written. Whether the text
 * is OpenMetrics is checked with Prometheus (tests/integration/metrics.t). */
#include "childhurdd/hird/metrics.h"

#include <math.h>

#include "tests/unit/childhurdd/guest/childhurd_fake.h"

static void
begin(struct fake *f)
{
	fake_init(f);
	f->metrics = metrics_new();
}

static void
end(struct fake *f)
{
	metrics_free(f->metrics);
	fake_clear(f);
}

/* The metrics of the fake guest; other values are unknown. */
static char *
text_of(struct fake *f)
{
	const struct control_guest guest = {.name = f->config.name,
					    .state = state_name(f->c->state),
					    .restarts = f->c->restarts,
					    .builds = -1,
					    .slots = 2,
					    .skew = NAN,
					    .skew_within = NAN,
					    .load = 1.25,
					    .disk_free = -1,
					    .store_free = 4096};
	return metrics_text(f->metrics, &guest, 1, NULL, 0, 0);
}

static void
assert_says(struct fake *f, const char *sample)
{
	g_autofree char *text = text_of(f);
	g_autofree char *line = g_strdup_printf("\nchildhurd_%s\n", sample);
	if (!strstr(text, line))
		g_error("\"%s\" is not in: %s", sample, text);
}

/* This reason was counted n times, and no other was. */
static void
assert_failures(struct fake *f, enum failure reason, int n)
{
	for (int r = 0; r < N_FAILURES; r++) {
		g_autofree char *sample =
		    g_strdup_printf("failures_total{guest=\"a\",reason=\"%s\"} %d", failure_name(r),
				    r == (int)reason ? n : 0);
		assert_says(f, sample);
	}
}

static void
test_nothing_yet(void)
{
	struct fake f;
	begin(&f);
	g_autofree char *text = text_of(&f);
	g_assert_true(g_str_has_prefix(text, "# TYPE childhurd_daemon_info gauge\n"));
	g_assert_true(g_str_has_suffix(text, "\n# EOF\n"));
	assert_says(&f, "daemon_info{version=\"" CHILDHURD_VERSION "\"} 1");
	assert_says(&f, "guests{state=\"stopped\"} 1");
	assert_says(&f, "guests{state=\"ready\"} 0");
	assert_says(&f, "boots_total{guest=\"a\"} 0");
	assert_says(&f, "boot_seconds_bucket{le=\"+Inf\"} 0");
	assert_failures(&f, N_FAILURES, 0);
	end(&f);
}

static void
test_boot(void)
{
	struct fake f;
	begin(&f);
	happen(&f, EVENT_START);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	happen(&f, EVENT_LAUNCHED);
	f.now += 12500;
	happen(&f, EVENT_GREETED);
	happen(&f, EVENT_ENROLLED);
	happen(&f, EVENT_PROBE_OK);
	for (int i = 0; i < 2; i++) { /* the same boot, ready again */
		assert_says(&f, "boots_total{guest=\"a\"} 1");
		assert_says(&f, "boot_seconds_bucket{le=\"10.0\"} 0");
		assert_says(&f, "boot_seconds_bucket{le=\"20.0\"} 1");
		assert_says(&f, "boot_seconds_bucket{le=\"+Inf\"} 1");
		assert_says(&f, "boot_seconds_count 1");
		assert_says(&f, "boot_seconds_sum 12.5");
		assert_says(&f, "guests{state=\"ready\"} 1");
		assert_says(&f, "guest_state{guest=\"a\",state=\"ready\"} 1");
		happen(&f, EVENT_PROBE_FAILED);
		happen(&f, EVENT_PROBE_OK);
	}
	assert_failures(&f, N_FAILURES, 0);
	end(&f);
}

static void
test_warm(void)
{
	struct fake f;
	begin(&f);
	f.warm = WARM_FITS;
	happen(&f, EVENT_SLEEP);
	assert_says(&f, "guests{state=\"asleep\"} 1");
	happen(&f, EVENT_WOKEN);
	happen(&f, EVENT_ADMITTED);
	happen(&f, EVENT_PREPARED);
	f.now += 700;
	happen(&f, EVENT_LAUNCHED);
	happen(&f, EVENT_STIRRED);
	f.now += 1500;
	happen(&f, EVENT_PROBE_OK);
	assert_says(&f, "wakes_total{guest=\"a\"} 1");
	assert_says(&f, "restores_total{guest=\"a\"} 1");
	assert_says(&f, "restore_seconds_sum 1.5");
	assert_says(&f, "boots_total{guest=\"a\"} 0");
	end(&f);
}

/* The events that lead to each failure, from a guest that is started or one that is ready. */
static const struct path {
	enum failure reason;
	gboolean ready, impostor;
	enum event events[8]; /* up to EVENT_START */
} paths[] = {
    {FAILURE_START, FALSE, FALSE, {EVENT_ADMITTED, EVENT_START_FAILED}},
    {FAILURE_HOST, FALSE, FALSE, {EVENT_ADMITTED, EVENT_START_LACKED}},
    {FAILURE_HOST, FALSE, FALSE, {EVENT_ADMITTED, EVENT_DEADLINE}},
    {FAILURE_BOOT_TIMEOUT,
     FALSE,
     FALSE,
     {EVENT_ADMITTED, EVENT_PREPARED, EVENT_LAUNCHED, EVENT_DEADLINE, EVENT_DIED}},
    {FAILURE_BOOT_TIMEOUT,
     FALSE,
     FALSE,
     {EVENT_ADMITTED, EVENT_PREPARED, EVENT_LAUNCHED, EVENT_GREETED, EVENT_DEADLINE, EVENT_DIED}},
    {FAILURE_IMPOSTOR,
     FALSE,
     TRUE,
     {EVENT_ADMITTED, EVENT_PREPARED, EVENT_LAUNCHED, EVENT_GREETED, EVENT_DEADLINE, EVENT_DIED}},
    {FAILURE_REBOOTED,
     FALSE,
     FALSE,
     {EVENT_ADMITTED, EVENT_PREPARED, EVENT_LAUNCHED, EVENT_REBOOTED}},
    {FAILURE_HALTED,
     FALSE,
     FALSE,
     {EVENT_ADMITTED, EVENT_PREPARED, EVENT_LAUNCHED, EVENT_HALTED, EVENT_DIED}},
    {FAILURE_HUNG, TRUE, FALSE, {EVENT_PROBE_FAILED, EVENT_DEADLINE, EVENT_DIED}},
    {FAILURE_IMPOSTOR, TRUE, TRUE, {EVENT_PROBE_FAILED, EVENT_DEADLINE, EVENT_DIED}},
    {FAILURE_PANIC, TRUE, FALSE, {EVENT_BROKEN, EVENT_DIED}},
    {FAILURE_QEMU_EXIT, TRUE, FALSE, {EVENT_DIED}},
    {FAILURE_KILL,
     TRUE,
     FALSE,
     {EVENT_STOP, EVENT_DEADLINE, EVENT_DEADLINE, EVENT_DEADLINE, EVENT_DEADLINE, EVENT_DEADLINE}},
};

static void
test_reasons(void)
{
	gboolean met[N_FAILURES] = {FALSE};
	for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
		const struct path *path = &paths[i];
		struct fake f;
		begin(&f);
		happen(&f, EVENT_START);
		if (path->ready)
			boot(&f);
		for (const enum event *event = path->events; *event != EVENT_START; event++) {
			f.sign = 0;
			f.now += path->events[0] == EVENT_PROBE_FAILED ? 1000000 : 1;
			/* a new boot clears it */
			if (path->impostor && f.c->state != STATE_STARTING)
				f.c->impostor = TRUE;
			happen(&f, *event);
		}
		assert_state(&f, path->reason == FAILURE_KILL ? STATE_FAILED : STATE_BACKOFF);
		assert_failures(&f, path->reason, 1);
		met[path->reason] = TRUE;
		end(&f);
	}
	for (int r = 0; r < N_FAILURES; r++)
		if (!met[r])
			g_error("nothing leads to %s", failure_name(r));
}

/* A command of an operator is no failure. */
static void
test_wishes(void)
{
	struct fake f;
	begin(&f);
	happen(&f, EVENT_START);
	boot(&f);
	happen(&f, EVENT_RESTART_NOW);
	happen(&f, EVENT_DIED);
	boot(&f);
	happen(&f, EVENT_STOP);
	happen(&f, EVENT_POWERED_OFF);
	assert_state(&f, STATE_STOPPED);
	assert_says(&f, "boots_total{guest=\"a\"} 2");
	assert_says(&f, "restarts_total{guest=\"a\"} 0");
	assert_failures(&f, N_FAILURES, 0);
	end(&f);
}

static void
test_restarts(void)
{
	struct fake f;
	begin(&f);
	f.c->restarts = 5; /* counted by an earlier daemon */
	metrics_state(f.metrics, f.c);
	assert_says(&f, "restarts_total{guest=\"a\"} 0");
	f.c->restarts = 0;
	happen(&f, EVENT_START);
	boot(&f);
	happen(&f, EVENT_REBOOTED);
	assert_says(&f, "restarts_total{guest=\"a\"} 1");
	boot(&f);
	happen(&f, EVENT_DIED);
	expire(&f);
	assert_says(&f, "restarts_total{guest=\"a\"} 2");
	boot(&f);
	/* the number in `list' starts from 0 again, the metric does not */
	happen(&f, EVENT_RESTART_NOW);
	happen(&f, EVENT_DIED);
	assert_says(&f, "restarts_total{guest=\"a\"} 2");
	assert_failures(&f, FAILURE_QEMU_EXIT, 1);
	end(&f);
}

/* An earlier daemon started its QEMU, so the time of its boot is unknown. */
static void
test_taken_over(void)
{
	struct fake f;
	begin(&f);
	f.c->want_up = TRUE;
	happen(&f, EVENT_FOUND);
	assert_state(&f, STATE_BOOTING);
	happen(&f, EVENT_PROBE_OK);
	assert_says(&f, "boots_total{guest=\"a\"} 1");
	assert_says(&f, "boot_seconds_count 0");
	end(&f);
}

static void
test_probes(void)
{
	struct fake f;
	begin(&f);
	metrics_probe(f.metrics, 0.1); /* a bucket includes its bound */
	metrics_probe(f.metrics, 100);
	assert_says(&f, "probe_seconds_bucket{le=\"0.05\"} 0");
	assert_says(&f, "probe_seconds_bucket{le=\"0.1\"} 1");
	assert_says(&f, "probe_seconds_bucket{le=\"60.0\"} 1");
	assert_says(&f, "probe_seconds_bucket{le=\"+Inf\"} 2");
	assert_says(&f, "probe_seconds_sum 100.1");
	end(&f);
}

static void
test_guests(void)
{
	struct fake f;
	begin(&f);
	assert_says(&f, "guest_load{guest=\"a\"} 1.25");
	assert_says(&f, "guest_slots{guest=\"a\"} 2");
	assert_says(&f, "guest_store_free_bytes{guest=\"a\"} 4096");
	g_autofree char *text = text_of(&f);
	/* an unknown value is left out, and is not 0 */
	g_assert_null(strstr(text, "childhurd_guest_builds{"));
	g_assert_null(strstr(text, "childhurd_guest_clock_skew_seconds{"));
	g_assert_null(strstr(text, "childhurd_guest_disk_free_bytes{"));
	g_assert_null(strstr(text, "childhurd_guest_probed_timestamp_seconds{"));
	/* a guest that is no longer configured is left out; if it comes back, it counts from 0 */
	happen(&f, EVENT_START);
	boot(&f);
	assert_says(&f, "boots_total{guest=\"a\"} 1");
	g_autofree char *none = metrics_text(f.metrics, NULL, 0, NULL, 0, 2);
	g_assert_null(strstr(none, "guest=\""));
	g_assert_nonnull(strstr(none, "childhurd_unwritten_files 2\n"));
	assert_says(&f, "boots_total{guest=\"a\"} 0");
	end(&f);
}

static void
test_escaping(void)
{
	struct fake f;
	begin(&f);
	f.config.name = (char *)"a\\\"b\nc";
	assert_says(&f, "guest_slots{guest=\"a\\\\\\\"b\\nc\"} 2");
	end(&f);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/metrics/all-counters-begin-at-zero", test_nothing_yet);
	g_test_add_func("/metrics/a-boot-is-counted-once-with-what-it-took", test_boot);
	g_test_add_func("/metrics/warm-starts-and-wakes-are-counted", test_warm);
	g_test_add_func("/metrics/each-failure-has-its-reason", test_reasons);
	g_test_add_func("/metrics/what-people-ask-for-is-no-failure", test_wishes);
	g_test_add_func("/metrics/restarts-of-an-earlier-daemon-do-not-count", test_restarts);
	g_test_add_func("/metrics/a-boot-that-was-taken-over-has-no-time", test_taken_over);
	g_test_add_func("/metrics/probes-are-sorted-into-buckets", test_probes);
	g_test_add_func("/metrics/what-is-not-known-is-left-out", test_guests);
	g_test_add_func("/metrics/label-values-are-escaped", test_escaping);
	return g_test_run();
}
