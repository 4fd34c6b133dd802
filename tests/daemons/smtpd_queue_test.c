/* tests/daemons/smtpd_queue_test.c - the queue plugins in the engine: what the client hears, and what the next hop is told
 * A row: a plugins file (NEXT is the server), what the client says, the server's script (tests/lib/smtp_stub.h; hello [EXT], bye),
 * and the last replies that the client must hear; '*' at the end: any rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/smtp_stub.h>
#include <tests/lib/smtpd_rig.h>
#include <util/mem.h>

/* a plugin that says yes to all but eve, as rcpt_ok would */
static enum vh_rc
yes_rcpt(struct vh_call *call)
{
	return strcmp(vh_addr_user(vh_address(call)), "eve") == 0 ? vh_reply(call, VH_DENY, "5.7.1", "not eve") : VH_OK;
}

static enum vh_rc
yes_mark(struct vh_call *call)
{
	vh_note_set_int(vh_txn_notes(vh_txn(call)), "marked", 1);
	return VH_DECLINED;
}

/* and one that overrules the others about "no" */
static enum vh_rc
overrule_after(struct vh_call *call, enum vh_rc rc, void *ctx)
{
	(void) ctx;
	return rc == VH_OK && strcmp(vh_addr_user(vh_address(call)), "no") == 0 ? vh_reply(call, VH_DENY, "5.7.1", "no") : rc;
}

static enum vh_rc
overrule_rcpt(struct vh_call *call)
{
	return vh_next(call, overrule_after, NULL);
}

static const struct vh_hook_fn overrule_hooks[] = { { VH_HOOK_RCPT, overrule_rcpt }, { VH_END, NULL } };
static const struct vh_plugin overrule_plugin = { .abi = VH_ABI, .name = "overrule", .hooks = overrule_hooks };
static const struct vh_hook_fn yes_hooks[] = { { VH_HOOK_RCPT, yes_rcpt }, { VH_END, NULL } };
static const struct vh_hook_fn mark_hooks[] = { { VH_HOOK_DATA_POST, yes_mark }, { VH_END, NULL } };
static const struct vh_plugin yes_plugin = { .abi = VH_ABI, .name = "yes", .hooks = yes_hooks };
static const struct vh_plugin mark_plugin = { .abi = VH_ABI, .name = "mark", .hooks = mark_hooks };
static const struct vh_plugin *const more[] = { &yes_plugin, &mark_plugin, &overrule_plugin, NULL };

#define HELLO	"EHLO c.test\n"
#define MAIL	"MAIL FROM:<ann@a.test>\n"
#define BOB	"RCPT TO:<bob@b.test>\n"
#define DATA	"DATA\nSubject: x\n\n..hidden\nend\n.\n"
#define TAKES	"C: DATA\nS: 354 go\nC: Received: *\nC* Subject: x\nC: \nC: ..hidden\nC: end\nC: .\n"

