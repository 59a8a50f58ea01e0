/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb report: asks the daemon for its history, and writes pages of it (service/report/). */
#include "service/ctl/ctl.h"

#include <string.h>

#include "service/report/report.h"

/* All but the events, which are text, and which the pages do not show. */
static const char *const kinds[] = {"state",  "boot",	 "failure", "build",
				    "sample", "restore", "figures", NULL};
static const char *const only_figures[] = {"figures", NULL};

struct asked {
	struct records *records;
	enum period period;
};

static void
on_record(JsonObject *record, void *data)
{
	const struct asked *asked = data;
	records_add(asked->records, record, asked->period);
}

/* What the daemon keeps of that period; of the shorter ones only the figures, as the longest has
 * all else. */
static gboolean
add_period(struct ctl *ctl, struct records *records, enum period period, GError **error)
{
	struct asked asked = {records, period};
	const struct ctl_question question = {.since = records->now - period_length(period),
					      .until = records->now,
					      .kinds =
						  period == PERIOD_LONG ? kinds : only_figures};
	return ctl_ask_history(ctl, &question, on_record, &asked, error);
}

static gboolean
add_guests(struct ctl *ctl, struct records *records, GError **error)
{
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.List", NULL, error);
	if (!reply)
		return FALSE;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++)
		records_add_guest(records, g_ptr_array_index(guests, i));
	return TRUE;
}

/* A screenshot may go out of the history while its report is made, or be no PNG: it is left out. */
static GBytes *
on_screenshot(gpointer data, gint64 id, GError **error)
{
	struct ctl *ctl = data;
	JsonObject *object = json_object_new();
	json_object_set_int_member(object, "id", id);
	if (!ctl_send(ctl, "org.childhurd.HistoryScreenshot", object, FALSE, error))
		return NULL;
	ctl_auto_message reply = ctl_receive(ctl, CTL_REPLY_LIMIT, error);
	if (!reply || reply->error)
		return NULL;
	return ctl_png(reply);
}

/* The name of the host whose guests these are. The caller frees. */
static char *
host_name(const struct ctl *ctl)
{
	if (!ctl->host)
		return g_strdup(g_get_host_name());
	const char *at = strrchr(ctl->host, '@');
	return g_strdup(at ? at + 1 : ctl->host);
}

int
ctl_report(struct ctl *ctl, GError **error)
{
	const char *path = ctl->arguments[0];
	g_autofree char *host = host_name(ctl);
	g_autoptr(GTimeZone) zone = g_time_zone_new_local();
	struct records *records = records_new(g_get_real_time(), zone, host);
	gboolean good = add_guests(ctl, records, error);
	for (guint i = 0; good && i < N_PERIODS; i++)
		good = add_period(ctl, records, (enum period)i, error);
	if (good) {
		records_sort(records);
		good = report_write(records, path, on_screenshot, ctl, error);
	}
	if (good && ctl_is_terminal())
		printf("%s/index.html\n", path);
	records_free(records);
	return good ? CTL_DONE : CTL_FAILED;
}
