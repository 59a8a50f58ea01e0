/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Varlink messages (https://varlink.org/Method-Call): JSON objects, each ended by a NUL byte.
 *
 * Bytes in, bytes out: no sockets here, so the daemon, its clients and a fuzzer share this code.
 */
#ifndef SERVICE_VARLINK_H
#define SERVICE_VARLINK_H

#include <glib.h>
#include <json-glib/json-glib.h>

#define VARLINK_DEPTH_MAX 16 /* objects and arrays within one another; json-glib recurses */

#define VARLINK_ERROR (varlink_error_quark())
GQuark varlink_error_quark(void);
enum varlink_error_code {
	VARLINK_ERROR_TOO_LONG, /* a message is longer than the buffer's limit */
	VARLINK_ERROR_SYNTAX,	/* not UTF-8, not JSON, nested too deeply */
	VARLINK_ERROR_MESSAGE,	/* JSON, but not a Varlink message */
};

/* Errors that every Varlink service may return. */
#define VARLINK_INTERFACE_NOT_FOUND    "org.varlink.service.InterfaceNotFound"
#define VARLINK_METHOD_NOT_FOUND       "org.varlink.service.MethodNotFound"
#define VARLINK_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define VARLINK_INVALID_PARAMETER      "org.varlink.service.InvalidParameter"
#define VARLINK_EXPECTED_MORE	       "org.varlink.service.ExpectedMore"

/* Bytes that were read, for taking whole messages. */
struct varlink_buffer {
	GByteArray *bytes; /* the messages not taken yet */
	gsize taken;	   /* bytes at its start that were taken */
	gsize scanned;	   /* up to here there is no further NUL */
	gsize limit;	   /* bytes of one message without its NUL */
};
/* Make an empty buffer; release it with varlink_buffer_clear. limit: bytes of the longest message
 * that is accepted. */
void varlink_buffer_init(struct varlink_buffer *buffer, gsize limit);
void varlink_buffer_clear(struct varlink_buffer *buffer);
/* Append a copy of n bytes. */
void varlink_buffer_append(struct varlink_buffer *buffer, const void *bytes, gsize n);
/*
 * The next whole message, without its NUL; NULL without an error: there is none yet. NULL and
 * VARLINK_ERROR_TOO_LONG, from then on always: it is over the limit. Borrowed until the next call
 * on the buffer.
 */
const char *varlink_buffer_take(struct varlink_buffer *buffer, GError **error);
/* Bytes appended and not taken. After varlink_buffer_take returned NULL: those of an incomplete
 * message. */
gsize varlink_buffer_pending(const struct varlink_buffer *buffer);

/* All *n bytes appended and not taken, for a connection that is upgraded to another protocol.
 * Borrowed until the next call on the buffer. */
const char *varlink_buffer_rest(const struct varlink_buffer *buffer, gsize *n);

/*
 * One message as a NUL-terminated text; its NUL also ends the message on the wire: send
 * strlen(text) + 1 bytes. These take ownership of parameters; NULL: an empty object. The caller
 * frees the text.
 */
char *varlink_call(const char *method, JsonObject *parameters, gboolean more);
/* A call after whose reply the connection carries another protocol. */
char *varlink_upgrade(const char *method, JsonObject *parameters);
char *varlink_reply(JsonObject *parameters, gboolean continues);
/* The same with parameters that are JSON text already. */
char *varlink_reply_text(const char *parameters, gboolean continues);
/* error: including the interface, "org.childhurd.NoSuchGuest". */
char *varlink_error(const char *error, JsonObject *parameters);

/* node as JSON in one line; a number has as few digits as give the same value, and a character that
 * acts on a terminal (text_acts) is escaped. Caller frees. */
char *varlink_json(JsonNode *node);

/* A call, a reply or an error. */
struct varlink_message {
	char *method;		/* NULL: not a call */
	char *error;		/* NULL: not an error */
	JsonObject *parameters; /* never NULL; empty if there were none */
	gboolean more, oneway, upgrade, continues;
};
/* Parse the text of one message. NULL and VARLINK_ERROR_SYNTAX or VARLINK_ERROR_MESSAGE if it is
 * not one. Keys that are not Varlink's are ignored. */
struct varlink_message *varlink_parse(const char *text, GError **error);
void varlink_message_free(struct varlink_message *message); /* NULL is allowed */

#endif
