/* tests/global/smtp_client_test.c - one session with a server: what is said, what is told, when it ends; scripts, fake clock */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/lib/smtp_stub.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <global/smtp_client.h>

static const char *const end_names[] = { "connect", "refused", "lost", "timeout", "protocol", "tls", "no-tls", "loop", "quit" };

struct session {
	struct ev_loop *loop;
	struct smtp_stub *stub;
	struct tls_ctx *tls;
	struct smtp_client_conf conf;
	struct smtp_client *client;
	const char *say;		/* commands, '|' between them; said one by one, or together with "&" first; "-" nothing */
	const char *rest;		/* still to be said */
	bool	 group, free_on_reply, free_on_ready, silent, ended;
	unsigned ended_n;
	struct buf told;
};

static void
session_say(struct session *s)
{
	char	line[200];
	size_t	n;

	do {
		if (*s->rest == 0) {
			smtp_client_quit(s->client);
			return;
		}
		n = strcspn(s->rest, "|");
		snprintf(line, sizeof line, "%.*s", (int) n, s->rest);
		s->rest += n + (s->rest[n] == '|');
		assert_true(smtp_client_say(s->client, SMTP_AT_MAIL, 1000, "%s", line));
	} while (s->group && *s->rest != 0);
	smtp_client_flush(s->client);
}

static void
session_ready(void *ctx)
{
	struct session *s = ctx;
	const char *tls = smtp_client_tls(s->client);

	buf_addf(&s->told, "ready %x%s;", smtp_client_ext(s->client), tls != NULL ? " tls" : "");
	if (s->free_on_ready)
		smtp_client_free(&s->client);
	else if (strcmp(s->say, "-") != 0)
		session_say(s);
}

static void
session_reply(void *ctx, enum smtp_at at, const struct smtp_reply *r)
{
	struct session *s = ctx;

	assert_int_equal(at, SMTP_AT_MAIL);
	buf_addf(&s->told, "%u;", r->code);
	if (s->free_on_reply)
		smtp_client_free(&s->client);
	else if (smtp_client_pending(s->client) == 0 && !s->silent)
		session_say(s);
}

static void
session_ended(void *ctx, enum smtp_client_end end, enum smtp_at at, const struct smtp_reply *r, const char *why)
{
	struct session *s = ctx;

	buf_addf(&s->told, "%s at %s", end_names[end], smtp_at_name(at));
	if (end == SMTP_END_REFUSED)
		buf_addf(&s->told, " %u", r->code);
	if (end == SMTP_END_CONNECT)
		buf_addf(&s->told, ": %s", why);
	assert_non_null(why);
	s->ended_n++;
	s->ended = true;
	smtp_client_free(&s->client);
}

static const struct smtp_client_ops session_ops = { session_ready, session_reply, session_ended };

static void
session_begin(struct session *s)
{
	const char *why;

	msg_to_stderr(NULL);
	memset(s, 0, sizeof *s);
	buf_init(&s->told, 10000);
	s->loop = ev_loop_new_fake(1800000000);
	s->stub = smtp_stub_new(s->loop);
	s->tls = tls_client_ctx_new(&why);
	s->say = "-";
	s->conf = (struct smtp_client_conf) {
		.helo = "us.test", .tls_ctx = s->tls,
		.connect_ms = 30000, .greet_ms = 10000, .helo_ms = 20000, .starttls_ms = 5000, .quit_ms = 1000,
	};
}

static void
session_end(struct session *s)
{
	smtp_client_free(&s->client);
	smtp_stub_free(&s->stub);
	ev_loop_free(&s->loop);
	tls_ctx_free(&s->tls);
	buf_fini(&s->told);
}

static void
session_open(struct session *s, unsigned host)
{
	struct mx_addr addr = { .a.s_addr = htonl(INADDR_LOOPBACK - 1 + 10 + host) };
	struct smtp_client_to to = { .addr = &addr, .port = smtp_stub_port(s->stub), .name = "mx.test" };

	s->rest = s->say + (*s->say == '&');
	s->group = *s->say == '&';
	s->client = smtp_client_open(s->loop, &s->conf, &to, &session_ops, s);
	assert_int_equal(s->told.len, 0);		/* nothing comes before it returns */
}

