/* global/db_pull.c - other hosts' changes on their way into this host's table
 * A pull reads, page by page, the rows with stamps above `since`. Hosts' hybrid clocks agree to within one pull
 * interval, and a statement is committed within its time limit or stamped again; so a stamp that was the highest one a
 * little longer ago than both together cannot be undercut any more, and `since` moves up to it. What lies between is
 * read more than once, which changes nothing. `since` is shared by the workers of the host, and survives them.
 * A host that was away for too long, or finds another database, does not read everything that happened: it forgets
 * what it has, except what it still owes the database, and asks anew.
 */
#include "db_part.h"

#include <string.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define DB_PULL_BACK_US	((int64_t) 60 * 1000000)	/* below the newest stamp, when there is no other place to begin */
#define DB_PULL_EMPTY_US ((int64_t) 3600 * 1000000)	/* below the clock, when there are no rows */
#define DB_PULL_AGE_US	((int64_t) 20 * 3600 * 1000000)	/* tombstones live for a day */
#define DB_BLANKS_MAX	64				/* more at a time: forget everything instead */
#define DB_PULL_STAMP	1				/* column: see struct db_kind */

static void	db_pull_page(struct db_store *);

/* rows that say something about other entries as well */

struct db_blanking {
	struct db_store *ds;
	const struct db_row *row;
	bool	 some_change;			/* entries were met that are to be changed, not dropped */
	const void *key;
	size_t	 key_len;
};

static enum shmtab_act
db_blank_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	const struct db_blanking *b = ctx;

	return old == NULL ? SHMTAB_KEEP : b->ds->kind->voids(b->ds->kctx, b->row, b->key, b->key_len, old, new);
}

/* db_blank_keep_fn - most entries that change go; they go at once */
static bool
db_blank_keep_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	struct db_blanking *b = ctx;
	struct shmtab_val new = { .data = NULL };
	enum shmtab_act act = b->ds->kind->voids(b->ds->kctx, b->row, key, key_len, v, &new);

	if (act == SHMTAB_PUT)
		b->some_change = true;
	return act != SHMTAB_DELETE;
}

/* db_blank_change_fn - the few that are left, as claims are; what we are shown is a copy, so each is looked at again */
static bool
db_blank_change_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	struct db_blanking *b = ctx;
	struct shmtab_val new = { .data = NULL };

	b->key = key;
	b->key_len = key_len;
	if (db_blank_fn(b, v, &new) == SHMTAB_PUT)
		(void) shmtab_modify(db_table(b->ds, key, key_len), key, key_len, ev_wall_s(b->ds->loop), db_blank_fn, b);
	return true;
}

static bool
db_wipe_keep_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	(void) ctx;
	(void) key;
	(void) key_len;
	return v->pinned;
}

/* db_blank_turn - one part of the table in each turn of the loop, so that a client waits for one at most */
static void
db_blank_turn(void *ctx)
{
	struct db_store *ds = ctx;
	struct db_blank *b = TAILQ_FIRST(&ds->blanks);
	unsigned parts = db_parts(ds), part;
	struct shmtab *table;
	uint64_t kept = 0, gone = 0;

	if (!ds->leader)
		return;
	if (ds->wiping) {
		table = db_part(ds, ds->wipe_part, &part);
		(void) shmtab_clean(table, part, db_wipe_keep_fn, ds, &kept, &gone);
		if (++ds->wipe_part >= parts)
			ds->wiping = false;
	} else if (b != NULL) {
		struct db_blanking blanking = { .ds = ds, .row = &b->row };

		table = db_part(ds, b->part, &part);
		(void) shmtab_clean(table, part, db_blank_keep_fn, &blanking, &kept, &gone);
		if (blanking.some_change)
			(void) shmtab_walk(table, part, db_blank_change_fn, &blanking);
		if (++b->part >= parts) {
			TAILQ_REMOVE(&ds->blanks, b, link);
			mem_free(&b);
		}
	}
	db_blank_later(ds);
}

