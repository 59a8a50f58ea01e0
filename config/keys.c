/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of keys. childhurd.ini(5) is made from it too, so each meaning is written for the
 * administrator.
 */
#include "config/keys.h"

#include <stddef.h>
#include <string.h>

#include "config/base/similar.h"

#define KIB    1024.0
#define MIB    (1024.0 * KIB)
#define GIB    (1024.0 * MIB)
#define SECOND 1000.0
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

/* In the order of the enumerations in config.h. */
static const char *const architectures[] = {"auto", "i586", "x86_64", NULL};
static const char *const distributions[] = {"auto", "guix", "debian", "other", NULL};
static const char *const disks[] = {"ephemeral", "persistent", NULL};
static const char *const accelerations[] = {"auto", "kvm", "tcg", NULL};
static const char *const networks[] = {"user", "isolated", NULL};
static const char *const injections[] = {"secret-service", "image", "none", NULL};
/* In the order of the enumerations in config.h. */
static const char *const autostarts[] = {"no", "yes", "asleep", NULL};
static const char *const warm_starts[] = {"auto", "no", NULL};
static const char *const restarts[] = {"always", "on-failure", "never", NULL};
static const char *const formats[] = {"qcow2", "raw", NULL};

#define D(field)   KEY_DAEMON, offsetof(struct config, field)
#define G(field)   KEY_GUEST, offsetof(struct config_guest, field)
#define ONE(field) KEY_GUEST_ONLY, offsetof(struct config_guest, field)
#define N(field)   KEY_NODE, offsetof(struct config_node, field)
#define C(field)   KEY_COORDINATOR, offsetof(struct config_coordinator, field)

