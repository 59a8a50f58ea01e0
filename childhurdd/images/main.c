/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurd-image: the command line. childhurdctl runs it for `childhurdctl image`, so it speaks in
 * that program's name, and has its exit statuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "childhurdd/images/digest.h"
#include "childhurdd/images/fetch.h"
#include "childhurdd/images/keep.h"
#include "childhurdd/images/known.h"
#include "childhurdd/images/obtain.h"
#include "childhurdd/images/stage.h"
#include "childhurdd/images/store.h"
#include "config/base/io_error.h"
#include "config/base/streams.h"

#define USAGE 2

/* One run. */
struct run {
	const struct action *action;
	struct config *config;
	char **arguments;
	guint n;
	gboolean json;
	char *file; /* --config */
	char *sha512;
	double stall;
	int input; /* the file to add, opened before root's rights are gone; -1: none */
};

struct action {
	const char *name;
	const char *arguments; /* for messages */
	guint least, most;
	gboolean writes;
	gboolean (*run)(struct run *run, const struct store *store, GError **error);
};

/* --- the actions --- */

/* The images that can be fetched by name. The caller unrefs. */
static GPtrArray *
read_table(struct run *run, GPtrArray *faults)
{
	g_autofree char *folder = g_path_get_dirname(run->config->looked_for);
	return known_read(folder, faults);
}

/* FALSE and an error of so many lines: there are faults. */
static gboolean
report(GPtrArray *faults, GError **error)
{
	if (!faults->len)
		return TRUE;
	g_ptr_array_add(faults, NULL);
	g_autofree char *text = g_strjoinv("\n", (char **)faults->pdata);
	g_set_error_literal(error, STAGE_ERROR, STAGE_ERROR_FAILED, text);
	return FALSE;
}

static gboolean
run_list(struct run *run, const struct store *store, GError **error)
{
	g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) table = read_table(run, faults);
	keep_list(store, table, run->json, faults);
	return report(faults, error);
}

static gboolean
run_names(struct run *run, const struct store *store, GError **error)
{
	g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) table = read_table(run, faults);
	keep_names(store, table);
	return TRUE;
}

static gboolean
run_fetch(struct run *run, const struct store *store, GError **error)
{
	g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) table = read_table(run, faults);
	/* A file with a fault may have another address or digest for that name. */
	if (!strstr(run->arguments[0], "://") && !report(faults, error))
		return FALSE;
	const struct obtain obtain = {.store = store,
				      .table = table,
				      .what = run->arguments[0],
				      .name = run->n > 1 ? run->arguments[1] : NULL,
				      .sha512 = run->sha512,
				      .stall = run->stall};
	return obtain_fetch(&obtain, error);
}

static gboolean
run_add(struct run *run, const struct store *store, GError **error)
{
	g_autofree char *file = g_canonicalize_filename(run->arguments[1], NULL);
	return obtain_add(store, run->arguments[0], file, run->input, run->sha512, error);
}

static gboolean
run_check(struct run *run, const struct store *store, GError **error)
{
	g_auto(GStrv) all = run->n ? NULL : store_names(store);
	gboolean good = TRUE;
	if (all && !*all)
		puts("there is no image");
	g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
	for (char **name = all ? all : run->arguments; *name && !stage_signal(); name++) {
		g_autoptr(GError) why = NULL;
		good &= keep_check(store, *name, &why);
		if (why)
			g_ptr_array_add(faults, g_strdup(why->message));
	}
	return report(faults, error) && good;
}

static gboolean
run_remove(struct run *run, const struct store *store, GError **error)
{
	for (guint i = 0; i < run->n; i++)
		if (!keep_remove(store, run->arguments[i], error))
			return FALSE;
	return TRUE;
}

static const struct action actions[] = {
    {"list", "", 0, 0, FALSE, run_list},
    {"fetch", "NAME|URL [NAME]", 1, 2, TRUE, run_fetch},
    {"add", "NAME FILE", 2, 2, TRUE, run_add},
    {"check", "[NAME...]", 0, G_MAXUINT, FALSE, run_check},
    {"remove", "NAME...", 1, G_MAXUINT, TRUE, run_remove},
    {"names", "", 0, 0, FALSE, run_names}, /* for completions */
};

/* --- the command line --- */

/* The action of that name, or the only one that begins with it. */
static const struct action *
find_action(const char *name, GError **error)
{
	const struct action *found = NULL;
	guint n = 0;
	for (gsize i = 0; i < G_N_ELEMENTS(actions); i++) {
		if (!strcmp(actions[i].name, name))
			return &actions[i];
		if (*name && g_str_has_prefix(actions[i].name, name)) {
			found = &actions[i];
			n++;
		}
	}
	if (n == 1)
		return found;
	stage_fail(error, STAGE_ERROR_USAGE,
		   "image %s: there are list, fetch, add, check and remove", name);
	return NULL;
}