/* session_run - until nothing happens any more; the clock moves only when a script says so */
static void
session_run(struct session *s)
{
	char   *ask;

	for (unsigned quiet = 0; quiet < 20; ) {
		quiet = ev_turn(s->loop, quiet > 1) > 0 ? 0 : quiet + 1;
		if (quiet > 4 && smtp_stub_advance(s->stub, &ask))
			quiet = 0;
	}
}

#define HELLO "S: 220 mx.test\nC: EHLO us.test\n"

static void
smtp_client_test_dialogues(void **state)
{
	static const struct {
		const char *name, *script, *say, *want;
		enum smtp_tls_level tls;
		bool	lmtp, loop;
	} cases[] = {
		{ "plain", HELLO "S: 250 mx.test\nC: A\nS: 250 a\nC: B\nS: 550 b\nC: QUIT\nS: 221 bye\nE:", "A|B",
		  "ready 40;250;550;quit at QUIT", 0, 0, 0 },
		{ "as a group", HELLO "S: 250 mx.test\nC: A\nC: B\nC: D\nS: 250 a\nS: 250-b\nS: 250 b\nS: 354 d\nC: QUIT\nS: 221 bye\nE:",
		  "&A|B|D", "ready 40;250;250;354;quit at QUIT", 0, 0, 0 },
		{ "extensions", HELLO "S: 250-mx.test PIPELINING\nS: 250-SIZE 1000\nS: 250-dsn\nS: 250-SMTPUTF8X\nS: 250 8BITMIME\nC: QUIT\nS: 221\nE:",
		  "", "ready 78;quit at QUIT", 0, 0, 0 },
		{ "HELO", HELLO "S: 502 no\nC: HELO us.test\nS: 250 mx\nC: QUIT\nS: 221\nE:", "", "ready 0;quit at QUIT", 0, 0, 0 },
		{ "LMTP", "S: 220 mx\nC: LHLO us.test\nS: 250 mx\nC: QUIT\nS: 221\nE:", "", "ready 40;quit at QUIT", 0, 1, 0 },
		{ "LMTP knows no HELO", "S: 220 mx\nC: LHLO us.test\nS: 502 no\nE:", "", "refused at EHLO 502", 0, 1, 0 },
		{ "greeting refused", "S: 554-go\nS: 554 away\nE:", "", "refused at banner 554", 0, 0, 0 },
		{ "EHLO put off", HELLO "S: 421 busy\nE:", "", "refused at EHLO 421", 0, 0, 0 },
		{ "ourselves", "S: 220 x\nC: EHLO us.test\nS: 250-Us.Test hello\nS: 250 X\nE:", "", "loop at EHLO", 0, 0, 1 },
		{ "a longer name is not ourselves", "S: 220 x\nC: EHLO us.test\nS: 250 us.test.other\nC: QUIT\nS: 221\nE:", "",
		  "ready 40;quit at QUIT", 0, 0, 1 },
		{ "closed at once", "X: close", "", "lost at banner", 0, 0, 0 },
		{ "closed in mid-reply", HELLO "S- 250-mx\\r\\n25\nX: close", "", "lost at EHLO", 0, 0, 0 },
		{ "closed amid a group", HELLO "S: 250 mx\nC: A\nC: B\nS: 250 a\nX: close", "&A|B", "ready 40;250;lost at MAIL", 0, 0, 0 },
		{ "reset", HELLO "X: reset", "", "lost at EHLO", 0, 0, 0 },
		{ "no SMTP", "S: hello\nE:", "", "protocol at banner", 0, 0, 0 },
		{ "early", "S- 220 mx\\r\\n250 mx\\r\\n\nE:", "", "protocol at banner", 0, 0, 0 },
		{ "two replies to one command", HELLO "S: 250 mx\nC: A\nS- 250 a\\r\\n250 b\\r\\n\nE:", "A|B", "ready 40;protocol at RSET", 0, 0, 0 },
		{ "a farewell behind the reply", HELLO "S: 250 mx\nC: A\nS- 250 a\\r\\n421 enough\\r\\n\nX: close", "A|B", "ready 40;250;421;quit at QUIT", 0, 0, 0 },
		{ "unasked", HELLO "S: 250 mx\nT: +1s\nS: 250 b\nE:", "-", "ready 40;protocol at RSET", 0, 0, 0 },
		{ "farewell unasked", HELLO "S: 250 mx\nT: +1s\nS: 421 b\nE:", "-", "ready 40;lost at RSET", 0, 0, 0 },
		{ "QUIT gets no answer", HELLO "S: 250 mx\nC: QUIT\nT: +1s\nE:", "", "ready 40;quit at QUIT", 0, 0, 0 },
		{ "QUIT gets rubbish", HELLO "S: 250 mx\nC: QUIT\nS- \\x00\\n\nE:", "", "ready 40;quit at QUIT", 0, 0, 0 },
		{ "TLS not wanted", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: QUIT\nS: 221\nE:", "", "ready 42;quit at QUIT", 0, 0, 0 },
		{ "TLS", HELLO "S: 250-mx\nS: 250-DSN\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nL: ok\nC: EHLO us.test\nS: 250 mx\nC: A\nS: 250 a\n"
		  "C: QUIT\nS: 221\nE:", "A", "ready 40 tls;250;quit at QUIT", SMTP_TLS_MAY, 0, 0 },
		{ "TLS not offered", HELLO "S: 250 mx\nC: QUIT\nS: 221\nE:", "", "ready 40;quit at QUIT", SMTP_TLS_MAY, 0, 0 },
		{ "TLS needed, not offered", HELLO "S: 250 mx\nE:", "", "no-tls at EHLO", SMTP_TLS_ENCRYPT, 0, 0 },
		{ "TLS refused", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no\nC: QUIT\nS: 221\nE:", "", "ready 42;quit at QUIT",
		  SMTP_TLS_MAY, 0, 0 },
		{ "TLS needed, refused", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no\nE:", "", "refused at STARTTLS 454",
		  SMTP_TLS_ENCRYPT, 0, 0 },
		{ "TLS breaks", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nT: +1ms\nL: fail\nX: close", "", "tls at STARTTLS", SMTP_TLS_MAY, 0, 0 },
		{ "closed in the handshake", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nX: close", "", "tls at STARTTLS",
		  SMTP_TLS_MAY, 0, 0 },
		{ "text slipped in before TLS", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS- 220 go\\r\\n250 evil\\r\\n\nE:", "",
		  "protocol at STARTTLS", SMTP_TLS_MAY, 0, 0 },
		{ "a farewell slipped in before TLS", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS- 220 go\\r\\n421 evil\\r\\n\nT: +1ms\nX: close", "",
		  "protocol at STARTTLS", SMTP_TLS_MAY, 0, 0 },
		{ "half a line slipped in before TLS", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS- 220 go\\r\\n25\nE:", "",
		  "protocol at STARTTLS", SMTP_TLS_ENCRYPT, 0, 0 },
		{ "refused after TLS", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nL: ok\nC: EHLO us.test\nS: 550 no\nE:", "",
		  "refused at EHLO 550", SMTP_TLS_MAY, 0, 0 },
	};
	struct session s;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		session_begin(&s);
		s.say = cases[i].say;
		s.conf.tls = cases[i].tls;
		s.conf.lmtp = cases[i].lmtp;
		s.conf.loop_name = cases[i].loop ? "us.test" : NULL;
		smtp_stub_script(s.stub, 1, cases[i].script, 1);
		session_open(&s, 1);
		session_run(&s);
		if (*smtp_stub_error(s.stub) != 0)
			fail_msg("%s: %s", cases[i].name, smtp_stub_error(s.stub));
		if (strcmp(buf_str(&s.told), cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].name, buf_str(&s.told), cases[i].want);
		assert_int_equal(s.ended_n, 1);
		session_end(&s);
	}
}

/* each wait has its own limit, to the millisecond; whatever trickles in does not make it longer */
static void
smtp_client_test_limits(void **state)
{
	static const struct {
		const char *name, *script, *say;
		enum smtp_tls_level tls;
		int64_t	ms;
		const char *want;
	} cases[] = {
		{ "greeting", "W:", "", 0, 10000, "timeout at banner" },
		{ "greeting that drips", "S: 220-wait\nT: +5s\nS: 220-wait\nT: +4s\nS- 22\nW:", "", 0, 1000, "timeout at banner" },
		{ "EHLO", HELLO "W:", "", 0, 20000, "timeout at EHLO" },
		{ "HELO has its own", HELLO "T: +15s\nS: 500 no\nC: HELO us.test\nW:", "", 0, 20000, "timeout at HELO" },
		{ "STARTTLS", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nW:", "", SMTP_TLS_MAY, 5000, "timeout at STARTTLS" },
		{ "handshake", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nT: +4999ms\nT: +1ms", "", SMTP_TLS_MAY, 0, "timeout at STARTTLS" },
		{ "a command", HELLO "S: 250 mx\nC: A\nS- 250-a\nW:", "A", 0, 1000, "ready 40;timeout at MAIL" },
		{ "the second of a group, from its turn on", HELLO "S: 250 mx\nC: A\nC: B\nT: +999ms\nS: 250 a\nW:", "&A|B", 0, 1000,
		  "ready 40;250;timeout at MAIL" },
	};
	struct session s;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		session_begin(&s);
		s.say = cases[i].say;
		s.conf.tls = cases[i].tls;
		smtp_stub_script(s.stub, 1, cases[i].script, 1);
		session_open(&s, 1);
		session_run(&s);
		if (cases[i].ms > 0) {
			ev_fake_advance(s.loop, cases[i].ms - 1);
			session_run(&s);
			if (s.ended)
				fail_msg("%s: ended too early: %s", cases[i].name, buf_str(&s.told));
			ev_fake_advance(s.loop, 1);
			session_run(&s);
		}
		if (strcmp(buf_str(&s.told), cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].name, buf_str(&s.told), cases[i].want);
		session_end(&s);
	}
}

static void
smtp_client_test_connect(void **state)
{
	char	dir[] = "/tmp/vouch-test-XXXXXX", path[60];
	struct smtp_client_to to = { .path = path, .name = NULL };
	struct session s;
	int	fd;

	(void) state;
	session_begin(&s);
	smtp_stub_deaf(s.stub, 2);
	session_open(&s, 2);
	session_run(&s);
	assert_string_equal(buf_str(&s.told), "connect at banner: Connection refused");
	session_end(&s);

	session_begin(&s);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/none", dir);
	s.client = smtp_client_open(s.loop, &s.conf, &to, &session_ops, &s);
	assert_int_equal(s.ended_n, 0);
	session_run(&s);
	assert_string_equal(buf_str(&s.told), "connect at banner: No such file or directory");
	session_end(&s);

	/* a UNIX socket that answers */
	session_begin(&s);
	snprintf(path, sizeof path, "%s/sock", dir);
	assert_true((fd = sock_unix_listen(path, 5, 0600)) >= 0);
	s.client = smtp_client_open(s.loop, &s.conf, &to, &session_ops, &s);
	session_run(&s);
	assert_int_equal(s.told.len, 0);
	close(fd);
	session_run(&s);
	assert_string_equal(buf_str(&s.told), "lost at banner");
	session_end(&s);
	unlink(path);
	rmdir(dir);
}

/* the owner may free the session from any callback, and before the first */
static void
smtp_client_test_free(void **state)
{
	static const char *const told[] = { "", "ready 40;", "ready 40;250;", "ready 40;250;250;" };
	struct session s;

	(void) state;
	for (int when = 0; when < 4; when++) {
		session_begin(&s);
		smtp_stub_script(s.stub, 1, HELLO "S: 250 mx\nC: A\nC: B\nS- 250 a\\r\\n250 b\\r\\n", 1);
		s.say = "&A|B|D";
		s.free_on_ready = when == 1;
		s.free_on_reply = when == 2;
		session_open(&s, 1);
		if (when == 0)
			smtp_client_free(&s.client);
		if (when == 3) {
			session_run(&s);		/* D is under way */
			smtp_client_free(&s.client);
		}
		session_run(&s);
		assert_null(s.client);
		assert_int_equal(s.ended_n, 0);
		assert_string_equal(buf_str(&s.told), told[when]);	/* and nothing comes afterwards */
		smtp_client_free(&s.client);
		session_end(&s);
	}
}

/* what may be said, and how much at a time */
static void
smtp_client_test_say(void **state)
{
	struct session s;
	struct buf script = BUF_INIT(100000);

	(void) state;
	session_begin(&s);
	buf_adds(&script, HELLO "S: 250 mx\n");
	for (int i = 0; i < SMTP_CLIENT_PENDING; i++)
		buf_addf(&script, "C: N%d\n", i);
	buf_addf(&script, "S* %d 250 ok\nC: QUIT\nS: 221 bye\nE:", SMTP_CLIENT_PENDING);
	smtp_stub_script(s.stub, 1, buf_str(&script), 1);
	session_open(&s, 1);
	assert_false(smtp_client_say(s.client, SMTP_AT_MAIL, 1000, "too early"));
	session_run(&s);
	/* nothing that is quoted from elsewhere becomes a command of its own */
	assert_false(smtp_client_say(s.client, SMTP_AT_MAIL, 1000, "RCPT TO:<%s>", "a@b.test>\r\nDATA"));
	assert_false(smtp_client_say(s.client, SMTP_AT_MAIL, 1000, "%s", "a\nb"));
	assert_false(smtp_client_say(s.client, SMTP_AT_MAIL, 1000, "%s", "a\r"));
	assert_int_equal(smtp_client_pending(s.client), 0);
	for (int i = 0; i < SMTP_CLIENT_PENDING; i++)
		assert_true(smtp_client_say(s.client, SMTP_AT_MAIL, 1000, "N%d", i));
	assert_false(smtp_client_say(s.client, SMTP_AT_MAIL, 1000, "one more"));
	assert_int_equal(smtp_client_pending(s.client), SMTP_CLIENT_PENDING);
	s.rest = "";
	smtp_client_flush(s.client);
	session_run(&s);
	assert_string_equal(smtp_stub_error(s.stub), "");
	assert_non_null(strstr(buf_str(&s.told), "quit at QUIT"));
	session_end(&s);
	buf_fini(&script);
}

/* quit while replies are outstanding waits for them; expire ends what is going on */
static void
smtp_client_test_ends(void **state)
{
	struct session s;

	(void) state;
	session_begin(&s);
	smtp_stub_script(s.stub, 1, HELLO "S: 250 mx\nC: A\nT: +500ms\nS: 250 a\nC: QUIT\nS: 221 bye\nE:", 1);
	s.say = "A";
	session_open(&s, 1);
	for (int i = 0; i < 50 && s.told.len == 0; i++)
		ev_turn(s.loop, 10);
	s.silent = true;
	smtp_client_quit(s.client);
	session_run(&s);
	assert_string_equal(buf_str(&s.told), "ready 40;250;quit at QUIT");
	assert_string_equal(smtp_stub_error(s.stub), "");
	session_end(&s);

	/* before it is ready, too: it says QUIT in place of being ready */
	session_begin(&s);
	smtp_stub_script(s.stub, 1, HELLO "S: 250 mx\nC: QUIT\nS: 221 bye\nE:", 1);
	session_open(&s, 1);
	smtp_client_quit(s.client);
	session_run(&s);
	assert_string_equal(buf_str(&s.told), "quit at QUIT");
	session_end(&s);

	session_begin(&s);
	smtp_stub_script(s.stub, 1, HELLO "S: 250 mx\nC: A\nE:", 1);
	s.say = "A";
	session_open(&s, 1);
	session_run(&s);
	smtp_client_expire(s.client);
	assert_string_equal(buf_str(&s.told), "ready 40;timeout at MAIL");
	session_run(&s);
	assert_int_equal(s.ended_n, 1);
	session_end(&s);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(smtp_client_test_dialogues),
		cmocka_unit_test(smtp_client_test_limits),
		cmocka_unit_test(smtp_client_test_connect),
		cmocka_unit_test(smtp_client_test_free),
		cmocka_unit_test(smtp_client_test_say),
		cmocka_unit_test(smtp_client_test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
