/* tests/global/qmqp_client_test.c - packages of every length, answers, and servers that fail at each step */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/sock.h>
#include <global/qmqp_client.h>
#include <global/qmqp_reply.h>

struct world {
	struct ev_loop *loop;
	/* the server */
	int	listen_fd, fd;
	unsigned port, accepted;
	struct ev_io listen_io, io;
	struct buf in;
	size_t	 act_at;		/* bytes that must be there before it acts; SIZE_MAX: the whole package */
	const char *reply;		/* "" is silence, NULL: close, "reset": reset */
	bool	 acted;
	/* the client */
	struct qmqp_conf conf;
	struct qmqp_mail mail;
	struct body_source source;
	struct qmqp_send *send;
	const char *message;
	size_t	 at, len, piece, fail_at, grow;
	unsigned passes;
	struct hop_answer answer;
	unsigned done;
};

/* the server */

/* package_end - bytes of the outer netstring; 0: not complete */
static size_t
package_end(const struct buf *b)
{
	unsigned long long n;
	char	*colon;

	if (b->len == 0 || (colon = memchr(b->data, ':', b->len)) == NULL)
		return 0;
	n = strtoull(b->data, NULL, 10);
	return b->len >= (size_t) (colon - b->data) + 1 + n + 1 ? (size_t) (colon - b->data) + 1 + n + 1 : 0;
}

static void
world_act(struct world *w)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (w->acted || (w->act_at == SIZE_MAX ? package_end(&w->in) == 0 : w->in.len < w->act_at))
		return;
	w->acted = true;
	if (w->reply == NULL || strcmp(w->reply, "reset") == 0) {
		if (w->reply != NULL)
			setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		ev_io_cancel(w->loop, &w->io);
		sock_close(&w->fd);
	} else
		assert_int_equal(send(w->fd, w->reply, strlen(w->reply), MSG_NOSIGNAL), strlen(w->reply));
}

static void
world_read(void *ctx, int fd, unsigned events)
{
	struct world *w = ctx;
	char	data[65536];
	ssize_t n;

	(void) events;
	if ((n = recv(fd, data, sizeof data, 0)) <= 0) {
		ev_io_cancel(w->loop, &w->io);
		return;
	}
	buf_add(&w->in, data, (size_t) n);
	world_act(w);
}

