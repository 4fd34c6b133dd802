/* global/qmqp_client.c - hands one message to a QMQP server
 * Phases in order: find the addresses, count the message, connect, send, wait for the answer. Connecting may be repeated.
 */
#include "qmqp_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <global/hop_addrs.h>
#include <global/qmqp_reply.h>

#define QMQP_OUT_MAX	(64u << 10)
#define QMQP_READ	(24u << 10)	/* one read of a message */
#define QMQP_TURN	(1u << 20)	/* counted in one go, so that others are served meanwhile */
#define QMQP_SEND_TURN	(256u << 10)	/* sent in one go */

enum qmqp_phase { QMQP_FIND, QMQP_COUNT, QMQP_CONNECT, QMQP_SEND, QMQP_ANSWER, QMQP_OVER };

struct qmqp_send {
	struct ev_loop *loop;
	const struct qmqp_conf *conf;
	const struct qmqp_mail *mail;
	qmqp_done_fn *done;
	void	*ctx;
	enum qmqp_phase phase;
	struct hop_addrs *find;
	struct mx_list *list;
	size_t	 next_addr;
	char	 host[320];		/* "NAME[ADDRESS]:PORT" of the server, for texts */
	int	 fd;
	struct ev_io io;
	struct ev_timer total, connect;
	struct ev_defer later;
	struct body_wire wire;
	uint64_t message_len, left;	/* bytes in the form of the wire; those that are still to come */
	bool	 message_ended, all_sent;
	size_t	 next_rcpt;		/* 0: the sender */
	struct buf out;
	struct qmqp_reply reply;
	struct hop_answer answer;
};

static void qmqp_connect(struct qmqp_send *);

/* lengths */

static unsigned
qmqp_digits(uint64_t n)
{
	unsigned d = 1;

	for (; n >= 10; n /= 10)
		d++;
	return d;
}

/* qmqp_netstring_len - a string of n bytes as a netstring */
static uint64_t
qmqp_netstring_len(uint64_t n)
{
	return qmqp_digits(n) + 1 + n + 1;
}

uint64_t
qmqp_package_len(const struct qmqp_mail *m, uint64_t message_len)
{
	uint64_t total;

	if (message_len > UINT64_MAX / 4)
		return UINT64_MAX;
	total = qmqp_netstring_len(message_len) + qmqp_netstring_len(strlen(m->sender));
	for (size_t i = 0; i < m->rcpts; i++)
		total += qmqp_netstring_len(strlen(m->rcpt[i]));
	return total;
}

/* the end */

static void
qmqp_close(struct qmqp_send *s)
{
	ev_io_cancel(s->loop, &s->io);
	ev_timer_cancel(s->loop, &s->connect);
	sock_close(&s->fd);
}

void
qmqp_send_free(struct qmqp_send **sp)
{
	struct qmqp_send *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	qmqp_close(s);
	ev_timer_cancel(s->loop, &s->total);
	ev_defer_cancel(s->loop, &s->later);
	hop_addrs_cancel(&s->find);
	mx_list_free(&s->list);
	buf_fini(&s->out);
	hop_answer_clear(&s->answer);
	mem_free(&s);
}

static void
qmqp_tell(void *ctx)
{
	struct qmqp_send *s = ctx;
	struct hop_answer a = s->answer;

	memset(&s->answer, 0, sizeof s->answer);
	s->done(s->ctx, &a);		/* may free s */
	hop_answer_clear(&a);
}

static void __attribute__((format(printf, 4, 5)))
qmqp_over(struct qmqp_send *s, enum hop_verdict v, const char *dsn, const char *fmt, ...)
{
	char	text[HOP_ANSWER_TEXT_MAX + 1];
	va_list ap;

	if (s->phase == QMQP_OVER)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	hop_answer_set(&s->answer, v, dsn, text);
	s->phase = QMQP_OVER;
	qmqp_close(s);
	hop_addrs_cancel(&s->find);
	ev_timer_cancel(s->loop, &s->total);
	ev_defer_set(s->loop, &s->later, qmqp_tell, s);
}

static void
qmqp_timeout(void *ctx)
{
	static const char *const doing[] = { [QMQP_FIND] = "looking up its address", [QMQP_COUNT] = "counting the message",
		[QMQP_CONNECT] = "connecting", [QMQP_SEND] = "sending the message",
		[QMQP_ANSWER] = "waiting for the answer to the message", [QMQP_OVER] = "" };
	struct qmqp_send *s = ctx;

	qmqp_over(s, HOP_SOFT, "4.4.2", "conversation with %s timed out while %s", s->host, doing[s->phase]);
}

/* the answer */

