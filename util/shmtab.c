/* util/shmtab.c - a bounded hash table in a file that several processes map
 * A table is a file head and a number of parts (shmtab_file.c); a part has a lock, a ring of records and an index
 * (shmtab_part.c); a lock knows its owner and outlives him (shmtab_lock.c). Here: the calls, each of which visits one
 * part, and follows the table when its file was replaced.
 */
#include "shmtab.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/shmtab_file.h>
#include <util/sock.h>

#define SHMTAB_OPEN_MS	10000	/* others may be carrying a large table over */
#define SHMTAB_AGAIN_MS	(3 * SHMTAB_LOCK_MS)	/* whoever replaces it may have been stopped: not every call waits */
#define SHMTAB_VISITS	3	/* how often a table may be replaced under one call */

struct shmtab {
	struct shmtab_map *map;
	struct shmtab_where where;
	char   *name;
	bool	rebuilt;
	uint32_t epoch;			/* counts the files we have seen */
	long long tried;		/* when a call tried to follow a table that is being replaced, and failed */
	union shmtab_copy old, new;
};

/* opening */

static int
shmtab_attach(struct shmtab **tp, const struct shmtab_where *where, const char **why_r)
{
	struct shmtab *t = mem_alloc(sizeof *t);

	*tp = NULL;
	t->where = *where;
	if (where->name != NULL) {
		t->where.name = t->name = mem_strdup(where->name);
		*why_r = "no descriptor for its directory";
		if ((t->where.dirfd = fcntl(where->dirfd, F_DUPFD_CLOEXEC, 0)) < 0)
			goto fail;
	}
	if (shmtab_map_open(&t->map, &t->where, NULL, &t->rebuilt, why_r) < 0)
		goto fail;
	t->where.wait_ms = SHMTAB_LOCK_MS;	/* from now on somebody waits for us */
	*tp = t;
	return 0;
fail:
	shmtab_close(&t);
	return -1;
}

static int
shmtab_open_write(struct shmtab **tp, int dirfd, const char *name, uint64_t bytes, bool hashed, const char **why_r)
{
	struct shmtab_where where = { .dirfd = name != NULL ? dirfd : -1, .name = name, .bytes = bytes / 4096 * 4096,
	    .hashed = hashed, .create = true, .wait_ms = SHMTAB_OPEN_MS };

	return shmtab_attach(tp, &where, why_r);
}

int
shmtab_open(struct shmtab **tp, int dirfd, const char *name, uint64_t bytes, const char **why_r)
{
	return shmtab_open_write(tp, dirfd, name, bytes, false, why_r);
}

int
shmtab_open_hashed(struct shmtab **tp, int dirfd, const char *name, uint64_t bytes, const char **why_r)
{
	return shmtab_open_write(tp, dirfd, name, bytes, true, why_r);
}

int
shmtab_open_read(struct shmtab **tp, int dirfd, const char *name, const char **why_r)
{
	struct shmtab_where where = { .dirfd = dirfd, .name = name, .wait_ms = SHMTAB_OPEN_MS };

	return shmtab_attach(tp, &where, why_r);
}

void
shmtab_close(struct shmtab **tp)
{
	struct shmtab *t = *tp;
	int	saved = errno;

	if (t == NULL)
		return;
	shmtab_map_close(&t->map);
	if (t->name != NULL)
		sock_close(&t->where.dirfd);
	mem_free(&t->name);
	mem_free(tp);
	errno = saved;
}

/* shmtab_follow - attach to what bears the name now; on failure we go on with what we have */
static int
shmtab_follow(struct shmtab *t, const char **why_r)
{
	struct shmtab_map *m;
	bool	rebuilt;

	t->where.any_size = true;		/* whoever replaced it knows the size that is wanted now */
	if (shmtab_map_open(&m, &t->where, t->map, &rebuilt, why_r) < 0)
		return -1;
	if (m == NULL)
		return 0;
	shmtab_map_close(&t->map);
	t->map = m;
	t->epoch++;
	t->rebuilt = t->rebuilt || rebuilt;
	return 0;
}

