/* tests/global/smtp_reply_test.c - bytes -> replies, and what they mean */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/smtp_class.h>
#include <global/smtp_reply.h>

static const char *const result_names[] = { "more", "done", "bad" };

static void
smtp_reply_test_feed(void **state)
{
	static const struct {
		const char *name, *in;
		enum smtp_reply_result want;
		unsigned code, lines;
		const char *dsn, *show, *rest;
	} cases[] = {
		{ "plain", "250 2.1.5 Ok\r\n", SMTP_REPLY_DONE, 250, 1, "2.1.5", "250 2.1.5 Ok", "" },
		{ "bare LF", "250 ok\n", SMTP_REPLY_DONE, 250, 1, "", "250 ok", "" },
		{ "code alone", "250\r\n", SMTP_REPLY_DONE, 250, 1, "", "250", "" },
		{ "code and blank", "250 \r\n", SMTP_REPLY_DONE, 250, 1, "", "250 ", "" },
		{ "several lines", "550-5.1.1 one\r\n550 5.1.1 two\r\n", SMTP_REPLY_DONE, 550, 2, "5.1.1",
		  "550-5.1.1 one 550 5.1.1 two", "" },
		{ "detail in the first line only", "550-5.1.1 one\r\n550 two\r\n", SMTP_REPLY_DONE, 550, 2, "5.1.1",
		  "550-5.1.1 one 550 two", "" },
		{ "detail of another class", "250 5.1.1 odd\r\n", SMTP_REPLY_DONE, 250, 1, "", "250 5.1.1 odd", "" },
		{ "detail with 3yz", "354 2.0.0 go\r\n", SMTP_REPLY_DONE, 354, 1, "", "354 2.0.0 go", "" },
		{ "code changes", "550-5.1.1 no\r\n250 yes\r\n", SMTP_REPLY_DONE, 250, 2, "", "550-5.1.1 no 250 yes", "" },
		{ "detail alone", "550 5.1.1\r\n", SMTP_REPLY_DONE, 550, 1, "5.1.1", "550 5.1.1", "" },
		{ "long detail", "550 5.123.456 x\r\n", SMTP_REPLY_DONE, 550, 1, "5.123.456", "550 5.123.456 x", "" },
		{ "detail too long", "550 5.1234.1 x\r\n", SMTP_REPLY_DONE, 550, 1, "", "550 5.1234.1 x", "" },
		{ "detail glued", "550 5.1.1x\r\n", SMTP_REPLY_DONE, 550, 1, "", "550 5.1.1x", "" },
		{ "empty continuation", "220-\r\n220 x\r\n", SMTP_REPLY_DONE, 220, 2, "", "220- 220 x", "" },
		{ "rest stays", "250 ok\r\n354 go\r\n", SMTP_REPLY_DONE, 250, 1, "", "250 ok", "354 go\r\n" },
		{ "half a line", "250 o", SMTP_REPLY_MORE, 0, 0, "", "250 o", "" },
		{ "half a reply", "250-a\r\n", SMTP_REPLY_MORE, 250, 1, "", "250-a", "" },
		{ "control bytes", "250 a\001b\tc\177d\r\n", SMTP_REPLY_DONE, 250, 1, "", "250 a?b?c?d", "" },
		{ "CR in the middle", "250 a\rb\r\n", SMTP_REPLY_DONE, 250, 1, "", "250 a?b", "" },
		{ "two CR", "250 a\r\r\n", SMTP_REPLY_DONE, 250, 1, "", "250 a?", "" },
		{ "UTF-8", "550 \303\251\r\n", SMTP_REPLY_DONE, 550, 1, "", "550 \303\251", "" },
		{ "no UTF-8", "550 \303\r\n", SMTP_REPLY_DONE, 550, 1, "", "550 ?", "" },
		{ "no code", "hello\r\n", SMTP_REPLY_BAD, 0, 0, "", "hello", "" },
		{ "empty line", "\r\n", SMTP_REPLY_BAD, 0, 0, "", "", "" },
		{ "two digits", "25\r\n", SMTP_REPLY_BAD, 0, 0, "", "25", "" },
		{ "four digits", "2500 x\r\n", SMTP_REPLY_BAD, 0, 0, "", "2500 x", "" },
		{ "another separator", "250:x\r\n", SMTP_REPLY_BAD, 0, 0, "", "250:x", "" },
		{ "bad second line", "250-x\r\nfoo\r\n", SMTP_REPLY_BAD, 250, 1, "", "250-x foo", "" },
		{ "HTTP", "HTTP/1.1 400 Bad Request\r\n", SMTP_REPLY_BAD, 0, 0, "", "HTTP/1.1 400 Bad Request", "" },
	};
	struct buf show = BUF_INIT(10000);
	enum smtp_reply_result got;
	struct smtp_reply r;
	size_t	used, len, at;

	(void) state;
	smtp_reply_init(&r);
	for (size_t i = 0; i < NELEM(cases); i++)
		for (size_t cut = 1; cut <= 20; cut += 19) {		/* byte by byte, and in larger pieces */
			len = strlen(cases[i].in);
			smtp_reply_reset(&r);
			buf_reset(&show);
			got = SMTP_REPLY_MORE;
			for (at = 0; at < len && got == SMTP_REPLY_MORE; at += used)
				got = smtp_reply_feed(&r, cases[i].in + at, cut < len - at ? cut : len - at, &used);
			smtp_reply_show(&r, &show, false, true);
			if (got != cases[i].want)
				fail_msg("%s: got %s, want %s", cases[i].name, result_names[got], result_names[cases[i].want]);
			if (r.code != cases[i].code || r.lines != cases[i].lines)
				fail_msg("%s: got %u in %u lines, want %u in %u", cases[i].name, r.code, r.lines,
				    cases[i].code, cases[i].lines);
			if (strcmp(r.dsn, cases[i].dsn) != 0)
				fail_msg("%s: got detail %s, want %s", cases[i].name, r.dsn, cases[i].dsn);
			if (strpbrk(buf_str(&r.text), "\001\t\r\177") != NULL)
				fail_msg("%s: the text has control characters", cases[i].name);
			if (strcmp(buf_str(&show), cases[i].show) != 0)
				fail_msg("%s: got [%s], want [%s]", cases[i].name, buf_str(&show), cases[i].show);
			if (cut == 20 && got == SMTP_REPLY_DONE && strcmp(cases[i].in + at, cases[i].rest) != 0)
				fail_msg("%s: rest [%s], want [%s]", cases[i].name, cases[i].in + at, cases[i].rest);
		}
	smtp_reply_fini(&r);
	buf_fini(&show);
}

