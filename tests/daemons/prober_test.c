/* tests/daemons/prober_test.c - promises of the prober as a whole: one report for each probe in time, limits never exceeded */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/prober_world.h>
#include <tests/lib/smtp_auto.h>
#include <util/mem.h>
#include <util/msg.h>

#define HOSTS 4

struct field {
	struct prober_world w;
	struct smtp_auto server[HOSTS];
	unsigned port;
	struct buf zone;
};

static void
prober_test_begin(struct field *f)
{
	char	host[20];

	msg_to_stderr(NULL);
	memset(f, 0, sizeof *f);
	prober_world_begin(&f->w);
	buf_init(&f->zone, 1 << 22);
	for (unsigned i = 0; i < HOSTS; i++) {
		snprintf(host, sizeof host, "127.0.0.%u", 31 + i);
		f->port = smtp_auto_open(&f->server[i], f->w.loop, host, f->port);
		buf_addf(&f->zone, "mx%u.test A %s\n", i, host);
	}
	f->w.conf.smtp_port = f->port;
}

static void
prober_test_start(struct field *f)
{
	prober_world_start(&f->w, buf_str(&f->zone));
}

static void
prober_test_end(struct field *f)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		assert_int_equal(f->server[i].data, 0);
		assert_int_equal(f->server[i].odd, 0);
		smtp_auto_close(&f->server[i]);
	}
	prober_world_end(&f->w);
	buf_fini(&f->zone);
}

static void
prober_test_ask(struct field *f, const char *fmt, unsigned from, unsigned n)
{
	char	addr[200], digits[20];
	const char *at;

	for (unsigned i = from; i < from + n; i++) {
		at = strchr(fmt, '%');
		snprintf(digits, sizeof digits, "%u", i);
		snprintf(addr, sizeof addr, "%.*s%s%s", (int) (at - fmt), fmt, digits, at + 1);
		assert_int_equal(prober_add(f->w.prober, addr, "", "id", 0), PROBER_ADDED);
	}
}

/* prober_test_until - until n reports are there, or the clock has moved on by limit_ms in steps */
static void
prober_test_until(struct field *f, unsigned n, int64_t limit_ms, int64_t step_ms)
{
	prober_world_settle(&f->w);
	for (int64_t t = 0; t < limit_ms && f->w.reports_n < n; t += step_ms) {
		ev_fake_advance(f->w.loop, step_ms);
		prober_world_settle(&f->w);
	}
}

static unsigned
prober_test_count(struct field *f, const char *what)
{
	unsigned n = 0;
	size_t	len = strlen(what);

	for (const char *p = buf_str(&f->w.reports); *p != 0; p = strchr(p, '\n') + 1)
		n += strncmp(p, what, len) == 0;
	return n;
}

static void
prober_test_burst(void **state)
{
	struct prober_stat st;
	struct field f;

	(void) state;
	prober_test_begin(&f);
	f.w.conf.route.relayhost = "[mx0.test]";
	f.server[0].pipelining = true;
	f.server[0].rule[0] = (struct smtp_auto_rule) { "no", "550 5.1.1 no such user" };
	f.server[0].rules = 1;
	prober_test_start(&f);
	prober_test_ask(&f, "ok%@a.test", 0, 2000);
	prober_test_ask(&f, "no%@b.test", 0, 500);
	prober_test_until(&f, 2500, 10000, 100);
	assert_int_equal(f.w.reports_n, 2500);
	assert_int_equal(prober_test_count(&f, "ok accepted"), 2000);
	assert_int_equal(prober_test_count(&f, "bounce unknown"), 500);
	assert_int_equal(f.server[0].rcpts, 2500);
	assert_in_range(f.server[0].open_max, 2, 10);
	assert_true(f.server[0].session_rcpts_max <= 20);
	prober_stat(f.w.prober, &st);
	assert_int_equal(st.pending, 0);
	assert_int_equal(st.waiting + st.asked + st.reporting + st.sleeping, 0);
	prober_test_end(&f);
}

