/* tests/daemons/smtpcbd_wire_test.c - the cases of spec smtpcbd-protocol section 4, by number, under a fake clock
 * verify(8) is the stub: it knows 0...@ to 2...@ at once (OK, DEFER, BOUNCE), everything else is in progress until the test
 * writes a result into the table, as a verify worker would. The skeleton's side is played here: struct ms_client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <daemons/smtpcbd/smtpcbd.h>
#include <global/probe_text.h>
#include <global/stats.h>
#include <tests/lib/ask_rig.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define NOW	ASK_RIG_NOW
#define WAIT_S	20
#define LATER	"TEMPFAIL:address verification in progress:%s:vouch.example.com:%d:%d\n"

/* what smtpcbd.c has */
struct smtpcbd_conf smtpcbd_conf;
struct ev_loop *smtpcbd_loop;
struct address_host smtpcbd_host;

static const struct multi_server server = {
	.opened = smtpcbd_opened, .input = smtpcbd_input, .eof = smtpcbd_eof, .closed = smtpcbd_closed,
};

/* the world */

static unsigned complaints_before;

/* complaints - about clients that send what is no request, in this test and those before it */
static unsigned
complaints(void)
{
	static const char *const texts[] = { "client=local: bad request", "client=local: request too long" };
	unsigned n = complaints_before;

	for (size_t i = 0; i < NELEM(texts); i++)
		for (const char *p = buf_str(&ask_rig.logged); (p = strstr(p, texts[i])) != NULL; p++)
			n++;
	return n;
}

static int
begin(void **state)
{
	const struct address_ask_conf conf = { .query_ms = 6000, .max_waiters = 500 };
	struct buf why = BUF_INIT(1000);

	(void) state;
	ask_rig_begin(&smtpcbd_host, &server, &conf);
	smtpcbd_loop = ask_rig.loop;
	smtpcbd_conf = (struct smtpcbd_conf) {
		.wait_ms = WAIT_S * 1000, .read_ms = 10000, .idle_ms = 60000,
		.clients = addr_list_new("127.0.0.0/8", &why), .ours = domain_list_open("ours.example", false, &why),
		.myhostname = "vouch.example.com", .myorigin = "origin.example", .sender = "probe@sender.example",
		.double_bounce = "double-bounce",
	};
	return 0;
}

static int
end(void **state)
{
	(void) state;
	complaints_before = complaints();
	ask_rig_end();
	addr_list_free(&smtpcbd_conf.clients);
	domain_list_free(&smtpcbd_conf.ours);
	return 0;
}

