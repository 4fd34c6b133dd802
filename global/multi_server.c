/* global/multi_server.c - the skeleton of a daemon that serves many clients in one process
 * Three parts: the life of the process (start-up, drain, end), accepting, and one client's input and output.
 */
#include "multi_server.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <global/db_conf.h>
#include <global/maillog.h>
#include <global/master_proto.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <util/units.h>

#define MS_READ_SIZE	 (64u << 10)	/* one read: many requests of a client that sends ahead */
#define MS_CROWDED	 32		/* clients from which on we report "taken": time for another worker */
#define MS_PAUSE_MS	 200		/* no accepting for so long when descriptors run out */
#define MS_DRAIN_TICK_MS 250		/* how often a draining worker looks for idle clients */
#define MS_DRAIN_GRACE_MS 5000		/* after the drain limit: for replies in progress */

struct ms_client {
	TAILQ_ENTRY(ms_client) link;
	int	fd;
	bool	held, partial, broken;
	bool	last;			/* closed when its output is gone */
	bool	slowly;			/* and after it has been listened to for a while */
	bool	over;			/* that is now: the daemon knows it no more */
	int64_t	limit_ms;		/* for the timer below */
	struct tls *tls;		/* NULL: in clear */
	struct tls_ctx *tls_ctx;	/* set until the handshake is done */
	bool	eof;			/* nothing more will come */
	int64_t active_ms;		/* last time bytes came or went */
	void   *ctx;
	struct ev_io io;
	struct ev_timer timer;		/* set while partial or while output waits */
	struct ev_defer resume;
	struct buf in;			/* bytes behind a held request */
	struct buf out;			/* replies the socket did not take */
};
TAILQ_HEAD(ms_clients, ms_client);

static struct ms_process {
	const struct multi_server *ops;
	const struct params *params;
	struct ev_loop *loop;
	int	listeners;		/* descriptors from MASTER_LISTEN_FD on */
	struct ev_io *listen_io;
	struct ev_io status_io;
	uint32_t generation;
	bool	under_vouch;		/* our own master: drain in place */
	bool	reported;		/* told the master that we were of use */
	bool	taken;			/* told the master that we are crowded */
	bool	draining;
	int64_t drain_end_ms;
	struct ms_clients clients;
	size_t	clients_n;
	int64_t served;			/* clients that have left */
	struct ev_timer idle, pause, drain, watchdog;
} ms;

static void ms_client_close(struct ms_client *);
static void ms_listen(bool on);

/* leaving */

static void __attribute__((noreturn))
ms_leave(void)
{
	if (ms.ops->leaving != NULL)
		ms.ops->leaving();
	_exit(0);
}

static void
ms_leave_if_done(void)
{
	bool	busy = ms.ops->busy != NULL && ms.ops->busy();

	if (ms.draining && ms.clients_n == 0 && (!busy || ev_now_ms(ms.loop) >= ms.drain_end_ms))
		ms_leave();
	if (!ms.ops->persistent && !ms.draining && ms.clients_n == 0 && ms.served >= ms.params->max_use && !busy)
		ms_leave();
}

static void
ms_idle_timeout(void *ctx)
{
	(void) ctx;
	if (ms.clients_n == 0)
		ms_leave();
}

static void
ms_idle_start(void)
{
	if (!ms.ops->persistent)
		ev_timer_set(ms.loop, &ms.idle, ms.params->max_idle, ms_idle_timeout, NULL);
}

/* status reports: a worker that never reports counts as never used, and one that dies unused is a failed start */

static void
ms_report(int avail)
{
	struct master_status st = { .pid = (int32_t) getpid(), .generation = ms.generation, .avail = avail };

	if (!ms.draining && write(MASTER_STATUS_FD, &st, sizeof st) != sizeof st)
		msg_debug("status report: %s", strerror(errno));	/* end of file will tell us what to do */
}

static void
ms_report_use(void)
{
	if (ms.reported)
		return;
	ms.reported = true;
	ms_report(MASTER_STAT_TAKEN);
	if (!ms.taken)
		ms_report(MASTER_STAT_AVAIL);
}

/* ms_report_crowd - while we are taken, a master forks the next worker when a connection comes; we go on accepting */
static void
ms_report_crowd(void)
{
	bool	crowded = ms.clients_n >= MS_CROWDED;

	if (crowded == ms.taken || (ms.taken && ms.clients_n > MS_CROWDED / 2))
		return;
	ms.taken = crowded;
	ms_report(crowded ? MASTER_STAT_TAKEN : MASTER_STAT_AVAIL);
}

