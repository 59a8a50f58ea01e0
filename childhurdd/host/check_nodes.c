/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Can this host's Guix reach the guests of the nodes? Guix tries only the first address of a
 * machine's name (libssh's connect with a timeout), and QEMU forwards IPv4 only. Whether their
 * ports can be reached shows at one guest of each node that is published, by a connection that is
 * closed at once.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "childhurdd/host/check_parts.h"

#define CONNECT_LIMIT 3000 /* ms for the guests' ports to take connections */

/* The port of a guest of the node in RUNTIME/known_hosts, where it is "NODE/NAME,[ADDRESS]:PORT";
 * 0: none is published. *guest: its name, which the caller frees. */
static int
published_port(const char *known_hosts, const struct config_node *node, char **guest)
{
	g_autofree char *prefix = g_strdup_printf("%s/", node->name);
	g_auto(GStrv) lines = g_strsplit(known_hosts, "\n", -1);
	for (char **line = lines; *line; line++) {
		const char *comma = strchr(*line, ','), *end = comma ? strchr(comma, ' ') : NULL;
		if (!end || !g_str_has_prefix(*line, prefix))
			continue;
		const char *colon = g_strrstr_len(comma, end - comma, "]:");
		*guest = g_strndup(*line, (gsize)(comma - *line));
		return colon ? (int)g_ascii_strtoull(colon + 2, NULL, 10) : 22;
	}
	return 0;
}

/* A connection that is tried. */
struct trial {
	const struct config_node *node;
	char *guest;
	int port, fd, problem;
};

static void
trial_clear(void *data)
{
	struct trial *trial = data;
	g_free(trial->guest);
	if (trial->fd >= 0)
		close(trial->fd);
}

/* Begin one to a published guest of the node, if there is any. */
static void
begin(const struct config_node *node, const struct addrinfo *first, const char *known_hosts,
      GArray *trials)
{
	struct trial trial = {.node = node, .fd = -1};
	struct sockaddr_in address;
	trial.port = published_port(known_hosts, node, &trial.guest);
	if (!trial.port)
		return;
	memcpy(&address, first->ai_addr, sizeof address);
	address.sin_port = htons((in_port_t)trial.port);
	trial.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (trial.fd < 0 ||
	    connect(trial.fd, (const struct sockaddr *)&address, sizeof address) < 0)
		trial.problem = errno;
	g_array_append_val(trials, trial);
}

/* Wait until all are decided, CONNECT_LIMIT at most. */
static void
await(GArray *trials)
{
	gint64 until = g_get_monotonic_time() + CONNECT_LIMIT * 1000;
	g_autofree struct pollfd *fds = g_new(struct pollfd, trials->len);
	for (;;) {
		guint waiting = 0;
		gint64 left = (until - g_get_monotonic_time()) / 1000;
		for (guint i = 0; i < trials->len; i++) {
			const struct trial *trial = &g_array_index(trials, struct trial, i);
			gboolean open = trial->problem == EINPROGRESS;
			fds[i] = (struct pollfd){.fd = open ? trial->fd : -1, .events = POLLOUT};
			waiting += open;
		}
		if (!waiting || left <= 0 || poll(fds, trials->len, (int)left) < 0)
			return;
		for (guint i = 0; i < trials->len; i++) {
			struct trial *trial = &g_array_index(trials, struct trial, i);
			socklen_t size = sizeof trial->problem;
			if (fds[i].fd >= 0 && fds[i].revents)
				getsockopt(trial->fd, SOL_SOCKET, SO_ERROR, &trial->problem, &size);
		}
	}
}

static void
report(const struct trial *trial, const struct findings *findings)
{
	const struct config_node *node = trial->node;
	int problem = trial->problem == EINPROGRESS ? ETIMEDOUT : trial->problem;
	if (!problem)
		findings_add(findings, "ok", "node %s: the port of %s is reached at %s", node->name,
			     trial->guest, node->address);
	else
		/* A guest that is only coming refuses, too. */
		findings_add(findings, problem == ECONNREFUSED ? "note" : "problem",
			     "node %s: the port of %s, %d at %s, is not reached: %s; set "
			     "listen-address for the guests there, and let a firewall pass their "
			     "ports",
			     node->name, trial->guest, trial->port, node->address,
			     g_strerror(problem));
}

static void
check_address(const struct config_node *node, const char *known_hosts, GArray *trials,
	      const struct findings *findings)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int code = getaddrinfo(node->address, NULL, &hints, &found);
	if (code)
		findings_add(
		    findings, "problem",
		    "node %s: its address %s is not known: %s; set address to one at which "
		    "this host reaches its guests",
		    node->name, node->address, gai_strerror(code));
	else if (found->ai_family != AF_INET)
		findings_add(findings, "problem",
			     "node %s: the first address of %s is one of IPv6, at which no guest "
			     "listens, and Guix tries no other; set address to its IPv4 address",
			     node->name, node->address);
	else
		begin(node, found, known_hosts, trials);
	if (found)
		freeaddrinfo(found);
}

void
hostcheck_nodes(const struct config *config, const struct findings *findings)
{
	g_autofree char *path = g_build_filename(config->runtime_directory, "known_hosts", NULL);
	g_autofree char *known_hosts = NULL;
	g_autoptr(GArray) trials = g_array_new(FALSE, FALSE, sizeof(struct trial));
	g_array_set_clear_func(trials, trial_clear);
	if (!g_file_get_contents(path, &known_hosts, NULL, NULL))
		known_hosts = g_strdup("");
	for (guint i = 0; i < config->nodes->len; i++)
		check_address(g_ptr_array_index(config->nodes, i), known_hosts, trials, findings);
	await(trials);
	for (guint i = 0; i < trials->len; i++)
		report(&g_array_index(trials, struct trial, i), findings);
}
