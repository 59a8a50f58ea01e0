/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl top: the guests as a table that is redrawn each second, until q.
 *
 * Plain ECMA-48: the terminal's alternate screen, without a cursor and without wrapping. All
 * requests go over one connection. If the daemon goes away, the last table stays, a line says so,
 * and top keeps trying to reconnect.
 */
#include "service/ctl/top.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define GREETING "\033[?1049h\033[?25l\033[?7l"
#define GOODBYE	 "\033[?7h\033[?25h\033[?1049l"

#define ESCAPE 27

/* Keys that are sequences of bytes. */
enum key {
	KEY_UP = 0x100,
	KEY_DOWN,
	KEY_PAGE_UP,
	KEY_PAGE_DOWN,
	KEY_HOME,
	KEY_END,
};

struct top {
	struct ctl *ctl;
	GHashTable *pasts;
	struct varlink_message *answer; /* the last reply; NULL: none yet */
	char *problem;			/* why there is no newer reply; NULL: no problem */
	gint64 asked;			/* monotonic µs of the request under way; 0: none */
	gint64 next;			/* monotonic µs of the next request */
	struct top_sort sort;
	guint first;	     /* row at the top of the screen */
	guint room, there;   /* rows that the screen has room for, and that there are */
	char sequence[8];    /* of a key, what has come of it: ESC first */
	gsize sequence_size; /* 0: none has begun */
	gboolean help, quit;
};

/* --- the screen --- */

/* The keys that sort: a line each, or one line for all. */
static void
add_orders(GPtrArray *lines, gboolean all)
{
	char keys[2 * TOP_N_ORDERS + 1] = "";
	for (guint i = 0; i < TOP_N_ORDERS; i++) {
		keys[2 * i] = top_order_key(i);
		keys[2 * i + 1] = ' ';
		if (all)
			g_ptr_array_add(lines,
					g_strdup_printf("%c            sort by %s",
							top_order_key(i), top_order_name(i)));
	}
	if (!all)
		g_ptr_array_add(lines, g_strdup_printf("%s sort by a column", keys));
}

/* How to use it, a line each; at most 40 columns. In a window that has no room for all of it, it is
 * shorter, and where that is still too much, its last line says that there is more. */
static GPtrArray *
help_lines(int room)
{
	static const char *const scrolling[] = {"Up Down k j  scroll by a line",
						"PgUp PgDn    by a page; Space, too",
						"Home End     to an end; g and G, too"},
				 *const others[] = {"< >          sort by another column",
						    "r            the other way round",
						    "h ?          leave this help",
						    "q            leave top; Ctrl-C, too"};
	const int without = G_N_ELEMENTS(scrolling) + G_N_ELEMENTS(others);
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	for (gsize i = 0; i < G_N_ELEMENTS(scrolling); i++)
		g_ptr_array_add(lines, g_strdup(scrolling[i]));
	add_orders(lines, without + TOP_N_ORDERS <= room);
	for (gsize i = 0; i < G_N_ELEMENTS(others); i++)
		g_ptr_array_add(lines, g_strdup(others[i]));
	if (room > 0 && (int)lines->len > room) {
		g_ptr_array_set_size(lines, room - 1);
		g_ptr_array_add(lines, g_strdup("... a higher window shows more"));
	}
	return lines;
}

/* "1-20 of 60 by state; h help, q quit"; the caller frees. */
static char *
place(const struct top *top)
{
	const char *by = top_order_name(top->sort.by);
	g_autofree char *rows =
	    top->there > top->room && top->room
		? g_strdup_printf("%u-%u of %u", top->first + 1,
				  MIN(top->first + top->room, top->there), top->there)
		: g_strdup_printf("%u guest%s", top->there, top->there == 1 ? "" : "s");
	return g_strdup_printf("%s by %s%s; h help, q quit", rows, by,
			       top->sort.reversed ? ", reversed" : "");
}

/* The line below the summary: what is wrong, or where we are. The caller frees. */
static char *
second(const struct top *top, int width)
{
	g_autofree char *problem = ctl_clean(top->problem, TRUE);
	g_autofree char *where = place(top);
	g_autofree char *cut = ctl_fit(top->problem ? problem : where, width);
	return ctl_painted(top->problem ? "31" : "2", cut);
}

