/* tests/daemons/smtpd_verify_test.c - verify_sender and verify_rcpt: every answer, at once and late, and none at all
 * verify(8) is the stub: it knows 0...@ to 2...@ at once (OK, DEFER, BOUNCE), the rest is in progress until the test writes a
 * result into the table. A server of the smtp_callback protocol is played by the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/verify_store.h>
#include <tests/lib/smtpd_rig.h>
#include <tests/lib/test_dir.h>
#include <tests/lib/verify_stub.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define MAIN_CF	"myhostname = me.example\nmyorigin = me.example\naddress_verify_sender = probe@me.example\n" \
		"queue_directory = %s\ndata_directory = %s\naddress_verify_cache_size = 1M\ncompatibility_level = 3.6\n%s"
#define OK	"250 2.1.5 Recipient ok\r\n"

static struct smtpd_rig rig;
static struct smtpd_rig_client c;
static struct verify_stub stub;
static struct verify_store *store;
static int home;

static enum vh_rc
allow_rcpt(struct vh_call *call)
{
	if (strncmp(vh_addr_user(vh_address(call)), "deny", 4) == 0)
		return vh_reply(call, VH_DENY, "5.7.1", "No");
	return VH_OK;
}

/* want - marks a recipient for per_recipient, and the client as one of ours */
static bool relay;

static enum vh_rc
want_rcpt(struct vh_call *call)
{
	if (strncmp(vh_addr_user(vh_address(call)), "check", 5) == 0)
		vh_note_set_int(vh_addr_notes(vh_address(call)), "smtp_callback", 1);
	return VH_DECLINED;
}

static enum vh_rc
want_connection(struct vh_call *call)
{
	vh_conn_set_relay(vh_conn(call), relay);
	return VH_DECLINED;
}

static const struct vh_plugin allow = {
	.abi = VH_ABI, .name = "allow", .hooks = (const struct vh_hook_fn []) { { VH_HOOK_RCPT, allow_rcpt }, { VH_END, NULL } },
}, wanted = {
	.abi = VH_ABI, .name = "want",
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_RCPT, want_rcpt }, { VH_HOOK_PRE_CONNECTION, want_connection }, { VH_END, NULL } },
};
static const struct vh_plugin *const helpers[] = { &allow, &wanted, NULL };

static int
setup(void **state)
{
	home = open(".", O_RDONLY | O_DIRECTORY);
	return test_dir_make(state) == 0 && chdir(test_dir) == 0 && mkdir("private", 0755) == 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	int	ret = test_dir_remove(state);

	if (fchdir(home) < 0)
		ret = -1;
	close(home);
	return ret;
}

static void
begin(const char *plugins, const char *more)
{
	char   *text = mem_printf("want\n%s\nallow\n", plugins), *cf = mem_printf(MAIN_CF, test_dir, test_dir, more);
	struct verify_store_conf conf = { .smtputf8 = true, .bytes = 1u << 20 };
	struct buf why = BUF_INIT(1000);

	relay = false;
	smtpd_rig_setup(cf, test_dir);
	smtpd_rig_begin(&rig, text, helpers);
	assert_int_equal(verify_stub_open(&stub, rig.loop, "private/verify", 100), 0);
	assert_int_equal(verify_store_open(&store, test_dirfd, &conf, &why), 0);
	mem_free(&text);
	mem_free(&cf);
}

static void
end(void)
{
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_turn(&rig);
	if (stub.fd >= 0)
		verify_stub_close(&stub);
	verify_store_close(&store);
	smtpd_rig_end(&rig);
}

static void
pass(int64_t ms)
{
	for (int64_t step; ms > 0; ms -= step) {
		step = ms < 500 ? ms : 500;
		smtpd_rig_advance(&rig, step);
	}
}

static const char *
mail(const char *from)
{
	return smtpd_rig_mail(&rig, &c, from, "");
}

static const char *
rcpt(const char *to)
{
	return smtpd_rig_rcpt(&rig, &c, to);
}

