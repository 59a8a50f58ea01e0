/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real Guile, which reads what we wrote for it: one process for all inputs of a fuzzer. */
#ifndef TESTS_FUZZ_LIB_GUILE_H
#define TESTS_FUZZ_LIB_GUILE_H

#include <glib.h>

/*
 * What Guile reads in that text, which is put into a file and opened as primitive-load opens it; as
 * reader.scm, which says more, prints values: "LENGTH:BYTES" a string, "'" before one a symbol,
 * "iN;" and "rN;" numbers, parentheses lists; "error: ..." if it cannot be read. form: "machines",
 * for the one expression of a machines.scm, or "datum". Caller frees; the result ends with a NUL
 * that is not part of it. A Guile that cannot be run ends the program.
 */
GString *guile_read(const char *form, const char *text, gsize n);

/* Append a string as above. */
void guile_append(GString *out, const char *text);

#endif