void
db_blank_later(struct db_store *ds)
{
	if (ds->wiping || !TAILQ_EMPTY(&ds->blanks))
		ev_defer_set(ds->loop, &ds->blank_defer, db_blank_turn, ds);
}

void
db_blank_fini(struct db_store *ds)
{
	struct db_blank *b;

	ev_defer_cancel(ds->loop, &ds->blank_defer);
	while ((b = TAILQ_FIRST(&ds->blanks)) != NULL) {
		TAILQ_REMOVE(&ds->blanks, b, link);
		mem_free(&b);
	}
}

static void
db_wipe(struct db_store *ds)
{
	db_blank_fini(ds);
	ds->wiping = true;
	ds->wipe_part = 0;
}

static void
db_blank_add(struct db_store *ds, const struct db_row *row)
{
	struct db_blank *b;
	unsigned n = 0;

	TAILQ_FOREACH(b, &ds->blanks, link) {
		if (b->row.changed == row->changed && b->row.key_len == row->key_len &&
		    memcmp(b->key, row->key, row->key_len) == 0)
			return;				/* pulled again */
		n++;
	}
	if (ds->wiping || n >= DB_BLANKS_MAX) {
		db_wipe(ds);
		return;
	}
	b = mem_alloc(sizeof *b + row->key_len);
	b->row = *row;
	memcpy(b->key, row->key, row->key_len);
	b->row.key = b->key;
	b->row.text = "";
	b->row.text_len = 0;
	TAILQ_INSERT_TAIL(&ds->blanks, b, link);
}

/* since */

/* db_pull_mark - a pull is complete: remember the highest stamp, and move `since` to one that is old enough */
static void
db_pull_mark(struct db_store *ds)
{
	int64_t now = ev_now_ms(ds->loop), old_enough = now - ds->conf.sync_ms - ds->conf.timeout_ms - DB_TICK_MS;
	unsigned n = 0;

	if (ds->pull.marks == NELEM(ds->pull.mark))
		memmove(ds->pull.mark, ds->pull.mark + 1, --ds->pull.marks * sizeof ds->pull.mark[0]);
	ds->pull.mark[ds->pull.marks].ms = now;
	ds->pull.mark[ds->pull.marks++].stamp = ds->pull.seen;
	while (n < ds->pull.marks && ds->pull.mark[n].ms <= old_enough)
		n++;
	if (n == 0)
		return;
	if (ds->pull.mark[n - 1].stamp > ds->pull.since)
		ds->pull.since = ds->pull.mark[n - 1].stamp;
	ds->pull.marks -= n - 1;		/* the last old one stays, as the place to be */
	memmove(ds->pull.mark, ds->pull.mark + n - 1, ds->pull.marks * sizeof ds->pull.mark[0]);
	atomic_store(db_word(ds, DB_WORD_SINCE), (uint64_t) ds->pull.since);
}

/* pages */

static void
db_pull_over(struct db_store *ds, bool complete)
{
	ds->pull.busy = false;
	if (!complete)
		return;
	ds->pull.known = true;
	if (ds->pull.newest > ds->pull.seen)
		ds->pull.seen = ds->pull.newest;
	db_pull_mark(ds);
}

/* db_pull_turn - from a full page to the next; false: it leads nowhere
 * The next begins with the stamp this one ended with: hosts that write at the same time may give the same, and some rows that
 * have it may not have come yet. Unless nothing else came: then it begins behind it. */
static bool
db_pull_turn(struct db_store *ds, const PGresult *res, int n)
{
	int64_t before = ds->pull.page, last;

	if (!pg_int(ds->conf.lib, res, n - 1, DB_PULL_STAMP, &last) || last <= before)
		return false;
	ds->pull.page = last - 1 > before ? last - 1 : last;
	return true;
}

