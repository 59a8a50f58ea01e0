/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl: the command line. One table lists the verbs and what each takes; the other files of
 * this folder do the work.
 *
 * GOption parses twice: first the options before the verb, then the verb's own options, which may
 * stand before or after the names. So --help knows which verb it is asked about.
 */
#include "config/base/similar.h"
#include "config/base/streams.h"
#include "service/ctl/ctl.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY G_MAXUINT

static int show_help(struct ctl *ctl, GError **error);
static int show_completion(struct ctl *ctl, GError **error);

/* In the order of the help, whose list has of each text what stands before the first comma, colon
 * or semicolon: so all fit on a screen. The options of ssh stand before NAME; all words after NAME
 * belong to the command. */
static const struct ctl_verb verbs[] = {
    {"list", "[NAME...]", "show guests, a line each",
     CTL_OPTION_JSON | CTL_OPTION_NODES | CTL_OPTION_OUTPUT | CTL_OPTION_SORT | CTL_OPTION_STATES,
     0, MANY, ctl_list},
    {"status", "[NAME...]", "show guests in full, or all in short",
     CTL_OPTION_JSON | CTL_OPTION_NODES, 0, MANY, ctl_status},
    {"top", "[NAME...]", "watch guests, each second, until q", 0, 0, MANY, ctl_top},
    {"start", "NAME...|--all|--autostart", "start guests",
     CTL_OPTION_ALL | CTL_OPTION_AUTOSTART | CTL_OPTION_WAIT | CTL_OPTION_TIMEOUT, 1, MANY,
     ctl_start},
    {"stop", "NAME...|--all", "stop guests, once no build runs",
     CTL_OPTION_ALL | CTL_OPTION_WAIT | CTL_OPTION_TIMEOUT | CTL_OPTION_NOW, 1, MANY, ctl_stop},
    {"restart", "NAME...|--all", "restart guests, once no build runs",
     CTL_OPTION_ALL | CTL_OPTION_WAIT | CTL_OPTION_TIMEOUT | CTL_OPTION_NOW, 1, MANY, ctl_restart},
    {"reset", "NAME...|--all", "discard disks; restart running guests",
     CTL_OPTION_ALL | CTL_OPTION_WAIT | CTL_OPTION_TIMEOUT | CTL_OPTION_NOW | CTL_OPTION_COLD |
	 CTL_OPTION_YES,
     1, MANY, ctl_reset},
    {"sleep", "NAME...|--all", "put guests to sleep; a connection starts them",
     CTL_OPTION_ALL | CTL_OPTION_WAIT | CTL_OPTION_TIMEOUT, 1, MANY, ctl_sleep},
    {"drain", "NAME...|--all", "give guests no new work",
     CTL_OPTION_ALL | CTL_OPTION_WAIT | CTL_OPTION_TIMEOUT, 1, MANY, ctl_drain},
    {"undrain", "NAME...|--all", "give guests work again",
     CTL_OPTION_ALL | CTL_OPTION_WAIT | CTL_OPTION_TIMEOUT, 1, MANY, ctl_undrain},
    {"wait", "NAME...|--all", "wait until they are ready, or --for STATE",
     CTL_OPTION_ALL | CTL_OPTION_FOR | CTL_OPTION_TIMEOUT, 1, MANY, ctl_wait},
    {"ssh", "NAME [COMMAND...]", "log in as administrator, or run a command",
     CTL_OPTION_TERMINAL | CTL_THERE, 1, MANY, ctl_ssh},
    {"console", "NAME", "use a guest's console, until ^]", CTL_OPTION_FORCE | CTL_OPTION_ESCAPE, 1,
     1, ctl_console},
    {"log", "NAME", "show a console's log", CTL_OPTION_FOLLOW | CTL_OPTION_LINES, 1, 1, ctl_log},
    {"events", "[NAME...]", "show what happened",
     CTL_OPTION_FOLLOW | CTL_OPTION_SINCE | CTL_OPTION_JSON, 0, MANY, ctl_events},
    {"history", "[NAME...]", "show what guests did, and how well",
     CTL_OPTION_PERIOD | CTL_OPTION_JSON, 0, MANY, ctl_history},
    {"machines", "", "show what is published, for Guix to read", CTL_OPTION_JSON, 0, 0,
     ctl_machines},
    {"metrics", "", "print metrics for Prometheus", 0, 0, 0, ctl_metrics},
    {"screenshot", "NAME [FILE.png]", "save a guest's screen; - for stdout", 0, 1, 2,
     ctl_screenshot},
    {"report", "DIRECTORY", "write pages of what happened", 0, 1, 1, ctl_report},
    {"image", "ACTION [IMAGE...]", "keep disk images: list, fetch, add, check, remove",
     CTL_OPTION_JSON | CTL_OPTION_SHA512 | CTL_OPTION_CONFIG | CTL_OPTION_TIMEOUT | CTL_THERE, 1,
     MANY, ctl_image},
    {"node", "TASK", "list nodes; invite: what they must know", CTL_OPTION_JSON, 1, 1, ctl_node},
    {"bridge", "", "pass the control socket on: stdin, stdout",
     CTL_OPTION_READ_ONLY | CTL_OPTION_TIMEOUT | CTL_THERE, 0, 0, ctl_bridge},
    {"reload", "", "apply the configuration, as it is now", CTL_OPTION_DRY_RUN, 0, 0, ctl_reload},
    {"check", "[FILE]", "check host and configuration", CTL_OPTION_QUIET | CTL_THERE, 0, 1,
     ctl_check},
    {"completion", "SHELL", "print completions, for bash, zsh or fish", 0, 1, 1, show_completion},
    {"version", "", "show versions, of client and daemon", 0, 0, 0, ctl_version},
    {"help", "[VERB]", "show this, or all of a verb", 0, 0, 1, show_help},
};

