/* tests/util/buf_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/buf.h>
#include <util/mem.h>

static void
test_empty(void **state)
{
	struct buf b = BUF_INIT(10), c;

	(void) state;
	assert_string_equal(buf_str(&b), "");
	assert_null(b.data);
	buf_cut(&b, 0);
	buf_drop(&b, 0);
	buf_reset(&b);
	buf_shrink(&b, 0);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_string_equal(buf_str(&b), "");
	buf_fini(&b);
	buf_fini(&b);
	buf_init(&c, 0);				/* a limit of nothing */
	assert_int_equal(buf_adds(&c, ""), 0);
	assert_int_equal(buf_addc(&c, 'x'), -1);
	assert_true(c.full);
	assert_string_equal(buf_str(&c), "");
	buf_fini(&c);
}

static void
test_add(void **state)
{
	struct buf b = BUF_INIT(1000);

	(void) state;
	assert_int_equal(buf_add(&b, "a\0b", 3), 0);
	assert_int_equal(buf_addc(&b, 0xe9), 0);
	assert_int_equal(buf_adds(&b, "cd"), 0);
	assert_int_equal(buf_addf(&b, "%d-%s", 7, "x"), 0);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "a\0b\xe9" "cd7-x", 10);	/* the NUL after it, too */
	buf_drop(&b, 2);
	assert_memory_equal(b.data, "b\xe9" "cd7-x", 8);
	buf_cut(&b, 2);
	assert_int_equal(b.len, 2);
	assert_string_equal(b.data, "b\xe9");
	buf_drop(&b, 2);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.len, 0);
	buf_fini(&b);
}

/* the limit is exact for every adder; what does not fit is refused whole, and so is all that follows */
static void
test_limit(void **state)
{
	static const size_t limits[] = { 1, 2, 126, 127, 128, 129, 255, 256, 257, 1000, 4096 };

	(void) state;
	for (size_t i = 0; i < NELEM(limits); i++) {
		struct buf b = BUF_INIT(limits[i]);
		size_t	n = 0;

		while (buf_addc(&b, 'x') == 0)
			n++;
		if (n != limits[i] || b.len != n || !b.full || b.data[n] != 0)
			fail_msg("limit %zu: %zu bytes went in", limits[i], n);
		buf_reset(&b);
		assert_false(b.full);
		for (n = 0; n < limits[i] - 1; n++)
			buf_addc(&b, 'x');
		if (buf_adds(&b, "yz") != -1 || b.len != limits[i] - 1 || buf_addc(&b, 'z') != -1)
			fail_msg("limit %zu: not whole, or not sticky", limits[i]);
		assert_null(buf_room(&b, 0));		/* sticky for this as well */
		buf_fini(&b);
	}
}

/* what is taken away from a full one makes no room */
static void
test_full_is_full(void **state)
{
	struct buf b = BUF_INIT(4);

	(void) state;
	buf_adds(&b, "abcd");
	assert_int_equal(buf_addc(&b, 'e'), -1);
	buf_cut(&b, 1);
	assert_int_equal(buf_addc(&b, 'f'), -1);
	buf_drop(&b, 1);
	assert_int_equal(buf_add(&b, "g", 1), -1);
	assert_string_equal(buf_str(&b), "");
	buf_reset(&b);
	assert_int_equal(buf_adds(&b, "hi"), 0);
	assert_int_equal(buf_add(&b, NULL, 0), 0);	/* no bytes need no address */
	buf_refuse(&b);
	assert_int_equal(buf_adds(&b, ""), -1);
	assert_true(b.full);
	assert_string_equal(buf_str(&b), "hi");
	buf_fini(&b);
	assert_int_equal(buf_adds(&b, "j"), 0);
	assert_string_equal(buf_str(&b), "j");
	buf_fini(&b);
}

static void
test_number(void **state)
{
	static const struct { int64_t n; const char *want; } cases[] = {
		{ 0, "0" }, { 7, "7" }, { 10, "10" }, { -1, "-1" }, { 86400, "86400" }, { INT64_MAX, "9223372036854775807" },
		{ INT64_MIN, "-9223372036854775808" },
	};
	struct buf b = BUF_INIT(100);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&b);
		assert_int_equal(buf_addi(&b, cases[i].n), 0);
		assert_string_equal(buf_str(&b), cases[i].want);
	}
	buf_fini(&b);
}