static void __attribute__((format(printf, 3, 4)))
want(struct ms_client *c, const char *name, const char *fmt, ...)
{
	char	text[2000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ask_rig_want(c, name, text);
}

/* the cases */

/* 1 to 4: what is known is answered at once; a refresh that is due asks verify once, behind the reply */
static void
test_known(void **state)
{
	static const struct {
		const char *name;
		enum verify_status status;
		const char *text;
		int64_t	age;
		bool	asks;
		const char *want;
	} cases[] = {
		{ "1: OK, fresh", VERIFY_OK, "250 2.1.5 Ok", 1000, false, "OK:250 2.1.5 Ok:xk0@b.example:vouch.example.com:1766999000:1767603801\n" },
		{ "1: OK, at the edge", VERIFY_OK, "250 2.1.5 Ok", 7 * 86400, false,
		  "OK:250 2.1.5 Ok:xk1@b.example:vouch.example.com:1766395200:1767000001\n" },
		{ "2: OK, refresh due", VERIFY_OK, "250 2.1.5 Ok", 7 * 86400 + 1, true,
		  "OK:250 2.1.5 Ok:xk2@b.example:vouch.example.com:1766395199:1767000000\n" },
		{ "3: BOUNCE", VERIFY_BOUNCE, "host mx1.b.example[192.0.2.7] said: 550 5.1.1 <x>: unknown (in reply to RCPT TO command)", 10,
		  false, "FAIL:550 5.1.1 <x>; unknown:xk3@b.example:mx1.b.example[192.0.2.7]:1766999990:1767010791\n" },
		{ "3: BOUNCE, refresh due", VERIFY_BOUNCE, "no such domain.", 10801, true,
		  "FAIL:no such domain:xk4@b.example:vouch.example.com:1766989199:1767000000\n" },
		{ "4: DEFER", VERIFY_DEFER, "host mx1.b.example[2001:db8::7] said: 450 4.2.0 later", 60, false,
		  "TEMPFAIL:450 4.2.0 later:xk5@b.example:mx1.b.example[2001_db8__7]:1766999940:1767000001\n" },
		{ "4: DEFER, refresh due", VERIFY_DEFER, "connect to mx[192.0.2.1]:25: timed out", 61, true,
		  "TEMPFAIL:connect to mx[192.0.2.1];25; timed out:xk6@b.example:vouch.example.com:1766999939:1767000000\n" },
		{ "7: greylisted", VERIFY_DEFER, "host mx1.b.example[192.0.2.7] said: 450 4.7.1 Greylisted (in reply to RCPT TO command)", 0,
		  false, "TEMPFAIL:450 4.7.1 Greylisted:xk7@b.example:mx1.b.example[192.0.2.7]:1767000000:1767000061\n" },
		{ "a result from the future", VERIFY_OK, "250 Ok", -100, false, "OK:250 Ok:xk8@b.example:vouch.example.com:1767000000:1767604901\n" },
	};
	struct ms_client *c = ms_fake_client();
	char	addr[40], line[60];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		unsigned before = ask_rig.stub.requests;

		snprintf(addr, sizeof addr, "xk%zu@b.example", i);
		snprintf(line, sizeof line, "<%s>\n", addr);
		ask_rig_result(addr, cases[i].status, cases[i].text, NOW - cases[i].age);
		ask_rig_say(c, line);
		want(c, cases[i].name, "%s", cases[i].want);
		if (ask_rig.stub.requests != before + cases[i].asks)
			fail_msg("%s: verify was asked %u times", cases[i].name, ask_rig.stub.requests - before);
	}
	assert_int_equal(stats_local[STAT_smtpcbd_cached], NELEM(cases));
	ms_fake_free(&c);
}

/* 5, 6: unknown, expired */
static void
test_wait(void **state)
{
	struct ms_client *c = ms_fake_client(), *d;

	(void) state;
	/* verify knows it by itself: it may be that it does not share its table with us. No times to tell then */
	ask_rig_say(c, "<0a@b.example>\n");
	want(c, "verify says OK", "OK:text for 0a@b.example:0a@b.example:vouch.example.com:%d:%d\n", NOW, NOW);
	ask_rig_say(c, "<1a@b.example>\n");
	want(c, "verify says DEFER", "TEMPFAIL:text for 1a@b.example:1a@b.example:vouch.example.com:%d:%d\n", NOW, NOW);
	ask_rig_say(c, "<2a@b.example>\n");
	want(c, "verify says BOUNCE", "FAIL:text for 2a@b.example:2a@b.example:vouch.example.com:%d:%d\n", NOW, NOW);

	/* a result in time, seen in the table */
	ask_rig_say(c, "<xa@b.example>\n");
	assert_int_equal(ask_rig.stub.requests, 4);
	ms_fake_pass(3000);
	want(c, "5: nothing yet", "%s", "");
	ask_rig_result("xa@b.example", VERIFY_BOUNCE, "550 no", NOW + 3);
	ms_fake_pass(10);
	want(c, "5: the result", "FAIL:550 no:xa@b.example:vouch.example.com:%d:%d\n", NOW + 3, NOW + 3 + 10801);

	/* none in time: exactly at the limit. Verify is asked again now and then, on one connection */
	ask_rig.stub.requests = 0;
	ask_rig_say(c, "<xb@b.example>\n");
	ms_fake_pass(WAIT_S * 1000 - 1);
	want(c, "6: a moment before", "%s", "");
	ms_fake_pass(1);
	want(c, "6: no result", LATER, "xb@b.example", NOW + 23, NOW + 83);
	assert_in_range(ask_rig.stub.requests, 1 + 15, 1 + 20);

	/* expired: as unknown */
	ask_rig_result("xe@b.example", VERIFY_OK, "250 Ok", NOW - 32 * 86400);
	ask_rig_say(c, "<xe@b.example>\n");
	want(c, "5: expired", "%s", "");
	ask_rig_result("xe@b.example", VERIFY_OK, "250 Ok", NOW + 23);
	ms_fake_pass(10);
	want(c, "5: renewed", "OK:250 Ok:xe@b.example:vouch.example.com:%d:%d\n", NOW + 23, NOW + 23 + 7 * 86400 + 1);

	/* a result in the same turn as the end of the wait counts */
	d = ms_fake_client();
	ask_rig_say(d, "<xs@b.example>\n");
	ms_fake_pass(WAIT_S * 1000 - 1);
	ask_rig_result("xs@b.example", VERIFY_OK, "250 Ok", NOW + 43);
	ms_fake_pass(1);
	want(d, "in the same turn", "OK:250 Ok:xs@b.example:vouch.example.com:%d:%d\n", NOW + 43, NOW + 43 + 7 * 86400 + 1);

	/* smtpcbd_wait = 0: the probe is started, nobody waits */
	smtpcbd_conf.wait_ms = 0;
	ask_rig.stub.requests = 0;
	ask_rig_say(d, "<xz@b.example>\n");
	want(d, "6: no wait", LATER, "xz@b.example", NOW + 43, NOW + 103);
	assert_int_equal(ask_rig.stub.requests, 1);
	ms_fake_free(&c);
	ms_fake_free(&d);
}

