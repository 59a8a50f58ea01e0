/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hird's functions for the methods that read the history. */
#include "childhurdd/hird/hird_internal.h"

/* A piece of the answer is being read. */
struct asked {
	control_records_fn done;
	void *done_data;
};

static void *
serve_open(void *data, const struct control_history *wanted, char **why)
{
	const struct hird *h = data;
	struct history *history = chronicle_history(h->chronicle);
	g_autoptr(GPtrArray) known = g_ptr_array_new();
	const struct childhurd *c;
	if (!history_is_on(history)) {
		*why = g_strdup("nothing is kept: `history' is 0 in the configuration");
		return NULL;
	}
	for (guint i = 0; (c = roster_guest(&h->roster, i)); i++)
		g_ptr_array_add(known, c->config->name);
	g_ptr_array_add(known, NULL);
	const struct reading_query query = {.patterns = wanted->patterns,
					    .known = (char **)known->pdata,
					    .since = wanted->since,
					    .until = wanted->until,
					    .kinds = wanted->kinds};
	return reading_new(h->readers, &query);
}

static void
on_piece(const char *records, gboolean last, const GError *error, void *data)
{
	g_autofree struct asked *asked = data;
	gboolean unknown = g_error_matches(error, READING_ERROR, READING_ERROR_UNKNOWN);
	const struct control_no_records why = {.unknown = unknown ? error->message : NULL,
					       .why = error ? error->message : NULL};
	asked->done(records, last, &why, asked->done_data);
}

static void
serve_next(void *data, void *reading, control_records_fn done, void *done_data)
{
	struct asked *asked = g_new(struct asked, 1);
	*asked = (struct asked){done, done_data};
	reading_next(reading, on_piece, g_free, asked);
}

static void
serve_close(void *data, void *reading)
{
	reading_free(reading);
}

static void
serve_picture(void *data, gint64 id,
	      void (*done)(GBytes *png, const GError *error, void *done_data), void *done_data)
{
	const struct hird *h = data;
	reading_picture(h->readers, id, done, done_data);
}

static char *
serve_beginning(void *data, gint64 *begun)
{
	const struct hird *h = data;
	return history_beginning(chronicle_history(h->chronicle), begun);
}

void
hird_serve_history(struct control_hird *serve)
{
	serve->history_kind = reading_kind_from_name;
	serve->history_open = serve_open;
	serve->history_next = serve_next;
	serve->history_close = serve_close;
	serve->history_picture = serve_picture;
	serve->history_beginning = serve_beginning;
}