int
shmtab_check(struct shmtab *t, const char **why_r)
{
	*why_r = NULL;
	if (t->name == NULL || shmtab_map_current(t->map, t->where.dirfd, t->name))
		return 0;
	return shmtab_follow(t, why_r);
}

/* visits */

/* shmtab_visit - enter a part that is in use; of a replaced table none is */
static int
shmtab_visit(struct shmtab *t, struct shmtab_part *p)
{
	const char *why;

	if (shmtab_part_enter(p, &t->map->seat) < 0)
		return -1;
	if (!shmtab_part_retired(p))
		return 1;
	shmtab_part_leave(p, &t->map->seat);
	if (msg_rate(&t->tried, SHMTAB_AGAIN_MS) && shmtab_follow(t, &why) == 0) {
		t->tried = 0;
		return 0;
	}
	errno = EBUSY;
	return -1;
}

/* shmtab_key_part - the hash of a key, and the part where it lives, whose memory is now on its way */
static uint64_t
shmtab_key_part(const struct shmtab *t, const void *key, size_t key_len, struct shmtab_part *p)
{
	uint64_t h = shmtab_geo_hash(&t->map->geo, key, key_len);

	shmtab_map_part(t->map, shmtab_geo_part(&t->map->geo, h), p);
	shmtab_part_prefetch(p, (uint32_t) h);
	return h;
}

static int
shmtab_visit_key(struct shmtab *t, const void *key, size_t key_len, struct shmtab_part *p, uint32_t *hash_r)
{
	int	rc = 0;

	for (int i = 0; i < SHMTAB_VISITS && rc == 0; i++) {
		*hash_r = (uint32_t) shmtab_key_part(t, key, key_len, p);
		rc = shmtab_visit(t, p);
	}
	if (rc > 0)
		return 0;
	errno = EBUSY;
	return -1;
}

static int
shmtab_visit_part(struct shmtab *t, unsigned part, struct shmtab_part *p)
{
	int	rc = 0;

	for (int i = 0; i < SHMTAB_VISITS && rc == 0; i++) {
		if (part >= t->map->geo.parts) {
			errno = EBUSY;		/* there were more a moment ago */
			return -1;
		}
		shmtab_map_part(t->map, part, p);
		rc = shmtab_visit(t, p);
	}
	return rc > 0 ? 0 : -1;
}

static void
shmtab_val_of(const struct shmtab_rec *r, struct shmtab_val *v)
{
	v->data = shmtab_rec_key(r) + shmtab_rec_key_len(r);
	v->len = r->val_len;
	v->expire_s = r->expire_s;
	v->mark = r->mark;
	v->loose = false;
	v->pinned = (r->key_len & SHMTAB_REC_PINNED) != 0;
}

/* the calls */

#define SHMTAB_AGAIN	(-2)		/* the table was replaced meanwhile, and is followed */

/* shmtab_get_in - as shmtab_get, in the key's part, which was not entered; or SHMTAB_AGAIN. As a rule nobody is just changing the part:
 * then it need not be entered, and other processes do not have to fetch its lock again */
static int
shmtab_get_in(struct shmtab *t, struct shmtab_part *p, uint32_t hash, const void *key, size_t key_len, void *data, size_t size,
    struct shmtab_val *v)
{
	int64_t	slot = shmtab_part_look(p, hash, key, key_len, &t->old);
	int	rc;

	if (slot == SHMTAB_DAMAGED || (slot >= 0 && shmtab_part_counts(p, slot, &t->old))) {
		if ((rc = shmtab_visit(t, p)) <= 0)
			return rc == 0 ? SHMTAB_AGAIN : -1;
		if (slot == SHMTAB_DAMAGED || !shmtab_part_same(p))
			slot = shmtab_part_find(p, hash, key, key_len, &t->old);
		if (slot >= 0)
			shmtab_part_used(p, slot, &t->old);
		shmtab_part_leave(p, &t->map->seat);
	}
	if (slot < 0)
		return 0;
	shmtab_val_of(&t->old.rec, v);
	memcpy(data, v->data, v->len < size ? v->len : size);
	v->data = data;
	return 1;
}