static int usage_error(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static int
usage_error(GError **error, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	g_autofree char *text = g_strdup_vprintf(format, list);
	va_end(list);
	g_set_error_literal(error, CTL_ERROR, CTL_USAGE, text);
	return CTL_USAGE;
}

/* Names that other programs have taught. They stand for a verb only as a whole, so that they are in
 * the way of no shortened one. */
static const char *const aliases[][2] = {{"ls", "list"}, {"ps", "list"}, {"logs", "log"}};

/* What other programs call it: only for "did you mean". */
static const char *const foreign[][2] = {
    {"get", "list"},	   {"show", "status"},	    {"info", "status"},	  {"describe", "status"},
    {"up", "start"},	   {"down", "stop"},	    {"shutdown", "stop"}, {"destroy", "stop --now"},
    {"reboot", "restart"}, {"suspend", "sleep"},    {"wake", "start"},	  {"resume", "start"},
    {"cordon", "drain"},   {"uncordon", "undrain"}, {"shell", "ssh"},	  {"exec", "ssh"},
    {"login", "ssh"},	   {"attach", "console"}};

/* The second of the pair whose first is word; NULL: there is none. */
static const char *
other_name(const char *const (*pairs)[2], gsize n, const char *word)
{
	for (gsize i = 0; i < n; i++)
		if (!strcmp(pairs[i][0], word))
			return pairs[i][1];
	return NULL;
}

static void
no_such_verb(const char *name, GError **error)
{
	struct similar near = similar_to(name);
	for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
		similar_offer(&near, verbs[i].name);
	const char *known = other_name(foreign, G_N_ELEMENTS(foreign), name);
	const char *meant = known ? known : near.best;
	if (meant)
		usage_error(error,
			    "there is no verb \"%s\"; did you mean %s? childhurdctl help shows all",
			    name, meant);
	else
		usage_error(error, "there is no verb \"%s\"; childhurdctl help shows all", name);
}

/* The verb of that name, or the only one that begins with name. */
static const struct ctl_verb *
find_verb(const char *name, GError **error)
{
	const struct ctl_verb *found = NULL;
	const char *alias = other_name(aliases, G_N_ELEMENTS(aliases), name);
	g_autoptr(GString) candidates = g_string_new(NULL);
	guint n = 0;
	for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
		if (!strcmp(verbs[i].name, alias ? alias : name))
			return &verbs[i];
		if (!*name || !g_str_has_prefix(verbs[i].name, name))
			continue;
		found = &verbs[i];
		g_string_append_printf(candidates, "%s%s", n++ ? ", " : "", verbs[i].name);
	}
	if (n == 1)
		return found;
	if (n)
		usage_error(error, "%s may be %s", name, candidates->str);
	else
		no_such_verb(name, error);
	return NULL;
}

