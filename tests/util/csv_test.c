/* tests/util/csv_test.c - records and fields, whole and in pieces; what is written can be read */
#include <util/csv.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <util/mem.h>

static void
test_next(void **state)
{
	static const struct { const char *record, *fields; } cases[] = {	/* fields: each in brackets */
		{ "", "[]" },
		{ "a", "[a]" },
		{ "a,b,c", "[a][b][c]" },
		{ ",", "[][]" },
		{ "a,,c", "[a][][c]" },
		{ "\"a\"", "[a]" },
		{ "\"a,b\",c", "[a,b][c]" },
		{ "\"a\"\"b\",c", "[a\"b][c]" },
		{ "\"\"", "[]" },
		{ "\"\",x", "[][x]" },
		{ "\"a\nb\",c", "[a\nb][c]" },
		{ "a\"b,c", "[a\"b][c]" },			/* no quoted field */
		{ "\"a\"b,c", "[ab][c]" },
		{ "\"a\"b\"c,d", "[ab\"c][d]" },
		{ "\"open,field", "[open,field]" },
		{ " \"a\",b", "[ \"a\"][b]" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf got = BUF_INIT(1000);
		char   *copy = mem_strdup(cases[i].record), *rest = copy, *field;

		while ((field = csv_next(&rest)) != NULL)
			buf_addf(&got, "[%s]", field);
		if (strcmp(buf_str(&got), cases[i].fields) != 0)
			fail_msg("%s: got %s, want %s", cases[i].record, buf_str(&got), cases[i].fields);
		buf_fini(&got);
		free(copy);
	}
}

static void
test_end(void **state)
{
	static const struct { const char *data; size_t end; } cases[] = {
		{ "", 0 }, { "\n", 1 }, { "a\nb\n", 2 }, { "a,b\r\n", 5 }, { "a", 0 },
		{ "\"a\nb\"\nc\n", 6 },
		{ "\"a\nb", 0 },
		{ "x,\"a\nb\",c\nd", 10 },
		{ "\"a\"\"\nb\"\n", 8 },
		{ "a\"b\nc\"\n", 4 },			/* no quoted field */
		{ "\"a\"\n\"", 4 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		size_t	len = strlen(cases[i].data), got = csv_end(cases[i].data, len);

		if (got != cases[i].end)
			fail_msg("%s: got %zu, want %zu", cases[i].data, got, cases[i].end);
		for (size_t n = 0; n < got; n++)		/* not before its end */
			if (csv_end(cases[i].data, n) != 0)
				fail_msg("%s: ends in %zu bytes already", cases[i].data, n);
	}
}

static void
test_put(void **state)
{
	static const char *const cases[] = {
		"", "a", "a b", "a,b", "\"", "\"\"", "a\"b", "\"a\"", "a\nb", "a\r", ",", "\"x\"@example.org", "\xc3\xa4@example.org",
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF_INIT(1000);
		char   *rest, *field;

		csv_put(&b, cases[i]);
		buf_addc(&b, ',');
		csv_put(&b, "end");
		buf_addc(&b, '\n');
		assert_int_equal(csv_end(b.data, b.len), b.len);
		buf_cut(&b, b.len - 1);
		rest = b.data;
		field = csv_next(&rest);
		if (strcmp(field, cases[i]) != 0)
			fail_msg("%s: got %s", cases[i], field);
		field = csv_next(&rest);
		assert_non_null(field);
		assert_string_equal(field, "end");
		assert_null(csv_next(&rest));
		buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
