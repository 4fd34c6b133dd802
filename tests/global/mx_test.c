/* tests/global/mx_test.c - domain -> servers in order, over a scripted name server */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include <tests/lib/dns_stub.h>
#include <util/mem.h>
#include <global/mx.h>

static const char zone[] =
    "order.test MX 20 b.order.test\n"
    "order.test MX 10 a.order.test\n"
    "order.test MX 30 c.order.test\n"
    "a.order.test A 192.0.2.1\n"
    "b.order.test A 192.0.2.2\n"
    "c.order.test A 192.0.2.3\n"
    "both.test MX 10 a.both.test\n"
    "both.test MX 10 b.both.test\n"
    "a.both.test A 192.0.2.11\n"
    "a.both.test AAAA 2001:db8::11\n"
    "b.both.test A 192.0.2.12\n"
    "b.both.test AAAA 2001:db8::12\n"
    "implicit.test A 192.0.2.21\n"
    "implicit6.test AAAA 2001:db8::21\n"
    "null.test MX 0 .\n"
    "nullpref.test MX 10 .\n"
    "nullmixed.test MX 0 .\n"
    "nullmixed.test MX 10 a.order.test\n"
    "noaddr.test MX 10 text.test\n"
    "text.test MX 10 x\n"
    "gone.test MX 10 nowhere.test\n"
    "halfgone.test MX 10 nowhere.test\n"
    "halfgone.test MX 20 a.order.test\n"
    "softhost.test MX 10 fail.test\n"
    "softhalf.test MX 10 fail.test\n"
    "softhalf.test MX 20 a.order.test\n"
    "fail.test SERVFAIL\n"
    "fail.test A 192.0.2.31\n"
    "failmx.test MX SERVFAIL\n"
    "failmx.test A 192.0.2.32\n"
    "silent.test TIMEOUT\n"
    "ip.test MX 10 192.0.2.41\n"
    "cname.test CNAME order.test\n"
    "hostcname.test MX 10 alias.test\n"
    "alias.test CNAME a.order.test\n"
    "ring.test CNAME ring.test\n"
    "twice.test MX 20 a.order.test\n"
    "twice.test MX 10 same.test\n"
    "same.test A 192.0.2.1\n"
    "selfbest.test MX 10 me.test\n"
    "selfbest.test MX 20 a.order.test\n"
    "selfsecond.test MX 10 a.order.test\n"
    "selfsecond.test MX 20 me.test\n"
    "selfsecond.test MX 30 b.order.test\n"
    "selflost.test MX 10 nowhere.test\n"
    "selflost.test MX 20 me.test\n"
    "selfsoft.test MX 10 fail.test\n"
    "selfsoft.test MX 20 me.test\n"
    "me.test A 192.0.2.250\n"
    "inside.test MX 10 router.test\n"
    "router.test A 192.168.1.1\n"
    "router.test AAAA fe80::1\n"
    "router.test AAAA ::ffff:10.0.0.1\n"
    "insidehalf.test MX 10 router.test\n"
    "insidehalf.test MX 20 real.test\n"
    "real.test A 9.9.9.9\n"
    "many.test MX 10 many6.test\n"
    "many.test MX 20 many4.test\n"
    "many6.test AAAA 2001:db8::1\n"
    "many6.test AAAA 2001:db8::2\n"
    "many6.test AAAA 2001:db8::3\n"
    "many6.test AAAA 2001:db8::4\n"
    "many6.test AAAA 2001:db8::5\n"
    "many6.test AAAA 2001:db8::6\n"
    "many4.test A 192.0.2.1\n"
    "many4.test A 192.0.2.2\n";

static struct mx_addr own;

static struct mx_conf
mx_test_conf(void)
{
	mx_addr_parse("192.0.2.250", &own);
	return (struct mx_conf) { .ipv4 = true, .ipv6 = true, .prefer = MX_PREFER_IPV4, .balance = true, .address_limit = 5,
		.own = &own, .own_n = 1 };
}

static void
mx_test_told(void *ctx, const struct mx_answer *a)
{
	static const char *const status[] = { "ok", "defer", "bounce", "todo" };
	struct mx_list *list = a->list;
	char	text[INET6_ADDRSTRLEN];
	struct buf *out = ctx;

	if (list == NULL)
		buf_addf(out, "%s %s %s %s", status[a->status], smtp_cat_name(a->cat), a->dsn, a->text);
	for (size_t i = 0; list != NULL && i < list->n; i++)
		buf_addf(out, "%s%s[%s]%s", i > 0 ? " " : "", list->host[i].name,
		    mx_addr_text(&list->host[i].addr, text, sizeof text), list->host[i].backup ? "b" : "");
	buf_addc(out, ';');
	mx_list_free(&list);
	mx_list_free(&list);
}

