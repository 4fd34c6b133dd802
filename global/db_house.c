/* global/db_house.c - which worker does the housework, and the housework: pull, sweep, clean
 * One worker of the host at a time pulls and sweeps: the one whose id stands in a shared word, with the time when it last
 * said so. It loses the office with its connection, or by being silent.
 * One host of the site at a time removes expired rows: the one that has the lease, a row in the database. It goes
 * through the table by key, a few rows at a time, so it needs no index and disturbs nobody; where it got to is
 * in the lease, too.
 */
#include "db_part.h"

#include <string.h>

#include <global/stats.h>
#include <util/msg.h>

#define DB_LEADER_MS	1000		/* a leader that was silent for so long has died, or is stopped */
#define DB_SWEEP_MS	1000		/* between two looks whether something is dirty */
#define DB_SWEEP_AGE_S	2		/* younger records are still on their way */
#define DB_CLEAN_ROWS	1000
#define DB_CLEAN_ASK_MS	60000		/* between two tries to get the lease */
#define DB_LEASE_US	((int64_t) 120 * 1000000)

/* the lease; its rows are no records of any kind. A time that is further ahead than hosts' clocks differ is one of a clock that was
 * wrong: it must not keep all of them from cleaning until then. Two that clean at once do no harm */
static const char db_lease_sql[] =
	"INSERT INTO vouch_lease AS l (name, holder, until, place, done)"
	" VALUES ($1::text, $2::bigint, $3::bigint + $4::bigint, ''::text, 0)"
	" ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"
	" WHERE (l.holder = excluded.holder OR l.until < $3::bigint OR l.until > $3::bigint + 2 * $4::bigint)"
	" AND (l.done < $5::bigint OR l.done > $3::bigint + $4::bigint)"
	" RETURNING place";
static const char db_lease_keep_sql[] =
	"UPDATE vouch_lease SET until = $3::bigint, place = $4::text, done = $5::bigint"
	" WHERE name = $1::text AND holder = $2::bigint";
static const char db_host_sql[] =
	"INSERT INTO vouch_host (id, name, seen) VALUES ($1::bigint, $2::text, $3::bigint)"
	" ON CONFLICT (id) DO UPDATE SET name = excluded.name, seen = excluded.seen";

/* the office */

static bool
db_lead(struct db_store *ds)
{
	_Atomic uint64_t *w = db_word(ds, DB_WORD_LEADER);
	uint64_t old = atomic_load(w);
	uint32_t self = shmtab_self(ds->table), now = (uint32_t) ev_now_ms(ds->loop), holder = (uint32_t) (old >> 32);

	if (old != 0 && holder != self && now - (uint32_t) old < DB_LEADER_MS && shmtab_alive(ds->table, holder))
		return false;
	return atomic_compare_exchange_strong(w, &old, (uint64_t) self << 32 | now);
}

static void
db_resign(struct db_store *ds)
{
	_Atomic uint64_t *w = db_word(ds, DB_WORD_LEADER);
	uint64_t old = atomic_load(w);

	if (ds->leader && old >> 32 == shmtab_self(ds->table))
		(void) atomic_compare_exchange_strong(w, &old, 0);
	ds->leader = false;
}

/* who we are, for people */

static void
db_told(void *ctx, const struct pg_reply *r)
{
	if (r->result == PG_REFUSED)
		(void) db_refused(ctx, r);
}

static void
db_tell(struct db_store *ds)
{
	struct pg_args a;

	pg_args_init(&a);
	pg_arg_int(&a, db_host(ds));
	pg_arg_str(&a, ds->conf.host_name);
	pg_arg_int(&a, ev_wall_s(ds->loop));
	(void) db_send(ds, db_host_sql, &a, db_told, ds);
	pg_args_fini(&a);
}

/* sweep */

static bool
db_sweep_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	struct db_store *ds = ctx;
	struct db_row row;
	int64_t when_s, now = ev_wall_s(ds->loop);

	if (!v->pinned)
		return true;
	/* one that is to come is from before the clock was set back */
	if (ds->kind->encode(ds->kctx, key, key_len, v, &row, &when_s) && when_s <= now && now - when_s < DB_SWEEP_AGE_S)
		return true;
	if (!db_store_write(ds, key, key_len, NULL, NULL))
		return false;
	stats_add(STAT_db_swept, 1);
	return true;
}

