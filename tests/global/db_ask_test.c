/* tests/global/db_ask_test.c - claims and reads: one flight for many, one answer for each who waits, always in time */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <global/db_part.h>
#include <tests/lib/db_rig.h>

static struct {
	unsigned n[DB_NO_ANSWER + 1];	/* answers of each kind */
	char	text[64];		/* of the last row */
	enum db_answer first, last;
} got;

static void
asked(void *ctx, enum db_answer answer, const struct db_row *row)
{
	(void) ctx;
	if (got.n[DB_FOUND] + got.n[DB_IS_OURS] + got.n[DB_ABSENT] + got.n[DB_NO_ANSWER] == 0)
		got.first = answer;
	got.last = answer;
	got.n[answer]++;
	if (row != NULL)
		snprintf(got.text, sizeof got.text, "%.*s", (int) row->text_len, row->text);
}

static bool
ask(const char *key)
{
	return db_store_ask(rig.ds, key, strlen(key), asked, NULL);
}

static int
setup(void **state)
{
	int	ret = rig_setup(state);

	memset(&got, 0, sizeof got);
	rig_forget_asked();
	return ret;
}

static void
what_is_wanted_in_one_turn_flies_together(void **state)
{
	char	key[16];

	(void) state;
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "k%02d", i);
		assert_true(ask(key));
	}
	rig_turns();
	assert_int_equal(rig.asked[RIG_CLAIM], 1);
	assert_int_equal(rig.asked[RIG_READ], 1);
	assert_int_equal(rig.keys[RIG_CLAIM], 100);
	assert_int_equal(got.n[DB_IS_OURS], 100);
	assert_true(rig_get("k42").there);
	assert_int_not_equal(rig_get("k42").mark, 0);
}

static void
more_keys_than_one_flight_takes(void **state)
{
	char	key[16];

	(void) state;
	for (int i = 0; i < 3 * DB_ASK_KEYS; i++) {
		snprintf(key, sizeof key, "k%03d", i);
		assert_true(ask(key));
	}
	rig_turns();
	assert_int_equal(rig.asked[RIG_CLAIM], 3);
	assert_int_equal(got.n[DB_IS_OURS], 3 * DB_ASK_KEYS);
}

static void
the_claim_goes_to_the_first_who_asked(void **state)
{
	(void) state;
	assert_true(ask("same") && ask("same") && ask("same"));
	rig_turns();
	assert_int_equal(rig.keys[RIG_CLAIM], 1);
	assert_int_equal(got.first, DB_IS_OURS);
	assert_int_equal(got.n[DB_IS_OURS], 1);
	assert_int_equal(got.n[DB_FOUND], 2);
}

static void
what_another_host_claimed_is_found(void **state)
{
	(void) state;
	rig_row_put("theirs", 5, "text", 9, 12345);
	assert_true(ask("theirs"));
	rig_turns();
	assert_int_equal(got.n[DB_FOUND], 1);
	assert_string_equal(got.text, "text");
	assert_int_equal(rig_get("theirs").mark, 0);
}

static bool
refuse(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	static const char *const again[] = { "40001", "40P01", "57014" };

	(void) q;
	if (which != RIG_CLAIM || rig.asked[RIG_CLAIM] > 3)
		return false;
	fake_error(a, again[rig.asked[RIG_CLAIM] - 1], "try again");
	return true;
}

static void
what_the_server_wants_repeated_is_repeated(void **state)
{
	(void) state;
	rig.hook = refuse;
	assert_true(ask("x"));
	rig_turns();
	assert_int_equal(rig.asked[RIG_CLAIM], 4);
	assert_int_equal(got.n[DB_IS_OURS], 1);
	assert_true(db_store_usable(rig.ds));
}

static bool
lacks_feature(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which != RIG_CLAIM)
		return false;
	fake_error(a, "0A000", "correlated subqueries are not supported here");
	return true;
}

static void
an_engine_that_lacks_a_feature_gets_the_plain_statement(void **state)
{
	(void) state;
	rig.hook = lacks_feature;
	assert_true(ask("x"));
	rig_turns();
	assert_true(ask("y"));
	rig_turns();
	assert_int_equal(got.n[DB_IS_OURS], 2);
	assert_int_equal(rig.asked[RIG_CLAIM], 1);	/* not tried again */
	assert_int_equal(rig.asked[RIG_PLAIN], 2);
}

static const char *trouble;

static bool
refuse_claim(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which != RIG_CLAIM)
		return false;
	fake_error(a, trouble, "no");
	return true;
}

/* without the claim before it a row that is read says nothing: many would claim */
static void
a_refused_claim_is_no_answer(void **state)
{
	static const struct { const char *sqlstate; bool usable; } cases[] = {
		{ "22021", true },		/* about these data */
		{ "42501", false },		/* about everything */
		{ "53100", false },
		{ "25006", false },
	};

	(void) state;
	rig.hook = refuse_claim;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		memset(&got, 0, sizeof got);
		trouble = cases[i].sqlstate;
		rig_row_put("x", 5, "text", 9, 12345);
		assert_true(ask("x"));
		rig_turns();
		if (got.n[DB_NO_ANSWER] != 1 || got.n[DB_FOUND] + got.n[DB_IS_OURS] != 0 ||
		    db_store_usable(rig.ds) != cases[i].usable)
			fail_msg("%s: no answer %u, usable %d", trouble, got.n[DB_NO_ANSWER], db_store_usable(rig.ds));
		rig_pass(5000);			/* connected again */
	}
}

