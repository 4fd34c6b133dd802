/* tests/daemons/smtpd_resolvable_test.c - resolvable_fromhost of smtpd(8), with a name server that is a stub */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tests/lib/dns_stub.h>
#include <tests/lib/smtpd_rig.h>
#include <util/mem.h>
#include <util/msg.h>

#define OK	"250 2.1.0 Sender ok\r\n"

static struct smtpd_rig rig;
static struct smtpd_rig_client c;
static struct ev_loop *dns_loop;		/* the stub's: real time */
static bool relay;

static enum vh_rc
relay_connection(struct vh_call *call)
{
	vh_conn_set_relay(vh_conn(call), relay);
	return VH_DECLINED;
}

static const struct vh_plugin marker = {
	.abi = VH_ABI, .name = "marker",
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_PRE_CONNECTION, relay_connection }, { VH_END, NULL } },
};
static const struct vh_plugin *const helpers[] = { &marker, NULL };

/* mail - the reply to MAIL FROM, when the name server has been asked */
static const char *
mail(const char *from)
{
	char   *line = mem_printf("MAIL FROM:<%s>%s", from, strchr(from, '\xc3') != NULL ? " SMTPUTF8" : "");
	const char *heard;

	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_ask(&rig, &c, "EHLO client.test");
	heard = smtpd_rig_ask(&rig, &c, line);
	for (int i = 0; i < 2000 && *heard == 0; i++) {
		ev_turn(dns_loop, 1);
		smtpd_rig_turn(&rig);
		heard = smtpd_rig_heard(&c);
	}
	mem_free(&line);
	return heard;
}

static void
test_senders(void **state)
{
	static const struct { const char *from, *want; } cases[] = {
		{ "a@good.test", OK },
		{ "a@GOOD.test", OK },
		{ "a@implicit.test", OK },		/* an address, no mail exchanger */
		{ "a@v6.test", OK },
		{ "a@nowhere.test", "550 5.1.8 Sender address: Host or domain name not found." },
		{ "a@null.test", "550 5.1.8 Sender address: Domain null.test does not accept mail (nullMX)" },
		{ "a@private.test", "550 5.1.8 Sender address: " },
		{ "a@both.test", OK },			/* one of them is good */
		{ "a@dangling.test", "550 5.1.8 Sender address: " },
		{ "a@broken.test", "450 4.1.8 Sender address: Host or domain name not found." },
		{ "a@[203.0.114.5]", OK },
		{ "a@[203.0.113.5]", "550 5.1.8 Sender address: " },	/* for documentation: reserved as well */
		{ "a@[10.1.2.3]", "550 5.1.8 Sender address: " },
		{ "a@b\xc3\xa9.test", OK },		/* not looked up */
		{ "", OK },
	};
	struct dns_stub *stub;
	char   *cf;

	(void) state;
	dns_loop = ev_loop_new();
	stub = dns_stub_new(dns_loop, "good.test MX 10 mx.good.test\nmx.good.test A 203.0.114.1\nimplicit.test A 203.0.114.2\n"
	    "v6.test MX 10 mx.v6.test\nmx.v6.test AAAA 2a00:1450::1\nnull.test MX 0 .\nprivate.test MX 10 mx.private.test\n"
	    "mx.private.test A 192.168.1.1\nboth.test MX 10 mx.private.test\nboth.test MX 20 mx.good.test\n"
	    "dangling.test MX 10 mx.dangling.test\nbroken.test SERVFAIL\n");
	cf = mem_printf("smtpd_dns_servers = 127.0.0.1:%d\nqueue_directory = /tmp\ncompatibility_level = 3.6\n", dns_stub_listen(stub));
	smtpd_rig_setup(cf, NULL);
	smtpd_rig_begin(&rig, "marker\nresolvable_fromhost\n", helpers);
	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *heard = mail(cases[i].from);

		if (strncmp(heard, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("%s: %s", cases[i].from, heard);
	}
	relay = true;
	assert_string_equal(mail("a@nowhere.test"), OK);
	relay = false;
	/* the client leaves while the name server is asked */
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_ask(&rig, &c, "EHLO client.test");
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@fresh.test>");
	smtpd_rig_hangup(&rig, &c);
	for (int i = 0; i < 50; i++) {
		ev_turn(dns_loop, 1);
		smtpd_rig_turn(&rig);
	}
	smtpd_rig_end(&rig);
	dns_stub_free(&stub);
	ev_loop_free(&dns_loop);
	mem_free(&cf);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_senders),
	};

	msg_to_stderr(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
