/* tests/global/smtp_path_test.c - addresses of MAIL FROM and RCPT TO: good ones, bad ones, and written again */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <global/smtp_path.h>
#include <util/mem.h>

#define N	SMTP_PATH_NULL
#define P	SMTP_PATH_POSTMASTER
#define U	SMTP_PATH_UTF8
#define B	SMTP_PATH_BARE

static void
paths(void **state)
{
	static const struct { const char *text; unsigned flags; const char *user, *host, *shown; } rows[] = {
		/* user NULL: refused */
		{ "<a@b.test>", 0, "a", "b.test", "a@b.test" },
		{ "<A.b+c@B.Test>", 0, "A.b+c", "B.Test", "A.b+c@B.Test" },
		{ "<!#$%&'*+-/=?^_`{|}~@b>", 0, "!#$%&'*+-/=?^_`{|}~", "b", "!#$%&'*+-/=?^_`{|}~@b" },
		{ "<\"a b\"@c.test>", 0, "a b", "c.test", "\"a b\"@c.test" },
		{ "<\"a\\\"\\\\b\"@c.test>", 0, "a\"\\b", "c.test", "\"a\\\"\\\\b\"@c.test" },
		{ "<\"plain\"@c.test>", 0, "plain", "c.test", "plain@c.test" },
		{ "<\"a@b\"@c.test>", 0, "a@b", "c.test", "\"a@b\"@c.test" },
		{ "<\"a>b\"@c.test>", 0, "a>b", "c.test", "\"a>b\"@c.test" },
		{ "<\"a..b\"@c.test>", 0, "a..b", "c.test", "\"a..b\"@c.test" },
		{ "<\".\"@c.test>", 0, ".", "c.test", "\".\"@c.test" },
		{ "<a@[192.0.2.1]>", 0, "a", "[192.0.2.1]", "a@[192.0.2.1]" },
		{ "<a@[IPv6:2001:db8::1]>", 0, "a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]" },
		{ "<a@b_c.test>", 0, "a", "b_c.test", "a@b_c.test" },
		{ "<@x.test,@y.test:a@b.test>", 0, "a", "b.test", "a@b.test" },
		{ "<@x.test:a@b.test>", 0, "a", "b.test", "a@b.test" },
		{ "<>", N, "", "", "" }, { "<#@[]>", N, "", "", "" }, { "<>", 0, NULL, NULL, NULL }, { "<#@[]>", 0, NULL, NULL, NULL },
		{ "<Postmaster>", P, "Postmaster", "", "Postmaster" }, { "<postmaster>", 0, NULL, NULL, NULL },
		{ "<\"postmaster\">", P, "postmaster", "", "postmaster" }, { "<abuse>", P, NULL, NULL, NULL },
		{ "a@b.test", B, "a", "b.test", "a@b.test" }, { "a@b.test", 0, NULL, NULL, NULL }, { "", B, NULL, NULL, NULL },
		{ "<a@b.test", B, NULL, NULL, NULL }, { "a@b.test>", B, NULL, NULL, NULL }, { "<a@b.test>x", 0, NULL, NULL, NULL },
		{ "<j\xc3\xbc@\xc3\xb6.test>", U, "j\xc3\xbc", "\xc3\xb6.test", "j\xc3\xbc@\xc3\xb6.test" },
		{ "<j\xc3\xbc@b.test>", 0, NULL, NULL, NULL }, { "<a@\xc3\xb6.test>", 0, NULL, NULL, NULL },
		{ "<j\xc3@b.test>", U, NULL, NULL, NULL }, { "<\"\xc3\xbc x\"@b.test>", U, "\xc3\xbc x", "b.test", "\"\xc3\xbc x\"@b.test" },
		{ "<a@>", 0, NULL, NULL, NULL }, { "<@b.test>", 0, NULL, NULL, NULL }, { "<a>", 0, NULL, NULL, NULL },
		{ "<a@@b.test>", 0, NULL, NULL, NULL }, { "<a@b@c.test>", 0, NULL, NULL, NULL },
		{ "<.a@b.test>", 0, NULL, NULL, NULL }, { "<a.@b.test>", 0, NULL, NULL, NULL }, { "<a..b@c.test>", 0, NULL, NULL, NULL },
		{ "<a b@c.test>", 0, NULL, NULL, NULL }, { "<a@b c>", 0, NULL, NULL, NULL }, { "<a\t@b>", 0, NULL, NULL, NULL },
		{ "<a@.b>", 0, NULL, NULL, NULL }, { "<a@b.>", 0, NULL, NULL, NULL }, { "<a@b..c>", 0, NULL, NULL, NULL },
		{ "<a@-b>", 0, NULL, NULL, NULL }, { "<a@b->", 0, NULL, NULL, NULL }, { "<a@b-.c>", 0, NULL, NULL, NULL },
		{ "<a@b!c>", 0, NULL, NULL, NULL }, { "<a@[1.2.3]>", 0, NULL, NULL, NULL }, { "<a@[1.2.3.4>", 0, NULL, NULL, NULL },
		{ "<a@[IPv6:1::2::3]>", 0, NULL, NULL, NULL }, { "<a@[x:y]>", 0, NULL, NULL, NULL }, { "<a@[1.2.3.4]x>", 0, NULL, NULL, NULL },
		{ "<\"a@b.test>", 0, NULL, NULL, NULL }, { "<\"\"@b.test>", 0, NULL, NULL, NULL }, { "<\"a\"b@c.test>", 0, NULL, NULL, NULL },
		{ "<\"a\\\"@c.test>", 0, NULL, NULL, NULL }, { "<\"a\x01\"@c.test>", 0, NULL, NULL, NULL },
		{ "<@x.test,a@b.test>", 0, NULL, NULL, NULL }, { "<@x.test:>", 0, NULL, NULL, NULL }, { "<@x.test,:a@b>", 0, NULL, NULL, NULL },
	};
	struct buf shown = BUF_INIT(2000);
	struct smtp_path p;
	const char *why;

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		bool	ok;

		why = NULL;
		ok = smtp_path_parse(&p, rows[i].text, strlen(rows[i].text), rows[i].flags, &why);
		if (ok != (rows[i].user != NULL))
			fail_msg("%s: %s", rows[i].text, ok ? "accepted" : why);
		if (!ok) {
			assert_non_null(why);
			continue;
		}
		buf_reset(&shown);
		smtp_path_show(&shown, p.user, p.host);
		if (strcmp(p.user, rows[i].user) != 0 || strcmp(p.host, rows[i].host) != 0 || strcmp(buf_str(&shown), rows[i].shown) != 0)
			fail_msg("%s: user \"%s\", host \"%s\", shown \"%s\"", rows[i].text, p.user, p.host, buf_str(&shown));
	}
	buf_fini(&shown);
}

