/* tests/global/main_cf_test.c - reading main.cf */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/main_cf.h>

static void
main_cf_test_warn(void *ctx, const char *text)
{
	buf_addf(ctx, "W %s\n", text);
}

/* entries, warnings and the reason of a failure, one per line */
static void
main_cf_test_show(struct buf *out, const char *text, size_t n)
{
	struct buf why = BUF_INIT(1000);
	const struct main_cf_entry *e = NULL;
	struct main_cf *cf;

	buf_reset(out);
	if ((cf = main_cf_parse("/x/main.cf", text, n, main_cf_test_warn, out, &why)) == NULL)
		buf_addf(out, "E %s\n", buf_str(&why));
	else
		while ((e = main_cf_next(cf, e)) != NULL)
			buf_addf(out, "%u %s=[%s]\n", e->line, e->name, e->value);
	main_cf_free(&cf);
	main_cf_free(&cf);
	buf_fini(&why);
}

static void
main_cf_test_parse(void **state)
{
	static const struct {
		const char *name, *in, *want;
	} cases[] = {
		{ "empty file", "", "" },
		{ "only comments", "# a=b\n\n   # c=d\n", "" },
		{ "blanks around the parts", "  \n a1 = x\na2=y\na3\t= \t z z \t\r\n",
		  "W /x/main.cf, line 2: logical line must not start with whitespace: \" a1 = x\"\n3 a2=[y]\n4 a3=[z z]\n" },
		{ "value with =", "k1=a=b = c\n", "1 k1=[a=b = c]\n" },
		{ "empty values", "k1 =\nk2=   \nk3 = \n", "1 k1=[]\n2 k2=[]\n3 k3=[]\n" },
		{ "sorted, case matters", "b=1\na_x=2\na=3\nB=4\n", "4 B=[4]\n3 a=[3]\n2 a_x=[2]\n1 b=[1]\n" },
		{ "continued", "# c\nb1=x\n  y\n# mid\n\n  z\nlast=1", "2 b1=[x  y  z]\n7 last=[1]\n" },
		{ "value begins on the next line", "b1 =\n  x,\n  y\n", "1 b1=[x,  y]\n" },
		{ "= on the next line", "b1\n  = x\n", "1 b1=[x]\n" },
		{ "no comment after text", "m = 3 # x\n", "1 m=[3 # x]\n" },
		{ "odd names go", "x@y-z.* = 4\n\"q\"=r\n", "2 \"q\"=[r]\n1 x@y-z.*=[4]\n" },
		{ "the last one wins", "a1=one\na1 = two\n",
		  "W /x/main.cf, line 2: overriding earlier entry: a1=one\n2 a1=[two]\n" },
		{ "the same again is silent", "a1=one\na1 = one\n", "2 a1=[one]\n" },
		{ "no =", "a=b\n\na b c\n", "E /x/main.cf, line 3: missing '=' after attribute name: \"a b c\"\n" },
		{ "two words before =", "a b = c\n", "E /x/main.cf, line 1: missing '=' after attribute name: \"a b = c\"\n" },
		{ "all bad lines are named", "foo\na=b\n=x\n",
		  "E /x/main.cf, line 1: missing '=' after attribute name: \"foo\"\n"
		  "/x/main.cf, line 3: missing attribute name: \"=x\"\n" },
		{ "no name", "# c\n=x\n", "E /x/main.cf, line 2: missing attribute name: \"=x\"\n" },
		{ "error in a continued line names its first", "a=b\nfoo\n bar\n# c\n  baz\n",
		  "E /x/main.cf, line 2: missing '=' after attribute name: \"foo bar  baz\"\n" },
	};
	struct buf got = BUF_INIT(10000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		main_cf_test_show(&got, cases[i].in, strlen(cases[i].in));
		if (strcmp(buf_str(&got), cases[i].want) != 0)
			fail_msg("%s: got\n%swant\n%s", cases[i].name, buf_str(&got), cases[i].want);
	}
	main_cf_test_show(&got, "a=b\0c\nd=e\n", 10);
	assert_string_equal(buf_str(&got), "W /x/main.cf, line 1: text after a null byte is ignored\n1 a=[b]\n2 d=[e]\n");
	main_cf_test_show(&got, "a\0=c\n", 5);
	assert_non_null(strstr(buf_str(&got), "E /x/main.cf, line 1: missing '=' after attribute name: \"a\"\n"));
	buf_fini(&got);
}

