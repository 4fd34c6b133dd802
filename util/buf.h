/* util/buf.h - a growing byte string with a hard limit
 * Always NUL-terminated once something was added (the NUL is not counted). What does
 * not fit below the limit is refused whole, and the refusal is sticky (`full`) until
 * buf_reset, so a builder tests once, at the end. Not for binary framing: see attr.h, global/record.h.
 */
#ifndef UTIL_BUF_H
#define UTIL_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct buf {
	char	*data;		/* heap; NULL while nothing was added */
	size_t	 len;		/* bytes in use; len < cap once data is there */
	size_t	 cap;		/* allocated, max + 1 at most */
	size_t	 end;		/* cap, or 0 when full: what the adders look at */
	size_t	 max;		/* len never exceeds this */
	bool	 full;		/* something was refused since buf_init or buf_reset */
};

#define BUF_INIT(m)	{ .max = (m) }

void	buf_init(struct buf *, size_t max);
void	buf_fini(struct buf *);			/* frees; the struct may be used again */
static inline void buf_reset(struct buf *);	/* empties, keeps the memory */
void	buf_shrink(struct buf *, size_t keep);	/* empties, and frees memory above keep bytes */
/* adders return 0, or -1 when the limit is in the way (nothing added, full set) */
static inline int buf_add(struct buf *, const void *, size_t n);
static inline int buf_addc(struct buf *, int c);
static inline int buf_adds(struct buf *, const char *);
int	buf_addi(struct buf *, int64_t);	/* in decimal */
int	buf_addf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int	buf_addv(struct buf *, const char *fmt, va_list) __attribute__((format(printf, 2, 0)));
/* buf_room - space for n more bytes, or NULL as above; write there, then buf_grew(n) */
char	*buf_room(struct buf *, size_t n);
void	buf_grew(struct buf *, size_t n);
void	buf_refuse(struct buf *);		/* as if something had not fitted */
void	buf_drop(struct buf *, size_t n);	/* removes n bytes at the front, n <= len */
void	buf_cut(struct buf *, size_t len);	/* shortens to len, len <= current */
const char *buf_str(const struct buf *);	/* the content as a string, "" when empty; borrowed */
char	*buf_take(struct buf *);		/* the content as a heap string the caller frees; the buf is empty then */
/* buf_read_fd - append until end of file; 0, or -1 (errno; EFBIG at the limit) */
int	buf_read_fd(struct buf *, int fd);
/* buf_read_file - append the file's content; as buf_read_fd */
int	buf_read_file(struct buf *, int dirfd, const char *path);

/* the adders are inline: a reply is made of a dozen small pieces, and most fit into what is there */

int	buf_add_slow(struct buf *, const void *, size_t n);

static inline void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->end = b->cap;
	b->full = false;
	if (b->data != NULL)
		b->data[0] = 0;
}

static inline int
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || b->len >= b->end || n >= b->end - b->len)	/* n 0: p may be NULL */
		return buf_add_slow(b, p, n);
	memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = 0;
	return 0;
}

static inline int
buf_addc(struct buf *b, int c)
{
	char	ch = (char) c;

	return buf_add(b, &ch, 1);
}

static inline int
buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

#endif
