/* tests/global/greylist_allow_test.c - who is never greylisted: lists in files, and in the DNS */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/stats.h>
#include <tests/lib/dns_stub.h>
#include <tests/lib/greylist_world.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>

static void
greylist_test_lists(void **state)
{
	struct greylist_request q = world_plain;

	(void) state;
	world_open("greylist_client_allowlist = $config_directory/clients\ngreylist_recipient_allowlist = $config_directory/rcpts\n"
	    "greylist_sender_allowlist = $config_directory/senders\ngreylist_exempt_regexp_file = $config_directory/nogreylist\n"
	    "greylist_auto_allow_exclude = $config_directory/exclude\n");
	world_expect("no files", world_decide(&q), "new");
	test_dir_file("clients", "192.0.2.0/24\n");
	world_at(9);
	world_expect("not looked at yet", world_decide(&q), "early");
	world_at(10);
	world_expect("it may be being written", world_decide(&q), "early");
	world_at(11);
	world_expect("clients", world_decide(&q), "allow-client");
	assert_string_equal(world.res.rule, "clients:1");
	assert_non_null(strstr(world.log, " rule=clients:1 "));
	test_dir_file("clients", "# nothing\n");
	world_at(21);
	world_expect("emptied, and may be being written", world_decide(&q), "allow-client");
	world_at(22);
	world_expect("emptied", world_decide(&q), "early");
	test_dir_file("rcpts", "x@y\nB@Example.com\n");
	greylist_reread(world.g);
	world_expect("recipients", world_decide(&q), "allow-recipient");
	assert_string_equal(world.res.rule, "rcpts:2");
	test_dir_file("rcpts", "postmaster@\n");
	test_dir_file("senders", "x.example 198.51.100.0/24,192.0.2.25\n");
	greylist_reread(world.g);
	world_expect("senders", world_decide(&q), "allow-sender");
	q.client_address = "192.0.2.26";
	world_expect("sender from elsewhere", world_decide(&q), "early");
	test_dir_file("nogreylist", "# comment\n^192\\.0\\.2\\.26/A@\n^192\\.0\\.2\\.26/a@x\\.example/b@\n");
	greylist_reread(world.g);
	world_expect("expressions", world_decide(&q), "allow-regexp");
	assert_string_equal(world.res.rule, "nogreylist:3");
	test_dir_file("nogreylist", "(a+)+$\n");
	greylist_reread(world.g);
	{
		char	big[200] = "";
		uint64_t before = stats_local[STAT_greylist_regexp_limit];

		memset(big, 'a', sizeof big - 12);
		strcat(big, "!@x.example");
		q.sender = big;
		world_expect("an expression that explodes", world_decide(&q), "new");
		assert_true(stats_local[STAT_greylist_regexp_limit] > before);
	}
	/* a file that goes leaves its entries in force */
	{
		char   *path = mem_printf("%s/senders", test_dir);

		assert_int_equal(unlink(path), 0);
		greylist_reread(world.g);
		world_expect("the file has gone", world_decide(&world_plain), "allow-sender");
		mem_free(&path);
	}
	test_dir_file("senders", "\n");
	greylist_reread(world.g);
	world_expect("it is back", world_decide(&world_plain), "early");
	/* excluded: every triplet waits, and is known by itself */
	test_dir_file("exclude", "192.0.2.0/24\n");
	greylist_reread(world.g);
	world_at(400);
	world_expect("excluded", world_decide(&world_plain), "retry");
	world_expect("excluded", world_decide(&world_plain), "known-triplet");
	world_expect("excluded", world_ask("a@x.example", "other@example.com"), "new");
	world_close();
}

/* DNS allow-lists: asked before something new is deferred, and not otherwise; with the real clock */

static struct { unsigned n; char reason[32], rule[64]; } told;

