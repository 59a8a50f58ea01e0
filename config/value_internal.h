/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the parts of value.h: value.c, value_number.c, value_host.c, value_key.c and
 * value_repeated.c. */
#ifndef CONFIG_VALUE_INTERNAL_H
#define CONFIG_VALUE_INTERNAL_H

#include "config/value.h"

/* An error of a value: text in quotes, and the rest of the sentence. Caller frees. */
char *value_wrong(const char *text, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* An absolute path, or one that is relative to folder. Caller frees. */
char *value_path(const char *text, const char *folder);
/* Can this be the name of an account? */
gboolean value_is_account(const char *text);
/* value_set for a KEY_HOST and a KEY_SSH. */
char *value_set_host(const char *text, char **field);
char *value_set_ssh(const char *text, char **field);
/* value_set for a KEY_SSH_KEY and a KEY_SIGNING_KEY. */
char *value_set_ssh_key(const char *text, char **field);
char *value_set_signing_key(const char *text, const char *folder, char **field);
/* value_set for a KEY_SIZE, KEY_TIME, KEY_REAL or KEY_INT. */
char *value_set_number(const struct key *key, const char *text, void *field);

/* value_set for a KEY_MODULE and a KEY_FORWARD, which add one; value_text and value_equal. */
char *value_add_module(const char *text, const char *folder, GPtrArray **field);
char *value_modules_text(const GPtrArray *modules);
gboolean value_modules_equal(const GPtrArray *a, const GPtrArray *b);
char *value_add_forward(const char *text, GPtrArray **field);
char *value_forwards_text(const GPtrArray *forwards);
gboolean value_forwards_equal(const GPtrArray *a, const GPtrArray *b);

#endif
