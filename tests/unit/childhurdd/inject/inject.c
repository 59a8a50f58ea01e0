/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys written into disks of each shape; then e2fsck and debugfs say what they are like. */
#include "childhurdd/inject/inject.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/inject/edits.h"
#include "childhurdd/inject/partitions.h"
#include "inject_world.h"
#include "ssh/secrets/file.h"

#define KEY	  "ssh-ed25519 AAAA childhurd@a\n"
#define MUTATIONS 400

static void
add_file(GPtrArray *files, const char *name, mode_t mode, const char *text)
{
	struct secret_file *file = g_new0(struct secret_file, 1);
	*file =
	    (struct secret_file){g_strdup(name), S_IFREG | mode, g_bytes_new(text, strlen(text))};
	g_ptr_array_add(files, file);
}

/* A secret root; seed makes another of the same names. */
static GPtrArray *
edits_make(enum config_distribution distribution, int seed)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	g_autofree char *text = g_strdup_printf("private half %d\n", seed);
	g_autofree char *large = g_strnfill(300000 + (gsize)seed * 1000, (char)('a' + seed));
	add_file(files, "/etc/guix/acl", 0644, "(acl)");
	add_file(files, "/etc/guix/signing-key.sec", 0400, text);
	add_file(files, "/etc/ssh/authorized_keys.d/root", 0444, KEY);
	add_file(files, "/etc/ssh/ssh_host_ed25519_key", 0600, text);
	add_file(files, "/etc/ssh/ssh_host_ed25519_key.pub", 0644, "public half\n");
	add_file(files, "/var/lib/large", 0644, large);
	return edits_for(distribution, files, "root", KEY);
}

static enum config_distribution
distribution_of(const struct shape *shape)
{
	return shape->guix ? CONFIG_DISTRIBUTION_GUIX : CONFIG_DISTRIBUTION_DEBIAN;
}

static void
inject_good(struct disk *disk, const GPtrArray *edits)
{
	g_autoptr(GError) error = NULL;
	gboolean good = inject(&disk->device, edits, &error);
	g_assert_no_error(error);
	g_assert_true(good);
	g_autofree char *faults = disk_faults(disk);
	g_assert_cmpstr(faults, ==, NULL);
}

static void
inject_bad(struct disk *disk, const char *says)
{
	g_autoptr(GPtrArray) edits = edits_make(CONFIG_DISTRIBUTION_OTHER, 0);
	g_autoptr(GError) error = NULL;
	gint64 writes = disk->writes;
	g_assert_false(inject(&disk->device, edits, &error));
	g_assert_nonnull(error);
	if (!strstr(error->message, says))
		g_error("\"%s\" does not say \"%s\"", error->message, says);
	g_assert_cmpint(disk->writes, ==, writes);
}

static void
assert_file(const struct disk *disk, const char *path, const char *content)
{
	g_autofree char *found = disk_cat(disk, path);
	g_assert_cmpstr(found, ==, content);
}

/* What debugfs shows of an inode has these words. */
static void
assert_stat(const struct disk *disk, const char *path, const char *words)
{
	g_autofree char *request = g_strdup_printf("stat %s\n", path), *shown = NULL;
	disk_debugfs(disk, FALSE, request, &shown);
	if (!strstr(shown, words))
		g_error("%s: \"%s\" is not in: %s", path, words, shown);
}

/* All bytes of an inode. */
static char *
dump(const struct disk *disk, const char *path)
{
	g_autofree char *request = g_strdup_printf("inode_dump %s\n", path);
	char *shown = NULL;
	disk_debugfs(disk, FALSE, request, &shown);
	return shown;
}

/* debugfs does not show it: it is in the inode's bytes 124 to 127. */
static guint64
author(const struct disk *disk, const char *path)
{
	g_autofree char *bytes = dump(disk, path);
	g_auto(GStrv) lines = g_strsplit(bytes, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) words = g_strsplit(*line, " ", -1);
		if (g_strv_length(words) > 9 && !strcmp(words[0], "0160"))
			return g_ascii_strtoull(words[8], NULL, 16) >> 8;
	}
	return 0; /* a line like the one before is left out */
}

