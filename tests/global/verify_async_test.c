/* tests/global/verify_async_test.c - against the scripted verify service, under a fake clock */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/verify_async.h>
#include <tests/lib/verify_stub.h>

#define REAL_S	20		/* no test waits longer for anything */
#define DEADLINE 30000

static struct fix {
	char	dir[64], path[96];
	struct ev_loop *loop;
	struct verify_stub stub;
	bool	listening, asking;
	struct verify_async *va;
	unsigned count[3];		/* by result */
	unsigned tag_count[2000];	/* by the callback's context */
	enum verify_status status;
	char	reason[300];
	bool	free_in_callback;
	unsigned again;
	struct verify_async_req *cancel;	/* the callback cancels this one */
	unsigned lines;
	char	line[2100];
} fix;

static void
fix_done(void *ctx, enum verify_async_result result, enum verify_status status, const char *reason)
{
	size_t	tag = (size_t) ((unsigned *) ctx - fix.tag_count);

	assert_false(fix.asking);
	fix.count[result]++;
	fix.tag_count[tag]++;
	fix.status = status;
	snprintf(fix.reason, sizeof fix.reason, "%s", reason);
	if (fix.again > 0) {
		fix.again--;
		assert_non_null(verify_async_query(fix.va, "2@again.test", DEADLINE, fix_done, ctx));
	}
	if (fix.cancel != NULL) {
		verify_async_cancel(fix.va, fix.cancel);
		fix.cancel = NULL;
	}
	if (fix.free_in_callback) {
		verify_async_free(&fix.va);
		/* reason is ours until we return */
		snprintf(fix.reason, sizeof fix.reason, "%s", reason);
	}
}

static void
fix_line(void *ctx, int level, const char *line)
{
	(void) ctx, (void) level;
	fix.lines++;
	snprintf(fix.line, sizeof fix.line, "%s", line);
}

static void
fix_listen(int backlog)
{
	if (verify_stub_open(&fix.stub, fix.loop, fix.path, backlog) < 0)
		fail_msg("cannot listen at %s", fix.path);
	fix.listening = true;
}

static void
fix_unlisten(void)
{
	if (fix.listening) {
		verify_stub_close(&fix.stub);
		unlink(fix.path);
	}
	fix.listening = false;
}

static int
fix_setup(void **state)
{
	(void) state;
	memset(&fix, 0, sizeof fix);
	strcpy(fix.dir, "/tmp/vouch-test.XXXXXX");
	if (mkdtemp(fix.dir) == NULL)
		return -1;
	snprintf(fix.path, sizeof fix.path, "%s/verify", fix.dir);
	fix.loop = ev_loop_new_fake(1700000000);
	msg_catch(fix_line, NULL);
	return 0;
}

static int
fix_teardown(void **state)
{
	(void) state;
	verify_async_free(&fix.va);
	fix_unlisten();
	ev_loop_free(&fix.loop);
	rmdir(fix.dir);
	msg_catch(NULL, NULL);
	return 0;
}

static void
fix_start(unsigned conn_limit, size_t queue_limit)
{
	fix.va = verify_async_new(fix.loop, fix.path, conn_limit, queue_limit, 5000);
}

static struct verify_async_req *
ask(const char *addr, size_t tag)
{
	struct verify_async_req *r;

	fix.asking = true;
	r = verify_async_query(fix.va, addr, DEADLINE, fix_done, &fix.tag_count[tag]);
	fix.asking = false;
	return r;
}

static struct verify_async_req *
tell(const char *addr, int status, const char *reason, size_t tag)
{
	struct verify_async_req *r;

	fix.asking = true;
	r = verify_async_update(fix.va, addr, status, reason, DEADLINE, fix_done, &fix.tag_count[tag]);
	fix.asking = false;
	return r;
}

static void
settle(void)
{
	time_t	end = time(NULL) + REAL_S;

	while (ev_turn(fix.loop, 0) > 0)
		if (time(NULL) > end)
			fail_msg("the loop does not come to rest");
}

static void
advance(int64_t ms, int64_t step_ms)
{
	for (; ms > 0; ms -= step_ms) {
		settle();
		ev_fake_advance(fix.loop, step_ms < ms ? step_ms : ms);
	}
	settle();
}

static unsigned
finished(void)
{
	return fix.count[VERIFY_ASYNC_DONE] + fix.count[VERIFY_ASYNC_REFUSED] + fix.count[VERIFY_ASYNC_FAILED];
}

