/* global/verify_store.c - address status: verify(8)'s records in this host's table, and in the shared database
 * The key is the address with every ':' as '_' (spec verify-protocol section 5.1): Postfix's own records have
 * that form, and delivery agents report either form.
 */
#include "verify_store.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <global/stats.h>
#include <global/verify_db.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

_Static_assert((int) STATS <= (int) VERIFY_STORE_WORDS, "counters leave room");

struct verify_store {
	struct shmtab *table;
	struct verify_store_conf conf;
	struct ev_loop *loop;			/* with a database only, as the rest */
	struct db_store *db;
	bool	commit_wait;
	TAILQ_HEAD(, verify_ask) asks;		/* under way */
	TAILQ_HEAD(, verify_write) writes;	/* likewise */
	char	key[SHMTAB_KEY_MAX + 1];
	size_t	key_len;
	bool	key_storable;
	char	text[SHMTAB_VAL_MAX + 1];		/* of the last answer */
	unsigned char value[SHMTAB_VAL_MAX];		/* of the entry being stored */
};

struct verify_ask {				/* somebody waits for the database's word about an address */
	TAILQ_ENTRY(verify_ask) link;
	struct verify_store *s;
	verify_store_asked_fn *fn;
	void   *ctx;
	struct ev_defer defer;
	char	addr[];
};

struct verify_write {				/* somebody waits until a result is committed */
	TAILQ_ENTRY(verify_write) link;
	struct verify_store *s;
	verify_store_written_fn *fn;
	void   *ctx;
};

int
verify_store_open(struct verify_store **sp, int dirfd, const struct verify_store_conf *conf, struct buf *why)
{
	struct verify_store *s = mem_alloc(sizeof *s);
	const char *reason;
	int	ret = 0;

	s->conf = *conf;
	if (dirfd < 0 || shmtab_open(&s->table, dirfd, VERIFY_STORE_FILE, conf->bytes, &reason) < 0) {
		if (dirfd >= 0)
			buf_addf(why, "cache file %s: %s: %s", VERIFY_STORE_FILE, reason, strerror(errno));
		ret = dirfd < 0 ? 0 : -1;
		if (shmtab_open(&s->table, -1, NULL, conf->bytes, &reason) < 0)
			msg_fatal("cannot get %llu bytes of memory for the cache: %s: lower address_verify_cache_size",
			    (unsigned long long) conf->bytes, strerror(errno));
	}
	*sp = s;
	return ret;
}

void
verify_store_connect(struct verify_store *s, struct ev_loop *loop, const struct db_store_conf *conf, bool commit_wait)
{
	struct db_store_conf c = *conf;

	c.words = VERIFY_STORE_WORDS;
	s->loop = loop;
	s->commit_wait = commit_wait;
	TAILQ_INIT(&s->asks);
	TAILQ_INIT(&s->writes);
	s->db = db_store_new(loop, &c, &verify_db_kind, &s->conf.rules, s->table);
}

/* verify_store_disconnect - those who wait are not told */
static void
verify_store_disconnect(struct verify_store *s)
{
	struct verify_ask *a;
	struct verify_write *w;

	if (s->db == NULL)
		return;
	db_store_free(&s->db);
	while ((a = TAILQ_FIRST(&s->asks)) != NULL) {
		TAILQ_REMOVE(&s->asks, a, link);
		ev_defer_cancel(s->loop, &a->defer);
		mem_free(&a);
	}
	while ((w = TAILQ_FIRST(&s->writes)) != NULL) {
		TAILQ_REMOVE(&s->writes, w, link);
		mem_free(&w);
	}
}

void
verify_store_close(struct verify_store **sp)
{
	if (*sp == NULL)
		return;
	verify_store_disconnect(*sp);
	shmtab_close(&(*sp)->table);
	mem_free(sp);
}

