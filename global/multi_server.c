/* global/multi_server.c - the skeleton of a daemon that serves many clients in one process: the life of the process
 * Start-up, accepting, status reports, drain, end. One client's input and output: ms_client.c.
 */
#include "ms_part.h"

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
#include <util/write_behind.h>

#define MS_CROWDED	 32		/* clients from which on we report "taken": time for another worker */
#define MS_PAUSE_MS	 200		/* no accepting for so long when descriptors run out */
#define MS_LOOK_MS	 1000		/* how often we look for clients that another worker was woken for */
#define MS_DRAIN_TICK_MS 250		/* how often a draining worker looks for idle clients */
#define MS_DRAIN_GRACE_MS 5000		/* after the drain limit: for replies in progress */

struct ms_process ms_process;

static void ms_listen(bool on);

/* leaving */

static void __attribute__((noreturn))
ms_leave(void)
{
	if (ms_process.ops->leaving != NULL)
		ms_process.ops->leaving();
	msg_flush();
	_exit(0);
}

/* ms_terminated - a master that stops ends us, clients or not; what they were answered is counted and in the log */
static void
ms_terminated(void *ctx, int signo)
{
	(void) ctx;
	if (ms_process.ops->tally != NULL)
		ms_process.ops->tally();
	msg_flush();
	signal(signo, SIG_DFL);
	ev_signal_set(ms_process.loop, signo, NULL, NULL);
	raise(signo);
}

static void
ms_leave_if_done(void)
{
	bool	busy = ms_process.ops->busy != NULL && ms_process.ops->busy();

	if (ms_process.draining && ms_process.clients_n == 0 && (!busy || ev_now_ms(ms_process.loop) >= ms_process.drain_end_ms))
		ms_leave();
	if (!ms_process.ops->persistent && !ms_process.draining && ms_process.clients_n == 0 &&
	    ms_process.served >= ms_process.params->max_use && !busy)
		ms_leave();
}

static void
ms_idle_timeout(void *ctx)
{
	(void) ctx;
	if (ms_process.clients_n == 0)
		ms_leave();
}

static void
ms_idle_start(void)
{
	if (!ms_process.ops->persistent)
		ev_timer_set(ms_process.loop, &ms_process.idle, ms_process.params->max_idle, ms_idle_timeout, NULL);
}

/* status reports: a worker that never reports counts as never used, and one that dies unused is a failed start */

static void
ms_report(int avail)
{
	struct master_status st = { .pid = (int32_t) getpid(), .generation = ms_process.generation, .avail = avail };

	if (!ms_process.draining && write(MASTER_STATUS_FD, &st, sizeof st) != sizeof st)
		msg_debug("status report: %s", strerror(errno));	/* end of file will tell us what to do */
}

void
ms_report_use(void)
{
	if (ms_process.reported)
		return;
	ms_process.reported = true;
	ms_report(MASTER_STAT_TAKEN);
	if (!ms_process.taken)
		ms_report(MASTER_STAT_AVAIL);
}

/* ms_report_crowd - while we are taken, a master forks the next worker when a connection comes; we go on accepting */
void
ms_report_crowd(void)
{
	bool	crowded = ms_process.clients_n >= MS_CROWDED;

	if (crowded == ms_process.taken || (ms_process.taken && ms_process.clients_n > MS_CROWDED / 2))
		return;
	ms_process.taken = crowded;
	ms_report(crowded ? MASTER_STAT_TAKEN : MASTER_STAT_AVAIL);
}

void
ms_left(void)
{
	ms_report_crowd();
	if (ms_process.clients_n == 0 && !ms_process.draining)
		ms_idle_start();
	ms_leave_if_done();
}

/* draining */

static void
ms_drain_tick(void *ctx)
{
	struct ms_client *c, *next;
	int64_t now = ev_now_ms(ms_process.loop), idle = ms_process.params->ipc_idle;
	bool	late = now >= ms_process.drain_end_ms;

	(void) ctx;
	/* Postfix's clients give up a connection after ipc_idle unused and open the next when they need it */
	TAILQ_FOREACH_SAFE(c, &ms_process.clients, link, next)
		if (ms_process.ops->dismiss != NULL) {
			if (!c->last)
				ms_process.ops->dismiss(c, c->ctx, late);
		} else if (!c->held && !c->partial && c->out.len == 0 && (late || now - c->active_ms >= idle))
			ms_client_close(c);
	if (now >= ms_process.drain_end_ms + MS_DRAIN_GRACE_MS)
		ms_leave();
	ms_leave_if_done();
	ev_timer_set(ms_process.loop, &ms_process.drain, MS_DRAIN_TICK_MS, ms_drain_tick, NULL);
}

