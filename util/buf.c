/* util/buf.c - a growing byte string with a hard limit */
#include "buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/mem.h>

#define BUF_FIRST	128	/* a request, a reply, a log line */

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf) BUF_INIT(max);
}

void
buf_fini(struct buf *b)
{
	mem_free(&b->data);
	b->len = b->cap = b->end = 0;
	b->full = false;
}

void
buf_shrink(struct buf *b, size_t keep)
{
	if (b->cap > keep)
		buf_fini(b);
	else
		buf_reset(b);
}

void
buf_refuse(struct buf *b)
{
	b->full = true;
	b->end = 0;
}

char *
buf_room(struct buf *b, size_t n)
{
	size_t	want;

	if (b->full || n > b->max - b->len) {		/* invariant: len <= max */
		buf_refuse(b);
		return NULL;
	}
	if (b->data == NULL || n >= b->cap - b->len) {	/* invariant: len < cap, one byte for the NUL */
		want = b->cap >= BUF_FIRST ? b->cap : b->max < BUF_FIRST ? b->max + 1 : BUF_FIRST;
		while (want - b->len <= n)
			want = want > b->max / 2 ? b->max + 1 : want * 2;
		b->data = mem_grow(b->data, want, 1);
		b->cap = b->end = want;
	}
	return b->data + b->len;
}

void
buf_grew(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = 0;
}

int
buf_add_slow(struct buf *b, const void *p, size_t n)
{
	char   *to = buf_room(b, n);

	if (to == NULL)
		return -1;
	if (n > 0)
		memcpy(to, p, n);
	buf_grew(b, n);
	return 0;
}

int
buf_addi(struct buf *b, int64_t n)
{
	char	digits[20], *p = digits + sizeof digits;	/* -9223372036854775808 */
	uint64_t left = n < 0 ? 0 - (uint64_t) n : (uint64_t) n;

	do
		*--p = (char) ('0' + left % 10);
	while ((left /= 10) > 0);
	if (n < 0)
		*--p = '-';
	return buf_add(b, p, (size_t) (digits + sizeof digits - p));
}

int
buf_addv(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	char	small[256], *to;
	int	n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof small, fmt, ap);
	if (n < 0) {
		buf_refuse(b);
		to = NULL;
	} else if ((size_t) n < sizeof small) {
		va_end(again);
		return buf_add(b, small, (size_t) n);
	} else if ((to = buf_room(b, (size_t) n)) != NULL) {
		vsnprintf(to, (size_t) n + 1, fmt, again);	/* room has one byte more, for the NUL */
		buf_grew(b, (size_t) n);
	}
	va_end(again);
	return to != NULL ? 0 : -1;
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int	ret;

	va_start(ap, fmt);
	ret = buf_addv(b, fmt, ap);
	va_end(ap);
	return ret;
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
	b->data[b->len] = 0;
}

void
buf_cut(struct buf *b, size_t len)
{
	if (b->data != NULL) {
		b->len = len;
		b->data[len] = 0;
	}
}

const char *
buf_str(const struct buf *b)
{
	return b->data != NULL ? b->data : "";
}

char *
buf_take(struct buf *b)
{
	char   *s = b->data != NULL ? b->data : mem_strdup("");

	b->data = NULL;
	buf_fini(b);
	return s;
}

int
buf_read_fd(struct buf *b, int fd)
{
	char	chunk[16384];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (buf_add(b, chunk, (size_t) n) < 0) {
			errno = EFBIG;
			return -1;
		}
	}
	return 0;
}

int
buf_read_file(struct buf *b, int dirfd, const char *path)
{
	int	fd, ret, saved;

	if ((fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0)
		return -1;
	ret = buf_read_fd(b, fd);
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}
