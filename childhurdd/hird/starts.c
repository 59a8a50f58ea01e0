/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A hird runs out of memory first. The kernel then kills a QEMU, usually one with a running build.
 * So a guest is admitted only if its memory is free.
 *
 * QEMU takes a guest's memory page by page, when the guest first touches it. MemAvailable alone
 * would admit a whole hird at once against the same free memory. So what a guest has not yet taken
 * of its memory is reserved for it, from its place among the starts to its QEMU's end.
 */
#include "childhurdd/hird/starts.h"

#include <stdio.h>
#include <string.h>

#define MIB (G_GINT64_CONSTANT(1) << 20)

struct starts {
	const struct starts_ops *ops;
	void *data;
	GHashTable *queue;  /* of struct childhurd; value: whether its wait for memory was logged */
	GHashTable *places; /* of struct childhurd */
	gboolean soon;	    /* a look was requested and has not begun */
};

/* The host's memory during one look. */
struct memory {
	gboolean known;
	gint64 free;  /* according to the host */
	gint64 owed;  /* reserved for guests that have not taken it yet */
	gint64 taken; /* used by the hird's QEMUs: free if none ran */
};

struct starts *
starts_new(const struct starts_ops *ops, void *data)
{
	struct starts *s = g_new0(struct starts, 1);
	s->ops = ops;
	s->data = data;
	s->queue = g_hash_table_new(NULL, NULL);
	s->places = g_hash_table_new(NULL, NULL);
	return s;
}

void
starts_free(struct starts *s)
{
	if (!s)
		return;
	g_hash_table_unref(s->queue);
	g_hash_table_unref(s->places);
	g_free(s);
}

void
starts_look_soon(struct starts *s)
{
	if (s->soon)
		return;
	s->soon = TRUE;
	s->ops->look(s->data, 0);
}

void
starts_queue(struct starts *s, struct childhurd *c)
{
	g_hash_table_remove(s->places, c);
	g_hash_table_insert(s->queue, c, GINT_TO_POINTER(FALSE));
	starts_look_soon(s);
}

void
starts_leave(struct starts *s, struct childhurd *c)
{
	g_hash_table_remove(s->places, c);
	g_hash_table_remove(s->queue, c);
	if (g_hash_table_size(s->queue))
		starts_look_soon(s);
}

gboolean
starts_has_place(const struct starts *s, const struct childhurd *c)
{
	return g_hash_table_contains(s->places, c);
}

/* Memory reserved for c and not taken yet; 0 for a running QEMU whose memory is unknown. */
static gint64
owed_to(const struct starts *s, const struct childhurd *c, gint64 taken)
{
	if (!childhurd_has_qemu(c) && !starts_has_place(s, c))
		return 0;
	if (c->qemu == QEMU_RUNNING && !taken)
		return 0;
	return MAX(0, c->config->memory_size - taken);
}

static struct memory
memory_now(const struct starts *s)
{
	struct memory m = {.free = s->ops->memory_free(s->data)};
	m.known = m.free >= 0;
	struct childhurd *c;
	for (guint i = 0; m.known && (c = s->ops->guest(s->data, i)); i++) {
		gint64 taken = s->ops->memory_taken(s->data, c);
		m.taken += taken;
		m.owed += owed_to(s, c, taken);
	}
	return m;
}

static gboolean
fits(const struct memory *m, const struct childhurd *c)
{
	return !m->known || c->config->memory_size + STARTS_MEMORY_RESERVE <= m->free - m->owed;
}

static gboolean
fits_alone(const struct memory *m, const struct childhurd *c)
{
	return c->config->memory_size + STARTS_MEMORY_RESERVE <= m->free + m->taken;
}

static void
wait_for_memory(struct starts *s, struct childhurd *c, const struct memory *m)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_string_printf(
	    text,
	    "waiting for memory: needs %" G_GINT64_FORMAT " MiB, the host has %" G_GINT64_FORMAT
	    " MiB free (%d MiB are reserved for the host",
	    c->config->memory_size / MIB, m->free / MIB, (int)(STARTS_MEMORY_RESERVE / MIB));
	if (m->owed)
		g_string_append_printf(
		    text, ", %" G_GINT64_FORMAT " MiB for guests that have not taken theirs yet",
		    m->owed / MIB);
	g_string_append_c(text, ')');
	if (!fits_alone(m, c))
		g_string_append(text, "; it would not fit even if no other guest ran");
	childhurd_set_phase(c, text->str);
	if (g_hash_table_lookup(s->queue, c))
		return;
	g_hash_table_insert(s->queue, c, GINT_TO_POINTER(TRUE));
	c->ops->changed(c, FALSE, text->str);
}

static void
wait_behind(struct childhurd *c, const struct childhurd *holder)
{
	if (!holder) {
		childhurd_set_phase(c, CHILDHURD_PHASE_QUEUED);
		return;
	}
	g_autofree char *text = g_strdup_printf(
	    "waiting for its turn: %s is before it and waits for memory", holder->config->name);
	childhurd_set_phase(c, text);
}

void
starts_look(struct starts *s)
{
	const struct childhurd *holder = NULL; /* the first guest that waits for memory */
	gboolean poll = FALSE;
	struct memory memory = {0};
	gboolean looked = FALSE;
	struct childhurd *c;
	s->soon = FALSE;
	for (guint i = 0; g_hash_table_size(s->queue) && (c = s->ops->guest(s->data, i)); i++) {
		if (!g_hash_table_contains(s->queue, c))
			continue;
		if (holder || g_hash_table_size(s->places) >= s->ops->places(s->data)) {
			wait_behind(c, holder);
			continue;
		}
		s->ops->apply(s->data, c);
		g_autofree char *hindrance = s->ops->hindrance(s->data, c);
		if (hindrance) {
			childhurd_set_phase(c, hindrance);
			continue;
		}
		if (!looked)
			memory = memory_now(s);
		looked = TRUE;
		if (fits(&memory, c)) {
			g_hash_table_remove(s->queue, c);
			g_hash_table_add(s->places, c);
			memory.owed += c->config->memory_size;
			childhurd_event(c, EVENT_ADMITTED, NULL);
			continue;
		}
		poll = TRUE;
		if (fits_alone(&memory, c))
			holder = c;
		wait_for_memory(s, c, &memory);
	}
	if (poll && !s->soon)
		s->ops->look(s->data, STARTS_MEMORY_POLL);
}

gint64
starts_memory_parse(const char *meminfo)
{
	const char *line = strstr(meminfo, "MemAvailable:");
	long long kib;
	if (!line || sscanf(line, "MemAvailable: %lld kB", &kib) != 1 || kib < 0)
		return -1;
	return kib * 1024;
}

gint64
starts_memory_host(void)
{
	g_autofree char *text = NULL;
	return g_file_get_contents("/proc/meminfo", &text, NULL, NULL) ? starts_memory_parse(text)
								       : -1;
}