static void
test_query(void **state)
{
	static const struct {
		const char *addr;
		enum verify_status want;
	} cases[] = {
		{ "0@a.test", VERIFY_OK }, { "1@a.test", VERIFY_DEFER }, { "2@a.test", VERIFY_BOUNCE },
		{ "3@a.test", VERIFY_TODO }, { "", VERIFY_TODO }, { "0:x=\xc3\xa9 @a.test", VERIFY_OK },
	};
	char	want[300];

	(void) state;
	fix_listen(5);
	fix_start(4, 100);
	for (size_t i = 0; i < NELEM(cases); i++) {
		ask(cases[i].addr, i);
		settle();
		snprintf(want, sizeof want, "text for %s", cases[i].addr);
		if (fix.tag_count[i] != 1 || fix.status != cases[i].want || strcmp(fix.reason, want) != 0)
			fail_msg("%s: %u calls, status %d, reason %s", cases[i].addr, fix.tag_count[i], fix.status,
			    fix.reason);
	}
	assert_int_equal(fix.stub.accepted, 1);		/* one connection, kept */
}

static void
test_update(void **state)
{
	(void) state;
	fix_listen(5);
	fix_start(4, 100);
	tell("a@b.test", 2, "unknown: user", 0);
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 1);
	assert_string_equal(fix.stub.addr, "a@b.test");
	assert_string_equal(fix.stub.reason, "unknown: user");
	assert_int_equal(fix.stub.status, 2);
	tell("c@b.test", 0, "", 0);
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 2);
	assert_int_equal(fix.stub.status, 0);
	assert_string_equal(fix.stub.reason, "");
	tell("!@b.test", 0, "", 0);
	ask("!@b.test", 0);
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_REFUSED], 2);
	assert_int_equal(fix.stub.accepted, 2);		/* two at a time at the end; a refusal spoils no connection */
}

/* what comes of a query and of an update, whatever the service does */
static void
test_modes(void **state)
{
	static const struct {
		enum verify_stub_mode mode;
		enum verify_async_result want;
	} cases[] = {
		{ VSTUB_GOOD,	   VERIFY_ASYNC_DONE },
		{ VSTUB_IGNORE,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_CLOSE,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_SILENT,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_BADNAME,   VERIFY_ASYNC_FAILED },
		{ VSTUB_EMPTY,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_GARBAGE,   VERIFY_ASYNC_FAILED },
		{ VSTUB_TALK,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_BYTES,	   VERIFY_ASYNC_DONE },
		{ VSTUB_EOF,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_HANG,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_HALF,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_HALFCLOSE, VERIFY_ASYNC_FAILED },
		{ VSTUB_FLOOD,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_BADNUM,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_MISSING,   VERIFY_ASYNC_FAILED },
		{ VSTUB_ORDER,	   VERIFY_ASYNC_FAILED },
		{ VSTUB_EXTRA,	   VERIFY_ASYNC_DONE },
		{ VSTUB_TWICE,	   VERIFY_ASYNC_DONE },
		{ VSTUB_ONCE,	   VERIFY_ASYNC_DONE },
		{ VSTUB_LATER,	   VERIFY_ASYNC_DONE },
		{ VSTUB_BADSTATUS, VERIFY_ASYNC_FAILED },	/* queries only: last, see below */
	};

	for (size_t i = 0; i < 2 * NELEM(cases) - 1; i++) {
		enum verify_stub_mode mode = cases[i / 2].mode;
		bool	query = i % 2 == 0;
		int64_t	ms;

		if (i > 0)
			fix_setup(state);
		fix_listen(5);
		fix_start(2, 10);
		verify_stub_script(&fix.stub, mode);
		for (unsigned n = 0; n < 3; n++)
			if (query)
				ask("2@b.test", n);
			else
				tell("a@b.test", 1, "later", n);
		/* a service that never ends its reply never lets the loop rest */
		for (ms = 0; ms < DEADLINE && finished() < 3; ms += 300) {
			for (int turn = 0; turn < 100 && ev_turn(fix.loop, 0) > 0; turn++)
				;
			ev_fake_advance(fix.loop, 300);
		}
		if (finished() != 3 || fix.count[cases[i / 2].want] != 3)
			fail_msg("mode %d, %s: done %u refused %u failed %u, want result %d", mode,
			    query ? "query" : "update", fix.count[0], fix.count[1], fix.count[2], cases[i / 2].want);
		if (query && cases[i / 2].want == VERIFY_ASYNC_DONE &&
		    (fix.status != VERIFY_BOUNCE || strcmp(fix.reason, "text for 2@b.test") != 0))
			fail_msg("mode %d: status %d, reason %s", mode, fix.status, fix.reason);
		if (fix.stub.open_max > 2 * 2)		/* the service sees a close after the next connect */
			fail_msg("mode %d: %u connections", mode, fix.stub.open_max);
		/* 30 s of trying, with pauses up to 1 s */
		if (fix.stub.accepted > 2 * 40)
			fail_msg("mode %d: %u attempts in 30 s", mode, fix.stub.accepted);
		if (i + 1 < 2 * NELEM(cases) - 1)
			fix_teardown(state);
	}
}

