/* global/nexthop.h - "host", "host:port", "[host]:port", "inet:host", "unix:/path", and lists of them
 * source: spec probe section 3.4
 */
#ifndef GLOBAL_NEXTHOP_H
#define GLOBAL_NEXTHOP_H

#include <stdbool.h>
#include <stddef.h>

struct nexthop {
	char	 host[256];		/* name, or address in text; of "unix:" the path */
	bool	 direct;		/* in brackets: no MX look-up */
	bool	 is_unix;
	unsigned port;			/* 0: the transport's default */
};

/* nexthop_parse - one element of n bytes; false with why_r (static text) */
bool	nexthop_parse(const char *, size_t n, struct nexthop *, const char **why_r);
/* nexthop_next - the next element of a list parted by commas and blanks; returns its start, NULL at the end; *p moves on */
const char *nexthop_next(const char **p, size_t *n_r);
/* nexthop_listed - whether such a list has this element, as it is */
bool	nexthop_listed(const char *list, const char *name);

#endif
