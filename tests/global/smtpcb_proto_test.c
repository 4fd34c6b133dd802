/* tests/global/smtpcb_proto_test.c - requests in every form the plugin has, replies with everything in them that could break
 * its split at colons
 */
#include <global/smtpcb_proto.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <global/smtp_path.h>
#include <util/mem.h>

#define NOW 1767000000

static const char *
kind_name(enum smtpcb_kind kind)
{
	static const char *const names[] = {
		[SMTPCB_ADDRESS] = "address", [SMTPCB_NULL_SENDER] = "null sender", [SMTPCB_BAD_ADDRESS] = "bad address",
		[SMTPCB_LONG_ADDRESS] = "long address", [SMTPCB_UTF8_ADDRESS] = "utf8 address", [SMTPCB_BAD_REQUEST] = "bad request",
	};

	return names[kind];
}

static void
test_requests(void **state)
{
	static const struct {
		const char *line;
		bool	utf8;
		enum smtpcb_kind kind;
		const char *local, *domain;
	} cases[] = {
		/* what the plugin makes of a MAIL FROM (spec smtpcbd-protocol section 2) */
		{ "<a@b.example>", false, SMTPCB_ADDRESS, "a", "b.example" },
		{ "<User@B.Example>", false, SMTPCB_ADDRESS, "User", "b.example" },
		{ "<user@z.example>", false, SMTPCB_ADDRESS, "user", "z.example" },
		{ "<\"a\\ b\"@b.example>", false, SMTPCB_ADDRESS, "a b", "b.example" },
		{ "<\"a\\:b\"@b.example>", false, SMTPCB_ADDRESS, "a:b", "b.example" },
		{ "<\"a\\@b\"@c.example>", false, SMTPCB_ADDRESS, "a@b", "c.example" },
		{ "<\"a\\\"b\"@b.example>", false, SMTPCB_ADDRESS, "a\"b", "b.example" },
		{ "<a..b@c.example>", false, SMTPCB_ADDRESS, "a..b", "c.example" },
		{ "<\"e\\\xc3\\\xa9\"@b.example>", true, SMTPCB_ADDRESS, "e\xc3\xa9", "b.example" },
		{ "<\"e\\\xc3\\\xa9\"@b.example>", false, SMTPCB_UTF8_ADDRESS, "", "" },
		{ "<postmaster>", false, SMTPCB_ADDRESS, "postmaster", "" },
		{ "<PostMaster>", false, SMTPCB_ADDRESS, "PostMaster", "" },
		{ "<@b.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<u@[1.2.3.4]>", false, SMTPCB_ADDRESS, "u", "[1.2.3.4]" },
		{ "<u@[IPv6:2001:db8::1]>", false, SMTPCB_ADDRESS, "u", "[IPv6:2001:db8::1]" },
		{ "<u@foo:bar>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<u@foo_bar.example>", false, SMTPCB_ADDRESS, "u", "foo_bar.example" },
		{ "<u@foo bar>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<\"a\\\x01" "b\"@b.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<\"a\\\x1f\"@b.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<\"a\\\x7f\"@b.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<>", false, SMTPCB_NULL_SENDER, "", "" },
		{ "<#@[]>", false, SMTPCB_NULL_SENDER, "", "" },
		/* by hand */
		{ "a@b.example", false, SMTPCB_ADDRESS, "a", "b.example" },
		{ "a@b.example\r", false, SMTPCB_ADDRESS, "a", "b.example" },
		{ "<a@b.example>\r", false, SMTPCB_ADDRESS, "a", "b.example" },
		{ "  <a@b.example> ", false, SMTPCB_ADDRESS, "a", "b.example" },
		{ "\"a b\"@b.example", false, SMTPCB_ADDRESS, "a b", "b.example" },
		{ "\"a\\\" b\"@b.example", false, SMTPCB_ADDRESS, "a\" b", "b.example" },
		{ "a@b@c.example", false, SMTPCB_ADDRESS, "a@b", "c.example" },
		/* odd addresses */
		{ "<\"\"@b.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<@>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<\"a@b.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<\"a\\>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<\"a\"b@c.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@b.example.>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@.b.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@b..example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@-b.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@b-.example>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@b-example->", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@1.2.3.4>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@1.example>", false, SMTPCB_ADDRESS, "a", "1.example" },
		{ "<a@x23456789012345678901234567890123456789012345678901234567890123>", false, SMTPCB_ADDRESS, "a",
		  "x23456789012345678901234567890123456789012345678901234567890123" },
		{ "<a@x234567890123456789012345678901234567890123456789012345678901234>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<u@[1.2.3]>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<u@[]>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<u@[1.2.3.4>", false, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a\xe9@b.example>", true, SMTPCB_BAD_ADDRESS, "", "" },
		{ "<a@b\xc3\xa9.example>", true, SMTPCB_ADDRESS, "a", "b\xc3\xa9.example" },
		{ "<a@b\xc3\xa9.example>", false, SMTPCB_UTF8_ADDRESS, "", "" },
		/* other protocols */
		{ "", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "\r", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "  ", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "<", false, SMTPCB_BAD_REQUEST, "", "" },
		{ ">", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "<a@b.example", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "a@b.example>", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "postmaster", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "GET / HTTP/1.1", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "GET /a@b.example HTTP/1.1", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "EHLO client.example", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "MAIL FROM:<a@b.example>", false, SMTPCB_BAD_REQUEST, "", "" },
		{ "\x16\x03\x01\x02@x", false, SMTPCB_BAD_REQUEST, "", "" },
	};
	struct smtpcb_request r;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		smtpcb_request_parse(cases[i].line, strlen(cases[i].line), cases[i].utf8, &r);
		if (r.kind != cases[i].kind || strcmp(r.local, cases[i].local) != 0 || strcmp(r.domain, cases[i].domain) != 0)
			fail_msg("%s: got %s \"%s\" at \"%s\", want %s \"%s\" at \"%s\"", cases[i].line, kind_name(r.kind), r.local,
			    r.domain, kind_name(cases[i].kind), cases[i].local, cases[i].domain);
	}
	assert_int_equal(smtpcb_request_parse("<a\0b@c.example>", 15, false, &r), SMTPCB_BAD_REQUEST);
}

static void
test_lengths(void **state)
{
	struct smtpcb_request r;
	char	line[SMTPCB_LINE_MAX + 100];

	(void) state;
	/* 400 bytes of local part, as the plugin sends them */
	snprintf(line, sizeof line, "<%0400d@b.example>", 1);
	assert_int_equal(strlen(line), 412);
	assert_int_equal(smtpcb_request_parse(line, 412, false, &r), SMTPCB_ADDRESS);
	assert_int_equal(strlen(r.local), 400);
	snprintf(line, sizeof line, "<%0502d@b.example>", 1);
	assert_int_equal(smtpcb_request_parse(line, strlen(line), false, &r), SMTPCB_ADDRESS);
	snprintf(line, sizeof line, "<%0503d@b.example>", 1);
	assert_int_equal(smtpcb_request_parse(line, strlen(line), false, &r), SMTPCB_LONG_ADDRESS);
	snprintf(line, sizeof line, "<%01012d@b.example>", 1);
	assert_int_equal(strlen(line), SMTPCB_LINE_MAX);
	assert_int_equal(smtpcb_request_parse(line, strlen(line), false, &r), SMTPCB_LONG_ADDRESS);
	snprintf(line, sizeof line, "<%01013d@b.example>", 1);
	assert_int_equal(smtpcb_request_parse(line, strlen(line), false, &r), SMTPCB_BAD_REQUEST);
}

/* what global/smtp_path.h writes is understood again */
static void
test_mailbox(void **state)
{
	static const struct { const char *local, *domain, *want; } cases[] = {
		{ "a", "b.example", "a@b.example" },
		{ "a b", "b.example", "\"a b\"@b.example" },
		{ "a:b", "b.example", "\"a:b\"@b.example" },
		{ "a@b", "c.example", "\"a@b\"@c.example" },
		{ "a\"b", "b.example", "\"a\\\"b\"@b.example" },
		{ "a..b", "c.example", "\"a..b\"@c.example" },
		{ "e\xc3\xa9", "b.example", "e\xc3\xa9@b.example" },
		{ "postmaster", "", "postmaster" },
		{ "u", "[1.2.3.4]", "u@[1.2.3.4]" },
	};
	struct smtpcb_request r;
	struct buf b = BUF_INIT(1000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&b);
		smtp_path_show(&b, cases[i].local, cases[i].domain);
		assert_string_equal(buf_str(&b), cases[i].want);
		if (cases[i].local[0] == 0)
			continue;
		buf_reset(&b);
		buf_addc(&b, '<');
		smtp_path_show(&b, cases[i].local, cases[i].domain);
		buf_addc(&b, '>');
		assert_int_equal(smtpcb_request_parse(b.data, b.len, true, &r), SMTPCB_ADDRESS);
		assert_string_equal(r.local, cases[i].local);
		assert_string_equal(r.domain, cases[i].domain);
	}
	buf_fini(&b);
}

