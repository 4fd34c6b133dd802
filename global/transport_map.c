/* global/transport_map.c - transport tables */
#include "transport_map.h"

#include <string.h>

#include <util/buf.h>

bool
transport_map_split(const char *value, struct transport_map_result *r)
{
	size_t	n = strcspn(value, ":");
	const char *hop = value[n] == ':' ? value + n + 1 : value + n;

	r->transport[0] = r->nexthop[0] = 0;
	if (n >= sizeof r->transport || strlen(hop) >= sizeof r->nexthop)
		return false;
	memcpy(r->transport, value, n);
	r->transport[n] = 0;
	strcpy(r->nexthop, hop);
	return true;
}

bool
transport_map_find(struct lookup_tables *map, const char *local, const char *domain, const char *delimiters, bool parents,
    struct transport_map_result *r)
{
	struct buf key = BUF_INIT(1024);
	const char *value, *dot;
	size_t	ext = strcspn(local, delimiters);

	if (lookup_tables_empty(map))
		return false;
	buf_addf(&key, "%s@%s", local, domain);
	value = lookup_tables_find(map, buf_str(&key), true);
	if (value == NULL && ext > 0 && local[ext] != 0) {
		buf_reset(&key);
		buf_add(&key, local, ext);
		buf_addf(&key, "@%s", domain);
		value = lookup_tables_find(map, buf_str(&key), false);
	}
	if (value == NULL)
		value = lookup_tables_find(map, domain, false);
	for (dot = strchr(domain, '.'); value == NULL && domain[0] != '[' && dot != NULL; dot = strchr(dot + 1, '.'))
		value = lookup_tables_find(map, parents ? dot + 1 : dot, false);
	if (value == NULL)
		value = lookup_tables_find(map, "*", false);
	buf_fini(&key);
	return value != NULL && transport_map_split(value, r) && (r->transport[0] != 0 || r->nexthop[0] != 0);
}
