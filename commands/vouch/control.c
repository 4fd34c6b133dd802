/* commands/vouch/control.c - start start-fg stop abort reload status check
 * Whether an instance runs is decided by the lock on its pid file, nothing else. main.cf may be in any state for stop,
 * abort and status, as long as it says where the queue directory is.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/master_status.h>
#include <global/pidfile_lock.h>

#include "check.h"
#include "figures.h"

#define CONTROL_STOP_MS	   10000	/* stop waits so long for the master to go */
#define CONTROL_ABORT_MS   1000		/* abort kills after so long */
#define CONTROL_RELOAD_MS  30000	/* reload waits so long for the master's verdict */
#define CONTROL_TICK_MS	   20
#define CONTROL_NAME_TRIES 25		/* ticks for a master to write its pid */

static int64_t
control_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
control_tick(void)
{
	const struct timespec tick = { 0, CONTROL_TICK_MS * 1000000L };

	nanosleep(&tick, NULL);
}

/* control_is_master - whether pid is a program of that name: between taking the lock and writing its pid a master's file
 * names the one before it, and nobody else shall get our signals */
static bool
control_is_master(pid_t pid)
{
	char   *path = mem_printf("/proc/%d/comm", (int) pid);
	struct buf name = BUF_INIT(64);
	bool	is = pid > 0 && buf_read_file(&name, AT_FDCWD, path) == 0 && strcmp(buf_str(&name), "master\n") == 0;

	buf_fini(&name);
	free(path);
	return is;
}

int
vouch_running(const char *queue_directory, pid_t *pid_r)
{
	char   *path = mem_printf("%s/%s", queue_directory, PIDFILE_LOCK_MASTER);
	struct buf why = BUF_INIT(4096);
	pid_t	pid;
	int	running = -1;

	for (int tries = 0; running < 0 && tries < CONTROL_NAME_TRIES; tries++) {
		switch (pidfile_lock_test(path, &pid, &why)) {
		case PIDFILE_FREE:
			running = 0;
			break;
		case PIDFILE_HELD:
			if (control_is_master(pid))
				running = 1;
			else
				control_tick();
			break;
		case PIDFILE_ERROR:
			vouch_sorry("%s: cannot tell whether a master runs", buf_str(&why));
			goto out;
		}
	}
	if (running < 0)
		vouch_sorry("%s is locked, but pid %d in it is no master: end the process that holds it (fuser names it)",
		    path, (int) pid);
	*pid_r = pid;
out:
	buf_fini(&why);
	free(path);
	return running;
}

/* control_gone - wait until no master holds the lock */
static bool
control_gone(const char *queue, int64_t ms)
{
	int64_t end = control_now_ms() + ms;
	pid_t	pid;

	while (vouch_running(queue, &pid) > 0) {
		if (control_now_ms() >= end)
			return false;
		control_tick();
	}
	return true;
}

/* control_mkdir - the parts of queue_directory that are made by the way; owners as Postfix has them, if we are root */
static bool
control_mkdir(const struct params *p)
{
	static const struct { const char *name; mode_t mode; bool owned, grouped; } parts[] = {
		{ "private", 0700, true,  false },
		{ "public",  0710, true,  true },
		{ "pid",     0755, false, false },
	};
	const struct passwd *pw = getpwnam(p->mail_owner);
	const struct group *gr = getgrnam(p->setgid_group);
	struct stat st;
	bool	ok = true;

	for (size_t i = 0; i < NELEM(parts) && ok; i++) {
		char   *path = mem_printf("%s/%s", p->queue_directory, parts[i].name);

		if (lstat(path, &st) < 0) {
			ok = mkdir(path, 0700) == 0 && chmod(path, parts[i].mode) == 0;
			if (ok && geteuid() == 0 && pw != NULL && parts[i].owned)
				ok = chown(path, pw->pw_uid, parts[i].grouped && gr != NULL ? gr->gr_gid : pw->pw_gid) == 0 &&
				    chmod(path, parts[i].mode) == 0;
			if (!ok)
				vouch_sorry("%s: %s: cannot make this part of queue_directory", path, strerror(errno));
		}
		free(path);
	}
	return ok;
}

