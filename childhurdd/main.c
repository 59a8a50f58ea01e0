/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdd: options, the lock on the state directory, signals, the loop.
 *
 * It stays in the foreground. SIGTERM and SIGINT end the daemon and leave the guests running;
 * SIGHUP reloads.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <glib.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/hird/hird.h"
#include "childhurdd/host/check.h"
#include "childhurdd/host/config_trust.h"
#include "childhurdd/host/prepare.h"
#include "childhurdd/inject/injector.h"
#include "childhurdd/qemu/user.h"
#include "childhurdd/system/descriptors.h"
#include "childhurdd/system/lane.h"
#include "childhurdd/system/logging.h"
#include "childhurdd/system/notify.h"
#include "childhurdd/system/own_folder.h"
#include "childhurdd/system/process.h"
#include "childhurdd/system/reaper.h"
#include "childhurdd/system/relay.h"
#include "config/base/streams.h"
#include "config/config.h"

#define TRUST_LIMIT 30000 /* ms for the configuration and its folders to answer */

static void
print_all(GPtrArray *messages)
{
	for (guint i = 0; i < messages->len; i++)
		logging_plain(g_ptr_array_index(messages, i));
}

/*
 * One daemon for each state directory. A lock of fcntl(2) ends with the process in any case: a
 * child that was being forked when this one was killed has none, as it would have of flock(2). The
 * pid is only for the message. Returns the locked descriptor, or -1 after a message.
 */
static int
lock(const char *directory)
{
	g_autofree char *path = g_build_filename(directory, "lock", NULL);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		g_critical("%s: %s", path, g_strerror(errno));
		return -1;
	}
	fchmod(fd, 0600); /* another user that could open it could lock it */
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_SETLK, &whole) < 0) {
		char pid[16] = "";
		ssize_t n = read(fd, pid, sizeof pid - 1);
		g_critical("%s is in use by another childhurdd (process %s); end that one, or give "
			   "this one another "
			   "state-directory",
			   directory, n > 0 ? g_strchomp(pid) : "unknown");
		close(fd);
		return -1;
	}
	g_autofree char *pid = g_strdup_printf("%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || !streams_write(fd, pid, strlen(pid)))
		g_warning("%s: %s", path, g_strerror(errno));
	return fd;
}

static gboolean
make_folder(const char *path)
{
	g_autoptr(GError) error = NULL;
	if (folder_make(path, NULL, &error))
		return TRUE;
	g_critical("%s", error->message);
	return FALSE;
}

static void
on_end(struct ev_loop *loop, ev_signal *w, int revents)
{
	g_message("ending on %s; %s", g_strsignal(w->signum),
		  hird_guests_run(w->data) ? "the guests run on" : "no guest runs");
	ev_break(loop, EVBREAK_ALL);
}

static void
on_reload(struct ev_loop *loop, ev_signal *w, int revents)
{
	hird_reload(w->data, NULL, NULL);
}

/* Find out who else could change the configuration. Its file is read again, only by a worker. */
struct trust {
	char *file;
	GPtrArray *problems; /* NULL: it cannot be read any more */
};

static void
trust_work(void *data)
{
	struct trust *trust = data;
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	lane_touch("configuration", trust->file);
	struct config *config = config_load(trust->file, errors);
	if (!config)
		return;
	lane_touch("secrets", config->secrets_directory);
	trust->problems = trust_problems(config);
	config_free(config);
}

static void
on_trust(void *data, const GError *late)
{
	const struct trust *trust = data;
	if (late)
		g_warning("%s; who else can change it is not known", late->message);
	for (guint i = 0; !late && trust->problems && i < trust->problems->len; i++)
		g_warning("%s", (const char *)g_ptr_array_index(trust->problems, i));
}

static void
trust_free(void *data)
{
	struct trust *trust = data;
	g_free(trust->file);
	g_clear_pointer(&trust->problems, g_ptr_array_unref);
	g_free(trust);
}

static void
warn_of_others(struct ev_loop *loop, const struct config *config)
{
	struct trust *trust = g_new0(struct trust, 1);
	trust->file = g_strdup(config->file);
	lane_run(lane_new(tasks_new(loop, -1)), TRUST_LIMIT, trust_work, on_trust, trust_free,
		 trust);
}

/* Everything that is known of the guests is of one boot of the host. */
static gboolean
boot_is_known(void)
{
	g_autofree char *boot = process_boot();
	if (!*boot)
		g_critical("/proc/sys/kernel/random/boot_id: cannot be read, so it is not known "
			   "whether the guests' records are of this boot");
	return *boot != '\0';
}

