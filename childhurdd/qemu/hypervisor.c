/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads: the loop's thread makes calls and gets their results, workers run them, and one more
 * thread runs libvirt's event loop. They share only the connection, under its lock. libvirt's
 * threads may report at any time, so a hypervisor is never freed: it lives as long as the process.
 *
 * The embedded driver (https://libvirt.org/drvqemu.html, "Embedded driver") is in this process, but
 * its QEMUs are daemonized. They go on when this process ends, and the next daemon finds them in
 * ROOT/run/qemu.
 */
#include "childhurdd/qemu/hypervisor_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "childhurdd/qemu/libvirt_root.h"
#include "childhurdd/qemu/libvirt_status.h"
#include "childhurdd/system/process.h"
#include "config/base/lack.h"

/* ms that a start waits until libvirt is done with the old domain */
#define STALE_DOMAIN_LIMIT 5000

static guint
calls_of(GHashTable *calls, const char *uuid)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(calls, uuid));
}

static void
calls_count(GHashTable *calls, const char *uuid, int more)
{
	guint n = calls_of(calls, uuid) + (guint)more;
	if (n)
		g_hash_table_replace(calls, g_strdup(uuid), GUINT_TO_POINTER(n));
	else
		g_hash_table_remove(calls, uuid);
}

static gboolean
is_stilled(const struct hypervisor_call *call)
{
	const struct hypervisor_qemu *qemu = &call->qemu;
	return qemu->uuid &&
	       qemu->id ==
		   GPOINTER_TO_INT(g_hash_table_lookup(call->hypervisor->stilled, qemu->uuid));
}

/* The guest runs again, after what this call has done with it. */
static gboolean
still_end(const struct hypervisor_call *call)
{
	gboolean ends = !call->stays && is_stilled(call) &&
			(call->kind == CALL_SAVE || call->kind == CALL_SAVE_AND_STAY ||
			 call->kind == CALL_LOAD || call->kind == CALL_RESUME);
	if (ends)
		g_hash_table_remove(call->hypervisor->stilled, call->qemu.uuid);
	return ends;
}

static void
call_free(void *data)
{
	struct hypervisor_call *call = data;
	if (call->counted)
		calls_count(call->hypervisor->asked, call->qemu.uuid, -1);
	still_end(call);
	g_free(call->name);
	g_free(call->qemu.uuid);
	g_free(call->text);
	g_free(call->answer);
	g_clear_error(&call->error);
	g_clear_pointer(&call->domains, g_ptr_array_unref);
	g_free(call);
}

static void
domain_free(void *data)
{
	struct hypervisor_domain *domain = data;
	g_free(domain->name);
	g_free(domain->qemu.uuid);
	g_free(domain);
}

/* --- in the workers --- */

/*
 * libvirt does not report the pid of a QEMU. QEMU's command line has the UUID, but any other
 * process may have it on its own. The embedded driver writes the pid to a file that only the
 * daemon's user can write. With a libvirtd, only libvirtd knows the user that QEMU runs as. 0:
 * there is none, or, with an error, that is not known.
 */
static pid_t
find_pid(const struct hypervisor *h, const char *name, const char *uuid, GError **error)
{
	pid_t pid;
	if (h->root) {
		g_autofree char *path = g_strdup_printf("%s/run/qemu/%s.pid", h->root, name);
		g_autoptr(GError) why = NULL;
		g_autofree char *text = libvirt_file_text(path, &why);
		if (why) {
			g_propagate_error(error, g_steal_pointer(&why));
			return 0;
		}
		pid_t noted = text ? (pid_t)g_ascii_strtoll(text, NULL, 10) : 0;
		pid = process_is(noted, process_has_uuid, (void *)uuid) ? noted : 0;
	} else {
		pid = process_find(h->user, process_has_uuid, (void *)uuid);
		if (!pid)
			pid = process_find(PROCESS_ANYBODY, process_has_uuid, (void *)uuid);
	}
	if (!pid && errno)
		g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
			    "%s: its QEMU's process is not known: %s", name, g_strerror(errno));
	return pid;
}

