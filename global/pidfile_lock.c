/* global/pidfile_lock.c - a file that is locked while its process lives, and names it */
#include "pidfile_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <util/sock.h>

#define PIDFILE_TRIES	 10	/* a test holds the lock for microseconds: it must not look like a second master */
#define PIDFILE_PAUSE_MS 20
#define PIDFILE_WIDTH	 32	/* columns of the number, then a newline: as Postfix writes it */

/* pidfile_lock_fail - "PATH: reason", -1 closed */
static enum pidfile_lock_result
pidfile_lock_fail(const char *path, const char *reason, int *fdp, struct buf *why)
{
	buf_addf(why, "lock file %s: %s", path, reason);
	sock_close(fdp);
	return PIDFILE_ERROR;
}

/* pidfile_lock_odd - what is wrong with the open file, NULL when nothing: we are going to write into it, as root perhaps */
static const char *
pidfile_lock_odd(int fd, struct stat *st)
{
	if (fstat(fd, st) < 0)
		return strerror(errno);
	if (!S_ISREG(st->st_mode))
		return "it is not a regular file: remove it";
	if (st->st_nlink > 1)
		return "the file has several names: remove it";
	return NULL;
}

static pid_t
pidfile_lock_named(int fd)
{
	char	text[64] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	char   *end;
	long	pid;

	if (n <= 0)
		return 0;
	pid = strtol(text, &end, 10);
	return pid > 0 && pid <= 0x7fffffff && (*end == '\n' || *end == 0) ? (pid_t) pid : 0;
}

/* pidfile_lock_try - lock without waiting: 1 done, 0 somebody else has it, -1 errno */
static int
pidfile_lock_try(int fd, int how)
{
	int	ret;

	while ((ret = flock(fd, how | LOCK_NB)) < 0 && errno == EINTR)
		;
	return ret == 0 ? 1 : errno == EWOULDBLOCK ? 0 : -1;
}

static const char *
pidfile_lock_reason(int error)
{
	return error == ELOOP ? "it is a symbolic link: remove it" : strerror(error);
}

enum pidfile_lock_result
pidfile_lock_take(const char *path, struct pidfile_lock *l, struct buf *why)
{
	struct timespec pause = { .tv_nsec = PIDFILE_PAUSE_MS * 1000000L };
	struct stat st, now;
	const char *odd;
	int	got = 0;

	*l = (struct pidfile_lock) { .fd = -1 };
	for (int try = 0; try < PIDFILE_TRIES; try++) {
		l->created = false;
		if ((l->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0 && errno == ENOENT) {
			l->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
			l->created = l->fd >= 0;
			if (l->fd < 0 && errno == EEXIST)
				continue;		/* somebody made it just now */
		}
		if (l->fd < 0)
			return pidfile_lock_fail(path, pidfile_lock_reason(errno), &l->fd, why);
		if ((odd = pidfile_lock_odd(l->fd, &st)) != NULL)
			return pidfile_lock_fail(path, odd, &l->fd, why);
		if ((got = pidfile_lock_try(l->fd, LOCK_EX)) < 0)
			return pidfile_lock_fail(path, strerror(errno), &l->fd, why);
		l->named = pidfile_lock_named(l->fd);
		/* a holder that gives up may have removed the name between our open and our lock */
		if (got == 1 && lstat(path, &now) == 0 && now.st_ino == st.st_ino && now.st_dev == st.st_dev)
			return PIDFILE_FREE;
		sock_close(&l->fd);
		if (got == 0)
			nanosleep(&pause, NULL);
	}
	if (got == 0)
		return PIDFILE_HELD;
	return pidfile_lock_fail(path, "it changes all the time: is something else starting here?", &l->fd, why);
}

int
pidfile_lock_room(const struct pidfile_lock *l, struct buf *why)
{
	int	error = posix_fallocate(l->fd, 0, PIDFILE_WIDTH + 1);

	if (error == 0)
		return 0;
	buf_addf(why, "no room for a pid: %s", strerror(error));
	return -1;
}

int
pidfile_lock_write(const struct pidfile_lock *l, struct buf *why)
{
	char	text[PIDFILE_WIDTH + 2];
	int	n = snprintf(text, sizeof text, "%*ld\n", PIDFILE_WIDTH, (long) getpid());

	if (pwrite(l->fd, text, (size_t) n, 0) != n) {
		buf_addf(why, "cannot write a pid into a lock file: %s", strerror(errno));
		return -1;
	}
	return 0;
}

void
pidfile_lock_drop(const char *path, struct pidfile_lock *l)
{
	if (l->fd >= 0 && l->created && pidfile_lock_named(l->fd) != getpid())
		unlink(path);		/* before the lock goes: nobody else has it yet */
	sock_close(&l->fd);
}

enum pidfile_lock_result
pidfile_lock_test(const char *path, pid_t *named_r, struct buf *why)
{
	struct stat st;
	const char *odd;
	int	fd, got;

	*named_r = 0;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0) {
		if (errno == ENOENT)
			return PIDFILE_FREE;
		return pidfile_lock_fail(path, pidfile_lock_reason(errno), &fd, why);
	}
	if ((odd = pidfile_lock_odd(fd, &st)) != NULL)
		return pidfile_lock_fail(path, odd, &fd, why);
	if ((got = pidfile_lock_try(fd, LOCK_SH)) < 0)		/* shared: two tests do not take each other for a master */
		return pidfile_lock_fail(path, strerror(errno), &fd, why);
	*named_r = pidfile_lock_named(fd);
	sock_close(&fd);
	return got == 1 ? PIDFILE_FREE : PIDFILE_HELD;
}