/* All lines of the screen from the top, of which the window shows as many as it can. */
static GPtrArray *
screen_of(struct top *top)
{
	guint n;
	/* The last column stays free: what erases the rest of a line would erase it, too. */
	int width = MAX(ctl_width() - 1, 1);
	GPtrArray *screen = g_ptr_array_new_with_free_func(g_free);
	g_autofree struct top_row *rows = top_rows(top->pasts, top->answer, &n);
	g_autofree char *summary = top_summary(rows, n);
	g_autofree char *time = ctl_time(ctl_now(), ctl_now());
	g_autofree char *first = g_strdup_printf("%s  %s", time, summary);
	top_sort(rows, n, &top->sort);
	g_autoptr(GPtrArray) lines =
	    top->help ? help_lines(ctl_height() - 2) : top_table(rows, n, &top->sort, width);
	/* Three lines are above the rows. */
	top->room = (guint)MAX(ctl_height() - 3, 0);
	top->there = n;
	top->first = MIN(top->first, n > top->room ? n - top->room : 0);
	g_ptr_array_add(screen, ctl_fit(first, width));
	g_ptr_array_add(screen, second(top, width));
	for (guint i = 0; i < lines->len; i++)
		if (top->help)
			g_ptr_array_add(screen, ctl_fit(g_ptr_array_index(lines, i), width));
		else if (i == 0 || i > top->first)
			g_ptr_array_add(screen, g_strdup(g_ptr_array_index(lines, i)));
	return screen;
}

static void
draw(struct top *top)
{
	g_autoptr(GPtrArray) lines = screen_of(top);
	g_autoptr(GString) text = g_string_new("\033[H");
	guint shown = MIN(lines->len, (guint)ctl_height());
	for (guint i = 0; i < shown; i++)
		g_string_append_printf(text, "%s%s\033[K", i ? "\r\n" : "",
				       (char *)g_ptr_array_index(lines, i));
	g_string_append(text, "\033[J");
	if (!ctl_terminal_write(text->str, text->len))
		top->quit = TRUE; /* the screen is gone */
}

/* --- keys --- */

static void
scroll(struct top *top, gint64 rows)
{
	top->first = (guint)CLAMP((gint64)top->first + rows, 0, (gint64)top->there);
}

static void
sort_by(struct top *top, int order)
{
	top->sort = (struct top_sort){(enum top_order)(order % TOP_N_ORDERS), FALSE};
	top->first = 0;
}

static void
on_letter(struct top *top, int key)
{
	for (int i = 0; i < TOP_N_ORDERS; i++)
		if (key == top_order_key(i))
			sort_by(top, i);
}

static void
on_key(struct top *top, int key)
{
	int page = MAX((int)top->room, 1);
	gboolean helped = top->help;
	top->help = !helped && (key == 'h' || key == '?');
	if (key == 'q' || key == 'Q')
		top->quit = TRUE;
	else if (key == KEY_UP || key == 'k')
		scroll(top, -1);
	else if (key == KEY_DOWN || key == 'j')
		scroll(top, 1);
	else if (key == KEY_PAGE_UP)
		scroll(top, -page);
	else if (key == KEY_PAGE_DOWN || key == ' ')
		scroll(top, page);
	else if (key == KEY_HOME || key == 'g')
		top->first = 0;
	else if (key == KEY_END || key == 'G')
		top->first = top->there;
	else if (key == '<' || key == '>')
		sort_by(top, (int)top->sort.by + (key == '>' ? 1 : TOP_N_ORDERS - 1));
	else if (key == 'r')
		top->sort.reversed = !top->sort.reversed;
	else
		on_letter(top, key);
}

/* The key that a sequence of ECMA-48 (without its ESC) stands for, as xterm, the Linux console,
 * screen and rxvt send it; 0: one that has no meaning here. */
static int
key_of(const char *sequence)
{
	static const struct {
		const char *sequence;
		enum key key;
	} keys[] = {
	    {"[A", KEY_UP},	  {"OA", KEY_UP},	  {"[B", KEY_DOWN}, {"OB", KEY_DOWN},
	    {"[5~", KEY_PAGE_UP}, {"[6~", KEY_PAGE_DOWN}, {"[H", KEY_HOME}, {"OH", KEY_HOME},
	    {"[1~", KEY_HOME},	  {"[7~", KEY_HOME},	  {"[F", KEY_END},  {"OF", KEY_END},
	    {"[4~", KEY_END},	  {"[8~", KEY_END},
	};
	for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
		if (!strcmp(keys[i].sequence, sequence))
			return keys[i].key;
	return 0;
}

