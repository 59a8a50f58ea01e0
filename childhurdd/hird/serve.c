/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hird's functions for the control socket. Guests that are no longer configured are shown until
 * they are gone. */
#include <gio/gio.h>
#include <math.h>
#include <stdio.h>

#include "childhurdd/hird/hird_internal.h"
#include "childhurdd/hird/invite.h"
#include "childhurdd/hird/metrics.h"
#include "childhurdd/hird/publisher.h"
#include "childhurdd/qemu/folder.h"
#include "childhurdd/qemu/screenshot.h"

#define PHOTOS_MAX 8 /* screenshots at a time; each takes a worker that others may need */

static const char *const *
serve_names(void *data)
{
	struct hird *h = data;
	g_ptr_array_set_size(h->names, 0);
	const struct childhurd *c;
	for (guint i = 0; (c = roster_guest(&h->roster, i)); i++)
		g_ptr_array_add(h->names, c->config->name);
	g_ptr_array_add(h->names, NULL);
	return (const char *const *)h->names->pdata;
}

static gboolean
serve_describe(void *data, const char *name, gboolean details, struct control_guest *guest)
{
	struct hird *h = data;
	struct world *r = roster_find_any(&h->roster, name);
	if (!r)
		return FALSE;
	describe(&h->host, r, details, &h->description, guest);
	guest->undecided = !h->listed && world_childhurd(r)->state == STATE_STOPPED;
	return TRUE;
}

static gboolean
serve_command(void *data, const char *name, enum control_verb verb, gboolean now, const char *who,
	      GError **error)
{
	static const struct {
		enum event event, event_now;
		const char *text;
	} verbs[] = {
	    [CONTROL_START] = {EVENT_START, EVENT_START, "started"},
	    [CONTROL_STOP] = {EVENT_STOP, EVENT_STOP_NOW, "stopped"},
	    [CONTROL_RESTART] = {EVENT_RESTART, EVENT_RESTART_NOW, "restarted"},
	    [CONTROL_RESET] = {EVENT_RESET, EVENT_RESET_NOW, "reset"},
	    [CONTROL_RESET_COLD] = {EVENT_RESET_COLD, EVENT_RESET_COLD_NOW, "reset to cold"},
	    [CONTROL_SLEEP] = {EVENT_SLEEP, EVENT_SLEEP, "put to sleep"},
	    [CONTROL_DRAIN] = {EVENT_DRAIN, EVENT_DRAIN, "drained"},
	    [CONTROL_UNDRAIN] = {EVENT_UNDRAIN, EVENT_UNDRAIN, "undrained"},
	};
	struct hird *h = data;
	struct world *r = roster_find_any(&h->roster, name);
	if (!r || !h->listed) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED,
			    "the hypervisor does not answer yet; see the daemon's log");
		return FALSE;
	}
	if (verb != CONTROL_STOP && r != roster_find(&h->roster, name)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
			    "it is no longer configured, and can only be stopped");
		return FALSE;
	}
	g_autofree char *why = g_strdup_printf("%s by %s", verbs[verb].text, who);
	childhurd_event(world_childhurd(r), now ? verbs[verb].event_now : verbs[verb].event, why);
	world_record(r);
	return TRUE;
}

static const struct published_guest *
serve_machines(void *data, gsize *n)
{
	struct hird *h = data;
	g_clear_pointer(&h->machines, g_array_unref);
	h->machines = publisher_guests(&h->host, h->roster.worlds);
	nodes_append(h->nodes, h->machines, NULL);
	*n = h->machines->len;
	return (const struct published_guest *)h->machines->data;
}

static const struct control_node *
serve_nodes(void *data, gsize *n)
{
	struct hird *h = data;
	const GPtrArray *all = nodes_all(h->nodes);
	g_clear_pointer(&h->node_list, g_array_unref);
	h->node_list = g_array_sized_new(FALSE, TRUE, sizeof(struct control_node), all->len);
	for (guint i = 0; i < all->len; i++) {
		const struct node *node = g_ptr_array_index(all, i);
		const struct offers *offers = node->offers;
		gboolean up = node->state == NODE_CONNECTED;
		const struct control_node shown = {
		    .name = node->name,
		    .ssh = node->ssh,
		    .address = node->address,
		    .state = node_state_name(node),
		    .since = node->since,
		    .up = up,
		    .ready = offers && node->state != NODE_LOST ? (int)offers->ready : 0,
		    .guests = offers ? offers->present : -1,
		    .builds = up && offers ? offers->builds : -1,
		    .version = offers ? offers->version : NULL,
		    .skew = up ? node->skew : NAN,
		    .why = node->why,
		};
		g_array_append_val(h->node_list, shown);
	}
	*n = h->node_list->len;
	return (const struct control_node *)h->node_list->data;
}

