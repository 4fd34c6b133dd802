/* util/shmtab_part.c - one part of a shared table: a lock, a ring of records, an index
 *
 * The heads of all parts lie one behind the other, then come the bodies: each an index, and behind it a ring.
 *
 * The ring. Records lie between first and last, oldest first, each in one piece:
 *	first <= last:	first ... last
 *	first >  last:	first ... wrap, 0 ... last	(wrap: where the next record did not fit in)
 * A record is written behind last; then last is moved, which is what makes it exist; then the index is changed; then
 * the old record of that key is marked dead. So a process may die between any two instructions: whoever gets the lock
 * after it makes the index again from the ring, in which the later record of a key is the valid one.
 * Whoever only looks takes no lock: if the lock's word was free before and is the same afterwards, nobody has written meanwhile, and
 * what was seen holds; else he takes it.
 * Room is made at first. What must stay is copied behind last, which is always possible because the free bytes are never
 * fewer than twice the largest live record: moving does not change their number, and a wrap wastes less than one.
 *
 * What stays when room is needed: pinned records; records that have been of use: each time is worth three revolutions, so
 * that a flood of addresses that are asked once does not drive out those that are asked again and again, however slowly; and
 * all that has not expired during a sweep. A sweep is one revolution that only collects garbage; it comes before any live
 * entry is evicted if much is dead, or something has expired. Uses of a young record do not count: an address that
 * is asked two or three times within a second is not a popular one yet.
 */
#include "shmtab_part.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PART_WANTED	 (256 * 1024)	/* small enough to be walked in well under a millisecond */
#define PART_COUNT_MAX	 4096
#define PART_SLOT_BYTES	 48		/* one slot for so many bytes of ring: 3/5 full with records of 80 bytes. Ways get long at 3/4, those of removals first */
#define PART_USE	 3		/* revolutions that a use is worth */
#define PART_USES_MAX	 15
#define PART_YOUNG	 16		/* the youngest 1/16 of the ring */
#define PART_GARBAGE	 8		/* a sweep is worth its while when 1/8 of the ring is dead */
#define PART_SWEEP_S	 5		/* and at most so often for the sake of expired entries */

#define GET(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELEASE)	/* never before earlier writes */
#define ADD(x, n)	SET(x, GET(x) + (n))

struct shmtab_part_head {
	uint32_t lock, retired;
	uint32_t first, last, wrap;
	uint32_t entries, live_bytes;	/* live records */
	uint32_t pinned, pinned_bytes;	/* those of them that are pinned */
	uint32_t size_max;		/* no live record is larger */
	uint32_t sweep;			/* bytes that the present sweep has still to pass; 0: none */
	uint32_t unused;
	int64_t	 swept_s;		/* when the last one began */
	int64_t	 expire_min;		/* nothing unpinned expires earlier; 0: nothing expires */
	int64_t	 sweep_min;		/* the same, of what the present sweep has passed */
	uint64_t changes;
	uint64_t key_val_bytes;
	uint64_t evicted, expired, damaged, recovered, stolen;
};
static_assert(sizeof(struct shmtab_part_head) <= SHMTAB_PART_HEAD, "the head fits");

void
shmtab_geo_init(struct shmtab_geo *g, uint64_t bytes, uint64_t head_bytes, bool hashed, const struct siphash_key *key)
{
	uint64_t space = bytes - head_bytes;
	uint64_t parts = space / PART_WANTED;

	parts = parts < 4 ? 4 : parts > PART_COUNT_MAX ? PART_COUNT_MAX : parts;
	g->bodies = (parts * SHMTAB_PART_HEAD + 4095) / 4096 * 4096;
	space -= g->bodies;
	g->bytes = bytes;
	g->hashed = hashed;
	g->key = *key;
	g->parts = (uint32_t) parts;
	g->part_bytes = space / parts / 4096 * 4096;
	if (g->part_bytes > (uint64_t) 1 << 31)
		g->part_bytes = (uint64_t) 1 << 31;
	g->slots = (uint32_t) (g->part_bytes / (PART_SLOT_BYTES + sizeof(uint64_t)));
	g->ring_off = g->slots * (uint32_t) sizeof(uint64_t);
	g->ring_bytes = ((uint32_t) g->part_bytes - g->ring_off) & ~7u;
}

