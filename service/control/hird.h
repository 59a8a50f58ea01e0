/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All that the control protocol knows of the hird: its guests, and the functions that it offers. So
 * a test can serve a hird of its own.
 */
#ifndef SERVICE_CONTROL_HIRD_H
#define SERVICE_CONTROL_HIRD_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <sys/types.h>

#include "offload/published.h"

#define CONTROL_ADMIN_GROUP "childhurd-admin" /* its members may change things */

/* The limits of what a client may do; the manual lists them. */
#define CONTROL_CLIENTS_MAX	 256 /* connections; another one is refused with the error Busy */
#define CONTROL_CLIENTS_PER_USER 64  /* of one user who is neither root nor the daemon's own */
#define CONTROL_CLIENTS_KEPT	 16  /* more for root and the daemon's own user */
#define CONTROL_MESSAGE_MAX	 (64 * 1024) /* bytes of one request */
#define CONTROL_BACKLOG_MAX                                                                        \
	(1024 * 1024) /* bytes that wait for a slow reader until it is cut off */
#define CONTROL_EVENTS_KEPT                                                                        \
	1024 /* events for late readers; for another one, the guest with the most loses one */
#define CONTROL_TYPED_MAX	   (64 * 1024) /* typed bytes that a guest has not taken yet */
#define CONTROL_REQUEST_TIMEOUT_MS 10000       /* from the first byte of a request to its NUL */

/* The group that may use the socket, and the one that may change things; -1: there is none. */
struct control_groups {
	gid_t users, admins;
};

/* One step of the last probe. */
struct control_step {
	const char *name;   /* "banner" */
	const char *result; /* "ok", or the error */
	gint64 ms;	    /* how long it took; -1: unknown */
};

/* One guest. Strings are borrowed, and valid until the loop runs again; NULL: unknown. */
struct control_guest {
	const char *name;
	const char *state; /* "ready" */
	gint64 since; /* when the state was entered, wall clock, microseconds since the epoch */
	const char
	    *why; /* why it is in this state: "started by root", "QEMU was killed by signal 9" */
	const char *phase; /* what it does or waits for now: "waiting for the SSH banner" */
	gboolean published;
	gboolean autostart;	   /* configured to start with the daemon */
	gboolean autostart_asleep; /* ... to sleep from then on */
	const char *listen_address;
	int ssh_port;
	gboolean taken_over; /* unresponsive, and only not proven yet by this daemon */
	gboolean drained;    /* it gets no build until it is undrained; and no stop is under way */
	gboolean undecided;  /* stopped, and it is not known yet whether it runs and is wanted up */
	gboolean persistent; /* a reset costs what is on its disk */
	int builds;	     /* running builds; -1: unknown */
	int slots;	     /* builds that may run at a time */
	gint64 memory;	     /* bytes that QEMU has in memory; 0: it does not run */
	int restarts;	     /* automatic ones, since the daemon or an operator started it */
	gint64 next_try;     /* at the end of backoff, wall clock µs; 0: none */
	gint64 deadline;     /* of the present phase, wall clock µs; 0: none */
	pid_t pid;	     /* QEMU's; 0: none */
	const char *acceleration; /* "kvm", "tcg" */
	gint64 cpu;		  /* ms of processor time that QEMU has used; -1: unknown */
	const char *admin_user, *user, *private_key, *known_hosts; /* for `childhurdctl ssh` */
	const char *const *host_keys;	  /* "TYPE BASE64", NULL-terminated; NULL: none yet */
	const char *console_log;	  /* path */
	const struct control_step *steps; /* of the last probe that has ended */
	gsize n_steps;
	gint64 probed;		      /* when the last probe ended, wall clock µs; 0: never */
	double skew;		      /* s, the guest's clock minus the host's; NAN: unknown */
	double skew_within;	      /* s by which skew may be wrong; NAN: unknown */
	double load;		      /* NAN: unknown */
	gint64 disk_free, store_free; /* bytes on / and on /gnu/store; -1: unknown */
	gint64 warm_saved;	      /* its warm state, s since the epoch; 0: none */
	const char *warm_off;	      /* why it has none and gets none; NULL: it may have one */
	const char *failure;	      /* path of the report on the last failure; NULL: none */
	const char *banner;
	char **console_tail;	   /* last lines of the console; NULL: no details were wanted */
	char **restart_needed;	   /* what waits for a restart of the guest: configuration keys,
				      "coordinator NAME"; NULL: nothing */
	char **unwritten;	   /* its files that cannot be written, and why; NULL: none */
	const char *record_damage; /* what was wrong with its record, when the daemon read it; NULL:
				      nothing */
};

