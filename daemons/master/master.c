/* daemons/master/master.c - start, supervise and reload the daemons that master.cf names
 * This file: command line, locks, standing of the process. What it then does is super.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <global/maillog.h>
#include <global/pidfile_lock.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <util/units.h>

#include "plan.h"
#include "super.h"

#define MASTER_READY_MS	100000		/* how long -w waits */

struct master_options {
	const char *config_dir;
	bool	debug, debugger, init, keep_stdout, test, wait;
	int64_t	end_s;			/* 0: run until told to stop */
};

struct master_locks {
	struct pidfile_lock queue, data;
	char   *data_path;
};

static void __attribute__((noreturn))
master_usage(void)
{
	fprintf(stderr, "usage: master [-c config_dir] [-dDistvw] [-e seconds]\n");
	exit(1);
}

static struct master_options
master_options_parse(int argc, char **argv)
{
	struct master_options o = { .config_dir = getenv("MAIL_CONFIG") };
	int	ch;

	while ((ch = getopt(argc, argv, "c:dDe:istvw")) != -1)
		switch (ch) {
		case 'c': o.config_dir = optarg; break;
		case 'd': o.debug = true; break;
		case 'D': o.debugger = true; break;
		case 'e':
			if (!units_int_parse(optarg, &o.end_s) || o.end_s < 1 || o.end_s > INT_MAX)
				msg_fatal("-e %s: give a number of seconds", optarg);
			break;
		case 'i': o.init = true; break;
		case 's': o.keep_stdout = true; break;
		case 't': o.test = true; break;
		case 'v': msg_verbose++; break;
		case 'w': o.wait = true; break;
		default: master_usage();
		}
	if (optind < argc)
		master_usage();
	if (o.config_dir == NULL || *o.config_dir == 0)
		o.config_dir = params_find("config_directory")->def;
	return o;
}

/* master_clean - start from a known state, whoever called us */
static void
master_clean(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD };
	struct rlimit lim;
	int	fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		;			/* 0, 1 and 2 are open from now on */
	closefrom(STDERR_FILENO + 1);
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);	/* a log file that is too large is a full one */
	for (size_t i = 0; i < NELEM(signals); i++)
		signal(signals[i], SIG_DFL);	/* an ignored signal would never reach the loop */
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* master_null - point these standard descriptors at /dev/null */
static void
master_null(bool in, bool out, bool err)
{
	int	fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || (in && dup2(fd, STDIN_FILENO) < 0) || (out && dup2(fd, STDOUT_FILENO) < 0) ||
	    (err && dup2(fd, STDERR_FILENO) < 0))
		msg_fatal("/dev/null: %s", strerror(errno));
	sock_close(&fd);
}

/* master_fatal_lines - all of why on lines of their own, then the end */
static void __attribute__((noreturn))
master_fatal_lines(const struct buf *why)
{
	const char *p = buf_str(why), *nl;

	while ((nl = strchr(p, '\n')) != NULL && nl[1] != 0) {
		msg_error("%.*s", (int) (nl - p), p);
		p = nl + 1;
	}
	msg_fatal("%.*s", (int) strcspn(p, "\n"), p);
}

static void
master_ignore(void *ctx, const char *text)
{
	(void) ctx;
	(void) text;
}

/* master_test - -t: silent, 0 when no master holds the lock, 1 when one does */
static int
master_test(const char *config_dir)
{
	struct buf why = BUF_INIT(SUPER_WHY_MAX), path = BUF_INIT(PATH_MAX);
	struct main_cf *cf = main_cf_read(config_dir, master_ignore, NULL, &why);
	enum pidfile_lock_result r;
	pid_t	named;

	if (cf == NULL || params_eval(cf, "queue_directory", &path, &why) < 0)
		master_fatal_lines(&why);
	buf_adds(&path, "/" PIDFILE_LOCK_MASTER);
	r = pidfile_lock_test(buf_str(&path), &named, &why);
	if (r == PIDFILE_ERROR)
		master_fatal_lines(&why);
	buf_fini(&path);
	buf_fini(&why);
	main_cf_free(&cf);
	return r == PIDFILE_HELD;
}

/* master_wait - -w: go on in a child; its parent stays until the child is ready, or is no more
 * returns    the descriptor that wants one byte when ready */
static int
master_wait(void)
{
	int	fds[2];
	pid_t	pid;
	char	byte;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		msg_fatal("start in the background: %s", strerror(errno));
	if (pid == 0) {
		sock_close(&fds[0]);
		return fds[1];
	}
	sock_close(&fds[1]);
	if (sock_wait(fds[0], POLLIN, MASTER_READY_MS) == 0) {
		kill(pid, SIGKILL);
		msg_fatal("the master is not ready after %d s, see its log: killed", MASTER_READY_MS / 1000);
	}
	_exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);		/* it has said itself why it ended */
}

