/* global/address_list.h - a list of mail addresses: user@domain, user@ (any domain), domain (and all below it), /regexp/
 * Without case. user@domain is also user+ext@domain. An entry may have a second column: clients (client_list.h), separated by
 * commas, one of which the mail must come from.
 */
#ifndef GLOBAL_ADDRESS_LIST_H
#define GLOBAL_ADDRESS_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <global/client_addr.h>
#include <global/list_line.h>

struct address_list;

/* address_list_parse - delimiter: characters that begin an extension, besides '+'; columns: whether a second one is allowed
 * bare_r    entries without a second column */
struct address_list *address_list_parse(const char *file, const char *text, size_t len, const char *delimiter, bool columns,
	    struct list_count *count, unsigned *bare_r);
void	address_list_free(struct address_list **);
/* address_list_match - the line that has the address, 0: none; client and name count for entries with a second column */
unsigned address_list_match(struct address_list *, const char *address, const struct client_addr *client, const char *name,
	    unsigned *over);

#endif
