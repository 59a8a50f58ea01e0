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
	GPtrArray *sections; /* of struct section: guests and templates, in their order */
};

/* A [guest NAME]; it may be in several files. */
struct section {
	char *title; /* "guest childhurd" */
	const char *name;
	const char *file;
	int line;
	int count;
};

/* Report an error of a section's key (key NULL: of the section), with its place. */
void load_fault(struct loader *l, const char *file, int line, const char *section, const char *key,
		const char *format, ...) G_GNUC_PRINTF(6, 7);
/* Where a section's key was set last, for messages; *file and *line stay the same if it was not
 * set. */
void load_find_place(struct loader *l, const char *section, const char *key, const char **file,
		     int *line);

/* sections.c: check every entry by itself, so that an error for many guests is reported once, and
 * find the sections of guests. */
void sections_check(struct loader *l);
void section_free(void *section);

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