static void
main_cf_test_limit(void **state)
{
	struct buf text = BUF_INIT(2 * MAIN_CF_LINE_MAX), got = BUF_INIT(2 * MAIN_CF_LINE_MAX);

	(void) state;
	buf_adds(&text, "a=b\nlong=");
	while (text.len < MAIN_CF_LINE_MAX)
		buf_addc(&text, 'x');
	main_cf_test_show(&got, text.data, text.len);
	assert_int_equal(strncmp(buf_str(&got), "1 a=[b]\n2 long=[xxx", 19), 0);
	buf_adds(&text, "12345");
	main_cf_test_show(&got, text.data, text.len);
	assert_int_equal(strncmp(buf_str(&got), "E /x/main.cf, line 2: longer than 262144 bytes", 46), 0);
	buf_fini(&text);
	buf_fini(&got);
}

static void
main_cf_test_set(void **state)
{
	static const struct {
		const char *arg, *want;
	} args[] = {
		{ "a=1", "1" }, { " a = 2 x ", "2 x" }, { "a=", "" }, { "a==", "=" },
		{ "a", "missing '=' after attribute name: \"a\"" }, { "=x", "missing attribute name: \"=x\"" },
		{ "", "missing '=' after attribute name: \"\"" },
	};
	struct buf why = BUF_INIT(1000);
	struct main_cf *cf = main_cf_parse("f", "a = file\n", 9, main_cf_test_warn, NULL, &why);

	(void) state;
	assert_int_equal(main_cf_get(cf, "a")->line, 1);
	for (size_t i = 0; i < NELEM(args); i++) {
		int	ret;

		buf_reset(&why);
		ret = main_cf_set_arg(cf, args[i].arg, &why);
		assert_string_equal(ret == 0 ? main_cf_get(cf, "a")->value : buf_str(&why), args[i].want);
	}
	assert_int_equal(main_cf_get(cf, "a")->line, 0);
	main_cf_set(cf, "a", main_cf_get(cf, "a")->value);	/* its own value is fine */
	assert_string_equal(main_cf_get(cf, "a")->value, "=");
	assert_null(main_cf_get(cf, "b"));
	assert_string_equal(main_cf_path(cf), "f");
	main_cf_free(&cf);
	buf_fini(&why);
}

static void
main_cf_test_read(void **state)
{
	char	dir[] = "/tmp/main_cf_test.XXXXXX", path[64], *want;
	struct buf why = BUF_INIT(1000);
	struct main_cf *cf;
	FILE   *fp;

	(void) state;
	assert_non_null(mkdtemp(dir));
	assert_null(main_cf_read(dir, main_cf_test_warn, NULL, &why));
	want = mem_printf("open %s/main.cf: No such file or directory", dir);
	assert_string_equal(buf_str(&why), want);
	mem_free(&want);

	snprintf(path, sizeof path, "%s/main.cf", dir);
	fp = fopen(path, "w");
	fprintf(fp, "config_directory = /elsewhere\nmax_use = 3\n");
	fclose(fp);
	cf = main_cf_read(dir, main_cf_test_warn, NULL, &why);
	assert_string_equal(main_cf_get(cf, "config_directory")->value, dir);
	assert_string_equal(main_cf_get(cf, "max_use")->value, "3");
	assert_string_equal(main_cf_path(cf), path);
	main_cf_free(&cf);
	unlink(path);
	rmdir(dir);
	buf_fini(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(main_cf_test_parse),
		cmocka_unit_test(main_cf_test_limit),
		cmocka_unit_test(main_cf_test_set),
		cmocka_unit_test(main_cf_test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
