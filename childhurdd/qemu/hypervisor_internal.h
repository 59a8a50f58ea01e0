/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the calls (hypervisor.c) and the connection (hypervisor_connection.c) share. */
#ifndef CHILDHURDD_QEMU_HYPERVISOR_INTERNAL_H
#define CHILDHURDD_QEMU_HYPERVISOR_INTERNAL_H

#include <json-glib/json-glib.h>
#include <libvirt/libvirt.h>

#include "childhurdd/qemu/hypervisor.h"

struct hypervisor {
	struct tasks *tasks;
	char *uri;
	char *root; /* of the embedded driver, NULL: another uri */
	char *path; /* to root, as libvirt has it */
	uid_t user; /* whom QEMU runs as */
	char *logs; /* of its QEMUs; NULL: another uri */
	hypervisor_event_fn event;
	void *data;
	/* UUID => number of calls to its monitor under way; the loop's */
	GHashTable *asked;
	/* UUID => id of the QEMU that libvirt has last reported started, or listed; the loop's */
	GHashTable *begun;
	GMutex lock;
	GHashTable *acting;	  /* UUID => number of calls that act on its QEMU; under lock */
	virConnectPtr connection; /* under lock */
	gboolean opened;	  /* there was one; under lock */
};

/* libvirt's process-wide set-up, once; log: the file for what libvirt has to say. */
gboolean hypervisor_start_libvirt(const char *log, GError **error);
/* In the loop. These run: what libvirt reports of their end is about them. */
void hypervisor_note_listed(struct hypervisor *hypervisor, const GPtrArray *domains);
/* For a worker. A reference on a living connection; opened, or opened again, when there is none. */
virConnectPtr hypervisor_connect(struct hypervisor *hypervisor, GError **error);
/* What libvirt has to say about the call of this thread that failed. */
void hypervisor_set_error(GError **error, const char *what);
/* A member of what QEMU says; "" when it is missing or no text: a QEMU that was broken out of says
 * what it likes. */
const char *hypervisor_member(JsonObject *object, const char *name);

#endif
