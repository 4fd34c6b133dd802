/* global/domain_list.c - lists of domains */
#include "domain_list.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include <util/ascii.h>
#include <util/mem.h>
#include <global/lookup_table.h>

#define DOMAIN_FILE_MAX	 (4u << 20)
#define DOMAIN_DEPTH_MAX 5		/* files that name files */

struct domain_item {
	bool	 negate;
	char	*name;			/* in lower case; NULL for a table */
	struct lookup_tables *table;
};

struct domain_list {
	bool	 parents;
	struct domain_item *item;
	size_t	 n;
};

static struct domain_item *
domain_list_add(struct domain_list *l, bool negate)
{
	l->item = mem_grow(l->item, l->n + 1, sizeof *l->item);
	l->item[l->n] = (struct domain_item) { .negate = negate };
	return &l->item[l->n++];
}

static void
domain_list_parse(struct domain_list *l, const char *text, unsigned depth, struct buf *why)
{
	const char *p = text, *end;
	struct lookup_tables *table;
	struct domain_item *item;
	char   *word;
	bool	negate;

	for (; *(p += strspn(p, " \t\r\n,")) != 0; p = end) {
		end = p + strcspn(p, " \t\r\n,");
		if (*p == '#') {			/* in files */
			end = p + strcspn(p, "\n");
			continue;
		}
		for (negate = false; *p == '!'; p++)
			negate = !negate;
		word = mem_strndup(p, (size_t) (end - p));
		if (word[0] == '/') {
			struct buf file = BUF_INIT(DOMAIN_FILE_MAX);

			if (depth >= DOMAIN_DEPTH_MAX || buf_read_file(&file, AT_FDCWD, word) < 0)
				buf_addf(why, "%s%s: %s", why->len > 0 ? "\n" : "", word,
				    depth >= DOMAIN_DEPTH_MAX ? "files that name files that name files" : strerror(errno));
			else
				domain_list_parse(l, buf_str(&file), depth + 1, why);
			buf_fini(&file);
		} else if (strchr(word, ':') != NULL && word[0] != '[') {
			if ((table = lookup_tables_open(word, why)) != NULL)
				domain_list_add(l, negate)->table = table;
		} else if (word[0] != 0) {
			item = domain_list_add(l, negate);
			item->name = mem_strdup(word);
			ascii_lower(item->name, strlen(item->name));
		}
		mem_free(&word);
	}
}

struct domain_list *
domain_list_open(const char *text, bool parents, struct buf *why)
{
	struct domain_list *l = mem_alloc(sizeof *l);

	l->parents = parents;
	domain_list_parse(l, text, 0, why);
	return l;
}

void
domain_list_free(struct domain_list **lp)
{
	if (*lp == NULL)
		return;
	for (size_t i = 0; i < (*lp)->n; i++) {
		mem_free(&(*lp)->item[i].name);
		lookup_tables_free(&(*lp)->item[i].table);
	}
	mem_free(&(*lp)->item);
	mem_free(lp);
}

static bool
domain_item_match(const struct domain_list *l, struct domain_item *item, const char *domain)
{
	size_t	n = strlen(domain), m;

	if (item->table != NULL) {
		if (lookup_tables_find(item->table, domain, true) != NULL)
			return true;
		for (const char *dot = strchr(domain, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
			if (lookup_tables_find(item->table, l->parents ? dot + 1 : dot, false) != NULL)
				return true;
		return false;
	}
	m = strlen(item->name);
	if (m == n)
		return strcmp(item->name, domain) == 0;
	if (m > n || strcmp(domain + n - m, item->name) != 0)
		return false;
	return item->name[0] == '.' ? !l->parents : l->parents && domain[n - m - 1] == '.';
}

bool
domain_list_match(struct domain_list *l, const char *domain)
{
	for (size_t i = 0; i < l->n; i++)
		if (domain_item_match(l, &l->item[i], domain))
			return !l->item[i].negate;
	return false;
}

void
domain_list_check(struct domain_list *l, int64_t now_ms)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->item[i].table != NULL)
			lookup_tables_check(l->item[i].table, now_ms);
}
