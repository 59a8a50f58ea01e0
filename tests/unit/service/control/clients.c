/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control socket itself: permissions, limits, and clients that behave badly. */
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/service/control/bed.h"

#define LIST_ALPHA "{\"method\":\"org.childhurd.List\",\"parameters\":{\"names\":[\"alpha\"]}}"

/* A new client is served, whatever the others do. */
static void
assert_served(struct bed *bed)
{
	struct peer peer;
	peer_begin(&peer, bed);
	peer_call(&peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(&peer, "{\"guests\":[{\"name\":\"alpha\"*");
	peer_end(&peer);
}

BED_TEST(test_pieces)
{
	for (gsize i = 0; i < sizeof LIST_ALPHA; i++) {
		g_assert_true(peer_send(peer, &LIST_ALPHA[i], 1));
		bed_settle(bed);
	}
	assert_next_like(peer, "{\"guests\":*");
}

BED_TEST(test_pipeline)
{
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	peer_call(peer, "Wait", "\"names\":[\"beta2\"],\"state\":\"ready\"", "");
	peer_call(peer, "List", "\"names\":[\"gamma\"]", "");
	peer_call(peer, "List", "\"names\":[\"beta1\"]", "");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"alpha\"*");
	assert_silence(peer);
	assert_served(bed); /* other clients do not wait */
	bed_event(bed, 2, "ready", "ready");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"beta2\"*");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"gamma\"*");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"beta1\"*");
}

/* More requests than are read at once, and more than may wait behind one: reading pauses, and none
 * is refused. */
BED_TEST(test_long_pipeline)
{
	const int total = 3 * CONTROL_PIPELINE_MAX / (int)sizeof LIST_ALPHA;
	int sent = 0, got = 0;
	while (got < total) {
		while (sent < total &&
		       send(peer->fd, LIST_ALPHA, sizeof LIST_ALPHA, MSG_DONTWAIT | MSG_NOSIGNAL) ==
			   (gssize)sizeof LIST_ALPHA)
			sent++;
		assert_next_like(peer, "{\"guests\":*");
		got++;
	}
}

BED_TEST(test_oneway)
{
	peer_call(peer, "Stop", "\"names\":[\"beta1\"]", ",\"oneway\":true");
	peer_call(peer, "Nonsense", "", ",\"oneway\":true");
	peer_call(peer, "List", "\"names\":[\"gamma\"]", "");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"gamma\"*");
	g_assert_true(g_str_has_prefix(bed->commands->str, "stop beta1 by "));
}

/* The bytes get an error that says what is wrong, and the connection ends. */
static void
assert_refuses(struct bed *bed, const char *bytes, gsize n, const char *pattern)
{
	struct peer peer;
	peer_begin(&peer, bed);
	peer_send(&peer, bytes, n); /* the connection may have ended already */
	assert_next_like(&peer, pattern);
	assert_end(&peer);
	assert_served(bed);
	peer_end(&peer);
}

BED_TEST(test_garbage)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			  reply[] = "{\"parameters\":{}}";
	static const char twice[] = "{]\0" LIST_ALPHA;
	g_autofree char *deep = g_strnfill(60000, '[');
	assert_refuses(bed, http, sizeof http, "InvalidValue *not JSON*");
	assert_refuses(bed, reply, sizeof reply, "InvalidValue *not a call*");
	assert_refuses(bed, deep, 60001, "InvalidValue *nested*");
	assert_refuses(bed, "", 1, "InvalidValue *");
	assert_refuses(bed, "\377\376", 3, "InvalidValue *UTF-8*");
	assert_refuses(bed, twice, sizeof twice, "InvalidValue *");
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*");
}

