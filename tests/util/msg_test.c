/* tests/util/msg_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/write_behind.h>

static struct fix {
	char	dir[64], path[96];
	unsigned lines;
	int	level;
	char	line[4096];
} fix;

static void
fix_catch(void *ctx, int level, const char *line)
{
	struct fix *f = ctx;

	f->lines++;
	f->level = level;
	snprintf(f->line, sizeof f->line, "%s", line);
}

static int
fix_setup(void **state)
{
	(void) state;
	(void) write_behind_tell(&(int) { 0 });	/* what tests before could not write */
	memset(&fix, 0, sizeof fix);
	strcpy(fix.dir, "/tmp/vouch-test.XXXXXX");
	if (mkdtemp(fix.dir) == NULL)
		return -1;
	snprintf(fix.path, sizeof fix.path, "%s/log", fix.dir);
	return 0;
}

static int
fix_teardown(void **state)
{
	(void) state;
	msg_catch(NULL, NULL);
	msg_to_file(NULL, NULL, NULL, 0);
	msg_to_dgram(NULL, NULL, NULL);
	msg_to_syslog(NULL, 0);
	msg_to_stderr("vouch");
	msg_verbose = 0;
	unlink(fix.path);
	return rmdir(fix.dir);
}

static void
test_levels(void **state)
{
	(void) state;
	msg_catch(fix_catch, &fix);
	msg_info("a %d", 1);
	assert_string_equal(fix.line, "a 1");
	assert_int_equal(fix.level, LOG_INFO);
	msg_warn("b %s", "x");
	assert_string_equal(fix.line, "warning: b x");
	assert_int_equal(fix.level, LOG_WARNING);
	msg_error("c");
	assert_string_equal(fix.line, "error: c");
	assert_int_equal(fix.level, LOG_ERR);
	assert_int_equal(fix.lines, 3);
	msg_debug("d");
	assert_int_equal(fix.lines, 3);
	msg_verbose = 1;
	msg_debug("d");
	assert_string_equal(fix.line, "d");
	assert_int_equal(fix.level, LOG_INFO);
}

/* one line, printable, whatever is in it: spec logging 1 */
static void
test_text(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "two\nlines\r", "two?lines?" },
		{ "tab\tand \xc3\xa9", "tab?and \xc3\xa9" },
		{ "bad \xe9 and \x1b[31m", "bad ? and ?[31m" },
		{ "%s %n %d", "%s %n %d" },
		{ "", "" },
	};

	(void) state;
	msg_catch(fix_catch, &fix);
	for (size_t i = 0; i < NELEM(cases); i++) {
		msg_info("%s", cases[i].in);
		if (strcmp(fix.line, cases[i].want) != 0)
			fail_msg("row %zu: got \"%s\"", i, fix.line);
	}
}

/* cut at 2000 bytes, not in the middle of a character */
static void
test_cut(void **state)
{
	char	text[3000];

	(void) state;
	msg_catch(fix_catch, &fix);
	for (int lead = 0; lead < 4; lead++) {
		size_t	n = (size_t) lead;

		memset(text, 'x', n);
		for (; n < 2500; n += 2)
			memcpy(text + n, "\xc3\xa9", 2);
		text[n] = 0;
		msg_info("%s", text);
		if (strlen(fix.line) < 1999 || strlen(fix.line) > 2000 || strchr(fix.line, '?') != NULL ||
		    strncmp(fix.line, text, strlen(fix.line)) != 0)
			fail_msg("lead %d: %zu bytes, end %s", lead, strlen(fix.line), fix.line + strlen(fix.line) - 4);
	}
	memset(text, 'x', sizeof text - 1);
	text[2000] = 0;
	msg_info("%s", text);
	assert_int_equal(strlen(fix.line), 2000);
}

static void
test_errno(void **state)
{
	(void) state;
	msg_catch(fix_catch, &fix);
	errno = EXDEV;
	msg_info("x");
	assert_int_equal(errno, EXDEV);
	msg_catch(NULL, NULL);
	msg_to_stderr(NULL);
	msg_to_file("/dev/full", "h", "t", 0600);
	errno = EXDEV;
	msg_info("a disk without room is nobody's end");
	assert_int_equal(errno, EXDEV);
}

/* fix_read - the whole log file */
static const char *
fix_read(char *buf, size_t size)
{
	int	fd = open(fix.path, O_RDONLY);
	ssize_t n = read(fd, buf, size - 1);

	assert_true(n >= 0);
	buf[n] = 0;
	close(fd);
	return buf;
}

