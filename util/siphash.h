/* util/siphash.h - SipHash, a keyed hash: 1-3 for hash tables that strangers fill; 2-4 for identifiers
 * One round for each word and three at the end, as the hash tables of several languages have it: half the work of 2-4, which
 * is meant for message authentication.
 * source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012)
 */
#ifndef UTIL_SIPHASH_H
#define UTIL_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key { uint64_t k0, k1; };

uint64_t siphash(const struct siphash_key *, const void *, size_t n);
/* siphash_128 - SipHash-2-4 with 128 bits: for identifiers that strangers must not be able to make equal, or to guess from */
void	siphash_128(const struct siphash_key *, const void *, size_t n, unsigned char sum_r[16]);

#endif
