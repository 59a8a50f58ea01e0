/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From files to a checked configuration: which files, defaults, templates, and what only shows when
 * all is read: two guests with one name or port. All errors are collected, and told in the order of
 * files and lines.
 */
#include "config/config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/ini.h"
#include "config/keys.h"
#include "config/value.h"

#define GUESTS_MAX	 1000
#define GUESTS_BYTES_MAX (64 * 1024 * 1024) /* of the values of all guests */
#define NAME_MAX_BYTES	 40
#define SOCKET_PATH_MAX	 107 /* unix(7): sun_path */
#define SSH_PORT	 10022
#define SECRETS_PORT	 11004
#define PORT_STEP	 1000
#define PORT_MAX	 65535

/* What childhurdd has in the state directory beside the guests' folders. */
static const char *const reserved_names[] = {"images", "libvirt", "libvirt.log", "lock", NULL};

struct loader {
	GPtrArray *files;   /* of char *, in the order they are read */
	GPtrArray *entries; /* of struct ini_entry */
	GPtrArray *errors;  /* of struct ini_error */
	char *folder;	    /* of the main file */
	char *drop_ins;	    /* the folder conf.d */
	struct config *config;
	gsize bytes;	     /* of the guests' values */
	GPtrArray *sections; /* of struct section: guests and templates, in their order */
};

/* A [guest NAME], which may be in several files. */
struct section {
	char *title; /* "guest childhurd" */
	const char *name;
	const char *file;
	int line;
	int count;
};

/* The values of a repeated key in one section of one file, as they are counted. */
struct values {
	const char *file;
	guint n;
};

/* --- messages --- */

static void fault(struct loader *l, const char *file, int line, const char *section,
		  const char *key, const char *format, ...) G_GNUC_PRINTF(6, 7);

static void
fault(struct loader *l, const char *file, int line, const char *section, const char *key,
      const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *title = value_printable(section);
	g_autofree char *name = key ? value_printable(key) : NULL;
	char *text = key ? g_strdup_printf("[%s] %s: %s", title, name, what)
			 : g_strdup_printf("[%s]: %s", title, what);
	ini_error_add(l->errors, file, line, text);
}

static gint
file_rank(const struct loader *l, const char *file)
{
	guint i = G_MAXINT;
	g_ptr_array_find_with_equal_func(l->files, file, g_str_equal, &i);
	return (gint)i;
}

static gint
by_place(gconstpointer a, gconstpointer b, gpointer data)
{
	const struct ini_error *x = *(struct ini_error *const *)a,
			       *y = *(struct ini_error *const *)b;
	gint rank = file_rank(data, x->file) - file_rank(data, y->file);
	return rank ? rank : x->line - y->line;
}

static void
tell_errors(struct loader *l, GPtrArray *messages)
{
	g_ptr_array_sort_with_data(l->errors, by_place, l);
	for (guint i = 0; i < l->errors->len; i++) {
		const struct ini_error *e = g_ptr_array_index(l->errors, i);
		g_autofree char *file = g_utf8_make_valid(e->file, -1);
		g_strdelimit(file, "\n\r\033", '?');
		g_ptr_array_add(messages, e->line
					      ? g_strdup_printf("%s:%d: %s", file, e->line, e->text)
					      : g_strdup_printf("%s: %s", file, e->text));
	}
}

/* --- sections --- */

static gboolean
name_is_good(const char *name)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.";
	return g_ascii_isalnum(*name) && strspn(name, letters) == strlen(name) &&
	       strlen(name) <= NAME_MAX_BYTES;
}

static struct section *
find_section(struct loader *l, const char *title)
{
	for (guint i = 0; i < l->sections->len; i++) {
		struct section *s = g_ptr_array_index(l->sections, i);
		if (!strcmp(s->title, title))
			return s;
	}
	return NULL;
}

