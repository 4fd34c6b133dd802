/* tests/tools/decide.c - the decision table over two whole stores: one without a database, one with
 * usage: decide MAP	(address_verify_map: pgsql:... of an empty database with vouch's schema, with the service's rights)
 * Each row is put into both, asked for at the same moment, and must come to the same: reply, text, whether to probe, and what is
 * known afterwards. Once with this host's cache empty, as if another host had learned it, and once with the record there as well.
 * Then updates over each kind of record, and two results whose statements overtake each other. The clock stands still.
 * Prints "N passed, N failed"; exit 0 when all passed, 1, 2 usage.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <global/verify_db.h>
#include <global/verify_store.h>
#include <tests/lib/decisions.h>
#include <util/mem.h>
#include <util/pg.h>

#define NOW	1700000000
#define WAIT_S	10		/* for the database, in real time */

struct verdict {			/* what an address came to */
	enum verify_status status;
	char	text[64];
	bool	probe;
	struct address_record after;	/* without its text */
};

static struct ev_loop *loop;
static struct pg *pg;			/* our own connection, to put rows and look at them */
static const struct pg_lib *lib;
static bool	pg_is_up;
static unsigned	passed, failed, serial;

/* the database */

static void
decide_event(void *ctx, enum pg_event event, const char *where, const char *why)
{
	(void) ctx;
	pg_is_up = event == PG_UP;
	if (event == PG_DOWN)
		errx(1, "%s: %s", where, why);
}

static const char *
decide_check(void *ctx, const struct pg_reply *r)
{
	(void) ctx;
	return r->result == PG_DONE ? NULL : r->why;
}

/* decide_wait - turn until *done */
static void
decide_wait(const bool *done, const char *what)
{
	time_t	end = time(NULL) + WAIT_S;

	while (!*done) {
		if (time(NULL) > end)
			errx(1, "%s: not within %d s", what, WAIT_S);
		ev_turn(loop, 0);
	}
}

struct decide_sql {
	bool	done;
	int	rows;
	int64_t	cell[3];
};

static void
decide_sql_done(void *ctx, const struct pg_reply *r)
{
	struct decide_sql *s = ctx;

	if (r->result != PG_DONE)
		errx(1, "%s", r->why);
	s->rows = lib->ntuples(r->res);
	for (int i = 0; i < 3 && s->rows == 1 && i < lib->nfields(r->res); i++)
		pg_int(lib, r->res, 0, i, &s->cell[i]);
	s->done = true;
}

static struct decide_sql
decide_sql(const char *sql, const struct pg_args *args)
{
	struct decide_sql s = { .rows = 0 };

	if (!pg_send(pg, sql, args, 60000, decide_sql_done, &s))
		errx(1, "cannot send: %s", sql);
	decide_wait(&s.done, sql);
	return s;
}

static void
decide_row_put(const char *addr, const struct address_record *r)
{
	struct pg_args a;

	pg_args_init(&a);
	pg_arg_str(&a, addr);
	pg_arg_int(&a, r->status);
	pg_arg_int(&a, r->probed_s);
	pg_arg_int(&a, r->updated_s);
	pg_arg_str(&a, r->updated_s != 0 ? DECISION_TEXT : "");
	decide_sql("INSERT INTO vouch_address VALUES ($1::text, $2::bigint, $3::bigint, $4::bigint, 0, 1, 1, $5::text)", &a);
	pg_args_fini(&a);
}

static struct address_record
decide_row_get(const char *addr)
{
	struct address_record r = { .status = VERIFY_TODO };
	struct decide_sql s;
	struct pg_args a;

	pg_args_init(&a);
	pg_arg_str(&a, addr);
	s = decide_sql("SELECT status, probed, updated FROM vouch_address WHERE address = $1::text", &a);
	pg_args_fini(&a);
	if (s.rows == 1) {
		r.status = (enum verify_status) s.cell[0];
		r.probed_s = s.cell[1];
		r.updated_s = s.cell[2];
	}
	return r;
}

/* this host's cache */

struct decide_put {
	const struct address_record *record;
	const struct address_rules *rules;
	unsigned char value[256];
};

