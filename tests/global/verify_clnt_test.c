/* tests/global/verify_clnt_test.c - the wire against the recorded dialogues; the client against a scripted service */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <util/attr.h>
#include <util/mem.h>
#include <util/sock.h>
#include <global/verify_clnt.h>
#include <tests/lib/transcript.h>
#include <tests/lib/verify_stub.h>

#define TIMEOUT	20000		/* of requests that are to succeed */
#define QUICK	50		/* of those that are not */
#define CLOSED	1000		/* of those that close: repeated until then */

/* the wire */

/* every request that Postfix's programs sent is made again from its parts, byte by byte; every reply is understood */
static void
test_transcripts(void **state)
{
	static const struct {
		const char *file;
		unsigned queries, updates;
	} files[] = {
		{ "02-query-unknown-address.hex", 2, 0 },
		{ "40-agent-updates-smtp.hex", 0, 4 },
		{ "41-agent-updates-local.hex", 0, 2 },
		{ "42-agent-updates-discard-data.hex", 0, 3 },
		{ "43-smtpd-queries.hex", 10, 0 },
	};
	static const char banner[] = "protocol\0" VERIFY_PROTOCOL_NAME "\0";

	(void) state;
	for (size_t i = 0; i < NELEM(files); i++) {
		struct transcript t;
		struct buf why = BUF_INIT(1000), made = BUF_INIT(10000);
		unsigned queries = 0, updates = 0;
		bool	query = false;

		if (transcript_read(&t, files[i].file, &why) < 0)
			fail_msg("%s", buf_str(&why));
		for (size_t n = 0; n < t.n; n++) {
			const struct buf *m = &t.msg[n].data;
			struct attr_reader r;
			const char *addr, *bad, *reason = NULL;
			enum verify_status status = VERIFY_OK;
			int	reply = 99, number;

			if (strcmp(t.msg[n].dir, "S>") == 0) {
				if (m->len == sizeof banner && memcmp(m->data, banner, sizeof banner) == 0)
					bad = verify_clnt_get_banner(m->data, m->len);
				else if (query)
					bad = verify_clnt_get_query(m->data, m->len, &reply, &status, &reason);
				else
					bad = verify_clnt_get_update(m->data, m->len, &reply);
				if (bad != NULL || (reply != 99 && reply != VERIFY_REPLY_OK))
					fail_msg("%s, line %u: %s", files[i].file, t.msg[n].line, bad != NULL ? bad : "reply");
				continue;
			}
			attr_reader_init(&r, m->data, m->len, false);
			buf_reset(&made);
			query = strcmp(attr_str(&r, "request"), "query") == 0;
			addr = attr_str(&r, "address");
			if (query) {
				verify_clnt_put_query(&made, addr);
				queries++;
			} else {
				number = (int) attr_uint(&r, "recipient_status");
				verify_clnt_put_update(&made, addr, number, attr_str(&r, "reason"));
				updates++;
			}
			if (r.error != ATTR_OK || made.len != m->len || memcmp(made.data, m->data, m->len) != 0)
				fail_msg("%s, line %u: other bytes", files[i].file, t.msg[n].line);
		}
		if (queries != files[i].queries || updates != files[i].updates)
			fail_msg("%s: %u queries, %u updates", files[i].file, queries, updates);
		buf_fini(&made);
		buf_fini(&why);
		transcript_fini(&t);
	}
}

#define L(s)	s "\0", sizeof(s) + 1		/* a list without its terminator, and its length */

