/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Members of a JSON object as text, each with a comma before it. A worker writes thousands of
 * records a second with these. */
#ifndef CHILDHURDD_HISTORY_JSON_H
#define CHILDHURDD_HISTORY_JSON_H

#include <glib.h>

/* text need not be valid UTF-8. */
void json_text(GString *out, const char *name, const char *text);
void json_whole(GString *out, const char *name, gint64 value);
void json_real(GString *out, const char *name, double value);
void json_flag(GString *out, const char *name, gboolean value);
/* "start 1200 boot 8000" as [{"name":"start","ms":1200}, ...]. */
void json_phases(GString *out, const char *name, const char *phases);

#endif
