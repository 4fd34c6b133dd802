/* tests/global/greylist_test.c - greylisting as a whole, on one host, under a fake clock: what is asked, and what is answered */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/greylist_store.h>
#include <tests/lib/greylist_world.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>

/* the event table of the design */
static void
greylist_test_events(void **state)
{
	static const struct { int64_t at; const char *sender, *recipient, *want; int64_t left, delay; } events[] = {
		{ 0,	  "a@x.example",  "b@example.com", "new", 300, 0 },
		{ 0,	  "a@x.example",  "b@example.com", "early", 300, 0 },
		{ 299,	  "a@x.example",  "b@example.com", "early", 1, 0 },
		{ 300,	  "a@x.example",  "b@example.com", "retry", 0, 300 },
		{ 301,	  "a@x.example",  "b@example.com", "known-sender", 0, 0 },
		{ 302,	  "a@x.example",  "c@example.com", "known-sender", 0, 0 },
		{ 400,	  "ab@x.example", "b@example.com", "new", 300, 0 },
		{ 700,	  "ab@x.example", "b@example.com", "retry", 0, 300 },
		{ 701,	  "ac@x.example", "z@example.com", "known-domain", 0, 0 },
		{ 702,	  "q@y.example",  "b@example.com", "new", 300, 0 },
		{ 800,	  "r@z.example",  "b@example.com", "new", 300, 0 },
		{ 702 + 2 * WORLD_DAY, "q@y.example", "b@example.com", "retry", 0, 2 * WORLD_DAY },
		{ 801 + 2 * WORLD_DAY, "r@z.example", "b@example.com", "late", 300, 0 },
		{ 802 + 2 * WORLD_DAY, "r@z.example", "b@example.com", "early", 299, 0 },
		{ 1101 + 2 * WORLD_DAY, "r@z.example", "b@example.com", "retry", 0, 300 },
		{ 1102 + 2 * WORLD_DAY, "q@y.example", "c@example.com", "known-sender", 0, 0 },
		{ 1102 + 37 * WORLD_DAY, "q@y.example", "d@example.com", "known-sender", 0, 0 },
		{ 1103 + 72 * WORLD_DAY, "q@y.example", "e@example.com", "new", 300, 0 },
	};

	(void) state;
	world_open("");
	for (size_t i = 0; i < NELEM(events); i++) {
		const char *got;

		world_at(events[i].at);
		got = world_ask(events[i].sender, events[i].recipient);
		if (strcmp(got, events[i].want) != 0 || world.res.left_s != events[i].left || world.res.delay_s != events[i].delay)
			fail_msg("row %zu: got %s, left %lld, delay %lld", i, got, (long long) world.res.left_s, (long long) world.res.delay_s);
	}
	world_close();
}

