/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sections [coordinator NAME]. */
#include <string.h>

#include "config/load_internal.h"
#include "config/value.h"

void
coordinator_free(void *data)
{
	struct config_coordinator *coordinator = data;
	g_free(coordinator->name);
	for (gsize i = 0; i < n_keys; i++)
		if (keys[i].scope == KEY_COORDINATOR)
			value_clear(&keys[i], coordinator);
	g_free(coordinator);
}

/* "TYPE BASE64" of a key. Caller frees. */
static char *
without_comment(const char *key)
{
	const char *end = strchr(strchr(key, ' ') + 1, ' ');
	return end ? g_strndup(key, (gsize)(end - key)) : g_strdup(key);
}

/* The key of one coordinator lets in that one alone, or nobody knows whose it is. */
static void
check_key(struct loader *l, const struct section *s, const char *file, int line,
	  const struct config_coordinator *coordinator)
{
	g_autofree char *key = without_comment(coordinator->ssh_key);
	for (guint i = 0; i < l->config->coordinators->len; i++) {
		const struct config_coordinator *other = l->config->coordinators->pdata[i];
		g_autofree char *others = without_comment(other->ssh_key);
		if (strcmp(key, others))
			continue;
		load_fault(l, file, line, s->title, "ssh-key",
			   "is the key of [coordinator %s], too; each host has its own: let "
			   "childhurdctl node invite print it there, or leave one of the two out",
			   other->name);
		return;
	}
}

static void
make(struct loader *l, const struct section *s)
{
	struct config_coordinator *coordinator = g_new0(struct config_coordinator, 1);
	g_autofree gboolean *given = g_new0(gboolean, n_keys);
	const char *file = s->file;
	int line = 0;
	coordinator->name = g_strdup(s->name);
	load_apply(l, s->title, KEY_COORDINATOR, coordinator, given);
	load_find_place(l, s->title, "ssh-key", &file, &line);
	if (!line) /* a bad one is reported already */
		load_fault(l, s->file, s->line, s->title, "ssh-key",
			   "is missing; childhurdctl node invite prints it on that host");
	if (!coordinator->ssh_key) {
		coordinator_free(coordinator);
		return;
	}
	check_key(l, s, file, line, coordinator);
	g_ptr_array_add(l->config->coordinators, coordinator);
}

void
coordinators_make(struct loader *l)
{
	for (guint i = 0; i < l->sections->len; i++) {
		const struct section *s = g_ptr_array_index(l->sections, i);
		if (s->kind->scope == KEY_COORDINATOR)
			make(l, s);
	}
}
