/* tests/util/evloop_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <util/evloop.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/write_behind.h>

#define WALL_S	1700000000
#define PAIRS	4

static struct fix {
	struct ev_loop *l;
	int	fd[PAIRS][2];
	struct ev_io io[PAIRS];
	unsigned ran[PAIRS];
	unsigned events;		/* of the last call */
	int	order[100];
	size_t	order_n;
	int	log_fd;
} fix;

static int
fix_setup(void **state)
{
	(void) state;
	memset(&fix, 0, sizeof fix);
	fix.l = ev_loop_new_fake(WALL_S);
	for (int i = 0; i < PAIRS; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fix.fd[i]) < 0)
			return -1;
	return 0;
}

static int
fix_teardown(void **state)
{
	(void) state;
	ev_loop_free(&fix.l);
	for (int i = 0; i < PAIRS; i++) {
		close(fix.fd[i][0]);
		close(fix.fd[i][1]);
	}
	return 0;
}

static void
fix_note(int what)
{
	if (fix.order_n < NELEM(fix.order))
		fix.order[fix.order_n++] = what;
}

static void
fix_poke(int i)
{
	assert_int_equal(write(fix.fd[i][1], "x", 1), 1);
}

static void
fix_io(void *ctx, int fd, unsigned events)
{
	size_t	i = (size_t) ((struct ev_io *) ctx - fix.io);
	char	c;

	assert_int_equal(fd, fix.io[i].fd);
	fix.ran[i]++;
	fix.events = events;
	if ((events & EV_READ) != 0)
		(void) !read(fd, &c, 1);
}

static void
fix_watch(int i, unsigned events)
{
	ev_io_set(fix.l, &fix.io[i], fix.fd[i][0], events, fix_io, &fix.io[i]);
}

/* descriptors */

static void
test_io(void **state)
{
	(void) state;
	fix_watch(0, EV_READ);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	fix_poke(0);
	fix_poke(0);
	assert_int_equal(ev_turn(fix.l, -1), 1);
	assert_int_equal(fix.events, EV_READ);
	assert_int_equal(ev_turn(fix.l, -1), 1);	/* level: the second byte is still there */
	assert_int_equal(ev_turn(fix.l, 0), 0);
	assert_int_equal(fix.ran[0], 2);
	fix_watch(0, EV_READ | EV_WRITE);
	assert_int_equal(ev_turn(fix.l, -1), 1);
	assert_int_equal(fix.events, EV_WRITE);
	fix_poke(0);
	ev_turn(fix.l, -1);
	assert_int_equal(fix.events, EV_READ | EV_WRITE);
	fix_watch(0, EV_READ);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	ev_io_cancel(fix.l, &fix.io[0]);
	fix_poke(0);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	ev_io_cancel(fix.l, &fix.io[0]);		/* harmless */
	fix_watch(0, EV_READ);				/* what came meanwhile is seen now */
	assert_int_equal(ev_turn(fix.l, 0), 1);
}

static void
fix_io_log(void *ctx, int fd, unsigned events)
{
	struct stat st;

	fix_io(ctx, fd, events);
	msg_info("served");
	assert_int_equal(fstat(fix.log_fd, &st), 0);
	fix_note(st.st_size > 0);
}

static off_t
fix_logged(void)
{
	struct stat st;

	write_behind_wait();
	assert_int_equal(fstat(fix.log_fd, &st), 0);
	return st.st_size;
}

/* lines of a turn in which several are served go out together, when there is nothing more to do or 10 ms have passed; where it is one,
 * at once */
