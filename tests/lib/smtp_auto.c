/* tests/lib/smtp_auto.c - an SMTP server that answers by rules */
#include "smtp_auto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <util/buf.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

struct smtp_auto_conn {
	struct smtp_auto_conn *next, **prev;
	struct smtp_auto *server;
	int	fd;
	struct ev_io io;
	struct ev_timer timer;
	bool	waiting;		/* for its delay: lines behind it wait, too */
	bool	hello, mail, rcpt;
	unsigned rcpts;
	const char *late;		/* the reply that waits */
	struct buf in, out;
};

static void smtp_auto_io(void *, int, unsigned);

static void
smtp_auto_free(struct smtp_auto_conn *c)
{
	if ((*c->prev = c->next) != NULL)
		c->next->prev = c->prev;
	ev_io_cancel(c->server->loop, &c->io);
	ev_timer_cancel(c->server->loop, &c->timer);
	sock_close(&c->fd);
	c->server->open--;
	buf_fini(&c->in);
	buf_fini(&c->out);
	mem_free(&c);
}

static bool
smtp_auto_flush(struct smtp_auto_conn *c)
{
	ssize_t n;

	while (c->out.len > 0) {
		n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			smtp_auto_free(c);
			return false;
		}
		buf_drop(&c->out, (size_t) n);
	}
	ev_io_set(c->server->loop, &c->io, c->fd, c->out.len > 0 ? EV_READ | EV_WRITE : EV_READ, smtp_auto_io, c);
	return true;
}

static const char *
smtp_auto_rcpt(struct smtp_auto *s, const char *line)
{
	const char *addr = strchr(line, '<');

	for (unsigned i = 0; addr != NULL && i < s->rules; i++)
		if (strncmp(addr + 1, s->rule[i].prefix, strlen(s->rule[i].prefix)) == 0)
			return s->rule[i].reply;
	return "250 2.1.5 Ok";
}

static void smtp_auto_late(void *);

/* smtp_auto_line - false: the connection is gone */
static bool
smtp_auto_line(struct smtp_auto_conn *c, char *line)
{
	struct smtp_auto *s = c->server;
	const char *reply = "250 2.0.0 Ok";
	int64_t delay_ms;

	if (strncasecmp(line, "EHLO ", 5) == 0 || strncasecmp(line, "LHLO ", 5) == 0) {
		c->hello = true;
		reply = s->pipelining ? "250-auto.test\r\n250 PIPELINING" : "250 auto.test";
	} else if (strncasecmp(line, "HELO ", 5) == 0)
		c->hello = true;
	else if (strncasecmp(line, "MAIL FROM:<", 11) == 0) {
		s->odd += !c->hello || c->mail;
		c->mail = true;
	} else if (strncasecmp(line, "RCPT TO:<", 9) == 0) {
		s->odd += !c->mail || c->rcpt;		/* one recipient in a transaction */
		c->rcpt = true;
		s->rcpts++;
		if (++c->rcpts > s->session_rcpts_max)
			s->session_rcpts_max = c->rcpts;
		reply = smtp_auto_rcpt(s, line);
		if (s->close_after > 0 && c->rcpts > s->close_after)
			reply = "421 4.7.0 enough";
		if (strcmp(reply, "close") == 0) {
			smtp_auto_free(c);
			return false;
		}
		if (strcmp(reply, "silent") == 0)
			return true;
		delay_ms = s->delay_ms;
		if (*reply == '+') {
			delay_ms = strtoll(reply + 1, NULL, 10);
			reply += strcspn(reply, " ");
			reply += *reply == ' ';
		}
		if (delay_ms > 0) {
			c->late = reply;
			c->waiting = true;
			ev_timer_set(s->loop, &c->timer, delay_ms, smtp_auto_late, c);
			return true;
		}
	} else if (strcasecmp(line, "RSET") == 0)
		c->mail = c->rcpt = false;
	else if (strcasecmp(line, "QUIT") == 0)
		reply = "221 2.0.0 Bye";
	else if (strcasecmp(line, "DATA") == 0) {
		s->data++;
		reply = "354 go";
	} else {
		s->odd++;
		reply = "500 what";
	}
	buf_addf(&c->out, "%s\r\n", reply);
	return true;
}

static void
smtp_auto_run(struct smtp_auto_conn *c)
{
	char   *nl, *line;
	bool	quit;

	while (!c->waiting && c->in.len > 0 && (nl = memchr(c->in.data, '\n', c->in.len)) != NULL) {
		line = mem_strndup(c->in.data, (size_t) (nl - c->in.data));
		buf_drop(&c->in, (size_t) (nl - c->in.data) + 1);
		line[strcspn(line, "\r")] = 0;
		quit = strcasecmp(line, "QUIT") == 0;
		if (!smtp_auto_line(c, line)) {
			mem_free(&line);
			return;
		}
		mem_free(&line);
		if (quit) {
			if (smtp_auto_flush(c))
				smtp_auto_free(c);
			return;
		}
	}
	smtp_auto_flush(c);
}

static void
smtp_auto_late(void *ctx)
{
	struct smtp_auto_conn *c = ctx;

	c->waiting = false;
	buf_addf(&c->out, "%s\r\n", c->late);
	smtp_auto_run(c);
}

static void
smtp_auto_io(void *ctx, int fd, unsigned events)
{
	struct smtp_auto_conn *c = ctx;
	char	chunk[8192];
	ssize_t n;

	if ((events & EV_READ) != 0) {
		n = recv(fd, chunk, sizeof chunk, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			smtp_auto_free(c);
			return;
		}
		if (n > 0)
			buf_add(&c->in, chunk, (size_t) n);
	}
	smtp_auto_run(c);
}

static void
smtp_auto_accept(void *ctx, int fd, unsigned events)
{
	struct smtp_auto *s = ctx;
	struct smtp_auto_conn *c;
	int	conn, on = 1;

	(void) events;
	while ((conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		c = mem_alloc(sizeof *c);
		c->server = s;
		c->fd = conn;
		buf_init(&c->in, 1 << 20);
		buf_init(&c->out, 1 << 20);
		if ((c->next = s->conns) != NULL)
			c->next->prev = &c->next;
		c->prev = &s->conns;
		s->conns = c;
		s->accepted++;
		if (++s->open > s->open_max)
			s->open_max = s->open;
		buf_addf(&c->out, "%s\r\n", s->greeting != NULL ? s->greeting : "220 auto.test ESMTP");
		smtp_auto_flush(c);
	}
}

unsigned
smtp_auto_open(struct smtp_auto *s, struct ev_loop *loop, const char *host, unsigned port)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;
	char	text[16];

	s->loop = loop;
	snprintf(text, sizeof text, "%u", port);
	if ((s->fd = sock_inet_listen(host, text, 1024)) < 0)
		msg_panic("smtp_auto: %s: %s", host, strerror(errno));
	getsockname(s->fd, (struct sockaddr *) &sin, &len);
	ev_io_set(loop, &s->io, s->fd, EV_READ, smtp_auto_accept, s);
	return ntohs(sin.sin_port);
}

void
smtp_auto_close(struct smtp_auto *s)
{
	while (s->conns != NULL)
		smtp_auto_free(s->conns);
	ev_io_cancel(s->loop, &s->io);
	sock_close(&s->fd);
}