/* control_ready - everything start does before the master; VOUCH_DONE, or the exit code */
static int
control_ready(struct vouch *v, struct check *c)
{
	pid_t	pid;

	check_run(c, v->config_dir);
	if (c->running) {
		vouch_running(c->params->queue_directory, &pid);
		vouch_sorry("already running, pid %d; see 'vouch reload' and 'vouch stop'", (int) pid);
		return VOUCH_REFUSED;
	}
	if (c->errors > 0) {
		check_verdict(c, "not started");
		return VOUCH_REFUSED;
	}
	return control_mkdir(c->params) ? VOUCH_DONE : VOUCH_REFUSED;
}

/* control_exec - become the master; returns only on failure, which is said */
static void
control_exec(struct vouch *v, const char *option)
{
	char	program[] = "master", dash_c[] = "-c", dash_v[] = "-v", *opt = mem_strdup(option), *dir = mem_strdup(v->config_dir);
	char   *args[] = { program, opt, dash_c, dir, msg_verbose > 0 ? dash_v : NULL, NULL };
	char   *libexec = vouch_libexec(), *path;

	if (libexec != NULL) {
		path = mem_printf("%s/master", libexec);
		setenv("MAIL_CONFIG", v->config_dir, 1);
		execv(path, args);
		vouch_sorry("%s: %s", path, strerror(errno));
		free(path);
	}
	free(libexec);
	free(opt);
	free(dir);
}

static const char *
control_log(const struct params *p)
{
	return p->maillog_file[0] != 0 ? p->maillog_file : "the system log";
}

int
vouch_start(struct vouch *v)
{
	struct check c;
	pid_t	pid;
	int	status, ret = control_ready(v, &c);

	if (ret == VOUCH_DONE) {
		if ((pid = fork()) == 0) {
			control_exec(v, "-w");
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			vouch_sorry("the master did not start; what it said stands above, or in %s", control_log(c.params));
			ret = VOUCH_REFUSED;
		} else if (vouch_running(c.params->queue_directory, &pid) <= 0) {
			vouch_sorry("the master started and has ended already: the reason is in %s", control_log(c.params));
			ret = VOUCH_REFUSED;
		} else {
			vouch_say("started, pid %d, log in %s", (int) pid, control_log(c.params));
		}
	}
	check_fini(&c);
	return ret;
}

int
vouch_start_fg(struct vouch *v)
{
	struct check c;
	int	ret = control_ready(v, &c);

	if (ret == VOUCH_DONE) {
		vouch_say("starting in the foreground, log in %s; end it with Ctrl-C or 'vouch -c %s stop'",
		    control_log(c.params), v->config_dir);
		control_exec(v, getpid() == 1 ? "-i" : "-s");
		ret = VOUCH_REFUSED;
	}
	check_fini(&c);
	return ret;
}

/* control_end - stop and abort: ask, wait, and perhaps kill */
static int
control_end(struct vouch *v, int64_t wait_ms, bool force)
{
	char   *queue = vouch_param(v, "queue_directory");
	pid_t	pid;
	int	running, ret = VOUCH_REFUSED;

	if (queue == NULL || (running = vouch_running(queue, &pid)) < 0)
		goto out;
	if (running == 0) {
		vouch_sorry("not running (%s)", v->config_dir);
		goto out;
	}
	if (kill(pid, SIGTERM) < 0 && errno != ESRCH) {
		vouch_sorry("cannot signal the master, pid %d: %s: run this as root or as the instance's owner", (int) pid,
		    strerror(errno));
		goto out;
	}
	if (!control_gone(queue, wait_ms)) {
		if (!force) {
			vouch_sorry("pid %d is still there after %d s; 'vouch abort' kills it", (int) pid,
			    (int) (wait_ms / 1000));
			goto out;
		}
		kill(pid, SIGKILL);
		if (!control_gone(queue, wait_ms)) {
			vouch_sorry("pid %d is still there after SIGKILL", (int) pid);
			goto out;
		}
		vouch_say("killed, pid was %d", (int) pid);
	} else {
		vouch_say("stopped, pid was %d", (int) pid);
	}
	ret = VOUCH_DONE;
out:
	free(queue);
	return ret;
}

int
vouch_stop(struct vouch *v)
{
	return control_end(v, CONTROL_STOP_MS, false);
}

int
vouch_abort(struct vouch *v)
{
	return control_end(v, CONTROL_ABORT_MS, true);
}

