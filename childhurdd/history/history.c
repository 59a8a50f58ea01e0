/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A thread with the file, a queue to it, and an ev_async back to the loop for what has changed. The
 * queue, and what both ends read, are behind one lock; the thread works without it.
 */
#include "childhurdd/history/history.h"

struct history {
	struct history_setup setup;
	char *path;
	ev_async wake;
	/* the loop's */
	gboolean on;
	char *complaint; /* as history_complaint */
	guint told_lost; /* dropped notes that were reported */
	gatomicrefcount references;
	GThread *thread; /* NULL: not started yet */
	/* behind the lock */
	GMutex lock;
	GCond news;	    /* for the thread */
	GPtrArray *waiting; /* of struct history_note */
	gint64 keep;	    /* µs; 0: nothing */
	gboolean urgent;    /* what waits is not gathered */
	gboolean ending, ended;
	char *why;	 /* why it cannot be written; NULL: it can */
	char *news_text; /* to be logged: a damaged file was put aside; NULL: nothing */
	gboolean again;	 /* the present states are to be noted again */
	guint lost;	 /* notes that were dropped */
	guint generation;
	gboolean suspect, missed; /* missed: notes were dropped since the last write */
	gint64 since;		  /* monotonic µs: the thread is at work; 0: it is not */
	gint64 begun;		  /* when the file begins, wall clock µs; 0: unknown */
	enum ledger_before before;
	/* the thread's */
	struct ledger *ledger;	    /* NULL: not open */
	GHashTable *seen;	    /* of the ledger before, for the next one; NULL: none */
	enum ledger_before instead; /* of a file: what there was, if the next one is new */
	gint64 kept;		    /* keep, at this turn */
	gint64 tidied;		    /* monotonic µs */
};

/* --- the thread: the file --- */

/* Has the thread been at work for longer than a disk should take? Holds the lock. */
static gboolean
is_slow(const struct history *history)
{
	return history->since &&
	       g_get_monotonic_time() - history->since > HISTORY_SLOW * G_GINT64_CONSTANT(1000);
}

/* Note the result of a turn, and wake the loop if there is something new. Holds the lock. */
static void
report(struct history *history, const char *why)
{
	gboolean slow = is_slow(history);
	gboolean news =
	    slow || history->again || history->news_text || g_strcmp0(history->why, why) != 0;
	history->since = 0;
	g_free(history->why);
	history->why = g_strdup(why);
	if (news)
		ev_async_send(history->setup.loop, &history->wake);
}

static void
close_file(struct history *history)
{
	if (!history->ledger)
		return;
	g_clear_pointer(&history->seen, g_hash_table_unref);
	history->seen = ledger_seen(history->ledger);
	g_clear_pointer(&history->ledger, ledger_close);
}

/* A new file lacks the guests' present states, and readers have the old one open. */
static void
begun_anew(struct history *history)
{
	g_clear_pointer(&history->seen, g_hash_table_unref);
	g_mutex_lock(&history->lock);
	history->generation++;
	history->again = TRUE;
	g_mutex_unlock(&history->lock);
}

static gboolean
put_aside(struct history *history, const GError *damage, GError **error)
{
	close_file(history);
	if (!ledger_put_aside(history->path, error))
		return FALSE;
	history->instead = LEDGER_BEFORE_DAMAGED;
	begun_anew(history);
	g_mutex_lock(&history->lock);
	g_free(history->news_text);
	history->news_text =
	    g_strdup_printf("%s; the damaged history is now %s.damaged, and a new one begins",
			    damage->message, history->path);
	g_mutex_unlock(&history->lock);
	return TRUE;
}

/* Note when the file began, if it is new, and have the loop know. */
static gboolean
look_at_beginning(struct history *history, GError **error)
{
	gint64 begun;
	enum ledger_before before;
	if (!ledger_begin(history->ledger, g_get_real_time(), history->instead, error) ||
	    !ledger_beginning(history->ledger, &begun, &before, error))
		return FALSE;
	history->instead = LEDGER_BEFORE_GONE;
	g_mutex_lock(&history->lock);
	history->begun = begun;
	history->before = before;
	g_mutex_unlock(&history->lock);
	return TRUE;
}

