/* tests/global/probe_sender_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <global/probe_sender.h>

/* spec verify-protocol 11.1: time, TTL, slot and its neighbours */
static void
test_slots(void **state)
{
	static const struct {
		int64_t	when, ttl_s;
		uint64_t slot;
		const char *text, *previous, *next;
	} cases[] = {
		{ 1700000000, 3600, 472222, "HVCZ", "HVCY", "HVD0" },
		{ 1700000000, 10000, 170000, "5PWW", "5PWV", "5PWX" },
		{ 1700000000, 86400, 19675, "NGP", "NGN", "NGQ" },
		{ 1700000000, 1, 1700000000, "1XCS6MP", "1XCS6MN", "1XCS6MQ" },
		{ 1795198469, 3600, 498666, "JQX0", "JQWZ", "JQX1" },
		{ 1795199532, 8640000, 207, "6P", "6N", "6Q" },
		{ 3600, 3600, 1, "1", "", "2" },
		{ 3599, 3600, 0, "", NULL, "1" },
		{ 0, 1, 0, "", NULL, "1" },
		{ -5, 1, 0, "", NULL, "1" },		/* no clock yet */
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF_INIT(100);
		char	want[100];

		probe_sender_make(&b, "probe@x.example", cases[i].ttl_s * 1000, "origin.test", cases[i].when);
		snprintf(want, sizeof want, "probe%s@x.example", cases[i].text);
		if (strcmp(buf_str(&b), want) != 0)
			fail_msg("row %zu: got %s, want %s", i, buf_str(&b), want);
		for (int d = -1; d <= 1; d++) {
			const char *text = d < 0 ? cases[i].previous : d > 0 ? cases[i].next : cases[i].text;

			if (text == NULL)
				continue;
			buf_reset(&b);
			probe_sender_slot(&b, cases[i].slot + (uint64_t) d);
			if (strcmp(buf_str(&b), text) != 0)
				fail_msg("row %zu slot %+d: got %s, want %s", i, d, buf_str(&b), text);
		}
		buf_fini(&b);
	}
}

static void
test_digits(void **state)
{
	static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZ";
	struct buf b = BUF_INIT(100);

	(void) state;
	for (uint64_t i = 1; i < 31; i++) {
		buf_reset(&b);
		probe_sender_slot(&b, i);
		assert_int_equal(b.len, 1);
		assert_int_equal(b.data[0], digits[i]);
	}
	buf_reset(&b);
	probe_sender_slot(&b, 31);
	assert_string_equal(buf_str(&b), "10");
	buf_reset(&b);
	probe_sender_slot(&b, UINT64_MAX);
	assert_string_equal(buf_str(&b), "RF075LC45N86H");	/* 13 digits, the most there can be */
	buf_fini(&b);
}

static void
test_make(void **state)
{
	static const struct {
		const char *value;
		int64_t	ttl_ms;
		const char *want;
	} cases[] = {
		{ "double-bounce", 0, "double-bounce@origin.test" },
		{ "double-bounce", 3600000, "double-bounceHVCZ@origin.test" },
		{ "probe@x.example", 0, "probe@x.example" },
		{ "probe@x.example", 3600000, "probeHVCZ@x.example" },
		{ "a@b@c", 3600000, "aHVCZ@b@c" },		/* the first @ */
		{ "", 0, "" },
		{ "", 3600000, "" },				/* TTL ignored */
		{ "<>", 0, "" },
		{ "<>", 3600000, "" },
		{ "probe@x.example", 1, "probe1XCS6MP@x.example" },	/* below 1 s counts as 1 s */
		{ "probe@x.example", 1999, "probe1XCS6MP@x.example" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF_INIT(100);

		probe_sender_make(&b, cases[i].value, cases[i].ttl_ms, "origin.test", 1700000000);
		if (strcmp(buf_str(&b), cases[i].want) != 0)
			fail_msg("%s ttl %lld: got %s, want %s", cases[i].value, (long long) cases[i].ttl_ms,
			    buf_str(&b), cases[i].want);
		buf_fini(&b);
	}
}

static void
test_check(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "double-bounce", NULL }, { "a@b", NULL }, { "", NULL }, { "<>", NULL }, { "a@b@", NULL },
		{ "@", "must not start with '@'" },
		{ "@x", "must not start with '@'" },
		{ "x@", "must not end with '@'" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *got = probe_sender_check(cases[i].value);

		if ((got == NULL) != (cases[i].want == NULL) || (got != NULL && strcmp(got, cases[i].want) != 0))
			fail_msg("%s: got %s, want %s", cases[i].value, got != NULL ? got : "fine",
			    cases[i].want != NULL ? cases[i].want : "fine");
	}
}