static void
smtp_reply_test_nul(void **state)
{
	struct smtp_reply r;
	size_t	used;

	(void) state;
	smtp_reply_init(&r);
	assert_int_equal(smtp_reply_feed(&r, "250 a\0b\r\n", 9, &used), SMTP_REPLY_DONE);
	assert_string_equal(buf_str(&r.text), "250 a?b");
	smtp_reply_fini(&r);
}

static void
smtp_reply_test_limits(void **state)
{
	static char big[1 << 20];
	struct smtp_reply r;
	size_t	used;

	(void) state;
	memset(big, 'x', sizeof big);
	smtp_reply_init(&r);

	/* a line of 1 MB is cut, not refused */
	assert_int_equal(smtp_reply_feed(&r, "550 5.1.1 ", 10, &used), SMTP_REPLY_MORE);
	assert_int_equal(smtp_reply_feed(&r, big, sizeof big, &used), SMTP_REPLY_MORE);
	assert_int_equal(smtp_reply_feed(&r, "\r\n", 2, &used), SMTP_REPLY_DONE);
	assert_int_equal(r.code, 550);
	assert_string_equal(r.dsn, "5.1.1");
	assert_int_equal(r.text.len, SMTP_REPLY_LINE_MAX);

	/* the code is seen also where the text has no room any more */
	smtp_reply_reset(&r);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(smtp_reply_feed(&r, "250-", 4, &used), SMTP_REPLY_MORE);
		assert_int_equal(smtp_reply_feed(&r, big, 2000, &used), SMTP_REPLY_MORE);
		assert_int_equal(smtp_reply_feed(&r, "\r\n", 2, &used), SMTP_REPLY_MORE);
	}
	assert_int_equal(smtp_reply_feed(&r, "550 5.7.1 no\r\n", 14, &used), SMTP_REPLY_DONE);
	assert_int_equal(r.code, 550);
	assert_string_equal(r.dsn, "5.7.1");
	assert_int_equal(r.text.len, SMTP_REPLY_TEXT_MAX);

	/* endless replies end */
	smtp_reply_reset(&r);
	for (int i = 1; i < SMTP_REPLY_LINES_MAX; i++)
		assert_int_equal(smtp_reply_feed(&r, "220-x\r\n", 7, &used), SMTP_REPLY_MORE);
	assert_int_equal(smtp_reply_feed(&r, "220-x\r\n", 7, &used), SMTP_REPLY_BAD);
	smtp_reply_reset(&r);
	for (unsigned i = 0; i < SMTP_REPLY_BYTES_MAX / sizeof big; i++)
		assert_int_equal(smtp_reply_feed(&r, big, sizeof big, &used), SMTP_REPLY_MORE);
	assert_int_equal(smtp_reply_feed(&r, big, sizeof big, &used), SMTP_REPLY_BAD);

	smtp_reply_reset(&r);
	assert_false(smtp_reply_partial(&r));
	assert_int_equal(smtp_reply_feed(&r, "2", 1, &used), SMTP_REPLY_MORE);
	assert_true(smtp_reply_partial(&r));
	smtp_reply_fini(&r);
}

