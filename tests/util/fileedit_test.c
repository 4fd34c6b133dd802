/* tests/util/fileedit_test.c - one editor at a time, and nothing but the content changes */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/fileedit.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>

#define EDITORS		8
#define ROUNDS		25


static void
fileedit_test_put(const char *path, const char *text, unsigned mode)
{
	FILE   *fp = fopen(path, "w");

	assert_non_null(fp);
	fputs(text, fp);
	fclose(fp);
	assert_int_equal(chmod(path, mode), 0);
}

static void
fileedit_test_is(const char *path, const char *want, unsigned mode)
{
	struct buf text = BUF_INIT(10000);
	struct stat st;

	assert_int_equal(buf_read_file(&text, AT_FDCWD, path), 0);
	assert_string_equal(buf_str(&text), want);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	buf_fini(&text);
}

/* replace the whole content; NULL or the reason of the failure (borrowed) */
static const char *
fileedit_test_edit(const char *path, const char *text, unsigned wait_ms)
{
	static struct buf why = BUF_INIT(1000), old = BUF_INIT(10000);
	struct fileedit *f;
	bool	ok;

	buf_reset(&why);
	buf_reset(&old);
	f = fileedit_open(path, &old, wait_ms, &why);
	ok = f != NULL && fileedit_commit(&f, text, strlen(text), &why) == 0;
	assert_null(f);
	buf_fini(&old);
	return ok ? NULL : buf_str(&why);
}

static void
fileedit_test_keeps(void **state)
{
	struct stat st;

	(void) state;
	fileedit_test_put("plain", "old\n", 0640);
	if (geteuid() == 0)
		assert_int_equal(chown("plain", 1, 2), 0);
	assert_null(fileedit_test_edit("plain", "new\n", 0));
	fileedit_test_is("plain", "new\n", 0640);
	assert_int_equal(access("plain.tmp", F_OK), -1);
	if (geteuid() == 0) {
		assert_int_equal(stat("plain", &st), 0);
		assert_int_equal(st.st_uid, 1);
		assert_int_equal(st.st_gid, 2);
	}
	/* a symbolic link stays one; its target is changed where it is */
	assert_int_equal(mkdir("far", 0755), 0);
	fileedit_test_put("far/target", "old\n", 0600);
	assert_int_equal(symlink("far/target", "link"), 0);
	assert_null(fileedit_test_edit("link", "through\n", 0));
	fileedit_test_is("far/target", "through\n", 0600);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void
fileedit_test_abandon(void **state)
{
	struct buf why = BUF_INIT(1000), old = BUF_INIT(1000);
	struct fileedit *f;

	(void) state;
	fileedit_test_put("kept", "as it was\n", 0644);
	assert_non_null(f = fileedit_open("kept", &old, 0, &why));
	assert_string_equal(buf_str(&old), "as it was\n");
	fileedit_abandon(&f);
	fileedit_abandon(&f);
	fileedit_test_is("kept", "as it was\n", 0644);
	assert_int_equal(access("kept.tmp", F_OK), -1);
	buf_fini(&old);
	buf_fini(&why);
}

/* what a dead editor, or somebody else, left under the name of the lock */
static void
fileedit_test_leftover(void **state)
{
	(void) state;
	fileedit_test_put("a", "old\n", 0644);
	fileedit_test_put("a.tmp", "half of somet", 0600);
	assert_null(fileedit_test_edit("a", "new\n", 100));
	fileedit_test_is("a", "new\n", 0644);

	fileedit_test_put("precious", "precious\n", 0644);
	assert_int_equal(symlink("precious", "a.tmp"), 0);
	assert_null(fileedit_test_edit("a", "newer\n", 100));
	fileedit_test_is("a", "newer\n", 0644);
	assert_int_equal(link("precious", "a.tmp"), 0);
	assert_null(fileedit_test_edit("a", "newest\n", 100));
	fileedit_test_is("a", "newest\n", 0644);
	fileedit_test_is("precious", "precious\n", 0644);
}

static void
fileedit_test_refused(void **state)
{
	int	fd;

	(void) state;
	assert_string_equal(fileedit_test_edit("nosuch", "x", 0), "open nosuch: No such file or directory");
	assert_int_equal(access("nosuch.tmp", F_OK), -1);
	assert_int_equal(mkdir("directory", 0755), 0);
	assert_string_equal(fileedit_test_edit("directory", "x", 0), "read directory: not a plain file");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_string_equal(fileedit_test_edit("fifo", "x", 0), "read fifo: not a plain file");
	assert_int_equal(access("fifo.tmp", F_OK), -1);

	fileedit_test_put("busy", "old\n", 0644);
	fd = open("busy.tmp", O_RDWR | O_CREAT, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_non_null(strstr(fileedit_test_edit("busy", "x", 40), "busy is being edited: another program holds "));
	close(fd);
	fileedit_test_is("busy", "old\n", 0644);
}

/* many editors that each add one: none is lost, and a reader never sees half a file */
static void
fileedit_test_many(void **state)
{
	struct buf text = BUF_INIT(10000), why = BUF_INIT(1000);
	char	want[32];
	int	status, left = EDITORS;

	(void) state;
	fileedit_test_put("count", "0\n", 0644);
	for (int i = 0; i < EDITORS; i++) {
		if (fork() != 0)
			continue;
		for (int round = 0; round < ROUNDS; round++) {
			struct fileedit *f;
			char	next[32];

			buf_reset(&text);
			if ((f = fileedit_open("count", &text, 30000, &why)) == NULL)
				_exit(1);
			snprintf(next, sizeof next, "%d\n", atoi(buf_str(&text)) + 1);
			if (fileedit_commit(&f, next, strlen(next), &why) < 0)
				_exit(1);
		}
		_exit(0);
	}
	while (left > 0) {
		buf_reset(&text);
		assert_int_equal(buf_read_file(&text, AT_FDCWD, "count"), 0);
		assert_true(text.len >= 2 && text.data[text.len - 1] == '\n');
		while (left > 0 && waitpid(-1, &status, WNOHANG) > 0) {
			assert_int_equal(status, 0);
			left--;
		}
	}
	snprintf(want, sizeof want, "%d\n", EDITORS * ROUNDS);
	fileedit_test_is("count", want, 0644);
	assert_int_equal(access("count.tmp", F_OK), -1);
	buf_fini(&text);
	buf_fini(&why);
}

static int
fileedit_test_setup(void **state)
{
	return test_dir_make(state) < 0 || chdir(test_dir) < 0 ? -1 : 0;
}

static int
fileedit_test_clean(void **state)
{
	int	ret = chdir("/") < 0 ? -1 : test_dir_remove(state);

	return ret;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fileedit_test_keeps),
		cmocka_unit_test(fileedit_test_abandon),
		cmocka_unit_test(fileedit_test_leftover),
		cmocka_unit_test(fileedit_test_refused),
		cmocka_unit_test(fileedit_test_many),
	};

	return cmocka_run_group_tests(tests, fileedit_test_setup, fileedit_test_clean);
}
