/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What any client may send to the control socket, and any daemon to a client: the framing and the
 * parser. The first byte of an input says in how large pieces the rest arrives. What is understood
 * has to survive being said again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/base/text.h"
#include "service/varlink.h"

#define LIMIT 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(gboolean condition)
{
	if (!condition)
		abort();
}

/* Say it again, and read that. */
static void
repeat(const struct varlink_message *m)
{
	JsonObject *parameters = json_object_ref(m->parameters);
	g_autofree char *text = m->method  ? varlink_call(m->method, parameters, m->more)
				: m->error ? varlink_error(m->error, parameters)
					   : varlink_reply(parameters, m->continues);
	for (const char *at = text; g_utf8_validate(text, -1, NULL) && *at;
	     at = g_utf8_next_char(at))
		require(!text_acts(g_utf8_get_char(at)));
	struct varlink_message *again = varlink_parse(text, NULL);
	require(again && !g_strcmp0(again->method, m->method) &&
		!g_strcmp0(again->error, m->error));
	require(json_object_get_size(again->parameters) == json_object_get_size(m->parameters));
	varlink_message_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t piece = (size_t)data[0] + 1;
	struct varlink_buffer buffer;
	varlink_buffer_init(&buffer, LIMIT);
	g_autoptr(GError) error = NULL;
	for (size_t at = 1; at < size && !error; at += piece) {
		const char *text;
		varlink_buffer_append(&buffer, data + at, MIN(piece, size - at));
		while ((text = varlink_buffer_take(&buffer, &error))) {
			require(strlen(text) <= LIMIT);
			struct varlink_message *m = varlink_parse(text, NULL);
			if (m)
				repeat(m);
			varlink_message_free(m);
		}
		require(error || varlink_buffer_pending(&buffer) <= LIMIT);
	}
	varlink_buffer_clear(&buffer);
	return 0;
}
