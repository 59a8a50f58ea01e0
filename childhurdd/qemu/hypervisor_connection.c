/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The connection to libvirt, and libvirt's event loop. That has a thread of its own, and its
 * reports are posted to the daemon's loop. The calls themselves are in hypervisor.c.
 */
#include <json-glib/json-glib.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>

#include "childhurdd/qemu/hypervisor_internal.h"

/* An event on its way from libvirt's thread to the loop. */
struct report {
	struct hypervisor *hypervisor;
	enum hypervisor_event event;
	struct hypervisor_qemu qemu;
	char *detail;
};

static void
report_free(void *data)
{
	struct report *report = data;
	g_free(report->qemu.uuid);
	g_free(report->detail);
	g_free(report);
}

/*
 * Find out which QEMU a report is about. If a call has ended a domain, libvirt forgets the id
 * before it reports the end (qemuDomainDestroyFlags in qemu_driver.c). libvirt reports in order, so
 * it means the QEMU whose start it reported last.
 */
static void
report_complete(struct report *report)
{
	GHashTable *begun = report->hypervisor->begun;
	struct hypervisor_qemu *qemu = &report->qemu;
	if (qemu->id < 0)
		qemu->id = GPOINTER_TO_INT(g_hash_table_lookup(begun, qemu->uuid));
	if (report->event == HYPERVISOR_STARTED)
		g_hash_table_replace(begun, g_strdup(qemu->uuid), GINT_TO_POINTER(qemu->id));
	else if (report->event == HYPERVISOR_STOPPED)
		g_hash_table_remove(begun, qemu->uuid);
	if (report->event == HYPERVISOR_STARTED)
		g_hash_table_remove(report->hypervisor->stilled, qemu->uuid);
}

/* libvirt does not tell our own pause of a guest from a person's. */
static gboolean
is_our_pause(const struct report *report)
{
	int id =
	    GPOINTER_TO_INT(g_hash_table_lookup(report->hypervisor->stilled, report->qemu.uuid));
	return report->event == HYPERVISOR_PAUSED && id && id == report->qemu.id;
}

static void
report_deliver(void *data)
{
	struct report *report = data;
	struct hypervisor *h = report->hypervisor;
	if (report->qemu.uuid) {
		report_complete(report);
		if (is_our_pause(report))
			return;
	}
	h->event(report->event, report->qemu.uuid ? &report->qemu : NULL, report->detail, h->data);
}

void
hypervisor_note_listed(struct hypervisor *h, const GPtrArray *domains)
{
	for (guint i = 0; i < domains->len; i++) {
		const struct hypervisor_domain *domain = g_ptr_array_index(domains, i);
		const struct hypervisor_qemu *qemu = &domain->qemu;
		/* An entry stays, because the end of its QEMU may not be reported yet. */
		if (!g_hash_table_contains(h->begun, qemu->uuid))
			g_hash_table_insert(h->begun, g_strdup(qemu->uuid),
					    GINT_TO_POINTER(qemu->id));
	}
}

/* --- in libvirt's event thread --- */

static void
post(struct hypervisor *h, enum hypervisor_event event, virDomainPtr domain, const char *detail)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	if (domain && virDomainGetUUIDString(domain, uuid) < 0)
		return;
	struct report *report = g_new0(struct report, 1);
	report->hypervisor = h;
	report->event = event;
	if (domain) {
		report->qemu.uuid = g_strdup(uuid);
		report->qemu.id = (int)virDomainGetID(domain);
	}
	report->detail = g_strdup(detail);
	tasks_post(h->tasks, report_deliver, report_free, report);
}

static const char *
stop_detail(int detail)
{
	switch (detail) {
	case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
		return "QEMU was shut down";
	case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
		return "QEMU was destroyed";
	case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
		return "QEMU crashed";
	case VIR_DOMAIN_EVENT_STOPPED_FAILED:
		return "QEMU ended unexpectedly";
	default:
		return "QEMU ended";
	}
}

static int
on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
	if (event == VIR_DOMAIN_EVENT_STARTED)
		post(data, HYPERVISOR_STARTED, domain, NULL);
	if (event == VIR_DOMAIN_EVENT_SUSPENDED || event == VIR_DOMAIN_EVENT_RESUMED)
		post(data, HYPERVISOR_PAUSED, domain, NULL);
	if (event == VIR_DOMAIN_EVENT_STOPPED)
		post(data, HYPERVISOR_STOPPED, domain, stop_detail(detail));
	return 0;
}