/* db_sweep - one part of the table, when there is something dirty and the pipeline is not full of other things */
static void
db_sweep(struct db_store *ds)
{
	struct shmtab_stat st;
	uint64_t pinned;
	unsigned part;
	struct shmtab *table;

	if (!ds->sweep.running) {
		if (ev_now_ms(ds->loop) - ds->sweep.looked_ms < DB_SWEEP_MS)
			return;
		ds->sweep.looked_ms = ev_now_ms(ds->loop);
		shmtab_stat(ds->table, &st);
		pinned = st.pinned;
		if (ds->kind->second) {
			shmtab_stat(ds->conf.second, &st);
			pinned += st.pinned;
		}
		if (pinned == 0)
			return;
		ds->sweep.running = true;
		ds->sweep.part = 0;
	}
	/* at most 2 ms of parts, as many as the queue takes */
	for (int i = 0; i < 8 && ds->sweep.running && ds->dirty_n < DB_WRITES_MAX / 2; i++) {
		table = db_part(ds, ds->sweep.part, &part);
		(void) shmtab_walk(table, part, db_sweep_fn, ds);
		if (++ds->sweep.part >= db_parts(ds))
			ds->sweep.running = false;
	}
}

/* clean */

static void
db_clean_over(struct db_store *ds)
{
	ds->clean.mine = ds->clean.busy = false;
}

static void
db_lease_kept(void *ctx, const struct pg_reply *r)
{
	struct db_store *ds = ctx;

	if (r->result == PG_REFUSED)
		(void) db_refused(ds, r);
	if (r->result != PG_DONE)
		db_clean_over(ds);
}

/* db_lease_keep - write down how far we are; done: the table is done */
static void
db_lease_keep(struct db_store *ds, bool done)
{
	struct pg_args a;
	int64_t now_us = ev_wall_us(ds->loop);

	pg_args_init(&a);
	pg_arg_str(&a, ds->kind->name);
	pg_arg_int(&a, db_host(ds));
	pg_arg_int(&a, done ? 0 : now_us + DB_LEASE_US);
	pg_arg_text(&a, ds->clean.place, done ? 0 : ds->clean.place_len);
	pg_arg_int(&a, done ? now_us : 0);
	ds->clean.lease_ms = ev_now_ms(ds->loop);
	if (!db_send(ds, db_lease_keep_sql, &a, db_lease_kept, ds))
		db_clean_over(ds);
	pg_args_fini(&a);
}

static void	db_clean_range(struct db_store *, const char *to, size_t len);

static void
db_cleaned(void *ctx, const struct pg_reply *r)
{
	struct db_store *ds = ctx;

	if (r->result == PG_REFUSED)
		(void) db_refused(ds, r);
	if (r->result != PG_DONE) {
		db_clean_over(ds);
		return;
	}
	ds->clean.dropped += (uint64_t) ds->conf.lib->ntuples(r->res);
	stats_add(STAT_db_cleaned, (uint64_t) ds->conf.lib->ntuples(r->res));
	if (ds->kind->cleaned != NULL)
		ds->kind->cleaned(ds->kctx, ds->conf.lib, r->res);
	ds->clean.busy = false;
	if (ds->clean.place_len == 0) {			/* that was the end */
		msg_info("%s: %s: cleanup: dropped=%llu rows", ds->where, ds->kind->name,
		    (unsigned long long) ds->clean.dropped);
		if (ds->kind->cleaned != NULL)
			ds->kind->cleaned(ds->kctx, ds->conf.lib, NULL);
		db_lease_keep(ds, true);
		db_clean_over(ds);
	} else if (ev_now_ms(ds->loop) - ds->clean.lease_ms > DB_LEASE_US / 4000)
		db_lease_keep(ds, false);
}

