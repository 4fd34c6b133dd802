/* global/addr_list.h - lists of IP addresses and networks that a parameter or a settings file holds
 * Elements are parted by commas and blanks: an address, ADDRESS/BITS, [ADDRESS], [ADDRESS]/BITS, or the beginning of an address
 * that ends in '.' or ':'; "!" before one excludes. The first that matches decides. An IPv4 address inside an IPv6
 * one (::ffff:192.0.2.1) is the IPv4 address. No names, no tables: nothing is looked up.
 */
#ifndef GLOBAL_ADDR_LIST_H
#define GLOBAL_ADDR_LIST_H

#include <stdbool.h>

#include <global/client_addr.h>
#include <util/buf.h>

struct addr_list;

/* addr_list_new - why: a line for each element that is not understood
 * returns   NULL then; "" is an empty list */
struct addr_list *addr_list_new(const char *text, struct buf *why);
void	addr_list_free(struct addr_list **);
bool	addr_list_match(const struct addr_list *, const struct client_addr *);
/* addr_list_match_text - an address in text; what is none matches nothing */
bool	addr_list_match_text(const struct addr_list *, const char *addr);
/* addr_list_check - NULL, or what to write instead, for parameters */
const char *addr_list_check(const char *text);

#endif
