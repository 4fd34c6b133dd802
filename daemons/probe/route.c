/* daemons/probe/route.c - address -> who is to be asked about it */
#include "route.h"

#include <ctype.h>
#include <idn2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <bsd/string.h>

#include <util/ascii.h>
#include <util/dns.h>
#include <util/utf8.h>
#include <global/nexthop.h>
#include <global/transport_map.h>

static void __attribute__((format(printf, 5, 6)))
route_answer(struct route *r, enum verify_status status, enum smtp_cat cat, const char *dsn, const char *fmt, ...)
{
	va_list ap;

	r->kind = ROUTE_ANSWER;
	r->status = status;
	r->cat = cat;
	strlcpy(r->dsn, dsn, sizeof r->dsn);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof r->text, fmt, ap);
	va_end(ap);
}

/* addresses */

static bool
route_atext(unsigned char c)
{
	return isalnum(c) || c >= 0x80 || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool
route_quote(char *out, size_t size, const char *local, size_t n)
{
	bool	plain = n > 0 && local[0] != '.' && local[n - 1] != '.';
	size_t	o = 0;

	for (size_t i = 0; i < n; i++)
		if (!route_atext((unsigned char) local[i]) && (local[i] != '.' || (i > 0 && local[i - 1] == '.')))
			plain = false;
	if (size < 4)
		return false;
	if (!plain)
		out[o++] = '"';
	for (size_t i = 0; i < n; i++) {
		if (o > size - 4)
			return false;
		if (!plain && (local[i] == '"' || local[i] == '\\'))
			out[o++] = '\\';
		out[o++] = local[i];
	}
	if (!plain)
		out[o++] = '"';
	out[o] = 0;
	return true;
}

bool
route_ascii_domain(char *out, size_t size, const char *domain)
{
	size_t	n = strlen(domain);
	char   *ascii = NULL;
	bool	ok = false;

	if (n > 0 && domain[n - 1] == '.')
		n--;
	if (n == 0 || n >= size)
		return false;
	memcpy(out, domain, n);
	out[n] = 0;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char) out[i] >= 0x80) {
			if (idn2_to_ascii_8z(out, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK &&
			    strlen(ascii) < size) {
				strcpy(out, ascii);
				ok = true;
			}
			idn2_free(ascii);
			if (!ok)
				return false;
			break;
		}
	ascii_lower(out, strlen(out));
	return dns_name_valid(out);
}

/* route_domain - the domain of a recipient: a name, or a literal in brackets; sets r->domain and *wire (for RCPT) */
static bool
route_domain(struct route *r, const char *domain, char *wire, size_t size)
{
	struct mx_addr a;
	char	text[INET6_ADDRSTRLEN], inner[80];
	size_t	n = strlen(domain);

	if (domain[0] == '[') {
		if (n < 3 || domain[n - 1] != ']' || n - 2 >= sizeof inner)
			return false;
		memcpy(inner, domain + 1, n - 2);
		inner[n - 2] = 0;
		if (!mx_addr_parse(inner, &a))
			return false;
	} else if (strspn(domain, "0123456789.") == n && mx_addr_parse(domain, &a))
		;				/* numeric without brackets counts as a literal */
	else {
		if (!route_ascii_domain(r->domain, sizeof r->domain, domain))
			return false;
		strlcpy(wire, r->domain, size);
		return true;
	}
	mx_addr_text(&a, text, sizeof text);
	snprintf(r->domain, sizeof r->domain, "[%s]", text);
	snprintf(wire, size, "[%s%s]", a.ipv6 ? "IPv6:" : "", text);
	return true;
}

static bool
route_is_own_literal(const struct route_conf *c, const char *domain)
{
	char	text[INET6_ADDRSTRLEN];
	struct mx_addr a;
	size_t	n = strlen(domain);

	if (domain[0] != '[' || n - 2 >= sizeof text)
		return false;
	memcpy(text, domain + 1, n - 2);
	text[n - 2] = 0;
	if (!mx_addr_parse(text, &a))
		return false;
	for (size_t i = 0; i < c->own_n; i++)
		if (mx_addr_equal(&a, &c->own[i]))
			return true;
	return false;
}

static enum route_class
route_class(const struct route_conf *c, const char *domain)
{
	if (domain_list_match(c->mydestination, domain) || route_is_own_literal(c, domain))
		return ROUTE_LOCAL;
	if (domain_list_match(c->virtual_alias, domain))
		return ROUTE_ALIAS;
	if (domain_list_match(c->virtual_mailbox, domain))
		return ROUTE_VIRTUAL;
	if (domain_list_match(c->relay, domain))
		return ROUTE_RELAY;
	return ROUTE_DEFAULT;
}

/* transports */

/* route_text - the text of an error or retry transport: a leading enhanced status code becomes the dsn */
static void
route_text(struct route *r, const char *hop, bool retry)
{
	const char *p = hop;
	char	dsn[12];
	size_t	n = strcspn(p, " ");
	bool	given = n >= 5 && n < sizeof dsn && (p[0] == '4' || p[0] == '5') && p[1] == '.' &&
		    strspn(p, "0123456789.") == n;

	strlcpy(dsn, retry ? "4.0.0" : "5.0.0", sizeof dsn);
	if (given) {
		memcpy(dsn, p, n);
		dsn[n] = 0;
		p += n + strspn(p + n, " ");
	}
	if (*p == 0)
		p = retry ? "mail transport unavailable" : "mail for this recipient is refused";
	route_answer(r, retry || dsn[0] == '4' ? VERIFY_DEFER : VERIFY_BOUNCE,
	    retry || dsn[0] == '4' ? SMTP_CAT_REMOTE_ERROR : SMTP_CAT_UNKNOWN, dsn, "%s", p);
}