static void
test_io_log(void **state)
{
	char	path[] = "/tmp/vouch-test.XXXXXX";

	(void) state;
	fix.log_fd = mkstemp(path);
	assert_true(fix.log_fd >= 0);
	assert_int_equal(msg_to_file(path, "h", "t", 0600), 0);
	msg_to_stderr(NULL);
	for (int i = 0; i < 2; i++) {
		ev_io_set(fix.l, &fix.io[i], fix.fd[i][0], EV_READ, fix_io_log, &fix.io[i]);
		for (int n = 0; n < 4; n++)
			fix_poke(i);			/* one is read in each turn */
	}
	assert_int_equal(ev_turn(fix.l, 0), 2);
	assert_int_equal(fix_logged(), 0);
	assert_int_equal(ev_turn(fix.l, 0), 2);
	assert_int_equal(fix_logged(), 0);
	ev_fake_advance(fix.l, 10);
	assert_int_equal(ev_turn(fix.l, 0), 2);
	assert_true(fix_logged() > 0);			/* the first two turns' */
	assert_int_equal(ftruncate(fix.log_fd, 0), 0);
	assert_int_equal(ev_turn(fix.l, 0), 2);		/* the next 10 ms */
	assert_int_equal(fix_logged(), 0);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	assert_true(fix_logged() > 0);
	assert_int_equal(ftruncate(fix.log_fd, 0), 0);
	fix_poke(1);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	assert_int_equal(fix.order_n, 9);
	for (int i = 0; i < 4; i++)
		assert_int_equal(fix.order[i], 0);
	assert_int_equal(fix.order[8], 1);
	msg_to_stderr("vouch");
	msg_to_file(NULL, NULL, NULL, 0);
	close(fix.log_fd);
	unlink(path);
}

/* no events wanted is the same as cancelled */
static void
test_io_none(void **state)
{
	(void) state;
	fix_watch(0, EV_READ);
	fix_watch(0, 0);
	fix_poke(0);
	close(fix.fd[1][1]);				/* a hang-up is reported without being asked for */
	fix.fd[1][1] = dup(0);
	fix_watch(1, EV_READ);
	fix_watch(1, 0);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	fix_watch(0, EV_READ);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	ev_io_cancel(fix.l, &fix.io[0]);
}

static void
test_io_replaced(void **state)
{
	(void) state;
	fix_watch(0, EV_READ);
	/* the same struct for another descriptor */
	ev_io_set(fix.l, &fix.io[0], fix.fd[1][0], EV_READ, fix_io, &fix.io[0]);
	fix_poke(0);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	fix_poke(1);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	/* the first descriptor is free for another struct */
	ev_io_set(fix.l, &fix.io[1], fix.fd[0][0], EV_READ, fix_io, &fix.io[1]);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	assert_int_equal(fix.ran[1], 1);
	ev_io_cancel(fix.l, &fix.io[0]);
	ev_io_cancel(fix.l, &fix.io[1]);
}

static void
test_io_hangup(void **state)
{
	static const unsigned asked[] = { EV_READ, EV_WRITE, EV_READ | EV_WRITE };

	(void) state;
	for (int i = 0; i < 3; i++) {
		shutdown(fix.fd[i][1], SHUT_RDWR);
		fix_watch(i, asked[i]);
		ev_turn(fix.l, -1);
		if (fix.events != asked[i])
			fail_msg("asked for %u, hang-up shows as %u", asked[i], fix.events);
		ev_io_cancel(fix.l, &fix.io[i]);
	}
}

