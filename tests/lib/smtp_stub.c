/* tests/lib/smtp_stub.c - scripted SMTP servers */
#include "smtp_stub.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bsd/sys/queue.h>

#include <tests/lib/tls_peer.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <util/units.h>

struct stub_script {
	TAILQ_ENTRY(stub_script) link;
	unsigned host, line;
	char	*text;
};

struct stub_conn {
	LIST_ENTRY(stub_conn) link;
	struct smtp_stub *stub;
	struct stub_script *script;
	char	*at;			/* rest of the script */
	unsigned line;
	int	 fd;
	bool	 eof, waiting, bare;
	int64_t	 advance_ms;
	char	*ask;
	SSL	*ssl;
	struct ev_io io;
	struct buf in, out;
};

struct stub_host {
	struct smtp_stub *stub;
	unsigned host;
};

struct smtp_stub {
	struct ev_loop *loop;
	unsigned port;
	int	 fd[SMTP_STUB_HOSTS];
	struct ev_io io[SMTP_STUB_HOSTS];
	struct stub_host ctx[SMTP_STUB_HOSTS];
	TAILQ_HEAD(, stub_script) scripts;
	LIST_HEAD(, stub_conn) conns;
	unsigned open, open_max;
	SSL_CTX	*tls;
	struct buf error;
};

static void stub_conn_run(struct stub_conn *);
static void stub_conn_io(void *, int, unsigned);

static void __attribute__((format(printf, 3, 4)))
stub_error(struct smtp_stub *s, unsigned line, const char *fmt, ...)
{
	va_list ap;

	if (s->error.len > 0)
		return;
	buf_addf(&s->error, "line %u: ", line);
	va_start(ap, fmt);
	buf_addv(&s->error, fmt, ap);
	va_end(ap);
}

static void
stub_conn_free(struct stub_conn *c, bool reset)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	struct smtp_stub *s = c->stub;

	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	mem_free(&c->ask);
	ev_io_cancel(s->loop, &c->io);
	SSL_free(c->ssl);
	sock_close(&c->fd);
	LIST_REMOVE(c, link);
	s->open--;
	buf_fini(&c->in);
	buf_fini(&c->out);
	mem_free(&c->script->text);
	mem_free(&c->script);
	mem_free(&c);
}

static void
stub_conn_watch(struct stub_conn *c)
{
	unsigned events = (c->eof ? 0u : EV_READ) | (c->out.len > 0 ? EV_WRITE : 0u);

	if (events == 0)
		ev_io_cancel(c->stub->loop, &c->io);
	else
		ev_io_set(c->stub->loop, &c->io, c->fd, events, stub_conn_io, c);
}

static void
stub_conn_flush(struct stub_conn *c)
{
	ssize_t n;

	while (c->out.len > 0) {
		n = c->ssl != NULL ? SSL_write(c->ssl, c->out.data, (int) c->out.len) :
		    send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
		if (n <= 0) {
			if (c->ssl == NULL && errno != EAGAIN)
				buf_reset(&c->out);	/* the client has gone: reading tells */
			break;
		}
		buf_drop(&c->out, (size_t) n);
	}
	stub_conn_watch(c);
}

static void
stub_conn_send(struct stub_conn *c, const char *text, bool raw)
{
	for (; *text != 0; text++)
		if (*text != '\\' || !raw)
			buf_addc(&c->out, *text);
		else if (*++text == 'r')
			buf_addc(&c->out, '\r');
		else if (*text == 'n')
			buf_addc(&c->out, '\n');
		else if (*text == 'x') {
			char	hex[3] = { text[1], text[2], 0 };

			buf_addc(&c->out, (int) strtol(hex, NULL, 16));
			text += 2;
		} else
			buf_addc(&c->out, *text);
	if (!raw)
		buf_adds(&c->out, "\r\n");
}

