/* tests/util/pg_args_test.c - parameters in PostgreSQL's binary form, byte by byte, and their bounds */
#include <util/pg_args.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <util/mem.h>

static struct pg_args args;

static int
setup(void **state)
{
	(void) state;
	pg_args_init(&args);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	pg_args_fini(&args);
	return 0;
}

static void
expect(unsigned i, unsigned type, const void *bytes, size_t len)
{
	assert_int_equal(args.arg[i].type, type);
	assert_int_equal(args.arg[i].len, len);
	if (len > 0)
		assert_memory_equal((const char *) args.mem.data + args.arg[i].at, bytes, len);
}

static void
single_values(void **state)
{
	(void) state;
	pg_arg_int(&args, -2);
	pg_arg_text(&args, "a\0b", 3);
	pg_arg_str(&args, "");
	pg_arg_str(&args, "'; --");
	assert_int_equal(args.n, 4);
	expect(0, 20, "\377\377\377\377\377\377\377\376", 8);
	expect(1, 25, "a\0b", 3);
	expect(2, 25, "", 0);
	expect(3, 25, "'; --", 5);
	assert_false(args.mem.full);
}

static void
arrays(void **state)
{
	(void) state;
	pg_arg_array(&args, PG_TYPE_TEXT, 2);
	assert_int_equal(args.left, 2);
	pg_elem_text(&args, "{,\"", 3);
	pg_elem_text(&args, "", 0);
	assert_int_equal(args.left, 0);
	pg_arg_array(&args, PG_TYPE_INT, 1);
	pg_elem_int(&args, 1);
	pg_arg_array(&args, PG_TYPE_INT, 0);
	expect(0, 1009, "\0\0\0\1" "\0\0\0\0" "\0\0\0\31" "\0\0\0\2" "\0\0\0\1" "\0\0\0\3{,\"" "\0\0\0\0", 31);
	expect(1, 1016, "\0\0\0\1" "\0\0\0\0" "\0\0\0\24" "\0\0\0\1" "\0\0\0\1" "\0\0\0\10" "\0\0\0\0\0\0\0\1", 32);
	expect(2, 1016, "\0\0\0\0" "\0\0\0\0" "\0\0\0\24", 12);	/* an empty array has no dimension */
}

static void
what_does_not_fit_is_said(void **state)
{
	static char big[1 << 20];

	(void) state;
	pg_arg_array(&args, PG_TYPE_TEXT, 9);
	for (int i = 0; i < 7; i++)
		pg_elem_text(&args, big, sizeof big);
	assert_false(args.mem.full);
	pg_elem_text(&args, big, sizeof big);
	assert_true(args.mem.full);
	pg_elem_text(&args, "x", 1);
	assert_true(args.mem.full);		/* and stays so */
	assert_int_equal(args.left, 0);
	assert_true(args.mem.len <= PG_ARGS_BYTES);
}

/* our own mistakes end the process: a statement with shifted parameters must never be sent */
static void
mistakes(void **state)
{
	int	status;
	pid_t	pid;

	(void) state;
	for (int which = 0; which < 4; which++) {
		if ((pid = fork()) == 0) {
			close(STDERR_FILENO);
			signal(SIGABRT, SIG_DFL);
			if (which == 0)
				pg_elem_int(&args, 1);			/* no array */
			pg_arg_array(&args, PG_TYPE_TEXT, 1);
			if (which == 1)
				pg_elem_int(&args, 1);			/* of another type */
			if (which == 2)
				pg_arg_int(&args, 1);			/* an element is missing */
			pg_elem_text(&args, "", 0);
			for (int i = 0; which == 3 && i < PG_ARGS_MAX; i++)
				pg_arg_int(&args, 1);			/* too many */
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
			fail_msg("mistake %d was not noticed", which);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(single_values),
		T(arrays),
		T(what_does_not_fit_is_said),
		T(mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
