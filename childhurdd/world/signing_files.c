/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * offload/ knows keys and lists, ssh/ knows secret roots; this puts keys and lists into a secret
 * root. The daemon and root's preparation for it use this, each as the secret root's owner.
 */
#include "childhurdd/world/signing_files.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "offload/signing_key.h"

gboolean
guest_signing_read(const struct secret_root_spec *spec, struct signing *signing, GError **error)
{
	g_autofree char *folder = g_build_filename(spec->directory, GUEST_SIGNING_FOLDER, NULL);
	g_autofree char *public = g_build_filename(folder, "signing-key.pub", NULL);
	g_autofree char *secret = g_build_filename(folder, "signing-key.sec", NULL);
	return signing_read_key(public, &signing->public_key, error) &&
	       signing_read_key(secret, &signing->secret_key, error) &&
	       (!signing->public_key || !signing->secret_key ||
		signing_check_key(public, signing->public_key, error));
}

char *
guest_signing_public(const char *directory)
{
	g_autofree char *path =
	    g_build_filename(directory, GUEST_SIGNING_FOLDER, "signing-key.pub", NULL);
	g_autofree char *text = NULL;
	if (!signing_read_key(path, &text, NULL) || !text || !signing_check_key(path, text, NULL))
		return NULL;
	return g_steal_pointer(&text);
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

gboolean
guest_signing_put(const struct secret_root_spec *spec, const struct signing *signing,
		  GError **error)
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

gboolean
guest_signing_has_acl(const struct secret_root_spec *spec)
{
	g_autofree char *ours =
	    g_build_filename(spec->directory, GUEST_SIGNING_FOLDER, "acl", NULL);
	g_autofree char *extra =
	    spec->extra ? g_build_filename(spec->extra, GUEST_SIGNING_FOLDER, "acl", NULL) : NULL;
	return access(ours, F_OK) == 0 && !(extra && access(extra, F_OK) == 0);
}

gboolean
guest_signing_withdraw(const struct secret_root_spec *spec, GError **error)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)secret_file_free);
	struct secret_root_spec with_files = *spec;
	if (!guest_signing_has_acl(spec))
		return TRUE;
	add_file(files, "acl", 0644, "(acl)\n");
	with_files.files = files;
	return secret_root_ensure(&with_files, error);
}

char *
guest_signing_make(const struct secret_root_spec *spec, const char *guix, const char *const *others,
		   GError **error)
{
	struct signing signing = {0};
	char *public_key = NULL;
	if (guest_signing_read(spec, &signing, error) &&
	    signing_make(guix, others, &signing, error) && guest_signing_put(spec, &signing, error))
		public_key = g_steal_pointer(&signing.public_key);
	signing_clear(&signing);
	return public_key;
}
