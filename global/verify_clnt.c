/* global/verify_clnt.c - ask the verify service and wait for the answer */
#include "verify_clnt.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <util/attr.h>
#include <util/mem.h>
#include <util/sock.h>

#define CLNT_REQUEST_MAX   (512u << 10)	/* an address and a text: far above anything a mail system carries */
#define CLNT_KEEP	   4096		/* memory kept between requests */
#define CLNT_PAUSE_MIN_MS  20		/* between attempts, doubling */
#define CLNT_PAUSE_MAX_MS  1000		/* Postfix's clients pause 1 s */

struct verify_clnt {
	char	*path;
	int	 timeout_ms;	/* one request, all its attempts together */
	int	 fd;		/* -1: not connected; else the announcement was read */
	struct buf out;
	struct attr_in in;
};

/* the wire */

void
verify_clnt_put_query(struct buf *b, const char *addr)
{
	attr_put_str(b, "request", "query");
	attr_put_str(b, "address", addr);
	attr_put_end(b);
}

void
verify_clnt_put_update(struct buf *b, const char *addr, int status, const char *reason)
{
	attr_put_str(b, "request", "update");
	attr_put_str(b, "address", addr);
	attr_put_uint(b, "recipient_status", (uint32_t) status);
	attr_put_str(b, "reason", reason);
	attr_put_end(b);
}

static const char *
verify_clnt_why(const struct attr_reader *r)
{
	switch (r->error) {
	case ATTR_OK:
		return NULL;
	case ATTR_MISSING:
		return "an attribute is missing in the reply";
	case ATTR_EXTRA:
		return "unexpected attribute in the reply";
	case ATTR_BADNUM:
		return "malformed number in the reply";
	case ATTR_DIFFERS:
		return "unexpected value in the reply";
	}
	return "malformed reply";
}

const char *
verify_clnt_get_banner(const char *list, size_t n)
{
	struct attr_reader r;

	attr_reader_init(&r, list, n, false);
	attr_need(&r, "protocol", VERIFY_PROTOCOL_NAME);	/* what follows it is a later version's business */
	return r.error == ATTR_OK ? NULL : "not an address verification service (unexpected announcement)";
}

const char *
verify_clnt_get_query(const char *list, size_t n, int *reply_r, enum verify_status *status_r, const char **reason_r)
{
	struct attr_reader r;
	uint32_t status;

	attr_reader_init(&r, list, n, true);
	*reply_r = (int32_t) attr_uint(&r, "status");
	if (*reply_r != VERIFY_REPLY_OK)
		return NULL;				/* refused: nothing else counts */
	status = attr_uint(&r, "recipient_status");
	*reason_r = attr_str(&r, "reason");
	if (r.error != ATTR_OK)
		return verify_clnt_why(&r);
	if (status >= VERIFY_STATUSES)
		return "unknown recipient status in the reply";
	*status_r = (enum verify_status) status;
	return NULL;
}

const char *
verify_clnt_get_update(const char *list, size_t n, int *reply_r)
{
	struct attr_reader r;

	attr_reader_init(&r, list, n, true);
	*reply_r = (int32_t) attr_uint(&r, "status");
	return verify_clnt_why(&r);
}

/* the client */

struct verify_clnt *
verify_clnt_new(const char *path, int timeout_ms)
{
	struct verify_clnt *c = mem_alloc(sizeof *c);

	c->path = mem_strdup(path);
	c->timeout_ms = timeout_ms;
	c->fd = -1;
	buf_init(&c->out, CLNT_REQUEST_MAX);
	attr_in_init(&c->in, VERIFY_CLNT_STR_MAX, VERIFY_CLNT_LIST_MAX);
	return c;
}

void
verify_clnt_free(struct verify_clnt **cp)
{
	struct verify_clnt *c = *cp;

	if (c == NULL)
		return;
	sock_close(&c->fd);
	attr_in_fini(&c->in);
	buf_fini(&c->out);
	mem_free(&c->path);
	mem_free(cp);
}

static int64_t
verify_clnt_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
verify_clnt_left(int64_t end_ms)
{
	int64_t left = end_ms - verify_clnt_now_ms();

	return left > 0 ? (int) left : 0;
}

/* how one attempt ended */
enum verify_clnt_try {
	CLNT_DONE,
	CLNT_AGAIN,		/* the exchange broke off: a new connection may do better */
	CLNT_STOP,		/* trying again would not help, or the time is up */
};

/* verify_clnt_list - read one list into c->in; what follows it in the same read is dropped with the connection */
static enum verify_clnt_try
verify_clnt_list(struct verify_clnt *c, int64_t end_ms, bool *more_r, struct buf *why)
{
	char	chunk[4096];
	size_t	used;
	ssize_t n;
	int	left, ready;

	attr_in_reset(&c->in);
	for (;;) {
		left = verify_clnt_left(end_ms);	/* a server that never pauses nor ends must not hold us either */
		ready = left > 0 ? sock_wait(c->fd, POLLIN, left) : 0;
		if (ready <= 0) {
			buf_addf(why, "%s: no answer within %d ms", c->path, c->timeout_ms);
			return CLNT_STOP;
		}
		n = recv(c->fd, chunk, sizeof chunk, 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			buf_addf(why, "%s: %s", c->path, n < 0 ? strerror(errno) : "connection closed before the reply");
			return CLNT_AGAIN;
		}
		switch (attr_in_feed(&c->in, chunk, (size_t) n, &used)) {
		case ATTR_IN_MORE:
			continue;
		case ATTR_IN_DONE:
			*more_r = used < (size_t) n;
			return CLNT_DONE;
		case ATTR_IN_FULL:
			buf_addf(why, "%s: reply too long", c->path);
			return CLNT_STOP;
		}
	}
}