/* draining */

static void
ms_drain_tick(void *ctx)
{
	struct ms_client *c, *next;
	int64_t now = ev_now_ms(ms.loop), idle = ms.params->ipc_idle;
	bool	late = now >= ms.drain_end_ms;

	(void) ctx;
	/* Postfix's clients give up a connection after ipc_idle unused and open the next when they need it */
	TAILQ_FOREACH_SAFE(c, &ms.clients, link, next)
		if (ms.ops->dismiss != NULL) {
			if (!c->last)
				ms.ops->dismiss(c, c->ctx, late);
		} else if (!c->held && !c->partial && c->out.len == 0 && (late || now - c->active_ms >= idle))
			ms_client_close(c);
	if (now >= ms.drain_end_ms + MS_DRAIN_GRACE_MS)
		ms_leave();
	ms_leave_if_done();
	ev_timer_set(ms.loop, &ms.drain, MS_DRAIN_TICK_MS, ms_drain_tick, NULL);
}

static void
ms_status_eof(void *ctx, int fd, unsigned events)
{
	const char *drain = getenv(MASTER_DRAIN_ENV);
	int64_t limit = ms.params->application_event_drain_time;

	(void) ctx;
	(void) events;
	ev_io_cancel(ms.loop, &ms.status_io);
	close(fd);
	ms_listen(false);
	for (int i = 0; i < ms.listeners; i++)
		close(MASTER_LISTEN_FD + i);
	if (ms.ops->draining != NULL)
		ms.ops->draining();
	if (!ms.under_vouch && ms.clients_n + (ms.ops->busy != NULL && ms.ops->busy()) > 0) {
		switch (fork()) {
		case 0:
			break;
		case -1:
			msg_warn("fork: %s: leaving without draining", strerror(errno));
			ms_leave();
		default:
			_exit(0);	/* not ms_leave: the child still needs what that would give back */
		}
	}
	if (drain != NULL)
		units_int_parse(drain, &limit);
	ms.draining = true;
	ms.drain_end_ms = ev_now_ms(ms.loop) + limit;
	ev_timer_cancel(ms.loop, &ms.idle);
	ms_leave_if_done();
	ev_timer_set(ms.loop, &ms.drain, MS_DRAIN_TICK_MS, ms_drain_tick, NULL);
}

/* one client */

