/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A link to a node: one SSH session, in which `childhurdctl bridge --read-only` leads to the node's
 * daemon, and Machines is followed. Nothing here blocks the loop, and each wait has a limit.
 */
#ifndef CHILDHURDD_NODES_LINK_H
#define CHILDHURDD_NODES_LINK_H

#include <ev.h>
#include <glib.h>
#include <json-glib/json-glib.h>

#include "childhurdd/system/lane.h"
#include "service/varlink.h"
#include "ssh/step.h"

#define LINK_RESOLVE_LIMIT 10000 /* ms for the name's address, and for known_hosts */
#define LINK_ANSWER_LIMIT  60000 /* ms from the login to the first list */
#define LINK_SILENCE	   75000 /* ms without a list: a daemon sends one every CONTROL_BEAT s */
#define LINK_BYTES_MAX	   (16 * 1024 * 1024) /* from one node, within: */
#define LINK_BYTES_PERIOD  10000	      /* ms */
#define LINK_BURST	   20  /* lists from one node that are taken at once, and then one each: */
#define LINK_PACE	   500 /* ms */
#define LINK_STEP_LIMIT	   20000 /* ms for each step to the login: connection, banner, keys, login */
#define LINK_ASK_LIMIT	   10000	     /* ms for an answer to come */
#define LINK_ASK_MAX	   (4 * 1024 * 1024) /* bytes of an answer */
#define LINK_ASKS	   8 /* calls at a time: with the list and a report 10, as sshd allows */
/* Where sshd has a forced command for our key, it runs that instead. */
#define LINK_COMMAND "childhurdctl bridge --read-only"

#define LINK_ERROR (link_error_quark())
GQuark link_error_quark(void);
enum link_error {
	LINK_ERROR_RESOLVE, /* the host's address is not known */
	LINK_ERROR_ANSWER,  /* what answers is no daemon, or sends too much */
	LINK_ERROR_SILENT,  /* there is no answer */
};

struct link;
/* All strings are copied. */
struct link_spec {
	const char *user, *host;
	int port;
	const char *host_key;	 /* "TYPE BASE64"; NULL: those in known_hosts of our user */
	const char *private_key; /* path */
	const char *coordinator; /* our name, by which the node knows our reports */
};
/* The parameters of a reply, borrowed. transit: s that it took from the node, as far as known. May
 * free the link. */
typedef void (*link_list_fn)(struct link *link, JsonObject *parameters, double transit, void *data);
/* The link has ended, or was not made; called once. May free the link. */
typedef void (*link_end_fn)(struct link *link, const GError *error, void *data);

/* The answer to a call: a reply or an error of the daemon there, borrowed. NULL: error has the
 * reason. */
typedef void (*link_answer_fn)(const struct varlink_message *answer, const GError *error,
			       void *data);

/* Connect. lane: where the name is looked up. Calls nothing back before it returns. */
struct link *link_new(struct ev_loop *loop, struct lane *lane, const struct link_spec *spec,
		      link_list_fn list, link_end_fn end, void *data);
/*
 * Send calls, each ended by a NUL, through another bridge; n bytes in all, which are copied. For a
 * link that has got a list. answer gets the answer to the first one. It is called once, within
 * LINK_ASK_LIMIT or when the link is freed, and not before this returns.
 */
void link_ask(struct link *link, const char *calls, gsize n, link_answer_fn answer, void *data);
/* Are LINK_ASKS calls under way? */
gboolean link_is_busy(const struct link *link);
/* Ends it; nothing is called any more. NULL is allowed. */
void link_free(struct link *link);

#endif
