/* global/addr_list.c - lists of IP addresses and networks
 * Every element is a network; an IPv4 one is kept as the last 32 of 128 bits, with its length counted likewise.
 */
#include "addr_list.h"

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>

#define ADDR_LIST_SEP	", \t\r\n"
#define ADDR_TEXT_MAX	64	/* bytes of one element: more than the longest address */

struct addr_net {
	unsigned char addr[16];
	unsigned bits;
	bool	 negated;
};

struct addr_list {
	size_t	n;
	struct addr_net *net;
};

/* addr_net_of - the 128 bits that an address is compared as: IPv4 as ::ffff:a.b.c.d */
static void
addr_net_of(const struct mx_addr *a, unsigned char out[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (a->ipv6)
		memcpy(out, &a->aaaa, 16);
	else {
		memcpy(out, mapped, 12);
		memcpy(out + 12, &a->a, 4);
	}
}

/* addr_net_prefix - "192.0.2." or "2001:db8:": the text is a whole number of groups */
static bool
addr_net_prefix(const char *s, struct addr_net *net)
{
	char	full[ADDR_TEXT_MAX + 32];
	bool	ipv6 = strchr(s, ':') != NULL;
	struct mx_addr a;
	unsigned groups = 0;

	for (const char *p = s; *p != 0; p++)
		groups += *p == (ipv6 ? ':' : '.');
	if (groups > (ipv6 ? 7 : 3) || strstr(s, "::") != NULL)
		return false;
	snprintf(full, sizeof full, "%s", s);
	for (unsigned i = groups; i < (ipv6 ? 8 : 4); i++)
		snprintf(full + strlen(full), sizeof full - strlen(full), i + 1 < (ipv6 ? 8 : 4) ? "0%c" : "0", ipv6 ? ':' : '.');
	if (!mx_addr_parse(full, &a) || a.ipv6 != ipv6)
		return false;
	addr_net_of(&a, net->addr);
	net->bits = ipv6 ? 16 * groups : 96 + 8 * groups;
	return true;
}

/* addr_net_parse - one element; NULL, or what is wrong with it */
static const char *
addr_net_parse(char *s, struct addr_net *net)
{
	struct mx_addr a;
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
	if (!mx_addr_parse(s, &a))
		return "not a numeric address";
	if (bits > (a.ipv6 ? 128 : 32))
		return "too many bits";
	addr_net_of(&a, net->addr);
	net->bits = bits < 0 ? 128 : (unsigned) bits + (a.ipv6 ? 0 : 96);
	for (unsigned i = net->bits; i < 128; i++)
		if (net->addr[i / 8] & 0x80 >> i % 8)
			return "there are bits set behind the network's";
	return NULL;
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

static bool
addr_net_has(const struct addr_net *net, const unsigned char addr[16])
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	return memcmp(net->addr, addr, whole) == 0 &&
	    (rest == 0 || ((net->addr[whole] ^ addr[whole]) & 0xff00 >> rest & 0xff) == 0);
}

bool
addr_list_match(const struct addr_list *list, const struct mx_addr *a)
{
	unsigned char addr[16];

	addr_net_of(a, addr);
	for (size_t i = 0; i < list->n; i++)
		if (addr_net_has(&list->net[i], addr))
			return !list->net[i].negated;
	return false;
}

bool
addr_list_match_text(const struct addr_list *list, const char *text)
{
	struct mx_addr a;

	return mx_addr_parse(text, &a) && addr_list_match(list, &a);
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