static gboolean
is_missing(void)
{
	return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
}

/* The domain of the QEMU that is meant. */
static virDomainPtr
domain_get(virConnectPtr connection, const struct hypervisor_qemu *qemu, GError **error)
{
	virDomainPtr domain = virDomainLookupByUUIDString(connection, qemu->uuid);
	int id = domain ? (int)virDomainGetID(domain) : -1; /* -1 also if it has ended just now */
	if (domain && id == qemu->id)
		return domain;
	if (!domain && !is_missing())
		hypervisor_set_error(error, "libvirt");
	else
		g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_GONE,
			    qemu->id && id > 0 ? "it has ended, and another QEMU of its guest runs"
					       : "it does not run");
	if (domain)
		virDomainFree(domain);
	return NULL;
}

/*
 * libvirt finds a domain by its UUID alone. So a call that has found its QEMU and has yet to act on
 * it is counted, and no other QEMU of that UUID is started meanwhile.
 */
static void
acting(struct hypervisor *h, const char *uuid, int more)
{
	g_mutex_lock(&h->lock);
	calls_count(h->acting, uuid, more);
	g_mutex_unlock(&h->lock);
}

static gboolean
is_acted_on(struct hypervisor *h, const char *uuid)
{
	g_mutex_lock(&h->lock);
	guint n = calls_of(h->acting, uuid);
	g_mutex_unlock(&h->lock);
	return n > 0;
}

/* A libvirtd also has the domains of other programs. */
static gboolean
name_is_ours(virConnectPtr connection, const struct hypervisor_call *call, GError **error)
{
	virDomainPtr domain = virDomainLookupByName(connection, call->name);
	char uuid[VIR_UUID_STRING_BUFLEN];
	if (!domain)
		return TRUE;
	gboolean ours = virDomainGetUUIDString(domain, uuid) == 0 && !strcmp(uuid, call->qemu.uuid);
	virDomainFree(domain);
	if (!ours)
		g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
			    "a domain named %s that is not ours runs already; rename one of them",
			    call->name);
	return ours;
}

/* Wait until the last QEMU of this UUID is gone. libvirt may still list the domain of a QEMU that
 * has just ended, because its event thread has yet to clean up. */
static gboolean
wait_for_stale(virConnectPtr connection, const struct hypervisor_call *call, GError **error)
{
	const char *uuid = call->qemu.uuid;
	gboolean listed = FALSE;
	for (int waited = 0; waited < STALE_DOMAIN_LIMIT; waited += 20) {
		virDomainPtr domain = virDomainLookupByUUIDString(connection, uuid);
		listed = domain != NULL;
		if (!domain && !is_missing()) {
			hypervisor_set_error(error, "libvirt");
			return FALSE;
		}
		if (!domain && !is_acted_on(call->hypervisor, uuid))
			return TRUE;
		if (domain)
			virDomainFree(domain);
		if (domain && find_pid(call->hypervisor, call->name, uuid, error)) {
			g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
				    "its QEMU runs already");
			return FALSE;
		}
		if (*error)
			return FALSE;
		g_usleep(20000);
	}
	g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
		    listed ? "libvirt still lists the domain of an ended QEMU"
			   : "libvirt has not answered yet a call about an ended QEMU");
	return FALSE;
}

static void
do_start(virConnectPtr connection, struct hypervisor_call *call)
{
	if (!name_is_ours(connection, call, &call->error) ||
	    !wait_for_stale(connection, call, &call->error))
		return;
	const char *root = call->hypervisor->root;
	if (root)
		embed_note(root, call->name, 0);
	virDomainPtr domain = virDomainCreateXML(connection, call->text, 0);
	if (!domain) {
		/* libvirt's words about its own files and programs have no errno */
		g_autofree char *lack = lack_now(root ? root : "/");
		hypervisor_set_error(&call->error, lack ? lack : "QEMU does not start");
		return;
	}
	call->qemu.id = (int)virDomainGetID(domain);
	call->qemu.pid = find_pid(call->hypervisor, call->name, call->qemu.uuid, &call->error);
	if (call->error)
		virDomainDestroy(domain); /* nobody could watch it */
	if (root && call->qemu.pid)
		embed_note(root, call->name, call->qemu.pid);
	virDomainFree(domain);
}

