/* tests/util/shmtab_crash_test.c - processes that die or stop with a lock, or before any write */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/lib/tab_rig.h>
#include <tests/lib/test_dir.h>

/* one process and one lock */

static void
shmtab_owner_killed(void **state)
{
	struct shmtab *t = tab_open(TAB_MB);
	int	status;
	bool	bad;

	(void) state;
	for (uint32_t i = 1; i <= 20; i++) {
		pid_t	pid = tab_fork();
		int64_t start;

		if (pid == 0) {
			struct shmtab *mine = tab_open(TAB_MB);

			tab_change(mine, 1, i, SHMTAB_PUT, SIGKILL, &bad);
			_exit(1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		start = tab_now_us();
		assert_int_equal(tab_version(t, 1), i - 1);
		assert_int_equal(tab_change(t, 1, i, SHMTAB_PUT, 0, &bad), 0);
		if (tab_now_us() - start > 500000)
			fail_msg("waited %lld us for the dead", (long long) (tab_now_us() - start));
		assert_int_equal(tab_version(t, 1), i);
	}
	assert_int_equal(tab_stat(t).recovered, 20);
	assert_int_equal(tab_stat(t).stolen, 0);
	assert_int_equal(tab_stat(t).damaged, 0);
	shmtab_close(&t);
}

/* the next process may get the dead one's seat: that does not make him alive */
static void
shmtab_owner_killed_and_seat_taken(void **state)
{
	struct shmtab *t = tab_open(TAB_MB), *other;
	uint32_t seat;
	int	status, fd;
	bool	bad;
	pid_t	pid;

	(void) state;
	assert_int_equal(tab_change(t, 1, 1, SHMTAB_PUT, 0, &bad), 0);
	pid = tab_fork();
	if (pid == 0) {
		struct shmtab *mine = tab_open(TAB_MB);

		tab_change(mine, 1, 2, SHMTAB_PUT, SIGKILL, &bad);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	seat = (shmtab_self(t) & 0x7ff) - 1 + 1;		/* his was the one after ours */
	fd = openat(test_dirfd, "tab", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &seat, 4, 1024 + 8 * SHMTAB_WORDS), 4);	/* shmtab_seats.next */
	close(fd);
	other = tab_open(TAB_MB);
	assert_int_equal((shmtab_self(other) & 0x7ff) - 1, seat);
	assert_int_equal(tab_stat(other).recovered, 1);
	assert_int_equal(tab_version(t, 1), 1);
	assert_int_equal(tab_change(t, 1, 2, SHMTAB_PUT, 0, &bad), 0);
	assert_int_equal(tab_version(other, 1), 2);
	assert_int_equal(tab_stat(other).stolen, 0);
	shmtab_close(&other);
	shmtab_close(&t);
}

static void
shmtab_owner_stopped(void **state)
{
	struct shmtab *t = tab_open(TAB_MB);
	int64_t start, us;
	int	status;
	bool	bad;
	pid_t	pid;

	(void) state;
	for (uint32_t n = 0; n < 200; n++)
		assert_int_equal(tab_change(t, n, 1, SHMTAB_PUT, 0, &bad), 0);
	pid = tab_fork();
	if (pid == 0) {
		struct shmtab *mine = tab_open(TAB_MB);
		int	rc = tab_change(mine, 7, 2, SHMTAB_PUT, SIGSTOP, &bad);

		_exit(rc == -1 && errno == EBUSY && tab_version(mine, 7) == 3 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	start = tab_now_us();
	assert_int_equal(tab_version(t, 7), 1);
	us = tab_now_us() - start;
	if (us < SHMTAB_LOCK_MS * 900 || us > SHMTAB_LOCK_MS * 1900)
		fail_msg("waited %lld us for a stopped process", (long long) us);
	assert_int_equal(tab_change(t, 7, 3, SHMTAB_PUT, 0, &bad), 0);
	assert_int_equal(tab_stat(t).stolen, 1);
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (uint32_t n = 0; n < 200; n++)
		assert_int_equal(tab_version(t, n), n == 7 ? 3 : 1);
	assert_int_equal(tab_stat(t).stolen, 1);
	assert_int_equal(tab_stat(t).recovered, 0);
	assert_int_equal(tab_stat(t).damaged, 0);
	shmtab_close(&t);
}

/* killed before each single write to the table, one after the other: only writes can make a difference
 * The child's mapping is read-only; each write faults, is counted, and is let through by a single step. */

#if defined(__x86_64__)
#define STEP_FLAG	0x100		/* of the processor: a trap after one instruction */
#define STEP_FULL	160		/* writes to try when the part is full: what is in the way is moved or goes */

enum step_op { STEP_INSERT, STEP_UPDATE, STEP_DELETE, STEP_MARK, STEP_CLEAN, STEP_INSERT_FULL, STEP_UPDATE_FULL, STEP_OPS };

struct step {
	unsigned writes, kill_at;
};

static char *step_base;
static struct step *step;		/* shared with the parent */

static void
step_write(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	if ((uintptr_t) si->si_addr - (uintptr_t) step_base >= TAB_MB) {
		signal(sig, SIG_DFL);
		return;
	}
	if (step->writes++ == step->kill_at)
		raise(SIGKILL);
	mprotect(step_base, TAB_MB, PROT_READ | PROT_WRITE);
	uc->uc_mcontext.gregs[REG_EFL] |= STEP_FLAG;
}

static void
step_written(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void) sig;
	(void) si;
	mprotect(step_base, TAB_MB, PROT_READ);
	uc->uc_mcontext.gregs[REG_EFL] &= ~STEP_FLAG;
}

static bool
step_keep_fn(void *ctx, const void *key, size_t len, const struct shmtab_val *v)
{
	uint32_t n;

	(void) v;
	return !tab_key_parse(key, len, &n) || n != *(uint32_t *) ctx;
}

/* step_do - one operation; how it ends, and how many writes it took, is told by status_r and *step */
static void
step_do(enum step_op op, uint32_t n, uint32_t version, unsigned kill_at, int *status_r)
{
	pid_t	pid;

	*step = (struct step) { 0, kill_at };
	if ((pid = tab_fork()) == 0) {
		struct shmtab *t = tab_open(TAB_MB);
		struct sigaction on_write = { .sa_sigaction = step_write, .sa_flags = SA_SIGINFO };
		struct sigaction on_step = { .sa_sigaction = step_written, .sa_flags = SA_SIGINFO };
		uint64_t retained = 0, dropped = 0;
		char	key[32];
		size_t	len = tab_key(key, n);
		bool	bad;

		step_base = (char *) ((uintptr_t) shmtab_words(t) & ~(uintptr_t) 4095);
		sigaction(SIGSEGV, &on_write, NULL);
		sigaction(SIGTRAP, &on_step, NULL);
		mprotect(step_base, TAB_MB, PROT_READ);
		if (op == STEP_MARK)
			shmtab_mark(t, key, len, 2, version);
		else if (op == STEP_CLEAN)
			for (unsigned i = 0; i < shmtab_parts(t); i++)
				shmtab_clean(t, i, step_keep_fn, &n, &retained, &dropped);
		else
			tab_change(t, n, version, op == STEP_DELETE ? SHMTAB_DELETE : SHMTAB_PUT, 0, &bad);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, status_r, 0), pid);
}

/* step_mark_of - the mark of an entry of version 2, whose mark may have been changed to 4 */
static int64_t
step_mark_of(struct shmtab *t, uint32_t n)
{
	union { struct tab_value s; char bytes[SHMTAB_VAL_MAX]; } data;
	struct shmtab_val v;
	char	key[32];

	if (shmtab_get(t, key, tab_key(key, n), &data, sizeof data, &v) != 1 || !tab_valid(&data, v.len, n))
		return -2;
	return v.mark;
}

static void
shmtab_killed_before_any_write(void **state)
{
	static const struct { const char *name; bool full, exists; int64_t after; } ops[STEP_OPS] = {
		[STEP_INSERT] =	     { "insert",	    false, false, 4 },
		[STEP_UPDATE] =	     { "update",	    false, true,  4 },
		[STEP_DELETE] =	     { "delete",	    false, true,  0 },
		[STEP_MARK] =	     { "mark",		    false, true,  4 },
		[STEP_CLEAN] =	     { "clean",		    false, true,  0 },
		[STEP_INSERT_FULL] = { "insert when full",  true,  false, 64 },	/* a long value */
		[STEP_UPDATE_FULL] = { "update when full",  true,  true,  64 },
	};

	(void) state;
	step = mmap(NULL, sizeof *step, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(step != MAP_FAILED);
	for (enum step_op op = 0; op < STEP_OPS; op++) {
		struct shmtab *t = tab_open(TAB_MB);
		uint32_t others = ops[op].full ? 7000 : 50, key = 1000000;
		unsigned at, moves = 0;
		int	status = -1;
		bool	bad;

		for (uint32_t i = 0; i < others; i++)		/* every 4th is pinned */
			assert_int_equal(tab_change(t, i, 1, SHMTAB_PUT, 0, &bad), 0);
		assert_int_equal(tab_stat(t).evicted > 0, ops[op].full);
		for (at = 0; ops[op].full ? at < STEP_FULL : status != 0; at++) {
			int64_t before, got;

			if (ops[op].exists) {
				assert_int_equal(tab_change(t, key, 2, SHMTAB_PUT, 0, &bad), 0);
				before = 2;
			} else {
				key++;
				before = 0;
			}
			step_do(op, key, ops[op].full ? 64 : 4, at, &status);
			moves += step->writes > 40;
			got = op == STEP_MARK ? step_mark_of(t, key) : tab_version(t, key);
			if (got != ops[op].after && (got != before || status == 0))
				fail_msg("%s, killed at write %u: got %lld, want %lld or %lld", ops[op].name, at,
				    (long long) got, (long long) before, (long long) ops[op].after);
			for (uint32_t i = 0; i < others; i++) {
				int64_t other = tab_version(t, i);

				if (other != 1 && !(ops[op].full && i % 4 != 0 && other == 0))
					fail_msg("%s, killed at write %u: key %u is %lld", ops[op].name, at, i,
					    (long long) other);
			}
			if (tab_stat(t).damaged != 0)
				fail_msg("%s, killed at write %u: damage", ops[op].name, at);
		}
		if (at < 4 || (op != STEP_MARK && !ops[op].full && tab_stat(t).recovered < at / 2))
			fail_msg("%s: died with the lock %u times only, of %u", ops[op].name,
			    (unsigned) tab_stat(t).recovered, at);
		assert_int_equal(moves > 0, ops[op].full);
		assert_int_equal(tab_stat(t).stolen, 0);
		shmtab_close(&t);
		unlinkat(test_dirfd, "tab", 0);
	}
	munmap(step, sizeof *step);
}
#endif

/* a lock is a lock: additions by several processes are not lost */
static enum shmtab_act
add_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	uint64_t *sum = ctx;

	*sum = 0;
	if (old != NULL)
		memcpy(sum, old->data, sizeof *sum);
	++*sum;
	new->data = sum;
	new->len = sizeof *sum;
	return SHMTAB_PUT;
}

static void
shmtab_excludes(void **state)
{
	const unsigned each = 20000;
	struct shmtab *t = tab_open(TAB_MB);
	struct shmtab_val v;
	uint64_t sum = 0;
	pid_t	pids[TAB_WORKERS];
	int	status;

	(void) state;
	for (unsigned w = 0; w < TAB_WORKERS; w++)
		if ((pids[w] = tab_fork()) == 0) {
			struct shmtab *mine = tab_open(TAB_MB);

			for (unsigned i = 0; i < each; i++)
				if (shmtab_modify(mine, i % 2 ? "a" : "b", 1, TAB_NOW, add_fn, &sum) < 0)
					_exit(1);
			_exit(0);
		}
	for (unsigned w = 0; w < TAB_WORKERS; w++) {
		assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(shmtab_get(t, "a", 1, &sum, sizeof sum, &v), 1);
	assert_int_equal(sum, TAB_WORKERS * each / 2);
	assert_int_equal(shmtab_get(t, "b", 1, &sum, sizeof sum, &v), 1);
	assert_int_equal(sum, TAB_WORKERS * each / 2);
	assert_int_equal(tab_stat(t).damaged, 0);
	assert_int_equal(tab_stat(t).recovered + tab_stat(t).stolen, 0);
	shmtab_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, tab_setup, tab_teardown)
		T(shmtab_owner_killed),
		T(shmtab_owner_killed_and_seat_taken),
		T(shmtab_owner_stopped),
#if defined(__x86_64__)
		T(shmtab_killed_before_any_write),
#endif
		T(shmtab_excludes),
#undef T
	};

	return cmocka_run_group_tests_name("shmtab_crash", tests, NULL, NULL);
}
