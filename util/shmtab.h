/* util/shmtab.h - a bounded hash table in a file that several processes map
 * Keys and values are bytes; what they mean, and when a value is worth nothing, is the
 * caller's. It never grows: when full, expired entries go first, then those not used lately.
 * Looking writes nothing, except that an entry of some age was of use.
 * Every record carries a keyed checksum over key and value and is copied out before it is believed, so
 * a damaged file costs entries, never a process and never a lie. A process killed at any instruction
 * leaves a table that the others go on using, with every entry whose shmtab_modify had returned; a loose value (shmtab_val) may be lost.
 * It is not a database: entries may be evicted at any time, unless pinned.
 * Layout and recovery: shmtab_part.c; locks: shmtab_lock.h; the file: shmtab_file.h. Only shmtab.h is for callers.
 * A table is one thread's. After fork, parent and child are one and the same for everybody else: they have one id, and it
 * is alive until both are gone. So only one of them may go on using the table (a draining worker forks, the parent
 * exits); a child that wants to use it beside its parent opens it again.
 */
#ifndef UTIL_SHMTAB_H
#define UTIL_SHMTAB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHMTAB_KEY_MAX	 8192		/* longer keys are refused (EMSGSIZE) */
#define SHMTAB_VAL_MAX	 (16 * 1024)	/* likewise values */
#define SHMTAB_BYTES_MIN ((uint64_t) 1 << 20)
#define SHMTAB_WORDS	 256		/* shared words of the caller, see shmtab_words */

struct shmtab;

struct shmtab_val {
	const void *data;	/* borrowed: valid during the call that shows it */
	size_t	    len;
	int64_t	    expire_s;	/* wall clock; after it the entry is first to be evicted; 0 = never */
	uint32_t    mark;	/* the caller's; can be changed in place with shmtab_mark; not under the checksum */
	bool	    loose;	/* put: may be lost if this process dies just now; an old value of this length is overwritten then, which
				 * spares a place in the table. Not seen in what is there */
	bool	    pinned;	/* not evicted, whatever its age; at most half of a part may be pinned, put fails with ENOSPC then */
};

struct shmtab_stat {
	uint64_t bytes;		/* size of the file */
	uint64_t entries, pinned, key_val_bytes; /* live entries; bytes of their keys and values */
	uint64_t free_bytes;	/* room for records before something must go */
	uint64_t evicted, expired;	/* live entries that went for want of room; expired ones that went */
	uint64_t damaged;	/* records or structures found damaged and dropped */
	uint64_t recovered;	/* parts rebuilt because a lock's owner had died */
	uint64_t stolen;	/* locks taken from a live owner after the time limit (a stopped process) */
	uint64_t rebuilt;	/* 1 when this handle found a file that was no usable table, and put a new one in its place */
};

/* shmtab_open - attach to dirfd/name, making it when it is missing, of another version or size, or unusable
 * name      file name inside dirfd (which is duplicated and kept: re-attaching works after chroot); NULL name:
 *	     anonymous memory of this process
 * bytes     size of the whole file, >= SHMTAB_BYTES_MIN, rounded down to pages; allocated on disk at once, so a full
 *	     disk shows here and not as a signal later. A file of another size is replaced and its entries are
 *	     carried over, the least useful ones excepted if it is smaller.
 * why_r     static text; on failure, with errno; on success NULL, or why the table had to be left in its old size
 * returns   0 or -1. Never ends the process; a file that is not a table is replaced, *not* an error (`rebuilt`).
 * blocks    while others make or replace the file, at most 10 s
 * A handler for SIGBUS is installed: a file that is cut short costs its entries, and not the process.
 */
int	shmtab_open(struct shmtab **, int dirfd, const char *name, uint64_t bytes, const char **why_r);
/* shmtab_open_hashed - likewise, for keys that are keyed hashes themselves: no stranger can choose them so that they fall on one place, and
 * they need no other keyed hash for that */
int	shmtab_open_hashed(struct shmtab **, int dirfd, const char *name, uint64_t bytes, const char **why_r);
/* shmtab_open_read - attach for looking only (commands): never creates, replaces or repairs; -1 when there is none */
int	shmtab_open_read(struct shmtab **, int dirfd, const char *name, const char **why_r);
void	shmtab_close(struct shmtab **);

