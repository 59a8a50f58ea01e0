/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/system/logging.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Settings of the writer function; set once, before there are threads. */
struct logging {
	GLogLevelFlags lowest; /* the least urgent level that is written */
	gboolean journal;
};

static int
priority(GLogLevelFlags level)
{
	if (level & G_LOG_LEVEL_ERROR)
		return 2; /* LOG_CRIT */
	if (level & G_LOG_LEVEL_CRITICAL)
		return 3; /* LOG_ERR */
	if (level & G_LOG_LEVEL_WARNING)
		return 4; /* LOG_WARNING */
	return level & G_LOG_LEVEL_DEBUG ? 7 : 6;
}

static GLogWriterOutput
write_message(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
	const struct logging *logging = data;
	const char *text = "";
	level &= G_LOG_LEVEL_MASK;
	if (level > logging->lowest) /* GLib: a larger value is less urgent */
		return G_LOG_WRITER_HANDLED;
	for (gsize i = 0; i < n; i++)
		if (!strcmp(fields[i].key, "MESSAGE"))
			text = fields[i].value;
	if (logging->journal) {
		fprintf(stderr, "<%d>%s\n", priority(level), text);
		return G_LOG_WRITER_HANDLED;
	}
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *time = g_date_time_format(now, "%F %T");
	const char *word = priority(level) <= 3	  ? "error: "
			   : priority(level) == 4 ? "warning: "
						  : "";
	fprintf(stderr, "%s %s%s\n", time, word, text);
	return G_LOG_WRITER_HANDLED;
}

/* Programs that a service starts inherit JOURNAL_STREAM, perhaps with another stderr. So it names
 * the socket (systemd.exec(5)), which is compared with stderr. */
static gboolean
is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	if (!stream || fstat(fd, &st) < 0)
		return FALSE;
	g_autofree char *ours = g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
						(guint64)st.st_dev, (guint64)st.st_ino);
	return !strcmp(stream, ours);
}

void
logging_plain(const char *text)
{
	fprintf(stderr, "%s%s\n", is_journal(STDERR_FILENO) ? "<3>" : "", text);
}

gboolean
logging_start(const char *level)
{
	static struct logging logging;
	static const struct {
		const char *name;
		GLogLevelFlags lowest;
	} levels[] = {{"error", G_LOG_LEVEL_CRITICAL},
		      {"warning", G_LOG_LEVEL_WARNING},
		      {"info", G_LOG_LEVEL_INFO},
		      {"debug", G_LOG_LEVEL_DEBUG}};
	for (gsize i = 0; i < G_N_ELEMENTS(levels); i++) {
		if (strcmp(level ? level : "info", levels[i].name))
			continue;
		logging.lowest = levels[i].lowest;
		logging.journal = is_journal(STDERR_FILENO);
		g_log_set_writer_func(write_message, &logging, NULL);
		return TRUE;
	}
	return FALSE;
}
