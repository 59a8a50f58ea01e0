/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "childhurdd/world/vitals.h"

#include <errno.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "childhurdd/system/process.h"
#include "config/base/lack.h"

gboolean
vitals_stopped(pid_t pid)
{
	struct process_look look;
	return process_look(pid, &look) && (look.state == 'T' || look.state == 't');
}

static gboolean
console_changed(struct vitals *life)
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
measure(struct vitals *life, gint64 now)
{
	struct process_look look;
	gboolean known = process_look(life->pid, &look);
	life->share = NAN;
	if (known && life->looked && now > life->looked)
		life->share = (double)(look.cpu - life->cpu) / (double)(now - life->looked);
	if (known)
		life->cpu = look.cpu;
	else if (life->pid && lack_is(errno))
		vitals_sign(life, now); /* it could not be looked at, which says nothing */
}

void
vitals_begin(struct vitals *life, pid_t pid, const char *console, gint64 now)
{
	vitals_clear(life);
	*life = (struct vitals){
	    .pid = pid, .statm = process_statm(pid), .console = g_strdup(console), .share = NAN};
	life->quiet_since = now;
	vitals_sign(life, now);
	console_changed(life);
	measure(life, now);
	life->looked = now;
}

void
vitals_clear(struct vitals *life)
{
	g_clear_pointer(&life->console, g_free);
	if (life->pid && life->statm >= 0)
		close(life->statm);
	life->pid = 0;
}

gint64
vitals_memory(const struct vitals *life)
{
	return life->pid ? process_memory(life->statm) : 0;
}

void
vitals_sign(struct vitals *life, gint64 now)
{
	life->sign = now;
}

void
vitals_look(struct vitals *life, gint64 now)
{
	if (!life->console || now - life->looked < LIFE_INTERVAL)
		return;
	measure(life, now);
	life->looked = now;
	if (life->share >= LIFE_BUSY)
		vitals_sign(life, now);
	if (console_changed(life)) {
		life->quiet_since = now;
		vitals_sign(life, now);
	}
}

char *
vitals_text(const struct vitals *life, gint64 now)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_string_append_printf(text, "console quiet for %.0f s",
			       (double)(now - life->quiet_since) / 1000);
	if (!isnan(life->share))
		g_string_append_printf(text, ", QEMU used %.0f %% of a core", life->share * 100);
	if (vitals_stopped(life->pid))
		g_string_append_printf(text, " and is stopped by a signal (kill -CONT %d)",
				       (int)life->pid);
	return g_string_free(g_steal_pointer(&text), FALSE);
}
