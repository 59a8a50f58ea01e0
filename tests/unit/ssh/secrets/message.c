/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The message to a guest, byte for byte as Guix 1.5 with Guile 3.0 sends it. */
#include <string.h>
#include <sys/stat.h>

#include "ssh/secrets/root.h"
#include "ssh/secrets/service.h"

static void
add(GPtrArray *files, const char *name, const char *content, gsize length, mode_t mode)
{
	struct secret_file *file = g_new0(struct secret_file, 1);

	file->name = g_strdup(name);
	file->mode = mode;
	file->content = g_bytes_new(content, length);
	g_ptr_array_add(files, file);
}

static void
assert_message(GPtrArray *files, const char *expected, gsize length)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) message = secret_service_message(files, &error);
	gsize size;

	g_assert_no_error(error);
	const char *bytes = g_bytes_get_data(message, &size);
	g_assert_cmpmem(bytes, size, expected, length);
}

/* The printed form of a name alone. */
static void
assert_name(const char *name, const char *printed)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	g_autofree char *expected =
	    g_strdup_printf("(secrets (version 0) (files ((\"%s\" 0 33152))))", printed);

	add(files, name, "", 0, S_IFREG | 0600);
	assert_message(files, expected, strlen(expected));
}

static void
test_files(void)
{
	static const char expected[] =
	    "(secrets (version 0) (files ((\"/etc/a/exe\" 1 35309) "
	    "(\"/etc/ssh/key\" 4 33152) (\"/etc/zero\" 0 33060))))xk\0\xff\n";
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);

	add(files, "/etc/a/exe", "x", 1, S_IFREG | 04755);
	add(files, "/etc/ssh/key", "k\0\xff\n", 4, S_IFREG | 0600);
	add(files, "/etc/zero", "", 0, S_IFREG | 0444);
	assert_message(files, expected, sizeof expected - 1);
}

static void
test_none(void)
{
	static const char expected[] = "(secrets (version 0) (files ()))";
	g_autoptr(GPtrArray) files = g_ptr_array_new();

	assert_message(files, expected, sizeof expected - 1);
}

static void
test_escapes(void)
{
	assert_name("/sp ace", "/sp ace");
	assert_name("/qu\"ote", "/qu\\\"ote");
	assert_name("/back\\slash", "/back\\\\slash");
	assert_name("/new\nline", "/new\\nline");
	assert_name("/tab\there", "/tab\\there");
	assert_name("/\a\b\v\f\r", "/\\a\\b\\v\\f\\r");
	assert_name("/esc\033x", "/esc\\x1bx");
	assert_name("/\001\016\037\177", "/\\x01\\x0e\\x1f\\x7f");
}

static void
test_unicode(void)
{
	assert_name("/ünïcode-ß-✓-𝄞", "/ünïcode-ß-✓-𝄞");
	assert_name("/nbsp\302\240z", "/nbsp\\xa0z");
	assert_name("/\302\200\302\237\302\255", "/\\x80\\x9f\\xad"); /* controls, soft hyphen */
	assert_name("/\342\200\213\342\200\250", "/\\u200b\\u2028");  /* format, line separator */
	assert_name("/\355\237\277\356\200\200", "/\\ud7ff\\ue000");  /* unassigned, private use */
	assert_name("/\363\240\200\201\364\217\277\277", "/\\U0e0001\\U10ffff");
}

static void
test_not_utf8(void)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	g_autoptr(GError) error = NULL;

	add(files, "/etc/caf\xe9", "", 0, S_IFREG | 0600);
	g_assert_null(secret_service_message(files, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_NAME);
	g_assert_nonnull(strstr(error->message, "caf\\xe9"));
}

/* Nothing reads the bytes before the size is known to be good. */
static void
test_too_large(void)
{
	g_autoptr(GPtrArray) files = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	struct secret_file file = {.name = (char *)"/etc/large", .mode = S_IFREG | 0600};

	file.content = g_bytes_new_static("", G_MAXUINT / 2);
	g_ptr_array_add(files, &file);
	g_assert_null(secret_service_message(files, &error));
	g_assert_error(error, SECRET_ERROR, SECRET_ERROR_LIMIT);
	g_assert_cmpstr(error->message, ==,
			"the secrets are too large to be sent: 2147483647 bytes");
	g_bytes_unref(file.content);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/secret-message/names-sizes-modes-and-then-the-bytes", test_files);
	g_test_add_func("/secret-message/no-files-are-an-empty-list", test_none);
	g_test_add_func("/secret-message/ascii-is-escaped-as-guile-does", test_escapes);
	g_test_add_func("/secret-message/characters-without-a-picture-are-escaped", test_unicode);
	g_test_add_func("/secret-message/a-name-that-is-not-utf-8-is-an-error", test_not_utf8);
	g_test_add_func("/secret-message/more-than-a-message-holds-is-an-error", test_too_large);
	return g_test_run();
}
