/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl completion bash|zsh|fish: prints the completions for a shell, made from the table
 * of verbs and their options. The completions call childhurdctl --names for the names of guests.
 *
 * The word for an argument in the help gives the kind of the argument: NAME is a guest, FILE a
 * file. Each script does the same in three steps: it finds the verb (which may be shortened),
 * counts the arguments before the cursor, and offers what fits there.
 */
#include "service/ctl/ctl.h"
#include "service/states.h"

#include <string.h>

static const char *const shells[] = {"bash", "zsh", "fish", NULL};

#define INDENT	"\t\t"
#define ACTIONS "list fetch add check remove" /* of image */

/* The kind of argument that a word of the help stands for; "none": unknown. */
static const char *
kind_of(const char *word)
{
	/* "STATE[" before "STATE": several with a comma between them. */
	static const char *const kinds[][2] = {
	    {"STATE[", "filter"}, {"NAME", "guest"},  {"FILE", "file"},	 {"DIRECTORY", "file"},
	    {"PATH", "file"},	  {"STATE", "state"}, {"VERB", "verb"},	 {"COMMAND", "command"},
	    {"ACTION", "action"}, {"IMAGE", "image"}, {"TASK", "task"},	 {"HOST", "host"},
	    {"FORMAT", "format"}, {"KEY", "key"},     {"SHELL", "shell"}};
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (g_str_has_prefix(word, kinds[i][0]))
			return kinds[i][1];
	return "none";
}

/* The kinds of a verb's arguments, such as "guest file"; the last one has a * if it may be
 * repeated. The caller frees. */
static char *
argument_kinds(const struct ctl_verb *verb)
{
	g_auto(GStrv) words = g_strsplit(verb->arguments, " ", -1);
	GString *kinds = g_string_new(NULL);
	for (char **word = words; *word; word++) {
		/* Skip an option and its value. */
		if (g_str_has_prefix(*word, "--")) {
			word += word[1] != NULL;
			continue;
		}
		if (**word)
			g_string_append_printf(kinds, "%s%s%s", kinds->len ? " " : "",
					       kind_of(*word + (**word == '[')),
					       strstr(*word, "...") ? "*" : "");
	}
	return g_string_free(kinds, FALSE);
}

/* text in single quotes for a shell, with a backslash before each character of special; quote
 * stands for a single quote. */
static char *
quoted(const char *text, const char *special, const char *quote)
{
	GString *out = g_string_new("'");
	for (; *text; text++) {
		if (*text == '\'') {
			g_string_append(out, quote);
			continue;
		}
		if (strchr(special, *text))
			g_string_append_c(out, '\\');
		g_string_append_c(out, *text);
	}
	g_string_append_c(out, '\'');
	return g_string_free(out, FALSE);
}

/* The options of a verb, "--json --socket"; with `values`, only those that take a value, each with
 * its kind: " --socket:file -s:file ". */
static char *
option_words(const struct ctl_table_of_verbs *table, const struct ctl_verb *verb, gboolean values)
{
	g_autoptr(GArray) entries = table->options(verb);
	GString *words = g_string_new(values ? " " : verb ? "--help" : "--help --version");
	for (guint i = 0; i < entries->len; i++) {
		const GOptionEntry *entry = &g_array_index(entries, GOptionEntry, i);
		if (!values)
			g_string_append_printf(words, " --%s", entry->long_name);
		if (!values || !entry->arg_description)
			continue;
		const char *kind = kind_of(entry->arg_description);
		g_string_append_printf(words, "--%s:%s ", entry->long_name, kind);
		if (entry->short_name)
			g_string_append_printf(words, "-%c:%s ", entry->short_name, kind);
	}
	return g_string_free(words, FALSE);
}

static char *
verb_words(const struct ctl_table_of_verbs *table)
{
	GString *words = g_string_new(NULL);
	for (gsize i = 0; i < table->n; i++)
		g_string_append_printf(words, "%s%s", i ? " " : "", table->verbs[i].name);
	return g_string_free(words, FALSE);
}

/* The verb's name and its aliases, with between; verb NULL: the aliases of all. The caller frees.
 */