static void
ms_client_close(struct ms_client *c)
{
	if (!c->over)
		ms.ops->closed(c, c->ctx);
	TAILQ_REMOVE(&ms.clients, c, link);
	ms.clients_n--;
	ms.served++;
	ev_io_cancel(ms.loop, &c->io);
	ev_timer_cancel(ms.loop, &c->timer);
	ev_defer_cancel(ms.loop, &c->resume);
	tls_free(&c->tls);
	sock_close(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	mem_free(&c);
	ms_report_crowd();
	if (ms.clients_n == 0 && !ms.draining)
		ms_idle_start();
	ms_leave_if_done();
}

static void ms_client_io(void *, int, unsigned);
static void ms_client_more(void *);

static void
ms_client_timeout(void *ctx)
{
	struct ms_client *c = ctx;

	if (!c->over)
		msg_warn("timeout on %s socket while %s", ms.ops->name,
		    c->out.len > 0 ? "writing a reply" : "reading a request");
	ms_client_close(c);
}

static void ms_handshake(struct ms_client *);

/* ms_client_end - all was said */
static void
ms_client_end(struct ms_client *c)
{
	if (c->broken || !c->slowly || c->eof || shutdown(c->fd, SHUT_WR) < 0) {
		ms_client_close(c);
		return;
	}
	c->over = true;
	ms.ops->closed(c, c->ctx);
	c->ctx = NULL;
	buf_fini(&c->in);
	ev_defer_cancel(ms.loop, &c->resume);
	ev_io_set(ms.loop, &c->io, c->fd, EV_READ, ms_client_io, c);
	ev_timer_set(ms.loop, &c->timer, MS_LINGER_MS, ms_client_timeout, c);
}

/* ms_client_watch - descriptors and time limit as the state of the client wants them */
static void
ms_client_watch(struct ms_client *c)
{
	if (c->tls_ctx != NULL && c->out.len == 0 && !c->last) {
		ms_handshake(c);
		return;
	}
	if (c->out.len > 0 || c->last)
		ev_io_set(ms.loop, &c->io, c->fd, EV_WRITE, ms_client_io, c);	/* first the replies, then more requests */
	else if (c->eof || (c->held && c->in.len > 0))
		ev_io_cancel(ms.loop, &c->io);
	else
		ev_io_set(ms.loop, &c->io, c->fd, EV_READ, ms_client_io, c);
	if (c->out.len > 0 || (c->partial && !c->held))
		ev_timer_set(ms.loop, &c->timer, c->limit_ms, ms_client_timeout, c);
	else
		ev_timer_cancel(ms.loop, &c->timer);
}

/* ms_write, ms_read - as send and recv, through TLS where there is some */

static ssize_t
ms_tls_result(enum tls_result r, size_t n)
{
	switch (r) {
	case TLS_DONE:
		return (ssize_t) n;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case TLS_FAILED:
		break;
	}
	errno = ECONNRESET;
	return -1;
}

static ssize_t
ms_write(struct ms_client *c, const void *data, size_t n)
{
	size_t	done;
	enum tls_result r;

	if (c->tls == NULL)
		return send(c->fd, data, n, MSG_NOSIGNAL);
	r = tls_write(c->tls, data, n, &done);
	return ms_tls_result(r, done);
}

static ssize_t
ms_read(struct ms_client *c, void *data, size_t n)
{
	size_t	done;
	enum tls_result r;

	if (c->tls == NULL)
		return recv(c->fd, data, n, 0);
	r = tls_read(c->tls, data, n, &done);
	return ms_tls_result(r, done);
}

static void
ms_client_flush(struct ms_client *c)
{
	ssize_t n;

	while (c->out.len > 0) {
		n = ms_write(c, c->out.data, c->out.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken = errno != EAGAIN;
			return;
		}
		buf_drop(&c->out, (size_t) n);
	}
	buf_shrink(&c->out, 0);
}

void
ms_send(struct ms_client *c, const void *data, size_t n)
{
	ssize_t done = 0;

	if (c->broken)
		return;
	if (c->out.len == 0 && (done = ms_write(c, data, n)) < 0) {
		c->broken = errno != EAGAIN && errno != EINTR;
		done = 0;
	}
	if ((size_t) done < n && buf_add(&c->out, (const char *) data + done, n - (size_t) done) < 0)
		c->broken = true;
}

/* ms_client_eof - nothing more will come, and everything is used: close the client when no reply is left to make */
static void
ms_client_eof(struct ms_client *c)
{
	if (ms.ops->eof(c, c->ctx) == MS_HOLD)
		c->held = true;
	else
		c->last = true;
	if (c->broken || (c->last && c->out.len == 0))
		ms_client_end(c);
	else
		ms_client_watch(c);
}

/* ms_client_input - hand bytes to the daemon; keep what it does not use yet; closes the client when that is due */
static void
ms_client_input(struct ms_client *c, const char *data, size_t n)
{
	size_t	used = n;
	enum ms_next next;

	c->active_ms = ev_now_ms(ms.loop);
	c->partial = false;
	next = ms.ops->input(c, c->ctx, data, n, &used, &c->partial);
	ms_report_use();
	switch (next) {
	case MS_MORE:
		break;
	case MS_HOLD:
		c->held = true;
		if (used < n && buf_add(&c->in, data + used, n - used) < 0)
			c->broken = true;
		break;
	case MS_CLOSE:
		c->broken = true;
		break;
	}
	if (c->broken)
		ms_client_close(c);
	else if (c->eof && !c->held)
		ms_client_eof(c);
	else
		ms_client_watch(c);
}

static void
ms_client_resume(void *ctx)
{
	struct ms_client *c = ctx;
	struct buf in = c->in;

	if (c->broken || (c->last && c->out.len == 0)) {
		ms_client_end(c);
		return;
	}
	if (in.len == 0 && c->eof && !c->last) {
		ms_client_eof(c);
		return;
	}
	if (in.len == 0 || c->last) {
		ms_client_watch(c);
		return;
	}
	buf_init(&c->in, MS_READ_SIZE);
	ms_client_input(c, in.data, in.len);
	buf_fini(&in);
}

/* ms_client_more - after bytes of TLS there may be more of them */
static void
ms_client_more(void *ctx)
{
	struct ms_client *c = ctx;

	if (!c->held && c->out.len == 0)
		ms_client_io(c, c->fd, EV_READ);
}

/* TLS */

static void
ms_handshake_io(void *ctx, int fd, unsigned events)
{
	(void) fd;
	(void) events;
	ms_handshake(ctx);
}

static void
ms_handshake(struct ms_client *c)
{
	if (c->tls == NULL)
		c->tls = tls_server_new(c->tls_ctx, c->fd);
	switch (tls_handshake(c->tls)) {
	case TLS_WANT_READ:
		ev_io_set(ms.loop, &c->io, c->fd, EV_READ, ms_handshake_io, c);
		return;
	case TLS_WANT_WRITE:
		ev_io_set(ms.loop, &c->io, c->fd, EV_WRITE, ms_handshake_io, c);
		return;
	case TLS_DONE:
		c->tls_ctx = NULL;
		ev_io_cancel(ms.loop, &c->io);
		ms.ops->secured(c, c->ctx, c->tls);
		break;
	case TLS_FAILED:
		msg_info("%s: TLS handshake: %s", ms.ops->name, tls_why(c->tls));
		c->tls_ctx = NULL;
		ev_io_cancel(ms.loop, &c->io);
		ms.ops->secured(c, c->ctx, NULL);
		break;
	}
	if (c->broken)
		ms_client_close(c);
	else if (!c->held || c->last)
		ms_client_watch(c);
}

void
ms_starttls(struct ms_client *c, struct tls_ctx *ctx)
{
	c->held = true;
	c->tls_ctx = ctx;
	buf_reset(&c->in);
}

void
ms_hold(struct ms_client *c)
{
	c->held = true;
}

void
ms_limit(struct ms_client *c, int64_t limit_ms)
{
	c->limit_ms = limit_ms;
}

ssize_t
ms_peek(struct ms_client *c, void *data, size_t n)
{
	ssize_t got;

	if (c->in.len > 0) {
		n = n < c->in.len ? n : c->in.len;
		memcpy(data, c->in.data, n);
		return (ssize_t) n;
	}
	if (c->eof)
		return -1;
	if (c->tls != NULL)
		return 0;
	while ((got = recv(c->fd, data, n, MSG_PEEK | MSG_DONTWAIT)) < 0 && errno == EINTR)
		;
	return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
}

int
ms_fd(const struct ms_client *c)
{
	return c->fd;
}

void
ms_resume(struct ms_client *c)
{
	c->held = false;
	c->active_ms = ev_now_ms(ms.loop);
	ev_defer_set(ms.loop, &c->resume, ms_client_resume, c);
}

void
ms_finish(struct ms_client *c)
{
	c->held = c->last = true;
	ev_defer_set(ms.loop, &c->resume, ms_client_resume, c);
}

void
ms_finish_slowly(struct ms_client *c)
{
	c->slowly = true;
	ms_finish(c);
}

static void
ms_client_io(void *ctx, int fd, unsigned events)
{
	static char data[MS_READ_SIZE];
	struct ms_client *c = ctx;
	ssize_t n;

	if (events & EV_WRITE) {
		ms_client_flush(c);
		if (c->broken || (c->last && c->out.len == 0))
			ms_client_end(c);
		else
			ms_client_watch(c);
		return;
	}
	n = c->over ? recv(fd, data, sizeof data, 0) : ms_read(c, data, sizeof data);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && c->over)
		return;
	if (c->tls != NULL)			/* what TLS has in store makes no descriptor readable */
		ev_defer_set(ms.loop, &c->resume, ms_client_more, c);
	if (n == 0 && ms.ops->eof != NULL) {
		c->eof = true;
		if (c->held)
			ms_client_watch(c);
		else
			ms_client_eof(c);
	} else if (n <= 0)
		ms_client_close(c);
	else if (c->held) {			/* sent ahead of the reply it waits for */
		if (buf_add(&c->in, data, (size_t) n) < 0)
			ms_client_close(c);
		else {
			ms_client_watch(c);
			if (ms.ops->early != NULL)
				ms.ops->early(c, c->ctx);
		}
	} else
		ms_client_input(c, data, (size_t) n);
}

