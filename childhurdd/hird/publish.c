/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What coordinators see is written when a guest's state changes; clients hear of it afterwards. */
#include "childhurdd/hird/hird_internal.h"
#include "childhurdd/hird/publisher.h"
#include "childhurdd/system/notify.h"

#define PUBLISH_RETRY 5.0 /* s until a publication that failed is tried again */

/* Log an error of something that is tried again and again only if it is new. told: the last error;
 * error NULL: there is none. */
static void
tell_once(char **told, const GError *error)
{
	if (error && g_strcmp0(*told, error->message))
		g_warning("%s", error->message);
	g_free(*told);
	*told = error ? g_strdup(error->message) : NULL;
}

static void
tell_init(struct hird *h)
{
	guint ready = 0;
	for (guint i = 0; i < h->roster.worlds->len; i++)
		ready +=
		    world_childhurd(g_ptr_array_index(h->roster.worlds, i))->state == STATE_READY;
	g_autofree char *text =
	    g_strdup_printf("STATUS=%u of %u ready", ready, h->roster.worlds->len);
	notify_send(text);
}

void
hird_renew(struct hird *h)
{
	g_autoptr(GError) error = NULL;
	if (!h->control || control_renew(h->control, &error))
		hypervisor_renew(h->host.hypervisor, &error);
	tell_once(&h->unrenewed, error);
}

/* A call that waits for the publication of this number. */
struct follow_up {
	guint64 number;
	void (*fn)(struct hird *h, void *data);
	GDestroyNotify destroy;
	void *data;
};

static void
follow_up_free(void *data)
{
	struct follow_up *follow_up = data;
	if (follow_up->destroy)
		follow_up->destroy(follow_up->data);
	g_free(follow_up);
}

static void
follow_up(struct hird *h)
{
	struct follow_up *next;
	while ((next = g_queue_peek_head(&h->after)) &&
	       next->number <= publisher_ended(h->publisher)) {
		g_queue_pop_head(&h->after);
		next->fn(h, next->data);
		follow_up_free(next);
	}
}

void
hird_after_publishing(struct hird *h, void (*fn)(struct hird *h, void *data),
		      GDestroyNotify destroy, void *data)
{
	struct follow_up *next = g_new(struct follow_up, 1);
	gboolean first = g_queue_is_empty(&h->after);
	*next = (struct follow_up){publisher_asked(h->publisher), fn, destroy, data};
	g_queue_push_tail(&h->after, next);
	if (first) /* else the call before it leads here */
		follow_up(h);
}

static void
on_published(gboolean made, const GError *error, void *data)
{
	struct hird *h = data;
	if (error) {
		ev_timer_stop(h->host.loop, &h->publish_again);
		ev_timer_set(&h->publish_again, PUBLISH_RETRY, 0);
		ev_timer_start(h->host.loop, &h->publish_again);
	}
	tell_once(&h->unpublished, error);
	if (made) {
		g_warning("%s was gone and has been created again",
			  h->host.config->runtime_directory);
		hird_renew(h);
	}
	follow_up(h);
	if (h->control && !publisher_busy(h->publisher)) /* clients see the new state now */
		control_event(h->control, &(struct control_event){0});
}

void
hird_publish(struct hird *h)
{
	ev_timer_stop(h->host.loop, &h->publish_again);
	if (!nodes_known(h->nodes))
		return; /* the list would lack what it had; nodes_prepare calls again */
	publisher_update(h->publisher, h->roster.worlds, h->nodes);
	tell_init(h);
}

static void
on_publish_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	hird_publish(w->data);
}

static void
on_missing(void *data)
{
	hird_publish(data);
}

/* The runtime directory may be deleted while the daemon runs. systemd deletes an ordinary user's at
 * the user's last logout, unless lingering is enabled. */
void
publish_look(struct hird *h)
{
	if (!h->listed || h->unpublished)
		return; /* nothing is published yet, or on_publish_again will do it */
	publisher_look(h->publisher, on_missing);
	hird_renew(h);
}

void
publish_init(struct hird *h)
{
	h->publisher = publisher_new(&h->host, on_published, h);
	ev_timer_init(&h->publish_again, on_publish_again, 0, 0);
	h->publish_again.data = h;
}

void
publish_settle(struct hird *h)
{
	while (publisher_busy(h->publisher))
		ev_run(h->host.loop, EVRUN_ONCE);
}

void
publish_clear(struct hird *h)
{
	ev_timer_stop(h->host.loop, &h->publish_again);
	g_queue_clear_full(&h->after, follow_up_free);
	publisher_free(h->publisher);
	g_free(h->unpublished);
	g_free(h->unrenewed);
}