const char *
hypervisor_member(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);
	const char *text = node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
	return text ? text : "";
}

/* QEMU's SHUTDOWN event has whether the guest or the host asked for it (qapi/run-state.json,
 * ShutdownCause). */
static void
on_monitor_event(virConnectPtr connection, virDomainPtr domain, const char *event,
		 long long seconds, unsigned int microseconds, const char *details, void *data)
{
	g_autoptr(JsonNode) node = details ? json_from_string(details, NULL) : NULL;
	if (!node || !JSON_NODE_HOLDS_OBJECT(node))
		return;
	const char *reason = hypervisor_member(json_node_get_object(node), "reason");
	if (!strcmp(reason, "guest-reset"))
		post(data, HYPERVISOR_RESET_ASKED, domain, NULL);
	else if (!strcmp(reason, "guest-shutdown"))
		post(data, HYPERVISOR_POWER_OFF_ASKED, domain, NULL);
}

static void
on_close(virConnectPtr connection, int reason, void *data)
{
	post(data, HYPERVISOR_LOST, NULL, NULL);
}

static void
no_op_timer(int timer, void *data)
{
}

static void *
run_events(void *data)
{
	virEventAddTimeout(3600 * 1000, no_op_timer, NULL,
			   NULL); /* without a timer libvirt's loop has nothing to wait for */
	for (;;)
		if (virEventRunDefaultImpl() < 0)
			g_usleep(100000);
	return NULL;
}

static void
silent(void *data, virErrorPtr error)
{
}

/* Set up libvirt once for the process. Its event thread lives as long as the process. libvirt logs
 * to a file, unless its environment variable names another output. */
gboolean
hypervisor_start_libvirt(const char *log, GError **error)
{
	static gsize started;
	if (g_once_init_enter(&started)) {
		g_autofree char *output = g_strdup_printf("3:file:%s", log);
		g_setenv("LIBVIRT_LOG_OUTPUTS", output, FALSE);
		gsize ok = virInitialize() == 0 && virEventRegisterDefaultImpl() == 0 ? 2 : 1;
		virSetErrorFunc(NULL, silent);
		if (ok == 2)
			g_thread_unref(g_thread_new("libvirt-events", run_events, NULL));
		g_once_init_leave(&started, ok);
	}
	if (started == 2)
		return TRUE;
	/* libvirt has no place for its last error yet. */
	g_set_error_literal(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
			    "libvirt: cannot be initialized: no memory, or no descriptors");
	return FALSE;
}

/* --- in the workers --- */

void
hypervisor_set_error(GError **error, const char *what)
{
	/* Of a program that failed it gives all its environment and arguments. */
	const char *text = virGetLastErrorMessage();
	const char *from = strstr(text, " (LC_ALL="), *to = from ? strstr(from, ") ") : NULL;
	int head = to ? (int)(from - text) : 0;
	g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT, "%s: %.*s%s", what, head,
		    text, to ? to + 1 : text);
}

virConnectPtr
hypervisor_connect(struct hypervisor *h, GError **error)
{
	g_mutex_lock(&h->lock);
	if (h->connection && virConnectIsAlive(h->connection) != 1) {
		virConnectClose(h->connection);
		h->connection = NULL;
	}
	if (!h->connection) {
		virConnectPtr c = NULL;
		if (!h->root || ((h->opened || embed_tidy(h->root, h->path, h->user, error)) &&
				 embed_link(h->root, h->path, error)))
			c = virConnectOpen(h->uri);
		if (c) {
			virConnectSetKeepAlive(c, 5, 3);
			virConnectRegisterCloseCallback(c, on_close, h, NULL);
			virConnectDomainEventRegisterAny(c, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
							 VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), h,
							 NULL);
			virConnectDomainQemuMonitorEventRegister(c, NULL, "SHUTDOWN",
								 on_monitor_event, h, NULL, 0);
			h->connection = c;
			h->opened = TRUE;
		} else if (!error || !*error) {
			hypervisor_set_error(error, h->uri);
			if (error && strstr((*error)->message, "Failed to parse user"))
				g_prefix_error(
				    error,
				    "libvirt wants the user it was built for, even if no QEMU runs "
				    "as that user; create it (useradd --system --user-group "
				    "NAME): ");
		}
	}
	virConnectPtr connection = h->connection;
	if (connection)
		virConnectRef(connection);
	g_mutex_unlock(&h->lock);
	return connection;
}
