/* tests/util/shmtab_damage_test.c - files that are damaged or cut short while several processes use them */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/lib/tab_rig.h>
#include <tests/lib/test_dir.h>
#include <util/shmtab_file.h>

/* damage, while several processes are at work */

#define DAMAGE_TRIES	6000
#define DAMAGE_KEYS	2000
#define CUT_TRIES	25

static struct shared {
	_Atomic uint64_t done[3];	/* operations of each child */
	_Atomic uint64_t refused;	/* of those, without success */
	_Atomic bool stop;
} *shared;

/* child_endure - read and write, whatever happens to the file */
static void
child_endure(unsigned w)
{
	struct shmtab *t = tab_open(TAB_MB);
	uint64_t retained = 0, dropped = 0;
	const char *why;

	tab_random ^= 0x9e3779b97f4a7c15u * (w + 1);
	for (uint32_t i = 0; !shared->stop; i++) {
		uint32_t n = tab_rnd(DAMAGE_KEYS);
		bool	 bad = false, good = true;
		int64_t	got = tab_version(t, n);

		if (got == -2)
			_exit(CHILD_BAD_VALUE);
		if (got == -1 || tab_change(t, n, i, tab_rnd(5) == 0 ? SHMTAB_DELETE : SHMTAB_PUT, 0, &bad) < 0)
			shared->refused++;
		if (bad)
			_exit(CHILD_BAD_VALUE);
		if (i % 50 == 0 && shmtab_check(t, &why) < 0)
			_exit(CHILD_CHECK);
		if (i % 100 == 0) {
			shmtab_clean(t, tab_rnd(shmtab_parts(t)), tab_keep_fn, &good, &retained, &dropped);
			if (!good)
				_exit(CHILD_CLEAN_FAILED);
		}
		shmtab_words(t)[i % SHMTAB_WORDS]++;
		shared->done[w]++;
	}
	shmtab_close(&t);
	_exit(0);
}

/* child_visit - come and go, and look at everything */
static void
child_visit(unsigned w)
{
	const char *why;

	while (!shared->stop) {
		struct shmtab *t = tab_open(TAB_MB), *r;
		bool	good = true;

		for (unsigned i = 0; i < shmtab_parts(t); i++)
			shmtab_walk(t, i, tab_keep_fn, &good);
		if (!good)
			_exit(CHILD_WALK);
		if (shmtab_open_read(&r, test_dirfd, "tab", &why) == 0) {
			tab_version(r, 1);
			shmtab_close(&r);
		}
		tab_stat(t);
		shmtab_close(&t);
		shared->done[w]++;
	}
	_exit(0);
}

static void
endure_start(pid_t pids[3])
{
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	for (unsigned w = 0; w < 3; w++)
		if ((pids[w] = tab_fork()) == 0) {
			if (w < 2)
				child_endure(w);
			child_visit(w);
		}
}

/* endure_wait - until both workers did so much more; none may be dead, none may hang */
static void
endure_wait(const pid_t pids[3], uint64_t more)
{
	uint64_t until[2] = { shared->done[0] + more, shared->done[1] + more };
	int64_t end = tab_now_us() + 10000000;
	int	status;

	while (shared->done[0] < until[0] || shared->done[1] < until[1]) {
		for (unsigned w = 0; w < 3; w++)
			if (waitpid(pids[w], &status, WNOHANG) != 0)
				fail_msg("child %u ended with status %#x", w, (unsigned) status);
		if (tab_now_us() > end)
			fail_msg("the workers hang: %llu and %llu operations", (unsigned long long) shared->done[0],
			    (unsigned long long) shared->done[1]);
		usleep(50);
	}
}

