/* tests/util/dns_test.c - the resolver: over a table under a fake clock, and with c-ares against a server on loopback */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include <tests/lib/dns_stub.h>
#include <util/buf.h>
#include <util/dns.h>
#include <util/dns_ares.h>
#include <util/mem.h>

static const char zone[] =
    "# facts\n"
    "one.test MX 10 mx1.one.test\n"
    "one.test MX 5 MX2.One.Test\n"
    "mx1.one.test A 192.0.2.1\n"
    "mx1.one.test AAAA 2001:db8::1\n"
    "null.test MX 0 .\n"
    "alias.test CNAME one.test\n"
    "chain.test CNAME+ alias2.test\n"
    "alias2.test CNAME+ one.test\n"
    "half.test CNAME gone.test\n"
    "loop.test CNAME loop.test\n"
    "ring1.test CNAME ring2.test\n"
    "ring2.test CNAME ring1.test\n"
    "dead.test CNAME+ nothing.test\n"
    "fail.test SERVFAIL\n"
    "refused.test REFUSED\n"
    "silent.test TIMEOUT\n"
    "nosoa.test NOSOA\n"
    "garbage.test MX 1 x.test\n"
    "garbage.test GARBAGE\n"
    "cut.test MX 1 x.test\n"
    "cut.test HALF\n"
    "1.2.0.192.in-addr.arpa PTR mx1.one.test\n"
    "1.2.0.192.in-addr.arpa PTR Other.test\n"
    "2.2.0.192.in-addr.arpa CNAME 2.part.2.0.192.in-addr.arpa\n"
    "2.part.2.0.192.in-addr.arpa PTR mx2.one.test\n"
    "big.test MX 7 x.test\n"
    "big.test TRUNCATE\n";

struct told {
	unsigned n;
	struct buf text;
};

static void
dns_test_told(void *ctx, const struct dns_answer *a)
{
	static const char *const results[] = { "found", "nodata", "nxdomain", "soft" };
	struct told *t = ctx;
	char	addr[INET6_ADDRSTRLEN];

	t->n++;
	buf_addf(&t->text, "%s", results[a->result]);
	if (a->result == DNS_SOFT)
		buf_addf(&t->text, " (%s)", a->why);
	for (size_t i = 0; i < a->n; i++)
		switch (a->type) {
		case DNS_PTR:
			buf_addf(&t->text, " %s", a->rr[i].name);
			break;
		case DNS_MX:
			buf_addf(&t->text, " %u:%s", a->rr[i].pref, a->rr[i].name);
			break;
		case DNS_A:
			buf_addf(&t->text, " %s", inet_ntop(AF_INET, &a->rr[i].a, addr, sizeof addr));
			break;
		case DNS_AAAA:
			buf_addf(&t->text, " %s", inet_ntop(AF_INET6, &a->rr[i].aaaa, addr, sizeof addr));
			break;
		}
	buf_addc(&t->text, ';');
}

static const struct {
	const char *name;
	enum dns_type type;
	const char *want;
} cases[] = {
	{ "one.test", DNS_MX, "found 10:mx1.one.test 5:mx2.one.test;" },
	{ "ONE.test.", DNS_MX, "found 10:mx1.one.test 5:mx2.one.test;" },
	{ "mx1.one.test", DNS_A, "found 192.0.2.1;" },
	{ "mx1.one.test", DNS_AAAA, "found 2001:db8::1;" },
	{ "mx1.one.test", DNS_MX, "nodata;" },
	{ "nowhere.test", DNS_MX, "nxdomain;" },
	{ "null.test", DNS_MX, "found 0:;" },
	{ "alias.test", DNS_MX, "found 10:mx1.one.test 5:mx2.one.test;" },
	{ "chain.test", DNS_MX, "found 10:mx1.one.test 5:mx2.one.test;" },
	{ "half.test", DNS_MX, "nxdomain;" },
	{ "dead.test", DNS_A, "nxdomain;" },
	{ "loop.test", DNS_A, "soft (CNAME chain too long);" },
	{ "ring1.test", DNS_A, "soft (CNAME chain too long);" },
	{ "nosoa.test", DNS_A, "nodata;" },
	{ "1.2.0.192.in-addr.arpa", DNS_PTR, "found mx1.one.test other.test;" },
	{ "2.2.0.192.in-addr.arpa", DNS_PTR, "found mx2.one.test;" },
	{ "one.test", DNS_PTR, "nodata;" },
};

