/* daemons/smtpcbd/smtpcbd_stop.c - the end, when the master says so
 * Who waits gets "in progress", whole and at once. A refused connection lets mail through at the plugin, any other trouble
 * defers it: with smtpcbd_on_stop = tempfail we go on listening for a moment, and tell those who come to try later. A
 * master shuts its listening sockets down when it stops; then we listen anew at the same address.
 */
#include "smtpcbd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <global/master_proto.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define SMTPCBD_STOP_MS	   3000		/* less than a master's patience: 5 s from SIGTERM to SIGKILL */
#define SMTPCBD_SOCKETS	   16		/* listening sockets that are kept */
#define SMTPCBD_STOP_QUEUE 100
#define SMTPCBD_STOP_NEWS_MS 500	/* the master has let go of us: in that time we know whether it is stopping us */
#define SMTPCBD_STOP_CLIENTS 1000	/* connections told so; then the others wait in the queue of the socket */

static struct {
	int	 fd[SMTPCBD_SOCKETS], n;
	struct ev_io io[SMTPCBD_SOCKETS];
	bool	 again[SMTPCBD_SOCKETS];	/* listened anew */
	unsigned told;
	struct ev_timer timer, news;
} smtpcbd_stop;

static void __attribute__((noreturn))
smtpcbd_stop_leave(void)
{
	stats_flush(shmtab_words(verify_store_table(smtpcbd_host.store)));
	msg_flush();
	_exit(0);
}

static void
smtpcbd_stop_timeout(void *ctx)
{
	(void) ctx;
	smtpcbd_stop_leave();
}

static void smtpcbd_stop_tell(void *, int, unsigned);

/* smtpcbd_stop_again - a listener at the address of the one that was shut down; -1: not possible */
static int
smtpcbd_stop_again(int old)
{
	struct sockaddr_storage ss;
	struct sockaddr_in *v4 = (void *) &ss;
	struct sockaddr_in6 *v6 = (void *) &ss;
	socklen_t len = sizeof ss;
	char	host[INET6_ADDRSTRLEN], port[8];
	bool	ipv6;

	if (getsockname(old, (struct sockaddr *) &ss, &len) < 0 || (ss.ss_family != AF_INET && ss.ss_family != AF_INET6))
		return -1;
	ipv6 = ss.ss_family == AF_INET6;
	if (inet_ntop(ss.ss_family, ipv6 ? (const void *) &v6->sin6_addr : &v4->sin_addr, host, sizeof host) == NULL)
		return -1;
	snprintf(port, sizeof port, "%u", ntohs(ipv6 ? v6->sin6_port : v4->sin_port));
	return sock_inet_listen(host, port, SMTPCBD_STOP_QUEUE);
}

/* smtpcbd_stop_shut - this listener takes no connections any more */
static void
smtpcbd_stop_shut(int i)
{
	int	fd = smtpcbd_stop.again[i] ? -1 : smtpcbd_stop_again(smtpcbd_stop.fd[i]);

	ev_io_cancel(smtpcbd_loop, &smtpcbd_stop.io[i]);
	sock_close(&smtpcbd_stop.fd[i]);
	smtpcbd_stop.again[i] = true;
	if ((smtpcbd_stop.fd[i] = fd) >= 0)
		ev_io_set(smtpcbd_loop, &smtpcbd_stop.io[i], fd, EV_READ, smtpcbd_stop_tell, &smtpcbd_stop.io[i]);
}

/* smtpcbd_stop_tell - the descriptor stays open until the process ends: closing it now would take the reply back, as the
 * request was not read */
static void
smtpcbd_stop_tell(void *ctx, int listen_fd, unsigned events)
{
	struct smtpcb_request r = { .kind = SMTPCB_BAD_REQUEST };
	struct smtpcbd_verdict v;
	struct buf b = BUF_INIT(SMTPCB_REPLY_MAX);
	int	fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void) events;
	if (fd < 0) {
		if (errno == EINVAL)
			smtpcbd_stop_shut((int) ((struct ev_io *) ctx - smtpcbd_stop.io));
		return;
	}
	smtpcbd_answer_own(&v, SMTPCB_TEMPFAIL, "service is being stopped");
	smtpcbd_answer_put(&b, &r, &v, "-");
	if (send(fd, b.data, b.len, MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) < 0)
		msg_debug("a client has left before it could be told");
	buf_fini(&b);
	if (++smtpcbd_stop.told >= SMTPCBD_STOP_CLIENTS)
		ev_io_cancel(smtpcbd_loop, ctx);
}

static void
smtpcbd_stop_signal(void *ctx, int signo)
{
	(void) ctx;
	(void) signo;
	address_ask_end(smtpcbd_host.ask);
	if (smtpcbd_stop.n == 0)
		smtpcbd_stop_leave();
	if (smtpcbd_stop.timer.pos != 0)
		return;
	for (int i = 0; i < smtpcbd_stop.n; i++)
		ev_io_set(smtpcbd_loop, &smtpcbd_stop.io[i], smtpcbd_stop.fd[i], EV_READ, smtpcbd_stop_tell, &smtpcbd_stop.io[i]);
	ev_timer_set(smtpcbd_loop, &smtpcbd_stop.timer, SMTPCBD_STOP_MS, smtpcbd_stop_timeout, NULL);
}

static void
smtpcbd_stop_no_news(void *ctx)
{
	(void) ctx;
}

void
smtpcbd_stop_draining(void)
{
	if (smtpcbd_stop.n > 0 && smtpcbd_stop.timer.pos == 0)
		ev_timer_set(smtpcbd_loop, &smtpcbd_stop.news, SMTPCBD_STOP_NEWS_MS, smtpcbd_stop_no_news, NULL);
}

bool
smtpcbd_stop_busy(void)
{
	return smtpcbd_stop.timer.pos != 0 || smtpcbd_stop.news.pos != 0;
}

void
smtpcbd_stop_init(void)
{
	int	yes, fd;
	socklen_t len = sizeof yes;

	ev_signal_set(smtpcbd_loop, SIGTERM, smtpcbd_stop_signal, NULL);
	if (!smtpcbd_conf.stop_tempfail)
		return;
	/* the skeleton closes its own descriptors when the master goes; how many there are, the sockets themselves tell */
	for (fd = MASTER_LISTEN_FD; smtpcbd_stop.n < SMTPCBD_SOCKETS &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes; fd++)
		if ((smtpcbd_stop.fd[smtpcbd_stop.n] = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
			smtpcbd_stop.n++;
}
