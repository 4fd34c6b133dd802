/* global/stats.c - counters of all workers of a host */
#include "stats.h"

#include <util/shmtab.h>

_Static_assert((int) STATS <= SHMTAB_WORDS, "every counter has a shared word");

uint64_t stats_local[STATS];
const struct stats_row stats_table[STATS] = {
#define STAT(name, help) { #name, help },
#include <global/stats.def>
#undef STAT
};

void
stats_flush(_Atomic uint64_t *words)
{
	for (int i = 0; i < STATS; i++)
		if (stats_local[i] != 0) {
			atomic_fetch_add_explicit(&words[i], stats_local[i], memory_order_relaxed);
			stats_local[i] = 0;
		}
}