static void
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
	if (!strcmp(title, "daemon") || !strcmp(title, "defaults") || find_section(l, title))
		return;
	if (!g_str_has_prefix(title, "guest ")) {
		fault(l, entry->file, entry->line, title, NULL, "%s",
		      strcmp(title, "guest")
			  ? "unknown section; it is [daemon], [defaults] or [guest NAME]"
			  : "a guest needs a name, as [guest childhurd]");
		return;
	}
	const char *name = title + strlen("guest ");
	if (!name_is_good(name)) {
		g_autofree char *quoted = value_quote(name);
		fault(l, entry->file, entry->line, title, NULL,
		      "%s is not a guest's name; it is made of letters, digits, - _ and ., begins "
		      "with a letter or digit, "
		      "and has at most %d of them",
		      quoted, NAME_MAX_BYTES);
		return;
	}
	if (g_strv_contains(reserved_names, name) || g_str_has_prefix(name, "kvm-probe")) {
		fault(l, entry->file, entry->line, title, NULL,
		      "childhurdd keeps something of that name in state-directory; give the guest "
		      "another name");
		return;
	}
	if (l->sections->len >= GUESTS_MAX) {
		fault(l, entry->file, entry->line, title, NULL,
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
		fault(l, entry->file, entry->line, entry->section, entry->key, "belongs in %s",
		      there);
	else if (near)
		fault(l, entry->file, entry->line, entry->section, entry->key,
		      "unknown key %s; did you mean %s?", quoted, near);
	else if (near_there)
		fault(l, entry->file, entry->line, entry->section, entry->key,
		      "unknown key %s; did you mean %s, which belongs in %s?", quoted, near_there,
		      there);
	else
		fault(l, entry->file, entry->line, entry->section, entry->key,
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
		fault(l, entry->file, entry->line, entry->section, entry->key,
		      "can only be one guest's; put it into a [guest NAME]");
	else
		return key;
	return NULL;
}

/* Twice in one section of one file is a slip; in another file it is meant. */
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
			fault(l, entry->file, entry->line, entry->section, entry->key,
			      "given twice, first in line %d; leave one of them out", other->line);
			return;
		}
	}
}

/* What a repeated key has in one section of one file is one value; the first line too many is told,
 * those after it are not. FALSE: it is one too many. counts: of struct values. */
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
		fault(l, entry->file, entry->line, entry->section, entry->key,
		      "one too many; a guest has at most %u %ss", most, key->name);
	return values->n <= most;
}

/* Check every entry by itself, so that an error is told once however many guests it is for. */
static void
check_entries(struct loader *l)
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
		    !find_section(l, entry->section))
			continue; /* told at its head */
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
			fault(l, entry->file, entry->line, entry->section, entry->key, "%s", what);
		else if (is_count)
			find_section(l, entry->section)->count = count;
		else if (!strcmp(key->name, "inject") && guest.inject == CONFIG_INJECT_IMAGE)
			fault(l, entry->file, entry->line, entry->section, entry->key,
			      "\"image\" is not supported yet; use secret-service or none");
		if (!is_count)
			value_clear(key, owner);
	}
}

/* --- guests --- */

/* Set what the entries of one section say; errors are told already. */
static void
apply(struct loader *l, const char *section, void *owner, gboolean daemon, gboolean *given)
{
	g_autofree const char **files = g_new0(const char *, n_keys); /* of repeated keys */
	for (guint i = 0; i < l->entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(l->entries, i);
		if (!entry->key || strcmp(entry->section, section))
			continue;
		const struct key *key = key_find(entry->key, daemon);
		if (!key || !strcmp(key->name, "count") ||
		    (key->scope == KEY_GUEST_ONLY && !strcmp(section, "defaults")))
			continue;
		/* What it has in one section of one file is one value, which replaces an earlier
		 * one. */
		if (key_is_repeated(key) && files[key - keys] != entry->file) {
			value_clear(key, owner);
			files[key - keys] = entry->file;
		}
		g_autofree char *what = value_set(key, entry->value, l->folder, owner);
		if (what)
			continue;
		given[key - keys] = TRUE;
		if (!daemon)
			l->bytes += strlen(entry->value);
	}
}

