/* global/db_write.c - dirty records on their way to the database
 * The truth about a dirty record is in tier 1, where it is pinned; here are only keys. What is there when a statement is
 * made is written, many records in one statement; once it is committed, the entry is made clean if it still is what was
 * written. Lost statements, full queues and dead workers therefore lose nothing: the sweep finds what is still dirty.
 * Updates gather during a turn of the loop and while statements are under way: the busier, the larger the groups.
 * Statements are ordered by key on the server, so that two hosts cannot wait for each other.
 * Rows become visible when they are committed, but bear the stamp of when they were sent. A commit that took so long
 * that others may have read past its stamp is stamped again; a record whose row does not come back stays dirty until then.
 */
#include "db_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define DB_WRITE_TRIES	4

struct db_write_waiter {
	TAILQ_ENTRY(db_write_waiter) link;
	struct db_dirty *dirty;
	db_write_fn *fn;
	void   *ctx;
	struct ev_timer timer;
};

struct db_dirty {
	RB_ENTRY(db_dirty) tree;		/* not sent */
	TAILQ_ENTRY(db_dirty) link;		/* likewise */
	struct db_store *ds;
	TAILQ_HEAD(, db_write_waiter) waiters;
	bool	 stamp;			/* write it even though it is clean */
	bool	 taken;				/* by the database */
	unsigned char *value;			/* what was written */
	size_t	 value_len;
	size_t	 key_len;
	char	 key[];
};

struct db_write {				/* one statement */
	TAILQ_ENTRY(db_write) link;
	struct db_store *ds;
	bool	 sent, settling;
	unsigned n, tries;
	int64_t	 sent_ms;
	struct db_dirty *dirty[];		/* ordered by key */
};

static int
db_dirty_cmp(const struct db_dirty *a, const struct db_dirty *b)
{
	int	c = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);

	return c != 0 ? c : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}
RB_GENERATE_INTERNAL(db_dirties, db_dirty, tree, db_dirty_cmp, static __attribute__((unused)))

static int
db_dirty_order(const void *a, const void *b)
{
	return db_dirty_cmp(*(struct db_dirty *const *) a, *(struct db_dirty *const *) b);
}

/* records, and those who wait for them */

union db_dirty_probe {
	struct db_dirty dirty;
	char	room[sizeof(struct db_dirty) + DB_KEY_MAX];
};

/* db_dirty_probe - something to compare with; key_len <= DB_KEY_MAX */
static struct db_dirty *
db_dirty_probe(union db_dirty_probe *p, const char *key, size_t key_len)
{
	p->dirty.key_len = key_len;
	memcpy(p->dirty.key, key, key_len);
	return &p->dirty;
}

static struct db_dirty *
db_dirty_find(struct db_store *ds, const char *key, size_t key_len)
{
	union db_dirty_probe p;

	return RB_FIND(db_dirties, &ds->dirties, db_dirty_probe(&p, key, key_len));
}

static struct db_dirty *
db_dirty_new(struct db_store *ds, const char *key, size_t key_len)
{
	struct db_dirty *d = mem_alloc(sizeof *d + key_len);

	d->ds = ds;
	d->key_len = key_len;
	memcpy(d->key, key, key_len);
	TAILQ_INIT(&d->waiters);
	RB_INSERT(db_dirties, &ds->dirties, d);
	TAILQ_INSERT_TAIL(&ds->dirty_queue, d, link);
	ds->dirty_n++;
	return d;
}

static void
db_waiter_end(struct db_write_waiter *w, bool committed)
{
	TAILQ_REMOVE(&w->dirty->waiters, w, link);
	ev_timer_cancel(w->dirty->ds->loop, &w->timer);
	if (!committed)
		stats_add(STAT_db_kept, 1);
	w->fn(w->ctx, committed);
	mem_free(&w);
}

static void
db_waiter_late(void *ctx)
{
	db_waiter_end(ctx, false);
}

static void
db_dirty_end(struct db_dirty **dp, bool committed)
{
	struct db_dirty *d = *dp;
	struct db_write_waiter *w;

	while ((w = TAILQ_FIRST(&d->waiters)) != NULL)
		db_waiter_end(w, committed);
	mem_free(&d->value);
	mem_free(dp);
}

