/* tests/daemons/smtpd_data_reader_test.c - where a message ends, and what it is; in any cut */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <daemons/smtpd/data_reader.h>
#include <util/buf.h>
#include <util/mem.h>

/* feed - text in pieces of n bytes; what remains after the end in *rest_r */
static enum data_result
feed(const char *text, size_t len, size_t piece, bool normalize, struct buf *out, size_t *rest_r)
{
	struct data_reader r;
	enum data_result result = DATA_MORE;
	const char *p = text, *part;
	size_t	n, part_n, at = 0;

	data_reader_init(&r, normalize);
	while (at < len) {
		p = text + at;
		n = len - at < piece ? len - at : piece;
		while ((result = data_reader_next(&r, &p, &n, &part, &part_n)) == DATA_PART)
			buf_add(out, part, part_n);
		at = (size_t) (p - text);
		if (result != DATA_MORE)
			break;
	}
	*rest_r = len - at;
	return result;
}

static const char *const names[] = { "part", "more", "end", "bare LF", "bare CR" };

struct row {
	const char *text;
	enum data_result want;
	const char *message;		/* on DATA_END */
	size_t	rest;			/* likewise: bytes after the end */
};

static void
check(const struct row *rows, size_t n, bool normalize)
{
	struct buf out = BUF_INIT(4096);
	enum data_result got;
	size_t	rest;

	for (size_t i = 0; i < n; i++)
		for (size_t piece = 1; piece <= strlen(rows[i].text); piece++) {
			buf_reset(&out);
			got = feed(rows[i].text, strlen(rows[i].text), piece, normalize, &out, &rest);
			if (got != rows[i].want)
				fail_msg("row %zu in pieces of %zu: %s, want %s", i, piece, names[got], names[rows[i].want]);
			if (got == DATA_END && (strcmp(buf_str(&out), rows[i].message) != 0 || rest != rows[i].rest))
				fail_msg("row %zu in pieces of %zu: \"%s\" and %zu bytes", i, piece, buf_str(&out), rest);
		}
	buf_fini(&out);
}

static void
strict(void **state)
{
	static const struct row rows[] = {
		{ "a\r\n.\r\n", DATA_END, "a\r\n", 0 },
		{ ".\r\n", DATA_END, "", 0 },
		{ "a\r\n.\r\nQUIT\r\n", DATA_END, "a\r\n", 6 },
		{ "..\r\n.\r\n", DATA_END, ".\r\n", 0 },
		{ "..a\r\n...\r\n.\r\n", DATA_END, ".a\r\n..\r\n", 0 },
		{ ".a\r\n.\r\n", DATA_END, "a\r\n", 0 },
		{ "a.b\r\n.\r\n", DATA_END, "a.b\r\n", 0 },
		{ "a.\r\n.b\r\n.\r\n", DATA_END, "a.\r\nb\r\n", 0 },
		{ "\r\n\r\n.\r\n", DATA_END, "\r\n\r\n", 0 },
		{ "a\r\n", DATA_MORE, NULL, 0 },
		{ "a\r\n.", DATA_MORE, NULL, 0 },
		{ "a\r\n.\r", DATA_MORE, NULL, 0 },
		/* smuggling: every end that somebody else might see */
		{ "a\n.\nMAIL\r\n.\r\n", DATA_BARE_LF, NULL, 0 },
		{ "a\n.\r\nMAIL\r\n.\r\n", DATA_BARE_LF, NULL, 0 },
		{ "a\r\n.\nMAIL\r\n.\r\n", DATA_BARE_LF, NULL, 0 },
		{ "a\r.\rMAIL\r\n.\r\n", DATA_BARE_CR, NULL, 0 },
		{ "a\r.\r\nMAIL\r\n.\r\n", DATA_BARE_CR, NULL, 0 },
		{ "a\r\n.\rMAIL\r\n.\r\n", DATA_BARE_CR, NULL, 0 },
		{ "a\n\r.\r\nMAIL\r\n.\r\n", DATA_BARE_LF, NULL, 0 },
		{ "a\r\r\n.\r\nMAIL\r\n.\r\n", DATA_BARE_CR, NULL, 0 },
		{ "a\r\r\n.\r\r\nMAIL\r\n.\r\n", DATA_BARE_CR, NULL, 0 },
		{ "a\r\n.\r\r\nMAIL\r\n.\r\n", DATA_BARE_CR, NULL, 0 },
		{ "a\r\n\n.\r\nMAIL\r\n.\r\n", DATA_BARE_LF, NULL, 0 },
		{ "a\r\n.\r.\r\nMAIL\r\n.\r\n", DATA_BARE_CR, NULL, 0 },
		{ "a\r\n..\nMAIL\r\n.\r\n", DATA_BARE_LF, NULL, 0 },
		{ "\n.\r\n", DATA_BARE_LF, NULL, 0 },
		{ ".\n", DATA_BARE_LF, NULL, 0 },
		{ "\rX", DATA_BARE_CR, NULL, 0 },
	};

	(void) state;
	check(rows, NELEM(rows), false);
}

