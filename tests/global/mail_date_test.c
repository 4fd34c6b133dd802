/* tests/global/mail_date_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <util/mem.h>
#include <global/mail_date.h>

static void
test_dates(void **state)
{
	/* zones as POSIX text, so that no zone database is needed */
	static const struct {
		const char *tz;
		int64_t	when;
		const char *want;
	} cases[] = {
		{ "UTC0", 1795199697, "Fri, 20 Nov 2026 18:34:57 +0000 (UTC)" },	/* transcript 20 */
		{ "EST5EDT,M3.2.0,M11.1.0", 1793750400, "Tue,  3 Nov 2026 19:00:00 -0500 (EST)" },
		{ "EST5EDT,M3.2.0,M11.1.0", 1780000000, "Thu, 28 May 2026 16:26:40 -0400 (EDT)" },
		{ "UTC0", 0, "Thu,  1 Jan 1970 00:00:00 +0000 (UTC)" },
		{ "UTC0", -1, "Wed, 31 Dec 1969 23:59:59 +0000 (UTC)" },
		{ "UTC0", 951782400, "Tue, 29 Feb 2000 00:00:00 +0000 (UTC)" },
		{ "UTC0", 4102444799, "Thu, 31 Dec 2099 23:59:59 +0000 (UTC)" },
		{ "IST-5:30", 1795199697, "Sat, 21 Nov 2026 00:04:57 +0530 (IST)" },
		{ "NST3:30", 1795199697, "Fri, 20 Nov 2026 15:04:57 -0330 (NST)" },
		{ "<-0045>0:45", 1795199697, "Fri, 20 Nov 2026 17:49:57 -0045 (-0045)" },
		{ "<+14>-14", 1795199697, "Sat, 21 Nov 2026 08:34:57 +1400 (+14)" },
		{ "<ABCDEFGHIJKLMNOPQRSTUVWXYZ>0", 0, "Thu,  1 Jan 1970 00:00:00 +0000 (ABCDEFGHIJKLMNOPQRST)" },
		{ "UTC0", INT64_MAX, "Thu,  1 Jan 1970 00:00:00 +0000 (UTC)" },		/* no year for it */
	};
	char	buf[64];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		setenv("TZ", cases[i].tz, 1);
		tzset();
		if (strcmp(mail_date(buf, sizeof buf, cases[i].when), cases[i].want) != 0)
			fail_msg("%s %lld: got \"%s\", want \"%s\"", cases[i].tz, (long long) cases[i].when, buf,
			    cases[i].want);
	}
}

static void
test_months(void **state)
{
	static const char *const want[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
	};
	char	buf[64];

	(void) state;
	setenv("TZ", "UTC0", 1);
	tzset();
	for (int m = 0; m < 12; m++) {
		struct tm tm = { .tm_year = 126, .tm_mon = m, .tm_mday = 15 };

		mail_date(buf, sizeof buf, timegm(&tm));
		if (strncmp(buf + 8, want[m], 3) != 0)
			fail_msg("month %d: got \"%s\"", m, buf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_months),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
