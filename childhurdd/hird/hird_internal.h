/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the hird share. roster.c has the guests, publish.c what is published of them;
 * take_over.c, reload.c and serve.c are built on these, and hird.c puts them together. */
#ifndef CHILDHURDD_HIRD_HIRD_INTERNAL_H
#define CHILDHURDD_HIRD_HIRD_INTERNAL_H

#include "childhurdd/hird/chronicle.h"
#include "childhurdd/hird/describe.h"
#include "childhurdd/hird/hird.h"
#include "childhurdd/hird/holds.h"
#include "childhurdd/hird/metrics_file.h"
#include "childhurdd/hird/roster.h"
#include "childhurdd/hird/selfcheck.h"
#include "childhurdd/hird/starts.h"
#include "childhurdd/history/reading.h"
#include "childhurdd/nodes/nodes.h"
#include "service/control/control.h"

struct hird {
	struct host host;
	struct config *config; /* the one in force, as in host.config */
	struct roster roster;
	struct starts *starts;
	struct holds *holds;
	GArray *held; /* the last list of them for clients */
	struct metrics *metrics;
	ev_timer admit, tend, list, open, publish_again, look;
	struct publisher *publisher;
	struct nodes *nodes;
	GQueue after;	    /* of struct follow_up: calls that wait for the publication */
	char *unpublished;  /* why the last publication failed; NULL: it did not fail */
	struct lane *loads; /* reads the configuration */
	struct lane *logs;  /* rotates logs */
	guint reloading;    /* reloads that are not answered yet */
	char *unrenewed;    /* why hird_renew failed; NULL: it did not fail */
	guint photos;	    /* a bit for each screenshot under way */
	gboolean listed;    /* the hypervisor has reported which guests run */
	gboolean broken;    /* it cannot be used */
	gboolean opened;    /* clients are answered */
	struct control *control;
	gint64 event_number; /* goes on where the history ends */
	struct chronicle *chronicle;
	struct readers *readers;
	struct description description;
	struct metrics_file *metrics_file;
	struct selfcheck *selfcheck;
	GPtrArray *names; /* of the worlds; borrowed strings, NULL-terminated */
	GArray *machines;
	GArray *node_list; /* of struct control_node */
};

/* publish.c: set up; run the loop until all is written, PUBLISH_LIMIT at most; clear. */
void publish_init(struct hird *hird);
void publish_settle(struct hird *hird);
void publish_clear(struct hird *hird);
/* Have the files for coordinators written, as far as they change. Returns at once. */
void hird_publish(struct hird *hird);
/* Call fn(hird, data) once all earlier publications are written or have failed: at once or later,
 * in the order of these calls. destroy (NULL: none) frees data in any case. */
void hird_after_publishing(struct hird *hird, void (*fn)(struct hird *hird, void *data),
			   GDestroyNotify destroy, void *data);
/* Create the control socket and libvirt's link again, if they were deleted. */
void hird_renew(struct hird *hird);
/* Create again what was deleted of the runtime directory. */
void publish_look(struct hird *hird);

/* take_over.c: set up its timers; ask which guests run, and take them over; handle the hypervisor's
 * reports. */
void take_over_init(struct hird *hird);
void take_over_begin(struct hird *hird);
void take_over_on_domain(enum hypervisor_event event, const struct hypervisor_qemu *qemu,
			 const char *detail, void *hird);

/* serve.c: the functions for the control socket. */
struct control_hird hird_serve(struct hird *hird);
/* serve_history.c: add those that read the history. */
void hird_serve_history(struct control_hird *serve);
/* The files of guests and daemon that cannot be written, each with the reason; data: the hird.
 * NULL-terminated; caller frees with g_strfreev. */
char **hird_unwritten(void *data);
/* findings.c: what check reports beside childhurdd --check, as its lines; data: the hird. Caller
 * frees. */
char *hird_findings(void *data);
/* The metrics as a text; data: the hird. Caller frees. */
char *hird_metrics(void *data);

#endif