static void
mx_test_ask_zone(struct buf *out, const struct mx_conf *conf, const struct mx_want *want, const char *facts)
{
	static const struct dns_conf dconf = { .try_ms = 5000, .tries = 2, .open_limit = 100, .wait_limit = 100, .cache_limit = 100 };
	struct ev_loop *loop = ev_loop_new_fake(1000000);
	struct dns_stub *stub = dns_stub_new(loop, facts);
	const char *why;
	struct dns *dns = dns_new(loop, &dns_stub_carrier, &dconf, &why);

	buf_reset(out);
	mx_lookup(dns, conf, want, mx_test_told, out);
	assert_int_equal(out->len, 0);
	for (int i = 0; i < 300 && out->len == 0; i++) {
		ev_turn(loop, 0);
		if (i > 30)
			ev_fake_advance(loop, 1000);
	}
	dns_free(&dns);
	dns_stub_free(&stub);
	ev_loop_free(&loop);
}

static void
mx_test_ask(struct buf *out, const struct mx_conf *conf, const struct mx_want *want)
{
	mx_test_ask_zone(out, conf, want, zone);
}

#define NO_NAME "Host or domain name not found. Name service error for name="

static void
mx_test_domains(void **state)
{
	static const struct {
		const char *domain, *want;
	} cases[] = {
		{ "order.test", "a.order.test[192.0.2.1] b.order.test[192.0.2.2]b c.order.test[192.0.2.3]b;" },
		{ "both.test", "a.both.test[192.0.2.11] b.both.test[192.0.2.12] a.both.test[2001:db8::11] b.both.test[2001:db8::12];" },
		{ "implicit.test", "implicit.test[192.0.2.21];" },
		{ "implicit6.test", "implicit6.test[2001:db8::21];" },
		{ "null.test", "bounce nullmx 5.1.10 Domain null.test does not accept mail (nullMX);" },
		{ "nullpref.test", "bounce nullmx 5.1.10 Domain nullpref.test does not accept mail (nullMX);" },
		{ "nullmixed.test", "a.order.test[192.0.2.1];" },
		{ "nowhere.test", "bounce nodomain 5.4.4 " NO_NAME "nowhere.test type=A: Host not found;" },
		{ "text.test", "bounce nodomain 5.4.4 " NO_NAME "x type=A: Host not found;" },
		{ "noaddr.test", "bounce nodomain 5.4.4 " NO_NAME "text.test type=A: Host found but no data record of requested type;" },
		{ "gone.test", "bounce nodomain 5.4.4 " NO_NAME "nowhere.test type=A: Host not found;" },
		{ "halfgone.test", "a.order.test[192.0.2.1]b;" },
		{ "softhost.test", "defer dns 4.4.3 " NO_NAME "fail.test type=A: Host not found, try again;" },
		{ "softhalf.test", "a.order.test[192.0.2.1]b;" },
		{ "failmx.test", "defer dns 4.4.3 " NO_NAME "failmx.test type=MX: Host not found, try again (name server failure);" },
		{ "silent.test", "defer dns 4.4.3 " NO_NAME "silent.test type=MX: Host not found, try again (name server time-out);" },
		{ "ring.test", "defer dns 4.4.3 " NO_NAME "ring.test type=MX: Host not found, try again (CNAME chain too long);" },
		{ "ip.test", "192.0.2.41[192.0.2.41];" },
		{ "cname.test", "a.order.test[192.0.2.1] b.order.test[192.0.2.2]b c.order.test[192.0.2.3]b;" },
		{ "hostcname.test", "alias.test[192.0.2.1];" },
		{ "twice.test", "same.test[192.0.2.1];" },
		{ "selfbest.test", "bounce loop 5.4.6 mail for selfbest.test loops back to myself;" },
		{ "selfsecond.test", "a.order.test[192.0.2.1];" },
		{ "selflost.test", "defer loop 4.4.4 unable to find primary relay for selflost.test;" },
		{ "selfsoft.test", "defer dns 4.4.4 unable to find primary relay for selfsoft.test;" },
		{ "me.test", "bounce loop 5.4.6 mail for me.test loops back to myself;" },
		{ "192.0.2.77", "192.0.2.77[192.0.2.77];" },
		{ "IPv6:2001:db8::77", "IPv6:2001:db8::77[2001:db8::77];" },
		{ "a b", "bounce nodomain 5.4.4 " NO_NAME "a b type=A: Malformed or unexpected name server reply;" },
		{ "many.test", "many6.test[2001:db8::1] many6.test[2001:db8::2] many6.test[2001:db8::3] "
		    "many4.test[192.0.2.1]b many4.test[192.0.2.2]b;" },
	};
	struct mx_conf conf = mx_test_conf();
	struct mx_want want = { .self_check = true };
	struct buf out = BUF_INIT(10000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		want.domain = cases[i].domain;
		mx_test_ask(&out, &conf, &want);
		if (strcmp(buf_str(&out), cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].domain, buf_str(&out), cases[i].want);
	}
	buf_fini(&out);
}