/* verify_store_key - the key of an address; false when it is too long to be one */
static bool
verify_store_key(struct verify_store *s, const char *addr)
{
	size_t	len = strlen(addr);

	if (len > SHMTAB_KEY_MAX)
		return false;
	memcpy(s->key, addr, len + 1);
	for (char *p = s->key; (p = strchr(p, ':')) != NULL;)
		*p = '_';
	s->key_len = len;
	s->key_storable = !s->conf.smtputf8 || utf8_valid(addr, len);
	return true;
}

/* verify_store_shared - whether the present key is one for the database */
static bool
verify_store_shared(const struct verify_store *s)
{
	return s->db != NULL && verify_db_key(s->key, s->key_len);
}

/* verify_store_put - make the table's value of a record; dirty: the database does not have it */
static enum shmtab_act
verify_store_put(struct verify_store *s, const struct address_record *a, uint32_t mark, bool dirty, struct shmtab_val *v)
{
	v->pinned = dirty;
	v->data = s->value;
	v->len = address_encode(a, s->value, sizeof s->value);
	v->expire_s = address_expiry(a, &s->conf.rules);
	v->mark = mark;
	return SHMTAB_PUT;
}

/* query */

enum verify_store_mode {
	VERIFY_MAY_ASK,			/* a probe that is due is claimed in the database */
	VERIFY_ALONE,			/* or here, when that is away */
	VERIFY_LOOK,			/* not at all: it has just been asked */
};

struct verify_store_query {
	struct verify_store *s;
	int64_t now_s;
	enum verify_store_mode mode;
	uint32_t void_mark;		/* claims with this mark count for nothing: their worker is gone */
	uint32_t seen_mark;		/* someone else's claim, not submitted yet */
	struct verify_store_answer *ans;
};

static enum shmtab_act
verify_store_query_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct verify_store_query *q = ctx;
	struct verify_store *s = q->s;
	struct address_record rec, *a = NULL;
	struct address_answer ans;

	q->seen_mark = 0;
	q->ans->adopted = q->ans->ask = false;
	if (old != NULL && address_decode(&rec, old->data, old->len)) {
		a = &rec;
		if (old->mark != 0 && old->mark == q->void_mark) {
			q->ans->adopted = true;
			rec.probed_s = 0;
			if (rec.updated_s == 0)
				a = NULL;
		} else if (old->mark != shmtab_self(s->table))
			q->seen_mark = old->mark;
	}
	address_query(a, s->key_storable, q->now_s, &s->conf.rules, &ans);
	if (ans.probe && q->mode != VERIFY_ALONE && !q->ans->adopted && verify_store_shared(s)) {
		q->ans->ask = q->mode == VERIFY_MAY_ASK;
		ans.probe = false;
		ans.act = ADDRESS_KEEP;			/* the database's answer will change it */
	}
	q->ans->status = ans.status;
	q->ans->probe = ans.probe;
	q->ans->tag = ans.after.probed_s;
	memcpy(s->text, ans.text, ans.text_len);	/* at most SHMTAB_VAL_MAX */
	s->text[ans.text_len] = 0;
	switch (ans.act) {
	case ADDRESS_STORE:
		return verify_store_put(s, &ans.after, shmtab_self(s->table), old != NULL && old->pinned && a != NULL &&
		    ans.after.updated_s != 0, new);
	case ADDRESS_DELETE:
		return SHMTAB_DELETE;
	case ADDRESS_KEEP:
		break;
	}
	return SHMTAB_KEEP;
}

static void
verify_store_decide(struct verify_store *s, const char *addr, int64_t now_s, enum verify_store_mode mode,
    struct verify_store_answer *ans)
{
	struct verify_store_query q = { .s = s, .now_s = now_s, .mode = mode, .ans = ans };

