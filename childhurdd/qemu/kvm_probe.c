/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The KVM probe: QEMU runs the boot sector of kvm_probe.S under `-accel kvm`, and its exit status
 * is the answer. kvm_probe.h explains why nothing less is enough.
 *
 * The memory is a text file with a line for each emulator: boot id, emulator, its size and time,
 * the device's time, yes or no, why; separated by tabs. Writing it drops lines of earlier boots. If
 * it cannot be read or written, that costs a probe and is no error.
 */
#include "childhurdd/qemu/kvm_probe.h"
#include "childhurdd/system/child.h"
#include "childhurdd/system/process.h"
#include "config/base/atomic_file.h"
#include "config/base/streams.h"
#include "config/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KVM_DEVICE    "/dev/kvm"
#define MEMORY_NAME   "kvm-probe"
#define SECTOR_PREFIX "kvm-probe.sector-"
#define SECTOR_SIZE   512
#define MEMORY_MAX    (64 * 1024) /* bytes; a larger file is not ours */
#define STALE_AGE     60	  /* s after which a boot sector was left by a killed daemon */
#define WORDS_MAX     300	  /* characters of QEMU's own words */
#define EXIT_GOOD     85	  /* (42 << 1) | 1, as in kvm_probe.S */
#define EXIT_QEMU     1		  /* QEMU itself complains: no verdict on KVM */

#if defined(__x86_64__) || defined(__i386__)
#define HOST_IS_X86 1
extern const char kvm_probe_sector[SECTOR_SIZE];
extern const guint16 kvm_probe_long_at; /* the place of a byte of it */
#else
#define HOST_IS_X86 0
static const char kvm_probe_sector[SECTOR_SIZE];
static const guint16 kvm_probe_long_at;
#endif

struct kvm_probe {
	struct ev_loop *loop;
	enum kvm_guest guest;
	char *emulator; /* full path */
	char *directory;
	const struct qemu_user *user;
	char *key;    /* the memory's line up to the answer */
	char *sector; /* path of the temporary boot sector */
	struct child *child;
	struct ev_timer answer; /* done is always called from the loop */
	gboolean usable;
	char *why;
	kvm_probe_fn done;
	void *data;
};

/* Does QEMU run as another user than ours? */
static gboolean
other(const struct kvm_probe *probe)
{
	return probe->user && probe->user->other;
}

static void
probe_answered(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	struct kvm_probe *probe = watcher->data;

	probe->done(probe, probe->usable, probe->why, probe->data);
}

/* Takes ownership of why. */
static void
answer_set(struct kvm_probe *probe, gboolean usable, char *why)
{
	g_free(probe->why);
	probe->usable = usable;
	probe->why = why;
}

static char *
memory_path(const struct kvm_probe *probe)
{
	return g_build_filename(probe->directory, MEMORY_NAME, NULL);
}

static const char *
kind(const struct kvm_probe *probe)
{
	return probe->guest == KVM_GUEST_64 ? "64-bit" : "32-bit";
}

/* The conditions for which an answer is valid; NULL: it cannot be stored here. */
static char *
memory_key(const struct kvm_probe *probe, const char *device)
{
	const char *emulator = probe->emulator;
	g_autofree char *boot = process_boot();
	g_autofree char *path = g_strescape(emulator, NULL);
	g_autofree char *escaped =
	    g_strconcat(path, probe->guest == KVM_GUEST_64 ? "\\t64-bit" : NULL, NULL);
	struct stat binary, node;

	if (!*boot || stat(emulator, &binary) < 0 || stat(device, &node) < 0)
		return NULL;
	/* the device's time: loading KVM's module again (for instance with nesting) makes a new
	 * device */
	return g_strdup_printf("%s\t%s\t%" G_GINT64_FORMAT "\t%" G_GINT64_FORMAT ".%09ld"
			       "\t%" G_GINT64_FORMAT ".%09ld\t",
			       boot, escaped, (gint64)binary.st_size, (gint64)binary.st_mtim.tv_sec,
			       binary.st_mtim.tv_nsec, (gint64)node.st_ctim.tv_sec,
			       node.st_ctim.tv_nsec);
}

/* The memory's lines; empty if there is none. Free with g_strfreev. */
static char **
memory_read(const char *path)
{
	g_autofree char *text = NULL;
	gsize length;

	if (!g_file_get_contents(path, &text, &length, NULL) || length > MEMORY_MAX ||
	    !g_utf8_validate(text, (gssize)length, NULL))
		return g_new0(char *, 1);
	return g_strsplit(text, "\n", -1);
}

