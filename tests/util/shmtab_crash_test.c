/* tests/util/shmtab_crash_test.c - processes that die or stop in the middle, and files that are damaged while in use */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/shmtab.h>
#include <util/shmtab_file.h>
#include <util/siphash.h>

#define NOW	1000000
#define MB	((uint64_t) 1 << 20)
#define WORKERS	4

static char test_dir[PATH_MAX];
static int test_dirfd = -1;
static uint64_t test_random;

static uint32_t
rnd(uint32_t below)
{
	test_random ^= test_random << 13;
	test_random ^= test_random >> 7;
	test_random ^= test_random << 17;
	return (uint32_t) (test_random >> 32) % below;
}

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int
dir_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void) state;
	test_random = 88172645463325252;
	snprintf(test_dir, sizeof test_dir, "%s/shmtab.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(test_dir) == NULL)
		return -1;
	return (test_dirfd = open(test_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ? -1 : 0;
}

static int
dir_teardown(void **state)
{
	(void) state;
	unlinkat(test_dirfd, "tab", 0);
	unlinkat(test_dirfd, "tab.new", 0);
	close(test_dirfd);
	return rmdir(test_dir);
}

enum {					/* how children end that have something to say */
	CHILD_BAD_VALUE = 10, CHILD_FAILED, CHILD_WAITED, CHILD_WENT_BACK, CHILD_CLEAN_FAILED, CHILD_OPEN, CHILD_CHECK,
	CHILD_WALK,
};

static bool in_child;

static pid_t
child_fork(void)
{
	pid_t	pid = fork();

	in_child = in_child || pid == 0;
	return pid;
}

static struct shmtab *
table_open(uint64_t bytes)
{
	struct shmtab *t;
	const char *why = "unset";

	if (shmtab_open(&t, test_dirfd, "tab", bytes, &why) == 0)
		return t;
	if (in_child)
		_exit(CHILD_OPEN);
	fail_msg("shmtab_open: %s: %s", why, strerror(errno));
	return NULL;
}

static struct shmtab_stat
stat_of(struct shmtab *t)
{
	struct shmtab_stat st;

	shmtab_stat(t, &st);
	return st;
}

/* values that show whether they were ever stored: key, version, filler, and a checksum of their own */

struct stored {
	uint32_t key, version;
	uint64_t sum;
	unsigned char filler[];
};

static const struct siphash_key stored_key = { 3, 4 };

static uint64_t
stored_sum(const struct stored *s, size_t len)
{
	struct stored head = { s->key, s->version, 0 };

	return siphash(&stored_key, &head, sizeof head) ^ siphash(&stored_key, s->filler, len - sizeof *s);
}

static size_t
stored_make(struct stored *s, uint32_t key, uint32_t version)
{
	size_t	len = sizeof *s + (key * 7 + version * 13) % 200 + (version % 64 == 0 ? 3000 : 0);

	s->key = key;
	s->version = version;
	memset(s->filler, (int) (key + version), len - sizeof *s);
	s->sum = stored_sum(s, len);
	return len;
}

static bool
stored_valid(const void *data, size_t len, uint32_t key)
{
	struct stored *s;
	union { struct stored s; char bytes[SHMTAB_VAL_MAX]; } copy;

	if (len < sizeof *s || len > sizeof copy)
		return false;
	memcpy(copy.bytes, data, len);
	s = &copy.s;
	return s->key == key && s->sum == stored_sum(s, len);
}

static size_t
key_make(char key[32], uint32_t n)
{
	return (size_t) snprintf(key, 32, "key-%u@%u", n, n % 10);
}

static bool
key_parse(const void *key, size_t len, uint32_t *n_r)
{
	char	text[32], again[32];

	if (len >= sizeof text)
		return false;
	memcpy(text, key, len);
	text[len] = 0;
	return sscanf(text, "key-%u@", n_r) == 1 && key_make(again, *n_r) == len && memcmp(again, text, len) == 0;
}

struct change {
	enum shmtab_act act;
	uint32_t key, version;
	bool	bad;			/* something was there that nobody stored */
	int	signal;			/* to oneself, inside the lock */
	union { struct stored s; char bytes[SHMTAB_VAL_MAX]; } val;
};

static enum shmtab_act
change_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct change *c = ctx;

	if (old != NULL && !stored_valid(old->data, old->len, c->key))
		c->bad = true;
	if (c->signal != 0)
		raise(c->signal);
	new->len = stored_make(&c->val.s, c->key, c->version);
	new->data = &c->val;
	new->expire_s = c->version % 3 == 0 ? NOW + 1 : 0;
	new->mark = c->version;
	new->pinned = c->key % 4 == 0;
	return c->act;
}

static int
change(struct shmtab *t, uint32_t n, uint32_t version, enum shmtab_act act, int sig, bool *bad_r)
{
	static struct change c;
	char	key[32];
	int	rc;

	c.act = act;
	c.key = n;
	c.version = version;
	c.signal = sig;
	c.bad = false;
	rc = shmtab_modify(t, key, key_make(key, n), NOW, change_fn, &c);
	*bad_r = c.bad;
	return rc;
}

/* version_of - of what is stored for key n: 0 none; -1 the lock was not had; -2 it was never stored */
static int64_t
version_of(struct shmtab *t, uint32_t n)
{
	static union { struct stored s; char bytes[SHMTAB_VAL_MAX]; } data;
	struct shmtab_val v;
	char	key[32];
	int	rc = shmtab_get(t, key, key_make(key, n), &data, sizeof data, &v);

	if (rc <= 0)
		return rc;
	return stored_valid(&data, v.len, n) ? (int64_t) data.s.version : -2;
}

/* one process and one lock */

static void
shmtab_owner_killed(void **state)
{
	struct shmtab *t = table_open(MB);
	int	status;
	bool	bad;

	(void) state;
	for (uint32_t i = 1; i <= 20; i++) {
		pid_t	pid = child_fork();
		int64_t start;

		if (pid == 0) {
			struct shmtab *mine = table_open(MB);

			change(mine, 1, i, SHMTAB_PUT, SIGKILL, &bad);
			_exit(1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		start = now_us();
		assert_int_equal(version_of(t, 1), i - 1);
		assert_int_equal(change(t, 1, i, SHMTAB_PUT, 0, &bad), 0);
		if (now_us() - start > 500000)
			fail_msg("waited %lld us for the dead", (long long) (now_us() - start));
		assert_int_equal(version_of(t, 1), i);
	}
	assert_int_equal(stat_of(t).recovered, 20);
	assert_int_equal(stat_of(t).stolen, 0);
	assert_int_equal(stat_of(t).damaged, 0);
	shmtab_close(&t);
}

/* the next process may get the dead one's seat: that does not make him alive */
static void
shmtab_owner_killed_and_seat_taken(void **state)
{
	struct shmtab *t = table_open(MB), *other;
	uint32_t seat;
	int	status, fd;
	bool	bad;
	pid_t	pid;

	(void) state;
	assert_int_equal(change(t, 1, 1, SHMTAB_PUT, 0, &bad), 0);
	pid = child_fork();
	if (pid == 0) {
		struct shmtab *mine = table_open(MB);

		change(mine, 1, 2, SHMTAB_PUT, SIGKILL, &bad);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	seat = (shmtab_self(t) & 0x7ff) - 1 + 1;		/* his was the one after ours */
	fd = openat(test_dirfd, "tab", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &seat, 4, 1024 + 8 * SHMTAB_WORDS), 4);	/* shmtab_seats.next */
	close(fd);
	other = table_open(MB);
	assert_int_equal((shmtab_self(other) & 0x7ff) - 1, seat);
	assert_int_equal(stat_of(other).recovered, 1);
	assert_int_equal(version_of(t, 1), 1);
	assert_int_equal(change(t, 1, 2, SHMTAB_PUT, 0, &bad), 0);
	assert_int_equal(version_of(other, 1), 2);
	assert_int_equal(stat_of(other).stolen, 0);
	shmtab_close(&other);
	shmtab_close(&t);
}

static void
shmtab_owner_stopped(void **state)
{
	struct shmtab *t = table_open(MB);
	int64_t start, us;
	int	status;
	bool	bad;
	pid_t	pid;

	(void) state;
	for (uint32_t n = 0; n < 200; n++)
		assert_int_equal(change(t, n, 1, SHMTAB_PUT, 0, &bad), 0);
	pid = child_fork();
	if (pid == 0) {
		struct shmtab *mine = table_open(MB);
		int	rc = change(mine, 7, 2, SHMTAB_PUT, SIGSTOP, &bad);

		_exit(rc == -1 && errno == EBUSY && version_of(mine, 7) == 3 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	start = now_us();
	assert_int_equal(version_of(t, 7), 1);
	us = now_us() - start;
	if (us < SHMTAB_LOCK_MS * 900 || us > SHMTAB_LOCK_MS * 1900)
		fail_msg("waited %lld us for a stopped process", (long long) us);
	assert_int_equal(change(t, 7, 3, SHMTAB_PUT, 0, &bad), 0);
	assert_int_equal(stat_of(t).stolen, 1);
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (uint32_t n = 0; n < 200; n++)
		assert_int_equal(version_of(t, n), n == 7 ? 3 : 1);
	assert_int_equal(stat_of(t).stolen, 1);
	assert_int_equal(stat_of(t).recovered, 0);
	assert_int_equal(stat_of(t).damaged, 0);
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

	if ((uintptr_t) si->si_addr - (uintptr_t) step_base >= MB) {
		signal(sig, SIG_DFL);
		return;
	}
	if (step->writes++ == step->kill_at)
		raise(SIGKILL);
	mprotect(step_base, MB, PROT_READ | PROT_WRITE);
	uc->uc_mcontext.gregs[REG_EFL] |= STEP_FLAG;
}

static void
step_written(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void) sig;
	(void) si;
	mprotect(step_base, MB, PROT_READ);
	uc->uc_mcontext.gregs[REG_EFL] &= ~STEP_FLAG;
}

static bool
step_keep_fn(void *ctx, const void *key, size_t len, const struct shmtab_val *v)
{
	uint32_t n;

	(void) v;
	return !key_parse(key, len, &n) || n != *(uint32_t *) ctx;
}

/* step_do - one operation; how it ends, and how many writes it took, is told by status_r and *step */
static void
step_do(enum step_op op, uint32_t n, uint32_t version, unsigned kill_at, int *status_r)
{
	pid_t	pid;

	*step = (struct step) { 0, kill_at };
	if ((pid = child_fork()) == 0) {
		struct shmtab *t = table_open(MB);
		struct sigaction on_write = { .sa_sigaction = step_write, .sa_flags = SA_SIGINFO };
		struct sigaction on_step = { .sa_sigaction = step_written, .sa_flags = SA_SIGINFO };
		uint64_t retained = 0, dropped = 0;
		char	key[32];
		size_t	len = key_make(key, n);
		bool	bad;

		step_base = (char *) ((uintptr_t) shmtab_words(t) & ~(uintptr_t) 4095);
		sigaction(SIGSEGV, &on_write, NULL);
		sigaction(SIGTRAP, &on_step, NULL);
		mprotect(step_base, MB, PROT_READ);
		if (op == STEP_MARK)
			shmtab_mark(t, key, len, 2, version);
		else if (op == STEP_CLEAN)
			for (unsigned i = 0; i < shmtab_parts(t); i++)
				shmtab_clean(t, i, step_keep_fn, &n, &retained, &dropped);
		else
			change(t, n, version, op == STEP_DELETE ? SHMTAB_DELETE : SHMTAB_PUT, 0, &bad);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, status_r, 0), pid);
}

/* step_mark_of - the mark of an entry of version 2, whose mark may have been changed to 4 */
static int64_t
step_mark_of(struct shmtab *t, uint32_t n)
{
	union { struct stored s; char bytes[SHMTAB_VAL_MAX]; } data;
	struct shmtab_val v;
	char	key[32];

	if (shmtab_get(t, key, key_make(key, n), &data, sizeof data, &v) != 1 || !stored_valid(&data, v.len, n))
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
		struct shmtab *t = table_open(MB);
		uint32_t others = ops[op].full ? 7000 : 50, key = 1000000;
		unsigned at, moves = 0;
		int	status = -1;
		bool	bad;

		for (uint32_t i = 0; i < others; i++)		/* every 4th is pinned */
			assert_int_equal(change(t, i, 1, SHMTAB_PUT, 0, &bad), 0);
		assert_int_equal(stat_of(t).evicted > 0, ops[op].full);
		for (at = 0; ops[op].full ? at < STEP_FULL : status != 0; at++) {
			int64_t before, got;

			if (ops[op].exists) {
				assert_int_equal(change(t, key, 2, SHMTAB_PUT, 0, &bad), 0);
				before = 2;
			} else {
				key++;
				before = 0;
			}
			step_do(op, key, ops[op].full ? 64 : 4, at, &status);
			moves += step->writes > 40;
			got = op == STEP_MARK ? step_mark_of(t, key) : version_of(t, key);
			if (got != ops[op].after && (got != before || status == 0))
				fail_msg("%s, killed at write %u: got %lld, want %lld or %lld", ops[op].name, at,
				    (long long) got, (long long) before, (long long) ops[op].after);
			for (uint32_t i = 0; i < others; i++) {
				int64_t other = version_of(t, i);

				if (other != 1 && !(ops[op].full && i % 4 != 0 && other == 0))
					fail_msg("%s, killed at write %u: key %u is %lld", ops[op].name, at, i,
					    (long long) other);
			}
			if (stat_of(t).damaged != 0)
				fail_msg("%s, killed at write %u: damage", ops[op].name, at);
		}
		if (at < 4 || (op != STEP_MARK && !ops[op].full && stat_of(t).recovered < at / 2))
			fail_msg("%s: died with the lock %u times only, of %u", ops[op].name,
			    (unsigned) stat_of(t).recovered, at);
		assert_int_equal(moves > 0, ops[op].full);
		assert_int_equal(stat_of(t).stolen, 0);
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
	struct shmtab *t = table_open(MB);
	struct shmtab_val v;
	uint64_t sum = 0;
	pid_t	pids[WORKERS];
	int	status;

	(void) state;
	for (unsigned w = 0; w < WORKERS; w++)
		if ((pids[w] = child_fork()) == 0) {
			struct shmtab *mine = table_open(MB);

			for (unsigned i = 0; i < each; i++)
				if (shmtab_modify(mine, i % 2 ? "a" : "b", 1, NOW, add_fn, &sum) < 0)
					_exit(1);
			_exit(0);
		}
	for (unsigned w = 0; w < WORKERS; w++) {
		assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(shmtab_get(t, "a", 1, &sum, sizeof sum, &v), 1);
	assert_int_equal(sum, WORKERS * each / 2);
	assert_int_equal(shmtab_get(t, "b", 1, &sum, sizeof sum, &v), 1);
	assert_int_equal(sum, WORKERS * each / 2);
	assert_int_equal(stat_of(t).damaged, 0);
	assert_int_equal(stat_of(t).recovered + stat_of(t).stolen, 0);
	shmtab_close(&t);
}

/* kill -9 of random workers: nothing acknowledged is lost, nothing is invented, nobody waits long */

#define KILL_KEYS	150		/* of each worker */
#define KILL_ROUNDS	400
#define WAIT_MAX_US	1000000

/* what a worker tells: before a change that it will be tried, and afterwards that it was acknowledged */
struct ack {
	uint32_t key, version;		/* version 0: deleted */
	uint32_t done;
};

/* what may be stored for a key: what was acknowledged, or what was tried since by a worker that died over it */
struct known {
	uint32_t version, tried[8], n;
};

static bool
child_keep_fn(void *ctx, const void *key, size_t len, const struct shmtab_val *v)
{
	uint32_t n;

	if (!key_parse(key, len, &n) || !stored_valid(v->data, v->len, n))
		*(bool *) ctx = false;
	return true;
}

/* child_work - change keys of one's own, tell of each; look at those of others; until killed */
static void
child_work(unsigned w, uint32_t version, int fd, uint64_t bytes)
{
	static int64_t seen[WORKERS * KILL_KEYS];
	struct shmtab *t = table_open(bytes);
	uint64_t retained, dropped;

	test_random ^= (uint64_t) version * 0x9e3779b97f4a7c15u + w;
	for (;; version++) {
		uint32_t n = w * KILL_KEYS + rnd(KILL_KEYS), other = rnd(WORKERS * KILL_KEYS);
		bool	 bad = false, good = true, del = rnd(8) == 0;
		struct ack ack = { n, del ? 0 : version, 0 };
		int64_t	start, got;
		char	key[32];

		if (write(fd, &ack, sizeof ack) != (ssize_t) sizeof ack)
			_exit(0);
		start = now_us();
		if (change(t, n, version, del ? SHMTAB_DELETE : SHMTAB_PUT, 0, &bad) < 0)
			_exit(CHILD_FAILED);
		if (now_us() - start > WAIT_MAX_US)
			_exit(CHILD_WAITED);
		ack.done = 1;
		if (write(fd, &ack, sizeof ack) != (ssize_t) sizeof ack)
			_exit(0);
		start = now_us();
		if ((got = version_of(t, other)) == -1)
			_exit(CHILD_FAILED);
		if (bad || got < 0)
			_exit(CHILD_BAD_VALUE);
		if (got != 0 && got < seen[other])
			_exit(CHILD_WENT_BACK);
		if (got > seen[other])
			seen[other] = got;
		if (rnd(50) == 0) {
			if (shmtab_clean(t, rnd(shmtab_parts(t)), child_keep_fn, &good, &retained, &dropped) < 0)
				_exit(CHILD_FAILED);
			if (!good)
				_exit(CHILD_CLEAN_FAILED);
		}
		if (rnd(10) == 0)
			shmtab_mark(t, key, key_make(key, n), version, version);
		if (now_us() - start > WAIT_MAX_US)
			_exit(CHILD_WAITED);
	}
}

struct worker {
	pid_t	pid;
	int	fd;
	uint32_t version;		/* the highest that it may have used */
};

static void
worker_start(struct worker *w, unsigned n, uint64_t bytes)
{
	int	fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	w->version += 2;
	if ((w->pid = child_fork()) == 0) {
		close(fds[0]);
		child_work(n, w->version, fds[1], bytes);
		_exit(0);
	}
	assert_true(w->pid > 0);
	close(fds[1]);
	w->fd = fds[0];
}

/* worker_read - take what the worker tells; false at the end */
static bool
worker_read(struct worker *w, struct known *known)
{
	struct ack acks[512];
	ssize_t n = read(w->fd, acks, sizeof acks);

	if (n <= 0)
		return false;
	assert_int_equal((size_t) n % sizeof acks[0], 0);
	for (size_t i = 0; i < (size_t) n / sizeof acks[0]; i++) {
		struct known *k = &known[acks[i].key];

		if (acks[i].done) {
			k->version = acks[i].version;
			k->n = 0;
		} else {
			assert_true(k->n < NELEM(k->tried));
			k->tried[k->n++] = acks[i].version;
			w->version++;
		}
	}
	return true;
}

static bool
known_has(const struct known *k, int64_t version)
{
	bool	has = version == k->version;

	for (uint32_t i = 0; i < k->n; i++)
		has = has || version == k->tried[i];
	return has;
}

static void
shmtab_kill(void **state)
{
	const uint64_t bytes = 2 * MB;
	static struct known known[WORKERS * KILL_KEYS];
	struct shmtab *t = table_open(bytes);
	struct worker workers[WORKERS] = { 0 };
	struct pollfd pfds[WORKERS];
	unsigned entries = 0, unsure = 0;
	struct shmtab_stat st;

	(void) state;
	memset(known, 0, sizeof known);
	for (unsigned w = 0; w < WORKERS; w++)
		worker_start(&workers[w], w, bytes);
	for (unsigned round = 0; round < KILL_ROUNDS; round++) {
		int64_t until = now_us() + 200 + rnd(5000);
		struct worker *v = &workers[rnd(WORKERS)];
		int	status;

		while (now_us() < until) {
			for (unsigned w = 0; w < WORKERS; w++)
				pfds[w] = (struct pollfd) { .fd = workers[w].fd, .events = POLLIN };
			if (poll(pfds, WORKERS, 1) > 0)
				for (unsigned w = 0; w < WORKERS; w++)
					if (pfds[w].revents != 0)
						worker_read(&workers[w], known);
		}
		kill(v->pid, SIGKILL);
		assert_int_equal(waitpid(v->pid, &status, 0), v->pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			fail_msg("round %u: a worker ended with status %#x", round, (unsigned) status);
		while (worker_read(v, known))
			;
		close(v->fd);
		worker_start(v, (unsigned) (v - workers), bytes);
	}
	for (unsigned w = 0; w < WORKERS; w++) {
		kill(workers[w].pid, SIGKILL);
		waitpid(workers[w].pid, NULL, 0);
		while (worker_read(&workers[w], known))
			;
		close(workers[w].fd);
	}
	for (uint32_t n = 0; n < NELEM(known); n++) {
		int64_t got = version_of(t, n);

		if (!known_has(&known[n], got))
			fail_msg("key %u: got version %lld, want %u (%u tried)", n, (long long) got, known[n].version,
			    known[n].n);
		entries += got > 0;
		unsure += known[n].n > 0;
	}
	st = stat_of(t);
	assert_true(unsure < NELEM(known));
	assert_int_equal(st.entries, entries);
	assert_int_equal(st.evicted, 0);
	assert_int_equal(st.damaged, 0);
	assert_int_equal(st.stolen, 0);
	assert_true(st.recovered > 0);
	shmtab_close(&t);
}

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
	struct shmtab *t = table_open(MB);
	uint64_t retained = 0, dropped = 0;
	const char *why;

	test_random ^= 0x9e3779b97f4a7c15u * (w + 1);
	for (uint32_t i = 0; !shared->stop; i++) {
		uint32_t n = rnd(DAMAGE_KEYS);
		bool	 bad = false, good = true;
		int64_t	got = version_of(t, n);

		if (got == -2)
			_exit(CHILD_BAD_VALUE);
		if (got == -1 || change(t, n, i, rnd(5) == 0 ? SHMTAB_DELETE : SHMTAB_PUT, 0, &bad) < 0)
			shared->refused++;
		if (bad)
			_exit(CHILD_BAD_VALUE);
		if (i % 50 == 0 && shmtab_check(t, &why) < 0)
			_exit(CHILD_CHECK);
		if (i % 100 == 0) {
			shmtab_clean(t, rnd(shmtab_parts(t)), child_keep_fn, &good, &retained, &dropped);
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
		struct shmtab *t = table_open(MB), *r;
		bool	good = true;

		for (unsigned i = 0; i < shmtab_parts(t); i++)
			shmtab_walk(t, i, child_keep_fn, &good);
		if (!good)
			_exit(CHILD_WALK);
		if (shmtab_open_read(&r, test_dirfd, "tab", &why) == 0) {
			version_of(r, 1);
			shmtab_close(&r);
		}
		stat_of(t);
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
		if ((pids[w] = child_fork()) == 0) {
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
	int64_t end = now_us() + 10000000;
	int	status;

	while (shared->done[0] < until[0] || shared->done[1] < until[1]) {
		for (unsigned w = 0; w < 3; w++)
			if (waitpid(pids[w], &status, WNOHANG) != 0)
				fail_msg("child %u ended with status %#x", w, (unsigned) status);
		if (now_us() > end)
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
	uint64_t part = SHMTAB_FILE_HEAD + rnd(g->parts) * g->part_bytes;
	uint32_t what = rnd(1000);

	if (what < 2)
		return (off_t) part;
	if (what < 200)
		return (off_t) (part + 4 + rnd(200));
	if (what < 400)
		return (off_t) (part + 256 + rnd(g->slots * 8));
	if (what < 420)
		return rnd(SHMTAB_FILE_HEAD);
	return (off_t) (part + g->ring_off + rnd(g->ring_bytes));
}

static void
shmtab_damage(void **state)
{
	struct shmtab *t = table_open(MB);
	struct siphash_key none = { 0, 0 };
	struct shmtab_geo g;
	uint64_t damaged = 0;
	pid_t	pids[3];
	bool	bad;

	(void) state;
	for (uint32_t n = 0; n < DAMAGE_KEYS; n++)
		assert_int_equal(change(t, n, 1, SHMTAB_PUT, 0, &bad), 0);
	shmtab_geo_init(&g, MB, SHMTAB_FILE_HEAD, &none);
	endure_start(pids);
	endure_wait(pids, 1000);
	for (unsigned i = 0; i < DAMAGE_TRIES; i++) {
		int	fd = openat(test_dirfd, "tab", O_RDWR | O_CLOEXEC);
		unsigned char noise[16];
		size_t	len = rnd(3) == 0 ? 1 + rnd(sizeof noise) : 1;

		for (size_t k = 0; k < len; k++)
			noise[k] = (unsigned char) rnd(256);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, noise, len, damage_place(&g)), len);
		close(fd);
		if (i % 16 == 0)
			endure_wait(pids, 3);
		damaged = stat_of(t).damaged > damaged ? stat_of(t).damaged : damaged;
	}
	endure_stop(pids);
	assert_true(damaged > 50);
	shmtab_close(&t);
	t = table_open(MB);
	for (uint32_t n = 0; n < DAMAGE_KEYS; n++) {	/* and it is a table again */
		if (change(t, n, 9, SHMTAB_PUT, 0, &bad) < 0 || bad || version_of(t, n) != 9)
			fail_msg("key %u: version %lld", n, (long long) version_of(t, n));
	}
	shmtab_close(&t);
}

static void
shmtab_cut_short(void **state)
{
	struct shmtab *t = table_open(MB);
	pid_t	pids[3];

	(void) state;
	shmtab_close(&t);
	endure_start(pids);
	for (unsigned i = 0; i < CUT_TRIES; i++) {
		int	fd = openat(test_dirfd, "tab", O_RDWR | O_CLOEXEC);

		endure_wait(pids, 200);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, rnd(2) == 0 ? 0 : (off_t) rnd(MB)), 0);
		close(fd);
	}
	endure_wait(pids, 200);
	endure_stop(pids);
	t = table_open(MB);
	assert_int_equal(stat_of(t).bytes, MB);
	shmtab_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, dir_setup, dir_teardown)
		T(shmtab_owner_killed),
		T(shmtab_owner_killed_and_seat_taken),
		T(shmtab_owner_stopped),
#if defined(__x86_64__)
		T(shmtab_killed_before_any_write),
#endif
		T(shmtab_excludes),
		T(shmtab_kill),
		T(shmtab_damage),
		T(shmtab_cut_short),
#undef T
	};

	return cmocka_run_group_tests_name("shmtab_crash", tests, NULL, NULL);
}
