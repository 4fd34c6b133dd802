/* tests/util/sock_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/sock.h>

static struct {
	char	dir[64], path[96];
} fix;

static int
fix_setup(void **state)
{
	(void) state;
	strcpy(fix.dir, "/tmp/vouch-test.XXXXXX");
	if (mkdtemp(fix.dir) == NULL)
		return -1;
	snprintf(fix.path, sizeof fix.path, "%s/socket", fix.dir);
	return 0;
}

static int
fix_teardown(void **state)
{
	(void) state;
	unlink(fix.path);
	return rmdir(fix.dir);
}

static bool
is_nonblock(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static bool
is_cloexec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void
test_unix(void **state)
{
	struct stat st;
	int	l, c, s;

	(void) state;
	l = sock_unix_listen(fix.path, 5, 0622);
	assert_true(l >= 0 && is_nonblock(l) && is_cloexec(l));
	assert_int_equal(stat(fix.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0622);	/* whatever the umask */
	c = sock_unix_connect(fix.path, false);
	assert_true(c >= 0 && !is_nonblock(c) && is_cloexec(c));
	s = accept(l, NULL, NULL);
	assert_true(s >= 0);
	assert_int_equal(write(c, "x", 1), 1);
	assert_int_equal(sock_wait(s, POLLIN, 10000), 1);
	sock_close(&c);
	sock_close(&s);
	c = sock_unix_connect(fix.path, true);
	assert_true(c >= 0 && is_nonblock(c) && is_cloexec(c));
	sock_close(&c);
	sock_close(&l);
	/* the file of one that is gone is replaced */
	assert_int_equal(sock_unix_connect(fix.path, true), -1);
	assert_int_equal(errno, ECONNREFUSED);
	l = sock_unix_listen(fix.path, 5, 0600);
	assert_true(l >= 0);
	sock_close(&l);
}