/* begins - heard begins with want; the times at the end are checked elsewhere */
static void
begins(const char *what, const char *heard, const char *want)
{
	if (strncmp(heard, want, strlen(want)) != 0)
		fail_msg("%s: heard \"%s\", want \"%s\"", what, heard, want);
}

static void
result(const char *addr, enum verify_status status, const char *text, int64_t when)
{
	assert_int_equal(verify_store_update(store, addr, status, text, when), VERIFY_STORED);
}

#define NOBODY	"host mx.b.test[192.0.2.7] said: 550 5.1.1 no such user (in reply to RCPT TO command)"

/* each status, from the table and from verify, with each way to take it */
static void
test_answers(void **state)
{
	static const struct { const char *line, *addr, *text; int status; const char *sender, *rcpt; } cases[] = {
		{ "", "x0@b.test", "250 Ok", VERIFY_OK, OK, OK },
		{ "", "x1@b.test", NOBODY, VERIFY_BOUNCE,
		  "550 5.1.8 Sender address <x1@b.test> is refused by mx.b.test[192.0.2.7]: 550 5.1.1 no such user (known since 20",
		  "550 5.1.1 Recipient address <x1@b.test> is refused by mx.b.test[192.0.2.7]: 550 5.1.1 no such user (known since 20" },
		{ "show_host 0", "x1@b.test", NOBODY, VERIFY_BOUNCE,
		  "550 5.1.8 Sender address <x1@b.test> is refused: 550 5.1.1 no such user (known since 20",
		  "550 5.1.1 Recipient address <x1@b.test> is refused: 550 5.1.1 no such user (known since 20" },
		{ "reject_type temp", "x1@b.test", NOBODY, VERIFY_BOUNCE, "450 4.1.8 Sender address", "450 4.1.1 Recipient address" },
		{ "reject_type disconnect", "x1@b.test", NOBODY, VERIFY_BOUNCE, "550 5.1.8 Sender address", "550 5.1.1 Recipient address" },
		{ "reject 0", "x1@b.test", NOBODY, VERIFY_BOUNCE, OK, OK },
		{ "", "x2@b.test", "host m[192.0.2.7] said: 450 4.2.0 later", VERIFY_DEFER,
		  "450 4.1.8 Sender address <x2@b.test> cannot be verified now, by m[192.0.2.7]: 450 4.2.0 later (known since 20",
		  "450 4.1.1 Recipient address <x2@b.test> cannot be verified now, by m[192.0.2.7]: 450 4.2.0 later (known since 20" },
		{ "TEMPFAIL", "x2@b.test", "450 later", VERIFY_DEFER, OK, OK },
		{ "reject 0", "x2@b.test", "450 later", VERIFY_DEFER, OK, OK },
		/* only verify knows: no times */
		{ "", "0y@b.test", NULL, 0, OK, OK },
		{ "", "2y@b.test", NULL, 0, "550 5.1.8 Sender address <2y@b.test> is refused: text for 2y@b.test\r\n",
		  "550 5.1.1 Recipient address <2y@b.test> is refused: text for 2y@b.test\r\n" },
		{ "", "1y@b.test", NULL, 0, "450 4.1.8 Sender address <1y@b.test> cannot be verified now: text for 1y@b.test\r\n",
		  "450 4.1.1 Recipient address <1y@b.test> cannot be verified now: text for 1y@b.test\r\n" },
		{ "", "!y@b.test", NULL, 0, "450 4.1.8 Sender address <!y@b.test> cannot be verified now, try again later\r\n",
		  "450 4.1.1 Recipient address <!y@b.test> cannot be verified now, try again later\r\n" },
		{ "unavailable pass", "!y@b.test", NULL, 0, OK, OK },
	};
	char	line[100];

	(void) state;
	test_dir_file("rcpthosts", "b.test\n");
	for (size_t i = 0; i < 2 * NELEM(cases); i++) {
		size_t	n = i / 2;
		bool	sender = i % 2 == 0;
		const char *arg = strcmp(cases[n].line, "TEMPFAIL") != 0 ? cases[n].line : sender ? "tempfail pass" : "unreachable accept";

		snprintf(line, sizeof line, "%s %s", sender ? "verify_sender" : "verify_rcpt", arg);
		begin(line, "");
		if (cases[n].text != NULL)
			result(cases[n].addr, (enum verify_status) cases[n].status, cases[n].text, ev_wall_s(rig.loop) - 10);
		mail(sender ? cases[n].addr : "a@far.test");
		begins(line, rcpt(sender ? "any@b.test" : cases[n].addr), sender ? cases[n].sender : cases[n].rcpt);
		if ((c.conn == NULL) != (strstr(arg, "disconnect") != NULL))
			fail_msg("%s: open %d", line, c.conn != NULL);
		end();
	}
}

