/* tests/global/db_write_test.c - dirty records become clean when they are committed, and only then */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <global/db_part.h>
#include <tests/lib/db_rig.h>

static unsigned committed, kept;

static void
written(void *ctx, bool yes)
{
	(void) ctx;
	committed += yes;
	kept += !yes;
}

/* update - as verify_store does: a dirty entry, and its key to be written */
static bool
update(const char *key, int64_t version, const char *text)
{
	rig_put(key, version, text, true);
	return db_store_write(rig.ds, key, strlen(key), written, NULL);
}

static bool
update_n(int n)
{
	char	key[16];

	snprintf(key, sizeof key, "k%05d", n);
	return update(key, 10 + n, "text");
}

static unsigned
dirty(void)
{
	struct shmtab_stat st;

	shmtab_stat(rig.table, &st);
	return (unsigned) st.pinned;
}

static int
setup(void **state)
{
	int	ret = rig_setup(state);

	committed = kept = 0;
	rig_forget_asked();
	return ret;
}

static char last_key[64];
static bool disordered;

static bool
see_order(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	char	key[64];

	(void) a;
	if (which != RIG_WRITE)
		return false;
	last_key[0] = 0;
	for (int i = 0; i < fake_array_len(q, 0); i++) {
		fake_array_text(q, 0, i, key, sizeof key);
		disordered = disordered || strcmp(key, last_key) <= 0;
		snprintf(last_key, sizeof last_key, "%s", key);
	}
	return false;
}

static void
updates_of_one_turn_are_one_statement(void **state)
{
	(void) state;
	rig.hook = see_order;
	disordered = false;
	for (int i = 99; i >= 0; i--)
		assert_true(update_n(i));
	assert_int_equal(dirty(), 100);
	rig_turns();
	assert_int_equal(rig.asked[RIG_WRITE], 1);
	assert_int_equal(rig.keys[RIG_WRITE], 100);
	assert_false(disordered);		/* or two hosts could wait for each other's rows */
	assert_int_equal(committed, 100);
	assert_int_equal(dirty(), 0);
	assert_int_equal(rig_row_find("k00007")->version, 17);
	assert_int_equal(rig_row_find("k00007")->origin >> 32, db_host(rig.ds));
}

static void
what_is_too_much_for_one_goes_in_several(void **state)
{
	(void) state;
	for (int i = 0; i < 3 * DB_WRITE_ROWS + 1; i++)
		assert_true(update_n(i));
	rig_turns();
	assert_int_equal(rig.asked[RIG_WRITE], 4);
	assert_int_equal(committed, 3 * DB_WRITE_ROWS + 1);
	assert_int_equal(dirty(), 0);
}

static void
a_second_statement_waits_until_it_is_worth_it(void **state)
{
	(void) state;
	fake_pg.frozen = true;
	assert_true(update_n(0));
	rig_turns();
	for (int i = 1; i < DB_WRITE_MORE; i++)
		assert_true(update_n(i));
	rig_turns();
	assert_int_equal(rig.asked[RIG_WRITE], 1);
	assert_true(update_n(DB_WRITE_MORE));
	rig_turns();
	assert_int_equal(rig.asked[RIG_WRITE], 2);
	for (int i = 1; i <= 2 * DB_WRITE_ROWS; i++)
		assert_true(update_n(DB_WRITE_MORE + i));
	rig_turns();
	assert_int_equal(rig.asked[RIG_WRITE], DB_WRITES_SENT);
	fake_thaw();
	rig_turns();
	assert_int_equal(committed, DB_WRITE_MORE + 1 + 2 * DB_WRITE_ROWS);
}

static void
several_updates_of_one_address_are_one_row(void **state)
{
	(void) state;
	assert_true(update("x", 1, "one") && update("x", 2, "two"));
	rig_turns();
	assert_int_equal(rig.keys[RIG_WRITE], 1);
	assert_int_equal(committed, 2);
	assert_string_equal(rig_row_find("x")->text, "two");
}

static void
what_changed_while_it_was_written_is_written_again(void **state)
{
	(void) state;
	fake_pg.frozen = true;
	assert_true(update("x", 1, "one"));
	rig_turns();
	assert_true(update("x", 2, "two"));
	rig_turns();
	fake_release(3);			/* the first statement: prepared, answered, committed */
	rig_turns();
	assert_int_equal(committed, 1);
	assert_true(rig_get("x").dirty);	/* what is there now was not committed */
	fake_thaw();
	rig_turns();
	assert_int_equal(committed, 2);
	assert_false(rig_get("x").dirty);
	assert_string_equal(rig_row_find("x")->text, "two");
}

static bool	(*rig_encode)(void *, const void *, size_t, const struct shmtab_val *, struct db_row *, int64_t *);
static int64_t stamp_meanwhile;

static bool
encode_late(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v, struct db_row *r, int64_t *when_s)
{
	stamp_meanwhile = db_stamps(rig.ds, 1);
	return rig_encode(ctx, key, key_len, v, r, when_s);
}

