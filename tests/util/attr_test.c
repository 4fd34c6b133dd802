/* tests/util/attr_test.c - every table of spec attribute-protocol that a codec can answer for */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <util/attr.h>
#include <util/mem.h>

#define S(s)	s, sizeof(s) - 1

/* section 1: the example, and the forms of an int */
static void
test_write(void **state)
{
	static const char want[] = "request\0query\0address\0a@b.c\0\0";
	struct buf b = BUF_INIT(1000);

	(void) state;
	attr_put_str(&b, "request", "query");
	attr_put_str(&b, "address", "a@b.c");
	attr_put_end(&b);
	assert_int_equal(b.len, 29);
	assert_memory_equal(b.data, want, 29);
	buf_reset(&b);
	attr_put_str(&b, "reason", "");
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "reason\0\0", 8);
	buf_fini(&b);
}

static void
test_write_uint(void **state)
{
	static const struct {
		uint32_t value;
		const char *want;
	} cases[] = {
		{ 0, "0" }, { 1, "1" }, { 9, "9" }, { 10, "10" }, { 1000, "1000" }, { (uint32_t) -1, "4294967295" },
		{ (uint32_t) -2, "4294967294" }, { 2147483648u, "2147483648" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF_INIT(100);

		attr_put_uint(&b, "n", cases[i].value);
		if (b.len != 3 + strlen(cases[i].want) || strcmp(b.data + 2, cases[i].want) != 0)
			fail_msg("%u: got %s, want %s", cases[i].value, b.data + 2, cases[i].want);
		buf_fini(&b);
	}
}

/* section 1.2 */
static void
test_numbers(void **state)
{
	static const struct {
		const char *text;
		bool	good;
		uint32_t want;
	} cases[] = {
		{ "2", true, 2 }, { "02", true, 2 }, { "+2", true, 2 }, { " 2", true, 2 }, { "\t\n2", true, 2 },
		{ "\v\f\r2", true, 2 }, { " +02", true, 2 },
		{ "-1", true, 4294967295u },
		{ "-0", true, 0 },
		{ "4294967294", true, 4294967294u },
		{ "4294967295", true, 4294967295u },
		{ "4294967296", true, 0 },
		{ "4294967298", true, 2 },
		{ "-4294967294", true, 2 },
		{ "-2147483648", true, 2147483648u },
		{ "18446744073709551615", true, 4294967295u },
		{ "18446744073709551616", true, 4294967295u },	/* saturates */
		{ "18446744073709551618", true, 4294967295u },
		{ "-18446744073709551615", true, 1 },
		{ "99999999999999999999999", true, 4294967295u },
		{ "-99999999999999999999999", true, 4294967295u },
		{ "000000000000000000000000000000002", true, 2 },
		{ "", false, 0 }, { "2 ", false, 0 }, { "2x", false, 0 }, { "0x2", false, 0 }, { "2.0", false, 0 },
		{ "1e0", false, 0 }, { " ", false, 0 }, { "+", false, 0 }, { "-", false, 0 }, { "+-2", false, 0 },
		{ "- 2", false, 0 }, { "--2", false, 0 }, { "x2", false, 0 }, { "2\n", false, 0 }, { "\xb2", false, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF_INIT(200);
		struct attr_reader r;
		uint32_t n = 42, scanned;
		unsigned libc;
		char	rest;

		if (attr_uint_parse(cases[i].text, &n) != cases[i].good || (cases[i].good && n != cases[i].want))
			fail_msg("\"%s\": got %u, want %u", cases[i].text, n, cases[i].want);
		/* the table says "one %u conversion": let the C library witness it */
		if ((sscanf(cases[i].text, "%u%c", &libc, &rest) == 1) != cases[i].good ||
		    (cases[i].good && libc != cases[i].want))
			fail_msg("\"%s\": the table itself is wrong", cases[i].text);
		attr_put_str(&b, "n", cases[i].text);
		attr_put_end(&b);
		attr_reader_init(&r, b.data, b.len, false);
		scanned = attr_uint(&r, "n");
		if ((r.error == ATTR_OK) != cases[i].good || scanned != (cases[i].good ? cases[i].want : 0))
			fail_msg("\"%s\": read as %u", cases[i].text, scanned);
		if (!cases[i].good && (r.error != ATTR_BADNUM || strcmp(r.value, cases[i].text) != 0 ||
		    strcmp(r.want, "n") != 0))
			fail_msg("\"%s\": the error says something else", cases[i].text);
		buf_fini(&b);
	}
}

/* sections 3 and 3.1: what a server makes of imperfect requests. "query" wants request, address; "update" all four */
static void
test_requests(void **state)
{
	static const struct {
		const char *list;
		size_t	n;
		enum attr_error want;
		const char *names;		/* the attribute in the error: missing one, or one met */
		const char *extra;		/* what attr_end meets */
	} cases[] = {
		{ S("request\0query\0address\0a@b\0\0"), ATTR_OK, NULL, NULL },
		{ S("request\0query\0address\0\0\0"), ATTR_OK, NULL, NULL },
		{ S("request\0query\0\0"), ATTR_MISSING, "address", NULL },
		{ S("\0"), ATTR_MISSING, "request", NULL },
		{ S("request\0query\0foo\0bar\0address\0a@b\0\0"), ATTR_EXTRA, "foo", NULL },
		{ S("request\0query\0address\0a@b\0foo\0bar\0\0"), ATTR_OK, NULL, "foo" },
		{ S("request\0query\0address\0a@b\0address\0c@d\0\0"), ATTR_OK, NULL, "address" },
		{ S("request\0query\0request\0query\0address\0a@b\0\0"), ATTR_EXTRA, "request", NULL },
		{ S("address\0a@b\0request\0query\0\0"), ATTR_EXTRA, "address", NULL },
		{ S("Request\0query\0address\0a@b\0\0"), ATTR_EXTRA, "Request", NULL },
		{ S("request\0update\0address\0a@b\0recipient_status\0" "0\0reason\0x\0\0"), ATTR_OK, NULL, NULL },
		{ S("request\0update\0address\0a@b\0reason\0x\0recipient_status\0" "0\0\0"), ATTR_EXTRA, "reason", NULL },
		{ S("request\0update\0address\0a@b\0recipient_status\0" "0\0\0"), ATTR_MISSING, "reason", NULL },
		{ S("request\0update\0address\0a@b\0recipient_status\0" "2x\0reason\0x\0\0"), ATTR_BADNUM,
		  "recipient_status", NULL },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct attr_reader r;
		const char *request, *addr, *extra, *names;

		attr_reader_init(&r, cases[i].list, cases[i].n, false);
		request = attr_str(&r, "request");
		addr = attr_str(&r, "address");
		if (request != NULL && strcmp(request, "update") == 0) {
			attr_uint(&r, "recipient_status");
			attr_str(&r, "reason");
		}
		names = r.error == ATTR_EXTRA ? r.name : r.error != ATTR_OK ? r.want : NULL;
		if (r.error != cases[i].want || (names == NULL) != (cases[i].names == NULL) ||
		    (names != NULL && strcmp(names, cases[i].names) != 0))
			fail_msg("row %zu: got error %d (%s), want %d (%s)", i, r.error, names != NULL ? names : "-",
			    cases[i].want, cases[i].names != NULL ? cases[i].names : "-");
		if (r.error != ATTR_OK)
			continue;
		assert_non_null(addr);
		extra = attr_end(&r);
		if ((extra == NULL) != (cases[i].extra == NULL) || (extra != NULL && strcmp(extra, cases[i].extra) != 0))
			fail_msg("row %zu: after it %s", i, extra != NULL ? extra : "nothing");
	}
}

/* section 5: replies are read leniently, but in order */
static void
test_lenient(void **state)
{
	static const struct {
		const char *list;
		size_t	n;
		enum attr_error want;
		uint32_t status;
		const char *reason;
	} cases[] = {
		{ S("status\0" "0\0reason\0x\0\0"), ATTR_OK, 0, "x" },
		{ S("a\0b\0status\0" "4294967295\0c\0d\0reason\0x\0e\0f\0\0"), ATTR_OK, 4294967295u, "x" },
		{ S("status\0" "1\0status\0" "2\0reason\0x\0\0"), ATTR_OK, 1, "x" },
		{ S("reason\0x\0status\0" "0\0\0"), ATTR_MISSING, 0, NULL },
		{ S("status\0" "0\0\0"), ATTR_MISSING, 0, NULL },
		{ S("\0"), ATTR_MISSING, 0, NULL },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct attr_reader r;
		uint32_t status;
		const char *reason;

		attr_reader_init(&r, cases[i].list, cases[i].n, true);
		status = attr_uint(&r, "status");
		reason = attr_str(&r, "reason");
		if (r.error != cases[i].want || status != cases[i].status || (reason == NULL) != (cases[i].reason == NULL) ||
		    (reason != NULL && strcmp(reason, cases[i].reason) != 0))
			fail_msg("row %zu: error %d, status %u, reason %s", i, r.error, status, reason);
	}
}

static void
test_need(void **state)
{
	struct attr_reader r;

	(void) state;
	attr_reader_init(&r, S("protocol\0good\0queue_id\0" "1\0\0"), false);
	attr_need(&r, "protocol", "good");
	assert_string_equal(attr_str(&r, "queue_id"), "1");
	assert_int_equal(r.error, ATTR_OK);
	attr_reader_init(&r, S("protocol\0bad\0queue_id\0" "1\0\0"), false);
	attr_need(&r, "protocol", "good");
	assert_int_equal(r.error, ATTR_DIFFERS);
	assert_string_equal(r.want, "protocol");
	assert_string_equal(r.value, "bad");
	/* the first error stays, and nothing more is read */
	assert_null(attr_str(&r, "queue_id"));
	assert_int_equal(attr_uint(&r, "queue_id"), 0);
	attr_need(&r, "nothing", "x");
	assert_null(attr_end(&r));
	assert_int_equal(r.error, ATTR_DIFFERS);
	assert_string_equal(r.want, "protocol");
}

static void
test_any(void **state)
{
	struct attr_reader r;
	const char *name, *value;

	(void) state;
	attr_reader_init(&r, S("a\0b\0c\0\0d\0e\0\0"), false);
	assert_true(attr_any(&r, &name, &value));
	assert_string_equal(name, "a");
	assert_string_equal(value, "b");
	assert_true(attr_any(&r, &name, &value));
	assert_string_equal(name, "c");
	assert_string_equal(value, "");
	assert_string_equal(attr_end(&r), "d");
	assert_false(attr_any(&r, &name, &value));
	assert_int_equal(r.error, ATTR_OK);
}

/* lists without their end, which an assembler never gives out: refused, nothing beyond them is read */
static void
test_reader_unterminated(void **state)
{
	static const struct {
		const char *list;
		size_t	n;
	} cases[] = { { S("") }, { S("a") }, { S("a\0") }, { S("a\0b") }, { S("b\0x\0a\0b") }, { S("b\0x\0") } };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		char   *copy = mem_alloc(cases[i].n);	/* exactly as long, for ASan */
		struct attr_reader r;

		memcpy(copy, cases[i].list, cases[i].n);
		attr_reader_init(&r, copy, cases[i].n, true);
		if (attr_str(&r, "a") != NULL || r.error != ATTR_MISSING)
			fail_msg("row %zu: error %d", i, r.error);
		mem_free(&copy);
	}
}

/* the assembler: any cut of the input gives the same list */
static void
test_fragments(void **state)
{
	static const char one[] = "request\0update\0address\0a@b.c\0recipient_status\0" "2\0reason\0\0x\0y\0\0";
	static const char next[] = "request\0query";
	char	input[sizeof one + sizeof next - 2];

	(void) state;
	memcpy(input, one, sizeof one - 1);
	memcpy(input + sizeof one - 1, next, sizeof next - 1);
	for (size_t piece = 1; piece <= sizeof input; piece++) {
		struct attr_in in;
		size_t	used, pos = 0;
		enum attr_in_result res;

		attr_in_init(&in, 100, 1000);
		assert_false(attr_in_partial(&in));
		do {
			size_t	n = piece < sizeof input - pos ? piece : sizeof input - pos;

			res = attr_in_feed(&in, input + pos, n, &used);
			if (res == ATTR_IN_MORE && used != n)
				fail_msg("pieces of %zu: %zu of %zu bytes used", piece, used, n);
			pos += used;
			assert_true(attr_in_partial(&in));
		} while (res == ATTR_IN_MORE && pos < sizeof input);
		if (res != ATTR_IN_DONE || pos != sizeof one - 1 || in.list.len != pos ||
		    memcmp(in.list.data, one, pos) != 0 || in.cut)
			fail_msg("pieces of %zu: result %d at %zu", piece, res, pos);
		attr_in_reset(&in);
		assert_false(attr_in_partial(&in));
		assert_int_equal(attr_in_feed(&in, input + pos, sizeof input - pos, &used), ATTR_IN_MORE);
		assert_int_equal(used, sizeof input - pos);
		attr_in_fini(&in);
	}
}

/* an empty value ends no list, an empty name does */
static void
test_ends(void **state)
{
	static const struct {
		const char *bytes;
		size_t	n;
		enum attr_in_result want;
		size_t	used;
	} cases[] = {
		{ S(""), ATTR_IN_MORE, 0 },
		{ S("\0"), ATTR_IN_DONE, 1 },
		{ S("\0\0"), ATTR_IN_DONE, 1 },
		{ S("a\0\0"), ATTR_IN_MORE, 3 },
		{ S("a\0\0\0"), ATTR_IN_DONE, 4 },
		{ S("a\0\0b\0\0\0rest"), ATTR_IN_DONE, 7 },
		{ S("a\0b"), ATTR_IN_MORE, 3 },
		{ S("a\0b\0"), ATTR_IN_MORE, 4 },
		{ S("\xff\n\0\x01\0\0"), ATTR_IN_DONE, 6 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct attr_in in;
		size_t	used = 99;
		enum attr_in_result got;

		attr_in_init(&in, 100, 1000);
		got = attr_in_feed(&in, cases[i].bytes, cases[i].n, &used);
		if (got != cases[i].want || used != cases[i].used)
			fail_msg("row %zu: got %d, %zu bytes used", i, got, used);
		attr_in_fini(&in);
	}
}

/* a string longer than str_max is kept up to there, whatever the pieces; the list goes on behind it */
static void
test_cut(void **state)
{
	char	input[300], want[100];
	size_t	n, m;

	(void) state;
	for (size_t len = 8; len <= 14; len++)
		for (size_t piece = 1; piece < 40; piece++) {
			struct attr_in in;
			size_t	used = 0;
			enum attr_in_result res = ATTR_IN_MORE;

			memset(input, 'x', sizeof input);
			input[0] = 'n';
			input[1] = 0;
			n = 2 + len;
			memcpy(input + n, "\0m\0v\0\0", 7);		/* one byte more than the list */
			n += 6;
			memset(want, 'x', sizeof want);
			want[0] = 'n';
			want[1] = 0;
			m = 2 + (len < 10 ? len : 10);
			memcpy(want + m, "\0m\0v\0\0", 6);
			m += 6;
			attr_in_init(&in, 10, 1000);
			for (size_t pos = 0; pos < n && res == ATTR_IN_MORE; pos += used)
				res = attr_in_feed(&in, input + pos, piece < n - pos ? piece : n - pos, &used);
			if (res != ATTR_IN_DONE || in.cut != (len > 10) || in.list.len != m ||
			    memcmp(in.list.data, want, m) != 0)
				fail_msg("length %zu in pieces of %zu: result %d, %zu bytes", len, piece, res, in.list.len);
			attr_in_fini(&in);
		}
}

/* what a peer can make us keep is limited in bytes and in strings */
static void
test_full(void **state)
{
	struct attr_in in;
	size_t	used, fed = 0;
	enum attr_in_result res = ATTR_IN_MORE;
	char	chunk[1000];

	(void) state;
	memset(chunk, 'x', sizeof chunk);
	attr_in_init(&in, 500, 5000);
	for (int i = 0; i < 1000 && res == ATTR_IN_MORE; i++) {		/* an endless string: kept up to 500 */
		res = attr_in_feed(&in, chunk, sizeof chunk, &used);
		assert_int_equal(used, sizeof chunk);
	}
	assert_int_equal(res, ATTR_IN_MORE);
	assert_int_equal(in.list.len, 500);
	attr_in_reset(&in);
	chunk[400] = chunk[900] = 0;
	for (int i = 0; i < 1000 && res == ATTR_IN_MORE; i++) {		/* endless strings: 5000 in all */
		res = attr_in_feed(&in, chunk, sizeof chunk, &used);
		fed += used;
	}
	assert_int_equal(res, ATTR_IN_FULL);
	assert_true(in.list.len <= 5000);
	assert_true(fed <= 6000);
	assert_int_equal(attr_in_feed(&in, "a", 1, &used), ATTR_IN_FULL);	/* and stays so */
	attr_in_reset(&in);
	assert_int_equal(attr_in_feed(&in, "\0", 1, &used), ATTR_IN_DONE);
	attr_in_fini(&in);

	/* many empty strings: ATTR_STRINGS_MAX go, one more does not */
	for (int over = 0; over < 2; over++) {
		struct buf b = BUF_INIT(100000);

		for (int i = 0; i < ATTR_STRINGS_MAX / 2 + over; i++)
			attr_put_str(&b, "n", "");
		attr_put_end(&b);
		attr_in_init(&in, 500, 100000);
		assert_int_equal(attr_in_feed(&in, b.data, b.len, &used), over ? ATTR_IN_FULL : ATTR_IN_DONE);
		attr_in_fini(&in);
		buf_fini(&b);
	}
}

/* the list that exactly fits, and the one that is a byte too long */
static void
test_list_limit(void **state)
{
	struct attr_in in;
	size_t	used;

	(void) state;
	attr_in_init(&in, 100, 6);
	assert_int_equal(attr_in_feed(&in, S("ab\0c\0\0"), &used), ATTR_IN_DONE);
	attr_in_reset(&in);
	assert_int_equal(attr_in_feed(&in, S("ab\0cd\0\0"), &used), ATTR_IN_FULL);
	attr_in_fini(&in);
}

/* an idle assembler keeps little memory after a long list */
static void
test_memory(void **state)
{
	char   *big = mem_alloc(100000);
	struct attr_in in;
	size_t	used;

	(void) state;
	memset(big, 'x', 99999);
	attr_in_init(&in, 1000000, 1000000);
	assert_int_equal(attr_in_feed(&in, big, 100000, &used), ATTR_IN_MORE);
	attr_in_reset(&in);
	assert_true(in.list.cap <= 4096);
	attr_in_fini(&in);
	mem_free(&big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_uint),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_lenient),
		cmocka_unit_test(test_need),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_reader_unterminated),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_list_limit),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
