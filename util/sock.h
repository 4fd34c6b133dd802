/* util/sock.h - make, connect and wait on sockets
 * Every descriptor made here is close-on-exec. Functions return a descriptor or 0, and -1 with errno.
 */
#ifndef UTIL_SOCK_H
#define UTIL_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* sock_unix_listen - non-blocking stream listener at path (ENAMETOOLONG when it does not fit sun_path)
 * An old socket file is removed first; any other kind of file is not (EEXIST). mode is the file's mode. */
int	sock_unix_listen(const char *path, int backlog, mode_t mode);
/* sock_unix_connect - stream connection; nonblock: EAGAIN when the listener's queue is full, never EINPROGRESS */
int	sock_unix_connect(const char *path, bool nonblock);
/* sock_inet_listen - host NULL: any address; numeric port; IPv6 is IPv6 only; exclusive (no SO_REUSEPORT) */
int	sock_inet_listen(const char *host, const char *port, int backlog);
/* sock_inet_connect - numeric host and port, blocking or not (EINPROGRESS is success) */
int	sock_inet_connect(const char *host, const char *port, bool nonblock);
int	sock_nonblock(int fd, bool on);
int	sock_cloexec(int fd, bool on);
void	sock_close(int *fdp);			/* closes when >= 0, then -1; errno is kept */
/* sock_wait - wait for POLLIN or POLLOUT: 1 ready, 0 time-out, -1 error; timeout_ms < 0 waits for ever */
int	sock_wait(int fd, short events, int timeout_ms);
/* sock_write_all - all bytes before the time is up: 0, or -1 (ETIMEDOUT); fd may be non-blocking */
int	sock_write_all(int fd, const void *, size_t n, int timeout_ms);

#endif
