/* tests/global/greylist_test.c - greylisting as a whole, on one host, under a fake clock: what is asked, and what is answered */
#include <global/greylist.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/greylist_store.h>
#include <global/main_cf.h>
#include <global/stats.h>
#include <tests/lib/dns_stub.h>
#include <util/mem.h>
#include <util/msg.h>

#define NOW	1700000000
#define DAY	86400

/* a host: a directory, a configuration, a clock, and what it logged last */
static struct {
	char	dir[64];
	struct main_cf *cf;
	struct params *params;
	struct ev_loop *loop;
	struct greylist *g;
	int64_t	at_s;
	struct greylist_result res;
	char	log[4096];
	unsigned lines;
} w;

static void
world_log(void *ctx, int level, const char *line)
{
	(void) ctx;
	(void) level;
	if (strncmp(line, "greylist=", 9) != 0)
		return;
	snprintf(w.log, sizeof w.log, "%s", line);
	w.lines++;
}

static void
world_up(void)
{
	struct buf why = BUF_INIT(10000);

	if (greylist_open(&w.g, w.params, "test", &why) < 0)
		fail_msg("%s", buf_str(&why));
	greylist_start(w.g, w.loop);
	buf_fini(&why);
}

static void
world_open_in(struct ev_loop *loop, const char *text)
{
	struct buf why = BUF_INIT(10000);
	char   *cf;

	memset(&w, 0, sizeof w);
	strcpy(w.dir, "/tmp/vouch-greylist.XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	cf = mem_printf("config_directory = %s\ndata_directory = %s\nmyhostname = mx.test\ngreylist_cache_size = 2M\n%s", w.dir, w.dir,
	    text);
	w.cf = main_cf_parse("main.cf", cf, strlen(cf), NULL, NULL, &why);
	if (w.cf == NULL || (w.params = params_load(w.cf, &why)) == NULL)
		fail_msg("%s", buf_str(&why));
	mem_free(&cf);
	buf_fini(&why);
	w.loop = loop;
	msg_catch(world_log, NULL);
	world_up();
}

static void
world_open(const char *text)
{
	world_open_in(ev_loop_new_fake(NOW), text);
}

static void
world_close(void)
{
	char   *command = mem_printf("rm -rf %s", w.dir);

	greylist_close(&w.g);
	ev_loop_free(&w.loop);
	params_free(&w.params);
	main_cf_free(&w.cf);
	msg_catch(NULL, NULL);
	assert_int_equal(system(command), 0);
	mem_free(&command);
}

/* world_at - second at_s; a long time is spent without a process */
static void
world_at(int64_t at_s)
{
	bool	away = at_s - w.at_s > 7200;

	if (away)
		greylist_close(&w.g);
	ev_fake_advance(w.loop, (at_s - w.at_s) * 1000);
	if (away)
		world_up();
	w.at_s = at_s;
}

static void
world_file(const char *name, const char *text)
{
	char   *path = mem_printf("%s/%s", w.dir, name);
	FILE   *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	mem_free(&path);
}

static void
never(void *ctx, const struct greylist_result *res)
{
	(void) ctx;
	(void) res;
	fail_msg("called back without having been told to wait");
}

static const struct greylist_request plain = {
	.state = "RCPT", .client_address = "192.0.2.25", .client_name = "unknown", .sender = "a@x.example",
	.recipient = "b@example.com", .instance = "1.2.3",
};

static const char *
decide(const struct greylist_request *q)
{
	assert_int_equal(greylist_decide(w.g, q, &w.res, never, NULL, NULL), GREYLIST_NOW);
	return greylist_reason_word(w.res.reason);
}

static const char *
ask(const char *sender, const char *recipient)
{
	struct greylist_request q = plain;

	q.sender = sender;
	q.recipient = recipient;
	return decide(&q);
}

