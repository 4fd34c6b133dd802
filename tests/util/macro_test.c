/* tests/util/macro_test.c - $name expansion */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <util/macro.h>
#include <util/mem.h>

/* macro_test_lookup - a few names; each answer overwrites the one before, as the contract allows */
static const char *
macro_test_lookup(void *ctx, const char *name)
{
	static const struct {
		const char *name, *value;
	} known[] = {
		{ "a", "one" }, { "empty", "" }, { "b", "$empty" }, { "d", "7" }, { "n1", "$n2-$n2" }, { "n2", "<$a>" },
		{ "loop", "x$loop" }, { "ping", "$pong" }, { "pong", "$ping" }, { "bad", "${x" }, { "_u1", "u" },
		{ "z0", "$z1$z1$z1$z1" }, { "z1", "$z2$z2$z2$z2" }, { "z2", "$z3$z3$z3$z3" },
		{ "z3", "$z4$z4$z4$z4" }, { "z4", "$z5$z5$z5$z5" }, { "z5", "$z6$z6$z6$z6" },
		{ "z6", "$z7$z7$z7$z7" }, { "z7", "$z8$z8$z8$z8" }, { "z8", "$z9$z9$z9$z9" }, { "z9", "" },
	};
	char   *answer = ctx;

	for (size_t i = 0; i < NELEM(known); i++)
		if (strcmp(known[i].name, name) == 0) {
			memset(answer, 'X', 100);
			return strcpy(answer, known[i].value);
		}
	return NULL;
}

static void
macro_test_forms(void **state)
{
	/* what Postfix 3.7's postconf -x prints for the same text, blanks apart */
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "" }, { "plain text", "plain text" }, { "$a", "one" }, { "${a}", "one" }, { "$(a)", "one" },
		{ "[${ a\t}]", "[one]" }, { "[$( a )]", "[one]" }, { "$undef", "" }, { "${undef}", "" }, { "$$", "$" },
		{ "$$a", "$a" }, { "$a.x", "one.x" }, { "$a-b", "one-b" }, { "$a$b$d", "one7" }, { "$_u1", "u" },
		{ "$n1", "<one>-<one>" }, { "${a}}", "one}" }, { "$1x", "" },
		/* ? and : without braces: all the rest */
		{ "${a?yes:no}", "yes:no" }, { "${undef?yes:no}", "" }, { "${a??y}", "?y" }, { "[${a? x }]", "[ x ]" },
		{ "${a:x}", "" }, { "${a :x}", "" }, { "${empty:x}", "x" }, { "${undef:x}", "x" }, { "${undef: $a$d}", " one7" },
		{ "${a?}", "" }, { "${empty:}", "" }, { "$(a?(x))", "(x)" }, { "${a?x}y}", "xy}" },
		{ "${undef?$undef}x", "x" },
		/* defined means: the value as written is not empty */
		{ "${b?yes}", "yes" }, { "${b:no}", "" },
		/* with braces */
		{ "${a?{y}:{n}}", "y" }, { "${undef?{y}:{n}}", "n" }, { "${a ? {y} : {n}}", "y" },
		{ "[${a?{ x }}]", "[ x ]" }, { "${empty?{y}}", "" }, { "[${empty?{y}:  n }]", "[  n ]" },
		{ "${a?{y} :}", "y" }, { "${empty?{y} :}", "" }, { "${a?{$d$$}}", "7$" },
		{ "${a?{${empty?{x}:{y}}}:{z}}", "y" }, { "${ping?x}", "x" },
		/* relations */
		{ "${{a} == {a}}", "true" }, { "${{a} == {b}}", "" }, { "$({a} == {a}?{x}:{y})", "x" },
		{ "${{a}=={b}?{y}:{n}}", "n" }, { "${{a} == {b}:{n}}", "n" }, { "${{a} == {a} ? y:n }", " y:n " },
		{ "${{a} == {b}?y:n}", "" }, { "${{a} == {a} ?{y}: n }", "y" }, { "${{$a} == {one}}", "true" },
		{ "${{${a}} == {$(a)}}", "true" }, { "${{ a }=={a}}", "" }, { "${{a} != {b} : {y}}", "" },
		{ "${{a} < {b}}", "true" }, { "${{a} <= {a}}", "true" }, { "${{a} > {b}}", "" }, { "${{b} >= {a}}", "true" },
		{ "${{9} < {10}}", "true" }, { "${{10} < {9x}}", "true" }, { "${{007} == {7}}", "true" },
		{ "${{0} == {000}}", "true" }, { "${{-1} < {1}}", "true" }, { "${{} == {}}", "true" },
		{ "${{99999999999999999999999} > {1}}", "true" },
		{ "${{99999999999999999999999} < {100000000000000000000000}}", "true" },
		{ "${{3.6} <level {3.10}}", "true" }, { "${{3.6} < {3.10}}", "" }, { "${{3.6.1} <level {3.6}}", "" },
		{ "${{3} ==level {3.0.0}}", "true" }, { "${{3.6} >=level {3.6} ? {y} : {n}}", "y" },
		{ "${{0} <level {1} ? {no} : {yes}}", "no" }, { "${{a} == {a}?{t}:{f}} tail", "t tail" },
	};
	char	answer[101];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf out = BUF_INIT(1000), why = BUF_INIT(1000);

		buf_adds(&out, "+");
		if (macro_expand(&out, cases[i].in, macro_test_lookup, answer, &why) < 0)
			fail_msg("%s: %s", cases[i].in, buf_str(&why));
		if (strcmp(buf_str(&out) + 1, cases[i].want) != 0)
			fail_msg("%s: got \"%s\", want \"%s\"", cases[i].in, buf_str(&out) + 1, cases[i].want);
		buf_fini(&out);
		buf_fini(&why);
	}
}

