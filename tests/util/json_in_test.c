/* tests/util/json_in_test.c - one string out of one object; what is not JSON is told apart from what lacks it */
#include <util/json_in.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <util/json_out.h>
#include <util/mem.h>

static const char *const names[] = { "address", "email", NULL };

static void
test_member(void **state)
{
	static const struct { const char *text; enum json_in want; const char *value; } cases[] = {
		{ "{\"address\":\"a@x\"}", JSON_IN_OK, "a@x" },
		{ " { \"address\" : \"a@x\" } \r\n", JSON_IN_OK, "a@x" },
		{ "{\"Address\":\"a@x\"}", JSON_IN_OK, "a@x" },
		{ "{\"email\":\"b@x\",\"address\":\"a@x\"}", JSON_IN_OK, "a@x" },	/* the order of the names counts */
		{ "{\"address\":\"a@x\",\"email\":\"b@x\"}", JSON_IN_OK, "a@x" },
		{ "{\"email\":\"b@x\"}", JSON_IN_OK, "b@x" },
		{ "{\"address\":\"1\",\"address\":\"2\"}", JSON_IN_OK, "2" },
		{ "{\"address\":\"\"}", JSON_IN_OK, "" },
		{ "{\"a\":[1,-2.5e+3,{\"address\":\"no\"},[],{}],\"address\":\"yes\",\"z\":null}", JSON_IN_OK, "yes" },
		{ "{\"address\":\"\\u00e4\\u20ac\\ud83d\\ude00\\\"\\\\\\/\\t\"}", JSON_IN_OK, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"\\/\t" },
		{ "{\"address\":\"\xc3\xa4@x\"}", JSON_IN_OK, "\xc3\xa4@x" },
		{ "{\"\\u0061ddress\":\"a@x\"}", JSON_IN_OK, "a@x" },
		{ "{}", JSON_IN_ABSENT, "" },
		{ "{\"x\":true,\"y\":false}", JSON_IN_ABSENT, "" },
		{ "{\"address\":5}", JSON_IN_TYPE, "" },
		{ "{\"address\":null}", JSON_IN_TYPE, "" },
		{ "{\"address\":[\"a@x\"]}", JSON_IN_TYPE, "" },
		{ "", JSON_IN_BAD, "" },
		{ "a@x", JSON_IN_BAD, "" },
		{ "[\"a@x\"]", JSON_IN_BAD, "" },
		{ "{\"address\":\"a@x\"", JSON_IN_BAD, NULL },
		{ "{\"address\":\"a@x\"} x", JSON_IN_BAD, NULL },
		{ "{\"address\":\"a@x\",}", JSON_IN_BAD, NULL },
		{ "{\"address\" \"a@x\"}", JSON_IN_BAD, NULL },
		{ "{address:\"a@x\"}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"a@x", JSON_IN_BAD, NULL },
		{ "{\"address\":\"a\\", JSON_IN_BAD, NULL },
		{ "{\"address\":\"\\x\"}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"\\u12\"}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"\\u0000\"}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"\\ud83d\"}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"\\ud83d\\u0041\"}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"\\ude00\"}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"\xff\"}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"a\nb\"}", JSON_IN_BAD, NULL },
		{ "{\"x\":01}", JSON_IN_BAD, NULL },
		{ "{\"x\":1.}", JSON_IN_BAD, NULL },
		{ "{\"x\":-}", JSON_IN_BAD, NULL },
		{ "{\"x\":nul}", JSON_IN_BAD, NULL },
		{ "{\"x\":[1 2]}", JSON_IN_BAD, NULL },
		{ "{\"address\":\"0123456789012345678901234567890123456789\"}", JSON_IN_BAD, NULL },	/* value full */
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf value = BUF_INIT(32);
		enum json_in got = json_member(cases[i].text, strlen(cases[i].text), names, &value);

		if (got != cases[i].want)
			fail_msg("%s: got %d, want %d", cases[i].text, got, cases[i].want);
		if (cases[i].value != NULL && strcmp(buf_str(&value), cases[i].value) != 0)
			fail_msg("%s: got \"%s\", want \"%s\"", cases[i].text, buf_str(&value), cases[i].value);
		buf_fini(&value);
	}
}

/* a prefix of an object is never one; a NUL byte in it neither */
static void
test_cut(void **state)
{
	static const char text[] = "{\"x\":[{\"y\":\"\\u00e4\"},-1.5e3,true],\"address\":\"a@x\"}";
	struct buf value = BUF_INIT(100);
	char   *copy;

	(void) state;
	for (size_t n = 0; n < sizeof text - 1; n++) {
		copy = mem_strndup(text, n);
		assert_int_equal(json_member(copy, n, names, &value), JSON_IN_BAD);
		free(copy);
		copy = mem_strndup(text, sizeof text - 1);
		copy[n] = 0;
		assert_int_equal(json_member(copy, sizeof text - 1, names, &value), JSON_IN_BAD);
		free(copy);
	}
	assert_int_equal(json_member(text, sizeof text - 1, names, &value), JSON_IN_OK);
	buf_fini(&value);
}

static void
test_depth(void **state)
{
	struct buf text = BUF_INIT(1 << 20), value = BUF_INIT(100);

	(void) state;
	buf_adds(&text, "{\"x\":");
	for (int i = 0; i < 100000; i++)
		buf_addc(&text, '[');
	assert_int_equal(json_member(text.data, text.len, names, &value), JSON_IN_BAD);
	buf_fini(&text);
	buf_fini(&value);
}

/* what json_out writes, json_in reads */
static void
test_back(void **state)
{
	static const char *const cases[] = { "", "a@x", "\"quoted\\\"@x", "\x01\x1f\x7f", "\xc3\xa4\xf0\x9f\x98\x80", "/" };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf text = BUF_INIT(1000), value = BUF_INIT(1000);

		json_open(&text, NULL, '{');
		json_put_int(&text, "code", -1);
		json_put_str(&text, "address", cases[i]);
		json_close(&text, '}');
		assert_int_equal(json_member(text.data, text.len, names, &value), JSON_IN_OK);
		assert_string_equal(buf_str(&value), cases[i]);
		buf_fini(&text);
		buf_fini(&value);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_member),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