static void
expect(const char *what, const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		fail_msg("%s: got %s, want %s", what, got, want);
}

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
		{ 702 + 2 * DAY, "q@y.example", "b@example.com", "retry", 0, 2 * DAY },
		{ 801 + 2 * DAY, "r@z.example", "b@example.com", "late", 300, 0 },
		{ 802 + 2 * DAY, "r@z.example", "b@example.com", "early", 299, 0 },
		{ 1101 + 2 * DAY, "r@z.example", "b@example.com", "retry", 0, 300 },
		{ 1102 + 2 * DAY, "q@y.example", "c@example.com", "known-sender", 0, 0 },
		{ 1102 + 37 * DAY, "q@y.example", "d@example.com", "known-sender", 0, 0 },
		{ 1103 + 72 * DAY, "q@y.example", "e@example.com", "new", 300, 0 },
	};

	(void) state;
	world_open("");
	for (size_t i = 0; i < NELEM(events); i++) {
		const char *got;

		world_at(events[i].at);
		got = ask(events[i].sender, events[i].recipient);
		if (strcmp(got, events[i].want) != 0 || w.res.left_s != events[i].left || w.res.delay_s != events[i].delay)
			fail_msg("row %zu: got %s, left %lld, delay %lld", i, got, (long long) w.res.left_s, (long long) w.res.delay_s);
	}
	world_close();
}

/* rows 1 to 9: what is none of our business, and leaves no record */
static void
greylist_test_no_opinion(void **state)
{
	static const struct {
		const char *name, *cf;
		struct greylist_request q;	/* what is not plain; "-" for empty */
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
		struct greylist_request q = plain;
		const char **to = (const char **) &q, *const *from = (const char *const *) &cases[i].q;
		struct shmtab_stat st;
		struct shmtab *tab;
		const char *why;
		int	fd;

		world_open(cases[i].cf);
		for (size_t k = 0; k < sizeof q / sizeof *to; k++)
			if (from[k] != NULL)
				to[k] = strcmp(from[k], "-") == 0 ? "" : from[k];
		expect(cases[i].name, decide(&q), cases[i].want);
		assert_int_equal(w.res.verdict, GREYLIST_NO_OPINION);
		assert_string_equal(w.res.action, "DUNNO");
		assert_null(w.res.header);
		if ((w.lines == 1) != cases[i].logged)
			fail_msg("%s: %u log lines", cases[i].name, w.lines);
		fd = open(w.dir, O_RDONLY | O_DIRECTORY);
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
		struct greylist_request a = plain, b = plain;
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
		expect(cases[i].name, decide(&a), "new");
		world_at(300);
		expect(cases[i].name, decide(&b), cases[i].want);
		world_close();
	}
}

static void
greylist_test_answers(void **state)
{
	struct greylist_request q = plain;

	(void) state;
	world_open("");
	expect("first", decide(&q), "new");
	assert_string_equal(w.res.action, "DEFER_IF_PERMIT 4.2.0 Greylisted, please try again later");
	assert_string_equal(w.res.text, "4.2.0 Greylisted, please try again later");
	assert_true(w.res.deferred);
	assert_int_equal(w.res.code, 450);
	assert_string_equal(w.log, "greylist=defer reason=new client=unknown[192.0.2.25] from=<a@x.example> to=<b@example.com> "
	    "key=192.0.2.0/24 left=300 instance=1.2.3");
	world_at(612);
	expect("retry", decide(&q), "retry");
	assert_string_equal(w.res.action, "DUNNO");
	assert_non_null(w.res.header);
	assert_memory_equal(w.res.header, "X-Greylist: delayed 612 seconds by vouch at mx.test; ", 52);
	assert_string_equal(w.log, "greylist=pass reason=retry client=unknown[192.0.2.25] from=<a@x.example> to=<b@example.com> "
	    "key=192.0.2.0/24 delay=612 tries=2 instance=1.2.3");
	expect("then", decide(&q), "known-sender");
	assert_null(w.res.header);
	world_close();

	world_open("greylist_action = 451\ngreylist_text = %s %r %h %%\ngreylist_header = \ngreylist_log_known = no\n");
	q.recipient = "%s%n%r@%s%d.example";
	q.sender = "%s%n%r@x.example";
	q.client_name = "%h%s";
	expect("first", decide(&q), "new");
	assert_string_equal(w.res.action, "451 300 %s%d.example mx.test %");
	assert_int_equal(w.res.code, 451);
	world_at(241);
	expect("a minute is the least", decide(&q), "early");
	assert_string_equal(w.res.text, "60 %s%d.example mx.test %");
	world_at(300);
	expect("retry", decide(&q), "retry");
	assert_null(w.res.header);
	w.lines = 0;
	expect("then", decide(&q), "known-sender");
	assert_int_equal(w.lines, 0);
	world_close();

	world_open("greylist_mode = observe\n");
	expect("observed", decide(&plain), "new");
	assert_int_equal(w.res.verdict, GREYLIST_DEFER);
	assert_string_equal(w.res.action, "DUNNO");
	assert_false(w.res.deferred);
	assert_non_null(strstr(w.log, "greylist=defer reason=new "));
	assert_non_null(strstr(w.log, " mode=observe "));
	world_at(300);
	expect("observed", decide(&plain), "retry");
	assert_null(w.res.header);
	assert_string_equal(w.res.action, "DUNNO");
	world_close();

	world_open("greylist_delay = 0\n");
	expect("no delay", decide(&plain), "new");
	assert_int_equal(w.res.verdict, GREYLIST_PASS);
	assert_string_equal(w.res.action, "DUNNO");
	expect("no delay", decide(&plain), "retry");
	expect("no delay", decide(&plain), "known-sender");
	world_close();

	/* what comes from outside stays on one line, printable, and in its limits */
	world_open("greylist_text = %r\n");
	q = plain;
	q.recipient = "x@e\x01\xff\nxample.com";
	expect("odd bytes", decide(&q), "new");
	assert_string_equal(w.res.text, "e???xample.com");
	assert_non_null(strstr(w.log, "to=<x@e???xample.com>"));
	{
		char	big[3000];

		memset(big, 'y', sizeof big);
		big[1] = '@';
		big[sizeof big - 1] = 0;
		q.recipient = big;
		expect("over-long", decide(&q), "new");
		assert_int_equal(strlen(w.res.text), 400);
		big[sizeof big - 2] = 'z';
		expect("another in the last byte", decide(&q), "new");
		big[sizeof big - 2] = 'y';
		expect("the first again", decide(&q), "early");
	}
	world_close();

	world_open("greylist_privacy = hash\n");
	expect("private", decide(&plain), "new");
	assert_null(strstr(w.log, "x.example"));
	assert_null(strstr(w.log, "b@"));
	assert_non_null(strstr(w.log, " from=<"));
	world_close();
}

