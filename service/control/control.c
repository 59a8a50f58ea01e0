/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The control socket: creates it, shares it with groups, accepts connections, and keeps events.
 *
 * A daemon holds a lock on its state directory, so a socket that is already at the path is nearly
 * always one that a dead daemon left behind. But two configurations may name the same runtime
 * directory. So the daemon first connects to the socket, and replaces it only if that is refused.
 */
#include "service/control/control.h"

#include <errno.h>
#include <gio/gio.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/base/acl.h"
#include "config/base/io_error.h"
#include "service/control/internal.h"

#define GROUP_BYTES 65536 /* of an entry (getgrnam_r(3)); a group that needs more is missing */

/* Does the process live that made the other end listen (unix(7))? A child that it was just making
 * when it was killed has that socket, too, for a moment. */
static gboolean
listener_lives(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.pid <= 0)
		return TRUE;
	return kill(peer.pid, 0) == 0 || errno != ESRCH;
}

/* Make sure that nothing is at path. Leaves the socket of a running daemon alone. */
static gboolean
make_way(const char *path, const struct sockaddr_un *address, GError **error)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT || io_error(error, path, "cannot look at it");
	if (!S_ISSOCK(st.st_mode)) {
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_EXISTS,
		    "%s: exists and is not a socket; remove it, or set another runtime-directory",
		    path);
		return FALSE;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return io_error(error, path, "cannot create a socket");
	int code = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? errno : 0;
	gboolean stale = code ? code == ECONNREFUSED || code == ENOENT : !listener_lives(fd);
	close(fd);
	if (!stale) {
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
		    "%s: another daemon listens there; stop it, or set another runtime-directory",
		    path);
		return FALSE;
	}
	return unlink(path) == 0 || errno == ENOENT ||
	       io_error(error, path, "cannot remove the old socket");
}

static gid_t
group_id(const char *name)
{
	struct group entry, *group = NULL;
	g_autofree char *buffer = g_malloc(GROUP_BYTES);
	if (!name || getgrnam_r(name, &entry, buffer, GROUP_BYTES, &group) || !group)
		return (gid_t)-1;
	return group->gr_gid;
}

struct control_groups
control_groups_find(const char *control_group)
{
	return (struct control_groups){group_id(control_group), group_id(CONTROL_ADMIN_GROUP)};
}

/* Let the group use the socket, if it exists. Otherwise only the owner and root may. */
static gboolean
share(const struct control *control, GError **error)
{
	const char *path = control->path, *name = control->group;
	gboolean there = control->groups.users != (gid_t)-1;
	if (!name)
		return TRUE;
	if (!there && geteuid() != 0)
		g_debug("%s: there is no group %s", path, name); /* usual for a user's own daemon */
	else if (!there)
		g_message("%s: there is no group %s, so only root and the daemon's user may use it "
			  "(groupadd --system %s)",
			  path, name, name);
	else if (chown(path, (uid_t)-1, control->groups.users) < 0)
		g_message("%s: cannot be given to the group %s (%s), so only root and the daemon's "
			  "user may use it",
			  path, name, g_strerror(errno));
	else if (chmod(path, 0660) < 0)
		return io_error(error, path, "cannot be made accessible to its group");
	return TRUE;
}

/* With an access control list, admins need not be members of the other group, too. */
static void
share_with_admins(const char *path, gid_t admins)
{
	g_autoptr(GError) error = NULL;
	if (admins != (gid_t)-1 &&
	    !acl_grant(path, ACL_FOR_GROUP, admins, ACL_MAY_READ | ACL_MAY_WRITE, NULL, &error))
		g_message("%s; only members of the control-group can use the socket",
			  error->message);
}

gboolean
control_share(struct control *control, struct control_groups groups, GError **error)
{
	control->groups = groups;
	if (!share(control, error))
		return FALSE;
	if (control->group)
		share_with_admins(control->path, groups.admins);
	return TRUE;
}