static void
dns_test_turns(struct ev_loop *loop, struct told *t, unsigned want)
{
	for (int i = 0; i < 5000 && t->n < want; i++)
		ev_turn(loop, 1);
	if (t->n != want)
		fail_msg("got %u answers, want %u: %s", t->n, want, buf_str(&t->text));
}

static const struct dns_conf conf = { .try_ms = 5000, .tries = 2, .open_limit = 3, .wait_limit = 5, .cache_limit = 4 };

struct world {
	struct ev_loop *loop;
	struct dns_stub *stub;
	struct dns *dns;
	struct told told;
};

static void
dns_test_begin(struct world *w, const struct dns_conf *c)
{
	const char *why = "";

	memset(w, 0, sizeof *w);
	buf_init(&w->told.text, 100000);
	w->loop = ev_loop_new_fake(1000000);
	w->stub = dns_stub_new(w->loop, zone);
	w->dns = dns_new(w->loop, &dns_stub_carrier, c, &why);
	assert_non_null(w->dns);
}

static void
dns_test_end(struct world *w)
{
	dns_free(&w->dns);
	dns_free(&w->dns);
	dns_stub_free(&w->stub);
	ev_loop_free(&w->loop);
	buf_fini(&w->told.text);
}

static void
dns_test_table(void **state)
{
	struct world w;

	(void) state;
	dns_test_begin(&w, &conf);
	for (size_t i = 0; i < NELEM(cases); i++) {
		w.told.n = 0;
		buf_reset(&w.told.text);
		dns_ask(w.dns, cases[i].name, cases[i].type, dns_test_told, &w.told);
		assert_int_equal(w.told.n, 0);
		dns_test_turns(w.loop, &w.told, 1);
		if (strcmp(buf_str(&w.told.text), cases[i].want) != 0)
			fail_msg("%s %s: got %s, want %s", cases[i].name, dns_type_name(cases[i].type),
			    buf_str(&w.told.text), cases[i].want);
	}
	dns_test_end(&w);
}

static void
dns_test_soft(void **state)
{
	static const struct {
		const char *name, *want;
	} soft[] = {
		{ "fail.test", "soft (name server failure);" },
		{ "refused.test", "soft (refused by the name server);" },
		{ "silent.test", "soft (name server time-out);" },
		{ "garbage.test", "soft (malformed answer);" },
		{ "cut.test", "soft (malformed answer);" },
	};
	struct world w;
	struct dns_stat st;

	(void) state;
	dns_test_begin(&w, &conf);
	for (size_t i = 0; i < NELEM(soft); i++) {
		w.told.n = 0;
		buf_reset(&w.told.text);
		dns_ask(w.dns, soft[i].name, DNS_MX, dns_test_told, &w.told);
		for (int k = 0; k < 5; k++)
			ev_turn(w.loop, 0);
		ev_fake_advance(w.loop, 60000);
		dns_test_turns(w.loop, &w.told, 1);
		if (strcmp(buf_str(&w.told.text), soft[i].want) != 0)
			fail_msg("%s: got %s, want %s", soft[i].name, buf_str(&w.told.text), soft[i].want);
	}
	dns_stat(w.dns, &st);
	assert_int_equal(st.failed, NELEM(soft));
	assert_int_equal(st.open, 0);
	dns_test_end(&w);
}

