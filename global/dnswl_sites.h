/* global/dnswl_sites.h - DNS lists of addresses: "domain=filter, domain ..." in the manner of postscreen_dnsbl_sites
 * A filter says which answers count: a.b.c.d, where each part is a number, or [alternatives] separated by ';', each a number
 * or a range n..m. Without a filter any answer does. Weights are refused: one list that names the client is enough.
 * Asks nothing itself.
 */
#ifndef GLOBAL_DNSWL_SITES_H
#define GLOBAL_DNSWL_SITES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

#define DNSWL_NAME_MAX	254		/* RFC 1035 section 2.3.4 */

struct dnswl_site {
	char	domain[DNSWL_NAME_MAX + 1];
	bool	filtered;
	unsigned char allowed[4][256 / 8];	/* bit n of part i: n may stand there */
};

struct dnswl_sites {
	struct dnswl_site *site;
	size_t	n;
};

/* dnswl_sites_parse - NULL with why when something in it is not understood; "" is an empty list */
struct dnswl_sites *dnswl_sites_parse(const char *text, struct buf *why);
void	dnswl_sites_free(struct dnswl_sites **);
/* dnswl_name - the name to look up for an address (4 or 16 bytes); false when it would be too long */
bool	dnswl_name(const struct dnswl_site *, const unsigned char *addr, size_t addr_len, char name_r[DNSWL_NAME_MAX + 1]);
bool	dnswl_match(const struct dnswl_site *, struct in_addr answer);

#endif
