/* global/db_ask.c - claims and reads
 * Everyone who wants the same key waits at the same db_want. Keys gather during a turn of the loop, or while as many
 * statements as are good are under way, and go together: first the claim, which changes a row only where there is
 * something to claim, then a plain read of all keys, in one flight, each a transaction of its own. So a row that needs no
 * change costs the server no write, the read always shows who has the claim, and there is no gap between the two in which
 * a row could slip through. (An upsert that returns what it finds would have to write every row it reads.)
 */
#include "db_part.h"

#include <string.h>

#include <global/stats.h>
#include <util/mem.h>

struct db_waiter {
	TAILQ_ENTRY(db_waiter) link;
	db_ask_fn *fn;
	void   *ctx;
};

struct db_ask;

struct db_want {
	RB_ENTRY(db_want) tree;
	TAILQ_ENTRY(db_want) link;	/* in wants_queue, or in its ask */
	struct db_store *ds;
	struct db_ask *ask;		/* NULL: not sent */
	bool	claim;
	TAILQ_HEAD(, db_waiter) waiters;
	struct ev_timer timer;
	size_t	key_len;
	char	key[];
};

struct db_ask {				/* one flight */
	TAILQ_ENTRY(db_ask) link;
	struct db_store *ds;
	TAILQ_HEAD(, db_want) wants;
	int64_t	 origin;
	unsigned replies;		/* that are still to come */
	bool	 failed, again, was_read;
};

static int
db_want_cmp(const struct db_want *a, const struct db_want *b)
{
	int	c = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);

	return c != 0 ? c : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}
RB_GENERATE_INTERNAL(db_wants, db_want, tree, db_want_cmp, static __attribute__((unused)))

static struct db_want *
db_want_find(struct db_store *ds, const char *key, size_t key_len)
{
	union {
		struct db_want want;
		char	room[sizeof(struct db_want) + DB_KEY_MAX];
	} probe;

	probe.want.key_len = key_len;
	memcpy(probe.want.key, key, key_len);
	return RB_FIND(db_wants, &ds->wants, &probe.want);
}

/* db_want_end - answer all who wait; the claim, if it is ours, goes to the first of them */
static void
db_want_end(struct db_want *w, enum db_answer answer, const struct db_row *row)
{
	struct db_store *ds = w->ds;
	struct db_waiter *waiter;

	RB_REMOVE(db_wants, &ds->wants, w);
	if (w->ask != NULL)
		TAILQ_REMOVE(&w->ask->wants, w, link);
	else
		TAILQ_REMOVE(&ds->wants_queue, w, link);
	ds->wants_n--;
	ev_timer_cancel(ds->loop, &w->timer);
	while ((waiter = TAILQ_FIRST(&w->waiters)) != NULL) {
		TAILQ_REMOVE(&w->waiters, waiter, link);
		if (answer == DB_NO_ANSWER)
			stats_add(STAT_db_unanswered, 1);
		waiter->fn(waiter->ctx, answer, row);
		mem_free(&waiter);
		if (answer == DB_IS_OURS)
			answer = DB_FOUND;
	}
	mem_free(&w);
}

static void
db_want_late(void *ctx)
{
	db_want_end(ctx, DB_NO_ANSWER, NULL);
}

/* sending */

/* db_ask_over - the flight has landed */
static void
db_ask_over(struct db_ask *a)
{
	struct db_store *ds = a->ds;
	struct db_want *w;

	ds->asks_sent--;
	while ((w = TAILQ_FIRST(&a->wants)) != NULL) {
		if (!a->again || !pg_ready(ds->pg)) {
			/* a row that was claimed is there, or there was no answer */
			db_want_end(w, a->was_read && !w->claim ? DB_ABSENT : DB_NO_ANSWER, NULL);
			continue;
		}
		TAILQ_REMOVE(&a->wants, w, link);
		w->ask = NULL;
		TAILQ_INSERT_TAIL(&ds->wants_queue, w, link);
	}
	TAILQ_REMOVE(&ds->asks, a, link);
	mem_free(&a);
	db_ask_later(ds);
}

