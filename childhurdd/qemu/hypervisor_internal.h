/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What hypervisor.c (the calls), hypervisor_monitor.c and hypervisor_connection.c share. */
#ifndef CHILDHURDD_QEMU_HYPERVISOR_INTERNAL_H
#define CHILDHURDD_QEMU_HYPERVISOR_INTERNAL_H

#include <json-glib/json-glib.h>
#include <libvirt/libvirt.h>

#include "childhurdd/qemu/hypervisor.h"

struct hypervisor {
	struct tasks *tasks;
	char *uri;
	char *root; /* of the embedded driver; NULL: another uri */
	char *path; /* the path to root that libvirt gets */
	uid_t user; /* the user that QEMU runs as */
	char *logs; /* of its QEMUs; NULL: another uri */
	hypervisor_event_fn event;
	void *data;
	/* UUID => number of calls to its monitor under way; the loop's */
	GHashTable *asked;
	/* UUID => id of the QEMU whose guest we have made stand still; the loop's */
	GHashTable *stilled;
	/* UUID => id of the QEMU that libvirt has last reported started, or listed; the loop's */
	GHashTable *begun;
	GMutex lock;
	GHashTable *acting;	  /* UUID => number of calls that act on its QEMU; under lock */
	virConnectPtr connection; /* under lock */
	gboolean opened;	  /* there was one; under lock */
	gboolean listed;	  /* before the first start: all domains are known; a worker's */
};

enum call_kind {
	CALL_START,
	CALL_DESTROY,
	CALL_POWER_BUTTON,
	CALL_MONITOR,
	CALL_SAVE,
	CALL_SAVE_AND_STAY,
	CALL_LOAD,
	CALL_DROP,
	CALL_LOOK,
	CALL_RESUME,
	CALL_LIST
};

struct hypervisor_call {
	struct hypervisor *hypervisor;
	struct task *task;
	enum call_kind kind;
	char *name; /* of a start */
	struct hypervisor_qemu qemu;
	char *text;
	hypervisor_fn done;
	void *data;
	/* written by the worker */
	GError *error;
	char *answer;
	enum hypervisor_running running;
	GPtrArray *domains;
	gboolean counted; /* among the calls about its QEMU */
	gboolean stays;	  /* the guest stands still after it */
};

/* For a worker. What a call asks QEMU's monitor, or tells it: each kind but a start, a list, an end
 * and the power button. */
void hypervisor_use_monitor(virDomainPtr domain, struct hypervisor_call *call);

/* Set up libvirt once for the process. log: the file that libvirt logs to. */
gboolean hypervisor_start_libvirt(const char *log, GError **error);
/* In the loop. These domains run: libvirt's reports of their ends are about these QEMUs. */
void hypervisor_note_listed(struct hypervisor *hypervisor, const GPtrArray *domains);
/* For a worker. A reference to a connection that works, opened (again) if there is none. NULL: an
 * error. */
virConnectPtr hypervisor_connect(struct hypervisor *hypervisor, GError **error);
/* Set the error of this thread's last call of libvirt. */
void hypervisor_set_error(GError **error, const char *what);
/* A text in QEMU's answer; "" if it is missing or no text. A QEMU that its guest controls may
 * answer anything. */
const char *hypervisor_member(JsonObject *object, const char *name);

#endif