/* A command waits for these records to be written. */
struct keeping {
	guint left; /* not reported yet */
	char *name; /* the first guest whose record is not written; NULL: none */
	GString *why;
	void (*done)(const char *name, const char *why, void *done_data);
	void *done_data;
};

struct kept_record {
	struct keeping *keeping;
	char *name;
};

/* One report has come. After the last one, call done. */
static void
keeping_tell(struct keeping *keeping)
{
	if (--keeping->left)
		return;
	keeping->done(keeping->name, keeping->name ? keeping->why->str : NULL, keeping->done_data);
	g_free(keeping->name);
	g_string_free(keeping->why, TRUE);
	g_free(keeping);
}

static void
on_record(const char *why, void *data)
{
	struct kept_record *record = data;
	struct keeping *keeping = record->keeping;
	if (why && keeping->name)
		g_string_append_printf(keeping->why, "; %s: %s", record->name, why);
	else if (why) {
		keeping->name = g_strdup(record->name);
		g_string_assign(keeping->why, why);
	}
	g_free(record->name);
	g_free(record);
	keeping_tell(keeping);
}

static void
on_list_written(struct hird *h, void *data)
{
	keeping_tell(data);
}

/* Wait for the guests' records, and for the list of machines. */
static void
serve_kept(void *data, const char *const *names,
	   void (*done)(const char *name, const char *why, void *done_data), void *done_data)
{
	struct hird *h = data;
	struct keeping *keeping = g_new(struct keeping, 1);
	*keeping = (struct keeping){
	    .left = 1, .why = g_string_new(NULL), .done = done, .done_data = done_data};
	for (; *names; names++) {
		const struct world *r = roster_find_any(&h->roster, *names);
		if (!r)
			continue;
		struct kept_record *record = g_new(struct kept_record, 1);
		*record = (struct kept_record){keeping, g_strdup(*names)};
		keeping->left++;
		writer_wait(h->host.writer, world_record_file(r), on_record, record);
	}
	hird_after_publishing(h, on_list_written, NULL, keeping);
}

char **
hird_unwritten(void *data)
{
	const struct hird *h = data;
	g_auto(GStrv) files = writer_all_whys(h->host.writer);
	const char *const others[] = {h->unpublished, h->unrenewed,
				      metrics_file_complaint(h->metrics_file),
				      history_complaint(chronicle_history(h->chronicle))};
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_strv_builder_addv(builder, (const char **)files);
	for (gsize i = 0; i < G_N_ELEMENTS(others); i++)
		if (others[i])
			g_strv_builder_add(builder, others[i]);
	return g_strv_builder_end(builder);
}

static void
serve_reload(void *data, gboolean dry, hird_reload_fn done, void *done_data)
{
	(dry ? hird_foresee : hird_reload)(data, done, done_data);
}

struct photo {
	struct hird *hird;
	guint number; /* of its bit in hird->photos */
	char *path;
	void (*done)(GBytes *png, const GError *error, void *done_data);
	void *done_data;
};

static void
on_photo(const struct hypervisor_result *result, void *data)
{
	struct photo *photo = data;
	photo->hird->photos &= ~(1u << photo->number);
	g_autoptr(GError) error = result->error ? g_error_copy(result->error) : NULL;
	g_autoptr(GBytes) png = NULL;
	if (!error && result->text && *result->text)
		g_set_error(&error, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR, "screendump: %s",
			    result->text);
	else if (!error)
		png = guest_folder_collect(photo->path, &error);
	remove(photo->path);
	photo->done(png, error, photo->done_data);
	g_free(photo->path);
	g_free(photo);
}

static void
serve_screenshot(void *data, const char *name,
		 void (*done)(GBytes *png, const GError *error, void *done_data), void *done_data)
{
	struct hird *h = data;
	const struct world *r =
	    roster_find_any(&h->roster, name); /* the caller has checked that it exists */
	g_autoptr(GError) busy = NULL;
	guint number = 0;
	while (h->photos & 1u << number)
		number++;
	if (number >= PHOTOS_MAX) {
		g_set_error(&busy, HYPERVISOR_ERROR, HYPERVISOR_ERROR_MONITOR,
			    "%d screenshots are under way, and none has finished; try again later",
			    PHOTOS_MAX);
		done(NULL, busy, done_data);
		return;
	}
	h->photos |= 1u << number;
	struct photo *photo = g_new0(struct photo, 1);
	photo->hird = h;
	photo->number = number;
	/* a file that a killed daemon left behind is overwritten some day */
	g_autofree char *file = g_strdup_printf("screen-%u.png", number);
	photo->path = g_build_filename(h->host.config->state_directory, name, file, NULL);
	photo->done = done;
	photo->done_data = done_data;
	screenshot_take(h->host.hypervisor, world_qemu(r), photo->path, h->host.qemu_user, on_photo,
			photo);
}

