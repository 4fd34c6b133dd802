/* util/dns.h - asks the domain name system from an event loop: cached, one question at a time for a name and type
 * A question that many ask is sent once. CNAMEs are followed, search domains are never used. What carries the
 * questions (c-ares, dns_ares.h; in tests a table) stands behind struct dns_carrier. Memory is bounded: open
 * questions by open_limit and those that wait for them by wait_limit, the cache by cache_limit.
 */
#ifndef UTIL_DNS_H
#define UTIL_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

#include <util/evloop.h>

#define DNS_NAME_MAX	253		/* RFC 1035: a name in text */
#define DNS_RR_MAX	100		/* records kept of an answer; a domain with more exchanges has a joke in it */
#define DNS_CNAME_MAX	10

enum dns_type { DNS_A, DNS_AAAA, DNS_MX, DNS_PTR };
const char *dns_type_name(enum dns_type);

enum dns_result {
	DNS_FOUND,
	DNS_NODATA,		/* the name exists, it has no such records */
	DNS_NXDOMAIN,		/* no such name */
	DNS_SOFT,		/* no answer for now; `why` says what happened */
};

struct dns_rr {
	uint16_t pref;			/* MX */
	union {
		struct in_addr	a;
		struct in6_addr aaaa;
		char   *name;		/* MX, PTR: in lower case without the last dot; "" is the root */
	};
};

struct dns_answer {
	enum dns_result result;
	enum dns_type type;
	uint32_t ttl_s;			/* of the answer, clamped; not of DNS_SOFT */
	size_t	 n;
	struct dns_rr *rr;
	const char *why;		/* static text, "" unless DNS_SOFT */
};
/* dns_fn - called once, never before dns_ask returns; the answer is borrowed for the call */
typedef void dns_fn(void *ctx, const struct dns_answer *);

struct dns_conf {
	const char *servers;		/* "" or NULL: resolv.conf; else addresses with optional port, blanks or commas between:
					 * "192.0.2.1 192.0.2.2:5353 [2001:db8::1]:53" */
	int64_t	 try_ms;		/* one try of one server */
	unsigned tries;
	size_t	 open_limit, wait_limit, cache_limit;
};

/* what carries a question: done may be called at any time, also at once, and is called exactly once unless close is */
typedef void dns_carried_fn(void *ctx, const char *why, const unsigned char *msg, size_t len); /* why NULL: msg is the answer */
struct dns_carrier {
	void   *(*open)(struct ev_loop *, const struct dns_conf *, const char **why_r);	/* NULL with why_r */
	void	(*ask)(void *carrier, const char *name, enum dns_type, dns_carried_fn *done, void *ctx);
	void	(*close)(void *carrier);
};

struct dns;
struct dns_query;			/* valid until its callback has run or it was cancelled */

/* dns_new - NULL with why_r (static text) when the carrier cannot be had, e.g. for malformed servers */
struct dns *dns_new(struct ev_loop *, const struct dns_carrier *, const struct dns_conf *, const char **why_r);
void	dns_free(struct dns **);		/* not from a callback; callbacks of open queries are not run */
/* dns_ask - name in ASCII, dns_name_valid; never fails: too many questions is an answer, too (DNS_SOFT) */
struct dns_query *dns_ask(struct dns *, const char *name, enum dns_type, dns_fn *, void *ctx);
/* dns_later - no question: the callback comes as dns_ask's would, with DNS_SOFT; for answers that need none */
struct dns_query *dns_later(struct dns *, dns_fn *, void *ctx);
void	dns_cancel(struct dns *, struct dns_query *);
void	dns_flush(struct dns *);		/* forget the cache */

/* dns_name_valid - letters, digits, '-' and '_' in labels of 1 to 63; a last dot is allowed */
bool	dns_name_valid(const char *);

struct dns_stat { uint64_t asked, cached, sent, failed; size_t open, waiting, entries; };
void	dns_stat(const struct dns *, struct dns_stat *);

#endif
