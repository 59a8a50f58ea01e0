/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints the key lists of childhurd.ini(5) in man(7) macros, from the parser's table. */
#include <stdio.h>
#include <string.h>

#include "config/keys.h"

/* Text as roff: a minus is a minus, and a line does not begin with a control character. */
static void
print_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			putchar(*text);
	}
}

static void
print_key(const struct key *key)
{
	puts(".TP");
	fputs(".B ", stdout);
	print_text(key->name);
	if (key->scope == KEY_GUEST_ONLY)
		fputs(" *", stdout);
	putchar('\n');
	print_text(key->meaning);
	if (key->choices) {
		g_autofree char *choices = g_strjoinv(", ", (char **)key->choices);
		fputs("\nOne of: ", stdout);
		print_text(choices);
		putchar('.');
	}
	const char *standard = key->shown ? key->shown : key->standard;
	fputs("\nDefault: ", stdout);
	print_text(standard && *standard ? standard : "none");
	puts(".");
}

static void
print_section(const char *title, const char *text, enum key_scope scope)
{
	printf(".SS \"%s\"\n%s", title, text);
	for (gsize i = 0; i < n_keys; i++)
		if (key_is_of(&keys[i], scope))
			print_key(&keys[i]);
}

int
main(void)
{
	print_section("[daemon]", "", KEY_DAEMON);
	print_section("[guest NAME] and [defaults]", "Keys with a * cannot be in [defaults].\n",
		      KEY_GUEST);
	print_section("[coordinator NAME]",
		      "One for each coordinator on another host that may use the guests with "
		      "offloading = yes. childhurdctl node invite prints it there.\n",
		      KEY_COORDINATOR);
	print_section("[node NAME]",
		      "On a coordinator, one for each other host whose guests it gives builds to. "
		      "In its lists they are NAME/GUEST.\n",
		      KEY_NODE);
	return 0;
}
