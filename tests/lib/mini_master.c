/* tests/lib/mini_master.c - just enough of a master to run one daemon under the child contract */
#include "mini_master.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <global/master_proto.h>
#include <util/buf.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

static void
mini_mkdir(const struct mini_master *m, const char *sub, uid_t owner, mode_t mode)
{
	char   *path = mem_printf("%s/%s", m->dir, sub);

	if (mkdir(path, mode) < 0 || chmod(path, mode) < 0 || (geteuid() == 0 && chown(path, owner, (gid_t) -1) < 0))
		msg_fatal("mini_master: %s: %s", path, strerror(errno));
	mem_free(&path);
}

static void
mini_endpoints(struct mini_master *m, const char *name)
{
	int	pair[2];

	snprintf(m->socket, sizeof m->socket, "%s/queue/private/%s", m->dir, name);
	if ((m->listen_fd = sock_unix_listen(m->socket, 1000, 0666)) < 0 || pipe2(m->flow, O_NONBLOCK | O_CLOEXEC) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		msg_fatal("mini_master: %s", strerror(errno));
	m->status_fd = pair[0];
	m->child_status_fd = pair[1];
}

void
mini_master_init(struct mini_master *m, const char *extra, bool postfix)
{
	struct passwd *pw = postfix && geteuid() == 0 ? getpwnam("postfix") : getpwuid(geteuid());
	/* Postfix's daemons do not begin before main.cf has rested for a second by the clock on the wall */
	const struct timespec rested[2] = { { .tv_sec = time(NULL) - 3600 }, { .tv_sec = time(NULL) - 3600 } };
	char   *path;
	FILE   *fp;

	memset(m, 0, sizeof *m);
	m->vouch = !postfix;
	strcpy(m->dir, "/tmp/vouch-test.XXXXXX");
	if (pw == NULL || mkdtemp(m->dir) == NULL || chmod(m->dir, 0755) < 0)
		msg_fatal("mini_master: %s: %s", m->dir, strerror(errno));
	mini_mkdir(m, "etc", 0, 0755);
	mini_mkdir(m, "queue", 0, 0755);
	mini_mkdir(m, "queue/pid", 0, 0755);
	mini_mkdir(m, "queue/private", pw->pw_uid, 0700);
	mini_mkdir(m, "queue/public", pw->pw_uid, 0755);
	mini_mkdir(m, "data", pw->pw_uid, 0700);
	path = mem_printf("%s/etc/main.cf", m->dir);
	if ((fp = fopen(path, "w")) == NULL)
		msg_fatal("mini_master: %s: %s", path, strerror(errno));
	fprintf(fp, "queue_directory = %s/queue\ndata_directory = %s/data\nmail_owner = %s\n"
	    "compatibility_level = 3.6\nmyhostname = mx.test\naddress_verify_map =\n"
	    "maillog_file = %s/log\nmaillog_file_prefixes = /tmp\n%s",
	    m->dir, m->dir, pw->pw_name, m->dir, extra);
	fclose(fp);
	if (utimensat(AT_FDCWD, path, rested, 0) < 0)
		msg_fatal("mini_master: %s: %s", path, strerror(errno));
	mem_free(&path);
	mini_endpoints(m, "verify");
}

void
mini_master_twin(struct mini_master *twin, const struct mini_master *m, const char *name)
{
	memset(twin, 0, sizeof *twin);
	memcpy(twin->dir, m->dir, sizeof twin->dir);
	twin->vouch = m->vouch;
	twin->twin = true;
	mini_endpoints(twin, name);
}

static void __attribute__((noreturn))
mini_child(const struct mini_master *m, const char *program, const char *const *args)
{
	int	from[] = { m->flow[0], m->flow[1], m->child_status_fd, m->listen_fd }, null;
	const char *argv[32] = { "verify", "-l", "-t", "unix", "-u" };
	size_t	n = 5;
	char   *queue = mem_printf("%s/queue", m->dir), *config = mem_printf("%s/etc", m->dir);

	for (size_t i = 0; i < NELEM(from); i++)
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 64);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= 2; fd++)
		if (fd != 2 || getenv("MINI_MASTER_STDERR") == NULL)
			dup2(null, fd);
	for (int i = 0; i < (int) NELEM(from); i++)
		dup2(from[i], MASTER_FLOW_READ + i);
	for (; args != NULL && *args != NULL && n < NELEM(argv) - 1; args++)
		argv[n++] = *args;
	if (chdir(queue) < 0)
		_exit(99);
	umask(077);
	setenv("MAIL_CONFIG", config, 1);
	setenv("GENERATION", "115", 1);
	unsetenv("POSTLOG_SERVICE");
	if (m->vouch)
		setenv(MASTER_DRAIN_ENV, "3000", 1);
	execv(program, (char *const *) argv);
	_exit(98);
}

void
mini_master_start(struct mini_master *m, const char *program, const char *const *args)
{
	if ((m->pid = fork()) < 0)
		msg_fatal("mini_master: fork: %s", strerror(errno));
	if (m->pid == 0)
		mini_child(m, program, args);
}

pid_t
mini_master_reload(struct mini_master *m)
{
	pid_t	old = m->pid;
	int	pair[2];

	sock_close(&m->status_fd);
	sock_close(&m->child_status_fd);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		msg_fatal("mini_master: %s", strerror(errno));
	m->status_fd = pair[0];
	m->child_status_fd = pair[1];
	m->pid = 0;
	return old;
}

void
mini_master_kill(struct mini_master *m)
{
	if (m->pid == 0)
		return;
	kill(m->pid, SIGKILL);
	while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
		;
	m->pid = 0;
}

void
mini_master_fini(struct mini_master *m)
{
	char   *cmd = mem_printf("rm -rf %s", m->dir);

	mini_master_kill(m);
	sock_close(&m->listen_fd);
	sock_close(&m->status_fd);
	sock_close(&m->child_status_fd);
	sock_close(&m->flow[0]);
	sock_close(&m->flow[1]);
	if (!m->twin && system(cmd) != 0)
		msg_warn("mini_master: %s is left behind", m->dir);
	mem_free(&cmd);
}

int
mini_master_connect(const struct mini_master *m)
{
	char	reports[4096];
	int	fd = sock_unix_connect(m->socket, false);

	/* a daemon that reports each request stops when nobody reads its reports */
	while (recv(m->status_fd, reports, sizeof reports, MSG_DONTWAIT) > 0)
		;
	if (fd < 0)
		msg_fatal("mini_master: connect %s: %s", m->socket, strerror(errno));
	return fd;
}

char *
mini_master_log(const struct mini_master *m)
{
	struct buf b = BUF_INIT(64u << 20);
	char   *path = mem_printf("%s/log", m->dir);

	buf_read_file(&b, AT_FDCWD, path);
	mem_free(&path);
	return buf_take(&b);
}

char *
test_libexec(const char *name)
{
	const char *dir = getenv("VOUCH_LIBEXEC");

	return dir != NULL ? mem_printf("%s/%s", dir, name) : NULL;
}

size_t
test_read_some(int fd, char *data, size_t size, size_t until, int ms)
{
	struct timespec ts;
	long long end, left;
	size_t	len = 0;
	ssize_t n;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	end = (long long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + ms;
	while (len < until && len < size) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		left = end - ((long long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
		if (left < 0 || sock_wait(fd, POLLIN, (int) left) != 1)
			break;
		if ((n = read(fd, data + len, size - len)) <= 0)
			break;
		len += (size_t) n;
	}
	return len;
}
