/* global/name_table.h - a set of names with a number each, for lists that are loaded once and searched often
 * The cost of a search does not grow with the number of names. A name may be there several times.
 */
#ifndef GLOBAL_NAME_TABLE_H
#define GLOBAL_NAME_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct name_table {			/* zeroed: empty */
	struct name_entry {
		char	*name;
		size_t	len;
		uint32_t value, same;	/* same: 1 + the entry before with this name; 0: none */
	} *entry;
	size_t	n, room;
	uint32_t *slot;			/* 1 + entry; slots is a power of two */
	size_t	slots;
	uint64_t seed;
};

void	name_table_fini(struct name_table *);
void	name_table_add(struct name_table *, const char *name, size_t len, uint32_t value);
/* name_table_find - the last entry of that name, NULL: none; name_table_same - the one before it */
const struct name_entry *name_table_find(const struct name_table *, const char *name, size_t len);
const struct name_entry *name_table_same(const struct name_table *, const struct name_entry *);
/* name_table_find_domain - the entry for a domain, or for the nearest above it: a.b.c, b.c, c */
const struct name_entry *name_table_find_domain(const struct name_table *, const char *domain, size_t len);

#endif
