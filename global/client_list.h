/* global/client_list.h - a list of clients: addresses, networks, domains of client names, /regular expressions/
 *	192.0.2.7  192.0.2.0/24  192.0.2 (/24)  192.0 (/16)  192 (/8)  2001:db8::/32  [2001:db8::1]
 *	domain.example (and all below it)  /regexp/ (any case)
 * Names and expressions are compared with the client name that resolves both ways, and with nothing else. A value of
 * postgrey's whitelist_clients is one of these lists, except that 192.0 is /16 here.
 */
#ifndef GLOBAL_CLIENT_LIST_H
#define GLOBAL_CLIENT_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <global/client_addr.h>
#include <global/list_line.h>

struct client_list;

/* client_list_parse - bad lines are reported in the log, with file, and left out; count is added to */
struct client_list *client_list_parse(const char *file, const char *text, size_t len, struct list_count *count);
void	client_list_free(struct client_list **);
/* client_list_match - the line that has the client, 0: none
 * name	     "" when there is none
 * over	     is counted up for each expression that ran into its limits */
unsigned client_list_match(struct client_list *, const struct client_addr *, const char *name, unsigned *over);

#endif
