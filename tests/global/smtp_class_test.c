/* tests/global/smtp_class_test.c - the opinions about replies; the cases are in tests/wire/replies */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <fcntl.h>
#include <cmocka.h>

#include <util/cfline.h>
#include <util/mem.h>
#include <global/smtp_class.h>

static const char *const status_names[] = { "ok", "defer", "bounce", "todo" };
static const struct smtp_class_conf plain = { .policy = VERIFY_DEFER, .full = VERIFY_DEFER };

/* smtp_class_test_reply - a reply from text, with "\n" for the line ends inside it */
static void
smtp_class_test_reply(struct smtp_reply *r, const char *text)
{
	struct buf wire = BUF_INIT(10000);
	size_t	used;

	for (; *text != 0; text++)
		if (text[0] == '\\' && text[1] == 'n') {
			buf_adds(&wire, "\r\n");
			text++;
		} else
			buf_addc(&wire, *text);
	buf_adds(&wire, "\r\n");
	smtp_reply_reset(r);
	assert_int_equal(smtp_reply_feed(r, wire.data, wire.len, &used), SMTP_REPLY_DONE);
	buf_fini(&wire);
}

static enum smtp_at
smtp_class_test_at(const char *name)
{
	for (enum smtp_at at = 0; at < (enum smtp_at) SMTP_ATS; at++)
		if (strcasecmp(smtp_at_name(at), name) == 0)
			return at;
	fail_msg("unknown place %s", name);
	return SMTP_AT_RCPT;
}

static void
smtp_class_test_replies(void **state)
{
	static const char *const omit[] = { "ann@example.org", "example.org", "probe.example.net", NULL };
	struct buf text = BUF_INIT(1 << 20);
	char	words[SMTP_WORDS_MAX], at[20], inet[20], own[20], cat[30], *line, *next;
	unsigned n = 0, number = 0;
	struct smtp_reply r;
	struct smtp_class c;
	int	used;

	(void) state;
	smtp_reply_init(&r);
	assert_int_equal(buf_read_file(&text, AT_FDCWD, "tests/wire/replies"), 0);
	for (next = text.data; (line = strsep(&next, "\n")) != NULL; ) {
		number++;
		if (*line == '#' || *line == 0)
			continue;
		if (sscanf(line, "%19s %19s %19s %29s %n", at, inet, own, cat, &used) != 4)
			fail_msg("line %u: four words and a reply", number);
		smtp_class_test_reply(&r, line + used);
		smtp_class_words(words, sizeof words, &r, omit);
		c = smtp_class(smtp_class_test_at(at), &r, false, "mx1.example.org", words, &plain, NULL);
		if (strcmp(status_names[c.status], inet) != 0 || strcmp(smtp_cat_name(c.cat), cat) != 0)
			fail_msg("line %u: %s: got %s %s by %s, want %s %s", number, line + used, status_names[c.status],
			    smtp_cat_name(c.cat), c.rule, inet, cat);
		c = smtp_class(smtp_class_test_at(at), &r, true, "mx1.example.org", words, &plain, NULL);
		if (strcmp(status_names[c.status], own) != 0)
			fail_msg("line %u: %s: got %s on an own route, want %s", number, line + used,
			    status_names[c.status], own);
		n++;
	}
	assert_true(n >= 200);
	smtp_reply_fini(&r);
	buf_fini(&text);
}

