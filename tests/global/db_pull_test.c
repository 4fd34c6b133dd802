/* tests/global/db_pull_test.c - what other hosts change arrives, whatever the order of their clocks and commits */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <global/db_part.h>
#include <tests/lib/db_rig.h>

#define THEIRS	((int64_t) 1 << 40)	/* an origin of another host */
#define NOW_US	((int64_t) RIG_NOW * 1000000)

static int
setup(void **state)
{
	int	ret = rig_setup(state);

	rig_forget_asked();
	return ret;
}

static uint64_t
word(int w)
{
	return atomic_load(&shmtab_words(rig.table)[rig.conf.words + (unsigned) w]);
}

static void
a_change_elsewhere_arrives_within_the_interval(void **state)
{
	(void) state;
	rig_put("known", 1, "old", false);
	rig_row_put("known", 2, "new", NOW_US + 1, THEIRS);
	rig_row_put("unknown", 2, "new", NOW_US + 2, THEIRS);
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	assert_string_equal(rig_get("known").text, "new");
	assert_int_equal(rig.asked[RIG_PULL], 1);
}

static void
with_room_to_spare_also_what_nobody_asked_for_comes(void **state)
{
	(void) state;
	rig_row_put("unknown", 2, "new", NOW_US + 2, THEIRS);
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	assert_true(rig_get("unknown").there);
}

static void
what_is_owed_is_not_overwritten(void **state)
{
	(void) state;
	rig.hook = NULL;
	rig_put("ours", 9, "newer", true);
	rig_row_put("ours", 2, "older", NOW_US + 1, THEIRS);
	db_store_free(&rig.ds);			/* nobody to sweep it */
	rig_open();
	rig_pass(30);
	assert_string_equal(rig_get("ours").text, "newer");
}

static void
our_own_rows_are_not_read_back(void **state)
{
	(void) state;
	rig_put("known", 1, "here", false);
	rig_row_put("known", 2, "back", NOW_US + 1, db_host(rig.ds) << 32 | 5);
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	assert_string_equal(rig_get("known").text, "here");
}

static void
many_changes_come_page_by_page(void **state)
{
	char	key[16];

	(void) state;
	for (int i = 0; i < 2 * DB_PULL_ROWS + 500; i++) {
		snprintf(key, sizeof key, "k%d", i);
		rig_row_put(key, i, "text", NOW_US + 1 + i, THEIRS);
	}
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	assert_int_equal(rig.asked[RIG_PULL], 3);
	for (int i = 0; i < 2 * DB_PULL_ROWS + 500; i++) {
		snprintf(key, sizeof key, "k%d", i);
		if (!rig_get(key).there)
			fail_msg("%s has not come", key);
	}
}

/* hosts that write at the same time give the same stamps, and a page may end between two of them */
static void
rows_with_the_same_stamp_are_not_torn_apart(void **state)
{
	char	key[16];

	(void) state;
	for (int i = 0; i < DB_PULL_ROWS + 500; i++) {
		snprintf(key, sizeof key, "k%d", i);
		rig_row_put(key, i, "text", NOW_US + 1 + i - (i % 4), THEIRS + i % 4);
	}
	for (int i = 0; i < 3; i++) {			/* and not where the page is to end, either */
		snprintf(key, sizeof key, "t%d", i);
		rig_row_put(key, i, "text", NOW_US + 1 + DB_PULL_ROWS - 4, THEIRS);
	}
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	for (int i = 0; i < DB_PULL_ROWS + 500; i++) {
		snprintf(key, sizeof key, "k%d", i);
		if (!rig_get(key).there)
			fail_msg("%s has not come", key);
	}
	assert_true(rig_get("t0").there && rig_get("t1").there && rig_get("t2").there);
	assert_int_equal(rig.asked[RIG_PULL], 2);
}

/* what cannot be a record is passed over, be it a whole page */
static void
bad_rows_do_not_hide_those_behind_them(void **state)
{
	char	key[16];

	(void) state;
	for (int i = 0; i < DB_PULL_ROWS + 10; i++) {
		snprintf(key, sizeof key, "k%d", i);
		rig_row_put(key, i, "!", NOW_US + 1 + i, THEIRS);
	}
	rig_row_put("good", 1, "text", NOW_US + 2 * DB_PULL_ROWS, THEIRS);
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	assert_true(rig_get("good").there);
}

/* a host whose clock is behind by less than an interval, or whose commit took its time */
static void
a_row_with_an_older_stamp_is_not_missed(void **state)
{
	(void) state;
	rig_put("late", 1, "old", false);
	rig_row_put("first", 2, "new", NOW_US + 3000000, THEIRS);
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	assert_true(rig_get("first").there);
	rig_row_put("late", 2, "new", NOW_US + 2000000, THEIRS);
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	assert_string_equal(rig_get("late").text, "new");
}

static void
the_place_moves_on_and_survives(void **state)
{
	uint64_t before = word(DB_WORD_SINCE);

	(void) state;
	rig_row_put("x", 2, "new", NOW_US + 1000, THEIRS);
	rig_pass(10 * RIG_SYNC_MS);
	assert_int_equal(word(DB_WORD_SINCE), NOW_US + 1000);
	assert_true(word(DB_WORD_SINCE) > before);
	/* what came while nobody was connected is read by the next */
	rig_put("y", 1, "old", false);
	db_store_free(&rig.ds);
	rig_row_put("y", 2, "new", NOW_US + 2000, THEIRS);
	rig_open();
	rig_pass(200);
	assert_string_equal(rig_get("y").text, "new");
}

