/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can coordinators, here and elsewhere, reach the guests? A guest listens at an address, and is
 * published at a name; nothing else compares the two, and a build for a guest that is not there
 * waits for ever.
 */
#include <string.h>

#include "childhurdd/host/check_parts.h"
#include "childhurdd/world/coordinators.h"

static gboolean
is_loopback(const char *address)
{
	return g_str_has_prefix(address, "127.");
}

/* The address that a published name certainly stands for; NULL: it may be any. */
static const char *
loopback_of(const char *host_name)
{
	if (!strcmp(host_name, "localhost"))
		return "127.0.0.1";
	return is_loopback(host_name) ? host_name : NULL;
}

/* A guest that listens elsewhere than where this host's Guix looks for it. */
static void
check_name(const struct config *config, const struct config_guest *guest,
	   const struct findings *findings)
{
	const char *published = loopback_of(config->host_name);
	if (guest->offloading && published && strcmp(guest->listen_address, "0.0.0.0") &&
	    strcmp(guest->listen_address, published))
		findings_add(findings, "problem",
			     "%s: it listens at %s only, and is published at %s, where Guix does "
			     "not find it; set host-name = %s in [daemon], or a name of that "
			     "address, or listen-address = 0.0.0.0",
			     guest->name, guest->listen_address, config->host_name,
			     guest->listen_address);
}

/* Names with ", " between them. Caller frees. */
static char *
names_of(const struct config *config)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	for (guint i = 0; i < config->coordinators->len; i++) {
		const struct config_coordinator *coordinator = config->coordinators->pdata[i];
		g_strv_builder_add(builder, coordinator->name);
	}
	g_auto(GStrv) names = g_strv_builder_end(builder);
	return g_strjoinv(", ", names);
}

static void
check_signing(const struct config *config, const struct findings *findings)
{
	g_autoptr(GPtrArray) complaints = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) keys = coordinators_signing_keys(config);
	g_strfreev(coordinators_read((const char *const *)keys, complaints));
	for (guint i = 0; i < complaints->len; i++)
		findings_add(findings, "problem", "%s", (char *)complaints->pdata[i]);
}

/* What is in the way of coordinators elsewhere. */
static void
check_elsewhere(const struct config *config, const struct findings *findings)
{
	g_autofree char *names = names_of(config);
	guint used = 0, reached = 0;
	for (guint i = 0; i < config->guests->len; i++) {
		const struct config_guest *guest = config->guests->pdata[i];
		used += guest->offloading;
		reached += guest->offloading && !is_loopback(guest->listen_address);
		if (guest->offloading && !coordinators_use(guest))
			findings_add(findings, "note",
				     "%s: inject = none, so the keys of %s are not put into it; "
				     "put them there yourself, or choose another way",
				     guest->name, names);
	}
	if (!used)
		findings_add(findings, "note",
			     "%s: no guest has offloading = yes, so there is nothing to use; set "
			     "it, or take the coordinators away",
			     names);
	else if (!reached)
		findings_add(findings, "note",
			     "%s: the guests listen at 127.* only, where no other host reaches "
			     "them; set listen-address to an address of this host, or to 0.0.0.0, "
			     "and host-name in [daemon] to the name or address that the "
			     "coordinators know it by",
			     names);
	else if (loopback_of(config->host_name))
		findings_add(findings, "note",
			     "%s: the guests are published at %s, where other hosts reach "
			     "themselves; set host-name in [daemon] to the name or address that "
			     "they know this one by",
			     names, config->host_name);
	else
		findings_add(findings, "ok", "%s: %u of %u guests listen where others reach them",
			     names, reached, used);
}

void
hostcheck_coordinators(const struct config *config, const struct findings *findings)
{
	for (guint i = 0; i < config->guests->len; i++)
		check_name(config, config->guests->pdata[i], findings);
	if (!config->coordinators->len)
		return;
	check_signing(config, findings);
	check_elsewhere(config, findings);
}