static void
test_shape(const void *data)
{
	const struct shape *shape = data;
	struct disk *disk = disk_make(shape);
	g_autoptr(GPtrArray) edits = edits_make(distribution_of(shape), 0);
	g_autofree char *translator = dump(disk, "/servers/exec");
	g_autofree char *passive = dump(disk, "/etc/passwd");
	inject_good(disk, edits);
	assert_file(disk, "/etc/ssh/ssh_host_ed25519_key", "private half 0\n");
	assert_stat(disk, "/etc/ssh/ssh_host_ed25519_key", "Mode:  0600");
	assert_stat(disk, "/etc/guix/signing-key.sec", "Mode:  0400");
	assert_stat(disk, "/etc/guix/acl", "User:     0   Group:     0");
	assert_stat(disk, "/etc/guix/acl", "Links: 1");
	g_autofree char *translator_then = dump(disk, "/servers/exec");
	g_autofree char *passive_then = dump(disk, "/etc/passwd");
	g_assert_cmpstr(translator, ==, translator_then);
	g_assert_cmpstr(passive, ==, passive_then);
	assert_stat(disk, "/servers/exec", "Translator: ");
	g_autofree char *large = disk_cat(disk, "/var/lib/large");
	g_assert_cmpuint(strlen(large), ==, 300000);
	g_assert_cmpuint(disk->device.written, <, 1 * MIB);
	disk_free(disk);
}

static void
test_debian(void)
{
	struct disk *disk = disk_make(shape_named("debian-i386-root-in-p5"));
	g_autoptr(GPtrArray) edits = edits_make(CONFIG_DISTRIBUTION_DEBIAN, 0);
	disk_debugfs(disk, TRUE,
		     "mkdir /root/.ssh\nsif /boot/grub/grub.cfg author 9\n"
		     "sif /boot/grub/grub.cfg uid 3\n",
		     NULL);
	inject_good(disk, edits);
	assert_file(disk, "/etc/ssh/sshd_config.d/childhurd.conf",
		    "# Written by childhurdd: its key, and the host keys that it made for this "
		    "machine.\n"
		    "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u\n"
		    "PermitRootLogin prohibit-password\n"
		    "HostKey /etc/ssh/ssh_host_ed25519_key\n");
	assert_file(disk, "/root/.ssh/authorized_keys", KEY);
	assert_stat(disk, "/root/.ssh/authorized_keys", "Mode:  0600");
	assert_file(disk, "/boot/grub/grub.cfg",
		    "set default=0\nmenuentry \"Debian GNU/Hurd\" {\n"
		    "\tmultiboot\t/boot/gnumach-1.8-486.gz root=part:5:device:wd0 console=com0\n"
		    "\tmodule\t\t/hurd/exec exec '$(task-create=task1)'\n}\n"
		    "menuentry \"recovery\" {\n\techo 'Loading gnumach'\n"
		    "\tmultiboot /boot/gnumach-1.8-486.gz root=part:5:device:wd0 -s "
		    "console=com0\n}\n");
	assert_stat(disk, "/boot/grub/grub.cfg", "Mode:  0444");
	assert_stat(disk, "/boot/grub/grub.cfg", "User:     3");
	g_assert_cmpuint(author(disk, "/boot/grub/grub.cfg"), ==, 9);
	disk_free(disk);
}

/* The same keys once more write nothing, others replace them. */
static void
test_again(void)
{
	struct disk *disk = disk_make(shape_named("debian-amd64-root-in-p2"));
	g_autoptr(GPtrArray) edits = edits_make(CONFIG_DISTRIBUTION_DEBIAN, 0);
	g_autoptr(GPtrArray) others = edits_make(CONFIG_DISTRIBUTION_DEBIAN, 3);
	inject_good(disk, edits);
	gint64 writes = disk->writes;
	for (gint64 first = g_get_real_time() / G_USEC_PER_SEC;
	     g_get_real_time() / G_USEC_PER_SEC == first;)
		g_usleep(G_USEC_PER_SEC / 100); /* a superblock has a time of full seconds */
	inject_good(disk, edits);
	g_assert_cmpint(disk->writes, ==, writes);
	inject_good(disk, others);
	assert_file(disk, "/etc/ssh/ssh_host_ed25519_key", "private half 3\n");
	assert_file(disk, "/root/.ssh/authorized_keys", KEY);
	inject_good(disk, edits); /* shorter ones */
	assert_file(disk, "/etc/ssh/ssh_host_ed25519_key", "private half 0\n");
	disk_free(disk);
}

