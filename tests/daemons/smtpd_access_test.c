/* tests/daemons/smtpd_access_test.c - the small plugins of smtpd(8): pre_limits, relay, rcpt_ok, count_unrecognized, naughty */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <tests/lib/smtpd_rig.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/msg.h>

static struct smtpd_rig rig;

static void
begin(const char *plugins, const struct vh_plugin *const *more)
{
	smtpd_rig_setup("myhostname = me.example\nqueue_directory = /tmp\ndata_directory = /tmp\n", test_dir);
	smtpd_rig_begin(&rig, plugins, more);
}

static void
test_pre_limits(void **state)
{
	static const struct { const char *line; unsigned same, others; const char *want; } cases[] = {
		{ "pre_limits per_ip 2", 2, 5, "220 mx.test ESMTP\r\n" },
		{ "pre_limits per_ip 2", 3, 0, "451 4.7.0 Too many connections from your address\r\n" },
		{ "pre_limits per_ip 2 reject_type perm", 3, 0, "550 5.7.0 Too many connections from your address\r\n" },
		{ "pre_limits per_ip 2 reject 0", 3, 0, "220 mx.test ESMTP\r\n" },
		{ "pre_limits per_ip 0", 30, 0, "220 mx.test ESMTP\r\n" },
		{ "pre_limits", 20, 0, "220 mx.test ESMTP\r\n" },
		{ "pre_limits", 21, 0, "451 4.7.0 Too many connections from your address\r\n" },
		{ "pre_limits total 3", 1, 2, "220 mx.test ESMTP\r\n" },
		{ "pre_limits total 3", 1, 3, "451 4.7.0 Too many connections, try again later\r\n" },
	};
	static struct smtpd_rig_client c[40];
	char	ip[30];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		begin(cases[i].line, NULL);
		for (unsigned j = 0; j < cases[i].others; j++) {
			snprintf(ip, sizeof ip, "192.0.2.%u", j + 10);
			smtpd_rig_open(&rig, &c[j], ip);
		}
		for (unsigned j = 0; j < cases[i].same; j++)
			smtpd_rig_open(&rig, &c[cases[i].others + j], "2001:db8::1");
		if (strcmp(smtpd_rig_heard(&c[cases[i].others + cases[i].same - 1]), cases[i].want) != 0)
			fail_msg("%s, case %zu", cases[i].line, i);
		/* a connection that has ended does not count any more */
		if (cases[i].want[0] == '4' && cases[i].others == 0) {
			smtpd_rig_hangup(&rig, &c[0]);
			smtpd_rig_open(&rig, &c[cases[i].same - 1], "2001:db8::1");
			assert_string_equal(smtpd_rig_heard(&c[cases[i].same - 1]), "220 mx.test ESMTP\r\n");
		}
		smtpd_rig_end(&rig);
	}
}

static const char *
rcpt(const char *ip, const char *to)
{
	static struct smtpd_rig_client c;

	smtpd_rig_open(&rig, &c, ip);
	smtpd_rig_ask(&rig, &c, "EHLO client.test");
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>");
	return smtpd_rig_rcpt(&rig, &c, to);
}

