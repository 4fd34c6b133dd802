/* tests/util/tls_test.c - TLS over a non-blocking socket, against OpenSSL as the server, over a socket pair */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/lib/tls_peer.h>
#include <util/mem.h>
#include <util/sock.h>
#include <util/tls.h>

struct pair {
	int	fd[2];			/* client, server */
	SSL_CTX *server_ctx;
	SSL    *server;
	struct tls_ctx *ctx;
	struct tls *tls;
};

static void
pair_begin(struct pair *p, const char *name)
{
	const char *why = "";

	memset(p, 0, sizeof *p);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fd), 0);
	p->server_ctx = tls_peer_ctx_new();
	p->ctx = tls_client_ctx_new(&why);
	assert_non_null(p->ctx);
	p->tls = tls_client_new(p->ctx, p->fd[0], name);
}

/* pair_shake - both in turn, until the client has an answer; false: it failed */
static bool
pair_shake(struct pair *p)
{
	p->server = SSL_new(p->server_ctx);
	SSL_set_fd(p->server, p->fd[1]);
	SSL_set_accept_state(p->server);
	for (int i = 0; i < 100; i++) {
		switch (tls_handshake(p->tls)) {
		case TLS_DONE:
			SSL_do_handshake(p->server);
			return true;
		case TLS_FAILED:
			return false;
		case TLS_WANT_READ:
		case TLS_WANT_WRITE:
			break;
		}
		SSL_do_handshake(p->server);
	}
	fail_msg("the handshake does not come to an end");
	return false;
}

/* pair_read - as a loop would come again for what is still there; tickets of the server come before its first data */
static enum tls_result
pair_read(struct pair *p, void *in, size_t size, size_t *n_r)
{
	enum tls_result r = TLS_WANT_READ;

	for (int i = 0; i < 5 && r == TLS_WANT_READ; i++)
		r = tls_read(p->tls, in, size, n_r);
	return r;
}

static void
pair_end(struct pair *p)
{
	tls_free(&p->tls);
	tls_free(&p->tls);
	tls_ctx_free(&p->ctx);
	tls_ctx_free(&p->ctx);
	SSL_free(p->server);
	SSL_CTX_free(p->server_ctx);
	sock_close(&p->fd[0]);
	sock_close(&p->fd[1]);
}

static void
tls_test_talk(void **state)
{
	struct pair p;
	char	in[100];
	size_t	n = 7;

	(void) state;
	pair_begin(&p, "mx.example.org");
	assert_int_equal(tls_handshake(p.tls), TLS_WANT_READ);	/* nobody has answered */
	assert_true(pair_shake(&p));
	assert_string_equal(tls_version(p.tls), "TLSv1.3");
	assert_string_equal(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name), "mx.example.org");
	assert_int_equal(pair_read(&p, in, sizeof in, &n), TLS_WANT_READ);
	assert_int_equal(n, 0);
	assert_int_equal(tls_write(p.tls, "ping", 4, &n), TLS_DONE);
	assert_int_equal(n, 4);
	assert_int_equal(SSL_read(p.server, in, sizeof in), 4);
	assert_int_equal(SSL_write(p.server, "pong and more", 13), 13);
	assert_int_equal(pair_read(&p, in, 4, &n), TLS_DONE);	/* less than there is: the rest stays */
	assert_int_equal(n, 4);
	assert_memory_equal(in, "pong", 4);
	assert_int_equal(pair_read(&p, in, sizeof in, &n), TLS_DONE);
	assert_int_equal(n, 9);
	pair_end(&p);
}

/* what servers in the wild have: old versions, no name wanted */
static void
tls_test_versions(void **state)
{
	static const struct {
		int	version;
		const char *want;
	} cases[] = {
		{ TLS1_VERSION, "TLSv1" }, { TLS1_1_VERSION, "TLSv1.1" }, { TLS1_2_VERSION, "TLSv1.2" }, { TLS1_3_VERSION, "TLSv1.3" },
	};
	struct pair p;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		pair_begin(&p, NULL);
		SSL_CTX_set_security_level(p.server_ctx, 0);
		SSL_CTX_set_min_proto_version(p.server_ctx, cases[i].version);
		SSL_CTX_set_max_proto_version(p.server_ctx, cases[i].version);
		if (!pair_shake(&p))
			fail_msg("%s: %s", cases[i].want, tls_why(p.tls));
		assert_string_equal(tls_version(p.tls), cases[i].want);
		assert_null(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name));
		pair_end(&p);
	}
}

/* more than the socket takes: parts of it go, from wherever the bytes are by then, and nothing is lost */
static void
tls_test_much(void **state)
{
	const size_t total = 3 << 20;
	char   *out = mem_alloc(total), *in = mem_alloc(total), *moved;
	size_t	sent = 0, got = 0, n;
	unsigned waits = 0;
	struct pair p;
	int	rc;

	(void) state;
	for (size_t i = 0; i < total; i++)
		out[i] = (char) (i * 7 + (i >> 8));
	pair_begin(&p, NULL);
	assert_true(pair_shake(&p));
	while (got < total) {
		while (sent < total) {
			moved = mem_alloc(total - sent);
			memcpy(moved, out + sent, total - sent);
			switch (tls_write(p.tls, moved, total - sent, &n)) {
			case TLS_DONE:
				assert_true(n > 0);
				sent += n;
				break;
			case TLS_WANT_WRITE:
				assert_int_equal(n, 0);
				waits++;
				mem_free(&moved);
				goto full;
			case TLS_WANT_READ:
			case TLS_FAILED:
				fail_msg("write: %s", tls_why(p.tls));
			}
			mem_free(&moved);
		}
full:
		while ((rc = SSL_read(p.server, in + got, (int) (total - got))) > 0)
			got += (size_t) rc;
	}
	assert_true(waits > 0);
	assert_memory_equal(in, out, total);
	pair_end(&p);
	mem_free(&out);
	mem_free(&in);
}