/* master_lock - both locks, or a fatal end with everything as it was */
static void
master_lock(struct master_locks *k, const struct plan *p)
{
	struct buf why = BUF_INIT(1000);
	enum pidfile_lock_result r = pidfile_lock_take(PIDFILE_LOCK_MASTER, &k->queue, &why);
	pid_t	named = k->queue.named;
	const char *what = "queue_directory", *dir = p->params->queue_directory;

	k->data_path = mem_printf("%s/%s", p->params->data_directory, PIDFILE_LOCK_DATA);
	if (r == PIDFILE_FREE) {
		/* as mail_owner, whose directory this is: root must not follow what others may have put there */
		if (getuid() == 0 && (setegid(p->gid) < 0 || seteuid(p->uid) < 0))
			msg_fatal("become mail_owner: %s", strerror(errno));
		r = pidfile_lock_take(k->data_path, &k->data, &why);
		if (getuid() == 0 && (seteuid(0) < 0 || setegid(0) < 0))
			msg_fatal("become root again: %s", strerror(errno));
		if (r != PIDFILE_FREE)
			pidfile_lock_drop(PIDFILE_LOCK_MASTER, &k->queue);
		named = k->data.named;
		what = "data_directory";
		dir = p->params->data_directory;
	}
	switch (r) {
	case PIDFILE_FREE:
		return;
	case PIDFILE_HELD:
		msg_fatal("another master is running with %s %s: pid %ld; stop that one, or use another directory", what, dir,
		    (long) named);
	case PIDFILE_ERROR:
		break;
	}
	msg_fatal("%s; %s %s", buf_str(&why), what, dir);
}

static void
master_unlock(struct master_locks *k)
{
	pidfile_lock_drop(k->data_path, &k->data);
	pidfile_lock_drop(PIDFILE_LOCK_MASTER, &k->queue);
}

/* master_room - a master that cannot be named could not be stopped either: better none */
static void
master_room(struct master_locks *k, const struct plan *p)
{
	struct buf why = BUF_INIT(1000);
	bool	queue = pidfile_lock_room(&k->queue, &why) == 0;

	if (queue && pidfile_lock_room(&k->data, &why) == 0)
		return;
	master_unlock(k);
	msg_fatal("%s; make room in %s %s", buf_str(&why), queue ? "data_directory" : "queue_directory",
	    queue ? p->params->data_directory : p->params->queue_directory);
}

static void
master_time_over(void *ctx)
{
	super_stop(ctx, 0);
}

int
main(int argc, char **argv)
{
	struct buf why = BUF_INIT(SUPER_WHY_MAX);
	struct master_locks locks = { { .fd = -1 }, { .fd = -1 }, NULL };
	struct ev_timer end = { 0 };
	struct master_options o;
	struct super s;
	struct plan *plan;
	char	dir[PATH_MAX];
	bool	foreground;
	int	ready = -1;

	master_clean();
	msg_to_stderr("master");
	o = master_options_parse(argc, argv);
	if (realpath(o.config_dir, dir) == NULL)
		msg_fatal("%s: %s; name the configuration directory with -c", o.config_dir, strerror(errno));
	setenv("MAIL_CONFIG", dir, 1);
	if (o.test)
		return master_test(dir);
	maillog_early("master");
	foreground = o.init || o.keep_stdout || o.debug;
	if (o.wait)
		ready = master_wait();
	if (!foreground && !o.debugger)
		setsid();
	if ((plan = plan_load(dir, NULL, &why)) == NULL)
		master_fatal_lines(&why);
	if (chdir(plan->params->queue_directory) < 0)
		msg_fatal("%s: parameter queue_directory: %s: %s; make it (vouch init), or correct the parameter",
		    main_cf_path(plan->cf), plan->params->queue_directory, strerror(errno));
	master_lock(&locks, plan);
	master_room(&locks, plan);

	if (super_init(&s, ev_loop_new(), locks.queue.named, &why) < 0)
		master_fatal_lines(&why);
	s.foreground = foreground;
	s.leads = getsid(0) == getpid();
	s.spawn.debug = o.debug;
	s.spawn.keep_stdout = foreground;
	s.spawn.verbose = msg_verbose > 0;
	if (super_start(&s, &plan, &why) < 0) {
		master_unlock(&locks);
		master_fatal_lines(&why);
	}
	if (pidfile_lock_write(&locks.queue, &why) < 0 || pidfile_lock_write(&locks.data, &why) < 0)
		msg_warn("%s: commands will not find this master", buf_str(&why));
	buf_fini(&why);
	if (o.end_s > 0)
		ev_timer_set(s.loop, &end, o.end_s * 1000, master_time_over, &s);
	if (!o.debug)
		master_null(true, !foreground, !foreground);
	if (ready >= 0 && write(ready, "", 1) != 1)
		msg_warn("who started us does not wait: %s", strerror(errno));
	sock_close(&ready);

	ev_run(s.loop);
	super_fini(&s);
	ev_timer_cancel(s.loop, &end);
	ev_loop_free(&s.loop);
	sock_close(&locks.data.fd);
	sock_close(&locks.queue.fd);
	mem_free(&locks.data_path);
	return 0;
}