static void
greylist_test_scopes(void **state)
{
	struct greylist_request q = plain;

	(void) state;
	world_open("greylist_pass_scope = triplet\ngreylist_auto_allow_domain_count = 0\ngreylist_auto_allow_count = 0\n");
	expect("first", ask("a@x.example", "b@example.com"), "new");
	world_at(300);
	expect("retry", ask("a@x.example", "b@example.com"), "retry");
	expect("then", ask("a@x.example", "b@example.com"), "known-triplet");
	expect("another recipient", ask("a@x.example", "c@example.com"), "new");
	world_at(300 + 35 * DAY);
	expect("at the end", ask("a@x.example", "b@example.com"), "known-triplet");
	world_at(301 + 70 * DAY);
	expect("expired", ask("a@x.example", "b@example.com"), "new");
	world_close();

	/* the client network: five successes in different hours */
	world_open("greylist_auto_allow_domain_count = 0\n");
	for (int i = 0; i < 5; i++) {
		char	sender[40];

		snprintf(sender, sizeof sender, "a@x%c.example", 'a' + i);
		expect("not yet", ask(sender, "b@example.com"), "new");
		world_at(w.at_s + 300);
		expect("not yet", ask(sender, "b@example.com"), "retry");
		world_at(w.at_s + 3300);
	}
	expect("client known", ask("q@q.example", "b@example.com"), "known-client");
	q.client_address = "192.0.3.1";
	expect("another net", decide(&q), "new");
	world_close();

	/* five in the same hour are one */
	world_open("greylist_auto_allow_domain_count = 0\ngreylist_auto_allow_interval = 7d\n");
	for (int i = 0; i < 5; i++) {
		char	sender[40];

		snprintf(sender, sizeof sender, "a@x%c.example", 'a' + i);
		expect("first", ask(sender, "b@example.com"), "new");
	}
	world_at(300);
	for (int i = 0; i < 5; i++) {
		char	sender[40];

		snprintf(sender, sizeof sender, "a@x%c.example", 'a' + i);
		expect("retry", ask(sender, "b@example.com"), "retry");
	}
	expect("client not known", ask("q@q.example", "b@example.com"), "new");
	world_close();

	/* two recipients, the first known; one recipient more in the retry; the header is the caller's to send once */
	world_open("");
	expect("first", ask("a@x.example", "b@example.com"), "new");
	world_at(300);
	expect("retry", ask("a@x.example", "b@example.com"), "retry");
	expect("one more", ask("a@x.example", "c@example.com"), "known-sender");
	world_close();
}

