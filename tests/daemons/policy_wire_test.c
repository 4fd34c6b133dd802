/* tests/daemons/policy_wire_test.c - requests and replies of policy(8), under a fake clock
 * Greylisting and the verify service are scripted: recipients greylist-* below; verify answers by an address's first character
 * (verify_stub.h), and what the test writes into the table is known, as if a verify worker had. The skeleton's side is ms_fake.
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
#include <tests/lib/ask_rig.h>
#include <util/mem.h>
#include <util/msg.h>

#define DUNNO	"action=DUNNO\n\n"
#define DEFER	"DEFER_IF_PERMIT 4.2.0 Greylisted, please try again later"
#define HEADER	"X-Greylist: delayed 300 seconds by vouch at mx.example.com; today"

/* what policy.c has */
struct greylist *policy_greylist;
struct address_host policy_host;
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
static int
begin(void **state)
{
	const struct address_ask_conf conf = { .query_ms = POLICY_ANSWER_MS, .max_waiters = 100, .hears = true };

	(void) state;
	ask_rig_begin(&policy_host, &server, &conf);
	policy_loop = ask_rig.loop;
	policy_conf = (struct policy_conf) {
		.order = { { POLICY_GREYLIST }, 1 },
		.recipient = { 450, 450, "", false }, .sender = { 450, 450, "", false },
		.poll_count = 3, .poll_ms = 3000,
	};
	decided = cancelled = 0;
	return 0;
}

static int
end(void **state)
{
	(void) state;
	ask_rig_end();
	return 0;
}

/* ask - a request; extra: more ask_rig.lines, which win */
static void
ask(struct ms_client *c, const char *sender, const char *rcpt, const char *instance, const char *extra)
{
	char   *text = mem_printf("request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.25\n"
		    "client_name=mail.example.org\nsender=%s\nrecipient=%s\ninstance=%s\n%s\n", sender, rcpt, instance, extra);

	ask_rig_say(c, text);
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

		ask_rig.lines = 0;
		ask_rig_say(c, cases[i].data);
		ask_rig_want(c, cases[i].name, cases[i].want != NULL ? cases[i].want : "");
		if (c->closed != (cases[i].want == NULL || strstr(cases[i].name, "bad") != NULL))
			fail_msg("%s: closed or not", cases[i].name);
		if (ask_rig.lines != cases[i].lines)
			fail_msg("%s: %u lines logged, want %u:\n%s", cases[i].name, ask_rig.lines, cases[i].lines, buf_str(&ask_rig.logged));
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
	ask_rig_say(c, "request=smtpd_access_policy\nsender=");
	for (size_t at = 0; at < b.len && !c->closed; at += 65536)
		ms_fake_say(c, b.data + at, 65536);
	ask_rig_want(c, "10 MB", "");
	assert_true(c->closed);
	assert_int_equal(ask_rig.lines, 1);
	ms_fake_free(&c);
	c = ms_fake_client();
	for (int i = 0; i < 201 && !c->closed; i++)
		ask_rig_say(c, "a=b\n");
	assert_true(c->closed);
	assert_int_equal(ask_rig.lines, 2);
	ms_fake_free(&c);
	c = ms_fake_client();
	ask_rig_say(c, "request=smtpd_access_policy\nrecipient=a@b\n");
	ms_fake_eof(c);
	ask_rig_want(c, "cut off", "");
	assert_true(c->closed);
	assert_int_equal(ask_rig.lines, 3);
	assert_int_equal(decided, 0);
	assert_int_equal(stats_local[STAT_policy_bad], 3);
	ms_fake_free(&c);
	c = ms_fake_client();
	ms_fake_eof(c);				/* said nothing: no line */
	assert_true(c->closed);
	assert_int_equal(ask_rig.lines, 3);
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
		ask_rig_want(c, "not yet", "");
		ms_fake_hear(c, text + i, 1);
	}
	ask_rig_want(c, "byte by byte", "action=" DEFER "\n\n");
	ms_fake_free(&c);
}

/* ---- instances ---- */