/* 8 to 13, 15, 16: what needs no record */
static void
test_local(void **state)
{
	static const struct { const char *name, *line, *want; bool closes, asks; } cases[] = {
		{ "8: null sender", "<>", "OK:null sender::vouch.example.com:1767000000:1767000000\n", false, false },
		{ "8: qmail's", "<#@[]>", "OK:null sender::vouch.example.com:1767000000:1767000000\n", false, false },
		{ "9: postmaster", "<postmaster>", "OK:our own address:postmaster@origin.example:vouch.example.com:1767000000:1767000000\n",
		  false, false },
		{ "9: postmaster of ours", "<PostMaster@Ours.example>",
		  "OK:our own address:PostMaster@ours.example:vouch.example.com:1767000000:1767000000\n", false, false },
		{ "9: double-bounce of ours", "<double-bounce@vouch.example.com>",
		  "OK:our own address:double-bounce@vouch.example.com:vouch.example.com:1767000000:1767000000\n", false, false },
		{ "9: postmaster elsewhere", "<postmaster@b.example>", "", false, true },
		{ "9: no domain", "<xjoe>", "", false, true },
		{ "10: our probe sender", "<probe@sender.example>",
		  "OK:our own address:probe@sender.example:vouch.example.com:1767000000:1767000000\n", false, false },
		{ "11: literal", "<0u@[192.0.2.1]>", "OK:text for 0u@[192.0.2.1]:0u@[192.0.2.1]:vouch.example.com:1767000000:1767000000\n",
		  false, true },
		{ "12: no host name", "<u@foo:bar>", "FAIL:5.1.7 bad sender address syntax:u@foo_bar:vouch.example.com:1767000000:1767000000\n", false,
		  false },
		{ "12: no local part", "<@b.example>",
		  "FAIL:5.1.7 bad sender address syntax:@b.example:vouch.example.com:1767000000:1767000000\n", false, false },
		{ "12: control", "<\"a\\\x01\"@b.example>",
		  "FAIL:5.1.7 bad sender address syntax:\"a\\?\"@b.example:vouch.example.com:1767000000:1767000000\n", false, false },
		{ "12: an underscore is fine", "<0u@foo_bar.example>",
		  "OK:text for 0u@foo_bar.example:0u@foo_bar.example:vouch.example.com:1767000000:1767000000\n", false, true },
		{ "13: UTF-8", "<\"e\\\xc3\\\xa9\"@b.example>",
		  "FAIL:5.6.7 address is not ASCII, and SMTPUTF8 is not enabled:\"e\\?\\?\"@b.example:vouch.example.com:1767000000:1767000000\n",
		  false, false },
		{ "16: HTTP", "GET / HTTP/1.1\r\nHost: x@y", "TEMPFAIL:bad request::vouch.example.com:1767000000:1767000000\n", true, false },
		{ "16: empty", "", "TEMPFAIL:bad request::vouch.example.com:1767000000:1767000000\n", true, false },
		{ "16: a word", "postmaster", "TEMPFAIL:bad request::vouch.example.com:1767000000:1767000000\n", true, false },
	};
	char	line[600];
	struct ms_client *c;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		unsigned before = ask_rig.stub.requests;

		c = ms_fake_client();
		snprintf(line, sizeof line, "%s\n", cases[i].line);
		ask_rig_say(c, line);
		want(c, cases[i].name, "%s", cases[i].want);
		if (c->closed != cases[i].closes || (ask_rig.stub.requests > before) != cases[i].asks)
			fail_msg("%s: closed %d, asked verify %u", cases[i].name, c->closed, ask_rig.stub.requests - before);
		ms_fake_free(&c);
	}
	assert_string_equal(ask_rig.stub.addr, "0u@foo_bar.example");

	/* 13, enabled: verify sees the letters */
	smtpcbd_conf.smtputf8 = true;
	c = ms_fake_client();
	ask_rig_say(c, "<\"0e\\\xc3\\\xa9\"@b.example>\n");
	want(c, "13: enabled", "%s", "OK:text for 0e??@b.example:0e??@b.example:vouch.example.com:1767000000:1767000000\n");
	assert_string_equal(ask_rig.stub.addr, "0e\xc3\xa9@b.example");
	smtpcbd_conf.utf8 = true;
	ask_rig_say(c, "<\"0e\\\xc3\\\xa9\"@b.example>\n");
	want(c, "13: and in replies", "%s",
	    "OK:text for 0e\xc3\xa9@b.example:0e\xc3\xa9@b.example:vouch.example.com:1767000000:1767000000\n");
	ms_fake_free(&c);

	/* 15 */
	c = ms_fake_client();
	snprintf(line, sizeof line, "<%0503d@b.example>\n", 1);
	ask_rig_say(c, line);
	want(c, "15: long", "FAIL:5.1.7 address too long:%0253d...:vouch.example.com:1767000000:1767000000\n", 0);
	ms_fake_free(&c);
}

