/* util/evloop.c - descriptors, timers, deferred calls and signals in one thread
 * epoll, level-triggered; a binary heap of timers whose members know their place; one signalfd.
 * Safety of callbacks that cancel or free: the batch of one epoll_wait is kept in the loop, and
 * ev_io_cancel strikes the struct out of the part not yet served.
 */
#include "evloop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>

#define EV_BATCH	128	/* events taken from the kernel in one turn; the rest waits for the next */
#define EV_SIGNALS	65
#define EV_KEPT_MS	10	/* lines for the log wait no longer for each other */

struct ev_loop {
	int	epfd;
	bool	stopped, fake;
	int64_t now_ms, wall_us, wall_s;	/* of this turn */
	int64_t kept_ms;		/* since when msg has kept lines, at most */

	struct epoll_event batch[EV_BATCH];
	int	batch_n, batch_i;	/* events in batch; the one being served */

	struct ev_timer **heap;		/* heap[0] is due first */
	size_t	heap_n, heap_cap;

	TAILQ_HEAD(, ev_defer) defers;
	size_t	defers_n;

	int	sigfd;
	sigset_t sigs;
	struct ev_io sig_io;
	struct {
		ev_signal_fn *fn;
		void *ctx;
	} sig[EV_SIGNALS];
};

static void
ev_clock_read(struct ev_loop *l)
{
	struct timespec ts;

	if (l->fake)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	l->now_ms = (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	clock_gettime(CLOCK_REALTIME, &ts);
	l->wall_us = (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	l->wall_s = time(NULL);
}

struct ev_loop *
ev_loop_new(void)
{
	struct ev_loop *l = mem_alloc(sizeof *l);

	if ((l->epfd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		msg_fatal("epoll_create1: %s", strerror(errno));
	TAILQ_INIT(&l->defers);
	l->sigfd = -1;
	sigemptyset(&l->sigs);
	ev_clock_read(l);
	return l;
}

struct ev_loop *
ev_loop_new_fake(int64_t wall_s)
{
	struct ev_loop *l = ev_loop_new();

	l->fake = true;
	l->now_ms = 1000000;		/* not zero: a forgotten subtraction shows */
	l->wall_us = wall_s * 1000000;
	return l;
}

void
ev_loop_free(struct ev_loop **lp)
{
	struct ev_loop *l = *lp;
	struct ev_defer *d;

	if (l == NULL)
		return;
	if (l->sigfd >= 0) {
		sigprocmask(SIG_UNBLOCK, &l->sigs, NULL);
		close(l->sigfd);
	}
	close(l->epfd);
	for (size_t i = 0; i < l->heap_n; i++)
		l->heap[i]->pos = 0;
	while ((d = TAILQ_FIRST(&l->defers)) != NULL)
		ev_defer_cancel(l, d);
	mem_free(&l->heap);
	mem_free(lp);
}

int64_t
ev_now_ms(const struct ev_loop *l)
{
	return l->now_ms;
}

int64_t
ev_wall_s(const struct ev_loop *l)
{
	return l->fake ? l->wall_us / 1000000 : l->wall_s;
}

int64_t
ev_wall_us(const struct ev_loop *l)
{
	return l->wall_us;
}

/* descriptors */

void
ev_io_set(struct ev_loop *l, struct ev_io *io, int fd, unsigned events, ev_io_fn *fn, void *ctx)
{
	struct epoll_event e = { .data.ptr = io };

	if ((events & (EV_READ | EV_WRITE)) == 0) {
		ev_io_cancel(l, io);			/* the kernel would go on reporting errors */
		return;
	}
	if (io->events != 0 && (io->fd != fd || ((events | io->events) & EV_EXCLUSIVE) != 0))
		ev_io_cancel(l, io);			/* an exclusive watch cannot be modified */
	if (io->events != events) {
		e.events = (events & EV_READ ? EPOLLIN : 0u) | (events & EV_WRITE ? EPOLLOUT : 0u) |
		    (events & EV_EXCLUSIVE ? EPOLLEXCLUSIVE : 0u);
		if (epoll_ctl(l->epfd, io->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e) < 0)
			msg_fatal("epoll_ctl: descriptor %d: %s", fd, strerror(errno));
	}
	io->fd = fd;
	io->events = events;
	io->fn = fn;
	io->ctx = ctx;
}

void
ev_io_cancel(struct ev_loop *l, struct ev_io *io)
{
	if (io->events == 0)
		return;
	if (epoll_ctl(l->epfd, EPOLL_CTL_DEL, io->fd, NULL) < 0)
		msg_panic("ev_io_cancel: descriptor %d was closed while watched: %s", io->fd, strerror(errno));
	io->events = 0;
	for (int i = l->batch_i + 1; i < l->batch_n; i++)
		if (l->batch[i].data.ptr == io)
			l->batch[i].data.ptr = NULL;
}

/* timers: a binary heap, pos is 1 + index */

static void
ev_heap_put(struct ev_loop *l, size_t i, struct ev_timer *t)
{
	l->heap[i] = t;
	t->pos = i + 1;
}

static void
ev_heap_up(struct ev_loop *l, size_t i, struct ev_timer *t)
{
	size_t	parent;

	for (; i > 0 && l->heap[parent = (i - 1) / 2]->due_ms > t->due_ms; i = parent)
		ev_heap_put(l, i, l->heap[parent]);
	ev_heap_put(l, i, t);
}

static void
ev_heap_down(struct ev_loop *l, size_t i, struct ev_timer *t)
{
	size_t	kid;

	for (; (kid = 2 * i + 1) < l->heap_n; i = kid) {
		if (kid + 1 < l->heap_n && l->heap[kid + 1]->due_ms < l->heap[kid]->due_ms)
			kid++;
		if (l->heap[kid]->due_ms >= t->due_ms)
			break;
		ev_heap_put(l, i, l->heap[kid]);
	}
	ev_heap_put(l, i, t);
}

void
ev_timer_set(struct ev_loop *l, struct ev_timer *t, int64_t delay_ms, ev_timer_fn *fn, void *ctx)
{
	ev_timer_cancel(l, t);
	t->due_ms = l->now_ms + (delay_ms > 0 ? delay_ms : 0);
	t->fn = fn;
	t->ctx = ctx;
	if (l->heap_n == l->heap_cap) {
		l->heap_cap = l->heap_cap > 0 ? 2 * l->heap_cap : 64;
		l->heap = mem_grow(l->heap, l->heap_cap, sizeof *l->heap);
	}
	ev_heap_up(l, l->heap_n++, t);
}

void
ev_timer_cancel(struct ev_loop *l, struct ev_timer *t)
{
	size_t	i;
	struct ev_timer *last;

	if (t->pos == 0)
		return;
	i = t->pos - 1;
	t->pos = 0;
	last = l->heap[--l->heap_n];
	if (last == t)
		return;
	if (i > 0 && l->heap[(i - 1) / 2]->due_ms > last->due_ms)
		ev_heap_up(l, i, last);
	else
		ev_heap_down(l, i, last);
}

/* deferred calls */

void
ev_defer_set(struct ev_loop *l, struct ev_defer *d, ev_defer_fn *fn, void *ctx)
{
	d->fn = fn;
	d->ctx = ctx;
	if (d->queued)
		return;
	TAILQ_INSERT_TAIL(&l->defers, d, link);
	l->defers_n++;
	d->queued = true;
}

void
ev_defer_cancel(struct ev_loop *l, struct ev_defer *d)
{
	if (!d->queued)
		return;
	TAILQ_REMOVE(&l->defers, d, link);
	l->defers_n--;
	d->queued = false;
}

/* signals */

static void
ev_signal_read(void *ctx, int fd, unsigned events)
{
	struct ev_loop *l = ctx;
	struct signalfd_siginfo si;

	(void) events;
	while (read(fd, &si, sizeof si) == sizeof si)
		if (si.ssi_signo < EV_SIGNALS && l->sig[si.ssi_signo].fn != NULL)
			l->sig[si.ssi_signo].fn(l->sig[si.ssi_signo].ctx, (int) si.ssi_signo);
}

void
ev_signal_set(struct ev_loop *l, int signo, ev_signal_fn *fn, void *ctx)
{
	sigset_t one;

	if (signo <= 0 || signo >= EV_SIGNALS)
		msg_panic("ev_signal_set: signal %d", signo);
	sigemptyset(&one);
	sigaddset(&one, signo);
	l->sig[signo].fn = fn;
	l->sig[signo].ctx = ctx;
	if (fn != NULL)
		sigaddset(&l->sigs, signo);
	else
		sigdelset(&l->sigs, signo);
	sigprocmask(fn != NULL ? SIG_BLOCK : SIG_UNBLOCK, &one, NULL);
	l->sigfd = signalfd(l->sigfd, &l->sigs, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->sigfd < 0)
		msg_fatal("signalfd: %s", strerror(errno));
	ev_io_set(l, &l->sig_io, l->sigfd, EV_READ, ev_signal_read, l);
}

void
ev_signal_forked(struct ev_loop *l)
{
	if (l->sigfd < 0)
		return;
	/* epoll waits for the signals of who gave it the descriptor, and has to be given it anew */
	ev_io_cancel(l, &l->sig_io);
	close(l->sigfd);
	if ((l->sigfd = signalfd(-1, &l->sigs, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		msg_fatal("signalfd: %s", strerror(errno));
	ev_io_set(l, &l->sig_io, l->sigfd, EV_READ, ev_signal_read, l);
}

/* turns */

static unsigned
ev_timers_run(struct ev_loop *l)
{
	unsigned ran = 0;
	size_t	limit = l->heap_n;	/* a timer that sets itself to now must not starve the rest */

	while (limit-- > 0 && l->heap_n > 0 && l->heap[0]->due_ms <= l->now_ms) {
		struct ev_timer *t = l->heap[0];

		ev_timer_cancel(l, t);
		t->fn(t->ctx);
		ran++;
	}
	return ran;
}

static unsigned
ev_defers_run(struct ev_loop *l)
{
	unsigned ran = 0;
	size_t	limit = l->defers_n;	/* those set meanwhile wait for the next turn */
	struct ev_defer *d;

	while (limit-- > 0 && (d = TAILQ_FIRST(&l->defers)) != NULL) {
		ev_defer_cancel(l, d);
		d->fn(d->ctx);
		ran++;
	}
	return ran;
}

static int
ev_poll(struct ev_loop *l, int wait_ms)
{
	int	n = epoll_wait(l->epfd, l->batch, EV_BATCH, wait_ms);

	if (n < 0 && errno != EINTR)
		msg_panic("epoll_wait: %s", strerror(errno));
	return n;
}

/* ev_wait - a batch of events. Lines for the log wait for each other: EV_KEPT_MS, unless the caller does not want to wait. But where one
 * client alone is served, its line is there before its answer */
static int
ev_wait(struct ev_loop *l, int wait_ms)
{
	int	n = 0, kept;

	if (msg_kept() && l->now_ms < l->kept_ms + EV_KEPT_MS) {
		kept = (int) (l->kept_ms + EV_KEPT_MS - l->now_ms);
		kept = wait_ms >= 0 && wait_ms < kept ? wait_ms : kept;
		n = ev_poll(l, kept);
		wait_ms -= wait_ms >= 0 ? kept : 0;
	}
	if (n == 0) {
		msg_pass();
		n = ev_poll(l, wait_ms);
	}
	if (n > 1)
		msg_hold();
	return n;
}

unsigned
ev_turn(struct ev_loop *l, int wait_ms)
{
	unsigned ran = 0;
	int64_t left;

	ev_clock_read(l);
	if (!TAILQ_EMPTY(&l->defers))
		wait_ms = 0;
	else if (l->heap_n > 0 && !l->fake) {
		left = l->heap[0]->due_ms - l->now_ms;
		if (left < 0)
			left = 0;
		if (wait_ms < 0 || left < wait_ms)
			wait_ms = left > 3600000 ? 3600000 : (int) left;
	}
	l->batch_n = ev_wait(l, wait_ms);
	ev_clock_read(l);
	if (!msg_kept())
		l->kept_ms = l->now_ms;
	for (l->batch_i = 0; l->batch_i < l->batch_n; l->batch_i++) {
		struct epoll_event *e = &l->batch[l->batch_i];
		struct ev_io *io = e->data.ptr;
		unsigned events;

		if (io == NULL)
			continue;			/* cancelled by an earlier callback of this batch */
		events = (e->events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? EV_READ : 0u) |
		    (e->events & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? EV_WRITE : 0u);
		events &= io->events;
		if (events != 0) {
			io->fn(io->ctx, io->fd, events);
			ran++;
		}
	}
	l->batch_n = l->batch_i = 0;
	ran += ev_timers_run(l);
	ran += ev_defers_run(l);
	return ran;
}

void
ev_run(struct ev_loop *l)
{
	l->stopped = false;
	while (!l->stopped)
		ev_turn(l, -1);
	msg_flush();
}

void
ev_stop(struct ev_loop *l)
{
	l->stopped = true;
}

void
ev_fake_advance(struct ev_loop *l, int64_t ms)
{
	int64_t end = l->now_ms + ms, step;

	if (!l->fake)
		msg_panic("ev_fake_advance: this loop has the real clock");
	while (l->heap_n > 0 && l->heap[0]->due_ms <= end) {
		step = l->heap[0]->due_ms - l->now_ms;
		if (step > 0) {
			l->now_ms += step;
			l->wall_us += step * 1000;
		}
		ev_timers_run(l);
		ev_defers_run(l);
	}
	l->wall_us += (end - l->now_ms) * 1000;
	l->now_ms = end;
}