static gboolean
take_arguments(struct run *run, GError **error)
{
	const struct action *action = run->action;
	if (run->n < action->least || run->n > action->most)
		return stage_fail(error, STAGE_ERROR_USAGE, "%s: childhurdctl image %s%s%s",
				  run->n < action->least ? "an argument is missing"
							 : "one argument too many",
				  action->name, *action->arguments ? " " : "", action->arguments);
	if (run->sha512 && action->run != run_fetch && action->run != run_add)
		return stage_fail(error, STAGE_ERROR_USAGE, "--sha512 is for fetch and add");
	if (run->sha512 && !digest_is_good(run->sha512))
		return stage_fail(error, STAGE_ERROR_USAGE,
				  "--sha512 %s: not a SHA512 in 128 hexadecimal digits",
				  run->sha512);
	for (guint i = 0; i < run->n; i++) {
		gboolean is_name = action->run == run_fetch
				       ? i == 1 || !strstr(run->arguments[i], "://")
				   : action->run == run_add ? i == 0
							    : TRUE;
		if (is_name && !image_name_is_good(run->arguments[i]))
			return stage_fail(error, STAGE_ERROR_USAGE,
					  "%s: not an image's name, which is " IMAGE_NAME_RULE,
					  run->arguments[i]);
	}
	return TRUE;
}

static gboolean
parse(struct run *run, char ***argv, GError **error)
{
	const GOptionEntry entries[] = {
	    {"config", 0, 0, G_OPTION_ARG_FILENAME, &run->file, "", "FILE"},
	    {"json", 0, 0, G_OPTION_ARG_NONE, &run->json, "", NULL},
	    {"sha512", 0, 0, G_OPTION_ARG_STRING, &run->sha512, "", "DIGEST"},
	    {"timeout", 0, 0, G_OPTION_ARG_DOUBLE, &run->stall, "", "SECONDS"},
	    {0}};
	g_autoptr(GOptionContext) context = g_option_context_new("ACTION");
	g_option_context_add_main_entries(context, entries, NULL);
	g_autoptr(GError) why = NULL;
	if (!g_option_context_parse_strv(context, argv, &why))
		return stage_fail(error, STAGE_ERROR_USAGE, "%s", why->message);
	char **words = *argv + 1;
	if (*words && !strcmp(*words, "--"))
		words++;
	if (!*words)
		return stage_fail(error, STAGE_ERROR_USAGE,
				  "image: which action? There are list, fetch, add, check and "
				  "remove");
	run->action = find_action(words[0], error);
	run->arguments = words + 1;
	run->n = g_strv_length(run->arguments);
	return run->action && take_arguments(run, error);
}

/* --- the run --- */

static gboolean
load(struct run *run, GError **error)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	run->config = config_load(run->file, errors);
	return run->config || report(errors, error);
}

/* As the one who asks for it. */
static gboolean
open_input(struct run *run, GError **error)
{
	if (run->action->run != run_add)
		return TRUE;
	run->input = open(run->arguments[1], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return run->input >= 0 || io_error(error, run->arguments[1], NULL);
}

static gboolean
run_action(struct run *run, GError **error)
{
	struct store store;
	gboolean good = store_open(&store, run->config, run->action->writes, error) &&
			run->action->run(run, &store, error);
	store_close(&store);
	return good;
}

static int
complain(const GError *error)
{
	streams_complain("childhurdctl", error->message);
	return g_error_matches(error, STAGE_ERROR, STAGE_ERROR_USAGE) ? USAGE : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	struct run run = {.stall = FETCH_STALL_LIMIT, .input = -1};
	g_auto(GStrv) words = g_strdupv(argv);
	g_autoptr(GError) error = NULL;
	streams_fill();
	setlocale(LC_ALL, "");
	stage_catch_signals();
	gboolean good = parse(&run, &words, &error) && load(&run, &error) &&
			open_input(&run, &error) && run_action(&run, &error);
	int status = error ? complain(error) : good ? EXIT_SUCCESS : EXIT_FAILURE;
	config_free(run.config);
	g_free(run.file);
	g_free(run.sha512);
	fflush(stdout);
	if (stage_signal()) {
		/* End as the signal would have ended it, so that a shell sees that. */
		sigset_t all;
		signal(stage_signal(), SIG_DFL);
		sigfillset(&all);
		raise(stage_signal());
		sigprocmask(SIG_UNBLOCK, &all, NULL);
	}
	return status;
}