static void
test_lines(void)
{
	struct disk *disk = disk_make(shape_named("gpt"));
	g_autofree char *file = g_build_filename(disk->directory, "keys", NULL);
	g_autofree char *requests =
	    g_strdup_printf("mkdir /root/.ssh\nwrite %s /root/.ssh/authorized_keys\n"
			    "ea_set /root/.ssh/authorized_keys user.mine yes\n",
			    file);
	g_autofree char *shown = NULL;
	g_autoptr(GPtrArray) edits = edits_make(CONFIG_DISTRIBUTION_DEBIAN, 0);
	g_assert_true(g_file_set_contents(file, "ssh-rsa BBBB me", -1, NULL));
	disk_debugfs(disk, TRUE, requests, NULL);
	inject_good(disk, edits);
	inject_good(disk, edits);
	assert_file(disk, "/root/.ssh/authorized_keys", "ssh-rsa BBBB me\n" KEY);
	disk_debugfs(disk, FALSE, "ea_list /root/.ssh/authorized_keys\n", &shown);
	g_assert_nonnull(strstr(shown, "user.mine (3) = \"yes\""));
	disk_free(disk);
}

static void
test_new_inodes(void)
{
	struct disk *old = disk_make(shape_named("debian-i386-root-in-p5"));
	struct disk *new = disk_make(shape_named("debian-amd64-root-in-p2"));
	g_autoptr(GPtrArray) edits = edits_make(CONFIG_DISTRIBUTION_DEBIAN, 0);
	inject_good(old, edits);
	inject_good(new, edits);
	assert_stat(old, "/etc/guix/acl", "Translator: 0");
	g_assert_cmpuint(author(old, "/etc/guix/acl"), ==, 0);
	assert_stat(new, "/etc/guix/acl", "Size of extra inode fields: 32");
	assert_stat(new, "/etc/guix/acl", "File ACL: 0");
	disk_free(old);
	disk_free(new);
}

static GPtrArray *
edits_many(const char *name)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	for (int i = 0; i < 300; i++) {
		g_autofree char *path = g_strdup_printf("/etc/extra/%s-%d", name, i);
		add_file(files, path, 0644, path);
	}
	return edits_for(CONFIG_DISTRIBUTION_OTHER, files, "root", KEY);
}

/* A folder with more names than fit into its block grows, also when it has an index. */
static void
test_many(void)
{
	struct disk *disk = disk_make(shape_named("gpt"));
	g_autoptr(GPtrArray) edits = edits_many("a-file-with-a-name");
	g_autoptr(GPtrArray) others = edits_many("another-file-with-a-name");
	inject_good(disk, edits);
	disk_index(disk);
	assert_stat(disk, "/etc/extra", "Flags: 0x1000");
	inject_good(disk, others);
	assert_file(disk, "/etc/extra/a-file-with-a-name-299", "/etc/extra/a-file-with-a-name-299");
	assert_file(disk, "/etc/extra/another-file-with-a-name-299",
		    "/etc/extra/another-file-with-a-name-299");
	disk_free(disk);
}

/* --- what is refused, with nothing written --- */

static void
test_unclean(void)
{
	struct disk *disk = disk_make(shape_named("guix-one-primary"));
	disk_debugfs(disk, TRUE, "ssv state 0\n", NULL);
	inject_bad(disk, "is not clean: it was not unmounted, or has errors; boot the image "
			 "elsewhere and shut it down, or e2fsck -f 'IMAGE?offset=1048576'");
	disk_debugfs(disk, TRUE, "ssv state 3\n", NULL);
	inject_bad(disk, "is not clean");
	disk_debugfs(disk, TRUE, "ssv state 1\nssv last_orphan 12\n", NULL);
	inject_bad(disk, "is not clean");
	disk_free(disk);
}

