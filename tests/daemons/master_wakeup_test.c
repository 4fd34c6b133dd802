/* tests/daemons/master_wakeup_test.c - triggers: bytes, intervals, and services that do not take them */
#include <daemons/master/wakeup.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/lib/master_rig.h>
#include <util/mem.h>

static bool
triggers(struct rig *r, const void *ctx)
{
	return rig_lines(r, "trigger") == (unsigned) atoi(ctx);
}

static void
expect_triggers(const char *n)
{
	if (!rig_until(&master_rig, triggers, n))
		fail_msg("got %u triggers, want %s; log: %s", rig_lines(&master_rig, "trigger"), n, rig_log());
	rig_turn(&master_rig, 50);
	if (!triggers(&master_rig, n))
		fail_msg("got %u triggers, want %s", rig_lines(&master_rig, "trigger"), n);
}

static void
test_bytes(void **state)
{
	static const struct { const char *entry, *bytes; } rows[] = {
		{ "x unix - n n 60 1 childd",	" 57 00\n" },
		{ "x pass - n n 60 1 childd",	" 57 00\n" },
		{ "x fifo - n n 60 1 childd",	" 57\n" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		char   *text, *want = mem_printf("x%s", rows[i].bytes);

		if (i > 0)
			rig_init(&master_rig, true);
		master_rig_begin(NULL, rows[i].entry);
		ev_fake_advance(master_rig.loop, 0);
		expect_triggers("1");
		text = rig_file(&master_rig, "trigger");
		if (strcmp(text, want) != 0)
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].entry, text, want);
		mem_free(&text);
		mem_free(&want);
		assert_false(rig_log_has("warning"));
		if (i + 1 < NELEM(rows))
			rig_fini(&master_rig);
	}
}

static void
test_inet(void **state)
{
	char	where[17] = ":", *text;

	(void) state;
	rig_port(where + 1);
	text = mem_printf("%s inet n n n 60 1 childd\n", where + 1);
	master_rig_begin(NULL, text);		/* the wildcard address */
	mem_free(&text);
	ev_fake_advance(master_rig.loop, 0);
	expect_triggers("1");
	text = rig_file(&master_rig, "trigger");
	assert_non_null(strstr(text, " 57 00\n"));
	mem_free(&text);
	assert_false(rig_log_has("warning"));
}

/* at once, then every interval; again at once after a reload */
static void
test_interval(void **state)
{
	(void) state;
	master_rig_begin(NULL, "x unix - n n 60 1 childd\n");
	ev_fake_advance(master_rig.loop, 0);
	expect_triggers("1");
	ev_fake_advance(master_rig.loop, 59999);
	expect_triggers("1");
	ev_fake_advance(master_rig.loop, 1);
	expect_triggers("2");
	ev_fake_advance(master_rig.loop, 60000);
	expect_triggers("3");
	ev_fake_advance(master_rig.loop, 30000);
	rig_turn(&master_rig, 20);
	assert_true(super_reload(&master_rig.super));
	ev_fake_advance(master_rig.loop, 0);
	expect_triggers("4");
	ev_fake_advance(master_rig.loop, 59999);
	expect_triggers("4");
	ev_fake_advance(master_rig.loop, 1);
	expect_triggers("5");
}

/* "60?": nothing until the service is used; then at once, and every interval */
static void
test_lazy(void **state)
{
	(void) state;
	master_rig_begin(NULL, "x unix - n n 60? 1 childd\n");
	ev_fake_advance(master_rig.loop, 200000);
	expect_triggers("0");
	assert_true(rig_pid(&master_rig, "private/x") > 0);
	ev_fake_advance(master_rig.loop, 0);
	expect_triggers("1");
	ev_fake_advance(master_rig.loop, 60000);
	expect_triggers("2");
	assert_true(super_reload(&master_rig.super));
	ev_fake_advance(master_rig.loop, 200000);
	expect_triggers("2");
	assert_true(rig_pid(&master_rig, "private/x") > 0);
	ev_fake_advance(master_rig.loop, 0);
	expect_triggers("3");
}

static void
test_dgram(void **state)
{
	(void) state;
	master_rig_begin(NULL, "x unix-dgram - n n 60 1 childd\n");
	ev_fake_advance(master_rig.loop, 0);
	assert_int_equal(rig_log_count("wake-up of service x(private/x): Operation not supported"), 1);
	ev_fake_advance(master_rig.loop, 60000);
	assert_int_equal(rig_log_count("wake-up of service x(private/x): Operation not supported"), 2);
}

/* a service that does not take its trigger: one connection, given up after a time limit, not one more each interval */
static void
test_stuck(void **state)
{
	unsigned before;
	struct child *c;

	(void) state;
	master_rig_begin(NULL, "x unix - n n 10 1 childd\n");
	assert_true(rig_pid(&master_rig, "private/x") > 0);
	expect_triggers("1");
	c = TAILQ_FIRST(&rig_service(&master_rig, "private/x")->children);
	rig_freeze(c->pid);
	ev_fake_advance(master_rig.loop, 10000);
	rig_turn(&master_rig, 50);
	assert_true(rig_service(&master_rig, "private/x")->wakeup.fd >= 0);
	before = rig_fds();
	for (int i = 0; i < 10; i++) {
		ev_fake_advance(master_rig.loop, 10000);
		rig_turn(&master_rig, 10);
	}
	assert_int_equal(rig_fds(), before);
	assert_int_equal(rig_log_count("Connection timed out"), 0);
	ev_fake_advance(master_rig.loop, 1000);
	rig_turn(&master_rig, 10);
	assert_int_equal(rig_log_count("wake-up of service x(private/x): Connection timed out"), 1);
	kill(c->pid, SIGCONT);
}

/* no trigger while the service is paused; a FIFO shows it, for it keeps every byte */
static void
test_paused(void **state)
{
	int	waiting = -1;

	(void) state;
	master_rig_begin(NULL, "x fifo - n n 10 1 childd count=count exit=1\n");
	ev_fake_advance(master_rig.loop, 0);
	assert_true(rig_until(&master_rig, rig_logged, "throttling"));
	for (int i = 0; i < 5; i++) {
		ev_fake_advance(master_rig.loop, 10000);
		rig_turn(&master_rig, 20);
	}
	assert_int_equal(rig_lines(&master_rig, "count"), 1);
	assert_int_equal(ioctl(rig_service(&master_rig, "private/x")->listen.fds[0], FIONREAD, &waiting), 0);
	assert_int_equal(waiting, 1);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_inet, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_interval, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_lazy, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_dgram, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_stuck, master_rig_setup, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_paused, master_rig_setup, master_rig_teardown),
	};

	rig_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