/* spec verify-protocol 11.2 */
static void
test_match(void **state)
{
	enum { JQX0 = 1795198469 };
	static const struct {
		const char *addr, *value;
		int64_t	ttl_s, when;
		bool	want;
	} cases[] = {
		{ "probeJQWZ@spec.test", "probe@spec.test", 3600, JQX0, true },
		{ "probeJQX0@spec.test", "probe@spec.test", 3600, JQX0, true },
		{ "probeJQX1@spec.test", "probe@spec.test", 3600, JQX0, true },
		{ "probe0JQX0@spec.test", "probe@spec.test", 3600, JQX0, true },
		{ "probe000000000000000000000JQX0@spec.test", "probe@spec.test", 3600, JQX0, true },
		{ "PROBEJQX0@SPEC.TEST", "probe@spec.test", 3600, JQX0, true },
		{ "probeJQX0@spec.test", "probe", 3600, JQX0, true },		/* $myorigin */
		{ "probeJQX0@other.test", "probe", 3600, JQX0, false },
		{ "probeJQWY@spec.test", "probe@spec.test", 3600, JQX0, false },
		{ "probeJQX2@spec.test", "probe@spec.test", 3600, JQX0, false },
		{ "probejqx0@spec.test", "probe@spec.test", 3600, JQX0, false },
		{ "probe@spec.test", "probe@spec.test", 3600, JQX0, false },
		{ "probeJQX0x@spec.test", "probe@spec.test", 3600, JQX0, false },
		{ "probeJQX0A@spec.test", "probe@spec.test", 3600, JQX0, false },
		{ "probeJQX0", "probe@spec.test", 3600, JQX0, false },
		{ "probeJQX0@", "probe@spec.test", 3600, JQX0, false },
		{ "proJQX0@spec.test", "probe@spec.test", 3600, JQX0, false },
		{ "pro", "probe@spec.test", 3600, JQX0, false },
		{ "", "probe@spec.test", 3600, JQX0, false },
		{ "probeZZZZZZZZZZZZZZZZ@spec.test", "probe@spec.test", 3600, JQX0, false },	/* above 64 bits */
		{ "probe@spec.test", "probe@spec.test", 0, JQX0, true },
		{ "Probe@Spec.Test", "probe@spec.test", 0, JQX0, true },
		{ "probeJQX0@spec.test", "probe@spec.test", 0, JQX0, false },
		{ "probe", "probe@spec.test", 0, JQX0, false },
		{ "double-bounce@spec.test", "double-bounce", 0, JQX0, true },
		/* around slot 0, whose text is empty */
		{ "probe@spec.test", "probe@spec.test", 3600, 3599, true },
		{ "probe1@spec.test", "probe@spec.test", 3600, 3599, true },
		{ "probe2@spec.test", "probe@spec.test", 3600, 3599, false },
		{ "probe@spec.test", "probe@spec.test", 3600, 3600, true },
		{ "probe@spec.test", "probe@spec.test", 3600, 7200, false },
		{ "probeRF075LC45N86H@spec.test", "probe@spec.test", 3600, 0, false },	/* 2^64 - 1 is not slot -1 */
		{ "", "", 0, JQX0, true },
		{ "", "<>", 3600, JQX0, true },
		{ "<>", "<>", 0, JQX0, false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		if (probe_sender_match(cases[i].addr, cases[i].value, cases[i].ttl_s * 1000, "spec.test",
		    cases[i].when) != cases[i].want)
			fail_msg("row %zu: %s against %s, ttl %lld: not %d", i, cases[i].addr, cases[i].value,
			    (long long) cases[i].ttl_s, cases[i].want);
}

/* what is made is recognised: in its own slot and the two beside it, and in no other */
static void
test_round_trip(void **state)
{
	(void) state;
	for (int64_t when = 1795198469 - 40 * 100; when < 1795198469; when += 37) {
		struct buf b = BUF_INIT(100);

		probe_sender_make(&b, "p", 100000, "o.test", when);
		for (int64_t d = -3; d <= 3; d++)
			if (probe_sender_match(buf_str(&b), "p", 100000, "o.test", when + d * 100) != (d >= -1 && d <= 1))
				fail_msg("%s made at %lld, %lld slots later", buf_str(&b), (long long) when,
				    (long long) d);
		buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_digits),
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
