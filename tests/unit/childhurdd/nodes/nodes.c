/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All nodes together: what a reload does to them, and what is listed of them. Their links are what
 * the test says; files are real. */
#include "childhurdd/nodes/nodes.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "service/varlink.h"

#define PATIENCE    100. /* s; a test that waits longer has failed */
#define HOST_KEY    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB3xOULSOlAvs5CURBwHiPpxcD3S6o8Wbad0w5Kkz/1d"
#define KEY_OF_Q(q) "(public-key (ecc (curve Ed25519) (q #" q "#)))"
#define SIGNING_KEY KEY_OF_Q("8D156F295D24B0D9A86FA5741A840FF2D24F60F7B6C4134814AD55625971B394")

struct bed {
	struct ev_loop *loop;
	ev_timer patience;
	struct tasks *files;
	struct lane *guix;
	struct writer *writer;
	char *folder, *guix_folder;
	struct config config;
	struct nodes *nodes;
	int connects, published;
	GString *texts;
};

static struct bed *the; /* the operations have only a node, whose data is not the test's */

static gint64
fake_now(const struct node *node)
{
	return g_get_monotonic_time() / 1000;
}

static double
fake_random(const struct node *node)
{
	return 0;
}

static void
fake_alarm(struct node *node, gint64 wait)
{
}

static void
fake_connect(struct node *node)
{
	the->connects++;
}

static void
fake_disconnect(struct node *node)
{
	the->connects--;
}

static gint64
fake_wall(const struct node *node)
{
	return g_get_real_time();
}

static const struct node_ops fake_ops = {.now = fake_now,
					 .wall = fake_wall,
					 .random = fake_random,
					 .alarm = fake_alarm,
					 .connect = fake_connect,
					 .disconnect = fake_disconnect};

static void
on_publish(void *data)
{
	((struct bed *)data)->published++;
}

static void
on_event(void *data, const char *text)
{
	g_string_append_printf(((struct bed *)data)->texts, "%s\n", text);
}

static void
out_of_patience(struct ev_loop *loop, ev_timer *watcher, int events)
{
	g_error("nothing happened for %g s; so far: %s", PATIENCE, the->texts->str);
}

static void
put(const char *folder, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
open_nodes(struct bed *bed)
{
	const struct nodes_setup setup = {.loop = bed->loop,
					  .files = bed->files,
					  .guix = bed->guix,
					  .writer = bed->writer,
					  .state_directory = bed->folder,
					  .ops = &fake_ops,
					  .publish = on_publish,
					  .event = on_event,
					  .data = bed};
	bed->nodes = nodes_new(&setup);
}

static void
begin(struct bed *bed)
{
	*bed = (struct bed){.loop = ev_loop_new(EVFLAG_AUTO),
			    .folder = g_dir_make_tmp("childhurd-nodes-XXXXXX", NULL),
			    .texts = g_string_new(NULL)};
	the = bed;
	bed->files = tasks_new(bed->loop, -1);
	bed->guix = lane_new(bed->files);
	bed->writer = writer_new(bed->loop, NULL);
	bed->guix_folder = g_build_filename(bed->folder, "guix", NULL);
	g_assert_cmpint(g_mkdir(bed->guix_folder, 0755), ==, 0);
	bed->config.nodes = g_ptr_array_new_with_free_func(g_free);
	bed->config.guix_configuration_directory = bed->guix_folder;
	bed->config.guix_state_directory = bed->guix_folder;
	ev_timer_init(&bed->patience, out_of_patience, PATIENCE, 0.);
	ev_timer_start(bed->loop, &bed->patience);
	ev_unref(bed->loop);
	open_nodes(bed);
}

static void
end(struct bed *bed)
{
	nodes_free(bed->nodes);
	g_assert_cmpint(bed->connects, ==, 0); /* no link stays */
	lane_free(bed->guix);
	writer_finish(bed->writer);
	tasks_finish(bed->files);
	ev_loop_destroy(bed->loop);
	g_ptr_array_unref(bed->config.nodes);
	const char *const argv[] = {"rm", "-r", bed->folder, NULL};
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				   NULL, NULL, NULL));
	g_free(bed->folder);
	g_free(bed->guix_folder);
	g_string_free(bed->texts, TRUE);
}

