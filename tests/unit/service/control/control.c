/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods of the control socket. */
#include "tests/unit/service/control/bed.h"

#define MORE ",\"more\":true"

/* --- org.varlink.service --- */

BED_TEST(test_introspection)
{
	peer_call(peer, "org.varlink.service.GetInfo", "", "");
	assert_next(
	    peer,
	    "{\"vendor\":\"childhurd\",\"product\":\"childhurdd\",\"version\":\"" CHILDHURD_VERSION
	    "\",\"url\":\"https://varlink.org/\","
	    "\"interfaces\":[\"org.varlink.service\",\"org.childhurd\"]}");
	peer_call(peer, "org.varlink.service.GetInterfaceDescription",
		  "\"interface\":\"org.childhurd\"", "");
	struct varlink_message *m = peer_next(peer);
	const char *text = json_object_get_string_member(m->parameters, "description");
	g_assert_true(g_str_has_prefix(text, "# "));
	g_assert_nonnull(strstr(text, "\ninterface org.childhurd\n"));
	g_assert_true(g_str_has_suffix(text, "\nerror Busy (why: string)\n"));
	varlink_message_free(m);
	peer_call(peer, "org.varlink.service.GetInterfaceDescription",
		  "\"interface\":\"org.varlink.service\"", "");
	assert_next_like(peer, "{\"description\":\"*interface org.varlink.service\\n*");
	peer_call(peer, "org.varlink.service.GetInterfaceDescription",
		  "\"interface\":\"org.other\"", "");
	assert_next(peer, "org.varlink.service.InterfaceNotFound {\"interface\":\"org.other\"}");
	peer_call(peer, "org.varlink.service.GetInterfaceDescription", "", "");
	assert_next_like(peer,
			 "org.varlink.service.InvalidParameter {\"parameter\":\"interface\"*");
}

/* No method of the description is answered with MethodNotFound. */
BED_TEST(test_described_methods)
{
	g_auto(GStrv) lines = g_strsplit(service_interface, "\n", 0);
	int n = 0;
	for (char **line = lines; *line; line++) {
		if (!g_str_has_prefix(*line, "method "))
			continue;
		g_autofree char *name = g_strndup(*line + 7, strcspn(*line + 7, "("));
		gboolean alone = !strcmp(name, "Metrics") || !strcmp(name, "Check") ||
				 !strcmp(name, "Machines") || !strcmp(name, "Nodes") ||
				 !strcmp(name, "Reload") || !strcmp(name, "Invite") ||
				 !strcmp(name, "HistoryScreenshot");
		peer_call(peer, name, alone ? "\"nothing\":7" : "\"names\":7,\"name\":7", "");
		struct varlink_message *m = peer_next(peer);
		g_assert_nonnull(m);
		if (g_strcmp0(m->error, VARLINK_METHOD_NOT_FOUND) == 0)
			g_error("%s is described and not there", name);
		varlink_message_free(m);
		n++;
	}
	g_assert_cmpint(n, ==, 26);
}

BED_TEST(test_unknown)
{
	peer_call(peer, "Explode", "", "");
	assert_next(peer,
		    "org.varlink.service.MethodNotFound {\"method\":\"org.childhurd.Explode\"}");
	peer_call(peer, "org.other.List", "", "");
	assert_next(peer, "org.varlink.service.InterfaceNotFound {\"interface\":\"org.other\"}");
	g_assert_true(peer_send(peer, "{\"method\":\"List\"}", 18));
	assert_next(peer, "org.varlink.service.InterfaceNotFound {\"interface\":\"\"}");
	peer_call(peer, "List", "", ",\"upgrade\":true");
	assert_next_like(peer, "InvalidValue {\"parameter\":\"upgrade\"*");
}

/* "name" for "names" must not stop all guests. */
BED_TEST(test_unknown_parameters)
{
	peer_call(peer, "Stop", "\"name\":\"alpha\"", "");
	assert_next(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"name\"}");
	peer_call(peer, "Stop", "", "");
	assert_next(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"names\"}");
	peer_call(peer, "Stop", "\"names\":[],\"no\":true", "");
	assert_next(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"no\"}");
	peer_call(peer, "Start", "\"names\":[],\"now\":true", "");
	assert_next(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"now\"}");
	peer_call(peer, "org.varlink.service.GetInfo", "\"\":1", "");
	assert_next(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"\"}");
	g_assert_cmpstr(bed->commands->str, ==, "");
	peer_call(peer, "List", "", "");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"alpha\"*");
}

/* --- names --- */

static void
assert_names(struct peer *peer, const char *names, const char *expected)
{
	peer_call(peer, "List", names, "");
	struct varlink_message *m = peer_next(peer);
	g_assert_null(m->error);
	JsonArray *guests = json_object_get_array_member(m->parameters, "guests");
	g_autoptr(GString) got = g_string_new(NULL);
	for (guint i = 0; i < json_array_get_length(guests); i++)
		g_string_append_printf(got, "%s%s", i ? " " : "",
				       json_object_get_string_member(
					   json_array_get_object_element(guests, i), "name"));
	g_assert_cmpstr(got->str, ==, expected);
	varlink_message_free(m);
}

BED_TEST(test_names)
{
	assert_names(peer, "\"names\":[]", "alpha beta1 beta2 gamma");
	assert_names(peer, "", "alpha beta1 beta2 gamma");
	assert_names(peer, "\"names\":null", "alpha beta1 beta2 gamma");
	assert_names(peer, "\"names\":[\"gamma\",\"alpha\",\"gamma\"]", "alpha gamma");
	assert_names(peer, "\"names\":[\"*a\",\"beta[2-9]\",\"alpha\"]", "alpha beta2 gamma");
	assert_names(peer, "\"names\":[\"beta?\"]", "beta1 beta2");
	bed->names[0] = NULL;
	assert_names(peer, "\"names\":[]", "");
}

