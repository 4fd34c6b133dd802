/* tests/util/pg_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/fake_pg.h>
#include <util/mem.h>
#include <util/pg.h>

static const struct pg_host pg_test_hosts[] = {
	{ .keys = { "host", "password" }, .values = { "one", "s3cret" }, .where = "db at one" },
	{ .keys = { "host" }, .values = { "two" }, .where = "db at two" },
};

/* what a test sees */
static struct seen {
	unsigned ups, downs;
	char	 where[64], why[PG_WHY_MAX];	/* of the last event; of the last loss */
	unsigned answers[PG_LOST + 1];
	char	 last[64], sqlstate[6];
} seen;
static const char *pg_test_refuse;	/* what the check says */
static const char *pg_test_sql_error;	/* SQLSTATE for statements that begin with "bad" */
static bool pg_test_drop_in_callback;

static struct ev_loop *loop;
static struct pg *pg;

static void
pg_test_serve(void *ctx, const struct fake_query *q, struct fake_answer *a)
{
	char	text[64];

	(void) ctx;
	if (strcmp(q->sql, "check") == 0)
		fake_row(a, "1", NULL);
	else if (strcmp(q->sql, "bad") == 0)
		fake_error(a, pg_test_sql_error, "no");
	else if (strcmp(q->sql, "commit fails") == 0)
		fake_error_at_commit(a, "40001", "could not serialize");
	else if (strcmp(q->sql, "silence") == 0)
		fake_silence(a);
	else if (strcmp(q->sql, "echo") == 0)
		fake_row(a, fake_text(q, 0, text, sizeof text), NULL);
	else if (strcmp(q->sql, "array") == 0) {
		snprintf(text, sizeof text, "%d", fake_array_len(q, 0));
		fake_row(a, text, NULL);
		for (int i = 0; i < fake_array_len(q, 0); i++) {
			snprintf(text, sizeof text, "%lld", (long long) fake_array_int(q, 1, i));
			fake_row(a, text, NULL);
			fake_row(a, fake_array_text(q, 0, i, text, sizeof text), NULL);
		}
	}
}

static const char *
pg_test_check(void *ctx, const struct pg_reply *r)
{
	(void) ctx;
	assert_int_equal(r->result, PG_DONE);
	assert_int_equal(fake_pg_lib.ntuples(r->res), 1);
	return pg_test_refuse;
}

static void
pg_test_event(void *ctx, enum pg_event event, const char *where, const char *why)
{
	(void) ctx;
	snprintf(seen.where, sizeof seen.where, "%s", where);
	if (event == PG_UP) {
		seen.ups++;
		assert_string_equal(why, "");
		return;
	}
	seen.downs++;
	snprintf(seen.why, sizeof seen.why, "%s", why);
	assert_null(strstr(why, "s3cret"));
}

static void
pg_test_done(void *ctx, const struct pg_reply *r)
{
	(void) ctx;
	seen.answers[r->result]++;
	snprintf(seen.sqlstate, sizeof seen.sqlstate, "%s", r->sqlstate);
	seen.last[0] = 0;
	for (int i = 0; r->result == PG_DONE && r->res != NULL && i < fake_pg_lib.ntuples(r->res); i++)
		snprintf(seen.last + strlen(seen.last), sizeof seen.last - strlen(seen.last), "%s%s", i > 0 ? " " : "",
		    fake_pg_lib.getvalue(r->res, i, 0));
	if (pg_test_drop_in_callback)
		pg_drop(pg, "of no use");
}

/* pg_test_turns - serve what is there, without moving the clock */
static void
pg_test_turns(void)
{
	for (int i = 0; i < 20; i++)
		ev_turn(loop, 0);
}

static void
pg_test_pass(int64_t ms)
{
	for (; ms > 0; ms -= 10) {
		ev_fake_advance(loop, ms < 10 ? ms : 10);
		pg_test_turns();
	}
}

static bool
pg_test_send(const char *sql)
{
	return pg_send(pg, sql, NULL, 1000, pg_test_done, NULL);
}

static void
pg_test_open(unsigned hosts)
{
	struct pg_conf conf = {
		.hosts = pg_test_hosts, .hosts_n = hosts, .check_sql = "check", .connect_ms = 1500, .stall_ms = 2000,
		.pause_min_ms = 100, .pause_max_ms = 5000, .settled_ms = 10000, .sent_max = 4,
	};

	memset(&seen, 0, sizeof seen);
	pg_test_refuse = NULL;
	pg_test_drop_in_callback = false;
	pg = pg_new(loop, &fake_pg_lib, &conf, pg_test_check, pg_test_event, NULL);
	assert_int_equal(seen.ups + seen.downs, 0);
}

