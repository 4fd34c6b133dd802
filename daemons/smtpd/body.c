/* daemons/smtpd/body.c - a message while it is on its way */
#include "body.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BODY_WRITE	(64u << 10)	/* bytes written at a time */
#define BODY_NAMES	100		/* names tried where the file system knows no O_TMPFILE */

void
body_init(struct body *b, int dirfd, size_t threshold)
{
	memset(b, 0, sizeof *b);
	b->fd = -1;
	b->dirfd = dirfd;
	b->threshold = threshold;
	buf_init(&b->mem, threshold > BODY_WRITE ? threshold : BODY_WRITE);
}

void
body_fini(struct body *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	b->filed = 0;
	buf_fini(&b->mem);
}

int
body_file(int dirfd)
{
	char	name[40];
	int	fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	for (int i = 0; fd < 0 && i < BODY_NAMES && (errno == EOPNOTSUPP || errno == EISDIR || errno == EEXIST); i++) {
		snprintf(name, sizeof name, "body.%08x%08x", arc4random(), arc4random());
		if ((fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) >= 0)
			unlinkat(dirfd, name, 0);
	}
	return fd;
}

/* body_flush - what is in memory into the file */
static int
body_flush(struct body *b)
{
	size_t	done = 0;
	ssize_t n;

	if (b->fd < 0 && (b->fd = body_file(b->dirfd)) < 0)
		return -1;
	while (done < b->mem.len) {
		n = pwrite(b->fd, b->mem.data + done, b->mem.len - done, (off_t) (b->filed + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = ENOSPC;
			return -1;
		}
		done += (size_t) n;
	}
	b->filed += b->mem.len;
	buf_shrink(&b->mem, BODY_WRITE);
	return 0;
}

int
body_add(struct body *b, const void *data, size_t n)
{
	const char *p = data;
	size_t	limit, part;
	int	saved;

	if (b->failed)
		return -1;
	while (n > 0) {
		limit = b->fd < 0 ? b->threshold : BODY_WRITE;
		if (b->mem.len >= limit) {
			if (body_flush(b) < 0) {
				saved = errno;
				b->failed = true;
				buf_fini(&b->mem);
				errno = saved;
				return -1;
			}
			continue;
		}
		part = n < limit - b->mem.len ? n : limit - b->mem.len;
		buf_add(&b->mem, p, part);
		p += part;
		n -= part;
	}
	return 0;
}

uint64_t
body_size(const struct body *b)
{
	return b->filed + b->mem.len;
}

ssize_t
body_read(const struct body *b, uint64_t offset, void *out, size_t n)
{
	ssize_t got;

	if (b->failed) {
		errno = EIO;
		return -1;
	}
	if (offset >= body_size(b))
		return 0;
	if (offset >= b->filed) {
		if (n > b->mem.len - (size_t) (offset - b->filed))
			n = b->mem.len - (size_t) (offset - b->filed);
		memcpy(out, b->mem.data + (offset - b->filed), n);
		return (ssize_t) n;
	}
	if (n > b->filed - offset)
		n = (size_t) (b->filed - offset);
	while ((got = pread(b->fd, out, n, (off_t) offset)) < 0 && errno == EINTR)
		;
	if (got == 0) {			/* the file is shorter than what was written: not the end of the message */
		errno = EIO;
		return -1;
	}
	return got;
}
