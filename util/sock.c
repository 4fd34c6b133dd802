/* util/sock.c - make, connect and wait on sockets */
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void
sock_close(int *fdp)
{
	int	saved = errno;

	if (*fdp >= 0)
		close(*fdp);
	*fdp = -1;
	errno = saved;
}

static int
sock_unix_addr(struct sockaddr_un *sun, const char *path)
{
	memset(sun, 0, sizeof *sun);
	sun->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof sun->sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun->sun_path, path, strlen(path));
	return 0;
}

int
sock_unix_listen(const char *path, int backlog, mode_t mode)
{
	struct sockaddr_un sun;
	struct stat st;
	int	fd;

	if (sock_unix_addr(&sun, path) < 0)
		return -1;
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode)) {
			errno = EEXIST;
			return -1;
		}
		if (unlink(path) < 0)
			return -1;
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return -1;
	if (bind(fd, (struct sockaddr *) &sun, sizeof sun) < 0 || chmod(path, mode) < 0 || listen(fd, backlog) < 0)
		sock_close(&fd);
	return fd;
}

int
sock_unix_connect(const char *path, bool nonblock)
{
	struct sockaddr_un sun;
	int	fd;

	if (sock_unix_addr(&sun, path) < 0 ||
	    (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0)) < 0)
		return -1;
	if (connect(fd, (struct sockaddr *) &sun, sizeof sun) < 0)
		sock_close(&fd);
	return fd;
}

static int
sock_inet_open(const char *host, const char *port, int flags, int type, struct addrinfo **ai_r)
{
	struct addrinfo hints = { .ai_flags = flags | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	int	fd;

	if (getaddrinfo(host, port, &hints, ai_r) != 0) {
		errno = EINVAL;
		return -1;
	}
	if ((fd = socket((*ai_r)->ai_family, SOCK_STREAM | SOCK_CLOEXEC | type, 0)) < 0)
		freeaddrinfo(*ai_r);
	return fd;
}

int
sock_inet_listen(const char *host, const char *port, int backlog)
{
	struct addrinfo *ai;
	int	fd, on = 1;

	if ((fd = sock_inet_open(host, port, AI_PASSIVE, SOCK_NONBLOCK, &ai)) < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, backlog) < 0)
		sock_close(&fd);
	freeaddrinfo(ai);
	return fd;
}

int
sock_inet_connect(const char *host, const char *port, bool nonblock)
{
	struct addrinfo *ai;
	int	fd;

	if ((fd = sock_inet_open(host, port, 0, nonblock ? SOCK_NONBLOCK : 0, &ai)) < 0)
		return -1;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS)
		sock_close(&fd);
	freeaddrinfo(ai);
	return fd;
}

int
sock_nonblock(int fd, bool on)
{
	int	flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int
sock_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

static long long
sock_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int
sock_wait(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	long long end = sock_now_ms() + timeout_ms, left;
	int	n;

	for (;;) {
		left = timeout_ms < 0 ? -1 : end - sock_now_ms();
		if (timeout_ms >= 0 && left < 0)
			left = 0;
		n = poll(&pfd, 1, (int) left);
		if (n >= 0 || errno != EINTR)
			return n > 0 ? 1 : n;
	}
}

int
sock_write_all(int fd, const void *data, size_t n, int timeout_ms)
{
	const char *p = data;
	long long end = sock_now_ms() + timeout_ms, left;
	ssize_t done;
	int	ready;

	while (n > 0) {
		done = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && errno == ENOTSOCK)
			done = write(fd, p, n);
		if (done >= 0) {
			p += done;
			n -= (size_t) done;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -1;
		left = end - sock_now_ms();
		ready = sock_wait(fd, POLLOUT, left > 0 ? (int) left : 0);
		if (ready == 0)
			errno = ETIMEDOUT;
		if (ready <= 0)
			return -1;
	}
	return 0;
}
