/* global/stats.h - counters of all workers of a host, summed in the shared words of the cache file
 * A worker counts in its own memory, which costs nothing, and adds to the shared words a few times a second. A
 * worker that is killed loses what it counted since; nothing is ever counted twice.
 */
#ifndef GLOBAL_STATS_H
#define GLOBAL_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_INFLIGHT_FILE "probe_inflight.vouch"	/* in data_directory: a table of the addresses that probe(8) asks about */

enum stat_id {
#define STAT(name, help) STAT_##name,
#include <global/stats.def>
#undef STAT
	STATS
};

struct stats_row {
	const char *name, *help;
};
extern const struct stats_row stats_table[STATS];
extern uint64_t stats_local[STATS];	/* not yet flushed; use stats_add */

static inline void
stats_add(enum stat_id id, uint64_t n)
{
	stats_local[id] += n;
}

/* stats_flush - add to the shared words (shmtab_words) what was counted since; words has at least STATS elements */
void	stats_flush(_Atomic uint64_t *words);

#endif
