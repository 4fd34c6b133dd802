/* tests/daemons/smtpd_earlytalker_test.c - the early talker test of smtpd(8), to the millisecond */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <tests/lib/smtpd_rig.h>
#include <util/mem.h>
#include <util/msg.h>

#define REFUSED	"You have sent something before it was your turn\r\n"
#define GREETING "220 mx.test ESMTP\r\n"

static struct smtpd_rig rig;
static struct buf logged = BUF_INIT(1 << 20);

static void
log_line(void *ctx, int level, const char *line)
{
	(void) ctx;
	(void) level;
	buf_adds(&logged, line);
	buf_addc(&logged, '\n');
}

/* a plugin of the test: what it is to note about the next connection, and a recipient's yes */
static struct {
	const char *note;
	int64_t	value;
	bool	relay;
} helper;

static enum vh_rc
helper_connect(struct vh_call *call)
{
	if (helper.note != NULL)
		vh_note_set_int(vh_conn_notes(vh_conn(call)), helper.note, helper.value);
	vh_conn_set_relay(vh_conn(call), helper.relay);
	return VH_DECLINED;
}

static enum vh_rc
helper_rcpt(struct vh_call *call)
{
	(void) call;
	return VH_OK;
}

/* helper_slow - another plugin that takes its time before ours is asked */
static struct vh_timer *helper_timer;

static void
helper_slow_end(void *ctx)
{
	vh_timer_stop(&helper_timer);
	vh_resume(ctx, VH_DECLINED);
}

static void
helper_slow_cancel(void *ctx)
{
	(void) ctx;
	vh_timer_stop(&helper_timer);
}

static enum vh_rc
helper_slow(struct vh_call *call)
{
	helper_timer = vh_timer_start(1500, helper_slow_end, call);
	return vh_suspend(call, helper_slow_cancel, NULL);
}

static const struct vh_plugin helper_plugin = {
	.abi = VH_ABI, .name = "helper",
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_PRE_CONNECTION, helper_connect }, { VH_HOOK_RCPT, helper_rcpt }, { VH_END, NULL } },
};
static const struct vh_plugin helper_slow_plugin = {
	.abi = VH_ABI, .name = "slow", .hooks = (const struct vh_hook_fn []) { { VH_HOOK_CONNECT, helper_slow }, { VH_END, NULL } },
};
static const struct vh_plugin *const helpers[] = { &helper_plugin, &helper_slow_plugin, NULL };

static void
begin(const char *plugins)
{
	char   *text = mem_printf("helper\n%s\n", plugins);

	memset(&helper, 0, sizeof helper);
	buf_reset(&logged);
	msg_catch(log_line, NULL);
	smtpd_rig_begin(&rig, text, helpers);
	mem_free(&text);
}

static void
end(void)
{
	smtpd_rig_end(&rig);
	msg_catch(NULL, NULL);
}

static void __attribute__((format(printf, 3, 4)))
heard(struct smtpd_rig_client *c, const char *what, const char *fmt, ...)
{
	char	text[1000];
	const char *got = smtpd_rig_heard(c);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (strcmp(got, text) != 0)
		fail_msg("%s: got \"%s\", want \"%s\"", what, got, text);
}

