/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A public key is rebuilt from its numbers and compared with the text, so it cannot contain
 * anything else.
 */
#include "offload/signing_key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

G_DEFINE_QUARK(signing - error - quark, signing_error)

/* A public key as Guix makes it, for gcry_sexp_build */
static const struct {
	const char *format;
	const char *numbers[2];
} key_shapes[] = {
    {"(public-key (ecc (curve Ed25519) (q %b)))", {"q", "q"}},
    {"(public-key (ecc (curve Ed25519) (flags eddsa) (q %b)))", {"q", "q"}},
    {"(public-key (ecc (curve Ed25519) (flags rfc6979) (q %b)))", {"q", "q"}},
    {"(public-key (rsa (n %b) (e %b)))", {"n", "e"}},
};
#define ED25519_BYTES	32
#define RSA_BITS_LEAST	1024
#define RSA_BITS_MAX	16384
#define RSA_E_BYTES_MAX 8

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gcry_sexp_t, gcry_sexp_release, NULL)

void
signing_init(void)
{
	static gsize initialized;

	if (!g_once_init_enter(&initialized))
		return;
	gcry_check_version(NULL);
	/* Its locked memory is small and needs a privilege, and the daemon writes no core file. */
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	g_once_init_leave(&initialized, 1);
}

char *
signing_print(gcry_sexp_t expression)
{
	gsize size = gcry_sexp_sprint(expression, GCRYSEXP_FMT_ADVANCED, NULL, 0);
	char *text = g_malloc(size + 1);

	gcry_sexp_sprint(expression, GCRYSEXP_FMT_ADVANCED, text, size);
	text[size] = '\0';
	return text;
}

gboolean
signing_is_list(gcry_sexp_t expression, const char *name)
{
	gsize length = 0;
	/* an atom has length 0 and is its own first element */
	const char *first = expression && gcry_sexp_length(expression) > 0
				? gcry_sexp_nth_data(expression, 0, &length)
				: NULL;

	return first && length == strlen(name) && memcmp(first, name, length) == 0;
}

/*
 * Why libgcrypt must not get the text; NULL: it may. It counts the bytes of a word in 16 bits, and
 * ends the process when it prints a longer one. It indents its output, so deep lists become
 * enormous. It takes words behind a list, and forgets them. Only the forms that it writes itself
 * pass: one list of lists, words, "strings" and #numbers#. Other forms could hide parentheses.
 */
static char *
text_problem(const char *text)
{
	const char *word = text; /* after the last parenthesis */
	int depth = 0;
	gboolean over = FALSE; /* the list has ended */

	for (gboolean quoted = FALSE; *text; text++) {
		if (depth == 0 && (over || *text != '(') && !g_ascii_isspace(*text))
			return g_strdup_printf("something stands %s the list",
					       over ? "behind" : "before");
		if (quoted && *text == '\\' && text[1])
			text++;
		else if (*text == '"')
			quoted = !quoted;
		else if (!quoted && strchr("|:[]{}", *text))
			return g_strdup_printf("Guix writes no '%c'", *text);
		else if (!quoted && (*text == '(' || *text == ')')) {
			depth += *text == '(' ? 1 : -1;
			over = depth == 0;
			word = text + 1;
		}
		if (depth > SIGNING_DEPTH_MAX)
			return g_strdup_printf("more than %d lists within one another",
					       SIGNING_DEPTH_MAX);
		if (text - word >= SIGNING_KEY_MAX)
			return g_strdup_printf("a word of more than %d bytes", SIGNING_KEY_MAX);
	}
	return NULL;
}

gcry_sexp_t
signing_parse(const char *path, const char *text, const char *kind, GError **error)
{
	g_auto(gcry_sexp_t) expression = NULL;
	g_autofree char *problem = text_problem(text);
	signing_init();
	if (!problem) {
		gcry_error_t code = gcry_sexp_new(&expression, text, strlen(text), 1);
		if (code)
			problem = g_strdup(gcry_strerror(code));
	}
	if (problem || !signing_is_list(expression, kind)) {
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX,
			    "%s: is no Guix %s%s%s; repair it, or remove it, and start the guest "
			    "again",
			    path, kind, problem ? ": " : "", problem ? problem : "");
		return NULL;
	}
	return g_steal_pointer(&expression);
}