static void
greylist_test_pending_limit(void **state)
{
	struct greylist_request q = plain;
	char	sender[40];
	unsigned stored = 0, refused = 0;

	(void) state;
	world_open("greylist_pending_limit = 10\n");
	expect("the good one", ask("good@x.example", "b@example.com"), "new");
	for (int i = 0; i < 2000; i++) {
		snprintf(sender, sizeof sender, "a@s%c%c%c.example", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
		if (strcmp(ask(sender, "b@example.com"), "new") == 0)
			stored++;
		else {
			assert_int_equal(w.res.reason, GREYLIST_PENDING_LIMIT);
			assert_true(w.res.deferred);
			refused++;
		}
	}
	assert_int_equal(stored, 9);
	assert_int_equal(refused, 1991);
	q.client_address = "198.51.100.1";
	expect("another net", decide(&q), "new");
	world_at(300);
	expect("the good one", ask("good@x.example", "b@example.com"), "retry");
	expect("after a success", ask("zz@zz.example", "b@example.com"), "new");
	for (int i = 0; i < 20; i++) {
		snprintf(sender, sizeof sender, "a@t%c.example", 'a' + i);
		expect("no limit now", ask(sender, "b@example.com"), "new");
	}
	world_close();
	/* nothing waits any more: the count begins anew */
	world_open("greylist_pending_limit = 1\n");
	expect("first", ask("a@x.example", "b@example.com"), "new");
	expect("second", ask("a@y.example", "b@example.com"), "pending-limit");
	world_at(2 * DAY);
	expect("at the end of the window", ask("a@y.example", "b@example.com"), "pending-limit");
	world_at(2 * DAY + 1);
	expect("behind it", ask("a@y.example", "b@example.com"), "new");
	world_close();
}

/* four workers are asked about the same triplet at once: it begins once; and once more, it is passed once */
static void
greylist_test_workers(void **state)
{
	enum { WORKERS = 4, ROUNDS = 50 };
	struct greylist_request q = plain;
	char	got[WORKERS], sender[40];
	unsigned new, early, retry, known;
	int	go[2], told[2];
	pid_t	pid;

	(void) state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < ROUNDS; i++) {
			if (i == 0 && round == 0)
				world_open("greylist_auto_allow_domain_count = 0\ngreylist_auto_allow_count = 0\n");
			if (i == 0 && round == 1)
				world_at(300);
			snprintf(sender, sizeof sender, "a@w%c%c.example", 'a' + i % 26, 'a' + i / 26);
			q.sender = sender;
			assert_int_equal(pipe(go), 0);
			assert_int_equal(pipe(told), 0);
			for (int k = 0; k < WORKERS; k++) {
				if ((pid = fork()) == 0) {
					struct greylist *g;
					struct greylist_result res;
					struct buf why = BUF_INIT(1000);
					char	c = 'x';

					close(go[1]);
					if (greylist_open(&g, w.params, "test", &why) < 0)
						_exit(1);
					greylist_start(g, w.loop);
					(void) !read(go[0], &c, 1);		/* end of file: now */
					if (greylist_decide(g, &q, &res, never, NULL, NULL) == GREYLIST_NOW)
						c = res.reason == GREYLIST_NEW ? 'n' : res.reason == GREYLIST_EARLY ? 'e' :
						    res.reason == GREYLIST_RETRY ? 'r' : res.reason == GREYLIST_KNOWN_SENDER ? 'k' : 'x';
					_exit(write(told[1], &c, 1) == 1 ? 0 : 1);
				}
				assert_true(pid > 0);
			}
			close(go[0]);
			close(go[1]);
			close(told[1]);
			new = early = retry = known = 0;
			for (int k = 0; k < WORKERS; k++) {
				assert_int_equal(read(told[0], &got[k], 1), 1);
				new += got[k] == 'n';
				early += got[k] == 'e';
				retry += got[k] == 'r';
				known += got[k] == 'k';
			}
			close(told[0]);
			while (wait(NULL) > 0)
				;
			if (round == 0 ? new != 1 || early != WORKERS - 1 : retry != 1 || known != WORKERS - 1)
				fail_msg("round %d.%d: %.4s", round, i, got);
		}
	}
	world_close();
}

