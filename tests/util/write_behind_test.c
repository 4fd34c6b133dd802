/* tests/util/write_behind_test.c - a thread that writes: in order, whole, without keeping anybody waiting */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/write_behind.h>

static int pipe_fd[2];

/* fill - make the pipe so full that whoever writes to it waits; how much that is */
static size_t
fill(void)
{
	static const char zeroes[4096];
	int	flags = fcntl(pipe_fd[1], F_GETFL);
	size_t	n = 0;
	ssize_t got;

	assert_int_equal(fcntl(pipe_fd[1], F_SETFL, flags | O_NONBLOCK), 0);
	while ((got = write(pipe_fd[1], zeroes, sizeof zeroes)) > 0)
		n += (size_t) got;
	assert_int_equal(fcntl(pipe_fd[1], F_SETFL, flags), 0);
	return n;
}

/* drain - n bytes, to be freed */
static char *
drain(size_t n)
{
	char   *data = mem_alloc(n + 1);
	ssize_t got;

	for (size_t at = 0; at < n; at += (size_t) got)
		assert_true((got = read(pipe_fd[0], data + at, n - at)) > 0);
	return data;
}

static int
setup(void **state)
{
	(void) state;
	return pipe(pipe_fd);
}

static int
teardown(void **state)
{
	(void) state;
	write_behind_wait();
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return 0;
}

static void
test_order(void **state)
{
	size_t	n = fill();
	char   *data;

	(void) state;
	assert_false(write_behind_busy());
	for (int i = 0; i < 26; i++) {			/* the first alone, the others while it waits */
		char	text[2] = { (char) ('a' + i), '\n' };

		assert_true(write_behind(pipe_fd[1], text, sizeof text));
		write_behind_begin();
		assert_true(write_behind_busy());
	}
	data = drain(n);
	mem_free(&data);
	write_behind_wait();
	assert_false(write_behind_busy());
	data = drain(52);
	for (size_t i = 0; i < 26; i++) {
		assert_int_equal(data[2 * i], 'a' + (int) i);
		assert_int_equal(data[2 * i + 1], '\n');
	}
	mem_free(&data);
}

/* a file that is never ready: so much is taken, and no more; then all of it comes */
static void
test_bounded(void **state)
{
	static char block[4096];
	size_t	n = fill(), taken = 0;
	char   *data;

	(void) state;
	memset(block, 'x', sizeof block);
	while (write_behind(pipe_fd[1], block, sizeof block))
		taken += sizeof block;
	assert_in_range(taken, WRITE_BEHIND_MAX, 2 * WRITE_BEHIND_MAX);
	assert_false(write_behind(pipe_fd[1], block, WRITE_BEHIND_MAX + 1));
	assert_true(write_behind_busy());
	data = drain(n);
	mem_free(&data);
	data = drain(taken);
	for (size_t i = 0; i < taken; i++)
		if (data[i] != 'x')
			fail_msg("byte %zu", i);
	mem_free(&data);
	write_behind_wait();
	assert_true(write_behind(pipe_fd[1], "y", 1));
	write_behind_begin();
	data = drain(1);
	assert_int_equal(data[0], 'y');
	mem_free(&data);
}

/* another descriptor waits its turn; one that cannot be written to costs its bytes alone */
static void
test_descriptors(void **state)
{
	int	closed[2], full = open("/dev/full", O_WRONLY);
	size_t	n = fill();
	char   *data;

	(void) state;
	assert_int_equal(pipe(closed), 0);
	assert_true(full >= 0);
	close(closed[0]);
	assert_true(write_behind(pipe_fd[1], "a", 1));
	write_behind_begin();
	while (!write_behind(full, "b", 1))		/* until the thread has taken the first */
		;
	assert_false(write_behind(pipe_fd[1], "c", 1));
	data = drain(n);
	mem_free(&data);
	write_behind_wait();
	assert_true(write_behind(closed[1], "d", 1));	/* no signal ends the process */
	write_behind_wait();
	assert_true(write_behind(pipe_fd[1], "e", 1));
	write_behind_wait();
	data = drain(2);
	assert_string_equal(data, "ae");
	mem_free(&data);
	close(full);
	close(closed[1]);
}

/* a child writes with a thread of its own */
static void
test_fork(void **state)
{
	char   *data;
	pid_t	pid;
	int	status;

	(void) state;
	assert_true(write_behind(pipe_fd[1], "parent ", 7));
	write_behind_wait();
	if ((pid = fork()) == 0) {
		if (write_behind_busy() || !write_behind(pipe_fd[1], "child", 5))
			_exit(1);
		write_behind_wait();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	data = drain(12);
	assert_string_equal(data, "parent child");
	mem_free(&data);
}

/* a signal handler that ends the process waits for nothing, whatever it has interrupted */
static void
test_give_up(void **state)
{
	pid_t	pid;
	int	status;

	(void) state;
	if ((pid = fork()) == 0) {
		alarm(10);
		(void) fill();
		if (!write_behind(pipe_fd[1], "never written", 13))
			_exit(1);
		write_behind_give_up();
		write_behind_wait();
		_exit(write_behind_busy() || write_behind(pipe_fd[1], "x", 1) ? 2 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* nothing is written before it is worth while, or wanted */
static void
test_begin(void **state)
{
	static char block[WRITE_BEHIND_BEGIN];
	struct pollfd pfd = { .fd = pipe_fd[0], .events = POLLIN };
	char   *data;

	(void) state;
	assert_true(write_behind(pipe_fd[1], "ab", 2));
	assert_int_equal(poll(&pfd, 1, 20), 0);
	assert_true(write_behind_busy());
	assert_true(write_behind(pipe_fd[1], block, sizeof block - 2));
	data = drain(sizeof block);
	assert_memory_equal(data, "ab", 2);
	mem_free(&data);
	write_behind_wait();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_begin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(test_give_up, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