/* Open it, if need be; a damaged one is put aside, once. */
static gboolean
open_file(struct history *history, GError **error)
{
	g_autoptr(GError) damage = NULL;
	if (history->ledger && ledger_moved(history->ledger)) {
		close_file(history);
		begun_anew(history);
	}
	if (history->ledger)
		return TRUE;
	history->ledger = ledger_open(history->path, history->setup.bytes_max, &damage);
	if (!history->ledger && g_error_matches(damage, LEDGER_ERROR, LEDGER_ERROR_DAMAGED) &&
	    put_aside(history, damage, error)) {
		g_clear_error(&damage);
		history->ledger = ledger_open(history->path, history->setup.bytes_max, &damage);
	}
	if (history->ledger && !look_at_beginning(history, &damage))
		g_clear_pointer(&history->ledger, ledger_close);
	if (!history->ledger && damage && !(error && *error))
		g_propagate_error(error, g_steal_pointer(&damage));
	if (history->ledger && history->seen)
		ledger_go_on(history->ledger, history->seen);
	return history->ledger != NULL;
}

/* A failed write has left the file as it was. What helps, at once? FALSE: nothing. */
static gboolean
helped(struct history *history, GError **error)
{
	g_autoptr(GError) why = g_steal_pointer(error);
	if (g_error_matches(why, LEDGER_ERROR, LEDGER_ERROR_DAMAGED))
		return put_aside(history, why, error) && open_file(history, error);
	if (g_error_matches(why, LEDGER_ERROR, LEDGER_ERROR_FULL))
		return ledger_tidy(history->ledger, g_get_real_time(), history->kept, error);
	g_propagate_error(error, g_steal_pointer(&why));
	return FALSE;
}

static gboolean
write_notes(struct history *history, const GPtrArray *notes, GError **error)
{
	guint refused = 0;
	if (!open_file(history, error))
		return FALSE;
	gboolean good =
	    ledger_write(history->ledger, notes, history->setup.picture, &refused, error) ||
	    (helped(history, error) &&
	     ledger_write(history->ledger, notes, history->setup.picture, &refused, error));
	if (!good) /* the next try opens it anew */
		close_file(history);
	if (good && refused) {
		g_mutex_lock(&history->lock);
		history->lost += refused;
		g_mutex_unlock(&history->lock);
	}
	return good;
}

static gboolean
tidy(struct history *history, gint64 keep, GError **error)
{
	gint64 now = g_get_monotonic_time();
	if (history->tidied && now - history->tidied < history->setup.tidy * 1000)
		return TRUE;
	history->tidied = now;
	return ledger_tidy(history->ledger, g_get_real_time(), keep, error) ||
	       helped(history, error);
}

/* --- the thread: its queue --- */

/* Take the notes; NULL: none, and it is time to look at the file, or the end. Holds the lock. */
static GPtrArray *
take(struct history *history)
{
	GPtrArray *notes = history->waiting;
	history->waiting = g_ptr_array_new_with_free_func(history_note_free);
	history->urgent = FALSE;
	return notes;
}

/* Put back what could not be written, before what came since; of that, the last is dropped if it
 * is too much now. Holds the lock. */
static void
put_back(struct history *history, GPtrArray *notes)
{
	g_ptr_array_extend_and_steal(notes, history->waiting);
	history->waiting = notes;
	if (notes->len <= HISTORY_WAITING_MAX)
		return;
	history->lost += notes->len - HISTORY_WAITING_MAX;
	history->missed = TRUE;
	g_ptr_array_set_size(notes, HISTORY_WAITING_MAX);
}

/* Wait for something to do. Holds the lock. */
static void
wait_for_work(struct history *history)
{
	while (!history->ending && !history->suspect && (!history->waiting->len || !history->keep))
		g_cond_wait(&history->news, &history->lock);
}

/* Wait so long (ms) unless there is something urgent, or the end. Holds the lock. */
static void
rest(struct history *history, gint64 ms, gboolean whatever)
{
	gint64 until = g_get_monotonic_time() + ms * 1000;
	while (!history->ending && (whatever || !history->urgent) &&
	       g_cond_wait_until(&history->news, &history->lock, until))
		;
}

