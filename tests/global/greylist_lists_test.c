/* tests/global/greylist_lists_test.c - lists of clients, addresses and expressions: what a line means, and which lines are refused */
#include <global/address_list.h>
#include <global/client_list.h>
#include <global/list_file.h>
#include <global/regexp_list.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <util/mem.h>
#include <util/msg.h>

static struct { unsigned n; char last[1000]; } logged;

static void
test_log(void *ctx, int level, const char *line)
{
	(void) ctx;
	(void) level;
	logged.n++;
	snprintf(logged.last, sizeof logged.last, "%s", line);
}

static void
greylist_lists_test_client(void **state)
{
	static const struct { const char *list, *addr, *name; unsigned want; } cases[] = {
		{ "", "192.0.2.7", "a.b", 0 },
		{ "192.0.2.7", "192.0.2.7", "", 1 },
		{ "192.0.2.7", "192.0.2.8", "", 0 },
		{ "\n\n192.0.2.7\n", "192.0.2.7", "", 3 },
		{ "# 192.0.2.7\n", "192.0.2.7", "", 0 },
		{ "  192.0.2.7  # comment\n", "192.0.2.7", "", 1 },
		{ "192.0.2.7\r\n", "192.0.2.7", "", 1 },
		{ "192.0.2.0/25", "192.0.2.127", "", 1 },
		{ "192.0.2.0/25", "192.0.2.128", "", 0 },
		{ "192.0.2.77/25", "192.0.2.1", "", 1 },
		{ "0.0.0.0/0", "192.0.2.1", "", 1 },
		{ "0.0.0.0/0", "2001:db8::1", "", 0 },
		{ "192.0.2", "192.0.2.128", "", 1 },
		{ "192.0.2.", "192.0.2.128", "", 1 },
		{ "192.0.2", "192.0.3.128", "", 0 },
		{ "192.0", "192.0.3.128", "", 1 },
		{ "192.0", "192.1.3.128", "", 0 },
		{ "192", "192.1.3.128", "", 1 },
		{ "192", "193.1.3.128", "", 0 },
		{ "2001:db8::/32", "2001:db8:ffff::1", "", 1 },
		{ "2001:db8::/32", "2001:db9::1", "", 0 },
		{ "[2001:db8::1]", "2001:db8::1", "", 1 },
		{ "[2001:db8::]/32", "2001:db8::9", "", 1 },
		{ "2001:db8::1", "2001:db8::1", "", 1 },
		{ "::ffff:192.0.2.7", "192.0.2.7", "", 1 },
		{ "192.0.0.0/16\n192.0.2.0/24\n", "192.0.2.1", "", 2 },
		{ "domain.example", "192.0.2.1", "domain.example", 1 },
		{ "domain.example", "192.0.2.1", "a.b.DOMAIN.example", 1 },
		{ "DOMAIN.example.", "192.0.2.1", "a.domain.example.", 1 },
		{ ".domain.example", "192.0.2.1", "a.domain.example", 1 },
		{ "domain.example", "192.0.2.1", "adomain.example", 0 },
		{ "domain.example", "192.0.2.1", "example", 0 },
		{ "domain.example", "192.0.2.1", "", 0 },
		{ "/^mx[0-9]+\\.Example$/", "192.0.2.1", "MX12.example", 1 },
		{ "/^mx[0-9]+\\.example$/", "192.0.2.1", "amx12.example", 0 },
		{ "/./", "192.0.2.1", "", 0 },
		{ "x.example\n/y/\nz.example\n", "192.0.2.1", "ay.example", 2 },
	};
	static const char *const bad[] = { "192.0.2.256", "192.0.2.0/33", "192.0/16", "1.2.3.4.5", "192.0.2.0/", "192.0.2.0/a", "[::1",
		"[]", "::1/129", "2001:db8::g", "a b", "user@domain", "/(/", "/a", "//", "/", "fe80::1%eth0", "1.2.3.4/24/8" };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct list_count count = { 0, 0 };
		struct client_list *l = client_list_parse("clients", cases[i].list, strlen(cases[i].list), &count);
		struct client_addr a;
		unsigned over = 0, got;

		assert_true(client_addr_parse(&a, cases[i].addr));
		if (count.rejected != 0)
			fail_msg("%s: rejected: %s", cases[i].list, logged.last);
		if ((got = client_list_match(l, &a, cases[i].name, &over)) != cases[i].want)
			fail_msg("%s: %s [%s]: got line %u, want %u", cases[i].list, cases[i].name, cases[i].addr, got, cases[i].want);
		client_list_free(&l);
	}
	for (size_t i = 0; i < NELEM(bad); i++) {
		struct list_count count = { 0, 0 };
		struct client_list *l = client_list_parse("clients", bad[i], strlen(bad[i]), &count);

		if (count.rejected != 1 || count.entries != 0)
			fail_msg("\"%s\" is accepted", bad[i]);
		if (strncmp(logged.last, "warning: clients, line 1: ", 26) != 0)
			fail_msg("\"%s\": log: %s", bad[i], logged.last);
		client_list_free(&l);
	}
}