/* another worker may have changed the record since we looked, and have sent it already: of the two, that one is the newer */
static void
what_is_stamped_later_was_looked_at_later(void **state)
{
	(void) state;
	rig_encode = rig.kind.encode;
	rig.kind.encode = encode_late;
	assert_true(update("x", 1, "one"));
	rig_turns();
	assert_int_equal(committed, 1);
	assert_true(rig_row_find("x")->changed < stamp_meanwhile);
}

static bool
refuse_bad(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	char	key[64];

	if (which == RIG_WRITE)
		for (int i = 0; i < fake_array_len(q, 0); i++)
			if (strcmp(fake_array_text(q, 0, i, key, sizeof key), "k00033") == 0) {
				fake_error(a, "22021", "invalid byte sequence");
				return true;
			}
	return false;
}

static void
one_that_cannot_be_written_does_not_hold_up_the_others(void **state)
{
	(void) state;
	rig.hook = refuse_bad;
	for (int i = 0; i < 100; i++)
		assert_true(update_n(i));
	rig_turns();
	assert_int_equal(committed, 100);
	assert_int_equal(rig.rows, 99);
	assert_null(rig_row_find("k00033"));
	assert_int_equal(dirty(), 0);		/* it stays on this host, and is not tried again */
	assert_true(rig_get("k00033").there);
	assert_true(db_store_usable(rig.ds));
}

static void
what_the_database_knows_better_comes_back(void **state)
{
	(void) state;
	rig_row_put("x", 50, "better", 9, 12345);
	assert_true(update("x", 1, "worse") && update("y", 1, "good"));
	rig_turns();
	assert_int_equal(committed, 2);
	assert_int_equal(rig.asked[RIG_READ], 1);
	assert_int_equal(rig.keys[RIG_READ], 1);
	assert_string_equal(rig_get("x").text, "better");
	assert_false(rig_get("x").dirty);
}

/* what is better than the record that was refused need not be better than what came meanwhile */
static void
what_came_meanwhile_is_not_given_up_for_it(void **state)
{
	(void) state;
	rig_row_put("x", 50, "better", 9, 12345);
	rig_row_put("y", 50, "best", 9, 12345);
	fake_pg.frozen = true;
	assert_true(update("x", 1, "worse") && update("y", 1, "worse"));
	rig_turns();
	fake_release(3);			/* prepared, answered, committed: both are refused */
	rig_turns();
	assert_int_equal(rig.asked[RIG_READ], 1);
	assert_true(update("x", 60, "newer") && update("y", 40, "newer"));
	fake_thaw();
	rig_turns();
	assert_int_equal(committed, 4);
	assert_string_equal(rig_get("x").text, "newer");
	assert_string_equal(rig_row_find("x")->text, "newer");
	assert_string_equal(rig_get("y").text, "best");
	assert_string_equal(rig_row_find("y")->text, "best");
	assert_int_equal(dirty(), 0);
}

static void
it_is_prepared_once_for_a_connection(void **state)
{
	(void) state;
	for (int i = 0; i < 5; i++) {
		assert_true(update_n(i));
		rig_turns();
	}
	assert_int_equal(fake_pg.prepares, 1);
	assert_int_equal(committed, 5);
	fake_cut();
	rig_pass(5000);
	assert_true(update_n(5));
	rig_turns();
	assert_int_equal(fake_pg.prepares, 2);
	assert_int_equal(committed, 6);
}

static void
a_pooler_that_knows_no_prepared_statements_is_no_trouble(void **state)
{
	(void) state;
	fake_pg.forgets = true;
	for (int i = 0; i < 5; i++) {
		assert_true(update_n(i));
		rig_turns();
	}
	assert_int_equal(committed, 5);
	assert_int_equal(fake_pg.prepares, 1);
	assert_true(db_store_usable(rig.ds));
}

static unsigned refusals;
static const char *refusal;

static bool
refuse_some(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which != RIG_WRITE || refusals == 0)
		return false;
	refusals--;
	fake_error(a, refusal, "not now");
	return true;
}

static void
a_deadlock_is_tried_again_and_not_for_ever(void **state)
{
	(void) state;
	rig.hook = refuse_some;
	refusal = "40P01";
	refusals = 3;
	assert_true(update("x", 1, "text"));
	rig_turns();
	assert_int_equal(committed, 1);
	assert_int_equal(rig.asked[RIG_WRITE], 4);
	refusals = 1000;
	assert_true(update("y", 1, "text"));
	rig_turns();
	assert_int_equal(kept, 1);
	assert_true(rig_get("y").dirty);
	assert_in_range(1000 - refusals, 2, 10);
}

static bool
fail_commit(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	char	key[64];

	if (which != RIG_WRITE || refusals == 0)
		return false;
	refusals--;
	fake_row(a, fake_array_text(q, 0, 0, key, sizeof key), NULL);
	fake_error_at_commit(a, "53100", "could not write: No space left on device");
	return true;
}

static void
executed_is_not_committed(void **state)
{
	(void) state;
	rig.hook = fail_commit;
	refusals = 1;
	assert_true(update("x", 1, "text"));
	rig_turns();
	assert_int_equal(committed, 0);
	assert_int_equal(kept, 1);
	assert_true(rig_get("x").dirty);
	rig_pass(10000);			/* connected again, swept */
	assert_false(rig_get("x").dirty);
	assert_string_equal(rig_row_find("x")->text, "text");
}