static void
qmqp_answered(struct qmqp_send *s)
{
	const char *text = s->reply.text;

	/* a yes to half a message is none */
	if (s->reply.code == 'K' && s->all_sent)
		qmqp_over(s, HOP_OK, "2.0.0", "%s", text);
	else if (s->reply.code == 'K')
		qmqp_over(s, HOP_SOFT, "4.5.0", "Protocol error: host %s took the message before its end: %s", s->host, text);
	else if (s->reply.code == 'Z')
		qmqp_over(s, HOP_SOFT, "4.0.0", "host %s said: %s", s->host, text);
	else if (s->reply.code == 'D')
		qmqp_over(s, HOP_HARD, "5.0.0", "host %s said: %s", s->host, text);
	else
		qmqp_over(s, HOP_NONE, "4.5.0", "Protocol error: host %s said: %c%s", s->host,
		    s->reply.code < ' ' || s->reply.code > '~' ? '?' : s->reply.code, text);
	if (s->reply.code == 'Z' || s->reply.code == 'D')
		hop_answer_said(&s->answer, text);
}

static void
qmqp_read(struct qmqp_send *s)
{
	char	data[1024];
	ssize_t n;

	while (s->phase != QMQP_OVER) {
		if ((n = recv(s->fd, data, sizeof data, 0)) < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			qmqp_over(s, HOP_SOFT, "4.4.2", "lost connection with %s while %s", s->host,
			    s->all_sent ? "waiting for the answer to the message" : "sending the message");
			return;
		}
		switch (qmqp_reply_feed(&s->reply, data, (size_t) n)) {
		case QMQP_REPLY_MORE:
			break;
		case QMQP_REPLY_DONE:
			qmqp_answered(s);
			return;
		case QMQP_REPLY_BAD:
			qmqp_over(s, HOP_NONE, "4.5.0", "Protocol error: the answer of host %s is no netstring", s->host);
			return;
		}
	}
}

/* the package */

/* qmqp_fill_message - the next part of the message; false: over */
static bool
qmqp_fill_message(struct qmqp_send *s)
{
	static char data[QMQP_READ];
	size_t	from = s->out.len;
	ssize_t n;

	if ((n = s->mail->source->read(s->mail->source->ctx, data, sizeof data)) > 0)
		body_wire_add(&s->wire, &s->out, data, (size_t) n);
	else if (n == 0) {
		body_wire_end(&s->wire, &s->out);
		s->message_ended = true;
	}
	if (s->out.full)
		msg_panic("qmqp_client: a part of the message does not fit");
	/* what was announced must come, no byte more or less: otherwise the server takes an envelope for text, or text for one */
	if (n < 0 || s->out.len - from > s->left || (s->message_ended && s->out.len - from != s->left)) {
		qmqp_over(s, HOP_SOFT, "4.3.0", "the message cannot be read from the spool");
		return false;
	}
	s->left -= s->out.len - from;
	return true;
}

/* qmqp_fill - more of the package into `out`, as long as there is room; false: over */
static bool
qmqp_fill(struct qmqp_send *s)
{
	const char *p;

	while (!s->all_sent && s->out.len + 2 * QMQP_READ <= QMQP_OUT_MAX) {
		if (!s->message_ended) {
			if (!qmqp_fill_message(s))
				return false;
			if (s->message_ended)
				buf_addc(&s->out, ',');
		} else if (s->next_rcpt <= s->mail->rcpts) {
			p = s->next_rcpt == 0 ? s->mail->sender : s->mail->rcpt[s->next_rcpt - 1];
			s->next_rcpt++;
			buf_addf(&s->out, "%zu:%s,", strlen(p), p);
		} else {
			buf_addc(&s->out, ',');
			s->all_sent = true;
		}
	}
	return true;
}

static void
qmqp_write(struct qmqp_send *s)
{
	size_t	total = 0;
	ssize_t n;

	while (s->phase == QMQP_SEND && total < QMQP_SEND_TURN) {
		if (s->out.len == 0) {
			if (s->all_sent) {
				s->phase = QMQP_ANSWER;
				return;
			}
			if (!qmqp_fill(s))
				return;
		}
		if ((n = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL)) < 0) {
			if (errno != EAGAIN && errno != EINTR) {	/* reading tells: there may be an answer */
				buf_reset(&s->out);
				s->all_sent = false;
				s->phase = QMQP_ANSWER;
			}
			return;
		}
		buf_drop(&s->out, (size_t) n);
		total += (size_t) n;
	}
}

static void
qmqp_io(void *ctx, int fd, unsigned events)
{
	struct qmqp_send *s = ctx;

	(void) fd;
	if ((events & EV_WRITE) != 0 && s->phase == QMQP_SEND)
		qmqp_write(s);
	if ((events & EV_READ) != 0 && s->phase != QMQP_OVER)
		qmqp_read(s);
	if (s->phase != QMQP_OVER)
		ev_io_set(s->loop, &s->io, s->fd, EV_READ | (s->phase == QMQP_SEND ? EV_WRITE : 0u), qmqp_io, s);
}

