/* global/greylist_store.c - greylisting records: what is there, and changes of it. Housework: greylist_house.c */
#include "greylist_store_int.h"

#include <errno.h>
#include <string.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/siphash.h>
#include <util/utf8.h>

/* text for people */

static const char *
store_text(void *ctx, const char *id, size_t id_len)
{
	const struct greylist_store *s = ctx;
	const char *text = id_len == GREYLIST_ID_LEN ? greylist_texts_get(s->texts, id) : NULL;

	return text != NULL ? text : "";
}

static void
store_text_written(void *ctx, const char *id, size_t id_len)
{
	const struct greylist_store *s = ctx;

	if (id_len == GREYLIST_ID_LEN)
		greylist_texts_written(s->texts, id);
}

static void
store_up_write(void *ctx, const char *id, bool owed)
{
	struct greylist_store *s = ctx;

	if (owed)				/* it may have been swept by a worker that does not know the text */
		(void) db_store_rewrite(s->db, id, GREYLIST_ID_LEN);
	else
		(void) db_store_write(s->db, id, GREYLIST_ID_LEN, NULL, NULL);
}

/* store_up - there is a connection again */
static void
store_up(void *ctx)
{
	struct greylist_store *s = ctx;

	greylist_texts_each(s->texts, store_up_write, s);
}

static void
store_text_add(struct buf *out, const char *part)
{
	size_t	at = out->len;

	if (buf_adds(out, part) == 0 && out->len > at)
		utf8_sanitise(out->data + at, out->len - at, true);
}

static void
store_text_put(struct greylist_store *s, const char *id, const struct greylist_names *names)
{
	static struct buf text = BUF_INIT(4096);

	if (!s->conf.clear || names == NULL)
		return;
	buf_reset(&text);
	store_text_add(&text, id[0] == 'C' ? names->net : names->client);
	buf_addc(&text, GREYLIST_DB_SEPARATOR);
	if (id[0] != 'C')
		store_text_add(&text, id[0] == 'D' ? names->domain : names->sender);
	buf_addc(&text, GREYLIST_DB_SEPARATOR);
	if (id[0] == 'T')
		store_text_add(&text, names->recipient);
	if (text.full)
		return;				/* too much to show to anybody */
	greylist_texts_put(s->texts, id, buf_str(&text));
}

/* ids */

void
greylist_ids(struct greylist_hash *h, const struct greylist_names *names, struct greylist_ids *ids)
{
	greylist_id(h, 'C', names->net, NULL, NULL, ids->c);
	memcpy(ids->n, ids->c, sizeof ids->n);
	ids->n[0] = 'N';
	ids->has_domain = names->domain[0] != 0;
	if (ids->has_domain)
		greylist_id(h, 'D', names->client, names->domain, NULL, ids->d);
	greylist_id(h, 'S', names->client, names->sender, NULL, ids->s);
	greylist_id(h, 'T', names->client, names->sender, names->recipient, ids->t);
}

void
greylist_store_ids(struct greylist_store *s, const struct greylist_names *names, struct greylist_ids *ids)
{
	greylist_ids(s->hash, names, ids);
}

/* one change */

enum store_op {
	STORE_BEGIN, STORE_AGAIN, STORE_PASS, STORE_KNOW, STORE_ADD, STORE_TOUCH, STORE_ADMIT, STORE_CLEAR, STORE_MEND, STORE_MERGE,
};

struct store_change {
	struct greylist_store *s;
	enum store_op op;
	char	kind;
	uint32_t member;
	unsigned count;			/* ADMIT: how many would be counted; and were */
	const struct greylist_record *merge;
	int64_t now_s;
	bool	shared;			/* what is new must get into the database */
	struct greylist_record was, is;
	bool	done;			/* it was new, it was admitted ... */
	bool	dirty;
	unsigned char value[GREYLIST_VALUE_MAX];
};

/* store_change_init - the records and the value are store_change_fn's to fill in */
static void
store_change_init(struct store_change *c, enum store_op op, int64_t now_s)
{
	c->op = op;
	c->member = 0;
	c->count = 0;
	c->merge = NULL;
	c->now_s = now_s;
}