/* 14, 16: what is never a line */
static void
test_alien(void **state)
{
	static const char too_long[] = "TEMPFAIL:request too long::vouch.example.com:1767000000:1767000000\n";
	static const char bad[] = "TEMPFAIL:bad request::vouch.example.com:1767000000:1767000000\n";
	struct ms_client *c = ms_fake_client();
	char	line[1100];

	(void) state;
	memset(line, 'a', sizeof line);
	ms_fake_say(c, line, 1024);
	assert_false(c->closed);
	ms_fake_say(c, "aa", 2);
	want(c, "14: 1026 bytes, no end", "%s", too_long);
	assert_true(c->closed);
	ms_fake_free(&c);

	c = ms_fake_client();
	line[1030] = '\n';
	ms_fake_say(c, line, 1031);
	want(c, "14: in one piece", "%s", too_long);
	ms_fake_free(&c);

	c = ms_fake_client();
	for (int i = 0; i < 1024; i++)
		ms_fake_say(c, "b", 1);
	ask_rig_say(c, "\n");
	want(c, "byte by byte, just short enough", "%s", bad);
	ms_fake_free(&c);

	c = ms_fake_client();
	ms_fake_say(c, "\x16\x03\x01\x02\x00", 5);
	want(c, "16: TLS, no line end", "%s", bad);
	assert_true(c->closed);
	ms_fake_free(&c);

	c = ms_fake_client();
	ms_fake_say(c, "<a\0b@c.example>", 15);
	want(c, "16: NUL, no line end", "%s", bad);
	ms_fake_free(&c);
	/* once per client address per minute */
	assert_int_equal(complaints(), 1);
	assert_int_equal(stats_local[STAT_smtpcbd_malformed], 5);
	assert_int_equal(ask_rig.stub.requests, 0);
}

