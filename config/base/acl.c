/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes the existing list with libacl: every entry keeps its rights, and the mask is computed
 * again so that it limits no entry. A list that already grants the rights is not written, so a
 * repetition changes nothing, not even a time.
 */
#include "config/base/acl.h"

#include <acl/libacl.h>
#include <sys/acl.h>
#include <sys/stat.h>

#include "config/base/io_error.h"

static const acl_perm_t all[] = {ACL_READ, ACL_WRITE, ACL_EXECUTE};

/* Is this the entry of the user or group? */
static gboolean
entry_is(acl_entry_t entry, acl_tag_t wanted, id_t id)
{
	acl_tag_t tag;
	if (acl_get_tag_type(entry, &tag) < 0 || tag != wanted)
		return FALSE;
	id_t *qualifier = acl_get_qualifier(entry);
	gboolean same = qualifier && *qualifier == id;
	acl_free(qualifier);
	return same;
}

/* The entry of the user or group, made if it is missing. NULL: no memory. */
static acl_entry_t
entry_get(acl_t *list, acl_tag_t tag, id_t id)
{
	acl_entry_t entry;
	for (int which = ACL_FIRST_ENTRY; acl_get_entry(*list, which, &entry) == 1;
	     which = ACL_NEXT_ENTRY)
		if (entry_is(entry, tag, id))
			return entry;
	gboolean made = acl_create_entry(list, &entry) == 0 && acl_set_tag_type(entry, tag) == 0 &&
			acl_set_qualifier(entry, &id) == 0;
	return made ? entry : NULL;
}

/* Does it allow that already? */
static gboolean
entry_has(acl_entry_t entry, int may)
{
	acl_permset_t permissions;
	gboolean has = acl_get_permset(entry, &permissions) == 0;
	for (gsize i = 0; has && i < G_N_ELEMENTS(all); i++)
		has = !(may & (int)all[i]) || acl_get_perm(permissions, all[i]) == 1;
	return has;
}

static gboolean
entry_add(acl_entry_t entry, int may)
{
	acl_permset_t permissions;
	/* ACL_READ and the others are the bits of a mode (sys/acl.h) */
	return acl_get_permset(entry, &permissions) == 0 &&
	       acl_add_perm(permissions, (acl_perm_t)may) == 0 &&
	       acl_set_permset(entry, permissions) == 0;
}

/* The permissions of the entry if it is of one of the kinds, else NULL. */
static acl_permset_t
permissions_of(acl_entry_t entry, int kinds)
{
	acl_tag_t tag;
	acl_permset_t permissions;
	if (acl_get_tag_type(entry, &tag) < 0 || !(tag & kinds) ||
	    acl_get_permset(entry, &permissions) < 0)
		return NULL;
	return permissions;
}

/* Remove from one set what the other does not have. */
static void
keep_common(acl_permset_t permissions, acl_permset_t mask)
{
	for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
		if (acl_get_perm(mask, all[i]) == 0)
			acl_delete_perm(permissions, all[i]);
}

/* chmod(1) closes a file by its mask. A new mask must not open it again for the other entries, so
 * each entry is first reduced to the rights that it really had. */
static void
apply_mask(acl_t list)
{
	acl_entry_t entry;
	acl_permset_t mask = NULL, permissions;
	int which;
	for (which = ACL_FIRST_ENTRY; !mask && acl_get_entry(list, which, &entry) == 1;
	     which = ACL_NEXT_ENTRY)
		mask = permissions_of(entry, ACL_MASK);
	for (which = ACL_FIRST_ENTRY; mask && acl_get_entry(list, which, &entry) == 1;
	     which = ACL_NEXT_ENTRY)
		if ((permissions = permissions_of(entry, ACL_USER | ACL_GROUP | ACL_GROUP_OBJ)))
			keep_common(permissions, mask);
}

static gboolean
list_allow(acl_t *list, acl_tag_t tag, id_t id, int may)
{
	acl_entry_t entry = entry_get(list, tag, id);
	return entry && entry_add(entry, may) && acl_calc_mask(list) == 0;
}

static gboolean
grant(const char *path, acl_type_t type, acl_t *list, acl_tag_t tag, id_t id, int may,
      gboolean *changed, GError **error)
{
	apply_mask(*list);
	acl_entry_t entry = entry_get(list, tag, id);
	if (entry && entry_has(entry, may))
		return TRUE;
	gboolean good = list_allow(list, tag, id, may) && acl_set_file(path, type, *list) == 0;
	if (!good)
		io_error(error, path, "cannot set its access control list");
	if (changed)
		*changed = good;
	return good;
}

static acl_tag_t
tag_of(enum acl_who who)
{
	return who == ACL_FOR_USER ? ACL_USER : ACL_GROUP;
}

gboolean
acl_grant(const char *path, enum acl_who who, id_t id, int may, gboolean *changed, GError **error)
{
	acl_t list = acl_get_file(path, ACL_TYPE_ACCESS);
	if (changed)
		*changed = FALSE;
	if (!list)
		return io_error(error, path, "cannot read its access control list");
	gboolean good = grant(path, ACL_TYPE_ACCESS, &list, tag_of(who), id, may, changed, error);
	acl_free(list);
	return good;
}

gboolean
acl_grant_alone(const char *path, enum acl_who who, id_t id, int may, GError **error)
{
	struct stat st;
	acl_t present = stat(path, &st) < 0 ? NULL : acl_get_file(path, ACL_TYPE_ACCESS);
	if (!present)
		return io_error(error, path, "cannot read its access control list");
	acl_t list = acl_from_mode(st.st_mode & S_IRWXU);
	gboolean good =
	    list_allow(&list, tag_of(who), id, may) &&
	    (acl_cmp(present, list) == 0 || acl_set_file(path, ACL_TYPE_ACCESS, list) == 0);
	if (!good)
		io_error(error, path, "cannot set its access control list");
	acl_free(present);
	if (list)
		acl_free(list);
	return good;
}

/* A default list needs the three entries of a mode; they are the folder's. */
static acl_t
list_below(const char *path)
{
	struct stat st;
	acl_t list = acl_get_file(path, ACL_TYPE_DEFAULT);
	if (!list || acl_entries(list) > 0 || stat(path, &st) < 0)
		return list;
	acl_free(list);
	return acl_from_mode(st.st_mode & 0777);
}

gboolean
acl_grant_below(const char *path, enum acl_who who, id_t id, int may, gboolean *changed,
		GError **error)
{
	acl_t list = list_below(path);
	if (changed)
		*changed = FALSE;
	if (!list)
		return io_error(error, path, "cannot read its default access control list");
	gboolean good = grant(path, ACL_TYPE_DEFAULT, &list, tag_of(who), id, may, changed, error);
	acl_free(list);
	return good;
}