/* --- options --- */

struct parsed {
	char *timeout, *since, *escape;
	char *lines;
	gboolean names, help, version; /* before a verb */
};

static GArray *
option_entries(struct ctl *ctl, struct parsed *parsed, guint allowed)
{
	const struct {
		guint option;
		GOptionEntry entry;
	} all[] = {
	    {CTL_OPTION_JSON,
	     {"json", 0, 0, G_OPTION_ARG_NONE, &ctl->json, "Print JSON, as in the protocol", NULL}},
	    {CTL_OPTION_ALL, {"all", 'a', 0, G_OPTION_ARG_NONE, &ctl->all, "All guests", NULL}},
	    {CTL_OPTION_AUTOSTART,
	     {"autostart", 0, 0, G_OPTION_ARG_NONE, &ctl->autostart,
	      "All guests that are configured with autostart", NULL}},
	    {CTL_OPTION_WAIT,
	     {"wait", 'w', 0, G_OPTION_ARG_NONE, &ctl->wait, "Wait until it is done", NULL}},
	    {CTL_OPTION_NOW,
	     {"now", 0, 0, G_OPTION_ARG_NONE, &ctl->now,
	      "Do not wait for a running build; it is lost", NULL}},
	    {CTL_OPTION_COLD,
	     {"cold", 0, 0, G_OPTION_ARG_NONE, &ctl->cold,
	      "Discard the warm state too, so that they boot", NULL}},
	    {CTL_OPTION_FOR,
	     {"for", 0, 0, G_OPTION_ARG_STRING, &ctl->state,
	      "Another state than ready: stopped, drained, ...", "STATE"}},
	    {CTL_OPTION_YES,
	     {"yes", 'y', 0, G_OPTION_ARG_NONE, &ctl->yes,
	      "Do not ask before what is on a persistent disk is lost", NULL}},
	    {CTL_OPTION_DRY_RUN,
	     {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &ctl->dry_run,
	      "Only show what would be changed", NULL}},
	    {CTL_OPTION_TIMEOUT,
	     {"timeout", 't', 0, G_OPTION_ARG_STRING, &parsed->timeout,
	      "Wait no longer: 90 (seconds), 500ms, 5min, 1h", "TIME"}},
	    {CTL_OPTION_FOLLOW,
	     {"follow", 'f', 0, G_OPTION_ARG_NONE, &ctl->follow, "Continue with what is new",
	      NULL}},
	    {CTL_OPTION_LINES,
	     {"lines", 'n', 0, G_OPTION_ARG_STRING, &parsed->lines, "Only the last N lines", "N"}},
	    {CTL_OPTION_SINCE,
	     {"since", 0, 0, G_OPTION_ARG_STRING, &parsed->since,
	      "From then on: 10min (ago), 12:30, 2026-11-29", "TIME"}},
	    {CTL_OPTION_PERIOD,
	     {"since", 0, 0, G_OPTION_ARG_STRING, &ctl->from,
	      "From then on: 3d (ago), 12:30, 2026-11-29", "TIME"}},
	    {CTL_OPTION_PERIOD,
	     {"until", 0, 0, G_OPTION_ARG_STRING, &ctl->to, "Until then", "TIME"}},
	    {CTL_OPTION_TERMINAL,
	     {"tty", 't', 0, G_OPTION_ARG_NONE, &ctl->terminal,
	      "A terminal for the command, as with ssh -t", NULL}},
	    {CTL_OPTION_FORCE,
	     {"force", 0, 0, G_OPTION_ARG_NONE, &ctl->force,
	      "Take the console from the user that is connected", NULL}},
	    {CTL_OPTION_SHA512,
	     {"sha512", 0, 0, G_OPTION_ARG_STRING, &ctl->sha512,
	      "The digest that the file to fetch or add must have", "DIGEST"}},
	    {CTL_OPTION_CONFIG,
	     {"config", 0, 0, G_OPTION_ARG_FILENAME, &ctl->config,
	      "The daemon's configuration, if not the default", "FILE"}},
	    {CTL_OPTION_NODES,
	     {"nodes", 0, 0, G_OPTION_ARG_NONE, &ctl->nodes, "The guests of all nodes, too", NULL}},
	    {CTL_OPTION_OUTPUT,
	     {"output", 'o', 0, G_OPTION_ARG_STRING, &ctl->output,
	      "wide (all columns), name (only names) or json", "FORMAT"}},
	    {CTL_OPTION_SORT,
	     {"sort", 0, 0, G_OPTION_ARG_STRING, &ctl->sort,
	      "name, state, since, builds, memory, restarts", "KEY"}},
	    {CTL_OPTION_STATES,
	     {"state", 0, 0, G_OPTION_ARG_STRING, &ctl->states,
	      "Only guests in this state, or one of these", "STATE[,STATE]"}},
	    {CTL_OPTION_READ_ONLY,
	     {"read-only", 0, 0, G_OPTION_ARG_NONE, &ctl->read_only,
	      "Refuse everything that changes something", NULL}},
	    {CTL_OPTION_QUIET,
	     {"quiet", 'q', 0, G_OPTION_ARG_NONE, &ctl->quiet, "Only notes and problems", NULL}},
	    {CTL_OPTION_ESCAPE,
	     {"escape", 'e', 0, G_OPTION_ARG_STRING, &parsed->escape,
	      "End the session with this: ^] (the default), ^A, '~'", "CHAR"}},
	};
	GArray *entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
	for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
		if (allowed & all[i].option)
			g_array_append_val(entries, all[i].entry);
	const GOptionEntry places[] = {
	    {"host", 'H', 0, G_OPTION_ARG_STRING, &ctl->host,
	     "The daemon of another host: [USER@]HOST[:PORT]", "HOST"},
	    {"socket", 's', 0, G_OPTION_ARG_FILENAME, &ctl->socket, "The daemon's socket", "PATH"}};
	g_array_append_vals(entries, places, G_N_ELEMENTS(places));
	return entries;
}

