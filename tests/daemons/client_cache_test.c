/* tests/daemons/client_cache_test.c - clients that need not be tested again: time, room, what counts as one client */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <daemons/smtpd/client_cache.h>

static const struct sockaddr *
client(const char *ip)
{
	static struct sockaddr_storage ss;
	struct sockaddr_in *v4 = (void *) &ss;
	struct sockaddr_in6 *v6 = (void *) &ss;

	memset(&ss, 0, sizeof ss);
	if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1)
		ss.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1)
		ss.ss_family = AF_INET6;
	return (const struct sockaddr *) &ss;
}

static void
test_time_and_room(void **state)
{
	struct client_cache *cc = client_cache_new(1000, 3);
	char	ip[20];

	(void) state;
	client_cache_put(cc, client("192.0.2.1"), 0);
	client_cache_put(cc, client("192.0.2.2"), 100);
	client_cache_put(cc, client("192.0.2.3"), 200);
	assert_true(client_cache_has(cc, client("192.0.2.1"), 999));
	client_cache_put(cc, client("192.0.2.1"), 300);		/* anew: not the oldest any more */
	client_cache_put(cc, client("192.0.2.4"), 400);		/* no room: the oldest goes */
	assert_false(client_cache_has(cc, client("192.0.2.2"), 400));
	assert_true(client_cache_has(cc, client("192.0.2.1"), 1299));
	assert_false(client_cache_has(cc, client("192.0.2.1"), 1300));
	assert_false(client_cache_has(cc, client("192.0.2.1"), 0));	/* gone for good */
	client_cache_drop(cc, client("192.0.2.3"));
	client_cache_drop(cc, client("192.0.2.3"));
	assert_false(client_cache_has(cc, client("192.0.2.3"), 500));
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(ip, sizeof ip, "10.0.%u.%u", i / 256, i % 256);
		client_cache_put(cc, client(ip), 500);
	}
	assert_true(client_cache_has(cc, client("10.0.3.231"), 500));
	assert_false(client_cache_has(cc, client("10.0.3.228"), 500));
	client_cache_free(&cc);
	assert_null(cc);
}

static void
test_clients(void **state)
{
	struct client_cache *cc = client_cache_new(1000, 10);

	(void) state;
	client_cache_put(cc, client("2001:db8:1:2:3:4:5:6"), 0);
	assert_true(client_cache_has(cc, client("2001:db8:1:2::"), 1));
	assert_false(client_cache_has(cc, client("2001:db8:1:3:3:4:5:6"), 1));
	client_cache_put(cc, client("32.1.13.184"), 0);		/* the bytes of 2001:db8::, and another family */
	assert_false(client_cache_has(cc, client("2001:db8::1"), 1));
	client_cache_put(cc, client("no address"), 0);
	assert_false(client_cache_has(cc, client("no address"), 1));
	client_cache_free(&cc);
	/* no cache */
	client_cache_put(NULL, client("192.0.2.1"), 0);
	client_cache_drop(NULL, client("192.0.2.1"));
	assert_false(client_cache_has(NULL, client("192.0.2.1"), 1));
	client_cache_free(&cc);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_and_room),
		cmocka_unit_test(test_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