/* A sequence may come in pieces. It ends with a byte from @ to ~, behind its second byte. */
static void
on_byte(struct top *top, char byte)
{
	if (byte == ESCAPE) {
		top->sequence[0] = byte;
		top->sequence_size = 1;
		return;
	}
	if (!top->sequence_size) {
		on_key(top, byte);
		return;
	}
	if (top->sequence_size < sizeof top->sequence - 1)
		top->sequence[top->sequence_size++] = byte;
	if (top->sequence_size == 2 && (byte == '[' || byte == 'O'))
		return;
	if (byte >= '@' && byte <= '~') {
		top->sequence[top->sequence_size] = '\0';
		int key = key_of(top->sequence + 1);
		top->sequence_size = 0;
		if (key)
			on_key(top, key);
	}
}

static void
take_keys(struct top *top)
{
	char bytes[64];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		top->quit = TRUE; /* no key will come */
	for (ssize_t i = 0; i < n; i++)
		on_byte(top, bytes[i]);
}

/* --- asking --- */

static void
take_answer(struct top *top, struct varlink_message *answer)
{
	top_note(top->pasts, answer, g_get_monotonic_time());
	varlink_message_free(top->answer);
	top->answer = answer;
	g_clear_pointer(&top->problem, g_free);
}

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

/* Take the reply, if all of it comes within limit (ms). */
static gboolean
hear(struct top *top, gint64 limit, gboolean *refused, GError **error)
{
	struct varlink_message *answer = ctl_receive(top->ctl, limit, error);
	*refused = answer && ctl_refused_name(top->ctl, NULL, answer, error);
	if (!answer || *refused) {
		varlink_message_free(answer);
		return FALSE;
	}
	top->asked = 0;
	take_answer(top, answer);
	return TRUE;
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
		take_keys(top);
	if (fds[1].revents && !hear(top, 0, &refused, &why) && why->code == CTL_TIMED_OUT)
		g_clear_error(&why); /* the rest of the reply is to come */
	if (why)
		take_problem(top, why, refused);
	if (!ctl_terminal_ended())
		draw(top);
}

/* Until q or a signal; Ctrl-C is as good as q. */
static void
run(struct top *top)
{
	ctl_terminal_signals();
	ctl_terminal_take(CTL_TERMINAL_KEYS, GREETING, GOODBYE);
	for (draw(top); !top->quit && !ctl_terminal_ended();)
		go_round(top);
	if (ctl_terminal_ended() == SIGINT)
		ctl_terminal_release();
	else
		ctl_terminal_end();
}

/* Where stdout is not a terminal: the table once, with the use of the CPU over one interval. */
static int
print_once(struct top *top)
{
	guint n;
	g_autofree struct top_row *rows = top_rows(top->pasts, top->answer, &n);
	g_autofree char *summary = top_summary(rows, n);
	top_sort(rows, n, &top->sort);
	g_autoptr(GPtrArray) lines = top_table(rows, n, &top->sort, ctl_width());
	puts(summary);
	for (guint i = 0; i < lines->len; i++)
		puts(g_ptr_array_index(lines, i));
	return CTL_DONE;
}

int
ctl_top(struct ctl *ctl, GError **error)
{
	struct top top = {.ctl = ctl, .pasts = top_pasts_new(), .sort = {TOP_BY_STATE, FALSE}};
	int status = CTL_FAILED;
	gboolean refused;
	/* Without a first reply there is nothing to show. */
	if (ask(&top, error) && hear(&top, CTL_REPLY_LIMIT, &refused, error)) {
		status = CTL_DONE;
		if (ctl_can_redraw() && isatty(STDIN_FILENO))
			run(&top);
		else {
			poll(NULL, 0, CTL_TOP_INTERVAL);
			status = ask(&top, error) && hear(&top, CTL_REPLY_LIMIT, &refused, error)
				     ? print_once(&top)
				     : CTL_FAILED;
		}
	}
	g_hash_table_unref(top.pasts);
	varlink_message_free(top.answer);
	g_free(top.problem);
	return status;
}
