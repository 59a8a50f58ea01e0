/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A control socket in a temporary folder, a simulated hird behind it, and clients, all in one loop
 * of one thread. */
#ifndef TESTS_UNIT_SERVICE_CONTROL_BED_H
#define TESTS_UNIT_SERVICE_CONTROL_BED_H

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/control/control.h"
#include "service/control/internal.h"

#define BED_PATIENCE 100. /* s; a test that waits longer has failed */
#define BED_GUESTS   4

struct made_guest {
	const char *name, *state;
	int builds;
};

struct bed {
	struct ev_loop *loop;
	ev_timer patience;
	char *folder, *path, *log;
	struct control_hird hird;
	struct control *control;
	struct made_guest guests[BED_GUESTS];
	gboolean drained[BED_GUESTS], undecided[BED_GUESTS];
	const char *names[BED_GUESTS + 1];
	GString *commands;    /* that the hird has got */
	const char *stubborn; /* the guest whose commands fail */
	gboolean all_stubborn, reloads;
	pid_t pid;     /* of the QEMUs */
	gint64 number; /* of the last event */
	struct published_guest machines[2];
	gboolean slow_disk; /* no command is kept until the test calls kept_done */
	char **unwritten;   /* files that the daemon cannot write; NULL: none */
	void (*kept_done)(const char *name, const char *why, void *data);
	void *kept_data;
	void (*shot_done)(GBytes *png, const GError *error, void *data);
	void *shot_data;
	void (*check_done)(gboolean, const struct control_finding *, gsize, void *data);
	control_invite_fn invite_done;
	void *invite_data;
	void *check_data;
};

static inline void
bed_out_of_patience(struct ev_loop *loop, ev_timer *watcher, int events)
{
	g_error("nothing happened for %g s", BED_PATIENCE);
}

static inline const char *const *
bed_names(void *data)
{
	return ((struct bed *)data)->names;
}

static inline gboolean
bed_describe(void *data, const char *name, gboolean details, struct control_guest *guest)
{
	static const struct control_step steps[] = {{"banner", "ok", 120},
						    {"command", "no \377 answer", -1}};
	static char *tail[] = {(char *)"last \377 line", NULL};
	static char *needed[] = {(char *)"memory-size", NULL};
	struct bed *bed = data;
	for (int i = 0; bed->names[i]; i++) {
		if (strcmp(bed->names[i], name) != 0)
			continue;
		*guest = (struct control_guest){
		    .name = name,
		    .state = bed->guests[i].state,
		    .since = 1500000,
		    .why = i ? "started by root" : NULL,
		    .published = i == 1,
		    .autostart = i == 1,
		    .autostart_asleep = i == 2,
		    .listen_address = "127.0.0.1",
		    .ssh_port = 10022 + 1000 * i,
		    .drained = bed->drained[i],
		    .undecided = bed->undecided[i],
		    .builds = bed->guests[i].builds,
		    .slots = (int)i,
		    .memory = 4096,
		    .pid = i ? bed->pid : 0,
		    .cpu = 1500,
		    .known_hosts = "/run/known_hosts",
		    .console_log = bed->log,
		    .steps = steps,
		    .n_steps = i ? G_N_ELEMENTS(steps) : 0,
		    .skew = i ? -2.5 : NAN,
		    .skew_within = i ? 0.75 : NAN,
		    .load = i ? INFINITY : NAN,
		    .disk_free = -1,
		    .store_free = 4096,
		    .warm_saved = i == 1 ? 1700000000 : 0,
		    .warm_off = i == 2 ? "it failed" : NULL,
		    .console_tail = details ? tail : NULL,
		    .restart_needed = details && i ? needed : NULL,
		};
		return TRUE;
	}
	return FALSE;
}

static inline gboolean
bed_command(void *data, const char *name, enum control_verb verb, gboolean now, const char *who,
	    GError **error)
{
	static const char *const verbs[] = {
	    [CONTROL_START] = "start", [CONTROL_STOP] = "stop",	      [CONTROL_RESTART] = "restart",
	    [CONTROL_RESET] = "reset", [CONTROL_RESET_COLD] = "cool", [CONTROL_SLEEP] = "sleep",
	    [CONTROL_DRAIN] = "drain", [CONTROL_UNDRAIN] = "undrain"};
	struct bed *bed = data;
	g_string_append_printf(bed->commands, "%s %s%s by %s\n", verbs[verb], name,
			       now ? " now" : "", who);
	if (!bed->all_stubborn && g_strcmp0(bed->stubborn, name) != 0)
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "it does not want to");
	return FALSE;
}

static inline void
bed_kept(void *data, const char *const *names,
	 void (*done)(const char *name, const char *why, void *), void *done_data)
{
	struct bed *bed = data;
	bed->kept_done = done;
	bed->kept_data = done_data;
	if (!bed->slow_disk)
		done(NULL, NULL, done_data);
}

static inline char **
bed_unwritten(void *data)
{
	const struct bed *bed = data;
	return bed->unwritten ? g_strdupv(bed->unwritten) : g_new0(char *, 1);
}

