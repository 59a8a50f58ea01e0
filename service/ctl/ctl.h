/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of childhurdctl share. Each verb is a function; all use one connection to the
 * daemon. */
#ifndef SERVICE_CTL_CTL_H
#define SERVICE_CTL_CTL_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <stdio.h>

#include "service/varlink.h"

#define CTL_REPLY_LIMIT	  15000		     /* ms the daemon may take to reply */
#define CTL_HISTORY_LIMIT 3000		     /* ms for events of the history, beside the daemon's */
#define CTL_DAEMON_LIMIT  10000		     /* ms that `wait` waits for a daemon to listen */
#define CTL_DAEMON_RETRY  50		     /* ms between two tries to connect */
#define CTL_REPLY_MAX	  (64 * 1024 * 1024) /* bytes of one reply */
#define CTL_SSH_CONNECT	  30		     /* s that ssh may take to connect to a guest */
#define CTL_HOST_LIMIT	  180000	     /* ms that ssh may take to log in to another host */
#define CTL_TICK	  1000		     /* ms between two redraws of the elapsed time */
#define CTL_TOP_INTERVAL  1000		     /* ms between two requests of `top` */
#define CTL_SYSTEM	  "/run/childhurd/control" /* the socket of root's daemon */

/* ms of silence from the guest that end a console session after the end of its input. */
#define CTL_CONSOLE_QUIET 2000
/* ms after the end of its input at which a console session ends in any case. */
#define CTL_CONSOLE_LIMIT 10000

/* The exit statuses. They are also the codes of CTL_ERROR, so each error carries its status. */
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

/* The options. The table in main.c lists which of them each verb takes. */
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
	CTL_OPTION_COLD = 1 << 13,
	CTL_OPTION_SHA512 = 1 << 14,
	CTL_OPTION_CONFIG = 1 << 15,
	CTL_OPTION_READ_ONLY = 1 << 16,
	CTL_OPTION_NODES = 1 << 18,
	CTL_OPTION_OUTPUT = 1 << 27,
	CTL_OPTION_SORT = 1 << 28,
	CTL_OPTION_STATES = 1 << 29,
	CTL_OPTION_YES = 1 << 20,
	CTL_OPTION_DRY_RUN = 1 << 21,
	CTL_OPTION_QUIET = 1 << 24,
	CTL_OPTION_PERIOD = 1 << 25, /* --since and --until */
	/* No option: with --host the verb runs on that host as a whole. */
	CTL_THERE = 1 << 17,
};

/* One run of childhurdctl. */
struct ctl {
	const struct ctl_verb *verb;
	char *host;	   /* [USER@]HOST[:PORT], whose daemon is meant; NULL: this one's */
	GPid ssh;	   /* that leads there; 0: none runs */
	char *socket;	   /* path; with a host: there, and NULL for the default one */
	gboolean searched; /* the path is a default, not given by the user */
	char **arguments;  /* the words after the verb, without options */
	guint n_arguments;
	gboolean json, all, wait, now, cold, follow, terminal, force;
	gboolean autostart; /* all guests that are configured with autostart */
	gboolean nodes;	    /* those of all nodes, too */
	gboolean read_only;
	/* Of list, as they were given; NULL: they were not. */
	char *output, *sort, *states;
	int escape;	   /* the character */
	double timeout;	   /* s; 0: none */
	char *state;	   /* --for */
	char *sha512;	   /* NULL: not given */
	char *config;	   /* a file; NULL: not given */
	gint lines;	   /* -1: not given */
	gint64 since;	   /* an event's number; -1: not given */
	double since_time; /* s since the epoch; 0: not given */
	gboolean yes, dry_run, quiet;
	char *from, *to; /* of a period; NULL: not given */
	int fd;		 /* -1: not connected yet */
	struct varlink_buffer input;
	struct varlink_message *events; /* what status has asked for last; NULL: nothing */
	char *events_node;		/* of which node; "": of this host */
	gboolean no_history;		/* it has failed, and is not asked again */
};

struct ctl_verb {
	const char *name;
	const char *arguments; /* for the help: "NAME..." */
	const char *help;      /* one line */
	guint options;	       /* of enum ctl_option */
	guint least, most;     /* number of arguments */
	/* Returns the exit status. A failure is in error, or is printed already and only in the
	 * status. */
	int (*run)(struct ctl *ctl, GError **error);
};