void
shmtab_part_init(struct shmtab_part *p, const struct shmtab_geo *g, unsigned char *base, uint32_t n)
{
	unsigned char *body = base + g->bodies + n * g->part_bytes;

	p->head = (struct shmtab_part_head *) (base + n * SHMTAB_PART_HEAD);
	p->index.slots = (uint64_t *) body;
	p->index.n = g->slots;
	p->ring.base = body + g->ring_off;
	p->ring.bytes = g->ring_bytes;
	p->ring.seed = g->key.k0;
}

static void
part_subtract(uint32_t *x, uint32_t n)
{
	uint32_t v = GET(*x);

	SET(*x, v > n ? v - n : 0);
}

/* the ring */

/* part_span - bytes between first and last, dead records included */
static uint32_t
part_span(const struct shmtab_part *p)
{
	return p->first <= p->last ? p->last - p->first : p->wrap - p->first + p->last;
}

/* part_load - copy the ring's state; false when it or the counts cannot be right */
static bool
part_load(struct shmtab_part *p)
{
	const struct shmtab_part_head *ph = p->head;
	uint32_t ring = p->ring.bytes, live = GET(ph->live_bytes), entries = GET(ph->entries);

	p->first = GET(ph->first);
	p->last = GET(ph->last);
	p->wrap = GET(ph->wrap);
	return ((p->first | p->last | p->wrap) & 7) == 0 && p->first <= ring && p->last <= ring && p->wrap <= ring &&
	    (p->first <= p->last || (p->first <= p->wrap && ring - p->wrap <= SHMTAB_REC_MAX)) &&
	    live <= part_span(p) && entries <= live / sizeof(struct shmtab_rec) && entries <= p->index.n &&
	    GET(ph->pinned_bytes) <= live && GET(ph->pinned) <= entries && GET(ph->size_max) <= SHMTAB_REC_MAX;
}

struct part_walk {
	uint32_t pos, limit;
	bool	 wrapped;	/* the piece from 0 to last is still to come */
	union shmtab_copy *copy;/* where live records are copied to, unless NULL */
};

static void
part_walk_init(const struct shmtab_part *p, struct part_walk *w, union shmtab_copy *copy)
{
	w->copy = copy;
	w->pos = p->first;
	w->wrapped = p->first > p->last;
	w->limit = w->wrapped ? p->wrap : p->last;
}

/* part_walk_next - the next live record, verified: its head and place; counts what is damaged */
static bool
part_walk_next(struct shmtab_part *p, struct part_walk *w, struct shmtab_rec *h, uint32_t *pos_r)
{
	for (;;) {
		if (w->pos >= w->limit) {
			if (!w->wrapped)
				return false;
			w->wrapped = false;
			w->pos = 0;
			w->limit = p->last;
		} else if (!shmtab_rec_peek(&p->ring, w->pos, w->limit, h) || (h->kind == SHMTAB_REC_LIVE &&
		    !(w->copy != NULL ? shmtab_rec_read(&p->ring, w->pos, w->copy) : shmtab_rec_sound(&p->ring, w->pos, h)))) {
			ADD(p->head->damaged, 1);
			w->pos = shmtab_rec_resync(&p->ring, w->pos + 8, w->limit);
		} else {
			*pos_r = w->pos;
			w->pos += shmtab_rec_size(h);
			if (h->kind == SHMTAB_REC_LIVE)
				return true;
		}
	}
}

/* part_expires - a record that is not pinned does so then */
static void
part_expires(struct shmtab_part_head *ph, int64_t expire_s)
{
	if (expire_s == 0)
		return;
	if (GET(ph->expire_min) == 0 || expire_s < GET(ph->expire_min))
		SET(ph->expire_min, expire_s);
	if (GET(ph->sweep_min) == 0 || expire_s < GET(ph->sweep_min))
		SET(ph->sweep_min, expire_s);
}

