/* tests/daemons/manners_test.c - limits, back-off, and who counts as one provider */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <daemons/probe/manners.h>
#include <util/mem.h>

#define MINUTE	60000ll

static const struct manners_conf conf = {
	.host_sessions = 2, .own_host_sessions = 10, .provider_sessions = 4, .provider_rate = 30, .provider_burst = 10,
	.unknown_hour = 20, .unknown_hold_ms = 15 * MINUTE, .policy_ms = 15 * MINUTE, .policy_max_ms = 24 * 60 * MINUTE,
	.rate_ms = 2 * MINUTE, .rate_max_ms = 60 * MINUTE, .dead_ms = MINUTE, .dead_max_ms = 60 * MINUTE, .dead_fails = 3, .limit = 5,
};

static void
manners_test_provider(void **state)
{
	static const struct {
		const char *exchange, *addr, *want;
	} cases[] = {
		{ "mx1.example.org", "9.9.9.9", "example.org" },
		{ "example.org", "9.9.9.9", "example.org" },
		{ "localhost", "9.9.9.9", "localhost" },
		{ "ASPMX.L.Google.COM", "9.9.9.9", "google.com" },
		{ "contoso-com.mail.protection.outlook.com", "9.9.9.9", "outlook.com" },
		{ "mx.example.co.uk", "9.9.9.9", "example.co.uk" },
		{ "example.co.uk", "9.9.9.9", "example.co.uk" },
		{ "mail.example.com.br", "9.9.9.9", "example.com.br" },
		{ "mx.bbc.uk", "9.9.9.9", "bbc.uk" },
		{ "co.uk", "9.9.9.9", "co.uk" },
		{ "9.9.9.9", "9.9.9.9", "9.9.9.0/24" },
		{ "2620:fe::9", "2620:fe::9", "2620:fe::/48" },
	};
	struct mx_addr a;
	char	got[256];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		assert_true(mx_addr_parse(cases[i].addr, &a));
		manners_provider_name(got, sizeof got, cases[i].exchange, &a);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].exchange, got, cases[i].want);
	}
}

static void
manners_test_bucket(void **state)
{
	struct bucket b = { 0 };
	int64_t now = 1000;
	unsigned taken = 0;

	(void) state;
	for (int i = 0; i < 100 && bucket_wait(&b, 30, 10, now) == 0; i++, taken++)
		bucket_take(&b);
	assert_int_equal(taken, 10);
	assert_in_range(bucket_wait(&b, 30, 10, now), 1999, 2002);	/* one in two seconds */
	now += 2001;
	assert_int_equal(bucket_wait(&b, 30, 10, now), 0);
	bucket_take(&b);
	assert_true(bucket_wait(&b, 30, 10, now) > 0);
	/* in an hour no more than the rate, whatever the pattern; and idling fills it to the burst only */
	taken = 0;
	for (int64_t end = now + 60 * MINUTE; now < end; now += 137)
		while (bucket_wait(&b, 30, 10, now) == 0) {
			bucket_take(&b);
			taken++;
		}
	assert_in_range(taken, 1790, 1811);
	now += 600 * MINUTE;
	for (taken = 0; bucket_wait(&b, 30, 10, now) == 0; taken++)
		bucket_take(&b);
	assert_int_equal(taken, 10);
	assert_int_equal(bucket_wait(&b, 0, 1, now), 0);		/* no limit */
}

static void
manners_test_backoff(void **state)
{
	static const int64_t want[] = { 15, 30, 60, 120, 240, 480, 960, 1440, 1440 };
	struct backoff b = { 0 };
	int64_t now = 5000;

	(void) state;
	assert_false(backoff_on(&b, now) || backoff_half_open(&b, now));
	for (size_t i = 0; i < NELEM(want); i++) {
		backoff_hit(&b, 15 * MINUTE, 1440 * MINUTE, now);
		assert_int_equal(b.until_ms - now, want[i] * MINUTE);
		backoff_hit(&b, 15 * MINUTE, 1440 * MINUTE, now + 1);	/* another session sees the same */
		assert_int_equal(b.until_ms - now, want[i] * MINUTE);
		assert_true(backoff_on(&b, b.until_ms - 1));
		now = b.until_ms;
		assert_true(!backoff_on(&b, now) && backoff_half_open(&b, now));
	}
	backoff_clear(&b);
	assert_false(backoff_on(&b, now) || backoff_half_open(&b, now));
}