/* NUL is a byte as any other; one between CR and LF parts them */
static void
nul(void **state)
{
	static const char good[] = "a\0b\r\n.\r\n", bad[] = "a\r\n.\r\0\n", bad2[] = "a\r\n.\0\r\nMAIL\r\n.\r\n";
	struct buf out = BUF_INIT(4096);
	size_t	rest;

	(void) state;
	assert_int_equal(feed(good, sizeof good - 1, 3, false, &out, &rest), DATA_END);
	assert_int_equal(out.len, 5);
	assert_memory_equal(out.data, "a\0b\r\n", 5);
	buf_reset(&out);
	assert_int_equal(feed(bad, sizeof bad - 1, 3, false, &out, &rest), DATA_BARE_CR);
	buf_reset(&out);
	assert_int_equal(feed(bad2, sizeof bad2 - 1, 100, false, &out, &rest), DATA_END);
	assert_int_equal(rest, 0);			/* ". NUL" was no end */
	buf_fini(&out);
}

/* normalize: the only end is still CR LF . CR LF */
static void
normalized(void **state)
{
	static const struct row rows[] = {
		{ "a\r\n.\r\n", DATA_END, "a\r\n", 0 },
		{ "a\nb\r\n.\r\n", DATA_END, "a\r\nb\r\n", 0 },
		{ "a\n.\nb\r\n.\r\n", DATA_END, "a\r\n\r\nb\r\n", 0 },
		{ "a\n.\r\nb\r\n.\r\n", DATA_END, "a\r\n\r\nb\r\n", 0 },
		{ "a\r\n.\nb\r\n.\r\n", DATA_END, "a\r\n\r\nb\r\n", 0 },
		{ "a\n..b\r\n.\r\n", DATA_END, "a\r\n.b\r\n", 0 },
		{ "a\r.\rb\r\n.\r\n", DATA_END, "a . b\r\n", 0 },
		{ "a\r.\r\nb\r\n.\r\n", DATA_END, "a .\r\nb\r\n", 0 },
		{ "a\r\r\n.\r\n", DATA_END, "a \r\n", 0 },
		{ "a\r\n.\rb\r\n.\r\n", DATA_END, "a\r\n b\r\n", 0 },
		{ "a\n\r.\r\nb\r\n.\r\n", DATA_END, "a\r\n .\r\nb\r\n", 0 },
		{ "\n.\r\n", DATA_MORE, NULL, 0 },
		{ ".\n", DATA_MORE, NULL, 0 },
		{ "a\n.\n", DATA_MORE, NULL, 0 },
		{ "a\r\n.\r\r\n", DATA_MORE, NULL, 0 },
	};

	(void) state;
	check(rows, NELEM(rows), true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strict),
		cmocka_unit_test(nul),
		cmocka_unit_test(normalized),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
