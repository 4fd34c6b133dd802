/* tests/util/utf8_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <util/mem.h>
#include <util/utf8.h>

#define S(s)	s, sizeof(s) - 1

/* spec verify-protocol 8.2, with both settings */
static void
test_sanitise(void **state)
{
	static const struct {
		const char *in;
		size_t	n;
		const char *utf8, *ascii;
	} cases[] = {
		{ S("nl\nhere\rcr"), "nl?here?cr", "nl?here?cr" },
		{ S("\x7f" "del"), "?del", "?del" },
		{ S("\xc3\xa9ok"), "\xc3\xa9ok", "??ok" },
		{ S("\xe9" "bad"), "?bad", "?bad" },
		{ S("\xff\xfe"), "??", "??" },
		{ S("\xc0\xaf"), "??", "??" },
		{ S("\xed\xa0\x80"), "???", "???" },
		{ S("\xf4\x90\x80\x80"), "????", "????" },
		{ S("\xc3"), "?", "?" },
		{ S("a\xe2\x82z"), "a??z", "a??z" },
		{ S("\xc3\xa9\xa9\xa9"), "\xc3\xa9??", "????" },
		{ S("\xc2\x80"), "\xc2\x80", "??" },
		{ S("\xef\xbf\xbe"), "\xef\xbf\xbe", "???" },
		{ S("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80", "????" },
		{ S(""), "", "" },
		{ S(" ~"), " ~", " ~" },
		{ S("\x1f\x20\x7e\x7f"), "? ~?", "? ~?" },
		{ S("\t\v\f\x01\x1b"), "?????", "?????" },
		{ S("\xe2\x82"), "??", "??" },
		{ S("\xf0\x9f\x98"), "???", "???" },
		{ S("\xe2\x82\xc3\xa9"), "??\xc3\xa9", "????" },	/* goes on at the next byte */
		{ S("\xf8\x88\x80\x80\x80"), "?????", "?????" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		for (int utf8 = 0; utf8 < 2; utf8++) {
			const char *want = utf8 ? cases[i].utf8 : cases[i].ascii;
			char	buf[64];

			memcpy(buf, cases[i].in, cases[i].n + 1);
			utf8_sanitise(buf, cases[i].n, utf8);
			if (strcmp(buf, want) != 0)
				fail_msg("row %zu, utf8 %d: got \"%s\", want \"%s\"", i, utf8, buf, want);
		}
}

/* every byte at every place of a text that is otherwise fine */
static void
test_sanitise_places(void **state)
{
	static const char text[] = "a text of some 30 bytes, plain";
	char	got[sizeof text], want[sizeof text];

	(void) state;
	for (unsigned c = 1; c < 256; c++)
		for (size_t i = 0; i < sizeof text - 1; i++) {
			strcpy(got, text);
			strcpy(want, text);
			got[i] = (char) c;
			want[i] = c >= 0x20 && c <= 0x7e ? (char) c : '?';
			utf8_sanitise(got, sizeof text - 1, false);
			if (strcmp(got, want) != 0)
				fail_msg("byte %02x at %zu: \"%s\"", c, i, got);
		}
}

/* the sequence of every code point, and every boundary around them: RFC 3629 section 4 */
static void
test_code_points(void **state)
{
	(void) state;
	for (unsigned cp = 0; cp < 0x120000; cp++) {
		char	s[4];
		size_t	len;
		bool	good = cp < 0x110000 && (cp < 0xd800 || cp > 0xdfff);

		if (cp < 0x80) {
			s[0] = (char) cp;
			len = 1;
		} else if (cp < 0x800) {
			s[0] = (char) (0xc0 | cp >> 6);
			s[1] = (char) (0x80 | (cp & 63));
			len = 2;
		} else if (cp < 0x10000) {
			s[0] = (char) (0xe0 | cp >> 12);
			s[1] = (char) (0x80 | (cp >> 6 & 63));
			s[2] = (char) (0x80 | (cp & 63));
			len = 3;
		} else {
			s[0] = (char) (0xf0 | cp >> 18);
			s[1] = (char) (0x80 | (cp >> 12 & 63));
			s[2] = (char) (0x80 | (cp >> 6 & 63));
			s[3] = (char) (0x80 | (cp & 63));
			len = 4;
		}
		if (utf8_seq(s, len) != (good ? len : 0) || utf8_valid(s, len) != good)
			fail_msg("U+%04X: got %zu", cp, utf8_seq(s, len));
		if (len > 1 && utf8_seq(s, len - 1) != 0)
			fail_msg("U+%04X: taken without its last byte", cp);
	}
}

static void
test_over_long(void **state)
{
	static const struct {
		const char *s;
		size_t	n;
	} cases[] = {
		{ S("\xc0\x80") }, { S("\xc1\xbf") }, { S("\xe0\x80\x80") }, { S("\xe0\x9f\xbf") },
		{ S("\xf0\x80\x80\x80") }, { S("\xf0\x8f\xbf\xbf") }, { S("\x80") }, { S("\xbf") }, { S("\xf5\x80\x80\x80") },
		{ S("\xfe") }, { S("\xff") }, { S("\xc3\xc3") }, { S("\xe2\x82\x7f") }, { S("\xf0\x9f\x98\xc0") },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		if (utf8_seq(cases[i].s, cases[i].n) != 0 || utf8_valid(cases[i].s, cases[i].n))
			fail_msg("row %zu is taken for UTF-8", i);
	assert_int_equal(utf8_seq("", 0), 0);
	assert_true(utf8_valid("", 0));
	for (size_t n = 0; n < 20; n++) {		/* wherever the byte is, in a group of eight or behind it */
		char	text[20];

		memset(text, 'x', sizeof text);
		assert_true(utf8_is_ascii(text, n));
		for (size_t at = 0; at < sizeof text; at++) {
			text[at] = (char) 0x80;
			assert_int_equal(utf8_is_ascii(text, n), at >= n);
			text[at] = 'x';
		}
	}
	assert_true(utf8_valid(S("a\0b\xc3\xa9")));
	assert_false(utf8_valid(S("a\xc3\xa9\xa9")));
}

/* cut at every length: never above max, never inside a sequence, never more than that needs */
static void
test_cut(void **state)
{
	static const char good[] = "ab\xc3\xa9" "c\xe2\x82\xac" "d\xf0\x9f\x98\x80" "e\xf0\x9f\x98\x80\xf0\x9f\x98\x80";
	size_t	n = sizeof good - 1, cut;

	(void) state;
	for (size_t max = 0; max <= n + 2; max++) {
		cut = utf8_cut(good, n, max);
		if (cut > max || (max >= n && cut != n) || !utf8_valid(good, cut) || (cut < n && max - cut > 3) ||
		    (cut < n && cut + utf8_seq(good + cut, n - cut) <= max))
			fail_msg("max %zu: cut at %zu", max, cut);
	}
	/* where nothing is valid, any length will do, and the whole is used */
	for (size_t max = 0; max <= 8; max++)
		assert_int_equal(utf8_cut("\x80\x80\x80\x80\x80\x80\x80\x80", 8, max), max);
	assert_int_equal(utf8_cut("\xc3\xc3\xc3", 3, 2), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sanitise),
		cmocka_unit_test(test_sanitise_places),
		cmocka_unit_test(test_code_points),
		cmocka_unit_test(test_over_long),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
