/* util/shmtab_index.h - the index of one part of a shared table: from the hash of a key to a place in the ring
 * Linear probing with backward-shift deletion over 64-bit slots. It lies in shared memory and may be damaged: every loop is
 * bounded, and what a slot says is a hint that the record itself must confirm.
 */
#ifndef UTIL_SHMTAB_INDEX_H
#define UTIL_SHMTAB_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include <util/shmtab_rec.h>

struct shmtab_index {
	uint64_t *slots;	/* shared: hash, and pos / 8 + 1; lower half 0: empty */
	uint32_t n;
};

#define SHMTAB_NONE	(-1)
#define SHMTAB_DAMAGED	(-2)

/* shmtab_index_find - the slot of a key, SHMTAB_NONE, or SHMTAB_DAMAGED
 * copy_r    gets the record, verified; NULL: compare in place, when the records have been verified before
 */
int64_t	shmtab_index_find(const struct shmtab_index *, const struct shmtab_ring *, uint32_t hash,
	    const void *key, size_t key_len, union shmtab_copy *copy_r);
/* shmtab_index_of - the slot that leads to the record at pos, or SHMTAB_NONE */
int64_t	shmtab_index_of(const struct shmtab_index *, uint32_t hash, uint32_t pos);
/* shmtab_index_pos - where a slot leads; may be anywhere */
uint64_t shmtab_index_pos(const struct shmtab_index *, int64_t slot);
void	shmtab_index_set(struct shmtab_index *, int64_t slot, uint32_t hash, uint32_t pos);
bool	shmtab_index_add(struct shmtab_index *, uint32_t hash, uint32_t pos);	/* false: full */
void	shmtab_index_remove(struct shmtab_index *, int64_t slot);
void	shmtab_index_clear(struct shmtab_index *);
void	shmtab_index_prefetch(const struct shmtab_index *, uint32_t hash);
/* shmtab_index_prefetch_rec - the record that the hash leads to, if a few steps lead there */
void	shmtab_index_prefetch_rec(const struct shmtab_index *, const struct shmtab_ring *, uint32_t hash);

#endif
