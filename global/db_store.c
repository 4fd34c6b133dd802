/* global/db_store.c - the shared tier: the connection, what its troubles mean, rows, stamps */
#include "db_part.h"

#include <bsd/stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define DB_STALL_MS	1800		/* a silent server is given up within 2 s */
#define DB_CONNECT_MS	3000
#define DB_PAUSE_MIN_MS	100
#define DB_PAUSE_MAX_MS	3000
#define DB_SETTLED_MS	10000
#define DB_CALM_MS	1000		/* a connection that lived so long is news */
#define DB_STATE_MS	1000		/* what a worker said longer ago is not its state any more */
#define DB_STAMP_MAX	((int64_t) 1 << 60)

enum { DB_LOGGED_NOTHING, DB_LOGGED_UP, DB_LOGGED_DOWN };

/* words */

_Atomic uint64_t *
db_word(struct db_store *ds, int word)
{
	return &shmtab_words(ds->table)[ds->conf.words + (unsigned) word];
}

int64_t
db_host(struct db_store *ds)
{
	_Atomic uint64_t *w = db_word(ds, DB_WORD_HOST);
	uint64_t host = atomic_load(w), mine;

	while (host == 0 || host > INT32_MAX) {		/* a new table, or damage */
		mine = 1 + arc4random_uniform(INT32_MAX - 1);
		if (atomic_compare_exchange_weak(w, &host, mine))
			host = mine;
	}
	return (int64_t) host;
}

int64_t
db_origin(struct db_store *ds)
{
	return db_host(ds) << 32 | ds->seq++;
}

int64_t
db_stamps(struct db_store *ds, unsigned n)
{
	_Atomic uint64_t *w = db_word(ds, DB_WORD_CLOCK);
	uint64_t last = atomic_load(w), first, now = (uint64_t) ev_wall_us(ds->loop);

	do
		first = last >= now && last < DB_STAMP_MAX ? last + 1 : now;
	while (!atomic_compare_exchange_weak(w, &last, first + n - 1));
	return (int64_t) first;
}

void
db_seen(struct db_store *ds, int64_t stamp)
{
	_Atomic uint64_t *w = db_word(ds, DB_WORD_CLOCK);
	uint64_t last = atomic_load(w);

	while ((uint64_t) stamp > last && stamp < DB_STAMP_MAX)
		if (atomic_compare_exchange_weak(w, &last, (uint64_t) stamp))
			return;
}

/* rows */

bool
db_row_get(struct db_store *ds, const PGresult *res, int i, struct db_row *r)
{
	enum { KEY, CHANGED, ORIGIN, TEXT, NUMS };
	static long long last;
	const struct pg_lib *lib = ds->conf.lib;
	char	key[80], shown[80];
	bool	ok = lib->nfields(res) == NUMS + (int) ds->kind->nums;

	memset(r, 0, sizeof *r);
	ok = ok && !lib->getisnull(res, i, KEY) && !lib->getisnull(res, i, TEXT) &&
	    pg_int(lib, res, i, CHANGED, &r->changed) && pg_int(lib, res, i, ORIGIN, &r->origin);
	for (unsigned k = 0; ok && k < ds->kind->nums; k++)
		ok = pg_int(lib, res, i, NUMS + (int) k, &r->num[k]);
	if (ok) {
		r->key = lib->getvalue(res, i, KEY);
		r->key_len = (size_t) lib->getlength(res, i, KEY);
		r->text = lib->getvalue(res, i, TEXT);
		r->text_len = (size_t) lib->getlength(res, i, TEXT);
		ok = r->key_len <= DB_KEY_MAX && r->changed >= 0 && ds->kind->valid(r);
	}
	if (ok)
		return true;
	stats_add(STAT_db_bad_rows, 1);
	if (msg_rate(&last, 60000)) {
		snprintf(key, sizeof key, "%.*s", lib->nfields(res) > KEY ? lib->getlength(res, i, KEY) : 0,
		    lib->nfields(res) > KEY ? lib->getvalue(res, i, KEY) : "");
		msg_warn("%s: row %s of vouch_%s cannot be a record: it is ignored", ds->where,
		    msg_clean(shown, sizeof shown, key), ds->kind->name);
	}
	return false;
}

