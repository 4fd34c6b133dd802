/* tests/global/probe_submit_test.c - against the scripted cleanup service, under a fake clock */
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
#include <global/probe_submit.h>
#include <global/record.h>
#include <tests/lib/cleanup_stub.h>
#include <tests/lib/transcript.h>

#define WALL_S	1795199697	/* transcript 20 */
#define REAL_S	20		/* no test waits longer for anything */

static struct fix {
	char	dir[64], path[96];
	struct ev_loop *loop;
	struct cleanup_stub stub;
	bool	listening, adding;
	struct probe_submit_conf conf;
	struct probe_submit *ps;
	/* results */
	unsigned count[3];
	int64_t	last_tag;
	char	last_rcpt[256];
	unsigned char *seen;		/* by tag, when not NULL */
	unsigned again;			/* probes that the callback adds */
	bool	free_in_callback;
	/* the last message */
	struct buf raw;
	char	sender[256];
	unsigned poisoned;		/* messages for poison@ so far; each gets status 1 */
	char	order[64];		/* first letters of the recipients, as they came */
	/* log */
	unsigned lines;
	char	first[2100], line[2100];
} fix;

static void
fix_done(void *ctx, const char *rcpt, int64_t tag, enum probe_submit_result result)
{
	struct fix *f = ctx;

	assert_false(f->adding);
	f->count[result]++;
	f->last_tag = tag;
	snprintf(f->last_rcpt, sizeof f->last_rcpt, "%s", rcpt);
	if (f->seen != NULL)
		f->seen[tag]++;
	if (f->again > 0) {
		f->again--;
		assert_int_equal(probe_submit_add(f->ps, "again@x.test", 0), 0);
	}
	if (f->free_in_callback)
		probe_submit_free(&f->ps);
}

static void
fix_message(void *ctx, struct cleanup_stub_probe *p)
{
	struct fix *f = ctx;

	if (p->why != NULL)
		fail_msg("cleanup would refuse the message: %s", p->why);
	buf_reset(&f->raw);
	buf_add(&f->raw, p->raw->data, p->raw->len);
	snprintf(f->sender, sizeof f->sender, "%s", p->sender);
	assert_int_equal(p->trace_flags, 256);
	if (strlen(f->order) < sizeof f->order - 1)
		f->order[strlen(f->order)] = p->rcpt[0];
	if (strncmp(p->rcpt, "poison@", 7) == 0) {
		p->status = 1;
		f->poisoned++;
	}
}

static void
fix_line(void *ctx, int level, const char *line)
{
	struct fix *f = ctx;

	(void) level;
	if (f->lines++ == 0)
		snprintf(f->first, sizeof f->first, "%s", line);
	snprintf(f->line, sizeof f->line, "%s", line);
}

static void
fix_listen(int backlog)
{
	if (cleanup_stub_open(&fix.stub, fix.loop, fix.path, backlog) < 0)
		fail_msg("cannot listen at %s", fix.path);
	fix.stub.seen = fix_message;
	fix.stub.ctx = &fix;
	fix.listening = true;
}

static void
fix_unlisten(void)
{
	if (fix.listening) {
		cleanup_stub_close(&fix.stub);
		unlink(fix.path);
	}
	fix.listening = false;
}

static void
fix_start(void)
{
	fix.ps = probe_submit_new(fix.loop, &fix.conf, fix_done, &fix);
}

static int
fix_setup(void **state)
{
	(void) state;
	memset(&fix, 0, sizeof fix);
	setenv("TZ", "UTC0", 1);
	tzset();
	strcpy(fix.dir, "/tmp/vouch-test.XXXXXX");
	if (mkdtemp(fix.dir) == NULL)
		return -1;
	snprintf(fix.path, sizeof fix.path, "%s/cleanup", fix.dir);
	fix.loop = ev_loop_new_fake(WALL_S);
	buf_init(&fix.raw, 1 << 20);
	fix.conf = (struct probe_submit_conf) {
		.path = fix.path, .open_limit = 20, .queue_limit = 200000, .timeout_ms = 100000, .tries = 3,
		.give_up_ms = 1000000, .smtputf8_autodetect = true, .sender = "double-bounce", .myorigin = "spec.test",
		.myhostname = "spec.test", .mail_name = "Postfix",
	};
	msg_catch(fix_line, &fix);
	return 0;
}