/* --- connection.c --- */

/* Set socket to the default path; with a host, that is left to the host. */
void ctl_find_socket(struct ctl *ctl);
/* The daemon's place, for messages: the host, or the socket's path. Borrowed. */
const char *ctl_place(const struct ctl *ctl);
/* Connect to a daemon that may not listen yet. Gives up at `until` (monotonic µs; -1: no such
 * limit), and after CTL_DAEMON_LIMIT at the latest. */
gboolean ctl_await_daemon(struct ctl *ctl, gint64 until, GError **error);
/* Send a call. Takes over parameters (NULL: none). Connects first if there is no connection. */
gboolean ctl_send(struct ctl *ctl, const char *method, JsonObject *parameters, gboolean more,
		  GError **error);
/*
 * The next reply, which may be an error of the daemon (see ctl_refused). limit: ms, -1: none. If
 * the limit passes, returns NULL with CTL_TIMED_OUT; what has come of a reply is kept. A signal
 * that is caught (terminal.c) makes it return NULL with CTL_INTERRUPTED.
 */
struct varlink_message *ctl_receive(struct ctl *ctl, gint64 limit, GError **error);
/* Send a call and return its only reply. An error of the daemon becomes error. */
struct varlink_message *ctl_call(struct ctl *ctl, const char *method, JsonObject *parameters,
				 GError **error);
/* The same for a call after which the connection carries another protocol. Bytes of it that have
 * already arrived are in input (varlink_buffer_rest). */
struct varlink_message *ctl_upgrade(struct ctl *ctl, const char *method, JsonObject *parameters,
				    GError **error);
void ctl_disconnect(struct ctl *ctl);
/* Print on stderr which files the daemon cannot write, if reply has any. */
void ctl_say_unwritten(const struct varlink_message *reply);

/* A message that is freed at the end of its block. */
static inline void
ctl_message_clear(struct varlink_message **message)
{
	varlink_message_free(*message);
}
#define ctl_auto_message __attribute__((cleanup(ctl_message_clear))) struct varlink_message *

/* --- host.c --- */

/* Connect to the host's daemon, and get a first reply. patience: ms that it may take to listen, 0:
 * it has to already. */
gboolean ctl_open_host(struct ctl *ctl, gint64 patience, GError **error);
/* End the ssh of ctl_open_host. */
void ctl_end_ssh(struct ctl *ctl);
/* Become an ssh that runs childhurdctl with words (of char *: verb, options, arguments) on the
 * host. Returns only after an error. */
int ctl_run_there(struct ctl *ctl, const GPtrArray *words, GError **error);

/* --- reply.c: the members of a reply; one of a wrong type counts as missing --- */

/* Borrowed; NULL: missing or null. */
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
/* Whether message is the error of org.childhurd with that name. */
gboolean ctl_is_error(const struct varlink_message *message, const char *name);
/* If message is an error of the daemon, put it into words for people in error, and return TRUE. */
gboolean ctl_refused(const struct varlink_message *message, GError **error);
/* The PNG in a reply with the member png; NULL: there is none. The caller unrefs. */
GBytes *ctl_png(const struct varlink_message *message);
/* Print each line of error on stderr as "childhurdctl: ...", free error and return its exit
 * status. */
int ctl_complain(GError *error);
/* Print object as one line of JSON. */
void ctl_print_object(JsonObject *object);
/* The same for the parameters of message, at once. */
int ctl_print_json(const struct varlink_message *message);

/* --- words.c: numbers, times and texts for people --- */

/* "45s", "3min", "5h", "4d". The caller frees this text and those below. */
char *ctl_duration(double seconds);
/* "212M", "1.5G"; "-" for 0. */
char *ctl_size(double bytes);
/* "07:12:03", with the date if it is not today's. time: s since the epoch. */
char *ctl_time(double time, double now);
/* The same, always with the date. */
char *ctl_date(double time);
double ctl_now(void);
/* text without control characters if stdout is a terminal, unchanged elsewhere. line: TRUE turns
 * line ends into spaces in both cases. NULL gives "". */