	memset(ans, 0, sizeof *ans);
	ans->text = s->text;
	if (verify_store_key(s, addr) &&
	    shmtab_modify(s->table, s->key, s->key_len, now_s, verify_store_query_fn, &q) == 0) {
		if (q.seen_mark == 0 || shmtab_alive(s->table, q.seen_mark))
			return;
		q.void_mark = q.seen_mark;
		if (shmtab_modify(s->table, s->key, s->key_len, now_s, verify_store_query_fn, &q) == 0)
			return;
	}
	/* as verify(8) of 3.11 and later on a database error: a temporary failure, and no probe */
	ans->status = VERIFY_DEFER;
	ans->probe = ans->adopted = ans->ask = false;
	ans->unavailable = true;
	ans->text = VERIFY_UNAVAIL_TEXT;
}

void
verify_store_query(struct verify_store *s, const char *addr, int64_t now_s, struct verify_store_answer *ans)
{
	verify_store_decide(s, addr, now_s, s->db != NULL && db_store_usable(s->db) ? VERIFY_MAY_ASK : VERIFY_ALONE, ans);
}

int
verify_store_look(struct verify_store *s, const char *addr, struct address_record *rec)
{
	struct shmtab_val v;
	int	found;

	if (!verify_store_key(s, addr) ||
	    (found = shmtab_get(s->table, s->key, s->key_len, s->value, sizeof s->value, &v)) < 0)
		return -1;
	if (found == 0 || !address_decode(rec, v.data, v.len))
		return 0;
	memcpy(s->text, rec->text, rec->text_len);	/* at most SHMTAB_VAL_MAX */
	s->text[rec->text_len] = 0;
	rec->text = s->text;
	return 1;
}

/* asking the database */

static void
verify_store_asked(void *ctx, enum db_answer answer, const struct db_row *row)
{
	struct verify_ask *a = ctx;
	struct verify_store *s = a->s;
	struct verify_store_answer ans;

	verify_store_decide(s, a->addr, ev_wall_s(s->loop), answer == DB_NO_ANSWER ? VERIFY_ALONE : VERIFY_LOOK, &ans);
	if (answer == DB_IS_OURS) {
		ans.probe = true;
		ans.tag = row->num[VERIFY_DB_PROBED];
	}
	TAILQ_REMOVE(&s->asks, a, link);
	a->fn(a->ctx, a->addr, &ans);
	mem_free(&a);
}

static void
verify_store_unasked(void *ctx)
{
	verify_store_asked(ctx, DB_NO_ANSWER, NULL);
}

void
verify_store_ask(struct verify_store *s, const char *addr, verify_store_asked_fn *fn, void *ctx)
{
	size_t	len = strlen(addr);
	struct verify_ask *a = mem_alloc(sizeof *a + len + 1);

	a->s = s;
	a->fn = fn;
	a->ctx = ctx;
	memcpy(a->addr, addr, len + 1);
	TAILQ_INSERT_TAIL(&s->asks, a, link);
	if (!verify_store_key(s, addr) || !db_store_ask(s->db, s->key, s->key_len, verify_store_asked, a))
		ev_defer_set(s->loop, &a->defer, verify_store_unasked, a);
}

/* update */

static void
verify_store_written(void *ctx, bool committed)
{
	struct verify_write *w = ctx;

	(void) committed;		/* it is kept here, and written later */
	TAILQ_REMOVE(&w->s->writes, w, link);
	w->fn(w->ctx);
	mem_free(&w);
}

/* verify_store_write - send the present key's record on its way; true when fn will be called */
static bool
verify_store_write(struct verify_store *s, verify_store_written_fn *fn, void *ctx)
{
	struct verify_write *w;

	if (fn == NULL || !s->commit_wait || !db_store_usable(s->db)) {
		if (!db_store_write(s->db, s->key, s->key_len, NULL, NULL))
			stats_add(STAT_db_kept, 1);
		return false;
	}
	w = mem_alloc(sizeof *w);
	w->s = s;
	w->fn = fn;
	w->ctx = ctx;
	TAILQ_INSERT_TAIL(&s->writes, w, link);
	if (db_store_write(s->db, s->key, s->key_len, verify_store_written, w))
		return true;
	stats_add(STAT_db_kept, 1);
	TAILQ_REMOVE(&s->writes, w, link);
	mem_free(&w);
	return false;
}

