/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `childhurdd --check`: what it says of a host. */
#include "childhurdd/host/check.h"

#include "childhurdd/hird/selfcheck.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct host {
	char *dir, *file, *state;
};

/* A configuration with one guest, whose emulator runs and has no KVM; no state directory. */
static void
host_begin(struct host *h)
{
	h->dir = g_dir_make_tmp("hostcheck-XXXXXX", NULL);
	h->file = g_build_filename(h->dir, "childhurd.ini", NULL);
	h->state = g_build_filename(h->dir, "state", NULL);
	g_autofree char *text =
	    g_strdup_printf("[daemon]\nstate-directory = state\nruntime-directory = run\n"
			    "control-group = childhurd-no-such-group\n"
			    "[guest a]\nkernel = /dev/null\nemulator = /bin/false\n");
	g_assert_true(g_file_set_contents(h->file, text, -1, NULL));
}

/* The configuration is this one from now on. */
static void
host_configure(const struct host *h, const char *daemon, const char *guest)
{
	g_autofree char *text =
	    g_strdup_printf("[daemon]\nstate-directory = state\nruntime-directory = run\n%s\n"
			    "[guest a]\nacceleration = tcg\nemulator = /bin/false\n%s\n",
			    daemon, guest);
	g_assert_true(g_file_set_contents(h->file, text, -1, NULL));
}

static char *
host_write(const struct host *h, const char *name, const char *text)
{
	char *path = g_build_filename(h->dir, name, NULL);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

static void
host_end(struct host *h)
{
	g_remove(h->file);
	g_assert_cmpint(g_rmdir(h->dir), ==, 0); /* the check left nothing there */
	g_free(h->dir);
	g_free(h->file);
	g_free(h->state);
}

static char *
host_check(const struct host *h)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	struct config *config = config_load(h->file, errors);
	g_assert_nonnull(config);
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct finding_lines lines = {.out = out};
	gboolean good = hostcheck_run(config, &lines);
	fclose(out);
	g_assert_cmpint(good, ==, !strstr(text, "problem  "));
	config_free(config);
	return text;
}

static void
assert_says(const char *text, const char *line)
{
	if (!strstr(text, line))
		g_error("\"%s\" is not in: %s", line, text);
}

static void
assert_says_not(const char *text, const char *line)
{
	if (strstr(text, line))
		g_error("\"%s\" is in: %s", line, text);
}

/* Nothing of ours is left in the folder for temporary files either. */
static void
assert_tidy(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name(dir)))
		assert_says_not(name, "childhurd-check-");
}

static void
test_new_host(void)
{
	struct host h;
	host_begin(&h);
	g_autofree char *text = host_check(&h);
	assert_says(text, "childhurd.ini: 1 guest\n");
	assert_says(text, "KVM: ");
	assert_says_not(text, "cannot write its boot sector");
	assert_says(text, "state can be written to");
	g_assert_false(g_file_test(h.state, G_FILE_TEST_EXISTS));
	assert_tidy(g_get_tmp_dir());
	host_end(&h);
}

