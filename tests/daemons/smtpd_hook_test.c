/* tests/daemons/smtpd_hook_test.c - every hook with every return code: what the client hears, what becomes of the session, who
 * is asked next; suspending, and what may happen in between; vh_next, deny and ok hooks, instances
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/smtpd_rig.h>
#include <util/mem.h>
#include <util/msg.h>

/* a plugin whose three instances all do as the test says at one hook, and are silent elsewhere */
enum how { HOW_NOW, HOW_LATER, HOW_NEVER };

static struct {
	enum vh_hook hook;
	enum vh_rc rc;
	const char *text;		/* NULL: none */
	enum how how;
	const char *who;		/* the instance that does it; the others decline */
	struct vh_call *waiting;
	unsigned cancelled;
	/* what has happened */
	char	asked[200];		/* instances asked at this hook, in order */
	char	told[400];		/* deny and ok hooks: "deny:rcpt:three:deny" */
	unsigned resets, disconnects;
	char	reason[100];
} script;

static void
script_cancel(void *ctx)
{
	(void) ctx;
	script.cancelled++;
	script.waiting = NULL;
}

static enum vh_rc
script_fn(struct vh_call *c)
{
	const char *name = vh_name(vh_inst(c));
	size_t	n = strlen(script.asked);

	if (vh_hook(c) == VH_HOOK_RESET_TRANSACTION)
		script.resets++;
	if (vh_hook(c) == VH_HOOK_DISCONNECT && strcmp(name, "p") == 0) {
		script.disconnects++;
		snprintf(script.reason, sizeof script.reason, "%s", vh_arg(c));
	}
	if (vh_hook(c) != script.hook)
		return VH_DECLINED;
	snprintf(script.asked + n, sizeof script.asked - n, "%s%s", n > 0 ? " " : "", name);
	if (script.who != NULL && strcmp(script.who, name) != 0)
		return VH_DECLINED;
	if (vh_hook(c) == VH_HOOK_RECEIVED_LINE && script.rc == VH_OK)
		return vh_reply(c, VH_OK, NULL, "by the plugin; today");
	if (script.how != HOW_NOW) {
		script.waiting = c;
		return vh_suspend(c, script_cancel, NULL);
	}
	if (script.rc == VH_DONE)
		vh_send(c, "299 mine");
	return script.text != NULL ? vh_reply(c, script.rc, NULL, "%s", script.text) : script.rc;
}

static enum vh_rc
script_told(struct vh_call *c)
{
	const struct vh_outcome *o = vh_about(c);
	size_t	n = strlen(script.told);

	if (o->hook == script.hook)
		snprintf(script.told + n, sizeof script.told - n, "%s%s:%s:%s", n > 0 ? " " : "", vh_hook_name(vh_hook(c)), o->plugin,
		    vh_rc_name(o->rc));
	return VH_DENY;			/* ignored */
}

#define ALL(fn) \
	{ VH_HOOK_PRE_CONNECTION, fn }, { VH_HOOK_CONNECT, fn }, { VH_HOOK_HELO, fn }, { VH_HOOK_EHLO, fn }, \
	{ VH_HOOK_MAIL_PRE, fn }, { VH_HOOK_MAIL, fn }, { VH_HOOK_RCPT_PRE, fn }, { VH_HOOK_RCPT, fn }, { VH_HOOK_DATA, fn }, \
	{ VH_HOOK_DATA_HEADERS_END, fn }, { VH_HOOK_RECEIVED_LINE, fn }, { VH_HOOK_DATA_POST, fn }, { VH_HOOK_QUEUE_PRE, fn }, \
	{ VH_HOOK_QUEUE, fn }, { VH_HOOK_QUEUE_POST, fn }, { VH_HOOK_RESET_TRANSACTION, fn }, \
	{ VH_HOOK_UNRECOGNIZED_COMMAND, fn }, { VH_HOOK_HELP, fn }, { VH_HOOK_VRFY, fn }, { VH_HOOK_NOOP, fn }, \
	{ VH_HOOK_QUIT, fn }, { VH_HOOK_DISCONNECT, fn }

static const struct vh_plugin script_plugin = {
	.abi = VH_ABI, .name = "p",
	.hooks = (const struct vh_hook_fn[]) { ALL(script_fn), { VH_HOOK_DENY, script_told }, { VH_HOOK_OK, script_told },
	    { VH_END, NULL } }
};

/* the last in the file: says OK where somebody has to */
static enum vh_rc
yes_fn(struct vh_call *c)
{
	(void) c;
	return VH_OK;
}

static const struct vh_plugin yes_plugin = {
	.abi = VH_ABI, .name = "yes",
	.hooks = (const struct vh_hook_fn[]) { { VH_HOOK_RCPT, yes_fn }, { VH_HOOK_QUEUE, yes_fn }, { VH_END, NULL } }
};