/* stub_conn_line - a line from the client, or NULL */
static char *
stub_conn_line(struct stub_conn *c)
{
	char   *nl = c->in.len > 0 ? memchr(c->in.data, '\n', c->in.len) : NULL, *line;
	size_t	n;

	if (nl == NULL)
		return NULL;
	n = (size_t) (nl - c->in.data);
	line = mem_strndup(c->in.data, n > 0 && nl[-1] == '\r' ? n - 1 : n);
	if (!c->bare && (n == 0 || nl[-1] != '\r'))
		stub_error(c->stub, c->line, "line without CR: %s", line);
	buf_drop(&c->in, n + 1);
	return line;
}

static bool
stub_match(const char *want, const char *got)
{
	size_t	n = strlen(want);

	return n > 0 && want[n - 1] == '*' ? strncmp(want, got, n - 1) == 0 : strcmp(want, got) == 0;
}

/* stub_conn_step - one line of the script; false: it waits, or the connection is gone (*gone) */
static bool
stub_conn_step(struct stub_conn *c, char *step, bool *gone)
{
	struct smtp_stub *s = c->stub;
	char   *text = strlen(step) > 3 ? step + 3 : step + strlen(step), *line;
	long	n;

	if (*step == '#')
		c->line = (unsigned) atoi(step + 1);
	else if (strncmp(step, "S: ", 3) == 0 || strcmp(step, "S:") == 0)
		stub_conn_send(c, text, false);
	else if (strncmp(step, "S- ", 3) == 0)
		stub_conn_send(c, text, true);
	else if (strncmp(step, "S* ", 3) == 0 || strncmp(step, "S= ", 3) == 0) {
		n = strtol(text, &text, 10);
		while (n-- > 0)
			stub_conn_send(c, text + 1, step[1] == '=');
	} else if (strncmp(step, "C: ", 3) == 0) {
		if ((line = stub_conn_line(c)) == NULL) {
			if (c->eof)
				stub_error(s, c->line, "client closed, want: %s", text);
			return false;
		}
		if (!stub_match(text, line))
			stub_error(s, c->line, "got: %s, want: %s", line, text);
		mem_free(&line);
	} else if (strncmp(step, "C* ", 3) == 0) {
		bool	found = false;

		while (!found && (line = stub_conn_line(c)) != NULL) {
			found = stub_match(text, line);
			mem_free(&line);
		}
		if (!found) {
			if (c->eof)
				stub_error(s, c->line, "client closed, want: %s", text);
			return false;
		}
	} else if (strncmp(step, "C- ", 3) == 0) {
		if (c->in.len < strlen(text)) {
			if (c->eof)
				stub_error(s, c->line, "client closed, want: %s", text);
			return false;
		}
		if (memcmp(c->in.data, text, strlen(text)) != 0)
			stub_error(s, c->line, "got: %s, want: %s", buf_str(&c->in), text);
		buf_drop(&c->in, strlen(text));
	} else if (strncmp(step, "B:", 2) == 0) {
		c->bare = true;
	} else if (strncmp(step, "T: +", 4) == 0) {
		if (!units_time_parse(text + 1, 's', &c->advance_ms))
			stub_error(s, c->line, "bad time %s", text);
		c->waiting = true;
		return false;
	} else if (strncmp(step, "A: ", 3) == 0) {
		c->ask = mem_strdup(text);
		c->waiting = true;
		return false;
	} else if (strncmp(step, "X: ", 3) == 0) {
		stub_conn_flush(c);
		c->at = NULL;
		*gone = true;
		stub_conn_free(c, strcmp(text, "reset") == 0);
		return false;
	} else if (strncmp(step, "E:", 2) == 0 || strncmp(step, "W:", 2) == 0) {
		if (c->in.len > 0)
			stub_error(s, c->line, "client says: %s, want: nothing", buf_str(&c->in));
		return c->eof;
	} else if (strncmp(step, "L: ", 3) == 0) {
		stub_conn_flush(c);
		if (strcmp(text, "fail") == 0)
			stub_conn_send(c, "this is no handshake\\r\\n\\r\\n", true);
		else {
			if (s->tls == NULL)
				s->tls = tls_peer_ctx_new();
			c->ssl = SSL_new(s->tls);
			SSL_set_fd(c->ssl, c->fd);
			SSL_set_accept_state(c->ssl);
		}
	} else
		stub_error(s, c->line, "not understood: %s", step);
	return true;
}

