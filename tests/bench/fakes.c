/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon over a made-up hypervisor, for the bench `hird`: what it starts as a guest's QEMU is a
 * real sshd on the guest's SSH port, with the host key that the guest was given. So everything of
 * the daemon runs but libvirt and QEMU, and a host can have hundreds of guests.
 *
 * Linked with all of the daemon; these functions take the place of hypervisor.c's. An sshd knows
 * nothing of shutting down: every way to end it is a signal.
 */
#include "childhurdd/qemu/hypervisor.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SSHD "/usr/sbin/sshd"

G_DEFINE_QUARK(childhurd - hypervisor, hypervisor_error)

struct hypervisor {
	struct tasks *tasks;
	char *state_directory;
	hypervisor_event_fn event;
	void *data;
	GHashTable *pids; /* UUID => pid of its sshd, which is the id of its QEMU, too */
	int epoll;	  /* listeners of all secrets ports */
};

struct hypervisor_call {
	struct hypervisor *hypervisor;
	struct task *task;
	char *name, *uuid, *text;
	hypervisor_fn done;
	void *data;
	pid_t pid;
	gboolean ends;
	GError *error;
};

/* The secrets ports lead to a guest that refuses: its network is up. */
static void *
refuse(void *data)
{
	const struct hypervisor *h = data;
	for (;;) {
		struct epoll_event event;
		if (epoll_wait(h->epoll, &event, 1, -1) == 1)
			close(accept4(event.data.fd, NULL, NULL, SOCK_CLOEXEC));
	}
	return NULL;
}

static void
listen_at(struct hypervisor *h, int port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((guint16)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 8) == 0)
		epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
start(struct hypervisor_call *call)
{
	struct hypervisor *h = call->hypervisor;
	int ssh_port, secrets_port;
	const char *forwards = strstr(call->text, ",hostfwd=tcp:");
	if (!forwards ||
	    sscanf(forwards, ",hostfwd=tcp:127.0.0.1:%d-:22,hostfwd=tcp:127.0.0.1:%d-:", &ssh_port,
		   &secrets_port) != 2) {
		g_set_error(&call->error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_LIBVIRT,
			    "no forwards in the domain's XML");
		return;
	}
	listen_at(h, secrets_port);
	g_autofree char *port = g_strdup_printf("%d", ssh_port);
	g_autofree char *host_key = g_strdup_printf("%s/%s/secrets/etc/ssh/ssh_host_ed25519_key",
						    h->state_directory, call->name);
	g_autofree char *keys = g_strdup_printf("AuthorizedKeysFile=%s/%s/offload_key.pub",
						h->state_directory, call->name);
	/* The daemon knows a QEMU by its -uuid, and sshd would take none: its parent has it. */
	const char *argv[] = {"/bin/sh",
			      "-c",
			      "shift 2; setpriv --pdeathsig KILL \"$@\" & wait",
			      "guest",
			      "-uuid",
			      call->uuid,
			      SSHD,
			      "-D",
			      "-f",
			      "/dev/null",
			      "-p",
			      port,
			      "-h",
			      host_key,
			      "-o",
			      keys,
			      "-o",
			      "ListenAddress=127.0.0.1",
			      "-o",
			      "StrictModes=no",
			      "-o",
			      "PidFile=none",
			      "-o",
			      "UsePAM=no",
			      NULL};
	/* QEMU's, which has it open; what is not there is looked for again and again. */
	g_autofree char *console =
	    g_strdup_printf("%s/%s/console.log", h->state_directory, call->name);
	if (!g_file_set_contents(console, "", 0, &call->error))
		return;
	g_spawn_async(NULL, (char **)argv, NULL,
		      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
			  G_SPAWN_STDERR_TO_DEV_NULL,
		      NULL, NULL, &call->pid, &call->error);
}

static void
call_work(void *data)
{
	struct hypervisor_call *call = data;
	if (call->text)
		start(call);
}

static void
call_done(void *data)
{
	struct hypervisor_call *call = data;
	struct hypervisor *h = call->hypervisor;
	g_autoptr(GPtrArray) none = g_ptr_array_new();
	const struct hypervisor_result result = {
	    .error = call->error, .text = "", .id = call->pid, .pid = call->pid, .domains = none};
	pid_t runs = call->uuid ? GPOINTER_TO_INT(g_hash_table_lookup(h->pids, call->uuid)) : 0;
	if (call->pid)
		g_hash_table_insert(h->pids, g_strdup(call->uuid), GINT_TO_POINTER(call->pid));
	if (call->ends && runs) {
		const struct hypervisor_qemu qemu = {.uuid = call->uuid, .id = runs};
		kill(runs, SIGKILL);
		g_hash_table_remove(h->pids, call->uuid);
		h->event(HYPERVISOR_STOPPED, &qemu, "it was ended", h->data);
	}
	if (call->done)
		call->done(&result, call->data);
}

