/* tests/daemons/master_reload_test.c - from one configuration to the next, as a whole or not at all, and no client notices */
#include <daemons/master/reload.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/lib/master_rig.h>
#include <util/mem.h>
#include <util/sock.h>

static pid_t
pid_of(int fd)
{
	char   *reply = rig_ask(&master_rig, fd, "pid");
	pid_t	pid = reply != NULL ? (pid_t) atol(reply) : 0;

	mem_free(&reply);
	return pid;
}

static void
expect_verdict(const char *want)
{
	char   *got = rig_file(&master_rig, "pid/master.status");

	if (strncmp(got, want, strlen(want)) != 0)
		fail_msg("verdict: got \"%s\", want \"%s\"", got, want);
	mem_free(&got);
}

static struct { int fd; pid_t old, pid; } newcomer;

/* successor_answers - a new connection, and whether it is not the old process that serves it */
static bool
successor_answers(struct rig *r, const void *ctx)
{
	(void) ctx;
	sock_close(&newcomer.fd);
	assert_true((newcomer.fd = rig_connect(r, "private/x")) >= 0);
	newcomer.pid = pid_of(newcomer.fd);
	assert_true(newcomer.pid > 0);
	return newcomer.pid != newcomer.old;
}

/* clients of the old processes are served to their end; the new ones take over at once, and only they count */
static void
test_clients_stay(void **state)
{
	int	a, b;
	pid_t	old, new;
	struct service *s;

	(void) state;
	master_rig_begin("x_prefork_limit = 1\n", "x unix - n n 0 1 childd\n");
	expect_verdict("generation 0 ok\n");
	assert_true((a = rig_connect(&master_rig, "private/x")) >= 0);
	old = pid_of(a);
	rig_main_cf(&master_rig, "x_prefork_limit = 1\nmax_use = 7\n");
	kill(getpid(), SIGHUP);
	MASTER_RIG_UNTIL(rig_children_are, "2");
	expect_verdict("generation 1 ok\n");
	s = rig_service(&master_rig, "private/x");
	assert_int_equal(s->total, 1);
	assert_int_equal(master_rig.super.children.leaving, 1);
	assert_int_equal(master_rig.super.plan->params->max_use, 7);
	/* the old one may go on accepting until it notices, which is not before its successor is executed: until then that
	 * holds a copy of the descriptor that is to be closed */
	newcomer.fd = -1;
	newcomer.old = old;
	assert_true(rig_until(&master_rig, successor_answers, NULL));
	b = newcomer.fd;
	new = newcomer.pid;
	assert_true(new != old);
	assert_int_equal(pid_of(a), old);
	sock_close(&a);
	MASTER_RIG_UNTIL(rig_children_are, "1");
	assert_int_equal(master_rig.super.children.leaving, 0);
	assert_int_equal(pid_of(b), new);
	assert_true(rig_log_has("reload -- version"));
	assert_false(rig_log_has("warning"));
	sock_close(&b);
}

/* whoever does not leave: SIGTERM after the drain time and a little more, then SIGKILL; the master serves all the while */
static void
test_deadline(void **state)
{
	int	a, b;
	pid_t	old[2], pid;

	(void) state;
	master_rig_begin("application_event_drain_time = 20s\n",
	    "x unix - n n 0 1 childd linger\ny unix - n n 0 1 childd linger noterm\n");
	assert_true((a = rig_connect(&master_rig, "private/x")) >= 0);
	assert_true((b = rig_connect(&master_rig, "private/y")) >= 0);
	old[0] = pid_of(a);
	old[1] = pid_of(b);
	rig_master_cf(&master_rig, "x unix - n n 0 1 childd\ny unix - n n 0 1 childd\n");
	assert_true(super_reload(&master_rig.super));
	ev_fake_advance(master_rig.loop, 29999);
	rig_turn(&master_rig, 50);
	assert_int_equal(pid_of(a), old[0]);
	assert_int_equal(pid_of(b), old[1]);
	ev_fake_advance(master_rig.loop, 1);
	for (int i = 0; i < 1000 && child_find(&master_rig.super.children, old[0]) != NULL; i++)
		rig_turn(&master_rig, 10);
	assert_null(child_find(&master_rig.super.children, old[0]));
	assert_int_equal(pid_of(b), old[1]);
	ev_fake_advance(master_rig.loop, 4999);
	rig_turn(&master_rig, 50);
	assert_int_equal(pid_of(b), old[1]);
	ev_fake_advance(master_rig.loop, 1);
	for (int i = 0; i < 1000 && child_find(&master_rig.super.children, old[1]) != NULL; i++)
		rig_turn(&master_rig, 10);
	assert_null(child_find(&master_rig.super.children, old[1]));
	assert_int_equal(rig_log_count("does not end: killing it"), 1);
	assert_false(rig_log_has("killed by signal"));
	/* their listeners are gone with them: the new ones answer */
	pid = rig_pid(&master_rig, "private/x");
	assert_true(pid > 0 && pid != old[0]);
	pid = rig_pid(&master_rig, "private/y");
	assert_true(pid > 0 && pid != old[1]);
	sock_close(&a);
	sock_close(&b);
}

