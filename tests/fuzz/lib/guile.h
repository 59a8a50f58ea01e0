/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real Guile, which reads what we wrote for it: one process for all inputs of a fuzzer. */
#ifndef TESTS_FUZZ_LIB_GUILE_H
#define TESTS_FUZZ_LIB_GUILE_H

#include <glib.h>

/*
 * What Guile reads in that text, as reader.scm prints values: "LENGTH:BYTES" is a string, "'"
 * before one makes it a symbol, "iN;" and "rN;" are numbers, parentheses lists; "error: ..." if it
 * cannot be read. form: "machines", for the one expression of a machines.scm, as primitive-load
 * finds it, or "datum", for any that comes from a peer; one program uses one of them. Caller frees.
 * A Guile that cannot be run ends the program.
 */
GString *guile_read(const char *form, const char *text, gsize n);

/* Append a string as above. */
void guile_append(GString *out, const char *text);

#endif
