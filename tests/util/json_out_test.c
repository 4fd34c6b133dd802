/* tests/util/json_out_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <util/json_out.h>
#include <util/mem.h>

static void
json_str_escapes(void **state)
{
	static const struct { const char *name, *in, *want; } cases[] = {
		{ "empty",		 "",			"\"\"" },
		{ "plain",		 "250 2.1.5 Ok",	"\"250 2.1.5 Ok\"" },
		{ "quote and backslash", "<\"a b\\c\"@x>",	"\"<\\\"a b\\\\c\\\"@x>\"" },
		{ "controls",		 "a\tb\n\x01\x7f",	"\"a\\u0009b\\u000a\\u0001\\u007f\"" },
		{ "UTF-8",		 "m\xc3\xbcller \xf0\x9f\x93\xac", "\"m\xc3\xbcller \xf0\x9f\x93\xac\"" },
		{ "lone continuation",	 "a\xbcz",		"\"a\\ufffdz\"" },
		{ "cut sequence",	 "a\xe2\x82",		"\"a\\ufffd\\ufffd\"" },
		{ "over-long",		 "\xc0\xaf",		"\"\\ufffd\\ufffd\"" },
		{ "surrogate",		 "\xed\xa0\x80",	"\"\\ufffd\\ufffd\\ufffd\"" },
	};
	struct buf b = BUF_INIT(1024);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&b);
		json_str(&b, cases[i].in);
		if (strcmp(buf_str(&b), cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].name, buf_str(&b), cases[i].want);
	}
	buf_fini(&b);
}

static void
json_members_have_commas_between(void **state)
{
	struct buf b = BUF_INIT(1024);

	(void) state;
	json_open(&b, NULL, '{');
	json_put_str(&b, "a", "{");		/* a bracket inside a string is not an open bracket */
	json_put_uint(&b, "n", UINT64_MAX);
	json_put_int(&b, "m", -3);
	json_open(&b, "list", '[');
	json_open(&b, NULL, '{');
	json_close(&b, '}');
	json_put_str(&b, NULL, "[");
	json_put_str(&b, NULL, "x");
	json_close(&b, ']');
	json_close(&b, '}');
	buf_addc(&b, '\n');
	json_open(&b, NULL, '{');
	json_close(&b, '}');
	assert_string_equal(buf_str(&b),
	    "{\"a\":\"{\",\"n\":18446744073709551615,\"m\":-3,\"list\":[{},\"[\",\"x\"]}\n{}");
	buf_fini(&b);
}

static void
json_full_is_sticky(void **state)
{
	struct buf b = BUF_INIT(12);

	(void) state;
	json_open(&b, NULL, '{');
	json_put_str(&b, "reason", "much too long for this");
	json_close(&b, '}');
	assert_true(b.full);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_str_escapes),
		cmocka_unit_test(json_members_have_commas_between),
		cmocka_unit_test(json_full_is_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