static void
silence_is_no_answer_after_the_time_limit(void **state)
{
	(void) state;
	fake_pg.frozen = true;
	assert_true(ask("x") && ask("y"));
	rig_pass(RIG_TIMEOUT_MS - 10);
	assert_int_equal(got.n[DB_NO_ANSWER], 0);
	rig_pass(20);
	assert_int_equal(got.n[DB_NO_ANSWER], 2);
	assert_false(ask("z"));			/* nobody is let wait for a server that is behind */
	fake_thaw();
	rig_pass(1000);
	assert_int_equal(got.n[DB_NO_ANSWER], 2);	/* once each */
	assert_int_equal(got.n[DB_FOUND] + got.n[DB_IS_OURS], 0);
	assert_true(ask("z"));
	rig_turns();
	assert_int_equal(got.n[DB_IS_OURS], 1);
}

static void
a_lost_connection_is_no_answer(void **state)
{
	(void) state;
	fake_pg.frozen = true;
	assert_true(ask("x"));
	rig_turns();
	fake_cut();
	rig_turns();
	assert_int_equal(got.n[DB_NO_ANSWER], 1);
	assert_false(ask("y"));
}

static bool
bad_rows(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which != RIG_READ)
		return false;
	fake_row(a, "stranger", "1", "1", "not asked for", "7", NULL);
	fake_row(a, "x", "1", "1", "!", "7", NULL);
	fake_row(a, "x", "one", "1", "not a number", "7", NULL);
	fake_row(a, "x", "-1", "1", "before time", "7", NULL);
	return true;
}

static void
rows_that_are_none_are_ignored(void **state)
{
	(void) state;
	rig.hook = bad_rows;
	assert_true(ask("x"));
	rig_turns();
	assert_int_equal(got.n[DB_NO_ANSWER], 1);
	assert_false(rig_get("x").there);
	assert_true(db_store_usable(rig.ds));
}

static void
a_queue_has_an_end(void **state)
{
	char	key[16];
	int	n = 0;

	(void) state;
	fake_pg.frozen = true;
	for (; n < DB_ASKS_MAX; n++) {
		snprintf(key, sizeof key, "q%d", n);
		assert_true(ask(key));
	}
	assert_false(ask("one too many"));
	assert_true(ask("q7"));			/* nothing more to keep than one who waits */
	assert_false(db_store_ask(rig.ds, key, DB_KEY_MAX + 1, asked, NULL));
	rig_pass(RIG_TIMEOUT_MS + 10);
	assert_int_equal(got.n[DB_NO_ANSWER], DB_ASKS_MAX + 1);
}

static int64_t released[6];

static bool
see_release(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) a;
	if (which == RIG_RELEASE)
		for (int i = 1; i < 6; i++)
			released[i] = fake_int(q, i);
	return false;
}

static void
a_claim_is_released_only_if_this_host_made_it(void **state)
{
	(void) state;
	rig.hook = see_release;
	db_store_release(rig.ds, "x", 1, 1234);
	rig_turns();
	assert_int_equal(rig.asked[RIG_RELEASE], 1);
	assert_int_equal(released[1], 1234);
	assert_true(released[2] >= (int64_t) RIG_NOW * 1000000);
	assert_int_equal(released[3] >> 32, db_host(rig.ds));
	assert_int_equal(released[4] - released[3], UINT32_MAX);
	assert_int_equal(released[5], RIG_NOW);
}

static void
looking_claims_nothing(void **state)
{
	(void) state;
	rig_row_put("there", 5, "text", 9, 1);
	assert_true(db_store_look(rig.ds, "there", 5, asked, NULL));
	assert_true(db_store_look(rig.ds, "not", 3, asked, NULL));
	rig_turns();
	assert_int_equal(rig.asked[RIG_CLAIM], 0);
	assert_int_equal(rig.asked[RIG_READ], 1);
	assert_int_equal(got.n[DB_FOUND], 1);
	assert_int_equal(got.n[DB_ABSENT], 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_wanted_in_one_turn_flies_together),
		T(more_keys_than_one_flight_takes),
		T(the_claim_goes_to_the_first_who_asked),
		T(what_another_host_claimed_is_found),
		T(what_the_server_wants_repeated_is_repeated),
		T(an_engine_that_lacks_a_feature_gets_the_plain_statement),
		T(a_refused_claim_is_no_answer),
		T(silence_is_no_answer_after_the_time_limit),
		T(a_lost_connection_is_no_answer),
		T(rows_that_are_none_are_ignored),
		T(a_queue_has_an_end),
		T(a_claim_is_released_only_if_this_host_made_it),
		T(looking_claims_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
