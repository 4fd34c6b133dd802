/* tests/daemons/master_spawn_test.c - what a child finds when it starts: spec master-child-contract section 1 */
#include <daemons/master/spawn.h>

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

#ifdef __SANITIZE_ADDRESS__		/* the sanitizer in the child catches SEGV, BUS and FPE for itself */
#define CAUGHT "00000000000004c0"
#else
#define CAUGHT "0000000000000000"
#endif

static char *
joined(char **argv)
{
	struct buf b = BUF_INIT(4096);

	for (; *argv != NULL; argv++)
		buf_addf(&b, "%s%s", b.len > 0 ? "|" : "", *argv);
	return buf_take(&b);
}

static void
test_argv(void **state)
{
	static const struct { const char *line; size_t listeners; bool debug, verbose, stress; const char *want; } rows[] = {
		/* those that the specification shows, with the name of the program there is here */
		{ "childd unix - - y - 1 childd", 1, false, false, false,	"childd|-l|-t|unix|-u|-c" },
		{ "post unix-dgram n - n - 1 childd", 1, false, false, false,	"childd|-l|-n|post|-t|unix-dgram|-u" },
		{ "childd unix n - n - 0 childd", 1, false, false, false,	"childd|-z|-t|unix|-u" },
		{ "127.0.0.1:2525 inet n - n - - childd", 1, false, false, false, "childd|-n|127.0.0.1:2525|-t|inet|-u" },
		{ "12631 inet n - n - 1 childd", 2, false, false, false,	"childd|-l|-n|12631|-t|inet|-u|-s|2" },
		{ "smtpd pass - - n - - childd", 1, false, false, false,	"childd|-n|smtpd|-t|pass|-u|-o|stress=" },
		/* the other options */
		{ "smtpd pass - - n - - childd", 1, false, false, true,		"childd|-n|smtpd|-t|pass|-u|-o|stress=yes" },
		{ "12631 inet n - n - 5 childd", 1, false, false, true,		"childd|-n|12631|-t|inet|-u|-o|stress=yes" },
		{ "12631 inet n - n - 1 childd", 1, false, false, true,		"childd|-l|-n|12631|-t|inet|-u" },
		{ "12631 inet n - n - 0 childd", 1, false, false, true,		"childd|-z|-n|12631|-t|inet|-u" },
		{ "127.0.0.1:2525 inet n - n - 9 childd", 1, false, false, true, "childd|-n|127.0.0.1:2525|-t|inet|-u" },
		{ "childd fifo - n n - 2 childd", 1, false, false, true,	"childd|-t|fifo" },
		{ "childd unix - n n - 2 childd", 1, true, true, false,		"childd|-t|unix|-d|-v" },
		{ "x unix - - n - 1 ../libexec/childd", 1, false, false, false,	"../libexec/childd|-l|-n|x|-t|unix|-u" },
		{ "childd unix - - n - 2 ../libexec/childd", 1, false, false, false, "../libexec/childd|-t|unix|-u" },
		{ "childd unix - n n - 2 childd -v -o { a = b  c } {} {x y} end", 1, false, false, false,
		  "childd|-t|unix|-v|-o|a = b  c||x y|end" },
	};
	struct buf why = BUF_INIT(1000);
	char   *etc = mem_printf("%s/etc", master_rig.dir);

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct spawn sp = { .debug = rows[i].debug, .verbose = rows[i].verbose };
		struct plan *p;
		char  **argv, *got;

		/* a chrooted service is refused without root: then the entry is changed after it was read */
		rig_master_cf(&master_rig, rows[i].line);
		if (geteuid() != 0 && strstr(rows[i].line, " y - ") != NULL)
			continue;
		if ((p = plan_load(etc, NULL, &why)) == NULL)
			fail_msg("%s: %s", rows[i].line, buf_str(&why));
		argv = spawn_argv(&sp, TAILQ_FIRST(&p->services), rows[i].listeners, rows[i].stress);
		got = joined(argv);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: got %s, want %s", rows[i].line, got, rows[i].want);
		mem_free(&got);
		spawn_free_vector(&argv);
		plan_free(&p);
	}
	mem_free(&etc);
	buf_fini(&why);
}

