/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what is done with Guix' acl and signing keys, of this host, of guests and of nodes.
 *
 * Input, its parts separated by 0x1e: flags (bit 0: there is no acl), the acl, the host's public
 * key, and the keys of guests that are let in. Either the acl is refused and stays as it is, byte
 * for byte; or the new one has all entries of the old one in their order, and behind them the keys
 * that it lacked, and to let them in once more changes nothing. The lists are compared by a reader
 * of s-expressions that is written here, without libgcrypt. The program never takes a key out.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "offload/signing.h"
#include "tests/fuzz/lib/fuzz.h"

#define BETWEEN	 0x1e
#define KEYS_MAX 8
#define PAIR_PUBLIC                                                                                \
	"(public-key (ecc (curve Ed25519) (q "                                                     \
	"#5555555555555555555555555555555555555555555555555555555555555555#)))"

static const char *folder;
static char *acl, *host_key, *guest_key;

/* --- s-expressions, read into libgcrypt's canonical form: LENGTH:BYTES and parentheses --- */

static const char *
read_hex(const char *at, GString *bytes)
{
	int high = -1;
	for (; *at && *at != '#'; at++) {
		int digit = g_ascii_xdigit_value(*at);
		if (digit < 0 && !strchr(" \t\r\n\v\f", *at))
			return NULL;
		if (digit >= 0 && high < 0)
			high = digit;
		else if (digit >= 0) {
			g_string_append_c(bytes, (char)(high << 4 | digit));
			high = -1;
		}
	}
	return *at && high < 0 ? at + 1 : NULL;
}

/* What follows a backslash. */
static const char *
read_escape(const char *at, GString *bytes)
{
	static const char letters[] = "btvnfr\"'\\", values[] = "\b\t\v\n\f\r\"'\\";
	const char *letter = *at ? strchr(letters, *at) : NULL;
	if (letter) {
		g_string_append_c(bytes, values[letter - letters]);
		return at + 1;
	}
	if (*at == 'x' && g_ascii_isxdigit(at[1]) && g_ascii_isxdigit(at[2])) {
		int value = g_ascii_xdigit_value(at[1]) << 4 | g_ascii_xdigit_value(at[2]);
		g_string_append_c(bytes, (char)value);
		return at + 3;
	}
	if (*at >= '0' && *at <= '7') {
		g_autofree char *octal = g_strndup(at, 3);
		g_string_append_c(bytes, (char)strtoul(octal, NULL, 8));
		return strlen(octal) == 3 ? at + 3 : NULL;
	}
	if (*at == '\r' || *at == '\n') /* a line that goes on */
		return at[1] != *at && (at[1] == '\r' || at[1] == '\n') ? at + 2 : at + 1;
	return NULL;
}

static const char *
read_quoted(const char *at, GString *bytes)
{
	while (at && *at && *at != '"') {
		if (*at == '\\')
			at = read_escape(at + 1, bytes);
		else
			g_string_append_c(bytes, *at++);
	}
	return at && *at ? at + 1 : NULL;
}

static const char *
read_atom(const char *at, GString *out)
{
	g_autoptr(GString) bytes = g_string_new(NULL);
	const char *digits = at + strspn(at, "0123456789");
	if (*digits == '"' || *digits == '#') /* a length before it */
		at = digits;
	if (*at == '"') {
		at = read_quoted(at + 1, bytes);
	} else if (*at == '#') {
		at = read_hex(at + 1, bytes);
	} else {
		gsize n = strcspn(at, " \t\r\n\v\f()\"#");
		g_string_append_len(bytes, at, (gssize)n);
		at += n;
	}
	g_string_append_printf(out, "%zu:", bytes->len);
	g_string_append_len(out, bytes->str, (gssize)bytes->len);
	return at;
}

/* NULL: it is not one list and nothing else. Caller frees. */
static GString *
canonical(const char *text)
{
	g_autoptr(GString) out = g_string_new(NULL);
	int depth = 0;
	gboolean over = FALSE;
	for (const char *at = text; at && *at;) {
		if (strchr(" \t\r\n\v\f", *at)) {
			at++;
			continue;
		}
		if (over || (!depth && *at != '('))
			return NULL;
		if (*at == '(' || *at == ')') {
			depth += *at == '(' ? 1 : -1;
			g_string_append_c(out, *at++);
			over = depth == 0;
		} else {
			at = read_atom(at, out);
		}
		if (!at)
			return NULL;
	}
	return over ? g_steal_pointer(&out) : NULL;
}

