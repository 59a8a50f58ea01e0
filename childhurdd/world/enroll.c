/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * At first the host's secrets port leads to an unused port of the guest (ssh/reach.h explains why),
 * then to the secret service. It is closed at the hello: the connection stays, and no other client
 * gets one. While the forward is changed, the port is free for a moment, and any user of this host
 * can bind it. So the secrets are sent only if the other end is a socket of QEMU's.
 */
#include "childhurdd/world/enroll.h"

#include <string.h>

#include "childhurdd/qemu/domain.h"
#include "childhurdd/qemu/ports.h"
#include "ssh/reach.h"
#include "ssh/secrets/service.h"

struct enroll {
	struct ev_loop *loop;
	struct hypervisor *hypervisor;
	const struct config_guest *guest;
	struct hypervisor_qemu qemu;
	GBytes *message;
	gboolean complained; /* for the error that the port cannot be opened */
	gboolean open;	     /* the secrets port leads to the secret service */
	gboolean finished;   /* nothing more to do */
	enroll_fn report;
	void *data;
	struct hypervisor_call *call;
	struct reach *reach;
	struct secret_delivery *delivery;
	ev_timer timer; /* the next attempt, or the limit of reach */
};

static void attempt(struct enroll *e);

/* --- the forward --- */

static void monitor(struct enroll *e, hypervisor_fn done, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void
monitor(struct enroll *e, hypervisor_fn done, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	g_autofree char *command = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	hypervisor_forget(e->call);
	e->call = hypervisor_monitor(e->hypervisor, &e->qemu, command, done, e);
}

static void
forward_remove(struct enroll *e, hypervisor_fn done)
{
	monitor(e, done, "hostfwd_remove " DOMAIN_NETDEV " tcp:" SECRETS_ADDRESS ":%d",
		e->guest->secrets_port);
}

static void
forward_add(struct enroll *e, int guest_port, hypervisor_fn done)
{
	monitor(e, done, "hostfwd_add " DOMAIN_NETDEV " tcp:" SECRETS_ADDRESS ":%d-:%d",
		e->guest->secrets_port, guest_port);
}

/* QEMU's reply is empty if a forward was added; FALSE: it was not, and that was reported. */
static gboolean
forward_added(struct enroll *e, const struct hypervisor_result *result)
{
	if (!result->error && (!result->text || !*g_strstrip((char *)result->text)))
		return TRUE;
	g_autoptr(GError) taken = NULL;
	port_is_free(SECRETS_ADDRESS, e->guest->secrets_port, &taken);
	const char *why = taken		  ? taken->message
			  : result->error ? result->error->message
					  : result->text;
	g_autofree char *text = g_strdup_printf("its secrets port cannot be opened: %s", why);
	if (!e->complained)
		g_warning("%s: %s", e->guest->name, text);
	e->complained = TRUE;
	e->report(EVENT_START_FAILED, text, e->data);
	return FALSE;
}

static void
enrolled(const struct hypervisor_result *result, void *data)
{
	struct enroll *e = data;
	e->call = NULL;
	e->finished = TRUE;
	e->report(EVENT_ENROLLED,
		  e->message ? "the guest took its secrets" : "the guest's network answers",
		  e->data);
}

/* --- the secrets --- */

static void
forward_closed(const struct hypervisor_result *result, void *data)
{
	struct enroll *e = data;
	e->call = NULL;
}

static gboolean
on_hello(struct secret_delivery *delivery, int fd, void *data)
{
	struct enroll *e = data;
	if (!port_peer_is(fd, e->qemu.pid)) {
		g_warning("%s: somebody else than its QEMU listens at its secrets port %d and "
			  "says what a guest says: an attack, or two programs with one port",
			  e->guest->name, e->guest->secrets_port);
		e->open = FALSE;
		return FALSE;
	}
	e->open = FALSE;
	forward_remove(e, forward_closed);
	e->report(EVENT_GREETED, "the guest asks for its secrets", e->data);
	return TRUE;
}

static void
retry_after(struct enroll *e, gint64 ms)
{
	ev_timer_stop(e->loop, &e->timer);
	ev_timer_set(&e->timer, (double)ms / 1000, 0);
	ev_timer_start(e->loop, &e->timer);
}

static void
on_delivered(struct secret_delivery *delivery, const GError *error, void *data)
{
	struct enroll *e = data;
	g_autofree char *message = error ? g_strdup(error->message) : NULL;
	gboolean absent = g_error_matches(error, SECRET_SERVICE_ERROR, SECRET_SERVICE_ERROR_ABSENT);
	secret_delivery_free(delivery);
	e->delivery = NULL;
	if (!error) {
		forward_remove(
		    e, enrolled); /* already done at the hello, unless the monitor was slow */
	} else if (absent) {
		retry_after(e, ENROLL_RETRY);
	} else {
		retry_after(e, ENROLL_RETRY_ODD);
		e->report(EVENT_START_FAILED, message, e->data);
	}
}

static void
attempt(struct enroll *e)
{
	static const struct secret_service_limits limits = SECRET_SERVICE_LIMITS_DEFAULT;
	e->delivery = secret_delivery_new(e->loop, SECRETS_ADDRESS, e->guest->secrets_port,
					  e->message, &limits, on_hello, on_delivered, e);
}

/* --- the network --- */

static void
forward_ready(const struct hypervisor_result *result, void *data)
{
	struct enroll *e = data;
	e->call = NULL;
	e->open = forward_added(e, result);
	if (e->open)
		attempt(e);
	else
		retry_after(e, ENROLL_RETRY_ODD);
}

static void
forward_moved(const struct hypervisor_result *result, void *data)
{
	struct enroll *e = data;
	e->call = NULL;
	forward_add(e, SECRETS_GUEST_PORT, forward_ready);
}

static void
network_answers(struct enroll *e)
{
	ev_timer_stop(e->loop, &e->timer);
	reach_free(e->reach);
	e->reach = NULL;
	forward_remove(e, e->message ? forward_moved : enrolled);
}

static void
on_reach(struct reach *reach, void *data)
{
	network_answers(data);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct enroll *e = w->data;
	if (e->reach)
		network_answers(e); /* perhaps: the guest may drop packets for unused ports */
	else if (!e->open)
		forward_remove(e, forward_moved); /* the forward may still exist */
	else if (!e->delivery)
		attempt(e);
}

static void
start_reaching(struct enroll *e)
{
	e->reach = reach_new(e->loop, SECRETS_ADDRESS, e->guest->secrets_port, on_reach, e);
	retry_after(e, ENROLL_REACH_LIMIT);
}

static void
sentinel_added(const struct hypervisor_result *result, void *data)
{
	struct enroll *e = data;
	e->call = NULL;
	forward_added(e, result);
	start_reaching(e);
}

static void
unknown_removed(const struct hypervisor_result *result, void *data)
{
	struct enroll *e = data;
	e->call = NULL;
	forward_add(e, REACH_UNUSED_PORT, sentinel_added);
}

/* An earlier version had the forward at the guest's listen-address. */
static void
earlier_removed(const struct hypervisor_result *result, void *data)
{
	struct enroll *e = data;
	e->call = NULL;
	forward_remove(e, unknown_removed);
}

static void
remove_unknown(struct enroll *e)
{
	if (strcmp(e->guest->listen_address, SECRETS_ADDRESS))
		monitor(e, earlier_removed, "hostfwd_remove " DOMAIN_NETDEV " tcp:%s:%d",
			e->guest->listen_address, e->guest->secrets_port);
	else
		forward_remove(e, unknown_removed);
}

struct enroll *
enroll_new(struct ev_loop *loop, struct hypervisor *hypervisor, const struct config_guest *guest,
	   const struct hypervisor_qemu *qemu, GBytes *message, gboolean forwarded,
	   enroll_fn report, void *data)
{
	struct enroll *e = g_new0(struct enroll, 1);
	e->loop = loop;
	e->hypervisor = hypervisor;
	e->guest = config_guest_ref(guest);
	e->qemu = *qemu;
	e->message = message ? g_bytes_ref(message) : NULL;
	e->report = report;
	e->data = data;
	ev_timer_init(&e->timer, on_timer, 0, 0);
	e->timer.data = e;
	if (forwarded)
		start_reaching(e);
	else
		remove_unknown(e);
	return e;
}

void
enroll_finish(struct enroll *e)
{
	if (!e || e->finished)
		return;
	e->finished = TRUE;
	ev_timer_stop(e->loop, &e->timer);
	g_clear_pointer(&e->reach, reach_free);
	g_clear_pointer(&e->delivery, secret_delivery_free);
	forward_remove(e, enrolled);
}

void
enroll_free(struct enroll *e)
{
	if (!e)
		return;
	ev_timer_stop(e->loop, &e->timer);
	hypervisor_forget(e->call);
	reach_free(e->reach);
	secret_delivery_free(e->delivery);
	if (e->message)
		g_bytes_unref(e->message);
	config_guest_unref(e->guest);
	g_free(e);
}
