/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the control socket share. Each calls those below it, and none above:
 *
 *   control.c     the socket, accepting, the events that are kept
 *   methods.c     the table of methods, and those that are answered at once
 *   wait.c        Wait
 *   follow.c      Events and Log, which may go on for as long as the reader likes
 *   console.c     Console, which makes of a connection the guest's serial line
 *   daemon.c      Metrics and Check
 *   parameters.c  the parameters of a call, checked
 *   client.c      one connection: bytes in, requests one after the other, bytes out
 *   peer.c        who is at the other end, and what that one may do
 *   json.c        guests, events and machines as JSON
 *
 * Nothing is written and nobody is let go from within a call of another module: replies are queued,
 * and a connection ends only in a callback of its own watchers. So control_event may be called from
 * anywhere, and also while a method of ours runs.
 */
#ifndef SERVICE_CONTROL_INTERNAL_H
#define SERVICE_CONTROL_INTERNAL_H

#include <ev.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "service/control/hird.h"
#include "service/varlink.h"

#define CONTROL_INTERFACE     "org.childhurd"
#define CONTROL_INVALID_VALUE CONTROL_INTERFACE ".InvalidValue"
#define CONTROL_METRICS_TYPE  "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define CONTROL_NAMES_MAX     1024 /* names or patterns in one request */
#define CONTROL_PATTERN_MAX   255  /* bytes of one of them */
#define CONTROL_PIPELINE_MAX                                                                       \
	(2 * CONTROL_MESSAGE_MAX)	/* bytes of requests behind one that runs                  \
					 */
#define CONTROL_LOW_WATER (64 * 1024)	/* bytes waiting; replies that go on pause above it */
#define CONTROL_LOG_MAX	  (1024 * 1024) /* bytes before the log's end that are looked at */
#define CONTROL_LOG_CHUNK                                                                          \
	(8 * 1024) /* bytes of the log in one reply that goes on; JSON makes up to 6 of each */
#define CONTROL_EVENTS_CHUNK 64	   /* events in one reply that goes on */
#define CONTROL_LISTEN	     64	   /* connections that wait to be accepted */
#define CONTROL_ACCEPT_RETRY 0.5   /* s after a lack of descriptors or memory */
#define CONTROL_TYPING_LIMIT 30000 /* ms that a QEMU may be connected to somebody else */
#define CONTROL_RECHECK	     1.0 /* s; builds end without an event, so "drained" is looked at again */

/* An event that is kept for late readers; all strings are its own. */
struct kept_event {
	gint64 number, time;
	char *guest, *state, *text;
};

struct request;
struct control {
	struct ev_loop *loop;
	struct control_hird hird;
	/* Do what a new request's message says. The request may be gone when this returns. */
	void (*dispatch)(struct request *request);
	struct control_groups groups;
	char *path, *group; /* group: NULL: none is to be let in */
	dev_t device;	    /* of our socket: another one at its path is not ours to remove */
	ino_t inode;
	int fd;
	ev_io accepting;
	ev_timer accept_again;
	GPtrArray *clients;
	GPtrArray *events; /* struct kept_event, in the order of their numbers */
	gint64 last_event; /* number; 0: none yet */
	double request_timeout, accept_retry, recheck; /* seconds; tests have less patience */
};

struct control_client {
	struct control *control;
	int fd;
	struct ucred peer;
	char *who;	/* "root", "alice", "uid 1000"; NULL: not asked for yet */
	int may_change; /* -1: not asked for yet */
	ev_io reading, writing;
	ev_timer work;	/* now: the next request, or a look at the one that runs */
	ev_timer limit; /* for the rest of half a request, or for taking the last reply */
	struct varlink_buffer in;
	GByteArray *out;
	gsize sent;		 /* of out */
	struct request *request; /* the one that is not answered yet; those after it wait */
	gboolean upgraded;	 /* it does not speak Varlink any more; what it says is request's */
	gboolean half_closed;	 /* it sends no more */
	gboolean closing;	 /* ends when out is sent */
	gboolean cut;		 /* ends now */
};

/* One call, from its reading to its last reply. */
struct request {
	struct control_client *client;
	struct varlink_message *message;
	const char *method; /* without the interface */
	gboolean lasting;   /* ends when its client is gone; others are finished nevertheless */
	/* Look again: something happened, or there is room for another reply. May end the request.
	 * NULL: nothing to do. */
	void (*pump)(struct request *request);
	/* Told of each event before pump is called; NULL: pump alone. */
	void (*notice)(struct request *request, const struct control_event *event);
	/* Bytes from an upgraded connection. */
	void (*take)(struct request *request, const char *bytes, gsize n);
	gboolean full; /* no more of them for now; client_wake when that changes */
	void (*release)(struct request *request); /* frees state; NULL: nothing to do */
	void *state;
};

