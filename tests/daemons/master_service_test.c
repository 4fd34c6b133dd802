/* tests/daemons/master_service_test.c - when processes are started, and what follows when they end: spec contract 3.2 to 3.6 */
#include <daemons/master/service.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/lib/master_rig.h>
#include <util/mem.h>
#include <util/sock.h>

/* say - a request whose reply does not matter; the connection stays */
static void
say(int fd, const char *request)
{
	char   *reply = rig_ask(&master_rig, fd, request);

	assert_non_null(reply);
	mem_free(&reply);
}

static pid_t
pid_of(int fd)
{
	char   *reply = rig_ask(&master_rig, fd, "pid");
	pid_t	pid;

	assert_non_null(reply);
	pid = (pid_t) atol(reply);
	mem_free(&reply);
	return pid;
}

/* started - how many processes wrote into the file "count" */
static bool
started(struct rig *r, const void *ctx)
{
	return rig_lines(r, "count") == (unsigned) atoi(ctx);
}

/* idle - give things that must not happen time to happen */
static void
idle(void)
{
	rig_turn(&master_rig, 100);
}

/* one process serves while it is available; another is started for a client that comes while all are taken; never above the
 * limit; whoever waits at the limit is served when a process is free again */
static void
test_on_demand(void **state)
{
	int	a, b, c;
	pid_t	first, second;

	(void) state;
	master_rig_begin("", "x unix - n n - 2 childd count=count\n");
	idle();
	assert_int_equal(rig_lines(&master_rig, "count"), 0);

	assert_true((a = rig_connect(&master_rig, "private/x")) >= 0);
	first = pid_of(a);
	assert_true((b = rig_connect(&master_rig, "private/x")) >= 0);
	assert_int_equal(pid_of(b), first);
	assert_int_equal(rig_lines(&master_rig, "count"), 1);

	say(a, "taken");
	MASTER_RIG_UNTIL(rig_avail_is, "private/x 0");
	/* the first process goes on accepting, so keep it from this one */
	rig_freeze(first);
	assert_true((c = rig_connect(&master_rig, "private/x")) >= 0);
	second = pid_of(c);
	assert_true(second != first);
	assert_int_equal(rig_lines(&master_rig, "count"), 2);
	say(c, "taken");
	MASTER_RIG_UNTIL(rig_avail_is, "private/x 0");
	rig_freeze(second);
	sock_close(&b);
	assert_true((b = rig_connect(&master_rig, "private/x")) >= 0);
	idle();
	assert_int_equal(rig_lines(&master_rig, "count"), 2);
	kill(first, SIGCONT);
	assert_int_equal(pid_of(b), first);
	say(a, "avail");
	MASTER_RIG_UNTIL(rig_avail_is, "private/x 1");
	assert_int_equal(rig_service(&master_rig, "private/x")->total, 2);
	kill(second, SIGCONT);
	sock_close(&a);
	sock_close(&b);
	sock_close(&c);
}

/* messages that do not fit what the master knows change nothing */
static void
test_status(void **state)
{
	struct service *s;
	struct child *ch;
	char	line[100];
	int	fd, other;
	pid_t	pid;

	(void) state;
	master_rig_begin("", "x unix - n n - 2 childd\ny unix - n n - 1 childd\n");
	assert_true((fd = rig_connect(&master_rig, "private/x")) >= 0);
	assert_true((other = rig_connect(&master_rig, "private/y")) >= 0);
	pid = pid_of(fd);
	s = rig_service(&master_rig, "private/x");
	ch = child_find(&master_rig.super.children, pid);
	assert_int_equal(s->avail, 1);

	say(fd, "avail");			/* as it is already: no use */
	snprintf(line, sizeof line, "status %d %u 0", 1, ch->generation);
	say(fd, line);				/* nobody's */
	snprintf(line, sizeof line, "status %d %u 0", (int) pid_of(other), ch->generation + 1);
	say(fd, line);				/* another service's */
	snprintf(line, sizeof line, "status %d %u 0", (int) pid, ch->generation + 7);
	say(fd, line);
	snprintf(line, sizeof line, "ignoring status update from child pid %d generation %u", (int) pid, ch->generation + 7);
	MASTER_RIG_UNTIL(rig_logged, line);
	snprintf(line, sizeof line, "status %d %u 2", (int) pid, ch->generation);
	say(fd, line);
	snprintf(line, sizeof line, "warning: service x(private/x): ignoring unknown status 2 from child pid %d", (int) pid);
	MASTER_RIG_UNTIL(rig_logged, line);
	assert_int_equal(s->avail, 1);
	assert_int_equal(rig_service(&master_rig, "private/y")->avail, 1);
	assert_int_equal(ch->uses, 0);

	say(fd, "taken");
	MASTER_RIG_UNTIL(rig_avail_is, "private/x 0");
	say(fd, "taken");
	say(fd, "avail");
	MASTER_RIG_UNTIL(rig_avail_is, "private/x 1");
	assert_int_equal(ch->uses, 1);
	s->warned_status = 0;

	/* a torn message is dropped, and the next one is understood */
	say(fd, "raw 0102030405");
	MASTER_RIG_UNTIL(rig_logged, "warning: service x(private/x): child (pid 67305985) sent partial status update (5 bytes)");
	say(fd, "taken");
	MASTER_RIG_UNTIL(rig_avail_is, "private/x 0");
	s->warned_status = 0;
	rig_log_forget();
	say(fd, "raw 01");
	MASTER_RIG_UNTIL(rig_logged, "child (pid 0) sent partial status update (1 bytes)");
	say(fd, "avail");
	MASTER_RIG_UNTIL(rig_avail_is, "private/x 1");
	assert_int_equal(ch->uses, 2);
	sock_close(&fd);
	sock_close(&other);
}

