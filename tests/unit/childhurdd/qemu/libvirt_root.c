/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an earlier daemon has left for libvirt: which QEMUs count as running. */
#include "childhurdd/qemu/libvirt_root.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "childhurdd/qemu/domain.h"
#include "childhurdd/system/process.h"

struct place {
	char *state, *runtime, *root, *path, *domains;
};

static struct place
place_make(void)
{
	struct place p = {.state = g_dir_make_tmp("embed-XXXXXX", NULL)};
	p.runtime = g_build_filename(p.state, "run", NULL);
	p.root = g_build_filename(p.state, "libvirt", NULL);
	p.path = g_build_filename(p.runtime, "libvirt", NULL);
	p.domains = g_build_filename(p.root, "run", "qemu", NULL);
	g_assert_cmpint(g_mkdir_with_parents(p.domains, 0700), ==, 0);
	g_assert_cmpint(g_mkdir_with_parents(p.runtime, 0700), ==, 0);
	return p;
}

static void
place_clear(struct place *p)
{
	const char *const argv[] = {"rm", "-r", p->state, NULL};
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				   NULL, NULL, NULL));
	g_free(p->state);
	g_free(p->runtime);
	g_free(p->root);
	g_free(p->path);
	g_free(p->domains);
}

/* Start a process with these words after its name. It ends when *in is closed, or by a signal. */
static pid_t
process_with(const char *name, const char *uuid, int *in)
{
	g_autofree char *guest = g_strconcat("guest=", name, ",debug-threads=on", NULL);
	const char *const argv[] = {"sh", "-c", "echo; read x; exit", "sh", "-name", guest, "-uuid",
				    uuid, NULL};
	pid_t pid;
	int out;
	char byte;
	g_assert_true(g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
					       G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
					       NULL, NULL, &pid, in, &out, NULL, NULL));
	g_assert_cmpint(read(out, &byte, 1), ==, 1);
	close(out);
	return pid;
}

/* End the process. TRUE: it was still alive. */
static gboolean
process_finish(pid_t pid, int in)
{
	int status;
	close(in);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	return WIFEXITED(status);
}

static char *
domain_write(const struct place *p, const char *path, const char *name, const char *uuid,
	     const char *reason, pid_t pid)
{
	g_autofree char *file = g_strdup_printf("%s/%s.xml", p->domains, name);
	g_autofree char *escaped = g_markup_escape_text(path, -1);
	g_autofree char *text = g_strdup_printf(
	    "<domstatus state='running' reason='%s' pid='%d'>\n"
	    "  <monitor path='%s/lib/qemu/domain-1-%s/monitor.sock' type='unix'/>\n"
	    "  <libDir path='%s/lib/qemu/domain-1-%s'/>\n"
	    "  <domain type='qemu' id='1'>\n    <name>%s</name>\n    <uuid>%s</uuid>\n  </domain>\n"
	    "</domstatus>\n",
	    reason, (int)pid, escaped, name, escaped, name, name, uuid);
	g_assert_true(g_file_set_contents(file, text, -1, NULL));
	return g_steal_pointer(&file);
}

static gboolean
is_there(const char *file)
{
	return g_file_test(file, G_FILE_TEST_EXISTS);
}

/* A folder of libvirt's for a QEMU, with what QEMU leaves in it. */
static char *
folder_write(const struct place *p, const char *below)
{
	g_autofree char *folder = g_build_filename(p->root, "lib", "qemu", below, NULL);
	g_autofree char *file = g_build_filename(folder, "monitor.sock", NULL);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(file, "", -1, NULL));
	return g_steal_pointer(&folder);
}

/* Does the next daemon keep domain "a" with this pid? note: the process that was noted for it; 0:
 * none. */
static gboolean
stays(struct place *p, const char *uuid, pid_t pid, pid_t note)
{
	g_autofree char *file = domain_write(p, p->path, "a", uuid, "booted", pid);
	embed_note(p->root, "a", note);
	embed_tidy(p->root, p->path, geteuid());
	return is_there(file);
}

