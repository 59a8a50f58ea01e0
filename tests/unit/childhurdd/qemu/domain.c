/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The domain's XML, read back by a parser, and checked with libvirt's schema where that is
 * installed. */
#include "childhurdd/qemu/domain.h"

#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <string.h>

static struct config_module module = {(char *)"/boot/ext2fs",
				      (char *)"-T typed ${root}, $(task-create)"};

static struct config_guest
guest_make(void)
{
	static char *no_options[] = {NULL};
	struct config_guest guest = {
	    .name = (char *)"childhurd1",
	    .ssh_port = 10022,
	    .secrets_port = 11004,
	    .listen_address = (char *)"127.0.0.1",
	    .kernel_arguments = (char *)"",
	    .memory_size = 256 << 20,
	    .cpus = 1,
	    .machine = (char *)"pc",
	    .network_device = (char *)"rtl8139",
	    .qemu_options = no_options,
	    .modules = g_ptr_array_new(),
	    .forwards = g_ptr_array_new(),
	};
	return guest;
}

static const char *serial_socket = "/state/a & b/console";

/* The string value of an XPath expression in the domain of this guest; caller frees. */
static char *
value(const struct config_guest *guest, gboolean kvm, const char *disk, const char *path)
{
	struct domain_spec spec = {.guest = guest,
				   .uuid = "d7b3b1a6-0000-5000-a000-000000000001",
				   .emulator = "/usr/bin/qemu-system-x86_64",
				   .kvm = kvm,
				   .disk = disk,
				   .console_log = "/state/a & b/<console>.log",
				   .serial_socket = serial_socket,
				   .secrets_guest_port = 9};
	g_autofree char *xml = domain_xml(&spec);
	xmlDoc *document = xmlReadMemory(xml, (int)strlen(xml), "domain", NULL, XML_PARSE_NONET);
	g_assert_nonnull(document);
	xmlXPathContext *context = xmlXPathNewContext(document);
	xmlXPathRegisterNs(context, BAD_CAST "q",
			   BAD_CAST "http://libvirt.org/schemas/domain/qemu/1.0");
	xmlXPathObject *object = xmlXPathEvalExpression(BAD_CAST path, context);
	xmlChar *text = xmlXPathCastToString(object);
	char *copy = g_strdup((char *)text);
	xmlFree(text);
	xmlXPathFreeObject(object);
	xmlXPathFreeContext(context);
	xmlFreeDoc(document);
	return copy;
}

#define assert_value(guest, kvm, disk, path, expected)                                             \
	do {                                                                                       \
		g_autofree char *found = value(guest, kvm, disk, path);                            \
		g_assert_cmpstr(found, ==, expected);                                              \
	} while (0)

static void
test_disk_boot(void)
{
	struct config_guest guest = guest_make();
	const char *disk = "/state/a/disk.qcow2";
	assert_value(&guest, FALSE, disk, "string(/domain/@type)", "qemu");
	assert_value(&guest, TRUE, disk, "string(/domain/@type)", "kvm");
	assert_value(&guest, FALSE, disk, "string(/domain/memory)", "268435456");
	assert_value(&guest, FALSE, disk, "string(/domain/os/boot/@dev)", "hd");
	assert_value(&guest, FALSE, disk, "string(//disk/source/@file)", disk);
	assert_value(&guest, FALSE, disk, "string(//disk/driver/@type)", "qcow2");
	assert_value(&guest, FALSE, disk, "string(//disk/driver/@cache)", "unsafe");
	assert_value(&guest, FALSE, disk, "string(//disk/target/@bus)", "ide");
	assert_value(&guest, FALSE, disk, "string(//serial/@type)", "unix");
	assert_value(&guest, FALSE, disk, "string(//serial/source/@mode)", "bind");
	assert_value(&guest, FALSE, disk, "string(//serial/source/@path)", "/state/a & b/console");
	assert_value(&guest, FALSE, disk, "string(//serial/log/@file)",
		     "/state/a & b/<console>.log");
	assert_value(&guest, FALSE, disk, "string(//serial/log/@append)", "on");
	assert_value(&guest, FALSE, disk, "string(/domain/on_reboot)", "destroy");
	guest.disk = CONFIG_DISK_PERSISTENT;
	assert_value(&guest, FALSE, disk, "string(//disk/driver/@cache)", "writethrough");
	guest.machine = (char *)"q35";
	assert_value(&guest, FALSE, disk, "string(//disk/target/@bus)", "sata");
	g_ptr_array_unref(guest.modules);
	g_ptr_array_unref(guest.forwards);
}

/* Without a socket its console can only be read. */
static void
test_no_socket(void)
{
	struct config_guest guest = guest_make();
	serial_socket = NULL;
	assert_value(&guest, FALSE, NULL, "string(//serial/@type)", "file");
	assert_value(&guest, FALSE, NULL, "string(//serial/source/@path)",
		     "/state/a & b/<console>.log");
	assert_value(&guest, FALSE, NULL, "string(//serial/source/@append)", "on");
	serial_socket = "/state/a & b/console";
	g_ptr_array_unref(guest.modules);
	g_ptr_array_unref(guest.forwards);
}