/* a process that fails before it was of use: nobody of the service is started for service_throttle_time */
static void
test_throttle(void **state)
{
	int	fd;

	(void) state;
	master_rig_begin("service_throttle_time = 7s\n", "x unix - n n - 5 childd count=count exit=3\ny unix - n n - 1 childd\n");
	assert_true((fd = rig_connect(&master_rig, "private/x")) >= 0);
	MASTER_RIG_UNTIL(rig_logged, "libexec/childd: bad command startup -- throttling for 7s");
	assert_true(rig_log_has("exit status 3"));
	assert_true(rig_log_has("warning: process "));
	idle();
	assert_int_equal(rig_lines(&master_rig, "count"), 1);
	assert_true(rig_pid(&master_rig, "private/y") > 0);	/* other services go on */
	ev_fake_advance(master_rig.loop, 6999);
	idle();
	assert_int_equal(rig_lines(&master_rig, "count"), 1);
	ev_fake_advance(master_rig.loop, 1);
	MASTER_RIG_UNTIL(started, "2");				/* the connection still waits */
	idle();
	assert_int_equal(rig_lines(&master_rig, "count"), 2);
	ev_fake_advance(master_rig.loop, 7000);
	MASTER_RIG_UNTIL(started, "3");				/* no growth */
	sock_close(&fd);
}

/* after use a failure is only logged: the next client gets a new process at once */
static void
test_failure_after_use(void **state)
{
	char   *reply;
	int	fd;
	pid_t	pid, next;

	(void) state;
	master_rig_begin("", "x unix - n n - 1 childd report\n");
	assert_true((fd = rig_connect(&master_rig, "private/x")) >= 0);
	pid = pid_of(fd);
	assert_null(reply = rig_ask(&master_rig, fd, "exit 4"));
	sock_close(&fd);
	MASTER_RIG_UNTIL(rig_logged, "exit status 4");
	assert_true((next = rig_pid(&master_rig, "private/x")) > 0);
	assert_true(next != pid);
	kill(next, SIGUSR1);
	MASTER_RIG_UNTIL(rig_logged, "killed by signal 10");
	assert_true(rig_pid(&master_rig, "private/x") > 0);
	assert_false(rig_log_has("throttling"));
}

/* the trap of contract 3.4: a process that exits 0 at once, while a client waits, must not be started without end */
static void
test_clean_but_useless(void **state)
{
	int	fd;

	(void) state;
	master_rig_begin("service_throttle_time = 1s\n", "x unix - n n - 5 childd count=count exit=0\n");
	assert_true((fd = rig_connect(&master_rig, "private/x")) >= 0);
	MASTER_RIG_UNTIL(rig_logged, "ended at once, without any use -- throttling for 100ms");
	idle();
	assert_int_equal(rig_lines(&master_rig, "count"), 1);
	for (int i = 0, pause = 100; i < 6; i++, pause = pause < 500 ? 2 * pause : 1000) {
		ev_fake_advance(master_rig.loop, pause - 1);
		idle();
		assert_int_equal(rig_lines(&master_rig, "count"), i + 1);
		ev_fake_advance(master_rig.loop, 1);
		char	want[16];
		snprintf(want, sizeof want, "%d", i + 2);
		MASTER_RIG_UNTIL(started, want);
		MASTER_RIG_UNTIL(rig_total_is, "private/x 0");
	}
	sock_close(&fd);
	assert_false(rig_log_has("exit status"));
}

