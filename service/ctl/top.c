/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl top: the guests as a table that is redrawn each second, until q.
 *
 * Plain ECMA-48: the terminal's alternate screen, without a cursor and without wrapping, so that
 * the terminal itself cuts long lines. All requests go over one connection. If the daemon goes
 * away, the last table stays, a line says so, and top keeps trying to reconnect.
 */
#include "service/ctl/ctl.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define GREETING "\033[?1049h\033[?25l\033[?7l"
#define GOODBYE	 "\033[?7h\033[?25h\033[?1049l"

#define CTRL_C 3

/* The last reply about a QEMU. */
struct sample {
	double pid, cpu; /* cpu: s */
	gint64 at;	 /* monotonic µs */
	double share;	 /* of a core, since the reply before it; NAN: unknown */
};

struct top {
	struct ctl *ctl;
	GHashTable *samples;		/* name => struct sample */
	struct varlink_message *answer; /* the last reply; NULL: none yet */
	char *problem;			/* why there is no newer reply; NULL: no problem */
	gint64 asked;			/* monotonic µs of the request under way; 0: none */
	gint64 next;			/* monotonic µs of the next request */
	gboolean quit;
};

static const enum ctl_column columns[] = {
    CTL_COLUMN_NAME, CTL_COLUMN_STATE,	CTL_COLUMN_SINCE, CTL_COLUMN_PUBLISHED, CTL_COLUMN_BUILD,
    CTL_COLUMN_CPU,  CTL_COLUMN_MEMORY, CTL_COLUMN_LOAD,  CTL_COLUMN_RESTARTS,	CTL_COLUMN_WHY};

/* --- samples --- */

static void
note_sample(struct top *top, JsonObject *details, gint64 now)
{
	const char *name = ctl_text(ctl_object(details, "guest"), "name");
	double pid = ctl_number(details, "pid", 0), cpu = ctl_number(details, "cpu", NAN);
	struct sample *sample = name ? g_hash_table_lookup(top->samples, name) : NULL;
	if (!name)
		return;
	if (!sample) {
		sample = g_new0(struct sample, 1);
		g_hash_table_insert(top->samples, g_strdup(name), sample);
	}
	double passed = (double)(now - sample->at) / G_USEC_PER_SEC;
	gboolean same = pid > 0 && sample->pid == pid && passed > 0;
	*sample = (struct sample){pid, cpu, now, same ? MAX(0, (cpu - sample->cpu) / passed) : NAN};
}

static void
take_answer(struct top *top, struct varlink_message *answer)
{
	gint64 now = g_get_monotonic_time();
	g_autoptr(GPtrArray) guests = ctl_objects(answer->parameters, "guests");
	for (guint i = 0; i < guests->len; i++)
		note_sample(top, g_ptr_array_index(guests, i), now);
	varlink_message_free(top->answer);
	top->answer = answer;
	g_clear_pointer(&top->problem, g_free);
}

/* "3 of 4 ready, 1 build, CPU 87%, memory 1.2G"; the caller frees. */
static char *
summary(const struct ctl_row *rows, guint n)
{
	guint ready = 0;
	double builds = 0, cpu = 0, memory = 0;
	for (guint i = 0; i < n; i++) {
		ready += !g_strcmp0(ctl_text(rows[i].guest, "state"), "ready");
		builds += MAX(ctl_number(rows[i].guest, "builds", 0), 0);
		memory += ctl_number(rows[i].guest, "memory", 0);
		cpu += isnan(rows[i].cpu) ? 0 : rows[i].cpu;
	}
	g_autofree char *size = ctl_size(memory);
	return g_strdup_printf("%u of %u ready, %.0f build%s, CPU %.0f%%, memory %s", ready, n,
			       builds, builds == 1 ? "" : "s", cpu * 100, size);
}

/* The lines to show, the summary first. The caller unrefs. */
static GPtrArray *
table(const struct top *top)
{
	g_autoptr(GPtrArray) guests =
	    top->answer ? ctl_objects(top->answer->parameters, "guests") : g_ptr_array_new();
	g_autofree struct ctl_row *rows = g_new0(struct ctl_row, guests->len);
	guint n = 0;
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *details = g_ptr_array_index(guests, i),
			   *guest = ctl_object(details, "guest");
		const char *name = guest ? ctl_text(guest, "name") : NULL;
		const struct sample *sample = name ? g_hash_table_lookup(top->samples, name) : NULL;
		if (guest)
			rows[n++] = (struct ctl_row){guest, details, sample ? sample->share : NAN};
	}
	GPtrArray *lines = ctl_table(columns, G_N_ELEMENTS(columns), rows, n);
	g_ptr_array_insert(lines, 0, summary(rows, n));
	return lines;
}

/* --- the screen --- */