static char *
all_names(const struct ctl_table_of_verbs *table, const struct ctl_verb *verb, const char *between)
{
	GString *names = g_string_new(verb ? verb->name : NULL);
	for (gsize i = 0; i < table->n_aliases; i++)
		if (!verb || !strcmp(table->aliases[i][1], verb->name))
			g_string_append_printf(names, "%s%s", names->len ? between : "",
					       table->aliases[i][0]);
	return g_string_free(names, FALSE);
}

/* The kinds of arguments that are a word of a list. The words are of words, or of list. */
static const struct {
	const char *kind, *words;
	const char *const *list;
} choices[] = {{"action", ACTIONS, NULL},	{"task", CTL_NODE_TASKS, NULL},
	       {"state", NULL, states_awaited}, {"filter", NULL, states_shown},
	       {"format", NULL, ctl_formats},	{"key", NULL, ctl_sort_keys},
	       {"shell", NULL, shells}};

/* The words of choices[i]. The caller frees. */
static char *
choice_words(gsize i)
{
	return choices[i].list ? g_strjoinv(" ", (char **)choices[i].list)
			       : g_strdup(choices[i].words);
}

/* --- bash --- */

static const char bash_head[] =
    "# bash completion for childhurdctl(1), made by childhurdctl completion bash\n"
    "\n"
    "_childhurdctl()\n"
    "{\n"
    "	local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} verb='' option=''\n"
    "	local options='' values='' kinds='' wants='' candidates='' prefix='' word i n=0\n"
    "	local -a found places=()\n";

/* The list of verbs is printed before this, and what there is to choose from behind it. */
static const char bash_middle[] =
    "	COMPREPLY=()\n"
    "	_childhurdctl_verb\n"
    "	for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "		word=${COMP_WORDS[i]}\n"
    "		# --for=ready comes as three words\n"
    "		if [[ $word == = ]]; then\n"
    "			continue\n"
    "		elif [[ $wants ]]; then\n"
    "			[[ $option == -[sH] || $option == --socket || $option == --host ]] && "
    "places+=(\"$option\" \"$word\")\n"
    "			wants=''\n"
    "		elif [[ $word == -* ]]; then\n"
    "			option=$word\n"
    "			[[ $values == *\" $word:\"* ]] && wants=${values#*\" $word:\"} && "
    "wants=${wants%% *}\n"
    "		elif [[ $verb ]]; then\n"
    "			n=$((n + 1))\n"
    "		else\n"
    "			mapfile -t found < <(compgen -W \"$verbs\" -- \"$word\")\n"
    "			[[ \" $verbs $aliases \" == *\" $word \"* ]] && found=(\"$word\")\n"
    "			[[ ${#found[@]} == 1 ]] || return 0\n"
    "			verb=${found[0]}\n"
    "			_childhurdctl_verb\n"
    "		fi\n"
    "	done\n"
    "	[[ $cur == = ]] && cur=''\n"
    "	if [[ ! $wants ]]; then\n"
    "		if [[ $cur == -* && ! ($n -gt 0 && $kinds == *command*) ]]; then\n"
    "			mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
    "			return 0\n"
    "		fi\n"
    "		read -ra found <<<\"$kinds\"\n"
    "		wants=${found[n]-}\n"
    "		[[ $n -gt 0 && ! $wants && $kinds == *'*' ]] && wants=${found[-1]}\n"
    "	fi\n"
    "	case ${wants%'*'} in\n"
    "	verb) candidates=$verbs ;;\n"
    "	guest) candidates=$(\"$program\" \"${places[@]}\" --names 2>/dev/null) ;;\n";