static void
db_ask_row(struct db_ask *a, const struct db_row *row)
{
	struct db_store *ds = a->ds;
	struct db_want *w = db_want_find(ds, row->key, row->key_len);
	bool	ours = row->origin == a->origin;

	if (ours)
		stats_add(STAT_db_claims, 1);
	(void) db_merge(ds, row, ours ? DB_CLAIMED : DB_ASKED);
	if (w != NULL && w->ask == a)
		db_want_end(w, ours ? DB_IS_OURS : DB_FOUND, row);
}

static void
db_ask_claimed(void *ctx, const struct pg_reply *r)
{
	struct db_ask *a = ctx;
	struct db_store *ds = a->ds;

	switch (r->result) {
	case PG_DONE:
		break;
	case PG_REFUSED:
		a->failed = true;
		switch (db_refused(ds, r)) {
		case DB_T_FEATURE:
			a->again = !ds->plain && ds->kind->claim_plain != NULL;
			ds->plain = true;
			break;
		case DB_T_AGAIN:		/* those who wait have their time limit */
			a->again = true;
			break;
		case DB_T_CONNECTION:
		case DB_T_DATA:
			break;
		}
		break;
	case PG_TIMEOUT:
	case PG_LOST:
		a->failed = true;
	}
	if (--a->replies == 0)
		db_ask_over(a);
}

static void
db_ask_read(void *ctx, const struct pg_reply *r)
{
	struct db_ask *a = ctx;
	struct db_row row;

	if (r->result == PG_REFUSED)
		(void) db_refused(a->ds, r);
	a->was_read = r->result == PG_DONE && !a->failed;
	/* rows are worth something only with the claim before them: without it, many would claim */
	for (int i = 0; r->result == PG_DONE && !a->failed && i < a->ds->conf.lib->ntuples(r->res); i++)
		if (db_row_get(a->ds, r->res, i, &row))
			db_ask_row(a, &row);
	if (--a->replies == 0)
		db_ask_over(a);
}

static void
db_ask_send(struct db_store *ds)
{
	struct db_ask *a = mem_alloc(sizeof *a);
	struct pg_args claim, read;
	struct db_want *w;
	unsigned n = 0, claims = 0;

	a->ds = ds;
	a->origin = db_origin(ds);
	TAILQ_INIT(&a->wants);
	while (n < DB_ASK_KEYS && (w = TAILQ_FIRST(&ds->wants_queue)) != NULL) {
		TAILQ_REMOVE(&ds->wants_queue, w, link);
		TAILQ_INSERT_TAIL(&a->wants, w, link);
		w->ask = a;
		claims += w->claim;
		n++;
	}
	pg_args_init(&claim);
	pg_args_init(&read);
	pg_arg_array(&claim, PG_TYPE_TEXT, claims);
	pg_arg_array(&read, PG_TYPE_TEXT, n);
	TAILQ_FOREACH(w, &a->wants, link) {
		if (w->claim)
			pg_elem_text(&claim, w->key, w->key_len);
		pg_elem_text(&read, w->key, w->key_len);
	}
	if (claims > 0) {
		pg_arg_int(&claim, ev_wall_s(ds->loop));
		pg_arg_int(&claim, a->origin);
		ds->kind->claim_args(ds->kctx, ev_wall_s(ds->loop), &claim);
	}
	TAILQ_INSERT_TAIL(&ds->asks, a, link);
	ds->asks_sent++;
	a->replies = 1;				/* ours: nothing must end it before both are sent */
	if (claims == 0 || db_send(ds, ds->plain ? ds->kind->claim_plain : ds->kind->claim, &claim, db_ask_claimed, a)) {
		a->replies += claims > 0;
		if (db_send(ds, ds->kind->read, &read, db_ask_read, a))
			a->replies++;
	}
	if (--a->replies == 0)
		db_ask_over(a);
	pg_args_fini(&claim);
	pg_args_fini(&read);
}

static void
db_ask_flush(void *ctx)
{
	struct db_store *ds = ctx;

	while (!TAILQ_EMPTY(&ds->wants_queue) && ds->asks_sent < DB_ASKS_SENT && pg_ready(ds->pg))
		db_ask_send(ds);
	/* what cannot be sent waits for an answer to those that are under way, or until its time is up */
}

