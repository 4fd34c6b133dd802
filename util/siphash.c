/* util/siphash.c - SipHash-1-3, and 2-4 with 128 bits */
#include "siphash.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

static inline uint64_t
siphash_rotl(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void
siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = siphash_rotl(v[1], 13) ^ v[0];
	v[3] = siphash_rotl(v[3], 16) ^ v[2];
	v[0] = siphash_rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = siphash_rotl(v[1], 17) ^ v[2];
	v[3] = siphash_rotl(v[3], 21) ^ v[0];
	v[2] = siphash_rotl(v[2], 32);
}

static inline void
siphash_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	siphash_round(v);
	v[0] ^= m;
}

static inline uint64_t
siphash_load(const unsigned char *p)
{
	uint64_t m;

	memcpy(&m, p, sizeof m);
	return le64toh(m);
}

/* siphash_last - the last word: what is left of n bytes, and above it the length modulo 256 */
static inline uint64_t
siphash_last(const unsigned char *p, size_t n)
{
	uint64_t last = (uint64_t) n << 56;
	size_t	left = n % 8;

	if (left == 0)
		return last;
	if (n > 8)					/* the end of the text is the end of a word, too */
		return last | siphash_load(p + n - 8) >> (8 * (8 - left));
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t) p[i] << (8 * i);
	return last;
}

uint64_t
siphash(const struct siphash_key *key, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t v[4] = {
		key->k0 ^ 0x736f6d6570736575, key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261, key->k1 ^ 0x7465646279746573,
	};
	const uint64_t last = siphash_last(data, n);

	for (; n >= 8; n -= 8, p += 8)
		siphash_word(v, siphash_load(p));
	siphash_word(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
siphash_128(const struct siphash_key *key, const void *data, size_t n, unsigned char sum[16])
{
	const unsigned char *p = data;
	uint64_t v[4] = {
		key->k0 ^ 0x736f6d6570736575, key->k1 ^ 0x646f72616e646f6d ^ 0xee,
		key->k0 ^ 0x6c7967656e657261, key->k1 ^ 0x7465646279746573,
	};
	const uint64_t last = siphash_last(data, n);
	uint64_t m;

	for (bool more = true; more; n -= 8, p += 8) {
		more = n >= 8;
		m = more ? siphash_load(p) : last;
		v[3] ^= m;
		siphash_round(v);
		siphash_round(v);
		v[0] ^= m;
	}
	v[2] ^= 0xee;
	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < 4; i++)
			siphash_round(v);
		m = htole64(v[0] ^ v[1] ^ v[2] ^ v[3]);
		memcpy(sum + 8 * half, &m, 8);
		v[1] ^= 0xdd;
	}
}
