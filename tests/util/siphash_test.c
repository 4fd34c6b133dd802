/* tests/util/siphash_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/siphash.h>

/* input 00 01 .. of the given length; the key is 00 01 .. 0f, or zero (made with another program: Python 3.11 and later
 * hash byte strings so, PYTHONHASHSEED=0) */
static void
siphash_vectors(void **state)
{
	static const struct siphash_key counted = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 }, zero;
	static const struct {
		const struct siphash_key *key;
		size_t	len;
		uint64_t want;
	} cases[] = {
		{ &counted, 0, 0xabac0158050fc4dc },
		{ &zero, 1, 0x68a914128e01e473 },
		{ &zero, 2, 0x010bac45c41e3669 },
		{ &zero, 3, 0x4d4c9a4a8ef6e0ad },
		{ &zero, 7, 0x2f098ab0c751325a },
		{ &zero, 8, 0xead411e67ebe2eea },
		{ &zero, 9, 0x75927f9d95124362 },
		{ &zero, 15, 0xf30eb725bb91c9ea },
		{ &zero, 16, 0x8972188433a5c5b7 },
		{ &zero, 31, 0x169739443111d49b },
		{ &zero, 63, 0x385d3e39e5f37359 },
	};
	unsigned char in[1 + 64];

	(void) state;
	for (unsigned shift = 0; shift < 2; shift++) {		/* aligned or not must not matter */
		for (unsigned i = 0; i < 64; i++)
			in[shift + i] = (unsigned char) i;
		for (size_t i = 0; i < NELEM(cases); i++) {
			uint64_t got = siphash(cases[i].key, in + shift, cases[i].len);

			if (got != cases[i].want)
				fail_msg("length %zu shift %u: got %016llx, want %016llx", cases[i].len, shift,
				    (unsigned long long) got, (unsigned long long) cases[i].want);
		}
	}
}

/* the same inputs; made with OpenSSL: openssl mac -macopt hexkey:KEY -macopt size:16 SIPHASH */
static void
siphash_128_vectors(void **state)
{
	static const struct siphash_key counted = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 }, zero;
	static const struct {
		const struct siphash_key *key;
		size_t	len;
		const char *want;
	} cases[] = {
		{ &counted, 0, "a3817f04ba25a8e66df67214c7550293" },
		{ &zero, 0, "5049d74780a3e07d4202ab47d4cef2f4" },
		{ &counted, 1, "da87c1d86b99af44347659119b22fc45" },
		{ &zero, 1, "d41e12e85e4cafb831f094e57538b801" },
		{ &counted, 7, "a1f1ebbed8dbc153c0b84aa61ff08239" },
		{ &zero, 7, "78369bf9405ce46157d77ff83381b2ff" },
		{ &counted, 8, "3b62a9ba6258f5610f83e264f31497b4" },
		{ &zero, 8, "4b6534f901eb440ee95540294a75af84" },
		{ &counted, 9, "264499060ad9baabc47f8b02bb6d71ed" },
		{ &zero, 9, "d8c7e44c0313eb9659b9a4f89b623e94" },
		{ &counted, 15, "5493e99933b0a8117e08ec0f97cfc3d9" },
		{ &zero, 15, "9fb8537a9c0f25128384ea0249c0955e" },
		{ &counted, 16, "6ee2a4ca67b054bbfd3315bf85230577" },
		{ &zero, 16, "81ad50ab90f25032a234bb58732a508b" },
		{ &counted, 31, "2939b0183223fafc1723de4f52c43d35" },
		{ &zero, 31, "0925ba4f2752d63a63620124be55c647" },
		{ &counted, 63, "5150d1772f50834a503e069a973fbd7c" },
		{ &zero, 63, "4e3d42cf5df942ef96fae55b4875d8de" },
	};
	unsigned char in[64], sum[16];
	char	got[33];

	(void) state;
	for (unsigned i = 0; i < 64; i++)
		in[i] = (unsigned char) i;
	for (size_t i = 0; i < NELEM(cases); i++) {
		siphash_128(cases[i].key, in, cases[i].len, sum);
		for (int j = 0; j < 16; j++)
			snprintf(got + 2 * j, 3, "%02x", sum[j]);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("row %zu: got %s, want %s", i, got, cases[i].want);
	}
}

static void
siphash_depends_on_all_of_the_key(void **state)
{
	const struct siphash_key a = { 1, 2 }, b = { 2, 2 }, c = { 1, 3 };
	uint64_t h = siphash(&a, "abc", 3);

	(void) state;
	assert_true(h != siphash(&b, "abc", 3));
	assert_true(h != siphash(&c, "abc", 3));
	assert_true(h != siphash(&a, "abd", 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_vectors),
		cmocka_unit_test(siphash_128_vectors),
		cmocka_unit_test(siphash_depends_on_all_of_the_key),
	};

	return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