static void
mx_test_options(void **state)
{
	struct mx_conf conf = mx_test_conf();
	struct buf out = BUF_INIT(10000);

	(void) state;
#define ASK(name, ...) mx_test_ask(&out, &conf, &(struct mx_want) { .domain = name, __VA_ARGS__ })
	conf.prefer = MX_PREFER_IPV6;
	ASK("both.test", .direct = false);
	assert_string_equal(buf_str(&out),
	    "a.both.test[2001:db8::11] b.both.test[2001:db8::12] a.both.test[192.0.2.11] b.both.test[192.0.2.12];");
	conf.prefer = MX_PREFER_ANY;
	conf.ipv6 = false;
	ASK("both.test", .direct = false);
	assert_string_equal(buf_str(&out), "a.both.test[192.0.2.11] b.both.test[192.0.2.12];");
	ASK("implicit6.test", .direct = false);
	assert_non_null(strstr(buf_str(&out), "bounce nodomain"));
	conf.ipv6 = true;
	conf.ipv4 = false;
	ASK("both.test", .direct = false);
	assert_string_equal(buf_str(&out), "a.both.test[2001:db8::11] b.both.test[2001:db8::12];");

	conf = mx_test_conf();
	conf.ignore_mx_error = true;
	ASK("failmx.test", .direct = false);
	assert_string_equal(buf_str(&out), "failmx.test[192.0.2.32];");
	conf.defer_no_address = true;
	ASK("noaddr.test", .direct = false);
	assert_non_null(strstr(buf_str(&out), "defer nodomain 4.4.4"));

	/* brackets: the host itself */
	conf = mx_test_conf();
	ASK("a.order.test", .direct = true);
	assert_string_equal(buf_str(&out), "a.order.test[192.0.2.1];");
	ASK("order.test", .direct = true);
	assert_non_null(strstr(buf_str(&out), "bounce nodomain 5.4.4"));
	/* a relay host of our own that has no address is our trouble */
	ASK("order.test", .direct = true, .own_route = true);
	assert_non_null(strstr(buf_str(&out), "defer config 4.3.5"));
	ASK("null.test", .own_route = true);
	assert_non_null(strstr(buf_str(&out), "defer config 4.3.5"));
	/* not port 25: ourselves is a fine server */
	ASK("selfbest.test", .direct = false);
	assert_string_equal(buf_str(&out), "me.test[192.0.2.250] a.order.test[192.0.2.1]b;");

	conf.reject_reserved = true;
	ASK("inside.test", .direct = false);
	assert_non_null(strstr(buf_str(&out), "bounce nodomain 5.4.4 no usable mail exchanger"));
	ASK("insidehalf.test", .direct = false);
	assert_string_equal(buf_str(&out), "real.test[9.9.9.9]b;");
	ASK("inside.test", .own_route = true);
	assert_non_null(strstr(buf_str(&out), "router.test[192.168.1.1]"));
	ASK("127.0.0.1", .direct = false);
	assert_non_null(strstr(buf_str(&out), "no usable mail exchanger"));

	conf = mx_test_conf();
	conf.address_limit = 1;
	ASK("order.test", .direct = false);
	assert_string_equal(buf_str(&out), "a.order.test[192.0.2.1];");
	conf.address_limit = 0;
	ASK("many.test", .direct = false);
	assert_non_null(strstr(buf_str(&out), "many6.test[2001:db8::6]"));
	conf.address_limit = 3;
	conf.balance = false;
	ASK("many.test", .direct = false);
	assert_null(strstr(buf_str(&out), "192.0.2"));

	/* equals take turns, preference is kept */
	conf = mx_test_conf();
	conf.randomize = true;
	conf.prefer = MX_PREFER_ANY;
	int	first[2] = { 0, 0 };
	for (int i = 0; i < 100; i++) {
		ASK("both.test", .direct = false);
		first[strncmp(buf_str(&out), "a.", 2) == 0]++;
		ASK("order.test", .direct = false);
		assert_string_equal(buf_str(&out), "a.order.test[192.0.2.1] b.order.test[192.0.2.2]b c.order.test[192.0.2.3]b;");
	}
	assert_true(first[0] > 10 && first[1] > 10);
	buf_fini(&out);
}