/* The options, with their help, of verb; verb NULL: those before a verb. */
static GOptionContext *
context_new(struct ctl *ctl, const struct ctl_verb *verb, struct parsed *parsed)
{
	const GOptionEntry before[] = {
	    {"help", 'h', 0, G_OPTION_ARG_NONE, &parsed->help, "", NULL},
	    {"version", 0, 0, G_OPTION_ARG_NONE, &parsed->version, "", NULL},
	    {"names", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &parsed->names, "", NULL},
	    {0}};
	GOptionContext *context = g_option_context_new(verb ? verb->arguments : NULL);
	g_autoptr(GArray) entries = option_entries(ctl, parsed, verb ? verb->options : 0);
	g_autofree char *program =
	    verb ? g_strdup_printf("childhurdctl %s", verb->name) : g_strdup("childhurdctl");
	g_set_prgname(program);
	g_option_context_add_main_entries(context, (const GOptionEntry *)entries->data, NULL);
	if (verb) {
		g_autofree char *help =
		    g_strdup_printf("%c%s.", g_ascii_toupper(verb->help[0]), verb->help + 1);
		g_option_context_set_summary(context, help);
	} else {
		g_option_context_set_help_enabled(context, FALSE); /* ours fits on a screen */
		g_option_context_add_main_entries(context, before, NULL);
	}
	g_option_context_set_strict_posix(context, !verb || verb->run == ctl_ssh);
	return context;
}

