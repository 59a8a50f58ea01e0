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

int
main(void)
{
	puts(".SS \"[daemon]\"");
	for (gsize i = 0; i < n_keys; i++)
		if (keys[i].scope == KEY_DAEMON)
			print_key(&keys[i]);
	puts(".SS \"[guest NAME] and [defaults]\"");
	puts("Keys with a * cannot be in [defaults].");
	for (gsize i = 0; i < n_keys; i++)
		if (keys[i].scope != KEY_DAEMON)
			print_key(&keys[i]);
	return 0;
}