/* a pipe whose other end is gone: the kernel tells nothing but hang-up to the reader, and error to the writer */
static void
test_io_pipe(void **state)
{
	int	fd[2];

	(void) state;
	assert_int_equal(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	close(fd[1]);
	ev_io_set(fix.l, &fix.io[0], fd[0], EV_READ, fix_io, &fix.io[0]);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	assert_int_equal(fix.events, EV_READ);
	ev_io_cancel(fix.l, &fix.io[0]);
	close(fd[0]);
	assert_int_equal(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	while (write(fd[1], "x", 1) == 1)
		;
	close(fd[0]);
	ev_io_set(fix.l, &fix.io[0], fd[1], EV_WRITE, fix_io, &fix.io[0]);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	assert_int_equal(fix.events, EV_WRITE);
	ev_io_cancel(fix.l, &fix.io[0]);
	close(fd[1]);
}

static void
fix_io_cancels(void *ctx, int fd, unsigned events)
{
	(void) fd, (void) events;
	fix.ran[(struct ev_io *) ctx - fix.io]++;
	for (int i = 0; i < PAIRS; i++)
		ev_io_cancel(fix.l, &fix.io[i]);
}

/* all are ready in one batch; the first to run cancels the rest */
static void
test_io_cancelled_in_batch(void **state)
{
	(void) state;
	for (int i = 0; i < PAIRS; i++) {
		ev_io_set(fix.l, &fix.io[i], fix.fd[i][0], EV_READ, fix_io_cancels, &fix.io[i]);
		fix_poke(i);
	}
	assert_int_equal(ev_turn(fix.l, 0), 1);
	assert_int_equal(fix.ran[0] + fix.ran[1] + fix.ran[2] + fix.ran[3], 1);
	assert_int_equal(ev_turn(fix.l, 0), 0);
}

static void
fix_io_reopens(void *ctx, int fd, unsigned events)
{
	int	i = (int) ((struct ev_io *) ctx - fix.io), other = 1 - i, fresh[2];

	(void) fd, (void) events;
	fix.ran[i]++;
	ev_io_cancel(fix.l, &fix.io[i]);
	/* the other one's descriptor is closed, its number comes back at once, watched by the same struct */
	ev_io_cancel(fix.l, &fix.io[other]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fresh), 0);
	assert_int_equal(dup2(fresh[0], fix.fd[other][0]), fix.fd[other][0]);
	close(fresh[0]);
	close(fix.fd[other][1]);
	fix.fd[other][1] = fresh[1];
	fix_watch(other, EV_READ);
}

/* an event of this batch that belongs to a descriptor's former life is not served */
static void
test_io_reopened_in_batch(void **state)
{
	(void) state;
	for (int i = 0; i < 2; i++) {
		ev_io_set(fix.l, &fix.io[i], fix.fd[i][0], EV_READ, fix_io_reopens, &fix.io[i]);
		fix_poke(i);
	}
	assert_int_equal(ev_turn(fix.l, 0), 1);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	assert_int_equal(fix.ran[0] + fix.ran[1], 1);
}

struct heap_io {
	struct ev_io io;
	struct ev_timer timer;
	struct ev_defer defer;
};

static void
heap_io_free(struct heap_io *h)
{
	ev_io_cancel(fix.l, &h->io);
	ev_timer_cancel(fix.l, &h->timer);
	ev_defer_cancel(fix.l, &h->defer);
	mem_free(&h);
	fix.ran[0]++;
}

static void
heap_io_run(void *ctx, int fd, unsigned events)
{
	(void) fd, (void) events;
	heap_io_free(ctx);
}

static void
heap_io_due(void *ctx)
{
	heap_io_free(ctx);
}

/* whichever callback comes first frees the whole; the others must not run (ASan watches) */
static void
test_freed_in_callback(void **state)
{
	(void) state;
	for (int which = 0; which < 8; which++) {
		struct heap_io *h = mem_alloc(sizeof *h);

		fix.ran[0] = 0;
		if (which & 1)
			ev_io_set(fix.l, &h->io, fix.fd[0][0], EV_WRITE, heap_io_run, h);
		if (which & 2)
			ev_timer_set(fix.l, &h->timer, 0, heap_io_due, h);
		if ((which & 4) || which == 0)
			ev_defer_set(fix.l, &h->defer, heap_io_due, h);
		assert_int_equal(ev_turn(fix.l, 0), 1);
		assert_int_equal(ev_turn(fix.l, 0), 0);
		assert_int_equal(fix.ran[0], 1);
	}
}

static void
fix_io_count(void *ctx, int fd, unsigned events)
{
	(void) ctx, (void) fd, (void) events;
	fix.ran[0]++;
}

/* more are ready than one batch holds: all get their turn */
static void
test_io_many(void **state)
{
	enum { MANY = 300 };
	struct ev_io *io = mem_array(MANY, sizeof *io);
	int	fd[MANY];
	unsigned ran = 0;

	(void) state;
	for (int i = 0; i < MANY; i++) {
		fd[i] = dup(fix.fd[0][0]);
		assert_true(fd[i] >= 0);
		ev_io_set(fix.l, &io[i], fd[i], EV_WRITE, fix_io_count, NULL);
	}
	for (int turn = 0; turn < 20; turn++)
		ran += ev_turn(fix.l, 0);
	assert_true(ran >= 20 * 100);
	assert_int_equal(fix.ran[0], ran);
	for (int i = 0; i < MANY; i++) {
		ev_io_cancel(fix.l, &io[i]);
		close(fd[i]);
	}
	mem_free(&io);
}

static void
test_io_exclusive(void **state)
{
	(void) state;
	fix_watch(0, EV_READ | EV_EXCLUSIVE);
	fix_poke(0);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	assert_int_equal(fix.events, EV_READ);
	fix_watch(0, EV_READ | EV_EXCLUSIVE);		/* set again, changed, and back: no modification of an exclusive watch */
	fix_watch(0, EV_READ);
	fix_watch(0, EV_READ | EV_EXCLUSIVE);
	fix_poke(0);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	ev_io_cancel(fix.l, &fix.io[0]);
}

/* a descriptor closed while it is watched is our bug, and says so */
static void
test_io_closed_first(void **state)
{
	int	status;
	pid_t	pid;

	(void) state;
	if ((pid = fork()) == 0) {
		int	null = open("/dev/null", O_WRONLY);

		signal(SIGABRT, SIG_DFL);
		dup2(null, 2);
		fix_watch(0, EV_READ);
		close(fix.fd[0][0]);
		ev_io_cancel(fix.l, &fix.io[0]);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* timers */

struct note_timer {
	struct ev_timer t;
	int	what;
	int64_t	ran_ms;			/* 0: not */
	int64_t	ran_wall_us;
	struct ev_timer *cancels;
	int	again;			/* sets itself again so often, with no delay */
};

static void
note_timer_run(void *ctx)
{
	struct note_timer *n = ctx;

	fix_note(n->what);
	n->ran_ms = ev_now_ms(fix.l);
	n->ran_wall_us = ev_wall_us(fix.l);
	if (n->cancels != NULL)
		ev_timer_cancel(fix.l, n->cancels);
	if (n->again > 0) {
		n->again--;
		ev_timer_set(fix.l, &n->t, 0, note_timer_run, n);
	}
}

static void
test_timers(void **state)
{
	static const int64_t delays[] = { 300, 100, 200, 0, -5, 1000 };
	struct note_timer t[NELEM(delays)] = { 0 };
	int64_t	start = ev_now_ms(fix.l), due;

	(void) state;
	for (size_t i = 0; i < NELEM(delays); i++)
		ev_timer_set(fix.l, &t[i].t, delays[i], note_timer_run, &t[i]);
	assert_int_equal(ev_turn(fix.l, 0), 2);		/* those without a delay */
	assert_int_equal(ev_turn(fix.l, 0), 0);		/* time stands still */
	ev_fake_advance(fix.l, 299);
	assert_int_equal(t[0].ran_ms, 0);
	ev_fake_advance(fix.l, 1);
	assert_true(t[0].ran_ms > 0);
	assert_int_equal(t[5].ran_ms, 0);
	ev_fake_advance(fix.l, 100000);			/* long past: still at its own time */
	for (size_t i = 0; i < NELEM(delays); i++) {
		due = delays[i] > 0 ? delays[i] : 0;
		if (t[i].ran_ms != start + due || t[i].ran_wall_us != (WALL_S * 1000LL + due) * 1000 || t[i].t.pos != 0)
			fail_msg("timer of %lld ms ran at %lld", (long long) delays[i], (long long) (t[i].ran_ms - start));
	}
	assert_int_equal(ev_now_ms(fix.l), start + 100300);
	assert_int_equal(ev_wall_s(fix.l), WALL_S + 100);
}

static void
test_timer_set_again(void **state)
{
	struct note_timer a = { .what = 1 }, b = { .what = 2 };

	(void) state;
	ev_timer_set(fix.l, &a.t, 100, note_timer_run, &a);
	ev_timer_set(fix.l, &b.t, 150, note_timer_run, &b);
	ev_timer_set(fix.l, &a.t, 200, note_timer_run, &a);	/* later than before, and than b */
	ev_fake_advance(fix.l, 199);
	assert_int_equal(fix.order_n, 1);
	ev_fake_advance(fix.l, 1);
	assert_int_equal(fix.order_n, 2);
	assert_int_equal(fix.order[0], 2);
	ev_timer_set(fix.l, &a.t, 100, note_timer_run, &a);
	ev_timer_cancel(fix.l, &a.t);
	ev_timer_cancel(fix.l, &a.t);
	ev_fake_advance(fix.l, 1000);
	assert_int_equal(fix.order_n, 2);
}

/* one that is due cancels another that is due; one that sets itself again waits for the next turn */
static void
test_timer_in_timer(void **state)
{
	struct note_timer a = { .what = 1 }, b = { .what = 2 }, c = { .what = 3, .again = 3 };

	(void) state;
	a.cancels = &b.t;
	b.cancels = &a.t;
	ev_timer_set(fix.l, &a.t, 0, note_timer_run, &a);
	ev_timer_set(fix.l, &b.t, 0, note_timer_run, &b);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	ev_timer_set(fix.l, &c.t, 0, note_timer_run, &c);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ev_turn(fix.l, 0), 1);
	assert_int_equal(ev_turn(fix.l, 0), 0);
}

/* the heap against a plain list: thousands of random sets and cancels */
static void
test_timers_random(void **state)
{
	enum { N = 200 };
	struct note_timer *t = mem_array(N, sizeof *t);
	int64_t	due[N], now = ev_now_ms(fix.l), last = 0;

	(void) state;
	srandom(1);
	for (int i = 0; i < N; i++)
		due[i] = -1;
	for (int op = 0; op < 20000; op++) {
		int	i = (int) (random() % N);

		if (random() % 3 > 0) {
			int64_t delay = random() % 1000;

			t[i].ran_ms = 0;
			ev_timer_set(fix.l, &t[i].t, delay, note_timer_run, &t[i]);
			due[i] = now + delay;
		} else {
			ev_timer_cancel(fix.l, &t[i].t);
			due[i] = -1;
		}
		if (random() % 10 == 0) {
			int64_t step = random() % 50;

			ev_fake_advance(fix.l, step);
			now += step;
			assert_int_equal(ev_now_ms(fix.l), now);
			for (int k = 0; k < N; k++) {
				if (due[k] >= 0 && due[k] <= now) {
					if (t[k].ran_ms != due[k])
						fail_msg("op %d: due at %lld, ran at %lld", op, (long long) due[k],
						    (long long) t[k].ran_ms);
					due[k] = -1;
				} else if (due[k] > now && (t[k].ran_ms != 0 || t[k].t.pos == 0))
					fail_msg("op %d: ran too early, or was lost", op);
				if (due[k] < 0 && t[k].t.pos != 0)
					fail_msg("op %d: still set", op);
			}
		}
		last = now;
	}
	assert_true(last > 0);
	for (int i = 0; i < N; i++)
		ev_timer_cancel(fix.l, &t[i].t);
	mem_free(&t);
}

/* deferred calls */

struct note_defer {
	struct ev_defer d;
	int	what, again;
	struct ev_defer *cancels;
};

static void
note_defer_run(void *ctx)
{
	struct note_defer *n = ctx;

	fix_note(n->what);
	if (n->cancels != NULL)
		ev_defer_cancel(fix.l, n->cancels);
	if (n->again > 0) {
		n->again--;
		ev_defer_set(fix.l, &n->d, note_defer_run, n);
	}
}

static void
fix_io_defers(void *ctx, int fd, unsigned events)
{
	char	c;

	(void) events;
	(void) !read(fd, &c, 1);
	fix_note(100);
	ev_defer_set(fix.l, &((struct note_defer *) ctx)->d, note_defer_run, ctx);
}

static void
test_defers(void **state)
{
	struct note_defer a = { .what = 1 }, b = { .what = 2, .again = 2 }, c = { .what = 3 }, d = { .what = 4 };
	static const int want[] = { 1, 2, 3, 4, 2, 2, 1, 4 };

	(void) state;
	ev_defer_set(fix.l, &a.d, note_defer_run, &a);
	ev_defer_set(fix.l, &b.d, note_defer_run, &b);
	ev_defer_set(fix.l, &c.d, note_defer_run, &c);
	ev_defer_set(fix.l, &d.d, note_defer_run, &d);
	ev_defer_set(fix.l, &a.d, note_defer_run, &a);	/* once, in its place */
	assert_int_equal(ev_turn(fix.l, -1), 4);	/* does not wait */
	assert_int_equal(ev_turn(fix.l, -1), 1);	/* what was set meanwhile */
	assert_int_equal(ev_turn(fix.l, -1), 1);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	a.cancels = &c.d;
	ev_defer_set(fix.l, &a.d, note_defer_run, &a);
	ev_defer_set(fix.l, &c.d, note_defer_run, &c);
	ev_defer_set(fix.l, &d.d, note_defer_run, &d);
	assert_int_equal(ev_turn(fix.l, -1), 2);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	assert_int_equal(fix.order_n, NELEM(want));
	assert_memory_equal(fix.order, want, sizeof want);
}

/* a deferred call runs after all callbacks of its turn */
static void
test_defer_after_callbacks(void **state)
{
	struct note_defer d = { .what = 1 };
	struct note_timer t = { .what = 50 };
	static const int want[] = { 100, 100, 50, 1 };

	(void) state;
	for (int i = 0; i < 2; i++) {
		ev_io_set(fix.l, &fix.io[i], fix.fd[i][0], EV_READ, fix_io_defers, &d);
		fix_poke(i);
	}
	ev_timer_set(fix.l, &t.t, 0, note_timer_run, &t);
	assert_int_equal(ev_turn(fix.l, 0), 4);
	assert_int_equal(fix.order_n, 4);
	assert_memory_equal(fix.order, want, sizeof want);
}

/* the real clock */

static void
fix_stop(void *ctx)
{
	ev_stop(ctx);
}

static void
test_real_clock(void **state)
{
	struct ev_loop *l = ev_loop_new();
	struct ev_timer t = { 0 }, far = { 0 };
	struct timespec ts;
	int64_t start;

	(void) state;
	ev_turn(l, 0);
	clock_gettime(CLOCK_REALTIME, &ts);
	assert_true(llabs(ev_wall_us(l) - ((int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000)) < 5000000);
	start = ev_now_ms(l);
	ev_timer_set(l, &far, 50000000, fix_stop, l);
	ev_timer_set(l, &t, 30, fix_stop, l);
	assert_int_equal(ev_turn(l, 0), 0);		/* not before its time */
	ev_run(l);					/* waits for the timer, and no longer than that */
	assert_true(ev_now_ms(l) - start >= 30);
	assert_true(ev_now_ms(l) - start < 20000);
	assert_int_equal(ev_turn(l, 5), 0);		/* gives up after 5 ms */
	ev_timer_set(l, &t, 5, fix_stop, l);
	poll(NULL, 0, 20);				/* overdue when the loop gets to it */
	ev_run(l);
	ev_timer_cancel(l, &far);
	ev_loop_free(&l);
	ev_loop_free(&l);
}

/* a client that looks at time(2), which is up to a tick behind clock_gettime(2), does not see our seconds in its future */
static void
test_wall_never_ahead(void **state)
{
	struct ev_loop *l = ev_loop_new();
	struct timespec ts;
	int64_t wall;
	time_t	now;

	(void) state;
	clock_gettime(CLOCK_REALTIME, &ts);
	poll(NULL, 0, (int) (999 - ts.tv_nsec / 1000000));	/* just before the next second */
	do {
		ev_turn(l, 0);
		wall = ev_wall_s(l);
		now = time(NULL);
		assert_true(wall <= now);
		assert_true(wall >= now - 1);
	} while (now <= ts.tv_sec);
	ev_loop_free(&l);
}

/* signals */

static volatile int signal_seen[65];

static void
fix_signal(void *ctx, int signo)
{
	assert_ptr_equal(ctx, &fix);
	signal_seen[signo]++;
}

static void
test_signals(void **state)
{
	sigset_t now;

	(void) state;
	ev_signal_set(fix.l, SIGUSR1, fix_signal, &fix);
	ev_signal_set(fix.l, SIGHUP, fix_signal, &fix);
	assert_int_equal(ev_turn(fix.l, 0), 0);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGHUP);
	kill(getpid(), SIGHUP);				/* pending once, as signals are */
	ev_turn(fix.l, -1);
	assert_int_equal(signal_seen[SIGUSR1], 1);
	assert_int_equal(signal_seen[SIGHUP], 1);
	ev_signal_set(fix.l, SIGHUP, NULL, NULL);
	sigprocmask(SIG_BLOCK, NULL, &now);
	assert_false(sigismember(&now, SIGHUP));
	assert_true(sigismember(&now, SIGUSR1));
	kill(getpid(), SIGUSR1);
	ev_turn(fix.l, -1);
	assert_int_equal(signal_seen[SIGUSR1], 2);
	ev_loop_free(&fix.l);				/* gives them all back */
	sigprocmask(SIG_BLOCK, NULL, &now);
	assert_false(sigismember(&now, SIGUSR1));
}

static void
test_signal_default(void **state)
{
	int	status;
	pid_t	pid;

	(void) state;
	if ((pid = fork()) == 0) {
		ev_signal_set(fix.l, SIGTERM, fix_signal, &fix);
		ev_signal_set(fix.l, SIGTERM, NULL, NULL);
		kill(getpid(), SIGTERM);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* timers and deferred calls that a freed loop has forgotten are idle, and may be set in another */
static void
test_loop_freed(void **state)
{
	struct note_timer t = { .what = 1 };
	struct note_defer d = { .what = 2 };

	(void) state;
	ev_timer_set(fix.l, &t.t, 10, note_timer_run, &t);
	ev_defer_set(fix.l, &d.d, note_defer_run, &d);
	ev_loop_free(&fix.l);
	fix.l = ev_loop_new_fake(WALL_S);
	ev_timer_cancel(fix.l, &t.t);
	ev_defer_cancel(fix.l, &d.d);
	ev_timer_set(fix.l, &t.t, 10, note_timer_run, &t);
	ev_defer_set(fix.l, &d.d, note_defer_run, &d);
	assert_int_equal(ev_turn(fix.l, 0), 1);
	ev_fake_advance(fix.l, 10);
	assert_int_equal(fix.order_n, 2);
}

int
main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(test_io),
		T(test_io_log),
		T(test_io_none),
		T(test_io_replaced),
		T(test_io_hangup),
		T(test_io_pipe),
		T(test_io_cancelled_in_batch),
		T(test_io_reopened_in_batch),
		T(test_freed_in_callback),
		T(test_io_many),
		T(test_io_exclusive),
		T(test_io_closed_first),
		T(test_timers),
		T(test_timer_set_again),
		T(test_timer_in_timer),
		T(test_timers_random),
		T(test_defers),
		T(test_defer_after_callbacks),
		T(test_real_clock),
		T(test_wall_never_ahead),
		T(test_signals),
		T(test_signal_default),
		T(test_loop_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
