/* tests/commands/vouch_attach_text_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <util/mem.h>

#include "../../commands/vouch/attach.h"

#define HEAD "#vouch: Postfix's own entry; vouch detach puts it back\n"
#define PROG "../../../opt/vouch/verify"

static const struct {
	const char *name, *before, *attached;	/* attached NULL: refused */
	unsigned    line;
	const char *old;			/* command, or part of the reason */
} attach_cases[] = {
	{ "Debian's line",
	  "smtp inet n - y - - smtpd\nverify    unix  -       -       y       -       1       verify\nflush unix n - - 1000? 0 flush\n",
	  "smtp inet n - y - - smtpd\n" HEAD "#vouch|verify    unix  -       -       y       -       1       verify\n"
	  "verify    unix    -       -       y       -       4       " PROG "\nflush unix n - - 1000? 0 flush\n", 2, "verify" },
	{ "options are kept",
	  "verify unix - - n - 1 verify -v -o { a = b c }\n",
	  HEAD "#vouch|verify unix - - n - 1 verify -v -o { a = b c }\n"
	  "verify    unix    -       -       n       -       4       " PROG " -v -o { a = b c }\n", 1, "verify" },
	{ "continuation and a comment inside",
	  "# top\nverify unix - - n - 1\n# why\n   verify\n\t-v\n# bottom\nx unix - - - - - x\n",
	  "# top\n" HEAD "#vouch|verify unix - - n - 1\n#vouch|# why\n#vouch|   verify\n#vouch|\t-v\n"
	  "verify    unix    -       -       n       -       4       " PROG "\t-v\n# bottom\nx unix - - - - - x\n", 2, "verify" },
	{ "no line break at the end",
	  "a unix - - - - - a\nverify unix - - n - 1 verify",
	  "a unix - - - - - a\n" HEAD "#vouch.verify unix - - n - 1 verify\n"
	  "verify    unix    -       -       n       -       4       " PROG "\n", 2, "verify" },
	{ "CR LF lines",
	  "verify unix - - n - 1 verify\r\nb unix - - - - - b\r\n",
	  HEAD "#vouch|verify unix - - n - 1 verify\r\n"
	  "verify    unix    -       -       n       -       4       " PROG "\nb unix - - - - - b\r\n", 1, "verify" },
	{ "not the inet one",
	  "verify inet n - n - 1 verify\nverify unix - - n - 1 verify\n",
	  "verify inet n - n - 1 verify\n" HEAD "#vouch|verify unix - - n - 1 verify\n"
	  "verify    unix    -       -       n       -       4       " PROG "\n", 2, "verify" },
	{ "no such entry", "smtp inet n - y - - smtpd\n", NULL, 0, "no entry 'verify unix'" },
	{ "commented out", "#verify unix - - n - 1 verify\n", NULL, 0, "no entry 'verify unix'" },
	{ "empty file", "", NULL, 0, "no entry 'verify unix'" },
	{ "two entries", "verify unix - - n - 1 verify\n#\nverify unix - - n - 1 verify\n", NULL, 0, "lines 1 and 3" },
	{ "no command", "verify unix - - n - 1\n", NULL, 0, "has no command" },
};

