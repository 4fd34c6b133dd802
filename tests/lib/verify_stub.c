/* tests/lib/verify_stub.c - a scripted verify service */
#include "verify_stub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <util/attr.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <global/verify_proto.h>

#define VSTUB_FLOOD_BYTES 32768	/* at a time: faster than any client reads */

struct verify_stub_conn {
	LIST_ENTRY(verify_stub_conn) link;
	struct verify_stub *s;
	int	 fd;
	struct ev_io io;
	struct ev_defer step;
	struct attr_in in;
	struct buf out;
	bool	 flood, close_after, hasty;
	int	 later;			/* turns until a byte is sent unasked */
};

static void vstub_io(void *, int, unsigned);

static void
vstub_free(struct verify_stub_conn *c)
{
	ev_defer_cancel(c->s->loop, &c->step);
	ev_io_cancel(c->s->loop, &c->io);
	sock_close(&c->fd);
	LIST_REMOVE(c, link);
	c->s->open--;
	c->s->closed++;
	attr_in_fini(&c->in);
	buf_fini(&c->out);
	mem_free(&c);
}

static void
vstub_send(void *ctx)
{
	struct verify_stub_conn *c = ctx;
	bool	bytes = c->s->mode == VSTUB_BYTES;
	char   *flood;
	ssize_t n;

	if (c->flood && (flood = buf_room(&c->out, VSTUB_FLOOD_BYTES)) != NULL) {
		memset(flood, 'x', VSTUB_FLOOD_BYTES);
		buf_grew(&c->out, VSTUB_FLOOD_BYTES);
	}
	if (c->later > 0 && --c->later == 0)
		buf_addc(&c->out, 'x');
	n = send(c->fd, buf_str(&c->out), bytes && c->out.len > 1 ? 1 : c->out.len, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		vstub_free(c);
		return;
	}
	if (c->flood)
		buf_reset(&c->out);
	else if (n > 0)
		buf_drop(&c->out, (size_t) n);
	if (c->out.len == 0 && c->close_after) {
		vstub_free(c);
		return;
	}
	if (c->flood || c->out.len > 0 || c->later > 0)
		ev_defer_set(c->s->loop, &c->step, vstub_send, c);
}

static void
vstub_reply(struct verify_stub_conn *c, bool query, const char *addr)
{
	enum verify_stub_mode mode = c->s->mode;
	uint32_t status = *addr == '!' ? (uint32_t) VERIFY_REPLY_BAD : VERIFY_REPLY_OK;
	uint32_t rcpt_status = *addr >= '0' && *addr <= '3' ? (uint32_t) (*addr - '0') : VERIFY_TODO;
	char	reason[400];

	snprintf(reason, sizeof reason, "text for %s", addr);
	if (mode == VSTUB_ORDER)
		attr_put_str(&c->out, query ? "reason" : "result", reason);
	if (mode == VSTUB_EXTRA)
		attr_put_str(&c->out, "before", "1");
	if (mode == VSTUB_BADNUM)
		attr_put_str(&c->out, "status", "fine");
	else if (query || (mode != VSTUB_MISSING && mode != VSTUB_ORDER))
		attr_put_uint(&c->out, "status", status);
	if (mode == VSTUB_EXTRA)
		attr_put_str(&c->out, "between", "");
	if (query) {
		attr_put_uint(&c->out, "recipient_status", mode == VSTUB_BADSTATUS ? 9 : rcpt_status);
		if (mode != VSTUB_MISSING && mode != VSTUB_ORDER)
			attr_put_str(&c->out, "reason", reason);
	}
	if (mode == VSTUB_EXTRA)
		attr_put_str(&c->out, "after", "3");
	attr_put_end(&c->out);
}

/* vstub_request - one complete request is in c->in */
static void
vstub_request(struct verify_stub_conn *c)
{
	struct verify_stub *s = c->s;
	struct attr_reader r;
	const char *request, *addr, *reason = "";
	int	status = -1;
	bool	query;

	attr_reader_init(&r, c->in.list.data, c->in.list.len, false);
	request = attr_str(&r, "request");
	addr = attr_str(&r, "address");
	query = request != NULL && strcmp(request, "query") == 0;
	if (!query) {
		status = (int) attr_uint(&r, "recipient_status");
		reason = attr_str(&r, "reason");
	}
	if (r.error != ATTR_OK || attr_end(&r) != NULL)
		msg_panic("verify_stub: the client under test sent a malformed request");
	s->requests++;
	s->status = status;
	snprintf(s->addr, sizeof s->addr, "%s", addr);
	snprintf(s->reason, sizeof s->reason, "%s", reason);
	if (s->fail_first > 0) {
		s->fail_first--;
		vstub_free(c);
		return;
	}
	switch (s->mode) {
	case VSTUB_EOF:
		vstub_free(c);
		return;
	case VSTUB_HANG:
		attr_in_reset(&c->in);
		return;
	case VSTUB_FLOOD:
		c->flood = true;
		break;
	case VSTUB_TWICE:
		vstub_reply(c, query, addr);
		vstub_reply(c, query, addr);
		break;
	case VSTUB_HALF:
	case VSTUB_HALFCLOSE:
		vstub_reply(c, query, addr);
		buf_cut(&c->out, c->out.len / 2);
		c->close_after = s->mode == VSTUB_HALFCLOSE;
		break;
	case VSTUB_ONCE:
		vstub_reply(c, query, addr);
		c->close_after = true;
		break;
	case VSTUB_LATER:
		vstub_reply(c, query, addr);
		c->later = 4;
		break;
	case VSTUB_GOOD: case VSTUB_IGNORE: case VSTUB_CLOSE: case VSTUB_SILENT: case VSTUB_BADNAME: case VSTUB_EMPTY:
	case VSTUB_GARBAGE: case VSTUB_TALK: case VSTUB_BYTES: case VSTUB_BADNUM: case VSTUB_BADSTATUS:
	case VSTUB_MISSING: case VSTUB_ORDER: case VSTUB_EXTRA: case VSTUB_HASTY:
		vstub_reply(c, query, addr);
		break;
	}
	attr_in_reset(&c->in);
	vstub_send(c);
}

