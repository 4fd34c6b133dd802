/* tests/lib/cleanup_stub.c - a scripted cleanup service */
#include "cleanup_stub.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <util/attr.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <global/record.h>
#include <global/verify_proto.h>

#define STUB_MESSAGE_MAX (4u << 20)
#define STUB_RECORD_MAX	 (1u << 20)
#define STUB_ACCEPTS	 64		/* in one turn */

static const char *const stub_mode_names[] = {
	[STUB_GOOD] = "good", [STUB_IGNORE] = "ignore", [STUB_REFUSE] = "refuse", [STUB_SILENT] = "silent",
	[STUB_BADNAME] = "badname", [STUB_NOID] = "noid", [STUB_EXTRA] = "extra", [STUB_HALF] = "half",
	[STUB_HALFCLOSE] = "halfclose", [STUB_BYTES] = "bytes", [STUB_GARBAGE] = "garbage", [STUB_EARLY] = "early",
	[STUB_DROP] = "drop", [STUB_HANG] = "hang", [STUB_BADSTATUS] = "badstatus",
};
_Static_assert(NELEM(stub_mode_names) == STUB_MODES, "each mode has a name");

struct cleanup_stub_conn {
	LIST_ENTRY(cleanup_stub_conn) link;
	struct cleanup_stub *s;
	int	 fd;
	struct ev_io io;
	struct ev_timer timer;		/* delays */
	struct ev_defer step;		/* one byte more */
	char	 id[16];
	unsigned reads;
	struct buf out;			/* to be sent */
	struct buf in;			/* all that the client sent */
	size_t	 list_len;		/* of the flags list at the start of in; 0 = not complete */
	size_t	 parsed;		/* of in */
	uint32_t flags, trace_flags;
	char	*sender, *rcpt;		/* first of each */
	bool	 time, content, received, extracted, done;
	unsigned status;
	const char *why;
	bool	 close_after;		/* when out is sent */
};

static void stub_io(void *, int, unsigned);

static void
stub_free(struct cleanup_stub_conn *c)
{
	ev_timer_cancel(c->s->loop, &c->timer);
	ev_defer_cancel(c->s->loop, &c->step);
	ev_io_cancel(c->s->loop, &c->io);
	sock_close(&c->fd);
	LIST_REMOVE(c, link);
	c->s->open--;
	buf_fini(&c->in);
	buf_fini(&c->out);
	mem_free(&c->sender);
	mem_free(&c->rcpt);
	mem_free(&c);
}

/* stub_send - send up to n bytes of what is in out; false when the connection is gone */
static bool
stub_send(struct cleanup_stub_conn *c, size_t max)
{
	ssize_t n;

	n = send(c->fd, buf_str(&c->out), c->out.len < max ? c->out.len : max, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		stub_free(c);
		return false;
	}
	if (n > 0)
		buf_drop(&c->out, (size_t) n);
	if (c->out.len == 0 && c->close_after) {
		stub_free(c);
		return false;
	}
	ev_io_set(c->s->loop, &c->io, c->fd, c->out.len > 0 && max > 1 ? EV_READ | EV_WRITE : EV_READ, stub_io, c);
	return true;
}

static void
stub_step(void *ctx)
{
	struct cleanup_stub_conn *c = ctx;

	if (c->s->mode == STUB_GARBAGE) {
		buf_adds(&c->out, "no list");
		if (!stub_send(c, SIZE_MAX))
			return;
		buf_reset(&c->out);
	} else if (!stub_send(c, 1) || c->out.len == 0)
		return;
	ev_defer_set(c->s->loop, &c->step, stub_step, c);
}

static void
stub_put_status(struct cleanup_stub_conn *c, unsigned status, const char *reason)
{
	attr_put_uint(&c->out, "status", status);
	attr_put_str(&c->out, "reason", reason != NULL ? reason : "");
	attr_put_end(&c->out);
}

static void
stub_announce(void *ctx)
{
	struct cleanup_stub_conn *c = ctx;
	enum cleanup_stub_mode mode = c->s->mode;

	if (mode == STUB_SILENT)
		return;
	if (mode == STUB_GARBAGE) {
		stub_step(c);
		return;
	}
	attr_put_str(&c->out, "protocol", mode == STUB_BADNAME ? "bogus_protocol" : CLEANUP_PROTOCOL_NAME);
	if (mode != STUB_NOID)
		attr_put_str(&c->out, "queue_id", c->id);
	if (mode == STUB_EXTRA)
		attr_put_str(&c->out, "more", "to come");
	attr_put_end(&c->out);
	if (mode == STUB_HALF || mode == STUB_HALFCLOSE)
		buf_cut(&c->out, c->out.len / 2);
	c->close_after = mode == STUB_HALFCLOSE;
	if (mode == STUB_EARLY)
		stub_put_status(c, c->s->status, c->s->reason);
	if (mode == STUB_BYTES)
		stub_step(c);
	else
		stub_send(c, SIZE_MAX);
}