/* 9.10: the same request again gets the same answer, and is decided once; another one, or another instance, is not the same */
static void
repeats(void **state)
{
	struct ms_client *c = ms_fake_client();
	char	big[2100] = "";

	(void) state;
	for (int i = 0; i < 4; i++) {
		ask(c, "s@x", "defer@b", "1.2.3", "");
		ask_rig_want(c, "repeated", "action=" DEFER "\n\n");
	}
	assert_int_equal(decided, 1);
	assert_int_equal(stats_local[STAT_policy_repeats], 3);
	assert_int_equal(stats_local[STAT_policy_requests], 4);
	ask(c, "s@x", "a@b", "1.2.3", "");
	ask_rig_want(c, "another recipient", DUNNO);
	ask(c, "s@x", "defer@b", "1.2.3", "");
	ask_rig_want(c, "the first again", "action=" DEFER "\n\n");
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
	ask(c, "s@x", "r984@b", "1.2.5", "");
	assert_int_equal(decided, 1009);
	ask(c, "s@x", "r983@b", "1.2.5", "");		/* the seventeenth from the end */
	assert_int_equal(decided, 1010);
	memset(big, 'b', sizeof big - 1);
	for (int i = 0; i < 2; i++)			/* too long to be remembered */
		ask(c, "s@x", big, "1.2.5", "");
	ask(c, "s@x", "r999@b", "1.2.5", "");
	assert_int_equal(decided, 1012);
	ms_fake_free(&c);
}

/* 9.11: one header for a message; its repetition is DUNNO; only where smtpd takes one; without an instance each time */
static void
headers(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	ask(c, "s@x", "header1@b", "1.2.3", "");
	ask_rig_want(c, "first", "action=PREPEND " HEADER "\n\n");
	ask(c, "s@x", "header1@b", "1.2.3", "");
	ask_rig_want(c, "repeated", DUNNO);
	ask(c, "s@x", "header2@b", "1.2.3", "");
	ask_rig_want(c, "second recipient", DUNNO);
	ask(c, "s@x", "header2@b", "1.2.4", "");
	ask_rig_want(c, "another message", "action=PREPEND " HEADER "\n\n");
	ask(c, "s@x", "header2@b", "1.2.5", "protocol_state=END-OF-MESSAGE\n");
	ask_rig_want(c, "end of message", DUNNO);
	ask(c, "s@x", "header2@b", "", "");
	ask(c, "s@x", "header2@b", "", "");
	ask_rig_want(c, "no instance", "action=PREPEND " HEADER "\n\naction=PREPEND " HEADER "\n\n");
	ms_fake_free(&c);
}

/* ---- verification ---- */