static int
run(struct config *config)
{
	if (!boot_is_known())
		return EXIT_FAILURE;
	if (!make_folder(config->state_directory) || !make_folder(config->runtime_directory))
		return EXIT_FAILURE;
	int locked = lock(config->state_directory);
	if (locked < 0)
		return EXIT_FAILURE;

	descriptors_raise();
	/* Not the default loop, which would wait for every child of this process, also libvirt's.
	 */
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	g_autoptr(GError) error = NULL;
	reaper_start(loop);
	warn_of_others(loop, config);
	struct hird *hird = hird_new(loop, config, &error);
	if (!hird) {
		g_critical("%s", error->message);
		return EXIT_FAILURE;
	}
	ev_signal terminate, interrupt, reload;
	ev_timer watchdog;
	ev_signal_init(&terminate, on_end, SIGTERM);
	ev_signal_init(&interrupt, on_end, SIGINT);
	ev_signal_init(&reload, on_reload, SIGHUP);
	terminate.data = interrupt.data = reload.data = hird;
	ev_signal_start(loop, &terminate);
	ev_signal_start(loop, &interrupt);
	ev_signal_start(loop, &reload);
	notify_watchdog_start(&watchdog, loop);
	g_message("childhurdd " CHILDHURD_VERSION ": %u guest%s configured in %s",
		  config->guests->len, config->guests->len == 1 ? "" : "s",
		  (const char *)g_ptr_array_index(config->files, 0));
	ev_run(loop, 0);
	notify_send("STOPPING=1");
	gboolean broken = hird_broken(hird);
	hird_free(hird);
	return broken ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --check. Takes the configuration over. */
static int
check_host(struct config *config, gboolean quiet, gboolean with_sum)
{
	struct finding_lines lines = {
	    .out = stdout, .quiet = quiet, .coloured = streams_colours(STDOUT_FILENO)};
	gboolean good = hostcheck_run(config, &lines);
	if (with_sum)
		finding_lines_sum(&lines);
	config_free(config);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	g_autofree char *file = NULL, *level = NULL, *user = NULL;
	gboolean check = FALSE, quiet = FALSE, bare = FALSE, prepare = FALSE, version = FALSE;
	const GOptionEntry options[] = {
	    {"config", 'c', 0, G_OPTION_ARG_FILENAME, &file,
	     "Read FILE, and conf.d/*.ini beside it", "FILE"},
	    {"check", 0, 0, G_OPTION_ARG_NONE, &check,
	     "Check configuration and host, say what is wrong, and exit", NULL},
	    {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "With --check: only notes and problems",
	     NULL},
	    /* for the daemon itself, which reads the lines */
	    {"findings-only", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &bare, "", NULL},
	    {"prepare", 0, 0, G_OPTION_ARG_NONE, &prepare,
	     "Do, as root, what a daemon of another user cannot, and exit", NULL},
	    {"user", 0, 0, G_OPTION_ARG_STRING, &user,
	     "With --prepare: who runs the daemon (default: " QEMU_USER ")", "USER"},
	    {"log-level", 'l', 0, G_OPTION_ARG_STRING, &level,
	     "error, warning, info (default) or debug", "LEVEL"},
	    {"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
	    {NULL, 0, 0, 0, NULL, NULL, NULL},
	};
	g_autoptr(GOptionContext) context =
	    g_option_context_new("- keep GNU/Hurd virtual machines as build machines");
	g_autoptr(GError) error = NULL;
	streams_fill();
	mallopt(M_ARENA_MAX, 1); /* what one worker has freed is there for the others */
	if (relay_wanted(argc, argv))
		return relay_main(argv);
	if (injector_wanted(argc, argv))
		return injector_main(argv);
	setlocale(LC_CTYPE, ""); /* for --help */
	g_option_context_add_main_entries(context, options, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
		streams_complain("childhurdd",
				 error ? error->message : "it takes no arguments; see --help");
		return 2;
	}
	if (quiet && !check) {
		streams_complain("childhurdd", "--quiet goes with --check");
		return 2;
	}
	if (version) {
		puts("childhurdd " CHILDHURD_VERSION);
		return EXIT_SUCCESS;
	}
	if (!logging_start(level)) {
		fprintf(stderr, "childhurdd: --log-level %s: it is error, warning, info or debug\n",
			level);
		return 2;
	}
	/* Independent of the administrator's: QEMU's user must pass libvirt's folders, and
	 * coordinators read the published files. Secret files have modes of their own. */
	umask(022);
	/* No core files: this process has private keys in its memory. */
	const struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGPIPE, SIG_IGN);
	/* Keep libvirt off the message bus, which it does not need here. GLib sends SIGTERM to a
	 * process whose bus goes away, which at the host's shutdown is before we may end. */
	g_setenv("DBUS_SYSTEM_BUS_ADDRESS", "disabled:", TRUE);
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	g_autoptr(GPtrArray) messages = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(file, messages);
	if (!config) {
		print_all(messages);
		return EXIT_FAILURE;
	}
	if (!prepare)
		config_resolve(config);
	if (check)
		return check_host(config, quiet, !bare);
	if (prepare) {
		gboolean good = prepare_run(config, user ? user : QEMU_USER, &error);
		if (!good)
			g_critical("%s", error->message);
		config_free(config);
		return good ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	/* Without a configuration, an empty hird would end running guests as no longer configured.
	 */
	g_autofree char *missing = config_missing(config);
	if (missing) {
		logging_plain(missing);
		config_free(config);
		return EXIT_FAILURE;
	}
	/* Workers and libvirt's threads may still be at work, with what exit() would take down. */
	_exit(run(config));
}
