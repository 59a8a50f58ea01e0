/* SPDX-License-Identifier: GPL-3.0-or-later */
/* childhurdctl's own parts: one verb a function, all over one connection to the daemon. */
#ifndef SERVICE_CTL_CTL_H
#define SERVICE_CTL_CTL_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <stdio.h>

#include "service/varlink.h"

#define CTL_REPLY_LIMIT	  15000		     /* ms the daemon may take for an answer */
#define CTL_DAEMON_LIMIT  10000		     /* ms that `wait` gives a daemon to come up */
#define CTL_DAEMON_RETRY  50		     /* ms between two tries to reach it */
#define CTL_REPLY_MAX	  (64 * 1024 * 1024) /* bytes of one answer */
#define CTL_SSH_CONNECT	  30		     /* s that ssh may take to reach a guest */
#define CTL_TICK	  1000		     /* ms between two redraws of the elapsed time */
#define CTL_CONSOLE_QUIET 2000	/* ms of silence that end a console whose input has ended */
#define CTL_CONSOLE_LIMIT 10000 /* ms after its input's end that it ends in any case */
#define CTL_TOP_INTERVAL  1000	/* ms between two looks of `top` */
#define CTL_SYSTEM	  "/run/childhurd/control" /* the socket of root's daemon */

/* The exit statuses; also the codes of CTL_ERROR, so that an error knows its status. */
enum ctl_exit {
	CTL_DONE = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NO_DAEMON = 3,
	CTL_TIMED_OUT = 4,
	CTL_INTERRUPTED = 130,
};

#define CTL_ERROR (ctl_error_quark())
GQuark ctl_error_quark(void);

/* What a verb may be given; the table in ctl/main.c says which. */
enum ctl_option {
	CTL_OPTION_JSON = 1 << 0,
	CTL_OPTION_ALL = 1 << 1,
	CTL_OPTION_WAIT = 1 << 2,
	CTL_OPTION_TIMEOUT = 1 << 3,
	CTL_OPTION_NOW = 1 << 4,
	CTL_OPTION_FOR = 1 << 5,
	CTL_OPTION_FOLLOW = 1 << 6,
	CTL_OPTION_LINES = 1 << 7,
	CTL_OPTION_SINCE = 1 << 8,
	CTL_OPTION_TERMINAL = 1 << 9,
	CTL_OPTION_AUTOSTART = 1 << 10,
	CTL_OPTION_FORCE = 1 << 11,
	CTL_OPTION_ESCAPE = 1 << 12,
};

/* One run of childhurdctl. */
struct ctl {
	const struct ctl_verb *verb;
	char *socket;	   /* path */
	gboolean searched; /* the path is the default one, not what somebody said */
	char **arguments;  /* what follows the verb, without options */
	guint n_arguments;
	gboolean json, all, wait, now, follow, terminal, force;
	gboolean autostart; /* of all guests, those that are configured so */
	int escape;	    /* the character */
	double timeout;	    /* s; 0: none */
	char *state;	    /* --for */
	gint lines;	    /* -1: not given */
	gint64 since;	    /* -1: not given */

	int fd; /* -1: not connected yet */
	struct varlink_buffer input;
};

struct ctl_verb {
	const char *name;
	const char *arguments; /* for the help: "NAME..." */
	const char *help;      /* one line */
	guint options;	       /* of enum ctl_option */
	guint least, most;     /* how many arguments */
	/* The exit status; what went wrong is in error, or, said already, only in the status. */
	int (*run)(struct ctl *ctl, GError **error);
};

/* --- ctl/connection.c ------------------------------------------------------------------------- */

/* Set socket to where a daemon listens when nobody says so. */
void ctl_find_socket(struct ctl *ctl);
/* Connect, to a daemon that may just be coming up: until monotonic µs `until`, and no longer than
 * CTL_DAEMON_LIMIT. until -1: no other limit. */
gboolean ctl_await_daemon(struct ctl *ctl, gint64 until, GError **error);
/* Send a call; parameters is taken over, NULL: none. Connects when that was not done yet. */
gboolean ctl_send(struct ctl *ctl, const char *method, JsonObject *parameters, gboolean more,
		  GError **error);
/*
 * The next answer, which may be the daemon's error (see ctl_refused). limit: ms, -1: none; when it
 * passes, NULL and CTL_TIMED_OUT. After ctl_catch_interrupt, Ctrl-C gives NULL and CTL_INTERRUPTED.
 */