static const struct queue_case {
	const char *name, *plugins, *client, *server, *want;
} queue_cases[] = {
	{ "smtp", "queue/smtp NEXT\nyes\n", HELLO MAIL BOB DATA,
	  "hello PIPELINING\nC: MAIL FROM:<ann@a.test>\nC: RCPT TO:<bob@b.test>\nS: 250 a\nS: 250 b\n" TAKES "S: 250 2.0.0 Ok: queued as X1\nbye",
	  "250 2.6.0 Ok: queued as X1" },
	{ "smtp, refused", "queue/smtp NEXT reuse 1\nyes\n", HELLO MAIL BOB DATA,
	  "hello\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 550 5.1.1 no such user\nbye", "550 5.1.1 no such user" },
	{ "smtp, refused for now", "queue/smtp NEXT reuse 1\nyes\n", HELLO MAIL BOB DATA,
	  "hello\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 452 4.2.2 full\nbye", "452 4.2.2 full" },
	{ "smtp, refused after the dot", "queue/smtp NEXT reuse 1\nyes\n", HELLO MAIL BOB DATA,
	  "hello\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\n" TAKES "S: 554 5.7.1 spam\nbye", "554 5.7.1 spam" },
	{ "smtp, gone after the dot", "queue/smtp NEXT\nyes\n", HELLO MAIL BOB DATA,
	  "hello\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\n" TAKES "X: close", "451 4.4.2 The next mail server cannot be reached*" },
	{ "smtp, silent", "queue/smtp NEXT timeout 20\nyes\n", HELLO MAIL BOB DATA,
	  "hello\nC: MAIL *\nT: +21s\nE:", "451 4.4.2 The next mail server cannot be reached*" },
	{ "smtp, silent at each step: the whole has one limit", "queue/smtp NEXT timeout 20\nyes\n", HELLO MAIL BOB DATA,
	  "hello\nC: MAIL *\nT: +15s\nS: 250 ok\nC: RCPT *\nT: +6s\nE:", "451 4.4.2 The next mail server cannot be reached*" },
	{ "smtp, second message in the same session", "queue/smtp NEXT\nyes\n", HELLO MAIL BOB DATA MAIL BOB DATA,
	  "hello\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\n" TAKES "S: 250 one\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\n" TAKES "S: 250 two\nbye",
	  "250 2.6.0 two" },
	{ "smtp, xclient", "queue/smtp NEXT xclient 1\nyes\n", HELLO MAIL BOB DATA,
	  "hello XCLIENT NAME ADDR PORT PROTO HELO\nC: XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=40000 PROTO=ESMTP HELO=c.test\n"
	  "S: 220 x\nC: EHLO c.test\nS: 250 x\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\n" TAKES "S: 250 ok\nbye", "250 2.6.0 ok" },
	{ "smtp, starttls that is not offered", "queue/smtp NEXT starttls encrypt\nyes\n", HELLO MAIL BOB DATA, "hello\nE:",
	  "451 4.7.4 The next mail server*" },
	{ "smtp, starttls", "queue/smtp NEXT starttls may reuse 1\nyes\n", HELLO MAIL BOB DATA,
	  "hello STARTTLS\nC: STARTTLS\nS: 220 go\nL: ok\nC: EHLO *\nS: 250 x\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\n" TAKES "S: 250 ok\nbye",
	  "250 2.6.0 ok" },
	{ "smtp, maxrcpt", "queue/smtp NEXT maxrcpt 1 reuse 1\nyes\n", HELLO MAIL BOB "RCPT TO:<two@b.test>\n", "",
	  "452 4.5.3 Too many recipients*" },
	{ "smtp, early", "queue/smtp NEXT early 1 reuse 1\nyes\n", HELLO MAIL BOB "RCPT TO:<two@b.test>\n" DATA,
	  "hello\nC: MAIL FROM:<ann@a.test>\nS: 250 a\nC: RCPT TO:<bob@b.test>\nS: 250 b\nC: RCPT TO:<two@b.test>\nS: 550 5.1.1 no two\n" TAKES "S: 250 ok\nbye",
	  "550 5.1.1 no two\n354 *\n250 2.6.0 ok" },
	{ "smtp, early, another plugin says no: the next hop is not asked", "queue/smtp NEXT early 1 reuse 1\nyes\n", HELLO MAIL "RCPT TO:<eve@b.test>\n" BOB DATA,
	  "hello\nC: MAIL *\nS: 250 a\nC: RCPT TO:<bob@b.test>\nS: 250 b\n" TAKES "S: 250 ok\nbye", "250 2.6.0 ok" },
	{ "smtp, early, a plugin before us changes the answer", "overrule\nqueue/smtp NEXT early 1 reuse 1\nyes\n",
	  HELLO MAIL "RCPT TO:<no@b.test>\n" BOB DATA,
	  "hello\nC: MAIL *\nS: 250 a\nC: RCPT TO:<no@b.test>\nS: 250 b\nC: RCPT TO:<bob@b.test>\nS: 250 b\nbye\n"
	  "@\nhello\nC: MAIL *\nS: 250 a\nC: RCPT TO:<bob@b.test>\nS: 250 b\n" TAKES "S: 250 ok\nbye", "250 2.6.0 ok" },
	{ "smtp, early, RSET", "queue/smtp NEXT early 1\nyes\n", HELLO MAIL BOB "RSET\n" MAIL BOB DATA,
	  "hello\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\nC: RSET\nS: 250 r\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\n" TAKES "S: 250 ok\nbye",
	  "250 2.6.0 ok" },
	{ "smtp, early, next hop away", "queue/smtp NEXT early 1\nyes\n", HELLO MAIL BOB, "X: close", "450 4.4.2 The next mail server*" },
	{ "lmtp", "queue/lmtp NEXT reuse 1\nyes\n", HELLO MAIL BOB "RCPT TO:<two@b.test>\n" DATA,
	  "lhlo\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\n" TAKES "S: 250 2.1.5 stored\nbye",
	  "452 4.5.3 Too many*\n354 *\n250 2.6.0 stored" },
	{ "lmtp, mixed", "queue/lmtp NEXT reuse 1 maxrcpt 0\nyes\n", HELLO MAIL BOB "RCPT TO:<two@b.test>\n" DATA,
	  "lhlo\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\nC: RCPT *\nS: 250 b\n" TAKES "S: 250 2.1.5 stored\nS: 452 4.2.2 full\nbye", "250 2.6.0 stored" },
	{ "lmtp, mixed, strict", "queue/lmtp NEXT reuse 1 maxrcpt 0 strict 1\nyes\n", HELLO MAIL BOB "RCPT TO:<two@b.test>\n" DATA,
	  "lhlo\nC: MAIL *\nS: 250 a\nC: RCPT *\nS: 250 b\nC: RCPT *\nS: 250 b\n" TAKES "S: 250 2.1.5 stored\nS: 452 4.2.2 full\nbye", "452 4.2.2 full" },
	{ "qmqp", "queue/qmqp NEXT\nyes\n", HELLO "MAIL FROM:<>\n" BOB DATA,
	  "B:\nC* Subject: x\nC: \nC: .hidden\nC: end\nC- ,0:,10:bob@b.test,,\nS- 9:Kqueued 1,\nE:", "250 2.6.0 queued 1" },
	{ "qmqp, no", "queue/qmqp NEXT\nyes\n", HELLO MAIL BOB DATA, "B:\nC* Subject: x\nC: \nC: .hidden\nC: end\nC- ,10:ann@a.test,10:bob@b.test,,\nS- 6:Dnever,\nE:", "554 5.0.0 never" },
	{ "qmqp, later", "queue/qmqp NEXT\nyes\n", HELLO MAIL BOB DATA, "B:\nC* Subject: x\nC: \nC: .hidden\nC: end\nC- ,10:ann@a.test,10:bob@b.test,,\nS- 6:Zlater,\nE:", "451 4.0.0 later" },
	{ "qmqp, neither", "queue/qmqp NEXT\nyes\n", HELLO MAIL BOB DATA, "B:\nC* Subject: x\nC: \nC: .hidden\nC: end\nC- ,10:ann@a.test,10:bob@b.test,,\nS- 6:Xlater,\nE:",
	  "451 4.3.5 No plugin has taken the message" },
	{ "discard", "queue/discard\nyes\n", HELLO MAIL BOB DATA, "", "250 2.6.0 Message accepted" },
	{ "discard what is marked", "mark\nqueue/discard note marked\nyes\n", HELLO MAIL BOB DATA, "", "250 2.6.0 Message accepted" },
	{ "discard what is not marked", "queue/discard note marked\nyes\n", HELLO MAIL BOB DATA, "", "451 4.3.5 No plugin has taken the message" },
};

