/* util/shmtab_part.c - one part of a shared table: a lock, a ring of records, an index
 *
 * The ring. Records lie between first and last, oldest first, each in one piece:
 *	first <= last:	first ... last
 *	first >  last:	first ... wrap, 0 ... last	(wrap: where the next record did not fit in)
 * A record is written behind last; then last is moved, which is what makes it exist; then the index is changed; then the
 * old record of that key is marked dead. So a process may die between any two instructions: whoever gets the lock
 * after it makes the index again from the ring, in which the later record of a key is the valid one.
 * Room is made at first. What must stay is copied behind last, which is always possible because the free bytes are
 * never fewer than twice the largest live record: moving does not change their number, and a wrap wastes less than one.
 *
 * The index. Linear probing with backward-shift deletion over 64-bit slots: hash, and ring offset / 8 + 1 (0: empty).
 *
 * What stays when room is needed: pinned records; records that were of use since the last time they stood here, up to
 * SHMTAB_USES_MAX times; and all that has not expired during a sweep. A sweep is one revolution that only collects
 * garbage; it comes before any live entry is evicted if much is dead, or something has expired. Uses of a young record do not
 * count: an address that is asked two or three times within a second is not a popular one yet.
 */
#include "shmtab_part.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PART_HEAD	 256		/* bytes for the head */
#define PART_WANTED	 (256 * 1024)	/* small enough to be walked in well under a millisecond */
#define PART_COUNT_MAX	 4096
#define PART_SLOT_BYTES	 96		/* one slot for so many bytes of ring: 3/4 full with records of 128 bytes */
#define PART_DAMAGED	 (-2)
#define PART_YOUNG	 16		/* the youngest 1/16 of the ring */
#define PART_GARBAGE	 8		/* a sweep is worth its while when 1/8 of the ring is dead */
#define PART_SWEEP_S	 5		/* and at most so often for the sake of expired entries */

#define GET(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELEASE)	/* never before earlier writes */
#define ADD(x, n)	SET(x, GET(x) + (n))
#define BARRIER()	__atomic_signal_fence(__ATOMIC_SEQ_CST)	/* what was copied out is not read again */

struct shmtab_part_head {
	uint32_t lock, retired;
	uint32_t first, last, wrap;
	uint32_t entries, live_bytes;	/* live records */
	uint32_t pinned, pinned_bytes;	/* those of them that are pinned */
	uint32_t size_max;		/* no live record is larger */
	uint32_t sweep;			/* bytes that the present sweep has still to pass; 0: none */
	uint32_t unused;
	int64_t	 swept_s;		/* when the last one began */
	int64_t	 expire_min, sweep_min;	/* nothing unpinned expires earlier (0: nothing expires); the same, of what the sweep passed */
	uint64_t changes;
	uint64_t key_val_bytes;
	uint64_t evicted, expired, damaged, recovered, stolen;
};
static_assert(sizeof(struct shmtab_part_head) <= PART_HEAD, "the head fits");
static_assert(offsetof(struct shmtab_rec, data) == 32 && offsetof(struct shmtab_rec, expire_s) == 16, "no padding");

void
shmtab_geo_init(struct shmtab_geo *g, uint64_t bytes, uint64_t head_bytes, const struct siphash_key *key)
{
	uint64_t space = bytes - head_bytes;
	uint64_t parts = space / PART_WANTED;

	parts = parts < 4 ? 4 : parts > PART_COUNT_MAX ? PART_COUNT_MAX : parts;
	g->bytes = bytes;
	g->key = *key;
	g->parts = (uint32_t) parts;
	g->part_bytes = space / parts / 4096 * 4096;
	if (g->part_bytes > (uint64_t) 1 << 31)
		g->part_bytes = (uint64_t) 1 << 31;
	g->slots = (uint32_t) ((g->part_bytes - PART_HEAD) / (PART_SLOT_BYTES + sizeof(uint64_t)));
	g->ring_off = PART_HEAD + g->slots * (uint32_t) sizeof(uint64_t);
	g->ring_bytes = ((uint32_t) g->part_bytes - g->ring_off) & ~7u;
}

