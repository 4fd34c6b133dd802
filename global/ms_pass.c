/* global/ms_pass.c - the skeleton of a daemon that serves many clients in one process: connections handed on by others
 * A service of type "pass" listens on a UNIX socket. Whoever connects hands over a descriptor, with one byte, and then an
 * attribute list that tells whose connection it is; Postfix's postscreen(8) does so. We close when we have both.
 * source: Postfix's pass service as seen on the wire; names as postscreen sends them.
 */
#include "ms_part.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <util/attr.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define MS_PASS_MS	10000		/* for the whole of it: the sender has all of it at hand */
#define MS_PASS_STR_MAX	256		/* bytes of a name or value: numeric addresses */
#define MS_PASS_LIST_MAX 8192
#define MS_PASS_OPEN	1000		/* senders at a time that have not said everything */

struct ms_pass {
	int	fd;			/* the sender */
	int	gift;			/* what it hands over; -1: not yet */
	struct attr_in in;
	struct ev_io io;
	struct ev_timer timer;
};

static unsigned ms_pass_open;

static void
ms_pass_end(struct ms_pass *p)
{
	ev_io_cancel(ms_process.loop, &p->io);
	ev_timer_cancel(ms_process.loop, &p->timer);
	sock_close(&p->fd);
	sock_close(&p->gift);
	attr_in_fini(&p->in);
	ms_pass_open--;
	mem_free(&p);
}

static void
ms_pass_timeout(void *ctx)
{
	struct ms_pass *p = ctx;

	msg_warn("%s: who hands a connection over is too slow with it", ms_process.ops->name);
	ms_pass_end(p);
}

/* ms_pass_take - the descriptors in a message: the first is kept, others are nobody's */
static void
ms_pass_take(struct ms_pass *p, struct msghdr *msg)
{
	int	fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof fd; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (p->gift < 0)
				p->gift = fd;
			else
				close(fd);
		}
	}
}

/* ms_pass_done - the connection is a client now, like those that were accepted */
static void
ms_pass_done(struct ms_pass *p)
{
	struct buf list;
	int	fd = p->gift;

	list = p->in.list;
	memset(&p->in.list, 0, sizeof p->in.list);
	p->gift = -1;
	ms_pass_end(p);
	if (fd < 0) {
		buf_fini(&list);
		return;
	}
	sock_nonblock(fd, true);
	ev_timer_cancel(ms_process.loop, &ms_process.idle);
	ms_client_new(fd, NULL, &list);
}

static void
ms_pass_io(void *ctx, int fd, unsigned events)
{
	struct ms_pass *p = ctx;
	char	data[4096];
	union {
		struct cmsghdr hdr;
		char	space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = sizeof data };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space };
	size_t	at = 0, used;
	ssize_t n;
	bool	first = p->gift < 0;

	(void) events;
	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		ms_pass_take(p, &msg);
	if (n <= 0 || p->gift < 0) {		/* all was said, perhaps without a list; or there is nothing for us */
		ms_pass_done(p);
		return;
	}
	if (first)
		at = 1;				/* the byte that came with the descriptor */
	switch (attr_in_feed(&p->in, data + at, (size_t) n - at, &used)) {
	case ATTR_IN_MORE:
		return;
	case ATTR_IN_FULL:
		msg_warn("%s: what comes with a connection that is handed over is too long", ms_process.ops->name);
		ms_pass_end(p);
		return;
	case ATTR_IN_DONE:
		ms_pass_done(p);
		return;
	}
}

void
ms_pass_new(int fd)
{
	struct ms_pass *p;

	if (ms_pass_open >= MS_PASS_OPEN) {
		close(fd);
		return;
	}
	p = mem_alloc(sizeof *p);
	p->fd = fd;
	p->gift = -1;
	attr_in_init(&p->in, MS_PASS_STR_MAX, MS_PASS_LIST_MAX);
	ms_pass_open++;
	ev_io_set(ms_process.loop, &p->io, fd, EV_READ, ms_pass_io, p);
	ev_timer_set(ms_process.loop, &p->timer, MS_PASS_MS, ms_pass_timeout, p);
}

const char *
ms_passed(const struct ms_client *c, const char *name)
{
	struct attr_reader r;
	const char *key, *value;

	if (c->passed.len == 0)
		return NULL;
	attr_reader_init(&r, c->passed.data, c->passed.len, true);
	while (attr_any(&r, &key, &value))
		if (strcmp(key, name) == 0)
			return value;
	return NULL;
}
