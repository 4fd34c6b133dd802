/* tests/global/lookup_table_test.c - TYPE:NAME tables: types, keys, patterns, files that change */
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
#include <global/lookup_table.h>

static void
lookup_table_test_types(void **state)
{
	static const struct {
		const char *spec, *key, *want, *why;
	} cases[] = {
		{ "", "a@b.test", NULL, NULL },
		{ "static:smtp:here", "a@b.test", "smtp:here", NULL },
		{ "inline:{ {a@b.test = smtp:x}, {c.test=smtp:y z} }", "a@b.test", "smtp:x", NULL },
		{ "inline:{ {a@b.test = smtp:x}, {c.test=smtp:y z} }", "c.test", "smtp:y z", NULL },
		{ "inline:{a@b.test=1, c=2}, static:3", "c", "2", NULL },
		{ "inline:{a@b.test=1, c=2}, static:3", "d", "3", NULL },
		{ "inline:{}", "a", NULL, NULL },
		{ "inline:a=b", NULL, NULL, "write inline:" },
		{ "inline:{ {a b} }", NULL, NULL, "missing '='" },
		{ "inline:{ {a = b }", NULL, NULL, "unbalanced" },
		{ "hash:/etc/postfix/transport", NULL, NULL, "unsupported table type" },
		{ "texthash:/nonexistent", NULL, NULL, "No such file" },
		{ "/nonexistent", NULL, NULL, "No such file" },
		{ "pcre:/nonexistent hash:/x", NULL, NULL, "unsupported table type" },
	};
	struct buf why = BUF_INIT(4096);
	const char *got;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct lookup_tables *t;

		buf_reset(&why);
		t = lookup_tables_open(cases[i].spec, &why);
		if ((t == NULL) != (cases[i].why != NULL))
			fail_msg("%s: %s", cases[i].spec, t == NULL ? buf_str(&why) : "should have been refused");
		if (t == NULL) {
			if (strstr(buf_str(&why), cases[i].why) == NULL)
				fail_msg("%s: got %s, want %s", cases[i].spec, buf_str(&why), cases[i].why);
			continue;
		}
		got = lookup_tables_find(t, cases[i].key, true);
		if ((got == NULL) != (cases[i].want == NULL) || (got != NULL && strcmp(got, cases[i].want) != 0))
			fail_msg("%s: got %s, want %s", cases[i].spec, got, cases[i].want);
		lookup_tables_free(&t);
	}
	buf_fini(&why);
}

static void
lookup_table_test_said(void *ctx, int level, const char *line)
{
	(void) level;
	(void) line;
	++*(unsigned *) ctx;
}