static void
fix_match(const char *text, const char *pattern)
{
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0) != 0)
		fail_msg("got: %s\nwant: %s", text, pattern);
	regfree(&re);
}

static void
test_file(void **state)
{
	char	buf[8000];
	struct stat st;
	mode_t	mask = umask(0);

	(void) state;
	msg_to_stderr(NULL);
	assert_int_equal(msg_to_file(fix.path, "mx2.example.org", "postfix/verify", 0640), 0);
	umask(mask);
	msg_info("one");
	msg_warn("two");
	fix_match(fix_read(buf, sizeof buf), "^[A-Z][a-z]{2} [0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} mx2 "
	    "postfix/verify\\[[0-9]+\\]: one\n[^\n]*\\]: warning: two\n$");
	assert_int_equal(stat(fix.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* a sink that cannot be opened leaves the old one in force */
	assert_int_equal(msg_to_file("/nonexistent/log", "h", "t", 0600), -1);
	assert_int_equal(errno, ENOENT);
	msg_info("three");
	fix_match(fix_read(buf, sizeof buf), "mx2 postfix/verify\\[[0-9]+\\]: three\n$");
	/* appended to, not emptied */
	assert_int_equal(msg_to_file(fix.path, "other", "t", 0600), 0);
	msg_info("four");
	fix_match(fix_read(buf, sizeof buf), "one\n(.*\n)*[^\n]* other t\\[[0-9]+\\]: four\n$");
	msg_to_file(NULL, NULL, NULL, 0);
	msg_info("five");
	assert_null(strstr(fix_read(buf, sizeof buf), "five"));
}

/* what is held goes out in order, whole and once, whatever comes between */
static void
test_hold(void **state)
{
	static char buf[400000];
	char	want[100];
	pid_t	pid;
	int	status;

	(void) state;
	msg_to_stderr(NULL);
	assert_int_equal(msg_to_file(fix.path, "h", "t", 0600), 0);
	msg_hold();
	msg_info("one");
	msg_info("two");
	assert_string_equal(fix_read(buf, sizeof buf), "");
	msg_warn("three");
	fix_match(fix_read(buf, sizeof buf), "^[^\n]*: one\n[^\n]*: two\n[^\n]*: warning: three\n$");
	msg_info("four");
	assert_null(strstr(fix_read(buf, sizeof buf), "four"));
	if ((pid = fork()) == 0) {
		msg_info("five");
		msg_flush();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	snprintf(want, sizeof want, "three\n[^\n]*t\\[%ld\\]: four\n[^\n]*t\\[%ld\\]: five\n$", (long) getpid(), (long) pid);
	fix_match(fix_read(buf, sizeof buf), want);
	for (int i = 0; i < 4000; i++)
		msg_info("%d of many", i);
	write_behind_wait();
	assert_non_null(strstr(fix_read(buf, sizeof buf), ": 500 of many\n"));
	assert_null(strstr(buf, ": 3999 of many\n"));
	msg_flush();
	fix_read(buf, sizeof buf);
	for (int i = 0; i < 4000; i++) {
		char   *at;

		snprintf(want, sizeof want, ": %d of many\n", i);
		if ((at = strstr(buf, want)) == NULL || strstr(at + 1, want) != NULL)
			fail_msg("line %d is not there once", i);
	}
	msg_info("six");
	fix_match(fix_read(buf, sizeof buf), ": six\n$");
	assert_null(strstr(strstr(buf, ": four\n") + 1, ": four\n"));
	msg_hold();
	msg_info("seven");
	msg_to_file(NULL, NULL, NULL, 0);
	fix_match(fix_read(buf, sizeof buf), ": six\n[^\n]*: seven\n$");
	msg_flush();
}

/* a file that takes nothing for a while keeps nobody waiting; what is logged meanwhile follows in its order */
static void
test_slow_file(void **state)
{
	static char zeroes[4096], buf[100000];
	size_t	n = 0;
	ssize_t got;
	int	fd;

	(void) state;
	msg_to_stderr(NULL);
	assert_int_equal(mkfifo(fix.path, 0600), 0);
	assert_true((fd = open(fix.path, O_RDWR | O_NONBLOCK)) >= 0);
	assert_int_equal(msg_to_file(fix.path, "h", "t", 0600), 0);
	while ((got = write(fd, zeroes, sizeof zeroes)) > 0)
		n += (size_t) got;
	msg_hold();
	msg_info("one");
	msg_info("two");
	msg_pass();
	assert_false(msg_kept());
	msg_info("three");				/* nothing is held any more */
	msg_hold();
	msg_info("four");
	msg_warn("five");
	assert_true(write_behind_busy());
	for (; n > 0; n -= (size_t) got)
		assert_true((got = read(fd, buf, n < sizeof buf ? n : sizeof buf)) > 0);
	msg_hold();
	msg_info("six");
	msg_flush();
	assert_true((got = read(fd, buf, sizeof buf - 1)) > 0);
	buf[got] = 0;
	fix_match(buf, "^[^\n]*: one\n[^\n]*: two\n[^\n]*: three\n[^\n]*: four\n[^\n]*: warning: five\n[^\n]*: six\n$");
	close(fd);
}

/* a disk that is full in the middle of a line, and then is not: every line that could be written is one, and the rest is told */
static void
test_full(void **state)
{
	static char buf[20000];
	struct rlimit all, some;

	(void) state;
	msg_to_stderr(NULL);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	some = all;
	for (int i = 0; i < 2; i++) {			/* line by line; by the thread */
		assert_int_equal(msg_to_file(fix.path, "h", "t", 0600), 0);
		if (i == 1)
			msg_hold();
		msg_info("one");
		msg_flush();
		if (i == 1)
			msg_hold();
		some.rlim_cur = strlen(fix_read(buf, sizeof buf)) + 10;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &some), 0);
		msg_info("two");
		msg_info("three");
		msg_pass();
		write_behind_wait();
		assert_int_equal(strlen(fix_read(buf, sizeof buf)), some.rlim_cur);
		msg_info("four");
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
		msg_info("five");
		msg_info("six");
		fix_match(fix_read(buf, sizeof buf), i == 1 ? "^[^\n]*: one\n.{10}\n[^\n]*: five\n[^\n]*: six\n$" :
		    "^[^\n]*: one\n.{10}\n[^\n]*: five\n"
		    "[^\n]*: warning: [0-9]* bytes of log lines could not be written: File too large\n[^\n]*: six\n$");
		assert_int_equal(write_behind_lost(), i == 1);	/* told once a minute */
		assert_int_equal(unlink(fix.path), 0);
		msg_to_file(NULL, NULL, NULL, 0);
	}
	signal(SIGXFSZ, SIG_DFL);
}

/* msg_info_text writes what msg_info would */
static void
test_text_ready(void **state)
{
	static char buf[20000], text[5000];
	char   *nl;

	(void) state;
	msg_to_stderr(NULL);
	assert_int_equal(msg_to_file(fix.path, "h", "t", 0600), 0);
	memset(text, 'x', sizeof text);
	memcpy(text, "100% \n\x7f\xc3\xa9\xff|", 11);
	text[3000] = 0;
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			msg_info_text(text, 3000);
		else
			msg_info("%s", text);
		fix_read(buf, sizeof buf);
		assert_non_null(nl = strchr(buf, '\n'));
		assert_non_null(strstr(buf, ": 100% ??\xc3\xa9?|xxx"));
		assert_int_equal(nl - strstr(buf, "100%"), 2000);
		assert_int_equal(truncate(fix.path, 0), 0);
	}
	msg_info_text("", 0);
	fix_match(fix_read(buf, sizeof buf), "^[^\n]*t\\[[0-9]*\\]: \n$");
	msg_to_file(NULL, NULL, NULL, 0);
}

