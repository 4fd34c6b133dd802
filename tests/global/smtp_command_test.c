/* tests/global/smtp_command_test.c - command lines of SMTP clients, taken apart */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <global/smtp_command.h>
#include <util/buf.h>
#include <util/mem.h>

static void
verbs(void **state)
{
	static const struct { const char *line; enum smtp_verb verb; const char *arg; } rows[] = {
		{ "EHLO a.test", SMTP_VERB_EHLO, "a.test" }, { "ehlo\ta.test", SMTP_VERB_EHLO, "a.test" }, { "HELO", SMTP_VERB_HELO, "" },
		{ "quit  ", SMTP_VERB_QUIT, "" }, { "NOOP  a  b ", SMTP_VERB_NOOP, "a  b" }, { "QUITX", SMTP_VERB_UNKNOWN, "" },
		{ "", SMTP_VERB_UNKNOWN, "" }, { " QUIT", SMTP_VERB_UNKNOWN, "QUIT" }, { "unknown x", SMTP_VERB_UNKNOWN, "x" },
		{ "Mail From:<a@b>", SMTP_VERB_MAIL, "From:<a@b>" }, { "STARTTLS", SMTP_VERB_STARTTLS, "" }, { "VRFY x", SMTP_VERB_VRFY, "x" },
	};
	struct smtp_command c;

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		smtp_command_parse(&c, rows[i].line, strlen(rows[i].line));
		if (c.verb != rows[i].verb || !(c.arg.n == strlen(rows[i].arg) && memcmp(c.arg.p, rows[i].arg, c.arg.n) == 0))
			fail_msg("%s: %s \"%.*s\"", rows[i].line, smtp_verb_name(c.verb), (int) c.arg.n, c.arg.p);
	}
}

/* path and parameters, written as "path|NAME|NAME=value", with "!" where a parameter is none */
static void
paths(void **state)
{
	static const struct { const char *line, *want; } rows[] = {
		{ "MAIL FROM:<a@b>", "<a@b>" }, { "MAIL FROM: <a@b>", "<a@b>" }, { "mail from:<a@b>  SIZE=5 body=8BITMIME SMTPUTF8 ",
		    "<a@b>|SIZE=5|body=8BITMIME|SMTPUTF8" },
		{ "RCPT TO:<\"a b\"@c> X-y=1", "<\"a b\"@c>|X-y=1" }, { "MAIL FROM:a@b SIZE=5", "a@b|SIZE=5" },
		{ "MAIL FROM:<a@b>SIZE=5", "<a@b>|!" }, { "MAIL FROM:<a@b> SIZE=", "<a@b>|!" }, { "MAIL FROM:<a@b> =5", "<a@b>|!" },
		{ "MAIL FROM:<a@b> S_Z=5", "<a@b>|!" }, { "MAIL FROM:<a@b> -X", "<a@b>|!" }, { "MAIL FROM:<a@b> A=b=c", "<a@b>|!" },
		{ "MAIL FROM:<a@b> A=\x01", "<a@b>|!" }, { "MAIL FROM:<a@b> A B =c", "<a@b>|A|B|!" },
		{ "MAIL TO:<a@b>", NULL }, { "RCPT FROM:<a@b>", NULL }, { "MAIL FROM <a@b>", NULL }, { "MAIL FROM:", NULL }, { "MAIL", NULL },
		{ "MAIL FROM:  ", NULL },
	};
	struct smtp_word path, rest, name, value;
	struct buf got = BUF_INIT(1000);
	struct smtp_command c;
	int	one;

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		smtp_command_parse(&c, rows[i].line, strlen(rows[i].line));
		buf_reset(&got);
		if (smtp_command_path(&c, &path, &rest)) {
			buf_add(&got, path.p, path.n);
			while ((one = smtp_param_next(&rest, &name, &value)) > 0)
				buf_addf(&got, "|%.*s%s%.*s", (int) name.n, name.p, value.p != NULL ? "=" : "", (int) value.n,
				    value.p != NULL ? value.p : "");
			if (one < 0)
				buf_adds(&got, "|!");
			if (rows[i].want == NULL || strcmp(buf_str(&got), rows[i].want) != 0)
				fail_msg("%s: %s", rows[i].line, buf_str(&got));
		} else if (rows[i].want != NULL)
			fail_msg("%s: no path", rows[i].line);
	}
	buf_fini(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs),
		cmocka_unit_test(paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