static int
pg_test_setup(void **state)
{
	(void) state;
	loop = ev_loop_new_fake(1700000000);
	fake_pg_reset(pg_test_serve, NULL);
	return 0;
}

static int
pg_test_teardown(void **state)
{
	(void) state;
	pg_free(&pg);
	assert_int_equal(fake_open(), 0);
	ev_loop_free(&loop);
	return 0;
}

static void
a_request_is_answered_once_and_later(void **state)
{
	struct pg_args a;

	(void) state;
	pg_test_open(1);
	assert_false(pg_ready(pg));
	assert_false(pg_test_send("echo"));
	pg_test_pass(10);
	assert_true(pg_ready(pg));
	assert_int_equal(seen.ups, 1);
	assert_string_equal(seen.where, "db at one");
	pg_args_init(&a);
	pg_arg_str(&a, "it's; \"quoted\"");
	assert_true(pg_send(pg, "echo", &a, 1000, pg_test_done, NULL));
	pg_args_fini(&a);
	assert_int_equal(seen.answers[PG_DONE], 0);
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 1);
	assert_string_equal(seen.last, "it's; \"quoted\"");
	pg_test_pass(5000);
	assert_int_equal(seen.answers[PG_DONE], 1);
	assert_int_equal(seen.answers[PG_TIMEOUT], 0);
}

static void
arrays_arrive_whole(void **state)
{
	struct pg_args a;

	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	pg_args_init(&a);
	pg_arg_array(&a, PG_TYPE_TEXT, 2);
	pg_elem_text(&a, "", 0);
	pg_elem_text(&a, "b", 1);
	pg_arg_array(&a, PG_TYPE_INT, 2);
	pg_elem_int(&a, -1);
	pg_elem_int(&a, INT64_MAX);
	assert_true(pg_send(pg, "array", &a, 1000, pg_test_done, NULL));
	pg_test_turns();
	assert_string_equal(seen.last, "2 -1  9223372036854775807 b");
	pg_args_fini(&a);
	pg_args_init(&a);
	pg_arg_array(&a, PG_TYPE_TEXT, 0);
	pg_arg_array(&a, PG_TYPE_INT, 0);
	assert_true(pg_send(pg, "array", &a, 1000, pg_test_done, NULL));
	pg_test_turns();
	assert_string_equal(seen.last, "0");
	pg_args_fini(&a);
}

static void
a_refusal_says_why_and_the_next_one_is_served(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	pg_test_sql_error = "42P01";
	assert_true(pg_test_send("bad"));
	assert_true(pg_test_send("ok"));
	pg_test_turns();
	assert_int_equal(seen.answers[PG_REFUSED], 1);
	assert_int_equal(seen.answers[PG_DONE], 1);
	assert_true(pg_ready(pg));
}

static void
what_fails_at_commit_is_not_done(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	assert_true(pg_test_send("commit fails"));
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 0);
	assert_int_equal(seen.answers[PG_REFUSED], 1);
	assert_string_equal(seen.sqlstate, "40001");
}

static void
executed_is_not_committed(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	fake_pg.frozen = true;
	assert_true(pg_test_send("ok"));
	fake_release(1);			/* the statement's result, not its Sync's */
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 0);
	fake_release(1);
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 1);
}

static void
the_pipeline_has_a_limit(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	fake_pg.frozen = true;
	for (int i = 0; i < 4; i++)
		assert_true(pg_test_send("ok"));
	assert_false(pg_ready(pg));
	assert_false(pg_test_send("ok"));
	fake_thaw();
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 4);
	assert_true(pg_ready(pg));
}

static void
a_frozen_server_is_noticed_within_two_seconds(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	pg_test_pass(60000);			/* idle for long: owes nothing */
	assert_int_equal(seen.downs, 0);
	fake_pg.frozen = true;
	assert_true(pg_test_send("ok"));
	pg_test_pass(990);
	assert_int_equal(seen.answers[PG_TIMEOUT], 0);
	pg_test_pass(20);
	assert_int_equal(seen.answers[PG_TIMEOUT], 1);
	assert_false(pg_ready(pg));		/* nobody else is made to wait behind it */
	pg_test_pass(990);
	assert_int_equal(seen.downs, 1);
	assert_string_equal(seen.why, "the server is silent");
	assert_int_equal(seen.answers[PG_LOST], 0);	/* it had its answer */
}

