/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records for the tests of reports, written as JSON. */
#ifndef TESTS_UNIT_SERVICE_REPORT_MADE_H
#define TESTS_UNIT_SERVICE_REPORT_MADE_H

#include <string.h>

#include "service/report/records.h"

#define S   G_TIME_SPAN_SECOND
#define H   G_TIME_SPAN_HOUR
#define D   G_TIME_SPAN_DAY
#define NOW (1795957200 * S) /* 29 Nov 2026, 13:00 UTC */

static inline struct records *
made_new(void)
{
	g_autoptr(GTimeZone) zone = g_time_zone_new_utc();
	return records_new(NOW, zone, "farm");
}

static inline JsonObject *
made_object(const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) node = json_from_string(text, &error);
	g_assert_no_error(error);
	return json_object_ref(json_node_get_object(node));
}

/* A record from a text in which a single quote stands for a double one. */
static inline void made_add(struct records *records, const char *format, ...) G_GNUC_PRINTF(2, 3);
static inline void
made_add(struct records *records, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	g_autofree char *text = g_strdup_vprintf(format, list);
	va_end(list);
	g_strdelimit(text, "'", '"');
	JsonObject *record = made_object(text);
	records_add(records, record, PERIOD_LONG);
	json_object_unref(record);
}

static inline void
made_guest(struct records *records, const char *name, const char *state)
{
	JsonObject *guest = json_object_new();
	json_object_set_string_member(guest, "name", name);
	json_object_set_string_member(guest, "state", state);
	json_object_set_double_member(guest, "since", (double)(NOW - H) / S);
	records_add_guest(records, guest);
	json_object_unref(guest);
}

/* A state from `from` to `until`, µs before NOW. */
static inline void
made_state(struct records *records, const char *name, const char *state, gint64 from, gint64 until)
{
	made_add(records,
		 "{'kind':'state','guest':'%s','state':'%s','time':%" G_GINT64_FORMAT
		 ",'end':%" G_GINT64_FORMAT "}",
		 name, state, NOW - from, NOW - until);
}

static inline struct record_guest *
made_first(const struct records *records)
{
	g_assert_cmpuint(records->guests->len, >, 0);
	return g_ptr_array_index(records->guests, 0);
}

#endif
