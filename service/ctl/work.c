/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verbs that change what guests do, and wait. Each guest is a call of its own, so that the
 * others go on if one is refused.
 */
#include "service/ctl/ctl.h"
#include "service/states.h"

#include <signal.h>
#include <string.h>

/* What the guests of names do now. */
static struct varlink_message *
list(struct ctl *ctl, const GPtrArray *names, GError **error)
{
	return ctl_call(ctl, "org.childhurd.List",
			ctl_names((const char *const *)names->pdata, names->len), error);
}

/* Whether name (NULL: none) is among names; at: where. */
static gboolean
find(GPtrArray *names, const char *name, guint *at)
{
	return name && g_ptr_array_find_with_equal_func(names, name, g_str_equal, at);
}

/* --- waiting --- */

struct waiting {
	struct ctl *ctl;
	const char *state;
	GPtrArray *names; /* the guests that may still reach the state */
	gboolean working; /* a command was given that leads to it */
	struct ctl_progress *progress;
	GHashTable *reached; /* name -> s that it took, of those that are in the state */
	gint64 began;	     /* monotonic µs */
	int status;
};

/* s since the command was given. */
static double
seconds_passed(const struct waiting *w)
{
	return (double)(g_get_monotonic_time() - w->began) / G_USEC_PER_SEC;
}

static JsonObject *
wait_parameters(const struct waiting *w)
{
	JsonObject *parameters = ctl_names((const char *const *)w->names->pdata, w->names->len);
	double passed = seconds_passed(w);
	json_object_set_string_member(parameters, "state", w->state);
	/* 0 would mean no limit. */
	if (w->ctl->timeout > 0)
		json_object_set_double_member(parameters, "timeout",
					      MAX(w->ctl->timeout - passed, 0.001));
	return parameters;
}

/* Note which guests have come into the state, and which have left it again. */
static void
note_reached(const struct waiting *w, GPtrArray *guests)
{
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		const char *name = ctl_text(guest, "name");
		gboolean there = !g_strcmp0(ctl_text(guest, "state"), w->state) ||
				 !g_strcmp0(ctl_state_word(guest), w->state);
		if (!name)
			continue;
		if (!there)
			g_hash_table_remove(w->reached, name);
		else if (!g_hash_table_contains(w->reached, name)) {
			double passed = seconds_passed(w);
			g_hash_table_insert(w->reached, g_strdup(name),
					    g_memdup2(&passed, sizeof passed));
		}
	}
}

/* Print the last line about a guest, with the time that itself took. */
static void
say_end(const struct waiting *w, const char *name, const char *verb)
{
	const double *own = g_hash_table_lookup(w->reached, name);
	g_autofree char *passed = ctl_duration(own ? *own : seconds_passed(w));
	g_autofree char *state = ctl_coloured(w->state, w->state);
	printf("%s %s %s (%s)\n", name, verb, state, passed);
}

static void
say_late(const struct waiting *w, GPtrArray *guests)
{
	g_autofree char *passed = w->ctl->timeout < 1
				      ? g_strdup_printf("%.0fms", w->ctl->timeout * 1000)
				      : ctl_duration(w->ctl->timeout);
	ctl_progress_hide(w->progress);
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		const char *phase = ctl_text(guest, "phase"), *why = ctl_text(guest, "why");
		const char *text = phase && *phase ? phase : why;
		if (!g_strcmp0(ctl_text(guest, "state"), w->state))
			continue;
		ctl_complain(
		    g_error_new(CTL_ERROR, CTL_TIMED_OUT, "%s: not %s within %s, but %s%s%s",
				ctl_text(guest, "name"), w->state, passed, ctl_text(guest, "state"),
				text ? ": " : "", text ? text : ""));
	}
}

/* Is this where a start, restart or reset of a drained guest ends: up, and without builds? */
static gboolean
is_up_and_drained(const struct waiting *w, const struct varlink_message *reply)
{
	return w->working && w->ctl->verb->run != ctl_undrain && !strcmp(w->state, "ready") &&
	       ctl_is_error(reply, "WaitFailed") &&
	       !g_strcmp0(ctl_text(reply->parameters, "state"), "draining");
}