/* The end of the error for an option that does not exist, such as "--sate=ready": the one that is
 * meant. The caller frees. */
static char *
meant_option(const struct ctl_verb *verb, const char *option)
{
	struct ctl nobody = {0};
	struct parsed nothing = {0};
	g_autofree char *name = g_strndup(option + 2, strcspn(option + 2, "="));
	/* Before a verb, any verb's may be meant, which stand behind it. */
	g_autoptr(GArray) entries = option_entries(&nobody, &nothing, verb ? verb->options : ~0u);
	struct similar near = similar_to(name);
	for (guint i = 0; i < entries->len; i++)
		similar_offer(&near, g_array_index(entries, GOptionEntry, i).long_name);
	if (!near.best)
		return g_strdup("");
	if (!verb && !strcmp(near.best, name))
		return g_strdup_printf("; --%s belongs behind the verb", near.best);
	return g_strdup_printf("; did you mean --%s?", near.best);
}

/* Parse the options of verb (NULL: those before a verb), and remove them from argv. */
static gboolean
parse_options(struct ctl *ctl, const struct ctl_verb *verb, struct parsed *parsed, char ***argv,
	      GError **error)
{
	g_autoptr(GOptionContext) context = context_new(ctl, verb, parsed);
	g_autoptr(GError) why = NULL;
	g_autofree char *meant = NULL;
	if (g_option_context_parse_strv(context, argv, &why))
		return TRUE;
	/* Of the message, which is translated, only the option itself is known. */
	const char *option = strstr(why->message, "--");
	if (option && g_error_matches(why, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION))
		meant = meant_option(verb, option);
	usage_error(error, "%s%s; see %s --help", why->message, meant ? meant : "",
		    g_get_prgname());
	return FALSE;
}

/* For completions, which only read the entries. */
static GArray *
options_of(const struct ctl_verb *verb)
{
	static struct ctl nobody;
	static struct parsed nothing;
	return option_entries(&nobody, &nothing, verb ? verb->options : 0);
}

static const struct ctl_table_of_verbs table = {verbs, G_N_ELEMENTS(verbs), aliases,
						G_N_ELEMENTS(aliases), options_of};

static int
show_help(struct ctl *ctl, GError **error)
{
	struct ctl nobody = {0};
	struct parsed nothing = {0};
	const struct ctl_verb *verb = ctl->n_arguments ? find_verb(ctl->arguments[0], error) : NULL;
	if (ctl->n_arguments && !verb)
		return CTL_USAGE;
	if (!verb) {
		ctl_print_help(&table);
		return CTL_DONE;
	}
	g_autoptr(GOptionContext) context = context_new(&nobody, verb, &nothing);
	g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
	fputs(help, stdout);
	return CTL_DONE;
}

static int
show_completion(struct ctl *ctl, GError **error)
{
	return ctl_completion(ctl->arguments[0], &table, error);
}

/* A number from 0 to most. */
static gboolean
parse_number(const char *option, const char *text, gint64 most, gint64 *number, GError **error)
{
	guint64 value;
	if (!g_ascii_string_to_unsigned(text, 10, 0, (guint64)most, &value, NULL)) {
		usage_error(error, "%s %s: not a number from 0 to %" G_GINT64_FORMAT, option, text,
			    most);
		return FALSE;
	}
	*number = (gint64)value;
	return TRUE;
}