/* The end of the list or atom at `at`, in canonical form. */
static const char *
skip(const char *at)
{
	int depth = 0;
	do {
		if (*at == '(' || *at == ')') {
			depth += *at++ == '(' ? 1 : -1;
		} else {
			char *colon;
			gsize n = strtoul(at, &colon, 10);
			at = colon + 1 + n;
		}
	} while (depth);
	return at;
}

/* Is it an element of the list (3:acl ...) itself? */
static gboolean
has_element(const GString *list, const GString *element)
{
	const char *end = list->str + list->len - 1, *next;
	for (const char *at = list->str + 1; at < end; at = next) {
		next = skip(at);
		if ((gsize)(next - at) == element->len && !memcmp(at, element->str, element->len))
			return TRUE;
	}
	return FALSE;
}

/* --- promises --- */

static void
prepare(void)
{
	folder = fuzz_folder();
	acl = g_build_filename(folder, "acl", NULL);
	host_key = g_build_filename(folder, "signing-key.pub", NULL);
	guest_key = g_build_filename(folder, "guest.pub", NULL);
}

static void
check_error(const GError *error)
{
	require(error && error->domain == SIGNING_ERROR && *error->message, "a refusal says why",
		NULL);
	require(g_utf8_validate(error->message, -1, NULL), "a message is text", error->message);
	for (const char *at = error->message; *at; at = g_utf8_next_char(at))
		require(!g_unichar_iscntrl(g_utf8_get_char(at)), "a message is one line",
			error->message);
}

static GBytes *
content(const char *path)
{
	char *text;
	gsize n;
	return g_file_get_contents(path, &text, &n, NULL) ? g_bytes_new_take(text, n) : NULL;
}

static void
require_unchanged(GBytes *before, GBytes *after, const char *promise)
{
	require(!before == !after && (!before || g_bytes_equal(before, after)), promise, NULL);
}

/* Nothing is left beside the acl. */
static void
check_folder(void)
{
	static const char *const known[] = {"acl", "acl.lock", "signing-key.pub", "guest.pub",
					    NULL};
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name(dir)))
		require(g_strv_contains(known, name), "nothing is left behind", name);
}

/* The canonical list that the acl has to become, by what it was, or NULL: it was missing. */
static GString *
expected(GBytes *before, const char *host, char **keys, guint *lacked)
{
	gsize size = 0;
	const char *bytes = before ? g_bytes_get_data(before, &size) : NULL;
	g_autofree char *text = before
				    ? g_strndup(bytes, size)
				    : g_strdup_printf("(acl (entry %s (tag (guix import))))", host);
	GString *list = canonical(text);
	require(list != NULL, "what is taken is one list", text);
	require(!before || strlen(text) == size, "what is taken has no end within it", text);
	*lacked = 0;
	for (; *keys; keys++) {
		g_autoptr(GString) key = canonical(*keys);
		require(key != NULL, "a key is one list", *keys);
		/* its number may have a NUL */
		g_autoptr(GString) whole = g_string_new("(5:entry");
		g_string_append_len(whole, key->str, (gssize)key->len);
		g_string_append(whole, "(3:tag(4:guix6:import)))");
		if (has_element(list, whole))
			continue;
		g_string_truncate(list, list->len - 1);
		g_string_append_len(list, whole->str, (gssize)whole->len);
		g_string_append_c(list, ')');
		++*lacked;
	}
	return list;
}

static void
check_added(GBytes *before, const char *host, char **keys, guint added)
{
	guint lacked;
	gsize size = 0;
	g_autoptr(GBytes) after = content(acl);
	g_autoptr(GString) should_be = expected(before, host, keys, &lacked);
	const char *bytes = after ? g_bytes_get_data(after, &size) : "";
	g_autofree char *text = g_strndup(bytes, size);
	require(added == lacked, "as many keys are added as there were not", text);
	if (!added) {
		require_unchanged(before, after, "an acl that has them all is not touched");
		return;
	}
	require(strlen(text) == size && size <= SIGNING_ACL_MAX, "the acl can be read again", text);
	g_autoptr(GString) is = canonical(text);
	require(is && g_string_equal(is, should_be), "no entry is lost, changed or made up", text);
}