static void
test_limit_format(void **state)
{
	static const struct {
		size_t	limit;
		int	width;
	} cases[] = { { 10, 9 }, { 10, 10 }, { 10, 11 }, { 255, 255 }, { 256, 256 }, { 300, 256 }, { 300, 300 },
		{ 300, 301 }, { 5000, 4999 }, { 5000, 5000 }, { 5000, 5001 } };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = BUF_INIT(cases[i].limit);
		bool	fits = (size_t) cases[i].width <= cases[i].limit;

		if (buf_addf(&b, "%*d", cases[i].width, 7) != (fits ? 0 : -1) ||
		    b.len != (fits ? (size_t) cases[i].width : 0) || b.full == fits)
			fail_msg("limit %zu, width %d: len %zu", cases[i].limit, cases[i].width, b.len);
		if (fits && (b.data[b.len - 1] != '7' || b.data[b.len] != 0))
			fail_msg("limit %zu, width %d: cut", cases[i].limit, cases[i].width);
		buf_fini(&b);
	}
}

static void
test_huge(void **state)
{
	struct buf b = BUF_INIT(1000);

	(void) state;
	buf_adds(&b, "abc");
	assert_null(buf_room(&b, SIZE_MAX));		/* len + n would wrap */
	buf_reset(&b);
	buf_adds(&b, "abc");
	assert_null(buf_room(&b, SIZE_MAX - 2));
	buf_fini(&b);
}

static void
test_room(void **state)
{
	struct buf b = BUF_INIT(200);
	char   *p;

	(void) state;
	assert_non_null(p = buf_room(&b, 200));
	memset(p, 'x', 200);
	buf_grew(&b, 150);				/* less than asked for */
	assert_int_equal(strlen(b.data), 150);
	assert_non_null(p = buf_room(&b, 50));
	assert_ptr_equal(p, b.data + 150);
	assert_null(buf_room(&b, 51));
	buf_fini(&b);
}

static void
test_shrink(void **state)
{
	struct buf b = BUF_INIT(100000);

	(void) state;
	while (b.len < 50000)
		buf_adds(&b, "0123456789");
	buf_shrink(&b, 100000);				/* within what may be kept */
	assert_non_null(b.data);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_adds(&b, "x");
	buf_shrink(&b, 1000);
	assert_null(b.data);
	assert_int_equal(b.cap, 0);
	assert_int_equal(b.max, 100000);
	buf_adds(&b, "y");				/* still of use */
	assert_string_equal(b.data, "y");
	buf_fini(&b);
}

static void
test_take(void **state)
{
	struct buf b = BUF_INIT(100);
	char   *s;

	(void) state;
	buf_adds(&b, "abc");
	s = buf_take(&b);
	assert_string_equal(s, "abc");
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	free(s);
	s = buf_take(&b);
	assert_string_equal(s, "");
	free(s);
	buf_adds(&b, "again");
	assert_string_equal(buf_str(&b), "again");
	buf_fini(&b);
}

static void
test_read(void **state)
{
	char	path[] = "/tmp/vouch-test.XXXXXX", data[40000];
	int	fd = mkstemp(path);
	struct buf b = BUF_INIT(sizeof data);

	(void) state;
	assert_true(fd >= 0);
	memset(data, 'x', sizeof data);
	assert_int_equal(write(fd, data, sizeof data), sizeof data);
	assert_int_equal(buf_read_file(&b, AT_FDCWD, path), 0);		/* exactly the limit */
	assert_int_equal(b.len, sizeof data);
	assert_int_equal(write(fd, data, 1), 1);
	buf_reset(&b);
	errno = 0;
	assert_int_equal(buf_read_file(&b, AT_FDCWD, path), -1);
	assert_int_equal(errno, EFBIG);
	unlink(path);
	assert_int_equal(buf_read_file(&b, AT_FDCWD, path), -1);
	assert_int_equal(errno, ENOENT);
	close(fd);
	buf_reset(&b);
	assert_int_equal(buf_read_fd(&b, fd), -1);
	assert_int_equal(errno, EBADF);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_full_is_full),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_limit_format),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_shrink),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
