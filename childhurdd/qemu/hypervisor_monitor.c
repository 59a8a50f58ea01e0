/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What one QEMU is asked and told through its monitor: whether its guest runs, to go on, to save,
 * load and drop a state, and the commands that the daemon gives as text. All of it runs in workers.
 * The calls themselves are in hypervisor.c.
 *
 * QEMU's manual, "QEMU Monitor" and "QEMU QMP Reference Manual". A QEMU that its guest controls may
 * answer anything.
 */
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt-qemu.h>

#include "childhurdd/qemu/hypervisor_internal.h"
#include "config/base/text.h"

/* ms after which a resumed guest is looked at: the cause of its pause may come again */
#define RESUME_SETTLE 200
/* characters of QEMU's own words that go into a message */
#define MONITOR_WORDS_MAX 400

/* QEMU's answer to a command of its machine protocol (QMP); NULL: an error. */
static JsonNode *
ask_qemu(virDomainPtr domain, const char *command, GError **error)
{
	char *answer = NULL;
	if (virDomainQemuMonitorCommand(domain, command, &answer, 0) < 0) {
		hypervisor_set_error(error, "QEMU's monitor");
		return NULL;
	}
	JsonNode *node = json_from_string(answer, error);
	free(answer);
	return node;
}

/* The disks' io-status in query-block (qapi/block-core.json) distinguishes a lack of space from
 * other errors. */
static enum hypervisor_running
disk_error(virDomainPtr domain, GError **error)
{
	g_autoptr(JsonNode) node = ask_qemu(domain, "{\"execute\":\"query-block\"}", error);
	g_autofree char *text = node ? json_to_string(node, FALSE) : NULL;
	return text && strstr(text, "\"io-status\":\"nospace\"") ? HYPERVISOR_NO_ROOM
								 : HYPERVISOR_IO_ERROR;
}

/* Whether the guest runs, by QEMU's RunState (qapi/run-state.json). */
static void
do_look(virDomainPtr domain, struct hypervisor_call *call)
{
	static const char *const others[] = {
	    "paused",	   "suspended",	     "save-vm", "restore-vm", "prelaunch", "inmigrate",
	    "postmigrate", "finish-migrate", "colo",	"debug",      NULL};
	g_autoptr(JsonNode) node = ask_qemu(domain, "{\"execute\":\"query-status\"}", &call->error);
	if (!node || !JSON_NODE_HOLDS_OBJECT(node))
		return;
	JsonNode *status = json_object_get_member(json_node_get_object(node), "return");
	call->answer = g_strdup(status && JSON_NODE_HOLDS_OBJECT(status)
				    ? hypervisor_member(json_node_get_object(status), "status")
				    : "");
	if (!strcmp(call->answer, "io-error"))
		call->running = disk_error(domain, &call->error);
	else if (!strcmp(call->answer, "internal-error") || !strcmp(call->answer, "guest-panicked"))
		call->running = HYPERVISOR_BROKEN;
	else if (g_strv_contains(others, call->answer))
		call->running = HYPERVISOR_SUSPENDED;
	else /* running; shutdown, after which it ends; watchdog */
		call->running = HYPERVISOR_RUNS;
}

static void
do_resume(virDomainPtr domain, struct hypervisor_call *call)
{
	if (virDomainResume(domain) < 0) {
		hypervisor_set_error(&call->error, "the guest cannot go on");
		return;
	}
	g_usleep(RESUME_SETTLE * 1000);
	do_look(domain, call);
}

/* One command of the human monitor; its answer. */
static char *
ask_human(virDomainPtr domain, const char *command, GError **error)
{
	char *answer = NULL;
	if (virDomainQemuMonitorCommand(domain, command, &answer,
					VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0) {
		hypervisor_set_error(error, "QEMU's monitor");
		return NULL;
	}
	char *text = g_strdup(answer ? answer : "");
	free(answer);
	return text;
}

/* A command that says something only when it fails. */
static gboolean
tell_human(virDomainPtr domain, const char *verb, const char *tag, GError **error)
{
	g_autofree char *command = g_strconcat(verb, tag ? " " : NULL, tag, NULL);
	g_autofree char *answer = ask_human(domain, command, error);
	if (!answer || !*g_strstrip(answer))
		return answer != NULL;
	g_auto(GStrv) lines = g_strsplit(answer, "\r\n", -1);
	g_autofree char *text = g_strjoinv("\n", lines);
	g_autofree char *words = text_said(text, "Error: ", "; ", MONITOR_WORDS_MAX);
	g_set_error(error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR, "QEMU's %s: %s", verb,
		    words);
	return FALSE;
}

/*
 * The human monitor's commands, not the jobs of the machine protocol: those want the names of the
 * disk's nodes, which libvirt chooses, and leave a job behind that has to be asked for and
 * dismissed.
 */
static void
do_save(virDomainPtr domain, struct hypervisor_call *call)
{
	if (call->kind == CALL_SAVE) {
		tell_human(domain, "savevm", call->text, &call->error);
		return;
	}
	/* between the save and the end of QEMU the guest would write what is then lost */
	call->stays = tell_human(domain, "stop", NULL, &call->error) &&
		      tell_human(domain, "savevm", call->text, &call->error);
	if (!call->stays)
		tell_human(domain, "cont", NULL, NULL);
}

static void
do_drop(virDomainPtr domain, struct hypervisor_call *call)
{
	if (!tell_human(domain, "delvm", call->text, &call->error) &&
	    strstr(call->error->message, "find snapshot"))
		g_clear_error(&call->error);
}

void
hypervisor_use_monitor(virDomainPtr domain, struct hypervisor_call *call)
{
	switch (call->kind) {
	case CALL_LOOK:
		do_look(domain, call);
		break;
	case CALL_RESUME:
		do_resume(domain, call);
		break;
	case CALL_SAVE:
	case CALL_SAVE_AND_STAY:
		do_save(domain, call);
		break;
	case CALL_LOAD:
		call->stays = !tell_human(domain, "loadvm", call->text, &call->error);
		break;
	case CALL_DROP:
		do_drop(domain, call);
		break;
	default:
		call->answer = ask_human(domain, call->text, &call->error);
		break;
	}
}