/* db_dirty_want - the one that is not sent; NULL: it cannot be written now */
static struct db_dirty *
db_dirty_want(struct db_store *ds, const char *key, size_t key_len)
{
	struct db_dirty *d;

	if (key_len > DB_KEY_MAX || !ds->up)
		return NULL;
	if ((d = db_dirty_find(ds, key, key_len)) != NULL)
		return d;
	return ds->dirty_n < DB_WRITES_MAX ? db_dirty_new(ds, key, key_len) : NULL;
}

bool
db_store_rewrite(struct db_store *ds, const char *key, size_t key_len)
{
	struct db_dirty *d = db_dirty_want(ds, key, key_len);

	if (d == NULL)
		return false;
	d->stamp = true;
	db_write_later(ds);
	return true;
}

bool
db_store_write(struct db_store *ds, const char *key, size_t key_len, db_write_fn *fn, void *ctx)
{
	struct db_write_waiter *w;
	struct db_dirty *d = db_dirty_want(ds, key, key_len);

	if (d == NULL)
		return false;
	if (fn != NULL) {
		w = mem_alloc(sizeof *w);
		w->dirty = d;
		w->fn = fn;
		w->ctx = ctx;
		TAILQ_INSERT_TAIL(&d->waiters, w, link);
		ev_timer_set(ds->loop, &w->timer, ds->conf.timeout_ms, db_waiter_late, w);
	}
	db_write_later(ds);
	return true;
}

/* making entries clean */

static enum shmtab_act
db_clean_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	const struct db_dirty *d = ctx;

	if (old == NULL || !old->pinned || old->len != d->value_len || memcmp(old->data, d->value, d->value_len) != 0)
		return SHMTAB_KEEP;
	*new = *old;
	new->data = d->value;
	new->pinned = false;
	return SHMTAB_PUT;
}

static void
db_make_clean(struct db_store *ds, struct db_dirty *d)
{
	/* if the part is busy the entry stays dirty, and is written once more */
	(void) shmtab_modify(db_table(ds, d->key, d->key_len), d->key, d->key_len, ev_wall_s(ds->loop), db_clean_fn, d);
}

/* statements */

static void	db_write_rest(struct db_write *, unsigned from);

static void
db_write_end(struct db_write *w, bool committed)
{
	struct db_store *ds = w->ds;

	if (w->sent) {
		TAILQ_REMOVE(&ds->writes, w, link);
		ds->writes_sent--;
	}
	for (unsigned i = 0; i < w->n; i++)
		db_dirty_end(&w->dirty[i], committed);
	mem_free(&w);
	db_write_later(ds);
}

/* db_write_again - to be sent once more, after those that are under way */
static void
db_write_again(struct db_write *w)
{
	struct db_store *ds = w->ds;

	TAILQ_REMOVE(&ds->writes, w, link);
	ds->writes_sent--;
	w->sent = false;
	TAILQ_INSERT_TAIL(&ds->retries, w, link);
	db_write_later(ds);
}

/* db_write_split - something in it cannot be written: halve it until that stands alone */
static void
db_write_split(struct db_write *w, const char *why)
{
	static long long last;
	struct db_store *ds = w->ds;
	const struct db_dirty *d = w->dirty[0];
	char	key[80], shown[80];

	if (w->n == 1) {
		stats_add(STAT_db_unwritable, 1);
		snprintf(key, sizeof key, "%.*s", (int) d->key_len, d->key);
		if (msg_rate(&last, 60000))
			msg_warn("%s: %s of %s: %s: it stays on this host", ds->where, ds->kind->name,
			    msg_clean(shown, sizeof shown, key), why);
		db_make_clean(ds, w->dirty[0]);
		db_write_end(w, true);
		return;
	}
	db_write_rest(w, w->n / 2);
	db_write_again(w);
}