/* A domain that runs; NULL: it has ended, or with an error, it is not known what it is. */
static struct hypervisor_domain *
domain_look(struct hypervisor *h, virDomainPtr listed, GError **error)
{
	char uuid[VIR_UUID_STRING_BUFLEN] = "";
	const char *name = virDomainGetName(listed);
	int id = name ? (int)virDomainGetID(listed) : -1;
	/* without an error, it ended while libvirt made the list */
	if (id < 0 && virGetLastErrorCode() == VIR_ERR_OK)
		return NULL;
	if (id < 0 || virDomainGetUUIDString(listed, uuid) < 0) {
		hypervisor_set_error(error, "cannot list the domains");
		return NULL;
	}
	g_autoptr(GError) why = NULL;
	pid_t pid = find_pid(h, name, uuid, &why);
	if (why) {
		g_propagate_error(error, g_steal_pointer(&why));
		return NULL;
	}
	if (h->root && pid)
		embed_note(h->root, name, pid);
	struct hypervisor_domain *domain = g_new0(struct hypervisor_domain, 1);
	domain->name = g_strdup(name);
	domain->qemu.uuid = g_strdup(uuid);
	domain->qemu.id = id;
	domain->qemu.pid = pid;
	return domain;
}

/* Has libvirt found each QEMU of ours? */
static gboolean
all_listed(const struct hypervisor *h, GPtrArray *domains, GError **error)
{
	g_autoptr(GHashTable) pids = g_hash_table_new(g_str_hash, g_str_equal);
	for (guint i = 0; i < domains->len; i++) {
		const struct hypervisor_domain *domain = g_ptr_array_index(domains, i);
		g_hash_table_insert(pids, domain->name, GINT_TO_POINTER(domain->qemu.pid));
	}
	return embed_all_found(h->root, h->path, h->user, pids, error);
}

static void
do_list(virConnectPtr connection, struct hypervisor_call *call)
{
	struct hypervisor *h = call->hypervisor;
	virDomainPtr *list = NULL;
	int n = virConnectListAllDomains(connection, &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	if (n < 0) {
		hypervisor_set_error(&call->error, "cannot list the domains");
		return;
	}
	call->domains = g_ptr_array_new_with_free_func(domain_free);
	for (int i = 0; i < n; i++) {
		struct hypervisor_domain *domain =
		    call->error ? NULL : domain_look(h, list[i], &call->error);
		if (domain)
			g_ptr_array_add(call->domains, domain);
		virDomainFree(list[i]);
	}
	free(list);
	if (call->error || !h->root)
		return;
	/* later a start may be under way */
	h->listed = h->listed || all_listed(h, call->domains, &call->error);
	embed_take_reserve(h->root);
}

static void
do_with_domain(virConnectPtr connection, struct hypervisor_call *call)
{
	virDomainPtr domain = domain_get(connection, &call->qemu, &call->error);
	if (!domain) {
		if (call->kind == CALL_DESTROY &&
		    g_error_matches(call->error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_GONE))
			g_clear_error(&call->error);
		return;
	}
	switch (call->kind) {
	case CALL_DESTROY:
		if (virDomainDestroy(domain) < 0 && !is_missing() &&
		    virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID)
			hypervisor_set_error(&call->error, "QEMU cannot be ended");
		break;
	case CALL_POWER_BUTTON:
		if (virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) < 0)
			hypervisor_set_error(&call->error, "the power button");
		break;
	default:
		hypervisor_use_monitor(domain, call);
		break;
	}
	virDomainFree(domain);
}