struct verify_store_change {
	struct verify_store *s;
	bool	dirty;
	struct address_record rec;	/* update: the new one */
	int64_t tag;			/* release: the claim */
	bool	ignored;
};

/* verify_store_nth - a result comes over another: is it the same once more? */
static uint8_t
verify_store_nth(const struct address_record *old, const struct address_record *new)
{
	bool	same = old->status == new->status && old->updated_s == new->updated_s && old->text_len == new->text_len &&
	    memcmp(old->text, new->text, new->text_len) == 0;

	return (uint8_t) (old->nth + !same);
}

static enum shmtab_act
verify_store_update_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct verify_store_change *c = ctx;
	struct address_record rec;
	bool	have = old != NULL && address_decode(&rec, old->data, old->len);

	c->ignored = have && !address_update(&rec, c->rec.status);
	c->rec.nth = have ? verify_store_nth(&rec, &c->rec) : 0;
	return c->ignored ? SHMTAB_KEEP : verify_store_put(c->s, &c->rec, 0, c->dirty, new);
}

enum verify_store_update
verify_store_update_then(struct verify_store *s, const char *addr, enum verify_status status, const char *text,
    int64_t now_s, verify_store_written_fn *fn, void *ctx)
{
	struct verify_store_change c = { .s = s };
	int	rc;

	if (!verify_store_key(s, addr) || !s->key_storable)
		return VERIFY_LOST;
	c.rec.status = status;
	c.rec.updated_s = now_s;
	c.rec.text = text;
	c.rec.text_len = strlen(text);
	c.rec.text_len = utf8_cut(text, c.rec.text_len, sizeof s->value - ADDRESS_HEADER);
	c.dirty = verify_store_shared(s);
	rc = shmtab_modify(s->table, s->key, s->key_len, now_s, verify_store_update_fn, &c);
	if (rc < 0 && c.dirty && errno == ENOSPC) {	/* half of the table waits for the database: as without one, then */
		stats_add(STAT_db_overflow, 1);
		c.dirty = false;
		rc = shmtab_modify(s->table, s->key, s->key_len, now_s, verify_store_update_fn, &c);
	}
	if (rc < 0)
		return VERIFY_LOST;
	if (c.ignored)
		return VERIFY_IGNORED;
	return c.dirty && verify_store_write(s, fn, ctx) ? VERIFY_WRITING : VERIFY_STORED;
}

enum verify_store_update
verify_store_update(struct verify_store *s, const char *addr, enum verify_status status, const char *text, int64_t now_s)
{
	return verify_store_update_then(s, addr, status, text, now_s, NULL, NULL);
}

/* for commands */

static enum shmtab_act
verify_store_put_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct verify_store_change *c = ctx;
	struct address_record rec;

	c->ignored = old != NULL && address_decode(&rec, old->data, old->len) &&
	    (rec.updated_s >= c->rec.updated_s || !address_update(&rec, c->rec.status));
	return c->ignored ? SHMTAB_KEEP : verify_store_put(c->s, &c->rec, 0, false, new);
}

enum verify_store_update
verify_store_put_result(struct verify_store *s, const char *addr, enum verify_status status, const char *text,
    int64_t updated_s)
{
	struct verify_store_change c = { .s = s, .rec = { .status = status, .updated_s = updated_s, .text = text } };

	if (!verify_store_key(s, addr) || !s->key_storable)
		return VERIFY_LOST;
	c.rec.text_len = utf8_cut(text, strlen(text), sizeof s->value - ADDRESS_HEADER);
	if (shmtab_modify(s->table, s->key, s->key_len, updated_s, verify_store_put_fn, &c) < 0)
		return VERIFY_LOST;
	return c.ignored ? VERIFY_IGNORED : VERIFY_STORED;
}

