/* tests/global/maillog_test.c - where log lines go: the file, Postfix's log service, or syslog with a reason */
#include <global/maillog.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/master_proto.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/msg.h>

static int
setup(void **state)
{
	umask(022);
	msg_to_stderr(NULL);
	unsetenv("POSTLOG_SERVICE");
	unsetenv(MASTER_DRAIN_ENV);
	return test_dir_make(state);
}

/* with - the parameters with these log settings */
static struct params *
with(const char *file, const char *prefixes, const char *mode)
{
	struct main_cf *cf = main_cf_new();
	struct buf why = BUF_INIT(4096);
	struct params *p;

	main_cf_set(cf, "maillog_file", file);
	main_cf_set(cf, "maillog_file_prefixes", prefixes);
	main_cf_set(cf, "maillog_file_permissions", mode);
	main_cf_set(cf, "syslog_name", "mx");
	main_cf_set(cf, "myhostname", "host.example");
	if ((p = params_load(cf, &why)) == NULL)
		fail_msg("%s", buf_str(&why));
	main_cf_free(&cf);
	buf_fini(&why);
	return p;
}

static void
test_file(void **state)
{
	char   *path = mem_printf("%s/log", test_dir);
	struct params *p = with(path, "/tmp, /var", "0640");
	struct buf why = BUF_INIT(1024), text = BUF_INIT(4096);
	struct stat st;

	(void) state;
	assert_int_equal(maillog_init("verify", p, &why), 0);
	msg_warn("one %s", "line");
	assert_int_equal(buf_read_file(&text, AT_FDCWD, path), 0);
	assert_non_null(strstr(buf_str(&text), " host mx/verify["));
	assert_non_null(strstr(buf_str(&text), "]: warning: one line\n"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	params_free(&p);
	buf_fini(&text);
	buf_fini(&why);
	mem_free(&path);
}

static void
test_file_refused(void **state)
{
	char   *missing = mem_printf("%s/no/such/log", test_dir), *outside = mem_printf("%s/log2", test_dir);
	struct params *p = with(missing, "/tmp", "0600");
	struct buf why = BUF_INIT(1024);

	(void) state;
	assert_int_equal(maillog_init("verify", p, &why), -1);
	assert_non_null(strstr(buf_str(&why), missing));
	assert_non_null(strstr(buf_str(&why), "No such file or directory"));
	params_free(&p);
	buf_reset(&why);
	p = with(outside, "/var", "0600");
	assert_int_equal(maillog_init("verify", p, &why), -1);
	assert_non_null(strstr(buf_str(&why), "maillog_file_prefixes"));
	assert_int_equal(access(outside, F_OK), -1);
	params_free(&p);
	buf_fini(&why);
	mem_free(&missing);
	mem_free(&outside);
}

/* under Postfix's master: one datagram a line to its log service; under ours that is left alone */
static void
test_postlog(void **state)
{
	char   *path = mem_printf("%s/postlog", test_dir), *file = mem_printf("%s/log3", test_dir), got[512];
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct params *p = with(file, "/tmp", "0600");
	struct buf why = BUF_INIT(1024);
	int	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ssize_t n;

	(void) state;
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *) &sun, sizeof sun), 0);
	setenv("POSTLOG_SERVICE", path, 1);
	setenv("POSTLOG_HOSTNAME", "early.example", 1);
	setenv("MAIL_LOGTAG", "parent", 1);
	maillog_early("verify");
	msg_info("before main.cf");
	n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	got[n] = 0;
	assert_non_null(strstr(got, " early parent/verify["));
	assert_int_equal(maillog_init("verify", p, &why), 0);
	msg_info("after it");
	n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	got[n] = 0;
	assert_non_null(strstr(got, " host mx/verify["));
	assert_non_null(strstr(got, "]: after it"));
	assert_null(strchr(got, '\n'));
	setenv(MASTER_DRAIN_ENV, "1000", 1);
	assert_int_equal(maillog_init("verify", p, &why), 0);
	msg_info("to the file");
	assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), -1);
	assert_int_equal(access(file, F_OK), 0);
	unsetenv(MASTER_DRAIN_ENV);
	unsetenv("POSTLOG_SERVICE");
	close(fd);
	params_free(&p);
	buf_fini(&why);
	mem_free(&path);
	mem_free(&file);
}

static void
test_facility(void **state)
{
	int	facility = -1;

	(void) state;
	assert_true(maillog_facility("mail", &facility));
	assert_int_equal(facility, LOG_MAIL);
	assert_true(maillog_facility("LOCAL3", &facility));
	assert_int_equal(facility, LOG_LOCAL3);
	assert_false(maillog_facility("post", &facility));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_refused),
		cmocka_unit_test(test_postlog),
		cmocka_unit_test(test_facility),
	};

	return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
