/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A running guest has the keys that it was started with. Marks tell them from those of the present
 * configuration: they go into the guest's record, so that the next daemon knows what is in it.
 */
#include "childhurdd/world/coordinators.h"

#include <string.h>

#include "childhurdd/system/lane.h"
#include "offload/signing_key.h"

gboolean
coordinators_use(const struct config_guest *guest)
{
	return guest->offloading && guest->inject != CONFIG_INJECT_NONE;
}

char **
coordinators_ssh_keys(const struct config *config)
{
	g_autoptr(GStrvBuilder) keys = g_strv_builder_new();
	for (guint i = 0; i < config->coordinators->len; i++) {
		const struct config_coordinator *coordinator = config->coordinators->pdata[i];
		g_strv_builder_add(keys, coordinator->ssh_key);
	}
	return g_strv_builder_end(keys);
}

/* --- signing keys --- */

char **
coordinators_signing_keys(const struct config *config)
{
	g_autoptr(GStrvBuilder) keys = g_strv_builder_new();
	for (guint i = 0; i < config->coordinators->len; i++) {
		const struct config_coordinator *coordinator = config->coordinators->pdata[i];
		if (coordinator->signing_key)
			g_strv_builder_add_many(keys, coordinator->name, coordinator->signing_key,
						NULL);
	}
	return g_strv_builder_end(keys);
}

/* The text of a key's file. NULL: what is wrong is in *why, which the caller frees. */
static char *
read_file(const char *file, char **why)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	lane_touch("signing-key", file);
	if (!signing_read_key(file, &text, &error))
		*why = g_strdup(error->message);
	else if (!text)
		*why = g_strdup_printf("%s: is not there", file);
	else if (!signing_is_key(text))
		*why = g_strdup_printf("%s: has no signing key as Guix makes it", file);
	return *why ? NULL : g_steal_pointer(&text);
}

char **
coordinators_read(const char *const *signing_keys, GPtrArray *complaints)
{
	g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
	for (; *signing_keys; signing_keys += 2) {
		const char *key = signing_keys[1];
		g_autofree char *why = NULL;
		g_autofree char *text = *key == '(' ? g_strdup(key) : read_file(key, &why);
		if (text)
			g_strv_builder_add(texts, text);
		else
			g_ptr_array_add(complaints,
					g_strdup_printf("coordinator %s: signing-key: %s; put its "
							"/etc/guix/signing-key.pub there",
							*signing_keys, why));
	}
	return g_strv_builder_end(texts);
}

/* --- marks --- */

static char *
mark(const struct config_coordinator *coordinator)
{
	g_autofree char *keys =
	    g_strjoin("\n", coordinator->ssh_key, coordinator->signing_key, NULL);
	g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, keys, -1);
	return g_strdup_printf("%s %s", coordinator->name, digest);
}

char **
coordinators_marks(const struct config *config)
{
	g_autoptr(GStrvBuilder) marks = g_strv_builder_new();
	for (guint i = 0; i < config->coordinators->len; i++) {
		g_autofree char *one = mark(config->coordinators->pdata[i]);
		g_strv_builder_add(marks, one);
	}
	return g_strv_builder_end(marks);
}

static gboolean
has_mark(char **marks, const char *wanted)
{
	return marks && g_strv_contains((const char *const *)marks, wanted);
}

gboolean
coordinators_have(char **marks, const char *name)
{
	g_autofree char *begin = g_strconcat(name, " ", NULL);
	for (; marks && *marks; marks++)
		if (g_str_has_prefix(*marks, begin))
			return TRUE;
	return FALSE;
}

char **
coordinators_differences(char **before, char **now)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	char **const sides[] = {before, now};
	for (gsize i = 0; i < G_N_ELEMENTS(sides); i++)
		for (char **one = sides[i]; one && *one; one++) {
			g_autofree char *name = g_strndup(*one, strcspn(*one, " "));
			if (!has_mark(sides[1 - i], *one) &&
			    !g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
				g_ptr_array_add(names, g_steal_pointer(&name));
		}
	g_ptr_array_add(names, NULL);
	return (char **)g_ptr_array_steal(names, NULL);
}
