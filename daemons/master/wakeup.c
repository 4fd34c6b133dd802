/* daemons/master/wakeup.c - poke a service: one trigger, sent without waiting */
#include "wakeup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define WAKEUP_CONNECT_MS 1000
#define WAKEUP_CLOSE_MS	  101000	/* the service takes the trigger and closes; we must not be first */

static const char wakeup_text[] = "W";	/* with the NUL; a FIFO gets it without */

void
wakeup_init(struct wakeup *w, struct ev_loop *loop)
{
	*w = (struct wakeup) { .loop = loop, .fd = -1, .gift = -1 };
}

static void
wakeup_end(struct wakeup *w)
{
	if (w->fd >= 0)
		ev_io_cancel(w->loop, &w->io);
	ev_timer_cancel(w->loop, &w->timer);
	sock_close(&w->fd);
	sock_close(&w->gift);
}

void
wakeup_fini(struct wakeup *w)
{
	wakeup_end(w);
	mem_free(&w->what);
}

static void
wakeup_fail(struct wakeup *w, int error)
{
	msg_warn("wake-up of service %s: %s", w->what, strerror(error));
	wakeup_end(w);
}

static void
wakeup_timeout(void *ctx)
{
	wakeup_fail(ctx, ETIMEDOUT);
}

/* wakeup_give - the descriptor of a pass service travels with one byte 0 */
static ssize_t
wakeup_give(struct wakeup *w)
{
	char	byte = 0;
	union {
		struct cmsghdr hdr;
		char	space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
	    .msg_controllen = sizeof control.space };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &w->gift, sizeof(int));
	return sendmsg(w->fd, &msg, MSG_NOSIGNAL);
}

static void
wakeup_io(void *ctx, int fd, unsigned events)
{
	struct wakeup *w = ctx;
	char	rubbish[256];
	socklen_t len = sizeof(int);
	int	error = 0;
	ssize_t n;

	if (events & EV_WRITE) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
			wakeup_fail(w, error != 0 ? error : errno);
			return;
		}
		n = w->gift >= 0 ? wakeup_give(w) : send(fd, wakeup_text, sizeof wakeup_text, MSG_NOSIGNAL);
		if (n < 0) {
			wakeup_fail(w, errno);
			return;
		}
		ev_io_set(w->loop, &w->io, fd, EV_READ, wakeup_io, w);
		ev_timer_set(w->loop, &w->timer, WAKEUP_CLOSE_MS, wakeup_timeout, w);
		return;
	}
	n = read(fd, rubbish, sizeof rubbish);		/* a greeting, if the service is one that speaks first */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		wakeup_end(w);
}

/* wakeup_gift - what a pass service is handed: a connection that says W and ends */
static int
wakeup_gift(struct wakeup *w)
{
	int	fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	w->gift = fds[0];
	if (write(fds[1], wakeup_text, sizeof wakeup_text) != sizeof wakeup_text)
		msg_panic("wakeup_gift: an empty pipe has no room");
	sock_close(&fds[1]);
	return 0;
}

static int
wakeup_connect_inet(int listen_fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	int	fd;

	if (getsockname(listen_fd, (struct sockaddr *) &ss, &len) < 0)
		return -1;
	if ((fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return -1;
	if (connect(fd, (struct sockaddr *) &ss, len) < 0 && errno != EINPROGRESS)	/* the wildcard address means this host */
		sock_close(&fd);
	return fd;
}

void
wakeup_send(struct wakeup *w, const struct plan_service *s, const struct listen *l)
{
	if (w->fd >= 0) {
		msg_debug("wake-up of service %s: the one before is still open", w->what);
		return;
	}
	mem_free(&w->what);
	w->what = mem_printf("%s(%s)", s->entry->name, s->id);
	switch (s->entry->type) {
	case MASTER_FIFO:
		if (write(l->fds[0], wakeup_text, 1) != 1 && errno != EAGAIN)	/* full: it has enough to read */
			wakeup_fail(w, errno);
		return;
	case MASTER_UNIX_DGRAM:
		wakeup_fail(w, EOPNOTSUPP);
		return;
	case MASTER_PASS:
		if (wakeup_gift(w) < 0)
			break;
		w->fd = sock_unix_connect(l->path, true);
		break;
	case MASTER_UNIX:
		w->fd = sock_unix_connect(l->path, true);
		break;
	case MASTER_INET:
		w->fd = wakeup_connect_inet(l->fds[0]);
		break;
	}
	if (w->fd < 0) {
		wakeup_fail(w, errno);
		return;
	}
	ev_io_set(w->loop, &w->io, w->fd, EV_WRITE, wakeup_io, w);
	ev_timer_set(w->loop, &w->timer, WAKEUP_CONNECT_MS, wakeup_timeout, w);
}
