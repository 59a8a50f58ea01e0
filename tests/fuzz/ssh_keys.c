/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes the files of keys that others than the daemon write: known_hosts, public keys, private
 * keys.
 *
 * Input: a byte that says which it is, and the file. What is found has to be a line "TYPE BASE64"
 * that can stand in a published known_hosts; a private key that cannot be read stays as it is.
 */
#include <glib/gstdio.h>
#include <libssh/libssh.h>
#include <sanitizer/lsan_interface.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/text.h"
#include "ssh/key_pair.h"
#include "ssh/known_hosts.h"
#include "ssh/step.h"
#include "tests/fuzz/lib/fuzz.h"

#define N_KINDS 3

static char *known_hosts, *key, *public_key;

static void
require_error(const GError *error, const char *path)
{
	g_autofree char *clean = text_line(error->message, '?');
	require(!strcmp(clean, error->message), "a message can be shown", NULL);
	require(g_str_has_prefix(error->message, path), "a message names its file", NULL);
}

/* "TYPE BASE64", of a key that libssh knows. */
static void
require_key(const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	ssh_key found = NULL;
	require(g_strv_length(words) == 2 && *words[0] && *words[1], "a key is two words", NULL);
	for (const char *p = line; *p; p++)
		require(*p >= ' ' && *p <= '~', "a key is ASCII", NULL);
	require(ssh_key_type_from_name(words[0]) != SSH_KEYTYPE_UNKNOWN, "a key has a type", NULL);
	require(ssh_pki_import_pubkey_base64(words[1], ssh_key_type_from_name(words[0]), &found) ==
		    SSH_OK,
		"a key is a key", NULL);
	ssh_key_free(found);
}

static void
fuzz_known_hosts(const char *host, int port)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) keys = known_hosts_find(host, port, &error);
	require((keys != NULL) == (error == NULL), "keys or an error", NULL);
	if (error)
		require_error(error, known_hosts);
	require(!keys || *keys, "keys are at least one", NULL);
	for (char **line = keys; line && *line; line++)
		require_key(*line);
}

static void
fuzz_public(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *line = key_pair_public_line(public_key, &error);
	require((line != NULL) == (error == NULL), "a key or an error", NULL);
	if (line)
		require_key(line);
	else
		require(strstr(error->message, public_key) != NULL, "a message names its file",
			NULL);
}

/* libssh forgets a few bytes of a damaged private key, which is nothing to a daemon that reads its
 * own once. */
#pragma weak __lsan_disable
#pragma weak __lsan_enable

static void
fuzz_private(const uint8_t *bytes, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	gsize length = 0;
	unlink(public_key);
	if (__lsan_disable)
		__lsan_disable();
	gboolean good = key_pair_ensure(key, KEY_PAIR_ED25519, "fuzz", &error);
	if (__lsan_enable)
		__lsan_enable();
	require(good == (error == NULL), "a pair or an error", NULL);
	require(g_file_get_contents(key, &text, &length, NULL) && length == size &&
		    !memcmp(text, bytes, size),
		"a private key stays as it is", NULL);
	require(g_file_test(public_key, G_FILE_TEST_EXISTS) == good, "a good pair has two halves",
		NULL);
	if (error)
		require_error(error, key);
	else
		fuzz_public();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *folder = fuzz_folder();
	g_autofree char *ssh_folder = g_build_filename(folder, ".ssh", NULL);
	known_hosts = g_build_filename(ssh_folder, "known_hosts", NULL);
	key = g_build_filename(folder, "key", NULL);
	public_key = g_strconcat(key, ".pub", NULL);
	g_setenv("HOME", folder, TRUE);
	require(mkdir(ssh_folder, 0700) == 0, "a folder can be made", NULL);
	ssh_init();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0] % N_KINDS) {
	case 0:
		fuzz_write(known_hosts, data + 1, size - 1);
		fuzz_known_hosts("node.example", 22);
		fuzz_known_hosts("node.example", 2222);
		break;
	case 1:
		fuzz_write(public_key, data + 1, size - 1);
		fuzz_public();
		break;
	default:
		fuzz_write(key, data + 1, size - 1);
		fuzz_private(data + 1, size - 1);
		break;
	}
	return 0;
}