static void
test_journal(void)
{
	struct disk *disk = disk_make(shape_named("empty-journal"));
	g_autofree char *answer = NULL;
	guint8 start[4] = {0, 0, 0, 1};
	disk_debugfs(disk, TRUE, "feature needs_recovery\n", NULL);
	inject_bad(disk, "has a journal that has to be replayed first");
	disk_debugfs(disk, TRUE, "feature -needs_recovery\n", NULL);
	disk_debugfs(disk, FALSE, "bmap <8> 0\n", &answer);
	guint64 block = g_ascii_strtoull(strrchr(g_strchomp(answer), '\n') + 1, NULL, 10);
	g_assert_cmpint(pwrite(disk->fd, start, 4, (off_t)(disk->root + block * 4096 + 28)), ==, 4);
	inject_bad(disk, "has a journal that has to be replayed first");
	disk_free(disk);
}

static void
test_unknown(void)
{
	static const char *const features[] = {
	    "extent",	 "64bit",	  "flex_bg",  "huge_file", "inline_data",
	    "uninit_bg", "metadata_csum", "bigalloc", "quota",	   NULL};
	struct disk *disk = disk_make(shape_named("guix-one-primary"));
	for (const char *const *feature = features; *feature; feature++) {
		g_autofree char *on = g_strdup_printf("feature %s\n", *feature);
		g_autofree char *off = g_strdup_printf("feature -%s\n", *feature);
		disk_debugfs(disk, TRUE, on, NULL);
		inject_bad(disk, ", which no Hurd has; make the image again without it");
		disk_debugfs(disk, TRUE, off, NULL);
	}
	disk_free(disk);
}

static void
test_places(void)
{
	struct disk *disk = disk_make(shape_named("guix-one-primary"));
	disk_debugfs(disk, TRUE, "symlink /etc/guix /tmp\n", NULL);
	inject_bad(disk, "/etc/guix/acl: guix is no plain folder in this image");
	disk_debugfs(disk, TRUE, "unlink /etc/guix\nmkdir /etc/guix\nsymlink /etc/guix/acl /x\n",
		     NULL);
	inject_bad(disk, "/etc/guix/acl: is no plain file in this image; remove it there");
	disk_debugfs(disk, TRUE, "unlink /etc/guix/acl\nsif /etc/guix translator 77\n", NULL);
	inject_bad(disk, "/etc/guix/acl: guix is no plain folder in this image");
	disk_free(disk);
}

static void
test_no_root(void)
{
	struct disk *disk = disk_make(shape_named("guix-one-primary"));
	disk_debugfs(disk, TRUE, "rmdir /servers\nrm /servers/exec\nrmdir /servers\n", NULL);
	g_autoptr(GPtrArray) none = g_ptr_array_new();
	inject_good(disk, none); /* it has a store */
	guint8 nothing[512] = {0};
	g_assert_cmpint(pwrite(disk->fd, nothing, 512, 0), ==, 512);
	inject_bad(disk, "none of its 0 partitions is the root of a Hurd");
	disk_free(disk);
}

static void
test_near_root(void)
{
	struct disk *disk = disk_make(shape_named("debian-i386-root-in-p5"));
	disk_debugfs(disk, TRUE, "ln /etc /oldetc\nunlink /etc\n", NULL);
	inject_bad(disk, "with /etc and /hurd; the one at byte 5242880 has /hurd, but no /etc");
	disk_debugfs(disk, TRUE, "symlink /etc oldetc\n", NULL);
	inject_bad(disk, "the one at byte 5242880 has /hurd, but a symbolic link as /etc");
	disk_debugfs(disk, TRUE, "unlink /etc\nln /oldetc /etc\nunlink /hurd\nunlink /servers\n",
		     NULL);
	inject_bad(disk, "the one at byte 5242880 has /etc, but neither /hurd nor /servers nor "
			 "/gnu/store");
	disk_free(disk);
}