BED_TEST(test_endless)
{
	g_autofree char *spaces = g_strnfill(CONTROL_MESSAGE_MAX + 1, ' ');
	g_autofree char *endless = g_strnfill(20 * CONTROL_MESSAGE_MAX, 'x');
	assert_refuses(bed, spaces, CONTROL_MESSAGE_MAX + 1,
		       "InvalidValue *more than 65536 bytes*");
	assert_refuses(bed, endless, 20 * CONTROL_MESSAGE_MAX, "InvalidValue *more than 65536*");
	/* the longest that is allowed, with its NUL */
	memcpy(spaces, LIST_ALPHA, sizeof LIST_ALPHA - 1);
	spaces[CONTROL_MESSAGE_MAX] = '\0';
	g_assert_true(peer_send(peer, spaces, CONTROL_MESSAGE_MAX + 1));
	assert_next_like(peer, "{\"guests\":*");
}

BED_TEST(test_half)
{
	bed->control->request_timeout = 0.05;
	g_assert_true(peer_send(peer, LIST_ALPHA, 20));
	bed_settle(bed);
	assert_served(bed);
	assert_next_like(peer, "InvalidValue *half a request*");
	assert_end(peer);
	assert_served(bed);
}

/* The limit is for a request, not for a connection. */
BED_TEST(test_idle)
{
	bed->control->request_timeout = 0.02;
	struct peer other;
	peer_begin(&other, bed);
	peer_call(peer, "Wait", "\"names\":[\"beta2\"],\"state\":\"ready\"", "");
	/* its limit passes after that of peer would */
	g_assert_true(peer_send(&other, LIST_ALPHA, 20));
	assert_next_like(&other, "InvalidValue *half*");
	assert_end(&other);
	assert_silence(peer);
	bed_event(bed, 2, "ready", "ready");
	assert_next_like(peer, "{\"guests\":*");
	peer_end(&other);
}

BED_TEST(test_never_reads)
{
	/* Each reply is larger than its request, so the replies queue up. */
	gsize n = 0, limit = 100000;
	while (n < limit && peer_send(peer, LIST_ALPHA, sizeof LIST_ALPHA))
		n++;
	g_assert_cmpuint(n, <, limit);
	bed_settle(bed);
	g_assert_cmpuint(bed->control->clients->len, ==, 0);
	assert_served(bed);
}

BED_TEST(test_flood_behind_wait)
{
	peer_call(peer, "Wait", "\"names\":[\"beta2\"],\"state\":\"ready\"", "");
	for (gsize n = 0; n < 10000 && peer_send(peer, LIST_ALPHA, sizeof LIST_ALPHA);)
		n++;
	assert_next_like(peer, "Busy *");
	assert_end(peer);
	assert_served(bed);
}

BED_TEST(test_slow_follower)
{
	const gint64 total = 4000;
	g_autofree char *text = g_strnfill(1000, 'x');
	gint64 lost = 0, got = 0, next = 1;
	peer_call(peer, "Events", "\"follow\":true", ",\"more\":true");
	assert_next(peer, "+{\"events\":[],\"lost\":0}");
	for (gint64 i = 0; i < total; i++) {
		bed_event(bed, 1, NULL, text);
		ev_run(bed->loop, EVRUN_NOWAIT);
	}
	g_assert_cmpuint(bed->control->clients->len, ==, 1);
	while (next <= total) {
		struct varlink_message *m = peer_next(peer);
		g_assert_true(m && m->continues);
		JsonArray *events = json_object_get_array_member(m->parameters, "events");
		gint64 gap = json_object_get_int_member(m->parameters, "lost");
		next += gap;
		lost += gap;
		for (guint i = 0; i < json_array_get_length(events); i++, got++) {
			JsonObject *event = json_array_get_object_element(events, i);
			g_assert_cmpint(json_object_get_int_member(event, "number"), ==, next++);
		}
		varlink_message_free(m);
	}
	g_assert_cmpint(lost + got, ==, total);
	g_assert_cmpint(lost, >, 0);
	g_assert_cmpint(got, >=, CONTROL_EVENTS_KEPT);
}

