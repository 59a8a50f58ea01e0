/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared by the parts of loading: load.c (what was read and the errors so far), sections.c (each
 * entry by itself), crosscheck.c (a guest as a whole, and beside others), places.c (standard
 * folders).
 */
#ifndef CONFIG_LOAD_INTERNAL_H
#define CONFIG_LOAD_INTERNAL_H

#include "config/config.h"
#include "config/ini.h"
#include "config/keys.h"

#define GUESTS_MAX 1000 /* in all */

struct loader {
	GPtrArray *files;   /* of char *, in the order they are read */
	GPtrArray *entries; /* of struct ini_entry */
	GPtrArray *errors;  /* of struct ini_error */
	char *folder;	    /* of the main file */
	char *drop_ins;	    /* the folder conf.d */
	struct config *config;
	gsize bytes;	     /* of the guests' values */
	GPtrArray *sections; /* of struct section, in their order */
};

/* A kind of sections that have names. */
struct section_kind {
	const char *word; /* "guest" */
	const char *example;
	enum key_scope scope;
	guint most; /* sections */
};

/* A [guest NAME], or one of another kind; it may be in several files. */
struct section {
	const struct section_kind *kind;
	char *title; /* "guest childhurd" */
	const char *name;
	const char *file;
	int line;
	int count; /* of a template */
};

/* Report an error of a section's key (key NULL: of the section), with its place. */
void load_fault(struct loader *l, const char *file, int line, const char *section, const char *key,
		const char *format, ...) G_GNUC_PRINTF(6, 7);
/* Set the values of one section's entries in owner, but those that are wrong, which is reported
 * already. given: TRUE for each key that was set, by its place in the table. */
void load_apply(struct loader *l, const char *section, enum key_scope scope, void *owner,
		gboolean *given);
/* Set the defaults of a scope's keys in owner. */
void load_set_standards(void *owner, enum key_scope scope);
/* Where a section's key was set last, for messages; *file and *line stay the same if it was not
 * set. */
void load_find_place(struct loader *l, const char *section, const char *key, const char **file,
		     int *line);

/* sections.c: check every entry by itself, so that an error for many guests is reported once, and
 * find the sections that have names. */
void sections_check(struct loader *l);
void section_free(void *section);

/* coordinators.c: make those of [coordinator NAME], and check them. */
void coordinators_make(struct loader *l);
void coordinator_free(void *coordinator);

/* nodes.c: make those of [node NAME], and check them. */
void config_nodes_make(struct loader *l);
void config_node_free(void *node);

/* crosscheck.c: report an error of a guest's key, with its place. */
void crosscheck_fault(struct loader *l, const struct config_guest *guest, const char *key,
		      const char *format, ...) G_GNUC_PRINTF(4, 5);
/* The keys of one guest among themselves. */
void crosscheck_guest(struct loader *l, const struct config_guest *guest);
/* All guests against each other. */
void crosscheck_pairs(struct loader *l);

/* places.c: the folder named childhurd that the service manager made and names in this variable, or
 * NULL. Caller frees, here and below. */
char *places_of_service(const char *variable);
/* That one; else for_root for root, and for others the one below a folder of the user's. */
char *places_folder(const char *from_service, const char *for_root, const char *variable,
		    const char *in_home);
char *places_runtime_folder(void);

#endif
