/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a node may send to a coordinator: a reply to Machines. What is taken has to be harmless in
 * each of the published files, and has to survive being kept and recalled.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "childhurdd/nodes/offers.h"
#include "service/varlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(gboolean condition)
{
	if (!condition)
		abort();
}

static void
check_text(const char *text)
{
	for (; *text; text++)
		require(*text > ' ' && *text < 0x7f && !strchr("\"'\\()*?,!%#", *text));
}

static void
check_guest(const struct published_guest *guest)
{
	require(g_str_has_prefix(guest->name, "node/") && !guest->host_name && !guest->private_key);
	require(guest->port >= 1 && guest->port <= 65535 && guest->host_keys[0]);
	check_text(guest->name);
	check_text(guest->user);
	for (const char *const *system = guest->systems; *system; system++)
		check_text(*system);
	for (const char *const *feature = guest->features; *feature; feature++)
		check_text(*feature);
}

static void
check_rest(const struct offers *offers)
{
	for (guint i = 0; i < offers->held->len; i++) {
		const struct offers_hold *hold =
		    &g_array_index(offers->held, struct offers_hold, i);
		check_text(hold->guest);
		require(*hold->guest && hold->number >= 0 && hold->port >= 1 &&
			hold->port <= 65535 && hold->parallel_builds >= 1);
	}
	if (offers->version)
		check_text(offers->version);
	require(!(offers->time < 0) && offers->builds >= -1 && offers->present >= -1);
	require(offers->ready <= offers->guests->len);
}

static void
check(const struct offers *offers)
{
	check_rest(offers);
	for (guint i = 0; i < offers->guests->len; i++)
		check_guest(&g_array_index(offers->guests, struct published_guest, i));
	g_autofree char *kept = offers_remember(offers);
	struct offers *again = offers_recall("node", kept);
	require(again && again->guests->len == offers->guests->len && !again->ready);
	g_autofree char *kept_again = offers_remember(again);
	require(!strcmp(kept, kept_again));
	offers_unref(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	struct varlink_message *message = varlink_parse(text, NULL);
	struct offers *offers = message ? offers_parse("node", message->parameters, NULL) : NULL;
	if (offers)
		check(offers);
	offers_unref(offers);
	varlink_message_free(message);
	return 0;
}