static void
smtp_reply_test_parse(struct smtp_reply *r, const char *text)
{
	size_t	used;

	smtp_reply_reset(r);
	assert_int_equal(smtp_reply_feed(r, text, strlen(text), &used), SMTP_REPLY_DONE);
}

static void
smtp_reply_test_show(void **state)
{
	struct buf out = BUF_INIT(1000);
	struct smtp_reply r;
	char	dsn[12];
	size_t	len;

	(void) state;
	smtp_reply_init(&r);
	smtp_reply_test_parse(&r, "550-5.1.1 one\r\n550-\r\n550-two\r\n550 5.1.1\r\n");
	smtp_reply_show(&r, &out, true, true);
	assert_string_equal(buf_str(&out), "550-5.1.1 one  two ");
	assert_string_equal(smtp_reply_dsn(&r, dsn, sizeof dsn), "5.1.1");
	assert_memory_equal(smtp_reply_line(&r, 0, &len), "5.1.1 one", 9);
	assert_int_equal(len, 9);
	assert_non_null(smtp_reply_line(&r, 1, &len));
	assert_int_equal(len, 0);
	assert_null(smtp_reply_line(&r, 4, &len));
	buf_reset(&out);
	smtp_reply_test_parse(&r, "421 \303\251\r\n");
	smtp_reply_show(&r, &out, false, false);
	assert_string_equal(buf_str(&out), "421 ??");
	assert_string_equal(smtp_reply_dsn(&r, dsn, sizeof dsn), "4.0.0");
	smtp_reply_test_parse(&r, "354 x\r\n");
	assert_string_equal(smtp_reply_dsn(&r, dsn, sizeof dsn), "4.0.0");
	smtp_reply_test_parse(&r, "250 x\r\n");
	assert_string_equal(smtp_reply_dsn(&r, dsn, sizeof dsn), "2.0.0");
	smtp_reply_fini(&r);
	buf_fini(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(smtp_reply_test_feed),
		cmocka_unit_test(smtp_reply_test_nul),
		cmocka_unit_test(smtp_reply_test_limits),
		cmocka_unit_test(smtp_reply_test_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