/* what clients and addresses have in common: comments, blanks, line ends, and bytes that are no text */
static void
greylist_lists_test_lines(void **state)
{
	static const char text[] = "# one\n\n \ta.example # two\r\nb.example\0c.example\nd.example";
	struct list_count count = { 0, 0 };
	struct client_list *clients = client_list_parse("file", text, sizeof text - 1, &count);
	struct address_list *addresses;
	struct client_addr a;
	unsigned over = 0, bare;

	(void) state;
	assert_true(client_addr_parse(&a, "192.0.2.1"));
	assert_string_equal(logged.last, "warning: file, line 4: b.example: has a NUL: this line is ignored");
	addresses = address_list_parse("file", text, sizeof text - 1, "", false, &count, &bare);
	assert_int_equal(count.entries, 4);
	assert_int_equal(count.rejected, 2);
	assert_int_equal(bare, 2);
	assert_int_equal(client_list_match(clients, &a, "a.example", &over), 3);
	assert_int_equal(client_list_match(clients, &a, "b.example", &over), 0);
	assert_int_equal(client_list_match(clients, &a, "d.example", &over), 5);
	assert_int_equal(address_list_match(addresses, "x@a.example", NULL, "", &over), 3);
	assert_int_equal(address_list_match(addresses, "x@b.example", NULL, "", &over), 0);
	assert_int_equal(address_list_match(addresses, "x@d.example", NULL, "", &over), 5);
	client_list_free(&clients);
	address_list_free(&addresses);
}

