/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's boot is what happens from state starting until its QEMU is gone, if it gets one: a
 * start that never ran QEMU is a failure and no boot. Its phases follow from the state and what the
 * guest has got so far; chronicle_look is called at each change of them.
 *
 * Builds are seen as the locks on Guix' slots, which nothing reports, so they are looked at. Those
 * of coordinators elsewhere have no slot here and are seen by their sessions. Counting those reads
 * the kernel's table, which takes longer, so it is done less often, and a session has to be there
 * twice.
 */
#include "childhurdd/hird/chronicle.h"

#include <math.h>
#include <string.h>

#include "childhurdd/qemu/folder.h"
#include "childhurdd/system/process.h"
#include "service/states.h"

enum phase {
	PHASE_QUEUE, /* waiting for a place among the starts */
	PHASE_START,
	PHASE_RESTORE,
	PHASE_BOOT,
	PHASE_KEYS,
	PHASE_LOGIN,
	PHASE_SAVE, /* its warm state is saved */
	N_PHASES
};
static const char *const phase_names[] = {"queue", "start", "restore", "boot",
					  "keys",  "login", "save"};

struct watched {
	gboolean known;	  /* its state is noted */
	enum state state; /* ... and what it is; lived: the last one before it was ended */
	enum state lived;
	gboolean wanted, taken_over;
	/* its boot */
	gint64 began, ready; /* wall clock µs; began 0: none, ready 0: not yet */
	const char *how;
	gboolean ran; /* its QEMU did, or does, also one of an earlier daemon */
	int phase;    /* -1: none */
	gint64 phase_since;
	gint64 ms[N_PHASES];
	/* its warm state is being loaded */
	gint64 restore_since; /* ms; 0: it is not */
	char *restore_why;
	/* builds */
	gboolean builds_known;
	guint64 slots;
	int others, others_before;
	/* the sample */
	gint64 sampled; /* wall clock µs of its start */
	double probes;	/* sum of ms */
	guint n_probes;
	gint64 cpu, cpu_at; /* ms that QEMU had used, and when; pid's */
	pid_t pid;
};

struct chronicle {
	struct ev_loop *loop;
	const struct roster *roster;
	struct history *history;
	GHashTable *guests; /* name -> struct watched */
	gboolean begun;
	gboolean again; /* this daemon looked at them all before */
	ev_timer builds, sample, beat;
	double sessions_at; /* ev_now of the last look at sessions */
};

static gint64
now(void)
{
	return g_get_real_time();
}

static gint64
monotonic(void)
{
	return g_get_monotonic_time() / 1000;
}

static void
watched_free(void *data)
{
	struct watched *w = data;
	g_free(w->restore_why);
	g_free(w);
}

static struct watched *
watched_of(struct chronicle *chronicle, const char *name)
{
	struct watched *w = g_hash_table_lookup(chronicle->guests, name);
	if (w)
		return w;
	w = g_new0(struct watched, 1);
	w->phase = -1;
	w->lived = STATE_STOPPED;
	g_hash_table_insert(chronicle->guests, g_strdup(name), w);
	return w;
}

static struct history_note *
note_new(enum history_kind kind, const struct childhurd *c)
{
	return history_note_new(kind, c->config->name, now());
}

/* --- states --- */

static void
note_state(struct chronicle *chronicle, const struct childhurd *c, gint64 number)
{
	struct history_note *note = note_new(HISTORY_STATE, c);
	note->number = number;
	note->state = g_strdup(c->taken_over ? STATE_TAKEN_OVER : state_name(c->state));
	note->wanted = c->want_up && !c->drained;
	history_note(chronicle->history, note);
}

/* --- boots --- */