static void
lookup_table_test_patterns(void **state)
{
	static const char text[] =
	    "/^postmaster@/     smtp:a\n"
	    "!/@.*\\.test$/     smtp:b\n"
	    "/@CASE\\.test$/i   smtp:c\n"
	    "|/x|               smtp:d$$\n"
	    "/^(a+)+@/          smtp:e\n";
	static const struct {
		const char *key, *want;
	} cases[] = {
		{ "postmaster@x.test", "smtp:a" }, { "POSTMASTER@x.test", "smtp:a" }, { "a@other.example", "smtp:b" },
		{ "b@case.test", NULL }, { "b/x@a.test", "smtp:d$" }, { "aaa@a.test", "smtp:e" }, { "b@a.test", NULL },
	};
	static const char *const bad[] = {
		"/x smtp:a\n", "/x/\n", "/x/q smtp:a\n", "/(/ smtp:a\n", "/x/ smtp:$1\n", "if /x/\n", "x smtp:a\n", "/[/ a\n",
	};
	struct buf why = BUF_INIT(4096);
	struct lookup_tables *t;
	const char *got;
	unsigned said = 0;

	(void) state;
	for (int posix = 0; posix < 2; posix++) {
		t = lookup_tables_parse(posix ? "regexp" : "pcre", "f", text, sizeof text - 1, &why);
		if (t == NULL)
			fail_msg("%s", buf_str(&why));
		for (size_t i = 0; i < NELEM(cases); i++) {
			got = lookup_tables_find(t, cases[i].key, true);
			if ((got == NULL) != (cases[i].want == NULL) || (got != NULL && strcmp(got, cases[i].want) != 0))
				fail_msg("%s: got %s, want %s", cases[i].key, got, cases[i].want);
			assert_null(lookup_tables_find(t, cases[i].key, false));
		}
		lookup_tables_free(&t);
		for (size_t i = 0; i < NELEM(bad); i++) {
			buf_reset(&why);
			t = lookup_tables_parse(posix ? "regexp" : "pcre", "f", bad[i], strlen(bad[i]), &why);
			if (t != NULL)
				fail_msg("%s: should have been refused", bad[i]);
			assert_non_null(strstr(buf_str(&why), "f, line 1: "));
		}
	}
	/* a pattern that explodes is no match, and no hang */
	t = lookup_tables_parse("pcre", "f", "/^(a|aa)+$/ x\n", 14, &why);
	msg_to_stderr(NULL);
	msg_catch(lookup_table_test_said, &said);
	for (int i = 0; i < 20; i++)
		assert_null(lookup_tables_find(t,
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", true));
	msg_catch(NULL, NULL);
	assert_int_equal(said, 1);			/* and no flood in the log */
	lookup_tables_free(&t);
	buf_fini(&why);
}

static void
lookup_table_test_keys(void **state)
{
	static const char text[] = "Ann@One.test first\nann@one.test second\nb.test\tone  two \n# c.test x\nc.test y\n  z\n";
	struct buf why = BUF_INIT(4096);
	struct lookup_tables *t = lookup_tables_parse("texthash", "f", text, sizeof text - 1, &why);
	char	key[2000];

	(void) state;
	assert_non_null(t);
	assert_string_equal(lookup_tables_find(t, "ann@one.test", true), "first");	/* of equal keys the first */
	assert_string_equal(lookup_tables_find(t, "ANN@ONE.TEST", false), "first");
	assert_string_equal(lookup_tables_find(t, "b.test", false), "one  two");
	assert_string_equal(lookup_tables_find(t, "c.test", false), "y  z");
	assert_null(lookup_tables_find(t, "", true));
	assert_null(lookup_tables_find(t, "test", true));
	/* a key of any length is no harm */
	memset(key, 'k', sizeof key);
	key[sizeof key - 1] = 0;
	assert_null(lookup_tables_find(t, key, true));
	lookup_tables_free(&t);

	t = lookup_tables_parse("texthash", "f", "one two\nthree\n  \nfour\n", 22, &why);
	assert_null(t);
	assert_string_equal(buf_str(&why), "f, line 2: key and value are needed\nf, line 4: key and value are needed");
	buf_fini(&why);
}

struct file {
	char	path[40], spec[60];
	struct lookup_tables *t;
	int64_t	now_ms;
};

static void
lookup_table_test_write(struct file *f, const char *text)
{
	FILE   *fp = fopen(f->path, "w");

	assert_non_null(fp);
	fputs(text, fp);
	assert_int_equal(fclose(fp), 0);
}

static void
lookup_table_test_want(struct file *f, const char *key, const char *want)
{
	const char *got = lookup_tables_find(f->t, key, true);

	if ((got == NULL) != (want == NULL) || (got != NULL && strcmp(got, want) != 0))
		fail_msg("at %d s: %s is %s, want %s", (int) (f->now_ms / 1000), key, got != NULL ? got : "nothing",
		    want != NULL ? want : "nothing");
}

static void
lookup_table_test_second(struct file *f)
{
	lookup_tables_check(f->t, f->now_ms += 1000);
}

static void
lookup_table_test_file(struct file *f, const char *text)
{
	struct buf why = BUF_INIT(4096);
	int	fd;

	msg_to_stderr(NULL);
	strcpy(f->path, "/tmp/vouch-test-XXXXXX");
	assert_true((fd = mkstemp(f->path)) >= 0);
	close(fd);
	lookup_table_test_write(f, text);
	snprintf(f->spec, sizeof f->spec, "texthash:%s", f->path);
	f->t = lookup_tables_open(f->spec, &why);
	assert_non_null(f->t);
	f->now_ms = 1000;
	lookup_tables_check(f->t, f->now_ms);
	buf_fini(&why);
}

static void
lookup_table_test_reload(void **state)
{
	struct file f;

	(void) state;
	lookup_table_test_file(&f, "a.test one\n");
	lookup_table_test_want(&f, "a.test", "one");
	lookup_table_test_write(&f, "a.test one\nb.test two\n");
	lookup_tables_check(f.t, f.now_ms + 500);	/* too early to look */
	lookup_table_test_want(&f, "b.test", NULL);
	lookup_table_test_second(&f);
	lookup_table_test_second(&f);
	lookup_table_test_want(&f, "b.test", "two");
	/* what is no good does not replace what was */
	lookup_table_test_write(&f, "broken\n");
	for (int i = 0; i < 3; i++)
		lookup_table_test_second(&f);
	lookup_table_test_want(&f, "b.test", "two");
	unlink(f.path);
	for (int i = 0; i < 3; i++)
		lookup_table_test_second(&f);
	lookup_table_test_want(&f, "b.test", "two");
	/* and it comes back */
	lookup_table_test_write(&f, "c.test three\n");
	for (int i = 0; i < 3; i++)
		lookup_table_test_second(&f);
	lookup_table_test_want(&f, "b.test", NULL);
	lookup_table_test_want(&f, "c.test", "three");
	unlink(f.path);
	lookup_tables_free(&f.t);
}

/* a file that is written in place is empty first, then half: mail must not be routed by that */
static void
lookup_table_test_half(void **state)
{
	struct file f;

	(void) state;
	lookup_table_test_file(&f, "a.test one\nb.test two\n");
	lookup_table_test_write(&f, "");
	lookup_table_test_second(&f);
	lookup_table_test_want(&f, "b.test", "two");
	lookup_table_test_write(&f, "a.test new\n");
	lookup_table_test_second(&f);
	lookup_table_test_want(&f, "b.test", "two");
	lookup_table_test_write(&f, "a.test new\nb.test new\n");
	lookup_table_test_second(&f);
	lookup_table_test_want(&f, "b.test", "two");
	lookup_table_test_second(&f);			/* it has kept still */
	lookup_table_test_want(&f, "a.test", "new");
	lookup_table_test_want(&f, "b.test", "new");
	lookup_table_test_write(&f, "");
	lookup_table_test_second(&f);
	lookup_table_test_second(&f);
	lookup_table_test_want(&f, "a.test", NULL);	/* it is empty for good */
	unlink(f.path);
	lookup_tables_free(&f.t);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookup_table_test_types),
		cmocka_unit_test(lookup_table_test_patterns),
		cmocka_unit_test(lookup_table_test_keys),
		cmocka_unit_test(lookup_table_test_reload),
		cmocka_unit_test(lookup_table_test_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