/* Report the guest that will not reach the state, and remove it from the names. FALSE: reply names
 * none of them. */
static gboolean
give_up_one(struct waiting *w, const struct varlink_message *reply)
{
	const char *name = ctl_text(reply->parameters, "name");
	guint at;
	if (!find(w->names, name, &at))
		return FALSE;
	GError *error = NULL;
	const char *why = ctl_text(reply->parameters, "why");
	const char *state = ctl_text(reply->parameters, "state");
	ctl_progress_hide(w->progress);
	ctl_progress_drop(w->progress, name);
	if (is_up_and_drained(w, reply)) {
		g_autofree char *passed = ctl_duration(seconds_passed(w));
		printf("%s is up and %s (%s); childhurdctl undrain %s gives it builds\n", name,
		       STATE_DRAINED, passed, name);
		g_ptr_array_remove_index(w->names, at);
		return TRUE;
	}
	if (ctl_is_error(reply, "WaitFailed") && why && g_str_has_prefix(why, STATE_DRAINED ";"))
		g_set_error(&error, CTL_ERROR, CTL_FAILED, "%s: is %s", name, why);
	else if (ctl_is_error(reply, "WaitFailed"))
		g_set_error(&error, CTL_ERROR, CTL_FAILED, "%s: is %s and not going to be %s%s%s",
			    name, state ? state : "?", w->state, why && *why ? ": " : "",
			    why ? why : "");
	else
		ctl_refused(reply, &error);
	w->status = ctl_complain(error);
	g_ptr_array_remove_index(w->names, at);
	return TRUE;
}

/* Has the guest gone another way than the command was to lead it? Then somebody else has given
 * another one, and it may never get there. */
static gboolean
is_astray(const struct waiting *w, JsonObject *guest)
{
	const char *state = ctl_text(guest, "state");
	if (!w->working || !strcmp(w->state, "ready"))
		return FALSE;
	return !g_strcmp0(state, "ready") ||
	       (!g_strcmp0(state, "failed") && strcmp(w->state, "drained") != 0);
}

/* Report guests that are astray, and remove them from the names. FALSE: there are none. */
static gboolean
give_up_astray(struct waiting *w, GPtrArray *guests)
{
	gboolean any = FALSE;
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		const char *name = ctl_text(guest, "name"), *why = ctl_text(guest, "why");
		guint at;
		if (!is_astray(w, guest) || !find(w->names, name, &at))
			continue;
		any = TRUE;
		ctl_progress_hide(w->progress);
		ctl_progress_drop(w->progress, name);
		w->status = ctl_complain(g_error_new(
		    CTL_ERROR, CTL_FAILED, "%s: is not going to be %s, but %s now%s%s", name,
		    w->state, ctl_text(guest, "state"), why && *why ? ": " : "", why ? why : ""));
		g_ptr_array_remove_index(w->names, at);
	}
	return any;
}

/* The next reply. Until it comes, the time on the terminal is redrawn, and at once if the window
 * gets another size. */
static struct varlink_message *
next_reply(struct waiting *w, GError **error)
{
	for (;;) {
		GError *why = NULL;
		struct varlink_message *reply = ctl_receive(w->ctl, 0, &why);
		if (reply || why->code != CTL_TIMED_OUT) {
			if (why)
				g_propagate_error(error, why);
			return reply;
		}
		g_clear_error(&why);
		struct pollfd ready = {.fd = w->ctl->fd, .events = POLLIN};
		ctl_terminal_wait(&ready, 1, ctl_is_terminal() ? CTL_TICK : -1);
		if (!ctl_terminal_ended())
			ctl_progress_tick(w->progress);
	}
}

/* One call of Wait, to its end. TRUE: done, or error. FALSE: call again with the names that are
 * left. */
