/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a TCP connection to a login: the banner, the host key, our key.
 *
 * The banner is read with MSG_PEEK and left for libssh. RFC 4253, 4.2 allows other lines before it.
 * sshd uses them to turn clients away ("Exceeded MaxStartups"); anything else is not SSH. Those
 * lines are removed from the socket, so that libssh starts at the banner. A socket with bytes in it
 * stays readable: SO_RCVLOWAT lets the loop sleep until there are more bytes than before.
 *
 * Every choice that libssh would otherwise read from files in the home directory or /etc/ssh is set
 * here. libssh compares no known hosts: only the injected keys count, and this file compares them.
 */
#include "ssh/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/base/text.h"
#include "ssh/session_base.h"
#include "ssh/wire.h"

#define BANNER_MAX 255 /* RFC 4253, 4.2: with its line end */

/* The cipher that an emulated guest computes fastest comes first, because it has no AES
 * instructions. libssh's other choices follow. */
#define KEX_WISH                                                                                   \
	"curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"    \
	"ecdh-sha2-nistp521,diffie-hellman-group14-sha256,diffie-hellman-group16-sha512"
#define CIPHER_WISH                                                                                \
	"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"             \
	"aes128-ctr,aes192-ctr,aes256-ctr"
#define HOST_KEY_KINDS                                                                             \
	"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,"    \
	"rsa-sha2-256"

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(ssh_key, ssh_key_free, NULL)

/* Store the error; the step has failed. */
static enum handshake
failed(GError **error, GError *ours)
{
	g_propagate_error(error, ours);
	return HANDSHAKE_FAILED;
}

static enum handshake
not_ssh(struct ssh_session *session, const char *bytes, gsize length, GError **error)
{
	g_autofree char *excerpt = wire_excerpt(bytes, length);

	return failed(error,
		      session_error(session, SESSION_ERROR_PROTOCOL,
				    "not an SSH server: instead of a banner it said %s", excerpt));
}

/* The other end closed or reset the connection before a banner. */
static enum handshake
closed_before_banner(struct ssh_session *session, int problem, GError **error)
{
	/* sshd.c and srclimit.c of OpenSSH: too many clients, or penalties for us. */
	gboolean turned_away =
	    session->prelude && (strstr(session->prelude, "Exceeded MaxStartups") ||
				 strstr(session->prelude, "Not allowed at this time"));

	if (session->prelude && !turned_away)
		return failed(error, session_error(session, SESSION_ERROR_PROTOCOL,
						   "not an SSH server: it said %s and closed",
						   session->prelude));
	g_autofree char *closed = g_strdup_printf("%s closed the connection", session->peer);
	return failed(error, session_error(session, ssh_error_of(problem), "%s before a banner%s%s",
					   problem ? g_strerror(problem) : closed,
					   session->prelude ? "; it said " : "",
					   session->prelude ? session->prelude : ""));
}

static gboolean
option(ssh_session libssh, enum ssh_options_e name, const void *value)
{
	return ssh_options_set(libssh, name, value) == SSH_OK;
}

/*
 * SSH_OPTIONS_HOSTKEYS: the algorithms of the acceptable keys, then all others. The others are
 * offered so that an impostor shows a key of another kind; without a common algorithm it might just
 * hang up, which proves nothing.
 */
static char *
host_key_algorithms(char **lines)
{
	g_autoptr(GString) list = g_string_new(NULL);

	for (char **line = lines; line && *line; line++) {
		g_autofree char *kind = g_strndup(*line, strcspn(*line, " "));

		/* RFC 8332: the key is of kind ssh-rsa, its signatures have other names. */
		g_string_append_printf(
		    list, "%s,", strcmp(kind, "ssh-rsa") == 0 ? "rsa-sha2-512,rsa-sha2-256" : kind);
	}
	return g_strconcat(list->str, HOST_KEY_KINDS, NULL);
}

