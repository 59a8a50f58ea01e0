/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the hird share: the guests themselves (hird.c), those that run
 * already (take_over.c), what clients ask for (serve.c), and another configuration (reload.c). */
#ifndef CHILDHURDD_HIRD_HIRD_INTERNAL_H
#define CHILDHURDD_HIRD_HIRD_INTERNAL_H

#include "childhurdd/hird/describe.h"
#include "childhurdd/hird/hird.h"
#include "childhurdd/hird/metrics_file.h"
#include "childhurdd/hird/selfcheck.h"
#include "childhurdd/hird/starts.h"
#include "service/control/control.h"

struct hird {
	struct host host;
	struct config *config; /* that holds; the same as host.config */
	GPtrArray *worlds;     /* of struct world, in the order of the configuration */
	GPtrArray *removed;    /* of struct world: no longer configured, on their way down */
	struct starts *starts;
	struct metrics *metrics;
	ev_timer admit, tend, list, open, publish_again, look;
	struct publisher *publisher;
	GQueue after;	    /* of struct follow_up: what waits for the publication */
	char *unpublished;  /* why the last publication failed; NULL: it did not */
	struct lane *loads; /* of the configuration */
	struct lane *logs;  /* their rotation */
	guint reloading;    /* how many were asked for and have no answer yet */
	char *unrenewed;    /* why the rest of the runtime directory cannot be made anew; ditto */
	guint photos;	    /* bits of the screenshots that are being taken */
	gboolean listed;    /* the hypervisor has said which guests run */
	gboolean broken;    /* it never will */
	gboolean opened;    /* clients are answered */
	struct control *control;
	gint64 event_number;
	struct description description;
	struct metrics_file *metrics_file;
	struct selfcheck *selfcheck;
	GPtrArray *names; /* of the worlds; borrowed strings, NULL-terminated */
	GArray *machines;
};

/* Write what coordinators read, where it differs from what is there; done later. */
void hird_publish(struct hird *hird);
/* fn(hird, data) when all is published that was to be until now, or could not be: at once, or
 * later, in the order of the calls. data goes with destroy, also when that is never; NULL: it does
 * not go. */
void hird_after_publishing(struct hird *hird, void (*fn)(struct hird *hird, void *data),
			   GDestroyNotify destroy, void *data);
/* The world of that name, NULL: there is none. */
struct world *hird_find(const struct hird *hird, const char *name);
/* Also among those that are no longer configured. */
struct world *hird_find_any(const struct hird *hird, const char *name);
/* The guests, in their order, and behind them those that are on their way out; NULL: no more. */
struct childhurd *hird_guest(const struct hird *hird, guint i);
/* What else is in the runtime directory, where somebody has deleted it: the control socket, and
 * libvirt's link. */
void hird_renew(struct hird *hird);

/* take_over.c: set up its timers; ask which guests run, and go on from there;
 * what the hypervisor reports. */
void take_over_init(struct hird *hird);
void take_over_begin(struct hird *hird);
void take_over_on_domain(enum hypervisor_event event, const struct hypervisor_qemu *qemu,
			 const char *detail, void *hird);

/* serve.c: what is done for clients of the control socket. */
struct control_hird hird_serve(struct hird *hird);
/* The files of all guests and of the daemon that cannot be written, and why; data: the hird.
 * NULL-terminated; caller frees with g_strfreev. */
char **hird_unwritten(void *data);
/* The figures; data: the hird. Caller frees. */
char *hird_metrics(void *data);

#endif
