/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The entries of all files, each by itself: is its section known, its key, its value, and is it
 * given twice? Also finds the sections that have names.
 */
#include <string.h>

#include "config/load_internal.h"
#include "config/value.h"

#define NAME_MAX_BYTES 40

/* childhurdd's own names in the state directory, which no guest may have. */
static const char *const reserved_names[] = {"images", "libvirt", "libvirt.log",
					     "lock",   "nodes",	  NULL};

static const struct section_kind kinds[] = {
    {"guest", "childhurd", KEY_GUEST, GUESTS_MAX},
    {"coordinator", "farm", KEY_COORDINATOR, COORDINATORS_MAX},
    {"node", "build1", KEY_NODE, NODES_MAX},
};

/* Where a value is put only to see whether it can be. */
union owner {
	struct config daemon;
	struct config_guest guest;
	struct config_coordinator coordinator;
	struct config_node node;
	int count;
};

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

/* The kind of a section with that title; NULL: it has no name, or is of no kind. */
static const struct section_kind *
kind_of(const char *title)
{
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (g_str_has_prefix(title, kinds[i].word) && title[strlen(kinds[i].word)] == ' ')
			return &kinds[i];
	return NULL;
}

static void
no_kind(struct loader *l, const struct ini_entry *entry)
{
	g_autoptr(GString) all = g_string_new("[daemon], [defaults]");
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (!strcmp(kinds[i].word, entry->section)) {
			load_fault(l, entry->file, entry->line, entry->section, NULL,
				   "a %s needs a name, as [%s %s]", kinds[i].word, kinds[i].word,
				   kinds[i].example);
			return;
		}
		g_string_append_printf(all, "%s[%s NAME]",
				       i + 1 < G_N_ELEMENTS(kinds) ? ", " : " or ", kinds[i].word);
	}
	load_fault(l, entry->file, entry->line, entry->section, NULL, "unknown section; it is %s",
		   all->str);
}

/* childhurdd's own names. */
static gboolean
name_is_reserved(const char *name)
{
	return g_strv_contains(reserved_names, name) || g_str_has_prefix(name, "kvm-probe");
}

static guint
sections_of(const struct loader *l, const struct section_kind *kind)
{
	guint n = 0;
	for (guint i = 0; i < l->sections->len; i++)
		n += ((const struct section *)g_ptr_array_index(l->sections, i))->kind == kind;
	return n;
}

/* FALSE: the name or the number of such sections is wrong, and that was reported. */
static gboolean
check_name(struct loader *l, const struct ini_entry *entry, const struct section_kind *kind,
	   const char *name)
{
	g_autofree char *quoted = value_quote(name);
	if (!name_is_good(name))
		load_fault(l, entry->file, entry->line, entry->section, NULL,
			   "%s is not a %s's name; it is made of letters, digits, - _ and ., "
			   "begins with a letter or digit, and has at most %d of them",
			   quoted, kind->word, NAME_MAX_BYTES);
	else if (kind->scope == KEY_GUEST && name_is_reserved(name))
		load_fault(l, entry->file, entry->line, entry->section, NULL,
			   "childhurdd uses that name in state-directory; give the guest "
			   "another name");
	else if (sections_of(l, kind) >= kind->most)
		load_fault(l, entry->file, entry->line, entry->section, NULL,
			   "there are more than %u %ss; leave some out", kind->most, kind->word);
	else
		return TRUE;
	return FALSE;
}

/* The head of a section. */
static void
check_section(struct loader *l, const struct ini_entry *entry)
{
	const char *title = entry->section;
	const struct section_kind *kind = kind_of(title);
	if (!strcmp(title, "daemon") || !strcmp(title, "defaults") || sections_find(l, title))
		return;
	if (!kind) {
		no_kind(l, entry);
		return;
	}
	gsize before = strlen(kind->word) + 1;
	if (!check_name(l, entry, kind, title + before))
		return;
	struct section *s = g_new0(struct section, 1);
	s->kind = kind;
	s->title = g_strdup(title);
	s->name = s->title + before;
	s->file = entry->file;
	s->line = entry->line;
	s->count = 1;
	g_ptr_array_add(l->sections, s);
}

/* --- keys --- */

/* The scope of a section that is known. */
static enum key_scope
scope_of(struct loader *l, const char *section)
{
	const struct section *s = sections_find(l, section);
	return s ? s->kind->scope : !strcmp(section, "daemon") ? KEY_DAEMON : KEY_GUEST;
}

/* Where keys of a scope belong. Caller frees. */
static char *
home_of(enum key_scope scope)
{
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (kinds[i].scope == scope)
			return g_strdup_printf("%s[%s NAME]",
					       scope == KEY_GUEST ? "[defaults] or " : "",
					       kinds[i].word);
	return g_strdup("[daemon]");
}

/* The scope of another kind of sections that has the key or, if near, one of nearly that name. */
static gboolean
find_elsewhere(const char *name, enum key_scope here, gboolean near, enum key_scope *there)
{
	for (gsize i = 0; i <= G_N_ELEMENTS(kinds); i++) {
		*there = i ? kinds[i - 1].scope : KEY_DAEMON;
		if (*there != here &&
		    (near ? key_suggest(name, *there) != NULL : key_find(name, *there) != NULL))
			return TRUE;
	}
	return FALSE;
}

static void
unknown_key(struct loader *l, const struct ini_entry *entry, enum key_scope scope)
{
	const char *near = key_suggest(entry->key, scope);
	enum key_scope there;
	g_autofree char *quoted = value_quote(entry->key);
	gboolean elsewhere = find_elsewhere(entry->key, scope, FALSE, &there);
	gboolean near_elsewhere =
	    !elsewhere && !near && find_elsewhere(entry->key, scope, TRUE, &there);
	g_autofree char *home = elsewhere || near_elsewhere ? home_of(there) : NULL;
	if (elsewhere)
		load_fault(l, entry->file, entry->line, entry->section, entry->key, "belongs in %s",
			   home);
	else if (near)
		load_fault(l, entry->file, entry->line, entry->section, entry->key,
			   "unknown key %s; did you mean %s?", quoted, near);
	else if (near_elsewhere)
		load_fault(l, entry->file, entry->line, entry->section, entry->key,
			   "unknown key %s; did you mean %s, which belongs in %s?", quoted,
			   key_suggest(entry->key, there), home);
	else
		load_fault(l, entry->file, entry->line, entry->section, entry->key,
			   "unknown key %s; childhurd.ini(5) lists them all", quoted);
}

/* The key of an entry, or NULL after an error. */
static const struct key *
entry_key(struct loader *l, const struct ini_entry *entry)
{
	enum key_scope scope = scope_of(l, entry->section);
	const struct key *key = key_find(entry->key, scope);
	if (!key)
		unknown_key(l, entry, scope);
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
	g_autoptr(GHashTable) counts =
	    g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	for (guint i = 0; i < l->entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(l->entries, i);
		union owner owner = {0};
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
		g_autofree char *what = value_set(key, entry->value, l->folder, &owner);
		if (what)
			load_fault(l, entry->file, entry->line, entry->section, entry->key, "%s",
				   what);
		else if (is_count)
			sections_find(l, entry->section)->count = owner.count;
		if (!is_count)
			value_clear(key, &owner);
	}
}