/* ends: with and without a farewell; what was said before is still read */
static void
tls_test_end(void **state)
{
	struct pair p;
	char	in[100];
	size_t	n;

	(void) state;
	for (int polite = 0; polite < 2; polite++) {
		pair_begin(&p, NULL);
		assert_true(pair_shake(&p));
		assert_int_equal(SSL_write(p.server, "421 bye", 7), 7);
		if (polite)
			SSL_shutdown(p.server);
		sock_close(&p.fd[1]);
		assert_int_equal(pair_read(&p, in, sizeof in, &n), TLS_DONE);
		assert_int_equal(n, 7);
		assert_int_equal(pair_read(&p, in, sizeof in, &n), TLS_DONE);
		assert_int_equal(n, 0);
		pair_end(&p);
	}
	/* writing to one that has gone is a failure, not a signal */
	pair_begin(&p, NULL);
	assert_true(pair_shake(&p));
	sock_close(&p.fd[1]);
	assert_int_equal(tls_write(p.tls, "x", 1, &n), TLS_FAILED);
	assert_int_equal(n, 0);
	assert_true(*tls_why(p.tls) != 0);
	pair_end(&p);
}

/* a server that talks of tickets without end holds up nobody: each call comes back after one of them */
static void
tls_test_tickets(void **state)
{
	struct pair p;
	char	in[100];
	int	before, after;
	size_t	n;

	(void) state;
	pair_begin(&p, NULL);
	assert_true(pair_shake(&p));
	for (int i = 0; i < 50; i++) {
		assert_int_equal(SSL_new_session_ticket(p.server), 1);
		assert_int_equal(SSL_do_handshake(p.server), 1);
	}
	assert_int_equal(ioctl(p.fd[0], FIONREAD, &before), 0);
	assert_int_equal(tls_read(p.tls, in, sizeof in, &n), TLS_WANT_READ);
	assert_int_equal(ioctl(p.fd[0], FIONREAD, &after), 0);
	assert_in_range(after, before / 2, before - 1);
	/* and what is behind them is read in the end */
	assert_int_equal(SSL_write(p.server, "250", 3), 3);
	for (int i = 0; i < 100 && tls_read(p.tls, in, sizeof in, &n) == TLS_WANT_READ; i++)
		;
	assert_int_equal(n, 3);
	pair_end(&p);
}

/* handshakes that come to nothing: why is said */
static void
tls_test_broken(void **state)
{
	static const struct {
		const char *name, *bytes;
		size_t	n;
		const char *why;
	} cases[] = {
		{ "closed", "", 0, "connection closed" },
		{ "not TLS", "220 hello there\r\n", 17, "wrong version number" },
		{ "zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, "wrong version number" },
		{ "an alert", "\x15\x03\x03\x00\x02\x02\x28", 7, "handshake failure" },
		{ "a record too long", "\x16\x03\x03\xff\xff\x02\x00\x00", 8, "length" },
	};
	struct pair p;
	size_t	n;
	char	in[10];

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		pair_begin(&p, NULL);
		assert_int_equal(tls_handshake(p.tls), TLS_WANT_READ);
		assert_int_equal(write(p.fd[1], cases[i].bytes, cases[i].n), cases[i].n);
		assert_int_equal(shutdown(p.fd[1], SHUT_WR), 0);
		assert_int_equal(tls_handshake(p.tls), TLS_FAILED);
		if (strstr(tls_why(p.tls), cases[i].why) == NULL)
			fail_msg("%s: got %s, want %s", cases[i].name, tls_why(p.tls), cases[i].why);
		pair_end(&p);
	}
	/* garbage in the middle of a session */
	pair_begin(&p, NULL);
	assert_true(pair_shake(&p));
	assert_int_equal(write(p.fd[1], "\x17\x03\x03\x00\x05junk!", 10), 10);
	while (pair_read(&p, in, sizeof in, &n) == TLS_DONE && n > 0)
		;
	assert_int_equal(pair_read(&p, in, sizeof in, &n), TLS_FAILED);
	pair_end(&p);
	/* what one session did wrong says nothing about the next of the same context */
	pair_begin(&p, NULL);
	assert_true(pair_shake(&p));
	pair_end(&p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_test_talk),
		cmocka_unit_test(tls_test_versions),
		cmocka_unit_test(tls_test_much),
		cmocka_unit_test(tls_test_end),
		cmocka_unit_test(tls_test_tickets),
		cmocka_unit_test(tls_test_broken),
	};

	signal(SIGPIPE, SIG_IGN);		/* as all daemons have it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
