/* tests/lib/db_rig.c - a db_store over fake_pg, see db_rig.h */
#include "db_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <util/mem.h>

struct db_rig rig;

struct rig_value {			/* of an entry */
	int64_t	version;
	char	text[64];
};

static struct pg_host rig_host = { .keys = { "host", NULL }, .values = { "rig", NULL }, .where = "database rig" };
static struct db_conf rig_where = { .hosts = &rig_host, .hosts_n = 1 };

/* the kind */

static bool
rig_valid(const struct db_row *r)
{
	return r->text_len < 64 && (r->text_len == 0 || r->text[0] != '!');
}

static bool
rig_encode(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v, struct db_row *r, int64_t *when_s)
{
	struct rig_value value;			/* a copy: the table's bytes lie anywhere */

	(void) ctx;
	if (v->len != sizeof value)
		return false;
	memcpy(&value, v->data, sizeof value);
	if (value.text[0] == '-')
		return false;
	memset(r, 0, sizeof *r);
	r->key = key;
	r->key_len = key_len;
	r->text = (const char *) v->data + offsetof(struct rig_value, text);
	r->text_len = strlen(value.text);
	r->num[0] = *when_s = value.version;
	return true;
}

static enum shmtab_act
rig_merge(void *ctx, const struct db_row *r, enum db_news news, uint32_t self, const struct shmtab_val *old,
    struct shmtab_val *new)
{
	static struct rig_value value;

	(void) ctx;
	if (old == NULL && news == DB_PULLED)
		return SHMTAB_KEEP;
	if (old != NULL)
		memcpy(&value, old->data, sizeof value);
	if (old != NULL && old->pinned && news != DB_SETTLED && value.version >= r->num[0])
		return SHMTAB_KEEP;
	memset(&value, 0, sizeof value);
	value.version = r->num[0];
	memcpy(value.text, r->text, r->text_len);
	new->data = &value;
	new->len = sizeof value;
	new->mark = news == DB_CLAIMED ? self : 0;
	return SHMTAB_PUT;
}

static bool
rig_broad(const struct db_row *r)
{
	return r->key_len > 0 && r->key[0] == '@';
}

static enum shmtab_act
rig_voids(void *ctx, const struct db_row *r, const void *key, size_t key_len, const struct shmtab_val *old,
    struct shmtab_val *new)
{
	(void) ctx;
	(void) new;
	return !old->pinned && key_len > r->key_len &&
	    memcmp((const char *) key + key_len - r->key_len, r->key, r->key_len) == 0 ? SHMTAB_DELETE : SHMTAB_KEEP;
}

static void
rig_no_args(void *ctx, int64_t now_s, struct pg_args *a)
{
	(void) ctx;
	(void) now_s;
	(void) a;
}

static const struct db_kind rig_kind = {
	.name = "toy", .schema = 1, .nums = 1,
	.check = "check", .claim = "claim", .claim_plain = "plain", .read = "read", .write = "write", .release = "release",
	.pull = "pull", .newest = "newest", .clean_to = "clean_to", .clean = "clean",
	.claim_args = rig_no_args, .clean_args = rig_no_args,
	.valid = rig_valid, .encode = rig_encode, .merge = rig_merge, .broad = rig_broad, .voids = rig_voids,
};

/* the server */

static enum rig_sql
rig_which(const char *sql)
{
	static const struct { const char *sql; enum rig_sql which; } names[] = {
		{ "check", RIG_CHECK }, { "claim", RIG_CLAIM }, { "plain", RIG_PLAIN }, { "read", RIG_READ }, { "write", RIG_WRITE },
		{ "release", RIG_RELEASE }, { "pull", RIG_PULL }, { "newest", RIG_NEWEST }, { "clean_to", RIG_CLEAN_TO },
		{ "clean", RIG_CLEAN },
	};

	for (size_t i = 0; i < NELEM(names); i++)
		if (strcmp(names[i].sql, sql) == 0)
			return names[i].which;
	if (strstr(sql, "vouch_host") != NULL)
		return RIG_HOST;
	return strncmp(sql, "UPDATE vouch_lease", 18) == 0 ? RIG_KEEP : RIG_LEASE;
}