/* a table full of pending triplets, from many networks, costs no known sender */
static void
greylist_test_full(void **state)
{
	struct greylist_request q = plain;
	char	addr[40];

	(void) state;
	world_open("");
	expect("first", ask("a@x.example", "b@example.com"), "new");
	world_at(300);
	expect("retry", ask("a@x.example", "b@example.com"), "retry");
	for (int i = 0; i < 60000; i++) {
		snprintf(addr, sizeof addr, "%d.%d.%d.1", 1 + i / 65025 % 100, i / 255 % 255, i % 255);
		q.client_address = addr;
		q.sender = "spam@spam.example";
		(void) decide(&q);
	}
	expect("still known", ask("a@x.example", "c@example.com"), "known-sender");
	world_close();
}

static void
greylist_test_lists(void **state)
{
	struct greylist_request q = plain;

	(void) state;
	world_open("greylist_client_allowlist = $config_directory/clients\ngreylist_recipient_allowlist = $config_directory/rcpts\n"
	    "greylist_sender_allowlist = $config_directory/senders\ngreylist_exempt_regexp_file = $config_directory/nogreylist\n"
	    "greylist_auto_allow_exclude = $config_directory/exclude\n");
	expect("no files", decide(&q), "new");
	world_file("clients", "192.0.2.0/24\n");
	world_at(9);
	expect("not looked at yet", decide(&q), "early");
	world_at(11);
	expect("clients", decide(&q), "allow-client");
	assert_string_equal(w.res.rule, "clients:1");
	assert_non_null(strstr(w.log, " rule=clients:1 "));
	world_file("clients", "# nothing\n");
	world_at(22);
	expect("emptied", decide(&q), "early");
	world_file("rcpts", "x@y\nB@Example.com\n");
	greylist_reread(w.g);
	expect("recipients", decide(&q), "allow-recipient");
	assert_string_equal(w.res.rule, "rcpts:2");
	world_file("rcpts", "postmaster@\n");
	world_file("senders", "x.example 198.51.100.0/24,192.0.2.25\n");
	greylist_reread(w.g);
	expect("senders", decide(&q), "allow-sender");
	q.client_address = "192.0.2.26";
	expect("sender from elsewhere", decide(&q), "early");
	world_file("nogreylist", "# comment\n^192\\.0\\.2\\.26/A@\n^192\\.0\\.2\\.26/a@x\\.example/b@\n");
	greylist_reread(w.g);
	expect("expressions", decide(&q), "allow-regexp");
	assert_string_equal(w.res.rule, "nogreylist:3");
	world_file("nogreylist", "(a+)+$\n");
	greylist_reread(w.g);
	{
		char	big[200] = "";
		uint64_t before = stats_local[STAT_greylist_regexp_limit];

		memset(big, 'a', sizeof big - 12);
		strcat(big, "!@x.example");
		q.sender = big;
		expect("an expression that explodes", decide(&q), "new");
		assert_true(stats_local[STAT_greylist_regexp_limit] > before);
	}
	/* a file that goes leaves its entries in force */
	{
		char   *path = mem_printf("%s/senders", w.dir);

		assert_int_equal(unlink(path), 0);
		greylist_reread(w.g);
		expect("the file has gone", decide(&plain), "allow-sender");
		mem_free(&path);
	}
	world_file("senders", "\n");
	greylist_reread(w.g);
	expect("it is back", decide(&plain), "early");
	/* excluded: every triplet waits, and is known by itself */
	world_file("exclude", "192.0.2.0/24\n");
	greylist_reread(w.g);
	world_at(400);
	expect("excluded", decide(&plain), "retry");
	expect("excluded", decide(&plain), "known-triplet");
	expect("excluded", ask("a@x.example", "other@example.com"), "new");
	world_close();
}

/* the clock is set back between attempt and retry */
static void
greylist_test_clock(void **state)
{
	struct ev_loop *earlier;

	(void) state;
	world_open("");
	expect("first", decide(&plain), "new");
	greylist_close(&w.g);
	earlier = w.loop;
	w.loop = ev_loop_new_fake(NOW - 3600);
	world_up();
	expect("an hour back", decide(&plain), "early");
	assert_true(w.res.left_s > 0 && w.res.left_s <= 300);
	assert_true(stats_local[STAT_greylist_clock_corrections] > 0);
	ev_fake_advance(w.loop, 300 * 1000);
	expect("of age by the new clock", decide(&plain), "retry");
	ev_loop_free(&earlier);
	world_close();
}