/* each way in which a new configuration can be wrong: nothing changes, and the reason is told */
static void
test_refused(void **state)
{
	static const struct { const char *main_cf, *master_cf, *want; } rows[] = {
		{ "max_use = many\n", "x unix - n n 0 2 childd\n", "/etc/main.cf, line 9: parameter max_use: bad numerical value" },
		{ "nonsense\n", "x unix - n n 0 2 childd\n", "/etc/main.cf, line 9: missing '='" },
		{ "", "x unix - n n 0 two childd\n", "/etc/master.cf: line 1: field \"process_limit\": bad value" },
		{ "", "x unix - n n 0 2 childd\n\nnew unix - n n 0 2 nosuch\n", "/etc/master.cf: line 3: service new: program" },
		{ "", "x unix - n n 0 2 childd\nnew unix - n n 0 2 childd\n@ inet n n n 0 2 childd\n",
		  "/etc/master.cf: line 3: service @: cannot listen on 0.0.0.0 port @: Address already in use" },
		{ "", "x pass - n n 0 2 childd\n", "/etc/master.cf: line 1: service x: private/x is still in use for a service of" },
		{ "", "x unix - n n 0 2 childd\nway unix - n n 0 2 childd\n", "line 2: service way: private/way is in the way" },
		{ "maillog_file = /no/such/dir/log\n", "x unix - n n 0 2 childd\nnew unix - n n 0 2 childd\n",
		  "maillog_file \"/no/such/dir/log\": No such file or directory" },
		{ "daemon_directory = /no/such/dir\n", "x unix - n n 0 2 childd\n", "program /no/such/dir/childd: No such file" },
	};
	char	port[16];
	int	a, other, fd;
	pid_t	pid;
	unsigned before;

	(void) state;
	master_rig_begin("max_use = 5\n", "x unix - n n 0 1 childd\ny unix - n n 0 1 childd\n");
	rig_port(port);
	assert_true((other = sock_inet_listen(NULL, port, 5)) >= 0);
	assert_true((fd = open("private/way", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) >= 0);
	sock_close(&fd);
	assert_true((a = rig_connect(&master_rig, "private/x")) >= 0);
	pid = pid_of(a);
	before = rig_fds();
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct buf master_cf = BUF_INIT(1000), want = BUF_INIT(1000);
		char	verdict[40];

		for (const char *p = rows[i].master_cf; *p != 0; p++)
			if (*p == '@')
				buf_adds(&master_cf, port);
			else
				buf_addc(&master_cf, *p);
		for (const char *p = rows[i].want; *p != 0; p++)
			if (*p == '@')
				buf_adds(&want, port);
			else
				buf_addc(&want, *p);
		rig_main_cf(&master_rig, rows[i].main_cf);
		rig_master_cf(&master_rig, buf_str(&master_cf));
		rig_log_forget();
		if (super_reload(&master_rig.super))
			fail_msg("row %zu was accepted", i);
		rig_turn(&master_rig, 20);
		if (!rig_log_has(buf_str(&want)))
			fail_msg("row %zu: got %s want \"%s\"", i, rig_log(), buf_str(&want));
		assert_true(rig_log_has("error: reload refused: the old configuration stays in force"));
		snprintf(verdict, sizeof verdict, "generation %zu failed: ", i + 1);
		expect_verdict(verdict);
		assert_int_equal(rig_fds(), before);
		assert_int_equal(access("private/new", F_OK), -1);
		assert_int_equal(master_rig.super.plan->params->max_use, 5);
		assert_int_equal(rig_service(&master_rig, "private/x")->plan->maxproc, 1);
		assert_int_equal(pid_of(a), pid);		/* it heard of nothing */
		assert_int_equal(master_rig.super.children.leaving, 0);
		assert_true(rig_pid(&master_rig, "private/y") > 0);
		before = rig_fds();
		buf_fini(&master_cf);
		buf_fini(&want);
	}
	/* and the next good one is taken */
	rig_main_cf(&master_rig, "max_use = 6\n");
	rig_master_cf(&master_rig, "x unix - n n 0 3 childd\n");
	assert_true(super_reload(&master_rig.super));
	expect_verdict("generation 10 ok\n");
	assert_int_equal(master_rig.super.plan->params->max_use, 6);
	sock_close(&a);
	sock_close(&other);
	unlink("private/way");
}