BED_TEST(test_bad_names)
{
	g_autofree char *pattern = g_strnfill(CONTROL_PATTERN_MAX + 1, '*');
	g_autofree char *longer = g_strdup_printf("\"names\":[\"%s\"]", pattern);
	g_autoptr(GString) many = g_string_new("\"names\":[\"*\"");
	for (int i = 0; i < CONTROL_NAMES_MAX; i++)
		g_string_append(many, ",\"*\"");
	g_string_append(many, "]");
	const char *const bad[] = {
	    "\"names\":\"alpha\"", "\"names\":{}", "\"names\":[1]", "\"names\":[null]",
	    "\"names\":[[]]",	   longer,	   many->str};
	peer_call(peer, "Stop", "\"names\":[\"alpha\",\"delta\"]", "");
	assert_next(peer, "NoSuchGuest {\"name\":\"delta\"}");
	peer_call(peer, "Stop", "\"names\":[\"d*\"]", "");
	assert_next(peer, "NoSuchGuest {\"name\":\"d*\"}");
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		peer_call(peer, "Stop", bad[i], "");
		assert_next_like(peer, bad[i] == longer || bad[i] == many->str
					   ? "InvalidValue {\"parameter\":\"names\",\"why\":*"
					   : "org.varlink.service.InvalidParameter "
					     "{\"parameter\":\"names\"}");
	}
	g_assert_cmpstr(bed->commands->str, ==, "");
}

/* fnmatch backtracks. A pattern that makes it do so must not stop the daemon. */
BED_TEST(test_slow_pattern)
{
	g_autofree char *name = g_strnfill(60, 'a');
	g_autoptr(GString) names = g_string_new("\"names\":[\"");
	for (int i = 0; i < 30; i++)
		g_string_append(names, "*a");
	g_string_append(names, "*b\"]");
	bed->names[0] = name;
	gint64 start = g_get_monotonic_time();
	peer_call(peer, "List", names->str, "");
	assert_next_like(peer, "NoSuchGuest *");
	g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
}

/* --- reading --- */

BED_TEST(test_list)
{
	peer_call(peer, "List", "\"names\":[\"alpha\",\"beta1\",\"gamma\"]", "");
	assert_next(
	    peer,
	    "{\"guests\":["
	    "{\"name\":\"alpha\",\"state\":\"stopped\",\"since\":1.5,\"why\":null,\"phase\":null,"
	    "\"published\":false,\"autostart\":false,\"address\":\"127.0.0.1\",\"port\":10022,"
	    "\"builds\":0,\"slots\":0,\"memory\":"
	    "4096,"
	    "\"restarts\":0},"
	    "{\"name\":\"beta1\",\"state\":\"ready\",\"since\":1.5,\"why\":\"started by root\","
	    "\"phase\":null,\"published\":true,\"autostart\":true,\"address\":\"127.0.0.1\","
	    "\"port\":11022,\"builds\":"
	    "0,"
	    "\"slots\":1,\"memory\":4096,\"restarts\":0},"
	    "{\"name\":\"gamma\",\"state\":\"failed\",\"since\":1.5,\"why\":\"started by root\","
	    "\"phase\":null,\"published\":false,\"autostart\":false,\"address\":\"127.0.0.1\","
	    "\"port\":13022,"
	    "\"builds\":null,\"slots\":3,\"memory\":4096,\"restarts\":0}]}");
}

/* Unknown values and a load that is no number are null. A guest's text need not be UTF-8. */
BED_TEST(test_status)
{
	peer_call(peer, "Status", "\"names\":[\"alpha\"]", "");
	assert_next_like(
	    peer,
	    "{\"guests\":[{\"guest\":{\"name\":\"alpha\"*},\"pid\":null,\"acceleration\":null,"
	    "\"cpu\":null,"
	    "\"next_try\":null,\"deadline\":null,\"user\":\"\",*\"probed\":null,\"steps\":[],"
	    "\"skew\":null,\"skew_within\":null,\"load\":null,\"disk_free\":null,\"store_free\":"
	    "4096,\"failure\":null,"
	    "\"console_tail\":[\"last \357\277\275 line\"],"
	    "\"restart_needed\":[]}]}");
	peer_call(peer, "Status", "\"names\":[\"beta1\"]", "");
	assert_next_like(
	    peer, "*\"pid\":42,*\"steps\":["
		  "{\"name\":\"banner\",\"result\":\"ok\",\"seconds\":0.12*},"
		  "{\"name\":\"command\",\"result\":\"no \357\277\275 answer\",\"seconds\":null}],"
		  "\"skew\":-2.5,\"skew_within\":0.75,\"load\":null,*\"restart_needed\":[\"memory-"
		  "size\"]}]}");
}

/* What is not there is not said, so that a guest without it looks as it did before. */
BED_TEST(test_status_warm)
{
	peer_call(peer, "Status", "\"names\":[\"beta1\"]", "");
	assert_next_like(peer,
			 "*\"store_free\":4096,\"warm\":{\"saved\":1700000000},\"failure\":*");
	peer_call(peer, "Status", "\"names\":[\"beta2\"]", "");
	assert_next_like(peer,
			 "*\"autostart\":false,\"autostart_asleep\":true,*\"store_free\":4096,"
			 "\"warm_off\":\"it failed\",\"failure\":*");
}

BED_TEST(test_machines)
{
	peer_call(peer, "Machines", "", "");
	assert_next_like(
	    peer, "{\"machines\":[{\"name\":\"beta1\",\"host_name\":\"127.0.0.1\",\"port\":11022,"
		  "\"user\":\"offloading\",\"private_key\":\"/var/lib/childhurd/key\","
		  "\"host_keys\":[\"ssh-ed25519 AAAA\"],\"systems\":[\"i586-gnu\"],\"features\":[],"
		  "\"parallel_builds\":1,\"speed\":1.5,\"overload_threshold\":1.8*}],"
		  "\"text\":\"*(build-machine*\"}");
}

/* A list at once, and another one only if it differs; the clock alone is no difference. */
BED_TEST(test_machines_follow)
{
	peer_call(peer, "Machines", "\"follow\":true", "");
	assert_next(peer, "org.varlink.service.ExpectedMore {}");
	peer_call(peer, "Machines", "\"follow\":true", MORE);
	assert_next_like(peer,
			 "+{\"machines\":[{\"name\":\"beta1\",*}],"
			 "\"coming\":[{\"name\":\"beta2\",*}],\"text\":null,\"version\":\"*\","
			 "\"builds\":0,\"guests\":4,\"time\":*}");
	bed_event(bed, 1, NULL, "something that does not count");
	assert_silence(peer);
	bed->machines[1].as = PUBLISHED_READY;
	bed->machines[1].signing_key = "(public-key)";
	bed_event(bed, 2, "ready", "ready");
	assert_next_like(peer, "+{\"machines\":[{\"name\":\"beta1\",*},{\"name\":\"beta2\",*,"
			       "\"signing_key\":\"(public-key)\"}],\"text\":null,*}");
	bed->machines[0].as = bed->machines[1].as = PUBLISHED_NOT;
	bed_event(bed, 2, "stopped", "stopped");
	assert_next_like(peer, "+{\"machines\":[],\"text\":null,*}");
}