static void
test_env(void **state)
{
	char   *const ours[] = { (char[]) { "PATH=/bin" }, (char[]) { "TZ=Europe/Berlin" }, (char[]) { "MAIL_CONFIG=/wrong" },
	    (char[]) { "TZX=1" }, (char[]) { "POSTLOG_SERVICE=/old" }, (char[]) { "HOME=/root" }, NULL };
	static const struct { const char *main_cf, *want; } rows[] = {
		{ "maillog_file =\n", "MAIL_CONFIG=@/etc|MAIL_LOGTAG=postfix|TZ=Europe/Berlin|LANG=C|VOUCH_DRAIN_MS=100000|GENERATION=" },
		{ "maillog_file = /x/log\nsyslog_name = mx\napplication_event_drain_time = 7s\n",
		  "MAIL_CONFIG=@/etc|MAIL_LOGTAG=mx|TZ=Europe/Berlin|LANG=C|POSTLOG_SERVICE=@/queue/public/postlog|"
		  "POSTLOG_HOSTNAME=mx.example|VOUCH_DRAIN_MS=7000|GENERATION=" },
		{ "maillog_file =\nimport_environment = HOME, A=b { C = d e  },X=\n",
		  "HOME=/root|A=b|C=d e|X=|MAIL_CONFIG=@/etc|VOUCH_DRAIN_MS=100000|GENERATION=" },
		{ "maillog_file =\nimport_environment =\n", "MAIL_CONFIG=@/etc|VOUCH_DRAIN_MS=100000|GENERATION=" },
		{ "maillog_file =\nimport_environment = { } { x\n", "MAIL_CONFIG=@/etc|VOUCH_DRAIN_MS=100000|GENERATION=" },
	};
	struct buf why = BUF_INIT(1000);
	char   *etc = mem_printf("%s/etc", master_rig.dir);

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct buf want = BUF_INIT(4096);
		struct spawn sp;
		struct plan *p;
		char   *got;

		rig_main_cf(&master_rig, rows[i].main_cf);
		if ((p = plan_load(etc, NULL, &why)) == NULL)
			fail_msg("%s: %s", rows[i].main_cf, buf_str(&why));
		assert_int_equal(spawn_init(&sp, &why), 0);
		sp.env = NULL;
		for (const char *c = rows[i].want; *c != 0; c++)
			if (*c == '@')
				buf_adds(&want, master_rig.dir);
			else
				buf_addc(&want, *c);
		spawn_env(&sp, p, ours);
		got = joined(sp.env);
		if (strcmp(got, buf_str(&want)) != 0)
			fail_msg("%s: got %s, want %s", rows[i].main_cf, got, buf_str(&want));
		mem_free(&got);
		buf_fini(&want);
		spawn_fini(&sp);
		plan_free(&p);
	}
	mem_free(&etc);
	buf_fini(&why);
}

static void
expect(const char *where, const char *request, const char *want)
{
	char   *got = rig_ask_new(&master_rig, where, request);

	if (got == NULL || strcmp(got, want) != 0)
		fail_msg("%s, %s: got \"%s\", want \"%s\"", where, request, got != NULL ? got : "(nothing)", want);
	mem_free(&got);
}