/* before the greeting: silence, talk, each kind of refusal */
static void
test_connect(void **state)
{
	static const struct {
		const char *plugins;
		int64_t	talk_ms;		/* -1: never */
		const char *first;		/* heard when it has talked, or a moment before the wait ends */
		int64_t	wait_ms;
		const char *last;		/* and when the wait is over */
		bool	open;
	} cases[] = {
		{ "earlytalker", -1, "", 1000, GREETING, true },
		{ "earlytalker wait 2", -1, "", 2000, GREETING, true },
		{ "earlytalker wait 2", 0, "554 5.5.1 " REFUSED, 2000, "", false },
		{ "earlytalker wait 2", 1999, "554 5.5.1 " REFUSED, 2000, "", false },
		{ "earlytalker reject_type perm", 500, "554 5.5.1 " REFUSED, 1000, "", false },
		{ "earlytalker reject_type temp", 500, "421 4.5.1 " REFUSED, 1000, "", false },
		{ "earlytalker reject_type disconnect", 500, "554 5.5.1 " REFUSED, 1000, "", false },
		{ "earlytalker reject_type temp_disconnect", 500, "421 4.5.1 " REFUSED, 1000, "", false },
		{ "earlytalker reject 0", 500, GREETING "500 5.5.2 Unrecognized command\r\n", 1000, "", true },
		{ "earlytalker action log", 500, GREETING "500 5.5.2 Unrecognized command\r\n", 1000, "", true },
		{ "earlytalker action deny", 500, "554 5.5.1 " REFUSED, 1000, "", false },
		{ "earlytalker action denysoft", 500, "554 5.5.1 " REFUSED, 1000, "", false },
		{ "earlytalker reject naughty", 500, GREETING "500 5.5.2 Unrecognized command\r\n", 1000, "", true },
		{ "earlytalker defer-reject 1", 500, GREETING "500 5.5.2 Unrecognized command\r\n", 1000, "", true },
		{ "earlytalker check-at connect", 500, "554 5.5.1 " REFUSED, 1000, "", false },
		{ "earlytalker check-at DATA", -1, GREETING, 1, "", true },
		{ "earlytalker wait 0", -1, GREETING, 1, "", true },
		{ "earlytalker wait 1500ms", -1, "", 1500, GREETING, true },
		/* what others have taken counts: from accept on */
		{ "slow\nearlytalker wait 2", -1, "", 2000, GREETING, true },
		{ "slow\nearlytalker wait 1", -1, "", 1500, GREETING, true },
		{ "slow\nearlytalker wait 2", 1600, "554 5.5.1 " REFUSED, 2000, "", false },
		{ "earlytalker teaser hold", -1, "220-hold\r\n", 1000, GREETING, true },
		{ "earlytalker teaser hold", 500, "220-hold\r\n554 5.5.1 " REFUSED, 1000, "", false },
		{ "earlytalker wait_stress 100ms", -1, "", 1000, GREETING, true },	/* no stress */
	};
	static struct smtpd_rig_client c;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		begin(cases[i].plugins);
		smtpd_rig_open(&rig, &c, i % 2 == 0 ? "192.0.2.1" : "2001:db8::1");
		if (cases[i].talk_ms >= 0) {
			smtpd_rig_advance(&rig, cases[i].talk_ms);
			smtpd_rig_say(&rig, &c, "SPAM\r\n");
			heard(&c, cases[i].plugins, "%s", cases[i].first);
			smtpd_rig_advance(&rig, cases[i].wait_ms - cases[i].talk_ms);
		} else {
			smtpd_rig_advance(&rig, cases[i].wait_ms - 1);
			heard(&c, cases[i].plugins, "%s", cases[i].first);
			smtpd_rig_advance(&rig, 1);
		}
		heard(&c, cases[i].plugins, "%s", cases[i].last);
		if ((c.conn != NULL) != cases[i].open)
			fail_msg("%s: the connection is %s", cases[i].plugins, c.conn != NULL ? "open" : "closed");
		if (c.conn != NULL && cases[i].talk_ms >= 0 && (vh_note_int(vh_conn_notes(c.conn), "earlytalker", 0) != 1 ||
		    vh_note_int(vh_conn_notes(c.conn), "karma", 0) != -1))
			fail_msg("%s: not marked once", cases[i].plugins);
		end();
	}
}

/* end of file is not talking; the bytes are logged */
static void
test_leaves(void **state)
{
	struct smtpd_rig_client c;

	(void) state;
	begin("earlytalker wait 2");
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_advance(&rig, 1000);
	c.eof = true;
	smtpd_rig_advance(&rig, 1000);
	heard(&c, "the session goes on", GREETING);
	assert_int_equal(vh_note_int(vh_conn_notes(c.conn), "karma", 0), 0);
	assert_false(vh_note_has(vh_conn_notes(c.conn), "earlytalker"));
	assert_null(strstr(buf_str(&logged), "talks early"));
	smtpd_rig_hangup(&rig, &c);
	/* who has left in the middle is not known as good */
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	heard(&c, "again", "%s", "");
	smtpd_rig_hangup(&rig, &c);		/* in the middle of the wait: nothing is left behind */
	smtpd_rig_advance(&rig, 5000);

	smtpd_rig_open(&rig, &c, "192.0.2.2");
	smtpd_rig_advance(&rig, 250);
	smtpd_rig_say(&rig, &c, "GET / \\\x01\xff\r\n");
	assert_non_null(strstr(buf_str(&logged),
	    "client=192.0.2.2 talks early: hook=connect after_ms=250 bytes=11 \"GET / \\\\\\x01\\xff\\x0d\\x0a\""));
	end();
}