static void
nobody_waits_longer_than_the_time_limit(void **state)
{
	(void) state;
	fake_pg.frozen = true;
	assert_true(update("x", RIG_NOW - 100, "text"));
	rig_pass(RIG_TIMEOUT_MS - 10);
	assert_int_equal(kept, 0);
	rig_pass(20);
	assert_int_equal(kept, 1);
	assert_true(rig_get("x").dirty);
	rig_pass(2000);				/* given up as frozen */
	assert_false(update("y", RIG_NOW - 100, "text"));	/* who is refused must not be called */
	fake_thaw();
	rig_pass(10000);
	assert_int_equal(kept, 1);
	assert_int_equal(committed, 0);
	assert_false(rig_get("x").dirty);
	assert_false(rig_get("y").dirty);	/* the sweep has found it */
	assert_non_null(rig_row_find("y"));
}

/* others may have read past the stamp of a commit that took long: it is stamped again */
static void
a_slow_commit_is_stamped_again(void **state)
{
	int64_t first;

	(void) state;
	fake_pg.frozen = true;
	assert_true(update("x", 1, "text"));
	rig_pass(DB_SLOW_MS + 50);
	fake_thaw();
	rig_turns();
	assert_int_equal(committed, 1);
	assert_int_equal(rig.asked[RIG_WRITE], 2);
	first = rig_row_find("x")->changed;
	assert_true(first > (int64_t) RIG_NOW * 1000000);
	assert_true(update("y", 1, "text"));
	rig_turns();
	assert_int_equal(rig.asked[RIG_WRITE], 3);	/* and one that is not slow is not */
	assert_true(rig_row_find("y")->changed > first);
}

/* and if the connection ends before that, by the next: only the database's word that it has it makes it so */
static void
so_is_one_whose_connection_ends(void **state)
{
	int64_t first;

	(void) state;
	fake_pg.frozen = true;
	assert_true(update("x", 1, "text"));
	rig_pass(DB_SLOW_MS + 50);
	fake_release(3);			/* prepared, answered, committed; the next is under way */
	rig_turns();
	assert_int_equal(committed, 1);
	first = rig_row_find("x")->changed;
	rig_row_find("x")->changed = 1;		/* as if it had not been executed */
	fake_cut();
	fake_pg.frozen = false;
	rig_pass(10000);
	assert_true(rig_row_find("x")->changed > first);
	assert_int_equal(dirty(), 0);
}

static void
what_is_not_for_the_database_is_not_sent(void **state)
{
	(void) state;
	assert_true(update("x", 1, "-private"));
	rig_turns();
	assert_int_equal(rig.asked[RIG_WRITE], 0);
	assert_int_equal(committed, 1);
	assert_int_equal(dirty(), 0);
	assert_true(rig_get("x").there);
}

static void
what_is_not_there_is_not_sent(void **state)
{
	static const char long_key[DB_KEY_MAX + 1] = "k";

	(void) state;
	assert_true(db_store_write(rig.ds, "nobody", 6, written, NULL));	/* evicted, or forgotten meanwhile */
	assert_false(db_store_write(rig.ds, long_key, sizeof long_key, written, NULL));
	rig_turns();
	assert_int_equal(rig.asked[RIG_WRITE], 0);
	assert_int_equal(committed, 1);
}

static void
a_lost_connection_loses_nothing(void **state)
{
	(void) state;
	fake_pg.frozen = true;
	assert_true(update_n(0));
	rig_turns();
	for (int i = 1; i <= 200; i++)
		assert_true(update_n(i));
	fake_cut();
	fake_pg.frozen = false;
	rig_turns();
	assert_int_equal(kept, 201);
	assert_int_equal(dirty(), 201);
	rig_pass(10000);
	assert_int_equal(dirty(), 0);
	assert_int_equal(rig.rows, 201);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(updates_of_one_turn_are_one_statement),
		T(what_is_too_much_for_one_goes_in_several),
		T(a_second_statement_waits_until_it_is_worth_it),
		T(several_updates_of_one_address_are_one_row),
		T(what_changed_while_it_was_written_is_written_again),
		T(what_is_stamped_later_was_looked_at_later),
		T(one_that_cannot_be_written_does_not_hold_up_the_others),
		T(what_the_database_knows_better_comes_back),
		T(what_came_meanwhile_is_not_given_up_for_it),
		T(it_is_prepared_once_for_a_connection),
		T(a_pooler_that_knows_no_prepared_statements_is_no_trouble),
		T(a_deadlock_is_tried_again_and_not_for_ever),
		T(executed_is_not_committed),
		T(nobody_waits_longer_than_the_time_limit),
		T(a_slow_commit_is_stamped_again),
		T(so_is_one_whose_connection_ends),
		T(what_is_not_for_the_database_is_not_sent),
		T(what_is_not_there_is_not_sent),
		T(a_lost_connection_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