gboolean
handshake_hand_over(struct ssh_session *session, GError **error)
{
	g_autofree char *algorithms = host_key_algorithms(session->host_keys);
	ssh_session libssh = ssh_new();
	const gboolean no = FALSE;
	const unsigned int port = (unsigned)session->port;

	if (libssh && option(libssh, SSH_OPTIONS_PROCESS_CONFIG, &no) &&
	    option(libssh, SSH_OPTIONS_SSH_DIR, "/nonexistent") &&
	    option(libssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") &&
	    option(libssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") &&
	    option(libssh, SSH_OPTIONS_HOST, session->address) &&
	    option(libssh, SSH_OPTIONS_PORT, &port) &&
	    option(libssh, SSH_OPTIONS_USER, session->user) &&
	    option(libssh, SSH_OPTIONS_COMPRESSION, "no") &&
	    option(libssh, SSH_OPTIONS_HOSTKEYS, algorithms) &&
	    option(libssh, SSH_OPTIONS_KEY_EXCHANGE, KEX_WISH) &&
	    option(libssh, SSH_OPTIONS_CIPHERS_C_S, CIPHER_WISH) &&
	    option(libssh, SSH_OPTIONS_CIPHERS_S_C, CIPHER_WISH) &&
	    option(libssh, SSH_OPTIONS_FD, &session->fd)) {
		ssh_set_blocking(libssh, 0);
		session->libssh = libssh;
		return TRUE;
	}
	g_propagate_error(error, session_error(session,
					       libssh ? SESSION_ERROR_PROTOCOL : SESSION_ERROR_HOST,
					       "libssh refuses an option: %s",
					       libssh ? ssh_get_error(libssh) : "out of memory"));
	ssh_free(libssh);
	return FALSE;
}

static enum handshake
banner_found(struct ssh_session *session, const char *line, gsize length, GError **error)
{
	const int one = 1;

	g_autofree char *text = g_strchomp(g_strndup(line, length));
	session->banner = text_line(text, ' ');
	if (!g_str_has_prefix(text, "SSH-2.0-") && !g_str_has_prefix(text, "SSH-1.99-"))
		return not_ssh(session, line, length, error);
	setsockopt(session->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
	return HANDSHAKE_DONE;
}

/* Remove a whole line that is not a banner from the socket. FALSE: there were too many bytes. */
static gboolean
take_prelude(struct ssh_session *session, char *bytes, gsize length, GError **error)
{
	if (!session->prelude)
		session->prelude = wire_excerpt(bytes, length);
	session->prelude_length += length;
	if (session->prelude_length > SSH_PRELUDE_MAX || memchr(bytes, '\0', length) ||
	    recv(session->fd, bytes, length, MSG_DONTWAIT) != (ssize_t)length) {
		not_ssh(session, bytes, length, error);
		return FALSE;
	}
	session->peeked = 0;
	return TRUE;
}

/* The socket is readable, but has nothing new: it is closed, or the kernel ignored SO_RCVLOWAT. */
static enum handshake
check_closed(struct ssh_session *session, const char *bytes, gsize length, GError **error)
{
	struct pollfd poller = {.fd = session->fd, .events = POLLRDHUP};

	if (poll(&poller, 1, 0) != 1)
		return HANDSHAKE_AGAIN;
	if (!session->prelude)
		session->prelude = wire_excerpt(bytes, length);
	return closed_before_banner(session, 0, error);
}

enum handshake
handshake_banner(struct ssh_session *session, GError **error)
{
	char bytes[1024];

	for (;;) {
		ssize_t count = recv(session->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);

		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return HANDSHAKE_AGAIN;
		if (count <= 0)
			return closed_before_banner(session, count == 0 ? 0 : errno, error);
		gsize length = (gsize)count;
		char *end = memchr(bytes, '\n', length);
		gsize line = end ? (gsize)(end - bytes) + 1 : length;
		gboolean is_ssh = memcmp(bytes, "SSH-", MIN(line, 4)) == 0;

		if (end && is_ssh && line > 4 && line <= BANNER_MAX)
			return banner_found(session, bytes, line, error);
		if (is_ssh ? line > BANNER_MAX : length == sizeof bytes && !end)
			return not_ssh(session, bytes, length, error);
		if (end) {
			if (!take_prelude(session, bytes, line, error))
				return HANDSHAKE_FAILED;
			continue;
		}
		if (!is_ssh && memchr(bytes, '\0', length))
			return not_ssh(session, bytes, length, error);
		if (length == session->peeked)
			return check_closed(session, bytes, length, error);
		int more = (int)length + 1;
		session->peeked = length;
		setsockopt(session->fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more);
	}
}

static char *
fingerprint(ssh_key key)
{
	unsigned char *hash = NULL;
	size_t length = 0;

	if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) != 0)
		return g_strdup("(unknown)");
	char *text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
	char *copy = g_strdup_printf("%s %s", ssh_key_type_to_char(ssh_key_type(key)), text);
	ssh_clean_pubkey_hash(&hash);
	ssh_string_free_char(text);
	return copy;
}

static ssh_key
key_of_line(const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 3);
	ssh_key key = NULL;

	if (!words[0] || !words[1] ||
	    ssh_pki_import_pubkey_base64(words[1], ssh_key_type_from_name(words[0]), &key) !=
		SSH_OK)
		return NULL;
	return key;
}

