/* tests/util/dns_ares_test.c - c-ares as the carrier, against name servers on loopback; real sockets, real clock
 * What an answer means is dns_test's: here it is whether, whence and how the bytes come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/dns_stub.h>
#include <util/buf.h>
#include <util/dns_ares.h>
#include <util/mem.h>

static const char zone[] =
    "one.test MX 10 mx.one.test\n"
    "cut.test TRUNCATE\n"
    "cut.test MX 7 x.test\n"
    "silent.test TIMEOUT\n"
    "fail.test SERVFAIL\n"
    "refused.test REFUSED\n"
    "half.test HALF\n"
    "half.test MX 1 x.test\n"
    "slow.test DELAY 150\n"
    "slow.test A 192.0.2.1\n";

struct world {
	struct ev_loop *loop;
	struct dns_stub *stub;
	char	server[40];
	struct dns_conf conf;
	void	*carrier;
	unsigned told, bytes_told;
	size_t	len;			/* of the last answer */
	unsigned rcode;
	char	why[80];
};

static void
dns_ares_test_told(void *ctx, const char *why, const unsigned char *msg, size_t len)
{
	struct world *w = ctx;

	w->told++;
	snprintf(w->why, sizeof w->why, "%s", why != NULL ? why : "");
	assert_true((why == NULL) == (len > 0));
	if (why == NULL) {
		w->bytes_told++;
		w->len = len;
		w->rcode = msg[3] & 15;
		assert_true((msg[2] & 2) == 0);		/* never the cut one */
	}
}

static void
dns_ares_test_begin(struct world *w, const char *before)
{
	const char *why = "";
	int	port;

	memset(w, 0, sizeof *w);
	w->loop = ev_loop_new();
	w->stub = dns_stub_new(w->loop, zone);
	port = dns_stub_listen(w->stub);
	snprintf(w->server, sizeof w->server, "%s127.0.0.1:%d", before, port);
	w->conf = (struct dns_conf) { .servers = w->server, .try_ms = 100, .tries = 2 };
	w->carrier = dns_ares.open(w->loop, &w->conf, &why);
	if (w->carrier == NULL)
		fail_msg("%s: %s", w->server, why);
}

static void
dns_ares_test_end(struct world *w)
{
	if (w->carrier != NULL)
		dns_ares.close(w->carrier);
	dns_stub_free(&w->stub);
	ev_loop_free(&w->loop);
}

static void
dns_ares_test_until(struct world *w, unsigned n)
{
	for (int i = 0; i < 10000 && w->told < n; i++)
		ev_turn(w->loop, 1);
	assert_int_equal(w->told, n);
}

static void
dns_ares_test_answers(void **state)
{
	static const struct {
		const char *name, *why;
		unsigned rcode;
		bool	tcp;		/* it takes TCP */
	} cases[] = {
		{ "one.test", "", 0, false },
		{ "nowhere.test", "", 3, false },		/* NXDOMAIN is an answer */
		{ "cut.test", "", 0, true },
		{ "silent.test", "name server time-out", 0, false },
		{ "fail.test", "no usable answer from the name servers", 0, false },
		{ "refused.test", "no usable answer from the name servers", 0, false },
	};
	struct world w;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		dns_ares_test_begin(&w, "");
		dns_ares.ask(w.carrier, cases[i].name, DNS_MX, dns_ares_test_told, &w);
		dns_ares_test_until(&w, 1);
		if (strcmp(w.why, cases[i].why) != 0 || w.rcode != cases[i].rcode)
			fail_msg("%s: got %s, code %u", cases[i].name, w.why, w.rcode);
		assert_int_equal(dns_stub_asked(w.stub, true) > 0, cases[i].tcp);
		dns_ares_test_end(&w);
	}
	/* what cannot be read is handed on as it is, or not at all; dns.c judges it */
	dns_ares_test_begin(&w, "");
	dns_ares.ask(w.carrier, "half.test", DNS_MX, dns_ares_test_told, &w);
	dns_ares_test_until(&w, 1);
	dns_ares_test_end(&w);
}

