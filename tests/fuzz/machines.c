/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what is published for coordinators: written by us, and read by those for whom it is.
 *
 * Input: childhurd.ini, and behind the first byte 0x1c what a node replies to Machines. The guests
 * of both are published. Then the real Guile reads machines.scm, and has to find the same entries,
 * byte for byte; libssh finds each guest's keys in known_hosts, and no others; and, for some
 * inputs, as a process for each takes long, OpenSSH tells what it understands of ssh_config.
 */
#include <libssh/libssh.h>
#include <stdlib.h>
#include <string.h>

#include "childhurdd/nodes/offers.h"
#include "config/config.h"
#include "offload/published.h"
#include "service/varlink.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/fuzz/lib/guile.h"

#define BETWEEN	   0x1c
#define GUESTS_MAX 50 /* more are as 50 are, only slower */
#define ASK_SSH	   64 /* of so many inputs one */

static const char *const host_keys[] = {
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB3xOULSOlAvs5CURBwHiPpxcD3S6o8Wbad0w5Kkz/1d",
    "ecdsa-sha2-nistp256 "
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKzilA/"
    "mVWwToTFKYaHbBlCegxu7N0kJyjuilYuBBFQ+Cl4E7Hxf8DIuSWobiaRCTQhQMDJe5lHXT4BX0Sa4m1g=",
    NULL};

static char *main_file;

/* --- what is published --- */

/* As hird/publisher.c does it. */
static void
add_guests(const struct config *config, GArray *list, GPtrArray *texts)
{
	for (guint i = 0; i < config->guests->len && list->len < GUESTS_MAX; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		char *key =
		    g_build_filename(config->state_directory, guest->name, "offload_key", NULL);
		g_ptr_array_add(texts, key);
		const struct published_guest entry = {
		    .name = guest->name,
		    .host_name = config->host_name,
		    .port = guest->ssh_port,
		    .user = guest->offloading ? guest->user : guest->admin_user,
		    .private_key = key,
		    .host_keys = host_keys,
		    .systems = (const char *const *)guest->systems,
		    .features = (const char *const *)guest->features,
		    .parallel_builds = guest->parallel_builds,
		    .speed = guest->speed,
		    .overload_threshold = guest->overload_threshold,
		    .as = guest->ssh_port % 8 == 7 ? PUBLISHED_COMING : PUBLISHED_READY,
		};
		g_array_append_val(list, entry);
	}
}

/* As nodes_append does it. */
static void
add_offers(const struct config *config, const struct offers *offers, GArray *list, GPtrArray *texts)
{
	const struct config_node *node =
	    config->nodes->len ? g_ptr_array_index(config->nodes, 0) : NULL;
	char *key = g_build_filename(config->state_directory, "node_key", NULL);
	g_ptr_array_add(texts, key);
	for (guint i = 0; i < offers->guests->len && list->len < GUESTS_MAX; i++) {
		struct published_guest guest =
		    g_array_index(offers->guests, struct published_guest, i);
		guest.host_name = node ? node->address : "node.example";
		guest.private_key = key;
		guest.foreign = TRUE;
		g_array_append_val(list, guest);
	}
}

/* --- machines.scm --- */

static void
expect_text(GString *out, const char *field, const char *text)
{
	g_string_append(out, "('");
	guile_append(out, field);
	guile_append(out, text);
	g_string_append_c(out, ')');
}

static void
expect_texts(GString *out, const char *field, const char *const *texts)
{
	g_string_append(out, "('");
	guile_append(out, field);
	g_string_append_c(out, '(');
	for (; *texts; texts++)
		guile_append(out, *texts);
	g_string_append(out, "))");
}

static void
expect_integer(GString *out, const char *field, int value)
{
	g_string_append(out, "('");
	guile_append(out, field);
	g_string_append_printf(out, "i%d;)", value);
}