/* store_change_apply - what to do with the record c->is; c->dirty: the database is to hear of it */
static enum shmtab_act
store_change_apply(struct store_change *c)
{
	const struct greylist_rules *rules = &c->s->conf.rules;
	struct greylist_record *r = &c->is;

	switch (c->op) {
	case STORE_BEGIN:
		if ((c->done = !greylist_record_pending(r, rules, c->now_s))) {
			greylist_record_begin(r, rules, c->now_s);
			c->dirty = c->shared;
		} else
			greylist_record_again(r, c->now_s);
		return SHMTAB_PUT;
	case STORE_AGAIN:
		if (r->kind == 0)
			return SHMTAB_KEEP;
		greylist_record_again(r, c->now_s);
		return SHMTAB_PUT;
	case STORE_PASS:
		if (r->kind == 0)			/* pushed out just now */
			greylist_record_begin(r, rules, c->now_s);
		c->done = r->passed_s == 0;
		if (!c->shared && !rules->keep_passed)
			return SHMTAB_DELETE;
		if (!c->done)
			return SHMTAB_KEEP;
		greylist_record_pass(r, c->now_s);
		c->dirty = c->shared;
		return SHMTAB_PUT;
	case STORE_KNOW:
		greylist_record_know(r, rules, c->now_s);
		c->dirty = c->shared;
		return SHMTAB_PUT;
	case STORE_ADD:
		greylist_record_add(r, c->kind, c->member, rules, c->now_s);
		c->dirty = c->shared;
		return SHMTAB_PUT;
	case STORE_TOUCH:
		if (r->kind == 0 || r->last_s >= c->now_s)
			return SHMTAB_KEEP;
		r->last_s = c->now_s;
		if (c->shared && c->now_s - r->stored_s > rules->touch_s)
			c->dirty = true;
		return SHMTAB_PUT;
	case STORE_ADMIT:
		if (r->kind == 0 || !greylist_record_alive(r, rules, c->now_s))
			*r = (struct greylist_record) { .kind = 'N' };
		if (!(c->done = r->tries < rules->pending_limit))
			return SHMTAB_KEEP;
		if (r->tries + c->count > rules->pending_limit / 2)
			c->count = 1;			/* ahead only in the first half, so that half of them are there in any case */
		r->last_s = c->now_s;
		r->tries += c->count;
		return SHMTAB_PUT;
	case STORE_CLEAR:
		c->done = r->kind != 0;
		return SHMTAB_DELETE;
	case STORE_MERGE:
		greylist_record_merge(r, c->merge, rules);
		return SHMTAB_PUT;
	case STORE_MEND:
		return SHMTAB_PUT;
	}
	return SHMTAB_KEEP;
}

static enum shmtab_act
store_change_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct store_change *c = ctx;
	enum shmtab_act act;

	if (old == NULL || !greylist_record_decode(&c->is, old->data, old->len) || c->is.kind != c->kind)
		memset(&c->is, 0, sizeof c->is);
	else if (greylist_record_mend(&c->is, &c->s->conf.rules, c->now_s))
		stats_add(STAT_greylist_clock_corrections, 1);
	c->was = c->is;
	c->dirty = old != NULL && old->pinned && c->is.kind != 0;
	c->done = false;
	act = store_change_apply(c);
	if (act == SHMTAB_DELETE && old == NULL)
		act = SHMTAB_KEEP;
	if (act == SHMTAB_PUT) {
		new->data = c->value;
		new->len = greylist_record_encode(&c->is, c->value);
		new->expire_s = greylist_record_expiry(&c->is, &c->s->conf.rules);
		new->pinned = c->dirty;
		new->loose = c->kind == 'N';		/* a count that is no promise to anybody */
	}
	return act;
}

static struct shmtab *
store_table(struct greylist_store *s, char kind)
{
	return kind == 'T' || kind == 'N' ? s->pending : s->known;
}