int
shmtab_get(struct shmtab *t, const void *key, size_t key_len, void *data, size_t size, struct shmtab_val *v)
{
	struct shmtab_part p;
	uint32_t hash;
	int	found;

	if (key_len > SHMTAB_KEY_MAX)
		return 0;
	for (int i = 0; i < SHMTAB_VISITS; i++) {
		hash = (uint32_t) shmtab_key_part(t, key, key_len, &p);
		if ((found = shmtab_get_in(t, &p, hash, key, key_len, data, size, v)) != SHMTAB_AGAIN)
			return found;
	}
	errno = EBUSY;
	return -1;
}

void
shmtab_aim(struct shmtab_look *looks, size_t n)
{
	struct shmtab_part p;

	for (struct shmtab_look *l = looks; l < looks + n; l++) {
		l->hash = shmtab_key_part(l->table, l->key, l->keylen, &p);
		l->epoch = l->table->epoch;
	}
}

void
shmtab_get_all(struct shmtab_look *looks, size_t n)
{
	struct shmtab_part p;

	for (struct shmtab_look *l = looks; l < looks + n; l++) {
		if (l->epoch != l->table->epoch)
			continue;
		shmtab_map_part(l->table->map, shmtab_geo_part(&l->table->map->geo, l->hash), &p);
		shmtab_part_prefetch_rec(&p, (uint32_t) l->hash);
		if (l->put)
			shmtab_part_prefetch_put(&p);
	}
	for (struct shmtab_look *l = looks; l < looks + n; l++) {
		struct shmtab *t = l->table;

		l->found = SHMTAB_AGAIN;
		if (l->keylen <= SHMTAB_KEY_MAX && l->epoch == t->epoch) {
			shmtab_map_part(t->map, shmtab_geo_part(&t->map->geo, l->hash), &p);
			l->found = shmtab_get_in(t, &p, (uint32_t) l->hash, l->key, l->keylen, l->data, l->size, &l->val);
		}
		if (l->found == SHMTAB_AGAIN)
			l->found = shmtab_get(t, l->key, l->keylen, l->data, l->size, &l->val);
	}
}

