/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key pairs for guests and for coordinators.
 *
 * libssh writes private keys as OpenSSH's own format for Ed25519 (openssh-key-v1, PROTOCOL.key of
 * OpenSSH) and as PEM for ECDSA; OpenSSH, libssh and so Guile-SSH read both. Each time the public
 * half is compared with the private one, so a pair that does not match is corrected and never
 * published. This file wipes its copies of a private key; libssh wipes its own.
 */
#include "ssh/key_pair.h"

#include <errno.h>
#include <libssh/libssh.h>
#include <string.h>
#include <unistd.h>

#include "config/base/atomic_file.h"
#include "config/base/lack.h"

#include "ssh/step.h"

#define PUBLIC_LINE_MAX (16 * 1024)

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(ssh_key, ssh_key_free, NULL)

/* libssh 0.12 has another function for this, and Debian 12 has 0.10. */
static int
generate(enum ssh_keytypes_e type, ssh_key *key)
{
#if LIBSSH_VERSION_INT >= SSH_VERSION_INT(0, 12, 0)
	return ssh_pki_generate_key(type, NULL, key);
#else
	return ssh_pki_generate(type, 0, key);
#endif
}

/* Make a new key and write its private half. */
static ssh_key
key_make(const char *path, enum key_pair_kind kind, GError **error)
{
	g_auto(ssh_key) key = NULL;
	char *text = NULL;
	int result =
	    generate(kind == KEY_PAIR_ED25519 ? SSH_KEYTYPE_ED25519 : SSH_KEYTYPE_ECDSA_P256, &key);

	if (result == SSH_OK)
		result = ssh_pki_export_privkey_base64(key, NULL, NULL, NULL, &text);
	if (result != SSH_OK) {
		g_set_error(error, SESSION_ERROR, SESSION_ERROR_KEY, "%s: libssh cannot make a key",
			    path);
		return NULL;
	}
	gboolean written = atomic_file_write(path, text, -1, 0600, error);
	explicit_bzero(text, strlen(text));
	ssh_string_free_char(text);
	return written ? g_steal_pointer(&key) : NULL;
}

static ssh_key
key_load(const char *path, GError **error)
{
	ssh_key key = NULL;

	/* Nobody could enter a passphrase, so an encrypted key counts as unreadable. libssh does
	 * not report errno, but leaves it. */
	errno = 0;
	if (ssh_pki_import_privkey_file(path, NULL, NULL, NULL, &key) == SSH_OK)
		return key;
	int number = errno;
	if (lack_is(number) || access(path, R_OK) == -1)
		g_set_error(error, SESSION_ERROR, SESSION_ERROR_KEY, "%s: %s", path,
			    g_strerror(lack_is(number) ? number : errno));
	else
		g_set_error(error, SESSION_ERROR, SESSION_ERROR_KEY,
			    "%s: is not a private key without passphrase that OpenSSH would read; "
			    "put the right one there, or remove it to get a new one",
			    path);
	return NULL;
}

/* "TYPE BASE64" of a key. */
static char *
key_line(ssh_key key)
{
	char *base64 = NULL;

	if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK)
		return NULL;
	const char *type = ssh_key_type(key) == SSH_KEYTYPE_ECDSA_P256 ||
				   ssh_key_type(key) == SSH_KEYTYPE_ECDSA_P384 ||
				   ssh_key_type(key) == SSH_KEYTYPE_ECDSA_P521
			       ? ssh_pki_key_ecdsa_name(key)
			       : ssh_key_type_to_char(ssh_key_type(key));
	char *line = g_strdup_printf("%s %s", type, base64);
	ssh_string_free_char(base64);
	return line;
}

/* Is the file at path a whole public half (its line end is there) of the key of line? */
static gboolean
public_is_good(const char *path, const char *line)
{
	g_autofree char *content = NULL;
	gsize length;

	if (!g_file_get_contents(path, &content, &length, NULL) || length == 0 ||
	    content[length - 1] != '\n')
		return FALSE;
	gsize compare = strlen(line);
	return length > compare && memcmp(content, line, compare) == 0 &&
	       (content[compare] == ' ' || content[compare] == '\n');
}

gboolean
key_pair_ensure(const char *path, enum key_pair_kind kind, const char *comment, GError **error)
{
	g_autofree char *public = g_strconcat(path, ".pub", NULL);
	gboolean is_there = access(path, F_OK) == 0 || errno != ENOENT;
	g_auto(ssh_key) key = is_there ? key_load(path, error) : key_make(path, kind, error);

	if (!key)
		return FALSE;
	g_autofree char *line = key_line(key);
	if (!line) {
		g_set_error(error, SESSION_ERROR, SESSION_ERROR_KEY,
			    "%s: libssh cannot derive the public key", path);
		return FALSE;
	}
	if (public_is_good(public, line))
		return TRUE;
	g_autofree char *content = g_strdup_printf("%s%s%s\n", line, comment && *comment ? " " : "",
						   comment ? comment : "");
	return atomic_file_write(public, content, -1, 0644, error);
}

gboolean
key_pair_is_word(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return FALSE;
	return TRUE;
}

char *
key_pair_public_line(const char *path, GError **error)
{
	g_autofree char *content = NULL;
	g_auto(ssh_key) key = NULL;

	if (!g_file_get_contents(path, &content, NULL, error))
		return NULL;
	g_auto(GStrv) words = g_strsplit_set(g_strstrip(content), " \t\n", 3);
	if (strlen(content) > PUBLIC_LINE_MAX || !words[0] || !words[1] ||
	    ssh_key_type_from_name(words[0]) == SSH_KEYTYPE_UNKNOWN ||
	    !key_pair_is_word(words[1]) ||
	    ssh_pki_import_pubkey_base64(words[1], ssh_key_type_from_name(words[0]), &key) !=
		SSH_OK) {
		g_set_error(
		    error, SESSION_ERROR, SESSION_ERROR_KEY,
		    "%s: is not an OpenSSH public key (TYPE BASE64 COMMENT); make it again with: "
		    "ssh-keygen -y",
		    path);
		return NULL;
	}
	return g_strdup_printf("%s %s", words[0], words[1]);
}