static void
set_standards(void *owner, gboolean daemon)
{
	for (gsize i = 0; i < n_keys; i++) {
		if ((keys[i].scope == KEY_DAEMON) != daemon || !keys[i].standard ||
		    !strcmp(keys[i].name, "count"))
			continue;
		g_autofree char *what = value_set(&keys[i], keys[i].standard, "/", owner);
		g_assert(!what);
	}
}

/* Where a section's key was set last, for messages about it; untouched when it was not. */
static void
find_place(struct loader *l, const char *section, const char *key, const char **file, int *line)
{
	for (guint i = 0; i < l->entries->len; i++) {
		const struct ini_entry *entry = g_ptr_array_index(l->entries, i);
		if (entry->key && !strcmp(entry->key, key) && !strcmp(entry->section, section)) {
			*file = entry->file;
			*line = entry->line;
		}
	}
}

/* The same for a guest's key, or else its section. */
static void
place_of(struct loader *l, const struct config_guest *guest, const char *key, const char **file,
	 int *line)
{
	g_autofree char *section = g_strdup_printf("guest %s", guest->template);
	*file = guest->file;
	*line = guest->line;
	find_place(l, section, key, file, line);
}

static void guest_fault(struct loader *l, const struct config_guest *guest, const char *key,
			const char *format, ...) G_GNUC_PRINTF(4, 5);

static void
guest_fault(struct loader *l, const struct config_guest *guest, const char *key, const char *format,
	    ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *section = g_strdup_printf("guest %s", guest->template);
	const char *file;
	int line;
	place_of(l, guest, key, &file, &line);
	fault(l, file, line, section, key, "%s", what);
}

/* A guest's ports among themselves. */
static void
check_own_ports(struct loader *l, const struct config_guest *guest)
{
	g_autoptr(GArray) ports = config_guest_ports(guest);
	for (guint i = 1; i < ports->len; i++) {
		const struct config_port *port = &g_array_index(ports, struct config_port, i);
		for (guint j = 0; j < i; j++) {
			const struct config_port *other =
			    &g_array_index(ports, struct config_port, j);
			if (!config_port_meets(port, other))
				continue;
			guest_fault(l, guest, port->key, "%d is its %s, too; give it another",
				    port->port, other->key);
			break;
		}
	}
	for (guint i = 0; i < guest->forwards->len; i++) {
		const struct config_forward *forward = g_ptr_array_index(guest->forwards, i);
		if (forward->guest_port == SECRETS_GUEST_PORT &&
		    guest->inject == CONFIG_INJECT_SECRET_SERVICE)
			guest_fault(
			    l, guest, "forward",
			    "%d -> %d leads to the secret service, which has to be ours alone; "
			    "leave it out",
			    forward->host_port, forward->guest_port);
	}
}

/* What in qemu-options says the same as a key, and would win over it or fight with it. */
static const struct {
	const char *option, *key;
} said_by_keys[] = {
    {"-m", "memory-size"},
    {"-smp", "cpus"},
    {"-cpu", "cpu"},
    {"-enable-kvm", "acceleration"},
    {"-accel", "acceleration"},
    {"-machine", "machine"},
    {"-M", "machine"},
    {"-kernel", "kernel"},
    {"-append", "kernel-arguments"},
    {"-initrd", "module"},
    {"-hda", "image"},
    {"-snapshot", "disk = ephemeral"},
    {"-rtc", "clock"},
};