struct varlink_message *ctl_receive(struct ctl *ctl, gint64 limit, GError **error);
/* Send a call and take its only answer; the daemon's error becomes error. */
struct varlink_message *ctl_call(struct ctl *ctl, const char *method, JsonObject *parameters,
				 GError **error);
/* The same with a call after which the connection speaks another protocol: what of that came
 * already is in input (varlink_buffer_rest). */
struct varlink_message *ctl_upgrade(struct ctl *ctl, const char *method, JsonObject *parameters,
				    GError **error);
void ctl_disconnect(struct ctl *ctl);
/* From now on Ctrl-C ends only ctl_receive. */
void ctl_catch_interrupt(void);

/* A message that is freed at the end of its block. */
static inline void
ctl_message_clear(struct varlink_message **message)
{
	varlink_message_free(*message);
}
#define ctl_auto_message __attribute__((cleanup(ctl_message_clear))) struct varlink_message *

/* --- ctl/reply.c: what is in an answer; of a wrong type counts as missing --------------------- */

/* Borrowed; NULL: missing, null. */
const char *ctl_text(JsonObject *object, const char *name);
double ctl_number(JsonObject *object, const char *name, double missing);
gboolean ctl_flag(JsonObject *object, const char *name);
/* Borrowed; NULL: missing. */
JsonObject *ctl_object(JsonObject *object, const char *name);
/* The objects, or the strings, of an array, borrowed; never NULL. */
GPtrArray *ctl_objects(JsonObject *object, const char *name);
GPtrArray *ctl_texts(JsonObject *object, const char *name);
/* {"names": [...]} of n names. */
JsonObject *ctl_names(const char *const *names, guint n);
/* Is it this error of org.childhurd? */
gboolean ctl_is_error(const struct varlink_message *message, const char *name);
/* When message is an error of the daemon, say it in error, for people, and return TRUE. */
gboolean ctl_refused(const struct varlink_message *message, GError **error);
/* One line on stderr, "childhurdctl: ..."; error is freed. Its exit status. */
int ctl_complain(GError *error);
/* Print the parameters of message as one line of JSON. */
int ctl_print_json(const struct varlink_message *message);

/* --- ctl/words.c: numbers, times and texts for people ----------------------------------------- */

/* The states that can be waited for: those of childhurdd(8), and drained. NULL-terminated. */
extern const char *const ctl_states[];

/* "45s", "3min", "5h", "4d"; caller frees, as with all of these. */
char *ctl_duration(double seconds);
/* "212M", "1.5G"; "-" for 0. */
char *ctl_size(double bytes);
/* "07:12:03", with the date when that is another day. time: s since the epoch. */
char *ctl_time(double time, double now);
/* The same, always with the date. */
char *ctl_date(double time);
double ctl_now(void);
/* On a terminal no control character gets through; elsewhere text stays as it is, but for its line
 * ends when line is TRUE. NULL gives "". */
char *ctl_clean(const char *text, gboolean line);
/* text in the colour of state: green ready, yellow on the way, red failed; as it is where colours
 * are not wanted. */
char *ctl_coloured(const char *state, const char *text);
gboolean ctl_is_terminal(void); /* stdout */
int ctl_width(void);		/* columns of the terminal; 0: stdout is none */
int ctl_height(void);
/* At most width characters of text, the last one "…" when it was longer. width 0: all of it. */
char *ctl_cut(const char *text, int width);
/* "90", "1.5min", "2h" in seconds; FALSE: it is no time. */
gboolean ctl_parse_time(const char *text, double *seconds);

/* --- ctl/terminal.c: keys, for the verbs that take them ----------------------------------------
 */

/* From now on signals end only ctl_terminal_wait; see ctl_terminal_ended. */
void ctl_terminal_signals(void);
/* Raw mode, given back at exit at the latest. greeting, NULL: none, goes to the screen, and goodbye
 * (a constant) when it is given back. FALSE: stdin is no terminal. */
gboolean ctl_terminal_raw(const char *greeting, const char *goodbye);
/* The same, and when it was a signal that ended us, it does so now. */
void ctl_terminal_end(void);
/* poll(2); limit: ms, -1: none. Less than 0: interrupted, and nothing is ready. */
int ctl_terminal_wait(struct pollfd *fds, guint n, gint64 limit);
/* All of it to stdout, while a signal may end the wait for who reads it. FALSE: it did, or errno.
 */
gboolean ctl_terminal_write(const char *bytes, gsize n);
gboolean ctl_terminal_ended(void); /* by a signal */

/* --- ctl/table.c -------------------------------------------------------------------------------
 */