static void
smtp_class_test_then(void **state)
{
	static const struct {
		const char *name;
		enum smtp_at at;
		const char *reply;
		enum smtp_then want;
	} cases[] = {
		{ "accepted", SMTP_AT_RCPT, "250 ok", SMTP_THEN_FINAL },
		{ "unknown", SMTP_AT_RCPT, "550 5.1.1 no", SMTP_THEN_FINAL },
		{ "busy", SMTP_AT_RCPT, "421 no", SMTP_THEN_NEXT },
		{ "greylisted", SMTP_AT_RCPT, "450 4.2.0 greylisted", SMTP_THEN_GREY },
		{ "nested", SMTP_AT_RCPT, "450 4.1.1 unverified address", SMTP_THEN_AGAIN },
		{ "too many recipients", SMTP_AT_RCPT, "452 4.5.3 no", SMTP_THEN_AFRESH },
		{ "relay", SMTP_AT_RCPT, "554 5.7.1 Relay access denied", SMTP_THEN_ELSEWHERE },
		{ "no PTR", SMTP_AT_RCPT, "550 5.7.25 no", SMTP_THEN_FAMILY },
		{ "TLS", SMTP_AT_MAIL, "530 5.7.0 STARTTLS first", SMTP_THEN_TLS },
		{ "sender", SMTP_AT_MAIL, "550 not from <>", SMTP_THEN_SENDER },
		{ "parameter", SMTP_AT_MAIL, "555 5.5.4 no", SMTP_THEN_PLAIN },
		{ "greeting", SMTP_AT_BANNER, "554 no", SMTP_THEN_NEXT },
	};
	struct smtp_reply r;
	struct smtp_class c;

	(void) state;
	smtp_reply_init(&r);
	for (size_t i = 0; i < NELEM(cases); i++) {
		smtp_class_test_reply(&r, cases[i].reply);
		c = smtp_class(cases[i].at, &r, false, NULL, NULL, &plain, NULL);
		if (c.then != cases[i].want)
			fail_msg("%s: got %d, want %d (%s)", cases[i].name, (int) c.then, (int) cases[i].want, c.rule);
	}
	smtp_reply_fini(&r);
}

static void
smtp_class_test_conf(void **state)
{
	const struct smtp_class_conf hard = { .policy = VERIFY_BOUNCE, .full = VERIFY_OK, .greet_5xx_hard = true };
	const struct smtp_class_conf postfix = { .postfix = true };
	static const struct {
		const char *name;
		enum smtp_at at;
		const char *reply;
		bool	own;
		enum verify_status hard, postfix;
	} cases[] = {
		{ "policy", SMTP_AT_RCPT, "550 5.7.1 no", false, VERIFY_BOUNCE, VERIFY_BOUNCE },
		{ "full", SMTP_AT_RCPT, "552 5.2.2 full", false, VERIFY_OK, VERIFY_BOUNCE },
		{ "greeting", SMTP_AT_BANNER, "554 no", true, VERIFY_BOUNCE, VERIFY_DEFER },
		{ "greeting elsewhere", SMTP_AT_BANNER, "554 no", false, VERIFY_DEFER, VERIFY_DEFER },
		{ "sender", SMTP_AT_MAIL, "550 no", false, VERIFY_BOUNCE, VERIFY_BOUNCE },
		{ "unknown", SMTP_AT_RCPT, "550 5.1.1 no", false, VERIFY_BOUNCE, VERIFY_BOUNCE },
		{ "bare 554", SMTP_AT_RCPT, "554 no", false, VERIFY_DEFER, VERIFY_BOUNCE },
		{ "later", SMTP_AT_RCPT, "451 no", false, VERIFY_DEFER, VERIFY_DEFER },
		{ "3yz", SMTP_AT_RCPT, "354 no", false, VERIFY_DEFER, VERIFY_BOUNCE },
		{ "yes", SMTP_AT_RCPT, "250 ok", false, VERIFY_OK, VERIFY_OK },
	};
	struct smtp_reply r;
	enum verify_status got;

	(void) state;
	smtp_reply_init(&r);
	for (size_t i = 0; i < NELEM(cases); i++) {
		smtp_class_test_reply(&r, cases[i].reply);
		got = smtp_class(cases[i].at, &r, cases[i].own, NULL, NULL, &hard, NULL).status;
		if (got != cases[i].hard)
			fail_msg("%s: got %s, want %s", cases[i].name, status_names[got], status_names[cases[i].hard]);
		got = smtp_class(cases[i].at, &r, cases[i].own, NULL, NULL, &postfix, NULL).status;
		if (got != cases[i].postfix)
			fail_msg("%s: as Postfix got %s, want %s", cases[i].name, status_names[got], status_names[cases[i].postfix]);
	}
	smtp_reply_fini(&r);
}

