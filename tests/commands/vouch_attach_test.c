/* tests/commands/vouch_attach_test.c - vouch attach and detach on a directory like /etc/postfix */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <tests/lib/command.h>

#define MASTER_CF "smtp      inet  n       -       y       -       -       smtpd\n" \
	"# verification\nverify    unix  -       -       y       -       1       verify\n  -o address_verify_sender=<>\n" \
	"flush     unix  n       -       y       1000?   0       flush"	/* no line break at the end */

static struct attach_test {
	char   *dir, *pf, *main_cf, *master_cf;
	struct command c;
} t;

static int
attach_setup(void **state)
{
	char   *text;

	(void) state;
	t.dir = command_dir();
	t.pf = mem_printf("%s/postfix", t.dir);
	t.main_cf = mem_printf("%s/main.cf", t.pf);
	t.master_cf = mem_printf("%s/master.cf", t.pf);
	assert_int_equal(mkdir(t.pf, 0755), 0);
	text = mem_printf("daemon_directory = %s/postfix\n", t.dir);
	command_write(t.main_cf, text);
	command_write(t.master_cf, MASTER_CF);
	assert_int_equal(chmod(t.master_cf, 0640), 0);
	free(text);
	return 0;
}

static int
attach_teardown(void **state)
{
	(void) state;
	command_fini(&t.c);
	command_remove(&t.dir);
	free(t.pf);
	free(t.main_cf);
	free(t.master_cf);
	return 0;
}

static void
attach_run(const char *name, const char *dir, int code, const char *texts)
{
	command_fini(&t.c);
	command_run(&t.c, "vouch", name, dir, NULL);
	command_want(&t.c, name, code, texts);
}

static void
there_and_back(void **state)
{
	char   *text, *word, *path, *want;
	struct stat st;

	(void) state;
	want = mem_printf("postfix -c %s reload|vouch detach %s|line 3, command verify", t.pf, t.pf);
	attach_run("attach", t.pf, 0, want);
	free(want);
	text = command_read(t.master_cf);
	assert_int_equal(stat(t.master_cf, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);

	/* the command leads from daemon_directory to our verify, and the old entry's option is still there */
	word = strstr(text, "\nverify ");
	assert_non_null(word);
	word = strstr(word, "../");
	assert_non_null(word);
	assert_non_null(strstr(word, "-o address_verify_sender=<>\n"));
	path = mem_printf("%s/postfix/%.*s", t.dir, (int) strcspn(word, " \n"), word);
	assert_int_equal(access(path, X_OK), 0);
	free(path);
	free(text);

	attach_run("attach", t.pf, 1, "attached already");
	attach_run("detach", t.pf, 0, "Postfix's own again|reload");
	text = command_read(t.master_cf);
	assert_string_equal(text, MASTER_CF);
	free(text);
	assert_int_equal(stat(t.master_cf, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	attach_run("detach", t.pf, 1, "not attached here: nothing changed");
}

static void
refusals_change_nothing(void **state)
{
	static const char *const bad[] = { "smtp inet n - y - - smtpd\n", "verify unix - - n - 1\n",
		"verify unix - - n - 1 verify\nverify unix - - n - 1 verify\n", "verify unix - - n - 1 verify\nx unix - - q - - x\n" };
	char   *text, *missing = mem_printf("%s/none", t.dir);

	(void) state;
	for (size_t i = 0; i < NELEM(bad); i++) {
		command_write(t.master_cf, bad[i]);
		attach_run("attach", t.pf, 1, "master.cf");
		text = command_read(t.master_cf);
		assert_string_equal(text, bad[i]);
		free(text);
	}
	command_write(t.master_cf, MASTER_CF);
	command_write(t.main_cf, "daemon_directory = /no/where\n");
	attach_run("attach", t.pf, 1, "main.cf: daemon_directory /no/where: No such file");
	attach_run("attach", missing, 1, "none: No such file or directory: name Postfix's configuration directory");
	text = command_read(t.master_cf);
	assert_string_equal(text, MASTER_CF);
	free(text);
	free(missing);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_and_back, attach_setup, attach_teardown),
		cmocka_unit_test_setup_teardown(refusals_change_nothing, attach_setup, attach_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
