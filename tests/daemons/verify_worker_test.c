/* tests/daemons/verify_worker_test.c - what verify workers do with probes: held replies, one probe for all workers,
 * claims of a killed worker, submitters that refuse or are not there, what clients see of a result
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/verify_clnt.h>
#include <tests/lib/cleanup_stub.h>
#include <tests/lib/mini_master.h>
#include <util/attr.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define WAIT_MS	5000

static char *program;
static struct mini_master m;
static struct cleanup_stub stub;
static struct ev_loop *loop;

static void
begin(const char *extra)
{
	char   *path;

	mini_master_init(&m, extra, false);
	path = mem_printf("%s/queue/public/cleanup", m.dir);
	loop = ev_loop_new();
	if (cleanup_stub_open(&stub, loop, path, 511) < 0)
		fail_msg("cannot listen on %s", path);
	mem_free(&path);
	mini_master_start(&m, program, NULL);
}

static void
end(void)
{
	cleanup_stub_close(&stub);
	ev_loop_free(&loop);
	mini_master_fini(&m);
}

/* turn - serve the submitter until so many messages came, or the time is up */
static void
turn(unsigned messages, int ms)
{
	int64_t end_ms;

	ev_turn(loop, 0);
	for (end_ms = ev_now_ms(loop) + ms; stub.messages < messages && ev_now_ms(loop) < end_ms;)
		ev_turn(loop, 10);
}

/* one client connection: ask, and read the reply when it comes */

static int
dial(const struct mini_master *to)
{
	char	banner[64];
	int	fd = mini_master_connect(to);

	assert_int_equal(test_read_some(fd, banner, sizeof banner, 41, WAIT_MS), 41);
	return fd;
}

static void
ask(int fd, const char *addr)
{
	struct buf b = BUF_INIT(4096);

	verify_clnt_put_query(&b, addr);
	assert_int_equal(sock_write_all(fd, b.data, b.len, WAIT_MS), 0);
	buf_fini(&b);
}

static enum verify_status
answer(int fd, char *text, size_t size)
{
	char	got[4096];
	const char *bad, *reason;
	enum verify_status status;
	int	reply;
	size_t	n = 0;

	/* two NULs at the end: of the reason, and of the list */
	while (n < 3 || got[n - 1] != 0 || got[n - 2] != 0) {
		size_t	more = test_read_some(fd, got + n, sizeof got - n, 1, WAIT_MS);

		if (more == 0)
			fail_msg("no reply");
		n += more;
	}
	if ((bad = verify_clnt_get_query(got, n, &reply, &status, &reason)) != NULL)
		fail_msg("%s", bad);
	if (text != NULL)
		snprintf(text, size, "%s", reason);
	return status;
}

static enum verify_status
query(const struct mini_master *to, const char *addr, char *text, size_t size)
{
	int	fd = dial(to);
	enum verify_status status;

	ask(fd, addr);
	status = answer(fd, text, size);
	close(fd);
	return status;
}

static void
update(const struct mini_master *to, const char *addr, int status, const char *reason)
{
	struct verify_clnt *c = verify_clnt_new(to->socket, WAIT_MS);
	struct buf why = BUF_INIT(1024);

	if (verify_clnt_update(c, addr, status, reason, &why) != 0)
		fail_msg("%s", buf_str(&why));
	verify_clnt_free(&c);
	buf_fini(&why);
}

