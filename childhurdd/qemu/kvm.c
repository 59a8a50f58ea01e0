/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answers of kvm_probe.c, stored for the daemon's lifetime, and the guests that wait for them.
 */
#include "childhurdd/qemu/kvm.h"

#include <string.h>

#include "config/base/lack.h"

struct emulator {
	struct kvm *acceleration;
	char *path;
	enum kvm_guest guest;
	struct kvm_probe *probe; /* NULL: answered */
	gboolean usable;
	gboolean again; /* it could not be probed, because of this host */
	char *why;
};

struct asker {
	struct emulator *emulator;
	kvm_fn done;
	void *data;
};

struct kvm {
	struct ev_loop *loop;
	char *state_directory;
	const struct qemu_user *user;
	GPtrArray *emulators; /* of struct emulator */
	GPtrArray *askers;    /* of struct asker */
	ev_timer answer;      /* at once, but from the loop */
};

static void
emulator_free(void *data)
{
	struct emulator *e = data;
	kvm_probe_free(e->probe);
	g_free(e->path);
	g_free(e->why);
	g_free(e);
}

static void
on_answer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct kvm *a = w->data;
	for (guint i = 0; i < a->askers->len;) {
		struct asker *asker = g_ptr_array_index(a->askers, i);
		if (asker->emulator->probe) {
			i++;
			continue;
		}
		g_ptr_array_steal_index(a->askers, i);
		asker->done(asker->emulator->usable, asker->emulator->why, asker->data);
		g_free(asker);
		i = 0; /* the call may have changed the list */
	}
}

static gboolean
is_awaited(const struct kvm *a, const struct emulator *e)
{
	for (guint i = 0; i < a->askers->len; i++)
		if (((const struct asker *)g_ptr_array_index(a->askers, i))->emulator == e)
			return TRUE;
	return FALSE;
}

static void
answer_soon(struct kvm *a)
{
	ev_timer_set(&a->answer, 0, 0);
	ev_timer_start(a->loop, &a->answer);
}

static void
on_probed(struct kvm_probe *probe, gboolean usable, const char *why, void *data)
{
	struct emulator *e = data;
	e->usable = usable;
	e->why = g_strdup(why);
	e->again = !usable && lack_says(why);
	g_message("acceleration with %s: %s (%s)", e->path, usable ? "kvm" : "tcg", why);
	kvm_probe_free(e->probe);
	e->probe = NULL;
	answer_soon(e->acceleration);
}

static struct emulator *
find(const struct kvm *a, enum kvm_guest guest, const char *path)
{
	for (guint i = 0; i < a->emulators->len; i++) {
		struct emulator *e = g_ptr_array_index(a->emulators, i);
		if (e->guest == guest && !strcmp(e->path, path))
			return e;
	}
	return NULL;
}

void
kvm_ask(struct kvm *a, enum kvm_guest guest, const char *path, kvm_fn done, void *data)
{
	struct emulator *e = find(a, guest, path);
	if (e && e->again && !e->probe && !is_awaited(a, e)) {
		g_ptr_array_remove(a->emulators, e);
		e = NULL;
	}
	if (!e) {
		e = g_new0(struct emulator, 1);
		e->acceleration = a;
		e->path = g_strdup(path);
		e->guest = guest;
		g_ptr_array_add(a->emulators, e);
		e->probe =
		    kvm_probe_new(a->loop, guest, path, a->state_directory, a->user, on_probed, e);
	}
	struct asker *asker = g_new0(struct asker, 1);
	asker->emulator = e;
	asker->done = done;
	asker->data = data;
	g_ptr_array_add(a->askers, asker);
	answer_soon(a);
}

void
kvm_forget(struct kvm *a, const void *data)
{
	for (guint i = a->askers->len; i-- > 0;) {
		struct asker *asker = g_ptr_array_index(a->askers, i);
		if (asker->data == data)
			g_ptr_array_remove_index(a->askers, i);
	}
}

struct kvm *
kvm_new(struct ev_loop *loop, const char *state_directory, const struct qemu_user *user)
{
	struct kvm *a = g_new0(struct kvm, 1);
	a->loop = loop;
	a->state_directory = g_strdup(state_directory);
	a->user = user;
	a->emulators = g_ptr_array_new_with_free_func(emulator_free);
	a->askers = g_ptr_array_new_with_free_func(g_free);
	ev_timer_init(&a->answer, on_answer, 0, 0);
	a->answer.data = a;
	return a;
}

void
kvm_free(struct kvm *a)
{
	if (!a)
		return;
	ev_timer_stop(a->loop, &a->answer);
	g_ptr_array_unref(a->askers);
	g_ptr_array_unref(a->emulators);
	g_free(a->state_directory);
	g_free(a);
}