static void
stub_answer(void *ctx)
{
	struct cleanup_stub_conn *c = ctx;

	switch (c->s->mode) {
	case STUB_DROP:
		stub_free(c);
		return;
	case STUB_HANG:
	case STUB_EARLY:
		return;
	case STUB_BADSTATUS:
		attr_put_str(&c->out, "status", "fine");
		attr_put_str(&c->out, "reason", "");
		attr_put_end(&c->out);
		break;
	case STUB_GOOD: case STUB_IGNORE: case STUB_REFUSE: case STUB_SILENT: case STUB_BADNAME: case STUB_NOID:
	case STUB_EXTRA: case STUB_HALF: case STUB_HALFCLOSE: case STUB_BYTES: case STUB_GARBAGE:
		stub_put_status(c, c->status, c->s->reason);
		break;
	}
	c->close_after = true;
	stub_send(c, SIZE_MAX);
}

/* stub_bad - the first fault decides the status; reading goes on to the end, as cleanup does */
static void
stub_bad(struct cleanup_stub_conn *c, unsigned status, const char *why)
{
	if (c->why == NULL) {
		c->status = status;
		c->why = why;
	}
}

static void
stub_attr(struct cleanup_stub_conn *c, const char *text)
{
	uint32_t n;

	if (strncmp(text, "trace_flags=", 12) != 0)
		return;
	text += 12;
	if (!isdigit((unsigned char) *text) || !attr_uint_parse(text, &n))
		stub_bad(c, 1, "bad trace flags");
	else
		c->trace_flags = n;
}

static void
stub_record(struct cleanup_stub_conn *c, const struct record *rec)
{
	char   *text = mem_strndup(rec->data, rec->len);

	switch (rec->type) {
	case REC_TYPE_TIME:
		c->time = rec->len > 0;
		break;
	case REC_TYPE_ATTR:
		stub_attr(c, text);
		break;
	case REC_TYPE_FROM:
		if (c->sender == NULL) {
			c->sender = text;
			text = NULL;
		}
		break;
	case REC_TYPE_RCPT:
		if (c->rcpt == NULL) {
			c->rcpt = text;
			text = NULL;
		}
		break;
	case REC_TYPE_MESG:
		if (!c->time)
			stub_bad(c, 1, "missing time envelope record");
		if (c->sender == NULL)
			stub_bad(c, 1, "missing sender envelope record");
		c->content = true;
		break;
	case REC_TYPE_NORM:
	case REC_TYPE_CONT:
		if (!c->content)
			stub_bad(c, 1, "header line in the envelope");
		c->received |= strncmp(text, "Received:", 9) == 0;
		break;
	case REC_TYPE_XTRA:
		if (!c->content)
			stub_bad(c, 1, "end of content before its start");
		if (!c->received)
			stub_bad(c, 1, "no Received: header");
		c->extracted = true;
		break;
	case REC_TYPE_END:
		if (!c->extracted)
			stub_bad(c, 1, "end before the end of content");
		if (c->rcpt == NULL)
			stub_bad(c, 64, "no recipient");
		c->done = true;
		break;
	default:
		stub_bad(c, 1, "unexpected record type");
		break;
	}
	mem_free(&text);
}

/* stub_parse - what has come so far; false when it cannot be a message */
static bool
stub_parse(struct cleanup_stub_conn *c)
{
	struct attr_in in;
	struct attr_reader r;
	struct record rec;
	size_t	used;

	if (c->list_len == 0) {
		attr_in_init(&in, 256, 4096);
		if (attr_in_feed(&in, c->in.data, c->in.len, &used) == ATTR_IN_DONE) {
			attr_reader_init(&r, in.list.data, in.list.len, false);
			c->flags = attr_uint(&r, "flags");
			if (r.error != ATTR_OK || attr_end(&r) != NULL)
				stub_bad(c, 1, "unexpected attribute");
			c->list_len = c->parsed = used;
		}
		attr_in_fini(&in);
		if (c->list_len == 0)
			return c->in.len < 4096;
	}
	while (!c->done) {
		switch (record_get(c->in.data + c->parsed, c->in.len - c->parsed, STUB_RECORD_MAX, &rec, &used)) {
		case RECORD_OK:
			stub_record(c, &rec);
			c->parsed += used;
			break;
		case RECORD_MORE:
			return true;
		case RECORD_BAD:
			return false;
		}
	}
	return true;
}