static const char bash_tail[] =
    "	image)\n"
    "		candidates=$(\"$program\" image names 2>/dev/null)\n"
    "		mapfile -t COMPREPLY < <(compgen -W \"$candidates\" -- \"$cur\"; compgen -f -- "
    "\"$cur\")\n"
    "		compopt -o filenames 2>/dev/null\n"
    "		return 0\n"
    "		;;\n"
    "	command)\n"
    "		mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
    "		return 0\n"
    "		;;\n"
    "	host)\n"
    "		mapfile -t COMPREPLY < <(compgen -A hostname -- \"$cur\")\n"
    "		return 0\n"
    "		;;\n"
    "	file)\n"
    "		mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "		compopt -o filenames 2>/dev/null\n"
    "		return 0\n"
    "		;;\n"
    "	*) return 0 ;;\n"
    "	esac\n"
    "	mapfile -t COMPREPLY < <(compgen -P \"$prefix\" -W \"$candidates\" -- "
    "\"${cur#\"$prefix\"}\")\n"
    "}\n"
    "\n"
    "complete -F _childhurdctl childhurdctl\n";

static void
bash_verb(const struct ctl_table_of_verbs *table, const struct ctl_verb *verb)
{
	g_autofree char *options = option_words(table, verb, FALSE),
			*values = option_words(table, verb, TRUE),
			*kinds = verb ? argument_kinds(verb) : g_strdup("verb");
	g_autofree char *names = verb ? all_names(table, verb, "|") : g_strdup("''");
	printf("\t%s) options='%s' values='%s' kinds='%s' ;;\n", names, options, values, kinds);
}

static void
print_bash(const struct ctl_table_of_verbs *table)
{
	g_autofree char *verbs = verb_words(table), *aliases = all_names(table, NULL, " ");
	printf("%s\tlocal verbs='%s' aliases='%s'\n%s", bash_head, verbs, aliases, bash_middle);
	for (gsize i = 0; i < G_N_ELEMENTS(choices); i++) {
		g_autofree char *words = choice_words(i);
		/* What stands before the last comma stays. */
		gboolean several = !strcmp(choices[i].kind, "filter");
		printf("\t%s) candidates='%s'%s ;;\n", choices[i].kind, words,
		       several ? " prefix=${cur%\"${cur##*,}\"}" : "");
	}
	fputs(bash_tail, stdout);
	puts("\n# What may follow $verb; $verb is empty as long as there is none.\n"
	     "_childhurdctl_verb()\n{\n\tcase $verb in");
	bash_verb(table, NULL);
	for (gsize i = 0; i < table->n; i++)
		bash_verb(table, &table->verbs[i]);
	puts("\tesac\n}");
}

/* --- zsh --- */

/* The action of _arguments for a word of that kind. */
static const char *
zsh_action(const char *kind)
{
	static const char *const actions[][2] = {{"guest", "_childhurdctl_guests"},
						 {"file", "_files"},
						 {"state", "_childhurdctl_state"},
						 {"filter", "_childhurdctl_filter"},
						 {"format", "_childhurdctl_format"},
						 {"key", "_childhurdctl_key"},
						 {"shell", "_childhurdctl_shell"},
						 {"verb", "_childhurdctl_verbs"},
						 {"action", "_childhurdctl_action"},
						 {"image", "_childhurdctl_images"},
						 {"command", "_command_names -e"},
						 {"task", "_childhurdctl_task"},
						 {"host", "_hosts"}};
	for (gsize i = 0; i < G_N_ELEMENTS(actions); i++)
		if (g_str_has_prefix(kind, actions[i][0]))
			return actions[i][1];
	return " ";
}

static void
zsh_options(const struct ctl_table_of_verbs *table, const struct ctl_verb *verb)
{
	g_autoptr(GArray) entries = table->options(verb);
	printf(" \\\n" INDENT "'(-h --help)'{-h,--help}'[Show help options]'");
	if (!verb)
		printf(" \\\n" INDENT "'--version[Show the version]'");
	for (guint i = 0; i < entries->len; i++) {
		const GOptionEntry *entry = &g_array_index(entries, GOptionEntry, i);
		g_autofree char *text = g_strdup_printf("[%s]", entry->description);
		text[strlen(text) - 1] = '\0';
		g_autofree char *description = quoted(text + 1, "[]:\\", "'\\''");
		description[strlen(description) - 1] = '\0';
		const char *value = entry->arg_description;
		g_autofree char *after =
		    value ? g_strdup_printf(":%s:%s", value, zsh_action(kind_of(value)))
			  : g_strdup("");
		if (entry->short_name)
			printf(" \\\n" INDENT "'(-%c --%s)'{-%c%s,--%s%s}'[%s]%s'",
			       entry->short_name, entry->long_name, entry->short_name,
			       value ? "+" : "", entry->long_name, value ? "=" : "",
			       description + 1, after);
		else
			printf(" \\\n" INDENT "'--%s%s[%s]%s'", entry->long_name, value ? "=" : "",
			       description + 1, after);
	}
}