/* Compare the guest's key with the injected ones. */
static enum handshake
check_host_key(struct ssh_session *session, GError **error)
{
	g_auto(ssh_key) theirs = NULL;
	g_autoptr(GString) expected = g_string_new(NULL);

	if (ssh_get_server_publickey(session->libssh, &theirs) != SSH_OK)
		return failed(error, session_libssh_error(session));
	for (char **line = session->host_keys; line && *line; line++) {
		g_auto(ssh_key) ours = key_of_line(*line);

		if (!ours)
			continue;
		if (ssh_key_cmp(ours, theirs, SSH_KEY_CMP_PUBLIC) == 0)
			return HANDSHAKE_DONE;
		g_autofree char *print = fingerprint(ours);
		g_string_append_printf(expected, "%s%s", expected->len ? " or " : "", print);
	}
	g_autofree char *print = fingerprint(theirs);
	return failed(error,
		      session_error(session, SESSION_ERROR_IMPOSTOR,
				    "an impostor answers: its host key is %s, %s %s", print,
				    session->key_source, expected->len ? expected->str : "none"));
}

enum handshake
handshake_keys(struct ssh_session *session, GError **error)
{
	int result = ssh_connect(session->libssh);

	/* libssh sets its socket blocking when it is connected (socket.c, ssh_socket_pollcallback).
	 */
	if (result != SSH_ERROR)
		fcntl(session->fd, F_SETFL, O_NONBLOCK);
	if (result == SSH_AGAIN)
		return HANDSHAKE_AGAIN;
	if (result == SSH_OK)
		return check_host_key(session, error);
	return failed(error, session_libssh_error(session));
}

static enum handshake
login_denied(struct ssh_session *session, GError **error)
{
	int methods = ssh_userauth_list(session->libssh, NULL);
	g_autoptr(GString) offers = g_string_new(NULL);
	static const struct {
		int bit;
		const char *name;
	} names[] = {
	    {SSH_AUTH_METHOD_PUBLICKEY, "publickey"},
	    {SSH_AUTH_METHOD_PASSWORD, "password"},
	    {SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive"},
	    {SSH_AUTH_METHOD_HOSTBASED, "hostbased"},
	    {SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
		if (methods & names[i].bit)
			g_string_append_printf(offers, "%s%s", offers->len ? ", " : "",
					       names[i].name);
	return failed(
	    error, session_error(session, SESSION_ERROR_DENIED,
				 "user %s with key %s is refused (%s would accept: %s); does the "
				 "account exist, and is this key in its authorized_keys?",
				 session->user, session->private_key, session->peer,
				 offers->len ? offers->str : "nothing"));
}

enum handshake
handshake_login(struct ssh_session *session, GError **error)
{
	switch (ssh_userauth_publickey(session->libssh, NULL, session->key)) {
	case SSH_AUTH_SUCCESS:
		return HANDSHAKE_DONE;
	case SSH_AUTH_AGAIN:
		return HANDSHAKE_AGAIN;
	case SSH_AUTH_DENIED:
	case SSH_AUTH_PARTIAL:
		return login_denied(session, error);
	default:
		return failed(error, session_libssh_error(session));
	}
}
