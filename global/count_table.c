/* global/count_table.c - counters whose names are known only at run time */
#include "count_table.h"

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/shmtab.h>

#define COUNT_KEY_MAX	256		/* both names and a NUL behind each */

struct count_table {
	struct shmtab *tab;
};

/* one addition; the sum must live until the table has copied it */
struct count_sum {
	uint64_t n;
};

struct count_table *
count_table_open(int data_fd, const char *name, const char **why_r)
{
	struct shmtab *tab;
	struct count_table *t;

	if (shmtab_open(&tab, data_fd, name, COUNT_TABLE_BYTES, why_r) < 0)
		return NULL;
	t = mem_alloc(sizeof *t);
	t->tab = tab;
	return t;
}

void
count_table_close(struct count_table **tp)
{
	if (*tp == NULL)
		return;
	shmtab_close(&(*tp)->tab);
	mem_free(tp);
}

static enum shmtab_act
count_add(void *ctx, const struct shmtab_val *old, struct shmtab_val *new_r)
{
	struct count_sum *sum = ctx;
	uint64_t before;

	if (old != NULL && old->len == sizeof before) {
		memcpy(&before, old->data, sizeof before);
		sum->n += before;
	}
	new_r->data = &sum->n;
	new_r->len = sizeof sum->n;
	return SHMTAB_PUT;
}

int
count_table_add(struct count_table *t, const char *first, const char *second, uint64_t n)
{
	struct count_sum sum = { n };
	char	key[COUNT_KEY_MAX];
	int	len = snprintf(key, sizeof key, "%s%c%s", first, 0, second);

	if (len < 0 || (size_t) len >= sizeof key)
		return 0;			/* nobody has such a name: PLUGINS_NAME_MAX */
	return shmtab_modify(t->tab, key, (size_t) len + 1, 0, count_add, &sum);
}

void
count_table_check(struct count_table *t)
{
	const char *why;

	shmtab_check(t->tab, &why);		/* what is wrong shows again at the next start */
}

struct count_walk {
	count_table_fn *fn;
	void   *ctx;
};

static bool
count_show(void *ctx, const void *key, size_t keylen, const struct shmtab_val *v)
{
	struct count_walk *w = ctx;
	const char *first = key, *second = keylen > 0 ? memchr(first, 0, keylen) : NULL;
	uint64_t value;

	/* the file is believed no more than it has to be */
	if (second == NULL || first[keylen - 1] != 0 || second == first + keylen - 1 || v->len != sizeof value)
		return true;
	memcpy(&value, v->data, sizeof value);
	w->fn(w->ctx, first, second + 1, value);
	return true;
}

int
count_table_read(int data_fd, const char *name, count_table_fn *fn, void *ctx)
{
	struct count_walk w = { fn, ctx };
	struct shmtab *tab;
	const char *why;

	if (shmtab_open_read(&tab, data_fd, name, &why) < 0)
		return -1;
	for (unsigned part = 0; part < shmtab_parts(tab); part++)
		shmtab_walk(tab, part, count_show, &w);
	shmtab_close(&tab);
	return 0;
}