static int
fix_teardown(void **state)
{
	(void) state;
	probe_submit_free(&fix.ps);
	fix_unlisten();
	ev_loop_free(&fix.loop);
	buf_fini(&fix.raw);
	mem_free(&fix.seen);
	rmdir(fix.dir);
	msg_catch(NULL, NULL);
	return 0;
}

static int
add(const char *rcpt, int64_t tag)
{
	int	ret;

	fix.adding = true;
	ret = probe_submit_add(fix.ps, rcpt, tag);
	fix.adding = false;
	return ret;
}

static struct probe_submit_stat
stat_now(void)
{
	struct probe_submit_stat st;

	probe_submit_stat(fix.ps, &st);
	return st;
}

/* settle - turns until nothing happens any more at this moment of the fake clock */
static void
settle(void)
{
	time_t	end = time(NULL) + REAL_S;

	while (ev_turn(fix.loop, 0) > 0)
		if (time(NULL) > end)
			fail_msg("the loop does not come to rest");
}

/* advance - let fake time pass in steps, with everything that happens meanwhile */
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
	return fix.count[PROBE_SUBMITTED] + fix.count[PROBE_REFUSED] + fix.count[PROBE_GAVE_UP];
}

/* the bytes are those of the recorded dialogues; only the microseconds of the time record are ours */
static void
test_transcripts(void **state)
{
	static const struct {
		const char *file, *sender;
		int64_t	ttl_ms;
		bool	autodetect;
	} cases[] = {
		{ "20-probe-submission.hex", "double-bounce", 0, true },
		{ "21-probe-submission-utf8.hex", "double-bounce", 0, true },
		{ "22-probe-submission-long.hex", "double-bounce", 0, true },
		{ "23-probe-submission-null-sender.hex", "<>", 0, true },
		{ "24-probe-submission-ttl-sender.hex", "probe@spec.test", 3600000, true },
		{ "25-probe-submission-flags-32.hex", "double-bounce", 0, false },
		{ "26-probe-submission-colon.hex", "double-bounce", 0, true },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct transcript t;
		struct buf why = BUF_INIT(1000), dialogue = BUF_INIT(10000), want = BUF_INIT(10000);
		struct record rec;
		size_t	used;
		char	rcpt[300] = "", id[32];

		if (i > 0)
			fix_setup(state);
		if (transcript_read(&t, cases[i].file, &why) < 0)
			fail_msg("%s", buf_str(&why));
		/* the announcement: protocol and queue id */
		snprintf(id, sizeof id, "%s", t.msg[0].data.data + 35);
		transcript_join(&t, "C>", 1, true, &dialogue);
		used = t.msg[1].data.len;
		buf_add(&want, dialogue.data, used);
		for (size_t pos = used; pos < dialogue.len; pos += used) {
			assert_int_equal(record_get(dialogue.data + pos, dialogue.len - pos, 1000, &rec, &used), RECORD_OK);
			if (rec.type == REC_TYPE_TIME) {
				ev_loop_free(&fix.loop);
				fix.loop = ev_loop_new_fake(strtoll(rec.data, NULL, 10));
				record_putf(&want, REC_TYPE_TIME, "%lld 0", strtoll(rec.data, NULL, 10));
			} else
				record_put(&want, rec.type, rec.data, rec.len);
			if (rec.type == REC_TYPE_RCPT)
				snprintf(rcpt, sizeof rcpt, "%.*s", (int) rec.len, rec.data);
		}
		fix_listen(5);
		fix.stub.queue_id = id;
		fix.conf.sender = cases[i].sender;
		fix.conf.sender_ttl_ms = cases[i].ttl_ms;
		fix.conf.smtputf8_autodetect = cases[i].autodetect;
		fix_start();
		add(rcpt, 7);
		settle();
		if (fix.count[PROBE_SUBMITTED] != 1 || fix.last_tag != 7 || strcmp(fix.last_rcpt, rcpt) != 0)
			fail_msg("%s: not submitted", cases[i].file);
		if (fix.raw.len != want.len || memcmp(fix.raw.data, want.data, want.len) != 0)
			fail_msg("%s: other bytes, %zu instead of %zu", cases[i].file, fix.raw.len, want.len);
		if (fix.stub.reads_max != 1)
			fail_msg("%s: %u writes instead of one", cases[i].file, fix.stub.reads_max);
		buf_fini(&why);
		buf_fini(&dialogue);
		buf_fini(&want);
		transcript_fini(&t);
		if (i + 1 < NELEM(cases))
			fix_teardown(state);
	}
}