int
vouch_reload_master(const char *queue, pid_t pid)
{
	struct master_status_line before, now;
	int64_t end = control_now_ms() + CONTROL_RELOAD_MS;

	if (master_status_read(queue, &before) < 0) {
		vouch_sorry("%s/%s: %s: the master of this queue directory does not tell how a reload ends; is it "
		    "Postfix's? Nothing was done", queue, MASTER_STATUS_FILE, strerror(errno));
		return VOUCH_REFUSED;
	}
	if (kill(pid, SIGHUP) < 0) {
		vouch_sorry("cannot signal the master, pid %d: %s: run this as root or as the instance's owner", (int) pid,
		    strerror(errno));
		return VOUCH_REFUSED;
	}
	while (master_status_read(queue, &now) < 0 || now.generation == before.generation) {
		if (vouch_running(queue, &pid) <= 0) {
			vouch_sorry("the master, pid %d, has ended: its log says why", (int) pid);
			return VOUCH_REFUSED;
		}
		if (control_now_ms() >= end) {
			vouch_sorry("the master, pid %d, has not answered in %d s", (int) pid, CONTROL_RELOAD_MS / 1000);
			return VOUCH_TEMPORARY;
		}
		control_tick();
	}
	if (!now.ok) {
		vouch_sorry("not reloaded, the old configuration stays in force: %s", now.reason);
		return VOUCH_REFUSED;
	}
	return VOUCH_DONE;
}

int
vouch_reload(struct vouch *v)
{
	struct check c;
	pid_t	pid = 0;
	int	ret = VOUCH_REFUSED;

	check_run(&c, v->config_dir);
	if (c.errors > 0) {
		check_verdict(&c, "not reloaded, the old configuration stays in force");
	} else if (!c.running) {
		vouch_sorry("not running (%s); start it with 'vouch start'", v->config_dir);
	} else {
		vouch_running(c.params->queue_directory, &pid);
		if ((ret = vouch_reload_master(c.params->queue_directory, pid)) == VOUCH_DONE)
			vouch_say("reloaded, pid %d", (int) pid);
	}
	check_fini(&c);
	return ret;
}

size_t
vouch_processes(pid_t master, struct vouch_processes *kinds, size_t max)
{
	struct buf pids = BUF_INIT(1 << 20), comm = BUF_INIT(64);
	size_t	kinds_n = 0, i;
	char   *path = mem_printf("/proc/%d/task/%d/children", (int) master, (int) master), *p, *end;
	long	pid;

	if (buf_read_file(&pids, AT_FDCWD, path) == 0) {
		for (p = pids.data; p != NULL && (pid = strtol(p, &end, 10), end != p); p = end) {
			char   *file = mem_printf("/proc/%ld/comm", pid);

			buf_reset(&comm);
			if (buf_read_file(&comm, AT_FDCWD, file) == 0 && comm.len > 1) {
				buf_cut(&comm, comm.len - 1);
				for (i = 0; i < kinds_n && strcmp(kinds[i].name, buf_str(&comm)) != 0; i++)
					;
				if (i == kinds_n && kinds_n < max) {
					snprintf(kinds[i].name, sizeof(kinds[i].name), "%s", buf_str(&comm));
					kinds[kinds_n++].n = 0;
				}
				if (i < kinds_n)
					kinds[i].n++;
			}
			free(file);
		}
	}
	buf_fini(&pids);
	buf_fini(&comm);
	free(path);
	return kinds_n;
}

int
vouch_status(struct vouch *v)
{
	struct vouch_processes kinds[32];
	char   *queue = vouch_param(v, "queue_directory");
	pid_t	pid = 0;
	size_t	n;
	int	running = queue != NULL ? vouch_running(queue, &pid) : -1;

	free(queue);
	if (running < 0)
		return VOUCH_REFUSED;
	if (running == 0) {
		vouch_say("not running (%s)", v->config_dir);
		return VOUCH_REFUSED;
	}
	vouch_say("running, pid %d", (int) pid);
	n = vouch_processes(pid, kinds, NELEM(kinds));
	for (size_t i = 0; i < n; i++)
		vouch_say("%s: %u process%s", kinds[i].name, kinds[i].n, kinds[i].n == 1 ? "" : "es");
	return VOUCH_DONE;
}

int
vouch_check(struct vouch *v)
{
	struct check c;
	int	ret;

	check_run(&c, v->config_dir);
	check_verdict(&c, v->config_dir);
	ret = c.errors + c.warnings == 0 ? VOUCH_DONE : VOUCH_REFUSED;
	if (ret == VOUCH_DONE)
		vouch_say("%s: no problems found", v->config_dir);
	check_fini(&c);
	return ret;
}
