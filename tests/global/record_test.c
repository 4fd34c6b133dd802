/* tests/global/record_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <global/record.h>
#include <tests/lib/transcript.h>

#define BIG	((size_t) 1 << 28)
#define WRITE_MAX ((size_t) 1 << 22)	/* longer ones are only read, and only their beginning: memory */

/* spec probe-submission 5.1 */
static const struct {
	size_t	len;
	const char *bytes;
	size_t	n;
} lengths[] = {
	{ 0, "\x00", 1 },
	{ 1, "\x01", 1 },
	{ 17, "\x11", 1 },
	{ 127, "\x7f", 1 },
	{ 128, "\x80\x01", 2 },
	{ 212, "\xd4\x01", 2 },
	{ 255, "\xff\x01", 2 },
	{ 256, "\x80\x02", 2 },
	{ 300, "\xac\x02", 2 },
	{ 16383, "\xff\x7f", 2 },
	{ 16384, "\x80\x80\x01", 3 },
	{ 20000, "\xa0\x9c\x01", 3 },
	{ 2097151, "\xff\xff\x7f", 3 },
	{ 2097152, "\x80\x80\x80\x01", 4 },
	{ 268435455, "\xff\xff\xff\x7f", 4 },
};

static void
test_lengths(void **state)
{
	char   *data = mem_alloc(WRITE_MAX);

	(void) state;
	for (size_t i = 0; i < NELEM(lengths); i++) {
		struct buf b = BUF_INIT(2 * WRITE_MAX);
		struct record rec;
		size_t	n = lengths[i].n, len = lengths[i].len, used = 0;

		if (len > WRITE_MAX) {
			buf_addc(&b, 'N');
			buf_add(&b, lengths[i].bytes, n);
			if (record_get(b.data, b.len, len, &rec, &used) != RECORD_MORE ||
			    record_get(b.data, b.len, len - 1, &rec, &used) != RECORD_BAD)
				fail_msg("length %zu: read wrongly", len);
			buf_fini(&b);
			continue;
		}

		record_put(&b, 'N', data, len);
		if (b.full || b.len != 1 + n + len || b.data[0] != 'N' || memcmp(b.data + 1, lengths[i].bytes, n) != 0)
			fail_msg("length %zu: written wrongly, %zu bytes", len, b.len);
		if (record_get(b.data, b.len, BIG, &rec, &used) != RECORD_OK || used != b.len || rec.len != len ||
		    rec.type != 'N' || rec.data != b.data + 1 + n)
			fail_msg("length %zu: read wrongly, got %zu of %zu bytes", len, rec.len, used);
		/* one byte short, and one byte above the reader's limit */
		if (record_get(b.data, b.len - 1, BIG, &rec, &used) != RECORD_MORE)
			fail_msg("length %zu: one byte short, not MORE", len);
		if (len > 0 && record_get(b.data, b.len, len - 1, &rec, &used) != RECORD_BAD)
			fail_msg("length %zu: above the limit, not BAD", len);
		if (record_get(b.data, b.len, len, &rec, &used) != RECORD_OK)
			fail_msg("length %zu: at the limit, not OK", len);
		buf_fini(&b);
	}
	mem_free(&data);
}

