/* util/quickhash.c - a quick hash: XXH3, compiled in, so that there is no library to load */
#include "quickhash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t
quickhash(uint64_t seed, const void *data, size_t n)
{
	return XXH3_64bits_withSeed(data, n, seed);
}