/* spec greylisting section 12. By the address's first character: 0 OK, 1 DEFER, 2 BOUNCE, 3 TODO */
static void
verdicts(void **state)
{
	static const struct policy_verify_conf plain = { 450, 450, "", false }, hard = { 550, 450, "", false },
	    own = { 550, 450, "no such user here", false }, soft = { 250, 250, "", false }, once = { 452, 451, "", true },
	    own_later = { 450, 450, "come back", false }, odd = { 350, 350, "", true };
	static const struct {
		const char *name;
		enum policy_check check;
		const struct policy_verify_conf *conf;
		const char *sender, *rcpt, *extra, *want;	/* want: without "action=" */
	} cases[] = {
		{ "OK", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "0@b", "", "DUNNO" },
		{ "BOUNCE", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "2@b", "", "DEFER_IF_PERMIT 4.1.1 unverified address: text for 2@b" },
		{ "BOUNCE, 550", POLICY_VERIFY_RECIPIENT, &hard, "s@x", "2@b", "", "550 5.1.1 undeliverable address: text for 2@b" },
		{ "BOUNCE, own reason", POLICY_VERIFY_RECIPIENT, &own, "s@x", "2@b", "", "550 5.1.1 undeliverable address: no such user here" },
		{ "BOUNCE, 250", POLICY_VERIFY_RECIPIENT, &soft, "s@x", "2@b", "", "DUNNO" },
		{ "BOUNCE, 4NN, defer", POLICY_VERIFY_RECIPIENT, &once, "s@x", "2@b", "", "452 4.1.1 unverified address: text for 2@b" },
		{ "BOUNCE, 4NN, own reason", POLICY_VERIFY_RECIPIENT, &own_later, "s@x", "2@b", "",
		  "DEFER_IF_PERMIT 4.1.1 unverified address: come back" },
		{ "BOUNCE, 3NN", POLICY_VERIFY_RECIPIENT, &odd, "s@x", "2@b", "", "450 4.1.1 unverified address: text for 2@b" },
		{ "DEFER", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "1@b", "", "DEFER_IF_PERMIT 4.1.1 unverified address: text for 1@b" },
		{ "DEFER, own reason", POLICY_VERIFY_RECIPIENT, &own, "s@x", "1@b", "",
		  "DEFER_IF_PERMIT 4.1.1 unverified address: no such user here" },
		{ "DEFER, defer", POLICY_VERIFY_RECIPIENT, &once, "s@x", "1@b", "", "451 4.1.1 unverified address: text for 1@b" },
		{ "DEFER, 250", POLICY_VERIFY_RECIPIENT, &soft, "s@x", "1@b", "", "DUNNO" },
		{ "recipient at DATA", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "2@b", "protocol_state=DATA\n", "DUNNO" },
		{ "no recipient", POLICY_VERIFY_RECIPIENT, &plain, "s@x", "", "", "DUNNO" },
		{ "null sender, recipient asked", POLICY_VERIFY_RECIPIENT, &plain, "", "2@b", "", "DEFER_IF_PERMIT 4.1.1 unverified address: text for 2@b" },
		{ "sender OK", POLICY_VERIFY_SENDER, &plain, "0@x", "2@b", "", "DUNNO" },
		{ "sender BOUNCE at RCPT", POLICY_VERIFY_SENDER, &hard, "2@x", "0@b", "", "550 5.1.7 sender address <2@x> undeliverable: text for 2@x" },
		{ "sender BOUNCE, 4NN, at RCPT", POLICY_VERIFY_SENDER, &once, "2@x", "0@b", "",
		  "452 4.1.7 sender address <2@x> unverified: text for 2@x" },
		{ "sender BOUNCE at MAIL", POLICY_VERIFY_SENDER, &plain, "2@x", "", "protocol_state=MAIL\n",
		  "DEFER_IF_PERMIT 4.1.7 unverified address: text for 2@x" },
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
		ask_rig_want(c, cases[i].name, text);
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
		ask_rig_want(c, "sasl", exempt ? DUNNO : "action=DEFER_IF_PERMIT 4.1.1 unverified address: text for 2@b\n\n");
		ms_fake_free(&c);
	}
}

#define TODO_ACTION "action=DEFER_IF_PERMIT 4.1.1 unverified address: Address verification in progress\n\n"

/* in progress: waited for as long as smtpd would ask, others are served meanwhile, and the result counts as soon as it is known */
static void
polls(void **state)
{
	struct ms_client *c = ms_fake_client(), *other = ms_fake_client();
	unsigned asked;

	(void) state;
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_RECIPIENT }, 1 };
	ask(c, "s@x", "3@b", "", "");
	ask_rig_want(c, "asked", "");
	assert_int_equal(ask_rig.stub.requests, 1);
	ask(other, "s@x", "0@b", "", "");
	ask_rig_want(other, "the other", DUNNO);
	ms_fake_pass(5999);
	ask_rig_want(c, "waits", "");
	ms_fake_pass(1);
	ask_rig_want(c, "as long as smtpd", TODO_ACTION);
	assert_int_equal(stats_local[STAT_policy_verify_defer], 1);
	/* verify is asked again once a second: the worker that had the probe may have died */
	assert_in_range(ask_rig.stub.requests, 6, 8);
	/* the result of the probe */
	ask(c, "s@x", "3@b", "", "");
	ask(other, "s@x", "3@b", "", "");
	ms_fake_pass(1000);
	ask_rig_want(c, "waits", "");
	ask_rig_result("3@b", VERIFY_BOUNCE, "550 5.1.1 no such user", ASK_RIG_NOW);
	ms_fake_pass(20);
	ask_rig_want(c, "result", "action=DEFER_IF_PERMIT 4.1.1 unverified address: 550 5.1.1 no such user\n\n");
	ask_rig_want(other, "the same", "action=DEFER_IF_PERMIT 4.1.1 unverified address: 550 5.1.1 no such user\n\n");
	assert_int_equal(stats_local[STAT_policy_verify_bounce], 2);
	/* a client that leaves while it waits */
	ask(c, "s@x", "3left@b", "", "");
	ms_fake_free(&c);
	ms_fake_turn();
	asked = ask_rig.stub.requests;
	ms_fake_pass(10000);
	assert_int_equal(ask_rig.stub.requests, asked);
	/* smtpd would ask once: verify's first word is the last */
	policy_conf.poll_count = 1;
	ask(other, "s@x", "3once@b", "", "");
	ask_rig_want(other, "once", TODO_ACTION);
	ask(other, "s@x", "1once@b", "", "");
	ask_rig_want(other, "once, an answer", "action=DEFER_IF_PERMIT 4.1.1 unverified address: text for 1once@b\n\n");
	/* an absurd number of polls ends after POLICY_WAIT_MAX_MS */
	policy_conf.poll_count = 100;
	ask(other, "s@x", "3long@b", "", "");
	ms_fake_pass(POLICY_WAIT_MAX_MS - policy_conf.poll_ms);
	ask_rig_want(other, "patience", "");
	ms_fake_pass(policy_conf.poll_ms);
	ask_rig_want(other, "much patience", TODO_ACTION);
	ms_fake_free(&other);
}

