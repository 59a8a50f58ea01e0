/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Public keys as values. sshd ignores a line of authorized_keys that it does not understand without
 * a word, so a key that was copied by half is found here. The blob of an SSH key is a row of
 * strings, each behind its length (RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4);
 * the first one is the type once more.
 */
#include "config/value_internal.h"

#include <string.h>

#include "offload/signing_key.h"

#define ED25519_BYTES 32

static const struct {
	const char *name;
	guint strings; /* in the blob, the type among them */
} types[] = {
    {"ssh-ed25519", 2},
    {"ecdsa-sha2-nistp256", 3},
    {"ecdsa-sha2-nistp384", 3},
    {"ecdsa-sha2-nistp521", 3},
    {"ssh-rsa", 3},
};
#define TYPES_TEXT                                                                                 \
	"ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521 or ssh-rsa"

/* The number of the type; -1: it is none. */
static int
find_type(const char *word)
{
	for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
		if (!strcmp(types[i].name, word))
			return (int)i;
	return -1;
}

/* The blob; NULL: this is no base64. g_base64_decode itself ignores what does not belong. */
static guchar *
decode(const char *text, gsize *size)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "+/";
	gsize length = strlen(text), digits = strspn(text, letters);
	gsize padding = strspn(text + digits, "=");
	if (!digits || length % 4 || padding > 2 || digits + padding != length)
		return NULL;
	return g_base64_decode(text, size);
}

/* Take the next string of a blob. NULL: it is cut off. */
static const guchar *
take_string(const guchar **at, gsize *left, gsize *length)
{
	if (*left < 4)
		return NULL;
	const guchar *p = *at;
	*length = (gsize)p[0] << 24 | (gsize)p[1] << 16 | (gsize)p[2] << 8 | p[3];
	if (*length > *left - 4)
		return NULL;
	*at += 4 + *length;
	*left -= 4 + *length;
	return p + 4;
}

/* Is the blob a whole key of that type? */
static gboolean
blob_is_whole(const guchar *at, gsize left, int type)
{
	gsize length = 0;
	for (guint i = 0; i < types[type].strings; i++)
		if (!take_string(&at, &left, &length) || !length)
			return FALSE;
	return !left && (type != 0 || length == ED25519_BYTES);
}

/* What is wrong with the base64 text of a key; NULL: nothing. Caller frees. */
static char *
blob_problem(const char *text, const char *base64, int type)
{
	gsize size = 0, length = 0;
	g_autofree guchar *blob = decode(base64, &size);
	const guchar *at = blob;
	gsize left = size;
	const guchar *inner = blob ? take_string(&at, &left, &length) : NULL;
	g_autofree char *is = inner ? g_strndup((const char *)inner, MIN(length, 40)) : NULL;
	if (is && find_type(is) >= 0 && find_type(is) != type)
		return value_wrong(text,
				   "says %s, and the key behind it is of the type %s; copy "
				   "the whole line of the .pub file again",
				   types[type].name, is);
	if (!is || find_type(is) != type || !blob_is_whole(blob, size, type))
		return value_wrong(text,
				   "is no whole key: the word behind %s has to be all of the "
				   "key's base64 text; copy the whole line of the .pub file again",
				   types[type].name);
	return NULL;
}

/* The first word is no type. */
static char *
no_type(const char *text, char **words)
{
	for (char **word = words + 1; *words && *word; word++)
		if (find_type(*word) >= 0)
			return value_wrong(text,
					   "has something before the key; options of "
					   "authorized_keys cannot be here: begin with %s",
					   *word);
	return value_wrong(text,
			   "is not a public SSH key, which is TYPE BASE64 COMMENT, the line of "
			   "a .pub file that ssh-keygen made; TYPE is " TYPES_TEXT);
}

char *
value_set_ssh_key(const char *text, char **field)
{
	g_auto(GStrv) pieces = g_strsplit_set(text, " \t", -1);
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	if (!*text)
		return g_strdup("has no value; write the line of a .pub file");
	for (char **piece = pieces; *piece; piece++)
		if (**piece)
			g_ptr_array_add(words, *piece);
	g_ptr_array_add(words, NULL);
	char **all = (char **)words->pdata;
	int type = *all ? find_type(*all) : -1;
	if (type < 0)
		return no_type(text, all);
	char *problem = blob_problem(text, all[1] ? all[1] : "", type);
	if (problem)
		return problem;
	g_free(*field);
	*field = g_strjoinv(" ", all);
	return NULL;
}

char *
value_set_signing_key(const char *text, const char *folder, char **field)
{
	if (!*text)
		return g_strdup("has no value; give it one, or leave the key out");
	if (*text == '(' && !signing_is_key(text))
		return value_wrong(
		    text, "is no signing key as Guix makes it, which is (public-key (ecc (curve "
			  "Ed25519) (q #64 digits#))); write all of the coordinator's "
			  "/etc/guix/signing-key.pub in one line, or the path of a copy of it");
	g_free(*field);
	*field = *text == '(' ? g_strdup(text) : value_path(text, folder);
	return NULL;
}