static void
greylist_lists_test_address(void **state)
{
	static const struct { const char *list, *delimiter, *address, *client, *name; unsigned want; } cases[] = {
		{ "user@domain.example", "", "user@domain.example", "192.0.2.1", "", 1 },
		{ "User@Domain.example", "", "uSER@dOMAIN.example", "192.0.2.1", "", 1 },
		{ "user@domain.example", "", "user+ext@domain.example", "192.0.2.1", "", 1 },
		{ "user@domain.example", "", "user-ext@domain.example", "192.0.2.1", "", 0 },
		{ "user@domain.example", "-", "user-ext@domain.example", "192.0.2.1", "", 1 },
		{ "user@domain.example", "", "xuser@domain.example", "192.0.2.1", "", 0 },
		{ "user@domain.example", "", "user@sub.domain.example", "192.0.2.1", "", 0 },
		{ "user+ext@domain.example", "", "user+ext@domain.example", "192.0.2.1", "", 1 },
		{ "user+ext@domain.example", "", "user@domain.example", "192.0.2.1", "", 0 },
		{ "postmaster@", "", "PostMaster@any.example", "192.0.2.1", "", 1 },
		{ "postmaster@", "", "postmaster+x@any.example", "192.0.2.1", "", 1 },
		{ "postmaster@", "", "postmaster", "192.0.2.1", "", 1 },
		{ "postmaster@", "", "xpostmaster@any.example", "192.0.2.1", "", 0 },
		{ "domain.example", "", "any@domain.example", "192.0.2.1", "", 1 },
		{ "domain.example", "", "any@a.b.Domain.example.", "192.0.2.1", "", 1 },
		{ "@domain.example", "", "any@domain.example", "192.0.2.1", "", 1 },
		{ "domain.example", "", "any@xdomain.example", "192.0.2.1", "", 0 },
		{ "domain.example", "", "domain.example", "192.0.2.1", "", 0 },
		{ "/^a.*@b/", "", "AXE@bcd", "192.0.2.1", "", 1 },
		{ "/^a.*@b$/", "", "AXE@bcd", "192.0.2.1", "", 0 },
		{ "domain.example", "", "", "192.0.2.1", "", 0 },
		{ "domain.example 192.0.2.0/24", "", "any@domain.example", "192.0.2.1", "", 1 },
		{ "domain.example 192.0.2.0/24", "", "any@domain.example", "192.0.3.1", "", 0 },
		{ "domain.example\t198.51.100.1,mx.example", "", "any@domain.example", "192.0.3.1", "a.mx.example", 1 },
		{ "/a b/ 192.0.2.1", "", "xa by@domain.example", "192.0.2.1", "", 1 },
		{ "d.example 192.0.2.1\nd.example 192.0.2.2\n", "", "u@d.example", "192.0.2.1", "", 1 },
		{ "d.example 192.0.2.1\nd.example 192.0.2.2\n", "", "u@d.example", "192.0.2.2", "", 2 },
		{ "d.example 192.0.2.1\nexample\n", "", "u@d.example", "192.0.2.2", "", 2 },
		{ "u@d.example 192.0.2.1\nu@ 192.0.2.3\n", "", "u@d.example", "192.0.2.3", "", 2 },
	};
	static const char *const bad[] = { "/(/", "/a", "@", "a@b 192.0.2.256", "a@b 192.0.2.1,/(/" };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct list_count count = { 0, 0 };
		unsigned bare, over = 0, got;
		struct address_list *l = address_list_parse("senders", cases[i].list, strlen(cases[i].list), cases[i].delimiter, true,
		    &count, &bare);
		struct client_addr a;

		assert_true(client_addr_parse(&a, cases[i].client));
		if (count.rejected != 0)
			fail_msg("%s: rejected: %s", cases[i].list, logged.last);
		if ((got = address_list_match(l, cases[i].address, &a, cases[i].name, &over)) != cases[i].want)
			fail_msg("%s: %s: got line %u, want %u", cases[i].list, cases[i].address, got, cases[i].want);
		address_list_free(&l);
	}
	for (size_t i = 0; i < NELEM(bad); i++) {
		struct list_count count = { 0, 0 };
		unsigned bare;
		struct address_list *l = address_list_parse("senders", bad[i], strlen(bad[i]), "", true, &count, &bare);

		if (count.rejected != 1 || count.entries != 0)
			fail_msg("\"%s\" is accepted", bad[i]);
		address_list_free(&l);
	}
	{
		struct list_count count = { 0, 0 };
		unsigned bare;
		struct address_list *l = address_list_parse("r", "a@b\na@b 192.0.2.1\n", 18, "", false, &count, &bare);

		assert_int_equal(count.entries, 1);
		assert_int_equal(count.rejected, 1);		/* recipients have one column */
		assert_int_equal(bare, 1);
		address_list_free(&l);
	}
}

