/* global/address_list.c - a list of mail addresses */
#include "address_list.h"

#include <stdio.h>
#include <string.h>

#include <global/client_list.h>
#include <global/name_table.h>
#include <global/pattern.h>
#include <util/ascii.h>
#include <util/mem.h>

#define ADDRESS_MAX	4096		/* longer ones are in no list */

struct address_list {
	bool	columns;		/* while it is read: there may be a second one */
	unsigned bare;			/* entries without it */
	unsigned odd;			/* words in it that are no clients */
	struct name_table addresses;	/* user@domain, user@; the value is the number of the entry, as in domains */
	struct name_table domains;
	struct address_entry {
		unsigned line;
		struct client_list *clients;	/* NULL: any */
		struct pattern *pattern;
	} *entry;
	size_t	n, patterns;
	char   *file, *delimiter;
};

/* address_list_clients - the second column, commas as line ends */
static struct client_list *
address_list_clients(struct address_list *l, char *column, unsigned line, const char **why)
{
	struct list_count count = { 0, l->odd };	/* all of them together are reported as those of one file */
	char   *file = mem_printf("%s, line %u", l->file, line);
	struct client_list *clients;

	for (char *p = column; *p != 0; p++)
		if (*p == ',')
			*p = '\n';
	clients = client_list_parse(file, column, strlen(column), &count);
	mem_free(&file);
	if (count.rejected == l->odd && count.entries > 0)
		return clients;
	l->odd = count.rejected;
	client_list_free(&clients);
	*why = "the second column is a list of clients, separated by commas";
	return NULL;
}

/* address_list_split - cut the second column off; an expression ends with the last '/' that a blank or nothing follows */
static char *
address_list_split(char *text)
{
	char   *p = text;

	if (*p == '/')
		for (p++; *p != 0 && !(p[0] == '/' && (p[1] == 0 || p[1] == ' ' || p[1] == '\t')); p++)
			;
	p += strcspn(p, " \t");
	if (*p == 0)
		return NULL;
	*p++ = 0;
	return p + strspn(p, " \t");
}

/* address_list_add - a list_line_fn */
static const char *
address_list_add(void *ctx, char *text, size_t len, unsigned line, struct buf *why)
{
	struct address_list *l = ctx;
	struct address_entry e = { .line = line };
	char   *second = address_list_split(text), *at;
	const char *bad = NULL;

	if (second != NULL && !l->columns)
		return "one entry a line";
	len = strlen(text);
	if (len > ADDRESS_MAX || len == 0)
		return "not an address";
	if (second != NULL && (e.clients = address_list_clients(l, second, line, &bad)) == NULL)
		return bad;
	if (text[0] == '/') {
		if (len < 3 || text[len - 1] != '/')
			bad = "an expression ends with /";
		else if ((e.pattern = pattern_new(text + 1, len - 2, true, why)) == NULL)
			bad = buf_str(why);
		else
			l->patterns++;
	} else {
		ascii_lower(text, len);
		at = strrchr(text, '@');
		if (at == text || (at == NULL && text[0] == '.')) {	/* @domain, .domain */
			text++;
			len--;
			at = NULL;
		}
		if (len == 0)
			bad = "not an address";
		else
			name_table_add(at != NULL ? &l->addresses : &l->domains, text, len, (uint32_t) l->n);
	}
	if (bad != NULL) {
		client_list_free(&e.clients);
		return bad;
	}
	l->bare += e.clients == NULL;
	l->entry = mem_grow(l->entry, l->n + 1, sizeof l->entry[0]);
	l->entry[l->n++] = e;
	return NULL;
}

struct address_list *
address_list_parse(const char *file, const char *text, size_t len, const char *delimiter, bool columns, struct list_count *count,
    unsigned *bare_r)
{
	struct address_list *l = mem_alloc(sizeof *l);

	l->file = mem_strdup(file);
	l->delimiter = mem_printf("+%s", delimiter);
	l->columns = columns;
	list_line_each(file, text, len, address_list_add, l, count);
	*bare_r = l->bare;
	return l;
}

void
address_list_free(struct address_list **lp)
{
	if (*lp == NULL)
		return;
	for (size_t i = 0; i < (*lp)->n; i++) {
		client_list_free(&(*lp)->entry[i].clients);
		pattern_free(&(*lp)->entry[i].pattern);
	}
	name_table_fini(&(*lp)->addresses);
	name_table_fini(&(*lp)->domains);
	mem_free(&(*lp)->entry);
	mem_free(&(*lp)->file);
	mem_free(&(*lp)->delimiter);
	mem_free(lp);
}

/* address_list_client - whether the entry is for this client */
static bool
address_list_client(const struct address_entry *e, const struct client_addr *client, const char *name, unsigned *over)
{
	return e->clients == NULL || (client != NULL && client_list_match(e->clients, client, name, over) != 0);
}

static unsigned
address_list_find(const struct address_list *l, const struct name_table *t, const struct name_entry *n,
    const struct client_addr *client, const char *name, unsigned *over)
{
	for (; n != NULL; n = name_table_same(t, n))
		if (address_list_client(&l->entry[n->value], client, name, over))
			return l->entry[n->value].line;
	return 0;
}

/* address_list_user - the entry for text, an address of n bytes, or for its user@, which is made there: user bytes before the '@' */
static unsigned
address_list_user(const struct address_list *l, char *text, size_t user, size_t n, const struct client_addr *client, const char *name,
    unsigned *over)
{
	unsigned line = address_list_find(l, &l->addresses, name_table_find(&l->addresses, text, n), client, name, over);

	if (line != 0)
		return line;
	text[user] = '@';
	return address_list_find(l, &l->addresses, name_table_find(&l->addresses, text, user + 1), client, name, over);
}

unsigned
address_list_match(struct address_list *l, const char *address, const struct client_addr *client, const char *name, unsigned *over)
{
	char	lower[ADDRESS_MAX + 1], plain[ADDRESS_MAX + 1];
	size_t	n = strlen(address), local, cut = 1;
	const char *at, *domain;
	unsigned line;

	if (l->n == 0 || n == 0 || n > ADDRESS_MAX)
		return 0;
	memcpy(lower, address, n + 1);
	ascii_lower(lower, n);
	while (lower[n - 1] == '.' && n > 1)
		lower[--n] = 0;
	at = strrchr(lower, '@');
	local = at != NULL ? (size_t) (at - lower) : n;
	while (cut < local && strchr(l->delimiter, lower[cut]) == NULL)
		cut++;
	if ((line = address_list_user(l, lower, local, n, client, name, over)) != 0)
		return line;
	if (cut < local) {			/* without its extension */
		memcpy(plain, lower, cut);
		memcpy(plain + cut, lower + local, n - local);
		if ((line = address_list_user(l, plain, cut, cut + n - local, client, name, over)) != 0)
			return line;
	}
	domain = at != NULL && l->domains.n > 0 ? at + 1 : "";
	for (; *domain != 0; domain = domain + strcspn(domain, "."), domain += *domain == '.')
		if ((line = address_list_find(l, &l->domains, name_table_find(&l->domains, domain, strlen(domain)), client, name,
		    over)) != 0)
			return line;
	for (size_t i = 0; l->patterns > 0 && i < l->n; i++) {
		if (l->entry[i].pattern == NULL)
			continue;
		if (pattern_match(l->entry[i].pattern, lower, n, l->file, l->entry[i].line, over) &&
		    address_list_client(&l->entry[i], client, name, over))
			return l->entry[i].line;
	}
	return 0;
}