/* several reasons are one line in the verdict, several in the log */
static void
test_reasons(void **state)
{
	char   *got;

	(void) state;
	master_rig_begin("", "x unix - n n 0 1 childd\n");
	rig_master_cf(&master_rig, "x unix - n n 0 1 no1\ny unix - n n 0 1 no2\n");
	assert_false(super_reload(&master_rig.super));
	got = rig_file(&master_rig, "pid/master.status");
	assert_non_null(strstr(got, "no1: No such file or directory; correct the line, or daemon_directory; "));
	assert_non_null(strstr(got, "service y"));
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
	assert_int_equal(rig_log_count("error: "), 3);
	mem_free(&got);
}

static void
test_added_and_removed(void **state)
{
	char	where[17] = ":", *text;
	int	a;
	pid_t	old;

	(void) state;
	rig_port(where + 1);
	master_rig_begin("x_prefork_limit = 1\n", "x unix - n n 0 1 childd\nz fifo n n n 0 1 childd\n");
	assert_true((a = rig_connect(&master_rig, "private/x")) >= 0);
	old = pid_of(a);
	text = mem_printf("y unix n n n 0 1 childd\n127.0.0.1:%s inet n n n 0 1 childd\n", where + 1);
	rig_master_cf(&master_rig, text);
	mem_free(&text);
	assert_true(super_reload(&master_rig.super));
	assert_int_equal(access("private/x", F_OK), -1);
	assert_int_equal(access("public/z", F_OK), -1);
	assert_true(rig_pid(&master_rig, "public/y") > 0);
	assert_true(rig_pid(&master_rig, where) > 0);
	assert_null(rig_service(&master_rig, "private/x"));
	assert_int_equal(pid_of(a), old);		/* its client is served to the end */
	sock_close(&a);
	for (int i = 0; i < 1000 && child_find(&master_rig.super.children, old) != NULL; i++)
		rig_turn(&master_rig, 10);
	assert_null(child_find(&master_rig.super.children, old));
	assert_false(rig_log_has("warning"));
}

/* a service that grows from one address to all: the port stays in use without a gap */
static void
test_address_widens(void **state)
{
	char	where[17] = ":", *text;
	pid_t	old;

	(void) state;
	rig_port(where + 1);
	text = mem_printf("127.0.0.1:%s inet n n n 0 1 childd\n", where + 1);
	master_rig_begin("", text);
	mem_free(&text);
	assert_true((old = rig_pid(&master_rig, where)) > 0);
	rig_freeze(old);		/* it still has the old listener, which is the more specific one */
	text = mem_printf("%s inet n n n 0 1 childd\n", where + 1);
	rig_master_cf(&master_rig, text);
	if (!super_reload(&master_rig.super))
		fail_msg("%s", rig_log());
	assert_true(rig_pid(&master_rig, where) > 0);
	kill(old, SIGCONT);
	assert_int_equal(sock_inet_listen("127.0.0.1", where + 1, 5), -1);
	mem_free(&text);
	text = mem_printf("127.0.0.1:%s inet n n n 0 1 childd\n", where + 1);
	rig_master_cf(&master_rig, text);
	if (!super_reload(&master_rig.super))
		fail_msg("%s", rig_log());
	assert_true(rig_pid(&master_rig, where) > 0);
	mem_free(&text);
}

