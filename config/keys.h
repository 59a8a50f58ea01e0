/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one table of keys: name, type, default, limits, meaning. Parsing, defaults, comparison of two
 * guests and the key list of childhurd.ini(5) are all derived from it.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <glib.h>

#include "config/config.h"

enum key_scope {
	KEY_DAEMON,	 /* [daemon] */
	KEY_GUEST,	 /* [defaults] and [guest NAME] */
	KEY_GUEST_ONLY,	 /* [guest NAME]: for one guest only */
	KEY_COORDINATOR, /* [coordinator NAME] */
	KEY_NODE,	 /* [node NAME] */
};

enum key_type {
	KEY_TEXT,	 /* anything, not empty: char * */
	KEY_WORD,	 /* a name without spaces: char * */
	KEY_NAME,	 /* of an account or group: char * */
	KEY_URI,	 /* of libvirt: char * */
	KEY_PATH,	 /* absolute, or relative to the configuration file's folder: char * */
	KEY_IMAGE,	 /* the same, or an image's name, which has no slash: char * */
	KEY_PROGRAM,	 /* a path, or a name to look up in PATH: char * */
	KEY_ADDRESS,	 /* an IPv4 address: char * */
	KEY_DATE,	 /* "now" (NULL), or a date and time: char * */
	KEY_SIZE,	 /* bytes: gint64 */
	KEY_TIME,	 /* milliseconds: gint64 */
	KEY_INT,	 /* int */
	KEY_REAL,	 /* double */
	KEY_BOOL,	 /* gboolean */
	KEY_CHOICE,	 /* enum, by the position in choices: int */
	KEY_LIST,	 /* words: char ** */
	KEY_ARGV,	 /* words, quoted as in a shell: char ** */
	KEY_MODULE,	 /* one struct config_module for each line: GPtrArray * */
	KEY_FORWARD,	 /* one struct config_forward for each line: GPtrArray * */
	KEY_HOST,	 /* the name or address of a host: char * */
	KEY_SSH,	 /* USER@HOST[:PORT]: char * */
	KEY_SSH_KEY,	 /* the text of a public key: char * */
	KEY_SIGNING_KEY, /* the text of a public key of Guix', or the path of its file: char * */
};

struct key {
	const char *name;
	enum key_type type;
	enum key_scope scope;
	gsize offset;	      /* in the struct of config.h that has its section's values */
	const char *standard; /* the default, as in a file; NULL: none, or made in load.c */
	const char *shown;    /* the default as the manual shows it; NULL: standard */
	double least, most;   /* of numbers, sizes (bytes), times (ms); most 0: no limit */
	const char *const
	    *choices;	     /* for KEY_CHOICE, and KEY_TEXT with fixed values; NULL-terminated */
	const char *meaning; /* for the manual, one sentence or more */
};

extern const struct key keys[];
extern const gsize n_keys;

/* Is the key given once for each of its values? */
gboolean key_is_repeated(const struct key *key);

/* The value that stands for 0 in a number that may have none. */
#define KEY_NEVER "never"
gboolean key_can_be_never(const struct key *key);

/* Can the key be in a section of that scope? A KEY_GUEST_ONLY is one of KEY_GUEST. */
gboolean key_is_of(const struct key *key, enum key_scope scope);

/* The key of that name for the scope, or NULL. */
const struct key *key_find(const char *name, enum key_scope scope);

/* The name in the table nearest to a mistyped one, or NULL if none is near. */
const char *key_suggest(const char *name, enum key_scope scope);

#endif