struct db_merging {
	struct db_store *ds;
	const struct db_row *row;
	enum db_news news;
	const void *value;		/* SETTLED: what was refused */
	size_t	 value_len;
};

static enum shmtab_act
db_merge_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	const struct db_merging *m = ctx;
	enum db_news news = m->news;

	/* what came since has not been refused */
	if (news == DB_SETTLED && (old == NULL || old->len != m->value_len || memcmp(old->data, m->value, m->value_len) != 0))
		news = DB_ASKED;
	return m->ds->kind->merge(m->ds->kctx, m->row, news, shmtab_self(m->ds->table), old, new);
}

struct shmtab *
db_table(struct db_store *ds, const void *key, size_t key_len)
{
	return ds->kind->second && ds->kind->is_second(key, key_len) ? ds->conf.second : ds->table;
}

unsigned
db_parts(const struct db_store *ds)
{
	return shmtab_parts(ds->table) + (ds->kind->second ? shmtab_parts(ds->conf.second) : 0);
}

struct shmtab *
db_part(const struct db_store *ds, unsigned n, unsigned *part_r)
{
	unsigned first = shmtab_parts(ds->table);

	*part_r = n < first ? n : n - first;
	return n < first ? ds->table : ds->conf.second;
}

static int
db_merge_one(struct db_merging *m)
{
	struct db_store *ds = m->ds;
	const struct db_row *row = m->row;

	db_seen(ds, row->changed);
	return shmtab_modify(db_table(ds, row->key, row->key_len), row->key, row->key_len, ev_wall_s(ds->loop), db_merge_fn, m);
}

int
db_merge(struct db_store *ds, const struct db_row *row, enum db_news news)
{
	struct db_merging m = { .ds = ds, .row = row, .news = news };

	return db_merge_one(&m);
}

int
db_merge_settled(struct db_store *ds, const struct db_row *row, const void *value, size_t value_len)
{
	struct db_merging m = { .ds = ds, .row = row, .news = DB_SETTLED, .value = value, .value_len = value_len };

	return db_merge_one(&m);
}

/* the connection */

bool
db_store_usable(const struct db_store *ds)
{
	return pg_ready(ds->pg);
}

bool
db_send(struct db_store *ds, const char *sql, const struct pg_args *args, pg_done_fn *done, void *ctx)
{
	return pg_send(ds->pg, sql, args, ds->conf.timeout_ms, done, ctx);
}

bool
db_send_often(struct db_store *ds, const char *sql, const struct pg_args *args, pg_done_fn *done, void *ctx)
{
	return pg_send_often(ds->pg, sql, args, ds->conf.timeout_ms, done, ctx);
}

/* db_log - one line for the whole host when the state changes: the first worker to see it writes it */
static void
db_log(struct db_store *ds, uint64_t state, const char *why)
{
	_Atomic uint64_t *w = db_word(ds, DB_WORD_LOGGED);
	uint64_t old = atomic_load(w);

	if (old == state || !atomic_compare_exchange_strong(w, &old, state))
		return;
	if (state == DB_LOGGED_UP)
		msg_info("%s: connected", ds->where);
	else
		msg_warn("%s: %s: answering from this host's cache, updates are kept for later", ds->where, why);
}

static void
db_event(void *ctx, enum pg_event event, const char *where, const char *why)
{
	struct db_store *ds = ctx;
	bool	was_up = ds->up;

	snprintf(ds->where, sizeof ds->where, "%s", where);
	switch (event) {
	case PG_UP:
		ds->up = true;
		ds->up_ms = ev_now_ms(ds->loop);
		stats_add(STAT_db_connects, 1);
		if (ds->kind->up != NULL)
			ds->kind->up(ds->kctx);
		db_write_later(ds);
		return;
	case PG_DOWN:
		ds->up = false;
		if (was_up)
			stats_add(STAT_db_losses, 1);
		atomic_store(db_word(ds, DB_WORD_DOWN_MS), (uint64_t) ev_now_ms(ds->loop));
		db_log(ds, DB_LOGGED_DOWN, why);
		db_pull_stop(ds);
		db_house_stop(ds);
		return;
	}
}