static void
test_no_inodes(void)
{
	struct disk *disk = disk_make(shape_named("guix-one-primary"));
	guint32 all;
	g_assert_cmpint(pread(disk->fd, &all, 4, (off_t)disk->root + 1024), ==, 4);
	g_autofree char *request = g_strdup_printf("seti <12> %u\n", GUINT32_FROM_LE(all) - 11);
	disk_debugfs(disk, TRUE, request, NULL);
	inject_bad(disk, "its file system has no free inodes; remove files in the image, or make "
			 "it with more (mke2fs -N)");
	disk_free(disk);
}

static void
test_full(void)
{
	struct disk *disk = disk_make(shape_named("guix-one-primary"));
	g_autofree char *file = g_build_filename(disk->directory, "fill", NULL);
	g_autofree char *request = g_strdup_printf("write %s /fill\n", file);
	g_autofree char *much = g_malloc(62 * MIB);
	memset(much, 1, 62 * MIB);
	g_assert_true(g_file_set_contents(file, much, 62 * MIB, NULL));
	disk_debugfs(disk, TRUE, request, NULL);
	inject_bad(disk, "its file system is full; make room in the image");
	disk_free(disk);
}

static void
test_truncated(void)
{
	struct disk *disk = disk_make(shape_named("guix-one-primary"));
	disk->device.size = 40 * MIB;
	inject_bad(disk, "none of its 0 partitions");
	disk_free(disk);
}

/* A disk that takes no more in mid-write is not taken for a good one. */
static void
test_interrupted(void)
{
	gint64 all = G_MAXINT64;
	for (gint64 n = 0; n < all; n++) {
		struct disk *disk = disk_make(shape_named("guix-one-primary"));
		g_autoptr(GPtrArray) edits = edits_make(CONFIG_DISTRIBUTION_GUIX, 0);
		g_autoptr(GError) error = NULL;
		disk->writes_left = n;
		if (inject(&disk->device, edits, &error)) {
			all = n;
		} else {
			g_assert_error(error, INJECT_ERROR, INJECT_ERROR_IO);
			disk->writes_left = -1;
			if (n)
				inject_bad(disk, "is not clean");
		}
		disk_free(disk);
	}
	g_assert_cmpint(all, >, 3);
}

/* Disks with some wrong bytes in what is read first: nothing outside of them is read or written,
 * and whatever fails says why. tests/fuzz/inject.c goes on with this by hand. */
static void
test_mutated(void)
{
	struct copy copy;
	copy_make(&copy);
	g_autoptr(GPtrArray) edits = edits_make(CONFIG_DISTRIBUTION_OTHER, 0);
	g_autofree guint8 *sound = g_memdup2(copy.bytes, copy.device.size);
	int good = 0;
	g_ptr_array_set_size(edits, 5); /* without the large file */
	for (int round = 0; round < MUTATIONS; round++) {
		g_autoptr(GError) error = NULL;
		struct image_kind kind;
		int n = g_test_rand_int_range(1, 20);
		memcpy(copy.bytes, sound, copy.device.size);
		for (int i = 0; i < n; i++) {
			gint64 at = g_test_rand_int_range(0, 4) == 0
					? g_test_rand_int_range(0, 512)
					: copy.root + g_test_rand_int_range(1024, 80 * 1024);
			copy.bytes[at] = (guint8)g_test_rand_int_range(0, 256);
		}
		if (!inject_look(&copy.device, &kind, &error))
			g_assert_true(error && *error->message);
		g_clear_error(&error);
		if (inject(&copy.device, edits, &error))
			good++;
		else
			g_assert_true(error && *error->message);
	}
	g_test_message("%d of %d were good enough", good, MUTATIONS);
	copy_clear(&copy);
}

/* --- what an image is --- */

static void
test_kinds(void)
{
	for (gsize i = 0; i < n_shapes; i++) {
		struct disk *disk = disk_make(&shapes[i]);
		struct image_kind kind;
		g_autoptr(GError) error = NULL;
		g_assert_true(inject_look(&disk->device, &kind, &error));
		g_assert_no_error(error);
		g_assert_cmpint(kind.distribution, ==, distribution_of(&shapes[i]));
		g_assert_cmpint(kind.architecture, ==,
				shapes[i].machine == 62 ? CONFIG_ARCHITECTURE_X86_64
							: CONFIG_ARCHITECTURE_I586);
		disk_debugfs(disk, TRUE, "ssv state 0\n", NULL);
		g_assert_true(inject_look(&disk->device, &kind, &error));
		g_assert_cmpint(disk->writes, ==, 0);
		disk_free(disk);
	}
}