/* waits for the probe: a result in time, none, a client that leaves, the time limit itself */
static void
test_waits(void **state)
{
	struct verify_stub *s = &stub;

	(void) state;
	test_dir_file("rcpthosts", "b.test\n");
	begin("verify_rcpt", "");
	mail("a@far.test");
	assert_string_equal(rcpt("xa@b.test"), "");
	pass(3000);
	assert_string_equal(smtpd_rig_heard(&c), "");
	result("xa@b.test", VERIFY_BOUNCE, NOBODY, ev_wall_s(rig.loop));
	pass(10);
	begins("result", smtpd_rig_heard(&c), "550 5.1.1 Recipient address <xa@b.test> is refused by mx.b.test");
	assert_string_equal(rcpt("xb@b.test"), "");
	pass(14999);
	assert_string_equal(smtpd_rig_heard(&c), "");
	pass(1);
	assert_string_equal(smtpd_rig_heard(&c),
	    "450 4.1.1 Recipient address <xb@b.test> cannot be verified now: address verification in progress\r\n");
	s->requests = 0;
	assert_string_equal(rcpt("xc@b.test"), "");
	smtpd_rig_hangup(&rig, &c);			/* in the middle */
	pass(20000);
	assert_int_equal(s->requests, 1);
	end();

	begin("verify_rcpt wait 0", "");
	mail("a@far.test");
	begins("no wait", rcpt("xa2@b.test"), "450 4.1.1 Recipient address <xa2@b.test> cannot be verified now: address verification in progress");
	assert_int_equal(s->requests, 1);		/* but it is probed */
	end();

	begin("verify_rcpt wait 2", "");		/* verify is away: its own answer, not the engine's */
	verify_stub_close(&stub);
	stub.fd = -1;
	mail("a@far.test");
	assert_string_equal(rcpt("xd@b.test"), "");
	pass(2000);
	assert_string_equal(smtpd_rig_heard(&c), "450 4.1.1 Recipient address <xd@b.test> cannot be verified now, try again later\r\n");
	end();

	begin("verify_rcpt wait 2 unavailable pass", "");
	verify_stub_script(&stub, VSTUB_HANG);
	mail("a@far.test");
	rcpt("xd@b.test");
	pass(2000);
	assert_string_equal(smtpd_rig_heard(&c), OK);
	end();
}

