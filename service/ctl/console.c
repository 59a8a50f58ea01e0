/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl console: a guest's serial line on this terminal, until the escape character.
 *
 * The guest's output reaches the terminal unchanged, as on any console. If the standard input is
 * not a terminal, its bytes are typed into the guest, and the session ends once the guest has been
 * silent for a while after the last byte.
 */
#include "service/ctl/ctl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/base/text.h"

#define CHUNK 4096

struct session {
	struct ctl *ctl;
	const char *name;
	int escape;	    /* the character; -1: none, stdin is not a terminal */
	GByteArray *typed;  /* bytes that the daemon has not taken yet */
	gboolean typed_all; /* stdin has ended */
	gboolean ending;    /* the NUL was read; the daemon's last message follows */
	gboolean left;	    /* the client ended it: the escape character, or stdin's end */
	gint64 typed_at;    /* monotonic µs of stdin's end */
	gint64 quiet_since; /* monotonic µs of the last output */
};

int
ctl_escape_character(const char *text)
{
	if (text[0] == '^' && text[1] && !text[2]) {
		char c = g_ascii_toupper(text[1]);
		return c == '?' ? 0x7f : c >= '@' && c <= '_' ? c ^ 0x40 : -1;
	}
	return text[0] && !text[1] ? (guchar)text[0] : -1;
}

/* The name of c for people: "^]". The caller frees. */
static char *
escape_name(int c)
{
	if (c == 0x7f)
		return g_strdup("^?");
	return c < 0x20 ? g_strdup_printf("^%c (Ctrl + %c)", c ^ 0x40, c ^ 0x40)
			: g_strdup_printf("%c", c);
}

/* Print what came from the daemon, up to the NUL that begins its last message. */
static gboolean
show(struct session *s, const char *bytes, gsize n, GError **error)
{
	const char *nul = s->ending ? bytes : memchr(bytes, 0, n);
	gsize shown = nul ? (gsize)(nul - bytes) : n;
	if (shown && !ctl_terminal_write(bytes, shown)) {
		if (!ctl_terminal_ended())
			g_set_error(error, CTL_ERROR, CTL_FAILED, "standard output: %s",
				    g_strerror(errno));
		return FALSE;
	}
	if (shown)
		s->quiet_since = g_get_monotonic_time();
	if (nul && !s->ending) {
		nul++;
		shown++;
		s->ending = TRUE;
	}
	if (nul)
		varlink_buffer_append(&s->ctl->input, nul, n - shown);
	return TRUE;
}

/* Read stdin: keys, or bytes to be typed. */
static gboolean
take_keys(struct session *s, GError **error)
{
	char bytes[CHUNK];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
	if (n < 0 && errno != EINTR && errno != EAGAIN) {
		/* EIO: the terminal is gone. */
		g_set_error(error, CTL_ERROR, CTL_FAILED, "standard input: %s", g_strerror(errno));
		return FALSE;
	}
	if (n == 0) {
		s->typed_all = TRUE;
		s->typed_at = s->quiet_since = g_get_monotonic_time();
	}
	const char *escape = n > 0 && s->escape >= 0 ? memchr(bytes, s->escape, (gsize)n) : NULL;
	s->left = escape != NULL;
	if (n > 0)
		g_byte_array_append(s->typed, (const guint8 *)bytes,
				    (guint)(escape ? escape - bytes : n));
	return TRUE;
}

