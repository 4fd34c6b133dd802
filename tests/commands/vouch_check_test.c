/* tests/commands/vouch_check_test.c - vouch check: each mistake has its line, and all of them come at once
 * Also: the command line itself, and commands that need nothing to run.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/sock.h>
#include <tests/lib/command.h>

static struct check_test {
	char   *dir, *etc, *main_cf, *master_cf;	/* an instance */
	char   *main_text, *master_text;		/* as init made them */
} t;

static int
check_setup(void **state)
{
	struct command c = { 0 };
	char   *dir;

	(void) state;
	t.dir = command_dir();
	dir = mem_printf("%s/i", t.dir);
	command_run(&c, "vouch", "init", dir, NULL);
	command_want(&c, "init", 0, "");
	command_fini(&c);
	free(dir);
	t.etc = mem_printf("%s/i/etc", t.dir);
	t.main_cf = mem_printf("%s/main.cf", t.etc);
	t.master_cf = mem_printf("%s/master.cf", t.etc);
	t.main_text = command_read(t.main_cf);
	t.master_text = command_read(t.master_cf);
	return 0;
}

static int
check_teardown(void **state)
{
	(void) state;
	command_remove(&t.dir);
	free(t.etc);
	free(t.main_cf);
	free(t.master_cf);
	free(t.main_text);
	free(t.master_text);
	return 0;
}