static gboolean
is_publishing(void *data)
{
	return ((struct bed *)data)->slow_disk;
}

/* What is not in the files yet is not reported. */
BED_TEST(test_machines_published)
{
	bed->control->hird.publishing = is_publishing;
	peer_call(peer, "Machines", "\"follow\":true", MORE);
	assert_next_like(peer, "+{\"machines\":[{*");
	bed->slow_disk = TRUE;
	bed->machines[0].as = PUBLISHED_NOT;
	bed_event(bed, 1, "draining", "drained");
	assert_silence(peer);
	bed->slow_disk = FALSE;
	bed_event(bed, 1, NULL, NULL);
	assert_next_like(peer, "+{\"machines\":[],\"coming\":*");
}

static gboolean
bed_join(void *data, const char *coordinator)
{
	g_string_append_printf(((struct bed *)data)->commands, "join %s;", coordinator);
	return TRUE;
}

static void
bed_leave(void *data, const char *coordinator)
{
	g_string_append_printf(((struct bed *)data)->commands, "leave %s;", coordinator);
}

static const struct control_hold *
bed_holds(void *data, gsize *n)
{
	static const struct control_hold held = {"beta1", 7, 11022, 2};
	*n = ((struct bed *)data)->pid == 42 ? 0 : 1;
	return &held;
}

static void
bed_report(void *data, const char *coordinator, const char *guest, gint64 number, int builds)
{
	g_string_append_printf(((struct bed *)data)->commands, "%s: %s %d: %d;", coordinator, guest,
			       (int)number, builds);
}

/* A coordinator elsewhere reads which guests are held, and reports on another connection, which may
 * be for reading only. */
BED_TEST(test_coordinator)
{
	struct control_hird *hird = &bed->control->hird;
	struct peer second;
	hird->join = bed_join;
	hird->leave = bed_leave;
	hird->holds = bed_holds;
	hird->report = bed_report;
	peer_call(peer, "Machines", "\"follow\":true,\"coordinator\":\"a b\"", MORE);
	assert_next_like(peer, "InvalidValue *not a name*");
	peer_call(peer, "Machines", "\"follow\":true,\"coordinator\":\"farm\"", MORE);
	assert_next_like(peer, "+{*\"held\":[]*");
	bed->pid++;
	bed_event(bed, 1, NULL, NULL);
	assert_next_like(peer, "+{*\"held\":[{\"name\":\"beta1\",\"number\":7,\"port\":11022,"
			       "\"parallel_builds\":2}]*");
	peer_begin(&second, bed);
	peer_call(&second, "ReadOnly", "", "");
	assert_next(&second, "{}");
	peer_call(&second, "Held", "\"coordinator\":\"farm\",\"name\":\"beta1\",\"number\":7", "");
	assert_next(&second, "org.varlink.service.InvalidParameter {\"parameter\":\"builds\"}");
	peer_call(&second, "Held",
		  "\"coordinator\":\"farm\",\"name\":\"beta1\",\"number\":7,\"builds\":2", "");
	assert_next(&second, "{}");
	peer_end(&second);
	peer_end(peer);
	bed_settle(bed);
	g_assert_cmpstr(bed->commands->str, ==, "join farm;farm: beta1 7: 2;leave farm;");
	peer_begin(peer, bed);
}

/* A user who may only read cannot keep guests from being stopped. */
BED_TEST(test_coordinator_untrusted)
{
	bed->control->hird.join = bed_join;
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*");
	struct control_client *client = g_ptr_array_index(bed->control->clients, 0);
	client->trusted = FALSE;
	peer_call(peer, "Held",
		  "\"coordinator\":\"farm\",\"name\":\"beta1\",\"number\":7,\"builds\":2", "");
	assert_next_like(peer, "PermissionDenied *");
	peer_call(peer, "Machines", "\"follow\":true,\"coordinator\":\"farm\"", MORE);
	assert_next_like(peer, "+{\"machines\":*\"guests\":4,\"time\":*");
	g_assert_cmpstr(bed->commands->str, ==, "");
}

static gboolean
bed_ask_node(void *data, const char *node, const char *method, JsonObject *parameters,
	     control_answer_fn done, void *done_data)
{
	g_string_append_printf(((struct bed *)data)->commands, "%s %s;", node, method);
	json_object_unref(parameters);
	if (strcmp(node, "n1") != 0)
		return FALSE;
	done(NULL, NULL, "it is lost", done_data);
	return TRUE;
}

/* Only what reads at once is passed on: a report would be taken for one of this daemon. */
BED_TEST(test_ask_node)
{
	static const char *const others[] = {"Held", "Wait", "AskNode", "Stop", "Console", "None"};
	bed->control->hird.ask_node = bed_ask_node;
	for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
		g_autofree char *call =
		    g_strdup_printf("\"node\":\"n1\",\"method\":\"org.childhurd.%s\"", others[i]);
		peer_call(peer, "AskNode", call, "");
		assert_next_like(peer, "InvalidValue *reads and replies at once*");
	}
	peer_call(peer, "AskNode", "\"node\":\"n1\",\"method\":\"org.childhurd.List\"", "");
	assert_next(peer, "NotPossible {\"name\":\"n1\",\"why\":\"it is lost\"}");
	peer_call(peer, "AskNode", "\"node\":\"n2\",\"method\":\"org.childhurd.Status\"", "");
	assert_next(peer, "NoSuchNode {\"name\":\"n2\"}");
	g_assert_cmpstr(bed->commands->str, ==, "n1 org.childhurd.List;n2 org.childhurd.Status;");
}

/* Builds begin and end without an event. */
BED_TEST(test_machines_builds)
{
	bed->control->recount = 0.01;
	peer_call(peer, "Machines", "\"follow\":true", MORE);
	assert_next_like(peer, "+{*,\"builds\":0,*");
	bed->guests[1].builds = 3;
	assert_next_like(peer, "+{*,\"builds\":3,*");
}

/* Without a change it comes again, so that a daemon that hangs is noticed. */
BED_TEST(test_machines_beat)
{
	bed->control->recount = bed->control->beat = 0.01;
	peer_call(peer, "Machines", "\"follow\":true", MORE);
	assert_next_like(peer, "+{\"machines\":[{\"name\":\"beta1\",*");
	assert_next_like(peer, "+{\"machines\":[{\"name\":\"beta1\",*");
	assert_next_like(peer, "+{\"machines\":[{\"name\":\"beta1\",*");
}