/* What Guile must understand. Reals are compared by expect_reals, and left out here. */
static GString *
expected(const GArray *list)
{
	GString *out = g_string_new("(");
	enum published_as listed = PUBLISHED_COMING;
	for (guint i = 0; i < list->len; i++)
		listed = MAX(listed, g_array_index(list, struct published_guest, i).as);
	for (guint i = 0; i < list->len; i++) {
		const struct published_guest *guest =
		    &g_array_index(list, struct published_guest, i);
		if (guest->as != listed)
			continue;
		g_string_append_c(out, '(');
		expect_text(out, "name", guest->host_name);
		expect_integer(out, "port",
			       listed == PUBLISHED_READY ? guest->port : PUBLISHED_NOWHERE);
		expect_texts(out, "systems", guest->systems);
		expect_text(out, "user", guest->user);
		expect_text(out, "host-key", guest->host_keys[0]);
		expect_text(out, "private-key", guest->private_key);
		expect_integer(out, "parallel-builds", guest->parallel_builds);
		g_string_append_printf(out, "('5:speed%a)('18:overload-threshold%a)", guest->speed,
				       guest->overload_threshold);
		if (guest->features[0])
			expect_texts(out, "features", guest->features);
		g_string_append_c(out, ')');
	}
	g_string_append_c(out, ')');
	return out;
}

/* One real number at both: six digits are written. */
static gboolean
reals_agree(const char **is, const char **should_be)
{
	char *end_is, *end_should_be;
	double a = g_ascii_strtod(*is + 1, &end_is), b = g_ascii_strtod(*should_be, &end_should_be);
	gboolean good = *end_is == ';' && end_should_be > *should_be && a > 0 &&
			(a > b ? a - b : b - a) <= b * 1e-5;
	*is = end_is + 1;
	*should_be = end_should_be;
	return good;
}

static void
check_machines(const GArray *list)
{
	g_autofree char *text =
	    published_machines((const struct published_guest *)list->data, list->len);
	g_autoptr(GString) is = guile_read("machines", text, strlen(text));
	g_autoptr(GString) should_be = expected(list);
	const char *a = is->str, *b = should_be->str;
	while (*a && *b) {
		if (*a == 'r' && g_str_has_prefix(b, "0x")) {
			require(reals_agree(&a, &b), "Guile reads the same numbers", is->str);
			continue;
		}
		if (*a != *b)
			break;
		a++;
		b++;
	}
	if (*a || *b)
		g_printerr("%s\nwas read as\n%s\ninstead of\n%s\n", text, is->str, should_be->str);
	require(!*a && !*b, "Guile reads the same entries", a);
}

/* --- known_hosts --- */

static void
check_line(const struct published_guest *guest, const char *key, const char *line)
{
	/* ssh(1) looks up a host's name, and an alias, in small letters. */
	g_autofree char *host = g_ascii_strdown(guest->host_name, -1);
	g_autofree char *name = g_ascii_strdown(guest->name, -1);
	g_autofree char *place =
	    guest->port == 22 ? g_strdup(host) : g_strdup_printf("[%s]:%d", host, guest->port);
	const char *const names[] = {name, place};
	const char *const strangers[] = {"stranger", "x", "[stranger]:10022"};
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		struct ssh_knownhosts_entry *entry = NULL;
		require(ssh_known_hosts_parse_line(names[i], line, &entry) == SSH_OK && entry,
			"known_hosts has each guest", line);
		require(g_str_has_suffix(line, key), "known_hosts has its key", line);
		ssh_knownhosts_entry_free(entry);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(strangers); i++) {
		struct ssh_knownhosts_entry *entry = NULL;
		if (!strcmp(strangers[i], name) || !strcmp(strangers[i], place))
			continue;
		require(ssh_known_hosts_parse_line(strangers[i], line, &entry) != SSH_OK || !entry,
			"a guest's key is no other host's", line);
	}
}