static void
test_get_banner(void **state)
{
	static const struct {
		const char *list;
		size_t	n;
		bool	good;
	} cases[] = {
		{ L("protocol\0address_verification_prrotocol"), true },
		{ L("protocol\0address_verification_prrotocol\0version\0" "2"), true },
		{ L("protocol\0address_verification_protocol"), false },
		{ L("protocol\0"), false },
		{ L("Protocol\0address_verification_prrotocol"), false },
		{ L("version\0" "2\0protocol\0address_verification_prrotocol"), false },
		{ "\0", 1, false },
		{ "", 0, false },
		{ L("status\0" "0"), false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		if ((verify_clnt_get_banner(cases[i].list, cases[i].n) == NULL) != cases[i].good)
			fail_msg("row %zu: want %s", i, cases[i].good ? "good" : "bad");
}

static void
test_get_query(void **state)
{
	static const struct {
		const char *list;
		size_t	n;
		bool	good;
		int	reply;
		enum verify_status status;
		const char *reason;
	} cases[] = {
		{ L("status\0" "0\0recipient_status\0" "3\0reason\0x"), true, 0, VERIFY_TODO, "x" },
		{ L("status\0" "0\0recipient_status\0" "0\0reason\0"), true, 0, VERIFY_OK, "" },
		{ L("status\0" "0\0recipient_status\0" " +02\0reason\0a:b"), true, 0, VERIFY_BOUNCE, "a:b" },
		{ L("status\0" "0\0recipient_status\0" "1\0reason\0x\0more\0y"), true, 0, VERIFY_DEFER, "x" },
		{ L("a\0b\0status\0" "0\0c\0d\0recipient_status\0" "1\0e\0\0reason\0x"), true, 0, VERIFY_DEFER, "x" },
		{ L("status\0" "4294967295\0recipient_status\0" "0\0reason\0x"), true, VERIFY_REPLY_FAIL, 0, NULL },
		{ L("status\0" "4294967294"), true, VERIFY_REPLY_BAD, 0, NULL },
		{ L("status\0" "-2"), true, VERIFY_REPLY_BAD, 0, NULL },
		{ L("status\0" "7"), true, 7, 0, NULL },
		{ L("status\0" "0"), false, 0, 0, NULL },
		{ L("status\0" "0\0recipient_status\0" "3"), false, 0, 0, NULL },
		{ L("status\0" "0\0recipient_status\0" "3x\0reason\0x"), false, 0, 0, NULL },
		{ L("status\0" "0\0recipient_status\0" "4\0reason\0x"), false, 0, 0, NULL },
		{ L("status\0" "0\0recipient_status\0" "-1\0reason\0x"), false, 0, 0, NULL },
		{ L("status\0" "0\0reason\0x\0recipient_status\0" "3"), false, 0, 0, NULL },
		{ L("recipient_status\0" "3\0status\0" "0\0reason\0x"), false, 0, 0, NULL },
		{ L("status\0\0recipient_status\0" "3\0reason\0x"), false, 0, 0, NULL },
		{ L("Status\0" "0\0recipient_status\0" "3\0reason\0x"), false, 0, 0, NULL },
		{ "\0", 1, false, 0, 0, NULL },
		{ "", 0, false, 0, 0, NULL },
		{ "status", 6, false, 0, 0, NULL },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		enum verify_status status = VERIFY_TODO;
		const char *reason = NULL, *bad;
		int	reply = 99;

		bad = verify_clnt_get_query(cases[i].list, cases[i].n, &reply, &status, &reason);
		if ((bad == NULL) != cases[i].good)
			fail_msg("row %zu: %s", i, bad != NULL ? bad : "taken for good");
		if (cases[i].good && (reply != cases[i].reply || (reply == 0 && (status != cases[i].status ||
		    strcmp(reason, cases[i].reason) != 0))))
			fail_msg("row %zu: got reply %d, status %d, reason %s", i, reply, status, reason);
	}
}

static void
test_get_update(void **state)
{
	static const struct {
		const char *list;
		size_t	n;
		bool	good;
		int	reply;
	} cases[] = {
		{ L("status\0" "0"), true, 0 },
		{ L("status\0" "4294967294"), true, VERIFY_REPLY_BAD },
		{ L("more\0" "1\0status\0" "0\0more\0" "2"), true, 0 },
		{ L("status\0" "fine"), false, 0 },
		{ L("result\0" "0"), false, 0 },
		{ "\0", 1, false, 0 },
		{ "", 0, false, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		int	reply = 99;
		const char *bad = verify_clnt_get_update(cases[i].list, cases[i].n, &reply);

		if ((bad == NULL) != cases[i].good || (cases[i].good && reply != cases[i].reply))
			fail_msg("row %zu: %s, reply %d", i, bad != NULL ? bad : "good", reply);
	}
}

/* the client, with the service in a process of its own; its struct is shared with us, for script and counters */

static struct fix {
	char	dir[64], path[96];
	pid_t	pid;			/* 0: none */
	struct verify_stub *stub;	/* shared memory */
	struct verify_clnt *c;
	struct buf reason, why;
} fix;

static void
fix_poke(void *ctx, int signo)
{
	(void) signo;
	verify_stub_poke(ctx);
}

/* fix_serve - start the service; it listens before we return */
static void
fix_serve(enum verify_stub_mode mode, int backlog)
{
	struct ev_loop *loop = ev_loop_new();

	if (verify_stub_open(fix.stub, loop, fix.path, backlog) < 0)
		fail_msg("cannot listen at %s", fix.path);
	verify_stub_script(fix.stub, mode);
	fflush(NULL);
	if ((fix.pid = fork()) == 0) {
		alarm(60);			/* should the test die */
		ev_signal_set(loop, SIGUSR1, fix_poke, fix.stub);
		ev_run(loop);
		_exit(0);
	}
	sock_close(&fix.stub->fd);		/* ours; the child has its own (and epoll goes on with that) */
	ev_loop_free(&loop);
}

static void
fix_unserve(void)
{
	if (fix.pid > 0) {
		kill(fix.pid, SIGKILL);
		waitpid(fix.pid, NULL, 0);
	}
	fix.pid = 0;
	unlink(fix.path);
}

static int
fix_setup(void **state)
{
	(void) state;
	memset(&fix, 0, sizeof fix);
	strcpy(fix.dir, "/tmp/vouch-test.XXXXXX");
	if (mkdtemp(fix.dir) == NULL)
		return -1;
	snprintf(fix.path, sizeof fix.path, "%s/verify", fix.dir);
	fix.stub = mmap(NULL, sizeof *fix.stub, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	buf_init(&fix.reason, 100000);
	buf_init(&fix.why, 1000);
	return fix.stub == MAP_FAILED ? -1 : 0;
}

static int
fix_teardown(void **state)
{
	(void) state;
	verify_clnt_free(&fix.c);
	fix_unserve();
	munmap(fix.stub, sizeof *fix.stub);
	rmdir(fix.dir);
	buf_fini(&fix.reason);
	buf_fini(&fix.why);
	return 0;
}

static int
query(const char *addr, enum verify_status *status_r)
{
	return verify_clnt_query(fix.c, addr, status_r, &fix.reason, &fix.why);
}

static void
test_good(void **state)
{
	enum verify_status status;

	(void) state;
	fix_serve(VSTUB_GOOD, 5);
	fix.c = verify_clnt_new(fix.path, TIMEOUT);
	for (int i = 0; i < 4; i++) {
		char	addr[32], want[64];

		snprintf(addr, sizeof addr, "%d:x@b.test", i);
		snprintf(want, sizeof want, "text for %s", addr);
		assert_int_equal(query(addr, &status), 0);
		assert_int_equal(status, i);
		assert_string_equal(buf_str(&fix.reason), want);
		assert_string_equal(buf_str(&fix.why), "");
	}
	assert_int_equal(verify_clnt_update(fix.c, "a@b.test", 2, "no such user", &fix.why), 0);
	assert_string_equal(fix.stub->addr, "a@b.test");
	assert_string_equal(fix.stub->reason, "no such user");
	assert_int_equal(fix.stub->status, 2);
	/* refused: the connection is as good as before */
	assert_int_equal(verify_clnt_update(fix.c, "!@b.test", 3, "x", &fix.why), -2);
	assert_non_null(strstr(buf_str(&fix.why), "request refused (status -2)"));
	assert_int_equal(query("!@b.test", &status), -2);
	assert_string_equal(buf_str(&fix.reason), "");
	assert_int_equal(query("0@b.test", &status), 0);
	assert_int_equal(fix.stub->accepted, 1);
	assert_int_equal(fix.stub->requests, 8);
}

/* how a query and an update end, whatever the service does, and that they end in time */
static void
test_modes(void **state)
{
	static const struct {
		enum verify_stub_mode mode;
		int	want;
		const char *why;
	} cases[] = {
		{ VSTUB_BYTES,	   0,  "" },
		{ VSTUB_EXTRA,	   0,  "" },
		{ VSTUB_TWICE,	   0,  "" },
		{ VSTUB_ONCE,	   0,  "" },
		{ VSTUB_LATER,	   0,  "" },
		{ VSTUB_IGNORE,	   -1, "no answer within 50 ms" },
		{ VSTUB_CLOSE,	   -1, "connection closed before the reply" },
		{ VSTUB_SILENT,	   -1, "no answer within 50 ms" },
		{ VSTUB_BADNAME,   -1, "not an address verification service" },
		{ VSTUB_EMPTY,	   -1, "not an address verification service" },
		{ VSTUB_GARBAGE,   -1, "no answer within 50 ms" },
		{ VSTUB_TALK,	   -1, "reply before the request" },
		{ VSTUB_EOF,	   -1, "connection closed before the reply" },
		{ VSTUB_HANG,	   -1, "no answer within 50 ms" },
		{ VSTUB_HALF,	   -1, "no answer within 50 ms" },
		{ VSTUB_HALFCLOSE, -1, "connection closed before the reply" },
		{ VSTUB_FLOOD,	   -1, "no answer within 50 ms" },
		{ VSTUB_BADNUM,	   -1, "malformed number" },
		{ VSTUB_MISSING,   -1, "missing" },
		{ VSTUB_ORDER,	   -1, "missing" },
		{ VSTUB_BADSTATUS, -1, "unknown recipient status" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		enum verify_status status = VERIFY_TODO;
		struct timespec start, end;
		int	ret;

		if (i > 0)
			fix_setup(state);
		fix_serve(cases[i].mode, 5);
		/* what is repeated until the time is up must not take long; the rest must not be hurried on a busy machine */
		fix.c = verify_clnt_new(fix.path, strstr(cases[i].why, "no answer") != NULL ? QUICK :
		    strstr(cases[i].why, "closed") != NULL ? CLOSED : TIMEOUT);
		clock_gettime(CLOCK_MONOTONIC, &start);
		for (int n = 0; n < 2; n++) {		/* the second shows that the first left nothing behind */
			ret = query("1@b.test", &status);
			if (ret != cases[i].want || strstr(buf_str(&fix.why), cases[i].why) == NULL)
				fail_msg("mode %d: got %d, %s", cases[i].mode, ret, buf_str(&fix.why));
			if (ret == 0 && (status != VERIFY_DEFER || strcmp(buf_str(&fix.reason), "text for 1@b.test") != 0))
				fail_msg("mode %d: status %d, reason %s", cases[i].mode, status, buf_str(&fix.reason));
		}
		if (cases[i].mode != VSTUB_BADSTATUS) {
			ret = verify_clnt_update(fix.c, "a@b.test", 1, "later", &fix.why);
			if (ret != cases[i].want || strstr(buf_str(&fix.why), cases[i].why) == NULL)
				fail_msg("mode %d, update: got %d, %s", cases[i].mode, ret, buf_str(&fix.why));
		}
		if ((cases[i].mode == VSTUB_TWICE || cases[i].mode == VSTUB_BADNUM) && fix.stub->accepted != 3)
			fail_msg("mode %d: %u connections for 3 requests: it may be out of step", cases[i].mode,
			    fix.stub->accepted);
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (cases[i].want != 0 && end.tv_sec - start.tv_sec > 10)
			fail_msg("mode %d: three requests took %ld s", cases[i].mode, (long) (end.tv_sec - start.tv_sec));
		if (i + 1 < NELEM(cases))
			fix_teardown(state);
	}
}

/* a server that goes with the request in hand, or between requests, or whose successor is another process */
static void
test_renewed(void **state)
{
	enum verify_status status;

	(void) state;
	fix_serve(VSTUB_GOOD, 5);
	fix.c = verify_clnt_new(fix.path, TIMEOUT);
	fix.stub->fail_first = 3;
	assert_int_equal(query("1@b.test", &status), 0);
	assert_int_equal(status, VERIFY_DEFER);
	assert_int_equal(fix.stub->accepted, 4);
	fix_unserve();
	fix_serve(VSTUB_GOOD, 5);
	assert_int_equal(query("2@b.test", &status), 0);
	assert_int_equal(status, VERIFY_BOUNCE);
	assert_int_equal(fix.stub->accepted, 1);
	fix_unserve();
	assert_int_equal(query("2@b.test", &status), -1);
	assert_non_null(strstr(buf_str(&fix.why), "No such file or directory"));
	fix_serve(VSTUB_GOOD, 5);
	assert_int_equal(verify_clnt_update(fix.c, "a@b.test", 0, "", &fix.why), 0);
	assert_string_equal(buf_str(&fix.why), "");
}

/* a byte that arrived between requests is not taken for the beginning of the next reply */
static void
test_unasked(void **state)
{
	enum verify_status status;
	time_t	end = time(NULL) + 20;

	(void) state;
	fix_serve(VSTUB_GOOD, 5);
	fix.c = verify_clnt_new(fix.path, TIMEOUT);
	assert_int_equal(query("1@b.test", &status), 0);	/* so it runs, and has its signal handler */
	kill(fix.pid, SIGUSR1);
	while (*(volatile unsigned *) &fix.stub->pokes == 0 && time(NULL) < end)
		usleep(1000);
	assert_int_equal(fix.stub->pokes, 1);
	assert_int_equal(query("2@b.test", &status), 0);
	assert_int_equal(status, VERIFY_BOUNCE);
	assert_int_equal(fix.stub->accepted, 2);
}

static void
test_nobody(void **state)
{
	enum verify_status status;
	char	want[200];
	time_t	start = time(NULL);
	int	fd;

	(void) state;
	fix.c = verify_clnt_new(fix.path, TIMEOUT);
	assert_int_equal(query("a@b.test", &status), -1);
	snprintf(want, sizeof want, "connect to %s: No such file or directory", fix.path);
	assert_string_equal(buf_str(&fix.why), want);
	fd = sock_unix_listen(fix.path, 5, 0600);
	sock_close(&fd);
	assert_int_equal(query("a@b.test", &status), -1);
	assert_non_null(strstr(buf_str(&fix.why), "Connection refused"));
	assert_true(time(NULL) - start < 10);		/* at once, not after the time-outs */
}

static void
test_listen_queue_full(void **state)
{
	enum verify_status status;
	int	fd[10], n = 0;

	(void) state;
	fix_serve(VSTUB_IGNORE, 1);
	while (n < 10 && (fd[n] = sock_unix_connect(fix.path, true)) >= 0)
		n++;
	assert_true(n < 10);
	fix.c = verify_clnt_new(fix.path, QUICK);
	assert_int_equal(query("a@b.test", &status), -1);
	assert_non_null(strstr(buf_str(&fix.why), "Resource temporarily unavailable"));
	while (n > 0)
		sock_close(&fd[--n]);
}

static void
test_long(void **state)
{
	char   *text = mem_alloc(600001);
	enum verify_status status;

	(void) state;
	fix_serve(VSTUB_GOOD, 5);
	fix.c = verify_clnt_new(fix.path, TIMEOUT);
	memset(text, '2', 500000);
	assert_int_equal(verify_clnt_update(fix.c, "a@b.test", 1, text, &fix.why), 0);
	assert_int_equal(query(text, &status), 0);
	assert_int_equal(status, VERIFY_BOUNCE);
	memset(text, '2', 600000);
	assert_int_equal(query(text, &status), -1);
	assert_string_equal(buf_str(&fix.why), "address or text too long");
	mem_free(&text);
	verify_clnt_free(&fix.c);
	verify_clnt_free(&fix.c);			/* harmless */
}

int
main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transcripts),
		cmocka_unit_test(test_get_banner),
		cmocka_unit_test(test_get_query),
		cmocka_unit_test(test_get_update),
		T(test_good),
		T(test_modes),
		T(test_renewed),
		T(test_unasked),
		T(test_nobody),
		T(test_listen_queue_full),
		T(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