static void
test_unix_errors(void **state)
{
	char	longest[120];
	int	fd, n;

	(void) state;
	errno = 0;
	assert_int_equal(sock_unix_connect(fix.path, true), -1);
	assert_int_equal(errno, ENOENT);
	/* another kind of file is left alone */
	fd = open(fix.path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(sock_unix_listen(fix.path, 5, 0600), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(access(fix.path, F_OK), 0);
	/* 107 bytes fit sun_path, 108 do not */
	n = (int) strlen(fix.dir);
	snprintf(longest, sizeof longest, "%s/%0*d", fix.dir, 107 - n - 1, 0);
	assert_int_equal(strlen(longest), 107);
	fd = sock_unix_listen(longest, 5, 0600);
	assert_true(fd >= 0);
	sock_close(&fd);
	unlink(longest);
	snprintf(longest, sizeof longest, "%s/%0*d", fix.dir, 108 - n - 1, 0);
	assert_int_equal(sock_unix_listen(longest, 5, 0600), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(sock_unix_connect(longest, true), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	snprintf(longest, sizeof longest, "%s/no/socket", fix.dir);
	assert_int_equal(sock_unix_listen(longest, 5, 0600), -1);
	assert_int_equal(errno, ENOENT);
}

/* a listener whose queue is full: EAGAIN at once, no waiting */
static void
test_unix_full(void **state)
{
	int	l = sock_unix_listen(fix.path, 1, 0600), fd[10], n = 0;

	(void) state;
	while (n < 10 && (fd[n] = sock_unix_connect(fix.path, true)) >= 0)
		n++;
	assert_true(n > 0 && n < 10);
	assert_int_equal(errno, EAGAIN);
	while (n > 0)
		sock_close(&fd[--n]);
	sock_close(&l);
}

static void
test_inet(void **state)
{
	static const struct {
		const char *host;
	} cases[] = { { "127.0.0.1" }, { "::1" } };
	struct sockaddr_storage ss;
	socklen_t len;
	char	port[8];
	int	l, c, s;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		if ((l = sock_inet_listen(cases[i].host, "0", 5)) < 0 && i == 1 &&
		    (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) {
			print_message("SKIP ::1: this host has no IPv6\n");
			continue;
		}
		assert_true(l >= 0 && is_nonblock(l) && is_cloexec(l));
		len = sizeof ss;
		getsockname(l, (struct sockaddr *) &ss, &len);
		snprintf(port, sizeof port, "%d", ntohs(ss.ss_family == AF_INET ?
		    ((struct sockaddr_in *) &ss)->sin_port : ((struct sockaddr_in6 *) &ss)->sin6_port));
		c = sock_inet_connect(cases[i].host, port, true);
		assert_true(c >= 0 && is_nonblock(c) && is_cloexec(c));
		assert_int_equal(sock_wait(l, POLLIN, 10000), 1);
		s = accept(l, NULL, NULL);
		assert_true(s >= 0);
		/* the port is ours alone */
		assert_int_equal(sock_inet_listen(cases[i].host, port, 5), -1);
		assert_int_equal(errno, EADDRINUSE);
		sock_close(&c);
		sock_close(&s);
		sock_close(&l);
		c = sock_inet_connect(cases[i].host, port, false);
		assert_int_equal(c, -1);
		assert_int_equal(errno, ECONNREFUSED);
	}
	errno = 0;
	assert_int_equal(sock_inet_listen("localhost", "0", 5), -1);	/* no look-ups here */
	assert_int_equal(errno, EINVAL);
	assert_int_equal(sock_inet_connect("127.0.0.1", "smtp", true), -1);
	assert_int_equal(errno, EINVAL);
}

static void
test_flags(void **state)
{
	int	fd = dup(0), gone = -1;

	(void) state;
	assert_int_equal(sock_cloexec(fd, true), 0);
	assert_true(is_cloexec(fd));
	assert_int_equal(sock_cloexec(fd, false), 0);
	assert_false(is_cloexec(fd));
	sock_close(&fd);
	assert_int_equal(fd, -1);
	errno = EPIPE;
	sock_close(&gone);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(sock_nonblock(-1, true), -1);
	assert_int_equal(sock_cloexec(-1, true), -1);
}

static long long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
test_wait(void **state)
{
	int	fd[2];
	long long start = now_ms();

	(void) state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(sock_wait(fd[0], POLLIN, 0), 0);
	assert_int_equal(sock_wait(fd[0], POLLIN, 30), 0);
	assert_true(now_ms() - start >= 30);
	assert_int_equal(sock_wait(fd[0], POLLOUT, -1), 1);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(sock_wait(fd[0], POLLIN, -1), 1);
	sock_close(&fd[1]);
	assert_int_equal(sock_wait(fd[0], POLLIN, -1), 1);
	sock_close(&fd[0]);
}

/* a peer that does not read: time-out, not for ever; blocking descriptor or not */
static void
test_write_all_timeout(void **state)
{
	char   *data = mem_alloc(4 << 20);
	int	fd[2];

	(void) state;
	for (int nonblock = 0; nonblock < 2; nonblock++) {
		long long start = now_ms();

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		sock_nonblock(fd[0], nonblock);
		assert_int_equal(sock_write_all(fd[0], data, 4 << 20, 30), -1);
		assert_int_equal(errno, ETIMEDOUT);
		assert_true(now_ms() - start >= 30);
		assert_true(now_ms() - start < 10000);
		assert_int_equal(is_nonblock(fd[0]), nonblock);
		sock_close(&fd[1]);
		assert_int_equal(sock_write_all(fd[0], data, 10, 30), -1);	/* no SIGPIPE */
		assert_int_equal(errno, EPIPE);
		sock_close(&fd[0]);
	}
	mem_free(&data);
}

/* a peer that reads slowly gets every byte, in order; and a pipe is no socket, but works */
static void
test_write_all(void **state)
{
	enum { SIZE = 3 << 20 };
	unsigned char *data = mem_alloc(SIZE);

	(void) state;
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (unsigned char) (i * 7 + i / 256);
	for (int kind = 0; kind < 2; kind++) {
		int	fd[2], status;
		pid_t	pid;

		if (kind == 0)
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		else
			assert_int_equal(pipe(fd), 0);
		if ((pid = fork()) == 0) {
			unsigned char chunk[5000];
			size_t	pos = 0;
			ssize_t n;

			close(fd[1]);
			while ((n = read(fd[0], chunk, sizeof chunk)) > 0) {
				if (memcmp(chunk, data + pos, (size_t) n) != 0)
					_exit(1);
				pos += (size_t) n;
			}
			_exit(pos == SIZE ? 0 : 2);
		}
		sock_close(&fd[0]);
		assert_int_equal(sock_write_all(fd[1], data, SIZE, 20000), 0);
		assert_int_equal(sock_write_all(fd[1], data, 0, 0), 0);
		sock_close(&fd[1]);
		waitpid(pid, &status, 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	mem_free(&data);
}

int
main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(test_unix),
		T(test_unix_errors),
		T(test_unix_full),
		T(test_inet),
		T(test_flags),
		T(test_wait),
		T(test_write_all_timeout),
		T(test_write_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
