/* tests/util/cfline_test.c - logical lines, their numbers and their bytes */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <util/cfline.h>
#include <util/mem.h>

/* each logical line as "first|text|raw bytes" with flags, joined by newlines */
static void
cfline_test_show(struct buf *out, const char *text, size_t n, size_t max)
{
	struct cfline l;

	buf_reset(out);
	cfline_init(&l, text, n, max);
	while (cfline_next(&l))
		buf_addf(out, "%u%s%s[%s]%zd+%zd\n", l.first, l.orphan ? " orphan " : "", l.cut ? " cut " : "",
		    buf_str(&l.text), l.raw - text, l.raw_end - l.raw);
	cfline_fini(&l);
}

static void
cfline_test_lines(void **state)
{
	static const struct {
		const char *name, *in, *want;
	} cases[] = {
		{ "nothing", "", "" },
		{ "one line", "a = b\n", "1[a = b]0+6\n" },
		{ "no newline at the end", "a = b", "1[a = b]0+5\n" },
		{ "comments and empty lines", "# c\n\n  \t\n  # d\na=b\n\n# e\n", "5[a=b]15+4\n" },
		{ "no comment after text", "a = 3 # x\n", "1[a = 3 # x]0+10\n" },
		{ "two lines", "a=b\nc=d\n", "1[a=b]0+4\n2[c=d]4+4\n" },
		{ "continued", "a=x\n  y\n", "1[a=x  y]0+8\n" },
		{ "continued across comments and empty lines", "b1=x\n  y\n# mid\n\n  z\nq=r\n",
		  "1[b1=x  y  z]0+20\n6[q=r]20+4\n" },
		{ "the comment behind is not part of it", "a=x\n  y\n# mid\n\nq=r\n", "1[a=x  y]0+8\n5[q=r]15+4\n" },
		{ "an indented comment does not continue", "a=x\n  # y\n\tz\n", "1[a=x\tz]0+13\n" },
		{ "trailing blanks go, also CR", "a=b \t\r\n\tc \r\n", "1[a=b \t\r\tc]0+12\n" },
		{ "vertical tab continues", "a=b\n\vc\n", "1[a=b\vc]0+7\n" },
		{ "no backslash continuation", "a=b\\\nc=d\n", "1[a=b\\]0+5\n2[c=d]5+4\n" },
		{ "first line begins with white space", "# c\n  a=b\n  c=d\ne=f\n", "2 orphan [  a=b  c=d]4+12\n4[e=f]16+4\n" },
		{ "as long as the limit", "123456789012345678901234567890\n", "1[123456789012345678901234567890]0+31\n" },
		{ "longer than the limit", "123456789012345678901234567890x\nb=c\n",
		  "1 cut [123456789012345678901234567890]0+32\n2[b=c]32+4\n" },
		{ "continued beyond the limit", "1234567890\n 1234567890\n 1234567890\n  z\n",
		  "1 cut [1234567890 1234567890 12345678]0+39\n" },
	};
	struct buf got = BUF_INIT(4096);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		cfline_test_show(&got, cases[i].in, strlen(cases[i].in), 30);
		if (strcmp(buf_str(&got), cases[i].want) != 0)
			fail_msg("%s: got\n%swant\n%s", cases[i].name, buf_str(&got), cases[i].want);
	}
	buf_fini(&got);
}

static void
cfline_test_nul(void **state)
{
	struct cfline l;

	(void) state;
	cfline_init(&l, "a=\0b\nc\n", 7, 100);
	assert_true(cfline_next(&l));
	assert_int_equal(l.text.len, 4);
	assert_memory_equal(l.text.data, "a=\0b", 4);
	assert_true(cfline_next(&l));
	assert_int_equal(l.first, 2);
	assert_false(cfline_next(&l));
	assert_false(cfline_next(&l));
	cfline_fini(&l);
}

static void
cfline_test_physical(void **state)
{
	static const struct {
		const char *in;
		size_t	    len;
		enum cfline_kind kind;
	} cases[] = {
		{ "\nx", 1, CFLINE_VOID },	{ "  # x\ny", 6, CFLINE_VOID },	{ "a\n", 2, CFLINE_NEW },
		{ "a", 1, CFLINE_NEW },		{ "\tb\n", 3, CFLINE_MORE },	{ "\r\n", 2, CFLINE_VOID },
	};
	enum cfline_kind kind;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *in = cases[i].in;

		if ((size_t) (cfline_physical(in, in + strlen(in), &kind) - in) != cases[i].len ||
		    kind != cases[i].kind)
			fail_msg("case %zu: kind %d", i, kind);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cfline_test_lines),
		cmocka_unit_test(cfline_test_nul),
		cmocka_unit_test(cfline_test_physical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