/* rows 1 to 9: what is none of our business, and leaves no record */
static void
greylist_test_no_opinion(void **state)
{
	static const struct {
		const char *name, *cf;
		struct greylist_request q;	/* what is not world_plain; "-" for empty */
		const char *want;
		bool	logged;
	} cases[] = {
		{ "off", "greylist_mode = off\n", { 0 }, "off", false },
		{ "MAIL", "", { .state = "MAIL" }, "state", false },
		{ "XCLIENT", "", { .state = "XCLIENT" }, "state", false },
		{ "END-OF-MESSAGE", "", { .state = "END-OF-MESSAGE" }, "state", false },
		{ "rcpt in lower case", "", { .state = "rcpt" }, "state", false },
		{ "no state", "", { .state = "-" }, "state", false },
		{ "sasl", "", { .sasl_username = "ann" }, "exempt-sasl", true },
		{ "no client", "", { .client_address = "-" }, "no-client", true },
		{ "client unknown", "", { .client_address = "unknown" }, "no-client", true },
		{ "loopback", "", { .client_address = "127.0.0.9" }, "exempt-network", true },
		{ "loopback 6", "", { .client_address = "::1" }, "exempt-network", true },
		{ "mynetworks", "mynetworks = 192.0.2.0/28, 192.0.2.16/28\n", { 0 }, "exempt-network", true },
		{ "mapped", "mynetworks = 192.0.2.0/24\n", { .client_address = "::ffff:192.0.2.1" }, "exempt-network", true },
		{ "odd mynetworks", "mynetworks = hash:/x, 192.0.2.0/24\n", { 0 }, "exempt-network", true },
		{ "certificate", "greylist_exempt_ccert = yes\n", { .ccert_subject = "c" }, "exempt-ccert", true },
		{ "no recipient", "", { .recipient = "-" }, "no-recipient", true },
		{ "two recipients at DATA", "", { .state = "DATA", .sender = "-", .recipient = "-" }, "no-recipient", true },
		{ "null sender at RCPT", "", { .sender = "-" }, "null-sender", true },
		{ "<> at RCPT", "", { .sender = "<>" }, "null-sender", true },
		{ "null sender, never", "greylist_null_sender = never\n", { .state = "DATA", .sender = "-" }, "null-sender", true },
		{ "sender at DATA", "", { .state = "DATA" }, "state", false },
		{ "null sender at DATA, rcpt", "greylist_null_sender = rcpt\n", { .state = "DATA", .sender = "-" }, "state", false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct greylist_request q = world_plain;
		const char **to = (const char **) &q, *const *from = (const char *const *) &cases[i].q;
		struct shmtab_stat st;
		struct shmtab *tab;
		const char *why;
		int	fd;

		world_open(cases[i].cf);
		for (size_t k = 0; k < sizeof q / sizeof *to; k++)
			if (from[k] != NULL)
				to[k] = strcmp(from[k], "-") == 0 ? "" : from[k];
		world_expect(cases[i].name, world_decide(&q), cases[i].want);
		assert_int_equal(world.res.verdict, GREYLIST_NO_OPINION);
		assert_string_equal(world.res.action, "DUNNO");
		assert_null(world.res.header);
		if ((world.lines == 1) != cases[i].logged)
			fail_msg("%s: %u log lines", cases[i].name, world.lines);
		fd = open(test_dir, O_RDONLY | O_DIRECTORY);
		assert_int_equal(shmtab_open_read(&tab, fd, GREYLIST_PENDING_FILE, &why), 0);
		shmtab_stat(tab, &st);
		if (st.entries != 0)
			fail_msg("%s: a record was made", cases[i].name);
		shmtab_close(&tab);
		close(fd);
		world_close();
	}
}

/* two requests, the second 300 s after the first: the same triplet, or another? */
static void
greylist_test_same(void **state)
{
	static const struct { const char *name, *cf; struct greylist_request a, b; const char *want; } cases[] = {
		{ "same /24", "", { 0 }, { .client_address = "192.0.2.200" }, "retry" },
		{ "other /24", "", { 0 }, { .client_address = "192.0.3.25" }, "new" },
		{ "same address as IPv6", "", { 0 }, { .client_address = "::ffff:192.0.2.25" }, "retry" },
		{ "same /64", "", { .client_address = "2001:db8::1" }, { .client_address = "2001:db8::ffff" }, "retry" },
		{ "other /64, same /56", "", { .client_address = "2001:db8::1" }, { .client_address = "2001:db8:0:1::1" }, "new" },
		{ "other /64, same pool", "", { .client_address = "2001:db8::1", .client_name = "m1.p.example" },
		  { .client_address = "2001:db8:0:1::1", .client_name = "m2.p.example" }, "retry" },
		{ "same pool", "", { .client_name = "m1.p.example" },
		  { .client_address = "198.51.100.1", .client_name = "m2.p.example" }, "retry" },
		{ "same pool, net wanted", "greylist_client_key = net\n", { .client_name = "m1.p.example" },
		  { .client_address = "198.51.100.1", .client_name = "m2.p.example" }, "new" },
		{ "name lost", "", { .client_name = "m1.p.example" }, { .client_name = "unknown" }, "new" },
		{ "case", "", { 0 }, { .sender = "A@X.Example" }, "retry" },
		{ "tag", "", { .sender = "a+1@x.example" }, { .sender = "a+2@x.example" }, "retry" },
		{ "VERP", "", { .sender = "l-12-b=example.com@x.example" }, { .sender = "l-34-b=example.com@x.example" }, "retry" },
		{ "BATV", "", { .sender = "prvs=0123456789=a@x.example" }, { .sender = "prvs=9876543210=a@x.example" }, "retry" },
		{ "SRS stamp", "", { .sender = "SRS0=ab=XY=y.example=a@x.example" }, { .sender = "SRS0=cd=XZ=y.example=a@x.example" },
		  "retry" },
		{ "address wanted", "greylist_sender_key = address\n", { .sender = "a+1@x.example" }, { .sender = "a+2@x.example" }, "new" },
		{ "another sender", "", { 0 }, { .sender = "b@x.example" }, "new" },
		{ "another recipient", "", { 0 }, { .recipient = "c@example.com" }, "new" },
		{ "recipient's tag", "recipient_delimiter = +\n", { .recipient = "b+1@example.com" }, { .recipient = "b+2@example.com" },
		  "retry" },
		{ "recipient's tag, no delimiter", "", { .recipient = "b+1@example.com" }, { .recipient = "b+2@example.com" }, "new" },
		{ "null sender at DATA", "", { .state = "DATA", .sender = "-" }, { .state = "DATA", .sender = "-" }, "retry" },
		{ "null sender at RCPT", "greylist_null_sender = rcpt\n", { .sender = "-" }, { .sender = "<>" }, "retry" },
		{ "no delay", "greylist_delay = 0\n", { 0 }, { 0 }, "retry" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct greylist_request a = world_plain, b = world_plain;
		const char *const *from;
		const char **to;

		world_open(cases[i].cf);
		for (int which = 0; which < 2; which++) {
			from = (const char *const *) (which == 0 ? &cases[i].a : &cases[i].b);
			to = (const char **) (which == 0 ? &a : &b);
			for (size_t k = 0; k < sizeof a / sizeof *to; k++)
				if (from[k] != NULL)
					to[k] = strcmp(from[k], "-") == 0 ? "" : from[k];
		}
		world_expect(cases[i].name, world_decide(&a), "new");
		world_at(300);
		world_expect(cases[i].name, world_decide(&b), cases[i].want);
		world_close();
	}
}

static void
greylist_test_answers(void **state)
{
	struct greylist_request q = world_plain;

	(void) state;
	world_open("");
	world_expect("first", world_decide(&q), "new");
	assert_string_equal(world.res.action, "DEFER_IF_PERMIT 4.2.0 Greylisted, please try again later");
	assert_string_equal(world.res.text, "4.2.0 Greylisted, please try again later");
	assert_true(world.res.deferred);
	assert_int_equal(world.res.code, 450);
	assert_string_equal(world.log, "greylist=defer reason=new client=unknown[192.0.2.25] from=<a@x.example> to=<b@example.com> "
	    "key=192.0.2.0/24 left=300 instance=1.2.3");
	world_at(612);
	world_expect("retry", world_decide(&q), "retry");
	assert_string_equal(world.res.action, "DUNNO");
	assert_non_null(world.res.header);
	assert_memory_equal(world.res.header, "X-Greylist: delayed 612 seconds by vouch at mx.test; ", 52);
	assert_string_equal(world.log, "greylist=pass reason=retry client=unknown[192.0.2.25] from=<a@x.example> to=<b@example.com> "
	    "key=192.0.2.0/24 delay=612 tries=2 instance=1.2.3");
	world_expect("then", world_decide(&q), "known-sender");
	assert_null(world.res.header);
	world_close();

	world_open("greylist_action = 451\ngreylist_text = %s %r %h %%\ngreylist_header = \ngreylist_log_known = no\n");
	q.recipient = "%s%n%r@%s%d.example";
	q.sender = "%s%n%r@x.example";
	q.client_name = "%h%s";
	world_expect("first", world_decide(&q), "new");
	assert_string_equal(world.res.action, "451 300 %s%d.example mx.test %");
	assert_int_equal(world.res.code, 451);
	for (int i = 0; i < 4; i++) {			/* the text is of this recipient, whose ever the one before was */
		static const char *const domains[] = { "a.example", "b.example", "", "a.example.org" };
		char	want[80], rcpt[40];

		snprintf(rcpt, sizeof rcpt, "r%d%s%s", i, domains[i][0] != 0 ? "@" : "", domains[i]);
		snprintf(want, sizeof want, "451 300 %s mx.test %%", domains[i]);
		world_expect(rcpt, world_ask("c@x.example", rcpt), "new");
		assert_string_equal(world.res.action, want);
		assert_string_equal(world.res.text, want + 4);
	}
	world_at(241);
	world_expect("a minute is the least", world_decide(&q), "early");
	assert_string_equal(world.res.text, "60 %s%d.example mx.test %");
	world_at(300);
	world_expect("retry", world_decide(&q), "retry");
	assert_null(world.res.header);
	world.lines = 0;
	world_expect("then", world_decide(&q), "known-sender");
	assert_int_equal(world.lines, 0);
	world_close();

	world_open("greylist_mode = observe\n");
	world_expect("observed", world_decide(&world_plain), "new");
	assert_int_equal(world.res.verdict, GREYLIST_DEFER);
	assert_string_equal(world.res.action, "DUNNO");
	assert_false(world.res.deferred);
	assert_non_null(strstr(world.log, "greylist=defer reason=new "));
	assert_non_null(strstr(world.log, " mode=observe "));
	world_at(300);
	world_expect("observed", world_decide(&world_plain), "retry");
	assert_null(world.res.header);
	assert_string_equal(world.res.action, "DUNNO");
	world_close();

	world_open("greylist_delay = 0\n");
	world_expect("no delay", world_decide(&world_plain), "new");
	assert_int_equal(world.res.verdict, GREYLIST_PASS);
	assert_string_equal(world.res.action, "DUNNO");
	world_at(7200);						/* another message: the first was not delayed */
	world_expect("no delay", world_decide(&world_plain), "retry");
	assert_null(world.res.header);
	world_expect("no delay", world_decide(&world_plain), "known-sender");
	world_close();

	/* a number alone is no refusal */
	world_open("greylist_action = 451\ngreylist_text = %r\n");
	world_expect("no domain", world_ask("a@x.example", "bob"), "new");
	assert_string_equal(world.res.action, "451 Greylisted");
	assert_string_equal(world.res.text, "Greylisted");
	world_close();

	/* what comes from outside stays on one line, printable, and in its limits */
	world_open("greylist_text = %r\n");
	q = world_plain;
	q.recipient = "x@e\x01\xff\nxample.com";
	world_expect("odd bytes", world_decide(&q), "new");
	assert_string_equal(world.res.text, "e???xample.com");
	assert_non_null(strstr(world.log, "to=<x@e???xample.com>"));
	{
		char	big[3000];

		memset(big, 'y', sizeof big);
		big[1] = '@';
		big[sizeof big - 1] = 0;
		q.recipient = big;
		world_expect("over-long", world_decide(&q), "new");
		assert_int_equal(strlen(world.res.text), 400);
		big[sizeof big - 2] = 'z';
		world_expect("another in the last byte", world_decide(&q), "new");
		big[sizeof big - 2] = 'y';
		world_expect("the first again", world_decide(&q), "early");
	}
	world_close();

	world_open("greylist_privacy = hash\n");
	world_expect("private", world_decide(&world_plain), "new");
	assert_null(strstr(world.log, "x.example"));
	assert_null(strstr(world.log, "b@"));
	assert_non_null(strstr(world.log, " from=<"));
	world_close();
}

static void
greylist_test_scopes(void **state)
{
	struct greylist_request q = world_plain;

	(void) state;
	world_open("greylist_pass_scope = triplet\ngreylist_auto_allow_domain_count = 0\ngreylist_auto_allow_count = 0\n");
	world_expect("first", world_ask("a@x.example", "b@example.com"), "new");
	world_at(300);
	world_expect("retry", world_ask("a@x.example", "b@example.com"), "retry");
	world_expect("then", world_ask("a@x.example", "b@example.com"), "known-triplet");
	world_expect("another recipient", world_ask("a@x.example", "c@example.com"), "new");
	world_at(300 + 35 * WORLD_DAY);
	world_expect("at the end", world_ask("a@x.example", "b@example.com"), "known-triplet");
	world_at(301 + 70 * WORLD_DAY);
	world_expect("expired", world_ask("a@x.example", "b@example.com"), "new");
	world_close();

	/* the client network: five successes in different hours */
	world_open("greylist_auto_allow_domain_count = 0\n");
	for (int i = 0; i < 5; i++) {
		char	sender[40];

		snprintf(sender, sizeof sender, "a@x%c.example", 'a' + i);
		world_expect("not yet", world_ask(sender, "b@example.com"), "new");
		world_at(world.at_s + 300);
		world_expect("not yet", world_ask(sender, "b@example.com"), "retry");
		world_at(world.at_s + 3300);
	}
	world_expect("client known", world_ask("q@q.example", "b@example.com"), "known-client");
	q.client_address = "192.0.3.1";
	world_expect("another net", world_decide(&q), "new");
	world_close();

	/* five in the same hour are one */
	world_open("greylist_auto_allow_domain_count = 0\ngreylist_auto_allow_interval = 7d\n");
	for (int i = 0; i < 5; i++) {
		char	sender[40];

		snprintf(sender, sizeof sender, "a@x%c.example", 'a' + i);
		world_expect("first", world_ask(sender, "b@example.com"), "new");
	}
	world_at(300);
	for (int i = 0; i < 5; i++) {
		char	sender[40];

		snprintf(sender, sizeof sender, "a@x%c.example", 'a' + i);
		world_expect("retry", world_ask(sender, "b@example.com"), "retry");
	}
	world_expect("client not known", world_ask("q@q.example", "b@example.com"), "new");
	world_close();

	/* two recipients, the first known; one recipient more in the retry; the header is the caller's to send once */
	world_open("");
	world_expect("first", world_ask("a@x.example", "b@example.com"), "new");
	world_at(300);
	world_expect("retry", world_ask("a@x.example", "b@example.com"), "retry");
	world_expect("one more", world_ask("a@x.example", "c@example.com"), "known-sender");
	world_close();
}

static void
greylist_test_pending_limit(void **state)
{
	struct greylist_request q = world_plain;
	char	sender[40];
	unsigned stored = 0, refused = 0;

	(void) state;
	world_open("greylist_pending_limit = 10\n");
	world_expect("the good one", world_ask("good@x.example", "b@example.com"), "new");
	for (int i = 0; i < 2000; i++) {
		snprintf(sender, sizeof sender, "a@s%c%c%c.example", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
		if (strcmp(world_ask(sender, "b@example.com"), "new") == 0)
			stored++;
		else {
			assert_int_equal(world.res.reason, GREYLIST_PENDING_LIMIT);
			assert_true(world.res.deferred);
			refused++;
		}
	}
	assert_int_equal(stored, 9);
	assert_int_equal(refused, 1991);
	q.client_address = "198.51.100.1";
	world_expect("another net", world_decide(&q), "new");
	world_at(300);
	world_expect("the good one", world_ask("good@x.example", "b@example.com"), "retry");
	world_expect("after a success", world_ask("zz@zz.example", "b@example.com"), "new");
	for (int i = 0; i < 20; i++) {
		snprintf(sender, sizeof sender, "a@t%c.example", 'a' + i);
		world_expect("no limit now", world_ask(sender, "b@example.com"), "new");
	}
	world_close();
	/* nothing waits any more: the count begins anew */
	world_open("greylist_pending_limit = 1\n");
	world_expect("first", world_ask("a@x.example", "b@example.com"), "new");
	world_expect("second", world_ask("a@y.example", "b@example.com"), "pending-limit");
	world_at(2 * WORLD_DAY);
	world_expect("at the end of the window", world_ask("a@y.example", "b@example.com"), "pending-limit");
	world_at(2 * WORLD_DAY + 1);
	world_expect("behind it", world_ask("a@y.example", "b@example.com"), "new");
	world_close();
	/* a success of clients that never become known, or where networks do not, is one, too */
	for (int i = 0; i < 2; i++) {
		world_open(i == 0 ? "greylist_pending_limit = 1\ngreylist_auto_allow_exclude = $config_directory/exclude\n" :
		    "greylist_pending_limit = 1\ngreylist_auto_allow_count = 0\n");
		test_dir_file("exclude", "192.0.2.0/24\n");
		greylist_reread(world.g);
		world_expect("one waits", world_ask("a@x.example", "b@example.com"), "new");
		world_expect("the next", world_ask("a@y.example", "b@example.com"), "pending-limit");
		world_at(300);
		world_expect("it passes", world_ask("a@x.example", "b@example.com"), "retry");
		world_expect("now the next", world_ask("a@y.example", "b@example.com"), "new");
		world_close();
	}
}

/* bad configuration: one line each, and nothing is opened */
static void
greylist_test_bad(void **state)
{
	static const char text[] = "greylist_delay = 1h\ngreylist_retry_window = 30m\n";
	struct buf why = BUF_INIT(1000);
	struct main_cf *cf = main_cf_parse("main.cf", text, strlen(text), NULL, NULL, &why);
	struct params *p = params_load(cf, &why);
	struct greylist *g;

	(void) state;
	assert_non_null(p);
	assert_int_equal(greylist_open(&g, p, "test", &why), -1);
	assert_null(g);
	assert_string_equal(buf_str(&why), "parameter greylist_delay: must be less than greylist_retry_window\n");
	params_free(&p);
	main_cf_free(&cf);
	buf_fini(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greylist_test_events),
		cmocka_unit_test(greylist_test_no_opinion),
		cmocka_unit_test(greylist_test_same),
		cmocka_unit_test(greylist_test_answers),
		cmocka_unit_test(greylist_test_scopes),
		cmocka_unit_test(greylist_test_pending_limit),
		cmocka_unit_test(greylist_test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