/* One turn. FALSE: it has failed; the notes are back in the queue. Holds the lock, but not while it
 * works. */
static gboolean
turn(struct history *history)
{
	g_autoptr(GError) error = NULL;
	gint64 keep = history->keep;
	gboolean suspect = history->suspect;
	GPtrArray *notes = take(history);
	history->suspect = FALSE;
	history->since = g_get_monotonic_time();
	history->kept = keep;
	g_mutex_unlock(&history->lock);
	if (suspect || !keep) /* it is looked over when it is opened */
		close_file(history);
	if (!keep) /* what happens from here on is not noted */
		g_clear_pointer(&history->seen, g_hash_table_unref);
	gboolean written = !keep || write_notes(history, notes, &error);
	gboolean good = written && (!keep || tidy(history, keep, &error));
	g_mutex_lock(&history->lock);
	if (!written && history->keep)
		put_back(history, notes);
	else
		g_ptr_array_unref(notes);
	history->again |= good && history->missed;
	history->missed &= !good;
	report(history, good ? NULL : error ? error->message : "it cannot be written");
	return good;
}

static void
history_unref(struct history *history)
{
	if (!g_atomic_ref_count_dec(&history->references))
		return;
	g_ptr_array_unref(history->waiting);
	g_free(history->why);
	g_free(history->news_text);
	g_free(history->path);
	g_mutex_clear(&history->lock);
	g_cond_clear(&history->news);
	g_free(history);
}

static void *
work(void *data)
{
	struct history *history = data;
	g_mutex_lock(&history->lock);
	while (!history->ending) {
		wait_for_work(history);
		if (history->ending)
			break;
		gboolean good = turn(history);
		rest(history, good ? history->setup.gather : history->setup.retry, !good);
	}
	if (history->waiting->len && history->keep)
		turn(history);
	g_mutex_unlock(&history->lock);
	close_file(history);
	g_clear_pointer(&history->seen, g_hash_table_unref);
	g_mutex_lock(&history->lock);
	history->ended = TRUE;
	g_cond_broadcast(&history->news);
	g_mutex_unlock(&history->lock);
	history_unref(history);
	return NULL;
}

/* --- the loop --- */

static void
tell(struct history *history, const char *why, const char *news, guint lost)
{
	if (news)
		g_warning("%s", news);
	if (why && g_strcmp0(why, history->complaint))
		g_warning("%s; the history lacks what happens, until it can be written", why);
	else if (!why && history->complaint && lost != history->told_lost)
		g_message("%s: is written again; it lacks %u note%s", history->path,
			  lost - history->told_lost, lost - history->told_lost == 1 ? "" : "s");
	else if (!why && history->complaint)
		g_message("%s: is written again", history->path);
	if (!why)
		history->told_lost = lost;
	g_free(history->complaint);
	history->complaint = g_strdup(why);
}

static void
on_wake(struct ev_loop *loop, ev_async *watcher, int revents)
{
	struct history *history = watcher->data;
	g_mutex_lock(&history->lock);
	g_autofree char *why = history->keep ? g_strdup(history->why) : NULL;
	g_autofree char *news = g_steal_pointer(&history->news_text);
	gboolean again = history->again;
	guint lost = history->lost;
	history->again = FALSE;
	g_mutex_unlock(&history->lock);
	tell(history, why, news, lost);
	if (again && history->on && history->setup.again)
		history->setup.again(history->setup.data);
}

struct history *
history_new(const struct history_setup *setup)
{
	struct history *history = g_new0(struct history, 1);
	history->setup = *setup;
	history->path = g_strdup(setup->path);
	history->setup.path = history->path;
	history->instead = setup->earlier ? LEDGER_BEFORE_GONE : LEDGER_BEFORE_NOTHING;
	g_mutex_init(&history->lock);
	g_cond_init(&history->news);
	g_atomic_ref_count_init(&history->references);
	history->waiting = g_ptr_array_new_with_free_func(history_note_free);
	ev_async_init(&history->wake, on_wake);
	history->wake.data = history;
	ev_async_start(setup->loop, &history->wake);
	return history;
}

