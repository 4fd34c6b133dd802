/* tests/global/db_house_test.c - one worker of the host does the housework, one host of all removes what has expired */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <global/db_part.h>
#include <tests/lib/db_rig.h>

static struct {
	int64_t	lease_holder, lease_done_before, kept_until, kept_done;
	char	kept_place[64];
	char	from[8][64], to[8][64];
	int64_t	to_end[8];
	unsigned ranges, steps;
} seen;

static int
setup(void **state)
{
	memset(&seen, 0, sizeof seen);
	return rig_setup_closed(state);
}

/* serve - three steps of cleaning: up to m, up to t, to the end */
static bool
serve(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	unsigned n = seen.ranges;

	if (which == RIG_LEASE) {
		seen.lease_holder = fake_int(q, 1);
		seen.lease_done_before = fake_int(q, 4);
	} else if (which == RIG_KEEP) {
		seen.kept_until = fake_int(q, 2);
		fake_text(q, 3, seen.kept_place, sizeof seen.kept_place);
		seen.kept_done = fake_int(q, 4);
	} else if (which == RIG_CLEAN_TO && seen.steps++ < 2) {
		fake_row(a, seen.steps == 1 ? "m" : "t", NULL);
	} else if (which == RIG_CLEAN && n < 8) {
		fake_text(q, 0, seen.from[n], sizeof seen.from[n]);
		fake_text(q, 1, seen.to[n], sizeof seen.to[n]);
		seen.to_end[n] = fake_int(q, 2);
		seen.ranges++;
		fake_row(a, "gone1", NULL);
		fake_row(a, "gone2", NULL);
	} else
		return false;
	return which != RIG_LEASE;
}

static void
expired_rows_go_in_steps_when_the_lease_is_ours(void **state)
{
	(void) state;
	rig.hook = serve;
	rig.lease = true;
	rig.conf.clean_s = 43200;
	rig_open();
	rig_pass(2000);
	assert_int_equal(seen.lease_holder, db_host(rig.ds));
	assert_in_range(seen.lease_done_before / 1000000, RIG_NOW - 43200 - 1, RIG_NOW - 43200 + 3);
	assert_int_equal(seen.ranges, 3);
	assert_string_equal(seen.from[0], "");
	assert_string_equal(seen.to[0], "m");
	assert_string_equal(seen.from[1], "m");
	assert_string_equal(seen.to[1], "t");
	assert_string_equal(seen.from[2], "t");
	assert_int_equal(seen.to_end[0] + seen.to_end[1], 0);
	assert_int_equal(seen.to_end[2], 1);
	assert_int_equal(seen.kept_until, 0);			/* given back, and when it was done */
	assert_true(seen.kept_done >= (int64_t) RIG_NOW * 1000000);
	rig_forget_asked();
	rig_pass(50000);
	assert_int_equal(rig.asked[RIG_CLEAN], 0);
	rig_pass(20000);
	assert_int_equal(rig.asked[RIG_LEASE], 1);		/* asked for again, a minute later */
}

static void
without_the_lease_nothing_is_removed(void **state)
{
	(void) state;
	rig.hook = serve;
	rig.conf.clean_s = 43200;
	rig_open();
	rig_pass(5000);
	assert_int_equal(rig.asked[RIG_LEASE], 1);
	assert_int_equal(rig.asked[RIG_CLEAN_TO] + rig.asked[RIG_CLEAN], 0);
}

static void
cleaning_can_be_turned_off(void **state)
{
	(void) state;
	rig.lease = true;
	rig_open();
	rig_pass(5000);
	assert_int_equal(rig.asked[RIG_LEASE], 0);
}

static bool
slow_steps(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	if (which == RIG_CLEAN_TO)
		seen.steps = 0;
	return serve(which, q, a);
}

/* a lease is kept while it is used, with the place: who takes it over goes on from there */
static void
a_long_run_keeps_its_lease(void **state)
{
	(void) state;
	rig.hook = slow_steps;
	rig.lease = true;
	rig.conf.clean_s = 43200;
	rig_open();
	rig_pass(40000);
	assert_true(rig.asked[RIG_KEEP] >= 1);
	assert_string_equal(seen.kept_place, "m");
	assert_true(seen.kept_until > (int64_t) RIG_NOW * 1000000);
	assert_int_equal(seen.kept_done, 0);
	assert_in_range(rig.asked[RIG_CLEAN], 100, 1000);	/* one step in a tick at most */
}

