/* tests/daemons/probe_conf_test.c - main.cf -> what the prober goes by */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include <daemons/probe/probe.h>
#include <global/main_cf.h>
#include <global/params.h>
#include <util/mem.h>

#define BASE "myhostname = mx.site.test\nmydomain = site.test\nmyorigin = site.test\nmydestination = site.test\n" \
	"address_verify_sender = $double_bounce_sender\ndouble_bounce_sender = double-bounce\n"

struct made {
	struct main_cf *cf;
	struct params *p;
	struct probe_conf conf;
	struct buf why;
	bool	ok;
	struct made *next;
};
static struct made *all_made;		/* a configuration lives as long as its process */

static void
probe_conf_test_quiet(void *ctx, const char *text)
{
	(void) ctx;
	(void) text;
}

static struct made *
probe_conf_test_make(const char *text)
{
	struct made *m = mem_alloc(sizeof *m);
	char   *full = mem_printf("%s%s", BASE, text);

	m->next = all_made;
	all_made = m;
	buf_init(&m->why, 8192);
	m->cf = main_cf_parse("/x/main.cf", full, strlen(full), probe_conf_test_quiet, NULL, &m->why);
	if (m->cf == NULL || (m->p = params_load(m->cf, &m->why)) == NULL)
		fail_msg("%s: %s", text, buf_str(&m->why));
	m->ok = probe_conf_make(&m->conf, m->p, &m->why);
	mem_free(&full);
	return m;
}

static void
probe_conf_test_defaults(void **state)
{
	struct made *m = probe_conf_test_make("");
	const struct prober_conf *c = &m->conf.prober;
	struct route r;

	(void) state;
	assert_true(m->ok);
	assert_string_equal(buf_str(&m->why), "");
	assert_string_equal(m->conf.sender, "double-bounce@site.test");
	assert_int_equal(c->session_limit, 200);
	assert_int_equal(c->dest_sessions, 2);
	assert_int_equal(c->smtp_port, 25);
	assert_int_equal(c->attempt_ms, 120000);
	assert_int_equal(c->grey_ms[0], 310000);
	assert_int_equal(c->grey_ms[3], 3700000);
	assert_int_equal(c->grey_ms[4], 0);
	assert_int_equal(c->catchall, CATCHALL_OFF);
	assert_int_equal(c->dialogue.class.policy, VERIFY_DEFER);
	assert_true(c->mx.reject_reserved);
	assert_false(c->data_target);
	assert_string_equal(c->client.loop_name, "mx.site.test");
	route_find(&c->route, "ann@other.test", &r);
	assert_int_equal(r.kind, ROUTE_SMTP);
	assert_false(r.own);
}

static void
probe_conf_test_routes(void **state)
{
	static const struct {
		const char *text, *addr, *want;
	} cases[] = {
		{ "relayhost = [smart.test]", "a@x.test", "smtp:[smart.test] own" },
		{ "relayhost = [smart.test]\naddress_verify_relayhost =", "a@x.test", "smtp:x.test" },
		{ "relay_domains = r.test\nrelay_transport = smtp:[inside.test]", "a@r.test", "smtp:[inside.test] own" },
		{ "relay_domains = r.test\naddress_verify_relay_transport = lmtp:unix:/run/x", "a@r.test", "lmtp:unix:/run/x own" },
		{ "transport_maps = inline:{x.test=smtp:[t.test]:26}\nrelayhost = smart.test", "a@x.test", "smtp:[t.test]:26 own" },
		{ "transport_maps = static:error:no\naddress_verify_transport_maps =", "a@x.test", "smtp:x.test" },
		{ "address_verify_local_transport = lmtp:unix:/run/local", "a@site.test", "lmtp:unix:/run/local own" },
		{ "virtual_mailbox_domains = v.test\nvirtual_transport = lmtp:unix:/run/v", "a@v.test", "lmtp:unix:/run/v own" },
		{ "transport_maps = inline:{.x.test=relay:[p.test]}", "a@sub.x.test", "relay:[p.test] own" },
		{ "parent_domain_matches_subdomains = transport_maps\ntransport_maps = inline:{x.test=relay:[p.test]}", "a@sub.x.test",
		  "relay:[p.test] own" },
		{ "default_transport = outside\nprobe_smtp_transports = outside", "a@x.test", "outside:x.test" },
	};
	char	got[600];
	struct route r;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct made *m = probe_conf_test_make(cases[i].text);

		if (!m->ok || m->why.len > 0)
			fail_msg("%s: %s", cases[i].text, buf_str(&m->why));
		route_find(&m->conf.prober.route, cases[i].addr, &r);
		snprintf(got, sizeof got, "%s:%s%s", r.transport, r.nexthop, r.own ? " own" : "");
		if (r.kind == ROUTE_ANSWER || strcmp(got, cases[i].want) != 0)
			fail_msg("%s: got %s (%s), want %s", cases[i].text, got, r.text, cases[i].want);
	}
}

