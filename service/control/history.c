/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * History and HistoryScreenshot. The hird reads a piece at a time, and the next one only when the
 * client has read most of the last. The records come as text, so the loop does not build them.
 */
#include "service/control/internal.h"

struct telling {
	struct request *request;
	void *reading; /* the hird's */
};

static void telling_pump(struct request *request);

static void
telling_release(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	struct telling *telling = request->state;
	hird->history_close(hird->data, telling->reading);
	g_free(telling);
}

static void
fail(struct request *request, const struct control_no_records *why)
{
	if (why->unknown)
		request_fail_with(request, CONTROL_INTERFACE ".NoSuchGuest", "name", why->unknown);
	else
		request_fail_with(request, CONTROL_INTERFACE ".NoHistory", "why", why->why);
}

static void
on_records(const char *records, gboolean last, const struct control_no_records *why, void *data)
{
	struct telling *telling = data;
	struct request *request = telling->request;
	struct control_client *client = request->client;
	if (!records) {
		fail(request, why);
		return;
	}
	g_autofree char *text = g_strdup_printf("{\"records\":%s}", records);
	request->pump = telling_pump;
	if (!last)
		client_wake(client);
	request_reply_text(request, text, !last);
}

static void
telling_pump(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	struct telling *telling = request->state;
	request->pump = NULL; /* one piece at a time */
	hird->history_next(hird->data, telling->reading, on_records, telling);
}

/* The kinds as a set; 0: answered and gone. */
static guint
wanted_kinds(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	g_auto(GStrv) names = NULL;
	guint kinds = 0;
	if (!request_strings(request, "kinds", &names))
		return 0;
	for (char **name = names; name && *name; name++) {
		int kind = hird->history_kind(*name);
		if (kind < 0) {
			request_invalid(request, "kinds",
					"there are event, state, boot, failure, build, sample, "
					"restore, figures and day");
			return 0;
		}
		kinds |= 1u << kind;
	}
	return kinds ? kinds : G_MAXUINT;
}

void
method_history(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	struct control_history wanted = {.until = G_MAXINT64};
	g_auto(GStrv) patterns = NULL;
	if (!hird->history_open) {
		request_unknown(request);
		return;
	}
	if (!request_integer(request, "since", &wanted.since) ||
	    !request_integer(request, "until", &wanted.until) ||
	    !request_strings(request, "names", &patterns) ||
	    !(wanted.kinds = wanted_kinds(request)))
		return;
	if (wanted.since > wanted.until) {
		request_invalid(request, "since", "later than until");
		return;
	}
	if (!request->message->more) {
		request_fail(request, VARLINK_EXPECTED_MORE, NULL);
		return;
	}
	wanted.patterns = patterns && *patterns ? patterns : NULL;
	g_autofree char *why = NULL;
	void *reading = hird->history_open(hird->data, &wanted, &why);
	if (!reading) {
		request_fail_with(request, CONTROL_INTERFACE ".NoHistory", "why", why);
		return;
	}
	struct telling *telling = g_new(struct telling, 1);
	*telling = (struct telling){request, reading};
	request->state = telling;
	request->release = telling_release;
	request->lasting = TRUE;
	telling_pump(request);
}

static void
on_picture(GBytes *png, const GError *error, void *data)
{
	struct later *later = data;
	if (later->request && png) {
		request_reply_png(later->request, png);
	} else if (later->request) {
		request_fail_with(later->request, CONTROL_INTERFACE ".NoHistory", "why",
				  error ? error->message
					: "there is no such picture, or it is no longer kept");
	}
	later_free(later);
}

void
method_history_screenshot(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	gint64 id = -1;
	if (!hird->history_picture) {
		request_unknown(request);
		return;
	}
	if (!request_integer(request, "id", &id))
		return;
	if (id < 0)
		request_invalid(request, "id", NULL);
	else
		hird->history_picture(hird->data, id, on_picture,
				      request_later(request, NULL, NULL));
}
