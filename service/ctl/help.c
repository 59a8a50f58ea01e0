/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The help without a verb. GOption would print a line for each verb, and the options around them in
 * paragraphs: twice as long as a terminal is high, with what is looked for scrolled away. So the
 * verbs stand in two columns here, each with the beginning of its help.
 */
#include "service/ctl/ctl.h"

#include <string.h>

static const char usage[] =
    "Usage: childhurdctl [-H HOST] [-s SOCKET] VERB [OPTION...] [NAME...]\n";

/* Bytes of the text that stands in the list: up to the first comma, colon or semicolon. */
static int
beginning(const char *help)
{
	return (int)strcspn(help, ",:;");
}

/* The verbs from first to before end, as a column. */
struct column {
	const struct ctl_verb *first, *end;
	int name, help; /* the longest, in characters */
};

static struct column
column_of(const struct ctl_verb *first, const struct ctl_verb *end)
{
	struct column column = {first, end, 0, 0};
	for (const struct ctl_verb *verb = first; verb < end; verb++) {
		column.name = MAX(column.name, (int)strlen(verb->name));
		column.help = MAX(column.help, beginning(verb->help));
	}
	return column;
}

void
ctl_print_help(const struct ctl_table_of_verbs *table)
{
	gsize half = (table->n + 1) / 2;
	struct column left = column_of(table->verbs, table->verbs + half),
		      right = column_of(table->verbs + half, table->verbs + table->n);
	printf("%s\n", usage);
	for (gsize i = 0; i < half; i++) {
		const struct ctl_verb *one = &left.first[i], *other = &right.first[i];
		int length = beginning(one->help);
		printf("  %-*s  %.*s", left.name, one->name, length, one->help);
		if (other < right.end)
			printf("%*s  %-*s  %.*s", left.help - length, "", right.name, other->name,
			       beginning(other->help), other->help);
		putchar('\n');
	}
	puts("\n  -H [USER@]HOST[:PORT]  the daemon of another host    -s PATH  another socket\n"
	     "\nThe first letters of a verb are enough. NAME may be a pattern: 'childhurd*'.\n"
	     "Options and more: childhurdctl help VERB, childhurdctl(1).\n"
	     "Exit status: 0 done, 1 failed, 2 usage, 3 no daemon, 4 timed out.");
}

void
ctl_print_hint(const struct ctl_table_of_verbs *table)
{
	static const char *const verbs[] = {"list", "status", "start", "stop",
					    "ssh",  "log",    "check", "help"};
	fprintf(stderr, "childhurdctl: no verb\n%s\n", usage);
	for (gsize i = 0; i < table->n; i++) {
		const struct ctl_verb *verb = &table->verbs[i];
		for (gsize j = 0; j < G_N_ELEMENTS(verbs); j++)
			if (!strcmp(verbs[j], verb->name))
				fprintf(stderr, "  %-7s %s\n", verb->name, verb->help);
	}
	fputs("\nchildhurdctl help shows all verbs, childhurdctl help VERB what one takes.\n",
	      stderr);
}
