/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hird's data as the interface's types. Times become seconds, unknown numbers null. Text from a
 * guest (its console, its banner) may have any bytes, and is made valid UTF-8.
 */
#include <math.h>

#include "service/control/internal.h"

void
json_set_text(JsonObject *object, const char *name, const char *text)
{
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
	if (valid)
		json_object_set_string_member(object, name, valid);
	else
		json_object_set_null_member(object, name);
}

/* For members that are not optional. */
static void
set_string(JsonObject *object, const char *name, const char *text)
{
	json_set_text(object, name, text ? text : "");
}

static void
set_number(JsonObject *object, const char *name, gboolean known, double value)
{
	if (known && isfinite(value))
		json_object_set_double_member(object, name, value);
	else
		json_object_set_null_member(object, name);
}

static void
set_integer(JsonObject *object, const char *name, gboolean known, gint64 value)
{
	if (known)
		json_object_set_int_member(object, name, value);
	else
		json_object_set_null_member(object, name);
}

/* For members that are absent instead of false. */
static void
set_if(JsonObject *object, const char *name, gboolean is_so)
{
	if (is_so)
		json_object_set_boolean_member(object, name, TRUE);
}

static double
seconds(gint64 microseconds)
{
	return (double)microseconds / 1e6;
}

JsonArray *
strings_json(const char *const *strings)
{
	JsonArray *array = json_array_new();
	for (; strings && *strings; strings++) {
		g_autofree char *valid = g_utf8_make_valid(*strings, -1);
		json_array_add_string_element(array, valid);
	}
	return array;
}

JsonObject *
guest_json(const struct control_guest *guest)
{
	JsonObject *o = json_object_new();
	set_string(o, "name", guest->name);
	set_string(o, "state", guest->state);
	json_object_set_double_member(o, "since", seconds(guest->since));
	json_set_text(o, "why", guest->why);
	json_set_text(o, "phase", guest->phase);
	json_object_set_boolean_member(o, "published", guest->published);
	json_object_set_boolean_member(o, "autostart", guest->autostart);
	set_if(o, "autostart_asleep", guest->autostart_asleep);
	set_if(o, "taken_over", guest->taken_over);
	set_if(o, "drained", guest->drained && guest->builds <= 0);
	set_if(o, "undecided", guest->undecided);
	set_if(o, "persistent", guest->persistent);
	set_string(o, "address", guest->listen_address);
	json_object_set_int_member(o, "port", guest->ssh_port);
	set_integer(o, "builds", guest->builds >= 0, guest->builds);
	json_object_set_int_member(o, "slots", guest->slots);
	json_object_set_int_member(o, "memory", guest->memory);
	json_object_set_int_member(o, "restarts", guest->restarts);
	return o;
}

static JsonArray *
steps_json(const struct control_step *steps, gsize n)
{
	JsonArray *array = json_array_new();
	for (gsize i = 0; i < n; i++) {
		JsonObject *o = json_object_new();
		set_string(o, "name", steps[i].name);
		set_string(o, "result", steps[i].result);
		set_number(o, "seconds", steps[i].ms >= 0, (double)steps[i].ms / 1000);
		json_array_add_object_element(array, o);
	}
	return array;
}

static JsonObject *
warm_json(const struct control_guest *guest)
{
	JsonObject *o = json_object_new();
	json_object_set_int_member(o, "saved", guest->warm_saved);
	return o;
}