char *ctl_clean(const char *text, gboolean line);
/* Print a message on stderr, as one line, after what was printed before: streams_complain. */
void ctl_say(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* text in the colour of state: green for ready, red for failed and unresponsive, yellow for states
 * on the way. Unchanged where colours are not wanted. */
char *ctl_coloured(const char *state, const char *text);
gboolean ctl_is_terminal(void); /* stdout */
int ctl_width(void);		/* columns of the terminal; 0: stdout is none */
int ctl_height(void);
/* At most width columns of text; a longer text ends with "…". width 0: no limit. */
char *ctl_cut(const char *text, int width);
/* "90", "1.5min", "2h" in seconds; FALSE: text is not a time. */
gboolean ctl_parse_time(const char *text, double *seconds);

/* --- when.c --- */

/*
 * "10min", "7d" (so long before now), "12:30", "2026-11-29", "2026-11-29 12:30", "today" or
 * "yesterday" in s since the epoch, in the local time. Errors name the option: text is none of
 * these, or of also, a phrase such as ", or a colour" (NULL: nothing), which the caller takes
 * besides.
 */
gboolean ctl_parse_moment(const char *option, const char *text, const char *also, double *at,
			  GError **error);
/* The same for the start of what is shown, which cannot be in the future. */
gboolean ctl_parse_since(const char *text, const char *also, double *at, GError **error);

/* --- shown.c --- */

/* The state of a Guest or Event, in a word for people. Borrowed; NULL: it has none. */
const char *ctl_state_word(JsonObject *object);
/* The place of a Guest by its state: those that need a person first, those that need nobody last.
 */
int ctl_state_place(JsonObject *guest);
/* Whether somebody can be asked something: stdin and stderr are a terminal. */
gboolean ctl_hears_answers(void);
/* Ask on stderr; TRUE: the answer is "yes". */
gboolean ctl_confirm(const char *question);
/* On a terminal, show what to do next: "LABEL: childhurdctl VERB NAME". */
void ctl_hint(const struct ctl *ctl, const char *label, const char *verb, const char *name);

/* --- cells.c: text for screens that are redrawn --- */

gboolean ctl_is_utf8(void); /* the locale */
/* The columns that UTF-8 text takes on a terminal. */
int ctl_cells(const char *text);
/* At most so many columns of text; a longer text ends with "…", or "..." where the locale is not
 * UTF-8. The caller frees. */
char *ctl_fit(const char *text, int cells);
/* The same, but cut in the middle, as many names differ only at their end; a name that fits is
 * unchanged. The caller frees. */
char *ctl_fit_name(const char *name, int cells);
/* text with these attributes (of ECMA-48's SGR: "31", "7"; "": none), if colours are wanted. The
 * caller frees. */
char *ctl_painted(const char *sgr, const char *text);
/* Whether stdout is a terminal that can move its cursor. */
gboolean ctl_can_redraw(void);

/* --- terminal.c: the terminal, for the verbs that read keys or redraw lines --- */

enum ctl_terminal {
	CTL_TERMINAL_RAW,   /* each key is a byte of stdin, Ctrl-C too */
	CTL_TERMINAL_KEYS,  /* each key is a byte of stdin, but Ctrl-C and Ctrl-Z are signals */
	CTL_TERMINAL_QUIET, /* keys are not shown, and stay for the program after us */
};

/* From now on signals only end ctl_terminal_wait and ctl_receive; see ctl_terminal_ended. Only
 * Ctrl-Z still stops the program, with the terminal as it was meanwhile. */
void ctl_terminal_signals(void);
/* The same for Ctrl-C alone. */
void ctl_catch_interrupt(void);
/*
 * Put the terminal into that mode, if it is not yet, until ctl_terminal_end or exit. Writes
 * greeting to the screen now and farewell at the end (constants; NULL: nothing). FALSE: it is no
 * terminal, or QUIET and this program runs in the background.
 */
gboolean ctl_terminal_take(enum ctl_terminal mode, const char *greeting, const char *farewell);
void ctl_terminal_release(void); /* restore the terminal */
/* The same, and if a signal was caught, it now ends the program. */
void ctl_terminal_end(void);
/* poll(2). limit: ms, -1: none. Less than 0: a signal interrupted it, and nothing is ready. */
int ctl_terminal_wait(struct pollfd *fds, guint n, gint64 limit);
/* Write all bytes to stdout. Where stdout is full it waits, until a signal ends that. FALSE: a
 * signal did, or errno. */
gboolean ctl_terminal_write(const char *bytes, gsize n);
/* The signal that was caught and ends the program; 0: none. */
int ctl_terminal_ended(void);

/* --- table.c --- */

enum ctl_column {
	CTL_COLUMN_NAME,
	CTL_COLUMN_STATE,
	CTL_COLUMN_SINCE,
	CTL_COLUMN_PORT,
	CTL_COLUMN_PUBLISHED,
	CTL_COLUMN_BUILD,
	CTL_COLUMN_MEMORY,
	CTL_COLUMN_RESTARTS,
	CTL_COLUMN_READY, /* of nodes, as are the next three */
	CTL_COLUMN_BUILDS,
	CTL_COLUMN_VERSION,
	CTL_COLUMN_SKEW,
	CTL_COLUMN_WHY,
};
/* The data of a line; borrowed. */
struct ctl_row {
	JsonObject *guest; /* Guest, or Node */
};
/*
 * The heading and a line for each row, with the n wanted columns. Where that is wider than the
 * terminal, columns that say less than the last one are left out, and the last one is cut. The
 * caller unrefs.
 */
GPtrArray *ctl_table(const enum ctl_column *wanted, guint n, const struct ctl_row *rows,
		     guint n_rows);
/* The same within that many columns of a terminal; 0: as wide as it is. kept: the column that they
 * are sorted by, which is not left out before the others. */
GPtrArray *ctl_table_within(const enum ctl_column *wanted, guint n, const struct ctl_row *rows,
			    guint n_rows, enum ctl_column kept, int terminal);
/* What that column has for a row. The caller frees. */
char *ctl_cell(enum ctl_column column, const struct ctl_row *row);

/* --- meant.c: what is meant by a word that does not exist --- */

/*
 * The number of word in known, which NULL ends. Less than 0 with error: it is none of them. The
 * error, of wrong usage, names them all, and the nearest one.
 */
int ctl_choice(const char *option, const char *word, const char *const *known, GError **error);
/* As ctl_refused, of a reply to a call with names that a person has typed, of guests of a node
 * (NULL: of this host): if one stands for no guest, the error says which one is meant. */
gboolean ctl_refused_name(struct ctl *ctl, const char *node, const struct varlink_message *message,
			  GError **error);
/*
 * The reply to method, List or Status, for n names that a person has typed; of a node (NULL: of
 * this host) as AskNode has it. If a name stands for no guest, the error says which one is meant.
 */
struct varlink_message *ctl_ask_names(struct ctl *ctl, const char *node, const char *method,
				      const char *const *names, guint n, GError **error);

/* --- guests.c --- */

/*
 * The names of the guests that the arguments match, each once. With --all and --autostart there are
 * no arguments. An argument that matches no guest is reported on stderr, and sets *status to
 * CTL_FAILED. NULL with error: the daemon cannot be asked.
 */
GPtrArray *ctl_expand(struct ctl *ctl, int *status, GError **error);
/* The name of the only guest that the first argument matches; the caller frees. */
char *ctl_only_name(struct ctl *ctl, GError **error);

/* --- elsewhere.c --- */

/*
 * The reply to method, List or Status, for n names; 0: for all guests. The guests of a name
 * NODE/NAME are asked of that node and, with --nodes, those of all nodes. They follow those of this
 * host, with NODE/ before their names. A node that does not answer to --nodes is reported on
 * stderr, and sets *status.
 */
struct varlink_message *ctl_guests(struct ctl *ctl, const char *method, const char *const *names,
				   guint n, int *status, GError **error);

/* --- progress.c --- */

struct ctl_progress;
/*
 * Shows what guests do while childhurdctl waits until all are in state goal (borrowed). On a
 * terminal: the guests that are not there yet, and a sum, redrawn in place; keys that are typed
 * meanwhile are not shown. Elsewhere: a line for each change of a state. From now on Ctrl-C, and on
 * a terminal other signals, end ctl_receive.
 */
struct ctl_progress *ctl_progress_new(const char *goal);
void ctl_progress_show(struct ctl_progress *progress, GPtrArray *guests); /* of JsonObject: Guest */
/* Redraw, with the time that has passed. */
void ctl_progress_tick(struct ctl_progress *progress);
/* Stop showing that guest, which will not be in the state. */
void ctl_progress_drop(struct ctl_progress *progress, const char *name);
/* Erase the lines from the terminal, and give it back, so that others can be printed. */
void ctl_progress_hide(struct ctl_progress *progress);
void ctl_progress_free(struct ctl_progress *progress); /* hides it */

/* --- list.c --- */

/* The values of --output and of --sort; NULL ends them. */
extern const char *const ctl_formats[], *const ctl_sort_keys[];

/* --- history.c --- */

/* What is asked of the daemon's history. */
struct ctl_question {
	const char *const *names; /* of guests, n of them; 0: all */
	guint n;
	gint64 since, until;	  /* µs since the epoch */
	const char *const *kinds; /* of records, ended by NULL; NULL: all */
	gint64 limit;		  /* ms for a reply; 0: CTL_REPLY_LIMIT */
};
/* Ask, and call each with each record, borrowed. */
gboolean ctl_ask_history(struct ctl *ctl, const struct ctl_question *question,
			 void (*each)(JsonObject *record, void *data), void *data, GError **error);

/* --- help.c --- */

struct ctl_table_of_verbs {
	const struct ctl_verb *verbs;
	gsize n;
	const char *const (*aliases)[2]; /* of verbs: other name, name */
	gsize n_aliases;
	/* The GOptionEntry array of verb; NULL: of the options before a verb. The caller unrefs. */
	GArray *(*options)(const struct ctl_verb *verb);
};
/* Print all verbs, on one screen. */
void ctl_print_help(const struct ctl_table_of_verbs *table);
/* Print on stderr the few verbs to begin with. */
void ctl_print_hint(const struct ctl_table_of_verbs *table);

/* --- completion.c --- */

/* Print the completions for shell, one of bash, zsh and fish. */
int ctl_completion(const char *shell, const struct ctl_table_of_verbs *table, GError **error);
/* The hidden option --names: print the guests' names, a line each. */
int ctl_print_names(struct ctl *ctl, GError **error);

/* --- the verbs --- */

int ctl_list(struct ctl *ctl, GError **error);	 /* list.c */
int ctl_top(struct ctl *ctl, GError **error);	 /* top.c */
int ctl_status(struct ctl *ctl, GError **error); /* status.c */
int ctl_start(struct ctl *ctl, GError **error);	 /* work.c */
int ctl_stop(struct ctl *ctl, GError **error);
int ctl_restart(struct ctl *ctl, GError **error);
int ctl_reset(struct ctl *ctl, GError **error);
int ctl_sleep(struct ctl *ctl, GError **error);
int ctl_drain(struct ctl *ctl, GError **error);
int ctl_undrain(struct ctl *ctl, GError **error);
int ctl_wait(struct ctl *ctl, GError **error);
int ctl_ssh(struct ctl *ctl, GError **error);	 /* ssh.c */
int ctl_log(struct ctl *ctl, GError **error);	 /* log.c */
int ctl_events(struct ctl *ctl, GError **error); /* events.c */
/* Print the last n events of a guest, which may be one of a node, with a label before the first.
 * Returns how many there are; n, too, if they cannot be had. */
guint ctl_print_last_events(struct ctl *ctl, const char *name, guint n, const char *label);
int ctl_history(struct ctl *ctl, GError **error); /* history.c */
/* Why the history begins so late, by a reply to List or Status; *begun: s since the epoch. NULL: it
 * is whole. The caller frees. */
char *ctl_beginning(const struct varlink_message *reply, double *begun);
int ctl_console(struct ctl *ctl, GError **error); /* console.c */
/* The character that text, such as "^]" or "~", stands for; -1: none. */
int ctl_escape_character(const char *text);
int ctl_machines(struct ctl *ctl, GError **error); /* daemon.c */
int ctl_metrics(struct ctl *ctl, GError **error);
int ctl_screenshot(struct ctl *ctl, GError **error);
int ctl_reload(struct ctl *ctl, GError **error);
int ctl_check(struct ctl *ctl, GError **error);
int ctl_version(struct ctl *ctl, GError **error);
void ctl_print_version(void); /* this program's */
/* A program that was installed or built together with this one, in one of the places (folders
 * relative to this program's, ended by NULL), else in PATH. The caller frees; NULL: there is none.
 */
char *ctl_program(const char *name, const char *const *places);
int ctl_image(struct ctl *ctl, GError **error);	 /* image.c */
int ctl_bridge(struct ctl *ctl, GError **error); /* bridge.c */
int ctl_node(struct ctl *ctl, GError **error);	 /* node.c */
int ctl_report(struct ctl *ctl, GError **error); /* report.c */

#define CTL_NODE_TASKS "list invite" /* words for the verb node, a space between them */

#endif
