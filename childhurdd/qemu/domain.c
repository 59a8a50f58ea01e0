/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes domain XML with libxml2's writer, never by pasting strings.
 *
 * Where libvirt has no element, options go to QEMU unchanged (<qemu:commandline>): the user network
 * with host forwards (missing in Debian 12's version); multiboot modules, which QEMU accepts as one
 * comma-separated -initrd (a comma inside is doubled: QEMU, hw/i386/multiboot.c); the CPU in QEMU's
 * syntax; and qemu-options.
 */
#include "childhurdd/qemu/domain.h"

#include <libxml/xmlwriter.h>
#include <sys/stat.h>

/*
 * Slots on the PCI bus. QEMU plugs in devices that are text on its command line before those that
 * libvirt writes as JSON, at the lowest free slots. So devices that libvirt places must leave those
 * slots to the network device and to any `-device` in qemu-options.
 */
#define VGA_SLOT     "0x1b"
#define NETWORK_SLOT "0x3"

#define SSH_PORT 22 /* in the guest */

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

static void
start(xmlTextWriter *w, const char *element)
{
	xmlTextWriterStartElement(w, BAD_CAST element);
}

static void
end(xmlTextWriter *w)
{
	xmlTextWriterEndElement(w);
}

static void
attribute(xmlTextWriter *w, const char *name, const char *value)
{
	xmlTextWriterWriteAttribute(w, BAD_CAST name, BAD_CAST value);
}

static void
leaf(xmlTextWriter *w, const char *element, const char *text)
{
	xmlTextWriterWriteElement(w, BAD_CAST element, BAD_CAST text);
}

static void
number(xmlTextWriter *w, const char *element, gint64 value, const char *unit)
{
	start(w, element);
	if (unit)
		attribute(w, "unit", unit);
	xmlTextWriterWriteFormatString(w, "%" G_GINT64_FORMAT, value);
	end(w);
}

/* An empty element with up to three attributes. */
static void
empty(xmlTextWriter *w, const char *element, const char *a, const char *av, const char *b,
      const char *bv, const char *c, const char *cv)
{
	start(w, element);
	attribute(w, a, av);
	if (b)
		attribute(w, b, bv);
	if (c)
		attribute(w, c, cv);
	end(w);
}

static void
write_os(xmlTextWriter *w, const struct config_guest *guest)
{
	start(w, "os");
	start(w, "type");
	attribute(w, "arch", "x86_64");
	attribute(w, "machine", guest->machine);
	xmlTextWriterWriteString(w, BAD_CAST "hvm");
	end(w);
	if (guest->kernel) {
		leaf(w, "kernel", guest->kernel);
		if (*guest->kernel_arguments)
			leaf(w, "cmdline", guest->kernel_arguments);
	} else {
		empty(w, "boot", "dev", "hd", NULL, NULL, NULL, NULL);
	}
	end(w);
	start(w, "features");
	start(w, "acpi");
	end(w);
	start(w, "apic");
	end(w);
	end(w);
}

/* Mach needs the HPET. A guest with a date of its own begins at that date at every boot. */
static void
write_clock(xmlTextWriter *w, const struct config_guest *guest)
{
	start(w, "clock");
	if (guest->clock) {
		g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
		g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(guest->clock, utc);
		attribute(w, "offset", "absolute");
		xmlTextWriterWriteFormatAttribute(w, BAD_CAST "start", "%" G_GINT64_FORMAT,
						  date ? g_date_time_to_unix(date) : 0);
	} else {
		attribute(w, "offset", "utc");
	}
	empty(w, "timer", "name", "hpet", "present", "yes", NULL, NULL);
	end(w);
}

static void
write_disk(xmlTextWriter *w, const struct domain_spec *spec)
{
	gboolean ahci = config_guest_has_ahci(spec->guest);
	start(w, "disk");
	attribute(w, "type", "file");
	attribute(w, "device", "disk");
	/*
	 * An ephemeral disk is discarded at the next start, so data that the host has not written
	 * yet may be lost. A persistent one is written through: the Hurd's IDE driver sends no
	 * flush, and without one a write-back cache keeps qcow2's tables in QEMU's memory as long
	 * as QEMU lives. Everything since the boot, even if synced, would be lost with QEMU.
	 */
	start(w, "driver");
	attribute(w, "name", "qemu");
	attribute(w, "type", "qcow2");
	attribute(w, "cache",
		  spec->guest->disk == CONFIG_DISK_EPHEMERAL ? "unsafe" : "writethrough");
	/* If this host cannot read or write, that is no fault of the guest's disk: the guest waits.
	 */
	attribute(w, "error_policy", "stop");
	attribute(w, "rerror_policy", "stop");
	end(w);
	empty(w, "source", "file", spec->disk, NULL, NULL, NULL, NULL);
	empty(w, "target", "dev", ahci ? "sda" : "hda", "bus", ahci ? "sata" : "ide", NULL, NULL);
	end(w);
}

/*
 * QEMU listens on the socket for typing, and writes all output of the guest to the log, whether or
 * not a client is connected (QEMU, chardev/char.c, qemu_chr_write_log). append: see console.c.
 */
static void
write_serial(xmlTextWriter *w, const struct domain_spec *spec)
{
	start(w, "serial");
	if (spec->serial_socket) {
		attribute(w, "type", "unix");
		empty(w, "source", "mode", "bind", "path", spec->serial_socket, NULL, NULL);
		empty(w, "log", "file", spec->console_log, "append", "on", NULL, NULL);
	} else {
		attribute(w, "type", "file");
		empty(w, "source", "path", spec->console_log, "append", "on", NULL, NULL);
	}
	empty(w, "target", "port", "0", NULL, NULL, NULL, NULL);
	end(w);
}

static void
write_devices(xmlTextWriter *w, const struct domain_spec *spec)
{
	start(w, "devices");
	leaf(w, "emulator", spec->emulator);
	if (spec->disk)
		write_disk(w, spec);
	empty(w, "controller", "type", "usb", "model", "none", NULL, NULL);
	write_serial(w, spec);
	start(w, "video"); /* no display, but a screen for screenshots */
	empty(w, "model", "type", "vga", NULL, NULL, NULL, NULL);
	empty(w, "address", "type", "pci", "slot", VGA_SLOT, NULL, NULL);
	end(w);
	empty(w, "memballoon", "model", "none", NULL, NULL, NULL, NULL);
	end(w);
}

/*
 * A libvirtd of the system would run QEMU as the user in its own qemu.conf, and change owners. A
 * label cannot name further groups: if one of them may use KVM, that one becomes QEMU's group.
 */
static void
write_label(xmlTextWriter *w, const struct domain_spec *spec)
{
	const struct qemu_user *user = spec->label;
	gid_t gid = user->identity.gid;
	struct stat kvm;
	if (spec->kvm && stat("/dev/kvm", &kvm) == 0)
		for (int i = 0; i < user->identity.n_groups; i++)
			if (user->identity.groups[i] == kvm.st_gid)
				gid = kvm.st_gid;
	start(w, "seclabel");
	attribute(w, "type", "static");
	attribute(w, "model", "dac");
	attribute(w, "relabel", "no");
	start(w, "label");
	xmlTextWriterWriteFormatString(w, "+%u:+%u", (unsigned)user->identity.uid, (unsigned)gid);
	end(w);
	end(w);
}

static void
qemu_argument(xmlTextWriter *w, const char *value)
{
	start(w, "qemu:arg");
	attribute(w, "value", value);
	end(w);
}

static void
append_doubling_commas(GString *out, const char *text)
{
	for (; *text; text++) {
		if (*text == ',')
			g_string_append_c(out, ',');
		g_string_append_c(out, *text);
	}
}

char **
domain_forwards(const struct config_guest *guest)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_autofree char *own =
	    g_strdup_printf("tcp:%s:%d-:%d", guest->listen_address, guest->ssh_port, SSH_PORT);
	g_strv_builder_add(builder, own);
	for (guint i = 0; i < guest->forwards->len; i++) {
		const struct config_forward *forward = g_ptr_array_index(guest->forwards, i);
		g_autofree char *text = g_strdup_printf(
		    "tcp:%s:%d-:%d", forward->address ? forward->address : guest->listen_address,
		    forward->host_port, forward->guest_port);
		g_strv_builder_add(builder, text);
	}
	return g_strv_builder_end(builder);
}

