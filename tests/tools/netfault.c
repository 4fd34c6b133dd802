/* tests/tools/netfault.c - a TCP proxy that does what networks do
 * usage: netfault LISTEN_ADDRESS PORT TARGET_ADDRESS PORT FILE
 * FILE holds the present behaviour, one line; it is read again every 10 ms, a change takes effect at once:
 *   pass		as a good network
 *   delay MS		each byte takes so long, in both directions
 *   slice BYTES	so many bytes at a time, 1 ms apart
 *   swallow		connections stay open, bytes go nowhere; new connections are accepted
 *   reset		all connections are reset once, new ones pass
 *   refuse		the same, and new connections are reset at once
 *   cut BYTES		pass, but each connection is reset after so many further bytes from the target
 * Prints "ready" once it listens; SIGTERM ends it.
 */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bsd/sys/queue.h>

#include <util/evloop.h>
#include <util/mem.h>
#include <util/sock.h>

#define NET_HELD_MAX	((size_t) 4 << 20)	/* bytes under way in one direction */

enum net_mode { NET_PASS, NET_DELAY, NET_SLICE, NET_SWALLOW, NET_RESET, NET_REFUSE, NET_CUT };

struct net_chunk {
	STAILQ_ENTRY(net_chunk) link;
	int64_t	due_ms;
	size_t	len;
	char	data[];
};

struct net_way {			/* one direction */
	struct net_conn *conn;
	int	from, to;
	struct ev_io in;
	struct ev_timer timer;
	STAILQ_HEAD(, net_chunk) chunks;
	size_t	held;
	bool	ended;			/* the sender has closed */
};

struct net_conn {
	TAILQ_ENTRY(net_conn) link;
	struct net_way up, down;	/* to the target, from the target */
	int64_t	left;			/* bytes before the cut */
};

static struct ev_loop *loop;
static enum net_mode mode;
static long net_arg;
static TAILQ_HEAD(, net_conn) conns = TAILQ_HEAD_INITIALIZER(conns);
static const char *target_host, *target_port, *file;
static int listener;
static char last[64];

static void
net_way_fini(struct net_way *w)
{
	struct net_chunk *c;

	ev_io_cancel(loop, &w->in);
	ev_timer_cancel(loop, &w->timer);
	while ((c = STAILQ_FIRST(&w->chunks)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->chunks, link);
		free(c);
	}
}

static void
net_close(struct net_conn *c, bool reset)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	net_way_fini(&c->up);
	net_way_fini(&c->down);
	if (reset) {
		setsockopt(c->up.from, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		setsockopt(c->up.to, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	}
	close(c->up.from);
	close(c->up.to);
	TAILQ_REMOVE(&conns, c, link);
	free(c);
}

static void	net_push(void *ctx);

static void
net_read(void *ctx, int fd, unsigned events)
{
	struct net_way *w = ctx;
	struct net_chunk *c;
	char	buf[16384];
	ssize_t n = read(fd, buf, mode == NET_SLICE && net_arg > 0 && net_arg < (long) sizeof buf ? (size_t) net_arg : sizeof buf);

	(void) events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		net_close(w->conn, true);
		return;
	}
	if (mode == NET_SWALLOW && n > 0)
		return;
	if (n == 0) {
		ev_io_cancel(loop, &w->in);
		w->ended = true;
	} else {
		c = mem_alloc(sizeof *c + (size_t) n);
		c->len = (size_t) n;
		c->due_ms = ev_now_ms(loop) + (mode == NET_DELAY ? net_arg : mode == NET_SLICE ? 1 : 0);
		memcpy(c->data, buf, c->len);
		STAILQ_INSERT_TAIL(&w->chunks, c, link);
		w->held += c->len;
		if (mode == NET_SLICE || w->held > NET_HELD_MAX)
			ev_io_cancel(loop, &w->in);
	}
	net_push(w);
}