static void
test_replies(void **state)
{
	static const struct {
		const char *name;
		struct smtpcb_reply r;
		bool	utf8;
		const char *more, *want;
	} cases[] = {
		{ "plain", { SMTPCB_OK, "250 2.1.5 Ok", "ann@example.org", "mx1.example.org[192.0.2.7]", NOW - 5, NOW + 5 }, false, NULL,
		  "OK:250 2.1.5 Ok:ann@example.org:mx1.example.org[192.0.2.7]:1766999995:1767000005\n" },
		{ "colons", { SMTPCB_FAIL, "550 5.1.1 <a@b>: unknown: see http://x/", "u@[IPv6:2001:db8::1]", "mx[2001:db8::7]", 1, NOW },
		  false, NULL, "FAIL:550 5.1.1 <a@b>; unknown; see http;//x/:u@[IPv6_2001_db8__1]:mx[2001_db8__7]:1:1767000000\n" },
		{ "controls", { SMTPCB_FAIL, "a\r\n\tb\x01\x7f" "c", "a\tb\x7f", "s\r\nx", 1, NOW }, false, NULL,
		  "FAIL:a b c:a?b?:s??x:1:1767000000\n" },
		{ "8 bit", { SMTPCB_FAIL, "Gr\xc3\xbc\xdf" "e", "e\xc3\xa9@b", "s\xc3\xa9", 1, NOW }, false, NULL,
		  "FAIL:Gr???e:e??@b:s??:1:1767000000\n" },
		{ "UTF-8", { SMTPCB_FAIL, "Gr\xc3\xbc\xdf" "e", "e\xc3\xa9@b", "s\xc3\xa9", 1, NOW }, true, NULL,
		  "FAIL:Gr\xc3\xbc?e:e\xc3\xa9@b:s\xc3\xa9:1:1767000000\n" },
		{ "full stop and blanks at the end", { SMTPCB_TEMPFAIL, " later. . ", "a@b", "s", 1, NOW }, false, NULL,
		  "TEMPFAIL:later:a@b:s:1:1767000000\n" },
		{ "several lines", { SMTPCB_FAIL, "550-5.1.1 one 550-5.1.1 two 550 5.1.1 three", "a@b", "s", 1, NOW }, false, NULL,
		  "FAIL:550 5.1.1 one two three:a@b:s:1:1767000000\n" },
		{ "several lines, no enhanced code", { SMTPCB_FAIL, "550-one\r\n550-two\r\n550 three", "a@b", "s", 1, NOW }, false, NULL,
		  "FAIL:550 one two three:a@b:s:1:1767000000\n" },
		{ "the code again, in one line", { SMTPCB_FAIL, "550 5.1.1 error 550 5.1.1 twice", "a@b", "s", 1, NOW }, false, NULL,
		  "FAIL:550 5.1.1 error 550 5.1.1 twice:a@b:s:1:1767000000\n" },
		{ "another code within", { SMTPCB_FAIL, "550-5.1.1 one 450-4.2.0 two 550 5.1.1", "a@b", "s", 1, NOW }, false, NULL,
		  "FAIL:550 5.1.1 one 450-4.2.0 two:a@b:s:1:1767000000\n" },
		{ "clock set back", { SMTPCB_OK, "m", "a@b", "s", NOW + 100, NOW - 100 }, false, NULL,
		  "OK:m:a@b:s:1767000000:1767000000\n" },
		{ "times of nothing", { SMTPCB_OK, "m", "a@b", "s", -1, -1 }, false, NULL, "OK:m:a@b:s:0:1767000000\n" },
		{ "no server", { SMTPCB_OK, "m", "a@b", "", 1, NOW }, false, NULL, "OK:m:a@b:localhost:1:1767000000\n" },
		{ "no text", { SMTPCB_OK, "", "", "s", 1, NOW }, false, NULL, "OK:::s:1:1767000000\n" },
		{ "more", { SMTPCB_OK, "m", "a@b", "s", 1, NOW }, false, "age=1:id=7", "OK:m:a@b:s:1:1767000000:age=1:id=7\n" },
	};
	struct buf b = BUF_INIT(2000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&b);
		smtpcb_reply_put(&b, &cases[i].r, NOW, cases[i].utf8, cases[i].more);
		if (strcmp(buf_str(&b), cases[i].want) != 0)
			fail_msg("%s:\n got %swant %s", cases[i].name, buf_str(&b), cases[i].want);
	}
	buf_fini(&b);
}

