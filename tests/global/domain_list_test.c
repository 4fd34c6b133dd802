/* tests/global/domain_list_test.c - lists of domains: names, negations, parents, files, tables */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/domain_list.h>

static void
domain_list_test_match(void **state)
{
	static const struct {
		const char *list;
		bool	parents;
		const char *domain;
		bool	want;
	} cases[] = {
		{ "", false, "a.test", false },
		{ "a.test, b.test", false, "a.test", true },
		{ "a.test, b.test", false, "b.test", true },
		{ "A.Test", false, "a.test", true },
		{ "a.test", false, "xa.test", false },
		{ "a.test", false, "test", false },
		{ "a.test", false, "a.test.other", false },
		/* below a domain: its name, or .name */
		{ "a.test", false, "sub.a.test", false },
		{ "a.test", true, "sub.a.test", true },
		{ "a.test", true, "a.b.c.a.test", true },
		{ "a.test", true, "xa.test", false },
		{ ".a.test", false, "sub.a.test", true },
		{ ".a.test", false, "a.test", false },
		{ ".a.test", true, "sub.a.test", false },
		{ "test", true, "a.test", true },
		/* first match decides */
		{ "!a.test, a.test", false, "a.test", false },
		{ "a.test, !a.test", false, "a.test", true },
		{ "!sub.a.test, a.test", true, "sub.a.test", false },
		{ "!sub.a.test, a.test", true, "other.a.test", true },
		{ "!!a.test", false, "a.test", true },
		{ "!", false, "a.test", false },
		/* literals and tables */
		{ "[192.0.2.1] a.test", false, "[192.0.2.1]", true },
		{ "inline:{a.test=x}", false, "a.test", true },
		{ "inline:{a.test=x}", false, "sub.a.test", false },
		{ "inline:{a.test=x}", true, "sub.a.test", true },
		{ "inline:{.a.test=x}", false, "sub.a.test", true },
		{ "inline:{.a.test=x}", true, "sub.a.test", false },
		{ "!inline:{a.test=x}, static:all", false, "a.test", false },
		{ "!inline:{a.test=x}, static:all", false, "b.test", true },
	};
	struct buf why = BUF_INIT(4096);
	struct domain_list *l;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		l = domain_list_open(cases[i].list, cases[i].parents, &why);
		if (why.len > 0)
			fail_msg("[%s]: %s", cases[i].list, buf_str(&why));
		if (domain_list_match(l, cases[i].domain) != cases[i].want)
			fail_msg("[%s]%s: %s: want %d", cases[i].list, cases[i].parents ? ", parents" : "", cases[i].domain,
			    cases[i].want);
		domain_list_free(&l);
		domain_list_free(&l);
	}
	buf_fini(&why);
}

static void
domain_list_test_write(const char *path, const char *text)
{
	FILE   *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* files with names, and with further files; one that names itself comes to an end */
static void
domain_list_test_files(void **state)
{
	char	dir[] = "/tmp/vouch-test-XXXXXX", one[60], two[60], text[300];
	struct buf why = BUF_INIT(4096);
	struct domain_list *l;

	(void) state;
	assert_non_null(mkdtemp(dir));
	snprintf(one, sizeof one, "%s/one", dir);
	snprintf(two, sizeof two, "%s/two", dir);
	domain_list_test_write(two, "deep.test\n# out.test\n!no.test\n");
	snprintf(text, sizeof text, "# names\na.test b.test # tail.test\n%s\nno.test\n", two);
	domain_list_test_write(one, text);
	l = domain_list_open(one, false, &why);
	assert_int_equal(why.len, 0);
	assert_true(domain_list_match(l, "a.test"));
	assert_true(domain_list_match(l, "b.test"));
	assert_true(domain_list_match(l, "deep.test"));
	assert_false(domain_list_match(l, "tail.test"));
	assert_false(domain_list_match(l, "out.test"));
	assert_false(domain_list_match(l, "no.test"));		/* the inner file's "!" stands before it */
	domain_list_free(&l);

	domain_list_test_write(two, two);
	l = domain_list_open(two, false, &why);
	assert_non_null(strstr(buf_str(&why), "files that name files"));
	domain_list_free(&l);
	unlink(one);
	unlink(two);
	rmdir(dir);
	buf_fini(&why);
}

/* what cannot be used is said, each in a line, and left out; the rest stays in force */
static void
domain_list_test_bad(void **state)
{
	struct buf why = BUF_INIT(4096);
	struct domain_list *l = domain_list_open("a.test, /nonexistent/x, hash:/y, b.test", false, &why);

	(void) state;
	if (strstr(buf_str(&why), "/nonexistent/x: No such file") == NULL || strstr(buf_str(&why), "hash:/y: unsupported") == NULL)
		fail_msg("%s", buf_str(&why));
	assert_true(domain_list_match(l, "a.test"));
	assert_true(domain_list_match(l, "b.test"));
	assert_false(domain_list_match(l, "c.test"));
	domain_list_free(&l);
	buf_fini(&why);
}

/* a table that changes is looked at again */
static void
domain_list_test_check(void **state)
{
	char	path[] = "/tmp/vouch-test-XXXXXX", list[60];
	struct buf why = BUF_INIT(4096);
	struct domain_list *l;

	(void) state;
	msg_to_stderr(NULL);
	close(mkstemp(path));
	domain_list_test_write(path, "a.test x\n");
	snprintf(list, sizeof list, "texthash:%s", path);
	l = domain_list_open(list, false, &why);
	domain_list_test_write(path, "a.test x\nbb.test x\n");
	for (int64_t now = 1000; now < 5000; now += 1000)
		domain_list_check(l, now);
	assert_true(domain_list_match(l, "bb.test"));
	domain_list_free(&l);
	unlink(path);
	buf_fini(&why);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(domain_list_test_match),
		cmocka_unit_test(domain_list_test_files),
		cmocka_unit_test(domain_list_test_bad),
		cmocka_unit_test(domain_list_test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