char *
signing_read_at(int folder, const char *name, int flags, int max, struct stat *found)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
	struct stat st = {0};
	gsize done = 0;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size > max) {
		errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		close(fd);
		return NULL;
	}
	char *text = g_malloc((gsize)st.st_size + 1);
	while (done < (gsize)st.st_size) {
		ssize_t count = read(fd, text + done, (gsize)st.st_size - done);
		if (count <= 0)
			break;
		done += (gsize)count;
	}
	text[done] = '\0';
	close(fd);
	if (strlen(text) != done) {
		g_free(text);
		errno = EILSEQ;
		return NULL;
	}
	if (found)
		*found = st;
	return text;
}

void
signing_fail_read(const char *path, int max, GError **error)
{
	if (errno == EFBIG)
		g_set_error(
		    error, SIGNING_ERROR, SIGNING_ERROR_IO,
		    "%s: has more than %d bytes, the most that is read; put Guix' own there", path,
		    max);
	else
		g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_IO, "%s: %s", path,
			    errno == EINVAL   ? "is not a regular file; put Guix' own there"
			    : errno == EILSEQ ? "has a NUL in it; put Guix' own there"
					      : g_strerror(errno));
}

/* Is it exactly of the form key_shapes[which]? */
static gboolean
key_has_shape(gcry_sexp_t key, gsize which)
{
	gcry_sexp_t rebuilt = NULL;
	const char *bytes[2];
	gsize length[2] = {0};
	g_auto(gcry_sexp_t) first = gcry_sexp_find_token(key, key_shapes[which].numbers[0], 0);
	g_auto(gcry_sexp_t) second = gcry_sexp_find_token(key, key_shapes[which].numbers[1], 0);

	bytes[0] = first ? gcry_sexp_nth_data(first, 1, &length[0]) : NULL;
	bytes[1] = second ? gcry_sexp_nth_data(second, 1, &length[1]) : NULL;
	if (!bytes[0] || !bytes[1] ||
	    gcry_sexp_build(&rebuilt, NULL, key_shapes[which].format, (int)length[0], bytes[0],
			    (int)length[1], bytes[1]))
		return FALSE;
	g_autofree char *is = signing_print(key), *should_be = signing_print(rebuilt);
	gcry_sexp_release(rebuilt);
	if (strcmp(is, should_be) != 0)
		return FALSE;
	if (strcmp(key_shapes[which].numbers[0], "q") == 0)
		return length[0] == ED25519_BYTES;
	guint bits = gcry_pk_get_nbits(key);
	return bits >= RSA_BITS_LEAST && bits <= RSA_BITS_MAX && length[1] <= RSA_E_BYTES_MAX;
}

gcry_sexp_t
signing_parse_key(const char *path, const char *text, GError **error)
{
	if (strlen(text) > SIGNING_KEY_MAX) {
		errno = EFBIG;
		signing_fail_read(path, SIGNING_KEY_MAX, error);
		return NULL;
	}
	g_auto(gcry_sexp_t) key = signing_parse(path, text, "public-key", error);
	if (!key)
		return NULL;
	for (gsize i = 0; i < G_N_ELEMENTS(key_shapes); i++)
		if (key_has_shape(key, i))
			return g_steal_pointer(&key);
	g_set_error(error, SIGNING_ERROR, SIGNING_ERROR_SYNTAX,
		    "%s: is no signing key as Guix makes it, which is (public-key (ecc (curve "
		    "Ed25519) (q #64 digits#))) or (public-key (rsa (n #...#) (e #...#))); take it "
		    "away together with signing-key.sec, and a new pair is made",
		    path);
	return NULL;
}

gboolean
signing_is_key(const char *text)
{
	g_auto(gcry_sexp_t) key = signing_parse_key("", text, NULL);

	return key != NULL;
}

gboolean
signing_check_key(const char *path, const char *public_key, GError **error)
{
	g_auto(gcry_sexp_t) key = signing_parse_key(path, public_key, error);

	return key != NULL;
}

gboolean
signing_read_key(const char *path, char **text, GError **error)
{
	*text = signing_read_at(AT_FDCWD, path, 0, SIGNING_KEY_MAX, NULL);
	if (*text || errno == ENOENT)
		return TRUE;
	signing_fail_read(path, SIGNING_KEY_MAX, error);
	return FALSE;
}
