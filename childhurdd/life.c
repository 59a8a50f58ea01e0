/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/life.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* State and CPU time (ms, user and system) of a process, by proc(5), stat: the command's name in
 * parentheses may hold anything, so fields count from behind the last of them. */
static gboolean
process_read(pid_t pid, char *state, gint64 *cpu)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *text = NULL;
	unsigned long user, system;
	if (!pid || !g_file_get_contents(path, &text, NULL, NULL))
		return FALSE;
	const char *fields = strrchr(text, ')');
	if (!fields || sscanf(fields, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", state,
			      &user, &system) != 3)
		return FALSE;
	*cpu = (gint64)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
	return TRUE;
}

gboolean
life_stopped(pid_t pid)
{
	char state;
	gint64 cpu;
	return process_read(pid, &state, &cpu) && (state == 'T' || state == 't');
}

static gboolean
console_changed(struct life *life)
{
	struct stat st;
	if (stat(life->console, &st) < 0)
		return FALSE;
	gint64 changed = (gint64)st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000;
	gboolean differs = st.st_size != life->size || changed != life->changed;
	life->size = st.st_size;
	life->changed = changed;
	return differs;
}

static void
measure(struct life *life, gint64 now)
{
	char state;
	gint64 cpu;
	gboolean known = process_read(life->pid, &state, &cpu);
	life->share = NAN;
	if (known && life->looked && now > life->looked)
		life->share = (double)(cpu - life->cpu) / (double)(now - life->looked);
	if (known)
		life->cpu = cpu;
}

void
life_begin(struct life *life, pid_t pid, const char *console, gint64 now)
{
	life_clear(life);
	*life = (struct life){.pid = pid, .console = g_strdup(console), .share = NAN};
	life->quiet_since = now;
	life_sign(life, "its start", now);
	console_changed(life);
	measure(life, now);
	life->looked = now;
}

void
life_clear(struct life *life)
{
	g_clear_pointer(&life->console, g_free);
	life->pid = 0;
}

void
life_sign(struct life *life, const char *what, gint64 now)
{
	life->sign = now;
	life->what = what;
}

void
life_look(struct life *life, gint64 now)
{
	if (!life->console || now - life->looked < LIFE_INTERVAL)
		return;
	measure(life, now);
	life->looked = now;
	if (life->share >= LIFE_BUSY)
		life_sign(life, "QEMU is busy", now);
	if (console_changed(life)) {
		life->quiet_since = now;
		life_sign(life, "console output", now);
	}
}

char *
life_text(const struct life *life, gint64 now)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_string_append_printf(text, "console quiet for %.0f s",
			       (double)(now - life->quiet_since) / 1000);
	if (!isnan(life->share))
		g_string_append_printf(text, ", QEMU used %.0f %% of a core", life->share * 100);
	if (life_stopped(life->pid))
		g_string_append_printf(text, " and is stopped by a signal (kill -CONT %d)",
				       (int)life->pid);
	return g_string_free(g_steal_pointer(&text), FALSE);
}