static void
vstub_io(void *ctx, int fd, unsigned events)
{
	struct verify_stub_conn *c = ctx;
	char	chunk[65536];
	size_t	used;
	ssize_t n;

	(void) events;
	n = recv(fd, chunk, sizeof chunk, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		vstub_free(c);
		return;
	}
	switch (attr_in_feed(&c->in, chunk, (size_t) n, &used)) {
	case ATTR_IN_MORE:
		if (c->s->mode == VSTUB_HASTY && !c->hasty) {
			c->hasty = true;
			vstub_reply(c, false, "");
			vstub_send(c);
		}
		return;
	case ATTR_IN_FULL:
		vstub_free(c);
		return;
	case ATTR_IN_DONE:
		if (used < (size_t) n)
			msg_panic("verify_stub: the client under test sent more than one request");
		vstub_request(c);
		return;
	}
}

static void
vstub_accept(void *ctx, int fd, unsigned events)
{
	struct verify_stub *s = ctx;
	struct verify_stub_conn *c;
	int	client;

	(void) events;
	if ((client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
		return;
	s->accepted++;
	if (s->mode == VSTUB_CLOSE) {
		sock_close(&client);
		return;
	}
	c = mem_alloc(sizeof *c);
	c->s = s;
	c->fd = client;
	attr_in_init(&c->in, 1 << 20, 1 << 21);
	buf_init(&c->out, 1 << 20);
	LIST_INSERT_HEAD(&s->conns, c, link);
	if (++s->open > s->open_max)
		s->open_max = s->open;
	ev_io_set(s->loop, &c->io, client, EV_READ, vstub_io, c);
	switch (s->mode) {
	case VSTUB_SILENT:
		return;
	case VSTUB_GARBAGE:
		c->flood = true;
		break;
	case VSTUB_BADNAME:
		attr_put_str(&c->out, "protocol", "address_verification_protocol");
		attr_put_end(&c->out);
		break;
	case VSTUB_EMPTY:
		attr_put_end(&c->out);
		break;
	case VSTUB_TALK:
		attr_put_str(&c->out, "protocol", VERIFY_PROTOCOL_NAME);
		attr_put_end(&c->out);
		vstub_reply(c, true, "0@talk.test");
		break;
	case VSTUB_GOOD: case VSTUB_IGNORE: case VSTUB_CLOSE: case VSTUB_BYTES: case VSTUB_EOF: case VSTUB_HANG:
	case VSTUB_HALF: case VSTUB_HALFCLOSE: case VSTUB_FLOOD: case VSTUB_BADNUM: case VSTUB_BADSTATUS:
	case VSTUB_MISSING: case VSTUB_ORDER: case VSTUB_EXTRA: case VSTUB_TWICE: case VSTUB_ONCE: case VSTUB_LATER:
	case VSTUB_HASTY:
		attr_put_str(&c->out, "protocol", VERIFY_PROTOCOL_NAME);
		attr_put_end(&c->out);
		break;
	}
	vstub_send(c);
}

int
verify_stub_open(struct verify_stub *s, struct ev_loop *loop, const char *path, int backlog)
{
	memset(s, 0, sizeof *s);
	s->loop = loop;
	LIST_INIT(&s->conns);
	if ((s->fd = sock_unix_listen(path, backlog, 0666)) < 0)
		return -1;
	verify_stub_script(s, VSTUB_GOOD);
	return 0;
}

void
verify_stub_script(struct verify_stub *s, enum verify_stub_mode mode)
{
	s->mode = mode;
	if (mode == VSTUB_IGNORE)
		ev_io_cancel(s->loop, &s->io);
	else
		ev_io_set(s->loop, &s->io, s->fd, EV_READ, vstub_accept, s);
}

void
verify_stub_hangup(struct verify_stub *s)
{
	struct verify_stub_conn *c;

	while ((c = LIST_FIRST(&s->conns)) != NULL)
		vstub_free(c);
}

void
verify_stub_poke(struct verify_stub *s)
{
	struct verify_stub_conn *c;

	LIST_FOREACH(c, &s->conns, link)
		if (send(c->fd, "x", 1, MSG_NOSIGNAL) < 0)
			msg_warn("verify_stub: %s", strerror(errno));
	s->pokes++;
}

void
verify_stub_close(struct verify_stub *s)
{
	verify_stub_hangup(s);
	ev_io_cancel(s->loop, &s->io);
	sock_close(&s->fd);
}