static void
route_transport(const struct route_conf *c, struct route *r, const char *hop, bool own)
{
	struct nexthop nh;
	const char *why, *p, *item;
	size_t	n;

	r->own = own;
	if (strcmp(r->transport, "smtp") == 0 || strcmp(r->transport, "relay") == 0 ||
	    nexthop_listed(c->smtp_transports, r->transport))
		r->kind = ROUTE_SMTP;
	else if (strcmp(r->transport, "lmtp") == 0)
		r->kind = ROUTE_LMTP;
	else if (strcmp(r->transport, "error") == 0)
		route_text(r, hop, false);
	else if (strcmp(r->transport, "retry") == 0)
		route_text(r, hop, true);
	else if (strcmp(r->transport, "discard") == 0)
		route_answer(r, VERIFY_OK, SMTP_CAT_ACCEPTED, "2.0.0", "%s", *hop != 0 ? hop : r->domain);
	else if (c->unknown_transport == VERIFY_OK)
		route_answer(r, VERIFY_OK, SMTP_CAT_UNVERIFIED, "2.0.0", "delivers through transport %s", r->transport);
	else
		route_answer(r, VERIFY_DEFER, SMTP_CAT_CONFIG, "4.3.5", "no probe method for transport %s", r->transport);
	if (r->kind == ROUTE_ANSWER)
		return;
	strlcpy(r->nexthop, hop, sizeof r->nexthop);
	if (!own)
		return;
	for (p = r->nexthop, n = 0; (item = nexthop_next(&p, &n)) != NULL; )
		if (!nexthop_parse(item, n, &nh, &why)) {
			route_answer(r, VERIFY_DEFER, SMTP_CAT_CONFIG, "4.3.5", "bad next hop %.*s: %s", (int) n, item, why);
			return;
		}
}

void
route_find(const struct route_conf *c, const char *addr, struct route *r)
{
	const char *at = strrchr(addr, '@'), *domain = at != NULL ? at + 1 : c->myorigin;
	size_t	local_n = at != NULL ? (size_t) (at - addr) : strlen(addr), n = strlen(addr);
	struct transport_map_result t, map;
	char	local[ROUTE_ADDR_MAX], wire[sizeof r->domain + 16];
	enum route_class class;
	const char *hop;
	bool	own = false;

	memset(r, 0, sizeof *r);
	if (n >= ROUTE_ADDR_MAX - 300 || local_n == 0 || !utf8_valid(addr, n)) {
		route_answer(r, VERIFY_BOUNCE, SMTP_CAT_SYNTAX, "5.1.3", "bad address syntax");
		return;
	}
	for (size_t i = 0; i < n; i++)
		if ((unsigned char) addr[i] < 0x20 || addr[i] == 0x7f) {
			route_answer(r, VERIFY_BOUNCE, SMTP_CAT_SYNTAX, "5.1.3", "bad address syntax");
			return;
		}
	memcpy(local, addr, local_n);
	local[local_n] = 0;
	if (!route_domain(r, domain, wire, sizeof wire)) {
		route_answer(r, VERIFY_BOUNCE, SMTP_CAT_SYNTAX, "5.1.2", "bad address syntax: no domain name: %.200s", domain);
		return;
	}
	n = strlen(domain);
	if (at == NULL || (n > 1 && domain[n - 1] == '.')) {	/* what was completed or trimmed gets a result of its own */
		strlcpy(r->final, local, sizeof r->final);
		strlcat(r->final, "@", sizeof r->final);
		strlcat(r->final, domain, sizeof r->final);
		if (n > 1 && domain[n - 1] == '.')
			r->final[strlen(r->final) - 1] = 0;
	}
	for (size_t i = 0; i < local_n; i++)
		r->utf8 |= (unsigned char) local[i] >= 0x80;
	if (!route_quote(r->rcpt, sizeof r->rcpt - sizeof wire - 1, local, local_n)) {
		route_answer(r, VERIFY_BOUNCE, SMTP_CAT_SYNTAX, "5.1.3", "bad address syntax");
		return;
	}
	strlcat(r->rcpt, "@", sizeof r->rcpt);
	strlcat(r->rcpt, wire, sizeof r->rcpt);

	/* lowest precedence first: the domain, relayhost, the class transport's next hop, the transport table */
	class = route_class(c, r->domain);
	if (class == ROUTE_ALIAS) {
		route_answer(r, VERIFY_BOUNCE, SMTP_CAT_UNKNOWN, "5.1.1", "User unknown in virtual alias table");
		return;
	}
	if (!transport_map_split(c->transport[class], &t))
		t.transport[0] = t.nexthop[0] = 0;
	strlcpy(r->transport, t.transport, sizeof r->transport);
	hop = r->domain;
	if (c->relayhost[0] != 0 && (class == ROUTE_RELAY || class == ROUTE_DEFAULT)) {
		hop = c->relayhost;
		own = true;
	}
	if (t.nexthop[0] != 0) {
		hop = t.nexthop;
		own = true;
	}
	if (transport_map_find(c->transport_maps, local, r->domain, c->recipient_delimiter, c->transport_parents, &map)) {
		if (map.transport[0] != 0)
			strlcpy(r->transport, map.transport, sizeof r->transport);
		if (map.nexthop[0] != 0) {
			hop = map.nexthop;
			own = true;
		} else if (map.transport[0] != 0) {	/* the next hop is reset to the domain */
			hop = r->domain;
			own = false;
		}
	}
	route_transport(c, r, hop, own || class == ROUTE_LOCAL || class == ROUTE_VIRTUAL);
}
