/* tests/commands/vouch_control_test.c - start, status, reload, stop and the rest, with a real master and real workers */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <tests/lib/command.h>

#define NOBODY 65534

struct control {
	char   *dir, *etc, *main_cf, *pid_file;
	const char *vouch;	/* the program: "vouch", or an installed copy */
	struct command c;
};

/* control_run - vouch -c etc COMMAND, and what must come of it */
static void
control_run(struct control *t, const char *name, int code, const char *texts)
{
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, name, NULL);
	command_want(&t->c, name, code, texts);
}

static void
control_make(struct control *t)
{
	/* beside the vouch that is being tested: another may be where this user cannot go */
	const char *slash = strrchr(t->vouch, '/');
	char   *dir = mem_printf("%s/i", t->dir), *conf = mem_printf("%.*svouchconf",
		    slash != NULL ? (int) (slash + 1 - t->vouch) : 0, t->vouch);

	t->etc = mem_printf("%s/etc", dir);
	t->main_cf = mem_printf("%s/main.cf", t->etc);
	t->pid_file = mem_printf("%s/queue/pid/master.pid", dir);
	command_run(&t->c, t->vouch, "init", dir, NULL);
	command_want(&t->c, "init", 0, "made");
	command_fini(&t->c);
	command_run(&t->c, conf, "-c", t->etc, "-MX", "cleanup/unix", NULL);	/* nobody answers: addresses stay in progress */
	command_want(&t->c, "no submitter", 0, "");
	free(dir);
	free(conf);
}

static int
control_setup(void **state)
{
	struct control *t = mem_alloc(sizeof *t);

	t->dir = command_dir();
	t->vouch = "vouch";
	control_make(t);
	*state = t;
	return 0;
}

static int
control_teardown(void **state)
{
	struct control *t = *state;

	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "abort", NULL);	/* whatever the test left */
	command_fini(&t->c);
	command_remove(&t->dir);
	free(t->etc);
	free(t->main_cf);
	free(t->pid_file);
	free(t);
	return 0;
}

static long
control_pid(const struct control *t)
{
	char   *text = command_read(t->pid_file);
	long	pid = strtol(text, NULL, 10);

	free(text);
	return pid;
}

/* control_eventually - until path exists (or holds text), for at most 10 s */
static bool
control_eventually(const char *path, const char *text)
{
	const struct timespec tick = { 0, 20000000 };
	char   *content;
	bool	ok = false;

	for (int i = 0; i < 500 && !ok; i++) {
		if (command_exists(path)) {
			content = text != NULL ? command_read(path) : NULL;
			ok = text == NULL || strstr(content, text) != NULL;
			free(content);
		}
		if (!ok)
			nanosleep(&tick, NULL);
	}
	return ok;
}

static void
from_start_to_stop(void **state)
{
	struct control *t = *state;
	char   *want, *second = mem_printf("%s/second", t->dir), *file;
	long	pid;

	control_run(t, "status", 1, "not running");
	control_run(t, "start", 0, "started, pid ");
	pid = control_pid(t);
	want = mem_printf("running, pid %ld|verify: ", pid);
	control_run(t, "status", 0, want);
	free(want);

	want = mem_printf("already running, pid %ld", pid);
	control_run(t, "start", 1, want);
	control_run(t, "start-fg", 1, want);

	/* the same directories under another configuration */
	assert_int_equal(mkdir(second, 0755), 0);
	for (int i = 0; i < 2; i++) {
		static const char *const names[] = { "main.cf", "master.cf" };
		char   *from = mem_printf("%s/%s", t->etc, names[i]), *text = command_read(from);

		file = mem_printf("%s/%s", second, names[i]);
		command_write(file, text);
		free(text);
		free(from);
		free(file);
	}
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", second, "start", NULL);
	command_want(&t->c, "second instance", 1, want);

	/* another queue directory, but the same cache */
	file = mem_printf("%s/main.cf", second);
	command_append(file, "queue_directory = ");
	command_append(file, t->dir);
	command_append(file, "/q2\n");
	free(file);
	file = mem_printf("%s/q2", t->dir);
	assert_int_equal(mkdir(file, 0755), 0);
	free(file);
	free(want);
	want = mem_printf("parameter data_directory: |in use by another master, pid %ld|not started", pid);
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", second, "start", NULL);
	command_want(&t->c, "shared cache", 1, want);
	free(want);

	control_run(t, "stop", 0, "stopped");
	control_run(t, "status", 1, "not running");
	control_run(t, "stop", 1, "not running");
	control_run(t, "abort", 1, "not running");
	control_run(t, "reload", 1, "not running");
	free(second);
}

