/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the control protocol knows of the hird: its guests and what can be asked of it. Through
 * this alone, so that a test can serve a made-up one.
 */
#ifndef SERVICE_CONTROL_HIRD_H
#define SERVICE_CONTROL_HIRD_H

#include <glib.h>
#include <sys/types.h>

#include "offload/published.h"

#define CONTROL_ADMIN_GROUP "childhurd-admin" /* its members may change things */

/* The limits of what a client may do; the manual lists them. */
#define CONTROL_CLIENTS_MAX	 256 /* connections; one more is refused as Busy */
#define CONTROL_CLIENTS_PER_USER 64  /* of one user who is neither root nor the daemon's own */
#define CONTROL_CLIENTS_KEPT	 16  /* beyond CONTROL_CLIENTS_MAX, for these two */
#define CONTROL_MESSAGE_MAX	 (64 * 1024) /* bytes of one request */
#define CONTROL_BACKLOG_MAX                                                                        \
	(1024 * 1024) /* bytes waiting for one slow reader, then it is cut off */
#define CONTROL_EVENTS_KEPT                                                                        \
	1024 /* events that a late reader still gets; one more, and the guest with the most loses  \
		one */
#define CONTROL_TYPED_MAX	   (64 * 1024) /* bytes typed that a guest has not taken yet */
#define CONTROL_REQUEST_TIMEOUT_MS 10000       /* from the first byte of a request to its NUL */

/* The group that may use the socket, and the one that may change things; -1: there is none. */
struct control_groups {
	gid_t users, admins;
};

/* One step of the last probe: how long it took. */
struct control_step {
	const char *name;   /* "banner" */
	const char *result; /* "ok", or the error */
	gint64 ms;	    /* how long it took; -1 unknown */
};

/* What is known of one guest. Strings are borrowed, valid until the loop runs again; NULL: unknown.
 */
struct control_guest {
	const char *name;
	const char *state; /* "ready" */
	gint64 since; /* when the state was entered, wall clock, microseconds since the epoch */
	const char
	    *why; /* why it is in this state: "started by root", "QEMU was killed by signal 9" */
	const char *phase; /* what is being done or waited for now: "waiting for the SSH banner" */
	gboolean published;
	gboolean publishing; /* its state may not be published yet: an event follows when it is */
	gboolean autostart;  /* configured to start with the daemon */
	const char *listen_address;
	int ssh_port;
	int builds;		  /* builds running, -1 unknown */
	int slots;		  /* and how many may */
	gint64 memory;		  /* bytes QEMU has in memory, 0: not running */
	int restarts;		  /* since the daemon or the operator started it */
	gint64 next_try;	  /* backoff: when, wall clock µs; 0: none */
	gint64 deadline;	  /* of the present phase, wall clock µs; 0: none */
	pid_t pid;		  /* QEMU, 0: none */
	const char *acceleration; /* "kvm", "tcg" */
	gint64 cpu;		  /* ms of processor time that QEMU has used; -1 unknown */
	const char *admin_user, *user, *private_key, *known_hosts; /* for `childhurdctl ssh` */
	const char *const *host_keys;	  /* "TYPE BASE64", NULL-terminated; NULL: none yet */
	const char *console_log;	  /* path */
	const struct control_step *steps; /* of the last whole probe */
	gsize n_steps;
	gint64 probed;		      /* when the last probe ended, wall clock µs; 0: never */
	double skew;		      /* guest's clock minus ours in seconds; NAN unknown */
	double skew_within;	      /* seconds that it may be wrong by; NAN unknown */
	double load;		      /* NAN unknown */
	gint64 disk_free, store_free; /* bytes on / and on /gnu/store; -1 unknown */
	const char *failure;	      /* path of what was kept of the last failure; NULL: none */
	const char *banner;
	char **console_tail;   /* last lines of the console, NULL: not asked for */
	char **restart_needed; /* configuration keys that wait for a restart of the guest, NULL:
				  none */
	char **unwritten;      /* its files that cannot be written, and why; NULL: none */
};

enum control_verb {
	CONTROL_START,
	CONTROL_STOP,
	CONTROL_RESTART,
	CONTROL_RESET,
	CONTROL_DRAIN,
	CONTROL_UNDRAIN,
};

/* Something that a check looked at. */
struct control_finding {
	const char *result; /* "ok", "note", "problem" */
	const char *text;
};

/* What the control protocol asks of the hird; data is passed back. All of these return at once. */
struct control_hird {
	void *data;
	/* The names, in the order of the configuration; NULL-terminated, borrowed. */
	const char *const *(*names)(void *data);
	/* Fill guest; details: also what costs a file to be read (console_tail). FALSE: no such
	 * guest. Allocated members belong to the hird and live until the next call. */
	gboolean (*describe)(void *data, const char *name, gboolean details,
			     struct control_guest *guest);
	/* Start doing it; the new state is visible in describe when this returns. who: "root", "uid
	 * 1000", for the log. Errors: G_IO_ERROR-free text that says why not (already failed
	 * config, ...). */
	gboolean (*command)(void *data, const char *name, enum control_verb verb, gboolean now,
			    const char *who, GError **error);
	/* Is what commands did to these guests kept, should the daemon be killed now? done is
	 * called once, from within or later, in seconds. name: NULL: it is; otherwise the first
	 * guest of which it is not, with why. */
	void (*kept)(void *data, const char *const *names,
		     void (*done)(const char *name, const char *why, void *done_data),
		     void *done_data);
	/* The files that the daemon cannot write, and why; NULL-terminated, caller frees with
	 * g_strfreev. */
	char **(*unwritten)(void *data);
	/* Apply the configuration anew: done is called once, later. messages are lines, of char *:
	 * errors, or what changed. applied FALSE: nothing was done. */
	void (*reload)(void *data,
		       void (*done)(gboolean applied, GPtrArray *messages, void *done_data),
		       void *done_data);
	/* What is published now; *n of them, borrowed. */
	const struct published_guest *(*machines)(void *data, gsize *n);
	/* A PNG of the guest's screen, by and by: done(PNG or NULL, error, done_data) is called
	 * once, later. */
	void (*screenshot)(void *data, const char *name,
			   void (*done)(GBytes *png, const GError *error, void *done_data),
			   void *done_data);
	/* The figures as OpenMetrics text; caller frees. */
	char *(*metrics)(void *data);
	/* Look at the host and the configuration file: done is called once, later. */
	void (*check)(void *data,
		      void (*done)(gboolean good, const struct control_finding *findings, gsize n,
				   void *done_data),
		      void *done_data);
	/* A connection to the guest's serial line, which the caller closes; -1 and an error that
	 * says why there is none. One at a time: another one waits for the first to end. */
	int (*console)(void *data, const char *name, GError **error);
};

/* One thing that happened; every state change is one. number counts up from 1 for the daemon's
 * life. */
struct control_event {
	gint64 number;
	gint64 time;	   /* wall clock µs */
	const char *guest; /* NULL: the daemon */
	const char *state; /* the state after it, NULL: no change of state */
	const char *text;
};

#endif
