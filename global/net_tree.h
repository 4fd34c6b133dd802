/* global/net_tree.h - a set of networks with a number each: a tree over the bits of addresses
 * A search takes as many steps as the network has bits, however many networks there are.
 */
#ifndef GLOBAL_NET_TREE_H
#define GLOBAL_NET_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <global/client_addr.h>

struct net_tree {			/* zeroed: empty */
	struct net_node {
		uint32_t child[2];	/* 0: none */
		uint32_t value;		/* 1 + the number; 0: no network ends here */
	} *node;			/* 0: IPv4, 1: IPv6 */
	size_t	n, room;
};

void	net_tree_fini(struct net_tree *);
void	net_tree_add(struct net_tree *, const struct client_addr *, unsigned bits, uint32_t value);
/* net_tree_find - whether a network has the address; the number of the smallest one */
bool	net_tree_find(const struct net_tree *, const struct client_addr *, uint32_t *value_r);

#endif