static void
check_known_hosts(const GArray *list)
{
	g_autofree char *text =
	    published_known_hosts((const struct published_guest *)list->data, list->len);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint n = 1; /* after the header */
	require(lines[0][0] == '#', "known_hosts has a header", lines[0]);
	for (guint i = 0; i < list->len; i++) {
		const struct published_guest *guest =
		    &g_array_index(list, struct published_guest, i);
		for (const char *const *key = guest->host_keys; *key; key++, n++) {
			require(lines[n] && *lines[n], "known_hosts has all keys", guest->name);
			check_line(guest, *key, lines[n]);
		}
	}
	require(lines[n] && !*lines[n] && !lines[n + 1], "known_hosts has no more", lines[n]);
}

/* --- ssh_config --- */

/* The value in the output of ssh -G. Of a path it depends on the option and on ssh's release
 * whether the doubled % is still there. */
static void
expect_option(char **lines, const char *name, const char *value, gboolean path)
{
	g_auto(GStrv) parts = g_strsplit(value, "%", -1);
	g_autofree char *doubled = path ? g_strjoinv("%%", parts) : g_strdup(value);
	g_autofree char *line = g_strdup_printf("%s %s", name, value);
	g_autofree char *raw = g_strdup_printf("%s %s", name, doubled);
	require(!path || !strstr(value, "${"), "no path has what ssh replaces", value);
	for (; *lines; lines++)
		if (!g_ascii_strcasecmp(*lines, line) || !g_ascii_strcasecmp(*lines, raw))
			return;
	require(FALSE, "ssh understands what is meant", line);
}

static void
check_ssh_config(const GArray *list, const char *runtime_directory)
{
	const struct published_guest *guests = (const struct published_guest *)list->data;
	g_autofree char *path = g_build_filename(fuzz_folder(), "ssh_config", NULL);
	g_autofree char *known = g_build_filename(runtime_directory, "known_hosts", NULL);
	g_autofree char *text = published_ssh_config(guests, list->len, known);
	const struct published_guest *guest = &guests[strlen(text) % list->len];
	const char *const argv[] = {"ssh", "-G", "-F", path, guest->name, NULL};
	g_autofree char *output = NULL, *said = NULL;
	int status = 0;
	fuzz_write(path, text, strlen(text));
	require(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output,
			     &said, &status, NULL),
		"ssh can be run", NULL);
	require(status == 0, "ssh takes ssh_config", said);
	g_auto(GStrv) lines = g_strsplit(output, "\n", -1);
	g_autofree char *port = g_strdup_printf("%d", guest->port);
	expect_option(lines, "hostname", guest->host_name, FALSE);
	expect_option(lines, "port", port, FALSE);
	expect_option(lines, "user", guest->user, FALSE);
	expect_option(lines, "identityfile", guest->private_key, TRUE);
	expect_option(lines, "hostkeyalias", guest->name, FALSE);
	expect_option(lines, "userknownhostsfile", known, TRUE);
	expect_option(lines, "stricthostkeychecking", "true", FALSE);
}

static guint
hash_of(const uint8_t *data, size_t size)
{
	guint hash = 2166136261u;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * 16777619u;
	return hash;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	guint hash = hash_of(data, size);
	if (!main_file)
		main_file = g_build_filename(fuzz_folder(), "childhurd.ini", NULL);
	const uint8_t *between = size ? memchr(data, BETWEEN, size) : NULL;
	size_t first = between ? (size_t)(between - data) : size;
	fuzz_write(main_file, data, first);
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(main_file, errors);
	if (!config)
		return 0;
	g_autofree char *reply =
	    between ? g_strndup((const char *)between + 1, size - first - 1) : NULL;
	struct varlink_message *message = reply ? varlink_parse(reply, NULL) : NULL;
	struct offers *offers = message ? offers_parse("node", message->parameters, NULL) : NULL;
	g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(struct published_guest));
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	add_guests(config, list, texts);
	if (offers)
		add_offers(config, offers, list, texts);
	check_machines(list);
	check_known_hosts(list);
	if (list->len && hash % ASK_SSH == 0)
		check_ssh_config(list, config->runtime_directory);
	offers_unref(offers);
	varlink_message_free(message);
	config_free(config);
	return 0;
}