/* servers that do everything wrong: still one report for each, before the deadline */
static void
prober_test_hostile(void **state)
{
	static const struct smtp_auto_rule rules[] = {
		{ "ok", "250 ok" }, { "no", "550 5.1.1 no" }, { "busy", "421 4.3.2 busy" }, { "close", "close" }, { "silent", "silent" },
		{ "grey", "450 4.2.0 greylisted" }, { "many", "452 4.5.3 too many" }, { "odd", "999 hm" }, { "junk", "hello" },
		{ "policy", "550 5.7.1 blocked" }, { "relay", "554 5.7.1 relay access denied" },
	};
	struct prober_stat st;
	struct field f;
	char	fmt[40];

	(void) state;
	for (int own = 0; own < 2; own++) {
		prober_test_begin(&f);
		f.w.conf.route.relayhost = own ? "pool.test" : "";
		f.w.conf.grey_ms[0] = 310000;
		f.w.conf.domain_rate = 0;
		for (unsigned i = 0; i < HOSTS; i++) {
			memcpy(f.server[i].rule, rules, sizeof rules);
			f.server[i].rules = NELEM(rules);
			buf_addf(&f.zone, "pool.test MX %u mx%u.test\n", 10 * (i / 2), i);
		}
		f.server[3].greeting = "554 go away";
		prober_test_start(&f);
		for (unsigned i = 0; i < NELEM(rules); i++) {
			snprintf(fmt, sizeof fmt, "%s%%@pool.test", rules[i].prefix);
			prober_test_ask(&f, fmt, 0, 20);
		}
		for (int64_t t = 0; t < 900000; t += 5000) {
			ev_fake_advance(f.w.loop, 5000);
			prober_world_settle(&f.w);
			for (unsigned i = 0; i < HOSTS; i++)
				assert_true(f.server[i].open <= (own ? 10u : 2u));
		}
		prober_stat(f.w.prober, &st);
		if (st.pending != 0)
			fail_msg("own=%d: %zu probes without a report after the deadline\n%s", own, st.pending, buf_str(&f.w.reports));
		/* each had one report, and those that were asked again another one */
		assert_int_equal(st.reports - st.again, 20 * NELEM(rules));
		if (own)
			assert_int_equal(prober_test_count(&f, "ok accepted"), 20);
		prober_test_end(&f);
	}
}

static void
prober_test_deadline(void **state)
{
	struct prober_stat st;
	struct field f;

	(void) state;
	prober_test_begin(&f);
	f.w.conf.attempt_ms = 500000;
	f.server[0].rule[0] = (struct smtp_auto_rule) { "", "silent" };
	f.server[0].rules = 1;
	buf_adds(&f.zone, "slow.test MX 10 mx0.test\n");
	prober_test_start(&f);
	prober_test_ask(&f, "x%@slow.test", 0, 30);
	prober_test_until(&f, 30, 899000, 1000);
	assert_true(f.w.reports_n < 30);
	prober_test_until(&f, 30, 2000, 1000);
	assert_int_equal(f.w.reports_n, 30);
	assert_non_null(strstr(buf_str(&f.w.reports), "defer suspended too-many 4.3.2 | Too many address verification requests"));
	prober_stat(f.w.prober, &st);
	assert_int_equal(st.pending, 0);
	prober_test_end(&f);
}

static void
prober_test_rate(void **state)
{
	struct field f;

	(void) state;
	prober_test_begin(&f);
	f.w.conf.domain_rate = 10;
	f.w.conf.domain_burst = 5;
	buf_adds(&f.zone, "one.test MX 10 mx0.test\n");
	prober_test_start(&f);
	prober_test_ask(&f, "x%@one.test", 0, 35);
	prober_world_settle(&f.w);
	assert_int_equal(f.server[0].rcpts, 5);
	for (unsigned minute = 1; minute <= 3; minute++) {
		prober_test_until(&f, 1000, 60000, 500);
		assert_in_range(f.server[0].rcpts, 5 + 10 * minute - 1, 5 + 10 * minute);
	}
	assert_true(f.w.reports_n >= 34);
	prober_test_end(&f);
}

