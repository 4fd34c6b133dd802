/* tests/commands/vouch_ask_test.c - vouch query, update and stats: words, JSON, exit codes, and that no service can make
 * them wait longer than they were told to
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <tests/lib/command.h>
#include <tests/lib/verify_stub.h>

static struct ask_test {
	char   *dir, *etc;
	struct command c;
} t;

static int
ask_setup(void **state)
{
	char   *dir;

	(void) state;
	t.dir = command_dir();
	dir = mem_printf("%s/i", t.dir);
	t.etc = mem_printf("%s/etc", dir);
	command_run(&t.c, "vouch", "init", dir, NULL);
	command_want(&t.c, "init", 0, "made");
	free(dir);
	return 0;
}

static int
ask_teardown(void **state)
{
	(void) state;
	command_fini(&t.c);
	command_remove(&t.dir);
	mem_free(&t.etc);
	return 0;
}

static struct verify_stub ask_stub;
static enum verify_stub_mode ask_next;

static void
ask_change(void *ctx)
{
	(void) ctx;
	verify_stub_script(&ask_stub, ask_next);
}

/* ask_serve_then - a scripted service where the instance's verify would be, in a process of its own; after half a second it does
 * what next says */
static pid_t
ask_serve_then(enum verify_stub_mode mode, enum verify_stub_mode next)
{
	struct ev_timer timer = { 0 };
	char   *queue = mem_printf("%s/i/queue", t.dir);
	struct ev_loop *loop;
	int	ready[2];
	char	byte;
	pid_t	pid;

	assert_int_equal(pipe(ready), 0);
	if ((pid = fork()) == 0) {
		loop = ev_loop_new();
		if (chdir(queue) < 0 || verify_stub_open(&ask_stub, loop, "private/verify", 64) < 0)
			_exit(1);
		verify_stub_script(&ask_stub, mode);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		ask_next = next;
		ev_timer_set(loop, &timer, 500, ask_change, NULL);
		ev_run(loop);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	free(queue);
	return pid;
}

static pid_t
ask_serve(enum verify_stub_mode mode)
{
	return ask_serve_then(mode, mode);
}

static void
ask_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
answers_and_exit_codes(void **state)
{
	static const struct { const char *name, *a, *b, *c; int code; const char *out; } cases[] = {
		{ "deliverable", "0@x", NULL, NULL, 0, "0@x: deliverable (text for 0@x)\n" },
		{ "deferred", "1@x", NULL, NULL, 75, "1@x: deferred (text for 1@x)\n" },
		{ "undeliverable", "2@x", NULL, NULL, 1, "2@x: undeliverable (text for 2@x)\n" },
		{ "in progress", "3@x", NULL, NULL, 75, "3@x: in progress (text for 3@x)\n" },
		{ "all good", "0@x", "0@y", NULL, 0, "0@x: deliverable (text for 0@x)\n0@y: deliverable (text for 0@y)\n" },
		{ "one bad, all final", "0@x", "2@x", "0@y", 1,
		  "0@x: deliverable (text for 0@x)\n2@x: undeliverable (text for 2@x)\n0@y: deliverable (text for 0@y)\n" },
		{ "one bad, one may change", "2@x", "1@x", NULL, 75,
		  "2@x: undeliverable (text for 2@x)\n1@x: deferred (text for 1@x)\n" },
		{ "JSON", "--json", "2@x", "0 \"a\\b\"@x", 1,
		  "{\"address\":\"2@x\",\"status\":\"undeliverable\",\"code\":2,\"reason\":\"text for 2@x\"}\n"
		  "{\"address\":\"0 \\\"a\\\\b\\\"@x\",\"status\":\"deliverable\",\"code\":0,\"reason\":\"text for 0 \\\"a\\\\b\\\"@x\"}\n" },
		{ "an address that looks like an option", "--", "-t@x", NULL, 75, "-t@x: in progress (text for -t@x)\n" },
		{ "option after the address", "1@x", "--json", NULL, 75,
		  "{\"address\":\"1@x\",\"status\":\"deferred\",\"code\":1,\"reason\":\"text for 1@x\"}\n" },
		{ "control characters of a reply", "0\x1b[2J@x", NULL, NULL, 0, "0\x1b[2J@x: deliverable (text for 0?[2J@x)\n" },
	};
	pid_t	pid = ask_serve(VSTUB_GOOD);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		command_fini(&t.c);
		command_run(&t.c, "vouch", "-c", t.etc, "query", cases[i].a, cases[i].b, cases[i].c, NULL);
		command_want(&t.c, cases[i].name, cases[i].code, "");
		if (strcmp(buf_str(&t.c.out), cases[i].out) != 0)
			fail_msg("%s: got\n%swant\n%s", cases[i].name, buf_str(&t.c.out), cases[i].out);
	}
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "query", "--wait", "-t", "1", "0@x", "3@x", NULL);
	command_want(&t.c, "never finished", 75, "0@x: deliverable|3@x: in progress");
	assert_in_range(t.c.ms, 300, 10000);
	ask_end(pid);
}

