/* SPDX-License-Identifier: GPL-3.0-or-later */
/* POSIX access control lists (acl(5)): access to a file for one more user or group, and for nobody
 * else. */
#ifndef CONFIG_BASE_ACL_H
#define CONFIG_BASE_ACL_H

#include <glib.h>
#include <sys/types.h>

enum acl_who { ACL_FOR_USER, ACL_FOR_GROUP };
enum { ACL_MAY_READ = 4, ACL_MAY_WRITE = 2, ACL_MAY_PASS = 1 };

/*
 * Let the user or group id do at least this (ACL_MAY_* added up) with path; existing rights stay.
 * *changed: whether anything was written; may be NULL. The error names the path;
 * G_IO_ERROR_NOT_SUPPORTED: its file system has no such lists. Blocks on disk; thread-safe.
 */
gboolean acl_grant(const char *path, enum acl_who who, id_t id, int may, gboolean *changed,
		   GError **error);

/* Let the user or group do just this with path, and nobody else except the owner do anything.
 * Existing rights are removed. */
gboolean acl_grant_alone(const char *path, enum acl_who who, id_t id, int may, GError **error);

/* Like acl_grant, for files made in the folder path from now on (its default list). */
gboolean acl_grant_below(const char *path, enum acl_who who, id_t id, int may, gboolean *changed,
			 GError **error);

#endif
