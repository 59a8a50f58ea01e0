/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Events and Log: what is kept, and with `follow` what is new.
 *
 * For each client only its position is kept. A client that reads events too slowly misses those
 * that are dropped, and its next reply has their number. A client that reads a log reads the file
 * at its own pace.
 */
#include <string.h>

#include "config/base/growing_file.h"
#include "service/control/internal.h"

/* --- events --- */

struct events {
	gint64 seen; /* the number of the last event that was sent or lost */
	gboolean follow, begun;
};

/* The index of the first kept event after number seen. Searches from the end, as most clients are
 * there. */
static guint
first_after(const GPtrArray *events, gint64 seen)
{
	guint i = events->len;
	while (i > 0 &&
	       ((const struct kept_event *)g_ptr_array_index(events, i - 1))->number > seen)
		i--;
	return i;
}

static void
events_pump(struct request *request)
{
	const struct control *control = request->client->control;
	struct events *state = request->state;
	guint first = first_after(control->events, state->seen), end = control->events->len;
	if (request->message->more)
		end = MIN(end, first + CONTROL_EVENTS_CHUNK);
	if (first == end && state->begun)
		return;
	JsonArray *array = json_array_new();
	gint64 lost = 0;
	for (guint i = first; i < end; i++) {
		const struct kept_event *event = g_ptr_array_index(control->events, i);
		lost += event->number - state->seen - 1;
		state->seen = event->number;
		json_array_add_object_element(array, event_json(event));
	}
	gboolean rest = end < control->events->len;
	state->begun = TRUE;
	JsonObject *o = json_object_new();
	json_object_set_array_member(o, "events", array);
	json_object_set_int_member(o, "lost", lost);
	if (rest)
		client_wake(request->client);
	request_reply(request, o, rest || state->follow);
}

static void
events_release(struct request *request)
{
	g_free(request->state);
}

void
method_events(struct request *request)
{
	const struct control *control = request->client->control;
	gint64 since = -1;
	gboolean follow = FALSE;
	if (!request_integer(request, "since", &since) || !request_follow(request, &follow))
		return;
	const struct kept_event *oldest =
	    control->events->len ? g_ptr_array_index(control->events, 0) : NULL;
	/* Without since, or with a number that only an earlier daemon reached: all events that are
	 * kept, and none is lost. */
	if (since < 0 || since > control->last_event + 1)
		since = oldest ? oldest->number : control->last_event + 1;
	struct events *state = g_new0(struct events, 1);
	state->seen = MAX(since - 1, 0);
	state->follow = follow;
	request->state = state;
	request->lasting = follow;
	request->pump = events_pump;
	request->release = events_release;
	events_pump(request);
}

/* --- the console's log --- */

struct log {
	struct request *request;
	struct growing_file file;
	char half[3]; /* the bytes of a character that is not complete yet */
	gsize n_half;
	gint64 end; /* without follow: the file's end at the time of the call */
	gboolean follow, begun;
	ev_stat stat;
};

/* Go to the start of the last `lines` lines (0: all), but at most CONTROL_LOG_MAX bytes back, and
 * to the start of a line. */
static void
go_back(struct growing_file *file, gint64 lines)
{
	gint64 start = MAX(0, file->offset - CONTROL_LOG_MAX);
	gsize size = (gsize)(file->offset - start), first = 0;
	g_autofree char *bytes = g_malloc(size);
	file->offset = start;
	gsize n = growing_file_read(file, bytes, size, NULL);
	if (start > 0) {
		const char *newline = memchr(bytes, '\n', n);
		first = newline ? (gsize)(newline - bytes) + 1 : 0;
	}
	/* The newline at the end of the last line begins no other line. */
	for (gsize i = n > 0 ? n - 1 : 0; lines > 0 && i > first; i--)
		if (bytes[i - 1] == '\n' && --lines == 0)
			first = i;
	file->offset = start + (gint64)first;
}

/* How many of n bytes are whole characters. The rest may be one together with the bytes that
 * follow. */
