/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signing keys and lists of them; that Guix takes them is proved by tests/integration/guix.t. */
#include "offload/signing.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "offload/signing_key.h"
#include "tests/unit/refuse.h"

#define KEY(letter)                                                                                \
	"(public-key (ecc (curve Ed25519) (q "                                                     \
	"#8D156F295D24B0D9A86FA5741A840FF2D24F60F7B6C4134814AD55625971B39" letter "#)))"
#define ENTRY(letter) "(entry " KEY(letter) " (tag (guix import)))"

static char *folder, *acl, *public;

static void
put(const char *path, const char *text)
{
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *
get(const char *path)
{
	char *text;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return text;
}

static guint
count(const char *text, const char *word)
{
	guint n = 0;
	for (const char *at = text; (at = strstr(at, word)); at++)
		n++;
	return n;
}

static void
set_up(void)
{
	folder = g_dir_make_tmp("signing-XXXXXX", NULL);
	acl = g_build_filename(folder, "acl", NULL);
	public = g_build_filename(folder, "signing-key.pub", NULL);
	put(public, KEY("1"));
	put(acl, "(acl\n " ENTRY("2") "\n " ENTRY("3") ")\n");
}

static void
tear_down(void)
{
	g_autofree char *lock = g_build_filename(folder, "acl.lock", NULL);
	g_unlink(lock);
	g_unlink(acl);
	g_unlink(public);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
	g_free(folder);
	g_free(acl);
	g_free(public);
}

static void
authorize(const char *key, gboolean is_new)
{
	g_autoptr(GError) error = NULL;
	gboolean added = !is_new;
	g_assert_true(signing_authorize(folder, key, &added, &error));
	g_assert_no_error(error);
	g_assert_cmpint(added, ==, is_new);
}

static void
a_guest_gets_a_pair_of_its_own_and_the_host_s_list(void)
{
	g_autoptr(GError) error = NULL;
	struct signing one = {0}, other = {0};

	set_up();
	g_assert_true(signing_possible(folder));
	g_assert_true(signing_make(folder, NULL, &one, &error));
	g_assert_no_error(error);
	g_assert_true(signing_make(folder, NULL, &other, &error));
	g_assert_true(g_str_has_prefix(one.public_key, "(public-key"));
	g_assert_true(g_str_has_prefix(one.secret_key, "(private-key"));
	g_assert_cmpstr(one.public_key, !=, other.public_key);
	g_assert_null(strstr(one.public_key, "(d "));
	g_assert_cmpuint(count(one.acl, "(entry"), ==, 3);
	g_assert_cmpuint(count(one.acl, "B391#"), ==, 1); /* the host's */
	g_assert_cmpstr(one.acl, ==, other.acl);

	g_autofree char *before = g_strdup(one.public_key);
	g_assert_true(signing_make(folder, NULL, &one, &error)); /* the next start */
	g_assert_cmpstr(one.public_key, ==, before);
	signing_clear(&one);
	signing_clear(&other);
	tear_down();
}

static void
a_key_is_authorized_once_and_nothing_is_lost(void)
{
	struct stat st;

	set_up();
	g_assert_cmpint(chmod(acl, 0640), ==, 0);
	if (geteuid() == 0)
		g_assert_cmpint(chown(acl, 65534, 65534), ==, 0);
	authorize(KEY("4"), TRUE);
	g_autofree char *first = get(acl);
	g_assert_cmpuint(count(first, "(entry"), ==, 3);
	for (const char *letter = "234"; *letter; letter++) {
		g_autofree char *end = g_strdup_printf("B39%c#", *letter);
		g_assert_cmpuint(count(first, end), ==, 1);
	}
	g_assert_cmpint(stat(acl, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0640);
	if (geteuid() == 0)
		g_assert_cmpuint(st.st_uid, ==, 65534);

	authorize(" " KEY("4") "\n", FALSE);
	authorize(KEY("2"), FALSE);
	g_autofree char *second = get(acl);
	g_assert_cmpstr(second, ==, first);
	tear_down();
}

/* A key whose text is begin, count times middle, end. */
static char *
long_key(const char *begin, const char *middle, guint count, const char *end)
{
	GString *text = g_string_new(begin);
	for (guint i = 0; i < count; i++)
		g_string_append(text, middle);
	g_string_append(text, end);
	return g_string_free(text, FALSE);
}

static void
assert_refused(const char *key, const char *why)
{
	g_autoptr(GError) error = NULL, checked = NULL;
	gboolean added = TRUE;
	g_autofree char *before = get(acl);
	g_assert_false(signing_authorize(folder, key, &added, &error));
	g_assert_false(added);
	g_assert_nonnull(strstr(error->message, why));
	g_assert_false(signing_check_key("/its/key", key, &checked));
	g_assert_true(g_str_has_prefix(checked->message, "/its/key: "));
	g_autofree char *after = get(acl);
	g_assert_cmpstr(after, ==, before);
}

#define ED25519(q, more) "(public-key (ecc (curve Ed25519) (q " q ")" more "))"
#define RSA(n, e)	 "(public-key (rsa (n " n ") (e " e ")))"
#define BYTES_8		 "8D156F295D24B0D9"
#define BYTES_32	 BYTES_8 BYTES_8 BYTES_8 BYTES_8
#define BYTES_128	 BYTES_32 BYTES_32 BYTES_32 BYTES_32

static void
only_a_key_of_guix_shape_is_authorized(void)
{
	static const char *const keys[] = {
	    "(public-key)",
	    "(public-key hello \"a(b)c\")",
	    "(public-key (ecc))",
	    "(public-key (ecc (curve Ed25519) (q)))",
	    "(public-key (ecc (curve Ed25519) (q (q #" BYTES_32 "#))))",
	    "(public-key (ecc (curve Ed448) (q #" BYTES_32 "#)))",
	    "(public-key (ecc (curve Ed25519) (flags other) (q #" BYTES_32 "#)))",
	    ED25519("#" BYTES_8 "#", ""),
	    ED25519("#" BYTES_32 "00#", ""),
	    ED25519("#" BYTES_32 "#", " (d #" BYTES_32 "#)"),
	    ED25519("#" BYTES_32 "#", ") (more"),
	    RSA("#00#", "#010001#"),
	    RSA("#" BYTES_8 "#", "#010001#"),
	    RSA("#" BYTES_128 "#", "#" BYTES_32 "#"),
	};

	set_up();
	for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
		assert_refused(keys[i],
			       "is no signing key as Guix makes it, which is (public-key (ecc");
	assert_refused("(public-key hello |AAAA|)", "Guix writes no '|'");
	assert_refused("(public-key 5:hello)", "Guix writes no ':'");
	authorize(ED25519("#" BYTES_32 "#", ""), TRUE);
	authorize("(public-key (ecc (curve Ed25519) (flags eddsa) (q #" BYTES_32 "#)))", TRUE);
	authorize(RSA("#00" BYTES_128 "#", "#010001#"), TRUE);
	tear_down();
}

static void
a_key_has_limits(void)
{
	set_up();
	g_autofree char *word = long_key("(public-key (q #", "AB", 100000, "#))");
	assert_refused(word, "has more than 16384 bytes");
	g_autofree char *list = long_key("(public-key", " (x #AB#)", 1000, ")");
	assert_refused(list, "is no signing key");
	g_autofree char *deep = long_key("(public-key ", "(", SIGNING_DEPTH_MAX, "");
	assert_refused(deep, "more than 16 lists within one another");
	g_autofree char *hidden = long_key("(public-key ", "(\")\"", SIGNING_DEPTH_MAX, "");
	assert_refused(hidden, "more than 16 lists within one another");

	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	put(public, word);
	g_assert_false(signing_read_key(public, &text, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_IO);
	g_assert_nonnull(strstr(error->message, public));
	g_assert_nonnull(strstr(error->message, "more than 16384 bytes"));
	g_clear_error(&error);
	put(public, KEY("1"));
	g_assert_true(signing_read_key(public, &text, &error));
	g_assert_cmpstr(text, ==, KEY("1"));
	g_free(text);
	g_assert_true(signing_read_key("/nowhere/at/all", &text, &error));
	g_assert_no_error(error);
	g_assert_null(text);
	tear_down();
}

static void
a_list_has_limits(void)
{
	g_autoptr(GError) error = NULL;
	gboolean added;

	set_up();
	g_autofree char *word =
	    long_key("(acl (entry (public-key (q #", "AB", 70000, "#)) (tag (guix import))))");
	put(acl, word);
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
	g_assert_nonnull(strstr(error->message, "a word of more than 16384 bytes"));
	g_clear_error(&error);
	g_autofree char *quoted =
	    long_key("(acl (entry (public-key (q \"", "()", 70000, "\")) (tag (guix import))))");
	put(acl, quoted);
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	g_assert_nonnull(strstr(error->message, "a word of more than 16384 bytes"));
	g_clear_error(&error);

	/* as large as can be: what it would be with one more is not written */
	g_autofree char *number = g_strnfill(16082, 'A');
	g_autofree char *entry =
	    g_strdup_printf(" (entry (public-key (x #%s#)) (tag (guix import)))", number);
	g_autofree char *full = long_key("(acl", entry, 65, ")");
	g_assert_cmpuint(strlen(full), <=, SIGNING_ACL_MAX);
	put(acl, full);
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE);
	g_assert_nonnull(strstr(error->message, "would have more than 1048576 bytes"));
	g_autofree char *after = get(acl);
	g_assert_cmpstr(after, ==, full);
	tear_down();
}

static void
a_missing_list_is_made_as_guix_makes_it(void)
{
	struct stat st;

	set_up();
	g_assert_cmpint(g_unlink(acl), ==, 0);
	authorize(KEY("4"), TRUE);
	g_autofree char *text = get(acl);
	g_assert_cmpuint(count(text, "(entry"), ==, 2);
	g_assert_cmpuint(count(text, "B391#"), ==, 1); /* the host's own */
	g_assert_cmpint(stat(acl, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0644);
	tear_down();
}

/* The list may be another user's, and the message goes into the log. */
static void
a_wrong_entry_is_shown_as_one_line_of_text(void)
{
	g_autoptr(GError) error = NULL;
	gboolean added;

	set_up();
	put(acl, "(acl (entry \"\\x1b[31m\\n\xff\xc3\xa4\"))");
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
	g_assert_true(g_utf8_validate(error->message, -1, NULL));
	for (const char *at = error->message; *at; at = g_utf8_next_char(at))
		g_assert_false(g_unichar_iscntrl(g_utf8_get_char(at)));
	tear_down();
}

/* What is behind a NUL would be lost. */
static void
a_list_with_a_nul_is_refused_and_stays(void)
{
	static const char text[] = "(acl " ENTRY("2") ")\0(acl " ENTRY("3") ")";
	g_autoptr(GError) error = NULL;
	g_autofree char *left = NULL;
	gboolean added;
	gsize n;

	set_up();
	g_assert_true(g_file_set_contents(acl, text, sizeof text - 1, NULL));
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_IO);
	g_assert_nonnull(strstr(error->message, "has a NUL in it"));
	g_assert_true(g_file_get_contents(acl, &left, &n, NULL));
	g_assert_cmpmem(left, n, text, sizeof text - 1);
	tear_down();
}

static void
what_is_no_list_is_refused_and_stays(void)
{
	static const char *const texts[] = {
	    "",
	    "(acl",
	    "(acl))",
	    "acl",
	    "(public-key)",
	    "(acl foo)",
	    "(acl (entry))",
	    "(acl " ENTRY("2") " (entry " KEY("3") "))",
	    "(acl (entry " KEY("3") " (tag (guix everything))))",
	    "(acl (entry (name joe) (tag (guix import))))",
	    "not even close",
	    "3:acl",
	    /* libgcrypt takes these, and forgets a part */
	    "(acl " ENTRY("2") ") " KEY("3"),
	    "(acl " ENTRY("2") ")p",
	    "(acl) (acl " ENTRY("2") ")",
	    "p (acl " ENTRY("2") ")",
	};

	set_up();
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL, checked = NULL;
		struct signing signing = {0};
		gboolean added;

		put(acl, texts[i]);
		g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
		g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
		g_assert_nonnull(strstr(error->message, acl));
		checked = signing_check(folder);
		g_assert_error(checked, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
		g_clear_error(&error);
		g_assert_false(signing_make(folder, NULL, &signing, &error));
		g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
		signing_clear(&signing);
		g_autofree char *after = get(acl);
		g_assert_cmpstr(after, ==, texts[i]);
	}
	tear_down();
}

static void
what_is_no_file_does_not_keep_us(void)
{
	g_autoptr(GError) error = NULL;
	gboolean added;

	set_up();
	g_assert_cmpint(g_unlink(acl), ==, 0);
	g_assert_cmpint(mkfifo(acl, 0644), ==, 0);
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_IO);
	g_clear_error(&error);
	g_assert_cmpint(g_unlink(acl), ==, 0);
	g_assert_cmpint(symlink("/dev/zero", acl), ==, 0);
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_IO);
	tear_down();
}