static void
draw(struct top *top)
{
	g_autoptr(GPtrArray) lines = table(top);
	guint height = (guint)MAX(ctl_height(), 3);
	g_autofree char *time = ctl_time(ctl_now(), ctl_now());
	g_autoptr(GString) screen = g_string_new("\033[H");
	g_string_append_printf(screen, "%s  %s  (q: quit)\033[K\r\n", time,
			       (char *)g_ptr_array_index(lines, 0));
	g_autofree char *problem = ctl_clean(top->problem, TRUE);
	g_autofree char *cut = ctl_cut(problem, ctl_width());
	g_string_append_printf(screen, "%s\033[K", cut);
	guint room = height - 2, there = lines->len - 1;
	guint shown = there <= room ? there : room - 1;
	for (guint i = 0; i < shown; i++)
		g_string_append_printf(screen, "\r\n%s\033[K",
				       (char *)g_ptr_array_index(lines, i + 1));
	if (shown < there)
		g_string_append_printf(screen, "\r\n... and %u more\033[K", there - shown);
	g_string_append(screen, "\033[J");
	if (!ctl_terminal_write(screen->str, screen->len))
		top->quit = TRUE; /* the screen is gone */
}

/* --- asking --- */

/* Show why, and take over its memory. refused: the daemon replied with an error, as it does when a
 * guest is gone; the connection is kept. */
static void
take_problem(struct top *top, GError *why, gboolean refused)
{
	g_free(top->problem);
	top->problem = g_strconcat(refused ? "" : "trying to reconnect: ", why->message, NULL);
	g_error_free(why);
	if (!refused)
		ctl_disconnect(top->ctl);
	top->asked = 0;
}

static gboolean
ask(struct top *top, GError **error)
{
	const struct ctl *ctl = top->ctl;
	top->asked = g_get_monotonic_time();
	top->next = top->asked + CTL_TOP_INTERVAL * 1000;
	return ctl_send(top->ctl, "org.childhurd.Status",
			ctl_names((const char *const *)ctl->arguments, ctl->n_arguments), FALSE,
			error);
}

static gboolean
hear(struct top *top, gboolean *refused, GError **error)
{
	struct varlink_message *answer = ctl_receive(top->ctl, CTL_REPLY_LIMIT, error);
	top->asked = 0;
	*refused = answer && ctl_refused(answer, error);
	if (!answer || *refused) {
		varlink_message_free(answer);
		return FALSE;
	}
	take_answer(top, answer);
	return TRUE;
}

static void
take_key(struct top *top)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
	if (n == 0)
		top->quit = TRUE;
	for (ssize_t i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == CTRL_C)
			top->quit = TRUE;
}

/* Wait for a key, a reply or the time of the next request, and draw. */
static void
go_round(struct top *top)
{
	GError *why = NULL;
	gboolean refused = FALSE;
	gint64 now = g_get_monotonic_time();
	if (top->asked && now - top->asked > CTL_REPLY_LIMIT * 1000)
		g_set_error(&why, CTL_ERROR, CTL_TIMED_OUT, "the daemon at %s does not answer",
			    ctl_place(top->ctl));
	else if (!top->asked && now >= top->next && !ask(top, &why))
		top->asked = 0;
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = top->asked ? top->ctl->fd : -1, .events = POLLIN}};
	if (!why) {
		gint64 until = MAX(top->next, now + (top->asked ? CTL_TOP_INTERVAL * 1000 : 0));
		ctl_terminal_wait(fds, G_N_ELEMENTS(fds), MAX(0, (until - now + 999) / 1000));
	}
	if (fds[0].revents)
		take_key(top);
	if (fds[1].revents)
		hear(top, &refused, &why);
	if (why)
		take_problem(top, why, refused);
	draw(top);
}

/* Where stdout is not a terminal: the table once, with the use of the CPU over one interval. */
static int
print_once(struct top *top)
{
	g_autoptr(GPtrArray) lines = table(top);
	for (guint i = 0; i < lines->len; i++)
		puts(g_ptr_array_index(lines, i));
	return CTL_DONE;
}

static gboolean
can_draw(void)
{
	const char *kind = g_getenv("TERM");
	return ctl_is_terminal() && isatty(STDIN_FILENO) && kind && strcmp(kind, "dumb") != 0;
}

int
ctl_top(struct ctl *ctl, GError **error)
{
	struct top top = {
	    .ctl = ctl, .samples = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free)};
	int status = CTL_FAILED;
	gboolean refused;
	/* Without a first reply there is nothing to show. */
	if (ask(&top, error) && hear(&top, &refused, error)) {
		status = CTL_DONE;
		if (can_draw()) {
			ctl_terminal_signals();
			ctl_terminal_raw(GREETING, GOODBYE);
			for (draw(&top); !top.quit && !ctl_terminal_ended();)
				go_round(&top);
			ctl_terminal_end();
		} else {
			poll(NULL, 0, CTL_TOP_INTERVAL);
			status = ask(&top, error) && hear(&top, &refused, error) ? print_once(&top)
										 : CTL_FAILED;
		}
	}
	g_hash_table_unref(top.samples);
	varlink_message_free(top.answer);
	g_free(top.problem);
	return status;
}