/* TRUE: the answer is known and set. */
static gboolean
memory_recall(struct kvm_probe *probe)
{
	g_autofree char *path = memory_path(probe);
	g_auto(GStrv) lines = memory_read(path);

	for (char **line = lines; probe->key && *line; line++) {
		const char *answer;

		if (!g_str_has_prefix(*line, probe->key))
			continue;
		answer = *line + strlen(probe->key);
		if (!g_str_has_prefix(answer, "yes\t") && !g_str_has_prefix(answer, "no\t"))
			return FALSE;
		answer_set(
		    probe, answer[0] == 'y',
		    g_strdup_printf("%s (remembered in %s)", strchr(answer, '\t') + 1, path));
		return TRUE;
	}
	return FALSE;
}

static void
memory_store(const struct kvm_probe *probe)
{
	g_autofree char *path = memory_path(probe);
	g_auto(GStrv) lines = memory_read(path);
	g_auto(GStrv) mine = g_strsplit(probe->key ? probe->key : "", "\t", 3);
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	if (!probe->key)
		return;
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) theirs = g_strsplit(*line, "\t", 3);

		if (g_strv_length(theirs) == 3 && g_str_equal(theirs[0], mine[0]) &&
		    !g_str_equal(theirs[1], mine[1]))
			g_string_append_printf(text, "%s\n", *line);
	}
	g_string_append_printf(text, "%s%s\t%s\n", probe->key, probe->usable ? "yes" : "no",
			       probe->why);
	if (!atomic_file_write(path, text->str, (gssize)text->len, 0600, &error))
		g_info("the KVM probe's answer is not remembered: %s", error->message);
}

static void
sector_remove(struct kvm_probe *probe)
{
	if (probe->sector)
		unlink(probe->sector);
	g_clear_pointer(&probe->sector, g_free);
}

static void
probe_ran(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct kvm_probe *probe = data;
	gboolean verdict = TRUE;

	if (error && WIFSIGNALED(status)) {
		answer_set(probe, FALSE,
			   g_strdup_printf("KVM does not run %s guests here (the probe was killed "
					   "after %d s)",
					   kind(probe), KVM_PROBE_LIMIT / 1000));
	} else if (error) {
		verdict = FALSE;
		answer_set(probe, FALSE, g_strdup_printf("the KVM probe: %s", error->message));
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_GOOD) {
		answer_set(probe, TRUE, g_strdup_printf("KVM runs %s guests here", kind(probe)));
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_QEMU) {
		g_autofree char *said = text_said(output, NULL, " ", WORDS_MAX);

		verdict = FALSE;
		answer_set(probe, FALSE,
			   g_strdup_printf("%s cannot use KVM: %s", probe->emulator, said));
	} else {
		g_autofree char *ended = child_status_text(status);

		answer_set(probe, FALSE,
			   g_strdup_printf("KVM does not run %s guests here (the probe %s)",
					   kind(probe), ended));
	}
	if (verdict)
		memory_store(probe);
	sector_remove(probe);
	child_free(g_steal_pointer(&probe->child));
	probe_answered(probe->loop, &probe->answer, 0);
}

/* Remove boot sectors that a killed daemon left. Young ones may belong to another probe. */
static void
sectors_tidy(const char *directory)
{
	g_autoptr(GDir) open = g_dir_open(directory, 0, NULL);
	const char *name;

	while (open && (name = g_dir_read_name(open))) {
		g_autofree char *path = g_build_filename(directory, name, NULL);
		struct stat status;

		if (g_str_has_prefix(name, SECTOR_PREFIX) && lstat(path, &status) == 0 &&
		    status.st_mtime < time(NULL) - STALE_AGE)
			unlink(path);
	}
}

/* FALSE: the answer says why. */
static gboolean
sector_make(struct kvm_probe *probe)
{
	char sector[SECTOR_SIZE];
	gboolean written;
	int fd;

	memcpy(sector, kvm_probe_sector, SECTOR_SIZE);
	if (probe->guest == KVM_GUEST_64)
		sector[kvm_probe_long_at] = 1;
	sectors_tidy(probe->directory);
	probe->sector = g_build_filename(probe->directory, SECTOR_PREFIX "XXXXXX", NULL);
	fd = g_mkstemp_full(probe->sector, O_RDWR | O_CLOEXEC, 0600);
	written = fd >= 0 && streams_write(fd, sector, SECTOR_SIZE) &&
		  (!other(probe) ||
		   fchown(fd, probe->user->identity.uid, probe->user->identity.gid) == 0);
	if (!written)
		answer_set(probe, FALSE,
			   g_strdup_printf("the KVM probe cannot write its boot sector in %s: %s",
					   probe->directory, g_strerror(errno)));
	if (fd >= 0)
		close(fd);
	else
		g_clear_pointer(&probe->sector, g_free); /* a name without a file */
	return written;
}