static int
phase_of(const struct childhurd *c)
{
	if (c->saving && c->state != STATE_STOPPING)
		return PHASE_SAVE;
	switch (c->state) {
	case STATE_STARTING:
		return g_strcmp0(c->phase, CHILDHURD_PHASE_QUEUED) ? PHASE_START : PHASE_QUEUE;
	case STATE_RESTORING:
		return PHASE_RESTORE;
	case STATE_BOOTING:
		return c->enrolled ? PHASE_LOGIN : PHASE_BOOT;
	case STATE_ENROLLING:
		return c->enrolled ? PHASE_LOGIN : PHASE_KEYS;
	default:
		return -1;
	}
}

static void
follow_phase(struct watched *w, int phase)
{
	gint64 at = monotonic();
	if (phase == w->phase)
		return;
	if (w->phase >= 0)
		w->ms[w->phase] += at - w->phase_since;
	w->phase = phase;
	w->phase_since = at;
}

static char *
phases_text(const struct watched *w)
{
	g_autoptr(GString) text = g_string_new(NULL);
	for (int i = 0; i < N_PHASES; i++)
		if (w->ms[i])
			g_string_append_printf(text, "%s%s %" G_GINT64_FORMAT, text->len ? " " : "",
					       phase_names[i], w->ms[i]);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* What it took from QEMU's start, as the metrics count it: not to save its warm state. */
static gint64
boot_ms(const struct childhurd *c, const struct watched *w)
{
	gint64 sum = 0;
	if (!c->warm && c->boot_took)
		return c->boot_took;
	for (int i = 0; i < N_PHASES; i++)
		sum += i == PHASE_QUEUE || i == PHASE_START || i == PHASE_SAVE ? 0 : w->ms[i];
	return sum;
}

static void
note_boot(struct chronicle *chronicle, const struct childhurd *c, const struct watched *w)
{
	struct history_note *note = note_new(HISTORY_BOOT, c);
	note->began = w->began;
	note->how = g_strdup(w->how);
	note->ready = w->ready;
	note->ms = boot_ms(c, w);
	note->phases = phases_text(w);
	history_note(chronicle->history, note);
}

/* The boot is over; time 0: nobody saw when. */
static void
note_end(struct chronicle *chronicle, const struct childhurd *c, gint64 time, const char *why)
{
	struct history_note *note = note_new(HISTORY_ENDED, c);
	note->time = time;
	note->text = g_strdup(why);
	history_note(chronicle->history, note);
}

/* The guest is down, and nothing is known of when its boot ended. */
static void
note_unseen_end(struct chronicle *chronicle, const struct childhurd *c)
{
	if (chronicle->again)
		note_end(chronicle, c, now(), "while nothing was kept");
	else
		note_end(chronicle, c, 0, "while no daemon ran");
}

static void
end_boot(struct chronicle *chronicle, const struct childhurd *c, struct watched *w)
{
	if (w->began && w->ran && !w->ready) /* how far it came */
		note_boot(chronicle, c, w);
	note_end(chronicle, c, now(), c->why);
	w->began = w->ready = 0;
	w->ran = FALSE;
}

static void
begin_boot(struct chronicle *chronicle, const struct childhurd *c, struct watched *w)
{
	if (w->known)
		end_boot(chronicle, c, w);
	w->began = now();
	w->ran = FALSE;
	w->how = w->known && w->state == STATE_ASLEEP ? "wake" : "cold";
	memset(w->ms, 0, sizeof w->ms);
	w->phase = -1;
}

static gboolean
has_ended(const struct childhurd *c)
{
	return !childhurd_has_qemu(c) && childhurd_is_at_rest(c);
}

static void
become_ready(struct chronicle *chronicle, const struct childhurd *c, struct watched *w)
{
	if (w->began && !w->ready) {
		w->ready = now();
		note_boot(chronicle, c, w);
	} else if (!w->began) { /* an earlier daemon saw its start */
		history_note(chronicle->history, note_new(HISTORY_READY, c));
	}
}

/* --- restores --- */

static void
note_restore(struct chronicle *chronicle, const struct childhurd *c, struct watched *w)
{
	struct history_note *note = note_new(HISTORY_RESTORE, c);
	note->ms = monotonic() - w->restore_since;
	note->text = g_steal_pointer(&w->restore_why);
	history_note(chronicle->history, note);
	w->restore_since = 0;
}

static void
follow_restore(struct chronicle *chronicle, const struct childhurd *c, struct watched *w)
{
	if (c->state == STATE_RESTORING && !w->restore_since) {
		gboolean wake = w->began && !w->ready && !strcmp(w->how, "wake");
		gboolean start = w->began && !w->ready;
		if (start && !wake)
			w->how = "warm";
		w->restore_since = monotonic();
		g_free(w->restore_why);
		w->restore_why = g_strdup(wake ? "wake" : start ? "start" : c->why);
	} else if (c->state != STATE_RESTORING && w->restore_since) {
		if (c->state == STATE_READY || c->state == STATE_DRAINING)
			note_restore(chronicle, c, w);
		w->restore_since = 0;
	}
}

/* --- a look --- */

static void
look(struct chronicle *chronicle, const struct childhurd *c, struct watched *w)
{
	gboolean ready = c->state == STATE_READY || c->state == STATE_DRAINING;
	if (c->state == STATE_STARTING && (w->state != STATE_STARTING || !w->began))
		begin_boot(chronicle, c, w);
	if (c->qemu == QEMU_RUNNING)
		w->ran = TRUE;
	if (c->state == STATE_BOOTING && w->began && !w->ready) /* also one that was asleep */
		w->how = "cold";
	follow_restore(chronicle, c, w);
	follow_phase(w, w->began && !w->ready ? phase_of(c) : -1);
	gboolean goes_on = c->state == STATE_RESTORING || c->state == STATE_BOOTING;
	if (w->began && w->ran && (!w->known || (goes_on && !w->ready && w->state != c->state)))
		note_boot(chronicle, c, w);
	if (ready && (!w->known || (w->state != STATE_READY && w->state != STATE_DRAINING)))
		become_ready(chronicle, c, w);
	if (has_ended(c) && (w->began || w->ran || !w->known)) {
		if (w->known)
			end_boot(chronicle, c, w);
		else
			note_unseen_end(chronicle, c);
	}
}

void
chronicle_look(struct chronicle *chronicle, struct childhurd *c, gint64 number)
{
	if (!chronicle->begun || !history_is_on(chronicle->history))
		return;
	struct watched *w = watched_of(chronicle, c->config->name);
	gboolean wanted = c->want_up && !c->drained;
	gboolean news = !w->known || w->state != c->state || w->wanted != wanted ||
			w->taken_over != c->taken_over;
	look(chronicle, c, w);
	if (news)
		note_state(chronicle, c, number);
	w->known = TRUE;
	w->state = c->state;
	w->wanted = wanted;
	w->taken_over = c->taken_over;
	if (c->state != STATE_STOPPING && c->state != STATE_BACKOFF && c->state != STATE_FAILED)
		w->lived = c->state;
}

void
chronicle_failed(struct chronicle *chronicle, struct childhurd *c, const char *picture)
{
	if (c->verdict == VERDICT_GIVEN_UP) /* noted when it was given up */
		return;
	struct history_note *note = note_new(HISTORY_FAILURE, c);
	note->state = g_strdup(state_name(watched_of(chronicle, c->config->name)->lived));
	note->reason = g_strdup(failure_name(c->reason));
	note->text = g_strdup(c->why);
	note->picture = g_strdup(picture);
	history_note(chronicle->history, note);
}

void
chronicle_event(struct chronicle *chronicle, const struct control_event *event)
{
	if (!event->number)
		return;
	struct history_note *note = history_note_new(HISTORY_EVENT, event->guest, event->time);
	note->number = event->number;
	note->state = g_strdup(event->state && event->taken_over ? STATE_TAKEN_OVER : event->state);
	note->text = g_strdup(event->text);
	history_note(chronicle->history, note);
}

void
chronicle_gone(struct chronicle *chronicle, const char *guest)
{
	history_note(chronicle->history, history_note_new(HISTORY_GONE, guest, now()));
	g_hash_table_remove(chronicle->guests, guest);
}

static void
look_at_all(struct chronicle *chronicle)
{
	struct childhurd *c;
	for (guint i = 0; (c = roster_guest(chronicle->roster, i)); i++) {
		watched_of(chronicle, c->config->name)->known = FALSE;
		chronicle_look(chronicle, c, 0);
	}
	chronicle->again |= history_is_on(chronicle->history);
}

/* --- builds --- */

static gboolean
can_have_builds(enum state state)
{
	return state == STATE_READY || state == STATE_DRAINING || state == STATE_UNRESPONSIVE;
}

static void
note_builds(struct chronicle *chronicle, const struct childhurd *c, struct watched *w,
	    guint64 slots, int others)
{
	if (w->builds_known && slots == w->slots && others == w->others)
		return;
	struct history_note *note = note_new(HISTORY_BUILDS, c);
	note->slots = w->slots = slots;
	note->others = w->others = others;
	w->builds_known = TRUE;
	history_note(chronicle->history, note);
}

static void
look_at_builds(struct chronicle *chronicle, const struct childhurd *c, gboolean sessions)
{
	struct watched *w = watched_of(chronicle, c->config->name);
	struct use_look seen = {0};
	if (!c->config->offloading || !can_have_builds(c->state)) {
		w->others_before = 0;
		if (!childhurd_has_qemu(c) || w->builds_known)
			note_builds(chronicle, c, w, 0, 0);
		return;
	}
	if (!world_see_builds(world_of(c), sessions, &seen))
		return;
	int others = w->others;
	if (sessions) {
		others = MIN(seen.others, w->others_before);
		w->others_before = seen.others;
	}
	note_builds(chronicle, c, w, seen.slots, others);
}

static void
on_builds(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct chronicle *chronicle = watcher->data;
	gboolean sessions = ev_now(loop) - chronicle->sessions_at >= CHRONICLE_SESSIONS;
	const struct childhurd *c;
	if (!history_is_on(chronicle->history))
		return;
	if (sessions)
		chronicle->sessions_at = ev_now(loop);
	for (guint i = 0; (c = roster_guest(chronicle->roster, i)); i++)
		look_at_builds(chronicle, c, sessions);
}

/* --- probes and loads --- */

void
chronicle_probed(struct chronicle *chronicle, const struct childhurd *c, double seconds)
{
	if (!history_is_on(chronicle->history))
		return;
	struct watched *w = watched_of(chronicle, c->config->name);
	w->probes += seconds * 1000;
	w->n_probes++;
}

/* The share of a core that QEMU had since the last call; NAN: unknown. */
static double
share_of_core(struct watched *w, pid_t pid)
{
	struct process_look used;
	double share = NAN;
	gint64 at = monotonic();
	if (!pid || !process_look(pid, &used)) {
		w->pid = 0;
		return NAN;
	}
	if (w->pid == pid && at > w->cpu_at)
		share = (double)(used.cpu - w->cpu) / (double)(at - w->cpu_at);
	w->pid = pid;
	w->cpu = used.cpu;
	w->cpu_at = at;
	return share;
}

static double
known(gint64 bytes)
{
	return bytes < 0 ? NAN : (double)bytes;
}

static void
note_sample(struct chronicle *chronicle, const struct childhurd *c)
{
	struct watched *w = watched_of(chronicle, c->config->name);
	const struct world *world = world_of(c);
	const struct health_report *health = world_health(world);
	gint64 began = w->sampled;
	w->sampled = c->qemu == QEMU_RUNNING ? now() : 0;
	if (!w->sampled || !began || began >= w->sampled)
		return;
	struct history_note *note = note_new(HISTORY_SAMPLE, c);
	gboolean probed = health && w->n_probes;
	note->began = began;
	note->sample = (struct history_sample){
	    .probe_ms = w->n_probes ? w->probes / w->n_probes : NAN,
	    .load = probed ? health->load : NAN,
	    .disk_free = probed ? known(health->disk_free) : NAN,
	    .store_free = probed ? known(health->store_free) : NAN,
	    .memory = (double)world_memory(world),
	    .cpu = share_of_core(w, world_qemu(world)->pid),
	};
	history_note(chronicle->history, note);
	w->probes = 0;
	w->n_probes = 0;
}

static void
on_sample(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct chronicle *chronicle = watcher->data;
	const struct childhurd *c;
	if (!history_is_on(chronicle->history))
		return;
	for (guint i = 0; (c = roster_guest(chronicle->roster, i)); i++)
		note_sample(chronicle, c);
}

static void
note_beat(struct chronicle *chronicle)
{
	history_note(chronicle->history, history_note_new(HISTORY_BEAT, NULL, now()));
}

static void
on_beat(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	note_beat(watcher->data);
}

/* --- the whole --- */

/* A new file, or one that was not written for a while. */
static void
on_again(void *data)
{
	struct chronicle *chronicle = data;
	GHashTableIter iter;
	gpointer value;
	g_hash_table_iter_init(&iter, chronicle->guests);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		((struct watched *)value)->builds_known = FALSE;
	if (chronicle->begun)
		look_at_all(chronicle);
}

struct chronicle *
chronicle_new(struct ev_loop *loop, const char *path, gboolean earlier, const struct roster *roster)
{
	struct chronicle *chronicle = g_new0(struct chronicle, 1);
	const struct history_setup setup = {.loop = loop,
					    .path = path,
					    .earlier = earlier,
					    .bytes_max = LEDGER_BYTES_MAX,
					    .picture = guest_folder_collect,
					    .again = on_again,
					    .data = chronicle,
					    .gather = HISTORY_GATHER,
					    .retry = HISTORY_RETRY,
					    .tidy = HISTORY_TIDY};
	chronicle->loop = loop;
	chronicle->roster = roster;
	chronicle->history = history_new(&setup);
	chronicle->guests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, watched_free);
	ev_timer_init(&chronicle->builds, on_builds, CHRONICLE_BUILDS, CHRONICLE_BUILDS);
	ev_timer_init(&chronicle->sample, on_sample, CHRONICLE_SAMPLE, CHRONICLE_SAMPLE);
	ev_timer_init(&chronicle->beat, on_beat, CHRONICLE_BEAT, CHRONICLE_BEAT);
	chronicle->builds.data = chronicle->sample.data = chronicle->beat.data = chronicle;
	return chronicle;
}

static void
stop_timers(struct chronicle *chronicle)
{
	ev_timer_stop(chronicle->loop, &chronicle->builds);
	ev_timer_stop(chronicle->loop, &chronicle->sample);
	ev_timer_stop(chronicle->loop, &chronicle->beat);
}

void
chronicle_free(struct chronicle *chronicle)
{
	if (!chronicle)
		return;
	stop_timers(chronicle);
	note_beat(chronicle);
	history_free(chronicle->history);
	g_hash_table_unref(chronicle->guests);
	g_free(chronicle);
}

struct history *
chronicle_history(const struct chronicle *chronicle)
{
	return chronicle->history;
}

void
chronicle_keep(struct chronicle *chronicle, gint64 ms)
{
	if (!ms)
		g_hash_table_remove_all(chronicle->guests);
	history_keep(chronicle->history, ms);
}

void
chronicle_begin(struct chronicle *chronicle)
{
	chronicle->begun = TRUE;
	look_at_all(chronicle);
	ev_timer_start(chronicle->loop, &chronicle->builds);
	ev_timer_start(chronicle->loop, &chronicle->sample);
	ev_timer_start(chronicle->loop, &chronicle->beat);
}
