/* global/list_file.c - a small file that is read again when it changes */
#include "list_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

void
list_file_init(struct list_file *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	char   *dir = slash == NULL ? mem_strdup(".") : mem_strndup(path, slash == path ? 1 : (size_t) (slash - path));

	memset(f, 0, sizeof *f);
	f->path = mem_strdup(path);
	f->name = mem_strdup(slash != NULL ? slash + 1 : path);
	f->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mem_free(&dir);
}

void
list_file_fini(struct list_file *f)
{
	sock_close(&f->dirfd);
	mem_free(&f->path);
	mem_free(&f->name);
}

static bool
list_file_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void
list_file_trouble(struct list_file *f, const char *what)
{
	if (!f->trouble && (f->known || errno != ENOENT))
		msg_warn("%s: %s%s", f->path, what, f->known ? ": what was read before stays in force" : "");
	f->trouble = f->trouble || f->known || errno != ENOENT;
}

bool
list_file_look(struct list_file *f, bool at_once, struct buf *text)
{
	struct stat before, after;
	int	fd = -1;
	bool	ok;

	f->moving = false;
	if (f->dirfd < 0 || fstatat(f->dirfd, f->name, &before, 0) < 0) {
		if (f->dirfd < 0)
			errno = ENOENT;
		list_file_trouble(f, strerror(errno));
		return false;
	}
	if (f->known && list_file_same(&before, &f->seen) && !f->trouble)
		return false;
	/* who writes in place may take his time: empty, or half, it is nothing to go by */
	f->moving = !at_once && !(f->known && list_file_same(&before, &f->seen)) && !list_file_same(&before, &f->next);
	f->next = before;
	if (f->moving)
		return false;
	buf_reset(text);
	if (!S_ISREG(before.st_mode)) {
		errno = EINVAL;
		list_file_trouble(f, "is not a file");
		return false;
	}
	if ((fd = openat(f->dirfd, f->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0 || buf_read_fd(text, fd) < 0) {
		list_file_trouble(f, errno == EFBIG ? "is larger than 16 MB" : strerror(errno));
		sock_close(&fd);
		return false;
	}
	ok = fstat(fd, &after) == 0 && list_file_same(&before, &after) && (off_t) text->len == after.st_size &&
	    fstatat(f->dirfd, f->name, &after, 0) == 0 && list_file_same(&before, &after);
	sock_close(&fd);
	if (!ok) {
		f->moving = true;			/* being written: next time */
		return false;
	}
	if (f->trouble)
		msg_info("%s: can be read again", f->path);
	f->trouble = false;
	if (f->known && list_file_same(&before, &f->seen))
		return false;
	f->known = true;
	f->seen = before;
	return true;
}

const char *
list_file_rule(const struct list_file *f, unsigned line)
{
	static char rule[300];

	snprintf(rule, sizeof rule, "%.255s:%u", f->name, line);
	return rule;
}
