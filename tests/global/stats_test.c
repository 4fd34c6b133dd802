/* tests/global/stats_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <global/stats.h>

static void
stats_own_words_move_to_the_table(void **state)
{
	static _Atomic uint64_t table[SHMTAB_WORDS];

	(void) state;
	stats_attach(NULL);
	stats_add(STATS_queries, 3);
	table[STATS_queries] = 10;
	stats_attach(table);
	assert_int_equal(stats_get(STATS_queries), 13);
	stats_add(STATS_queries, 1);
	assert_int_equal(table[STATS_queries], 14);

	stats_attach(table);			/* again, as after shmtab_check: nothing counts twice */
	assert_int_equal(table[STATS_queries], 14);

	stats_attach(NULL);
	assert_int_equal(stats_get(STATS_queries), 0);
	stats_add(STATS_queries, 1);
	assert_int_equal(table[STATS_queries], 14);
	for (int i = STATS_COUNT; i < SHMTAB_WORDS; i++)
		assert_int_equal(table[i], 0);
}

/* names become Prometheus metrics and JSON members; texts become sentences of the manual */
static void
stats_rows_are_fit_to_print(void **state)
{
	(void) state;
	for (int i = 0; i < STATS_COUNT; i++) {
		const char *name = stats_table[i].name, *what = stats_table[i].what;

		if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] != 0)
			fail_msg("%s: not a plain lower-case name", name);
		if (strlen(what) < 8 || what[strlen(what) - 1] != '.' || strpbrk(what, "\\\"\n") != NULL)
			fail_msg("%s: text is not a plain sentence: %s", name, what);
		for (int j = 0; j < i; j++)
			if (strcmp(name, stats_table[j].name) == 0)
				fail_msg("%s: twice in stats.def", name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stats_own_words_move_to_the_table),
		cmocka_unit_test(stats_rows_are_fit_to_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
