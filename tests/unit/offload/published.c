/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What coordinators read, read by those who will: Guile, ssh and ssh-keygen. */
#include "offload/published.h"

#include <glib/gstdio.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
#define ECDSA                                                                                      \
	"ecdsa-sha2-nistp256 "                                                                     \
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrY" \
	"MjNuG5N87uRgg6"                                                                           \
	"CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="

static const char *const keys[] = {ED25519, ECDSA, NULL};
static const char *const systems[] = {"i586-gnu", NULL};
static const char *const features[] = {"big \"disk\"", "kvm", NULL};

static struct published_guest
guest_make(const char *name, int port)
{
	return (struct published_guest){
	    .name = name,
	    .host_name = "127.0.0.1",
	    .port = port,
	    .user = "offloading",
	    .private_key = "/var/lib/childhurd/childhurd1/offload_key",
	    .host_keys = keys,
	    .systems = systems,
	    .parallel_builds = 1,
	    .speed = 1.0,
	    .overload_threshold = 1.8,
	    .as = PUBLISHED_READY,
	};
}

/* Run it; its standard output. expected: whether it ends with 0. */
static char *
output_of(const char *const *argv, gboolean expected)
{
	g_autofree char *errors = NULL;
	char *output = NULL;
	GError *error = NULL;
	int status;

	g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, &errors,
		     &status, &error);
	g_assert_no_error(error);
	if ((status == 0) != expected)
		g_error("%s: status %d: %s", argv[0], status, errors);
	return output;
}