static void
test_group(void)
{
	struct host h;
	if (g_test_subprocess()) {
		if (geteuid() == 0)
			g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
		host_begin(&h);
		g_autofree char *text = host_check(&h);
		assert_says_not(text, "childhurd-no-such-group");
		host_end(&h);
		return;
	}
	if (geteuid() == 0) {
		host_begin(&h);
		g_autofree char *text = host_check(&h);
		assert_says(text, "group childhurd-no-such-group does not exist");
		host_end(&h);
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

static void
test_memory(void)
{
	struct host h;
	host_begin(&h);
	host_configure(&h, "", "kernel = /dev/null\nmemory-size = 16M\n");
	g_autofree char *little = host_check(&h);
	assert_says(little, "ok       memory: the guests may take 272 MiB");
	host_configure(&h, "", "kernel = /dev/null\nmemory-size = 1024G\n");
	g_autofree char *much = host_check(&h);
	assert_says(much, "problem  a: memory-size is 1048576 MiB, more than the host has");
	assert_says(much, "note     memory: the guests may take 1048832 MiB");
	assert_says(much, "never all of them at a time; take fewer");
	host_end(&h);
}

static void
test_disk(void)
{
	struct host h;
	host_begin(&h);
	g_autofree char *boot = g_strnfill(1024, '\0');
	memcpy(boot + 510, "\x55\xaa", 2);
	g_autofree char *image = g_build_filename(h.dir, "disk.raw", NULL);
	g_assert_true(g_file_set_contents(image, boot, 1024, NULL));
	host_configure(&h, "", "image = ./disk.raw\nimage-format = raw\ndisk-size = 1M\n");
	g_autofree char *small = host_check(&h);
	assert_says(small, "ok       disk: the guests' disks may grow by 1 MiB");
	host_configure(&h, "", "image = ./disk.raw\nimage-format = raw\ndisk-size = 16384G\n");
	g_autofree char *large = host_check(&h);
	assert_says(large, "note     disk: the guests' disks may grow by 16777216 MiB");
	assert_says(large, "a guest is paused when nothing is left; free some");
	g_remove(image);
	host_end(&h);
}

static guint
count_of(const char *text, const char *word)
{
	g_auto(GStrv) parts = g_strsplit(text, word, -1);
	return g_strv_length(parts) - 1;
}

/* One look at KVM for each kind of guest, in whatever order they come. */
static void
test_once(void)
{
	struct host h;
	host_begin(&h);
	host_configure(&h, "",
		       "image = /nonexistent\n"
		       "[guest b]\nimage = /nonexistent\nemulator = /bin/false\n"
		       "[guest c]\nimage = /nonexistent\nemulator = /bin/false\n"
		       "architecture = x86_64\n"
		       "[guest d]\nimage = /nonexistent\nemulator = /bin/false\n"
		       "[guest e]\nimage = /nonexistent\nemulator = /bin/false\n"
		       "architecture = x86_64\n");
	g_autofree char *text = host_check(&h);
	g_assert_cmpuint(count_of(text, "   KVM: "), ==, 2);
	g_assert_cmpuint(count_of(text, " /bin/false\n"), ==, 1);
	host_end(&h);
}

/* What is said of the warm states of a guest with much memory; NULL: nothing. */
static void
assert_states(const struct host *h, const char *keys, const char *line)
{
	g_autofree char *guest = g_strdup_printf(
	    "image = ./disk.raw\nimage-format = raw\nmemory-size = 1024G\n%s", keys);
	host_configure(h, "", guest);
	g_autofree char *text = host_check(h);
	if (line)
		assert_says(text, line);
	else
		assert_says_not(text, "warm states: ");
}

static void
test_states(void)
{
	struct host h;
	host_begin(&h);
	host_configure(&h, "", "image = ./disk.raw\nimage-format = raw\nmemory-size = 16M\n");
	g_autofree char *little = host_check(&h);
	assert_says(little, "ok       warm states: they may take 32 MiB more in the guests' disks");
	const char *much = "note     warm states: they may take 2097152 MiB more in the guests' "
			   "disks, one that is saved anew included, and ";
	assert_states(&h, "", much);
	assert_states(&h, "",
		      "put state-directory on a larger file system, lower memory-size, or "
		      "write warm-start = no");
	assert_states(&h, "warm-start = no\n", NULL);
	assert_states(&h, "disk = persistent\n", NULL);
	assert_states(&h, "disk = persistent\nidle-timeout = 1h\n", much);
	assert_states(&h, "disk = persistent\nautostart = asleep\n", much);
	host_configure(&h, "", "kernel = /dev/null\nmemory-size = 1024G\n");
	g_autofree char *bare = host_check(&h);
	assert_says_not(bare, "warm states: ");
	/* the one that is there needs no more room, and may be saved anew */
	g_autofree char *folder = g_build_filename(h.state, "a", NULL);
	g_autofree char *record = g_build_filename(folder, "disk.warm", NULL);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(record, "", 0, NULL));
	assert_states(&h, "", "note     warm states: they may take 1048576 MiB more");
	g_remove(record);
	g_rmdir(folder);
	g_rmdir(h.state);
	host_end(&h);
}

static void
test_sleep(void)
{
	struct host h;
	host_begin(&h);
	host_configure(&h, "", "image = ./disk.raw\nwarm-start = no\nautostart = asleep\n");
	g_autofree char *cold = host_check(&h);
	assert_says(cold, "note     a: autostart = asleep puts it to sleep, and warm-start = no: ");
	host_configure(&h, "", "kernel = /dev/null\nidle-timeout = 1h\n");
	g_autofree char *bare = host_check(&h);
	assert_says(bare, "note     a: idle-timeout puts it to sleep, and it has no disk: ");
	host_configure(&h, "", "image = ./disk.raw\nidle-timeout = 1h\n");
	g_autofree char *warm = host_check(&h);
	assert_says_not(warm, "puts it to sleep");
	host_end(&h);
}

/* A list that is not included has no machines, and Guix says nothing. */
static void
test_machines(void)
{
	struct host h;
	host_begin(&h);
	const char *keys = "guix-configuration-directory = .\nguix-state-directory = .\n"
			   "coordinator-user = root\n",
		   *guest = "kernel = /dev/null\n";
	host_configure(&h, keys, guest);
	g_autofree char *none = host_check(&h);
	assert_says(none, "note     ");
	assert_says(none, "/machines.scm is not there, so Guix on this host gives the guests no "
			  "builds; make it with this in it: (append (if (file-exists? \"");
	g_autofree char *path = host_write(&h, "machines.scm", "(list)\n");
	g_autofree char *other = host_check(&h);
	assert_says(other, "machines.scm does not name the guests' list");
	g_autofree char *line =
	    g_strdup_printf("(append (primitive-load \"%s/run/machines.scm\"))\n", h.dir);
	g_assert_true(g_file_set_contents(path, line, -1, NULL));
	g_autofree char *ours = host_check(&h);
	assert_says(ours, "/machines.scm has ");
	assert_says_not(ours, "gives the guests no builds");
	host_configure(&h, keys, "kernel = /dev/null\noffloading = no\n");
	g_autofree char *alone = host_check(&h);
	assert_says_not(alone, "guix-daemon");
	g_remove(path);
	host_end(&h);
}

static void
test_coordinator(void)
{
	struct host h;
	host_begin(&h);
	host_configure(&h, "guix-configuration-directory = .\ncoordinator-user = root\n",
		       "kernel = /dev/null\n");
	g_autofree char *root = host_check(&h);
	assert_says(root, "ok       guix-daemon runs as root");
	host_configure(&h, "guix-configuration-directory = .\ncoordinator-user = nobody-here\n",
		       "kernel = /dev/null\n");
	g_autofree char *missing = host_check(&h);
	assert_says(missing, "problem  coordinator-user nobody-here: there is no such user");
	host_configure(&h, "guix-configuration-directory = .\ncoordinator-user = nobody\n",
		       "kernel = /dev/null\n");
	g_autofree char *folder = g_build_filename(h.state, "a", NULL);
	g_autofree char *key = g_build_filename(folder, "offload_key", NULL);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(key, "", 0, NULL));
	g_autofree char *hidden = host_check(&h);
	assert_says(hidden, "offload_key: cannot be read by nobody, the user of guix-daemon, and "
			    "builds wait for ever");
	g_remove(key);
	g_rmdir(folder);
	g_rmdir(h.state);
	host_end(&h);
}