static void
call_work(void *data)
{
	struct hypervisor_call *call = data;
	if (call->error) /* it was refused (call_run) */
		return;
	virConnectPtr connection = hypervisor_connect(call->hypervisor, &call->error);
	if (!connection)
		return;
	if (call->kind == CALL_START) {
		do_start(connection, call);
	} else if (call->kind == CALL_LIST) {
		do_list(connection, call);
	} else {
		acting(call->hypervisor, call->qemu.uuid, 1);
		do_with_domain(connection, call);
		acting(call->hypervisor, call->qemu.uuid, -1);
	}
	virConnectClose(connection);
}

/* --- in the loop --- */

static void
call_done(void *data)
{
	struct hypervisor_call *call = data;
	struct hypervisor_result result = {.error = call->error,
					   .text = call->answer,
					   .running = call->running,
					   .id = call->qemu.id,
					   .pid = call->qemu.pid,
					   .domains = call->domains};
	if (call->domains)
		hypervisor_note_listed(call->hypervisor, call->domains);
	/* Has anybody else paused the guest meanwhile? The world looks. */
	if (still_end(call) && call->kind != CALL_RESUME)
		call->hypervisor->event(HYPERVISOR_PAUSED, &call->qemu, NULL,
					call->hypervisor->data);
	if (call->done)
		call->done(&result, call->data);
}

static struct hypervisor_call *
call_run(struct hypervisor *h, enum call_kind kind, const char *name,
	 const struct hypervisor_qemu *qemu, const char *text, hypervisor_fn done, void *data)
{
	struct hypervisor_call *call = g_new0(struct hypervisor_call, 1);
	call->hypervisor = h;
	call->kind = kind;
	call->name = g_strdup(name);
	if (qemu) {
		call->qemu = *qemu;
		call->qemu.uuid = g_strdup(qemu->uuid);
	}
	call->text = g_strdup(text);
	call->done = done;
	call->data = data;
	/* a start is made once, and an end must always be possible */
	gboolean counts = qemu && kind != CALL_START && kind != CALL_DESTROY;
	if (counts && calls_of(h->asked, call->qemu.uuid) >= HYPERVISOR_CALLS_MAX)
		g_set_error(&call->error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR,
			    "QEMU's monitor: %d calls wait for an answer already",
			    HYPERVISOR_CALLS_MAX);
	else if (counts)
		calls_count(h->asked, call->qemu.uuid, 1);
	call->counted = counts && !call->error;
	call->task = task_run(h->tasks, call_work, call_done, call_free, call);
	return call;
}

void
hypervisor_leave(struct hypervisor *h)
{
	if (h->root)
		embed_leave(h->root, h->path, h->user);
}

gboolean
hypervisor_embedded(const struct hypervisor *h)
{
	return h->root != NULL;
}

const char *
hypervisor_logs(const struct hypervisor *h)
{
	return h->logs;
}

gboolean
hypervisor_of_system(const struct hypervisor *h)
{
	g_autoptr(GUri) uri = g_uri_parse(h->uri, G_URI_FLAGS_NONE, NULL);
	return uri && g_str_has_prefix(h->uri, "qemu") && !strcmp(g_uri_get_path(uri), "/system");
}

struct hypervisor_call *
hypervisor_start(struct hypervisor *hypervisor, const char *name, const char *uuid, const char *xml,
		 hypervisor_fn done, void *data)
{
	const struct hypervisor_qemu qemu = {.uuid = (char *)uuid};
	return call_run(hypervisor, CALL_START, name, &qemu, xml, done, data);
}

struct hypervisor_call *
hypervisor_destroy(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu,
		   hypervisor_fn done, void *data)
{
	return call_run(hypervisor, CALL_DESTROY, NULL, qemu, NULL, done, data);
}

struct hypervisor_call *
hypervisor_power_button(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu,
			hypervisor_fn done, void *data)
{
	return call_run(hypervisor, CALL_POWER_BUTTON, NULL, qemu, NULL, done, data);
}