static gboolean
listen_at(struct control *control, GError **error)
{
	const char *path = control->path;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	if (strlen(path) >= sizeof address.sun_path) {
		g_set_error(
		    error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG,
		    "%s: longer than the %zu bytes that a socket's path may have; set a shorter "
		    "runtime-directory",
		    path, sizeof address.sun_path - 1);
		return FALSE;
	}
	memcpy(address.sun_path, path, strlen(path));
	if (!make_way(path, &address, error))
		return FALSE;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* bind creates the socket with the mode of the descriptor (unix(7)). umask would change all
	 * threads. */
	if (control->fd < 0 || fchmod(control->fd, 0600) < 0)
		return io_error(error, path, "cannot create a socket");
	if (bind(control->fd, (struct sockaddr *)&address, sizeof address) < 0)
		return io_error(error, path, "cannot bind the socket");
	if (lstat(path, &st) < 0)
		return io_error(error, path, "cannot look at it");
	control->device = st.st_dev;
	control->inode = st.st_ino;
	return control_share(control, control->groups, error) &&
	       (listen(control->fd, CONTROL_LISTEN) == 0 || io_error(error, path, "cannot listen"));
}

static void
on_accept_again(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct control *control = watcher->data;
	ev_timer_stop(loop, watcher);
	ev_io_start(loop, &control->accepting);
}

/* Accept a connection; FALSE: errno has the reason. */
static gboolean
take_connection(struct control *control, int listening)
{
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		client_new(control, fd);
	return fd >= 0;
}

/*
 * Accept every connection. client_new refuses those that are too many, so that none waits in the
 * backlog behind another user's idle connections. Without a free descriptor the listening socket
 * stays readable, so a pause keeps the loop from spinning.
 */
static void
on_connection(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct control *control = watcher->data;
	if (take_connection(control, control->fd))
		return;
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		g_warning("%s: cannot accept (%s); trying again soon", control->path,
			  g_strerror(errno));
		ev_io_stop(loop, watcher);
		ev_timer_set(&control->accept_again, control->accept_retry, 0.);
		ev_timer_start(loop, &control->accept_again);
	}
}

static void
kept_event_free(gpointer data)
{
	struct kept_event *event = data;
	g_free(event->guest);
	g_free(event->state);
	g_free(event->text);
	g_free(event);
}

struct control *
control_new(struct ev_loop *loop, const char *path, const char *control_group,
	    const struct control_hird *hird, GError **error)
{
	struct control *control = g_new0(struct control, 1);
	control->loop = loop;
	control->hird = *hird;
	control->dispatch = request_dispatch;
	control->path = g_strdup(path);
	control->group = g_strdup(control_group);
	control->groups = control_groups_find(control_group);
	control->fd = -1;
	control->clients = g_ptr_array_new();
	control->events = g_ptr_array_new_with_free_func(kept_event_free);
	control->request_timeout = CONTROL_REQUEST_TIMEOUT_MS / 1000.;
	control->accept_retry = CONTROL_ACCEPT_RETRY;
	control->recheck = CONTROL_RECHECK;
	control->recount = CONTROL_RECOUNT;
	control->beat = CONTROL_BEAT;
	ev_init(&control->accepting, on_connection);
	ev_init(&control->accept_again, on_accept_again);
	control->accepting.data = control->accept_again.data = control;
	if (!listen_at(control, error)) {
		control_free(control);
		return NULL;
	}
	ev_io_set(&control->accepting, control->fd, EV_READ);
	return control;
}

void
control_open(struct control *control)
{
	if (!ev_is_active(&control->accept_again))
		ev_io_start(control->loop, &control->accepting);
}

/* Is our socket at its path? */
static gboolean
is_there(const struct control *control)
{
	struct stat st;
	return control->inode && lstat(control->path, &st) == 0 && st.st_dev == control->device &&
	       st.st_ino == control->inode;
}