static void
endure_stop(const pid_t pids[3])
{
	int	status;

	shared->stop = true;
	for (unsigned w = 0; w < 3; w++) {
		assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
		if (status != 0)
			fail_msg("child %u ended with status %#x", w, (unsigned) status);
	}
	if (shared->refused > (shared->done[0] + shared->done[1]) / 10)
		fail_msg("%llu of %llu operations were refused", (unsigned long long) shared->refused,
		    (unsigned long long) (shared->done[0] + shared->done[1]));
	munmap(shared, sizeof *shared);
}

/* damage_place - somewhere in the file, structures more often than they deserve; lock words seldom: each may cost a second */
static off_t
damage_place(const struct shmtab_geo *g)
{
	const uint32_t n = tab_rnd(g->parts), what = tab_rnd(1000);
	const uint64_t head = SHMTAB_FILE_HEAD + n * SHMTAB_PART_HEAD, body = SHMTAB_FILE_HEAD + g->bodies + n * g->part_bytes;

	if (what < 2)
		return (off_t) head;
	if (what < 200)
		return (off_t) (head + 4 + tab_rnd(200));
	if (what < 400)
		return (off_t) (body + tab_rnd(g->slots * 8));
	if (what < 420)
		return tab_rnd(SHMTAB_FILE_HEAD);
	return (off_t) (body + g->ring_off + tab_rnd(g->ring_bytes));
}

static void
shmtab_damage(void **state)
{
	struct shmtab *t = tab_open(TAB_MB);
	struct siphash_key none = { 0, 0 };
	struct shmtab_geo g;
	uint64_t damaged = 0;
	pid_t	pids[3];
	bool	bad;

	(void) state;
	for (uint32_t n = 0; n < DAMAGE_KEYS; n++)
		assert_int_equal(tab_change(t, n, 1, SHMTAB_PUT, 0, &bad), 0);
	shmtab_geo_init(&g, TAB_MB, SHMTAB_FILE_HEAD, false, &none);
	endure_start(pids);
	endure_wait(pids, 1000);
	for (unsigned i = 0; i < DAMAGE_TRIES; i++) {
		int	fd = openat(test_dirfd, "tab", O_RDWR | O_CLOEXEC);
		unsigned char noise[16];
		size_t	len = tab_rnd(3) == 0 ? 1 + tab_rnd(sizeof noise) : 1;

		for (size_t k = 0; k < len; k++)
			noise[k] = (unsigned char) tab_rnd(256);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, noise, len, damage_place(&g)), len);
		close(fd);
		if (i % 16 == 0)
			endure_wait(pids, 3);
		damaged = tab_stat(t).damaged > damaged ? tab_stat(t).damaged : damaged;
	}
	endure_stop(pids);
	assert_true(damaged > 50);
	shmtab_close(&t);
	t = tab_open(TAB_MB);
	for (uint32_t n = 0; n < DAMAGE_KEYS; n++) {	/* and it is a table again */
		if (tab_change(t, n, 9, SHMTAB_PUT, 0, &bad) < 0 || bad || tab_version(t, n) != 9)
			fail_msg("key %u: version %lld", n, (long long) tab_version(t, n));
	}
	shmtab_close(&t);
}

static void
shmtab_cut_short(void **state)
{
	struct shmtab *t = tab_open(TAB_MB);
	pid_t	pids[3];

	(void) state;
	shmtab_close(&t);
	endure_start(pids);
	for (unsigned i = 0; i < CUT_TRIES; i++) {
		int	fd = openat(test_dirfd, "tab", O_RDWR | O_CLOEXEC);

		endure_wait(pids, 200);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, tab_rnd(2) == 0 ? 0 : (off_t) tab_rnd(TAB_MB)), 0);
		close(fd);
	}
	endure_wait(pids, 200);
	endure_stop(pids);
	t = tab_open(TAB_MB);
	assert_int_equal(tab_stat(t).bytes, TAB_MB);
	shmtab_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, tab_setup, tab_teardown)
		T(shmtab_damage),
		T(shmtab_cut_short),
#undef T
	};

	return cmocka_run_group_tests_name("shmtab_damage", tests, NULL, NULL);
}