/* The text in a file of its own; free with file_remove. */
static char *
file_make(const char *text)
{
	char *path = NULL;
	int fd = g_file_open_tmp("published-XXXXXX", &path, NULL);

	g_assert_cmpint(fd, >=, 0);
	close(fd);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

static void
file_remove(char *path)
{
	g_assert_cmpint(g_unlink(path), ==, 0);
	g_free(path);
}

/*
 * What Guile makes of the text when it is loaded as Guix does: by primitive-load, in a module where
 * build-machine is bound to something that knows only Guix 1.5's fields.
 */
static char *
loaded(const char *text)
{
	char *path = file_make(text);
	g_autofree char *code = g_strdup_printf(
	    "(define-syntax build-machine (syntax-rules () ((_ (field value) ...)"
	    "  (begin (for-each (lambda (f) (or (memq f '(name port systems user private-key "
	    "host-key"
	    "    daemon-socket parallel-builds speed overload-threshold features)) (error f)))"
	    "    '(field ...)) (list (cons 'field value) ...)))))"
	    "(define (has m f p) (let ((e (assq f m))) (or (not e) (p (cdr e)) (error f e))))"
	    "(let ((machines (primitive-load \"%s\")))"
	    "  (for-each (lambda (m)"
	    "    (for-each (lambda (f) (has m f string?)) '(name user private-key host-key))"
	    "    (for-each (lambda (f) (has m f exact-integer?)) '(port parallel-builds))"
	    "    (for-each (lambda (f) (has m f inexact?)) '(speed overload-threshold))"
	    "    (for-each (lambda (f) (has m f list?)) '(systems features))) machines)"
	    "  (write machines))",
	    path);
	const char *const argv[] = {"guile", "--no-auto-compile", "-c", code, NULL};
	char *output = output_of(argv, TRUE);

	file_remove(path);
	return output;
}

static void
machines_has_the_fields_that_guix_knows(void)
{
	struct published_guest guest = guest_make("childhurd1", 10022);
	g_autofree char *text = published_machines(&guest, 1);
	g_autofree char *value = loaded(text);

	g_assert_cmpstr(value, ==,
			"(((name . \"127.0.0.1\") (port . 10022) (systems \"i586-gnu\") "
			"(user . \"offloading\") (host-key . \"" ED25519 "\") "
			"(private-key . \"/var/lib/childhurd/childhurd1/offload_key\") "
			"(parallel-builds . 1) (speed . 1.0) (overload-threshold . 1.8)))");
	g_assert_true(
	    g_str_has_prefix(text, ";; Written by childhurdd; changes are overwritten.\n(list"));
}

static void
machines_lists_only_machines_and_may_be_empty(void)
{
	struct published_guest guests[] = {guest_make("one", 10022), guest_make("two", 11022)};
	g_autofree char *none = NULL, *one = NULL, *both = NULL, *value = NULL, *empty = NULL;

	both = published_machines(guests, 2);
	g_assert_nonnull(strstr(both, "(port 10022)"));
	g_assert_nonnull(strstr(both, "(port 11022)"));
	guests[0].as = PUBLISHED_NOT;
	one = published_machines(guests, 2);
	g_assert_null(strstr(one, "(port 10022)"));
	g_assert_nonnull(strstr(one, "(port 11022)"));
	none = published_machines(NULL, 0);
	value = loaded(none);
	g_assert_cmpstr(value, ==, "()");
	guests[1].as = PUBLISHED_NOT;
	empty = published_machines(guests, 2);
	g_assert_cmpstr(empty, ==, none);
}

static void
guests_that_come_up_stand_in_until_one_is_ready(void)
{
	struct published_guest guests[] = {guest_make("one", 10022), guest_make("two", 11022)};
	g_autofree char *coming = NULL, *ready = NULL;

	guests[0].as = PUBLISHED_COMING;
	guests[1].as = PUBLISHED_NOT;
	coming = published_machines(guests, 2);
	g_assert_nonnull(strstr(coming, "(build-machine"));
	g_assert_nonnull(strstr(coming, "(port 1)")); /* not one that is not ready */
	g_assert_null(strstr(coming, "10022"));
	guests[1].as = PUBLISHED_READY;
	ready = published_machines(guests, 2);
	g_assert_nonnull(strstr(ready, "(port 11022)"));
	g_assert_null(strstr(ready, "(port 1)"));
}

static void
machines_survives_nasty_strings(void)
{
	struct published_guest guest = guest_make("childhurd1", 10022);
	g_autofree char *text = NULL, *value = NULL;

	guest.private_key = "/a \"b\"\\c\td\ne\x01"
			    "2\x7f"
			    "f";
	guest.features = features;
	text = published_machines(&guest, 1);
	value = loaded(text);
	g_assert_nonnull(
	    strstr(value, "(private-key . \"/a \\\"b\\\"\\\\c\\td\\ne\\x012\\x7ff\")"));
	g_assert_nonnull(strstr(value, "(features \"big \\\"disk\\\"\" \"kvm\")"));
}

/* Guile would read the file in this encoding, which there is none of. */
static void
nothing_within_machines_is_taken_for_its_encoding(void)
{
	struct published_guest guest = guest_make("childhurd1", 10022);
	guest.private_key = "/srv/;coding:klingon/key";
	g_autofree char *text = published_machines(&guest, 1);
	g_autofree char *value = loaded(text);

	g_assert_nonnull(strstr(value, "(private-key . \"/srv/;coding:klingon/key\")"));
}

static void
numbers_have_a_point_in_every_locale(void)
{
	struct published_guest guest = guest_make("childhurd1", 10022);
	g_autofree char *plain = NULL, *local = NULL, *value = NULL;
	g_autofree char *directory = g_dir_make_tmp("published-XXXXXX", NULL);
	g_autofree char *locale = g_build_filename(directory, "de_DE.UTF-8", NULL);
	const char *compile[] = {"localedef", "-i", "de_DE", "-f", "UTF-8", locale, NULL};
	const char *clean[] = {"rm", "-r", directory, NULL};

	guest.speed = 2;
	guest.overload_threshold = 12.25;
	plain = published_machines(&guest, 1);
	g_spawn_sync(NULL, (char **)compile, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL,
		     NULL, NULL, NULL, NULL, NULL, NULL);
	g_setenv("LOCPATH", directory, TRUE);
	if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
		g_test_message(
		    "no locale with a comma can be made here (package locales): C stands in");
	else
		g_assert_cmpstr(localeconv()->decimal_point, ==, ",");
	local = published_machines(&guest, 1);
	setlocale(LC_NUMERIC, "C");
	g_unsetenv("LOCPATH");
	g_free(output_of(clean, TRUE));
	g_assert_cmpstr(plain, ==, local);
	value = loaded(plain);
	g_assert_nonnull(strstr(value, "(speed . 2.0) (overload-threshold . 12.25)"));
}

/* What ssh takes from the file for a host. */
static char *
ssh_sees(const char *text, const char *host)
{
	char *path = file_make(text);
	const char *const argv[] = {"ssh", "-G", "-F", path, host, NULL};
	char *output = output_of(argv, TRUE);

	file_remove(path);
	return output;
}

static void
expect_line(const char *text, const char *line)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	if (!g_strv_contains((const char *const *)lines, line))
		g_error("no line \"%s\" in:\n%s", line, text);
}

