/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts as values: names and addresses that go into the configuration of ssh, into Scheme, and to
 * the resolver. */
#include "config/value_internal.h"

#include <string.h>

#define HOST_MAX 253 /* bytes; RFC 1035, 2.3.4, without the last dot */
#define SSH_PORT 22

/* A name, or an IPv4 or IPv6 address, perhaps with a zone (RFC 4007), without brackets. */
static gboolean
host_is_good(const char *text)
{
	static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.:%";
	return (g_ascii_isalnum(*text) || *text == ':') && strspn(text, letters) == strlen(text) &&
	       strlen(text) <= HOST_MAX;
}

char *
value_set_host(const char *text, char **field)
{
	if (!*text)
		return g_strdup("has no value; give it one, or leave the key out");
	if (!host_is_good(text))
		return value_wrong(text, "is not a host's name or address, as build1.example.org, "
					 "192.0.2.1 or 2001:db8::1");
	g_free(*field);
	*field = g_strdup(text);
	return NULL;
}

/* The number of a port, which is all of the text; 0: it is none. */
static int
port_of(const char *text)
{
	guint64 port;
	return g_ascii_string_to_unsigned(text, 10, 1, 65535, &port, NULL) ? (int)port : 0;
}

gboolean
value_split_ssh(const char *text, char **user, char **host, int *port)
{
	const char *at = strchr(text, '@'), *begin = at ? at + 1 : text;
	gboolean bracket = *begin == '[';
	const char *end = bracket ? strchr(begin, ']') : begin + strcspn(begin, ":");
	if (!at || !end)
		return FALSE;
	const char *behind = bracket ? end + 1 : end;
	g_autofree char *who = g_strndup(text, (gsize)(at - text));
	g_autofree char *where = g_strndup(begin + bracket, (gsize)(end - begin - bracket));
	*port = *behind == ':' ? port_of(behind + 1) : *behind ? 0 : SSH_PORT;
	if (!value_is_account(who) || !host_is_good(where) || !*port ||
	    (bracket && !strchr(where, ':')))
		return FALSE;
	*user = g_steal_pointer(&who);
	*host = g_steal_pointer(&where);
	return TRUE;
}

char *
value_set_ssh(const char *text, char **field)
{
	g_autofree char *user = NULL, *host = NULL;
	int port;
	const char *at = strchr(text, '@');
	if (at && at[1] != '[' && strchr(at, ':') != strrchr(at, ':'))
		return value_wrong(text, "is not clear; an IPv6 address is in brackets, as "
					 "farm@[2001:db8::1] or farm@[2001:db8::1]:22");
	if (!value_split_ssh(text, &user, &host, &port))
		return value_wrong(text, "is not USER@HOST or USER@HOST:PORT, as "
					 "farm@build1.example.org or root@192.0.2.1:2222");
	g_free(*field);
	*field = g_strdup(text);
	return NULL;
}