static void
tell(void *ctx, const struct greylist_result *res)
{
	assert_ptr_equal(ctx, &told);
	told.n++;
	snprintf(told.reason, sizeof told.reason, "%s", greylist_reason_word(res->reason));
	snprintf(told.rule, sizeof told.rule, "%s", res->rule);
}

static const char *
ask_dns(const char *addr, const char *sender)
{
	struct greylist_request q = world_plain;
	struct greylist_wait *wait;

	q.client_address = addr;
	q.sender = sender;
	told.n = 0;
	if (greylist_decide(world.g, &q, &world.res, tell, &told, &wait) == GREYLIST_NOW) {
		assert_null(wait);
		return greylist_reason_word(world.res.reason);
	}
	assert_non_null(wait);
	assert_int_equal(told.n, 0);
	assert_true(greylist_busy(world.g));
	for (int i = 0; told.n == 0 && i < 1000; i++)
		ev_turn(world.loop, 100);
	assert_int_equal(told.n, 1);
	assert_null(wait);
	assert_false(greylist_busy(world.g));
	return told.reason;
}

static void
greylist_test_dns(void **state)
{
	static const char zone[] =
	    "1.2.0.192.wl.test A 127.0.5.2\n"
	    "2.2.0.192.wl.test A 127.0.5.9\n"
	    "3.2.0.192.any.test A 127.0.0.99\n"
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.wl.test A 127.0.0.1\n"
	    "4.2.0.192.wl.test TIMEOUT\n4.2.0.192.any.test SERVFAIL\n";
	struct ev_loop *loop = ev_loop_new();
	struct dns_stub *stub = dns_stub_new(loop, zone);
	struct greylist_request q = world_plain;
	struct greylist_wait *wait;
	unsigned asked;
	char   *cf = mem_printf("greylist_dnswl_sites = wl.test=127.0.[0..255].[1..3], any.test\nprobe_dns_servers = 127.0.0.1:%d\n"
	    "greylist_dnswl_timeout = 300ms\n", dns_stub_listen(stub));

	(void) state;
	world_open_in(loop, cf);
	world_expect("listed", ask_dns("192.0.2.1", "a@x.example"), "allow-dns");
	assert_string_equal(told.rule, "wl.test");
	assert_non_null(strstr(world.log, "greylist=pass reason=allow-dns "));
	assert_non_null(strstr(world.log, " rule=wl.test"));
	world_expect("listed, IPv6", ask_dns("2001:db8::1", "a@x.example"), "allow-dns");
	world_expect("listed with another answer", ask_dns("192.0.2.2", "a@x.example"), "new");
	asked = dns_stub_asked(stub, false);
	world_expect("waiting: not asked", ask_dns("192.0.2.2", "a@x.example"), "early");
	assert_int_equal(dns_stub_asked(stub, false), asked);
	world_expect("without filter", ask_dns("192.0.2.3", "b@x.example"), "allow-dns");
	assert_string_equal(told.rule, "any.test");
	world_expect("no answer in time", ask_dns("192.0.2.4", "c@x.example"), "new");
	/* the client leaves meanwhile: nobody is told, and the attempt counts */
	q.client_address = "192.0.2.5";
	q.sender = "d@x.example";
	told.n = 0;
	assert_int_equal(greylist_decide(world.g, &q, &world.res, tell, &told, &wait), GREYLIST_LATER);
	greylist_cancel(&wait);
	assert_null(wait);
	for (int i = 0; greylist_busy(world.g) && i < 1000; i++)
		ev_turn(world.loop, 100);
	assert_int_equal(told.n, 0);
	world_expect("of a client that left", ask_dns("192.0.2.5", "d@x.example"), "early");
	/* closed while one waits */
	q.sender = "e@x.example";
	assert_int_equal(greylist_decide(world.g, &q, &world.res, tell, &told, NULL), GREYLIST_LATER);
	dns_stub_free(&stub);
	world_close();
	assert_int_equal(told.n, 0);
	mem_free(&cf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greylist_test_lists),
		cmocka_unit_test(greylist_test_dns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
