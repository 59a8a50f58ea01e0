/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which QEMU a call reaches, and which one a report is about. The calls go to libvirt's own test
 * driver (https://libvirt.org/drvtest.html), which keeps its domains in this process; a few of
 * libvirt's functions are replaced here, so that the test decides in which order things happen.
 */
#include "childhurdd/qemu/hypervisor.h"

#include <dlfcn.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <stdio.h>
#include <string.h>

#define DRIVER	   "test:///default"
#define OURS	   "6695eb01-f6a4-8304-79aa-97f2502e1930"
#define THEIRS	   "6695eb01-f6a4-8304-79aa-97f2502e1931"
#define WAIT_LIMIT 20 /* s */

/* --- libvirt's functions that are replaced --- */

static virConnectDomainEventCallback lifecycle;
static void *lifecycle_data;
static __thread gboolean id_is_forgotten; /* as in a report of libvirt's driver for QEMU */

/* atomic; of each domain between libvirt's look and its answer */
static enum { LISTED_RUN, LISTED_END, LISTED_FAIL } listed;
static gboolean buttons_are_held; /* from here on under lock */
static gboolean button_is_held, created_meanwhile;
static int lookups;
static GMutex lock;
static GCond changed;

/* The test itself makes the reports. */
int
virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain, int event,
				 virConnectDomainEventGenericCallback callback, void *data,
				 virFreeCallback free_data)
{
	if (event == VIR_DOMAIN_EVENT_ID_LIFECYCLE) {
		lifecycle = (virConnectDomainEventCallback)(void (*)(void))callback;
		lifecycle_data = data;
	}
	return 0;
}

unsigned int
virDomainGetID(virDomainPtr domain)
{
	unsigned int (*real)(virDomainPtr) = dlsym(RTLD_NEXT, "virDomainGetID");
	if (id_is_forgotten || g_atomic_int_get(&listed) == LISTED_END)
		return (unsigned int)-1;
	return real(g_atomic_int_get(&listed) == LISTED_FAIL ? NULL : domain);
}

virDomainPtr
virDomainLookupByUUIDString(virConnectPtr connection, const char *uuid)
{
	virDomainPtr (*real)(virConnectPtr, const char *) =
	    dlsym(RTLD_NEXT, "virDomainLookupByUUIDString");
	g_mutex_lock(&lock);
	lookups++;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&lock);
	return real(connection, uuid);
}

virDomainPtr
virDomainCreateXML(virConnectPtr connection, const char *xml, unsigned int flags)
{
	virDomainPtr (*real)(virConnectPtr, const char *, unsigned int) =
	    dlsym(RTLD_NEXT, "virDomainCreateXML");
	g_mutex_lock(&lock);
	created_meanwhile |= button_is_held;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&lock);
	return real(connection, xml, flags);
}

/* It finds the domain by its UUID alone, as all of libvirt does, and may take its time. */
int
virDomainShutdownFlags(virDomainPtr domain, unsigned int flags)
{
	g_mutex_lock(&lock);
	button_is_held = buttons_are_held;
	g_cond_broadcast(&changed);
	while (buttons_are_held)
		g_cond_wait(&changed, &lock);
	button_is_held = FALSE;
	g_mutex_unlock(&lock);
	return virDomainDestroy(domain);
}

/* QEMU's human monitor: the test driver has none. A command is held until it may be answered. */
static GString *commands;	      /* each with a semicolon; from here on under lock */
static const char *refused, *refusal; /* that verb fails with these words */
static gboolean monitor_is_held;

int
virDomainQemuMonitorCommand(virDomainPtr domain, const char *command, char **answer,
			    unsigned int flags)
{
	g_mutex_lock(&lock);
	g_string_append_printf(commands, "%s;", command);
	g_cond_broadcast(&changed);
	while (monitor_is_held)
		g_cond_wait(&changed, &lock);
	*answer = strdup(refused && g_str_has_prefix(command, refused) ? refusal : "");
	g_mutex_unlock(&lock);
	return 0;
}

/* --- a hypervisor --- */

static struct ev_loop *loop;
static struct hypervisor *hypervisor;
static virConnectPtr theirs; /* another program's connection */

