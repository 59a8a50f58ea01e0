/* SPDX-License-Identifier: GPL-3.0-or-later */
/* childhurdctl status: everything about a guest on one screen, the reason of its state first. */
#include "service/ctl/ctl.h"

#include <math.h>
#include <string.h>

#define EVENTS_SHOWN 5 /* of a guest */

/* Print a line with a label. Takes over text. */
static void
line(const char *label, char *text)
{
	printf("  %-10s %s\n", label, text);
	g_free(text);
}

static void
print_head(JsonObject *guest, double now)
{
	const char *state = ctl_state_word(guest);
	g_autofree char *name = ctl_clean(ctl_text(guest, "name"), TRUE);
	g_autofree char *plain = ctl_clean(state ? state : "?", TRUE);
	g_autofree char *shown = ctl_coloured(plain, plain);
	g_autofree char *why = ctl_clean(ctl_text(guest, "why"), TRUE);
	double since = ctl_number(guest, "since", now);
	g_autofree char *time = ctl_time(since, now), *age = ctl_duration(now - since);
	printf("%s: %s%s%s (for %s, since %s)\n", name, shown, *why ? ": " : "", why, age, time);
}

static void
print_phase(JsonObject *guest, JsonObject *details, double now)
{
	g_autofree char *phase = ctl_clean(ctl_text(guest, "phase"), TRUE);
	double deadline = ctl_number(details, "deadline", 0),
	       next = ctl_number(details, "next_try", 0);
	if (*phase)
		line("now", g_strdup(phase));
	if (deadline > 0) {
		g_autofree char *time = ctl_time(deadline, now),
				*left = ctl_duration(deadline - now);
		line("limit", g_strdup_printf("%s, in %s", time, left));
	}
	if (next > 0) {
		g_autofree char *time = ctl_time(next, now), *left = ctl_duration(next - now);
		line("next try", g_strdup_printf("%s, in %s", time, left));
	}
}

static void
print_addresses(JsonObject *guest, JsonObject *details)
{
	g_autofree char *address = ctl_clean(ctl_text(guest, "address"), TRUE);
	g_autofree char *user = ctl_clean(ctl_text(details, "user"), TRUE);
	g_autofree char *admin = ctl_clean(ctl_text(details, "admin_user"), TRUE);
	double builds = ctl_number(guest, "builds", -1);
	line("published", ctl_flag(guest, "published") ? g_strdup("yes") : g_strdup("no"));
	line("builds", builds < 0 ? g_strdup("unknown") : g_strdup_printf("%.0f running", builds));
	line("ssh", g_strdup_printf("%s port %.0f, user %s, administrator %s", address,
				    ctl_number(guest, "port", 0), user, admin));
}

static void
print_qemu(JsonObject *guest, JsonObject *details)
{
	double pid = ctl_number(details, "pid", 0);
	g_autofree char *memory = ctl_size(ctl_number(guest, "memory", 0));
	g_autofree char *acceleration = ctl_clean(ctl_text(details, "acceleration"), TRUE);
	double n = ctl_number(guest, "restarts", 0);
	g_autofree char *restarts =
	    g_strdup_printf("%.0f automatic restart%s", n, n == 1 ? "" : "s");
	if (pid > 0)
		line("qemu",
		     g_strdup_printf("process %.0f, %s%s%s in memory, %s", pid, acceleration,
				     *acceleration ? ", " : "", memory, restarts));
	else
		line("qemu", g_strdup_printf("does not run, %s", restarts));
}

static void
print_probe(JsonObject *details, double now)
{
	g_autoptr(GPtrArray) steps = ctl_objects(details, "steps");
	double probed = ctl_number(details, "probed", 0);
	g_autofree char *age = ctl_duration(now - probed);
	g_autofree char *banner = ctl_clean(ctl_text(details, "banner"), TRUE);
	line("probe", probed > 0 ? g_strdup_printf("%s ago", age) : g_strdup("none has ended yet"));
	for (guint i = 0; i < steps->len; i++) {
		JsonObject *step = g_ptr_array_index(steps, i);
		g_autofree char *name = ctl_clean(ctl_text(step, "name"), TRUE);
		g_autofree char *result = ctl_clean(ctl_text(step, "result"), TRUE);
		double seconds = ctl_number(step, "seconds", -1);
		if (seconds >= 0)
			printf("  %-10s   %-12s %6.0f ms  %s\n", "", name, seconds * 1000, result);
		else
			printf("  %-10s   %-12s %9s  %s\n", "", name, "", result);
	}
	if (*banner)
		line("banner", g_strdup(banner));
}

static void
print_measures(JsonObject *details)
{
	double within = ctl_number(details, "skew_within", 0);
	double skew = ctl_number(details, "skew", NAN), load = ctl_number(details, "load", NAN);
	if (!isnan(skew))
		line("clock",
		     fabs(skew) <= within
			 ? g_strdup_printf("the host's, within %.1f s", within)
			 : g_strdup_printf("%.1f s %s the host's, give or take %.1f s", fabs(skew),
					   skew < 0 ? "behind" : "ahead of", within));
	if (!isnan(load))
		line("load", g_strdup_printf("%.2f", load));
	double disk = ctl_number(details, "disk_free", -1),
	       store = ctl_number(details, "store_free", -1);
	g_autofree char *on_disk = ctl_size(disk), *in_store = ctl_size(store);
	if (disk >= 0)
		line("free", g_strdup_printf("%s on /%s%s%s", on_disk, store >= 0 ? ", " : "",
					     store >= 0 ? in_store : "",
					     store >= 0 ? " on /gnu/store" : ""));
}

