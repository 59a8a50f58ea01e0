/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of a guest's states in the control protocol. */
#ifndef SERVICE_STATES_H
#define SERVICE_STATES_H

/*
 * STATE(CONSTANT, name): a state of the lifecycle. MADE(name): derived from several facts, and only
 * to wait for: in a drained guest no build runs, and none will.
 */
#define STATES(STATE, MADE)                                                                        \
	STATE(STOPPED, "stopped")                                                                  \
	STATE(STARTING, "starting")                                                                \
	STATE(BOOTING, "booting")                                                                  \
	STATE(ENROLLING, "enrolling")                                                              \
	STATE(READY, "ready")                                                                      \
	STATE(DRAINING, "draining")                                                                \
	MADE("drained")                                                                            \
	STATE(UNRESPONSIVE, "unresponsive")                                                        \
	STATE(STOPPING, "stopping")                                                                \
	STATE(BACKOFF, "backoff")                                                                  \
	STATE(FAILED, "failed")                                                                    \
	STATE(ASLEEP, "asleep")                                                                    \
	STATE(RESTORING, "restoring")

/*
 * Words for people, in place of a state's name. Of a guest that is unresponsive only because this
 * daemon has not proven it yet, as it has just been taken over from another one; and of a drained
 * guest in which no build runs any more.
 */
#define STATE_TAKEN_OVER "probing"
#define STATE_DRAINED	 "drained"

/* All names that a client can wait for; NULL-terminated. */
extern const char *const states_awaited[];
/* The same, and the words for people. */
extern const char *const states_shown[];

#endif
