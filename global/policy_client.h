/* global/policy_client.h - ask a policy service (policy_proto.h) from an event loop, many questions at a time
 * A connection carries one question at a time and is kept for the next. One that the server has closed meanwhile is replaced
 * without a word; a question that gets no answer for another reason is not repeated: the service may have counted it.
 */
#ifndef GLOBAL_POLICY_CLIENT_H
#define GLOBAL_POLICY_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <util/evloop.h>

struct policy_client;
struct policy_client_ask;		/* valid until its callback has run or it was cancelled */

/* policy_client_fn - once, from the loop; action NULL: none, why says what happened. Both borrowed for the call */
typedef void policy_client_fn(void *ctx, const char *action, const char *why);

/* policy_client_new - path: of a UNIX socket, or NULL: then host and port, numeric; all copied
 * conn_limit	questions at a time; more have no answer */
struct policy_client *policy_client_new(struct ev_loop *, const char *path, const char *host, const char *port, unsigned conn_limit,
	    int64_t idle_ms);
void	policy_client_free(struct policy_client **);	/* callbacks of open questions are not run */
/* policy_client_ask - request: complete, with its empty line; copied */
struct policy_client_ask *policy_client_ask(struct policy_client *, const char *request, size_t n, int64_t limit_ms,
	    policy_client_fn *, void *ctx);
void	policy_client_cancel(struct policy_client_ask **);	/* NULL is fine */

#endif
