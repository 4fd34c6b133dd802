/* daemons/smtpd/body.h - a message while it is on its way: in memory, and when it grows, in a file without a name
 * Written from front to back, read anywhere. The file lives as long as its descriptor; a crash leaves nothing behind.
 */
#ifndef SMTPD_BODY_H
#define SMTPD_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <util/buf.h>

struct body {
	struct buf  mem;		/* all of it; once there is a file, what is not written yet */
	int	    fd, dirfd;
	uint64_t    filed;		/* bytes in the file */
	size_t	    threshold;
	bool	    failed;		/* disk full or the like: what was added since is lost */
};

/* body_init - dirfd: where files may be made; threshold: bytes that stay in memory */
void	body_init(struct body *, int dirfd, size_t threshold);
void	body_fini(struct body *);
/* body_add - blocks as writing a file does; 0, or -1 with errno: the message is lost (failed) */
int	body_add(struct body *, const void *, size_t n);
uint64_t body_size(const struct body *);
/* body_read - bytes from offset on; 0 at the end; -1 with errno */
ssize_t	body_read(const struct body *, uint64_t offset, void *, size_t n);
/* body_file - an empty file without a name in that directory, or -1 with errno */
int	body_file(int dirfd);

#endif
