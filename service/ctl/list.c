/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * childhurdctl list: which guests, in which order, and how they are shown. The daemon only picks
 * them by name. States and order are a matter of what is shown, so daemons of all versions, and
 * those of nodes, do as well.
 */
#include "service/ctl/ctl.h"
#include "service/states.h"

#include <string.h>

const char *const ctl_formats[] = {"wide", "name", "json", NULL};

/* --- which guests, in which order --- */

static int
compare_names(JsonObject *a, JsonObject *b)
{
	const char *one = ctl_text(a, "name"), *other = ctl_text(b, "name");
	return strverscmp(one ? one : "", other ? other : "");
}

static int
compare_states(JsonObject *a, JsonObject *b)
{
	return ctl_state_place(a) - ctl_state_place(b);
}

/* The larger number first. */
static int
compare_numbers(JsonObject *a, JsonObject *b, const char *member)
{
	double one = ctl_number(a, member, -1), other = ctl_number(b, member, -1);
	return (one < other) - (one > other);
}

static int
compare_since(JsonObject *a, JsonObject *b)
{
	return compare_numbers(a, b, "since");
}

static int
compare_builds(JsonObject *a, JsonObject *b)
{
	return compare_numbers(a, b, "builds");
}

static int
compare_memory(JsonObject *a, JsonObject *b)
{
	return compare_numbers(a, b, "memory");
}

static int
compare_restarts(JsonObject *a, JsonObject *b)
{
	return compare_numbers(a, b, "restarts");
}

/* In the order of the words. */
const char *const ctl_sort_keys[] = {"name",   "state",	   "since", "builds",
				     "memory", "restarts", NULL};
static const struct {
	int (*compare)(JsonObject *a, JsonObject *b);
	enum ctl_column column;
} orders[] = {{compare_names, CTL_COLUMN_NAME},	   {compare_states, CTL_COLUMN_STATE},
	      {compare_since, CTL_COLUMN_SINCE},   {compare_builds, CTL_COLUMN_BUILD},
	      {compare_memory, CTL_COLUMN_MEMORY}, {compare_restarts, CTL_COLUMN_RESTARTS}};

static int
compare_guests(const void *a, const void *b, void *order)
{
	return orders[*(const gsize *)order].compare(*(JsonObject *const *)a,
						     *(JsonObject *const *)b);
}

/* Whether guest is in one of the states, by its name or by the word that is shown for it. */
static gboolean
is_in(JsonObject *guest, char **states)
{
	const char *state = ctl_text(guest, "state"), *word = ctl_state_word(guest);
	const char *const *all = (const char *const *)states;
	return state && (g_strv_contains(all, state) || g_strv_contains(all, word) ||
			 (ctl_flag(guest, "drained") && g_strv_contains(all, STATE_DRAINED)));
}

/* Leave those guests that are in one of the states (NULL: all), and sort them by the order of that
 * number (less than 0: they stay as they are). */
static void
choose(GPtrArray *guests, char **states, int order)
{
	for (guint i = 0; states && i < guests->len;) {
		if (is_in(g_ptr_array_index(guests, i), states))
			i++;
		else
			g_ptr_array_remove_index(guests, i);
	}
	gsize number = (gsize)MAX(order, 0);
	if (order >= 0) /* this keeps the order of those that are equal */
		g_ptr_array_sort_with_data(guests, compare_guests, &number);
}

/* --- what is shown --- */

static void
print_table(GPtrArray *guests, enum ctl_column sorted, int terminal)
{
	static const enum ctl_column columns[] = {
	    CTL_COLUMN_NAME,   CTL_COLUMN_STATE,     CTL_COLUMN_SINCE,
	    CTL_COLUMN_PORT,   CTL_COLUMN_PUBLISHED, CTL_COLUMN_BUILD,
	    CTL_COLUMN_MEMORY, CTL_COLUMN_RESTARTS,  CTL_COLUMN_WHY};
	g_autofree struct ctl_row *rows = g_new0(struct ctl_row, guests->len);
	for (guint i = 0; i < guests->len; i++)
		rows[i].guest = g_ptr_array_index(guests, i);
	g_autoptr(GPtrArray) lines =
	    ctl_table_within(columns, G_N_ELEMENTS(columns), rows, guests->len, sorted, terminal);
	for (guint i = 0; i < lines->len; i++)
		puts(g_ptr_array_index(lines, i));
}

/* "2 of 3 ready, 1 build"; NULL: there is no guest. The caller frees. */
static char *
sum_of(GPtrArray *guests)
{
	guint ready = 0;
	double builds = 0;
	for (guint i = 0; i < guests->len; i++) {
		JsonObject *guest = g_ptr_array_index(guests, i);
		ready += !g_strcmp0(ctl_text(guest, "state"), "ready");
		builds += MAX(ctl_number(guest, "builds", 0), 0);
	}
	return guests->len ? g_strdup_printf("%u of %u ready, %.0f build%s", ready, guests->len,
					     builds, builds == 1 ? "" : "s")
			   : NULL;
}

static void
print_names(GPtrArray *guests)
{
	for (guint i = 0; i < guests->len; i++) {
		g_autofree char *name =
		    ctl_clean(ctl_text(g_ptr_array_index(guests, i), "name"), TRUE);
		puts(name);
	}
}

