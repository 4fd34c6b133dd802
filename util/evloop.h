/* util/evloop.h - descriptors, timers, deferred calls and signals in one thread; real or fake clock
 * The structs are the caller's, embedded in what they belong to; zeroed means idle, and
 * setting one that is set replaces it. A callback may cancel or free anything, itself included:
 * after *_cancel a callback is not run any more, also not from the batch now being served.
 * Deadlines are monotonic milliseconds, expiry is wall-clock seconds; both are read once per
 * turn and both come from the loop, so that tests own time.
 */
#ifndef UTIL_EVLOOP_H
#define UTIL_EVLOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <bsd/sys/queue.h>

enum { EV_READ = 1, EV_WRITE = 2, EV_EXCLUSIVE = 4 };	/* EXCLUSIVE: one of several processes is woken (listeners) */

struct ev_loop;
/* events: EV_READ and/or EV_WRITE; errors and hang-up show as whichever was asked for */
typedef void ev_io_fn(void *ctx, int fd, unsigned events);
typedef void ev_timer_fn(void *ctx);
typedef void ev_defer_fn(void *ctx);
typedef void ev_signal_fn(void *ctx, int signo);

struct ev_io {
	int	  fd;
	unsigned  events;	/* 0 = idle */
	ev_io_fn *fn;
	void	 *ctx;
};
struct ev_timer {
	int64_t	  due_ms;
	size_t	  pos;		/* 1 + place in the heap; 0 = idle */
	ev_timer_fn *fn;
	void	 *ctx;
};
struct ev_defer {
	TAILQ_ENTRY(ev_defer) link;
	bool	  queued;
	ev_defer_fn *fn;
	void	 *ctx;
};

struct ev_loop *ev_loop_new(void);
/* ev_loop_new_fake - time stands still at wall_s until ev_fake_advance; descriptors are real */
struct ev_loop *ev_loop_new_fake(int64_t wall_s);
void	ev_loop_free(struct ev_loop **);	/* timers and deferred calls become idle, descriptors stay open */

/* ev_io_set - no events: as ev_io_cancel. Fatal when the kernel refuses a descriptor that is open (out of memory) */
void	ev_io_set(struct ev_loop *, struct ev_io *, int fd, unsigned events, ev_io_fn *, void *ctx);
void	ev_io_cancel(struct ev_loop *, struct ev_io *);	/* call before close(fd) */
void	ev_timer_set(struct ev_loop *, struct ev_timer *, int64_t delay_ms, ev_timer_fn *, void *ctx);
void	ev_timer_cancel(struct ev_loop *, struct ev_timer *);
/* ev_defer_set - run once, after the callbacks of this turn */
void	ev_defer_set(struct ev_loop *, struct ev_defer *, ev_defer_fn *, void *ctx);
void	ev_defer_cancel(struct ev_loop *, struct ev_defer *);
/* ev_signal_set - run in the loop when the process got the signal; fn NULL restores the default action
 * one loop of a process may watch signals; registrations last until the loop is freed. Watched signals are blocked:
 * a child that is to exec something else must unblock them (sigprocmask) first */
void	ev_signal_set(struct ev_loop *, int signo, ev_signal_fn *, void *ctx);
/* ev_signal_forked - in a child that goes on with the loop: from now on its own signals are heard, not its parent's */
void	ev_signal_forked(struct ev_loop *);

int64_t	ev_now_ms(const struct ev_loop *);	/* monotonic */
int64_t	ev_wall_s(const struct ev_loop *);	/* seconds since 1970, as time(2) counts: never ahead of a client's time(2) */
int64_t	ev_wall_us(const struct ev_loop *);	/* microseconds since 1970, up to a tick of the kernel ahead of time(2) */

void	ev_run(struct ev_loop *);		/* until ev_stop */
void	ev_stop(struct ev_loop *);
/* ev_turn - one turn: wait at most wait_ms (-1: until something is due), serve what is due; returns what it ran */
unsigned ev_turn(struct ev_loop *, int wait_ms);
/* ev_fake_advance - fake clock only: move time on, running timers in order, each at its own time */
void	ev_fake_advance(struct ev_loop *, int64_t ms);

#endif