static uint64_t
pending(void)
{
	struct shmtab_stat st;
	struct shmtab *tab;
	const char *why;
	int	fd = open(w.dir, O_RDONLY | O_DIRECTORY);

	assert_int_equal(shmtab_open_read(&tab, fd, GREYLIST_PENDING_FILE, &why), 0);
	shmtab_stat(tab, &st);
	shmtab_close(&tab);
	close(fd);
	return st.entries;
}

/* expired records go by themselves, and those that were never retried are counted */
static void
greylist_test_removal(void **state)
{
	uint64_t before = stats_local[STAT_greylist_never_retried];
	char	sender[40];

	(void) state;
	world_open("greylist_pending_limit = 0\n");
	ev_fake_advance(w.loop, 3700 * 1000);		/* a machine that has just been started removes nothing */
	w.at_s = 3700;
	for (int i = 0; i < 200; i++) {
		snprintf(sender, sizeof sender, "a@s%c%c.example", 'a' + i % 26, 'a' + i / 26);
		expect("first", ask(sender, "b@example.com"), "new");
	}
	world_at(4000);
	expect("retry", ask("a@saa.example", "b@example.com"), "retry");
	assert_int_equal(pending(), 199);
	world_at(3700 + 2 * DAY);
	ev_fake_advance(w.loop, 0);
	world_at(w.at_s + 1 + 600);
	assert_int_equal(pending(), 0);
	assert_int_equal(stats_local[STAT_greylist_never_retried] - before, 199);
	expect("known ones stay", ask("a@saa.example", "c@example.com"), "known-sender");
	world_close();
}

/* the clock leaps forward, and back: nothing is removed meanwhile */
static void
greylist_test_leap(void **state)
{
	struct ev_loop *loops[3];

	(void) state;
	world_open("");
	expect("first", ask("a@x.example", "b@example.com"), "new");
	expect("another", ask("q@y.example", "b@example.com"), "new");
	world_at(300);
	expect("retry", ask("a@x.example", "b@example.com"), "retry");
	greylist_close(&w.g);
	loops[0] = w.loop;
	loops[1] = w.loop = ev_loop_new_fake(NOW + 40 * DAY);
	world_up();
	ev_fake_advance(w.loop, 3000 * 1000);		/* long enough for the tables to be gone through more than once */
	assert_int_equal(pending(), 1);
	greylist_close(&w.g);
	loops[2] = w.loop = ev_loop_new_fake(NOW + 400);
	world_up();
	ev_fake_advance(w.loop, 1000);
	expect("still known", ask("a@x.example", "c@example.com"), "known-sender");
	expect("still waiting", ask("q@y.example", "b@example.com"), "retry");
	ev_loop_free(&loops[0]);
	ev_loop_free(&loops[1]);
	(void) loops[2];
	world_close();
}

/* another delay: what waits is judged by the new one */
static void
greylist_test_reload(void **state)
{
	struct params *old;
	struct main_cf *cf;
	struct buf why = BUF_INIT(1000);
	char   *text;

	(void) state;
	world_open("");
	expect("first", decide(&plain), "new");
	world_at(60);
	expect("early", decide(&plain), "early");
	greylist_close(&w.g);
	text = mem_printf("config_directory = %s\ndata_directory = %s\ngreylist_cache_size = 2M\ngreylist_delay = 60s\n", w.dir, w.dir);
	cf = main_cf_parse("main.cf", text, strlen(text), NULL, NULL, &why);
	old = w.params;
	w.params = params_load(cf, &why);
	world_up();
	expect("with another delay", decide(&plain), "retry");
	params_free(&old);
	main_cf_free(&cf);
	mem_free(&text);
	buf_fini(&why);
	world_close();
}

/* DNS allow-lists: asked before something new is deferred, and not otherwise; with the real clock */

static struct { unsigned n; char reason[32], rule[64]; } told;