static void
macro_test_errors(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "x$", "empty macro name: \"x$\"" },
		{ "$-", "empty macro name: \"$-\"" },
		{ "$()", "empty macro name: \"$()\"" },
		{ "${ }", "empty macro name: \"${ }\"" },
		{ "x${", "truncated macro reference: \"x${\"" },
		{ "${a", "truncated macro reference: \"${a\"" },
		{ "${a)", "truncated macro reference: \"${a)\"" },
		{ "${a?{x}", "truncated macro reference: \"${a?{x}\"" },
		{ "${a b}", "attribute name syntax error at: \"...a>>> b\"" },
		{ "${$a}", "attribute name syntax error at: \"...>>>$a\"" },
		{ "${a?{x}{y}}", "\":\" expected at: \"...a?{x}>>>{y}\"" },
		{ "${a:{x}y}", "unexpected input at: \"...a:{x}>>>y\"" },
		{ "$({a)", "unbalanced {} in attribute expression: \"{a\"" },
		{ "${{a} foo {a}}", "one of == != <= >= < > expected at: \"...{a} >>>foo {a}\"" },
		{ "${{a}}", "one of == != <= >= < > expected at: \"...{a}>>>\"" },
		{ "${{a} == a}", "\"{expression}\" expected at: \"...{a} == >>>a\"" },
		{ "${{a} ==}", "\"{expression}\" expected at: \"...{a} ==>>>\"" },
		{ "${{3} ==levels {3}}", "bad operator suffix at: \"...{3} ==level>>>s {3}\"" },
		{ "${{a} < {b} x}", "\"?\" or \":\" expected at: \"...{a} < {b} >>>x\"" },
		{ "${{foo} <level {3.6}}", "malformed compatibility level syntax: \"foo\"" },
		{ "${{3.} <level {3.6}}", "malformed compatibility level syntax: \"3.\"" },
		{ "${{3} <level {3.1.2.3}}", "malformed compatibility level syntax: \"3.1.2.3\"" },
		{ "${{} <level {1}}", "malformed compatibility level syntax: \"\"" },
		{ "$bad", "truncated macro reference: \"${x\"" },
		{ "$loop", "unreasonable macro call nesting: \"x$loop\"" },
		{ "$ping", "unreasonable macro call nesting: \"$ping\"" },
		{ "$z0", "unreasonable number of macro references: \"z9\"" },
		{ "12345678901234567890123456789012345678901", "expansion is longer than 40 bytes" },
	};
	char	answer[101];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf out = BUF_INIT(40), why = BUF_INIT(1000);

		buf_adds(&why, "old news");
		out.max = strchr(cases[i].want, '4') != NULL ? 40 : 1000;
		if (macro_expand(&out, cases[i].in, macro_test_lookup, answer, &why) == 0)
			fail_msg("%s: accepted as \"%s\"", cases[i].in, buf_str(&out));
		if (strcmp(buf_str(&why), cases[i].want) != 0)
			fail_msg("%s: got %s, want %s", cases[i].in, buf_str(&why), cases[i].want);
		buf_fini(&out);
		buf_fini(&why);
	}
}

/* 100 references inside each other are fine, 101 are not */
static void
macro_test_depth(void **state)
{
	struct buf text = BUF_INIT(10000), out = BUF_INIT(1000), why = BUF_INIT(1000);
	char	answer[101];

	(void) state;
	for (int levels = 98; levels <= 101; levels++) {
		buf_reset(&text);
		for (int i = 0; i < levels; i++)
			buf_adds(&text, "${a?{");
		for (int i = 0; i < levels; i++)
			buf_adds(&text, "}}");
		if ((macro_expand(&out, buf_str(&text), macro_test_lookup, answer, &why) == 0) != (levels < 100))
			fail_msg("%d levels: %s", levels, buf_str(&why));
	}
	buf_fini(&text);
	buf_fini(&out);
	buf_fini(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(macro_test_forms),
		cmocka_unit_test(macro_test_errors),
		cmocka_unit_test(macro_test_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
