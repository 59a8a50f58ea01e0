/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The secret root: made, kept, refreshed, repaired, and refused when it is unsafe. */
#include "ssh/secrets/root.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/refuse.h"

struct place {
	char *top, *directory, *extra, *offload;
	const char *users[3];
	struct secret_root_spec spec;
};

static void
place_open(struct place *place, gconstpointer data)
{
	(void)data;
	place->top = g_dir_make_tmp("childhurd-root-XXXXXX", NULL);
	place->directory = g_build_filename(place->top, "secrets", NULL);
	place->extra = g_build_filename(place->top, "extra", NULL);
	place->offload = g_build_filename(place->top, "offload_key", NULL);
	place->users[0] = "offloading";
	place->users[1] = "root";
	place->spec = (struct secret_root_spec){.name = "childhurd1",
						.directory = place->directory,
						.extra = place->extra,
						.offload_key = place->offload,
						.users = place->users};
}

static void
remove_tree(const char *path)
{
	struct stat status;

	if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
		g_chmod(path, 0700);
		g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
		const char *leaf;

		while ((leaf = g_dir_read_name(folder))) {
			g_autofree char *child = g_build_filename(path, leaf, NULL);
			remove_tree(child);
		}
	}
	g_assert_cmpint(remove(path), ==, 0);
}

static void
place_close(struct place *place, gconstpointer data)
{
	(void)data;
	remove_tree(place->top);
	g_free(place->top);
	g_free(place->directory);
	g_free(place->extra);
	g_free(place->offload);
}

static void
ensure(struct place *place)
{
	g_autoptr(GError) error = NULL;

	secret_root_ensure(&place->spec, &error);
	g_assert_no_error(error);
}

/* Write base/name, with the folders above it. */
static char *
put(const char *base, const char *name, const char *content, mode_t mode)
{
	char *path = g_build_filename(base, name, NULL);
	g_autofree char *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, content, -1, NULL));
	g_assert_cmpint(g_chmod(path, mode), ==, 0);
	return path;
}

static void
put_extra(struct place *place, const char *name, const char *content, mode_t mode)
{
	g_free(put(place->extra, name, content, mode));
}

static const struct secret_file *
find(GPtrArray *files, const char *name)
{
	for (guint i = 0; i < files->len; i++) {
		const struct secret_file *file = files->pdata[i];

		if (strcmp(file->name, name) == 0)
			return file;
	}
	return NULL;
}

static GPtrArray *
read_root(struct place *place)
{
	g_autoptr(GError) error = NULL;
	GPtrArray *files = secret_root_read(place->directory, &error);

	g_assert_no_error(error);
	return files;
}