static void
test_living(void)
{
	struct place p = place_make();
	g_autofree char *uuid = domain_uuid(p.state, "a");
	int in;
	pid_t pid = process_with("a", uuid, &in);
	g_assert_true(stays(&p, uuid, pid, pid));
	g_assert_true(stays(&p, uuid, pid, 0)); /* killed before it was noted */
	g_assert_true(process_finish(pid, in));
	place_clear(&p);
}

static void
test_number_taken(void)
{
	struct place p = place_make();
	g_autofree char *uuid = domain_uuid(p.state, "a");
	g_autofree char *note = g_build_filename(p.root, "started", "a", NULL);
	g_autofree char *file = NULL;
	int in, other_in;
	pid_t other = process_with("elsewhere", "3b2c", &other_in);
	g_assert_false(stays(&p, uuid, other, 0)); /* the words of another process */
	/* the right words, but another start time */
	pid_t pid = process_with("b", uuid, &in);
	embed_note(p.root, "a", pid);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(note, &text, NULL, NULL));
	g_autofree char *boot = process_boot();
	g_autofree char *earlier = g_strdup_printf("%d 1 %s\n", (int)pid, boot);
	g_assert_true(g_file_set_contents(note, earlier, -1, NULL));
	file = domain_write(&p, p.path, "a", uuid, "booted", pid);
	embed_tidy(p.root, p.path, geteuid());
	g_assert_false(is_there(file));
	g_assert_false(is_there(note));
	g_assert_true(process_finish(pid, in));
	g_assert_true(process_finish(other, other_in));
	place_clear(&p);
}

static void
test_earlier_boot(void)
{
	struct place p = place_make();
	g_autofree char *uuid = domain_uuid(p.state, "a");
	g_autofree char *boot = g_build_filename(p.root, "boot", NULL);
	int in;
	pid_t pid = process_with("b", uuid, &in); /* this test is about the file only */
	g_assert_true(g_file_set_contents(boot, "00000000-another", -1, NULL));
	g_assert_false(stays(&p, uuid, pid, pid));
	g_assert_true(stays(&p, uuid, pid, pid)); /* written in this boot */
	g_assert_true(process_finish(pid, in));
	place_clear(&p);
}

static void
test_copy(void)
{
	struct place original = place_make(), copy = place_make();
	g_autofree char *uuid = domain_uuid(original.state, "a");
	int in;
	pid_t pid = process_with("a", uuid, &in);
	g_autofree char *file = domain_write(&copy, original.path, "a", uuid, "booted", pid);
	embed_note(copy.root, "a", pid);
	embed_tidy(copy.root, copy.path, geteuid());
	g_assert_false(is_there(file));
	g_assert_true(process_finish(pid, in)); /* the daemon of the original folder has it */
	place_clear(&original);
	place_clear(&copy);
}

static void
test_cut_off(void)
{
	struct place p = place_make();
	g_autofree char *uuid = domain_uuid(p.state, "a");
	int in, foreign_in;
	pid_t pid = process_with("a", uuid, &in);
	pid_t foreign = process_with("a", "1234", &foreign_in); /* of another state */
	g_autofree char *file = domain_write(&p, p.path, "a", uuid, "starting up", pid);
	g_autofree char *half_made = g_strconcat(file, ".new", NULL);
	g_assert_true(g_file_set_contents(half_made, "<domstatus", -1, NULL));
	g_test_expect_message("childhurd", G_LOG_LEVEL_MESSAGE,
			      "a: the death of the last daemon interrupted its start*");
	g_test_expect_message("childhurd", G_LOG_LEVEL_WARNING, "*was being started when*");
	embed_tidy(p.root, p.path, geteuid());
	g_test_assert_expected_messages();
	g_assert_false(is_there(file));
	g_assert_false(is_there(half_made));
	g_assert_false(process_finish(pid, in)); /* no daemon knew of it: it was ended */
	g_assert_true(process_finish(foreign, foreign_in));
	place_clear(&p);
}

