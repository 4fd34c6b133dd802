/* tests/util/siphash_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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
		cmocka_unit_test(siphash_depends_on_all_of_the_key),
	};

	return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
