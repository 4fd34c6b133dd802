/* global/stats.c - counters that all verify workers of a host share */

#include <global/stats.h>

const struct stats_row stats_table[STATS_COUNT] = {
#define STAT(name, what) { #name, what },
#include <global/stats.def>
#undef STAT
};

static _Atomic uint64_t stats_own[STATS_WORDS];
_Atomic uint64_t *stats_words = stats_own;

void
stats_attach(_Atomic uint64_t *words)
{
	if (words == NULL || words == stats_own) {
		stats_words = stats_own;
		return;
	}
	stats_words = words;
	for (int i = 0; i < STATS_COUNT; i++)
		stats_add((enum stats_id) i, atomic_exchange_explicit(&stats_own[i], 0, memory_order_relaxed));
}