static struct peer
manners_test_host(struct manners *m, const char *addr, const char *name, bool own)
{
	struct mx_addr a;

	assert_true(mx_addr_parse(addr, &a));
	return manners_peer(m, &a, 25, NULL, name, own);
}

static void
manners_test_room(void **state)
{
	struct manners *m = manners_new(&conf);
	struct peer a = manners_test_host(m, "9.9.9.1", "mx1.big.test", false), b = manners_test_host(m, "9.9.9.2", "mx2.big.test", false),
	    c = manners_test_host(m, "9.9.9.3", "mx3.big.test", false), own = manners_test_host(m, "9.9.9.1", "mx1.big.test", true), again;

	(void) state;
	assert_ptr_equal(a.provider, b.provider);
	assert_ptr_not_equal(a.host, own.host);			/* what is asked of us to do is another matter */
	assert_null(own.provider);
	again = manners_test_host(m, "9.9.9.1", "other.name.test", false);
	assert_ptr_equal(again.host, a.host);
	assert_ptr_not_equal(again.provider, a.provider);	/* who names an address does not answer for it */
	manners_unref(m, &again);

	manners_open(&a);
	assert_null(manners_room(m, &a, 1));
	manners_open(&a);
	assert_ptr_equal(manners_room(m, &a, 1), &a.host->waiters);
	assert_false(manners_has_room(m, &a.host->waiters, 1));
	manners_open(&b);
	manners_open(&b);
	assert_ptr_equal(manners_room(m, &c, 1), &a.provider->waiters);
	manners_close(&b);
	assert_null(manners_room(m, &c, 1));
	assert_true(manners_has_room(m, &a.provider->waiters, 1));
	a.host->slow_until_ms = 100;
	manners_close(&a);
	assert_ptr_equal(manners_room(m, &a, 1), &a.host->waiters);	/* slow: one at a time */
	assert_null(manners_room(m, &a, 100));
	for (int i = 0; i < 10; i++) {
		assert_null(manners_room(m, &own, 1));
		manners_open(&own);
	}
	assert_ptr_equal(manners_room(m, &own, 1), &own.host->waiters);
	manners_unref(m, &a);
	manners_unref(m, &b);
	manners_unref(m, &c);
	manners_unref(m, &own);
	manners_free(&m);
	manners_free(&m);
}

static void
manners_test_answers(void **state)
{
	struct manners *m = manners_new(&conf);
	struct peer h = manners_test_host(m, "9.9.9.1", "mx1.big.test", false), h2 = manners_test_host(m, "9.9.9.2", "mx2.big.test", false),
	    other = manners_test_host(m, "9.9.8.1", "mx.other.test", false), own = manners_test_host(m, "9.9.7.1", "mx.mine.test", true);
	const char *why = "";
	unsigned others;
	int64_t now = 1000;

	(void) state;
	assert_int_equal(manners_suspended(&h, now, &why), 0);
	manners_answer(m, &h, SMTP_CAT_POLICY, "blocked", now);
	assert_int_equal(manners_suspended(&h2, now, &why), now + 15 * MINUTE);
	assert_string_equal(why, "blocked");
	assert_int_equal(manners_suspended(&other, now, &why), 0);
	assert_int_equal(manners_blocked(m, now, 30 * MINUTE, &others), 1);
	assert_int_equal(others, 0);
	/* half open: one session, and a success opens it */
	now += 15 * MINUTE;
	assert_int_equal(manners_suspended(&h, now, &why), 0);
	assert_null(manners_room(m, &h, now));
	manners_open(&h);
	assert_ptr_equal(manners_room(m, &h2, now), &h.provider->waiters);
	manners_answer(m, &h, SMTP_CAT_ACCEPTED, "", now);
	assert_null(manners_room(m, &h2, now));
	manners_close(&h);
	/* refused again: twice as long */
	manners_answer(m, &h, SMTP_CAT_POLICY, "blocked", now);
	now += 15 * MINUTE;
	manners_answer(m, &h, SMTP_CAT_POLICY, "blocked", now);
	assert_int_equal(manners_suspended(&h, now, &why), now + 30 * MINUTE);
	assert_int_equal(manners_blocked(m, now + 31 * MINUTE, 30 * MINUTE, &others), 0);
	/* too fast */
	manners_answer(m, &other, SMTP_CAT_RATE, "slow down", now);
	assert_int_equal(manners_suspended(&other, now, &why), now + 2 * MINUTE);
	/* one's own servers may say what they like */
	manners_answer(m, &own, SMTP_CAT_POLICY, "no", now);
	assert_int_equal(manners_suspended(&own, now, &why), 0);
	manners_unref(m, &h);
	manners_unref(m, &h2);
	manners_unref(m, &other);
	manners_unref(m, &own);
	manners_free(&m);
}