static void
tell(void *ctx, const struct greylist_result *res)
{
	assert_ptr_equal(ctx, &told);
	told.n++;
	snprintf(told.reason, sizeof told.reason, "%s", greylist_reason_word(res->reason));
	snprintf(told.rule, sizeof told.rule, "%s", res->rule);
}

static const char *
ask_dns(const char *addr, const char *sender)
{
	struct greylist_request q = plain;
	struct greylist_wait *wait;

	q.client_address = addr;
	q.sender = sender;
	told.n = 0;
	if (greylist_decide(w.g, &q, &w.res, tell, &told, &wait) == GREYLIST_NOW) {
		assert_null(wait);
		return greylist_reason_word(w.res.reason);
	}
	assert_non_null(wait);
	assert_int_equal(told.n, 0);
	assert_true(greylist_busy(w.g));
	for (int i = 0; told.n == 0 && i < 1000; i++)
		ev_turn(w.loop, 100);
	assert_int_equal(told.n, 1);
	assert_null(wait);
	assert_false(greylist_busy(w.g));
	return told.reason;
}

static void
greylist_test_dns(void **state)
{
	static const char zone[] =
	    "1.2.0.192.wl.test A 127.0.5.2\n"
	    "2.2.0.192.wl.test A 127.0.5.9\n"
	    "3.2.0.192.any.test A 127.0.0.99\n"
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.wl.test A 127.0.0.1\n"
	    "4.2.0.192.wl.test TIMEOUT\n4.2.0.192.any.test SERVFAIL\n";
	struct ev_loop *loop = ev_loop_new();
	struct dns_stub *stub = dns_stub_new(loop, zone);
	struct greylist_request q = plain;
	struct greylist_wait *wait;
	unsigned asked;
	char   *cf = mem_printf("greylist_dnswl_sites = wl.test=127.0.[0..255].[1..3], any.test\nprobe_dns_servers = 127.0.0.1:%d\n"
	    "greylist_dnswl_timeout = 300ms\n", dns_stub_listen(stub));

	(void) state;
	world_open_in(loop, cf);
	expect("listed", ask_dns("192.0.2.1", "a@x.example"), "allow-dns");
	assert_string_equal(told.rule, "wl.test");
	assert_non_null(strstr(w.log, "greylist=pass reason=allow-dns "));
	assert_non_null(strstr(w.log, " rule=wl.test"));
	expect("listed, IPv6", ask_dns("2001:db8::1", "a@x.example"), "allow-dns");
	expect("listed with another answer", ask_dns("192.0.2.2", "a@x.example"), "new");
	asked = dns_stub_asked(stub, false);
	expect("waiting: not asked", ask_dns("192.0.2.2", "a@x.example"), "early");
	assert_int_equal(dns_stub_asked(stub, false), asked);
	expect("without filter", ask_dns("192.0.2.3", "b@x.example"), "allow-dns");
	assert_string_equal(told.rule, "any.test");
	expect("no answer in time", ask_dns("192.0.2.4", "c@x.example"), "new");
	/* the client leaves meanwhile: nobody is told, and the attempt counts */
	q.client_address = "192.0.2.5";
	q.sender = "d@x.example";
	told.n = 0;
	assert_int_equal(greylist_decide(w.g, &q, &w.res, tell, &told, &wait), GREYLIST_LATER);
	greylist_cancel(&wait);
	assert_null(wait);
	for (int i = 0; greylist_busy(w.g) && i < 1000; i++)
		ev_turn(w.loop, 100);
	assert_int_equal(told.n, 0);
	expect("of a client that left", ask_dns("192.0.2.5", "d@x.example"), "early");
	/* closed while one waits */
	q.sender = "e@x.example";
	assert_int_equal(greylist_decide(w.g, &q, &w.res, tell, &told, NULL), GREYLIST_LATER);
	dns_stub_free(&stub);
	world_close();
	assert_int_equal(told.n, 0);
	mem_free(&cf);
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
		cmocka_unit_test(greylist_test_workers),
		cmocka_unit_test(greylist_test_full),
		cmocka_unit_test(greylist_test_lists),
		cmocka_unit_test(greylist_test_clock),
		cmocka_unit_test(greylist_test_removal),
		cmocka_unit_test(greylist_test_leap),
		cmocka_unit_test(greylist_test_reload),
		cmocka_unit_test(greylist_test_dns),
		cmocka_unit_test(greylist_test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