/* the nogreylist file: table of the design */
static void
greylist_lists_test_regexp(void **state)
{
	static const struct { const char *list, *subject; unsigned want, rejected; } cases[] = {
		{ "", "1.2.3.4/a@b/c@d", 0, 0 },
		{ "#\n# all comments\n\n", "1.2.3.4/a@b/c@d", 0, 0 },
		{ "^1\\.2\\.3\\.", "1.2.3.4/a@b/c@d", 1, 0 },
		{ "/c@d$", "1.2.3.4/a@b/c@d", 1, 0 },
		{ "x\nab\n(a@\n@b/\n", "1.2.3.4/a@b/c@d", 4, 2 },
		{ "ab#c", "ab#cd", 1, 0 },
		{ " a", "1.2.3.4/a@b/c@d", 0, 0 },
		{ "a@b ", "1.2.3.4/a@b/c@d", 0, 0 },
		{ "(?i)A@B", "1.2.3.4/a@b/c@d", 1, 0 },
		{ "(?i)zz\nA@B\n", "1.2.3.4/a@b/c@d", 0, 0 },
		{ "A@B", "1.2.3.4/a@b/c@d", 0, 0 },
		{ "(a)(b)?@b", "1.2.3.4/a@b/c@d", 1, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct list_count count = { 0, 0 };
		struct regexp_list *l = regexp_list_parse("nogreylist", cases[i].list, strlen(cases[i].list), &count);
		unsigned over = 0, got = regexp_list_match(l, cases[i].subject, strlen(cases[i].subject), &over);

		if (got != cases[i].want || count.rejected != cases[i].rejected)
			fail_msg("row %zu: got line %u, %u rejected", i, got, count.rejected);
		regexp_list_free(&l);
	}
	/* one bad line is named */
	{
		static const char text[] = "good\n(bad\n";
		struct list_count count = { 0, 0 };
		struct regexp_list *l = regexp_list_parse("nogreylist", text, strlen(text), &count);

		assert_non_null(strstr(logged.last, "nogreylist, line 2: (bad: "));
		regexp_list_free(&l);
	}
	/* an expression that explodes ends within its limits, and is turned off after ten times */
	{
		static const char text[] = "(a+)+$\n";
		struct list_count count = { 0, 0 };
		struct regexp_list *l = regexp_list_parse("nogreylist", text, strlen(text), &count);
		char	big[1001];
		unsigned over = 0;
		struct timespec from, to;

		memset(big, 'a', sizeof big);
		big[999] = '!';
		big[1000] = 0;
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (int i = 0; i < 15; i++)
			assert_int_equal(regexp_list_match(l, big, 1000, &over), 0);
		clock_gettime(CLOCK_MONOTONIC, &to);
		assert_int_equal(over, 10);
		assert_non_null(strstr(logged.last, "it is off until the file changes"));
		assert_true(to.tv_sec - from.tv_sec < 20);	/* it would take longer than anything */
		regexp_list_free(&l);
	}
	/* from another system: the end of a line is none of the expression's */
	{
		static const char text[] = "# comment\r\n\r\n^192\\.0\\.2\\.7/\r\nb@y$\r\n";
		struct list_count count = { 0, 0 };
		struct regexp_list *l = regexp_list_parse("nogreylist", text, sizeof text - 1, &count);
		unsigned over = 0;

		assert_int_equal(count.entries, 2);
		assert_int_equal(count.rejected, 0);
		assert_int_equal(regexp_list_match(l, "192.0.2.7/a@x/c@y", 17, &over), 3);
		assert_int_equal(regexp_list_match(l, "192.0.2.8/a@x/b@y", 17, &over), 4);
		regexp_list_free(&l);
	}
	/* a file that is something else altogether does not fill the log */
	{
		struct buf many = BUF_INIT(1 << 20);
		struct list_count count = { 0, 0 };
		struct regexp_list *l;
		struct address_list *senders;
		unsigned bare;

		for (int i = 0; i < 1000; i++)
			buf_adds(&many, "X y,z w\n");
		logged.n = 0;
		l = regexp_list_parse("nogreylist", buf_str(&many), many.len, &count);
		assert_int_equal(count.entries, 1000);
		assert_int_equal(logged.n, 20);
		logged.n = 0;
		count = (struct list_count) { 0, 0 };
		senders = address_list_parse("senders", buf_str(&many), many.len, "", true, &count, &bare);
		assert_int_equal(count.rejected, 1000);
		assert_in_range(logged.n, 20, 40);
		address_list_free(&senders);
		regexp_list_free(&l);
		buf_fini(&many);
	}
	/* at most so many lines */
	{
		struct buf many = BUF_INIT(1 << 20);
		struct list_count count = { 0, 0 };
		struct regexp_list *l;

		for (int i = 0; i < REGEXP_LIST_LINES + 5; i++)
			buf_addf(&many, "x%d\n", i);
		l = regexp_list_parse("nogreylist", buf_str(&many), many.len, &count);
		assert_int_equal(count.entries, REGEXP_LIST_LINES);
		assert_int_equal(count.rejected, 5);
		regexp_list_free(&l);
		buf_fini(&many);
	}
}

static void
test_write(const char *path, const char *text)
{
	FILE   *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* test_moves - a change is seen, and taken at the next look */
static void
test_moves(struct list_file *f, struct buf *text)
{
	assert_false(list_file_look(f, false, text));
	assert_true(f->moving);
	assert_true(list_file_look(f, false, text));
	assert_false(f->moving);
}

static void
greylist_lists_test_file(void **state)
{
	char	dir[] = "/tmp/vouch-list.XXXXXX", path[64], other[64];
	struct buf text = BUF_INIT(LIST_FILE_MAX);
	struct list_file f;

	(void) state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/list", dir);
	snprintf(other, sizeof other, "%s/other", dir);
	list_file_init(&f, path);
	logged.n = 0;
	assert_false(list_file_look(&f, true, &text));
	assert_int_equal(logged.n, 0);			/* it never was there */
	test_write(path, "one");
	test_moves(&f, &text);
	assert_string_equal(buf_str(&text), "one");
	assert_false(list_file_look(&f, false, &text));
	/* written in place, slowly: empty, then half, then all of it; never read before it keeps still */
	test_write(path, "");
	assert_false(list_file_look(&f, false, &text));
	assert_true(f.moving);
	test_write(path, "two");
	assert_false(list_file_look(&f, false, &text));
	assert_true(f.moving);
	test_write(path, "two!");
	test_moves(&f, &text);
	assert_string_equal(buf_str(&text), "two!");
	test_write(other, "three");
	assert_int_equal(rename(other, path), 0);
	test_moves(&f, &text);
	assert_string_equal(buf_str(&text), "three");
	test_write(path, "");
	test_moves(&f, &text);
	assert_int_equal(text.len, 0);
	assert_int_equal(unlink(path), 0);
	assert_false(list_file_look(&f, false, &text));
	assert_false(list_file_look(&f, false, &text));
	assert_int_equal(logged.n, 1);			/* one warning */
	assert_non_null(strstr(logged.last, "what was read before stays in force"));
	assert_int_equal(mkdir(path, 0700), 0);
	assert_false(list_file_look(&f, false, &text));
	assert_false(list_file_look(&f, false, &text));
	assert_false(list_file_look(&f, false, &text));
	assert_int_equal(logged.n, 1);
	assert_int_equal(rmdir(path), 0);
	test_write(path, "back");
	test_moves(&f, &text);
	assert_int_equal(logged.n, 2);
	assert_string_equal(buf_str(&text), "back");
	assert_string_equal(list_file_rule(&f, 7), "list:7");
	list_file_fini(&f);
	list_file_init(&f, path);
	assert_true(list_file_look(&f, true, &text));		/* at the start what is there is taken */
	assert_false(f.moving);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	list_file_fini(&f);
	buf_fini(&text);
}

static int
setup(void **state)
{
	(void) state;
	msg_catch(test_log, NULL);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greylist_lists_test_client),
		cmocka_unit_test(greylist_lists_test_lines),
		cmocka_unit_test(greylist_lists_test_address),
		cmocka_unit_test(greylist_lists_test_regexp),
		cmocka_unit_test(greylist_lists_test_file),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
