/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the hird tells the history (childhurdd/history): events, what the guests' states add up to,
 * and what it looks at from time to time: builds, probes and loads.
 */
#ifndef CHILDHURDD_HIRD_CHRONICLE_H
#define CHILDHURDD_HIRD_CHRONICLE_H

#include "childhurdd/hird/roster.h"
#include "childhurdd/history/history.h"
#include "service/control/hird.h"

#define CHRONICLE_BUILDS   2.0	/* s between two looks at the build slots */
#define CHRONICLE_SESSIONS 16.0 /* s between two looks at the sessions of hosts elsewhere */
#define CHRONICLE_SAMPLE   60.0 /* s that a sample of probes and loads is about */
#define CHRONICLE_BEAT	   20.0 /* s after which the history learns that the daemon lives */

struct chronicle;
/* path: of the history's file. earlier: there were guests before. roster is borrowed. Notes nothing
 * before chronicle_begin, but keeps events. */
struct chronicle *chronicle_new(struct ev_loop *loop, const char *path, gboolean earlier,
				const struct roster *roster);
/* Writes what is noted; NULL is allowed. */
void chronicle_free(struct chronicle *chronicle);
struct history *chronicle_history(const struct chronicle *chronicle);
/* Keep the history for so long (ms); 0: keep none. */
void chronicle_keep(struct chronicle *chronicle, gint64 ms);
/* Those guests that an earlier daemon left running are taken over. Begin. */
void chronicle_begin(struct chronicle *chronicle);

void chronicle_event(struct chronicle *chronicle, const struct control_event *event);
/* Something of the guest may have changed; number: of the event that says so, 0: none does. */
void chronicle_look(struct chronicle *chronicle, struct childhurd *c, gint64 number);
/* The guest failed, as its state and why say; picture: path of its screen, NULL: there is none. */
void chronicle_failed(struct chronicle *chronicle, struct childhurd *c, const char *picture);
/* A probe of it took so many seconds. */
void chronicle_probed(struct chronicle *chronicle, const struct childhurd *c, double seconds);
/* It is no longer configured, and is gone. */
void chronicle_gone(struct chronicle *chronicle, const char *guest);

#endif