static void
attach_and_undo(void **state)
{
	struct buf out = BUF_INIT(65536), back = BUF_INIT(65536), why = BUF_INIT(4096);

	(void) state;
	for (size_t i = 0; i < NELEM(attach_cases); i++) {
		const char *name = attach_cases[i].name, *before = attach_cases[i].before;
		char   *old = NULL;
		unsigned line = 0;
		int	rc;

		buf_reset(&out);
		buf_reset(&back);
		buf_reset(&why);
		rc = attach_text("master.cf", before, strlen(before), PROG, 4, &out, &old, &line, &why);
		if (attach_cases[i].attached == NULL) {
			if (rc != -1 || strstr(buf_str(&why), attach_cases[i].old) == NULL)
				fail_msg("%s: got %d, %s, want a refusal with '%s'", name, rc, buf_str(&why),
				    attach_cases[i].old);
			continue;
		}
		if (rc != 0 || strcmp(buf_str(&out), attach_cases[i].attached) != 0)
			fail_msg("%s: got %d %s\n%s\nwant\n%s", name, rc, buf_str(&why), buf_str(&out),
			    attach_cases[i].attached);
		if (line != attach_cases[i].line || strcmp(old, attach_cases[i].old) != 0)
			fail_msg("%s: got line %u, %s, want line %u, %s", name, line, old, attach_cases[i].line,
			    attach_cases[i].old);
		free(old);
		if (attach_undo("master.cf", out.data, out.len, &back, &line, &why) != 0 ||
		    strcmp(buf_str(&back), before) != 0)
			fail_msg("%s: detach gives %s\n%s\nwant\n%s", name, buf_str(&why), buf_str(&back), before);

		buf_reset(&back);		/* a second attach changes nothing */
		if (attach_text("master.cf", out.data, out.len, PROG, 4, &back, &old, &line, &why) != -1 ||
		    strstr(buf_str(&why), "attached already") == NULL)
			fail_msg("%s: attach twice: %s", name, buf_str(&why));
	}
	buf_fini(&out);
	buf_fini(&back);
	buf_fini(&why);
}

static void
undo_after_others_edited(void **state)
{
	static const struct { const char *name, *text, *want; } cases[] = {
		{ "process limit changed",
		  HEAD "#vouch|verify unix - - n - 1 verify\nverify unix - - n - 16 " PROG " -v\nx unix - - - - - x\n",
		  "verify unix - - n - 1 verify\nx unix - - - - - x\n" },
		{ "lines added at the end of a file without line break",
		  HEAD "#vouch.verify unix - - n - 1 verify\nverify unix - - n - 4 " PROG "\nx unix - - - - - x\n",
		  "verify unix - - n - 1 verify\nx unix - - - - - x\n" },
		{ "not attached", "verify unix - - n - 1 verify\n", NULL },
		{ "our entry removed", HEAD "#vouch|verify unix - - n - 1 verify\nx unix - - - - - x\n", NULL },
		{ "kept lines removed", HEAD "verify unix - - n - 4 " PROG "\n", NULL },
		{ "something put between", HEAD "#vouch|verify unix - - n - 1 verify\n#\nverify unix - - n - 4 v\n", NULL },
	};
	struct buf out = BUF_INIT(65536), why = BUF_INIT(4096);
	unsigned line;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&out);
		buf_reset(&why);
		if (attach_undo("master.cf", cases[i].text, strlen(cases[i].text), &out, &line, &why) !=
		    (cases[i].want == NULL ? -1 : 0))
			fail_msg("%s: want %s, got '%s'", cases[i].name, cases[i].want == NULL ? "refusal" : "success",
			    buf_str(&why));
		if (cases[i].want != NULL && strcmp(buf_str(&out), cases[i].want) != 0)
			fail_msg("%s: got\n%s\nwant\n%s", cases[i].name, buf_str(&out), cases[i].want);
	}
	buf_fini(&out);
	buf_fini(&why);
}

static void
relative_paths(void **state)
{
	static const struct { const char *dir, *path, *want; } cases[] = {
		{ "/usr/lib/postfix/sbin", "/usr/local/libexec/vouch/verify", "../../../../usr/local/libexec/vouch/verify" },
		{ "/sbin", "/verify", "../verify" },
		{ "/", "/opt/verify", "opt/verify" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		char   *got = attach_relative(cases[i].dir, cases[i].path);

		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s seen from %s: got %s, want %s", cases[i].path, cases[i].dir, got, cases[i].want);
		free(got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attach_and_undo),
		cmocka_unit_test(undo_after_others_edited),
		cmocka_unit_test(relative_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