static const struct vh_plugin *const more[] = { &script_plugin, &yes_plugin, NULL };

/* how far a session goes before the hook is run, and what the reply to the hook's command is an answer to */
static const struct way {
	enum vh_hook hook;
	const char *before;		/* lines sent first */
	const char *line;		/* the one that is answered; NULL: connecting */
	const char *message;		/* sent after a 354 */
} ways[] = {
	{ VH_HOOK_PRE_CONNECTION, "", NULL, NULL },
	{ VH_HOOK_CONNECT, "", NULL, NULL },
	{ VH_HOOK_HELO, "", "HELO c.test", NULL },
	{ VH_HOOK_EHLO, "", "EHLO c.test", NULL },
	{ VH_HOOK_MAIL_PRE, "EHLO c.test\r\n", "MAIL FROM:<a@b.test>", NULL },
	{ VH_HOOK_MAIL, "EHLO c.test\r\n", "MAIL FROM:<a@b.test>", NULL },
	{ VH_HOOK_RCPT_PRE, "EHLO c.test\r\n;MAIL FROM:<a@b.test>\r\n", "RCPT TO:<c@d.test>", NULL },
	{ VH_HOOK_RCPT, "EHLO c.test\r\n;MAIL FROM:<a@b.test>\r\n", "RCPT TO:<c@d.test>", NULL },
	{ VH_HOOK_DATA, "EHLO c.test\r\n;MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n", "DATA", NULL },
#define UP_TO_DATA "EHLO c.test\r\n;MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n;DATA\r\n"
	{ VH_HOOK_DATA_HEADERS_END, UP_TO_DATA, "A: b\r\n\r\nbody\r\n.", NULL },
	{ VH_HOOK_RECEIVED_LINE, UP_TO_DATA, "A: b\r\n\r\nbody\r\n.", NULL },
	{ VH_HOOK_DATA_POST, UP_TO_DATA, "A: b\r\n\r\nbody\r\n.", NULL },
	{ VH_HOOK_QUEUE_PRE, UP_TO_DATA, "A: b\r\n\r\nbody\r\n.", NULL },
	{ VH_HOOK_QUEUE, UP_TO_DATA, "A: b\r\n\r\nbody\r\n.", NULL },
	{ VH_HOOK_QUEUE_POST, UP_TO_DATA, "A: b\r\n\r\nbody\r\n.", NULL },
	{ VH_HOOK_RESET_TRANSACTION, "EHLO c.test\r\n;MAIL FROM:<a@b.test>\r\n", "RSET", NULL },
	{ VH_HOOK_UNRECOGNIZED_COMMAND, "EHLO c.test\r\n", "XYZZY now", NULL },
	{ VH_HOOK_HELP, "EHLO c.test\r\n", "HELP me", NULL },
	{ VH_HOOK_VRFY, "EHLO c.test\r\n", "VRFY ann", NULL },
	{ VH_HOOK_NOOP, "EHLO c.test\r\n", "NOOP", NULL },
	{ VH_HOOK_QUIT, "EHLO c.test\r\n", "QUIT", NULL },
	{ VH_HOOK_DISCONNECT, "EHLO c.test\r\n", "QUIT", NULL },
};

/* what is heard, and whether the connection is still there, for each of DECLINED OK DENY DENYSOFT DENY_DISCONNECT
 * DENYSOFT_DISCONNECT DONE; source: spec smtpd-front section 4 */
