/* tests/daemons/verify_wire_test.c - the verify worker's bytes: every transcript of the real verify(8), odd inputs, and
 * the same inputs given to Postfix's own verify(8), where that is installed and we are root
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/verify_clnt.h>
#include <global/verify_proto.h>
#include <tests/lib/mini_master.h>
#include <tests/lib/transcript.h>
#include <util/attr.h>
#include <util/mem.h>
#include <util/sock.h>

#define POSTFIX_VERIFY	"/usr/lib/postfix/sbin/verify"
#define BANNER_LEN	41
#define WAIT_MS		5000	/* for what must come */
#define START_MS	20000	/* for the greeting: a program that was never run comes from a disk that others use, too */

static struct mini_master ours;

static int
wire_setup(void **state)
{
	char   *program = test_libexec("verify");

	(void) state;
	if (program == NULL)
		return -1;
	mini_master_init(&ours, "smtputf8_enable = yes\n", false);
	mini_master_start(&ours, program, NULL);
	mem_free(&program);
	return 0;
}

static int
wire_teardown(void **state)
{
	(void) state;
	mini_master_fini(&ours);
	return 0;
}

static int
wire_connect(const struct mini_master *m)
{
	char	banner[BANNER_LEN];
	int	fd = mini_master_connect(m);

	if (test_read_some(fd, banner, sizeof banner, sizeof banner, START_MS) != BANNER_LEN)
		fail_msg("no greeting within %d ms from a server that %s", START_MS,
		    waitpid(m->pid, NULL, WNOHANG) == 0 ? "runs" : "has ended");
	assert_memory_equal(banner, "protocol\0address_verification_prrotocol\0", BANNER_LEN);
	return fd;
}

/* wire_barrier - when this returns, what was sent before on another connection has been served: a server that serves in
 * order of arrival has had two whole exchanges since */
static void
wire_barrier(const struct mini_master *m)
{
	static const char query[] = "request\0query\0address\0barrier@test\0";
	char	reply[256];
	int	fd = wire_connect(m);

	for (int i = 0; i < 2; i++) {
		assert_int_equal(sock_write_all(fd, query, sizeof query, WAIT_MS), 0);
		assert_true(test_read_some(fd, reply, sizeof reply, 40, WAIT_MS) >= 40);
	}
	close(fd);
}

static void
wire_update(const struct mini_master *m, const char *addr, int status, const char *reason)
{
	struct verify_clnt *c = verify_clnt_new(m->socket, WAIT_MS);
	struct buf why = BUF_INIT(1024);

	if (verify_clnt_update(c, addr, status, reason, &why) != 0)
		fail_msg("update for %s: %s", addr, buf_str(&why));
	verify_clnt_free(&c);
	buf_fini(&why);
}

/* wire_seed - what happened before or between the recorded messages: a delivery agent reported the result that this
 * query reply shows, unless the transcript itself has an update for the address */
static void
wire_seed(const struct transcript *t, size_t request, size_t reply)
{
	struct attr_reader r;
	const char *kind, *addr, *text;
	uint32_t status;

	attr_reader_init(&r, t->msg[request].data.data, t->msg[request].data.len, true);
	kind = attr_str(&r, "request");
	addr = attr_str(&r, "address");
	if (kind == NULL || addr == NULL || strcmp(kind, "query") != 0)
		return;
	for (size_t i = 0; i < request; i++)
		if (memmem(t->msg[i].data.data, t->msg[i].data.len, "update", 6) != NULL)
			return;
	attr_reader_init(&r, t->msg[reply].data.data, t->msg[reply].data.len, true);
	attr_uint(&r, "status");
	status = attr_uint(&r, "recipient_status");
	text = attr_str(&r, "reason");
	if (text != NULL && status != VERIFY_TODO)
		wire_update(&ours, addr, (int) status, text);
}

