/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes the configuration.
 *
 * Input: childhurd.ini, and behind each byte 0x1c a drop-in, three at most. Whatever they say, they
 * are either refused with messages that can be printed, each with a file's name in front; or they
 * are a configuration that keeps the promises of config.h, and the same when it is read again.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/value.h"
#include "tests/fuzz/lib/fuzz.h"

#define BETWEEN_FILES 0x1c
#define DROP_INS      3

static const char *folder;
static char *main_file, *drop_ins[DROP_INS];

static void
require_clean(const char *text, const char *what)
{
	require(text != NULL, what, "(null)");
	g_autofree char *odd = value_odd(text);
	require(odd == NULL, what, text);
}

static void
prepare(void)
{
	folder = fuzz_folder();
	main_file = g_build_filename(folder, "childhurd.ini", NULL);
	g_autofree char *conf_d = g_build_filename(folder, "conf.d", NULL);
	require(mkdir(conf_d, 0700) == 0, "a folder can be made", conf_d);
	for (int i = 0; i < DROP_INS; i++)
		drop_ins[i] = g_strdup_printf("%s/%d0.ini", conf_d, i + 1);
}

static void
check_errors(const GPtrArray *errors)
{
	require(errors->len > 0, "who refuses says why", "nothing");
	for (guint i = 0; i < errors->len; i++) {
		const char *message = g_ptr_array_index(errors, i);
		require_clean(message, "a message can be printed");
		require(g_str_has_prefix(message, folder), "a message names the file", message);
		require(strlen(message) < 1000, "a message is of a length to be read", message);
		require(!g_str_has_suffix(message, ": inih cannot read this line"),
			"we know what inih refuses", message);
	}
}

static void
check_list(char **list)
{
	require(list != NULL, "a list is there", "NULL");
	for (; *list; list++)
		require_clean(*list, "a list's words are text");
}

static gboolean
overlap(const char *a, const char *b)
{
	return !strcmp(a, b) || !strcmp(a, "0.0.0.0") || !strcmp(b, "0.0.0.0");
}

/* Can the guest's SSH server and the other's secrets have one port? */
static gboolean
clashes(const struct config_guest *g, const struct config_guest *other)
{
	return g->ssh_port == other->secrets_port && overlap(g->listen_address, SECRETS_ADDRESS);
}

static void
check_against(const struct config_guest *a, const struct config_guest *b)
{
	require(strcmp(a->name, b->name) != 0, "names are different", a->name);
	require(a->ssh_port != b->ssh_port || !overlap(a->listen_address, b->listen_address),
		"ports of SSH are different", a->name);
	require(a->secrets_port != b->secrets_port && !clashes(a, b) && !clashes(b, a),
		"ports of secrets are different", a->name);
}

static void
check_guest(const struct config_guest *g)
{
	require(g_ascii_isalnum(*g->name) && !strpbrk(g->name, "/ \t*?\"'\\") &&
		    strlen(g->name) <= 63,
		"a name is a name", g->name);
	require(g_str_has_prefix(g->name, g->template), "a name comes from its section", g->name);
	require(g->line > 0 && g_str_has_prefix(g->file, folder), "a guest knows its place",
		g->name);
	require(g->ssh_port >= 1 && g->ssh_port <= 65535 && g->secrets_port >= 1 &&
		    g->secrets_port <= 65535 && !clashes(g, g),
		"ports are ports", g->name);
	require(g->kernel ? g_path_is_absolute(g->kernel)
			  : !*g->kernel_arguments && !g->modules->len,
		"what a kernel is for needs one", g->name);
	require(g->image ? g_path_is_absolute(g->image) : g->kernel != NULL, "something boots",
		g->name);
	require(g->memory_size >= 16 << 20 && g->disk_size >= 0 && g->cpus >= 1, "sizes are sizes",
		g->name);
	require(g->parallel_builds >= 1 && g->parallel_builds <= 64 && g->speed > 0 &&
		    g->overload_threshold > 0,
		"what Guix gets it can use", g->name);
	require(g->probe_interval >= 100 && g->boot_timeout >= 1000 && g->hang_timeout >= 1000 &&
		    g->stop_timeout >= 1000,
		"nothing is to be done in no time", g->name);
	require(g->inject != CONFIG_INJECT_IMAGE || g->image, "what is written to is there",
		g->name);
	require(!g->offloading || *g->systems, "who builds builds for something", g->name);
	require(!strpbrk(g->user, "/ ") && !strpbrk(g->admin_user, "/ "), "accounts are no paths",
		g->user);
	require(!g->clock || strlen(g->clock) == strlen("2020-01-31T12:00:00"), "a date is normal",
		g->clock);
	const char *const texts[] = {g->listen_address, g->kernel_arguments, g->machine,
				     g->network_device, g->emulator,	     g->user,
				     g->admin_user,	g->probe_command};
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
		require_clean(texts[i], "a guest's text is text");
	if (g->image)
		require_clean(g->image, "an image's path is text");
	for (guint i = 0; i < g->modules->len; i++) {
		const struct config_module *module = g_ptr_array_index(g->modules, i);
		require_clean(module->arguments, "a module's arguments are text");
		require(g_path_is_absolute(module->file), "a module is a file", module->file);
	}
	check_list(g->qemu_options);
	check_list(g->systems);
	check_list(g->features);
}