static const struct {
	const char *name, *main_add, *master_add;
	const char *commands;		/* which of check, start, reload refuse: "csr", "c" for warnings */
	const char *want;
} check_cases[] = {
	{ "line without =", "foo bar\n", "", "csr", "main.cf, line |missing '=' after attribute name: \"foo bar\"" },
	{ "wrong unit", "max_idle = 5y\n", "", "csr", "main.cf, line |parameter max_idle: bad time value or unit: \"5y\"" },
	{ "below the bound", "max_use = 0\n", "", "csr", "parameter max_use: " },
	{ "not yes or no", "smtputf8_enable = 1\n", "", "csr", "parameter smtputf8_enable: " },
	{ "not a word", "address_verify_reason_detail = some\n", "", "csr", "parameter address_verify_reason_detail: " },
	{ "bad sender", "address_verify_sender = @x\n", "", "csr", "parameter address_verify_sender: " },
	{ "no name server", "probe_dns_servers = foo\n", "", "csr", "main.cf, line |parameter probe_dns_servers: 'foo': name servers: not a" },
	{ "no transport table", "address_verify_transport_maps = texthash:/nowhere/t\n", "", "csr",
	  "main.cf, line |parameter address_verify_transport_maps: |/nowhere/t" },
	{ "endless macro", "max_idle = $max_idle\n", "", "csr", "parameter max_idle: " },
	{ "unsupported map", "address_verify_map = btree:/var/x\n", "", "c",
	  "warning: |parameter address_verify_map: 'btree:/var/x': type 'btree' is not supported|remove the line" },
	{ "unknown parameter", "nothing_like_it = 3\n", "", "c", "warning: |line |unknown parameter nothing_like_it: " },
	{ "misspelt parameter", "adress_verify_hold_time = 3s\n", "", "c",
	  "unknown parameter adress_verify_hold_time: did you mean address_verify_hold_time?" },
	{ "a name of the user's own", "my_own = 3s\nmax_idle = ${my_own}\n", "", "", "no problems found" },
	{ "bad prefork of verify, said once", "verify_prefork_limit = x\n", "", "csr", "parameter verify_prefork_limit: |1 error, 0 warnings" },
	{ "prefork of a service", "verify2_prefork_limit = 2\n", "verify2 unix - - n - - verify\n", "", "no problems found" },
	{ "bad prefork of a service", "verify2_prefork_limit = x\n", "verify2 unix - - n - - verify\n", "csr",
	  "parameter verify2_prefork_limit: " },
	{ "greylisting times", "greylist_delay = 3h\ngreylist_retry_window = 2h\n", "", "csr",
	  "main.cf, line |parameter greylist_delay: must be less than greylist_retry_window" },
	{ "unsupported map of greylisting", "greylist_map = btree:/var/x\n", "", "c",
	  "warning: |parameter greylist_map: 'btree:/var/x': type 'btree' is not supported|1 warning" },
	{ "one unsupported map for both, said once", "address_verify_map = btree:/var/x\n", "", "c", "0 errors, 1 warning" },
	{ "no network", "greylist_exempt_networks = 192.0.2.0/24, elsewhere 192.0.2.256\n", "", "c",
	  "main.cf, line |parameter greylist_exempt_networks: 'elsewhere' is not an address or network|'192.0.2.256' is|2 warnings" },
	{ "an allow-list that is not there", "greylist_client_allowlist = /no/where /no/list\n", "", "c",
	  "main.cf, line |parameter greylist_client_allowlist: /no/where: No such file or directory|/no/list: No such|2 warnings" },
	{ "an allow-list that is none", "greylist_sender_allowlist = $config_directory\n", "", "c", "warning: |/etc: is not a file|1 warning" },
	{ "bad lines in an allow-list", "greylist_recipient_allowlist = $config_directory/main.cf\n", "", "c",
	  "warning: |main.cf, line 1|this line is ignored" },
	{ "log outside its prefixes", "maillog_file = /etc/vouch.log\n", "", "csr",
	  "parameter maillog_file: '/etc/vouch.log' begins with none of maillog_file_prefixes" },
	{ "log in no directory", "maillog_file_prefixes = /\nmaillog_file = /no/where/x\n", "", "csr",
	  "parameter maillog_file: /no/where/x: No such file or directory" },
	{ "no such user", "mail_owner = no-such-user\n", "", "csr", "parameter mail_owner: no user 'no-such-user'" },
	{ "no data directory", "data_directory = /no/where\n", "", "csr",
	  "main.cf, line |parameter data_directory: /no/where: No such file or directory" },
	{ "no such program", "", "x unix - - n - - nosuch\n", "csr", "master.cf: line @1: service x: program |/nosuch: No such file" },
	{ "bad field", "", "x unix - - q - - verify\n", "csr", "master.cf: line @1: field \"chroot\"" },
	{ "missing fields", "", "x unix\n", "csr", "master.cf: line @1: missing" },
	{ "bad -o value", "", "x unix - - n - - verify -o max_idle=7q\n", "csr",
	  "master.cf: line @1: service x: |parameter max_idle: bad time value or unit: \"7q\"" },
	{ "-o without =", "", "x unix - - n - - verify -v -o max_idle\n", "csr", "service x: missing '='" },
	{ "-o at the end", "", "x unix - - n - - verify -o\n", "csr", "service x: -o without name=value" },
	{ "same service twice", "", "verify unix - - n - - verify\n", "c", "warning: |service verify: line @1 replaces this entry" },
	{ "port out of range", "", "127.0.0.1:99999 inet n - n - - verify\n", "csr", "service 127.0.0.1:99999: bad port" },
	{ "everything at once", "foo bar\nmax_idle = 5y\nmax_use = 0\n", "a unix - - q - - verify\nb unix - - n - - nosuch\n",
	  "csr", "foo bar|max_idle|max_use|line @1|line @2|/nosuch|5 errors, 0 warnings" },
};

