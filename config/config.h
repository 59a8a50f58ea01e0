/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The checked configuration: childhurd.ini and its drop-ins as typed structures.
 *
 * A configuration is immutable once loaded. The daemon keeps one, loads another on reload, and
 * compares.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <glib.h>

enum config_disk { CONFIG_DISK_EPHEMERAL, CONFIG_DISK_PERSISTENT };
enum config_acceleration {
	CONFIG_ACCELERATION_AUTO,
	CONFIG_ACCELERATION_KVM,
	CONFIG_ACCELERATION_TCG
};
enum config_network { CONFIG_NETWORK_USER, CONFIG_NETWORK_ISOLATED };
enum config_architecture {
	CONFIG_ARCHITECTURE_AUTO,
	CONFIG_ARCHITECTURE_I586,
	CONFIG_ARCHITECTURE_X86_64
};
enum config_distribution {
	CONFIG_DISTRIBUTION_AUTO,
	CONFIG_DISTRIBUTION_GUIX,
	CONFIG_DISTRIBUTION_DEBIAN,
	CONFIG_DISTRIBUTION_OTHER
};
enum config_inject { CONFIG_INJECT_SECRET_SERVICE, CONFIG_INJECT_IMAGE, CONFIG_INJECT_NONE };
enum config_warm_start { CONFIG_WARM_START_AUTO, CONFIG_WARM_START_NO };
enum config_autostart { CONFIG_AUTOSTART_NO, CONFIG_AUTOSTART_YES, CONFIG_AUTOSTART_ASLEEP };
enum config_restart { CONFIG_RESTART_ALWAYS, CONFIG_RESTART_ON_FAILURE, CONFIG_RESTART_NEVER };

#define SECRETS_GUEST_PORT 1004 /* the guest's port of the secret service */
/* Where the host's secrets port is: only the daemon uses it. */
#define SECRETS_ADDRESS	 "127.0.0.1"
#define COORDINATORS_MAX 100  /* elsewhere; each guest gets the keys of all */
#define NODES_MAX	 1000 /* whose guests one coordinator lists */

/* One `forward` line. */
struct config_forward {
	char *address; /* the host's; NULL: listen-address */
	int host_port, guest_port;
};

/* One `module` line: a multiboot module's file, and its arguments ("" when it has none). */
struct config_module {
	char *file;
	char *arguments;
};

/* One guest, templates already expanded. Strings are never NULL unless noted. */
struct config_guest {
	guint owners;	/* see config_guest_ref; 0: it is not counted */
	char *name;	/* "childhurd1" */
	char *template; /* the section's name: "childhurd" */
	char *file;	/* the section's place, for messages */
	int line;

	int id;
	int ssh_port, secrets_port;
	char *listen_address; /* IPv4; QEMU's user network forwards no IPv6 */

	enum config_architecture architecture; /* as configured; see config_guest_is_64 */
	enum config_distribution distribution;
	enum config_architecture seen_architecture; /* what the image is; AUTO: unknown */
	enum config_distribution seen_distribution;
	guint follows; /* the keys, by their place in kinds.c, that these decide */

	char *image;	    /* absolute path; NULL, only with a kernel: no disk */
	char *image_format; /* "qcow2", "raw", or NULL: to be probed */
	char *kernel;	    /* NULL: boot from the disk */
	char *kernel_arguments;
	GPtrArray *modules;  /* of struct config_module, may be empty */
	GPtrArray *forwards; /* of struct config_forward, may be empty */
	enum config_disk disk;
	gint64 disk_size;   /* bytes; 0: the image's */
	gint64 store_floor; /* bytes; 0: none */
	gint64 memory_size; /* bytes */
	int cpus;
	char *machine;
	char *cpu; /* NULL: QEMU's default */
	char *network_device;
	char *emulator; /* a path, or a name looked up in PATH */
	enum config_acceleration acceleration;
	enum config_network network;
	char **qemu_options; /* an argv split as in a shell, may be empty */
	char *clock; /* NULL: now; else "YYYY-MM-DDTHH:MM:SS" in UTC, for QEMU's -rtc base= */
	gint64 clock_skew_limit; /* ms */
	enum config_inject inject;

	enum config_warm_start warm_start;
	char *prepare_command; /* "": none */
	int recycle_after;     /* builds; 0: never */
	gint64 idle_timeout;   /* ms; 0: never */

	gboolean offloading;
	char *user;
	char *admin_user;
	char **systems;
	char **features;
	int parallel_builds;
	double speed;
	double overload_threshold;

	enum config_autostart autostart;
	enum config_restart restart;
	char *probe_command;
	/* All times in milliseconds. */
	gint64 probe_interval, boot_timeout, hang_timeout, stop_timeout;
};

/* One [coordinator NAME]: a host whose Guix uses the guests from elsewhere. Strings are never NULL
 * unless noted. */
struct config_coordinator {
	char *name;
	char *ssh_key;	   /* "TYPE BASE64", or "TYPE BASE64 COMMENT" */
	char *signing_key; /* its text, which begins with "(", or the absolute path of its file;
			      NULL: none */
};

/* One [node NAME]: a host whose guests this one gives builds to. Strings are never NULL unless
 * noted. */