static void
start_thread(struct history *history)
{
	g_autoptr(GError) error = NULL;
	if (history->thread)
		return;
	g_atomic_ref_count_inc(&history->references);
	history->thread = g_thread_try_new("history", work, history, &error);
	if (!history->thread) {
		g_atomic_ref_count_dec(&history->references);
		g_warning("%s: %s; the history is tried again at the next reload", history->path,
			  error->message);
	}
}

void
history_keep(struct history *history, gint64 ms)
{
	gboolean was = history->on;
	if (ms)
		start_thread(history);
	history->on = ms && history->thread;
	g_mutex_lock(&history->lock);
	history->keep = history->on ? ms * 1000 : 0;
	history->suspect |= was && !history->on; /* the thread closes it */
	history->again |= history->on && !was;
	g_cond_broadcast(&history->news);
	g_mutex_unlock(&history->lock);
	if (history->on != was)
		ev_async_send(history->setup.loop, &history->wake);
}

void
history_free(struct history *history)
{
	if (!history)
		return;
	gint64 until = g_get_monotonic_time() + HISTORY_END_LIMIT * 1000;
	gboolean good = TRUE;
	g_mutex_lock(&history->lock);
	history->ending = TRUE;
	g_cond_broadcast(&history->news);
	while (history->thread && !history->ended && good)
		good = g_cond_wait_until(&history->news, &history->lock, until);
	g_mutex_unlock(&history->lock);
	if (history->thread && good)
		g_thread_join(history->thread);
	else if (history->thread)
		g_thread_unref(history->thread);
	if (!good) {
		/* the thread may still use the loop's end, which goes on until the process ends */
		g_warning("%s: no answer from its file system; what happened last is not kept",
			  history->path);
		return;
	}
	ev_async_stop(history->setup.loop, &history->wake);
	g_free(history->complaint);
	history_unref(history);
}

void
history_hold(struct history *history)
{
	g_atomic_ref_count_inc(&history->references);
}

gboolean
history_is_on(const struct history *history)
{
	return history->on;
}

void
history_note(struct history *history, struct history_note *note)
{
	if (!history->on) {
		history_note_free(note);
		return;
	}
	g_mutex_lock(&history->lock);
	if (history->waiting->len >= HISTORY_WAITING_MAX) {
		history->lost++;
		history->missed = TRUE;
		history_note_free(note);
	} else {
		history->urgent |= note->kind == HISTORY_FAILURE;
		g_ptr_array_add(history->waiting, note);
		g_cond_signal(&history->news);
	}
	g_mutex_unlock(&history->lock);
}

const char *
history_complaint(struct history *history)
{
	g_mutex_lock(&history->lock);
	gboolean slow = is_slow(history);
	g_mutex_unlock(&history->lock);
	if (slow && !history->complaint)
		history->complaint = g_strdup_printf(
		    "%s: is not written yet: no answer from its file system", history->path);
	return history->on ? history->complaint : NULL;
}

char *
history_beginning(struct history *history, gint64 *begun)
{
	g_mutex_lock(&history->lock);
	gboolean short_one = history->keep && history->begun > g_get_real_time() - history->keep;
	enum ledger_before before = short_one ? history->before : LEDGER_BEFORE_NOTHING;
	*begun = history->begun;
	g_mutex_unlock(&history->lock);
	switch (before) {
	case LEDGER_BEFORE_DAMAGED:
		return g_strdup_printf("the one before was damaged, and is now %s.damaged",
				       history->path);
	case LEDGER_BEFORE_GONE:
		return g_strdup_printf("%s was not there", history->path);
	default:
		return NULL;
	}
}

void
history_suspect(struct history *history)
{
	g_mutex_lock(&history->lock);
	history->suspect = TRUE;
	g_cond_signal(&history->news);
	g_mutex_unlock(&history->lock);
}

const char *
history_path(const struct history *history)
{
	return history->path;
}

guint
history_generation(struct history *history)
{
	g_mutex_lock(&history->lock);
	guint generation = history->generation;
	g_mutex_unlock(&history->lock);
	return generation;
}
