/* global/verify_async.c - ask the verify service from an event loop
 * A request waits in `waiting` or is tied to one connection; a connection is idle (no request), or waits for
 * the announcement or the reply. Every request has its deadline timer; a connection has none of its own while it
 * carries a request: it dies with the request's deadline. Callbacks come last in the function that runs them,
 * so they may free the request's owner, and the pool itself.
 */
#include "verify_async.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <bsd/sys/queue.h>

#include <util/attr.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <global/verify_clnt.h>

#define ASYNC_REQUEST_MAX  (512u << 10)
#define ASYNC_BUSY_MS	   20		/* until the next try when the service's listen queue is full */
#define ASYNC_PAUSE_MIN_MS 50		/* after failures in a row, doubling; the first is tried again at once */
#define ASYNC_PAUSE_MAX_MS 1000		/* Postfix's clients pause 1 s */
#define ASYNC_TTL_MS	   1000000	/* as ipc_ttl: a busy connection must not keep an old server process for ever */
#define ASYNC_WARN_MS	   10000

struct verify_async_conn;

struct verify_async_req {
	TAILQ_ENTRY(verify_async_req) link;	/* in waiting; only when conn is NULL */
	struct verify_async *va;
	struct verify_async_conn *conn;
	struct ev_timer deadline;
	verify_async_fn *fn;
	void	*ctx;
	struct buf wire;
	bool	 update;
};

enum verify_async_state { ASYNC_BANNER, ASYNC_REPLY, ASYNC_IDLE };

struct verify_async_conn {
	LIST_ENTRY(verify_async_conn) link;	/* in idle or busy */
	struct verify_async *va;
	enum verify_async_state state;
	int	 fd;
	struct ev_io io;
	struct ev_timer idle;		/* runs while ASYNC_IDLE */
	int64_t	 born_ms;
	struct verify_async_req *req;	/* NULL exactly when ASYNC_IDLE */
	size_t	 sent;			/* of req->wire */
	struct attr_in in;
};
LIST_HEAD(verify_async_conns, verify_async_conn);

struct verify_async {
	struct ev_loop *loop;
	char	*path;
	unsigned conn_limit, conn_n;
	size_t	 queue_limit, waiting_n;
	int64_t	 idle_ms;
	TAILQ_HEAD(, verify_async_req) waiting;
	struct verify_async_conns idle, busy;
	struct ev_defer kick;
	struct ev_timer pause;		/* while it runs, no new connection is made */
	unsigned fails;			/* broken exchanges and failed connects since the last reply */
	long long warned;
};

static void verify_async_io(void *, int, unsigned);
static void verify_async_kick(void *);

/* verify_async_trouble - slow down; what fails while we pause already counts as the same trouble */
static void
verify_async_trouble(struct verify_async *va, const char *what)
{
	int64_t ms = 0;

	if (va->fails > 0 && msg_rate(&va->warned, ASYNC_WARN_MS))
		msg_warn("verify service %s: %s; %zu requests wait", va->path, what, va->waiting_n);
	if (va->pause.pos != 0)
		return;
	if (va->fails > 0) {
		ms = ASYNC_PAUSE_MIN_MS;
		for (unsigned i = 1; i < va->fails && ms < ASYNC_PAUSE_MAX_MS; i++)
			ms *= 2;
		ms = ms < ASYNC_PAUSE_MAX_MS ? ms : ASYNC_PAUSE_MAX_MS;
	}
	va->fails++;
	ev_timer_set(va->loop, &va->pause, ms, verify_async_kick, va);
}

static void
verify_async_conn_free(struct verify_async_conn *c)
{
	ev_timer_cancel(c->va->loop, &c->idle);
	ev_io_cancel(c->va->loop, &c->io);
	sock_close(&c->fd);
	LIST_REMOVE(c, link);
	c->va->conn_n--;
	attr_in_fini(&c->in);
	mem_free(&c);
}

