/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Code that escapes from a guest runs as QEMU's user, so that user must own nothing of value. As
 * root, libvirt starts QEMU as the user in its qemu.conf (libvirt_root.c). The daemon takes on
 * QEMU's identity before it touches files that QEMU can write, and for programs that it runs on
 * them (qemu-img, the probe of KVM).
 */
#include "childhurdd/qemu/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/identity.h"
#include "config/base/trusted_path.h"
#include "config/image_name.h"

#define ENTRY_BYTES 16384 /* of a user's entry (getpwnam_r(3)) */

static struct qemu_user *
user_new(const struct passwd *entry)
{
	struct qemu_user *user = g_new0(struct qemu_user, 1);
	user->name = g_strdup(entry->pw_name);
	user->identity.uid = entry->pw_uid;
	user->identity.gid = entry->pw_gid;
	user->other = entry->pw_uid != geteuid();
	getgrouplist(entry->pw_name, entry->pw_gid, NULL, &user->identity.n_groups);
	user->identity.groups = g_new(gid_t, MAX(user->identity.n_groups, 1));
	if (getgrouplist(entry->pw_name, entry->pw_gid, user->identity.groups,
			 &user->identity.n_groups) < 0) {
		user->identity.groups[0] = user->identity.gid;
		user->identity.n_groups = 1;
	}
	return user;
}

/* NULL: there is no such user. */
static struct qemu_user *
find(const char *name)
{
	struct passwd entry, *found = NULL;
	g_autofree char *buffer = g_malloc(ENTRY_BYTES);
	if (getpwnam_r(name, &entry, buffer, ENTRY_BYTES, &found) || !found)
		return NULL;
	return user_new(found);
}

/* The daemon's own user, which may have no entry. */
static struct qemu_user *
find_own(void)
{
	struct passwd entry, *found = NULL;
	g_autofree char *buffer = g_malloc(ENTRY_BYTES);
	g_autofree char *name = g_strdup_printf("uid %u", (unsigned)geteuid());
	struct passwd unknown = {.pw_name = name, .pw_uid = geteuid(), .pw_gid = getegid()};
	if (getpwuid_r(geteuid(), &entry, buffer, ENTRY_BYTES, &found))
		found = NULL;
	return user_new(found ? found : &unknown);
}

struct qemu_user *
qemu_user_named(const char *name, GError **error)
{
	struct qemu_user *user = find(name);
	if (!user)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    "user %s: there is no such user; create it with: useradd --system "
			    "--user-group --no-create-home --shell /usr/sbin/nologin %s",
			    name, name);
	return user;
}

/* If none is named: the first of the two that exists. */
static struct qemu_user *
find_default(GError **error)
{
	struct qemu_user *user = find(QEMU_USER);
	if (user || !(user = find(QEMU_USER_FALLBACK)))
		return user ? user : qemu_user_named(QEMU_USER, error);
	user->note = g_strdup("there is no user childhurd, so QEMU runs as libvirt-qemu; create it "
			      "with: useradd --system --user-group --no-create-home --shell "
			      "/usr/sbin/nologin childhurd, and --groups kvm if that group "
			      "exists, or name another with qemu-user");
	return user;
}

static struct qemu_user *
refuse(struct qemu_user *user, GError **error, const char *why)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "qemu-user %s: %s", user->name,
		    why);
	qemu_user_free(user);
	return NULL;
}

struct qemu_user *
qemu_user_find(const char *named, GError **error)
{
	struct qemu_user *user = named	     ? qemu_user_named(named, error)
				 : geteuid() ? find_own()
					     : find_default(error);
	if (!user && named)
		g_prefix_error(error, "qemu-user: ");
	if (user && user->identity.uid == 0)
		return refuse(user, error,
			      "is root, and a guest that breaks out of QEMU would be root; name "
			      "an ordinary user, or leave the key out");
	if (user && user->other && geteuid())
		return refuse(user, error,
			      "only root's childhurdd can run QEMU as another user; leave the key "
			      "out, or run childhurdd as that user");
	/* a name space may have no user but root */
	if (user && user->other && !identity_possible(&user->identity))
		return refuse(user, error,
			      "this root may not run programs as another user (is it one of a user "
			      "name space?); run childhurdd as an ordinary user");
	return user;
}

void
qemu_user_free(struct qemu_user *user)
{
	if (!user)
		return;
	g_free(user->name);
	g_free(user->identity.groups);
	g_free(user->note);
	g_free(user);
}

const struct identity *
qemu_user_identity(const struct qemu_user *user)
{
	return user && user->other ? &user->identity : NULL;
}

