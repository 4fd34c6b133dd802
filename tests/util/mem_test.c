/* tests/util/mem_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <util/mem.h>

static void
test_zeroed(void **state)
{
	(void) state;
	for (size_t n = 0; n < 5000; n += 100) {
		char   *p = mem_alloc(n), *q = mem_array(n, 3);

		assert_non_null(p);
		assert_non_null(q);
		for (size_t i = 0; i < n; i++)
			if (p[i] != 0 || q[3 * i + 2] != 0)
				fail_msg("size %zu: byte %zu is not zero", n, i);
		memset(p, 'x', n);			/* so that the next one finds dirt */
		memset(q, 'x', 3 * n);
		mem_free(&p);
		mem_free(&q);
		assert_null(p);
		mem_free(&p);				/* harmless */
	}
}

static void
test_grow(void **state)
{
	uint32_t *p = NULL;

	(void) state;
	for (size_t n = 1; n < 1000; n++) {
		p = mem_grow(p, n, sizeof *p);
		p[n - 1] = (uint32_t) n;
	}
	for (size_t n = 1; n < 1000; n++)
		assert_int_equal(p[n - 1], n);
	p = mem_grow(p, 0, sizeof *p);			/* not freed, not NULL */
	assert_non_null(p);
	mem_free(&p);
}

static void
test_strings(void **state)
{
	char   *s;

	(void) state;
	s = mem_strdup("abc");
	assert_string_equal(s, "abc");
	mem_free(&s);
	s = mem_strndup("abcdef", 3);
	assert_string_equal(s, "abc");
	mem_free(&s);
	s = mem_strndup("ab", 3);
	assert_string_equal(s, "ab");
	mem_free(&s);
	s = mem_printf("%s-%d", "x", 7);
	assert_string_equal(s, "x-7");
	mem_free(&s);
	assert_null(s);
}

static void
call_array(void)
{
	mem_array(SIZE_MAX / 2, 3);
}

static void
call_grow(void)
{
	mem_grow(NULL, SIZE_MAX / 2, 3);
}

static void
call_alloc(void)
{
	mem_alloc(SIZE_MAX / 2);
}

/* what cannot be had, products that wrap included, is fatal: exit status 1, not a small piece of memory */
static void
test_too_much(void **state)
{
	static void (*const calls[])(void) = { call_array, call_grow, call_alloc };
	int	status;
	pid_t	pid;

	(void) state;
#if defined(__SANITIZE_ADDRESS__)
	skip();						/* ASan ends such a process in its own way */
#endif
	for (size_t i = 0; i < NELEM(calls); i++) {
		if ((pid = fork()) == 0) {
			int	null = open("/dev/null", O_WRONLY);

			dup2(null, 2);
			calls[i]();
			_exit(0);
		}
		waitpid(pid, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
			fail_msg("call %zu: wait status %#x", i, status);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
