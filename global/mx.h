/* global/mx.h - domain -> the servers to ask, in order
 * source: RFC 5321 section 5, RFC 7505 (null MX), spec probe sections 3.5 and 3.6. Exchanges sorted by preference and
 * shuffled among equals, addresses resolved, ourselves and what is worse than us left out, and reserved addresses,
 * so that a name in somebody's zone cannot send us into our own network. Answers come from the loop, never at once.
 */
#ifndef GLOBAL_MX_H
#define GLOBAL_MX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

#include <util/buf.h>
#include <util/dns.h>
#include <global/smtp_class.h>
#include <global/verify_proto.h>

struct mx_addr {
	bool	 ipv6;
	union {
		struct in_addr	a;
		struct in6_addr aaaa;
	};
};

struct mx_host {
	struct mx_addr addr;
	uint16_t pref;
	bool	 backup;		/* not of the best preference that was announced */
	char	*name;			/* the exchange, as the zone has it; for an address literal the address */
};

struct mx_list {
	uint32_t ttl_s;			/* of the shortest-lived record */
	size_t	 n;
	struct mx_host host[];
};

enum mx_prefer { MX_PREFER_ANY, MX_PREFER_IPV4, MX_PREFER_IPV6 };

struct mx_conf {
	bool	 ipv4, ipv6;		/* inet_protocols */
	enum mx_prefer prefer;		/* smtp_address_preference */
	bool	 balance;		/* smtp_balance_inet_protocols */
	bool	 randomize;		/* smtp_randomize_addresses */
	size_t	 address_limit;		/* smtp_mx_address_limit; 0 = none */
	bool	 ignore_mx_error;	/* ignore_mx_lookup_error */
	bool	 defer_no_address;	/* smtp_defer_if_no_mx_address_found */
	bool	 reject_reserved;	/* probe_reject_reserved_mx */
	const struct mx_addr *own;	/* our addresses and those of our proxies */
	size_t	 own_n;
};

struct mx_want {
	const char *domain;		/* ASCII, or an address in text */
	bool	 direct;		/* in brackets: its own addresses, no MX */
	bool	 own_route;		/* the operator named it: reserved addresses are fine, failures are configuration trouble */
	bool	 self_check;		/* port 25: leave ourselves out */
};

struct mx_answer {
	struct mx_list *list;		/* the caller's now, mx_list_free; NULL: nothing to ask, then: */
	enum verify_status status;
	enum smtp_cat cat;
	const char *dsn;		/* "5.4.4" */
	const char *text;		/* borrowed for the call */
};
typedef void mx_fn(void *ctx, const struct mx_answer *);	/* once, never before mx_lookup returns */

struct mx_lookup;

struct mx_lookup *mx_lookup(struct dns *, const struct mx_conf *, const struct mx_want *, mx_fn *, void *ctx);
void	mx_cancel(struct mx_lookup **);		/* fn is not called any more */
void	mx_list_free(struct mx_list **);

bool	mx_addr_parse(const char *, struct mx_addr *);	/* "192.0.2.1", "2001:db8::1", "IPv6:2001:db8::1" */
bool	mx_addr_equal(const struct mx_addr *, const struct mx_addr *);
bool	mx_addr_reserved(const struct mx_addr *);	/* loopback, private, documentation ... */
char	*mx_addr_text(const struct mx_addr *, char *out, size_t size);	/* size >= INET6_ADDRSTRLEN; returns out */

#endif