/* net_push - hand over what is due */
static void
net_push(void *ctx)
{
	struct net_way *w = ctx;
	struct net_conn *conn = w->conn;
	struct net_chunk *c;
	size_t	n;

	while ((c = STAILQ_FIRST(&w->chunks)) != NULL) {
		if (c->due_ms > ev_now_ms(loop)) {
			ev_timer_set(loop, &w->timer, c->due_ms - ev_now_ms(loop), net_push, w);
			return;
		}
		n = c->len;
		if (mode == NET_CUT && w == &conn->down) {
			if ((int64_t) n >= conn->left) {
				if (conn->left > 0)
					(void) !send(w->to, c->data, (size_t) conn->left, MSG_NOSIGNAL);
				net_close(conn, true);
				return;
			}
			conn->left -= (int64_t) n;
		}
		if (sock_write_all(w->to, c->data, n, 2000) < 0) {	/* the far end does not read: give it up */
			net_close(conn, true);
			return;
		}
		STAILQ_REMOVE_HEAD(&w->chunks, link);
		w->held -= n;
		free(c);
	}
	if (w->ended) {
		shutdown(w->to, SHUT_WR);
		if (conn->up.ended && conn->down.ended && conn->up.held + conn->down.held == 0)
			net_close(conn, false);
		return;
	}
	ev_io_set(loop, &w->in, w->from, EV_READ, net_read, w);
}

static void
net_accept(void *ctx, int fd, unsigned events)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct net_conn *c;
	int	on = 1;
	int	client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), target;

	(void) ctx;
	(void) events;
	if (client < 0)
		return;
	target = mode == NET_REFUSE ? -1 : sock_inet_connect(target_host, target_port, false);
	if (target < 0) {
		setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		close(client);
		return;
	}
	sock_nonblock(target, true);
	/* a packet does not wait for the acknowledgement of the one before */
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(target, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	c = mem_alloc(sizeof *c);
	c->left = net_arg;
	c->up.conn = c->down.conn = c;
	c->up.from = c->down.to = client;
	c->up.to = c->down.from = target;
	STAILQ_INIT(&c->up.chunks);
	STAILQ_INIT(&c->down.chunks);
	TAILQ_INSERT_TAIL(&conns, c, link);
	ev_io_set(loop, &c->up.in, client, EV_READ, net_read, &c->up);
	ev_io_set(loop, &c->down.in, target, EV_READ, net_read, &c->down);
}

/* net_look - has the behaviour changed? */
static void
net_look(void *ctx)
{
	static const char *const names[] = {
		[NET_PASS] = "pass", [NET_DELAY] = "delay", [NET_SLICE] = "slice", [NET_SWALLOW] = "swallow",
		[NET_RESET] = "reset", [NET_REFUSE] = "refuse", [NET_CUT] = "cut",
	};
	static struct ev_timer timer;
	struct net_conn *c, *next;
	char	line[64] = "", word[16] = "";
	long	arg = 0;
	FILE   *f = fopen(file, "r");

	(void) ctx;
	ev_timer_set(loop, &timer, 10, net_look, NULL);
	if (f == NULL)
		return;
	(void) !fgets(line, sizeof line, f);
	fclose(f);
	if (strchr(line, '\n') == NULL || strcmp(line, last) == 0)
		return;
	strcpy(last, line);
	if (sscanf(line, "%15s %ld", word, &arg) < 1)
		return;
	for (size_t i = 0; i < NELEM(names); i++)
		if (strcmp(word, names[i]) == 0)
			mode = (enum net_mode) i;
	net_arg = arg;
	TAILQ_FOREACH_SAFE(c, &conns, link, next) {
		c->left = arg;
		if (mode == NET_RESET || mode == NET_REFUSE)
			net_close(c, true);
	}
	if (mode == NET_RESET)
		mode = NET_PASS;
}

static void
net_quit(void *ctx, int signo)
{
	(void) ctx;
	(void) signo;
	exit(0);
}

int
main(int argc, char **argv)
{
	static struct ev_io io;

	if (argc != 6)
		errx(2, "usage: netfault LISTEN_ADDRESS PORT TARGET_ADDRESS PORT FILE");
	target_host = argv[3];
	target_port = argv[4];
	file = argv[5];
	if ((listener = sock_inet_listen(argv[1], argv[2], 128)) < 0)
		err(1, "listen on %s:%s", argv[1], argv[2]);
	loop = ev_loop_new();
	ev_signal_set(loop, SIGTERM, net_quit, NULL);
	ev_io_set(loop, &io, listener, EV_READ, net_accept, NULL);
	net_look(NULL);
	puts("ready");
	fflush(stdout);
	ev_run(loop);
}
