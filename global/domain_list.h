/* global/domain_list.h - lists of domains as in mydestination: names, !names, /files with more of them, tables
 * source: Postfix's match lists (main.cf), spec probe section 3.1. First match decides.
 */
#ifndef GLOBAL_DOMAIN_LIST_H
#define GLOBAL_DOMAIN_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>

struct domain_list;

/* domain_list_open - parents: "example.org" also means all below it (parent_domain_matches_subdomains); otherwise
 * ".example.org" does
 * why	     a line for each element that cannot be used; those are left out
 * returns   the list always */
struct domain_list *domain_list_open(const char *text, bool parents, struct buf *why);
void	domain_list_free(struct domain_list **);
bool	domain_list_match(struct domain_list *, const char *domain);	/* in lower case */
void	domain_list_check(struct domain_list *, int64_t now_ms);	/* see lookup_tables_check */

#endif