static void
world_accept(void *ctx, int fd, unsigned events)
{
	struct world *w = ctx;

	(void) events;
	assert_true((w->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	w->accepted++;
	ev_io_set(w->loop, &w->io, w->fd, EV_READ, world_read, w);
	world_act(w);
}

/* the client */

static ssize_t
world_source(void *ctx, void *data, size_t n)
{
	struct world *w = ctx;
	size_t	len = w->len + (w->passes > 0 ? w->grow : 0);

	if (w->fail_at > 0 && w->passes > 0 && w->at >= w->fail_at)
		return -1;
	n = n < w->piece ? n : w->piece;
	n = n < len - w->at ? n : len - w->at;
	memcpy(data, w->message + w->at, n);
	w->at += n;
	return (ssize_t) n;
}

static bool
world_rewind(void *ctx)
{
	struct world *w = ctx;

	w->at = 0;
	w->passes++;
	return true;
}

static void
world_done(void *ctx, const struct hop_answer *a)
{
	struct world *w = ctx;

	hop_answer_set(&w->answer, a->verdict, a->dsn, a->text);
	w->done++;
	qmqp_send_free(&w->send);
}

static void
world_init(struct world *w)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;
	int	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memset(w, 0, sizeof *w);
	w->loop = ev_loop_new_fake(1000000);
	w->fd = -1;
	w->listen_fd = fd;
	assert_int_equal(bind(fd, (struct sockaddr *) &sin, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	getsockname(fd, (struct sockaddr *) &sin, &len);
	w->port = ntohs(sin.sin_port);
	ev_io_set(w->loop, &w->listen_io, fd, EV_READ, world_accept, w);
	buf_init(&w->in, 8u << 20);
	w->act_at = SIZE_MAX;
	w->piece = 7000;
	strcpy(w->conf.to.host, "localhost");
	w->conf.to.port = w->port;
	w->conf.ipv4 = true;
	w->conf.connect_ms = 1000;
	w->conf.total_ms = 120000;
	w->source = (struct body_source) { world_source, w };
	w->mail = (struct qmqp_mail) { .sender = "", .source = &w->source, .rewind = world_rewind };
}

static void
world_fini(struct world *w)
{
	qmqp_send_free(&w->send);
	ev_io_cancel(w->loop, &w->io);
	ev_io_cancel(w->loop, &w->listen_io);
	sock_close(&w->fd);
	sock_close(&w->listen_fd);
	ev_loop_free(&w->loop);
	buf_fini(&w->in);
	hop_answer_clear(&w->answer);
}

static void
world_run(struct world *w, const char *message, size_t len, int64_t wait_ms)
{
	w->message = message;
	w->len = len;
	w->send = qmqp_send_open(w->loop, &w->conf, NULL, &w->mail, world_done, w);
	assert_int_equal(w->done, 0);
	for (int quiet = 0; quiet < 4 && w->done == 0; ) {
		quiet = ev_turn(w->loop, 2) > 0 ? 0 : quiet + 1;
		ev_fake_advance(w->loop, 0);
	}
	if (wait_ms > 0) {
		assert_int_equal(w->done, 0);
		ev_fake_advance(w->loop, wait_ms);
		for (int quiet = 0; quiet < 4 && w->done == 0; quiet++)
			ev_turn(w->loop, 2);
	}
}

/* netstring - take one off *p; fails the test when it is none */
static size_t
netstring(const char *name, const char **p, const char *end, const char **data_r)
{
	char	*colon;
	size_t	n = strtoul(*p, &colon, 10);

	if (colon == *p || *colon != ':' || n >= (size_t) (end - colon) || colon[1 + n] != ',')
		fail_msg("%s: no netstring: %.40s", name, *p);
	*data_r = colon + 1;
	*p = colon + 1 + n + 1;
	return n;
}

static void
qmqp_test_lengths(void **state)
{
	static const char *const rcpts[] = { "bob@b.test", "", "a@b", "quoted \"x y\"@b.test" };
	static const struct {
		const char *name;
		size_t	 bytes;		/* of the message, lines ended by LF */
		const char *sender;
		size_t	 rcpts;
	} cases[] = {
		{ "empty message", 0, "", 1 }, { "1 byte", 1, "", 1 }, { "9 bytes", 9, "", 1 }, { "10 bytes", 10, "", 1 },
		{ "11 bytes", 11, "", 1 }, { "99 bytes", 99, "ann@a.test", 2 }, { "100 bytes", 100, "ann@a.test", 3 },
		{ "9,999 bytes", 9999, "", 4 }, { "10,000 bytes", 10000, "", 4 }, { "99,999 bytes", 99999, "", 1 },
		{ "100,000 bytes", 100000, "ann@a.test", 4 }, { "3 MB", 3000000, "", 1 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf crlf = BUF_INIT(8u << 20), lf = BUF_INIT(8u << 20);
		const char *p, *end, *data, *package;
		struct world w;
		size_t	n;

		for (size_t k = 0; k < cases[i].bytes; k++)
			if (k + 1 == cases[i].bytes || k % 61 == 60) {
				buf_add(&crlf, "\r\n", 2);
				buf_addc(&lf, '\n');
			} else {
				buf_addc(&crlf, k % 61 == 0 ? '.' : 'a' + (int) (k % 26));
				buf_addc(&lf, k % 61 == 0 ? '.' : 'a' + (int) (k % 26));
			}
		assert_int_equal(lf.len, cases[i].bytes);
		world_init(&w);
		w.mail.sender = cases[i].sender;
		w.mail.rcpt = rcpts;
		w.mail.rcpts = cases[i].rcpts;
		w.reply = "13:Kok 4711 done,";
		world_run(&w, buf_str(&crlf), crlf.len, 0);
		if (w.done != 1 || w.answer.verdict != HOP_OK || strcmp(w.answer.text, "ok 4711 done") != 0)
			fail_msg("%s: verdict %d: %s", cases[i].name, (int) w.answer.verdict, w.answer.text);
		/* one netstring, to the last byte; in it the message, the sender, the recipients, and no more */
		p = w.in.data;
		n = netstring(cases[i].name, &p, w.in.data + w.in.len, &package);
		if (p != w.in.data + w.in.len || n != qmqp_package_len(&w.mail, cases[i].bytes))
			fail_msg("%s: %zu bytes came, package of %zu", cases[i].name, w.in.len, n);
		end = package + n;
		p = package;
		n = netstring(cases[i].name, &p, end, &data);
		if (n != lf.len || memcmp(data, buf_str(&lf), n) != 0)
			fail_msg("%s: another message, of %zu bytes", cases[i].name, n);
		n = netstring(cases[i].name, &p, end, &data);
		assert_int_equal(n, strlen(cases[i].sender));
		assert_memory_equal(data, cases[i].sender, n);
		for (size_t k = 0; k < cases[i].rcpts; k++) {
			n = netstring(cases[i].name, &p, end, &data);
			assert_int_equal(n, strlen(rcpts[k]));
			assert_memory_equal(data, rcpts[k], n);
		}
		assert_ptr_equal(p, end);
		world_fini(&w);
		buf_fini(&crlf);
		buf_fini(&lf);
	}
}

static void
qmqp_test_answers(void **state)
{
	static const char *const rcpts[] = { "bob@b.test" };
	static const struct {
		const char *name;
		size_t	 act_at;	/* 0: at once, SIZE_MAX: when all is there */
		const char *reply;
		int64_t	 wait_ms;
		size_t	 fail_at, grow;
		enum hop_verdict want;
		const char *text;	/* part of it */
	} cases[] = {
		{ "K", SIZE_MAX, "3:Kok,", 0, 0, 0, HOP_OK, "ok" },
		{ "K alone", SIZE_MAX, "1:K,", 0, 0, 0, HOP_OK, "" },
		{ "Z", SIZE_MAX, "16:Zdisk full, wait,", 0, 0, 0, HOP_SOFT, "said: disk full, wait" },
		{ "D", SIZE_MAX, "9:Dno\r\nway\n,", 0, 0, 0, HOP_HARD, "said: no  way" },
		{ "a length that is too short", 10, "7:Dtoo big,", 0, 0, 0, HOP_NONE, "no netstring" },
		{ "D while it is being sent", 10, "8:Dtoo big,", 0, 0, 0, HOP_HARD, "said: too big" },
		{ "K while it is being sent", 10, "3:Kok,", 0, 0, 0, HOP_SOFT, "before its end" },
		{ "something else", SIZE_MAX, "2:Xy,", 0, 0, 0, HOP_NONE, "said: Xy" },
		{ "a control character", SIZE_MAX, "2:\001y,", 0, 0, 0, HOP_NONE, "said: ?y" },
		{ "empty", SIZE_MAX, "0:,", 0, 0, 0, HOP_NONE, "no netstring" },
		{ "not a netstring", SIZE_MAX, "250 ok\r\n", 0, 0, 0, HOP_NONE, "no netstring" },
		{ "too long to be one", SIZE_MAX, "99999:Kok", 0, 0, 0, HOP_NONE, "no netstring" },
		{ "half an answer", SIZE_MAX, "3:Ko", 120000, 0, 0, HOP_SOFT, "timed out while waiting" },
		{ "silent", SIZE_MAX, "", 120000, 0, 0, HOP_SOFT, "timed out while waiting" },
		{ "closed at once", 0, NULL, 0, 0, 0, HOP_SOFT, "lost connection" },
		{ "closed amid the message", 100000, NULL, 0, 0, 0, HOP_SOFT, "lost connection" },
		{ "reset amid the message", 100000, "reset", 0, 0, 0, HOP_SOFT, "lost connection" },
		{ "closed after the message", SIZE_MAX, NULL, 0, 0, 0, HOP_SOFT, "lost connection" },
		{ "message cannot be read", SIZE_MAX, "3:Kok,", 0, 500000, 0, HOP_SOFT, "cannot be read" },
		{ "message has grown", SIZE_MAX, "3:Kok,", 0, 0, 1, HOP_SOFT, "cannot be read" },
	};
	char	*message = mem_alloc(4u << 20);

	(void) state;
	memset(message, 'x', 4u << 20);
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct world w;

		world_init(&w);
		w.mail.rcpt = rcpts;
		w.mail.rcpts = 1;
		w.act_at = cases[i].act_at;
		w.reply = cases[i].reply;
		w.fail_at = cases[i].fail_at;
		w.grow = cases[i].grow;
		world_run(&w, message, 3u << 20, cases[i].wait_ms);
		if (w.done != 1 || w.answer.verdict != cases[i].want || strstr(w.answer.text, cases[i].text) == NULL)
			fail_msg("%s: done %u, verdict %d, want %d: %s", cases[i].name, w.done, (int) w.answer.verdict, (int) cases[i].want,
			    w.answer.text != NULL ? w.answer.text : "-");
		if ((cases[i].fail_at > 0 || cases[i].grow > 0) && package_end(&w.in) != 0)
			fail_msg("%s: the package is complete all the same", cases[i].name);
		world_fini(&w);
	}
	mem_free(&message);
}

static void
qmqp_test_no_server(void **state)
{
	static const char *const rcpts[] = { "bob@b.test" };
	struct world w;

	(void) state;
	world_init(&w);
	w.mail.rcpt = rcpts;
	w.mail.rcpts = 1;
	ev_io_cancel(w.loop, &w.listen_io);
	sock_close(&w.listen_fd);
	world_run(&w, "x\r\n", 3, 0);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.answer.verdict, HOP_SOFT);
	assert_non_null(strstr(w.answer.text, "refused"));
	world_fini(&w);
}

static void
qmqp_test_reply_cuts(void **state)
{
	static const char in[] = "12:Kdelivered 1,";

	(void) state;
	for (size_t piece = 1; piece < sizeof in; piece++) {
		struct qmqp_reply r;
		enum qmqp_reply_result got = QMQP_REPLY_MORE;

		memset(&r, 0, sizeof r);
		for (size_t at = 0; at < sizeof in - 1; at += piece) {
			assert_int_equal(got, QMQP_REPLY_MORE);
			got = qmqp_reply_feed(&r, in + at, sizeof in - 1 - at < piece ? sizeof in - 1 - at : piece);
		}
		assert_int_equal(got, QMQP_REPLY_DONE);
		assert_int_equal(r.code, 'K');
		assert_string_equal(r.text, "delivered 1");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qmqp_test_lengths),
		cmocka_unit_test(qmqp_test_answers),
		cmocka_unit_test(qmqp_test_no_server),
		cmocka_unit_test(qmqp_test_reply_cuts),
	};

	return cmocka_run_group_tests_name("qmqp_client", tests, NULL, NULL);
}