static void
check_options(struct loader *l, const struct config_guest *guest)
{
	for (char **word = guest->qemu_options; *word; word++) {
		/* QEMU takes each option with two dashes, too */
		const char *option = g_str_has_prefix(*word, "--") ? *word + 1 : *word;
		const char *key = NULL;
		for (gsize i = 0; i < G_N_ELEMENTS(said_by_keys) && !key; i++)
			if (!strcmp(option, said_by_keys[i].option))
				key = said_by_keys[i].key;
		if (!strcmp(option, "-netdev") && word[1] && strstr(word[1], "id=net0"))
			guest_fault(
			    l, guest, "qemu-options",
			    "%s %s: net0 is the guest's own network; use forward for further "
			    "ports, and network and network-device for the rest",
			    *word, word[1]);
		else if (key)
			guest_fault(l, guest, "qemu-options", "%s: use the key %s instead", *word,
				    key);
	}
}

static void
check_guest(struct loader *l, const struct config_guest *guest)
{
	const char *given = NULL; /* an image that is no good is told already */
	int line = 0;
	g_autofree char *section = g_strdup_printf("guest %s", guest->template);
	find_place(l, "defaults", "image", &given, &line);
	find_place(l, section, "image", &given, &line);
	if (!guest->image && !guest->kernel && !given)
		guest_fault(l, guest, "image",
			    "is missing; give the path of a disk image, or a kernel");
	if (guest->modules->len && !guest->kernel)
		guest_fault(l, guest, "module",
			    "needs a kernel; give one, as kernel = /path/to/gnumach");
	if (*guest->kernel_arguments && !guest->kernel)
		guest_fault(l, guest, "kernel-arguments",
			    "needs a kernel; give one, as kernel = /path/to/gnumach");
	if (guest->offloading && !*guest->systems)
		guest_fault(l, guest, "systems",
			    "is empty; name the systems it builds for, or say offloading = no");
	check_own_ports(l, guest);
	check_options(l, guest);
}

/* Only ports that follow from the id can be too high. */
static gboolean
check_highest_port(struct loader *l, const struct config_guest *guest)
{
	int port = MAX(guest->ssh_port, guest->secrets_port);
	if (port <= PORT_MAX)
		return TRUE;
	guest_fault(l, guest, "id",
		    "%d of %s makes a port %d, and they end at %d; give an id of at most %d, or "
		    "ssh-port and secrets-port",
		    guest->id, guest->name, port, PORT_MAX, (PORT_MAX - SECRETS_PORT) / PORT_STEP);
	return FALSE;
}

static struct config_guest *
make_guest(struct loader *l, const struct section *s, int number)
{
	struct config_guest *guest = g_new0(struct config_guest, 1);
	g_autofree gboolean *given = g_new0(gboolean, n_keys);
	guest->name = s->count > 1 ? g_strdup_printf("%s%d", s->name, number) : g_strdup(s->name);
	guest->template = g_strdup(s->name);
	guest->file = g_strdup(s->file);
	guest->line = s->line;
	set_standards(guest, FALSE);
	apply(l, "defaults", guest, FALSE, given);
	apply(l, s->title, guest, FALSE, given);
	if (!guest->modules)
		guest->modules = g_ptr_array_new();
	if (!guest->forwards)
		guest->forwards = g_ptr_array_new();
	gboolean has_id = given[key_find("id", FALSE) - keys];
	guest->id = has_id ? guest->id + number - 1 : (int)l->config->guests->len;
	if (!given[key_find("ssh-port", FALSE) - keys])
		guest->ssh_port = SSH_PORT + PORT_STEP * guest->id;
	if (!given[key_find("secrets-port", FALSE) - keys])
		guest->secrets_port = SECRETS_PORT + PORT_STEP * guest->id;
	return guest;
}

