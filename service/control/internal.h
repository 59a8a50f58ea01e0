/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the control socket share. Each calls only those below it:
 *
 *   control.c     the socket, new connections, the events that are kept
 *   methods.c     the table of methods, and the methods that need no file of their own
 *   wait.c        Wait
 *   follow.c      Events and Log, which may go on until the client leaves
 *   console.c     Console, which turns a connection into the guest's serial line
 *   machines.c    Machines, which may go on like Events, and Nodes
 *   daemon.c      Metrics and Check
 *   history.c     History and HistoryScreenshot
 *   parameters.c  checks the parameters of a call
 *   client.c      one connection: reads requests, runs one after the other, sends replies
 *   peer.c        the user at the other end, and what it may do
 *   json.c        guests, events and machines as JSON
 *
 * A call from another module neither writes to a connection nor ends it: replies are queued, and a
 * connection ends only in a callback of its own watchers. So control_event may be called from
 * anywhere, even while a method runs.
 */
#ifndef SERVICE_CONTROL_INTERNAL_H
#define SERVICE_CONTROL_INTERNAL_H

#include <ev.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "service/control/hird.h"
#include "service/varlink.h"

#define CONTROL_INTERFACE	"org.childhurd"
#define CONTROL_INVALID_VALUE	CONTROL_INTERFACE ".InvalidValue"
#define CONTROL_METRICS_TYPE	"application/openmetrics-text; version=1.0.0; charset=utf-8"
#define CONTROL_NAMES_MAX	1024 /* names or patterns in one request */
#define CONTROL_COORDINATOR_MAX 64   /* bytes of a coordinator's name */
#define CONTROL_PATTERN_MAX	255  /* bytes of one of them */
#define CONTROL_PIPELINE_MAX                                                                       \
	(2 * CONTROL_MESSAGE_MAX)	/* bytes of requests behind the one that runs */
#define CONTROL_LOW_WATER (64 * 1024)	/* queued bytes; above, a series of replies pauses */
#define CONTROL_LOG_MAX	  (1024 * 1024) /* bytes at the log's end that are searched */
#define CONTROL_LOG_CHUNK                                                                          \
	(8 * 1024) /* bytes of the log in one of several replies; JSON makes up to 6 of each */
#define CONTROL_EVENTS_CHUNK 64	   /* events in one of several replies */
#define CONTROL_LISTEN	     64	   /* connections that wait to be accepted */
#define CONTROL_ACCEPT_RETRY 0.5   /* s to the next try after a lack of descriptors or memory */
#define CONTROL_TYPING_LIMIT 30000 /* ms that a QEMU may keep another connection */
#define CONTROL_HOLD	     0.002 /* s between two looks whether the lists are written */
#define CONTROL_HOLD_LONGEST 1.0   /* s that a request waits for that */
#define CONTROL_BEAT	     30.0  /* s without a change until a coordinator gets the list again */
#define CONTROL_RECOUNT	     5.0   /* s between two counts of the builds for a coordinator */
#define CONTROL_RECHECK	     1.0 /* s; "drained" is checked again, as builds end without an event */

/* An event that is kept for late readers; all strings are its own. */
struct kept_event {
	gint64 number, time;
	gboolean taken_over;
	char *guest, *state, *text;
};

struct request;
struct control {
	struct ev_loop *loop;
	struct control_hird hird;
	/* Run a new request. It may be gone when this returns. */
	void (*dispatch)(struct request *request);
	struct control_groups groups;
	char *path, *group; /* group: NULL: no group may use the socket */
	dev_t device;	    /* of our socket; another one at its path is left alone */
	ino_t inode;
	int fd;
	ev_io accepting;
	ev_timer accept_again;
	GPtrArray *clients;
	GPtrArray *events; /* struct kept_event, in the order of their numbers */
	gint64 last_event; /* its number; 0: none yet */
	double request_timeout, accept_retry, recheck, recount,
	    beat; /* s; tests set shorter ones */
};

struct control_client {
	struct control *control;
	int fd;
	struct ucred peer;
	char *who;	    /* "root", "alice", "uid 1000"; NULL: not looked up yet */
	int trusted;	    /* -1: not checked yet */
	gboolean read_only; /* it asked to be refused what changes something */
	ev_io reading, writing;
	ev_timer work; /* due at once: runs the next request, or pumps the one that runs */
	double held; /* since when the next request waits for the lists (ev_now); 0: it does not */
	ev_timer limit; /* for the rest of a request to come, or the last reply to be read */
	struct varlink_buffer in;
	GByteArray *out;
	gsize sent;		 /* of out */
	struct request *request; /* the one that is not answered yet; later ones wait */
	gboolean upgraded;	 /* no longer Varlink: its bytes go to request->take */
	gboolean half_closed;	 /* the client sends no more */
	gboolean closing;	 /* ends when out is sent */
	gboolean cut;		 /* ends now */
};

/* One call, from its reading to its last reply. */
struct request {
	struct control_client *client;
	struct varlink_message *message;
	const char *method; /* without the interface */
	gboolean lasting;   /* ends with its client; other requests are finished nevertheless */
	/* Called when something happened, or there is room for another reply. May end the request.
	 * NULL: nothing to do. */
	void (*pump)(struct request *request);
	/* Called for each event, before pump; NULL: only pump is called. */
	void (*notice)(struct request *request, const struct control_event *event);
	/* Bytes from an upgraded connection. */
	void (*take)(struct request *request, const char *bytes, gsize n);
	gboolean full; /* it takes no bytes for now; call client_wake when that changes */
	void (*release)(struct request *request); /* frees state; NULL: nothing to do */
	void *state;
};

