/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Nodes and AskNode: other hosts whose guests this one lists. A call that is passed on to a node
 * can only read there, as the bridge to it is for reading only.
 */
#include <string.h>

#include "service/control/internal.h"

void
method_nodes(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	gsize n = 0;
	const struct control_node *nodes = hird->nodes ? hird->nodes(hird->data, &n) : NULL;
	JsonArray *all = json_array_new();
	for (gsize i = 0; i < n; i++)
		json_array_add_object_element(all, node_json(&nodes[i]));
	JsonObject *o = json_object_new();
	json_object_set_array_member(o, "nodes", all);
	request_reply(request, o, FALSE);
}

static void
on_answer(JsonObject *answer, const char *error, const char *why, void *data)
{
	struct later *asking = data;
	if (asking->request && answer && error) {
		request_fail(asking->request, error, json_object_ref(answer));
	} else if (asking->request && answer) {
		JsonObject *o = json_object_new();
		json_object_set_object_member(o, "answer", json_object_ref(answer));
		request_reply(asking->request, o, FALSE);
	} else if (asking->request) {
		request_not_possible(asking->request, asking->data, why);
	}
	later_free(asking);
}

/* The parameter `parameters`, or an empty object. The caller unrefs. NULL: answered and gone. */
static JsonObject *
take_parameters(struct request *request)
{
	JsonNode *node = json_object_get_member(request->message->parameters, "parameters");
	if (!node || JSON_NODE_HOLDS_NULL(node))
		return json_object_new();
	if (JSON_NODE_HOLDS_OBJECT(node))
		return json_object_ref(json_node_get_object(node));
	request_invalid(request, "parameters", NULL);
	return NULL;
}

void
method_ask_node(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	const char *node = NULL, *method = NULL;
	if (!request_string(request, "node", &node) || !request_string(request, "method", &method))
		return;
	if (!node || !method) {
		request_invalid(request, node ? "method" : "node", NULL);
		return;
	}
	/* A report would count as one of this host, and a call that waits would keep others out. */
	if (!request_may_pass(method)) {
		request_invalid(request, "method", "not a method that reads and replies at once");
		return;
	}
	JsonObject *parameters = take_parameters(request);
	if (!parameters)
		return;
	struct later *later = request_later(request, g_strdup(node), g_free);
	if (hird->ask_node &&
	    hird->ask_node(hird->data, node, method, parameters, on_answer, later))
		return;
	if (!hird->ask_node)
		json_object_unref(parameters);
	request_fail_with(request, CONTROL_INTERFACE ".NoSuchNode", "name", later->data);
	later_free(later);
}
