/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guests that the names on a command line match. */
#include "service/ctl/ctl.h"

#include <string.h>

/* Add the guests that argument (NULL: all) matches to names, unless they are in known, which has
 * the names as a set. They are printed later; one that another host's daemon made of escape
 * sequences is not taken as it is. */
static gboolean
expand_one(struct ctl *ctl, const char *argument, GPtrArray *names, GHashTable *known, int *status,
	   GError **error)
{
	if (argument && strchr(argument, '/') && !(ctl->verb->options & CTL_OPTION_NODES)) {
		g_set_error(error, CTL_ERROR, CTL_USAGE,
			    "%s: is a guest of a node; childhurdctl --host [USER@]HOST %s does it "
			    "there",
			    argument, ctl->verb->name);
		return FALSE;
	}
	ctl_auto_message reply =
	    ctl_guests(ctl, "org.childhurd.List", &argument, argument ? 1 : 0, status, error);
	if (!reply)
		return FALSE;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		g_autofree char *name = ctl_clean(ctl_text(guest, "name"), TRUE);
		if (ctl->autostart && !ctl_flag(guest, "autostart"))
			continue;
		if (*name && g_hash_table_add(known, g_strdup(name)))
			g_ptr_array_add(names, g_strdup(name));
	}
	return TRUE;
}

GPtrArray *
ctl_expand(struct ctl *ctl, int *status, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (!ctl->n_arguments && !expand_one(ctl, NULL, names, known, status, error))
		return NULL;
	for (guint i = 0; i < ctl->n_arguments; i++) {
		GError *why = NULL;
		if (expand_one(ctl, ctl->arguments[i], names, known, status, &why))
			continue;
		if (why->code == CTL_NO_DAEMON) {
			g_propagate_error(error, why);
			return NULL;
		}
		*status = ctl_complain(why);
	}
	return g_steal_pointer(&names);
}

/* Whether guests, which the first argument matches, is one guest, as the verb requires. */
static gboolean
is_one(const struct ctl *ctl, const GPtrArray *guests, GError **error)
{
	if (guests->len == 1)
		return TRUE;
	g_set_error(error, CTL_ERROR, CTL_USAGE, "%s matches %u guests; %s takes one",
		    ctl->arguments[0], guests->len, ctl->verb->name);
	return FALSE;
}

char *
ctl_only_name(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply = ctl_ask_names(ctl, NULL, "org.childhurd.List",
					       (const char *const *)ctl->arguments, 1, error);
	if (!reply)
		return NULL;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	if (!is_one(ctl, guests, error))
		return NULL;
	const char *name = ctl_text(g_ptr_array_index(guests, 0), "name");
	return ctl_clean(name ? name : ctl->arguments[0], TRUE);
}