/* what this host's table has: verify is not asked, and of the text it is said what may be */
static void
known(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_SENDER, POLICY_VERIFY_RECIPIENT }, 2 };
	ask_rig_result("2@x", VERIFY_OK, "250 Ok", ASK_RIG_NOW);
	ask_rig_result("0@b", VERIFY_BOUNCE, "host mx[192.0.2.1] said: 550 5.1.1 no such user", ASK_RIG_NOW);
	ask(c, "2@x", "0@b", "1.2.3", "");
	ask_rig_want(c, "full", "action=DEFER_IF_PERMIT 4.1.1 unverified address: host mx[192.0.2.1] said: 550 5.1.1 no such user\n\n");
	policy_conf.detail = REASON_DETAIL_CODE;
	ask(c, "2@x", "0@b", "1.2.4", "");
	ask_rig_want(c, "code", "action=DEFER_IF_PERMIT 4.1.1 unverified address: 550 5.1.1\n\n");
	assert_int_equal(ask_rig.stub.requests, 0);
	assert_int_equal(stats_local[STAT_policy_verify_ok], 2);
	ms_fake_free(&c);
}

/* verify holds its answer: in progress when it says so, or when the hold time of the second one is over */
static void
held(void **state)
{
	struct ms_client *c = ms_fake_client(), *second = ms_fake_client();

	(void) state;
	policy_conf.hold_ms = 600;
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_RECIPIENT }, 1 };
	verify_stub_script(&ask_rig.stub, VSTUB_HANG);
	ask(c, "s@x", "3@b", "", "");
	ms_fake_pass(600);
	ask_rig_want(c, "not heard from verify", "");
	ms_fake_pass(400);
	ask_rig_want(c, "verify is away", "action=DEFER_IF_PERMIT 4.1.1 address verification problem\n\n");
	assert_int_equal(stats_local[STAT_policy_verify_away], 1);
	verify_stub_script(&ask_rig.stub, VSTUB_GOOD);
	ask(c, "s@x", "3@b", "", "");
	ms_fake_pass(300);
	ask(second, "s@x", "3@b", "", "");
	ms_fake_pass(300);
	ask_rig_want(c, "heard", TODO_ACTION);
	ask_rig_want(second, "has its own time", "");
	ms_fake_pass(300);
	ask_rig_want(second, "and no more", TODO_ACTION);
	ms_fake_free(&c);
	ms_fake_free(&second);
}

