/* tests/daemons/smtpd_peer_name_test.c - clients' names: confirmed, not confirmed, none, too slow; a client that leaves meanwhile
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <daemons/smtpd/peer_name.h>
#include <tests/lib/dns_stub.h>
#include <util/mem.h>
#include <util/msg.h>

static const char zone[] =
    "1.2.0.192.in-addr.arpa PTR good.test\ngood.test A 192.0.2.9\ngood.test A 192.0.2.1\n"
    "2.2.0.192.in-addr.arpa PTR liar.test\nliar.test A 192.0.2.1\n"
    "3.2.0.192.in-addr.arpa PTR nowhere.test\n"
    "5.2.0.192.in-addr.arpa PTR liar.test\n5.2.0.192.in-addr.arpa PTR Second.test\nsecond.test A 192.0.2.5\n"
    "6.2.0.192.in-addr.arpa SERVFAIL\n"
    "7.2.0.192.in-addr.arpa DELAY 60000\n7.2.0.192.in-addr.arpa PTR good.test\n"
    "8.2.0.192.in-addr.arpa PTR bad!name.test\n"
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.test\nsix.test AAAA 2001:db8::1\n"
    "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR good.test\n";

static struct {
	unsigned n;
	char	name[300];
} told;

static void
tell(void *ctx, const char *name)
{
	assert_ptr_equal(ctx, &told);
	told.n++;
	snprintf(told.name, sizeof told.name, "%s", name != NULL ? name : "none");
}

static void
names(void **state)
{
	static const struct { const char *ip, *want; } rows[] = {
		{ "192.0.2.1", "good.test" }, { "192.0.2.2", "none" }, { "192.0.2.3", "none" }, { "192.0.2.4", "none" },
		{ "192.0.2.5", "second.test" }, { "192.0.2.6", "none" }, { "192.0.2.7", "none" }, { "192.0.2.8", "none" },
		{ "2001:db8::1", "six.test" }, { "2001:db8::2", "none" },
	};
	struct ev_loop *loop = ev_loop_new_fake(1800000000);
	struct dns_stub *stub = dns_stub_new(loop, zone);
	struct dns_conf conf = { .servers = "", .try_ms = 1000000, .tries = 1, .open_limit = 10, .wait_limit = 10, .cache_limit = 10 };
	const char *why = "";
	struct dns *dns = dns_new(loop, &dns_stub_carrier, &conf, &why);
	struct peer_name *p;

	(void) state;
	assert_non_null(dns);
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET };
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
		bool	six = inet_pton(AF_INET, rows[i].ip, &v4.sin_addr) != 1;

		if (six)
			inet_pton(AF_INET6, rows[i].ip, &v6.sin6_addr);
		memset(&told, 0, sizeof told);
		p = peer_name_ask(loop, dns, six ? (struct sockaddr *) &v6 : (struct sockaddr *) &v4, 5000, tell, &told);
		assert_non_null(p);
		assert_int_equal(told.n, 0);
		for (int turn = 0; turn < 20; turn++)
			ev_turn(loop, 0);
		ev_fake_advance(loop, 4990);
		if ((told.n == 0) != (strcmp(rows[i].ip, "192.0.2.7") == 0))
			fail_msg("%s: told %u times before the limit", rows[i].ip, told.n);
		ev_fake_advance(loop, 20);
		if (told.n != 1 || strcmp(told.name, rows[i].want) != 0)
			fail_msg("%s: told %u times, %s", rows[i].ip, told.n, told.name);
		/* cancelled: never told */
		memset(&told, 0, sizeof told);
		p = peer_name_ask(loop, dns, six ? (struct sockaddr *) &v6 : (struct sockaddr *) &v4, 5000, tell, &told);
		peer_name_cancel(&p);
		assert_null(p);
		for (int turn = 0; turn < 20; turn++)
			ev_turn(loop, 0);
		ev_fake_advance(loop, 10000);
		assert_int_equal(told.n, 0);
	}
	dns_free(&dns);
	dns_stub_free(&stub);
	ev_loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
	};

	msg_to_stderr(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
