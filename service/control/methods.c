/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods of the control socket: their table, and those that need no file of their own. */
#include <string.h>

#include "service/control/internal.h"

#define SERVICE_INTERFACE "org.varlink.service"

/* The interface that every Varlink service has (https://varlink.org/Service). */
static const char service_description[] =
    "# The Varlink Service Interface is provided by every varlink service.\n"
    "interface org.varlink.service\n\n"
    "method GetInfo() -> (vendor: string, product: string, version: string, url: string, "
    "interfaces: []string)\n"
    "method GetInterfaceDescription(interface: string) -> (description: string)\n\n"
    "error InterfaceNotFound (interface: string)\n"
    "error MethodNotFound (method: string)\n"
    "error MethodNotImplemented (method: string)\n"
    "error InvalidParameter (parameter: string)\n"
    "error PermissionDenied ()\n"
    "error ExpectedMore ()\n";

/* --- org.varlink.service --- */

static void
method_get_info(struct request *request)
{
	static const char *const interfaces[] = {SERVICE_INTERFACE, CONTROL_INTERFACE, NULL};
	JsonObject *o = json_object_new();
	json_object_set_string_member(o, "vendor", "childhurd");
	json_object_set_string_member(o, "product", "childhurdd");
	json_object_set_string_member(o, "version", CHILDHURD_VERSION);
	json_object_set_string_member(o, "url", "https://varlink.org/");
	json_object_set_array_member(o, "interfaces", strings_json(interfaces));
	request_reply(request, o, FALSE);
}

static void
method_get_interface_description(struct request *request)
{
	const char *interface = NULL;
	if (!request_string(request, "interface", &interface))
		return;
	if (!interface) {
		request_invalid(request, "interface", NULL);
		return;
	}
	g_autofree char *text = NULL;
	if (strcmp(interface, CONTROL_INTERFACE) == 0)
		text = g_strdup(service_interface);
	else if (strcmp(interface, SERVICE_INTERFACE) == 0)
		text = g_strdup(service_description);
	if (!text) {
		request_fail_with(request, VARLINK_INTERFACE_NOT_FOUND, "interface", interface);
		return;
	}
	JsonObject *o = json_object_new();
	json_object_set_string_member(o, "description", text);
	request_reply(request, o, FALSE);
}

/* --- reading --- */

static void
reply_guests(struct request *request, gboolean details)
{
	const struct control_hird *hird = &request->client->control->hird;
	g_autoptr(GPtrArray) names = request_names(request, TRUE);
	if (!names)
		return;
	JsonArray *guests = json_array_new();
	for (guint i = 0; i < names->len; i++) {
		struct control_guest guest = {0};
		if (hird->describe(hird->data, g_ptr_array_index(names, i), details, &guest))
			json_array_add_object_element(guests, details ? details_json(&guest)
								      : guest_json(&guest));
	}
	JsonObject *o = json_object_new();
	json_object_set_array_member(o, "guests", guests);
	g_auto(GStrv) unwritten = hird->unwritten(hird->data);
	if (*unwritten)
		json_object_set_array_member(o, "unwritten",
					     strings_json((const char *const *)unwritten));
	JsonObject *beginning = history_beginning_json(hird);
	if (beginning)
		json_object_set_object_member(o, "history", beginning);
	request_reply(request, o, FALSE);
}

static void
method_list(struct request *request)
{
	reply_guests(request, FALSE);
}

static void
method_status(struct request *request)
{
	reply_guests(request, TRUE);
}

static void
on_shot(GBytes *png, const GError *error, void *data)
{
	struct later *shot = data;
	if (shot->request && png) {
		request_reply_png(shot->request, png);
	} else if (shot->request) {
		request_not_possible(shot->request, shot->data,
				     error ? error->message : "the hypervisor gave no picture");
	}
	later_free(shot);
}

static void
method_screenshot(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	if (!hird->screenshot) {
		request_unknown(request);
		return;
	}
	char *name = request_name(request);
	if (!name)
		return;
	hird->screenshot(hird->data, name, on_shot, request_later(request, name, g_free));
}

/* What ssh(1) needs to reach a guest. */
static void
method_ssh(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	g_autofree char *name = request_name(request);
	struct control_guest guest = {0};
	if (!name)
		return;
	if (hird->describe(hird->data, name, FALSE, &guest))
		request_reply(request, ssh_json(&guest), FALSE);
	else
		request_fail_with(request, CONTROL_INTERFACE ".NoSuchGuest", "name", name);
}

/* --- changing --- */

