/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a guest is may be known only when its image has been looked at, long after the configuration
 * was read. So a guest remembers which of its keys were left open, and gets them anew then.
 *
 * What the Hurd cannot do was found out by running it: QEMU's pc has its PCI hole at 3584 MiB and
 * more memory above 4 GiB, which Mach does not use and its drivers trip over; the Hurd's disk
 * driver (rump) hangs on an AHCI CD-ROM; there is no driver for virtio; QEMU's -kernel takes no
 * 64-bit multiboot kernel (hw/i386/multiboot.c).
 */
#include "config/kinds.h"

#include <string.h>

#include "config/value.h"

#define PC_MEMORY_END (G_GINT64_CONSTANT(3584) << 20)

static const struct {
	const char *key;
	const char *i586, *x86_64; /* NULL: it follows from the distribution */
	const char *guix, *debian; /* other is as guix */
} following[] = {
    {"machine", "pc", "q35", NULL, NULL},
    {"systems", "i586-gnu", "x86_64-gnu", NULL, NULL},
    {"inject", NULL, NULL, "secret-service", "image"},
    {"offloading", NULL, NULL, "yes", "no"},
    {"user", NULL, NULL, "offloading", "root"},
};

guint
kind_bit(const struct key *key)
{
	for (guint i = 0; i < G_N_ELEMENTS(following); i++)
		if (!strcmp(key->name, following[i].key))
			return 1U << i;
	return 0;
}

enum config_distribution
config_guest_distribution(const struct config_guest *guest)
{
	return guest->distribution ? guest->distribution : guest->seen_distribution;
}

gboolean
config_guest_is_64(const struct config_guest *guest)
{
	return (guest->architecture ? guest->architecture : guest->seen_architecture) ==
	       CONFIG_ARCHITECTURE_X86_64;
}

void
kind_apply(struct config_guest *guest)
{
	gboolean debian = config_guest_distribution(guest) == CONFIG_DISTRIBUTION_DEBIAN;
	for (guint i = 0; i < G_N_ELEMENTS(following); i++) {
		const char *by_machine =
		    config_guest_is_64(guest) ? following[i].x86_64 : following[i].i586;
		const char *by_maker = debian ? following[i].debian : following[i].guix;
		if (!(guest->follows & 1U << i))
			continue;
		g_autofree char *what = value_set(key_find(following[i].key, KEY_GUEST),
						  by_machine ? by_machine : by_maker, "/", guest);
		g_assert(!what);
	}
}

gboolean
kind_is_certain(const struct config_guest *guest)
{
	return guest->architecture || !(guest->follows & kind_bit(key_find("machine", KEY_GUEST)));
}

struct config_guest *
config_guest_settle(const struct config_guest *guest, enum config_architecture architecture,
		    enum config_distribution distribution)
{
	g_auto(GStrv) words = config_guest_words(guest);
	struct config_guest *settled =
	    config_guest_from(guest->name, (const char *const *)words, NULL);
	g_assert(settled);
	g_free(settled->template);
	g_free(settled->file);
	settled->template = g_strdup(guest->template);
	settled->file = g_strdup(guest->file);
	settled->line = guest->line;
	settled->follows = guest->follows;
	settled->seen_architecture = architecture;
	settled->seen_distribution = distribution;
	kind_apply(settled);
	return settled;
}

/* --- what the Hurd cannot do --- */

gboolean
config_guest_has_ahci(const struct config_guest *guest)
{
	return g_str_has_prefix(guest->machine, "q35") || strstr(guest->machine, "-q35-");
}

static gboolean
is_pc(const char *machine)
{
	return !strcmp(machine, "pc") || g_str_has_prefix(machine, "pc-i440fx-");
}

/* The first word of qemu-options that has one of these in it; NULL: none. */
static const char *
option_with(const struct config_guest *guest, const char *const *texts)
{
	for (char **word = guest->qemu_options; *word; word++)
		for (const char *const *text = texts; *text; text++)
			if (strstr(*word, *text))
				return *word;
	return NULL;
}

/* Whatever the machine is. */
static char *
misfit_anywhere(const struct config_guest *guest, const char **key)
{
	static const char *const virtio[] = {"virtio", NULL};
	const char *word;
	*key = "network-device";
	if (strstr(guest->network_device, "virtio"))
		return g_strdup_printf("%s: the Hurd has no driver for virtio; use rtl8139 or "
				       "e1000",
				       guest->network_device);
	*key = "qemu-options";
	word = option_with(guest, virtio);
	if (word)
		return g_strdup_printf("%s: the Hurd has no driver for virtio; use a device that "
				       "real machines had",
				       word);
	return NULL;
}

static char *
misfit_of_64(const struct config_guest *guest, const char **key)
{
	*key = "kernel";
	if (guest->kernel)
		return g_strdup(
		    "QEMU does not load a 64-bit GNU Mach itself; leave the key out, and "
		    "let the image's GRUB load it");
	*key = "emulator";
	if (g_str_has_suffix(guest->emulator, "qemu-system-i386"))
		return g_strdup_printf("%s has no 64-bit processor; use qemu-system-x86_64",
				       guest->emulator);
	return NULL;
}

char *
config_guest_misfit(const struct config_guest *guest, const char **key)
{
	static const char *const cd_roms[] = {"-cdrom", "media=cdrom", "ide-cd", "scsi-cd", NULL};
	const char *word = option_with(guest, cd_roms);
	char *what = misfit_anywhere(guest, key);
	if (!what && config_guest_is_64(guest))
		what = misfit_of_64(guest, key);
	if (what)
		return what;
	*key = "memory-size";
	if (is_pc(guest->machine) && guest->memory_size >= PC_MEMORY_END)
		return g_strdup_printf("%" G_GINT64_FORMAT
				       "M: the Hurd does not run on the machine %s with 3584M or "
				       "more; give it less, as 3500M, or machine = q35",
				       guest->memory_size >> 20, guest->machine);
	*key = "qemu-options";
	if (config_guest_has_ahci(guest) && word)
		return g_strdup_printf(
		    "%s: the Hurd's disk driver hangs on a CD-ROM of the machine "
		    "%s; leave it out, or give machine = pc",
		    word, guest->machine);
	return NULL;
}