/* one question for a transaction, the same answer for every recipient, temporary ones included */
static void
test_transaction(void **state)
{
	(void) state;
	begin("verify_sender wait 0", "");
	mail("xs@b.test");
	for (int i = 0; i < 3; i++)
		begins("the same", rcpt("any@b.test"), "450 4.1.8 Sender address <xs@b.test> cannot be verified now");
	assert_int_equal(stub.requests, 1);
	assert_string_equal(vh_note_str(vh_txn_notes(c.conn->txn), "smtp_callback"), "TEMPFAIL");
	result("xs@b.test", VERIFY_OK, "250 Ok", ev_wall_s(rig.loop));
	begins("still", rcpt("any@b.test"), "450 4.1.8");
	smtpd_rig_ask(&rig, &c, "RSET");
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<xs@b.test>");	/* the next transaction asks again */
	assert_string_equal(rcpt("any@b.test"), OK);
	assert_string_equal(vh_note_str(vh_txn_notes(c.conn->txn), "smtp_callback"), "OK");
	end();

	begin("verify_sender stage mail", "");
	begins("at MAIL", mail("2y@b.test"), "550 5.1.8 Sender address <2y@b.test> is refused");
	assert_string_equal(rcpt("any@b.test"), "503 5.5.1 Say MAIL FROM first\r\n");
	begins("good", mail("0y@b.test"), "250 ");
	assert_string_equal(rcpt("any@b.test"), OK);
	end();

	begin("verify_sender per_recipient 1", "");
	mail("2y@b.test");
	assert_string_equal(rcpt("any@b.test"), OK);
	begins("marked", rcpt("check@b.test"), "550 5.1.8");
	assert_string_equal(rcpt("any@b.test"), OK);
	end();

	test_dir_file("list", "b.test\n.c.test\n");
	begin("verify_sender except_domains list\nverify_sender:1 only_domains list tempfail pass", "");
	mail("1y@b.test");				/* the second instance's, which lets it pass */
	assert_string_equal(rcpt("any@b.test"), OK);
	mail("1y@a.test");				/* the first one's */
	begins("the first instance", rcpt("any@b.test"), "450 4.1.8");
	mail("2y@x.c.test");
	begins("the second instance", rcpt("any@b.test"), "550 5.1.8");
	end();
}

/* whom nobody is asked about */
static void
test_skips(void **state)
{
	(void) state;
	test_dir_file("rcpthosts", "b.test\n");
	begin("verify_sender\nverify_rcpt", "");
	mail("");
	assert_string_equal(rcpt("2x@b.test"), OK);	/* a callout, or a bounce */
	mail("probe@me.example");
	assert_string_equal(rcpt("0x@b.test"), OK);
	assert_int_equal(stub.requests, 1);		/* 0x */
	mail("0a@b.test");
	assert_string_equal(rcpt("2x@strange.test"), OK);	/* not one of our domains: nobody asks */
	begins("ours", rcpt("2x@me.example"), "550 5.1.1");
	begins("ours", rcpt("2x@B.test"), "550 5.1.1");
	relay = true;
	mail("2a@b.test");
	assert_string_equal(rcpt("2x@b.test"), OK);
	end();

	test_dir_file("only", "d.test\n");
	begin("verify_rcpt only_domains only", "");
	mail("a@far.test");
	assert_string_equal(rcpt("2x@b.test"), OK);
	begins("listed", rcpt("2x@d.test"), "550 5.1.1");
	end();

	/* what clients may see */
	begin("verify_sender", "address_verify_reason_detail = code\n");
	result("xa@b.test", VERIFY_BOUNCE, NOBODY, ev_wall_s(rig.loop));
	mail("xa@b.test");
	begins("code", rcpt("any@b.test"), "550 5.1.8 Sender address <xa@b.test> is refused: 550 5.1.1 (known since");
	end();
}

/* a server of the line protocol */

static int server;

static void
server_reply(const char *want, const char *reply)
{
	char	got[300];
	ssize_t n;
	int	fd;

	smtpd_rig_turn(&rig);
	fd = accept(server, NULL, NULL);
	assert_true(fd >= 0);
	for (int i = 0; i < 100 && sock_wait(fd, POLLIN, 20) != 1; i++)
		smtpd_rig_turn(&rig);
	n = read(fd, got, sizeof got - 1);
	assert_true(n > 0);
	got[n] = 0;
	assert_string_equal(got, want);
	if (reply != NULL)
		assert_int_equal(write(fd, reply, strlen(reply)), (ssize_t) strlen(reply));
	close(fd);
	for (int i = 0; i < 10000 && c.out.len == 0; i++) {
		usleep(1000);
		smtpd_rig_turn(&rig);
	}
}

