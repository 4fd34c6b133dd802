/* global/net_tree.c - a set of networks */
#include "net_tree.h"

#include <string.h>

#include <util/mem.h>

void
net_tree_fini(struct net_tree *t)
{
	mem_free(&t->node);
	memset(t, 0, sizeof *t);
}

static uint32_t
net_tree_node(struct net_tree *t)
{
	if (t->n == t->room) {
		t->room = t->room == 0 ? 64 : 2 * t->room;
		t->node = mem_grow(t->node, t->room, sizeof t->node[0]);
	}
	memset(&t->node[t->n], 0, sizeof t->node[0]);
	return (uint32_t) t->n++;
}

static unsigned
net_tree_bit(const struct client_addr *a, unsigned i)
{
	return a->bytes[i / 8] >> (7 - i % 8) & 1u;
}

void
net_tree_add(struct net_tree *t, const struct client_addr *a, unsigned bits, uint32_t value)
{
	uint32_t at = a->bits == 32 ? 0 : 1, next;

	while (t->n < 2)
		(void) net_tree_node(t);
	for (unsigned i = 0; i < bits && i < a->bits; i++) {
		if ((next = t->node[at].child[net_tree_bit(a, i)]) == 0) {
			next = net_tree_node(t);
			t->node[at].child[net_tree_bit(a, i)] = next;
		}
		at = next;
	}
	t->node[at].value = value + 1;
}

bool
net_tree_find(const struct net_tree *t, const struct client_addr *a, uint32_t *value_r)
{
	uint32_t at = a->bits == 32 ? 0 : 1, best = 0;

	if (t->n == 0 || a->bits == 0)
		return false;
	for (unsigned i = 0;; i++) {
		if (t->node[at].value != 0)
			best = t->node[at].value;
		if (i == a->bits || (at = t->node[at].child[net_tree_bit(a, i)]) == 0)
			break;
	}
	*value_r = best - 1;
	return best != 0;
}
