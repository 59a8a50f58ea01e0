/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * offload/ knows keys and lists, ssh/ knows secret roots; here the ones come into the other. Both
 * the daemon and root's preparation for it do that, each as whoever the secret root belongs to.
 */
#include "childhurdd/guest_signing.h"

#include <string.h>
#include <sys/stat.h>

#include "offload/signing.h"

/* The guest's own, from the administrator or an earlier start; the root was looked at before. */
static char *
signing_file(const struct secret_root_spec *spec, const char *leaf)
{
	g_autofree char *path = g_build_filename(spec->directory, GUEST_SIGNING_FOLDER, leaf, NULL);
	char *text = NULL;
	g_file_get_contents(path, &text, NULL, NULL);
	return text;
}

static void
add_file(GPtrArray *files, const char *leaf, mode_t mode, const char *text)
{
	struct secret_file *file = g_new(struct secret_file, 1);
	file->name = g_strconcat("/" GUEST_SIGNING_FOLDER "/", leaf, NULL);
	file->mode = S_IFREG | mode;
	file->content = g_bytes_new(text, strlen(text));
	g_ptr_array_add(files, file);
}

static gboolean
put(const struct secret_root_spec *spec, const struct signing *signing, GError **error)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	struct secret_root_spec with_files = *spec;
	add_file(files, "signing-key.pub", 0444, signing->public_key);
	add_file(files, "signing-key.sec", 0400, signing->secret_key);
	add_file(files, "acl", 0644, signing->acl);
	with_files.files = files;
	return secret_root_ensure(&with_files, error);
}

char *
guest_signing_make(const struct secret_root_spec *spec, const char *guix, GError **error)
{
	struct signing signing = {.public_key = signing_file(spec, "signing-key.pub"),
				  .secret_key = signing_file(spec, "signing-key.sec")};
	char *public_key = NULL;
	if (signing_make(guix, &signing, error) && put(spec, &signing, error))
		public_key = g_steal_pointer(&signing.public_key);
	signing_clear(&signing);
	return public_key;
}