void
shmtab_part_init(struct shmtab_part *p, const struct shmtab_geo *g, unsigned char *base, uint32_t n)
{
	unsigned char *at = base + n * g->part_bytes;

	p->geo = g;
	p->head = (struct shmtab_part_head *) at;
	p->slots = (uint64_t *) (at + PART_HEAD);
	p->ring = at + g->ring_off;
}

static void
part_subtract(uint32_t *x, uint32_t n)
{
	uint32_t v = GET(*x);

	SET(*x, v > n ? v - n : 0);
}

/* records */

static uint32_t
part_size(const struct shmtab_rec *r)
{
	return (uint32_t) (sizeof *r + shmtab_rec_key_len(r) + r->val_len + 7) & ~7u;
}

static bool
part_pinned(const struct shmtab_rec *r)
{
	return (r->key_len & SHMTAB_REC_PINNED) != 0;
}

/* part_sum - of a record whose lengths are those of h */
static uint64_t
part_sum(const struct shmtab_part *p, const unsigned char *rec, const struct shmtab_rec *h)
{
	size_t	from = offsetof(struct shmtab_rec, expire_s);

	return siphash(&p->geo->key, rec + from, sizeof *h - from + shmtab_rec_key_len(h) + h->val_len);
}

/* part_peek - copy the head of the record at pos; false when no record that ends before limit can be there */
static bool
part_peek(const struct shmtab_part *p, uint64_t pos, uint32_t limit, struct shmtab_rec *h)
{
	if ((pos & 7) != 0 || pos > limit || limit - pos < sizeof *h)
		return false;
	memcpy(h, p->ring + pos, sizeof *h);
	BARRIER();
	return (h->kind == SHMTAB_REC_LIVE || h->kind == SHMTAB_REC_DEAD) && shmtab_rec_key_len(h) <= SHMTAB_KEY_MAX &&
	    h->val_len <= SHMTAB_VAL_MAX && part_size(h) <= limit - pos;
}

static bool
part_sound(const struct shmtab_part *p, uint32_t pos, const struct shmtab_rec *h)
{
	return part_sum(p, p->ring + pos, h) == h->sum;
}

/* part_read - copy out and verify the live record at pos */
static bool
part_read(const struct shmtab_part *p, uint64_t pos, union shmtab_copy *c)
{
	struct shmtab_rec h;

	if (!part_peek(p, pos, p->geo->ring_bytes, &h) || h.kind != SHMTAB_REC_LIVE)
		return false;
	memcpy(c->bytes, &h, sizeof h);
	memcpy(c->bytes + sizeof h, p->ring + pos + sizeof h, shmtab_rec_key_len(&h) + h.val_len);
	BARRIER();
	return part_sum(p, c->bytes, &h) == h.sum;
}

/* the index */

static uint32_t
slot_home(const struct shmtab_part *p, uint32_t hash)
{
	return (uint32_t) ((uint64_t) hash * p->geo->slots >> 32);
}

static uint32_t
slot_next(const struct shmtab_part *p, uint32_t i)
{
	return i + 1 < p->geo->slots ? i + 1 : 0;
}

static uint32_t
slot_distance(const struct shmtab_part *p, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + p->geo->slots - from;
}

static uint64_t
slot_pos(uint64_t slot)
{
	return ((slot & UINT32_MAX) - 1) * 8;
}

static uint64_t
slot_make(uint32_t hash, uint32_t pos)
{
	return (uint64_t) hash << 32 | (pos / 8 + 1);
}

static bool
slot_empty(uint64_t slot)
{
	return (slot & UINT32_MAX) == 0;
}