/* control/client.c */
/* fd is taken over: served, or refused with the error Busy when there is no place for it. */
void client_new(struct control *control, int fd);
void client_free(struct control_client *client);
/* A look at the client's request, soon. */
void client_wake(struct control_client *client);
gsize client_backlog(const struct control_client *client);
/* Answer; parameters are taken over, NULL: none. Without continues, and after an error, the request
 * is gone. */
void request_reply(struct request *request, JsonObject *parameters, gboolean continues);
void request_fail(struct request *request, const char *error, JsonObject *parameters);
/* why NULL: the parameter is missing, unknown or of another type than the interface says; else why
 * its value is not possible, and what would be. */
void request_invalid(struct request *request, const char *parameter, const char *why);
/* An answer that the hird gives later, to whoever still waits for it. */
struct later {
	struct request *request; /* NULL: nobody waits for it any more */
	void *data;
	GDestroyNotify free_data; /* NULL: data is not to be freed */
};
/* It becomes the request's state. The one that answers frees it. */
struct later *request_later(struct request *request, void *data, GDestroyNotify free_data);
void later_free(struct later *later);

/*
 * Answer, and from now on the connection is a stream of bytes: request->take gets what comes, at
 * once what stands behind the call already, and client_write sends. The last thing a method does.
 */
void request_upgrade(struct request *request, JsonObject *parameters);
void client_write(struct control_client *client, const void *bytes, gsize n);
/* The end of an upgraded connection, with a last message; parameters are taken over. The request is
 * gone. */
void request_hang_up(struct request *request, const char *error, JsonObject *parameters);

/* control/peer.c */
const char *client_who(struct control_client *client);
gboolean client_may_change(struct control_client *client);
/* Is this root, or whom the daemon runs as? */
gboolean peer_is_owner(uid_t uid);
/* Is the process at the other end of fd, whose own group is primary, in the group? -1: no group,
 * and FALSE. */
gboolean peer_in_group(int fd, gid_t primary, gid_t group);

/* control/methods.c: what struct control has as dispatch */
void request_dispatch(struct request *request);

/* control/parameters.c */
/*
 * Parameters, checked. FALSE: of a wrong type, the request was answered and is gone. Missing or
 * null: *value is left as it is.
 */
gboolean request_boolean(struct request *request, const char *name, gboolean *value);
gboolean request_integer(struct request *request, const char *name, gint64 *value);
gboolean request_number(struct request *request, const char *name, double *value);
gboolean request_string(struct request *request, const char *name, const char **value);
/* The guests that `names` stands for, in the order of the configuration; an empty array, and where
 * optional a missing one: all. NULL: answered and gone. */
GPtrArray *request_names(struct request *request, gboolean optional);
/* The one guest that `name` stands for; the caller frees. NULL: answered and gone. */
char *request_name(struct request *request);
/* Errors that end the request: one with a member, NotPossible, and that this daemon cannot do it at
 * all. */
void request_fail_with(struct request *request, const char *error, const char *member,
		       const char *value);
/* An error about a guest. */
void request_fail_for(struct request *request, const char *error, const char *name,
		      const char *why);
void request_not_possible(struct request *request, const char *name, const char *why);
void request_unknown(struct request *request);
/* `follow`, which needs more. FALSE: answered and gone. */
gboolean request_follow(struct request *request, gboolean *follow);

/* control/wait.c, control/follow.c */
void method_wait(struct request *request);
void method_events(struct request *request);
void method_log(struct request *request);

/* control/console.c */
void method_console(struct request *request);

/* control/daemon.c */
void method_metrics(struct request *request);
void method_check(struct request *request);

/* control/json.c */
/* text made UTF-8; NULL: null. */
void json_set_text(JsonObject *object, const char *name, const char *text);
JsonObject *guest_json(const struct control_guest *guest);
JsonObject *details_json(const struct control_guest *guest);
JsonObject *ssh_json(const struct control_guest *guest);
JsonObject *finding_json(const struct control_finding *finding);
JsonObject *event_json(const struct kept_event *event);
JsonObject *machine_json(const struct published_guest *guest);
JsonArray *strings_json(const char *const *strings); /* NULL: an empty one */

/* interface.S: the text of org.childhurd, ended by a NUL */
extern const char service_interface[];

#endif