/* one that idled before it left without a client is no failure: Postfix's daemons do so after max_idle */
static void
test_idle_exit(void **state)
{
	pid_t	pid;

	(void) state;
	master_rig_begin("", "x unix - n n - 1 childd\n");
	assert_true((pid = rig_pid(&master_rig, "private/x")) > 0);
	ev_fake_advance(master_rig.loop, 1000);
	assert_null(rig_ask_new(&master_rig, "private/x", "exit 0"));
	MASTER_RIG_UNTIL(rig_total_is, "private/x 0");
	assert_false(rig_service(&master_rig, "private/x")->paused);
	assert_string_equal(rig_log() + strlen(rig_log()) - 1, "\n");
	assert_false(rig_log_has("warning"));
}

/* prefork: there from the start, replaced at once when they were of use, and after a short pause when not */
static void
test_prefork(void **state)
{
	struct service *s;
	struct child *c;
	int	fd;
	pid_t	pid;

	(void) state;
	master_rig_begin("x_prefork_limit = 3\nservice_throttle_time = 1s\n", "x unix - n n - 4 childd count=count report\n");
	s = rig_service(&master_rig, "private/x");
	MASTER_RIG_UNTIL(started, "3");
	assert_int_equal(s->total, 3);
	assert_int_equal(s->avail, 3);

	/* used and killed: no pause */
	assert_true((pid = rig_pid(&master_rig, "private/x")) > 0);
	for (int i = 0; i < 3; i++) {
		c = child_find(&master_rig.super.children, pid);
		for (int k = 0; k < 1000 && c->uses == 0; k++)
			rig_turn(&master_rig, 10);
		assert_true(c->uses > 0);
		kill(pid, SIGKILL);
		char	want[16];
		snprintf(want, sizeof want, "%d", 4 + i);
		MASTER_RIG_UNTIL(started, want);
		assert_int_equal(s->total, 3);
		assert_true((pid = rig_pid(&master_rig, "private/x")) > 0);
	}
	assert_int_equal(rig_log_count("killed by signal 9"), 3);
	assert_false(rig_log_has("throttling"));

	/* unused and killed: pauses of 100, 200, 400, 800, 1000 ms, during which the others serve */
	rig_log_forget();
	assert_true((fd = rig_connect(&master_rig, "private/x")) >= 0);
	pid = pid_of(fd);
	for (int i = 0, pause = 100; i < 6; i++, pause = pause < 500 ? 2 * pause : 1000) {
		idle();
		TAILQ_FOREACH(c, &s->children, link)
			if (c->uses == 0)
				break;
		if (c == NULL)
			fail_msg("no unused process left; log:\n%s", rig_log());
		kill(c->pid, SIGKILL);
		MASTER_RIG_UNTIL(rig_total_is, "private/x 2");
		assert_int_equal(pid_of(fd), pid);
		ev_fake_advance(master_rig.loop, pause - 1);
		idle();
		assert_int_equal(s->total, 2);
		ev_fake_advance(master_rig.loop, 1);
		assert_int_equal(s->total, 3);
	}
	assert_int_equal(rig_log_count("bad command startup -- throttling for 1s"), 2);

	/* a process that was started since and is of use ends that: the next pause is short again */
	sock_close(&fd);
	TAILQ_FOREACH(c, &s->children, link)
		if (c->start_ms <= s->failed_ms)
			rig_freeze(c->pid);
	assert_true((fd = rig_connect(&master_rig, "private/x")) >= 0);
	pid_of(fd);
	for (int k = 0; k < 1000 && s->pause_ms != 0; k++)
		rig_turn(&master_rig, 10);
	assert_int_equal(s->pause_ms, 0);
	TAILQ_FOREACH(c, &s->children, link)
		kill(c->pid, SIGCONT);
	sock_close(&fd);
}

/* all crash at start: one pause for all of them, growing to the limit, never a tight loop */
static void
test_prefork_crash(void **state)
{
	int64_t waited = 0;
	struct service *s;

	(void) state;
	master_rig_begin("x_prefork_limit = 2\nservice_throttle_time = 60s\n", "x unix - n n - 4 childd count=count exit=1\n");
	s = rig_service(&master_rig, "private/x");
	for (int i = 0; i < 14; i++) {
		char	want[16];

		snprintf(want, sizeof want, "%d", 2 * (i + 1));
		MASTER_RIG_UNTIL(started, want);
		MASTER_RIG_UNTIL(rig_total_is, "private/x 0");
		assert_true(s->paused);
		waited += s->pause_ms;
		ev_fake_advance(master_rig.loop, s->pause_ms);
	}
	/* 0.1 + 0.2 + ... + 51.2 = 102.3 s, then 60 s each */
	assert_int_equal(waited, 102300 + 4 * 60000);
}

