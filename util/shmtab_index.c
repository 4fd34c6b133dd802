/* util/shmtab_index.c - the index of one part of a shared table: from the hash of a key to a place in the ring */
#include "shmtab_index.h"

#include <string.h>

#define INDEX_STEPS	8		/* slots in a cache line */

#define GET(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

static uint32_t
index_home(const struct shmtab_index *x, uint32_t hash)
{
	return (uint32_t) ((uint64_t) hash * x->n >> 32);
}

static uint32_t
index_next(const struct shmtab_index *x, uint32_t i)
{
	return i + 1 < x->n ? i + 1 : 0;
}

static uint32_t
index_distance(const struct shmtab_index *x, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + x->n - from;
}

static uint64_t
index_slot(uint32_t hash, uint32_t pos)
{
	return (uint64_t) hash << 32 | (pos / 8 + 1);
}

static uint64_t
index_slot_pos(uint64_t slot)
{
	return ((slot & UINT32_MAX) - 1) * 8;
}

static bool
index_slot_empty(uint64_t slot)
{
	return (slot & UINT32_MAX) == 0;
}

int64_t
shmtab_index_find(const struct shmtab_index *x, const struct shmtab_ring *ring, uint32_t hash, const void *key,
    size_t key_len, union shmtab_copy *c)
{
	struct shmtab_rec h;
	uint32_t i = index_home(x, hash);

	for (uint32_t n = 0; n < x->n; n++, i = index_next(x, i)) {
		uint64_t s = GET(x->slots[i]);
		const struct shmtab_rec *r;

		if (index_slot_empty(s))
			return SHMTAB_NONE;
		if (s >> 32 != hash)
			continue;
		if (c != NULL) {
			if (!shmtab_rec_read(ring, index_slot_pos(s), c))
				return SHMTAB_DAMAGED;
			h = c->rec;
			r = &c->rec;
		} else {
			if (!shmtab_rec_peek(ring, index_slot_pos(s), ring->bytes, &h) || h.kind != SHMTAB_REC_LIVE)
				return SHMTAB_DAMAGED;
			r = shmtab_rec_at(ring, index_slot_pos(s));
		}
		if (h.hash != hash)
			return SHMTAB_DAMAGED;
		if (shmtab_rec_key_len(&h) == key_len && memcmp(shmtab_rec_key(r), key, key_len) == 0)
			return i;
	}
	return SHMTAB_DAMAGED;
}

int64_t
shmtab_index_of(const struct shmtab_index *x, uint32_t hash, uint32_t pos)
{
	uint64_t want = index_slot(hash, pos);
	uint32_t i = index_home(x, hash);

	for (uint32_t n = 0; n < x->n; n++, i = index_next(x, i)) {
		uint64_t s = GET(x->slots[i]);

		if (s == want)
			return i;
		if (index_slot_empty(s))
			break;
	}
	return SHMTAB_NONE;
}

uint64_t
shmtab_index_pos(const struct shmtab_index *x, int64_t slot)
{
	return index_slot_pos(GET(x->slots[slot]));
}

void
shmtab_index_set(struct shmtab_index *x, int64_t slot, uint32_t hash, uint32_t pos)
{
	SET(x->slots[slot], index_slot(hash, pos));
}

bool
shmtab_index_add(struct shmtab_index *x, uint32_t hash, uint32_t pos)
{
	uint32_t i = index_home(x, hash);

	for (uint32_t n = 0; n < x->n; n++, i = index_next(x, i))
		if (index_slot_empty(GET(x->slots[i]))) {
			SET(x->slots[i], index_slot(hash, pos));
			return true;
		}
	return false;
}

void
shmtab_index_remove(struct shmtab_index *x, int64_t slot)
{
	uint32_t i = (uint32_t) slot, j = i;

	for (uint32_t n = 0; n < x->n; n++) {
		uint64_t s = GET(x->slots[j = index_next(x, j)]);

		if (index_slot_empty(s))
			break;
		/* it may move to i if it is not in front of its home then */
		if (index_distance(x, index_home(x, (uint32_t) (s >> 32)), j) >= index_distance(x, i, j)) {
			SET(x->slots[i], s);
			i = j;
		}
	}
	SET(x->slots[i], 0);
}

void
shmtab_index_clear(struct shmtab_index *x)
{
	memset(x->slots, 0, x->n * sizeof x->slots[0]);
}

void
shmtab_index_prefetch(const struct shmtab_index *x, uint32_t hash)
{
	__builtin_prefetch(&x->slots[index_home(x, hash)]);
}

void
shmtab_index_prefetch_rec(const struct shmtab_index *x, const struct shmtab_ring *ring, uint32_t hash)
{
	uint32_t i = index_home(x, hash);
	uint64_t s;

	for (unsigned n = 0; n < INDEX_STEPS && !index_slot_empty(s = GET(x->slots[i])); n++, i = index_next(x, i))
		if (s >> 32 == hash && index_slot_pos(s) + SHMTAB_REC_SHORT <= ring->bytes) {
			__builtin_prefetch(ring->base + index_slot_pos(s));
			__builtin_prefetch(ring->base + index_slot_pos(s) + SHMTAB_REC_SHORT - 1);
			return;
		}
}