static void
mail(struct smtpd_rig_client *c)
{
	smtpd_rig_ask(&rig, c, "EHLO client.test");
	smtpd_rig_ask(&rig, c, "MAIL FROM:<a@b.test>");
	assert_string_equal(smtpd_rig_ask(&rig, c, "RCPT TO:<c@mx.test>"), "250 2.1.5 Recipient ok\r\n");
}

/* after DATA */
static void
test_data(void **state)
{
	static const char *const go = "354 End data with <CR><LF>.<CR><LF>\r\n";
	struct smtpd_rig_client c;

	(void) state;
	begin("earlytalker check-at DATA wait 1 cache 0");
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	heard(&c, "no wait before the greeting", GREETING);
	mail(&c);
	assert_string_equal(smtpd_rig_ask(&rig, &c, "DATA"), "");
	smtpd_rig_advance(&rig, 999);
	heard(&c, "a moment before", "%s", "");
	smtpd_rig_advance(&rig, 1);
	heard(&c, "silent", "%s", go);
	smtpd_rig_hangup(&rig, &c);

	smtpd_rig_open(&rig, &c, "192.0.2.1");
	mail(&c);
	smtpd_rig_ask(&rig, &c, "DATA");
	smtpd_rig_advance(&rig, 500);
	smtpd_rig_say(&rig, &c, "Subject: spam\r\n");
	assert_non_null(strstr(smtpd_rig_heard(&c), "554 5.5.1 " REFUSED));
	assert_non_null(c.conn);
	assert_null(c.conn->txn);			/* the transaction is reset */
	smtpd_rig_hangup(&rig, &c);

	/* in the same packet, where the engine lets that through: the bytes are in the buffer, not in the socket */
	smtpd.conf.forbid_pipelining = false;
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	mail(&c);
	smtpd_rig_say(&rig, &c, "DATA\r\nSubject: spam\r\n");
	assert_non_null(strstr(smtpd_rig_heard(&c), "554 5.5.1 " REFUSED));
	assert_non_null(strstr(buf_str(&logged), "hook=data after_ms=0 bytes=15 \"Subject: spam"));
	smtpd_rig_hangup(&rig, &c);

	/* leaves in the middle */
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	mail(&c);
	smtpd_rig_ask(&rig, &c, "DATA");
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_advance(&rig, 2000);
	end();

	/* both */
	begin("earlytalker check-at DATA check-at CONNECT wait 1 reject_type disconnect");
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_advance(&rig, 1000);
	heard(&c, "greeting", GREETING);
	mail(&c);
	smtpd_rig_ask(&rig, &c, "DATA");
	smtpd_rig_say(&rig, &c, "x");
	heard(&c, "talks", "554 5.5.1 " REFUSED);
	assert_null(c.conn);
	end();
}

