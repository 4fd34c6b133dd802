/* tests/global/smtp_send_test.c - one mail transaction, with servers that fail at each step
 * A row is a dialogue in the language of tests/lib/smtp_stub.h; "@" begins the next connection; hello [EXT ...] is greeting and
 * EHLO, mail, rcpt [WHO] and data are our command and a yes, body is the message and the dot, bye is QUIT.
 * got: the answers "VERDICT dsn text" of the message, then after "|" those of the recipients; '*' at the end: any rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/dns_stub.h>
#include <tests/lib/smtp_stub.h>
#include <util/mem.h>
#include <global/smtp_send.h>

enum { LMTP = 1, STRICT = 2, LIVE = 4, XCLIENT = 8, UTF8 = 16, KEEP = 32, EIGHT = 64, UNREADABLE = 128, TWICE = 256, BIG = 512 };

struct world {
	struct ev_loop *loop;
	struct smtp_stub *stub;
	struct smtp_hop_conf hc;
	struct smtp_hop *hop;
	struct smtp_send_conf sc;
	struct smtp_send *send;
	struct body_source source;
	const char *body, *body_at;
	size_t	big;
	bool	unreadable;
	unsigned done, live;
	struct buf got;
};

static const char *const verdicts[] = { "none", "ok", "soft", "hard" };

static ssize_t
world_read(void *ctx, void *data, size_t n)
{
	struct world *w = ctx;
	size_t	len = strlen(w->body_at);

	if (w->unreadable && len == 0)
		return -1;
	if (w->big > 0) {
		n = n < w->big ? n : w->big;
		memset(data, 'x', n);
		w->big -= n;
		return (ssize_t) n;
	}
	n = n < 5 ? n : 5;		/* small pieces */
	n = n < len ? n : len;
	memcpy(data, w->body_at, n);
	w->body_at += n;
	return (ssize_t) n;
}

static void
world_rcpt(void *ctx, size_t i, const struct hop_answer *a)
{
	struct world *w = ctx;

	buf_addf(&w->got, "live%zu %s %s %s\n", i, verdicts[a->verdict], a->dsn, a->text);
	w->live++;
}

static void
world_done(void *ctx, const struct hop_answer *a)
{
	struct world *w = ctx;

	buf_addf(&w->got, "%s %s %s", verdicts[a->verdict], a->dsn, a->text);
	if (w->sc.lmtp)
		for (size_t i = 0; i < smtp_send_rcpts(w->send); i++)
			buf_addf(&w->got, " | %s", verdicts[smtp_send_rcpt_answer(w->send, i)->verdict]);
	buf_addc(&w->got, '\n');
	w->done++;
	smtp_send_free(&w->send);		/* from the callback: that is what owners do */
}

static const struct smtp_send_ops world_ops = { world_rcpt, world_done };

static void
world_init(struct world *w, unsigned flags)
{
	static char host[] = "127.0.0.10";

	memset(w, 0, sizeof *w);
	w->loop = ev_loop_new_fake(1000000);
	w->stub = smtp_stub_new(w->loop);
	strcpy(w->hc.to.host, host);
	w->hc.to.port = smtp_stub_port(w->stub);
	w->hc.client = (struct smtp_client_conf) { .helo = "front.test", .lmtp = (flags & LMTP) != 0, .connect_ms = 1000, .greet_ms = 2000,
	    .helo_ms = 3000, .starttls_ms = 4000, .quit_ms = 500 };
	w->hc.ipv4 = true;
	w->hc.uses = 10;
	w->hc.exim_uses = 1;
	w->hc.idle_ms = 5000;
	w->hc.life_ms = 20000;
	w->hc.idle_max = (flags & KEEP) != 0 ? 2 : 0;
	w->sc = (struct smtp_send_conf) { .xclient_ms = 5000, .mail_ms = 6000, .rcpt_ms = 7000, .data_ms = 8000, .body_ms = 9000,
	    .end_ms = 10000, .total_ms = 60000, .lmtp = (flags & LMTP) != 0, .strict = (flags & STRICT) != 0,
	    .xclient = (flags & XCLIENT) != 0 };
	w->hop = smtp_hop_new(w->loop, &w->hc, NULL);
	w->source = (struct body_source) { world_read, w };
	w->unreadable = (flags & UNREADABLE) != 0;
	buf_init(&w->got, 100000);
}

static void
world_fini(struct world *w)
{
	smtp_send_free(&w->send);
	smtp_hop_free(&w->hop);
	smtp_stub_free(&w->stub);
	ev_loop_free(&w->loop);
	buf_fini(&w->got);
}

/* world_idle - until nothing happens; scripts have the clock moved */
static void
world_idle(struct world *w)
{
	char	*ask;

	for (int quiet = 0; quiet < 3; )
		if (ev_turn(w->loop, 2) > 0)
			quiet = 0;
		else if (smtp_stub_advance(w->stub, &ask))
			quiet = 0;
		else
			quiet++;
}

