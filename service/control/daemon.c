/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Metrics, Check, Invite and ReadOnly: the methods about the daemon, its host and the connection as
 * a whole. */
#include "service/control/internal.h"

void
method_metrics(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	g_autofree char *text = hird->metrics(hird->data);
	JsonObject *o = json_object_new();
	json_object_set_string_member(o, "content_type", CONTROL_METRICS_TYPE);
	json_set_text(o, "text", text);
	request_reply(request, o, FALSE);
}

static void
on_checked(gboolean good, const struct control_finding *findings, gsize n, void *data)
{
	struct later *looking = data;
	if (looking->request) {
		JsonArray *array = json_array_new();
		for (gsize i = 0; i < n; i++)
			json_array_add_object_element(array, finding_json(&findings[i]));
		JsonObject *o = json_object_new();
		json_object_set_boolean_member(o, "good", good);
		json_object_set_array_member(o, "findings", array);
		request_reply(looking->request, o, FALSE);
	}
	later_free(looking);
}

void
method_check(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	hird->check(hird->data, on_checked, request_later(request, NULL, NULL));
}

static void
on_invited(const struct control_invitation *invitation, const GError *error, void *data)
{
	struct later *inviting = data;
	if (inviting->request && invitation) {
		JsonObject *o = json_object_new();
		json_set_text(o, "name", invitation->name);
		json_set_text(o, "ssh_key", invitation->ssh_key);
		json_set_text(o, "signing_key", invitation->signing_key);
		request_reply(inviting->request, o, FALSE);
	} else if (inviting->request) {
		request_fail_with(inviting->request, CONTROL_INTERFACE ".InviteFailed", "why",
				  error->message);
	}
	later_free(inviting);
}

void
method_invite(struct request *request)
{
	const struct control_hird *hird = &request->client->control->hird;
	if (!hird->invite)
		request_unknown(request);
	else
		hird->invite(hird->data, on_invited, request_later(request, NULL, NULL));
}

void
method_read_only(struct request *request)
{
	request->client->read_only = TRUE;
	request_reply(request, NULL, FALSE);
}
