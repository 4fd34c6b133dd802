/* global/verify_clnt.h - ask the verify service and wait for the answer (commands, tests)
 * source: spec verify-protocol sections 2 to 4 and 12. One connection, kept between requests, renewed when the server closed
 * it. Every wait is bounded. For event loops: verify_async.h.
 */
#ifndef GLOBAL_VERIFY_CLNT_H
#define GLOBAL_VERIFY_CLNT_H

#include <stdint.h>

#include <util/buf.h>
#include <global/verify_proto.h>

struct verify_clnt;

/* what is kept of one reply: longer texts are cut, longer lists are no reply */
#define VERIFY_CLNT_STR_MAX	65536
#define VERIFY_CLNT_LIST_MAX	(256u << 10)

/* verify_clnt_new - path of the socket, absolute or relative to the working directory; nothing is opened yet */
struct verify_clnt *verify_clnt_new(const char *path, int timeout_ms);
void	verify_clnt_free(struct verify_clnt **);
/* verify_clnt_query, verify_clnt_update
 * status_r  what is known of the address; reason: text, reset first
 * why       on -1: one line (cannot connect, time-out, not a verify service, reply BAD ...), cleared first
 * returns   0, or -1 temporary trouble (no answer), or -2 the service refused the request
 */
int	verify_clnt_query(struct verify_clnt *, const char *addr, enum verify_status *status_r, struct buf *reason, struct buf *why);
int	verify_clnt_update(struct verify_clnt *, const char *addr, int status, const char *reason, struct buf *why);

/* The wire, shared with verify_async: requests appended to a buf, replies and announcements read from a complete list.
 * The readers return NULL, or what is wrong (static text). */
void	verify_clnt_put_query(struct buf *, const char *addr);
void	verify_clnt_put_update(struct buf *, const char *addr, int status, const char *reason);
const char *verify_clnt_get_banner(const char *list, size_t n);
const char *verify_clnt_get_query(const char *list, size_t n, int *reply_r, enum verify_status *status_r, const char **reason_r);
const char *verify_clnt_get_update(const char *list, size_t n, int *reply_r);

#endif