/* 17, 18: the client ends its side */
static void
test_eof(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	ms_fake_eof(c);
	want(c, "18: nothing said", "%s", "");
	assert_true(c->closed);
	ms_fake_free(&c);

	c = ms_fake_client();
	ask_rig_say(c, "<0a@b.example>");
	want(c, "17: half a line", "%s", "");
	ms_fake_eof(c);
	want(c, "17: is a line at the end", "OK:text for 0a@b.example:0a@b.example:vouch.example.com:%d:%d\n", NOW, NOW);
	assert_true(c->closed);
	ms_fake_free(&c);

	c = ms_fake_client();
	ask_rig_say(c, "<xa@b.example>");
	ms_fake_eof(c);
	assert_false(c->closed);
	ms_fake_pass(WAIT_S * 1000);
	want(c, "17: waits as any line", LATER, "xa@b.example", NOW + 20, NOW + 80);
	assert_true(c->closed);
	ms_fake_free(&c);

	c = ms_fake_client();
	ask_rig_say(c, "<postmaster>\n<xb@b.example>\n<>\n0c@b.ex");
	ms_fake_eof(c);
	ms_fake_pass(WAIT_S * 1000);
	want(c, "in order, to the last", "OK:our own address:postmaster@origin.example:vouch.example.com:%d:%d\n" LATER
	    "OK:null sender::vouch.example.com:%d:%d\nOK:text for 0c@b.ex:0c@b.ex:vouch.example.com:%d:%d\n", NOW + 20, NOW + 20,
	    "xb@b.example", NOW + 40, NOW + 100, NOW + 40, NOW + 40, NOW + 40, NOW + 40);
	assert_true(c->closed);
	ms_fake_free(&c);
}

/* 19, 20: time limits; a slow writer */
static void
test_limits(void **state)
{
	struct ms_client *c = ms_fake_client();
	static const char line[] = "<0a@b.example>\n";

	(void) state;
	ms_fake_pass(9999);
	assert_false(c->closed);
	ms_fake_pass(1);
	assert_true(c->closed);
	want(c, "19: nothing received", "%s", "");
	ms_fake_free(&c);

	c = ms_fake_client();
	ask_rig_say(c, "<>\n<>\n");
	ms_fake_pass(59999);
	ask_rig_say(c, "<>\n");
	ms_fake_pass(59999);
	assert_false(c->closed);
	ms_fake_pass(1);
	assert_true(c->closed);
	want(c, "20: idle", "OK:null sender::vouch.example.com:%d:%d\nOK:null sender::vouch.example.com:%d:%d\n"
	    "OK:null sender::vouch.example.com:%d:%d\n", NOW + 10, NOW + 10, NOW + 10, NOW + 10, NOW + 69, NOW + 69);
	ms_fake_free(&c);

	c = ms_fake_client();
	for (const char *p = line; *p != 0; p++) {	/* a byte a second */
		ms_fake_say(c, p, 1);
		ms_fake_pass(1000);
	}
	assert_false(c->closed);
	assert_int_equal(strncmp(buf_str(&c->out), "OK:", 3), 0);
	ms_fake_free(&c);

	c = ms_fake_client();
	ask_rig_say(c, "<");
	ms_fake_pass(9999);
	ask_rig_say(c, "a");
	ms_fake_pass(9999);
	assert_false(c->closed);
	ms_fake_pass(1);
	assert_true(c->closed);			/* stopped in the middle */
	ms_fake_free(&c);

	c = ms_fake_client();
	for (int i = 0; i < 7 && !c->closed; i++) {
		ask_rig_say(c, "a");
		ms_fake_pass(9000);
	}
	assert_true(c->closed);			/* a line that never ends */
	want(c, "no end", "%s", "");
	ms_fake_free(&c);

	c = ms_fake_client();				/* waiting for a probe is no idling */
	smtpcbd_conf.read_ms = smtpcbd_conf.idle_ms = 1000;
	ask_rig_say(c, "<xa@b.example>\n");
	ms_fake_pass(WAIT_S * 1000);
	assert_false(c->closed);
	assert_true(c->out.len > 0);
	ms_fake_free(&c);
}