/* Configure the nodes of these names, the first letter being also the host. Returns the messages,
 * which the caller frees. */
static char *
configure(struct bed *bed, gboolean first, const char *names)
{
	g_auto(GStrv) all = g_strsplit(names, " ", -1);
	g_autoptr(GPtrArray) messages = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) foreseen = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_set_size(bed->config.nodes, 0);
	for (char **name = all; *name && **name; name++) {
		struct config_node *node = g_new0(struct config_node, 1);
		*node = (struct config_node){.name = *name,
					     .ssh = *name,
					     .user = (char *)"root",
					     .host = *name,
					     .port = 22,
					     .address = (char *)"192.0.2.1",
					     .lost_after = 1000};
		g_ptr_array_add(bed->config.nodes, node);
	}
	nodes_foresee(bed->nodes, &bed->config, foreseen);
	nodes_configure(bed->nodes, &bed->config, first ? NULL : messages);
	g_ptr_array_set_size(bed->config.nodes, 0); /* it keeps nothing of it */
	g_ptr_array_add(messages, NULL);
	g_ptr_array_add(foreseen, NULL);
	char *said = g_strjoinv("\n", (char **)messages->pdata);
	g_autofree char *would = g_strjoinv("\n", (char **)foreseen->pdata);
	if (!first)
		g_assert_cmpstr(would, ==, said);
	return said;
}

static void
wait_connects(struct bed *bed, int n)
{
	while (bed->connects != n)
		ev_run(bed->loop, EVRUN_ONCE);
}

static struct node *
node(struct bed *bed, const char *name)
{
	for (guint i = 0; i < nodes_all(bed->nodes)->len; i++) {
		struct node *n = g_ptr_array_index(nodes_all(bed->nodes), i);
		if (!strcmp(n->name, name))
			return n;
	}
	return NULL;
}

/* The node's list: one guest, at the port that its first letter is. */
static void
offer(struct bed *bed, const char *name, const char *guest, const char *signing_key)
{
	g_autofree char *text = g_strdup_printf(
	    "{\"parameters\":{\"machines\":[{\"name\":\"%s\",\"port\":%d,\"user\":\"u\",\"host_"
	    "keys\":[\"" HOST_KEY "\"],\"systems\":[\"i586-gnu\"],\"features\":[],\"parallel_"
	    "builds\":1,\"speed\":1,\"overload_threshold\":1%s%s%s}]}}",
	    guest, *guest, signing_key ? ",\"signing_key\":\"" : "", signing_key ? signing_key : "",
	    signing_key ? "\"" : "");
	struct varlink_message *message = varlink_parse(text, NULL);
	struct offers *offers = offers_parse(name, message->parameters, NULL);
	varlink_message_free(message);
	node_offer(node(bed, name), offers, 0);
}

