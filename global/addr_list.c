/* global/addr_list.c - lists of IP addresses and networks */
#include "addr_list.h"

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>

#define ADDR_LIST_SEP	", \t\r\n"
#define ADDR_TEXT_MAX	64	/* bytes of one element: more than the longest address */

struct addr_net {
	struct client_addr addr;
	unsigned bits;
	bool	 negated;
};

struct addr_list {
	size_t	n;
	struct addr_net *net;
};

/* addr_net_prefix - "192.0.2." or "2001:db8:": the text is a whole number of groups */
static bool
addr_net_prefix(const char *s, struct addr_net *net)
{
	char	full[ADDR_TEXT_MAX + 32];
	bool	ipv6 = strchr(s, ':') != NULL;
	unsigned groups = 0;

	for (const char *p = s; *p != 0; p++)
		groups += *p == (ipv6 ? ':' : '.');
	if (groups > (ipv6 ? 7 : 3) || strstr(s, "::") != NULL)
		return false;
	snprintf(full, sizeof full, "%s", s);
	for (unsigned i = groups; i < (ipv6 ? 8 : 4); i++)
		snprintf(full + strlen(full), sizeof full - strlen(full), i + 1 < (ipv6 ? 8 : 4) ? "0%c" : "0", ipv6 ? ':' : '.');
	net->bits = (ipv6 ? 16 : 8) * groups;
	return client_addr_parse(&net->addr, full) && net->addr.bits == (ipv6 ? 128 : 32);
}

/* addr_net_parse - one element; NULL, or what is wrong with it */
static const char *
addr_net_parse(char *s, struct addr_net *net)
{
	struct client_addr first;
	char   *slash, *end;
	int64_t bits = -1;
	size_t	n;

	memset(net, 0, sizeof *net);
	for (; *s == '!'; s++)
		net->negated = !net->negated;
	n = strlen(s);
	if (n > 0 && n < ADDR_TEXT_MAX && (s[n - 1] == '.' || (s[n - 1] == ':' && (n < 2 || s[n - 2] != ':'))))
		return addr_net_prefix(s, net) ? NULL : "not the beginning of an address";
	if ((slash = strchr(s, '/')) != NULL) {
		*slash = 0;
		if (!units_int_parse(slash + 1, &bits) || bits < 0)
			return "a number of bits must follow the /";
	}
	if (*s == '[') {
		s++;
		if ((end = strchr(s, ']')) == NULL || end[1] != 0)
			return "] is missing";
		*end = 0;
	}
	if (!client_addr_parse(&net->addr, s))
		return "not a numeric address";
	if (strchr(s, ':') != NULL && net->addr.bits == 32 && bits >= 96)
		bits -= 96;			/* ::ffff:127.0.0.0/104 */
	if (bits > net->addr.bits)
		return "too many bits";
	net->bits = bits < 0 ? net->addr.bits : (unsigned) bits;
	first = net->addr;
	client_addr_mask(&first, net->bits);
	return memcmp(first.bytes, net->addr.bytes, sizeof first.bytes) == 0 ? NULL : "there are bits set behind the network's";
}

struct addr_list *
addr_list_new(const char *text, struct buf *why)
{
	struct addr_list *list = mem_alloc(sizeof *list);
	struct addr_net net;
	char	one[ADDR_TEXT_MAX], shown[ADDR_TEXT_MAX];
	const char *wrong;
	bool	ok = true;
	size_t	len;

	for (const char *p = text + strspn(text, ADDR_LIST_SEP); *p != 0; p += len, p += strspn(p, ADDR_LIST_SEP)) {
		len = strcspn(p, ADDR_LIST_SEP);
		snprintf(one, sizeof one, "%.*s", (int) len, p);
		msg_clean(shown, sizeof shown, one);
		wrong = len >= sizeof one ? "too long for an address" : addr_net_parse(one, &net);
		if (wrong != NULL) {
			buf_addf(why, "%s\"%s\": %s", ok ? "" : "\n", shown, wrong);
			ok = false;
			continue;
		}
		if (list->n % 16 == 0)
			list->net = mem_grow(list->net, list->n + 16, sizeof *list->net);
		list->net[list->n++] = net;
	}
	if (!ok)
		addr_list_free(&list);
	return list;
}

void
addr_list_free(struct addr_list **lp)
{
	if (*lp == NULL)
		return;
	mem_free(&(*lp)->net);
	mem_free(lp);
}

bool
addr_list_match(const struct addr_list *list, const struct client_addr *a)
{
	for (size_t i = 0; i < list->n; i++)
		if (client_addr_in(a, &list->net[i].addr, list->net[i].bits))
			return !list->net[i].negated;
	return false;
}

bool
addr_list_match_text(const struct addr_list *list, const char *text)
{
	struct client_addr a;

	return client_addr_parse(&a, text) && addr_list_match(list, &a);
}

const char *
addr_list_check(const char *text)
{
	struct buf why = BUF_INIT(64 * 1024);
	struct addr_list *list = addr_list_new(text, &why);

	buf_fini(&why);
	if (list == NULL)
		return "use numeric addresses and networks, such as 127.0.0.0/8 [::1]/128";
	addr_list_free(&list);
	return NULL;
}