/* slot_of_key - c NULL: compare in place, the records were verified; returns a slot, SHMTAB_NONE or PART_DAMAGED */
static int64_t
slot_of_key(const struct shmtab_part *p, uint32_t hash, const void *key, size_t key_len, union shmtab_copy *c)
{
	struct shmtab_rec h;
	uint32_t i = slot_home(p, hash);

	for (uint32_t n = 0; n < p->geo->slots; n++, i = slot_next(p, i)) {
		uint64_t s = GET(p->slots[i]);
		const unsigned char *data;

		if (slot_empty(s))
			return SHMTAB_NONE;
		if (s >> 32 != hash)
			continue;
		if (c != NULL) {
			if (!part_read(p, slot_pos(s), c))
				return PART_DAMAGED;
			h = c->rec;
			data = c->rec.data;
		} else {
			if (!part_peek(p, slot_pos(s), p->geo->ring_bytes, &h) || h.kind != SHMTAB_REC_LIVE)
				return PART_DAMAGED;
			data = p->ring + slot_pos(s) + sizeof h;
		}
		if (h.hash != hash)
			return PART_DAMAGED;
		if (shmtab_rec_key_len(&h) == key_len && memcmp(data, key, key_len) == 0)
			return i;
	}
	return PART_DAMAGED;
}

/* slot_of_pos - the slot that leads to the record at pos */
static int64_t
slot_of_pos(const struct shmtab_part *p, uint32_t hash, uint32_t pos)
{
	uint64_t want = slot_make(hash, pos);
	uint32_t i = slot_home(p, hash);

	for (uint32_t n = 0; n < p->geo->slots; n++, i = slot_next(p, i)) {
		uint64_t s = GET(p->slots[i]);

		if (s == want)
			return i;
		if (slot_empty(s))
			break;
	}
	return SHMTAB_NONE;
}

static bool
slot_add(struct shmtab_part *p, uint32_t hash, uint32_t pos)
{
	uint32_t i = slot_home(p, hash);

	for (uint32_t n = 0; n < p->geo->slots; n++, i = slot_next(p, i))
		if (slot_empty(GET(p->slots[i]))) {
			SET(p->slots[i], slot_make(hash, pos));
			return true;
		}
	return false;
}

static void
slot_remove(struct shmtab_part *p, uint32_t i)
{
	uint32_t j = i;

	for (uint32_t n = 0; n < p->geo->slots; n++) {
		uint64_t s = GET(p->slots[j = slot_next(p, j)]);

		if (slot_empty(s))
			break;
		if (slot_distance(p, slot_home(p, (uint32_t) (s >> 32)), j) >= slot_distance(p, i, j)) {
			SET(p->slots[i], s);
			i = j;
		}
	}
	SET(p->slots[i], 0);
}

/* the ring */

static bool
part_load(struct shmtab_part *p)
{
	uint32_t ring = p->geo->ring_bytes;

	p->first = GET(p->head->first);
	p->last = GET(p->head->last);
	p->wrap = GET(p->head->wrap);
	return ((p->first | p->last | p->wrap) & 7) == 0 && p->first <= ring && p->last <= ring && p->wrap <= ring &&
	    (p->first <= p->last || (p->first <= p->wrap && ring - p->wrap <= SHMTAB_REC_MAX)) &&
	    GET(p->head->entries) <= p->geo->slots && GET(p->head->size_max) <= SHMTAB_REC_MAX;
}

/* part_span - bytes between first and last, dead records included */
static uint32_t
part_span(const struct shmtab_part *p)
{
	return p->first <= p->last ? p->last - p->first : p->wrap - p->first + p->last;
}

/* part_resync - the next place at or after pos where a sound record begins, or limit */
static uint32_t
part_resync(const struct shmtab_part *p, uint32_t pos, uint32_t limit)
{
	struct shmtab_rec h;

	for (; pos < limit; pos += 8)
		if (part_peek(p, pos, limit, &h) && part_sound(p, pos, &h))
			break;
	return pos;
}

struct part_walk {
	uint32_t pos, limit;
	bool	 wrapped;	/* the piece from 0 to last is still to come */
};

static void
part_walk_init(const struct shmtab_part *p, struct part_walk *w)
{
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
		} else if (!part_peek(p, w->pos, w->limit, h) ||
		    (h->kind == SHMTAB_REC_LIVE && !part_sound(p, w->pos, h))) {
			ADD(p->head->damaged, 1);
			w->pos = part_resync(p, w->pos + 8, w->limit);
		} else {
			*pos_r = w->pos;
			w->pos += part_size(h);
			if (h->kind == SHMTAB_REC_LIVE)
				return true;
		}
	}
}