static void
queue_script(struct smtp_stub *stub, const char *text)
{
	struct buf script = BUF_INIT(100000);
	char	*all = mem_strdup(text), *line, *next, *word;

	for (line = all; line != NULL; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = 0;
		if (strcmp(line, "@") == 0) {
			smtp_stub_script(stub, 0, buf_str(&script), 1);
			buf_reset(&script);
		} else if (strncmp(line, "hello", 5) == 0 || strcmp(line, "lhlo") == 0) {
			buf_addf(&script, "S: 220 next.test\nC: %s localhost\nS- 250-next.test\\r\\n\n", *line == 'l' ? "LHLO" : "EHLO");
			for (word = *line == 'l' ? NULL : strtok(line + 5, ","); word != NULL; word = strtok(NULL, ","))
				buf_addf(&script, "S- 250-%s\\r\\n\n", word + strspn(word, " "));
			buf_adds(&script, "S: 250 HELP\n");
		} else if (strcmp(line, "bye") == 0)
			buf_adds(&script, "C: QUIT\nS: 221 bye\n");
		else if (*line != 0)
			buf_addf(&script, "%s\n", line);
	}
	if (script.len > 0)
		smtp_stub_script(stub, 0, buf_str(&script), 1);
	buf_fini(&script);
	mem_free(&all);
}

