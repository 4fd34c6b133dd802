/* tests/util/shmtab_lock_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <stdio.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/shmtab.h>
#include <util/shmtab_lock.h>

static struct test {
	struct shmtab_seats *seats;	/* shared with children */
	uint32_t *word;
	int	 fds[3];		/* three open file descriptions, as of three processes */
	struct shmtab_seat a, b, c;
} test;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
lock_setup(void **state)
{
	char	path[] = "/tmp/shmtab_lock.XXXXXX", proc[64];
	void   *p = mmap(NULL, sizeof *test.seats + 64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void) state;
	if (p == MAP_FAILED)
		return -1;
	test.seats = p;
	test.word = (uint32_t *) (test.seats + 1);
	if ((test.fds[0] = mkstemp(path)) < 0)
		return -1;
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", test.fds[0]);
	test.fds[1] = open(proc, O_RDWR | O_CLOEXEC);
	test.fds[2] = open(proc, O_RDWR | O_CLOEXEC);
	unlink(path);
	return shmtab_seat_take(&test.a, test.fds[0], test.seats, 0) < 0 ||
	    shmtab_seat_take(&test.b, test.fds[1], test.seats, 0) < 0 ||
	    shmtab_seat_take(&test.c, test.fds[2], test.seats, 0) < 0 ? -1 : 0;
}

static int
lock_teardown(void **state)
{
	(void) state;
	for (size_t i = 0; i < NELEM(test.fds); i++)
		close(test.fds[i]);
	return munmap(test.seats, sizeof *test.seats + 64);
}

static void
seat_ids(void **state)
{
	uint32_t b_id = test.b.id;
	struct shmtab_seat d;
	int	dup_fd;

	(void) state;
	assert_true(test.a.id != test.b.id && test.b.id != test.c.id && test.a.id != test.c.id);
	assert_true(test.a.id != 0 && test.b.id != 0 && test.c.id != 0);
	assert_true(shmtab_seat_alive(&test.a, test.a.id));
	assert_true(shmtab_seat_alive(&test.a, b_id));
	assert_false(shmtab_seat_alive(&test.a, 0));
	assert_false(shmtab_seat_alive(&test.a, UINT32_MAX));
	test.seats->generation[(b_id & 0x7ff) - 1] ^= 5;		/* damage, and its cure */
	assert_false(shmtab_seat_alive(&test.a, b_id));
	shmtab_seat_mend(&test.b);
	assert_true(shmtab_seat_alive(&test.a, b_id));
	assert_true(shmtab_seat_alive(&test.b, b_id));

	dup_fd = dup(test.fds[1]);				/* a forked child: the seat is taken until both are gone */
	close(test.fds[1]);
	assert_true(shmtab_seat_alive(&test.a, b_id));
	close(dup_fd);
	assert_false(shmtab_seat_alive(&test.a, b_id));
	test.fds[1] = open("/dev/null", O_RDONLY);	/* anything, to be closed */
	assert_int_equal(shmtab_seat_take(&d, test.fds[2], test.seats, b_id), 0);	/* nobody sat there since */
	assert_true(d.id == b_id);
	assert_int_equal(shmtab_seat_take(&d, test.fds[2], test.seats, test.a.id), 0);	/* taken: another one */
	assert_true(d.id != test.a.id);
}