static void
test_hold(void **state)
{
	struct mini_master twin;
	char	text[64];
	int	fd, other;

	(void) state;
	begin("address_verify_hold_time = 3s\n");
	mini_master_twin(&twin, &m, "verify2");
	mini_master_start(&twin, program, NULL);
	fd = dial(&m);
	other = dial(&twin);
	ask(fd, "held@test");
	ask(other, "held@test");
	turn(1, WAIT_MS);
	assert_int_equal(sock_wait(fd, POLLIN, 0), 0);	/* no reply yet */
	update(&m, "held@test", VERIFY_BOUNCE, "no such user");
	/* both notice, and not only when they look at all waiting queries, once a second */
	assert_int_equal(sock_wait(fd, POLLIN, 500), 1);
	assert_int_equal(answer(fd, text, sizeof text), VERIFY_BOUNCE);
	assert_string_equal(text, "no such user");
	assert_int_equal(sock_wait(other, POLLIN, 500), 1);
	assert_int_equal(answer(other, text, sizeof text), VERIFY_BOUNCE);
	assert_int_equal(stub.messages, 1);
	/* the next request on the same connections; and a client that leaves while it is held */
	ask(fd, "held@test");
	assert_int_equal(answer(fd, text, sizeof text), VERIFY_BOUNCE);
	ask(other, "left@test");
	turn(2, WAIT_MS);
	close(other);
	update(&twin, "left@test", VERIFY_OK, "ok");
	/* nothing comes: in progress, when the time is up */
	ask(fd, "slow@test");
	turn(3, WAIT_MS);
	assert_int_equal(answer(fd, text, sizeof text), VERIFY_TODO);
	close(fd);
	mini_master_fini(&twin);
	end();
}

static void
test_one_probe_for_all(void **state)
{
	enum { WORKERS = 4, ADDRESSES = 50 };
	struct mini_master twin[WORKERS];
	char	name[32];
	int	fd[WORKERS];

	(void) state;
	begin("");
	for (int i = 0; i < WORKERS; i++) {
		snprintf(name, sizeof name, "twin%d", i);
		mini_master_twin(&twin[i], &m, name);
		mini_master_start(&twin[i], program, NULL);
		fd[i] = dial(&twin[i]);
	}
	for (int a = 0; a < ADDRESSES; a++) {
		snprintf(name, sizeof name, "one%d@test", a);
		for (int i = 0; i < WORKERS; i++)
			ask(fd[i], name);
		for (int i = 0; i < WORKERS; i++)
			assert_int_equal(answer(fd[i], NULL, 0), VERIFY_TODO);
	}
	turn(ADDRESSES, WAIT_MS);
	turn(ADDRESSES + 1, 200);		/* would there be another? */
	assert_int_equal(stub.messages, ADDRESSES);
	for (int i = 0; i < WORKERS; i++) {
		snprintf(name, sizeof name, "result%d@test", i);
		update(&twin[i], name, VERIFY_OK, "fine");
		for (int j = 0; j < WORKERS; j++)
			assert_int_equal(query(&twin[j], name, NULL, 0), VERIFY_OK);
	}
	for (int i = 0; i < WORKERS; i++) {
		close(fd[i]);
		mini_master_fini(&twin[i]);
	}
	end();
}

/* killed with claims whose probes were not submitted: whoever is asked next submits them */
static void
test_killed_worker(void **state)
{
	struct mini_master twin;

	(void) state;
	begin("");
	mini_master_twin(&twin, &m, "verify2");
	mini_master_start(&twin, program, NULL);
	cleanup_stub_script(&stub, STUB_SILENT);
	assert_int_equal(query(&m, "killed@test", NULL, 0), VERIFY_TODO);
	assert_int_equal(query(&twin, "killed@test", NULL, 0), VERIFY_TODO);
	mini_master_kill(&m);
	cleanup_stub_script(&stub, STUB_GOOD);
	assert_int_equal(query(&twin, "killed@test", NULL, 0), VERIFY_TODO);
	turn(1, WAIT_MS);
	assert_int_equal(stub.messages, 1);
	assert_int_equal(query(&twin, "killed@test", NULL, 0), VERIFY_TODO);
	turn(2, 200);
	assert_int_equal(stub.messages, 1);
	mini_master_fini(&twin);
	end();
}

/* a refusal that no retry will change releases the claim: the next query submits again */
static void
test_refused_probe(void **state)
{
	(void) state;
	begin("");
	stub.status = 64;
	assert_int_equal(query(&m, "refused@test", NULL, 0), VERIFY_TODO);
	turn(1, WAIT_MS);
	stub.status = 0;
	for (int i = 0; i < 500 && stub.messages < 2; i++) {	/* the worker may not have read the refusal yet */
		assert_int_equal(query(&m, "refused@test", NULL, 0), VERIFY_TODO);
		turn(2, 10);
	}
	assert_int_equal(stub.messages, 2);
	end();
}

