/* daemons/probe/route.h - address -> who is to be asked about it, or an answer that needs nobody
 * source: spec probe section 3: address classes, relayhost, transport tables, the address_verify_ variants of them.
 */
#ifndef PROBE_ROUTE_H
#define PROBE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>
#include <global/domain_list.h>
#include <global/lookup_table.h>
#include <global/mx.h>
#include <global/smtp_class.h>
#include <global/verify_proto.h>

#define ROUTE_ADDR_MAX	1024		/* an address: RFC 5321 allows 320, UTF-8 and quoting need more */

enum route_class { ROUTE_LOCAL, ROUTE_ALIAS, ROUTE_VIRTUAL, ROUTE_RELAY, ROUTE_DEFAULT };
enum { ROUTE_CLASSES = ROUTE_DEFAULT + 1 };

struct route_conf {			/* strings borrowed, tables the configuration's */
	const char *myorigin;
	struct domain_list *mydestination, *virtual_alias, *virtual_mailbox, *relay;
	const char *transport[ROUTE_CLASSES];	/* "smtp", "lmtp:unix:/path", "relay:[host]" ... */
	const char *relayhost;
	struct lookup_tables *transport_maps;
	const char *recipient_delimiter;
	bool	 transport_parents;	/* transport_maps in parent_domain_matches_subdomains */
	const char *smtp_transports;	/* names that mean SMTP, besides smtp and relay */
	enum verify_status unknown_transport;	/* OK or DEFER */
	const struct mx_addr *own;	/* our interfaces */
	size_t	 own_n;
};

enum route_kind { ROUTE_ANSWER, ROUTE_SMTP, ROUTE_LMTP };

struct route {
	enum route_kind kind;
	/* ROUTE_ANSWER */
	enum verify_status status;
	enum smtp_cat cat;
	char	 dsn[12];
	char	 text[512];
	/* else */
	bool	 own;			/* the operator named the next hop */
	bool	 utf8;			/* the local part needs SMTPUTF8 */
	char	 transport[64];
	char	 nexthop[512];		/* list; for Internet routes the recipient's domain */
	char	 rcpt[2 * ROUTE_ADDR_MAX];	/* for RCPT TO, without <> */
	/* always */
	char	 domain[256];		/* in A-labels, lower case; "[192.0.2.1]" for literals; "" when there is none */
	char	 final[ROUTE_ADDR_MAX];	/* the address completed, when that changed it; else "" */
};

void	route_find(const struct route_conf *, const char *addr, struct route *);

/* route_quote - a local part for the wire: quoted when RFC 5321 wants it; false when it does not fit */
bool	route_quote(char *out, size_t size, const char *local, size_t n);
/* route_ascii_domain - U-labels to A-labels, lower case, no last dot; false when it is no domain */
bool	route_ascii_domain(char *out, size_t size, const char *domain);

#endif