/* demand beyond the persistent ones, up to the limit, and back */
static void
test_prefork_and_demand(void **state)
{
	struct service *s;
	int	fd[3];
	pid_t	pid[3];

	(void) state;
	master_rig_begin("x_prefork_limit = 1\n", "x unix - n n - 3 childd\n");
	s = rig_service(&master_rig, "private/x");
	for (int i = 0; i < 3; i++) {
		assert_true((fd[i] = rig_connect(&master_rig, "private/x")) >= 0);
		pid[i] = pid_of(fd[i]);
		assert_int_equal(s->total, i + 1);
		say(fd[i], "taken");
		MASTER_RIG_UNTIL(rig_avail_is, "private/x 0");
		rig_freeze(pid[i]);
	}
	for (int i = 2; i >= 0; i--) {
		kill(pid[i], SIGCONT);
		say(fd[i], "avail");
		assert_null(rig_ask(&master_rig, fd[i], "exit 0"));
		sock_close(&fd[i]);
		if (i > 0)
			MASTER_RIG_UNTIL(rig_total_is, i == 2 ? "private/x 2" : "private/x 1");
	}
	/* the last one was among those that are always there */
	for (int k = 0; k < 1000 && child_find(&master_rig.super.children, pid[0]) != NULL; k++)
		rig_turn(&master_rig, 10);
	assert_int_equal(s->total, 1);
	assert_true(rig_pid(&master_rig, "private/x") > 0);
}

/* the last process that the limit allows is told of stress; the others see end of file, but still count */
static void
test_stress(void **state)
{
	struct service *s;
	char   *line, *argv, where[17] = ":";
	int	a, b, c;
	pid_t	first, second;

	(void) state;
	rig_port(where + 1);
	line = mem_printf("%s inet n n n - 2 childd count=count\n", where + 1);
	master_rig_begin("", line);
	mem_free(&line);
	s = rig_service(&master_rig, where + 1);
	assert_true(s->plan->remote);
	assert_true((a = rig_connect(&master_rig, where)) >= 0);
	first = pid_of(a);
	assert_non_null(argv = rig_ask(&master_rig, a, "argv"));
	assert_non_null(strstr(argv, "-o\nstress=\n"));
	mem_free(&argv);
	say(a, "taken");
	for (int k = 0; k < 1000 && s->avail > 0; k++)
		rig_turn(&master_rig, 10);
	rig_freeze(first);

	assert_true((b = rig_connect(&master_rig, where)) >= 0);
	second = pid_of(b);
	assert_true(second != first);
	assert_non_null(argv = rig_ask(&master_rig, b, "argv"));
	assert_non_null(strstr(argv, "-o\nstress=yes\n"));
	mem_free(&argv);
	say(b, "taken");
	for (int k = 0; k < 1000 && s->avail > 0; k++)
		rig_turn(&master_rig, 10);
	rig_freeze(second);
	assert_int_equal(s->total, 2);
	assert_int_equal(rig_log_count("has reached its process limit \"2\": new clients may experience noticeable delays"), 1);

	/* at the limit nothing happens, until the first, which sees the end of file and has one client left, is gone */
	kill(first, SIGCONT);
	assert_int_equal(pid_of(a), first);	/* and it has seen it */
	assert_true((c = rig_connect(&master_rig, where)) >= 0);
	idle();
	assert_int_equal(rig_lines(&master_rig, "count"), 2);
	sock_close(&a);
	MASTER_RIG_UNTIL(started, "3");
	assert_true(pid_of(c) != second);
	assert_false(rig_log_has("throttling"));

	/* 1000 s after the last such moment all is well again */
	kill(second, SIGCONT);
	sock_close(&b);
	sock_close(&c);
	ev_fake_advance(master_rig.loop, 999999);
	for (int i = 0; i < 2; i++) {
		assert_true(super_reload(&master_rig.super));		/* it ends the processes, but no stress */
		MASTER_RIG_UNTIL(rig_children_are, "0");
		assert_non_null(argv = rig_ask_new(&master_rig, where, "argv"));
		if (strstr(argv, i == 0 ? "-o\nstress=yes\n" : "-o\nstress=\n") == NULL)
			fail_msg("%d ms after: got %s", 999999 + i, argv);
		mem_free(&argv);
		ev_fake_advance(master_rig.loop, 1);
	}
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stress, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_on_demand, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_status, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_throttle, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_failure_after_use, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_clean_but_useless, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_idle_exit, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_prefork, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_prefork_crash, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_prefork_and_demand, master_rig_setup, master_rig_teardown),
	};

	rig_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