/* the connection */

static void
qmqp_connect_failed(struct qmqp_send *s, const char *why)
{
	qmqp_close(s);
	if (s->list != NULL && s->next_addr < s->list->n)
		qmqp_connect(s);
	else
		qmqp_over(s, HOP_SOFT, "4.4.1", "connect to %s: %s", s->host, why);
}

static void
qmqp_connect_timeout(void *ctx)
{
	qmqp_connect_failed(ctx, "Connection timed out");
}

static void
qmqp_connected(void *ctx, int fd, unsigned events)
{
	struct qmqp_send *s = ctx;
	socklen_t len = sizeof(int);
	int	err = 0;

	(void) events;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err != 0) {
		qmqp_connect_failed(s, strerror(err));
		return;
	}
	ev_timer_cancel(s->loop, &s->connect);
	s->phase = QMQP_SEND;
	s->left = s->message_len;
	s->wire = (struct body_wire) { .form = BODY_LF };
	buf_addf(&s->out, "%llu:%llu:", (unsigned long long) qmqp_package_len(s->mail, s->message_len),
	    (unsigned long long) s->message_len);
	qmqp_io(s, fd, EV_WRITE);
}

static void
qmqp_connect(struct qmqp_send *s)
{
	const struct nexthop *to = &s->conf->to;
	char	addr[INET6_ADDRSTRLEN], port[8];

	s->phase = QMQP_CONNECT;
	if (s->list != NULL) {
		mx_addr_text(&s->list->host[s->next_addr++].addr, addr, sizeof addr);
		snprintf(port, sizeof port, "%u", to->port & 0xffff);
		snprintf(s->host, sizeof s->host, "%.200s[%s]:%s", to->host, addr, port);
		s->fd = sock_inet_connect(addr, port, true);
	} else
		s->fd = sock_unix_connect(to->host, true);
	if (s->fd < 0) {
		qmqp_connect_failed(s, strerror(errno));
		return;
	}
	ev_io_set(s->loop, &s->io, s->fd, EV_WRITE, qmqp_connected, s);
	ev_timer_set(s->loop, &s->connect, s->conf->connect_ms, qmqp_connect_timeout, s);
}

/* before it */

static void
qmqp_count(void *ctx)
{
	static char data[QMQP_READ];
	struct qmqp_send *s = ctx;
	ssize_t n = 0;

	for (size_t total = 0; total < QMQP_TURN; total += (size_t) n) {
		if ((n = s->mail->source->read(s->mail->source->ctx, data, sizeof data)) <= 0)
			break;
		s->message_len += body_wire_count(&s->wire, data, (size_t) n);
	}
	if (n > 0) {
		ev_timer_set(s->loop, &s->connect, 0, qmqp_count, s);	/* a timer: the others get their turn */
		return;
	}
	s->message_len += body_wire_count_end(&s->wire);
	if (n < 0 || !s->mail->rewind(s->mail->source->ctx) || qmqp_package_len(s->mail, s->message_len) == UINT64_MAX) {
		qmqp_over(s, HOP_SOFT, "4.3.0", "the message cannot be read from the spool");
		return;
	}
	qmqp_connect(s);
}

static void
qmqp_start(struct qmqp_send *s)
{
	s->phase = QMQP_COUNT;
	s->wire = (struct body_wire) { .form = BODY_LF };
	ev_defer_set(s->loop, &s->later, qmqp_count, s);
}

static void
qmqp_found(void *ctx, struct mx_list *list, const char *dsn, const char *text)
{
	struct qmqp_send *s = ctx;

	s->find = NULL;
	s->list = list;
	if (list != NULL)
		qmqp_start(s);
	else
		qmqp_over(s, HOP_SOFT, dsn, "%s", text);
}

struct qmqp_send *
qmqp_send_open(struct ev_loop *loop, const struct qmqp_conf *conf, struct dns *dns, const struct qmqp_mail *mail,
    qmqp_done_fn *done, void *ctx)
{
	struct qmqp_send *s = mem_alloc(sizeof *s);

	s->loop = loop;
	s->conf = conf;
	s->mail = mail;
	s->done = done;
	s->ctx = ctx;
	s->fd = -1;
	snprintf(s->host, sizeof s->host, "%.250s", conf->to.host);
	buf_init(&s->out, QMQP_OUT_MAX);
	ev_timer_set(loop, &s->total, conf->total_ms, qmqp_timeout, s);
	if (conf->to.is_unix)
		qmqp_start(s);
	else
		s->find = hop_addrs_find(loop, dns, &conf->to, conf->ipv4, conf->ipv6, qmqp_found, s);
	return s;
}