/* the contract as the child sees it, through a whole master */
static void
test_child_view(void **state)
{
	static const char flow[] = "3 pipe r nonblock\n4 pipe w nonblock\n5 unix stream rw\n";
	char   *want, *got, *cwd = mem_printf("%s/queue", master_rig.dir), port[17] = ":";
	mode_t	old = umask(022);
	sigset_t hup;
	int	leak;

	(void) state;
	/* what must not reach a child: descriptors, blocked and ignored signals, the umask */
	assert_true((leak = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0);
	assert_true(fcntl(leak, F_DUPFD_CLOEXEC, 200) >= 0);
	sigemptyset(&hup);
	sigaddset(&hup, SIGUSR1);
	sigprocmask(SIG_BLOCK, &hup, NULL);
	signal(SIGUSR2, SIG_IGN);

	rig_main_cf(&master_rig, "inet_interfaces = 127.0.0.1, 127.0.0.2\nimport_environment = LANG=C MAIL_CONFIG\n");
	rig_port(port + 1);
	want = mem_printf("childd unix - n n - 0 childd\nd unix-dgram - n n - 1 childd\n%s inet n n n - 1 childd\n", port + 1);
	rig_master_cf(&master_rig, want);
	mem_free(&want);
	if (!rig_start(&master_rig))
		fail_msg("%s", buf_str(&master_rig.why));

	want = mem_printf("0 /dev/null rw\n1 /dev/null rw\n2 /dev/null rw\n%s6 unix stream listening private/childd rw nonblock",
	    flow);
	expect("private/childd", "fds", want);
	mem_free(&want);
	want = mem_printf("0 /dev/null rw\n1 /dev/null rw\n2 /dev/null rw\n%s6 inet stream listening reuseaddr port rw nonblock\n"
	    "7 inet stream listening reuseaddr port rw nonblock", flow);
	expect(port, "fds", want);
	mem_free(&want);
	expect("private/childd", "argv", "childd\n-z\n-t\nunix");
	want = mem_printf("childd\n-l\n-n\n%s\n-t\ninet\n-s\n2", port + 1);
	expect(port, "argv", want);
	mem_free(&want);
	expect("private/childd", "umask", "077");
	expect("private/childd", "cwd", cwd);
	expect("private/childd", "limit", "soft is hard");
	expect("private/childd", "signals", "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t" CAUGHT);
	expect("private/childd", "generation", "1");
	expect(port, "generation", "2");
	want = mem_printf("LANG=C\nMAIL_CONFIG=%s/etc\nVOUCH_DRAIN_MS=100000\nGENERATION=1", master_rig.dir);
	expect("private/childd", "env", want);
	mem_free(&want);
	want = mem_printf("ppid %ld pgrp %ld sid %ld uid %ld euid %ld gid %ld", (long) getpid(), (long) getpgrp(),
	    (long) getsid(0), (long) getuid(), (long) geteuid(), (long) getgid());
	expect("private/childd", "ids", want);
	mem_free(&want);

	/* the ninth process of all services together is generation 11 */
	master_rig.super.spawn.forks = 8;
	got = rig_ask_new(&master_rig, "private/childd", "exit 0");
	mem_free(&got);
	got = rig_ask_new(&master_rig, "private/childd", "env");
	assert_non_null(got);
	assert_non_null(strstr(got, "GENERATION=11"));
	mem_free(&got);

	sigprocmask(SIG_UNBLOCK, &hup, NULL);
	signal(SIGUSR2, SIG_DFL);
	umask(old);
	mem_free(&cwd);
	close(leak);
	closefrom(200);
}

/* more listeners than there are descriptors between the master's own and theirs */
static void
test_many_listeners(void **state)
{
	struct buf text = BUF_INIT(8192);
	char   *got, *line, port[16];
	unsigned lines = 1;
	int	fd, low[40];

	(void) state;
	/* the master's own descriptors begin high, and the low ones, where the child's will be, are free when it forks */
	rig_fini(&master_rig);
	for (size_t i = 0; i < NELEM(low); i++)
		assert_true((low[i] = dup(STDERR_FILENO)) > 0);
	rig_init(&master_rig, false);
	buf_adds(&text, "inet_interfaces =");
	for (int i = 1; i <= 60; i++)
		buf_addf(&text, " 127.0.1.%d", i);
	buf_adds(&text, "\n");
	rig_main_cf(&master_rig, buf_str(&text));
	rig_port(port);
	line = mem_printf("%s inet n n n - 1 childd\n", port);
	rig_master_cf(&master_rig, line);
	mem_free(&line);
	if (!rig_start(&master_rig))
		fail_msg("%s", buf_str(&master_rig.why));
	assert_true((fd = sock_inet_connect("127.0.1.60", port, false)) >= 0);
	for (size_t i = 0; i < NELEM(low); i++)
		close(low[i]);
	got = rig_ask(&master_rig, fd, "fds");
	assert_non_null(got);
	for (const char *p = got; *p != 0; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 6 + 60);
	assert_non_null(strstr(got, "\n5 unix stream rw\n6 inet"));
	assert_non_null(strstr(got, "\n65 inet stream listening"));
	close(fd);
	mem_free(&got);
	buf_fini(&text);
}

static void
test_no_exec(void **state)
{
	char	path[100];
	int	fd;

	(void) state;
	snprintf(path, sizeof path, "%s/libexec/noformat", master_rig.dir);
	assert_true((fd = open(path, O_WRONLY | O_CREAT, 0755)) >= 0);
	fchmod(fd, 0755);
	assert_int_equal(write(fd, "\x7f" "ELF", 4), 4);
	close(fd);
	rig_master_cf(&master_rig, "x unix - n n - 1 noformat\n");
	assert_true(rig_start(&master_rig));
	fd = rig_connect(&master_rig, "private/x");
	assert_true(rig_until(&master_rig, rig_logged, "exit status 127: it could not be executed"));
	assert_true(rig_log_has("libexec/noformat: bad command startup -- throttling for 1m"));
	close(fd);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_argv, master_rig_setup_clock, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_env, master_rig_setup_clock, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_child_view, master_rig_setup_clock, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_many_listeners, master_rig_setup_clock, master_rig_teardown),
		cmocka_unit_test_setup_teardown(test_no_exec, master_rig_setup_clock, master_rig_teardown),
	};

	rig_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