static void
print_warm(JsonObject *details, double now)
{
	JsonObject *warm = ctl_object(details, "warm");
	g_autofree char *off = ctl_clean(ctl_text(details, "warm_off"), TRUE);
	g_autofree char *age = warm ? ctl_duration(now - ctl_number(warm, "saved", now)) : NULL;
	if (*off)
		line("warm state", g_strdup_printf("off: %s", off));
	else
		line("warm state", age ? g_strdup_printf("saved %s ago", age) : g_strdup("none"));
}

static void
print_restart_needed(JsonObject *details)
{
	g_autoptr(GPtrArray) keys = ctl_texts(details, "restart_needed");
	if (!keys->len)
		return;
	g_ptr_array_add(keys, NULL);
	g_autofree char *joined = g_strjoinv(", ", (char **)keys->pdata);
	g_autofree char *clean = ctl_clean(joined, TRUE);
	line("changed", g_strdup_printf("%s; takes effect at the next start", clean));
}

static void
print_unwritten(JsonObject *details)
{
	g_autoptr(GPtrArray) whys = ctl_texts(details, "unwritten");
	for (guint i = 0; i < whys->len; i++) {
		g_autofree char *clean = ctl_clean(g_ptr_array_index(whys, i), TRUE);
		line("unwritten", g_strdup_printf("%s; tried again", clean));
	}
}

static void
print_record_damage(JsonObject *details)
{
	g_autofree char *damage = ctl_clean(ctl_text(details, "record_damage"), TRUE);
	if (*damage)
		line("record", g_strdup(damage));
}

static void
print_console(JsonObject *details)
{
	g_autoptr(GPtrArray) tail = ctl_texts(details, "console_tail");
	g_autofree char *path = ctl_clean(ctl_text(details, "console_log"), TRUE);
	int width = ctl_width();
	g_autofree char *failure = ctl_clean(ctl_text(details, "failure"), TRUE);
	if (*failure)
		line("failure", g_strdup_printf("the last one is in %s", failure));
	line("console", g_strdup(*path ? path : "unknown"));
	for (guint i = 0; i < tail->len; i++) {
		g_autofree char *clean = ctl_clean(g_ptr_array_index(tail, i), TRUE);
		g_autofree char *cut = ctl_cut(clean, width ? MAX(width - 4, 8) : 0);
		printf("  | %s\n", cut);
	}
}

/* Are there few events because an earlier history is lost? */
static void
print_beginning(const struct varlink_message *reply, double now)
{
	double begun;
	g_autofree char *why = ctl_beginning(reply, &begun);
	g_autofree char *time = why ? ctl_time(begun, now) : NULL;
	if (why)
		line("history", g_strdup_printf("begins at %s: %s", time, why));
}

static void
print_details(struct ctl *ctl, JsonObject *details, const struct varlink_message *reply)
{
	JsonObject *guest = ctl_object(details, "guest");
	double now = ctl_now();
	print_head(guest, now);
	print_phase(guest, details, now);
	print_addresses(guest, details);
	print_qemu(guest, details);
	print_probe(details, now);
	print_measures(details);
	print_warm(details, now);
	print_restart_needed(details);
	print_unwritten(details);
	print_record_damage(details);
	const char *name = ctl_text(guest, "name");
	if (ctl_print_last_events(ctl, name, EVENTS_SHOWN, "  events     ") < EVENTS_SHOWN &&
	    name && !strchr(name, '/'))
		print_beginning(reply, now);
	print_console(details);
}

/* Two or three lines a guest, for status without names. */
static void
print_brief(JsonObject *details)
{
	JsonObject *guest = ctl_object(details, "guest");
	double now = ctl_now();
	print_head(guest, now);
	print_phase(guest, details, now);
}

static int
print_status(struct ctl *ctl, GPtrArray *names, GError **error)
{
	/* ctl_expand has reported already which nodes do not answer, and named the guests of all
	 * others. */
	int ignored = CTL_DONE;
	ctl->nodes = FALSE;
	ctl_auto_message reply =
	    ctl_guests(ctl, "org.childhurd.Status", (const char *const *)names->pdata, names->len,
		       &ignored, error);
	if (!reply)
		return CTL_FAILED;
	if (ctl->json)
		return ctl_print_json(reply);
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++) {
		if (ctl->n_arguments && i)
			putchar('\n');
		if (ctl->n_arguments)
			print_details(ctl, g_ptr_array_index(guests, i), reply);
		else
			print_brief(g_ptr_array_index(guests, i));
	}
	if (!ctl->n_arguments)
		ctl_say_unwritten(reply);
	return CTL_DONE;
}

int
ctl_status(struct ctl *ctl, GError **error)
{
	int status = CTL_DONE;
	g_autoptr(GPtrArray) names = ctl_expand(ctl, &status, error);
	if (!names)
		return CTL_FAILED;
	/* For the daemon, an empty list of names means all guests. */
	if (names->len) {
		int printed = print_status(ctl, names, error);
		return printed ? printed : status;
	}
	if (!status && ctl->json)
		puts("{\"guests\":[]}");
	else if (!status)
		puts("no guest is configured");
	return status;
}
