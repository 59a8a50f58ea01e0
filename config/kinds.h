/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of a guest that follow from its architecture and its distribution. */
#ifndef CONFIG_KINDS_H
#define CONFIG_KINDS_H

#include "config/keys.h"

/* The bit of a key in struct config_guest's follows; 0: it follows from nothing. */
guint kind_bit(const struct key *key);
/* Set the keys that follow from what the guest is. */
void kind_apply(struct config_guest *guest);
/* Is the machine certain, or may it become another one when the image is known? */
gboolean kind_is_certain(const struct config_guest *guest);

#endif
