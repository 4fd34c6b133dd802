/* global/hop_addrs.h - the addresses of a next hop that is not a UNIX socket
 * An address is itself, localhost the loopback address (RFC 6761 section 6.3), a name what the DNS says; never an MX look-up.
 */
#ifndef GLOBAL_HOP_ADDRS_H
#define GLOBAL_HOP_ADDRS_H

#include <stdbool.h>

#include <util/dns.h>
#include <util/evloop.h>
#include <global/mx.h>
#include <global/nexthop.h>

struct hop_addrs;
/* hop_addrs_fn - once, never before hop_addrs_find returns
 * list	     the callee's now, mx_list_free; NULL: there is none, and dsn and text (borrowed for the call) say why */
typedef void hop_addrs_fn(void *ctx, struct mx_list *list, const char *dsn, const char *text);

/* hop_addrs_find - dns may be NULL unless hop_addrs_is_name; ipv4, ipv6: which to look for, and what localhost is */
struct hop_addrs *hop_addrs_find(struct ev_loop *, struct dns *, const struct nexthop *, bool ipv4, bool ipv6,
		    hop_addrs_fn *, void *ctx);
void	hop_addrs_cancel(struct hop_addrs **);
bool	hop_addrs_is_name(const struct nexthop *);

#endif