BED_TEST(test_gone)
{
	static const char *const calls[][2] = {
	    {"Wait", "\"names\":[\"beta2\"],\"state\":\"ready\",\"timeout\":1000"},
	    {"Events", "\"follow\":true"},
	    {"Log", "\"name\":\"alpha\",\"follow\":true"},
	    {"Screenshot", "\"name\":\"alpha\""}};
	for (gsize i = 0; i < G_N_ELEMENTS(calls); i++) {
		struct peer other;
		peer_begin(&other, bed);
		peer_call(&other, calls[i][0], calls[i][1], ",\"more\":true");
		bed_settle(bed);
		g_assert_cmpuint(bed->control->clients->len, ==, 2);
		peer_end(&other);
		bed_settle(bed);
		g_assert_cmpuint(bed->control->clients->len, ==, 1);
	}
	bed_event(bed, 2, "ready", "nobody waits");
	bed->shot_done(NULL, NULL, bed->shot_data); /* its client is gone */
	assert_served(bed);
}

BED_TEST(test_half_closed)
{
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	peer_call(peer, "List", "\"names\":[\"gamma\"]", "");
	peer_call(peer, "Wait", "\"names\":[\"beta2\"],\"state\":\"ready\"", "");
	shutdown(peer->fd, SHUT_WR);
	assert_next_like(peer, "{\"guests\":[{\"name\":\"alpha\"*");
	assert_next_like(peer, "{\"guests\":[{\"name\":\"gamma\"*");
	assert_end(peer);
	g_assert_cmpuint(bed->control->clients->len, ==, 0);
}

BED_TEST(test_many)
{
	enum { MANY = CONTROL_CLIENTS_MAX + CONTROL_CLIENTS_KEPT };
	struct peer peers[MANY];
	for (int i = 0; i < MANY; i++) {
		peer_begin(&peers[i], bed); /* with the test's own client, one too many */
		bed_settle(bed);
	}
	g_assert_cmpuint(bed->control->clients->len, ==, MANY);
	assert_next_like(&peers[MANY - 1], "Busy *too many connections*");
	assert_end(&peers[MANY - 1]);
	peer_call(peer, "List", "\"names\":[\"alpha\"]", ""); /* a connected client is served */
	assert_next_like(peer, "{\"guests\":*");
	peer_end(&peers[0]);
	bed_settle(bed);
	assert_served(bed); /* there is a place again */
	for (int i = 1; i < MANY; i++)
		peer_end(&peers[i]);
}

/* Run in a process of its own: open n connections that stay, and one more, whose reply goes to out.
 * Ends when nothing reads from it any more. */
static void
crowd_as_nobody(const char *path, int in, int out, int n)
{
	char byte;
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		_exit(2);
	while (n-- > 0)
		peer_socket(path);
	int fd = peer_socket(path);
	while (recv(fd, &byte, 1, 0) == 1 && byte)
		if (write(out, &byte, 1) != 1)
			_exit(3);
	close(out);
	_exit(read(in, &byte, 1) == 0 ? 0 : 4);
}

static void
again(struct ev_loop *loop, ev_timer *watcher, int events)
{
}

/* Another user opens n connections and one more, while bed's loop runs. Returns the reply to the
 * last one. Closing *back ends the connections. */
static char *
crowd(struct bed *bed, int n, pid_t *child, int *back)
{
	int words[2], hold[2];
	g_assert_cmpint(chmod(bed->folder, 0755), ==, 0);
	g_assert_cmpint(chmod(bed->path, 0666), ==, 0);
	g_assert_cmpint(pipe(words), ==, 0);
	g_assert_cmpint(pipe(hold), ==, 0);
	*child = fork();
	if (*child == 0) {
		close(words[0]);
		close(hold[1]);
		crowd_as_nobody(bed->path, hold[0], words[1], n);
	}
	close(words[1]);
	close(hold[0]);
	*back = hold[1];
	ev_timer tick;
	ev_timer_init(&tick, again, 0.005, 0.005);
	ev_timer_start(bed->loop, &tick);
	GString *text = g_string_new(NULL);
	char byte;
	gssize r;
	fcntl(words[0], F_SETFL, O_NONBLOCK);
	while ((r = read(words[0], &byte, 1)) != 0) {
		if (r == 1)
			g_string_append_c(text, byte);
		else
			bed_round(bed);
	}
	ev_timer_stop(bed->loop, &tick);
	close(words[0]);
	return g_string_free(text, FALSE);
}