static void
wire_replay(const char *name)
{
	struct transcript t;
	struct buf why = BUF_INIT(1024);
	char	got[8192];
	size_t	n, exchanges = 0;
	int	fd = wire_connect(&ours);

	if (transcript_read(&t, name, &why) < 0)
		fail_msg("%s", buf_str(&why));
	for (size_t i = 0; i < t.n; i++) {
		const struct transcript_msg *req = &t.msg[i], *rep = i + 1 < t.n ? &t.msg[i + 1] : NULL;

		if (strcmp(req->dir, "C>") != 0)
			continue;
		if (rep != NULL && strcmp(rep->dir, "S>") == 0)
			wire_seed(&t, i, i + 1);
		assert_int_equal(sock_write_all(fd, req->data.data, req->data.len, WAIT_MS), 0);
		if (rep == NULL || strcmp(rep->dir, "S>") != 0) {	/* recorded without a reply */
			wire_barrier(&ours);
			if (test_read_some(fd, got, sizeof got, 1, 0) != 0)
				fail_msg("%s line %u: a reply where verify(8) gives none", name, req->line);
			exchanges++;
			continue;
		}
		n = test_read_some(fd, got, sizeof got, rep->data.len, WAIT_MS);
		if (n != rep->data.len || memcmp(got, rep->data.data, n) != 0)
			fail_msg("%s line %u: another reply (%zu bytes, want %zu): %.*s", name, rep->line, n, rep->data.len,
			    (int) n, got);
		exchanges++;
	}
	assert_true(exchanges > 0 || strncmp(name, "01-", 3) == 0);
	close(fd);
	transcript_fini(&t);
	buf_fini(&why);
}

static void
test_transcripts(void **state)
{
	static const char *const names[] = {
		"01-handshake.hex", "02-query-unknown-address.hex", "03-query-deliverable.hex",
		"04-update-and-query.hex", "05-ok-not-clobbered.hex", "06-update-bad-status.hex",
		"07-unknown-request.hex", "08-malformed-requests.hex", "09-extra-trailing-attribute.hex",
		"10-colon-translit.hex", "12-text-sanitising.hex", "13-number-forms.hex",
	};

	(void) state;
	for (size_t i = 0; i < NELEM(names); i++)
		wire_replay(names[i]);
}

/* 11-two-requests-one-write: verify(8) loses the second request; ours answers both, in order (DIFFERENCES_README) */
static void
test_sent_ahead(void **state)
{
	static const char two[] = "request\0query\0address\0ahead1@test\0\0request\0query\0address\0ahead2@test\0";
	static const char want[] = "status\0" "0\0recipient_status\0" "0\0reason\0one\0\0"
	    "status\0" "0\0recipient_status\0" "2\0reason\0two\0";
	char	got[256];
	int	fd = wire_connect(&ours);

	(void) state;
	wire_update(&ours, "ahead1@test", VERIFY_OK, "one");
	wire_update(&ours, "ahead2@test", VERIFY_BOUNCE, "two");
	assert_int_equal(sock_write_all(fd, two, sizeof two, WAIT_MS), 0);
	assert_int_equal(test_read_some(fd, got, sizeof got, sizeof want, WAIT_MS), sizeof want);
	assert_memory_equal(got, want, sizeof want);
	close(fd);
}

/* odd inputs: name, bytes. The reply is what Postfix's verify(8) gives, where it can be asked; `reply` is what the
 * specification says: NULL none, else the bytes */