static void
what_is_dirty_and_old_is_swept(void **state)
{
	char	key[16];

	(void) state;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		rig_put(key, RIG_NOW - 10, "left by a dead worker", true);
	}
	rig_put("young", RIG_NOW, "on its way", true);
	rig_open();
	rig_pass(1500);
	assert_int_equal(rig.rows, 1000);
	assert_true(rig_get("young").dirty);
	rig_pass(2000);
	assert_false(rig_get("young").dirty);
	assert_int_equal(rig.rows, 1001);
}

/* the wall clock was set back since: they look as if they were to come */
static void
what_is_dirty_and_from_the_future_is_swept(void **state)
{
	(void) state;
	rig_put("soon", RIG_NOW + 3600, "from before the clock was set back", true);
	rig_put("far", RIG_NOW + 366 * 86400, "from a year ahead", true);
	rig_open();
	rig_pass(3000);
	assert_int_equal(rig.rows, 2);
	assert_false(rig_get("soon").dirty);
	assert_false(rig_get("far").dirty);
}

static bool
no_pull(enum rig_sql which, const struct fake_query *q, struct fake_answer *a)
{
	(void) q;
	if (which != RIG_PULL)
		return false;
	fake_error(a, "57014", "cancelled");
	return true;
}

/* first what others have forgotten, then what we still owe */
static void
nothing_is_swept_before_the_first_pull(void **state)
{
	(void) state;
	rig_put("owed", RIG_NOW - 10, "text", true);
	rig.hook = no_pull;
	rig_open();
	rig_pass(5000);
	assert_true(rig_get("owed").dirty);
	assert_int_equal(rig.asked[RIG_WRITE], 0);
	rig.hook = NULL;
	rig_pass(5000);
	assert_false(rig_get("owed").dirty);
}

static enum shmtab_act
void_all(void *ctx, const struct db_row *r, const void *key, size_t key_len, const struct shmtab_val *old,
    struct shmtab_val *new)
{
	(void) ctx;
	(void) old;
	(void) new;
	return key_len > r->key_len && memcmp((const char *) key + key_len - r->key_len, r->key, r->key_len) == 0 ?
	    SHMTAB_DELETE : SHMTAB_KEEP;
}

/* what a whole domain's forgetting voids is found part by part of the table: until then it must not be written, either */
static void
nothing_is_swept_that_is_void(void **state)
{
	char	key[16];

	(void) state;
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof key, "k%d@x", i);
		rig_put(key, RIG_NOW - 10, "owed, and forgotten since", true);
	}
	rig_put("other@y", RIG_NOW - 10, "owed", true);
	rig_row_put("@x", 2, "", (int64_t) RIG_NOW * 1000000, (int64_t) 1 << 40);
	rig.kind.voids = void_all;
	rig_open();
	rig_pass(5000);
	assert_false(rig_get("k7@x").there);
	assert_null(rig_row_find("k7@x"));
	assert_false(rig_get("other@y").dirty);
	assert_int_equal(rig.rows, 2);
}

static void
a_dead_workers_office_is_taken(void **state)
{
	(void) state;
	rig_open();
	rig_pass(200);
	rig_forget_asked();
	rig_pass(10000);
	assert_in_range(rig.asked[RIG_PULL], 9, 11);	/* once in an interval */
	/* a dead one's does not count */
	atomic_store(db_word(rig.ds, DB_WORD_LEADER), (uint64_t) (shmtab_self(rig.table) + 77) << 32 | (uint32_t) ev_now_ms(rig.loop));
	rig_pass(DB_TICK_MS + 10);
	assert_int_equal(atomic_load(db_word(rig.ds, DB_WORD_LEADER)) >> 32, shmtab_self(rig.table));
}

static void
the_office_is_given_up_with_the_connection(void **state)
{
	(void) state;
	rig_open();
	rig_pass(200);
	assert_int_not_equal(atomic_load(db_word(rig.ds, DB_WORD_LEADER)), 0);
	fake_pg.connect = FAKE_REFUSE;
	fake_cut();
	rig_turns();
	assert_int_equal(atomic_load(db_word(rig.ds, DB_WORD_LEADER)), 0);
}

static void
a_host_says_who_it_is(void **state)
{
	(void) state;
	rig_open();
	rig_pass(500);
	assert_int_equal(rig.asked[RIG_HOST], 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(expired_rows_go_in_steps_when_the_lease_is_ours),
		T(without_the_lease_nothing_is_removed),
		T(cleaning_can_be_turned_off),
		T(a_long_run_keeps_its_lease),
		T(what_is_dirty_and_old_is_swept),
		T(what_is_dirty_and_from_the_future_is_swept),
		T(nothing_is_swept_before_the_first_pull),
		T(nothing_is_swept_that_is_void),
		T(a_dead_workers_office_is_taken),
		T(the_office_is_given_up_with_the_connection),
		T(a_host_says_who_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