static void
ssh_reads_every_guest(void)
{
	struct published_guest guests[] = {guest_make("childhurd1", 10022),
					   guest_make("childhurd2", 11022)};
	g_autofree char *text = NULL, *seen = NULL, *other = NULL;

	guests[1].as = PUBLISHED_NOT; /* not ready: not for builds, but for ssh */
	text = published_ssh_config(guests, 2, "/run/childhurd/known_hosts");
	seen = ssh_sees(text, "childhurd2");
	expect_line(seen, "hostname 127.0.0.1");
	expect_line(seen, "port 11022");
	expect_line(seen, "user offloading");
	expect_line(seen, "identityfile /var/lib/childhurd/childhurd1/offload_key");
	expect_line(seen, "identitiesonly yes");
	expect_line(seen, "hostkeyalias childhurd2");
	expect_line(seen, "userknownhostsfile /run/childhurd/known_hosts");
	expect_line(seen, "stricthostkeychecking true");
	other = ssh_sees(text, "elsewhere");
	expect_line(other, "port 22"); /* nothing of ours leaks into other hosts */
}

static void
ssh_reads_nasty_paths(void)
{
	struct published_guest guest = guest_make("childhurd1", 10022);
	g_autofree char *text = NULL, *seen = NULL;

	guest.private_key = "/a b/50%h \"c\" \\ 'd' #e/key";
	text = published_ssh_config(&guest, 1, "/r u n/100%%/\"known\" #hosts");
	seen = ssh_sees(text, "childhurd1");
	/* -G shows the first path before tokens are expanded (%% stands for one %), the second
	 * after it */
	expect_line(seen, "identityfile /a b/50%%h \"c\" \\ 'd' #e/key");
	expect_line(seen, "userknownhostsfile /r u n/100%%/\"known\" #hosts");
}

static void
expect_known(const char *text, const char *host)
{
	char *path = file_make(text);
	const char *const argv[] = {"ssh-keygen", "-F", host, "-f", path, NULL};
	g_autofree char *output = output_of(argv, TRUE);

	g_assert_nonnull(strstr(output, ED25519));
	g_assert_nonnull(strstr(output, ECDSA));
	file_remove(path);
}

static void
known_hosts_finds_every_key_by_name_and_by_port(void)
{
	struct published_guest guests[] = {guest_make("childhurd1", 10022),
					   guest_make("childhurd2", 22)};
	g_autofree char *text = published_known_hosts(guests, 2);
	char *path = file_make(text);
	const char *const argv[] = {"ssh-keygen", "-F", "childhurd3", "-f", path, NULL};

	expect_known(text, "childhurd1");
	expect_known(text, "[127.0.0.1]:10022");
	expect_known(text, "childhurd2");
	expect_known(text, "127.0.0.1");
	g_free(output_of(argv, FALSE));
	file_remove(path);
}

struct place {
	char *directory;
	char *machines, *ssh_config, *known_hosts;
};

static void
place_make(struct place *place)
{
	place->directory = g_dir_make_tmp("published-XXXXXX", NULL);
	place->machines = g_build_filename(place->directory, "machines.scm", NULL);
	place->ssh_config = g_build_filename(place->directory, "ssh_config", NULL);
	place->known_hosts = g_build_filename(place->directory, "known_hosts", NULL);
}

static void
place_remove(struct place *place)
{
	g_autoptr(GDir) open = g_dir_open(place->directory, 0, NULL);

	for (const char *name = g_dir_read_name(open); name; name = g_dir_read_name(open)) {
		g_autofree char *path = g_build_filename(place->directory, name, NULL);

		g_assert_cmpint(g_remove(path), ==, 0);
	}
	g_assert_cmpint(rmdir(place->directory), ==, 0);
	g_free(place->directory);
	g_free(place->machines);
	g_free(place->ssh_config);
	g_free(place->known_hosts);
}

