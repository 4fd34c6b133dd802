/* tests/global/greylist_check_test.c - values of greylist_* parameters, good and bad; DNS list filters */
#include <global/greylist_check.h>

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <global/dnswl_sites.h>
#include <util/mem.h>

static void
greylist_check_test_values(void **state)
{
	static const struct {
		const char *(*check)(const char *);
		const char *value;
		bool	good;
	} cases[] = {
		{ greylist_check_action, "DEFER_IF_PERMIT", true },
		{ greylist_check_action, "DEFER", true },
		{ greylist_check_action, "451", true },
		{ greylist_check_action, "450", true },
		{ greylist_check_action, "550", false },
		{ greylist_check_action, "45", false },
		{ greylist_check_action, "4500", false },
		{ greylist_check_action, "450 x", false },
		{ greylist_check_action, "OK", false },
		{ greylist_check_action, "DEFER_IF", false },
		{ greylist_check_action, "REJECT", false },
		{ greylist_check_action, "", false },
		{ greylist_check_action, "DEFER_IF_PERMIT DEFER", false },
		{ greylist_check_client_key, "auto", true },
		{ greylist_check_client_key, "Auto", false },
		{ greylist_check_fallback, "DUNNO", true },
		{ greylist_check_fallback, "dunno", false },
		{ greylist_check_mode, "observe", true },
		{ greylist_check_mode, "obs", false },
		{ greylist_check_null_sender, "never", true },
		{ greylist_check_null_sender, "always", false },
		{ greylist_check_privacy, "hash", true },
		{ greylist_check_scope, "triplet", true },
		{ greylist_check_scope, "domain", false },
		{ greylist_check_sender_key, "domain", true },
		{ greylist_check_secret, "/a", true },
		{ greylist_check_secret, "a", false },
		{ greylist_check_header, "", true },
		{ greylist_check_header, "X-Greylist: delayed %t seconds by vouch at %h; %d", true },
		{ greylist_check_header, "X: 100%%", true },
		{ greylist_check_header, "X: 100%", false },
		{ greylist_check_header, "X: %s", false },
		{ greylist_check_header, "no colon", false },
		{ greylist_check_header, "no colon: here", false },
		{ greylist_check_header, ": x", false },
		{ greylist_check_header, "X%t: x", false },
		{ greylist_check_header, "X: a\nY: b", false },
		{ greylist_check_text, "4.2.0 wait %s seconds, %r at %h, 100%%", true },
		{ greylist_check_text, "wait %n", false },
		{ greylist_check_text, "a\nb", false },
		{ greylist_check_text, "a%", false },
		{ greylist_check_map, "", true },
		{ greylist_check_map, "btree:$data_directory/verify_cache", true },
		{ greylist_check_map, "pgsql:dbname=vouch", true },
		{ greylist_check_dnswl, "", true },
		{ greylist_check_dnswl, "list.dnswl.org", true },
		{ greylist_check_dnswl, "list.dnswl.org=127.0.[0..255].[1..3], other.example=127.0.0.[1;3;7..9]", true },
		{ greylist_check_dnswl, "list.dnswl.org*2", false },
		{ greylist_check_dnswl, "list.dnswl.org=127.0.0.1*2", false },
		{ greylist_check_dnswl, "list.dnswl.org=127.0.0", false },
		{ greylist_check_dnswl, "list.dnswl.org=127.0.0.256", false },
		{ greylist_check_dnswl, "list.dnswl.org=127.0.0.[3..1]", false },
		{ greylist_check_dnswl, "list.dnswl.org=127.0.0.[1", false },
		{ greylist_check_dnswl, "list.dnswl.org=127.0.0.[]", false },
		{ greylist_check_dnswl, "=127.0.0.1", false },
		{ greylist_check_dnswl, "list/dnswl", false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		if ((cases[i].check(cases[i].value) == NULL) != cases[i].good)
			fail_msg("row %zu: \"%s\": got %s", i, cases[i].value, cases[i].good ? "bad" : "good");
}

static void
greylist_check_test_dnswl(void **state)
{
	static const struct { const char *site, *answer; bool want; } cases[] = {
		{ "l.example", "127.0.0.1", true },
		{ "l.example", "10.1.2.3", true },
		{ "l.example=127.0.[0..255].[1..3]", "127.0.0.1", true },
		{ "l.example=127.0.[0..255].[1..3]", "127.0.255.3", true },
		{ "l.example=127.0.[0..255].[1..3]", "127.0.9.0", false },
		{ "l.example=127.0.[0..255].[1..3]", "127.0.9.4", false },
		{ "l.example=127.0.[0..255].[1..3]", "127.1.9.2", false },
		{ "l.example=127.0.0.[1;3;7..9]", "127.0.0.3", true },
		{ "l.example=127.0.0.[1;3;7..9]", "127.0.0.8", true },
		{ "l.example=127.0.0.[1;3;7..9]", "127.0.0.2", false },
		{ "l.example=127.0.0.[1;3;7..9]", "127.0.0.10", false },
	};
	static const unsigned char v4[4] = { 192, 0, 2, 25 }, v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x25 };
	struct buf why = BUF_INIT(1000);
	char	name[DNSWL_NAME_MAX + 1];
	struct in_addr a;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct dnswl_sites *l = dnswl_sites_parse(cases[i].site, &why);

		if (l == NULL || l->n != 1)
			fail_msg("%s: not parsed: %s", cases[i].site, buf_str(&why));
		inet_pton(AF_INET, cases[i].answer, &a);
		if (dnswl_match(&l->site[0], a) != cases[i].want)
			fail_msg("%s: %s: got %d", cases[i].site, cases[i].answer, !cases[i].want);
		if (i == 0) {
			assert_true(dnswl_name(&l->site[0], v4, sizeof v4, name));
			assert_string_equal(name, "25.2.0.192.l.example");
			assert_true(dnswl_name(&l->site[0], v6, sizeof v6, name));
			assert_string_equal(name, "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.l.example");
		}
		dnswl_sites_free(&l);
	}
	buf_fini(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greylist_check_test_values),
		cmocka_unit_test(greylist_check_test_dnswl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