static void
queue_settle(struct smtpd_rig *rig, struct smtp_stub *stub)
{
	char	*ask;

	for (int quiet = 0; quiet < 3; ) {
		smtpd_rig_turn(rig);
		if (ev_turn(rig->loop, 2) > 0 || (quiet > 0 && smtp_stub_advance(stub, &ask)))
			quiet = 0;
		else
			quiet++;
	}
}

/* queue_heard - the last replies of got are those of want, line for line */
static bool
queue_heard(const char *got, const char *want)
{
	const char *w = want + strlen(want), *g = got + strlen(got), *ws, *gs;
	size_t	wn, gn;

	while (w > want) {
		if (g == got)
			return false;
		for (g -= strlen(g) > 1 || g[-1] == '\n' ? 1 : 0; g > got && (g[-1] == '\r' || g[-1] == '\n'); g--)
			;
		for (gs = g; gs > got && gs[-1] != '\n'; gs--)
			;
		for (ws = w; ws > want && ws[-1] != '\n'; ws--)
			;
		wn = (size_t) (w - ws);
		gn = (size_t) (g - gs);
		if (wn > 0 && ws[wn - 1] == '*' ? gn < wn - 1 || strncmp(gs, ws, wn - 1) != 0 : gn != wn || strncmp(gs, ws, wn) != 0)
			return false;
		g = gs;
		w = ws > want ? ws - 1 : want;
	}
	return true;
}

static void
smtpd_queue_test_cases(void **state)
{
	(void) state;
	for (size_t i = 0; i < NELEM(queue_cases); i++) {
		const struct queue_case *c = &queue_cases[i];
		struct buf plugins = BUF_INIT(4096), heard = BUF_INIT(1u << 20), line = BUF_INIT(4096);
		struct smtpd_rig_client client;
		struct smtp_stub *stub;
		struct smtpd_rig rig;
		const char *p, *next;
		unsigned port;

		/* the stub needs the loop that the rig makes, the rig the port of the stub: ask for a free one */
		{
			struct ev_loop *loop = ev_loop_new();

			stub = smtp_stub_new(loop);
			port = smtp_stub_port(stub);
			smtp_stub_free(&stub);
			ev_loop_free(&loop);
		}
		if ((p = strstr(c->plugins, "NEXT")) != NULL)
			buf_addf(&plugins, "%.*s127.0.0.10 %u%s", (int) (p - c->plugins), c->plugins, port, p + 4);
		else
			buf_adds(&plugins, c->plugins);
		smtpd_rig_begin(&rig, buf_str(&plugins), more);
		stub = smtp_stub_new_at(rig.loop, port);
		queue_script(stub, c->server);
		smtpd_rig_open(&rig, &client, "192.0.2.1");
		for (p = c->client; *p != 0; p = next) {
			bool	dot = false;

			next = strchr(p, '\n') + 1;
			if (strncmp(p, "DATA\n", 5) == 0)
				dot = true;
			buf_reset(&line);
			buf_add(&line, p, (size_t) (next - p) - 1);
			buf_adds(&line, "\r\n");
			smtpd_rig_say(&rig, &client, buf_str(&line));
			if (dot)
				while (strncmp(p, ".\n", 2) != 0) {
					p = next;
					next = strchr(p, '\n') + 1;
					buf_reset(&line);
					buf_add(&line, p, (size_t) (next - p) - 1);
					buf_adds(&line, "\r\n");
					smtpd_rig_say(&rig, &client, buf_str(&line));
				}
			queue_settle(&rig, stub);
			buf_adds(&heard, smtpd_rig_heard(&client));
		}
		if (!queue_heard(buf_str(&heard), c->want))
			fail_msg("%s: heard\n%s\nwant at the end\n%s\nstub: %s", c->name, buf_str(&heard), c->want, smtp_stub_error(stub));
		smtpd_rig_advance(&rig, 6000);			/* kept sessions leave */
		smtpd_rig_hangup(&rig, &client);
		queue_settle(&rig, stub);
		if (smtp_stub_error(stub)[0] != 0)
			fail_msg("%s: %s", c->name, smtp_stub_error(stub));
		smtp_stub_free(&stub);
		smtpd_rig_end(&rig);
		buf_fini(&plugins);
		buf_fini(&heard);
		buf_fini(&line);
	}
}