/* shmtab_get - copy the value for key
 * data      size bytes; at most size bytes are copied, v_r->len tells the whole length, v_r->data = data
 * returns   1 found (expired or not), 0 not found, -1 the lock could not be had, or the table is just being
 *	     replaced by one of another size (errno EBUSY)
 * blocks    while somebody changes the part that the key lives in; at most 2 * SHMTAB_LOCK_MS
 */
int	shmtab_get(struct shmtab *, const void *key, size_t keylen, void *data, size_t size, struct shmtab_val *v_r);

/* shmtab_get_all - shmtab_get for several keys, in this order: their memory is on its way side by side, which is most of the time
 * that looking takes in a table larger than the processor's caches
 * shmtab_aim     comes before it, and best some other work between the two
 */
struct shmtab_look {
	struct shmtab *table;
	const void *key;
	size_t	keylen;
	void   *data;			/* size bytes */
	size_t	size;
	bool	put;			/* as a rule it is not there, and put afterwards: have the memory for that on its way, too */
	struct shmtab_val val;		/* filled in when found > 0 */
	int	found;			/* as shmtab_get returns */
	uint64_t hash;			/* shmtab_aim's */
	uint32_t epoch;
};
void	shmtab_aim(struct shmtab_look *, size_t n);
void	shmtab_get_all(struct shmtab_look *, size_t n);

enum shmtab_act { SHMTAB_KEEP, SHMTAB_PUT, SHMTAB_DELETE };
/* shmtab_fn - decide about one entry; must be quick, must not call the table
 * old NULL: no entry. For SHMTAB_PUT fill new_r (zeroed before); new_r->data must stay valid until
 * shmtab_modify returns */
typedef enum shmtab_act shmtab_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new_r);

/* shmtab_modify - look, decide and change as one step for all processes
 * now_s     wall clock, for "expired first"
 * returns   0; or -1: EBUSY as above, EMSGSIZE, ENOSPC (too much pinned): nothing was changed
 * blocks    as shmtab_get; with the lock held makes room for the new value, which moves other entries of the part
 */
int	shmtab_modify(struct shmtab *, const void *key, size_t keylen, int64_t now_s, shmtab_fn *, void *ctx);

/* shmtab_mark - set the mark of key's entry to `to` if it is `from`; in place, cheap. 1 done, 0 not so, -1 EBUSY */
int	shmtab_mark(struct shmtab *, const void *key, size_t keylen, uint32_t from, uint32_t to);

/* shmtab_clean - show every entry of one part of the table to keep(); those it returns false for are dropped
 * part      0 .. shmtab_parts() - 1; a part is small enough to be done in one go of an event loop (< 2 ms)
 */
typedef bool shmtab_keep_fn(void *ctx, const void *key, size_t keylen, const struct shmtab_val *);
unsigned shmtab_parts(const struct shmtab *);
int	shmtab_clean(struct shmtab *, unsigned part, shmtab_keep_fn *keep, void *ctx,
	    uint64_t *retained, uint64_t *dropped);
/* shmtab_walk - the same for looking only: entries are copied out under the lock, shown after it; fn false ends it */
int	shmtab_walk(struct shmtab *, unsigned part, shmtab_keep_fn *fn, void *ctx);

/* Who has this table open: each attached process has an id that is never used again while it matters.
 * shmtab_self   this process's id, never 0
 * shmtab_alive  whether the process with that id still has the table open (true for self); costs a system call
 */
uint32_t shmtab_self(const struct shmtab *);
bool	shmtab_alive(struct shmtab *, uint32_t id);

/* shmtab_check - once a second or so: re-attach when the file was replaced or lost under us
 * returns   0, or -1 with errno and why_r: then the table goes on with what it has, and the next check tries again */
int	shmtab_check(struct shmtab *, const char **why_r);
/* shmtab_words - SHMTAB_WORDS words shared by all: counters, stamps. Survive as the table does; believe nothing.
 * The pointer is valid until the next call for this table, which may have to re-attach */
_Atomic uint64_t *shmtab_words(struct shmtab *);
/* shmtab_changes - a number that changes whenever the part of the table that key lives in was written */
uint64_t shmtab_changes(struct shmtab *, const void *key, size_t keylen);
void	shmtab_stat(struct shmtab *, struct shmtab_stat *);

#define SHMTAB_LOCK_MS	1000	/* an owner that holds a part's lock for so long loses it, and the part is rebuilt */

#endif
