/* util/shmtab_rec.c - one record of a shared table: how it lies in a ring, and when it is believed */
#include "shmtab_rec.h"

#include <assert.h>
#include <string.h>

#include <util/quickhash.h>

#define REC_SUMMED	offsetof(struct shmtab_rec, expire_s)	/* the sum covers everything from here on */
#define REC_BARRIER()	__atomic_signal_fence(__ATOMIC_SEQ_CST)	/* what was copied out is not read again */

static_assert(sizeof(struct shmtab_rec) == 32 && REC_SUMMED == 16, "no padding");
static_assert(SHMTAB_VAL_MAX <= UINT16_MAX && SHMTAB_KEY_MAX < SHMTAB_REC_PINNED, "lengths fit");
static_assert(SHMTAB_REC_MAX % 8 == 0, "trailing zeroes fit into a copy");

/* rec_sum - it tells damage. A text that a stranger made to look like a record, found while resynchronising, would need the seed, which
 * never leaves the file */
static uint64_t
rec_sum(const struct shmtab_ring *ring, const unsigned char *rec, const struct shmtab_rec *head)
{
	return quickhash(ring->seed, rec + REC_SUMMED, sizeof *head - REC_SUMMED + shmtab_rec_key_len(head) + head->val_len);
}

void
shmtab_rec_seal(const struct shmtab_ring *ring, union shmtab_copy *c)
{
	struct shmtab_rec *r = &c->rec;
	size_t	used = sizeof *r + shmtab_rec_key_len(r) + r->val_len;

	memset(c->bytes + used, 0, shmtab_rec_size(r) - used);
	r->kind = SHMTAB_REC_LIVE;
	r->unused = 0;
	r->sum = rec_sum(ring, c->bytes, r);
}

bool
shmtab_rec_peek(const struct shmtab_ring *ring, uint64_t pos, uint32_t limit, struct shmtab_rec *h)
{
	if ((pos & 7) != 0 || pos > limit || limit - pos < sizeof *h)
		return false;
	memcpy(h, ring->base + pos, sizeof *h);
	REC_BARRIER();
	return (h->kind == SHMTAB_REC_LIVE || h->kind == SHMTAB_REC_DEAD) && shmtab_rec_key_len(h) <= SHMTAB_KEY_MAX &&
	    h->val_len <= SHMTAB_VAL_MAX && shmtab_rec_size(h) <= limit - pos;
}

bool
shmtab_rec_sound(const struct shmtab_ring *ring, uint64_t pos, const struct shmtab_rec *h)
{
	return rec_sum(ring, ring->base + pos, h) == h->sum;
}

bool
shmtab_rec_read(const struct shmtab_ring *ring, uint64_t pos, union shmtab_copy *c)
{
	struct shmtab_rec h;

	if (!shmtab_rec_peek(ring, pos, ring->bytes, &h) || h.kind != SHMTAB_REC_LIVE)
		return false;
	memcpy(c->bytes, &h, sizeof h);
	memcpy(c->bytes + sizeof h, ring->base + pos + sizeof h, shmtab_rec_key_len(&h) + h.val_len);
	REC_BARRIER();
	return rec_sum(ring, c->bytes, &h) == h.sum;
}

uint32_t
shmtab_rec_resync(const struct shmtab_ring *ring, uint32_t pos, uint32_t limit)
{
	struct shmtab_rec h;

	for (; pos < limit; pos += 8)
		if (shmtab_rec_peek(ring, pos, limit, &h) && shmtab_rec_sound(ring, pos, &h))
			break;
	return pos;
}
