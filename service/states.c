/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "service/states.h"

#include <stddef.h>

#define STATE(CONSTANT, name) name,
#define MADE(name)	      name,
const char *const states_awaited[] = {STATES(STATE, MADE) NULL};
const char *const states_shown[] = {STATES(STATE, MADE) STATE_TAKEN_OVER, NULL};
