/* tests/global/body_wire_test.c - line ends and dots, in every cut */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/body_wire.h>

static void
body_wire_test_forms(void **state)
{
	static const struct {
		const char *name, *in, *smtp, *lf;
	} cases[] = {
		{ "empty", "", ".\r\n", "" },
		{ "plain", "a\r\nb\r\n", "a\r\nb\r\n.\r\n", "a\nb\n" },
		{ "no last line end", "a\r\nb", "a\r\nb\r\n.\r\n", "a\nb\n" },
		{ "dots", ".\r\n..\r\n.a\r\na.\r\n", "..\r\n...\r\n..a\r\na.\r\n.\r\n", ".\n..\n.a\na.\n" },
		{ "only a dot", ".", "..\r\n.\r\n", ".\n" },
		{ "empty lines", "\r\n\r\n", "\r\n\r\n.\r\n", "\n\n" },
		{ "LF.LF", "a\n.\nb\r\n", "a\r\n..\r\nb\r\n.\r\n", "a\n.\nb\n" },
		{ "LF.CRLF", "a\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n", "a\n.\nb\n" },
		{ "CR.CR", "a\r.\rb\r\n", "a\r\n..\r\nb\r\n.\r\n", "a\n.\nb\n" },
		{ "CR.CRLF", "a\r.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n", "a\n.\nb\n" },
		{ "CR CR LF", "a\r\r\nb\r\n", "a\r\n\r\nb\r\n.\r\n", "a\n\nb\n" },
		{ "LF CR", "a\n\rb", "a\r\n\r\nb\r\n.\r\n", "a\n\nb\n" },
		{ "last byte is a CR", "a\r", "a\r\n.\r\n", "a\n" },
		{ "one line among others", "a\r\nb\r\nc\nd\r\n.e\r\nf\r\ng\rh\r\ni\r\n", "a\r\nb\r\nc\r\nd\r\n..e\r\nf\r\ng\r\nh\r\ni\r\n.\r\n",
		  "a\nb\nc\nd\n.e\nf\ng\nh\ni\n" },
		{ "8-bit", "\303\251\377\r\n", "\303\251\377\r\n.\r\n", "\303\251\377\n" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		for (enum body_form form = BODY_SMTP; form <= BODY_LF; form++)
			for (size_t piece = 1; piece <= strlen(cases[i].in) + 1; piece++) {
				const char *want = form == BODY_SMTP ? cases[i].smtp : cases[i].lf, *p = cases[i].in;
				struct body_wire w = { .form = form }, c = { .form = form };
				struct buf out = BUF_INIT(1000);
				uint64_t count = 0;

				for (size_t n; *p != 0; p += n) {
					n = strlen(p) < piece ? strlen(p) : piece;
					assert_int_equal(body_wire_add(&w, &out, p, n), 0);
					count += body_wire_count(&c, p, n);
				}
				assert_int_equal(body_wire_end(&w, &out), 0);
				count += body_wire_count_end(&c);
				if (strcmp(buf_str(&out), want) != 0 || count != out.len)
					fail_msg("%s, form %d, pieces of %zu: got %zu bytes (counted %zu): %s, want %s", cases[i].name,
					    (int) form, piece, out.len, (size_t) count, buf_str(&out), want);
				buf_fini(&out);
			}
}

static void
body_wire_test_full(void **state)
{
	struct body_wire w = { .form = BODY_SMTP };
	struct buf out = BUF_INIT(10);

	(void) state;
	assert_int_equal(body_wire_add(&w, &out, "12345678\r\n", 10), 0);
	assert_int_equal(body_wire_add(&w, &out, "x", 1), -1);
	assert_int_equal(body_wire_end(&w, &out), -1);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_wire_test_forms),
		cmocka_unit_test(body_wire_test_full),
	};

	return cmocka_run_group_tests_name("body_wire", tests, NULL, NULL);
}