static void
test_relay(void **state)
{
	static const char *const ok = "250 2.1.5 Recipient ok\r\n";
	static const struct { const char *ip; bool relay; } cases[] = {
		{ "192.0.2.0", true }, { "192.0.2.255", true }, { "192.0.3.0", false },	/* both ends of a network */
		{ "10.1.2.3", true }, { "10.66.2.3", false }, { "10.67.2.3", true },	/* norelayclients goes first */
		{ "172.16.5.5", true }, { "172.17.5.5", false },
		{ "2001:db8:0:1::1", true }, { "2001:db8:0:2::1", false },
		{ "::ffff:10.1.2.3", true },
	};

	(void) state;
	test_dir_file("relayclients", "# ours\n192.0.2.0/24\n\n10.\n172.16.\n2001:db8:0:1:\n");
	test_dir_file("norelayclients", "10.66.0.0/16\n");
	for (int last = 0; last < 2; last++) {		/* wherever it stands */
		begin(last ? "rcpt_ok\nrelay" : "relay\nrcpt_ok", NULL);
		for (size_t i = 0; i < NELEM(cases); i++)
			if (strcmp(rcpt(cases[i].ip, "x@far.test"), cases[i].relay ? ok : "550 5.7.1 Relaying is not allowed\r\n") != 0)
				fail_msg("%s", cases[i].ip);
		smtpd_rig_end(&rig);
	}
	begin("relay only 1\nrcpt_ok", NULL);
	assert_string_equal(rcpt("10.1.2.3", "x@far.test"), ok);
	assert_string_equal(rcpt("10.66.2.3", "x@me.example"), "550 5.7.1 Mail is taken from relay clients only\r\n");
	smtpd_rig_end(&rig);

	/* a relay client is not tested by others, also where relay comes behind them */
	begin("earlytalker\nrelay\nrcpt_ok", NULL);
	assert_string_equal(rcpt("10.1.2.3", "x@far.test"), ok);
	smtpd_rig_end(&rig);

	test_dir_file("relayclients", "10.0.0.0/8\nmail.example.org\n");
	smtpd_rig_setup("queue_directory = /tmp\n", test_dir);
	assert_string_equal(smtpd_rig_refused("relay"),
	    "plugins, line 1: relay: relayclients: \"mail.example.org\": not a numeric address");
	smtpd_rig_setup("queue_directory = /tmp\n", "/nonexistent");
	smtpd_rig_begin(&rig, "relay\nrcpt_ok", NULL);	/* no files: nobody */
	assert_string_equal(rcpt("127.0.0.1", "x@far.test"), "550 5.7.1 Relaying is not allowed\r\n");
	smtpd_rig_end(&rig);
}

static void
test_rcpt_ok(void **state)
{
	static const struct { const char *to; bool ok; } cases[] = {
		{ "x@me.example", true }, { "x@ME.Example", true }, { "x@sub.me.example", false },
		{ "x@ours.test", true }, { "x@OURS.TEST", true }, { "x@a.ours.test", false }, { "x@notours.test", false },
		{ "x@a.below.test", true }, { "x@b.a.below.test", true }, { "x@below.test", false }, { "x@abelow.test", false },
		{ "x@no.below.test", false },
		{ "postmaster", true },
		{ "x@far.test", false }, { "x@[192.0.2.1]", false }, { "x@ours.test.", false },
	};

	(void) state;
	test_dir_file("rcpthosts", "Ours.test\n!no.below.test\n.below.test\n");
	begin("rcpt_ok", NULL);
	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *heard = rcpt("192.0.2.1", cases[i].to);

		if ((strncmp(heard, "250 ", 4) == 0) != cases[i].ok)
			fail_msg("%s: %s", cases[i].to, heard);
	}
	smtpd_rig_end(&rig);

	test_dir_file("me", "other.example\n");
	begin("rcpt_ok reject_type temp", NULL);
	assert_string_equal(rcpt("192.0.2.1", "x@other.example"), "250 2.1.5 Recipient ok\r\n");
	assert_string_equal(rcpt("192.0.2.1", "x@me.example"), "450 4.7.1 Relaying is not allowed\r\n");
	smtpd_rig_end(&rig);

	test_dir_file("rcpthosts", "hash:/etc/no\n");
	smtpd_rig_setup("queue_directory = /tmp\n", test_dir);
	assert_non_null(strstr(smtpd_rig_refused("rcpt_ok"), "plugins, line 1: rcpt_ok: rcpthosts: "));
	assert_non_null(strstr(smtpd_rig_refused("rcpt_ok x"), "plugins, line 1: rcpt_ok: x: takes no arguments"));
	smtpd_rig_setup(NULL, NULL);
}

static void
test_count_unrecognized(void **state)
{
	struct smtpd_rig_client c;

	(void) state;
	begin("count_unrecognized", NULL);
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_heard(&c);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(smtpd_rig_ask(&rig, &c, "FOO bar"), "500 5.5.2 Unrecognized command\r\n");
		smtpd_rig_ask(&rig, &c, "NOOP");
	}
	assert_string_equal(smtpd_rig_ask(&rig, &c, "GET / HTTP/1.0"), "521 5.5.1 Too many unknown commands\r\n");
	assert_null(c.conn);
	smtpd_rig_open(&rig, &c, "192.0.2.1");		/* counted anew */
	smtpd_rig_heard(&c);
	assert_string_equal(smtpd_rig_ask(&rig, &c, "FOO"), "500 5.5.2 Unrecognized command\r\n");
	smtpd_rig_end(&rig);

	begin("count_unrecognized 1 reject_type perm", NULL);
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_heard(&c);
	assert_string_equal(smtpd_rig_ask(&rig, &c, "FOO"), "500 5.5.1 Too many unknown commands\r\n");
	assert_non_null(c.conn);
	smtpd_rig_end(&rig);
	assert_string_equal(smtpd_rig_refused("count_unrecognized 0"),
	    "plugins, line 1: count_unrecognized: 0: use one number from 1 to 1000000");
}