static struct {
	enum hypervisor_event event;
	int id;
	char *uuid;
	gboolean told;
} last;

static int pauses; /* that were reported */

static void
on_event(enum hypervisor_event event, const struct hypervisor_qemu *qemu, const char *detail,
	 void *data)
{
	pauses += event == HYPERVISOR_PAUSED;
	last.event = event;
	last.id = qemu->id;
	g_free(last.uuid);
	last.uuid = g_strdup(qemu->uuid);
	last.told = TRUE;
}

struct answer {
	gboolean done;
	GError *error;
	int id, n_domains;
};

static void
on_done(const struct hypervisor_result *result, void *data)
{
	struct answer *answer = data;
	answer->done = TRUE;
	answer->error = result->error ? g_error_copy(result->error) : NULL;
	answer->id = result->id;
	answer->n_domains = result->domains ? (int)result->domains->len : -1;
}

static void
on_wake(struct ev_loop *l, ev_timer *watcher, int revents)
{
}

/* Run the loop until *done. */
static void
wait_for(const gboolean *done)
{
	gint64 until = g_get_monotonic_time() + WAIT_LIMIT * G_USEC_PER_SEC;
	ev_timer wake;
	ev_timer_init(&wake, on_wake, 0.1, 0.1);
	ev_timer_start(loop, &wake);
	while (!*done && g_get_monotonic_time() < until)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &wake);
	g_assert_true(*done);
}

static char *
xml_of(const char *uuid)
{
	return g_strdup_printf("<domain type='test'><name>guest</name><uuid>%s</uuid>"
			       "<memory>8192</memory><os><type>hvm</type></os></domain>",
			       uuid);
}

static struct hypervisor_qemu
start(void)
{
	g_autofree char *xml = xml_of(OURS);
	struct answer answer = {0};
	hypervisor_start(hypervisor, "guest", OURS, xml, on_done, &answer);
	wait_for(&answer.done);
	g_assert_no_error(answer.error);
	g_assert_cmpint(answer.id, >, 0);
	return (struct hypervisor_qemu){.uuid = (char *)OURS, .id = answer.id};
}

static void
end(const struct hypervisor_qemu *qemu)
{
	struct answer answer = {0};
	hypervisor_destroy(hypervisor, qemu, on_done, &answer);
	wait_for(&answer.done);
	g_assert_no_error(answer.error);
}

/* The id that the domain has now, 0: there is none. */
static int
id_now(const char *uuid)
{
	virDomainPtr domain = virDomainLookupByUUIDString(theirs, uuid);
	int id = domain ? (int)virDomainGetID(domain) : 0;
	if (domain)
		virDomainFree(domain);
	return id;
}

/* Report this as libvirt, and wait until the loop has the report. */
static void
report(virDomainPtr domain, int event, gboolean without_id)
{
	g_assert_nonnull(lifecycle);
	last.told = FALSE;
	id_is_forgotten = without_id;
	lifecycle(theirs, domain, event, VIR_DOMAIN_EVENT_STOPPED_DESTROYED, lifecycle_data);
	id_is_forgotten = FALSE;
	wait_for(&last.told);
}

static void
test_reports(void)
{
	struct hypervisor_qemu first = start();
	virDomainPtr domain = virDomainLookupByUUIDString(theirs, OURS);
	report(domain, VIR_DOMAIN_EVENT_STARTED, FALSE);
	g_assert_cmpint(last.event, ==, HYPERVISOR_STARTED);
	g_assert_cmpint(last.id, ==, first.id);
	g_assert_cmpstr(last.uuid, ==, OURS);
	end(&first);
	struct hypervisor_qemu second = start();
	g_assert_cmpint(second.id, !=, first.id);
	virDomainPtr next = virDomainLookupByUUIDString(theirs, OURS);

	/* the end of the first is reported while the second runs, but before the second's start
	 * is */
	report(domain, VIR_DOMAIN_EVENT_STOPPED, TRUE);
	g_assert_cmpint(last.event, ==, HYPERVISOR_STOPPED);
	g_assert_cmpint(last.id, ==, first.id);
	report(next, VIR_DOMAIN_EVENT_STARTED, FALSE);
	report(next, VIR_DOMAIN_EVENT_STOPPED, TRUE);
	g_assert_cmpint(last.id, ==, second.id);
	/* an end without a reported start */
	report(next, VIR_DOMAIN_EVENT_STOPPED, TRUE);
	g_assert_cmpint(last.id, ==, 0);
	/* most ends are reported with the id */
	report(domain, VIR_DOMAIN_EVENT_STOPPED, FALSE);
	g_assert_cmpint(last.id, ==, first.id);

	/* one that ran before the daemon */
	struct answer answer = {0};
	hypervisor_list(hypervisor, on_done, &answer);
	wait_for(&answer.done);
	report(next, VIR_DOMAIN_EVENT_STOPPED, TRUE);
	g_assert_cmpint(last.id, ==, second.id);
	virDomainFree(domain);
	virDomainFree(next);
	end(&second);
}