/* an answer of more than 20 kB: over TCP, whole */
static void
dns_ares_test_huge(void **state)
{
	struct buf big = BUF_INIT(1 << 20);
	struct world w;

	(void) state;
	dns_ares_test_begin(&w, "");
	buf_adds(&big, "big.test TRUNCATE\n");
	for (int i = 0; i < 500; i++)
		buf_addf(&big, "big.test MX %d mx%d.some.longer.name.test\n", i, i);
	dns_stub_zone(w.stub, buf_str(&big));
	dns_ares.ask(w.carrier, "big.test", DNS_MX, dns_ares_test_told, &w);
	dns_ares_test_until(&w, 1);
	assert_int_equal(w.bytes_told, 1);
	assert_true(w.len > 20000);
	dns_ares_test_end(&w);
	buf_fini(&big);
}

/* the second server is asked when nobody listens where the first should be */
static void
dns_ares_test_second(void **state)
{
	struct world w;

	(void) state;
	dns_ares_test_begin(&w, "127.0.0.1:9, ");
	dns_ares.ask(w.carrier, "one.test", DNS_MX, dns_ares_test_told, &w);
	dns_ares_test_until(&w, 1);
	assert_int_equal(w.bytes_told, 1);
	dns_ares_test_end(&w);
}

/* many at a time: each is told once, in any order */
static void
dns_ares_test_many(void **state)
{
	struct world w;
	char	name[40];

	(void) state;
	dns_ares_test_begin(&w, "");
	dns_ares.ask(w.carrier, "slow.test", DNS_A, dns_ares_test_told, &w);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "n%d.test", i);
		dns_ares.ask(w.carrier, i & 1 ? "one.test" : name, i & 2 ? DNS_MX : DNS_AAAA, dns_ares_test_told, &w);
		if (i % 50 == 0)
			ev_turn(w.loop, 0);
	}
	dns_ares_test_until(&w, 301);
	assert_int_equal(w.bytes_told, 301);
	for (int i = 0; i < 20; i++)
		ev_turn(w.loop, 1);
	assert_int_equal(w.told, 301);
	dns_ares_test_end(&w);
}

/* closing with questions open: nobody is called, nothing is left behind (the sanitizer looks) */
static void
dns_ares_test_close(void **state)
{
	struct world w;

	(void) state;
	dns_ares_test_begin(&w, "");
	dns_ares.ask(w.carrier, "silent.test", DNS_MX, dns_ares_test_told, &w);
	dns_ares.ask(w.carrier, "cut.test", DNS_MX, dns_ares_test_told, &w);
	ev_turn(w.loop, 10);
	dns_ares.close(w.carrier);
	w.carrier = NULL;
	for (int i = 0; i < 20; i++)
		ev_turn(w.loop, 1);
	assert_int_equal(w.told, 0);
	dns_ares_test_end(&w);
}

static void
dns_ares_test_servers(void **state)
{
	static const struct {
		const char *servers;
		bool	ok;
	} cases[] = {
		{ NULL, true }, { "", true }, { " \t", true }, { "127.0.0.1", true }, { "127.0.0.1:5353", true },
		{ "127.0.0.1 127.0.0.2", true }, { " 127.0.0.1 ,, 127.0.0.2:53 ,", true }, { "[::1]:5353 127.0.0.1", true },
		{ "::1", true }, { "ns.example.org", false }, { "127.0.0.1:x", false }, { "300.0.0.1", false }, { "nonsense, 127.0.0.1", false },
	};
	struct ev_loop *loop = ev_loop_new();
	void   *carrier;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct dns_conf conf = { .servers = cases[i].servers, .try_ms = 100, .tries = 1 };
		const char *why = "";

		carrier = dns_ares.open(loop, &conf, &why);
		if ((carrier != NULL) != cases[i].ok)
			fail_msg("[%s]: %s", cases[i].servers, carrier != NULL ? "should have been refused" : why);
		if (carrier == NULL)
			assert_true(*why != 0);
		else
			dns_ares.close(carrier);
	}
	ev_loop_free(&loop);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(dns_ares_test_answers),
		cmocka_unit_test(dns_ares_test_huge),
		cmocka_unit_test(dns_ares_test_second),
		cmocka_unit_test(dns_ares_test_many),
		cmocka_unit_test(dns_ares_test_close),
		cmocka_unit_test(dns_ares_test_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