static void
rig_answer_row(struct fake_answer *a, const struct rig_row *r)
{
	char	changed[24], origin[24], version[24];

	snprintf(changed, sizeof changed, "%lld", (long long) r->changed);
	snprintf(origin, sizeof origin, "%lld", (long long) r->origin);
	snprintf(version, sizeof version, "%lld", (long long) r->version);
	fake_row(a, r->key, changed, origin, r->text, version, NULL);
}

static void
rig_claim(const struct fake_query *q)
{
	char	key[64];

	for (int i = 0; i < fake_array_len(q, 0); i++)
		if (rig_row_find(fake_array_text(q, 0, i, key, sizeof key)) == NULL)
			rig_row_put(key, 0, "", 0, fake_int(q, 2));
}

static void
rig_read(const struct fake_query *q, struct fake_answer *a)
{
	const struct rig_row *r;
	char	key[64];

	for (int i = 0; i < fake_array_len(q, 0); i++)
		if ((r = rig_row_find(fake_array_text(q, 0, i, key, sizeof key))) != NULL)
			rig_answer_row(a, r);
}

static void
rig_write(const struct fake_query *q, struct fake_answer *a)
{
	const struct rig_row *r;
	char	key[64], text[64];

	for (int i = 0; i < fake_array_len(q, 0); i++) {
		r = rig_row_find(fake_array_text(q, 0, i, key, sizeof key));
		if (r != NULL && r->version > fake_array_int(q, 4, i))
			continue;
		rig_row_put(key, fake_array_int(q, 4, i), fake_array_text(q, 1, i, text, sizeof text), fake_array_int(q, 2, i),
		    fake_int(q, 3));
		fake_row(a, key, NULL);
	}
}

static int
rig_row_cmp(const void *x, const void *y)
{
	const struct rig_row *a = *(struct rig_row *const *) x, *b = *(struct rig_row *const *) y;

	return (a->changed > b->changed) - (a->changed < b->changed);
}

static void
rig_pull(const struct fake_query *q, struct fake_answer *a)
{
	struct rig_row *found[RIG_ROWS];
	size_t	n = 0;

	for (unsigned i = 0; i < rig.rows; i++)
		if (rig.row[i].changed > fake_int(q, 0) && (rig.row[i].origin < fake_int(q, 1) || rig.row[i].origin > fake_int(q, 2)))
			found[n++] = &rig.row[i];
	qsort(found, n, sizeof found[0], rig_row_cmp);
	for (size_t i = 0; i < n && i < (size_t) fake_int(q, 3); i++)
		rig_answer_row(a, found[i]);
}

static void
rig_newest(struct fake_answer *a)
{
	int64_t newest = 0;
	char	text[24];

	for (unsigned i = 0; i < rig.rows; i++)
		if (rig.row[i].changed > newest)
			newest = rig.row[i].changed;
	snprintf(text, sizeof text, "%lld", (long long) newest);
	if (newest > 0)
		fake_row(a, text, NULL);
}

static void
rig_serve(void *ctx, const struct fake_query *q, struct fake_answer *a)
{
	enum rig_sql which = rig_which(q->sql);

	(void) ctx;
	rig.asked[which]++;
	if (q->n > 0 && q->param[0].type == PG_TYPE_TEXT_ARRAY)
		rig.keys[which] = (unsigned) fake_array_len(q, 0);
	if (rig.hook != NULL && rig.hook(which, q, a))
		return;
	switch (which) {
	case RIG_CHECK:
		fake_row(a, "1", "77", "off", "UTF8", "t", NULL);
		return;
	case RIG_CLAIM:
	case RIG_PLAIN:
		rig_claim(q);
		return;
	case RIG_READ:
		rig_read(q, a);
		return;
	case RIG_WRITE:
		rig_write(q, a);
		return;
	case RIG_PULL:
		rig_pull(q, a);
		return;
	case RIG_NEWEST:
		rig_newest(a);
		return;
	case RIG_LEASE:
		if (rig.lease)
			fake_row(a, "", NULL);
		return;
	case RIG_RELEASE:
	case RIG_CLEAN_TO:
	case RIG_CLEAN:
	case RIG_KEEP:
	case RIG_HOST:
	case RIG_SQLS:
		return;
	}
}