/* No guest is left of those of which sum tells, or there is none at all. */
static void
print_none(const struct ctl *ctl, const char *sum)
{
	g_auto(GStrv) states = ctl->states ? g_strsplit(ctl->states, ",", -1) : NULL;
	g_autofree char *any = states ? g_strjoinv(" or ", states) : NULL;
	if (any && sum)
		printf("no guest is %s; %s\n", any, sum);
	else
		puts("no guest is configured; add a [guest NAME] to childhurd.ini (see "
		     "childhurd.ini(5)) and reload");
}

/* The daemon's reply with these guests, in this order. */
static void
print_json(struct varlink_message *reply, GPtrArray *guests)
{
	JsonArray *array = json_array_sized_new(guests->len);
	for (guint i = 0; i < guests->len; i++)
		json_array_add_object_element(array, json_object_ref(g_ptr_array_index(guests, i)));
	json_object_set_array_member(reply->parameters, "guests", array);
	ctl_print_json(reply);
}

/* order: as choose takes it. sum: of all guests, before some were chosen. It is for people: in a
 * pipe each line after the heading is a guest. */
static void
print(struct ctl *ctl, struct varlink_message *reply, GPtrArray *guests, int order, const char *sum)
{
	if (ctl->json) {
		print_json(reply, guests);
		return;
	}
	gboolean names = !g_strcmp0(ctl->output, "name");
	if (names)
		print_names(guests);
	else if (!guests->len)
		print_none(ctl, sum);
	else
		print_table(guests, orders[MAX(order, 0)].column, ctl->output ? 0 : ctl_width());
	if (!names && guests->len && ctl_is_terminal() && ctl->states)
		printf("\n%u shown; %s\n", guests->len, sum);
	else if (!names && guests->len && ctl_is_terminal())
		printf("\n%s\n", sum);
	ctl_say_unwritten(reply);
}

/* --- the verb --- */

/* The states of --state, NULL without it; the caller frees. FALSE: one does not exist. */
static gboolean
parse_states(const struct ctl *ctl, char ***states, GError **error)
{
	*states = ctl->states ? g_strsplit(ctl->states, ",", -1) : NULL;
	if (*states && !**states) /* an empty text has no parts */
		return ctl_choice("--state", "", states_shown, error) >= 0;
	for (char **state = *states; state && *state; state++)
		if (ctl_choice("--state", g_strstrip(*state), states_shown, error) < 0)
			return FALSE;
	return TRUE;
}

/* The guests of all arguments that stand for one. Of the others each is an error in wrong, which
 * the caller reports. NULL with error: the daemon cannot be asked, or there are no others. */
static struct varlink_message *
ask(struct ctl *ctl, GPtrArray *wrong, int *status, GError **error)
{
	g_autoptr(GPtrArray) good = g_ptr_array_new();
	GError *why = NULL;
	struct varlink_message *reply =
	    ctl_guests(ctl, "org.childhurd.List", (const char *const *)ctl->arguments,
		       ctl->n_arguments, status, &why);
	if (reply)
		return reply;
	if (why->code != CTL_FAILED || ctl->n_arguments < 2) {
		g_propagate_error(error, why);
		return NULL;
	}
	g_clear_error(&why);
	for (guint i = 0; i < ctl->n_arguments; i++) {
		const char *argument = ctl->arguments[i];
		ctl_auto_message one =
		    ctl_guests(ctl, "org.childhurd.List", &argument, 1, status, &why);
		if (one)
			g_ptr_array_add(good, ctl->arguments[i]);
		else if (why->code == CTL_FAILED)
			g_ptr_array_add(wrong, g_steal_pointer(&why));
		else {
			g_propagate_error(error, why);
			return NULL;
		}
	}
	if (!good->len)
		return NULL;
	return ctl_guests(ctl, "org.childhurd.List", (const char *const *)good->pdata, good->len,
			  status, error);
}

/* Whether the options have values that can be, and fit each other. *states, *order: as choose takes
 * them. */
static gboolean
take_options(struct ctl *ctl, char ***states, int *order, GError **error)
{
	*order = ctl->sort ? ctl_choice("--sort", ctl->sort, ctl_sort_keys, error) : -1;
	if ((ctl->sort && *order < 0) ||
	    (ctl->output && ctl_choice("--output", ctl->output, ctl_formats, error) < 0) ||
	    !parse_states(ctl, states, error))
		return FALSE;
	gboolean json = !g_strcmp0(ctl->output, "json");
	if (ctl->json && ctl->output && !json)
		g_set_error(error, CTL_ERROR, CTL_USAGE, "either --json or --output %s, not both",
			    ctl->output);
	ctl->json |= json;
	return !*error;
}

int
ctl_list(struct ctl *ctl, GError **error)
{
	int status = CTL_DONE, order;
	g_auto(GStrv) states = NULL;
	g_autoptr(GPtrArray) wrong = g_ptr_array_new();
	if (!take_options(ctl, &states, &order, error))
		return CTL_USAGE;
	ctl_auto_message reply = ask(ctl, wrong, &status, error);
	if (reply) {
		g_autoptr(GPtrArray) guests = ctl_objects(reply->parameters, "guests");
		g_autofree char *sum = sum_of(guests);
		choose(guests, states, order);
		print(ctl, reply, guests, order, sum);
	}
	for (guint i = 0; i < wrong->len; i++)
		status = ctl_complain(g_ptr_array_index(wrong, i));
	return reply || wrong->len ? status : CTL_FAILED;
}
