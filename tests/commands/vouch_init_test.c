/* tests/commands/vouch_init_test.c - vouch init: what it makes, what it refuses, and that a refusal leaves nothing */

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

#define NOBODY 65534

struct init_test {
	char   *dir;
	struct command c;
};

static int
init_setup(void **state)
{
	struct init_test *t = mem_alloc(sizeof *t);

	t->dir = command_dir();
	*state = t;
	return 0;
}

static int
init_teardown(void **state)
{
	struct init_test *t = *state;

	command_fini(&t->c);
	command_remove(&t->dir);
	free(t);
	return 0;
}

/* init_listing - the names under dir, for comparing; heap */
static char *
init_listing(const char *dir)
{
	struct command c = { 0 };
	char   *text;

	command_run(&c, "/usr/bin/find", dir, "-printf", "%P %m %s\n", NULL);
	text = mem_strdup(buf_str(&c.out));
	command_fini(&c);
	return text;
}

static void
makes_a_private_instance(void **state)
{
	static const struct { const char *name; mode_t mode; } want[] = {
		{ "etc", 0755 }, { "etc/main.cf", 0644 }, { "etc/master.cf", 0644 }, { "queue", 0755 },
		{ "queue/private", 0700 }, { "queue/public", 0710 }, { "queue/pid", 0755 }, { "data", 0700 }, { "log", 0755 },
	};
	struct init_test *t = *state;
	char   *dir = mem_printf("%s/new one", t->dir), *path, *cf, *line;
	struct stat st;
	mode_t	mask = umask(077);		/* init does not care */

	command_run(&t->c, "vouch", "init", dir, NULL);
	umask(mask);
	command_want(&t->c, "init", 0, "made |start it with: vouch -c ");
	for (size_t i = 0; i < NELEM(want); i++) {
		path = mem_printf("%s/%s", dir, want[i].name);
		if (stat(path, &st) < 0 || (st.st_mode & 07777) != want[i].mode || st.st_uid != geteuid())
			fail_msg("%s: mode %o, owner %u", path, st.st_mode & 07777, st.st_uid);
		free(path);
	}
	path = mem_printf("%s/etc/main.cf", dir);
	cf = command_read(path);
	line = mem_printf("\nqueue_directory = %s/queue\n", dir);
	assert_non_null(strstr(cf, line));
	free(line);
	line = mem_printf("\nmaillog_file = %s/log/vouch.log\n", dir);
	assert_non_null(strstr(cf, line));
	free(line);
	free(cf);
	free(path);

	command_fini(&t->c);
	path = mem_printf("%s/etc", dir);
	command_run(&t->c, "vouch", "-c", path, "check", NULL);
	command_want(&t->c, "check", 0, "no problems found");
	free(path);
	free(dir);
}

static void
never_overwrites(void **state)
{
	struct init_test *t = *state;
	char   *dir = mem_printf("%s/one", t->dir), *before, *after;

	command_run(&t->c, "vouch", "init", dir, NULL);
	command_want(&t->c, "first", 0, "made");
	before = init_listing(t->dir);
	command_fini(&t->c);
	command_run(&t->c, "vouch", "init", dir, NULL);
	command_want(&t->c, "second", 1, "one: not empty: nothing is ever overwritten");
	assert_string_equal(buf_str(&t->c.out), "");
	assert_ptr_equal(strchr(buf_str(&t->c.err), '\n'), buf_str(&t->c.err) + t->c.err.len - 1);	/* one line */
	after = init_listing(t->dir);
	assert_string_equal(before, after);
	free(before);
	free(after);
	free(dir);
}

static void
fills_an_empty_directory(void **state)
{
	struct init_test *t = *state;
	char   *dir = mem_printf("%s/a", t->dir), *listing, *cf, *path, *line;
	struct stat st;

	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chdir(dir), 0);
	command_run(&t->c, "vouch", "init", ".", NULL);
	command_want(&t->c, "init .", 0, "made");
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);	/* the directory is the user's: only filled */
	listing = init_listing(dir);
	assert_null(strstr(listing, ".vouch-init"));
	path = mem_printf("%s/etc/main.cf", dir);
	cf = command_read(path);
	line = mem_printf("data_directory = %s/data\n", dir);
	assert_non_null(strstr(cf, line));
	assert_int_equal(chdir("/"), 0);
	free(line);
	free(path);
	free(cf);
	free(listing);
	free(dir);
}

