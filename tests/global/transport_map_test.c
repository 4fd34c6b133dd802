/* tests/global/transport_map_test.c - tables, transport maps and next hops */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/nexthop.h>
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
transport_map_test_types(void **state)
{
	static const struct {
		const char *spec, *key, *want, *why;
	} cases[] = {
		{ "", "a@b.test", NULL, NULL },
		{ "static:smtp:here", "a@b.test", "smtp:here", NULL },
		{ "inline:{ {a@b.test = smtp:x}, {c.test=smtp:y z} }", "a@b.test", "smtp:x", NULL },
		{ "inline:{ {a@b.test = smtp:x}, {c.test=smtp:y z} }", "c.test", "smtp:y z", NULL },
		{ "inline:{a@b.test=1, c=2}, static:3", "c", "2", NULL },
		{ "inline:{a@b.test=1, c=2}, static:3", "d", "3", NULL },
		{ "inline:{}", "a", NULL, NULL },
		{ "inline:a=b", NULL, NULL, "write inline:" },
		{ "inline:{ {a b} }", NULL, NULL, "missing '='" },
		{ "inline:{ {a = b }", NULL, NULL, "unbalanced" },
		{ "hash:/etc/postfix/transport", NULL, NULL, "unsupported table type" },
		{ "texthash:/nonexistent", NULL, NULL, "No such file" },
		{ "/nonexistent", NULL, NULL, "No such file" },
		{ "pcre:/nonexistent hash:/x", NULL, NULL, "unsupported table type" },
	};
	struct buf why = BUF_INIT(4096);
	const char *got;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct lookup_tables *t;

		buf_reset(&why);
		t = lookup_tables_open(cases[i].spec, &why);
		if ((t == NULL) != (cases[i].why != NULL))
			fail_msg("%s: %s", cases[i].spec, t == NULL ? buf_str(&why) : "should have been refused");
		if (t == NULL) {
			if (strstr(buf_str(&why), cases[i].why) == NULL)
				fail_msg("%s: got %s, want %s", cases[i].spec, buf_str(&why), cases[i].why);
			continue;
		}
		got = lookup_tables_find(t, cases[i].key, true);
		if ((got == NULL) != (cases[i].want == NULL) || (got != NULL && strcmp(got, cases[i].want) != 0))
			fail_msg("%s: got %s, want %s", cases[i].spec, got, cases[i].want);
		lookup_tables_free(&t);
	}
	buf_fini(&why);
}

static void
transport_map_test_patterns(void **state)
{
	static const char text[] =
	    "/^postmaster@/     smtp:a\n"
	    "!/@.*\\.test$/     smtp:b\n"
	    "/@CASE\\.test$/i   smtp:c\n"
	    "|/x|               smtp:d$$\n"
	    "/^(a+)+@/          smtp:e\n";
	static const struct {
		const char *key, *want;
	} cases[] = {
		{ "postmaster@x.test", "smtp:a" }, { "POSTMASTER@x.test", "smtp:a" }, { "a@other.example", "smtp:b" },
		{ "b@case.test", NULL }, { "b/x@a.test", "smtp:d$" }, { "aaa@a.test", "smtp:e" }, { "b@a.test", NULL },
	};
	static const char *const bad[] = {
		"/x smtp:a\n", "/x/\n", "/x/q smtp:a\n", "/(/ smtp:a\n", "/x/ smtp:$1\n", "if /x/\n", "x smtp:a\n", "/[/ a\n",
	};
	struct buf why = BUF_INIT(4096);
	struct lookup_tables *t;
	const char *got;

	(void) state;
	for (int posix = 0; posix < 2; posix++) {
		t = lookup_tables_parse(posix ? "regexp" : "pcre", "f", text, sizeof text - 1, &why);
		if (t == NULL)
			fail_msg("%s", buf_str(&why));
		for (size_t i = 0; i < NELEM(cases); i++) {
			got = lookup_tables_find(t, cases[i].key, true);
			if ((got == NULL) != (cases[i].want == NULL) || (got != NULL && strcmp(got, cases[i].want) != 0))
				fail_msg("%s: got %s, want %s", cases[i].key, got, cases[i].want);
			assert_null(lookup_tables_find(t, cases[i].key, false));
		}
		lookup_tables_free(&t);
		for (size_t i = 0; i < NELEM(bad); i++) {
			buf_reset(&why);
			t = lookup_tables_parse(posix ? "regexp" : "pcre", "f", bad[i], strlen(bad[i]), &why);
			if (t != NULL)
				fail_msg("%s: should have been refused", bad[i]);
			assert_non_null(strstr(buf_str(&why), "f, line 1: "));
		}
	}
	/* a pattern that explodes is no match, and no hang */
	t = lookup_tables_parse("pcre", "f", "/^(a|aa)+$/ x\n", 14, &why);
	msg_to_stderr(NULL);
	assert_null(lookup_tables_find(t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", true));
	lookup_tables_free(&t);
	buf_fini(&why);
}

static void
transport_map_test_reload(void **state)
{
	char	path[] = "/tmp/vouch-test-XXXXXX", spec[60];
	int	fd = mkstemp(path);
	struct buf why = BUF_INIT(4096);
	struct lookup_tables *t;

	(void) state;
	msg_to_stderr(NULL);
	assert_int_equal(write(fd, "a.test one\n", 11), 11);
	snprintf(spec, sizeof spec, "texthash:%s", path);
	t = lookup_tables_open(spec, &why);
	assert_non_null(t);
	assert_string_equal(lookup_tables_find(t, "a.test", true), "one");
	lookup_tables_check(t, 1000);
	assert_int_equal(write(fd, "b.test two\n", 11), 11);
	lookup_tables_check(t, 1500);			/* too early to look */
	assert_null(lookup_tables_find(t, "b.test", true));
	lookup_tables_check(t, 2000);
	assert_string_equal(lookup_tables_find(t, "b.test", true), "two");
	assert_int_equal(write(fd, "broken\n", 7), 7);
	lookup_tables_check(t, 4000);
	assert_string_equal(lookup_tables_find(t, "b.test", true), "two");
	unlink(path);
	lookup_tables_check(t, 6000);
	assert_string_equal(lookup_tables_find(t, "b.test", true), "two");
	lookup_tables_free(&t);
	close(fd);
	buf_fini(&why);
}

static void
transport_map_test_nexthop(void **state)
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
	const char *why = "", *p = " a, [b]:25 ,,c", *item;
	char	got[40] = "";
	size_t	n;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		bool	ok = nexthop_parse(cases[i].text, strlen(cases[i].text), &h, &why);

		if (ok != (cases[i].host != NULL))
			fail_msg("[%s]: %s", cases[i].text, ok ? "should have been refused" : why);
		if (ok && (strcmp(h.host, cases[i].host) != 0 || h.direct != cases[i].direct || h.is_unix != cases[i].is_unix ||
		    h.port != cases[i].port))
			fail_msg("[%s]: got %s direct=%d unix=%d port=%u", cases[i].text, h.host, h.direct, h.is_unix, h.port);
	}
	while ((item = nexthop_next(&p, &n)) != NULL)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s;", (int) n, item);
	assert_string_equal(got, "a;[b]:25;c;");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(transport_map_test_lookup),
		cmocka_unit_test(transport_map_test_types),
		cmocka_unit_test(transport_map_test_patterns),
		cmocka_unit_test(transport_map_test_reload),
		cmocka_unit_test(transport_map_test_nexthop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