/* libvirt's driver for QEMU gives an object without an id of such a domain. */
static void
test_list(void)
{
	struct hypervisor_qemu qemu = start();
	struct answer before = {0}, ended = {0}, failed = {0};
	hypervisor_list(hypervisor, on_done, &before);
	wait_for(&before.done);
	g_assert_no_error(before.error);
	g_assert_cmpint(before.n_domains, >, 0);
	g_atomic_int_set(&listed, LISTED_END);
	hypervisor_list(hypervisor, on_done, &ended);
	wait_for(&ended.done);
	g_assert_no_error(ended.error);
	g_assert_cmpint(ended.n_domains, ==, 0);
	g_atomic_int_set(&listed, LISTED_FAIL);
	hypervisor_list(hypervisor, on_done, &failed);
	wait_for(&failed.done);
	g_atomic_int_set(&listed, LISTED_RUN);
	g_assert_error(failed.error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT);
	g_clear_error(&failed.error);
	end(&qemu);
}

static void
assert_gone(struct answer *answer, const char *why)
{
	wait_for(&answer->done);
	g_assert_error(answer->error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_GONE);
	g_assert_cmpstr(answer->error->message, ==, why);
	g_clear_error(&answer->error);
}

static void
assert_all_gone(const struct hypervisor_qemu *qemu, const char *why)
{
	struct answer answers[7] = {0};
	hypervisor_power_button(hypervisor, qemu, on_done, &answers[0]);
	hypervisor_monitor(hypervisor, qemu, "quit", on_done, &answers[1]);
	hypervisor_look(hypervisor, qemu, on_done, &answers[2]);
	hypervisor_resume(hypervisor, qemu, on_done, &answers[3]);
	for (gsize i = 0; i < HYPERVISOR_CALLS_MAX; i++)
		assert_gone(&answers[i], why);
	hypervisor_save(hypervisor, qemu, "a", FALSE, on_done, &answers[4]);
	hypervisor_load(hypervisor, qemu, "a", on_done, &answers[5]);
	hypervisor_drop(hypervisor, qemu, "a", on_done, &answers[6]);
	for (gsize i = HYPERVISOR_CALLS_MAX; i < G_N_ELEMENTS(answers); i++)
		assert_gone(&answers[i], why);
	end(qemu);
}

static void
test_calls(void)
{
	struct hypervisor_qemu first = start();
	end(&first);
	g_assert_cmpint(id_now(OURS), ==, 0);
	assert_all_gone(&first, "it does not run");
	struct hypervisor_qemu second = start();
	assert_all_gone(&first, "it has ended, and another QEMU of its guest runs");
	g_assert_cmpint(id_now(OURS), ==, second.id);
	end(&second);
	g_assert_cmpint(id_now(OURS), ==, 0);
}

static void
test_another_domain(void)
{
	g_autofree char *xml = xml_of(THEIRS), *ours = xml_of(OURS);
	virDomainPtr domain = virDomainCreateXML(theirs, xml, 0);
	g_assert_nonnull(domain);
	int id = (int)virDomainGetID(domain);
	const struct hypervisor_qemu qemu = {.uuid = (char *)OURS, .id = id};
	assert_all_gone(&qemu, "it does not run");
	struct answer answer = {0};
	hypervisor_start(hypervisor, "guest", OURS, ours, on_done, &answer);
	wait_for(&answer.done);
	g_assert_error(answer.error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT);
	g_assert_nonnull(strstr(answer.error->message, "a domain named guest that is not ours"));
	g_clear_error(&answer.error);
	g_assert_cmpint(id_now(THEIRS), ==, id);
	virDomainDestroy(domain);
	virDomainFree(domain);
}