static void
a_late_answer_makes_it_good_again(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	fake_pg.frozen = true;
	assert_true(pg_test_send("ok"));
	pg_test_pass(1100);
	assert_false(pg_ready(pg));
	fake_thaw();
	pg_test_turns();
	assert_true(pg_ready(pg));
	assert_int_equal(seen.answers[PG_TIMEOUT], 1);
	assert_int_equal(seen.answers[PG_DONE], 0);
	assert_true(pg_test_send("ok"));
	pg_test_pass(3000);
	assert_int_equal(seen.answers[PG_DONE], 1);
	assert_int_equal(seen.downs, 0);
}

static void
a_server_that_trickles_is_given_up(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	fake_pg.frozen = true;
	for (int i = 0; i < 400 && seen.downs == 0; i++) {
		(void) pg_test_send("ok");	/* its answers always come, and always too late */
		pg_test_pass(10);
		if (i % 50 == 49)
			fake_release(1);
	}
	assert_int_equal(seen.downs, 1);
	assert_string_equal(seen.why, "the server answers too slowly");
}

static void
a_loss_answers_everyone_and_heals(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	fake_pg.frozen = true;
	assert_true(pg_test_send("ok"));
	assert_true(pg_test_send("ok"));
	fake_cut();
	pg_test_turns();
	assert_int_equal(seen.answers[PG_LOST], 2);
	assert_int_equal(seen.downs, 1);
	assert_string_equal(seen.why, "server closed the connection unexpectedly");
	fake_pg.frozen = false;
	pg_test_pass(200);
	assert_int_equal(seen.ups, 2);
	assert_true(pg_ready(pg));
}

static void
results_that_came_before_the_end_count(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	fake_pg.frozen = true;
	assert_true(pg_test_send("ok"));
	assert_true(pg_test_send("ok"));
	fake_release(2);
	fake_cut();
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 1);
	assert_int_equal(seen.answers[PG_LOST], 1);
}

static void
the_servers_own_reason_is_kept(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	pg_test_sql_error = "57P01";
	assert_true(pg_test_send("bad"));
	pg_test_turns();
	fake_cut();
	pg_test_turns();
	assert_string_equal(seen.why, "no");
}

static void
pauses_grow_and_have_a_limit(void **state)
{
	unsigned first, later;

	(void) state;
	fake_pg.connect = FAKE_REFUSE;
	pg_test_open(1);
	pg_test_pass(1000);
	first = fake_pg.connects;
	assert_in_range(first, 3, 6);		/* 50-100, 100-200, 200-400, 400-800 ms */
	assert_string_equal(seen.why, "connection to server failed: FATAL:  refused");
	pg_test_pass(60000);
	later = fake_pg.connects;
	pg_test_pass(60000);
	assert_in_range(fake_pg.connects - later, 12, 25);	/* 2.5-5 s */
	fake_pg.connect = FAKE_ACCEPT;
	pg_test_pass(5000);
	assert_int_equal(seen.ups, 1);
	assert_true(pg_ready(pg));
}

static void
a_connection_of_no_use_does_not_shorten_the_pause(void **state)
{
	unsigned before;

	(void) state;
	pg_test_drop_in_callback = true;
	pg_test_open(1);
	pg_test_drop_in_callback = true;
	for (int i = 0; i < 3000; i++) {	/* 30 s: each time it connects, and each time it is dropped */
		(void) pg_test_send("ok");
		pg_test_pass(10);
	}
	assert_true(seen.downs > 3);
	assert_string_equal(seen.why, "of no use");
	before = fake_pg.connects;
	for (int i = 0; i < 3000; i++) {
		(void) pg_test_send("ok");
		pg_test_pass(10);
	}
	assert_in_range(fake_pg.connects - before, 5, 13);
}

static void
hosts_are_tried_in_turn(void **state)
{
	(void) state;
	fake_pg.connect = FAKE_HANG;
	pg_test_open(2);
	pg_test_pass(100);
	assert_string_equal(fake_pg.host, "one");
	pg_test_pass(1500);			/* its time is up; the other is asked at once */
	assert_string_equal(fake_pg.host, "two");
	assert_int_equal(fake_pg.connects, 2);
	fake_pg.connect = FAKE_ACCEPT;
	pg_test_pass(1500);			/* the attempt at "two" hangs; then a pause, then "one" */
	pg_test_pass(200);
	assert_int_equal(seen.ups, 1);
	assert_string_equal(seen.where, "db at one");
	fake_cut();
	pg_test_pass(20);
	assert_int_equal(seen.ups, 2);
	assert_string_equal(seen.where, "db at two");
}