/* part_count - the record at pos has become live */
static void
part_count(struct shmtab_part *p, const struct shmtab_rec *h)
{
	struct shmtab_part_head *ph = p->head;
	uint32_t size = part_size(h);

	ADD(ph->entries, 1);
	ADD(ph->live_bytes, size);
	ADD(ph->key_val_bytes, shmtab_rec_key_len(h) + h->val_len);
	if (size > GET(ph->size_max))
		SET(ph->size_max, size);
	if (part_pinned(h)) {
		ADD(ph->pinned, 1);
		ADD(ph->pinned_bytes, size);
	} else if (h->expire_s != 0) {
		if (GET(ph->expire_min) == 0 || h->expire_s < GET(ph->expire_min))
			SET(ph->expire_min, h->expire_s);
		if (GET(ph->sweep_min) == 0 || h->expire_s < GET(ph->sweep_min))
			SET(ph->sweep_min, h->expire_s);
	}
}

/* part_kill - mark the record dead; h is its head */
static void
part_kill(struct shmtab_part *p, uint64_t pos, const struct shmtab_rec *h)
{
	struct shmtab_part_head *ph = p->head;
	uint32_t key_val = (uint32_t) shmtab_rec_key_len(h) + h->val_len;
	uint64_t sum = GET(ph->key_val_bytes);

	SET(((struct shmtab_rec *) (p->ring + pos))->kind, SHMTAB_REC_DEAD);
	part_subtract(&ph->entries, 1);
	part_subtract(&ph->live_bytes, part_size(h));
	SET(ph->key_val_bytes, sum > key_val ? sum - key_val : 0);
	if (part_pinned(h)) {
		part_subtract(&ph->pinned, 1);
		part_subtract(&ph->pinned_bytes, part_size(h));
	}
}

/* part_fits - whether a record of this size has room behind the last one */
static bool
part_fits(const struct shmtab_part *p, uint32_t size)
{
	if (p->first > p->last)
		return size < p->first - p->last;	/* last == first would mean empty */
	return size <= p->geo->ring_bytes - p->last || size < p->first;
}

