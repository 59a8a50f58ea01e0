/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The list of machines that a node sends, checked. Any of it may be wrong or malicious: what is
 * taken goes into Scheme, ssh_config and known_hosts beside the entries of others. So a list with
 * one wrong word is refused as a whole.
 */
#ifndef CHILDHURDD_NODES_OFFERS_H
#define CHILDHURDD_NODES_OFFERS_H

#include <glib.h>
#include <json-glib/json-glib.h>

#include "offload/published.h"

#define OFFERS_GUESTS_MAX 1000		    /* of one node */
#define OFFERS_BYTES_MAX  (4 * 1024 * 1024) /* of one list */
#define OFFERS_WORDS_MAX  64		    /* systems, features or host keys of a guest */
#define OFFERS_WORD_MAX	  64		    /* bytes of a name, a system or a feature */

#define OFFERS_ERROR (offers_error_quark())
GQuark offers_error_quark(void);
enum offers_error { OFFERS_ERROR_REFUSED };

/* A guest that may get no further build (org.childhurd(7), Hold). */
struct offers_hold {
	char *guest; /* its name on the node */
	gint64 number;
	int port, parallel_builds; /* of its machine */
};

/* Never changed once it is made, so that threads can share it. */
struct offers {
	/* Of struct published_guest: those that are ready or coming. The names are NODE/NAME;
	 * host_name and the keys' paths are NULL, as they are not the node's to choose. */
	GArray *guests;
	guint ready;
	GArray *held;	  /* of struct offers_hold */
	char *version;	  /* of its daemon; NULL: unknown */
	double time;	  /* its clock, s since the epoch; NAN: unknown */
	gint64 builds;	  /* that run there; -1: unknown */
	gint64 present;	  /* how many guests it has; -1: unknown */
	gboolean reports; /* our reports on builds count there */
};

/* The parameters of a reply to Machines, from this node. NULL: refused; the error says what is
 * wrong and where. The caller owns the result. */
struct offers *offers_parse(const char *node, JsonObject *parameters, GError **error);
/* From any thread. */
struct offers *offers_ref(struct offers *offers);
void offers_unref(struct offers *offers); /* NULL is allowed */

/* Would the two lists be published alike? NULL is an empty one. */
gboolean offers_equal(const struct offers *a, const struct offers *b);

/*
 * The guests as parameters that offers_parse takes, all as coming, for the next daemon: in an order
 * that does not depend on which are ready. Caller frees.
 */
char *offers_remember(const struct offers *offers);
/* From such a text; NULL: it is none. */
struct offers *offers_recall(const char *node, const char *text);

#endif
