/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inject_world.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR	  512
#define DISK_SIZE (96 * MIB)
#define ROOT_KIB  "65536"
#define HURD_EXT2 "-o hurd -O none,filetype,sparse_super,ext_attr,large_file"

const struct shape shapes[] = {
    {"debian-i386-root-in-p5",
     "label: dos\nstart=2048, size=4096, type=82\nstart=8192, size=140000, type=5\n"
     "start=10240, size=131072, type=83\n",
     10240, "-o hurd -I 128", FALSE, 3},
    {"debian-amd64-root-in-p2",
     "label: dos\nstart=2048, size=4096, type=82\nstart=8192, size=131072, type=83\n", 8192,
     "-o hurd -I 256 -O extra_isize", FALSE, 62},
    {"guix-one-primary", "label: dos\nstart=2048, size=131072, type=83, bootable\n", 2048,
     "-o hurd -O none,ext_attr -I 128", TRUE, 3},
    {"gpt", "label: gpt\nstart=2048, size=4096\nstart=8192, size=131072\n", 8192,
     "-o hurd -I 128 -b 1024", FALSE, 3},
    {"no-table", NULL, 0, "-o hurd -O none,ext_attr -I 128", TRUE, 62},
    {"empty-journal", "label: dos\nstart=2048, size=131072, type=83\n", 2048,
     "-o hurd -I 256 -j -O extra_isize", FALSE, 62},
};
const gsize n_shapes = G_N_ELEMENTS(shapes);

const struct shape *
shape_named(const char *name)
{
	for (gsize i = 0; i < n_shapes; i++)
		if (!strcmp(shapes[i].name, name))
			return &shapes[i];
	g_error("no shape %s", name);
}

/* --- programs --- */

static int
run(const char *const *argv, const char *input, char **output)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
	    G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
	    G_SUBPROCESS_FLAGS_STDERR_MERGE);
	g_subprocess_launcher_setenv(launcher, "PATH", "/usr/sbin:/sbin:/usr/bin:/bin", TRUE);
	g_autofree char *program = g_build_filename("/sbin", argv[0], NULL);
	g_auto(GStrv) words = g_strdupv((char **)argv);
	if (g_file_test(program, G_FILE_TEST_IS_EXECUTABLE)) {
		g_free(words[0]);
		words[0] = g_steal_pointer(&program);
	}
	g_autoptr(GSubprocess) process =
	    g_subprocess_launcher_spawnv(launcher, (const char *const *)words, &error);
	g_assert_no_error(error);
	g_autofree char *said = NULL;
	g_subprocess_communicate_utf8(process, input ? input : "", NULL, &said, NULL, &error);
	g_assert_no_error(error);
	if (output)
		*output = g_steal_pointer(&said);
	else if (g_subprocess_get_exit_status(process))
		g_test_message("%s: %s", argv[0], said);
	return g_subprocess_get_exit_status(process);
}

static char *
root_of(const struct disk *disk)
{
	return g_strdup_printf("%s?offset=%" G_GUINT64_FORMAT, disk->path, disk->root);
}

void
disk_debugfs(const struct disk *disk, gboolean write, const char *requests, char **output)
{
	g_autofree char *root = root_of(disk);
	g_autofree char *said = NULL;
	const char *const reading[] = {"debugfs", "-f", "-", root, NULL};
	const char *const writing[] = {"debugfs", "-w", "-f", "-", root, NULL};
	g_assert_cmpint(run(write ? writing : reading, requests, &said), ==, 0);
	if (output)
		*output = g_steal_pointer(&said);
}

char *
disk_faults(const struct disk *disk)
{
	g_autofree char *root = root_of(disk);
	char *said = NULL;
	const char *const argv[] = {"e2fsck", "-fn", root, NULL};
	if (run(argv, NULL, &said))
		return said;
	g_free(said);
	return NULL;
}

void
disk_index(const struct disk *disk)
{
	g_autofree char *root = root_of(disk);
	const char *const argv[] = {"e2fsck", "-fyD", root, NULL};
	g_assert_cmpint(run(argv, NULL, NULL), <=, 1);
}

char *
disk_cat(const struct disk *disk, const char *path)
{
	g_autofree char *file = g_build_filename(disk->directory, "out", NULL);
	g_autofree char *request = g_strdup_printf("dump %s %s\n", path, file);
	char *content = NULL;
	g_unlink(file);
	disk_debugfs(disk, FALSE, request, NULL);
	if (!g_file_get_contents(file, &content, NULL, NULL))
		return g_strdup("");
	return content;
}

/* --- the device --- */

static struct disk *
disk_of(struct device *device)
{
	return (struct disk *)(void *)device;
}

