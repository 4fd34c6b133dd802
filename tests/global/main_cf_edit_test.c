/* tests/global/main_cf_edit_test.c - what changes in main.cf, and that nothing else does */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/main_cf_edit.h>

static void
main_cf_edit_test_warn(void *ctx, const char *text)
{
	buf_addf(ctx, "W %s\n", text);
}

#define MIXED "# max_idle = 3\nmax_idle=1\n  2\n# mid\n\n  3\n# end\nmax_use = 5\n\nmax_idle = 7\n"

static void
main_cf_edit_test_text(void **state)
{
	/* where no comment says otherwise, what Postfix 3.7's postconf makes of the same file */
	static const struct {
		const char *name, *in;
		enum main_cf_edit_op op;
		struct main_cf_edit edits[4];
		const char *want, *warning;
	} cases[] = {
		{ "nothing to do", MIXED, MAIN_CF_REMOVE, { { "nosuch", NULL } }, MIXED, "" },
		{ "all occurrences, comments between stay", MIXED, MAIN_CF_SET, { { "max_idle", "99" } },
		  "# max_idle = 3\nmax_idle = 99\n# mid\n\n# end\nmax_use = 5\n\nmax_idle = 99\n",
		  "W main.cf: multiple entries for \"max_idle\"\n" },
		{ "remove", MIXED, MAIN_CF_REMOVE, { { "max_idle", NULL } },
		  "# max_idle = 3\n# mid\n\n# end\nmax_use = 5\n\n", "W main.cf: multiple entries for \"max_idle\"\n" },
		{ "comment out", MIXED, MAIN_CF_COMMENT, { { "max_idle", NULL } },
		  "# max_idle = 3\n#max_idle=1\n#  2\n# mid\n\n#  3\n# end\nmax_use = 5\n\n#max_idle = 7\n",
		  "W main.cf: multiple entries for \"max_idle\"\n" },
		{ "empty value, blanks inside", "q=1\n", MAIN_CF_SET, { { "q", "" }, { "r", "x  y" } },
		  "q = \nr = x  y\n", "" },
		{ "new ones in byte order, as in 3.12", "m=1\n", MAIN_CF_SET, { { "z", "1" }, { "B", "2" }, { "a", "3" } },
		  "m=1\nB = 2\na = 3\nz = 1\n", "" },
		/* 3.7 glues the new entry to the last line */
		{ "no newline at the end", "m=1", MAIN_CF_SET, { { "z", "1" } }, "m=1\nz = 1\n", "" },
		{ "no newline at the end of the one that changes", "m=1", MAIN_CF_SET, { { "m", "2" } }, "m = 2\n", "" },
		{ "no newline and no change", "m=1", MAIN_CF_REMOVE, { { "z", NULL } }, "m=1", "" },
		{ "empty file", "", MAIN_CF_SET, { { "z", "1" } }, "z = 1\n", "" },
		{ "a line that readers skip is not it", " max_idle=1\n  2\nmax_use\n = 5\n", MAIN_CF_SET,
		  { { "max_idle", "4" } }, " max_idle=1\n  2\nmax_use\n = 5\nmax_idle = 4\n", "" },
		{ "= on the next line", "max_use\n = 5\n", MAIN_CF_COMMENT, { { "max_use", NULL } },
		  "#max_use\n# = 5\n", "" },
		{ "CR LF stays elsewhere", "a=1\r\n  2\r\nb= 5\r\n", MAIN_CF_SET, { { "b", "6" } },
		  "a=1\r\n  2\r\nb = 6\n", "" },
		{ "longer and shorter names", "max=1\nmax_idle=2\nmax_idle_x=3\n", MAIN_CF_SET, { { "max_idle", "9" } },
		  "max=1\nmax_idle = 9\nmax_idle_x=3\n", "" },
		{ "broken lines stay", "foo bar\nq=1\n=x\n", MAIN_CF_SET, { { "q", "2" } }, "foo bar\nq = 2\n=x\n", "" },
		{ "a broken line can be removed", "foo bar\nq=1\n", MAIN_CF_REMOVE, { { "foo", NULL } }, "q=1\n", "" },
	};
	struct buf out = BUF_INIT(1000), warning = BUF_INIT(1000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		size_t	n = 0;

		while (cases[i].edits[n].name != NULL)
			n++;
		buf_reset(&out);
		buf_reset(&warning);
		assert_int_equal(main_cf_edit(&out, "main.cf", cases[i].in, strlen(cases[i].in), cases[i].op,
		    cases[i].edits, n, main_cf_edit_test_warn, &warning), 0);
		if (strcmp(buf_str(&out), cases[i].want) != 0)
			fail_msg("%s: got\n%swant\n%s", cases[i].name, buf_str(&out), cases[i].want);
		assert_string_equal(buf_str(&warning), cases[i].warning);
	}
	buf_fini(&out);
	buf_fini(&warning);
}

static void
main_cf_edit_test_limit(void **state)
{
	struct buf out = BUF_INIT(20), warning = BUF_INIT(100);
	const struct main_cf_edit edit = { "name", "value too long" };

	(void) state;
	assert_int_equal(main_cf_edit(&out, "f", "a=b\n", 4, MAIN_CF_SET, &edit, 1, main_cf_edit_test_warn, &warning), -1);
	buf_fini(&out);
	buf_fini(&warning);
}

static void
main_cf_edit_test_file(void **state)
{
	char	dir[] = "/tmp/main_cf_edit_test.XXXXXX", path[64];
	const struct main_cf_edit edits[] = { { "queue_directory", "/q" }, { "mail_owner", "me" } };
	struct buf why = BUF_INIT(1000), text = BUF_INIT(1000);
	FILE   *fp;

	(void) state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(main_cf_edit_file(dir, MAIN_CF_SET, edits, 2, main_cf_edit_test_warn, NULL, &why), -1);
	assert_non_null(strstr(buf_str(&why), "/main.cf: No such file or directory"));
	snprintf(path, sizeof path, "%s/main.cf", dir);
	fp = fopen(path, "w");
	fprintf(fp, "# c\nqueue_directory = /var/spool/vouch\n");
	fclose(fp);
	assert_int_equal(main_cf_edit_file(dir, MAIN_CF_SET, edits, 2, main_cf_edit_test_warn, NULL, &why), 0);
	assert_int_equal(buf_read_file(&text, AT_FDCWD, path), 0);
	assert_string_equal(buf_str(&text), "# c\nqueue_directory = /q\nmail_owner = me\n");
	unlink(path);
	assert_int_equal(rmdir(dir), 0);		/* nothing else was left behind */
	buf_fini(&why);
	buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(main_cf_edit_test_text),
		cmocka_unit_test(main_cf_edit_test_limit),
		cmocka_unit_test(main_cf_edit_test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
