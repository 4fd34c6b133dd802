/* global/client_list.c - a list of clients */
#include "client_list.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <global/name_table.h>
#include <global/net_tree.h>
#include <global/pattern.h>
#include <util/ascii.h>
#include <util/mem.h>

#define CLIENT_NAME_MAX	255

struct client_list {
	struct net_tree nets;
	struct name_table names;
	struct {
		struct pattern *pattern;
		unsigned line;
	} *patterns;
	size_t	patterns_n;
	char   *file;
};

/* client_list_net - an address or network; 1 it is one, 0 it is something else, -1 it looks like one */
static int
client_list_net(struct client_list *l, const char *text, unsigned line)
{
	char	addr[64];
	const char *slash = strchr(text, '/');
	size_t	n = slash != NULL ? (size_t) (slash - text) : strlen(text);
	bool	bracket = text[0] == '[', v6 = memchr(text, ':', n) != NULL;
	unsigned dots = 0, bits;
	unsigned long given;
	char   *end;
	struct client_addr a;

	if (!v6 && strspn(text, "0123456789./") != strlen(text))
		return bracket ? -1 : 0;
	if (bracket) {
		if (n < 3 || text[n - 1] != ']')
			return -1;
		text++;
		n -= 2;
	}
	if (n >= sizeof addr - 8)
		return -1;
	memcpy(addr, text, n);
	addr[n] = 0;
	if (!v6) {				/* the beginning of an address will do */
		if (n > 0 && addr[n - 1] == '.')
			addr[--n] = 0;
		for (const char *p = addr; *p != 0; p++)
			dots += *p == '.';
		if (dots > 3)
			return -1;
		if (slash != NULL && dots < 3)
			return -1;
		for (unsigned i = dots; i < 3; i++)
			strcat(addr, ".0");
	}
	if (strchr(addr, '%') != NULL || !client_addr_parse(&a, addr))
		return -1;
	bits = v6 ? a.bits : 8 * (dots + 1);
	if (slash != NULL) {
		given = strtoul(slash + 1, &end, 10);
		if (!isdigit((unsigned char) slash[1]) || *end != 0 || given > a.bits)
			return -1;
		bits = (unsigned) given;
	}
	net_tree_add(&l->nets, &a, bits, line);
	return 1;
}

/* client_list_add - a list_line_fn */
static const char *
client_list_add(void *ctx, char *text, size_t len, unsigned line, struct buf *why)
{
	struct client_list *l = ctx;
	struct pattern *p;

	if (text[0] == '/') {
		if (len < 3 || text[len - 1] != '/')
			return "an expression ends with /";
		if ((p = pattern_new(text + 1, len - 2, true, why)) == NULL)
			return buf_str(why);
		l->patterns = mem_grow(l->patterns, l->patterns_n + 1, sizeof l->patterns[0]);
		l->patterns[l->patterns_n].pattern = p;
		l->patterns[l->patterns_n++].line = line;
		return NULL;
	}
	switch (client_list_net(l, text, line)) {
	case 1:
		return NULL;
	case -1:
		return "not an address or network";
	}
	if (text[0] == '.') {
		text++;
		len--;
	}
	if (len > 0 && text[len - 1] == '.')
		text[--len] = 0;
	if (len == 0 || len > CLIENT_NAME_MAX)
		return "not a client name";
	for (char *q = text; *q != 0; q++)
		if (!isalnum((unsigned char) *q) && strchr(".-_", *q) == NULL && (unsigned char) *q < 0x80)
			return "use an address, a network, a domain or /expression/";
	ascii_lower(text, len);
	name_table_add(&l->names, text, len, line);
	return NULL;
}

struct client_list *
client_list_parse(const char *file, const char *text, size_t len, struct list_count *count)
{
	struct client_list *l = mem_alloc(sizeof *l);

	l->file = mem_strdup(file);
	list_line_each(file, text, len, client_list_add, l, count);
	return l;
}

void
client_list_free(struct client_list **lp)
{
	if (*lp == NULL)
		return;
	net_tree_fini(&(*lp)->nets);
	name_table_fini(&(*lp)->names);
	for (size_t i = 0; i < (*lp)->patterns_n; i++)
		pattern_free(&(*lp)->patterns[i].pattern);
	mem_free(&(*lp)->patterns);
	mem_free(&(*lp)->file);
	mem_free(lp);
}

unsigned
client_list_match(struct client_list *l, const struct client_addr *a, const char *name, unsigned *over)
{
	char	lower[CLIENT_NAME_MAX + 1];
	size_t	n = strlen(name);
	const struct name_entry *e;
	uint32_t line;

	if (net_tree_find(&l->nets, a, &line))
		return line;
	if (n == 0 || n > CLIENT_NAME_MAX)
		return 0;
	memcpy(lower, name, n + 1);
	ascii_lower(lower, n);
	if (lower[n - 1] == '.')
		lower[--n] = 0;
	if ((e = name_table_find_domain(&l->names, lower, n)) != NULL)
		return e->value;
	for (size_t i = 0; i < l->patterns_n; i++)
		if (pattern_match(l->patterns[i].pattern, lower, n, l->file, l->patterns[i].line, over))
			return l->patterns[i].line;
	return 0;
}