static void
prober_test_provider(void **state)
{
	struct field f;
	unsigned most = 0;

	(void) state;
	prober_test_begin(&f);
	f.w.conf.session_limit = 3;
	for (unsigned i = 0; i < HOSTS; i++)
		f.server[i].delay_ms = 100;
	for (unsigned i = 0; i < 40; i++)
		buf_addf(&f.zone, "d%u.test MX 10 mx%u.test\n", i, i % HOSTS);
	prober_test_start(&f);
	prober_test_ask(&f, "x@d%.test", 0, 40);
	for (int i = 0; i < 3000 && f.w.reports_n < 40; i++) {
		unsigned open = 0;

		ev_fake_advance(f.w.loop, 20);
		prober_world_settle(&f.w);
		for (unsigned k = 0; k < HOSTS; k++)
			open += f.server[k].open;
		most = open > most ? open : most;
	}
	assert_int_equal(f.w.reports_n, 40);
	assert_int_equal(prober_test_count(&f, "ok accepted"), 40);
	assert_int_equal(most, 3);
	prober_test_end(&f);
}

static void
prober_test_pending(void **state)
{
	struct prober_stat st;
	struct field f;

	(void) state;
	prober_test_begin(&f);
	f.w.conf.pending_limit = 10;
	f.w.keep_reports = true;
	buf_adds(&f.zone, "one.test MX 10 mx0.test\n");
	prober_test_start(&f);
	prober_test_ask(&f, "x%@one.test", 0, 10);
	assert_int_equal(prober_add(f.w.prober, "y@one.test", "", "id", 0), PROBER_FULL);
	assert_int_equal(prober_add(f.w.prober, "x3@one.test", "", "id", 0), PROBER_MERGED);
	prober_test_until(&f, 10, 60000, 100);
	assert_int_equal(f.w.reports_n, 10);
	/* reported, and not yet delivered: there is no room */
	assert_int_equal(prober_add(f.w.prober, "y@one.test", "", "id", 0), PROBER_FULL);
	assert_int_equal(prober_add(f.w.prober, "x3@one.test", "", "id", 0), PROBER_MERGED);
	prober_taken(f.w.prober, "x3@one.test");
	prober_taken(f.w.prober, "x3@one.test");
	assert_int_equal(prober_add(f.w.prober, "x3@one.test", "", "id", 0), PROBER_ADDED);
	prober_stat(f.w.prober, &st);
	assert_int_equal(st.pending, 10);
	assert_int_equal(st.refused, 2);
	assert_int_equal(st.merged, 2);
	prober_test_end(&f);
}

