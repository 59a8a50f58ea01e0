/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the parts of value.h: value.c and value_number.c. */
#ifndef CONFIG_VALUE_INTERNAL_H
#define CONFIG_VALUE_INTERNAL_H

#include "config/value.h"

/* An error of a value: text in quotes, and the rest of the sentence. Caller frees. */
char *value_wrong(const char *text, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* value_set for a KEY_SIZE, KEY_TIME, KEY_REAL or KEY_INT. */
char *value_set_number(const struct key *key, const char *text, void *field);

#endif
