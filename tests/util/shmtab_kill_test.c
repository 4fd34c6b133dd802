/* tests/util/shmtab_kill_test.c - random workers are killed, again and again, and what they were told is held against the table */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>
#include <cmocka.h>

#include <tests/lib/tab_rig.h>
#include <util/mem.h>

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

/* child_work - change keys of one's own, tell of each; look at those of others; until killed */
static void
child_work(unsigned w, uint32_t version, int fd, uint64_t bytes)
{
	static int64_t seen[TAB_WORKERS * KILL_KEYS];
	struct shmtab *t = tab_open(bytes);
	uint64_t retained, dropped;

	tab_random ^= (uint64_t) version * 0x9e3779b97f4a7c15u + w;
	for (;; version++) {
		uint32_t n = w * KILL_KEYS + tab_rnd(KILL_KEYS), other = tab_rnd(TAB_WORKERS * KILL_KEYS);
		bool	 bad = false, good = true, del = tab_rnd(8) == 0;
		struct ack ack = { n, del ? 0 : version, 0 };
		int64_t	start, got;
		char	key[32];

		if (write(fd, &ack, sizeof ack) != (ssize_t) sizeof ack)
			_exit(0);
		start = tab_now_us();
		if (tab_change(t, n, version, del ? SHMTAB_DELETE : SHMTAB_PUT, 0, &bad) < 0)
			_exit(CHILD_FAILED);
		if (tab_now_us() - start > WAIT_MAX_US)
			_exit(CHILD_WAITED);
		ack.done = 1;
		if (write(fd, &ack, sizeof ack) != (ssize_t) sizeof ack)
			_exit(0);
		start = tab_now_us();
		if ((got = tab_version(t, other)) == -1)
			_exit(CHILD_FAILED);
		if (bad || got < 0)
			_exit(CHILD_BAD_VALUE);
		if (got != 0 && got < seen[other])
			_exit(CHILD_WENT_BACK);
		if (got > seen[other])
			seen[other] = got;
		if (tab_rnd(50) == 0) {
			if (shmtab_clean(t, tab_rnd(shmtab_parts(t)), tab_keep_fn, &good, &retained, &dropped) < 0)
				_exit(CHILD_FAILED);
			if (!good)
				_exit(CHILD_CLEAN_FAILED);
		}
		if (tab_rnd(10) == 0)
			shmtab_mark(t, key, tab_key(key, n), version, version);
		if (tab_now_us() - start > WAIT_MAX_US)
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
	if ((w->pid = tab_fork()) == 0) {
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
	const uint64_t bytes = 2 * TAB_MB;
	static struct known known[TAB_WORKERS * KILL_KEYS];
	struct shmtab *t = tab_open(bytes);
	struct worker workers[TAB_WORKERS] = { 0 };
	struct pollfd pfds[TAB_WORKERS];
	unsigned entries = 0, unsure = 0;
	struct shmtab_stat st;

	(void) state;
	memset(known, 0, sizeof known);
	for (unsigned w = 0; w < TAB_WORKERS; w++)
		worker_start(&workers[w], w, bytes);
	for (unsigned round = 0; round < KILL_ROUNDS; round++) {
		int64_t until = tab_now_us() + 200 + tab_rnd(5000);
		struct worker *v = &workers[tab_rnd(TAB_WORKERS)];
		int	status;

		while (tab_now_us() < until) {
			for (unsigned w = 0; w < TAB_WORKERS; w++)
				pfds[w] = (struct pollfd) { .fd = workers[w].fd, .events = POLLIN };
			if (poll(pfds, TAB_WORKERS, 1) > 0)
				for (unsigned w = 0; w < TAB_WORKERS; w++)
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
	for (unsigned w = 0; w < TAB_WORKERS; w++) {
		kill(workers[w].pid, SIGKILL);
		waitpid(workers[w].pid, NULL, 0);
		while (worker_read(&workers[w], known))
			;
		close(workers[w].fd);
	}
	for (uint32_t n = 0; n < NELEM(known); n++) {
		int64_t got = tab_version(t, n);

		if (!known_has(&known[n], got))
			fail_msg("key %u: got version %lld, want %u (%u tried)", n, (long long) got, known[n].version,
			    known[n].n);
		entries += got > 0;
		unsure += known[n].n > 0;
	}
	st = tab_stat(t);
	assert_true(unsure < NELEM(known));
	assert_int_equal(st.entries, entries);
	assert_int_equal(st.evicted, 0);
	assert_int_equal(st.damaged, 0);
	assert_int_equal(st.stolen, 0);
	assert_true(st.recovered > 0);
	shmtab_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, tab_setup, tab_teardown)
		T(shmtab_kill),
#undef T
	};

	return cmocka_run_group_tests_name("shmtab_kill", tests, NULL, NULL);
}