/* the time of a line is that of its own second */
static void
test_next_second(void **state)
{
	static char buf[20000];
	time_t	begin = time(NULL), now;
	char	stamp[32];
	struct tm tm;

	(void) state;
	msg_to_stderr(NULL);
	assert_int_equal(msg_to_file(fix.path, "h", "t", 0600), 0);
	for (int i = 0; i < 2; i++) {
		do {						/* both lines, each within a second of its own */
			while ((now = time(NULL)) == begin)
				usleep(1000);
			assert_int_equal(truncate(fix.path, 0), 0);
			msg_info("tick");
		} while (time(NULL) != now);
		localtime_r(&now, &tm);
		strftime(stamp, sizeof stamp, "%b %d %H:%M:%S h t[", &tm);
		assert_memory_equal(fix_read(buf, sizeof buf), stamp, strlen(stamp));
		begin = now;
	}
	msg_to_file(NULL, NULL, NULL, 0);
}

static void
test_dgram(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), got = 0;
	char	buf[4096], longest[200];
	ssize_t n;

	(void) state;
	msg_to_stderr(NULL);
	assert_int_equal(msg_to_dgram(fix.path, "h", "t"), -1);
	assert_int_equal(errno, ENOENT);
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	assert_int_equal(msg_to_dgram(longest, "h", "t"), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	strcpy(sun.sun_path, fix.path);
	assert_int_equal(bind(fd, (struct sockaddr *) &sun, sizeof sun), 0);
	assert_int_equal(msg_to_dgram(fix.path, "mx2.example.org", "postfix/verify"), 0);
	msg_warn("x");
	n = recv(fd, buf, sizeof buf - 1, 0);
	assert_true(n > 0);
	buf[n] = 0;
	fix_match(buf, "^[A-Z][a-z]{2} [0-9]{2} [0-9:]{8} mx2 postfix/verify\\[[0-9]+\\]: warning: x$");
	/* nobody reads: lines are lost, we are not held up */
	for (int i = 0; i < 5000; i++)
		msg_info("line %d", i);
	while (recv(fd, buf, sizeof buf, 0) > 0)
		got++;
	assert_true(got > 0 && got < 5000);
	close(fd);
	msg_info("nobody there at all");
}

