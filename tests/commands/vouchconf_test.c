/* tests/commands/vouchconf_test.c - the program as scripts use it: output, exit code, files afterwards
 * Where Debian's postconf(1) is installed, both are given the same files and must agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <global/master_cf.h>
#include <global/params.h>

#define ARGS_MAX	256
#define POSTCONF	"/usr/sbin/postconf"

static char *vouchconf_test_program;

struct result {
	char   *out, *err;
	int	status;			/* exit code; -1 = killed */
};

static void
vouchconf_test_put(const char *path, const char *text)
{
	struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	FILE   *fp = fopen(path, "w");

	assert_non_null(fp);
	fputs(text, fp);
	fclose(fp);
	/* postconf waits for a file that was just written to cool down */
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

static char *
vouchconf_test_get(const char *path)
{
	struct buf text = BUF_INIT(1 << 20);

	assert_int_equal(buf_read_file(&text, AT_FDCWD, path), 0);
	return buf_take(&text);
}

/* run a program under the name "conf", in our directory; args begin behind argv[0] and end with NULL */
static struct result
vouchconf_test_exec(const char *program, const char *const *args)
{
	const char *argv[ARGS_MAX + 2] = { "conf" };
	struct result r;
	int	status = 0;
	pid_t	pid;

	for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++)
		argv[i + 1] = args[i];
	if ((pid = fork()) == 0) {
		dup2(open("stdout", O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
		dup2(open("stderr", O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
		execv(program, (char *const *) argv);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	r.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	r.out = vouchconf_test_get("stdout");
	r.err = vouchconf_test_get("stderr");
	return r;
}

static void
vouchconf_test_done(struct result *r)
{
	mem_free(&r->out);
	mem_free(&r->err);
}

/* the arguments of one case as a line, for messages */
static const char *
vouchconf_test_line(const char *const *args)
{
	static char line[1000];

	*line = 0;
	for (size_t i = 0; args[i] != NULL && strlen(line) + strlen(args[i]) + 8 < sizeof line; i++)
		sprintf(line + strlen(line), " [%s]", args[i]);
	return line;
}

#define MAIN "# head\nmax_idle = 5\nu1=x   $u2\nu2 = y\n\nmax_use\n  = 3\nstress = $u1  a\tb\n  c\nodd = $u1\n"
#define MASTER "# head\nv     unix  -       -       n       -       4       verify\n  -o max_use=7 -o { stress = a  b }\n" \
	"# mine\n  -v x\n# next\n25 inet n - - - - smtpd {} { p q }\n"

static void
vouchconf_test_show(void **state)
{
	static const struct {
		const char *args[12];
		int	    status;
		const char *out, *err;		/* err NULL: not looked at */
	} cases[] = {
		{ { "-qn" }, 0, "config_directory = .\nmax_idle = 5\nmax_use = 3\nstress = $u1 a b c\nu1 = x $u2\nu2 = y\n", "" },
		{ { "-n", "u1", "ipc_ttl", "max_use" }, 0, "u1 = x $u2\nmax_use = 3\n",
		  "conf: warning: ./main.cf: unused parameter: odd=$u1\n" },
		{ { "-qnx", "stress", "u1" }, 0, "stress = x y a b c\nu1 = x y\n", "" },
		{ { "-qh", "max_idle", "ipc_ttl" }, 0, "5\n1000s\n", "" },
		{ { "-qH", "max_idle", "ipc_ttl" }, 0, "max_idle\nipc_ttl\n", "" },
		{ { "-qj", "stress", "odd" }, 0, "{\"stress\":\"$u1 a b c\"}\n", "conf: warning: odd: unknown parameter\n" },
		/* unknown is a warning, and nothing on stdout */
		{ { "-qh", "nosuch" }, 0, "", "conf: warning: nosuch: unknown parameter\n" },
		{ { "-d", "max_idle", "u1" }, 0, "max_idle = 100s\n", "conf: warning: u1: unknown parameter\n" },
		{ { "-dh", "config_directory" }, 0, "/etc/vouch\n", "" },
		{ { "-dx", "address_verify_defer_expire_time" }, 0, "address_verify_defer_expire_time = 3d\n", "" },
		{ { "-q", "config_directory", "v_prefork_limit" }, 0, "config_directory = .\nv_prefork_limit = 0\n", "" },
		{ { "-q", "-o", "max_idle=9", "-o", "u2= z ", "-x", "max_idle", "u1" }, 0, "max_idle = 9\nu1 = x z\n", "" },
		{ { "-q", "-x", "-o", "max_idle=${", "max_idle", "max_use" }, 1, "max_use = 3\n",
		  "conf: fatal: parameter max_idle: truncated macro reference: \"${\"\n" },
		{ { "-qo", "address_verify_map=pgsql:host=h password=s3cret", "address_verify_map" }, 0,
		  "address_verify_map = pgsql:host=h password=***\n", "" },
		{ { "-q", "process_name" }, 0, "process_name = vouchconf\n", "" },
		{ { "-o", "max_idle" }, 2, "", "conf: fatal: invalid parameter override: missing '=' after attribute name: \"max_idle\"\n" },
		/* master.cf */
		{ { "-qM" }, 0,
		  "v          unix  -       -       n       -       4       verify -o max_use=7 -o {stress=a  b} -v x\n"
		  "25         inet  n       -       -       -       -       smtpd {} {p q}\n", "" },
		{ { "-qMf", "v" }, 0, "v          unix  -       -       n       -       4       verify\n"
		  "    -o max_use=7\n    -o {stress=a  b}\n    -v x\n", "" },
		{ { "-qM", "*/inet", "v/unix", "v/inet" }, 0,
		  "25         inet  n       -       -       -       -       smtpd {} {p q}\n"
		  "v          unix  -       -       n       -       4       verify -o max_use=7 -o {stress=a  b} -v x\n",
		  "conf: warning: unmatched request: \"v/inet\"\n" },
		{ { "-qF", "v/unix/process_limit", "*/*/service" }, 0,
		  "v/unix/process_limit = 4\nv/unix/service = v\n25/inet/service = 25\n", "" },
		{ { "-qFh", "*/*/command" }, 0, "verify -o max_use=7 -o {stress=a  b} -v x\nsmtpd {} {p q}\n", "" },
		{ { "-qP" }, 0, "v/unix/max_use = 7\nv/unix/stress = a b\n", "" },
		{ { "-qPj", "*/*/max_use", "v/unix/nosuch" }, 0, "{\"v/unix/max_use\":\"7\"}\n",
		  "conf: warning: unmatched request: \"v/unix/nosuch\"\n" },
		{ { "-qF", "v/unix/nosuch" }, 2, "", NULL },
		{ { "-qM", "v/unix/service" }, 2, "", "conf: fatal: \"v/unix/service\": not of the form service/type\n" },
		/* options that exclude each other */
		{ { "-dn" }, 2, "", "conf: fatal: specify one of -d, -n\n" },
		{ { "-Md" }, 2, "", "conf: fatal: specify one of -M, -d\n" },
		{ { "-MF" }, 2, "", "conf: fatal: specify one of -M, -F\n" },
		{ { "-hX", "a" }, 2, "", "conf: fatal: specify one of -h, -X\n" },
		{ { "-jf" }, 2, "", "conf: fatal: specify one of -f, -j\n" },
		{ { "-n", "a=b" }, 2, "", "conf: fatal: specify one of -e, -n\n" },
		{ { "-FX", "v/unix/chroot" }, 2, "", "conf: fatal: specify one of -F, -X\n" },
		{ { "-e" }, 2, "", "conf: fatal: -e requires name=value argument\n" },
		{ { "-MX" }, 2, "", "conf: fatal: -X and -# require a name\n" },
		{ { "-z" }, 2, "", NULL },
	};

	(void) state;
	vouchconf_test_put("main.cf", MAIN);
	vouchconf_test_put("master.cf", MASTER);
	setenv("MAIL_CONFIG", ".", 1);
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct result r = vouchconf_test_exec(vouchconf_test_program, cases[i].args);

		if (r.status != cases[i].status || strcmp(r.out, cases[i].out) != 0 ||
		    (cases[i].err != NULL && strcmp(r.err, cases[i].err) != 0))
			fail_msg("%s: got %d\n%s%s\nwant %d\n%s%s", vouchconf_test_line(cases[i].args), r.status, r.out, r.err,
			    cases[i].status, cases[i].out, cases[i].err != NULL ? cases[i].err : "");
		vouchconf_test_done(&r);
	}
	unsetenv("MAIL_CONFIG");
}

/* what keeps the configuration from being read */
static void
vouchconf_test_unreadable(void **state)
{
	static const struct {
		const char *main, *master;		/* NULL: not there */
		const char *args[6];
		int	    status;
		const char *out, *err;
	} cases[] = {
		{ NULL, "", { "-c", ".", "max_use" }, 1, "", "conf: fatal: open ./main.cf: No such file or directory\n" },
		{ NULL, NULL, { "-c", ".", "-d", "max_use" }, 0, "max_use = 100\n", "" },
		{ "a b\n", "", { "-c", ".", "max_use" }, 1, "",
		  "conf: fatal: ./main.cf, line 1: missing '=' after attribute name: \"a b\"\n" },
		{ "", NULL, { "-c", ".", "max_use" }, 0, "max_use = 100\n",
		  "conf: warning: open ./master.cf: No such file or directory\n" },
		{ "", NULL, { "-c", ".", "-M" }, 1, "", "conf: fatal: open ./master.cf: No such file or directory\n" },
		/* a bad master.cf does not keep anybody from looking at parameters */
		{ "", "a unix - - -\n", { "-c", ".", "max_use" }, 0, "max_use = 100\n",
		  "conf: warning: ./master.cf: line 1: missing \"wakeup\" field; an entry has eight fields\n" },
		{ "", "a unix - - -\n", { "-c", ".", "-F" }, 1, "",
		  "conf: fatal: ./master.cf: line 1: missing \"wakeup\" field; an entry has eight fields\n" },
		{ "max_use=1\nmax_use=2\n", "", { "-c", ".", "max_use" }, 0, "max_use = 2\n",
		  "conf: warning: ./main.cf, line 2: overriding earlier entry: max_use=1\n" },
		{ "process_id = 1\na = $b $nosuch1 ${c?{$nosuch2}}\n", "v unix - - - - - x -o c=$nosuch3 -o d=1\n",
		  { "-c", ".", "max_use" }, 0, "max_use = 100\n",
		  "conf: warning: ./main.cf: read-only parameter assignment: process_id=1\n"
		  "conf: warning: ./main.cf: undefined parameter: b\n"
		  "conf: warning: ./main.cf: undefined parameter: nosuch1\n"
		  "conf: warning: ./main.cf: undefined parameter: c\n"
		  "conf: warning: ./main.cf: undefined parameter: nosuch2\n"
		  "conf: warning: ./master.cf: undefined parameter: nosuch3\n"
		  "conf: warning: ./main.cf: unused parameter: a=$b $nosuch1 ${c?{$nosuch2}}\n"
		  "conf: warning: ./master.cf: unused parameter: d=1\n" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct result r;

		unlink("main.cf");
		unlink("master.cf");
		if (cases[i].main != NULL)
			vouchconf_test_put("main.cf", cases[i].main);
		if (cases[i].master != NULL)
			vouchconf_test_put("master.cf", cases[i].master);
		r = vouchconf_test_exec(vouchconf_test_program, cases[i].args);
		if (r.status != cases[i].status || strcmp(r.out, cases[i].out) != 0 || strcmp(r.err, cases[i].err) != 0)
			fail_msg("case %zu%s: got %d\n%s%s\nwant %d\n%s%s", i, vouchconf_test_line(cases[i].args), r.status,
			    r.out, r.err, cases[i].status, cases[i].out, cases[i].err);
		vouchconf_test_done(&r);
	}
}

/* edits: what the file is afterwards; want NULL means as before */
static void
vouchconf_test_edit(void **state)
{
	static const struct {
		const char *file, *before;
		const char *args[8];
		int	    status;
		const char *want, *err;
	} cases[] = {
		{ "main.cf", "# c\nmax_idle = 5\n", { "max_idle=9s", "b = x  y ", "a=" }, 0,
		  "# c\nmax_idle = 9s\na = \nb = x  y\n", "" },
		{ "main.cf", "a=1\nb=2\n", { "-X", "a", "nosuch" }, 0, "b=2\n", "" },
		{ "main.cf", "a=1\n  2\nb=2\n", { "-#", "a" }, 0, "#a=1\n#  2\nb=2\n", "" },
		{ "main.cf", "a=1", { "-e", "b=2" }, 0, "a=1\nb = 2\n", "" },
		{ "main.cf", "a=1\na=2\n", { "a=3", "b=1", "b=2" }, 0, "a = 3\na = 3\nb = 2\n",
		  "conf: warning: ignoring earlier request: 'b = 1'\nconf: warning: ./main.cf: multiple entries for \"a\"\n" },
		{ "main.cf", "a b\n", { "-X", "a" }, 0, "", "" },
		/* values of parameters that we know are looked at, nothing is changed if one is bad */
		{ "main.cf", "x = 7y\n", { "max_idle=5s", "max_use=0", "ipc_ttl=$x" }, 1, NULL,
		  "conf: fatal: nothing is changed: parameter max_use: \"0\" is too small; use 1 or more\n"
		  "conf: fatal: nothing is changed: parameter ipc_ttl: bad time value or unit: \"7y\"; "
		  "use digits and one of ms s m h d w, less than 24855d (written as \"$x\")\n" },
		{ "main.cf", "x = 7\n", { "ipc_ttl=$x", "nosuch=anything" }, 0, "x = 7\nipc_ttl = $x\nnosuch = anything\n", "" },
		{ "main.cf", "q\n", { "max_use=0" }, 1, NULL,
		  "conf: warning: ./main.cf, line 1: missing '=' after attribute name: \"q\"\n"
		  "conf: fatal: nothing is changed: parameter max_use: \"0\" is too small; use 1 or more\n" },
		{ "main.cf", "a=1\n", { "-e", "a" }, 2, NULL, "conf: fatal: \"a\": missing '=' after attribute name\n" },
		{ "main.cf", "a=1\n", { "-e", "=a" }, 2, NULL, "conf: fatal: missing attribute name before =a\n" },
		{ "main.cf", "a=1\n", { "-e", "a b=c" }, 2, NULL, "conf: fatal: \"a b\": a name has no blanks\n" },
		{ "main.cf", "a=1\n", { "-X", "a=2" }, 2, NULL, NULL },
		{ "main.cf", "a=1\n", { "-X", "" }, 2, NULL, "conf: fatal: missing attribute name\n" },
		{ "main.cf", "a=1\n", { "-e", "#a=2" }, 2, NULL, NULL },
		{ "main.cf", "a=1\n", { "-e", "a=2\nb=3" }, 2, NULL, NULL },
		/* master.cf */
#define V "v          unix  -       -       n       -       4       verify\n    -o max_use=7\n    -o {stress=a  b}\n    -v x\n"
		{ "master.cf", MASTER, { "-F", "v/unix/process_limit=9", "v/unix/chroot=-" }, 0,
		  "# head\n# mine\nv          unix  -       -       -       -       9       verify\n"
		  "    -o max_use=7\n    -o {stress=a  b}\n    -v x\n# next\n25 inet n - - - - smtpd {} { p q }\n", "" },
		/* an empty argument, and braces, survive */
		{ "master.cf", "25 inet n - - - - smtpd {} { p q } {-o} {{x} y} {a\n", { "-F", "*/inet/chroot=y" }, 1, NULL,
		  "conf: fatal: ./master.cf: line 1: missing '}' in \"{a\"; close each { of an argument\n" },
		{ "master.cf", "25 inet n - - - - smtpd {} { p q } {-o} {{x} y} a{b c\n", { "-F", "*/inet/chroot=y" }, 0,
		  "25         inet  n       -       y       -       -       smtpd {} {p q} -o\n    {{x} y} a{b c\n", "" },
		{ "master.cf", MASTER, { "-F", "25/inet/command=cmd -o { a = b c } {} {d}" }, 0,
		  "# head\nv     unix  -       -       n       -       4       verify\n  -o max_use=7 -o { stress = a  b }\n"
		  "# mine\n  -v x\n# next\n25         inet  n       -       -       -       -       cmd\n    -o {a=b c}\n    {} d\n",
		  "" },
		{ "master.cf", MASTER, { "-P", "v/unix/stress=new", "v/unix/ipc_ttl=5 s" }, 1, NULL,
		  "conf: fatal: nothing is changed: parameter ipc_ttl: bad time value or unit: \"5 s\"; "
		  "use digits and one of ms s m h d w, less than 24855d\n" },
		{ "master.cf", "v unix - - - - - verify -v x\n", { "-P", "v/unix/stress=c d", "v/unix/ipc_ttl=5s" }, 0,
		  "v          unix  -       -       -       -       -       verify -v\n    -o {stress=c d}\n    -o ipc_ttl=5s\n"
		  "    x\n", "" },
		{ "master.cf", MASTER, { "-PX", "v/unix/stress", "v/unix/max_use" }, 0,
		  "# head\n# mine\nv          unix  -       -       n       -       4       verify -v x\n# next\n"
		  "25 inet n - - - - smtpd {} { p q }\n", "" },
		{ "master.cf", MASTER, { "-MX", "v/unix", "nosuch/unix" }, 0,
		  "# head\n# mine\n# next\n25 inet n - - - - smtpd {} { p q }\n", "" },
		{ "master.cf", MASTER, { "-M#", "v/unix" }, 0,
		  "# head\n#v     unix  -       -       n       -       4       verify\n#  -o max_use=7 -o { stress = a  b }\n"
		  "# mine\n#  -v x\n# next\n25 inet n - - - - smtpd {} { p q }\n", "" },
		{ "master.cf", "a unix - - - - - x", { "-M", "b/unix=b unix - - - - 1 y -o q=r" }, 0,
		  "a unix - - - - - x\nb          unix  -       -       -       -       1       y\n    -o q=r\n", "" },
		/* the new entry takes the place of what was asked for, and of what it would double */
		{ "master.cf", "a unix - - - - - x\nb unix - - - - - y\na unix - - - - - z\n",
		  { "-M", "b/unix=a unix - - - - 1 n" }, 0, "a          unix  -       -       -       -       1       n\n", "" },
		{ "master.cf", MASTER, { "-F", "nosuch/unix/chroot=n" }, 0, MASTER,
		  "conf: warning: unmatched service_name/type: \"nosuch/unix/chroot\"\n" },
		{ "master.cf", MASTER, { "-F", "v/unix/wakeup=5m" }, 1, NULL,
		  "conf: fatal: nothing is changed: ./master.cf: field \"wakeup\": bad value: \"5m\"; "
		  "use seconds, with ? to wake up only a service in use, or -\n" },
		{ "master.cf", MASTER, { "-F", "25/inet/private=y" }, 1, NULL, NULL },
		{ "master.cf", MASTER, { "-F", "v/unix/chroot=" }, 2, NULL, "conf: fatal: \"\": the field chroot takes one word\n" },
		{ "master.cf", MASTER, { "-F", "v/unix/command=" }, 1, NULL, NULL },
		{ "master.cf", MASTER, { "-F", "v/unix/*=n" }, 2, NULL, NULL },
		{ "master.cf", MASTER, { "-M", "v/unix=v unix - -" }, 2, NULL,
		  "conf: fatal: \"v unix - -\": missing \"chroot\" field; an entry has eight fields\n" },
		{ "master.cf", MASTER, { "-M", "v=v unix - - - - - x" }, 2, NULL, "conf: fatal: \"v\": not of the form service/type\n" },
		{ "master.cf", "bad\nv unix - - - - - x\n", { "-MX", "v/unix" }, 1, NULL, NULL },
	};

	(void) state;
	setenv("MAIL_CONFIG", ".", 1);
	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *want = cases[i].want != NULL ? cases[i].want : cases[i].before;
		struct result r;
		char   *after;

		vouchconf_test_put("main.cf", "");
		vouchconf_test_put(cases[i].file, cases[i].before);
		r = vouchconf_test_exec(vouchconf_test_program, cases[i].args);
		after = vouchconf_test_get(cases[i].file);
		if (r.status != cases[i].status || strcmp(after, want) != 0 || *r.out != 0 ||
		    (cases[i].err != NULL && strcmp(r.err, cases[i].err) != 0))
			fail_msg("%s: got %d\n%s%swant %d\n%s%s", vouchconf_test_line(cases[i].args), r.status, r.err, after,
			    cases[i].status, cases[i].err != NULL ? cases[i].err : "", want);
		assert_int_equal(access("main.cf.tmp", F_OK), -1);
		assert_int_equal(access("master.cf.tmp", F_OK), -1);
		mem_free(&after);
		vouchconf_test_done(&r);
	}
	unsetenv("MAIL_CONFIG");
}

/* the arguments that the master would pass are the same before and after an entry was rewritten */
static void
vouchconf_test_braces(void **state)
{
	static const char *const commands[] = {
		"c {}", "c { } x", "c { x y } {} plain {p}", "c {a{b} {c}}", "c a{b c}d {e f}", "c {-x} { -y z }", "c -v {} -o a=b",
		"c flags=DR user=x argv=/bin/y ${nexthop} ${user} {a ${b} c}", "c - -o { x = y }", "c -- {} -o a", "c e}f }g {h i}",
		"c 12345678901234567890 12345678901234567890 {1 2345678901234567890 1234567890} {1234567890 12345678901234567890}",
	};

	(void) state;
	vouchconf_test_put("main.cf", "");
	for (size_t i = 0; i < NELEM(commands); i++) {
		static const char *const args[] = { "-c", ".", "-F", "a/unix/chroot=y", NULL };
		char   *before = mem_printf("a unix - - - - - %s\n", commands[i]), *after;
		struct buf why = BUF_INIT(1000);
		struct master_cf was, is;
		struct result r;

		vouchconf_test_put("master.cf", before);
		r = vouchconf_test_exec(vouchconf_test_program, args);
		assert_int_equal(r.status, 0);
		after = vouchconf_test_get("master.cf");
		assert_string_not_equal(before, after);
		assert_int_equal(master_cf_parse(&was, "", before, strlen(before), NULL, NULL, &why), 0);
		assert_int_equal(master_cf_parse(&is, "", after, strlen(after), NULL, NULL, &why), 0);
		assert_int_equal(TAILQ_FIRST(&was)->argc, TAILQ_FIRST(&is)->argc);
		for (size_t j = 0; j < TAILQ_FIRST(&was)->argc; j++)
			if (strcmp(TAILQ_FIRST(&was)->argv[j], TAILQ_FIRST(&is)->argv[j]) != 0)
				fail_msg("%s: argument %zu: got %s, want %s", commands[i], j, TAILQ_FIRST(&is)->argv[j],
				    TAILQ_FIRST(&was)->argv[j]);
		master_cf_free(&was);
		master_cf_free(&is);
		mem_free(&before);
		mem_free(&after);
		vouchconf_test_done(&r);
	}
}

static const char *const vouchconf_test_mains[] = {
	"max_idle = 5\n",
	"# c\nmax_idle = 5\n u1=x\n\nmax_use\n  = 3\n# d\nstress=a  b\tc\n  d\nu2 = $u3\nu3=$max_idle\n"
	    "syslog_name = $u2 ${u3?{x y}:{z}}\nmax_idle=6\naddress_verify_map = btree:$data_directory/x, $myorigin, $mydomain "
	    "${compatibility_level}\n",
	"myhostname = mx.foo.example\naddress_verify_sender = a@$mydomain\ncompatibility_level=3.6\n"
	    "smtputf8_autodetect_classes =\n  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n  bbbbbbbbbbbbbbbbbbbbbbbbbbbbb   "
	    "cccccccccccccccccccccccccc\n dddddddddddddddddddddddddddd\n",
	"mydomain = foo.example\r\nmyorigin = $mydomain\r\nqueue_directory=/q\r\nmax_use=\r\nstress = $$ ${stress2:$$}\n",
	"multi_instance_name = postfix-out\nmail_owner=x\nimport_environment = A=b { C=d e }\n  F\n\n",
	"stress = 3456789 123456789 123456789 123456789 123456789 123456789 123456789 1234567 9\n"
	    "syslog_name = 789 123456789 123456789 123456789 123456789 123456789 123456789 123456 9\n"
	    "mail_name = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b\n",
	"",
};

static const char *const vouchconf_test_masters[] = {
	"smtp inet n - y - - smtpd\n#smtp inet n - y - 1 postscreen\npickup    unix  n       -       y       60      1       pickup\n"
	    "tlsmgr    unix  -       -       y       1000?   1       tlsmgr\nverify unix - - y - 1 verify -o max_idle=5 "
	    "-o { stress = a  b }\n  -v\n  x y\n",
	"a unix - n n - - cmd a{b}d e -o x=y\nbverylongnamexx inet n n n 1000000? 12345678 smtp foo\n"
	    "c unix-dgram - - - - - smtp\n# c\na fifo - - - 5? 0 d -oq=r -vo {s=t u} -D z\n",
	"maildrop  unix  -       n       n       -       -       pipe\n  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}\n"
	    "mailman   unix  -       n       n       -       -       pipe\n  flags=FRX user=list "
	    "argv=/usr/lib/mailman/bin/postfix-to-mailman.py ${nexthop} ${user}\n"
	    "x unix - - - - - c 123456789 1234567\ny unix - - - - - c 123456789 12345678\n"
	    "z unix - - - - - c -o a=b 123456789 123456789 123456789 123456789 123456789 123456789 123456789 1234\n"
	    "zz unix - - - - - c -o a=b 123456789 123456789 123456789 123456789 123456789 123456789 123456789 12345\n",
};

/* both programs, the same arguments and files: the same stdout and exit code */
static void
vouchconf_test_same_output(const char *const *args)
{
	struct result ours = vouchconf_test_exec(vouchconf_test_program, args), theirs = vouchconf_test_exec(POSTCONF, args);

	if (strcmp(ours.out, theirs.out) != 0 || ours.status != theirs.status)
		fail_msg("%s: got %d\n%s%s\npostconf %d\n%s%s", vouchconf_test_line(args), ours.status, ours.out, ours.err,
		    theirs.status, theirs.out, theirs.err);
	vouchconf_test_done(&ours);
	vouchconf_test_done(&theirs);
}

/* the same file afterwards */
static void
vouchconf_test_same_file(const char *file, const char *before, const char *const *args)
{
	struct result ours, theirs;
	char   *got, *want;

	vouchconf_test_put(file, before);
	ours = vouchconf_test_exec(vouchconf_test_program, args);
	got = vouchconf_test_get(file);
	vouchconf_test_put(file, before);
	theirs = vouchconf_test_exec(POSTCONF, args);
	want = vouchconf_test_get(file);
	if (strcmp(got, want) != 0 || ours.status != theirs.status)
		fail_msg("%s\n%s: got %d\n%s%spostconf %d\n%s%s", vouchconf_test_line(args), before, ours.status, got, ours.err,
		    theirs.status, want, theirs.err);
	mem_free(&got);
	mem_free(&want);
	vouchconf_test_done(&ours);
	vouchconf_test_done(&theirs);
	vouchconf_test_put(file, before);
}

/* vouchconf_test_differs - one of the few parameters that have another default than Postfix's, on purpose */
static bool
vouchconf_test_differs(const char *name)
{
	static const char *const names[] = { "address_verify_map", "config_directory", "mynetworks", "smtp_tls_security_level",
	    "smtpd_client_connection_count_limit", "smtpd_forbid_bare_newline", "smtpd_forbid_unauth_pipelining",
	    "smtpd_hard_error_limit", "smtpd_junk_command_limit", "smtpd_recipient_limit", "smtpd_timeout" };

	for (size_t i = 0; i < NELEM(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void
vouchconf_test_like_postconf_main(void **state)
{
	static const char *const options[] = { "-n", "-nf", "-nh", "-nH", "-nx", "-nxf", "-nxh", "-p", "-x", "-f", "-xf", "-h",
	    "-H", "-d", "-dx", "-dh" };
	static const char *const edits[][5] = {
		{ "max_idle=99" }, { "-e", "max_idle=99s", "stress=" }, { "-X", "max_idle" }, { "-X", "max_use", "stress" },
		{ "-#", "stress", "max_idle", "u2" }, { "syslog_name= a  b " }, { "-X", "nosuch" }, { "max_use=5", "max_use=6" },
		{ "u2=x" },
	};
	/* parameters of both, but for those with another default on purpose */
	const char *known[ARGS_MAX] = { "-c", ".", NULL };
	size_t	n = 3;

	(void) state;
	if (access(POSTCONF, X_OK) < 0) {
		print_message("SKIP: %s is not installed\n", POSTCONF);
		return;
	}
	vouchconf_test_put("master.cf", "");
	vouchconf_test_put("main.cf", "");
	for (size_t i = 0; i < params_count && n < ARGS_MAX - 1; i++) {
		const char *args[] = { "-c", ".", "-dH", params_table[i].name, NULL };
		struct result r = vouchconf_test_exec(POSTCONF, args);

		if (*r.out != 0 && !vouchconf_test_differs(params_table[i].name))
			known[n++] = params_table[i].name;
		vouchconf_test_done(&r);
	}
	assert_true(n > 35);
	for (size_t m = 0; m < NELEM(vouchconf_test_mains); m++) {
		vouchconf_test_put("main.cf", vouchconf_test_mains[m]);
		for (size_t i = 0; i < NELEM(options); i++) {
			known[2] = options[i];
			if (strchr(options[i], 'n') != NULL) {
				const char *args[] = { "-c", ".", options[i], NULL };

				vouchconf_test_same_output(args);
			} else
				vouchconf_test_same_output(known);
		}
		for (size_t i = 0; i < NELEM(edits); i++) {
			const char *args[8] = { "-c", "." };
			const char *text = vouchconf_test_mains[m];

			for (size_t a = 0; a < NELEM(edits[i]); a++)
				args[a + 2] = edits[i][a];
			/* 3.7 has no order for several new names */
			if (i == 1 && (strstr(text, "max_idle") == NULL || strstr(text, "stress") == NULL))
				continue;
			vouchconf_test_same_file("main.cf", text, args);
		}
	}
}

static void
vouchconf_test_like_postconf_master(void **state)
{
	static const char *const options[] = { "-M", "-Mf", "-Mx", "-Mxf", "-F", "-Ff", "-FH", "-Fx", "-P", "-Pf", "-Ph", "-PH",
	    "-Px" };
	static const char *const requests[][5] = {
		{ "-M", "smtp" }, { "-M", "*/inet", "nosuch" }, { "-F", "*/unix/command" }, { "-F", "*/*/chroot" },
		{ "-P", "*/*/stress" }, { "-P", "nosuch" }, { "-P", "verify/unix" },
	};
	static const char *const edits[][4] = {
		{ "-F", "verify/unix/process_limit=9" }, { "-F", "a/unix/chroot=y" }, { "-F", "verify/unix/command=foo bar -o a=b" },
		{ "-MX", "smtp/inet" }, { "-M#", "verify/unix" }, { "-M#", "*/unix" }, { "-P", "verify/unix/max_use=5" },
		{ "-P", "a/fifo/max_use=5", "a/fifo/stress=" }, { "-PX", "verify/unix/max_idle" }, { "-PX", "a/fifo/s" },
		{ "-M", "new/unix=new unix - - - - - verify -o { stress = a b } foo" }, { "-MX", "nosuch/unix" },
		{ "-M", "pickup/unix=pickup unix - - - - 1 verify -v" }, { "-F", "zz/unix/chroot=n" },
	};

	(void) state;
	if (access(POSTCONF, X_OK) < 0) {
		print_message("SKIP: %s is not installed\n", POSTCONF);
		return;
	}
	vouchconf_test_put("main.cf", "u2 = 7\n");
	for (size_t m = 0; m < NELEM(vouchconf_test_masters); m++) {
		vouchconf_test_put("master.cf", vouchconf_test_masters[m]);
		for (size_t i = 0; i < NELEM(options); i++) {
			const char *args[] = { "-c", ".", options[i], NULL };

			vouchconf_test_same_output(args);
		}
		for (size_t i = 0; i < NELEM(requests); i++) {
			const char *args[] = { "-c", ".", requests[i][0], requests[i][1], requests[i][2], NULL };

			vouchconf_test_same_output(args);
		}
		for (size_t i = 0; i < NELEM(edits); i++) {
			const char *args[] = { "-c", ".", edits[i][0], edits[i][1], edits[i][2], NULL };

			vouchconf_test_same_file("master.cf", vouchconf_test_masters[m], args);
		}
	}
}

/* Postfix's own files are read without a complaint */
static void
vouchconf_test_postfix_files(void **state)
{
	static const char *const mains[] = { "/usr/share/postfix/main.cf.debian", "/usr/share/postfix/main.cf.dist",
	    "/usr/share/postfix/main.cf.tls", "/etc/postfix/main.cf" };
	static const char *const masters[] = { "/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf" };
	static const char *const show_main[] = { "-c", ".", "-qnx", NULL }, *const show_master[] = { "-c", ".", "-qM", NULL };

	(void) state;
	vouchconf_test_put("master.cf", "");
	for (size_t i = 0; i < NELEM(mains) + NELEM(masters); i++) {
		bool	is_main = i < NELEM(mains);
		const char *path = is_main ? mains[i] : masters[i - NELEM(mains)];
		struct result r;
		char   *text;

		if (access(path, R_OK) < 0) {
			print_message("SKIP: %s is not here\n", path);
			continue;
		}
		text = vouchconf_test_get(path);
		vouchconf_test_put(is_main ? "main.cf" : "master.cf", text);
		r = vouchconf_test_exec(vouchconf_test_program, is_main ? show_main : show_master);
		if (r.status != 0 || *r.out == 0 || *r.err != 0)
			fail_msg("%s: %d\n%s", path, r.status, r.err);
		vouchconf_test_done(&r);
		mem_free(&text);
	}
}

static int
vouchconf_test_setup(void **state)
{
	const char *bin = getenv("VOUCH_BIN");
	char	here[4096];

	if (bin == NULL && getcwd(here, sizeof here) == NULL)
		return -1;
	vouchconf_test_program = bin != NULL ? mem_printf("%s/vouchconf", bin) : mem_printf("%s/bin/vouchconf", here);
	unsetenv("MAIL_CONFIG");
	return test_dir_make(state) < 0 || chdir(test_dir) < 0 ? -1 : 0;
}

static int
vouchconf_test_clean(void **state)
{
	int	ret = chdir("/") < 0 ? -1 : test_dir_remove(state);

	mem_free(&vouchconf_test_program);
	return ret;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vouchconf_test_show),
		cmocka_unit_test(vouchconf_test_unreadable),
		cmocka_unit_test(vouchconf_test_edit),
		cmocka_unit_test(vouchconf_test_braces),
		cmocka_unit_test(vouchconf_test_like_postconf_main),
		cmocka_unit_test(vouchconf_test_like_postconf_master),
		cmocka_unit_test(vouchconf_test_postfix_files),
	};

	return cmocka_run_group_tests(tests, vouchconf_test_setup, vouchconf_test_clean);
}