static void
db_pulled(void *ctx, const struct pg_reply *r)
{
	struct db_store *ds = ctx;
	struct db_row row;
	int	n = r->result == PG_DONE ? ds->conf.lib->ntuples(r->res) : 0;

	if (r->result == PG_REFUSED)
		(void) db_refused(ds, r);
	if (r->result != PG_DONE) {
		db_pull_over(ds, false);
		return;
	}
	for (int i = 0; i < n; i++) {
		if (!db_row_get(ds, r->res, i, &row))
			continue;
		if (row.changed > ds->pull.seen) {
			ds->pull.seen = row.changed;
			stats_add(STAT_db_pulled, 1);
		}
		if (ds->kind->broad(&row)) {
			db_seen(ds, row.changed);
			db_blank_add(ds, &row);
		} else
			(void) db_merge(ds, &row, (db_table(ds, row.key, row.key_len) == ds->table ? ds->pull.room :
			    ds->pull.room_second) ? DB_PULLED_ROOM : DB_PULLED);
	}
	if (n >= DB_PULL_ROWS && db_pull_turn(ds, r->res, n))
		db_pull_page(ds);
	else
		db_pull_over(ds, true);
}

static void
db_pull_page(struct db_store *ds)
{
	struct pg_args a;
	int64_t host = db_host(ds);

	pg_args_init(&a);
	pg_arg_int(&a, ds->pull.page);
	pg_arg_int(&a, host << 32);
	pg_arg_int(&a, (host << 32) + UINT32_MAX);
	pg_arg_int(&a, DB_PULL_ROWS);
	if (!db_send(ds, ds->kind->pull, &a, db_pulled, ds))
		db_pull_over(ds, false);
	pg_args_fini(&a);
}

/* db_pull_place - the first pull of a connection: where did this host get to, and is that worth going on from?
 * newest    the highest stamp in the database; 0: no rows */
static void
db_pull_place(struct db_store *ds, int64_t newest)
{
	int64_t since = (int64_t) atomic_load(db_word(ds, DB_WORD_SINCE));

	if (since <= 0 || since > newest + DB_PULL_AGE_US || newest - since > DB_PULL_AGE_US) {
		if (since != 0) {
			msg_info("%s: this host was away for too long, or with another database: it asks anew", ds->where);
			db_wipe(ds);
		}
		since = newest != 0 ? newest - DB_PULL_BACK_US : db_stamps(ds, 1) - DB_PULL_EMPTY_US;
		since = since > 0 ? since : 0;
	}
	ds->pull.since = ds->pull.seen = since + 1;
	ds->pull.marks = 0;
	atomic_store(db_word(ds, DB_WORD_SINCE), (uint64_t) ds->pull.since);
}

static void
db_newest(void *ctx, const struct pg_reply *r)
{
	struct db_store *ds = ctx;
	struct shmtab_stat st;
	int64_t newest = 0;

	if (r->result == PG_REFUSED)
		(void) db_refused(ds, r);
	if (r->result != PG_DONE) {
		db_pull_over(ds, false);
		return;
	}
	if (ds->conf.lib->ntuples(r->res) > 0 && (!pg_int(ds->conf.lib, r->res, 0, 0, &newest) || newest < 0))
		newest = 0;
	db_seen(ds, newest);
	if (ds->pull.since == 0)
		db_pull_place(ds, newest);
	if (newest > ds->pull.seen)		/* our own rows are not pulled, but others have seen them */
		ds->pull.newest = newest;
	shmtab_stat(ds->table, &st);
	ds->pull.room = st.free_bytes > st.bytes / 2;
	if (ds->kind->second) {
		shmtab_stat(ds->conf.second, &st);
		ds->pull.room_second = st.free_bytes > st.bytes / 2;
	}
	ds->pull.page = ds->pull.since;
	db_pull_page(ds);
}

void
db_pull_start(struct db_store *ds)
{
	ds->pull.busy = true;
	ds->pull.begun_ms = ev_now_ms(ds->loop);
	if (!db_send(ds, ds->kind->newest, NULL, db_newest, ds))
		db_pull_over(ds, false);
}

void
db_pull_stop(struct db_store *ds)
{
	ds->pull.known = false;
	ds->pull.since = 0;			/* look again where we are, and where others have got to */
}