/* db_write_failed - what a failed statement means for its records */
static void
db_write_failed(struct db_write *w, const struct pg_reply *r)
{
	if (r->result != PG_REFUSED) {
		db_write_end(w, false);
		return;
	}
	switch (db_refused(w->ds, r)) {
	case DB_T_AGAIN:
		if (++w->tries < DB_WRITE_TRIES) {
			db_write_again(w);
			return;
		}
		break;
	case DB_T_DATA:
	case DB_T_FEATURE:
		db_write_split(w, r->why);
		return;
	case DB_T_CONNECTION:
		break;
	}
	db_write_end(w, false);
}

/* db_write_of - which of its records a row is about; NULL: none */
static struct db_dirty *
db_write_of(struct db_write *w, const PGresult *res, int i)
{
	const struct pg_lib *lib = w->ds->conf.lib;
	union db_dirty_probe p;
	struct db_dirty *d, **found;
	size_t	len;

	if (lib->nfields(res) < 1 || (len = (size_t) lib->getlength(res, i, 0)) > DB_KEY_MAX)
		return NULL;
	d = db_dirty_probe(&p, lib->getvalue(res, i, 0), len);
	found = bsearch(&d, w->dirty, w->n, sizeof w->dirty[0], db_dirty_order);
	return found != NULL ? *found : NULL;
}

/* db_write_read - a row that stands there now; where it cannot be a record, writing ours again and again would not help */
static void
db_write_read(struct db_write *w, const PGresult *res, int i, enum db_news news)
{
	struct db_dirty *d = db_write_of(w, res, i);
	struct db_row row;

	if (db_row_get(w->ds, res, i, &row)) {
		if (news == DB_SETTLED && d != NULL)
			(void) db_merge_settled(w->ds, &row, d->value, d->value_len);
		else if (news != DB_SETTLED)
			(void) db_merge(w->ds, &row, news);
	} else if (d != NULL)
		db_make_clean(w->ds, d);
}

/* db_settled - the rows that are better than ours have been read */
static void
db_settled(void *ctx, const struct pg_reply *r)
{
	struct db_write *w = ctx;

	if (r->result == PG_REFUSED)
		(void) db_refused(w->ds, r);
	for (int i = 0; r->result == PG_DONE && i < w->ds->conf.lib->ntuples(r->res); i++)
		db_write_read(w, r->res, i, DB_SETTLED);
	db_write_end(w, true);
}

/* db_settle - read what the database has instead of our records */
static void
db_settle(struct db_write *w)
{
	struct pg_args a;
	unsigned n = 0;
	bool	sent;

	for (unsigned i = 0; i < w->n; i++)
		n += !w->dirty[i]->taken;
	stats_add(STAT_db_overruled, n);
	pg_args_init(&a);
	pg_arg_array(&a, PG_TYPE_TEXT, n);
	for (unsigned i = 0; i < w->n; i++)
		if (!w->dirty[i]->taken)
			pg_elem_text(&a, w->dirty[i]->key, w->dirty[i]->key_len);
	sent = db_send(w->ds, w->ds->kind->read, &a, db_settled, w);
	pg_args_fini(&a);
	if (!sent)
		db_write_end(w, true);		/* they stay dirty, and a sweep finds them */
}

static void
db_written(void *ctx, const struct pg_reply *r)
{
	struct db_write *w = ctx;
	struct db_store *ds = w->ds;
	const struct pg_lib *lib = ds->conf.lib;
	bool	slow = ev_now_ms(ds->loop) - w->sent_ms > DB_SLOW_MS;
	struct db_dirty *d;
	unsigned taken = 0;
	bool	rows, again;

	if (r->result != PG_DONE) {
		db_write_failed(w, r);
		return;
	}
	rows = r->res != NULL && lib->nfields(r->res) > 1;	/* the kind's records are united with what is there */
	for (int i = 0; r->res != NULL && i < lib->ntuples(r->res); i++) {
		if ((d = db_write_of(w, r->res, i)) != NULL)
			d->taken = true;
		if (rows)
			db_write_read(w, r->res, i, DB_WRITTEN);
	}
	for (unsigned i = 0; i < w->n; i++) {
		d = w->dirty[i];
		if (!d->taken)
			continue;
		taken++;
		again = slow && !d->stamp;
		if (!rows && !again)		/* until it is stamped again it stays dirty, or nobody would if we cannot */
			db_make_clean(ds, d);
		if (again && ds->dirty_n < DB_WRITES_MAX && db_dirty_find(ds, d->key, d->key_len) == NULL)
			db_dirty_new(ds, d->key, d->key_len)->stamp = true;
	}
	stats_add(STAT_db_writes, taken);
	if (taken < w->n)
		db_settle(w);
	else
		db_write_end(w, true);
}

