/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The record of a guest's warm state: which snapshot of its overlay it is, and what it depends on.
 * A state that meets anything else than it was saved with crashes in odd ways, or is a guest with
 * old secrets. So each fact is compared before a state is used, and the log names the one that is
 * another.
 */
#ifndef CHILDHURDD_QEMU_WARM_RECORD_H
#define CHILDHURDD_QEMU_WARM_RECORD_H

#include <glib.h>
#include <sys/types.h>

#include "childhurdd/qemu/domain.h"

/* Each is one line of text; "": it does not matter. */
enum warm_fact {
	WARM_QEMU,     /* the version of the QEMU that saved it, which only that QEMU can tell */
	WARM_EMULATOR, /* its program */
	WARM_DOMAIN,   /* its machine: the domain's XML but for ports */
	WARM_IMAGE,    /* what the overlay is on: content, path and time */
	WARM_KERNEL,   /* kernel and modules */
	WARM_SECRETS,
	WARM_PREPARE, /* prepare-command */
	WARM_CPU,     /* with KVM */
	WARM_BOOT,    /* of the host, unless the disk is synced */
	N_WARM_FACTS
};

struct warm_record {
	char *tag;    /* the snapshot's name */
	gint64 saved; /* s since 1970 */
	char *facts[N_WARM_FACTS];
};
void warm_record_clear(struct warm_record *record);
/* to is cleared before. */
void warm_record_copy(struct warm_record *to, const struct warm_record *from);

/* What the caller knows of a QEMU that runs or is about to. */
struct warm_spec {
	const struct domain_spec *domain;
	const char *secrets; /* a digest of all that is put into the guest */
	const char *prepare; /* prepare-command; NULL: none */
};

/* What the facts are found out of: a copy of a spec, for a worker. Free with g_rc_box_release_full
 * and warm_subject_clear; the count of references is the loop's. */
struct warm_subject {
	char *overlay, *image, *emulator;
	char **kernel; /* kernel and modules; may be empty */
	char *domain, *secrets, *prepare;
	gint64 memory; /* bytes: the guest's */
	gboolean kvm, synced;
};
struct warm_subject *warm_subject_new(const struct warm_spec *spec);
void warm_subject_clear(void *subject);

/* The record of an overlay's state; caller frees. */
char *warm_record_path(const char *overlay);

/* These four block on disk. */
/* FALSE: there is none, or a damaged one, which is as good as none. Clear *record in any case. */
gboolean warm_record_read(const char *path, struct warm_record *record);
gboolean warm_record_write(const char *path, const struct warm_record *record, GError **error);
/* The state is no longer one; its snapshot is garbage, which the next save replaces. TRUE also if
 * there was none. When this returns it is gone on disk. */
gboolean warm_record_remove(const char *path, GError **error);
/*
 * The facts of now, but WARM_QEMU, which is NULL: unknown. FALSE and an error that names the file:
 * one that a state depends on cannot be read, so no state fits. A part of the image is read if it
 * has changed since the overlay's base record (base.h), which is written. changed: ns since 1970,
 * the last change of one of these files. Clear *now in any case.
 */
gboolean warm_record_look(const struct warm_subject *subject, struct warm_record *now,
			  gint64 *changed, GError **error);

/* FALSE: *why says in words what is another; the caller frees. A fact that is NULL in now does not
 * count. */
gboolean warm_fits(const struct warm_record *record, const struct warm_record *now, char **why);

#endif