/* more exchanges than are looked at: those that were left out may be well, so that nothing is final */
static void
mx_test_crowd(void **state)
{
	static const struct {
		unsigned n;			/* exchanges that do not exist, before the one that does */
		const char *want;
	} cases[] = {
		{ 20, "real.test[9.9.9.9]b;" },
		{ 60, "defer dns 4.4.3 " NO_NAME "x0.test type=A: Host not found, try again;" },
		{ 150, "defer dns 4.4.3 " NO_NAME "x0.test type=A: Host not found, try again;" },
	};
	struct mx_conf conf = mx_test_conf();
	struct mx_want want = { .domain = "crowd.test" };
	struct buf out = BUF_INIT(10000), facts = BUF_INIT(100000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&facts);
		for (unsigned k = 0; k < cases[i].n; k++)
			buf_addf(&facts, "crowd.test MX %u x%u.test\n", k, k);
		buf_adds(&facts, "crowd.test MX 999 real.test\nreal.test A 9.9.9.9\n");
		mx_test_ask_zone(&out, &conf, &want, buf_str(&facts));
		if (strcmp(buf_str(&out), cases[i].want) != 0)
			fail_msg("%u: got %s, want %s", cases[i].n, buf_str(&out), cases[i].want);
	}
	buf_fini(&out);
	buf_fini(&facts);
}

static void
mx_test_reserved(void **state)
{
	static const struct {
		const char *addr;
		bool	want;
	} cases[] = {
		{ "127.0.0.1", true }, { "10.1.2.3", true }, { "11.0.0.1", false }, { "172.15.255.255", false }, { "172.16.0.0", true },
		{ "172.31.255.255", true }, { "172.32.0.0", false }, { "192.168.0.1", true }, { "100.64.0.1", true },
		{ "100.128.0.1", false }, { "169.254.169.254", true }, { "224.0.0.1", true }, { "255.255.255.255", true },
		{ "0.0.0.0", true }, { "192.0.2.1", true }, { "198.18.0.1", true }, { "198.20.0.1", false }, { "9.9.9.9", false },
		{ "::", true }, { "::1", true }, { "::2", true }, { "fe80::1", true }, { "febf::1", true }, { "fc00::1", true },
		{ "fdff::1", true }, { "fe00::1", true }, { "2001:db8::1", true }, { "2001:db9::1", false }, { "ff02::1", true },
		{ "::ffff:127.0.0.1", true }, { "::ffff:9.9.9.9", false }, { "64:ff9b::10.0.0.1", true }, { "2620:fe::fe", false },
		/* IPv4 addresses in IPv6 clothes */
		{ "::127.0.0.1", true }, { "2002:7f00:1::1", true }, { "2002:a01:203::1", true }, { "2002:909:909::1", false },
		{ "2001:0:909:909::1", true }, { "64:ff9b::9.9.9.9", false }, { "64:ff9b:1::9.9.9.9", true },
		{ "64:ff9b::127.0.0.1", true }, { "::ffff:0:127.0.0.1", true }, { "2001:4860::1", false }, { "4000::1", true },
	};
	struct mx_addr a;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		assert_true(mx_addr_parse(cases[i].addr, &a));
		if (mx_addr_reserved(&a) != cases[i].want)
			fail_msg("%s: want %d", cases[i].addr, cases[i].want);
	}
	assert_false(mx_addr_parse("1.2.3", &a));
	assert_false(mx_addr_parse("example.org", &a));
	assert_false(mx_addr_parse("IPv6:1.2.3.4", &a));
}

static void
mx_test_cancel(void **state)
{
	static const struct dns_conf dconf = { .try_ms = 5000, .tries = 2, .open_limit = 100, .wait_limit = 100, .cache_limit = 100 };
	struct mx_conf conf = mx_test_conf();

	(void) state;
	for (int turns = 0; turns < 6; turns++) {
		struct ev_loop *loop = ev_loop_new_fake(1000000);
		struct dns_stub *stub = dns_stub_new(loop, zone);
		struct mx_want want = { .domain = "both.test" };
		struct buf out = BUF_INIT(10000);
		struct mx_lookup *l;
		const char *why;
		struct dns *dns = dns_new(loop, &dns_stub_carrier, &dconf, &why);

		l = mx_lookup(dns, &conf, &want, mx_test_told, &out);
		for (int i = 0; i < turns && out.len == 0; i++)
			ev_turn(loop, 0);
		if (out.len == 0) {
			mx_cancel(&l);
			assert_null(l);
			mx_cancel(&l);
		}
		dns_free(&dns);
		dns_stub_free(&stub);
		ev_loop_free(&loop);
		buf_fini(&out);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(mx_test_domains),
		cmocka_unit_test(mx_test_options),
		cmocka_unit_test(mx_test_crowd),
		cmocka_unit_test(mx_test_reserved),
		cmocka_unit_test(mx_test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
