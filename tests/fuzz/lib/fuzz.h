/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all fuzzers share: the functions that the fuzzing library, or run.c, calls, and their
 * verdict. */
#ifndef TESTS_FUZZ_LIB_FUZZ_H
#define TESTS_FUZZ_LIB_FUZZ_H

#include <glib.h>
#include <stdint.h>

/* Once, before the first input. Not every fuzzer has it. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that has to hold with every input. If it does not, the program ends with a message,
 * which names the subject (NULL: nothing). */
void require(gboolean good, const char *promise, const char *subject);

/*
 * The next part of an input, up to the byte `end` or the end of all: *data and *size are moved
 * behind it. A text without NULs, or NULL when nothing is left. Caller frees.
 */
char *fuzz_part(const uint8_t **data, size_t *size, char end);

/* A folder of this process' own, made at the first call, which is removed with all that is in it
 * when the process ends by itself. Borrowed. */
const char *fuzz_folder(void);

/* Write a file of that content. */
void fuzz_write(const char *path, const void *bytes, gsize n);

/* A socket that listens on 127.0.0.1, at a port of the kernel's choice. */
int fuzz_listen(int *port);

#endif
