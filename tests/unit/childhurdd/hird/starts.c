/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When guests are admitted: guests without a world, on a host whose memory is a number. */
#include "tests/unit/childhurdd/guest/childhurd_fake.h"

#define GUESTS 6
#define MIB    (G_GINT64_CONSTANT(1) << 20)

struct host {
	struct starts *starts;
	struct fake guests[GUESTS];
	char names[GUESTS][8];
	gint64 taken[GUESTS]; /* memory that each QEMU uses */
	gint64 memory;	      /* of the host, without that of other programs; -1: cannot be read */
	guint places;
	gint64 look; /* ms until the next look; -1: none was requested */
	int applied;
	const struct fake *hindered; /* this guest must wait for something else */
};

static struct childhurd *
host_guest(void *data, guint i)
{
	struct host *h = data;
	return i < GUESTS ? h->guests[i].c : NULL;
}

static guint
host_places(void *data)
{
	return ((struct host *)data)->places;
}

static void
host_apply(void *data, struct childhurd *c)
{
	((struct host *)data)->applied++;
}

static char *
host_hindrance(void *data, const struct childhurd *c)
{
	struct host *h = data;
	const struct fake *f = c->world;
	return h->hindered == f ? g_strdup("waiting for another") : NULL;
}

static gint64
host_memory_taken(void *data, const struct childhurd *c)
{
	struct host *h = data;
	const struct fake *f = c->world;
	return h->taken[f - h->guests];
}

static gint64
host_memory_free(void *data)
{
	struct host *h = data;
	gint64 free = h->memory;
	for (int i = 0; free >= 0 && i < GUESTS; i++)
		free -= h->taken[i];
	return free;
}

static void
host_look(void *data, gint64 after)
{
	((struct host *)data)->look = after;
}

static const struct starts_ops host_ops = {
    .guest = host_guest,
    .places = host_places,
    .apply = host_apply,
    .memory_free = host_memory_free,
    .hindrance = host_hindrance,
    .memory_taken = host_memory_taken,
    .look = host_look,
};

static void
host_init(struct host *h, guint places, gint64 memory)
{
	*h = (struct host){.places = places, .memory = memory, .look = -1};
	h->starts = starts_new(&host_ops, h);
	for (int i = 0; i < GUESTS; i++) {
		fake_init(&h->guests[i]);
		g_snprintf(h->names[i], sizeof(h->names[i]), "g%d", i);
		h->guests[i].config.name = h->names[i];
		h->guests[i].config.memory_size = 1024 * MIB;
		h->guests[i].starts = h->starts;
	}
}

static void
host_clear(struct host *h)
{
	for (int i = 0; i < GUESTS; i++)
		fake_clear(&h->guests[i]);
	starts_free(h->starts);
}

/* Look until no more look is requested at once, as the loop does. */
static void
settle(struct host *h)
{
	while (h->look == 0) {
		h->look = -1;
		starts_look(h->starts);
	}
}

static void
start(struct host *h, int i)
{
	happen(&h->guests[i], EVENT_START);
}

/* The guest becomes ready; its QEMU uses all of its memory. */
static void
become_ready(struct host *h, int i)
{
	happen(&h->guests[i], EVENT_PREPARED);
	happen(&h->guests[i], EVENT_LAUNCHED);
	h->taken[i] = h->guests[i].config.memory_size;
	happen(&h->guests[i], EVENT_PROBE_OK);
	assert_state(&h->guests[i], STATE_READY);
	settle(h);
}

static void
end(struct host *h, int i)
{
	h->taken[i] = 0;
	happen(&h->guests[i], EVENT_STOP_NOW);
	happen(&h->guests[i], EVENT_DIED);
	assert_state(&h->guests[i], STATE_STOPPED);
	settle(h);
}

#define assert_in(h, i)		 g_assert_true(starts_has_place((h)->starts, (h)->guests[i].c))
#define assert_out(h, i)	 g_assert_false(starts_has_place((h)->starts, (h)->guests[i].c))
#define assert_phase(h, i, text) g_assert_cmpstr((h)->guests[i].c->phase, ==, text)

