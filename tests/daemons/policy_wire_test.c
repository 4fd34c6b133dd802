/* tests/daemons/policy_wire_test.c - requests and replies of policy(8), under a fake clock
 * Greylisting and the verify service are scripted: recipients greylist-* below; verify answers by an address's first character
 * (verify_stub.h). The skeleton's side is ms_fake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <daemons/policy/policy.h>
#include <global/stats.h>
#include <tests/lib/ms_fake.h>
#include <tests/lib/verify_stub.h>
#include <util/mem.h>
#include <util/msg.h>

#define NOW	1767000000
#define DUNNO	"action=DUNNO\n\n"
#define DEFER	"DEFER_IF_PERMIT 4.2.0 Greylisted, please try again later"
#define HEADER	"X-Greylist: delayed 300 seconds by vouch at mx.example.com; today"

/* what policy.c has */
struct greylist *policy_greylist;
struct verify_async *policy_verify;
struct ev_loop *policy_loop;

static const struct multi_server server = {
	.opened = policy_opened, .input = policy_input, .eof = policy_eof, .closed = policy_closed,
};

/* ---- greylisting, scripted: by the recipient's local part ---- */
static unsigned decided, cancelled;

struct greylist_wait {
	struct ev_timer timer;
	greylist_done_fn *fn;
	void   *ctx;
	struct greylist_wait **slot;
};

static struct greylist_result
greylist_script(const char *rcpt)
{
	struct greylist_result res = { .action = "DUNNO", .verdict = GREYLIST_PASS };

	if (strstr(rcpt, "defer") != NULL)
		res = (struct greylist_result) { .action = DEFER, .verdict = GREYLIST_DEFER, .deferred = true };
	if (strstr(rcpt, "watch") != NULL)
		res = (struct greylist_result) { .action = "DUNNO", .verdict = GREYLIST_DEFER, .observed = true };
	if (strstr(rcpt, "header") != NULL)
		res.header = HEADER;
	return res;
}

static void
greylist_due(void *ctx)
{
	struct greylist_wait *w = ctx;
	struct greylist_result res = greylist_script("defer");

	*w->slot = NULL;
	w->fn(w->ctx, &res);
	mem_free(&w);
}

enum greylist_when
greylist_decide(struct greylist *g, const struct greylist_request *req, struct greylist_result *res, greylist_done_fn *fn,
    void *ctx, struct greylist_wait **slot)
{
	struct greylist_wait *w;

	(void) g;
	decided++;
	if (strstr(req->recipient, "late") == NULL) {
		*res = greylist_script(req->recipient);
		return GREYLIST_NOW;
	}
	w = *slot = mem_alloc(sizeof *w);
	w->fn = fn;
	w->ctx = ctx;
	w->slot = slot;
	ev_timer_set(policy_loop, &w->timer, 500, greylist_due, w);
	return GREYLIST_LATER;
}

void
greylist_cancel(struct greylist_wait **wp)
{
	if (*wp == NULL)
		return;
	cancelled++;
	ev_timer_cancel(policy_loop, &(*wp)->timer);
	mem_free(wp);
}

/* ---- the world ---- */
static char dir[32];
static struct verify_stub stub;
static unsigned lines;
static struct buf logged = BUF_INIT(1 << 20);

static void
log_line(void *ctx, int level, const char *line)
{
	(void) ctx;
	(void) level;
	lines++;
	buf_adds(&logged, line);
	buf_addc(&logged, '\n');
}

static int
begin(void **state)
{
	char   *path;

	(void) state;
	assert_non_null(mkdtemp(strcpy(dir, "/tmp/vouch-policy.XXXXXX")));
	path = mem_printf("%s/verify", dir);
	policy_conf = (struct policy_conf) {
		.order = { { POLICY_GREYLIST }, 1 },
		.recipient = { 450, 450, "", false }, .sender = { 450, 450, "", false },
		.poll_count = 3, .poll_ms = 3000,
	};
	policy_loop = ev_loop_new_fake(NOW);
	ms_fake_init(policy_loop, &server);
	assert_int_equal(verify_stub_open(&stub, policy_loop, path, 600), 0);
	policy_verify = verify_async_new(policy_loop, path, 100, 100, 5000);
	mem_free(&path);
	decided = cancelled = lines = 0;
	buf_reset(&logged);
	memset(stats_local, 0, sizeof stats_local);
	msg_catch(log_line, NULL);
	return 0;
}

