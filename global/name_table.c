/* global/name_table.c - a set of names: open addressing, at most half full */
#include "name_table.h"

#include <bsd/stdlib.h>
#include <string.h>

#include <util/mem.h>
#include <util/quickhash.h>

void
name_table_fini(struct name_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		mem_free(&t->entry[i].name);
	mem_free(&t->entry);
	mem_free(&t->slot);
	memset(t, 0, sizeof *t);
}

/* name_table_slot - where a name is, or would be; there is a free slot */
static uint32_t *
name_table_slot(const struct name_table *t, const char *name, size_t len)
{
	const struct name_entry *e;
	size_t	i = (size_t) quickhash(t->seed, name, len) & (t->slots - 1);

	for (;; i = (i + 1) & (t->slots - 1)) {
		if (t->slot[i] == 0)
			return &t->slot[i];
		e = &t->entry[t->slot[i] - 1];
		if (e->len == len && memcmp(e->name, name, len) == 0)
			return &t->slot[i];
	}
}

static void
name_table_grow(struct name_table *t)
{
	if (t->slots == 0)
		arc4random_buf(&t->seed, sizeof t->seed);
	mem_free(&t->slot);
	t->slots = t->slots == 0 ? 64 : 2 * t->slots;
	t->slot = mem_array(t->slots, sizeof t->slot[0]);
	for (size_t i = 0; i < t->n; i++)	/* later entries of a name stand for it */
		*name_table_slot(t, t->entry[i].name, t->entry[i].len) = (uint32_t) i + 1;
}

void
name_table_add(struct name_table *t, const char *name, size_t len, uint32_t value)
{
	struct name_entry *e;
	uint32_t *slot;

	if (2 * (t->n + 1) > t->slots)
		name_table_grow(t);
	if (t->n == t->room) {
		t->room = t->room == 0 ? 32 : 2 * t->room;
		t->entry = mem_grow(t->entry, t->room, sizeof t->entry[0]);
	}
	slot = name_table_slot(t, name, len);
	e = &t->entry[t->n++];
	e->name = mem_strndup(name, len);
	e->len = len;
	e->value = value;
	e->same = *slot;
	*slot = (uint32_t) t->n;
}

const struct name_entry *
name_table_find(const struct name_table *t, const char *name, size_t len)
{
	uint32_t n = t->slots > 0 ? *name_table_slot(t, name, len) : 0;

	return n > 0 ? &t->entry[n - 1] : NULL;
}

const struct name_entry *
name_table_same(const struct name_table *t, const struct name_entry *e)
{
	return e->same > 0 ? &t->entry[e->same - 1] : NULL;
}

const struct name_entry *
name_table_find_domain(const struct name_table *t, const char *domain, size_t len)
{
	const struct name_entry *e;
	const char *dot;

	while (t->n > 0 && len > 0) {
		if ((e = name_table_find(t, domain, len)) != NULL)
			return e;
		if ((dot = memchr(domain, '.', len)) == NULL)
			return NULL;
		len -= (size_t) (dot + 1 - domain);
		domain = dot + 1;
	}
	return NULL;
}
