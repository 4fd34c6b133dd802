/* global/smtp_client_out.c - the sending half of smtp_client: commands, the message, and the socket that they go to */
#include "smtp_client_part.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

void
smtp_client_watch(struct smtp_client *c)
{
	bool	out = c->out.len > 0 || (c->body.source != NULL && !c->broken);
	unsigned events = EV_READ;

	if (c->state == CLIENT_CONNECT)
		events = EV_WRITE;
	else if (c->tls != NULL)
		events |= (out && !c->tls_write_wants_read) || c->tls_read_wants_write ? EV_WRITE : 0;
	else if (out)
		events |= EV_WRITE;
	ev_io_set(c->loop, &c->io, c->fd, events, smtp_client_io, c);
}

/* smtp_client_put - send of `out` what goes; bytes sent */
static size_t
smtp_client_put(struct smtp_client *c)
{
	size_t	n = 0;
	ssize_t sent;

	if (c->tls != NULL) {
		c->tls_write_wants_read = false;
		switch (tls_write(c->tls, c->out.data, c->out.len, &n)) {
		case TLS_DONE:
			break;
		case TLS_WANT_READ:
			c->tls_write_wants_read = true;
			n = 0;
			break;
		case TLS_WANT_WRITE:
		case TLS_FAILED:		/* reading tells what happened, and what was said before it */
			n = 0;
			break;
		}
	} else {
		while ((sent = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL)) < 0 && errno == EINTR)
			;
		if (sent < 0 && errno != EAGAIN)	/* as above: a 421 may be in the receive buffer */
			c->broken = true;
		n = sent < 0 ? 0 : (size_t) sent;
	}
	buf_drop(&c->out, n);
	return n;
}

static void
smtp_client_body_failed(void *ctx)
{
	smtp_client_end(ctx, SMTP_END_LOST, NULL, "the message cannot be read");
}

/* smtp_client_body_more - `out` is empty: the next part of the message, or the wait for the reply */
static void
smtp_client_body_more(struct smtp_client *c)
{
	static char data[CLIENT_BODY_READ];
	ssize_t n;

	if (c->body.ended) {			/* the kernel has it all: only now a reply can be about it */
		c->body.source = NULL;
		c->ring[c->head].at = SMTP_AT_END;
		c->ring[c->head].replies = c->body.replies;
		c->ring[c->head].timeout_ms = c->body.end_ms > INT32_MAX ? INT32_MAX : (int) c->body.end_ms;
		c->pending = 1;
		smtp_client_clock(c);
		return;
	}
	while (!c->body.ended && c->out.len + 2 * CLIENT_BODY_READ + 8 <= CLIENT_OUT_MAX) {
		if ((n = c->body.source->read(c->body.source->ctx, data, sizeof data)) < 0) {
			c->broken = true;
			ev_defer_set(c->loop, &c->early, smtp_client_body_failed, c);
			return;
		}
		if (n == 0) {
			body_wire_end(&c->body.wire, &c->out);
			c->body.ended = true;
		} else if (buf_room(&c->out, (size_t) n + 80) != NULL)	/* as a rule that is enough, and the end fits as well */
			body_wire_add(&c->body.wire, &c->out, data, (size_t) n);
		if (c->out.full)
			msg_panic("smtp_client: a part of the message does not fit");
	}
}

void
smtp_client_flush(struct smtp_client *c)
{
	size_t	total = 0, n;

	if (c->state == CLIENT_ENDED || c->state == CLIENT_CONNECT || c->state == CLIENT_TLS || c->broken)
		return;
	for (;;) {
		while (!c->broken && c->out.len > 0 && (n = smtp_client_put(c)) > 0)
			total += n;
		if (c->out.len > 0 || c->body.source == NULL || c->broken || total > CLIENT_BODY_TURN)
			break;
		smtp_client_body_more(c);
	}
	if (c->broken)
		buf_reset(&c->out);
	if (c->body.source != NULL) {
		if (total > 0)
			smtp_client_clock(c);
	} else if (c->out.len == 0)
		buf_shrink(&c->out, 1024);
	smtp_client_watch(c);
}

