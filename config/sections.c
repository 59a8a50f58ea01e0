/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The entries of all files, each by itself: is its section known, its key, its value, and is it
 * given twice? Also finds the guests and templates.
 */
#include <string.h>

#include "config/load_internal.h"
#include "config/value.h"

#define NAME_MAX_BYTES 40

/* childhurdd's own names in the state directory, which no guest may have. */
static const char *const reserved_names[] = {"images", "libvirt", "libvirt.log", "lock", NULL};

/* Counts the values of a repeated key in one section of one file. */
struct values {
	const char *file;
	guint n;
};

/* --- sections --- */

static gboolean
name_is_good(const char *name)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.";
	return g_ascii_isalnum(*name) && strspn(name, letters) == strlen(name) &&
	       strlen(name) <= NAME_MAX_BYTES;
}

static struct section *
sections_find(struct loader *l, const char *title)
{
	for (guint i = 0; i < l->sections->len; i++) {
		struct section *s = g_ptr_array_index(l->sections, i);
		if (!strcmp(s->title, title))
			return s;
	}
	return NULL;
}

void
section_free(void *data)
{
	struct section *s = data;
	g_free(s->title);
	g_free(s);
}

/* The head of a section. */
static void
check_section(struct loader *l, const struct ini_entry *entry)
{
	const char *title = entry->section;
	if (!strcmp(title, "daemon") || !strcmp(title, "defaults") || sections_find(l, title))
		return;
	if (!g_str_has_prefix(title, "guest ")) {
		load_fault(l, entry->file, entry->line, title, NULL, "%s",
			   strcmp(title, "guest")
			       ? "unknown section; it is [daemon], [defaults] or [guest NAME]"
			       : "a guest needs a name, as [guest childhurd]");
		return;
	}
	const char *name = title + strlen("guest ");
	if (!name_is_good(name)) {
		g_autofree char *quoted = value_quote(name);
		load_fault(
		    l, entry->file, entry->line, title, NULL,
		    "%s is not a guest's name; it is made of letters, digits, - _ and ., begins "
		    "with a letter or digit, "
		    "and has at most %d of them",
		    quoted, NAME_MAX_BYTES);
		return;
	}
	if (g_strv_contains(reserved_names, name) || g_str_has_prefix(name, "kvm-probe")) {
		load_fault(l, entry->file, entry->line, title, NULL,
			   "childhurdd uses that name in state-directory; give the guest "
			   "another name");
		return;
	}
	if (l->sections->len >= GUESTS_MAX) {
		load_fault(l, entry->file, entry->line, title, NULL,
			   "there are more than %d guests; leave some out", GUESTS_MAX);
		return;
	}
	struct section *s = g_new0(struct section, 1);
	s->title = g_strdup(title);
	s->name = s->title + strlen("guest ");
	s->file = entry->file;
	s->line = entry->line;
	s->count = 1;
	g_ptr_array_add(l->sections, s);
}

/* --- keys --- */

static void
unknown_key(struct loader *l, const struct ini_entry *entry, gboolean daemon)
{
	const char *near = key_suggest(entry->key, daemon);
	const char *there = daemon ? "[defaults] or [guest NAME]" : "[daemon]";
	const char *near_there = near ? NULL : key_suggest(entry->key, !daemon);
	g_autofree char *quoted = value_quote(entry->key);
	if (key_find(entry->key, !daemon))
		load_fault(l, entry->file, entry->line, entry->section, entry->key, "belongs in %s",
			   there);
	else if (near)
		load_fault(l, entry->file, entry->line, entry->section, entry->key,
			   "unknown key %s; did you mean %s?", quoted, near);
	else if (near_there)
		load_fault(l, entry->file, entry->line, entry->section, entry->key,
			   "unknown key %s; did you mean %s, which belongs in %s?", quoted,
			   near_there, there);
	else
		load_fault(l, entry->file, entry->line, entry->section, entry->key,
			   "unknown key %s; childhurd.ini(5) lists them all", quoted);
}

