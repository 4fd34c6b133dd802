/* util/shmtab_lock.c - who has a table file open, and locks in it whose owner may die at any instruction
 * A lock word: bits 0-10 the owner's seat number + 1, 0 when free; bit 11: somebody sleeps on it; bits 12-31 count
 * releases and changes of owner. The count tells a waiter whether the same owner still holds it or again, and makes
 * an owner that was stopped for long see that the lock is not his any more.
 */
#include "shmtab_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shmtab.h"

#define LOCK_OWNER	0x7ffu
#define LOCK_WAIT	0x800u
#define LOCK_TURN	0x1000u		/* added to count */
#define LOCK_SPINS	100		/* longer than a record takes to copy, shorter than a system call's worth */
#define LOCK_SLICE_MS	5		/* how often a sleeper looks whether the owner is alive */

#define SEAT_BASE	((off_t) 1 << 44)	/* lock bytes; no table is that large */
#define SEAT_FILE	(SEAT_BASE - 1)
#define SEAT_BITS	11

#define GET(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)

static int64_t
lock_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
lock_byte(int fd, int cmd, struct flock *fl, off_t at)
{
	int	rc;

	*fl = (struct flock) { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };
	while ((rc = fcntl(fd, cmd, fl)) < 0 && errno == EINTR)
		;
	return rc;
}

/* seats */

static uint32_t
seat_number(uint32_t id)
{
	return (id & LOCK_OWNER) - 1;		/* 0 wraps: no seat has that number */
}

static uint32_t
seat_id(uint32_t n, uint32_t generation)
{
	return (generation << SEAT_BITS) | (n + 1);
}

int
shmtab_seat_take(struct shmtab_seat *seat, int fd, struct shmtab_seats *seats, uint32_t old_id)
{
	struct flock fl;
	uint32_t n = seat_number(old_id);
	uint32_t first;

	seat->fd = fd;
	seat->seats = seats;
	seat->id = old_id;
	if (n < SHMTAB_SEATS && seat_id(n, GET(seats->generation[n])) == old_id &&
	    lock_byte(fd, F_OFD_SETLK, &fl, SEAT_BASE + n) == 0)
		return 0;
	first = __atomic_fetch_add(&seats->next, 1, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < SHMTAB_SEATS; i++) {
		n = (first + i) % SHMTAB_SEATS;
		if (lock_byte(fd, F_OFD_SETLK, &fl, SEAT_BASE + n) == 0) {
			seat->id = seat_id(n, __atomic_add_fetch(&seats->generation[n], 1, __ATOMIC_RELAXED));
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES)
			return -1;
	}
	errno = EAGAIN;
	return -1;
}

/* seat_taken - whether a process other than ours sits there */
static bool
seat_taken(const struct shmtab_seat *seat, uint32_t n)
{
	struct flock fl;

	return n < SHMTAB_SEATS && lock_byte(seat->fd, F_OFD_GETLK, &fl, SEAT_BASE + n) == 0 && fl.l_type != F_UNLCK;
}

bool
shmtab_seat_alive(const struct shmtab_seat *seat, uint32_t id)
{
	uint32_t n = seat_number(id);

	if (id == seat->id)
		return true;
	return n < SHMTAB_SEATS && seat_id(n, GET(seat->seats->generation[n])) == id && seat_taken(seat, n);
}

void
shmtab_seat_mend(const struct shmtab_seat *seat)
{
	uint32_t n = seat_number(seat->id);

	if (seat_id(n, GET(seat->seats->generation[n])) != seat->id)
		__atomic_store_n(&seat->seats->generation[n], seat->id >> SEAT_BITS, __ATOMIC_RELAXED);
}

/* locks */

static bool
lock_change(uint32_t *word, uint32_t from, uint32_t to)
{
	bool	done = __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);

	__atomic_thread_fence(__ATOMIC_RELEASE);	/* whoever reads what is written from now on sees the word changed */
	return done;
}

/* lock_sleep - until the word is changed by an unlock, or a slice has passed */
static void
lock_sleep(uint32_t *word, uint32_t value)
{
	struct timespec ts = { 0, LOCK_SLICE_MS * 1000000 };

	/* not a private futex: other processes wake us. EFAULT: the page is gone; then the time passes without it */
	if (syscall(SYS_futex, word, FUTEX_WAIT, value, &ts, NULL, 0) < 0 && errno == EFAULT)
		nanosleep(&ts, NULL);
}