/* check_want - with the line numbers behind the sample master.cf for @1 and @2; heap */
static char *
check_want(const char *text)
{
	struct buf b = BUF_INIT(4096);
	int	lines = 0;

	for (const char *p = t.master_text; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	for (; *text != 0; text++)
		if (*text == '@' && (text[1] == '1' || text[1] == '2'))
			buf_addf(&b, "%d", lines + (*++text - '0'));
		else
			buf_addc(&b, *text);
	return buf_take(&b);
}

static void
each_mistake_is_named(void **state)
{
	static const struct { char letter; const char *name; int refused, passed; const char *passed_text; } commands[] = {
		{ 'c', "check",  1, 0, "no problems found" },
		{ 'r', "reload", 1, 1, "not running" },		/* gets as far as finding no master */
	};
	struct command c = { 0 };
	char   *want;

	(void) state;
	for (size_t i = 0; i < NELEM(check_cases); i++) {
		command_write(t.main_cf, t.main_text);
		command_append(t.main_cf, check_cases[i].main_add);
		command_write(t.master_cf, t.master_text);
		command_append(t.master_cf, check_cases[i].master_add);
		want = check_want(check_cases[i].want);
		for (size_t k = 0; k < NELEM(commands); k++) {
			bool	refused = strchr(check_cases[i].commands, commands[k].letter) != NULL;

			command_run(&c, "vouch", "-c", t.etc, commands[k].name, NULL);
			command_want(&c, check_cases[i].name, refused ? commands[k].refused : commands[k].passed,
			    refused ? want : commands[k].passed_text);
			command_fini(&c);
		}
		if (strchr(check_cases[i].commands, 's') != NULL) {
			command_run(&c, "vouch", "-c", t.etc, "start", NULL);
			command_want(&c, check_cases[i].name, 1, want);
			command_want(&c, check_cases[i].name, 1, "not started");
			command_fini(&c);
		}
		free(want);
	}
	command_write(t.main_cf, t.main_text);
	command_write(t.master_cf, t.master_text);
}

/* files and directories that are not as they should be; made, looked at, put back */
static void
directories_are_examined(void **state)
{
	struct command c = { 0 };
	char   *data = mem_printf("%s/i/data", t.dir), *private = mem_printf("%s/i/queue/private", t.dir);
	char   *way = mem_printf("%s/verify", private), *table = mem_printf("%s/verify\033[2J.vouch", data);
	int	fd;

	(void) state;
	assert_int_equal(chmod(data, 0777), 0);
	command_run(&c, "vouch", "-c", t.etc, "check", NULL);
	command_want(&c, "open data directory", 1, "parameter data_directory: |i/data: mode 0777 is open to others: chmod 0755");
	command_fini(&c);
	assert_int_equal(chmod(data, 0700), 0);

	command_write(table, "");
	if (chown(table, 65534, (gid_t) -1) == 0) {	/* root's tests only */
		command_run(&c, "vouch", "-c", t.etc, "check", NULL);
		command_want(&c, "another's table", 1,
		    "warning: |parameter data_directory: |i/data/verify?[2J.vouch: belongs to uid 65534, not to mail_owner|1 warning");
		command_fini(&c);
	}
	assert_int_equal(unlink(table), 0);

	command_write(way, "");
	command_run(&c, "vouch", "-c", t.etc, "check", NULL);
	command_want(&c, "file in the way", 1, "service verify: |private/verify is in the way");
	command_fini(&c);
	assert_int_equal(unlink(way), 0);

	assert_int_equal(chdir(private), 0);	/* short names fit into a socket's address */
	assert_true((fd = sock_unix_listen("verify", 5, 0666)) >= 0);
	assert_int_equal(chdir("/"), 0);
	command_run(&c, "vouch", "-c", t.etc, "start", NULL);
	command_want(&c, "socket taken", 1, "private/verify is taken|not started");
	command_fini(&c);
	assert_true(command_exists(way));	/* start did not remove it */
	sock_close(&fd);
	command_run(&c, "vouch", "-c", t.etc, "check", NULL);
	command_want(&c, "socket left behind", 0, "no problems found");
	command_fini(&c);
	assert_int_equal(unlink(way), 0);

	assert_int_equal(rmdir(private), 0);	/* start makes it */
	command_run(&c, "vouch", "-c", t.etc, "check", NULL);
	command_want(&c, "no private directory", 0, "no problems found");
	command_fini(&c);
	assert_int_equal(mkdir(private, 0755), 0);
	assert_int_equal(chmod(private, 0755), 0);
	command_run(&c, "vouch", "-c", t.etc, "check", NULL);
	command_want(&c, "private directory is open", 1, "mode 0755 is open to others: chmod 0700");
	command_fini(&c);
	assert_int_equal(chmod(private, 0700), 0);
	free(data);
	free(private);
	free(way);
	free(table);
}

static void
taken_port_is_named(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;
	struct command c = { 0 };
	char   *line, *want;
	int	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void) state;
	assert_int_equal(bind(fd, (struct sockaddr *) &sin, sizeof sin), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *) &sin, &len), 0);
	line = mem_printf("127.0.0.1:%u inet n - n - - verify\n", ntohs(sin.sin_port));
	want = mem_printf("cannot listen on 127.0.0.1 port %u: Address already in use|not started", ntohs(sin.sin_port));
	command_append(t.master_cf, line);
	command_run(&c, "vouch", "-c", t.etc, "start", NULL);
	command_want(&c, "port taken", 1, want);
	command_fini(&c);
	sock_close(&fd);
	command_write(t.master_cf, t.master_text);
	free(line);
	free(want);
}