/* control/client.c */
/* Takes over fd: serves it, or refuses it with the error Busy if there are too many connections. */
void client_new(struct control *control, int fd);
void client_free(struct control_client *client);
/* Pump the client's request, or run its next one, from the loop. */
void client_wake(struct control_client *client);
/* Bytes that are queued for the client. */
gsize client_backlog(const struct control_client *client);
/* Reply to a request. parameters (NULL: none) are taken over. The request is gone after an error
 * and after a reply without continues. */
void request_reply(struct request *request, JsonObject *parameters, gboolean continues);
/* The same with parameters as JSON text, borrowed. */
void request_reply_text(struct request *request, const char *parameters, gboolean continues);
/* The last reply, with a picture. */
void request_reply_png(struct request *request, GBytes *png);
void request_fail(struct request *request, const char *error, JsonObject *parameters);
/* why: the reason why the value is not possible, and what would be; NULL: the parameter is missing,
 * unknown, or of a type that the interface does not allow. */
void request_invalid(struct request *request, const char *parameter, const char *why);
/* An answer that the hird gives later. */
struct later {
	struct request *request; /* NULL: its client is gone */
	void *data;
	GDestroyNotify free_data; /* NULL: data is not freed */
};
/* The result becomes the request's state. The code that answers frees it, with later_free. */
struct later *request_later(struct request *request, void *data, GDestroyNotify free_data);
void later_free(struct later *later);

/*
 * Reply, and turn the connection into a stream of bytes: request->take gets those that come, and at
 * once those that have come already; client_write sends. A method must do this last.
 */
void request_upgrade(struct request *request, JsonObject *parameters);
void client_write(struct control_client *client, const void *bytes, gsize n);
/* End an upgraded connection with an error as its last message. Takes over parameters. The request
 * is gone afterwards. */
void request_hang_up(struct request *request, const char *error, JsonObject *parameters);

/* control/peer.c */
const char *client_who(struct control_client *client);
gboolean client_may_change(struct control_client *client);
/* May its user change things, whether or not this connection is for reading only? */
gboolean client_is_trusted(struct control_client *client);
/* Is this root, or the daemon's own user? */
gboolean peer_is_owner(uid_t uid);
/* Is the process at the other end of fd in group? primary: the process's own group. group -1: there
 * is none, and the result is FALSE. */
gboolean peer_in_group(int fd, gid_t primary, gid_t group);

/* control/methods.c: struct control's dispatch */
void request_dispatch(struct request *request);

/* Does a node answer this method, with its interface, at once and without changing anything? */
gboolean request_may_pass(const char *method);

/* control/parameters.c */
/*
 * Get a parameter. FALSE: its type or value is wrong; the request was answered and is gone. A
 * parameter that is missing or null leaves *value as it is.
 */
gboolean request_boolean(struct request *request, const char *name, gboolean *value);
gboolean request_integer(struct request *request, const char *name, gint64 *value);
gboolean request_number(struct request *request, const char *name, double *value);
gboolean request_string(struct request *request, const char *name, const char **value);
/* An array of strings, as NULL-terminated copies: CONTROL_NAMES_MAX at most, of CONTROL_PATTERN_MAX
 * bytes. The caller frees with g_strfreev. */
gboolean request_strings(struct request *request, const char *name, char ***strings);
/* The guests that the patterns in `names` match, in the order of the configuration. An empty array
 * matches all guests; if optional, so does a missing one. NULL: answered and gone. */
GPtrArray *request_names(struct request *request, gboolean optional);
/* The one guest that `name` matches; the caller frees. NULL: answered and gone. */
char *request_name(struct request *request);
/* Errors that end the request. This one has a single member. */
void request_fail_with(struct request *request, const char *error, const char *member,
		       const char *value);
/* An error about a guest, with `name` and `why`. */
void request_fail_for(struct request *request, const char *error, const char *name,
		      const char *why);
/* The error NotPossible. */
void request_not_possible(struct request *request, const char *name, const char *why);
/* This daemon does not have the method. */
void request_unknown(struct request *request);
/* The parameter `follow`; TRUE needs a call with `more`. FALSE: answered and gone. */
gboolean request_follow(struct request *request, gboolean *follow);

/* control/wait.c, control/follow.c */
void method_wait(struct request *request);
void method_events(struct request *request);
void method_log(struct request *request);

/* control/console.c */
void method_console(struct request *request);

/* control/machines.c */
void method_machines(struct request *request);
void method_held(struct request *request);

/* control/nodes.c */
void method_nodes(struct request *request);
void method_ask_node(struct request *request);

/* control/daemon.c */
void method_metrics(struct request *request);
void method_check(struct request *request);
void method_invite(struct request *request);
void method_read_only(struct request *request);

/* control/history.c */
void method_history(struct request *request);
void method_history_screenshot(struct request *request);

/* control/json.c */
/* Sets text, made valid UTF-8. NULL sets null. */
void json_set_text(JsonObject *object, const char *name, const char *text);
JsonObject *guest_json(const struct control_guest *guest);
JsonObject *details_json(const struct control_guest *guest);
JsonObject *ssh_json(const struct control_guest *guest);
JsonObject *finding_json(const struct control_finding *finding);
JsonObject *event_json(const struct kept_event *event);
/* Why the history begins so late; NULL: it does not. */
JsonObject *history_beginning_json(const struct control_hird *hird);
JsonObject *node_json(const struct control_node *node);
JsonObject *machine_json(const struct published_guest *guest);
JsonArray *strings_json(const char *const *strings); /* NULL: an empty one */

/* interface.S: the text of org.childhurd, ended by a NUL */
extern const char service_interface[];

#endif