static void
stub_conn_run(struct stub_conn *c)
{
	bool	gone = false;
	char   *end, saved;

	while (!c->waiting && c->at != NULL && *c->at != 0 && c->stub->error.len == 0) {
		end = c->at + strcspn(c->at, "\n");
		saved = *end;
		*end = 0;
		if (!stub_conn_step(c, c->at, &gone)) {
			if (gone)
				return;
			*end = saved;
			if (!c->waiting)
				break;
		}
		c->at = saved != 0 ? end + 1 : end;
		*end = saved;
	}
	stub_conn_flush(c);
	if (c->at != NULL && *c->at == 0 && !c->waiting) {
		if (c->in.len > 0)
			stub_error(c->stub, c->line, "client says at the end: %s", buf_str(&c->in));
		if (c->eof)
			stub_conn_free(c, false);
	}
}

static void
stub_conn_io(void *ctx, int fd, unsigned events)
{
	struct stub_conn *c = ctx;
	char	chunk[4096];
	ssize_t n;

	(void) events;
	for (;;) {
		n = c->ssl != NULL ? SSL_read(c->ssl, chunk, sizeof chunk) : recv(fd, chunk, sizeof chunk, 0);
		if (c->ssl != NULL && n <= 0) {
			switch (SSL_get_error(c->ssl, (int) n)) {
			case SSL_ERROR_WANT_READ:
			case SSL_ERROR_WANT_WRITE:
				goto run;
			default:
				n = 0;
			}
		}
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			c->eof = true;
			stub_conn_watch(c);
			break;
		}
		buf_add(&c->in, chunk, (size_t) n);
	}
run:
	stub_conn_run(c);
}

static void
stub_accept(void *ctx, int fd, unsigned events)
{
	struct stub_host *at = ctx;
	struct smtp_stub *s = at->stub;
	struct stub_script *script;
	struct stub_conn *c;
	int	conn, on = 1;

	(void) events;
	if ((conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
		return;
	setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);	/* two lines in a row: at once, both */
	TAILQ_FOREACH(script, &s->scripts, link)
		if (script->host == at->host)
			break;
	if (script == NULL) {
		stub_error(s, 0, "a connection to host %u that no script wants", at->host);
		close(conn);
		return;
	}
	TAILQ_REMOVE(&s->scripts, script, link);
	c = mem_alloc(sizeof *c);
	c->stub = s;
	c->script = script;
	c->at = script->text;
	c->line = script->line;
	c->fd = conn;
	buf_init(&c->in, 1 << 20);
	buf_init(&c->out, 16 << 20);
	LIST_INSERT_HEAD(&s->conns, c, link);
	if (++s->open > s->open_max)
		s->open_max = s->open;
	stub_conn_watch(c);
	stub_conn_run(c);
}

static int
stub_listen(unsigned host, unsigned port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + 10 + host) };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t) port), .sin6_addr = in6addr_loopback };
	bool	six = host == SMTP_STUB_HOSTS - 1;
	int	fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, six ? (struct sockaddr *) &sin6 : (struct sockaddr *) &sin, six ? sizeof sin6 : sizeof sin) < 0 ||
	    listen(fd, 64) < 0)
		sock_close(&fd);
	return fd;
}

struct smtp_stub *
smtp_stub_new(struct ev_loop *loop)
{
	return smtp_stub_new_at(loop, 0);
}

