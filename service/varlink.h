/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Varlink messages (https://varlink.org/Method-Call): JSON objects, each ended by a NUL byte.
 *
 * Bytes in, bytes out: this file knows nothing of sockets, so that the daemon, its clients and a
 * fuzzer use the same one.
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
	VARLINK_ERROR_MESSAGE,	/* JSON, but no Varlink message */
};

/* Errors that every Varlink service may answer with. */
#define VARLINK_INTERFACE_NOT_FOUND    "org.varlink.service.InterfaceNotFound"
#define VARLINK_METHOD_NOT_FOUND       "org.varlink.service.MethodNotFound"
#define VARLINK_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define VARLINK_INVALID_PARAMETER      "org.varlink.service.InvalidParameter"
#define VARLINK_EXPECTED_MORE	       "org.varlink.service.ExpectedMore"

/* What was read and is not a whole message yet. */
struct varlink_buffer {
	GByteArray *bytes; /* the messages that were not taken yet */
	gsize taken;	   /* bytes at its start that were */
	gsize scanned;	   /* bytes up to here hold no NUL that was not taken */
	gsize limit;	   /* bytes of one message without its NUL */
};
/* Make an empty buffer; release it with varlink_buffer_clear. limit: bytes of the longest message
 * that is accepted. */
void varlink_buffer_init(struct varlink_buffer *buffer, gsize limit);
void varlink_buffer_clear(struct varlink_buffer *buffer);
/* Copy n bytes, as they came. */
void varlink_buffer_append(struct varlink_buffer *buffer, const void *bytes, gsize n);
/*
 * The next whole message, without its NUL; NULL without an error when there is none yet, NULL and
 * VARLINK_ERROR_TOO_LONG when it is over the limit, and from then on. Borrowed until the next call
 * on the buffer.
 */
const char *varlink_buffer_take(struct varlink_buffer *buffer, GError **error);
/* Bytes that were appended and not taken: after varlink_buffer_take said NULL, those of half a
 * message. */
gsize varlink_buffer_pending(const struct varlink_buffer *buffer);

/* All that was appended and not taken, *n bytes, for a connection that is upgraded to another
 * protocol. Borrowed until the next call on the buffer. */
const char *varlink_buffer_rest(const struct varlink_buffer *buffer, gsize *n);

/*
 * One message as text. The texts are NUL-terminated strings, and that NUL is the one that ends the
 * message on the wire: send strlen(text) + 1 bytes. parameters is taken over; NULL: an empty
 * object. The caller frees the text.
 */
char *varlink_call(const char *method, JsonObject *parameters, gboolean more);
/* A call after whose reply the connection speaks another protocol. */
char *varlink_upgrade(const char *method, JsonObject *parameters);
char *varlink_reply(JsonObject *parameters, gboolean continues);
/* error: with its interface, "org.childhurd.NoSuchGuest". */
char *varlink_error(const char *error, JsonObject *parameters);

/* node in one line, as JSON; a number is as short as reads back the same. Caller frees. */
char *varlink_json(JsonNode *node);

/* A call, a reply or an error. */
struct varlink_message {
	char *method;		/* NULL: not a call */
	char *error;		/* NULL: not an error */
	JsonObject *parameters; /* never NULL; empty when there were none */
	gboolean more, oneway, upgrade, continues;
};
/* Parse the text of one message. NULL and VARLINK_ERROR_SYNTAX or VARLINK_ERROR_MESSAGE when it is
 * none. Keys that are not Varlink's are ignored. */
struct varlink_message *varlink_parse(const char *text, GError **error);
void varlink_message_free(struct varlink_message *message); /* NULL is allowed */

#endif