static int
end(void **state)
{
	char   *cmd = mem_printf("rm -rf %s", dir);

	(void) state;
	msg_catch(NULL, NULL);
	ms_fake_turn();
	verify_async_free(&policy_verify);
	verify_stub_close(&stub);
	ev_loop_free(&policy_loop);
	assert_int_equal(system(cmd), 0);
	mem_free(&cmd);
	return 0;
}

static void
say(struct ms_client *c, const char *text)
{
	ms_fake_say(c, text, strlen(text));
}

static void
want(struct ms_client *c, const char *name, const char *text)
{
	if (strcmp(buf_str(&c->out), text) != 0)
		fail_msg("%s:\n got %s\nwant %s", name, buf_str(&c->out), text);
	buf_reset(&c->out);
}

/* ask - a request; extra: more lines, which win */
static void
ask(struct ms_client *c, const char *sender, const char *rcpt, const char *instance, const char *extra)
{
	char   *text = mem_printf("request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.25\n"
		    "client_name=mail.example.org\nsender=%s\nrecipient=%s\ninstance=%s\n%s\n", sender, rcpt, instance, extra);

	say(c, text);
	mem_free(&text);
}

/* ---- form ---- */

/* spec policy-delegation section 11 and 9.5, 9.6; want NULL: closed without a byte */
static void
vectors(void **state)
{
	static const struct {
		const char *name, *data, *want;
		unsigned    lines;
	} cases[] = {
		{ "nothing but the name", "request=smtpd_access_policy\n\n", DUNNO, 0 },
		{ "empty line", "\n", NULL, 1 },
		{ "another request", "request=other\n\n", NULL, 1 },
		{ "no request", "sender=a@b\nrecipient=c@d\n\n", NULL, 1 },
		{ "CR LF", "request=smtpd_access_policy\r\nprotocol_state=RCPT\r\n\r\n", DUNNO, 0 },
		{ "XCLIENT", "request=smtpd_access_policy\nprotocol_state=XCLIENT\nrecipient=\n\n", DUNNO, 0 },
		{ "garbage in it", "request=smtpd_access_policy\ngarbage\nrecipient=defer@b\n\n", "action=" DEFER "\n\n", 1 },
		{ "two in one write", "request=smtpd_access_policy\nrecipient=defer@b\n\nrequest=smtpd_access_policy\nrecipient=a@b\n\n",
		  "action=" DEFER "\n\n" DUNNO, 0 },
		{ "one good, one bad", "request=smtpd_access_policy\n\nrequest=x\n\n", DUNNO, 1 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ms_client *c = ms_fake_client();

		lines = 0;
		say(c, cases[i].data);
		want(c, cases[i].name, cases[i].want != NULL ? cases[i].want : "");
		if (c->closed != (cases[i].want == NULL || strstr(cases[i].name, "bad") != NULL))
			fail_msg("%s: closed or not", cases[i].name);
		if (lines != cases[i].lines)
			fail_msg("%s: %u lines logged, want %u:\n%s", cases[i].name, lines, cases[i].lines, buf_str(&logged));
		ms_fake_free(&c);
	}
}

/* requests without end: closed, one line, no more memory than the limit; and half of one: no decision */
static void
endless(void **state)
{
	struct buf b = BUF_INIT(20 << 20);
	struct ms_client *c = ms_fake_client();

	(void) state;
	for (int i = 0; i < 10 << 20; i += 1024) {	/* 10 MB in one attribute */
		memset(buf_room(&b, 1024), 'x', 1024);
		buf_grew(&b, 1024);
	}
	say(c, "request=smtpd_access_policy\nsender=");
	for (size_t at = 0; at < b.len && !c->closed; at += 65536)
		ms_fake_say(c, b.data + at, 65536);
	want(c, "10 MB", "");
	assert_true(c->closed);
	assert_int_equal(lines, 1);
	ms_fake_free(&c);
	c = ms_fake_client();
	for (int i = 0; i < 201 && !c->closed; i++)
		say(c, "a=b\n");
	assert_true(c->closed);
	assert_int_equal(lines, 2);
	ms_fake_free(&c);
	c = ms_fake_client();
	say(c, "request=smtpd_access_policy\nrecipient=a@b\n");
	ms_fake_eof(c);
	want(c, "cut off", "");
	assert_true(c->closed);
	assert_int_equal(lines, 3);
	assert_int_equal(decided, 0);
	assert_int_equal(stats_local[STAT_policy_bad], 3);
	ms_fake_free(&c);
	c = ms_fake_client();
	ms_fake_eof(c);				/* said nothing: no line */
	assert_true(c->closed);
	assert_int_equal(lines, 3);
	ms_fake_free(&c);
	buf_fini(&b);
}

static void
byte_by_byte(void **state)
{
	static const char text[] = "request=smtpd_access_policy\nrecipient=defer@b\n\n";
	struct ms_client *c = ms_fake_client();

	(void) state;
	for (size_t i = 0; i < sizeof text - 1; i++) {
		want(c, "not yet", "");
		ms_fake_hear(c, text + i, 1);
	}
	want(c, "byte by byte", "action=" DEFER "\n\n");
	ms_fake_free(&c);
}

/* ---- instances ---- */

/* 9.10: the same request again gets the same answer, and is decided once; another one, or another instance, is not the same */
static void
repeats(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	for (int i = 0; i < 4; i++) {
		ask(c, "s@x", "defer@b", "1.2.3", "");
		want(c, "repeated", "action=" DEFER "\n\n");
	}
	assert_int_equal(decided, 1);
	assert_int_equal(stats_local[STAT_policy_repeats], 3);
	assert_int_equal(stats_local[STAT_policy_requests], 4);
	ask(c, "s@x", "a@b", "1.2.3", "");
	want(c, "another recipient", DUNNO);
	ask(c, "s@x", "defer@b", "1.2.3", "");
	want(c, "the first again", "action=" DEFER "\n\n");
	assert_int_equal(decided, 2);
	ask(c, "s@x", "defer@b", "1.2.3", "protocol_state=DATA\n");
	ask(c, "s@x", "defer@b", "1.2.3", "client_address=192.0.2.26\n");
	ask(c, "t@x", "defer@b", "1.2.3", "");
	assert_int_equal(decided, 5);
	ask(c, "s@x", "defer@b", "1.2.4", "");
	ask(c, "s@x", "defer@b", "1.2.3", "");		/* only the last instance is remembered */
	assert_int_equal(decided, 7);
	buf_reset(&c->out);
	ask(c, "s@x", "defer@b", "", "");		/* none: each is new */
	ask(c, "s@x", "defer@b", "", "");
	assert_int_equal(decided, 9);
	buf_reset(&c->out);
	for (int i = 0; i < 1000; i++) {		/* bounded */
		char   *rcpt = mem_printf("r%d@b", i);

		ask(c, "s@x", rcpt, "1.2.5", "");
		mem_free(&rcpt);
		buf_reset(&c->out);
	}
	ask(c, "s@x", "r999@b", "1.2.5", "");
	assert_int_equal(decided, 1009);
	ms_fake_free(&c);
}

/* 9.11: one header for a message; its repetition is DUNNO; only where smtpd takes one; without an instance each time */
static void
headers(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	ask(c, "s@x", "header1@b", "1.2.3", "");
	want(c, "first", "action=PREPEND " HEADER "\n\n");
	ask(c, "s@x", "header1@b", "1.2.3", "");
	want(c, "repeated", DUNNO);
	ask(c, "s@x", "header2@b", "1.2.3", "");
	want(c, "second recipient", DUNNO);
	ask(c, "s@x", "header2@b", "1.2.4", "");
	want(c, "another message", "action=PREPEND " HEADER "\n\n");
	ask(c, "s@x", "header2@b", "1.2.5", "protocol_state=END-OF-MESSAGE\n");
	want(c, "end of message", DUNNO);
	ask(c, "s@x", "header2@b", "", "");
	ask(c, "s@x", "header2@b", "", "");
	want(c, "no instance", "action=PREPEND " HEADER "\n\naction=PREPEND " HEADER "\n\n");
	ms_fake_free(&c);
}

/* ---- verification ---- */

/* spec greylisting section 12. By the address's first character: 0 OK, 1 DEFER, 2 BOUNCE, 3 TODO */
static void
verdicts(void **state)
{
	static const struct policy_verify_conf plain = { 450, 450, "", false }, hard = { 550, 450, "", false },
	    own = { 550, 450, "no such user here", false }, soft = { 250, 250, "", false }, once = { 450, 451, "", true };
	static const struct {
		const char *name;
		enum policy_check check;
		const struct policy_verify_conf *conf;
		const char *sender, *rcpt, *extra, *want;	/* want: without "action=" */
	} cases[] = {
		{ "OK", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "0@b", "", "DUNNO" },
		{ "BOUNCE", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "2@b", "", "450 4.1.1 undeliverable address: text for 2@b" },
		{ "BOUNCE, 550", POLICY_VERIFY_RECIPIENT, &hard, "s@x", "2@b", "", "550 5.1.1 undeliverable address: text for 2@b" },
		{ "BOUNCE, own reason", POLICY_VERIFY_RECIPIENT, &own, "s@x", "2@b", "", "550 5.1.1 undeliverable address: no such user here" },
		{ "BOUNCE, 250", POLICY_VERIFY_RECIPIENT, &soft, "s@x", "2@b", "", "DUNNO" },
		{ "DEFER", POLICY_VERIFY_RECIPIENT, &own, "s@x", "1@b", "", "DEFER_IF_PERMIT 4.1.1 unverified address: text for 1@b" },
		{ "DEFER, defer", POLICY_VERIFY_RECIPIENT, &once, "s@x", "1@b", "", "451 4.1.1 unverified address: text for 1@b" },
		{ "DEFER, 250", POLICY_VERIFY_RECIPIENT, &soft, "s@x", "1@b", "", "DUNNO" },
		{ "recipient at DATA", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "2@b", "protocol_state=DATA\n", "DUNNO" },
		{ "no recipient", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "", "", "DUNNO" },
		{ "null sender, recipient asked", POLICY_VERIFY_RECIPIENT, &plain, "", "2@b", "", "450 4.1.1 undeliverable address: text for 2@b" },
		{ "sender OK", POLICY_VERIFY_SENDER, &plain, "0@x", "2@b", "", "DUNNO" },
		{ "sender BOUNCE at RCPT", POLICY_VERIFY_SENDER, &hard, "2@x", "0@b", "", "550 5.1.7 sender address <2@x> undeliverable: text for 2@x" },
		{ "sender BOUNCE at MAIL", POLICY_VERIFY_SENDER, &plain, "2@x", "", "protocol_state=MAIL\n",
		  "450 4.1.7 undeliverable address: text for 2@x" },
		{ "sender DEFER", POLICY_VERIFY_SENDER, &plain, "1@x", "0@b", "",
		  "DEFER_IF_PERMIT 4.1.7 sender address <1@x> unverified: text for 1@x" },
		{ "null sender", POLICY_VERIFY_SENDER, &plain, "", "0@b", "", "DUNNO" },
		{ "null sender in brackets", POLICY_VERIFY_SENDER, &plain, "<>", "0@b", "", "DUNNO" },
		{ "sender at CONNECT", POLICY_VERIFY_SENDER, &plain, "2@x", "", "protocol_state=CONNECT\n", "DUNNO" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ms_client *c = ms_fake_client();
		char   *text = mem_printf("action=%s\n\n", cases[i].want);

		policy_conf.order = (struct policy_order) { { cases[i].check }, 1 };
		policy_conf.recipient = policy_conf.sender = *cases[i].conf;
		ask(c, cases[i].sender, cases[i].rcpt, "", cases[i].extra);
		want(c, cases[i].name, text);
		mem_free(&text);
		ms_fake_free(&c);
	}
	/* logged in: asked, unless exempt */
	for (int exempt = 0; exempt < 2; exempt++) {
		struct ms_client *c = ms_fake_client();

		policy_conf.order = (struct policy_order) { { POLICY_VERIFY_RECIPIENT }, 1 };
		policy_conf.recipient = plain;
		policy_conf.exempt_sasl = exempt;
		ask(c, "s@x", "2@b", "", "sasl_username=ann\n");
		want(c, "sasl", exempt ? DUNNO : "action=450 4.1.1 undeliverable address: text for 2@b\n\n");
		ms_fake_free(&c);
	}
}

/* in progress: as often as smtpd would ask, in its own time, and others are served meanwhile */
static void
polls(void **state)
{
	struct ms_client *c = ms_fake_client(), *other = ms_fake_client();

	(void) state;
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_RECIPIENT }, 1 };
	ask(c, "s@x", "3@b", "", "");
	want(c, "asked once", "");
	assert_int_equal(stub.requests, 1);
	ask(other, "s@x", "0@b", "", "");
	want(other, "the other", DUNNO);
	ms_fake_pass(2999);
	assert_int_equal(stub.requests, 2);
	ms_fake_pass(1);
	assert_int_equal(stub.requests, 3);
	want(c, "asked twice", "");
	ms_fake_pass(3000);
	assert_int_equal(stub.requests, 4);
	want(c, "asked three times", "action=DEFER_IF_PERMIT 4.1.1 unverified address: text for 3@b\n\n");
	/* a client that leaves while it waits */
	ask(c, "s@x", "3@b", "", "");
	ms_fake_free(&c);
	ms_fake_pass(10000);
	assert_int_equal(stub.requests, 5);
	/* with a hold time verify itself waits: no polls */
	policy_conf.hold_ms = 2500;
	ask(other, "s@x", "3@b", "", "");
	want(other, "held", "action=DEFER_IF_PERMIT 4.1.1 unverified address: text for 3@b\n\n");
	/* an absurd number of polls ends after POLICY_WAIT_MAX_MS */
	policy_conf.hold_ms = 0;
	policy_conf.poll_count = 100;
	ask(other, "s@x", "3@b", "", "");
	ms_fake_pass(POLICY_WAIT_MAX_MS);
	want(other, "much patience", "action=DEFER_IF_PERMIT 4.1.1 unverified address: text for 3@b\n\n");
	ms_fake_free(&other);
}

