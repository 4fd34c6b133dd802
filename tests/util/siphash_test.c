/* tests/util/siphash_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/siphash.h>

/* the authors' test vectors: key 00 01 .. 0f, input 00 01 .. of the given length */
static void
siphash_vectors(void **state)
{
	static const struct { size_t len; uint64_t want; } cases[] = {
		{ 0,  0x726fdb47dd0e0e31 },
		{ 1,  0x74f839c593dc67fd },
		{ 2,  0x0d6c8009d9a94f5a },
		{ 3,  0x85676696d7fb7e2d },
		{ 4,  0xcf2794e0277187b7 },
		{ 5,  0x18765564cd99a68d },
		{ 6,  0xcbc9466e58fee3ce },
		{ 7,  0xab0200f58b01d137 },
		{ 8,  0x93f5f5799a932462 },
		{ 15, 0xa129ca6149be45e5 },
		{ 63, 0x958a324ceb064572 },
	};
	static const struct siphash_key key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	unsigned char in[1 + 64];

	(void) state;
	for (unsigned shift = 0; shift < 2; shift++) {		/* aligned or not must not matter */
		for (unsigned i = 0; i < 64; i++)
			in[shift + i] = (unsigned char) i;
		for (size_t i = 0; i < NELEM(cases); i++) {
			uint64_t got = siphash(&key, in + shift, cases[i].len);

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