/* accepting */

static void
ms_pause_end(void *ctx)
{
	(void) ctx;
	ms_listen(true);
}

static void
ms_accept(void *ctx, int listen_fd, unsigned events)
{
	struct ms_client *c;
	int	fd;

	(void) ctx;
	(void) events;
	if ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			msg_warn("accept: %s: no new clients for %d ms", strerror(errno), MS_PAUSE_MS);
			ms_listen(false);
			ev_timer_set(ms.loop, &ms.pause, MS_PAUSE_MS, ms_pause_end, NULL);
		}
		return;		/* anything else: another worker was faster, or the peer has left */
	}
	/* one connection, then to the end of the queue: the kernel wakes the worker that has waited longest, so
	 * the next one is another's */
	ms_listen(true);
	c = mem_alloc(sizeof *c);
	c->fd = fd;
	c->active_ms = ev_now_ms(ms.loop);
	c->limit_ms = ms.params->ipc_timeout;
	buf_init(&c->in, MS_READ_SIZE);
	buf_init(&c->out, MS_OUT_MAX);
	TAILQ_INSERT_TAIL(&ms.clients, c, link);
	ms.clients_n++;
	ev_timer_cancel(ms.loop, &ms.idle);
	c->ctx = ms.ops->opened(c);
	if (c->broken)
		ms_client_close(c);
	else
		ms_client_watch(c);
	ms_report_crowd();
}