static void
db_clean_bound(void *ctx, const struct pg_reply *r)
{
	struct db_store *ds = ctx;
	const struct pg_lib *lib = ds->conf.lib;

	if (r->result == PG_REFUSED)
		(void) db_refused(ds, r);
	if (r->result != PG_DONE)
		db_clean_over(ds);
	else if (lib->ntuples(r->res) == 0)
		db_clean_range(ds, "", 0);
	else
		db_clean_range(ds, lib->getvalue(r->res, 0, 0), (size_t) lib->getlength(r->res, 0, 0));
}

/* db_clean_range - remove what has expired behind our place, up to and with `to`; that is our place then */
static void
db_clean_range(struct db_store *ds, const char *to, size_t len)
{
	struct pg_args a;

	if (len > DB_KEY_MAX)
		len = 0;
	pg_args_init(&a);
	pg_arg_text(&a, ds->clean.place, ds->clean.place_len);
	pg_arg_text(&a, to, len);
	pg_arg_int(&a, len == 0);
	ds->kind->clean_args(ds->kctx, ev_wall_s(ds->loop), &a);
	memcpy(ds->clean.place, to, len);
	ds->clean.place_len = len;
	if (!db_send(ds, ds->kind->clean, &a, db_cleaned, ds))
		db_clean_over(ds);
	pg_args_fini(&a);
}

static void
db_leased(void *ctx, const struct pg_reply *r)
{
	struct db_store *ds = ctx;
	const struct pg_lib *lib = ds->conf.lib;

	ds->clean.busy = false;
	if (r->result == PG_REFUSED)
		(void) db_refused(ds, r);
	if (r->result != PG_DONE || lib->ntuples(r->res) == 0)
		return;				/* not due, or another host is at it */
	ds->clean.mine = true;
	ds->clean.dropped = 0;
	ds->clean.lease_ms = ev_now_ms(ds->loop);
	ds->clean.place_len = (size_t) lib->getlength(r->res, 0, 0);
	if (ds->clean.place_len > DB_KEY_MAX)
		ds->clean.place_len = 0;
	memcpy(ds->clean.place, lib->getvalue(r->res, 0, 0), ds->clean.place_len);
}

static void
db_clean(struct db_store *ds)
{
	struct pg_args a;
	int64_t now_us = ev_wall_us(ds->loop);

	if (ds->clean.busy || ds->conf.clean_s == 0 || (ds->kind->may_clean != NULL && !ds->kind->may_clean(ds->kctx)))
		return;
	pg_args_init(&a);
	if (ds->clean.mine) {
		ds->clean.busy = true;
		pg_arg_text(&a, ds->clean.place, ds->clean.place_len);
		pg_arg_int(&a, DB_CLEAN_ROWS);
		if (!db_send(ds, ds->kind->clean_to, &a, db_clean_bound, ds))
			db_clean_over(ds);
	} else if (ds->clean.asked_ms == 0 || ev_now_ms(ds->loop) - ds->clean.asked_ms > DB_CLEAN_ASK_MS) {
		ds->clean.asked_ms = ev_now_ms(ds->loop);
		pg_arg_str(&a, ds->kind->name);
		pg_arg_int(&a, db_host(ds));
		pg_arg_int(&a, now_us);
		pg_arg_int(&a, DB_LEASE_US);
		pg_arg_int(&a, now_us - ds->conf.clean_s * 1000000);
		ds->clean.busy = db_send(ds, db_lease_sql, &a, db_leased, ds);
	}
	pg_args_fini(&a);
}

/* all of it */

void
db_house(struct db_store *ds)
{
	bool	was_leader = ds->leader;

	if (!ds->up)
		return;
	ds->leader = db_lead(ds);
	if (!ds->leader) {
		if (was_leader)
			db_pull_stop(ds);
		return;
	}
	if (!was_leader)
		db_tell(ds);
	if (!ds->pull.busy && (ds->pull.since == 0 || ev_now_ms(ds->loop) - ds->pull.begun_ms >= ds->conf.sync_ms - DB_TICK_MS / 2))
		db_pull_start(ds);
	db_blank_later(ds);
	if (!ds->pull.known || !TAILQ_EMPTY(&ds->blanks))
		return;			/* first what others have forgotten, then what we still owe */
	db_sweep(ds);
	db_clean(ds);
}

void
db_house_stop(struct db_store *ds)
{
	db_resign(ds);
	ds->sweep.running = false;
	db_clean_over(ds);
}