/* db_calm - called by the tick: a connection that goes on living is worth a line; one that fails at once is not */
static void
db_calm(struct db_store *ds)
{
	int64_t now = ev_now_ms(ds->loop);

	atomic_store(db_word(ds, ds->up ? DB_WORD_UP_MS : DB_WORD_DOWN_MS), (uint64_t) now);
	/* and as long as some worker of the host is not connected, it is not all well */
	if (ds->up && now - ds->up_ms >= DB_CALM_MS && now - (int64_t) atomic_load(db_word(ds, DB_WORD_DOWN_MS)) >= DB_CALM_MS)
		db_log(ds, DB_LOGGED_UP, "");
}

enum db_state
db_state(const _Atomic uint64_t *words)
{
	struct timespec ts;
	uint64_t now;
	bool	up, down;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
	up = now - atomic_load(&words[DB_WORD_UP_MS]) < DB_STATE_MS;
	down = now - atomic_load(&words[DB_WORD_DOWN_MS]) < DB_STATE_MS;
	return up ? down ? DB_STATE_PARTLY : DB_STATE_UP : down ? DB_STATE_DOWN : DB_STATE_NONE;
}

static void
db_tick(void *ctx)
{
	struct db_store *ds = ctx;

	ev_timer_set(ds->loop, &ds->tick, DB_TICK_MS, db_tick, ds);
	db_calm(ds);
	db_ask_later(ds);		/* the pipeline may have been full when there was something to send */
	db_write_later(ds);
	db_house(ds);
}

static const struct db_trouble_row {
	const char *state;		/* SQLSTATE, or the beginning of it; the first that fits */
	enum db_trouble trouble;
	const char *remedy;
} db_troubles[] = {
	{ "0A000", DB_T_FEATURE, "" },
	{ "26000", DB_T_AGAIN, "" },		/* a pooler: see pg_send_often */
	{ "25006", DB_T_CONNECTION, ": it is read-only: name the other hosts as well, or wait for a new primary" },
	{ "40",	   DB_T_AGAIN, "" },		/* serialization failure, deadlock */
	{ "42501", DB_T_CONNECTION, ": see \"vouch db check\"" },
	{ "42P01", DB_T_CONNECTION, ": run \"vouch db init\"" },
	{ "42703", DB_T_CONNECTION, ": run \"vouch db check\"" },
	{ "53100", DB_T_CONNECTION, ": its disk is full" },
	{ "55P03", DB_T_AGAIN, "" },		/* lock not available */
	{ "57014", DB_T_AGAIN, "" },		/* cancelled */
	{ "22",	   DB_T_DATA, "" },
	{ "23",	   DB_T_DATA, "" },
	{ "54",	   DB_T_DATA, "" },
	{ "P0",	   DB_T_DATA, "" },		/* somebody's trigger */
	{ "",	   DB_T_CONNECTION, "" },
};

static const struct db_trouble_row *
db_trouble_find(const struct pg_reply *r)
{
	for (size_t i = 0; i < NELEM(db_troubles); i++)
		if (strncmp(r->sqlstate, db_troubles[i].state, strlen(db_troubles[i].state)) == 0)
			return &db_troubles[i];
	msg_panic("db_trouble_find: the last row fits everything");
}

/* db_reason - what the server said, and what to do about it; borrowed until the next call */
static const char *
db_reason(const struct pg_reply *r)
{
	static char why[2 * PG_WHY_MAX];

	snprintf(why, sizeof why, "%s%s", r->why, db_trouble_find(r)->remedy);
	return why;
}

