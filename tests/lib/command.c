/* tests/lib/command.c - run a program as its user would, and keep what it said */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <tests/lib/command.h>

#define COMMAND_ARGS_MAX 64

static long
command_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* command_place - $variable, or a folder of the tree that this test was built in; heap */
static char *
command_place(const char *variable, const char *folder)
{
	const char *dir = getenv(variable);
	char	exe[4096], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (dir != NULL || n < 0)
		return mem_strdup(dir != NULL ? dir : folder);
	exe[n] = 0;
	for (int up = 1; up <= 4; up++) {	/* obj/tests/commands/x_test, or one deeper: obj/san/... */
		*strrchr(exe, '/') = 0;
		mem_free(&path);
		path = mem_printf("%s/%s", exe, folder);
		if (command_exists(path))
			break;
	}
	return path;
}

char *
command_path(const char *program)
{
	char   *dir = command_place("VOUCH_BIN", "bin");
	char   *path = strchr(program, '/') != NULL ? mem_strdup(program) : mem_printf("%s/%s", dir, program);

	free(dir);
	return path;
}

static void
command_child(const struct command *c, char **argv, int out, int err)
{
	dup2(out, 1);
	dup2(err, 2);
	if (c->uid != 0 && (setgid(c->uid) < 0 || setuid(c->uid) < 0))
		_exit(126);
	unsetenv("MAIL_CONFIG");
	execv(argv[0], argv);
	_exit(127);
}

/* command_drain - take what is there; false at end of file */
static bool
command_drain(int fd, struct buf *b)
{
	char	chunk[8192];
	ssize_t n = read(fd, chunk, sizeof chunk);

	if (n > 0)
		buf_add(b, chunk, (size_t) n);
	return n > 0;
}

/* command_collect - output and exit status; false when it took too long
 * A daemon that stays behind with our pipes open must not keep us waiting: once the program has ended, what is there counts */
static bool
command_collect(struct command *c, pid_t pid, int out, int err, int *status_r)
{
	struct pollfd fds[2] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };
	long	begin = command_now_ms();
	bool	ended = false;

	while (!ended) {
		if (command_now_ms() - begin > COMMAND_LIMIT_MS)
			return false;
		ended = waitpid(pid, status_r, WNOHANG) == pid;
		while (poll(fds, 2, ended ? 0 : 10) > 0) {
			if (fds[0].revents != 0 && !command_drain(out, &c->out))
				fds[0].fd = -1;
			if (fds[1].revents != 0 && !command_drain(err, &c->err))
				fds[1].fd = -1;
		}
	}
	return true;
}

void
command_run(struct command *c, const char *program, ...)
{
	char   *argv[COMMAND_ARGS_MAX], *path = command_path(program);
	int	out[2], err[2], status = 0, argc = 0;
	long	begin = command_now_ms();
	bool	in_time;
	va_list ap;
	pid_t	pid = -1;

	argv[argc++] = path;
	va_start(ap, program);
	while (argc < COMMAND_ARGS_MAX - 1 && (argv[argc] = va_arg(ap, char *)) != NULL)
		argc++;
	va_end(ap);
	argv[argc] = NULL;
	buf_init(&c->out, 1 << 20);
	buf_init(&c->err, 1 << 20);
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	if (pid == 0)
		command_child(c, argv, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	in_time = command_collect(c, pid, out[0], err[0], &status);
	if (!in_time) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	close(out[0]);
	close(err[0]);
	c->ms = command_now_ms() - begin;
	c->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (!in_time)
		fail_msg("%s %s: not done in %d ms; said:\n%s%s", path, argc > 1 ? argv[argc - 1] : "", COMMAND_LIMIT_MS,
		    buf_str(&c->out), buf_str(&c->err));
	free(path);
}

void
command_fini(struct command *c)
{
	buf_fini(&c->out);
	buf_fini(&c->err);
}

void
command_want(const struct command *c, const char *name, int code, const char *texts)
{
	char   *list = mem_strdup(texts), *save = NULL;

	if (c->code != code)
		fail_msg("%s: got exit status %d, want %d; said:\n%s%s", name, c->code, code, buf_str(&c->out),
		    buf_str(&c->err));
	for (char *t = strtok_r(list, "|", &save); t != NULL; t = strtok_r(NULL, "|", &save))
		if (strstr(buf_str(&c->out), t) == NULL && strstr(buf_str(&c->err), t) == NULL)
			fail_msg("%s: want \"%s\", got:\n%s%s", name, t, buf_str(&c->out), buf_str(&c->err));
	free(list);
}

char *
command_dir(void)
{
	const char *tmp = getenv("TMPDIR");
	char   *dir = mem_printf("%s/vouch-test.XXXXXX", tmp != NULL ? tmp : "/tmp"), *real = NULL;

	if (mkdtemp(dir) == NULL || chmod(dir, 0755) < 0 || (real = realpath(dir, NULL)) == NULL)
		fail_msg("%s: %s", dir, strerror(errno));
	free(dir);
	return real;
}

static int
command_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void) st, (void) kind, (void) ftw;
	return remove(path);
}

void
command_remove(char **dir)
{
	if (*dir != NULL)
		nftw(*dir, command_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	mem_free(dir);
}

char *
command_install(const char *dir)
{
	char   *bin = command_place("VOUCH_BIN", "bin"), *libexec = command_place("VOUCH_LIBEXEC", "libexec");
	char   *script = mem_printf("set -e; umask 022; mkdir -p '%s/libexec'; cp -r '%s' '%s/bin'; "
		    "cp -r '%s' '%s/libexec/vouch'", dir, bin, dir, libexec, dir);
	struct command c = { 0 };

	command_run(&c, "/bin/sh", "-c", script, NULL);
	command_want(&c, script, 0, "");
	command_fini(&c);
	free(bin);
	free(libexec);
	free(script);
	return mem_printf("%s/bin/vouch", dir);
}

static void
command_put(const char *path, const char *text, const char *mode)
{
	FILE   *fp = fopen(path, mode);

	if (fp == NULL || fputs(text, fp) < 0 || fclose(fp) != 0)
		fail_msg("%s: %s", path, strerror(errno));
}

void
command_write(const char *path, const char *text)
{
	command_put(path, text, "w");
}

void
command_append(const char *path, const char *text)
{
	command_put(path, text, "a");
}

char *
command_read(const char *path)
{
	struct buf b = BUF_INIT(16 << 20);

	if (buf_read_file(&b, AT_FDCWD, path) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return b.data != NULL ? buf_take(&b) : mem_strdup("");
}

bool
command_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}