/* Who is in the way is in the way, when it is seen that it is not the guest itself. */
static void
test_ports(void)
{
	struct host h;
	host_begin(&h);
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &length), ==, 0);
	g_autofree char *guest =
	    g_strdup_printf("kernel = /dev/null\nssh-port = %d\n", ntohs(name.sin_port));
	host_configure(&h, "", guest);
	g_autofree char *text = host_check(&h);
	g_autofree char *line =
	    g_strdup_printf("problem  a: port %d on 127.0.0.1 is taken by process %d (",
			    ntohs(name.sin_port), (int)getpid());
	assert_says(text, line);
	close(fd);
	host_end(&h);
}

/* Each line is a finding; what is none, as errors in the configuration, is a problem. */
static void
test_parse(void)
{
	char text[] = "ok       a file: 2 guests\nnote     b\nproblem  c\nx.ini:3: d\noks\n";
	static const struct control_finding expected[] = {{"ok", "a file: 2 guests"},
							  {"note", "b"},
							  {"problem", "c"},
							  {"problem", "x.ini:3: d"},
							  {"problem", "oks"}};
	g_autoptr(GArray) findings = selfcheck_parse(text);
	g_assert_cmpuint(findings->len, ==, G_N_ELEMENTS(expected));
	for (gsize i = 0; i < G_N_ELEMENTS(expected); i++) {
		const struct control_finding *f =
		    &g_array_index(findings, struct control_finding, i);
		g_assert_cmpstr(f->result, ==, expected[i].result);
		g_assert_cmpstr(f->text, ==, expected[i].text);
	}
}

/* An address that no interface has is no port that the guest itself has. */
static void
test_address(void)
{
	struct host h;
	host_begin(&h);
	host_configure(&h, "", "kernel = /dev/null\nlisten-address = 192.0.2.1\n");
	g_autofree char *text = host_check(&h);
	assert_says(text, "problem  a: listen-address 192.0.2.1: no interface of this host has it");
	assert_says_not(text, "fine if it is this guest");
	host_end(&h);
}

static void
test_own_keys(void)
{
	struct host h;
	host_begin(&h);
	host_configure(&h, "", "kernel = /dev/null\ninject = none\n");
	g_autofree char *text = host_check(&h);
	assert_says(text, "note     a: inject = none, and none of its host keys is known: ");
	host_end(&h);
}

/* What the check says with these keys of [daemon], of the guest, and further sections. */
static char *
check_with(const char *daemon, const char *guest)
{
	struct host h;
	host_begin(&h);
	g_autofree char *keys = g_strconcat("kernel = /dev/null\n", guest, NULL);
	host_configure(&h, daemon, keys);
	char *text = host_check(&h);
	host_end(&h);
	return text;
}