/* Each start has folders of its own, and libvirt removes only those of a QEMU whose end it sees. */
static void
test_folders(void)
{
	struct place p = place_make();
	g_autofree char *uuid = domain_uuid(p.state, "a");
	int in;
	pid_t pid = process_with("a", uuid, &in);
	g_autofree char *living = folder_write(&p, "domain-1-a");
	g_autofree char *earlier = folder_write(&p, "domain-7-a");
	g_autofree char *other = folder_write(&p, "domain-2-b");
	g_autofree char *channels = folder_write(&p, "channel/target/domain-1-a");
	g_autofree char *earlier_channels = folder_write(&p, "channel/target/domain-7-a");
	g_autofree char *asked = folder_write(&p, "qmp-6eLgwh");
	g_autofree char *snapshots = folder_write(&p, "snapshot");
	/* whoever QEMU runs as owns lib/qemu, and can put a link there */
	g_autofree char *theirs = folder_write(&p, "../../precious");
	g_autofree char *precious = g_build_filename(theirs, "monitor.sock", NULL);
	g_autofree char *link = g_build_filename(p.root, "lib", "qemu", "domain-3-c", NULL);
	g_assert_cmpint(symlink(theirs, link), ==, 0);
	g_autofree char *inner = g_build_filename(earlier, "link", NULL);
	g_assert_cmpint(symlink(precious, inner), ==, 0);

	g_assert_true(stays(&p, uuid, pid, pid));
	g_assert_true(is_there(living));
	g_assert_true(is_there(channels));
	g_assert_true(is_there(snapshots));
	g_assert_true(is_there(precious));
	g_assert_false(is_there(earlier));
	g_assert_false(is_there(earlier_channels));
	g_assert_false(is_there(other));
	g_assert_false(is_there(asked));
	g_assert_true(process_finish(pid, in));
	g_assert_false(stays(&p, uuid, pid, pid));
	g_assert_false(is_there(living));
	g_assert_false(is_there(channels));
	place_clear(&p);
}

static void
test_moved(void)
{
	struct place p = place_make();
	g_autofree char *uuid = domain_uuid(p.state, "a"), *text = NULL;
	int in;
	pid_t pid = process_with("a", uuid, &in);
	g_autofree char *file = domain_write(&p, "/old & <odd>'s", "a", uuid, "booted", pid);
	embed_tidy(p.root, p.path, geteuid());
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	g_autofree char *monitor =
	    g_strconcat("<monitor path='", p.path, "/lib/qemu/domain-1-a/monitor.sock'", NULL);
	g_autofree char *folder =
	    g_strconcat("<libDir path='", p.path, "/lib/qemu/domain-1-a'/>", NULL);
	g_assert_nonnull(strstr(text, monitor));
	g_assert_nonnull(strstr(text, folder));
	g_assert_null(strstr(text, "/old"));
	g_assert_true(process_finish(pid, in));
	place_clear(&p);
}

static void
test_path(void)
{
	g_autofree char *long_one = g_strnfill(60, 'x');
	g_autofree char *state = g_strconcat("/", long_one, NULL);
	static const char *const unfit[] = {"/a b", "/a,b", "/a=b", "/a:b", "/a\tb"};
	for (gsize i = 0; i < G_N_ELEMENTS(unfit); i++) {
		g_autofree char *link = embed_path(unfit[i], "/run/childhurd");
		g_autofree char *root = embed_path("/var/lib/childhurd", unfit[i]);
		g_autofree char *own = embed_path(state, unfit[i]);
		g_autofree char *other = embed_path(unfit[i], state);
		g_autofree char *long_link = embed_path(state, "/run/childhurd");
		g_assert_cmpstr(link, ==, "/run/childhurd/libvirt");
		g_assert_cmpstr(long_link, ==, "/run/childhurd/libvirt");
		g_assert_cmpstr(root, ==, "/var/lib/childhurd/libvirt");
		g_assert_true(g_str_has_prefix(own, geteuid() ? "/tmp/childhurd-" : "/run/child"));
		g_assert_cmpint(strlen(own), <=, EMBED_PATH_MAX);
		g_assert_cmpstr(own, !=, other); /* another state directory, another link */
	}
}