static void
check_again(char **keys)
{
	struct stat old, new;
	guint added = 1;
	if (lstat(acl, &old) < 0)
		return;
	gboolean good = signing_authorize_all(folder, (const char *const *)keys, &added, NULL);
	require(good && added == 0 && lstat(acl, &new) == 0 &&
		    old.st_ino == new.st_ino &&old.st_mtim.tv_nsec ==
			new.st_mtim.tv_nsec &&old.st_mode == new.st_mode,
		"to add what is there changes nothing", NULL);
}

static void
authorize(char **keys, const char *host)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) before = content(acl);
	guint added = 0;
	if (signing_authorize_all(folder, (const char *const *)keys, &added, &error)) {
		check_added(before, host, keys, added);
		check_again(keys);
	} else {
		g_autoptr(GBytes) after = content(acl);
		check_error(error);
		require(added == 0, "what is refused is not counted", error->message);
		require_unchanged(before, after, "what is refused is not touched");
	}
	check_folder();
}

/* A guest's acl has all of the host's, the host's key and the others. */
static void
make(char **keys)
{
	g_autoptr(GError) error = NULL;
	struct signing signing = {g_strdup(PAIR_PUBLIC), g_strdup("(private-key)"), NULL};
	g_autoptr(GBytes) before = content(acl);
	if (signing_make(folder, (const char *const *)keys, &signing, &error)) {
		gsize n;
		const char *all =
		    before && signing_possible(folder) ? g_bytes_get_data(before, &n) : NULL;
		g_autofree char *old = all ? g_strndup(all, n) : g_strdup("(acl)");
		g_autoptr(GString) was = canonical(old), is = canonical(signing.acl);
		require(was && is && is->len >= was->len &&
			    !memcmp(is->str, was->str, was->len - 1),
			"a guest's acl has the host's entries", signing.acl);
		require(!strcmp(signing.public_key, PAIR_PUBLIC), "a pair that is there stays",
			signing.public_key);
	} else {
		check_error(error);
	}
	g_autoptr(GBytes) after = content(acl);
	require_unchanged(before, after, "to make a guest's acl changes no file");
	signing_clear(&signing);
}

/* As it is shown to people who configure another host with it. */
static void
show_host_key(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *line = signing_host_key(folder, &error);
	require(line || error || !signing_possible(folder),
		"the key is there or it is said why not", NULL);
	if (error)
		check_error(error);
	require(!line || !strchr(line, '\n'), "the host's key is one line", line);
}

/* What a guest or a node has sent. */
static void
check_key(const char *text, size_t size)
{
	g_autofree char *back = NULL;
	g_autoptr(GError) error = NULL;
	fuzz_write(guest_key, text, size);
	if (!signing_read_key(guest_key, &back, &error)) {
		check_error(error);
		require(size > SIGNING_KEY_MAX, "a key's file can be read", text);
	} else {
		require(size <= SIGNING_KEY_MAX && back && !strcmp(back, text),
			"a key's file is read as it is", text);
	}
	g_clear_error(&error);
	gboolean good = signing_is_key(text);
	require(signing_check_key(guest_key, text, &error) == good, "both say the same", text);
	if (!good)
		check_error(error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!folder)
		prepare();
	g_autofree char *flags = fuzz_part(&data, &size, BETWEEN);
	const uint8_t *end = size ? memchr(data, BETWEEN, size) : NULL;
	size_t n = end ? (size_t)(end - data) : size;
	/* Raw: a file may have a NUL in it. */
	unlink(acl);
	if (flags && !(flags[0] & 1))
		fuzz_write(acl, data, n);
	data += n + (end ? 1 : 0);
	size -= n + (end ? 1 : 0);
	g_autofree char *host = fuzz_part(&data, &size, BETWEEN);
	unlink(host_key);
	if (host)
		fuzz_write(host_key, host, strlen(host));
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	while (keys->len < KEYS_MAX && size)
		g_ptr_array_add(keys, fuzz_part(&data, &size, BETWEEN));
	for (guint i = 0; i < keys->len; i++)
		check_key(keys->pdata[i], strlen(keys->pdata[i]));
	g_ptr_array_add(keys, NULL);
	show_host_key();
	g_autoptr(GError) problem = signing_check(folder);
	if (problem)
		check_error(problem);
	make((char **)keys->pdata);
	authorize((char **)keys->pdata, host);
	return 0;
}
