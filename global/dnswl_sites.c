/* global/dnswl_sites.c - DNS lists of addresses */
#include "dnswl_sites.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <util/mem.h>

/* dnswl_number - 0 to 255 at *pp, which is moved behind it; -1 when there is none */
static int
dnswl_number(const char **pp, const char *end)
{
	const char *p = *pp;
	int	n = 0;

	if (p >= end || !isdigit((unsigned char) *p))
		return -1;
	while (p < end && isdigit((unsigned char) *p) && n <= 255)
		n = 10 * n + (*p++ - '0');
	*pp = p;
	return n <= 255 ? n : -1;
}

/* dnswl_range - one alternative: n or n..m */
static bool
dnswl_range(unsigned char *allowed, const char **pp, const char *end)
{
	int	from = dnswl_number(pp, end), to = from;

	if (from >= 0 && end - *pp >= 2 && (*pp)[0] == '.' && (*pp)[1] == '.') {
		*pp += 2;
		to = dnswl_number(pp, end);
	}
	if (from < 0 || to < from)
		return false;
	for (int i = from; i <= to; i++)
		allowed[i / 8] |= (unsigned char) (1 << i % 8);
	return true;
}

static bool
dnswl_part(unsigned char *allowed, const char **pp, const char *end)
{
	int	n;

	if (*pp < end && **pp == '[') {
		do {
			++*pp;
			if (!dnswl_range(allowed, pp, end))
				return false;
		} while (*pp < end && **pp == ';');
		return *pp < end && *(*pp)++ == ']';
	}
	if ((n = dnswl_number(pp, end)) < 0)
		return false;
	allowed[n / 8] |= (unsigned char) (1 << n % 8);
	return true;
}

/* dnswl_site_parse - one word; false: not understood */
static bool
dnswl_site_parse(struct dnswl_site *s, const char *word, const char *end)
{
	const char *eq = memchr(word, '=', (size_t) (end - word));
	size_t	n = (size_t) ((eq != NULL ? eq : end) - word);

	if (n == 0 || n > DNSWL_NAME_MAX - 16 || word[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char) word[i]) && strchr(".-_", word[i]) == NULL)
			return false;
	memcpy(s->domain, word, n);
	if (eq == NULL)
		return true;
	s->filtered = true;
	eq++;
	for (int i = 0; i < 4; i++) {
		if (i > 0 && (eq >= end || *eq++ != '.'))
			return false;
		if (!dnswl_part(s->allowed[i], &eq, end))
			return false;
	}
	return eq == end;
}

struct dnswl_sites *
dnswl_sites_parse(const char *text, struct buf *why)
{
	struct dnswl_sites *l = mem_alloc(sizeof *l);
	size_t	n;

	for (const char *p = text + strspn(text, " \t,"); *p != 0; p += n, p += strspn(p, " \t,")) {
		n = strcspn(p, " \t,");
		l->site = mem_grow(l->site, l->n + 1, sizeof l->site[0]);
		memset(&l->site[l->n], 0, sizeof l->site[0]);
		if (!dnswl_site_parse(&l->site[l->n++], p, p + n)) {
			buf_addf(why, "\"%.*s\" is not understood", (int) (n < 80 ? n : 80), p);
			dnswl_sites_free(&l);
			return NULL;
		}
	}
	return l;
}

void
dnswl_sites_free(struct dnswl_sites **lp)
{
	if (*lp == NULL)
		return;
	mem_free(&(*lp)->site);
	mem_free(lp);
}

bool
dnswl_name(const struct dnswl_site *s, const unsigned char *addr, size_t addr_len, char name_r[DNSWL_NAME_MAX + 1])
{
	struct buf name = BUF_INIT(DNSWL_NAME_MAX);
	bool	ok;

	for (size_t i = addr_len; i-- > 0;)
		if (addr_len == 4)
			buf_addf(&name, "%u.", addr[i]);
		else
			buf_addf(&name, "%x.%x.", addr[i] & 15u, addr[i] >> 4);
	buf_adds(&name, s->domain);
	ok = !name.full;
	snprintf(name_r, DNSWL_NAME_MAX + 1, "%s", buf_str(&name));
	buf_fini(&name);
	return ok;
}

bool
dnswl_match(const struct dnswl_site *s, struct in_addr answer)
{
	const unsigned char *b = (const unsigned char *) &answer.s_addr;

	for (int i = 0; s->filtered && i < 4; i++)
		if ((s->allowed[i][b[i] / 8] >> b[i] % 8 & 1) == 0)
			return false;
	return true;
}