static void
test_network(void)
{
	struct config_guest guest = guest_make();
	const char *netdev = "string(//q:arg[@value='-netdev']/following-sibling::q:arg[1]/@value)";
	assert_value(&guest, FALSE, NULL, netdev,
		     "user,id=net0,hostfwd=tcp:127.0.0.1:10022-:22,hostfwd=tcp:127.0.0.1:11004-:9");
	guest.network = CONFIG_NETWORK_ISOLATED;
	assert_value(&guest, FALSE, NULL, netdev,
		     "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:10022-:22,hostfwd=tcp:127.0.0."
		     "1:11004-:9");
	guest.network = CONFIG_NETWORK_USER;
	struct config_forward here = {NULL, 8080, 80}, there = {(char *)"0.0.0.0", 9000, 9001};
	g_ptr_array_add(guest.forwards, &here);
	g_ptr_array_add(guest.forwards, &there);
	assert_value(&guest, FALSE, NULL, netdev,
		     "user,id=net0,hostfwd=tcp:127.0.0.1:10022-:22,hostfwd=tcp:127.0.0.1:11004-:9,"
		     "hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=tcp:0.0.0.0:9000-:9001");
	guest.listen_address = (char *)"192.0.2.7";
	g_ptr_array_set_size(guest.forwards, 0);
	assert_value(&guest, FALSE, NULL, netdev,
		     "user,id=net0,hostfwd=tcp:192.0.2.7:10022-:22,hostfwd=tcp:127.0.0.1:11004-:9");
	g_autofree char *private = domain_private_forward(&guest);
	g_assert_cmpstr(private, ==, "tcp:127.0.0.1:11004-:22");
	g_ptr_array_unref(guest.modules);
	g_ptr_array_unref(guest.forwards);
}

static void
test_multiboot(void)
{
	struct config_guest guest = guest_make();
	guest.kernel = (char *)"/boot/gnumach";
	guest.kernel_arguments = (char *)"root=device:hd0 <&>";
	g_ptr_array_add(guest.modules, &module);
	g_ptr_array_add(guest.modules, &(struct config_module){(char *)"/boot/a,b", (char *)""});
	assert_value(&guest, FALSE, NULL, "string(/domain/os/kernel)", "/boot/gnumach");
	assert_value(&guest, FALSE, NULL, "string(/domain/os/cmdline)", "root=device:hd0 <&>");
	assert_value(&guest, FALSE, NULL, "count(//disk)", "0");
	/* a comma inside is doubled: the bare one is QEMU's separator */
	assert_value(&guest, FALSE, NULL,
		     "string(//q:arg[@value='-initrd']/following-sibling::q:arg[1]/@value)",
		     "/boot/ext2fs -T typed ${root},, $(task-create),/boot/a,,b");
	g_ptr_array_unref(guest.modules);
	g_ptr_array_unref(guest.forwards);
}

static void
test_options(void)
{
	static char *options[] = {(char *)"-name", (char *)"<x y='\"'>", NULL};
	struct config_guest guest = guest_make();
	guest.cpu = (char *)"host,-arch-capabilities";
	guest.clock = (char *)"2020-02-29T12:30:00";
	guest.qemu_options = options;
	assert_value(&guest, FALSE, NULL, "string(//q:arg[last()]/@value)", "<x y='\"'>");
	assert_value(&guest, FALSE, NULL,
		     "string(//q:arg[@value='-cpu']/following-sibling::q:arg[1]/@value)",
		     "host,-arch-capabilities");
	assert_value(&guest, FALSE, NULL, "string(/domain/clock/@offset)", "absolute");
	assert_value(&guest, FALSE, NULL, "string(/domain/clock/@start)", "1582979400");
	g_ptr_array_unref(guest.modules);
	g_ptr_array_unref(guest.forwards);
}

/* What a saved state depends on has no ports, and is the same for a boot and a start from it. */
static void
test_lasting(void)
{
	struct config_guest guest = guest_make();
	struct domain_spec spec = {.guest = &guest,
				   .uuid = "d7b3b1a6-0000-5000-a000-000000000001",
				   .emulator = "/usr/bin/qemu-system-x86_64",
				   .console_log = "/state/a/console.log"};
	g_autofree char *lasting = domain_lasting(&spec), *xml = domain_xml(&spec);
	g_assert_null(strstr(lasting, "hostfwd"));
	g_assert_null(strstr(xml, "-loadvm"));
	spec.load = "childhurd-a";
	guest.ssh_port = 10023;
	g_autofree char *again = domain_lasting(&spec), *loading = domain_xml(&spec);
	g_assert_cmpstr(lasting, ==, again);
	g_assert_nonnull(strstr(loading, "<qemu:arg value=\"-loadvm\"/>"
					 "<qemu:arg value=\"childhurd-a\"/>"));
	guest.network = CONFIG_NETWORK_ISOLATED;
	g_autofree char *isolated = domain_lasting(&spec);
	g_assert_cmpstr(lasting, !=, isolated);
	g_ptr_array_unref(guest.modules);
	g_ptr_array_unref(guest.forwards);
}

static void
test_uuid(void)
{
	g_autofree char *a = domain_uuid("/var/lib/childhurd", "a");
	g_autofree char *again = domain_uuid("/var/lib/childhurd", "a");
	g_autofree char *b = domain_uuid("/var/lib/childhurd", "b");
	g_autofree char *elsewhere = domain_uuid("/tmp/state", "a");
	g_assert_true(g_uuid_string_is_valid(a));
	g_assert_cmpstr(a, ==, again);
	g_assert_cmpstr(a, !=, b);
	g_assert_cmpstr(a, !=, elsewhere);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/domain/a-guest-boots-from-its-overlay", test_disk_boot);
	g_test_add_func("/domain/without-a-socket-the-console-is-a-file", test_no_socket);
	g_test_add_func("/domain/forwards-are-on-the-listen-address-and-secrets-on-the-loopback",
			test_network);
	g_test_add_func("/domain/mach-is-booted-with-its-modules", test_multiboot);
	g_test_add_func("/domain/cpu-clock-and-options-reach-qemu-as-they-are", test_options);
	g_test_add_func("/domain/a-saved-state-does-not-depend-on-ports", test_lasting);
	g_test_add_func("/domain/a-uuid-is-the-guests-own", test_uuid);
	return g_test_run();
}