/* part_append - write a complete record, which fits, behind the last one; returns its place */
static uint32_t
part_append(struct shmtab_part *p, const void *rec, uint32_t size)
{
	uint32_t pos = p->last;

	if (p->first <= p->last && size > p->geo->ring_bytes - p->last) {
		pos = 0;
		SET(p->head->wrap, p->last);		/* means nothing until last < first */
		p->wrap = p->last;
	}
	memcpy(p->ring + pos, rec, size);
	p->last = pos + size;
	SET(p->head->last, p->last);
	return pos;
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

	memset(p->slots, 0, p->geo->slots * sizeof p->slots[0]);
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
		SET(ph->size_max, p->geo->ring_bytes - p->wrap);
	part_walk_init(p, &w);
	while (part_walk_next(p, &w, &h, &pos)) {
		i = slot_of_key(p, h.hash, p->ring + pos + sizeof h, shmtab_rec_key_len(&h), NULL);
		if (i >= 0) {
			uint64_t s = GET(p->slots[i]);

			if (part_peek(p, slot_pos(s), p->geo->ring_bytes, &old))
				part_kill(p, slot_pos(s), &old);
			SET(p->slots[i], slot_make(h.hash, pos));
		} else if (i != SHMTAB_NONE || !slot_add(p, h.hash, pos))
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
 * any       evict it even if it was of use
 * returns   how far first was moved; 0: the ring is empty
 */
static uint32_t
part_step(struct shmtab_part *p, int64_t now_s, bool any)
{
	struct shmtab_part_head *ph = p->head;
	uint32_t pos = p->first, limit = p->first <= p->last ? p->last : p->wrap;
	uint32_t next, size, sweep = GET(ph->sweep);
	struct shmtab_rec h;
	int64_t	i;

	if (pos == p->last)
		return 0;
	if (!part_peek(p, pos, limit, &h)) {
		ADD(ph->damaged, 1);
		next = part_resync(p, pos + 8, limit);
	} else if (size = part_size(&h), next = pos + size, h.kind == SHMTAB_REC_LIVE) {
		bool	 stays, fits = part_fits(p, size);

		i = slot_of_pos(p, h.hash, pos);
		stays = part_pinned(&h) || ((h.expire_s == 0 || h.expire_s > now_s) && (sweep > 0 || (h.uses > 0 && !any)));
		if (i < 0)
			SET(((struct shmtab_rec *) (p->ring + pos))->kind, SHMTAB_REC_DEAD);	/* lost from the index */
		else if (stays && fits && part_sound(p, pos, &h)) {
			uint32_t to;

			if (h.uses > 0 && sweep == 0)
				SET(((struct shmtab_rec *) (p->ring + pos))->uses, h.uses - 1);
			to = part_append(p, p->ring + pos, size);
			SET(p->slots[i], slot_make(h.hash, to));
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
				next = part_resync(p, pos + 8, limit);	/* its size may be wrong */
			part_kill(p, pos, &h);
			slot_remove(p, (uint32_t) i);
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
	const uint32_t ring = p->geo->ring_bytes;
	uint32_t max = GET(ph->size_max);
	uint64_t passed = 0;
	uint32_t n;
	bool	 swept = false;

	max = max < size ? size : max > SHMTAB_REC_MAX ? SHMTAB_REC_MAX : max;
	*moved_r = false;
	errno = ENOSPC;
	while (ring - part_span(p) < size + 2 * max + 8 || !part_fits(p, size) ||
	    (new_entry && GET(ph->entries) >= p->geo->slots / 8 * 7)) {
		int64_t expire = GET(ph->expire_min), last = GET(ph->swept_s);
		uint32_t live = GET(ph->live_bytes), span = part_span(p);

		if (!swept && GET(ph->sweep) == 0 && ((span > live && span - live >= ring / PART_GARBAGE) ||
		    (expire != 0 && expire <= now_s && (now_s < last || now_s - last >= PART_SWEEP_S)))) {
			swept = true;
			SET(ph->swept_s, now_s);
			SET(ph->sweep_min, 0);
			SET(ph->sweep, span);
		}
		if (!shmtab_lock_mine(&ph->lock, p->held)) {
			errno = EBUSY;
			return -1;
		}
		if ((n = part_step(p, now_s, passed > 2 * (uint64_t) ring)) == 0 || (passed += n) > 4 * (uint64_t) ring)
			return -1;
		*moved_r = true;
	}
	return 0;
}

/* the lock */

void
shmtab_part_prefetch(const struct shmtab_part *p, uint32_t hash)
{
	__builtin_prefetch(p->head, 1);
	__builtin_prefetch(&p->slots[slot_home(p, hash)]);
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

/* inside the lock */

int64_t
shmtab_part_find(struct shmtab_part *p, uint32_t hash, const void *key, size_t key_len, union shmtab_copy *c)
{
	int64_t	i = slot_of_key(p, hash, key, key_len, c);

	if (i == PART_DAMAGED) {
		part_repair(p);
		i = slot_of_key(p, hash, key, key_len, c);
	}
	return i == PART_DAMAGED ? SHMTAB_NONE : i;	/* twice: it is being damaged while we look */
}

void
shmtab_part_used(struct shmtab_part *p, int64_t slot, union shmtab_copy *c)
{
	uint64_t pos = slot_pos(GET(p->slots[slot]));
	uint32_t last = GET(p->head->last);
	uint64_t age = last >= pos ? last - pos : last + p->geo->ring_bytes - pos;

	if (c->rec.uses >= SHMTAB_USES_MAX || age < p->geo->ring_bytes / PART_YOUNG ||
	    (pos & 7) != 0 || pos > p->geo->ring_bytes - sizeof c->rec)
		return;
	c->rec.uses++;
	SET(((struct shmtab_rec *) (p->ring + pos))->uses, c->rec.uses);
}

void
shmtab_part_mark(struct shmtab_part *p, int64_t slot, uint32_t mark)
{
	uint64_t pos = slot_pos(GET(p->slots[slot]));

	if ((pos & 7) == 0 && pos <= p->geo->ring_bytes - sizeof(struct shmtab_rec))
		SET(((struct shmtab_rec *) (p->ring + pos))->mark, mark);
}

/* part_may_pin - at most half the ring is pinned, so that there is always something to evict */
static bool
part_may_pin(const struct shmtab_part *p, uint32_t size, int64_t slot)
{
	uint32_t pinned = GET(p->head->pinned_bytes);
	struct shmtab_rec old;

	if (slot >= 0 && part_peek(p, slot_pos(GET(p->slots[slot])), p->geo->ring_bytes, &old) && part_pinned(&old))
		pinned -= pinned > part_size(&old) ? part_size(&old) : pinned;
	return pinned <= p->geo->ring_bytes / 2 && size <= p->geo->ring_bytes / 2 - pinned;
}

int
shmtab_part_put(struct shmtab_part *p, int64_t slot, union shmtab_copy *c, int64_t now_s)
{
	struct shmtab_rec *r = &c->rec, old;
	const uint32_t hash = r->hash, size = part_size(r);
	const size_t key_len = shmtab_rec_key_len(r), used = sizeof *r + key_len + r->val_len;
	uint64_t old_pos = 0;
	uint32_t pos;
	bool	 moved, damaged = !part_load(p);

	memset(c->bytes + used, 0, size - used);
	r->kind = SHMTAB_REC_LIVE;
	r->unused = 0;
	r->sum = part_sum(p, c->bytes, r);
	if (damaged) {
		part_repair(p);
		slot = slot_of_key(p, hash, r->data, key_len, NULL);
	}
	if (part_pinned(r) && !part_may_pin(p, size, slot)) {
		errno = ENOSPC;
		return -1;
	}
	if (part_room(p, size, slot < 0, now_s, &moved) < 0)
		return -1;
	if (moved)
		slot = slot_of_key(p, hash, r->data, key_len, NULL);
	if (slot >= 0) {
		old_pos = slot_pos(GET(p->slots[slot]));
		if (!part_peek(p, old_pos, p->geo->ring_bytes, &old) || old.kind != SHMTAB_REC_LIVE)
			slot = PART_DAMAGED;
	}
	if (!shmtab_lock_mine(&p->head->lock, p->held)) {
		errno = EBUSY;
		return -1;
	}
	pos = part_append(p, c->bytes, size);
	ADD(p->head->changes, 1);
	if (slot >= 0) {
		SET(p->slots[slot], slot_make(hash, pos));
		part_kill(p, old_pos, &old);
	} else if (slot != SHMTAB_NONE || !slot_add(p, hash, pos)) {
		part_repair(p);			/* finds the new record in the ring */
		return 0;
	}
	part_count(p, r);
	return 0;
}

int
shmtab_part_drop(struct shmtab_part *p, int64_t slot)
{
	uint64_t pos = slot_pos(GET(p->slots[slot]));
	struct shmtab_rec h;

	if (!shmtab_lock_mine(&p->head->lock, p->held)) {
		errno = EBUSY;
		return -1;
	}
	if (part_peek(p, pos, p->geo->ring_bytes, &h) && h.kind == SHMTAB_REC_LIVE)
		part_kill(p, pos, &h);
	slot_remove(p, (uint32_t) slot);
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
	part_walk_init(p, &w);
	while (part_walk_next(p, &w, &h, &pos))
		if ((i = slot_of_pos(p, h.hash, pos)) >= 0 && part_read(p, pos, c) && !fn(ctx, &c->rec))
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
	st->free_bytes += p->geo->ring_bytes > kept ? p->geo->ring_bytes - kept : 0;
	st->evicted += GET(ph->evicted);
	st->expired += GET(ph->expired);
	st->damaged += GET(ph->damaged);
	st->recovered += GET(ph->recovered);
	st->stolen += GET(ph->stolen);
}