static void
verify_async_req_free(struct verify_async_req *r)
{
	ev_timer_cancel(r->va->loop, &r->deadline);
	buf_fini(&r->wire);
	mem_free(&r);
}

/* verify_async_drop - give a connection up, for a cause; its request goes back to the head of the queue */
static void
verify_async_drop(struct verify_async_conn *c, const char *what)
{
	struct verify_async *va = c->va;

	if (c->req != NULL) {
		c->req->conn = NULL;
		TAILQ_INSERT_HEAD(&va->waiting, c->req, link);
		va->waiting_n++;
	}
	verify_async_conn_free(c);
	verify_async_trouble(va, what);
}

static void
verify_async_conn_idle_timeout(void *ctx)
{
	verify_async_conn_free(ctx);
}

/* verify_async_conn_send - go on sending the request; false when the connection is gone */
static bool
verify_async_conn_send(struct verify_async_conn *c)
{
	struct buf *wire = &c->req->wire;
	ssize_t n;

	while (c->sent < wire->len) {
		n = send(c->fd, wire->data + c->sent, wire->len - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			verify_async_drop(c, strerror(errno));
			return false;
		}
		if (n < 0)
			break;
		c->sent += (size_t) n;
	}
	ev_io_set(c->va->loop, &c->io, c->fd, c->sent < wire->len ? EV_READ | EV_WRITE : EV_READ, verify_async_io, c);
	return true;
}

/* verify_async_conn_done - the reply is complete: set the connection free, report; last in its caller */
static void
verify_async_conn_done(struct verify_async_conn *c, bool more)
{
	struct verify_async *va = c->va;
	struct verify_async_req *r = c->req;
	verify_async_fn *fn = r->fn;
	void   *ctx = r->ctx;
	enum verify_async_result result = VERIFY_ASYNC_DONE;
	enum verify_status status = VERIFY_TODO;
	const char *bad, *reason = NULL;
	struct buf list;
	int	reply = VERIFY_REPLY_FAIL;

	bad = r->update ? verify_clnt_get_update(c->in.list.data, c->in.list.len, &reply) :
	    verify_clnt_get_query(c->in.list.data, c->in.list.len, &reply, &status, &reason);
	if (bad != NULL) {
		verify_async_drop(c, bad);
		return;
	}
	if (reply != VERIFY_REPLY_OK)
		result = VERIFY_ASYNC_REFUSED;
	list = c->in.list;				/* ours now: the callback may free the connection */
	attr_in_init(&c->in, VERIFY_CLNT_STR_MAX, VERIFY_CLNT_LIST_MAX);
	c->req = NULL;
	va->fails = 0;
	if (more || ev_now_ms(va->loop) - c->born_ms >= ASYNC_TTL_MS)
		verify_async_conn_free(c);
	else {
		c->state = ASYNC_IDLE;
		LIST_REMOVE(c, link);
		LIST_INSERT_HEAD(&va->idle, c, link);
		ev_timer_set(va->loop, &c->idle, va->idle_ms, verify_async_conn_idle_timeout, c);
	}
	if (va->waiting_n > 0)
		ev_defer_set(va->loop, &va->kick, verify_async_kick, va);
	verify_async_req_free(r);
	fn(ctx, result, status, reason != NULL ? reason : "");
	buf_fini(&list);
}