static void
test_kind_note(void)
{
	struct disk *disk = disk_make(shape_named("debian-i386-root-in-p5"));
	struct image_kind kind;
	disk_debugfs(disk, TRUE, "rm /hurd/exec\n", NULL);
	g_assert_true(inject_look(&disk->device, &kind, NULL));
	g_autofree char *note = image_kind_note(kind);
	g_assert_cmpstr(note, ==,
			"its image's distribution is debian, and its architecture is not "
			"recognised: taken as i586");
	kind.architecture = CONFIG_ARCHITECTURE_X86_64;
	g_assert_null(image_kind_note(kind));
	disk_free(disk);
}

/* --- edits as bytes --- */

static void
test_packed(void)
{
	g_autoptr(GPtrArray) edits = edits_make(CONFIG_DISTRIBUTION_DEBIAN, 1);
	g_autoptr(GBytes) bytes = edits_pack(edits);
	g_autoptr(GPtrArray) again = edits_unpack(bytes);
	g_assert_cmpuint(again->len, ==, edits->len);
	for (guint i = 0; i < edits->len; i++) {
		const struct edit *a = edits->pdata[i], *b = again->pdata[i];
		g_assert_cmpstr(a->path, ==, b->path);
		g_assert_cmpint(a->kind, ==, b->kind);
		g_assert_cmpuint(a->mode, ==, b->mode);
		g_assert_true(g_bytes_equal(a->content, b->content));
	}
	g_autoptr(GBytes) cut = g_bytes_new_from_bytes(bytes, 0, g_bytes_get_size(bytes) - 3);
	g_assert_null(edits_unpack(cut));
}

static void
test_escape(void)
{
	static const char *const paths[] = {"/../x", "/a/../b", "a",	"/", "/a/",
					    "/a//b", "/a/..",	"/./a", NULL};
	for (const char *const *path = paths; *path; path++) {
		g_autoptr(GPtrArray) files =
		    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
		add_file(files, *path, 0644, "x");
		g_autoptr(GPtrArray) edits =
		    edits_for(CONFIG_DISTRIBUTION_OTHER, files, "root", KEY);
		g_autoptr(GBytes) bytes = edits_pack(edits);
		g_assert_null(edits_unpack(bytes));
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < n_shapes; i++) {
		g_autofree char *name = g_strconcat(
		    "/inject/the-files-are-there-and-all-else-is-as-it-was/", shapes[i].name, NULL);
		g_test_add_data_func(name, &shapes[i], test_shape);
	}
#define TEST(name, function) g_test_add_func("/inject/" name, function)
	TEST("debian-gets-keys-drop-in-and-console", test_debian);
	TEST("the-same-again-writes-nothing-and-other-keys-replace", test_again);
	TEST("lines-are-added-once-and-attributes-stay", test_lines);
	TEST("new-inodes-are-the-hurds", test_new_inodes);
	TEST("a-folder-grows", test_many);
	TEST("an-unclean-file-system-is-refused", test_unclean);
	TEST("a-journal-in-use-is-refused", test_journal);
	TEST("an-unknown-feature-is-refused", test_unknown);
	TEST("links-and-translators-in-the-way-are-refused", test_places);
	TEST("a-disk-without-a-root-is-refused", test_no_root);
	TEST("a-disk-that-comes-near-says-what-it-lacks", test_near_root);
	TEST("a-full-file-system-is-refused", test_full);
	TEST("one-without-free-inodes-is-refused", test_no_inodes);
	TEST("a-truncated-disk-is-refused", test_truncated);
	TEST("a-write-that-is-interrupted-leaves-it-unclean", test_interrupted);
	TEST("mutated-disks-do-no-harm", test_mutated);
	TEST("architecture-and-distribution-are-found", test_kinds);
	TEST("what-is-not-recognised-is-said-in-words", test_kind_note);
	TEST("edits-survive-packing", test_packed);
	TEST("no-path-leads-out", test_escape);
#undef TEST
	return g_test_run();
}