char *
hird_metrics(void *data)
{
	struct hird *h = data;
	g_autoptr(GArray) guests = g_array_new(FALSE, TRUE, sizeof(struct control_guest));
	const struct childhurd *c;
	for (guint i = 0; (c = roster_guest(&h->roster, i)); i++) {
		struct control_guest guest;
		/* the next call frees strings; name and state, which the metrics use, stay */
		describe(&h->host, world_of(c), FALSE, &h->description, &guest);
		g_array_append_val(guests, guest);
	}
	g_auto(GStrv) unwritten = hird_unwritten(h);
	gsize n;
	const struct control_node *nodes = serve_nodes(h, &n);
	return metrics_text(h->metrics, (const struct control_guest *)guests->data, guests->len,
			    nodes, n, g_strv_length(unwritten));
}

static void
serve_check(void *data, selfcheck_fn done, void *done_data)
{
	struct hird *h = data;
	selfcheck_ask(h->selfcheck, done, done_data);
}

static int
serve_console(void *data, const char *name, GError **error)
{
	const struct world *r = roster_find_any(&((struct hird *)data)->roster, name);
	if (r)
		return world_console_connect(r, error);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "it is gone");
	return -1;
}

static void
serve_invite(void *data, control_invite_fn done, void *done_data)
{
	const struct hird *h = data;
	invite(&h->host, done, done_data);
}

/* A call that was passed on. */
struct asking {
	control_answer_fn done;
	void *done_data;
};

static void
on_answer(const struct varlink_message *answer, const GError *error, void *data)
{
	struct asking *asking = data;
	asking->done(answer ? answer->parameters : NULL, answer ? answer->error : NULL,
		     error ? error->message : NULL, asking->done_data);
	g_free(asking);
}

static gboolean
serve_ask_node(void *data, const char *name, const char *method, JsonObject *parameters,
	       control_answer_fn done, void *done_data)
{
	struct hird *h = data;
	const struct node *node = nodes_find(h->nodes, name);
	if (!node) {
		json_object_unref(parameters);
		return FALSE;
	}
	struct asking *asking = g_new(struct asking, 1);
	*asking = (struct asking){done, done_data};
	nodes_ask(h->nodes, node, method, parameters, on_answer, asking);
	return TRUE;
}

static gboolean
serve_join(void *data, const char *coordinator)
{
	return holds_join(((struct hird *)data)->holds, coordinator);
}

static void
serve_leave(void *data, const char *coordinator)
{
	holds_leave(((struct hird *)data)->holds, coordinator);
}

static const struct control_hold *
serve_holds(void *data, gsize *n)
{
	struct hird *h = data;
	g_clear_pointer(&h->held, g_array_unref);
	h->held = holds_list(h->holds);
	*n = h->held->len;
	return (const struct control_hold *)h->held->data;
}

static void
serve_report(void *data, const char *coordinator, const char *guest, gint64 number, int builds)
{
	struct hird *h = data;
	if (holds_report(h->holds, coordinator, guest, number, builds))
		ev_feed_event(h->host.loop, &h->tend, EV_TIMER);
}

static gboolean
serve_publishing(void *data)
{
	const struct hird *h = data;
	return publisher_busy(h->publisher);
}

struct control_hird
hird_serve(struct hird *h)
{
	struct control_hird serve = {.data = h,
				     .names = serve_names,
				     .describe = serve_describe,
				     .command = serve_command,
				     .kept = serve_kept,
				     .unwritten = hird_unwritten,
				     .reload = serve_reload,
				     .machines = serve_machines,
				     .nodes = serve_nodes,
				     .screenshot = serve_screenshot,
				     .metrics = hird_metrics,
				     .check = serve_check,
				     .console = serve_console,
				     .ask_node = serve_ask_node,
				     .join = serve_join,
				     .leave = serve_leave,
				     .holds = serve_holds,
				     .report = serve_report,
				     .invite = serve_invite,
				     .publishing = serve_publishing};
	hird_serve_history(&serve);
	return serve;
}