/* what is wrong is named; what cannot be gone by at all is refused */
static void
probe_conf_test_bad(void **state)
{
	static const struct {
		const char *text, *why;
		bool	ok;
	} cases[] = {
		{ "transport_maps = hash:/etc/postfix/transport", "parameter address_verify_transport_maps: hash:/etc/postfix/transport: unsupported", false },
		{ "transport_maps = texthash:/nonexistent", "No such file", false },
		{ "probe_reply_rules = /nonexistent", "parameter probe_reply_rules: /nonexistent: No such file", false },
		{ "relay_domains = /nonexistent", "parameter relay_domains: /nonexistent: No such file", true },
		{ "address_verify_pending_request_limit = 100000", "parameter probe_inflight_size: 8388608 bytes do not hold 100000 addresses", true },
		{ "probe_never_destinations = x.test, hash:/y", "parameter probe_never_destinations: hash:/y", true },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct made *m = probe_conf_test_make(cases[i].text);

		if (m->ok != cases[i].ok || strstr(buf_str(&m->why), cases[i].why) == NULL)
			fail_msg("%s: got %d, %s", cases[i].text, m->ok, buf_str(&m->why));
	}
}

static void
probe_conf_test_senders(void **state)
{
	static const struct {
		const char *text, *sender;
	} cases[] = {
		{ "address_verify_sender =", "" }, { "address_verify_sender = <>", "" }, { "address_verify_sender = probe", "probe@site.test" },
		{ "address_verify_sender = probe@else.test", "probe@else.test" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct made *m = probe_conf_test_make(cases[i].text);

		if (strcmp(m->conf.sender, cases[i].sender) != 0)
			fail_msg("%s: got %s", cases[i].text, m->conf.sender);
		/* for servers that refuse the null sender */
		assert_string_equal(m->conf.other_sender, "double-bounce@site.test");
	}
}

/* sessions that the process has no descriptors for would look like servers that cannot be reached */
static void
probe_conf_test_descriptors(void **state)
{
	struct rlimit had, few;
	struct made *m;

	(void) state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
	few = had;
	few.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	m = probe_conf_test_make("probe_session_limit = 5000");
	assert_true(m->ok);
	assert_in_range(m->conf.prober.session_limit, 500, 900);
	assert_non_null(strstr(buf_str(&m->why), "probe_session_limit: 5000 sessions need more descriptors than"));
	few.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	m = probe_conf_test_make("");
	assert_in_range(m->conf.prober.session_limit, 1, 50);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
	m = probe_conf_test_make("probe_session_limit = 500");
	assert_int_equal(m->conf.prober.session_limit, 500);
	assert_int_equal(m->why.len, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_conf_test_defaults),
		cmocka_unit_test(probe_conf_test_routes),
		cmocka_unit_test(probe_conf_test_bad),
		cmocka_unit_test(probe_conf_test_senders),
		cmocka_unit_test(probe_conf_test_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