static void
on_kept(const char *name, const char *why, void *data)
{
	struct later *order = data;
	if (order->request && name)
		request_fail_for(order->request, CONTROL_INTERFACE ".NotKept", name, why);
	else if (order->request)
		request_reply(order->request, g_steal_pointer(&order->data), FALSE);
	later_free(order);
}

/* Give each guest the command. Reply once the results would survive the daemon's death, or it is
 * known that they would not. An error has the first guest that failed; its text adds the others. */
static void
command(struct request *request, enum control_verb verb)
{
	const struct control_hird *hird = &request->client->control->hird;
	gboolean now = FALSE;
	if (!request_boolean(request, "now", &now))
		return;
	g_autoptr(GPtrArray) names = request_names(request, FALSE);
	if (!names)
		return;
	const char *failed = NULL;
	g_autoptr(GString) why = g_string_new(NULL);
	JsonArray *done = json_array_new();
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autoptr(GError) error = NULL;
		if (hird->command(hird->data, name, verb, now, client_who(request->client),
				  &error)) {
			json_array_add_string_element(done, name);
			continue;
		}
		const char *message = error ? error->message : "refused";
		if (failed)
			g_string_append_printf(why, "; %s: %s", name, message);
		else
			g_string_append(why, message);
		failed = failed ? failed : name;
	}
	if (failed) {
		json_array_unref(done);
		request_not_possible(request, failed, why->str);
		return;
	}
	JsonObject *o = json_object_new();
	json_object_set_array_member(o, "names", done);
	g_ptr_array_add(names, NULL);
	hird->kept(hird->data, (const char *const *)names->pdata, on_kept,
		   request_later(request, o, (GDestroyNotify)json_object_unref));
}

static void
method_start(struct request *request)
{
	command(request, CONTROL_START);
}

static void
method_stop(struct request *request)
{
	command(request, CONTROL_STOP);
}

static void
method_restart(struct request *request)
{
	command(request, CONTROL_RESTART);
}

static void
method_reset(struct request *request)
{
	gboolean cold = FALSE;
	if (request_boolean(request, "cold", &cold))
		command(request, cold ? CONTROL_RESET_COLD : CONTROL_RESET);
}

static void
method_sleep(struct request *request)
{
	command(request, CONTROL_SLEEP);
}

static void
method_drain(struct request *request)
{
	command(request, CONTROL_DRAIN);
}

static void
method_undrain(struct request *request)
{
	command(request, CONTROL_UNDRAIN);
}

static void
on_reloaded(gboolean applied, const char *const *messages, void *data)
{
	struct later *reloading = data;
	JsonObject *o = json_object_new();
	json_object_set_array_member(o, "messages", strings_json(messages));
	if (!reloading->request)
		json_object_unref(o);
	else if (applied)
		request_reply(reloading->request, o, FALSE);
	else
		request_fail(reloading->request, CONTROL_INTERFACE ".ConfigurationErrors", o);
	later_free(reloading);
}

static void
method_reload(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	gboolean dry = FALSE;
	if (request_boolean(request, "dry_run", &dry))
		hird->reload(hird->data, dry, on_reloaded, request_later(request, NULL, NULL));
}

/* --- the table --- */

enum access { READS, CHANGES };

static const struct method {
	const char *interface, *name;
	void (*handle)(struct request *request);
	enum access access;
} methods[] = {
    {SERVICE_INTERFACE, "GetInfo", method_get_info, READS},
    {SERVICE_INTERFACE, "GetInterfaceDescription", method_get_interface_description, READS},
    {CONTROL_INTERFACE, "List", method_list, READS},
    {CONTROL_INTERFACE, "Status", method_status, READS},
    {CONTROL_INTERFACE, "Wait", method_wait, READS},
    {CONTROL_INTERFACE, "Events", method_events, READS},
    {CONTROL_INTERFACE, "Log", method_log, READS},
    {CONTROL_INTERFACE, "History", method_history, READS},
    {CONTROL_INTERFACE, "HistoryScreenshot", method_history_screenshot, READS},
    {CONTROL_INTERFACE, "Screenshot", method_screenshot, READS},
    {CONTROL_INTERFACE, "Machines", method_machines, READS},
    {CONTROL_INTERFACE, "Nodes", method_nodes, READS},
    {CONTROL_INTERFACE, "AskNode", method_ask_node, READS},
    {CONTROL_INTERFACE, "Ssh", method_ssh, READS},
    {CONTROL_INTERFACE, "Check", method_check, READS},
    {CONTROL_INTERFACE, "Metrics", method_metrics, READS},
    {CONTROL_INTERFACE, "ReadOnly", method_read_only, READS},
    {CONTROL_INTERFACE, "Held", method_held, CHANGES},
    {CONTROL_INTERFACE, "Start", method_start, CHANGES},
    {CONTROL_INTERFACE, "Stop", method_stop, CHANGES},
    {CONTROL_INTERFACE, "Restart", method_restart, CHANGES},
    {CONTROL_INTERFACE, "Reset", method_reset, CHANGES},
    {CONTROL_INTERFACE, "Sleep", method_sleep, CHANGES},
    {CONTROL_INTERFACE, "Drain", method_drain, CHANGES},
    {CONTROL_INTERFACE, "Undrain", method_undrain, CHANGES},
    {CONTROL_INTERFACE, "Reload", method_reload, CHANGES},
    {CONTROL_INTERFACE, "Invite", method_invite, CHANGES},
    {CONTROL_INTERFACE, "Console", method_console, CHANGES},
};