static enum shmtab_act
decide_put_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct decide_put *p = ctx;

	(void) old;
	new->data = p->value;
	new->len = address_encode(p->record, p->value, sizeof p->value);
	new->expire_s = address_expiry(p->record, p->rules);
	return SHMTAB_PUT;
}

static void
decide_cache_put(struct verify_store *s, const char *addr, const struct address_record *r, const struct address_rules *rules)
{
	struct decide_put p = { .record = r, .rules = rules };

	if (shmtab_modify(verify_store_table(s), addr, strlen(addr), NOW, decide_put_fn, &p) < 0)
		err(1, "shmtab_modify");
}

static struct address_record
decide_cache_get(struct verify_store *s, const char *addr)
{
	struct address_record r, none = { .status = VERIFY_TODO };
	unsigned char value[256];
	struct shmtab_val v;

	if (shmtab_get(verify_store_table(s), addr, strlen(addr), value, sizeof value, &v) != 1 ||
	    !address_decode(&r, value, v.len))
		return none;
	return r;
}

static struct verify_store *
decide_store(const struct address_rules *rules)
{
	struct verify_store_conf conf = { .rules = *rules, .smtputf8 = true, .bytes = 1u << 20 };
	struct buf why = BUF_INIT(256);
	struct verify_store *s;

	(void) verify_store_open(&s, -1, &conf, &why);
	buf_fini(&why);
	return s;
}

/* asking */

struct decide_asked {
	bool	done;
	struct verdict *v;
};

static void
decide_take(struct verdict *v, const struct verify_store_answer *ans)
{
	v->status = ans->status;
	snprintf(v->text, sizeof v->text, "%s", ans->text);
}

static void
decide_asked(void *ctx, const char *addr, const struct verify_store_answer *ans)
{
	struct decide_asked *a = ctx;

	(void) addr;
	if (a->v->status == VERIFY_TODO)	/* else the reply went out at once, as verify(8) does it */
		decide_take(a->v, ans);
	a->v->probe = ans->probe;
	a->done = true;
}

static struct verdict
decide_query(struct verify_store *s, const char *addr)
{
	struct verdict v = { .probe = false };
	struct decide_asked a = { .v = &v };
	struct verify_store_answer ans;

	verify_store_query(s, addr, NOW, &ans);
	decide_take(&v, &ans);
	v.probe = ans.probe;
	if (ans.ask) {
		verify_store_ask(s, addr, decide_asked, &a);
		decide_wait(&a.done, addr);
	}
	v.after = decide_cache_get(s, addr);
	return v;
}

static void
decide_written(void *ctx)
{
	*(bool *) ctx = true;
}

static void
decide_update(struct verify_store *s, const char *addr, enum verify_status status)
{
	bool	done = false;

	if (verify_store_update_then(s, addr, status, "new", NOW, decide_written, &done) == VERIFY_WRITING)
		decide_wait(&done, addr);
}

/* comparing */

static void
decide_result(bool ok, const char *set, const char *row, const char *what, const struct verdict *got, const struct verdict *want)
{
	if (ok) {
		passed++;
		return;
	}
	failed++;
	printf("%s: %s: %s: got status %d \"%s\" probe %d record %d:%lld:%lld, without database %d \"%s\" %d %d:%lld:%lld\n", set, row,
	    what, got->status, got->text, got->probe, got->after.status, (long long) got->after.probed_s,
	    (long long) got->after.updated_s, want->status, want->text, want->probe, want->after.status,
	    (long long) want->after.probed_s, (long long) want->after.updated_s);
}

static bool
decide_same_record(const struct address_record *a, const struct address_record *b)
{
	return a->status == b->status && a->probed_s == b->probed_s && a->updated_s == b->updated_s;
}

static bool
decide_same(const struct verdict *a, const struct verdict *b)
{
	return a->status == b->status && a->probe == b->probe && strcmp(a->text, b->text) == 0 &&
	    decide_same_record(&a->after, &b->after) && a->after.claim_only == b->after.claim_only;
}

static const char *
decide_addr(void)
{
	static char addr[32];

	snprintf(addr, sizeof addr, "row%u@decide.test", serial++);
	return addr;
}

