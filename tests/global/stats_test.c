/* tests/global/stats_test.c - counters: counted here, summed in shared words, nothing twice */
#include <global/stats.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <util/shmtab.h>

static void
test_flush(void **state)
{
	_Atomic uint64_t words[SHMTAB_WORDS] = { 0 };

	(void) state;
	stats_add(STAT_queries, 3);
	stats_add(STAT_queries, 1);
	stats_add(STAT_workers, 1);
	stats_flush(words);
	stats_flush(words);		/* nothing new: nothing changes */
	assert_int_equal(words[STAT_queries], 4);
	assert_int_equal(words[STAT_workers], 1);
	stats_add(STAT_queries, 5);	/* another worker's share is added to, not replaced */
	words[STAT_queries] += 100;
	stats_flush(words);
	assert_int_equal(words[STAT_queries], 109);
	for (int i = 0; i < SHMTAB_WORDS; i++)
		if (i != STAT_queries && i != STAT_workers)
			assert_int_equal(words[i], 0);
}

/* names go into JSON and Prometheus as they are: lower case, digits, '_', and each once */
static void
test_names(void **state)
{
	(void) state;
	for (int i = 0; i < STATS; i++) {
		const char *name = stats_table[i].name;

		if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name) || stats_table[i].help[0] == 0)
			fail_msg("%s: not a name for a counter, or no help", name);
		for (int j = 0; j < i; j++)
			if (strcmp(name, stats_table[j].name) == 0)
				fail_msg("%s: twice", name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