static void
test_order(void)
{
	struct host h;
	host_init(&h, 2, -1);
	for (int i = GUESTS; i-- > 0;)
		start(&h, i);
	for (int i = 0; i < GUESTS; i++)
		g_assert_cmpint(h.guests[i].prepared, ==, 0); /* never from within */
	settle(&h);
	for (int i = 0; i < GUESTS; i++) {
		assert_in(&h, i);
		g_assert_cmpint(h.guests[i].prepared, ==, 1);
		if (i + 1 < GUESTS)
			assert_in(&h, i + 1);
		if (i + 2 < GUESTS)
			assert_phase(&h, i + 2, CHILDHURD_PHASE_QUEUED);
		become_ready(&h, i);
		assert_out(&h, i);
	}
	g_assert_cmpint(h.applied, ==, GUESTS);
	g_assert_cmpint(h.look, ==, -1); /* no guest waits, so no look is requested */
	host_clear(&h);
}

static void
test_leave(void)
{
	struct host h;
	host_init(&h, 1, -1);
	for (int i = 0; i < 3; i++)
		start(&h, i);
	settle(&h);
	happen(&h.guests[1], EVENT_STOP); /* out of the queue */
	happen(&h.guests[0], EVENT_STOP); /* from its place */
	settle(&h);
	assert_out(&h, 0);
	assert_out(&h, 1);
	assert_in(&h, 2);
	happen(&h.guests[2], EVENT_START_FAILED);
	assert_out(&h, 2); /* a guest in backoff holds no place */
	host_clear(&h);
}

static void
test_hindered(void)
{
	struct host h;
	host_init(&h, 1, -1);
	h.hindered = &h.guests[0];
	start(&h, 0);
	start(&h, 1);
	settle(&h);
	assert_out(&h, 0);
	assert_phase(&h, 0, "waiting for another");
	assert_in(&h, 1); /* g0 holds no place while it waits */
	h.hindered = NULL;
	become_ready(&h, 1);
	assert_in(&h, 0);
	host_clear(&h);
}

static void
test_memory(void)
{
	struct host h;
	host_init(&h, GUESTS, (2 * 1024 + 512) * MIB);
	for (int i = 0; i < 4; i++)
		start(&h, i);
	settle(&h);
	assert_in(&h, 0);
	assert_in(&h, 1); /* no QEMU uses memory yet, but the third guest has to wait */
	assert_out(&h, 2);
	assert_phase(&h, 2,
		     "waiting for memory: needs 1024 MiB, the host has 2560 MiB free "
		     "(256 MiB are reserved for the host, 2048 MiB for guests that have not taken "
		     "theirs yet)");
	assert_phase(&h, 3, "waiting for its turn: g2 is before it and waits for memory");
	g_assert_cmpstr(h.guests[2].log, ==, h.guests[2].c->phase);
	int logged = h.guests[2].logged;

	become_ready(&h, 0); /* it gives up its place, and uses all of its memory */
	become_ready(&h, 1);
	g_assert_cmpint(h.look, ==, STARTS_MEMORY_POLL);
	h.look = 0;
	settle(&h);
	assert_out(&h, 2);
	assert_phase(&h, 2,
		     "waiting for memory: needs 1024 MiB, the host has 512 MiB free "
		     "(256 MiB are reserved for the host)");
	g_assert_cmpint(h.guests[2].logged, ==, logged); /* only once */

	end(&h, 0); /* leads to a look at once */
	assert_in(&h, 2);
	assert_out(&h, 3);
	h.memory += 1024 * MIB; /* another program ended; the next look sees it */
	h.look = 0;
	settle(&h);
	assert_in(&h, 3);
	g_assert_cmpint(h.look, ==, -1);
	host_clear(&h);
}

static void
test_ready_is_owed(void)
{
	struct host h;
	host_init(&h, GUESTS, (1024 + 512) * MIB);
	start(&h, 0);
	settle(&h);
	become_ready(&h, 0);
	h.taken[0] = 100 * MIB; /* it will take the rest with its first build */
	start(&h, 1);
	settle(&h);
	assert_out(&h, 1);
	h.taken[0] = 0; /* unknown for a QEMU that runs: it may use all */
	h.look = 0;
	settle(&h);
	assert_in(&h, 1);
	host_clear(&h);
}