static void
stale_pid_file(void **state)
{
	struct control *t = *state;
	char   *text = mem_printf("%32ld\n", (long) getpid());	/* alive, and not a master */

	command_write(t->pid_file, text);
	assert_int_equal(chmod(t->pid_file, 0600), 0);
	control_run(t, "status", 1, "not running");
	control_run(t, "stop", 1, "not running");
	control_run(t, "start", 0, "started, pid ");
	assert_int_not_equal(control_pid(t), getpid());
	control_run(t, "abort", 0, "stopped");
	free(text);
}

/* somebody who is no master holds the lock: it is said, and nobody gets a signal */
static void
lock_of_a_stranger(void **state)
{
	struct control *t = *state;
	char   *text = mem_printf("%32ld\n", (long) getpid());
	int	fd;

	command_write(t->pid_file, text);
	fd = open(t->pid_file, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	control_run(t, "status", 1, "is no master");
	control_run(t, "stop", 1, "is no master");		/* and we are still here to see it */
	control_run(t, "abort", 1, "is no master");
	close(fd);
	control_run(t, "status", 1, "not running");
	free(text);
}

static void
reload_and_its_verdict(void **state)
{
	struct control *t = *state;
	char   *good = command_read(t->main_cf);
	long	pid;

	control_run(t, "start", 0, "started");
	pid = control_pid(t);
	control_run(t, "reload", 0, "reloaded, pid ");
	command_append(t->main_cf, "max_idle = 5y\nfoo bar\n");
	control_run(t, "reload", 1, "max_idle|foo bar|not reloaded, the old configuration stays in force");
	control_run(t, "status", 0, "running");
	assert_int_equal(control_pid(t), pid);
	command_write(t->main_cf, good);
	control_run(t, "reload", 0, "reloaded, pid ");

	/* the first query after all that is answered */
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "update", "a@b", "bounce", "550 5.1.1 no", NULL);
	command_want(&t->c, "update", 0, "");
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "query", "a@b", NULL);
	command_want(&t->c, "query", 1, "a@b: undeliverable (550 5.1.1 no)");
	control_run(t, "stop", 0, "stopped");
	free(good);
}

/* with nothing held back by the service, --wait asks again and again until the result is there */
static void
query_waits_for_a_result(void **state)
{
	struct control *t = *state;
	const struct timespec moment = { 0, 300000000 };
	char   *vouch = command_path(t->vouch);
	pid_t	pid;

	command_append(t->main_cf, "address_verify_hold_time = 0s\n");
	control_run(t, "start", 0, "started");
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "query", "a@b", NULL);
	command_want(&t->c, "query", 75, "a@b: in progress (Address verification in progress)");
	if ((pid = fork()) == 0) {
		nanosleep(&moment, NULL);
		execl(vouch, vouch, "-c", t->etc, "update", "a@b", "ok", "250 2.1.5 Ok", NULL);
		_exit(127);
	}
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "query", "--wait", "-t", "20", "a@b", NULL);
	command_want(&t->c, "query --wait", 0, "a@b: deliverable (250 2.1.5 Ok)");
	assert_in_range(t->c.ms, 200, 20000);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	control_run(t, "stop", 0, "stopped");
	free(vouch);
}

/* what the counters are called is global/stats.def's business; that they are counted and come out in each form is ours */
static void
stats_in_three_forms(void **state)
{
	static const struct { const char *form, *want; } cases[] = {
		{ NULL, "queries                           0 " },
		{ "--json", "{\"verify\":{\"queries\":0,|\"cache\":{\"bytes\":67108864," },
		{ "--prometheus", "# TYPE vouch_verify_queries_total counter\nvouch_verify_queries_total 0\n|"
		    "# TYPE vouch_cache_entries gauge\nvouch_cache_entries 1\n" },
	};
	struct control *t = *state;

	control_run(t, "start", 0, "started");
	command_fini(&t->c);		/* an answer: the cache is there */
	command_run(&t->c, t->vouch, "-c", t->etc, "update", "a@b", "ok", "250 2.1.5 Ok", NULL);
	command_want(&t->c, "update", 0, "");
	control_run(t, "stop", 0, "stopped");
	for (size_t i = 0; i < NELEM(cases); i++) {
		command_fini(&t->c);
		command_run(&t->c, t->vouch, "-c", t->etc, "stats", cases[i].form, NULL);
		command_want(&t->c, "stats", 0, cases[i].want);
	}
}

