/* tests/global/count_table_test.c - counters with names of their own, shared and kept */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <global/count_table.h>
#include <util/buf.h>

static char dir[] = "/tmp/vouch-count.XXXXXX";
static int dirfd_;

static void
show(void *ctx, const char *first, const char *second, uint64_t value)
{
	uint64_t *sums = ctx;

	if (strcmp(first, "queue/smtp:1") == 0 && strcmp(second, "ok") == 0)
		sums[0] += value;
	else if (strcmp(first, "queue/smtp:1") == 0 && strcmp(second, "deny") == 0)
		sums[1] += value;
	else
		sums[2]++;
}

static void
several_processes(void **state)
{
	struct count_table *t;
	const char *why = "";
	uint64_t sums[3] = { 0, 0, 0 };
	int	status;

	(void) state;
	assert_int_equal(count_table_read(dirfd_, COUNT_TABLE_SMTPD, show, sums), -1);	/* reading makes nothing */
	for (int child = 0; child < 4; child++)
		if (fork() == 0) {
			if ((t = count_table_open(dirfd_, COUNT_TABLE_SMTPD, &why)) == NULL)
				_exit(1);
			for (int i = 0; i < 500; i++)
				while (count_table_add(t, "queue/smtp:1", i % 5 == 0 ? "deny" : "ok", 2) < 0)
					;
			_exit(0);
		}
	for (int child = 0; child < 4; child++) {
		wait(&status);
		assert_int_equal(status, 0);
	}
	assert_int_equal(count_table_read(dirfd_, COUNT_TABLE_SMTPD, show, sums), 0);
	assert_int_equal(sums[0], 4 * 400 * 2);
	assert_int_equal(sums[1], 4 * 100 * 2);
	assert_int_equal(sums[2], 0);
}

static void
long_names(void **state)
{
	struct count_table *t;
	const char *why = "";
	uint64_t sums[3] = { 0, 0, 0 };
	char	name[400];

	(void) state;
	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = 0;
	t = count_table_open(dirfd_, "other", &why);
	assert_non_null(t);
	assert_int_equal(count_table_add(t, name, "ok", 1), 0);
	count_table_check(t);
	count_table_close(&t);
	count_table_close(&t);
	assert_int_equal(count_table_read(dirfd_, "other", show, sums), 0);
	assert_int_equal(sums[2], 0);
}

static int
begin(void **state)
{
	(void) state;
	return mkdtemp(dir) != NULL && (dirfd_ = open(dir, O_RDONLY | O_DIRECTORY)) >= 0 ? 0 : -1;
}

static int
end(void **state)
{
	(void) state;
	unlinkat(dirfd_, COUNT_TABLE_SMTPD, 0);
	unlinkat(dirfd_, "other", 0);
	close(dirfd_);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_processes),
		cmocka_unit_test(long_names),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