struct config_node {
	char *name;
	char *ssh;	   /* as it was given */
	char *user, *host; /* of that; host without brackets */
	int port;
	char *host_key;	   /* "TYPE BASE64", perhaps with a comment; NULL: known_hosts has it */
	char *address;	   /* that is published */
	gint64 lost_after; /* ms */
};

struct config {
	char *file;		/* the main file; NULL: it does not exist */
	char *looked_for;	/* the main file, whether or not it exists */
	gboolean folders_named; /* the file or the service manager names both */
	GPtrArray *files;	/* of char *: all files read, in this order; may be empty */
	char *uri;
	char *state_directory;
	char *runtime_directory;
	char *secrets_directory; /* DIRECTORY-OF-MAIN-FILE/secrets: extra files for secret roots */
	char *control_group;
	char *qemu_user; /* NULL: to be found out */
	int parallel_starts;
	char *host_name;
	char *coordinator_user; /* NULL: to be found out */
	char *guix_configuration_directory;
	char *guix_state_directory;
	char *metrics_file;	 /* NULL: none */
	gint64 history;		 /* ms that what happened is kept; 0: it is not */
	GPtrArray *guests;	 /* of struct config_guest, in the order of the configuration */
	GPtrArray *coordinators; /* of struct config_coordinator, ditto; may be empty */
	GPtrArray *nodes;	 /* of struct config_node, ditto; may be empty */
};

/*
 * The childhurd.ini that is read when none is named: below /etc for root, below the XDG folders for
 * others. Caller frees.
 */
char *config_default_file(void);

/*
 * Read and check FILE and every *.ini in the folder conf.d beside it, in the order of their names.
 *
 * FILE: path; NULL means config_default_file(), which may then be missing. Without drop-ins either,
 * the configuration has no file and no guest (files is empty), and only serves to check the host:
 * see config_missing.
 *
 * errors: an array of char *, made with g_free as its free function. It gets all errors of all
 * files, in the order of files and lines, each in one line: "FILE:LINE: [SECTION] KEY: what is
 * wrong, what would be right". Errors are UTF-8 without control characters; text in the
 * configuration is UTF-8 without control characters other than tabs, so XML, Scheme and JSON can
 * hold it. This touches only the configuration's own files; the daemon checks whether an image
 * exists.
 *
 * Returns a configuration, or NULL after an error. Caller frees with config_free.
 */
struct config *config_load(const char *file, GPtrArray *errors);

/* "no configuration: FILE does not exist; ..." if no file was found, else NULL. Caller frees. */
char *config_missing(const struct config *config);

void config_free(struct config *config);

/* Replace the state directory's path with its real one, all links followed: for the daemon, which
 * derives its guests' UUIDs from it. A caller that must not follow other users' links must not use
 * it. */
void config_resolve(struct config *config);

/* The guest of that name, owned by the configuration, or NULL. */
const struct config_guest *config_find_guest(const struct config *config, const char *name);

/*
 * Names of the keys in which two guests differ, for a reload. Returns a NULL-terminated array,
 * empty if they are equal; caller frees with g_strfreev.
 */
char **config_guest_differences(const struct config_guest *a, const struct config_guest *b);

/*
 * A guest's whole configuration as KEY, VALUE, KEY, VALUE ... and NULL; caller frees with
 * g_strfreev. config_guest_from makes a guest from such words; keys that they do not name are as in
 * other (NULL: the defaults). It returns NULL if a word is wrong; the caller owns the guest.
 */
char **config_guest_words(const struct config_guest *guest);
struct config_guest *config_guest_from(const char *name, const char *const *words,
				       const struct config_guest *other);

/*
 * The same guest, with what its image is: keys that are not given follow from that, unless
 * `architecture' and `distribution' say otherwise. AUTO: unknown, and then as i586 and Guix. The
 * caller owns it.
 */
struct config_guest *config_guest_settle(const struct config_guest *guest,
					 enum config_architecture architecture,
					 enum config_distribution distribution);
/* What it is, as configured or as seen. */
gboolean config_guest_is_64(const struct config_guest *guest);
/* AUTO: unknown. */
enum config_distribution config_guest_distribution(const struct config_guest *guest);
/* Is its machine a q35, whose disks are on AHCI? */
gboolean config_guest_has_ahci(const struct config_guest *guest);
/*
 * What the Hurd cannot do on the machine that a guest has: the reason, and what would be right;
 * *key: where that is said. NULL: nothing. Caller frees. Loading a configuration reports what is
 * certain by then; the rest shows when the image is known.
 */
char *config_guest_misfit(const struct config_guest *guest, const char **key);

/*
 * A guest goes with the last of its owners: the configuration that it was read with, and those who
 * go on with it when another one holds. NULL is allowed. One thread's only.
 */
const struct config_guest *config_guest_ref(const struct config_guest *guest);
void config_guest_unref(const struct config_guest *guest);

/* A port of the host that leads to a guest. */
struct config_port {
	const char *key; /* that sets it */
	const char *address;
	int port;
};
/* All ports of a guest: an array of struct config_port, which the caller unrefs; strings are
 * borrowed. */
GArray *config_guest_ports(const struct config_guest *guest);
/* The address by which this host reaches its ports: listen-address, unless that is all of them. */
const char *config_guest_reached_at(const struct config_guest *guest);
/* Do the two collide: the same port, at addresses that overlap? */
gboolean config_port_meets(const struct config_port *a, const struct config_port *b);

#endif