static gboolean
wait_once(struct waiting *w, GError **error)
{
	if (!ctl_send(w->ctl, "org.childhurd.Wait", wait_parameters(w), TRUE, error))
		return TRUE;
	for (;;) {
		ctl_auto_message reply = next_reply(w, error);
		if (!reply)
			return TRUE;
		if (ctl_is_error(reply, "WaitFailed") || ctl_is_error(reply, "NoSuchGuest"))
			if (give_up_one(w, reply))
				return FALSE;
		g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
		if (ctl_is_error(reply, "TimedOut")) {
			say_late(w, guests);
			w->status = CTL_TIMED_OUT;
			return TRUE;
		}
		if (ctl_refused(reply, error))
			return TRUE;
		if (reply->continues && give_up_astray(w, guests)) {
			ctl_disconnect(w->ctl); /* this Wait is still under way */
			return FALSE;
		}
		note_reached(w, guests);
		ctl_progress_show(w->progress, guests);
		if (reply->continues)
			continue;
		ctl_progress_hide(w->progress);
		for (guint i = 0; i < w->names->len; i++)
			say_end(w, g_ptr_array_index(w->names, i), "is");
		return TRUE;
	}
}

/* Wait until the guests of names are in state; removes those that will not be. began: monotonic µs.
 * Returns the exit status. */
static int
wait_for(struct ctl *ctl, GPtrArray *names, const char *state, gint64 began, GError **error)
{
	struct waiting w = {.ctl = ctl,
			    .working = ctl->verb->run != ctl_wait,
			    .state = state,
			    .names = names,
			    .progress = ctl_progress_new(state),
			    .reached =
				g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
			    .began = began};
	GError *why = NULL;
	while (names->len && !wait_once(&w, &why))
		;
	int status = why ? CTL_FAILED : w.status;
	ctl_progress_free(w.progress);
	g_hash_table_unref(w.reached);
	if (ctl_terminal_ended() && ctl_terminal_ended() != SIGINT)
		ctl_terminal_end();
	if (why && why->code == CTL_INTERRUPTED) {
		g_autoptr(GString) again = g_string_new(ctl->all ? " --all" : NULL);
		for (guint i = 0; i < names->len && !ctl->all; i++)
			g_string_append_printf(again, " %s", (char *)g_ptr_array_index(names, i));
		g_clear_error(&why);
		g_set_error(error, CTL_ERROR, CTL_INTERRUPTED,
			    "stopped waiting; the daemon goes on with it, and childhurdctl wait%s "
			    "--for %s waits again",
			    again->str, state);
	} else if (why)
		g_propagate_error(error, why);
	return status;
}

/* Is the guest one of the arguments, by its own name? */
static gboolean
is_named(const struct ctl *ctl, const char *name)
{
	return g_strv_contains((const char *const *)ctl->arguments, name);
}

/* Of guests that nobody has named, those that nobody wants up are not waited for: the stopped ones,
 * and those that are asleep. */
static gboolean
leave_out_unwanted(struct ctl *ctl, GPtrArray *names, GError **error)
{
	if (!names->len)
		return TRUE;
	ctl_auto_message reply = list(ctl, names, error);
	if (!reply)
		return FALSE;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		const char *name = ctl_text(guest, "name"), *state = ctl_text(guest, "state");
		gboolean stopped = !g_strcmp0(state, "stopped") && !ctl_flag(guest, "undecided");
		guint at;
		if ((!stopped && g_strcmp0(state, "asleep")) || is_named(ctl, name) ||
		    !find(names, name, &at))
			continue;
		printf("%s is %s, and is not waited for\n", name, state);
		g_ptr_array_remove_index(names, at);
	}
	fflush(stdout);
	return TRUE;
}