static gboolean
on_read(struct device *device, void *buffer, gsize length, guint64 offset, GError **error)
{
	if (offset > device->size || length > device->size - offset ||
	    pread(disk_of(device)->fd, buffer, length, (off_t)offset) != (ssize_t)length) {
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_IO, "beyond the end");
		return FALSE;
	}
	return TRUE;
}

static gboolean
on_write(struct device *device, const void *buffer, gsize length, guint64 offset, GError **error)
{
	struct disk *disk = disk_of(device);
	g_assert_cmpuint(offset + length, <=, device->size);
	if (!disk->writes_left) {
		g_set_error(error, INJECT_ERROR, INJECT_ERROR_IO, "the host's disk is full");
		return FALSE;
	}
	disk->writes_left--;
	disk->writes++;
	device->written += length;
	g_assert_cmpint(pwrite(disk->fd, buffer, length, (off_t)offset), ==, length);
	return TRUE;
}

static gboolean
on_flush(struct device *device, GError **error)
{
	return TRUE;
}

/* --- making one --- */

static void
put(const char *folder, const char *path, const char *content, gsize length, int mode)
{
	g_autofree char *file = g_build_filename(folder, path, NULL);
	g_autofree char *above = g_path_get_dirname(file);
	g_assert_cmpint(g_mkdir_with_parents(above, 0755), ==, 0);
	g_assert_true(g_file_set_contents(file, content, (gssize)length, NULL));
	g_assert_cmpint(chmod(file, (mode_t)mode), ==, 0);
}

static void
put_text(const char *folder, const char *path, const char *text, int mode)
{
	put(folder, path, text, strlen(text), mode);
}

static void
put_program(const char *folder, const char *path, guint8 machine)
{
	guint8 elf[64] = {0x7f, 'E', 'L',      'F',	      machine == 62 ? 2 : 1,
			  1,	1,   [16] = 2, [18] = machine};
	put(folder, path, (const char *)elf, sizeof elf, 0755);
}

