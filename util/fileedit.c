/* util/fileedit.c - change a small text file in one step */
#include "fileedit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>

#define FILEEDIT_STEP_MS	20	/* between two tries for the lock; an edit takes about that long */

struct fileedit {
	char   *path;			/* the file itself, no symbolic link */
	char   *tmp;
	int	fd;			/* tmp, open and locked; -1 = none */
	struct stat was;
};

static void
fileedit_free(struct fileedit **fp)
{
	if ((*fp)->fd >= 0)
		close((*fp)->fd);		/* the lock goes with it */
	mem_free(&(*fp)->path);
	mem_free(&(*fp)->tmp);
	mem_free(fp);
}

/* fileedit_take - one try to open and lock tmp
 * returns   1 locked, 0 try again, -1 errno */
static int
fileedit_take(struct fileedit *f)
{
	struct stat mine, there;

	if ((f->fd = open(f->tmp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)) < 0) {
		if (errno == ELOOP && unlink(f->tmp) == 0)	/* a leftover that nobody should follow */
			return 0;
		return -1;
	}
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -1;
		goto again;
	}
	if (fstat(f->fd, &mine) < 0)
		return -1;
	/* the editor before us may have renamed or removed what we opened */
	if (lstat(f->tmp, &there) < 0 || there.st_ino != mine.st_ino || there.st_dev != mine.st_dev)
		goto again;
	if (S_ISREG(mine.st_mode) && mine.st_nlink == 1 && mine.st_uid == geteuid())
		return fchmod(f->fd, 0600) < 0 || ftruncate(f->fd, 0) < 0 ? -1 : 1;
	if (unlink(f->tmp) < 0)
		return -1;
again:
	close(f->fd);
	f->fd = -1;
	return 0;
}

/* fileedit_lock - take the lock, or give up after wait_ms; -1 with errno */
static int
fileedit_lock(struct fileedit *f, unsigned wait_ms)
{
	struct timespec step = { .tv_nsec = FILEEDIT_STEP_MS * 1000000L };
	int	got;

	for (unsigned waited = 0;; waited += FILEEDIT_STEP_MS) {
		if ((got = fileedit_take(f)) != 0)
			return got > 0 ? 0 : -1;
		if (waited >= wait_ms) {
			errno = EWOULDBLOCK;
			return -1;
		}
		nanosleep(&step, NULL);
	}
}

/* fileedit_read - append the content of what path is now, and remember owner and mode; -1 with errno, 0 = not plain */
static int
fileedit_read(struct fileedit *f, struct buf *text)
{
	int	fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW), ret = -1, saved;

	if (fd < 0)
		return -1;
	if (fstat(fd, &f->was) == 0)
		ret = !S_ISREG(f->was.st_mode) ? 0 : buf_read_fd(text, fd) < 0 ? -1 : 1;
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

struct fileedit *
fileedit_open(const char *path, struct buf *text, unsigned wait_ms, struct buf *why)
{
	struct fileedit *f = mem_alloc(sizeof *f);
	int	got, saved;

	f->fd = -1;
	if ((f->path = realpath(path, NULL)) == NULL || access(f->path, R_OK) < 0) {
		buf_addf(why, "open %s: %s", path, strerror(errno));
		goto bad;
	}
	f->tmp = mem_printf("%s.tmp", f->path);
	if (fileedit_lock(f, wait_ms) < 0) {
		if (errno == EWOULDBLOCK)
			buf_addf(why, "%s is being edited: another program holds %s", path, f->tmp);
		else
			buf_addf(why, "open %s: %s", f->tmp, strerror(errno));
		goto bad;
	}
	/* read under the lock: what another editor did meanwhile must not be lost */
	if ((got = fileedit_read(f, text)) <= 0) {
		buf_addf(why, "read %s: %s", path, got < 0 ? strerror(errno) : "not a plain file");
		fileedit_abandon(&f);
		return NULL;
	}
	return f;
bad:
	saved = errno;
	fileedit_free(&f);
	errno = saved;
	return NULL;
}

static int
fileedit_write(int fd, const char *p, size_t n)
{
	ssize_t done;

	while (n > 0) {
		if ((done = write(fd, p, n)) < 0 && errno != EINTR)
			return -1;
		if (done > 0) {
			p += done;
			n -= (size_t) done;
		}
	}
	return 0;
}

/* fileedit_sync_dir - make the rename last; a file system that cannot is not our trouble */
static void
fileedit_sync_dir(const char *path)
{
	char   *dir = mem_strdup(path), *slash = strrchr(dir, '/');
	int	fd;

	slash[slash == dir ? 1 : 0] = 0;	/* realpath(3) gave a slash */
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		fsync(fd);
		close(fd);
	}
	mem_free(&dir);
}

int
fileedit_commit(struct fileedit **fp, const void *text, size_t n, struct buf *why)
{
	struct fileedit *f = *fp;
	struct stat st;

	if (fstat(f->fd, &st) < 0 || ((st.st_uid != f->was.st_uid || st.st_gid != f->was.st_gid) &&
	    fchown(f->fd, f->was.st_uid, f->was.st_gid) < 0)) {
		buf_addf(why, "%s: cannot keep its owner and group: %s", f->path, strerror(errno));
		goto bad;
	}
	if (fileedit_write(f->fd, text, n) < 0 || fchmod(f->fd, f->was.st_mode & 07777) < 0 || fsync(f->fd) < 0) {
		buf_addf(why, "write %s: %s", f->tmp, strerror(errno));
		goto bad;
	}
	if (rename(f->tmp, f->path) < 0) {
		buf_addf(why, "rename %s to %s: %s", f->tmp, f->path, strerror(errno));
		goto bad;
	}
	fileedit_sync_dir(f->path);
	fileedit_free(fp);
	return 0;
bad:
	fileedit_abandon(fp);
	return -1;
}

void
fileedit_abandon(struct fileedit **fp)
{
	if (*fp == NULL)
		return;
	unlink((*fp)->tmp);			/* while it is locked, so it is ours */
	fileedit_free(fp);
}
