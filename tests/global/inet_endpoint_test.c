/* tests/global/inet_endpoint_test.c - names of inet services: addresses, port, identity */
#include <global/inet_endpoint.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <util/mem.h>

static bool
have_ipv6(void)
{
	int	fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static char *
hosts_text(const struct inet_endpoint *e)
{
	struct buf b = BUF_INIT(4096);

	for (size_t i = 0; i < e->hosts_n; i++)
		buf_addf(&b, "%s%s", i > 0 ? " " : "", e->hosts[i]);
	return buf_take(&b);
}

static void
test_good(void **state)
{
	static const struct {
		const char *name, *interfaces, *protocols, *id, *port, *hosts;
		bool	loopback, ipv6;
	} rows[] = {
		{ "2525",		"all",		"ipv4",	"2525",			"2525", "0.0.0.0",	false, false },
		{ "2525",		"all",		"all",	"2525",			"2525", "0.0.0.0 ::",	false, true },
		{ ":02525",		"all",		"ipv6",	"2525",			"2525", "::",		false, true },
		{ "smtp",		"all",		"ipv4",	"25",			"25",	"0.0.0.0",	false, false },
		{ "submissions",	"127.0.0.3",	"ipv4",	"465",			"465",	"127.0.0.3",	true, false },
		{ "echo-test",		"127.0.0.3",	"ipv4",	"7",			"7",	"127.0.0.3",	true, false },
		{ "2525",		"127.0.0.3, [127.0.0.4],127.0.0.3", "ipv4", "2525", "2525", "127.0.0.3 127.0.0.4", true, false },
		{ "2525",		"127.0.0.3 192.0.2.1", "ipv4", "2525",		"2525", "127.0.0.3 192.0.2.1", false, false },
		{ "127.0.0.1:25",	"",		"all",	"[127.0.0.1]:25",	"25",	"127.0.0.1",	true, false },
		{ "[127.0.0.1]:smtp",	"",		"all",	"[127.0.0.1]:25",	"25",	"127.0.0.1",	true, false },
		{ "192.0.2.7:25",	"",		"all",	"[192.0.2.7]:25",	"25",	"192.0.2.7",	false, false },
		{ "::1:25",		"",		"all",	"[::1]:25",		"25",	"::1",		true,  true },
		{ "[0::0001]:25",	"",		"all",	"[::1]:25",		"25",	"::1",		true,  true },
		{ "localhost:25",	"",		"ipv4",	"[localhost]:25",	"25",	"127.0.0.1",	true, false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct params p = { .inet_interfaces = rows[i].interfaces, .inet_protocols = rows[i].protocols,
		    .known_tcp_ports = "smtp=25, smtps=submissions=465, echo-test=7" };
		struct buf why = BUF_INIT(1000);
		struct inet_endpoint e;
		char   *hosts;

		if (rows[i].ipv6 && !have_ipv6())
			continue;
		if (inet_endpoint_find(rows[i].name, &p, &e, &why) < 0)
			fail_msg("%s: %s", rows[i].name, buf_str(&why));
		hosts = hosts_text(&e);
		if (strcmp(e.id, rows[i].id) != 0 || strcmp(e.port, rows[i].port) != 0 || strcmp(hosts, rows[i].hosts) != 0 ||
		    e.loopback != rows[i].loopback)
			fail_msg("%s with %s: got %s %s \"%s\" %d, want %s %s \"%s\" %d", rows[i].name, rows[i].interfaces,
			    e.id, e.port, hosts, e.loopback, rows[i].id, rows[i].port, rows[i].hosts, rows[i].loopback);
		inet_endpoint_fini(&e);
		mem_free(&hosts);
		buf_fini(&why);
	}
}

static void
test_bad(void **state)
{
	static const struct { const char *name, *interfaces, *protocols, *want; } rows[] = {
		{ "nonsense",		"all",	"ipv4", "unknown port \"nonsense\"" },
		{ "",			"all",	"ipv4", "unknown port \"\"" },
		{ "127.0.0.1:",		"all",	"ipv4", "unknown port \"\"" },
		{ "0",			"all",	"ipv4", "bad port \"0\"" },
		{ "65536",		"all",	"ipv4", "bad port \"65536\"" },
		{ "99999999999999999999", "all", "ipv4", "bad port" },
		{ "-1",			"all",	"ipv4", "unknown port \"-1\"" },
		{ "broken",		"all",	"ipv4", "bad port \"x\"" },
		{ "25",			"",	"ipv4", "non-empty inet_interfaces" },
		{ "[::1]:25",		"",	"ipv4", "no valid IP address found: ::1" },
		{ "no.such.host.invalid:25", "", "ipv4", "bad hostname or network address: no.such.host.invalid" },
		{ "25",			"1.2.3.4.5", "ipv4", "bad hostname or network address: 1.2.3.4.5" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct params p = { .inet_interfaces = rows[i].interfaces, .inet_protocols = rows[i].protocols,
		    .known_tcp_ports = "smtp=25, broken=x, =, ==5" };
		struct buf why = BUF_INIT(1000);
		struct inet_endpoint e;

		if (inet_endpoint_find(rows[i].name, &p, &e, &why) == 0)
			fail_msg("\"%s\": accepted as %s", rows[i].name, e.id);
		if (strstr(buf_str(&why), rows[i].want) == NULL)
			fail_msg("\"%s\": got \"%s\", want \"%s\"", rows[i].name, buf_str(&why), rows[i].want);
		inet_endpoint_fini(&e);
		buf_fini(&why);
	}
}

/* loopback-only takes what the interface has: at least 127.0.0.1, and nothing else than loopback */
static void
test_loopback_only(void **state)
{
	struct params p = { .inet_interfaces = "loopback-only", .inet_protocols = "ipv4", .known_tcp_ports = "" };
	struct buf why = BUF_INIT(1000);
	struct inet_endpoint e;

	(void) state;
	assert_int_equal(inet_endpoint_find("2525", &p, &e, &why), 0);
	assert_true(e.loopback);
	assert_string_equal(e.id, "2525");
	assert_string_equal(e.hosts[0], "127.0.0.1");
	inet_endpoint_fini(&e);
	buf_fini(&why);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_loopback_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