static void
fill_guix(const char *tree, guint8 machine)
{
	put_program(tree, "gnu/store/abc-hurd-1.0/hurd/exec", machine);
	put_text(tree, "gnu/store/abd-system/boot", "x", 0444);
	put_text(tree, "servers/exec", "x", 0644);
	put_text(tree, "etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0644);
}

static void
fill_debian(const char *tree, guint8 machine)
{
	put_program(tree, "hurd/exec", machine);
	put_text(tree, "hurd/README", "x", 0644);
	put_text(tree, "servers/exec", "x", 0644);
	put_text(tree, "etc/debian_version", "13.0\n", 0644);
	put_text(tree, "etc/ssh/ssh_host_rsa_key", "known to all\n", 0600);
	put_text(tree, "etc/ssh/ssh_host_ed25519_key", "known to all, too\n", 0600);
	put_text(tree, "etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\n", 0644);
	put_text(tree, "etc/ssh/sshd_config.d/README", "x", 0644);
	put_text(tree, "root/.profile", "x", 0644);
	put_text(tree, "boot/grub/grub.cfg",
		 "set default=0\nmenuentry \"Debian GNU/Hurd\" {\n"
		 "\tmultiboot\t/boot/gnumach-1.8-486.gz root=part:5:device:wd0\n"
		 "\tmodule\t\t/hurd/exec exec '$(task-create=task1)'\n}\n"
		 "menuentry \"recovery\" {\n\techo 'Loading gnumach'\n"
		 "\tmultiboot /boot/gnumach-1.8-486.gz root=part:5:device:wd0 -s\n}\n",
		 0444);
}

static void
remove_tree(const char *path)
{
	const char *const argv[] = {"rm", "-rf", path, NULL};
	g_assert_cmpint(run(argv, NULL, NULL), ==, 0);
}

/* A translator's block is one of the file's that it had as a plain file. */
static void
make_translator(const struct disk *disk)
{
	g_autofree char *answer = NULL, *requests = NULL;
	disk_debugfs(disk, FALSE, "bmap /servers/exec 0\n", &answer);
	char *line = strrchr(g_strchomp(answer), '\n');
	g_assert_nonnull(line);
	requests = g_strdup_printf("sif /servers/exec block[0] 0\nsif /servers/exec size 0\n"
				   "sif /servers/exec translator %d\nsif /servers/exec author 7\n"
				   "sif /etc/passwd author 5\nsif /etc/debian_version author 5\n",
				   atoi(line + 1));
	disk_debugfs(disk, TRUE, requests, NULL);
}

static void
make_file_system(const struct disk *disk, const struct shape *shape)
{
	g_autofree char *tree = g_build_filename(disk->directory, "tree", NULL);
	g_autofree char *extended = g_strdup_printf("offset=%" G_GUINT64_FORMAT, disk->root);
	g_auto(GStrv) options = g_strsplit(shape->options, " ", -1);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	const char *const first[] = {"mke2fs", "-q", "-F", "-t", "ext2", "-E"};
	for (gsize i = 0; i < G_N_ELEMENTS(first); i++)
		g_ptr_array_add(argv, (void *)first[i]);
	g_ptr_array_add(argv, extended);
	for (char **option = options; *option; option++)
		g_ptr_array_add(argv, *option);
	g_ptr_array_add(argv, (void *)"-d");
	g_ptr_array_add(argv, tree);
	g_ptr_array_add(argv, disk->path);
	g_ptr_array_add(argv, (void *)ROOT_KIB "k");
	g_ptr_array_add(argv, NULL);
	g_assert_cmpint(g_mkdir(tree, 0755), ==, 0);
	(shape->guix ? fill_guix : fill_debian)(tree, shape->machine);
	g_assert_cmpint(run((const char *const *)argv->pdata, NULL, NULL), ==, 0);
	remove_tree(tree);
	make_translator(disk);
	g_autofree char *faults = disk_faults(disk);
	g_assert_cmpstr(faults, ==, NULL);
}

struct disk *
disk_make(const struct shape *shape)
{
	struct disk *disk = g_new0(struct disk, 1);
	disk->device = (struct device){
	    .size = DISK_SIZE, .read = on_read, .write = on_write, .flush = on_flush};
	disk->writes_left = -1;
	disk->directory = g_dir_make_tmp("inject-XXXXXX", NULL);
	disk->path = g_build_filename(disk->directory, "disk.img", NULL);
	disk->root = shape->root * SECTOR;
	disk->fd = open(disk->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	g_assert_cmpint(ftruncate(disk->fd, DISK_SIZE), ==, 0);
	const char *const argv[] = {"sfdisk", "-q", disk->path, NULL};
	if (shape->table)
		g_assert_cmpint(run(argv, shape->table, NULL), ==, 0);
	make_file_system(disk, shape);
	return disk;
}

/* --- one in memory --- */

#define COPY_SIZE (4 * MIB)
#define COPY_ROOT 128 /* sector */

static gboolean
on_copy_read(struct device *device, void *buffer, gsize length, guint64 offset, GError **error)
{
	g_assert_true(offset <= COPY_SIZE && length <= COPY_SIZE - offset);
	memcpy(buffer, ((struct copy *)(void *)device)->bytes + offset, length);
	return TRUE;
}

static gboolean
on_copy_write(struct device *device, const void *buffer, gsize length, guint64 offset,
	      GError **error)
{
	g_assert_true(offset <= COPY_SIZE && length <= COPY_SIZE - offset);
	memcpy(((struct copy *)(void *)device)->bytes + offset, buffer, length);
	return TRUE;
}

void
copy_make(struct copy *copy)
{
	g_autofree char *folder = g_dir_make_tmp("inject-XXXXXX", NULL);
	g_autofree char *tree = g_build_filename(folder, "tree", NULL);
	g_autofree char *disk = g_build_filename(folder, "disk", NULL);
	g_autofree char *extended = g_strdup_printf("offset=%d", COPY_ROOT * SECTOR);
	const char *const make[] = {"truncate", "-s", "4M", disk, NULL};
	const char *const table[] = {"sfdisk", "-q", disk, NULL};
	const char *const file_system[] = {"mke2fs", "-q", "-F",    "-o", "hurd",   "-I",
					   "128",    "-N", "128",   "-E", extended, "-d",
					   tree,     disk, "2048k", NULL};
	gsize length;
	g_assert_cmpint(g_mkdir(tree, 0755), ==, 0);
	fill_debian(tree, 3);
	g_assert_cmpint(run(make, NULL, NULL), ==, 0);
	g_assert_cmpint(
	    run(table, "start=32, size=8000, type=5\nstart=128, size=4096, type=83\n", NULL), ==,
	    0);
	g_assert_cmpint(run(file_system, NULL, NULL), ==, 0);
	*copy = (struct copy){.device = {.size = COPY_SIZE,
					 .read = on_copy_read,
					 .write = on_copy_write,
					 .flush = on_flush},
			      .root = COPY_ROOT * SECTOR};
	g_assert_true(g_file_get_contents(disk, (char **)&copy->bytes, &length, NULL));
	g_assert_cmpuint(length, ==, COPY_SIZE);
	remove_tree(folder);
}

void
copy_clear(struct copy *copy)
{
	g_free(copy->bytes);
}

void
disk_free(struct disk *disk)
{
	close(disk->fd);
	remove_tree(disk->directory);
	g_free(disk->directory);
	g_free(disk->path);
	g_free(disk);
}