struct hypervisor_call *
hypervisor_monitor(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu,
		   const char *command, hypervisor_fn done, void *data)
{
	return call_run(hypervisor, CALL_MONITOR, NULL, qemu, command, done, data);
}

/* Its pause is ours until the call has ended. */
static struct hypervisor_call *
still_run(struct hypervisor *h, enum call_kind kind, const struct hypervisor_qemu *qemu,
	  const char *tag, hypervisor_fn done, void *data)
{
	g_hash_table_replace(h->stilled, g_strdup(qemu->uuid), GINT_TO_POINTER(qemu->id));
	return call_run(h, kind, NULL, qemu, tag, done, data);
}

struct hypervisor_call *
hypervisor_save(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu, const char *tag,
		gboolean stay, hypervisor_fn done, void *data)
{
	return still_run(hypervisor, stay ? CALL_SAVE_AND_STAY : CALL_SAVE, qemu, tag, done, data);
}

struct hypervisor_call *
hypervisor_load(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu, const char *tag,
		hypervisor_fn done, void *data)
{
	return still_run(hypervisor, CALL_LOAD, qemu, tag, done, data);
}

struct hypervisor_call *
hypervisor_drop(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu, const char *tag,
		hypervisor_fn done, void *data)
{
	return call_run(hypervisor, CALL_DROP, NULL, qemu, tag, done, data);
}

struct hypervisor_call *
hypervisor_look(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu,
		hypervisor_fn done, void *data)
{
	return call_run(hypervisor, CALL_LOOK, NULL, qemu, NULL, done, data);
}

struct hypervisor_call *
hypervisor_resume(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu,
		  hypervisor_fn done, void *data)
{
	return call_run(hypervisor, CALL_RESUME, NULL, qemu, NULL, done, data);
}

struct hypervisor_call *
hypervisor_list(struct hypervisor *hypervisor, hypervisor_fn done, void *data)
{
	return call_run(hypervisor, CALL_LIST, NULL, NULL, NULL, done, data);
}

void
hypervisor_forget(struct hypervisor_call *call)
{
	if (call)
		task_forget(call->task);
}

struct hypervisor *
hypervisor_new(struct tasks *tasks, const char *uri, const char *state_directory,
	       const char *runtime_directory, const struct qemu_user *user,
	       hypervisor_event_fn event, void *data, GError **error)
{
	g_autofree char *full = g_strdup(uri), *root = NULL, *path = NULL;
	g_autofree char *log = g_build_filename(state_directory, "libvirt.log", NULL);
	if (!strcmp(uri, "qemu:///embed")) {
		root = g_build_filename(state_directory, "libvirt", NULL);
		path = embed_path(state_directory, runtime_directory);
		if (!embed_make(root, user, error) || !embed_link(root, path, error))
			return NULL;
		embed_find_home(root);
		g_autofree char *escaped = g_uri_escape_string(path, "/", FALSE);
		g_free(full);
		full = g_strdup_printf("qemu:///embed?root=%s", escaped);
		g_free(log);
		log = g_build_filename(path, EMBED_LOG, NULL);
	}
	if (!hypervisor_start_libvirt(log, error))
		return NULL;
	struct hypervisor *h = g_new0(struct hypervisor, 1);
	h->tasks = tasks;
	h->uri = g_steal_pointer(&full);
	h->root = g_steal_pointer(&root);
	h->logs = h->root ? g_build_filename(h->root, "log", "qemu", NULL) : NULL;
	h->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	h->begun = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	h->stilled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	h->acting = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	h->path = g_steal_pointer(&path);
	h->user = user ? user->identity.uid : geteuid();
	h->event = event;
	h->data = data;
	g_mutex_init(&h->lock);
	return h;
}

gboolean
hypervisor_renew(struct hypervisor *h, GError **error)
{
	return !h->root || embed_link(h->root, h->path, error);
}