static void
call_free(void *data)
{
	struct hypervisor_call *call = data;
	g_free(call->name);
	g_free(call->uuid);
	g_free(call->text);
	g_clear_error(&call->error);
	g_free(call);
}

static struct hypervisor_call *
call_run(struct hypervisor *h, const char *name, const char *uuid, const char *xml, gboolean ends,
	 hypervisor_fn done, void *data)
{
	struct hypervisor_call *call = g_new0(struct hypervisor_call, 1);
	call->hypervisor = h;
	call->name = g_strdup(name);
	call->uuid = g_strdup(uuid);
	call->text = g_strdup(xml);
	call->ends = ends;
	call->done = done;
	call->data = data;
	call->task = task_run(h->tasks, call_work, call_done, call_free, call);
	return call;
}

struct hypervisor *
hypervisor_new(struct tasks *tasks, const char *uri, const char *state_directory,
	       const char *runtime_directory, const struct qemu_user *user,
	       hypervisor_event_fn event, void *data, GError **error)
{
	struct hypervisor *h = g_new0(struct hypervisor, 1);
	h->tasks = tasks;
	h->state_directory = g_strdup(state_directory);
	h->event = event;
	h->data = data;
	h->pids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	g_thread_unref(g_thread_new("refuse", refuse, h));
	return h;
}

gboolean
hypervisor_renew(struct hypervisor *h, GError **error)
{
	return TRUE;
}

void
hypervisor_leave(struct hypervisor *h)
{
}

gboolean
hypervisor_embedded(const struct hypervisor *h)
{
	return TRUE;
}

const char *
hypervisor_logs(const struct hypervisor *h)
{
	return NULL;
}

gboolean
hypervisor_of_system(const struct hypervisor *h)
{
	return FALSE;
}

struct hypervisor_call *
hypervisor_start(struct hypervisor *h, const char *name, const char *uuid, const char *xml,
		 hypervisor_fn done, void *data)
{
	return call_run(h, name, uuid, xml, FALSE, done, data);
}

struct hypervisor_call *
hypervisor_destroy(struct hypervisor *h, const struct hypervisor_qemu *qemu, hypervisor_fn done,
		   void *data)
{
	return call_run(h, NULL, qemu->uuid, NULL, TRUE, done, data);
}

struct hypervisor_call *
hypervisor_power_button(struct hypervisor *h, const struct hypervisor_qemu *qemu,
			hypervisor_fn done, void *data)
{
	return call_run(h, NULL, qemu->uuid, NULL, TRUE, done, data);
}

struct hypervisor_call *
hypervisor_monitor(struct hypervisor *h, const struct hypervisor_qemu *qemu, const char *command,
		   hypervisor_fn done, void *data)
{
	return call_run(h, NULL, qemu->uuid, NULL, FALSE, done, data);
}

/* They all run. */
struct hypervisor_call *
hypervisor_look(struct hypervisor *h, const struct hypervisor_qemu *qemu, hypervisor_fn done,
		void *data)
{
	return call_run(h, NULL, qemu->uuid, NULL, FALSE, done, data);
}

struct hypervisor_call *
hypervisor_resume(struct hypervisor *h, const struct hypervisor_qemu *qemu, hypervisor_fn done,
		  void *data)
{
	return call_run(h, NULL, qemu->uuid, NULL, FALSE, done, data);
}

/* They have no disk, so nothing is saved or loaded. */
struct hypervisor_call *
hypervisor_save(struct hypervisor *h, const struct hypervisor_qemu *qemu, const char *tag,
		gboolean stay, hypervisor_fn done, void *data)
{
	return call_run(h, NULL, qemu->uuid, NULL, FALSE, done, data);
}

struct hypervisor_call *
hypervisor_load(struct hypervisor *h, const struct hypervisor_qemu *qemu, const char *tag,
		hypervisor_fn done, void *data)
{
	return call_run(h, NULL, qemu->uuid, NULL, FALSE, done, data);
}

struct hypervisor_call *
hypervisor_drop(struct hypervisor *h, const struct hypervisor_qemu *qemu, const char *tag,
		hypervisor_fn done, void *data)
{
	return call_run(h, NULL, qemu->uuid, NULL, FALSE, done, data);
}

struct hypervisor_call *
hypervisor_list(struct hypervisor *h, hypervisor_fn done, void *data)
{
	return call_run(h, NULL, NULL, NULL, FALSE, done, data);
}

void
hypervisor_forget(struct hypervisor_call *call)
{
	if (call)
		task_forget(call->task);
}
