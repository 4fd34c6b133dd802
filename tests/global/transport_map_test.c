/* tests/global/transport_map_test.c - address -> transport and next hop */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/transport_map.h>

static const char map[] =
    "# a comment\n"
    "user@one.test        smtp:[192.0.2.1]\n"
    "ann@ext.test         smtp:ann.example\n"
    "one.test             smtp:one.example:2525\n"
    ".one.test            smtp:sub.example\n"
    "two.test             lmtp:unix:/run/lmtp\n"
    "  \n"
    "three.test           :three.example\n"
    "four.test            smtp:\n"
    "five.test            :\n"
    "UPPER.test           error:5.1.1 no\n"
    "   such user\n"
    "*                    relay:[gateway.example]\n";

static void
transport_map_test_lookup(void **state)
{
	static const struct {
		const char *local, *domain, *want;
	} cases[] = {
		{ "user", "one.test", "smtp|[192.0.2.1]" },
		{ "other", "one.test", "smtp|one.example:2525" },
		{ "ann+x", "ext.test", "smtp|ann.example" },
		{ "ann", "ext.test", "smtp|ann.example" },
		{ "bob+x", "ext.test", "relay|[gateway.example]" },
		{ "x", "a.one.test", "smtp|sub.example" },
		{ "x", "a.b.one.test", "smtp|sub.example" },
		{ "x", "xone.test", "relay|[gateway.example]" },
		{ "x", "two.test", "lmtp|unix:/run/lmtp" },
		{ "x", "three.test", "|three.example" },
		{ "x", "four.test", "smtp|" },
		{ "x", "five.test", "none" },
		{ "x", "upper.test", "error|5.1.1 no   such user" },
		{ "x", "[192.0.2.9]", "relay|[gateway.example]" },
	};
	struct transport_map_result r;
	struct buf why = BUF_INIT(4096);
	char	got[600];
	struct lookup_tables *t = lookup_tables_parse("texthash", "f", map, sizeof map - 1, &why);

	(void) state;
	if (t == NULL)
		fail_msg("%s", buf_str(&why));
	for (size_t i = 0; i < NELEM(cases); i++) {
		strcpy(got, "none");
		if (transport_map_find(t, cases[i].local, cases[i].domain, "+", false, &r))
			snprintf(got, sizeof got, "%s|%s", r.transport, r.nexthop);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s@%s: got %s, want %s", cases[i].local, cases[i].domain, got, cases[i].want);
	}
	lookup_tables_free(&t);
	lookup_tables_free(&t);

	/* parent_domain_matches_subdomains */
	t = lookup_tables_parse("texthash", "f", "one.test smtp:a\n", 16, &why);
	assert_true(transport_map_find(t, "x", "sub.one.test", "", true, &r));
	assert_false(transport_map_find(t, "x", "sub.one.test", "", false, &r));
	lookup_tables_free(&t);
	buf_fini(&why);
}

static void
transport_map_test_split(void **state)
{
	static const struct {
		const char *value, *transport, *nexthop;
	} cases[] = {
		{ "smtp:[a]:25", "smtp", "[a]:25" }, { "smtp", "smtp", "" }, { ":a", "", "a" }, { "", "", "" }, { "a:b:c", "a", "b:c" },
	};
	struct transport_map_result r;
	char	text[800];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		if (!transport_map_split(cases[i].value, &r) || strcmp(r.transport, cases[i].transport) != 0 ||
		    strcmp(r.nexthop, cases[i].nexthop) != 0)
			fail_msg("[%s]: got [%s] [%s]", cases[i].value, r.transport, r.nexthop);
	/* the longest that fits, and one byte more, of either part */
	memset(text, 'x', sizeof text);
	text[sizeof r.transport] = 0;
	assert_false(transport_map_split(text, &r));
	text[sizeof r.transport - 1] = 0;
	assert_true(transport_map_split(text, &r));
	memset(text, 'x', sizeof text);
	text[0] = ':';
	text[sizeof r.nexthop + 1] = 0;
	assert_false(transport_map_split(text, &r));
	text[sizeof r.nexthop] = 0;
	assert_true(transport_map_split(text, &r));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(transport_map_test_lookup),
		cmocka_unit_test(transport_map_test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