/* An event's number, or a moment. */
static gboolean
take_since(struct ctl *ctl, const char *text, GError **error)
{
	if (strspn(text, "0123456789") == strlen(text) && *text)
		return parse_number("--since", text, G_MAXINT64 / 2, &ctl->since, error);
	return ctl_parse_since(text, ", or the number of an event", &ctl->since_time, error);
}

static gboolean
take_values(struct ctl *ctl, const struct parsed *parsed, GError **error)
{
	gint64 lines = -1;
	if (parsed->timeout &&
	    (!ctl_parse_time(parsed->timeout, &ctl->timeout) || ctl->timeout <= 0)) {
		usage_error(
		    error, "--timeout %s: not a time; write a number with ms, s, min or h, as 5min",
		    parsed->timeout);
		return FALSE;
	}
	if (parsed->timeout && !ctl->wait && (ctl->verb->options & CTL_OPTION_WAIT)) {
		usage_error(error, "--timeout goes with --wait");
		return FALSE;
	}
	if (parsed->lines && !parse_number("--lines", parsed->lines, G_MAXINT, &lines, error))
		return FALSE;
	ctl->lines = (gint)lines;
	ctl->escape = ctl_escape_character(parsed->escape ? parsed->escape : "^]");
	if (ctl->escape < 0) {
		usage_error(error, "--escape %s: not a character; write one, or ^] for Ctrl + ]",
			    parsed->escape);
		return FALSE;
	}
	return !parsed->since || take_since(ctl, parsed->since, error);
}

/* The word for argument number n in a verb's help: "NAME" of "NAME...|--all". The caller frees. */
static char *
argument_word(const struct ctl_verb *verb, guint n)
{
	g_auto(GStrv) words = g_strsplit(verb->arguments, " ", -1);
	const char *word = words[MIN(n, g_strv_length(words) - 1)], *end = strstr(word, "...");
	return g_strndup(word, end ? (gsize)(end - word) : strlen(word));
}

static gboolean
take_arguments(struct ctl *ctl, char **words, GError **error)
{
	const struct ctl_verb *verb = ctl->verb;
	/* GOption leaves a "--" in place. */
	if (*words && !strcmp(*words, "--"))
		words++;
	ctl->arguments = words;
	ctl->n_arguments = g_strv_length(words);
	if (ctl->all + ctl->autostart + ctl->nodes + (ctl->n_arguments > 0) > 1)
		usage_error(error, "either %s or names, not both",
			    ctl->nodes	     ? "--nodes"
			    : ctl->autostart ? "--all or --autostart"
					     : "--all");
	else if (ctl->n_arguments < verb->least && !ctl->all && !ctl->autostart) {
		g_autofree char *missing = argument_word(verb, ctl->n_arguments);
		usage_error(error, "%s is missing: childhurdctl %s %s", missing, verb->name,
			    verb->arguments);
	} else if (ctl->n_arguments > verb->most)
		usage_error(error, "%s is one argument too many: childhurdctl %s%s%s",
			    words[verb->most], verb->name, *verb->arguments ? " " : "",
			    verb->arguments);
	else
		return TRUE;
	return FALSE;
}

/* The verb with its options and arguments, for the host: without --host and --socket. Of char *;
 * the caller unrefs. */
static GPtrArray *
words_there(struct ctl *ctl, struct parsed *parsed)
{
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) entries = option_entries(ctl, parsed, ctl->verb->options);
	g_ptr_array_add(words, g_strdup(ctl->verb->name));
	for (guint i = 0; i < entries->len; i++) {
		const GOptionEntry *entry = &g_array_index(entries, GOptionEntry, i);
		const char *const *value = entry->arg_data;
		const gboolean *flag = entry->arg_data;
		if (value == (const char *const *)&ctl->host ||
		    value == (const char *const *)&ctl->socket)
			continue;
		if (entry->arg == G_OPTION_ARG_NONE && *flag)
			g_ptr_array_add(words, g_strdup_printf("--%s", entry->long_name));
		else if (entry->arg != G_OPTION_ARG_NONE && *value)
			g_ptr_array_add(words,
					g_strdup_printf("--%s=%s", entry->long_name, *value));
	}
	g_ptr_array_add(words, g_strdup("--"));
	for (guint i = 0; i < ctl->n_arguments; i++)
		g_ptr_array_add(words, g_strdup(ctl->arguments[i]));
	return words;
}

