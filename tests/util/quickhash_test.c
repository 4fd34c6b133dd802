/* tests/util/quickhash_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/quickhash.h>

/* input 00 01 .. of the given length, without a seed; made with xxhsum -H3. Files have such sums in them: they must not change */
static void
quickhash_vectors(void **state)
{
	static const struct { size_t len; uint64_t want; } cases[] = {
		{ 0, 0x2d06800538d394c2 }, { 7, 0x0cd2084a62406b69 }, { 23, 0x4249dc231e848632 }, { 200, 0xf42a8864feaf0703 },
	};
	unsigned char in[1 + 200];

	(void) state;
	for (unsigned shift = 0; shift < 2; shift++) {		/* aligned or not must not matter */
		for (unsigned i = 0; i < 200; i++)
			in[shift + i] = (unsigned char) i;
		for (size_t i = 0; i < NELEM(cases); i++)
			assert_int_equal(quickhash(0, in + shift, cases[i].len), cases[i].want);
	}
}

static void
quickhash_depends_on_the_seed(void **state)
{
	(void) state;
	assert_int_not_equal(quickhash(1, "abc", 3), quickhash(2, "abc", 3));
	assert_int_not_equal(quickhash(1, "abc", 3), quickhash(1, "abd", 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quickhash_vectors),
		cmocka_unit_test(quickhash_depends_on_the_seed),
	};

	return cmocka_run_group_tests_name("quickhash", tests, NULL, NULL);
}