/* Send what was typed, as far as the daemon takes it. */
static void
send_keys(struct session *s)
{
	if (s->typed->len) {
		ssize_t n =
		    send(s->ctl->fd, s->typed->data, s->typed->len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			g_byte_array_remove_range(s->typed, 0, (guint)n);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			g_byte_array_set_size(s->typed, 0); /* the next recv has the reason */
	}
	if (s->typed_all && !s->typed->len)
		shutdown(s->ctl->fd, SHUT_WR);
}

/* Report why the daemon ended the session. Returns the exit status. */
static int
last_words(struct session *s, GError **error)
{
	ctl_auto_message message = ctl_receive(s->ctl, CTL_REPLY_LIMIT, error);
	if (!message)
		return CTL_FAILED;
	const char *why = ctl_text(message->parameters, "why");
	g_autofree char *clean =
	    text_output(why ? why : "the daemon ended the session", TRUE, isatty(STDERR_FILENO));
	if (ctl_text(message->parameters, "by")) {
		g_set_error(error, CTL_ERROR, CTL_FAILED, "%s: %s", s->name, clean);
		return CTL_FAILED;
	}
	fprintf(stderr, "\nDisconnected from %s: %s\n", s->name, clean);
	return CTL_DONE;
}

/* ms until the session ends by itself after stdin's end; -1: not all bytes are typed yet. */
static gint64
time_left(const struct session *s)
{
	gint64 now = g_get_monotonic_time();
	if (!s->typed_all || s->typed->len)
		return -1;
	gint64 until =
	    MIN(s->quiet_since + CTL_CONSOLE_QUIET * 1000, s->typed_at + CTL_CONSOLE_LIMIT * 1000);
	return MAX(0, (until - now + 999) / 1000);
}

/* One round: keys to the daemon, its bytes to the terminal. FALSE: the session is over. */
static gboolean
relay(struct session *s, GError **error)
{
	gboolean keys = !s->typed_all && s->typed->len < CHUNK;
	struct pollfd fds[] = {
	    {.fd = s->ctl->fd, .events = (short)(POLLIN | (s->typed->len ? POLLOUT : 0))},
	    {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN}};
	gint64 left = time_left(s);
	if (left == 0) {
		s->left = TRUE;
		return FALSE;
	}
	ctl_terminal_wait(fds, G_N_ELEMENTS(fds), left);
	if (ctl_terminal_ended())
		return FALSE;
	if (fds[1].revents && !take_keys(s, error))
		return FALSE;
	send_keys(s);
	if (s->left)
		return FALSE;
	if (!(fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
		return TRUE;
	char bytes[16 * CHUNK];
	ssize_t n = recv(s->ctl->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n > 0)
		return show(s, bytes, (gsize)n, error) && !s->ending;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return TRUE;
	g_set_error(error, CTL_ERROR, CTL_NO_DAEMON,
		    "%s: the connection to %s broke; the guest runs on without it", s->name,
		    ctl_place(s->ctl));
	return FALSE;
}

static int
attend(struct session *s, GError **error)
{
	gsize n;
	const char *rest = varlink_buffer_rest(&s->ctl->input, &n);
	g_autofree char *early = g_memdup2(rest, n);
	varlink_buffer_clear(&s->ctl->input);
	varlink_buffer_init(&s->ctl->input, CTL_REPLY_MAX);
	GError *why = NULL;
	gboolean terminal = s->escape >= 0;
	if (terminal) {
		g_autofree char *escape = escape_name(s->escape);
		fprintf(stderr, "Connected to %s. Escape character is %s\n", s->name, escape);
	}
	ctl_terminal_signals();
	if (terminal)
		ctl_terminal_take(CTL_TERMINAL_RAW, NULL, NULL);
	if ((!n || show(s, early, n, &why)) && !s->ending)
		while (relay(s, &why))
			;
	ctl_terminal_end();
	if (terminal && s->left)
		fprintf(stderr, "\nDisconnected from %s.\n", s->name);
	if (terminal && why)
		fputc('\n', stderr);
	if (why) {
		g_propagate_error(error, why);
		return CTL_FAILED;
	}
	return s->ending ? last_words(s, error) : CTL_DONE;
}

int
ctl_console(struct ctl *ctl, GError **error)
{
	g_autofree char *name = ctl_only_name(ctl, error);
	if (!name)
		return CTL_FAILED;
	JsonObject *parameters = json_object_new();
	json_object_set_string_member(parameters, "name", name);
	if (ctl->force)
		json_object_set_boolean_member(parameters, "force", TRUE);
	ctl_auto_message reply = ctl_upgrade(ctl, "org.childhurd.Console", parameters, error);
	if (!reply)
		return CTL_FAILED;
	struct session session = {.ctl = ctl,
				  .name = name,
				  .escape = isatty(STDIN_FILENO) ? ctl->escape : -1,
				  .typed = g_byte_array_new()};
	int status = attend(&session, error);
	g_byte_array_unref(session.typed);
	return status;
}