gboolean
request_may_pass(const char *full)
{
	for (gsize i = 0; i < G_N_ELEMENTS(methods); i++) {
		const struct method *method = &methods[i];
		g_autofree char *name = g_strdup_printf("%s.%s", method->interface, method->name);
		if (!strcmp(name, full))
			return method->access == READS && method->handle != method_wait &&
			       method->handle != method_ask_node &&
			       method->handle != method_history;
	}
	return FALSE;
}

static gboolean
has_access(struct control_client *client, const struct method *method)
{
	if (method->handle == method_held) /* a coordinator's bridge is for reading only */
		return client_is_trusted(client);
	return method->access == READS || client_may_change(client);
}

static void
deny(struct request *request)
{
	g_autofree char *why =
	    client_is_trusted(request->client)
		? g_strdup_printf("%s changes something, and this connection is for reading only",
				  request->method)
		: g_strdup_printf("%s is for root and members of the group " CONTROL_ADMIN_GROUP
				  ", and you are %s",
				  request->method, client_who(request->client));
	request_fail_with(request, CONTROL_INTERFACE ".PermissionDenied", "why", why);
}

/* Does the interface's description list name as a parameter of method? There it is a word of its
 * own before a colon. */
static gboolean
is_parameter(const char *description, const char *method, const char *name)
{
	g_autofree char *start = g_strdup_printf("\nmethod %s(", method);
	g_autofree char *member = g_strconcat(name, ":", NULL);
	const char *at = strstr(description, start), *end = at ? strstr(at, "->") : NULL;
	for (at = end ? at + strlen(start) - 1 : NULL; at; at++) {
		at = strstr(at, member);
		if (!at || at > end)
			return FALSE;
		if (strchr("(, \n", at[-1]))
			return TRUE;
	}
	return FALSE;
}

/* Refuse unknown parameters. A method that ignored them could do more than was asked for: "name"
 * instead of "names" must not stop all guests. FALSE: answered and gone. */
static gboolean
known_parameters(struct request *request, const char *description)
{
	g_autoptr(GList) names = json_object_get_members(request->message->parameters);
	for (const GList *l = names; l; l = l->next)
		if (!is_parameter(description, request->method, l->data)) {
			request_invalid(request, l->data, NULL);
			return FALSE;
		}
	return TRUE;
}

void
request_dispatch(struct request *request)
{
	const char *full = request->message->method, *dot = strrchr(full, '.');
	g_autofree char *interface = dot ? g_strndup(full, (gsize)(dot - full)) : g_strdup("");
	gboolean known = FALSE;
	request->method = dot ? dot + 1 : full;
	for (gsize i = 0; i < G_N_ELEMENTS(methods); i++) {
		const struct method *method = &methods[i];
		if (strcmp(method->interface, interface) != 0)
			continue;
		known = TRUE;
		if (strcmp(method->name, request->method) != 0)
			continue;
		if (request->message->upgrade && method->handle != method_console)
			request_invalid(request, "upgrade",
					"this method does not lead to another protocol");
		else if (!has_access(request->client, method))
			deny(request);
		else if (known_parameters(request, strcmp(interface, CONTROL_INTERFACE)
						       ? service_description
						       : service_interface))
			method->handle(request);
		return;
	}
	if (known)
		request_fail_with(request, VARLINK_METHOD_NOT_FOUND, "method", full);
	else
		request_fail_with(request, VARLINK_INTERFACE_NOT_FOUND, "interface", interface);
}
