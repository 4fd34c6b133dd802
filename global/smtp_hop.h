/* global/smtp_hop.h - sessions with one next hop: opened when asked for, lent, and kept a while for the next message
 * The next hop is an address, a UNIX socket, or a name whose addresses are tried in turn; never an MX look-up. A session
 * that was used before may be gone when it is needed: whoever borrows it must be able to ask for a fresh one.
 */
#ifndef GLOBAL_SMTP_HOP_H
#define GLOBAL_SMTP_HOP_H

#include <stdbool.h>
#include <stdint.h>

#include <util/dns.h>
#include <util/evloop.h>
#include <global/nexthop.h>
#include <global/smtp_client.h>

struct smtp_hop_conf {			/* borrowed for the life of the hop */
	struct nexthop to;		/* its port must be set, unless it is a UNIX socket */
	struct smtp_client_conf client;
	bool	 ipv4, ipv6;		/* of the addresses of a name: which to use */
	unsigned idle_max;		/* sessions kept; 0: none */
	int64_t	 idle_ms;		/* how long */
	unsigned uses;			/* messages that one session may carry */
	unsigned exim_uses;		/* with a server that calls itself Exim in its greeting; 0: as with others */
	int64_t	 life_ms;		/* a session that is older is not kept; 0: no limit */
	unsigned sessions_max;		/* at a time, kept ones included; further calls wait for their turn. 0: no limit */
};

struct smtp_hop;
struct smtp_hop_call;

struct smtp_hop_session {
	struct smtp_client *client;	/* READY; see smtp_client_own */
	unsigned used;			/* how often it was lent before */
	char	 host[300];		/* "NAME[ADDRESS]", for texts */
	unsigned port;			/* 0: UNIX socket */
};

struct smtp_hop_ops {			/* one of them is called, once, never before smtp_hop_take returns */
	void	(*got)(void *ctx, struct smtp_hop_session *);	/* the caller's now: give it back, always */
	void	(*failed)(void *ctx, const char *dsn, const char *text);	/* borrowed for the call */
};

/* smtp_hop_new - dns: may be NULL unless the next hop is a name (hop_addrs_is_name) */
struct smtp_hop *smtp_hop_new(struct ev_loop *, const struct smtp_hop_conf *, struct dns *);
void	smtp_hop_free(struct smtp_hop **);	/* when no session is lent, and no call is open */
/* smtp_hop_take - fresh: a new session, not one of those that were kept */
struct smtp_hop_call *smtp_hop_take(struct smtp_hop *, bool fresh, const struct smtp_hop_ops *, void *ctx);
void	smtp_hop_cancel(struct smtp_hop_call **);
/* smtp_hop_give - back; what becomes of it is the hop's affair
 * how	     KEEP: between two transactions; RESET: amid a transaction, before DATA; QUIT: may be said goodbye to; DROP: close it
 */
enum smtp_hop_how { SMTP_HOP_KEEP, SMTP_HOP_RESET, SMTP_HOP_QUIT, SMTP_HOP_DROP };
void	smtp_hop_give(struct smtp_hop *, struct smtp_hop_session **, enum smtp_hop_how);

struct smtp_hop_stat { uint64_t opened, reused, failed; unsigned idle, sessions; };
void	smtp_hop_stat(const struct smtp_hop *, struct smtp_hop_stat *);

#endif