/* how each behaviour of the service ends, with 3 tries */
static void
test_modes(void **state)
{
	static const struct {
		enum cleanup_stub_mode mode;
		unsigned status;
		enum probe_submit_result want;
		unsigned accepted;		/* connections that the service saw */
	} cases[] = {
		{ STUB_GOOD,	   0,	  PROBE_SUBMITTED, 1 },
		{ STUB_EXTRA,	   0,	  PROBE_SUBMITTED, 1 },
		{ STUB_BYTES,	   0,	  PROBE_SUBMITTED, 1 },
		{ STUB_EARLY,	   0,	  PROBE_SUBMITTED, 1 },
		{ STUB_IGNORE,	   0,	  PROBE_GAVE_UP,   0 },
		{ STUB_REFUSE,	   0,	  PROBE_GAVE_UP,   3 },
		{ STUB_SILENT,	   0,	  PROBE_GAVE_UP,   3 },
		{ STUB_BADNAME,	   0,	  PROBE_GAVE_UP,   3 },
		{ STUB_NOID,	   0,	  PROBE_GAVE_UP,   3 },
		{ STUB_HALF,	   0,	  PROBE_GAVE_UP,   3 },
		{ STUB_HALFCLOSE,  0,	  PROBE_GAVE_UP,   3 },
		{ STUB_GARBAGE,	   0,	  PROBE_GAVE_UP,   3 },
		{ STUB_DROP,	   0,	  PROBE_GAVE_UP,   3 },
		{ STUB_HANG,	   0,	  PROBE_GAVE_UP,   3 },
		{ STUB_BADSTATUS,  0,	  PROBE_GAVE_UP,   3 },
		/* spec probe-submission 6 */
		{ STUB_GOOD,	   1,	  PROBE_GAVE_UP,   3 },
		{ STUB_GOOD,	   2,	  PROBE_GAVE_UP,   3 },
		{ STUB_GOOD,	   4,	  PROBE_REFUSED,   1 },
		{ STUB_GOOD,	   8,	  PROBE_REFUSED,   1 },
		{ STUB_GOOD,	   16,	  PROBE_REFUSED,   1 },
		{ STUB_GOOD,	   64,	  PROBE_REFUSED,   1 },
		{ STUB_GOOD,	   128,	  PROBE_GAVE_UP,   3 },
		{ STUB_GOOD,	   256,	  PROBE_GAVE_UP,   3 },
		{ STUB_GOOD,	   512,	  PROBE_REFUSED,   1 },
		{ STUB_GOOD,	   514,	  PROBE_REFUSED,   1 },
		{ STUB_GOOD,	   65536, PROBE_GAVE_UP,   3 },
		{ STUB_EARLY,	   1,	  PROBE_GAVE_UP,   3 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *name = cleanup_stub_mode_name(cases[i].mode);
		struct probe_submit_stat st;

		if (i > 0)
			fix_setup(state);
		fix_listen(5);
		fix.stub.status = cases[i].status;
		cleanup_stub_script(&fix.stub, cases[i].mode);
		fix_start();
		add("a@b.test", 1);
		/* the service that never ends its announcement never lets the loop rest */
		for (int64_t ms = 0; ms < 1000000 && finished() == 0; ms += 50) {
			for (int n = 0; n < 200 && ev_turn(fix.loop, 0) > 0; n++)
				;
			ev_fake_advance(fix.loop, 50);
		}
		if (finished() != 1 || fix.count[cases[i].want] != 1)
			fail_msg("%s, status %u: submitted %u refused %u gave up %u, want result %d", name,
			    cases[i].status, fix.count[0], fix.count[1], fix.count[2], cases[i].want);
		if (fix.stub.accepted != cases[i].accepted)
			fail_msg("%s, status %u: %u connections, want %u", name, cases[i].status, fix.stub.accepted,
			    cases[i].accepted);
		st = stat_now();
		if (!probe_submit_idle(fix.ps) || st.submitted != fix.count[0] || st.refused != fix.count[1] ||
		    st.gave_up != fix.count[2] || st.failed_attempts != (cases[i].want == PROBE_GAVE_UP ? 3 : 0))
			fail_msg("%s, status %u: %llu failed attempts", name, cases[i].status,
			    (unsigned long long) st.failed_attempts);
		if (i + 1 < NELEM(cases))
			fix_teardown(state);
	}
}

/* a failing service: pauses of 50 ms, doubling to 10 s, for the whole queue */
static void
test_pauses(void **state)
{
	static const int64_t pauses[] = { 50, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000 };
	unsigned n = 2;

	(void) state;
	fix_listen(5);
	cleanup_stub_script(&fix.stub, STUB_REFUSE);
	fix.conf.tries = 1000;
	fix.conf.open_limit = 2;
	fix_start();
	for (int i = 0; i < 10; i++)
		add("a@b.test", i);
	settle();
	for (size_t i = 0; i < NELEM(pauses); i++) {
		if (fix.stub.accepted != n)
			fail_msg("before pause %zu: %u connections, want %u", i, fix.stub.accepted, n);
		advance(pauses[i] - 1, pauses[i] - 1);
		if (fix.stub.accepted != n)
			fail_msg("pause %zu is shorter than %lld ms", i, (long long) pauses[i]);
		advance(1, 1);
		n += 2;
	}
	/* it recovers: all through at once, and the next trouble begins with the shortest pause */
	cleanup_stub_script(&fix.stub, STUB_GOOD);
	advance(10000, 1000);
	assert_int_equal(fix.count[PROBE_SUBMITTED], 10);
	assert_int_equal(stat_now().open, 0);
	cleanup_stub_script(&fix.stub, STUB_REFUSE);
	n = fix.stub.accepted;
	add("a@b.test", 1);
	settle();
	assert_int_equal(fix.stub.accepted, n + 1);
	advance(50, 50);
	assert_int_equal(fix.stub.accepted, n + 2);
}

/* no socket at all is nobody's failed try */
static void
test_away(void **state)
{
	(void) state;
	fix.conf.tries = 1;
	fix_start();
	for (int i = 0; i < 100; i++)
		add("a@b.test", i);
	advance(500000, 500);
	assert_int_equal(finished(), 0);
	assert_int_equal(stat_now().waiting, 100);
	assert_int_equal(stat_now().failed_attempts, 0);
	assert_true(strncmp(fix.line, "warning: connect to service: ", 29) == 0);
	assert_true(fix.lines >= 1 && fix.lines <= REAL_S);	/* hundreds of attempts, one line in a second */
	fix_listen(5);
	advance(10000, 1000);
	assert_int_equal(fix.count[PROBE_SUBMITTED], 100);
}

/* a dead socket file, likewise */
static void
test_dead_socket(void **state)
{
	(void) state;
	fix_listen(5);
	cleanup_stub_close(&fix.stub);			/* the file stays */
	fix.listening = false;
	fix_start();
	add("a@b.test", 1);
	advance(30000, 1000);
	assert_int_equal(finished(), 0);
	fix_listen(5);
	advance(10000, 1000);
	assert_int_equal(fix.count[PROBE_SUBMITTED], 1);
}

static void
test_give_up_by_age(void **state)
{
	(void) state;
	fix.conf.give_up_ms = 5000;
	fix_start();
	add("first@b.test", 1);
	advance(1000, 100);
	add("second@b.test", 2);
	advance(3999, 3999);
	assert_int_equal(finished(), 0);
	advance(1, 1);
	assert_int_equal(fix.count[PROBE_GAVE_UP], 1);
	assert_int_equal(fix.last_tag, 1);
	assert_string_equal(fix.last_rcpt, "first@b.test");
	advance(999, 999);
	assert_int_equal(finished(), 1);
	advance(1, 1);
	assert_int_equal(fix.count[PROBE_GAVE_UP], 2);
	assert_int_equal(fix.last_tag, 2);
	assert_true(probe_submit_idle(fix.ps));
}

/* one that is open when its time is up may end its attempt, but gets no other */
static void
test_give_up_while_open(void **state)
{
	(void) state;
	fix.conf.give_up_ms = 5000;
	fix.conf.timeout_ms = 8000;
	fix.conf.tries = 100;
	fix_listen(5);
	cleanup_stub_script(&fix.stub, STUB_HANG);
	fix_start();
	add("a@b.test", 1);
	advance(7999, 7999);
	assert_int_equal(finished(), 0);
	advance(1, 1);
	assert_int_equal(fix.count[PROBE_GAVE_UP], 1);
	assert_int_equal(fix.stub.accepted, 1);
}

/* a hanging service holds open_limit connections, until the time-out */
static void
test_hang(void **state)
{
	(void) state;
	fix_listen(50);
	cleanup_stub_script(&fix.stub, STUB_HANG);
	fix.conf.open_limit = 4;
	fix.conf.timeout_ms = 1000;
	fix_start();
	for (int i = 0; i < 10; i++)
		add("a@b.test", i);
	advance(999, 999);
	assert_int_equal(fix.stub.open, 4);
	assert_int_equal(stat_now().open, 4);
	assert_int_equal(stat_now().waiting, 6);
	advance(1, 1);
	assert_int_equal(stat_now().open, 0);		/* now the pause */
	assert_int_equal(stat_now().waiting, 10);
	advance(49, 49);
	assert_int_equal(fix.stub.accepted, 4);
	advance(1, 1);
	assert_int_equal(fix.stub.accepted, 8);		/* the next four, not the same */
	assert_int_equal(stat_now().failed_attempts, 4);
	cleanup_stub_script(&fix.stub, STUB_GOOD);
	advance(20000, 10);
	assert_int_equal(fix.count[PROBE_SUBMITTED], 10);
	assert_int_equal(fix.stub.open_max, 4);
}

/* a full listen queue: wait a moment, count nothing */
static void
test_listen_queue_full(void **state)
{
	(void) state;
	fix_listen(1);
	cleanup_stub_script(&fix.stub, STUB_IGNORE);
	fix.conf.tries = 1;
	fix_start();
	for (int i = 0; i < 100; i++)
		add("a@b.test", i);
	advance(50000, 10);
	assert_true(stat_now().open < 20);		/* the kernel took no more */
	assert_true(stat_now().open > 0);
	assert_int_equal(stat_now().failed_attempts, 0);
	assert_int_equal(fix.lines, 0);
	cleanup_stub_script(&fix.stub, STUB_GOOD);
	advance(2000, 10);
	assert_int_equal(fix.count[PROBE_SUBMITTED], 100);
	assert_int_equal(stat_now().failed_attempts, 0);
}

/* 100,000 at once, a slow service with a short listen queue: every one arrives, once, and open stays in its limit */
static void
test_burst(void **state)
{
	enum { BURST = 100000 };
	time_t	end = time(NULL) + 60;
	char	rcpt[64];

	(void) state;
	fix_listen(8);
	fix.stub.announce_ms = 3;
	fix.stub.status_ms = 4;
	fix.seen = mem_alloc(BURST);
	fix.conf.give_up_ms = 1000000000;
	fix_start();
	for (int i = 0; i < BURST; i++) {
		snprintf(rcpt, sizeof rcpt, "user%d@burst.test", i);
		assert_int_equal(add(rcpt, i), 0);
	}
	assert_int_equal(stat_now().waiting, BURST);
	while (finished() < BURST) {
		if (ev_turn(fix.loop, 0) == 0)
			ev_fake_advance(fix.loop, 1);
		assert_true(stat_now().open <= fix.conf.open_limit);
		if (time(NULL) > end)
			fail_msg("%u of %d in 60 s", finished(), BURST);
	}
	assert_int_equal(fix.count[PROBE_SUBMITTED], BURST);
	assert_int_equal(fix.stub.messages, BURST);
	assert_true(fix.stub.open_max <= fix.conf.open_limit);
	for (int i = 0; i < BURST; i++)
		if (fix.seen[i] != 1)
			fail_msg("probe %d was reported %u times", i, fix.seen[i]);
	assert_int_equal(stat_now().failed_attempts, 0);
}

/* one address that the service chokes on does not hold the others up */
static void
test_poison(void **state)
{
	(void) state;
	fix_listen(50);
	fix.conf.open_limit = 2;
	fix_start();
	for (int i = 0; i < 5; i++)
		add("poison@b.test", 1000 + i);
	for (int i = 0; i < 300; i++)
		add("a@b.test", i);
	advance(400, 10);
	assert_int_equal(fix.count[PROBE_SUBMITTED], 300);
	advance(30000, 10);
	assert_int_equal(fix.count[PROBE_GAVE_UP], 5);
	assert_int_equal(fix.poisoned, 5 * 3);
}

/* first come, first served; a failed one goes to the end */
static void
test_order(void **state)
{
	static const char *const rcpts[] = { "a@b.test", "poison@b.test", "b@b.test", "c@b.test", "d@b.test" };

	(void) state;
	fix_listen(50);
	fix.conf.open_limit = 1;
	fix_start();
	for (size_t i = 0; i < NELEM(rcpts); i++)
		add(rcpts[i], (int64_t) i);
	advance(1000, 10);
	assert_string_equal(fix.order, "apbcdpp");
}

static void
test_queue_limit(void **state)
{
	(void) state;
	fix_listen(50);
	cleanup_stub_script(&fix.stub, STUB_SILENT);
	fix.conf.open_limit = 3;
	fix.conf.queue_limit = 5;
	fix_start();
	for (int i = 0; i < 5; i++)
		assert_int_equal(add("a@b.test", i), 0);
	assert_int_equal(add("a@b.test", 5), -1);
	settle();					/* three are open now: not counted */
	for (int i = 5; i < 8; i++)
		assert_int_equal(add("a@b.test", i), 0);
	assert_int_equal(add("a@b.test", 8), -1);
	assert_int_equal(stat_now().open, 3);
	assert_int_equal(stat_now().waiting, 5);
}

static void
test_callback_adds(void **state)
{
	(void) state;
	fix_listen(5);
	fix.again = 50;
	fix_start();
	add("a@b.test", 1);
	settle();
	assert_int_equal(fix.count[PROBE_SUBMITTED], 51);
}

/* the callback may end the submitter, from every road that leads to it */
static void
test_callback_frees(void **state)
{
	static const struct {
		enum cleanup_stub_mode mode;
		unsigned status;
	} cases[] = {
		{ STUB_GOOD, 0 }, { STUB_GOOD, 64 }, { STUB_GOOD, 1 }, { STUB_HANG, 0 }, { STUB_REFUSE, 0 },
		{ STUB_BADNAME, 0 }, { STUB_BADSTATUS, 0 }, { STUB_EARLY, 0 }, { STUB_EARLY, 1 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		if (i > 0)
			fix_setup(state);
		fix_listen(5);
		fix.stub.status = cases[i].status;
		cleanup_stub_script(&fix.stub, cases[i].mode);
		fix.free_in_callback = true;
		fix.conf.tries = 1;
		fix.conf.timeout_ms = 1000;
		fix.conf.open_limit = 2;
		fix_start();
		for (int n = 0; n < 5; n++)
			add("a@b.test", n);
		advance(2000, 100);
		if (finished() != 1)
			fail_msg("%s, status %u: %u reports", cleanup_stub_mode_name(cases[i].mode), cases[i].status,
			    finished());
		assert_null(fix.ps);
		fix_teardown(state);
	}
	fix_setup(state);
	fix.free_in_callback = true;
	fix.conf.give_up_ms = 100;
	fix_start();
	add("a@b.test", 1);
	add("a@b.test", 2);
	advance(200, 10);
	assert_int_equal(fix.count[PROBE_GAVE_UP], 1);
}

/* freed with connections open in every state and probes waiting: no report, nothing left in the loop */
static void
test_freed_early(void **state)
{
	static const enum cleanup_stub_mode modes[] = { STUB_IGNORE, STUB_SILENT, STUB_HALF, STUB_HANG, STUB_REFUSE };

	for (size_t i = 0; i < NELEM(modes); i++) {
		if (i > 0)
			fix_setup(state);
		fix_listen(5);
		cleanup_stub_script(&fix.stub, modes[i]);
		fix.conf.open_limit = 3;
		fix_start();
		for (int n = 0; n < 10; n++)
			add("a@b.test", n);
		settle();
		probe_submit_free(&fix.ps);
		advance(200000, 50000);
		assert_int_equal(finished(), 0);
		if (i + 1 < NELEM(modes))
			fix_teardown(state);
	}
	probe_submit_free(&fix.ps);			/* NULL is fine */
}

/* sender and time belong to the moment when the announcement is read */
static void
test_time(void **state)
{
	(void) state;
	fix_listen(5);
	fix.stub.announce_ms = 7203007;
	fix.conf.timeout_ms = fix.conf.give_up_ms = 100000000;
	fix.conf.sender = "probe@spec.test";
	fix.conf.sender_ttl_ms = 3600000;
	fix_start();
	add("a@b.test", 1);
	settle();
	advance(7203007, 7203007);
	assert_int_equal(fix.count[PROBE_SUBMITTED], 1);
	assert_string_equal(fix.sender, "probeJQX2@spec.test");	/* asked in slot JQX0 */
	assert_memory_equal(fix.raw.data + 11, "T\x0f" "1795206900 7000", 17);
	assert_non_null(memmem(fix.raw.data, fix.raw.len, "; Fri, 20 Nov 2026 20:35:00 +0000 (UTC)", 39));
}

/* a message that does not fit the socket's buffer leaves in pieces; one that is no address at all is refused here */
static void
test_long_address(void **state)
{
	char   *rcpt = mem_alloc(300001);

	(void) state;
	fix_listen(5);
	fix_start();
	memset(rcpt, 'a', 250000);
	add(rcpt, 1);
	settle();
	assert_int_equal(fix.count[PROBE_SUBMITTED], 1);
	assert_true(fix.raw.len > 250000);
	memset(rcpt, 'a', 300000);
	add(rcpt, 2);
	settle();
	assert_int_equal(fix.count[PROBE_REFUSED], 1);
	mem_free(&rcpt);
}

/* what the log tells: queue id, address and status of a refusal, the strange name; not more than a line a second */
static void
test_log(void **state)
{
	static const struct {
		enum cleanup_stub_mode mode;
		unsigned status;
		const char *reason, *head, *tail;	/* of the line; the path of the socket stands between */
	} cases[] = {
		{ STUB_GOOD, 64, NULL, "9F8E7: ", ": probe for <a@b.test> not accepted: status 64" },
		{ STUB_GOOD, 512, "go\naway", "9F8E7: ", ": probe for <a@b.test> not accepted: status 512: go?away" },
		{ STUB_BADNAME, 0, NULL, "unexpected protocol bogus_protocol from ",
		  " socket (expected: cleanup_protocol)" },
		{ STUB_HALFCLOSE, 0, NULL, "", ": connection closed while waiting for the announcement, "
		  "probe for <a@b.test>; 1 failed attempts so far" },
		{ STUB_DROP, 0, NULL, "", ": 9F8E7: connection closed while waiting for the final status, "
		  "probe for <a@b.test>; 1 failed attempts so far" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		char	want[400];

		if (i > 0)
			fix_setup(state);
		fix_listen(50);
		fix.stub.status = cases[i].status;
		fix.stub.reason = cases[i].reason;
		fix.stub.queue_id = "9F8E7";
		cleanup_stub_script(&fix.stub, cases[i].mode);
		fix.conf.open_limit = 1;
		fix_start();
		add("a@b.test", 1);
		settle();
		snprintf(want, sizeof want, "warning: %s%s%s", cases[i].head, fix.path, cases[i].tail);
		if (strcmp(fix.first, want) != 0)
			fail_msg("got: %s\nwant: %s", fix.first, want);
		for (int n = 0; n < 200; n++)
			add("a@b.test", n);
		advance(100, 10);
		if (fix.lines > 3 * REAL_S)		/* of each kind one in a second */
			fail_msg("%s: %u lines for 200 probes", cleanup_stub_mode_name(cases[i].mode), fix.lines);
		if (i + 1 < NELEM(cases))
			fix_teardown(state);
	}
}

int
main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(test_transcripts),
		T(test_modes),
		T(test_pauses),
		T(test_away),
		T(test_dead_socket),
		T(test_give_up_by_age),
		T(test_give_up_while_open),
		T(test_hang),
		T(test_listen_queue_full),
		T(test_burst),
		T(test_poison),
		T(test_order),
		T(test_queue_limit),
		T(test_callback_adds),
		T(test_callback_frees),
		T(test_freed_early),
		T(test_time),
		T(test_long_address),
		T(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