/* part_count - the record at pos has become live */
static void
part_count(struct shmtab_part *p, const struct shmtab_rec *h)
{
	struct shmtab_part_head *ph = p->head;
	uint32_t size = shmtab_rec_size(h);

	ADD(ph->entries, 1);
	ADD(ph->live_bytes, size);
	ADD(ph->key_val_bytes, shmtab_rec_key_len(h) + h->val_len);
	if (size > GET(ph->size_max))
		SET(ph->size_max, size);
	if (shmtab_rec_pinned(h)) {
		ADD(ph->pinned, 1);
		ADD(ph->pinned_bytes, size);
	} else
		part_expires(ph, h->expire_s);
}

/* part_kill - mark the record dead; h is its head */
static void
part_kill(struct shmtab_part *p, uint64_t pos, const struct shmtab_rec *h)
{
	struct shmtab_part_head *ph = p->head;
	uint32_t key_val = (uint32_t) shmtab_rec_key_len(h) + h->val_len;
	uint64_t sum = GET(ph->key_val_bytes);

	SET(shmtab_rec_at(&p->ring, pos)->kind, SHMTAB_REC_DEAD);
	part_subtract(&ph->entries, 1);
	part_subtract(&ph->live_bytes, shmtab_rec_size(h));
	SET(ph->key_val_bytes, sum > key_val ? sum - key_val : 0);
	if (shmtab_rec_pinned(h)) {
		part_subtract(&ph->pinned, 1);
		part_subtract(&ph->pinned_bytes, shmtab_rec_size(h));
	}
}

/* part_fits - whether a record of this size has room behind the last one */
static bool
part_fits(const struct shmtab_part *p, uint32_t size)
{
	if (p->first > p->last)
		return size < p->first - p->last;	/* last == first would mean empty */
	return size <= p->ring.bytes - p->last || size < p->first;
}

/* part_mine - an owner that was stopped, or waited for a slow disk, may have lost the lock; he must not go on then
 * returns   0, or -1 EBUSY
 */
static int
part_mine(const struct shmtab_part *p)
{
	if (shmtab_lock_mine(&p->head->lock, p->held))
		return 0;
	errno = EBUSY;
	return -1;
}

/* part_append - write a complete record, which fits, behind the last one
 * returns   0, or -1 as part_mine: nobody will find it then
 */
static int
part_append(struct shmtab_part *p, const void *rec, uint32_t size, uint32_t *pos_r)
{
	bool	 wraps = p->first <= p->last && size > p->ring.bytes - p->last;
	uint32_t pos = wraps ? 0 : p->last;

	memcpy(p->ring.base + pos, rec, size);
	if (part_mine(p) < 0)
		return -1;
	if (wraps)
		SET(p->head->wrap, p->wrap = p->last);	/* means nothing until last < first */
	SET(p->head->last, p->last = pos + size);
	*pos_r = pos;
	return 0;
}

/* part_rebuild - make the index and the counts again from the ring */
static void
part_rebuild(struct shmtab_part *p)
{
	struct shmtab_part_head *ph = p->head;
	struct part_walk w;
	struct shmtab_rec h, old;
	uint32_t pos;
	int64_t	i;

	shmtab_index_clear(&p->index);
	SET(ph->entries, 0);
	SET(ph->live_bytes, 0);
	SET(ph->key_val_bytes, 0);
	SET(ph->pinned, 0);
	SET(ph->pinned_bytes, 0);
	SET(ph->size_max, 0);
	SET(ph->sweep, 0);
	SET(ph->expire_min, 0);
	ADD(ph->changes, 1);
	if (!part_load(p)) {
		ADD(ph->damaged, 1);
		SET(ph->first, p->first = 0);
		SET(ph->last, p->last = 0);
		SET(ph->wrap, p->wrap = 0);
	}
	if (p->first > p->last)			/* what the wrap wastes is less than size_max, see above */
		SET(ph->size_max, p->ring.bytes - p->wrap);
	part_walk_init(p, &w, NULL);
	while (part_walk_next(p, &w, &h, &pos)) {
		i = shmtab_index_find(&p->index, &p->ring, h.hash, shmtab_rec_key(shmtab_rec_at(&p->ring, pos)),
		    shmtab_rec_key_len(&h), NULL);
		if (i >= 0) {
			uint64_t old_pos = shmtab_index_pos(&p->index, i);

			if (shmtab_rec_peek(&p->ring, old_pos, p->ring.bytes, &old))
				part_kill(p, old_pos, &old);
			shmtab_index_set(&p->index, i, h.hash, pos);
		} else if (i != SHMTAB_NONE || !shmtab_index_add(&p->index, h.hash, pos))
			continue;
		part_count(p, &h);
	}
}