/* Another user may have created the link's folder before the daemon. */
static void
test_link_folder(void)
{
	struct place p = place_make();
	g_autoptr(GError) error = NULL;
	g_autofree char *folder = g_build_filename(p.root, "f", NULL);
	g_autofree char *link = g_build_filename(folder, "libvirt", NULL);
	g_autofree char *aside = g_build_filename(p.root, "aside", NULL);
	struct stat st;
	g_assert_true(embed_link(p.root, link, &error));
	g_assert_no_error(error);
	g_assert_cmpint(stat(folder, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0711);
	g_assert_cmpint(chmod(folder, 0777), ==, 0);
	g_assert_false(embed_link(p.root, link, &error));
	g_assert_nonnull(strstr(error->message, folder));
	g_clear_error(&error);
	g_assert_cmpint(chmod(folder, 0711), ==, 0);
	g_assert_cmpint(rename(folder, aside), ==, 0);
	g_assert_cmpint(symlink(aside, folder), ==, 0);
	g_assert_false(embed_link(p.root, link, &error));
	g_assert_nonnull(strstr(error->message, folder));
	place_clear(&p);
}

static void
test_link(void)
{
	struct place p = place_make();
	g_autofree char *to = NULL;
	g_assert_true(embed_link(p.root, p.path, NULL));
	g_assert_true(embed_link(p.root, p.path, NULL));
	to = g_file_read_link(p.path, NULL);
	g_assert_cmpstr(to, ==, p.root);
	g_assert_cmpint(unlink(p.path), ==, 0);
	g_assert_cmpint(symlink("/elsewhere", p.path), ==, 0); /* of another state directory */
	g_assert_true(embed_link(p.root, p.path, NULL));
	g_free(to);
	to = g_file_read_link(p.path, NULL);
	g_assert_cmpstr(to, ==, p.root);
	/* libvirt was faster and has created a folder there */
	g_assert_cmpint(unlink(p.path), ==, 0);
	g_assert_cmpint(mkdir(p.path, 0755), ==, 0);
	g_test_expect_message("childhurd", G_LOG_LEVEL_WARNING, "*moved to*");
	g_assert_true(embed_link(p.root, p.path, NULL));
	g_test_assert_expected_messages();
	g_free(to);
	to = g_file_read_link(p.path, NULL);
	g_assert_cmpstr(to, ==, p.root);
	g_assert_true(embed_link(p.root, p.root, NULL)); /* no link is needed */
	place_clear(&p);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/embed/a-qemu-that-runs-stays", test_living);
	g_test_add_func("/embed/whoever-has-its-number-now-is-not-it", test_number_taken);
	g_test_add_func("/embed/what-an-earlier-boot-left-is-forgotten", test_earlier_boot);
	g_test_add_func("/embed/in-a-copied-state-directory-nothing-is-ours", test_copy);
	g_test_add_func("/embed/a-start-that-was-cut-off-is-ended", test_cut_off);
	g_test_add_func("/embed/folders-of-qemus-that-are-gone-are-removed", test_folders);
	g_test_add_func("/embed/domains-follow-the-path-to-the-root", test_moved);
	g_test_add_func("/embed/the-path-is-short-and-has-nothing-odd-in-it", test_path);
	g_test_add_func("/embed/the-link-is-made-anew", test_link);
	g_test_add_func("/embed/the-folder-of-the-link-is-ours", test_link_folder);
	return g_test_run();
}