static void
make_guests(struct loader *l)
{
	for (guint i = 0; i < l->sections->len; i++) {
		const struct section *s = g_ptr_array_index(l->sections, i);
		if ((int)l->config->guests->len + s->count > GUESTS_MAX) {
			fault(l, s->file, s->line, s->title, "count", "more than %d guests in all",
			      GUESTS_MAX);
			return;
		}
		gboolean good = TRUE; /* or told, once for the section */
		for (int number = 1; number <= s->count; number++) {
			struct config_guest *guest = make_guest(l, s, number);
			g_ptr_array_add(l->config->guests, guest);
			if (number == 1)
				check_guest(l, guest);
			if (l->bytes > GUESTS_BYTES_MAX) {
				fault(l, s->file, s->line, s->title, NULL,
				      "the values of all guests up to here have more than %d MiB; "
				      "make them shorter, or have fewer guests",
				      GUESTS_BYTES_MAX >> 20);
				return;
			}
			good = good && check_highest_port(l, guest);
		}
	}
}

/* --- guests against each other --- */

static void
check_port(struct loader *l, const struct config_guest *guest, const struct config_port *port,
	   const struct config_guest *other, const struct config_port *other_port)
{
	const char *file;
	int line;
	if (!config_port_meets(port, other_port))
		return;
	place_of(l, other, other_port->key, &file, &line);
	if (strcmp(guest->template, other->template))
		guest_fault(l, guest, port->key,
			    "%d of %s is the %s of %s, too (%s:%d); give it another port or id",
			    port->port, guest->name, other_port->key, other->name, file, line);
	else if (!strcmp(port->key, "forward"))
		guest_fault(l, guest, port->key,
			    "%d would be the %s of %s and the %s of %s; give it in the section of "
			    "one guest, not in a template",
			    port->port, other_port->key, other->name, port->key, guest->name);
	else
		guest_fault(l, guest, port->key,
			    "%d would be the %s of %s and the %s of %s; leave it out in a "
			    "template, so that it follows from id",
			    port->port, other_port->key, other->name, port->key, guest->name);
}

static void
check_pair(struct loader *l, const struct config_guest *guest, const struct config_guest *other)
{
	if (!strcmp(guest->name, other->name)) {
		g_autofree char *section = g_strdup_printf("guest %s", guest->template);
		fault(l, guest->file, guest->line, section, NULL,
		      "there is a guest %s already, of [guest %s] (%s:%d); give one of them "
		      "another name",
		      guest->name, other->template, other->file, other->line);
		return;
	}
	if (guest->id == other->id) {
		const char *file;
		int line;
		place_of(l, other, "id", &file, &line);
		guest_fault(l, guest, "id",
			    "%d of %s is the id of %s, too (%s:%d); give one of them another",
			    guest->id, guest->name, other->name, file, line);
		return; /* the ports follow from it */
	}
	g_autoptr(GArray) ports = config_guest_ports(guest);
	g_autoptr(GArray) others = config_guest_ports(other);
	for (guint i = 0; i < ports->len; i++)
		for (guint j = 0; j < others->len; j++)
			check_port(l, guest, &g_array_index(ports, struct config_port, i), other,
				   &g_array_index(others, struct config_port, j));
}

/* What two sections have in common is told once, and of a guest only the first thing. */
static void
check_pairs(struct loader *l)
{
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 1; i < l->config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(l->config->guests, i);
		guint errors = l->errors->len;
		for (guint j = 0; j < i && l->errors->len == errors; j++) {
			const struct config_guest *other = g_ptr_array_index(l->config->guests, j);
			check_pair(l, guest, other);
			if (l->errors->len == errors)
				continue;
			if (!g_hash_table_add(
				told, g_strdup_printf("%s %s", guest->template, other->template)))
				g_ptr_array_set_size(l->errors, (int)errors);
			break;
		}
	}
}

/* --- folders and files --- */

/* The XDG Base Directory Specification: a relative path is to be ignored. */
static char *
user_folder(const char *variable, const char *in_home)
{
	const char *value = g_getenv(variable);
	if (value && g_path_is_absolute(value))
		return g_strdup(value);
	return g_build_filename(g_get_home_dir(), in_home, NULL);
}

/*
 * The folder of our name among those that the service manager has made for us (systemd.exec(5),
 * StateDirectory= and its like), or NULL. Others belong to a service that we were started from by
 * hand.
 */