#define BYTES(s)	s, sizeof s - 1
#define OK_REPLY	BYTES("status\0" "0\0\0")
#define BAD_REPLY	BYTES("status\0" "4294967294\0\0")
#define TODO_REPLY	BYTES("status\0" "0\0recipient_status\0" "3\0reason\0Address verification in progress\0\0")
static const struct odd {
	const char *name, *bytes;
	size_t	len;
	const char *reply;
	size_t	reply_len;
} odds[] = {
	{ "query, no address", BYTES("request\0query\0\0"), NULL, 0 },
	{ "empty list", BYTES("\0"), NULL, 0 },
	{ "extra before", BYTES("request\0query\0foo\0bar\0address\0odd1@t\0\0"), NULL, 0 },
	{ "extra after", BYTES("request\0query\0address\0odd2@t\0foo\0bar\0\0"), TODO_REPLY },
	{ "duplicate address", BYTES("request\0query\0address\0odd3@t\0address\0odd4@t\0\0"), TODO_REPLY },
	{ "duplicate request", BYTES("request\0query\0request\0query\0address\0odd5@t\0\0"), NULL, 0 },
	{ "wrong order", BYTES("address\0odd6@t\0request\0query\0\0"), NULL, 0 },
	{ "unknown request", BYTES("request\0bogus\0\0"), BAD_REPLY },
	{ "unknown request with attributes", BYTES("request\0bogus\0address\0a@b\0\0"), BAD_REPLY },
	{ "empty request name", BYTES("request\0\0\0"), BAD_REPLY },
	{ "upper case request", BYTES("request\0QUERY\0address\0odd7@t\0\0"), BAD_REPLY },
	{ "upper case name", BYTES("Request\0query\0address\0odd8@t\0\0"), NULL, 0 },
	{ "empty address", BYTES("request\0query\0address\0\0\0"), TODO_REPLY },
	{ "binary address", BYTES("request\0query\0address\0\001\002\377\376@t\0\0"), TODO_REPLY },
	{ "UTF-8 address", BYTES("request\0query\0address\0j\303\266rg@t\0\0"), TODO_REPLY },
	{ "address with blanks", BYTES("request\0query\0address\0a b@t\0\0"), TODO_REPLY },
	{ "update, no status", BYTES("request\0update\0address\0odd9@t\0reason\0x\0\0"), NULL, 0 },
	{ "update, no reason", BYTES("request\0update\0address\0odd10@t\0recipient_status\0" "0\0\0"), NULL, 0 },
	{ "update, wrong order", BYTES("request\0update\0recipient_status\0" "0\0address\0odd11@t\0reason\0x\0\0"), NULL, 0 },
	{ "update, status 3", BYTES("request\0update\0address\0odd12@t\0recipient_status\0" "3\0reason\0x\0\0"), BAD_REPLY },
	{ "update, status -1", BYTES("request\0update\0address\0odd13@t\0recipient_status\0" "-1\0reason\0x\0\0"), BAD_REPLY },
	{ "update, status huge", BYTES("request\0update\0address\0odd14@t\0recipient_status\0" "99999999999999999999999\0reason\0x\0\0"), BAD_REPLY },
	{ "update, status 2^32", BYTES("request\0update\0address\0odd15@t\0recipient_status\0" "4294967296\0reason\0x\0\0"), OK_REPLY },
	{ "update, status 2x", BYTES("request\0update\0address\0odd16@t\0recipient_status\0" "2x\0reason\0x\0\0"), NULL, 0 },
	{ "update, status empty", BYTES("request\0update\0address\0odd17@t\0recipient_status\0\0reason\0x\0\0"), NULL, 0 },
	{ "update, status 0x2", BYTES("request\0update\0address\0odd18@t\0recipient_status\0" "0x2\0reason\0x\0\0"), NULL, 0 },
	{ "update, blank before status", BYTES("request\0update\0address\0odd19@t\0recipient_status\0\t 1\0reason\0x\0\0"), OK_REPLY },
	{ "update, blank after status", BYTES("request\0update\0address\0odd20@t\0recipient_status\0" "1 \0reason\0x\0\0"), NULL, 0 },
	{ "update, empty reason", BYTES("request\0update\0address\0odd21@t\0recipient_status\0" "0\0reason\0\0\0"), OK_REPLY },
	{ "update, binary reason", BYTES("request\0update\0address\0odd22@t\0recipient_status\0" "2\0reason\0\001\377\0\0"), OK_REPLY },
	{ "update, extra after", BYTES("request\0update\0address\0odd23@t\0recipient_status\0" "2\0reason\0x\0foo\0bar\0\0"), OK_REPLY },
	{ "update, empty address", BYTES("request\0update\0address\0\0recipient_status\0" "2\0reason\0x\0\0"), OK_REPLY },
	{ "update, address not UTF-8", BYTES("request\0update\0address\0\377@t\0recipient_status\0" "2\0reason\0x\0\0"), OK_REPLY },
};

