/* global/policy_client.c - ask a policy service from an event loop
 * A question owns its connection while it is open; an idle connection is in a list. Callbacks come last in the function that
 * runs them, so they may free the client.
 */
#include "policy_client.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <global/policy_proto.h>
#include <util/buf.h>
#include <util/mem.h>
#include <util/sock.h>

#define POLICY_CLIENT_REPLY_MAX	8192
#define POLICY_CLIENT_BUSY_MS	20	/* until the next try when the service's listen queue is full */

struct policy_client_idle {
	LIST_ENTRY(policy_client_idle) link;
	struct policy_client *pc;
	int	 fd;
	struct ev_io io;
	struct ev_timer timer;
};

struct policy_client_ask {
	LIST_ENTRY(policy_client_ask) link;
	struct policy_client *pc;
	int	 fd;			/* -1: not yet */
	bool	 used;			/* the connection carried other questions before */
	struct ev_io io;
	struct ev_timer limit, again;
	size_t	 sent;
	struct buf out, in;
	const char *why;		/* of a failure that is to be reported from the loop */
	policy_client_fn *fn;
	void	*ctx;
};

struct policy_client {
	struct ev_loop *loop;
	char	*path, *host, *port;
	unsigned limit, asks_n;
	int64_t	 idle_ms;
	LIST_HEAD(, policy_client_ask) asks;
	LIST_HEAD(, policy_client_idle) idle;
};

static void policy_client_begin(struct policy_client_ask *);

/* idle connections */

static void
policy_client_idle_free(struct policy_client_idle *i)
{
	ev_io_cancel(i->pc->loop, &i->io);
	ev_timer_cancel(i->pc->loop, &i->timer);
	sock_close(&i->fd);
	LIST_REMOVE(i, link);
	mem_free(&i);
}

static void
policy_client_idle_timeout(void *ctx)
{
	policy_client_idle_free(ctx);
}

static void
policy_client_idle_io(void *ctx, int fd, unsigned events)
{
	(void) fd;
	(void) events;
	policy_client_idle_free(ctx);		/* closed, or it speaks unasked */
}

static void
policy_client_keep(struct policy_client *pc, int fd)
{
	struct policy_client_idle *i = mem_alloc(sizeof *i);

	i->pc = pc;
	i->fd = fd;
	LIST_INSERT_HEAD(&pc->idle, i, link);
	ev_io_set(pc->loop, &i->io, fd, EV_READ, policy_client_idle_io, i);
	ev_timer_set(pc->loop, &i->timer, pc->idle_ms, policy_client_idle_timeout, i);
}