static void
test_listens_elsewhere(void)
{
	g_autofree char *usual = check_with("", "");
	assert_says_not(usual, "listens at");
	g_autofree char *other = check_with("", "listen-address = 192.0.2.7\n");
	assert_says(other,
		    "problem  a: it listens at 192.0.2.7 only, and is published at 127.0.0.1, "
		    "where Guix does not find it; set host-name = 192.0.2.7 in [daemon]");
	g_autofree char *loopback =
	    check_with("host-name = localhost", "listen-address = 127.0.0.2\n");
	assert_says(loopback, "a: it listens at 127.0.0.2 only, and is published at localhost");
	g_autofree char *all = check_with("", "listen-address = 0.0.0.0\n");
	assert_says_not(all, "listens at");
	g_autofree char *named =
	    check_with("host-name = node.example", "listen-address = 192.0.2.7\n");
	assert_says_not(named, "listens at");
	g_autofree char *own = check_with("", "listen-address = 192.0.2.7\noffloading = no\n");
	assert_says_not(own, "listens at");
}

#define COORDINATOR                                                                                \
	"[coordinator farm]\n"                                                                     \
	"ssh-key = ssh-ed25519 "                                                                   \
	"AAAAC3NzaC1lZDI1NTE5AAAAIB3xOULSOlAvs5CURBwHiPpxcD3S6o8Wbad0w5Kkz/1d farm\n"

static void
test_coordinators_elsewhere(void)
{
	g_autofree char *usual = check_with("", COORDINATOR);
	assert_says(usual, "note     farm: the guests listen at 127.* only, where no other host "
			   "reaches them; set listen-address");
	g_autofree char *unnamed = check_with("", "listen-address = 0.0.0.0\n" COORDINATOR);
	assert_says(unnamed, "note     farm: the guests are published at 127.0.0.1");
	g_autofree char *good =
	    check_with("host-name = node.example", "listen-address = 0.0.0.0\n" COORDINATOR);
	assert_says(good, "ok       farm: 1 of 1 guests listen where others reach them");
	g_autofree char *unused = check_with("", "offloading = no\n" COORDINATOR);
	assert_says(unused, "note     farm: no guest has offloading = yes");
	g_autofree char *bare = check_with("", "inject = none\n" COORDINATOR);
	assert_says(bare, "note     a: inject = none, so the keys of farm are not put into it");
	g_autofree char *absent =
	    check_with("", COORDINATOR "signing-key = /nonexistent/signing-key.pub\n");
	assert_says(absent, "problem  coordinator farm: signing-key: /nonexistent/signing-key.pub: "
			    "is not there; put its /etc/guix/signing-key.pub there");
}

int
main(int argc, char **argv)
{
	char tmp[] = "/tmp/hostcheck-XXXXXX";
	g_test_init(&argc, &argv, NULL);
	if (!g_test_subprocess()) { /* in one, the folder is inherited */
		g_assert_nonnull(g_mkdtemp_full(tmp, 0700));
		g_assert_cmpint(chmod(tmp, 01777), ==, 0); /* for the ordinary user, too */
		g_setenv("TMPDIR", tmp, TRUE);
	}
	g_test_add_func("/hostcheck/a-host-without-a-state-directory-is-probed-all-the-same",
			test_new_host);
	g_test_add_func("/hostcheck/memory-that-the-host-has-not", test_memory);
	g_test_add_func("/hostcheck/disks-that-may-outgrow-the-file-system", test_disk);
	g_test_add_func("/hostcheck/warm-states-that-the-file-system-has-no-room-for", test_states);
	g_test_add_func("/hostcheck/a-guest-that-sleeps-without-a-warm-state", test_sleep);
	g_test_add_func("/hostcheck/a-list-of-machines-that-guix-does-not-read", test_machines);
	g_test_add_func("/hostcheck/keys-that-the-coordinator-cannot-read", test_coordinator);
	g_test_add_func("/hostcheck/ports-that-somebody-has", test_ports);
	g_test_add_func("/hostcheck/an-address-that-is-not-this-hosts", test_address);
	g_test_add_func("/hostcheck/a-guest-with-keys-that-nobody-knows", test_own_keys);
	g_test_add_func("/hostcheck/an-emulator-is-looked-at-once", test_once);
	g_test_add_func("/hostcheck/each-line-is-a-finding", test_parse);
	g_test_add_func("/hostcheck/only-a-root-daemon-misses-the-group", test_group);
	g_test_add_func("/hostcheck/a-guest-listens-where-it-is-published", test_listens_elsewhere);
	g_test_add_func("/hostcheck/coordinators-elsewhere-reach-the-guests",
			test_coordinators_elsewhere);
	int failed = g_test_run();
	if (!g_test_subprocess())
		g_rmdir(tmp);
	return failed;
}