/* Under lock. */
static void
wait_for_change(void)
{
	gint64 until = g_get_monotonic_time() + WAIT_LIMIT * G_USEC_PER_SEC;
	g_assert_true(g_cond_wait_until(&changed, &lock, until));
}

/* A call has found its QEMU and is slow to act: until it has, no other QEMU runs in its place. */
static void
test_slow_call(void)
{
	struct hypervisor_qemu first = start();
	g_autofree char *xml = xml_of(OURS);
	struct answer pressed = {0}, started = {0};
	g_mutex_lock(&lock);
	buttons_are_held = TRUE;
	hypervisor_power_button(hypervisor, &first, on_done, &pressed);
	while (!button_is_held)
		wait_for_change();
	g_mutex_unlock(&lock);

	virDomainPtr domain = virDomainLookupByUUIDString(theirs, OURS);
	virDomainDestroy(domain);
	virDomainFree(domain);
	g_mutex_lock(&lock);
	lookups = 0;
	hypervisor_start(hypervisor, "guest", OURS, xml, on_done, &started);
	while (lookups < 3 && !created_meanwhile) /* it has seen that the first is gone */
		wait_for_change();
	g_assert_false(created_meanwhile);
	buttons_are_held = FALSE;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&lock);

	wait_for(&pressed.done);
	wait_for(&started.done);
	g_clear_error(&pressed.error);
	g_assert_no_error(started.error);
	g_assert_cmpint(id_now(OURS), ==, started.id);
	const struct hypervisor_qemu second = {.uuid = (char *)OURS, .id = started.id};
	end(&second);
}

/* What was said to the monitor since the last look. */
static void
assert_commands(const char *expected)
{
	g_mutex_lock(&lock);
	g_assert_cmpstr(commands->str, ==, expected);
	g_string_truncate(commands, 0);
	g_mutex_unlock(&lock);
}

static void
monitor_answers(const char *verb, const char *words)
{
	g_mutex_lock(&lock);
	refused = verb;
	refusal = words;
	g_mutex_unlock(&lock);
}

static void
assert_refused(struct answer *answer, const char *words)
{
	wait_for(&answer->done);
	g_assert_error(answer->error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR);
	g_assert_cmpstr(answer->error->message, ==, words);
	g_clear_error(&answer->error);
	answer->done = FALSE;
}

static void
test_state_commands(void)
{
	struct hypervisor_qemu qemu = start();
	struct answer answer = {0};
	hypervisor_save(hypervisor, &qemu, "a", FALSE, on_done, &answer);
	wait_for(&answer.done);
	g_assert_no_error(answer.error);
	assert_commands("savevm a;");
	answer.done = FALSE;
	hypervisor_load(hypervisor, &qemu, "a", on_done, &answer);
	wait_for(&answer.done);
	g_assert_no_error(answer.error);
	assert_commands("loadvm a;");
	monitor_answers("savevm", "broken: -5\r\nError: no room\r\n");
	answer.done = FALSE;
	hypervisor_save(hypervisor, &qemu, "a", TRUE, on_done, &answer);
	assert_refused(&answer, "QEMU's savevm: broken: -5; no room");
	assert_commands("stop;savevm a;cont;"); /* it goes on */
	monitor_answers("delvm", "Error: Device 'd' could not find snapshot 'a'");
	hypervisor_drop(hypervisor, &qemu, "a", on_done, &answer);
	wait_for(&answer.done);
	g_assert_no_error(answer.error);
	answer.done = FALSE;
	monitor_answers("delvm", "Error: input/output error");
	hypervisor_drop(hypervisor, &qemu, "a", on_done, &answer);
	assert_refused(&answer, "QEMU's delvm: input/output error");
	monitor_answers(NULL, NULL);
	assert_commands("delvm a;delvm a;");
	end(&qemu);
}