/* A thousand changes while the client reads nothing: it gets some lists, and the newest. */
BED_TEST(test_machines_slow)
{
	int got = 0;
	peer_call(peer, "Machines", "\"follow\":true", MORE);
	for (int i = 1; i <= 1000; i++) {
		bed->machines[0].port = i;
		bed_event(bed, 1, NULL, NULL);
		bed_settle(bed);
	}
	for (gboolean newest = FALSE; !newest; got++) {
		g_autofree char *text = peer_text(peer);
		g_assert_true(g_str_has_prefix(text, "+{\"machines\":["));
		newest = strstr(text, "\"port\":1000,") != NULL;
	}
	g_assert_cmpint(got, <, 990);
	assert_silence(peer);
}

/* --- changing --- */

BED_TEST(test_verbs)
{
	static const char *const methods[] = {"Start", "Stop",	"Restart", "Reset",
					      "Sleep", "Drain", "Undrain"};
	peer_call(peer, "List", "", "");
	varlink_message_free(peer_next(peer));
	const char *who = client_who(g_ptr_array_index(bed->control->clients, 0));
	for (gsize i = 0; i < G_N_ELEMENTS(methods); i++) {
		g_string_truncate(bed->commands, 0);
		gboolean hurries =
		    g_str_has_prefix(methods[i], "Re") || !strcmp(methods[i], "Stop");
		peer_call(peer, methods[i],
			  hurries ? "\"names\":[\"beta1\"],\"now\":true" : "\"names\":[\"beta1\"]",
			  "");
		assert_next(peer, "{\"names\":[\"beta1\"]}");
		peer_call(peer, methods[i],
			  hurries ? "\"names\":[\"gamma\",\"beta2\"],\"now\":null"
				  : "\"names\":[\"gamma\",\"beta2\"]",
			  "");
		assert_next(peer, "{\"names\":[\"beta2\",\"gamma\"]}");
		g_autofree char *verb = g_ascii_strdown(methods[i], -1);
		g_autofree char *expected =
		    g_strdup_printf("%s beta1%s by %s\n%s beta2 by %s\n%s gamma by %s\n", verb,
				    hurries ? " now" : "", who, verb, who, verb, who);
		g_assert_cmpstr(bed->commands->str, ==, expected);
	}
	g_string_truncate(bed->commands, 0);
	peer_call(peer, "Reset", "\"names\":[\"beta1\"],\"cold\":true,\"now\":true", "");
	assert_next(peer, "{\"names\":[\"beta1\"]}");
	g_assert_true(g_str_has_prefix(bed->commands->str, "cool beta1 now by "));
	peer_call(peer, "Reset", "\"names\":[],\"cold\":1", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"cold\"*");
	peer_call(peer, "Sleep", "\"names\":[],\"now\":true", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"now\"*");
	peer_call(peer, "Stop", "\"names\":[],\"now\":1", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"now\"*");
}

BED_TEST(test_not_possible)
{
	bed->stubborn = "beta1";
	peer_call(peer, "Reset", "\"names\":[]", "");
	assert_next(peer, "NotPossible {\"name\":\"beta1\",\"why\":\"it does not want to\"}");
	for (int i = 0; i < BED_GUESTS; i++) {
		g_autofree char *line = g_strdup_printf("reset %s by ", bed->names[i]);
		g_assert_nonnull(strstr(bed->commands->str, line));
	}
	bed->all_stubborn = TRUE;
	peer_call(peer, "Reset", "\"names\":[\"beta*\"]", "");
	assert_next(peer, "NotPossible {\"name\":\"beta1\",\"why\":\"it does not want to; "
			  "beta2: it does not want to\"}");
}

BED_TEST(test_reload)
{
	peer_call(peer, "Reload", "", "");
	assert_next(peer, "ConfigurationErrors {\"messages\":[\"line 3: no such key\"]}");
	bed->reloads = TRUE;
	peer_call(peer, "Reload", "", "");
	assert_next(peer, "{\"messages\":[\"alpha: memory-size changed\"]}");
	peer_call(peer, "Reload", "\"dry_run\":true", "");
	assert_next(peer, "{\"messages\":[\"alpha: memory-size would change\"]}");
	peer_call(peer, "Reload", "\"dry_run\":1", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"dry_run\"*");
}

/* --- Wait --- */

BED_TEST(test_wait)
{
	peer_call(peer, "Wait", "\"names\":[\"beta1\"],\"state\":\"ready\"", "");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"beta1\",\"state\":\"ready\"*");
	peer_call(peer, "Wait", "\"names\":[\"beta*\"],\"state\":\"ready\"", "");
	assert_silence(peer);
	bed_event(bed, 2, "enrolling", "secrets");
	bed_event(bed, 0, "starting", "another one");
	assert_silence(peer);
	bed_event(bed, 2, "ready", "ready");
	assert_next_like(
	    peer, "{\"guests\":[{\"name\":\"beta1\"*},{\"name\":\"beta2\",\"state\":\"ready\"*");
}

BED_TEST(test_wait_more)
{
	peer_call(peer, "Wait", "\"names\":[\"beta2\"],\"state\":\"ready\"", MORE);
	assert_silence(peer);
	bed_event(bed, 2, NULL, NULL); /* only its phase has changed */
	assert_next_like(peer, "+{\"guests\":[{\"name\":\"beta2\",\"state\":\"booting\"*");
	bed_event(bed, 2, "enrolling", "secrets");
	assert_next_like(peer, "+{\"guests\":[{\"name\":\"beta2\",\"state\":\"enrolling\"*");
	bed_event(bed, 1, "unresponsive", "not asked for");
	assert_silence(peer);
	bed_event(bed, 2, "ready", "ready");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"beta2\",\"state\":\"ready\"*");
}

BED_TEST(test_wait_passing)
{
	bed->guests[1].state = "stopping";
	peer_call(peer, "Wait", "\"names\":[\"beta1\"],\"state\":\"ready\"", "");
	bed_settle(bed);
	bed_event(bed, 1, "stopped", "for a restart");
	bed_event(bed, 1, "starting", "again");
	assert_silence(peer);
	bed_event(bed, 1, "ready", "ready");
	assert_next_like(peer, "{\"guests\":*");
}