static void
ms_listen(bool on)
{
	for (int i = 0; i < ms.listeners; i++)
		if (on && !ms.draining)
			ev_io_set(ms.loop, &ms.listen_io[i], MASTER_LISTEN_FD + i, EV_READ | EV_EXCLUSIVE, ms_accept, NULL);
		else
			ev_io_cancel(ms.loop, &ms.listen_io[i]);
	if (!on)
		ev_timer_cancel(ms.loop, &ms.pause);
}

/* start-up */

static void
ms_watchdog_bark(int sig)
{
	(void) sig;
	msg_fatal("watchdog timeout");
}

static void
ms_watchdog(void *ctx)
{
	(void) ctx;
	alarm((unsigned) (ms.params->daemon_timeout / 1000));
	ev_timer_set(ms.loop, &ms.watchdog, ms.params->daemon_timeout / 3, ms_watchdog, NULL);
}

/* ms_jail - drop privileges (root only: an unprivileged instance has none to drop) */
static void
ms_jail(bool chroot_wanted, bool user_wanted)
{
	const char *owner = ms.params->mail_owner, *queue = ms.params->queue_directory;
	struct passwd *pw = NULL;

	if (geteuid() != 0)
		return;
	if (user_wanted && (pw = getpwnam(owner)) == NULL)
		msg_fatal("mail_owner: no such user: %s", owner);
	if (user_wanted && (setgid(pw->pw_gid) < 0 || initgroups(owner, pw->pw_gid) < 0))
		msg_fatal("groups of user %s: %s", owner, strerror(errno));
	if (chroot_wanted && (chroot(queue) < 0 || chdir("/") < 0))
		msg_fatal("chroot %s: %s", queue, strerror(errno));
	if (user_wanted && setuid(pw->pw_uid) < 0)
		msg_fatal("setuid %s: %s", owner, strerror(errno));
}

struct ms_args {
	const char *service, *transport;
	bool	chroot, unpriv, debug;
};

static void
ms_option(const char *name, const char *value, struct main_cf *cf)
{
	struct buf why = BUF_INIT(1024);
	char   *arg = name != NULL ? mem_printf("%s=%s", name, value) : mem_strdup(value);

	if (main_cf_set_arg(cf, arg, &why) < 0)
		msg_fatal("invalid \"-o %s\" option value: %s", arg, buf_str(&why));
	buf_fini(&why);
	mem_free(&arg);
}

/* ms_hide - what was an argument is seen by everyone who lists processes: no passwords there */
static void
ms_hide(char *arg)
{
	struct buf shown = BUF_INIT(4 * strlen(arg) + 64);
	size_t	len = strlen(arg);

	db_conf_hide(&shown, arg);
	if (strcmp(buf_str(&shown), arg) != 0) {
		explicit_bzero(arg, len);
		memcpy(arg, shown.data, shown.len < len ? shown.len : len);
	}
	buf_fini(&shown);
}

