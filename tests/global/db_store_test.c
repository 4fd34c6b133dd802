/* tests/global/db_store_test.c - which servers are accepted, what troubles mean, and a clock that only goes up */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <global/db_part.h>
#include <tests/lib/db_rig.h>
#include <util/mem.h>

#define NOW_US	((int64_t) RIG_NOW * 1000000)

static const char *check[6];

static bool
serve_check(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which != RIG_CHECK)
		return false;
	if (check[0] != NULL)
		fake_row_v(a, check, 5);
	return true;
}

static void
only_the_database_that_we_want_is_used(void **state)
{
	static const struct { const char *name, *cell[5]; int schema; bool good; } cases[] = {
		{ "as it should be",	{ "2", "77", "off", "UTF8", "t" }, 2, true },
		{ "old enough",		{ "1", "77", "off", "UTF8", "t" }, 1, true },
		{ "too old",		{ "1", "77", "off", "UTF8", "t" }, 2, false },
		{ "from the future",	{ "3", "77", "off", "UTF8", "t" }, 1, false },
		{ "no site",		{ "2", "0", "off", "UTF8", "t" }, 1, false },
		{ "odd version",	{ "two", "77", "off", "UTF8", "t" }, 1, false },
		{ "nothing",		{ NULL }, 1, false },
		{ "read-only",		{ "2", "77", "on", "UTF8", "t" }, 1, false },
		{ "encoding",		{ "2", "77", "off", "SQL_ASCII", "t" }, 1, false },
		{ "no privilege",	{ "2", "77", "off", "UTF8", "f" }, 1, false },
		{ "NULL",		{ "2", "77", "off", "UTF8", NULL }, 1, false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		memcpy(check, cases[i].cell, sizeof cases[i].cell);
		rig_forget_asked();
		rig.hook = serve_check;
		rig.kind.schema = cases[i].schema;
		rig_open();
		if (db_store_usable(rig.ds) != cases[i].good)
			fail_msg("%s: usable is %d", cases[i].name, !cases[i].good);
		if (!cases[i].good && rig.asked[RIG_NEWEST] + rig.asked[RIG_PULL] + rig.asked[RIG_HOST] != 0)
			fail_msg("%s: used all the same", cases[i].name);
		db_store_free(&rig.ds);
	}
}

static void
a_server_that_becomes_good_is_used(void **state)
{
	static const char *const bad[] = { "2", "77", "on", "UTF8", "t" };

	(void) state;
	memcpy(check, bad, sizeof bad);
	rig.hook = serve_check;
	rig_open();
	rig_pass(10000);
	assert_false(db_store_usable(rig.ds));
	assert_in_range(rig.asked[RIG_CHECK], 3, 20);	/* tried again, and with pauses */
	rig.hook = NULL;
	rig_pass(5000);
	assert_true(db_store_usable(rig.ds));
}

static void
stamps_only_go_up(void **state)
{
	int64_t last, next;

	(void) state;
	rig_open();
	last = db_stamps(rig.ds, 1);
	assert_true(last >= NOW_US);
	for (int i = 0; i < 100; i++) {		/* the clock stands still */
		next = db_stamps(rig.ds, 10);
		assert_true(next > last);
		last = next + 9;
	}
	db_seen(rig.ds, last + 5000000);	/* another host's clock is ahead */
	next = db_stamps(rig.ds, 1);
	assert_true(next > last + 5000000);
	db_seen(rig.ds, 5);			/* or behind */
	assert_true(db_stamps(rig.ds, 1) > next);
	db_seen(rig.ds, INT64_MAX);		/* or lies: nobody must follow it to the end of time */
	assert_true(db_stamps(rig.ds, 1) < NOW_US + (int64_t) 3600 * 1000000);
	atomic_store(db_word(rig.ds, DB_WORD_CLOCK), UINT64_MAX);	/* damage */
	assert_in_range(db_stamps(rig.ds, 1), NOW_US, NOW_US + (int64_t) 3600 * 1000000);
}

static void
origins_are_never_used_twice(void **state)
{
	int64_t host, a, b;

	(void) state;
	rig_open();
	host = db_host(rig.ds);
	assert_in_range(host, 1, INT32_MAX);
	a = db_origin(rig.ds);
	b = db_origin(rig.ds);
	assert_int_equal(a >> 32, host);
	assert_int_not_equal(a, b);
	atomic_store(db_word(rig.ds, DB_WORD_HOST), UINT64_MAX);	/* damage */
	assert_in_range(db_host(rig.ds), 1, INT32_MAX);
}

static void
troubles(void **state)
{
	static const struct { const char *sqlstate; enum db_trouble want; bool usable; } cases[] = {
		{ "40001", DB_T_AGAIN, true },	{ "40P01", DB_T_AGAIN, true },	{ "57014", DB_T_AGAIN, true },
		{ "55P03", DB_T_AGAIN, true },	{ "22021", DB_T_DATA, true },	{ "23514", DB_T_DATA, true },
		{ "54000", DB_T_DATA, true },	{ "P0001", DB_T_DATA, true },	{ "0A000", DB_T_FEATURE, true },
		{ "42P01", DB_T_CONNECTION, false }, { "42501", DB_T_CONNECTION, false }, { "25006", DB_T_CONNECTION, false },
		{ "53100", DB_T_CONNECTION, false }, { "53300", DB_T_CONNECTION, false }, { "57P01", DB_T_CONNECTION, false },
		{ "XX000", DB_T_CONNECTION, false }, { "", DB_T_CONNECTION, false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct pg_reply r = { .result = PG_REFUSED, .sqlstate = cases[i].sqlstate, .why = "no" };

		rig_open();
		assert_true(db_store_usable(rig.ds));
		if (db_refused(rig.ds, &r) != cases[i].want)
			fail_msg("%s: not %d", cases[i].sqlstate, cases[i].want);
		rig_turns();
		if (db_store_usable(rig.ds) != cases[i].usable)
			fail_msg("%s: usable is %d", cases[i].sqlstate, !cases[i].usable);
		db_store_free(&rig.ds);
	}
}

/* the words tell a command, which has no connection, how the workers are; they hold the real clock */
static void
the_state_is_what_workers_said_lately(void **state)
{
	static const struct { const char *name; int64_t up_age_ms, down_age_ms; enum db_state want; } cases[] = {
		{ "nobody lately", 5000, 5000, DB_STATE_NONE },
		{ "all up",	   10,	 5000, DB_STATE_UP },
		{ "all down",	   5000, 10,   DB_STATE_DOWN },
		{ "some",	   10,	 10,   DB_STATE_PARTLY },
	};
	_Atomic uint64_t words[DB_WORDS];
	struct timespec ts;
	int64_t now_ms;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		memset(words, 0, sizeof words);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now_ms = (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
		words[DB_WORD_UP_MS] = (uint64_t) (now_ms - cases[i].up_age_ms);
		words[DB_WORD_DOWN_MS] = (uint64_t) (now_ms - cases[i].down_age_ms);
		if (db_state(words) != cases[i].want)
			fail_msg("%s: got %d", cases[i].name, db_state(words));
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup_closed, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(only_the_database_that_we_want_is_used),
		T(a_server_that_becomes_good_is_used),
		T(stamps_only_go_up),
		T(origins_are_never_used_twice),
		T(troubles),
		T(the_state_is_what_workers_said_lately),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
