/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What people read in place of a state's name, where that would say less or sound worse. */
#include "service/ctl/ctl.h"
#include "service/states.h"

#include <string.h>
#include <unistd.h>

#include "config/base/text.h"

const char *
ctl_state_word(JsonObject *object)
{
	const char *state = ctl_text(object, "state");
	if (state && ctl_flag(object, "taken_over"))
		return STATE_TAKEN_OVER;
	if (state && !strcmp(state, "draining") && ctl_flag(object, "drained"))
		return STATE_DRAINED;
	return state;
}

int
ctl_state_place(JsonObject *guest)
{
	/* NULL: one that a newer daemon has */
	static const char *const places[] = {
	    "failed",	"unresponsive", "backoff",   NULL,	  STATE_TAKEN_OVER,
	    "starting", "booting",	"restoring", "enrolling", "draining",
	    "stopping", STATE_DRAINED,	"ready",     "asleep",	  "stopped"};
	const char *state = ctl_state_word(guest);
	int unknown = 0;
	for (int i = 0; i < (int)G_N_ELEMENTS(places); i++) {
		if (places[i] && !g_strcmp0(places[i], state))
			return i;
		if (!places[i])
			unknown = i;
	}
	return unknown;
}

gboolean
ctl_hears_answers(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

gboolean
ctl_confirm(const char *question)
{
	char answer[16] = "";
	g_autofree char *clean = text_output(question, FALSE, isatty(STDERR_FILENO));
	fflush(stdout);
	fprintf(stderr, "%s\nType yes to do it: ", clean);
	if (!fgets(answer, sizeof answer, stdin))
		fputc('\n', stderr);
	return !strcmp(g_strstrip(answer), "yes");
}

void
ctl_hint(const struct ctl *ctl, const char *label, const char *verb, const char *name)
{
	if (!ctl_is_terminal())
		return;
	g_autofree char *host = ctl->host ? g_strdup_printf("--host %s ", ctl->host) : g_strdup("");
	g_autofree char *clean = ctl_clean(host, TRUE);
	printf("%s: childhurdctl %s%s %s\n", label, clean, verb, name);
}
