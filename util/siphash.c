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

uint64_t
siphash(const struct siphash_key *key, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t v[4] = {
		key->k0 ^ 0x736f6d6570736575, key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261, key->k1 ^ 0x7465646279746573,
	};
	uint64_t m;
	uint64_t last = (uint64_t) n << 56;	/* the length modulo 256 is the last byte of the last word */

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&m, p, 8);
		siphash_word(v, le64toh(m));
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t) p[i] << (8 * i);
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
	uint64_t m;
	uint64_t last = (uint64_t) n << 56;
	bool	more = true;

	while (more) {
		if ((more = n >= 8)) {
			memcpy(&m, p, 8);
			m = le64toh(m);
			n -= 8;
			p += 8;
		} else {
			for (size_t i = 0; i < n; i++)
				last |= (uint64_t) p[i] << (8 * i);
			m = last;
		}
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