char *
domain_private_forward(const struct config_guest *guest)
{
	return g_strdup_printf("tcp:" SECRETS_ADDRESS ":%d-:%d", guest->secrets_port, SSH_PORT);
}

static void
append_forwards(GString *netdev, const struct domain_spec *spec)
{
	const struct config_guest *guest = spec->guest;
	if (spec->load) {
		g_autofree char *private = domain_private_forward(guest);
		g_string_append_printf(netdev, ",hostfwd=%s", private);
		return;
	}
	g_auto(GStrv) forwards = domain_forwards(guest);
	g_string_append_printf(netdev, ",hostfwd=%s", forwards[0]);
	if (spec->secrets_guest_port)
		g_string_append_printf(netdev, ",hostfwd=tcp:" SECRETS_ADDRESS ":%d-:%d",
				       guest->secrets_port, spec->secrets_guest_port);
	for (char **forward = forwards + 1; *forward; forward++)
		g_string_append_printf(netdev, ",hostfwd=%s", *forward);
}

static void
write_network(xmlTextWriter *w, const struct domain_spec *spec, gboolean lasting)
{
	const struct config_guest *guest = spec->guest;
	g_autoptr(GString) netdev = g_string_new("user,id=" DOMAIN_NETDEV);
	if (guest->network == CONFIG_NETWORK_ISOLATED)
		g_string_append(netdev, ",restrict=on");
	if (!lasting)
		append_forwards(netdev, spec);
	g_autofree char *device = g_strdup_printf("%s,netdev=" DOMAIN_NETDEV ",addr=" NETWORK_SLOT,
						  guest->network_device);
	qemu_argument(w, "-netdev");
	qemu_argument(w, netdev->str);
	qemu_argument(w, "-device");
	qemu_argument(w, device);
}