/* The key of an entry, or NULL after an error. */
static const struct key *
entry_key(struct loader *l, const struct ini_entry *entry)
{
	gboolean daemon = !strcmp(entry->section, "daemon");
	const struct key *key = key_find(entry->key, daemon);
	if (!key)
		unknown_key(l, entry, daemon);
	else if (key->scope == KEY_GUEST_ONLY && !strcmp(entry->section, "defaults"))
		load_fault(l, entry->file, entry->line, entry->section, entry->key,
			   "is for one guest only; put it into a [guest NAME]");
	else
		return key;
	return NULL;
}

/* Twice in one section of one file is a mistake; in another file it is intended. */
static void
check_double(struct loader *l, guint i, const struct key *key)
{
	const struct ini_entry *entry = g_ptr_array_index(l->entries, i);
	if (key_is_repeated(key))
		return;
	for (guint j = i; j-- > 0;) {
		const struct ini_entry *other = g_ptr_array_index(l->entries, j);
		if (other->file != entry->file)
			return;
		if (other->key && !strcmp(other->key, entry->key) &&
		    !strcmp(other->section, entry->section)) {
			load_fault(l, entry->file, entry->line, entry->section, entry->key,
				   "given twice, first in line %d; leave one of them out",
				   other->line);
			return;
		}
	}
}

/* Count a line of a repeated key in its section and file; only the first one too many is reported.
 * FALSE: it is one too many. counts: of struct values. */
static gboolean
count_value(struct loader *l, const struct ini_entry *entry, const struct key *key,
	    GHashTable *counts)
{
	guint most = key->type == KEY_MODULE ? VALUE_MODULES_MAX : VALUE_FORWARDS_MAX;
	g_autofree char *id = g_strdup_printf("%s\n%s", entry->section, key->name);
	struct values *values = g_hash_table_lookup(counts, id);
	if (!values) {
		values = g_new0(struct values, 1);
		g_hash_table_insert(counts, g_steal_pointer(&id), values);
	}
	if (values->file != entry->file)
		*values = (struct values){.file = entry->file};
	if (values->n++ == most)
		load_fault(l, entry->file, entry->line, entry->section, entry->key,
			   "one too many; a guest has at most %u %ss", most, key->name);
	return values->n <= most;
}

void
sections_check(struct loader *l)
{
	struct config daemon = {0};
	g_autoptr(GHashTable) counts =
	    g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	for (guint i = 0; i < l->entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(l->entries, i);
		struct config_guest guest = {0};
		int count = 1;
		if (!entry->key) {
			check_section(l, entry);
			continue;
		}
		if (!*entry->section) {
			g_autofree char *name = value_printable(entry->key);
			ini_error_add(
			    l->errors, entry->file, entry->line,
			    g_strdup_printf(
				"%s: stands before the first section; put it below [daemon], "
				"[defaults] or [guest NAME]",
				name));
			continue;
		}
		if (strcmp(entry->section, "daemon") && strcmp(entry->section, "defaults") &&
		    !sections_find(l, entry->section))
			continue; /* reported at its head */
		const struct key *key = entry_key(l, entry);
		if (!key)
			continue;
		if (key_is_repeated(key) && !count_value(l, entry, key, counts))
			continue;
		check_double(l, i, key);
		gboolean is_count = !strcmp(key->name, "count");
		void *owner = key->scope == KEY_DAEMON ? (void *)&daemon
			      : is_count	       ? (void *)&count
						       : (void *)&guest;
		g_autofree char *what = value_set(key, entry->value, l->folder, owner);
		if (what)
			load_fault(l, entry->file, entry->line, entry->section, entry->key, "%s",
				   what);
		else if (is_count)
			sections_find(l, entry->section)->count = count;
		if (!is_count)
			value_clear(key, owner);
	}
}