static char *
service_folder(const char *variable)
{
	const char *list = g_getenv(variable);
	g_auto(GStrv) folders = g_strsplit(list ? list : "", ":", -1);
	for (char **folder = folders; *folder; folder++)
		if (g_path_is_absolute(*folder) && g_str_has_suffix(*folder, "/childhurd"))
			return g_strdup(*folder);
	return NULL;
}

static char *
standard_folder(const char *from_service, const char *for_root, const char *variable,
		const char *in_home)
{
	char *made = service_folder(from_service);
	if (made)
		return made;
	if (geteuid() == 0)
		return g_strdup(for_root);
	g_autofree char *folder = user_folder(variable, in_home);
	return g_build_filename(folder, "childhurd", NULL);
}

/* Without $XDG_RUNTIME_DIR, where g_get_user_runtime_dir() finds it; never in /tmp, where others
 * could make it first. */
static char *
standard_runtime_folder(void)
{
	const char *runtime = g_getenv("XDG_RUNTIME_DIR");
	if (geteuid() == 0 || (runtime && g_path_is_absolute(runtime)))
		return standard_folder("RUNTIME_DIRECTORY", "/run/childhurd", "XDG_RUNTIME_DIR",
				       "");
	return standard_folder("RUNTIME_DIRECTORY", "", "XDG_CACHE_HOME", ".cache");
}

char *
config_default_file(void)
{
	g_autofree char *folder = standard_folder("CONFIGURATION_DIRECTORY", "/etc/childhurd",
						  "XDG_CONFIG_HOME", ".config");
	return g_build_filename(folder, "childhurd.ini", NULL);
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* conf.d beside the main file; none is fine. */
static void
find_drop_ins(struct loader *l)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new();
	DIR *dir = opendir(l->drop_ins);
	if (!dir && errno != ENOENT)
		ini_error_add(l->errors, l->drop_ins, 0,
			      g_strdup_printf("cannot be read: %s", g_strerror(errno)));
	const struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (*entry->d_name != '.' && g_str_has_suffix(entry->d_name, ".ini"))
			g_ptr_array_add(found, g_build_filename(l->drop_ins, entry->d_name, NULL));
	if (dir)
		closedir(dir);
	g_ptr_array_sort(found, by_name);
	for (guint i = 0; i < found->len; i++)
		g_ptr_array_add(l->files, g_ptr_array_index(found, i));
}

/* Is the folder not just the standard one of whoever we are? */
static gboolean
is_named(const gboolean *given, const char *key, const char *from_service)
{
	g_autofree char *made = service_folder(from_service);
	return made || given[key_find(key, TRUE) - keys];
}

static void
set_daemon(struct loader *l)
{
	struct config *config = l->config;
	g_autofree gboolean *given = g_new0(gboolean, n_keys);
	set_standards(config, TRUE);
	config->state_directory = standard_folder("STATE_DIRECTORY", "/var/lib/childhurd",
						  "XDG_STATE_HOME", ".local/state");
	config->runtime_directory = standard_runtime_folder();
	config->secrets_directory = g_build_filename(l->folder, "secrets", NULL);
	config->parallel_starts = (int)g_get_num_processors();
	apply(l, "daemon", config, TRUE, given);
	config->folders_named = is_named(given, "state-directory", "STATE_DIRECTORY") &&
				is_named(given, "runtime-directory", "RUNTIME_DIRECTORY");
	if (strlen(config->runtime_directory) + strlen("/control") > SOCKET_PATH_MAX) {
		const char *file = g_ptr_array_index(l->files, 0);
		int line = 0;
		g_autofree char *quoted = value_quote(config->runtime_directory);
		find_place(l, "daemon", "runtime-directory", &file, &line);
		fault(l, file, line, "daemon", "runtime-directory",
		      "%s is too long for a socket in it; it has at most %d bytes", quoted,
		      SOCKET_PATH_MAX - (int)strlen("/control"));
	}
}