/* 21, and one question for all who ask the same */
static void
test_together(void **state)
{
	struct ms_client *c[500];

	(void) state;
	for (size_t i = 0; i < NELEM(c); i++) {
		c[i] = ms_fake_client();
		ms_fake_hear(c[i], "<xt@b.example>\n", 15);
	}
	ms_fake_turn();
	assert_int_equal(ask_rig.stub.requests, 1);
	ms_fake_free(&c[0]);			/* 21: leaves; the others are served, so is the next to ask */
	ask_rig_result("xt@b.example", VERIFY_OK, "250 Ok", NOW);
	ms_fake_pass(10);
	for (size_t i = 1; i < NELEM(c); i++) {
		want(c[i], "all", "OK:250 Ok:xt@b.example:vouch.example.com:%d:%d\n", NOW, NOW + 7 * 86400 + 1);
		ms_fake_free(&c[i]);
	}
	c[0] = ms_fake_client();
	ask_rig_say(c[0], "<xu@b.example>\n");
	ms_fake_free(&c[0]);
	c[0] = ms_fake_client();			/* the probe went on although nobody waited */
	ask_rig_result("xu@b.example", VERIFY_OK, "250 Ok", NOW);
	ask_rig_say(c[0], "<xu@b.example>\n");
	want(c[0], "later", "OK:250 Ok:xu@b.example:vouch.example.com:%d:%d\n", NOW, NOW + 7 * 86400 + 1);
	ms_fake_free(&c[0]);
}

/* 22: nobody was asked */
static void
test_suspended(void **state)
{
	struct ms_client *c = ms_fake_client();
	char	text[300];

	(void) state;
	snprintf(text, sizeof text, PROBE_TEXT_SUSPENDED, "b.example", "12:00:00", "550 5.7.1 blocked");
	ask_rig_result("xa@b.example", VERIFY_DEFER, text, NOW);
	ask_rig_say(c, "<xa@b.example>\n");
	want(c, "tempfail", "TEMPFAIL:probing of b.example suspended until 12;00;00; 550 5.7.1 blocked:xa@b.example:"
	    "vouch.example.com:%d:%d\n", NOW, NOW + 61);
	smtpcbd_conf.suspended_ok = true;
	ask_rig_say(c, "<xa@b.example>\n");
	want(c, "ok", "OK:probing of b.example suspended until 12;00;00; 550 5.7.1 blocked:xa@b.example:"
	    "vouch.example.com:%d:%d\n", NOW, NOW + 61);
	snprintf(text, sizeof text, PROBE_TEXT_NEVER, "c.example");
	ask_rig_result("xb@c.example", VERIFY_DEFER, text, NOW);
	ask_rig_result("xc@c.example", VERIFY_DEFER, PROBE_TEXT_NEVER_MX, NOW);
	ask_rig_result("xd@c.example", VERIFY_DEFER, "450 probing of us is turned off", NOW);
	ask_rig_say(c, "<xb@c.example>\n<xc@c.example>\n<xd@c.example>\n");
	want(c, "turned off", "OK:probing of c.example is turned off:xb@c.example:vouch.example.com:%d:%d\n"
	    "OK:probing of its mail exchangers is turned off:xc@c.example:vouch.example.com:%d:%d\n"
	    "TEMPFAIL:450 probing of us is turned off:xd@c.example:vouch.example.com:%d:%d\n", NOW, NOW + 61, NOW, NOW + 61, NOW,
	    NOW + 61);
	ms_fake_free(&c);
}

