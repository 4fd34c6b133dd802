/* tests/global/pidfile_lock_test.c - who holds the lock, what the file says, what is refused */
#include <global/pidfile_lock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <util/mem.h>
#include <util/sock.h>

static char dir[64];
static char path[96], other[96];
static struct buf why = BUF_INIT(1024);

static int
setup(void **state)
{
	(void) state;
	snprintf(dir, sizeof dir, "/tmp/pidfile_lock.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/lock", dir);
	snprintf(other, sizeof other, "%s/other", dir);
	buf_reset(&why);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	unlink(path);
	unlink(other);
	rmdir(path);
	rmdir(dir);
	buf_fini(&why);
	return 0;
}

static void
spit(const char *file, const char *text)
{
	int	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* the file is 33 bytes, mode 0600, and the lock tells the rest */
static void
test_life(void **state)
{
	struct pidfile_lock a, b;
	struct stat st;
	char	text[64] = "", want[64];
	pid_t	named;
	int	fd;

	(void) state;
	assert_int_equal(pidfile_lock_test(path, &named, &why), PIDFILE_FREE);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_FREE);
	assert_true(a.created);
	assert_int_equal(a.named, 0);
	assert_int_equal(fcntl(a.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(pidfile_lock_write(&a, &why), 0);

	snprintf(want, sizeof want, "%32ld\n", (long) getpid());
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof text), 33);
	assert_string_equal(text, want);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);

	assert_int_equal(pidfile_lock_test(path, &named, &why), PIDFILE_HELD);
	assert_int_equal(named, getpid());
	assert_int_equal(pidfile_lock_take(path, &b, &why), PIDFILE_HELD);
	assert_int_equal(b.named, getpid());
	assert_int_equal(b.fd, -1);

	sock_close(&a.fd);
	assert_int_equal(pidfile_lock_test(path, &named, &why), PIDFILE_FREE);
	assert_int_equal(pidfile_lock_take(path, &b, &why), PIDFILE_FREE);
	assert_false(b.created);
	assert_int_equal(b.named, getpid());		/* the last holder */
	pidfile_lock_drop(path, &b);
	assert_int_equal(access(path, F_OK), 0);	/* not ours to remove */
}

/* giving up leaves nothing behind that was not there */
static void
test_drop(void **state)
{
	struct pidfile_lock a;

	(void) state;
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_FREE);
	pidfile_lock_drop(path, &a);
	assert_int_equal(a.fd, -1);
	assert_int_equal(access(path, F_OK), -1);

	spit(path, "");
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_FREE);
	pidfile_lock_drop(path, &a);
	assert_int_equal(access(path, F_OK), 0);
}

/* a full disk shows before anything is begun; what the file says stays */
static void
test_room(void **state)
{
	struct pidfile_lock a;
	struct rlimit lim;
	pid_t	pid;
	int	status;

	(void) state;
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_FREE);
	assert_int_equal(pidfile_lock_room(&a, &why), 0);
	assert_int_equal(pidfile_lock_write(&a, &why), 0);
	assert_int_equal(pidfile_lock_room(&a, &why), 0);
	pidfile_lock_drop(path, &a);
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_FREE);
	assert_int_equal(a.named, getpid());
	pidfile_lock_drop(path, &a);
	spit(path, "");
	if ((pid = fork()) == 0) {			/* no file may have any bytes here */
		signal(SIGXFSZ, SIG_IGN);
		getrlimit(RLIMIT_FSIZE, &lim);
		lim.rlim_cur = 0;
		setrlimit(RLIMIT_FSIZE, &lim);
		_exit(pidfile_lock_take(path, &a, &why) == PIDFILE_FREE && pidfile_lock_room(&a, &why) == -1 &&
		    strstr(buf_str(&why), "no room for a pid: File too large") != NULL ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_content(void **state)
{
	static const struct { const char *text; pid_t want; } rows[] = {
		{ "",					0 },
		{ "                              123\n",	123 },
		{ "123",				123 },
		{ "123 456\n",				0 },
		{ "-5\n",				0 },
		{ "0\n",				0 },
		{ "99999999999\n",			0 },
		{ "hello\n",				0 },
	};
	pid_t	named;

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		spit(path, rows[i].text);
		assert_int_equal(pidfile_lock_test(path, &named, &why), PIDFILE_FREE);
		if (named != rows[i].want)
			fail_msg("\"%s\": got %ld, want %ld", rows[i].text, (long) named, (long) rows[i].want);
	}
}

static void
test_refused(void **state)
{
	struct pidfile_lock a;
	pid_t	named;

	(void) state;
	spit(other, "keep");
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_ERROR);
	assert_non_null(strstr(buf_str(&why), "lock: it is a symbolic link: remove it"));
	assert_int_equal(pidfile_lock_test(path, &named, &why), PIDFILE_ERROR);
	unlink(path);

	assert_int_equal(link(other, path), 0);
	buf_reset(&why);
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_ERROR);
	assert_non_null(strstr(buf_str(&why), "several names"));
	unlink(path);

	assert_int_equal(mkfifo(path, 0600), 0);
	buf_reset(&why);
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_ERROR);
	assert_non_null(strstr(buf_str(&why), "not a regular file"));
	unlink(path);

	assert_int_equal(mkdir(path, 0700), 0);
	buf_reset(&why);
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_ERROR);
	assert_int_equal(a.fd, -1);
	rmdir(path);

	snprintf(path, sizeof path, "%s/no/lock", dir);
	buf_reset(&why);
	assert_int_equal(pidfile_lock_take(path, &a, &why), PIDFILE_ERROR);
	assert_non_null(strstr(buf_str(&why), "No such file or directory"));
	assert_int_equal(pidfile_lock_test(path, &named, &why), PIDFILE_FREE);
}

/* while others test all the time, taking succeeds all the same */
static void
test_tested_meanwhile(void **state)
{
	struct pidfile_lock a;
	pid_t	pid, named;
	int	go[2];
	char	c;

	(void) state;
	spit(path, "");
	assert_int_equal(pipe(go), 0);
	if ((pid = fork()) == 0) {
		close(go[0]);
		for (int i = 0; i < 2000; i++) {
			pidfile_lock_test(path, &named, &why);
			if (i == 10 && write(go[1], "x", 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(read(go[0], &c, 1), 1);
	for (int i = 0; i < 100; i++) {
		if (pidfile_lock_take(path, &a, &why) != PIDFILE_FREE)
			fail_msg("round %d: a test was taken for a holder", i);
		sock_close(&a.fd);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(go[0]);
	close(go[1]);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tested_meanwhile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
