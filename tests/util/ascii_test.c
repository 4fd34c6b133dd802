/* tests/util/ascii_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <util/ascii.h>

/* every byte, at every place of strings shorter and longer than a machine word, between neighbours that could disturb it */
static void
test_lower(void **state)
{
	static const int around[] = { 0, 'A', 'Z', 'a', 0x7f, 0x80, 0xff };
	char	s[20];

	(void) state;
	for (size_t n = 1; n < sizeof s; n++)
		for (size_t at = 0; at < n; at++)
			for (size_t a = 0; a < sizeof around / sizeof *around; a++)
				for (int c = 0; c < 256; c++) {
					int	want = c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
					int	other = around[a] >= 'A' && around[a] <= 'Z' ? around[a] - 'A' + 'a' : around[a];

					memset(s, around[a], sizeof s);
					s[at] = (char) c;
					ascii_lower(s, n);
					for (size_t i = 0; i < sizeof s; i++)
						assert_int_equal((unsigned char) s[i], i == at ? want : i < n ? other : around[a]);
				}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lower),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