static void
wire_odd(const struct mini_master *m, const char *who, const struct odd *o)
{
	static const char query[] = "request\0query\0address\0after-odd@test\0";
	char	got[512];
	size_t	n;
	int	fd = wire_connect(m);

	assert_int_equal(sock_write_all(fd, o->bytes, o->len, WAIT_MS), 0);
	if (o->reply != NULL)
		n = test_read_some(fd, got, sizeof got, o->reply_len, WAIT_MS);
	else {
		wire_barrier(m);
		n = test_read_some(fd, got, sizeof got, 1, 0);
	}
	if (n != o->reply_len || (n > 0 && memcmp(got, o->reply, n) != 0))
		fail_msg("%s, %s: %zu bytes of reply, want %zu", who, o->name, n, o->reply_len);
	/* and the connection is of use afterwards */
	wire_barrier(m);
	assert_int_equal(sock_write_all(fd, query, sizeof query, WAIT_MS), 0);
	if (test_read_some(fd, got, sizeof got, 69, WAIT_MS) != 69)
		fail_msg("%s, %s: the connection is of no use afterwards", who, o->name);
	close(fd);
}

static void
test_odd_inputs(void **state)
{
	(void) state;
	for (size_t i = 0; i < NELEM(odds); i++)
		wire_odd(&ours, "ours", &odds[i]);
}

/* the same table given to Postfix's own verify(8): the table itself is held against the real thing */
static void
test_odd_inputs_postfix(void **state)
{
	struct mini_master peer;

	(void) state;
	if (geteuid() != 0 || access(POSTFIX_VERIFY, X_OK) < 0) {
		print_message("SKIP: needs root and Postfix's verify\n");
		skip();
	}
	/* the null sender: no rewrite service is needed, which verify(8) would wait for */
	mini_master_init(&peer, "smtputf8_enable = yes\naddress_verify_sender = <>\n", true);
	mini_master_start(&peer, POSTFIX_VERIFY, NULL);
	for (size_t i = 0; i < NELEM(odds); i++)
		wire_odd(&peer, "Postfix", &odds[i]);
	mini_master_fini(&peer);
}

/* half a request blocks only its own client; one byte at a time is as good as one write */
static void
test_fragments(void **state)
{
	static const char query[] = "request\0query\0address\0frag@test\0";
	static const char want[] = "status\0" "0\0recipient_status\0" "1\0reason\0later\0";
	char	got[256];
	int	fd = wire_connect(&ours);

	(void) state;
	wire_update(&ours, "frag@test", VERIFY_DEFER, "later");
	for (size_t i = 0; i < sizeof query; i++) {
		assert_int_equal(sock_write_all(fd, query + i, 1, WAIT_MS), 0);
		if (i == 10)
			wire_barrier(&ours);
	}
	assert_int_equal(test_read_some(fd, got, sizeof got, sizeof want, WAIT_MS), sizeof want);
	assert_memory_equal(got, want, sizeof want);
	/* end of file in mid-request, and after a complete request */
	assert_int_equal(sock_write_all(fd, query, 5, WAIT_MS), 0);
	shutdown(fd, SHUT_WR);
	assert_int_equal(test_read_some(fd, got, sizeof got, 1, WAIT_MS), 0);
	close(fd);
	fd = wire_connect(&ours);
	assert_int_equal(sock_write_all(fd, query, sizeof query, WAIT_MS), 0);
	shutdown(fd, SHUT_WR);
	assert_int_equal(test_read_some(fd, got, sizeof got, sizeof got, WAIT_MS), sizeof want);
	close(fd);
}

/* huge values: a long text is kept in part, a long address not at all; the reply comes in any case, a client that
 * gets none would repeat its request for ever */