static void
stub_complete(struct cleanup_stub_conn *c)
{
	struct cleanup_stub *s = c->s;
	struct cleanup_stub_probe probe;

	if (c->parsed < c->in.len)
		stub_bad(c, 1, "bytes after the end");
	if (c->why == NULL)
		c->status = s->status;
	s->messages++;
	if (c->reads > s->reads_max)
		s->reads_max = c->reads;
	if (s->seen != NULL) {
		probe = (struct cleanup_stub_probe) { c->sender, c->rcpt, c->id, c->flags, c->trace_flags, c->status,
			c->why, &c->in };
		s->seen(s->ctx, &probe);
		c->status = probe.status;
	}
	if (s->status_ms > 0)
		ev_timer_set(s->loop, &c->timer, s->status_ms, stub_answer, c);
	else
		stub_answer(c);
}

static void
stub_io(void *ctx, int fd, unsigned events)
{
	struct cleanup_stub_conn *c = ctx;
	char	chunk[16384];
	ssize_t n;

	if ((events & EV_WRITE) != 0 && !stub_send(c, SIZE_MAX))
		return;
	if ((events & EV_READ) == 0)
		return;
	n = recv(fd, chunk, sizeof chunk, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || c->done || buf_add(&c->in, chunk, (size_t) n) < 0) {
		stub_free(c);				/* gone, or talks after its end */
		return;
	}
	c->reads++;
	if (!stub_parse(c))
		stub_free(c);
	else if (c->done)
		stub_complete(c);
}

static void
stub_accept(void *ctx, int fd, unsigned events)
{
	struct cleanup_stub *s = ctx;
	struct cleanup_stub_conn *c;
	int	client;

	(void) events;
	for (int i = 0; i < STUB_ACCEPTS; i++) {
		if ((client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
			return;
		s->accepted++;
		if (s->mode == STUB_REFUSE) {
			sock_close(&client);
			continue;
		}
		c = mem_alloc(sizeof *c);
		c->s = s;
		c->fd = client;
		if (s->queue_id != NULL)
			snprintf(c->id, sizeof c->id, "%s", s->queue_id);
		else
			snprintf(c->id, sizeof c->id, "%011X", 0x9F8E7D0u + ++s->next_id);
		buf_init(&c->in, STUB_MESSAGE_MAX);
		buf_init(&c->out, 65536);
		LIST_INSERT_HEAD(&s->conns, c, link);
		if (++s->open > s->open_max)
			s->open_max = s->open;
		ev_io_set(s->loop, &c->io, client, EV_READ, stub_io, c);
		if (s->announce_ms > 0)
			ev_timer_set(s->loop, &c->timer, s->announce_ms, stub_announce, c);
		else
			stub_announce(c);
	}
}

int
cleanup_stub_open(struct cleanup_stub *s, struct ev_loop *loop, const char *path, int backlog)
{
	memset(s, 0, sizeof *s);
	s->loop = loop;
	LIST_INIT(&s->conns);
	if ((s->fd = sock_unix_listen(path, backlog, 0666)) < 0)
		return -1;
	cleanup_stub_script(s, STUB_GOOD);
	return 0;
}

void
cleanup_stub_script(struct cleanup_stub *s, enum cleanup_stub_mode mode)
{
	s->mode = mode;
	if (mode == STUB_IGNORE)
		ev_io_cancel(s->loop, &s->io);
	else
		ev_io_set(s->loop, &s->io, s->fd, EV_READ, stub_accept, s);
}

void
cleanup_stub_close(struct cleanup_stub *s)
{
	struct cleanup_stub_conn *c;

	while ((c = LIST_FIRST(&s->conns)) != NULL)
		stub_free(c);
	ev_io_cancel(s->loop, &s->io);
	sock_close(&s->fd);
}

const char *
cleanup_stub_mode_name(enum cleanup_stub_mode mode)
{
	return stub_mode_names[mode];
}

bool
cleanup_stub_mode_find(const char *name, enum cleanup_stub_mode *mode_r)
{
	for (size_t i = 0; i < NELEM(stub_mode_names); i++)
		if (strcmp(stub_mode_names[i], name) == 0) {
			*mode_r = (enum cleanup_stub_mode) i;
			return true;
		}
	return false;
}