BED_TEST(test_wait_drained)
{
	bed->control->recheck = 0.01;
	bed->guests[1] = (struct made_guest){"beta1", "draining", 1};
	peer_call(peer, "Wait", "\"names\":[\"beta1\"],\"state\":\"drained\"", "");
	assert_silence(peer);
	bed->guests[1].builds = 0; /* without an event */
	assert_next_like(peer, "{\"guests\":[{\"name\":\"beta1\",\"state\":\"draining\"*");
	bed->guests[1].builds = -1;
	peer_call(peer, "Wait", "\"names\":[\"beta1\"],\"state\":\"drained\"", "");
	assert_next_like(peer, "{\"guests\":*");
}

/* A drained guest is not going to be ready, so a wait for that has an end: once it is up, in
 * whatever way it gets there. */
BED_TEST(test_wait_for_a_drained_guest)
{
	bed->control->recheck = 0.01;
	bed->guests[1] = (struct made_guest){"beta1", "starting", 0};
	bed->drained[1] = TRUE;
	peer_call(peer, "Wait", "\"names\":[\"beta1\"],\"state\":\"drained\"", "");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"beta1\",\"state\":\"starting\"*"
			       "\"drained\":true*");
	peer_call(peer, "Wait", "\"names\":[\"beta1\"],\"state\":\"ready\"", "");
	assert_silence(peer);
	bed_event(bed, 1, "draining", "drained");
	assert_next(peer, "WaitFailed {\"name\":\"beta1\",\"state\":\"draining\","
			  "\"why\":\"drained; childhurdctl undrain beta1 gives it builds "
			  "again\"}");
	bed->guests[1].builds = 1;
	peer_call(peer, "List", "\"names\":[\"beta1\"]", "");
	assert_next_like(peer, "{\"guests\":[{*\"autostart\":true,\"address\"*"); /* not yet */
	bed->drained[1] = FALSE; /* it is drained for a restart */
	peer_call(peer, "Wait", "\"names\":[\"beta1\"],\"state\":\"ready\"", "");
	assert_silence(peer);
	bed_event(bed, 1, "ready", "ready");
	assert_next_like(peer, "{\"guests\":*");
}

/* Before the hypervisor has answered, stopped means nothing. */
BED_TEST(test_wait_undecided)
{
	bed->undecided[0] = TRUE;
	peer_call(peer, "Wait", "\"names\":[\"alpha\"],\"state\":\"ready\"", "");
	assert_silence(peer);
	bed->undecided[0] = FALSE;
	control_event(bed->control, &(struct control_event){0});
	assert_next_like(peer, "WaitFailed {\"name\":\"alpha\",\"state\":\"stopped\"*");
}

BED_TEST(test_wait_failed)
{
	static const struct {
		const char *name, *state, *answer;
	} cases[] = {
	    {"gamma", "ready",
	     "WaitFailed {\"name\":\"gamma\",\"state\":\"failed\",\"why\":\"started by root\"}"},
	    {"gamma", "drained", "{\"guests\":*"}, /* no build runs or will run in it */
	    {"gamma", "backoff", "WaitFailed *"},
	    {"gamma", "failed", "{\"guests\":*"},
	    {"gamma", "stopped", "TimedOut {\"guests\":[{\"name\":\"gamma\",\"state\":\"failed\"*"},
	    {"alpha", "ready",
	     "WaitFailed {\"name\":\"alpha\",\"state\":\"stopped\",\"why\":\"\"}"},
	    {"alpha", "draining", "WaitFailed *"},
	    {"alpha", "stopped", "{\"guests\":*"},
	    {"alpha", "failed", "TimedOut *"},
	    {"beta1", "stopped", "TimedOut *"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *parameters =
		    g_strdup_printf("\"names\":[\"%s\"],\"state\":\"%s\",\"timeout\":0.01",
				    cases[i].name, cases[i].state);
		peer_call(peer, "Wait", parameters, "");
		assert_next_like(peer, cases[i].answer);
	}
	peer_call(peer, "Wait", "\"names\":[\"beta2\"],\"state\":\"ready\"", "");
	assert_silence(peer);
	bed_event(bed, 2, "failed", "gave up");
	assert_next_like(peer, "WaitFailed {\"name\":\"beta2\",\"state\":\"failed\"*");
}

BED_TEST(test_wait_reload)
{
	peer_call(peer, "Wait", "\"names\":[\"gamma\"],\"state\":\"stopped\"", "");
	assert_silence(peer);
	bed->names[3] = NULL;
	bed_event(bed, -1, NULL, "configuration read again");
	assert_next(peer, "NoSuchGuest {\"name\":\"gamma\"}");
}

BED_TEST(test_wait_parameters)
{
	peer_call(peer, "Wait", "\"names\":[],\"state\":\"asleep-walking\"", "");
	assert_next_like(peer, "InvalidValue "
			       "{\"parameter\":\"state\",\"why\":\"not one of stopped, *");
	peer_call(peer, "Wait", "\"names\":[]", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"state\"*");
	peer_call(peer, "Wait", "\"names\":[],\"state\":\"ready\",\"timeout\":-1", "");
	assert_next_like(peer, "InvalidValue {\"parameter\":\"timeout\"*");
	peer_call(peer, "Wait", "\"names\":[],\"state\":\"ready\",\"timeout\":\"1\"", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"timeout\"*");
	peer_call(peer, "Wait", "\"names\":[\"beta2\"],\"state\":\"ready\",\"timeout\":0", "");
	assert_silence(peer);
}

/* --- Ssh, Metrics, Check, Invite --- */

BED_TEST(test_ssh)
{
	peer_call(peer, "Ssh", "\"name\":\"beta1\"", "");
	assert_next(peer, "{\"name\":\"beta1\",\"state\":\"ready\",\"why\":\"started by root\","
			  "\"phase\":null,\"pid\":42,\"address\":\"127.0.0.1\",\"port\":11022,"
			  "\"user\":\"\",\"identity_file\":\"\",\"known_hosts\":"
			  "\"/run/known_hosts\",\"host_keys\":[]}");
	peer_call(peer, "Ssh", "\"name\":\"delta\"", "");
	assert_next(peer, "NoSuchGuest {\"name\":\"delta\"}");
}

BED_TEST(test_metrics)
{
	peer_call(peer, "Metrics", "", "");
	assert_next(peer, "{\"content_type\":\"application/openmetrics-text; version=1.0.0; "
			  "charset=utf-8\",\"text\":\"# EOF\\n\"}");
}

/* The reply comes at the end of the check. Its client may be gone by then. */
BED_TEST(test_check)
{
	static const struct control_finding findings[] = {{"ok", "KVM"}, {"problem", "no \377"}};
	peer_call(peer, "Check", "", "");
	assert_silence(peer);
	bed->check_done(FALSE, findings, G_N_ELEMENTS(findings), bed->check_data);
	assert_next(peer, "{\"good\":false,\"findings\":[{\"result\":\"ok\",\"text\":\"KVM\"},"
			  "{\"result\":\"problem\",\"text\":\"no \357\277\275\"}]}");
	peer_call(peer, "Check", "", "");
	assert_silence(peer);
	peer_end(peer);
	bed_settle(bed);
	bed->check_done(TRUE, findings, 1, bed->check_data);
	peer_begin(peer, bed);
}

BED_TEST(test_invite)
{
	const struct control_invitation bare = {"farm", "ssh-ed25519 AAAA farm", NULL};
	const struct control_invitation whole = {"farm", "ssh-ed25519 AAAA farm", "(public-key)"};
	g_autoptr(GError) error = g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, "key: no key");
	peer_call(peer, "Invite", "", "");
	assert_silence(peer);
	bed->invite_done(&bare, NULL, bed->invite_data);
	assert_next(peer, "{\"name\":\"farm\",\"ssh_key\":\"ssh-ed25519 AAAA farm\","
			  "\"signing_key\":null}");
	peer_call(peer, "Invite", "", "");
	assert_silence(peer);
	bed->invite_done(&whole, NULL, bed->invite_data);
	assert_next_like(peer, "{*\"signing_key\":\"(public-key)\"}");
	peer_call(peer, "Invite", "", "");
	assert_silence(peer);
	bed->invite_done(NULL, error, bed->invite_data);
	assert_next(peer, "InviteFailed {\"why\":\"key: no key\"}");
	peer_call(peer, "Invite", "", "");
	assert_silence(peer);
	peer_end(peer); /* its client is gone by then */
	bed_settle(bed);
	bed->invite_done(&bare, NULL, bed->invite_data);
	peer_begin(peer, bed);
}