static char *
names(GPtrArray *files)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < files->len; i++) {
		const struct secret_file *file = files->pdata[i];

		g_string_append_printf(text, "%s %o\n", file->name, (unsigned)file->mode);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

#define MADE                                                                                       \
	"/etc/ssh/authorized_keys.d/offloading 100444\n"                                           \
	"/etc/ssh/authorized_keys.d/root 100444\n"                                                 \
	"/etc/ssh/ssh_host_ecdsa_key 100600\n"                                                     \
	"/etc/ssh/ssh_host_ecdsa_key.pub 100644\n"                                                 \
	"/etc/ssh/ssh_host_ed25519_key 100600\n"                                                   \
	"/etc/ssh/ssh_host_ed25519_key.pub 100644\n"

static void
assert_names(struct place *place, const char *expected)
{
	g_autoptr(GPtrArray) files = read_root(place);
	g_autofree char *text = names(files);

	g_assert_cmpstr(text, ==, expected);
}

static gboolean
has(struct place *place, const char *name, const char *content)
{
	g_autoptr(GPtrArray) files = read_root(place);
	const struct secret_file *file = find(files, name);
	gsize size;

	if (!file)
		return FALSE;
	const char *bytes = g_bytes_get_data(file->content, &size);
	return size == strlen(content) && memcmp(bytes, content, size) == 0;
}

static void
test_made(struct place *place, gconstpointer data)
{
	struct stat status;
	g_autofree char *folder =
	    g_build_filename(place->directory, "etc/ssh/authorized_keys.d", NULL);
	g_autofree char *public = g_strconcat(place->offload, ".pub", NULL);
	g_autofree char *line = NULL;
	const mode_t mask = umask(077);

	(void)data;
	ensure(place);
	umask(mask);
	assert_names(place, MADE);
	g_assert_cmpint(stat(place->directory, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 07777, ==, 0700);
	g_assert_cmpint(stat(folder, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 07777, ==, 0555);
	g_assert_cmpint(stat(place->offload, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 07777, ==, 0600);
	g_assert_true(g_file_get_contents(public, &line, NULL, NULL));
	g_assert_true(g_str_has_prefix(line, "ssh-ed25519 "));
	g_assert_true(has(place, "/etc/ssh/authorized_keys.d/offloading", line));
}

static void
test_kept(struct place *place, gconstpointer data)
{
	(void)data;
	ensure(place);
	g_autoptr(GPtrArray) before = read_root(place);
	ensure(place);
	g_autoptr(GPtrArray) after = read_root(place);
	g_assert_cmpuint(before->len, ==, after->len);
	for (guint i = 0; i < before->len; i++) {
		const struct secret_file *old = before->pdata[i], *new = after->pdata[i];

		g_assert_cmpstr(old->name, ==, new->name);
		g_assert_true(g_bytes_equal(old->content, new->content));
	}
}

static void
test_sorted(struct place *place, gconstpointer data)
{
	(void)data;
	/* '-' and '.' come before '/': whole names are compared, not folder by folder. */
	put_extra(place, "a/x", "", 0644);
	put_extra(place, "a-b", "", 0644);
	put_extra(place, "a.c/y", "", 0644);
	put_extra(place, "a\303\274", "", 0644);
	put_extra(place, "az", "", 0644);
	ensure(place);
	assert_names(place, "/a-b 100644\n/a.c/y 100644\n/a/x 100644\n/az 100644\n"
			    "/a\303\274 100644\n" MADE);
}

static void
test_extra(struct place *place, gconstpointer data)
{
	g_autofree char *file = g_build_filename(place->extra, "etc/guix/acl", NULL);

	(void)data;
	put_extra(place, "etc/guix/acl", "one", 0640);
	put_extra(place, "etc/run", "#!", 0755);
	ensure(place);
	g_assert_true(has(place, "/etc/guix/acl", "one"));
	put_extra(place, "etc/guix/acl", "two", 0600);
	ensure(place);
	assert_names(place, "/etc/guix/acl 100600\n/etc/run 100755\n" MADE);
	g_assert_true(has(place, "/etc/guix/acl", "two"));
	g_unlink(file);
	ensure(place);
	assert_names(place, "/etc/run 100755\n" MADE);
	g_autofree char *folder = g_build_filename(place->directory, "etc/guix", NULL);
	g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
	/* Without the whole folder. */
	remove_tree(place->extra);
	ensure(place);
	assert_names(place, MADE);
}

static void
test_file_becomes_folder(struct place *place, gconstpointer data)
{
	g_autofree char *file = g_build_filename(place->extra, "thing", NULL);

	(void)data;
	put_extra(place, "thing", "file", 0644);
	ensure(place);
	g_unlink(file);
	put_extra(place, "thing/part", "in a folder", 0644);
	ensure(place);
	g_assert_true(has(place, "/thing/part", "in a folder"));
	remove_tree(file);
	put_extra(place, "thing", "file again", 0644);
	ensure(place);
	g_assert_true(has(place, "/thing", "file again"));
}

static void
test_extra_wins(struct place *place, gconstpointer data)
{
	struct place other = {.top = NULL};
	g_autofree char *key = NULL;

	(void)data;
	/* A host key made elsewhere, of which only the private half is brought. */
	place_open(&other, NULL);
	ensure(&other);
	g_autofree char *path =
	    g_build_filename(other.directory, "etc/ssh/ssh_host_ed25519_key", NULL);
	g_assert_true(g_file_get_contents(path, &key, NULL, NULL));
	g_auto(GStrv) theirs = secret_root_host_keys(other.directory, TRUE, NULL);
	place_close(&other, NULL);

	ensure(place);
	g_auto(GStrv) before = secret_root_host_keys(place->directory, TRUE, NULL);
	g_assert_cmpstr(before[0], !=, theirs[0]);
	put_extra(place, "etc/ssh/ssh_host_ed25519_key", key, 0600);
	put_extra(place, "etc/ssh/authorized_keys.d/offloading", "mine\n", 0444);
	ensure(place);
	g_auto(GStrv) after = secret_root_host_keys(place->directory, TRUE, NULL);
	g_assert_cmpstr(after[0], ==, theirs[0]);
	g_assert_cmpstr(after[1], ==, before[1]);
	g_assert_true(has(place, "/etc/ssh/authorized_keys.d/offloading", "mine\n"));
	/* When they are gone, ours come back. */
	remove_tree(place->extra);
	ensure(place);
	g_auto(GStrv) last = secret_root_host_keys(place->directory, TRUE, NULL);
	g_assert_cmpstr(last[0], !=, theirs[0]);
	assert_names(place, MADE);
}

static void
test_users(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	ensure(place);
	place->users[0] = "builder";
	place->users[1] = NULL;
	ensure(place);
	g_autoptr(GPtrArray) files = read_root(place);
	g_assert_nonnull(find(files, "/etc/ssh/authorized_keys.d/builder"));
	g_assert_null(find(files, "/etc/ssh/authorized_keys.d/offloading"));
	place->users[0] = "../../evil";
	g_assert_false(secret_root_ensure(&place->spec, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_NAME);
}

static void
test_repaired(struct place *place, gconstpointer data)
{
	g_autofree char *ecdsa =
	    g_build_filename(place->directory, "etc/ssh/ssh_host_ecdsa_key", NULL);

	(void)data;
	/* What a killed daemon may leave: temporary files, half of the keys, an overlong list. */
	ensure(place);
	g_unlink(ecdsa);
	g_free(put(place->directory, "etc/ssh/ssh_host_ecdsa_key.new", "half", 0600));
	g_free(put(place->directory, "etc/ssh/ssh_host_ed25519_key.pub.new", "half", 0600));
	g_free(put(place->top, "secrets.new", "half", 0600));
	g_autofree char *list = g_strconcat(place->directory, ".extra", NULL);
	g_assert_true(
	    g_file_set_contents(list, "/never/copied\0/../../offload_key\0/half", 38, NULL));
	ensure(place);
	assert_names(place, MADE);
	g_assert_true(g_file_test(place->offload, G_FILE_TEST_EXISTS));
}

/* Kill children in the midst of it, at many moments. */
static void
test_killed(struct place *place, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 20; i++) {
		g_autofree char *name = g_strdup_printf("extra/%d", i % 3);

		put_extra(place, name, i % 2 ? "odd" : "even", 0600);
		pid_t child = fork();
		if (child == 0) {
			secret_root_ensure(&place->spec, NULL);
			_exit(0);
		}
		g_usleep((gulong)i * 400);
		kill(child, SIGKILL);
		g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
		/* Half a tree may be there, half a file never. */
		g_autofree char *key =
		    g_build_filename(place->directory, "etc/ssh/ssh_host_ed25519_key", NULL);
		g_autofree char *text = NULL;
		if (g_file_get_contents(key, &text, NULL, NULL))
			g_assert_true(
			    g_str_has_suffix(text, "-----END OPENSSH PRIVATE KEY-----\n"));
	}
	ensure(place);
	assert_names(place, MADE "/extra/0 100600\n/extra/1 100600\n/extra/2 100600\n");
}

/* The root must be refused; the message names the file and the command that fixes it. */
static void
assert_unsafe(struct place *place, const char *path, const char *fix)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *command = g_strdup_printf("%s '%s'", fix, path);

	g_assert_false(secret_root_ensure(&place->spec, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_UNSAFE);
	g_assert_true(g_str_has_prefix(error->message, "childhurd1: "));
	if (!strstr(error->message, command))
		g_error("\"%s\" does not say \"%s\"", error->message, command);
	/* The command does fix it. */
	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
	ensure(place);
}

static void
test_modes(struct place *place, gconstpointer data)
{
	g_autofree char *key =
	    g_build_filename(place->directory, "etc/ssh/ssh_host_ecdsa_key", NULL);
	g_autofree char *public = g_strconcat(key, ".pub", NULL);
	g_autofree char *folder = g_build_filename(place->directory, "etc", NULL);

	(void)data;
	ensure(place);
	g_chmod(place->directory, 0755);
	assert_unsafe(place, place->directory, "chmod 0700");
	g_chmod(key, 0644);
	assert_unsafe(place, key, "chmod go-rwx");
	g_chmod(key, 0640);
	assert_unsafe(place, key, "chmod go-rwx");
	g_chmod(public, 0666);
	assert_unsafe(place, public, "chmod go-w");
	g_chmod(folder, 0777);
	assert_unsafe(place, folder, "chmod go-w");
	g_autofree char *secret = put(place->extra, "etc/guix/signing-key.sec", "s", 0644);
	assert_unsafe(place, secret, "chmod go-rwx");
	g_chmod(place->extra, 0775);
	assert_unsafe(place, place->extra, "chmod go-w");
	/* What is read to be sent is looked at again. */
	g_autoptr(GError) error = NULL;
	g_chmod(key, 0604);
	g_assert_null(secret_root_read(place->directory, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_UNSAFE);
}

static void
test_links(struct place *place, gconstpointer data)
{
	g_autofree char *link = g_build_filename(place->directory, "etc/link", NULL);
	g_autofree char *elsewhere = g_build_filename(place->top, "elsewhere", NULL);
	g_autoptr(GError) error = NULL;

	(void)data;
	ensure(place);
	g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
	assert_unsafe(place, link, "rm");
	g_assert_cmpint(symlink("ssh", link), ==, 0);
	assert_unsafe(place, link, "rm");
	g_assert_cmpint(symlink("/nowhere", place->extra), ==, 0);
	assert_unsafe(place, place->extra, "rm");
	g_assert_cmpint(rename(place->directory, elsewhere), ==, 0);
	g_assert_cmpint(symlink(elsewhere, place->directory), ==, 0);
	g_assert_null(secret_root_read(place->directory, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_UNSAFE);
	assert_unsafe(place, place->directory, "rm");
}

static void
test_special(struct place *place, gconstpointer data)
{
	g_autofree char *path = g_build_filename(place->directory, "etc/special", NULL);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)data;
	ensure(place);
	g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	assert_unsafe(place, path, "rm");
	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	close(fd);
	g_chmod(path, 0600);
	assert_unsafe(place, path, "rm");
}

static void
test_owner(struct place *place, gconstpointer data)
{
	g_autofree char *file =
	    g_build_filename(place->directory, "etc/ssh/ssh_host_ecdsa_key", NULL);

	(void)data;
	if (geteuid() != 0) {
		g_test_skip("only root can give a file away");
		return;
	}
	ensure(place);
	g_assert_cmpint(chown(file, 12345, 0), ==, 0);
	assert_unsafe(place, file, "chown 0");
	g_assert_cmpint(chown(place->directory, 12345, 0), ==, 0);
	assert_unsafe(place, place->directory, "chown 0");
}

/* Make it, change the account, and refresh it twice: does the new account have the key then? */
static gboolean
change_user(struct place *place)
{
	g_autoptr(GPtrArray) files = NULL;

	if (!secret_root_ensure(&place->spec, NULL))
		return FALSE;
	place->users[0] = "builder";
	if (!secret_root_ensure(&place->spec, NULL) || !secret_root_ensure(&place->spec, NULL))
		return FALSE;
	files = secret_root_read(place->directory, NULL);
	return files && files->len == 6 && find(files, "/etc/ssh/authorized_keys.d/builder");
}

/* As an ordinary user: 0555 folders are not writable for their owner. */
static void
test_ordinary_user(struct place *place, gconstpointer data)
{
	int status = -1;

	(void)data;
	if (geteuid() == 0)
		g_assert_cmpint(chown(place->top, 65534, 65534), ==, 0);
	pid_t child = fork();
	if (child == 0) {
		if (geteuid() == 0 && (setgid(65534) == -1 || setuid(65534) == -1))
			_exit(2);
		_exit(change_user(place) ? 0 : 1);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
}

static void
test_limits(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = put(place->extra, "big", "", 0600);

	(void)data;
	g_assert_cmpint(truncate(big, SECRET_BYTES_MAX + 1), ==, 0);
	g_assert_false(secret_root_ensure(&place->spec, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_LIMIT);
	g_clear_error(&error);
	g_unlink(big);
	for (int i = 0; i <= SECRET_FILES_MAX; i++) {
		g_autofree char *path = g_strdup_printf("%s/%d", place->extra, i);
		int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		g_assert_cmpint(fd, !=, -1);
		close(fd);
	}
	g_assert_false(secret_root_ensure(&place->spec, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_LIMIT);
	g_clear_error(&error);
	remove_tree(place->extra);
	g_autoptr(GString) deep = g_string_new(NULL);
	for (int i = 0; i < 40; i++)
		g_string_append(deep, "d/");
	g_string_append(deep, "f");
	put_extra(place, deep->str, "", 0600);
	g_assert_false(secret_root_ensure(&place->spec, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_LIMIT);
}

static void
test_host_keys(struct place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	ensure(place);
	g_free(put(place->directory, "etc/ssh/ssh_host_rsa_key.pub", "half a pair", 0644));
	g_auto(GStrv) lines = secret_root_host_keys(place->directory, TRUE, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(g_strv_length(lines), ==, 2);
	g_assert_true(g_str_has_prefix(lines[0], "ssh-ed25519 AAAA"));
	g_assert_true(g_str_has_prefix(lines[1], "ecdsa-sha2-nistp256 AAAA"));
	g_assert_null(strpbrk(lines[0], "\n@"));
	g_assert_null(secret_root_host_keys(place->top, TRUE, &error));
	g_assert_nonnull(error);
}

#define FARM  "ssh-ed25519 AAAAfarm farm"
#define OTHER "ssh-rsa AAAAother"

/* The offload key's line with these lines below it. */
static char *
with_lines(struct place *place, const char *lines)
{
	g_autofree char *public = g_strconcat(place->offload, ".pub", NULL);
	g_autofree char *own = NULL;

	g_assert_true(g_file_get_contents(public, &own, NULL, NULL));
	return g_strconcat(own, lines, NULL);
}

static void
test_shared(struct place *place, gconstpointer data)
{
	const char *const both[] = {FARM, OTHER, NULL}, *const one[] = {OTHER, NULL};
	const char *const user = "/etc/ssh/authorized_keys.d/offloading";

	place->spec.shared = "offloading";
	place->spec.shared_keys = both;
	ensure(place);
	assert_names(place, MADE);
	g_autofree char *alone = with_lines(place, "");
	g_autofree char *first = with_lines(place, FARM "\n" OTHER "\n");
	g_assert_true(has(place, user, first));
	g_assert_true(has(place, "/etc/ssh/authorized_keys.d/root", alone));

	place->spec.shared_keys = one; /* one is taken away */
	ensure(place);
	g_autofree char *second = with_lines(place, OTHER "\n");
	g_assert_true(has(place, user, second));

	place->spec.shared_keys = NULL;
	ensure(place);
	g_assert_true(has(place, user, alone));
}

/* A persistent disk keeps a file that is not sent any more. */
static void
test_shared_user_gone(struct place *place, gconstpointer data)
{
	const char *const keys[] = {FARM, NULL};

	place->spec.shared = "offloading";
	place->spec.shared_keys = keys;
	ensure(place);
	place->users[0] = place->spec.shared = "builder";
	ensure(place);
	g_assert_true(has(place, "/etc/ssh/authorized_keys.d/offloading", ""));
	g_autofree char *lines = with_lines(place, FARM "\n");
	g_assert_true(has(place, "/etc/ssh/authorized_keys.d/builder", lines));

	place->users[0] = place->spec.shared = "offloading"; /* and back */
	ensure(place);
	g_assert_true(has(place, "/etc/ssh/authorized_keys.d/offloading", lines));
	g_assert_true(has(place, "/etc/ssh/authorized_keys.d/builder", ""));
}

/* Something to do: a file that is new, one that is other, one that goes, and another account. */
static void
make_work(void *data)
{
	struct place *place = data;
	static guint round;
	g_autofree char *content = g_strdup_printf("%u", round++);

	put_extra(place, "etc/changes", content, 0644);
	put_extra(place, round % 2 ? "etc/odd/file" : "etc/even/file", "x", 0600);
	g_autofree char *other =
	    g_build_filename(place->extra, round % 2 ? "etc/even" : "etc/odd", NULL);
	if (g_file_test(other, G_FILE_TEST_EXISTS))
		remove_tree(other);
	place->users[0] = round % 2 ? "builder" : "offloading";
}

static gboolean
ensure_unlucky(void *data)
{
	struct place *place = data;
	g_autoptr(GError) error = NULL;
	gboolean good = secret_root_ensure(&place->spec, &error);

	if (good == (error != NULL) || (error && !g_str_has_prefix(error->message, "childhurd1: ")))
		g_error("%s", error ? error->message : "no error");
	return good;
}

/* Whatever failed, the next one does all of it. */
static void
ensure_again(void *data, gboolean good)
{
	struct place *place = data;
	g_autoptr(GPtrArray) files = NULL;
	g_autofree char *content = NULL,
			*path = g_build_filename(place->extra, "etc/changes", NULL);

	ensure(place);
	g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
	g_assert_true(has(place, "/etc/changes", content));
	files = read_root(place);
	g_assert_cmpuint(files->len, ==, 8);
}

static void
test_unlucky(struct place *place, gconstpointer data)
{
	ensure(place);
	g_assert_cmpuint(refuse_each(make_work, ensure_unlucky, ensure_again, place), >, 50);
}

static void
remove_all(void *data)
{
	struct place *place = data;
	g_autofree char *public = g_strconcat(place->offload, ".pub", NULL);

	if (g_file_test(place->directory, G_FILE_TEST_EXISTS))
		remove_tree(place->directory);
	g_unlink(place->offload);
	g_unlink(public);
}

static void
ensure_anew(void *data, gboolean good)
{
	ensure(data);
	assert_names(data, MADE);
}

static void
test_unlucky_first(struct place *place, gconstpointer data)
{
	g_assert_cmpuint(refuse_each(remove_all, ensure_unlucky, ensure_anew, place), >, 50);
}

/* The file of the list is only a list, even if somebody has written to it. */
static void
test_foreign_list(struct place *place, gconstpointer data)
{
	static const char names[] = "no slash\0/\0/../outside\0/etc/./ssh\0//etc\0/etc/gone";
	g_autofree char *list = g_strconcat(place->directory, ".extra", NULL);
	g_autofree char *outside = put(place->top, "outside", "stays", 0644);

	ensure(place);
	g_assert_true(g_file_set_contents(list, names, sizeof names, NULL));
	ensure(place);
	assert_names(place, MADE);
	g_assert_true(g_file_test(outside, G_FILE_TEST_EXISTS));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function)                                                                       \
	g_test_add("/secret-root/" name, struct place, NULL, place_open, function, place_close)
	TEST("a-first-start-makes-keys-with-guix-modes", test_made);
	TEST("keys-are-kept", test_kept);
	TEST("files-are-sorted-by-their-whole-name", test_sorted);
	TEST("extra-files-are-copied-refreshed-and-removed", test_extra);
	TEST("an-extra-file-may-become-a-folder", test_file_becomes_folder);
	TEST("extra-files-win-over-made-ones", test_extra_wins);
	TEST("accounts-that-are-not-configured-any-more-lose-the-key", test_users);
	TEST("keys-of-other-hosts-come-and-go", test_shared);
	TEST("an-account-that-other-hosts-had-is-emptied", test_shared_user_gone);
	TEST("what-a-killed-daemon-left-is-repaired", test_repaired);
	TEST("killed-at-any-moment-nothing-is-half", test_killed);
	TEST("wrong-modes-are-refused-with-what-fixes-them", test_modes);
	TEST("symbolic-links-are-refused", test_links);
	TEST("special-files-are-refused", test_special);
	TEST("files-of-another-owner-are-refused", test_owner);
	TEST("an-ordinary-user-can-refresh-a-read-only-folder", test_ordinary_user);
	TEST("too-many-too-large-and-too-deep-are-refused", test_limits);
	TEST("host-keys-are-told-as-lines", test_host_keys);
	TEST("whatever-call-fails-is-an-error-and-the-next-start-repairs-it", test_unlucky);
	TEST("a-first-start-may-fail-at-any-call", test_unlucky_first);
	TEST("a-list-with-other-names-removes-nothing-else", test_foreign_list);
	return g_test_run();
}