static void
zsh_verb(const struct ctl_table_of_verbs *table, const struct ctl_verb *verb)
{
	g_autofree char *kinds = argument_kinds(verb);
	g_auto(GStrv) words = g_strsplit(kinds, " ", -1);
	gboolean command = strstr(kinds, "command") != NULL;
	g_autofree char *names = all_names(table, verb, "|");
	printf("\t%s)\n\t\t_arguments %s:", names, command ? "-A '-*' " : "");
	zsh_options(table, verb);
	for (guint i = 0; words[i]; i++)
		printf(" \\\n" INDENT "'%s:%.*s:%s'", strchr(words[i], '*') ? "*" : "",
		       (int)strcspn(words[i], "*"), words[i], zsh_action(words[i]));
	puts("\n\t\t;;");
}

static const char zsh_head[] =
    "#compdef childhurdctl\n"
    "# zsh completion for childhurdctl(1), made by childhurdctl completion zsh\n"
    "\n"
    "_childhurdctl_guests() {\n"
    "	local -a names\n"
    "	names=(${(f)\"$($program ${host:+--host=$host} ${socket:+--socket=$socket} --names "
    "2>/dev/null)\"})\n"
    "	compadd -a names\n"
    "}\n"
    "\n"
    "_childhurdctl_images() {\n"
    "	local -a names\n"
    "	names=(${(f)\"$($program image names 2>/dev/null)\"})\n"
    "	compadd -a names\n"
    "	_files\n"
    "}\n"
    "\n";

static const char zsh_middle[] =
    "\t)\n"
    "	_describe -t verbs verb verbs\n"
    "}\n"
    "\n"
    "_childhurdctl() {\n"
    "	local curcontext=$curcontext context state state_descr line verb socket host\n"
    "	local -a found program=(${(Q)words[1]})\n"
    "	typeset -A opt_args\n"
    "	_arguments -C -A '-*' :";

static void
print_zsh(const struct ctl_table_of_verbs *table)
{
	g_autofree char *verbs = verb_words(table);
	fputs(zsh_head, stdout);
	for (gsize i = 0; i < G_N_ELEMENTS(choices); i++) {
		g_autofree char *words = choice_words(i);
		gboolean several = !strcmp(choices[i].kind, "filter");
		printf("_childhurdctl_%s() {\n\t%s %s\n}\n\n", choices[i].kind,
		       several ? "_sequence compadd -" : "compadd", words);
	}
	puts("_childhurdctl_verbs() {\n\tlocal -a verbs=(");
	for (gsize i = 0; i < table->n; i++) {
		g_autofree char *text =
		    g_strdup_printf("%s:%s", table->verbs[i].name, table->verbs[i].help);
		g_autofree char *line = quoted(text, "\\", "'\\''");
		printf(INDENT "%s\n", line);
	}
	fputs(zsh_middle, stdout);
	zsh_options(table, NULL);
	printf(" \\\n" INDENT "'1:verb:_childhurdctl_verbs' \\\n" INDENT
	       "'*::argument:->argument' && return\n"
	       "	[[ $state == argument ]] || return 1\n"
	       "	socket=${(Q)opt_args[-s]:-${(Q)opt_args[--socket]}}\n"
	       "	host=${(Q)opt_args[-H]:-${(Q)opt_args[--host]}}\n"
	       "	found=(%s)\n"
	       "	verb=${found[(r)$line[1]]:-${(M)found:#$line[1]*}}\n"
	       "	case ${verb:-$line[1]} in\n",
	       verbs);
	for (gsize i = 0; i < table->n; i++)
		zsh_verb(table, &table->verbs[i]);
	puts("\tesac\n}\n\n_childhurdctl \"$@\"");
}

/* --- fish --- */