static void
test_first_holds_back(void)
{
	struct host h;
	host_init(&h, GUESTS, 4096 * MIB);
	h.guests[1].config.memory_size = 3072 * MIB;
	h.guests[2].config.memory_size = 256 * MIB;
	start(&h, 0);
	settle(&h);
	become_ready(&h, 0);
	start(&h, 2);
	start(&h, 1);
	settle(&h);
	assert_out(&h, 1);
	assert_out(&h, 2); /* it would fit, but g1 might then wait for ever behind such guests */
	end(&h, 0);
	assert_in(&h, 1);
	assert_in(&h, 2);
	host_clear(&h);
}

static void
test_stop_gives_way(void)
{
	struct host h;
	host_init(&h, GUESTS, 2048 * MIB);
	h.guests[1].config.memory_size = 1536 * MIB;
	h.guests[2].config.memory_size = 256 * MIB;
	for (int i = 0; i < 3; i++)
		start(&h, i);
	settle(&h);
	assert_in(&h, 0);
	assert_out(&h, 2);
	happen(&h.guests[1], EVENT_STOP);
	assert_state(&h.guests[1], STATE_STOPPED);
	settle(&h);
	assert_in(&h, 2);
	host_clear(&h);
}

static void
test_never_fits(void)
{
	struct host h;
	host_init(&h, GUESTS, 2048 * MIB);
	h.guests[0].config.memory_size = 8192 * MIB;
	start(&h, 0);
	start(&h, 1);
	settle(&h);
	assert_out(&h, 0);
	assert_phase(
	    &h, 0,
	    "waiting for memory: needs 8192 MiB, the host has 2048 MiB free "
	    "(256 MiB are reserved for the host); it would not fit even if no other guest ran");
	assert_in(&h, 1); /* g0 can never fit, so it does not hold back others */
	become_ready(&h, 1);
	g_assert_cmpint(h.look, ==, STARTS_MEMORY_POLL);
	h.memory = 16384 * MIB;
	h.look = 0;
	settle(&h);
	assert_in(&h, 0);
	host_clear(&h);
}

static void
test_unknown(void)
{
	struct host h;
	host_init(&h, GUESTS, -1);
	for (int i = 0; i < GUESTS; i++)
		start(&h, i);
	settle(&h);
	for (int i = 0; i < GUESTS; i++)
		assert_in(&h, i);
	host_clear(&h);
}

static void
test_meminfo(void)
{
	g_assert_cmpint(starts_memory_parse("MemTotal:       16314912 kB\n"
					    "MemFree:          301124 kB\n"
					    "MemAvailable:    9031244 kB\n"
					    "Buffers:          512320 kB\n"),
			==, G_GINT64_CONSTANT(9031244) * 1024);
	g_assert_cmpint(starts_memory_parse(""), ==, -1);
	g_assert_cmpint(starts_memory_parse("MemAvailable: lots\n"), ==, -1);
	g_assert_cmpint(starts_memory_parse("MemAvailable: -5 kB\n"), ==, -1);
	g_assert_cmpint(starts_memory_host(), >, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/starts/in-the-order-of-the-configuration-so-many-at-a-time", test_order);
	g_test_add_func("/starts/who-leaves-makes-room", test_leave);
	g_test_add_func("/starts/who-waits-for-another-takes-nobodys-place", test_hindered);
	g_test_add_func("/starts/memory-is-counted-before-it-is-taken", test_memory);
	g_test_add_func("/starts/a-ready-guest-is-owed-its-memory-too", test_ready_is_owed);
	g_test_add_func("/starts/the-first-that-does-not-fit-holds-the-others-back",
			test_first_holds_back);
	g_test_add_func("/starts/who-is-stopped-holds-nobody-back", test_stop_gives_way);
	g_test_add_func("/starts/who-can-never-fit-waits-aside", test_never_fits);
	g_test_add_func("/starts/unknown-memory-holds-nobody-back", test_unknown);
	g_test_add_func("/starts/meminfo-is-read", test_meminfo);
	return g_test_run();
}
