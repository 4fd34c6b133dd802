/* global/verify_async.h - ask the verify service from an event loop, many requests at a time
 * A pool of up to `conn_limit` connections, one request at a time on each; requests wait in a bounded queue. A broken
 * exchange is repeated on a new connection until its deadline, with growing pauses: updates are idempotent, queries harmless.
 */
#ifndef GLOBAL_VERIFY_ASYNC_H
#define GLOBAL_VERIFY_ASYNC_H

#include <stddef.h>
#include <stdint.h>

#include <util/evloop.h>
#include <global/verify_proto.h>

struct verify_async;
struct verify_async_req;		/* valid until its callback has run or it was cancelled */

enum verify_async_result {
	VERIFY_ASYNC_DONE,		/* query: status and reason are set; update: acknowledged */
	VERIFY_ASYNC_REFUSED,		/* the service answered BAD or FAIL */
	VERIFY_ASYNC_FAILED,		/* no answer before the deadline */
};
/* verify_async_fn - called once, never before the request function returns; reason is borrowed for the call */
typedef void verify_async_fn(void *ctx, enum verify_async_result, enum verify_status, const char *reason);

struct verify_async *verify_async_new(struct ev_loop *, const char *path, unsigned conn_limit, size_t queue_limit, int64_t idle_ms);
void	verify_async_free(struct verify_async **);	/* callbacks of open requests are not run */
/* NULL when the queue is full; fn is not called then */
struct verify_async_req *verify_async_query(struct verify_async *, const char *addr, int64_t deadline_ms, verify_async_fn *, void *ctx);
struct verify_async_req *verify_async_update(struct verify_async *, const char *addr, int status, const char *reason,
	    int64_t deadline_ms, verify_async_fn *, void *ctx);
void	verify_async_cancel(struct verify_async *, struct verify_async_req *);

#endif