static void
write_qemu(xmlTextWriter *w, const struct domain_spec *spec, gboolean lasting)
{
	const struct config_guest *guest = spec->guest;
	start(w, "qemu:commandline");
	write_network(w, spec, lasting);
	if (guest->modules->len) {
		g_autoptr(GString) modules = g_string_new(NULL);
		for (guint i = 0; i < guest->modules->len; i++) {
			const struct config_module *module = g_ptr_array_index(guest->modules, i);
			if (i)
				g_string_append_c(modules, ',');
			append_doubling_commas(modules, module->file);
			if (*module->arguments) {
				g_string_append_c(modules, ' ');
				append_doubling_commas(modules, module->arguments);
			}
		}
		qemu_argument(w, "-initrd");
		qemu_argument(w, modules->str);
	}
	if (guest->cpu) {
		qemu_argument(w, "-cpu");
		qemu_argument(w, guest->cpu);
	}
	for (char **option = guest->qemu_options; *option; option++)
		qemu_argument(w, *option);
	if (spec->load && !lasting) {
		qemu_argument(w, "-loadvm");
		qemu_argument(w, spec->load);
	}
	end(w);
}

static char *
domain_text(const struct domain_spec *spec, gboolean lasting)
{
	const struct config_guest *guest = spec->guest;
	xmlBuffer *buffer = xmlBufferCreate();
	xmlTextWriter *w = xmlNewTextWriterMemory(buffer, 0);

	start(w, "domain");
	attribute(w, "type", spec->kvm ? "kvm" : "qemu");
	attribute(w, "xmlns:qemu", QEMU_NAMESPACE);
	leaf(w, "name", guest->name);
	leaf(w, "uuid", spec->uuid);
	number(w, "memory", guest->memory_size, "b");
	number(w, "vcpu", guest->cpus, NULL);
	write_os(w, guest);
	write_clock(w, guest);
	/* A reset ends QEMU, so that every boot begins in the same way and gets its secrets anew.
	 */
	leaf(w, "on_poweroff", "destroy");
	leaf(w, "on_reboot", "destroy");
	leaf(w, "on_crash", "destroy");
	write_devices(w, spec);
	if (spec->label)
		write_label(w, spec);
	write_qemu(w, spec, lasting);
	end(w);
	xmlTextWriterEndDocument(w);
	xmlFreeTextWriter(w);

	char *text = g_strdup((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	return text;
}

char *
domain_xml(const struct domain_spec *spec)
{
	return domain_text(spec, FALSE);
}

char *
domain_lasting(const struct domain_spec *spec)
{
	return domain_text(spec, TRUE);
}

char *
domain_uuid(const char *state_directory, const char *name)
{
	g_autofree char *key = g_strdup_printf("childhurd\n%s\n%s", state_directory, name);
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA1, key, -1);
	/* RFC 4122, section 4.3: a name-based UUID has version 5 and variant 10. */
	return g_strdup_printf("%.8s-%.4s-5%.3s-a%.3s-%.12s", sum, sum + 8, sum + 13, sum + 17,
			       sum + 20);
}