static const struct { enum vh_hook hook; const char *reply[VH_YIELD]; } want[] = {
#define KEEPS(r)  "+" r
#define CLOSES(r) "-" r
	{ VH_HOOK_PRE_CONNECTION, { KEEPS("220 mx.test"), KEEPS("220 mx.test"), CLOSES("550 5.7.1 "), CLOSES("451 4.7.1 "),
	    CLOSES("550 5.7.1 "), CLOSES("451 4.7.1 "), CLOSES("299 mine\r\n") } },
	{ VH_HOOK_CONNECT, { KEEPS("220 mx.test"), KEEPS("220 mx.test"), CLOSES("554 5.7.1 "), CLOSES("421 4.7.1 "),
	    CLOSES("554 5.7.1 "), CLOSES("421 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_HELO, { KEEPS("250 mx.test"), KEEPS("250 mx.test"), KEEPS("550 5.7.1 "), KEEPS("450 4.7.1 "),
	    CLOSES("550 5.7.1 "), CLOSES("450 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_EHLO, { KEEPS("250-mx.test"), KEEPS("250-mx.test"), KEEPS("550 5.7.1 "), KEEPS("450 4.7.1 "),
	    CLOSES("550 5.7.1 "), CLOSES("450 4.7.1 "), KEEPS("299 mine\r\n") } },
#define MAILS	{ KEEPS("250 2.1.0 "), KEEPS("250 2.1.0 "), KEEPS("550 5.7.1 "), KEEPS("450 4.7.1 "), CLOSES("550 5.7.1 "), \
		    CLOSES("421 4.7.1 "), KEEPS("299 mine\r\n") }
	{ VH_HOOK_MAIL_PRE, MAILS }, { VH_HOOK_MAIL, MAILS },
#define RCPTS	{ KEEPS("250 2.1.5 "), KEEPS("250 2.1.5 "), KEEPS("550 5.7.1 "), KEEPS("450 4.7.1 "), CLOSES("550 5.7.1 "), \
		    CLOSES("421 4.7.1 "), KEEPS("299 mine\r\n") }
	{ VH_HOOK_RCPT_PRE, RCPTS }, { VH_HOOK_RCPT, RCPTS },
	{ VH_HOOK_DATA, { KEEPS("354 "), KEEPS("354 "), KEEPS("554 5.7.1 "), KEEPS("451 4.7.1 "), CLOSES("554 5.7.1 "),
	    CLOSES("451 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_DATA_HEADERS_END, { KEEPS("250 2.6.0 "), KEEPS("250 2.6.0 "), KEEPS("554 5.7.1 "), KEEPS("451 4.7.1 "),
	    CLOSES("554 5.7.1 "), CLOSES("421 4.7.1 "), KEEPS("299 mine\r\n250 2.6.0 ") } },
#define ANY	{ KEEPS("250 2."), KEEPS("250 2."), KEEPS("250 2."), KEEPS("250 2."), KEEPS("250 2."), KEEPS("250 2."), NULL }
	{ VH_HOOK_RECEIVED_LINE, ANY }, { VH_HOOK_QUEUE_POST, ANY }, { VH_HOOK_RESET_TRANSACTION, ANY },
	{ VH_HOOK_DATA_POST, { KEEPS("250 2.6.0 "), KEEPS("250 2.6.0 "), KEEPS("550 5.7.1 "), KEEPS("451 4.7.1 "),
	    CLOSES("550 5.7.1 "), CLOSES("451 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_QUEUE_PRE, { KEEPS("250 2.6.0 "), KEEPS("250 2.6.0 "), KEEPS("554 5.7.1 "), KEEPS("451 4.7.1 "),
	    CLOSES("554 5.7.1 "), CLOSES("451 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_QUEUE, { KEEPS("250 2.6.0 "), KEEPS("250 2.6.0 "), KEEPS("554 5.7.1 "), KEEPS("451 4.7.1 "),
	    CLOSES("554 5.7.1 "), CLOSES("451 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_UNRECOGNIZED_COMMAND, { KEEPS("500 5.5.2 "), KEEPS("500 5.5.2 "), KEEPS("500 5.5.2 "), KEEPS("450 4.7.1 "),
	    CLOSES("521 5.5.2 "), CLOSES("421 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_HELP, { KEEPS("214 2.0.0 "), KEEPS("214 2.0.0 "), KEEPS("500 5.7.1 "), KEEPS("450 4.7.1 "), CLOSES("500 5.7.1 "),
	    CLOSES("421 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_VRFY, { KEEPS("252 2.5.2 "), KEEPS("250 2.1.5 "), KEEPS("550 5.7.1 "), KEEPS("450 4.7.1 "), CLOSES("550 5.7.1 "),
	    CLOSES("421 4.7.1 "), KEEPS("299 mine\r\n") } },
	{ VH_HOOK_NOOP, { KEEPS("250 2.0.0 "), KEEPS("250 2.0.0 "), KEEPS("500 5.7.1 "), KEEPS("450 4.7.1 "), CLOSES("500 5.7.1 "),
	    CLOSES("421 4.7.1 "), KEEPS("299 mine\r\n") } },
#define BYES	{ CLOSES("221 2.0.0 "), CLOSES("221 2.0.0 "), CLOSES("221 2.0.0 "), CLOSES("221 2.0.0 "), CLOSES("221 2.0.0 "), \
		    CLOSES("221 2.0.0 "), NULL }
	{ VH_HOOK_QUIT, { CLOSES("221 2.0.0 "), CLOSES("221 2.0.0 "), CLOSES("221 2.0.0 "), CLOSES("221 2.0.0 "),
	    CLOSES("221 2.0.0 "), CLOSES("221 2.0.0 "), CLOSES("299 mine\r\n") } },
	{ VH_HOOK_DISCONNECT, BYES },
};

static const char *
want_reply(enum vh_hook hook, enum vh_rc rc)
{
	for (size_t i = 0; i < NELEM(want); i++)
		if (want[i].hook == hook)
			return want[i].reply[rc];
	return NULL;
}

/* way_go - a client as far as the hook; what it hears is left in its buffer */
static void
way_go(struct smtpd_rig *rig, struct smtpd_rig_client *c, const struct way *w)
{
	char   *all = mem_strdup(w->before), *next = all, *group;

	smtpd_rig_open(rig, c, "192.0.2.7");
	while (w->line != NULL && (group = strsep(&next, ";")) != NULL && *group != 0) {
		smtpd_rig_say(rig, c, group);
		smtpd_rig_heard(c);
	}
	if (w->line != NULL) {
		smtpd_rig_heard(c);
		smtpd_rig_say(rig, c, w->line);
		smtpd_rig_say(rig, c, "\r\n");
	}
	mem_free(&all);
}

static void
script_set(enum vh_hook hook, enum vh_rc rc, const char *who)
{
	memset(&script, 0, sizeof script);
	script.hook = hook;
	script.rc = rc;
	script.who = who;
}

#define PLUGINS "p\np:1\np:2\nyes\n"

static void
check_case(const struct way *w, enum vh_rc rc, enum how how)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	const char *reply = want_reply(w->hook, rc), *heard, *asked;
	char	name[100];

	if (reply == NULL)
		return;
	snprintf(name, sizeof name, "%s %s%s", vh_hook_name(w->hook), vh_rc_name(rc), how == HOW_LATER ? " later" : "");
	script_set(w->hook, rc, "p:1");
	script.how = how;
	smtpd_rig_begin(&rig, PLUGINS, more);
	way_go(&rig, &c, w);
	if (how == HOW_LATER) {
		struct vh_call *call = script.waiting;

		if (call == NULL)
			fail_msg("%s: was not asked", name);
		if (w->line == NULL ? c.out.len > 0 : strstr(buf_str(&c.out), "\r\n") != NULL)
			fail_msg("%s: something was said while suspended: %s", name, smtpd_rig_heard(&c));
		if (rc == VH_DONE)
			vh_send(call, "299 mine");
		vh_resume(call, rc);
		smtpd_rig_turn(&rig);
	}
	heard = smtpd_rig_heard(&c);
	if (strncmp(heard, reply + 1, strlen(reply + 1)) != 0)
		fail_msg("%s: heard \"%s\", want \"%s\"", name, heard, reply + 1);
	if (reply[strlen(reply) - 1] == '\n' && strlen(heard) != strlen(reply + 1))
		fail_msg("%s: heard more than the plugin has said: \"%s\"", name, heard);
	if ((c.conn != NULL) != (*reply == '+'))
		fail_msg("%s: the connection is %s", name, c.conn != NULL ? "still there" : "gone");
	/* the second one decides: the third is not asked, unless the second has declined */
	asked = rc == VH_DECLINED ? "p p:1 p:2" : "p p:1";
	if (w->hook != VH_HOOK_RESET_TRANSACTION && strcmp(script.asked, asked) != 0)
		fail_msg("%s: asked \"%s\", want \"%s\"", name, script.asked, asked);
	if (*reply == '-' && script.disconnects != 1)
		fail_msg("%s: disconnect was run %u times", name, script.disconnects);
	smtpd_rig_end(&rig);
	if (script.disconnects != 1)
		fail_msg("%s: disconnect was run %u times", name, script.disconnects);
}

static void
every_hook_with_every_code(void **state)
{
	(void) state;
	for (size_t i = 0; i < NELEM(ways); i++)
		for (enum vh_rc rc = VH_DECLINED; rc < VH_YIELD; rc++) {
			check_case(&ways[i], rc, HOW_NOW);
			if (hook_table[ways[i].hook].may_suspend)
				check_case(&ways[i], rc, HOW_LATER);
		}
}

/* every hook of the table is in the test, but for those that have tests of their own */
static void
no_hook_is_forgotten(void **state)
{
	(void) state;
	for (enum vh_hook h = VH_END + 1; h < VH_HOOKS; h++) {
		bool	found = h == VH_HOOK_CONFIG || h == VH_HOOK_DENY || h == VH_HOOK_OK;

		for (size_t i = 0; i < NELEM(ways); i++)
			found = found || ways[i].hook == h;
		if (!found)
			fail_msg("hook %s has no case", vh_hook_name(h));
	}
}

static void
nobody_decides(void **state)
{
	static const struct { enum vh_hook hook; const char *want; } cases[] = {
		{ VH_HOOK_RCPT, "450 4.7.1 " }, { VH_HOOK_QUEUE, "451 4.3.5 " },
	};
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	const char *heard;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		script_set(cases[i].hook, VH_DECLINED, NULL);
		smtpd_rig_begin(&rig, cases[i].hook == VH_HOOK_RCPT ? "p\n" : "p\nyes:1\n", more);
		if (cases[i].hook == VH_HOOK_QUEUE)		/* "yes" says OK to both: keep it from the second */
			smtpd.plugins->chain_n[VH_HOOK_QUEUE] = 1;
		for (size_t w = 0; w < NELEM(ways); w++)
			if (ways[w].hook == cases[i].hook)
				way_go(&rig, &c, &ways[w]);
		heard = smtpd_rig_heard(&c);
		if (strncmp(heard, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("%s: heard \"%s\"", vh_hook_name(cases[i].hook), heard);
		smtpd_rig_end(&rig);
	}
}

/* what a refusal leaves: the state that the next command meets */
static void
state_after_a_refusal(void **state)
{
	static const struct { enum vh_hook hook; enum vh_rc rc; const char *next, *want; } cases[] = {
		{ VH_HOOK_MAIL, VH_DENY, "RCPT TO:<c@d.test>", "503 5.5.1 Say MAIL" },
		{ VH_HOOK_MAIL, VH_DONE, "RCPT TO:<c@d.test>", "503 5.5.1 Say MAIL" },
		{ VH_HOOK_MAIL_PRE, VH_DENYSOFT, "RCPT TO:<c@d.test>", "503 5.5.1 Say MAIL" },
		{ VH_HOOK_RCPT, VH_DENY, "DATA", "503 5.5.1 Say RCPT" },
		{ VH_HOOK_RCPT, VH_DONE, "DATA", "503 5.5.1 Say RCPT" },
		{ VH_HOOK_DATA, VH_DENY, "RCPT TO:<c@d.test>", "503 5.5.1 Say MAIL" },
		{ VH_HOOK_DATA_POST, VH_DENY, "RCPT TO:<c@d.test>", "503 5.5.1 Say MAIL" },
		{ VH_HOOK_QUEUE, VH_DENYSOFT, "RCPT TO:<c@d.test>", "503 5.5.1 Say MAIL" },
		{ VH_HOOK_QUEUE, VH_DONE, "MAIL FROM:<a@b.test>", "250 2.1.0 " },
		{ VH_HOOK_EHLO, VH_DENY, "MAIL FROM:<a@b.test>", "503 5.5.1 Say EHLO" },
	};
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	const char *heard;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		script_set(cases[i].hook, cases[i].rc, NULL);
		smtpd_rig_begin(&rig, "p\nyes\n", more);
		smtpd.conf.helo_required = true;
		for (size_t w = 0; w < NELEM(ways); w++)
			if (ways[w].hook == cases[i].hook)
				way_go(&rig, &c, &ways[w]);
		heard = smtpd_rig_ask(&rig, &c, cases[i].next);
		if (strncmp(heard, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("after %s %s, %s: heard \"%s\"", vh_hook_name(cases[i].hook), vh_rc_name(cases[i].rc), cases[i].next,
			    heard);
		smtpd_rig_end(&rig);
	}
}

static void
texts_and_codes_of_plugins(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	script_set(VH_HOOK_MAIL, VH_DENY, NULL);
	script.text = "first line\nsecond\xff line";
	smtpd_rig_begin(&rig, "p\n", more);
	smtpd_rig_open(&rig, &c, "192.0.2.7");
	assert_string_equal(smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>"),
	    "550-5.7.1 first line\r\n550 5.7.1 second? line\r\n");
	smtpd.conf.qpsmtpd_codes = true;
	smtpd_rig_end(&rig);

	script_set(VH_HOOK_CONNECT, VH_DENY, NULL);
	smtpd_rig_begin(&rig, "p\n", more);
	smtpd.conf.qpsmtpd_codes = true;
	smtpd_rig_open(&rig, &c, "192.0.2.7");
	assert_string_equal(smtpd_rig_heard(&c), "550 5.7.1 Refused\r\n");
	smtpd_rig_end(&rig);
}

/* suspended: the client goes */
static void
client_leaves_while_suspended(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	for (size_t i = 0; i < NELEM(ways); i++) {
		if (!hook_table[ways[i].hook].may_suspend)
			continue;
		script_set(ways[i].hook, VH_OK, "p:1");
		script.how = HOW_NEVER;
		smtpd_rig_begin(&rig, PLUGINS, more);
		way_go(&rig, &c, &ways[i]);
		assert_non_null(script.waiting);
		smtpd_rig_hangup(&rig, &c);
		if (script.cancelled != 1 || script.disconnects != 1 || strcmp(script.reason, "lost connection") != 0)
			fail_msg("%s: cancelled %u, disconnect %u, %s", vh_hook_name(ways[i].hook), script.cancelled, script.disconnects,
			    script.reason);
		smtpd_rig_advance(&rig, 600000);	/* nothing is left that could go off */
		assert_int_equal(script.cancelled, 1);
		smtpd_rig_end(&rig);
	}
}

/* resumed, and the client goes before the loop comes round to it */
static void
client_leaves_after_resume(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	script_set(VH_HOOK_RCPT, VH_OK, NULL);
	script.how = HOW_NEVER;
	smtpd_rig_begin(&rig, "p\n", more);
	smtpd_rig_open(&rig, &c, "192.0.2.7");
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
	vh_resume(script.waiting, VH_OK);
	smtpd_rig_hangup(&rig, &c);
	assert_int_equal(script.cancelled, 0);	/* it has ended by itself */
	smtpd_rig_advance(&rig, 600000);
	smtpd_rig_end(&rig);
}

/* suspended: the time limit */
static void
time_limit(void **state)
{
	static const struct { const char *plugins, *want; } cases[] = {
		{ "p\nyes\n", "250 2.1.5 " },				/* declined: the next one decides */
		{ "p on_error denysoft\nyes\n", "450 4.3.0 " },
		{ "p on_error declined\n", "450 4.7.1 No plugin" },
	};
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	const char *heard;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		script_set(VH_HOOK_RCPT, VH_OK, NULL);
		script.how = HOW_NEVER;
		smtpd_rig_begin(&rig, cases[i].plugins, more);
		smtpd_rig_open(&rig, &c, "192.0.2.7");
		smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
		smtpd_rig_heard(&c);
		smtpd_rig_advance(&rig, 59999);
		assert_string_equal(smtpd_rig_heard(&c), "");
		assert_int_equal(script.cancelled, 0);
		smtpd_rig_advance(&rig, 2);
		heard = smtpd_rig_heard(&c);
		if (strncmp(heard, cases[i].want, strlen(cases[i].want)) != 0 || script.cancelled != 1)
			fail_msg("%s: heard \"%s\", cancelled %u", cases[i].plugins, heard, script.cancelled);
		smtpd_rig_end(&rig);
	}
	/* a limit of its own */
	script_set(VH_HOOK_RCPT, VH_OK, NULL);
	script.how = HOW_NEVER;
	smtpd_rig_begin(&rig, "p time_limit 5s on_error denysoft\n", more);
	smtpd_rig_open(&rig, &c, "192.0.2.7");
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
	smtpd_rig_heard(&c);
	smtpd_rig_advance(&rig, 5001);
	assert_memory_equal(smtpd_rig_heard(&c), "450 4.3.0 ", 10);
	smtpd_rig_end(&rig);
}

/* illegal codes count as on_error says */
static void
nonsense_is_a_fault(void **state)
{
	static const enum vh_rc codes[] = { VH_YIELD, VH_NEXT, VH_RCS, (enum vh_rc) 77, (enum vh_rc) -1 };
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	for (size_t i = 0; i < NELEM(codes); i++) {
		script_set(VH_HOOK_RCPT, codes[i], NULL);
		smtpd_rig_begin(&rig, "p\nyes\n", more);
		smtpd_rig_open(&rig, &c, "192.0.2.7");
		smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\n");
		assert_memory_equal(smtpd_rig_ask(&rig, &c, "RCPT TO:<c@d.test>"), "250 2.1.5 ", 10);
		smtpd_rig_end(&rig);
		smtpd_rig_begin(&rig, "p on_error denysoft\nyes\n", more);
		smtpd_rig_open(&rig, &c, "192.0.2.7");
		smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\n");
		assert_memory_equal(smtpd_rig_ask(&rig, &c, "RCPT TO:<c@d.test>"), "450 4.3.0 ", 10);
		smtpd_rig_end(&rig);
	}
	/* suspending where that is not possible */
	script_set(VH_HOOK_PRE_CONNECTION, VH_OK, NULL);
	script.how = HOW_NEVER;
	smtpd_rig_begin(&rig, "p on_error denysoft\n", more);
	smtpd_rig_open(&rig, &c, "192.0.2.7");
	assert_memory_equal(smtpd_rig_heard(&c), "451 4.3.0 ", 10);
	assert_int_equal(script.cancelled, 1);
	smtpd_rig_end(&rig);
}

static void
deny_and_ok_hooks(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	script_set(VH_HOOK_RCPT, VH_DENY, "p:1");
	smtpd_rig_begin(&rig, "p\np:1\n", more);
	smtpd_rig_open(&rig, &c, "192.0.2.7");
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
	/* each of the two instances is told about each of the two */
	assert_string_equal(script.told, "ok:p:declined ok:p:declined deny:p:1:deny deny:p:1:deny");
	assert_int_equal(vh_result(c.conn, "p", VH_HOOK_RCPT), VH_DECLINED);
	assert_int_equal(vh_result(c.conn, "p:1", VH_HOOK_RCPT), VH_DENY);
	assert_int_equal(vh_result(c.conn, "p:1", VH_HOOK_VRFY), VH_RCS);
	assert_int_equal(vh_result(c.conn, "q", VH_HOOK_RCPT), VH_RCS);
	smtpd_rig_ask(&rig, &c, "RSET");
	assert_int_equal(vh_result(c.conn, "p:1", VH_HOOK_RCPT), VH_RCS);
	assert_int_equal(vh_result(c.conn, "p:1", VH_HOOK_CONNECT), VH_DECLINED);
	smtpd_rig_end(&rig);
}

/* vh_next: the rest is asked, then the first one decides about their result */
static struct {
	enum vh_rc seen, then;
	unsigned called, cancelled;
	bool	suspend;
	struct vh_call *waiting;
} around;

static void
around_cancel(void *ctx)
{
	assert_ptr_equal(ctx, &around);
	around.waiting = NULL;
	around.cancelled++;
}

static enum vh_rc
around_after(struct vh_call *c, enum vh_rc rc, void *ctx)
{
	assert_ptr_equal(ctx, &around);
	around.seen = rc;
	around.called++;
	if (around.suspend && rc != VH_YIELD) {
		around.waiting = c;
		return vh_suspend(c, around_cancel, ctx);
	}
	return around.then == VH_RCS ? rc : vh_reply(c, around.then, NULL, "around");
}

static enum vh_rc
around_fn(struct vh_call *c)
{
	return vh_next(c, around_after, &around);
}

static const struct vh_plugin around_plugin = {
	.abi = VH_ABI, .name = "around",
	.hooks = (const struct vh_hook_fn[]) { { VH_HOOK_RCPT, around_fn }, { VH_END, NULL } }
};
static const struct vh_plugin *const more_around[] = { &around_plugin, &script_plugin, &yes_plugin, NULL };

static void
the_rest_of_the_chain(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	for (int later = 0; later < 2; later++) {
		script_set(VH_HOOK_RCPT, VH_DENY, NULL);
		script.how = later ? HOW_LATER : HOW_NOW;
		memset(&around, 0, sizeof around);
		around.then = VH_OK;
		smtpd_rig_begin(&rig, "around\np\nyes\n", more_around);
		smtpd_rig_open(&rig, &c, "192.0.2.7");
		smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\n");
		smtpd_rig_heard(&c);
		smtpd_rig_say(&rig, &c, "RCPT TO:<c@d.test>\r\n");
		if (later)
			vh_resume(script.waiting, VH_DENY);
		smtpd_rig_turn(&rig);
		assert_string_equal(smtpd_rig_heard(&c), "250 2.1.5 around\r\n");
		assert_int_equal(around.seen, VH_DENY);
		assert_int_equal(around.called, 1);
		around.then = VH_RCS;				/* leave it as it is */
		smtpd_rig_say(&rig, &c, "RCPT TO:<e@d.test>\r\n");
		if (later)
			vh_resume(script.waiting, VH_DENY);
		smtpd_rig_turn(&rig);
		assert_memory_equal(smtpd_rig_heard(&c), "550 5.7.1 ", 10);
		smtpd_rig_end(&rig);
	}
	/* it waits, after a result that came at once or later; then another one's after is asked */
	for (int later = 0; later < 2; later++) {
		script_set(VH_HOOK_RCPT, VH_OK, NULL);
		script.how = later ? HOW_LATER : HOW_NOW;
		memset(&around, 0, sizeof around);
		around.suspend = true;
		smtpd_rig_begin(&rig, "around time_limit 5s\naround:1 on_error denysoft time_limit 5s\np\n", more_around);
		smtpd_rig_open(&rig, &c, "192.0.2.7");
		smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\n");
		smtpd_rig_heard(&c);
		smtpd_rig_say(&rig, &c, "RCPT TO:<c@d.test>\r\n");
		if (later)
			vh_resume(script.waiting, VH_OK);
		smtpd_rig_turn(&rig);
		assert_string_equal(smtpd_rig_heard(&c), "");
		assert_int_equal(around.seen, VH_OK);
		vh_reply(around.waiting, VH_DENYSOFT, "4.2.2", "full");
		vh_resume(around.waiting, VH_DENYSOFT);		/* around:1 */
		smtpd_rig_turn(&rig);
		assert_string_equal(smtpd_rig_heard(&c), "");
		assert_int_equal(around.seen, VH_DENYSOFT);
		assert_int_equal(around.called, 2);
		vh_resume(around.waiting, VH_DENYSOFT);		/* around */
		smtpd_rig_turn(&rig);
		assert_string_equal(smtpd_rig_heard(&c), "450 4.2.2 full\r\n");
		/* the time limit of the one that waits */
		script.how = HOW_NOW;
		smtpd_rig_say(&rig, &c, "RCPT TO:<c@d.test>\r\n");
		smtpd_rig_advance(&rig, 5001);
		assert_int_equal(around.cancelled, 1);
		assert_int_equal(around.seen, VH_DENYSOFT);
		vh_resume(around.waiting, VH_OK);
		smtpd_rig_turn(&rig);
		assert_memory_equal(smtpd_rig_heard(&c), "250 2.1.5 ", 10);
		/* the connection ends while one waits: it is told, and so is the other one */
		smtpd_rig_say(&rig, &c, "RCPT TO:<c@d.test>\r\n");
		smtpd_rig_hangup(&rig, &c);
		assert_int_equal(around.cancelled, 2);
		assert_int_equal(around.seen, VH_YIELD);
		smtpd_rig_end(&rig);
	}
	/* the connection ends before the rest is done */
	script_set(VH_HOOK_RCPT, VH_DENY, NULL);
	script.how = HOW_NEVER;
	memset(&around, 0, sizeof around);
	smtpd_rig_begin(&rig, "around\np\n", more_around);
	smtpd_rig_open(&rig, &c, "192.0.2.7");
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
	smtpd_rig_hangup(&rig, &c);
	assert_int_equal(around.seen, VH_YIELD);
	assert_int_equal(around.called, 1);
	smtpd_rig_end(&rig);
}

/* reject 0, naughty, and the four types */
static enum vh_rc
refuse_fn(struct vh_call *c)
{
	return vh_refuse(c, "7.1", "bad %s", "thing");
}

static const struct vh_plugin refuse_plugin = {
	.abi = VH_ABI, .name = "refuse",
	.hooks = (const struct vh_hook_fn[]) { { VH_HOOK_MAIL, refuse_fn }, { VH_END, NULL } }
};
static const struct vh_plugin *const more_refuse[] = { &refuse_plugin, NULL };

static void
refuse_as_configured(void **state)
{
	static const struct { const char *plugins, *want; bool stays; const char *naughty, *type; } cases[] = {
		{ "refuse\n", "550 5.7.1 bad thing\r\n", true, NULL, NULL },
		{ "refuse reject 1 reject_type temp\n", "450 4.7.1 bad thing\r\n", true, NULL, NULL },
		{ "refuse reject_type soft\n", "450 4.7.1 bad thing\r\n", true, NULL, NULL },
		{ "refuse reject_type hard\n", "550 5.7.1 bad thing\r\n", true, NULL, NULL },
		{ "refuse reject_type disconnect\n", "550 5.7.1 bad thing\r\n", false, NULL, NULL },
		{ "refuse reject_type temp_disconnect\n", "421 4.7.1 bad thing\r\n", false, NULL, NULL },
		{ "refuse reject 0\n", "250 2.1.0 Sender ok\r\n", true, NULL, NULL },
		{ "refuse reject naughty\n", "250 2.1.0 Sender ok\r\n", true, "bad thing", "perm" },
		{ "refuse reject naughty reject_type temp\n", "250 2.1.0 Sender ok\r\n", true, "bad thing", "temp" },
	};
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	const char *heard, *note;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		smtpd_rig_begin(&rig, cases[i].plugins, more_refuse);
		smtpd_rig_open(&rig, &c, "192.0.2.7");
		heard = smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>");
		if (strcmp(heard, cases[i].want) != 0 || (c.conn != NULL) != cases[i].stays)
			fail_msg("%s: heard \"%s\", the connection is %s", cases[i].plugins, heard, c.conn != NULL ? "there" : "gone");
		if (c.conn != NULL) {
			note = vh_note_str(vh_conn_notes(c.conn), "naughty");
			if ((note == NULL) != (cases[i].naughty == NULL) || (note != NULL && strcmp(note, cases[i].naughty) != 0))
				fail_msg("%s: note naughty is %s", cases[i].plugins, note != NULL ? note : "none");
			note = vh_note_str(vh_conn_notes(c.conn), "naughty_reject_type");
			if ((note == NULL) != (cases[i].type == NULL) || (note != NULL && strcmp(note, cases[i].type) != 0))
				fail_msg("%s: note naughty_reject_type is %s", cases[i].plugins, note != NULL ? note : "none");
		}
		smtpd_rig_end(&rig);
	}
}

static int
quiet(void **state)
{
	(void) state;
	msg_to_stderr(NULL);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_hook_with_every_code),
		cmocka_unit_test(no_hook_is_forgotten),
		cmocka_unit_test(nobody_decides),
		cmocka_unit_test(state_after_a_refusal),
		cmocka_unit_test(texts_and_codes_of_plugins),
		cmocka_unit_test(client_leaves_while_suspended),
		cmocka_unit_test(client_leaves_after_resume),
		cmocka_unit_test(time_limit),
		cmocka_unit_test(nonsense_is_a_fault),
		cmocka_unit_test(deny_and_ok_hooks),
		cmocka_unit_test(the_rest_of_the_chain),
		cmocka_unit_test(refuse_as_configured),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