/* a plugin that marks the connection at its first hook */
static const char *mark_type;

static enum vh_rc
mark_connect(struct vh_call *call)
{
	vh_note_set_str(vh_conn_notes(vh_conn(call)), "naughty", "You are on our list");
	if (mark_type != NULL)
		vh_note_set_str(vh_conn_notes(vh_conn(call)), "naughty_reject_type", mark_type);
	return VH_DECLINED;
}

static enum vh_rc
mark_ok(struct vh_call *call)
{
	(void) call;
	return VH_OK;
}

static const struct vh_plugin mark = {
	.abi = VH_ABI, .name = "mark",
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_PRE_CONNECTION, mark_connect }, { VH_END, NULL } },
}, allow = {
	.abi = VH_ABI, .name = "allow",
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_RCPT, mark_ok }, { VH_HOOK_QUEUE, mark_ok }, { VH_END, NULL } },
};
static const struct vh_plugin *const marks[] = { &mark, &allow, NULL };

static void
test_naughty(void **state)
{
	static const struct { const char *line, *type; int at; const char *want; bool open; } cases[] = {
		{ "naughty", NULL, 2, "550 5.7.1 You are on our list\r\n", false },
		{ "naughty", "perm", 2, "550 5.7.1 You are on our list\r\n", true },
		{ "naughty", "temp", 2, "450 4.7.1 You are on our list\r\n", true },
		{ "naughty", "disconnect", 2, "550 5.7.1 You are on our list\r\n", false },
		{ "naughty", "temp_disconnect", 2, "421 4.7.1 You are on our list\r\n", false },
		{ "naughty at connect", "perm", 0, "554 5.7.1 You are on our list\r\n", false },
		{ "naughty at mail", "perm", 1, "550 5.7.1 You are on our list\r\n", true },
		{ "naughty at data", "perm", 3, "554 5.7.1 You are on our list\r\n", true },
		{ "naughty at data_post", "perm", 5, "550 5.7.1 You are on our list\r\n", true },
	};
	static const char *const says[] = { NULL, "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA", "From: a\r\n\r\ntext", "." };
	struct smtpd_rig_client c;
	char	text[100];
	const char *heard;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		mark_type = cases[i].type;
		snprintf(text, sizeof text, "mark\n%s\nallow\n", cases[i].line);
		begin(text, marks);
		smtpd_rig_open(&rig, &c, "192.0.2.1");
		heard = smtpd_rig_heard(&c);
		for (int at = 0; at <= cases[i].at; at++) {
			if (at > 0)
				heard = smtpd_rig_ask(&rig, &c, says[at]);
			if (at == cases[i].at ? strcmp(heard, cases[i].want) != 0 : strchr("23", *heard) == NULL)
				fail_msg("%s, type %s, step %d: %s", cases[i].line, cases[i].type != NULL ? cases[i].type : "none", at, heard);
		}
		if ((c.conn != NULL) != cases[i].open)
			fail_msg("%s, type %s: open %d", cases[i].line, cases[i].type != NULL ? cases[i].type : "none", c.conn != NULL);
		smtpd_rig_end(&rig);
	}
	/* with what earlytalker leaves behind */
	begin("earlytalker reject naughty reject_type temp\nnaughty at mail\nallow", marks);
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	smtpd_rig_say(&rig, &c, "EHLO x\r\n");
	smtpd_rig_heard(&c);
	assert_string_equal(smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>"),
	    "450 4.7.1 You have sent something before it was your turn\r\n");
	smtpd_rig_end(&rig);
	assert_string_equal(smtpd_rig_refused("naughty at helo"),
	    "plugins, line 1: naughty: at helo: use one of: connect mail rcpt data data_post");
	assert_string_equal(smtpd_rig_refused("naughty when mail"), "plugins, line 1: naughty: when: no such argument; use at");
	assert_string_equal(smtpd_rig_refused("pre_limits per_ip"),
	    "plugins, line 1: pre_limits: per_ip : use a number from 0 to 1000000");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pre_limits, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_relay, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_rcpt_ok, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_count_unrecognized, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_naughty, test_dir_make, test_dir_remove),
	};

	msg_to_stderr(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