static void
crowd_goes(struct bed *bed, pid_t child, int back)
{
	int status;
	close(back);
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	bed_settle(bed);
}

/* However many idle connections another user has, root and all others are served. */
BED_TEST(test_crowd)
{
	pid_t child;
	int back;
	if (geteuid() != 0) {
		g_test_skip("only root can become nobody");
		return;
	}
	g_autofree char *said = crowd(bed, CONTROL_CLIENTS_PER_USER, &child, &back);
	g_assert_nonnull(strstr(said, "org.childhurd.Busy"));
	g_assert_nonnull(strstr(said, "of one user"));
	g_assert_cmpuint(bed->control->clients->len, ==, 1 + CONTROL_CLIENTS_PER_USER);
	assert_served(bed);
	crowd_goes(bed, child, back);
	g_assert_cmpuint(bed->control->clients->len, ==, 1);
}

/* The places reserved for root and the daemon's user are not given to others. */
BED_TEST(test_kept)
{
	struct peer peers[CONTROL_CLIENTS_MAX - 1];
	pid_t child;
	int back;
	if (geteuid() != 0) {
		g_test_skip("only root can become nobody");
		return;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(peers); i++) {
		peer_begin(&peers[i], bed);
		bed_settle(bed);
	}
	g_autofree char *said = crowd(bed, 0, &child, &back);
	g_assert_nonnull(strstr(said, "org.childhurd.Busy"));
	assert_served(bed);
	crowd_goes(bed, child, back);
	for (gsize i = 0; i < G_N_ELEMENTS(peers); i++)
		peer_end(&peers[i]);
}

BED_TEST(test_descriptors)
{
	struct rlimit old, low;
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
	bed->control->accept_retry = 0.01;
	bed_settle(bed);
	struct peer other;
	peer_begin(&other, bed);
	int next = dup(0);
	close(next);
	low = (struct rlimit){(rlim_t)next, old.rlim_max};
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
	g_test_expect_message("childhurd", G_LOG_LEVEL_WARNING, "*cannot accept*");
	bed_round(bed);
	g_test_assert_expected_messages();
	g_assert_false(ev_is_active(&bed->control->accepting));
	peer_call(peer, "List", "\"names\":[\"alpha\"]", ""); /* a connected client is served */
	assert_next_like(peer, "{\"guests\":*");
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
	peer_call(&other, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(&other, "{\"guests\":*");
	peer_end(&other);
}

/* --- the socket --- */

static void
test_stale(void)
{
	struct bed bed;
	bed_begin(&bed);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, bed.path, strlen(bed.path));
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	close(fd); /* as if the daemon had been killed */
	bed_listen(&bed, NULL);
	assert_served(&bed);
	bed_end(&bed);
}

static void
test_not_open(void)
{
	struct bed bed;
	struct peer peer;
	bed_begin(&bed);
	bed.control = control_new(bed.loop, bed.path, NULL, &bed.hird, NULL);
	peer_begin(&peer, &bed);
	peer_call(&peer, "Start", "\"names\":[\"alpha\"]", "");
	assert_silence(&peer);
	g_assert_cmpstr(bed.guests[0].state, ==, "stopped");
	control_open(bed.control);
	assert_next_like(&peer, "{\"names\":[\"alpha\"]}");
	peer_end(&peer);
	bed_end(&bed);
}