static struct ms_args
ms_args_parse(int argc, char **argv, struct main_cf *cf)
{
	struct ms_args a = { .service = ms.ops->name };
	int	ch;
	int64_t n;

	while ((ch = getopt(argc, argv, "cdDi:lm:n:o:r:s:St:uvVz")) != -1)
		switch (ch) {
		case 'c': a.chroot = true; break;
		case 'd': a.debug = true; break;
		case 'i': ms_option("max_idle", optarg, cf); break;
		case 'm': ms_option("max_use", optarg, cf); break;
		case 'n': a.service = optarg; break;
		case 'o': ms_option(NULL, optarg, cf); ms_hide(optarg); break;
		case 's':
			if (!units_int_parse(optarg, &n) || n < 1 || n > 1000)
				msg_fatal("invalid number of sockets: -s %s", optarg);
			ms.listeners = (int) n;
			break;
		case 't': a.transport = optarg; break;
		case 'u': a.unpriv = true; break;
		case 'v': msg_verbose++; break;
		case 'V': msg_to_stderr(ms.ops->name); break;
		case 'D': case 'l': case 'z': case 'r': break;	/* process limits are the master's, debuggers the user's */
		case 'S': msg_fatal("stand-alone mode (-S) is not supported");
		default: msg_fatal("invalid option: %c", optopt);
		}
	if (a.transport == NULL)
		msg_fatal("no transport type: do not run this program by hand, it is started by master(8)");
	if (strcmp(a.transport, "unix") != 0 && strcmp(a.transport, "inet") != 0)
		msg_fatal("transport type %s is not supported: use unix or inet in master.cf", a.transport);
	return a;
}

static void
ms_generation(void)
{
	const char *text = getenv("GENERATION");
	char   *end;

	if (text == NULL)
		return;
	ms.generation = (uint32_t) strtoul(text, &end, 8);
	if (*text == 0 || *end != 0)
		msg_fatal("bad generation: %s", text);
}

static void
ms_descriptors(void)
{
	struct rlimit lim;
	struct stat st;

	for (int fd = MASTER_FLOW_READ; fd < MASTER_LISTEN_FD + ms.listeners; fd++) {
		if (fd >= MASTER_STATUS_FD && fstat(fd, &st) < 0)
			msg_fatal("descriptor %d is missing: do not run this program by hand, it is started by master(8)", fd);
		sock_cloexec(fd, true);
	}
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static void
ms_config_warn(void *ctx, const char *text)
{
	(void) ctx;
	msg_warn("%s", text);
}

void
multi_server_main(int argc, char **argv, const struct multi_server *ops)
{
	const char *dir = getenv("MAIL_CONFIG");
	struct buf why = BUF_INIT(64u << 10);
	struct main_cf *cf;
	struct ms_args args;

	ms.ops = ops;
	ms.listeners = 1;
	TAILQ_INIT(&ms.clients);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	msg_fatal_sleep = 1;			/* a failing start must not loop fast, whichever master it is */
	if (getenv("MAIL_VERBOSE") != NULL)
		msg_verbose = 1;
	maillog_early(ops->name);
	if (isatty(STDIN_FILENO))
		msg_fatal("do not run this program by hand, it is started by master(8)");
	msg_to_stderr(NULL);
	if ((cf = main_cf_read(dir != NULL ? dir : "/etc/vouch", ms_config_warn, NULL, &why)) == NULL)
		msg_fatal("%s", buf_str(&why));
	args = ms_args_parse(argc, argv, cf);
	main_cf_set(cf, "process_name", ops->name);
	main_cf_set(cf, "service_name", args.service);
	if ((ms.params = params_load(cf, &why)) == NULL)
		msg_fatal("%s", buf_str(&why));
	if (maillog_init(ops->name, ms.params, &why) < 0)
		msg_warn("%s: logging to syslog", buf_str(&why));
	ms_generation();
	ms.under_vouch = getenv(MASTER_DRAIN_ENV) != NULL;
	ms_descriptors();
	if (chdir(ms.params->queue_directory) < 0)
		msg_fatal("queue_directory %s: %s", ms.params->queue_directory, strerror(errno));
	tzset();				/* before the jail: zone files are outside */
	if (ops->pre_jail != NULL)
		ops->pre_jail(ms.params, cf);
	ms_jail(args.chroot, args.unpriv);
	ms.loop = ev_loop_new();
	ms.listen_io = mem_array((size_t) ms.listeners, sizeof *ms.listen_io);
	for (int i = 0; i < ms.listeners; i++)
		sock_nonblock(MASTER_LISTEN_FD + i, true);
	if (ops->start != NULL)
		ops->start(ms.loop);
	signal(SIGALRM, ms_watchdog_bark);
	ms_watchdog(NULL);
	ms_idle_start();
	ev_io_set(ms.loop, &ms.status_io, MASTER_STATUS_FD, EV_READ, ms_status_eof, NULL);
	ms_listen(true);
	buf_fini(&why);
	ev_run(ms.loop);
	_exit(0);
}