static void
dns_test_cache(void **state)
{
	struct world w;
	struct dns_stat st;
	struct dns_query *q;

	(void) state;
	dns_test_begin(&w, &conf);
	/* one question for many who ask, whatever case they write */
	for (int i = 0; i < 10; i++)
		dns_ask(w.dns, i & 1 ? "one.test" : "One.Test", DNS_MX, dns_test_told, &w.told);
	q = dns_ask(w.dns, "one.test", DNS_MX, dns_test_told, &w.told);
	dns_cancel(w.dns, q);
	dns_test_turns(w.loop, &w.told, 10);
	assert_int_equal(dns_stub_asked(w.stub, true), 1);
	/* from the cache, never before we return, and cancelled in time */
	q = dns_ask(w.dns, "one.test", DNS_MX, dns_test_told, &w.told);
	dns_ask(w.dns, "one.test", DNS_MX, dns_test_told, &w.told);
	assert_int_equal(w.told.n, 10);
	dns_cancel(w.dns, q);
	dns_test_turns(w.loop, &w.told, 11);
	ev_fake_advance(w.loop, 299000);
	dns_ask(w.dns, "one.test", DNS_MX, dns_test_told, &w.told);
	dns_test_turns(w.loop, &w.told, 12);
	assert_int_equal(dns_stub_asked(w.stub, true), 1);
	ev_fake_advance(w.loop, 1000);		/* the TTL is 300 */
	dns_ask(w.dns, "one.test", DNS_MX, dns_test_told, &w.told);
	dns_test_turns(w.loop, &w.told, 13);
	assert_int_equal(dns_stub_asked(w.stub, true), 2);
	/* negative answers live as their SOA says */
	dns_ask(w.dns, "nowhere.test", DNS_MX, dns_test_told, &w.told);
	dns_test_turns(w.loop, &w.told, 14);
	ev_fake_advance(w.loop, 119000);
	dns_ask(w.dns, "nowhere.test", DNS_MX, dns_test_told, &w.told);
	dns_test_turns(w.loop, &w.told, 15);
	assert_int_equal(dns_stub_asked(w.stub, true), 3);
	ev_fake_advance(w.loop, 1000);
	dns_ask(w.dns, "nowhere.test", DNS_MX, dns_test_told, &w.told);
	dns_test_turns(w.loop, &w.told, 16);
	assert_int_equal(dns_stub_asked(w.stub, true), 4);
	/* failures are not remembered */
	dns_ask(w.dns, "fail.test", DNS_A, dns_test_told, &w.told);
	dns_test_turns(w.loop, &w.told, 17);
	dns_ask(w.dns, "fail.test", DNS_A, dns_test_told, &w.told);
	dns_test_turns(w.loop, &w.told, 18);
	assert_int_equal(dns_stub_asked(w.stub, true), 6);
	/* the cache has a limit */
	for (int i = 0; i < 50; i++) {
		char	name[20];

		snprintf(name, sizeof name, "n%d.test", i);
		dns_ask(w.dns, name, DNS_A, dns_test_told, &w.told);
		dns_test_turns(w.loop, &w.told, 19 + (unsigned) i);
	}
	dns_stat(w.dns, &st);
	assert_true(st.entries <= conf.cache_limit);
	dns_flush(w.dns);
	dns_stat(w.dns, &st);
	assert_int_equal(st.entries, 0);
	dns_test_end(&w);
}

static void
dns_test_limits(void **state)
{
	struct world w;
	struct dns_stat st;

	(void) state;
	dns_test_begin(&w, &conf);
	dns_stub_zone(w.stub, "slow.test DELAY 1000\n");
	for (int i = 0; i < 20; i++) {
		char	name[20];

		snprintf(name, sizeof name, "x%d.test", i);
		dns_ask(w.dns, i < 3 ? "slow.test" : name, i < 3 ? (enum dns_type) i : DNS_A, dns_test_told, &w.told);
		ev_turn(w.loop, 0);
		dns_stat(w.dns, &st);
		assert_true(st.open <= conf.open_limit && st.waiting <= conf.wait_limit);
	}
	for (int i = 0; i < 20; i++)
		ev_turn(w.loop, 0);
	assert_int_equal(w.told.n, 20 - 3 - 5);		/* three are open, five wait, the rest was refused */
	assert_non_null(strstr(buf_str(&w.told.text), "soft (too many questions at a time)"));
	ev_fake_advance(w.loop, 1000);
	dns_test_turns(w.loop, &w.told, 20);
	dns_test_end(&w);
}