/* texts that are too long: a server's long line, 20 lines, an address of any length */
static void
test_reply_lengths(void **state)
{
	char	words[2000] = "550 5.1.1", addr[700], server[300], line[1000], *msg;
	struct smtpcb_reply r = { SMTPCB_FAIL, words, "a@b.example", "mx.b.example[192.0.2.7]", 1, NOW }, back;
	struct buf b = BUF_INIT(2000);

	(void) state;
	memset(addr, 'a', sizeof addr);
	addr[sizeof addr - 1] = 0;
	memset(server, 's', sizeof server);
	server[sizeof server - 1] = 0;
	for (int i = 0; i < 100; i++)
		strcat(words, " word");
	smtpcb_reply_put(&b, &r, NOW, false, NULL);
	strcpy(line, buf_str(&b));
	assert_null(smtpcb_reply_parse(line, b.len - 1, &back));
	assert_true(strlen(back.msg) <= 384 - 11 - 23 && strlen(back.msg) > 384 - 11 - 23 - 9);
	assert_string_equal(back.msg + strlen(back.msg) - 7, "word...");

	r.addr = addr;
	r.server = server;
	memset(words, 'w', sizeof words - 1);		/* no blank to cut at */
	buf_reset(&b);
	smtpcb_reply_put(&b, &r, NOW, false, NULL);
	strcpy(line, buf_str(&b));
	assert_null(smtpcb_reply_parse(line, b.len - 1, &back));
	assert_int_equal(strlen(back.msg), 64);
	assert_int_equal(strlen(back.addr), 256);
	assert_int_equal(strlen(back.server), 80);
	assert_string_equal(back.addr + 253, "...");

	memset(words, '\xc3', sizeof words - 1);	/* never half a character */
	for (size_t i = 1; i < sizeof words - 1; i += 2)
		words[i] = '\xbc';
	words[sizeof words - 2] = 0;
	for (size_t n = 0; n < 2; n++) {
		r.addr = n == 0 ? "a@b" : "aa@b";
		r.server = "s";
		buf_reset(&b);
		smtpcb_reply_put(&b, &r, NOW, true, NULL);
		msg = strstr(b.data, "...");
		assert_non_null(msg);
		assert_int_equal((unsigned char) msg[-1], 0xbc);
	}
	buf_fini(&b);
}