/* store_change - false: not done, and counted; names: for what the database is to hear of */
static bool
store_change(struct greylist_store *s, const char *id, struct store_change *c, const struct greylist_names *names)
{
	struct shmtab *table = store_table(s, id[0]);
	bool	was_dirty;

	c->s = s;
	c->kind = id[0];
	c->shared = s->db != NULL;
	if (shmtab_modify(table, id, GREYLIST_ID_LEN, c->now_s, store_change_fn, c) < 0) {
		if (errno != ENOSPC || !c->shared)
			goto lost;
		stats_add(STAT_db_overflow, 1);		/* half of the table waits already: this host alone will know */
		c->shared = false;
		if (shmtab_modify(table, id, GREYLIST_ID_LEN, c->now_s, store_change_fn, c) < 0)
			goto lost;
		return true;
	}
	was_dirty = c->dirty && (c->op == STORE_AGAIN || c->op == STORE_MEND);
	if (c->dirty && !was_dirty && s->db != NULL) {
		store_text_put(s, id, names);
		(void) db_store_write(s->db, id, GREYLIST_ID_LEN, NULL, NULL);	/* if not now, when it is swept, or store_up */
	}
	return true;
lost:
	stats_add(STAT_greylist_lost, 1);
	return false;
}

/* looking */

void
greylist_store_aim(struct greylist_store *s, const struct greylist_ids *ids, struct greylist_aim *aim)
{
	/* the triplet first: it goes after its sender was made (greylist_store_pass), so that one of them is always seen */
	const char *const id[GREYLIST_AIM_MAX] = { ids->t, ids->s, ids->c, ids->d };

	aim->n = ids->has_domain ? GREYLIST_AIM_MAX : GREYLIST_AIM_MAX - 1;
	for (size_t i = 0; i < aim->n; i++) {
		struct shmtab_look *l = &aim->look[i];

		l->table = store_table(s, id[i][0]);
		l->key = id[i];
		l->keylen = GREYLIST_ID_LEN;
		l->data = aim->value[i];
		l->size = sizeof aim->value[i];
		l->put = i == 0;
	}
	shmtab_aim(aim->look, aim->n);
}

void
greylist_store_get(struct greylist_store *s, struct greylist_aim *aim, int64_t now_s, struct greylist_known *k)
{
	struct greylist_record *const record[GREYLIST_AIM_MAX] = { &k->t, &k->s, &k->c, &k->d };

	shmtab_get_all(aim->look, aim->n);
	k->d.kind = 0;
	for (size_t i = 0; i < aim->n; i++) {
		const struct shmtab_look *l = &aim->look[i];
		struct store_change c;
		const char *id = l->key;

		if (l->found != 1 || l->val.len > l->size || !greylist_record_decode(record[i], aim->value[i], l->val.len) ||
		    record[i]->kind != id[0])
			record[i]->kind = 0;
		else if (greylist_record_mend(record[i], &s->conf.rules, now_s)) {
			store_change_init(&c, STORE_MEND, now_s);
			(void) store_change(s, id, &c, NULL);
		}
	}
}

/* asking the database */

static void
store_look_end(struct greylist_look *l)
{
	struct greylist_store *s = l->s;

	if (--l->open > 0)
		return;
	TAILQ_REMOVE(&s->looks, l, link);
	if (l->failed)
		stats_add(STAT_greylist_unanswered, 1);
	l->fn(l->ctx, !l->failed, &l->known);
	mem_free(&l);
}

static void
store_looked(void *ctx, enum db_answer answer, const struct db_row *row)
{
	struct greylist_look_key *key = ctx;
	struct greylist_look *l = key->look;

	switch (answer) {
	case DB_FOUND:
	case DB_IS_OURS:
		if (!greylist_db_record(row, key->record))
			key->record->kind = 0;
		else if (greylist_record_mend(key->record, &l->s->conf.rules, ev_wall_s(l->s->loop)))
			stats_add(STAT_greylist_clock_corrections, 1);
		break;
	case DB_ABSENT:
		break;
	case DB_NO_ANSWER:
		l->failed = true;
		break;
	}
	store_look_end(l);
}

bool
greylist_store_look(struct greylist_store *s, const struct greylist_ids *ids, greylist_looked_fn *fn, void *ctx)
{
	struct greylist_look *l;
	const char *keys[] = { ids->c, ids->has_domain ? ids->d : NULL, ids->s, ids->t };

	if (s->db == NULL || !db_store_usable(s->db))
		return false;
	l = mem_alloc(sizeof *l);
	l->s = s;
	l->fn = fn;
	l->ctx = ctx;
	l->key[0].record = &l->known.c;
	l->key[1].record = &l->known.d;
	l->key[2].record = &l->known.s;
	l->key[3].record = &l->known.t;
	l->open = 1;				/* ours, until all are asked */
	TAILQ_INSERT_TAIL(&s->looks, l, link);
	for (size_t i = 0; i < NELEM(keys); i++) {
		l->key[i].look = l;
		if (keys[i] == NULL)
			continue;
		if (db_store_look(s->db, keys[i], GREYLIST_ID_LEN, store_looked, &l->key[i]))
			l->open++;
		else
			l->failed = true;
	}
	if (l->open == 1) {
		TAILQ_REMOVE(&s->looks, l, link);
		mem_free(&l);
		return false;
	}
	l->open--;
	stats_add(STAT_greylist_asks, 1);
	return true;
}

