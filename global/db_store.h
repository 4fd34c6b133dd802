/* global/db_store.h - the tier that all hosts share: records of one kind in PostgreSQL, behind this host's table
 * The host's shared-memory table (tier 1) answers; this module carries records between it and the database, and
 * nothing ever waits for the database longer than it is told to. It knows keys, whole numbers, a text, and when
 * rows change; what they mean, which of two records is right, and the SQL are the kind's (struct db_kind).
 *
 *   ask     a record is wanted that tier 1 does not have, or something is to be claimed: one round trip claims and reads
 *   write   a record of tier 1 is dirty (pinned): write it, many in one statement, and make it clean once committed
 *   pull    what other hosts changed since the last time comes into tier 1; by one worker of the host at a time
 *   sweep   dirty records whose worker is gone, or that could not be written before, are written
 *   clean   expired rows are removed, in small steps, by one host of the site at a time
 *
 * Clocks. Hosts disagree about the time, and transactions commit in another order than they began. So rows are
 * ordered by stamps of a hybrid clock: microseconds of the wall clock, but always above every stamp this host has
 * seen. What was the highest stamp a little longer ago than one pull interval plus the time limit of a statement
 * cannot be undercut any more; each pull reads from there again, and merging twice changes nothing.
 */
#ifndef GLOBAL_DB_STORE_H
#define GLOBAL_DB_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <global/db_conf.h>
#include <util/evloop.h>
#include <util/pg.h>
#include <util/shmtab.h>

#define DB_KEY_MAX	1000	/* bytes; PostgreSQL's index takes no more than 2700, an address has at most 320 */
#define DB_TEXT_MAX	32768	/* bytes of a row's text; a value of tier 1 has no more than half of that */
#define DB_NUMS_MAX	6
#define DB_SCHEMA_VERSION 2

struct db_store;

struct db_row {				/* borrowed during the call that shows it */
	const char *key, *text;
	size_t	    key_len, text_len;
	int64_t	    num[DB_NUMS_MAX];
	int64_t	    changed, origin;
};

enum db_news {				/* why a row is shown to merge() */
	DB_ASKED,			/* it was asked for */
	DB_CLAIMED,			/* likewise, and the claim is ours */
	DB_PULLED,			/* another host changed it */
	DB_PULLED_ROOM,			/* likewise, and tier 1 has plenty of room */
	DB_SETTLED,			/* the database refused our record, as it still is, in favour of this one */
	DB_WRITTEN,			/* the database took our record; this is what it made of it */
};

/* One kind of record. Results of read, pull have the columns: key, changed, origin, text, and the numbers in order. */
struct db_kind {
	const char *name;		/* in log lines */
	int	 schema;		/* the oldest version that has what this kind needs */
	unsigned nums;
	bool	 second;		/* some keys are kept in a table of their own (db_store_conf.second) */
	const char *check;		/* no parameters; one row: version, site, read-only (on or off), encoding, privileges */
	const char *claim;		/* NULL: nothing is claimed. $1 keys, $2 now, $3 origin, then what claim_args adds */
	const char *claim_plain;	/* the same for engines that refuse `claim` as a feature they lack (0A000) */
	const char *read;		/* $1 keys */
	const char *write;		/* $1 keys, $2 texts, $3 stamps, $4 origin, $5... one array per number, then what
					 * write_args adds; returns the keys that were written, not those whose row is better;
					 * or their whole rows: then each is merged (DB_WRITTEN) */
	const char *release;		/* $1 key, $2 tag, $3 stamp, $4 $5 lowest and highest origin of this host, $6 now */
	const char *pull;		/* $1 above this stamp, $2 $3 origins to leave out, $4 at most so many; ordered */
	const char *newest;		/* the highest stamp */
	const char *clean_to;		/* $1 key, $2 n: the key n places after it; none: fewer are left */
	const char *clean;		/* $1 above this key, $2 up to this, $3 1: to the end, then what clean_args adds */