static void
smtp_class_test_words(void **state)
{
	static const char *const omit[] = { "ann", NULL };
	static const struct {
		const char *reply, *want;
	} cases[] = {
		{ "550 5.1.1 User Unknown", " 5 1 1 user unknown " },
		{ "550 <bob@example.org>: no, ANN!", " no " },
		{ "550 host mx.example.org[192.0.2.1] said.", " host 192 0 2 1 said " },
		{ "550 doesn't", " doesn t " },
		{ "550 see http://x.example/relay or www.example.org", " see or " },
		{ "550-one\\n550 two", " one two " },
		{ "550 rate-limited", " rate limited " },
		{ "550", " " },
	};
	char	words[SMTP_WORDS_MAX], tiny[8];
	struct smtp_reply r;

	(void) state;
	smtp_reply_init(&r);
	for (size_t i = 0; i < NELEM(cases); i++) {
		smtp_class_test_reply(&r, cases[i].reply);
		smtp_class_words(words, sizeof words, &r, omit);
		if (strcmp(words, cases[i].want) != 0)
			fail_msg("%s: got [%s], want [%s]", cases[i].reply, words, cases[i].want);
		smtp_class_words(tiny, sizeof tiny, &r, NULL);
		assert_true(strlen(tiny) < sizeof tiny);
	}
	smtp_reply_fini(&r);
}

static void
smtp_class_test_rules(void **state)
{
	static const char text[] =
	    "# ours\n"
	    "*              RCPT 554 5.7.1 \"sleeping\"        unknown\n"
	    ".big.example   *    55* *     *                   disabled\n"
	    "*              MAIL 4** -     \"Come, back\"      greylist\n";
	static const char bad[] =
	    "* RCPT 554 5.7.1 sleeping\n* RCPX 554 * * unknown\n* RCPT 5x4 * * unknown\n* RCPT 554 * * wonderful\n"
	    "* RCPT 554 * * config\n* RCPT 554 * * unknown more\n";
	struct buf why = BUF_INIT(4096);
	struct smtp_rules *rules;
	struct smtp_reply r;
	struct smtp_class c;

	(void) state;
	smtp_reply_init(&r);
	/* a built-in row about one provider */
	smtp_class_test_reply(&r, "550 5.4.1 Recipient address rejected: Access denied.");
	assert_int_equal(smtp_class(SMTP_AT_RCPT, &r, false, "x.mail.protection.outlook.com", NULL, &plain, NULL).cat,
	    SMTP_CAT_UNKNOWN);

	rules = smtp_rules_parse("f", text, sizeof text - 1, &why);
	assert_non_null(rules);
	smtp_class_test_reply(&r, "554 5.7.1 the mailbox is sleeping");
	c = smtp_class(SMTP_AT_RCPT, &r, false, "mx.example.org", NULL, &plain, rules);
	assert_int_equal(c.status, VERIFY_BOUNCE);
	assert_string_equal(c.rule, "operator");
	smtp_class_test_reply(&r, "559 hm");
	assert_int_equal(smtp_class(SMTP_AT_RCPT, &r, false, "mx.BIG.example", NULL, &plain, rules).cat, SMTP_CAT_DISABLED);
	assert_int_equal(smtp_class(SMTP_AT_RCPT, &r, false, "mx.small.example", NULL, &plain, rules).cat, SMTP_CAT_POLICY);
	smtp_class_test_reply(&r, "452 come back");
	c = smtp_class(SMTP_AT_MAIL, &r, false, NULL, NULL, &plain, rules);
	assert_int_equal(c.cat, SMTP_CAT_GREYLIST);
	assert_int_equal(c.then, SMTP_THEN_GREY);
	smtp_rules_free(&rules);

	assert_null(smtp_rules_parse("f", bad, sizeof bad - 1, &why));
	for (unsigned i = 1; i <= 6; i++) {
		char	want[40];

		snprintf(want, sizeof want, "f, line %u: ", i);
		assert_non_null(strstr(buf_str(&why), want));
	}
	buf_fini(&why);
	smtp_reply_fini(&r);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(smtp_class_test_replies),
		cmocka_unit_test(smtp_class_test_then),
		cmocka_unit_test(smtp_class_test_conf),
		cmocka_unit_test(smtp_class_test_words),
		cmocka_unit_test(smtp_class_test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