/* A node, as a coordinator knows it. Strings as above. */
struct control_node {
	const char *name, *ssh, *address;
	const char *state; /* "connected", "connecting", "lost" */
	gint64 since;	   /* when the state was entered, wall clock µs */
	gboolean up;	   /* connected */
	int ready;	   /* guests of it that are listed */
	gint64 guests;	   /* it has; -1: unknown */
	gint64 builds;	   /* that run there; -1: unknown */
	const char *version;
	double skew;	 /* s, its clock minus ours; NAN: unknown */
	const char *why; /* the last error since it was connected */
};

enum control_verb {
	CONTROL_START,
	CONTROL_STOP,
	CONTROL_RESTART,
	CONTROL_RESET,
	CONTROL_RESET_COLD,
	CONTROL_SLEEP,
	CONTROL_DRAIN,
	CONTROL_UNDRAIN,
};

/* One result of a check. */
struct control_finding {
	const char *result; /* "ok", "note", "problem" */
	const char *text;
};

/* answer NULL: why there is none. error: its name, if it is an error; else NULL. All are borrowed.
 */
typedef void (*control_answer_fn)(JsonObject *answer, const char *error, const char *why,
				  void *done_data);

/* A guest that may get no further build. */
struct control_hold {
	const char *guest;
	gint64 number; /* of this time that it is held; none comes twice */
	int port;      /* of its machine */
	int parallel_builds;
};
/* What a node has to be told of this host, as a coordinator. */
struct control_invitation {
	const char *name;	 /* of the section [coordinator NAME] */
	const char *ssh_key;	 /* "TYPE BASE64 COMMENT" */
	const char *signing_key; /* Guix', as one line; NULL: it has none */
};
/* invitation NULL: error has the reason. Both are borrowed. */
typedef void (*control_invite_fn)(const struct control_invitation *invitation, const GError *error,
				  void *done_data);

/* What is wanted of the history. */
struct control_history {
	char **patterns;     /* of guests' names; NULL: all, and the daemon */
	gint64 since, until; /* wall clock µs */
	guint kinds;	     /* bit N for the kind N of history_kind */
};
/* Why there are no records. */
struct control_no_records {
	const char *unknown; /* a pattern that stands for no guest; NULL: it is something else */
	const char *why;
};
/* records: a JSON array as text; NULL: why has the reason. last: no more follow. All are borrowed.
 */
typedef void (*control_records_fn)(const char *records, gboolean last,
				   const struct control_no_records *why, void *done_data);