/* policy_client_reuse - an idle connection that is still good, or -1 */
static int
policy_client_reuse(struct policy_client *pc)
{
	struct policy_client_idle *i;
	char	byte;
	int	fd = -1;

	while (fd < 0 && (i = LIST_FIRST(&pc->idle)) != NULL) {
		if (recv(i->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN) {
			fd = i->fd;
			ev_io_cancel(pc->loop, &i->io);
			i->fd = -1;
		}
		policy_client_idle_free(i);
	}
	return fd;
}

/* questions */

static void
policy_client_ask_free(struct policy_client_ask *a)
{
	ev_io_cancel(a->pc->loop, &a->io);
	ev_timer_cancel(a->pc->loop, &a->limit);
	ev_timer_cancel(a->pc->loop, &a->again);
	sock_close(&a->fd);
	LIST_REMOVE(a, link);
	a->pc->asks_n--;
	buf_fini(&a->out);
	buf_fini(&a->in);
	mem_free(&a);
}

/* policy_client_end - report, free; the callback comes last */
static void
policy_client_end(struct policy_client_ask *a, const char *action, size_t n, const char *why)
{
	policy_client_fn *fn = a->fn;
	void   *ctx = a->ctx;
	char   *copy = action != NULL ? mem_strndup(action, n) : NULL;

	policy_client_ask_free(a);
	fn(ctx, copy, why);
	mem_free(&copy);
}

/* policy_client_broken - the connection is no good. A kept one may have been closed by the server before our question */
static void
policy_client_broken(struct policy_client_ask *a, const char *why)
{
	if (!a->used || a->in.len > 0) {
		policy_client_end(a, NULL, 0, why);
		return;
	}
	ev_io_cancel(a->pc->loop, &a->io);
	sock_close(&a->fd);
	policy_client_begin(a);
}

static void
policy_client_limit(void *ctx)
{
	struct policy_client_ask *a = ctx;

	policy_client_end(a, NULL, 0, a->why != NULL ? a->why : "no reply in time");
}

static void
policy_client_again(void *ctx)
{
	struct policy_client_ask *a = ctx;

	if (a->why != NULL)
		policy_client_end(a, NULL, 0, a->why);
	else
		policy_client_begin(a);
}

static void
policy_client_read(struct policy_client_ask *a)
{
	struct policy_client *pc = a->pc;
	const char *action;
	char	chunk[2048];
	size_t	len;
	ssize_t n = recv(a->fd, chunk, sizeof chunk, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		policy_client_broken(a, n < 0 ? strerror(errno) : "connection closed before the reply");
		return;
	}
	if (buf_add(&a->in, chunk, (size_t) n) < 0) {
		policy_client_end(a, NULL, 0, "reply too long");
		return;
	}
	switch (policy_get_action(a->in.data, a->in.len, &action, &len)) {
	case 0:
		return;
	case 1:
		ev_io_cancel(pc->loop, &a->io);
		policy_client_keep(pc, a->fd);
		a->fd = -1;
		policy_client_end(a, action, len, NULL);
		return;
	}
	policy_client_end(a, NULL, 0, "a reply without an action");
}

static void
policy_client_io(void *ctx, int fd, unsigned events)
{
	struct policy_client_ask *a = ctx;
	ssize_t n;

	if ((events & EV_WRITE) == 0) {
		policy_client_read(a);
		return;
	}
	n = send(fd, a->out.data + a->sent, a->out.len - a->sent, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		policy_client_broken(a, strerror(errno));
		return;
	}
	a->sent += n > 0 ? (size_t) n : 0;
	if (a->sent == a->out.len)
		ev_io_set(a->pc->loop, &a->io, fd, EV_READ, policy_client_io, a);
}

/* policy_client_begin - give the question a connection; what goes wrong is reported from the loop */
static void
policy_client_begin(struct policy_client_ask *a)
{
	struct policy_client *pc = a->pc;

	a->sent = 0;
	a->used = (a->fd = policy_client_reuse(pc)) >= 0;
	if (a->fd < 0)
		a->fd = pc->path != NULL ? sock_unix_connect(pc->path, true) : sock_inet_connect(pc->host, pc->port, true);
	if (a->fd >= 0) {
		ev_io_set(pc->loop, &a->io, a->fd, EV_WRITE, policy_client_io, a);
		return;
	}
	if (errno != EAGAIN)
		a->why = strerror(errno);
	ev_timer_set(pc->loop, &a->again, a->why != NULL ? 0 : POLICY_CLIENT_BUSY_MS, policy_client_again, a);
}

struct policy_client_ask *
policy_client_ask(struct policy_client *pc, const char *request, size_t n, int64_t limit_ms, policy_client_fn *fn, void *ctx)
{
	struct policy_client_ask *a = mem_alloc(sizeof *a);

	a->pc = pc;
	a->fd = -1;
	a->fn = fn;
	a->ctx = ctx;
	buf_init(&a->out, POLICY_PROTO_MAX);
	buf_init(&a->in, POLICY_CLIENT_REPLY_MAX);
	LIST_INSERT_HEAD(&pc->asks, a, link);
	if (++pc->asks_n > pc->limit || buf_add(&a->out, request, n) < 0) {
		a->why = pc->asks_n > pc->limit ? "too many questions at a time" : "request too long";
		ev_timer_set(pc->loop, &a->again, 0, policy_client_again, a);
		return a;
	}
	ev_timer_set(pc->loop, &a->limit, limit_ms, policy_client_limit, a);
	policy_client_begin(a);
	return a;
}

void
policy_client_cancel(struct policy_client_ask **ap)
{
	if (*ap != NULL)
		policy_client_ask_free(*ap);
	*ap = NULL;
}

/* life */

struct policy_client *
policy_client_new(struct ev_loop *loop, const char *path, const char *host, const char *port, unsigned conn_limit, int64_t idle_ms)
{
	struct policy_client *pc = mem_alloc(sizeof *pc);

	pc->loop = loop;
	pc->path = path != NULL ? mem_strdup(path) : NULL;
	pc->host = host != NULL ? mem_strdup(host) : NULL;
	pc->port = port != NULL ? mem_strdup(port) : NULL;
	pc->limit = conn_limit;
	pc->idle_ms = idle_ms;
	return pc;
}

void
policy_client_free(struct policy_client **pcp)
{
	struct policy_client *pc = *pcp;

	if (pc == NULL)
		return;
	while (!LIST_EMPTY(&pc->asks))
		policy_client_ask_free(LIST_FIRST(&pc->asks));
	while (!LIST_EMPTY(&pc->idle))
		policy_client_idle_free(LIST_FIRST(&pc->idle));
	mem_free(&pc->path);
	mem_free(&pc->host);
	mem_free(&pc->port);
	mem_free(pcp);
}
