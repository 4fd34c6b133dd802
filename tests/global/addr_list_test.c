/* tests/global/addr_list_test.c - lists of IP addresses and networks */
#include <global/addr_list.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <util/mem.h>

static void
test_match(void **state)
{
	static const struct { const char *list, *addr; bool want; } cases[] = {
		{ "", "127.0.0.1", false },
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.0.0.1", "127.0.0.2", false },
		{ "127.0.0.0/8", "127.255.255.255", true },
		{ "127.0.0.0/8", "127.0.0.0", true },
		{ "127.0.0.0/8", "128.0.0.0", false },
		{ "192.0.2.64/26", "192.0.2.64", true },
		{ "192.0.2.64/26", "192.0.2.127", true },
		{ "192.0.2.64/26", "192.0.2.128", false },
		{ "192.0.2.64/26", "192.0.2.63", false },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "192.0.2.", "192.0.2.0", true },
		{ "192.0.2.", "192.0.2.255", true },
		{ "192.0.2.", "192.0.20.1", false },
		{ "10.", "10.9.8.7", true },
		{ "10.", "100.9.8.7", false },
		{ "2001:db8:", "2001:db8:ffff::1", true },
		{ "2001:db8:", "2001:db80::1", false },
		{ "2001:db8::", "2001:db8::", true },
		{ "2001:db8::", "2001:db8::1", false },
		{ "[::1]/128", "::1", true },
		{ "[::1]", "::2", false },
		{ "[2001:db8::]/32", "2001:0DB8:1::", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "127.0.0.1", "::ffff:127.0.0.1", true },
		{ "::ffff:127.0.0.0/104", "127.1.2.3", true },
		{ "!10.1.0.0/16, 10.0.0.0/8", "10.1.2.3", false },
		{ "!10.1.0.0/16, 10.0.0.0/8", "10.2.2.3", true },
		{ "10.0.0.0/8 !10.1.0.0/16", "10.1.2.3", true },	/* the first that matches decides */
		{ "!!10.1.2.3", "10.1.2.3", true },
		{ "127.0.0.1,\n\t192.0.2.1 ,,", "192.0.2.1", true },
		{ "0.0.0.0/0 ::/0", "localhost", false },
		{ "0.0.0.0/0 ::/0", "", false },
	};
	struct buf why = BUF_INIT(1000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct addr_list *list = addr_list_new(cases[i].list, &why);

		if (list == NULL)
			fail_msg("\"%s\": %s", cases[i].list, buf_str(&why));
		if (addr_list_match_text(list, cases[i].addr) != cases[i].want)
			fail_msg("\"%s\", %s: want %d", cases[i].list, cases[i].addr, cases[i].want);
		if (addr_list_check(cases[i].list) != NULL)
			fail_msg("\"%s\": check", cases[i].list);
		addr_list_free(&list);
	}
	buf_fini(&why);
}

static void
test_bad(void **state)
{
	static const struct { const char *list, *want; } cases[] = {
		{ "localhost", "\"localhost\": not a numeric address" },
		{ "127.0.0.1/33", "\"127.0.0.1/33\": too many bits" },
		{ "::1/129", "\"::1/129\": too many bits" },
		{ "127.0.0.1/8", "\"127.0.0.1/8\": there are bits set behind the network's" },
		{ "10.0.0.0/", "\"10.0.0.0/\": a number of bits must follow the /" },
		{ "10.0.0.0/-1", "\"10.0.0.0/-1\": a number of bits must follow the /" },
		{ "10.0.0.0/8x", "\"10.0.0.0/8x\": a number of bits must follow the /" },
		{ "[::1", "\"[::1\": ] is missing" },
		{ "10.1", "\"10.1\": not a numeric address" },
		{ "10.256.", "\"10.256.\": not the beginning of an address" },
		{ "1.2.3.4.", "\"1.2.3.4.\": not the beginning of an address" },
		{ "1:2:3:4:5:6:7:8:", "\"1:2:3:4:5:6:7:8:\": not the beginning of an address" },
		{ "!", "\"!\": not a numeric address" },
		{ "a, 127.0.0.1, b", "\"a\": not a numeric address\n\"b\": not a numeric address" },
		{ "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
		  "\"111111111111111111111111111111111111111111111111111111111111111\": too long for an address" },
	};
	struct buf why = BUF_INIT(1000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct addr_list *list = addr_list_new(cases[i].list, &why);

		if (list != NULL)
			fail_msg("\"%s\": accepted", cases[i].list);
		assert_string_equal(buf_str(&why), cases[i].want);
		assert_non_null(addr_list_check(cases[i].list));
		buf_reset(&why);
	}
	buf_fini(&why);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
