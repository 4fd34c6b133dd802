/* util/shmtab_part.h - one part of a shared table: a lock, a ring of records, an index
 * Records lie in the ring in the order in which they were written; an update writes a new one and kills the old. Room is
 * made at the old end: what is dead, expired or not used lately goes, the rest moves to the young end. So the
 * ring alone tells everything, and the index can be made again from it at any time.
 * The layout is described in shmtab_part.c. What lies in shared memory may be anything at any time: every field is read
 * once, and checked before it is used.
 */
#ifndef UTIL_SHMTAB_PART_H
#define UTIL_SHMTAB_PART_H

#include <stdbool.h>
#include <stdint.h>

#include <util/quickhash.h>
#include <util/shmtab.h>
#include <util/shmtab_index.h>
#include <util/shmtab_lock.h>
#include <util/shmtab_rec.h>
#include <util/siphash.h>

/* a table's geometry; follows from its file's head alone. Private memory */
struct shmtab_geo {
	uint64_t bytes;			/* of the file */
	uint64_t bodies;		/* where they begin, behind the heads of all parts */
	uint64_t part_bytes;		/* of a body */
	uint32_t parts;
	uint32_t slots;			/* of the index of one part */
	uint32_t ring_off, ring_bytes;	/* inside the body; multiples of 8 */
	bool	 hashed;		/* keys are hashes themselves */
	struct siphash_key key;
};

#define SHMTAB_PART_HEAD 256	/* bytes for one head */
struct shmtab_part_head;	/* shared; all of a table lie together: on few pages, which a processor finds again */

struct shmtab_part {		/* private, made for one visit */
	struct shmtab_part_head *head;
	struct shmtab_index index;
	struct shmtab_ring ring;
	uint32_t held, seen;	/* the lock: of enter, of look */
	uint32_t first, last, wrap; /* the ring's state, checked: see shmtab_part.c */
};

/* shmtab_geo_init - the geometry of a table of so many bytes, head_bytes of which are the file's head */
void	shmtab_geo_init(struct shmtab_geo *, uint64_t bytes, uint64_t head_bytes, bool hashed, const struct siphash_key *);
/* shmtab_geo_hash - the hash of a key */
static inline uint64_t
shmtab_geo_hash(const struct shmtab_geo *g, const void *key, size_t key_len)
{
	return g->hashed ? quickhash(g->key.k1, key, key_len) : siphash(&g->key, key, key_len);
}
/* shmtab_geo_part - the part where a key with this hash lives; the lower half of the hash is for its index */
static inline uint32_t
shmtab_geo_part(const struct shmtab_geo *g, uint64_t hash)
{
	return (uint32_t) ((hash >> 32) * g->parts >> 32);
}

/* shmtab_part_init - part n of the table whose heads of parts begin at base */
void	shmtab_part_init(struct shmtab_part *, const struct shmtab_geo *, unsigned char *base, uint32_t n);

/* shmtab_part_prefetch - have the memory for a visit on its way while the lock is being taken */
void	shmtab_part_prefetch(const struct shmtab_part *, uint32_t hash);
/* shmtab_part_prefetch_rec - likewise the record, once the index is there; looks without the lock, so it may be the wrong one */
void	shmtab_part_prefetch_rec(const struct shmtab_part *, uint32_t hash);
/* shmtab_part_prefetch_put - likewise the ends of the ring: a new record is written at one, and room made at the other */
void	shmtab_part_prefetch_put(const struct shmtab_part *);
/* shmtab_part_enter - take the lock; repairs what a dead owner left behind; 0, or -1 (EBUSY) */
int	shmtab_part_enter(struct shmtab_part *, const struct shmtab_seat *);
void	shmtab_part_leave(struct shmtab_part *, const struct shmtab_seat *);
/* shmtab_part_inherited - repair the part if a process that sat in our seat before us died in it */
void	shmtab_part_inherited(struct shmtab_part *, const struct shmtab_seat *);
/* the retired flag: the table was replaced, nothing must be written to this part any more */
bool	shmtab_part_retired(const struct shmtab_part *);
void	shmtab_part_retire(struct shmtab_part *, bool);

/* shmtab_part_look - shmtab_part_find without the lock; SHMTAB_DAMAGED: that does not tell, enter and find it
 * shmtab_part_counts   whether it is a use to be recorded, by whoever enters; shmtab_part_same - inside: the slot is still right */
int64_t	shmtab_part_look(struct shmtab_part *, uint32_t hash, const void *key, size_t key_len, union shmtab_copy *);
bool	shmtab_part_counts(const struct shmtab_part *, int64_t slot, const union shmtab_copy *);
bool	shmtab_part_same(const struct shmtab_part *);

/* Inside the lock: */
/* shmtab_part_find - copy the record of a key; its slot or SHMTAB_NONE. Damage is repaired on the way */
int64_t	shmtab_part_find(struct shmtab_part *, uint32_t hash, const void *key, size_t key_len, union shmtab_copy *);
/* shmtab_part_used - the record in this slot, which find copied, was of use */
void	shmtab_part_used(struct shmtab_part *, int64_t slot, union shmtab_copy *);
void	shmtab_part_mark(struct shmtab_part *, int64_t slot, uint32_t mark);
/* shmtab_part_put - write rec, which is complete except for kind and sum; slot as find gave it; loose: see shmtab_val
 * returns   0, or -1: ENOSPC, or EBUSY when the lock was taken from us; nothing changed then */
int	shmtab_part_put(struct shmtab_part *, int64_t slot, union shmtab_copy *rec, bool loose, int64_t now_s);
/* shmtab_part_drop - 0, or -1 EBUSY likewise */
int	shmtab_part_drop(struct shmtab_part *, int64_t slot);
/* shmtab_part_each - every entry, in the order of writing; fn false drops it */
typedef bool shmtab_part_fn(void *ctx, const struct shmtab_rec *);
void	shmtab_part_each(struct shmtab_part *, shmtab_part_fn *, void *ctx, union shmtab_copy *);

/* Without the lock: */
uint64_t shmtab_part_changes(const struct shmtab_part *);
void	shmtab_part_stat(const struct shmtab_part *, struct shmtab_stat *);	/* adds */

#endif
