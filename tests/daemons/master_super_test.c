/* tests/daemons/master_super_test.c - start that fails, stop that succeeds */
#include <daemons/master/super.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/lib/master_rig.h>
#include <util/mem.h>
#include <util/sock.h>

static bool
ended(struct rig *r, const void *ctx)
{
	(void) ctx;
	return r->super.ended;
}

/* what cannot be started as a whole is not started at all */
static void
test_start_refused(void **state)
{
	char	port[16], *text;
	unsigned before;
	int	other;

	(void) state;
	rig_port(port);
	assert_true((other = sock_inet_listen(NULL, port, 5)) >= 0);
	text = mem_printf("x unix - n n 60 2 childd count=count\n%s inet n n n 0 1 childd\ny fifo n n n 0 1 childd\n", port);
	rig_main_cf(&master_rig, "x_prefork_limit = 2\n");
	rig_master_cf(&master_rig, text);
	before = rig_fds();
	assert_false(rig_start(&master_rig));
	assert_non_null(strstr(buf_str(&master_rig.why), "/etc/master.cf: line 2: service "));
	assert_non_null(strstr(buf_str(&master_rig.why), "Address already in use"));
	assert_int_equal(access("private/x", F_OK), -1);
	assert_int_equal(access("public/y", F_OK), -1);
	assert_int_equal(access("pid/master.status", F_OK), -1);
	assert_int_equal(master_rig.super.children.n, 0);
	super_fini(&master_rig.super);
	master_rig.started = false;
	rig_turn(&master_rig, 50);
	assert_int_equal(rig_lines(&master_rig, "count"), 0);
	assert_int_equal(rig_fds(), before + 2);	/* the log, and the loop's signals */
	sock_close(&other);
	mem_free(&text);
}

/* an empty master.cf is no reason to fail: services come with a reload */
static void
test_start_empty(void **state)
{
	(void) state;
	master_rig_begin(NULL, "");
	rig_master_cf(&master_rig, "x unix - n n 0 1 childd\n");
	assert_true(super_reload(&master_rig.super));
	assert_true(rig_pid(&master_rig, "private/x") > 0);
}

static void
test_stop(void **state)
{
	int	a;
	char	byte;

	(void) state;
	rig_main_cf(&master_rig, "y_prefork_limit = 3\n");
	master_rig_begin(NULL, "x unix - n n 0 1 childd\ny unix - n n 0 3 childd linger\nz fifo n n n 0 1 childd\n");
	assert_true((a = rig_connect(&master_rig, "private/x")) >= 0);
	assert_true(rig_pid(&master_rig, "private/x") > 0);
	kill(getpid(), SIGTERM);
	assert_true(rig_until(&master_rig, ended, NULL));
	assert_true(rig_log_has("terminating on signal 15\n"));
	assert_false(rig_log_has("warning"));
	assert_int_equal(master_rig.super.children.n, 0);
	assert_int_equal(access("private/x", F_OK), -1);
	assert_int_equal(access("private/y", F_OK), -1);
	assert_int_equal(access("public/z", F_OK), -1);
	assert_int_equal(read(a, &byte, 1), 0);
	sock_close(&a);
}

static void
test_stop_idle(void **state)
{
	(void) state;
	master_rig_begin(NULL, "x unix - n n 0 1 childd\n");
	kill(getpid(), SIGINT);
	assert_true(rig_until(&master_rig, ended, NULL));
	assert_true(rig_log_has("terminating on signal 2\n"));
}

/* a child that ignores SIGTERM is killed 5 s later; so is one that was leaving after a reload; no restart, no reload meanwhile */
static void
test_stop_stubborn(void **state)
{
	char   *reply;
	int	a;

	(void) state;
	rig_main_cf(&master_rig, "y_prefork_limit = 1\n");
	master_rig_begin(NULL, "x unix - n n 0 1 childd linger noterm\ny unix - n n 0 1 childd\n");
	assert_true((a = rig_connect(&master_rig, "private/x")) >= 0);
	assert_non_null(reply = rig_ask(&master_rig, a, "pid"));
	mem_free(&reply);
	assert_true(super_reload(&master_rig.super));
	assert_true(rig_pid(&master_rig, "private/x") > 0);		/* either of the two; both are there */
	kill(getpid(), SIGTERM);
	assert_true(rig_until(&master_rig, rig_logged, "terminating on signal 15"));
	for (int i = 0; i < 1000 && master_rig.super.children.n > 2; i++)
		rig_turn(&master_rig, 10);
	assert_false(super_reload(&master_rig.super));
	ev_fake_advance(master_rig.loop, 4999);
	rig_turn(&master_rig, 50);
	assert_false(master_rig.super.ended);
	assert_true(master_rig.super.children.n > 0);
	ev_fake_advance(master_rig.loop, 1);
	assert_true(rig_until(&master_rig, ended, NULL));
	assert_true(rig_log_count("does not end: killing it") > 0);
	assert_int_equal(master_rig.super.children.n, 0);
	sock_close(&a);
}

static void
test_stop_twice(void **state)
{
	(void) state;
	master_rig_begin(NULL, "x unix - n n 0 1 childd linger noterm\n");
	assert_true(rig_pid(&master_rig, "private/x") > 0);
	kill(getpid(), SIGTERM);
	assert_true(rig_until(&master_rig, rig_logged, "terminating"));
	rig_turn(&master_rig, 30);
	assert_false(master_rig.super.ended);
	kill(getpid(), SIGTERM);
	assert_true(rig_until(&master_rig, ended, NULL));	/* without a step of the clock */
}

/* children of others, as process 1 gets them, are reaped and nothing more */
static void
test_strangers(void **state)
{
	pid_t	pid;

	(void) state;
	master_rig_begin(NULL, "x unix - n n 0 1 childd\n");
	if ((pid = fork()) == 0)
		_exit(3);
	for (int i = 0; i < 1000 && kill(pid, 0) == 0; i++)
		rig_turn(&master_rig, 10);
	assert_int_equal(kill(pid, 0), -1);
	assert_false(rig_log_has("warning"));
	assert_true(rig_pid(&master_rig, "private/x") > 0);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start_refused, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_start_empty, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_stop, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_stop_idle, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_stop_stubborn, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_stop_twice, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_strangers, master_rig_setup, master_rig_teardown),
	};

	rig_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