static void
verify_async_io(void *ctx, int fd, unsigned events)
{
	struct verify_async_conn *c = ctx;
	char	chunk[4096];
	size_t	used;
	ssize_t n;
	const char *bad;

	if ((events & EV_WRITE) != 0 && c->state == ASYNC_REPLY && !verify_async_conn_send(c))
		return;
	if ((events & EV_READ) == 0)
		return;
	n = recv(fd, chunk, sizeof chunk, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (c->state == ASYNC_IDLE) {			/* closed by the server, or it speaks unasked */
		verify_async_conn_free(c);
		return;
	}
	if (n <= 0) {
		verify_async_drop(c, n < 0 ? strerror(errno) : "connection closed before the reply");
		return;
	}
	switch (attr_in_feed(&c->in, chunk, (size_t) n, &used)) {
	case ATTR_IN_MORE:
		return;
	case ATTR_IN_FULL:
		verify_async_drop(c, "reply too long");
		return;
	case ATTR_IN_DONE:
		break;
	}
	switch (c->state) {
	case ASYNC_BANNER:
		bad = verify_clnt_get_banner(c->in.list.data, c->in.list.len);
		if (bad == NULL && used < (size_t) n)
			bad = "reply before the request";
		if (bad != NULL) {
			verify_async_drop(c, bad);
			return;
		}
		attr_in_reset(&c->in);
		c->state = ASYNC_REPLY;
		verify_async_conn_send(c);
		return;
	case ASYNC_REPLY:
		if (c->sent < c->req->wire.len)
			verify_async_drop(c, "reply before the end of the request");
		else
			verify_async_conn_done(c, used < (size_t) n);
		return;
	case ASYNC_IDLE:
		return;
	}
}

/* verify_async_conn_take - tie the request at the head of the queue to this connection */
static void
verify_async_conn_take(struct verify_async_conn *c)
{
	struct verify_async *va = c->va;
	struct verify_async_req *r = TAILQ_FIRST(&va->waiting);

	TAILQ_REMOVE(&va->waiting, r, link);
	va->waiting_n--;
	r->conn = c;
	c->req = r;
	c->sent = 0;
	LIST_INSERT_HEAD(&va->busy, c, link);
}

/* verify_async_reuse - an idle connection that is still good; those that are not are closed */
static struct verify_async_conn *
verify_async_reuse(struct verify_async *va)
{
	struct verify_async_conn *c;
	char	byte;

	while ((c = LIST_FIRST(&va->idle)) != NULL) {
		/* readable, end of file included, means no good; a server may go at any time between requests */
		if (recv(c->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN) {
			ev_timer_cancel(va->loop, &c->idle);
			LIST_REMOVE(c, link);
			return c;
		}
		verify_async_conn_free(c);
	}
	return NULL;
}

/* verify_async_kick - give waiting requests to connections, as far as there are any to be had */
static void
verify_async_kick(void *ctx)
{
	struct verify_async *va = ctx;
	struct verify_async_conn *c;
	int	fd;

	while (va->waiting_n > 0) {
		if ((c = verify_async_reuse(va)) != NULL) {
			verify_async_conn_take(c);
			c->state = ASYNC_REPLY;
			attr_in_reset(&c->in);
			verify_async_conn_send(c);
			continue;
		}
		if (va->conn_n >= va->conn_limit || va->pause.pos != 0)
			return;
		if ((fd = sock_unix_connect(va->path, true)) < 0) {
			if (errno == EAGAIN)		/* busy, not broken */
				ev_timer_set(va->loop, &va->pause, ASYNC_BUSY_MS, verify_async_kick, va);
			else
				verify_async_trouble(va, strerror(errno));
			return;
		}
		c = mem_alloc(sizeof *c);
		c->va = va;
		c->fd = fd;
		c->born_ms = ev_now_ms(va->loop);
		attr_in_init(&c->in, VERIFY_CLNT_STR_MAX, VERIFY_CLNT_LIST_MAX);
		va->conn_n++;
		verify_async_conn_take(c);
		c->state = ASYNC_BANNER;
		ev_io_set(va->loop, &c->io, fd, EV_READ, verify_async_io, c);
	}
}

/* verify_async_req_untie - take a request out of queue or connection; the connection is closed: its reply may come */
static void
verify_async_req_untie(struct verify_async_req *r)
{
	struct verify_async *va = r->va;

	if (r->conn != NULL) {
		r->conn->req = NULL;
		verify_async_conn_free(r->conn);
		if (va->waiting_n > 0)
			ev_defer_set(va->loop, &va->kick, verify_async_kick, va);
	} else {
		TAILQ_REMOVE(&va->waiting, r, link);
		va->waiting_n--;
	}
}

static void
verify_async_req_deadline(void *ctx)
{
	struct verify_async_req *r = ctx;
	verify_async_fn *fn = r->fn;
	void   *fn_ctx = r->ctx;

	verify_async_req_untie(r);
	verify_async_req_free(r);
	fn(fn_ctx, VERIFY_ASYNC_FAILED, VERIFY_TODO, "");
}

/* verify_async_req_new - an empty request, not yet queued; NULL when the queue is full */
static struct verify_async_req *
verify_async_req_new(struct verify_async *va, verify_async_fn *fn, void *ctx)
{
	struct verify_async_req *r;

	if (va->waiting_n >= va->queue_limit)
		return NULL;
	r = mem_alloc(sizeof *r);
	r->va = va;
	r->fn = fn;
	r->ctx = ctx;
	buf_init(&r->wire, ASYNC_REQUEST_MAX);
	return r;
}

static struct verify_async_req *
verify_async_req_queue(struct verify_async_req *r, int64_t deadline_ms)
{
	struct verify_async *va = r->va;

	if (r->wire.full) {				/* no mail address: refused like a full queue */
		verify_async_req_free(r);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&va->waiting, r, link);
	va->waiting_n++;
	ev_timer_set(va->loop, &r->deadline, deadline_ms, verify_async_req_deadline, r);
	ev_defer_set(va->loop, &va->kick, verify_async_kick, va);	/* never call back before we return */
	return r;
}

struct verify_async_req *
verify_async_query(struct verify_async *va, const char *addr, int64_t deadline_ms, verify_async_fn *fn, void *ctx)
{
	struct verify_async_req *r = verify_async_req_new(va, fn, ctx);

	if (r == NULL)
		return NULL;
	verify_clnt_put_query(&r->wire, addr);
	return verify_async_req_queue(r, deadline_ms);
}

struct verify_async_req *
verify_async_update(struct verify_async *va, const char *addr, int status, const char *reason, int64_t deadline_ms,
    verify_async_fn *fn, void *ctx)
{
	struct verify_async_req *r = verify_async_req_new(va, fn, ctx);

	if (r == NULL)
		return NULL;
	r->update = true;
	verify_clnt_put_update(&r->wire, addr, status, reason);
	return verify_async_req_queue(r, deadline_ms);
}

void
verify_async_cancel(struct verify_async *va, struct verify_async_req *r)
{
	(void) va;
	verify_async_req_untie(r);
	verify_async_req_free(r);
}

struct verify_async *
verify_async_new(struct ev_loop *loop, const char *path, unsigned conn_limit, size_t queue_limit, int64_t idle_ms)
{
	struct verify_async *va = mem_alloc(sizeof *va);

	va->loop = loop;
	va->path = mem_strdup(path);
	va->conn_limit = conn_limit;
	va->queue_limit = queue_limit;
	va->idle_ms = idle_ms;
	TAILQ_INIT(&va->waiting);
	LIST_INIT(&va->idle);
	LIST_INIT(&va->busy);
	return va;
}

void
verify_async_free(struct verify_async **vap)
{
	struct verify_async *va = *vap;
	struct verify_async_req *r;
	struct verify_async_conn *c;

	if (va == NULL)
		return;
	while ((c = LIST_FIRST(&va->busy)) != NULL) {
		verify_async_req_free(c->req);
		verify_async_conn_free(c);
	}
	while ((c = LIST_FIRST(&va->idle)) != NULL)
		verify_async_conn_free(c);
	while ((r = TAILQ_FIRST(&va->waiting)) != NULL) {
		TAILQ_REMOVE(&va->waiting, r, link);
		verify_async_req_free(r);
	}
	ev_defer_cancel(va->loop, &va->kick);
	ev_timer_cancel(va->loop, &va->pause);
	mem_free(&va->path);
	mem_free(vap);
}