static inline void
bed_reload(void *data, gboolean dry,
	   void (*done)(gboolean applied, const char *const *messages, void *done_data),
	   void *done_data)
{
	struct bed *bed = data;
	const char *const messages[] = {!bed->reloads ? "line 3: no such key"
					: dry	      ? "alpha: memory-size would change"
						      : "alpha: memory-size changed",
					NULL};
	done(bed->reloads, messages, done_data);
}

static inline const struct published_guest *
bed_machines(void *data, gsize *n)
{
	*n = 2;
	return ((struct bed *)data)->machines;
}

static inline void
bed_screenshot(void *data, const char *name, void (*done)(GBytes *, const GError *, void *),
	       void *done_data)
{
	struct bed *bed = data;
	g_string_append_printf(bed->commands, "screenshot %s\n", name);
	bed->shot_done = done;
	bed->shot_data = done_data;
}

static inline char *
bed_metrics(void *data)
{
	return g_strdup("# EOF\n");
}

static inline void
bed_check(void *data,
	  void (*done)(gboolean, const struct control_finding *, gsize, void *done_data),
	  void *done_data)
{
	struct bed *bed = data;
	bed->check_done = done;
	bed->check_data = done_data;
}

static inline void
bed_invite(void *data, control_invite_fn done, void *done_data)
{
	struct bed *bed = data;
	bed->invite_done = done;
	bed->invite_data = done_data;
}

static inline void
bed_listen(struct bed *bed, const char *group)
{
	g_autoptr(GError) error = NULL;
	bed->control = control_new(bed->loop, bed->path, group, &bed->hird, &error);
	g_assert_no_error(error);
	control_open(bed->control);
}

/* A hird of alpha (stopped), beta1 (ready), beta2 (booting), gamma (failed); no socket yet. */
static inline void
bed_begin(struct bed *bed)
{
	static const char *const keys[] = {"ssh-ed25519 AAAA", NULL},
				 *const systems[] = {"i586-gnu", NULL}, *const none[] = {NULL};
	*bed = (struct bed){
	    .loop = ev_loop_new(EVFLAG_AUTO),
	    .folder = g_dir_make_tmp("childhurd-control-XXXXXX", NULL),
	    .guests = {{"alpha", "stopped", 0},
		       {"beta1", "ready", 0},
		       {"beta2", "booting", -1},
		       {"gamma", "failed", -1}},
	    .commands = g_string_new(NULL),
	    .pid = 42,
	    .hird = {.data = bed,
		     .names = bed_names,
		     .describe = bed_describe,
		     .command = bed_command,
		     .kept = bed_kept,
		     .unwritten = bed_unwritten,
		     .reload = bed_reload,
		     .machines = bed_machines,
		     .screenshot = bed_screenshot,
		     .metrics = bed_metrics,
		     .check = bed_check,
		     .invite = bed_invite},
	};
	for (int i = 0; i < BED_GUESTS; i++)
		bed->names[i] = bed->guests[i].name;
	for (int i = 0; i < 2; i++)
		bed->machines[i] = (struct published_guest){
		    .name = bed->names[i + 1],
		    .host_name = "127.0.0.1",
		    .port = 11022 + 1000 * i,
		    .user = "offloading",
		    .private_key = "/var/lib/childhurd/key",
		    .host_keys = keys,
		    .systems = systems,
		    .features = none,
		    .parallel_builds = 1,
		    .speed = 1.5,
		    .overload_threshold = 1.8,
		    .as = i ? PUBLISHED_COMING : PUBLISHED_READY,
		};
	bed->path = g_build_filename(bed->folder, "control", NULL);
	bed->log = g_build_filename(bed->folder, "console.log", NULL);
	ev_timer_init(&bed->patience, bed_out_of_patience, BED_PATIENCE, 0.);
	ev_timer_start(bed->loop, &bed->patience);
}

static inline void
bed_end(struct bed *bed)
{
	control_free(bed->control);
	ev_timer_stop(bed->loop, &bed->patience);
	ev_loop_destroy(bed->loop);
	g_unlink(bed->log);
	g_assert_cmpint(g_rmdir(bed->folder), ==, 0); /* nothing is left behind */
	g_string_free(bed->commands, TRUE);
	g_free(bed->folder);
	g_free(bed->path);
	g_free(bed->log);
}

static inline void
bed_round(struct bed *bed)
{
	ev_run(bed->loop, EVRUN_ONCE);
}

/* Run the loop until it has nothing to do. */
static inline void
bed_settle(struct bed *bed)
{
	for (int i = 0; i < 50; i++)
		ev_run(bed->loop, EVRUN_NOWAIT);
}

/* Report an event of guest i, which is in state now; NULL: no change of state. */
static inline void
bed_event(struct bed *bed, int i, const char *state, const char *text)
{
	struct control_event event = {.number = text ? ++bed->number : 0,
				      .time = 2500000,
				      .guest = i < 0 ? NULL : bed->names[i],
				      .state = state,
				      .text = text};
	if (state)
		bed->guests[i].state = state;
	control_event(bed->control, &event);
}