void
smtp_client_send_body(struct smtp_client *c, const struct body_source *source, unsigned replies, int64_t stall_ms,
    int64_t end_ms)
{
	if (c->state == CLIENT_ENDED)
		return;
	if (c->state != CLIENT_READY || c->pending > 0 || c->body.source != NULL || replies == 0)
		msg_panic("smtp_client_send_body: not now");
	c->body.source = source;
	c->body.wire = (struct body_wire) { .form = BODY_SMTP };
	c->body.ended = false;
	c->body.replies = replies;
	c->body.stall_ms = stall_ms;
	c->body.end_ms = end_ms;
	smtp_client_clock(c);
	smtp_client_flush(c);
}

bool
smtp_client_sayv(struct smtp_client *c, enum smtp_at at, int64_t timeout_ms, const char *fmt, va_list ap)
{
	size_t	from = c->out.len;

	if (c->pending >= SMTP_CLIENT_PENDING || c->body.source != NULL || buf_addv(&c->out, fmt, ap) < 0)
		return false;
	/* nothing that we quote from elsewhere may become a command of its own */
	if (memchr(c->out.data + from, '\n', c->out.len - from) != NULL ||
	    memchr(c->out.data + from, '\r', c->out.len - from) != NULL || buf_add(&c->out, "\r\n", 2) < 0) {
		buf_cut(&c->out, from);
		return false;
	}
	c->ring[(c->head + c->pending) % SMTP_CLIENT_PENDING].at = (unsigned char) at;
	c->ring[(c->head + c->pending) % SMTP_CLIENT_PENDING].replies = 1;
	c->ring[(c->head + c->pending) % SMTP_CLIENT_PENDING].timeout_ms = timeout_ms > INT32_MAX ? INT32_MAX : (int) timeout_ms;
	c->pending++;
	return true;
}

bool
smtp_client_say(struct smtp_client *c, enum smtp_at at, int64_t timeout_ms, const char *fmt, ...)
{
	va_list ap;
	bool	ok;

	if (c->state != CLIENT_READY)
		return false;
	va_start(ap, fmt);
	ok = smtp_client_sayv(c, at, timeout_ms, fmt, ap);
	va_end(ap);
	if (ok && c->pending == 1)
		smtp_client_clock(c);
	return ok;
}

void
smtp_client_command(struct smtp_client *c, enum smtp_at at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	smtp_client_sayv(c, at, 0, fmt, ap);
	va_end(ap);
	smtp_client_flush(c);
}

/* the socket */

static int
smtp_client_sockaddr(struct sockaddr_storage *ss, const struct mx_addr *a, unsigned port, socklen_t *len_r)
{
	struct sockaddr_in *sin = (struct sockaddr_in *) ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *) ss;

	memset(ss, 0, sizeof *ss);
	if (a->ipv6) {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_addr = a->aaaa;
		sin6->sin6_port = htons((uint16_t) port);
		*len_r = sizeof *sin6;
		return AF_INET6;
	}
	sin->sin_family = AF_INET;
	sin->sin_addr = a->a;
	sin->sin_port = htons((uint16_t) port);
	*len_r = sizeof *sin;
	return AF_INET;
}

int
smtp_client_connect(const struct smtp_client_conf *conf, const struct smtp_client_to *to)
{
	const struct mx_addr *local;
	struct sockaddr_storage ss;
	int	fd, on = 1;
	socklen_t len;

	if (to->path != NULL)
		return sock_unix_connect(to->path, true);
	local = to->addr->ipv6 ? conf->bind6 : conf->bind4;
	if ((fd = socket(to->addr->ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);	/* groups of commands are one write anyway */
	if (local != NULL) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
		smtp_client_sockaddr(&ss, local, 0, &len);
		if (bind(fd, (struct sockaddr *) &ss, len) < 0)
			msg_warn("cannot bind to the source address: %s", strerror(errno));
	}
	smtp_client_sockaddr(&ss, to->addr, to->port, &len);
	if (connect(fd, (struct sockaddr *) &ss, len) < 0 && errno != EINPROGRESS)
		sock_close(&fd);
	return fd;
}