/* --- Events --- */

BED_TEST(test_events)
{
	peer_call(peer, "Events", "", "");
	assert_next(peer, "{\"events\":[],\"lost\":0}");
	bed_event(bed, 1, "ready", "ready \377");
	bed_event(bed, 1, NULL, NULL);
	bed_event(bed, -1, NULL, "reloaded");
	peer_call(peer, "Events", "", "");
	assert_next(
	    peer, "{\"events\":[{\"number\":1,\"time\":2.5,\"guest\":\"beta1\",\"state\":\"ready\","
		  "\"text\":\"ready "
		  "\357\277\275\"},{\"number\":2,\"time\":2.5,\"guest\":null,\"state\":null,"
		  "\"text\":\"reloaded\"}],\"lost\":0}");
	peer_call(peer, "Events", "\"since\":2", "");
	assert_next_like(peer, "{\"events\":[{\"number\":2,*}],\"lost\":0}");
	peer_call(peer, "Events", "\"since\":3", "");
	assert_next(peer, "{\"events\":[],\"lost\":0}");
	peer_call(peer, "Events", "\"since\":1000", ""); /* a number of an earlier daemon */
	assert_next_like(peer, "{\"events\":[{\"number\":1,*}],\"lost\":0}");
	peer_call(peer, "Events", "\"since\":-1", "");
	assert_next_like(peer, "InvalidValue {\"parameter\":\"since\"*");
	peer_call(peer, "Events", "\"follow\":true", "");
	assert_next(peer, "org.varlink.service.ExpectedMore {}");
}

BED_TEST(test_events_lost)
{
	for (int i = 0; i < CONTROL_EVENTS_KEPT + 10; i++)
		bed_event(bed, 1, NULL, "something");
	peer_call(peer, "Events", "\"since\":4", "");
	assert_next_like(peer, "{\"events\":[{\"number\":11,*{\"number\":1034,*}],\"lost\":7}");
	peer_call(peer, "Events", "", "");
	assert_next_like(peer, "{\"events\":[{\"number\":11,*}],\"lost\":0}");
	/* With more, they come in several replies; the last one has no continues. */
	peer_call(peer, "Events", "\"since\":1", MORE);
	assert_next_like(peer, "+{\"events\":[{\"number\":11,*{\"number\":74,*}],\"lost\":10}");
	for (int i = 2; i < CONTROL_EVENTS_KEPT / CONTROL_EVENTS_CHUNK; i++)
		assert_next_like(peer, "+{\"events\":*,\"lost\":0}");
	assert_next_like(peer, "{\"events\":*{\"number\":1034,*}],\"lost\":0}");
}

/* A guest with more events than all others together loses only its own: notes first, then changes
 * of its state. */
BED_TEST(test_events_fair)
{
	bed_event(bed, 0, "ready", "quiet"); /* 1 */
	bed_event(bed, 1, "ready", "noisy"); /* 2 */
	for (int i = 0; i < 20 * CONTROL_EVENTS_KEPT; i++)
		bed_event(bed, 1, NULL, "noise");
	bed_event(bed, -1, NULL, "reloaded");
	peer_call(peer, "Events", "\"since\":1", "");
	assert_next_like(peer, "{\"events\":[{\"number\":1,*\"quiet\"},{\"number\":2,*\"noisy\"},"
			       "{\"number\":19462,*\"reloaded\"}],\"lost\":19459}");
}

BED_TEST(test_events_follow)
{
	bed_event(bed, 1, NULL, "before");
	peer_call(peer, "Events", "\"follow\":true,\"since\":2", MORE);
	assert_next(peer, "+{\"events\":[],\"lost\":0}");
	assert_silence(peer);
	bed_event(bed, 1, "ready", "ready");
	assert_next_like(peer, "+{\"events\":[{\"number\":2,*}],\"lost\":0}");
	bed_event(bed, 1, NULL, NULL);
	assert_silence(peer);
	bed_event(bed, 1, NULL, "one");
	bed_event(bed, 1, NULL, "two");
	assert_next_like(peer, "+{\"events\":[{\"number\":3,*{\"number\":4,*}],\"lost\":0}");
}

/* --- Log --- */

static void
log_write(struct bed *bed, const char *mode, const char *text)
{
	FILE *file = fopen(bed->log, mode);
	g_assert_nonnull(file);
	g_assert_cmpuint(fwrite(text, 1, strlen(text), file), ==, strlen(text));
	g_assert_cmpint(fclose(file), ==, 0);
}

