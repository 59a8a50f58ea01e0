/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/hird/selfcheck.h"

#include <string.h>
#include <sys/stat.h>

#include "childhurdd/system/child.h"

struct waiter {
	selfcheck_fn done;
	void *data;
};

struct selfcheck {
	struct ev_loop *loop;
	char *(*known)(void *data);
	void *data;
	char *file;
	GPtrArray *files;    /* of char *: the configuration's, and the folder of drop-ins */
	char *version;	     /* their state when they were read */
	struct child *child; /* NULL: none runs */
	GArray *waiters;     /* of struct waiter */
};

struct selfcheck *
selfcheck_new(struct ev_loop *loop, char *(*known)(void *data), void *data)
{
	struct selfcheck *check = g_new0(struct selfcheck, 1);
	check->loop = loop;
	check->known = known;
	check->data = data;
	check->files = g_ptr_array_new_with_free_func(g_free);
	check->waiters = g_array_new(FALSE, FALSE, sizeof(struct waiter));
	return check;
}

void
selfcheck_free(struct selfcheck *check)
{
	if (!check)
		return;
	child_free(check->child);
	g_array_unref(check->waiters);
	g_ptr_array_unref(check->files);
	g_free(check->file);
	g_free(check->version);
	g_free(check);
}

/* A text that changes if one of the files is written or replaced, or if a drop-in is added or
 * removed. */
static char *
version_of(const GPtrArray *files)
{
	GString *version = g_string_new(NULL);
	for (guint i = 0; i < files->len; i++) {
		struct stat st = {0};
		if (stat(g_ptr_array_index(files, i), &st) < 0)
			st = (struct stat){0};
		g_string_append_printf(version, "%lu %lld.%09ld\n", (unsigned long)st.st_ino,
				       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	}
	return g_string_free(version, FALSE);
}

void
selfcheck_loaded(struct selfcheck *check, const struct config *config)
{
	g_autofree char *folder = g_path_get_dirname(config->looked_for);
	g_ptr_array_set_size(check->files, 0);
	for (guint i = 0; i < config->files->len; i++)
		g_ptr_array_add(check->files, g_strdup(g_ptr_array_index(config->files, i)));
	g_ptr_array_add(check->files, g_build_filename(folder, "conf.d", NULL));
	g_free(check->file);
	check->file = g_strdup(config->looked_for);
	g_free(check->version);
	check->version = version_of(check->files);
}

GArray *
selfcheck_parse(char *output)
{
	static const char *const results[] = {"ok", "note", "problem"};
	GArray *findings = g_array_new(FALSE, FALSE, sizeof(struct control_finding));
	for (char *next, *line = strtok_r(output, "\n", &next); line;
	     line = strtok_r(NULL, "\n", &next)) {
		struct control_finding finding = {"problem", line};
		for (gsize i = 0; i < G_N_ELEMENTS(results); i++) {
			gsize length = strlen(results[i]);
			if (g_str_has_prefix(line, results[i]) && line[length] == ' ')
				finding =
				    (struct control_finding){results[i], g_strchug(line + length)};
		}
		g_array_append_val(findings, finding);
	}
	return findings;
}

static void
answer(struct selfcheck *check, gboolean good, GArray *findings)
{
	/* a callback may start another check */
	g_autoptr(GArray) waiters = check->waiters;
	check->waiters = g_array_new(FALSE, FALSE, sizeof(struct waiter));
	for (guint i = 0; i < waiters->len; i++) {
		const struct waiter *waiter = &g_array_index(waiters, struct waiter, i);
		waiter->done(good, (const struct control_finding *)findings->data, findings->len,
			     waiter->data);
	}
}

/* Add what the daemon itself knows; text: lines as of --check. TRUE: no problem is among them. */
static gboolean
add_known(char *text, GArray *findings)
{
	g_autoptr(GArray) known = selfcheck_parse(text);
	gboolean good = TRUE;
	for (guint i = 0; i < known->len; i++)
		good &= !!strcmp(g_array_index(known, struct control_finding, i).result, "problem");
	g_array_append_vals(findings, known->data, known->len);
	return good;
}

static void
on_end(struct child *child, int status, const char *output, const GError *error, void *data)
{
	struct selfcheck *check = data;
	g_autofree char *text = g_strdup(output ? output : "");
	g_autoptr(GArray) findings = selfcheck_parse(text);
	g_autofree char *why = NULL;
	if (error)
		why = g_strdup_printf("the check did not come to its end: %s", error->message);
	else if (WIFSIGNALED(status)) {
		g_autofree char *how = child_status_text(status);
		why = g_strdup_printf("the check did not come to its end: it %s", how);
	} else if (strlen(text) >= CHILD_OUTPUT_MAX || !findings->len)
		why = g_strdup_printf("not all of the check can be shown here: childhurdd --check "
				      "--config %s shows it",
				      check->file);
	if (why) {
		gboolean ended = !error && !WIFSIGNALED(status);
		struct control_finding finding = {ended ? "note" : "problem", why};
		g_array_append_val(findings, finding);
	}
	/* a check that passed its limit may have waited for these */
	g_autofree char *version = error ? NULL : version_of(check->files);
	if (version && strcmp(version, check->version)) {
		struct control_finding finding = {
		    "note", "the configuration was changed after the daemon read it; childhurdctl "
			    "reload applies it"};
		g_array_append_val(findings, finding);
	}
	g_autofree char *lines = check->known(check->data);
	gboolean good = add_known(lines, findings);
	check->child = NULL;
	child_free(child);
	answer(check, good && !error && status == 0, findings);
}

void
selfcheck_ask(struct selfcheck *check, selfcheck_fn done, void *data)
{
	const char *const argv[] = {"/proc/self/exe", "--check",   "--findings-only",
				    "--config",	      check->file, NULL};
	struct waiter waiter = {done, data};
	g_array_append_val(check->waiters, waiter);
	if (!check->child)
		check->child = child_run(check->loop, argv, SELFCHECK_LIMIT, on_end, check);
}