static void
a_server_that_fails_the_check_is_not_used(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_refuse = "schema version 7, wanted 1";
	pg_test_pass(3000);
	assert_int_equal(seen.ups, 0);
	assert_true(seen.downs > 2);
	assert_string_equal(seen.why, "schema version 7, wanted 1");
	assert_false(pg_ready(pg));
	pg_test_refuse = NULL;
	pg_test_pass(5000);
	assert_int_equal(seen.ups, 1);
}

static void
a_check_without_answer_has_a_limit(void **state)
{
	(void) state;
	fake_pg.frozen = true;
	pg_test_open(1);
	pg_test_pass(1600);
	assert_int_equal(seen.downs, 1);
	assert_string_equal(seen.why, "no answer in time while connecting");
}

static void
cancelled_callbacks_do_not_run(void **state)
{
	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	fake_pg.frozen = true;
	assert_true(pg_send(pg, "ok", NULL, 1000, pg_test_done, &seen));
	assert_true(pg_send(pg, "ok", NULL, 1000, pg_test_done, NULL));
	pg_cancel(pg, &seen);
	fake_thaw();
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 1);
	assert_true(pg_test_send("silence"));
	pg_free(&pg);				/* with a request under way */
	assert_int_equal(seen.answers[PG_LOST], 0);
}

static bool
pg_test_often(const char *sql)
{
	return pg_send_often(pg, sql, NULL, 1000, pg_test_done, NULL);
}

static void
what_goes_often_is_prepared_once_for_a_connection(void **state)
{
	static const char ok[] = "ok", bad[] = "bad";

	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	for (int i = 0; i < 3; i++) {
		assert_true(pg_test_often(ok));
		assert_true(pg_test_often(bad));
		pg_test_turns();
	}
	assert_int_equal(fake_pg.prepares, 2);
	assert_int_equal(seen.answers[PG_DONE], 3);	/* and each statement is still its own */
	assert_int_equal(seen.answers[PG_REFUSED], 3);
	fake_cut();
	pg_test_pass(1000);
	assert_true(pg_test_often(ok));
	pg_test_turns();
	assert_int_equal(fake_pg.prepares, 3);
	assert_int_equal(seen.answers[PG_DONE], 4);
}

/* as behind a pooler: what one connection of the server knows another does not */
static void
where_names_are_not_known_nothing_is_prepared_any_more(void **state)
{
	static const char ok[] = "ok";

	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	assert_true(pg_test_often(ok));
	pg_test_turns();
	fake_pg.forgets = true;
	assert_true(pg_test_often(ok));
	pg_test_turns();
	assert_int_equal(seen.answers[PG_REFUSED], 1);
	assert_string_equal(seen.sqlstate, "26000");
	assert_true(pg_ready(pg));
	assert_true(pg_test_often(ok));
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 2);
	fake_cut();
	pg_test_pass(1000);
	assert_true(pg_test_often(ok));
	pg_test_turns();
	assert_int_equal(seen.answers[PG_DONE], 3);
	assert_int_equal(fake_pg.prepares, 1);
}

static void
a_plan_that_is_out_of_date_is_not_a_lacking_feature(void **state)
{
	static const char bad[] = "bad";

	(void) state;
	pg_test_open(1);
	pg_test_pass(10);
	pg_test_sql_error = "0A000";
	assert_true(pg_test_often(bad));
	pg_test_turns();
	assert_string_equal(seen.sqlstate, "26000");	/* so it is sent again */
	assert_true(pg_test_often(bad));
	pg_test_turns();
	assert_string_equal(seen.sqlstate, "0A000");	/* and this time it is true */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, pg_test_setup, pg_test_teardown)
	const struct CMUnitTest tests[] = {
		T(a_request_is_answered_once_and_later),
		T(arrays_arrive_whole),
		T(a_refusal_says_why_and_the_next_one_is_served),
		T(what_fails_at_commit_is_not_done),
		T(executed_is_not_committed),
		T(the_pipeline_has_a_limit),
		T(a_frozen_server_is_noticed_within_two_seconds),
		T(a_late_answer_makes_it_good_again),
		T(a_server_that_trickles_is_given_up),
		T(a_loss_answers_everyone_and_heals),
		T(results_that_came_before_the_end_count),
		T(the_servers_own_reason_is_kept),
		T(pauses_grow_and_have_a_limit),
		T(a_connection_of_no_use_does_not_shorten_the_pause),
		T(hosts_are_tried_in_turn),
		T(a_server_that_fails_the_check_is_not_used),
		T(a_check_without_answer_has_a_limit),
		T(cancelled_callbacks_do_not_run),
		T(what_goes_often_is_prepared_once_for_a_connection),
		T(where_names_are_not_known_nothing_is_prepared_any_more),
		T(a_plan_that_is_out_of_date_is_not_a_lacking_feature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
