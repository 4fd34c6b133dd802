/* tests/global/smtp_xclient_test.c - attributes, and nothing that a client says can become one */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/smtp_xclient.h>

static void
smtp_xclient_test_line(void **state)
{
	static const struct {
		const char *name;
		unsigned may;
		const char *value[SMTP_XCLIENT_ATTRS];
		const char *want;
	} cases[] = {
		{ "all", 31, { "c.test", "IPV6:2001:db8::1", "25", "ESMTP", "c" },
		  "XCLIENT NAME=c.test ADDR=IPV6:2001:db8::1 PORT=25 PROTO=ESMTP HELO=c" },
		{ "some", 2 | 16, { "c.test", "192.0.2.1", "25", "ESMTP", "c" }, "XCLIENT ADDR=192.0.2.1 HELO=c" },
		{ "none", 0, { "c.test", "192.0.2.1", "25", "ESMTP", "c" }, "XCLIENT" },
		{ "not known", 1 | 16, { NULL, NULL, NULL, NULL, NULL }, "XCLIENT NAME=[UNAVAILABLE] HELO=[UNAVAILABLE]" },
		{ "syntax in a value", 16, { NULL, NULL, NULL, NULL, "a b+c=d\r\nRCPT\t\377" },
		  "XCLIENT HELO=a+20b+2Bc+3Dd+0D+0ARCPT+09+FF" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf line = BUF_INIT(1000);

		smtp_xclient_line(&line, cases[i].may, cases[i].value);
		if (strcmp(buf_str(&line), cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].name, buf_str(&line), cases[i].want);
		buf_fini(&line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smtp_xclient_test_line),
	};

	return cmocka_run_group_tests_name("smtp_xclient", tests, NULL, NULL);
}