static gsize
whole_characters(const char *bytes, gsize n)
{
	for (gsize back = 1; back <= MIN(n, 3); back++) {
		guchar c = (guchar)bytes[n - back];
		gsize length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		if (c >= 0xc0)
			return length > back ? n - back : n;
		if (c < 0x80)
			return n;
	}
	return n;
}

/* The next piece, or NULL. Without follow, half a character at the end is not waited for, and a log
 * that begins again (rotated) is over. */
static char *
log_piece(struct log *log, gsize max)
{
	g_autofree char *bytes = g_malloc(sizeof log->half + max);
	gboolean anew;
	memcpy(bytes, log->half, log->n_half);
	gsize got = growing_file_read(&log->file, bytes + log->n_half, max, &anew);
	if (anew && !log->follow)
		return NULL;
	char *start = anew ? bytes + log->n_half : bytes;
	gsize n = (gsize)(bytes + log->n_half + got - start);
	gsize whole = !log->follow && got < max ? n : whole_characters(start, n);
	log->n_half = n - whole;
	memcpy(log->half, start + whole, log->n_half);
	return whole ? g_utf8_make_valid(start, (gssize)whole) : NULL;
}

static void
log_reply(struct request *request, const char *text, gboolean continues)
{
	JsonObject *o = json_object_new();
	json_object_set_string_member(o, "text", text);
	request_reply(request, o, continues);
}

/* All of it in one reply, for a call without `more`. */
static void
log_whole(struct request *request)
{
	struct log *log = request->state;
	gsize n = (gsize)MAX(0, log->end - log->file.offset);
	g_autofree char *text = n ? log_piece(log, n) : NULL;
	log_reply(request, text ? text : "", FALSE);
}

static void
log_pump(struct request *request)
{
	struct log *log = request->state;
	gsize max = CONTROL_LOG_CHUNK;
	if (!log->follow)
		max = (gsize)CLAMP(log->end - log->file.offset, 0, CONTROL_LOG_CHUNK);
	g_autofree char *text = max ? log_piece(log, max) : NULL;
	gboolean more = log->follow || (text && log->file.offset < log->end);
	if (!text && more && log->begun)
		return; /* the watcher calls again */
	log->begun = TRUE;
	if (more && text)
		client_wake(request->client);
	log_reply(request, text ? text : "", more);
}

static void
on_stat(struct ev_loop *loop, ev_stat *watcher, int events)
{
	struct log *log = watcher->data;
	client_wake(log->request->client);
}

static void
log_release(struct request *request)
{
	struct log *log = request->state;
	ev_stat_stop(request->client->control->loop, &log->stat);
	growing_file_clear(&log->file);
	g_free(log);
}

static struct log *
log_new(struct request *request, const char *path, gint64 lines, gboolean follow)
{
	struct log *log = g_new0(struct log, 1);
	log->request = request;
	growing_file_init(&log->file, path, TRUE, TRUE);
	log->follow = follow;
	ev_stat_init(&log->stat, on_stat, log->file.path, 0.);
	log->stat.data = log;
	log->end = log->file.offset;
	go_back(&log->file, lines);
	return log;
}

void
method_log(struct request *request)
{
	struct control *control = request->client->control;
	gint64 lines = 0;
	gboolean follow = FALSE;
	if (!request_integer(request, "lines", &lines) || !request_follow(request, &follow))
		return;
	g_autofree char *name = request_name(request);
	if (!name)
		return;
	struct control_guest guest = {0};
	gboolean there = control->hird.describe(control->hird.data, name, FALSE, &guest);
	request->state =
	    log_new(request, there && guest.console_log ? guest.console_log : "", lines, follow);
	request->lasting = follow;
	request->release = log_release;
	request->pump = log_pump;
	if (follow) /* before the first read, so that no change is missed */
		ev_stat_start(control->loop, &((struct log *)request->state)->stat);
	if (request->message->more)
		log_pump(request);
	else
		log_whole(request);
}