/* The default file may be missing; but one that is there and cannot be reached is not none. */
static gboolean
is_missing(const char *file)
{
	struct stat status;
	return lstat(file, &status) < 0 && errno == ENOENT;
}

struct config *
config_load(const char *file, GPtrArray *errors)
{
	g_autofree char *main_file =
	    file ? g_canonicalize_filename(file, NULL) : config_default_file();
	struct loader l = {.files = g_ptr_array_new_with_free_func(g_free),
			   .entries = g_ptr_array_new_with_free_func(ini_entry_free),
			   .errors = g_ptr_array_new_with_free_func(ini_error_free),
			   .sections = g_ptr_array_new_with_free_func(section_free),
			   .folder = g_path_get_dirname(main_file),
			   .config = g_new0(struct config, 1)};
	gboolean present = file || !is_missing(main_file);
	l.config->guests = g_ptr_array_new();
	l.drop_ins = g_build_filename(l.folder, "conf.d", NULL);
	g_ptr_array_add(l.files, g_strdup(main_file));
	if (present)
		l.config->file = g_strdup(main_file);
	l.config->looked_for = g_strdup(main_file);
	l.config->files = g_ptr_array_new_with_free_func(g_free);
	find_drop_ins(&l);
	for (guint i = present ? 0 : 1; i < l.files->len; i++) {
		ini_read(g_ptr_array_index(l.files, i), l.entries, l.errors);
		g_ptr_array_add(l.config->files, g_strdup(g_ptr_array_index(l.files, i)));
	}
	check_entries(&l);
	set_daemon(&l);
	make_guests(&l);
	check_pairs(&l);

	gboolean good = l.errors->len == 0;
	tell_errors(&l, errors);
	g_ptr_array_unref(l.errors);
	g_ptr_array_unref(l.entries);
	g_ptr_array_unref(l.sections);
	g_ptr_array_unref(l.files);
	g_free(l.folder);
	g_free(l.drop_ins);
	if (good)
		return l.config;
	config_free(l.config);
	return NULL;
}

void
config_free(struct config *config)
{
	if (!config)
		return;
	for (guint i = 0; i < config->guests->len; i++)
		config_guest_free(g_ptr_array_index(config->guests, i));
	g_ptr_array_unref(config->guests);
	for (gsize i = 0; i < n_keys; i++)
		if (keys[i].scope == KEY_DAEMON)
			value_clear(&keys[i], config);
	g_free(config->secrets_directory);
	g_ptr_array_unref(config->files);
	g_free(config->looked_for);
	g_free(config->file);
	g_free(config);
}

char *
config_missing(const struct config *config)
{
	if (config->files->len)
		return NULL;
	return g_strdup_printf(
	    "no configuration: %s does not exist; write it (see "
	    "childhurd.ini(5)), or name another file (childhurdd --config FILE, childhurdctl "
	    "check FILE)",
	    config->looked_for);
}

const struct config_guest *
config_find_guest(const struct config *config, const char *name)
{
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		if (!strcmp(guest->name, name))
			return guest;
	}
	return NULL;
}

/*
 * The folder itself, whatever links lead to it, or would lead to it once it is made: it is what
 * guests are known by, so it may have one name only. Caller frees.
 */
static char *
resolved(const char *path)
{
	char *real = realpath(path, NULL);
	if (real) {
		char *copy = g_strdup(real);
		free(real);
		return copy;
	}
	if (errno != ENOENT || !strcmp(path, "/"))
		return g_strdup(path);
	g_autofree char *above = g_path_get_dirname(path), *name = g_path_get_basename(path);
	g_autofree char *real_above = resolved(above);
	return g_build_filename(real_above, name, NULL);
}

void
config_resolve(struct config *config)
{
	g_autofree char *spelled = config->state_directory;
	config->state_directory = resolved(spelled);
}