static void
a_list_that_is_not_ours_to_write_is_told_apart(void)
{
	g_autoptr(GError) error = NULL;
	gboolean added, root = geteuid() == 0;

	set_up();
	g_assert_cmpint(chmod(folder, 0555), ==, 0);
	if (root)
		g_assert_cmpint(seteuid(65534), ==, 0);
	g_assert_cmpint(chmod(acl, 0644), ==, root ? -1 : 0);
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	if (root)
		g_assert_cmpint(seteuid(0), ==, 0);
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE);
	g_assert_nonnull(strstr(error->message, acl));
	g_assert_cmpint(chmod(folder, 0700), ==, 0);
	tear_down();
}

static void
a_link_to_a_list_is_replaced_and_its_target_stays(void)
{
	set_up();
	g_autofree char *target = g_build_filename(folder, "store-acl", NULL);
	g_assert_cmpint(rename(acl, target), ==, 0);
	g_assert_cmpint(symlink(target, acl), ==, 0);
	g_autofree char *before = get(target);
	authorize(KEY("4"), TRUE);
	g_autofree char *after = get(target);
	g_assert_cmpstr(before, ==, after);
	g_assert_false(g_file_test(acl, G_FILE_TEST_IS_SYMLINK));
	g_autofree char *text = get(acl);
	g_assert_cmpuint(count(text, "(entry"), ==, 3);
	g_unlink(target);
	tear_down();
}

