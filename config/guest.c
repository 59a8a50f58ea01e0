/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One guest's configuration: compared with another, and as text that outlives the daemon. An unset
 * key without a default is "" in that text, to tell it from a key that the daemon that wrote it did
 * not know.
 */
#include "config/config.h"

#include <string.h>

#include "config/keys.h"
#include "config/value.h"

/* Is it a guest's key? */
static gboolean
is_guests(const struct key *key)
{
	return key_is_of(key, KEY_GUEST) && strcmp(key->name, "count");
}

const struct config_guest *
config_guest_ref(const struct config_guest *guest)
{
	if (guest && guest->owners)
		((struct config_guest *)guest)->owners++;
	return guest;
}

void
config_guest_unref(const struct config_guest *owned)
{
	struct config_guest *guest = (struct config_guest *)owned;
	if (!guest || !guest->owners || --guest->owners)
		return;
	for (gsize i = 0; i < n_keys; i++)
		if (is_guests(&keys[i]))
			value_clear(&keys[i], guest);
	g_free(guest->name);
	g_free(guest->template);
	g_free(guest->file);
	g_free(guest);
}

char **
config_guest_differences(const struct config_guest *a, const struct config_guest *b)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (gsize i = 0; i < n_keys; i++)
		if (is_guests(&keys[i]) && !value_equal(&keys[i], a, b))
			g_strv_builder_add(builder, keys[i].name);
	return g_strv_builder_end(builder);
}

char **
config_guest_words(const struct config_guest *guest)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (gsize i = 0; i < n_keys; i++) {
		g_autofree char *text = is_guests(&keys[i]) ? value_text(&keys[i], guest) : NULL;
		if (text)
			g_strv_builder_add_many(builder, keys[i].name, text, NULL);
	}
	return g_strv_builder_end(builder);
}

static const char *
find_word(const char *const *words, const char *key)
{
	for (; *words && words[1]; words += 2)
		if (!strcmp(*words, key))
			return words[1];
	return NULL;
}

/* The text of value_text; "" means unset if the key has no default. */
static gboolean
set_again(const struct key *key, const char *text, struct config_guest *guest)
{
	if (!*text && !key->standard)
		return TRUE;
	if (!key_is_repeated(key)) {
		g_autofree char *what = value_set(key, text, "/", guest);
		return !what;
	}
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_autofree char *what = value_set(key, *line, "/", guest);
		if (what)
			return FALSE;
	}
	return TRUE;
}

struct config_guest *
config_guest_from(const char *name, const char *const *words, const struct config_guest *other)
{
	struct config_guest *guest = g_new0(struct config_guest, 1);
	gboolean good = TRUE;
	guest->owners = 1;
	guest->name = g_strdup(name);
	guest->template = g_strdup(name);
	guest->file = g_strdup("");
	for (gsize i = 0; i < n_keys && good; i++) {
		if (!is_guests(&keys[i]))
			continue;
		const char *text = find_word(words, keys[i].name);
		g_autofree char *others = !text && other ? value_text(&keys[i], other) : NULL;
		if (!text)
			text = others ? others : keys[i].standard ? keys[i].standard : "";
		good = set_again(&keys[i], text, guest);
	}
	if (!guest->modules)
		guest->modules = g_ptr_array_new();
	if (!guest->forwards)
		guest->forwards = g_ptr_array_new();
	if (good && guest->ssh_port && guest->secrets_port)
		return guest;
	config_guest_unref(guest);
	return NULL;
}

const char *
config_guest_reached_at(const struct config_guest *guest)
{
	return strcmp(guest->listen_address, "0.0.0.0") ? guest->listen_address : "127.0.0.1";
}

GArray *
config_guest_ports(const struct config_guest *guest)
{
	const struct config_port own[] = {
	    {"ssh-port", guest->listen_address, guest->ssh_port},
	    {"secrets-port", SECRETS_ADDRESS, guest->secrets_port},
	};
	GArray *ports = g_array_new(FALSE, FALSE, sizeof(struct config_port));
	g_array_append_vals(ports, own, G_N_ELEMENTS(own));
	for (guint i = 0; i < guest->forwards->len; i++) {
		const struct config_forward *forward = g_ptr_array_index(guest->forwards, i);
		struct config_port port = {
		    "forward", forward->address ? forward->address : guest->listen_address,
		    forward->host_port};
		g_array_append_val(ports, port);
	}
	return ports;
}

gboolean
config_port_meets(const struct config_port *a, const struct config_port *b)
{
	return a->port == b->port &&
	       (!strcmp(a->address, b->address) || !strcmp(a->address, "0.0.0.0") ||
		!strcmp(b->address, "0.0.0.0"));
}