static void
test_reason_detail(void **state)
{
	static const struct {
		const char *param, *reason, *want;
	} cases[] = {
		{ "full", "host mx[192.0.2.1] said: 550 5.1.1 No such user", "host mx[192.0.2.1] said: 550 5.1.1 No such user" },
		{ "code", "host mx[192.0.2.1] said: 550 5.1.1 No such user", "550 5.1.1" },
		{ "code", "host mx[192.0.2.1] said: 550-5.1.1 one 550 5.1.1 two", "550 5.1.1" },
		{ "code", "host mx[192.0.2.1] said: 550 No such user", "550" },
		{ "code", "550", "550" },
		{ "code", "connect to mx[192.0.2.1]:25: Connection refused", "Address does not accept mail" },
		{ "fixed", "host mx[192.0.2.1] said: 550 5.1.1 No such user", "Address does not accept mail" },
	};
	char	text[256], extra[64];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		snprintf(extra, sizeof extra, "address_verify_reason_detail = %s\n", cases[i].param);
		begin(extra);
		update(&m, "detail@test", VERIFY_BOUNCE, cases[i].reason);
		assert_int_equal(query(&m, "detail@test", text, sizeof text), VERIFY_BOUNCE);
		if (strcmp(text, cases[i].want) != 0)
			fail_msg("%s, \"%s\": got \"%s\", want \"%s\"", cases[i].param, cases[i].reason, text,
			    cases[i].want);
		end();
	}
}

/* probes carry the address as asked; only the key has '_' for ':' */
static char probed[256];

static void
probe_seen(void *ctx, struct cleanup_stub_probe *p)
{
	(void) ctx;
	snprintf(probed, sizeof probed, "%s", p->rcpt);
}

static void
test_ipv6_literal(void **state)
{
	(void) state;
	begin("");
	stub.seen = probe_seen;
	assert_int_equal(query(&m, "ann@[IPv6:2001:db8::1]", NULL, 0), VERIFY_TODO);
	turn(1, WAIT_MS);
	assert_string_equal(probed, "ann@[IPv6:2001:db8::1]");
	update(&m, probed, VERIFY_OK, "fine");
	assert_int_equal(query(&m, "ann@[IPv6:2001:db8::1]", NULL, 0), VERIFY_OK);
	end();
}

/* the volatile store's directory cannot be used: one line, and service goes on */
static void
test_bad_data_directory(void **state)
{
	char   *log;

	(void) state;
	begin("data_directory = /nonexistent/vouch\n");
	assert_int_equal(query(&m, "dir@test", NULL, 0), VERIFY_TODO);
	update(&m, "dir@test", VERIFY_OK, "fine");
	assert_int_equal(query(&m, "dir@test", NULL, 0), VERIFY_OK);
	log = mini_master_log(&m);
	assert_non_null(strstr(log, "data_directory /nonexistent/vouch: No such file or directory"));
	mem_free(&log);
	end();
	begin("address_verify_map = btree:/x\n");
	assert_int_equal(query(&m, "map@test", NULL, 0), VERIFY_TODO);
	log = mini_master_log(&m);
	assert_non_null(strstr(log, "warning: address_verify_map"));
	mem_free(&log);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_one_probe_for_all),
		cmocka_unit_test(test_killed_worker),
		cmocka_unit_test(test_refused_probe),
		cmocka_unit_test(test_reason_detail),
		cmocka_unit_test(test_ipv6_literal),
		cmocka_unit_test(test_bad_data_directory),
	};

	signal(SIGPIPE, SIG_IGN);
	if ((program = test_libexec("verify")) == NULL)
		msg_fatal("VOUCH_LIBEXEC is not set: run this with make check");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