static void
without_a_key_of_the_host_there_is_no_guix(void)
{
	set_up();
	g_assert_cmpint(g_unlink(public), ==, 0);
	g_assert_false(signing_possible(folder));
	g_assert_false(signing_possible("/nowhere/at/all"));
	tear_down();
}

/* --- a folder of somebody else's --- */

#define OWNER 65534
#define SWAPS 2000 /* authorizations while links come and go */

static void
set_up_another_s(void)
{
	set_up();
	g_assert_cmpint(chown(folder, OWNER, OWNER), ==, 0);
	g_assert_cmpint(chmod(folder, 0755), ==, 0);
	g_assert_cmpint(chown(acl, OWNER, OWNER), ==, 0);
}

/* A file of root's that the owner of the folder would like to have. */
static char *
make_target(const char *content, mode_t mode)
{
	char *path = NULL;
	int fd = g_file_open_tmp("root-XXXXXX", &path, NULL);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	put(path, content);
	g_assert_cmpint(chmod(path, mode), ==, 0);
	return path;
}

static void
assert_untouched(const char *target, const char *content, mode_t mode)
{
	struct stat st;
	g_autofree char *now = get(target);
	g_assert_cmpstr(now, ==, content);
	g_assert_cmpint(lstat(target, &st), ==, 0);
	g_assert_true(S_ISREG(st.st_mode));
	g_assert_cmpuint(st.st_uid, ==, 0);
	g_assert_cmpuint(st.st_gid, ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, mode);
}

