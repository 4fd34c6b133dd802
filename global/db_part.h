/* global/db_part.h - what the parts of db_store share; for them alone
 *   db_store.c	the connection, what its troubles mean, rows, stamps
 *   db_ask.c	claims and reads
 *   db_write.c	dirty records on their way to the database
 *   db_pull.c	other hosts' changes on their way here
 *   db_house.c	which worker does the housework; sweep, clean
 */
#ifndef GLOBAL_DB_PART_H
#define GLOBAL_DB_PART_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include <global/db_store.h>

#define DB_ASK_KEYS	128		/* keys in one claim: 1 or 2 ms of the server's time */
#define DB_ASKS_SENT	4		/* claims under way; more keys gather meanwhile and go together */
#define DB_ASKS_MAX	20000		/* keys that wait; more are decided without the database */
#define DB_WRITE_ROWS	512
#define DB_WRITE_BYTES	((size_t) 1 << 20)
#define DB_WRITES_SENT	2
#define DB_WRITE_MORE	128		/* so many must wait before a second statement goes; fewer gain more by growing */
#define DB_WRITES_MAX	20000		/* records that wait; more stay dirty until a sweep finds them */
#define DB_PULL_ROWS	1000		/* merged in one go: 1 or 2 ms */
#define DB_SENT_MAX	32		/* statements in the pipeline */
#define DB_TICK_MS	50
#define DB_SLOW_MS	500		/* a commit that took longer is stamped again, see db_write.c */

struct db_ask;
struct db_want;
struct db_dirty;
struct db_write;
RB_HEAD(db_wants, db_want);
RB_HEAD(db_dirties, db_dirty);
struct db_blank {			/* a row that voids other entries: these are being looked for */
	TAILQ_ENTRY(db_blank) link;
	struct db_row row;
	unsigned part;
	char	key[];
};

struct db_store {
	struct ev_loop *loop;
	struct db_store_conf conf;
	const struct db_kind *kind;
	void   *kctx;
	struct shmtab *table;
	struct pg *pg;

	bool	 up;
	int64_t	 up_ms;			/* since when */
	bool	 plain;			/* use claim_plain */
	uint32_t seq;			/* low half of the next origin */
	char	 where[256];

	struct db_wants wants;		/* every key that someone waits for */
	TAILQ_HEAD(, db_want) wants_queue;	/* those not sent */
	TAILQ_HEAD(, db_ask) asks;	/* under way */
	unsigned wants_n, asks_sent;
	struct ev_defer ask_defer;

	struct db_dirties dirties;	/* not sent */
	TAILQ_HEAD(, db_dirty) dirty_queue;
	TAILQ_HEAD(, db_write) retries, writes; /* to be sent again; under way */
	unsigned dirty_n, writes_sent;
	struct ev_defer write_defer;

	struct ev_timer tick;
	bool	 leader;
	struct {
		bool	busy, known;	/* known: a pull was completed since this connection began */
		int64_t	begun_ms;	/* the last one */
		int64_t	since, page, seen, newest;
		bool	room, room_second;
		struct { int64_t ms, stamp; } mark[16];	/* the highest stamp at the end of earlier pulls */
		unsigned marks;
	} pull;
	TAILQ_HEAD(, db_blank) blanks;
	struct ev_defer blank_defer;
	bool	 wiping;		/* everything clean goes */
	unsigned wipe_part;
	struct {
		unsigned part;
		bool	 running;
		int64_t	 looked_ms;
	} sweep;
	struct {
		bool	 mine, busy;
		int64_t	 asked_ms, lease_ms;
		uint64_t dropped;
		char	 place[DB_KEY_MAX + 1];
		size_t	 place_len;
	} clean;
};

/* db_store.c */
_Atomic uint64_t *db_word(struct db_store *, int word);
int64_t	db_host(struct db_store *);			/* this host's number, 1 .. 2^31 - 1 */
int64_t	db_origin(struct db_store *);			/* never used before */
int64_t	db_stamps(struct db_store *, unsigned n);	/* the first of n new stamps, one after the other */
void	db_seen(struct db_store *, int64_t stamp);	/* some row has it: ours must be higher */
/* db_row_get - row i of a result; false when it cannot be a record (counted) */
bool	db_row_get(struct db_store *, const PGresult *, int i, struct db_row *);
/* db_table - where tier 1 keeps a key; db_parts, db_part: the parts of all tables as one row of them */
struct shmtab *db_table(struct db_store *, const void *key, size_t key_len);
unsigned db_parts(const struct db_store *);
struct shmtab *db_part(const struct db_store *, unsigned n, unsigned *part_r);
int	db_merge(struct db_store *, const struct db_row *, enum db_news);
/* db_merge_settled - DB_SETTLED where the entry still is the refused value; DB_ASKED where something else came meanwhile */
int	db_merge_settled(struct db_store *, const struct db_row *, const void *value, size_t value_len);
/* db_refused - a statement failed: leave the connection if it is of no use for anything else either */
enum db_trouble { DB_T_CONNECTION, DB_T_AGAIN, DB_T_DATA, DB_T_FEATURE };
enum db_trouble db_refused(struct db_store *, const struct pg_reply *);
bool	db_send(struct db_store *, const char *sql, const struct pg_args *, pg_done_fn *, void *ctx);
bool	db_send_often(struct db_store *, const char *sql, const struct pg_args *, pg_done_fn *, void *ctx);

/* db_ask.c */
void	db_ask_init(struct db_store *);
void	db_ask_fini(struct db_store *);
void	db_ask_later(struct db_store *);		/* send what waits, at the end of this turn */

/* db_write.c */
void	db_write_init(struct db_store *);
void	db_write_fini(struct db_store *);
void	db_write_later(struct db_store *);		/* likewise */

/* db_pull.c */
void	db_pull_start(struct db_store *);
void	db_pull_stop(struct db_store *);		/* the connection was lost */
void	db_blank_later(struct db_store *);		/* look for what is void, in the turns that follow */
void	db_blank_fini(struct db_store *);

/* db_house.c */
void	db_house(struct db_store *);			/* every DB_TICK_MS */
void	db_house_stop(struct db_store *);		/* the connection was lost, or we leave */

#endif
