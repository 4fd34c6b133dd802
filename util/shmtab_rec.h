/* util/shmtab_rec.h - one record of a shared table: how it lies in a ring, and when it is believed
 * A ring is a run of bytes in shared memory, of which anything may be damaged at any time. So places and lengths are
 * checked before they are used, the head of a record is copied before it is looked at, and what a caller is given was
 * copied whole and then verified.
 */
#ifndef UTIL_SHMTAB_REC_H
#define UTIL_SHMTAB_REC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/shmtab.h>

struct shmtab_rec {			/* behind it: key, value, zeroes up to a multiple of 8 */
	uint64_t sum;			/* of all that follows `mark`, key and value included */
	uint16_t kind;			/* SHMTAB_REC_LIVE, SHMTAB_REC_DEAD */
	uint8_t	 uses;			/* revolutions of the ring that it survives */
	uint8_t	 unused;
	uint32_t mark;
	int64_t	 expire_s;
	uint32_t hash;
	uint16_t key_len;		/* and SHMTAB_REC_PINNED */
	uint16_t val_len;
};

#define SHMTAB_REC_LIVE	  0xf7fe	/* bytes that no text has: resynchronising need not look at many false starts */
#define SHMTAB_REC_DEAD	  0xf5fc
#define SHMTAB_REC_PINNED 0x8000
#define SHMTAB_REC_SHORT  96		/* bytes that are worth fetching before anybody knows what they are */
#define SHMTAB_REC_MAX	  (sizeof(struct shmtab_rec) + SHMTAB_KEY_MAX + SHMTAB_VAL_MAX)

/* one record in private memory */
union shmtab_copy {
	struct shmtab_rec rec;
	unsigned char bytes[SHMTAB_REC_MAX];
};

struct shmtab_ring {
	unsigned char *base;		/* shared */
	uint32_t bytes;			/* a multiple of 8 */
	uint64_t seed;			/* of checksums */
};

static inline size_t
shmtab_rec_key_len(const struct shmtab_rec *r)
{
	return r->key_len & ~SHMTAB_REC_PINNED;
}

static inline const unsigned char *
shmtab_rec_key(const struct shmtab_rec *r)
{
	return (const unsigned char *) (r + 1);
}

static inline bool
shmtab_rec_pinned(const struct shmtab_rec *r)
{
	return (r->key_len & SHMTAB_REC_PINNED) != 0;
}

/* shmtab_rec_size - bytes in the ring */
static inline uint32_t
shmtab_rec_size(const struct shmtab_rec *r)
{
	return (uint32_t) (sizeof *r + shmtab_rec_key_len(r) + r->val_len + 7) & ~7u;
}

/* shmtab_rec_at - the record in shared memory at pos, which peek or read accepted; to change kind, uses or mark */
static inline struct shmtab_rec *
shmtab_rec_at(const struct shmtab_ring *ring, uint64_t pos)
{
	return (struct shmtab_rec *) (ring->base + pos);
}

/* shmtab_rec_seal - complete a record in private memory: sum, kind, trailing zeroes */
void	shmtab_rec_seal(const struct shmtab_ring *, union shmtab_copy *);
/* shmtab_rec_peek - copy the head of the record at pos; false when none that ends before limit can be there */
bool	shmtab_rec_peek(const struct shmtab_ring *, uint64_t pos, uint32_t limit, struct shmtab_rec *head_r);
/* shmtab_rec_sound - whether the sum is right; pos and head as peek had them. Enough to move it, not to believe it */
bool	shmtab_rec_sound(const struct shmtab_ring *, uint64_t pos, const struct shmtab_rec *head);
/* shmtab_rec_read - copy the live record at pos and verify the copy */
bool	shmtab_rec_read(const struct shmtab_ring *, uint64_t pos, union shmtab_copy *);
/* shmtab_rec_resync - the next place from pos on where a sound record begins that ends before limit; or limit */
uint32_t shmtab_rec_resync(const struct shmtab_ring *, uint32_t pos, uint32_t limit);

#endif
