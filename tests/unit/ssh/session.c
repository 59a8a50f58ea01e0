/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions with a real sshd, and with servers that are none. */
#include "ssh/session.h"

#include <glib/gstdio.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ssh/key_pair.h"
#include "tests/unit/ssh/peer.h"

#define SSHD "/usr/sbin/sshd"

/* One sshd for all tests: a master process that forks for each client. */
static struct {
	char *folder, *user_key, *other_key, *host_line, *other_line, *ecdsa_line, *user;
	int port;
	GPid pid;
} sshd;

static void
make_key(char **path, char **line, const char *leaf, enum key_pair_kind kind)
{
	g_autoptr(GError) error = NULL;
	char *file = g_build_filename(sshd.folder, leaf, NULL);
	g_autofree char *public = g_strconcat(file, ".pub", NULL);

	key_pair_ensure(file, kind, "test", &error);
	g_assert_no_error(error);
	if (line)
		*line = key_pair_public_line(public, &error);
	g_assert_no_error(error);
	if (path)
		*path = file;
	else
		g_free(file);
}

static void
die_with_parent(gpointer data)
{
	(void)data;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void
sshd_start(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *line = NULL;

	if (geteuid() == 0)
		g_mkdir_with_parents("/run/sshd", 0755); /* sshd's privilege separation insists */
	sshd.folder = g_dir_make_tmp("childhurd-sshd-XXXXXX", &error);
	g_assert_no_error(error);
	sshd.user = g_strdup(getpwuid(geteuid())->pw_name);
	make_key(&sshd.user_key, &line, "user", KEY_PAIR_ED25519);
	make_key(&sshd.other_key, &sshd.other_line, "other", KEY_PAIR_ED25519);
	make_key(NULL, &sshd.ecdsa_line, "ecdsa", KEY_PAIR_ECDSA);
	make_key(NULL, &sshd.host_line, "host", KEY_PAIR_ED25519);
	sshd.port = peer_free_port();
	g_autofree char *authorized = g_build_filename(sshd.folder, "authorized", NULL);
	g_autofree char *config = g_build_filename(sshd.folder, "config", NULL);
	/* HOME: what this user's shell reads and does when it starts is no concern of the tests. */
	g_autofree char *text = g_strdup_printf(
	    "SetEnv HOME=%s\nListenAddress 127.0.0.1:%d\nHostKey %s/host\nAuthorizedKeysFile "
	    "%s\nStrictModes no\n"
	    "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n"
	    "MaxStartups 100\nPermitRootLogin yes\nX11Forwarding no\nLogLevel QUIET\n",
	    sshd.folder, sshd.port, sshd.folder, authorized);
	g_assert_true(g_file_set_contents(config, text, -1, NULL));
	g_assert_true(g_file_set_contents(authorized, line, -1, NULL));
	/* From 9.8 on, sshd shuts out who often comes without a login; before, it knows no such
	 * word. */
	char *arguments[] = {(char *)SSHD, (char *)"-t", (char *)"-f",
			     config,	   (char *)"-o", (char *)"PerSourcePenalties=no",
			     NULL};
	int status = -1;
	g_spawn_sync(NULL, arguments, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
		     &status, &error);
	g_assert_no_error(error);
	if (status != 0)
		arguments[4] = NULL;
	arguments[1] = (char *)"-De";
	g_spawn_async(NULL, arguments, NULL, G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent, NULL,
		      &sshd.pid, &error);
	g_assert_no_error(error);
}

static void
sshd_stop(void)
{
	const char *const leaves[] = {"user",	"user.pub",  "other", "other.pub",
				      "host",	"host.pub",  "ecdsa", "ecdsa.pub",
				      "config", "authorized"};

	kill(sshd.pid, SIGTERM);
	waitpid(sshd.pid, NULL, 0);
	for (gsize i = 0; i < G_N_ELEMENTS(leaves); i++) {
		g_autofree char *path = g_build_filename(sshd.folder, leaves[i], NULL);
		g_unlink(path);
	}
	g_assert_cmpint(g_rmdir(sshd.folder), ==, 0);
	g_free(sshd.folder);
	g_free(sshd.user_key);
	g_free(sshd.other_key);
	g_free(sshd.host_line);
	g_free(sshd.other_line);
	g_free(sshd.ecdsa_line);
	g_free(sshd.user);
}

struct trial {
	struct ev_loop *loop;
	struct ssh_session_spec spec;
	char *host_keys[3];
	struct ssh_session *session;
	gboolean over; /* what the test waits for */
	int readies, closes, ends;
	enum ssh_step step;
	GError *error, *closed_error;
	gboolean free_in_ready;
	struct peer peer;
};

struct result {
	struct trial *trial;
	int status, times;
	char *output;
	GError *error;
	gboolean free_session;
	const char *next; /* run this when done */
	int waits_for;	  /* the trial is over after so many ends */
};

static void
on_ready(struct ssh_session *session, enum ssh_step step, const GError *error, void *data)
{
	struct trial *trial = data;

	g_assert_true(session == trial->session);
	trial->readies++;
	trial->step = step;
	trial->error = error ? g_error_copy(error) : NULL;
	trial->over = TRUE;
	if (trial->free_in_ready) {
		ssh_session_free(session);
		trial->session = NULL;
	}
}

static void
on_closed(struct ssh_session *session, const GError *error, void *data)
{
	struct trial *trial = data;

	(void)session;
	trial->closes++;
	trial->closed_error = error ? g_error_copy(error) : NULL;
	trial->over = TRUE;
}

static void
prepare(struct trial *trial)
{
	trial->loop = ev_loop_new(EVFLAG_AUTO);
	trial->host_keys[0] = sshd.host_line;
	trial->spec = (struct ssh_session_spec){.address = "127.0.0.1",
						.port = sshd.port,
						.user = sshd.user,
						.private_key = sshd.user_key,
						.host_keys = trial->host_keys,
						.limits = SSH_LIMITS_DEFAULT};
}

static void
attempt(struct trial *trial)
{
	trial->over = FALSE;
	trial->session = ssh_session_new(trial->loop, &trial->spec, on_ready, on_closed, trial);
	g_assert_cmpint(trial->readies, ==, 0);
	loop_until(trial->loop, &trial->over, 20.);
	g_assert_cmpint(trial->readies, ==, 1);
	trial->over = FALSE;
}

static void
log_in(struct trial *trial)
{
	prepare(trial);
	attempt(trial);
	g_assert_no_error(trial->error);
	g_assert_cmpint(trial->step, ==, SSH_STEP_COMMAND);
}

static void
finish(struct trial *trial)
{
	ssh_session_free(trial->session);
	g_clear_error(&trial->error);
	g_clear_error(&trial->closed_error);
	if (trial->peer.loop)
		peer_close(&trial->peer);
	ev_loop_destroy(trial->loop);
}

static void
assert_failed(struct trial *trial, enum ssh_step step, enum ssh_error code, const char *word)
{
	g_assert_error(trial->error, SESSION_ERROR, (int)code);
	g_assert_cmpint(trial->step, ==, step);
	if (!strstr(trial->error->message, word))
		g_error("\"%s\" does not say \"%s\"", trial->error->message, word);
	g_assert_cmpint(trial->closes, ==, 0);
	finish(trial);
}

static void
on_command(struct ssh_session *session, int status, const char *output, const GError *error,
	   void *data)
{
	struct result *result = data;

	result->times++;
	result->status = status;
	g_free(result->output);
	result->output = g_strdup(output);
	g_clear_error(&result->error);
	result->error = error ? g_error_copy(error) : NULL;
	result->trial->ends++;
	if (result->next) {
		const char *next = result->next;

		result->next = NULL;
		ssh_session_run(session, next, NULL, 20000, on_command, result);
	}
	if (result->free_session) {
		ssh_session_free(session);
		result->trial->session = NULL;
	}
	if (result->trial->ends == MAX(result->waits_for, 1))
		result->trial->over = TRUE;
}

static void
result_clear(struct result *result)
{
	g_free(result->output);
	g_clear_error(&result->error);
}

static void
run(struct trial *trial, struct result *result, const char *command, const char *input,
    gint64 limit)
{
	result->trial = trial;
	trial->over = FALSE;
	trial->ends = 0;
	ssh_session_run(trial->session, command, input, limit, on_command, result);
	g_assert_cmpint(result->times, ==, 0);
	loop_until(trial->loop, &trial->over, 20.);
	g_assert_true(trial->over);
}

static void
assert_result(const char *command, const char *input, int status, const char *output)
{
	struct trial trial = {.over = FALSE};
	struct result result = {.times = 0};

	log_in(&trial);
	run(&trial, &result, command, input, 20000);
	g_assert_no_error(result.error);
	g_assert_cmpint(result.times, ==, 1);
	g_assert_cmpint(result.status, ==, status);
	if (output)
		g_assert_cmpstr(result.output, ==, output);
	result_clear(&result);
	finish(&trial);
}

static void
test_login(void)
{
	struct trial trial = {.over = FALSE};
	guint before = descriptors();

	log_in(&trial);
	g_assert_true(g_str_has_prefix(ssh_session_banner(trial.session), "SSH-2.0-OpenSSH"));
	g_assert_null(strpbrk(ssh_session_banner(trial.session), "\r\n"));
	finish(&trial);
	g_assert_cmpuint(descriptors(), ==, before);
}

static void
test_status(void)
{
	assert_result("exit 3", NULL, 3, "");
}

static void
test_output(void)
{
	assert_result("echo out; echo err >&2", NULL, 0, NULL);
	assert_result("echo hello", NULL, 0, "hello\n");
}

static void
test_signal(void)
{
	assert_result("kill -KILL $$", NULL, -1, "");
}

static void
test_input(void)
{
	assert_result("cat; echo end", "some\ninput\n", 0, "some\ninput\nend\n");
	assert_result("wc -c", NULL, 0, "0\n");
}

static void
test_large_input(void)
{
	g_autofree char *input = g_strnfill(5000000, 'x'); /* more than the channel's window */

	assert_result("wc -c", input, 0, "5000000\n");
}

static void
test_large_output(void)
{
	struct trial trial = {.over = FALSE};
	struct result result = {.times = 0};

	log_in(&trial);
	run(&trial, &result, "head -c 1000000 /dev/zero | tr '\\0' y; exit 7", NULL, 20000);
	g_assert_no_error(result.error);
	g_assert_cmpint(result.status, ==, 7);
	g_assert_cmpuint(strlen(result.output), ==, SSH_OUTPUT_MAX);
	/* The session is still good. */
	result.times = 0;
	run(&trial, &result, "echo next", NULL, 20000);
	g_assert_cmpstr(result.output, ==, "next\n");
	result_clear(&result);
	finish(&trial);
}

static void
test_endless_output(void)
{
	struct trial trial = {.over = FALSE};
	struct result result = {.times = 0};

	log_in(&trial);
	run(&trial, &result, "cat /dev/zero", NULL, 600000);
	g_assert_error(result.error, SESSION_ERROR, SESSION_ERROR_PROTOCOL);
	g_assert_nonnull(strstr(result.error->message, "its output does not end"));
	/* The session is still good. */
	result.times = 0;
	g_clear_error(&result.error);
	run(&trial, &result, "echo next", NULL, 20000);
	g_assert_cmpstr(result.output, ==, "next\n");
	result_clear(&result);
	finish(&trial);
}

static void
test_background(void)
{
	/* Something keeps the output open: the status is enough. */
	assert_result("sleep 30 & echo started", NULL, 0, "started\n");
}

static void
test_limit(void)
{
	struct trial trial = {.over = FALSE};
	struct result result = {.times = 0};

	log_in(&trial);
	/* On a busy machine it may take a longer limit until something is there in time. */
	for (int limit = 300; !result.output || !*result.output; limit *= 2) {
		g_autofree char *text = g_strdup_printf("%d ms", limit);
		g_assert_cmpint(limit, <, 30000);
		result_clear(&result);
		result = (struct result){.times = 0};
		run(&trial, &result, "echo first; exec sleep 30", NULL, limit);
		g_assert_error(result.error, SESSION_ERROR, SESSION_ERROR_TIMEOUT);
		g_assert_nonnull(strstr(result.error->message, text));
	}
	g_assert_cmpstr(result.output, ==, "first\n");
	result.times = 0;
	run(&trial, &result, "echo next", NULL, 20000);
	g_assert_no_error(result.error);
	g_assert_cmpstr(result.output, ==, "next\n");
	result_clear(&result);
	finish(&trial);
}

static void
test_abandoned(void)
{
	struct trial trial = {.over = FALSE};
	struct result result = {.times = 0};

	log_in(&trial);
	run(&trial, &result, "echo $PPID", NULL, 20000);
	pid_t server = (pid_t)g_ascii_strtoll(result.output, NULL, 10);
	g_assert_cmpint(server, >, 1);
	/* A guest that stands still, twice, and more commands than sshd's MaxSessions (10). */
	for (int i = 0; i < 24; i++) {
		if (i % 12 == 0)
			g_assert_cmpint(kill(server, SIGSTOP), ==, 0);
		result.times = 0;
		run(&trial, &result, "sleep 30", NULL, 10);
		g_assert_error(result.error, SESSION_ERROR, SESSION_ERROR_TIMEOUT);
		if (i % 12 == 11) {
			gboolean never = FALSE;

			/* Its answers come when nobody waits for them: what they opened is closed.
			 */
			g_assert_cmpint(kill(server, SIGCONT), ==, 0);
			loop_until(trial.loop, &never, 0.2);
		}
	}
	result.times = 0;
	run(&trial, &result, "echo next", NULL, 20000);
	g_assert_no_error(result.error);
	g_assert_cmpstr(result.output, ==, "next\n");
	result_clear(&result);
	finish(&trial);
}

static void
test_parallel(void)
{
	struct trial trial = {.over = FALSE};
	struct result results[8] = {{.times = 0}};

	log_in(&trial);
	for (gsize i = 0; i < G_N_ELEMENTS(results); i++) {
		g_autofree char *command = g_strdup_printf("echo %zu; exit %zu", i, i);

		results[i].trial = &trial;
		results[i].waits_for = G_N_ELEMENTS(results);
		ssh_session_run(trial.session, command, NULL, 20000, on_command, &results[i]);
	}
	loop_until(trial.loop, &trial.over, 20.);
	for (gsize i = 0; i < G_N_ELEMENTS(results); i++) {
		g_autofree char *expected = g_strdup_printf("%zu\n", i);

		g_assert_no_error(results[i].error);
		g_assert_cmpint(results[i].status, ==, (int)i);
		g_assert_cmpstr(results[i].output, ==, expected);
		result_clear(&results[i]);
	}
	finish(&trial);
}

static void
test_chain(void)
{
	struct trial trial = {.over = FALSE};
	struct result result = {.next = "echo second", .waits_for = 2};

	log_in(&trial);
	run(&trial, &result, "echo first", NULL, 20000);
	g_assert_cmpint(result.times, ==, 2);
	g_assert_cmpstr(result.output, ==, "second\n");
	result_clear(&result);
	finish(&trial);
}

static void
test_free_in_command(void)
{
	struct trial trial = {.over = FALSE};
	struct result result = {.free_session = TRUE}, other = {.trial = &trial};
	guint before = descriptors();

	log_in(&trial);
	ssh_session_run(trial.session, "sleep 30", NULL, 60000, on_command, &other);
	run(&trial, &result, "true", NULL, 20000);
	g_assert_no_error(result.error);
	g_assert_null(trial.session);
	g_assert_cmpint(other.times, ==, 0);
	result_clear(&result);
	finish(&trial);
	g_assert_cmpuint(descriptors(), ==, before);
}

static void
test_killed(void)
{
	struct trial trial = {.over = FALSE};
	struct result first = {.trial = &trial}, second = {.trial = &trial},
		      killer = {.trial = &trial};

	log_in(&trial);
	first.waits_for = second.waits_for = killer.waits_for = -1;
	trial.ends = 100; /* only on_closed ends the wait */
	ssh_session_run(trial.session, "sleep 30", NULL, 60000, on_command, &first);
	ssh_session_run(trial.session, "sleep 30", NULL, 60000, on_command, &second);
	ssh_session_run(trial.session, "kill -KILL $PPID", NULL, 60000, on_command, &killer);
	loop_until(trial.loop, &trial.over, 20.);
	g_assert_cmpint(trial.closes, ==, 1);
	g_assert_error(trial.closed_error, SESSION_ERROR, SESSION_ERROR_CLOSED);
	g_assert_cmpint(first.times, ==, 1);
	g_assert_error(first.error, SESSION_ERROR, SESSION_ERROR_CLOSED);
	g_assert_error(second.error, SESSION_ERROR, SESSION_ERROR_CLOSED);
	/* Whoever runs something now is told from the loop. */
	first.times = 0;
	first.waits_for = 1;
	run(&trial, &first, "true", NULL, 20000);
	g_assert_error(first.error, SESSION_ERROR, SESSION_ERROR_CLOSED);
	result_clear(&first);
	result_clear(&second);
	result_clear(&killer);
	finish(&trial);
}

static void
test_idle(void)
{
	struct trial trial = {.over = FALSE};
	gboolean never = FALSE;

	log_in(&trial);
	loop_until(trial.loop, &never, 0.05); /* what sshd still had to say */
	g_assert_cmpint(loop_until(trial.loop, &never, 0.3), <=, 1); /* the deadline itself */
	finish(&trial);
}

/* --- streams --- */

struct stream {
	struct result result; /* on_command knows this */
	GString *head;	      /* the first bytes that came */
	gsize bytes;
	gboolean free_session;
};

static void
on_bytes(struct ssh_session *session, const char *bytes, gsize n, void *data)
{
	struct stream *stream = data;

	stream->bytes += n;
	g_string_append_len(stream->head, bytes, (gssize)MIN(n, 100));
	if (!stream->free_session)
		return;
	ssh_session_free(session);
	stream->result.trial->session = NULL;
	stream->result.trial->over = TRUE;
}

static void
run_stream(struct trial *trial, struct stream *stream, const char *command, const char *input,
	   gsize n)
{
	log_in(trial);
	trial->ends = 0;
	stream->result.trial = trial;
	stream->head = g_string_new(NULL);
	ssh_session_stream(trial->session, command, input, n, on_bytes, on_command, stream);
	loop_until(trial->loop, &trial->over, 60.);
	g_assert_true(trial->over);
}

static void
stream_end(struct trial *trial, struct stream *stream)
{
	g_string_free(stream->head, TRUE);
	result_clear(&stream->result);
	finish(trial);
}

static void
test_stream(void)
{
	static const char input[] = "a\0b";
	struct trial trial = {.over = FALSE};
	struct stream stream = {.bytes = 0};

	run_stream(&trial, &stream, "head -c 4; echo oops >&2; exit 3", input, sizeof input);
	g_assert_no_error(stream.result.error);
	g_assert_cmpint(stream.result.status, ==, 3);
	g_assert_cmpstr(stream.result.output, ==, "oops\n");
	g_assert_cmpuint(stream.bytes, ==, sizeof input);
	g_assert_cmpmem(stream.head->str, stream.head->len, input, sizeof input);
	stream_end(&trial, &stream);
}

/* More than a command may write, while stderr is only kept from its beginning. */
static void
test_long_stream(void)
{
	struct trial trial = {.over = FALSE};
	struct stream stream = {.bytes = 0};

	run_stream(&trial, &stream,
		   "head -c 20000000 /dev/zero; head -c 100000 /dev/zero | tr '\\0' x >&2", NULL,
		   0);
	g_assert_no_error(stream.result.error);
	g_assert_cmpuint(stream.bytes, ==, 20000000);
	g_assert_cmpuint(strlen(stream.result.output), ==, SSH_SAID_MAX);
	stream_end(&trial, &stream);
}

static void
test_free_in_stream(void)
{
	struct trial trial = {.over = FALSE};
	struct stream stream = {.free_session = TRUE};

	run_stream(&trial, &stream, "echo a; sleep 30", NULL, 0);
	g_assert_cmpint(stream.result.times, ==, 0); /* nothing is called any more */
	stream_end(&trial, &stream);
}

/* A session that dies ends its stream, with the reason. */
static void
test_killed_stream(void)
{
	struct trial trial = {.over = FALSE};
	struct stream stream = {.bytes = 0};

	run_stream(&trial, &stream, "kill -KILL $PPID", NULL, 0);
	g_assert_error(stream.result.error, SESSION_ERROR, SESSION_ERROR_CLOSED);
	stream_end(&trial, &stream);
}

static void
test_impostor(void)
{
	struct trial trial = {.over = FALSE};

	prepare(&trial);
	trial.host_keys[0] = sshd.other_line;
	attempt(&trial);
	g_assert_nonnull(strstr(trial.error->message, "SHA256:"));
	assert_failed(&trial, SSH_STEP_HOST_KEY, SESSION_ERROR_IMPOSTOR,
		      "an impostor answers: its host key is");
}

static void
test_impostor_of_other_kind(void)
{
	struct trial trial = {.over = FALSE};

	prepare(&trial);
	trial.host_keys[0] = sshd.ecdsa_line;
	attempt(&trial);
	g_assert_nonnull(strstr(trial.error->message, "injected was ecdsa-sha2-nistp256 SHA256:"));
	assert_failed(&trial, SSH_STEP_HOST_KEY, SESSION_ERROR_IMPOSTOR,
		      "an impostor answers: its host key is ssh-ed25519 SHA256:");
}

static void
test_second_key(void)
{
	struct trial trial = {.over = FALSE};

	prepare(&trial);
	trial.host_keys[0] = sshd.other_line;
	trial.host_keys[1] = sshd.host_line;
	attempt(&trial);
	g_assert_no_error(trial.error);
	finish(&trial);
}

/* A line that an administrator has spoilt is no key, and hides no other. */
static void
test_spoilt_key(void)
{
	struct trial trial = {.over = FALSE};

	prepare(&trial);
	trial.host_keys[0] = (char *)"ssh-ed25519 nothing";
	trial.host_keys[1] = sshd.host_line;
	attempt(&trial);
	g_assert_no_error(trial.error);
	finish(&trial);
}

static void
test_wrong_user(void)
{
	struct trial trial = {.over = FALSE};

	prepare(&trial);
	trial.spec.user = "nobody-of-that-name";
	attempt(&trial);
	g_assert_nonnull(strstr(trial.error->message, "publickey"));
	assert_failed(&trial, SSH_STEP_LOGIN, SESSION_ERROR_DENIED, "nobody-of-that-name");
}

static void
test_wrong_key(void)
{
	struct trial trial = {.free_in_ready = TRUE};

	prepare(&trial);
	trial.spec.private_key = sshd.other_key;
	attempt(&trial);
	assert_failed(&trial, SSH_STEP_LOGIN, SESSION_ERROR_DENIED, sshd.other_key);
}

static void
test_no_key(void)
{
	struct trial trial = {.over = FALSE};

	prepare(&trial);
	trial.spec.private_key = "/nonexistent/key";
	attempt(&trial);
	assert_failed(&trial, SSH_STEP_CONNECT, SESSION_ERROR_KEY, "/nonexistent/key");
}

/* All descriptors are in use, as in a daemon with too many guests. */
static void
test_no_descriptor(void)
{
	struct trial trial = {.over = FALSE};
	struct rlimit limit, tight;
	int taken[64], n = 0;

	prepare(&trial);
	ev_run(trial.loop, EVRUN_NOWAIT); /* it has its own by now */
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	tight = limit;
	tight.rlim_cur = (rlim_t)descriptors() + 8;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &tight), ==, 0);
	trial.spec.user = NULL;
	while (n < 64 && (taken[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	attempt(&trial);
	while (n > 0)
		close(taken[--n]);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	assert_failed(&trial, SSH_STEP_CONNECT, SESSION_ERROR_HOST, g_strerror(EMFILE));
}

static void
test_banner_alone(void)
{
	struct trial trial = {.over = FALSE};
	guint before = descriptors();

	prepare(&trial);
	trial.spec.user = trial.spec.private_key = NULL;
	attempt(&trial);
	g_assert_no_error(trial.error);
	g_assert_cmpint(trial.step, ==, SSH_STEP_BANNER);
	g_assert_true(g_str_has_prefix(ssh_session_banner(trial.session), "SSH-2.0-OpenSSH"));
	g_assert_true(ssh_session_ended(trial.session));
	ev_run(trial.loop, EVRUN_NOWAIT);
	g_assert_cmpint(trial.closes, ==, 0);
	finish(&trial);
	g_assert_cmpuint(descriptors(), ==, before);
}

/* A loop that was kept for longer than the limit reads what came meanwhile before it judges. */
static void
test_stopped_meanwhile(void)
{
	struct trial trial = {.over = FALSE};
	struct result result = {.trial = &trial};

	log_in(&trial);
	ssh_session_run(trial.session, "echo done", NULL, 1000, on_command, &result);
	for (int i = 0; i < 3; i++) { /* the request is on its way */
		ev_run(trial.loop, EVRUN_ONCE);
	}
	g_usleep(1500000); /* no waiting for something: this is what happens */
	loop_until(trial.loop, &trial.over, 20.);
	g_assert_no_error(result.error);
	g_assert_cmpint(result.status, ==, 0);
	result_clear(&result);
	finish(&trial);
}

static void
test_refused(void)
{
	struct trial trial = {.over = FALSE};

	prepare(&trial);
	trial.spec.port = peer_free_port();
	attempt(&trial);
	assert_failed(&trial, SSH_STEP_CONNECT, SESSION_ERROR_REFUSED, "refused");
}

/* Try a peer that behaves like greet. */
static void
try_peer(void (*greet)(struct peer *), const char *text, enum ssh_step step, enum ssh_error code,
	 const char *word)
{
	struct trial trial = {.peer = {.greet = greet, .text = text}};
	guint before = descriptors();

	prepare(&trial);
	trial.spec.limits = (struct ssh_limits){2000, 200, 300, 300};
	peer_open(&trial.peer, trial.loop);
	trial.spec.port = trial.peer.port;
	attempt(&trial);
	assert_failed(&trial, step, code, word);
	g_assert_cmpuint(descriptors(), ==, before);
}

static void
test_silent(void)
{
	try_peer(NULL, NULL, SSH_STEP_BANNER, SESSION_ERROR_TIMEOUT, "no SSH banner within 200 ms");
}

static void
test_closes(void)
{
	try_peer(peer_hang_up, NULL, SSH_STEP_BANNER, SESSION_ERROR_REFUSED, "before a banner");
	try_peer(peer_reset, NULL, SSH_STEP_BANNER, SESSION_ERROR_REFUSED, "before a banner");
}

static void
test_turned_away(void)
{
	try_peer(peer_greet_text_and_close, "Exceeded MaxStartups\r\n", SSH_STEP_BANNER,
		 SESSION_ERROR_REFUSED, "Exceeded MaxStartups");
}

static void
greet_with_zeros(struct peer *peer)
{
	peer_say(peer, "\0\0x", 3);
}

static void
test_not_ssh(void)
{
	try_peer(greet_with_zeros, NULL, SSH_STEP_BANNER, SESSION_ERROR_PROTOCOL, "\\x00\\x00x");
	try_peer(peer_greet_text_and_close, "HTTP/1.1 400 Bad Request\r\n\r\n", SSH_STEP_BANNER,
		 SESSION_ERROR_PROTOCOL, "HTTP/1.1 400 Bad");
	try_peer(peer_greet_text_and_close, "half a line", SSH_STEP_BANNER, SESSION_ERROR_PROTOCOL,
		 "half a line");
	try_peer(peer_greet_text, "SSH-1.5-old\r\n", SSH_STEP_BANNER, SESSION_ERROR_PROTOCOL,
		 "SSH-1.5-old");
	try_peer(peer_greet_text, "hello\r\n", SSH_STEP_BANNER, SESSION_ERROR_TIMEOUT, "hello");
}

static void
greet_endlessly(struct peer *peer)
{
	g_autoptr(GString) lines = g_string_new(NULL);

	while (lines->len < 100000)
		g_string_append(lines, "please wait\r\n");
	peer_say(peer, lines->str, lines->len);
}

static void
greet_with_a_long_line(struct peer *peer)
{
	g_autofree char *line = g_strnfill(20000, 'l');

	peer_say(peer, line, 20000);
}

static void
test_endless(void)
{
	try_peer(greet_endlessly, NULL, SSH_STEP_BANNER, SESSION_ERROR_PROTOCOL, "please wait");
	try_peer(greet_with_a_long_line, NULL, SSH_STEP_BANNER, SESSION_ERROR_PROTOCOL, "llll");
}

static void
test_banner_then_silence(void)
{
	try_peer(peer_greet_text, "SSH-2.0-x\r\n", SSH_STEP_HOST_KEY, SESSION_ERROR_TIMEOUT,
		 "no end of the key exchange within 300 ms");
	try_peer(peer_greet_text_and_close, "SSH-2.0-x\r\n", SSH_STEP_HOST_KEY,
		 SESSION_ERROR_CLOSED, "closed");
	try_peer(peer_greet_text,
		 "SSH-2.0-x\r\nthis is no binary packet at all, is it? no, not at all",
		 SSH_STEP_HOST_KEY, SESSION_ERROR_PROTOCOL, "host key");
}

static void
test_slow_banner(void)
{
	struct trial trial = {
	    .peer = {.greet = peer_greet_slowly, .text = "first a line\r\nSSH-2.0-slow\r\n"}};

	prepare(&trial);
	trial.spec.limits.host_key = 200;
	peer_open(&trial.peer, trial.loop);
	trial.spec.port = trial.peer.port;
	trial.session = ssh_session_new(trial.loop, &trial.spec, on_ready, on_closed, &trial);
	/* Two turns a byte (the peer's timer, our look): a loop that spins would make thousands. */
	g_assert_cmpint(loop_until(trial.loop, &trial.over, 10.), <, 150);
	g_assert_cmpstr(ssh_session_banner(trial.session), ==, "SSH-2.0-slow");
	assert_failed(&trial, SSH_STEP_HOST_KEY, SESSION_ERROR_TIMEOUT, "key exchange");
}

static void
test_free_early(void)
{
	struct trial trial = {.over = FALSE};
	gboolean never = FALSE;
	guint before = descriptors();

	/* At every point of the way: after so many turns of the loop. */
	for (int turns = 0; turns < 12; turns++) {
		struct trial one = trial;

		prepare(&one);
		one.session = ssh_session_new(one.loop, &one.spec, on_ready, on_closed, &one);
		for (int i = 0; i < turns && one.readies == 0; i++)
			ev_run(one.loop, EVRUN_ONCE);
		ssh_session_free(one.session);
		one.session = NULL;
		loop_until(one.loop, &never, 0.01);
		g_clear_error(&one.error);
		ev_loop_destroy(one.loop);
	}
	g_assert_cmpuint(descriptors(), ==, before);
}

/* sshd needs a moment to listen; sessions are what waits for it. */
static void
wait_for_sshd(void)
{
	for (int i = 0; i < 500; i++) {
		struct trial trial = {.over = FALSE};

		prepare(&trial);
		attempt(&trial);
		gboolean good = trial.error == NULL;
		gboolean never = FALSE;
		if (!good && trial.error->code != SESSION_ERROR_REFUSED)
			g_error("sshd does not let us in: %s", trial.error->message);
		if (!good)
			loop_until(trial.loop, &never, 0.02);
		finish(&trial);
		if (good)
			return;
	}
	g_error("sshd does not start");
}

/* What the kernel knows of the connection: our end's port, and how long an answer takes. */
static void
test_wire(void)
{
	struct trial trial = {.readies = 0};

	log_in(&trial);
	g_assert_cmpint(ssh_session_port(trial.session), >, 0);
	g_assert_cmpint(ssh_session_port(trial.session), !=, sshd.port);
	g_assert_cmpuint(ssh_session_round_trip(trial.session), >, 0);
	finish(&trial);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (access(SSHD, X_OK) == -1)
		g_error(SSHD " is missing: apt-get install openssh-server");
	sshd_start();
	wait_for_sshd();
#define TEST(name, function) g_test_add_func("/ssh-session/" name, function)
	TEST("a-login-tells-the-banner-and-leaks-nothing", test_login);
	TEST("a-command-s-status-is-told", test_status);
	TEST("a-command-s-output-is-told", test_output);
	TEST("a-command-that-a-signal-ended-has-status-minus-one", test_signal);
	TEST("input-is-sent-and-ended", test_input);
	TEST("input-larger-than-the-window-arrives", test_large_input);
	TEST("too-much-output-is-cut-and-the-session-stays", test_large_output);
	TEST("output-without-end-is-an-error", test_endless_output);
	TEST("what-a-command-left-behind-is-not-waited-for", test_background);
	TEST("a-command-that-never-ends-has-a-limit-and-the-session-stays", test_limit);
	TEST("commands-given-up-while-the-guest-stood-still-leave-no-channel-behind",
	     test_abandoned);
	TEST("several-commands-run-at-once", test_parallel);
	TEST("a-callback-may-run-the-next-command", test_chain);
	TEST("a-callback-may-free-the-session", test_free_in_command);
	TEST("a-session-that-dies-ends-its-commands", test_killed);
	TEST("an-idle-session-never-wakes-the-loop", test_idle);
	TEST("a-stream-goes-both-ways", test_stream);
	TEST("a-stream-may-be-long", test_long_stream);
	TEST("a-stream-may-free-its-session", test_free_in_stream);
	TEST("a-session-that-dies-ends-its-stream", test_killed_stream);
	TEST("another-host-key-is-an-impostor", test_impostor);
	TEST("a-host-key-of-another-kind-is-an-impostor", test_impostor_of_other_kind);
	TEST("any-of-the-injected-keys-is-good", test_second_key);
	TEST("a-key-that-cannot-be-read-hides-no-other", test_spoilt_key);
	TEST("an-unknown-user-is-denied", test_wrong_user);
	TEST("an-unknown-key-is-denied", test_wrong_key);
	TEST("an-unreadable-key-of-ours-is-named", test_no_key);
	TEST("nobody-there-is-refused", test_refused);
	TEST("a-lack-of-descriptors-is-the-hosts", test_no_descriptor);
	TEST("without-a-user-the-banner-is-enough", test_banner_alone);
	TEST("what-came-while-the-loop-was-kept-counts", test_stopped_meanwhile);
	TEST("an-sshd-that-accepts-and-says-nothing-has-a-limit", test_silent);
	TEST("closed-before-a-banner-is-refused", test_closes);
	TEST("turned-away-by-sshd-is-refused", test_turned_away);
	TEST("what-is-not-ssh-is-said", test_not_ssh);
	TEST("endless-lines-before-a-banner-are-cut-off", test_endless);
	TEST("a-server-that-goes-no-further-than-its-banner-fails", test_banner_then_silence);
	TEST("a-banner-byte-by-byte-is-a-banner-and-no-busy-loop", test_slow_banner);
	TEST("a-session-can-be-freed-at-any-time", test_free_early);
	TEST("a-session-knows-its-port-and-its-round-trip", test_wire);
	int result = g_test_run();
	sshd_stop();
	return result;
}