/* the refusal put off to MAIL */
static void
test_defer(void **state)
{
	struct smtpd_rig_client c;

	(void) state;
	begin("earlytalker defer-reject 1");
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_say(&rig, &c, "EHLO client.test\r\n");
	assert_int_equal(strncmp(smtpd_rig_heard(&c), GREETING "250-mx.test", strlen(GREETING) + 11), 0);
	for (int i = 0; i < 2; i++)
		assert_string_equal(smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>"), "550 5.5.1 " REFUSED);
	assert_string_equal(smtpd_rig_ask(&rig, &c, "RCPT TO:<c@mx.test>"), "503 5.5.1 Say MAIL FROM first\r\n");
	assert_int_equal(vh_note_int(vh_conn_notes(c.conn), "karma", 0), -1);	/* once */
	assert_non_null(strstr(buf_str(&logged), "from=<a@b.test>"));
	smtpd_rig_hangup(&rig, &c);
	/* without the note it declines */
	smtpd_rig_open(&rig, &c, "192.0.2.2");
	smtpd_rig_advance(&rig, 1000);
	heard(&c, "greeting", GREETING);
	mail(&c);
	end();

	begin("earlytalker defer-reject 1 reject_type temp");
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_say(&rig, &c, "x\r\n");
	assert_string_equal(smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>"), "450 4.5.1 " REFUSED);
	end();
}

/* who is not tested */
static void
test_immune(void **state)
{
	static const struct { const char *note; int64_t value; bool relay, tested; int64_t wait_ms; } cases[] = {
		{ "whitelisthost", 1, false, false, 0 },
		{ "whitelistsender", 1, false, false, 0 },
		{ NULL, 0, true, false, 0 },
		{ "karma_history", 6, false, false, 0 },
		{ "karma_history", 5, false, true, 1000 },
		{ "earlytalker_wait", 0, false, false, 0 },
		{ "earlytalker_wait", 3, false, true, 3000 },
		{ "earlytalker_wait", -1, false, true, 1000 },
	};
	struct smtpd_rig_client c;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		begin("earlytalker check-at CONNECT check-at DATA");
		helper.note = cases[i].note;
		helper.value = cases[i].value;
		helper.relay = cases[i].relay;
		smtpd_rig_open(&rig, &c, "192.0.2.1");
		if (cases[i].tested) {
			smtpd_rig_advance(&rig, cases[i].wait_ms - 1);
			heard(&c, "tested", "%s", "");
			smtpd_rig_advance(&rig, 1);
		}
		heard(&c, cases[i].note != NULL ? cases[i].note : "relay", GREETING);
		/* karma counts before the greeting only */
		if (!cases[i].tested && strcmp(cases[i].note != NULL ? cases[i].note : "", "karma_history") != 0) {
			mail(&c);
			assert_non_null(strstr(smtpd_rig_ask(&rig, &c, "DATA"), "354 "));
		}
		end();
	}
}

/* who has passed is not tested again for a day; IPv6 by /64; who fails loses it */
static void
test_cache(void **state)
{
	struct smtpd_rig_client c;

	(void) state;
	begin("earlytalker cache 1d");
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_advance(&rig, 1000);
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	heard(&c, "known", GREETING);
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_open(&rig, &c, "192.0.2.2");
	heard(&c, "another", "%s", "");
	smtpd_rig_say(&rig, &c, "x\r\n");
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_open(&rig, &c, "192.0.2.2");
	heard(&c, "one that has failed", "%s", "");
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_open(&rig, &c, "2001:db8:1:2::1");
	smtpd_rig_advance(&rig, 1000);
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_open(&rig, &c, "2001:db8:1:2:ffff::1");
	heard(&c, "the same /64", GREETING);
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_open(&rig, &c, "2001:db8:1:3::1");
	heard(&c, "another /64", "%s", "");
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_advance(&rig, 86400000 - 1001 - 1000);
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	heard(&c, "after almost a day", GREETING);
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_advance(&rig, 1001);
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	heard(&c, "after a day", "%s", "");
	smtpd_rig_hangup(&rig, &c);
	end();

	begin("earlytalker cache 0");
	for (int i = 0; i < 2; i++) {
		smtpd_rig_open(&rig, &c, "192.0.2.1");
		heard(&c, "no cache", "%s", "");
		smtpd_rig_advance(&rig, 1000);
		heard(&c, "no cache", GREETING);
		smtpd_rig_hangup(&rig, &c);
	}
	end();
}

/* one client, two connections; two tests in one connection */
static void
test_twice(void **state)
{
	struct smtpd_rig_client a, b;

	(void) state;
	begin("earlytalker");
	smtpd_rig_open(&rig, &a, "192.0.2.1");
	smtpd_rig_advance(&rig, 500);
	smtpd_rig_open(&rig, &b, "192.0.2.1");
	smtpd_rig_advance(&rig, 500);
	heard(&a, "passes", GREETING);
	smtpd_rig_say(&rig, &b, "x");
	heard(&b, "fails", "554 5.5.1 " REFUSED);
	smtpd_rig_open(&rig, &b, "192.0.2.1");
	heard(&b, "is not known as good", "%s", "");
	end();

	begin("earlytalker check-at CONNECT check-at DATA reject 0");
	smtpd_rig_open(&rig, &a, "192.0.2.1");
	smtpd_rig_say(&rig, &a, "NOOP\r\n");
	mail(&a);
	smtpd_rig_ask(&rig, &a, "DATA");
	smtpd_rig_advance(&rig, 1000);
	heard(&a, "silent this time", "354 End data with <CR><LF>.<CR><LF>\r\n");
	assert_int_equal(vh_note_int(vh_conn_notes(a.conn), "karma", 0), -1);
	smtpd_rig_open(&rig, &a, "192.0.2.1");
	heard(&a, "has talked once", "%s", "");
	smtpd_rig_say(&rig, &a, "NOOP\r\n");
	mail(&a);
	smtpd_rig_say(&rig, &a, "DATA\r\n");
	smtpd_rig_say(&rig, &a, "x");
	assert_int_equal(vh_note_int(vh_conn_notes(a.conn), "karma", 0), -1);	/* once for each connection */
	end();
}

static void
test_stress(void **state)
{
	static struct smtpd_rig_client c[4];

	(void) state;
	begin("earlytalker wait 6 wait_stress 2 cache 0");
	smtpd.conf.client_limit = 4;
	for (size_t i = 0; i < 4; i++) {
		char	ip[20];

		snprintf(ip, sizeof ip, "192.0.2.%zu", i);
		smtpd_rig_open(&rig, &c[i], ip);
	}
	smtpd_rig_advance(&rig, 2000);
	heard(&c[2], "three of four", "%s", "");
	heard(&c[3], "four of four", GREETING);
	end();
}

/* 1,000 clients wait at a time */
static void
test_many(void **state)
{
	enum { N = 1000 };
	struct smtpd_rig_client *c = mem_array(N, sizeof *c);

	(void) state;
	begin("earlytalker");
	for (size_t i = 0; i < N; i++) {
		char	ip[20];

		snprintf(ip, sizeof ip, "10.0.%zu.%zu", i / 250, i % 250 + 1);
		smtpd_rig_open(&rig, &c[i], ip);
	}
	for (size_t i = 0; i < N; i += 2)
		smtpd_rig_say(&rig, &c[i], "x");
	smtpd_rig_advance(&rig, 1000);
	for (size_t i = 0; i < N; i++)
		heard(&c[i], "one of many", "%s", i % 2 == 0 ? "554 5.5.1 " REFUSED : GREETING);
	end();
	mem_free(&c);
}

static void
test_arguments(void **state)
{
	static const struct { const char *line, *why; } cases[] = {
		{ "earlytalker wait", "plugins, line 1: earlytalker: wait: arguments come in pairs of name and value" },
		{ "earlytalker wait long", "plugins, line 1: earlytalker: wait long: use a time" },
		{ "earlytalker check-at HELO", "plugins, line 1: earlytalker: check-at HELO: use CONNECT or DATA" },
		{ "earlytalker defer-reject yes", "plugins, line 1: earlytalker: defer-reject yes: use 0 or 1" },
		{ "earlytalker action drop", "plugins, line 1: earlytalker: action drop: use deny, denysoft or log" },
		{ "earlytalker reject_type soft2", "plugins, line 1: earlytalker: reject_type soft2: use temp, perm, disconnect or temp_disconnect" },
		{ "earlytalker patience 3", "plugins, line 1: earlytalker: patience 3: use wait, wait_stress, reject, reject_type, action, "
		    "defer-reject, check-at, cache or teaser" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		assert_string_equal(smtpd_rig_refused(cases[i].line), cases[i].why);
	begin("earlytalker wait 21");
	assert_non_null(strstr(buf_str(&logged), "wait 21s: many clients give up"));
	end();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_defer),
		cmocka_unit_test(test_immune),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_stress),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