int
shmtab_modify(struct shmtab *t, const void *key, size_t key_len, int64_t now_s, shmtab_fn *fn, void *ctx)
{
	struct shmtab_rec *r = &t->new.rec;
	struct shmtab_val old, new = { 0 };
	struct shmtab_part p;
	uint32_t hash;
	int64_t	slot;
	int	ret = 0;

	if (key_len > SHMTAB_KEY_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (shmtab_visit_key(t, key, key_len, &p, &hash) < 0)
		return -1;
	if ((slot = shmtab_part_find(&p, hash, key, key_len, &t->old)) >= 0) {
		shmtab_part_used(&p, slot, &t->old);
		shmtab_val_of(&t->old.rec, &old);
	}
	switch (fn(ctx, slot >= 0 ? &old : NULL, &new)) {
	case SHMTAB_KEEP:
		break;
	case SHMTAB_DELETE:
		if (slot >= 0)
			ret = shmtab_part_drop(&p, slot);
		break;
	case SHMTAB_PUT:
		if (new.len > SHMTAB_VAL_MAX) {
			errno = EMSGSIZE;
			ret = -1;
			break;
		}
		r->uses = slot >= 0 ? t->old.rec.uses : 0;
		r->mark = new.mark;
		r->expire_s = new.expire_s;
		r->hash = hash;
		r->key_len = (uint16_t) (key_len | (new.pinned ? SHMTAB_REC_PINNED : 0));
		r->val_len = (uint16_t) new.len;
		memcpy(t->new.bytes + sizeof *r, key, key_len);
		if (new.len > 0)
			memcpy(t->new.bytes + sizeof *r + key_len, new.data, new.len);
		ret = shmtab_part_put(&p, slot, &t->new, new.loose, now_s);
		break;
	}
	shmtab_part_leave(&p, &t->map->seat);
	return ret;
}

int
shmtab_mark(struct shmtab *t, const void *key, size_t key_len, uint32_t from, uint32_t to)
{
	struct shmtab_part p;
	uint32_t hash;
	int64_t	slot;
	bool	done;

	if (key_len > SHMTAB_KEY_MAX)
		return 0;
	if (shmtab_visit_key(t, key, key_len, &p, &hash) < 0)
		return -1;
	slot = shmtab_part_find(&p, hash, key, key_len, &t->old);
	if ((done = slot >= 0 && t->old.rec.mark == from))
		shmtab_part_mark(&p, slot, to);
	shmtab_part_leave(&p, &t->map->seat);
	return done;
}

unsigned
shmtab_parts(const struct shmtab *t)
{
	return t->map->geo.parts;
}

struct shmtab_cleaning {
	shmtab_keep_fn *keep;
	void   *ctx;
	uint64_t *retained, *dropped;
};

static bool
shmtab_clean_fn(void *ctx, const struct shmtab_rec *r)
{
	struct shmtab_cleaning *c = ctx;
	struct shmtab_val v;
	bool	keep;

	shmtab_val_of(r, &v);
	keep = c->keep(c->ctx, shmtab_rec_key(r), shmtab_rec_key_len(r), &v);
	++*(keep ? c->retained : c->dropped);
	return keep;
}

int
shmtab_clean(struct shmtab *t, unsigned part, shmtab_keep_fn *keep, void *ctx, uint64_t *retained, uint64_t *dropped)
{
	struct shmtab_cleaning c = { keep, ctx, retained, dropped };
	struct shmtab_part p;

	if (shmtab_visit_part(t, part, &p) < 0)
		return -1;
	shmtab_part_each(&p, shmtab_clean_fn, &c, &t->old);
	shmtab_part_leave(&p, &t->map->seat);
	return 0;
}

struct shmtab_walking {
	unsigned char *records;		/* one after the other */
	size_t	len, size;
};

static bool
shmtab_walk_fn(void *ctx, const struct shmtab_rec *r)
{
	struct shmtab_walking *w = ctx;
	size_t	n = shmtab_rec_size(r);

	if (n > w->size - w->len)
		return true;
	memcpy(w->records + w->len, r, n);
	w->len += n;
	return true;
}

int
shmtab_walk(struct shmtab *t, unsigned part, shmtab_keep_fn *fn, void *ctx)
{
	struct shmtab_walking w = { NULL, 0, 0 };
	const struct shmtab_rec *r;
	struct shmtab_part p;
	struct shmtab_val v;

	if (shmtab_visit_part(t, part, &p) < 0)
		return -1;
	w.size = t->map->geo.ring_bytes;
	w.records = mem_alloc(w.size);
	shmtab_part_each(&p, shmtab_walk_fn, &w, &t->old);
	shmtab_part_leave(&p, &t->map->seat);
	for (size_t at = 0; at < w.len; at += shmtab_rec_size(r)) {
		r = (const struct shmtab_rec *) (w.records + at);
		shmtab_val_of(r, &v);
		if (!fn(ctx, shmtab_rec_key(r), shmtab_rec_key_len(r), &v))
			break;
	}
	mem_free(&w.records);
	return 0;
}

uint32_t
shmtab_self(const struct shmtab *t)
{
	return t->map->seat.id;
}

bool
shmtab_alive(struct shmtab *t, uint32_t id)
{
	return shmtab_seat_alive(&t->map->seat, id);
}

_Atomic uint64_t *
shmtab_words(struct shmtab *t)
{
	return shmtab_map_words(t->map);
}

uint64_t
shmtab_changes(struct shmtab *t, const void *key, size_t key_len)
{
	struct shmtab_part p;
	const char *why;
	int	visits = 0;

	do
		shmtab_map_part(t->map, shmtab_geo_part(&t->map->geo, shmtab_geo_hash(&t->map->geo, key, key_len)), &p);
	while (shmtab_part_retired(&p) && visits++ < SHMTAB_VISITS && shmtab_follow(t, &why) == 0);
	return shmtab_part_changes(&p) + ((uint64_t) t->epoch << 40);
}

void
shmtab_stat(struct shmtab *t, struct shmtab_stat *st)
{
	struct shmtab_part p;

	memset(st, 0, sizeof *st);
	st->bytes = t->map->geo.bytes;
	st->rebuilt = t->rebuilt;
	for (uint32_t i = 0; i < t->map->geo.parts; i++) {
		shmtab_map_part(t->map, i, &p);
		shmtab_part_stat(&p, st);
	}
}
