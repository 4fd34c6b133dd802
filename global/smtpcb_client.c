/* global/smtpcb_client.c - ask a server that speaks the smtp_callback line protocol */
#include "smtpcb_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <global/smtp_path.h>
#include <util/mem.h>
#include <util/sock.h>

struct smtpcb_ask {
	struct ev_loop *loop;
	int	 fd;
	struct ev_io io;
	struct ev_timer limit;
	struct ev_defer failed;
	const char *why;		/* of failed */
	size_t	 sent;
	struct buf out, in;
	smtpcb_ask_fn *fn;
	void	*ctx;
};

/* smtpcb_ask_end - report, free; the callback comes last */
static void
smtpcb_ask_end(struct smtpcb_ask *a, const struct smtpcb_reply *r, const char *why)
{
	smtpcb_ask_fn *fn = a->fn;
	void   *ctx = a->ctx;
	struct buf in = a->in;		/* the reply's texts are in it */

	buf_init(&a->in, SMTPCB_REPLY_MAX);
	smtpcb_ask_free(&a);
	fn(ctx, r, why);
	buf_fini(&in);
}

static void
smtpcb_ask_failed(void *ctx)
{
	struct smtpcb_ask *a = ctx;

	smtpcb_ask_end(a, NULL, a->why);
}

static void
smtpcb_ask_limit(void *ctx)
{
	smtpcb_ask_end(ctx, NULL, "no reply in time");
}

static void
smtpcb_ask_read(struct smtpcb_ask *a)
{
	struct smtpcb_reply r;
	const char *wrong;
	char	chunk[1024], *lf;
	ssize_t n = recv(a->fd, chunk, sizeof chunk, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		smtpcb_ask_end(a, NULL, n < 0 ? strerror(errno) : "connection closed before the reply");
		return;
	}
	if (buf_add(&a->in, chunk, (size_t) n) < 0) {
		smtpcb_ask_end(a, NULL, "reply too long");
		return;
	}
	if ((lf = memchr(a->in.data, '\n', a->in.len)) == NULL)
		return;
	wrong = smtpcb_reply_parse(a->in.data, (size_t) (lf - a->in.data), &r);
	smtpcb_ask_end(a, wrong == NULL ? &r : NULL, wrong);
}

static void
smtpcb_ask_io(void *ctx, int fd, unsigned events)
{
	struct smtpcb_ask *a = ctx;
	ssize_t n;

	if (events & EV_WRITE) {
		n = send(fd, a->out.data + a->sent, a->out.len - a->sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			smtpcb_ask_end(a, NULL, strerror(errno));	/* also when the connection was refused */
			return;
		}
		a->sent += n > 0 ? (size_t) n : 0;
		if (a->sent == a->out.len)
			ev_io_set(a->loop, &a->io, fd, EV_READ, smtpcb_ask_io, a);
		return;
	}
	smtpcb_ask_read(a);
}

struct smtpcb_ask *
smtpcb_ask_new(struct ev_loop *loop, const char *host, const char *port, const char *local, const char *domain, int64_t limit_ms,
    smtpcb_ask_fn *fn, void *ctx)
{
	struct smtpcb_ask *a = mem_alloc(sizeof *a);

	a->loop = loop;
	a->fn = fn;
	a->ctx = ctx;
	buf_init(&a->out, 2 * SMTPCB_LINE_MAX);
	buf_init(&a->in, SMTPCB_REPLY_MAX);
	buf_addc(&a->out, '<');
	smtp_path_show(&a->out, local, domain);
	buf_adds(&a->out, ">\n");
	if (a->out.full)
		a->why = "address too long";
	else if ((a->fd = sock_inet_connect(host, port, true)) < 0)
		a->why = strerror(errno);
	if (a->why != NULL) {
		a->fd = -1;
		ev_defer_set(loop, &a->failed, smtpcb_ask_failed, a);
		return a;
	}
	ev_timer_set(loop, &a->limit, limit_ms, smtpcb_ask_limit, a);
	ev_io_set(loop, &a->io, a->fd, EV_WRITE, smtpcb_ask_io, a);
	return a;
}

void
smtpcb_ask_free(struct smtpcb_ask **ap)
{
	struct smtpcb_ask *a = *ap;

	if (a == NULL)
		return;
	ev_io_cancel(a->loop, &a->io);
	ev_timer_cancel(a->loop, &a->limit);
	ev_defer_cancel(a->loop, &a->failed);
	sock_close(&a->fd);
	buf_fini(&a->out);
	buf_fini(&a->in);
	mem_free(ap);
}
