/* SPDX-License-Identifier: GPL-3.0-or-later */
/* childhurdctl log: a guest's console; with -f until Ctrl-C. */
#include "service/ctl/ctl.h"

#define FOLLOW_FROM 10 /* lines that -f shows before the new ones, as tail(1) does */

int
ctl_log(struct ctl *ctl, GError **error)
{
	g_autofree char *name = ctl_only_name(ctl, error);
	gboolean continues = TRUE, any = FALSE;
	if (!name)
		return CTL_FAILED;
	JsonObject *parameters = json_object_new();
	json_object_set_string_member(parameters, "name", name);
	json_object_set_int_member(parameters, "lines",
				   ctl->lines >= 0 ? ctl->lines
				   : ctl->follow   ? FOLLOW_FROM
						   : 0);
	if (ctl->follow)
		json_object_set_boolean_member(parameters, "follow", TRUE);
	/* `more` even without follow, because a long log comes in several replies. */
	if (!ctl_send(ctl, "org.childhurd.Log", parameters, TRUE, error))
		return CTL_FAILED;
	for (gint64 limit = CTL_REPLY_LIMIT; continues;
	     limit = ctl->follow ? -1 : CTL_REPLY_LIMIT) {
		ctl_auto_message reply = ctl_receive(ctl, limit, error);
		if (!reply || ctl_refused(reply, error))
			return CTL_FAILED;
		g_autofree char *text = ctl_clean(ctl_text(reply->parameters, "text"), FALSE);
		fputs(text, stdout);
		fflush(stdout);
		any |= *text != '\0';
		continues = reply->continues;
	}
	if (!any)
		ctl_say(
		    "%s: its console's log is empty: it has not run yet, or has written nothing",
		    name);
	return CTL_DONE;
}
