/* global/ms_client.c - the skeleton of a daemon that serves many clients in one process: one client's input and output */
#include "ms_part.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

static ssize_t ms_write(struct ms_client *, const void *, size_t, int);

/* Replies that may wait for each other (ms_reply): a few at a time, at the latest at the end of the turn */

static struct {
	unsigned n;
	struct ms_client *of[MS_TOGETHER];
	struct ev_defer end;
} ms_later;

/* ms_later_drop - the client is going: what it was to be told goes out now or never */
static void
ms_later_drop(struct ms_client *c)
{
	unsigned i = 0;

	if (!c->later)
		return;
	while (ms_later.of[i] != c)
		i++;
	ms_later.of[i] = ms_later.of[--ms_later.n];
	c->later = false;
	if (c->out.len > 0)
		(void) ms_write(c, c->out.data, c->out.len, 0);
}

void
ms_client_close(struct ms_client *c)
{
	ms_later_drop(c);
	if (!c->over)
		ms_process.ops->closed(c, c->ctx);
	TAILQ_REMOVE(&ms_process.clients, c, link);
	ms_process.clients_n--;
	ms_process.served++;
	ev_io_cancel(ms_process.loop, &c->io);
	ev_timer_cancel(ms_process.loop, &c->timer);
	ev_defer_cancel(ms_process.loop, &c->resume);
	tls_free(&c->tls);
	sock_close(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	buf_fini(&c->passed);
	mem_free(&c);
	ms_left();
}

static void ms_client_io(void *, int, unsigned);
static void ms_client_more(void *);
static void ms_client_resume(void *);

static void
ms_client_timeout(void *ctx)
{
	struct ms_client *c = ctx;

	if (!c->over)
		msg_warn("timeout on %s socket while %s", ms_process.ops->name,
		    c->out.len > 0 ? "writing a reply" : "reading a request");
	ms_client_close(c);
}

static void ms_handshake(struct ms_client *);

/* ms_client_end - all was said */
static void
ms_client_end(struct ms_client *c)
{
	if (c->broken || !c->slowly || c->eof || shutdown(c->fd, SHUT_WR) < 0) {
		ms_client_close(c);
		return;
	}
	c->over = true;
	ms_process.ops->closed(c, c->ctx);
	c->ctx = NULL;
	buf_fini(&c->in);
	ev_defer_cancel(ms_process.loop, &c->resume);
	ev_io_set(ms_process.loop, &c->io, c->fd, EV_READ, ms_client_io, c);
	ev_timer_set(ms_process.loop, &c->timer, MS_LINGER_MS, ms_client_timeout, c);
}

/* ms_client_waits - the client does not take what it is told */
static bool
ms_client_waits(const struct ms_client *c)
{
	return c->out.len > 0 && !c->later;
}

/* ms_client_watch - descriptors and time limit as the state of the client wants them */
static void
ms_client_watch(struct ms_client *c)
{
	if (c->tls_ctx != NULL && c->out.len == 0 && !c->last) {
		ms_handshake(c);
		return;
	}
	if (c->last && c->out.len == 0 && c->resume.queued)
		return;				/* it is closed in a moment, whatever is watched until then */
	if (ms_client_waits(c) || c->last)
		ev_io_set(ms_process.loop, &c->io, c->fd, EV_WRITE, ms_client_io, c);	/* first the replies, then more requests */
	else if (c->eof || (c->held && c->in.len > 0))
		ev_io_cancel(ms_process.loop, &c->io);
	else
		ev_io_set(ms_process.loop, &c->io, c->fd, EV_READ, ms_client_io, c);
	if (ms_client_waits(c) || (c->partial && !c->held))
		ev_timer_set(ms_process.loop, &c->timer, c->limit_ms, ms_client_timeout, c);
	else
		ev_timer_cancel(ms_process.loop, &c->timer);
}

/* ms_write, ms_read - as send and recv, through TLS where there is some */

static ssize_t
ms_tls_result(enum tls_result r, size_t n)
{
	switch (r) {
	case TLS_DONE:
		return (ssize_t) n;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case TLS_FAILED:
		break;
	}
	errno = ECONNRESET;
	return -1;
}

static ssize_t
ms_write(struct ms_client *c, const void *data, size_t n, int flags)
{
	size_t	done;
	enum tls_result r;

	if (c->tls == NULL)
		return send(c->fd, data, n, MSG_NOSIGNAL | flags);
	r = tls_write(c->tls, data, n, &done);
	return ms_tls_result(r, done);
}

static ssize_t
ms_read(struct ms_client *c, void *data, size_t n)
{
	size_t	done;
	enum tls_result r;

	if (c->tls == NULL)
		return recv(c->fd, data, n, 0);
	r = tls_read(c->tls, data, n, &done);
	return ms_tls_result(r, done);
}

static void
ms_client_flush(struct ms_client *c)
{
	ssize_t n;

	while (c->out.len > 0) {
		n = ms_write(c, c->out.data, c->out.len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken = errno != EAGAIN;
			return;
		}
		buf_drop(&c->out, (size_t) n);
	}
	buf_shrink(&c->out, 0);
}

static void
ms_send_flags(struct ms_client *c, const void *data, size_t n, int flags)
{
	ssize_t done = 0;

	if (c->broken)
		return;
	if (c->out.len == 0 && (done = ms_write(c, data, n, flags)) < 0) {
		c->broken = errno != EAGAIN && errno != EINTR;
		done = 0;
	}
	if ((size_t) done < n && buf_add(&c->out, (const char *) data + done, n - (size_t) done) < 0)
		c->broken = true;
}

void
ms_send(struct ms_client *c, const void *data, size_t n)
{
	ms_send_flags(c, data, n, 0);
}

static void
ms_later_send(void *ctx)
{
	struct ms_client *c;
	ssize_t done;

	(void) ctx;
	for (unsigned i = 0; i < ms_later.n; i++) {
		c = ms_later.of[i];
		c->later = false;
		if ((done = ms_write(c, c->out.data, c->out.len, 0)) == (ssize_t) c->out.len) {
			buf_reset(&c->out);
			continue;
		}
		if (done < 0 && errno != EAGAIN && errno != EINTR)
			c->broken = true;
		else if (done > 0)
			buf_drop(&c->out, (size_t) done);
		if (!c->broken)
			ms_client_watch(c);
		else if (!c->held)			/* else whoever holds it finds out */
			ev_defer_set(ms_process.loop, &c->resume, ms_client_resume, c);
	}
	ms_later.n = 0;
	ev_defer_cancel(ms_process.loop, &ms_later.end);
}

void
ms_reply(struct ms_client *c, const void *data, size_t n)
{
	if (c->broken || ms_client_waits(c)) {
		ms_send(c, data, n);
		return;
	}
	if (buf_add(&c->out, data, n) < 0) {
		c->broken = true;
		return;
	}
	if (c->later)
		return;
	c->later = true;
	ms_later.of[ms_later.n++] = c;
	if (ms_later.n == MS_TOGETHER)
		ms_later_send(NULL);
	else if (ms_later.n == 1)
		ev_defer_set(ms_process.loop, &ms_later.end, ms_later_send, NULL);
}

/* ms_client_eof - nothing more will come, and everything is used: close the client when no reply is left to make */
static void
ms_client_eof(struct ms_client *c)
{
	if (ms_process.ops->eof(c, c->ctx) == MS_HOLD)
		c->held = true;
	else
		c->last = true;
	if (c->broken || (c->last && c->out.len == 0))
		ms_client_end(c);
	else
		ms_client_watch(c);
}

/* ms_client_input - hand bytes to the daemon; keep what it does not use yet; closes the client when that is due */
static void
ms_client_input(struct ms_client *c, const char *data, size_t n)
{
	size_t	used = n;
	enum ms_next next;

	c->active_ms = ev_now_ms(ms_process.loop);
	c->partial = false;
	next = ms_process.ops->input(c, c->ctx, data, n, &used, &c->partial);
	ms_report_use();
	switch (next) {
	case MS_MORE:
		break;
	case MS_HOLD:
		c->held = true;
		if (used < n && buf_add(&c->in, data + used, n - used) < 0)
			c->broken = true;
		break;
	case MS_CLOSE:
		c->broken = true;
		break;
	}
	if (c->broken)
		ms_client_close(c);
	else if (c->eof && !c->held)
		ms_client_eof(c);
	else
		ms_client_watch(c);
}

static void
ms_client_resume(void *ctx)
{
	struct ms_client *c = ctx;
	struct buf in = c->in;

	if (c->broken || (c->last && c->out.len == 0)) {
		ms_client_end(c);
		return;
	}
	if (in.len == 0 && c->eof && !c->last) {
		ms_client_eof(c);
		return;
	}
	if (in.len == 0 || c->last || c->out.len > 0) {	/* first the replies: what comes next has more of them */
		ms_client_watch(c);
		return;
	}
	buf_init(&c->in, MS_READ_SIZE);
	ms_client_input(c, in.data, in.len);
	buf_fini(&in);
}

/* ms_client_more - after bytes of TLS there may be more of them */
static void
ms_client_more(void *ctx)
{
	struct ms_client *c = ctx;

	if (!c->held && c->out.len == 0)
		ms_client_io(c, c->fd, EV_READ);
}

/* TLS */

static void
ms_handshake_io(void *ctx, int fd, unsigned events)
{
	(void) fd;
	(void) events;
	ms_handshake(ctx);
}

static void
ms_handshake(struct ms_client *c)
{
	if (c->tls == NULL)
		c->tls = tls_server_new(c->tls_ctx, c->fd);
	switch (tls_handshake(c->tls)) {
	case TLS_WANT_READ:
		ev_io_set(ms_process.loop, &c->io, c->fd, EV_READ, ms_handshake_io, c);
		return;
	case TLS_WANT_WRITE:
		ev_io_set(ms_process.loop, &c->io, c->fd, EV_WRITE, ms_handshake_io, c);
		return;
	case TLS_DONE:
		c->tls_ctx = NULL;
		ev_io_cancel(ms_process.loop, &c->io);
		ms_process.ops->secured(c, c->ctx, c->tls);
		break;
	case TLS_FAILED:
		msg_info("%s: TLS handshake: %s", ms_process.ops->name, tls_why(c->tls));
		c->tls_ctx = NULL;
		ev_io_cancel(ms_process.loop, &c->io);
		ms_process.ops->secured(c, c->ctx, NULL);
		break;
	}
	if (c->broken)
		ms_client_close(c);
	else if (!c->held || c->last)
		ms_client_watch(c);
}

void
ms_starttls(struct ms_client *c, struct tls_ctx *ctx)
{
	c->held = true;
	c->tls_ctx = ctx;
	buf_reset(&c->in);
}

void
ms_hold(struct ms_client *c)
{
	c->held = true;
}

void
ms_limit(struct ms_client *c, int64_t limit_ms)
{
	c->limit_ms = limit_ms;
}

ssize_t
ms_peek(struct ms_client *c, void *data, size_t n)
{
	ssize_t got;

	if (c->in.len > 0) {
		n = n < c->in.len ? n : c->in.len;
		memcpy(data, c->in.data, n);
		return (ssize_t) n;
	}
	if (c->eof)
		return -1;
	if (c->tls != NULL)
		return 0;
	while ((got = recv(c->fd, data, n, MSG_PEEK | MSG_DONTWAIT)) < 0 && errno == EINTR)
		;
	return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
}

int
ms_fd(const struct ms_client *c)
{
	return c->fd;
}

bool
ms_peer(const struct ms_client *c, struct sockaddr_storage *ss)
{
	socklen_t len = sizeof *ss;

	if (c->peer != NULL)
		memcpy(ss, c->peer, len);
	else if (getpeername(c->fd, (struct sockaddr *) ss, &len) < 0)
		return false;
	return true;
}

void
ms_resume(struct ms_client *c)
{
	c->held = false;
	c->active_ms = ev_now_ms(ms_process.loop);
	ev_defer_set(ms_process.loop, &c->resume, ms_client_resume, c);
}

void
ms_finish(struct ms_client *c)
{
	c->held = c->last = true;
	ev_defer_set(ms_process.loop, &c->resume, ms_client_resume, c);
}

void
ms_finish_with(struct ms_client *c, const void *data, size_t n)
{
	ms_send_flags(c, data, n, MSG_MORE);
	ms_finish(c);
}

void
ms_finish_slowly(struct ms_client *c)
{
	c->slowly = true;
	ms_finish(c);
}

static void
ms_client_io(void *ctx, int fd, unsigned events)
{
	static char data[MS_READ_SIZE];
	struct ms_client *c = ctx;
	ssize_t n;

	if (events & EV_WRITE) {
		ms_client_flush(c);
		if (c->broken || (c->last && c->out.len == 0))
			ms_client_end(c);
		else {
			if (c->out.len == 0 && c->in.len > 0 && !c->held)
				ev_defer_set(ms_process.loop, &c->resume, ms_client_resume, c);
			ms_client_watch(c);
		}
		return;
	}
	n = c->over ? recv(fd, data, sizeof data, 0) : ms_read(c, data, sizeof data);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && c->over)
		return;
	if (c->tls != NULL)			/* what TLS has in store makes no descriptor readable */
		ev_defer_set(ms_process.loop, &c->resume, ms_client_more, c);
	if (n == 0 && ms_process.ops->eof != NULL) {
		c->eof = true;
		if (c->held)
			ms_client_watch(c);
		else
			ms_client_eof(c);
	} else if (n <= 0)
		ms_client_close(c);
	else if (c->held) {			/* sent ahead of the reply it waits for */
		if (buf_add(&c->in, data, (size_t) n) < 0)
			ms_client_close(c);
		else {
			ms_client_watch(c);
			if (ms_process.ops->early != NULL)
				ms_process.ops->early(c, c->ctx);
		}
	} else
		ms_client_input(c, data, (size_t) n);
}

void
ms_client_new(int fd, const struct sockaddr_storage *peer, struct buf *passed)
{
	struct ms_client *c = mem_alloc(sizeof *c);

	c->fd = fd;
	c->active_ms = ev_now_ms(ms_process.loop);
	c->limit_ms = ms_process.params->ipc_timeout;
	buf_init(&c->in, MS_READ_SIZE);
	buf_init(&c->out, MS_OUT_MAX);
	if (passed != NULL)
		c->passed = *passed;
	TAILQ_INSERT_TAIL(&ms_process.clients, c, link);
	ms_process.clients_n++;
	c->peer = peer;
	c->ctx = ms_process.ops->opened(c);
	c->peer = NULL;
	if (c->broken)
		ms_client_close(c);
	else
		ms_client_watch(c);
	ms_report_crowd();
}