struct smtp_stub *
smtp_stub_new_at(struct ev_loop *loop, unsigned port)
{
	struct smtp_stub *s = mem_alloc(sizeof *s);
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;

	s->loop = loop;
	s->port = port;
	TAILQ_INIT(&s->scripts);
	LIST_INIT(&s->conns);
	buf_init(&s->error, 10000);
	for (unsigned i = 0; i < SMTP_STUB_HOSTS; i++) {
		s->fd[i] = stub_listen(i, s->port);
		if (s->fd[i] < 0 && i < SMTP_STUB_HOSTS - 1)
			msg_panic("smtp_stub: cannot listen on 127.0.0.%u: %s", 10 + i, strerror(errno));
		if (i == 0) {
			getsockname(s->fd[0], (struct sockaddr *) &sin, &len);
			s->port = ntohs(sin.sin_port);
		}
		s->ctx[i].stub = s;
		s->ctx[i].host = i;
		if (s->fd[i] >= 0)
			ev_io_set(loop, &s->io[i], s->fd[i], EV_READ, stub_accept, &s->ctx[i]);
	}
	return s;
}

void
smtp_stub_deaf(struct smtp_stub *s, unsigned host)
{
	if (s->fd[host] < 0)
		return;
	ev_io_cancel(s->loop, &s->io[host]);
	sock_close(&s->fd[host]);
}

void
smtp_stub_free(struct smtp_stub **sp)
{
	struct smtp_stub *s = *sp;
	struct stub_script *script;
	struct stub_conn *c;

	if (s == NULL)
		return;
	while ((c = LIST_FIRST(&s->conns)) != NULL)
		stub_conn_free(c, true);
	while ((script = TAILQ_FIRST(&s->scripts)) != NULL) {
		TAILQ_REMOVE(&s->scripts, script, link);
		mem_free(&script->text);
		mem_free(&script);
	}
	for (unsigned i = 0; i < SMTP_STUB_HOSTS; i++)
		smtp_stub_deaf(s, i);
	SSL_CTX_free(s->tls);
	buf_fini(&s->error);
	mem_free(sp);
}

unsigned
smtp_stub_port(const struct smtp_stub *s)
{
	return s->port;
}

bool
smtp_stub_has_ipv6(const struct smtp_stub *s)
{
	return s->fd[SMTP_STUB_HOSTS - 1] >= 0;
}

void
smtp_stub_script(struct smtp_stub *s, unsigned host, const char *text, unsigned line)
{
	struct stub_script *script = mem_alloc(sizeof *script);

	script->host = host;
	script->line = line;
	script->text = mem_strdup(text);
	TAILQ_INSERT_TAIL(&s->scripts, script, link);
}

const char *
smtp_stub_error(const struct smtp_stub *s)
{
	return buf_str(&s->error);
}

bool
smtp_stub_done(const struct smtp_stub *s)
{
	return TAILQ_EMPTY(&s->scripts) && LIST_EMPTY(&s->conns);
}

static struct stub_conn *
stub_waiting(struct smtp_stub *s)
{
	struct stub_conn *c, *last = NULL;

	LIST_FOREACH(c, &s->conns, link)	/* the oldest one is the last of the list */
		if (c->waiting)
			last = c;
	return last;
}

bool
smtp_stub_advance(struct smtp_stub *s, char **ask_r)
{
	struct stub_conn *c = stub_waiting(s), *still;
	int64_t ms;

	*ask_r = NULL;
	if (c == NULL)
		return false;
	*ask_r = c->ask;
	ms = c->advance_ms;
	c->ask = NULL;
	c->advance_ms = 0;
	if (ms > 0)
		ev_fake_advance(s->loop, ms);
	LIST_FOREACH(still, &s->conns, link)
		if (still == c) {
			c->waiting = false;
			stub_conn_io(c, c->fd, EV_READ);
			break;
		}
	return true;
}

unsigned
smtp_stub_open_max(const struct smtp_stub *s)
{
	return s->open_max;
}
