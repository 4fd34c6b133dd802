/* util/shmtab_lock.h - who has a table file open, and locks in it whose owner may die at any instruction
 * Each attached process has a seat: an open-file-description lock on one byte far behind the file's data. The kernel
 * drops it when the process is gone, however it went. A lock is one 32-bit word that names its owner's seat, so whoever
 * waits can ask the kernel whether the owner lives. Pthread's robust mutexes would do the same, but they keep
 * pointers in the shared page and check them by assertion: a damaged byte could end a process.
 * Nothing found in shared memory is trusted: an owner that cannot be is treated as dead.
 */
#ifndef UTIL_SHMTAB_LOCK_H
#define UTIL_SHMTAB_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#define SHMTAB_SEATS	1024

/* the shared part: one per file */
struct shmtab_seats {
	uint32_t next;			/* where to look for a free seat: round, so that numbers rest before reuse */
	uint32_t generation[SHMTAB_SEATS]; /* counts who sat there */
};

struct shmtab_seat {
	int	 fd;			/* its own open file description; borrowed */
	struct shmtab_seats *seats;	/* in shared memory */
	uint32_t id;			/* seat number + 1, and generation; never 0 */
};

/* shmtab_seat_take - sit down; old_id is kept when that seat is free and nobody sat there since (0: any seat)
 * returns   0, or -1 with errno (EAGAIN: all seats are taken). Closing the file leaves the seat. */
int	shmtab_seat_take(struct shmtab_seat *, int fd, struct shmtab_seats *, uint32_t old_id);
/* shmtab_seat_alive - whether the process with that id is still there; costs a system call */
bool	shmtab_seat_alive(const struct shmtab_seat *, uint32_t id);
/* shmtab_seat_mend - put our generation back if it was damaged */
void	shmtab_seat_mend(const struct shmtab_seat *);

enum shmtab_locked {
	SHMTAB_LOCKED,
	SHMTAB_LOCKED_DEAD,	/* its owner died: what the lock guards may be half changed */
	SHMTAB_LOCKED_FORCE,	/* its owner lives, but did not move for SHMTAB_LOCK_MS: likewise */
	SHMTAB_LOCK_BUSY,	/* not had within twice that time */
};

/* shmtab_lock - held_r is what shmtab_unlock wants; two atomic operations for both when nobody competes */
enum shmtab_locked shmtab_lock(uint32_t *word, const struct shmtab_seat *, uint32_t *held_r);
/* shmtab_lock_mine - false: it was taken from us by force */
bool	shmtab_lock_mine(const uint32_t *word, uint32_t held);
/* shmtab_unlock - false: it was taken from us, and is not released */
bool	shmtab_unlock(uint32_t *word, uint32_t held);
/* Reading without the lock: shmtab_lock_free - nobody holds it; shmtab_lock_still - and nobody has held it since, so what was read
 * in between is of one moment; shmtab_lock_next - it is held by us, and nobody has held it since
 * seen_r    what the other two want */
bool	shmtab_lock_free(const uint32_t *word, uint32_t *seen_r);
bool	shmtab_lock_still(const uint32_t *word, uint32_t seen);
bool	shmtab_lock_next(uint32_t seen, uint32_t held);
/* shmtab_lock_inherited - the word names this seat as owner, though it has just sat down: its predecessor died */
bool	shmtab_lock_inherited(const uint32_t *word, const struct shmtab_seat *);

/* shmtab_file_lock - for whoever makes or replaces the file; 0, or -1 (ETIMEDOUT). Closing the file releases it */
int	shmtab_file_lock(int fd, int wait_ms);
void	shmtab_file_unlock(int fd);

#endif