static void
lengths(void **state)
{
	static const struct { size_t user, label, labels; bool ok; } rows[] = {
		{ 64, 63, 3, true }, { 255, 5, 1, true }, { 256, 5, 1, false }, { 1, 64, 1, false }, { 1, 63, 4, true }, { 5, 50, 6, false },
		{ 255, 50, 4, true }, { 255, 63, 4, false },		/* the path as a whole: 512 */
	};
	struct buf text = BUF_INIT(2000);
	struct smtp_path p;
	const char *why;

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&text);
		buf_adds(&text, "<");
		for (size_t n = 0; n < rows[i].user; n++)
			buf_addc(&text, 'u');
		for (size_t l = 0; l < rows[i].labels; l++) {
			buf_addc(&text, l == 0 ? '@' : '.');
			for (size_t n = 0; n < rows[i].label; n++)
				buf_addc(&text, 'd');
		}
		buf_adds(&text, ">");
		if (smtp_path_parse(&p, text.data, text.len, 0, &why) != rows[i].ok)
			fail_msg("row %zu (%zu bytes): %s", i, text.len, rows[i].ok ? why : "accepted");
	}
	buf_fini(&text);
}

static void
spans(void **state)
{
	static const struct { const char *text; size_t span; } rows[] = {
		{ "<a@b> SIZE=5", 5 }, { "<\"a>b\"@c> X", 9 }, { "<\"a\\\">\"@c> X", 10 }, { "a@b SIZE=5", 3 }, { "\"a b\"@c d", 7 }, { "<a", 2 },
		{ "", 0 }, { "<>", 2 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++)
		if (smtp_path_span(rows[i].text, strlen(rows[i].text)) != rows[i].span)
			fail_msg("%s: %zu", rows[i].text, smtp_path_span(rows[i].text, strlen(rows[i].text)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(lengths),
		cmocka_unit_test(spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
