/* tests/global/master_cf_test.c - reading master.cf */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <util/mem.h>
#include <global/master_cf.h>

static void
master_cf_test_warn(void *ctx, const char *text)
{
	buf_addf(ctx, "W %s\n", text);
}

/* each entry as "line name type flags wakeup maxproc command [argument]...", then a warning or the reason */
static void
master_cf_test_show(struct buf *out, const char *text, size_t n)
{
	struct buf why = BUF_INIT(1000);
	struct master_cf list;
	struct master_cf_entry *e;

	buf_reset(out);
	if (master_cf_parse(&list, "/x/master.cf", text, n, master_cf_test_warn, out, &why) < 0) {
		buf_addf(out, "E %s\n", buf_str(&why));
		assert_true(TAILQ_EMPTY(&list));
	}
	TAILQ_FOREACH(e, &list, link) {
		buf_addf(out, "%u %s %s %c%c%c %d%s %d %s", e->line, e->name, master_cf_type_name(e->type),
		    e->is_private ? 'y' : 'n', e->unpriv ? 'y' : 'n', e->chroot ? 'y' : 'n', e->wakeup_s,
		    e->wakeup_lazy ? "?" : "", e->maxproc, e->command);
		for (size_t i = 0; i < e->argc; i++)
			buf_addf(out, " [%s]", e->argv[i]);
		assert_null(e->argv[e->argc]);
		buf_addc(out, '\n');
	}
	master_cf_free(&list);
	master_cf_free(&list);
	buf_fini(&why);
}