/* db_write_look - the record of d as it is now; its text is at the end of `texts`, row's own is gone with the next call
 * returns   false: there is nothing to write any more */
static bool
db_write_look(struct db_store *ds, struct db_dirty *d, struct db_row *row, struct buf *texts)
{
	static unsigned char value[SHMTAB_VAL_MAX];
	struct shmtab_val v;
	int64_t when_s;

	mem_free(&d->value);
	d->taken = false;
	if (shmtab_get(db_table(ds, d->key, d->key_len), d->key, d->key_len, value, sizeof value, &v) != 1 || (!v.pinned && !d->stamp))
		return false;
	d->value_len = v.len;
	d->value = mem_alloc(v.len);
	memcpy(d->value, value, v.len);
	v.data = d->value;
	if (ds->kind->encode(ds->kctx, d->key, d->key_len, &v, row, &when_s) && row->text_len <= DB_TEXT_MAX) {
		buf_add(texts, row->text, row->text_len);
		return true;
	}
	db_make_clean(ds, d);
	return false;
}

/* db_write_rest - what is too much for one statement: entries from `from` on go into the next */
static void
db_write_rest(struct db_write *w, unsigned from)
{
	unsigned n = w->n - from;
	struct db_write *rest = mem_alloc(sizeof *rest + n * sizeof rest->dirty[0]);

	rest->ds = w->ds;
	rest->n = n;
	memcpy(rest->dirty, w->dirty + from, n * sizeof rest->dirty[0]);
	w->n = from;
	TAILQ_INSERT_TAIL(&w->ds->retries, rest, link);
}

/* db_write_start - send the statement for what its records are now */
static void
db_write_start(struct db_store *ds, struct db_write *w)
{
	static struct buf texts = BUF_INIT(DB_WRITE_BYTES + DB_TEXT_MAX);	/* kept: one statement is made at a time */
	static struct db_row rows[DB_WRITE_ROWS];
	const char *text;
	struct pg_args a;
	unsigned n = 0;
	size_t	bytes = 0;
	int64_t stamp = db_stamps(ds, w->n);	/* before the look: of two statements the one with the higher stamp has the newer record */
	bool	sent;

	w->sent_ms = ev_now_ms(ds->loop);
	buf_reset(&texts);
	for (unsigned i = 0; i < w->n; i++) {
		if (bytes > DB_WRITE_BYTES)
			db_write_rest(w, i);
		else if (!db_write_look(ds, w->dirty[i], &rows[n], &texts))
			db_dirty_end(&w->dirty[i], true);	/* somebody else has written it, or it is gone */
		else {
			bytes += rows[n].key_len + rows[n].text_len;
			w->dirty[n++] = w->dirty[i];
		}
	}
	w->n = n;
	pg_args_init(&a);
	pg_arg_array(&a, PG_TYPE_TEXT, n);
	for (unsigned i = 0; i < n; i++)
		pg_elem_text(&a, w->dirty[i]->key, w->dirty[i]->key_len);
	pg_arg_array(&a, PG_TYPE_TEXT, n);
	text = buf_str(&texts);
	for (unsigned i = 0; i < n; text += rows[i++].text_len)
		pg_elem_text(&a, text, rows[i].text_len);
	pg_arg_array(&a, PG_TYPE_INT, n);
	for (unsigned i = 0; i < n; i++)
		pg_elem_int(&a, stamp + i);
	pg_arg_int(&a, db_origin(ds));
	for (unsigned k = 0; k < ds->kind->nums; k++) {
		pg_arg_array(&a, PG_TYPE_INT, n);
		for (unsigned i = 0; i < n; i++)
			pg_elem_int(&a, rows[i].num[k]);
	}
	if (ds->kind->write_args != NULL)
		ds->kind->write_args(ds->kctx, &a);
	sent = n > 0 && db_send_often(ds, ds->kind->write, &a, db_written, w);
	pg_args_fini(&a);
	w->sent = true;
	TAILQ_INSERT_TAIL(&ds->writes, w, link);
	ds->writes_sent++;
	if (!sent)
		db_write_end(w, n == 0);
}