static void
test_smtpcbd(void **state)
{
	static const struct { const char *reply, *want; } cases[] = {
		{ "OK:fine:a@b.test:s:1767000000:1767000001\n", OK },
		{ "FAIL:550 no:x@b.test:mx.b.test[192.0.2.7]:1767000000:1767000001\n",
		  "550 5.1.8 Sender address <\"a b\"@b.test> is refused by mx.b.test[192.0.2.7]: 550 no (known since 202" },
		{ "TEMPFAIL:450 later:x@b.test:s:1767000000:1767000001\n",
		  "450 4.1.8 Sender address <\"a b\"@b.test> cannot be verified now, by s: 450 later (known since 202" },
		{ "fail:550 no:x@b.test:s:1:2\n", "450 4.1.8 Sender address <\"a b\"@b.test> cannot be verified now, try again later\r\n" },
		{ "FAIL\n", "450 4.1.8 Sender address <\"a b\"@b.test> cannot be verified now, try again later\r\n" },
		{ "FAIL:half", "450 4.1.8 Sender address <\"a b\"@b.test> cannot be verified now, try again later\r\n" },
		{ NULL, "450 4.1.8 Sender address <\"a b\"@b.test> cannot be verified now, try again later\r\n" },
	};
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;
	const char *heard;
	char	line[100];

	(void) state;
	server = sock_inet_listen("127.0.0.1", "0", 5);
	assert_int_equal(getsockname(server, (struct sockaddr *) &sin, &len), 0);
	sock_nonblock(server, false);
	snprintf(line, sizeof line, "verify_sender smtpcbd 127.0.0.1:%u", ntohs(sin.sin_port));
	begin(line, "");
	for (size_t i = 0; i < NELEM(cases); i++) {
		mail("\"a b\"@b.test");
		assert_string_equal(rcpt("any@b.test"), "");
		server_reply("<\"a b\"@b.test>\n", cases[i].reply);
		begins(cases[i].reply, smtpd_rig_heard(&c), cases[i].want);
	}
	mail("a@b.test");				/* never answers */
	rcpt("any@b.test");
	pass(19999);
	assert_string_equal(smtpd_rig_heard(&c), "");
	pass(1);
	begins("silent", smtpd_rig_heard(&c), "450 4.1.8");
	mail("a@b.test");
	rcpt("any@b.test");
	smtpd_rig_hangup(&rig, &c);			/* the client leaves: nothing is left behind */
	close(server);
	mail("a@b.test");				/* connection refused */
	heard = rcpt("any@b.test");
	for (int i = 0; i < 10000 && *heard == 0; i++) {
		usleep(1000);
		smtpd_rig_turn(&rig);
		heard = smtpd_rig_heard(&c);
	}
	begins("refused", heard, "450 4.1.8");
	end();
}

static void
test_arguments(void **state)
{
	static const struct { const char *line, *why; } cases[] = {
		{ "verify_sender smtpcbd localhost:4571",
		  "plugins, line 1: verify_sender: smtpcbd localhost:4571: use a numeric address and a port, such as 127.0.0.1:4571" },
		{ "verify_sender wait 51", "plugins, line 1: verify_sender: wait 51: use a time from 0s to 50s" },
		{ "verify_sender stage data", "plugins, line 1: verify_sender: stage data: use one of: mail rcpt" },
		{ "verify_sender only_domains none", "plugins, line 1: verify_sender: none: there is no such settings file" },
		{ "verify_rcpt stage mail", "plugins, line 1: verify_rcpt: stage: no such argument; use wait, unreachable, unavailable, "
		  "only_domains, except_domains, show_host, smtpcbd" },
		{ "verify_rcpt unreachable pass", "plugins, line 1: verify_rcpt: unreachable pass: use one of: soft accept" },
	};
	char   *cf = mem_printf(MAIN_CF, test_dir, test_dir, "");

	(void) state;
	smtpd_rig_setup(cf, test_dir);
	for (size_t i = 0; i < NELEM(cases); i++)
		assert_string_equal(smtpd_rig_refused(cases[i].line), cases[i].why);
	smtpd_rig_setup(NULL, NULL);
	mem_free(&cf);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transaction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_skips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_smtpcbd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
	};

	msg_to_stderr(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
