/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a report takes of the daemon's records, and what it leaves out. */
#include "service/report/records.h"

#include <math.h>

#include "tests/unit/service/report/made.h"

#define T "'time':1795957100000000"

static void
test_boot(void)
{
	struct records *records = made_new();
	made_add(records, "{'kind':'boot','guest':'a'," T
			  ",'how':'warm','ready':1795957103500000,'end':1795957190000000,"
			  "'ended':'restart','phases':[{'name':'start','ms':500},{'name':'login','"
			  "ms':2500.5},{'name':'start','ms':100}]}");
	made_add(records, "{'kind':'boot','guest':'a'," T "}");
	struct record_boot *boot =
	    &g_array_index(made_first(records)->boots, struct record_boot, 0);
	g_assert_cmpint(boot[0].how, ==, BOOT_WARM);
	g_assert_cmpint(boot[0].ready - boot[0].time, ==, 3500000);
	g_assert_cmpstr(boot[0].ended, ==, "restart");
	g_assert_cmpfloat_with_epsilon(boot[0].seconds[1], 0.6, 1e-9);
	g_assert_cmpfloat_with_epsilon(boot[0].seconds[5], 2.5005, 1e-9);
	g_assert_cmpstr(g_ptr_array_index(records->phases, 5), ==, "login");
	g_assert_cmpint(boot[1].how, ==, BOOT_COLD);
	g_assert_cmpint(boot[1].ready, ==, 0);
	records_free(records);
}

/* So many phases have names of their own; all others are one. */
static void
test_phases(void)
{
	struct records *records = made_new();
	for (guint i = 0; i < 20; i++)
		made_add(records,
			 "{'kind':'boot','guest':'a'," T ",'phases':[{'name':'p%u','ms':1000}]}",
			 i);
	g_assert_cmpuint(records->phases->len, ==, RECORDS_PHASES_MAX);
	struct record_boot *last =
	    &g_array_index(made_first(records)->boots, struct record_boot, 19);
	g_assert_cmpfloat(last->seconds[RECORDS_PHASES_MAX], ==, 1);
	records_free(records);
}

static void
test_others(void)
{
	struct records *records = made_new();
	made_add(records, "{'kind':'failure','guest':'a'," T
			  ",'phase':'keys','reason':'no','screenshot':7}");
	made_add(records, "{'kind':'failure','guest':'a'," T "}");
	made_add(records, "{'kind':'build','guest':'a'," T ",'slot':0}");
	made_add(records, "{'kind':'sample','guest':'a'," T ",'load':1.5,'store_free':-1}");
	made_add(records, "{'kind':'restore','guest':'a'," T ",'ms':4000,'reason':'reset'}");
	struct record_guest *guest = made_first(records);
	struct record_failure *failure = &g_array_index(guest->failures, struct record_failure, 0);
	g_assert_cmpint(failure[0].screenshot, ==, 7);
	g_assert_cmpstr(failure[0].reason, ==, "no");
	g_assert_cmpint(failure[1].screenshot, ==, -1);
	g_assert_cmpstr(failure[1].phase, ==, "");
	g_assert_cmpint(g_array_index(guest->builds, struct record_build, 0).until, ==, NOW);
	struct record_sample *sample = &g_array_index(guest->samples, struct record_sample, 0);
	g_assert_cmpfloat(sample->load, ==, 1.5);
	g_assert_true(isnan(sample->store_free));
	g_assert_cmpuint(guest->restores, ==, 1);
	g_assert_cmpfloat(guest->restore_seconds, ==, 4);
	records_free(records);
}

static void
test_figures(void)
{
	struct records *records = made_new();
	made_add(records, "{'kind':'figures','guest':'a','availability':0.5,'boots':3,'median_boot_"
			  "ms':1500,'builds':0}");
	const struct record_figures *figures = &made_first(records)->figures[PERIOD_LONG];
	g_assert_cmpfloat(figures->availability, ==, 0.5);
	g_assert_cmpfloat(figures->median_boot, ==, 1.5);
	g_assert_cmpfloat(figures->builds, ==, 0);
	g_assert_true(isnan(figures->mtbf));
	g_assert_true(isnan(made_first(records)->figures[PERIOD_DAY].boots));
	records_free(records);
}

/* None of these is an error, and none becomes a record. */
static void
test_nonsense(void)
{
	static const char *const all[] = {"{}",
					  "{'kind':'state'}",
					  "{'kind':'state'," T "}",
					  "{'kind':7,'guest':'a'," T "}",
					  "{'kind':'build','guest':'a'}",
					  "{'kind':'build','guest':'a','time':-5}",
					  "{'kind':'build','guest':'a','time':1e300}",
					  "{'kind':'build','guest':'a','time':'now'}",
					  "{'kind':'build','guest':'a'," T ",'end':1000}",
					  "{'kind':'state','guest':['a']," T "}",
					  "{'kind':'state','guest':''," T "}",
					  "{'kind':'novelty','guest':'a'," T "}",
					  "{'kind':'restore','guest':'a'," T ",'ms':-1}",
					  "{'kind':'event','guest':'a'," T ",'text':'x'}"};
	struct records *records = made_new();
	for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
		made_add(records, "%s", all[i]);
	made_add(records,
		 "{'kind':'boot','guest':'a'," T
		 ",'ready':5,'how':{},'phases':[7,{},{'name':'','ms':1},{'name':'x','ms':-1}]}");
	struct record_guest *guest = made_first(records);
	g_assert_cmpuint(records->guests->len, ==, 1);
	g_assert_cmpuint(guest->states->len + guest->builds->len + guest->failures->len +
			     guest->samples->len + guest->restores,
			 ==, 0);
	g_assert_cmpint(g_array_index(guest->boots, struct record_boot, 0).ready, ==, 0);
	g_assert_cmpuint(records->phases->len, ==, 7); /* those that are known */
	records_free(records);
}

static void
test_order(void)
{
	struct records *records = made_new();
	made_guest(records, "b", "ready");
	made_state(records, "a", "ready", H, 0);
	made_state(records, "b", "stopped", H, 0);
	made_state(records, "b", "ready", 3 * H, H);
	records_sort(records);
	struct record_guest *b = made_first(records), *a = g_ptr_array_index(records->guests, 1);
	g_assert_cmpstr(b->name, ==, "b");
	g_assert_cmpstr(b->state, ==, "ready");
	g_assert_cmpint(g_array_index(b->states, struct record_state, 0).from, ==, NOW - 3 * H);
	g_assert_cmpstr(a->name, ==, "a");
	g_assert_null(a->state);
	records_free(records);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/records/boots-and-their-phases", test_boot);
	g_test_add_func("/records/so-many-phases-have-names", test_phases);
	g_test_add_func("/records/failures-builds-samples-restores", test_others);
	g_test_add_func("/records/figures-that-are-missing-are-not-known", test_figures);
	g_test_add_func("/records/nonsense-is-left-out", test_nonsense);
	g_test_add_func("/records/guests-that-are-configured-come-first", test_order);
	return g_test_run();
}