/* source: Prometheus, exposition formats, text format 0.0.4: for each metric HELP, TYPE, sample; names in its alphabet, each once */
static void
stats_for_prometheus(void **state)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:";
	struct control *t = *state;
	char   *out, *line, *save = NULL, name[128] = "", type[16], *seen;
	int	metrics = 0, at = 0;

	control_run(t, "start", 0, "started");
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "update", "a@b", "ok", "250 2.1.5 Ok", NULL);
	command_want(&t->c, "update", 0, "");
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "stats", "--prometheus", NULL);
	command_want(&t->c, "stats", 0, "");
	control_run(t, "stop", 0, "stopped");
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "stats", "--prometheus", NULL);
	out = mem_strdup(buf_str(&t->c.out));
	seen = mem_strdup(out);
	assert_int_equal(out[strlen(out) - 1], '\n');
	assert_null(strstr(out, "\n\n"));
	for (line = strtok_r(out, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save), at = (at + 1) % 3) {
		char   *end, *first;
		char	word[128], want[300];

		switch (at) {
		case 0:
			if (sscanf(line, "# HELP %127s %127s", name, word) != 2 || strspn(name, alphabet) != strlen(name) ||
			    (*name >= '0' && *name <= '9') || strchr(line, '\\') != NULL)
				fail_msg("no help: %s", line);
			snprintf(want, sizeof want, "# HELP %s ", name);
			first = strstr(seen, want);
			if (strstr(first + 1, want) != NULL)
				fail_msg("twice: %s", name);
			break;
		case 1:
			snprintf(want, sizeof want, "# TYPE %s ", name);
			if (strncmp(line, want, strlen(want)) != 0 || sscanf(line + strlen(want), "%15s", type) != 1 ||
			    (strcmp(type, "counter") != 0 && strcmp(type, "gauge") != 0))
				fail_msg("no type: %s", line);
			/* what counts is called so */
			assert_int_equal(strcmp(type, "counter") == 0, strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0);
			break;
		case 2:
			if (strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ' ')
				fail_msg("no sample of %s: %s", name, line);
			strtod(line + strlen(name) + 1, &end);
			if (end == line + strlen(name) + 1 || *end != 0)
				fail_msg("no number: %s", line);
			metrics++;
			break;
		}
	}
	assert_int_equal(at, 0);
	assert_true(metrics > 50);
	free(out);
	free(seen);
}

static void
top_counts_and_ends(void **state)
{
	struct control *t = *state;
	char   *path = command_path(t->vouch), *line, *second;
	double	first_rate, second_rate;

	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "top", "-n", "1", NULL);
	command_want(&t->c, "never started", 75, "verify_cache.vouch");
	control_run(t, "start", 0, "started");
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "update", "a@b", "ok", "250 2.1.5 Ok", NULL);
	command_want(&t->c, "update", 0, "");

	/* no terminal: a line for each interval, and the end after so many; an update meanwhile shows as a rate */
	command_fini(&t->c);
	command_run(&t->c, "/bin/sh", "-c", "\"$1\" -c \"$2\" top -i 700ms -n 2 & \"$1\" -c \"$2\" update x@y ok 250; "
	    "\"$1\" -c \"$2\" query a@b; wait $!", "sh", path, t->etc, NULL);
	command_want(&t->c, "top -n 2", 0, "a@b: deliverable| bounce=0.0 | database=none verify=|entries=2 ");
	line = strstr(buf_str(&t->c.out), "time=");
	assert_non_null(line);
	second = strstr(line + 1, "time=");
	assert_non_null(second);
	assert_null(strstr(second + 1, "time="));
	assert_null(strchr(line, '\033'));
	assert_int_equal(sscanf(strstr(line, " queries="), " queries=%lf", &first_rate), 1);
	assert_int_equal(sscanf(strstr(second, " queries="), " queries=%lf", &second_rate), 1);
	assert_true(first_rate + second_rate > 0);		/* a worker hands its counts over four times a second */
	assert_true(t->c.ms >= 1400);
	control_run(t, "stop", 0, "stopped");
	command_fini(&t->c);
	command_run(&t->c, t->vouch, "-c", t->etc, "top", "-i", "100ms", "-n", "1", NULL);
	command_want(&t->c, "stopped", 0, " queries=0.0 | hits=- | processes=0\n");
	for (const char *const *bad = (const char *const []) { "-n0", "-i0", "-i2h", "-ifast", "-x", "more", NULL }; *bad != NULL; bad++) {
		command_fini(&t->c);
		command_run(&t->c, t->vouch, "-c", t->etc, "top", *bad, NULL);
		command_want(&t->c, *bad, 2, "usage: vouch top");
	}
	free(path);
}

