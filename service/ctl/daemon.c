/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs about the daemon itself, and screenshot. */
#include "service/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "config/base/finding_lines.h"
#include "config/base/streams.h"

#define SHOTS_MAX 999 /* screenshots of a guest in one folder, without a name for the file */

int
ctl_machines(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Machines", NULL, error);
	if (!reply)
		return CTL_FAILED;
	if (ctl->json)
		return ctl_print_json(reply);
	g_autofree char *text = ctl_clean(ctl_text(reply->parameters, "text"), FALSE);
	fputs(text, stdout);
	if (*text && !g_str_has_suffix(text, "\n"))
		putchar('\n');
	return CTL_DONE;
}

int
ctl_metrics(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Metrics", NULL, error);
	if (!reply)
		return CTL_FAILED;
	g_autofree char *text = ctl_clean(ctl_text(reply->parameters, "text"), FALSE);
	fputs(text, stdout);
	return CTL_DONE;
}

int
ctl_reload(struct ctl *ctl, GError **error)
{
	JsonObject *parameters = NULL;
	if (ctl->dry_run) {
		parameters = json_object_new();
		json_object_set_boolean_member(parameters, "dry_run", TRUE);
	}
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Reload", parameters, error);
	if (!reply)
		return CTL_FAILED;
	g_autoptr(GPtrArray) messages = ctl_texts(reply->parameters, "messages");
	for (guint i = 0; i < messages->len; i++) {
		g_autofree char *clean = ctl_clean(g_ptr_array_index(messages, i), TRUE);
		puts(clean);
	}
	if (!messages->len)
		puts(ctl->dry_run ? "nothing would change" : "nothing has changed");
	return CTL_DONE;
}

/* Write to fd, and close it. fd less than 0: it could not be opened. FALSE and errno. */
static gboolean
fill(int fd, const char *bytes, gsize n)
{
	gboolean whole = fd >= 0 && streams_write(fd, bytes, n);
	int code = errno;
	if (fd >= 0 && close(fd) < 0 && whole)
		return FALSE;
	errno = code;
	return whole;
}

/* Write to a new file of the current folder, NAME.png; if there is one, NAME-2.png and so on. */
static gboolean
save_as_new(const char *name, const char *bytes, gsize n, GError **error)
{
	g_autofree char *stem = g_strdelimit(g_strdup(name), "/", '_');
	g_autofree char *file = g_strdup_printf("%s.png", stem);
	int fd;
	for (int i = 2; (fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) < 0 &&
			errno == EEXIST && i <= SHOTS_MAX;
	     i++) {
		g_free(file);
		file = g_strdup_printf("%s-%d.png", stem, i);
	}
	if (fill(fd, bytes, n)) {
		puts(file);
		return TRUE;
	}
	int code = errno;
	if (fd >= 0)
		unlink(file);
	g_set_error(error, CTL_ERROR, CTL_FAILED, "%s: %s", file, g_strerror(code));
	return FALSE;
}

/* Write to that file, which is replaced as a whole. */
static gboolean
save_as(const char *file, const char *bytes, gsize n, GError **error)
{
	g_autofree char *temporary = g_strconcat(file, ".XXXXXX", NULL);
	int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0666);
	if (fill(fd, bytes, n) && rename(temporary, file) == 0)
		return TRUE;
	int code = errno;
	if (fd >= 0)
		unlink(temporary);
	g_set_error(error, CTL_ERROR, CTL_FAILED, "%s: %s", file, g_strerror(code));
	return FALSE;
}

int
ctl_screenshot(struct ctl *ctl, GError **error)
{
	const char *file = ctl->n_arguments > 1 ? ctl->arguments[1] : NULL;
	g_autofree char *name = ctl_only_name(ctl, error);
	if (!name)
		return CTL_FAILED;
	JsonObject *parameters = json_object_new();
	GError *why = NULL;
	json_object_set_string_member(parameters, "name", name);
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Screenshot", parameters, &why);
	if (!reply && why->code == CTL_TIMED_OUT) {
		/* The daemon has just answered ctl_only_name, so now it waits for QEMU. */
		g_clear_error(&why);
		g_set_error(error, CTL_ERROR, CTL_TIMED_OUT,
			    "%s: its QEMU does not answer: no screenshot within %d s", name,
			    CTL_REPLY_LIMIT / 1000);
		return CTL_TIMED_OUT;
	}
	if (!reply) {
		g_propagate_error(error, why);
		return CTL_FAILED;
	}
	g_autoptr(GBytes) png = ctl_png(reply);
	if (!png) {
		g_set_error(error, CTL_ERROR, CTL_FAILED,
			    "%s: the daemon's reply has no PNG; childhurdctl version shows both "
			    "versions",
			    name);
		return CTL_FAILED;
	}
	gsize length;
	const char *bytes = g_bytes_get_data(png, &length);
	if (!file)
		return save_as_new(name, bytes, length, error) ? CTL_DONE : CTL_FAILED;
	if (strcmp(file, "-") != 0)
		return save_as(file, bytes, length, error) ? CTL_DONE : CTL_FAILED;
	fwrite(bytes, 1, length, stdout);
	return CTL_DONE;
}