int
ctl_wait(struct ctl *ctl, GError **error)
{
	int status = CTL_DONE;
	const char *state = ctl->state ? ctl->state : "ready";
	gint64 began = g_get_monotonic_time();
	gint64 until =
	    ctl->timeout > 0 ? began + (gint64)(MIN(ctl->timeout, 1e9) * G_USEC_PER_SEC) : -1;
	if (ctl_choice("--for", state, states_awaited, error) < 0)
		return CTL_USAGE;
	if (!ctl_await_daemon(ctl, until, error))
		return CTL_NO_DAEMON;
	g_autoptr(GPtrArray) names = ctl_expand(ctl, &status, error);
	if (!names || (!strcmp(state, "ready") && !leave_out_unwanted(ctl, names, error)))
		return CTL_FAILED;
	int waited = wait_for(ctl, names, state, began, error);
	if (!waited && !status && names->len && !strcmp(state, "ready"))
		ctl_hint(ctl, "ssh", "ssh", g_ptr_array_index(names, 0));
	return waited ? waited : status;
}

/* --- the work --- */

/* Print what the guests do now, a line each. */
static int
say_now(struct ctl *ctl, GPtrArray *names, GError **error)
{
	ctl_auto_message reply = list(ctl, names, error);
	if (!reply)
		return CTL_FAILED;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		g_autofree char *name = ctl_clean(ctl_text(guest, "name"), TRUE);
		g_autofree char *state = ctl_clean(ctl_state_word(guest), TRUE);
		g_autofree char *shown = ctl_coloured(state, state);
		g_autofree char *why = ctl_clean(ctl_text(guest, "why"), TRUE);
		g_autofree char *phase = ctl_clean(ctl_text(guest, "phase"), TRUE);
		printf("%s: %s%s%s%s%s\n", name, shown, *why ? ": " : "", why, *phase ? "; " : "",
		       phase);
	}
	return CTL_DONE;
}

/* Call method for each of names. A guest that is refused is reported and removed; what was done and
 * is not kept is only reported. FALSE: the daemon is gone. */
static gboolean
ask_each(struct ctl *ctl, const char *method, GPtrArray *names, int *status, GError **error)
{
	for (guint i = 0; i < names->len;) {
		const char *name = g_ptr_array_index(names, i);
		JsonObject *parameters = ctl_names(&name, 1);
		GError *why = NULL;
		if (ctl->now)
			json_object_set_boolean_member(parameters, "now", TRUE);
		if (ctl->cold)
			json_object_set_boolean_member(parameters, "cold", TRUE);
		ctl_auto_message reply = ctl_send(ctl, method, parameters, FALSE, &why)
					     ? ctl_receive(ctl, CTL_REPLY_LIMIT, &why)
					     : NULL;
		if (reply && !ctl_refused(reply, &why)) {
			i++;
			continue;
		}
		if (why->code == CTL_NO_DAEMON || why->code == CTL_TIMED_OUT) {
			g_propagate_error(error, why);
			return FALSE;
		}
		if (!strstr(why->message, name))
			g_prefix_error(&why, "%s: ", name);
		*status = ctl_complain(why);
		if (reply && ctl_is_error(reply, "NotKept"))
			i++;
		else
			g_ptr_array_remove_index(names, i);
	}
	return TRUE;
}

/* A guest that does not run stays so when its disk is discarded or when it may have builds again,
 * so there is nothing to wait for. done: "reset". */
static gboolean
drop_stopped(struct ctl *ctl, GPtrArray *names, const char *done, GError **error)
{
	ctl_auto_message reply = list(ctl, names, error);
	if (!reply)
		return FALSE;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++) {
		const char *name = ctl_text(g_ptr_array_index(guests, i), "name");
		guint at;
		const char *state = ctl_text(g_ptr_array_index(guests, i), "state");
		if ((g_strcmp0(state, "stopped") && g_strcmp0(state, "asleep") &&
		     g_strcmp0(state, "failed")) ||
		    !find(names, name, &at))
			continue;
		printf("%s is %s and stays %s\n", name, done, state);
		g_ptr_array_remove_index(names, at);
	}
	return TRUE;
}

/* Before what is on a persistent disk is lost, ask whoever sits at the terminal. A script is not
 * asked. FALSE: the answer is no, or error. */