/* nobody there: every request ends at its own deadline, with one line in the log */
static void
test_away(void **state)
{
	(void) state;
	fix_start(2, 10);
	ask("a@b.test", 0);
	advance(10000, 100);
	ask("a@b.test", 1);
	advance(19999, 19999);
	assert_int_equal(finished(), 0);
	advance(1, 1);
	assert_int_equal(fix.count[VERIFY_ASYNC_FAILED], 1);
	assert_int_equal(fix.tag_count[0], 1);
	assert_true(fix.lines >= 1 && fix.lines <= 1 + REAL_S / 10);
	assert_true(strncmp(fix.line, "warning: verify service ", 24) == 0);
	fix_listen(5);					/* in time for the other */
	advance(1000, 100);
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 1);
	assert_int_equal(fix.tag_count[1], 1);
}

static void
fix_hangup(void *ctx)
{
	(void) ctx;
	verify_stub_hangup(&fix.stub);
}

/* a server that goes between requests is not noticed by the requester; nor is one that goes with the request in hand */
static void
test_renewed(void **state)
{
	struct ev_defer hangup = { 0 };

	(void) state;
	fix_listen(5);
	fix_start(2, 10);
	ask("0@b.test", 0);
	settle();
	/* each time the new connection fails once: the first failure costs no pause, and the old one's end is none */
	ev_defer_set(fix.loop, &hangup, fix_hangup, NULL);	/* after this turn's events, before the request is sent */
	fix.stub.fail_first = 1;
	ask("1@b.test", 1);
	settle();
	assert_int_equal(fix.lines, 0);
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 2);
	assert_int_equal(fix.status, VERIFY_DEFER);
	verify_stub_hangup(&fix.stub);
	settle();					/* the idle connection goes by itself */
	fix.stub.fail_first = 1;
	ask("2@b.test", 2);
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 3);
	assert_int_equal(fix.stub.accepted, 5);
	assert_int_equal(fix.lines, 0);
	fix.stub.fail_first = 2;
	tell("a@b.test", 1, "x", 3);
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 3);
	advance(49, 49);
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 3);
	advance(1, 1);
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 4);
	assert_int_equal(fix.lines, 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(fix.tag_count[i], 1);
}

/* a server that speaks unasked: the connection is of no use any more */
static void
test_unasked(void **state)
{
	(void) state;
	fix_listen(5);
	fix_start(2, 10);
	verify_stub_script(&fix.stub, VSTUB_LATER);
	ask("0@b.test", 0);
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 1);
	assert_int_equal(fix.stub.open, 0);
	verify_stub_script(&fix.stub, VSTUB_TWICE);
	ask("0@b.test", 0);
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 2);
	assert_int_equal(fix.stub.open, 0);
}

static void
test_idle(void **state)
{
	(void) state;
	fix_listen(5);
	fix_start(2, 10);
	ask("0@b.test", 0);
	advance(4999, 4999);
	assert_int_equal(fix.stub.open, 1);
	ask("0@b.test", 0);				/* used again: the idle time starts anew */
	settle();
	advance(4999, 4999);
	assert_int_equal(fix.stub.open, 1);
	advance(1, 1);
	assert_int_equal(fix.stub.open, 0);
	assert_int_equal(fix.stub.accepted, 1);
}

/* a connection in constant use ends after 1000 s, so that an old server process can go */
static void
test_ttl(void **state)
{
	(void) state;
	fix_listen(5);
	fix_start(2, 10);
	for (int i = 0; i < 1000; i++) {
		ask("0@b.test", 0);
		settle();
		advance(1000, 1000);
	}
	assert_int_equal(fix.stub.accepted, 1);
	ask("0@b.test", 0);
	settle();
	assert_int_equal(fix.stub.open, 0);
	ask("0@b.test", 0);
	settle();
	assert_int_equal(fix.stub.accepted, 2);
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 1002);
}

static void
test_limits(void **state)
{
	(void) state;
	fix_listen(50);
	fix_start(3, 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_non_null(ask("0@b.test", i));
	assert_null(ask("0@b.test", 1000));
	assert_null(tell("0@b.test", 0, "", 1000));
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 1000);
	assert_int_equal(fix.stub.open_max, 3);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(fix.tag_count[i], 1);
	/* those on a connection do not count */
	verify_stub_script(&fix.stub, VSTUB_HANG);
	for (size_t i = 0; i < 1000; i++)
		assert_non_null(ask("0@b.test", i));
	settle();
	for (size_t i = 0; i < 3; i++)
		assert_non_null(ask("0@b.test", i));
	assert_null(ask("0@b.test", 0));
	/* the end of all their time */
	advance(DEADLINE, 1000);
	assert_int_equal(fix.count[VERIFY_ASYNC_FAILED], 1003);
}