static void
test_stderr(void **state)
{
	int	saved = dup(2), fd = open(fix.path, O_CREAT | O_RDWR, 0600);
	char	buf[1000];

	(void) state;
	dup2(fd, 2);
	msg_to_stderr("vouch query");
	msg_warn("x");
	msg_to_stderr(NULL);
	msg_warn("y");
	dup2(saved, 2);
	close(saved);
	close(fd);
	assert_string_equal(fix_read(buf, sizeof buf), "vouch query: warning: x\n");
}

/* how the two that do not return end */
static void
test_ends(void **state)
{
	static const struct {
		int	status;			/* of msg_fatal; 0: msg_panic */
		const char *want;
	} cases[] = { { 1, "t: fatal: x 7\n" }, { 75, "t: fatal: x 7\n" }, { 0, "t: panic: x 7\n" } };
	char	buf[1000];
	int	wait_status;
	pid_t	pid;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		if ((pid = fork()) == 0) {
			int	fd = open(fix.path, O_CREAT | O_TRUNC | O_RDWR, 0600);

			dup2(fd, 2);
			msg_to_stderr("t");
			signal(SIGABRT, SIG_DFL);
			if (cases[i].status == 0)
				msg_panic("x %d", 7);
			if (cases[i].status != 1)
				msg_fatal_status = cases[i].status;
			msg_fatal("x %d", 7);
		}
		waitpid(pid, &wait_status, 0);
		if (cases[i].status != 0 ? !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != cases[i].status :
		    !WIFSIGNALED(wait_status) || WTERMSIG(wait_status) != SIGABRT)
			fail_msg("row %zu: wait status %#x", i, wait_status);
		assert_string_equal(fix_read(buf, sizeof buf), cases[i].want);
	}
}

static void
test_clean(void **state)
{
	static const struct {
		const char *in;
		size_t	size;
		const char *want;
	} cases[] = {
		{ "abc", 10, "abc" }, { "abc", 4, "abc" }, { "abc", 3, "ab" }, { "abc", 1, "" },
		{ "a\nb\x7f\xc3\xa9", 10, "a?b???" }, { "", 5, "" },
	};
	char	buf[16];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		memset(buf, 'Z', sizeof buf);
		if (msg_clean(buf, cases[i].size, cases[i].in) != buf || strcmp(buf, cases[i].want) != 0 ||
		    buf[cases[i].size] != 'Z')
			fail_msg("row %zu: got \"%s\"", i, buf);
	}
}

static void
test_rate(void **state)
{
	long long last = 0, other = 0;
	int	n = 0;

	(void) state;
	for (int i = 0; i < 1000; i++)
		n += msg_rate(&last, 3600000);
	assert_int_equal(n, 1);
	assert_true(msg_rate(&other, 3600000));		/* each place counts for itself */
	assert_true(msg_rate(&last, 0));
	last -= 3600000;				/* an hour later */
	assert_true(msg_rate(&last, 3600000));
	assert_false(msg_rate(&last, 3600000));
}

int
main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(test_levels),
		T(test_text),
		T(test_cut),
		T(test_errno),
		T(test_file),
		T(test_hold), T(test_slow_file),
		T(test_full),
		T(test_text_ready),
		T(test_next_second),
		T(test_dgram),
		T(test_stderr),
		T(test_ends),
		T(test_clean),
		T(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