static void
seat_all_taken(void **state)
{
	struct shmtab_seat d;
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t) 1 << 44, .l_len = SHMTAB_SEATS };
	char	proc[64];
	int	fd;

	(void) state;
	close(test.fds[0]);
	close(test.fds[1]);
	test.fds[0] = open("/dev/null", O_RDONLY);
	test.fds[1] = open("/dev/null", O_RDONLY);
	assert_int_equal(fcntl(test.fds[2], F_OFD_SETLK, &fl), 0);
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", test.fds[2]);
	fd = open(proc, O_RDWR | O_CLOEXEC);
	assert_int_equal(shmtab_seat_take(&d, fd, test.seats, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void
lock_free(void **state)
{
	uint32_t held, first;

	(void) state;
	assert_int_equal(shmtab_lock(test.word, &test.a, &held), SHMTAB_LOCKED);
	assert_true(shmtab_lock_mine(test.word, held));
	assert_true(shmtab_lock_inherited(test.word, &test.a));
	assert_false(shmtab_lock_inherited(test.word, &test.b));
	first = held;
	assert_true(shmtab_unlock(test.word, held));
	assert_false(shmtab_lock_mine(test.word, held));
	assert_false(shmtab_unlock(test.word, held));
	assert_int_equal(shmtab_lock(test.word, &test.a, &held), SHMTAB_LOCKED);
	assert_true(held != first);
	assert_true(shmtab_unlock(test.word, held));
}

/* a word whose owner does not exist, or is dead, is free for the taking; another one's release has no effect then */
static void
lock_without_owner(void **state)
{
	static const struct { const char *name; uint32_t word; } cases[] = {
		{ "seat nobody sits on",     500 },
		{ "seat number too large",   1025 },
		{ "largest",		     0x7ff },
		{ "with sleepers",	     500 | 0x800 },
		{ "all ones",		     UINT32_MAX },
		{ "count at its end",	     0xfffff000 | 500 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		uint32_t held, word = *test.word = cases[i].word;
		int64_t start = now_ms();
		enum shmtab_locked how = shmtab_lock(test.word, &test.a, &held);

		if (how != SHMTAB_LOCKED_DEAD || now_ms() - start > 500)
			fail_msg("%s: got %d after %lld ms", cases[i].name, (int) how, (long long) (now_ms() - start));
		assert_false(shmtab_unlock(test.word, word));
		assert_true(shmtab_lock_mine(test.word, held));
		assert_true(shmtab_unlock(test.word, held));
		assert_int_equal(*test.word & 0xfff, 0);
	}
}

static void
lock_by_force(void **state)
{
	uint32_t a_held, b_held;
	int64_t start = now_ms();

	(void) state;
	assert_int_equal(shmtab_lock(test.word, &test.a, &a_held), SHMTAB_LOCKED);
	assert_int_equal(shmtab_lock(test.word, &test.b, &b_held), SHMTAB_LOCKED_FORCE);
	start = now_ms() - start;
	assert_true(start >= SHMTAB_LOCK_MS - 1 && start < 2 * SHMTAB_LOCK_MS);
	assert_false(shmtab_lock_mine(test.word, a_held));
	assert_false(shmtab_unlock(test.word, a_held));		/* he wakes up: the lock is not his */
	assert_true(shmtab_lock_mine(test.word, b_held));
	assert_true(shmtab_unlock(test.word, b_held));
	assert_int_equal(shmtab_lock(test.word, &test.c, &b_held), SHMTAB_LOCKED);
	assert_true(shmtab_unlock(test.word, b_held));
}

/* a sleeper gets it when it is released */
static void
lock_is_waited_for(void **state)
{
	uint32_t held;
	int	status;
	pid_t	pid;

	(void) state;
	assert_int_equal(shmtab_lock(test.word, &test.a, &held), SHMTAB_LOCKED);
	if ((pid = fork()) == 0) {
		int64_t start = now_ms();
		enum shmtab_locked how = shmtab_lock(test.word, &test.b, &held);

		if (how == SHMTAB_LOCKED && !shmtab_unlock(test.word, held))
			_exit(1);
		_exit(how == SHMTAB_LOCKED && now_ms() - start < 2 * SHMTAB_LOCK_MS ? 0 : 2);
	}
	while ((__atomic_load_n(test.word, __ATOMIC_SEQ_CST) & 0x800) == 0)
		usleep(100);			/* until he sleeps */
	assert_true(shmtab_unlock(test.word, held));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(*test.word & 0xfff, 0);
}

static void
file_lock(void **state)
{
	int64_t start;

	(void) state;
	assert_int_equal(shmtab_file_lock(test.fds[0], 0), 0);
	start = now_ms();
	assert_int_equal(shmtab_file_lock(test.fds[1], 50), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_true(now_ms() - start >= 49);
	shmtab_file_unlock(test.fds[0]);
	assert_int_equal(shmtab_file_lock(test.fds[1], 0), 0);
	assert_int_equal(shmtab_file_lock(test.fds[0], 0), -1);
	close(test.fds[1]);
	assert_int_equal(shmtab_file_lock(test.fds[0], 0), 0);
	test.fds[1] = open("/dev/null", O_RDONLY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, lock_setup, lock_teardown)
		T(seat_ids),
		T(seat_all_taken),
		T(lock_free),
		T(lock_without_owner),
		T(lock_by_force),
		T(lock_is_waited_for),
		T(file_lock),
#undef T
	};

	return cmocka_run_group_tests_name("shmtab_lock", tests, NULL, NULL);
}