/* "NAME HOST COMING-or-READY" of each guest that is listed. Caller frees. */
static char *
listed(struct bed *bed)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(struct published_guest));
	nodes_append(bed->nodes, list, NULL);
	for (guint i = 0; i < list->len; i++) {
		const struct published_guest *guest =
		    &g_array_index(list, struct published_guest, i);
		g_assert_true(guest->foreign);
		g_assert_true(g_str_has_suffix(guest->private_key, "/nodes/key"));
		g_string_append_printf(text, "%s %s %s\n", guest->name, guest->host_name,
				       guest->as == PUBLISHED_READY ? "ready" : "coming");
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

#define assert_listed(bed, expected)                                                               \
	do {                                                                                       \
		g_autofree char *assert_text = listed(bed);                                        \
		g_assert_cmpstr(assert_text, ==, expected);                                        \
	} while (0)

static void
test_reload(void)
{
	struct bed bed;
	begin(&bed);
	g_assert_true(nodes_known(bed.nodes));
	g_free(configure(&bed, TRUE, "a b"));
	g_assert_false(nodes_known(bed.nodes)); /* lists of an earlier daemon are being read */
	g_assert_cmpint(bed.connects, ==, 0);
	wait_connects(&bed, 2);
	g_assert_true(nodes_known(bed.nodes));
	g_autofree char *key = g_build_filename(bed.folder, "nodes", "key", NULL);
	g_assert_cmpint(g_access(key, F_OK), ==, 0);
	offer(&bed, "a", "x", NULL);
	offer(&bed, "b", "y", NULL);
	assert_listed(&bed, "a/x 192.0.2.1 ready\nb/y 192.0.2.1 ready\n");
	offer(&bed, "b", "x2", NULL);
	assert_listed(&bed, "a/x 192.0.2.1 ready\n"); /* the port is taken */
	offer(&bed, "b", "y", NULL);
	int published = bed.published;
	g_autofree char *other = configure(&bed, FALSE, "c b");
	g_assert_cmpstr(other, ==,
			"node c: added\nnode a: removed; its guests are off the list, and their "
			"signing keys stay in the acl");
	g_assert_cmpint(bed.published, ==, published + 1);
	g_assert_true(nodes_known(bed.nodes)); /* the others are listed meanwhile */
	assert_listed(&bed, "b/y 192.0.2.1 ready\n");
	wait_connects(&bed, 2);
	g_autofree char *same = configure(&bed, FALSE, "c b");
	g_assert_cmpstr(same, ==, "");
	g_free(configure(&bed, FALSE, ""));
	g_assert_cmpint(bed.connects, ==, 0);
	assert_listed(&bed, "");
	end(&bed);
}

/* Run the loop until the file is there, or gone. */
static void
wait_file(struct bed *bed, const char *name, gboolean there)
{
	g_autofree char *path = g_build_filename(bed->folder, "nodes", name, NULL);
	while ((g_access(path, F_OK) == 0) != there) {
		ev_run(bed->loop, EVRUN_NOWAIT);
		g_thread_yield();
	}
}

static void
test_recalls(void)
{
	struct bed bed;
	begin(&bed);
	g_free(configure(&bed, TRUE, "a b"));
	wait_connects(&bed, 2);
	offer(&bed, "a", "x", NULL);
	wait_file(&bed, "a.list", TRUE);
	nodes_free(bed.nodes);
	bed.connects = 0;
	open_nodes(&bed);
	g_free(configure(&bed, TRUE, "a b"));
	wait_connects(&bed, 2);
	assert_listed(&bed, "a/x 192.0.2.1 coming\n");
	g_free(configure(&bed, FALSE, "b"));
	wait_file(&bed, "a.list", FALSE);
	end(&bed);
}

static gboolean
acl_has(struct bed *bed, const char *word)
{
	g_autofree char *path = g_build_filename(bed->guix_folder, "acl", NULL), *text = NULL;
	return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, word);
}

static void
test_signs(void)
{
	struct bed bed;
	begin(&bed);
	put(bed.guix_folder, "signing-key.pub",
	    KEY_OF_Q("1111111111111111111111111111111111111111111111111111111111111111"));
	g_free(configure(&bed, TRUE, "a b"));
	wait_connects(&bed, 2);
	offer(&bed, "a", "x", SIGNING_KEY);
	offer(&bed, "b", "y", SIGNING_KEY);
	while (!strstr(bed.texts->str, "nodes: "))
		ev_run(bed.loop, EVRUN_ONCE);
	g_autofree char *expected = g_strdup_printf(
	    "nodes: 1 signing key of their guests new in %s/acl (a/x)\n", bed.guix_folder);
	g_assert_nonnull(strstr(bed.texts->str, expected));
	g_assert_true(acl_has(&bed, "8D156F295D24B0D9"));
	offer(&bed, "a", "z", SIGNING_KEY); /* known already: once is enough */
	for (int i = 0; i < 100; i++)
		ev_run(bed.loop, EVRUN_NOWAIT);
	g_assert_null(strstr(strstr(bed.texts->str, expected) + 1, "nodes: "));
	end(&bed);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nodes/a-reload-adds-and-removes", test_reload);
	g_test_add_func("/nodes/a-daemon-begins-with-the-lists-of-the-one-before", test_recalls);
	g_test_add_func("/nodes/signing-keys-of-guests-go-into-the-acl", test_signs);
	return g_test_run();
}