struct rig_row *
rig_row_find(const char *key)
{
	for (unsigned i = 0; i < rig.rows; i++)
		if (strcmp(rig.row[i].key, key) == 0)
			return &rig.row[i];
	return NULL;
}

struct rig_row *
rig_row_put(const char *key, int64_t version, const char *text, int64_t changed, int64_t origin)
{
	struct rig_row *r = rig_row_find(key);

	if (r == NULL) {
		assert_true(rig.rows < RIG_ROWS);
		r = &rig.row[rig.rows++];
	}
	*r = (struct rig_row) { .version = version, .changed = changed, .origin = origin };
	snprintf(r->key, sizeof r->key, "%s", key);
	snprintf(r->text, sizeof r->text, "%s", text);
	return r;
}

/* tier 1 */

struct rig_putting {
	struct rig_value value;
	bool	dirty;
};

static enum shmtab_act
rig_put_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct rig_putting *p = ctx;

	(void) old;
	new->data = &p->value;
	new->len = sizeof p->value;
	new->pinned = p->dirty;
	return SHMTAB_PUT;
}

void
rig_put(const char *key, int64_t version, const char *text, bool dirty)
{
	struct rig_putting p = { .value = { .version = version }, .dirty = dirty };

	snprintf(p.value.text, sizeof p.value.text, "%s", text);
	assert_int_equal(shmtab_modify(rig.table, key, strlen(key), RIG_NOW, rig_put_fn, &p), 0);
}

struct rig_entry
rig_get(const char *key)
{
	struct rig_entry e = { .there = false };
	struct rig_value value;
	struct shmtab_val v;

	if (shmtab_get(rig.table, key, strlen(key), &value, sizeof value, &v) != 1 || v.len != sizeof value)
		return e;
	e.there = true;
	e.dirty = v.pinned;
	e.mark = v.mark;
	e.version = value.version;
	memcpy(e.text, value.text, sizeof e.text);
	return e;
}

/* the whole */

void
rig_turns(void)
{
	for (int i = 0; i < 30; i++)
		ev_turn(rig.loop, 0);
}

void
rig_pass(int64_t ms)
{
	for (; ms > 0; ms -= 10) {
		ev_fake_advance(rig.loop, ms < 10 ? ms : 10);
		rig_turns();
	}
}

void
rig_forget_asked(void)
{
	memset(rig.asked, 0, sizeof rig.asked);
}

void
rig_open(void)
{
	rig.ds = db_store_new(rig.loop, &rig.conf, &rig.kind, NULL, rig.table);
	rig_turns();
}

int
rig_setup_closed(void **state)
{
	const char *why;

	(void) state;
	memset(&rig, 0, sizeof rig);
	rig.kind = rig_kind;
	rig.conf = (struct db_store_conf) { .lib = &fake_pg_lib, .where = &rig_where, .timeout_ms = RIG_TIMEOUT_MS,
	    .sync_ms = RIG_SYNC_MS, .host_name = "rig.test" };
	fake_pg_reset(rig_serve, NULL);
	rig.loop = ev_loop_new_fake(RIG_NOW);
	return shmtab_open(&rig.table, -1, NULL, 4u << 20, &why);
}

int
rig_setup(void **state)
{
	if (rig_setup_closed(state) < 0)
		return -1;
	rig_open();
	rig_pass(100);
	return db_store_usable(rig.ds) && rig.asked[RIG_PULL] > 0 ? 0 : -1;
}

int
rig_teardown(void **state)
{
	(void) state;
	db_store_free(&rig.ds);
	shmtab_close(&rig.table);
	ev_loop_free(&rig.loop);
	return fake_open() == 0 ? 0 : -1;
}