/* What libvirt reports of a pause; then another report, after which it is known what became of it.
 */
static void
report_pause(virDomainPtr domain)
{
	lifecycle(theirs, domain, VIR_DOMAIN_EVENT_SUSPENDED, 0, lifecycle_data);
	lifecycle(theirs, domain, VIR_DOMAIN_EVENT_RESUMED, 0, lifecycle_data);
	report(domain, VIR_DOMAIN_EVENT_STARTED, FALSE);
}

static void
test_our_pause(void)
{
	struct hypervisor_qemu qemu = start();
	virDomainPtr domain = virDomainLookupByUUIDString(theirs, OURS);
	struct answer answer = {0};
	report(domain, VIR_DOMAIN_EVENT_STARTED, FALSE);
	pauses = 0;
	g_mutex_lock(&lock);
	monitor_is_held = TRUE;
	hypervisor_save(hypervisor, &qemu, "a", FALSE, on_done, &answer);
	while (!commands->len)
		wait_for_change();
	g_mutex_unlock(&lock);
	lifecycle(theirs, domain, VIR_DOMAIN_EVENT_SUSPENDED, 0, lifecycle_data);
	report(domain, VIR_DOMAIN_EVENT_STOPPED, TRUE);
	g_assert_cmpint(pauses, ==, 0);
	g_mutex_lock(&lock);
	monitor_is_held = FALSE;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&lock);
	wait_for(&answer.done);
	g_assert_cmpint(pauses, ==, 1); /* somebody else may have paused it meanwhile */
	report_pause(domain);
	g_assert_cmpint(pauses, ==, 3); /* a person's */

	/* it stands still as long as we want */
	answer.done = FALSE;
	hypervisor_save(hypervisor, &qemu, "b", TRUE, on_done, &answer);
	wait_for(&answer.done);
	lifecycle(theirs, domain, VIR_DOMAIN_EVENT_SUSPENDED, 0, lifecycle_data);
	report(domain, VIR_DOMAIN_EVENT_STOPPED, TRUE);
	g_assert_cmpint(pauses, ==, 3);
	assert_commands("savevm a;stop;savevm b;");

	/* the next QEMU of the guest is another matter */
	virDomainFree(domain);
	end(&qemu);
	qemu = start();
	domain = virDomainLookupByUUIDString(theirs, OURS);
	report_pause(domain);
	g_assert_cmpint(pauses, ==, 5);
	virDomainFree(domain);
	end(&qemu);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_autofree char *folder = g_dir_make_tmp("hypervisor-XXXXXX", NULL);
	g_autofree char *log = g_build_filename(folder, "libvirt.log", NULL);
	commands = g_string_new(NULL);
	loop = ev_loop_new(EVFLAG_AUTO);
	struct tasks *tasks = tasks_new(loop, 4);
	hypervisor = hypervisor_new(tasks, DRIVER, folder, folder, NULL, on_event, NULL, NULL);
	g_assert_nonnull(hypervisor);
	theirs = virConnectOpen(DRIVER);
	g_assert_nonnull(theirs);
	g_test_add_func("/hypervisor/a-report-names-its-qemu-even-if-it-comes-late", test_reports);
	g_test_add_func("/hypervisor/a-domain-that-ends-while-it-is-listed-has-ended", test_list);
	g_test_add_func("/hypervisor/a-call-about-an-ended-qemu-does-not-reach-the-next-one",
			test_calls);
	g_test_add_func("/hypervisor/a-domain-of-that-name-that-is-not-ours-is-left-alone",
			test_another_domain);
	g_test_add_func("/hypervisor/no-qemu-starts-while-a-call-acts-on-the-one-before",
			test_slow_call);
	g_test_add_func("/hypervisor/a-state-is-saved-and-loaded-by-the-monitor",
			test_state_commands);
	g_test_add_func("/hypervisor/our-own-pause-is-not-reported-and-others-are", test_our_pause);
	int status = g_test_run();
	g_string_free(commands, TRUE);
	tasks_finish(tasks);
	virConnectClose(theirs);
	ev_loop_destroy(loop);
	g_free(last.uuid);
	remove(log);
	remove(folder);
	return status;
}
