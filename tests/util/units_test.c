/* tests/util/units_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <util/mem.h>
#include <util/units.h>

#define BAD	(-1)

/* spec main-cf 5 */
static void
test_time(void **state)
{
	static const struct {
		const char *text;
		char	unit;
		int64_t	want_ms;
	} cases[] = {
		{ "0", 's', 0 },
		{ "0s", 'd', 0 },
		{ "1s", 'd', 1000 },
		{ "30m", 's', 1800000 },
		{ "2h", 's', 7200000 },
		{ "31d", 's', 31 * 86400000LL },
		{ "1w", 's', 604800000 },
		{ "7", 'd', 7 * 86400000LL },
		{ "7", 's', 7000 },
		{ "7", 'm', 420000 },
		{ "007", 's', 7000 },
		{ "7days", 's', 7 * 86400000LL },
		{ "7dx", 's', 7 * 86400000LL },
		{ "250ms", 's', 250 },
		{ "0ms", 's', 0 },
		{ "1500ms", 'd', 1500 },
		{ "7msx", 's', 420000 },			/* m, as in Postfix */
		{ "7minutes", 's', 420000 },
		{ "2147483646", 's', 2147483646000 },
		{ "2147483647", 's', BAD },
		{ "2147483648", 's', BAD },
		{ "24854d", 's', 24854 * 86400000LL },
		{ "24855d", 's', BAD },
		{ "3549w", 's', 3549 * 604800000LL },
		{ "3550w", 's', BAD },
		{ "2147483646999ms", 's', 2147483646999 },
		{ "2147483647000ms", 's', BAD },
		{ "9223372036854775808", 's', BAD },
		{ "99999999999999999999999s", 's', BAD },
		{ "", 's', BAD },
		{ "s", 's', BAD },
		{ "7 d", 's', BAD },
		{ " 7d", 's', BAD },
		{ "7D", 's', BAD },
		{ "7S", 's', BAD },
		{ "7x", 's', BAD },
		{ "-7s", 's', BAD },
		{ "+7s", 's', BAD },
		{ "1.5s", 's', BAD },
		{ "0x10", 's', BAD },
		{ "7", 'x', BAD },
		{ "7", 0, BAD },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		int64_t	ms = 42;
		bool	good = units_time_parse(cases[i].text, cases[i].unit, &ms);

		if (good != (cases[i].want_ms != BAD) || ms != (good ? cases[i].want_ms : 42))
			fail_msg("\"%s\" (%c): got %d, %lld ms, want %lld", cases[i].text, cases[i].unit, good,
			    (long long) ms, (long long) cases[i].want_ms);
	}
}

static void
test_time_unit(void **state)
{
	static const struct {
		const char *text;
		char	want;
	} cases[] = { { "31d", 'd' }, { "3h", 'h' }, { "1m", 'm' }, { "2w", 'w' }, { "5s", 's' }, { "5", 's' },
		{ "", 's' }, { "250ms", 's' }, { "$x", 's' }, { "5x", 's' } };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		if (units_time_unit(cases[i].text) != cases[i].want)
			fail_msg("\"%s\": got %c, want %c", cases[i].text, units_time_unit(cases[i].text), cases[i].want);
}

static void
test_time_print(void **state)
{
	static const struct {
		int64_t	ms;
		const char *want;
	} cases[] = {
		{ 0, "0s" }, { 1, "1ms" }, { 250, "250ms" }, { 1000, "1s" }, { 1500, "1500ms" }, { 60000, "1m" },
		{ 90000, "90s" }, { 3600000, "1h" }, { 5400000, "90m" }, { 86400000, "1d" }, { 604800000, "1w" },
		{ 7 * 86400000LL, "1w" }, { 31 * 86400000LL, "31d" }, { 36 * 3600000LL, "36h" },
		{ 2147483646999, "2147483646999ms" }, { 2147483646000, "2147483646s" },
	};
	char	buf[32];
	int64_t	ms;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		if (strcmp(units_time_print(buf, cases[i].ms), cases[i].want) != 0)
			fail_msg("%lld ms: got %s, want %s", (long long) cases[i].ms, buf, cases[i].want);
		if (!units_time_parse(buf, 's', &ms) || ms != cases[i].ms)
			fail_msg("%s: does not read back as %lld ms", buf, (long long) cases[i].ms);
	}
}

static void
test_size(void **state)
{
	static const struct {
		const char *text;
		bool	good;
		uint64_t want;
	} cases[] = {
		{ "0", true, 0 }, { "1", true, 1 }, { "4k", true, 4096 }, { "4K", true, 4096 },
		{ "64M", true, 64 << 20 }, { "64m", true, 64 << 20 }, { "2G", true, 2ULL << 30 },
		{ "2g", true, 2ULL << 30 }, { "9223372036854775807", true, INT64_MAX },
		{ "8589934591G", true, 8589934591ULL << 30 },
		{ "8589934592G", false, 0 }, { "9223372036854775808", false, 0 }, { "99999999999999999999", false, 0 },
		{ "", false, 0 }, { "k", false, 0 }, { "4 k", false, 0 }, { "4kb", false, 0 }, { "4T", false, 0 },
		{ "-4", false, 0 }, { "+4", false, 0 }, { "1.5M", false, 0 }, { "0x10", false, 0 }, { " 4", false, 0 },
		{ "4 ", false, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		uint64_t n = 42;

		if (units_size_parse(cases[i].text, &n) != cases[i].good || n != (cases[i].good ? cases[i].want : 42))
			fail_msg("\"%s\": got %llu", cases[i].text, (unsigned long long) n);
	}
}

static void
test_int(void **state)
{
	static const struct {
		const char *text;
		bool	good;
		int64_t	want;
	} cases[] = {
		{ "0", true, 0 }, { "4", true, 4 }, { "+4", true, 4 }, { "-4", true, -4 }, { "010", true, 10 },
		{ "9223372036854775807", true, INT64_MAX }, { "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 }, { "-9223372036854775809", false, 0 },
		{ "", false, 0 }, { "-", false, 0 }, { "+", false, 0 }, { "+-4", false, 0 }, { " 4", false, 0 },
		{ "- 4", false, 0 }, { "4 ", false, 0 }, { "4x", false, 0 }, { "0x10", false, 0 }, { "1k", false, 0 },
		{ "1e3", false, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		int64_t	n = 42;
		bool	good = units_int_parse(cases[i].text, &n);

		if (good != cases[i].good || (good && n != cases[i].want))
			fail_msg("\"%s\": got %d, %lld", cases[i].text, good, (long long) n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_time_unit),
		cmocka_unit_test(test_time_print),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_int),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