static void
test_reply_parse(void **state)
{
	static const struct { const char *line, *wrong; enum smtpcb_code code; const char *msg, *addr, *server; int64_t since, next; } cases[] = {
		{ "OK:m:a:s:1:2", NULL, SMTPCB_OK, "m", "a", "s", 1, 2 },
		{ "FAIL:m:a:s:1:2\r", NULL, SMTPCB_FAIL, "m", "a", "s", 1, 2 },
		{ "TEMPFAIL::::0:0", NULL, SMTPCB_TEMPFAIL, "", "", "", 0, 0 },
		{ "OK:m:a:s:1:2:age=7:x", NULL, SMTPCB_OK, "m", "a", "s", 1, 2 },
		{ "ok:m:a:s:1:2", "unknown code", 0, NULL, NULL, NULL, 0, 0 },
		{ "", "not six fields", 0, NULL, NULL, NULL, 0, 0 },
		{ "FAIL", "not six fields", 0, NULL, NULL, NULL, 0, 0 },
		{ "FAIL:m:a:s:1", "not six fields", 0, NULL, NULL, NULL, 0, 0 },
		{ "FAIL:m:a:s:1:", "not a time", 0, NULL, NULL, NULL, 0, 0 },
		{ "FAIL:m:a:s:x:1", "not a time", 0, NULL, NULL, NULL, 0, 0 },
		{ "FAIL:m:a:s:-1:1", "not a time", 0, NULL, NULL, NULL, 0, 0 },
		{ "FAIL:m:a:s:1:9999999999999999", "not a time", 0, NULL, NULL, NULL, 0, 0 },
		{ "FAIL:m\x01:a:s:1:1", "control characters", 0, NULL, NULL, NULL, 0, 0 },
	};
	struct smtpcb_reply r;
	const char *wrong;
	char	line[200];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		strcpy(line, cases[i].line);
		wrong = smtpcb_reply_parse(line, strlen(line), &r);
		if ((wrong != NULL) != (cases[i].wrong != NULL) || (wrong != NULL && strcmp(wrong, cases[i].wrong) != 0))
			fail_msg("%s: got %s, want %s", cases[i].line, wrong != NULL ? wrong : "good", cases[i].wrong);
		if (wrong != NULL)
			continue;
		assert_int_equal(r.code, cases[i].code);
		assert_string_equal(r.msg, cases[i].msg);
		assert_string_equal(r.addr, cases[i].addr);
		assert_string_equal(r.server, cases[i].server);
		assert_int_equal(r.since_s, cases[i].since);
		assert_int_equal(r.next_s, cases[i].next);
	}
	strcpy(line, "OK:m:a:s:1:2");
	line[4] = 0;
	assert_string_equal(smtpcb_reply_parse(line, 12, &r), "control characters");
}

