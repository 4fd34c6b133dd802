/* util/quickhash.h - a quick hash, for what nobody can aim at it: checksums, and keys that no stranger chooses
 * With a seed that is not known it spreads names of a configuration and results of other hashes; what comes from the
 * network as it is wants siphash.h.
 */
#ifndef UTIL_QUICKHASH_H
#define UTIL_QUICKHASH_H

#include <stddef.h>
#include <stdint.h>

/* quickhash - 64 bits; the same for ever, on all machines. source: XXH3 of libxxhash */
uint64_t quickhash(uint64_t seed, const void *data, size_t n);

#endif
