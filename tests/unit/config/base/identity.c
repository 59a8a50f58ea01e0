/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A thread that acts as another user: what it knows of the user, and that it ends the process if it
 * cannot become that user or root again. */
#include "config/base/identity.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/refuse.h"

#define NOBODYS_UID 54321 /* of no user in the database */

static void
test_unknown(void)
{
	struct identity *identity = identity_of(NOBODYS_UID);
	if (geteuid() != 0) {
		g_assert_null(identity);
		return;
	}
	g_assert_cmpuint(identity->uid, ==, NOBODYS_UID);
	g_assert_cmpuint(identity->gid, ==, 65534);
	g_assert_cmpint(identity->n_groups, ==, 1);
	g_assert_cmpuint(identity->groups[0], ==, 65534);
	identity_free(identity);
	g_assert_null(identity_of(0));
}

static void
test_none(void)
{
	uid_t uid = geteuid();
	identity_enter(NULL);
	identity_leave(NULL);
	identity_become(NULL);
	identity_return(NULL);
	identity_free(NULL);
	g_assert_cmpuint(geteuid(), ==, uid);
}

/* What the user may not, the thread may not in between. */
static void
test_there_and_back(void)
{
	struct identity *identity = identity_of(NOBODYS_UID);
	if (!identity) {
		g_test_skip("only root can act as another user");
		return;
	}
	g_assert_true(identity_possible(identity));
	identity_enter(identity);
	int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
	int problem = errno;
	identity_leave(identity);
	g_assert_cmpint(fd, <, 0);
	g_assert_cmpint(problem, ==, EACCES);
	identity_become(identity);
	uid_t became = geteuid();
	errno = ENOTTY;
	identity_return(identity);
	g_assert_cmpint(errno, ==, ENOTTY);
	g_assert_cmpuint(became, ==, NOBODYS_UID);
	g_assert_cmpuint(geteuid(), ==, 0);
	identity_free(identity);
}

/* A call that is refused in one of the four ends the process with these words. */
struct refused {
	int call;
	void (*before)(const struct identity *identity);
	void (*what)(const struct identity *identity);
	const char *words;
};

static void
nothing(const struct identity *identity)
{
}

static const struct refused refused[] = {
    {SYS_setgroups, nothing, identity_enter, "*setgroups: Operation not permitted*"},
    {SYS_setfsuid, nothing, identity_enter, "*cannot take the place of user 54321*"},
    {SYS_setfsuid, identity_enter, identity_leave, "*cannot be root again*"},
    {SYS_setresuid, nothing, identity_become,
     "*cannot become user 54321: Operation not permitted*"},
    {SYS_setresgid, identity_become, identity_return,
     "*cannot be root again: Operation not permitted*"},
};

static void
test_refused(const void *data)
{
	const struct refused *r = data;
	if (geteuid() != 0) {
		g_test_skip("only root can act as another user");
		return;
	}
	if (g_test_subprocess()) {
		struct identity *identity = identity_of(NOBODYS_UID);
		r->before(identity);
		refuse(r->call, EPERM);
		r->what(identity);
		refuse_over();
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_failed();
	g_test_trap_assert_stderr(r->words);
}

/* As in a name space that has no user but root. */
static void
test_impossible(void)
{
	if (geteuid() != 0) {
		g_test_skip("only root can act as another user");
		return;
	}
	if (g_test_subprocess()) {
		struct identity *identity = identity_of(NOBODYS_UID);
		refuse(SYS_setresuid, EINVAL);
		g_assert_false(identity_possible(identity));
		refuse(SYS_setgroups, EPERM);
		g_assert_false(identity_possible(identity));
		refuse_over();
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/identity/a-user-that-the-database-lacks-has-nobodys-group", test_unknown);
	g_test_add_func("/identity/without-one-nothing-changes", test_none);
	g_test_add_func("/identity/a-thread-goes-there-and-comes-back", test_there_and_back);
	for (gsize i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autofree char *name =
		    g_strdup_printf("/identity/a-change-that-fails-ends-the-process/%zu", i + 1);
		g_test_add_data_func(name, &refused[i], test_refused);
	}
	g_test_add_func("/identity/where-there-is-no-other-user-that-is-known", test_impossible);
	return g_test_run();
}