BED_TEST(test_log)
{
	static const struct {
		const char *lines, *answer;
	} cases[] = {{"0", "{\"text\":\"one\\ntwo\\n\\nfour \357\277\275\\n\"}"},
		     {"1", "{\"text\":\"four \357\277\275\\n\"}"},
		     {"2", "{\"text\":\"\\nfour \357\277\275\\n\"}"},
		     {"4", "{\"text\":\"one\\ntwo\\n\\nfour \357\277\275\\n\"}"},
		     {"100", "{\"text\":\"one\\ntwo\\n\\nfour \357\277\275\\n\"}"}};
	peer_call(peer, "Log", "\"name\":\"alpha\",\"lines\":0", "");
	assert_next(peer, "{\"text\":\"\"}"); /* no file yet */
	log_write(bed, "w", "one\ntwo\n\nfour \377\n");
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *parameters =
		    g_strdup_printf("\"name\":\"al*\",\"lines\":%s", cases[i].lines);
		peer_call(peer, "Log", parameters, "");
		assert_next(peer, cases[i].answer);
		peer_call(peer, "Log", parameters, MORE);
		assert_next(peer, cases[i].answer);
	}
	log_write(bed, "a", "half a line");
	peer_call(peer, "Log", "\"name\":\"alpha\",\"lines\":1", "");
	assert_next(peer, "{\"text\":\"half a line\"}");
}

BED_TEST(test_log_parameters)
{
	peer_call(peer, "Log", "\"lines\":0", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"name\"*");
	peer_call(peer, "Log", "\"name\":\"beta*\"", "");
	assert_next_like(peer, "InvalidValue {\"parameter\":\"name\",\"why\":\"*several*");
	peer_call(peer, "Log", "\"name\":\"delta\"", "");
	assert_next(peer, "NoSuchGuest {\"name\":\"delta\"}");
	peer_call(peer, "Log", "\"name\":\"alpha\",\"lines\":-1", "");
	assert_next_like(peer, "InvalidValue {\"parameter\":\"lines\"*");
	peer_call(peer, "Log", "\"name\":\"alpha\",\"lines\":1.5", "");
	assert_next_like(peer, "org.varlink.service.InvalidParameter {\"parameter\":\"lines\"*");
	peer_call(peer, "Log", "\"name\":\"alpha\",\"follow\":true", "");
	assert_next(peer, "org.varlink.service.ExpectedMore {}");
}

/* The texts of all replies up to the last one; none may be long. Caller frees. */
static char *
log_texts(struct peer *peer)
{
	g_autoptr(GString) all = g_string_new(NULL);
	for (gboolean continues = TRUE; continues;) {
		struct varlink_message *m = peer_next(peer);
		g_assert_true(m && !m->error);
		const char *text = json_object_get_string_member(m->parameters, "text");
		g_autofree char *escaped = g_strescape(text, NULL);
		g_assert_cmpuint(strlen(escaped), <, 64 * 1024);
		g_string_append(all, text);
		continues = m->continues;
		varlink_message_free(m);
	}
	return g_string_free(g_steal_pointer(&all), FALSE);
}

/* Only the last MiB is read, from the start of a line, and no character is split. */
BED_TEST(test_log_large)
{
	g_autoptr(GString) text = g_string_new(NULL);
	while (text->len < CONTROL_LOG_MAX + 100000)
		g_string_append_printf(
		    text, "%07" G_GSIZE_FORMAT " \342\202\254\303\244\360\237\230\200\001\n",
		    text->len);
	log_write(bed, "w", text->str);
	const char *last = text->str + text->len - CONTROL_LOG_MAX;
	const char *expected = strchr(last, '\n') + 1;
	peer_call(peer, "Log", "\"name\":\"alpha\",\"lines\":0", MORE);
	g_autofree char *got = log_texts(peer);
	g_assert_true(strcmp(got, expected) == 0);
	peer_call(peer, "Log", "\"name\":\"alpha\",\"lines\":1000000", "");
	struct varlink_message *whole = peer_next(peer); /* without more there is one reply */
	g_assert_true(strcmp(json_object_get_string_member(whole->parameters, "text"), expected) ==
		      0);
	varlink_message_free(whole);
}

BED_TEST(test_log_follow)
{
	log_write(bed, "w", "old\nnew\n");
	peer_call(peer, "Log", "\"name\":\"alpha\",\"lines\":1,\"follow\":true", MORE);
	assert_next(peer, "+{\"text\":\"new\\n\"}");
	assert_silence(peer);
	log_write(bed, "a", "more\303");
	assert_next(peer, "+{\"text\":\"more\"}");
	log_write(bed, "a", "\244\n"); /* the rest of the character */
	assert_next(peer, "+{\"text\":\"\303\244\\n\"}");
	log_write(bed, "w", "cut\n"); /* truncated, as console_rotate does */
	assert_next(peer, "+{\"text\":\"cut\\n\"}");

	g_autofree char *old = g_strconcat(bed->log, ".1", NULL);
	log_write(bed, "a", "last words\n");
	g_assert_cmpint(g_rename(bed->log, old), ==, 0);
	log_write(bed, "w", "another file\n");
	g_autofree char *first = peer_text(peer);
	g_assert_cmpstr(first, ==, "+{\"text\":\"last words\\n\"}");
	assert_next(peer, "+{\"text\":\"another file\\n\"}");
	log_write(bed, "a", "half\303");
	assert_next(peer, "+{\"text\":\"half\"}");
	g_assert_cmpint(g_rename(bed->log, old), ==, 0);
	log_write(bed, "w", "\244 has no other half\n");
	assert_next(peer, "+{\"text\":\"\357\277\275 has no other half\\n\"}");
	g_unlink(old);
}

BED_TEST(test_log_appears)
{
	peer_call(peer, "Log", "\"name\":\"alpha\",\"follow\":true", MORE);
	assert_next(peer, "+{\"text\":\"\"}");
	assert_silence(peer);
	log_write(bed, "w", "hello\n");
	assert_next(peer, "+{\"text\":\"hello\\n\"}");
}

BED_TEST(test_kept)
{
	bed->slow_disk = TRUE;
	peer_call(peer, "Stop", "\"names\":[\"beta1\"]", "");
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_silence(peer); /* if the daemon were killed now, the command might be lost */
	g_assert_nonnull(strstr(bed->commands->str, "stop beta1 by "));
	bed->kept_done(NULL, NULL, bed->kept_data);
	assert_next(peer, "{\"names\":[\"beta1\"]}");
	assert_next_like(peer, "{\"guests\":*");

	struct peer gone;
	peer_begin(&gone, bed);
	bed->kept_done = NULL;
	peer_call(&gone, "Start", "\"names\":[\"beta1\"]", "");
	while (!bed->kept_done)
		bed_round(bed);
	peer_end(&gone);
	bed_settle(bed);
	bed->kept_done(NULL, NULL, bed->kept_data); /* its client is gone */
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*");
}