enum ctl_column {
	CTL_COLUMN_NAME,
	CTL_COLUMN_STATE,
	CTL_COLUMN_SINCE,
	CTL_COLUMN_PORT,
	CTL_COLUMN_PUBLISHED,
	CTL_COLUMN_BUILD,
	CTL_COLUMN_CPU,
	CTL_COLUMN_MEMORY,
	CTL_COLUMN_LOAD,
	CTL_COLUMN_RESTARTS,
	CTL_COLUMN_WHY,
};
/* What a line is made of; borrowed. */
struct ctl_row {
	JsonObject *guest;   /* Guest */
	JsonObject *details; /* Details, for CTL_COLUMN_LOAD; NULL: none */
	double cpu;	     /* of a core, for CTL_COLUMN_CPU; NAN unknown */
};
/* The heading and a line for each row with the n wanted columns, the last one cut to the terminal's
 * width. The caller unrefs. */
GPtrArray *ctl_table(const enum ctl_column *wanted, guint n, const struct ctl_row *rows,
		     guint n_rows);

/* --- ctl/guests.c ----------------------------------------------------------------------------- */

/*
 * The names that the arguments (--all, --autostart: none) stand for, each once. A pattern or name
 * that fits none is complained about and makes *status CTL_FAILED. NULL and error: the daemon
 * cannot be asked.
 */
GPtrArray *ctl_expand(struct ctl *ctl, int *status, GError **error);
/* The name of the one guest that the first argument stands for; caller frees. */
char *ctl_only_name(struct ctl *ctl, GError **error);

/* --- ctl/progress.c --------------------------------------------------------------------------- */

struct ctl_progress;
/* What guests do while somebody waits: redrawn in place on a terminal, a line for each change of a
 * state elsewhere. */
struct ctl_progress *ctl_progress_new(void);
void ctl_progress_show(struct ctl_progress *progress, GPtrArray *guests); /* of JsonObject: Guest */
void ctl_progress_tick(struct ctl_progress *progress);
/* Not shown any more. */
void ctl_progress_drop(struct ctl_progress *progress, const char *name);
/* Take it off the terminal, so that other lines can be printed. */
void ctl_progress_hide(struct ctl_progress *progress);
void ctl_progress_free(struct ctl_progress *progress); /* hides it */
/* The Guest of that name as it was last shown, or NULL. */
JsonObject *ctl_progress_guest(struct ctl_progress *progress, const char *name);

/* --- ctl/completion.c: hidden options of childhurdctl --- */

struct ctl_table_of_verbs {
	const struct ctl_verb *verbs;
	gsize n;
	/* The GOptionEntry of verb, NULL: those before the verb. The caller unrefs. */
	GArray *(*options)(const struct ctl_verb *verb);
};
/* --completion SHELL: print its completions. */
int ctl_completion(const char *shell, const struct ctl_table_of_verbs *table, GError **error);
/* --names: the guests, a line each. */
int ctl_print_names(struct ctl *ctl, GError **error);

/* --- the verbs -------------------------------------------------------------------------------- */

int ctl_list(struct ctl *ctl, GError **error);	 /* ctl/guests.c */
int ctl_top(struct ctl *ctl, GError **error);	 /* ctl/top.c */
int ctl_status(struct ctl *ctl, GError **error); /* ctl/status.c */
int ctl_start(struct ctl *ctl, GError **error);	 /* ctl/work.c */
int ctl_stop(struct ctl *ctl, GError **error);
int ctl_restart(struct ctl *ctl, GError **error);
int ctl_reset(struct ctl *ctl, GError **error);
int ctl_drain(struct ctl *ctl, GError **error);
int ctl_undrain(struct ctl *ctl, GError **error);
int ctl_wait(struct ctl *ctl, GError **error);
int ctl_ssh(struct ctl *ctl, GError **error); /* ctl/ssh.c */
int ctl_log(struct ctl *ctl, GError **error); /* ctl/follow.c */
int ctl_events(struct ctl *ctl, GError **error);
int ctl_console(struct ctl *ctl, GError **error); /* ctl/console.c */
/* The character that "^]" or "~" stands for; -1: that is none. */
int ctl_escape_character(const char *text);
int ctl_machines(struct ctl *ctl, GError **error); /* ctl/daemon.c */
int ctl_metrics(struct ctl *ctl, GError **error);
int ctl_screenshot(struct ctl *ctl, GError **error);
int ctl_reload(struct ctl *ctl, GError **error);
int ctl_check(struct ctl *ctl, GError **error);
int ctl_version(struct ctl *ctl, GError **error);

#endif