static void
probe_run(struct kvm_probe *probe)
{
	g_auto(GStrv) parts = g_strsplit(probe->sector, ",", -1);
	g_autofree char *escaped = g_strjoinv(",,", parts); /* for QEMU */
	g_autofree char *drive = g_strdup_printf("file=%s,format=raw,if=ide", escaped);
	const char *const argv[] = {probe->emulator,
				    "-accel",
				    "kvm",
				    "-m",
				    "16",
				    "-nodefaults",
				    "-no-user-config",
				    "-no-reboot",
				    "-display",
				    "none",
				    "-device",
				    "isa-debug-exit,iobase=0xf4,iosize=4",
				    "-drive",
				    drive,
				    NULL};

	probe->child = child_run_as(probe->loop, qemu_user_identity(probe->user), argv,
				    KVM_PROBE_LIMIT, probe_ran, probe);
}

/* FALSE: the answer says why. */
static gboolean
device_opens(struct kvm_probe *probe, const char *device)
{
	const char *advice = "";

	identity_enter(qemu_user_identity(probe->user));
	int fd = open(device, O_RDWR | O_CLOEXEC);
	int problem = errno;
	identity_leave(qemu_user_identity(probe->user));
	if (fd >= 0) {
		close(fd);
		return TRUE;
	}
	if (problem == ENOENT || problem == ENXIO || problem == ENODEV)
		advice = "; load the module kvm_intel or kvm_amd, and see that the firmware allows "
			 "virtualization";
	else if (problem == EACCES || problem == EPERM)
		advice = "; add the user to the group kvm";
	answer_set(probe, FALSE,
		   g_strdup_printf("%s%s%s: %s%s", device, other(probe) ? " for user " : "",
				   other(probe) ? probe->user->name : "", g_strerror(problem),
				   advice));
	return FALSE;
}

static void
probe_start(struct kvm_probe *probe, const char *emulator, const char *device)
{
	if (!HOST_IS_X86) {
		answer_set(probe, FALSE, g_strdup("not an x86 host: KVM cannot run a Hurd guest"));
		return;
	}
	probe->emulator = g_find_program_in_path(emulator);
	if (!probe->emulator) {
		answer_set(
		    probe, FALSE,
		    g_strdup_printf("the emulator %s is not there, or not a program", emulator));
		return;
	}
	if (!device_opens(probe, device))
		return;
	probe->key = memory_key(probe, device);
	if (!memory_recall(probe) && sector_make(probe))
		probe_run(probe);
}

struct kvm_probe *
kvm_probe_device(struct ev_loop *loop, enum kvm_guest guest, const char *emulator,
		 const char *directory, const char *device, const struct qemu_user *user,
		 kvm_probe_fn done, void *data)
{
	struct kvm_probe *probe = g_new0(struct kvm_probe, 1);

	probe->loop = loop;
	probe->guest = guest;
	probe->directory = g_canonicalize_filename(directory, NULL);
	probe->user = user;
	probe->done = done;
	probe->data = data;
	probe->answer.data = probe;
	ev_timer_init(&probe->answer, probe_answered, 0., 0.);
	probe_start(probe, emulator, device);
	if (!probe->child)
		ev_timer_start(loop, &probe->answer);
	return probe;
}

struct kvm_probe *
kvm_probe_new(struct ev_loop *loop, enum kvm_guest guest, const char *emulator,
	      const char *directory, const struct qemu_user *user, kvm_probe_fn done, void *data)
{
	return kvm_probe_device(loop, guest, emulator, directory, KVM_DEVICE, user, done, data);
}

void
kvm_probe_free(struct kvm_probe *probe)
{
	if (!probe)
		return;
	child_free(probe->child);
	sector_remove(probe);
	ev_timer_stop(probe->loop, &probe->answer);
	g_free(probe->emulator);
	g_free(probe->directory);
	g_free(probe->key);
	g_free(probe->why);
	g_free(probe);
}