/* a reload lifts a pause, for it may bring the cure */
static void
test_pause_ends(void **state)
{
	int	fd;

	(void) state;
	master_rig_begin("", "x unix - n n 0 1 childd exit=1\n");
	assert_true((fd = rig_connect(&master_rig, "private/x")) >= 0);
	MASTER_RIG_UNTIL(rig_logged, "throttling for 1m");
	rig_master_cf(&master_rig, "x unix - n n 0 1 childd\n");
	assert_true(super_reload(&master_rig.super));
	assert_true(pid_of(fd) > 0);
	sock_close(&fd);
}

static void
test_start_parameter(void **state)
{
	bool	found = false;
	char   *kept;

	(void) state;
	master_rig_begin("", "x unix - n n 0 1 childd\n");
	rig_main_cf(&master_rig, "queue_directory = /nowhere\n");
	assert_true(super_reload(&master_rig.super));
	assert_true(rig_log_has("warning: ignoring queue_directory parameter value change: "));
	assert_non_null(strstr(master_rig.super.plan->params->queue_directory, master_rig.dir));
	kept = mem_printf("VOUCH_KEPT=queue_directory=%s/queue\n", master_rig.dir);
	for (char **e = master_rig.super.spawn.env; *e != NULL; e++)
		found |= strcmp(*e, kept) == 0;
	assert_true(found);			/* its daemons hear of it */
	mem_free(&kept);
	assert_true(rig_pid(&master_rig, "private/x") > 0);
}

/* a hundred reloads, good and bad, with processes: no descriptor, process or file more than before */
static void
test_no_leak(void **state)
{
	char	port[16], *text[2], verdict[40];
	unsigned before = 0;

	(void) state;
	rig_port(port);
	text[0] = mem_printf("x unix - n n 60 2 childd\n%s inet n n n 0 1 childd\ny unix - n n 0 1 childd\n", port);
	text[1] = mem_printf("x unix - n n 60 3 childd\n127.0.0.1:%s inet n n n 0 1 childd\nz fifo - n n 0 1 childd\n", port);
	master_rig_begin("x_prefork_limit = 2\n", text[1]);
	for (int i = 0; i < 100; i++) {
		rig_main_cf(&master_rig, i % 5 == 4 ? "x_prefork_limit = 2\nmax_use = x\n" : "x_prefork_limit = 2\n");
		rig_master_cf(&master_rig, text[i % 2]);
		assert_int_equal(super_reload(&master_rig.super), i % 5 != 4);
		ev_fake_advance(master_rig.loop, 0);
		MASTER_RIG_UNTIL(rig_children_are, "2");
		if (i == 9 || i == 99)
			for (int k = 0; k < 500 && rig_service(&master_rig, "private/x")->wakeup.fd >= 0; k++)
				rig_turn(&master_rig, 10);
		if (i == 9)
			before = rig_fds();		/* with the second text, as at the end */
	}
	snprintf(verdict, sizeof verdict, "generation 100 failed");
	expect_verdict(verdict);
	assert_int_equal(rig_fds(), before);
	assert_int_equal(master_rig.super.spawn.forks, 2 + 80 * 2);
	mem_free(&text[0]);
	mem_free(&text[1]);
}

/* SIGHUP without end cannot fill the system with processes that are still leaving */
static void
test_too_many_leaving(void **state)
{
	(void) state;
	master_rig_begin("", "x unix - n n 0 1 childd\n");
	master_rig.super.children.leaving += 3000;
	assert_false(super_reload(&master_rig.super));
	assert_true(rig_log_has("3000 processes of earlier reloads are still leaving"));
	master_rig.super.children.leaving -= 3000;
	assert_true(super_reload(&master_rig.super));
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_clients_stay, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_deadline, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_refused, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_reasons, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_added_and_removed, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_address_widens, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_pause_ends, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_start_parameter, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_no_leak, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_too_many_leaving, master_rig_setup, master_rig_teardown),
	};

	rig_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