/* Another's folder, its acl or what is written beside it a link: what root alone can read is not
 * read, and what it leads to stays. */
static void
links_of_the_folder_s_owner_lead_nowhere(void)
{
	g_autoptr(GError) error = NULL;
	const char *secret = "(acl " ENTRY("7") ")";
	gboolean added;
	struct stat st;
	if (geteuid()) {
		g_test_skip("only root acts in folders of others");
		return;
	}
	set_up_another_s();
	g_autofree char *target = make_target(secret, 0600);
	g_autofree char *beside = g_strconcat(acl, ".new", NULL);
	g_autofree char *lock = g_strconcat(acl, ".lock", NULL);
	g_assert_cmpint(symlink(target, beside), ==, 0);
	authorize(KEY("4"), TRUE);
	assert_untouched(target, secret, 0600);
	g_assert_cmpint(stat(acl, &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, OWNER);
	g_assert_cmpint(lstat(lock, &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, OWNER);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0600);

	g_assert_cmpint(g_unlink(lock), ==, 0);
	g_assert_cmpint(symlink(target, lock), ==, 0);
	g_assert_false(signing_authorize(folder, KEY("5"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE);
	g_clear_error(&error);
	assert_untouched(target, secret, 0600);
	g_assert_cmpint(g_unlink(lock), ==, 0);

	g_assert_cmpint(g_unlink(acl), ==, 0);
	g_assert_cmpint(symlink(target, acl), ==, 0);
	g_assert_false(signing_authorize(folder, KEY("5"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_IO);
	g_assert_nonnull(strstr(error->message, "Permission denied"));
	g_clear_error(&error);
	struct signing signing = {0};
	g_assert_false(signing_make(folder, NULL, &signing, &error));
	signing_clear(&signing);
	assert_untouched(target, secret, 0600);
	g_unlink(target);
	tear_down();
}

/* The whole folder, put where it is not: not by way of somebody's link. */
static void
no_way_of_a_third_one_is_gone(void)
{
	g_autoptr(GError) error = NULL;
	gboolean added;
	if (geteuid()) {
		g_test_skip("only root acts in folders of others");
		return;
	}
	set_up();
	g_autofree char *before = get(acl);
	g_autofree char *link = g_strconcat(folder, "-link", NULL);
	g_assert_cmpint(symlink(folder, link), ==, 0);
	g_assert_cmpint(lchown(link, OWNER, OWNER), ==, 0);
	g_assert_false(signing_authorize(link, KEY("4"), &added, &error));
	g_assert_nonnull(strstr(error->message, link));
	g_autofree char *after = get(acl);
	g_assert_cmpstr(after, ==, before);
	g_assert_cmpint(lchown(link, 0, 0), ==, 0);
	g_assert_true(signing_authorize(link, KEY("4"), &added, NULL)); /* root's own is one */
	g_assert_cmpint(g_unlink(link), ==, 0);
	tear_down();
}

/* As the folder's owner: links to root's file in place of all that root touches there. */
static void
swap(const char *target)
{
	static const char *const names[] = {"acl", "acl.new", "acl.lock", "signing-key.pub"};
	if (setresgid(OWNER, OWNER, OWNER) < 0 || setresuid(OWNER, OWNER, OWNER) < 0 ||
	    chdir(folder) < 0)
		_exit(1);
	for (guint i = 0;; i++) {
		const char *name = names[i % G_N_ELEMENTS(names)];
		if (symlink(target, "link") < 0 || rename(name, "kept") < 0)
			unlink("kept");
		rename("link", name);
		usleep(i % 50);
		unlink(name);
		rename("kept", name);
	}
}

static void
whoever_swaps_links_in_gets_nothing(void)
{
	if (geteuid()) {
		g_test_skip("only root acts in folders of others");
		return;
	}
	const char *content = "(acl " ENTRY("7") ")";
	set_up_another_s();
	g_autofree char *target = make_target(content, 0644); /* who can read it may not get it */
	guint n = 0;
	pid_t swapper = fork();
	g_assert_cmpint(swapper, >=, 0);
	if (!swapper)
		swap(target);
	for (guint i = 0; i < SWAPS; i++) {
		gboolean added = FALSE;
		g_autofree char *key =
		    g_strdup_printf("(public-key (ecc (curve Ed25519) (q #%064X#)))", i);
		signing_authorize(folder, key, &added, NULL);
		n += added;
		if (i % 32 == 0) { /* it does not become too long for this test */
			g_unlink(acl);
			assert_untouched(target, content, 0644);
		}
	}
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	g_test_message("%u of %u were put in", n, SWAPS);
	g_assert_cmpuint(n, >, 0);
	assert_untouched(target, content, 0644);
	g_unlink(target);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	for (const char *name; (name = g_dir_read_name(dir));) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		g_unlink(path);
	}
	tear_down();
}

/* --- locks --- */

/* Another process, of this user, that has path locked until it is ended. */
static pid_t
locker(const char *path, uid_t uid)
{
	int ready[2];
	char c;
	g_assert_cmpint(pipe(ready), ==, 0);
	pid_t pid = fork();
	g_assert_cmpint(pid, >=, 0);
	if (!pid) {
		if (uid != geteuid() && setresuid(uid, uid, uid) < 0)
			_exit(1);
		int fd = open(path, O_RDONLY);
		if (fd < 0 || flock(fd, LOCK_EX) < 0)
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	g_assert_cmpint(read(ready[0], &c, 1), ==, 1);
	close(ready[0]);
	return pid;
}

static void
unlock(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
a_lock_of_a_stranger_s_keeps_nobody(void)
{
	set_up();
	g_assert_cmpint(chmod(folder, 0755), ==, 0);
	g_assert_cmpint(chmod(acl, 0644), ==, 0);
	pid_t one = locker(folder, geteuid() ? geteuid() : OWNER);
	pid_t other = locker(acl, geteuid() ? geteuid() : OWNER);
	gint64 before = g_get_monotonic_time();
	authorize(KEY("4"), TRUE);
	g_assert_cmpint(g_get_monotonic_time() - before, <, 4 * G_USEC_PER_SEC);
	unlock(one);
	unlock(other);
	g_autofree char *lock = g_strconcat(acl, ".lock", NULL);
	struct stat st;
	g_assert_cmpint(stat(lock, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
	tear_down();
}

static void
another_daemon_is_waited_for_and_named(void)
{
	g_autoptr(GError) error = NULL;
	gboolean added;
	set_up();
	g_autofree char *lock = g_strconcat(acl, ".lock", NULL);
	put(lock, "");
	pid_t pid = locker(lock, geteuid());
	g_autofree char *who = g_strdup_printf("process %d (", (int)pid);
	g_assert_false(signing_authorize(folder, KEY("4"), &added, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_WRITE);
	g_assert_nonnull(strstr(error->message, who));
	authorize(KEY("2"), FALSE); /* nothing to be written: nobody is waited for */
	unlock(pid);
	authorize(KEY("4"), TRUE);
	tear_down();
}

static void
other_hosts_keys_are_in_a_guests_list_alone(void)
{
	g_autoptr(GError) error = NULL;
	struct signing signing = {0};
	const char *const others[] = {KEY("5"), KEY("6"), KEY("5"), KEY("2"), NULL};
	const char *const bad[] = {KEY("5"), "(public-key (ecc (curve Ed25519) (q #00#)))", NULL};

	set_up();
	g_autofree char *before = get(acl);
	g_assert_true(signing_make(folder, others, &signing, &error));
	g_assert_no_error(error);
	for (const char *letter = "12356"; *letter; letter++) {
		g_autofree char *end = g_strdup_printf("B39%c#", *letter);
		g_assert_cmpuint(count(signing.acl, end), ==, 1);
	}
	g_autofree char *after = get(acl);
	g_assert_cmpstr(before, ==, after);
	g_assert_true(signing_make(folder, NULL, &signing, &error)); /* they are taken away */
	g_assert_cmpuint(count(signing.acl, "B395#"), ==, 0);
	g_assert_false(signing_make(folder, bad, &signing, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
	signing_clear(&signing);
	tear_down();
}

static void
a_host_without_guix_adds_nothing(void)
{
	g_autoptr(GError) error = NULL;
	struct signing signing = {0};
	const char *const others[] = {KEY("5"), NULL};

	g_assert_true(signing_make("/nonexistent/guix", others, &signing, &error));
	g_assert_no_error(error);
	g_assert_true(g_str_has_prefix(signing.public_key, "(public-key"));
	g_assert_cmpuint(count(signing.acl, "(entry"), ==, 1);
	g_assert_cmpuint(count(signing.acl, "B395#"), ==, 1);
	g_assert_true(signing_make("/nonexistent/guix", NULL, &signing, &error));
	g_assert_cmpuint(count(signing.acl, "(entry"), ==, 0);
	g_assert_true(g_str_has_prefix(signing.acl, "(acl"));
	signing_clear(&signing);
}

static void
the_hosts_key_is_shown_on_one_line(void)
{
	g_autoptr(GError) error = NULL;

	set_up();
	put(public, "(public-key\n (ecc\n  (curve Ed25519)\n  (q #00AB#)\n  )\n )\n");
	g_autofree char *line = signing_host_key(folder, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(line, ==, "(public-key (ecc (curve Ed25519) (q #00AB#)))");
	put(public, "no key");
	g_assert_null(signing_host_key(folder, &error));
	g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
	g_clear_error(&error);
	g_assert_null(signing_host_key("/nonexistent/guix", &error));
	g_assert_no_error(error);
	g_assert_true(signing_is_key(KEY("1")));
	g_assert_false(signing_is_key("(public-key (ecc (curve Ed25519) (q #00AB#)))"));
	g_assert_false(signing_is_key(""));
	tear_down();
}

/* libgcrypt 1.10 writes a number of letters and NULs as a string, which it does not read
 * again. A later one does; then the key is in the list, and found there. */
static void
test_number_like_a_string(void)
{
	static const char key[] = "(public-key (ecc (curve Ed25519) (q "
				  "#44444444444444444400000000000000000000000000000000000000476339"
				  "38#)))";
	const char *const keys[] = {key, NULL};
	g_autoptr(GError) error = NULL;
	struct signing signing = {0};
	set_up();
	gboolean reads = signing_make(folder, keys, &signing, &error);
	if (!reads) {
		g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
		g_assert_nonnull(strstr(error->message, "another pair of keys helps"));
	}
	signing_clear(&signing);
	guint added = 2;
	g_autofree char *before = get(acl);
	g_clear_error(&error);
	g_assert_true(signing_authorize_all(folder, keys, &added, &error) == reads);
	g_assert_cmpuint(added, ==, reads ? 1 : 0);
	g_autofree char *after = get(acl);
	if (reads) {
		g_assert_true(signing_authorize_all(folder, keys, &added, &error));
		g_assert_cmpuint(added, ==, 0);
		g_assert_cmpuint(strlen(after), >, strlen(before));
	} else {
		g_assert_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX);
		g_assert_cmpstr(after, ==, before);
	}
	tear_down();
}

#define TEST(name, function) g_test_add_func("/signing/" name, function)

/* The host's list is whole whatever fails: as before, or with the key. */
static void
list_before(void *data)
{
	put(acl, "(acl\n " ENTRY("2") "\n " ENTRY("3") ")\n");
}

static gboolean
authorize_unlucky(void *data)
{
	g_autoptr(GError) error = NULL;
	gboolean added = FALSE;
	gboolean good = signing_authorize(folder, KEY("4"), &added, &error);
	if (good == (error != NULL) || (good && !added) ||
	    (error && !strstr(error->message, folder)))
		g_error("%s", error ? error->message : "no error");
	return good;
}

static void
list_after(void *data, gboolean good)
{
	g_autofree char *text = get(acl), *temporary = g_strconcat(acl, ".new", NULL);
	guint n = count(text, "entry");
	g_assert_true(good ? n == 3 : n == 2 || n == 3);
	g_assert_true(g_str_has_prefix(text, "(acl"));
	g_unlink(temporary); /* if its removal failed */
}

static void
test_unlucky(void)
{
	set_up();
	g_assert_cmpuint(refuse_each(list_before, authorize_unlucky, list_after, NULL), >, 10);
	tear_down();
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("a-guest-gets-a-pair-of-its-own-and-the-host-s-list",
	     a_guest_gets_a_pair_of_its_own_and_the_host_s_list);
	TEST("a-key-is-authorized-once-and-nothing-is-lost",
	     a_key_is_authorized_once_and_nothing_is_lost);
	TEST("other-hosts-keys-are-in-a-guests-list-alone",
	     other_hosts_keys_are_in_a_guests_list_alone);
	TEST("a-host-without-guix-adds-nothing", a_host_without_guix_adds_nothing);
	TEST("the-hosts-key-is-shown-on-one-line", the_hosts_key_is_shown_on_one_line);
	TEST("only-a-key-of-guix-shape-is-authorized", only_a_key_of_guix_shape_is_authorized);
	TEST("a-key-has-limits", a_key_has_limits);
	TEST("a-list-has-limits", a_list_has_limits);
	TEST("a-missing-list-is-made-as-guix-makes-it", a_missing_list_is_made_as_guix_makes_it);
	TEST("what-is-no-list-is-refused-and-stays", what_is_no_list_is_refused_and_stays);
	TEST("a-wrong-entry-is-shown-as-one-line-of-text",
	     a_wrong_entry_is_shown_as_one_line_of_text);
	TEST("a-list-with-a-nul-is-refused-and-stays", a_list_with_a_nul_is_refused_and_stays);
	TEST("what-is-no-file-does-not-keep-us", what_is_no_file_does_not_keep_us);
	TEST("a-list-that-is-not-ours-to-write-is-told-apart",
	     a_list_that_is_not_ours_to_write_is_told_apart);
	TEST("a-link-to-a-list-is-replaced-and-its-target-stays",
	     a_link_to_a_list_is_replaced_and_its_target_stays);
	TEST("without-a-key-of-the-host-there-is-no-guix",
	     without_a_key_of_the_host_there_is_no_guix);
	TEST("links-of-the-folder-s-owner-lead-nowhere", links_of_the_folder_s_owner_lead_nowhere);
	TEST("no-way-of-a-third-one-is-gone", no_way_of_a_third_one_is_gone);
	TEST("whoever-swaps-links-in-gets-nothing", whoever_swaps_links_in_gets_nothing);
	TEST("a-lock-of-a-stranger-s-keeps-nobody", a_lock_of_a_stranger_s_keeps_nobody);
	TEST("another-daemon-is-waited-for-and-named", another_daemon_is_waited_for_and_named);
	g_test_add_func("/signing/whatever-call-fails-the-list-stays-whole", test_unlucky);
	TEST("a-number-like-a-string-does-no-harm", test_number_like_a_string);
	return g_test_run();
}