/* changes */

enum greylist_begun
greylist_store_begin(struct greylist_store *s, const struct greylist_ids *ids, const struct greylist_names *names, int64_t now_s,
    struct greylist_record *t_r)
{
	struct store_change c;

	store_change_init(&c, STORE_BEGIN, now_s);
	if (!store_change(s, ids->t, &c, names))
		return GREYLIST_LOST;
	*t_r = c.is;
	return c.done ? GREYLIST_BEGUN : GREYLIST_THERE;
}

bool
greylist_store_written(struct greylist_store *s, const struct greylist_ids *ids, db_write_fn *fn, void *ctx)
{
	return s->db != NULL && db_store_usable(s->db) && db_store_write(s->db, ids->t, GREYLIST_ID_LEN, fn, ctx);
}

void
greylist_store_again(struct greylist_store *s, const struct greylist_ids *ids, int64_t now_s)
{
	struct store_change c;

	store_change_init(&c, STORE_AGAIN, now_s);
	(void) store_change(s, ids->t, &c, NULL);
}

bool
greylist_store_pass(struct greylist_store *s, const struct greylist_ids *ids, const struct greylist_names *names, bool exclude,
    int64_t now_s)
{
	const struct greylist_rules *rules = &s->conf.rules;
	struct store_change c;
	bool	known = false, first;

	if (!exclude) {
		store_change_init(&c, STORE_KNOW, now_s);
		known = store_change(s, ids->s, &c, names) && c.was.kind != 0 && greylist_record_alive(&c.was, rules, now_s);
	}
	if (!exclude && ids->has_domain && rules->domain_count > 0) {
		store_change_init(&c, STORE_ADD, now_s);
		memcpy(&c.member, ids->s + 1, sizeof c.member);		/* 24 bits of the sender's hash */
		(void) store_change(s, ids->d, &c, names);
	}
	if (!exclude && rules->client_count > 0) {
		store_change_init(&c, STORE_ADD, now_s);
		c.member = (uint32_t) (now_s / rules->interval_s);
		(void) store_change(s, ids->c, &c, names);
	}
	store_change_init(&c, STORE_CLEAR, now_s);
	(void) store_change(s, ids->n, &c, NULL);
	greylist_lots_put(&s->lots, ids->n, 0, now_s);
	store_change_init(&c, STORE_PASS, now_s);
	first = !store_change(s, ids->t, &c, names) || c.done;
	/* where the triplet is removed, only its sender tells that somebody was faster */
	return exclude || rules->by_triplet ? first : !known;
}

void
greylist_store_touch(struct greylist_store *s, const char *id, const struct greylist_names *names, int64_t now_s)
{
	struct store_change c;

	store_change_init(&c, STORE_TOUCH, now_s);
	(void) store_change(s, id, &c, names);
}

bool
greylist_store_admit(struct greylist_store *s, const struct greylist_ids *ids, int64_t now_s)
{
	struct store_change c;

	if (s->conf.rules.pending_limit == 0 || greylist_lots_take(&s->lots, ids->n, now_s))
		return true;
	store_change_init(&c, STORE_ADMIT, now_s);
	c.count = greylist_lots_want(&s->lots, ids->n);
	if (!store_change(s, ids->n, &c, NULL))
		return true;
	if (c.done)
		greylist_lots_put(&s->lots, ids->n, c.count - 1, now_s);
	return c.done;
}

bool
greylist_store_put(struct greylist_store *s, const char *id, const struct greylist_record *r, int64_t now_s)
{
	struct store_change c;

	store_change_init(&c, STORE_MERGE, now_s);
	c.merge = r;
	return store_change(s, id, &c, NULL);
}

int
greylist_store_forget(struct greylist_store *s, const char *id)
{
	struct store_change c;

	store_change_init(&c, STORE_CLEAR, 0);
	return !store_change(s, id, &c, NULL) ? -1 : c.done;
}

