/* global/smtpcb_client.h - ask a server that speaks the smtp_callback line protocol, from an event loop
 * One connection for each question, as the protocol's first client has it; any number at a time.
 */
#ifndef GLOBAL_SMTPCB_CLIENT_H
#define GLOBAL_SMTPCB_CLIENT_H

#include <stdint.h>

#include <global/smtpcb_proto.h>
#include <util/evloop.h>

struct smtpcb_ask;			/* valid until its callback has run or it was cancelled */

/* smtpcb_ask_fn - once, from the loop; r NULL: there is no answer, why says what happened. Both borrowed for the call */
typedef void smtpcb_ask_fn(void *ctx, const struct smtpcb_reply *r, const char *why);

/* smtpcb_ask_new - host and port numeric; local unquoted; limit_ms for connection and reply together */
struct smtpcb_ask *smtpcb_ask_new(struct ev_loop *, const char *host, const char *port, const char *local, const char *domain,
	    int64_t limit_ms, smtpcb_ask_fn *, void *ctx);
void	smtpcb_ask_free(struct smtpcb_ask **);		/* fn is not called any more; NULL is fine */

#endif