static void
manners_test_unknown(void **state)
{
	struct manners *m = manners_new(&conf);
	struct peer h = manners_test_host(m, "9.9.9.1", "mx1.big.test", false);
	const char *why = "";
	int64_t now = 1000;

	(void) state;
	/* many unknown, but among more that exist: fine */
	for (int i = 0; i < 100; i++)
		manners_answer(m, &h, i % 3 == 0 ? SMTP_CAT_UNKNOWN : SMTP_CAT_ACCEPTED, "", now);
	assert_int_equal(manners_suspended(&h, now, &why), 0);
	now += 61 * MINUTE;
	for (int i = 0; i < 20; i++)
		manners_answer(m, &h, SMTP_CAT_UNKNOWN, "", now);
	assert_int_equal(manners_suspended(&h, now, &why), 0);
	for (int i = 0; i < 40; i++)
		manners_answer(m, &h, SMTP_CAT_UNKNOWN, "", now);
	assert_int_equal(manners_suspended(&h, now, &why), now + 15 * MINUTE);
	assert_string_equal(why, "too many unknown mailboxes");
	now += 15 * MINUTE;
	assert_int_equal(manners_suspended(&h, now, &why), 0);
	manners_unref(m, &h);
	manners_free(&m);
}

static void
manners_test_dead(void **state)
{
	struct manners *m = manners_new(&conf);
	struct peer h = manners_test_host(m, "9.9.9.1", "mx1.big.test", false);

	(void) state;
	manners_failed(m, h.host, "refused", 1000);
	manners_failed(m, h.host, "refused", 1000);
	assert_false(backoff_on(&h.host->dead, 1000));
	manners_reached(h.host);
	manners_failed(m, h.host, "refused", 1000);
	manners_failed(m, h.host, "refused", 1000);
	assert_false(backoff_on(&h.host->dead, 1000));
	manners_failed(m, h.host, "refused", 1000);
	assert_true(backoff_on(&h.host->dead, 1000));
	assert_string_equal(h.host->why, "refused");
	assert_false(backoff_on(&h.host->dead, 1000 + MINUTE));
	manners_failed(m, h.host, "refused", 1000 + MINUTE);
	assert_true(backoff_on(&h.host->dead, 1000 + 2 * MINUTE));
	manners_unref(m, &h);
	manners_free(&m);
}

static void
manners_test_bounded(void **state)
{
	struct manners *m = manners_new(&conf);
	struct peer h, keep = manners_test_host(m, "9.9.0.1", "mx.keep.test", false);
	const char *why = "";
	char	addr[20], name[40];

	(void) state;
	manners_answer(m, &keep, SMTP_CAT_POLICY, "blocked", 1000);
	for (int i = 0; i < 1000; i++) {
		snprintf(addr, sizeof addr, "9.8.%d.%d", i / 250, i % 250 + 1);
		snprintf(name, sizeof name, "mx.p%d.test", i);
		h = manners_test_host(m, addr, name, false);
		manners_unref(m, &h);
		assert_null(h.host);
	}
	assert_true(manners_suspended(&keep, 1000, &why) > 0);	/* what is in use is kept */
	/* and what was used last is known, too */
	manners_unref(m, &keep);
	keep = manners_test_host(m, "9.9.0.1", "mx.keep.test", false);
	assert_true(manners_suspended(&keep, 1000, &why) > 0);
	manners_unref(m, &keep);
	manners_free(&m);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(manners_test_provider),
		cmocka_unit_test(manners_test_bucket),
		cmocka_unit_test(manners_test_backoff),
		cmocka_unit_test(manners_test_room),
		cmocka_unit_test(manners_test_answers),
		cmocka_unit_test(manners_test_unknown),
		cmocka_unit_test(manners_test_dead),
		cmocka_unit_test(manners_test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