/* clang-format off */
const struct key keys[] = {
	{"uri", KEY_URI, D(uri), "qemu:///embed", NULL, 0, 0, NULL,
	 "The libvirt connection. qemu:///embed runs libvirt's QEMU driver inside childhurdd, with its root below "
	 "state-directory; no libvirtd is needed."},
	{"state-directory", KEY_PATH, D(state_directory), NULL, "/var/lib/childhurd", 0, 0, NULL,
	 "Where each guest has its folder: disk, secrets, keys, console log. An ordinary user's default is "
	 "$XDG_STATE_HOME/childhurd."},
	{"runtime-directory", KEY_PATH, D(runtime_directory), NULL, "/run/childhurd", 0, 0, NULL,
	 "The folder of the control socket and the published files. An ordinary user's default is "
	 "$XDG_RUNTIME_DIR/childhurd, without that variable $XDG_CACHE_HOME/childhurd or ~/.cache/childhurd."},
	{"control-group", KEY_NAME, D(control_group), "childhurd", NULL, 0, 0, NULL,
	 "The group whose members may use the control socket."},
	{"qemu-user", KEY_NAME, D(qemu_user), NULL, "childhurd", 0, 0, NULL,
	 "The user that QEMU runs as if root runs childhurdd; never root. If the key is not given and there is no user "
	 "childhurd, it is libvirt-qemu, with a warning. If another user runs childhurdd, QEMU runs as that user."},
	{"parallel-starts", KEY_INT, D(parallel_starts), NULL, "the number of CPUs", 1, 1000, NULL,
	 "How many guests boot at a time; the others wait, in the order of the configuration."},
	{"host-name", KEY_HOST, D(host_name), "127.0.0.1", NULL, 0, 0, NULL,
	 "The name or address of this host that coordinators get."},
	{"coordinator-user", KEY_NAME, D(coordinator_user), NULL, "found out", 0, 0, NULL,
	 "The user that guix-daemon runs as. It must be able to read each guest's offload_key. The default is the user "
	 "of a running guix-daemon."},
	{"guix-configuration-directory", KEY_PATH, D(guix_configuration_directory), "/etc/guix", NULL, 0, 0, NULL,
	 "Where the host's acl and signing key are."},
	{"guix-state-directory", KEY_PATH, D(guix_state_directory), "/var/guix", NULL, 0, 0, NULL,
	 "Where Guix keeps its build slots (below offload/), which show the running builds."},
	{"metrics-file", KEY_PATH, D(metrics_file), NULL, "none", 0, 0, NULL,
	 "A file to which the daemon writes the output of childhurdctl metrics every 15 s, for the textfile collector of "
	 "Prometheus' node_exporter, which requires a name that ends in .prom. Everybody can read it. Its folder must "
	 "exist, and the daemon must be able to write there. It is removed when the daemon ends."},
	{"history", KEY_TIME, D(history), "90d", NULL, 0, 3650 * 24 * HOUR, NULL,
	 "How long what happened is kept, in history.db in the state directory, for childhurdctl history: events, boots, "
	 "failures, builds, probes and loads. The file has 64 MiB at most; beyond that the oldest goes first. 0: nothing is "
	 "kept, and no file is made; one that exists is left as it is."},

	{"count", KEY_INT, KEY_GUEST_ONLY, 0, "1", NULL, 1, 1000, NULL,
	 "More than 1 makes the section a template: it stands for the guests NAME1 to NAMEN. A guest that thereby gets "
	 "another name is another guest, with other keys; the old one's folder stays in the state directory."},
	{"id", KEY_INT, ONE(id), NULL, "the guest's position, from 0", 0, 999, NULL,
	 "Decides the ports: SSH 10022, secrets 11004 and VNC (reserved, nothing listens) 15900, each plus 1000 "
	 "times id. A template's guests count up from it. If a port follows from it, it is at most 54."},
	{"ssh-port", KEY_INT, ONE(ssh_port), NULL, "10022 + 1000 id", 1, 65535, NULL,
	 "The host's port that leads to the guest's SSH server."},
	{"secrets-port", KEY_INT, ONE(secrets_port), NULL, "11004 + 1000 id", 1, 65535, NULL,
	 "The port of 127.0.0.1 that leads to the guest's secret service; open only until the secrets are delivered."},
	{"listen-address", KEY_ADDRESS, G(listen_address), "127.0.0.1", NULL, 0, 0, NULL,
	 "The host's IPv4 address at which ssh-port and forwards are open. Hosts elsewhere reach a guest if it is one of this "
	 "host's own, or 0.0.0.0, and host-name is set to match."},
	{"forward", KEY_FORWARD, G(forwards), NULL, "none", 0, 0, NULL,
	 "A further port of the host that leads into the guest, [ADDRESS:]HOSTPORT -> GUESTPORT, as 8080 -> 80; without "
	 "ADDRESS at listen-address. Given once for each forward, and for one guest only: two guests cannot share a port."},
	{"image", KEY_IMAGE, G(image), NULL, "required, unless kernel is given", 0, 0, NULL,
	 "The disk image that the guest starts from, which is only read: a file, or the name of an image that childhurdctl image "
	 "keeps. A word without a slash is a name; a file beside the configuration is ./FILE."},
	{"image-format", KEY_TEXT, G(image_format), NULL, "probed", 0, 0, formats,
	 "The format of the image. Set raw for a raw image that does not look like a disk."},
	{"architecture", KEY_CHOICE, G(architecture), "auto", NULL, 0, 0, architectures,
	 "What the guest runs on: auto is what the programs in the image are made for, and i586 where that cannot be seen. It "
	 "decides what machine and systems are where they are not given, and what acceleration is tried."},
	{"distribution", KEY_CHOICE, G(distribution), "auto", NULL, 0, 0, distributions,
	 "Whose Hurd it is; auto: looked up in the image. It decides what inject, offloading and user are where they are not "
	 "given: a Debian is not published, its user is root, and inject is image. With inject = image it also decides what "
	 "is written beside the secrets: for a Debian, root's authorized_keys, a drop-in of sshd and a serial console in "
	 "GRUB's menu."},
	{"kernel", KEY_PATH, G(kernel), NULL, "none: the disk boots", 0, 0, NULL,
	 "A multiboot kernel that QEMU loads itself, GNU Mach for instance."},
	{"kernel-arguments", KEY_TEXT, G(kernel_arguments), "", NULL, 0, 0, NULL,
	 "The kernel's command line, for instance root=device:hd0s1 console=com0."},
	{"module", KEY_MODULE, G(modules), NULL, "none", 0, 0, NULL,
	 "A multiboot module: FILE, and after a space its arguments, without the program's own name, because QEMU puts FILE "
	 "before them. Given once for each module, in their order."},
	{"disk", KEY_CHOICE, G(disk), "ephemeral", NULL, 0, 0, disks,
	 "ephemeral: a new overlay at each start, so that nothing of an earlier boot is left; persistent: the overlay stays, "
	 "and is written through, so that what the guest has synced survives any end of QEMU."},
	{"disk-size", KEY_SIZE, G(disk_size), NULL, "the image's", MIB, 16 * KIB * GIB, NULL,
	 "Makes the overlay larger than the image."},
	{"memory-size", KEY_SIZE, G(memory_size), "2G", NULL, 16 * MIB, 1 * KIB * GIB, NULL, "The guest's memory."},
	{"cpus", KEY_INT, G(cpus), "1", NULL, 1, 255, NULL, "The guest's processors. Most Hurds need one."},
	{"machine", KEY_WORD, G(machine), "pc", "pc; for x86_64 q35", 0, 0, NULL,
	 "QEMU's machine type. Its disk is on IDE, on a q35 on AHCI. A pc has less than 3584 MiB of memory, a q35 no CD-ROM: the "
	 "Hurd's drivers cannot do more."},
	{"cpu", KEY_WORD, G(cpu), NULL, "QEMU's", 0, 0, NULL, "QEMU's CPU model, as its option -cpu takes it."},
	{"network-device", KEY_WORD, G(network_device), "rtl8139", NULL, 0, 0, NULL,
	 "QEMU's network device. The Hurd knows rtl8139 and e1000."},
	{"emulator", KEY_PROGRAM, G(emulator), "qemu-system-x86_64", NULL, 0, 0, NULL, "The emulator to use."},
	{"acceleration", KEY_CHOICE, G(acceleration), "auto", NULL, 0, 0, accelerations,
	 "auto: KVM where a probe proves that it runs guests of that architecture, else TCG. kvm: KVM, or the guest fails."},
	{"network", KEY_CHOICE, G(network), "user", NULL, 0, 0, networks,
	 "user: QEMU's user network; isolated: the same, with no way out of the guest."},
	{"qemu-options", KEY_ARGV, G(qemu_options), "", NULL, 0, 0, NULL,
	 "Further arguments for QEMU, quoted as in a shell."},
	{"clock", KEY_DATE, G(clock), "now", NULL, 0, 0, NULL,
	 "A date (2020-01-31) or date and time (2020-01-31T12:00:00, UTC) with which the guest begins at each start; now: "
	 "the host's date."},
	{"clock-skew-limit", KEY_TIME, G(clock_skew_limit), "30s", NULL, SECOND, 365 * 24 * HOUR, NULL,
	 "How far the guest's clock may be from the host's. Beyond it the guest is not published, and admin-user sets its "
	 "clock when no build runs. Without effect if clock is set."},
	{"inject", KEY_CHOICE, G(inject), "secret-service", "secret-service; for a Debian image", 0, 0, injections,
	 "How secrets get into the guest. secret-service: by Guix' protocol; image: they are written into the ext2 file system of "
	 "its disk before it boots, which has to be clean; none: the guest has them already, and its public host keys are among "
	 "its extra files."},
	{"warm-start", KEY_CHOICE, G(warm_start), "auto", NULL, 0, 0, warm_starts,
	 "auto: once a boot is proven, save the booted guest, and start from that state wherever it is possible; with disk = "
	 "persistent only when it falls asleep, for the next start. no: boot at each start."},
	{"prepare-command", KEY_TEXT, G(prepare_command), "", NULL, 0, 0, NULL,
	 "A command that admin-user runs once over SSH before the warm state is saved, to fill the store for instance. Not "
	 "with disk = persistent or warm-start = no."},
	{"recycle-after", KEY_INT, G(recycle_after), "never", NULL, 1, 1000000, NULL,
	 "After so many builds the guest is made pristine before it takes the next: nothing of them is left. A build is a "
	 "slot that was taken and given back, with a session in the guest meanwhile. Not with disk = persistent or "
	 "offloading = no."},
	{"idle-timeout", KEY_TIME, G(idle_timeout), "never", NULL, SECOND, 365 * 24 * HOUR, NULL,
	 "After so long without a build or an SSH session the guest is put to sleep: it does not run, stays published, and "
	 "starts when somebody connects to its ssh-port."},
	{"offloading", KEY_BOOL, G(offloading), "yes", "yes; for a Debian no", 0, 0, NULL,
	 "Publish the guest as a build machine."},
	{"user", KEY_NAME, G(user), "offloading", "offloading; for a Debian root", 0, 0, NULL,
	 "The account that coordinators log in as."},
	{"admin-user", KEY_NAME, G(admin_user), "root", NULL, 0, 0, NULL,
	 "The account for probes, for halting, and for childhurdctl ssh."},
	{"systems", KEY_LIST, G(systems), "i586-gnu", "i586-gnu; for x86_64 x86_64-gnu", 0, 0, NULL,
	 "The systems that the guest builds for."},
	{"features", KEY_LIST, G(features), "", NULL, 0, 0, NULL, "Features, as in Guix' build-machine."},
	{"parallel-builds", KEY_INT, G(parallel_builds), "1", NULL, 1, 64, NULL, "Builds at a time."},
	{"speed", KEY_REAL, G(speed), "1.0", NULL, 0.001, 1000, NULL,
	 "The machine's speed relative to others, as in Guix' build-machine."},
	{"overload-threshold", KEY_REAL, G(overload_threshold), "1.8", NULL, 0.01, 1000, NULL,
	 "The load average above which Guix gives the machine no work. An idle Hurd has 1.0."},
	{"store-floor", KEY_SIZE, G(store_floor), NULL, "nothing is done", 100 * MIB, 16 * KIB * GIB, NULL,
	 "When less is free on /gnu/store and no build runs, a guest with an ephemeral disk is restarted with a new one. On "
	 "any other guest, and if a new disk would not help, garbage is collected."},
	{"autostart", KEY_CHOICE, G(autostart), "yes", NULL, 0, 0, autostarts,
	 "yes: start the guest with the daemon; asleep: publish it, and start it when somebody connects to its ssh-port."},
	{"restart", KEY_CHOICE, G(restart), "on-failure", NULL, 0, 0, restarts,
	 "What to do when a guest ends by itself. on-failure: a crash or a hang restarts it, a power off does not."},
	{"probe-command", KEY_TEXT, G(probe_command), "true", NULL, 0, 0, NULL,
	 "The command of a probe, run over SSH; guix stands for a round trip with guix repl "
	 "and guix-daemon."},
	{"probe-interval", KEY_TIME, G(probe_interval), "30s", NULL, 100, 24 * HOUR, NULL,
	 "The time between two probes of a ready guest."},
	{"boot-timeout", KEY_TIME, G(boot_timeout), "15min", NULL, SECOND, 24 * HOUR, NULL,
	 "The limit from QEMU's start to ready. Once the last boots are known, a shorter one is learned from them."},
	{"hang-timeout", KEY_TIME, G(hang_timeout), "3min", NULL, SECOND, 24 * HOUR, NULL,
	 "How long a guest that was ready may fail its probes before it is restarted. While a build runs in it: how long "
	 "it may show no sign of life."},
	{"stop-timeout", KEY_TIME, G(stop_timeout), "60s", NULL, SECOND, 24 * HOUR, NULL,
	 "The limit for halting over SSH; then the power button is pressed (15 s at most), then QEMU is ended."},

	{"ssh-key", KEY_SSH_KEY, C(ssh_key), NULL, "required", 0, 0, NULL,
	 "The coordinator's public SSH key, TYPE BASE64 COMMENT as in a file that ssh-keygen made: ssh-ed25519, "
	 "ecdsa-sha2-nistp256, -nistp384, -nistp521 or ssh-rsa. It lets the coordinator in as user."},
	{"signing-key", KEY_SIGNING_KEY, C(signing_key), NULL, "none: what it sends is not taken", 0, 0, NULL,
	 "The public key with which the coordinator's Guix signs what it sends: its text, which begins with (public-key, "
	 "or a file that has it, which is read at each start of a guest. It goes into the guests' acl."},

	{"ssh", KEY_SSH, N(ssh), NULL, "required", 0, 0, NULL,
	 "USER@HOST or USER@HOST:PORT, where SSH leads to the node; an IPv6 address is in brackets. The daemon logs in there "
	 "with its own key, which childhurdctl node invite prints, and runs childhurdctl bridge --read-only."},
	{"host-key", KEY_SSH_KEY, N(host_key), NULL, "that in ~/.ssh/known_hosts of the daemon's user", 0, 0, NULL,
	 "The node's public host key, TYPE BASE64 as in its /etc/ssh/ssh_host_ed25519_key.pub. What answers with another key "
	 "is an impostor, and its guests are not listed."},
	{"address", KEY_HOST, N(address), NULL, "the host of ssh", 0, 0, NULL,
	 "The name or address under which the node's guests are published. Their listen-address there has to be reachable by it."},
	{"lost-after", KEY_TIME, N(lost_after), "2min", NULL, SECOND, 365 * 24 * HOUR, NULL,
	 "How long the guests of a node that does not answer stay in the list."},
};
/* clang-format on */
const gsize n_keys = G_N_ELEMENTS(keys);

gboolean
key_is_repeated(const struct key *key)
{
	return key->type == KEY_MODULE || key->type == KEY_FORWARD;
}

gboolean
key_can_be_never(const struct key *key)
{
	return key->standard && !strcmp(key->standard, KEY_NEVER);
}

gboolean
key_is_of(const struct key *key, enum key_scope scope)
{
	return key->scope == scope || (key->scope == KEY_GUEST_ONLY && scope == KEY_GUEST);
}

const struct key *
key_find(const char *name, enum key_scope scope)
{
	for (gsize i = 0; i < n_keys; i++)
		if (key_is_of(&keys[i], scope) && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

const char *
key_suggest(const char *name, enum key_scope scope)
{
	struct similar near = similar_to(name);
	for (gsize i = 0; i < n_keys; i++)
		if (key_is_of(&keys[i], scope))
			similar_offer(&near, keys[i].name);
	return near.best;
}