/* decide_connected - until the store asks its database */
static void
decide_connected(struct verify_store *s)
{
	time_t	end = time(NULL) + WAIT_S;
	struct verify_store_answer ans;
	struct decide_asked a = { .v = &(struct verdict) { .probe = false } };
	const char *addr;

	do {
		if (time(NULL) > end)
			errx(1, "the store is not connected within %d s", WAIT_S);
		ev_turn(loop, 0);
		verify_store_query(s, addr = decide_addr(), NOW, &ans);
	} while (!ans.ask);
	verify_store_ask(s, addr, decide_asked, &a);
	decide_wait(&a.done, addr);
}

static void
decide_set(const struct decision_set *set, const struct db_store_conf *db)
{
	struct verify_store *alone = decide_store(&set->rules), *with = decide_store(&set->rules);

	verify_store_connect(with, loop, db, true);
	decide_connected(with);
	for (int cached = 0; cached <= 1; cached++)
		for (const struct decision *d = set->row; d < set->row + set->n; d++) {
			struct address_record r = decision_record(d, NOW), row;
			const char *addr = decide_addr(), *where = cached ? "in database and cache" : "in database";
			struct verdict want, got;

			if (d->status == VERIFY_TODO && r.updated_s != 0)
				continue;	/* the database has no such rows: a result has a status */
			if (d->status >= 0) {
				if (d->status == VERIFY_TODO) {
					r.text_len = 0;
					r.claim_only = !set->rules.negative_cache;
				}
				decide_cache_put(alone, addr, &r, &set->rules);
				decide_row_put(addr, &r);
				if (cached)
					decide_cache_put(with, addr, &r, &set->rules);
			}
			want = decide_query(alone, addr);
			got = decide_query(with, addr);
			decide_result(decide_same(&got, &want) && (int) want.status == d->reply && want.probe == d->probe, set->name,
			    d->name, where, &got, &want);
			row = decide_row_get(addr);
			got.after = row;
			decide_result(decide_same_record(&row, &want.after), set->name, d->name, "row afterwards", &got, &want);
			/* and nobody is given the same claim again */
			got = decide_query(with, addr);
			want = decide_query(alone, addr);
			decide_result(decide_same(&got, &want) && !got.probe, set->name, d->name, "asked again", &got, &want);
		}
	for (int cached = 0; cached <= 1; cached++)
		for (const struct decision_update *u = decision_updates; u < decision_updates + decision_updates_n; u++) {
			struct address_record row, old = {
				.status = (enum verify_status) u->old, .probed_s = u->old == VERIFY_TODO ? NOW - 5 : 0,
				.updated_s = u->old == VERIFY_TODO ? 0 : NOW - 5,
				.text = DECISION_TEXT, .text_len = u->old == VERIFY_TODO ? 0 : strlen(DECISION_TEXT),
				.claim_only = u->old == VERIFY_TODO && !set->rules.negative_cache,
			};
			const char *addr = decide_addr(), *where = cached ? "in database and cache" : "in database";
			struct verdict want, got;

			if (u->old >= 0) {
				decide_cache_put(alone, addr, &old, &set->rules);
				decide_row_put(addr, &old);
				if (cached)
					decide_cache_put(with, addr, &old, &set->rules);
			}
			decide_update(alone, addr, (enum verify_status) u->status);
			decide_update(with, addr, (enum verify_status) u->status);
			want = decide_query(alone, addr);
			got = decide_query(with, addr);
			decide_result(decide_same(&got, &want) && (want.after.updated_s == NOW) == u->stored, u->name, "update",
			    where, &got, &want);
			row = decide_row_get(addr);
			got.after = row;
			decide_result(decide_same_record(&row, &want.after), u->name, "update", "row afterwards", &got, &want);
		}
	verify_store_close(&with);
	verify_store_close(&alone);
}

