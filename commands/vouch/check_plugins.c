/* commands/vouch/check_plugins.c - the plugins files of smtpd(8): asked of smtpd itself, which alone knows its plugins
 * A reload with a file that is no good would leave a service without workers.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/sock.h>

#include "check.h"
#include "vouch.h"

#define CHECK_PLUGINS_MS	10000	/* a plugin that needs longer to read its settings is left alone */
#define CHECK_PLUGINS_OUT	(64u << 10)

/* check_is_ours - whether the program of this entry is the smtpd that belongs to this command; Postfix has one of that name */
static bool
check_is_ours(const struct check *c, const struct master_cf_entry *s)
{
	char   *own = vouch_libexec(), *ours = NULL, *theirs = NULL, *path;
	const char *slash = strrchr(s->command, '/');
	bool	same = false;

	if (own != NULL && strcmp(slash != NULL ? slash + 1 : s->command, "smtpd") == 0) {
		path = mem_printf("%s/smtpd", own);
		ours = realpath(path, NULL);
		mem_free(&path);
		path = mem_printf("%s/%s", c->params->daemon_directory, s->command);
		theirs = realpath(path, NULL);
		mem_free(&path);
		same = ours != NULL && theirs != NULL && strcmp(ours, theirs) == 0;
	}
	free(own);
	free(ours);
	free(theirs);
	return same;
}

/* check_plugins_exec - in the child: "smtpd -c DIR [-o NAME=VALUE ...] -t" */
static void __attribute__((noreturn))
check_plugins_exec(const struct check *c, const struct master_cf_entry *s, const char *path, int out)
{
	const char **argv = mem_array(s->argc + 6, sizeof *argv);
	size_t	n = 0;

	argv[n++] = path;
	argv[n++] = "-c";
	argv[n++] = c->config_dir;
	for (size_t i = 0; i < s->argc && s->argv[i][0] == '-'; i++) {
		if (strncmp(s->argv[i], "-o", 2) != 0)
			continue;
		argv[n++] = s->argv[i];
		if (s->argv[i][2] == 0 && i + 1 < s->argc)
			argv[n++] = s->argv[++i];
	}
	argv[n++] = "-t";
	argv[n] = NULL;
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execv(path, (char *const *) (uintptr_t) argv);
	_exit(127);
}

static int64_t
check_plugins_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* check_plugins_wait - what it says until it ends: its exit status, or -1 when it takes too long */
static int
check_plugins_wait(pid_t pid, int fd, struct buf *said)
{
	int64_t end = check_plugins_now() + CHECK_PLUGINS_MS;
	char	data[4096];
	ssize_t n = 1;
	int	status;

	while (n > 0 && sock_wait(fd, POLLIN, (int) (end > check_plugins_now() ? end - check_plugins_now() : 0)) == 1)
		if ((n = read(fd, data, sizeof data)) > 0)
			buf_add(said, data, (size_t) n);
	if (n != 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return n == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
check_plugins_of(struct check *c, const struct master_cf_entry *s)
{
	char   *path = mem_printf("%s/%s", c->params->daemon_directory, s->command), *line, *next;
	struct buf said = BUF_INIT(CHECK_PLUGINS_OUT);
	int	fds[2], status = -1;
	pid_t	pid;

	if (pipe(fds) == 0) {
		if ((pid = fork()) == 0)
			check_plugins_exec(c, s, path, fds[1]);
		close(fds[1]);
		if (pid > 0)
			status = check_plugins_wait(pid, fds[0], &said);
		close(fds[0]);
	}
	for (next = said.data; status != 0 && next != NULL && (line = strsep(&next, "\n")) != NULL; )
		if (strncmp(line, "smtpd: fatal: ", 14) == 0)
			check_error(c, "%s/master.cf: line %u: service %s: %s", c->config_dir, s->line, s->name, line + 14);
	if (status < 0)
		check_error(c, "%s/master.cf: line %u: service %s: \"%s -c %s -t\" does not end as it should: try it", c->config_dir, s->line,
		    s->name, path, c->config_dir);
	buf_fini(&said);
	free(path);
}

void
check_plugins(struct check *c)
{
	const struct master_cf_entry *s;

	TAILQ_FOREACH(s, &c->services, link)
		if (check_is_ours(c, s))
			check_plugins_of(c, s);
}