/* 23: too many wait */
static void
test_busy(void **state)
{
	struct ms_client *c[3], *d = ms_fake_client();

	(void) state;
	ask_rig_waiters(3);
	ask_rig_result("xknown@b.example", VERIFY_OK, "250 Ok", NOW);
	for (size_t i = 0; i < NELEM(c); i++) {
		char	line[40];

		snprintf(line, sizeof line, "<x%zu@b.example>\n", i);
		c[i] = ms_fake_client();
		ask_rig_say(c[i], line);
	}
	ask_rig_say(d, "<x0@b.example>\n<xknown@b.example>\n");
	want(d, "23", "TEMPFAIL:busy:x0@b.example:vouch.example.com:%d:%d\nOK:250 Ok:xknown@b.example:vouch.example.com:%d:%d\n",
	    NOW, NOW + 60, NOW, NOW + 7 * 86400 + 1);
	assert_int_equal(ask_rig.stub.requests, 3);

	/* 21: one that has closed its side makes room, when there is none */
	ms_fake_eof(c[1]);
	assert_false(c[1]->closed);
	ms_fake_pass(100);
	ask_rig_say(d, "<x9@b.example>\n");
	want(d, "room", "%s", "");
	want(c[1], "21: gone first", LATER, "x1@b.example", NOW, NOW + 60);
	assert_true(c[1]->closed);
	assert_int_equal(ask_rig.stub.requests, 4);
	for (size_t i = 0; i < NELEM(c); i++)
		ms_fake_free(&c[i]);
	ms_fake_free(&d);
}

/* 24: verify is away, refuses, hangs */
static void
test_unavailable(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	ask_rig_result("xknown@b.example", VERIFY_OK, "250 Ok", NOW);
	ask_rig_say(c, "<!a@b.example>\n");
	want(c, "24: refused", "TEMPFAIL:service unavailable:!a@b.example:vouch.example.com:%d:%d\n", NOW, NOW + 60);
	verify_stub_script(&ask_rig.stub, VSTUB_HANG);
	ask_rig_say(c, "<xh@b.example>\n");
	for (int i = 0; i < 6; i++)
		ms_fake_pass(1000);
	want(c, "24: silent", "TEMPFAIL:service unavailable:xh@b.example:vouch.example.com:%d:%d\n", NOW + 6, NOW + 66);
	verify_stub_close(&ask_rig.stub);
	ask_rig_say(c, "<xa@b.example>\n");
	for (int i = 0; i < 60; i++)
		ms_fake_pass(100);
	want(c, "24: not there", "TEMPFAIL:service unavailable:xa@b.example:vouch.example.com:%d:%d\n", NOW + 12, NOW + 72);
	ask_rig_say(c, "<xknown@b.example>\n");
	want(c, "known all the same", "OK:250 Ok:xknown@b.example:vouch.example.com:%d:%d\n", NOW, NOW + 7 * 86400 + 1);
	/* the wait ends before we give verify up */
	smtpcbd_conf.wait_ms = 2000;
	ask_rig_say(c, "<xb@b.example>\n");
	ms_fake_pass(2000);
	want(c, "24: short wait", "TEMPFAIL:service unavailable:xb@b.example:vouch.example.com:%d:%d\n", NOW + 14, NOW + 74);
	smtpcbd_conf.wait_ms = 1000;
	ask_rig_say(c, "<xc@b.example>\n");
	ms_fake_pass(1000);
	want(c, "24: too short to tell", LATER, "xc@b.example", NOW + 15, NOW + 75);
	assert_int_equal(stats_local[STAT_smtpcbd_unavailable], 4);
	ms_fake_free(&c);
}

/* 25: the worker goes */
static void
test_end(void **state)
{
	struct ms_client *c = ms_fake_client(), *d = ms_fake_client();

	(void) state;
	ask_rig_result("xknown@b.example", VERIFY_OK, "250 Ok", NOW);
	ask_rig_say(c, "<xa@b.example>\n<xknown@b.example>\n");
	address_ask_end(smtpcbd_host.ask);
	ms_fake_turn();
	want(c, "25: told", LATER, "xa@b.example", NOW, NOW + 60);
	assert_true(c->closed);
	ask_rig_say(d, "<xb@b.example>\n");
	want(d, "25: afterwards", LATER, "xb@b.example", NOW, NOW + 60);
	assert_true(d->closed);
	assert_int_equal(ask_rig.stub.requests, 2);	/* its probe is under way all the same */
	ms_fake_free(&c);
	ms_fake_free(&d);
	c = ms_fake_client();
	ask_rig_say(c, "<xknown@b.example>\n");
	want(c, "25: known", "OK:250 Ok:xknown@b.example:vouch.example.com:%d:%d\n", NOW, NOW + 7 * 86400 + 1);
	ms_fake_free(&c);
}