/* part_repair - something inside was found damaged */
static void
part_repair(struct shmtab_part *p)
{
	uint64_t before = GET(p->head->damaged);

	part_rebuild(p);
	if (GET(p->head->damaged) == before)
		ADD(p->head->damaged, 1);
}

/* part_step - take the oldest record out of the way: drop it, or put it behind the youngest
 * any       evict it even if it was of use, or during a sweep
 * returns   how far first was moved, 0: the ring is empty; -1: EBUSY, the lock was taken from us
 */
static int64_t
part_step(struct shmtab_part *p, int64_t now_s, bool any)
{
	struct shmtab_part_head *ph = p->head;
	uint32_t pos = p->first, limit = p->first <= p->last ? p->last : p->wrap;
	uint32_t next, size, sweep = GET(ph->sweep);
	struct shmtab_rec h;
	int64_t	i;

	if (pos == p->last)
		return 0;
	if (!shmtab_rec_peek(&p->ring, pos, limit, &h)) {
		ADD(ph->damaged, 1);
		next = shmtab_rec_resync(&p->ring, pos + 8, limit);
	} else if (size = shmtab_rec_size(&h), next = pos + size, h.kind == SHMTAB_REC_LIVE) {
		bool	 stays, fits = part_fits(p, size);

		i = shmtab_index_of(&p->index, h.hash, pos);
		stays = shmtab_rec_pinned(&h) ||
		    ((h.expire_s == 0 || h.expire_s > now_s) && (sweep > 0 || h.uses > 0) && !any);
		if (i < 0)
			SET(shmtab_rec_at(&p->ring, pos)->kind, SHMTAB_REC_DEAD);	/* lost from the index */
		else if (stays && fits && shmtab_rec_sound(&p->ring, pos, &h)) {
			uint32_t to;

			if (h.uses > 0 && sweep == 0)
				SET(shmtab_rec_at(&p->ring, pos)->uses,
				    h.uses > PART_USES_MAX ? PART_USES_MAX : h.uses - 1);
			if (part_append(p, p->ring.base + pos, size, &to) < 0)
				return -1;
			shmtab_index_set(&p->index, i, h.hash, to);
			part_kill(p, pos, &h);
			part_count(p, &h);
		} else {
			if (stays)
				ADD(ph->damaged, 1);
			else if (h.expire_s != 0 && h.expire_s <= now_s)
				ADD(ph->expired, 1);
			else
				ADD(ph->evicted, 1);
			if (stays && fits)
				next = shmtab_rec_resync(&p->ring, pos + 8, limit);	/* its size may be wrong */
			part_kill(p, pos, &h);
			shmtab_index_remove(&p->index, i);
			ADD(ph->changes, 1);
		}
	}
	size = next - pos;
	if (sweep > 0) {
		SET(ph->sweep, sweep > size ? sweep - size : 0);
		if (sweep <= size)
			SET(ph->expire_min, GET(ph->sweep_min));
	}
	p->first = p->first > p->last && next >= p->wrap ? 0 : next;
	SET(ph->first, p->first);
	if (p->first + sizeof h <= p->ring.bytes)		/* the next one's turn comes with the next new record */
		shmtab_index_prefetch(&p->index, GET(shmtab_rec_at(&p->ring, p->first)->hash));
	return size;
}

/* part_room - make room for a record of size bytes, and a slot if it is to be a new entry
 * work      at most four revolutions: one sweep, one that lowers uses, then whatever is not pinned goes
 * returns   0, or -1: ENOSPC, too much is pinned; EBUSY, the lock was taken from us. *moved_r: records were moved
 */