static int
run_verb(struct ctl *ctl, struct parsed *parsed, GError **error)
{
	/* The daemon there looks at its own configuration. */
	gboolean asks = ctl->verb->run == ctl_check && !ctl->n_arguments;
	if (ctl->host && (ctl->verb->options & CTL_THERE) && !asks) {
		g_autoptr(GPtrArray) words = words_there(ctl, parsed);
		return ctl_run_there(ctl, words, error);
	}
	if (!ctl->socket)
		ctl_find_socket(ctl);
	return ctl->verb->run(ctl, error);
}

/* argv without its first word. */
static void
drop_first(char **argv)
{
	g_free(argv[0]);
	memmove(argv, argv + 1, g_strv_length(argv + 1) * sizeof *argv + sizeof *argv);
}

/* What needs no verb. */
static int
run_without_verb(struct ctl *ctl, const struct parsed *parsed, GError **error)
{
	if (parsed->names) {
		if (!ctl->socket)
			ctl_find_socket(ctl);
		return ctl_print_names(ctl, error);
	}
	if (parsed->help)
		ctl_print_help(&table);
	else if (parsed->version)
		ctl_print_version();
	else {
		ctl_print_hint(&table);
		return CTL_USAGE;
	}
	return CTL_DONE;
}

static int
run(struct ctl *ctl, struct parsed *parsed, char ***argv, GError **error)
{
	if (!parse_options(ctl, NULL, parsed, argv, error))
		return CTL_USAGE;
	if (parsed->help || parsed->version || parsed->names || !(*argv)[1])
		return run_without_verb(ctl, parsed, error);
	/* For the second parse the verb takes the place of the program's name. */
	drop_first(*argv);
	ctl->verb = find_verb((*argv)[0], error);
	if (!ctl->verb || !parse_options(ctl, ctl->verb, parsed, argv, error) ||
	    !take_values(ctl, parsed, error) || !take_arguments(ctl, *argv + 1, error))
		return CTL_USAGE;
	if (ctl->host && !*ctl->host)
		return usage_error(error, "--host: no host; write [USER@]HOST[:PORT]");
	return run_verb(ctl, parsed, error);
}

static void
clear(struct ctl *ctl, struct parsed *parsed)
{
	g_free(ctl->host);
	g_free(ctl->socket);
	g_free(ctl->state);
	g_free(ctl->output);
	g_free(ctl->sort);
	g_free(ctl->states);
	g_free(ctl->sha512);
	g_free(ctl->config);
	g_free(ctl->from);
	g_free(ctl->to);
	varlink_message_free(ctl->events);
	g_free(ctl->events_node);
	g_free(parsed->timeout);
	g_free(parsed->since);
	g_free(parsed->escape);
	g_free(parsed->lines);
}

int
main(int argc, char **argv)
{
	struct ctl ctl = {.fd = -1, .lines = -1, .since = -1};
	struct parsed parsed = {0};
	g_auto(GStrv) words = g_strdupv(argv);
	GError *error = NULL;
	streams_fill();
	setlocale(LC_ALL, "");
	int status = run(&ctl, &parsed, &words, &error);
	if (error)
		status = ctl_complain(error);
	ctl_disconnect(&ctl);
	clear(&ctl, &parsed);
	if (fflush(stdout) || ferror(stdout)) {
		perror("childhurdctl: standard output");
		return status ? status : CTL_FAILED;
	}
	return status;
}
