/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The states of a guest, as few kinds as a reader tells apart in a strip. */
#ifndef SERVICE_REPORT_KINDS_H
#define SERVICE_REPORT_KINDS_H

enum kind {
	KIND_UNKNOWN, /* no daemon ran, or nothing is known */
	KIND_STOPPED,
	KIND_ASLEEP,
	KIND_READY,
	KIND_DRAINING,
	KIND_MOVING,  /* on its way up or down */
	KIND_TROUBLE, /* unresponsive, waiting for its next try, or given up */
	N_KINDS
};

/* How a kind looks. */
struct kind_look {
	const char *name;    /* for the legend and for texts: "ready" */
	const char *class;   /* of the style sheet */
	const char *meaning; /* for the legend */
	double height;	     /* share of the strip's: kinds differ without colours, too */
	const char *sign;    /* a character beside the state's name */
};

/* KIND_UNKNOWN for a state that is not known, or NULL. */
enum kind kind_of_state(const char *state);
const struct kind_look *kind_look(enum kind kind);

#endif
