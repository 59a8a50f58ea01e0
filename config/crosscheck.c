/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Errors that show only once everything is read: keys of a guest that contradict each other, and
 * two guests with one name, id or port.
 */
#include <string.h>

#include "config/kinds.h"
#include "config/load_internal.h"

/* --- one guest --- */

/* The place of a guest's key, or else of its section. */
static void
place_of(struct loader *l, const struct config_guest *guest, const char *key, const char **file,
	 int *line)
{
	g_autofree char *section = g_strdup_printf("guest %s", guest->template);
	*file = guest->file;
	*line = guest->line;
	load_find_place(l, section, key, file, line);
}

void
crosscheck_fault(struct loader *l, const struct config_guest *guest, const char *key,
		 const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *section = g_strdup_printf("guest %s", guest->template);
	const char *file;
	int line;
	place_of(l, guest, key, &file, &line);
	load_fault(l, file, line, section, key, "%s", what);
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
			crosscheck_fault(l, guest, port->key, "%d is its %s, too; give it another",
					 port->port, other->key);
			break;
		}
	}
	for (guint i = 0; i < guest->forwards->len; i++) {
		const struct config_forward *forward = g_ptr_array_index(guest->forwards, i);
		if (forward->guest_port == SECRETS_GUEST_PORT &&
		    guest->inject == CONFIG_INJECT_SECRET_SERVICE)
			crosscheck_fault(
			    l, guest, "forward",
			    "%d -> %d leads to the secret service, which has to be ours alone; "
			    "leave it out",
			    forward->host_port, forward->guest_port);
	}
}

/* Options of QEMU that do the same as a key, and would override or contradict it. */
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
    {"-loadvm", "warm-start"},
    {"-incoming", "warm-start"},
};

static void
check_options(struct loader *l, const struct config_guest *guest)
{
	for (char **word = guest->qemu_options; *word; word++) {
		/* QEMU also accepts each option with two dashes */
		const char *option = g_str_has_prefix(*word, "--") ? *word + 1 : *word;
		const char *key = NULL;
		for (gsize i = 0; i < G_N_ELEMENTS(said_by_keys) && !key; i++)
			if (!strcmp(option, said_by_keys[i].option))
				key = said_by_keys[i].key;
		if (!strcmp(option, "-netdev") && word[1] && strstr(word[1], "id=net0"))
			crosscheck_fault(
			    l, guest, "qemu-options",
			    "%s %s: net0 is the guest's own network; use forward for further "
			    "ports, and network and network-device for the rest",
			    *word, word[1]);
		else if (key)
			crosscheck_fault(l, guest, "qemu-options", "%s: use the key %s instead",
					 *word, key);
	}
}

/* Keys of warm states that would have no effect. That an asleep guest has none is slow, and no
 * fault. */
static void
check_warm(struct loader *l, const struct config_guest *guest)
{
	gboolean persistent = guest->disk == CONFIG_DISK_PERSISTENT;
	if (*guest->prepare_command && guest->warm_start == CONFIG_WARM_START_NO)
		crosscheck_fault(l, guest, "prepare-command",
				 "is run before a warm state is saved, and warm-start = no saves "
				 "none; leave one of them out");
	else if (*guest->prepare_command && persistent)
		crosscheck_fault(l, guest, "prepare-command",
				 "is run once before the first warm state, and with disk = "
				 "persistent a guest is saved as it falls asleep, with what is on "
				 "its disk; leave it out, or write disk = ephemeral");
	else if (*guest->prepare_command && guest->kernel && !guest->image)
		crosscheck_fault(l, guest, "prepare-command",
				 "is run before a warm state is saved, and a guest without an "
				 "image has none; leave it out");
	if (guest->recycle_after && persistent)
		crosscheck_fault(l, guest, "recycle-after",
				 "%d with disk = persistent: what a build writes there is kept, so "
				 "there is no pristine state; write recycle-after = never, or "
				 "disk = ephemeral",
				 guest->recycle_after);
	else if (guest->recycle_after && !guest->offloading)
		crosscheck_fault(l, guest, "recycle-after",
				 "%d with offloading = no: it has no builds that could be counted; "
				 "write recycle-after = never",
				 guest->recycle_after);
}

/* What depends on a machine that is not certain yet is checked when the guest starts. */
static void
check_fit(struct loader *l, const struct config_guest *guest)
{
	const char *key;
	g_autofree char *what = config_guest_misfit(guest, &key);
	gboolean by_machine = what && !strcmp(key, "memory-size");
	if (what && (!by_machine || kind_is_certain(guest)))
		crosscheck_fault(l, guest, key, "%s", what);
	if (guest->inject == CONFIG_INJECT_IMAGE && !guest->image && guest->kernel)
		crosscheck_fault(l, guest, "inject",
				 "\"image\" without an image: there is nothing to write into; use "
				 "secret-service or none");
}

void
crosscheck_guest(struct loader *l, const struct config_guest *guest)
{
	const char *given = NULL; /* a bad image is reported already */
	int line = 0;
	g_autofree char *section = g_strdup_printf("guest %s", guest->template);
	load_find_place(l, "defaults", "image", &given, &line);
	load_find_place(l, section, "image", &given, &line);
	if (!guest->image && !guest->kernel && !given)
		crosscheck_fault(l, guest, "image",
				 "is missing; give the path of a disk image, or a kernel");
	if (guest->modules->len && !guest->kernel)
		crosscheck_fault(l, guest, "module",
				 "needs a kernel; give one, as kernel = /path/to/gnumach");
	if (*guest->kernel_arguments && !guest->kernel)
		crosscheck_fault(l, guest, "kernel-arguments",
				 "needs a kernel; give one, as kernel = /path/to/gnumach");
	if (guest->offloading && !*guest->systems)
		crosscheck_fault(
		    l, guest, "systems",
		    "is empty; name the systems it builds for, or say offloading = no");
	check_warm(l, guest);
	check_own_ports(l, guest);
	check_options(l, guest);
	check_fit(l, guest);
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
		crosscheck_fault(
		    l, guest, port->key,
		    "%d of %s is the %s of %s, too (%s:%d); give it another port or id", port->port,
		    guest->name, other_port->key, other->name, file, line);
	else if (!strcmp(port->key, "forward"))
		crosscheck_fault(
		    l, guest, port->key,
		    "%d would be the %s of %s and the %s of %s; give it in the section of "
		    "one guest, not in a template",
		    port->port, other_port->key, other->name, port->key, guest->name);
	else
		crosscheck_fault(l, guest, port->key,
				 "%d would be the %s of %s and the %s of %s; leave it out in a "
				 "template, so that it follows from id",
				 port->port, other_port->key, other->name, port->key, guest->name);
}

static void
check_pair(struct loader *l, const struct config_guest *guest, const struct config_guest *other)
{
	if (!strcmp(guest->name, other->name)) {
		g_autofree char *section = g_strdup_printf("guest %s", guest->template);
		load_fault(l, guest->file, guest->line, section, NULL,
			   "there is a guest %s already, of [guest %s] (%s:%d); give one of them "
			   "another name",
			   guest->name, other->template, other->file, other->line);
		return;
	}
	if (guest->id == other->id) {
		const char *file;
		int line;
		place_of(l, other, "id", &file, &line);
		crosscheck_fault(l, guest, "id",
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

/* Report what two sections share once, and of a guest only the first fault. */
void
crosscheck_pairs(struct loader *l)
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
