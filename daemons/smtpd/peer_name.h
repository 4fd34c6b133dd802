/* daemons/smtpd/peer_name.h - the name of a client: what its address says (PTR), if the name says the address, too
 * A name that does not is nobody's word but the client's, and counts as none. Answers come from the loop.
 */
#ifndef SMTPD_PEER_NAME_H
#define SMTPD_PEER_NAME_H

#include <stdint.h>
#include <sys/socket.h>

#include <util/dns.h>
#include <util/evloop.h>

struct peer_name;

/* peer_name_fn - once, never before peer_name_ask returns, not after peer_name_cancel. name: borrowed for the call; NULL: none, or it
 * could not be found out in time */
typedef void peer_name_fn(void *ctx, const char *name);
/* peer_name_ask - for an address of family AF_INET or AF_INET6; it need not last. Answers after limit_ms at the latest */
struct peer_name *peer_name_ask(struct ev_loop *, struct dns *, const struct sockaddr *, int64_t limit_ms, peer_name_fn *, void *ctx);
void	peer_name_cancel(struct peer_name **);

#endif
