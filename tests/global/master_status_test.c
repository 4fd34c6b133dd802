/* tests/global/master_status_test.c - the verdict line: written whole, read strictly */
#include <global/master_status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <util/mem.h>

static char dir[64], pid_dir[80], path[96];
static struct buf why = BUF_INIT(1024);

static int
setup(void **state)
{
	(void) state;
	snprintf(dir, sizeof dir, "/tmp/master_status.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(pid_dir, sizeof pid_dir, "%s/pid", dir);
	snprintf(path, sizeof path, "%s/%s", dir, MASTER_STATUS_FILE);
	assert_int_equal(mkdir(pid_dir, 0755), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	unlink(path);
	rmdir(pid_dir);
	rmdir(dir);
	buf_fini(&why);
	return 0;
}

static void
test_round(void **state)
{
	static const struct { struct master_status_line s; const char *text; } rows[] = {
		{ { 0, true, "" },			"generation 0 ok\n" },
		{ { 17, true, "not shown" },		"generation 17 ok\n" },
		{ { 18, false, "/x/main.cf, line 3: bad" }, "generation 18 failed: /x/main.cf, line 3: bad\n" },
		{ { 19, false, "two\nlines" },		"generation 19 failed: two?lines\n" },
		{ { UINT64_MAX, false, "" },		"generation 18446744073709551615 failed: \n" },
	};
	struct master_status_line got;
	struct buf text = BUF_INIT(4096);
	struct stat st;
	mode_t	old = umask(077);

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		assert_int_equal(master_status_write(dir, &rows[i].s, &why), 0);
		buf_reset(&text);
		assert_int_equal(buf_read_file(&text, AT_FDCWD, path), 0);
		assert_string_equal(buf_str(&text), rows[i].text);
		assert_int_equal(master_status_read(dir, &got), 0);
		assert_int_equal(got.ok, rows[i].s.ok);
		assert_true(got.generation == rows[i].s.generation);
		assert_int_equal(strlen(got.reason), rows[i].s.ok ? 0 : strlen(rows[i].s.reason));
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	umask(old);
	buf_fini(&text);
}

static void
test_bad(void **state)
{
	static const char *const rows[] = {
		"", "generation", "generation ", "generation x ok\n", "generation -1 ok\n", "generation 1 ok", "generation 1 maybe\n",
		"generation 1 failed: no end", "generation 99999999999999999999 ok\n", "generation 1 ok\nmore\n",
	};
	struct master_status_line got;

	(void) state;
	assert_int_equal(master_status_read(dir, &got), -1);
	assert_int_equal(errno, ENOENT);
	for (size_t i = 0; i < NELEM(rows); i++) {
		int	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		assert_int_equal(write(fd, rows[i], strlen(rows[i])), strlen(rows[i]));
		close(fd);
		if (master_status_read(dir, &got) != -1)
			fail_msg("\"%s\" was read as generation %ju", rows[i], (uintmax_t) got.generation);
	}
	unlink(path);
	rmdir(pid_dir);
	assert_int_equal(master_status_write(dir, &(struct master_status_line) { .ok = true }, &why), -1);
	assert_non_null(strstr(buf_str(&why), "pid/master.status: No such file or directory"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