/* Can the user do that already? access(2) would check another one of our ids. */
static gboolean
is_open(const struct qemu_user *user, const char *path, int may)
{
	g_autofree char *inside = g_build_filename(path, ".", NULL);
	identity_enter(qemu_user_identity(user));
	int fd = may == ACL_MAY_READ ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
				     : open(inside, O_PATH | O_CLOEXEC);
	identity_leave(qemu_user_identity(user));
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* By a descriptor, and only if the file has one name: another user may have made a hard link to a
 * file of ours. */
static void
let(const struct qemu_user *user, const char *path, int may)
{
	struct stat st;
	gboolean changed = FALSE;
	if (is_open(user, path, may))
		return;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	g_autofree char *same = g_strdup_printf("/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    (may == ACL_MAY_READ ? S_ISREG(st.st_mode) && st.st_nlink == 1 : S_ISDIR(st.st_mode)) &&
	    acl_grant(same, ACL_FOR_USER, user->identity.uid, may, &changed, NULL) && changed)
		g_message("%s: QEMU's user %s may %s it from now on (setfacl -x u:%s "
			  "undoes that)",
			  path, user->name, may == ACL_MAY_READ ? "read" : "pass", user->name);
	close(fd);
}

void
qemu_user_let(const struct qemu_user *user, const char *path, int may)
{
	g_autofree char *real = user && user->other ? way_find(path, NULL) : NULL;
	if (!real)
		return;
	/* from the top: without passing one, the user reaches none below */
	for (char *end = real; (end = strchr(end + 1, '/'));) {
		g_autofree char *above = g_strndup(real, (gsize)(end - real));
		let(user, above, ACL_MAY_PASS);
	}
	let(user, real, may);
}

/* Can the user do that, or would `let` see to it? What is below a closed folder cannot be tried. */
static gboolean
could(const struct qemu_user *user, const char *path, int may)
{
	struct stat st;
	gboolean read = may == ACL_MAY_READ;
	if (is_open(user, path, may))
		return TRUE;
	if (lstat(path, &st) < 0)
		return FALSE;
	if (st.st_uid == geteuid())
		return read ? S_ISREG(st.st_mode) && st.st_nlink == 1 : S_ISDIR(st.st_mode);
	return (st.st_mode & (read ? S_IROTH : S_IXOTH)) != 0;
}

gboolean
qemu_user_could_read(const struct qemu_user *user, const char *what, const char *file,
		     GError **error)
{
	g_autofree char *real = user && user->other ? way_find(file, NULL) : NULL;
	gboolean possible = real != NULL;
	for (char *end = real; possible && (end = strchr(end + 1, '/'));) {
		g_autofree char *above = g_strndup(real, (gsize)(end - real));
		possible = could(user, above, ACL_MAY_PASS);
	}
	possible = possible && could(user, real, ACL_MAY_READ);
	return qemu_user_check(possible ? NULL : user, what, file, error);
}

gboolean
qemu_user_may_read(const struct qemu_user *user, const char *what, const char *file, GError **error)
{
	qemu_user_let(user, file, ACL_MAY_READ);
	return qemu_user_check(user, what, file, error);
}

const char *
qemu_user_sandbox(const char *file)
{
	static const char *const hidden[] = {"/home/", "/root/", "/run/user/", "/tmp/",
					     "/var/tmp/"};
	if (!g_getenv("INVOCATION_ID")) /* systemd.exec(5) */
		return NULL;
	for (gsize i = 0; i < G_N_ELEMENTS(hidden); i++)
		if (g_str_has_prefix(file, hidden[i]))
			return "the service's sandbox hides /home, /root and /tmp: move it to "
			       "/var/lib/childhurd/images, or lift that with systemctl edit "
			       "childhurdd (ProtectHome=read-only, PrivateTmp=no)";
	return NULL;
}

gboolean
qemu_user_check(const struct qemu_user *user, const char *what, const char *file, GError **error)
{
	identity_enter(qemu_user_identity(user));
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int problem = errno;
	identity_leave(qemu_user_identity(user));
	if (fd >= 0)
		return close(fd) == 0;
	const char *advice = qemu_user_sandbox(file);
	g_autofree char *absent = problem == ENOENT ? image_file_advice(file) : NULL;
	if (absent)
		advice = absent;
	if (problem != EACCES || !user || advice) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(problem), "%s %s: %s%s%s",
			    what, file, g_strerror(problem), advice ? "; " : "",
			    advice ? advice : "");
		return FALSE;
	}
	g_autofree char *quoted = g_shell_quote(file), *whose = NULL;
	g_free(way_find(file, &whose));
	g_set_error(
	    error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
	    "%s %s: QEMU runs as user %s, which cannot read it; allow that with: setfacl -m "
	    "u:%s:r %s (and u:%s:x for each folder above it), or chmod o+r and o+x%s%s%s",
	    what, file, user->name, user->name, quoted, user->name,
	    whose ? " (it is not done for you because others than root can write to " : "",
	    whose ? whose : "", whose ? ")" : "");
	return FALSE;
}
