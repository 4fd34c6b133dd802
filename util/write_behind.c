/* util/write_behind.c - bytes for a file that may be slow: two buffers, one that is filled and one that is being written */
#include "write_behind.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <util/mem.h>

#define BEHIND_STACK	(64 * 1024)

struct behind_half {
	int	fd;
	size_t	len;
	char   *data;			/* WRITE_BEHIND_MAX bytes, touched as far as they were used */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wanted, done;
	bool	started, writing;	/* half[1] is the thread's */
	bool	begin;			/* it is to write what there is */
	volatile sig_atomic_t given_up;
	struct behind_half half[2];
	int	cut_fd;			/* there a line has no end; -1: nowhere. Of whoever writes, one at a time */
	size_t	lost;			/* bytes that could not be written */
	int	lost_error;
	_Atomic bool lost_over;		/* and then something could */
} behind = { .cut_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .wanted = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };

/* behind_put - how much of it could be written */
static size_t
behind_put(int fd, const char *data, size_t len)
{
	ssize_t n;

	for (size_t at = 0; at < len; at += (size_t) n) {
		errno = EIO;
		if ((n = write(fd, data + at, len - at)) <= 0) {
			if (n < 0 && errno == EINTR)
				n = 0;
			else
				return at;
		}
	}
	return len;
}

/* behind_write - a full disk may take a part of a line: what comes next begins a line of its own
 * returns   how many bytes could not be written: see errno */
static size_t
behind_write(int fd, const char *data, size_t len)
{
	size_t	n;

	if (fd == behind.cut_fd && behind_put(fd, "\n", 1) == 1)
		behind.cut_fd = -1;
	n = fd == behind.cut_fd ? 0 : behind_put(fd, data, len);
	if (n > 0 && n < len && data[n - 1] != '\n')
		behind.cut_fd = fd;
	return len - n;
}

/* behind_count - with the lock */
static void
behind_count(size_t lost, int error)
{
	if (lost > 0) {
		behind.lost += lost;
		behind.lost_error = error;
	}
	atomic_store_explicit(&behind.lost_over, lost == 0 && behind.lost > 0, memory_order_relaxed);
}

static void * __attribute__((noreturn))
behind_thread(void *ctx)
{
	struct behind_half h;
	size_t	lost;

	(void) ctx;
	pthread_mutex_lock(&behind.lock);
	for (;;) {
		while (!behind.begin)
			pthread_cond_wait(&behind.wanted, &behind.lock);
		h = behind.half[0];
		behind.half[0] = behind.half[1];
		behind.half[0].len = 0;
		behind.half[1] = h;
		behind.writing = true;
		behind.begin = false;
		pthread_mutex_unlock(&behind.lock);
		lost = behind_write(h.fd, h.data, h.len);
		pthread_mutex_lock(&behind.lock);
		behind_count(lost, errno);
		behind.writing = false;
		pthread_cond_signal(&behind.done);
	}
}

/* behind_forked - the child has no such thread, and nothing waits: whoever forks has waited */
static void
behind_forked(void)
{
	pthread_mutex_init(&behind.lock, NULL);
	pthread_cond_init(&behind.wanted, NULL);
	pthread_cond_init(&behind.done, NULL);
	behind.started = behind.writing = behind.begin = false;
	behind.half[0].len = 0;
	behind.cut_fd = -1;			/* the parent tells */
	behind.lost = 0;
	behind_count(0, 0);
}

static bool
behind_start(void)
{
	static bool ready;
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	if (!ready) {
		if (pthread_atfork(NULL, NULL, behind_forked) != 0)
			return false;
		for (int i = 0; i < 2; i++)
			behind.half[i].data = mem_alloc(WRITE_BEHIND_MAX);
		ready = true;
	}
	if (pthread_attr_init(&attr) != 0)
		return false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	behind.started = pthread_attr_setstacksize(&attr, BEHIND_STACK) == 0 &&
	    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 && pthread_create(&thread, &attr, behind_thread, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return behind.started;
}

/* behind_begin - with the lock */
static void
behind_begin(void)
{
	if (behind.half[0].len == 0 || behind.begin)
		return;
	behind.begin = true;
	if (!behind.writing)
		pthread_cond_signal(&behind.wanted);
}

bool
write_behind(int fd, const void *data, size_t n)
{
	struct behind_half *h = &behind.half[0];
	bool	taken;

	if (behind.given_up || (!behind.started && !behind_start()))
		return false;
	pthread_mutex_lock(&behind.lock);
	if ((taken = n <= WRITE_BEHIND_MAX - h->len && (h->len == 0 || h->fd == fd))) {
		memcpy(h->data + h->len, data, n);
		h->len += n;
		h->fd = fd;
		if (h->len >= WRITE_BEHIND_BEGIN)
			behind_begin();
	}
	pthread_mutex_unlock(&behind.lock);
	return taken;
}

void
write_behind_begin(void)
{
	if (!behind.started || behind.given_up)
		return;
	pthread_mutex_lock(&behind.lock);
	behind_begin();
	pthread_mutex_unlock(&behind.lock);
}

bool
write_behind_busy(void)
{
	bool	busy;

	if (!behind.started || behind.given_up)
		return false;
	pthread_mutex_lock(&behind.lock);
	busy = behind.writing || behind.half[0].len > 0;
	pthread_mutex_unlock(&behind.lock);
	return busy;
}

void
write_behind_wait(void)
{
	if (!behind.started || behind.given_up)
		return;
	pthread_mutex_lock(&behind.lock);
	behind_begin();
	while (behind.writing || behind.half[0].len > 0)
		pthread_cond_wait(&behind.done, &behind.lock);
	pthread_mutex_unlock(&behind.lock);
}

void
write_behind_now(int fd, const void *data, size_t n)
{
	size_t	lost;

	if (behind.given_up) {
		behind_put(fd, data, n);
		return;
	}
	write_behind_wait();
	lost = behind_write(fd, data, n);
	pthread_mutex_lock(&behind.lock);
	behind_count(lost, errno);
	pthread_mutex_unlock(&behind.lock);
}

bool
write_behind_lost(void)
{
	return atomic_load_explicit(&behind.lost_over, memory_order_relaxed) && !behind.given_up;
}

size_t
write_behind_tell(int *error_r)
{
	size_t	n;

	pthread_mutex_lock(&behind.lock);
	n = behind.lost;
	*error_r = behind.lost_error;
	behind.lost = 0;
	behind_count(0, 0);
	pthread_mutex_unlock(&behind.lock);
	return n;
}

void
write_behind_give_up(void)
{
	behind.given_up = true;
}