static void
assert_no_control(struct bed *bed, const char *path, const char *part)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(control_new(bed->loop, path, NULL, &bed->hird, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, path));
	if (!strstr(error->message, part))
		g_error("\"%s\" does not say \"%s\"", error->message, part);
}

BED_TEST(test_living)
{
	assert_no_control(bed, bed->path, "another daemon");
	g_assert_true(g_file_test(bed->path, G_FILE_TEST_EXISTS));
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*");
	assert_served(bed);
}

static void
test_in_the_way(void)
{
	struct bed bed;
	bed_begin(&bed);
	g_assert_true(g_file_set_contents(bed.path, "precious", -1, NULL));
	assert_no_control(&bed, bed.path, "not a socket; remove it");
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(bed.path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "precious");
	g_unlink(bed.path);

	g_autofree char *missing = g_build_filename(bed.folder, "missing", "control", NULL);
	assert_no_control(&bed, missing, "No such file");
	g_autofree char *name = g_strnfill(120, 'x'),
			*longer = g_build_filename(bed.folder, name, NULL);
	assert_no_control(&bed, longer, "longer than the 107 bytes");
	bed_end(&bed);
}

/* Another daemon's socket at the path is not removed. */
static void
test_removal(void)
{
	struct bed bed;
	bed_begin(&bed);
	bed_listen(&bed, NULL);
	g_unlink(bed.path);
	struct control *old = bed.control;
	bed_listen(&bed, NULL);
	control_free(old);
	assert_served(&bed);
	g_assert_true(g_file_test(bed.path, G_FILE_TEST_EXISTS));
	control_free(bed.control);
	bed.control = NULL;
	g_assert_false(g_file_test(bed.path, G_FILE_TEST_EXISTS));
	bed_end(&bed);
}

/* A socket that is deleted, or replaced by one that does not answer, is created again, and
 * connections stay. */
