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
#include <sys/types.h>

struct buf {
	char	*data;		/* heap; NULL while nothing was added */
	size_t	 len;		/* bytes in use; len < cap once data is there */
	size_t	 cap;
	size_t	 max;		/* len never exceeds this */
	bool	 full;		/* something was refused since buf_init or buf_reset */
};

#define BUF_INIT(m)	{ .max = (m) }

void	buf_init(struct buf *, size_t max);
void	buf_fini(struct buf *);			/* frees; the struct may be used again */
void	buf_reset(struct buf *);		/* empties, keeps the memory */
void	buf_shrink(struct buf *, size_t keep);	/* empties, and frees memory above keep bytes */
/* adders return 0, or -1 when the limit is in the way (nothing added, full set) */
int	buf_add(struct buf *, const void *, size_t n);
int	buf_addc(struct buf *, int c);
int	buf_adds(struct buf *, const char *);
int	buf_addf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int	buf_addv(struct buf *, const char *fmt, va_list) __attribute__((format(printf, 2, 0)));
/* buf_room - space for n more bytes, or NULL as above; write there, then buf_grew(n) */
char	*buf_room(struct buf *, size_t n);
void	buf_grew(struct buf *, size_t n);
void	buf_drop(struct buf *, size_t n);	/* removes n bytes at the front, n <= len */
void	buf_cut(struct buf *, size_t len);	/* shortens to len, len <= current */
const char *buf_str(const struct buf *);	/* the content as a string, "" when empty; borrowed */
char	*buf_take(struct buf *);		/* the content as a heap string the caller frees; the buf is empty then */
/* buf_read_fd - append until end of file; 0, or -1 (errno; EFBIG at the limit) */
int	buf_read_fd(struct buf *, int fd);
/* buf_read_file - append the file's content; as buf_read_fd */
int	buf_read_file(struct buf *, int dirfd, const char *path);

#endif
