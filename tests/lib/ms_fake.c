/* tests/lib/ms_fake.c - the skeleton's side of multi_server.h, played in the test's own process and loop
 * Its functions are weak: where the real skeleton is linked, too (its own test), that one is meant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/sock.h>
#include <tests/lib/ms_fake.h>

#define MS_FAKE_STEP_MS	1000		/* others on the loop (stubs on real sockets) must have their turns, too */

static struct ev_loop *ms_loop;
static const struct multi_server *ms_ops;

void
ms_fake_init(struct ev_loop *loop, const struct multi_server *ops)
{
	ms_loop = loop;
	ms_ops = ops;
}

static void
ms_close(struct ms_client *c)
{
	if (c->closed)
		return;
	c->closed = true;
	ms_ops->closed(c, c->ctx);
	ev_defer_cancel(ms_loop, &c->defer);
}

static void
ms_feed(struct ms_client *c)
{
	struct buf in = c->in;
	enum ms_next next = MS_MORE;
	size_t	used = in.len;
	bool	partial;

	buf_init(&c->in, 1 << 20);
	if (in.len > 0) {
		next = ms_ops->input(c, c->ctx, in.data, in.len, &used, &partial);
		if (next == MS_MORE)
			assert_int_equal(used, in.len);
		buf_add(&c->in, in.data + used, in.len - used);
	}
	if (next == MS_MORE && c->eof)
		next = ms_ops->eof(c, c->ctx) == MS_HOLD ? MS_HOLD : MS_CLOSE;
	c->held = next == MS_HOLD;
	if (next == MS_CLOSE)
		ms_close(c);
	buf_fini(&in);
}

static void
ms_deferred(void *ctx)
{
	struct ms_client *c = ctx;

	if (c->last)
		ms_close(c);
	else
		ms_feed(c);
}

__attribute__((weak)) void
ms_send(struct ms_client *c, const void *data, size_t n)
{
	assert_false(c->closed);
	buf_add(&c->out, data, n);
}

__attribute__((weak)) void
ms_reply(struct ms_client *c, const void *data, size_t n)
{
	ms_send(c, data, n);
}

__attribute__((weak)) void
ms_resume(struct ms_client *c)
{
	assert_true(c->held);
	c->held = false;
	ev_defer_set(ms_loop, &c->defer, ms_deferred, c);
}

__attribute__((weak)) void
ms_finish(struct ms_client *c)
{
	c->held = c->last = true;
	ev_defer_set(ms_loop, &c->defer, ms_deferred, c);
}

__attribute__((weak)) int
ms_fd(const struct ms_client *c)
{
	return c->fd;
}

__attribute__((weak)) bool
ms_peer(const struct ms_client *c, struct sockaddr_storage *ss)
{
	socklen_t len = sizeof *ss;

	return getpeername(c->fd, (struct sockaddr *) ss, &len) == 0;
}

struct ms_client *
ms_fake_client_on(int fd, int peer)
{
	struct ms_client *c = mem_alloc(sizeof *c);

	c->fd = fd;
	c->peer = peer;
	buf_init(&c->in, 1 << 20);
	buf_init(&c->out, 1 << 20);
	c->ctx = ms_ops->opened(c);
	return c;
}

struct ms_client *
ms_fake_client(void)
{
	int	fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	return ms_fake_client_on(fd[0], fd[1]);
}

void
ms_fake_free(struct ms_client **cp)
{
	ms_close(*cp);
	sock_close(&(*cp)->fd);
	sock_close(&(*cp)->peer);
	buf_fini(&(*cp)->in);
	buf_fini(&(*cp)->out);
	mem_free(cp);
}

void
ms_fake_turn(void)
{
	for (int quiet = 0; quiet < 3; )
		quiet = ev_turn(ms_loop, 1) > 0 ? 0 : quiet + 1;
}

void
ms_fake_pass(int64_t ms)
{
	for (int64_t step; ms > 0; ms -= step) {
		step = ms < MS_FAKE_STEP_MS ? ms : MS_FAKE_STEP_MS;
		ev_fake_advance(ms_loop, step);
		ms_fake_turn();
	}
}

void
ms_fake_hear(struct ms_client *c, const void *data, size_t n)
{
	assert_false(c->closed);
	buf_add(&c->in, data, n);
	if (!c->held)
		ms_feed(c);
}

void
ms_fake_say(struct ms_client *c, const void *data, size_t n)
{
	ms_fake_hear(c, data, n);
	ms_fake_turn();
}

void
ms_fake_eof(struct ms_client *c)
{
	c->eof = true;
	shutdown(c->peer, SHUT_WR);
	if (!c->held)
		ms_feed(c);
	ms_fake_turn();
}