/* life */

static bool
store_may_clean(void *ctx)
{
	return greylist_store_clock_ok(ctx);
}

void
greylist_store_connect(struct greylist_store *s, struct ev_loop *loop, const struct db_store_conf *conf)
{
	struct db_store_conf c = *conf;

	c.words = GREYLIST_WORD_DB;
	c.second = s->pending;
	s->loop = loop;
	s->texts = greylist_texts_new(GREYLIST_TEXTS);
	s->db_ctx = (struct greylist_db) {
		.rules = &s->conf.rules, .text = store_text, .written = store_text_written, .may_clean = store_may_clean, .up = store_up,
		.ctx = s,
	};
	s->db = db_store_new(loop, &c, &greylist_db_kind, &s->db_ctx, s->known);
	greylist_house_secret_share(s);
}

static void
store_open_table(struct shmtab **tp, int dirfd, const char *name, uint64_t bytes, struct buf *why)
{
	const char *reason;
	struct shmtab_stat st;

	if (bytes < SHMTAB_BYTES_MIN)
		bytes = SHMTAB_BYTES_MIN;
	if (dirfd < 0 || shmtab_open_hashed(tp, dirfd, name, bytes, &reason) < 0) {
		if (dirfd >= 0)
			buf_addf(why, "%s: %s: %s: greylisting records are not shared with other workers and not kept\n", name,
			    reason, strerror(errno));
		if (shmtab_open_hashed(tp, -1, NULL, bytes, &reason) < 0)
			msg_fatal("cannot get %llu bytes of memory for greylisting: %s: lower greylist_cache_size",
			    (unsigned long long) bytes, strerror(errno));
		return;
	}
	shmtab_stat(*tp, &st);
	if (st.rebuilt)
		msg_info("%s is new: there was none, or it was damaged or of another version", name);
}

void
greylist_store_keys(struct greylist_store *s, struct buf *why)
{
	static const struct siphash_key plain = { 0, 0 };
	const struct greylist_key_conf *k = &s->conf.keys;
	struct buf text = BUF_INIT(10000);
	_Atomic uint64_t *w = &shmtab_words(s->known)[GREYLIST_WORD_KEYS];
	uint64_t old = atomic_load(w), now;

	buf_addf(&text, "%d %d %u %u %s %s", (int) k->client, (int) k->sender, k->ipv4_bits, k->ipv6_bits, k->sender_delimiter,
	    k->recipient_delimiter);
	now = siphash(&plain, text.data, text.len) | 1;
	buf_fini(&text);
	if (old != now && atomic_compare_exchange_strong(w, &old, now) && old != 0)
		buf_adds(why, "a parameter that makes greylisting keys has changed: known senders are delayed once more\n");
}

void
greylist_store_open(struct greylist_store **sp, int dirfd, const struct greylist_store_conf *conf, struct buf *why)
{
	struct greylist_store *s = mem_alloc(sizeof *s);

	s->conf = *conf;
	TAILQ_INIT(&s->looks);
	store_open_table(&s->known, dirfd, GREYLIST_KNOWN_FILE, conf->bytes / 2, why);
	store_open_table(&s->pending, dirfd, GREYLIST_PENDING_FILE, conf->bytes / 2, why);
	greylist_house_secret_init(s, why);
	*sp = s;
}

void
greylist_store_close(struct greylist_store **sp)
{
	struct greylist_store *s = *sp;
	struct greylist_look *l;

	if (s == NULL)
		return;
	db_store_free(&s->db);
	while ((l = TAILQ_FIRST(&s->looks)) != NULL) {
		TAILQ_REMOVE(&s->looks, l, link);
		mem_free(&l);
	}
	greylist_texts_free(&s->texts);
	greylist_hash_free(&s->hash);
	shmtab_close(&s->pending);
	shmtab_close(&s->known);
	mem_free(sp);
}

bool
greylist_store_shared(const struct greylist_store *s)
{
	return s->db != NULL;
}

bool
greylist_store_usable(const struct greylist_store *s)
{
	return s->db != NULL && db_store_usable(s->db);
}

struct shmtab *
greylist_store_table(struct greylist_store *s, bool pending)
{
	return pending ? s->pending : s->known;
}

struct greylist_hash *
greylist_store_hash(struct greylist_store *s)
{
	return s->hash;
}