/* a service that holds its reply when the time is up: what it said before stands */
static void
held_at_the_end(void **state)
{
	pid_t	pid = ask_serve_then(VSTUB_GOOD, VSTUB_HANG);

	(void) state;
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "query", "--wait", "-t", "2", "3@x", NULL);
	command_want(&t.c, "held", 75, "3@x: in progress (text for 3@x)");
	ask_end(pid);
}

static void
updates(void **state)
{
	static const struct { const char *name, *addr, *status; int code; const char *said; } cases[] = {
		{ "ok", "a@x", "ok", 0, "" },
		{ "by number", "a@x", "2", 0, "" },
		{ "by the word of query", "a@x", "undeliverable", 0, "" },
		{ "refused by the service", "!a@x", "ok", 1, "!a@x: the verify service refused the update" },
		{ "no status", "a@x", "good", 2, "STATUS is ok, defer or bounce" },
		{ "negative", "a@x", "-1", 2, "STATUS is ok, defer or bounce" },
	};
	pid_t	pid = ask_serve(VSTUB_GOOD);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		command_fini(&t.c);
		command_run(&t.c, "vouch", "-c", t.etc, "update", cases[i].addr, cases[i].status, "text", NULL);
		command_want(&t.c, cases[i].name, cases[i].code, cases[i].said);
	}
	ask_end(pid);
}

static void
nobody_keeps_it_waiting(void **state)
{
	static const enum verify_stub_mode modes[] = { VSTUB_IGNORE, VSTUB_CLOSE, VSTUB_SILENT, VSTUB_BADNAME, VSTUB_GARBAGE,
		VSTUB_EOF, VSTUB_HANG, VSTUB_HALF, VSTUB_FLOOD, VSTUB_BADNUM, VSTUB_BADSTATUS, VSTUB_MISSING };
	pid_t	pid;

	(void) state;
	for (size_t i = 0; i < NELEM(modes); i++) {
		pid = ask_serve(modes[i]);
		command_fini(&t.c);
		command_run(&t.c, "vouch", "-c", t.etc, "query", "-t", "1", "0@x", "0@y", NULL);
		command_want(&t.c, "hostile service", 75, "0@x: no answer (|0@y: no answer (");
		if (strstr(buf_str(&t.c.out), "private/verify: private/verify") != NULL)
			fail_msg("mode %d: the socket is named twice: %s", (int) modes[i], buf_str(&t.c.out));
		if (t.c.ms > 10000)
			fail_msg("mode %d: -t 1 took %ld ms", (int) modes[i], t.c.ms);
		ask_end(pid);
	}

	/* the socket is left, nobody listens */
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "query", "0@x", NULL);
	command_want(&t.c, "nobody listens", 75, "i/queue/private/verify: Connection refused; see 'vouch status' and the log");
	assert_true(t.c.ms < 10000);
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "query", "--wait", "-t", "1", "--json", "0@x", NULL);
	command_want(&t.c, "nobody listens, waiting", 75, "\"status\":\"no answer\",\"code\":-1|i/queue/private/verify: Connection refused; see");
	assert_in_range(t.c.ms, 300, 10000);
}

/* addresses about which nothing can be kept: explain says what the service will do */
static void
explain_the_impossible(void **state)
{
	char	*longest = mem_alloc(8194);

	(void) state;
	memset(longest, 'a', 8193);
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "explain", longest, NULL);
	command_want(&t.c, "too long", 0, "defer: Address verification status unavailable\n  probe      no: the address is longer than 8192");
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "explain", longest + 1, NULL);
	command_want(&t.c, "as long as may be", 0, "in progress: |probe      yes\n");
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "explain", "\xff@x", NULL);
	command_want(&t.c, "not UTF-8", 0, "in progress: |cannot be kept: the address is not UTF-8");
	free(longest);
}

static void
stats_without_a_cache(void **state)
{
	char   *file = mem_printf("%s/i/data/verify_cache.vouch", t.dir);

	(void) state;
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "stats", NULL);
	command_want(&t.c, "no file", 75, "verify_cache.vouch");
	assert_false(command_exists(file));
	command_write(file, "this is no cache file");
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "stats", "--json", NULL);
	command_want(&t.c, "no cache file", 75, "verify_cache.vouch");
	command_fini(&t.c);
	command_run(&t.c, "vouch", "-c", t.etc, "stats", "--xml", NULL);
	command_want(&t.c, "unknown form", 2, "usage: vouch stats");
	free(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_and_exit_codes),
		cmocka_unit_test(held_at_the_end),
		cmocka_unit_test(updates),
		cmocka_unit_test(nobody_keeps_it_waiting),
		cmocka_unit_test(explain_the_impossible),
		cmocka_unit_test(stats_without_a_cache),
	};

	return cmocka_run_group_tests(tests, ask_setup, ask_teardown);
}