static void
test_huge(void **state)
{
	struct buf req = BUF_INIT(1u << 22);
	char   *big = mem_alloc(300001), got[20000];
	int	fd = wire_connect(&ours);
	size_t	n;

	(void) state;
	memset(big, 'a', 300000);
	attr_put_str(&req, "request", "update");
	attr_put_str(&req, "address", "huge@test");
	attr_put_uint(&req, "recipient_status", VERIFY_BOUNCE);
	attr_put_str(&req, "reason", big);
	attr_put_end(&req);
	assert_int_equal(sock_write_all(fd, req.data, req.len, WAIT_MS), 0);
	assert_int_equal(test_read_some(fd, got, sizeof got, 10, WAIT_MS), 10);
	buf_reset(&req);
	verify_clnt_put_query(&req, "huge@test");
	assert_int_equal(sock_write_all(fd, req.data, req.len, WAIT_MS), 0);
	n = test_read_some(fd, got, sizeof got, 8192, WAIT_MS);
	assert_true(n >= 8192);		/* spec attribute-protocol section 2: at least so much is kept */
	while (got[n - 1] != 0 || got[n - 2] != 0)
		n += test_read_some(fd, got + n, sizeof got - n, 1, WAIT_MS);
	buf_reset(&req);
	attr_put_str(&req, "request", "update");
	attr_put_str(&req, "address", big);
	attr_put_uint(&req, "recipient_status", VERIFY_OK);
	attr_put_str(&req, "reason", "x");
	attr_put_end(&req);
	assert_int_equal(sock_write_all(fd, req.data, req.len, WAIT_MS), 0);
	assert_int_equal(test_read_some(fd, got, sizeof got, 10, WAIT_MS), 10);
	assert_memory_equal(got, "status\0" "0\0", 10);
	buf_reset(&req);
	verify_clnt_put_query(&req, big);
	assert_int_equal(sock_write_all(fd, req.data, req.len, WAIT_MS), 0);
	n = test_read_some(fd, got, sizeof got, 75, WAIT_MS);
	assert_non_null(memmem(got, n, "recipient_status\0" "1\0", 19));
	close(fd);
	/* a request that never ends is given up, and its memory with it */
	fd = wire_connect(&ours);
	for (int i = 0; i < 4096 && sock_write_all(fd, "n\0v", 4, WAIT_MS) == 0; i++)
		;
	assert_int_equal(test_read_some(fd, got, sizeof got, 1, WAIT_MS), 0);
	close(fd);
	wire_barrier(&ours);
	free(big);
	buf_fini(&req);
}

/* reload: the clients a worker holds are served to their end, then it leaves; nothing stored is lost */
static void
test_drain(void **state)
{
	static const char query[] = "request\0query\0address\0drain@test\0";
	static const char want[] = "status\0" "0\0recipient_status\0" "0\0reason\0kept\0";
	char   *program = test_libexec("verify"), got[256];
	int	fd = wire_connect(&ours), status;
	pid_t	old;

	(void) state;
	wire_update(&ours, "drain@test", VERIFY_OK, "kept");
	old = mini_master_reload(&ours);
	mini_master_start(&ours, program, NULL);
	wire_barrier(&ours);				/* the new one answers */
	assert_int_equal(sock_write_all(fd, query, sizeof query, WAIT_MS), 0);
	assert_int_equal(test_read_some(fd, got, sizeof got, sizeof want, WAIT_MS), sizeof want);	/* and the old one its client */
	assert_int_equal(waitpid(old, &status, WNOHANG), 0);
	close(fd);
	assert_int_equal(waitpid(old, &status, 0), old);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* contents survive a killed worker as well */
	mini_master_kill(&ours);
	mini_master_start(&ours, program, NULL);
	fd = wire_connect(&ours);
	assert_int_equal(sock_write_all(fd, query, sizeof query, WAIT_MS), 0);
	assert_int_equal(test_read_some(fd, got, sizeof got, sizeof want, WAIT_MS), sizeof want);
	assert_memory_equal(got, want, sizeof want);
	close(fd);
	mem_free(&program);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transcripts),
		cmocka_unit_test(test_sent_ahead),
		cmocka_unit_test(test_odd_inputs),
		cmocka_unit_test(test_odd_inputs_postfix),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_drain),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, wire_setup, wire_teardown);
}
