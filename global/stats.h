/* global/stats.h - counters that all verify workers of a host share
 * They live in the first words of the cache table (util/shmtab.h), so they survive what the table survives: workers,
 * reload, restart. Until a table is attached, and while there is none, a process counts for itself. Relaxed atomics:
 * exact in sum, not in order. Nothing is decided by them, so a damaged word costs a wrong figure and no more.
 */
#ifndef GLOBAL_STATS_H
#define GLOBAL_STATS_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include <util/shmtab.h>

#define STATS_TABLE_FILE "verify_cache.table"	/* the verify cache of this host, in data_directory */

enum stats_id {
#define STAT(name, what) STATS_##name,
#include <global/stats.def>
#undef STAT
	STATS_COUNT
};
#define STATS_WORDS 64		/* of SHMTAB_WORDS; the rest is free for stamps of the table's user */
static_assert(STATS_COUNT <= STATS_WORDS && STATS_WORDS <= SHMTAB_WORDS, "each counter has a word");

struct stats_row {
	const char *name, *what;
};
extern const struct stats_row stats_table[STATS_COUNT];

extern _Atomic uint64_t *stats_words;	/* never NULL; use stats_add and stats_get */

/* stats_attach - count in these words from now on; NULL: in this process's own again
 * words     shmtab_words() of an open table; to be called again after shmtab_open and shmtab_check, and with NULL
 *	     before shmtab_close. What was counted before in this process's own words is added to them and forgotten. */
void	stats_attach(_Atomic uint64_t *words);

static inline void
stats_add(enum stats_id id, uint64_t n)
{
	atomic_fetch_add_explicit(&stats_words[id], n, memory_order_relaxed);
}

static inline uint64_t
stats_get(enum stats_id id)
{
	return atomic_load_explicit(&stats_words[id], memory_order_relaxed);
}

#endif