/* the verify service gives no answer: within a second, as configured */
static void
away(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	verify_stub_script(&stub, VSTUB_HANG);
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_SENDER, POLICY_VERIFY_RECIPIENT }, 2 };
	ask(c, "s@x", "2@b", "", "");
	ms_fake_pass(1000);
	want(c, "sender", "action=DEFER_IF_PERMIT 4.1.7 address verification problem\n\n");
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_RECIPIENT }, 1 };
	ask(c, "s@x", "2@b", "", "");
	ms_fake_pass(1000);
	want(c, "recipient", "action=DEFER_IF_PERMIT 4.1.1 address verification problem\n\n");
	policy_conf.fallback_dunno = true;
	ask(c, "s@x", "2@b", "", "");
	ms_fake_pass(1000);
	want(c, "no opinion", DUNNO);
	assert_int_equal(stats_local[STAT_policy_verify_away], 3);
	ms_fake_free(&c);
}

/* ---- several checks ---- */
static void
order(void **state)
{
	static const struct {
		const char *name;
		struct policy_order order;
		const char *sender, *rcpt, *context, *want;
		unsigned decided, asked;
	} cases[] = {
		{ "dead before greylisting", { { POLICY_VERIFY_RECIPIENT, POLICY_GREYLIST }, 2 }, "s@x", "2defer@b", "",
		  "450 4.1.1 undeliverable address: text for 2defer@b", 0, 1 },
		{ "alive, then greylisted", { { POLICY_VERIFY_RECIPIENT, POLICY_GREYLIST }, 2 }, "s@x", "0defer@b", "", DEFER, 1, 1 },
		{ "greylisted before it is asked", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "2@x", "defer@b", "", DEFER, 1, 0 },
		{ "back, and asked then", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "2@x", "header@b", "",
		  "450 4.1.7 sender address <2@x> undeliverable: text for 2@x", 1, 1 },
		{ "back, and good", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "0@x", "header@b", "", "PREPEND " HEADER, 1, 1 },
		{ "greylisting decides late", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "0@x", "late@b", "", DEFER, 1, 0 },
		{ "greylisting observes", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "2@x", "watch@b", "",
		  "450 4.1.7 sender address <2@x> undeliverable: text for 2@x", 1, 1 },
		{ "context", { { POLICY_GREYLIST }, 1 }, "s@x", "2defer@b", "verify_recipient",
		  "450 4.1.1 undeliverable address: text for 2defer@b", 0, 1 },
		{ "context of two", { { POLICY_GREYLIST }, 1 }, "s@x", "0defer@b", " verify_recipient, greylist", DEFER, 1, 1 },
		{ "somebody else's context", { { POLICY_GREYLIST }, 1 }, "s@x", "2defer@b", "verify_recipient please", DEFER, 1, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ms_client *c = ms_fake_client();
		char   *text = mem_printf("action=%s\n\n", cases[i].want), *context = mem_printf("policy_context=%s\n", cases[i].context);

		decided = 0;
		stub.requests = 0;
		policy_conf.order = cases[i].order;
		ask(c, cases[i].sender, cases[i].rcpt, "1.2.3", context);
		ms_fake_pass(500);
		want(c, cases[i].name, text);
		if (decided != cases[i].decided || stub.requests != cases[i].asked)
			fail_msg("%s: greylisting decided %u times, verify was asked %u times", cases[i].name, decided, stub.requests);
		mem_free(&text);
		mem_free(&context);
		ms_fake_free(&c);
	}
}

/* a request that waits: the client's next one has its turn after it; a client that leaves cancels it; half-close */
static void
waits(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	ask(c, "s@x", "late@b", "", "");
	ask(c, "s@x", "a@b", "", "");
	want(c, "nothing before its turn", "");
	ms_fake_pass(500);
	want(c, "in order", "action=" DEFER "\n\n" DUNNO);
	ask(c, "s@x", "late@b", "", "");
	ms_fake_eof(c);
	ms_fake_pass(500);
	want(c, "its side was closed", "action=" DEFER "\n\n");
	assert_true(c->closed);
	assert_int_equal(cancelled, 0);
	ms_fake_free(&c);
	c = ms_fake_client();
	ask(c, "s@x", "late@b", "", "");
	ms_fake_free(&c);
	assert_int_equal(cancelled, 1);
	ms_fake_pass(1000);
}

/* policy_mode = observe: said in the log, and nowhere else */
static void
observe(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	policy_conf.observe = true;
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_RECIPIENT, POLICY_GREYLIST }, 2 };
	ask(c, "s@x", "2@b", "1.2.3", "");
	ask(c, "s@x", "0defer@b", "1.2.3", "");
	ask(c, "s@x", "0header@b", "1.2.3", "");
	want(c, "observed", DUNNO DUNNO DUNNO);
	assert_non_null(strstr(buf_str(&logged), "policy=observe client=mail.example.org[192.0.2.25] from=<s@x> to=<2@b> "
	    "action=\"450 4.1.1 undeliverable address: text for 2@b\" instance=1.2.3\n"));
	assert_non_null(strstr(buf_str(&logged), "to=<0defer@b> action=\"" DEFER "\""));
	ms_fake_free(&c);
}

/* what remote servers and clients say becomes one line of text */
static void
hostile_text(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_RECIPIENT }, 1 };
	ask(c, "s@x", "2%s%n\x01\xff@b", "", "");
	want(c, "odd bytes", "action=450 4.1.1 undeliverable address: text for 2%s%n??@b\n\n");
	assert_null(strstr(buf_str(&logged), "\x01"));
	ms_fake_free(&c);
}

static void
orders(void **state)
{
	static const struct {
		const char *words;
		bool	    good;
		unsigned    n;
	} cases[] = {
		{ "greylist", true, 1 }, { "verify_recipient greylist verify_sender", true, 3 }, { " verify_sender,\tgreylist , ", true, 2 },
		{ "", true, 0 }, { "greylist greylist", false, 9 }, { "greylists", false, 9 }, { "verify", false, 9 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct policy_order o = { .n = 9 };

		if (policy_order_parse(cases[i].words, &o) != cases[i].good || o.n != cases[i].n)
			fail_msg("\"%s\": %u", cases[i].words, o.n);
	}
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {
		T(vectors), T(endless), T(byte_by_byte), T(repeats), T(headers), T(verdicts), T(polls), T(away), T(order), T(waits),
		T(observe), T(hostile_text), cmocka_unit_test(orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