static enum shmtab_locked
lock_slowly(uint32_t *word, const struct shmtab_seat *seat, uint32_t *held_r)
{
	const uint32_t mine = seat_number(seat->id) + 1;
	int64_t start = lock_now_ms(), since = start, now;
	uint32_t w, taken, seen = GET(*word) & ~LOCK_WAIT;
	uint32_t wait = 0;			/* once we slept, others may sleep as well: see to it that they are woken */
	enum shmtab_locked how;

	for (unsigned spins = 0;; spins++) {
		w = GET(*word);
		if ((w & LOCK_OWNER) == 0) {
			*held_r = w | mine | wait;
			if (lock_change(word, w, *held_r))
				return SHMTAB_LOCKED;
			continue;
		}
		if (spins < LOCK_SPINS) {
#if defined(__x86_64__) || defined(__i386__)
			__builtin_ia32_pause();
#endif
			continue;
		}
		now = lock_now_ms();
		if ((w & ~LOCK_WAIT) != seen) {
			seen = w & ~LOCK_WAIT;
			since = now;
		}
		if ((w & LOCK_OWNER) == mine || seat_taken(seat, (w & LOCK_OWNER) - 1)) {
			/* our own seat: a process that we share it with (fork), or damage: time decides */
			how = SHMTAB_LOCKED_FORCE;
			if (now - start >= 2 * SHMTAB_LOCK_MS)
				return SHMTAB_LOCK_BUSY;
		} else
			how = SHMTAB_LOCKED_DEAD;
		if (how == SHMTAB_LOCKED_DEAD || now - since >= SHMTAB_LOCK_MS) {
			taken = ((w & ~LOCK_OWNER) + LOCK_TURN) | mine | wait;
			if (lock_change(word, w, taken)) {
				*held_r = taken;
				return how;
			}
			continue;
		}
		if ((w & LOCK_WAIT) == 0 && !lock_change(word, w, w | LOCK_WAIT))
			continue;
		wait = LOCK_WAIT;
		lock_sleep(word, w | LOCK_WAIT);
	}
}

enum shmtab_locked
shmtab_lock(uint32_t *word, const struct shmtab_seat *seat, uint32_t *held_r)
{
	uint32_t w = GET(*word);

	*held_r = w | (seat_number(seat->id) + 1);
	if ((w & LOCK_OWNER) == 0 && lock_change(word, w, *held_r))
		return SHMTAB_LOCKED;
	return lock_slowly(word, seat, held_r);
}

bool
shmtab_lock_mine(const uint32_t *word, uint32_t held)
{
	return ((GET(*word) ^ held) & ~LOCK_WAIT) == 0;
}

bool
shmtab_unlock(uint32_t *word, uint32_t held)
{
	uint32_t to = (held & ~(LOCK_OWNER | LOCK_WAIT)) + LOCK_TURN;

	if ((held & LOCK_WAIT) == 0 && lock_change(word, held, to))
		return true;
	if (!lock_change(word, held | LOCK_WAIT, to))
		return false;
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	return true;
}

bool
shmtab_lock_free(const uint32_t *word, uint32_t *seen_r)
{
	*seen_r = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	return (*seen_r & LOCK_OWNER) == 0;
}

bool
shmtab_lock_still(const uint32_t *word, uint32_t seen)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);	/* after all that was read */
	return GET(*word) == seen;
}

bool
shmtab_lock_next(uint32_t seen, uint32_t held)
{
	return ((seen ^ held) & ~LOCK_OWNER) == 0;
}

bool
shmtab_lock_inherited(const uint32_t *word, const struct shmtab_seat *seat)
{
	return (GET(*word) & LOCK_OWNER) == seat_number(seat->id) + 1;
}

/* the file's lock */

int
shmtab_file_lock(int fd, int wait_ms)
{
	const struct timespec nap = { 0, 2000000 };
	int64_t end = lock_now_ms() + wait_ms;
	struct flock fl;

	while (lock_byte(fd, F_OFD_SETLK, &fl, SEAT_FILE) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -1;
		if (lock_now_ms() >= end) {
			errno = ETIMEDOUT;
			return -1;
		}
		nanosleep(&nap, NULL);
	}
	return 0;
}

void
shmtab_file_unlock(int fd)
{
	struct flock fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = SEAT_FILE, .l_len = 1 };

	fcntl(fd, F_OFD_SETLK, &fl);
}
