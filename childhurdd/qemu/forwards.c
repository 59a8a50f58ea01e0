/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One command of QEMU's monitor after the other: hostfwd_add and hostfwd_remove. */
#include "childhurdd/qemu/forwards.h"

#include <string.h>

#include "childhurdd/qemu/domain.h"

#define ADD    "hostfwd_add " DOMAIN_NETDEV " "
#define REMOVE "hostfwd_remove " DOMAIN_NETDEV " "

struct forwards {
	struct hypervisor *hypervisor;
	struct hypervisor_qemu qemu; /* its uuid is the job's */
	struct hypervisor_call *call;
	GPtrArray *commands;
	guint next; /* the command that follows */
	forwards_fn done;
	void *data;
};

static void run_next(struct forwards *f);

/* A forward that was not there needs no removal. One that was added says nothing. */
static void
on_command(const struct hypervisor_result *result, void *data)
{
	struct forwards *f = data;
	const char *command = g_ptr_array_index(f->commands, f->next - 1);
	g_autofree char *said = g_strstrip(g_strdup(result->text ? result->text : ""));
	f->call = NULL;
	if (result->error || (g_str_has_prefix(command, ADD) && *said)) {
		g_autofree char *text = g_strdup_printf(
		    "%s: %s", command + strlen(ADD), result->error ? result->error->message : said);
		f->done(f, text, f->data);
	} else if (f->next < f->commands->len) {
		run_next(f);
	} else {
		f->done(f, NULL, f->data);
	}
}

static void
run_next(struct forwards *f)
{
	const char *command = g_ptr_array_index(f->commands, f->next++);
	f->call = hypervisor_monitor(f->hypervisor, &f->qemu, command, on_command, f);
}

static void
add(struct forwards *f, const char *forward)
{
	g_ptr_array_add(f->commands, g_strconcat(ADD, forward, NULL));
}

/* It is named by the host's half. */
static void
remove_forward(struct forwards *f, const char *forward)
{
	g_autofree char *host = g_strndup(forward, (gsize)(strstr(forward, "-:") - forward));
	g_ptr_array_add(f->commands, g_strconcat(REMOVE, host, NULL));
}

static struct forwards *
forwards_new(struct hypervisor *hypervisor, const struct hypervisor_qemu *qemu, forwards_fn done,
	     void *data)
{
	struct forwards *f = g_new0(struct forwards, 1);
	f->hypervisor = hypervisor;
	f->qemu = *qemu;
	f->qemu.uuid = g_strdup(qemu->uuid);
	f->commands = g_ptr_array_new_with_free_func(g_free);
	f->done = done;
	f->data = data;
	return f;
}

struct forwards *
forwards_close(struct hypervisor *hypervisor, const struct config_guest *guest,
	       const struct hypervisor_qemu *qemu, forwards_fn done, void *data)
{
	struct forwards *f = forwards_new(hypervisor, qemu, done, data);
	g_auto(GStrv) forwards = domain_forwards(guest);
	g_autofree char *private = domain_private_forward(guest);
	for (char **forward = forwards; *forward; forward++)
		remove_forward(f, *forward);
	remove_forward(f, private); /* an enrollment may have left it */
	add(f, private);
	run_next(f);
	return f;
}

struct forwards *
forwards_open(struct hypervisor *hypervisor, const struct config_guest *guest,
	      const struct hypervisor_qemu *qemu, forwards_fn done, void *data)
{
	struct forwards *f = forwards_new(hypervisor, qemu, done, data);
	g_auto(GStrv) forwards = domain_forwards(guest);
	g_autofree char *private = domain_private_forward(guest);
	remove_forward(f, private);
	for (char **forward = forwards; *forward; forward++)
		add(f, *forward);
	run_next(f);
	return f;
}

void
forwards_free(struct forwards *f)
{
	if (!f)
		return;
	hypervisor_forget(f->call);
	g_ptr_array_unref(f->commands);
	g_free(f->qemu.uuid);
	g_free(f);
}
