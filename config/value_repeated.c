/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The values of keys that are given once for each of them: modules and forwards. */
#include "config/value_internal.h"

#include <arpa/inet.h>
#include <string.h>

/* --- modules --- */

static void
module_free(void *data)
{
	struct config_module *module = data;
	g_free(module->file);
	g_free(module->arguments);
	g_free(module);
}

char *
value_add_module(const char *text, const char *folder, GPtrArray **field)
{
	gsize length = strcspn(text, " \t");
	if (!length)
		return g_strdup("has no value; write FILE, or FILE and its arguments");
	if (*field && (*field)->len >= VALUE_MODULES_MAX)
		return g_strdup_printf("one too many; a guest has at most %d modules",
				       VALUE_MODULES_MAX);
	g_autofree char *file = g_strndup(text, length);
	struct config_module *module = g_new0(struct config_module, 1);
	module->file = value_path(file, folder);
	module->arguments = g_strdup(text + length + strspn(text + length, " \t"));
	if (!*field)
		*field = g_ptr_array_new_with_free_func(module_free);
	g_ptr_array_add(*field, module);
	return NULL;
}

gboolean
value_modules_equal(const GPtrArray *a, const GPtrArray *b)
{
	if (a->len != b->len)
		return FALSE;
	for (guint i = 0; i < a->len; i++) {
		const struct config_module *x = a->pdata[i], *y = b->pdata[i];
		if (strcmp(x->file, y->file) || strcmp(x->arguments, y->arguments))
			return FALSE;
	}
	return TRUE;
}

char *
value_modules_text(const GPtrArray *modules)
{
	GString *text = g_string_new(NULL);
	for (guint i = 0; modules && i < modules->len; i++) {
		const struct config_module *module = modules->pdata[i];
		g_string_append_printf(text, "%s%s %s", i ? "\n" : "", module->file,
				       module->arguments);
	}
	return g_string_free(text, FALSE);
}

/* --- forwards --- */

static void
forward_free(void *data)
{
	struct config_forward *forward = data;
	g_free(forward->address);
	g_free(forward);
}

/* A port in decimal digits; 0: it is not one. */
static int
port_of(const char *text)
{
	guint64 port;
	return g_ascii_string_to_unsigned(text, 10, 1, 65535, &port, NULL) ? (int)port : 0;
}

char *
value_add_forward(const char *text, GPtrArray **field)
{
	g_auto(GStrv) sides = g_strsplit(text, "->", -1);
	struct in_addr address;
	if (*field && (*field)->len >= VALUE_FORWARDS_MAX)
		return g_strdup_printf("one too many; a guest has at most %d forwards",
				       VALUE_FORWARDS_MAX);
	if (g_strv_length(sides) != 2)
		return value_wrong(
		    text, "is not a forward; write [ADDRESS:]HOSTPORT -> GUESTPORT, as 8080 -> 80");
	char *host = g_strstrip(sides[0]), *guest = g_strstrip(sides[1]);
	char *colon = strrchr(host, ':');
	if (colon)
		*colon = '\0';
	int host_port = port_of(colon ? colon + 1 : host), guest_port = port_of(guest);
	if (!host_port || !guest_port)
		return value_wrong(text,
				   "has an invalid port; write [ADDRESS:]HOSTPORT -> GUESTPORT "
				   "with ports from 1 to 65535, as 8080 -> 80");
	if (colon && inet_pton(AF_INET, host, &address) != 1)
		return value_wrong(text, "has an address that is not IPv4; QEMU forwards ports at "
					 "IPv4 addresses only, as 127.0.0.1:8080 -> 80");
	struct config_forward *forward = g_new0(struct config_forward, 1);
	forward->address = colon ? g_strdup(host) : NULL;
	forward->host_port = host_port;
	forward->guest_port = guest_port;
	if (!*field)
		*field = g_ptr_array_new_with_free_func(forward_free);
	g_ptr_array_add(*field, forward);
	return NULL;
}

char *
value_forwards_text(const GPtrArray *forwards)
{
	GString *text = g_string_new(NULL);
	for (guint i = 0; forwards && i < forwards->len; i++) {
		const struct config_forward *forward = forwards->pdata[i];
		g_string_append_printf(
		    text, "%s%s%s%d -> %d", i ? "\n" : "", forward->address ? forward->address : "",
		    forward->address ? ":" : "", forward->host_port, forward->guest_port);
	}
	return g_string_free(text, FALSE);
}

gboolean
value_forwards_equal(const GPtrArray *a, const GPtrArray *b)
{
	g_autofree char *x = value_forwards_text(a), *y = value_forwards_text(b);
	return !strcmp(x, y);
}