/* the verify service gives no answer: within a second, as configured */
static void
away(void **state)
{
	struct ms_client *c = ms_fake_client();

	(void) state;
	verify_stub_script(&ask_rig.stub, VSTUB_HANG);
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_SENDER, POLICY_VERIFY_RECIPIENT }, 2 };
	ask(c, "s@x", "2@b", "", "");
	ms_fake_pass(1000);
	ask_rig_want(c, "sender", "action=DEFER_IF_PERMIT 4.1.7 address verification problem\n\n");
	policy_conf.order = (struct policy_order) { { POLICY_VERIFY_RECIPIENT }, 1 };
	ask(c, "s@x", "2@b", "", "");
	ms_fake_pass(1000);
	ask_rig_want(c, "recipient", "action=DEFER_IF_PERMIT 4.1.1 address verification problem\n\n");
	policy_conf.recipient.defer_at_once = true;
	ask(c, "s@x", "2@b", "", "");
	ms_fake_pass(1000);
	ask_rig_want(c, "at once", "action=450 4.1.1 address verification problem\n\n");
	policy_conf.fallback_dunno = true;
	ask(c, "s@x", "2@b", "", "");
	ms_fake_pass(1000);
	ask_rig_want(c, "no opinion", DUNNO);
	assert_int_equal(stats_local[STAT_policy_verify_away], 4);
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
		  "DEFER_IF_PERMIT 4.1.1 unverified address: text for 2defer@b", 0, 1 },
		{ "alive, then greylisted", { { POLICY_VERIFY_RECIPIENT, POLICY_GREYLIST }, 2 }, "s@x", "0defer@b", "", DEFER, 1, 1 },
		{ "greylisted before it is asked", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "2@x", "defer@b", "", DEFER, 1, 0 },
		{ "back, and asked then", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "2@x", "header@b", "",
		  "DEFER_IF_PERMIT 4.1.7 sender address <2@x> unverified: text for 2@x", 1, 1 },
		{ "back, and good", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "0@x", "header@b", "", "PREPEND " HEADER, 1, 1 },
		{ "greylisting decides late", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "0@x", "late@b", "", DEFER, 1, 0 },
		{ "greylisting observes", { { POLICY_GREYLIST, POLICY_VERIFY_SENDER }, 2 }, "2@x", "watch@b", "",
		  "DEFER_IF_PERMIT 4.1.7 sender address <2@x> unverified: text for 2@x", 1, 1 },
		{ "context", { { POLICY_GREYLIST }, 1 }, "s@x", "2defer@b", "verify_recipient",
		  "DEFER_IF_PERMIT 4.1.1 unverified address: text for 2defer@b", 0, 1 },
		{ "context of two", { { POLICY_GREYLIST }, 1 }, "s@x", "0defer@b", " verify_recipient, greylist", DEFER, 1, 1 },
		{ "somebody else's context", { { POLICY_GREYLIST }, 1 }, "s@x", "2defer@b", "verify_recipient please", DEFER, 1, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ms_client *c = ms_fake_client();
		char   *text = mem_printf("action=%s\n\n", cases[i].want), *context = mem_printf("policy_context=%s\n", cases[i].context);

		decided = 0;
		ask_rig.stub.requests = 0;
		policy_conf.order = cases[i].order;
		ask(c, cases[i].sender, cases[i].rcpt, "1.2.3", context);
		ms_fake_pass(500);
		ask_rig_want(c, cases[i].name, text);
		if (decided != cases[i].decided || ask_rig.stub.requests != cases[i].asked)
			fail_msg("%s: greylisting decided %u times, verify was asked %u times", cases[i].name, decided, ask_rig.stub.requests);
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
	ask_rig_want(c, "nothing before its turn", "");
	ms_fake_pass(500);
	ask_rig_want(c, "in order", "action=" DEFER "\n\n" DUNNO);
	ask(c, "s@x", "late@b", "", "");
	ms_fake_eof(c);
	ms_fake_pass(500);
	ask_rig_want(c, "its side was closed", "action=" DEFER "\n\n");
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
	ask_rig_want(c, "observed", DUNNO DUNNO DUNNO);
	assert_non_null(strstr(buf_str(&ask_rig.logged), "policy=observe client=mail.example.org[192.0.2.25] from=<s@x> to=<2@b> "
	    "action=\"DEFER_IF_PERMIT 4.1.1 unverified address: text for 2@b\" instance=1.2.3\n"));
	assert_non_null(strstr(buf_str(&ask_rig.logged), "to=<0defer@b> action=\"" DEFER "\""));
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
	ask_rig_want(c, "odd bytes", "action=DEFER_IF_PERMIT 4.1.1 unverified address: text for 2%s%n??@b\n\n");
	assert_null(strstr(buf_str(&ask_rig.logged), "\x01"));
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
		T(vectors), T(endless), T(byte_by_byte), T(repeats), T(headers), T(verdicts), T(polls), T(known), T(held), T(away), T(order),
		T(waits), T(observe), T(hostile_text), cmocka_unit_test(orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