void
ctl_print_version(void)
{
	puts("childhurdctl " CHILDHURD_VERSION);
}

int
ctl_version(struct ctl *ctl, GError **error)
{
	GError *why = NULL;
	ctl_print_version();
	ctl_auto_message reply = ctl_call(ctl, "org.varlink.service.GetInfo", NULL, &why);
	/* Nobody has to start a daemon to see which program this is. Another host that cannot be
	 * reached is an error: it was asked for. */
	if (!reply && why->code == CTL_NO_DAEMON && !ctl->host) {
		ctl_complain(why);
		return CTL_DONE;
	}
	if (!reply) {
		g_propagate_error(error, why);
		return CTL_FAILED;
	}
	const char *product = ctl_text(reply->parameters, "product"),
		   *version = ctl_text(reply->parameters, "version");
	g_autofree char *text =
	    g_strdup_printf("%s %s", product ? product : "?", version ? version : "?");
	g_autofree char *clean = ctl_clean(text, TRUE);
	puts(clean);
	return CTL_DONE;
}

/* --- check: childhurdd --check does the work, run by the daemon or from here --- */

char *
ctl_program(const char *name, const char *const *places)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *folder = self ? g_path_get_dirname(self) : NULL;
	for (; folder && *places; places++) {
		char *path = g_build_filename(folder, *places, name, NULL);
		if (g_file_test(path, G_FILE_TEST_IS_REGULAR) && access(path, X_OK) == 0)
			return path;
		g_free(path);
	}
	return g_find_program_in_path(name);
}

/* Become childhurdd --check. This needs no daemon. */
static int
check_here(const char *file, gboolean quiet, GError **error)
{
	static const char *const places[] = {"", "../sbin", "../childhurdd", NULL};
	g_autofree char *program = ctl_program("childhurdd", places);
	const char *argv[6] = {"childhurdd", "--check"};
	guint n = 2;
	if (quiet)
		argv[n++] = "--quiet";
	if (file)
		argv[n++] = "--config";
	argv[n] = file;
	if (program)
		execv(program, (char **)argv);
	g_set_error(error, CTL_ERROR, CTL_FAILED, "%s: %s", program ? program : "childhurdd",
		    program ? g_strerror(errno)
			    : "not found beside childhurdctl, in ../sbin or in PATH");
	return CTL_FAILED;
}

/* A running daemon checks its own configuration file, and checks the host as its own user. */
int
ctl_check(struct ctl *ctl, GError **error)
{
	GError *why = NULL;
	if (ctl->n_arguments)
		return check_here(ctl->arguments[0], ctl->quiet, error);
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.Check", NULL, &why);
	if (!reply && why->code == CTL_NO_DAEMON && !ctl->host) {
		g_error_free(why);
		return check_here(NULL, ctl->quiet, error);
	}
	if (!reply) {
		g_propagate_error(error, why);
		return CTL_FAILED;
	}
	g_autoptr(GPtrArray) findings = ctl_objects(reply->parameters, "findings");
	struct finding_lines lines = {
	    .out = stdout, .quiet = ctl->quiet, .coloured = streams_colours(STDOUT_FILENO)};
	for (guint i = 0; i < findings->len; i++) {
		JsonObject *finding = g_ptr_array_index(findings, i);
		g_autofree char *result = ctl_clean(ctl_text(finding, "result"), TRUE);
		g_autofree char *text = ctl_clean(ctl_text(finding, "text"), TRUE);
		finding_lines_add(&lines, result, text);
	}
	finding_lines_sum(&lines);
	return ctl_flag(reply->parameters, "good") ? CTL_DONE : CTL_FAILED;
}