/* verify_clnt_connect - have a connection whose announcement was read */
static enum verify_clnt_try
verify_clnt_connect(struct verify_clnt *c, int64_t end_ms, struct buf *why)
{
	enum verify_clnt_try ret;
	const char *bad;
	bool	more;
	char	byte;

	if (c->fd >= 0) {
		/* anything readable now, end of file included, means that this connection is of no use any more */
		if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
			return CLNT_DONE;
		sock_close(&c->fd);
	}
	if ((c->fd = sock_unix_connect(c->path, true)) < 0) {
		buf_addf(why, "connect to %s: %s", c->path, strerror(errno));
		return errno == EAGAIN || errno == EINTR ? CLNT_AGAIN : CLNT_STOP;
	}
	if ((ret = verify_clnt_list(c, end_ms, &more, why)) != CLNT_DONE)
		return ret;
	if ((bad = verify_clnt_get_banner(c->in.list.data, c->in.list.len)) != NULL || more) {
		buf_addf(why, "%s: %s", c->path, bad != NULL ? bad : "reply before the request");
		return CLNT_STOP;
	}
	return CLNT_DONE;
}

/* verify_clnt_ask - send c->out, leave the reply in c->in; repeated on new connections until the time is up */
static int
verify_clnt_ask(struct verify_clnt *c, struct buf *why)
{
	int64_t end_ms = verify_clnt_now_ms() + c->timeout_ms;
	int	pause_ms = CLNT_PAUSE_MIN_MS;
	enum verify_clnt_try ret;
	bool	more = false;

	if (c->out.full) {
		buf_adds(why, "address or text too long");
		return -1;
	}
	for (;;) {
		buf_reset(why);
		ret = verify_clnt_connect(c, end_ms, why);
		if (ret == CLNT_DONE &&
		    sock_write_all(c->fd, c->out.data, c->out.len, verify_clnt_left(end_ms)) < 0) {
			buf_addf(why, "%s: %s", c->path, strerror(errno));
			ret = errno == ETIMEDOUT ? CLNT_STOP : CLNT_AGAIN;
		} else if (ret == CLNT_DONE)
			ret = verify_clnt_list(c, end_ms, &more, why);
		if (ret != CLNT_DONE || more)
			sock_close(&c->fd);
		if (ret != CLNT_AGAIN || verify_clnt_left(end_ms) <= pause_ms)
			return ret == CLNT_DONE ? 0 : -1;
		poll(NULL, 0, pause_ms);
		pause_ms = pause_ms < CLNT_PAUSE_MAX_MS / 2 ? pause_ms * 2 : CLNT_PAUSE_MAX_MS;
	}
}

/* verify_clnt_end - what an exchange that got a reply comes to */
static int
verify_clnt_end(struct verify_clnt *c, const char *bad, int reply, struct buf *why)
{
	if (bad != NULL) {
		sock_close(&c->fd);			/* out of step, perhaps */
		buf_addf(why, "%s: %s", c->path, bad);
		return -1;
	}
	if (reply != VERIFY_REPLY_OK) {
		buf_addf(why, "%s: request refused (status %d)", c->path, reply);
		return -2;
	}
	return 0;
}

int
verify_clnt_query(struct verify_clnt *c, const char *addr, enum verify_status *status_r, struct buf *reason,
    struct buf *why)
{
	const char *bad, *text = NULL;
	int	reply = VERIFY_REPLY_FAIL, ret;

	buf_reset(reason);
	buf_reset(why);
	buf_shrink(&c->out, CLNT_KEEP);
	verify_clnt_put_query(&c->out, addr);
	if (verify_clnt_ask(c, why) < 0)
		return -1;
	bad = verify_clnt_get_query(c->in.list.data, c->in.list.len, &reply, status_r, &text);
	if ((ret = verify_clnt_end(c, bad, reply, why)) == 0)
		buf_adds(reason, text);
	return ret;
}

int
verify_clnt_update(struct verify_clnt *c, const char *addr, int status, const char *reason, struct buf *why)
{
	const char *bad;
	int	reply = VERIFY_REPLY_FAIL;

	buf_reset(why);
	buf_shrink(&c->out, CLNT_KEEP);
	verify_clnt_put_update(&c->out, addr, status, reason);
	if (verify_clnt_ask(c, why) < 0)
		return -1;
	bad = verify_clnt_get_update(c->in.list.data, c->in.list.len, &reply);
	return verify_clnt_end(c, bad, reply, why);
}
