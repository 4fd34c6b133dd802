/* tests/global/nexthop_test.c - "host:port", "[host]", "unix:/path", and lists of them */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/nexthop.h>

static void
nexthop_test_parse(void **state)
{
	static const struct {
		const char *text, *host;
		bool	direct, is_unix;
		unsigned port;
	} cases[] = {
		{ "Example.ORG", "example.org", false, false, 0 },
		{ "example.org.", "example.org", false, false, 0 },
		{ "example.org:2525", "example.org", false, false, 2525 },
		{ "[example.org]", "example.org", true, false, 0 },
		{ "[example.org]:26", "example.org", true, false, 26 },
		{ "[192.0.2.1]:26", "192.0.2.1", true, false, 26 },
		{ "[2001:db8::1]:26", "2001:db8::1", true, false, 26 },
		{ "[2001:db8::1]", "2001:db8::1", true, false, 0 },
		{ "inet:example.org:24", "example.org", false, false, 24 },
		{ "inet:[127.0.0.1]:24", "127.0.0.1", true, false, 24 },
		{ "unix:/run/x", "/run/x", false, true, 0 },
		{ "a:smtp", "a", false, false, 25 },
		{ "a:lmtp", "a", false, false, 24 },
		{ "a:submission", "a", false, false, 587 },
		{ "", NULL, false, false, 0 }, { "[a", NULL, false, false, 0 }, { "[a]x", NULL, false, false, 0 },
		{ "a:0", NULL, false, false, 0 }, { "a:65536", NULL, false, false, 0 }, { "a:99999999999999999999", NULL, false, false, 0 },
		{ "a:", NULL, false, false, 0 }, { "2001:db8::1", NULL, false, false, 0 }, { ":25", NULL, false, false, 0 },
		{ "[]", NULL, false, false, 0 }, { "unix:", NULL, false, false, 0 }, { "a:2x", NULL, false, false, 0 },
	};
	struct nexthop h;
	const char *why = "";

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		bool	ok = nexthop_parse(cases[i].text, strlen(cases[i].text), &h, &why);

		if (ok != (cases[i].host != NULL))
			fail_msg("[%s]: %s", cases[i].text, ok ? "should have been refused" : why);
		if (ok && (strcmp(h.host, cases[i].host) != 0 || h.direct != cases[i].direct || h.is_unix != cases[i].is_unix ||
		    h.port != cases[i].port))
			fail_msg("[%s]: got %s direct=%d unix=%d port=%u", cases[i].text, h.host, h.direct, h.is_unix, h.port);
	}
}

/* nexthop_test_bytes - n bytes count, not the string they stand in; as long as a name may be, and no longer */
static void
nexthop_test_bytes(void **state)
{
	struct nexthop h;
	const char *why = "";
	char	text[400];

	(void) state;
	assert_true(nexthop_parse("mx.test:2525,other", 12, &h, &why));
	assert_string_equal(h.host, "mx.test");
	assert_int_equal(h.port, 2525);
	memset(text, 'a', sizeof text);
	assert_true(nexthop_parse(text, sizeof h.host - 1, &h, &why));
	assert_int_equal(strlen(h.host), sizeof h.host - 1);
	assert_false(nexthop_parse(text, sizeof h.host, &h, &why));
	assert_string_equal(why, "next hop too long");
	memcpy(text, "unix:", 5);
	assert_true(nexthop_parse(text, sizeof h.host - 1, &h, &why));
	assert_false(nexthop_parse(text, sizeof h.host + 4, &h, &why));
}

static void
nexthop_test_list(void **state)
{
	static const struct {
		const char *list, *want;
	} cases[] = {
		{ " a, [b]:25 ,,c", "a;[b]:25;c;" }, { "", "" }, { " ,\t, ", "" }, { "one", "one;" }, { "a b\tc,", "a;b;c;" },
	};
	const char *p, *item;
	char	got[40];
	size_t	n;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		got[0] = 0;
		for (p = cases[i].list; (item = nexthop_next(&p, &n)) != NULL; )
			snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s;", (int) n, item);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("[%s]: got %s, want %s", cases[i].list, got, cases[i].want);
	}
	assert_true(nexthop_listed("ipv4, ipv6", "ipv4"));
	assert_true(nexthop_listed(" ipv4,ipv6 ", "ipv6"));
	assert_false(nexthop_listed("ipv4, ipv6", "ipv"));
	assert_false(nexthop_listed("ipv4", "ipv46"));
	assert_false(nexthop_listed("", ""));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nexthop_test_parse),
		cmocka_unit_test(nexthop_test_bytes),
		cmocka_unit_test(nexthop_test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