static void
test_get(void **state)
{
	static const struct {
		const char *name, *bytes;
		size_t	n, max;
		enum record_result want;
		int	type;
		size_t	len, used;
	} cases[] = {
		{ "nothing", "", 0, 100, RECORD_MORE, 0, 0, 0 },
		{ "type only", "T", 1, 100, RECORD_MORE, 0, 0, 0 },
		{ "half a length", "T\x80", 2, 100, RECORD_MORE, 0, 0, 0 },
		{ "empty", "M\0", 2, 100, RECORD_OK, 'M', 0, 2 },
		{ "empty, limit 0", "M\0", 2, 0, RECORD_OK, 'M', 0, 2 },
		{ "another record follows", "M\0X\0", 4, 100, RECORD_OK, 'M', 0, 2 },
		{ "not minimal: 15 in two bytes", "R\x8f\x00" "123456789012345", 18, 100, RECORD_OK, 'R', 15, 18 },
		{ "not minimal: 15 in four bytes", "R\x8f\x80\x80\x00" "123456789012345", 20, 100, RECORD_OK, 'R', 15, 20 },
		{ "15 in five bytes", "R\x8f\x80\x80\x80\x00" "123456789012345", 21, 100, RECORD_BAD, 0, 0, 0 },
		{ "fourth byte says more", "R\xff\xff\xff\xff", 5, SIZE_MAX, RECORD_BAD, 0, 0, 0 },
		{ "three bytes say more", "R\xff\xff\xff", 4, SIZE_MAX, RECORD_MORE, 0, 0, 0 },
		{ "longest, no data", "R\xff\xff\xff\x7f", 5, SIZE_MAX, RECORD_MORE, 0, 0, 0 },
		{ "longest, limit one below", "R\xff\xff\xff\x7f", 5, 268435454, RECORD_BAD, 0, 0, 0 },
		{ "NUL inside", "A\x03" "a\0b", 5, 100, RECORD_OK, 'A', 3, 5 },
		{ "type above 127", "\xe9\x01x", 3, 100, RECORD_OK, 0xe9, 1, 3 },
		{ "type NUL", "\0\x01x", 3, 100, RECORD_OK, 0, 1, 3 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct record rec = { 0 };
		size_t	used = 0;
		/* a copy of exactly n bytes, so that ASan sees a read beyond */
		char   *copy = mem_alloc(cases[i].n);
		enum record_result got;

		memcpy(copy, cases[i].bytes, cases[i].n);
		got = record_get(copy, cases[i].n, cases[i].max, &rec, &used);
		if (got != cases[i].want)
			fail_msg("%s: got %d, want %d", cases[i].name, got, cases[i].want);
		if (got == RECORD_OK && (rec.type != cases[i].type || rec.len != cases[i].len || used != cases[i].used))
			fail_msg("%s: got type %d length %zu used %zu", cases[i].name, rec.type, rec.len, used);
		mem_free(&copy);
	}
}

static void
test_put_limit(void **state)
{
	struct buf b = BUF_INIT(10);

	(void) state;
	record_puts(&b, 'A', "12345");			/* 7 bytes */
	assert_false(b.full);
	record_puts(&b, 'A', "12");			/* 4 more: whole or not at all */
	assert_true(b.full);
	assert_int_equal(b.len, 7);
	record_puts(&b, 'A', "");			/* sticky, as buf is */
	assert_int_equal(b.len, 7);
	buf_reset(&b);
	record_putf(&b, 'T', "%d %s", 7, "abcdef");	/* 10 bytes: exactly full */
	assert_false(b.full);
	assert_memory_equal(b.data, "T\x08" "7 abcdef", 10);
	buf_reset(&b);
	record_putf(&b, 'T', "%d %s", 7, "abcdefg");
	assert_true(b.full);
	buf_fini(&b);
}

static void
test_put_too_long(void **state)
{
	struct buf b = BUF_INIT(SIZE_MAX / 2);
	static const char one[1];

	(void) state;
	record_put(&b, 'N', one, BIG);			/* refused by its length alone, nothing is read */
	assert_true(b.full);
	assert_int_equal(b.len, 0);
	buf_fini(&b);
}

/* every message in the recorded submissions parses into the eleven records, and writing them again gives the same bytes */
static void
test_transcripts(void **state)
{
	static const char *const files[] = {
		"20-probe-submission.hex", "21-probe-submission-utf8.hex", "22-probe-submission-long.hex",
		"23-probe-submission-null-sender.hex", "24-probe-submission-ttl-sender.hex",
		"25-probe-submission-flags-32.hex", "26-probe-submission-colon.hex",
	};
	static const char types[] = "TAASRMNNNXE";

	(void) state;
	for (size_t i = 0; i < NELEM(files); i++) {
		struct transcript t;
		struct buf why = BUF_INIT(1000), want = BUF_INIT(10000), got = BUF_INIT(10000);
		struct record rec;
		char	seen[sizeof types] = "";
		size_t	used, n = 0;

		if (transcript_read(&t, files[i], &why) < 0)
			fail_msg("%s", buf_str(&why));
		transcript_join(&t, "C>", 2, true, &want);	/* after announcement and flags */
		for (size_t pos = 0; pos < want.len; pos += used) {
			if (record_get(want.data + pos, want.len - pos, 1000, &rec, &used) != RECORD_OK ||
			    n >= sizeof types - 1)
				fail_msg("%s: no record at %zu", files[i], pos);
			seen[n++] = (char) rec.type;
			record_put(&got, rec.type, rec.data, rec.len);
		}
		assert_string_equal(seen, types);
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.data, want.data, want.len);
		buf_fini(&got);
		buf_fini(&want);
		buf_fini(&why);
		transcript_fini(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_put_limit),
		cmocka_unit_test(test_put_too_long),
		cmocka_unit_test(test_transcripts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