static void
test_split_text(void **state)
{
	static const struct { const char *text, *server, *msg; } cases[] = {
		{ "host mx1.example.org[192.0.2.7] said: 550 5.1.1 no (in reply to RCPT TO command)", "mx1.example.org[192.0.2.7]",
		  "550 5.1.1 no" },
		{ "host mx1.example.org[192.0.2.7] said: 550 5.1.1 no", "mx1.example.org[192.0.2.7]", "550 5.1.1 no" },
		{ "host m[1::2] said: a (in reply to b) (in reply to end of DATA command)", "m[1::2]", "a (in reply to b)" },
		{ "host m said: ", "m", "" },
		{ "250 2.1.5 Ok", "", "250 2.1.5 Ok" },
		{ "connect to mx[192.0.2.7]:25: Connection refused", "", "connect to mx[192.0.2.7]:25: Connection refused" },
		{ "host a b said: c", "", "host a b said: c" },
		{ "host  said: c", "", "host  said: c" },
		{ "host ", "", "host " },
		{ "host 0123456789012345678901234567890123456789 said: c", "", "host 0123456789012345678901234567890123456789 said: c" },
	};
	char	server[40];
	const char *msg;
	size_t	len;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		msg = smtpcb_split_text(cases[i].text, server, sizeof server, &len);
		if (strcmp(server, cases[i].server) != 0 || len != strlen(cases[i].msg) || strncmp(msg, cases[i].msg, len) != 0)
			fail_msg("%s: got \"%s\" \"%.*s\"", cases[i].text, server, (int) len, msg);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_reply_lengths),
		cmocka_unit_test(test_reply_parse),
		cmocka_unit_test(test_split_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