/* What is written into authorized_keys is one line of it, and the other a key or a file. */
static void
check_coordinator(const struct config *config, guint i)
{
	const struct config_coordinator *c = g_ptr_array_index(config->coordinators, i);
	require_clean(c->ssh_key, "a coordinator's key is text");
	require(!strpbrk(c->ssh_key, "\t\n") &&
		    (g_str_has_prefix(c->ssh_key, "ssh-") ||
		     g_str_has_prefix(c->ssh_key, "ecdsa-sha2-nistp")) &&
		    strchr(c->ssh_key, ' '),
		"a coordinator's key is a line", c->ssh_key);
	require(!c->signing_key || *c->signing_key == '(' || g_path_is_absolute(c->signing_key),
		"a signing key is a key or a file", c->name);
	for (guint j = 0; j < i; j++) {
		const struct config_coordinator *other = config->coordinators->pdata[j];
		require(strcmp(c->name, other->name) != 0, "coordinators have names", c->name);
		require(strcmp(c->ssh_key, other->ssh_key) != 0, "each has its own key", c->name);
	}
}

static void
check_node(const struct config *config, guint i)
{
	const struct config_node *n = g_ptr_array_index(config->nodes, i);
	require(g_ascii_isalnum(*n->name) && !strpbrk(n->name, "/ \t*?\"'\\"), "a node has a name",
		n->name);
	require(n->port >= 1 && n->port <= 65535, "a node's port is one", n->name);
	require(n->user && *n->user != '-' && !strpbrk(n->user, "@:/ "), "a node's user is one",
		n->name);
	/* They go to ssh, into its files and into Scheme. */
	require(n->host && *n->host && *n->host != '-' && !strpbrk(n->host, ",!*?[]@ \"'\\"),
		"a node's host is one", n->name);
	require(n->address && *n->address && !strpbrk(n->address, ",!*?[]@ \"'\\"),
		"a node's address is one", n->name);
	require(!n->host_key || (strchr(n->host_key, ' ') && !strpbrk(n->host_key, "\t\n")),
		"a node's key is a line", n->name);
	require(n->lost_after > 0, "a node has its time", n->name);
	for (guint j = 0; j < i; j++) {
		const struct config_node *other = config->nodes->pdata[j];
		require(strcmp(n->name, other->name) != 0, "nodes have names", n->name);
		require(g_ascii_strcasecmp(n->host, other->host) || n->port != other->port,
			"a node is there once", n->name);
	}
}

/* What is said of the daemon goes into the files for coordinators. */
static void
check_daemon(const struct config *config)
{
	require(!strpbrk(config->host_name, ",!*?[]@ \"'\\"), "a host's name is no list",
		config->host_name);
	require(g_path_is_absolute(config->state_directory) &&
		    !strstr(config->state_directory, "${"),
		"ssh takes the state directory as it is", config->state_directory);
	require(g_path_is_absolute(config->runtime_directory) &&
		    !strstr(config->runtime_directory, "${"),
		"ssh takes the runtime directory as it is", config->runtime_directory);
	require(config->parallel_starts >= 1 && config->history >= 0, "numbers are in range",
		config->file);
}

static void
check_config(const struct config *config, const struct config *again)
{
	require(config->coordinators->len <= COORDINATORS_MAX, "coordinators are not too many",
		config->file);
	for (guint i = 0; i < config->coordinators->len; i++)
		check_coordinator(config, i);
	require(config->nodes->len <= NODES_MAX, "nodes are not too many", config->file);
	for (guint i = 0; i < config->nodes->len; i++)
		check_node(config, i);
	check_daemon(config);
	require(strlen(config->runtime_directory) < 100, "there is room for a socket",
		config->runtime_directory);
	require(config->guests->len <= 1000, "guests are not too many", config->file);
	require(again && again->guests->len == config->guests->len, "read again it is good",
		config->file);
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = g_ptr_array_index(config->guests, i);
		check_guest(guest);
		require(config_find_guest(config, guest->name) == guest, "a guest is found",
			guest->name);
		g_auto(GStrv) differ =
		    config_guest_differences(guest, g_ptr_array_index(again->guests, i));
		require(!*differ, "read again it is the same", guest->name);
		for (guint j = 0; j < i; j++)
			check_against(guest, g_ptr_array_index(config->guests, j));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!folder)
		prepare();
	for (int i = -1; i < DROP_INS; i++) {
		const char *path = i < 0 ? main_file : drop_ins[i];
		const uint8_t *between = size ? memchr(data, BETWEEN_FILES, size) : NULL;
		size_t n = between && i + 1 < DROP_INS ? (size_t)(between - data) : size;
		if (n || i < 0)
			fuzz_write(path, data, n);
		else
			unlink(path);
		data += MIN(n + 1, size);
		size -= MIN(n + 1, size);
	}
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(main_file, errors);
	require((config != NULL) == (errors->len == 0), "it is good or refused", "neither or both");
	if (config) {
		struct config *again = config_load(main_file, errors);
		check_config(config, again);
		config_free(again);
		config_free(config);
	} else {
		check_errors(errors);
	}
	return 0;
}