static void
prober_test_dead(void **state)
{
	struct prober_stat st;
	struct field f;

	(void) state;
	prober_test_begin(&f);
	buf_adds(&f.zone, "dead.test MX 10 deadmx.test\ndeadmx.test A 127.0.0.99\n");
	prober_test_start(&f);
	prober_test_ask(&f, "x%@dead.test", 0, 1);
	prober_test_until(&f, 1, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer network no-connection"), 1);
	prober_test_ask(&f, "y%@dead.test", 0, 50);
	prober_world_settle(&f.w);
	assert_int_equal(prober_test_count(&f, "defer suspended suspended 4.7.0 | probing of dead.test suspended until"), 50);
	prober_stat(f.w.prober, &st);
	assert_int_equal(st.sessions_opened, 1);
	ev_fake_advance(f.w.loop, 300000);
	prober_test_ask(&f, "z%@dead.test", 0, 1);
	prober_test_until(&f, 52, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer network no-connection"), 2);
	prober_test_end(&f);
}

static void
prober_test_brake(void **state)
{
	struct field f;

	(void) state;
	prober_test_begin(&f);
	for (unsigned i = 0; i < 3; i++) {
		f.server[i].rule[0] = (struct smtp_auto_rule) { "", "550 5.7.1 your address is on a blocklist" };
		f.server[i].rules = 1;
		buf_addf(&f.zone, "d%u.test MX 10 in.p%u.test\nin.p%u.test A 127.0.0.%u\n", i, i, i, 31 + i);
	}
	buf_adds(&f.zone, "good.test MX 10 mx3.test\n");
	prober_test_start(&f);
	prober_test_ask(&f, "x@d%.test", 0, 2);
	prober_test_until(&f, 2, 1000, 100);
	prober_test_ask(&f, "x%@good.test", 0, 1);
	prober_test_until(&f, 3, 1000, 100);
	assert_int_equal(prober_test_count(&f, "ok accepted"), 1);
	prober_test_ask(&f, "x@d%.test", 2, 1);
	prober_test_until(&f, 4, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer policy"), 3);
	/* three providers: nobody in the Internet is asked any more */
	prober_test_ask(&f, "y%@good.test", 0, 1);
	prober_test_until(&f, 5, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer suspended"), 1);
	assert_int_equal(f.server[3].rcpts, 1);
	ev_fake_advance(f.w.loop, 3600000);
	prober_test_ask(&f, "z%@good.test", 0, 1);
	prober_test_until(&f, 6, 1000, 100);
	assert_int_equal(prober_test_count(&f, "ok accepted"), 2);
	prober_test_end(&f);
}

/* three domains cost nothing: as long as more providers answer us than refuse us, we are not on a list */
static void
prober_test_brake_share(void **state)
{
	struct field f;

	(void) state;
	prober_test_begin(&f);
	for (unsigned i = 0; i < 3; i++) {
		f.server[i].rule[0] = (struct smtp_auto_rule) { "evil", "550 5.7.1 your address is on a blocklist" };
		f.server[i].rules = 1;
		buf_addf(&f.zone, "e%u.test MX 10 in.e%u.test\nin.e%u.test A 127.0.0.%u\n", i, i, i, 31 + i);
	}
	for (unsigned i = 0; i < 4; i++)
		buf_addf(&f.zone, "g%u.test MX 10 in.g%u.test\nin.g%u.test A 127.0.0.34\n", i, i, i);
	f.w.conf.manners.host_sessions = 10;
	prober_test_start(&f);
	prober_test_ask(&f, "x@g%.test", 0, 4);
	prober_test_until(&f, 4, 1000, 100);
	assert_int_equal(prober_test_count(&f, "ok accepted"), 4);
	prober_test_ask(&f, "evil@e%.test", 0, 3);
	prober_test_until(&f, 7, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer policy"), 3);
	prober_test_ask(&f, "y@g%.test", 0, 4);
	prober_test_until(&f, 11, 1000, 100);
	assert_int_equal(prober_test_count(&f, "ok accepted"), 8);
	/* half an hour later those who answered count no more */
	ev_fake_advance(f.w.loop, 1900000);
	prober_test_ask(&f, "evil2@e%.test", 0, 3);
	prober_test_until(&f, 14, 1000, 100);
	prober_test_ask(&f, "z@g%.test", 0, 1);
	prober_test_until(&f, 15, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer suspended"), 1);
	prober_test_end(&f);
}

static void
prober_test_never(void **state)
{
	struct buf why = BUF_INIT(100);
	struct field f;

	(void) state;
	prober_test_begin(&f);
	f.w.conf.never = domain_list_open("optout.test", true, &why);
	buf_adds(&f.zone, "a.test MX 10 mx.sub.optout.test\nmx.sub.optout.test A 127.0.0.31\noptout.test MX 10 mx0.test\n");
	prober_test_start(&f);
	prober_test_ask(&f, "x%@optout.test", 0, 1);
	prober_test_ask(&f, "x%@a.test", 0, 1);
	prober_test_until(&f, 2, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer suspended never 4.7.0 | probing of"), 2);
	assert_int_equal(f.server[0].accepted, 0);
	prober_test_end(&f);
}

/* a domain names somebody else's server as its second one, and has its first one refuse us: the others must not suffer */
static void
prober_test_poison(void **state)
{
	struct field f;

	(void) state;
	prober_test_begin(&f);
	buf_adds(&f.zone, "evil.test MX 10 mx0.evil.test\nmx0.evil.test A 127.0.0.31\n"
	    "evil.test MX 20 mx1.evil.test\nmx1.evil.test A 127.0.0.32\n"
	    "good.test MX 10 mx.good.test\nmx.good.test A 127.0.0.32\n");
	f.w.conf.attempt_sessions = 1;
	f.server[0].rule[0] = (struct smtp_auto_rule) { "", "550 5.7.1 you are blocked" };
	f.server[0].rules = 1;
	prober_test_start(&f);
	prober_test_ask(&f, "x%@evil.test", 0, 1);
	prober_test_until(&f, 1, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer policy"), 1);
	prober_test_ask(&f, "y%@evil.test", 0, 1);
	prober_test_until(&f, 2, 1000, 100);
	assert_int_equal(prober_test_count(&f, "defer suspended"), 1);
	prober_test_ask(&f, "z%@good.test", 0, 1);
	prober_test_until(&f, 3, 1000, 100);
	assert_int_equal(prober_test_count(&f, "ok accepted"), 1);
	prober_test_end(&f);
}

static unsigned prober_test_given;

static bool
prober_test_give(const char *addr)
{
	if (strcmp(addr, "x9@one.test") == 0)
		return false;				/* nobody wants it */
	prober_test_given++;
	return true;
}

static void
prober_test_stop(void **state)
{
	struct prober_stat st;
	struct field f;

	(void) state;
	prober_test_begin(&f);
	f.server[0].delay_ms = 1000;
	buf_adds(&f.zone, "one.test MX 10 mx0.test\ntwo.test MX 10 mx1.test\ntwo.test MX 20 mx0.test\n");
	prober_test_start(&f);
	f.server[1].rule[0] = (struct smtp_auto_rule) { "x", "+500 452 4.3.1 not here" };
	f.server[1].rules = 1;
	prober_test_ask(&f, "x%@one.test", 0, 10);
	prober_test_ask(&f, "x%@two.test", 0, 10);
	prober_world_settle(&f.w);
	prober_stat(f.w.prober, &st);
	assert_int_equal(st.asked, 4);
	prober_stop(f.w.prober, prober_test_give);
	assert_int_equal(prober_test_given, 15);
	prober_stat(f.w.prober, &st);
	assert_int_equal(st.pending, 5);
	prober_test_until(&f, 6, 8000, 500);
	assert_int_equal(f.w.reports_n, 5);		/* what was being asked came to its end, at the second server, too */
	assert_int_equal(prober_test_count(&f, "ok accepted"), 5);
	prober_stat(f.w.prober, &st);
	assert_int_equal(st.pending, 0);
	prober_test_end(&f);
}

/* each waiting probe costs at most 1 kB, a destination of its own included */
static void
prober_test_memory(void **state)
{
	struct mallinfo2 before, after;
	struct prober_stat st;
	const unsigned n = 20000;
	struct field f;
	size_t	each;

	(void) state;
	prober_test_begin(&f);
	f.w.conf.lookup_limit = 1;
	prober_test_start(&f);
	before = mallinfo2();
	prober_test_ask(&f, "some.longer.name@domain%.example.test", 0, n);
	after = mallinfo2();
	prober_stat(f.w.prober, &st);
	assert_int_equal(st.waiting, n);
	each = (after.uordblks - before.uordblks) / n;
	print_message("%zu bytes for a waiting probe with a destination of its own\n", each);
	assert_true(each <= 1024);
	prober_test_end(&f);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(prober_test_burst),
		cmocka_unit_test(prober_test_hostile),
		cmocka_unit_test(prober_test_deadline),
		cmocka_unit_test(prober_test_rate),
		cmocka_unit_test(prober_test_provider),
		cmocka_unit_test(prober_test_pending),
		cmocka_unit_test(prober_test_dead),
		cmocka_unit_test(prober_test_brake),
		cmocka_unit_test(prober_test_brake_share),
		cmocka_unit_test(prober_test_never),
		cmocka_unit_test(prober_test_poison),
		cmocka_unit_test(prober_test_stop),
		cmocka_unit_test(prober_test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
