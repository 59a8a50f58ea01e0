/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The libvirt domain of a guest, as XML (https://libvirt.org/formatdomain.html). */
#ifndef CHILDHURDD_QEMU_DOMAIN_H
#define CHILDHURDD_QEMU_DOMAIN_H

#include <glib.h>

#include "childhurdd/qemu/user.h"
#include "config/config.h"

/* The user network's id in QEMU's monitor: hostfwd_add DOMAIN_NETDEV ... */
#define DOMAIN_NETDEV "net0"

struct domain_spec {
	const struct config_guest *guest;
	const char *uuid;
	const char *emulator;	       /* absolute path */
	gboolean kvm;		       /* as probed or configured */
	const char *disk;	       /* path of the overlay (qcow2), NULL: no disk */
	const char *console_log;       /* path */
	const char *serial_socket;     /* path; NULL: nobody can type into the console */
	const struct qemu_user *label; /* run QEMU as this user; NULL: the driver knows */
	int secrets_guest_port;	       /* first target of the secrets port; 0: no such forward */
	/* Start from this state, saved in the overlay (warm.h), with only the private forward;
	 * NULL: boot. */
	const char *load;
};

/* The domain's XML; caller frees. Never fails: config/ has refused text that XML cannot hold. */
char *domain_xml(const struct domain_spec *spec);

/* The guest's forwards, "tcp:ADDRESS:PORT-:GUESTPORT" as QEMU has them: its own port to its sshd,
 * and those of `forward`. Caller frees. */
char **domain_forwards(const struct config_guest *guest);
/* The daemon's own way to its sshd while it has none of these: the secrets port. Caller frees. */
char *domain_private_forward(const struct config_guest *guest);

/* What of the XML a saved state depends on: all but the forwards, which are those of the QEMU that
 * loads it, and load. Caller frees. */
char *domain_lasting(const struct domain_spec *spec);

/* The UUID of a guest, derived from its name and the state directory, so that another daemon's
 * domain with the same name is never taken for ours. Caller frees. */
char *domain_uuid(const char *state_directory, const char *name);

#endif