/* db_write_group - the oldest records that wait */
static struct db_write *
db_write_group(struct db_store *ds)
{
	unsigned n = ds->dirty_n < DB_WRITE_ROWS ? ds->dirty_n : DB_WRITE_ROWS;
	struct db_write *w = mem_alloc(sizeof *w + n * sizeof w->dirty[0]);
	struct db_dirty *d;

	w->ds = ds;
	while (w->n < n && (d = TAILQ_FIRST(&ds->dirty_queue)) != NULL) {
		TAILQ_REMOVE(&ds->dirty_queue, d, link);
		RB_REMOVE(db_dirties, &ds->dirties, d);
		ds->dirty_n--;
		w->dirty[w->n++] = d;
	}
	qsort(w->dirty, w->n, sizeof w->dirty[0], db_dirty_order);
	return w;
}

static void
db_write_flush(void *ctx)
{
	struct db_store *ds = ctx;
	struct db_write *w;
	struct db_dirty *d;

	while (ds->writes_sent < DB_WRITES_SENT && pg_ready(ds->pg)) {
		if (ds->writes_sent > 0 && TAILQ_EMPTY(&ds->retries) && ds->dirty_n < DB_WRITE_MORE)
			return;			/* the answer to those under way sends them */
		if ((w = TAILQ_FIRST(&ds->retries)) != NULL)
			TAILQ_REMOVE(&ds->retries, w, link);
		else if (ds->dirty_n > 0)
			w = db_write_group(ds);
		else
			return;
		db_write_start(ds, w);
	}
	if (ds->up)
		return;
	while ((w = TAILQ_FIRST(&ds->retries)) != NULL) {	/* the connection is gone: the sweep finds them */
		TAILQ_REMOVE(&ds->retries, w, link);
		db_write_end(w, false);
	}
	while ((d = TAILQ_FIRST(&ds->dirty_queue)) != NULL) {
		TAILQ_REMOVE(&ds->dirty_queue, d, link);
		RB_REMOVE(db_dirties, &ds->dirties, d);
		ds->dirty_n--;
		db_dirty_end(&d, false);
	}
}

void
db_write_later(struct db_store *ds)
{
	if (ds->dirty_n > 0 || !TAILQ_EMPTY(&ds->retries))
		ev_defer_set(ds->loop, &ds->write_defer, db_write_flush, ds);
}

void
db_write_init(struct db_store *ds)
{
	RB_INIT(&ds->dirties);
	TAILQ_INIT(&ds->dirty_queue);
	TAILQ_INIT(&ds->retries);
	TAILQ_INIT(&ds->writes);
}

/* db_write_drop - free without telling anybody */
static void
db_write_drop(struct db_store *ds, struct db_dirty *d)
{
	struct db_write_waiter *w;

	while ((w = TAILQ_FIRST(&d->waiters)) != NULL) {
		TAILQ_REMOVE(&d->waiters, w, link);
		ev_timer_cancel(ds->loop, &w->timer);
		mem_free(&w);
	}
	mem_free(&d->value);
	mem_free(&d);
}

void
db_write_fini(struct db_store *ds)
{
	struct db_write *w;
	struct db_dirty *d;

	ev_defer_cancel(ds->loop, &ds->write_defer);
	TAILQ_CONCAT(&ds->retries, &ds->writes, link);
	while ((w = TAILQ_FIRST(&ds->retries)) != NULL) {
		TAILQ_REMOVE(&ds->retries, w, link);
		for (unsigned i = 0; i < w->n; i++)
			db_write_drop(ds, w->dirty[i]);
		mem_free(&w);
	}
	while ((d = TAILQ_FIRST(&ds->dirty_queue)) != NULL) {
		TAILQ_REMOVE(&ds->dirty_queue, d, link);
		db_write_drop(ds, d);
	}
}