static void
unreadable_configuration(void **state)
{
	struct command c = { 0 };

	(void) state;
	assert_int_equal(unlink(t.master_cf), 0);
	command_run(&c, "vouch", "-c", t.etc, "check", NULL);
	command_want(&c, "no master.cf", 1, "master.cf: No such file or directory");
	command_fini(&c);
	command_write(t.master_cf, t.master_text);
	assert_int_equal(unlink(t.main_cf), 0);
	for (int i = 0; i < 5; i++) {
		static const char *const names[] = { "check", "start", "reload", "status", "stop" };

		command_run(&c, "vouch", "-c", t.etc, names[i], NULL);
		command_want(&c, names[i], 1, "main.cf: No such file or directory");
		command_fini(&c);
	}
	command_run(&c, "vouch", "-c", t.etc, "query", "a@b", NULL);
	command_want(&c, "query", 75, "main.cf: No such file or directory");
	command_fini(&c);
	command_write(t.main_cf, t.main_text);
}

static void
command_line(void **state)
{
	struct command c = { 0 };

	(void) state;
	command_run(&c, "vouch", NULL);
	command_want(&c, "nothing", 2, "usage: vouch");
	command_fini(&c);
	command_run(&c, "vouch", "bogus", NULL);
	command_want(&c, "unknown command", 2, "vouch: unknown command 'bogus'");
	command_fini(&c);
	command_run(&c, "vouch", "-q", "status", NULL);
	command_want(&c, "unknown option", 2, "usage: vouch");
	command_fini(&c);
	command_run(&c, "vouch", "-h", NULL);
	command_want(&c, "help", 0, "start-fg|logrotate|detach");
	assert_int_equal(c.err.len, 0);
	command_fini(&c);
	command_run(&c, "vouch", "-c", t.etc, "status", "x", NULL);
	command_want(&c, "argument too many", 2, "usage: vouch status");
	command_fini(&c);
	command_run(&c, "vouch", "-c", t.etc, "query", NULL);
	command_want(&c, "argument missing", 2, "usage: vouch query ADDR");
	command_fini(&c);
	command_run(&c, "vouch", "-c", t.etc, "query", "--bogus", "a@b", NULL);
	command_want(&c, "unknown option of a command", 2, "usage: vouch query ADDR");
	command_fini(&c);
	command_run(&c, "vouch", "-c", t.etc, "query", "-t", "x", "a@b", NULL);
	command_want(&c, "bad number", 2, "-t takes");
	command_fini(&c);
	command_run(&c, "vouch", "-c", t.etc, "update", "a@b", "perhaps", "x", NULL);
	command_want(&c, "bad status", 2, "STATUS is ok, defer or bounce");
	command_fini(&c);
	command_run(&c, "vouch", "-c", "/no/where", "status", NULL);
	command_want(&c, "no such directory", 1, "/no/where: No such file or directory");
	command_fini(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_named),
		cmocka_unit_test(directories_are_examined),
		cmocka_unit_test(taken_port_is_named),
		cmocka_unit_test(unreadable_configuration),
		cmocka_unit_test(command_line),
	};

	return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