void
db_ask_later(struct db_store *ds)
{
	if (!TAILQ_EMPTY(&ds->wants_queue))
		ev_defer_set(ds->loop, &ds->ask_defer, db_ask_flush, ds);
}

static bool
db_ask_add(struct db_store *ds, const char *key, size_t key_len, bool claim, db_ask_fn *fn, void *ctx)
{
	struct db_waiter *waiter;
	struct db_want *w;

	if (key_len > DB_KEY_MAX || !pg_ready(ds->pg))
		return false;
	if ((w = db_want_find(ds, key, key_len)) == NULL) {
		if (ds->wants_n >= DB_ASKS_MAX)
			return false;
		w = mem_alloc(sizeof *w + key_len);
		w->ds = ds;
		w->claim = claim;
		w->key_len = key_len;
		memcpy(w->key, key, key_len);
		TAILQ_INIT(&w->waiters);
		RB_INSERT(db_wants, &ds->wants, w);
		TAILQ_INSERT_TAIL(&ds->wants_queue, w, link);
		ds->wants_n++;
		ev_timer_set(ds->loop, &w->timer, ds->conf.timeout_ms, db_want_late, w);
		db_ask_later(ds);
	} else if (claim && !w->claim)
		return false;			/* a kind claims a key, or looks at it */
	stats_add(STAT_db_asks, 1);
	waiter = mem_alloc(sizeof *waiter);
	waiter->fn = fn;
	waiter->ctx = ctx;
	TAILQ_INSERT_TAIL(&w->waiters, waiter, link);
	return true;
}

bool
db_store_ask(struct db_store *ds, const char *key, size_t key_len, db_ask_fn *fn, void *ctx)
{
	return db_ask_add(ds, key, key_len, true, fn, ctx);
}

bool
db_store_look(struct db_store *ds, const char *key, size_t key_len, db_ask_fn *fn, void *ctx)
{
	return db_ask_add(ds, key, key_len, false, fn, ctx);
}

/* releasing a claim */

static void
db_released(void *ctx, const struct pg_reply *r)
{
	/* if it was not heard, the claim ends with the probe's lifetime */
	if (r->result == PG_REFUSED)
		(void) db_refused(ctx, r);
}

void
db_store_release(struct db_store *ds, const char *key, size_t key_len, int64_t tag)
{
	struct pg_args a;
	int64_t host = db_host(ds);

	if (key_len > DB_KEY_MAX)
		return;
	pg_args_init(&a);
	pg_arg_text(&a, key, key_len);
	pg_arg_int(&a, tag);
	pg_arg_int(&a, db_stamps(ds, 1));
	pg_arg_int(&a, host << 32);
	pg_arg_int(&a, (host << 32) + UINT32_MAX);
	pg_arg_int(&a, ev_wall_s(ds->loop));
	(void) db_send(ds, ds->kind->release, &a, db_released, ds);
	pg_args_fini(&a);
}

void
db_ask_init(struct db_store *ds)
{
	RB_INIT(&ds->wants);
	TAILQ_INIT(&ds->wants_queue);
	TAILQ_INIT(&ds->asks);
}

void
db_ask_fini(struct db_store *ds)
{
	struct db_want *w, *next;
	struct db_waiter *waiter;
	struct db_ask *a;

	ev_defer_cancel(ds->loop, &ds->ask_defer);
	RB_FOREACH_SAFE(w, db_wants, &ds->wants, next) {
		RB_REMOVE(db_wants, &ds->wants, w);
		ev_timer_cancel(ds->loop, &w->timer);
		while ((waiter = TAILQ_FIRST(&w->waiters)) != NULL) {
			TAILQ_REMOVE(&w->waiters, waiter, link);
			mem_free(&waiter);
		}
		mem_free(&w);
	}
	while ((a = TAILQ_FIRST(&ds->asks)) != NULL) {
		TAILQ_REMOVE(&ds->asks, a, link);
		mem_free(&a);
	}
}