static int
part_room(struct shmtab_part *p, uint32_t size, bool new_entry, int64_t now_s, bool *moved_r)
{
	struct shmtab_part_head *ph = p->head;
	const uint32_t ring = p->ring.bytes;
	uint32_t max = GET(ph->size_max);
	uint64_t passed = 0;
	int64_t	n;
	bool	 swept = false;

	max = max < size ? size : max > SHMTAB_REC_MAX ? SHMTAB_REC_MAX : max;
	if (GET(ph->sweep) > part_span(p))
		SET(ph->sweep, part_span(p));
	*moved_r = false;
	while (ring - part_span(p) < size + 2 * max + 8 || !part_fits(p, size) ||
	    (new_entry && GET(ph->entries) >= p->index.n / 8 * 7)) {
		int64_t expire = GET(ph->expire_min), last = GET(ph->swept_s);
		uint32_t live = GET(ph->live_bytes), span = part_span(p);

		if (!swept && GET(ph->sweep) == 0 && ((span > live && span - live >= ring / PART_GARBAGE) ||
		    (expire != 0 && expire <= now_s && (now_s < last || now_s - last >= PART_SWEEP_S)))) {
			swept = true;
			SET(ph->swept_s, now_s);
			SET(ph->sweep_min, 0);
			SET(ph->sweep, span);
		}
		if (part_mine(p) < 0 || (n = part_step(p, now_s, passed > 2 * (uint64_t) ring)) < 0)
			return -1;
		if (n == 0)
			part_repair(p);			/* nothing is there, and yet no room: the counts are wrong */
		*moved_r = true;
		if ((passed += n > 0 ? (uint64_t) n : ring) > 4 * (uint64_t) ring) {
			errno = ENOSPC;
			return -1;
		}
	}
	return 0;
}

/* the lock */

void
shmtab_part_prefetch(const struct shmtab_part *p, uint32_t hash)
{
	__builtin_prefetch(p->head, 1);
	shmtab_index_prefetch(&p->index, hash);
}

void
shmtab_part_prefetch_rec(const struct shmtab_part *p, uint32_t hash)
{
	shmtab_index_prefetch_rec(&p->index, &p->ring, hash);
}

void
shmtab_part_prefetch_put(const struct shmtab_part *p)
{
	const uint32_t ends[] = { GET(p->head->last), GET(p->head->first) };

	for (size_t i = 0; i < 2; i++)
		if (ends[i] <= p->ring.bytes - 2 * SHMTAB_REC_SHORT) {
			__builtin_prefetch(p->ring.base + ends[i], 1);
			__builtin_prefetch(p->ring.base + ends[i] + SHMTAB_REC_SHORT, 1);
		}
}

int
shmtab_part_enter(struct shmtab_part *p, const struct shmtab_seat *seat)
{
	switch (shmtab_lock(&p->head->lock, seat, &p->held)) {
	case SHMTAB_LOCKED:
		return 0;
	case SHMTAB_LOCKED_DEAD:
		part_rebuild(p);
		ADD(p->head->recovered, 1);
		return 0;
	case SHMTAB_LOCKED_FORCE:
		part_rebuild(p);
		ADD(p->head->stolen, 1);
		return 0;
	case SHMTAB_LOCK_BUSY:
		break;
	}
	errno = EBUSY;
	return -1;
}

void
shmtab_part_leave(struct shmtab_part *p, const struct shmtab_seat *seat)
{
	if (shmtab_unlock(&p->head->lock, p->held) || shmtab_part_enter(p, seat) < 0)
		return;
	part_rebuild(p);	/* somebody took the lock from us, and both wrote perhaps */
	shmtab_unlock(&p->head->lock, p->held);
}

void
shmtab_part_inherited(struct shmtab_part *p, const struct shmtab_seat *seat)
{
	if (!shmtab_lock_inherited(&p->head->lock, seat))
		return;
	p->held = GET(p->head->lock);
	part_rebuild(p);
	ADD(p->head->recovered, 1);
	shmtab_unlock(&p->head->lock, p->held);
}

bool
shmtab_part_retired(const struct shmtab_part *p)
{
	return GET(p->head->retired) != 0;
}

