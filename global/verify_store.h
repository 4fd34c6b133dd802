/* global/verify_store.h - address status: verify(8)'s records in this host's shared-memory table, and behind it, if
 * there is one, in the database that all hosts share
 * Joins address_record (rules) and shmtab (bytes): each call is one step for all workers of the host, so of all of
 * them one claims the probe. Holds no clock; blocks at most for a shard lock (shmtab.h).
 * With a database (verify_store_connect), claims are made there, so of all hosts one probes; results are written there; and
 * what other hosts learn arrives by itself. What the database does not answer in time is decided here alone.
 * A claim carries its worker's id until the probe was submitted; if that worker is gone, the next query takes the
 * claim over, so a killed worker's waiting probes are not lost for the probe's lifetime.
 */
#ifndef GLOBAL_VERIFY_STORE_H
#define GLOBAL_VERIFY_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <global/address_record.h>
#include <global/db_store.h>
#include <util/buf.h>
#include <util/evloop.h>
#include <util/shmtab.h>

#define VERIFY_STORE_FILE "verify_cache.vouch"	/* in data_directory */

/* the table's shared words: counters from the first on, the database's from here on, the last three the daemon's */
#define VERIFY_STORE_WORDS	(SHMTAB_WORDS - 3 - DB_WORDS)

struct verify_store;

struct verify_store_conf {
	struct address_rules rules;
	bool	 smtputf8;		/* keys must be valid UTF-8 then */
	uint64_t bytes;
};

/* verify_store_open - dirfd is data_directory; -1: private memory that no other process shares
 * why	     on failure, one line; the store is usable all the same, in private memory, and -1 is returned
 * returns   0, or -1: the shared file could not be had */
int	verify_store_open(struct verify_store **, int dirfd, const struct verify_store_conf *, struct buf *why);
void	verify_store_close(struct verify_store **);
/* verify_store_connect - add the database
 * conf	     words is set here; what it points to must outlive the store
 * commit_wait	whether updates are acknowledged when they are committed (VERIFY_WRITING), or before */
void	verify_store_connect(struct verify_store *, struct ev_loop *, const struct db_store_conf *, bool commit_wait);

struct verify_store_answer {
	enum verify_status status;
	const char *text;	/* NUL-terminated, borrowed until the next call for this store */
	bool	probe;		/* the caller has the claim now: it must submit a probe, then say submitted or release */
	bool	adopted;	/* the claim was a dead worker's */
	bool	ask;		/* a probe is due, if no other host has the claim: verify_store_ask will tell */
	bool	unavailable;	/* not looked up: table busy, or address too long */
	int64_t tag;		/* of the claim */
};

void	verify_store_query(struct verify_store *, const char *addr, int64_t now_s, struct verify_store_answer *);
/* verify_store_ask - ask the database, after a query whose answer has `ask`
 * fn	     called once, later, within the database's time limit, with the answer that holds then; addr is what was asked for.
 *	     Nobody else is given a claim that it brings, so it must be run even when the client is gone. */
typedef void verify_store_asked_fn(void *ctx, const char *addr, const struct verify_store_answer *);
void	verify_store_ask(struct verify_store *, const char *addr, verify_store_asked_fn *fn, void *ctx);

enum verify_store_update { VERIFY_STORED, VERIFY_WRITING, VERIFY_IGNORED, VERIFY_LOST };
/* verify_store_update - LOST: table busy, or an address that cannot be a key; text is stored as it is (sanitise first) */
enum verify_store_update verify_store_update(struct verify_store *, const char *addr, enum verify_status,
	    const char *text, int64_t now_s);
/* verify_store_update_then - the same; WRITING: stored here, and on its way to the database. Then, and only then, fn is
 * called, once, later: when it is committed, or the database's time is up (it will be written later) */
typedef void verify_store_written_fn(void *ctx);
enum verify_store_update verify_store_update_then(struct verify_store *, const char *addr, enum verify_status,
	    const char *text, int64_t now_s, verify_store_written_fn *fn, void *ctx);
/* verify_store_look - what this host knows about an address, changing nothing; the database is not asked
 * rec_r     on 1; its text is borrowed until the next call for this store, and NUL-terminated
 * returns   1, 0 nothing is known, -1 table busy, or an address that cannot be a key */
int	verify_store_look(struct verify_store *, const char *addr, struct address_record *rec_r);
/* for commands, which have no loop:
 * verify_store_put	a result from elsewhere, with its time: stored unless ours is as new, or OK and this is not
 * verify_store_forget	1 an entry is gone, 0 there was none, -1 table busy
 * verify_store_forget_domain	all entries of a domain, whatever their case; returns how many */
enum verify_store_update verify_store_put_result(struct verify_store *, const char *addr, enum verify_status,
	    const char *text, int64_t updated_s);
int	verify_store_forget(struct verify_store *, const char *addr);
uint64_t verify_store_forget_domain(struct verify_store *, const char *domain);
/* verify_store_submitted, verify_store_release - the end of the claim `tag`: the probe is on its way, or will never be */
void	verify_store_submitted(struct verify_store *, const char *addr, int64_t tag);
void	verify_store_release(struct verify_store *, const char *addr, int64_t tag, int64_t now_s);

/* verify_store_clean - cache cleanup of one part (0 .. parts - 1); counts are added to; -1: part busy, nothing done */
unsigned verify_store_parts(const struct verify_store *);
int	verify_store_clean(struct verify_store *, unsigned part, int64_t now_s, uint64_t *retained, uint64_t *dropped);
/* verify_store_changes - a number that changes when something near addr was written (shmtab_changes) */
uint64_t verify_store_changes(struct verify_store *, const char *addr);
/* verify_store_check - once a second: follow a replaced file; -1 with why: private memory from now on */
int	verify_store_check(struct verify_store *, struct buf *why);
struct shmtab *verify_store_table(struct verify_store *);	/* for counters and statistics */

#endif