gboolean
control_renew(struct control *control, GError **error)
{
	if (is_there(control))
		return TRUE;
	const struct control old = *control;
	if (!listen_at(control, error)) {
		if (control->fd >= 0 && control->fd != old.fd)
			close(control->fd);
		control->fd = old.fd;
		control->device = old.device;
		control->inode = old.inode;
		return FALSE;
	}
	gboolean accepting = ev_is_active(&control->accepting);
	ev_io_stop(control->loop, &control->accepting);
	ev_io_set(&control->accepting, control->fd, EV_READ);
	if (accepting) {
		ev_io_start(control->loop, &control->accepting);
		while (take_connection(control, old.fd))
			; /* they connected before the socket was deleted */
	}
	close(old.fd);
	g_message("%s: the control socket was gone and has been created again", control->path);
	return TRUE;
}

void
control_free(struct control *control)
{
	if (!control)
		return;
	while (control->clients->len)
		client_free(g_ptr_array_index(control->clients, control->clients->len - 1));
	ev_io_stop(control->loop, &control->accepting);
	ev_timer_stop(control->loop, &control->accept_again);
	if (is_there(control))
		unlink(control->path);
	if (control->fd >= 0)
		close(control->fd);
	g_ptr_array_unref(control->clients);
	g_ptr_array_unref(control->events);
	g_free(control->path);
	g_free(control->group);
	g_free(control);
}

/*
 * The index of the event to drop when there is no more room. It is one of the guest with the most
 * events, so that a guest with many events costs the others none. If most of that guest's events
 * are notes, which change no state, it is the oldest note; else the guest's oldest event.
 */
static guint
first_to_go(const GPtrArray *events)
{
	g_autoptr(GHashTable) counts = g_hash_table_new(g_str_hash, g_str_equal);
	const char *most = "";
	guint n = 0, notes = 0;
	for (guint i = 0; i < events->len; i++) {
		const struct kept_event *event = g_ptr_array_index(events, i);
		const char *guest = event->guest ? event->guest : "";
		guint count = GPOINTER_TO_UINT(g_hash_table_lookup(counts, guest)) + 1;
		g_hash_table_insert(counts, (void *)guest, GUINT_TO_POINTER(count));
		if (count > n) {
			n = count;
			most = guest;
		}
	}
	for (guint i = 0; i < events->len; i++) {
		const struct kept_event *event = g_ptr_array_index(events, i);
		notes += !event->state && !strcmp(event->guest ? event->guest : "", most);
	}
	for (guint i = 0; i < events->len; i++) {
		const struct kept_event *event = g_ptr_array_index(events, i);
		if (!strcmp(event->guest ? event->guest : "", most) &&
		    (notes <= n / 2 || !event->state))
			return i;
	}
	return 0;
}

static void
keep(struct control *control, const struct control_event *event)
{
	struct kept_event *kept = g_new(struct kept_event, 1);
	*kept = (struct kept_event){
	    .number = event->number,
	    .time = event->time,
	    .taken_over = event->state && event->taken_over,
	    .guest = g_strdup(event->guest),
	    .state = g_strdup(event->state),
	    .text = g_strdup(event->text ? event->text : ""),
	};
	if (control->events->len >= CONTROL_EVENTS_KEPT)
		g_ptr_array_remove_index(control->events, first_to_go(control->events));
	g_ptr_array_add(control->events, kept);
	control->last_event = event->number;
}

void
control_number(struct control *control, gint64 number)
{
	control->last_event = number;
}

void
control_event(struct control *control, const struct control_event *event)
{
	if (event->number > 0)
		keep(control, event);
	for (guint i = 0; i < control->clients->len; i++) {
		struct control_client *client = g_ptr_array_index(control->clients, i);
		struct request *request = client->request;
		if (request && request->notice)
			request->notice(request, event);
		if (request && request->pump)
			client_wake(client);
	}
}
