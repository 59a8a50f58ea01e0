/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "service/report/kinds.h"

#include <glib.h>
#include <string.h>

static const struct {
	const char *state;
	enum kind kind;
} states[] = {
    {"stopped", KIND_STOPPED},	 {"asleep", KIND_ASLEEP},	{"ready", KIND_READY},
    {"draining", KIND_DRAINING}, {"drained", KIND_DRAINING},	{"starting", KIND_MOVING},
    {"booting", KIND_MOVING},	 {"enrolling", KIND_MOVING},	{"restoring", KIND_MOVING},
    {"probing", KIND_MOVING},	 {"stopping", KIND_MOVING},	{"backoff", KIND_TROUBLE},
    {"failed", KIND_TROUBLE},	 {"unresponsive", KIND_TROUBLE}};

static const struct kind_look looks[N_KINDS] = {
    [KIND_UNKNOWN] = {"unknown", "k0", "no daemon ran", 0.1, "?"},
    [KIND_STOPPED] = {"stopped", "k1", "not running", 0.2, "■"},
    [KIND_ASLEEP] = {"asleep", "k2", "not running; a connection wakes it", 0.4, "☾"},
    [KIND_READY] = {"ready", "k3", "takes builds", 1, "✓"},
    [KIND_DRAINING] = {"draining", "k4", "runs, and takes no new builds", 0.8, "▾"},
    [KIND_MOVING] = {"on its way", "k5", "starting, booting, stopping or probed anew", 0.6, "↻"},
    [KIND_TROUBLE] = {"in trouble", "k6", "unresponsive, failed or waiting for its next try", 1,
		      "✕"},
};

enum kind
kind_of_state(const char *state)
{
	for (gsize i = 0; state && i < G_N_ELEMENTS(states); i++)
		if (!strcmp(states[i].state, state))
			return states[i].kind;
	return KIND_UNKNOWN;
}

const struct kind_look *
kind_look(enum kind kind)
{
	return &looks[kind];
}