/* after so long a tombstone may be gone: what is here is worth nothing, except what is owed */
static void
a_host_that_was_away_for_a_day_begins_anew(void **state)
{
	(void) state;
	rig_row_put("x", 2, "new", NOW_US + 1000, THEIRS);
	rig_pass(10 * RIG_SYNC_MS);
	rig_put("clean", 1, "old", false);
	rig_put("owed", RIG_NOW, "mine", true);
	db_store_free(&rig.ds);
	rig_row_put("z", 2, "new", NOW_US + (int64_t) 24 * 3600 * 1000000, THEIRS);
	rig_open();
	rig_pass(2000);
	assert_false(rig_get("clean").there);
	assert_true(rig_get("owed").there || rig_row_find("owed") != NULL);	/* written, it may go, too */
}

static void
so_does_a_worker_that_lost_its_connection_for_a_day(void **state)
{
	(void) state;
	rig_row_put("x", 2, "new", NOW_US + 1000, THEIRS);
	rig_pass(10 * RIG_SYNC_MS);
	rig_put("clean", 1, "old", false);
	fake_cut();
	rig_turns();
	rig_row_put("z", 2, "new", NOW_US + (int64_t) 24 * 3600 * 1000000, THEIRS);
	rig_pass(2000);
	assert_false(rig_get("clean").there);
}

static bool
another_site(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which != RIG_CHECK)
		return false;
	fake_row(a, "1", "78", "off", "UTF8", "t", NULL);
	return true;
}

static void
another_database_is_another_truth(void **state)
{
	(void) state;
	rig_row_put("x", 2, "new", NOW_US + 1000, THEIRS);
	rig_pass(RIG_SYNC_MS + DB_TICK_MS);
	rig_put("clean", 1, "from the other", false);
	db_store_free(&rig.ds);
	rig_open();
	rig_pass(2000);
	assert_true(rig_get("clean").there);	/* the same one: nothing is forgotten */
	db_store_free(&rig.ds);
	rig.hook = another_site;
	rig_open();
	rig_pass(2000);
	assert_false(rig_get("clean").there);
}

/* what is owed stays so */
static bool
no_write(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which != RIG_WRITE)
		return false;
	fake_error(a, "57014", "cancelled");
	return true;
}

static void
a_broad_row_voids_what_it_names(void **state)
{
	(void) state;
	rig.hook = no_write;
	rig_put("a@x", 1, "text", false);
	rig_put("b@x", 3, "owed", true);
	rig_put("a@y", 1, "text", false);
	rig_row_put("@x", 2, "", NOW_US + 1, THEIRS);
	rig_pass(3 * RIG_SYNC_MS);
	assert_false(rig_get("a@x").there);
	assert_true(rig_get("b@x").there);
	assert_true(rig_get("a@y").there);
	assert_false(rig_get("@x").there);
}

/* each costs a walk through the table: too many are dearer than beginning anew */
static void
too_many_broad_rows_wipe_the_table(void **state)
{
	char	key[16];

	(void) state;
	rig.hook = no_write;
	rig_put("a@y", 1, "text", false);
	rig_put("b@y", 3, "owed", true);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "@d%d", i);
		rig_row_put(key, 2, "", NOW_US + 1 + i, THEIRS);
	}
	rig_pass(3 * RIG_SYNC_MS);
	assert_false(rig_get("a@y").there);
	assert_true(rig_get("b@y").there);
}

static bool
odd(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which == RIG_NEWEST)
		fake_row(a, "-5", NULL);
	else if (which == RIG_PULL)		/* the same page for ever */
		for (int i = 0; i < DB_PULL_ROWS; i++)
			fake_row(a, "x", "5", "1", "text", "1", NULL);
	else
		return false;
	return true;
}

static void
a_server_that_lies_is_not_followed_for_ever(void **state)
{
	(void) state;
	rig.hook = odd;
	rig_pass(2 * RIG_SYNC_MS);
	assert_in_range(rig.asked[RIG_PULL], 1, 6);
	assert_true(db_store_usable(rig.ds));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(a_change_elsewhere_arrives_within_the_interval),
		T(with_room_to_spare_also_what_nobody_asked_for_comes),
		T(what_is_owed_is_not_overwritten),
		T(our_own_rows_are_not_read_back),
		T(many_changes_come_page_by_page),
		T(rows_with_the_same_stamp_are_not_torn_apart),
		T(bad_rows_do_not_hide_those_behind_them),
		T(a_row_with_an_older_stamp_is_not_missed),
		T(the_place_moves_on_and_survives),
		T(a_host_that_was_away_for_a_day_begins_anew),
		T(so_does_a_worker_that_lost_its_connection_for_a_day),
		T(another_database_is_another_truth),
		T(a_broad_row_voids_what_it_names),
		T(too_many_broad_rows_wipe_the_table),
		T(a_server_that_lies_is_not_followed_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