static void
master_cf_test_parse(void **state)
{
	static const struct {
		const char *name, *in, *want;
	} cases[] = {
		{ "empty", "", "" },
		{ "comments only", "# x\n\n  # y\n", "" },
		{ "defaults", "a unix - - - - - cmd\n", "1 a unix yyn 0 -1 cmd\n" },
		{ "all set", "a unix n n y 5 1 cmd\n", "1 a unix nny 5 1 cmd\n" },
		{ "lazy wake-up, no limit", "a fifo - n - 300? 0 cmd\n", "1 a fifo ynn 300? 0 cmd\n" },
		{ "types", "a inet n - - - - c\nb pass - - - - - c\nc unix-dgram - - - - - c\n",
		  "1 a inet nyn 0 -1 c\n2 b pass yyn 0 -1 c\n3 c unix-dgram yyn 0 -1 c\n" },
		{ "names", "127.0.0.1:25 inet n - - - - c\n[::1]:smtp inet n - - - - c\n",
		  "1 127.0.0.1:25 inet nyn 0 -1 c\n2 [::1]:smtp inet nyn 0 -1 c\n" },
		{ "arguments", "a unix - - - - - c x  y\t-o z=1\n", "1 a unix yyn 0 -1 c [x] [y] [-o] [z=1]\n" },
		{ "continued", "# 1\na unix - -\n - - -\n# x\n  c\n\n   -o a=b\n# end\n",
		  "2 a unix yyn 0 -1 c [-o] [a=b]\n" },
		{ "braces", "a unix - - - - - c { x y } {} {p} {  } -o { n = v  w } {a{b} {c}}\n",
		  "1 a unix yyn 0 -1 c [x y] [] [p] [] [-o] [n = v  w] [a{b} {c}]\n" },
		{ "braces inside a word group", "a unix - - - - - c argv={ab cd} a{b c}d e}f g\n",
		  "1 a unix yyn 0 -1 c [argv={ab cd}] [a{b c}d] [e}f] [g]\n" },
		{ "an open brace inside a word takes the rest", "a unix - - - - - c a{b c d\n",
		  "1 a unix yyn 0 -1 c [a{b c d]\n" },
		{ "CR LF", "a unix - - - - - c x\r\nb unix - - - - - d\r\n",
		  "1 a unix yyn 0 -1 c [x]\n2 b unix yyn 0 -1 d\n" },
		{ "the same service twice", "a unix - - - - - c\na unix - - - - - d\n",
		  "1 a unix yyn 0 -1 c\n2 a unix yyn 0 -1 d\n" },
		{ "orphan", "  a unix\nb unix - - - - - c\n",
		  "W /x/master.cf: line 1: logical line must not start with whitespace: \"  a unix\"\n"
		  "2 b unix yyn 0 -1 c\n" },
		/* refused */
		{ "too few fields", "b unix - - - - - c\n\na unix - - - - -\n",
		  "E /x/master.cf: line 3: missing \"command\" field; an entry has eight fields\n" },
		{ "all bad entries are named", "a unix q - - - - c\nb unix - - - - - c\nc foo - - - - - c\n",
		  "E /x/master.cf: line 1: field \"private\": bad value: \"q\"; use y, n, or - for the default\n"
		  "/x/master.cf: line 3: bad transport type: \"foo\"; use inet, unix, unix-dgram, fifo or pass\n" },
		{ "one word", "a\n", "E /x/master.cf: line 1: missing \"type\" field; an entry has eight fields\n" },
		{ "no service", "- unix - - - - - c\n",
		  "E /x/master.cf: line 1: field \"service\" has no default value; write one\n" },
		{ "no type", "a - - - - - - c\n",
		  "E /x/master.cf: line 1: field \"type\" has no default value; write one\n" },
		{ "no command", "a unix - - - - - -\n",
		  "E /x/master.cf: line 1: field \"command\" has no default value; write one\n" },
		{ "unknown type", "a UNIX - - - - - c\n",
		  "E /x/master.cf: line 1: bad transport type: \"UNIX\"; use inet, unix, unix-dgram, fifo or pass\n" },
		{ "private", "a unix Y - - - - c\n",
		  "E /x/master.cf: line 1: field \"private\": bad value: \"Y\"; use y, n, or - for the default\n" },
		{ "unprivileged", "a unix - x - - - c\n",
		  "E /x/master.cf: line 1: field \"unprivileged\": bad value: \"x\"; use y, n, or - for the default\n" },
		{ "chroot", "a unix - - yes - - c\n",
		  "E /x/master.cf: line 1: field \"chroot\": bad value: \"yes\"; use y, n, or - for the default\n" },
#define WAKEUP "E /x/master.cf: line 1: field \"wakeup\": bad value: "
#define WAKEUP_ADVICE "; use seconds, with ? to wake up only a service in use, or -\n"
		{ "wakeup with junk", "a unix - - - 5?x - c\n", WAKEUP "\"5?x\"" WAKEUP_ADVICE },
		{ "wakeup with a unit", "a unix - - - 5m - c\n", WAKEUP "\"5m\"" WAKEUP_ADVICE },
		{ "wakeup of ? alone", "a unix - - - ? - c\n", WAKEUP "\"?\"" WAKEUP_ADVICE },
		{ "wakeup of -?", "a unix - - - -? - c\n", WAKEUP "\"-?\"" WAKEUP_ADVICE },
		{ "wakeup too large", "a unix - - - 2147483648 - c\n", WAKEUP "\"2147483648\"" WAKEUP_ADVICE },
		{ "limit negative", "a unix - - - - -1 c\n",
		  "E /x/master.cf: line 1: field \"process_limit\": bad value: \"-1\"; use a number, or - for the default\n" },
		{ "limit with sign", "a unix - - - - +1 c\n",
		  "E /x/master.cf: line 1: field \"process_limit\": bad value: \"+1\"; use a number, or - for the default\n" },
		{ "private inet", "25 inet - - - - - c\n",
		  "E /x/master.cf: line 1: inet service cannot be private; write n in the third field\n" },
		{ "open brace", "a unix - - - - - c x {abc d\n",
		  "E /x/master.cf: line 1: missing '}' in \"{abc d\"; close each { of an argument\n" },
		{ "after the brace", "a unix - - - - - c {a=b}c\n",
		  "E /x/master.cf: line 1: syntax error after '}' in \"{a=b}c\"; put a blank after the }\n" },
	};
	struct buf got = BUF_INIT(10000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		master_cf_test_show(&got, cases[i].in, strlen(cases[i].in));
		if (strcmp(buf_str(&got), cases[i].want) != 0)
			fail_msg("%s: got\n%swant\n%s", cases[i].name, buf_str(&got), cases[i].want);
	}
	master_cf_test_show(&got, "a unix - - - - - c\0\n", 20);
	assert_string_equal(buf_str(&got), "E /x/master.cf: line 1: null byte in text; remove it\n");
	buf_fini(&got);
}

static void
master_cf_test_fields(void **state)
{
	struct buf why = BUF_INIT(1000);
	struct master_cf_entry *e = NULL;

	(void) state;
	assert_int_equal(master_cf_entry_parse("a  unix\t- n y 5? 0 cmd x", &e, &why), 0);
	assert_string_equal(e->field[0], "a");
	assert_string_equal(e->field[1], "unix");
	assert_string_equal(e->field[2], "-");
	assert_string_equal(e->field[5], "5?");
	assert_string_equal(e->field[7], "cmd");
	master_cf_entry_free(&e);
	master_cf_entry_free(&e);
	assert_int_equal(master_cf_entry_parse("a", &e, &why), -1);
	buf_fini(&why);
}

static void
master_cf_test_read(void **state)
{
	struct buf why = BUF_INIT(1000);
	struct master_cf list;

	(void) state;
	assert_int_equal(master_cf_read(&list, "/nonexistent", master_cf_test_warn, NULL, &why), -1);
	assert_string_equal(buf_str(&why), "open /nonexistent/master.cf: No such file or directory");
	assert_true(TAILQ_EMPTY(&list));
	buf_fini(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(master_cf_test_parse),
		cmocka_unit_test(master_cf_test_fields),
		cmocka_unit_test(master_cf_test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