static const char fish_head[] =
    "# fish completion for childhurdctl(1), made by childhurdctl completion fish\n"
    "\n"
    "# Prints the full verb before the cursor, and the number of its arguments so far.\n"
    "function __childhurdctl_verb\n"
    "    set -l words (commandline -opc)\n"
    "    set -l verb ''\n"
    "    set -l n 0\n"
    "    set -l values ' --host:host -H:host --socket:file -s:file '\n"
    "    set -l wants ''\n"
    "    for word in $words[2..-1]\n"
    "        if test -n \"$wants\"\n"
    "            set wants ''\n"
    "        else if string match -q -- '-*' $word\n"
    "            string match -q -- \"* $word:*\" $values; and set wants yes\n"
    "        else if test -n \"$verb\"\n"
    "            set n (math $n + 1)\n"
    "        else\n";

static const char fish_middle[] =
    "            contains -- $word $verbs $aliases; and set verb $word\n"
    "            or set verb (string match -- \"$word*\" $verbs)\n"
    "            test (count $verb) = 1; or set verb '?'\n"
    "            switch $verb\n";

static const char fish_tail[] =
    "            end\n"
    "        end\n"
    "    end\n"
    "    echo $verb\n"
    "    echo $n\n"
    "end\n"
    "\n"
    "# Whether the verb is $argv[1], with $argv[2] to $argv[3] arguments so far.\n"
    "function __childhurdctl_at\n"
    "    set -l now (__childhurdctl_verb)\n"
    "    test \"$now[1]\" = \"$argv[1]\"; and test $now[2] -ge $argv[2]; and test $now[2] -le "
    "$argv[3]\n"
    "end\n"
    "\n"
    "function __childhurdctl_guests\n"
    "    set -l words (commandline -opc)\n"
    "    set -l places\n"
    "    for i in (seq 2 (count $words))\n"
    "        switch $words[$i]\n"
    "            case -s --socket -H --host\n"
    "                set -a places $words[$i] $words[(math $i + 1)]\n"
    "            case '--socket=*' '--host=*'\n"
    "                set -a places $words[$i]\n"
    "        end\n"
    "    end\n"
    "    $words[1] $places --names 2>/dev/null\n"
    "end\n"
    "\n"
    "# The words of a list with commas between them: those before the last comma stay.\n"
    "function __childhurdctl_filter\n"
    "    set -l now (string replace -r '^--[a-z]+=' '' -- (commandline -ct))\n"
    "    printf '%s\\n' (string replace -r '[^,]*$' '' -- \"$now\")$argv\n"
    "end\n"
    "\n"
    "function __childhurdctl_images\n"
    "    set -l words (commandline -opc)\n"
    "    $words[1] image names 2>/dev/null\n"
    "end\n"
    "\n"
    "complete -c childhurdctl -f\n";

/* The candidates for a word of that kind, for fish; NULL: unknown. The caller frees. */
static char *
fish_words(const struct ctl_table_of_verbs *table, const char *kind)
{
	if (g_str_has_prefix(kind, "guest"))
		return g_strdup("(__childhurdctl_guests)");
	if (g_str_has_prefix(kind, "image"))
		return g_strdup("(__childhurdctl_images)");
	if (g_str_has_prefix(kind, "command"))
		return g_strdup("(__fish_complete_command)");
	if (g_str_has_prefix(kind, "host"))
		return g_strdup("(__fish_print_hostnames)");
	if (g_str_has_prefix(kind, "verb"))
		return verb_words(table);
	for (gsize i = 0; i < G_N_ELEMENTS(choices); i++)
		if (g_str_has_prefix(kind, choices[i].kind)) {
			g_autofree char *words = choice_words(i);
			return !strcmp(choices[i].kind, "filter")
				   ? g_strdup_printf("(__childhurdctl_filter %s)", words)
				   : g_strdup(words);
		}
	return NULL;
}

/* Complete the arguments number `from` to `to` of the verb with words of that kind. */
static void
fish_argument(const struct ctl_table_of_verbs *table, const struct ctl_verb *verb, const char *kind,
	      guint from, guint to)
{
	g_autofree char *words = fish_words(table, kind);
	printf("complete -c childhurdctl -n '__childhurdctl_at %s %u %u' ", verb->name, from, to);
	if (words)
		printf("-a '%s'%s\n", words, g_str_has_prefix(kind, "image") ? " -F" : "");
	else
		puts("-F");
}

