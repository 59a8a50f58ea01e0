/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who owns what in a guest's folder when root's daemon runs QEMU as another user.
 *
 * The folder stays root's. QEMU's user may pass it (an access control list with u:USER:x), and owns
 * only disk.qcow2 in it, and a screenshot while it is made. So code that escapes into QEMU can read
 * and spoil disks, as QEMU can, and nothing else: it cannot open keys, secrets and state, nor
 * replace them. If the folder belonged to that user, each file that root opens, makes or renames in
 * it would have to be safe from that user's links, also in libvirt and qemu-img. As it is, no path
 * of ours leads through a folder that another user can write to.
 *
 * console.log is root's too: libvirt opens it and passes QEMU the descriptor.
 *
 * If an ordinary user runs the daemon, QEMU runs as that user, and none of this applies.
 */
#include "childhurdd/qemu/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/acl.h"
#include "config/base/io_error.h"

/* Another user's folder may have links that lead us astray. */
static gboolean
check_owner(const char *folder, GError **error)
{
	struct stat st;
	if (lstat(folder, &st) < 0)
		return io_error(error, folder, NULL);
	if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022))
		return TRUE;
	g_autofree char *quoted = g_shell_quote(folder);
	if (!S_ISDIR(st.st_mode))
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_DIRECTORY,
			    "%s: is not a folder; move it away", folder);
	else if (st.st_uid != geteuid())
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    "%s: belongs to user %u, and has to belong to user %u, which runs "
			    "childhurdd; look what is in it, then: chown -hR %u %s",
			    folder, (unsigned)st.st_uid, (unsigned)geteuid(), (unsigned)geteuid(),
			    quoted);
	else
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    "%s: other users may write there; look what is in it, then: chmod "
			    "go-w %s",
			    folder, quoted);
	return FALSE;
}

/* Without access control lists all users may pass the folder; the files in it are closed by their
 * own modes. */
static gboolean
let_pass(const char *folder, const struct qemu_user *user, GError **error)
{
	g_autoptr(GError) problem = NULL;
	if (acl_grant(folder, ACL_FOR_USER, user->identity.uid, ACL_MAY_PASS, NULL, &problem))
		return TRUE;
	if (!g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	return chmod(folder, 0711) == 0 || io_error(error, folder, NULL);
}

static gboolean
check_reach(const char *folder, const struct qemu_user *user, GError **error)
{
	struct stat st;
	g_autofree char *inside = g_build_filename(folder, ".", NULL);
	identity_enter(qemu_user_identity(user));
	gboolean reached = stat(inside, &st) == 0;
	int why = errno;
	identity_leave(qemu_user_identity(user));
	if (!reached)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(why),
			    "%s: %s: QEMU runs as user %s, which must be able to pass it and each "
			    "folder above it: chmod o+x, or setfacl -m u:%s:x",
			    folder, g_strerror(why), user->name, user->name);
	return reached;
}

gboolean
guest_folder_make(const char *folder, const struct qemu_user *user, GError **error)
{
	if (g_mkdir_with_parents(folder, 0700) < 0)
		return io_error(error, folder, NULL);
	if (!check_owner(folder, error))
		return FALSE;
	g_autofree char *above = g_path_get_dirname(folder);
	qemu_user_let(user, above, ACL_MAY_PASS);
	return !user->other || (let_pass(folder, user, error) && check_reach(folder, user, error));
}

gboolean
guest_folder_lay_out(const char *path, const struct qemu_user *user)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return FALSE;
	if (!user->other)
		return TRUE;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return FALSE;
	gboolean given = fchown(fd, user->identity.uid, user->identity.gid) == 0;
	close(fd);
	return given;
}

GBytes *
guest_folder_collect(const char *path, GError **error)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		io_error(error, path, NULL);
		return NULL;
	}
	gsize length = 0;
	g_autofree char *content = NULL;
	if (fstat(fd, &st) < 0) {
		io_error(error, path, NULL);
	} else if (st.st_size > GUEST_FOLDER_COLLECT_MAX) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
			    "%s: %" G_GINT64_FORMAT " bytes are no picture of a screen", path,
			    (gint64)st.st_size);
	} else {
		/* not a byte more, in case it grows meanwhile */
		content = g_malloc((gsize)st.st_size + 1);
		ssize_t n;
		while (length < (gsize)st.st_size &&
		       (n = read(fd, content + length, (gsize)st.st_size - length)) > 0)
			length += (gsize)n;
	}
	close(fd);
	return content ? g_bytes_new_take(g_steal_pointer(&content), length) : NULL;
}