	void	 (*claim_args)(void *ctx, int64_t now_s, struct pg_args *);
	void	 (*clean_args)(void *ctx, int64_t now_s, struct pg_args *);
	void	 (*write_args)(void *ctx, struct pg_args *);	/* may be NULL, as those that follow */
	/* is_second: whether a key belongs into the second table */
	bool	 (*is_second)(const void *key, size_t key_len);
	/* may_clean: whether this host's clock can be trusted with removing rows */
	bool	 (*may_clean)(void *ctx);
	/* up: there is a connection, and db_store_write can be called */
	void	 (*up)(void *ctx);
	/* cleaned: the rows that `clean` returned; NULL: the run is complete */
	void	 (*cleaned)(void *ctx, const struct pg_lib *, const PGresult *);
	/* valid: whether a row can be a record at all; others are counted and ignored */
	bool	 (*valid)(const struct db_row *);
	/* encode: the entry as a row, good until the next call; when_s: how old its news is. false: not a record for the database */
	bool	 (*encode)(void *ctx, const void *key, size_t key_len, const struct shmtab_val *, struct db_row *, int64_t *when_s);
	/* merge: what becomes of the entry (as shmtab_fn). self is the mark for a claim of this process */
	enum shmtab_act (*merge)(void *ctx, const struct db_row *, enum db_news, uint32_t self,
	    const struct shmtab_val *old, struct shmtab_val *new_r);
	/* broad: this row says something about other keys as well; voids: namely what becomes of this entry (as shmtab_fn) */
	bool	 (*broad)(const struct db_row *);
	enum shmtab_act (*voids)(void *ctx, const struct db_row *, const void *key, size_t key_len, const struct shmtab_val *old,
	    struct shmtab_val *new_r);
};

/* shared words of the table (shmtab_words), from conf.words on */
enum { DB_WORD_HOST, DB_WORD_SITE, DB_WORD_CLOCK, DB_WORD_SINCE, DB_WORD_LEADER, DB_WORD_LOGGED, DB_WORD_UP_MS,
	DB_WORD_DOWN_MS, DB_WORDS };

/* db_state - what these words say about the connections of the host's workers; NONE: there is no database, or no worker */
enum db_state { DB_STATE_NONE, DB_STATE_UP, DB_STATE_PARTLY, DB_STATE_DOWN };
enum db_state db_state(const _Atomic uint64_t *words);

struct db_store_conf {
	const struct pg_lib *lib;
	const struct db_conf *where;	/* borrowed */
	unsigned words;
	int64_t	 timeout_ms;		/* address_verify_map_timeout */
	int64_t	 sync_ms;		/* address_verify_sync_interval */
	int64_t	 clean_s;		/* between two removals of expired rows; 0: never */
	struct shmtab *second;		/* for kinds that want one; borrowed */
	const char *host_name;		/* for people; borrowed */
};

struct db_store *db_store_new(struct ev_loop *, const struct db_store_conf *, const struct db_kind *, void *kind_ctx,
	    struct shmtab *);
void	db_store_free(struct db_store **);	/* callbacks that are due are not run */

/* db_store_usable - whether it makes sense to let someone wait for the database now */
bool	db_store_usable(const struct db_store *);

enum db_answer { DB_FOUND, DB_IS_OURS, DB_ABSENT, DB_NO_ANSWER };
/* db_ask_fn - FOUND, IS_OURS (the claim): tier 1 has the row now, and here it is. ABSENT (look only): there is no row.
 * NO_ANSWER: decide without */
typedef void db_ask_fn(void *ctx, enum db_answer, const struct db_row *);
/* db_store_ask - false: cannot ask now, fn is not called; else it is called once, within timeout_ms */
bool	db_store_ask(struct db_store *, const char *key, size_t key_len, db_ask_fn *, void *ctx);
/* db_store_look - the same without a claim: what is looked at in one turn of the loop is read by one statement */
bool	db_store_look(struct db_store *, const char *key, size_t key_len, db_ask_fn *, void *ctx);

/* db_write_fn - committed: the database has decided about the record. If not, it is kept here and written later */
typedef void db_write_fn(void *ctx, bool committed);
/* db_store_write - write the record that tier 1 has for key; fn may be NULL; false as above
 * A record counts as written when it has the bytes that were: one that differs from another must not have those of one before */
bool	db_store_write(struct db_store *, const char *key, size_t key_len, db_write_fn *, void *ctx);
/* db_store_rewrite - the same for a record that may be clean: it is written all the same */
bool	db_store_rewrite(struct db_store *, const char *key, size_t key_len);
/* db_store_release - the claim that was made at second `tag` will lead to nothing: let others make it */
void	db_store_release(struct db_store *, const char *key, size_t key_len, int64_t tag);

#endif