/* a full listen queue is waited out quietly */
static void
test_listen_queue_full(void **state)
{
	(void) state;
	fix_listen(1);
	verify_stub_script(&fix.stub, VSTUB_IGNORE);
	fix_start(50, 1000);
	for (size_t i = 0; i < 100; i++)
		ask("0@b.test", i);
	advance(1000, 20);
	assert_int_equal(fix.lines, 0);
	verify_stub_script(&fix.stub, VSTUB_GOOD);
	advance(3000, 20);
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 100);
}

static void
test_cancel(void **state)
{
	struct verify_async_req *waiting, *open;

	(void) state;
	fix_listen(5);
	verify_stub_script(&fix.stub, VSTUB_HANG);
	fix_start(1, 10);
	open = ask("0@b.test", 0);
	settle();
	waiting = ask("1@b.test", 1);
	ask("2@b.test", 2);
	verify_async_cancel(fix.va, waiting);
	verify_stub_script(&fix.stub, VSTUB_GOOD);
	settle();
	assert_int_equal(finished(), 0);
	verify_async_cancel(fix.va, open);		/* frees the one connection */
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 1);
	assert_int_equal(fix.tag_count[2], 1);
	assert_int_equal(fix.status, VERIFY_BOUNCE);	/* its own answer, not that of the cancelled */
	/* before the loop has seen it at all; and from another request's callback */
	verify_async_cancel(fix.va, ask("0@b.test", 0));
	ask("0@b.test", 3);
	fix.cancel = ask("0@b.test", 4);
	settle();
	advance(2 * DEADLINE, 1000);
	assert_int_equal(finished(), 2);
	assert_int_equal(fix.tag_count[0] + fix.tag_count[1] + fix.tag_count[4], 0);
}

static void
test_callback_asks(void **state)
{
	(void) state;
	fix_listen(5);
	fix_start(2, 10);
	fix.again = 100;
	ask("0@b.test", 0);
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 101);
	assert_int_equal(fix.stub.accepted, 1);
}

static void
test_callback_frees(void **state)
{
	static const enum verify_stub_mode modes[] = { VSTUB_GOOD, VSTUB_TWICE, VSTUB_ONCE, VSTUB_HANG, VSTUB_CLOSE };

	for (size_t i = 0; i < NELEM(modes); i++) {
		if (i > 0)
			fix_setup(state);
		fix_listen(5);
		verify_stub_script(&fix.stub, modes[i]);
		fix_start(2, 10);
		fix.free_in_callback = true;
		for (size_t n = 0; n < 5; n++)
			ask("0@b.test", n);
		advance(DEADLINE, 1000);
		assert_int_equal(finished(), 1);
		assert_null(fix.va);
		if (modes[i] == VSTUB_GOOD)
			assert_string_equal(fix.reason, "text for 0@b.test");
		if (i + 1 < NELEM(modes))
			fix_teardown(state);
	}
	verify_async_free(&fix.va);			/* NULL is fine */
}

/* a request that does not fit the socket's buffer leaves in pieces; one that no server would take is not queued */
static void
test_long(void **state)
{
	char   *text = mem_alloc(600001);

	(void) state;
	fix_listen(5);
	fix_start(2, 10);
	memset(text, 'x', 500000);
	assert_non_null(tell("a@b.test", 1, text, 0));
	settle();
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 1);
	verify_stub_script(&fix.stub, VSTUB_HASTY);	/* an acknowledgement of half a request is none */
	assert_non_null(tell("a@b.test", 1, text, 0));
	advance(DEADLINE, 100);
	assert_int_equal(fix.count[VERIFY_ASYNC_DONE], 1);
	assert_int_equal(fix.count[VERIFY_ASYNC_FAILED], 1);
	memset(text, 'x', 600000);
	assert_null(tell("a@b.test", 1, text, 0));
	assert_null(ask(text, 0));
	mem_free(&text);
}

int
main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(test_query),
		T(test_update),
		T(test_modes),
		T(test_away),
		T(test_renewed),
		T(test_unasked),
		T(test_idle),
		T(test_ttl),
		T(test_limits),
		T(test_listen_queue_full),
		T(test_cancel),
		T(test_callback_asks),
		T(test_callback_frees),
		T(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