BED_TEST(test_renewal)
{
	g_autoptr(GError) error = NULL;
	struct stat before, after;
	bed_settle(bed);
	g_assert_cmpint(lstat(bed->path, &before), ==, 0);
	g_assert_true(control_renew(bed->control, &error));
	g_assert_cmpint(lstat(bed->path, &after), ==, 0);
	g_assert_true(before.st_ino == after.st_ino); /* the same socket */
	struct peer late; /* not accepted yet when the socket is deleted */
	peer_begin(&late, bed);
	g_assert_cmpint(g_unlink(bed->path), ==, 0);
	g_test_expect_message("childhurd", G_LOG_LEVEL_MESSAGE, "*control socket was gone*");
	g_assert_true(control_renew(bed->control, &error));
	g_test_assert_expected_messages();
	peer_call(&late, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(&late, "{\"guests\":*");
	peer_end(&late);
	assert_served(bed);
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*");

	g_assert_cmpint(g_unlink(bed->path), ==, 0);
	g_assert_true(g_file_set_contents(bed->path, "precious", -1, NULL));
	g_assert_false(control_renew(bed->control, &error));
	g_assert_nonnull(strstr(error->message, "exists and is not a socket"));
	peer_call(peer, "List", "\"names\":[\"alpha\"]", "");
	assert_next_like(peer, "{\"guests\":*");
	g_assert_cmpint(g_unlink(bed->path), ==, 0);
}

static void
test_mode(void)
{
	struct bed bed;
	struct stat st;
	struct group *group = getgrgid(getegid());
	bed_begin(&bed);
	if (!group) {
		g_test_skip("our group has no name");
		bed_end(&bed);
		return;
	}
	if (geteuid() == 0) /* root may use any group, and every system has nogroup or nobody */
		group = getgrgid(65534) ? getgrgid(65534) : group;
	gid_t gid = group->gr_gid;
	mode_t mask = umask(0);
	bed_listen(&bed, group->gr_name);
	g_assert_cmpint(stat(bed.path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0660);
	g_assert_cmpuint(st.st_gid, ==, gid);
	control_free(bed.control);
	bed_listen(&bed, "childhurd-no-such-group");
	g_assert_cmpint(stat(bed.path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
	umask(mask);
	bed_end(&bed);
}

/* An ordinary user's daemon needs no group, so a missing one is not reported. */
static void
test_quiet(void)
{
	if (g_test_subprocess()) {
		struct bed bed;
		if (geteuid() == 0)
			g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
		bed_begin(&bed);
		bed_listen(&bed, "childhurd-no-such-group");
		bed_end(&bed);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr_unmatched("*no group*");
	g_test_trap_assert_stdout_unmatched("*no group*");
}

/* --- permissions --- */

static void
test_owner(void)
{
	struct bed bed;
	struct peer peer;
	bed_begin(&bed);
	bed_listen(&bed, NULL);
	peer_begin(&peer, &bed);
	peer_call(&peer, "Start", "\"names\":[\"alpha\"]", "");
	assert_next(&peer, "{\"names\":[\"alpha\"]}");
	if (geteuid() == 0)
		g_assert_cmpstr(bed.commands->str, ==, "start alpha by root\n");
	else
		g_assert_true(g_str_has_prefix(bed.commands->str, "start alpha by "));
	peer_end(&peer);
	bed_end(&bed);
}

/* Run in a process of its own: make blocking calls, and print each reply as a line. */
static void
ask_as_nobody(const char *path, int out, const char *const *methods)
{
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		_exit(2);
	int fd = peer_socket(path);
	for (; *methods; methods++) {
		g_autofree char *text =
		    g_strdup_printf("{\"method\":\"org.childhurd.%s\",\"parameters\":{\"names\":[],"
				    "\"name\":\"alpha\",\"state\":\"failed\",\"timeout\":0.001}}",
				    *methods);
		if (send(fd, text, strlen(text) + 1, MSG_NOSIGNAL) < 0)
			_exit(3);
		g_autoptr(GString) answer = g_string_new(*methods);
		char byte;
		for (g_string_append(answer, ": "); recv(fd, &byte, 1, 0) == 1 && byte;)
			g_string_append_c(answer, byte);
		g_string_append_c(answer, '\n');
		if (write(out, answer->str, answer->len) < 0)
			_exit(4);
	}
	_exit(0);
}

BED_TEST(test_nobody)
{
	static const char *const methods[] = {"List",  "Status", "Machines", "Wait",	"Events",
					      "Log",   "Start",	 "Stop",     "Restart", "Reset",
					      "Sleep", "Drain",	 "Undrain",  "Reload",	"Invite",
					      "List",  NULL};
	int ends[2], status;
	if (geteuid() != 0) {
		g_test_skip("only root can become nobody");
		return;
	}
	g_assert_cmpint(chmod(bed->folder, 0755), ==, 0);
	g_assert_cmpint(chmod(bed->path, 0666), ==, 0);
	g_assert_cmpint(pipe(ends), ==, 0);
	pid_t child = fork();
	if (child == 0)
		ask_as_nobody(bed->path, ends[1], methods);
	close(ends[1]);
	ev_timer tick;
	ev_timer_init(&tick, again, 0.005, 0.005);
	ev_timer_start(bed->loop, &tick);
	while (waitpid(child, &status, WNOHANG) == 0)
		bed_round(bed);
	ev_timer_stop(bed->loop, &tick);
	g_assert_cmpint(status, ==, 0);
	char text[32768];
	gsize n = 0;
	for (gssize r; (r = read(ends[0], text + n, sizeof text - 1 - n)) > 0;)
		n += (gsize)r;
	text[n] = '\0';
	close(ends[0]);
	g_auto(GStrv) lines = g_strsplit(text, "\n", 0);
	g_assert_cmpuint(g_strv_length(lines), ==, G_N_ELEMENTS(methods));
	for (int i = 0; methods[i]; i++) {
		gboolean denied = strstr(lines[i], "org.childhurd.PermissionDenied") != NULL;
		g_assert_true(g_str_has_prefix(lines[i], methods[i]));
		if (denied != (i >= 6 && i <= 14))
			g_error("%s", lines[i]);
		if (denied && !strstr(lines[i], "childhurd-admin"))
			g_error("%s does not name the group", lines[i]);
	}
	g_assert_cmpstr(bed->commands->str, ==, "");
}

static void
test_groups(void)
{
	gid_t groups[64];
	int ends[2], n = getgroups(G_N_ELEMENTS(groups), groups);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
	g_assert_true(peer_in_group(ends[0], getegid(), getegid()));
	g_assert_true(peer_in_group(ends[0], 12345678, 12345678));
	g_assert_false(peer_in_group(ends[0], getegid(), 12345678));
	g_assert_false(peer_in_group(ends[0], getegid(), (gid_t)-1));
	for (int i = 0; i < n; i++)
		g_assert_true(peer_in_group(ends[0], 12345678, groups[i]));
	close(ends[0]);
	close(ends[1]);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control-clients/a-request-may-come-byte-by-byte", test_pieces);
	g_test_add_func(
	    "/control-clients/requests-are-answered-in-order-and-a-wait-holds-back-the-later-ones",
	    test_pipeline);
	g_test_add_func("/control-clients/a-pipeline-may-be-long", test_long_pipeline);
	g_test_add_func("/control-clients/who-wants-no-answer-gets-none", test_oneway);
	g_test_add_func("/control-clients/garbage-gets-one-error-and-the-end", test_garbage);
	g_test_add_func("/control-clients/a-request-over-the-limit-gets-an-error-and-the-end",
			test_endless);
	g_test_add_func("/control-clients/half-a-request-is-not-waited-for", test_half);
	g_test_add_func("/control-clients/who-waits-is-not-cut-off", test_idle);
	g_test_add_func("/control-clients/who-never-reads-is-cut-off", test_never_reads);
	g_test_add_func("/control-clients/a-flood-behind-a-wait-is-refused",
			test_flood_behind_wait);
	g_test_add_func("/control-clients/a-slow-follower-is-told-what-it-lost",
			test_slow_follower);
	g_test_add_func("/control-clients/who-is-gone-waits-no-more", test_gone);
	g_test_add_func("/control-clients/who-shuts-down-sending-still-gets-its-answers",
			test_half_closed);
	g_test_add_func("/control-clients/one-too-many-is-refused-until-another-goes", test_many);
	g_test_add_func("/control-clients/one-user-cannot-keep-the-others-out", test_crowd);
	g_test_add_func("/control-clients/places-are-kept-for-root-and-the-daemons-user",
			test_kept);
	g_test_add_func("/control-clients/without-descriptors-accepting-pauses", test_descriptors);
	g_test_add_func("/control-socket/a-dead-daemons-socket-is-replaced", test_stale);
	g_test_add_func("/control-socket/nobody-is-answered-before-it-is-opened", test_not_open);
	g_test_add_func("/control-socket/a-living-daemons-socket-is-not-taken", test_living);
	g_test_add_func("/control-socket/what-is-in-the-way-is-an-error", test_in_the_way);
	g_test_add_func("/control-socket/only-our-own-socket-is-removed", test_removal);
	g_test_add_func("/control-socket/a-deleted-one-is-made-again-and-clients-stay",
			test_renewal);
	g_test_add_func("/control-socket/it-is-the-groups-when-there-is-one-and-ours-otherwise",
			test_mode);
	g_test_add_func("/control-socket/only-a-root-daemon-misses-the-group", test_quiet);
	g_test_add_func("/control-permissions/whom-the-daemon-runs-as-may-change-things",
			test_owner);
	g_test_add_func("/control-permissions/others-may-only-look", test_nobody);
	g_test_add_func("/control-permissions/groups-are-looked-up", test_groups);
	return g_test_run();
}