static void
world_script(struct world *w, const char *text)
{
	struct buf script = BUF_INIT(100000);
	char	*all = mem_strdup(text), *line, *next, *word;

	for (line = all; line != NULL; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = 0;
		if (strcmp(line, "@") == 0) {
			smtp_stub_script(w->stub, 0, buf_str(&script), 1);
			buf_reset(&script);
		} else if (strncmp(line, "hello", 5) == 0) {
			buf_addf(&script, "S: 220 sink.test\nC: %s front.test\nS- 250-sink.test\\r\\n\n", w->sc.lmtp ? "LHLO" : "EHLO");
			for (word = strtok(line + 5, ","); word != NULL; word = strtok(NULL, ","))
				buf_addf(&script, "S- 250-%s\\r\\n\n", word + strspn(word, " "));
			buf_adds(&script, "S: 250 HELP\n");
		} else if (strcmp(line, "mail") == 0)
			buf_adds(&script, "C: MAIL FROM:<ann@a.test>*\nS: 250 2.1.0 ok\n");
		else if (strncmp(line, "rcpt", 4) == 0)
			buf_addf(&script, "C: RCPT TO:<%s>\nS: 250 2.1.5 ok\n", line[4] != 0 ? line + 5 : "bob@b.test");
		else if (strcmp(line, "data") == 0)
			buf_adds(&script, "C: DATA\nS: 354 go\n");
		else if (strcmp(line, "body") == 0)
			buf_adds(&script, "C: Subject: x\nC: \nC: ..hidden\nC: end\nC: .\n");
		else if (strcmp(line, "bye") == 0)
			buf_adds(&script, "C: QUIT\nS: 221 bye\n");
		else if (*line != 0)
			buf_addf(&script, "%s\n", line);
	}
	if (script.len > 0)
		smtp_stub_script(w->stub, 0, buf_str(&script), 1);
	buf_fini(&script);
	mem_free(&all);
}