static void
dns_test_free_open(void **state)
{
	struct world w;

	(void) state;
	dns_test_begin(&w, &conf);
	for (int i = 0; i < 8; i++)
		dns_ask(w.dns, "silent.test", i & 1 ? DNS_A : DNS_MX, dns_test_told, &w.told);
	ev_turn(w.loop, 0);
	dns_ask(w.dns, "one.test", DNS_MX, dns_test_told, &w.told);
	dns_free(&w.dns);
	ev_turn(w.loop, 0);
	assert_int_equal(w.told.n, 0);
	dns_test_end(&w);
}

/* c-ares, real sockets, real clock */
static void
dns_test_ares(void **state)
{
	struct dns_conf c = { .try_ms = 300, .tries = 2, .open_limit = 100, .wait_limit = 100, .cache_limit = 100 };
	struct ev_loop *loop = ev_loop_new();
	struct dns_stub *stub = dns_stub_new(loop, zone);
	char	server[40];
	struct told told = { 0 };
	const char *why = "";
	struct dns *dns;

	(void) state;
	buf_init(&told.text, 10000);
	snprintf(server, sizeof server, " 127.0.0.1:%d, ", dns_stub_listen(stub));
	c.servers = server;
	dns = dns_new(loop, &dns_ares, &c, &why);
	if (dns == NULL)
		fail_msg("dns_new: %s", why);
	for (size_t i = 0; i < NELEM(cases); i++) {
		told.n = 0;
		buf_reset(&told.text);
		dns_ask(dns, cases[i].name, cases[i].type, dns_test_told, &told);
		assert_int_equal(told.n, 0);
		dns_test_turns(loop, &told, 1);
		if (strcmp(buf_str(&told.text), cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].name, buf_str(&told.text), cases[i].want);
	}
	told.n = 0;
	buf_reset(&told.text);
	dns_ask(dns, "big.test", DNS_MX, dns_test_told, &told);
	dns_test_turns(loop, &told, 1);
	assert_string_equal(buf_str(&told.text), "found 7:x.test;");
	assert_true(dns_stub_asked(stub, true) > 0);
	told.n = 0;
	buf_reset(&told.text);
	dns_ask(dns, "silent.test", DNS_MX, dns_test_told, &told);
	dns_test_turns(loop, &told, 1);
	assert_string_equal(buf_str(&told.text), "soft (name server time-out);");
	told.n = 0;
	buf_reset(&told.text);
	dns_ask(dns, "fail.test", DNS_MX, dns_test_told, &told);
	dns_test_turns(loop, &told, 1);
	assert_string_equal(buf_str(&told.text), "soft (no usable answer from the name servers);");
	dns_ask(dns, "silent.test", DNS_MX, dns_test_told, &told);	/* open when we leave */
	ev_turn(loop, 0);
	dns_free(&dns);

	c.servers = "nonsense";
	assert_null(dns_new(loop, &dns_ares, &c, &why));
	assert_non_null(strstr(why, "name servers"));
	dns_stub_free(&stub);
	ev_loop_free(&loop);
	buf_fini(&told.text);
}

static void
dns_test_names(void **state)
{
	static const struct {
		const char *name;
		bool	want;
	} names[] = {
		{ "example.org", true }, { "example.org.", true }, { "a", true }, { "_x.example", true }, { "1.2", true },
		{ "", false }, { ".", false }, { "a..b", false }, { ".a", false }, { "a b", false }, { "a\\.b", false },
		{ "\303\251.org", false }, { "a/b", false },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};
	char	name[300];

	(void) state;
	for (size_t i = 0; i < NELEM(names); i++)
		if (dns_name_valid(names[i].name) != names[i].want)
			fail_msg("[%s]: want %d", names[i].name, names[i].want);
	for (size_t i = 0; i < 254; i++)
		name[i] = i % 2 ? '.' : 'a';
	name[253] = 0;
	assert_true(dns_name_valid(name));
	strcpy(name + 253, ".");
	assert_true(dns_name_valid(name));
	strcpy(name + 253, ".a");
	assert_false(dns_name_valid(name));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(dns_test_names),
		cmocka_unit_test(dns_test_table),
		cmocka_unit_test(dns_test_soft),
		cmocka_unit_test(dns_test_cache),
		cmocka_unit_test(dns_test_limits),
		cmocka_unit_test(dns_test_free_open),
		cmocka_unit_test(dns_test_ares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