static void
smtpd_queue_test_arguments(void **state)
{
	static const struct { const char *line, *why; } bad[] = {
		{ "queue/smtp", "needs the next hop" }, { "queue/smtp 127.0.0.1 0", "port 0" }, { "queue/smtp 127.0.0.1 65536", "port 65536" },
		{ "queue/smtp unix:/x 25", "UNIX socket" }, { "queue/smtp ::1", "brackets" }, { "queue/smtp h timeout 0", "timeout 0" },
		{ "queue/smtp h timeout 2h", "timeout 2h" }, { "queue/smtp h early", "early" }, { "queue/smtp h early yes", "0 or 1" },
		{ "queue/smtp h strict 1", "strict: no such argument" }, { "queue/smtp h starttls maybe", "no, may or encrypt" },
		{ "queue/smtp h reuse 0", "reuse 0" }, { "queue/smtp h sessions x", "sessions x" }, { "queue/qmqp h sessions 3", "no such argument" }, { "queue/lmtp h maxrcpt -1", "maxrcpt -1" }, { "queue/qmqp", "needs the next hop" },
		{ "queue/qmqp h early 1", "early: no such argument" }, { "queue/discard x", "note NAME" }, { "queue/smtp h fast 1", "no such argument" },
	};
	static const char *const good[] = {
		"queue/smtp 127.0.0.1", "queue/smtp host 127.0.0.1 port 26", "queue/smtp [::1]:26 early 1 sessions 3 starttls encrypt xclient 1 reuse 1",
		"queue/smtp localhost:26 TIMEOUT 50m", "queue/lmtp unix:/run/dovecot/lmtp maxrcpt 0 strict 1", "queue/qmqp 127.0.0.1 628 timeout 1s",
		"queue/discard", "queue/discard note spam",
	};
	struct smtpd_rig rig;
	struct plugins *set;
	struct buf why = BUF_INIT(8192);

	(void) state;
	smtpd_rig_begin(&rig, "yes\n", more);
	for (size_t i = 0; i < NELEM(bad); i++) {
		buf_reset(&why);
		set = plugins_parse("plugins", bad[i].line, strlen(bad[i].line), "", "/nonexistent", &why);
		if (set != NULL || strstr(buf_str(&why), bad[i].why) == NULL || strstr(buf_str(&why), "plugins, line 1: ") == NULL)
			fail_msg("%s: %s", bad[i].line, set != NULL ? "accepted" : buf_str(&why));
	}
	for (size_t i = 0; i < NELEM(good); i++) {
		buf_reset(&why);
		if ((set = plugins_parse("plugins", good[i], strlen(good[i]), "", "/nonexistent", &why)) == NULL)
			fail_msg("%s: %s", good[i], buf_str(&why));
		plugins_free(&set);
	}
	buf_fini(&why);
	smtpd_rig_end(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smtpd_queue_test_cases),
		cmocka_unit_test(smtpd_queue_test_arguments),
	};

	return cmocka_run_group_tests_name("smtpd_queue", tests, NULL, NULL);
}