struct peer {
	struct bed *bed;
	int fd;
	struct varlink_buffer in;
};

static inline int
peer_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	g_assert_cmpuint(strlen(path), <, sizeof address.sun_path);
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	return fd;
}

static inline void
peer_begin(struct peer *peer, struct bed *bed)
{
	*peer = (struct peer){.bed = bed, .fd = peer_socket(bed->path)};
	varlink_buffer_init(&peer->in, 16 * 1024 * 1024);
}

static inline void
peer_end(struct peer *peer)
{
	close(peer->fd);
	varlink_buffer_clear(&peer->in);
}

/* Send n bytes. FALSE: the other end is gone. */
static inline gboolean
peer_send(struct peer *peer, const char *bytes, gsize n)
{
	while (n) {
		gssize r = send(peer->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r < 0 && errno != EAGAIN)
			return FALSE;
		if (r < 0)
			bed_round(peer->bed);
		bytes += MAX(r, 0);
		n -= (gsize)MAX(r, 0);
	}
	return TRUE;
}

/* Send a call. A method without a dot is org.childhurd's; parameters and flags are JSON text. */
static inline void
peer_call(struct peer *peer, const char *method, const char *parameters, const char *flags)
{
	g_autofree char *text =
	    g_strdup_printf("{\"method\":\"%s%s\",\"parameters\":{%s}%s}",
			    strchr(method, '.') ? "" : "org.childhurd.", method, parameters, flags);
	g_assert_true(peer_send(peer, text, strlen(text) + 1));
}

/* The next message; NULL: the connection has ended. Free with varlink_message_free. */
static inline struct varlink_message *
peer_next(struct peer *peer)
{
	g_autoptr(GError) error = NULL;
	for (;;) {
		char bytes[65536];
		const char *text = varlink_buffer_take(&peer->in, &error);
		g_assert_no_error(error);
		if (text) {
			struct varlink_message *m = varlink_parse(text, &error);
			g_assert_no_error(error);
			return m;
		}
		gssize n = recv(peer->fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n > 0)
			varlink_buffer_append(&peer->in, bytes, (gsize)n);
		else if (n == 0 || errno != EAGAIN)
			return NULL;
		else
			bed_round(peer->bed);
	}
}

static inline void
assert_end(struct peer *peer)
{
	struct varlink_message *m = peer_next(peer);
	g_assert_null(m);
}

/* Nothing comes, however often the loop turns. */
static inline void
assert_silence(struct peer *peer)
{
	char byte;
	bed_settle(peer->bed);
	g_assert_cmpuint(varlink_buffer_pending(&peer->in), ==, 0);
	g_assert_cmpint(recv(peer->fd, &byte, 1, MSG_DONTWAIT), ==, -1);
	g_assert_cmpint(errno, ==, EAGAIN);
}

/* The parameters of the next message, as a text. Before it stands a + for continues, or the name of
 * an error. Caller frees. */
static inline char *
peer_text(struct peer *peer)
{
	struct varlink_message *m = peer_next(peer);
	g_assert_nonnull(m);
	g_autofree char *reply = varlink_reply(json_object_ref(m->parameters), FALSE);
	reply[strlen(reply) - 1] = '\0';
	const char *error =
	    m->error && g_str_has_prefix(m->error, "org.childhurd.") ? m->error + 14 : m->error;
	char *text = g_strdup_printf("%s%s%s%s", m->continues ? "+" : "", error ? error : "",
				     error ? " " : "", reply + strlen("{\"parameters\":"));
	varlink_message_free(m);
	return text;
}

#define assert_next(peer, expected)                                                                \
	do {                                                                                       \
		g_autofree char *assert_text = peer_text(peer);                                    \
		g_assert_cmpstr(assert_text, ==, expected);                                        \
	} while (0)

#define assert_next_like(peer, pattern)                                                            \
	do {                                                                                       \
		g_autofree char *assert_text = peer_text(peer);                                    \
		if (!g_pattern_match_simple(pattern, assert_text))                                 \
			g_error("%s:%d: %s is not like %s", __FILE__, __LINE__, assert_text,       \
				pattern);                                                          \
	} while (0)

/* Run a test in a bed of its own, with a socket and one client. */
#define BED_TEST(test)                                                                             \
	static void test##_in(struct bed *bed, struct peer *peer);                                 \
	static void test(void)                                                                     \
	{                                                                                          \
		struct bed bed;                                                                    \
		struct peer peer;                                                                  \
		bed_begin(&bed);                                                                   \
		bed_listen(&bed, NULL);                                                            \
		peer_begin(&peer, &bed);                                                           \
		test##_in(&bed, &peer);                                                            \
		peer_end(&peer);                                                                   \
		bed_end(&bed);                                                                     \
	}                                                                                          \
	static void test##_in(struct bed *bed, struct peer *peer)

#endif
