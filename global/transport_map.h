/* global/transport_map.h - transport tables: address -> transport and next hop
 * source: Postfix's transport(5), spec probe section 3.2. Looked up in this order: the whole address, without its
 * extension, the domain, .parent domains, "*". Patterns see whole addresses only.
 */
#ifndef GLOBAL_TRANSPORT_MAP_H
#define GLOBAL_TRANSPORT_MAP_H

#include <stdbool.h>

#include <global/lookup_table.h>

struct transport_map_result {
	char	transport[64];		/* "" : not given, keep the one there is */
	char	nexthop[512];		/* "" with a transport: the recipient's domain */
};

/* transport_map_find - local part and domain as they are to be looked up (domain in lower case)
 * delimiters  recipient_delimiter, "" for none
 * parents     "transport_maps" is in parent_domain_matches_subdomains: "parent" instead of ".parent"
 * returns     false: not found, or a result that changes nothing */
bool	transport_map_find(struct lookup_tables *, const char *local, const char *domain, const char *delimiters, bool parents,
	    struct transport_map_result *);
/* transport_map_split - "transport:nexthop" into its parts; false when a part is too long */
bool	transport_map_split(const char *, struct transport_map_result *);

#endif