/* decide_write - a result as a host sends it; returns how many rows were taken */
static int
decide_write(const char *sql, const char *addr, int status, int64_t updated_s, int64_t stamp)
{
	struct decide_sql s;
	struct pg_args a;

	pg_args_init(&a);
	pg_arg_array(&a, PG_TYPE_TEXT, 1);
	pg_elem_text(&a, addr, strlen(addr));
	pg_arg_array(&a, PG_TYPE_TEXT, 1);
	pg_elem_text(&a, DECISION_TEXT, strlen(DECISION_TEXT));
	pg_arg_array(&a, PG_TYPE_INT, 1);
	pg_elem_int(&a, stamp);
	pg_arg_int(&a, 1);
	for (int i = VERIFY_DB_STATUS; i < VERIFY_DB_NUMS; i++) {
		pg_arg_array(&a, PG_TYPE_INT, 1);
		pg_elem_int(&a, i == VERIFY_DB_STATUS ? status : i == VERIFY_DB_UPDATED ? updated_s : 0);
	}
	s = decide_sql(sql, &a);
	pg_args_fini(&a);
	return s.rows;
}

/* decide_order - two results for one address: which is taken, when their statements arrive in the other order? */
static void
decide_order(void)
{
	static const struct { const char *name; int status[2]; int64_t updated[2], stamp[2]; bool second; } cases[] = {
		{ "later second",		  { 2, 1 }, { NOW, NOW + 1 }, { 50, 60 }, true },
		{ "later second, stamp behind",	  { 2, 1 }, { NOW, NOW + 1 }, { 60, 50 }, true },
		{ "earlier second, stamp ahead",  { 2, 1 }, { NOW + 1, NOW }, { 50, 60 }, false },
		{ "same second",		  { 2, 1 }, { NOW, NOW }, { 50, 60 }, true },
		{ "same second, was overtaken",	  { 2, 1 }, { NOW, NOW }, { 60, 50 }, false },
		{ "same second, OK was overtaken", { 2, 0 }, { NOW, NOW }, { 60, 50 }, true },
		{ "same second, older OK",	  { 0, 0 }, { NOW, NOW }, { 60, 50 }, false },
		{ "same second, after OK",	  { 0, 2 }, { NOW, NOW }, { 50, 60 }, false },
		{ "stamped again",		  { 2, 2 }, { NOW, NOW }, { 50, 60 }, true },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *addr = decide_addr();
		struct verdict got = { .status = 0 }, want = { .status = 0 };
		int	rows;

		decide_write(verify_db_kind.write, addr, cases[i].status[0], cases[i].updated[0], cases[i].stamp[0]);
		rows = decide_write(verify_db_kind.write, addr, cases[i].status[1], cases[i].updated[1], cases[i].stamp[1]);
		got.after = decide_row_get(addr);
		want.after.status = (enum verify_status) cases[i].status[cases[i].second];
		want.after.updated_s = cases[i].updated[cases[i].second];
		decide_result(rows == cases[i].second && decide_same_record(&got.after, &want.after), "two results", cases[i].name,
		    "row afterwards", &got, &want);
	}
}

int
main(int argc, char **argv)
{
	struct db_store_conf db = { .timeout_ms = 60000, .sync_ms = 60000, .host_name = "decide" };
	struct pg_conf pc = { .check_sql = "SELECT 1", .connect_ms = 60000, .stall_ms = 60000, .pause_min_ms = 1, .pause_max_ms = 1,
	    .settled_ms = 1, .sent_max = 4 };
	struct buf why = BUF_INIT(1024);
	const char *reason;
	struct db_conf *conf;

	if (argc != 2) {
		fprintf(stderr, "usage: decide MAP\n");
		return 2;
	}
	if ((lib = pg_lib_load(&reason)) == NULL)
		errx(1, "%s", reason);
	if ((conf = db_conf_read(lib, argv[1], "decide", &why)) == NULL)
		errx(1, "%s", buf_str(&why));
	loop = ev_loop_new_fake(NOW);
	db.lib = lib;
	db.where = conf;
	pc.hosts = conf->hosts;
	pc.hosts_n = conf->hosts_n;
	pg = pg_new(loop, lib, &pc, decide_check, decide_event, NULL);
	decide_wait(&pg_is_up, "connection");
	for (size_t i = 0; i < decision_sets_n; i++)
		decide_set(&decision_sets[i], &db);
	decide_order();
	pg_free(&pg);
	ev_loop_free(&loop);
	db_conf_free(&conf);
	buf_fini(&why);
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