void
shmtab_part_retire(struct shmtab_part *p, bool retired)
{
	SET(p->head->retired, retired);
}

/* looking without the lock */

int64_t
shmtab_part_look(struct shmtab_part *p, uint32_t hash, const void *key, size_t key_len, union shmtab_copy *c)
{
	int64_t	slot;

	if (!shmtab_lock_free(&p->head->lock, &p->seen) || shmtab_part_retired(p))
		return SHMTAB_DAMAGED;
	slot = shmtab_index_find(&p->index, &p->ring, hash, key, key_len, c);
	return shmtab_lock_still(&p->head->lock, p->seen) ? slot : SHMTAB_DAMAGED;
}

bool
shmtab_part_counts(const struct shmtab_part *p, int64_t slot, const union shmtab_copy *c)
{
	uint64_t pos = shmtab_index_pos(&p->index, slot);
	uint32_t last = GET(p->head->last);
	uint64_t age = last >= pos ? last - pos : last + p->ring.bytes - pos;

	return c->rec.uses < PART_USES_MAX && age >= p->ring.bytes / PART_YOUNG &&
	    (pos & 7) == 0 && pos <= p->ring.bytes - sizeof c->rec;
}

bool
shmtab_part_same(const struct shmtab_part *p)
{
	return shmtab_lock_next(p->seen, p->held);
}

/* inside the lock */

int64_t
shmtab_part_find(struct shmtab_part *p, uint32_t hash, const void *key, size_t key_len, union shmtab_copy *c)
{
	int64_t	i = shmtab_index_find(&p->index, &p->ring, hash, key, key_len, c);

	if (i == SHMTAB_DAMAGED) {
		part_repair(p);
		i = shmtab_index_find(&p->index, &p->ring, hash, key, key_len, c);
	}
	return i == SHMTAB_DAMAGED ? SHMTAB_NONE : i;	/* twice: it is being damaged while we look */
}

void
shmtab_part_used(struct shmtab_part *p, int64_t slot, union shmtab_copy *c)
{
	if (!shmtab_part_counts(p, slot, c))
		return;
	c->rec.uses = (uint8_t) (c->rec.uses + PART_USE > PART_USES_MAX ? PART_USES_MAX : c->rec.uses + PART_USE);
	SET(shmtab_rec_at(&p->ring, shmtab_index_pos(&p->index, slot))->uses, c->rec.uses);
}

void
shmtab_part_mark(struct shmtab_part *p, int64_t slot, uint32_t mark)
{
	uint64_t pos = shmtab_index_pos(&p->index, slot);

	if ((pos & 7) == 0 && pos <= p->ring.bytes - sizeof(struct shmtab_rec))
		SET(shmtab_rec_at(&p->ring, pos)->mark, mark);
}

/* part_may_pin - at most half the ring is pinned, so that there is always something to evict */
static bool
part_may_pin(const struct shmtab_part *p, uint32_t size, int64_t slot)
{
	uint32_t pinned = GET(p->head->pinned_bytes);
	struct shmtab_rec old;

	if (slot >= 0 && shmtab_rec_peek(&p->ring, shmtab_index_pos(&p->index, slot), p->ring.bytes, &old) &&
	    shmtab_rec_pinned(&old))
		pinned -= pinned > shmtab_rec_size(&old) ? shmtab_rec_size(&old) : pinned;
	return pinned <= p->ring.bytes / 2 && size <= p->ring.bytes / 2 - pinned;
}

/* part_overwrite - in its place, if it has the same size there and is not pinned; who dies here leaves a record that is not sound */
static bool
part_overwrite(struct shmtab_part *p, int64_t slot, const union shmtab_copy *c, uint32_t size)
{
	uint64_t pos = shmtab_index_pos(&p->index, slot);
	struct shmtab_rec old;

	if (!shmtab_rec_peek(&p->ring, pos, p->ring.bytes, &old) || old.kind != SHMTAB_REC_LIVE ||
	    old.key_len != c->rec.key_len || old.val_len != c->rec.val_len || shmtab_rec_pinned(&old))
		return false;
	memcpy(p->ring.base + pos, c->bytes, size);
	part_expires(p->head, c->rec.expire_s);
	return true;
}