JsonObject *
details_json(const struct control_guest *guest)
{
	JsonObject *o = json_object_new();
	json_object_set_object_member(o, "guest", guest_json(guest));
	set_integer(o, "pid", guest->pid != 0, guest->pid);
	json_set_text(o, "acceleration", guest->acceleration);
	set_number(o, "cpu", guest->pid != 0 && guest->cpu >= 0, (double)guest->cpu / 1000);
	set_number(o, "next_try", guest->next_try != 0, seconds(guest->next_try));
	set_number(o, "deadline", guest->deadline != 0, seconds(guest->deadline));
	set_string(o, "user", guest->user);
	set_string(o, "admin_user", guest->admin_user);
	set_string(o, "private_key", guest->private_key);
	set_string(o, "known_hosts", guest->known_hosts);
	set_string(o, "console_log", guest->console_log);
	json_set_text(o, "banner", guest->banner);
	set_number(o, "probed", guest->probed != 0, seconds(guest->probed));
	json_object_set_array_member(o, "steps", steps_json(guest->steps, guest->n_steps));
	set_number(o, "skew", TRUE, guest->skew);
	set_number(o, "skew_within", TRUE, guest->skew_within);
	set_number(o, "load", TRUE, guest->load);
	set_integer(o, "disk_free", guest->disk_free >= 0, guest->disk_free);
	set_integer(o, "store_free", guest->store_free >= 0, guest->store_free);
	if (guest->warm_saved)
		json_object_set_object_member(o, "warm", warm_json(guest));
	if (guest->warm_off)
		json_set_text(o, "warm_off", guest->warm_off);
	json_set_text(o, "failure", guest->failure);
	json_object_set_array_member(o, "console_tail",
				     strings_json((const char *const *)guest->console_tail));
	json_object_set_array_member(o, "restart_needed",
				     strings_json((const char *const *)guest->restart_needed));
	if (guest->unwritten)
		json_object_set_array_member(o, "unwritten",
					     strings_json((const char *const *)guest->unwritten));
	if (guest->record_damage)
		json_set_text(o, "record_damage", guest->record_damage);
	return o;
}

JsonObject *
ssh_json(const struct control_guest *guest)
{
	JsonObject *o = json_object_new();
	set_string(o, "name", guest->name);
	set_string(o, "state", guest->state);
	json_set_text(o, "why", guest->why);
	json_set_text(o, "phase", guest->phase);
	set_integer(o, "pid", guest->pid != 0, guest->pid);
	set_string(o, "address", guest->listen_address);
	json_object_set_int_member(o, "port", guest->ssh_port);
	set_string(o, "user", guest->admin_user);
	set_string(o, "identity_file", guest->private_key);
	set_string(o, "known_hosts", guest->known_hosts);
	json_object_set_array_member(o, "host_keys", strings_json(guest->host_keys));
	return o;
}

JsonObject *
finding_json(const struct control_finding *finding)
{
	JsonObject *o = json_object_new();
	set_string(o, "result", finding->result);
	set_string(o, "text", finding->text);
	return o;
}

JsonObject *
event_json(const struct kept_event *event)
{
	JsonObject *o = json_object_new();
	json_object_set_int_member(o, "number", event->number);
	json_object_set_double_member(o, "time", seconds(event->time));
	json_set_text(o, "guest", event->guest);
	json_set_text(o, "state", event->state);
	set_if(o, "taken_over", event->taken_over);
	set_string(o, "text", event->text);
	return o;
}

JsonObject *
history_beginning_json(const struct control_hird *hird)
{
	gint64 begun = 0;
	g_autofree char *why =
	    hird->history_beginning ? hird->history_beginning(hird->data, &begun) : NULL;
	if (!why)
		return NULL;
	JsonObject *o = json_object_new();
	json_object_set_double_member(o, "begun", seconds(begun));
	set_string(o, "why", why);
	return o;
}

JsonObject *
node_json(const struct control_node *node)
{
	JsonObject *o = json_object_new();
	set_string(o, "name", node->name);
	set_string(o, "ssh", node->ssh);
	set_string(o, "address", node->address);
	set_string(o, "state", node->state);
	json_object_set_double_member(o, "since", seconds(node->since));
	json_object_set_int_member(o, "ready", node->ready);
	set_integer(o, "guests", node->guests >= 0, node->guests);
	set_integer(o, "builds", node->builds >= 0, node->builds);
	json_set_text(o, "version", node->version);
	set_number(o, "skew", TRUE, node->skew);
	json_set_text(o, "why", node->why);
	return o;
}

JsonObject *
machine_json(const struct published_guest *guest)
{
	JsonObject *o = json_object_new();
	set_string(o, "name", guest->name);
	set_string(o, "host_name", guest->host_name);
	json_object_set_int_member(o, "port", guest->port);
	set_string(o, "user", guest->user);
	set_string(o, "private_key", published_key(guest));
	json_object_set_array_member(o, "host_keys", strings_json(guest->host_keys));
	json_object_set_array_member(o, "systems", strings_json(guest->systems));
	json_object_set_array_member(o, "features", strings_json(guest->features));
	json_object_set_int_member(o, "parallel_builds", guest->parallel_builds);
	json_object_set_double_member(o, "speed", guest->speed);
	json_object_set_double_member(o, "overload_threshold", guest->overload_threshold);
	if (guest->signing_key)
		json_set_text(o, "signing_key", guest->signing_key);
	return o;
}