static const struct send_case {
	const char *name;
	unsigned flags;
	const char *rcpts;		/* blanks between */
	const char *script, *want;
} send_cases[] = {
	{ "delivered", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 250 2.0.0 Ok: queued as X1\nbye",
	  "ok 2.0.0 Ok: queued as X1" },
	{ "without enhanced code", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 250 taken\nbye", "ok 2.0.0 taken" },
	{ "pipelined", 0, "bob@b.test eve@b.test",
	  "hello PIPELINING\nC: MAIL FROM:<ann@a.test>\nC: RCPT TO:<bob@b.test>\nC: RCPT TO:<eve@b.test>\nS: 250 a\nS: 250 b\nS: 250 c\n"
	  "data\nbody\nS: 250 ok\nbye", "ok 2.0.0 ok" },
	{ "pipelined, refused", 0, "bob@b.test", "hello PIPELINING\nC: MAIL *\nC: RCPT *\nC: DATA\nS: 250 a\nS: 550 5.1.1 no\nS: 503 5.5.1 no\nbye",
	  "hard 5.1.1 host*" },
	{ "pipelined, one refused, go", 0, "bob@b.test eve@b.test",
	  "hello PIPELINING\nC: MAIL *\nC: RCPT *\nC: RCPT *\nC: DATA\nS: 250 a\nS: 250 b\nS: 452 4.2.2 full\nS: 354 go\nE:", "soft 4.2.2 host*" },
	{ "pipelined, refused, and go all the same", 0, "bob@b.test",
	  "hello PIPELINING\nC: MAIL *\nC: RCPT *\nC: DATA\nS: 250 a\nS: 550 5.1.1 no\nS: 354 go\nE:", "hard 5.1.1 host*" },
	{ "pipelined, DATA refused", 0, "bob@b.test", "hello PIPELINING\nC: MAIL *\nC: RCPT *\nC: DATA\nS: 250 a\nS: 250 b\nS: 451 4.3.0 no\nbye",
	  "soft 4.3.0 host*DATA command)" },
	{ "pipelined, closed in the middle", 0, "bob@b.test", "hello PIPELINING\nC: MAIL *\nC: RCPT *\nC: DATA\nS: 250 a\nX: close", "soft 4.4.2 lost*RCPT TO" },
	{ "kept and pipelined, but closed meanwhile", KEEP | TWICE, "bob@b.test",
	  "hello PIPELINING\nmail\nrcpt\ndata\nbody\nS: 250 one\nC: MAIL *\nX: close\n@\nhello PIPELINING\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye",
	  "ok 2.0.0 one\nok 2.0.0 two" },
	{ "parameters", EIGHT | UTF8, "bob@b.test", "hello SIZE 1000,8BITMIME,SMTPUTF8\n"
	  "C: MAIL FROM:<ann@a.test> SIZE=28 BODY=8BITMIME SMTPUTF8\nS: 250 ok\nrcpt\ndata\nbody\nS: 250 ok\nbye", "ok 2.0.0 ok" },
	{ "8-bit without 8BITMIME", EIGHT, "bob@b.test", "hello\nC: MAIL FROM:<ann@a.test>\nS: 250 ok\nrcpt\ndata\nbody\nS: 250 ok\nbye",
	  "ok 2.0.0 ok" },
	{ "no SMTPUTF8", UTF8, "bob@b.test", "hello\nbye", "hard 5.6.7 SMTPUTF8 is required*" },
	{ "too large", 0, "bob@b.test", "hello SIZE 20\nbye", "hard 5.3.4 message size 28 exceeds size limit 20 of host 127.0.0.10*" },
	{ "SIZE without a limit", 0, "bob@b.test", "hello SIZE\nmail\nrcpt\ndata\nbody\nS: 250 ok\nbye", "ok 2.0.0 ok" },
	{ "HELO", 0, "bob@b.test", "S: 220 x\nC: EHLO front.test\nS: 502 no\nC: HELO front.test\nS: 250 x\nmail\nrcpt\ndata\nbody\n"
	  "S: 250 ok\nbye", "ok 2.0.0 ok" },

	{ "greeting refused for now", 0, "bob@b.test", "S: 421 4.3.2 later\nE:", "soft 4.3.2 host 127.0.0.10[127.0.0.10] refused to talk to me: 421 4.3.2 later" },
	{ "greeting refused for good", 0, "bob@b.test", "S: 554 5.3.2 no\nE:", "soft 4.3.2 host 127.0.0.10[127.0.0.10] refused to talk to me: 554*" },
	{ "closed before the greeting", 0, "bob@b.test", "X: close", "soft 4.4.2 lost connection with 127.0.0.10[127.0.0.10] while receiving*" },
	{ "silent before the greeting", 0, "bob@b.test", "T: +3s\nE:", "soft 4.4.2 conversation with 127.0.0.10[127.0.0.10] timed out while receiving*" },
	{ "no SMTP", 0, "bob@b.test", "S: hello\nE:", "soft 4.5.0 Protocol error: host 127.0.0.10[127.0.0.10] said: hello" },
	{ "closed after EHLO", 0, "bob@b.test", "S: 220 x\nC: EHLO *\nX: close", "soft 4.4.2 lost connection*EHLO*" },
	{ "silent after EHLO", 0, "bob@b.test", "S: 220 x\nC: EHLO *\nT: +4s\nE:", "soft 4.4.2 conversation*" },
	{ "closed after MAIL", 0, "bob@b.test", "hello\nC: MAIL *\nX: close", "soft 4.4.2 lost connection with 127.0.0.10[127.0.0.10] while sending MAIL FROM" },
	{ "silent after MAIL", 0, "bob@b.test", "hello\nC: MAIL *\nT: +7s\nE:", "soft 4.4.2 conversation with 127.0.0.10[127.0.0.10] timed out while sending MAIL FROM" },
	{ "MAIL refused for good", 0, "bob@b.test", "hello\nC: MAIL *\nS: 550 5.7.1 not you\nbye",
	  "hard 5.7.1 host 127.0.0.10[127.0.0.10] said: 550 5.7.1 not you (in reply to MAIL FROM command)" },
	{ "MAIL refused for now, pipelined", 0, "bob@b.test", "hello PIPELINING\nC: MAIL *\nC: RCPT *\nC: DATA\nS: 451 4.3.0 later\nS: 503 5.5.1 MAIL first\nS: 503 5.5.1 RCPT first\nbye",
	  "soft 4.3.0 host 127.0.0.10[127.0.0.10] said: 451 4.3.0 later (in reply to MAIL FROM command)" },
	{ "odd reply to MAIL", 0, "bob@b.test", "hello\nC: MAIL *\nS: 354 what\nbye", "soft 4.0.0 host*" },
	{ "closed after RCPT", 0, "bob@b.test", "hello\nmail\nC: RCPT *\nX: close", "soft 4.4.2 lost connection with 127.0.0.10[127.0.0.10] while sending RCPT TO" },
	{ "silent after RCPT", 0, "bob@b.test", "hello\nmail\nC: RCPT *\nT: +8s\nE:", "soft 4.4.2 conversation*RCPT TO" },
	{ "RCPT refused for good", 0, "bob@b.test", "hello\nmail\nC: RCPT *\nS: 550 5.1.1 no such user\nbye",
	  "hard 5.1.1 host 127.0.0.10[127.0.0.10] said: 550 5.1.1 no such user (in reply to RCPT TO command)" },
	{ "RCPT refused for now", 0, "bob@b.test", "hello\nmail\nC: RCPT *\nS: 450 4.2.0 greylisted\nbye", "soft 4.2.0 host*greylisted*" },
	{ "one of two refused for good: nothing is sent", 0, "bob@b.test eve@b.test", "hello\nmail\nrcpt\nC: RCPT *\nS: 550 5.1.1 no such user\nbye",
	  "hard 5.1.1 host*no such user*" },
	{ "one of two refused for now: nothing is sent", 0, "eve@b.test bob@b.test", "hello\nmail\nC: RCPT *\nS: 450 4.2.0 later\nrcpt\nbye",
	  "soft 4.2.0 host*later*" },
	{ "one for good, one for now", 0, "eve@b.test bob@b.test", "hello\nmail\nC: RCPT *\nS: 550 5.1.1 no\nC: RCPT *\nS: 451 4.3.0 later\nbye",
	  "soft 4.3.0 host*later*" },
	{ "closed after DATA", 0, "bob@b.test", "hello\nmail\nrcpt\nC: DATA\nX: close", "soft 4.4.2 lost connection*DATA command" },
	{ "silent after DATA", 0, "bob@b.test", "hello\nmail\nrcpt\nC: DATA\nT: +9s\nE:", "soft 4.4.2 conversation*DATA command" },
	{ "DATA refused for good", 0, "bob@b.test", "hello\nmail\nrcpt\nC: DATA\nS: 554 5.7.1 no\nbye",
	  "hard 5.7.1 host 127.0.0.10[127.0.0.10] said: 554 5.7.1 no (in reply to DATA command)" },
	{ "DATA refused for now", 0, "bob@b.test", "hello\nmail\nrcpt\nC: DATA\nS: 451 no\nbye", "soft 4.0.0 host*DATA command)" },
	{ "250 to DATA is no yes", 0, "bob@b.test", "hello\nmail\nrcpt\nC: DATA\nS: 250 ok\nbye", "soft 4.0.0 host*DATA command)" },
	{ "closed at the 354", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nX: close", "soft 4.4.2 lost connection*" },
	{ "closed in the body", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nC: Subject: x\nX: reset", "soft 4.4.2 lost connection*" },
	{ "closed in a large body", BIG, "bob@b.test", "hello\nmail\nrcpt\ndata\nX: reset", "soft 4.4.2 lost connection*message body" },
	{ "yes in the midst of the body", BIG, "bob@b.test", "hello\nmail\nrcpt\ndata\nS: 250 2.0.0 taken\nW:", "soft 4.5.0 Protocol error*" },
	{ "250 together with the 354", 0, "bob@b.test", "hello\nmail\nrcpt\nC: DATA\nS- 354 go\\r\\n250 taken\\r\\n\nW:", "soft 4.5.0 Protocol error*" },
	{ "closed after the dot", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nX: close", "soft 4.4.2 lost connection*end of the message" },
	{ "silent after the dot", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nT: +11s\nE:", "soft 4.4.2 conversation*end of the message" },
	{ "refused for good after the dot", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 554 5.7.1 spam\nbye",
	  "hard 5.7.1 host 127.0.0.10[127.0.0.10] said: 554 5.7.1 spam (in reply to end of DATA command)" },
	{ "refused for now after the dot", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 452 4.3.1 disk full\nbye", "soft 4.3.1 host*" },
	{ "421 after the dot", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 421 4.3.2 down\nX: close", "soft 4.3.2 host*" },
	{ "half a yes after the dot", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS- 250 2.0.0 Ok\nX: close", "soft 4.4.2 lost connection*" },
	{ "no yes after the dot", 0, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 354 go on\nbye", "soft 4.0.0 host*" },
	{ "no final dot when the message cannot be read", UNREADABLE, "bob@b.test", "hello\nmail\nrcpt\ndata\nE:",
	  "soft 4.3.0 the message cannot be read*" },

	{ "XCLIENT", XCLIENT, "bob@b.test", "hello XCLIENT NAME ADDR PORT PROTO HELO\nC: XCLIENT NAME=c.test ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=c+2Bd\n"
	  "S: 220 x\nC: EHLO c+d\nS- 250-x\\r\\n\nS: 250 PIPELINING\nC: MAIL *\nC: RCPT *\nS: 250 a\nS: 250 b\ndata\nbody\nS: 250 ok\nbye", "ok 2.0.0 ok" },
	{ "XCLIENT of two attributes", XCLIENT, "bob@b.test", "hello XCLIENT LOGIN ADDR NAME\nC: XCLIENT NAME=c.test ADDR=192.0.2.7\n"
	  "S: 220 x\nC: EHLO c+d\nS: 250 x\nmail\nrcpt\ndata\nbody\nS: 250 ok\nbye", "ok 2.0.0 ok" },
	{ "XCLIENT not offered", XCLIENT, "bob@b.test", "hello\nbye", "soft 4.3.5 host 127.0.0.10[127.0.0.10] does not let us say XCLIENT" },
	{ "XCLIENT refused", XCLIENT, "bob@b.test", "hello XCLIENT ADDR\nC: XCLIENT *\nS: 550 5.7.0 no\nbye", "soft 4.7.0 host*XCLIENT command)" },

	{ "live", LIVE, "bob@b.test eve@b.test", "hello\nmail\nrcpt\nC: RCPT TO:<eve@b.test>\nS: 550 5.1.1 no eve\ndata\nbody\nS: 250 ok\nbye",
	  "live0 ok 2.1.5 ok\nlive1 hard 5.1.1 host*no eve*\nok 2.0.0 ok" },
	{ "live, MAIL refused", LIVE, "bob@b.test eve@b.test", "hello\nC: MAIL *\nS: 550 5.7.1 no\nbye",
	  "live0 hard 5.7.1 host*\nlive1 hard 5.7.1 host*\nhard 5.7.1 *" },
	{ "live, no connection", LIVE, "bob@b.test", "X: close", "live0 soft 4.4.2 lost*\nsoft 4.4.2 *" },
	{ "live, broken between RCPT and DATA", LIVE, "bob@b.test", "hello\nmail\nrcpt\nX: close\n@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 second\nbye",
	  "live0 ok 2.1.5 ok\nok 2.0.0 second" },
	{ "live, broken twice", LIVE, "bob@b.test", "hello\nmail\nrcpt\nX: close\n@\nhello\nmail\nrcpt\nC: DATA\nX: close",
	  "live0 ok 2.1.5 ok\nsoft 4.4.2 lost*" },
	{ "live, and another mind in the second session", LIVE, "bob@b.test", "hello\nmail\nrcpt\nX: close\n@\nhello\nmail\nC: RCPT *\nS: 550 5.1.1 not now\nbye",
	  "live0 ok 2.1.5 ok\nhard 5.1.1 host*" },

	{ "LMTP", LMTP, "bob@b.test eve@b.test", "hello\nmail\nrcpt\nrcpt eve@b.test\ndata\nbody\nS: 250 2.1.5 one\nS: 250 2.1.5 two\nbye",
	  "ok 2.1.5 one | ok | ok" },
	{ "LMTP, one of two", LMTP, "bob@b.test eve@b.test", "hello\nmail\nrcpt\nrcpt eve@b.test\ndata\nbody\nS: 452 4.2.2 full\nS: 250 2.1.5 two\nbye",
	  "ok 2.1.5 two | soft | ok" },
	{ "LMTP, one of two for now, strict", LMTP | STRICT, "bob@b.test eve@b.test",
	  "hello\nmail\nrcpt\nrcpt eve@b.test\ndata\nbody\nS: 250 2.1.5 one\nS: 452 4.2.2 full\nbye", "soft 4.2.2 host* | ok | soft" },
	{ "LMTP, one of two for good, strict", LMTP | STRICT, "bob@b.test eve@b.test",
	  "hello\nmail\nrcpt\nrcpt eve@b.test\ndata\nbody\nS: 250 2.1.5 one\nS: 550 5.2.2 full\nbye", "ok 2.1.5 one | ok | hard" },
	{ "LMTP, none", LMTP, "bob@b.test eve@b.test", "hello\nmail\nrcpt\nrcpt eve@b.test\ndata\nbody\nS: 550 5.2.2 full\nS: 452 4.2.2 two\nbye",
	  "soft 4.2.2 host* | hard | soft" },
	{ "LMTP, none, for good", LMTP, "bob@b.test eve@b.test", "hello\nmail\nrcpt\nrcpt eve@b.test\ndata\nbody\nS: 550 5.2.2 full\nS: 550 5.2.2 full\nbye",
	  "hard 5.2.2 host* | hard | hard" },
	{ "LMTP, closed after the first reply", LMTP | STRICT, "bob@b.test eve@b.test", "hello\nmail\nrcpt\nrcpt eve@b.test\ndata\nbody\nS: 250 2.1.5 one\nX: close",
	  "soft 4.4.2 lost* | ok | soft" },
	{ "LMTP, closed before the first reply", LMTP, "bob@b.test eve@b.test", "hello\nmail\nrcpt\nrcpt eve@b.test\ndata\nbody\nX: close",
	  "soft 4.4.2 lost* | soft | soft" },
	{ "LMTP, one reply too many", LMTP, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS- 250 2.1.5 one\\r\\n250 two\\r\\n\nW:", "soft 4.5.0 Protocol*" },
	{ "LMTP, live, one refused", LMTP | LIVE, "bob@b.test eve@b.test bob@b.test",
	  "hello\nmail\nrcpt\nC: RCPT *\nS: 550 5.1.1 no\nrcpt\ndata\nbody\nS: 250 a\nS: 250 b\nbye",
	  "live0 ok*\nlive1 hard*\nlive2 ok*\nok 2.0.0 a | ok | hard | ok" },

	{ "kept for the next message", KEEP | TWICE, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye",
	  "ok 2.0.0 one\nok 2.0.0 two" },
	{ "kept after a refusal", KEEP | TWICE, "bob@b.test", "hello\nmail\nC: RCPT *\nS: 550 5.1.1 no\nC: RSET\nS: 250 ok\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye",
	  "hard 5.1.1 host*\nok 2.0.0 two" },
	{ "not kept when RSET is refused", KEEP | TWICE, "bob@b.test",
	  "hello\nmail\nC: RCPT *\nS: 550 5.1.1 no\nC: RSET\nS: 500 what\nbye\n@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye", "hard 5.1.1 host*\nok 2.0.0 two" },
	{ "kept, but closed meanwhile", KEEP | TWICE, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nX: close\n@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye",
	  "ok 2.0.0 one\nok 2.0.0 two" },
	{ "kept, closed at MAIL", KEEP | TWICE, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nC: MAIL *\nX: close\n@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye",
	  "ok 2.0.0 one\nok 2.0.0 two" },
	{ "kept, 421 at MAIL", KEEP | TWICE, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nC: MAIL *\nS: 421 4.4.2 idle\nX: close\n@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye",
	  "ok 2.0.0 one\nok 2.0.0 two" },
	{ "kept, refused for now at MAIL: too many messages in it, perhaps", KEEP | TWICE, "bob@b.test",
	  "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nC: MAIL *\nS: 452 4.5.3 enough\nE:\n@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye",
	  "ok 2.0.0 one\nok 2.0.0 two" },
	{ "kept, refused for now at MAIL, and again", KEEP | TWICE, "bob@b.test",
	  "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nC: MAIL *\nS: 452 4.5.3 enough\nE:\n@\nhello\nC: MAIL *\nS: 450 4.7.1 not you\nbye",
	  "ok 2.0.0 one\nsoft 4.7.1 host*" },
	{ "fresh, refused for now at MAIL: not asked again", KEEP, "bob@b.test", "hello\nC: MAIL *\nS: 450 4.7.1 not you\nbye", "soft 4.7.1 host*" },
	{ "kept, dies amid the transaction", KEEP | TWICE, "bob@b.test",
	  "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nmail\nC: RCPT *\nX: close\n@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye",
	  "ok 2.0.0 one\nok 2.0.0 two" },
	{ "Exim: fewer messages", KEEP | TWICE, "bob@b.test", "S: 220 sink.test ESMTP Exim 4.97\nC: EHLO *\nS: 250 sink.test\nmail\nrcpt\ndata\nbody\nS: 250 one\nbye\n"
	  "@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye", "ok 2.0.0 one\nok 2.0.0 two" },
	{ "old: not kept", KEEP | TWICE, "bob@b.test", "hello\nC: MAIL *\nT: +5s\nS: 250 a\nC: RCPT *\nT: +6s\nS: 250 b\nC: DATA\nT: +7s\nS: 354 go\nbody\nT: +9s\nS: 250 one\nbye\n"
	  "@\nhello\nmail\nrcpt\ndata\nbody\nS: 250 two\nbye", "ok 2.0.0 one\nok 2.0.0 two" },
	{ "kept, closed after the dot: not sent twice", KEEP | TWICE, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nmail\nrcpt\ndata\nbody\nX: close",
	  "ok 2.0.0 one\nsoft 4.4.2 lost*" },
	{ "kept, closed after DATA: not sent twice", KEEP | TWICE, "bob@b.test", "hello\nmail\nrcpt\ndata\nbody\nS: 250 one\nmail\nrcpt\nC: DATA\nX: close",
	  "ok 2.0.0 one\nsoft 4.4.2 lost*" },
};

/* want_match - '*' in a line of want: anything */
static bool
want_match(const char *want, const char *got)
{
	for (; *want != '*'; want++, got++)
		if (*want != *got)
			return false;
		else if (*want == 0)
			return true;
	for (want++; ; got++)
		if (want_match(want, got))
			return true;
		else if (*got == 0 || *got == '\n')
			return *want == 0 && (*got == 0 || got[1] == 0);
}

static void
send_once(struct world *w, const struct send_case *c)
{
	struct smtp_send_mail mail = { .sender = "ann@a.test", .utf8 = (c->flags & UTF8) != 0, .eightbit = (c->flags & EIGHT) != 0,
	    .name = "c.test", .addr = "192.0.2.7", .port = "4711", .proto = "ESMTP", .helo = "c+d" };
	bool	live = (c->flags & LIVE) != 0;
	char	*rcpts = mem_strdup(c->rcpts), *p;

	w->body = w->body_at = (c->flags & BIG) != 0 ? "" : "Subject: x\r\n\r\n.hidden\r\nend";
	w->big = (c->flags & BIG) != 0 ? 20u << 20 : 0;
	w->send = smtp_send_open(w->loop, w->hop, &w->sc, &mail, &world_ops, w);
	for (p = strtok(rcpts, " "); p != NULL; p = strtok(NULL, " ")) {
		assert_true(smtp_send_rcpt(w->send, p, live));
		if (live)
			world_idle(w);
	}
	smtp_send_body(w->send, &w->source, (c->flags & BIG) != 0 ? 20u << 20 : 28);
	assert_int_equal(w->done, 0);
	world_idle(w);
	mem_free(&rcpts);
	if (w->done != 1)
		fail_msg("%s: done %u times; %s; stub: %s", c->name, w->done, buf_str(&w->got), smtp_stub_error(w->stub));
	w->done = 0;
}

static void
smtp_send_test_steps(void **state)
{
	(void) state;
	for (size_t i = 0; i < NELEM(send_cases); i++) {
		const struct send_case *c = &send_cases[i];
		struct world w;
		char	*got;

		world_init(&w, c->flags);
		world_script(&w, c->script);
		send_once(&w, c);
		if ((c->flags & TWICE) != 0)
			send_once(&w, c);
		ev_fake_advance(w.loop, 6000);		/* kept sessions leave */
		world_idle(&w);
		if (w.got.len > 0)
			buf_cut(&w.got, w.got.len - 1);
		got = buf_take(&w.got);
		if (!want_match(c->want, got))
			fail_msg("%s: got\n%s\nwant\n%s\nstub: %s", c->name, got, c->want, smtp_stub_error(w.stub));
		if (smtp_stub_error(w.stub)[0] != 0 || !smtp_stub_done(w.stub))
			fail_msg("%s: %s", c->name, smtp_stub_error(w.stub)[0] != 0 ? smtp_stub_error(w.stub) : "a script is not at its end");
		mem_free(&got);
		world_fini(&w);
	}
}

/* no more sessions than there may be: further transactions wait, in order; one that gives up leaves the queue; a kept session, and
 * one that broke, make room */
static void
smtp_send_test_turns(void **state)
{
	static const struct smtp_send_mail mail = { .sender = "ann@a.test" };
	static const char talk[] = "hello\nmail\nrcpt\ndata\nC: x\nC: .\nS: 250 ok\n";
	static const struct smtp_send_ops ops = { NULL, world_done };
	struct {
		struct world w;
	} one[5];
	struct smtp_hop_stat st;
	struct world w;

	(void) state;
	for (unsigned keep = 0; keep < 2; keep++) {
		unsigned done = 0;

		world_init(&w, keep ? KEEP : 0);
		w.hc.sessions_max = 1;
		w.sc.total_ms = 0;
		if (keep)
			world_script(&w, "hello\nmail\nrcpt\ndata\nC: x\nC: .\nS: 250 ok\nmail\nrcpt\ndata\nC: x\nC: .\nS: 250 ok\n"
			    "mail\nrcpt\ndata\nC: x\nC: .\nS: 250 ok\nC: MAIL *\nX: close\n@\nhello\nmail\nrcpt\ndata\nC: x\nC: .\nS: 250 ok\nbye");
		else {
			struct buf text = BUF_INIT(10000);

			for (size_t i = 0; i < 4; i++)
				buf_addf(&text, "%s%sbye\n", i > 0 ? "@\n" : "", talk);
			world_script(&w, buf_str(&text));
			buf_fini(&text);
		}
		for (size_t i = 0; i < NELEM(one); i++) {
			struct world *x = &one[i].w;

			memset(x, 0, sizeof *x);
			buf_init(&x->got, 1000);
			x->body_at = "x\r\n";
			x->source = (struct body_source) { world_read, x };
			x->send = smtp_send_open(w.loop, w.hop, &w.sc, &mail, &ops, x);
			assert_true(smtp_send_rcpt(x->send, "bob@b.test", false));
			smtp_send_body(x->send, &x->source, 3);
		}
		smtp_hop_stat(w.hop, &st);
		assert_int_equal(st.sessions, 1);
		smtp_send_free(&one[2].w.send);			/* while it waits */
		world_idle(&w);
		ev_fake_advance(w.loop, 6000);
		world_idle(&w);
		for (size_t i = 0; i < NELEM(one); i++) {
			if (one[i].w.done != (i == 2 ? 0 : 1) || (i != 2 && strcmp(buf_str(&one[i].w.got), "ok 2.0.0 ok\n") != 0))
				fail_msg("keep %u, %zu: done %u: %s; stub: %s", keep, i, one[i].w.done, buf_str(&one[i].w.got), smtp_stub_error(w.stub));
			done += one[i].w.done;
			buf_fini(&one[i].w.got);
		}
		assert_int_equal(done, 4);
		assert_string_equal(smtp_stub_error(w.stub), "");
		assert_int_equal(smtp_stub_open_max(w.stub), 1);
		smtp_hop_stat(w.hop, &st);
		assert_int_equal(st.sessions, 0);
		world_fini(&w);
	}
}

/* a next hop that is a name: its addresses in turn, no MX; reserved ones are fine, the operator has named it */
static void
smtp_send_test_name(void **state)
{
	static const struct dns_conf dns_conf = { .try_ms = 5000, .tries = 2, .open_limit = 100, .wait_limit = 10000, .cache_limit = 1000 };
	static const struct smtp_send_mail mail = { .sender = "ann@a.test" };
	static const struct smtp_send_ops ops = { NULL, world_done };
	static const struct {
		const char *name, *zone;
		unsigned deaf;		/* addresses that take no connection, a bit each */
		const char *greeting;	/* of the first that does */
		unsigned host;		/* that takes the message */
		const char *want;
	} cases[] = {
		{ "one address", "next.test A 127.0.0.10", 0, NULL, 0, "ok 2.0.0 ok\n" },
		{ "no MX", "next.test A 127.0.0.10\nnext.test MX 10 mx.test\nmx.test A 127.0.0.11", 0, NULL, 0, "ok 2.0.0 ok\n" },
		{ "the first is deaf", "next.test A 127.0.0.10\nnext.test A 127.0.0.11", 1, NULL, 1, "ok 2.0.0 ok\n" },
		{ "the first refuses", "next.test A 127.0.0.10\nnext.test A 127.0.0.11", 0, "421 4.3.2 busy", 1, "ok 2.0.0 ok\n" },
		{ "all are deaf", "next.test A 127.0.0.10\nnext.test A 127.0.0.11", 3, NULL, 9, "soft 4.4.1 connect to next.test[127.0.0.11]*" },
		{ "no such name", "other.test A 127.0.0.10", 0, NULL, 9, "soft 4.4.4 Host or domain name not found*" },
		{ "no answer", "next.test SERVFAIL", 0, NULL, 9, "soft 4.4.3 Host or domain name not found*" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct world w, x;
		struct dns_stub *names;
		struct dns *dns;
		const char *why;

		world_init(&w, 0);
		memset(&x, 0, sizeof x);
		buf_init(&x.got, 1000);
		names = dns_stub_new(w.loop, cases[i].zone);
		dns = dns_new(w.loop, &dns_stub_carrier, &dns_conf, &why);
		smtp_hop_free(&w.hop);
		strcpy(w.hc.to.host, "next.test");
		w.hop = smtp_hop_new(w.loop, &w.hc, dns);
		for (unsigned k = 0; k < 2; k++)
			if ((cases[i].deaf & 1u << k) != 0)
				smtp_stub_deaf(w.stub, k);
		if (cases[i].greeting != NULL) {
			struct buf text = BUF_INIT(1000);

			buf_addf(&text, "S: %s\nE:\n", cases[i].greeting);
			smtp_stub_script(w.stub, 0, buf_str(&text), 1);
			buf_fini(&text);
		}
		if (cases[i].host < 2)
			smtp_stub_script(w.stub, cases[i].host, "S: 220 x\nC: EHLO *\nS: 250 x\nC: MAIL *\nS: 250 x\nC: RCPT *\nS: 250 x\n"
			    "C: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\nC: QUIT\nS: 221 x\n", 1);
		x.body_at = "x\r\n";
		x.source = (struct body_source) { world_read, &x };
		x.send = smtp_send_open(w.loop, w.hop, &w.sc, &mail, &ops, &x);
		assert_true(smtp_send_rcpt(x.send, "bob@b.test", false));
		smtp_send_body(x.send, &x.source, 3);
		world_idle(&w);
		if (x.done != 1 || !want_match(cases[i].want, buf_str(&x.got)) || smtp_stub_error(w.stub)[0] != 0)
			fail_msg("%s: done %u: %s; stub: %s", cases[i].name, x.done, buf_str(&x.got), smtp_stub_error(w.stub));
		buf_fini(&x.got);
		smtp_hop_free(&w.hop);
		dns_free(&dns);
		dns_stub_free(&names);
		world_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smtp_send_test_steps),
		cmocka_unit_test(smtp_send_test_turns),
		cmocka_unit_test(smtp_send_test_name),
	};

	return cmocka_run_group_tests_name("smtp_send", tests, NULL, NULL);
}