static gboolean
may_reset(struct ctl *ctl, GPtrArray *names, GError **error)
{
	if (ctl->yes || !names->len || !ctl_hears_answers())
		return TRUE;
	ctl_auto_message reply = list(ctl, names, error);
	if (!reply)
		return FALSE;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	g_autoptr(GString) question = g_string_new(NULL);
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		g_autofree char *name = ctl_clean(ctl_text(guest, "name"), TRUE);
		if (ctl_flag(guest, "persistent"))
			g_string_append_printf(question, "%s%s", question->len ? ", " : "", name);
	}
	if (!question->len)
		return TRUE;
	g_string_prepend(question, "This deletes the persistent disk, and all that is on it, of ");
	g_string_append_c(question, '.');
	if (ctl_confirm(question->str))
		return TRUE;
	g_set_error(error, CTL_ERROR, CTL_FAILED, "nothing was reset");
	return FALSE;
}

static int
work(struct ctl *ctl, const char *method, const char *goal, GError **error)
{
	int status = CTL_DONE;
	g_autoptr(GPtrArray) names = ctl_expand(ctl, &status, error);
	if (!names || (ctl->verb->run == ctl_reset && !may_reset(ctl, names, error)))
		return CTL_FAILED;
	if (!names->len && !status)
		puts(ctl->autostart ? "no guest is configured with autostart = yes"
				    : "no guest is configured");
	if (!ask_each(ctl, method, names, &status, error))
		return CTL_FAILED;
	const char *done = ctl->verb->run == ctl_reset	   ? "reset"
			   : ctl->verb->run == ctl_undrain ? "undrained"
							   : NULL;
	if (names->len && ctl->wait && done && !drop_stopped(ctl, names, done, error))
		return CTL_FAILED;
	if (!names->len)
		return status;
	int later = ctl->wait ? wait_for(ctl, names, goal, g_get_monotonic_time(), error)
			      : say_now(ctl, names, error);
	gboolean up = ctl->verb->run == ctl_start || ctl->verb->run == ctl_restart;
	if (!later && !status && ctl->wait && names->len && up)
		ctl_hint(ctl, "ssh", "ssh", g_ptr_array_index(names, 0));
	return later ? later : status;
}

/* With --autostart, those with autostart = asleep that are stopped sleep from now on. */
static int
put_to_sleep(struct ctl *ctl, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	int status = CTL_DONE;
	ctl_auto_message reply = ctl_call(ctl, "org.childhurd.List", ctl_names(NULL, 0), error);
	if (!reply)
		return CTL_FAILED;
	g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		if (ctl_flag(guest, "autostart_asleep") &&
		    !g_strcmp0(ctl_text(guest, "state"), "stopped"))
			g_ptr_array_add(names, g_strdup(ctl_text(guest, "name")));
	}
	if (!ask_each(ctl, "org.childhurd.Sleep", names, &status, error) ||
	    (names->len && say_now(ctl, names, error)))
		return CTL_FAILED;
	return status;
}

int
ctl_start(struct ctl *ctl, GError **error)
{
	int slept = ctl->autostart ? put_to_sleep(ctl, error) : CTL_DONE;
	if (error && *error)
		return slept;
	int started = work(ctl, "org.childhurd.Start", "ready", error);
	return started ? started : slept;
}

int
ctl_stop(struct ctl *ctl, GError **error)
{
	return work(ctl, "org.childhurd.Stop", "stopped", error);
}

int
ctl_restart(struct ctl *ctl, GError **error)
{
	return work(ctl, "org.childhurd.Restart", "ready", error);
}

int
ctl_reset(struct ctl *ctl, GError **error)
{
	return work(ctl, "org.childhurd.Reset", "ready", error);
}

int
ctl_sleep(struct ctl *ctl, GError **error)
{
	return work(ctl, "org.childhurd.Sleep", "asleep", error);
}

int
ctl_drain(struct ctl *ctl, GError **error)
{
	return work(ctl, "org.childhurd.Drain", "drained", error);
}

int
ctl_undrain(struct ctl *ctl, GError **error)
{
	return work(ctl, "org.childhurd.Undrain", "ready", error);
}