static void
refusals_leave_nothing(void **state)
{
	struct init_test *t = *state;
	char   *file = mem_printf("%s/file", t->dir), *deep = mem_printf("%s/no/where", t->dir);
	char   *dollar = mem_printf("%s/a$b", t->dir), *under = mem_printf("%s/x", file), *before, *after, *etc;
	const struct { const char *name, *arg, *text; int code; } cases[] = {
		{ "a file is there", file, "file", 1 },
		{ "below a file", under, "Not a directory", 1 },
		{ "parent is missing", deep, "make that directory first", 1 },
		{ "empty name", "", "''", 1 },
		{ "no argument", NULL, "usage: vouch init DIR", 2 },
	};

	command_write(file, "x");
	before = init_listing(t->dir);
	for (size_t i = 0; i < NELEM(cases); i++) {
		command_run(&t->c, "vouch", "init", cases[i].arg, NULL);
		command_want(&t->c, cases[i].name, cases[i].code, cases[i].text);
		after = init_listing(t->dir);
		if (strcmp(before, after) != 0)
			fail_msg("%s: left\n%s", cases[i].name, after);
		free(after);
		command_fini(&t->c);
	}
	command_run(&t->c, "vouch", "init", file, "y", NULL);
	command_want(&t->c, "two arguments", 2, "too many arguments");
	command_fini(&t->c);

	/* a $ in the name must not be taken for the beginning of a parameter's name */
	command_run(&t->c, "vouch", "init", dollar, NULL);
	command_want(&t->c, "dollar", 0, "a$b");
	command_fini(&t->c);
	etc = mem_printf("%s/etc", dollar);
	command_run(&t->c, "vouch", "-c", etc, "check", NULL);
	command_want(&t->c, "dollar: check", 0, "no problems");
	free(etc);
	free(before);
	free(file);
	free(deep);
	free(dollar);
	free(under);
}

static void
as_an_ordinary_user(void **state)
{
	struct init_test *t = *state;
	char   *vouch, *mine = mem_printf("%s/mine", t->dir), *dir = mem_printf("%s/i", mine), *etc = mem_printf("%s/etc", dir);
	char   *theirs = mem_printf("%s/theirs", t->dir), *before, *after;
	struct stat st;

	if (geteuid() != 0) {
		print_message("not root: the other tests of this file have run as an ordinary user\n");
		skip();
	}
	vouch = command_install(t->dir);
	t->c.uid = NOBODY;
	before = init_listing(t->dir);
	command_run(&t->c, vouch, "init", theirs, NULL);
	command_want(&t->c, "unwritable place", 1, "theirs: Permission denied: choose a directory that you may write to");
	after = init_listing(t->dir);
	assert_string_equal(before, after);

	assert_int_equal(mkdir(mine, 0755), 0);
	assert_int_equal(chown(mine, NOBODY, NOBODY), 0);
	command_fini(&t->c);
	command_run(&t->c, vouch, "init", dir, NULL);
	command_want(&t->c, "own place", 0, "made");
	assert_null(strstr(buf_str(&t->c.out), "root"));
	assert_int_equal(stat(etc, &st), 0);
	assert_int_equal(st.st_uid, NOBODY);
	command_fini(&t->c);
	command_run(&t->c, vouch, "-c", etc, "check", NULL);
	command_want(&t->c, "check", 0, "no problems found");
	free(before);
	free(after);
	free(vouch);
	free(mine);
	free(dir);
	free(etc);
	free(theirs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(makes_a_private_instance, init_setup, init_teardown),
		cmocka_unit_test_setup_teardown(never_overwrites, init_setup, init_teardown),
		cmocka_unit_test_setup_teardown(fills_an_empty_directory, init_setup, init_teardown),
		cmocka_unit_test_setup_teardown(refusals_leave_nothing, init_setup, init_teardown),
		cmocka_unit_test_setup_teardown(as_an_ordinary_user, init_setup, init_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