BED_TEST(test_not_kept)
{
	char *unwritten[] = {(char *)"/state: no room", NULL};
	bed->slow_disk = TRUE;
	peer_call(peer, "Drain", "\"names\":[\"beta1\",\"beta2\"]", "");
	assert_silence(peer);
	bed->kept_done("beta2", "/state: no room", bed->kept_data);
	assert_next(peer, "NotKept {\"name\":\"beta2\",\"why\":\"/state: no room\"}");
	g_assert_nonnull(strstr(bed->commands->str, "drain beta1 by "));

	bed->unwritten = unwritten;
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*,\"unwritten\":[\"/state: no room\"]}");
	peer_call(peer, "Status", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*,\"unwritten\":[\"/state: no room\"]}");
	bed->unwritten = NULL;
}

/* --- Screenshot --- */

BED_TEST(test_screenshot)
{
	g_autoptr(GBytes) png = g_bytes_new("\211PNG", 4);
	g_autoptr(GError) error = g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, "it is off");
	peer_call(peer, "Screenshot", "\"name\":\"beta1\"", "");
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_silence(peer);
	g_assert_cmpstr(bed->commands->str, ==, "screenshot beta1\n");
	bed->shot_done(png, NULL, bed->shot_data);
	assert_next(peer, "{\"png\":\"iVBORw==\"}");
	assert_next_like(peer, "{\"guests\":*");
	peer_call(peer, "Screenshot", "\"name\":\"alpha\"", "");
	assert_silence(peer);
	bed->shot_done(NULL, error, bed->shot_data);
	assert_next(peer, "NotPossible {\"name\":\"alpha\",\"why\":\"it is off\"}");
	bed->control->hird.screenshot = NULL;
	peer_call(peer, "Screenshot", "\"name\":\"alpha\"", "");
	assert_next(
	    peer,
	    "org.varlink.service.MethodNotImplemented {\"method\":\"org.childhurd.Screenshot\"}");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control/the-service-describes-itself", test_introspection);
	g_test_add_func("/control/every-described-method-is-there", test_described_methods);
	g_test_add_func("/control/unknown-methods-and-interfaces-are-told-apart", test_unknown);
	g_test_add_func("/control/a-parameter-that-is-unknown-or-missing-changes-nothing",
			test_unknown_parameters);
	g_test_add_func("/control/ssh-is-told-what-it-needs", test_ssh);
	g_test_add_func("/control/figures-are-openmetrics", test_metrics);
	g_test_add_func("/control/an-invitation-comes-later-or-fails", test_invite);
	g_test_add_func("/control/a-check-is-answered-when-it-has-ended", test_check);
	g_test_add_func("/control/names-may-be-patterns-in-the-order-of-the-configuration",
			test_names);
	g_test_add_func("/control/names-that-match-nothing-or-are-none-change-nothing",
			test_bad_names);
	g_test_add_func("/control/a-nasty-pattern-takes-no-time", test_slow_pattern);
	g_test_add_func("/control/list-shows-guests", test_list);
	g_test_add_func("/control/status-shows-all-that-is-known", test_status);
	g_test_add_func("/control/status-shows-the-warm-state", test_status_warm);
	g_test_add_func("/control/machines-shows-what-is-published", test_machines);
	g_test_add_func("/control/machines-are-followed", test_machines_follow);
	g_test_add_func("/control/machines-are-followed-as-they-are-published",
			test_machines_published);
	g_test_add_func("/control/machines-are-followed-with-their-builds", test_machines_builds);
	g_test_add_func("/control/a-node-is-asked-what-reads-at-once", test_ask_node);
	g_test_add_func("/control/a-coordinator-reports-on-held-guests", test_coordinator);
	g_test_add_func("/control/who-may-only-read-reports-nothing", test_coordinator_untrusted);
	g_test_add_func("/control/machines-are-followed-with-a-sign-of-life", test_machines_beat);
	g_test_add_func("/control/a-slow-follower-of-machines-gets-the-newest", test_machines_slow);
	g_test_add_func("/control/verbs-reach-the-hird", test_verbs);
	g_test_add_func("/control/one-that-fails-does-not-keep-the-others", test_not_possible);
	g_test_add_func("/control/reload-says-what-it-did-or-what-is-wrong", test_reload);
	g_test_add_func("/control/wait-ends-when-all-are-there", test_wait);
	g_test_add_func("/control/wait-with-more-tells-each-change", test_wait_more);
	g_test_add_func("/control/wait-does-not-judge-states-in-passing", test_wait_passing);
	g_test_add_func("/control/drained-is-draining-without-a-build", test_wait_drained);
	g_test_add_func("/control/a-drained-guest-is-not-waited-for",
			test_wait_for_a_drained_guest);
	g_test_add_func("/control/wait-needs-to-know-who-is-stopped", test_wait_undecided);
	g_test_add_func("/control/wait-fails-when-a-guest-cannot-get-there", test_wait_failed);
	g_test_add_func("/control/wait-ends-when-a-guest-is-taken-away", test_wait_reload);
	g_test_add_func("/control/wait-checks-its-parameters", test_wait_parameters);
	g_test_add_func("/control/events-are-kept", test_events);
	g_test_add_func("/control/events-that-are-gone-are-counted", test_events_lost);
	g_test_add_func("/control/events-of-one-guest-cost-no-other-guest's", test_events_fair);
	g_test_add_func("/control/events-are-followed", test_events_follow);
	g_test_add_func("/control/log-gives-the-last-lines", test_log);
	g_test_add_func("/control/log-checks-its-parameters", test_log_parameters);
	g_test_add_func("/control/a-large-log-comes-in-pieces", test_log_large);
	g_test_add_func("/control/log-follows-growth-truncation-and-replacement", test_log_follow);
	g_test_add_func("/control/log-waits-for-its-file", test_log_appears);
	g_test_add_func("/control/a-command-is-answered-when-it-is-kept", test_kept);
	g_test_add_func("/control/a-command-that-cannot-be-kept-is-answered-so", test_not_kept);
	g_test_add_func("/control/screenshot-comes-later", test_screenshot);
	return g_test_run();
}