static void
abort_kills_what_stands_still(void **state)
{
	struct control *t = *state;
	pid_t	pid;

	control_run(t, "start", 0, "started");
	pid = (pid_t) control_pid(t);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	control_run(t, "abort", 0, "killed, pid was ");
	assert_true(t->c.ms < 10000);
	control_run(t, "status", 1, "not running");
}

static void
foreground_ends_with_zero(void **state)
{
	struct control *t = *state;
	static const int signals[] = { SIGTERM, SIGINT };

	for (size_t i = 0; i < NELEM(signals); i++) {
		char   *socket = mem_printf("%s/i/queue/private/verify", t->dir), *out = mem_printf("%s/out", t->dir), *said;
		char   *path = command_path("vouch");
		int	status;
		pid_t	pid;

		unlink(socket);
		if ((pid = fork()) == 0) {
			if (freopen(out, "w", stdout) == NULL || dup2(1, 2) < 0)
				_exit(126);
			execl(path, path, "-c", t->etc, "start-fg", NULL);
			_exit(127);
		}
		assert_true(control_eventually(socket, NULL));
		assert_true(control_eventually(out, "daemon started"));	/* log lines come to standard error, too */
		control_run(t, "status", 0, "running");
		assert_int_equal(control_pid(t), pid);
		assert_int_equal(kill(pid, signals[i]), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		said = command_read(out);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("signal %d: got status %x, want exit 0; said:\n%s", signals[i], status, said);
		control_run(t, "status", 1, "not running");
		free(said);
		free(path);
		free(out);
		free(socket);
	}
}

static void
log_is_rotated(void **state)
{
	struct control *t = *state;
	char   *log = mem_printf("%s/i/log/vouch.log", t->dir), *old = mem_printf("%s.1", log);

	command_append(t->main_cf, "maillog_file_rotate_suffix = 1\n");
	control_run(t, "start", 0, "started");
	assert_true(control_eventually(log, "daemon started"));
	control_run(t, "logrotate", 0, "is now");
	assert_true(control_eventually(old, "daemon started"));
	control_run(t, "logrotate", 1, "cannot rename");	/* the old one is never overwritten */
	control_run(t, "stop", 0, "stopped");
	assert_true(control_eventually(log, "terminating"));	/* the new file is in use */
	free(log);
	free(old);
}

static void
an_ordinary_user_controls_his_own(void **state)
{
	struct control *t;
	char   *vouch, *mine;
	(void) state;

	if (geteuid() != 0) {
		print_message("not root: the other tests of this file have run as an ordinary user\n");
		skip();
	}
	t = mem_alloc(sizeof *t);
	t->dir = command_dir();
	t->vouch = vouch = command_install(t->dir);
	t->c.uid = NOBODY;
	mine = mem_printf("%s/mine", t->dir);
	assert_int_equal(mkdir(mine, 0755), 0);
	assert_int_equal(chown(mine, NOBODY, NOBODY), 0);
	free(t->dir);
	t->dir = mine;
	control_make(t);
	control_run(t, "start", 0, "started");
	command_fini(&t->c);
	command_run(&t->c, vouch, "-c", t->etc, "update", "a@b", "ok", "250 2.1.5 Ok", NULL);
	command_want(&t->c, "update", 0, "");
	command_fini(&t->c);
	command_run(&t->c, vouch, "-c", t->etc, "query", "a@b", NULL);
	command_want(&t->c, "query", 0, "a@b: deliverable (250 2.1.5 Ok)");
	control_run(t, "reload", 0, "reloaded");
	control_run(t, "stats", 0, "cache_entries                     1 ");
	control_run(t, "stop", 0, "stopped");
	*strrchr(mine, '/') = 0;		/* all of it */
	control_teardown((void **) &t);
	free(vouch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(from_start_to_stop, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(stale_pid_file, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(lock_of_a_stranger, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(reload_and_its_verdict, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(query_waits_for_a_result, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(stats_in_three_forms, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(stats_for_prometheus, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(top_counts_and_ends, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(abort_kills_what_stands_still, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(foreground_ends_with_zero, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(log_is_rotated, control_setup, control_teardown),
		cmocka_unit_test(an_ordinary_user_controls_his_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