static enum shmtab_act
verify_store_forget_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	(void) new;
	*(bool *) ctx = old != NULL;
	return SHMTAB_DELETE;
}

int
verify_store_forget(struct verify_store *s, const char *addr)
{
	bool	found = false;

	if (!verify_store_key(s, addr))
		return 0;
	if (shmtab_modify(s->table, s->key, s->key_len, 0, verify_store_forget_fn, &found) < 0)
		return -1;
	return found;
}

struct verify_store_domain {
	const char *name;
	size_t	len;
};

static bool
verify_store_domain_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	const struct verify_store_domain *d = ctx;
	size_t	len;
	const char *name = verify_db_domain(key, key_len, &len);

	(void) v;
	return len != d->len || strncasecmp(name, d->name, len) != 0;
}

uint64_t
verify_store_forget_domain(struct verify_store *s, const char *domain)
{
	struct verify_store_domain d = { domain, strlen(domain) };
	uint64_t kept = 0, gone = 0;

	for (unsigned part = 0; part < shmtab_parts(s->table); part++)
		(void) shmtab_clean(s->table, part, verify_store_domain_fn, &d, &kept, &gone);
	return gone;
}

/* the end of a claim */

void
verify_store_submitted(struct verify_store *s, const char *addr, int64_t tag)
{
	(void) tag;		/* a result or a later claim has changed the mark: then there is nothing to do */
	if (verify_store_key(s, addr))
		shmtab_mark(s->table, s->key, s->key_len, shmtab_self(s->table), 0);
}

static enum shmtab_act
verify_store_release_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct verify_store_change *c = ctx;
	struct address_record rec, after;

	if (old == NULL || !address_decode(&rec, old->data, old->len))
		return SHMTAB_KEEP;
	switch (address_release(&rec, c->tag, &after)) {
	case ADDRESS_STORE:
		return verify_store_put(c->s, &after, 0, old->pinned, new);
	case ADDRESS_DELETE:
		return SHMTAB_DELETE;
	case ADDRESS_KEEP:
		break;
	}
	return SHMTAB_KEEP;
}

void
verify_store_release(struct verify_store *s, const char *addr, int64_t tag, int64_t now_s)
{
	struct verify_store_change c = { .s = s, .tag = tag };

	if (!verify_store_key(s, addr))
		return;
	shmtab_modify(s->table, s->key, s->key_len, now_s, verify_store_release_fn, &c);
	if (verify_store_shared(s))
		db_store_release(s->db, s->key, s->key_len, tag);
}

/* cleanup */

struct verify_store_clean {
	const struct address_rules *rules;
	int64_t now_s;
};

static bool
verify_store_keep_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	const struct verify_store_clean *c = ctx;
	struct address_record rec;

	(void) key;
	(void) key_len;
	return address_decode(&rec, v->data, v->len) && address_keep(&rec, c->now_s, c->rules);
}

unsigned
verify_store_parts(const struct verify_store *s)
{
	return shmtab_parts(s->table);
}

int
verify_store_clean(struct verify_store *s, unsigned part, int64_t now_s, uint64_t *retained, uint64_t *dropped)
{
	struct verify_store_clean c = { &s->conf.rules, now_s };

	return shmtab_clean(s->table, part, verify_store_keep_fn, &c, retained, dropped);
}

uint64_t
verify_store_changes(struct verify_store *s, const char *addr)
{
	return verify_store_key(s, addr) ? shmtab_changes(s->table, s->key, s->key_len) : 0;
}

int
verify_store_check(struct verify_store *s, struct buf *why)
{
	const char *reason;

	if (shmtab_check(s->table, &reason) == 0)
		return 0;
	buf_addf(why, "cache file %s: %s: %s", VERIFY_STORE_FILE, reason, strerror(errno));
	return -1;
}

struct shmtab *
verify_store_table(struct verify_store *s)
{
	return s->table;
}