/* The functions that the hird offers; each gets data, and returns at once. */
struct control_hird {
	void *data;
	/* The guests' names, in the order of the configuration; NULL-terminated, borrowed. */
	const char *const *(*names)(void *data);
	/* Fill guest. details: also the members that need a file to be read (console_tail). FALSE:
	 * no such guest. Allocated members belong to the hird and live until the next call. */
	gboolean (*describe)(void *data, const char *name, gboolean details,
			     struct control_guest *guest);
	/* Begin a command; describe shows the new state when this returns. who: "root", "uid 1000",
	 * for the log. FALSE: refused; error, of any domain, has the reason. */
	gboolean (*command)(void *data, const char *name, enum control_verb verb, gboolean now,
			    const char *who, GError **error);
	/* Wait until what commands did to these guests is kept, even if the daemon is killed. done
	 * is called once, from within or some seconds later. name: the first guest whose state
	 * could not be kept, with the reason in why; NULL: all are kept. */
	void (*kept)(void *data, const char *const *names,
		     void (*done)(const char *name, const char *why, void *done_data),
		     void *done_data);
	/* The files that the daemon cannot write, and why; NULL-terminated, caller frees with
	 * g_strfreev. */
	char **(*unwritten)(void *data);
	/* Read the configuration again and apply it; done is called once, later. messages: lines
	 * with the errors or the changes, NULL-terminated, borrowed. applied FALSE: nothing was
	 * changed. dry: nothing is in any case, and the changes are those that would be made. */
	void (*reload)(void *data, gboolean dry,
		       void (*done)(gboolean applied, const char *const *messages, void *done_data),
		       void *done_data);
	/* The guests for the list of machines, *n of them; borrowed. */
	const struct published_guest *(*machines)(void *data, gsize *n);
	/* The nodes, *n of them; borrowed. NULL: it has none. */
	const struct control_node *(*nodes)(void *data, gsize *n);
	/* Take a PNG of the guest's screen; done(PNG or NULL, error, done_data) is called once, at
	 * once or later. */
	void (*screenshot)(void *data, const char *name,
			   void (*done)(GBytes *png, const GError *error, void *done_data),
			   void *done_data);
	/* The metrics as OpenMetrics text; the caller frees. */
	char *(*metrics)(void *data);
	/* Check the host and the configuration file; done is called once, later. */
	void (*check)(void *data,
		      void (*done)(gboolean good, const struct control_finding *findings, gsize n,
				   void *done_data),
		      void *done_data);
	/* Connect to the guest's serial line; the caller closes the descriptor. -1: error has the
	 * reason; G_IO_ERROR_WOULD_BLOCK if there is a connection already, as QEMU takes one. */
	int (*console)(void *data, const char *name, GError **error);
	/* Pass a call on to the daemon of a node; parameters are taken over. done is called once,
	 * at once or later, with its reply, or with the name and parameters of its error, or with
	 * the reason why there is no answer. FALSE: no such node. NULL: there are none. */
	gboolean (*ask_node)(void *data, const char *node, const char *method,
			     JsonObject *parameters, control_answer_fn done, void *done_data);
	/* Coordinators elsewhere, each by its name: one begins to follow the machines, or its
	 * connection ends; FALSE: there are too many. The guests that they must hold, *n of them,
	 * borrowed. A report of one: so many slots of the guest have a build, the others are
	 * locked. NULL, all or none: there are no coordinators. */
	gboolean (*join)(void *data, const char *coordinator);
	void (*leave)(void *data, const char *coordinator);
	const struct control_hold *(*holds)(void *data, gsize *n);
	void (*report)(void *data, const char *coordinator, const char *guest, gint64 number,
		       int builds);
	/* What a node has to be told; done is called once, later. NULL: there is no such method. */
	void (*invite)(void *data, control_invite_fn done, void *done_data);
	/* The history. The number of a kind of records; -1: there is none of that name. Open a
	 * reading; NULL: *why has the reason, which the caller frees. Read the next piece: done is
	 * called once, from the loop, unless the reading is closed before. NULL: there is none. */
	int (*history_kind)(const char *name);
	void *(*history_open)(void *data, const struct control_history *wanted, char **why);
	void (*history_next)(void *data, void *reading, control_records_fn done, void *done_data);
	void (*history_close)(void *data, void *reading);
	/* A picture that a failure has; done(PNG or NULL, error or NULL, done_data) is called once,
	 * later. */
	void (*history_picture)(void *data, gint64 id,
				void (*done)(GBytes *png, const GError *error, void *done_data),
				void *done_data);
	/* If the history begins later than it would if all was kept: why, which the caller frees,
	 * and when (wall clock µs). NULL: it does not; or there is no such function. */
	char *(*history_beginning)(void *data, gint64 *begun);
	/* Is what the guests are now still to be written to the lists? NULL: never. */
	gboolean (*publishing)(void *data);
};

/* Something that happened, such as a change of state. number counts up, also over a restart of a
 * daemon that keeps a history, else from 1; an event with 0 is not kept: it only makes clients look
 * at the guests again. */
struct control_event {
	gint64 number;
	gint64 time;	     /* wall clock µs */
	const char *guest;   /* NULL: the daemon */
	const char *state;   /* the state after it; NULL: no change of state */
	gboolean taken_over; /* as in struct control_guest */
	const char *text;
};

#endif