static ino_t
inode(const char *path)
{
	struct stat status;

	g_assert_cmpint(stat(path, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 07777, ==, 0644);
	return status.st_ino;
}

static void
files_are_replaced_only_when_they_change(void)
{
	struct published_guest guest = guest_make("childhurd1", 10022);
	struct place place;
	g_autoptr(GError) error = NULL;
	g_autofree char *left = NULL, *text = NULL;
	ino_t machines, ssh_config, known_hosts;
	mode_t mask = umask(077); /* everybody must be able to read them all the same */

	place_make(&place);
	left = g_strconcat(place.machines, ".new", NULL); /* of a killed process */
	g_assert_true(g_file_set_contents(left, "(list (build-mach", -1, NULL));
	g_assert_true(published_write(place.directory, &guest, 1, &error));
	g_assert_no_error(error);
	g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
	machines = inode(place.machines);
	ssh_config = inode(place.ssh_config);
	known_hosts = inode(place.known_hosts);

	g_assert_true(g_file_set_contents(left, "(list (build-mach", -1, NULL));
	g_assert_true(published_write(place.directory, &guest, 1, &error));
	g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
	g_assert_cmpuint(inode(place.machines), ==, machines);

	guest.as = PUBLISHED_NOT;
	g_assert_true(published_write(place.directory, &guest, 1, &error));
	g_assert_cmpuint(inode(place.machines), !=, machines);
	g_assert_cmpuint(inode(place.ssh_config), ==, ssh_config);
	g_assert_cmpuint(inode(place.known_hosts), ==, known_hosts);
	g_assert_true(g_file_get_contents(place.ssh_config, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, place.known_hosts));
	umask(mask);
	place_remove(&place);
}

static void
one_file_that_cannot_be_written_does_not_stop_the_others(void)
{
	struct published_guest guest = guest_make("childhurd1", 10022);
	struct place place;
	g_autoptr(GError) error = NULL;

	place_make(&place);
	g_assert_cmpint(mkdir(place.known_hosts, 0755), ==, 0); /* in the way, for root as well */
	g_assert_false(published_write(place.directory, &guest, 1, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, place.known_hosts));
	inode(place.machines);
	inode(place.ssh_config);
	place_remove(&place);
}

static void
a_folder_that_is_not_there_is_named(void)
{
	struct published_guest guest = guest_make("childhurd1", 10022);
	g_autoptr(GError) error = NULL;

	g_assert_false(published_write("/nowhere/at/all", &guest, 1, &error));
	g_assert_nonnull(strstr(error->message, "/nowhere/at/all/known_hosts"));
}

/* A machine is told of once its key is in known_hosts; what was there stays told of, and what goes
 * down goes off the list. */
static void
nobody_is_told_of_a_machine_whose_key_is_not_there(void)
{
	struct published_guest guests[] = {guest_make("childhurd1", 10022),
					   guest_make("childhurd2", 11022)};
	struct place place;
	g_autoptr(GError) error = NULL;
	g_autofree char *before = NULL, *first = NULL, *second = NULL, *last = NULL;

	place_make(&place);
	g_assert_true(published_write(place.directory, guests, 1, NULL));
	g_assert_true(g_file_get_contents(place.known_hosts, &before, NULL, NULL));
	g_autofree char *in_the_way = g_strconcat(place.known_hosts, ".new", NULL);
	g_assert_cmpint(mkdir(in_the_way, 0755), ==, 0); /* for root as well */
	g_assert_false(published_write(place.directory, guests, 2, &error));
	g_assert_nonnull(strstr(error->message, place.known_hosts));
	g_assert_true(g_file_get_contents(place.machines, &first, NULL, NULL));
	g_assert_nonnull(strstr(first, "(port 10022)"));
	g_assert_null(strstr(first, "(port 11022)"));

	guests[0].as = PUBLISHED_NOT;
	g_assert_false(published_write(place.directory, guests, 2, NULL));
	g_assert_true(g_file_get_contents(place.machines, &second, NULL, NULL));
	g_assert_null(strstr(second, "(port 10022)"));
	g_assert_null(strstr(second, "(port 11022)"));
	g_assert_nonnull(strstr(second, "(build-machine")); /* builds wait */

	g_assert_cmpint(rmdir(in_the_way), ==, 0);
	g_assert_true(published_write(place.directory, guests, 2, NULL));
	g_assert_true(g_file_get_contents(place.machines, &last, NULL, NULL));
	g_assert_nonnull(strstr(last, "(port 11022)"));
	place_remove(&place);
}

#define TEST(name, function) g_test_add_func("/published/" name, function)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("machines-has-the-fields-that-guix-knows", machines_has_the_fields_that_guix_knows);
	TEST("machines-lists-only-machines-and-may-be-empty",
	     machines_lists_only_machines_and_may_be_empty);
	TEST("guests-that-come-up-stand-in-until-one-is-ready",
	     guests_that_come_up_stand_in_until_one_is_ready);
	TEST("machines-survives-nasty-strings", machines_survives_nasty_strings);
	TEST("nothing-within-machines-is-taken-for-its-encoding",
	     nothing_within_machines_is_taken_for_its_encoding);
	TEST("numbers-have-a-point-in-every-locale", numbers_have_a_point_in_every_locale);
	TEST("ssh-reads-every-guest", ssh_reads_every_guest);
	TEST("ssh-reads-nasty-paths", ssh_reads_nasty_paths);
	TEST("known-hosts-finds-every-key-by-name-and-by-port",
	     known_hosts_finds_every_key_by_name_and_by_port);
	TEST("files-are-replaced-only-when-they-change", files_are_replaced_only_when_they_change);
	TEST("one-file-that-cannot-be-written-does-not-stop-the-others",
	     one_file_that_cannot_be_written_does_not_stop_the_others);
	TEST("nobody-is-told-of-a-machine-whose-key-is-not-there",
	     nobody_is_told_of_a_machine_whose_key_is_not_there);
	TEST("a-folder-that-is-not-there-is-named", a_folder_that_is_not_there_is_named);
	return g_test_run();
}