enum db_trouble
db_refused(struct db_store *ds, const struct pg_reply *r)
{
	enum db_trouble trouble = db_trouble_find(r)->trouble;

	if (trouble == DB_T_CONNECTION)
		pg_drop(ds->pg, db_reason(r));
	return trouble;
}

/* db_check - is this the database we want? */
static const char *
db_check(void *ctx, const struct pg_reply *r)
{
	static char why[160];
	struct db_store *ds = ctx;
	const struct pg_lib *lib = ds->conf.lib;
	const PGresult *res = r->res;
	_Atomic uint64_t *w = db_word(ds, DB_WORD_SITE);
	uint64_t known = atomic_load(w);
	int64_t version, site;

	if (r->result != PG_DONE)
		return db_reason(r);
	if (lib->ntuples(res) != 1 || lib->nfields(res) != 5 || !pg_int(lib, res, 0, 0, &version) ||
	    !pg_int(lib, res, 0, 1, &site) || site == 0)
		return "vouch_schema does not hold exactly one row: run \"vouch db check\"";
	if (version < ds->kind->schema || version > DB_SCHEMA_VERSION) {
		snprintf(why, sizeof why, "the schema has version %lld, this vouch wants %d: run \"vouch db upgrade\"%s",
		    (long long) version, DB_SCHEMA_VERSION, version > DB_SCHEMA_VERSION ? " with the newer vouch, then update this one" : "");
		return why;
	}
	if (strcmp(lib->getvalue(res, 0, 2), "off") != 0)
		return "the server is read-only: name the other hosts as well, or wait for a new primary";
	if (strcmp(lib->getvalue(res, 0, 3), "UTF8") != 0) {
		snprintf(why, sizeof why, "the database has the encoding %.20s: it must be UTF8", lib->getvalue(res, 0, 3));
		return why;
	}
	if (strcmp(lib->getvalue(res, 0, 4), "t") != 0)
		return "a privilege is missing: see \"vouch db check\"";
	if (known != (uint64_t) site) {
		/* what tier 1 has from another database is worth nothing here, and stamps of it mislead */
		atomic_store(w, (uint64_t) site);
		atomic_store(db_word(ds, DB_WORD_SINCE), known != 0 ? 1 : 0);
	}
	return NULL;
}

struct db_store *
db_store_new(struct ev_loop *loop, const struct db_store_conf *conf, const struct db_kind *kind, void *kctx,
    struct shmtab *table)
{
	struct db_store *ds = mem_alloc(sizeof *ds);
	struct pg_conf pc = {
		.hosts = conf->where->hosts, .hosts_n = conf->where->hosts_n, .check_sql = kind->check,
		.connect_ms = DB_CONNECT_MS, .stall_ms = DB_STALL_MS,
		.pause_min_ms = DB_PAUSE_MIN_MS, .pause_max_ms = DB_PAUSE_MAX_MS,
		.settled_ms = DB_SETTLED_MS, .sent_max = DB_SENT_MAX,
	};

	ds->loop = loop;
	ds->conf = *conf;
	ds->kind = kind;
	ds->kctx = kctx;
	ds->table = table;
	ds->seq = arc4random();
	snprintf(ds->where, sizeof ds->where, "%s", conf->where->hosts[0].where);
	TAILQ_INIT(&ds->blanks);
	db_ask_init(ds);
	db_write_init(ds);
	ds->pg = pg_new(loop, conf->lib, &pc, db_check, db_event, ds);
	ev_timer_set(loop, &ds->tick, DB_TICK_MS, db_tick, ds);
	return ds;
}

void
db_store_free(struct db_store **dsp)
{
	struct db_store *ds = *dsp;

	if (ds == NULL)
		return;
	ev_timer_cancel(ds->loop, &ds->tick);
	db_house_stop(ds);
	pg_free(&ds->pg);
	db_ask_fini(ds);
	db_write_fini(ds);
	db_blank_fini(ds);
	mem_free(dsp);
}