int
shmtab_part_put(struct shmtab_part *p, int64_t slot, union shmtab_copy *c, bool loose, int64_t now_s)
{
	struct shmtab_rec *r = &c->rec, old;
	const uint32_t hash = r->hash, size = shmtab_rec_size(r);
	const size_t key_len = shmtab_rec_key_len(r);
	uint64_t old_pos = 0;
	uint32_t pos;
	bool	 moved;

	shmtab_rec_seal(&p->ring, c);
	if (part_mine(p) < 0)
		return -1;
	if (!part_load(p)) {
		part_repair(p);
		slot = shmtab_index_find(&p->index, &p->ring, hash, shmtab_rec_key(r), key_len, NULL);
	}
	if (loose && slot >= 0 && part_overwrite(p, slot, c, size)) {
		ADD(p->head->changes, 1);
		return 0;
	}
	if (shmtab_rec_pinned(r) && !part_may_pin(p, size, slot)) {
		errno = ENOSPC;
		return -1;
	}
	if (part_room(p, size, slot < 0, now_s, &moved) < 0)
		return -1;
	if (moved)
		slot = shmtab_index_find(&p->index, &p->ring, hash, shmtab_rec_key(r), key_len, NULL);
	if (slot >= 0) {
		old_pos = shmtab_index_pos(&p->index, slot);
		if (!shmtab_rec_peek(&p->ring, old_pos, p->ring.bytes, &old) || old.kind != SHMTAB_REC_LIVE)
			slot = SHMTAB_DAMAGED;
	}
	if (part_append(p, c->bytes, size, &pos) < 0)
		return -1;
	ADD(p->head->changes, 1);
	if (slot >= 0) {
		shmtab_index_set(&p->index, slot, hash, pos);
		part_kill(p, old_pos, &old);
	} else if (slot != SHMTAB_NONE || !shmtab_index_add(&p->index, hash, pos)) {
		part_repair(p);			/* finds the new record in the ring */
		return 0;
	}
	part_count(p, r);
	return 0;
}

int
shmtab_part_drop(struct shmtab_part *p, int64_t slot)
{
	uint64_t pos = shmtab_index_pos(&p->index, slot);
	struct shmtab_rec h;

	if (part_mine(p) < 0)
		return -1;
	if (shmtab_rec_peek(&p->ring, pos, p->ring.bytes, &h) && h.kind == SHMTAB_REC_LIVE)
		part_kill(p, pos, &h);
	shmtab_index_remove(&p->index, slot);
	ADD(p->head->changes, 1);
	return 0;
}

void
shmtab_part_each(struct shmtab_part *p, shmtab_part_fn *fn, void *ctx, union shmtab_copy *c)
{
	struct part_walk w;
	struct shmtab_rec h;
	uint32_t pos;
	int64_t	i;

	if (!part_load(p))
		part_repair(p);
	part_walk_init(p, &w, c);
	while (part_walk_next(p, &w, &h, &pos))
		if ((i = shmtab_index_of(&p->index, c->rec.hash, pos)) >= 0 && !fn(ctx, &c->rec))
			shmtab_part_drop(p, i);
}

/* without the lock */

uint64_t
shmtab_part_changes(const struct shmtab_part *p)
{
	return __atomic_load_n(&p->head->changes, __ATOMIC_ACQUIRE);
}

void
shmtab_part_stat(const struct shmtab_part *p, struct shmtab_stat *st)
{
	const struct shmtab_part_head *ph = p->head;
	uint64_t kept = GET(ph->live_bytes) + 2 * (uint64_t) GET(ph->size_max) + 8;

	st->entries += GET(ph->entries);
	st->pinned += GET(ph->pinned);
	st->key_val_bytes += GET(ph->key_val_bytes);
	st->free_bytes += p->ring.bytes > kept ? p->ring.bytes - kept : 0;
	st->evicted += GET(ph->evicted);
	st->expired += GET(ph->expired);
	st->damaged += GET(ph->damaged);
	st->recovered += GET(ph->recovered);
	st->stolen += GET(ph->stolen);
}