static void
fish_options(const struct ctl_table_of_verbs *table, const struct ctl_verb *verb)
{
	g_autoptr(GArray) entries = table->options(verb);
	const char *name = verb ? verb->name : "\"\"";
	guint most = verb && strstr(verb->arguments, "COMMAND") ? 0 : G_MAXINT;
	printf("complete -c childhurdctl -n '__childhurdctl_at %s 0 %u' -s h -l help -d 'Show help "
	       "options'\n",
	       name, most);
	if (!verb)
		printf("complete -c childhurdctl -n '__childhurdctl_at %s 0 %u' -l version -d "
		       "'Show the version'\n",
		       name, most);
	for (guint i = 0; i < entries->len; i++) {
		const GOptionEntry *entry = &g_array_index(entries, GOptionEntry, i);
		g_autofree char *description = quoted(entry->description, "\\", "\\'");
		printf("complete -c childhurdctl -n '__childhurdctl_at %s 0 %u' -l %s -d %s", name,
		       most, entry->long_name, description);
		if (entry->short_name)
			printf(" -s %c", entry->short_name);
		const char *kind = entry->arg_description ? kind_of(entry->arg_description) : NULL;
		g_autofree char *words = kind ? fish_words(table, kind) : NULL;
		if (kind && !strcmp(kind, "file"))
			fputs(" -r -F", stdout);
		else if (kind)
			printf(" -x -a '%s'", words ? words : "");
		putchar('\n');
	}
}

static void
fish_verb(const struct ctl_table_of_verbs *table, const struct ctl_verb *verb)
{
	g_autofree char *kinds = argument_kinds(verb), *help = quoted(verb->help, "\\", "\\'");
	g_auto(GStrv) words = g_strsplit(kinds, " ", -1);
	printf("\ncomplete -c childhurdctl -n '__childhurdctl_at \"\" 0 0' -a %s -d %s\n",
	       verb->name, help);
	fish_options(table, verb);
	for (guint i = 0; words[i]; i++)
		fish_argument(table, verb, words[i], i, strchr(words[i], '*') ? G_MAXINT : i);
}

static void
print_fish(const struct ctl_table_of_verbs *table)
{
	g_autofree char *verbs = verb_words(table);
	g_autofree char *aliases = all_names(table, NULL, " ");
	printf("%s            set -l verbs %s\n            set -l aliases %s\n%s", fish_head, verbs,
	       aliases, fish_middle);
	for (gsize i = 0; i < table->n; i++) {
		g_autofree char *values = option_words(table, &table->verbs[i], TRUE);
		const struct ctl_verb *verb = &table->verbs[i];
		g_autofree char *names = all_names(table, verb, " ");
		printf("                case %s\n                    set verb %s\n"
		       "                    set values '%s'\n",
		       names, verb->name, values);
	}
	fputs(fish_tail, stdout);
	fish_options(table, NULL);
	for (gsize i = 0; i < table->n; i++)
		fish_verb(table, &table->verbs[i]);
}

int
ctl_completion(const char *shell, const struct ctl_table_of_verbs *table, GError **error)
{
	static void (*const print[])(const struct ctl_table_of_verbs *table) = {
	    print_bash, print_zsh, print_fish}; /* in the order of shells */
	int number = ctl_choice("completion", shell, shells, error);
	if (number < 0)
		return CTL_USAGE;
	print[number](table);
	return CTL_DONE;
}

int
ctl_print_names(struct ctl *ctl, GError **error)
{
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.List", ctl_names(NULL, 0), error);
	if (!reply)
		return CTL_FAILED;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++) {
		g_autofree char *name =
		    ctl_clean(ctl_text(g_ptr_array_index(guests, i), "name"), TRUE);
		/* bash expands the candidates (compgen -W), and the daemon may be another user's.
		 */
		if (g_ascii_isalnum(*name) &&
		    !name[strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.")])
			puts(name);
	}
	return CTL_DONE;
}