/* 26: not one of ours */
static void
test_clients(void **state)
{
	struct buf why = BUF_INIT(100);
	struct ms_client *c;

	(void) state;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in sin;
		socklen_t len = sizeof sin;
		int	fd = sock_inet_listen("127.0.0.1", "0", 5), peer;
		char	port[10];

		assert_int_equal(getsockname(fd, (struct sockaddr *) &sin, &len), 0);
		snprintf(port, sizeof port, "%u", ntohs(sin.sin_port));
		peer = sock_inet_connect("127.0.0.1", port, false);
		c = ms_fake_client_on(accept(fd, NULL, NULL), peer);
		close(fd);
		if (i == 0) {
			ask_rig_say(c, "<>\n");
			want(c, "one of ours", "OK:null sender::vouch.example.com:%d:%d\n", NOW, NOW);
		} else {
			ms_fake_turn();
			assert_true(c->closed);
			want(c, "26", "%s", "");
			assert_non_null(strstr(buf_str(&ask_rig.logged), "client=127.0.0.1: not in smtpcbd_clients"));
		}
		ms_fake_free(&c);
		addr_list_free(&smtpcbd_conf.clients);
		smtpcbd_conf.clients = addr_list_new("192.0.2.0/24", &why);
	}
	assert_int_equal(stats_local[STAT_smtpcbd_refused], 1);
	buf_fini(&why);
}

/* what clients see of a result; the further fields; the log line */
static void
test_shapes(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	ask_rig_result("xa@b.example", VERIFY_BOUNCE, "host mx1.b.example[192.0.2.7] said: 550 5.1.1 no (in reply to RCPT TO command)", NOW - 5);
	smtpcbd_conf.detail = REASON_DETAIL_CODE;
	ask_rig_say(c, "<xa@b.example>\n");
	want(c, "code", "FAIL:550 5.1.1:xa@b.example:vouch.example.com:%d:%d\n", NOW - 5, NOW - 5 + 10801);
	smtpcbd_conf.detail = REASON_DETAIL_FIXED;
	ask_rig_say(c, "<xa@b.example>\n");
	want(c, "fixed", "FAIL:Address does not accept mail:xa@b.example:vouch.example.com:%d:%d\n", NOW - 5, NOW - 5 + 10801);
	smtpcbd_conf.detail = REASON_DETAIL_FULL;
	smtpcbd_conf.extended = true;
	ask_rig_say(c, "<XA@B.Example>\n");		/* another mailbox, perhaps */
	want(c, "case", "%s", "");
	ms_fake_free(&c);
	c = ms_fake_client();
	ask_rig_say(c, "<xa@B.Example>\n");
	assert_non_null(strstr(buf_str(&c->out), "FAIL:550 5.1.1 no:xa@b.example:mx1.b.example[192.0.2.7]:1766999995:1767010796:age=5:id="));
	assert_non_null(strstr(buf_str(&ask_rig.logged), ": client=local, addr=<xa@b.example>, code=FAIL, from=cache, wait=0ms (host mx1"));
	ms_fake_free(&c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_known, begin, end),
		cmocka_unit_test_setup_teardown(test_wait, begin, end),
		cmocka_unit_test_setup_teardown(test_local, begin, end),
		cmocka_unit_test_setup_teardown(test_alien, begin, end),
		cmocka_unit_test_setup_teardown(test_eof, begin, end),
		cmocka_unit_test_setup_teardown(test_limits, begin, end),
		cmocka_unit_test_setup_teardown(test_together, begin, end),
		cmocka_unit_test_setup_teardown(test_suspended, begin, end),
		cmocka_unit_test_setup_teardown(test_busy, begin, end),
		cmocka_unit_test_setup_teardown(test_unavailable, begin, end),
		cmocka_unit_test_setup_teardown(test_end, begin, end),
		cmocka_unit_test_setup_teardown(test_clients, begin, end),
		cmocka_unit_test_setup_teardown(test_shapes, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
