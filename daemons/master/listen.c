/* daemons/master/listen.c - the endpoint of one service */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <global/master_former.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define LISTEN_BACKLOG	4096		/* a burst must wait in the queue, not be refused; the kernel has its own, lower limit */
#define LISTEN_SOCK_MODE 0666		/* the directory decides who may connect */
#define LISTEN_FIFO_MODE 0622

/* whose files these are */

static void
listen_become(const struct listen_user *u)
{
	if (getuid() == 0 && (setegid(u->gid) < 0 || seteuid(u->uid) < 0))
		msg_panic("cannot become mail_owner: %s", strerror(errno));
}

static void
listen_become_root(void)
{
	if (getuid() == 0 && (seteuid(0) < 0 || setegid(0) < 0))
		msg_panic("cannot become root again: %s", strerror(errno));
}

/* local endpoints */

/* listen_answers - whether a process listens on this socket, other than workers that a dead master has left
 * pid_r     who made it a listener, 0 when the kernel does not tell */
static bool
listen_answers(const char *path, int type, pid_t former, pid_t *pid_r)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct ucred cred;
	socklen_t len = sizeof cred;
	bool	yes;
	int	fd;

	*pid_r = 0;
	memcpy(sun.sun_path, path, strlen(path));	/* plan.c has looked at the length */
	if ((fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return true;				/* cannot tell: the safe answer */
	yes = connect(fd, (struct sockaddr *) &sun, sizeof sun) == 0;
	if (yes && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		*pid_r = cred.pid;
	if (yes && master_former_made(fd, former))
		yes = false;				/* they have it open while they leave: the name is free all the same */
	else if (!yes && errno == EPROTOTYPE && type == SOCK_STREAM)
		yes = listen_answers(path, SOCK_DGRAM, former, pid_r);
	else if (!yes)
		yes = errno != ECONNREFUSED && errno != ENOENT;		/* EAGAIN: its queue is full */
	sock_close(&fd);
	return yes;
}

static bool
listen_fifo_read(const char *path)
{
	int	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno != ENXIO && errno != ENOENT;
	sock_close(&fd);
	return true;
}

/* listen_clear - remove what an earlier master has left at path; 0, or -1 with why when it is something else */
static int
listen_clear(const char *path, const struct listen_user *u, struct buf *why)
{
	struct stat st;
	pid_t	pid = 0;
	bool	taken;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		buf_addf(why, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (!S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode)) {
		buf_addf(why, "%s is in the way, it is no socket; remove it", path);
		return -1;
	}
	taken = S_ISSOCK(st.st_mode) ? listen_answers(path, SOCK_STREAM, u->former, &pid) : listen_fifo_read(path);
	if (taken && pid == getpid())
		buf_addf(why, "%s is still in use for a service of another type; remove that, reload, then add this one", path);
	else if (taken) {
		buf_addf(why, "%s is in use by another process", path);
		if (pid != 0)
			buf_addf(why, " (pid %ld)", (long) pid);
		buf_adds(why, "; end that, or use another queue_directory");
	} else if (unlink(path) < 0 && errno != ENOENT)
		buf_addf(why, "cannot remove the old %s: %s", path, strerror(errno));
	else
		return 0;
	return -1;
}

static int
listen_dgram(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int	fd;

	memcpy(sun.sun_path, path, strlen(path));
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return -1;
	if (bind(fd, (struct sockaddr *) &sun, sizeof sun) < 0 || chmod(path, LISTEN_SOCK_MODE) < 0)
		sock_close(&fd);
	return fd;
}

/* listen_fifo - open for writing as well: it never comes to an end of file, whoever writes */
static int
listen_fifo(const char *path)
{
	struct stat st;
	int	fd;

	if (mkfifo(path, 0600) < 0)
		return -1;
	if ((fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) || fchmod(fd, LISTEN_FIFO_MODE) < 0)
		sock_close(&fd);
	return fd;
}

static int
listen_open_local(struct listen *l, const struct plan_service *s, const struct listen_user *u, struct buf *why)
{
	struct stat st;
	int	fd = -1;

	if (listen_clear(s->id, u, why) < 0)
		return -1;
	switch (s->entry->type) {
	case MASTER_UNIX:
	case MASTER_PASS:
		fd = sock_unix_listen(s->id, LISTEN_BACKLOG, LISTEN_SOCK_MODE);
		break;
	case MASTER_UNIX_DGRAM:
		fd = listen_dgram(s->id);
		break;
	case MASTER_FIFO:
		fd = listen_fifo(s->id);
		break;
	case MASTER_INET:
		msg_panic("listen_open_local: an inet service");
	}
	if (fd < 0 || lstat(s->id, &st) < 0) {
		buf_addf(why, "cannot make %s: %s", s->id, strerror(errno));
		if (errno == ENOENT)
			buf_addf(why, "; is there a directory %s in queue_directory?", s->entry->is_private ? "private" : "public");
		sock_close(&fd);
		return -1;
	}
	l->path = mem_strdup(s->id);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->fds = mem_array(1, sizeof *l->fds);
	l->fds[l->n++] = fd;
	return 0;
}

/* inet endpoints */

static void
listen_reuseport(int fd, bool on)
{
	int	value = on;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value);
}

/* listen_inet - as sock_inet_listen, next to one that allows it (listen_share); afterwards exclusive like any other */
static int
listen_inet(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *ai;
	int	fd, on = 1;

	if (getaddrinfo(host, port, &hints, &ai) != 0) {
		errno = EINVAL;
		return -1;
	}
	if ((fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) >= 0) {
		listen_reuseport(fd, true);
		if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		    (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
		    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
			sock_close(&fd);
		else
			listen_reuseport(fd, false);
	}
	freeaddrinfo(ai);
	return fd;
}

static int
listen_open_inet(struct listen *l, const struct plan_service *s, const struct listen_user *u, bool share, struct buf *why)
{
	const struct inet_endpoint *e = &s->inet;
	int	fd;

	l->fds = mem_array(e->hosts_n, sizeof *l->fds);
	for (size_t i = 0; i < e->hosts_n; i++) {
		int64_t	end_ms = 0;

		/* only at start, when there is nobody yet whom waiting could harm */
		while ((fd = sock_inet_listen(e->hosts[i], e->port, LISTEN_BACKLOG)) < 0 && errno == EADDRINUSE && !share &&
		    master_former_wait(u->former, &end_ms))
			;
		if (fd < 0 && errno == EADDRINUSE && share)
			fd = listen_inet(e->hosts[i], e->port);
		if (fd < 0) {
			buf_addf(why, "cannot listen on %s port %s: %s%s", e->hosts[i], e->port, strerror(errno),
			    errno == EADDRINUSE ? "; end the process that does (ss -tlnp shows it), or choose another port" :
			    errno == EACCES ? "; ports below 1024 need root" :
			    errno == EADDRNOTAVAIL ? "; this host has no such address" : "");
			return -1;
		}
		l->fds[l->n++] = fd;
	}
	return 0;
}

int
listen_open(struct listen *l, const struct plan_service *s, const struct listen_user *u, bool share, struct buf *why)
{
	int	ret;

	*l = (struct listen) { .n = 0 };
	if (s->entry->type == MASTER_INET)
		ret = listen_open_inet(l, s, u, share, why);
	else {
		listen_become(u);
		ret = listen_open_local(l, s, u, why);
		listen_become_root();
	}
	if (ret < 0)
		listen_close(l, u);
	return ret;
}

void
listen_close(struct listen *l, const struct listen_user *u)
{
	struct stat st;

	for (size_t i = 0; i < l->n; i++) {
		if (l->path == NULL)
			shutdown(l->fds[i], SHUT_RDWR);	/* for processes that hold it as well: the port is free at once */
		sock_close(&l->fds[i]);
	}
	if (l->path != NULL) {
		listen_become(u);
		if (lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
			unlink(l->path);
		listen_become_root();
	}
	mem_free(&l->fds);
	mem_free(&l->path);
	l->n = 0;
}

void
listen_share(struct listen *l, bool on)
{
	if (l->path == NULL)
		for (size_t i = 0; i < l->n; i++)
			listen_reuseport(l->fds[i], on);
}
