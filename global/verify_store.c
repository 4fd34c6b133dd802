/* global/verify_store.c - address status of this host: verify(8)'s records in the shared-memory table
 * The key is the address with every ':' as '_' (spec verify-protocol section 5.1): Postfix's own records have
 * that form, and delivery agents report either form.
 */
#include "verify_store.h"

#include <errno.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

struct verify_store {
	struct shmtab *table;
	struct verify_store_conf conf;
	char	key[SHMTAB_KEY_MAX + 1];
	size_t	key_len;
	bool	key_storable;
	char	text[SHMTAB_VAL_MAX + 1];		/* of the last answer */
	unsigned char value[SHMTAB_VAL_MAX];		/* of the entry being stored */
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
verify_store_close(struct verify_store **sp)
{
	if (*sp == NULL)
		return;
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

/* verify_store_put - make the table's value of a record */
static enum shmtab_act
verify_store_put(struct verify_store *s, const struct address_record *a, uint32_t mark, struct shmtab_val *v)
{
	v->data = s->value;
	v->len = address_encode(a, s->value, sizeof s->value);
	v->expire_s = address_expiry(a, &s->conf.rules);
	v->mark = mark;
	return SHMTAB_PUT;
}

/* query */

struct verify_store_query {
	struct verify_store *s;
	int64_t now_s;
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
	q->ans->adopted = false;
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
	q->ans->status = ans.status;
	q->ans->probe = ans.probe;
	q->ans->tag = ans.after.probed_s;
	memcpy(s->text, ans.text, ans.text_len);	/* at most SHMTAB_VAL_MAX */
	s->text[ans.text_len] = 0;
	switch (ans.act) {
	case ADDRESS_STORE:
		return verify_store_put(s, &ans.after, shmtab_self(s->table), new);
	case ADDRESS_DELETE:
		return SHMTAB_DELETE;
	case ADDRESS_KEEP:
		break;
	}
	return SHMTAB_KEEP;
}

void
verify_store_query(struct verify_store *s, const char *addr, int64_t now_s, struct verify_store_answer *ans)
{
	struct verify_store_query q = { .s = s, .now_s = now_s, .ans = ans };

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
	ans->probe = ans->adopted = false;
	ans->unavailable = true;
	ans->text = VERIFY_UNAVAIL_TEXT;
}

/* update */

struct verify_store_change {
	struct verify_store *s;
	struct address_record rec;	/* update: the new one */
	int64_t tag;			/* release: the claim */
	bool	ignored;
};

static enum shmtab_act
verify_store_update_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct verify_store_change *c = ctx;
	struct address_record rec;

	c->ignored = old != NULL && address_decode(&rec, old->data, old->len) && !address_update(&rec, c->rec.status);
	return c->ignored ? SHMTAB_KEEP : verify_store_put(c->s, &c->rec, 0, new);
}

enum verify_store_update
verify_store_update(struct verify_store *s, const char *addr, enum verify_status status, const char *text, int64_t now_s)
{
	struct verify_store_change c = { .s = s };

	if (!verify_store_key(s, addr) || !s->key_storable)
		return VERIFY_LOST;
	c.rec.status = status;
	c.rec.updated_s = now_s;
	c.rec.text = text;
	c.rec.text_len = strlen(text);
	c.rec.text_len = utf8_cut(text, c.rec.text_len, sizeof s->value - ADDRESS_HEADER);
	if (shmtab_modify(s->table, s->key, s->key_len, now_s, verify_store_update_fn, &c) < 0)
		return VERIFY_LOST;
	return c.ignored ? VERIFY_IGNORED : VERIFY_STORED;
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
		return verify_store_put(c->s, &after, 0, new);
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

	if (verify_store_key(s, addr))
		shmtab_modify(s->table, s->key, s->key_len, now_s, verify_store_release_fn, &c);
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