static void
ms_status_eof(void *ctx, int fd, unsigned events)
{
	const char *drain = getenv(MASTER_DRAIN_ENV);
	int64_t limit = ms_process.params->application_event_drain_time;

	(void) ctx;
	(void) events;
	ev_io_cancel(ms_process.loop, &ms_process.status_io);
	close(fd);
	ms_listen(false);
	for (int i = 0; i < ms_process.listeners; i++)
		close(MASTER_LISTEN_FD + i);
	if (ms_process.ops->draining != NULL)
		ms_process.ops->draining();
	if (!ms_process.under_vouch && ms_process.clients_n + (ms_process.ops->busy != NULL && ms_process.ops->busy()) > 0) {
		switch (fork()) {
		case 0:
			ev_signal_forked(ms_process.loop);
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
	ms_process.draining = true;
	ms_process.drain_end_ms = ev_now_ms(ms_process.loop) + limit;
	ev_timer_cancel(ms_process.loop, &ms_process.idle);
	ms_leave_if_done();
	ev_timer_set(ms_process.loop, &ms_process.drain, MS_DRAIN_TICK_MS, ms_drain_tick, NULL);
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
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	int	fd;

	(void) ctx;
	(void) events;
	if ((fd = accept4(listen_fd, (struct sockaddr *) &peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			msg_warn("accept: %s: no new clients for %d ms", strerror(errno), MS_PAUSE_MS);
			ms_listen(false);
			ev_timer_set(ms_process.loop, &ms_process.pause, MS_PAUSE_MS, ms_pause_end, NULL);
		}
		return;		/* anything else: another worker was faster, or the peer has left */
	}
	/* one connection, then to the end of the queue: the kernel wakes the worker that has waited longest, so
	 * the next one is another's */
	ms_listen(true);
	if (ms_process.pass) {
		ms_pass_new(fd);
		return;
	}
	ev_timer_cancel(ms_process.loop, &ms_process.idle);
	ms_client_new(fd, &peer, NULL);
}

static void
ms_listen(bool on)
{
	for (int i = 0; i < ms_process.listeners; i++)
		if (on && !ms_process.draining)
			ev_io_set(ms_process.loop, &ms_process.listen_io[i], MASTER_LISTEN_FD + i, EV_READ | EV_EXCLUSIVE, ms_accept, NULL);
		else
			ev_io_cancel(ms_process.loop, &ms_process.listen_io[i]);
	if (!on)
		ev_timer_cancel(ms_process.loop, &ms_process.pause);
}

/* ms_look - the kernel wakes one worker for a client. When that one is killed before it accepts, or stands still, nobody
 * else hears of the client until the next one comes; watching anew tells whether one waits. */
static void
ms_look(void *ctx)
{
	(void) ctx;
	if (ms_process.draining)
		return;
	if (ms_process.pause.pos == 0)
		ms_listen(true);
	ev_timer_set(ms_process.loop, &ms_process.look, MS_LOOK_MS, ms_look, NULL);
}

/* start-up */

static void
ms_watchdog_bark(int sig)
{
	(void) sig;
	write_behind_give_up();				/* whatever was interrupted may have its lock */
	msg_fatal("watchdog timeout");
}

static void
ms_watchdog(void *ctx)
{
	(void) ctx;
	alarm((unsigned) (ms_process.params->daemon_timeout / 1000));
	ev_timer_set(ms_process.loop, &ms_process.watchdog, ms_process.params->daemon_timeout / 3, ms_watchdog, NULL);
}

/* ms_jail - drop privileges (root only: an unprivileged instance has none to drop) */
static void
ms_jail(bool chroot_wanted, bool user_wanted)
{
	const char *owner = ms_process.params->mail_owner, *queue = ms_process.params->queue_directory;
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
	struct ms_args a = { .service = ms_process.ops->name };
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
			ms_process.listeners = (int) n;
			break;
		case 't': a.transport = optarg; break;
		case 'u': a.unpriv = true; break;
		case 'v': msg_verbose++; break;
		case 'V': msg_to_stderr(ms_process.ops->name); break;
		case 'D': case 'l': case 'z': case 'r': break;	/* process limits are the master's, debuggers the user's */
		case 'S': msg_fatal("stand-alone mode (-S) is not supported");
		default: msg_fatal("invalid option: %c", optopt);
		}
	if (a.transport == NULL)
		msg_fatal("no transport type: do not run this program by hand, it is started by master(8)");
	ms_process.pass = strcmp(a.transport, "pass") == 0;
	if (ms_process.pass ? !ms_process.ops->pass : strcmp(a.transport, "unix") != 0 && strcmp(a.transport, "inet") != 0)
		msg_fatal("transport type %s is not supported: use %s in master.cf", a.transport,
		    ms_process.ops->pass ? "inet, unix or pass" : "unix or inet");
	return a;
}

static void
ms_generation(void)
{
	const char *text = getenv("GENERATION");
	char   *end;

	if (text == NULL)
		return;
	ms_process.generation = (uint32_t) strtoul(text, &end, 8);
	if (*text == 0 || *end != 0)
		msg_fatal("bad generation: %s", text);
}

static void
ms_descriptors(void)
{
	struct rlimit lim;
	struct stat st;

	for (int fd = MASTER_FLOW_READ; fd < MASTER_LISTEN_FD + ms_process.listeners; fd++) {
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

/* ms_kept - what the master keeps as it was at start */
static void
ms_kept(struct main_cf *cf)
{
	const char *kept = getenv(MASTER_KEPT_ENV);
	struct buf why = BUF_INIT(1024);
	char   *arg;

	for (size_t n; kept != NULL && *kept != 0; kept += n + (kept[n] == '\n')) {
		n = strcspn(kept, "\n");
		arg = mem_strndup(kept, n);
		if (main_cf_set_arg(cf, arg, &why) < 0)
			msg_fatal("%s: %s", MASTER_KEPT_ENV, buf_str(&why));
		mem_free(&arg);
	}
	buf_fini(&why);
	unsetenv(MASTER_KEPT_ENV);
}

void
multi_server_main(int argc, char **argv, const struct multi_server *ops)
{
	const char *dir = getenv("MAIL_CONFIG");
	struct buf why = BUF_INIT(64u << 10);
	struct main_cf *cf;
	struct ms_args args;

	ms_process.ops = ops;
	ms_process.listeners = 1;
	TAILQ_INIT(&ms_process.clients);
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
	ms_kept(cf);
	args = ms_args_parse(argc, argv, cf);
	main_cf_set(cf, "process_name", ops->name);
	main_cf_set(cf, "service_name", args.service);
	if ((ms_process.params = params_load(cf, &why)) == NULL)
		msg_fatal("%s", buf_str(&why));
	if (maillog_init(ops->name, ms_process.params, &why) < 0)
		msg_warn("%s: logging to syslog", buf_str(&why));
	ms_generation();
	ms_process.under_vouch = getenv(MASTER_DRAIN_ENV) != NULL;
	ms_descriptors();
	if (chdir(ms_process.params->queue_directory) < 0)
		msg_fatal("queue_directory %s: %s", ms_process.params->queue_directory, strerror(errno));
	tzset();				/* before the jail: zone files are outside */
	if (ops->pre_jail != NULL)
		ops->pre_jail(ms_process.params, cf);
	ms_jail(args.chroot, args.unpriv);
	ms_process.loop = ev_loop_new();
	ev_signal_set(ms_process.loop, SIGTERM, ms_terminated, NULL);
	ms_process.listen_io = mem_array((size_t) ms_process.listeners, sizeof *ms_process.listen_io);
	for (int i = 0; i < ms_process.listeners; i++)
		sock_nonblock(MASTER_LISTEN_FD + i, true);
	if (ops->start != NULL)
		ops->start(ms_process.loop);
	signal(SIGALRM, ms_watchdog_bark);
	ms_watchdog(NULL);
	ms_idle_start();
	ev_io_set(ms_process.loop, &ms_process.status_io, MASTER_STATUS_FD, EV_READ, ms_status_eof, NULL);
	ms_listen(true);
	ev_timer_set(ms_process.loop, &ms_process.look, MS_LOOK_MS, ms_look, NULL);
	buf_fini(&why);
	ev_run(ms_process.loop);
	msg_flush();
	_exit(0);
}
